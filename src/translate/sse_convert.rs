//! SSE conversions between integers and floating point, and between formats. Out of range and NaN give the integer indefinite.

use super::Row;
use super::context::{Ctx, size_of};
use super::vector::SECOND;
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, Fp, ops::*};
use crate::emit::{Alu, Cond, Size};

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Cvtsi2sd, |c, i| from_integer(c, i, Fp::D)),
        (Cvtsi2ss, |c, i| from_integer(c, i, Fp::S)),
        (Cvttsd2si, |c, i| to_integer(c, i, Fp::D, Mode::Truncate)),
        (Cvttss2si, |c, i| to_integer(c, i, Fp::S, Mode::Truncate)),
        (Cvtsd2si, |c, i| to_integer(c, i, Fp::D, Mode::Current)),
        (Cvtss2si, |c, i| to_integer(c, i, Fp::S, Mode::Current)),
        (Cvtss2sd, |c, i| between(c, i, 4, |c, d, s| c.a.fcvt_sd(d, s))),
        (Cvtsd2ss, |c, i| between(c, i, 8, |c, d, s| c.a.fcvt_ds(d, s))),
        (Cvtps2pd, |c, i| whole(c, i, 8, |c, d, s| c.a.fcvtl(d, s))),
        (Cvtpd2ps, |c, i| whole(c, i, 16, |c, d, s| c.a.fcvtn(d, s))),
        (Cvtdq2ps, |c, i| whole(c, i, 16, |c, d, s| c.a.f2(SCVTF, Fp::S4, d, s))),
        (Cvtdq2pd, |c, i| whole(c, i, 8, words_to_doubles)),
        (Cvttps2dq, |c, i| whole(c, i, 16, |c, d, s| singles_to_words(c, d, s, Mode::Truncate))),
        (Cvtps2dq, |c, i| whole(c, i, 16, |c, d, s| singles_to_words(c, d, s, Mode::Current))),
        (Cvttpd2dq, |c, i| whole(c, i, 16, |c, d, s| doubles_to_words(c, d, s, Mode::Truncate))),
        (Cvtpd2dq, |c, i| whole(c, i, 16, |c, d, s| doubles_to_words(c, d, s, Mode::Current))),
        (Cvtpi2pd, |c, i| from_mmx(c, i, Fp::D2)),
        (Cvtpi2ps, |c, i| from_mmx(c, i, Fp::S4)),
        (Cvtps2pi, |c, i| to_mmx(c, i, 8, |c, d, s| singles_to_words(c, d, s, Mode::Current))),
        (Cvttps2pi, |c, i| to_mmx(c, i, 8, |c, d, s| singles_to_words(c, d, s, Mode::Truncate))),
        (Cvtpd2pi, |c, i| to_mmx(c, i, 16, |c, d, s| doubles_to_words(c, d, s, Mode::Current))),
        (Cvttpd2pi, |c, i| to_mmx(c, i, 16, |c, d, s| doubles_to_words(c, d, s, Mode::Truncate))),
    ]
};

/// How a conversion to integer rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// By MXCSR.
    Current,
    /// Towards zero.
    Truncate,
}

/// `d = convert s` on whole registers.
pub type Convert = fn(&mut Ctx, V, V);

fn from_integer(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let (r, bytes) = (c.read(insn, 1, T[0]), insn.bytes(1));
    c.a.scvtf_x(size_of(bytes), fp, V(0), r);
    c.a.ins(fp.bytes().trailing_zeros(), xmm(n), 0, V(0), 0);
}

pub fn to_integer(c: &mut Ctx, insn: &Insn, fp: Fp, mode: Mode) {
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_v(insn, 1, fp.bytes(), SECOND);
    scalar_to_integer(c, fp, size_of(bytes as u32), gpr(n), s, mode);
}

/// Scalar to a signed integer.
pub fn scalar_to_integer(c: &mut Ctx, fp: Fp, size: Size, d: X, s: V, mode: Mode) {
    if c.a.features.frintts {
        // Rounds in the format, with x86's value for what does not fit.
        let op = match (size, mode) {
            (Size::W, Mode::Current) => FRINT32X,
            (Size::W, Mode::Truncate) => FRINT32Z,
            (Size::X, Mode::Current) => FRINT64X,
            (Size::X, Mode::Truncate) => FRINT64Z,
        };
        c.a.f2(op, fp, V(0), s);
        return c.a.fcvtzs_x(size, fp, d, V(0));
    }
    if mode == Mode::Current && size == Size::W && fp.double() {
        return double_to_word(c, d, s);
    }
    let s = if mode == Mode::Current {
        // Inexact comes from the truncating conversion: it is raised by the same numbers, and not by those out of range.
        c.a.fcvtzs_x(size, fp, ZR, s);
        c.a.f2(FRINTI, fp, V(0), s);
        V(0)
    } else {
        s
    };
    c.a.fcvtzs_x(size, fp, d, s);
    let s = without_denormals(c, fp, mode, s, V(0));
    // The host saturates, and makes 0 of NaN. The largest integer is either saturation or (doubles to 32 bits) itself.
    let back = c.a.label();
    let doubtful = c.cold(move |c| {
        let keep = c.nzcv_live();
        if keep {
            c.a.read_nzcv(T[2]);
        }
        let power = match (fp.double(), size) {
            (true, Size::W) => 0x41e0u64 << 48,
            (true, Size::X) => 0x43e0 << 48,
            (false, Size::W) => 0x4f00 << 16,
            (false, Size::X) => 0x5f00 << 16,
        };
        c.a.mov_imm(T[0], power);
        c.a.fmov_from(Size::X, V(1), T[0]);
        c.a.fcmp(fp, s, V(1), false);
        c.a.mov_imm(T[0], 1 << (size.bits() - 1));
        c.a.csel(size, d, d, T[0], Cond::Mi);
        if keep {
            c.a.write_nzcv(T[2]);
        }
        c.a.b(back);
    });
    let largest = (1u64 << (size.bits() - 1)) - 1;
    if c.nzcv_live() {
        c.a.alu_imm(Alu::Eor, size, T[0], d, largest);
        c.a.cbz(size, T[0], doubtful);
        c.branch_if_nan(fp, s, doubtful);
    } else {
        // V: unordered, or d + 1 overflows.
        c.a.fcmp(fp, s, s, false);
        c.a.ccmn_imm(size, d, 1, 1, Cond::Vc);
        c.a.b_cond(Cond::Vs, doubtful);
    }
    c.a.bind(back);
}

/// What comparisons may look at: with FEAT_AFP one of a denormal raises DE, which conversions to integer do not. Uses `t`.
fn without_denormals(c: &mut Ctx, fp: Fp, mode: Mode, s: V, t: V) -> V {
    if !c.a.features.afp || mode == Mode::Current {
        return s;
    }
    c.a.f2(FRINTZ, fp, t, s);
    t
}

/// CVTSD2SI to 32 bits. Numbers that are not whole may lie out of range here, and then raise invalid only: inexact comes last.
fn double_to_word(c: &mut Ctx, d: X, s: V) {
    let back = c.a.label();
    let outside = c.cold(move |c| {
        c.a.mov_imm(d, 1 << 31);
        c.a.b(back);
    });
    c.a.f2(FRINTI, Fp::D, V(0), s);
    c.a.fcvtzs_x(Size::W, Fp::D, d, V(0));
    c.a.scvtf_x(Size::W, Fp::D, V(1), d);
    if c.nzcv_live() {
        c.a.f3(FCMEQ, Fp::D, V(1), V(1), V(0));
        c.a.fmov_to(Size::X, T[0], V(1));
        c.a.cbz(Size::X, T[0], outside);
    } else {
        c.a.fcmp(Fp::D, V(1), V(0), false);
        c.a.b_cond(Cond::Ne, outside);
    }
    c.a.f2(FRINTX, Fp::D, V(0), s);
    c.a.bind(back);
}

/// Scalar format conversions keep the rest of the destination.
fn between(c: &mut Ctx, insn: &Insn, bytes: u32, f: Convert) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_v(insn, 1, bytes, SECOND);
    f(c, V(0), s);
    // The result's format is the other one.
    c.a.ins(if bytes == 4 { 3 } else { 2 }, xmm(n), 0, V(0), 0);
}

fn whole(c: &mut Ctx, insn: &Insn, bytes: u32, f: Convert) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let s = if bytes == 16 { c.read_aligned(insn, 1, SECOND) } else { c.read_v(insn, 1, bytes, SECOND) };
    f(c, xmm(n), s);
}

/// CVTDQ2PD.
pub fn words_to_doubles(c: &mut Ctx, d: V, s: V) {
    c.a.vshift(SSHLL, Arr::S2, V(0), s, 0);
    c.a.f2(SCVTF, Fp::D2, d, V(0));
}

/// CVTPS2DQ, CVTTPS2DQ.
pub fn singles_to_words(c: &mut Ctx, d: V, s: V, mode: Mode) {
    let mut s = s;
    if mode == Mode::Current {
        // For inexact, see `scalar_to_integer`.
        c.a.f2(FCVTZS, Fp::S4, V(0), s);
        c.a.f2(FRINTI, Fp::S4, V(1), s);
        s = V(1);
    }
    // 2^31 > s: neither too large nor NaN. Too small ones saturate to the right value.
    let probe = without_denormals(c, Fp::S4, mode, s, V(0));
    c.a.movi_s(V(2), 0x4f, 24);
    c.a.f3(FCMGT, Fp::S4, V(2), V(2), probe);
    c.a.movi_s(V(3), 0x80, 24);
    c.a.f2(FCVTZS, Fp::S4, d, s);
    c.a.vlogic(BIF, d, V(3), V(2));
}

/// CVTPD2DQ, CVTTPD2DQ: the upper half of the result is zero.
pub fn doubles_to_words(c: &mut Ctx, d: V, s: V, mode: Mode) {
    let whole = if mode == Mode::Current {
        c.a.f2(FRINTI, Fp::D2, V(1), s);
        V(1)
    } else {
        s
    };
    c.a.dup(Arr::D2, V(0), whole, 1);
    c.a.fcvtzs_x(Size::W, Fp::D, T[0], whole);
    c.a.fcvtzs_x(Size::W, Fp::D, T[1], V(0));
    c.a.fmov_from(Size::W, V(0), T[0]);
    c.a.ins_x(2, V(0), 1, T[1]);
    // v2: lanes that fit.
    if mode == Mode::Current {
        c.a.vshift(SSHLL, Arr::S2, V(2), V(0), 0);
        c.a.f2(SCVTF, Fp::D2, V(2), V(2));
        c.a.f3(FCMEQ, Fp::D2, V(2), V(2), whole);
        // Those alone raise inexact.
        c.a.vlogic(AND, V(3), s, V(2));
        c.a.f2(FRINTX, Fp::D2, V(3), V(3));
    } else {
        c.a.mov_imm(T[2], 0x41e0 << 48);
        c.a.dup_x(Arr::D2, V(2), T[2]);
        let probe = without_denormals(c, Fp::D2, mode, s, V(1));
        c.a.f3(FCMGT, Fp::D2, V(2), V(2), probe);
    }
    c.a.v2(XTN, Arr::S2, V(2), V(2));
    c.a.movi_s(V(3), 0x80, 24);
    c.a.vlogic(BIF, V(0), V(3), V(2));
    c.a.vmov64(d, V(0));
}

/// CVTPI2PD, CVTPI2PS. From memory CVTPI2PD leaves the x87 unit alone.
fn from_mmx(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_v(insn, 1, 8, SECOND);
    if fp.double() {
        words_to_doubles(c, xmm(n), s);
    } else {
        c.a.f2(SCVTF, fp, V(0), s);
        c.a.ins(3, xmm(n), 0, V(0), 0);
    }
    if let Op::Mmx(_) = insn.op(1) {
        c.mmx_enter();
    }
}

fn to_mmx(c: &mut Ctx, insn: &Insn, bytes: u32, f: Convert) {
    let Op::Mmx(n) = insn.op(0) else { return c.undefined(insn) };
    let s = if bytes == 16 {
        c.read_aligned(insn, 1, SECOND)
    } else {
        // Only the low two lanes convert: the others may raise nothing.
        let s = c.read_v(insn, 1, bytes, SECOND);
        c.a.vmov64(V(4), s);
        V(4)
    };
    f(c, V(5), s);
    c.write_mmx(n, V(5));
}
