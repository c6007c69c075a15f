//! In which order the pieces of a region are emitted. They are decoded from the entry on, loop heads that lie before it later: so the turn of a loop
//! often ends in a later piece, in front of an earlier one. Where one piece goes on in another, that is put behind it and no branch is needed.

use crate::decode::{End, Flow, Region};
use std::ops::Range;

/// Where the last block of a piece goes if nothing branches.
fn follower(region: &Region, last: usize) -> Option<usize> {
    let block = &region.blocks[last];
    match block.end {
        End::Fall(_) | End::Flow(Flow::Conditional(_) | Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) => block.behind(),
        End::Flow(Flow::Jump(_)) => block.target(),
        End::Flow(_) | End::NoFetch(_) => None,
    }
}

/// As many pieces as a region may have ([`Limits::segments`](crate::decode::Limits)).
const MOST: usize = 8;
/// No piece.
const NONE: usize = usize::MAX;

/// Ranges of blocks in the order of emission; none if that is the order in which they are.
pub(super) fn order(region: &Region) -> Option<Vec<Range<usize>>> {
    let mut pieces = [const { 0..0 }; MOST];
    let mut n = 0;
    for piece in region.pieces() {
        *pieces.get_mut(n)? = piece;
        n += 1;
    }
    if n < 2 {
        return None;
    }
    let pieces = &pieces[..n];
    // By piece: which one it goes on in, if it is one's start.
    let mut wishes = [NONE; MOST];
    for (p, piece) in pieces.iter().enumerate() {
        if let Some(b) = follower(region, piece.end - 1) {
            wishes[p] = pieces.iter().position(|q| q.start == b).filter(|q| *q != p).unwrap_or(NONE);
        }
    }
    if (0..n).all(|p| matches!(wishes[p], NONE) || wishes[p] == p + 1) {
        return None;
    }
    let mut by_weight: [usize; MOST] = std::array::from_fn(|p| p);
    if (1..n).any(|p| wishes[p] != NONE && wishes[..p].contains(&wishes[p])) {
        // What a loop goes round by counts most.
        let weights = super::uppers::block_weights(region);
        by_weight[..n].sort_by_key(|p| std::cmp::Reverse(weights[pieces[*p].end - 1]));
    }
    // Which one follows, and whether it follows one.
    let (mut next, mut follows) = ([NONE; MOST], [false; MOST]);
    for &p in by_weight[..n].iter().filter(|p| wishes[**p] != NONE) {
        let q = wishes[p];
        let mut end = q;
        while next[end] != NONE {
            end = next[end];
        }
        if !follows[q] && end != p {
            (next[p], follows[q]) = (q, true);
        }
    }
    // The one that the region begins with comes first, behind what goes on in it.
    let mut start = 0;
    while let Some(before) = next[..n].iter().position(|q| *q == start) {
        start = before;
    }
    let mut list = Vec::with_capacity(n);
    for first in std::iter::once(start).chain((0..n).filter(|p| *p != start && !follows[*p])) {
        let mut piece = first;
        while piece != NONE {
            list.push(pieces[piece].clone());
            piece = next[piece];
        }
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{CodeAt, Limits, decode_region};
    use crate::guest::Addr;

    fn order_from(code: &[u8], entry: u64) -> Vec<u64> {
        let region = decode_region(&CodeAt(Addr(0x1000), code), Addr(entry), Limits::default());
        let order = order(&region).unwrap_or_else(|| region.pieces().collect());
        let mut blocks: Vec<usize> = order.iter().cloned().flatten().collect();
        blocks.sort_unstable();
        assert_eq!(blocks, (0..region.blocks.len()).collect::<Vec<_>>(), "each block once");
        order.iter().map(|r| region.blocks[r.start].addr.0).collect()
    }

    #[test]
    fn a_loops_first_half_stands_before_the_entry() {
        // inc eax; entry: dec ecx; jne to the start; ret.
        assert_eq!(order_from(&[0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa, 0xc3], 0x1002), [0x1000, 0x1002]);
        // The same entered at the start: one piece.
        assert_eq!(order_from(&[0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa, 0xc3], 0x1000), [0x1000]);
    }

    #[test]
    fn jumps_back_are_followed_as_before() {
        // inc eax; jmp rcx; entry: dec eax; jmp to the start.
        assert_eq!(order_from(&[0xff, 0xc0, 0xff, 0xe1, 0xff, 0xc8, 0xeb, 0xf8], 0x1004), [0x1004, 0x1000]);
    }
}
