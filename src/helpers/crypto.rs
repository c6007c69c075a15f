//! AES, SHA and carry-less multiplication in software, for hosts without the instructions and for forms that the host has not
//! (FIPS 197, FIPS 180-4, Intel SDM). Operands in `scratch[0..2]` and `scratch[2..4]`, result in `scratch[0..2]`.

use crate::guest::CpuState;

/// What to compute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
#[allow(missing_docs)]
pub enum Op {
    Encrypt,
    EncryptLast,
    Decrypt,
    DecryptLast,
    InverseMix,
    KeyAssist,
    Multiply,
    Sha1Rounds,
    Sha256Rounds,
    Sha256Message1,
    Sha256Message2,
    /// GF2P8AFFINEINVQB.
    Affine,
}

const OPS: [Op; 12] = [
    Op::Encrypt,
    Op::EncryptLast,
    Op::Decrypt,
    Op::DecryptLast,
    Op::InverseMix,
    Op::KeyAssist,
    Op::Multiply,
    Op::Sha1Rounds,
    Op::Sha256Rounds,
    Op::Sha256Message1,
    Op::Sha256Message2,
    Op::Affine,
];

/// SHA-1's constants of the four kinds of rounds.
pub const SHA1_K: [u32; 4] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

const fn times(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut r) = (a, b, 0);
    while b != 0 {
        if b & 1 != 0 {
            r ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        b >>= 1;
    }
    r
}

/// The substitution and its inverse.
const BOXES: ([u8; 256], [u8; 256]) = {
    let (mut forward, mut back) = ([0u8; 256], [0u8; 256]);
    // p runs through all non-zero elements as powers of 3, q through their inverses.
    let (mut p, mut q) = (1u8, 1u8);
    loop {
        p = times(p, 3);
        q = times(q, 0xf6);
        let s = q ^ q.rotate_left(1) ^ q.rotate_left(2) ^ q.rotate_left(3) ^ q.rotate_left(4) ^ 0x63;
        forward[p as usize] = s;
        back[s as usize] = p;
        if p == 1 {
            break;
        }
    }
    forward[0] = 0x63;
    back[0x63] = 0;
    (forward, back)
};

type Block = [u8; 16];

/// Rows shifted by `step` columns a row (1: encryption, 3: decryption), then substituted.
fn shift_and_substitute(s: Block, step: usize, table: &[u8; 256]) -> Block {
    std::array::from_fn(|i| table[s[(i + 4 * step * (i & 3)) & 15] as usize])
}

fn mix(s: Block, m: [u8; 4]) -> Block {
    std::array::from_fn(|i| (0..4).fold(0, |r, k| r ^ times(s[i & 12 | k], m[(k + 4 - (i & 3)) & 3])))
}

const MIX: [u8; 4] = [2, 3, 1, 1];
const UNMIX: [u8; 4] = [14, 11, 13, 9];

fn words(v: u128) -> [u32; 4] {
    std::array::from_fn(|i| (v >> (32 * i)) as u32)
}
fn from_words(w: [u32; 4]) -> u128 {
    w.iter().rev().fold(0, |v, &w| v << 32 | w as u128)
}

fn key_assist(v: u128, imm: u32) -> u128 {
    let sub = |w: u32| u32::from_le_bytes(w.to_le_bytes().map(|b| BOXES.0[b as usize]));
    let [_, x1, _, x3] = words(v).map(sub);
    from_words([x1, x1.rotate_right(8) ^ imm, x3, x3.rotate_right(8) ^ imm])
}

fn multiply(a: u64, b: u64) -> u128 {
    (0..64).filter(|i| b >> i & 1 != 0).fold(0, |r, i| r ^ (a as u128) << i)
}

fn sha1_rounds(state: u128, message: u128, kind: u32) -> u128 {
    let [mut d, mut c, mut b, mut a] = words(state);
    let mut e = 0u32;
    for w in words(message).into_iter().rev() {
        let f = match kind {
            0 => b & c ^ !b & d,
            2 => b & c ^ b & d ^ c & d,
            _ => b ^ c ^ d,
        };
        let next = f.wrapping_add(a.rotate_left(5)).wrapping_add(w).wrapping_add(e).wrapping_add(SHA1_K[kind as usize]);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    from_words([d, c, b, a])
}

/// Two rounds: `cdgh` and `abef` in descending order, the sums of message and constant in the low words of `wk`.
fn sha256_rounds(cdgh: u128, abef: u128, wk: u128) -> u128 {
    let ([mut h, mut g, mut d, mut c], [mut f, mut e, mut b, mut a]) = (words(cdgh), words(abef));
    for w in &words(wk)[..2] {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t = h.wrapping_add(e & f ^ !e & g).wrapping_add(s1).wrapping_add(*w);
        let majority = a & b ^ a & c ^ b & c;
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t), c, b, a, t.wrapping_add(majority).wrapping_add(s0));
    }
    from_words([f, e, b, a])
}

fn sha256_message1(a: u128, b: u128) -> u128 {
    let (w, next) = (words(a), words(b)[0]);
    let sigma = |x: u32| x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3;
    from_words(std::array::from_fn(|i| w[i].wrapping_add(sigma(if i == 3 { next } else { w[i + 1] }))))
}

fn sha256_message2(a: u128, b: u128) -> u128 {
    let sigma = |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ x >> 10;
    let ([a0, a1, a2, a3], [_, _, w14, w15]) = (words(a), words(b));
    let (w16, w17) = (a0.wrapping_add(sigma(w14)), a1.wrapping_add(sigma(w15)));
    from_words([w16, w17, a2.wrapping_add(sigma(w16)), a3.wrapping_add(sigma(w17))])
}

/// The affine transformation of every byte's inverse in the field of x^8 + x^4 + x^3 + x + 1 (SDM, GF2P8AFFINEINVQB).
fn affine_of_inverse(bytes: u128, matrices: u128, imm: u32) -> u128 {
    let m = matrices.to_le_bytes();
    let bytes = bytes.to_le_bytes();
    let one = |i: usize| {
        // x^254 = 1 / x.
        let (x, mut inverse) = (bytes[i], 1);
        for _ in 0..254 {
            inverse = times(inverse, x);
        }
        (0..8).fold(imm as u8, |r, bit| r ^ ((inverse & m[i & 8 | (7 - bit)]).count_ones() as u8 & 1) << bit)
    };
    u128::from_le_bytes(std::array::from_fn(one))
}

fn compute(op: Op, a: u128, b: u128, imm: u32, xmm0: u128) -> u128 {
    let (s, key) = (a.to_le_bytes(), b);
    let block = |v: Block| u128::from_le_bytes(v);
    match op {
        Op::Encrypt => block(mix(shift_and_substitute(s, 1, &BOXES.0), MIX)) ^ key,
        Op::EncryptLast => block(shift_and_substitute(s, 1, &BOXES.0)) ^ key,
        Op::Decrypt => block(mix(shift_and_substitute(s, 3, &BOXES.1), UNMIX)) ^ key,
        Op::DecryptLast => block(shift_and_substitute(s, 3, &BOXES.1)) ^ key,
        Op::InverseMix => block(mix(s, UNMIX)),
        Op::KeyAssist => key_assist(a, imm),
        Op::Multiply => multiply((a >> (64 * (imm & 1))) as u64, (b >> (64 * (imm >> 4 & 1))) as u64),
        Op::Sha1Rounds => sha1_rounds(a, b, imm),
        Op::Sha256Rounds => sha256_rounds(a, b, xmm0),
        Op::Sha256Message1 => sha256_message1(a, b),
        Op::Sha256Message2 => sha256_message2(a, b),
        Op::Affine => affine_of_inverse(a, b, imm),
    }
}

/// An [`Op`] and its constant.
pub fn run(s: &mut CpuState, op: u64, imm: u64, _: u64) -> u64 {
    let pair = |low: u64, high: u64| low as u128 | (high as u128) << 64;
    let [a0, a1, b0, b1, ..] = s.scratch;
    let r = compute(OPS[op as usize], pair(a0, a1), pair(b0, b1), imm as u32, pair(s.xmm[0][0], s.xmm[0][1]));
    (s.scratch[0], s.scratch[1]) = (r as u64, (r >> 64) as u64);
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fips_197_round() {
        // Appendix B: first round.
        let start = 0x0848_f8e9_2a8d_c69a_2be2_f4a0_bee3_3d19u128;
        let out = compute(Op::EncryptLast, start, 0, 0, 0).to_le_bytes();
        assert_eq!(out[..4], [0xd4, 0xbf, 0x5d, 0x30]);
        let mixed = compute(Op::Encrypt, start, 0, 0, 0).to_le_bytes();
        assert_eq!(mixed[..4], [0x04, 0x66, 0x81, 0xe5]);
        assert_eq!(compute(Op::DecryptLast, compute(Op::EncryptLast, start, 0, 0, 0), 0, 0, 0), start);
        assert_eq!(compute(Op::InverseMix, u128::from_le_bytes(mix(start.to_le_bytes(), MIX)), 0, 0, 0), start);
    }

    #[test]
    fn codes() {
        assert!(OPS.iter().enumerate().all(|(i, &op)| op as usize == i));
        assert_eq!(multiply(3, 3), 5);
    }
}
