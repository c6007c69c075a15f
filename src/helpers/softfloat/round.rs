//! Rounding to the register format: precision control, overflow, gradual underflow (tininess after rounding).
use super::{Env, F80, flag::*};

/// Shifts a 128-bit value right, keeping lost bits as a sticky lowest bit.
pub fn shift_sticky(v: u128, n: u32) -> u128 {
    match n {
        0 => v,
        1..=127 => v >> n | (v << (128 - n) != 0) as u128,
        _ => (v != 0) as u128,
    }
}

/// Rounds to an integral number of 2^(64-bits): the rounded significand (0 = carried out of 64 bits), whether it went up, whether inexact.
fn round(env: &Env, s: bool, bits: u32, v: u128) -> (u64, bool, bool) {
    let (hi, lo) = ((v >> 64) as u64, v as u64);
    if bits == 64 {
        let up = env.rounds_up(s, hi & 1 != 0, lo);
        return (hi.wrapping_add(up as u64), up, lo != 0);
    }
    let unit = 1u64 << (64 - bits);
    let rest = hi << bits | (lo != 0) as u64;
    let hi = hi & unit.wrapping_neg();
    let up = env.rounds_up(s, hi & unit != 0, rest);
    (if up { hi.wrapping_add(unit) } else { hi }, up, rest != 0)
}

/// Packs `(-1)^s * 1.v * 2^(e-16383)`, `v` normalized (bit 127 set), rounded to `bits` significand bits.
pub fn pack(env: &mut Env, bits: u32, s: bool, e: i32, v: u128) -> F80 {
    let sign = (s as u16) << 15;
    let (mut m, mut up, inexact) = round(env, s, bits, v);
    let mut exp = e;
    if m == 0 {
        (m, exp) = (1 << 63, e + 1);
    }
    if exp <= 0 {
        if env.masked(UE) {
            // Where the shift starts, precision control no longer counts bits of the number but places of the register.
            let v = shift_sticky(v, (1 - e) as u32);
            let inexact;
            (m, up, inexact) = round(env, s, bits, v);
            if inexact {
                env.raise(UE | PE);
            }
            env.up = up;
            return F80 { se: sign | (m >> 63) as u16, m };
        }
        env.raise(UE);
        exp += 0x6000;
        if exp <= 0 {
            // FSCALE only: too small for the biased exponent too.
            env.raise(PE);
            env.up = false;
            return F80::zero(s);
        }
    } else if exp > 0x7ffe {
        if env.masked(OE) {
            env.raise(OE | PE);
            let away = match env.rc() {
                0 => true,
                1 => s,
                2 => !s,
                _ => false,
            };
            env.up = away;
            return if away { F80::infinity(s) } else { F80 { se: sign | 0x7ffe, m: u64::MAX << (64 - bits) } };
        }
        env.raise(OE);
        exp -= 0x6000;
        if exp > 0x7ffe {
            env.raise(PE);
            env.up = true;
            return F80::infinity(s);
        }
    }
    if inexact {
        env.raise(PE);
    }
    env.up = up;
    F80 { se: sign | (exp & 0x7fff) as u16, m }
}

/// Normalizes `v` (not 0) and packs it; `e` is the biased exponent that bit 127 has.
pub fn normalize(env: &mut Env, bits: u32, s: bool, e: i32, v: u128) -> F80 {
    let lz = v.leading_zeros();
    pack(env, bits, s, e - lz as i32, v << lz)
}
