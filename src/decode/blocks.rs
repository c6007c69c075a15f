//! Basic blocks of a region: where they begin, how they end, and which follow which.

use super::insn::Flow;
use super::loops::keep_loops;
use super::region::{Block, End, OUTSIDE, Region, Segment, Stop};

/// `Insn::begins`: a block begins here.
const HEAD: u8 = 1;
/// A branch goes back to here.
const LOOPED: u8 = 2;

/// Marks where blocks begin; returns whether a branch goes back. Sets [`Region::targets`].
fn mark_heads(region: &mut Region) -> bool {
    let n = region.insns.len();
    let mut loops = false;
    let (turns, mut targets) = (std::mem::take(&mut region.turns), std::mem::take(&mut region.targets));
    for &i in &turns {
        let (i, insn) = (i as usize, &region.insns[i as usize]);
        let (target, head, back) = match insn.flow() {
            Flow::Conditional(to) | Flow::Jump(to) => (region.insn_at(to), HEAD, to <= insn.addr()),
            // A call does not make a head of where it goes.
            Flow::Call(to) => (region.insn_at(to), 0, false),
            _ => (None, 0, false),
        };
        if let Some(t) = target {
            region.insns[t].begins |= if back { HEAD | LOOPED } else { head };
            loops |= back;
        }
        targets.push(target.map_or(OUTSIDE, |t| t as u32));
        // Behind the last one of a piece another piece begins, or nothing.
        if i + 1 < n {
            region.insns[i + 1].begins |= HEAD;
        }
    }
    (region.turns, region.targets) = (turns, targets);
    for k in 0..region.segments.len() {
        let Segment { insns: (first, end), last, stop, .. } = region.segments[k];
        if first < end {
            region.insns[first].begins |= HEAD;
        }
        // A piece that runs into another one makes a head there.
        if let Stop::At(to) = stop
            && let Some(t) = region.insn_at(to)
        {
            let back = first < end && to <= last;
            region.insns[t].begins |= if back { HEAD | LOOPED } else { HEAD };
            loops |= back;
        }
    }
    loops
}

/// Makes the region's blocks.
pub(super) fn split(region: &mut Region) {
    let loops = mark_heads(region);
    let mut turns = region.targets.iter();
    for s in &mut region.segments {
        let (first, end) = s.insns;
        s.blocks.0 = region.blocks.len();
        if first == end {
            let end = match s.stop {
                Stop::NoFetch(a) | Stop::At(a) => End::NoFetch(a),
                Stop::Flow => End::Fall(s.from),
            };
            region.blocks.push(Block::new(first, 0, s.from, end));
        }
        let mut at = first;
        while at < end {
            let rest = &mut region.insns[at..end];
            rest[0].block = region.blocks.len() as u8;
            let count = 1 + rest[1..].iter().position(|i| i.begins != 0).unwrap_or(rest.len() - 1);
            let insn = &rest[count - 1];
            let end_kind = match (insn.flow(), s.stop) {
                (Flow::Next, Stop::NoFetch(a)) if count == rest.len() => End::NoFetch(a),
                (Flow::Next, _) => End::Fall(insn.next()),
                (flow, _) => End::Flow(flow),
            };
            let mut block = Block::new(at, count, rest[0].addr(), end_kind);
            block.loop_head = rest[0].begins & LOOPED != 0;
            if let End::Flow(_) = end_kind
                && let Some(&target) = turns.next()
            {
                // The instruction; the block is not known yet.
                block.to = target;
            }
            region.blocks.push(block);
            at += count;
        }
        s.blocks.1 = region.blocks.len();
    }
    connect(region);
    if loops {
        keep_loops(region);
    }
}

/// Which blocks follow which.
fn connect(region: &mut Region) {
    let at = |region: &Region, insn: usize| match &region.insns[insn] {
        head if head.begins != 0 => head.block.into(),
        _ => OUTSIDE,
    };
    for b in 0..region.blocks.len() {
        let block = &region.blocks[b];
        let to = if block.to == OUTSIDE { OUTSIDE } else { at(region, block.to as usize) };
        let next = match block.end {
            End::Fall(to) => Some(to),
            End::Flow(Flow::Conditional(_) | Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) => Some(region.insns[block.first + block.count - 1].next()),
            _ => None,
        };
        let next = next.map_or(OUTSIDE, |next| match region.blocks.get(b + 1) {
            Some(follows) if follows.addr == next => b as u32 + 1,
            _ => region.insn_at(next).map_or(OUTSIDE, |i| at(region, i)),
        });
        (region.blocks[b].to, region.blocks[b].next) = (to, next);
    }
}
