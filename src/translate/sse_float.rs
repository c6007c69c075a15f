//! SSE floating point: arithmetic, comparison, rounding, horizontal forms. Bit-exact: NaNs are x86's (see `vector`), MIN and MAX too.

use super::Row;
use super::context::{Carry, Ctx};
use super::sse_shuffle::select;
use super::vector::{FIRST, SECOND, immediate};
use crate::decode::{AF, Insn, Mnemonic, OF, Op, PF, SF, ZF, CF};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, F2, F3, Fp, ops::*};
use crate::emit::{Alu, Cond, Size};

/// Rows for the four shapes of an operation: mnemonics of PS, PD, SS, SD.
macro_rules! four { ($($ps:ident $pd:ident $ss:ident $sd:ident = $f:expr;)*) => {
    /// Mnemonics that come in four shapes.
    pub const FOUR: &[Row] = &[$(
        (Mnemonic::$ps, |c, i| two(c, i, Fp::S4, $f)),
        (Mnemonic::$pd, |c, i| two(c, i, Fp::D2, $f)),
        (Mnemonic::$ss, |c, i| two(c, i, Fp::S, $f)),
        (Mnemonic::$sd, |c, i| two(c, i, Fp::D, $f)),
    )*];
} }
four! {
    Addps Addpd Addss Addsd = |c, fp, d, a, b| arith(c, FADD, fp, d, a, b);
    Subps Subpd Subss Subsd = |c, fp, d, a, b| arith(c, FSUB, fp, d, a, b);
    Mulps Mulpd Mulss Mulsd = |c, fp, d, a, b| arith(c, FMUL, fp, d, a, b);
    Divps Divpd Divss Divsd = |c, fp, d, a, b| arith(c, FDIV, fp, d, a, b);
    Minps Minpd Minss Minsd = |c, fp, d, a, b| extreme(c, Extreme::Min, fp, d, a, b);
    Maxps Maxpd Maxss Maxsd = |c, fp, d, a, b| extreme(c, Extreme::Max, fp, d, a, b);
    Sqrtps Sqrtpd Sqrtss Sqrtsd = |c, fp, d, a, b| sqrt(c, fp, d, a, b);
}

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Cmpps, |c, i| compare_by(c, i, Fp::S4)),
        (Cmppd, |c, i| compare_by(c, i, Fp::D2)),
        (Cmpss, |c, i| compare_by(c, i, Fp::S)),
        (Cmpsd, |c, i| compare_by(c, i, Fp::D)),
        (Ucomiss, |c, i| compare_flags(c, i, Fp::S, false)),
        (Ucomisd, |c, i| compare_flags(c, i, Fp::D, false)),
        (Comiss, |c, i| compare_flags(c, i, Fp::S, true)),
        (Comisd, |c, i| compare_flags(c, i, Fp::D, true)),
        (Haddps, |c, i| two(c, i, Fp::S4, |c, fp, d, a, b| horizontal(c, FADD, fp, d, a, b))),
        (Haddpd, |c, i| two(c, i, Fp::D2, |c, fp, d, a, b| horizontal(c, FADD, fp, d, a, b))),
        (Hsubps, |c, i| two(c, i, Fp::S4, |c, fp, d, a, b| horizontal(c, FSUB, fp, d, a, b))),
        (Hsubpd, |c, i| two(c, i, Fp::D2, |c, fp, d, a, b| horizontal(c, FSUB, fp, d, a, b))),
        (Addsubps, |c, i| two(c, i, Fp::S4, add_sub)),
        (Addsubpd, |c, i| two(c, i, Fp::D2, add_sub)),
        (Roundps, |c, i| round_by(c, i, Fp::S4)),
        (Roundpd, |c, i| round_by(c, i, Fp::D2)),
        (Roundss, |c, i| round_by(c, i, Fp::S)),
        (Roundsd, |c, i| round_by(c, i, Fp::D)),
        (Dpps, |c, i| dot(c, i, Fp::S4)),
        (Dppd, |c, i| dot(c, i, Fp::D2)),
    ]
};

/// An operation on registers of a shape. Scalar ones keep the rest of `a` in `d`.
pub type FpBin = fn(&mut Ctx, Fp, V, V, V);

/// A two-operand instruction, the first being destination too.
fn two(c: &mut Ctx, insn: &Insn, fp: Fp, f: FpBin) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = source(c, insn, fp);
    f(c, fp, xmm(n), xmm(n), b);
}

fn source(c: &mut Ctx, insn: &Insn, fp: Fp) -> V {
    if fp.scalar() { c.read_v(insn, 1, fp.bytes(), SECOND) } else { c.read_aligned(insn, 1, SECOND) }
}

/// Puts a scalar result into `d`, whose rest is a's.
pub fn merge(c: &mut Ctx, fp: Fp, d: V, a: V, r: V) {
    if d != a && a.0.checked_sub(xmm(0).0).is_some_and(|n| u32::from(c.zero_from(n)) <= fp.bytes()) {
        return if fp.double() { c.a.vmov64(d, r) } else { c.a.vmov32(d, r) };
    }
    c.a.vmov(d, a);
    c.a.ins(fp.bytes().trailing_zeros(), d, 0, r, 0);
}

/// `d = a op b` with x86's NaNs.
pub fn arith(c: &mut Ctx, op: F3, fp: Fp, d: V, a: V, b: V) {
    if fp.scalar() {
        c.a.f3(op, fp, V(0), a, b);
        c.choose_nan(fp, V(0), a, b);
        return merge(c, fp, d, a, V(0));
    }
    if !c.exact_nan() {
        return c.a.f3(op, fp, d, a, b);
    }
    let (a, b) = keep(c, d, a, b);
    c.a.f3(op, fp, d, a, b);
    c.choose_nan(fp, d, a, b);
}

/// Copies of those sources that the destination overwrites, in v1 and v2.
fn keep(c: &mut Ctx, d: V, a: V, b: V) -> (V, V) {
    let kept_a = if d == a { V(1) } else { a };
    c.a.vmov(kept_a, a);
    if d != b {
        return (kept_a, b);
    }
    if a == b {
        return (kept_a, kept_a);
    }
    c.a.vmov(V(2), b);
    (kept_a, V(2))
}

/// Minimum or maximum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Extreme {
    Min,
    Max,
}

/// MIN, MAX: `a < b ? a : b` (or `>`): the second operand if they are equal or unordered.
pub fn extreme(c: &mut Ctx, kind: Extreme, fp: Fp, d: V, a: V, b: V) {
    if c.a.features.afp {
        // With FPCR.AH the host's own are x86's (Arm ARM, FPMax with altfp).
        let op = if kind == Extreme::Min { FMIN } else { FMAX };
        let r = if fp.scalar() { V(0) } else { d };
        c.a.f3(op, fp, r, a, b);
        if fp.scalar() {
            merge(c, fp, d, a, r);
        }
        return;
    }
    match kind {
        Extreme::Min => c.a.f3(FCMGT, fp, V(0), b, a),
        Extreme::Max => c.a.f3(FCMGT, fp, V(0), a, b),
    }
    let r = if fp.scalar() {
        c.a.vlogic(BSL, V(0), a, b);
        V(0)
    } else {
        select(c, d, b, a, V(0));
        d
    };
    // With denormals taken for zeros the result is one too: what compares equal to zero keeps its sign only.
    c.a.f2(FCMEQ0, fp, V(1), r);
    c.a.vshift(USHR, fp.arr(), V(1), V(1), 1);
    c.a.vlogic(BIC, r, r, V(1));
    if fp.scalar() {
        merge(c, fp, d, a, r);
    }
}

/// Square root of b; a negative operand gives the negative default NaN.
pub fn sqrt(c: &mut Ctx, fp: Fp, d: V, a: V, b: V) {
    let b = if d == b && !fp.scalar() {
        c.a.vmov(V(1), b);
        V(1)
    } else {
        b
    };
    let r = if fp.scalar() { V(0) } else { d };
    c.a.f2(FSQRT, fp, r, b);
    c.choose_nan(fp, r, b, b);
    if fp.scalar() {
        merge(c, fp, d, a, r);
    }
}

/// HADD, HSUB: neighbours in a, then in b.
pub fn horizontal(c: &mut Ctx, op: F3, fp: Fp, d: V, a: V, b: V) {
    c.a.v3(UZP1, fp.arr(), V(1), a, b);
    c.a.v3(UZP2, fp.arr(), V(2), a, b);
    c.a.f3(op, fp, d, V(1), V(2));
    c.choose_nan(fp, d, V(1), V(2));
}

/// ADDSUB: even lanes a - b, odd ones a + b. Adding the negated operand raises what subtracting it does.
pub fn add_sub(c: &mut Ctx, fp: Fp, d: V, a: V, b: V) {
    let signs = if fp.double() { 1 << 63 } else { 0x8000_0000_0000_0000_8000_0000u128 };
    c.a.vector_constant(V(0), signs);
    if c.a.features.afp {
        // The host hands NaNs on by itself: they must keep their sign.
        c.a.f3(FCMEQ, fp, V(3), b, b);
        c.a.vlogic(AND, V(0), V(0), V(3));
    }
    c.a.vlogic(EOR, V(0), V(0), b);
    let (a, b) = keep(c, d, a, b);
    c.a.f3(FADD, fp, d, a, V(0));
    c.choose_nan(fp, d, a, b);
}

/// CMPxx by predicate 0 to 7: all ones where it holds.
fn compare_by(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = source(c, insn, fp);
    compare(c, fp, xmm(n), xmm(n), b, immediate(insn) & 7);
}

/// `d = a predicate b` (EQ LT LE UNORD NEQ NLT NLE ORD).
pub fn compare(c: &mut Ctx, fp: Fp, d: V, a: V, b: V, predicate: u32) {
    let r = if fp.scalar() { V(0) } else { d };
    match predicate & 3 {
        0 => c.a.f3(FCMEQ, fp, r, a, b),
        1 => c.a.f3(FCMGT, fp, r, b, a),
        2 => c.a.f3(FCMGE, fp, r, b, a),
        _ => {
            // Ordered: each equals itself.
            c.a.f3(FCMEQ, fp, V(1), a, a);
            c.a.f3(FCMEQ, fp, V(2), b, b);
            c.a.vlogic(AND, r, V(1), V(2));
        }
    }
    // UNORD is the negation of ORD; of the rest the upper four negate.
    if (predicate & 4 != 0) != (predicate & 3 == 3) {
        c.a.v2(NOT, Arr::B16, r, r);
    }
    if fp.scalar() {
        merge(c, fp, d, a, r);
    }
}

/// (U)COMISS, (U)COMISD.
pub fn compare_flags(c: &mut Ctx, insn: &Insn, fp: Fp, signal: bool) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = source(c, insn, fp);
    compare_into_flags(c, fp, xmm(n), b, signal);
}

/// Compares scalars: unordered ZF PF CF = 111, greater 000, less 001, equal 100; OF, SF and AF clear.
pub fn compare_into_flags(c: &mut Ctx, fp: Fp, a: V, b: V, signal: bool) {
    let parity = c.needs(PF | AF);
    c.a.fcmp(fp, a, b, signal);
    c.carry = Carry::Inverted;
    if c.a.features.flagm2 {
        if parity {
            c.a.cset(PFR, Cond::Vc);
            c.a.mov(Size::X, AFX, PFR);
        }
        return c.a.axflag();
    }
    if parity {
        c.a.mov_imm(PFR, 1);
        c.a.mov_imm(AFX, 1);
    }
    // The host's C and Z are right unless unordered; N is set for "less".
    if c.needs(ZF | CF | PF | AF | OF) {
        let back = c.a.label();
        let unordered = c.cold(move |c| {
            c.a.mov_imm(T[0], 1 << 30);
            c.a.write_nzcv(T[0]);
            if parity {
                c.a.mov_imm(PFR, 0);
                c.a.mov_imm(AFX, 0);
            }
            c.a.b(back);
        });
        c.a.b_cond(Cond::Vs, unordered);
        if c.needs(SF | OF) {
            c.a.fccmp(fp, a, b, 0, Cond::Ge);
        }
        c.a.bind(back);
    } else if c.needs(SF) {
        c.a.alu(Alu::Ands, Size::X, ZR, ZR, ZR);
    }
}

/// The host's rounding by the constant of ROUNDxx: bits 0-1 the mode unless bit 2 says MXCSR's; bit 3 suppresses inexact.
fn round_op(imm: u32) -> F2 {
    match imm & 7 {
        0 => FRINTN,
        1 => FRINTM,
        2 => FRINTP,
        3 => FRINTZ,
        _ if imm & 8 != 0 => FRINTI,
        _ => FRINTX,
    }
}

fn round_by(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = source(c, insn, fp);
    round(c, fp, xmm(n), xmm(n), b, immediate(insn));
}

/// ROUNDxx of b.
pub fn round(c: &mut Ctx, fp: Fp, d: V, a: V, b: V, imm: u32) {
    if imm & 8 == 0 && imm & 4 == 0 {
        // Only FRINTX raises inexact; what it raises does not depend on the mode.
        c.a.f2(FRINTX, fp, V(0), b);
    }
    let r = if fp.scalar() { V(0) } else { d };
    c.a.f2(round_op(imm), fp, r, b);
    if fp.scalar() {
        merge(c, fp, d, a, r);
    }
}

fn dot(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = source(c, insn, fp);
    dot_product(c, fp, xmm(n), xmm(n), b, immediate(insn));
}

/// DPPS, DPPD: products of the lanes that imm[7:4] names (others zero), summed in pairs, to the lanes that imm[3:0] names.
pub fn dot_product(c: &mut Ctx, fp: Fp, d: V, a: V, b: V, imm: u32) {
    let lanes = if fp.double() { 2 } else { 4 };
    let bits = 8 * fp.bytes();
    let mask = |field: u32| (0..lanes).filter(|i| field >> i & 1 != 0).fold(0u128, |m, i| m | ((1u128 << bits) - 1) << (bits * i));
    // Operands of lanes that are left out are zero, so that they raise nothing. Sources may lie in v6 and v7.
    let (x, y) = if b == FIRST || a == SECOND { (SECOND, FIRST) } else { (FIRST, SECOND) };
    c.a.vector_constant(V(0), mask(imm >> 4));
    c.a.vlogic(AND, x, a, V(0));
    c.a.vlogic(AND, y, b, V(0));
    arith(c, FMUL, fp, x, x, y);
    c.a.vector_constant(V(0), mask(imm >> 4));
    c.a.vlogic(AND, x, x, V(0));
    if fp.double() {
        c.a.ext(y, x, x, 8);
        arith(c, FADD, fp, x, x, y);
        c.a.dup(Arr::D2, x, x, 0);
    } else {
        // (0 + 1, 2 + 3), then their sum.
        c.a.v3(UZP1, Arr::S4, y, x, x);
        c.a.v3(UZP2, Arr::S4, x, x, x);
        arith(c, FADD, fp, x, y, x);
        c.a.dup(Arr::S4, y, x, 0);
        c.a.dup(Arr::S4, x, x, 1);
        arith(c, FADD, fp, x, y, x);
        c.a.dup(Arr::S4, x, x, 0);
    }
    c.a.vector_constant(V(0), mask(imm));
    c.a.vlogic(AND, d, x, V(0));
}
