//! The memory images of x87, SSE and AVX state: FXSAVE's area and what XSAVE puts behind it (Intel SDM vol. 1, 10.5 and 13.4; details as a
//! Zen 4 does them). Signal frames hold the same area.

use super::state::{CpuState, MXCSR_INIT, X87};

/// MXCSR's valid bits (MXCSR_MASK): AMD has the mask of misalignment faults (17).
pub const MXCSR_MASK: u32 = 0x2_ffff;

/// Bytes of the x87 part, with MXCSR's place in it.
pub const X87_BYTES: usize = 160;
/// MXCSR and MXCSR_MASK.
pub const MXCSR_AT: usize = 24;
/// XMM0.
pub const XMM_AT: usize = 160;
/// Bytes of FXSAVE's area; those above 415 are software's.
pub const FX_SIZE: usize = 512;
/// XSTATE_BV; XCOMP_BV follows, then 48 reserved bytes.
pub const HEADER_AT: usize = 512;
/// Upper halves of YMM0 to 15, in the standard and in the compacted layout.
pub const AVX_AT: usize = 576;
/// Behind them.
pub const END: usize = 832;
/// XCOMP_BV's bit: compacted layout.
pub const COMPACTED: u64 = 1 << 63;

/// Status word: error summary and busy.
const ES_B: u16 = 0x8080;
const ES: u16 = 0x80;
const TOP_SHIFT: u16 = 11;
const TOP: u16 = 7 << TOP_SHIFT;

/// How pointers are stored: with REX.W 64 bits each, else 32 and a selector, which is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // See above.
pub enum Pointers {
    Narrow,
    Wide,
}

impl Pointers {
    /// The bits of a pointer that are stored.
    fn mask(self) -> u64 {
        if self == Pointers::Wide { u64::MAX } else { 0xffff_ffff }
    }
}

impl X87 {
    /// Sets ES and B from flags and masks.
    pub fn summarize(&mut self) {
        let unmasked = self.status & !self.control & 0x3f != 0;
        self.status = self.status & !ES_B | if unmasked { ES_B } else { 0 };
    }

    /// The status word with TOP.
    pub fn status_word(&self) -> u16 {
        self.status | u16::from(self.top) << TOP_SHIFT
    }

    /// Is it not in its initial configuration (XINUSE)? The processor remembers that the unit was used, which shows in what is left in its registers.
    pub fn in_use(&self) -> bool {
        self.status_word() != 0 || self.control != X87::INIT.control || self.valid != 0 || self.reg.iter().any(|r| *r != 0)
    }

    /// Bytes 0 to 159 of FXSAVE's area; MXCSR's are zero.
    pub fn save(&self, pointers: Pointers) -> [u8; X87_BYTES] {
        let mut area = [0; X87_BYTES];
        for (bytes, word) in area.as_chunks_mut::<8>().0.iter_mut().zip(self.save_words(pointers)) {
            *bytes = word.to_le_bytes();
        }
        area
    }

    /// The same as words. AMD stores the pointers of the last instruction only while its exception is pending.
    pub fn save_words(&self, pointers: Pointers) -> [u64; X87_BYTES / 8] {
        let mut area = [0; X87_BYTES / 8];
        area[0] = u64::from(self.control) | u64::from(self.status_word()) << 16 | u64::from(self.valid) << 32;
        if self.status & ES != 0 {
            area[0] |= u64::from(self.fop & 0x7ff) << 48;
            area[1..3].copy_from_slice(&[self.fip & pointers.mask(), self.fdp & pointers.mask()]);
        }
        for i in 0..8 {
            let r = self.reg[(usize::from(self.top) + i) & 7];
            (area[4 + 2 * i], area[5 + 2 * i]) = (r as u64, (r >> 64) as u64 & 0xffff);
        }
        area
    }

    /// Restores the unit from them.
    pub fn restore(&mut self, area: &[u8; X87_BYTES], pointers: Pointers) {
        let words = std::array::from_fn(|i| u64::from_le_bytes(area.as_chunks::<8>().0[i]));
        self.restore_words(&words, pointers);
    }

    /// The same.
    pub fn restore_words(&mut self, area: &[u64; X87_BYTES / 8], pointers: Pointers) {
        let status = (area[0] >> 16) as u16;
        self.control = area[0] as u16 & 0x1f3f | 0x40;
        self.top = ((status & TOP) >> TOP_SHIFT) as u8;
        self.status = status & !TOP;
        self.summarize();
        self.valid = (area[0] >> 32) as u8;
        self.fop = (area[0] >> 48) as u16 & 0x7ff;
        self.fip = area[1] & pointers.mask();
        self.fdp = area[2] & pointers.mask();
        for i in 0..8 {
            self.reg[(usize::from(self.top) + i) & 7] = u128::from(area[5 + 2 * i] & 0xffff) << 64 | u128::from(area[4 + 2 * i]);
        }
    }
}

/// Are any of 16 registers (XMM, or upper halves) not zero?
pub fn in_use(registers: &[[u64; 2]; 16]) -> bool {
    registers.iter().flatten().fold(0, |all, w| all | w) != 0
}

/// XINUSE as XGETBV shows it (SSE: registers or MXCSR), of the components in `xcr0`. The other forms of XSAVE look at `mxcsr` differently.
pub fn xinuse(s: &CpuState, xcr0: u64, mxcsr: u32) -> u64 {
    let sse = in_use(&s.xmm) || mxcsr != MXCSR_INIT;
    (u64::from(s.x87.in_use()) | u64::from(sse) << 1 | u64::from(in_use(&s.ymm_hi)) << 2) & xcr0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_restores_what_it_saved() {
        let mut x = X87 { control: 0x27e, status: 0xc781, valid: 0xc1, top: 6, fop: 0x123, fip: 0x11_2233_4455, fdp: 0x2000, ..X87::INIT };
        for (i, r) in x.reg.iter_mut().enumerate() {
            *r = 0x3fff_8000_0000_0000_0000 + i as u128;
        }
        let area = x.save(Pointers::Wide);
        assert_eq!(u16::from_le_bytes([area[2], area[3]]), 0xc781 | 6 << 11);
        let mut y = X87::INIT;
        y.restore(&area, Pointers::Wide);
        assert_eq!(y, x);
        y.restore(&x.save(Pointers::Narrow), Pointers::Narrow);
        assert_eq!(y.fip, 0x2233_4455);
        // Masked: nothing is pending, and no pointer is stored.
        x.control = 0x37f;
        x.summarize();
        assert_eq!(x.save(Pointers::Wide)[6..24], [0; 18]);
    }

    #[test]
    fn components_in_use() {
        let mut s = CpuState::default();
        assert_eq!(xinuse(&s, 7, MXCSR_INIT), 0);
        assert_eq!(xinuse(&s, 7, 0x3f80), 2);
        s.ymm_hi[15][1] = 1;
        s.x87.reg[3] = 1;
        assert_eq!(xinuse(&s, 7, MXCSR_INIT), 5);
        assert_eq!(xinuse(&s, 3, MXCSR_INIT), 1);
    }
}
