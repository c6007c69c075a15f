//! Add, subtract, multiply, divide, square root.
use super::f80::{Class, check1, check2};
use super::round::{normalize, pack, shift_sticky};
use super::{Env, F80, flag::*};

fn invalid(env: &mut Env) -> F80 {
    env.flags = IE;
    F80::INDEFINITE
}

/// `a + b`.
pub fn add(env: &mut Env, a: F80, b: F80) -> F80 {
    sum(env, a, b, 0)
}
/// `a - b`.
pub fn sub(env: &mut Env, a: F80, b: F80) -> F80 {
    sum(env, a, b, 0x8000)
}

fn sum(env: &mut Env, a: F80, b: F80, flip: u16) -> F80 {
    if let Some(r) = check2(env, a, b) {
        return r;
    }
    let b = F80 { se: b.se ^ flip, ..b };
    match (a.class(), b.class()) {
        (Class::Infinity, Class::Infinity) if a.se != b.se => return invalid(env),
        (Class::Infinity, _) => return a,
        (_, Class::Infinity) => return b,
        _ => {}
    }
    let (mut x, mut y) = (a.parts(), b.parts());
    if x.m == 0 && y.m == 0 {
        return F80::zero(if x.s == y.s { x.s } else { env.rc() == 1 });
    }
    if x.m == 0 || y.m != 0 && (y.e, y.m) > (x.e, x.m) {
        (x, y) = (y, x);
    }
    let big = (x.m as u128) << 63;
    let small = if y.m == 0 { 0 } else { shift_sticky((y.m as u128) << 63, (x.e - y.e) as u32) };
    let v = if x.s == y.s { big + small } else { big - small };
    if v == 0 {
        return F80::zero(env.rc() == 1);
    }
    let bits = env.bits();
    normalize(env, bits, x.s, x.e + 1, v)
}

/// `a * b`.
pub fn mul(env: &mut Env, a: F80, b: F80) -> F80 {
    if let Some(r) = check2(env, a, b) {
        return r;
    }
    let s = a.sign() != b.sign();
    let (ca, cb) = (a.class(), b.class());
    if ca == Class::Infinity || cb == Class::Infinity {
        return if ca == Class::Zero || cb == Class::Zero { invalid(env) } else { F80::infinity(s) };
    }
    if ca == Class::Zero || cb == Class::Zero {
        return F80::zero(s);
    }
    let (x, y) = (a.parts(), b.parts());
    let bits = env.bits();
    normalize(env, bits, s, x.e + y.e - 16382, x.m as u128 * y.m as u128)
}

/// `a / b`.
pub fn div(env: &mut Env, a: F80, b: F80) -> F80 {
    if let Some(r) = check2(env, a, b) {
        return r;
    }
    let s = a.sign() != b.sign();
    match (a.class(), b.class()) {
        (Class::Infinity, Class::Infinity) | (Class::Zero, Class::Zero) => return invalid(env),
        (Class::Infinity, _) => return F80::infinity(s),
        (_, Class::Infinity) | (Class::Zero, _) => return F80::zero(s),
        (_, Class::Zero) => {
            env.flags = ZE;
            return F80::infinity(s);
        }
        _ => {}
    }
    let (x, y) = (a.parts(), b.parts());
    let less = x.m < y.m;
    let n = (x.m as u128) << if less { 64 } else { 63 };
    let (q, r) = (n / y.m as u128, n % y.m as u128);
    let half = ((r << 1) >= y.m as u128) as u128;
    let rest = half << 63 | (r != 0 && r << 1 != y.m as u128) as u128;
    let bits = env.bits();
    pack(env, bits, s, x.e - y.e + 16383 - less as i32, q << 64 | rest)
}

/// Square root.
pub fn sqrt(env: &mut Env, a: F80) -> F80 {
    if let Some(r) = check1(env, a) {
        return r;
    }
    if a.class() == Class::Zero {
        return a;
    }
    if a.sign() {
        return invalid(env);
    }
    if a.class() == Class::Infinity {
        return a;
    }
    let x = a.parts();
    let e = x.e - 16383;
    let rad = (x.m as u128) << (63 + (e & 1));
    let root = rad.isqrt();
    let r = rad - root * root;
    let bits = env.bits();
    pack(env, bits, false, (e >> 1) + 16383, root << 64 | ((r > root) as u128) << 63 | (r != 0) as u128)
}
