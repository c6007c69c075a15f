//! Conversions between the register format and memory formats.
use super::f80::Class;
use super::rem::{from_int, split};
use super::round::shift_sticky;
use super::{Env, F80, flag::*};

/// Field widths of a binary interchange format.
#[derive(Clone, Copy)]
pub struct Format {
    /// Fraction bits.
    pub frac: u32,
    /// Exponent bits.
    pub exp: u32,
}
/// Single precision.
pub const F32: Format = Format { frac: 23, exp: 8 };
/// Double precision.
pub const F64: Format = Format { frac: 52, exp: 11 };

/// From single or double. Raises IE for a signaling NaN (made quiet) and DE for a denormal.
pub fn widen(env: &mut Env, f: Format, v: u64) -> F80 {
    let max = (1u64 << f.exp) - 1;
    let (s, e, frac) = ((v >> (f.frac + f.exp) & 1) as u16, v >> f.frac & max, v & ((1 << f.frac) - 1));
    let (se, m) = (s << 15, frac << (63 - f.frac));
    let bias = 16383 - (max >> 1) as u16;
    if e == max {
        let r = F80 { se: se | 0x7fff, m: m | 1 << 63 };
        if r.class() == Class::Signaling {
            env.raise(IE);
            return r.quiet();
        }
        return r;
    }
    if e != 0 {
        return F80 { se: se | (e as u16 + bias), m: m | 1 << 63 };
    }
    if frac == 0 {
        return F80 { se, m: 0 };
    }
    env.raise(DE);
    let lz = m.leading_zeros();
    F80 { se: se | (1 + bias - lz as u16), m: m << lz }
}

/// To single or double, rounded by rounding control. With UE or OE unmasked the value is not meant to be stored.
pub fn narrow(env: &mut Env, f: Format, a: F80) -> u64 {
    let max = (1u64 << f.exp) - 1;
    let sign = (a.sign() as u64) << (f.exp + f.frac);
    let frac = |m: u64| (m << 1) >> (64 - f.frac);
    match a.class() {
        Class::Unsupported => {
            env.raise(IE);
            return 1 << (f.exp + f.frac) | max << f.frac | 1 << (f.frac - 1);
        }
        Class::Signaling | Class::Quiet | Class::Infinity => {
            if a.class() == Class::Signaling {
                env.raise(IE);
            }
            let a = if a.is_nan() { a.quiet() } else { a };
            return sign | max << f.frac | frac(a.m);
        }
        Class::Zero => return sign,
        _ => {}
    }
    let x = a.parts();
    let e = x.e - 16383 + (max >> 1) as i32;
    let v = (x.m as u128) << 64;
    let keep = 127 - f.frac;
    let at = |env: &Env, v: u128| {
        let (q, rest) = ((v >> keep) as u64, v << (128 - keep));
        let rest = (rest >> 64) as u64 | (rest as u64 != 0) as u64;
        (env.rounds_up(x.s, q & 1 != 0, rest), q, rest != 0)
    };
    let (mut up, mut q, mut inexact) = at(env, v);
    let mut r = q + up as u64;
    let carried = r >> (f.frac + 1) != 0;
    let mut biased = e.max(0) as u64;
    if e + (carried as i32) <= 0 {
        if !env.masked(UE) {
            env.raise(UE);
        }
        (up, q, inexact) = at(env, shift_sticky(v, (1 - e) as u32));
        r = q + up as u64;
        biased = 1;
        if inexact {
            env.raise(UE);
        }
    } else if e + carried as i32 >= max as i32 {
        env.raise(OE | PE);
        let away = match env.rc() {
            0 => true,
            1 => x.s,
            2 => !x.s,
            _ => false,
        };
        env.up = away;
        return sign | if away { max << f.frac } else { (max << f.frac) - 1 };
    } else if e <= 0 {
        // Rounded up into the normal range: not tiny, but the denormal places are what is stored.
        biased = 1;
        r = 1 << f.frac;
    }
    if inexact {
        env.raise(PE);
    }
    env.up = up;
    // The integer bit adds one to the exponent field.
    sign | ((biased - 1) << f.frac) + r
}

/// To a signed integer of `bits` bits; the indefinite value and IE when out of range. `truncate` overrides rounding control.
pub fn to_int(env: &mut Env, a: F80, bits: u32, truncate: bool) -> i64 {
    let indefinite = i64::MIN >> (64 - bits);
    let bad = |env: &mut Env| {
        env.raise(IE);
        indefinite
    };
    if !matches!(a.class(), Class::Zero | Class::Normal | Class::Denormal) || a.exp() > 16383 + 63 {
        return bad(env);
    }
    let (q, rest) = split(a);
    let up = !truncate && env.rounds_up(a.sign(), q & 1 != 0, rest);
    let Some(q) = q.checked_add(up as u64) else { return bad(env) };
    let limit = (1u64 << (bits - 1)) - !a.sign() as u64;
    if q > limit {
        return bad(env);
    }
    if rest != 0 {
        env.raise(PE);
    }
    env.up = up;
    if a.sign() { (q as i64).wrapping_neg() } else { q as i64 }
}

/// From a signed integer, exact.
pub fn int(v: i64) -> F80 {
    from_int(v < 0, v.unsigned_abs())
}

/// From packed BCD (18 digits, sign in bit 79); digits above nine weigh what they say.
pub fn from_bcd(v: u128) -> F80 {
    let m = (0..18).rev().fold(0u64, |m, i| m * 10 + (v >> (4 * i) & 15) as u64);
    from_int(v >> 79 & 1 != 0, m)
}

/// To packed BCD, rounded by rounding control.
pub fn to_bcd(env: &mut Env, a: F80) -> u128 {
    const INDEFINITE: u128 = 0xffff_c000 << 48;
    let v = to_int(env, a, 64, false);
    if env.flags & IE != 0 || v.unsigned_abs() > 999_999_999_999_999_999 {
        (env.flags, env.up) = (IE, false);
        return INDEFINITE;
    }
    let mut m = v.unsigned_abs();
    let mut r = (a.sign() as u128) << 79;
    for i in 0..18 {
        r |= ((m % 10) as u128) << (4 * i);
        m /= 10;
    }
    r
}
