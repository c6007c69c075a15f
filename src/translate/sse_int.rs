//! SSE and MMX integer arithmetic: lane by lane, horizontal, shifts, comparisons and masks.

use super::Row;
use super::context::Ctx;
use super::vector::{FIRST, SECOND, immediate, packed, shaped};
use crate::decode::{CF, Insn, Mnemonic, Op, PF, AF, OF, SF, ZF};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, V3, Vs, ops::*};
use crate::emit::{Alu, Cond, Shift, Size};

/// One AArch64 instruction each, lane by lane.
macro_rules! lanewise { ($($m:ident $op:ident $arr:ident;)*) => {
    /// Mnemonics that are one host instruction.
    pub const LANES: &[Row] = &[$((Mnemonic::$m, |c, i| packed(c, i, |c, d, a, b| c.a.v3($op, Arr::$arr, d, a, b)))),*];
} }
lanewise! {
    Paddb ADD B16;  Paddw ADD H8;  Paddd ADD S4;  Paddq ADD D2;
    Psubb SUB B16;  Psubw SUB H8;  Psubd SUB S4;  Psubq SUB D2;
    Paddsb SQADD B16;  Paddsw SQADD H8;  Paddusb UQADD B16;  Paddusw UQADD H8;
    Psubsb SQSUB B16;  Psubsw SQSUB H8;  Psubusb UQSUB B16;  Psubusw UQSUB H8;
    Pmullw MUL H8;  Pmulld MUL S4;
    Pavgb URHADD B16;  Pavgw URHADD H8;
    Pminub UMIN B16;  Pminuw UMIN H8;  Pminud UMIN S4;  Pminsb SMIN B16;  Pminsw SMIN H8;  Pminsd SMIN S4;
    Pmaxub UMAX B16;  Pmaxuw UMAX H8;  Pmaxud UMAX S4;  Pmaxsb SMAX B16;  Pmaxsw SMAX H8;  Pmaxsd SMAX S4;
    Pcmpgtb CMGT B16;  Pcmpgtw CMGT H8;  Pcmpgtd CMGT S4;  Pcmpgtq CMGT D2;
    Pand AND B16;  Andps AND B16;  Andpd AND B16;  Por ORR B16;  Orps ORR B16;  Orpd ORR B16;
}

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Pandn, |c, i| packed(c, i, and_not)),
        (Andnps, |c, i| packed(c, i, and_not)),
        (Andnpd, |c, i| packed(c, i, and_not)),
        (Pxor, |c, i| packed(c, i, xor)),
        (Xorps, |c, i| packed(c, i, xor)),
        (Xorpd, |c, i| packed(c, i, xor)),
        (Pcmpeqb, |c, i| packed(c, i, |c, d, a, b| equal(c, Arr::B16, d, a, b))),
        (Pcmpeqw, |c, i| packed(c, i, |c, d, a, b| equal(c, Arr::H8, d, a, b))),
        (Pcmpeqd, |c, i| packed(c, i, |c, d, a, b| equal(c, Arr::S4, d, a, b))),
        (Pcmpeqq, |c, i| packed(c, i, |c, d, a, b| equal(c, Arr::D2, d, a, b))),
        (Pmulhw, |c, i| packed(c, i, |c, d, a, b| multiply_high(c, SMULL, d, a, b))),
        (Pmulhuw, |c, i| packed(c, i, |c, d, a, b| multiply_high(c, UMULL, d, a, b))),
        (Pmulhrsw, |c, i| packed(c, i, multiply_rounded)),
        (Pmuludq, |c, i| packed(c, i, |c, d, a, b| multiply_even(c, UMULL, d, a, b))),
        (Pmuldq, |c, i| packed(c, i, |c, d, a, b| multiply_even(c, SMULL, d, a, b))),
        (Pmaddwd, |c, i| packed(c, i, multiply_add)),
        (Pmaddubsw, |c, i| packed(c, i, multiply_add_bytes)),
        (Psadbw, |c, i| packed(c, i, sum_differences)),
        (Psignb, |c, i| packed(c, i, |c, d, a, b| sign(c, Arr::B16, d, a, b))),
        (Psignw, |c, i| packed(c, i, |c, d, a, b| sign(c, Arr::H8, d, a, b))),
        (Psignd, |c, i| packed(c, i, |c, d, a, b| sign(c, Arr::S4, d, a, b))),
        (Pabsb, |c, i| packed(c, i, |c, d, _, b| c.a.v2(ABS, Arr::B16, d, b))),
        (Pabsw, |c, i| packed(c, i, |c, d, _, b| c.a.v2(ABS, Arr::H8, d, b))),
        (Pabsd, |c, i| packed(c, i, |c, d, _, b| c.a.v2(ABS, Arr::S4, d, b))),
        (Phaddw, |c, i| shaped(c, i, Arr::H8, |c, arr, d, a, b| c.a.v3(ADDP, arr, d, a, b))),
        (Phaddd, |c, i| shaped(c, i, Arr::S4, |c, arr, d, a, b| c.a.v3(ADDP, arr, d, a, b))),
        (Phaddsw, |c, i| shaped(c, i, Arr::H8, |c, arr, d, a, b| pairs(c, SQADD, arr, d, a, b))),
        (Phsubw, |c, i| shaped(c, i, Arr::H8, |c, arr, d, a, b| pairs(c, SUB, arr, d, a, b))),
        (Phsubd, |c, i| shaped(c, i, Arr::S4, |c, arr, d, a, b| pairs(c, SUB, arr, d, a, b))),
        (Phsubsw, |c, i| shaped(c, i, Arr::H8, |c, arr, d, a, b| pairs(c, SQSUB, arr, d, a, b))),
        (Phminposuw, |c, i| packed(c, i, |c, d, _, b| minimum_position(c, d, b))),
        (Mpsadbw, |c, i| {
            let Op::Xmm(n) = i.op(0) else { return c.undefined(i) };
            let b = c.read_aligned(i, 1, SECOND);
            block_differences(c, xmm(n), xmm(n), b, immediate(i));
        }),
        (Psllw, |c, i| shift(c, i, Kind::Left, Arr::H8)),
        (Pslld, |c, i| shift(c, i, Kind::Left, Arr::S4)),
        (Psllq, |c, i| shift(c, i, Kind::Left, Arr::D2)),
        (Psrlw, |c, i| shift(c, i, Kind::Right, Arr::H8)),
        (Psrld, |c, i| shift(c, i, Kind::Right, Arr::S4)),
        (Psrlq, |c, i| shift(c, i, Kind::Right, Arr::D2)),
        (Psraw, |c, i| shift(c, i, Kind::Arithmetic, Arr::H8)),
        (Psrad, |c, i| shift(c, i, Kind::Arithmetic, Arr::S4)),
        (Pslldq, |c, i| shift_bytes(c, i, true)),
        (Psrldq, |c, i| shift_bytes(c, i, false)),
        (Pmovmskb, |c, i| mask(c, i, byte_mask)),
        (Movmskps, |c, i| mask(c, i, single_mask)),
        (Movmskpd, |c, i| mask(c, i, double_mask)),
        (Ptest, |c, i| {
            let Op::Xmm(n) = i.op(0) else { return c.undefined(i) };
            let b = c.read_aligned(i, 1, SECOND);
            test(c, xmm(n), b);
        }),
    ]
};

/// `d = !a & b`.
pub fn and_not(c: &mut Ctx, d: V, a: V, b: V) {
    c.a.vlogic(BIC, d, b, a);
}

/// Exclusive or; of a register with itself: zero without a dependency.
pub fn xor(c: &mut Ctx, d: V, a: V, b: V) {
    if a == b { c.a.vzero(d) } else { c.a.vlogic(EOR, d, a, b) }
}

/// Lanes equal: all ones.
pub fn equal(c: &mut Ctx, arr: Arr, d: V, a: V, b: V) {
    if a == b { c.a.vones(d) } else { c.a.v3(CMEQ, arr, d, a, b) }
}

/// Upper halves of the products of halfwords.
pub fn multiply_high(c: &mut Ctx, op: V3, d: V, a: V, b: V) {
    c.a.v3(op, Arr::H4, V(0), a, b);
    c.a.v3(op, Arr::H8, V(1), a, b);
    c.a.v3(UZP2, Arr::H8, d, V(0), V(1));
}

/// PMULHRSW: bits 30 to 15 of the product, rounded.
pub fn multiply_rounded(c: &mut Ctx, d: V, a: V, b: V) {
    c.a.v3(SMULL, Arr::H4, V(0), a, b);
    c.a.v3(SMULL, Arr::H8, V(1), a, b);
    c.a.vshift(RSHRN, Arr::H4, d, V(0), 15);
    c.a.vshift(RSHRN, Arr::H8, d, V(1), 15);
}

/// Products of the even words, 64 bits wide.
pub fn multiply_even(c: &mut Ctx, op: V3, d: V, a: V, b: V) {
    c.a.v2(XTN, Arr::S2, V(0), a);
    c.a.v2(XTN, Arr::S2, V(1), b);
    c.a.v3(op, Arr::S2, d, V(0), V(1));
}

/// PMADDWD: sums of two neighbouring products.
pub fn multiply_add(c: &mut Ctx, d: V, a: V, b: V) {
    c.a.v3(SMULL, Arr::H4, V(0), a, b);
    c.a.v3(SMULL, Arr::H8, V(1), a, b);
    c.a.v3(ADDP, Arr::S4, d, V(0), V(1));
}

/// PMADDUBSW: unsigned bytes of a times signed bytes of b, neighbours added with saturation.
pub fn multiply_add_bytes(c: &mut Ctx, d: V, a: V, b: V) {
    c.a.movi_h(V(0), 0xff, 0);
    c.a.vlogic(AND, V(0), V(0), a);
    c.a.vshift(USHR, Arr::H8, V(1), a, 8);
    c.a.vshift(SHL, Arr::H8, V(2), b, 8);
    c.a.vshift(SSHR, Arr::H8, V(2), V(2), 8);
    c.a.vshift(SSHR, Arr::H8, V(3), b, 8);
    c.a.v3(MUL, Arr::H8, V(0), V(0), V(2));
    c.a.v3(MUL, Arr::H8, V(1), V(1), V(3));
    c.a.v3(SQADD, Arr::H8, d, V(0), V(1));
}

/// PSADBW.
pub fn sum_differences(c: &mut Ctx, d: V, a: V, b: V) {
    c.a.v3(UABD, Arr::B16, V(0), a, b);
    c.a.v2(UADDLP, Arr::B16, V(0), V(0));
    c.a.v2(UADDLP, Arr::H8, V(0), V(0));
    c.a.v2(UADDLP, Arr::S4, d, V(0));
}

/// PSIGN: a negated, cleared or kept by the sign of b.
pub fn sign(c: &mut Ctx, arr: Arr, d: V, a: V, b: V) {
    c.a.v2(CMLT0, arr, V(0), b);
    c.a.v2(CMEQ0, arr, V(1), b);
    c.a.vlogic(EOR, V(2), a, V(0));
    c.a.v3(SUB, arr, V(2), V(2), V(0));
    c.a.vlogic(BIC, d, V(2), V(1));
}

/// Even lanes of a and b `op` odd lanes.
pub fn pairs(c: &mut Ctx, op: V3, arr: Arr, d: V, a: V, b: V) {
    c.a.v3(UZP1, arr, V(0), a, b);
    c.a.v3(UZP2, arr, V(1), a, b);
    c.a.v3(op, arr, d, V(0), V(1));
}

/// PHMINPOSUW: the smallest halfword and the lowest lane that holds it.
pub fn minimum_position(c: &mut Ctx, d: V, a: V) {
    c.a.v2(UMINV, Arr::H8, V(0), a);
    c.a.dup(Arr::H8, V(1), V(0), 0);
    c.a.v3(CMEQ, Arr::H8, V(1), a, V(1));
    c.a.vector_constant(V(2), 0x0007_0006_0005_0004_0003_0002_0001_0000);
    c.a.vlogic(ORN, V(2), V(2), V(1));
    c.a.v2(UMINV, Arr::H8, V(2), V(2));
    c.a.ins(1, V(0), 1, V(2), 0);
    c.a.vmov(d, V(0));
}

/// MPSADBW: eight sums of four differences: windows of a from byte 0 or 4 on, against one word of b.
pub fn block_differences(c: &mut Ctx, d: V, a: V, b: V, imm: u32) {
    let from = if imm & 4 != 0 { 4 } else { 0 };
    c.a.dup(Arr::S4, V(4), b, imm & 3);
    for k in 0..4 {
        // Words 0 and 1 of window k: the sums k and k + 4.
        let t = V(k as u8);
        c.a.ext(t, a, a, from + k);
        c.a.v3(UABD, Arr::B8, t, t, V(4));
        c.a.v2(UADDLP, Arr::B8, t, t);
        c.a.v2(UADDLP, Arr::H4, t, t);
    }
    c.a.vshift(SLI, Arr::S4, V(0), V(1), 16);
    c.a.vshift(SLI, Arr::S4, V(2), V(3), 16);
    c.a.v3(ZIP1, Arr::S4, d, V(0), V(2));
}

/// Vector shifts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    Left,
    Right,
    Arithmetic,
}

impl Kind {
    fn by_constant(self) -> Vs {
        match self {
            Kind::Left => SHL,
            Kind::Right => USHR,
            Kind::Arithmetic => SSHR,
        }
    }
}

/// Shift by a constant; beyond the lane's bits zero, or all sign.
pub fn shift_constant(c: &mut Ctx, kind: Kind, arr: Arr, d: V, a: V, count: u32) {
    let bits = arr.lane_bits();
    match count {
        0 => c.a.vmov(d, a),
        n if n < bits => c.a.vshift(kind.by_constant(), arr, d, a, n),
        _ if kind == Kind::Arithmetic => c.a.vshift(SSHR, arr, d, a, bits),
        _ => c.a.vzero(d),
    }
}

/// Shift of all lanes by the low 64 bits of `count`.
pub fn shift_variable(c: &mut Ctx, kind: Kind, arr: Arr, d: V, a: V, count: V) {
    // The count, at most 64, in every lane; the host's shift takes the low byte as a signed number.
    c.a.v2(UQXTN, Arr::S2, V(0), count);
    c.a.movi_s(V(1), 64, 0);
    c.a.v3(UMIN, Arr::S2, V(0), V(0), V(1));
    if kind != Kind::Left {
        c.a.v2(NEG, Arr::S2, V(0), V(0));
    }
    c.a.dup(arr, V(0), V(0), 0);
    c.a.v3(if kind == Kind::Arithmetic { SSHL } else { USHL }, arr, d, a, V(0));
}

fn shift(c: &mut Ctx, insn: &Insn, kind: Kind, arr: Arr) {
    let count = match insn.op(1) {
        Op::Imm(_) => None,
        Op::Mem if matches!(insn.op(0), Op::Xmm(_)) => Some(c.read_aligned(insn, 1, SECOND)),
        _ => Some(c.read_v(insn, 1, 8, SECOND)),
    };
    let (d, a, mmx) = match insn.op(0) {
        Op::Xmm(n) => (xmm(n), c.first_xmm(n), None),
        Op::Mmx(n) => {
            c.read_mmx(FIRST, n);
            (FIRST, FIRST, Some(n))
        }
        _ => return c.undefined(insn),
    };
    match count {
        None => shift_constant(c, kind, arr, d, a, immediate(insn)),
        Some(count) => shift_variable(c, kind, arr, d, a, count),
    }
    if let Some(n) = mmx {
        c.write_mmx(n, d);
    }
}

/// Shift of the whole register by bytes.
pub fn shift_whole(c: &mut Ctx, left: bool, d: V, a: V, bytes: u32) {
    match bytes {
        0 => c.a.vmov(d, a),
        1..=15 => {
            c.a.vzero(V(0));
            if left { c.a.ext(d, V(0), a, 16 - bytes) } else { c.a.ext(d, a, V(0), bytes) }
        }
        _ => c.a.vzero(d),
    }
}

fn shift_bytes(c: &mut Ctx, insn: &Insn, left: bool) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let a = c.first_xmm(n);
    shift_whole(c, left, xmm(n), a, immediate(insn));
}

fn mask(c: &mut Ctx, insn: &Insn, f: fn(&mut Ctx, X, V)) {
    let Op::Gpr { n, .. } = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_v(insn, 1, 16, SECOND);
    f(c, gpr(n), s);
    if let Op::Mmx(_) = insn.op(1) {
        c.mmx_enter();
    }
}

/// Top bits of the bytes.
pub fn byte_mask(c: &mut Ctx, d: X, s: V) {
    c.a.vector_constant(V(1), 0x8040_2010_0804_0201_8040_2010_0804_0201);
    c.a.v2(CMLT0, Arr::B16, V(0), s);
    c.a.vlogic(AND, V(0), V(0), V(1));
    for _ in 0..3 {
        c.a.v3(ADDP, Arr::B16, V(0), V(0), V(0));
    }
    c.a.umov(1, d, V(0), 0);
}

/// Signs of the four singles.
pub fn single_mask(c: &mut Ctx, d: X, s: V) {
    c.a.vshift(USHR, Arr::S4, V(0), s, 31);
    c.a.vshift(USRA, Arr::D2, V(0), V(0), 31);
    c.a.umov(2, T[0], V(0), 2);
    c.a.umov(2, d, V(0), 0);
    c.a.alu_shift(Alu::Orr, Size::W, d, d, T[0], Shift::Lsl, 2);
}

/// Signs of the two doubles.
pub fn double_mask(c: &mut Ctx, d: X, s: V) {
    c.a.vshift(USHR, Arr::D2, V(0), s, 63);
    c.a.umov(3, T[0], V(0), 1);
    c.a.fmov_to(Size::X, d, V(0));
    c.a.alu_shift(Alu::Orr, Size::W, d, d, T[0], Shift::Lsl, 1);
}

/// Any bit set? A non-zero 64-bit value in `d` if so. Uses v0.
fn any_bit(c: &mut Ctx, d: X, s: V) {
    c.a.v3(UMAXP, Arr::S4, V(0), s, s);
    c.a.fmov_to(Size::X, d, V(0));
}

/// PTEST: ZF if a & b is zero, CF if !a & b is; the other flags clear.
pub fn test(c: &mut Ctx, a: V, b: V) {
    let (zero, carry) = (c.needs(ZF), c.needs(CF));
    let mut both = a;
    if (zero || c.needs(SF | OF)) && a != b {
        c.a.vlogic(AND, V(4), a, b);
        both = V(4);
    }
    if carry {
        c.a.vlogic(BIC, V(5), b, a);
    }
    test_bits(c, both, V(5));
}

/// ZF and CF by whether `zeros` and `carries` have no bit set; only what is needed is looked at.
pub fn test_bits(c: &mut Ctx, zeros: V, carries: V) {
    let (zero, carry) = (c.needs(ZF), c.needs(CF));
    if zero || c.needs(SF | OF) {
        any_bit(c, T[0], zeros);
    }
    if carry {
        any_bit(c, T[1], carries);
    }
    if carry {
        // With the carry inverted C is "not zero": as T1 >= 1.
        c.a.alu_imm(Alu::Subs, Size::X, ZR, T[1], 1);
        if c.needs(ZF | SF | OF) {
            c.a.cset(T[1], Cond::Cs);
            c.a.alu_imm(Alu::Subs, Size::X, ZR, T[0], 0);
            c.a.cset(T[0], Cond::Eq);
            c.a.alu_shift(Alu::Orr, Size::W, T[0], T[1], T[0], Shift::Lsl, 1);
            c.a.shift_imm(Shift::Lsl, Size::W, T[0], T[0], 29);
            c.a.write_nzcv(T[0]);
        }
    } else if c.needs(SF | OF) {
        // Z by a value that is 0 or 1: N stays clear.
        c.a.alu_imm(Alu::Subs, Size::X, ZR, T[0], 0);
        c.a.cset(T[0], Cond::Ne);
        c.a.alu(Alu::Ands, Size::W, ZR, T[0], T[0]);
    } else if zero {
        c.a.alu(Alu::Ands, Size::X, ZR, T[0], T[0]);
    }
    c.carry = super::Carry::Inverted;
    if c.needs(PF | AF) {
        c.a.mov_imm(PFR, 1);
        c.a.mov_imm(AFX, 1);
    }
}
