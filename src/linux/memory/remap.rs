//! mremap(2), with the checks and errors of Linux 6.18 (mm/mremap.c).

use super::change::{aligned, page_len};
use super::vma::{Kind, Vma};
use super::{Inner, Mm, Place, release};
use crate::guest::Addr;
use crate::guest::addr::PAGE_SIZE;
use crate::host::memory::{self as host, flags};
use crate::host::sys::Errno;

const EINVAL: Errno = Errno(libc::EINVAL);
const ENOMEM: Errno = Errno(libc::ENOMEM);
const EFAULT: Errno = Errno(libc::EFAULT);

const MAYMOVE: u64 = libc::MREMAP_MAYMOVE as u64;
const FIXED: u64 = libc::MREMAP_FIXED as u64;
const DONTUNMAP: u64 = 4;

/// A checked request; lengths are whole pages.
struct Remap {
    start: u64,
    old_len: u64,
    new_len: u64,
    /// MREMAP_FIXED: exactly there.
    target: Option<u64>,
    /// A wish for where to move to; 0: none.
    hint: u64,
    may_move: bool,
    /// MREMAP_DONTUNMAP: the old range stays mapped, empty.
    keep: bool,
}

impl Mm {
    /// mremap(2): the new address.
    pub fn remap(&self, old: Addr, old_len: u64, new_len: u64, how: u64, to: Addr) -> Result<Addr, Errno> {
        let start = aligned(old)?;
        let (old_len, new_len) = (page_len(old_len, EINVAL)?, page_len(new_len, EINVAL)?);
        let (may_move, fixed, keep) = (how & MAYMOVE != 0, how & FIXED != 0, how & DONTUNMAP != 0);
        if how & !(MAYMOVE | FIXED | DONTUNMAP) != 0 || (fixed || keep) && !may_move || keep && old_len != new_len || new_len == 0 {
            return Err(EINVAL);
        }
        let layout = self.layout();
        if fixed {
            aligned(to)?;
            layout.check(to.0, new_len).map_err(|_| EINVAL)?;
            if to.0 < start.saturating_add(old_len) && start < to.0 + new_len {
                return Err(EINVAL);
            }
        }
        layout.check(start, old_len.max(1)).map_err(|_| EFAULT)?;
        let request = Remap { start, old_len, new_len, target: fixed.then_some(to.0), hint: to.page().0, may_move, keep };
        // Two ranges change: the target first, then all under the lock with the source.
        if fixed {
            self.change(to.0..to.0 + new_len, |_| ());
        }
        let at = self.change(start..start + old_len.max(PAGE_SIZE), |inner| inner.remap(request))?;
        self.view_appeared(at.0..at.0 + new_len);
        Ok(at)
    }
}

impl Inner {
    fn remap(&mut self, r: Remap) -> Result<Addr, Errno> {
        let (span, vma) = self.areas.find(r.start).ok_or(EFAULT)?;
        let vma = vma.clone();
        // An empty old range duplicates a shared mapping.
        if r.old_len == 0 && !vma.shared {
            return Err(EINVAL);
        }
        let in_place = r.target.is_none() && !r.keep && r.old_len != 0;
        if in_place && r.new_len <= r.old_len {
            // Shrinking never looks at more than the first area.
            self.unmap(r.start + r.new_len, r.old_len - r.new_len)?;
            return Ok(Addr(r.start));
        }
        let kept = r.old_len.min(r.new_len);
        if r.start + kept > span.end {
            return match r.target {
                Some(to) if r.old_len == r.new_len => self.move_areas(&r, to),
                _ => Err(EFAULT),
            };
        }
        if in_place && self.grow(&r, span.end) {
            self.note_moved(r.start, r.start, &vma, span.start, r.new_len);
            return Ok(Addr(r.start));
        }
        if !r.may_move || !self.grow_allowed(r.new_len.saturating_sub(if r.keep { 0 } else { r.old_len })) {
            return Err(ENOMEM);
        }
        self.unmap(r.start + kept, r.old_len - kept)?;
        let how = if r.keep { DONTUNMAP } else { 0 };
        let to = match r.target {
            Some(to) => {
                self.relocate(r.start, kept, r.new_len, to, how)?;
                to
            }
            None => {
                let place = if r.hint != 0 { Place::Hint(Addr(r.hint)) } else { Place::Anywhere };
                let none = flags::PRIVATE | flags::ANONYMOUS | flags::NORESERVE;
                self.choose(place, r.new_len, 0, |at| {
                    host::map_new(at, r.new_len, 0, none, -1, 0)?;
                    host::relocate(r.start, kept, r.new_len, at, how).inspect_err(|_| {
                        let _ = host::unmap(at, r.new_len);
                    })
                })?
            }
        };
        if !r.keep {
            self.areas.remove(r.start..r.start + kept);
        }
        self.note_moved(r.start, to, &vma, span.start, r.new_len);
        Ok(Addr(to))
    }

    /// Grows an area (it ends at `end`) where it is, if there is room.
    fn grow(&self, r: &Remap, end: u64) -> bool {
        let growth = r.start + r.old_len..r.start.saturating_add(r.new_len);
        growth.start == end
            && self.layout.check(r.start, r.new_len).is_ok()
            && self.areas.is_free(growth)
            && self.grow_allowed(r.new_len - r.old_len)
            && host::resize(r.start, r.old_len, r.new_len).is_ok()
    }

    /// Moves several areas at once, holes between them included (Linux 6.17; piece by piece, so older hosts can do it too).
    fn move_areas(&mut self, r: &Remap, to: u64) -> Result<Addr, Errno> {
        let pieces: Vec<_> = self.areas.within(r.start..r.start + r.old_len).map(|(s, v)| (s, v.clone())).collect();
        let how = if r.keep { DONTUNMAP } else { 0 };
        for (span, _) in pieces {
            let Some((whole, vma)) = self.areas.find(span.start) else { continue };
            let (origin, vma) = (whole.start, vma.clone());
            let (len, target) = (span.end - span.start, to + (span.start - r.start));
            self.relocate(span.start, len, len, target, how)?;
            if !r.keep {
                self.areas.remove(span.clone());
            }
            self.note_moved(span.start, target, &vma, origin, len);
        }
        Ok(Addr(to))
    }

    /// Moves on the host, over whatever the guest has at `to`.
    fn relocate(&self, from: u64, old_len: u64, new_len: u64, to: u64, how: u64) -> Result<(), Errno> {
        let gaps = self.areas.gaps(to..to + new_len);
        self.claim(&gaps)?;
        host::relocate(from, old_len, new_len, to, how).inspect_err(|_| release(&gaps))
    }

    /// Records that the area `vma` (its own start is `origin`) now lies from `from` on at `to`, `len` bytes long.
    fn note_moved(&mut self, from: u64, to: u64, vma: &Vma, origin: u64, len: u64) {
        let offset = if matches!(vma.kind, Kind::File(_)) { vma.offset.wrapping_add(from - origin) } else { 0 };
        self.areas.insert(to..to + len, Vma { offset, ..vma.clone() });
    }
}
