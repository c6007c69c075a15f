//! Conversions between floating-point formats and integers.

use super::asm::{Asm, Size};
use super::regs::*;
use super::simd::{Fp, nd};

impl Asm {
    /// Single to double.
    pub fn fcvt_sd(&mut self, d: V, n: V) {
        self.word(0x1e22_c000 | nd(n, d));
    }
    /// Double to single.
    pub fn fcvt_ds(&mut self, d: V, n: V) {
        self.word(0x1e62_4000 | nd(n, d));
    }
    /// The low two singles to doubles.
    pub fn fcvtl(&mut self, d: V, n: V) {
        self.word(0x0e61_7800 | nd(n, d));
    }
    /// The high two singles to doubles.
    pub fn fcvtl2(&mut self, d: V, n: V) {
        self.word(0x4e61_7800 | nd(n, d));
    }
    /// Two doubles to the high two singles.
    pub fn fcvtn2(&mut self, d: V, n: V) {
        self.word(0x4e61_6800 | nd(n, d));
    }
    /// Four half-precision numbers to singles: the low ones, or the high ones.
    pub fn fcvtl_half(&mut self, high: bool, d: V, n: V) {
        self.word(0x0e21_7800 | (high as u32) << 30 | nd(n, d));
    }
    /// Four singles to half precision: into the low half of `d`, the rest becoming zero, or into its high half.
    pub fn fcvtn_half(&mut self, high: bool, d: V, n: V) {
        self.word(0x0e21_6800 | (high as u32) << 30 | nd(n, d));
    }
    /// Two doubles to the low two singles; the rest becomes zero.
    pub fn fcvtn(&mut self, d: V, n: V) {
        self.word(0x0e61_6800 | nd(n, d));
    }
    /// Signed integer to floating point by FPCR's mode.
    pub fn scvtf_x(&mut self, size: Size, fp: Fp, d: V, n: X) {
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        self.word(0x1e22_0000 | sf | fp.size_bit() | nd(V(n.0), d));
    }
    /// Floating point to a signed integer towards zero, saturating; NaN gives 0.
    pub fn fcvtzs_x(&mut self, size: Size, fp: Fp, d: X, n: V) {
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        self.word(0x1e38_0000 | sf | fp.size_bit() | nd(n, V(d.0)));
    }
}
