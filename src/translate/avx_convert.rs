//! AVX conversions, and F16C's.

use super::Row;
use super::avx::{is_wide, number, three, two};
use super::avx_move::merge_lane;
use super::context::{Ctx, size_of};
use super::sse_convert::*;
use super::vector::{FIRST, SECOND, immediate};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, Fp, ops::*};
use crate::emit::{Alu, Order, Size, Width};
use crate::guest::CpuState;
use std::mem::offset_of;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Vcvtsi2sd, |c, i| from_integer(c, i, Fp::D)),
        (Vcvtsi2ss, |c, i| from_integer(c, i, Fp::S)),
        (Vcvttsd2si, |c, i| to_integer(c, i, Fp::D, Mode::Truncate)),
        (Vcvttss2si, |c, i| to_integer(c, i, Fp::S, Mode::Truncate)),
        (Vcvtsd2si, |c, i| to_integer(c, i, Fp::D, Mode::Current)),
        (Vcvtss2si, |c, i| to_integer(c, i, Fp::S, Mode::Current)),
        (Vcvtss2sd, |c, i| three(c, i, &|c, _, d, a, b| {
            c.a.fcvt_sd(V(1), b);
            merge_lane(c, 3, d, a, 0, V(1), 0);
        })),
        (Vcvtsd2ss, |c, i| three(c, i, &|c, _, d, a, b| {
            c.a.fcvt_ds(V(1), b);
            merge_lane(c, 2, d, a, 0, V(1), 0);
        })),
        (Vcvtdq2ps, |c, i| two(c, i, &|c, _, d, s| c.a.f2(SCVTF, Fp::S4, d, s))),
        (Vcvttps2dq, |c, i| two(c, i, &|c, _, d, s| singles_to_words(c, d, s, Mode::Truncate))),
        (Vcvtps2dq, |c, i| two(c, i, &|c, _, d, s| singles_to_words(c, d, s, Mode::Current))),
        (Vcvtps2pd, |c, i| widen(c, i, |c, high, d, s| if high { c.a.fcvtl2(d, s) } else { c.a.fcvtl(d, s) })),
        (Vcvtdq2pd, |c, i| widen(c, i, |c, high, d, s| {
            c.a.vshift(SSHLL, if high { Arr::S4 } else { Arr::S2 }, V(0), s, 0);
            c.a.f2(SCVTF, Fp::D2, d, V(0));
        })),
        (Vcvtph2ps, |c, i| widen(c, i, |c, high, d, s| c.a.fcvtl_half(high, d, s))),
        (Vcvtpd2ps, |c, i| narrow(c, i, |c, d, s| c.a.fcvtn(d, s))),
        (Vcvttpd2dq, |c, i| narrow(c, i, |c, d, s| doubles_to_words(c, d, s, Mode::Truncate))),
        (Vcvtpd2dq, |c, i| narrow(c, i, |c, d, s| doubles_to_words(c, d, s, Mode::Current))),
        (Vcvtps2ph, to_half),
    ]
};

fn from_integer(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let (d, a) = (number(insn.op(0)), number(insn.op(1)));
    let r = c.read(insn, 2, T[0]);
    let bytes = if insn.op(2) == Op::Mem { insn.memory_bytes() } else { insn.bytes(2) };
    c.a.scvtf_x(size_of(bytes), fp, V(1), r);
    merge_lane(c, fp.bytes().trailing_zeros(), xmm(d), xmm(a), 0, V(1), 0);
    c.clear_upper(d);
}

/// Elements to twice their width: `f(c, high, d, s)` converts the low or the high half of `s`.
fn widen(c: &mut Ctx, insn: &Insn, f: fn(&mut Ctx, bool, V, V)) {
    let d = number(insn.op(0));
    let s = c.read_v(insn, 1, if insn.op(1) == Op::Mem { insn.memory_bytes() } else { 16 }, SECOND);
    if is_wide(insn, 0) {
        let high = c.upper_target(d, V(5));
        f(c, true, high, s);
        c.set_upper(d, high);
        f(c, false, xmm(d), s);
    } else {
        f(c, false, xmm(d), s);
        c.clear_upper(d);
    }
}

/// Elements to half their width, in an XMM register: `f` converts one lane to 64 bits.
fn narrow(c: &mut Ctx, insn: &Insn, f: fn(&mut Ctx, V, V)) {
    let d = number(insn.op(0));
    let s = c.source(insn, 1);
    let wide = is_wide(insn, 1) || insn.op(1) == Op::Mem && insn.memory_bytes() == 32;
    let low = c.lane(s, 0, SECOND);
    if wide {
        f(c, V(4), low);
        let high = c.lane(s, 1, FIRST);
        f(c, V(5), high);
        c.a.v3(ZIP1, Arr::D2, xmm(d), V(4), V(5));
    } else {
        f(c, xmm(d), low);
    }
    c.clear_upper(d);
}

/// VCVTPS2PH: rounds by the constant, or by MXCSR if its bit 2 is set.
fn to_half(c: &mut Ctx, insn: &Insn) {
    let (s, wide, imm) = (number(insn.op(1)), is_wide(insn, 1), immediate(insn));
    let convert = move |c: &mut Ctx, high: V| {
        c.a.fcvtn_half(false, V(4), xmm(s));
        if wide {
            c.a.fcvtn_half(true, V(4), high);
        }
    };
    let high = if wide { c.upper(s, FIRST) } else { FIRST };
    if insn.op(0) == Op::Mem {
        c.a.read_fpsr(T[3]);
    }
    // FPCR has nearest, up, down, zero. Its FZ stands for FTZ, which this instruction does not know, and for DAZ, which it does.
    let mode = (imm & 4 == 0).then_some([0u64, 2, 1, 3][imm as usize & 3]);
    let done = c.a.label();
    let other = c.cold(move |c| {
        c.a.mov(Size::X, T[2], T[0]);
        if let Some(mode) = mode {
            c.a.mov_imm(T[1], mode);
            c.a.bfi(Size::X, T[2], T[1], 22, 2);
        }
        let mxcsr = c.field(offset_of!(CpuState, mxcsr));
        c.a.load(Width::W, T[1], mxcsr, Order::Plain);
        c.a.ubfx(Size::X, T[1], T[1], 6, 1);
        c.a.bfi(Size::X, T[2], T[1], 24, 1);
        c.a.write_fpcr(T[2]);
        convert(c, high);
        c.a.write_fpcr(T[0]);
        c.a.b(done);
    });
    c.a.read_fpcr(T[0]);
    if let Some(mode) = mode {
        c.a.ubfx(Size::X, T[1], T[0], 22, 3);
        if mode != 0 {
            c.a.mov_imm(T[2], mode);
            c.a.alu(Alu::Eor, Size::X, T[1], T[1], T[2]);
        }
        c.a.cbnz(Size::X, T[1], other);
    } else {
        c.a.tbnz(T[0], 24, other);
    }
    convert(c, high);
    c.a.bind(done);
    match insn.op(0) {
        Op::Mem => {
            // A store that faults leaves the flags as they were.
            c.a.read_fpsr(T[4]);
            c.a.write_fpsr(T[3]);
            c.write_v(insn, insn.memory_bytes(), V(4));
            c.a.write_fpsr(T[4]);
        }
        d => {
            c.a.vmov(xmm(number(d)), V(4));
            c.clear_upper(number(d));
        }
    }
}
