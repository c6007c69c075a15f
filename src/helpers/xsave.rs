//! What XSAVE, FXSAVE and their reverses need beside the moves that translated code makes itself.

use super::{fpu, raise, system};
use crate::guest::cpuid;
use crate::guest::exception::GENERAL_PROTECTION;
use crate::guest::xsave::{Pointers, xinuse};
use crate::guest::{CpuState, state::X87};

fn pointers(wide: bool) -> Pointers {
    if wide { Pointers::Wide } else { Pointers::Narrow }
}

/// The x87 unit's part of the area to the image, with 64-bit pointers or not; 1 if the unit is in use.
pub fn save_x87(s: &mut CpuState, wide: u64, _: u64, _: u64) -> u64 {
    let area = s.x87.save(pointers(wide != 0));
    fpu::set_image(s, &area);
    s.x87.in_use() as u64
}

/// Bits of [`restore`]'s first argument: the unit is to be restored; from the image (else to its initial state); 64-bit pointers.
const X87_REQUESTED: u64 = 1;
const X87_IMAGE: u64 = 2;
const X87_WIDE: u64 = 4;

/// The x87 unit, and MXCSR unless `mxcsr` has bit 63: its reserved bits are zero. FPCR as result, and in `scratch[0]` whether MXCSR is new.
pub fn restore(s: &mut CpuState, x87: u64, mxcsr: u64, afp: u64) -> u64 {
    if x87 & (X87_REQUESTED | X87_IMAGE) == X87_REQUESTED | X87_IMAGE {
        let area = fpu::image(s);
        s.x87.restore(&area, pointers(x87 & X87_WIDE != 0));
    } else if x87 & X87_REQUESTED != 0 {
        s.x87 = X87::INIT;
    }
    s.scratch[0] = (mxcsr >> 63 == 0) as u64;
    if mxcsr >> 63 == 0 {
        s.mxcsr = mxcsr as u32;
        s.guest_fpcr = system::fpcr_for(mxcsr as u32, afp != 0);
    }
    s.guest_fpcr
}

/// XGETBV of register `number`: XCR0, or of it what is in use; #GP for others.
pub fn xgetbv(s: &mut CpuState, number: u64, mxcsr: u64, _: u64) -> u64 {
    let cpu = cpuid::cpu();
    match number {
        0 => cpu.xcr0(),
        1 if cpu.features.has("xgetbv1") => xinuse(s, cpu.xcr0(), mxcsr as u32),
        _ => {
            raise(s, GENERAL_PROTECTION);
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restoring() {
        let mut s = CpuState::default();
        s.x87.reg[0] = 5;
        s.x87.valid = 1;
        assert_eq!(save_x87(&mut s, 1, 0, 0), 1);
        assert_eq!(restore(&mut s, 1, 1 << 63, 0), 0);
        assert_eq!((s.x87, s.scratch[0]), (X87::INIT, 0));
        restore(&mut s, 3, 0x3f80, 0);
        assert_eq!((s.x87.reg[0], s.x87.valid, s.mxcsr, s.scratch[0]), (5, 1, 0x3f80, 1));
        restore(&mut s, 0, 1 << 63, 0);
        assert_eq!(s.x87.valid, 1);
    }
}
