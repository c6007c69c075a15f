//! AES, carry-less multiplication and string comparisons on VEX operands; Galois field arithmetic (GFNI) in both encodings.

use super::Row;
use super::avx::{Source, number, two};
use super::context::Ctx;
use super::crypto::*;
use super::sse_string;
use super::vector::{SECOND, immediate};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, ops::*};
use crate::helpers::{compare_strings::*, crypto};

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Vaesenc, |c, i| lanes(c, i, |c, d, a, b, _| round(c, AESE, Some(AESMC), crypto::Op::Encrypt, d, a, b))),
        (Vaesenclast, |c, i| lanes(c, i, |c, d, a, b, _| round(c, AESE, None, crypto::Op::EncryptLast, d, a, b))),
        (Vaesdec, |c, i| lanes(c, i, |c, d, a, b, _| round(c, AESD, Some(AESIMC), crypto::Op::Decrypt, d, a, b))),
        (Vaesdeclast, |c, i| lanes(c, i, |c, d, a, b, _| round(c, AESD, None, crypto::Op::DecryptLast, d, a, b))),
        (Vaesimc, |c, i| two(c, i, &|c, _, d, s| inverse_mix(c, d, s, s, 0))),
        (Vaeskeygenassist, |c, i| two(c, i, &|c, _, d, s| key_assist(c, d, s, s, immediate(i)))),
        (Vpclmulqdq, |c, i| lanes(c, i, multiply)),
        (Vpcmpistri, |c, i| compare(c, i, 0)),
        (Vpcmpistrm, |c, i| compare(c, i, MASK)),
        (Vpcmpestri, |c, i| compare(c, i, EXPLICIT)),
        (Vpcmpestrm, |c, i| compare(c, i, EXPLICIT | MASK)),
        (Vpcmpestri64, |c, i| compare(c, i, EXPLICIT | WIDE)),
        (Vpcmpestrm64, |c, i| compare(c, i, EXPLICIT | WIDE | MASK)),
        (Gf2p8mulb, |c, i| legacy(c, i, field_multiply)),
        (Gf2p8affineqb, |c, i| legacy(c, i, affine)),
        (Gf2p8affineinvqb, |c, i| legacy(c, i, affine_of_inverse)),
        (Vgf2p8mulb, |c, i| lanes(c, i, field_multiply)),
        (Vgf2p8affineqb, |c, i| lanes(c, i, affine)),
        (Vgf2p8affineinvqb, |c, i| lanes(c, i, affine_of_inverse)),
    ]
};

/// As SSE's; a mask in XMM0 clears YMM0's upper half.
fn compare(c: &mut Ctx, insn: &Insn, kind: u64) {
    sse_string::compare(c, insn, kind);
    if kind & MASK != 0 {
        c.clear_upper(0);
    }
}

/// Three operands, perhaps in a helper.
fn lanes(c: &mut Ctx, insn: &Insn, f: WithConstant) {
    let b = c.source(insn, 2);
    let a = Source::Reg(number(insn.op(1)));
    c.by_lanes_in_helper(insn.op(0), a, b, &|c, _, d, a, b| f(c, d, a, b, immediate(insn)));
}

fn legacy(c: &mut Ctx, insn: &Insn, f: WithConstant) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = c.read_aligned(insn, 1, SECOND);
    f(c, xmm(n), xmm(n), b, immediate(insn));
}

/// GF2P8MULB: products of bytes modulo x^8 + x^4 + x^3 + x + 1.
fn field_multiply(c: &mut Ctx, d: V, a: V, b: V, _: u32) {
    // Products of 15 bits; what lies above the low byte is multiplied by the polynomial's rest, twice.
    c.a.v3(PMULL, Arr::B8, V(0), a, b);
    c.a.v3(PMULL, Arr::B16, V(1), a, b);
    c.a.v3(UZP1, Arr::B16, V(2), V(0), V(1));
    c.a.v3(UZP2, Arr::B16, V(3), V(0), V(1));
    c.a.movi_b(V(4), 0x1b);
    for again in [true, false] {
        c.a.v3(PMULL, Arr::B8, V(0), V(3), V(4));
        c.a.v3(PMULL, Arr::B16, V(1), V(3), V(4));
        c.a.v3(UZP1, Arr::B16, V(5), V(0), V(1));
        c.a.vlogic(EOR, V(2), V(2), V(5));
        if again {
            c.a.v3(UZP2, Arr::B16, V(3), V(0), V(1));
        }
    }
    c.a.vmov(d, V(2));
}

/// GF2P8AFFINEQB: bit i of each byte of a: the parity of the byte and byte 7 - i of b's doubleword, then the constant.
fn affine(c: &mut Ctx, d: V, a: V, b: V, imm: u32) {
    c.a.vector_constant(V(0), 0x0f0f_0f0f_0f0f_0f0f_0707_0707_0707_0707);
    c.a.vones(V(1));
    for i in 0..8 {
        c.a.tbl(V(2), b, 1, V(0));
        c.a.vlogic(AND, V(2), V(2), a);
        if i == 0 {
            c.a.v2(CNT, Arr::B16, V(3), V(2));
        } else {
            c.a.v2(CNT, Arr::B16, V(2), V(2));
            c.a.vshift(SLI, Arr::B16, V(3), V(2), i);
        }
        if i < 7 {
            c.a.v3(ADD, Arr::B16, V(0), V(0), V(1));
        }
    }
    if imm == 0 {
        return c.a.vmov(d, V(3));
    }
    c.a.movi_b(V(0), imm);
    c.a.vlogic(EOR, d, V(3), V(0));
}

/// GF2P8AFFINEINVQB: the same of each byte's inverse.
fn affine_of_inverse(c: &mut Ctx, d: V, a: V, b: V, imm: u32) {
    in_helper(c, crypto::Op::Affine, imm, d, a, b);
}
