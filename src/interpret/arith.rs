//! Arithmetic with its flags, in the form in which the state holds them. What is undefined by the SDM is what translated code leaves or anything else.

use super::operand::{cut, signed};
use crate::guest::CpuState;
use crate::guest::state::nzcv;
use crate::host::alu;

/// N and Z of a result; C, in its canonical (inverse) form, and V as told.
#[inline(always)]
fn status(r: u64, bytes: u32, carry: bool, overflow: bool) -> u64 {
    let bit = |is: bool, flag: u64| if is { flag } else { 0 };
    bit(r >> (8 * bytes - 1) & 1 != 0, nzcv::N) | bit(r == 0, nzcv::Z) | bit(!carry, nzcv::C) | bit(overflow, nzcv::V)
}

/// x86's CF.
#[inline(always)]
pub(super) fn carry(s: &CpuState) -> bool {
    s.nzcv & nzcv::C == 0
}

/// Does condition `cc`, as in the opcode's low four bits, hold?
#[inline(always)]
pub(super) fn holds(s: &CpuState, cc: u8) -> bool {
    let f = s.nzcv;
    let (n, z, v) = (f & nzcv::N != 0, f & nzcv::Z != 0, f & nzcv::V != 0);
    let is = match cc >> 1 & 7 {
        0 => v,
        1 => carry(s),
        2 => z,
        3 => carry(s) || z,
        4 => n,
        5 => (s.pf_result as u8).count_ones() & 1 == 0,
        6 => n != v,
        _ => z || n != v,
    };
    is != (cc & 1 != 0)
}

/// What [`binary`] computes. The order of the first eight is that of the opcodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binary {
    Add,
    Or,
    Adc,
    Sbb,
    And,
    Sub,
    Xor,
}

/// Result and flags of an operation on two operands, both cut to `bytes`: applied by [`Flags::set`] once the result is stored.
#[inline(always)]
pub(super) fn binary(s: &CpuState, op: Binary, bytes: u32, a: u64, b: u64) -> (u64, Flags) {
    let top = 8 * bytes - 1;
    match op {
        Binary::Add => {
            let (r, f) = alu::add(bytes, a, b);
            (r, Flags { nzcv: f ^ nzcv::C, result: r, af_xor: a ^ b })
        }
        Binary::Sub => {
            let (r, nzcv) = alu::sub(bytes, a, b);
            (r, Flags { nzcv, result: r, af_xor: a ^ b })
        }
        Binary::Adc => {
            let c = u64::from(carry(s));
            let (sum, one) = a.overflowing_add(b);
            let (sum, two) = sum.overflowing_add(c);
            let r = cut(sum, bytes);
            let out = if bytes == 8 { one || two } else { sum >> (8 * bytes) & 1 != 0 };
            (r, Flags { nzcv: status(r, bytes, out, (a ^ r) & (b ^ r) & 1 << top != 0), result: r, af_xor: a ^ b })
        }
        Binary::Sbb => {
            let c = u64::from(carry(s));
            let r = cut(a.wrapping_sub(b).wrapping_sub(c), bytes);
            let out = a < b || c != 0 && a == b;
            (r, Flags { nzcv: status(r, bytes, out, (a ^ b) & (a ^ r) & 1 << top != 0), result: r, af_xor: a ^ b })
        }
        Binary::And => logic(bytes, a, b),
        Binary::Or => logic(bytes, a | b, a | b),
        Binary::Xor => logic(bytes, a ^ b, a ^ b),
    }
}

/// Flags of a & b.
#[inline(always)]
fn logic(bytes: u32, a: u64, b: u64) -> (u64, Flags) {
    let (r, f) = alu::and(bytes, a, b);
    (r, Flags { nzcv: f | nzcv::C, result: r, af_xor: r })
}

/// Status flags to be.
#[derive(Clone, Copy)]
pub(super) struct Flags {
    nzcv: u64,
    result: u64,
    af_xor: u64,
}

impl Flags {
    #[inline(always)]
    pub fn set(self, s: &mut CpuState) {
        (s.nzcv, s.pf_result, s.af_xor) = (self.nzcv, self.result, self.af_xor);
    }
    /// All but CF.
    #[inline(always)]
    pub fn set_keeping_carry(self, s: &mut CpuState) {
        (s.nzcv, s.pf_result, s.af_xor) = (self.nzcv & !nzcv::C | s.nzcv & nzcv::C, self.result, self.af_xor);
    }
}

/// CF and OF alone.
pub(super) fn set_carry_overflow(s: &mut CpuState, carry: bool, overflow: bool) {
    s.nzcv = s.nzcv & (nzcv::N | nzcv::Z) | if carry { 0 } else { nzcv::C } | if overflow { nzcv::V } else { 0 };
}

/// CF alone.
pub(super) fn set_carry(s: &mut CpuState, carry: bool) {
    s.nzcv = s.nzcv & !nzcv::C | if carry { 0 } else { nzcv::C };
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shift {
    Left,
    Right,
    Arithmetic,
}

/// A shift by `count`, masked already and not 0. CF and OF as SHL, SHR, SAR in SDM vol. 2 (OF is defined for a count of one).
pub(super) fn shift(op: Shift, bytes: u32, a: u64, count: u32) -> (u64, Flags) {
    let bits = 8 * bytes;
    let (r, carry, overflow) = match op {
        Shift::Left => {
            let r = cut(a << count, bytes);
            let carry = count <= bits && a >> (bits - count) & 1 != 0;
            (r, carry, (a ^ a << 1) >> (bits - 1) & 1 != 0)
        }
        Shift::Right => (a >> count, a >> (count - 1) & 1 != 0, a >> (bits - 1) & 1 != 0),
        Shift::Arithmetic => {
            let a = signed(a, bytes);
            (cut((a >> count) as u64, bytes), a >> (count - 1) & 1 != 0, false)
        }
    };
    (r, Flags { nzcv: status(r, bytes, carry, overflow), result: r, af_xor: r })
}

/// ROL or ROR of 4 or 8 bytes by `count`, masked already and not 0: the result, CF and OF (defined for a count of one).
pub(super) fn rotate(bytes: u32, a: u64, count: u32, left: bool) -> (u64, bool, bool) {
    let r = match (bytes, left) {
        (8, true) => a.rotate_left(count),
        (8, false) => a.rotate_right(count),
        (_, true) => u64::from((a as u32).rotate_left(count)),
        (_, false) => u64::from((a as u32).rotate_right(count)),
    };
    let (top, next) = (r >> (8 * bytes - 1) & 1 != 0, r >> (8 * bytes - 2) & 1 != 0);
    if left { (r, r & 1 != 0, top != (r & 1 != 0)) } else { (r, top, top != next) }
}

/// The low part of a signed product, and whether it is not all of it.
pub(super) fn signed_product(bytes: u32, a: u64, b: u64) -> (u64, bool) {
    let product = i128::from(signed(a, bytes)) * i128::from(signed(b, bytes));
    let r = cut(product as u64, bytes);
    (r, i128::from(signed(r, bytes)) != product)
}
