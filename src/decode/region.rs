//! Regions: the unit of translation. From an entry, straight on over conditional branches and calls, back to loop heads;
//! forward branch targets are left to be translated when they run.

use super::insn::{Flow, Insn};
use super::{Flags, STATUS};
use crate::guest::Addr;
use iced_x86::{Decoder, DecoderError, DecoderOptions};

/// Where guest code comes from.
pub trait CodeSource {
    /// Copies executable guest bytes at `at`, and returns how many there are (0: not mapped or not executable).
    fn read_code(&self, at: Addr, buf: &mut [u8]) -> usize;
    /// Is there a translation that begins at `at`? A region ends in front of it, rather than hold the same code again.
    fn is_translated(&self, _at: Addr) -> bool {
        false
    }
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

/// A region.
#[derive(Clone, Debug, Default)]
pub struct Region {
    /// All instructions, segment by segment.
    pub insns: Vec<Insn>,
    /// All blocks, in the order of instructions. The first is the entry.
    pub blocks: Vec<Block>,
    /// Guest byte ranges that the translation depends on: start and length.
    pub sources: Vec<(Addr, u64)>,
    segments: Vec<(usize, usize)>,
}

impl Region {
    /// One without instructions, which ends like that.
    pub fn empty(at: Addr, end: End) -> Region {
        Region { blocks: vec![Block { first: 0, count: 0, addr: at, end, loop_head: false, live_in: STATUS }], ..Region::default() }
    }
    /// Index of the block that starts at `addr`.
    pub fn block_at(&self, addr: Addr) -> Option<usize> {
        self.blocks.iter().position(|b| b.addr == addr)
    }
    fn insn_at(&self, addr: Addr) -> Option<usize> {
        for &(first, end) in &self.segments {
            let s = &self.insns[first..end];
            if let (Some(a), Some(b)) = (s.first(), s.last())
                && a.addr() <= addr
                && addr <= b.addr()
            {
                return s.binary_search_by_key(&addr, |i| i.addr()).ok().map(|i| first + i);
            }
        }
        None
    }
}

const OPTIONS: u32 = DecoderOptions::AMD;

/// Decodes one instruction of `bytes` at `addr`: `None` if the bytes end before it does.
pub fn decode_one(bytes: &[u8], addr: Addr) -> Option<Insn> {
    let mut d = Decoder::with_ip(64, bytes, addr.0, OPTIONS);
    let raw = d.decode();
    (d.last_error() != DecoderError::NoMoreBytes || bytes.len() >= 15).then(|| Insn::new(raw))
}

/// Decodes `bytes` at `addr` one instruction after the other, as long as `each` wants more and bytes last.
pub fn decode_each(bytes: &[u8], addr: Addr, mut each: impl FnMut(Insn) -> bool) {
    let mut d = Decoder::with_ip(64, bytes, addr.0, OPTIONS);
    while d.can_decode() {
        let raw = d.decode();
        if d.last_error() == DecoderError::NoMoreBytes || !each(Insn::new(raw)) {
            break;
        }
    }
}

/// How a straight piece ended.
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
        let mut d = Decoder::with_ip(64, &buf[..have], at.0, OPTIONS);
        loop {
            if region.insns.len() >= limits.insns || joins && source.is_translated(at) || !alone && at != start && region.insn_at(at).is_some() {
                return Stop::At(at);
            }
            let raw = d.decode();
            let left = have - (at.0 - window.0) as usize;
            // With 15 bytes at hand "no more bytes" means a too long instruction, which is #UD.
            if d.last_error() == DecoderError::NoMoreBytes && left < 15 {
                if at == window {
                    return Stop::NoFetch(at.plus(have as u64));
                }
                break;
            }
            let insn = Insn::new(raw);
            at = insn.next();
            region.insns.push(insn);
            let flow = insn.flow();
            joins = flow != Flow::Next;
            if !matches!(flow, Flow::Next | Flow::Conditional(_) | Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) {
                return Stop::Flow;
            }
            if limits.short && (joins || insn.may_store()) {
                return Stop::At(at);
            }
        }
    }
}

/// Builds the region that starts at `entry`.
pub fn decode_region(source: &dyn CodeSource, entry: Addr, limits: Limits) -> Region {
    let mut region = Region { insns: Vec::with_capacity(limits.insns), blocks: Vec::with_capacity(32), ..Region::default() };
    let mut pending = vec![entry];
    let mut ends: Vec<(usize, Stop)> = Vec::new();
    while let Some(start) = pending.pop() {
        if region.insn_at(start).is_some() || region.segments.len() >= limits.segments || (region.insns.len() >= limits.insns && !region.insns.is_empty()) {
            continue;
        }
        let first = region.insns.len();
        // The segment under way must be findable: a sweep that meets itself would decode for ever otherwise only by wrapping round.
        let stop = sweep(source, start, limits, &mut region);
        let end = region.insns.len();
        region.segments.push((first, end));
        if end > first {
            let (a, b) = (region.insns[first].addr(), region.insns[end - 1].next());
            region.sources.push((a, b.0.wrapping_sub(a.0)));
        } else {
            region.sources.push((start, 1));
        }
        ends.push((start.0 as usize, stop));
        // Loop heads: backward targets of conditional branches and jumps of this piece that are not yet here.
        for i in &region.insns[first..end] {
            if let Flow::Conditional(to) | Flow::Jump(to) = i.flow()
                && to <= i.addr()
                && to.0 + 4096 > i.addr().0
                && region.insn_at(to).is_none()
            {
                pending.push(to);
            }
        }
    }
    split_blocks(&mut region, &ends);
    region
}

fn split_blocks(region: &mut Region, ends: &[(usize, Stop)]) {
    let n = region.insns.len();
    let mut head = vec![false; n];
    let mut looped = vec![false; n];
    for &(first, end) in &region.segments {
        if first < end {
            head[first] = true;
        }
    }
    for i in 0..n {
        let insn = &region.insns[i];
        let flow = insn.flow();
        if let Flow::Conditional(to) | Flow::Jump(to) = flow
            && let Some(t) = region.insn_at(to)
        {
            head[t] = true;
            looped[t] |= to <= insn.addr();
        }
        if flow != Flow::Next && i + 1 < n && region.insns[i + 1].addr() == insn.next() {
            head[i + 1] = true;
        }
    }
    for (s, &(first, end)) in region.segments.iter().enumerate() {
        // A piece that runs into another one makes a head there.
        if let Stop::At(to) = ends[s].1
            && let Some(t) = region.insn_at(to)
        {
            head[t] = true;
            if first < end {
                looped[t] |= to <= region.insns[end - 1].addr();
            }
        }
    }
    for (s, &(first, end)) in region.segments.iter().enumerate() {
        let stop = &ends[s].1;
        if first == end {
            let addr = Addr(ends[s].0 as u64);
            let end = match stop {
                Stop::NoFetch(a) | Stop::At(a) => End::NoFetch(*a),
                Stop::Flow => End::Fall(addr),
            };
            region.blocks.push(Block { first, count: 0, addr, end, loop_head: false, live_in: STATUS });
            continue;
        }
        let mut at = first;
        while at < end {
            let mut last = at;
            while last + 1 < end && !head[last + 1] {
                last += 1;
            }
            let insn = &region.insns[last];
            let end_kind = match insn.flow() {
                Flow::Next if last + 1 == end => match stop {
                    Stop::NoFetch(a) => End::NoFetch(*a),
                    _ => End::Fall(insn.next()),
                },
                Flow::Next => End::Fall(insn.next()),
                flow => End::Flow(flow),
            };
            region.blocks.push(Block { first: at, count: last + 1 - at, addr: region.insns[at].addr(), end: end_kind, loop_head: looped[at], live_in: STATUS });
            at = last + 1;
        }
    }
}
