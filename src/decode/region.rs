//! Regions: the unit of translation. From an entry, straight on over conditional branches and calls, back to loop heads;
//! forward branch targets are left to be translated when they run.

use super::glance::glance;
use super::insn::{Flow, Insn};
use super::quick::{self, Decoded};
use super::{FlagEffects, Flags, STATUS, is_arithmetic};
use crate::guest::Addr;
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction};

/// Where guest code comes from.
pub trait CodeSource {
    /// Copies executable guest bytes at `at`, and returns how many there are (0: not mapped or not executable).
    fn read_code(&self, at: Addr, buf: &mut [u8]) -> usize;
    /// Is there a translation that begins at `at`? A region ends in front of it, rather than hold the same code again.
    fn is_translated(&self, _at: Addr) -> bool {
        false
    }
    /// Is it known that what lies behind a branch, at `at`, has never run? A region ends in front of it.
    fn is_untried(&self, _at: Addr) -> bool {
        false
    }
    /// May the code at `at` not be looked at from elsewhere?
    fn hides(&self, _at: Addr) -> bool {
        false
    }
    /// The 8 bytes at `at`, if they can be read and nothing can change them unheard.
    fn constant(&self, _at: Addr) -> Option<u64> {
        None
    }
    /// What an earlier look ahead at `at` found, if its bytes are still the same.
    fn ahead(&self, _at: Addr) -> Option<Ahead> {
        None
    }
}

/// What a look at the code behind an exit found.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// Flags that the code there may read before it overwrites them.
    pub live: Flags,
    /// Bytes that were looked at, as in [`Region::sources`]. Those behind the first may be empty.
    pub sources: [(Addr, u64); 3],
}

/// Bytes that lie at an address, with nothing around them: for tests and tools.
#[derive(Clone, Copy, Debug)]
pub struct CodeAt<'a>(pub Addr, pub &'a [u8]);

impl CodeSource for CodeAt<'_> {
    fn read_code(&self, at: Addr, buf: &mut [u8]) -> usize {
        let Some(rest) = at.0.checked_sub(self.0.0).and_then(|o| self.1.get(o as usize..)) else { return 0 };
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        n
    }
}

/// Bounds of a region.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Instructions.
    pub insns: usize,
    /// Straight pieces.
    pub segments: usize,
    /// End behind the first instruction that may store or branch.
    pub short: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { insns: 128, segments: 8, short: false }
    }
}

/// How a block ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Falls into the instruction at this address (a block head, or outside the region).
    Fall(Addr),
    /// Ends with its last instruction's own control flow.
    Flow(Flow),
    /// The next instruction's bytes can not be fetched: #PF at this address.
    NoFetch(Addr),
}

/// A basic block: `count` instructions from `first` on.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Index of its first instruction.
    pub first: usize,
    /// Number of instructions (may be 0 for an unfetchable start).
    pub count: usize,
    /// Guest address.
    pub addr: Addr,
    /// How it ends.
    pub end: End,
    /// Target of a backward branch inside the region: a loop head.
    pub loop_head: bool,
    /// Indices of the blocks that its last instruction's branch or call goes to, and that follows it or is returned to; [`OUTSIDE`] where there is none.
    pub(super) to: u32,
    pub(super) next: u32,
    /// Flags that may be read before they are overwritten (set by `optimize::liveness`).
    pub live_in: Flags,
    /// The same on the two ways out of a conditional branch: where it goes, and behind it.
    pub ways: [Flags; 2],
}

/// No block of the region.
pub(super) const OUTSIDE: u32 = u32::MAX;

fn inside(block: u32) -> Option<usize> {
    (block != OUTSIDE).then_some(block as usize)
}

impl Block {
    pub(super) fn new(first: usize, count: usize, addr: Addr, end: End) -> Block {
        Block { first, count, addr, end, loop_head: false, to: OUTSIDE, next: OUTSIDE, live_in: STATUS, ways: [STATUS; 2] }
    }
    /// Index of the block that its last instruction's branch or call goes to, if the region has it.
    pub fn target(&self) -> Option<usize> {
        inside(self.to)
    }
    /// Index of the block that follows it, or that its call returns to, if the region has it.
    pub fn behind(&self) -> Option<usize> {
        inside(self.next)
    }
}

/// A straight piece of a region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Guest address of its first instruction.
    pub from: Addr,
    /// Guest address of its last instruction.
    pub last: Addr,
    /// Indices of its instructions: first, and behind the last. None where the first can not be fetched.
    pub insns: (usize, usize),
    /// Indices of its blocks.
    pub blocks: (usize, usize),
    pub stop: Stop,
}

/// Guest bytes that a translation compares with what it was made from, when it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// Address of the first.
    pub at: Addr,
    /// How many: 1, 2, 4 or 8.
    pub bytes: u32,
    /// What they were, read as a number.
    pub is: u64,
    /// Bits that are compared.
    pub mask: u64,
}

/// A region.
#[derive(Clone, Debug, Default)]
pub struct Region {
    /// All instructions, segment by segment.
    pub insns: Vec<Insn>,
    /// All blocks, in the order of instructions. The first is the entry.
    pub blocks: Vec<Block>,
    /// Guest byte ranges that the translation depends on: start and length.
    pub sources: Vec<(Addr, u64)>,
    /// Holds instructions with VEX, or that [`quick`] does not know.
    pub unusual: bool,
    /// Holds [floating-point arithmetic](is_arithmetic).
    pub arithmetic: bool,
    /// What was looked at behind exits, by address.
    pub ahead: Vec<(Addr, Ahead)>,
    /// What its translation compares at the start of each block; nothing where its pages are protected.
    pub guards: Vec<Guard>,
    pub(super) segments: Vec<Segment>,
    /// Address of the first instruction, and of the last one, of all segments.
    span: (Addr, Addr),
    /// Indices of instructions by the low bits of their address: what is left of earlier regions is there too. Empty in a region that was not decoded.
    places: Vec<u8>,
    /// Indices of the instructions after which control may go elsewhere, and of those that they go to ([`OUTSIDE`] where the region has them not).
    pub(super) turns: Vec<u32>,
    pub(super) targets: Vec<u32>,
    /// Where further pieces begin, while it is made.
    pending: Vec<Addr>,
}

impl Region {
    /// One without instructions, which ends like that.
    pub fn empty(at: Addr, end: End) -> Region {
        Region { blocks: vec![Block::new(0, 0, at, end)], ..Region::default() }
    }
    /// Makes an empty one of one that is not needed any more.
    fn reuse(&mut self, limits: &Limits) {
        self.insns.clear();
        self.blocks.clear();
        self.ahead.clear();
        self.guards.clear();
        self.segments.clear();
        self.turns.clear();
        self.targets.clear();
        self.insns.reserve(limits.insns);
        self.places.resize(PLACES, 0);
        self.span = (Addr(u64::MAX), Addr(0));
        self.sources.clear();
        self.sources.reserve(8);
        (self.unusual, self.arithmetic) = (false, false);
    }
    /// Lowest and highest address of its instructions, if it has any.
    pub fn span(&self) -> Option<(Addr, Addr)> {
        (!self.insns.is_empty()).then_some(self.span)
    }
    /// Index of the block that starts at `addr`.
    pub fn block_at(&self, addr: Addr) -> Option<usize> {
        let s = self.segments.iter().find(|s| s.from <= addr && addr <= s.last && s.blocks.0 < s.blocks.1)?;
        let (first, end) = s.blocks;
        self.blocks[first..end].binary_search_by_key(&addr, |b| b.addr).ok().map(|i| first + i)
    }
    /// Blocks of each straight piece, in the order of decoding.
    pub fn pieces(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.segments.iter().map(|s| s.blocks.0..s.blocks.1).filter(|r| !r.is_empty())
    }
    #[inline]
    pub(super) fn insn_at(&self, addr: Addr) -> Option<usize> {
        let (first, last) = self.span;
        if addr < first || addr > last {
            return None;
        }
        if last.0 - first.0 >= PLACES as u64 {
            return self.search(addr);
        }
        let i = usize::from(*self.places.get(place(addr))?);
        self.insns.get(i).is_some_and(|insn| insn.addr() == addr).then_some(i)
    }
    /// Has a piece under way, from `start` on, come to an instruction that another one holds?
    fn reaches(&mut self, start: Addr, at: Addr) -> bool {
        self.span = (self.span.0.min(start), self.span.1.max(at));
        self.insn_at(at).is_some()
    }
    /// [`Region::insn_at`] where instructions may have the same place.
    #[cold]
    fn search(&self, addr: Addr) -> Option<usize> {
        let s = self.segments.iter().find(|s| s.from <= addr && addr <= s.last && s.insns.0 < s.insns.1)?;
        let (first, end) = s.insns;
        self.insns[first..end].binary_search_by_key(&addr, |i| i.addr()).ok().map(|i| first + i)
    }
}

const OPTIONS: u32 = DecoderOptions::AMD;

/// Of [`Region::places`]: most regions span less.
const PLACES: usize = 1024;
const fn place(addr: Addr) -> usize {
    addr.0 as usize % PLACES
}

/// Decodes code bytes that lie at an address.
struct Reader<'a> {
    bytes: &'a [u8],
    start: Addr,
    /// Made when it is needed: not for most windows.
    iced: Option<Decoder<'a>>,
    /// See [`Region::unusual`], [`Region::arithmetic`].
    unusual: bool,
    arithmetic: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], start: Addr) -> Self {
        Reader { bytes, start, iced: None, unusual: false, arithmetic: false }
    }
    /// Decodes the instruction at `at` into `insn`, an [empty](Insn::empty) one; false if the bytes end before it does.
    #[inline(always)]
    fn decode(&mut self, at: Addr, insn: &mut Insn) -> bool {
        let Some(rest) = self.bytes.get((at.0 - self.start.0) as usize..) else { return false };
        match rest.first_chunk() {
            Some(window) => self.decode_window(window, at, insn),
            None => self.decode_last(rest, at, insn),
        }
    }
    /// The same of one whose bytes, and those behind it, are `window`.
    #[inline(always)]
    fn decode_window(&mut self, window: &[u8; quick::WINDOW], at: Addr, insn: &mut Insn) -> bool {
        match quick::decode(window, at.0, &mut insn.raw) {
            Decoded::Plain => {
                return self.annotated(insn);
            }
            Decoded::Vex => {
                self.unusual = true;
                return self.annotated(insn);
            }
            Decoded::Unknown => {}
        }
        if !self.ask_iced(at, &mut insn.raw) {
            return false;
        }
        self.annotated(insn)
    }

    #[inline(always)]
    fn annotated(&mut self, insn: &mut Insn) -> bool {
        if insn.annotate() {
            self.annotate_special(insn);
        }
        true
    }
    #[inline(never)]
    fn annotate_special(&mut self, insn: &mut Insn) {
        insn.annotate_special();
        self.arithmetic |= is_arithmetic(insn.mnemonic());
    }

    /// The same near the end of what is at hand: whatever is longer than `rest` is not whole.
    #[cold]
    #[inline(never)]
    fn decode_last(&mut self, rest: &[u8], at: Addr, insn: &mut Insn) -> bool {
        let mut window = [0; quick::WINDOW];
        window[..rest.len()].copy_from_slice(rest);
        let decoded = quick::decode(&window, at.0, &mut insn.raw);
        let known = decoded != Decoded::Unknown;
        if known && insn.raw.len() > rest.len() || !known && !self.ask_iced(at, &mut insn.raw) {
            return false;
        }
        self.unusual |= decoded == Decoded::Vex;
        self.annotated(insn)
    }

    #[cold]
    #[inline(never)]
    fn ask_iced(&mut self, at: Addr, raw: &mut Instruction) -> bool {
        self.unusual = true;
        let position = (at.0 - self.start.0) as usize;
        let d = self.iced.get_or_insert_with(|| Decoder::with_ip(64, self.bytes, self.start.0, OPTIONS));
        if position >= self.bytes.len() || d.set_position(position).is_err() {
            return false;
        }
        d.set_ip(at.0);
        d.decode_out(raw);
        // With 15 bytes at hand "no more bytes" means a too long instruction, which is #UD.
        d.last_error() != DecoderError::NoMoreBytes || self.bytes.len() - position >= 15
    }
}

/// Decodes one instruction of `bytes` at `addr`: `None` if the bytes end before it does.
pub fn decode_one(bytes: &[u8], addr: Addr) -> Option<Insn> {
    let mut insn = Insn::empty();
    decode_outside(&mut Reader::new(bytes, addr), addr, &mut insn).then_some(insn)
}

/// [`Reader::decode`] where it is rarely needed.
#[inline(never)]
fn decode_outside(reader: &mut Reader, at: Addr, insn: &mut Insn) -> bool {
    reader.decode(at, insn)
}

/// Bytes that a look ahead reads at once: few go further.
const GLANCES: usize = 64;

/// What the instructions from `addr` on do to the flags, where they go and where the next one begins, as long as `each` wants more and bytes last. Of one
/// with a [fixed target](Insn::fixed_target) also where that is read.
pub fn effects_each(source: &dyn CodeSource, addr: Addr, mut each: impl FnMut(FlagEffects, Flow, Addr, Option<Addr>) -> bool) {
    let mut at = addr;
    loop {
        let (from, mut buf) = (at, [0; GLANCES]);
        let have = source.read_code(at, &mut buf);
        let mut reader = Reader::new(&buf[..have], at);
        loop {
            let offset = (at.0 - from.0) as usize;
            let window = if offset + quick::WINDOW <= have { buf[offset..].first_chunk() } else { None };
            if window.is_none() && have == GLANCES {
                break;
            }
            let (flags, flow, slot) = match window.and_then(|window| glance(window, at.0)) {
                Some((len, flags, flow)) => {
                    at = at.plus(len as u64);
                    (flags, flow, None)
                }
                None => {
                    let mut insn = Insn::empty();
                    if !decode_outside(&mut reader, at, &mut insn) {
                        return;
                    }
                    at = insn.next();
                    let slot = insn.fixed_target(source).map(|(slot, to)| {
                        insn.go_to(to);
                        slot
                    });
                    (insn.flags, insn.flow(), slot)
                }
            };
            if !each(flags, flow, at, slot) {
                return;
            }
        }
    }
}

/// How a straight piece ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// At an instruction that does not go on.
    Flow,
    /// In front of this address, which another segment holds or which lies beyond the limits.
    At(Addr),
    /// Bytes not fetchable.
    NoFetch(Addr),
}

/// Bytes that are read at once.
const WINDOWS: usize = 256;

/// Decodes a straight piece from `start` on; returns how it ended.
#[inline(never)]
fn sweep(source: &dyn CodeSource, start: Addr, limits: Limits, region: &mut Region) -> Stop {
    // Behind what is read there is room for a window from any of its bytes on.
    let mut buf = [0u8; WINDOWS + quick::WINDOW];
    let mut at = start;
    // From where on it may run into another piece.
    let others = region.segments.iter().filter(|s| s.last >= start).map(|s| s.from).min().unwrap_or(Addr(u64::MAX));
    let mut joins = false;
    let empty = Insn::empty();
    loop {
        // A window of code bytes from here on.
        let window = at;
        let have = source.read_code(at, &mut buf[..WINDOWS]);
        if have == 0 {
            return Stop::NoFetch(at);
        }
        let mut reader = Reader::new(&buf[..have], at);
        let stop = loop {
            let n = region.insns.len();
            if n >= limits.insns || joins && source.is_translated(at) || at >= others && at != start && region.reaches(start, at) {
                break Some(Stop::At(at));
            }
            region.insns.push(empty);
            let insn = &mut region.insns[n];
            // Less than 256: an instruction is no longer than a window.
            let offset = (at.0 - window.0) as u8;
            let decoded = if usize::from(offset) + quick::WINDOW <= have {
                let bytes = buf[offset.into()..].first_chunk().expect("there is room for it");
                reader.decode_window(bytes, at, insn)
            } else {
                have < WINDOWS && decode_outside(&mut reader, at, insn)
            };
            if !decoded {
                region.insns.pop();
                break (at == window).then(|| Stop::NoFetch(at.plus(have as u64)));
            }
            region.places[place(at)] = n as u8;
            at = insn.next();
            let mut flow = insn.flow();
            joins = flow != Flow::Next;
            if !joins {
                if limits.short && insn.may_store() {
                    break Some(Stop::At(at));
                }
                continue;
            }
            region.turns.push(n as u32);
            if let Some((slot, to)) = insn.fixed_target(source) {
                region.sources.push((slot, 8));
                insn.go_to(to);
                flow = insn.flow();
            }
            if !matches!(flow, Flow::Conditional(_) | Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) {
                break Some(Stop::Flow);
            }
            // Behind a branch back to a head that the region has already it goes on: that is a loop's body, or what follows when it ends.
            if limits.short || matches!(flow, Flow::Conditional(to) if to > at || is_loop_elsewhere(region, start, at, to)) && source.is_untried(at) {
                break Some(Stop::At(at));
            }
        };
        region.unusual |= reader.unusual;
        region.arithmetic |= reader.arithmetic;
        if let Some(stop) = stop {
            return stop;
        }
    }
}

/// Does a branch in front of `at`, of a piece that begins at `start`, go back to a loop's head that is to be a piece of its own?
fn is_loop_elsewhere(region: &Region, start: Addr, at: Addr, to: Addr) -> bool {
    to < start && at.0 - to.0 < LONGEST_LOOP && region.insn_at(to).is_none()
}

/// Bytes of a loop that is translated as one.
const LONGEST_LOOP: u64 = 4096;

/// Bytes of a loop that is translated whole even if its head is already.
const SHORT_LOOP: u64 = 128;

/// As many instructions as a region can have: their indices are bytes.
const MOST: usize = 128;

/// Builds the region that starts at `entry`.
pub fn decode_region(source: &dyn CodeSource, entry: Addr, limits: Limits) -> Region {
    let mut region = Region::default();
    decode_region_in(source, entry, limits, &mut region);
    region
}

/// The same in the room of a region that is not needed any more.
pub fn decode_region_in(source: &dyn CodeSource, entry: Addr, limits: Limits, region: &mut Region) {
    let limits = Limits { insns: limits.insns.min(MOST), ..limits };
    region.reuse(&limits);
    let mut pending = std::mem::take(&mut region.pending);
    let mut next = Some(entry);
    while let Some(start) = next {
        let full = region.segments.len() >= limits.segments || region.insns.len() >= limits.insns && !region.insns.is_empty();
        if !full && region.insn_at(start).is_none() {
            let (first, turns) = (region.insns.len(), region.turns.len());
            let stop = sweep(source, start, limits, region);
            let end = region.insns.len();
            let last = region.insns[first..].last().map_or(start, |i| i.addr());
            region.span = (region.span.0.min(start), region.span.1.max(last));
            region.segments.push(Segment { from: start, last, insns: (first, end), blocks: (0, 0), stop });
            let len = if end > first { region.insns[end - 1].next().0.wrapping_sub(start.0) } else { 1 };
            region.sources.push((start, len));
            // Over code that never ran to what did.
            if let (Stop::At(behind), Some(i)) = (stop, region.insns[first..].last())
                && let Flow::Conditional(to) = i.flow()
                && to > behind
                && to.0 - behind.0 < LONGEST_LOOP
                && source.is_untried(behind)
                && !source.is_untried(to)
                && !source.is_translated(to)
            {
                pending.push(to);
            }
            // Loop heads: backward targets of conditional branches and jumps of this piece that are not yet here.
            for &i in &region.turns[turns..] {
                let i = &region.insns[i as usize];
                if let Flow::Conditional(to) | Flow::Jump(to) = i.flow()
                    && to <= i.addr()
                    && to.0 + LONGEST_LOOP > i.addr().0
                    && region.insn_at(to).is_none()
                    // The cost of leaving for its translation is small for a long loop; one of more than a region's instructions would be translated again
                    // and again, from where each translation ends.
                    && (to.0 + SHORT_LOOP > i.addr().0 || !source.is_translated(to))
                {
                    pending.push(to);
                }
            }
        }
        next = pending.pop();
    }
    region.pending = pending;
    super::blocks::split(region);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code of which some has never run.
    struct Partly<'a>(CodeAt<'a>, &'a [u64]);
    impl CodeSource for Partly<'_> {
        fn read_code(&self, at: Addr, buf: &mut [u8]) -> usize {
            self.0.read_code(at, buf)
        }
        fn is_untried(&self, at: Addr) -> bool {
            self.1.contains(&at.0)
        }
    }

    /// Where a region ends in front of code that has never run, and where it does not: that costs a translation later, and is right everywhere.
    #[test]
    fn what_has_never_run_is_left_out() {
        // 1000: jz 1004. 1002: jmp 1000. 1004: inc eax. 1006: jnz 1000. 1008: inc ecx. 100a: ret.
        let code = [0x74, 0x02, 0xeb, 0xfc, 0xff, 0xc0, 0x75, 0xf8, 0xff, 0xc1, 0xc3];
        let insns = |entry, untried: &[u64]| {
            let region = decode_region(&Partly(CodeAt(Addr(0x1000), &code), untried), Addr(entry), Limits::default());
            let mut at: Vec<u64> = region.insns.iter().map(|i| i.addr().0 & 0xff).collect();
            at.sort_unstable();
            at
        };
        assert_eq!(insns(0x1000, &[]), [0, 2]);
        // Behind a forward branch, and on where it leads.
        assert_eq!(insns(0x1000, &[0x1002]), [0, 4, 6, 8, 10]);
        // Not behind a loop whose head the region has.
        assert_eq!(insns(0x1000, &[0x1002, 0x1008]), [0, 4, 6, 8, 10]);
        // Behind one back to what is elsewhere.
        assert_eq!(insns(0x1004, &[0x1008]), [0, 2, 4, 6]);
        assert_eq!(insns(0x1004, &[]), [0, 2, 4, 6, 8, 10]);
    }
}
