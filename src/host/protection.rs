//! Write protection of guest pages that code was translated from.

use super::sys;
use crate::guest::{Addr, addr::PAGE_SIZE};

fn protect(page: Addr, prot: i32) -> bool {
    // SAFETY: guest memory; the guest keeps the access it had but for writes, which the fault handler gives back.
    unsafe { sys::call(libc::SYS_mprotect, [page.0, PAGE_SIZE, prot as u64, 0, 0, 0]) }.is_ok()
}

/// Takes write access from a guest page; false if that failed (the page is gone).
pub fn read_only(page: Addr) -> bool {
    protect(page, libc::PROT_READ)
}

/// Gives a page of the guest's that it may write its write access back.
pub fn writable(page: Addr) -> bool {
    protect(page, libc::PROT_READ | libc::PROT_WRITE)
}
