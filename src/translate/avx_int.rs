//! AVX and AVX2 integer arithmetic and logic, lane by lane: SSE's operations on VEX operands, and what AVX2 added.

use super::Row;
use super::avx::{Source, is_wide, number, three, two};
use super::context::Ctx;
use super::sse_int::*;
use super::vector::{FIRST, SECOND, immediate};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, ops::*};
use crate::emit::{Alu, Shift, Size};

/// One AArch64 instruction a lane.
macro_rules! lanewise { ($($m:ident $op:ident $arr:ident;)*) => {
    /// Mnemonics that are one host instruction a lane.
    pub const LANES: &[Row] = &[$((Mnemonic::$m, |c, i| three(c, i, &|c, _, d, a, b| c.a.v3($op, Arr::$arr, d, a, b)))),*];
} }
lanewise! {
    Vpaddb ADD B16;  Vpaddw ADD H8;  Vpaddd ADD S4;  Vpaddq ADD D2;
    Vpsubb SUB B16;  Vpsubw SUB H8;  Vpsubd SUB S4;  Vpsubq SUB D2;
    Vpaddsb SQADD B16;  Vpaddsw SQADD H8;  Vpaddusb UQADD B16;  Vpaddusw UQADD H8;
    Vpsubsb SQSUB B16;  Vpsubsw SQSUB H8;  Vpsubusb UQSUB B16;  Vpsubusw UQSUB H8;
    Vpmullw MUL H8;  Vpmulld MUL S4;
    Vpavgb URHADD B16;  Vpavgw URHADD H8;
    Vpminub UMIN B16;  Vpminuw UMIN H8;  Vpminud UMIN S4;  Vpminsb SMIN B16;  Vpminsw SMIN H8;  Vpminsd SMIN S4;
    Vpmaxub UMAX B16;  Vpmaxuw UMAX H8;  Vpmaxud UMAX S4;  Vpmaxsb SMAX B16;  Vpmaxsw SMAX H8;  Vpmaxsd SMAX S4;
    Vpcmpgtb CMGT B16;  Vpcmpgtw CMGT H8;  Vpcmpgtd CMGT S4;  Vpcmpgtq CMGT D2;
    Vpand AND B16;  Vandps AND B16;  Vandpd AND B16;  Vpor ORR B16;  Vorps ORR B16;  Vorpd ORR B16;
    Vphaddw ADDP H8;  Vphaddd ADDP S4;
}

/// Rows of operations on registers that know nothing of encodings.
macro_rules! bins { ($($m:ident = $f:expr;)*) => {
    /// Mnemonics of several host instructions a lane.
    pub const BINS: &[Row] = &[$((Mnemonic::$m, |c, i| three(c, i, &|c, _, d, a, b| { let f: super::vector::Bin = $f; f(c, d, a, b) }))),*];
} }
bins! {
    Vpandn = and_not;
    Vandnps = and_not;
    Vandnpd = and_not;
    Vpxor = xor;
    Vxorps = xor;
    Vxorpd = xor;
    Vpcmpeqb = |c, d, a, b| equal(c, Arr::B16, d, a, b);
    Vpcmpeqw = |c, d, a, b| equal(c, Arr::H8, d, a, b);
    Vpcmpeqd = |c, d, a, b| equal(c, Arr::S4, d, a, b);
    Vpcmpeqq = |c, d, a, b| equal(c, Arr::D2, d, a, b);
    Vpmulhw = |c, d, a, b| multiply_high(c, SMULL, d, a, b);
    Vpmulhuw = |c, d, a, b| multiply_high(c, UMULL, d, a, b);
    Vpmulhrsw = multiply_rounded;
    Vpmuludq = |c, d, a, b| multiply_even(c, UMULL, d, a, b);
    Vpmuldq = |c, d, a, b| multiply_even(c, SMULL, d, a, b);
    Vpmaddwd = multiply_add;
    Vpmaddubsw = multiply_add_bytes;
    Vpsadbw = sum_differences;
    Vpsignb = |c, d, a, b| sign(c, Arr::B16, d, a, b);
    Vpsignw = |c, d, a, b| sign(c, Arr::H8, d, a, b);
    Vpsignd = |c, d, a, b| sign(c, Arr::S4, d, a, b);
    Vphaddsw = |c, d, a, b| pairs(c, SQADD, Arr::H8, d, a, b);
    Vphsubw = |c, d, a, b| pairs(c, SUB, Arr::H8, d, a, b);
    Vphsubd = |c, d, a, b| pairs(c, SUB, Arr::S4, d, a, b);
    Vphsubsw = |c, d, a, b| pairs(c, SQSUB, Arr::H8, d, a, b);
    Vpsllvd = |c, d, a, b| shift_each(c, Kind::Left, Arr::S4, d, a, b);
    Vpsllvq = |c, d, a, b| shift_each(c, Kind::Left, Arr::D2, d, a, b);
    Vpsrlvd = |c, d, a, b| shift_each(c, Kind::Right, Arr::S4, d, a, b);
    Vpsrlvq = |c, d, a, b| shift_each(c, Kind::Right, Arr::D2, d, a, b);
    Vpsravd = |c, d, a, b| shift_each(c, Kind::Arithmetic, Arr::S4, d, a, b);
}

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Vpabsb, |c, i| two(c, i, &|c, _, d, s| c.a.v2(ABS, Arr::B16, d, s))),
        (Vpabsw, |c, i| two(c, i, &|c, _, d, s| c.a.v2(ABS, Arr::H8, d, s))),
        (Vpabsd, |c, i| two(c, i, &|c, _, d, s| c.a.v2(ABS, Arr::S4, d, s))),
        (Vphminposuw, |c, i| two(c, i, &|c, _, d, s| minimum_position(c, d, s))),
        // Each lane has three bits of the constant.
        (Vmpsadbw, |c, i| three(c, i, &|c, lane, d, a, b| block_differences(c, d, a, b, immediate(i) >> (3 * lane)))),
        (Vpsllw, |c, i| shift(c, i, Kind::Left, Arr::H8)),
        (Vpslld, |c, i| shift(c, i, Kind::Left, Arr::S4)),
        (Vpsllq, |c, i| shift(c, i, Kind::Left, Arr::D2)),
        (Vpsrlw, |c, i| shift(c, i, Kind::Right, Arr::H8)),
        (Vpsrld, |c, i| shift(c, i, Kind::Right, Arr::S4)),
        (Vpsrlq, |c, i| shift(c, i, Kind::Right, Arr::D2)),
        (Vpsraw, |c, i| shift(c, i, Kind::Arithmetic, Arr::H8)),
        (Vpsrad, |c, i| shift(c, i, Kind::Arithmetic, Arr::S4)),
        (Vpslldq, |c, i| two(c, i, &|c, _, d, s| shift_whole(c, true, d, s, immediate(i)))),
        (Vpsrldq, |c, i| two(c, i, &|c, _, d, s| shift_whole(c, false, d, s, immediate(i)))),
        (Vpmovmskb, byte_masks),
        (Vmovmskps, |c, i| mask(c, i, single_mask, 4)),
        (Vmovmskpd, |c, i| mask(c, i, double_mask, 2)),
        (Vptest, |c, i| test_wide(c, i, None)),
        (Vtestps, |c, i| test_wide(c, i, Some(Arr::S4))),
        (Vtestpd, |c, i| test_wide(c, i, Some(Arr::D2))),
    ]
};

/// Every lane by its own count: beyond its bits zero, or all sign.
fn shift_each(c: &mut Ctx, kind: Kind, arr: Arr, d: V, a: V, counts: V) {
    // The host's shift takes the low byte as a signed number: counts are brought to at most the number of bits.
    let bits = arr.lane_bits();
    if arr == Arr::D2 {
        // No 64-bit minimum: lanes beyond are cleared.
        c.a.mov_imm(T[0], 63);
        c.a.dup_x(Arr::D2, V(1), T[0]);
        c.a.v3(CMHS, Arr::D2, V(1), V(1), counts);
        c.a.vlogic(AND, V(0), counts, V(1));
        if kind != Kind::Left {
            c.a.v2(NEG, Arr::D2, V(0), V(0));
        }
        c.a.v3(USHL, Arr::D2, V(0), a, V(0));
        return c.a.vlogic(AND, d, V(0), V(1));
    }
    c.a.movi_s(V(0), bits, 0);
    c.a.v3(UMIN, arr, V(0), V(0), counts);
    if kind != Kind::Left {
        c.a.v2(NEG, arr, V(0), V(0));
    }
    c.a.v3(if kind == Kind::Arithmetic { SSHL } else { USHL }, arr, d, a, V(0));
}

/// Shifts of all lanes by a constant or by the low 64 bits of an XMM register or memory.
fn shift(c: &mut Ctx, insn: &Insn, kind: Kind, arr: Arr) {
    let s = Source::Reg(number(insn.op(1)));
    if let Op::Imm(_) = insn.op(2) {
        return c.by_lanes(insn.op(0), s, s, &|c, _, d, s, _| shift_constant(c, kind, arr, d, s, immediate(insn)));
    }
    // The count may lie in the destination.
    let count = c.read_v(insn, 2, 16, SECOND);
    if is_wide(insn, 0) {
        c.a.vmov(SECOND, count);
    }
    let count = if is_wide(insn, 0) { SECOND } else { count };
    let count = Source::Lanes(count, count);
    c.by_lanes(insn.op(0), s, count, &|c, _, d, a, b| shift_variable(c, kind, arr, d, a, b));
}

/// VPMOVMSKB: the bits of both lanes are added up together.
fn byte_masks(c: &mut Ctx, insn: &Insn) {
    let (Op::Gpr { n, .. }, s) = (insn.op(0), Source::Reg(number(insn.op(1)))) else { return c.undefined(insn) };
    if !is_wide(insn, 1) {
        let low = c.lane(s, 0, FIRST);
        return byte_mask(c, gpr(n), low);
    }
    let (low, high) = (c.lane(s, 0, FIRST), c.lane(s, 1, FIRST));
    c.a.vector_constant(V(2), 0x8040_2010_0804_0201_8040_2010_0804_0201);
    c.a.v2(CMLT0, Arr::B16, V(0), low);
    c.a.v2(CMLT0, Arr::B16, V(1), high);
    c.a.vlogic(AND, V(0), V(0), V(2));
    c.a.vlogic(AND, V(1), V(1), V(2));
    c.a.v3(ADDP, Arr::B16, V(0), V(0), V(1));
    c.a.v3(ADDP, Arr::B16, V(0), V(0), V(0));
    c.a.v3(ADDP, Arr::B16, V(0), V(0), V(0));
    c.a.fmov_to(Size::W, gpr(n), V(0));
}

fn mask(c: &mut Ctx, insn: &Insn, f: fn(&mut Ctx, X, V), bits: u32) {
    let (Op::Gpr { n, .. }, s) = (insn.op(0), Source::Reg(number(insn.op(1)))) else { return c.undefined(insn) };
    if is_wide(insn, 1) {
        let high = c.lane(s, 1, FIRST);
        f(c, T[1], high);
        let low = c.lane(s, 0, FIRST);
        f(c, T[2], low);
        return c.a.alu_shift(Alu::Orr, Size::W, gpr(n), T[2], T[1], Shift::Lsl, bits);
    }
    let low = c.lane(s, 0, FIRST);
    f(c, gpr(n), low);
}

/// VPTEST, VTESTPS, VTESTPD: of both lanes together; the latter two look at signs alone.
fn test_wide(c: &mut Ctx, insn: &Insn, signs: Option<Arr>) {
    let b = c.source(insn, 1);
    let a = Source::Reg(number(insn.op(0)));
    let wide = is_wide(insn, 0);
    if !wide && signs.is_none() {
        let (x, y) = (c.lane(a, 0, FIRST), c.lane(b, 0, SECOND));
        return test(c, x, y);
    }
    // v4: a & b, v5: !a & b, gathered over the lanes.
    let (x, y) = (c.lane(a, 0, FIRST), c.lane(b, 0, SECOND));
    c.a.vlogic(AND, V(4), x, y);
    c.a.vlogic(BIC, V(5), y, x);
    if wide {
        let y = c.lane(b, 1, SECOND);
        let x = c.lane(a, 1, if y == FIRST { SECOND } else { FIRST });
        c.a.vlogic(AND, V(0), x, y);
        c.a.vlogic(ORR, V(4), V(4), V(0));
        c.a.vlogic(BIC, V(0), y, x);
        c.a.vlogic(ORR, V(5), V(5), V(0));
    }
    if let Some(arr) = signs {
        c.a.v2(CMLT0, arr, V(4), V(4));
        c.a.v2(CMLT0, arr, V(5), V(5));
    }
    test_bits(c, V(4), V(5));
}
