//! Which of the host's processors runs us.

use super::sys;

/// Processor and node numbers, as getcpu(2) tells them.
pub fn current() -> (u32, u32) {
    let (mut cpu, mut node) = (0u32, 0u32);
    // SAFETY: the kernel writes two 32-bit numbers. It can not fail with valid pointers.
    let _ = unsafe { sys::call(libc::SYS_getcpu, [&raw mut cpu as u64, &raw mut node as u64, 0, 0, 0, 0]) };
    (cpu, node)
}
