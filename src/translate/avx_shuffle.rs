//! AVX and AVX2 permutations: SSE's inside the lanes, and those that cross them.

use super::Row;
use super::avx::{Source, is_wide, number, three, two};
use super::context::Ctx;
use super::sse_shuffle::*;
use super::vector::{FIRST, SECOND, immediate};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, Vs, ops::*};

/// Interleaving rows: mnemonic, operation, arrangement.
macro_rules! interleave { ($($m:ident $op:ident $arr:ident;)*) => {
    /// Mnemonics that interleave.
    pub const INTERLEAVE: &[Row] = &[$((Mnemonic::$m, |c, i| three(c, i, &|c, _, d, a, b| c.a.v3($op, Arr::$arr, d, a, b)))),*];
} }
interleave! {
    Vpunpcklbw ZIP1 B16;  Vpunpcklwd ZIP1 H8;  Vpunpckldq ZIP1 S4;  Vpunpcklqdq ZIP1 D2;
    Vpunpckhbw ZIP2 B16;  Vpunpckhwd ZIP2 H8;  Vpunpckhdq ZIP2 S4;  Vpunpckhqdq ZIP2 D2;
    Vunpcklps ZIP1 S4;  Vunpckhps ZIP2 S4;  Vunpcklpd ZIP1 D2;  Vunpckhpd ZIP2 D2;
}

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Vpacksswb, |c, i| three(c, i, &|c, _, d, a, b| pack(c, SQXTN, Arr::B16, d, a, b))),
        (Vpackuswb, |c, i| three(c, i, &|c, _, d, a, b| pack(c, SQXTUN, Arr::B16, d, a, b))),
        (Vpackssdw, |c, i| three(c, i, &|c, _, d, a, b| pack(c, SQXTN, Arr::H8, d, a, b))),
        (Vpackusdw, |c, i| three(c, i, &|c, _, d, a, b| pack(c, SQXTUN, Arr::H8, d, a, b))),
        (Vpshufb, |c, i| three(c, i, &|c, _, d, a, b| shuffle_bytes(c, Arr::B16, d, a, b))),
        (Vpshufd, |c, i| two(c, i, &|c, _, d, s| shuffle_words(c, d, s, immediate(i)))),
        (Vpshuflw, |c, i| two(c, i, &|c, _, d, s| shuffle_halfwords(c, d, s, immediate(i), 0))),
        (Vpshufhw, |c, i| two(c, i, &|c, _, d, s| shuffle_halfwords(c, d, s, immediate(i), 4))),
        (Vshufps, |c, i| three(c, i, &|c, _, d, a, b| shuffle_singles(c, d, a, b, immediate(i)))),
        (Vshufpd, |c, i| three(c, i, &|c, lane, d, a, b| shuffle_doubles(c, d, a, b, immediate(i) >> (2 * lane)))),
        (Vpalignr, |c, i| three(c, i, &|c, _, d, a, b| align(c, d, a, b, immediate(i)))),
        (Vpblendw, |c, i| three(c, i, &|c, _, d, a, b| blend(c, 1, d, a, b, immediate(i)))),
        (Vpblendd, |c, i| three(c, i, &|c, lane, d, a, b| blend(c, 2, d, a, b, immediate(i) >> (4 * lane) & 15))),
        (Vblendps, |c, i| three(c, i, &|c, lane, d, a, b| blend(c, 2, d, a, b, immediate(i) >> (4 * lane) & 15))),
        (Vblendpd, |c, i| three(c, i, &|c, lane, d, a, b| blend(c, 3, d, a, b, immediate(i) >> (2 * lane) & 3))),
        (Vpblendvb, |c, i| blend_by_register(c, i, Arr::B16)),
        (Vblendvps, |c, i| blend_by_register(c, i, Arr::S4)),
        (Vblendvpd, |c, i| blend_by_register(c, i, Arr::D2)),
        (Vinsertps, |c, i| {
            let imm = immediate(i);
            let from = if i.op(2) == Op::Mem { 0 } else { imm >> 6 };
            three(c, i, &|c, _, d, a, b| insert_single(c, d, a, b, from, imm));
        }),
        (Vpermilps, |c, i| match i.op(2) {
            Op::Imm(_) => two(c, i, &|c, _, d, s| shuffle_words(c, d, s, immediate(i))),
            _ => three(c, i, &|c, _, d, a, b| {
                word_indices(c, 3, b);
                c.a.tbl(d, a, 1, V(0));
            }),
        }),
        (Vpermilpd, |c, i| match i.op(2) {
            Op::Imm(_) => two(c, i, &|c, lane, d, s| shuffle_doubles(c, d, s, s, immediate(i) >> (2 * lane))),
            _ => three(c, i, &|c, _, d, a, b| {
                // Bit 1 of each control chooses.
                c.a.vshift(SHL, Arr::D2, V(0), b, 62);
                c.a.v2(CMLT0, Arr::D2, V(0), V(0));
                c.a.dup(Arr::D2, V(1), a, 0);
                c.a.dup(Arr::D2, V(2), a, 1);
                c.a.vlogic(BSL, V(0), V(2), V(1));
                c.a.vmov(d, V(0));
            }),
        }),
        (Vpermq, permute_doubles),
        (Vpermpd, permute_doubles),
        (Vpermd, permute_words),
        (Vpermps, permute_words),
        (Vperm2f128, permute_lanes),
        (Vperm2i128, permute_lanes),
        (Vpmovsxbw, |c, i| widen(c, i, SSHLL, 0, 1)),
        (Vpmovsxbd, |c, i| widen(c, i, SSHLL, 0, 2)),
        (Vpmovsxbq, |c, i| widen(c, i, SSHLL, 0, 3)),
        (Vpmovsxwd, |c, i| widen(c, i, SSHLL, 1, 2)),
        (Vpmovsxwq, |c, i| widen(c, i, SSHLL, 1, 3)),
        (Vpmovsxdq, |c, i| widen(c, i, SSHLL, 2, 3)),
        (Vpmovzxbw, |c, i| widen(c, i, USHLL, 0, 1)),
        (Vpmovzxbd, |c, i| widen(c, i, USHLL, 0, 2)),
        (Vpmovzxbq, |c, i| widen(c, i, USHLL, 0, 3)),
        (Vpmovzxwd, |c, i| widen(c, i, USHLL, 1, 2)),
        (Vpmovzxwq, |c, i| widen(c, i, USHLL, 1, 3)),
        (Vpmovzxdq, |c, i| widen(c, i, USHLL, 2, 3)),
    ]
};

/// VPBLENDVB, VBLENDVPS, VBLENDVPD: the mask is the fourth operand.
fn blend_by_register(c: &mut Ctx, insn: &Insn, arr: Arr) {
    let mask = Source::Reg(number(insn.op(3)));
    three(c, insn, &|c, lane, d, a, b| {
        let mask = c.lane(mask, lane, V(5));
        blend_by_sign(c, arr, d, a, b, mask);
    });
}

/// v0 = the bytes that words `control & limit` name. Uses v1.
fn word_indices(c: &mut Ctx, limit: u32, control: V) {
    c.a.movi_s(V(0), limit, 0);
    c.a.vlogic(AND, V(0), V(0), control);
    // x * 0x04040404 + 0x03020100.
    c.a.movi_b(V(1), 4);
    c.a.v3(MUL, Arr::S4, V(0), V(0), V(1));
    c.a.mov_imm(T[0], 0x0302_0100);
    c.a.dup_x(Arr::S4, V(1), T[0]);
    c.a.v3(ADD, Arr::S4, V(0), V(0), V(1));
}

/// `d = [x lane i, y lane j]`. Uses v0.
fn pair(c: &mut Ctx, d: V, (x, i): (V, u32), (y, j): (V, u32)) {
    match (i, j) {
        (0, 0) => c.a.v3(ZIP1, Arr::D2, d, x, y),
        (1, 1) => c.a.v3(ZIP2, Arr::D2, d, x, y),
        (1, _) => c.a.ext(d, x, y, 8),
        _ if x == y => c.a.vmov(d, x),
        _ => {
            c.a.vmov(V(0), y);
            c.a.ins(3, V(0), 0, x, 0);
            c.a.vmov(d, V(0));
        }
    }
}

/// VPERMQ, VPERMPD: four doublewords by two bits of the constant each.
fn permute_doubles(c: &mut Ctx, insn: &Insn) {
    let (s, imm, d) = (c.source(insn, 1), immediate(insn), number(insn.op(0)));
    let halves = [c.lane(s, 0, SECOND), c.lane(s, 1, FIRST)];
    let pick = |k: u32| {
        let field = imm >> (2 * k) & 3;
        (halves[field as usize >> 1], field & 1)
    };
    let low = if s == Source::Reg(d) { V(4) } else { xmm(d) };
    pair(c, low, pick(0), pick(1));
    let high = c.upper_target(d, V(5));
    pair(c, high, pick(2), pick(3));
    c.set_upper(d, high);
    c.a.vmov(xmm(d), low);
}

/// VPERMD, VPERMPS: eight words of the second source by the indices in the first.
fn permute_words(c: &mut Ctx, insn: &Insn) {
    let s = c.source(insn, 2);
    let (d, control) = (number(insn.op(0)), Source::Reg(number(insn.op(1))));
    for lane in 0..2 {
        let half = c.lane(s, lane, V(4 + lane as u8));
        c.a.vmov(V(4 + lane as u8), half);
    }
    for lane in 0..2 {
        let indices = c.lane(control, lane, FIRST);
        word_indices(c, 7, indices);
        c.a.tbl(V(2 + lane as u8), V(4), 2, V(0));
    }
    c.set_halves(d, V(2), V(3));
}

/// VPERM2F128, VPERM2I128: lanes of both sources, or zero, by four bits of the constant each.
fn permute_lanes(c: &mut Ctx, insn: &Insn) {
    let b = c.source(insn, 2);
    let (d, a, imm) = (number(insn.op(0)), Source::Reg(number(insn.op(1))), immediate(insn));
    let pick = |c: &mut Ctx, field: u32, t: V| {
        if field & 8 != 0 {
            c.a.vzero(t);
            return t;
        }
        c.lane(if field & 2 != 0 { b } else { a }, field & 1, t)
    };
    let low = pick(c, imm & 15, V(4));
    let high = pick(c, imm >> 4, V(5));
    c.set_halves(d, low, high);
}

/// VPMOVSX, VPMOVZX: from 1 << `from` to 1 << `to` bytes.
fn widen(c: &mut Ctx, insn: &Insn, op: Vs, from: u32, to: u32) {
    let d = number(insn.op(0));
    let bytes = 16 >> (to - from);
    let wide = is_wide(insn, 0);
    let s = c.read_v(insn, 1, if wide { 2 * bytes } else { bytes }, SECOND);
    if wide {
        let high = c.upper_target(d, V(5));
        if to - from == 1 {
            c.a.vshift(op, [Arr::B16, Arr::H8, Arr::S4][from as usize], high, s, 0);
        } else {
            c.a.ext(V(4), s, s, bytes);
            extend(c, op, from, to, high, V(4));
        }
        c.set_upper(d, high);
    }
    extend(c, op, from, to, xmm(d), s);
    if !wide {
        c.clear_upper(d);
    }
}
