//! Changes to existing mappings: munmap, mprotect, madvise, brk and System V segments, with the kernel's checks and errors.

use super::vma::{Backing, Kind, Vma};
use super::{Inner, Mm, Place, Prot, occupied, release};
use crate::guest::Addr;
use crate::guest::addr::PAGE_SIZE;
use crate::host::memory::{self as host, flags};
use crate::host::sys::Errno;
use std::sync::Arc;

const EINVAL: Errno = Errno(libc::EINVAL);
const ENOMEM: Errno = Errno(libc::ENOMEM);

/// PROT_GROWSDOWN: apply from the start of a stack on.
pub const PROT_GROWSDOWN: u64 = 0x0100_0000;
/// Advice after which the contents may be others.
const DROPPING: [u64; 4] = [libc::MADV_DONTNEED as u64, libc::MADV_FREE as u64, libc::MADV_REMOVE as u64, 24 /* MADV_DONTNEED_LOCKED */];

/// Advice on core files.
const DONTDUMP: u64 = libc::MADV_DONTDUMP as u64;
const DODUMP: u64 = libc::MADV_DODUMP as u64;

pub(super) fn aligned(at: Addr) -> Result<u64, Errno> {
    if at.0 % PAGE_SIZE == 0 { Ok(at.0) } else { Err(EINVAL) }
}

/// `len` rounded up to pages; `wrapped` if that is past the end of the numbers.
pub fn page_len(len: u64, wrapped: Errno) -> Result<u64, Errno> {
    len.checked_next_multiple_of(PAGE_SIZE).ok_or(wrapped)
}

impl Mm {
    /// munmap(2). Only what the guest mapped is unmapped.
    pub fn unmap(&self, at: Addr, len: u64) -> Result<(), Errno> {
        let start = aligned(at)?;
        let len = page_len(len, EINVAL)?;
        if len == 0 {
            return Err(EINVAL);
        }
        self.change(start..start.saturating_add(len), |inner| {
            inner.layout.check(start, len).map_err(|_| EINVAL)?;
            inner.unmap(start, len)
        })
    }

    /// mprotect(2); `prot` is the guest's argument.
    pub fn protect(&self, at: Addr, len: u64, prot: u64) -> Result<(), Errno> {
        let mut start = aligned(at)?;
        if len == 0 {
            return Ok(());
        }
        let end = start.checked_add(page_len(len, ENOMEM)?).ok_or(ENOMEM)?;
        let new = Prot::from_bits_truncate(prot as u8);
        if end <= start {
            return Err(ENOMEM);
        }
        if prot & !(PROT_GROWSDOWN | 0x0200_0000 /* PROT_GROWSUP */ | 8 /* PROT_SEM */ | 7) != 0 || prot & 0x0200_0000 != 0 {
            return Err(EINVAL);
        }
        if prot & PROT_GROWSDOWN != 0 {
            match self.read().areas.find(start) {
                Some((span, Vma { kind: Kind::Stack | Kind::Growing, .. })) => start = span.start,
                _ => return Err(EINVAL),
            }
        }
        self.change(start..end, |inner| inner.protect(start, end, new))?;
        if new.contains(Prot::WRITE) {
            self.view_appeared(start..end);
        }
        Ok(())
    }

    /// madvise(2).
    pub fn advise(&self, at: Addr, len: u64, advice: u64) -> Result<(), Errno> {
        let start = aligned(at)?;
        let len = page_len(len, EINVAL)?;
        let end = start.checked_add(len).ok_or(EINVAL)?;
        // An unknown advice is refused for an empty range too.
        host::advise(start, 0, advice)?;
        let apply = |inner: &Inner| {
            let mut covered = 0;
            for (span, _) in inner.areas.within(start..end) {
                covered += span.end - span.start;
                host::advise(span.start, span.end - span.start, advice)?;
            }
            if covered == len { Ok(()) } else { Err(ENOMEM) }
        };
        match advice {
            DONTDUMP | DODUMP => {
                let mut inner = self.write();
                let result = apply(&inner);
                if matches!(result, Ok(()) | Err(ENOMEM)) {
                    inner.areas.update(start..end, |vma| vma.undumped = advice == DONTDUMP);
                }
                result
            }
            _ if DROPPING.contains(&advice) => self.change(start..end, |inner| apply(inner)),
            _ => apply(&self.read()),
        }
    }

    /// brk(2): the break after the call, changed or not.
    pub fn set_brk(&self, new: Addr) -> Addr {
        let (start, current) = {
            let inner = self.read();
            (inner.brk.start, inner.brk.current)
        };
        if new.0 < start {
            return Addr(current);
        }
        let (old_end, new_end) = (Addr(current).page_up().0, new.page_up().0);
        let affected = if new_end < old_end { new_end..old_end } else { 0..0 };
        self.change(affected, |inner| {
            if new_end < old_end {
                if inner.unmap(new_end, old_end - new_end).is_err() {
                    return Addr(inner.brk.current);
                }
            } else if new_end > old_end {
                let len = new_end - old_end;
                let free = inner.areas.is_free(old_end..new_end) && inner.layout.check(old_end, len).is_ok();
                let allowed = inner.grow_allowed(len) && new.0 - inner.brk.start <= inner.data_limit;
                let how = flags::PRIVATE | flags::ANONYMOUS | flags::NORESERVE;
                let prot = Prot::READ | Prot::WRITE;
                if !free || !allowed || host::map_new(old_end, len, prot.host(), how, -1, 0).is_err() {
                    return Addr(inner.brk.current);
                }
                inner.areas.insert(old_end..new_end, Vma { prot, shared: false, segment: false, undumped: false, kind: Kind::Heap, offset: 0 });
            }
            inner.brk.current = new.0;
            new
        })
    }

    /// Lets the main thread's stack have `limit` bytes (RLIMIT_STACK was raised), as far as nothing lies in the way. A stack is mapped as
    /// large as its limit from the start, and never shrinks.
    pub fn grow_stack(&self, limit: u64) {
        let mut inner = self.write();
        let Some((span, vma)) = inner.areas.iter().filter(|(_, v)| v.kind == Kind::Stack).last() else { return };
        let (span, vma) = (span, vma.clone());
        let below = inner.areas.within(0..span.start).last().map_or(inner.layout.lowest, |(s, _)| s.end);
        let floor = below.saturating_add(super::layout::GUARD_GAP);
        let start = span.end.saturating_sub(limit).next_multiple_of(PAGE_SIZE).max(floor);
        if start < span.start {
            let how = flags::PRIVATE | flags::ANONYMOUS | flags::NORESERVE;
            // Where the host has something the stack stays as it is.
            if host::map_new(start, span.start - start, vma.prot.host(), how, -1, 0).is_ok() {
                inner.areas.insert(start..span.start, vma);
            }
        }
    }

    /// mlockall(2) and munlockall(2) on the guest's areas. `now` and `later`: flags for mlock2, None for "not".
    pub fn lock_all(&self, now: Option<u64>, later: Option<u64>) -> Result<(), Errno> {
        let mut inner = self.write();
        inner.lock_new = later;
        for (span, vma) in inner.areas.iter() {
            match now {
                // Memory that cannot be touched cannot be locked; the kernel skips it too.
                Some(how) if !vma.prot.is_empty() => host::lock(span.start, span.end - span.start, how)?,
                Some(_) => {}
                None if later.is_none() => host::unlock(span.start, span.end - span.start)?,
                None => {}
            }
        }
        Ok(())
    }

    /// shmat(2): the address.
    pub fn attach(&self, id: i32, at: Addr, how: u64) -> Result<Addr, Errno> {
        const RDONLY: u64 = libc::SHM_RDONLY as u64;
        const RND: u64 = libc::SHM_RND as u64;
        const REMAP: u64 = libc::SHM_REMAP as u64;
        const EXEC: u64 = 0o100000;
        let len = page_len(host::segment_size(id)?, EINVAL)?;
        let mut start = at.0;
        if start % PAGE_SIZE != 0 {
            if how & RND == 0 {
                return Err(EINVAL);
            }
            start &= !(PAGE_SIZE - 1);
        }
        if start == 0 && how & REMAP != 0 {
            return Err(EINVAL);
        }
        let affected = if how & REMAP != 0 { start..start.saturating_add(len) } else { 0..0 };
        self.observed();
        let at = self.change(affected, |inner| {
            let host_how = how & (RDONLY | REMAP);
            let exists = |e: Errno| if e == EINVAL { Errno(libc::EEXIST) } else { e };
            let start = if start == 0 {
                // The probe tells a taken address from other reasons of EINVAL.
                let none = flags::PRIVATE | flags::ANONYMOUS | flags::NORESERVE;
                inner.choose(Place::Anywhere, len, 0, |at| {
                    host::map_new(at, len, 0, none, -1, 0)?;
                    host::unmap(at, len)?;
                    host::attach(id, at, len, host_how).map_err(exists)
                })?
            } else {
                inner.layout.check(start, len).map_err(|_| EINVAL)?;
                if how & REMAP == 0 && !inner.areas.is_free(start..start + len) {
                    return Err(EINVAL);
                }
                let gaps = inner.areas.gaps(start..start + len);
                if how & REMAP != 0 {
                    inner.claim(&gaps)?;
                }
                host::attach(id, start, len, host_how).inspect_err(|_| if how & REMAP != 0 { release(&gaps) })?;
                start
            };
            let mut prot = if how & RDONLY != 0 { Prot::READ } else { Prot::READ | Prot::WRITE };
            prot.set(Prot::EXEC, how & EXEC != 0);
            let backing = Backing { dev: 1, inode: id as u64, path: b"/SYSV00000000 (deleted)".to_vec() };
            let kind = Kind::File(Arc::new(backing));
            inner.areas.insert(start..start + len, Vma { prot, shared: true, segment: true, undumped: false, kind, offset: 0 });
            Ok(Addr(start))
        })?;
        self.view_appeared(at.0..at.0 + len);
        Ok(at)
    }

    /// shmdt(2).
    pub fn detach(&self, at: Addr) -> Result<(), Errno> {
        let span = match self.read().areas.find(at.0) {
            Some((span, vma)) if vma.segment && span.start == at.0 && vma.offset == 0 => span,
            _ => return Err(EINVAL),
        };
        self.change(span.clone(), |inner| {
            host::detach(span.start)?;
            inner.areas.remove(span);
            Ok(())
        })
    }
}

impl Inner {
    /// Does RLIMIT_AS allow `more` bytes?
    pub(super) fn grow_allowed(&self, more: u64) -> bool {
        self.limit == u64::MAX || self.areas.total().saturating_add(more) <= self.limit
    }

    pub(super) fn unmap(&mut self, start: u64, len: u64) -> Result<(), Errno> {
        let spans: Vec<_> = self.areas.within(start..start + len).map(|(s, _)| s).collect();
        for span in spans {
            host::unmap(span.start, span.end - span.start).map_err(occupied)?;
            self.areas.remove(span);
        }
        Ok(())
    }

    /// The kernel goes upwards and stops at the first hole or failure: what lies before is changed.
    fn protect(&mut self, start: u64, end: u64, prot: Prot) -> Result<(), Errno> {
        let spans: Vec<_> = self.areas.within(start..end).map(|(s, v)| (s, v.prot)).collect();
        let mut at = start;
        for (span, old) in spans {
            if span.start != at {
                return Err(ENOMEM);
            }
            at = span.end;
            let mut new = prot;
            if self.read_implies_exec && new.contains(Prot::READ) {
                new |= Prot::EXEC;
            }
            if new.host() != old.host() {
                host::protect(span.start, span.end - span.start, new.host())?;
            }
            if new != old {
                self.areas.update(span, |vma| vma.prot = new);
            }
        }
        if at == end { Ok(()) } else { Err(ENOMEM) }
    }
}
