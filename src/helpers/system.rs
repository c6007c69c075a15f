//! Instructions that ask about the machine, and MXCSR.

use crate::guest::cpuid::{self, Place};
use crate::guest::{CpuState, Gpr};
use std::sync::atomic::{AtomicU32, Ordering};

/// The processor that runs us, for the leaves that tell of it, and how many this process may use.
fn place(leaf: u32) -> Place {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if !matches!(leaf, 1 | 4 | 0xb | 0x8000_0008 | 0x8000_001d | 0x8000_001e) {
        return Place { index: 0, count: 1 };
    }
    let mut count = COUNT.load(Ordering::Relaxed);
    if count == 0 {
        count = crate::host::process::processors() as u32;
        COUNT.store(count, Ordering::Relaxed);
    }
    let index = crate::host::processor::current().0;
    Place { index, count: count.max(index + 1) }
}

pub fn cpuid(s: &mut CpuState, _: u64, _: u64, _: u64) -> u64 {
    let leaf = s.get(Gpr::Rax) as u32;
    let [a, b, c, d] = cpuid::cpu().cpuid(leaf, s.get(Gpr::Rcx) as u32, place(leaf));
    for (r, v) in [(Gpr::Rax, a), (Gpr::Rbx, b), (Gpr::Rcx, c), (Gpr::Rdx, d)] {
        s.set(r, v as u64);
    }
    0
}

/// TSC_AUX as Linux sets it: node << 12 | processor.
pub fn processor(_: &mut CpuState, _: u64, _: u64, _: u64) -> u64 {
    let (cpu, node) = crate::host::processor::current();
    (node << 12 | cpu & 0xfff) as u64
}

/// A segment of Linux' GDT that user mode may look at.
struct Segment {
    selector: u64,
    rights: u64,
    limit: u64,
    writable: bool,
}

/// 32-bit code, data, 64-bit code, and the one whose limit is the processor's number (arch/x86/include/asm/segment.h).
const GDT: &[Segment] = &[
    Segment { selector: 0x20, rights: 0xcf_fb00, limit: 0xffff_ffff, writable: false },
    Segment { selector: 0x28, rights: 0xcf_f300, limit: 0xffff_ffff, writable: true },
    Segment { selector: 0x30, rights: 0xaf_fb00, limit: 0xffff_ffff, writable: false },
    Segment { selector: 0x78, rights: 0x40_f500, limit: 0, writable: false },
];

/// LAR, LSL, VERR, VERW (0 to 3) of a selector.
pub fn descriptor(s: &mut CpuState, selector: u64, which: u64, _: u64) -> u64 {
    let found = GDT.iter().find(|d| d.selector == selector & 0xfffc);
    s.scratch[0] = found.is_some_and(|d| which != 3 || d.writable) as u64;
    match (found, which) {
        (Some(d), 0) => d.rights,
        (Some(d), 1) if d.selector == 0x78 => processor(s, 0, 0, 0),
        (Some(d), 1) => d.limit,
        _ => 0,
    }
}

/// FPCR for an MXCSR value: rounding mode and flushing. With FEAT_AFP (alternate handling, FPCR.AH) NaN rules and the two kinds of flushing are x86's
/// own; without it one bit stands for both FTZ and DAZ. Source: Arm ARM, FPCR; SDM vol. 1, 10.2.3.
pub fn fpcr_for(mxcsr: u32, afp: bool) -> u64 {
    let (daz, rounding, ftz) = (mxcsr >> 6 & 1, mxcsr >> 13 & 3, mxcsr >> 15 & 1);
    // Up and down have each other's number.
    let rounding = (rounding & 1) << 1 | rounding >> 1;
    let flush = if afp { 1 << 1 | daz | ftz << 24 } else { (daz | ftz) << 24 };
    (rounding << 22 | flush) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fpcr() {
        assert_eq!(fpcr_for(0x1f80, false), 0);
        assert_eq!(fpcr_for(0x1f80, true), 2);
        assert_eq!(fpcr_for(0x3f80, false), 0b10 << 22, "down");
        assert_eq!(fpcr_for(0x5f80, false), 0b01 << 22, "up");
        assert_eq!(fpcr_for(0xffc0, true), 0b11 << 22 | 1 << 24 | 3);
    }
}
