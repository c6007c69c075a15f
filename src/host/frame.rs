//! Writing a signal's frame into guest memory in one go, straight from the guest's registers: by pieces it took five times as many instructions. What the words
//! mean and where they stand is `linux::signal::frame`'s; here are only the places, and a fault ends in `false` as everywhere (`host::copy`).

use super::signals::SigInfo;
use crate::guest::CpuState;

/// What a frame holds beside registers. The first 14 words and [`Words::mxcsr`] are copied as they are.
#[repr(C)]
pub struct Words {
    /// The first six words of the frame.
    pub head: [u64; 6],
    /// RIP, RFLAGS, segments, error, trap, mask, CR2, address of the area.
    pub context: [u64; 8],
    /// MXCSR and its mask.
    pub mxcsr: u64,
    /// What the area is marked with: three words of the kernel's, and the one behind it.
    pub marks: [u64; 4],
}

/// Bytes from a frame's start to its siginfo, which is its end.
pub const INFO: usize = 312;

/// Writes the frame at `frame` and the area at `area`: registers from `s`, whose x87 unit is empty with TOP 0, and has it begin a handler, as far as vectors
/// and the x87 unit go. False if that was not possible everywhere; then `s` is as it was.
pub fn push(frame: u64, area: u64, s: &mut CpuState, words: &Words, info: &SigInfo) -> bool {
    // SAFETY: the sources are ours and as long as the routine takes them to be; a fault at the destination is caught by the fixup.
    unsafe { raw::xemu_push_frame(frame, area, s, words, info) == 0 }
}
#[cfg(target_arch = "aarch64")]
pub(super) use raw::fixup;

#[cfg(target_arch = "aarch64")]
mod raw {
    use super::{INFO, SigInfo, Words};
    use crate::guest::{CpuState, state::X87, xsave};
    use std::mem::offset_of;

    // How registers lie in the state: by number, at its start.
    const _: () = assert!(offset_of!(CpuState, gpr) == 0 && offset_of!(CpuState, ymm_hi) == 128 && offset_of!(X87, reg) == 0 && offset_of!(X87, control) == 128);
    const _: () = assert!(xsave::XMM_AT == 160 && xsave::HEADER_AT == 512 && xsave::AVX_AT == 576 && xsave::END == 832 && xsave::MXCSR_AT == 24);

    std::arch::global_asm!(
        // x0 frame, x1 area, x2 state, x3 words, x4 siginfo; null if it was done. The state changes only when everything is written.
        ".globl xemu_frame_start, xemu_frame_end, xemu_frame_fixup, xemu_push_frame",
        ".hidden xemu_frame_start, xemu_frame_end, xemu_frame_fixup, xemu_push_frame",
        ".p2align 4",
        "xemu_push_frame:",
        "xemu_frame_start:",
        "ldp q0, q1, [x3]",
        "ldr q2, [x3, #32]",
        "stp q0, q1, [x0]",
        "str q2, [x0, #32]",
        // R8 to R15; RDI, RSI; RBP, RBX; RDX, RAX; RCX, RSP.
        "ldp q0, q1, [x2, #64]",
        "ldp q2, q3, [x2, #96]",
        "stp q0, q1, [x0, #48]",
        "stp q2, q3, [x0, #80]",
        "ldp x5, x6, [x2, #48]",
        "ldp x7, x8, [x2, #32]",
        "ldp x9, x10, [x2, #16]",
        "ldp x11, x12, [x2]",
        "stp x6, x5, [x0, #112]",
        "stp x8, x10, [x0, #128]",
        "stp x9, x11, [x0, #144]",
        "stp x12, x7, [x0, #160]",
        "ldp q0, q1, [x3, #48]",
        "ldp q2, q3, [x3, #80]",
        "stp q0, q1, [x0, #176]",
        "stp q2, q3, [x0, #208]",
        "movi v4.2d, #0",
        "stp q4, q4, [x0, #240]",
        "stp q4, q4, [x0, #272]",
        "ldr x5, [x3, #88]",
        "str x5, [x0, #304]",
        "add x6, x0, #{INFO}",
        "ldp q0, q1, [x4]",
        "ldp q2, q3, [x4, #32]",
        "stp q0, q1, [x6]",
        "stp q2, q3, [x6, #32]",
        "ldp q0, q1, [x4, #64]",
        "ldp q2, q3, [x4, #96]",
        "stp q0, q1, [x6, #64]",
        "stp q2, q3, [x6, #96]",
        // x87: control, nothing of the last instruction, MXCSR, registers without what is above them.
        "add x5, x2, #{X87}",
        "ldrh w6, [x5, #128]",
        "ldr x7, [x3, #112]",
        "stp x6, xzr, [x1]",
        "stp xzr, x7, [x1, #16]",
        "mov w7, #0xffff",
        "movi d5, #0xffffffffffffffff",
        "mov v5.d[1], x7",
        "ldp q0, q1, [x5]",
        "ldp q2, q3, [x5, #32]",
        "and v0.16b, v0.16b, v5.16b",
        "and v1.16b, v1.16b, v5.16b",
        "and v2.16b, v2.16b, v5.16b",
        "and v3.16b, v3.16b, v5.16b",
        "stp q0, q1, [x1, #32]",
        "stp q2, q3, [x1, #64]",
        "ldp q0, q1, [x5, #64]",
        "ldp q2, q3, [x5, #96]",
        "and v0.16b, v0.16b, v5.16b",
        "and v1.16b, v1.16b, v5.16b",
        "and v2.16b, v2.16b, v5.16b",
        "and v3.16b, v3.16b, v5.16b",
        "stp q0, q1, [x1, #96]",
        "stp q2, q3, [x1, #128]",
        "add x6, x2, #{XMM}",
        "ldp q0, q1, [x6]",
        "ldp q2, q3, [x6, #32]",
        "stp q0, q1, [x1, #160]",
        "stp q2, q3, [x1, #192]",
        "ldp q0, q1, [x6, #64]",
        "ldp q2, q3, [x6, #96]",
        "stp q0, q1, [x1, #224]",
        "stp q2, q3, [x1, #256]",
        "ldp q0, q1, [x6, #128]",
        "ldp q2, q3, [x6, #160]",
        "stp q0, q1, [x1, #288]",
        "stp q2, q3, [x1, #320]",
        "ldp q0, q1, [x6, #192]",
        "ldp q2, q3, [x6, #224]",
        "stp q0, q1, [x1, #352]",
        "stp q2, q3, [x1, #384]",
        // The kernel's marks.
        "ldp x7, x8, [x3, #120]",
        "ldp x9, x10, [x3, #136]",
        "stp q4, q4, [x1, #416]",
        "str q4, [x1, #448]",
        "stp x7, x8, [x1, #464]",
        "stp x9, xzr, [x1, #480]",
        "stp xzr, xzr, [x1, #496]",
        // Upper halves, and whether there are any.
        "ldp q0, q1, [x2, #128]",
        "ldp q2, q3, [x2, #160]",
        "ldp q6, q7, [x2, #192]",
        "ldp q16, q17, [x2, #224]",
        "stp q0, q1, [x1, #576]",
        "stp q2, q3, [x1, #608]",
        "stp q6, q7, [x1, #640]",
        "stp q16, q17, [x1, #672]",
        "orr v0.16b, v0.16b, v1.16b",
        "orr v2.16b, v2.16b, v3.16b",
        "orr v6.16b, v6.16b, v7.16b",
        "orr v16.16b, v16.16b, v17.16b",
        "orr v0.16b, v0.16b, v2.16b",
        "orr v6.16b, v6.16b, v16.16b",
        "orr v20.16b, v0.16b, v6.16b",
        "ldp q0, q1, [x2, #256]",
        "ldp q2, q3, [x2, #288]",
        "ldp q6, q7, [x2, #320]",
        "ldp q16, q17, [x2, #352]",
        "stp q0, q1, [x1, #704]",
        "stp q2, q3, [x1, #736]",
        "stp q6, q7, [x1, #768]",
        "stp q16, q17, [x1, #800]",
        "orr v0.16b, v0.16b, v1.16b",
        "orr v2.16b, v2.16b, v3.16b",
        "orr v6.16b, v6.16b, v7.16b",
        "orr v16.16b, v16.16b, v17.16b",
        "orr v0.16b, v0.16b, v2.16b",
        "orr v6.16b, v6.16b, v16.16b",
        "orr v20.16b, v20.16b, v0.16b",
        "orr v20.16b, v20.16b, v6.16b",
        "umaxv s20, v20.4s",
        "fmov w7, s20",
        "str w10, [x1, #832]",
        // XSTATE_BV: x87 and SSE always.
        "cmp w7, #0",
        "mov w8, #3",
        "mov w9, #7",
        "csel x8, x8, x9, eq",
        "str x8, [x1, #512]",
        "str xzr, [x1, #520]",
        "stp q4, q4, [x1, #528]",
        "str q4, [x1, #560]",
        "xemu_frame_end:",
        // Nothing was refused: the handler's registers.
        "stp q4, q4, [x6]",
        "stp q4, q4, [x6, #32]",
        "stp q4, q4, [x6, #64]",
        "stp q4, q4, [x6, #96]",
        "stp q4, q4, [x6, #128]",
        "stp q4, q4, [x6, #160]",
        "stp q4, q4, [x6, #192]",
        "stp q4, q4, [x6, #224]",
        "stp q4, q4, [x5]",
        "stp q4, q4, [x5, #32]",
        "stp q4, q4, [x5, #64]",
        "stp q4, q4, [x5, #96]",
        "mov w8, #{CONTROL}",
        "stp x8, xzr, [x5, #128]",
        "str xzr, [x5, #144]",
        "mov x0, #0",
        "cbz w7, 2f",
        "stp q4, q4, [x2, #128]",
        "stp q4, q4, [x2, #160]",
        "stp q4, q4, [x2, #192]",
        "stp q4, q4, [x2, #224]",
        "stp q4, q4, [x2, #256]",
        "stp q4, q4, [x2, #288]",
        "stp q4, q4, [x2, #320]",
        "stp q4, q4, [x2, #352]",
        "2: ret",
        "xemu_frame_fixup:",
        "mov x0, #1",
        "ret",
        INFO = const INFO,
        X87 = const offset_of!(CpuState, x87),
        XMM = const offset_of!(CpuState, xmm),
        CONTROL = const X87::INIT.control,
    );
    unsafe extern "C" {
        pub fn xemu_push_frame(frame: u64, area: u64, s: *mut CpuState, words: *const Words, info: *const SigInfo) -> usize;
        fn xemu_frame_start();
        fn xemu_frame_end();
        fn xemu_frame_fixup();
    }
    /// If `pc` is in the routine, where to continue instead.
    pub fn fixup(pc: u64) -> Option<u64> {
        ((xemu_frame_start as *const () as u64)..(xemu_frame_end as *const () as u64)).contains(&pc).then_some(xemu_frame_fixup as *const () as u64)
    }
}
#[cfg(not(target_arch = "aarch64"))]
mod raw {
    use super::{SigInfo, Words};
    use crate::guest::CpuState;
    /// Developing hosts write no frames.
    pub unsafe fn xemu_push_frame(_: u64, _: u64, _: *mut CpuState, _: *const Words, _: *const SigInfo) -> usize {
        1
    }
}
