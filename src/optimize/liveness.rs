//! Backward liveness of the six status flags over a region, with a look ahead into the code behind its direct exits.
//!
//! At returns and indirect jumps all flags count as live: who runs next is not known.

use crate::decode::{Ahead, Block, CodeSource, End, FlagEffects, Flags, Flow, NO_FLAGS, Region, STATUS, effects_each};
use crate::guest::Addr;

/// How many instructions behind an exit are looked at.
const LOOK_AHEAD: usize = 16;

/// Where look-aheads are noted.
struct Noted<'a> {
    /// [`Region::sources`].
    sources: &'a mut Vec<(Addr, u64)>,
    /// [`Region::ahead`].
    ahead: &'a mut Vec<(Addr, Ahead)>,
}

/// Flags that the code at `at` may read before it overwrites them.
fn live_at(source: &dyn CodeSource, at: Addr, noted: &mut Noted) -> Flags {
    if source.hides(at) {
        return STATUS;
    }
    if let Some(known) = source.ahead(at) {
        noted.sources.extend(known.sources.iter().filter(|s| s.1 != 0));
        return known.live;
    }
    let first = noted.sources.len();
    let live = look(source, at, noted.sources);
    let looked = &noted.sources[first..];
    let mut sources = [(at, 0); 3];
    if let Some(places) = sources.get_mut(..looked.len()) {
        places.copy_from_slice(looked);
        noted.ahead.push((at, Ahead { live, sources }));
    }
    live
}

/// Looks at the code itself. Records what it looked at in `sources`.
fn look(source: &dyn CodeSource, at: Addr, sources: &mut Vec<(Addr, u64)>) -> Flags {
    // None of them is cut off.
    let mut buf = [0u8; 15 * LOOK_AHEAD];
    let mut start = at;
    let (mut open, mut live, mut left) = (STATUS, NO_FLAGS, LOOK_AHEAD);
    loop {
        let have = source.read_code(start, &mut buf);
        let (mut pc, mut next) = (start, None);
        let mut read = None;
        effects_each(source, &buf[..have], start, |flags, flow, behind, slot| {
            read = slot;
            live |= flags.reads & open;
            open &= !flags.kills;
            pc = behind;
            left -= 1;
            match flow {
                Flow::Next => {}
                Flow::Jump(to) | Flow::Call(to) => next = Some(to),
                _ => {
                    live |= open;
                    open = NO_FLAGS;
                }
            }
            next.is_none() && open != NO_FLAGS && left > 0
        });
        sources.push((start, (pc.0 - start.0).max(1)));
        sources.extend(read.map(|slot| (slot, 8)));
        match next {
            Some(to) if open != NO_FLAGS && left > 0 && !source.hides(to) => start = to,
            _ => return live | open,
        }
    }
}

/// No successor inside the region.
const OUTSIDE: usize = usize::MAX;

/// Where a block leads.
#[derive(Clone, Copy)]
struct Ways {
    /// Successors inside the region.
    inside: [usize; 2],
    /// What is live on each of them that leaves the region.
    outside: [Flags; 2],
}

fn ways(region: &Region, block: &Block, source: &dyn CodeSource, noted: &mut Noted) -> Ways {
    let mut ways = Ways { inside: [OUTSIDE; 2], outside: [NO_FLAGS; 2] };
    // Where to by address, and by block if the region has it. A call goes to its target with the flags as they are; its continuation is entered by a return.
    let (first, second) = match block.end {
        End::Fall(to) => ((to, block.behind()), None),
        End::Flow(Flow::Jump(to) | Flow::Call(to)) => ((to, block.target()), None),
        End::Flow(Flow::Conditional(to)) => ((to, block.target()), Some(block.behind())),
        End::Flow(_) | End::NoFetch(_) => {
            ways.outside[0] = STATUS;
            return ways;
        }
    };
    match first {
        (_, Some(t)) => ways.inside[0] = t,
        (to, None) => ways.outside[0] = live_at(source, to, noted),
    }
    match second {
        None => {}
        Some(Some(t)) => ways.inside[1] = t,
        Some(None) => ways.outside[1] = live_at(source, region.insns[block.first + block.count - 1].next(), noted),
    }
    ways
}

/// Sets `Insn::live` and `Block::live_in`.
pub fn liveness(region: &mut Region, source: &dyn CodeSource) {
    let (mut sources, mut ahead) = (std::mem::take(&mut region.sources), std::mem::take(&mut region.ahead));
    ahead.reserve_exact(region.blocks.len());
    let mut noted = Noted { sources: &mut sources, ahead: &mut ahead };
    let all: Vec<Ways> = region.blocks.iter().map(|block| ways(region, block, source, &mut noted)).collect();
    (region.sources, region.ahead) = (sources, ahead);
    for b in &mut region.blocks {
        b.live_in = NO_FLAGS;
    }
    let guarded = !region.guards.is_empty();
    // Without a way back one pass from the end to the start sees every successor before its predecessors.
    let loops = all.iter().enumerate().any(|(b, w)| w.inside.iter().any(|t| *t <= b));
    loop {
        let mut changed = false;
        for (b, ways) in all.iter().enumerate().rev() {
            let block = region.blocks[b];
            let way = |i: usize| if ways.inside[i] == OUTSIDE { ways.outside[i] } else { region.blocks[ways.inside[i]].live_in };
            // Behind a guard there may be other code than this, which reads anything.
            let ways = if guarded { [STATUS; 2] } else { [way(0), way(1)] };
            region.blocks[b].ways = ways;
            let mut live = ways[0] | ways[1];
            for insn in region.insns[block.first..block.first + block.count].iter_mut().rev() {
                insn.live = live;
                let FlagEffects { reads, kills } = insn.flags;
                live = live & !kills | reads;
            }
            if guarded {
                live = STATUS;
            }
            changed |= live != block.live_in;
            region.blocks[b].live_in = live;
        }
        if !changed || !loops {
            break;
        }
    }
}
