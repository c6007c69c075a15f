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

/// MIDR_EL1 of every processor, as far as the kernel tells (Documentation/arch/arm64/cpu-feature-registers.rst).
pub fn identities() -> Vec<u64> {
    let read = |n: usize| super::file::read_all(format!("/sys/devices/system/cpu/cpu{n}/regs/identification/midr_el1").as_bytes()).ok();
    let number = |text: Vec<u8>| {
        let text = String::from_utf8(text).ok()?;
        u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    let all: Vec<u64> = (0..).map_while(read).filter_map(number).collect();
    // A container may have no /sys: then at least the processor that this thread runs on.
    if all.is_empty() { vec![own_identity()] } else { all }
}

/// MIDR_EL1 of the processor that this thread runs on: the kernel answers for it (HWCAP_CPUID, Linux 4.11).
fn own_identity() -> u64 {
    #[cfg(target_arch = "aarch64")]
    {
        let midr: u64;
        // SAFETY: reads a register that the kernel emulates; LRCPC2, for which this is asked, is told of by later kernels only.
        unsafe { std::arch::asm!("mrs {}, midr_el1", out(reg) midr, options(nomem, nostack, preserves_flags)) };
        midr
    }
    #[cfg(not(target_arch = "aarch64"))]
    0
}

/// Asks for x86's memory order of the calling thread, and says whether it has it: kernels of Apple's processors offer that (PR_SET_MEM_MODEL of
/// Asahi Linux; others answer EINVAL).
pub fn set_total_store_order() -> bool {
    const GET: u64 = 0x6d4d_444c;
    const SET: u64 = 0x4d4d_444c;
    const TSO: u64 = 1;
    // SAFETY: prctl of this thread's own mode; no pointers.
    let call = |op: u64, arg: u64| unsafe { sys::call(libc::SYS_prctl, [op, arg, 0, 0, 0, 0]) };
    call(SET, TSO).is_ok() && call(GET, 0) == Ok(TSO)
}
