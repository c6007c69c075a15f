//! Elementary functions to the last place of the register format, with the processor's limits and special results.
//!
//! Angles are reduced by pi cut at 66 bits, as the processor does it; everything else is computed with [`Wide`]. Any result but a
//! special one is reported inexact, also one that happens to be exact (as the processor does).
use super::f80::{Class, check1, check2};
use super::round::normalize;
use super::wide::Wide;
use super::{Env, F80, flag::*};
use std::cmp::Ordering;

fn invalid(env: &mut Env) -> F80 {
    env.flags = IE;
    F80::INDEFINITE
}

/// Rounds a computed value.
fn finish(env: &mut Env, v: Wide) -> F80 {
    env.raise(PE);
    if v.m == 0 {
        return F80::zero(v.s);
    }
    let r = normalize(env, 64, v.s, v.e + 16383, v.m);
    if r.exp() == 0 {
        env.raise(UE);
    }
    r
}

/// Sums a series from `term` on; `next` makes the following addend's raw term and the divisor that makes the addend of it.
fn series(first: Wide, next: impl Fn(Wide, u32) -> (Wide, u32)) -> Wide {
    let (mut sum, mut term) = (first, first);
    for n in 1..400 {
        let (raw, divisor) = next(term, n);
        term = raw;
        let addend = raw.over(divisor);
        if addend.m == 0 || addend.e < sum.e - 100 {
            break;
        }
        sum = sum.add(addend);
    }
    sum
}

/// Sine and cosine of an angle up to pi/4.
fn kernel(r: Wide) -> (Wide, Wide) {
    if r.m != 0 && r.e < -50 {
        // The next term is below what Wide holds, but directed rounding must know that it is there.
        return (Wide::new(r.s, r.e, r.m - 1), Wide { s: false, e: -1, m: u128::MAX });
    }
    let square = r.mul(r).neg();
    let sine = series(r, |t, n| (t.mul(square).over(2 * n * (2 * n + 1)), 1));
    let cosine = series(Wide::int(1), |t, n| (t.mul(square).over((2 * n - 1) * 2 * n), 1));
    (sine, cosine)
}

/// Sine and cosine of a finite number below 2^63.
fn sine_cosine(a: F80) -> (Wide, Wide) {
    // Pi times 2^66, cut: pi/2 in units of 2^-67.
    const RIGHT: u128 = 0xc_90fd_aa22_168c_234c;
    let x = a.parts();
    let e = x.e - 16383;
    if e < -1 {
        return kernel(Wide::from_f80(a));
    }
    // The remainder by a full circle (70 bits), 57 bits of shift at a time.
    let (mut r, mut left) = (x.m as u128, (e + 4) as u32);
    while left > 0 {
        let n = left.min(57);
        r = (r << n) % (4 * RIGHT);
        left -= n;
    }
    let (mut quadrant, mut angle, mut beyond) = (r / RIGHT, r % RIGHT, false);
    if angle > RIGHT / 2 {
        (quadrant, angle, beyond) = (quadrant + 1, RIGHT - angle, true);
    }
    let (s, c) = kernel(Wide::new(beyond, 60, angle));
    let (s, c) = match quadrant & 3 {
        0 => (s, c),
        1 => (c, s.neg()),
        2 => (s.neg(), c.neg()),
        _ => (c.neg(), s),
    };
    (if x.s { s.neg() } else { s }, c)
}

/// What a trigonometric function gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trig {
    /// FSIN.
    Sin,
    /// FCOS.
    Cos,
    /// FPTAN's quotient.
    Tan,
}

/// A trigonometric function; `None`: the angle is out of range (2^63 and above).
pub fn trig(env: &mut Env, f: Trig, a: F80) -> Option<F80> {
    if let Some(r) = check1(env, a) {
        return Some(r);
    }
    match a.class() {
        Class::Infinity => return Some(invalid(env)),
        Class::Zero => return Some(if f == Trig::Cos { F80::ONE } else { a }),
        _ if a.exp() >= 16383 + 63 => return None,
        _ => {}
    }
    let (s, c) = sine_cosine(a);
    let v = match f {
        Trig::Sin => s,
        Trig::Cos => c,
        // As in `kernel`.
        Trig::Tan if a.exp() < 16383 - 50 => Wide { m: Wide::from_f80(a).m | 1, ..Wide::from_f80(a) },
        Trig::Tan => s.div(c),
    };
    Some(finish(env, v))
}

/// F2XM1. Outside of [-1, 1] the operand comes back.
pub fn exp2m1(env: &mut Env, a: F80) -> F80 {
    if let Some(r) = check1(env, a) {
        return r;
    }
    match a.class() {
        Class::Infinity if a.sign() => return F80 { se: 0xbfff, ..F80::ONE },
        Class::Infinity | Class::Zero => return a,
        _ => {}
    }
    let x = Wide::from_f80(a);
    if x.e >= 0 {
        env.raise(PE);
        return if a.se == 0xbfff && a.m == 1 << 63 { F80 { se: 0xbffe, ..a } } else { a };
    }
    let y = x.mul(Wide::LN2);
    let r = series(y, |t, n| (t.mul(y).over(n + 1), 1));
    finish(env, r)
}

/// Inverse tangent of a magnitude up to one.
fn arctangent(t: Wide) -> Wide {
    let one = Wide::int(1);
    // tan(pi/8) is near 0.414.
    if t.m == 0 {
        return t;
    }
    if t.e >= -1 || t.e == -2 && t.m >> 124 >= 14 {
        let small = t.sub(one).div(t.add(one));
        let rest = if small.m == 0 { small } else { alternating(small) };
        return Wide::PI.scale(-2).add(rest);
    }
    alternating(t)
}

/// `t - t^3/3 + t^5/5 - ...`
fn alternating(t: Wide) -> Wide {
    if t.m != 0 && t.e < -50 {
        // As in `kernel`.
        return Wide::new(t.s, t.e, t.m - 1);
    }
    let square = t.mul(t).neg();
    series(t, |t, n| (t.mul(square), 2 * n + 1))
}

/// FPATAN: the angle of the point (`x`, `y`).
pub fn atan2(env: &mut Env, y: F80, x: F80) -> F80 {
    if let Some(r) = check2(env, y, x) {
        return r;
    }
    let infinite = |v: F80| v.class() == Class::Infinity;
    let zero = |v: F80| v.class() == Class::Zero;
    let s = y.sign();
    let left = x.sign();
    let first = if zero(y) || infinite(x) && !infinite(y) {
        if !left {
            return F80::zero(s);
        }
        Wide::ZERO
    } else if zero(x) || infinite(y) && !infinite(x) {
        Wide::PI.scale(-1)
    } else if infinite(x) {
        Wide::PI.scale(-2)
    } else {
        let (wy, wx) = (Wide::from_f80(y).abs(), Wide::from_f80(x).abs());
        if wy.cmp_abs(wx) == Ordering::Greater { Wide::PI.scale(-1).sub(arctangent(wx.div(wy))) } else { arctangent(wy.div(wx)) }
    };
    let angle = if left { Wide::PI.sub(first) } else { first };
    finish(env, Wide { s, ..angle })
}

/// Binary logarithm of `1 + x` for a small `x`: twice the inverse hyperbolic tangent of `x / (2 + x)`.
fn log2_1p(x: Wide) -> Wide {
    if x.m == 0 {
        return x;
    }
    let z = x.div(x.add(Wide::int(2)));
    let square = z.mul(z);
    series(z, |t, n| (t.mul(square), 2 * n + 1)).scale(1).mul(Wide::LOG2E)
}

/// Binary logarithm of a positive number.
fn log2(v: Wide) -> Wide {
    // Bring the number to [0.75, 1.5), so that no cancellation loses digits.
    let (mut k, mut m) = (v.e, Wide { e: 0, ..v });
    if m.m >> 126 == 3 {
        (k, m) = (k + 1, m.scale(-1));
    }
    Wide::int(k as i64).add(log2_1p(m.sub(Wide::int(1))))
}

/// FYL2X: `y * log2(x)`.
pub fn y_log2(env: &mut Env, y: F80, x: F80) -> F80 {
    if let Some(r) = check2(env, y, x) {
        return r;
    }
    let (cy, cx) = (y.class(), x.class());
    let order = Wide::from_f80(x).cmp_abs(Wide::int(1));
    if cx == Class::Zero {
        return match cy {
            Class::Zero => invalid(env),
            Class::Infinity => F80::infinity(!y.sign()),
            _ => {
                env.flags = ZE;
                F80::infinity(!y.sign())
            }
        };
    }
    if x.sign() {
        return invalid(env);
    }
    if cx == Class::Infinity {
        return if cy == Class::Zero { invalid(env) } else { F80::infinity(y.sign()) };
    }
    match (cy, order) {
        (Class::Infinity, Ordering::Equal) => return invalid(env),
        (Class::Infinity, o) => return F80::infinity(y.sign() != (o == Ordering::Less)),
        (Class::Zero, o) => return F80::zero(y.sign() != (o == Ordering::Less)),
        (_, Ordering::Equal) => return F80::zero(y.sign()),
        _ => {}
    }
    let r = log2(Wide::from_f80(x)).mul(Wide::from_f80(y));
    finish(env, r)
}

/// FYL2XP1: `y * log2(x + 1)`. With `x` of -1 or less, `x` comes back.
pub fn y_log2_p1(env: &mut Env, y: F80, x: F80) -> F80 {
    if let Some(r) = check2(env, y, x) {
        return r;
    }
    let (cy, cx) = (y.class(), x.class());
    let s = x.sign() != y.sign();
    if cx == Class::Infinity {
        return if x.sign() || cy == Class::Zero { invalid(env) } else { F80::infinity(s) };
    }
    match (cy, cx) {
        (Class::Infinity, Class::Zero) => return invalid(env),
        (Class::Infinity, _) => return F80::infinity(s),
        (Class::Zero, _) | (_, Class::Zero) => return F80::zero(s),
        _ => {}
    }
    let w = Wide::from_f80(x);
    if x.sign() && w.e >= 0 {
        env.raise(PE);
        return x;
    }
    let r = if w.e < -1 { log2_1p(w) } else { log2(w.add(Wide::int(1))) };
    let r = r.mul(Wide::from_f80(y));
    finish(env, r)
}
