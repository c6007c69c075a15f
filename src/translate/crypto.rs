//! AES, carry-less multiplication and SHA: on the host's own instructions where it has them, else in a helper.

use super::Row;
use super::context::Ctx;
use super::vector::{SECOND, immediate};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, ops::*};
use crate::helpers::{Id, crypto};

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Aesenc, |c, i| two(c, i, |c, d, a, b, _| round(c, AESE, Some(AESMC), crypto::Op::Encrypt, d, a, b))),
        (Aesenclast, |c, i| two(c, i, |c, d, a, b, _| round(c, AESE, None, crypto::Op::EncryptLast, d, a, b))),
        (Aesdec, |c, i| two(c, i, |c, d, a, b, _| round(c, AESD, Some(AESIMC), crypto::Op::Decrypt, d, a, b))),
        (Aesdeclast, |c, i| two(c, i, |c, d, a, b, _| round(c, AESD, None, crypto::Op::DecryptLast, d, a, b))),
        (Aesimc, |c, i| two(c, i, inverse_mix)),
        (Aeskeygenassist, |c, i| two(c, i, key_assist)),
        (Pclmulqdq, |c, i| two(c, i, multiply)),
        (Sha1rnds4, |c, i| two_anywhere(c, i, sha1_rounds)),
        (Sha1nexte, |c, i| two_anywhere(c, i, sha1_next)),
        (Sha1msg1, |c, i| two_anywhere(c, i, sha1_message1)),
        (Sha1msg2, |c, i| two_anywhere(c, i, sha1_message2)),
        (Sha256rnds2, |c, i| two_anywhere(c, i, sha256_rounds)),
        (Sha256msg1, |c, i| two_anywhere(c, i, sha256_message1)),
        (Sha256msg2, |c, i| two_anywhere(c, i, sha256_message2)),
    ]
};

/// `d = a op b` with a constant.
pub type WithConstant = fn(&mut Ctx, V, V, V, u32);

fn two(c: &mut Ctx, insn: &Insn, f: WithConstant) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = c.read_aligned(insn, 1, SECOND);
    f(c, xmm(n), xmm(n), b, immediate(insn));
}

/// As [`two`]; SHA takes memory at any address: Zen 4, where the manual has #GP.
fn two_anywhere(c: &mut Ctx, insn: &Insn, f: WithConstant) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = c.read_v(insn, 1, 16, SECOND);
    f(c, xmm(n), xmm(n), b, immediate(insn));
}

/// `d = op(a, b, constant)` in a helper; it finds XMM0 in the state.
pub fn in_helper(c: &mut Ctx, op: crypto::Op, imm: u32, d: V, a: V, b: V) {
    c.vector_helper(Id::Crypto, a, b, op as u64, imm as u64);
    c.helper_result(d);
}

/// An AES round: the host's adds the key first, x86's last.
pub fn round(c: &mut Ctx, sub: u32, mix: Option<u32>, op: crypto::Op, d: V, a: V, b: V) {
    if !c.a.features.aes {
        return in_helper(c, op, 0, d, a, b);
    }
    let t = if d == b { V(1) } else { d };
    let zero = c.zero(V(0));
    c.a.vmov(t, a);
    c.a.vraw(sub, t, zero);
    if let Some(mix) = mix {
        c.a.vraw(mix, t, t);
    }
    c.a.vlogic(EOR, d, t, b);
}

/// AESIMC.
pub fn inverse_mix(c: &mut Ctx, d: V, _: V, b: V, _: u32) {
    if c.a.features.aes { c.a.vraw(AESIMC, d, b) } else { in_helper(c, crypto::Op::InverseMix, 0, d, b, b) }
}

/// AESKEYGENASSIST.
pub fn key_assist(c: &mut Ctx, d: V, _: V, b: V, imm: u32) {
    if !c.a.features.aes {
        return in_helper(c, crypto::Op::KeyAssist, imm, d, b, b);
    }
    // With four equal columns the row shift changes nothing: what is left is the substitution.
    c.a.vzero(V(0));
    c.a.dup(Arr::S4, V(1), b, 1);
    c.a.dup(Arr::S4, V(2), b, 3);
    c.a.vraw(AESE, V(1), V(0));
    c.a.vraw(AESE, V(2), V(0));
    c.a.v3(ZIP1, Arr::D2, V(1), V(1), V(2));
    c.a.vshift(USHR, Arr::S4, V(2), V(1), 8);
    c.a.vshift(SLI, Arr::S4, V(2), V(1), 24);
    c.a.movi_s(V(0), imm, 0);
    c.a.vlogic(EOR, V(2), V(2), V(0));
    c.a.v3(TRN1, Arr::S4, d, V(1), V(2));
}

/// PCLMULQDQ: halves by bits 0 and 4 of the constant.
pub fn multiply(c: &mut Ctx, d: V, a: V, b: V, imm: u32) {
    if !c.a.features.pmull {
        return in_helper(c, crypto::Op::Multiply, imm, d, a, b);
    }
    c.a.dup(Arr::D2, V(0), b, imm >> 4 & 1);
    c.a.v3(PMULL, if imm & 1 != 0 { Arr::D2 } else { Arr::D1 }, d, a, V(0));
}

fn reverse_words(c: &mut Ctx, d: V, s: V) {
    c.a.v2(REV64, Arr::S4, d, s);
    c.a.ext(d, d, d, 8);
}

/// SHA1RNDS4. x86 has the words in descending order, and E already added to the first message word.
fn sha1_rounds(c: &mut Ctx, d: V, a: V, b: V, imm: u32) {
    if !c.a.features.sha1 {
        return in_helper(c, crypto::Op::Sha1Rounds, imm & 3, d, a, b);
    }
    reverse_words(c, V(0), a);
    reverse_words(c, V(1), b);
    c.a.mov_imm(T[0], crypto::SHA1_K[imm as usize & 3] as u64);
    c.a.dup_x(Arr::S4, V(2), T[0]);
    c.a.v3(ADD, Arr::S4, V(1), V(1), V(2));
    let zero = c.zero(V(2));
    c.a.vraw3([SHA1C, SHA1P, SHA1M, SHA1P][imm as usize & 3], V(0), zero, V(1));
    reverse_words(c, d, V(0));
}

/// `d = s rotated left in every word`.
fn rotate(c: &mut Ctx, d: V, s: V, n: u32) {
    c.a.vshift(SHL, Arr::S4, d, s, n);
    c.a.vshift(SRI, Arr::S4, d, s, 32 - n);
}

/// SHA1NEXTE: b, and E from a's A in the top word.
fn sha1_next(c: &mut Ctx, d: V, a: V, b: V, _: u32) {
    rotate(c, V(0), a, 30);
    c.a.vzero(V(1));
    c.a.ins(2, V(1), 3, V(0), 3);
    c.a.v3(ADD, Arr::S4, d, b, V(1));
}

/// SHA1MSG1: W[i] ^ W[i + 2].
fn sha1_message1(c: &mut Ctx, d: V, a: V, b: V, _: u32) {
    c.a.ext(V(0), b, a, 8);
    c.a.vlogic(EOR, d, a, V(0));
}

/// SHA1MSG2: the last word depends on the first of the result.
fn sha1_message2(c: &mut Ctx, d: V, a: V, b: V, _: u32) {
    c.a.vzero(V(1));
    c.a.ext(V(0), V(1), b, 12);
    c.a.vlogic(EOR, V(0), V(0), a);
    rotate(c, V(2), V(0), 1);
    rotate(c, V(3), V(2), 1);
    c.a.ins(2, V(1), 0, V(3), 3);
    c.a.vlogic(EOR, d, V(2), V(1));
}

/// SHA256RNDS2: two rounds of the state (C D G H) in `a` and (A B E F) in `b`, words in descending order, with the sums in XMM0's low half.
///
/// The host's instructions do four rounds of (A B C D) and (E F G H) in ascending order, but after them the upper halves hold the A, B, E and F of
/// the second one: what the other two rounds were given does not matter.
fn sha256_rounds(c: &mut Ctx, d: V, a: V, b: V, _: u32) {
    if !c.a.features.sha256 {
        return in_helper(c, crypto::Op::Sha256Rounds, 0, d, a, b);
    }
    let (efgh, abcd, old) = (V(0), V(2), V(1));
    c.a.v2(REV64, Arr::S4, V(0), b);
    c.a.v2(REV64, Arr::S4, V(1), a);
    c.a.v3(ZIP2, Arr::D2, abcd, V(0), V(1));
    c.a.v3(ZIP1, Arr::D2, efgh, V(0), V(1));
    c.a.vmov(old, abcd);
    c.a.vraw3(SHA256H, abcd, efgh, xmm(0));
    c.a.vraw3(SHA256H2, efgh, old, xmm(0));
    c.a.v3(ZIP2, Arr::D2, efgh, efgh, abcd);
    c.a.v2(REV64, Arr::S4, d, efgh);
}

fn sha256_message1(c: &mut Ctx, d: V, a: V, b: V, _: u32) {
    if !c.a.features.sha256 {
        return in_helper(c, crypto::Op::Sha256Message1, 0, d, a, b);
    }
    c.a.vmov(d, a);
    c.a.vraw(SHA256SU0, d, b);
}

/// SHA256MSG2: the host's instruction adds four earlier words too; they are given as zero.
fn sha256_message2(c: &mut Ctx, d: V, a: V, b: V, _: u32) {
    if !c.a.features.sha256 {
        return in_helper(c, crypto::Op::Sha256Message2, 0, d, a, b);
    }
    let zero = c.zero(V(1));
    c.a.vzero(V(2));
    c.a.ins(3, V(2), 1, b, 1);
    c.a.vmov(d, a);
    c.a.vraw3(SHA256SU1, d, zero, V(2));
}
