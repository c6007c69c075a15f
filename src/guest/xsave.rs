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

/// A register's bits in its 16 bytes.
const REGISTER: u128 = (1 << 80) - 1;
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

    /// Bytes 0 to 159 of FXSAVE's area; MXCSR's are zero. AMD stores the pointers of the last instruction only while its exception is pending.
    pub fn save(&self, pointers: Pointers) -> [u8; X87_BYTES] {
        let mut area = [0; X87_BYTES];
        let mut put = |at: usize, bytes: &[u8]| area[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.control.to_le_bytes());
        put(2, &self.status_word().to_le_bytes());
        put(4, &[self.valid]);
        if self.status & ES != 0 {
            put(6, &(self.fop & 0x7ff).to_le_bytes());
            let bytes = if pointers == Pointers::Wide { 8 } else { 4 };
            put(8, &self.fip.to_le_bytes()[..bytes]);
            put(16, &self.fdp.to_le_bytes()[..bytes]);
        }
        // From ST0 on.
        let mut registers = self.reg;
        if self.top != 0 {
            registers.rotate_left(usize::from(self.top));
        }
        for (bytes, r) in area[32..].as_chunks_mut::<16>().0.iter_mut().zip(registers) {
            *bytes = (r & REGISTER).to_le_bytes();
        }
        area
    }

    /// Restores the unit from them.
    pub fn restore(&mut self, area: &[u8; X87_BYTES], pointers: Pointers) {
        let half = |at: usize| u16::from_le_bytes([area[at], area[at + 1]]);
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| area[at + i]));
        let pointer = |at: usize| if pointers == Pointers::Wide { long(at) } else { long(at) & 0xffff_ffff };
        self.control = half(0) & 0x1f3f | 0x40;
        self.top = ((half(2) & TOP) >> TOP_SHIFT) as u8;
        self.status = half(2) & !TOP;
        self.summarize();
        self.valid = area[4];
        self.fop = half(6) & 0x7ff;
        self.fip = pointer(8);
        self.fdp = pointer(16);
        for (r, bytes) in self.reg.iter_mut().zip(area[32..].as_chunks::<16>().0) {
            *r = u128::from_le_bytes(*bytes) & REGISTER;
        }
        if self.top != 0 {
            self.reg.rotate_right(usize::from(self.top));
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
