//! Bit counting and checksums.

use super::asm::Asm;
use super::regs::*;

impl Asm {
    /// Number of bits set in the 64 of n, by the vector unit; `v` is lost.
    pub fn popcount(&mut self, d: X, n: X, v: V) {
        let vector = (v.0 as u32) << 5 | v.0 as u32;
        self.word(0x9e67_0000 | (n.0 as u32) << 5 | v.0 as u32); // fmov d, x
        self.word(0x0e20_5800 | vector); // cnt v.8b, v.8b
        self.word(0x0e31_b800 | vector); // addv b, v.8b
        self.word(0x1e26_0000 | (v.0 as u32) << 5 | d.0 as u32); // fmov w, s
    }

    /// CRC-32C of the low `bytes` (1, 2, 4, 8) of m, from n. Only where the host has FEAT_CRC32.
    pub fn crc32c(&mut self, bytes: u32, d: X, n: X, m: X) {
        debug_assert!(self.features.crc32);
        let sf = if bytes == 8 { 1 << 31 } else { 0 };
        self.word(0x1ac0_5000 | sf | (m.0 as u32) << 16 | bytes.trailing_zeros() << 10 | (n.0 as u32) << 5 | d.0 as u32);
    }
}
