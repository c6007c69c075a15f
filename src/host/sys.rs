//! Raw system calls of the host kernel: no libc, no errno, no TLS, so they can be used in signal handlers and in threads
//! that libc does not know.

/// A negative kernel result, as a positive Linux errno (1 to 4095). The numbers are the same on x86_64 and aarch64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(pub i32);

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self)
    }
}
impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

/// Splits a kernel return value into value and errno.
pub fn check(ret: i64) -> Result<u64, Errno> {
    if (-4095..0).contains(&ret) { Err(Errno(-ret as i32)) } else { Ok(ret as u64) }
}

/// Makes system call `nr` (host numbering) with up to six arguments.
///
/// # Safety
/// The call must be sound for the kernel to carry out: pointers valid for what it reads and writes, and no mapping of ours changed.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub unsafe fn syscall(nr: i64, a: [u64; 6]) -> i64 {
    let ret: i64;
    // SAFETY: the caller's contract; the kernel preserves all registers but x0.
    unsafe {
        std::arch::asm!("svc #0", in("x8") nr, inlateout("x0") a[0] => ret, in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    ret
}

/// The same on the developing host (x86_64), for tests of code that is not translation.
///
/// # Safety
/// As above.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn syscall(nr: i64, a: [u64; 6]) -> i64 {
    let ret: i64;
    // SAFETY: the caller's contract; the kernel clobbers rcx and r11.
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") nr => ret, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    ret
}

/// [`syscall`] with its result split.
///
/// # Safety
/// As [`syscall`].
#[inline(always)]
pub unsafe fn call(nr: i64, a: [u64; 6]) -> Result<u64, Errno> {
    // SAFETY: the caller's contract.
    check(unsafe { syscall(nr, a) })
}
