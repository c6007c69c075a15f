//! Remainders, scaling, exponent extraction, rounding to an integer.
use super::f80::{Class, check1, check2};
use super::round::{normalize, pack};
use super::{Env, F80, flag::*};

/// What FPREM/FPREM1 leave: the remainder and what is known of the quotient.
pub type Remainder = (F80, Quotient);

/// The quotient that FPREM reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quotient {
    /// The reduction is complete; low bits of the quotient.
    Low(u64),
    /// A partial reduction.
    Partial,
    /// A NaN or an invalid operation: there is none.
    Missing,
}
use Quotient::*;

/// FPREM (`nearest` false) and FPREM1.
pub fn rem(env: &mut Env, a: F80, b: F80, nearest: bool) -> Remainder {
    if let Some(r) = check2(env, a, b) {
        return (r, Missing);
    }
    if a.class() == Class::Infinity || b.class() == Class::Zero {
        env.flags = IE;
        return (F80::INDEFINITE, Missing);
    }
    if a.class() == Class::Zero || b.class() == Class::Infinity {
        // A (pseudo-)denormal operand comes back in its normal form.
        let r = if a.class() == Class::Denormal { let p = a.parts(); normalize(env, 64, p.s, p.e, (p.m as u128) << 64) } else { a };
        return (r, Low(0));
    }
    let (x, y) = (a.parts(), b.parts());
    let d = x.e - y.e;
    if d >= 64 {
        let n = (d & 31) | 32;
        let r = ((x.m as u128) << n) % y.m as u128;
        let v = if r == 0 { F80::zero(x.s) } else { normalize(env, 64, x.s, y.e + d - n, r << 64) };
        return (v, Partial);
    }
    if d < -1 || d < 0 && !nearest {
        return (pack(env, 64, x.s, x.e, (x.m as u128) << 64), Low(0));
    }
    // Both in units of half the divisor's last place, so that d = -1 needs no special path.
    let (n, m) = ((x.m as u128) << (d + 1), (y.m as u128) << 1);
    let (mut q, mut r, mut s) = (n / m, n % m, x.s);
    if nearest && (r > m - r || r == m - r && q & 1 != 0) {
        (q, r, s) = (q + 1, m - r, !s);
    }
    let v = if r == 0 { F80::zero(x.s) } else { normalize(env, 64, s, y.e, r << 63) };
    (v, Low(q as u64 & 7))
}

/// FRNDINT.
pub fn rndint(env: &mut Env, a: F80) -> F80 {
    if let Some(r) = check1(env, a) {
        return r;
    }
    let e = a.exp() - 16383;
    if matches!(a.class(), Class::Infinity | Class::Zero) || e >= 63 {
        return a;
    }
    let (q, rest) = split(a);
    let up = env.rounds_up(a.sign(), q & 1 != 0, rest);
    if rest != 0 {
        env.raise(PE);
    }
    env.up = up;
    let q = q + up as u64;
    if q == 0 { F80::zero(a.sign()) } else { from_int(a.sign(), q) }
}

/// Magnitude below 2^64 as integer and fraction (sticky).
pub fn split(a: F80) -> (u64, u64) {
    let e = a.exp().max(1) - 16383;
    let v = super::round::shift_sticky((a.m as u128) << 64, (63 - e) as u32);
    ((v >> 64) as u64, v as u64)
}

/// An integer's value, exact.
pub fn from_int(s: bool, v: u64) -> F80 {
    if v == 0 {
        return F80::zero(s);
    }
    let lz = v.leading_zeros();
    F80 { se: (s as u16) << 15 | (16383 + 63 - lz as u16), m: v << lz }
}

/// FSCALE: `a * 2^trunc(b)`.
pub fn scale(env: &mut Env, a: F80, b: F80) -> F80 {
    if let Some(r) = check2(env, a, b) {
        return r;
    }
    match (a.class(), b.class()) {
        (Class::Infinity, Class::Infinity) if b.sign() => {
            env.flags = IE;
            return F80::INDEFINITE;
        }
        (Class::Zero, Class::Infinity) if !b.sign() => {
            env.flags = IE;
            return F80::INDEFINITE;
        }
        (Class::Infinity | Class::Zero, _) => return a,
        (_, Class::Infinity) => return if b.sign() { F80::zero(a.sign()) } else { F80::infinity(a.sign()) },
        _ => {}
    }
    let n = if b.exp() > 16383 + 16 { 1 << 17 } else { split(b).0 as i32 };
    let x = a.parts();
    pack(env, 64, x.s, x.e + if b.sign() { -n } else { n }, (x.m as u128) << 64)
}

/// FXTRACT: (exponent, significand).
pub fn xtract(env: &mut Env, a: F80) -> (F80, F80) {
    if let Some(r) = check1(env, a) {
        return (r, r);
    }
    match a.class() {
        Class::Infinity => (F80::infinity(false), a),
        Class::Zero => {
            env.raise(ZE);
            (F80::infinity(true), a)
        }
        _ => {
            let x = a.parts();
            let e = x.e - 16383;
            (from_int(e < 0, e.unsigned_abs() as u64), F80 { se: (x.s as u16) << 15 | 16383, m: x.m })
        }
    }
}
