//! Backward liveness of the six status flags over a region, with a look ahead into the code behind its direct exits.
//!
//! At returns and indirect jumps all flags count as live: who runs next is not known.

use crate::decode::{CodeSource, End, FlagEffects, Flow, NO_FLAGS, Region, STATUS, decode_each};
use crate::guest::Addr;

/// How many instructions behind an exit are looked at.
const LOOK_AHEAD: usize = 6;

/// Flags that the code at `at` may read before it overwrites them. Records what it looked at in `sources`.
fn live_at(source: &dyn CodeSource, at: Addr, sources: &mut Vec<(Addr, u64)>) -> u8 {
    let mut buf = [0u8; 32];
    let mut start = at;
    let (mut open, mut live, mut left) = (STATUS, NO_FLAGS, LOOK_AHEAD);
    loop {
        let have = source.read_code(start, &mut buf);
        let (mut pc, mut next) = (start, None);
        decode_each(&buf[..have], start, |insn| {
            live |= insn.flags.reads & open;
            open &= !insn.flags.kills;
            pc = insn.next();
            left -= 1;
            match insn.flow() {
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
        match next {
            Some(to) if open != NO_FLAGS && left > 0 => start = to,
            _ => return live | open,
        }
    }
}

/// Sets `Insn::live` and `Block::live_in`.
pub fn liveness(region: &mut Region, source: &dyn CodeSource) {
    let n = region.blocks.len();
    // Successors inside the region, and what the exits make live.
    let mut inside: Vec<[usize; 2]> = vec![[usize::MAX; 2]; n];
    let mut outside = vec![NO_FLAGS; n];
    let mut sources = std::mem::take(&mut region.sources);
    for b in 0..n {
        let block = region.blocks[b];
        let next = if block.count > 0 { region.insns[block.first + block.count - 1].next() } else { block.addr };
        let targets: [Option<Addr>; 2] = match block.end {
            End::Fall(to) | End::Flow(Flow::Jump(to)) => [Some(to), None],
            End::Flow(Flow::Conditional(to)) => [Some(to), Some(next)],
            // A call goes to its target with the flags as they are; its continuation is entered by a return.
            End::Flow(Flow::Call(to)) => [Some(to), None],
            End::Flow(_) | End::NoFetch(_) => {
                outside[b] = STATUS;
                [None, None]
            }
        };
        for (k, to) in targets.into_iter().flatten().enumerate() {
            match region.block_at(to) {
                Some(t) => inside[b][k] = t,
                None => outside[b] |= live_at(source, to, &mut sources),
            }
        }
    }
    region.sources = sources;
    for b in &mut region.blocks {
        b.live_in = NO_FLAGS;
    }
    loop {
        let mut changed = false;
        for b in (0..n).rev() {
            let block = region.blocks[b];
            let mut live = outside[b];
            for t in inside[b] {
                if t != usize::MAX {
                    live |= region.blocks[t].live_in;
                }
            }
            for insn in region.insns[block.first..block.first + block.count].iter_mut().rev() {
                insn.live = live;
                let FlagEffects { reads, kills } = insn.flags;
                live = live & !kills | reads;
            }
            changed |= live != block.live_in;
            region.blocks[b].live_in = live;
        }
        if !changed {
            break;
        }
    }
}
