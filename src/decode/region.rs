//! Regions: the unit of translation. From an entry, straight on over conditional branches and calls, back to loop heads;
//! forward branch targets are left to be translated when they run.

use super::insn::{Flow, Insn};
use super::{Flags, STATUS, quick};
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
    /// May the code at `at` not be looked at from elsewhere?
    fn hides(&self, _at: Addr) -> bool {
        false
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
    /// Bytes that were looked at, as in [`Region::sources`]. The second range may be empty.
    pub sources: [(Addr, u64); 2],
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
    /// Flags that may be read before they are overwritten (set by `optimize::liveness`).
    pub live_in: Flags,
}

/// A straight piece of a region.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Guest address of its first instruction.
    from: Addr,
    /// Guest address of its last instruction.
    last: Addr,
    /// Indices of its instructions: first, and behind the last. None where the first can not be fetched.
    insns: (usize, usize),
    /// Indices of its blocks.
    blocks: (usize, usize),
    stop: Stop,
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
    /// Holds instructions that [`quick`] does not know: all with VEX are among them.
    pub unusual: bool,
    /// What was looked at behind exits, by address.
    pub ahead: Vec<(Addr, Ahead)>,
    /// What its translation compares at the start of each block; nothing where its pages are protected.
    pub guards: Vec<Guard>,
    segments: Vec<Segment>,
    /// Indices of the instructions after which control may go elsewhere.
    turns: Vec<u32>,
}

impl Region {
    /// One without instructions, which ends like that.
    pub fn empty(at: Addr, end: End) -> Region {
        Region { blocks: vec![Block { first: 0, count: 0, addr: at, end, loop_head: false, live_in: STATUS }], ..Region::default() }
    }
    /// Index of the block that starts at `addr`.
    pub fn block_at(&self, addr: Addr) -> Option<usize> {
        let s = self.segments.iter().find(|s| s.from <= addr && addr <= s.last && s.blocks.0 < s.blocks.1)?;
        let (first, end) = s.blocks;
        self.blocks[first..end].binary_search_by_key(&addr, |b| b.addr).ok().map(|i| first + i)
    }
    fn insn_at(&self, addr: Addr) -> Option<usize> {
        let s = self.segments.iter().find(|s| s.from <= addr && addr <= s.last && s.insns.0 < s.insns.1)?;
        let (first, end) = s.insns;
        self.insns[first..end].binary_search_by_key(&addr, |i| i.addr()).ok().map(|i| first + i)
    }
}

const OPTIONS: u32 = DecoderOptions::AMD;

/// Decodes code bytes that lie at an address.
struct Reader<'a> {
    bytes: &'a [u8],
    start: Addr,
    /// Made when it is needed: not for most windows.
    iced: Option<Decoder<'a>>,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], start: Addr) -> Self {
        Reader { bytes, start, iced: None }
    }
    /// Decodes the instruction at `at` into `insn`, an [empty](Insn::empty) one; false if the bytes end before it does.
    fn decode(&mut self, at: Addr, insn: &mut Insn) -> bool {
        let Some(rest) = self.bytes.get((at.0 - self.start.0) as usize..) else { return false };
        if let Some(window) = rest.first_chunk()
            && quick::decode(window, at.0, &mut insn.raw)
        {
            insn.annotate();
            return true;
        }
        if !self.ask_iced(rest, at, &mut insn.raw) {
            return false;
        }
        insn.annotate();
        true
    }

    #[cold]
    #[inline(never)]
    fn ask_iced(&mut self, rest: &[u8], at: Addr, raw: &mut Instruction) -> bool {
        let d = self.iced.get_or_insert_with(|| Decoder::with_ip(64, self.bytes, self.start.0, OPTIONS));
        if rest.is_empty() || d.set_position(self.bytes.len() - rest.len()).is_err() {
            return false;
        }
        d.set_ip(at.0);
        d.decode_out(raw);
        // With 15 bytes at hand "no more bytes" means a too long instruction, which is #UD.
        d.last_error() != DecoderError::NoMoreBytes || rest.len() >= 15
    }
}

/// Decodes one instruction of `bytes` at `addr`: `None` if the bytes end before it does.
pub fn decode_one(bytes: &[u8], addr: Addr) -> Option<Insn> {
    let mut insn = Insn::empty();
    Reader::new(bytes, addr).decode(addr, &mut insn).then_some(insn)
}

/// Decodes `bytes` at `addr` one instruction after the other, as long as `each` wants more and bytes last.
pub fn decode_each(bytes: &[u8], addr: Addr, mut each: impl FnMut(&Insn) -> bool) {
    let mut reader = Reader::new(bytes, addr);
    let mut at = addr;
    loop {
        let mut insn = Insn::empty();
        if !reader.decode(at, &mut insn) || !each(&insn) {
            return;
        }
        at = insn.next();
    }
}

/// How a straight piece ended.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// At an instruction that does not go on.
    Flow,
    /// In front of this address, which another segment holds or which lies beyond the limits.
    At(Addr),
    /// Bytes not fetchable.
    NoFetch(Addr),
}

/// Decodes a straight piece from `start` on; returns how it ended.
fn sweep(source: &dyn CodeSource, start: Addr, limits: Limits, region: &mut Region) -> Stop {
    let mut buf = [0u8; 256];
    let mut at = start;
    let alone = region.segments.is_empty();
    let mut joins = false;
    loop {
        // A window of code bytes from here on.
        let window = at;
        let have = source.read_code(at, &mut buf);
        if have == 0 {
            return Stop::NoFetch(at);
        }
        let mut reader = Reader::new(&buf[..have], at);
        loop {
            if region.insns.len() >= limits.insns || joins && source.is_translated(at) || !alone && at != start && region.insn_at(at).is_some() {
                return Stop::At(at);
            }
            let n = region.insns.len();
            region.insns.push(Insn::empty());
            let insn = &mut region.insns[n];
            if !reader.decode(at, insn) {
                region.insns.pop();
                if at == window {
                    return Stop::NoFetch(at.plus(have as u64));
                }
                break;
            }
            at = insn.next();
            region.unusual |= reader.iced.is_some();
            let flow = insn.flow();
            joins = flow != Flow::Next;
            if !joins {
                if limits.short && insn.may_store() {
                    return Stop::At(at);
                }
                continue;
            }
            region.turns.push(n as u32);
            if !matches!(flow, Flow::Conditional(_) | Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) {
                return Stop::Flow;
            }
            if limits.short {
                return Stop::At(at);
            }
        }
    }
}

/// Builds the region that starts at `entry`.
pub fn decode_region(source: &dyn CodeSource, entry: Addr, limits: Limits) -> Region {
    let mut region = Region { insns: Vec::with_capacity(limits.insns), turns: Vec::with_capacity(32), sources: Vec::with_capacity(8), ..Region::default() };
    let mut pending = Vec::new();
    let mut next = Some(entry);
    while let Some(start) = next {
        let full = region.segments.len() >= limits.segments || region.insns.len() >= limits.insns && !region.insns.is_empty();
        if !full && region.insn_at(start).is_none() {
            let (first, turns) = (region.insns.len(), region.turns.len());
            let stop = sweep(source, start, limits, &mut region);
            let end = region.insns.len();
            let last = region.insns[first..].last().map_or(start, |i| i.addr());
            region.segments.push(Segment { from: start, last, insns: (first, end), blocks: (0, 0), stop });
            let len = if end > first { region.insns[end - 1].next().0.wrapping_sub(start.0) } else { 1 };
            region.sources.push((start, len));
            // Loop heads: backward targets of conditional branches and jumps of this piece that are not yet here.
            for &i in &region.turns[turns..] {
                let i = &region.insns[i as usize];
                if let Flow::Conditional(to) | Flow::Jump(to) = i.flow()
                    && to <= i.addr()
                    && to.0 + 4096 > i.addr().0
                    && region.insn_at(to).is_none()
                {
                    pending.push(to);
                }
            }
        }
        next = pending.pop();
    }
    split_blocks(&mut region);
    region
}

/// A block begins here; a branch goes back to here.
const HEAD: u8 = 1;
const LOOPED: u8 = 2;

/// What begins at each instruction.
fn marks(region: &Region) -> Vec<u8> {
    let n = region.insns.len();
    let mut marks = vec![0; n];
    let back = |looped: bool| HEAD | if looped { LOOPED } else { 0 };
    for &i in &region.turns {
        let (i, insn) = (i as usize, &region.insns[i as usize]);
        if let Flow::Conditional(to) | Flow::Jump(to) = insn.flow()
            && let Some(t) = region.insn_at(to)
        {
            marks[t] |= back(to <= insn.addr());
        }
        if i + 1 < n && region.insns[i + 1].addr() == insn.next() {
            marks[i + 1] |= HEAD;
        }
    }
    for s in &region.segments {
        let (first, end) = s.insns;
        if first < end {
            marks[first] |= HEAD;
        }
        // A piece that runs into another one makes a head there.
        if let Stop::At(to) = s.stop
            && let Some(t) = region.insn_at(to)
        {
            marks[t] |= back(first < end && to <= s.last);
        }
    }
    marks
}

fn split_blocks(region: &mut Region) {
    let marks = marks(region);
    region.blocks.reserve_exact(marks.iter().filter(|m| **m != 0).count() + 1);
    for s in &mut region.segments {
        let (first, end) = s.insns;
        s.blocks.0 = region.blocks.len();
        if first == end {
            let end = match s.stop {
                Stop::NoFetch(a) | Stop::At(a) => End::NoFetch(a),
                Stop::Flow => End::Fall(s.from),
            };
            region.blocks.push(Block { first, count: 0, addr: s.from, end, loop_head: false, live_in: STATUS });
        }
        let mut at = first;
        while at < end {
            let next = (at + 1..end).find(|&i| marks[i] & HEAD != 0).unwrap_or(end);
            let insn = &region.insns[next - 1];
            let end_kind = match (insn.flow(), s.stop) {
                (Flow::Next, Stop::NoFetch(a)) if next == end => End::NoFetch(a),
                (Flow::Next, _) => End::Fall(insn.next()),
                (flow, _) => End::Flow(flow),
            };
            let loop_head = marks[at] & LOOPED != 0;
            region.blocks.push(Block { first: at, count: next - at, addr: region.insns[at].addr(), end: end_kind, loop_head, live_in: STATUS });
            at = next;
        }
        s.blocks.1 = region.blocks.len();
    }
}
