//! Signals of the guest. None is delivered yet: these calls answer ENOSYS.

use super::Result;
use crate::host::sys::Errno;
use crate::linux::task::Task;

const ENOSYS: Errno = Errno(libc::ENOSYS);

/// rt_sigaction(2).
pub fn rt_sigaction(_: &mut Task, _: [u64; 6]) -> Result {
    Err(ENOSYS)
}

/// rt_sigprocmask(2).
pub fn rt_sigprocmask(_: &mut Task, _: [u64; 6]) -> Result {
    Err(ENOSYS)
}

/// rt_sigreturn(2).
pub fn rt_sigreturn(_: &mut Task, _: [u64; 6]) -> Result {
    Err(ENOSYS)
}

/// rt_sigpending(2).
pub fn rt_sigpending(_: &mut Task, _: [u64; 6]) -> Result {
    Err(ENOSYS)
}

/// rt_sigtimedwait(2).
pub fn rt_sigtimedwait(_: &mut Task, _: [u64; 6]) -> Result {
    Err(ENOSYS)
}

/// rt_sigsuspend(2).
pub fn rt_sigsuspend(_: &mut Task, _: [u64; 6]) -> Result {
    Err(ENOSYS)
}

/// sigaltstack(2).
pub fn sigaltstack(_: &mut Task, _: [u64; 6]) -> Result {
    Err(ENOSYS)
}
