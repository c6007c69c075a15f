//! Binary floating point with 128 significant bits, truncating: working precision of the transcendentals. No infinities, no NaNs.
use super::F80;
use std::cmp::Ordering;

/// `(-1)^s * m * 2^(e-127)`; bit 127 of `m` is set, or `m` is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wide {
    /// Sign.
    pub s: bool,
    /// Exponent.
    pub e: i32,
    /// Significand.
    pub m: u128,
}

impl Wide {
    /// Zero.
    pub const ZERO: Wide = Wide { s: false, e: 0, m: 0 };
    /// Pi.
    pub const PI: Wide = Wide { s: false, e: 1, m: 0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1 };
    /// Natural logarithm of two.
    pub const LN2: Wide = Wide { s: false, e: -1, m: 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af };
    /// One over [`Self::LN2`].
    pub const LOG2E: Wide = Wide { s: false, e: 0, m: 0xb8aa_3b29_5c17_f0bb_be87_fed0_691d_3e88 };

    /// Normalizes `m * 2^(e-127)`.
    pub fn new(s: bool, e: i32, m: u128) -> Wide {
        if m == 0 {
            return Wide::ZERO;
        }
        let lz = m.leading_zeros();
        Wide { s, e: e - lz as i32, m: m << lz }
    }
    /// An integer.
    pub fn int(v: i64) -> Wide {
        Wide::new(v < 0, 127, v.unsigned_abs() as u128)
    }
    /// A finite number, exact.
    pub fn from_f80(a: F80) -> Wide {
        let p = a.parts();
        Wide { s: p.s, e: if p.m == 0 { 0 } else { p.e - 16383 }, m: (p.m as u128) << 64 }
    }
    /// `-self`.
    pub fn neg(self) -> Wide {
        Wide { s: !self.s, ..self }
    }
    /// Magnitude.
    pub fn abs(self) -> Wide {
        Wide { s: false, ..self }
    }
    /// `self * 2^n`.
    pub fn scale(self, n: i32) -> Wide {
        Wide { e: self.e + n, ..self }
    }
    /// Order of magnitudes.
    pub fn cmp_abs(self, b: Wide) -> Ordering {
        let key = |v: Wide| (v.m != 0, v.e, v.m);
        key(self).cmp(&key(b))
    }
    /// `self + b`.
    pub fn add(self, b: Wide) -> Wide {
        let (x, y) = if self.cmp_abs(b) == Ordering::Less { (b, self) } else { (self, b) };
        if y.m == 0 {
            return x;
        }
        let small = if x.e - y.e < 128 { y.m >> (x.e - y.e) } else { 0 };
        if x.s != y.s {
            return Wide::new(x.s, x.e, x.m - small);
        }
        match x.m.checked_add(small) {
            Some(m) => Wide { m, ..x },
            None => Wide { s: x.s, e: x.e + 1, m: x.m.wrapping_add(small) >> 1 | 1 << 127 },
        }
    }
    /// `self - b`.
    pub fn sub(self, b: Wide) -> Wide {
        self.add(b.neg())
    }
    /// `self * b`.
    pub fn mul(self, b: Wide) -> Wide {
        let half = |v: u128| (v >> 64, v as u64 as u128);
        let ((ah, al), (bh, bl)) = (half(self.m), half(b.m));
        let (mid1, mid2) = (half(ah * bl), half(al * bh));
        let low = mid1.1 + mid2.1 + (al * bl >> 64);
        Wide::new(self.s != b.s, self.e + b.e + 1, ah * bh + mid1.0 + mid2.0 + (low >> 64))
    }
    /// `self / n` for a small `n`.
    pub fn over(self, n: u32) -> Wide {
        Wide::new(self.s, self.e, self.m / n as u128)
    }
    /// `self / b`, `b` not zero.
    pub fn div(self, b: Wide) -> Wide {
        if self.m == 0 {
            return Wide::ZERO;
        }
        let (mut r, mut q, less) = (self.m, 0u128, self.m < b.m);
        let mut carry = false;
        if less {
            carry = r >> 127 != 0;
            r <<= 1;
        }
        for i in 0..128 {
            q <<= 1;
            if carry || r >= b.m {
                r = r.wrapping_sub(b.m);
                q |= 1;
            }
            if i < 127 {
                carry = r >> 127 != 0;
                r <<= 1;
            }
        }
        Wide { s: self.s != b.s, e: self.e - b.e - less as i32, m: q }
    }
}
