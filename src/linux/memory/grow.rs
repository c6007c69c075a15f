//! Areas that grow downwards (MAP_GROWSDOWN): an access just below one makes it longer (expand_downwards() of the kernel's mm/vma.c).
//!
//! Only what guest code itself accesses makes one grow; addresses that it hands to system calls must be there.

use super::layout::GUARD_GAP;
use super::vma::{Kind, Span, VmaMap};
use super::{Inner, Mm, Place, Prot, Request};
use crate::guest::Addr;
use crate::guest::addr::PAGE_SIZE;

/// What would have to be mapped for an access at `at`, and how; none if nothing grows there. `most`: bytes that a stack may have.
fn growth(areas: &VmaMap, at: u64, most: u64) -> Option<(Span, Prot)> {
    let page = at & !(PAGE_SIZE - 1);
    let (below, above) = areas.around(page);
    let (above, vma) = above.filter(|(_, vma)| vma.kind == Kind::Growing)?;
    let near = |(span, vma): (Span, &super::vma::Vma)| vma.kind != Kind::Growing && !vma.prot.is_empty() && page - span.end < GUARD_GAP;
    (!below.is_some_and(near) && above.end - page <= most).then_some((page..above.start, vma.prot))
}

impl Mm {
    /// There was nothing at `at` when guest code accessed it: may it try again? `most` is RLIMIT_STACK.
    pub fn grow_down(&self, at: Addr, most: u64) -> bool {
        let Some((span, _)) = growth(&self.read().areas, at.0, most) else { return self.grew(at) };
        let grow = |inner: &mut Inner| {
            let (span, prot) = growth(&inner.areas, at.0, most)?;
            let request = Request::anonymous(Place::New(Addr(span.start)), span.end - span.start, prot, Kind::Growing);
            inner.map(&request, Kind::Growing).ok()
        };
        self.change(span, grow).is_some() || self.grew(at)
    }

    /// Did another thread's access make an area grow to `at` meanwhile?
    fn grew(&self, at: Addr) -> bool {
        self.read().areas.find(at.0).is_some_and(|(_, vma)| vma.kind == Kind::Growing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::vma::Vma;
    use super::*;

    #[test]
    fn what_grows_and_what_is_too_near() {
        let area = |kind: Kind, prot: Prot| Vma { prot, shared: false, segment: false, undumped: false, kind, offset: 0 };
        let mut areas = VmaMap::default();
        areas.insert(0x50_0000..0x51_0000, area(Kind::Growing, Prot::READ | Prot::WRITE));
        assert_eq!(growth(&areas, 0x4f_fff8, u64::MAX), Some((0x4f_f000..0x50_0000, Prot::READ | Prot::WRITE)));
        assert_eq!(growth(&areas, 0x10_0123, u64::MAX).map(|g| g.0), Some(0x10_0000..0x50_0000));
        assert_eq!(growth(&areas, 0x4f_fff8, 0x1_0000), None, "more than a stack may have");
        assert_eq!(growth(&areas, 0x51_0000, u64::MAX), None, "above it");
        assert_eq!(growth(&areas, 0x50_0000, u64::MAX), None, "in it");
        areas.insert(0x30_0000..0x30_1000, area(Kind::Anonymous, Prot::READ));
        assert_eq!(growth(&areas, 0x40_0fff, u64::MAX), None, "near to what is below");
        assert_eq!(growth(&areas, 0x40_1000, u64::MAX).map(|g| g.0), Some(0x40_1000..0x50_0000));
        areas.insert(0x30_0000..0x30_1000, area(Kind::Anonymous, Prot::empty()));
        assert_eq!(growth(&areas, 0x30_1000, u64::MAX).map(|g| g.0), Some(0x30_1000..0x50_0000), "which nobody can access");
        areas.insert(0x4f_0000..0x4f_1000, area(Kind::Anonymous, Prot::READ));
        assert_eq!(growth(&areas, 0x40_1000, u64::MAX), None, "another area lies between");
    }
}
