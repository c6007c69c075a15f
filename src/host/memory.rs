//! Mappings of guest memory on the host: raw mmap, munmap, mprotect, mremap, madvise and System V segments.
//!
//! Every function that replaces or removes what lies at an address refuses ranges of ours ([`super::reserved`]): with that,
//! the caller can only change guest memory, which no Rust reference ever points into.

use super::reserved;
use super::sys::{self, Errno};
use std::ops::Range;

/// mmap flags (the generic Linux values; x86_64 and aarch64 agree on these).
pub mod flags {
    #![allow(missing_docs)] // The names are mmap(2)'s.
    pub const SHARED: u64 = 0x01;
    pub const PRIVATE: u64 = 0x02;
    pub const SHARED_VALIDATE: u64 = 0x03;
    pub const TYPE: u64 = 0x0f;
    pub const FIXED: u64 = 0x10;
    pub const ANONYMOUS: u64 = 0x20;
    pub const GROWSDOWN: u64 = 0x100;
    pub const LOCKED: u64 = 0x2000;
    pub const NORESERVE: u64 = 0x4000;
    pub const POPULATE: u64 = 0x8000;
    pub const STACK: u64 = 0x2_0000;
    pub const HUGETLB: u64 = 0x4_0000;
    pub const FIXED_NOREPLACE: u64 = 0x10_0000;
}

fn ours(start: u64, len: u64) -> Result<(), Errno> {
    if reserved::overlaps(start, len) { Err(Errno(libc::ENOMEM)) } else { Ok(()) }
}

/// mmap(2) that replaces nothing: at exactly `addr`, or EEXIST. Never relies on the kernel knowing MAP_FIXED_NOREPLACE: an
/// address other than the one asked for is given back.
pub fn map_new(addr: u64, len: u64, prot: u64, flags: u64, fd: i32, offset: u64) -> Result<(), Errno> {
    ours(addr, len).map_err(|_| Errno(libc::EEXIST))?;
    let a = [addr, len, prot, (flags & !flags::FIXED) | flags::FIXED_NOREPLACE, fd as u64, offset];
    // SAFETY: the kernel replaces no mapping without MAP_FIXED.
    let got = unsafe { sys::call(libc::SYS_mmap, a) }?;
    if got == addr {
        return Ok(());
    }
    // SAFETY: this mapping was made by the call above and nobody knows of it.
    let _ = unsafe { sys::call(libc::SYS_munmap, [got, len, 0, 0, 0, 0]) };
    Err(Errno(libc::EEXIST))
}

/// Is anything mapped in `range`, by whomever?
pub fn has_mappings(range: Range<u64>) -> bool {
    let len = range.end - range.start;
    match map_new(range.start, len, 0, flags::PRIVATE | flags::ANONYMOUS | flags::NORESERVE, -1, 0) {
        Ok(()) => {
            let _ = unmap(range.start, len);
            false
        }
        // (With RLIMIT_AS it is not known.)
        Err(e) => e == Errno(libc::EEXIST),
    }
}

/// mmap(2) with MAP_FIXED: replaces what the guest has there. ENOMEM if the range holds memory of ours.
pub fn map_over(addr: u64, len: u64, prot: u64, flags: u64, fd: i32, offset: u64) -> Result<(), Errno> {
    ours(addr, len)?;
    let a = [addr, len, prot, (flags & !flags::FIXED_NOREPLACE) | flags::FIXED, fd as u64, offset];
    // SAFETY: the range is none of ours, so it holds guest memory only.
    unsafe { sys::call(libc::SYS_mmap, a) }.map(drop)
}

/// munmap(2).
pub fn unmap(addr: u64, len: u64) -> Result<(), Errno> {
    ours(addr, len)?;
    // SAFETY: none of ours.
    unsafe { sys::call(libc::SYS_munmap, [addr, len, 0, 0, 0, 0]) }.map(drop)
}

/// mprotect(2).
pub fn protect(addr: u64, len: u64, prot: u64) -> Result<(), Errno> {
    ours(addr, len)?;
    // SAFETY: none of ours.
    unsafe { sys::call(libc::SYS_mprotect, [addr, len, prot, 0, 0, 0]) }.map(drop)
}

/// mremap(2) in place: never moves.
pub fn resize(addr: u64, old_len: u64, new_len: u64) -> Result<(), Errno> {
    ours(addr, old_len)?;
    // SAFETY: none of ours; without MREMAP_MAYMOVE the kernel replaces nothing.
    unsafe { sys::call(libc::SYS_mremap, [addr, old_len, new_len, 0, 0, 0]) }.map(drop)
}

/// mremap(2) to exactly `to`, replacing what the guest has there. `flags` may add MREMAP_DONTUNMAP.
pub fn relocate(addr: u64, old_len: u64, new_len: u64, to: u64, flags: u64) -> Result<(), Errno> {
    ours(addr, old_len)?;
    ours(to, new_len)?;
    let flags = flags | (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
    // SAFETY: both ranges are none of ours.
    unsafe { sys::call(libc::SYS_mremap, [addr, old_len, new_len, flags, to, 0]) }.map(drop)
}

/// madvise(2).
pub fn advise(addr: u64, len: u64, advice: u64) -> Result<(), Errno> {
    ours(addr, len)?;
    // SAFETY: none of ours.
    unsafe { sys::call(libc::SYS_madvise, [addr, len, advice, 0, 0, 0]) }.map(drop)
}

/// mlock2(2); mlock(2) where no flag asks for more, because hosts before Linux 4.4, and emulated ones, have only that.
pub fn lock(addr: u64, len: u64, flags: u64) -> Result<(), Errno> {
    let (number, args) = if flags == 0 { (libc::SYS_mlock, [addr, len, 0, 0, 0, 0]) } else { (libc::SYS_mlock2, [addr, len, flags, 0, 0, 0]) };
    // SAFETY: locking changes no contents.
    unsafe { sys::call(number, args) }.map(drop)
}

/// munlock(2).
pub fn unlock(addr: u64, len: u64) -> Result<(), Errno> {
    // SAFETY: unlocking changes no contents.
    unsafe { sys::call(libc::SYS_munlock, [addr, len, 0, 0, 0, 0]) }.map(drop)
}

/// mincore(2): into `pages`, a byte each, whether the pages from `addr` on are in memory (bit 0).
pub fn resident(addr: u64, pages: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: the kernel writes a byte a page.
    unsafe { sys::call(libc::SYS_mincore, [addr, pages.len() as u64 * 4096, pages.as_mut_ptr() as u64, 0, 0, 0]) }.map(drop)
}

/// Size in bytes of System V segment `id`.
pub fn segment_size(id: i32) -> Result<u64, Errno> {
    let mut ds = std::mem::MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: `ds` is large enough for the kernel's struct shmid64_ds, which musl's matches.
    unsafe { sys::call(libc::SYS_shmctl, [id as u64, libc::IPC_STAT as u64, ds.as_mut_ptr() as u64, 0, 0, 0]) }?;
    // SAFETY: zeroed, then filled by the kernel; all fields are integers.
    Ok(unsafe { ds.assume_init() }.shm_segsz as u64)
}

/// shmat(2) at exactly `addr`. Without SHM_REMAP the kernel replaces nothing.
pub fn attach(id: i32, addr: u64, len: u64, flags: u64) -> Result<(), Errno> {
    ours(addr, len)?;
    // SAFETY: none of ours.
    unsafe { sys::call(libc::SYS_shmat, [id as u64, addr, flags, 0, 0, 0]) }.map(drop)
}

/// shmdt(2).
pub fn detach(addr: u64) -> Result<(), Errno> {
    ours(addr, 1)?;
    // SAFETY: none of ours.
    unsafe { sys::call(libc::SYS_shmdt, [addr, 0, 0, 0, 0, 0]) }.map(drop)
}

/// Counters that begin at zero. They take no memory before they are written.
pub fn counters(n: usize) -> Box<[std::sync::atomic::AtomicU8]> {
    let zeros = Box::into_raw(vec![0u8; n].into_boxed_slice());
    // SAFETY: an `AtomicU8` is laid out as a `u8`, and nobody else has this memory.
    unsafe { Box::from_raw(zeros as *mut [std::sync::atomic::AtomicU8]) }
}
