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
    if looked.len() <= sources.len() {
        // By itself: a call of memcpy costs more.
        for (place, source) in sources.iter_mut().zip(looked) {
            *place = *source;
        }
        noted.ahead.push((at, Ahead { live, sources }));
    }
    live
}

/// Looks at the code itself. Records what it looked at in `sources`.
fn look(source: &dyn CodeSource, at: Addr, sources: &mut Vec<(Addr, u64)>) -> Flags {
    let mut start = at;
    let (mut open, mut live, mut left) = (STATUS, NO_FLAGS, LOOK_AHEAD);
    loop {
        let (mut pc, mut next) = (start, None);
        let mut read = None;
        effects_each(source, start, |flags, flow, behind, slot| {
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
const OUTSIDE: u8 = u8::MAX;

/// Where a block leads: the blocks of the region on both ways, and what is live on those that leave the region; everything where it is not known who is next.
#[inline(always)]
fn ways(region: &Region, block: &Block, source: &dyn CodeSource, noted: &mut Noted) -> ([u8; 2], [Flags; 2]) {
    let (mut inside, mut outside) = ([OUTSIDE; 2], [NO_FLAGS; 2]);
    // Where to by address, and by block if the region has it. A call goes to its target with the flags as they are; its continuation is entered by a return.
    let (to, first) = match block.end {
        End::Fall(to) => (to, block.behind()),
        End::Flow(Flow::Jump(to) | Flow::Call(to) | Flow::Conditional(to)) => (to, block.target()),
        End::Flow(_) | End::NoFetch(_) => return (inside, [STATUS, NO_FLAGS]),
    };
    match first {
        Some(t) => inside[0] = t as u8,
        None => outside[0] = live_at(source, to, noted),
    }
    if let End::Flow(Flow::Conditional(_)) = block.end {
        match block.behind() {
            Some(t) => inside[1] = t as u8,
            None => outside[1] = live_at(source, region.insns[block.first + block.count - 1].next(), noted),
        }
    }
    (inside, outside)
}

/// Sets `Insn::live` and `Block::live_in`.
pub fn liveness(region: &mut Region, source: &dyn CodeSource) {
    let (mut sources, mut ahead) = (std::mem::take(&mut region.sources), std::mem::take(&mut region.ahead));
    ahead.reserve_exact(region.blocks.len());
    let mut noted = Noted { sources: &mut sources, ahead: &mut ahead };
    // A region has fewer blocks.
    let mut inside = [[OUTSIDE; 2]; OUTSIDE as usize + 1];
    // Without a way back one pass from the end to the start sees every successor before its predecessors.
    let mut loops = false;
    for b in 0..region.blocks.len() {
        let (within, without) = ways(region, &region.blocks[b], source, &mut noted);
        inside[b] = within;
        loops |= usize::from(within[0]) <= b || usize::from(within[1]) <= b;
        (region.blocks[b].ways, region.blocks[b].live_in) = (without, NO_FLAGS);
    }
    (region.sources, region.ahead) = (sources, ahead);
    let guarded = !region.guards.is_empty();
    loop {
        let mut changed = false;
        for b in (0..region.blocks.len()).rev() {
            let (block, within) = (&region.blocks[b], inside[b]);
            let way = |i: usize| if within[i] == OUTSIDE { block.ways[i] } else { region.blocks[usize::from(within[i])].live_in };
            // Behind a guard there may be other code than this, which reads anything.
            let ways = if guarded { [STATUS; 2] } else { [way(0), way(1)] };
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
            let block = &mut region.blocks[b];
            (block.ways, block.live_in) = (ways, live);
        }
        if !changed || !loops {
            break;
        }
    }
}
