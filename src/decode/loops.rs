//! Which blocks that a branch goes back to must look for signals.
//!
//! Code must not run for ever without looking (`Ctx::poll`), or without a place where it can be stopped (`engine::halt`, which takes exits back): these are the same.
//! An exit to lower addresses looks, and an indirect jump and a return that was not predicted ask a
//! table that is empty while somebody waits. So every cycle looks somewhere if all backward branches inside a region do, but those from whose targets no way leads
//! to themselves or to a direct exit: compilers merge the ends of functions and of an interpreter's handlers, and the jumps to these often go back. (A cycle with
//! calls and returns has a backward branch in the activation that outlasts it, which one to a return is not; calls without returns fill the shadow stack, and look there.)

use super::Region;
use super::insn::Flow;
use super::region::End;

/// A bit for each block.
type Set = u128;

/// Leaves [`Block::loop_head`](super::Block) to the blocks that must look.
pub(super) fn keep_loops(region: &mut Region) {
    // Few regions have that many, and they look more often than they must.
    if region.blocks.len() > Set::BITS as usize {
        return;
    }
    for b in 0..region.blocks.len() {
        if region.blocks[b].loop_head && !may_go_on(region, b) {
            region.blocks[b].loop_head = false;
        }
    }
}

/// Does a way lead from the block's start to itself, or out of the region by a known address?
fn may_go_on(region: &Region, from: usize) -> bool {
    let (mut seen, mut left): (Set, Set) = (0, 1 << from);
    while left != 0 {
        let b = left.trailing_zeros() as usize;
        left &= left - 1;
        seen |= 1 << b;
        let block = &region.blocks[b];
        let ways = match block.end {
            End::Flow(Flow::Jump(_)) => [Some(block.target()), None],
            End::Flow(Flow::Conditional(_)) => [Some(block.target()), Some(block.behind())],
            // What is called comes back by a return.
            End::Fall(_) | End::Flow(Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) => [Some(block.behind()), None],
            End::Flow(Flow::Next | Flow::JumpIndirect | Flow::Return | Flow::Stop) | End::NoFetch(_) => [None, None],
        };
        for way in ways.into_iter().flatten() {
            match way {
                Some(to) if to != from => left |= (1 << to) & !seen,
                _ => return true,
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::decode::{CodeAt, Limits, decode_region};
    use crate::guest::Addr;

    /// Addresses of the blocks that look.
    fn heads(code: &[u8], entry: u64) -> Vec<u64> {
        let region = decode_region(&CodeAt(Addr(0x1000), code), Addr(entry), Limits::default());
        region.blocks.iter().filter(|b| b.loop_head).map(|b| b.addr.0).collect()
    }

    #[test]
    fn jumps_back_to_an_end_do_not_look() {
        // inc eax; jmp rcx; entry: dec eax; jmp to the start.
        assert_eq!(heads(&[0xff, 0xc0, 0xff, 0xe1, 0xff, 0xc8, 0xeb, 0xf8], 0x1004), [0u64; 0]);
        // The same with ret; with a direct exit behind a condition: je to 0x1100.
        assert_eq!(heads(&[0xff, 0xc0, 0xc3, 0x90, 0xff, 0xc8, 0xeb, 0xf8], 0x1004), [0u64; 0]);
        assert_eq!(heads(&[0x0f, 0x84, 0xfa, 0, 0, 0, 0xc3, 0xff, 0xc8, 0xeb, 0xf5], 0x1007), [0x1000]);
    }

    #[test]
    fn loops_look() {
        // inc eax; jne to the start; ret.
        assert_eq!(heads(&[0xff, 0xc0, 0x75, 0xfc, 0xc3], 0x1000), [0x1000]);
        // jmp to itself.
        assert_eq!(heads(&[0xeb, 0xfe], 0x1000), [0x1000]);
        // A loop through two pieces: the entry jumps back to code that jumps forward to it again.
        assert_eq!(heads(&[0xff, 0xc0, 0xeb, 0x02, 0x90, 0x90, 0xff, 0xc8, 0xeb, 0xf6], 0x1006), [0x1000]);
        // A call on the way: call 0x1100; jmp to the start.
        assert_eq!(heads(&[0xe8, 0xfb, 0, 0, 0, 0xeb, 0xf9], 0x1000), [0x1000]);
    }
}
