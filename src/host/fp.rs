//! The host's floating point status: its sticky flags are the guest's (`CpuState::mxcsr`).

/// The sticky exception flags in the positions of MXCSR's. DE means that only while FPCR.AH is set.
#[cfg(target_arch = "aarch64")]
pub fn sticky() -> u32 {
    let fpsr: u64;
    // SAFETY: reads a register that user mode may read.
    unsafe { std::arch::asm!("mrs {}, fpsr", out(reg) fpsr, options(nomem, nostack)) };
    // IOC is IE; DZC, OFC, UFC, IXC are ZE, OE, UE, PE, one bit further up; IDC is DE.
    (fpsr & 1 | (fpsr & 0x1e) << 1 | (fpsr >> 7 & 1) << 1) as u32
}

/// Clears them.
#[cfg(target_arch = "aarch64")]
pub fn clear_sticky() {
    // SAFETY: no Rust code depends on these flags.
    unsafe { std::arch::asm!("msr fpsr, xzr", options(nomem, nostack)) };
}

/// Developing hosts run no guest code.
#[cfg(not(target_arch = "aarch64"))]
pub fn sticky() -> u32 {
    0
}
/// Developing hosts run no guest code.
#[cfg(not(target_arch = "aarch64"))]
pub fn clear_sticky() {}
