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

/// What [`interruptible`] returns instead of a kernel result: the call was interrupted, or a signal came while it was about to begin; by
/// the guest's SA_RESTART it is restarted, or is EINTR. The kernel's own number for this (ERESTARTSYS), which it never lets out.
pub const RESTART: Errno = Errno(crate::emit::calls::INTERRUPTED);
/// The call was not begun, because a signal is in the inbox: after the signal's frame is built the guest makes the call (ERESTARTNOINTR).
pub const NOT_BEGUN: Errno = Errno(513);

#[cfg(target_arch = "aarch64")]
mod raw {
    std::arch::global_asm!(
        // x0 number, x1 arguments, x2 pending word. Between `check` and `svc` the signal handler moves the pc to an abort label; the
        // kernel, when it restarts a call that our SA_RESTART handler interrupted, has its pc at `svc` too.
        ".globl xemu_call_check, xemu_call_svc, xemu_call_abort, xemu_call_again, xemu_call",
        ".hidden xemu_call_check, xemu_call_svc, xemu_call_abort, xemu_call_again, xemu_call",
        ".p2align 4",
        "xemu_call:",
        "mov x8, x0",
        "mov x9, x1",
        "mov x10, x2",
        "ldp x0, x1, [x9]",
        "ldp x2, x3, [x9, #16]",
        "ldp x4, x5, [x9, #32]",
        "xemu_call_check:",
        "ldr w11, [x10]",
        "cbnz w11, xemu_call_abort",
        "xemu_call_svc:",
        "svc #0",
        "ret",
        "xemu_call_abort:",
        "mov x0, #-513",
        "ret",
        "xemu_call_again:",
        "mov x0, #-512",
        "ret",
    );
    unsafe extern "C" {
        pub fn xemu_call(nr: i64, args: *const [u64; 6], pending: *const std::sync::atomic::AtomicU32) -> i64;
        fn xemu_call_check();
        fn xemu_call_svc();
        fn xemu_call_abort();
        fn xemu_call_again();
    }
    /// Where a signal handler that interrupted `pc` must continue instead, if that is in [`super::interruptible`] or in the arena's stub for calls that wait.
    pub fn abort_pc(pc: u64) -> Option<u64> {
        /// From `xemu_call_check` to `xemu_call_svc`.
        const LENGTH: u64 = 8;
        let at = |f: unsafe extern "C" fn()| f as *const () as u64;
        let check = at(xemu_call_check);
        // Nearly always it is in neither, and this is asked for each signal.
        if pc.wrapping_sub(check) <= LENGTH {
            debug_assert_eq!(at(xemu_call_svc), check + LENGTH);
            return Some(at(if pc == check + LENGTH { xemu_call_again } else { xemu_call_abort }));
        }
        let [from, to] = super::super::arena::CALL_WINDOWS_SPAN.each_ref().map(|a| a.load(std::sync::atomic::Ordering::Relaxed));
        if (from..=to).contains(&pc) { in_stub(pc) } else { None }
    }
    #[cold]
    fn in_stub(pc: u64) -> Option<u64> {
        super::super::arena::CALL_WINDOWS.iter().find_map(|window| {
            let [check, svc, abort, again] = window.each_ref().map(|a| a.load(std::sync::atomic::Ordering::Relaxed));
            (check..=svc).contains(&pc).then_some(if pc == svc { again } else { abort })
        })
    }
}
#[cfg(not(target_arch = "aarch64"))]
mod raw {
    /// Developing hosts: no window is known.
    pub fn abort_pc(_pc: u64) -> Option<u64> {
        None
    }
}
pub(super) use raw::abort_pc;

/// [`call`] for calls that may block: never blocks while a signal waits in this thread's inbox, and says [`RESTART`] or [`NOT_BEGUN`]
/// where a signal was in the way. A signal that comes before the call begins is never overlooked.
///
/// # Safety
/// As [`syscall`].
pub unsafe fn interruptible(nr: i64, a: [u64; 6]) -> Result<u64, Errno> {
    let pending = super::signals::pending_word();
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's contract; the word lives as long as the thread's inbox.
    let result = unsafe { raw::xemu_call(nr, &a, pending) };
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: the caller's contract; the word lives as long as the thread's inbox.
    let result = unsafe { if (*pending).load(std::sync::atomic::Ordering::Acquire) != 0 { -(NOT_BEGUN.0 as i64) } else { syscall(nr, a) } };
    check(result)
}
