//! Vector and floating-point instructions: one function an encoding form, the operations of a form as constants.
//!
//! An operation is the instruction word with all register, arrangement and immediate fields zero (Arm ARM C4.1, "Data Processing -- Scalar
//! Floating-Point and Advanced SIMD").

use super::asm::{Asm, Cond, Size};
use super::regs::*;

/// Arrangement of a vector: element size and number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // bytes, halfwords, singles, doublewords times their number
pub enum Arr {
    B8,
    B16,
    H4,
    H8,
    S2,
    S4,
    D1,
    D2,
}

impl Arr {
    const fn bits(self) -> u32 {
        let n = self as u32;
        (n & 1) << 30 | (n >> 1) << 22
    }
    /// log2 of an element's bytes.
    pub const fn log2(self) -> u32 {
        self as u32 >> 1
    }
    /// Bits of an element.
    pub const fn lane_bits(self) -> u32 {
        8 << self.log2()
    }
    /// The same elements in 64 bits.
    pub const fn half(self) -> Arr {
        match self {
            Arr::B8 | Arr::B16 => Arr::B8,
            Arr::H4 | Arr::H8 => Arr::H4,
            Arr::S2 | Arr::S4 => Arr::S2,
            Arr::D1 | Arr::D2 => Arr::D1,
        }
    }
}

/// Floating-point format and shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fp {
    /// One single.
    S,
    /// One double.
    D,
    /// Four singles.
    S4,
    /// Two doubles.
    D2,
}

impl Fp {
    /// Is it one value (the rest of the destination becomes zero)?
    pub const fn scalar(self) -> bool {
        matches!(self, Fp::S | Fp::D)
    }
    /// Doubles?
    pub const fn double(self) -> bool {
        matches!(self, Fp::D | Fp::D2)
    }
    /// Bytes of one value.
    pub const fn bytes(self) -> u32 {
        if self.double() { 8 } else { 4 }
    }
    /// The arrangement of the whole register with elements of this format.
    pub const fn arr(self) -> Arr {
        if self.double() { Arr::D2 } else { Arr::S4 }
    }
    pub(super) const fn size_bit(self) -> u32 {
        (self.double() as u32) << 22
    }
}

/// Three vector registers, integer elements: same, different widths, or permutation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct V3(pub u32);
/// Two vector registers, integer elements, across lanes included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct V2(pub u32);
/// Shift by a constant: word, and whether the amount counts from the right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vs(pub u32, pub bool);
/// Floating point, three registers: scalar and vector form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct F3(pub u32, pub u32);
/// Floating point, two registers: scalar and vector form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct F2(pub u32, pub u32);

const fn same(u: u32, opcode: u32) -> V3 {
    V3(0x0e20_0400 | u << 29 | opcode << 11)
}
const fn logic(u: u32, size: u32) -> V3 {
    V3(0x0e20_1c00 | u << 29 | size << 22)
}
const fn diff(u: u32, opcode: u32) -> V3 {
    V3(0x0e20_0000 | u << 29 | opcode << 12)
}
const fn perm(opcode: u32) -> V3 {
    V3(0x0e00_0800 | opcode << 12)
}
const fn misc(u: u32, opcode: u32) -> V2 {
    V2(0x0e20_0800 | u << 29 | opcode << 12)
}
const fn across(u: u32, opcode: u32) -> V2 {
    V2(0x0e30_0800 | u << 29 | opcode << 12)
}
const fn shift(u: u32, opcode: u32, right: bool) -> Vs {
    Vs(0x0f00_0400 | u << 29 | opcode << 11, right)
}

/// The operations, by their AArch64 names.
#[allow(missing_docs)]
pub mod ops {
    use super::*;
    pub const SQADD: V3 = same(0, 1);
    pub const UQADD: V3 = same(1, 1);
    pub const URHADD: V3 = same(1, 2);
    pub const SQSUB: V3 = same(0, 5);
    pub const UQSUB: V3 = same(1, 5);
    pub const CMGT: V3 = same(0, 6);
    pub const CMHI: V3 = same(1, 6);
    pub const CMGE: V3 = same(0, 7);
    pub const CMHS: V3 = same(1, 7);
    pub const SSHL: V3 = same(0, 8);
    pub const USHL: V3 = same(1, 8);
    pub const SMAX: V3 = same(0, 12);
    pub const UMAX: V3 = same(1, 12);
    pub const SMIN: V3 = same(0, 13);
    pub const UMIN: V3 = same(1, 13);
    pub const UABD: V3 = same(1, 14);
    pub const ADD: V3 = same(0, 16);
    pub const SUB: V3 = same(1, 16);
    pub const CMEQ: V3 = same(1, 17);
    pub const MLA: V3 = same(0, 18);
    pub const MUL: V3 = same(0, 19);
    pub const UMAXP: V3 = same(1, 20);
    pub const UMINP: V3 = same(1, 21);
    pub const ADDP: V3 = same(0, 23);
    // The element size of logic is part of the operation: use them with B16 (or B8).
    pub const AND: V3 = logic(0, 0);
    pub const BIC: V3 = logic(0, 1);
    pub const ORR: V3 = logic(0, 2);
    pub const ORN: V3 = logic(0, 3);
    pub const EOR: V3 = logic(1, 0);
    /// d selects: n where it is one, else m.
    pub const BSL: V3 = logic(1, 1);
    /// Inserts n where m is one.
    pub const BIT: V3 = logic(1, 2);
    /// Inserts n where m is zero.
    pub const BIF: V3 = logic(1, 3);
    // Long forms: the arrangement is that of the narrow sources; 128-bit ones take the upper halves.
    pub const SMULL: V3 = diff(0, 12);
    pub const UMULL: V3 = diff(1, 12);
    pub const UABDL: V3 = diff(1, 7);
    pub const PMULL: V3 = diff(0, 14);
    pub const UZP1: V3 = perm(1);
    pub const TRN1: V3 = perm(2);
    pub const ZIP1: V3 = perm(3);
    pub const UZP2: V3 = perm(5);
    pub const TRN2: V3 = perm(6);
    pub const ZIP2: V3 = perm(7);

    pub const REV64: V2 = misc(0, 0);
    pub const UADDLP: V2 = misc(1, 2);
    pub const CNT: V2 = misc(0, 5);
    pub const NOT: V2 = misc(1, 5);
    pub const CMGT0: V2 = misc(0, 8);
    pub const CMEQ0: V2 = misc(0, 9);
    pub const CMLT0: V2 = misc(0, 10);
    pub const ABS: V2 = misc(0, 11);
    pub const NEG: V2 = misc(1, 11);
    // Narrowing: the arrangement is that of the narrow result; 128-bit ones write the upper half.
    pub const XTN: V2 = misc(0, 18);
    pub const SQXTUN: V2 = misc(1, 18);
    pub const SQXTN: V2 = misc(0, 20);
    pub const UQXTN: V2 = misc(1, 20);
    pub const UMAXV: V2 = across(1, 10);
    pub const UMINV: V2 = across(1, 26);
    pub const ADDV: V2 = across(0, 27);

    pub const SSHR: Vs = shift(0, 0, true);
    pub const USHR: Vs = shift(1, 0, true);
    pub const USRA: Vs = shift(1, 2, true);
    pub const SRI: Vs = shift(1, 8, true);
    pub const SHL: Vs = shift(0, 10, false);
    pub const SLI: Vs = shift(1, 10, false);
    // Long: the arrangement is that of the narrow source. Narrowing: of the narrow result.
    pub const SSHLL: Vs = shift(0, 20, false);
    pub const USHLL: Vs = shift(1, 20, false);
    pub const SHRN: Vs = shift(0, 16, true);
    pub const RSHRN: Vs = shift(0, 17, true);

    pub const FADD: F3 = F3(0x1e20_2800, 0x0e20_d400);
    pub const FSUB: F3 = F3(0x1e20_3800, 0x0ea0_d400);
    pub const FMUL: F3 = F3(0x1e20_0800, 0x2e20_dc00);
    pub const FDIV: F3 = F3(0x1e20_1800, 0x2e20_fc00);
    pub const FMAX: F3 = F3(0x1e20_4800, 0x0e20_f400);
    pub const FMIN: F3 = F3(0x1e20_5800, 0x0ea0_f400);
    pub const FCMEQ: F3 = F3(0x5e20_e400, 0x0e20_e400);
    pub const FCMGE: F3 = F3(0x7e20_e400, 0x2e20_e400);
    pub const FCMGT: F3 = F3(0x7ea0_e400, 0x2ea0_e400);
    /// Scalar forms add three registers with [`Asm::fma`].
    pub const FMLA: F3 = F3(0x1f00_0000, 0x0e20_cc00);
    pub const FMLS: F3 = F3(0x1f00_8000, 0x0ea0_cc00);

    /// Equal to zero: all ones.
    pub const FCMEQ0: F2 = F2(0x5ea0_d800, 0x0ea0_d800);
    pub const FSQRT: F2 = F2(0x1e21_c000, 0x2ea1_f800);
    pub const FNEG: F2 = F2(0x1e21_4000, 0x2ea0_f800);
    pub const FABS: F2 = F2(0x1e20_c000, 0x0ea0_f800);
    pub const FRINTN: F2 = F2(0x1e24_4000, 0x0e21_8800);
    pub const FRINTP: F2 = F2(0x1e24_c000, 0x0ea1_8800);
    pub const FRINTM: F2 = F2(0x1e25_4000, 0x0e21_9800);
    pub const FRINTZ: F2 = F2(0x1e25_c000, 0x0ea1_9800);
    /// By FPCR's mode, raising inexact.
    pub const FRINTX: F2 = F2(0x1e27_4000, 0x2e21_9800);
    /// By FPCR's mode, quiet.
    pub const FRINTI: F2 = F2(0x1e27_c000, 0x2ea1_9800);
    /// By FPCR's mode to the range of a 32-bit integer (FEAT_FRINTTS): what lies outside, and NaN, becomes -2^31.
    pub const FRINT32X: F2 = F2(0x1e28_c000, 0x2e21_e800);
    pub const FRINT32Z: F2 = F2(0x1e28_4000, 0x0e21_e800);
    pub const FRINT64X: F2 = F2(0x1e29_c000, 0x2e21_f800);
    pub const FRINT64Z: F2 = F2(0x1e29_4000, 0x0e21_f800);
    /// Integers in the vector to floating point (scalar form: of the same width, from the vector register).
    pub const SCVTF: F2 = F2(0x5e21_d800, 0x0e21_d800);
    /// Floating point to integers in the vector, towards zero.
    pub const FCVTZS: F2 = F2(0x5ea1_b800, 0x0ea1_b800);

    pub const AESE: u32 = 0x4e28_4800;
    pub const AESD: u32 = 0x4e28_5800;
    pub const AESMC: u32 = 0x4e28_6800;
    pub const AESIMC: u32 = 0x4e28_7800;
    pub const SHA1C: u32 = 0x5e00_0000;
    pub const SHA1P: u32 = 0x5e00_1000;
    pub const SHA1M: u32 = 0x5e00_2000;
    pub const SHA256H: u32 = 0x5e00_4000;
    pub const SHA256H2: u32 = 0x5e00_5000;
    pub const SHA256SU0: u32 = 0x5e28_2800;
    pub const SHA256SU1: u32 = 0x5e00_6000;
}

pub(super) const fn nd(n: V, d: V) -> u32 {
    (n.0 as u32) << 5 | d.0 as u32
}
const fn imm5(log2: u32, lane: u32) -> u32 {
    (lane << (log2 + 1) | 1 << log2) << 16
}

impl Asm {
    /// `d = n op m`.
    pub fn v3(&mut self, op: V3, arr: Arr, d: V, n: V, m: V) {
        self.word(op.0 | arr.bits() | (m.0 as u32) << 16 | nd(n, d));
    }
    /// `d = op n`.
    pub fn v2(&mut self, op: V2, arr: Arr, d: V, n: V) {
        self.word(op.0 | arr.bits() | nd(n, d));
    }
    /// `d = n shifted by amount`: right 1 to the element's bits (of the narrow one), left 0 to bits - 1.
    pub fn vshift(&mut self, op: Vs, arr: Arr, d: V, n: V, amount: u32) {
        let bits = arr.lane_bits();
        let immhb = if op.1 { 2 * bits - amount } else { bits + amount };
        self.word(op.0 | (arr as u32 & 1) << 30 | immhb << 16 | nd(n, d));
    }
    /// Bitwise logic on all 128 bits.
    pub fn vlogic(&mut self, op: V3, d: V, n: V, m: V) {
        self.v3(op, Arr::B16, d, n, m);
    }
    /// Copies 128 bits; nothing for a register onto itself.
    pub fn vmov(&mut self, d: V, n: V) {
        if d != n {
            self.v3(ops::ORR, Arr::B16, d, n, n);
        }
    }
    /// Copies 64 bits and clears the rest.
    pub fn vmov64(&mut self, d: V, n: V) {
        self.word(0x1e60_4000 | nd(n, d));
    }
    /// Copies 32 bits and clears the rest.
    pub fn vmov32(&mut self, d: V, n: V) {
        self.word(0x1e20_4000 | nd(n, d));
    }
    /// All zero.
    pub fn vzero(&mut self, d: V) {
        self.word(0x6f00_e400 | d.0 as u32);
    }
    /// All ones.
    pub fn vones(&mut self, d: V) {
        self.movi(0x6f00_e400, d, 0xff);
    }
    fn movi(&mut self, base: u32, d: V, imm: u32) {
        self.word(base | (imm >> 5) << 16 | (imm & 31) << 5 | d.0 as u32);
    }
    /// Every byte.
    pub fn movi_b(&mut self, d: V, imm: u32) {
        self.movi(0x4f00_e400, d, imm);
    }
    /// Every halfword: imm << (0 or 8).
    pub fn movi_h(&mut self, d: V, imm: u32, lsl: u32) {
        self.movi(0x4f00_8400 | (lsl / 8) << 13, d, imm);
    }
    /// Every word: imm << (0, 8, 16 or 24).
    pub fn movi_s(&mut self, d: V, imm: u32, lsl: u32) {
        self.movi(0x4f00_0400 | (lsl / 8) << 13, d, imm);
    }
    /// Every doubleword, all ones in the bytes whose bit in `mask` is set.
    pub fn movi_d(&mut self, d: V, mask: u32) {
        self.movi(0x6f00_e400, d, mask);
    }
    /// `d = bytes of m:n from `first` on` (0 to 15).
    pub fn ext(&mut self, d: V, n: V, m: V, first: u32) {
        self.word(0x6e00_0000 | (m.0 as u32) << 16 | first << 11 | nd(n, d));
    }
    /// The same with 64-bit registers (0 to 7).
    pub fn ext8(&mut self, d: V, n: V, m: V, first: u32) {
        self.word(0x2e00_0000 | (m.0 as u32) << 16 | first << 11 | nd(n, d));
    }
    /// Looks the bytes of m up in `n` (registers n, n+1… `count` of them); 0 where out of range.
    pub fn tbl(&mut self, d: V, n: V, count: u32, m: V) {
        self.word(0x4e00_0000 | (m.0 as u32) << 16 | (count - 1) << 13 | nd(n, d));
    }
    /// Every element = lane `lane` of n.
    pub fn dup(&mut self, arr: Arr, d: V, n: V, lane: u32) {
        self.word(0x0e00_0400 | (arr as u32 & 1) << 30 | imm5(arr.log2(), lane) | nd(n, d));
    }
    /// Every element = the one in memory at the register (LD1R).
    pub fn ld1r(&mut self, arr: Arr, d: V, n: X) {
        self.word(0x0d40_c000 | (arr as u32 & 1) << 30 | arr.log2() << 10 | nd(V(n.0), d));
    }
    /// Every element = general register.
    pub fn dup_x(&mut self, arr: Arr, d: V, n: X) {
        self.word(0x0e00_0c00 | (arr as u32 & 1) << 30 | imm5(arr.log2(), 0) | nd(V(n.0), d));
    }
    /// Lane `to` of d = lane `from` of n, of 1 << log2 bytes.
    pub fn ins(&mut self, log2: u32, d: V, to: u32, n: V, from: u32) {
        self.word(0x6e00_0400 | imm5(log2, to) | (from << log2) << 11 | nd(n, d));
    }
    /// Lane `to` of d = general register.
    pub fn ins_x(&mut self, log2: u32, d: V, to: u32, n: X) {
        self.word(0x4e00_1c00 | imm5(log2, to) | nd(V(n.0), d));
    }
    /// A lane zero-extended to a general register.
    pub fn umov(&mut self, log2: u32, d: X, n: V, lane: u32) {
        let q = if log2 == 3 { 1 << 30 } else { 0 };
        self.word(0x0e00_3c00 | q | imm5(log2, lane) | nd(n, V(d.0)));
    }
    /// A word or doubleword lane sign-extended to a general register.
    pub fn smov(&mut self, log2: u32, d: X, n: V, lane: u32) {
        if log2 == 3 {
            return self.umov(3, d, n, lane);
        }
        self.word(0x4e00_2c00 | imm5(log2, lane) | nd(n, V(d.0)));
    }
    /// General register to the low 32 or 64 bits of a vector register; the rest becomes zero.
    pub fn fmov_from(&mut self, size: Size, d: V, n: X) {
        let base = if size == Size::X { 0x9e67_0000 } else { 0x1e27_0000 };
        self.word(base | nd(V(n.0), d));
    }
    /// Low 32 or 64 bits of a vector register to a general register.
    pub fn fmov_to(&mut self, size: Size, d: X, n: V) {
        let base = if size == Size::X { 0x9e66_0000 } else { 0x1e26_0000 };
        self.word(base | nd(n, V(d.0)));
    }

    /// Floating point, `d = n op m`.
    pub fn f3(&mut self, op: F3, fp: Fp, d: V, n: V, m: V) {
        let base = if fp.scalar() { op.0 } else { op.1 | 1 << 30 };
        self.word(base | fp.size_bit() | (m.0 as u32) << 16 | nd(n, d));
    }
    /// Products of doubles, `d = n * m`, m being lane `lane` of its register for all.
    pub fn fmul_element(&mut self, fp: Fp, d: V, n: V, m: V, lane: u32) {
        let base = if fp.scalar() { 0x5fc0_9000 } else { 0x4fc0_9000 };
        self.word(base | (m.0 as u32) << 16 | lane << 11 | nd(n, d));
    }
    /// Floating point, `d = op n`.
    pub fn f2(&mut self, op: F2, fp: Fp, d: V, n: V) {
        let base = if fp.scalar() { op.0 } else { op.1 | 1 << 30 };
        self.word(base | fp.size_bit() | nd(n, d));
    }
    /// Scalar `d = ±n * m ± a`, one rounding.
    #[allow(clippy::too_many_arguments)] // One for each field of the instruction.
    pub fn fma(&mut self, fp: Fp, d: V, n: V, m: V, a: V, negate_product: bool, negate_addend: bool) {
        // FMADD a+nm, FMSUB a-nm, FNMADD -a-nm, FNMSUB -a+nm.
        let (o1, o0) = match (negate_product, negate_addend) {
            (false, false) => (0, 0),
            (true, false) => (0, 1),
            (true, true) => (1, 0),
            (false, true) => (1, 1),
        };
        self.word(0x1f00_0000 | fp.size_bit() | o1 << 21 | (m.0 as u32) << 16 | o0 << 15 | (a.0 as u32) << 10 | nd(n, d));
    }
    /// Scalar comparison into NZCV; `signal`: invalid on quiet NaNs too.
    pub fn fcmp(&mut self, fp: Fp, n: V, m: V, signal: bool) {
        self.word(0x1e20_2000 | fp.size_bit() | (m.0 as u32) << 16 | (n.0 as u32) << 5 | (signal as u32) << 4);
    }
    /// If the condition holds compares, else sets NZCV (4 bits).
    pub fn fccmp(&mut self, fp: Fp, n: V, m: V, nzcv: u32, cond: Cond) {
        self.word(0x1e20_0400 | fp.size_bit() | (m.0 as u32) << 16 | (cond as u32) << 12 | (n.0 as u32) << 5 | nzcv);
    }
    /// Scalar maximum of all four singles, or of both doubles; NaN if any is.
    pub fn fmax_across(&mut self, fp: Fp, d: V, n: V) {
        // FMAXV d, n.4s; FMAXP d, n.2d.
        self.word(if fp.double() { 0x7e70_f800 } else { 0x6e30_f800 } | nd(n, d));
    }
    /// AXFLAG: the flags of FCMP as x86's comparisons leave them (FEAT_FlagM2).
    pub fn axflag(&mut self) {
        self.word(0xd500_405f);
    }
    /// Two-register instructions without fields (AES).
    pub fn vraw(&mut self, op: u32, d: V, n: V) {
        self.word(op | nd(n, d));
    }
    /// Three-register instructions without fields (PMULL of 64 bits, SHA).
    pub fn vraw3(&mut self, op: u32, d: V, n: V, m: V) {
        self.word(op | (m.0 as u32) << 16 | nd(n, d));
    }
}

#[cfg(all(test, feature = "disasm"))]
mod tests {
    use super::ops::*;
    use super::*;
    use crate::emit::Features;
    use capstone::prelude::*;

    /// Assembles with `f` and compares with capstone's text, instruction by instruction.
    fn check(f: impl FnOnce(&mut Asm), expect: &[&str]) {
        let mut a = Asm::new(Features::NONE);
        f(&mut a);
        let bytes = a.finish().bytes;
        let cs = Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build().expect("capstone");
        let insns = cs.disasm_all(&bytes, 0).expect("disassembly");
        let text: Vec<String> = insns.iter().map(|i| format!("{} {}", i.mnemonic().unwrap_or(""), i.op_str().unwrap_or(""))).collect();
        assert_eq!(text, expect);
    }

    #[test]
    fn encodings() {
        let (d, n, m) = (V(1), V(18), V(31));
        check(
            |a| {
                a.v3(ADD, Arr::H8, d, n, m);
                a.v3(SQSUB, Arr::B8, d, n, m);
                a.v3(UMAX, Arr::S4, d, n, m);
                a.v3(ADDP, Arr::D2, d, n, m);
                a.vlogic(BIC, d, n, m);
                a.vlogic(BIF, d, n, m);
                a.v3(SMULL, Arr::H8, d, n, m);
                a.v3(UMULL, Arr::S2, d, n, m);
                a.v3(ZIP2, Arr::D2, d, n, m);
                a.v3(UZP1, Arr::S4, d, n, m);
                a.v2(UADDLP, Arr::B16, d, n);
                a.v2(SQXTUN, Arr::B16, d, n);
                a.v2(UQXTN, Arr::S2, d, n);
                a.v2(CMLT0, Arr::B16, d, n);
                a.v2(CMEQ0, Arr::H8, d, n);
                a.v2(UMINV, Arr::H8, d, n);
                a.v2(ABS, Arr::S4, d, n);
                a.v2(NEG, Arr::S2, d, n);
                a.v2(REV64, Arr::S4, d, n);
            },
            &[
                "add v1.8h, v18.8h, v31.8h",
                "sqsub v1.8b, v18.8b, v31.8b",
                "umax v1.4s, v18.4s, v31.4s",
                "addp v1.2d, v18.2d, v31.2d",
                "bic v1.16b, v18.16b, v31.16b",
                "bif v1.16b, v18.16b, v31.16b",
                "smull2 v1.4s, v18.8h, v31.8h",
                "umull v1.2d, v18.2s, v31.2s",
                "zip2 v1.2d, v18.2d, v31.2d",
                "uzp1 v1.4s, v18.4s, v31.4s",
                "uaddlp v1.8h, v18.16b",
                "sqxtun2 v1.16b, v18.8h",
                "uqxtn v1.2s, v18.2d",
                "cmlt v1.16b, v18.16b, #0",
                "cmeq v1.8h, v18.8h, #0",
                "uminv h1, v18.8h",
                "abs v1.4s, v18.4s",
                "neg v1.2s, v18.2s",
                "rev64 v1.4s, v18.4s",
            ],
        );
        check(
            |a| {
                a.vshift(SHL, Arr::H8, d, n, 3);
                a.vshift(SSHR, Arr::S4, d, n, 32);
                a.vshift(USHR, Arr::D2, d, n, 63);
                a.vshift(USHLL, Arr::B16, d, n, 0);
                a.vshift(RSHRN, Arr::H4, d, n, 15);
                a.vshift(SLI, Arr::S2, d, n, 16);
                a.vzero(d);
                a.vones(d);
                a.movi_b(d, 0x8f);
                a.movi_s(d, 0x4f, 24);
                a.fmul_element(Fp::D2, d, n, m, 1);
                a.fmul_element(Fp::D, d, n, m, 0);
                a.ext(d, n, m, 9);
                a.tbl(d, n, 2, m);
                a.dup(Arr::S4, d, n, 3);
                a.dup_x(Arr::D2, d, X(3));
                a.ins(2, d, 3, n, 1);
                a.ins_x(3, d, 1, X(9));
                a.umov(1, X(4), n, 7);
                a.umov(3, X(4), n, 1);
                a.fmov_from(Size::X, d, X(2));
                a.fmov_to(Size::W, X(2), n);
            },
            &[
                "shl v1.8h, v18.8h, #3",
                "sshr v1.4s, v18.4s, #0x20",
                "ushr v1.2d, v18.2d, #0x3f",
                "ushll2 v1.8h, v18.16b, #0",
                "rshrn v1.4h, v18.4s, #0xf",
                "sli v1.2s, v18.2s, #0x10",
                "movi v1.2d, #0000000000000000",
                "movi v1.2d, #0xffffffffffffffff",
                "movi v1.16b, #0x8f",
                "movi v1.4s, #0x4f, lsl #24",
                "fmul v1.2d, v18.2d, v31.d[1]",
                "fmul d1, d18, v31.d[0]",
                "ext v1.16b, v18.16b, v31.16b, #9",
                "tbl v1.16b, {v18.16b, v19.16b}, v31.16b",
                "dup v1.4s, v18.s[3]",
                "dup v1.2d, x3",
                "mov v1.s[3], v18.s[1]",
                "mov v1.d[1], x9",
                "umov w4, v18.h[7]",
                "mov x4, v18.d[1]",
                "fmov d1, x2",
                "fmov w2, s18",
            ],
        );
        check(
            |a| {
                a.f3(FADD, Fp::D, d, n, m);
                a.f3(FDIV, Fp::S4, d, n, m);
                a.f3(FSUB, Fp::D2, d, n, m);
                a.f3(FMUL, Fp::S, d, n, m);
                a.f3(FCMGT, Fp::S, d, n, m);
                a.f3(FCMGE, Fp::D2, d, n, m);
                a.f2(FSQRT, Fp::S, d, n);
                a.f2(FSQRT, Fp::D2, d, n);
                a.f2(FRINTI, Fp::D, d, n);
                a.f2(FRINTX, Fp::S4, d, n);
                a.f2(FRINTP, Fp::D2, d, n);
                a.f2(FRINTM, Fp::S4, d, n);
                a.f2(SCVTF, Fp::S4, d, n);
                a.f2(FCVTZS, Fp::D2, d, n);
                a.f2(FRINTZ, Fp::D2, d, n);
                a.f2(FRINTN, Fp::S4, d, n);
                a.fma(Fp::D, d, n, m, V(2), true, true);
                a.fcmp(Fp::D, n, m, true);
                a.fccmp(Fp::S, n, m, 0, Cond::Ge);
                a.fmax_across(Fp::D2, d, n);
                a.fmax_across(Fp::S4, d, n);
                a.fcvtl(d, n);
                a.fcvtn(d, n);
                a.scvtf_x(Size::X, Fp::S, d, X(3));
                a.fcvtzs_x(Size::W, Fp::D, X(3), n);
            },
            &[
                "fadd d1, d18, d31",
                "fdiv v1.4s, v18.4s, v31.4s",
                "fsub v1.2d, v18.2d, v31.2d",
                "fmul s1, s18, s31",
                "fcmgt s1, s18, s31",
                "fcmge v1.2d, v18.2d, v31.2d",
                "fsqrt s1, s18",
                "fsqrt v1.2d, v18.2d",
                "frinti d1, d18",
                "frintx v1.4s, v18.4s",
                "frintp v1.2d, v18.2d",
                "frintm v1.4s, v18.4s",
                "scvtf v1.4s, v18.4s",
                "fcvtzs v1.2d, v18.2d",
                "frintz v1.2d, v18.2d",
                "frintn v1.4s, v18.4s",
                "fnmadd d1, d18, d31, d2",
                "fcmpe d18, d31",
                "fccmp s18, s31, #0, ge",
                "fmaxp d1, v18.2d",
                "fmaxv s1, v18.4s",
                "fcvtl v1.2d, v18.2s",
                "fcvtn v1.2s, v18.2d",
                "scvtf s1, x3",
                "fcvtzs w3, d18",
            ],
        );
    }
}
