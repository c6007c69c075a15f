//! AVX floating point: SSE's operations on VEX operands, and the comparisons' 32 predicates.

use super::Row;
use super::avx::{Source, is_wide, number, three, two};
use super::avx_nan::{Lane, settle};
use super::context::Ctx;
use super::sse_float::*;
use super::vector::{FIRST, SECOND, immediate};
use crate::decode::{Insn, Mnemonic};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, F3, Fp, ops::*};
use crate::helpers::Id;

/// Rows for the four shapes of an operation: mnemonics of PS, PD, SS, SD.
macro_rules! four { ($table:ident $row:ident $($ps:ident $pd:ident $ss:ident $sd:ident = $f:expr;)*) => {
    /// Mnemonics that come in four shapes.
    pub const $table: &[Row] = &[$(
        (Mnemonic::$ps, |c, i| $row(c, i, Fp::S4, $f)),
        (Mnemonic::$pd, |c, i| $row(c, i, Fp::D2, $f)),
        (Mnemonic::$ss, |c, i| $row(c, i, Fp::S, $f)),
        (Mnemonic::$sd, |c, i| $row(c, i, Fp::D, $f)),
    )*];
} }
four! { ARITHMETIC compute
    Vaddps Vaddpd Vaddss Vaddsd = FADD;
    Vsubps Vsubpd Vsubss Vsubsd = FSUB;
    Vmulps Vmulpd Vmulss Vmulsd = FMUL;
    Vdivps Vdivpd Vdivss Vdivsd = FDIV;
}
four! { EXTREMES operate
    Vminps Vminpd Vminss Vminsd = |c, fp, d, a, b| extreme(c, Extreme::Min, fp, d, a, b);
    Vmaxps Vmaxpd Vmaxss Vmaxsd = |c, fp, d, a, b| extreme(c, Extreme::Max, fp, d, a, b);
}

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Vsqrtps, |c, i| two(c, i, &|c, _, d, s| sqrt(c, Fp::S4, d, s, s))),
        (Vsqrtpd, |c, i| two(c, i, &|c, _, d, s| sqrt(c, Fp::D2, d, s, s))),
        (Vsqrtss, |c, i| operate(c, i, Fp::S, sqrt)),
        (Vsqrtsd, |c, i| operate(c, i, Fp::D, sqrt)),
        (Vcmpps, |c, i| compare_by(c, i, Fp::S4)),
        (Vcmppd, |c, i| compare_by(c, i, Fp::D2)),
        (Vcmpss, |c, i| compare_by(c, i, Fp::S)),
        (Vcmpsd, |c, i| compare_by(c, i, Fp::D)),
        (Vucomiss, |c, i| compare_flags(c, i, Fp::S, false)),
        (Vucomisd, |c, i| compare_flags(c, i, Fp::D, false)),
        (Vcomiss, |c, i| compare_flags(c, i, Fp::S, true)),
        (Vcomisd, |c, i| compare_flags(c, i, Fp::D, true)),
        (Vhaddps, |c, i| operate(c, i, Fp::S4, |c, fp, d, a, b| horizontal(c, FADD, fp, d, a, b))),
        (Vhaddpd, |c, i| operate(c, i, Fp::D2, |c, fp, d, a, b| horizontal(c, FADD, fp, d, a, b))),
        (Vhsubps, |c, i| operate(c, i, Fp::S4, |c, fp, d, a, b| horizontal(c, FSUB, fp, d, a, b))),
        (Vhsubpd, |c, i| operate(c, i, Fp::D2, |c, fp, d, a, b| horizontal(c, FSUB, fp, d, a, b))),
        (Vaddsubps, |c, i| operate(c, i, Fp::S4, add_sub)),
        (Vaddsubpd, |c, i| operate(c, i, Fp::D2, add_sub)),
        (Vroundps, |c, i| two(c, i, &|c, _, d, s| round(c, Fp::S4, d, s, s, immediate(i)))),
        (Vroundpd, |c, i| two(c, i, &|c, _, d, s| round(c, Fp::D2, d, s, s, immediate(i)))),
        (Vroundss, |c, i| three(c, i, &|c, _, d, a, b| round(c, Fp::S, d, a, b, immediate(i)))),
        (Vroundsd, |c, i| three(c, i, &|c, _, d, a, b| round(c, Fp::D, d, a, b, immediate(i)))),
        (Vdpps, |c, i| dot(c, i, Fp::S4)),
        (Vdppd, |c, i| dot(c, i, Fp::D2)),
        (Vrcpps, |c, i| estimate(c, i, 0, 4)),
        (Vrcpss, |c, i| estimate(c, i, 0, 1)),
        (Vrsqrtps, |c, i| estimate(c, i, 1, 4)),
        (Vrsqrtss, |c, i| estimate(c, i, 1, 1)),
    ]
};

fn operate(c: &mut Ctx, insn: &Insn, fp: Fp, f: FpBin) {
    three(c, insn, &|c, _, d, a, b| f(c, fp, d, a, b));
}

/// One host instruction a lane, and one look for NaNs where both lanes are at hand.
fn compute(c: &mut Ctx, insn: &Insn, fp: Fp, op: F3) {
    let b = c.source(insn, 2);
    let (n, a) = (number(insn.op(0)), Source::Reg(number(insn.op(1))));
    let (Some(high), true, true) = (c.held_upper(n), c.is_held(a), c.is_held(b)) else {
        return c.by_lanes(insn.op(0), a, b, &|c, _, d, a, b| arith(c, op, fp, d, a, b));
    };
    if !is_wide(insn, 0) {
        return c.by_lanes(insn.op(0), a, b, &|c, _, d, a, b| arith(c, op, fp, d, a, b));
    }
    let in_place = c.exact_nan() && (a == Source::Reg(n) || b == Source::Reg(n));
    let lane = |c: &mut Ctx, lane: u32, d: V| {
        let (x, y) = (c.lane(a, lane, FIRST), c.lane(b, lane, SECOND));
        let r = if in_place { V(4 + lane as u8) } else { d };
        c.a.f3(op, fp, r, x, y);
        Lane { r, d, x, y, z: None }
    };
    let lanes = [lane(c, 0, xmm(n)), lane(c, 1, high)];
    c.upper_changes(n);
    settle(c, fp, lanes);
}

fn compare_by(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let predicate = immediate(insn) & 31;
    three(c, insn, &|c, _, d, a, b| match predicate {
        0..8 => compare(c, fp, d, a, b, predicate),
        _ => compare_more(c, fp, d, a, b, predicate),
    });
}

/// Predicates 8 to 31 (Intel SDM, CMPPD, table 3-1).
fn compare_more(c: &mut Ctx, fp: Fp, d: V, a: V, b: V, predicate: u32) {
    let relation = predicate & 15;
    let inequality = matches!(relation & 3, 1 | 2);
    // Bit 4 turns round which predicates signal on quiet NaNs.
    let signals = inequality != (predicate & 16 != 0);
    let (mut x, mut y) = (a, b);
    let ordered = relation & 3 == 3 && relation & 8 == 0 || relation & 11 == 8 || inequality && !signals;
    if ordered {
        c.a.f3(FCMEQ, fp, V(3), a, a);
        c.a.f3(FCMEQ, fp, V(4), b, b);
        c.a.vlogic(AND, V(3), V(3), V(4));
    }
    if inequality && !signals {
        // Lanes with a NaN compare zeros, quietly.
        c.a.vlogic(AND, V(1), a, V(3));
        c.a.vlogic(AND, V(2), b, V(3));
        (x, y) = (V(1), V(2));
    }
    if !inequality && signals {
        c.a.f3(FCMGE, fp, V(5), a, b);
    }
    // The relation proper in v0, and whether what was asked for is its opposite.
    let opposite = match relation {
        0 | 4 => {
            c.a.f3(FCMEQ, fp, V(0), a, b);
            relation == 4
        }
        8 | 12 => {
            c.a.f3(FCMEQ, fp, V(0), a, b);
            c.a.vlogic(ORN, V(0), V(0), V(3));
            relation == 12
        }
        3 | 7 => {
            c.a.vmov(V(0), V(3));
            relation == 3
        }
        11 | 15 => {
            c.a.f3(FCMEQ, fp, V(5), a, b);
            c.a.vzero(V(0));
            relation == 15
        }
        1 | 5 => {
            c.a.f3(FCMGT, fp, V(0), y, x);
            relation == 5
        }
        2 | 6 => {
            c.a.f3(FCMGE, fp, V(0), y, x);
            relation == 6
        }
        9 | 13 => {
            c.a.f3(FCMGE, fp, V(0), x, y);
            relation == 9
        }
        _ => {
            c.a.f3(FCMGT, fp, V(0), x, y);
            relation == 10
        }
    };
    if inequality && !signals {
        c.a.vlogic(AND, V(0), V(0), V(3));
    }
    if opposite {
        c.a.v2(NOT, Arr::B16, V(0), V(0));
    }
    if fp.scalar() { merge(c, fp, d, a, V(0)) } else { c.a.vmov(d, V(0)) }
}

/// Needs v6 and v7 for itself, as a helper does.
fn dot(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let b = c.source(insn, 2);
    let a = Source::Reg(number(insn.op(1)));
    c.by_lanes_in_helper(insn.op(0), a, b, &|c, _, d, a, b| dot_product(c, fp, d, a, b, immediate(insn)));
}

/// RCP, RSQRT.
fn estimate(c: &mut Ctx, insn: &Insn, which: u64, lanes: u64) {
    let b = c.source(insn, insn.op_count() - 1);
    let a = if lanes == 1 { Source::Reg(number(insn.op(1))) } else { b };
    c.by_lanes_in_helper(insn.op(0), a, b, &|c, _, d, a, b| {
        c.vector_helper(Id::Estimate, a, b, which, lanes);
        c.helper_result(d);
    });
}
