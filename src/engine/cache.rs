//! Translated regions: where they lie, where they can be entered, what links to what, and which guest pages they came from.

use super::ahead::AheadTable;
use super::asleep::{Asleep, Sleeper};
use super::detours::Detours;
use super::entry_table::{EntryTable, Place};
use super::gone::GoneList;
use super::guards::Guards;
use super::breakpoints::Breakpoints;
use super::halt::Halts;
use super::heat::Heat;
use super::links::{Incoming, Patches};
use super::pages::{ByPage, keys_in, pages_of, range_of};
use super::regions::Regions;
use crate::decode::{Ahead, Flags, Region};
use crate::emit::tables::Late;
use crate::guest::Addr;
use crate::host::arena::Arena;
use crate::host::protection;
use crate::optimize::Opt;
use crate::translate::{Carry, Emitted, Entry, ExitSite, Held, Look, Mark, Options, Origin, Room, Sites, Step, translate_in};
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where translated code for a guest address can be entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// Host address.
    pub host: u64,
    /// The same for inline tables: `Entry::arrival`.
    pub arrival: u64,
    /// The same for calls: `Entry::call`.
    pub call: Option<u64>,
    /// Flags that the code may read.
    pub live_in: Flags,
    /// See [`Entry::late`].
    pub late: Late,
    /// May be linked to and remembered: it stays until it is invalidated. Else the engine is asked at each entry.
    pub lasting: bool,
    /// Region, by the host address of its start.
    pub region: u64,
    /// The same by its number.
    pub number: u32,
}

pub(super) struct Placed {
    /// Bytes of its code.
    pub len: u64,
    /// Bytes at its start that return by LINK (`translate::leaf`).
    pub leaf: u64,
    /// Entry points. The first is the region's own.
    entries: Vec<Entry>,
    /// Guest bytes that it was made from.
    pub sources: Vec<(Addr, u64)>,
    origins: Vec<Origin>,
    pub exits: Vec<ExitSite>,
    pub looks: Vec<Look>,
    held: Held,
    steps: Vec<Step>,
    marks: Vec<Mark>,
    /// Words elsewhere that were patched to branch here.
    pub incoming: Incoming,
}

/// For so many bytes of the arena one translation for one use is kept at most: what is known of each takes some 400 bytes beside it.
const BYTES_FOR_ONE: u64 = 1 << 10;

impl Placed {
    /// Gives back the room that vectors have grown beyond what they hold.
    fn shrink(&mut self) {
        self.origins.shrink_to_fit();
        self.exits.shrink_to_fit();
        self.sources.shrink_to_fit();
        self.steps.shrink_to_fit();
        self.marks.shrink_to_fit();
    }
    /// One of `len` bytes in which nothing is.
    #[cfg(test)]
    pub fn for_test(len: u64) -> Placed {
        Placed { len, ..Placed::new(Vec::new(), Emitted::default()).0 }
    }
    /// What is kept of a translation, and its code, which has been copied.
    #[inline(always)]
    fn new(sources: Vec<(Addr, u64)>, e: Emitted) -> (Placed, Vec<u8>) {
        let len = e.code.len() as u64;
        // Else its entry for calls is the word in front of the other one, or lies behind.
        let leaf = e.entries.first().filter(|e| e.call.is_some_and(|call| call + 4 < e.host)).map_or(0, |e| u64::from(e.host) - 4);
        let placed = Placed { len, leaf, entries: e.entries, sources, origins: e.origins, exits: e.exits, looks: e.looks, held: e.held, steps: e.steps, marks: e.marks, incoming: Incoming::default() };
        (placed, e.code)
    }
}

/// How the guest may write a page.
pub(super) struct Ways {
    /// At its own address.
    pub writable: bool,
    /// Its memory may be mapped elsewhere too, now or later.
    pub shared: bool,
    /// Other pages that show it and that the guest may write.
    pub views: Vec<Addr>,
}

/// See [`Cache::areas`]: starts and ends.
#[derive(Clone, Copy, Default)]
pub(super) struct Areas {
    pub mappings: u64,
    pub executable: (u64, u64),
    pub constant: (u64, u64),
}

/// Where an exit led and what is known of the place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub site: ExitSite,
    /// The return address that names it.
    pub at: u64,
    /// Start of its region.
    pub start: u64,
    /// [`Cache::generation`] when it was found.
    pub generation: u64,
}

/// What becomes of translations whose source may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The source is still what it was: they sleep, and wake if it turns out not to have changed.
    Sleep,
    /// They are of no use any more.
    Forget,
}

/// Not zero while pages of the guest's are protected or files are watched: translated code then asks before it has the kernel write them.
pub(super) static CAREFUL: AtomicU32 = AtomicU32::new(0);
/// There are protected pages.
const PAGES: u32 = 1;
/// Code comes from memory that can be written through descriptors.
pub(super) const FILES: u32 = 2;

/// All translations of the process.
pub(super) struct Cache {
    pub arena: Arena,
    options: Options,
    entries: EntryTable,
    pub regions: Regions,
    pub patches: Patches,
    by_page: ByPage,
    /// Counts what took translations away: while it stays the same, everything that was found is still there.
    generation: u64,
    /// Guest pages that we made read-only because code was translated from them, or from the pages listed here: other views of the same memory.
    protected: FxHashMap<u64, Vec<u64>>,
    /// Guest pages of shared memory that code was translated from.
    shared: FxHashSet<u64>,
    /// Areas that code could be executed from, and that could only be read, when there had been so many changes of mappings (`Engine::mappings`).
    pub areas: Areas,
    /// What was looked at behind exits, until anything is taken away: it belongs to the sources of regions that are in use.
    ahead: AheadTable,
    asleep: Asleep,
    room: Room,
    /// A region that is not needed any more, for its room.
    spare: Option<Box<Region>>,
    /// The same of the pages of a region.
    pub spare_pages: Vec<Addr>,
    /// Translations that compare themselves, by entry; see `guards`.
    pub guards: Guards,
    /// The regions of them that are in use.
    guarded: FxHashSet<u64>,
    /// All of them that threads may still know, by page.
    guarded_by_page: FxHashMap<u64, FxHashSet<u64>>,
    /// Translations that [`Cache::insert_once`] and [`Cache::insert_guarded`] have placed since the last flush.
    once: u64,
    /// What was taken away of what threads may have host addresses of.
    pub gone: GoneList,
    /// Accesses that are not where they were translated.
    pub detours: Detours,
    /// Pages that are not protected although there is code on them.
    pub heat: Heat,
    /// What a debugger has set.
    pub breakpoints: Breakpoints,
    /// Code that was changed to stop the thread in it.
    pub halts: Halts,
}

impl Cache {
    pub fn new(arena: Arena, options: Options) -> Cache {
        Cache {
            arena,
            options,
            entries: EntryTable::default(),
            regions: Regions::default(),
            patches: Patches::default(),
            by_page: ByPage::default(),
            generation: 0,
            protected: FxHashMap::default(),
            shared: FxHashSet::default(),
            areas: Areas::default(),
            ahead: AheadTable::default(),
            asleep: Asleep::default(),
            room: Room::default(),
            spare: None,
            spare_pages: Vec::new(),
            guards: Guards::default(),
            guarded: FxHashSet::default(),
            guarded_by_page: FxHashMap::default(),
            once: 0,
            gone: GoneList::default(),
            detours: Detours::default(),
            heat: Heat::default(),
            breakpoints: Breakpoints::default(),
            halts: Halts::default(),
        }
    }

    /// See the field.
    pub fn generation(&self) -> u64 {
        self.generation
    }
    pub fn options(&self) -> &Options {
        &self.options
    }
    pub fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// What a look ahead at `guest` found.
    pub fn ahead(&self, guest: Addr) -> Option<Ahead> {
        self.ahead.get(guest)
    }

    /// Where the translation for `guest` is entered.
    #[inline]
    pub fn lookup(&self, guest: Addr) -> Option<Target> {
        let place = self.entries.get(guest.0)?;
        let (host, placed) = self.regions.numbered(place.region)?;
        Some(target_of(host, place.region, placed.entries.get(place.entry as usize)?))
    }
    /// Is there one?
    pub fn has(&self, guest: Addr) -> bool {
        self.entries.has(guest.0)
    }

    /// Write-protects what the guest may write of `pages`; false if one was not protected yet, so that its bytes must be read again. `ways` says how the
    /// guest may write a page.
    pub fn protect(&mut self, pages: &[Addr], ways: impl Fn(Addr) -> Option<Ways>) -> bool {
        let mut all = true;
        for &page in pages {
            // Code of it has been in use since it was last written, and nothing but other views can have changed since that was protected.
            if self.by_page.has(page) && !self.shared.contains(&page.0) {
                continue;
            }
            let Some(ways) = ways(page) else { continue };
            if ways.shared {
                self.shared.insert(page.0);
            }
            for way in ways.views.into_iter().chain(ways.writable.then_some(page)) {
                let known = self.protected.contains_key(&way.0);
                // Before the kernel can find it so.
                CAREFUL.fetch_or(PAGES, Ordering::SeqCst);
                if !known && !protection::read_only(way) {
                    continue;
                }
                all &= known;
                let elsewhere = self.protected.entry(way.0).or_default();
                if way != page && !elsewhere.contains(&page.0) {
                    elsewhere.push(page.0);
                }
            }
        }
        all
    }

    /// Room for a region.
    pub fn spare(&mut self) -> Box<Region> {
        self.spare.take().unwrap_or_default()
    }

    /// Translates a region with the options of now.
    pub fn translate(&mut self, region: &Region) -> Emitted {
        translate_in(region, &self.options, &mut self.room)
    }

    /// Copies code to its place; `None` if the arena is full. `links`: its exits lead to what is translated already.
    #[inline(always)]
    fn place(&mut self, mut emitted: Emitted, sources: Vec<(Addr, u64)>, links: bool) -> Option<(u64, Placed)> {
        let host = self.arena.reserve(emitted.code.len() as u64)?;
        if links {
            self.link_early(host, &mut emitted.code, &emitted.exits);
        }
        self.arena.write(host, &emitted.code);
        let (placed, code) = Placed::new(sources, emitted);
        self.halts.expect(&placed);
        self.room.take_back(code);
        Some((host, placed))
    }

    /// Places a translation; `None` if the arena is full. `pages`, those of its sources, are [protected](Cache::protect) since before they were read.
    pub fn insert(&mut self, mut region: Box<Region>, emitted: Emitted, pages: &[Addr]) -> Option<Target> {
        let links = [Opt::Links, Opt::EarlyLinks].into_iter().all(|o| self.options.switches.on(o));
        let (host, placed) = self.place(emitted, std::mem::take(&mut region.sources), links)?;
        self.ahead.put(&region.ahead);
        self.spare = Some(region);
        Some(self.enlist(host, placed, pages))
    }

    /// Makes a region findable.
    #[inline(always)]
    fn enlist(&mut self, host: u64, placed: Placed, pages: &[Addr]) -> Target {
        for page in pages {
            self.by_page.put(*page, host);
        }
        let number = self.regions.insert(host, placed);
        let placed = self.regions.numbered(number).expect("it was just put there").1;
        let (first, others) = placed.entries.split_first().expect("a region has its own entry");
        // It was asked for because there was none.
        self.entries.put(first.guest.0, Place { region: number, entry: 0 });
        for (entry, e) in (1..).zip(others) {
            // The first translation of an address stays: others may be linked to it.
            self.entries.put_first(e.guest.0, Place { region: number, entry });
        }
        target_of(host, number, first)
    }

    fn count_once(&mut self) -> Option<()> {
        self.once += 1;
        (self.once * BYTES_FOR_ONE <= self.arena.size()).then_some(())
    }

    /// Places a translation that nothing finds; `None` if it is time to forget everything.
    pub fn insert_once(&mut self, region: &Region, emitted: Emitted) -> Option<Target> {
        // Nobody takes such a one away before the next flush, and what is known of it is more than its code.
        self.count_once()?;
        let (host, mut placed) = self.place(emitted, region.sources.clone(), false)?;
        let first = placed.entries[0];
        placed.entries = Vec::new();
        placed.shrink();
        let number = self.regions.insert(host, placed);
        Some(Target { lasting: false, ..target_of(host, number, &first) })
    }

    /// Places a translation that compares itself; `first`: it is the one to be entered. `None` if it is time to forget everything.
    pub fn insert_guarded(&mut self, region: Region, emitted: Emitted, pages: &[Addr], first: bool) -> Option<Target> {
        self.count_once()?;
        let (host, mut placed) = self.place(emitted, region.sources, false)?;
        placed.entries.truncate(1);
        placed.shrink();
        let entry = placed.entries[0];
        let number = self.regions.insert(host, placed);
        if first {
            self.entries.put(entry.guest.0, Place { region: number, entry: 0 });
        }
        for page in pages {
            self.guarded_by_page.entry(page.0).or_default().insert(host);
        }
        self.guarded.insert(host);
        Some(target_of(host, number, &entry))
    }

    /// Is it in use, and one that compares itself?
    pub fn is_guarded(&self, left: &Left) -> bool {
        self.guarded.contains(&left.start)
    }

    /// `target`, for `guest`, is not found any more. Threads may be running.
    pub fn take_out(&mut self, guest: Addr, target: Target) {
        self.entries.take_away(guest.0, target.number);
        self.disconnect(target);
    }

    /// The same for the entry of a region.
    fn put_out_region(&mut self, host: u64) -> Option<Addr> {
        let number = self.regions.number(host)?;
        let entry = *self.regions.numbered(number)?.1.entries.first()?;
        self.take_out(entry.guest, target_of(host, number, &entry));
        Some(entry.guest)
    }

    /// What compares itself on a page goes out of use. Threads may be running.
    pub fn drop_guarded_in(&mut self, page: Addr) {
        let regions: Vec<u64> = self.guarded_by_page.get(&page.0).into_iter().flatten().copied().collect();
        for host in regions {
            if self.guarded.remove(&host) && let Some(entry) = self.put_out_region(host) {
                self.guards.forget(entry);
            }
        }
    }

    /// A translation of `guest` that sleeps, if there is one: it is the caller's.
    pub fn sleeper(&mut self, guest: Addr) -> Option<Sleeper> {
        self.asleep.take(guest)
    }

    /// Puts a sleeping translation back into use. Its sources are [protected](Cache::protect), and since then found to be what they were.
    pub fn wake(&mut self, sleeper: Sleeper, pages: &[Addr]) -> Target {
        self.enlist(sleeper.host, sleeper.placed, pages)
    }

    fn region_of(&self, host: u64) -> Option<(u64, &Placed)> {
        self.regions.holding(host)
    }

    /// The exit that the return address `link` names.
    pub fn exit(&self, link: u64) -> Option<Left> {
        // The call of the stub may be the region's last word: look with the address of the call itself.
        let (start, placed) = self.region_of(link - 4)?;
        let offset = (link - start) as u32;
        // They are in the order of the code.
        let site = placed.exits[placed.exits.binary_search_by_key(&offset, |e| e.host).ok()?];
        Some(Left { site, at: link, start, generation: self.generation })
    }

    /// The guest instruction that host code at `pc` belongs to, the carry's polarity there, and the upper halves that host registers hold.
    pub fn origin(&self, pc: u64) -> Option<(Addr, Carry, Held)> {
        let (start, placed) = self.region_of(pc)?;
        let offset = (pc - start) as u32;
        let i = placed.origins.partition_point(|o| o.host <= offset);
        let origin = placed.origins.get(i.checked_sub(1)?)?;
        // In front of its entry a region holds nothing yet.
        let entered = placed.entries.first().is_none_or(|e| e.call != Some(offset));
        Some((origin.guest, origin.carry, if entered { placed.held } else { Held::default() }))
    }

    /// The same where host code at `pc` would look for signals, if it did.
    pub fn look(&self, pc: u64) -> Option<(Addr, Carry, Held)> {
        let (start, placed) = self.region_of(pc)?;
        placed.looks.iter().find(|l| start + u64::from(l.host) == pc).map(|l| (l.guest, Carry::Inverted, placed.held))
    }

    /// What makes the state exact where host code at `pc` stopped; none where it is.
    pub fn repair(&self, pc: u64) -> Vec<Step> {
        let Some((start, placed)) = self.region_of(pc) else { return Vec::new() };
        let i = placed.marks.partition_point(|m| m.host <= (pc - start) as u32);
        let Some(mark) = i.checked_sub(1).map(|i| placed.marks[i]) else { return Vec::new() };
        placed.steps[mark.steps.0 as usize..mark.steps.1 as usize].to_vec()
    }

    /// Is anything translated from this range, or protected in it?
    pub fn touches(&self, start: Addr, len: u64) -> bool {
        let range = range_of(start, len);
        !self.by_page.within(&range).is_empty() || !keys_in(&self.guarded_by_page, &range).is_empty() || !keys_in(&self.protected, &range).is_empty()
    }

    /// The guest, or the kernel for it, writes a protected page at time `now`.
    pub fn note_write(&mut self, page: Addr, now: u64) {
        for elsewhere in self.protected.get(&page.0).into_iter().flatten() {
            self.heat.written(Addr(*elsewhere), now);
        }
        self.heat.written(page, now);
    }

    /// Protected pages of a range.
    pub fn protected_in(&self, start: Addr, len: u64) -> Vec<u64> {
        if self.protected.is_empty() { Vec::new() } else { keys_in(&self.protected, &range_of(start, len)) }
    }
    pub fn is_protected(&self, at: Addr) -> bool {
        self.protected.contains_key(&at.page().0)
    }

    /// Takes every region translated from this range or from other views of its protected pages out of use, and lifts our write protection of
    /// its pages. No thread is in translated code.
    pub fn invalidate(&mut self, start: Addr, len: u64, fate: Fate) {
        self.generation += 1;
        self.ahead.clear();
        let range = range_of(start, len);
        let mut pages = self.by_page.within(&range);
        let lifted = keys_in(&self.protected, &range);
        for page in &lifted {
            pages.extend(self.protected.remove(page).unwrap_or_default());
        }
        self.remove_guarded_in(&range);
        for page in pages {
            for host in self.by_page.take(page) {
                self.remove(host, fate);
            }
        }
        for page in lifted {
            protection::writable(Addr(page));
        }
        self.nothing_protected();
    }

    /// Takes what compares itself away from the pages of `range`. No thread is in translated code.
    fn remove_guarded_in(&mut self, range: &Range<u64>) {
        for page in keys_in(&self.guarded_by_page, range) {
            for host in self.guarded_by_page.remove(&page).unwrap_or_default() {
                self.guarded.remove(&host);
                if let Some(entry) = self.put_out_region(host) {
                    self.guards.forget(entry);
                    if let Some(placed) = self.regions.remove(host) {
                        self.gone.put(host..host + placed.len, [entry].into_iter());
                    }
                }
            }
        }
    }

    /// Adds the instruction at `at` to a set of the options, and takes every translation that holds it out of use: also those that sleep and those for one entry,
    /// which are found by their source, because that is still what it was. No thread is in translated code.
    pub fn learn(&mut self, at: Addr, set: impl FnOnce(&mut Options) -> &mut Sites) {
        set(&mut self.options).insert(at.0);
        self.asleep.forget(at);
        self.heat.flush();
        self.remove_those_with(at);
    }

    /// Takes every translation that the byte at `at` belongs to out of use. Its page stays protected: others hold it as they did. No thread is in translated code.
    pub fn remove_those_with(&mut self, at: Addr) {
        self.generation += 1;
        self.remove_guarded_in(&range_of(at, 1));
        let with = |placed: &Placed| placed.sources.iter().any(|&(start, len)| at.0.wrapping_sub(start.0) < len);
        let hosts: Vec<u64> = self.by_page.of(at.page()).filter(|host| self.regions.get(*host).is_some_and(with)).collect();
        for host in hosts {
            self.remove(host, Fate::Forget);
        }
    }

    /// Says so, if no page is.
    fn nothing_protected(&self) {
        if self.protected.is_empty() {
            CAREFUL.fetch_and(!PAGES, Ordering::SeqCst);
        }
    }

    fn remove(&mut self, host: u64, fate: Fate) {
        let Some(number) = self.regions.number(host) else { return };
        let Some(mut placed) = self.regions.remove(host) else { return };
        self.gone.put(host..host + placed.len, placed.entries.iter().map(|e| e.guest));
        for e in &placed.entries {
            self.entries.take_away(e.guest.0, number);
        }
        while let Some(p) = self.patches.take(&mut placed.incoming) {
            // A region that linked here may itself be gone: its words are not used any more, and not yet reused.
            self.arena.patch(p.at, p.original);
        }
        for page in pages_of(&placed.sources) {
            self.by_page.put_out(page, host);
        }
        if fate == Fate::Sleep {
            let first = placed.entries[0].guest;
            self.asleep.put(first, host, placed, |at, buf| super::read_pages(at, buf, |_| true));
        }
    }

    /// Forgets everything. No thread is in translated code.
    pub fn flush(&mut self) {
        self.generation += 1;
        self.ahead.clear();
        self.once = 0;
        self.gone.clear();
        self.detours.clear();
        self.entries.clear();
        self.regions.clear();
        self.patches.clear();
        self.by_page.clear();
        self.shared.clear();
        self.asleep.clear();
        self.guards.clear();
        self.guarded.clear();
        self.guarded_by_page.clear();
        self.heat.flush();
        self.halts.flush();
        for (page, _) in self.protected.drain() {
            protection::writable(Addr(page));
        }
        self.nothing_protected();
        self.arena.reset();
    }
}

/// Where the code of a region at `host` is entered.
#[inline]
fn target_of(host: u64, number: u32, e: &Entry) -> Target {
    let at = |offset: u32| host + u64::from(offset);
    Target { host: at(e.host), arrival: at(e.arrival), call: e.call.map(at), live_in: e.live_in, late: e.late, lasting: true, region: host, number }
}
