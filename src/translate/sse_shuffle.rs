//! SSE and MMX permutations: shuffles, interleaving, packing, blends, widening moves.

use super::Row;
use super::context::Ctx;
use super::vector::{FIRST, SECOND, immediate, packed, shaped};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, V2, V3, Vs, ops::*};

/// Interleaving rows: mnemonic, operation, arrangement.
macro_rules! interleave { ($($m:ident $op:ident $arr:ident;)*) => {
    /// Mnemonics that interleave.
    pub const INTERLEAVE: &[Row] = &[$((Mnemonic::$m, |c, i| shaped(c, i, Arr::$arr, |c, arr, d, a, b| c.a.v3($op, arr, d, a, b)))),*];
} }
interleave! {
    Punpcklbw ZIP1 B16;  Punpcklwd ZIP1 H8;  Punpckldq ZIP1 S4;  Punpcklqdq ZIP1 D2;
    Punpckhbw ZIP2 B16;  Punpckhwd ZIP2 H8;  Punpckhdq ZIP2 S4;  Punpckhqdq ZIP2 D2;
    Unpcklps ZIP1 S4;  Unpckhps ZIP2 S4;  Unpcklpd ZIP1 D2;  Unpckhpd ZIP2 D2;
}

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Packsswb, |c, i| shaped(c, i, Arr::B16, |c, arr, d, a, b| pack(c, SQXTN, arr, d, a, b))),
        (Packuswb, |c, i| shaped(c, i, Arr::B16, |c, arr, d, a, b| pack(c, SQXTUN, arr, d, a, b))),
        (Packssdw, |c, i| shaped(c, i, Arr::H8, |c, arr, d, a, b| pack(c, SQXTN, arr, d, a, b))),
        (Packusdw, |c, i| shaped(c, i, Arr::H8, |c, arr, d, a, b| pack(c, SQXTUN, arr, d, a, b))),
        (Pshufb, |c, i| shaped(c, i, Arr::B16, shuffle_bytes)),
        (Pshufd, |c, i| with_source(c, i, |c, d, s, imm| shuffle_words(c, d, s, imm))),
        (Pshuflw, |c, i| with_source(c, i, |c, d, s, imm| shuffle_halfwords(c, d, s, imm, 0))),
        (Pshufhw, |c, i| with_source(c, i, |c, d, s, imm| shuffle_halfwords(c, d, s, imm, 4))),
        (Pshufw, pshufw),
        (Shufps, |c, i| with_two(c, i, |c, d, a, b, imm| shuffle_singles(c, d, a, b, imm))),
        (Shufpd, |c, i| with_two(c, i, |c, d, a, b, imm| shuffle_doubles(c, d, a, b, imm))),
        (Palignr, palignr),
        (Pblendw, |c, i| with_two(c, i, |c, d, a, b, imm| blend(c, 1, d, a, b, imm))),
        (Blendps, |c, i| with_two(c, i, |c, d, a, b, imm| blend(c, 2, d, a, b, imm & 15))),
        (Blendpd, |c, i| with_two(c, i, |c, d, a, b, imm| blend(c, 3, d, a, b, imm & 3))),
        (Pblendvb, |c, i| packed(c, i, |c, d, a, b| blend_by_sign(c, Arr::B16, d, a, b, xmm(0)))),
        (Blendvps, |c, i| packed(c, i, |c, d, a, b| blend_by_sign(c, Arr::S4, d, a, b, xmm(0)))),
        (Blendvpd, |c, i| packed(c, i, |c, d, a, b| blend_by_sign(c, Arr::D2, d, a, b, xmm(0)))),
        (Insertps, insertps),
        (Pmovsxbw, |c, i| widen(c, i, SSHLL, 0, 1)),
        (Pmovsxbd, |c, i| widen(c, i, SSHLL, 0, 2)),
        (Pmovsxbq, |c, i| widen(c, i, SSHLL, 0, 3)),
        (Pmovsxwd, |c, i| widen(c, i, SSHLL, 1, 2)),
        (Pmovsxwq, |c, i| widen(c, i, SSHLL, 1, 3)),
        (Pmovsxdq, |c, i| widen(c, i, SSHLL, 2, 3)),
        (Pmovzxbw, |c, i| widen(c, i, USHLL, 0, 1)),
        (Pmovzxbd, |c, i| widen(c, i, USHLL, 0, 2)),
        (Pmovzxbq, |c, i| widen(c, i, USHLL, 0, 3)),
        (Pmovzxwd, |c, i| widen(c, i, USHLL, 1, 2)),
        (Pmovzxwq, |c, i| widen(c, i, USHLL, 1, 3)),
        (Pmovzxdq, |c, i| widen(c, i, USHLL, 2, 3)),
    ]
};

/// XMM destination, source and constant.
fn with_source(c: &mut Ctx, insn: &Insn, f: fn(&mut Ctx, V, V, u32)) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_aligned(insn, 1, SECOND);
    f(c, xmm(n), s, immediate(insn));
}

/// XMM destination that is the first source too, second source and constant.
fn with_two(c: &mut Ctx, insn: &Insn, f: fn(&mut Ctx, V, V, V, u32)) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = c.read_aligned(insn, 1, SECOND);
    f(c, xmm(n), xmm(n), b, immediate(insn));
}

/// PACK*: lanes of a, then of b, narrowed with saturation. `arr` is that of the result.
pub fn pack(c: &mut Ctx, op: V2, arr: Arr, d: V, a: V, b: V) {
    if arr == arr.half() {
        c.a.v3(ZIP1, Arr::D2, V(0), a, b);
        return c.a.v2(op, arr, d, V(0));
    }
    let t = if d == b { V(0) } else { d };
    c.a.v2(op, arr.half(), t, a);
    c.a.v2(op, arr, t, b);
    c.a.vmov(d, t);
}

/// PSHUFB: bytes of a by the indices in b; zero where an index is negative.
pub fn shuffle_bytes(c: &mut Ctx, arr: Arr, d: V, a: V, b: V) {
    c.a.movi_b(V(0), if arr == Arr::B16 { 0x8f } else { 0x87 });
    c.a.vlogic(AND, V(0), V(0), b);
    c.a.tbl(d, a, 1, V(0));
}

/// PSHUFD, the frequent patterns in one instruction.
pub fn shuffle_words(c: &mut Ctx, d: V, s: V, imm: u32) {
    let op = |c: &mut Ctx, op: V3, arr: Arr| c.a.v3(op, arr, d, s, s);
    match imm {
        0xe4 => c.a.vmov(d, s),
        0x00 | 0x55 | 0xaa | 0xff => c.a.dup(Arr::S4, d, s, imm & 3),
        0x44 => c.a.dup(Arr::D2, d, s, 0),
        0xee => c.a.dup(Arr::D2, d, s, 1),
        0xb1 => c.a.v2(REV64, Arr::S4, d, s),
        0x39 => c.a.ext(d, s, s, 4),
        0x4e => c.a.ext(d, s, s, 8),
        0x93 => c.a.ext(d, s, s, 12),
        0x50 => op(c, ZIP1, Arr::S4),
        0xfa => op(c, ZIP2, Arr::S4),
        0x88 => op(c, UZP1, Arr::S4),
        0xdd => op(c, UZP2, Arr::S4),
        0xa0 => op(c, TRN1, Arr::S4),
        0xf5 => op(c, TRN2, Arr::S4),
        _ => {
            let lanes = (0..4).map(|i| imm >> (2 * i) & 3);
            let table = lanes.enumerate().fold(0u128, |t, (i, lane)| t | (0x0302_0100 + 0x0404_0404 * lane as u128) << (32 * i));
            c.a.vector_constant(V(0), table);
            c.a.tbl(d, s, 1, V(0));
        }
    }
}

/// PSHUFLW (`from` 0) and PSHUFHW (`from` 4): four halfwords permuted, the other half kept.
pub fn shuffle_halfwords(c: &mut Ctx, d: V, s: V, imm: u32, from: u32) {
    if imm == 0xe4 {
        return c.a.vmov(d, s);
    }
    let table = (0..8u32).fold(0u128, |t, i| {
        let lane = if i / 4 == from / 4 { from + (imm >> (2 * (i & 3)) & 3) } else { i };
        t | (0x0100 + 0x0202 * lane as u128) << (16 * i)
    });
    c.a.vector_constant(V(0), table);
    c.a.tbl(d, s, 1, V(0));
}

fn pshufw(c: &mut Ctx, insn: &Insn) {
    let Op::Mmx(n) = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_v(insn, 1, 8, SECOND);
    shuffle_halfwords(c, FIRST, s, immediate(insn), 0);
    c.write_mmx(n, FIRST);
}

/// SHUFPS: two lanes of a, then two of b.
pub fn shuffle_singles(c: &mut Ctx, d: V, a: V, b: V, imm: u32) {
    if a == b {
        return shuffle_words(c, d, a, imm);
    }
    match imm {
        0x44 => c.a.v3(ZIP1, Arr::D2, d, a, b),
        0xee => c.a.v3(ZIP2, Arr::D2, d, a, b),
        0x4e => c.a.ext(d, a, b, 8),
        0x88 => c.a.v3(UZP1, Arr::S4, d, a, b),
        0xdd => c.a.v3(UZP2, Arr::S4, d, a, b),
        0xe4 if d == a => c.a.ins(3, d, 1, b, 1),
        _ => {
            c.a.dup(Arr::S4, V(0), a, imm & 3);
            for i in 1..4u32 {
                let lane = imm >> (2 * i) & 3;
                if i != 1 || lane != imm & 3 {
                    c.a.ins(2, V(0), i, if i < 2 { a } else { b }, lane);
                }
            }
            c.a.vmov(d, V(0));
        }
    }
}

/// SHUFPD: one lane of a, then one of b.
pub fn shuffle_doubles(c: &mut Ctx, d: V, a: V, b: V, imm: u32) {
    match imm & 3 {
        0 => c.a.v3(ZIP1, Arr::D2, d, a, b),
        1 => c.a.ext(d, a, b, 8),
        3 => c.a.v3(ZIP2, Arr::D2, d, a, b),
        _ if d == a => c.a.ins(3, d, 1, b, 1),
        _ => {
            c.a.vmov(V(0), b);
            c.a.ins(3, V(0), 0, a, 0);
            c.a.vmov(d, V(0));
        }
    }
}

/// PALIGNR: 16 bytes of a:b from byte `first` on.
pub fn align(c: &mut Ctx, d: V, a: V, b: V, first: u32) {
    match first {
        0 => c.a.vmov(d, b),
        1..=15 => c.a.ext(d, b, a, first),
        _ => super::sse_int::shift_whole(c, false, d, a, first - 16),
    }
}

fn palignr(c: &mut Ctx, insn: &Insn) {
    let imm = immediate(insn);
    match insn.op(0) {
        Op::Xmm(n) => {
            let b = c.read_aligned(insn, 1, SECOND);
            align(c, xmm(n), xmm(n), b, imm);
        }
        Op::Mmx(n) => {
            let b = c.read_v(insn, 1, 8, SECOND);
            c.read_mmx(FIRST, n);
            // a:b fills one register; what is shifted in from above is zero.
            c.a.v3(ZIP1, Arr::D2, FIRST, b, FIRST);
            super::sse_int::shift_whole(c, false, FIRST, FIRST, imm);
            c.write_mmx(n, FIRST);
        }
        _ => c.undefined(insn),
    }
}

/// Lanes of 1 << log2 bytes of b where the constant has a one, of a elsewhere.
pub fn blend(c: &mut Ctx, log2: u32, d: V, a: V, b: V, imm: u32) {
    let lanes = 16 >> log2;
    let ones = imm & ((1 << lanes) - 1);
    if ones == 0 {
        return c.a.vmov(d, a);
    }
    if ones == (1 << lanes) - 1 {
        return c.a.vmov(d, b);
    }
    if ones.count_ones() == 1 && d == a {
        let lane = ones.trailing_zeros();
        return c.a.ins(log2, d, lane, b, lane);
    }
    let bits = 8u32 << log2;
    let table = (0..lanes).filter(|i| ones >> i & 1 != 0).fold(0u128, |t, i| t | ((1u128 << bits) - 1) << (bits * i));
    c.a.vector_constant(V(0), table);
    select(c, d, a, b, V(0));
}

/// `d = mask ? b : a`, bit by bit. `mask` (a temporary) may be overwritten.
pub fn select(c: &mut Ctx, d: V, a: V, b: V, mask: V) {
    if d == a {
        c.a.vlogic(BIT, d, b, mask);
    } else if d == b {
        c.a.vlogic(BIF, d, a, mask);
    } else {
        c.a.vlogic(BSL, mask, b, a);
        c.a.vmov(d, mask);
    }
}

/// Lanes of b where the mask's lane is negative, of a elsewhere.
pub fn blend_by_sign(c: &mut Ctx, arr: Arr, d: V, a: V, b: V, mask: V) {
    c.a.v2(CMLT0, arr, V(0), mask);
    select(c, d, a, b, V(0));
}

/// INSERTPS: lane `imm[7:6]` of the source (or the one in memory) to lane `imm[5:4]`, then zeros by `imm[3:0]`.
fn insertps(c: &mut Ctx, insn: &Insn) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let imm = immediate(insn);
    let b = c.read_v(insn, 1, 4, SECOND);
    let lane = if insn.op(1) == Op::Mem { 0 } else { imm >> 6 };
    insert_single(c, xmm(n), xmm(n), b, lane, imm);
}

/// The same on registers.
pub fn insert_single(c: &mut Ctx, d: V, a: V, b: V, lane: u32, imm: u32) {
    let (to, zeros) = (imm >> 4 & 3, imm & 15);
    let t = if d == a { d } else { V(1) };
    c.a.vmov(t, a);
    c.a.ins(2, t, to, b, lane);
    for i in (0..4).filter(|i| zeros >> i & 1 != 0) {
        c.a.ins_x(2, t, i, ZR);
    }
    c.a.vmov(d, t);
}

fn widen(c: &mut Ctx, insn: &Insn, op: Vs, from: u32, to: u32) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_v(insn, 1, 16 >> (to - from), SECOND);
    extend(c, op, from, to, xmm(n), s);
}

/// The low lanes of `s` extended from 1 << `from` to 1 << `to` bytes.
pub fn extend(c: &mut Ctx, op: Vs, from: u32, to: u32, d: V, s: V) {
    let mut source = s;
    for k in from..to {
        let arr = [Arr::B8, Arr::H4, Arr::S2][k as usize];
        let target = if k + 1 == to { d } else { V(0) };
        c.a.vshift(op, arr, target, source, 0);
        source = target;
    }
}
