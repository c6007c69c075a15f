//! The 80-bit encoding: classes, NaN rules, operand checks.
use super::{Env, flag::*};
use std::cmp::Ordering;

/// An 80-bit extended value, any encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct F80 {
    /// Sign (bit 15) and biased exponent.
    pub se: u16,
    /// Significand with its explicit integer bit.
    pub m: u64,
}

/// What an encoding means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Zero of either sign.
    Zero,
    /// Denormal or pseudo-denormal.
    Denormal,
    /// Normal number.
    Normal,
    /// Infinity.
    Infinity,
    /// Quiet NaN.
    Quiet,
    /// Signaling NaN.
    Signaling,
    /// Unnormal, pseudo-NaN, pseudo-infinity: invalid as an operand.
    Unsupported,
}

/// A finite number's parts: `m` has bit 63 set unless the number is zero; `e` is biased and may be below 1.
#[derive(Clone, Copy)]
pub struct Parts {
    /// Sign.
    pub s: bool,
    /// Biased exponent.
    pub e: i32,
    /// Normalized significand.
    pub m: u64,
}

const J: u64 = 1 << 63;

impl F80 {
    /// The default NaN ("real indefinite").
    pub const INDEFINITE: F80 = F80 { se: 0xffff, m: 3 << 62 };
    /// Positive one.
    pub const ONE: F80 = F80 { se: 0x3fff, m: J };

    /// Zero of sign `s`.
    pub const fn zero(s: bool) -> F80 {
        F80 { se: (s as u16) << 15, m: 0 }
    }
    /// Infinity of sign `s`.
    pub const fn infinity(s: bool) -> F80 {
        F80 { se: (s as u16) << 15 | 0x7fff, m: J }
    }
    /// From a register image (the low ten bytes).
    pub fn from_bits(b: u128) -> F80 {
        F80 { se: (b >> 64) as u16, m: b as u64 }
    }
    /// As a register image.
    pub fn bits(self) -> u128 {
        (self.se as u128) << 64 | self.m as u128
    }
    /// Sign bit.
    pub fn sign(self) -> bool {
        self.se >> 15 != 0
    }
    /// Biased exponent.
    pub fn exp(self) -> i32 {
        (self.se & 0x7fff) as i32
    }
    /// What this encoding is.
    pub fn class(self) -> Class {
        match self.exp() {
            0 if self.m == 0 => Class::Zero,
            0 => Class::Denormal,
            _ if self.m & J == 0 => Class::Unsupported,
            0x7fff if self.m == J => Class::Infinity,
            0x7fff if self.m & 1 << 62 != 0 => Class::Quiet,
            0x7fff => Class::Signaling,
            _ => Class::Normal,
        }
    }
    /// Either NaN.
    pub fn is_nan(self) -> bool {
        matches!(self.class(), Class::Quiet | Class::Signaling)
    }
    /// A NaN made quiet.
    pub fn quiet(self) -> F80 {
        F80 { m: self.m | 1 << 62, ..self }
    }
    /// Parts of a finite number.
    pub fn parts(self) -> Parts {
        if self.m == 0 {
            return Parts { s: self.sign(), e: 0, m: 0 };
        }
        let lz = self.m.leading_zeros();
        Parts { s: self.sign(), e: self.exp().max(1) - lz as i32, m: self.m << lz }
    }
}

/// The one-operand check: a result that ends the operation (NaN, unsupported), else DE is raised where due.
pub fn check1(env: &mut Env, a: F80) -> Option<F80> {
    match a.class() {
        Class::Unsupported => {
            env.raise(IE);
            Some(F80::INDEFINITE)
        }
        Class::Signaling => {
            env.raise(IE);
            Some(a.quiet())
        }
        Class::Quiet => Some(a),
        Class::Denormal => {
            env.raise(DE);
            None
        }
        _ => None,
    }
}

/// The two-operand check (SDM vol. 1, table 4-7 for NaNs).
pub fn check2(env: &mut Env, a: F80, b: F80) -> Option<F80> {
    let (ca, cb) = (a.class(), b.class());
    if ca == Class::Normal && cb == Class::Normal {
        return None;
    }
    if ca == Class::Unsupported || cb == Class::Unsupported {
        env.raise(IE);
        return Some(F80::INDEFINITE);
    }
    if a.is_nan() || b.is_nan() {
        if ca == Class::Signaling || cb == Class::Signaling {
            env.raise(IE);
        }
        let r = match (a.is_nan(), b.is_nan()) {
            (true, false) => a,
            (false, true) => b,
            _ if ca == Class::Signaling && cb == Class::Quiet => b,
            _ if ca == Class::Quiet && cb == Class::Signaling => a,
            _ => match a.m.cmp(&b.m) {
                Ordering::Greater => a,
                Ordering::Less => b,
                Ordering::Equal => F80 { se: a.se & b.se, m: a.m },
            },
        };
        return Some(r.quiet());
    }
    if ca == Class::Denormal || cb == Class::Denormal {
        env.raise(DE);
    }
    None
}

/// Order of two numbers, `None` if unordered. `quiet`: only signaling NaNs and unsupported encodings are invalid (FUCOM).
pub fn compare(env: &mut Env, a: F80, b: F80, quiet: bool) -> Option<Ordering> {
    let invalid = |c| matches!(c, Class::Signaling | Class::Unsupported);
    let (ca, cb) = (a.class(), b.class());
    if a.is_nan() || b.is_nan() || invalid(ca) || invalid(cb) {
        if !quiet || invalid(ca) || invalid(cb) {
            env.raise(IE);
        }
        return None;
    }
    if ca == Class::Denormal || cb == Class::Denormal {
        env.raise(DE);
    }
    let key = |v: F80| {
        let k = ((v.exp().max(1) as i128) << 64) + v.m as i128;
        let k = if v.m == 0 { 0 } else { k };
        if v.sign() { -k } else { k }
    };
    Some(key(a).cmp(&key(b)))
}
