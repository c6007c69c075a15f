//! Division of 128 bits by 64 (DIV and IDIV r/m64): quotient to RAX, remainder to RDX, or #DE.

use super::raise;
use crate::guest::{CpuState, Gpr};

/// x86's vector number of #DE, which is also its exception code.
const DIVIDE_ERROR: u64 = 0;

pub fn unsigned(s: &mut CpuState, divisor: u64, _: u64, _: u64) -> u64 {
    let dividend = (s.get(Gpr::Rdx) as u128) << 64 | s.get(Gpr::Rax) as u128;
    let quotient = dividend.checked_div(divisor as u128).and_then(|q| u64::try_from(q).ok());
    match quotient {
        Some(q) => {
            s.set(Gpr::Rax, q);
            s.set(Gpr::Rdx, (dividend % divisor as u128) as u64);
        }
        None => raise(s, DIVIDE_ERROR),
    }
    0
}

pub fn signed(s: &mut CpuState, divisor: u64, _: u64, _: u64) -> u64 {
    let dividend = ((s.get(Gpr::Rdx) as u128) << 64 | s.get(Gpr::Rax) as u128) as i128;
    let divisor = divisor as i64 as i128;
    let quotient = dividend.checked_div(divisor).and_then(|q| i64::try_from(q).ok());
    match quotient {
        Some(q) => {
            s.set(Gpr::Rax, q as u64);
            s.set(Gpr::Rdx, (dividend % divisor) as u64);
        }
        None => raise(s, DIVIDE_ERROR),
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(f: fn(&mut CpuState, u64, u64, u64) -> u64, (hi, lo): (u64, u64), divisor: u64, expect: Option<(u64, u64)>) {
        let mut s = CpuState::default();
        s.set(Gpr::Rax, lo);
        s.set(Gpr::Rdx, hi);
        f(&mut s, divisor, 0, 0);
        match expect {
            Some(e) => assert_eq!((s.get(Gpr::Rax), s.get(Gpr::Rdx), s.exit_kind), (e.0, e.1, 0)),
            None => assert_eq!((s.get(Gpr::Rax), s.get(Gpr::Rdx), s.exit_kind), (lo, hi, crate::emit::stubs::kind::EXCEPTION)),
        }
    }

    #[test]
    fn edges() {
        check(unsigned, (1, 0), 2, Some((1 << 63, 0)));
        check(unsigned, (1, 0), 1, None);
        check(unsigned, (0, 5), 0, None);
        check(signed, (u64::MAX, 1 << 63), u64::MAX, None);
        check(signed, (u64::MAX, 1 << 63), 1, Some((1 << 63, 0)));
        check(signed, (u64::MAX, -7i64 as u64), 2, Some((-3i64 as u64, -1i64 as u64)));
        check(signed, (1 << 63, 0), u64::MAX, None);
    }
}
