//! Runs translated code: looks up, translates, links, invalidates, and turns whatever stops the guest into an [`Exit`].
//!
//! Never names `linux`: what the operating system means by an exit is decided there; what it knows of guest memory comes through [`Pages`].

#![forbid(unsafe_code)]

mod ahead;
mod asleep;
mod breakpoints;
mod cache;
#[cfg(test)]
mod cache_tests;
mod cold;
mod detours;
mod entry_table;
mod exit;
mod gone;
mod guards;
mod halt;
mod heat;
mod links;
mod pages;
mod regions;
mod run;
mod split;
mod stop;
mod targets;

pub use exit::{Exception, Exit};
pub use run::{Interrupter, Thread};

use crate::decode::{Ahead, CodeSource};
use crate::emit::{Features, stubs};
use crate::guest::{Addr, addr::PAGE_SIZE, state::STUB_COUNT};
use crate::host::arena::Arena;
use crate::host::{self, copy};
use crate::interpret::Runs;
use crate::optimize::Opt;
use crate::translate;
use cache::{CAREFUL, Cache, Fate};
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use stop::{Forget, Stop};

/// What the guest may do with a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageInfo {
    /// Data can be read.
    pub readable: bool,
    /// Data can be written.
    pub writable: bool,
    /// Instructions can be fetched.
    pub executable: bool,
    /// Other mappings or processes may write it.
    pub shared: bool,
}

/// The guest's address space, as far as the engine needs it.
pub trait Pages: Sync {
    /// The pages around `addr` that are like the page that holds it, and what they are; `None` where nothing is mapped.
    fn area(&self, addr: Addr) -> Option<(Range<u64>, PageInfo)>;
    /// The page that holds `addr`; `None` where nothing is mapped.
    fn page(&self, addr: Addr) -> Option<PageInfo> {
        self.area(addr).map(|(_, info)| info)
    }
    /// Other pages that show the same memory as the page of `addr` and that the guest may write.
    fn aliases(&self, addr: Addr) -> Vec<Addr>;
}

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// What code is translated to.
    pub translate: translate::Options,
    /// Size of the code arena in bytes.
    pub cache_size: u64,
    /// Called with each new translation, for dumps and perf maps.
    pub observer: Option<fn(&crate::decode::Region, &translate::Emitted, u64)>,
    /// Instructions a region may have.
    pub limits: crate::decode::Limits,
    /// For tests: interpret whatever can be, not only cold code.
    pub interpret: bool,
    /// A debugger may set breakpoints: all code is translated, and none compares itself with memory.
    pub debugged: bool,
}

/// Largest arena: a branch reaches everywhere in it.
pub const MAX_CACHE: u64 = 128 << 20;

impl Default for Options {
    fn default() -> Self {
        Options { translate: translate::Options::default(), cache_size: 64 << 20, observer: None, limits: crate::decode::Limits::default(), interpret: false, debugged: false }
    }
}

/// The engine of a process.
pub struct Engine {
    pages: &'static dyn Pages,
    limits: crate::decode::Limits,
    observer: Option<fn(&crate::decode::Region, &translate::Emitted, u64)>,
    cache: Mutex<Cache>,
    stop: Stop,
    empty_table: u64,
    enter: u64,
    stubs: [u64; STUB_COUNT],
    /// FPCR of a guest after reset.
    fpcr: u64,
    /// [`Opt::InlineLookup`] is on.
    inline_lookup: bool,
    /// Code looks at the plain tables.
    plain_table: AtomicBool,
    /// Cold code is interpreted.
    interprets: bool,
    runs: Runs,
    /// Counts changes of the guest's mappings: what is known of them holds while it stays.
    mappings: AtomicU64,
    /// What translated code may call.
    calls: &'static translate::syscall::HostCalls,
}

static ENGINE: OnceLock<Engine> = OnceLock::new();

impl Engine {
    /// Starts the engine of this process. Can be called once.
    pub fn start(mut options: Options, pages: &'static dyn Pages) -> Result<&'static Engine, host::sys::Errno> {
        if options.interpret {
            // What is translated all the same leaves at its exits.
            options.translate.switches = options.translate.switches.without(Opt::EarlyLinks);
        }
        let stubs = stubs::assemble(options.translate.features, options.translate.switches.on(Opt::DirectCalls), options.translate.switches.on(Opt::OwnCalls));
        let arena = Arena::new(options.cache_size.clamp(128 << 10, MAX_CACHE), &stubs)?;
        // Single instructions and checks of alignment are the translator's.
        let cold = options.translate.switches.on(Opt::ColdCode) && options.limits.insns > 1 && !options.translate.strict_align;
        let interprets = (options.interpret || cold) && !options.debugged;
        if options.translate.ordered && !options.translate.features.tso {
            host::touch::order();
        }
        let engine = Engine {
            pages,
            limits: options.limits,
            observer: options.observer,
            empty_table: host::thread::empty_table()?,
            enter: arena.enter_stub(),
            fpcr: crate::helpers::fpcr_for(crate::guest::state::MXCSR_INIT, options.translate.features.afp),
            stubs: arena.stub_addresses(),
            calls: options.translate.calls,
            inline_lookup: options.translate.switches.on(Opt::InlineLookup),
            plain_table: AtomicBool::new(!options.translate.ordered && [Opt::Unpolled, Opt::PlainTable].into_iter().all(|o| options.translate.switches.on(o))),
            interprets,
            runs: Runs::new(interprets, options.interpret),
            mappings: AtomicU64::new(0),
            cache: Mutex::new(Cache::new(arena, options.translate)),
            stop: Stop::default(),
        };
        if options.debugged {
            engine.cache().heat.never();
        }
        host::fault::install()?;
        let engine = ENGINE.get_or_init(|| engine);
        copy::set_write_hook(|at| Engine::get().is_some_and(|e| e.unprotect(at)));
        Ok(engine)
    }

    /// The engine of this process, once it runs.
    pub fn get() -> Option<&'static Engine> {
        ENGINE.get()
    }

    /// A new guest thread's processor, with its state as after reset.
    pub fn thread(&'static self) -> Result<Thread, host::sys::Errno> {
        Thread::new(self)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs `make_child` (a host fork) with the engine's locks held, so that the child finds them free.
    pub fn with_locks_held<T>(&self, make_child: impl FnOnce() -> T) -> T {
        let _translation = self.cache();
        let _threads = self.stop.seats();
        make_child()
    }

    /// Takes translations of guest bytes in `start .. start + len` out of use: to be called before their mapping, protection or contents change.
    pub fn about_to_change(&self, start: Addr, len: u64) {
        self.invalidate_to(start, len, Fate::Sleep);
    }

    /// Forgets all translations of guest bytes in `start .. start + len`: they may be others already.
    pub fn invalidate(&self, start: Addr, len: u64) {
        self.invalidate_to(start, len, Fate::Forget);
    }

    fn invalidate_to(&self, start: Addr, len: u64, fate: Fate) {
        self.mappings.fetch_add(1, Ordering::Relaxed);
        if !self.cache().touches(start, len) {
            return;
        }
        self.taking_away(|cache| cache.invalidate(start, len, fate));
    }

    /// Lifts our write protection from the pages of a range that the kernel is about to write.
    pub fn prepare_write(&self, start: Addr, len: u64) {
        // The address may be anything: a call that does not use an argument may be given what was in the register.
        let pages = if len == 0 { return } else { self.cache().protected_in(start, len) };
        for page in pages {
            self.unprotect(Addr(page));
        }
    }

    /// Changes whenever translations are taken away, as when a page's write protection is lifted.
    pub fn generation(&self) -> u64 {
        self.cache().generation()
    }

    /// False where nothing would come of [`Engine::prepare_write`], as nearly always.
    pub fn is_careful() -> bool {
        CAREFUL.load(Ordering::SeqCst) != 0
    }

    /// Code is going to be translated from memory that files' writers change: from now on translated code makes no call that writes files.
    pub fn watch_files(&self) {
        CAREFUL.fetch_or(cache::FILES, Ordering::SeqCst);
    }

    /// If we write-protected the page of `at`: forgets its translations, makes it writable again, and returns true.
    pub fn unprotect(&self, at: Addr) -> bool {
        if !self.cache().is_protected(at) {
            return false;
        }
        self.taking_away(|cache| {
            cache.note_write(at.page(), host::processor::time_of_process());
            cache.invalidate(at.page(), PAGE_SIZE, Fate::Sleep);
        });
        true
    }

    /// Runs `change` while no thread is in translated code, and has all of them forget host addresses. The caller holds no lock of the engine.
    fn stopped<R>(&self, change: impl FnOnce(&mut Cache) -> R) -> R {
        self.stop.while_stopped(Forget::All, || change(&mut self.cache()))
    }

    /// The same where `change` does no more than take translations away: threads keep what else they know.
    fn taking_away<R>(&self, change: impl FnOnce(&mut Cache) -> R) -> R {
        self.stop.while_stopped(Forget::Gone, || change(&mut self.cache()))
    }

    /// All code thrown away and everything retranslated with ordered accesses from now on: call before a second observer of memory can run, from the
    /// only thread.
    pub fn set_ordered(&self) {
        if self.cache().options().ordered {
            return;
        }
        log::info!("others can see memory: ordered accesses from here on");
        let features = ordered_features(self.cache().options().features);
        if !features.tso {
            host::touch::order();
        }
        self.plain_table.store(false, Ordering::Relaxed);
        self.stopped(|cache| {
            cache.options_mut().ordered = true;
            cache.options_mut().features = features;
            cache.flush();
        });
    }

    /// To be called by each new thread before guest code: it needs the memory order that code was translated for.
    pub fn begin_thread(&self) {
        let needed = self.cache().options().features.tso;
        assert!(!needed || host::processor::set_total_store_order(), "the kernel gives this thread another memory order than the first");
    }
}

/// What ordered code may use: the processor's own total store order where the kernel gives it, and no instruction that an erratum spoils.
pub fn ordered_features(features: Features) -> Features {
    let tso = host::processor::set_total_store_order();
    let features = if features.lrcpc2 { features.without_errata(&host::processor::identities()) } else { features };
    Features { tso, ..features }
}

/// Reads guest memory up to a page that can not be read or is not `wanted`; returns how much that is.
fn read_pages(at: Addr, buf: &mut [u8], wanted: impl Fn(Addr) -> bool) -> usize {
    let mut have = 0;
    while have < buf.len() {
        let pc = at.plus(have as u64);
        let n = ((PAGE_SIZE - pc.0 % PAGE_SIZE) as usize).min(buf.len() - have);
        if !wanted(pc) || copy::read_bytes(pc, &mut buf[have..have + n]).is_err() {
            break;
        }
        have += n;
    }
    have
}

/// Guest code as the decoder reads it: only what the guest may execute.
struct GuestCode<'a> {
    pages: &'a dyn Pages,
    cache: &'a Cache,
    /// Look-aheads may be the remembered ones: what is translated from this source is protected before it counts.
    recalls: bool,
    /// Hot pages are not looked at from elsewhere.
    looks: bool,
    /// Breakpoints are not seen: an instruction is to be stepped over.
    bare: bool,
    /// What tells code that has never run.
    untried: Option<&'a Runs>,
    /// The area that was last found executable: most questions are about the same one.
    executable: Cell<(u64, u64)>,
    /// The same of one that can only be read.
    constant: Cell<(u64, u64)>,
}

impl<'a> GuestCode<'a> {
    fn new(pages: &'a dyn Pages, cache: &'a Cache) -> Self {
        GuestCode { pages, cache, recalls: false, looks: false, bare: false, untried: None, executable: Cell::new((0, 0)), constant: Cell::new((0, 0)) }
    }
    fn recalling(pages: &'a dyn Pages, cache: &'a Cache) -> Self {
        GuestCode { recalls: true, ..GuestCode::new(pages, cache) }
    }
    /// The same for looks ahead only.
    fn ahead(&self) -> Self {
        GuestCode { recalls: true, looks: true, executable: self.executable.clone(), constant: self.constant.clone(), ..*self }
    }
    /// Can these 8 bytes be read, and be changed only after the engine has heard of it, as it hears of all changes of mappings?
    fn is_constant(&self, at: Addr) -> bool {
        if at.0 % PAGE_SIZE > PAGE_SIZE - 8 || self.cache.heat.is_hot(at.page()) {
            return false;
        }
        let (start, end) = self.constant.get();
        if start <= at.0 && at.0 < end {
            return true;
        }
        let Some((area, _)) = self.pages.area(at).filter(|(_, info)| info.readable && !info.writable && !info.shared) else { return false };
        self.constant.set((area.start, area.end));
        true
    }
    /// [`CodeSource::read_code`] where it is not known that all of it can be read.
    #[inline(never)]
    fn read_by_pages(&self, at: Addr, buf: &mut [u8]) -> usize {
        read_pages(at, buf, |pc| self.is_executable(pc) && !self.hides(pc))
    }
    fn is_executable(&self, pc: Addr) -> bool {
        let (start, end) = self.executable.get();
        if start <= pc.0 && pc.0 < end {
            return true;
        }
        let Some((area, _)) = self.pages.area(pc).filter(|(_, info)| info.executable) else { return false };
        self.executable.set((area.start, area.end));
        true
    }
}

impl CodeSource for GuestCode<'_> {
    #[inline]
    fn read_code(&self, at: Addr, buf: &mut [u8]) -> usize {
        let (start, end) = self.executable.get();
        let known = start <= at.0 && at.0.saturating_add(buf.len() as u64) <= end && !(self.looks && self.cache.heat.is_any());
        let have = if known && copy::read_bytes(at, buf).is_ok() { buf.len() } else { self.read_by_pages(at, buf) };
        if !self.bare && self.cache.breakpoints.are_any() {
            self.cache.breakpoints.show(at, &mut buf[..have]);
        }
        have
    }
    fn is_untried(&self, at: Addr) -> bool {
        self.untried.is_some_and(|runs| runs.are_none(at))
    }
    fn is_translated(&self, at: Addr) -> bool {
        self.cache.has(at)
    }
    fn hides(&self, at: Addr) -> bool {
        self.looks && self.cache.heat.is_hot(at.page())
    }
    fn constant(&self, at: Addr) -> Option<u64> {
        if !self.recalls || !self.cache.options().switches.on(Opt::FixedTargets) || !self.is_constant(at) {
            return None;
        }
        let mut bytes = [0; 8];
        copy::read_bytes(at, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    }
    fn ahead(&self, at: Addr) -> Option<Ahead> {
        if self.recalls { self.cache.ahead(at) } else { None }
    }
}
