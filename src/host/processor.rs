//! Which of the host's processors runs us, and for how long.

use super::sys;

/// Processor and node numbers, as getcpu(2) tells them.
pub fn current() -> (u32, u32) {
    let (mut cpu, mut node) = (0u32, 0u32);
    // SAFETY: the kernel writes two 32-bit numbers. It can not fail with valid pointers.
    let _ = unsafe { sys::call(libc::SYS_getcpu, [&raw mut cpu as u64, &raw mut node as u64, 0, 0, 0, 0]) };
    (cpu, node)
}

/// Nanoseconds that this process's threads were on processors.
pub fn time_of_process() -> u64 {
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes a struct timespec.
    let _ = unsafe { sys::call(libc::SYS_clock_gettime, [libc::CLOCK_PROCESS_CPUTIME_ID as u64, time.as_mut_ptr() as u64, 0, 0, 0, 0]) };
    time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
}
