//! Multiplication and division. SF, ZF, AF and PF are undefined after all of these, and so are all flags after a division.

use super::Row;
use super::context::{Carry, Ctx, exception, size_of};
use crate::decode::{CF, Insn, Mnemonic, OF, Op};
use crate::emit::regs::*;
use crate::emit::{Alu, Cond, Label, Shift, Size};
use crate::helpers::Id;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[(Mul, mul), (Imul, imul), (Div, div), (Idiv, idiv), (Mulx, mulx)]
};

/// CF = OF = "the last comparison was not equal".
fn overflow_if_unequal(c: &mut Ctx) {
    // Equal: compare 0 with 0, so C = 1 (CF clear) and V = 0; else C = 0 (CF set) and V = 1.
    c.a.ccmp_imm(Size::X, ZR, 0, 1, Cond::Eq);
    c.carry = Carry::Inverted;
}

/// Puts a product of up to 8 bytes (`bytes` an operand) into AX, DX:AX or EDX:EAX.
fn put_wide(c: &mut Ctx, bytes: u32, product: X) {
    let (rax, rdx) = (gpr(0), gpr(2));
    match bytes {
        1 => c.a.bfi(Size::X, rax, product, 0, 16),
        2 => {
            c.a.bfi(Size::X, rax, product, 0, 16);
            c.a.ubfx(Size::W, T[3], product, 16, 16);
            c.a.bfi(Size::X, rdx, T[3], 0, 16);
        }
        _ => {
            c.a.mov(Size::W, rax, product);
            c.a.shift_imm(Shift::Lsr, Size::X, rdx, product, 32);
        }
    }
}

fn mul(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let v = c.read_zx(insn, 0, T[0]);
    let rax = gpr(0);
    let mut high = T[2];
    if bytes == 8 {
        high = high_half(c, v, |c, high| c.a.umulh(high, rax, v));
    } else {
        c.a.zext(bytes, T[1], rax);
        c.a.umull(T[1], T[1], v);
        put_wide(c, bytes, T[1]);
        if c.needs(CF | OF) {
            c.a.shift_imm(Shift::Lsr, Size::X, T[2], T[1], 8 * bytes);
        }
    }
    if c.needs(CF | OF) {
        c.a.alu_imm(Alu::Subs, Size::X, ZR, high, 0);
        overflow_if_unequal(c);
    }
}

/// RDX:RAX = RAX times `v`, RDX by `multiply`; returns where the high half is.
fn high_half(c: &mut Ctx, v: X, multiply: impl FnOnce(&mut Ctx, X)) -> X {
    let (rax, rdx) = (gpr(0), gpr(2));
    // The low half is still to come, of the same factors.
    let high = if v == rdx { T[2] } else { rdx };
    multiply(c, high);
    c.a.mul(Size::X, rax, rax, v);
    c.a.mov(Size::X, rdx, high);
    high
}

fn imul(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let flags = c.needs(CF | OF);
    if insn.op_count() == 1 {
        let rax = gpr(0);
        if bytes == 8 {
            let v = c.read(insn, 0, T[0]);
            let high = high_half(c, v, |c, high| c.a.smulh(high, rax, v));
            if flags {
                c.a.alu_shift(Alu::Subs, Size::X, ZR, high, rax, Shift::Asr, 63);
            }
        } else {
            c.read_sx(insn, 0, Size::W, T[0]);
            c.a.sext(bytes, Size::W, T[1], rax);
            c.a.smull(T[1], T[1], T[0]);
            put_wide(c, bytes, T[1]);
            if flags {
                c.a.sext(bytes, Size::X, T[2], T[1]);
                c.a.alu(Alu::Subs, Size::X, ZR, T[1], T[2]);
            }
        }
        if flags {
            overflow_if_unequal(c);
        }
        return;
    }
    // Two or three operands: the product cut to the operand's size.
    let first = if insn.op_count() == 3 { 1 } else { 0 };
    let a = match insn.op(first) {
        Op::Gpr { n, bytes: 4.., .. } if first == 0 => c.first(n),
        _ => c.read(insn, first, T[0]),
    };
    let b = match insn.op(first + 1) {
        Op::Imm(v) => {
            let v = match bytes {
                2 => v as i16 as u64,
                4 => v & 0xffff_ffff,
                _ => v,
            };
            c.a.constant(T[1], v);
            T[1]
        }
        _ => c.read(insn, 1, T[1]),
    };
    let Op::Gpr { n, .. } = insn.op(0) else { return c.undefined(insn) };
    let d = gpr(n);
    match bytes {
        8 if flags => {
            c.a.smulh(T[2], a, b);
            c.a.mul(Size::X, d, a, b);
            c.a.alu_shift(Alu::Subs, Size::X, ZR, T[2], d, Shift::Asr, 63);
        }
        4 if flags => {
            c.a.smull(T[2], a, b);
            c.a.sext(4, Size::X, T[3], T[2]);
            c.a.mov(Size::W, d, T[2]);
            c.a.alu(Alu::Subs, Size::X, ZR, T[3], T[2]);
        }
        2 => {
            c.a.sext(2, Size::W, T[2], a);
            c.a.sext(2, Size::W, T[3], b);
            c.a.mul(Size::W, T[2], T[2], T[3]);
            c.write_gpr(insn.op(0), T[2]);
            if flags {
                c.a.sext(2, Size::W, T[3], T[2]);
                c.a.alu(Alu::Subs, Size::W, ZR, T[3], T[2]);
            }
        }
        _ => c.a.mul(size_of(bytes), d, a, b),
    }
    if flags {
        overflow_if_unequal(c);
    }
}

/// MULX: the high half into operand 0, the low one into operand 1; no flags.
fn mulx(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let v = c.read(insn, 2, T[0]);
    let rdx = gpr(2);
    if bytes == 8 {
        c.a.umulh(T[2], rdx, v);
        c.a.mul(Size::X, T[1], rdx, v);
    } else {
        c.a.umull(T[1], rdx, v);
        c.a.shift_imm(Shift::Lsr, Size::X, T[2], T[1], 32);
    }
    // In this order: where both are the same register the high half stays.
    c.write_gpr(insn.op(1), T[1]);
    c.write_gpr(insn.op(0), T[2]);
}

fn divide_error(c: &mut Ctx) -> Label {
    c.cold(|c| c.raise(exception::DIVIDE))
}

/// Stores quotient T2 and remainder T3 of an operand of up to 4 bytes.
fn put_division(c: &mut Ctx, bytes: u32) {
    let (rax, rdx) = (gpr(0), gpr(2));
    match bytes {
        1 => {
            c.a.bfi(Size::W, T[2], T[3], 8, 8);
            c.a.bfi(Size::X, rax, T[2], 0, 16);
        }
        2 => {
            c.a.bfi(Size::X, rax, T[2], 0, 16);
            c.a.bfi(Size::X, rdx, T[3], 0, 16);
        }
        _ => {
            c.a.mov(Size::W, rax, T[2]);
            c.a.mov(Size::W, rdx, T[3]);
        }
    }
}

/// The dividend of a division by `bytes`, zero-extended in T1.
fn dividend(c: &mut Ctx, bytes: u32) {
    let (rax, rdx) = (gpr(0), gpr(2));
    match bytes {
        1 => c.a.zext(2, T[1], rax),
        2 => {
            c.a.zext(2, T[1], rax);
            c.a.bfi(Size::W, T[1], rdx, 16, 16);
        }
        _ => {
            c.a.mov(Size::W, T[1], rax);
            c.a.bfi(Size::X, T[1], rdx, 32, 32);
        }
    }
}

/// 64-bit division that needs all 128 bits of the dividend, out of the way: the helper sets RAX and RDX or raises #DE.
fn long_division(c: &mut Ctx, id: Id, divisor: X, done: Label) -> Label {
    c.cold(move |c| {
        c.a.mov(Size::X, T[1], divisor);
        c.helper(id);
        let at = c.at;
        c.exit_site(at, super::ExitKind::Exception);
        c.a.b(done);
    })
}

fn div(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let v = c.read_zx(insn, 0, T[0]);
    if bytes == 8 {
        // The helper's way leaves the carry canonical; both ways must agree.
        let live = c.live;
        c.canonical_carry(live);
        let done = c.a.label();
        let slow = long_division(c, Id::Div, v, done);
        let error = divide_error(c);
        let (rax, rdx) = (gpr(0), gpr(2));
        c.a.cbnz(Size::X, rdx, slow);
        c.a.cbz(Size::X, v, error);
        c.a.udiv(Size::X, T[2], rax, v);
        c.a.msub(Size::X, rdx, T[2], v, rax);
        c.a.mov(Size::X, rax, T[2]);
        c.a.bind(done);
        return;
    }
    let error = divide_error(c);
    dividend(c, bytes);
    c.a.cbz(Size::W, v, error);
    let size = if bytes == 4 { Size::X } else { Size::W };
    c.a.udiv(size, T[2], T[1], v);
    c.a.shift_imm(Shift::Lsr, Size::X, T[4], T[2], 8 * bytes);
    c.a.cbnz(Size::X, T[4], error);
    c.a.msub(size, T[3], T[2], v, T[1]);
    put_division(c, bytes);
}

fn idiv(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let error = divide_error(c);
    if bytes == 8 {
        let live = c.live;
        c.canonical_carry(live);
        let v = c.read(insn, 0, T[0]);
        let done = c.a.label();
        let slow = long_division(c, Id::Idiv, v, done);
        let (rax, rdx) = (gpr(0), gpr(2));
        c.a.cbz(Size::X, v, error);
        c.a.alu_shift(Alu::Eor, Size::X, T[2], rdx, rax, Shift::Asr, 63);
        c.a.cbnz(Size::X, T[2], slow);
        // By -1 the quotient may not fit.
        c.a.alu_imm(Alu::Add, Size::X, T[2], v, 1);
        c.a.cbz(Size::X, T[2], slow);
        c.a.sdiv(Size::X, T[2], rax, v);
        c.a.msub(Size::X, rdx, T[2], v, rax);
        c.a.mov(Size::X, rax, T[2]);
        c.a.bind(done);
        return;
    }
    let size = if bytes == 4 { Size::X } else { Size::W };
    c.read_sx(insn, 0, size, T[0]);
    dividend(c, bytes);
    if bytes == 1 {
        c.a.sext(2, Size::W, T[1], T[1]);
    }
    c.a.cbz(size, T[0], error);
    c.a.sdiv(size, T[2], T[1], T[0]);
    c.a.sext(bytes, size, T[4], T[2]);
    c.a.alu(Alu::Eor, size, T[4], T[4], T[2]);
    c.a.cbnz(size, T[4], error);
    c.a.msub(size, T[3], T[2], T[0], T[1]);
    put_division(c, bytes);
}
