//! Arithmetic on the stack.
use super::super::softfloat::rem::{self, Quotient};
use super::super::softfloat::flag::PE;
use super::super::softfloat::{Env, F80, arith, convert};
use super::{commit, empty, pop, set, st, status::*, underflow};
use crate::guest::state::X87;

/// The operation as opcodes number it in their reg field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)] // The SDM's names.
pub enum Op {
    Add = 0,
    Mul = 1,
    Sub = 4,
    Subr = 5,
    Div = 6,
    Divr = 7,
}

fn apply(env: &mut Env, op: Op, dst: F80, src: F80) -> F80 {
    match op {
        Op::Add => arith::add(env, dst, src),
        Op::Mul => arith::mul(env, dst, src),
        Op::Sub => arith::sub(env, dst, src),
        Op::Subr => arith::sub(env, src, dst),
        Op::Div => arith::div(env, dst, src),
        Op::Divr => arith::div(env, src, dst),
    }
}

/// Sum, difference or product as nearly all programs have it: of normal numbers, rounded to 64 bits to nearest with PE masked, to a normal number. `None`: by
/// the general way. A quarter of its instructions.
#[inline]
fn quick(fpu: &mut X87, op: Op, dst: F80, src: F80) -> Option<F80> {
    let is_normal = |v: F80| v.m >> 63 != 0 && (v.se & 0x7fff).wrapping_sub(1) < 0x7ffe;
    if fpu.control & 0xf20 != 0x320 || !is_normal(dst) || !is_normal(src) {
        return None;
    }
    let (sign, e, v) = match op {
        Op::Mul => ((dst.se ^ src.se) & 0x8000, dst.exp() + src.exp() - 16382, u128::from(dst.m) * u128::from(src.m)),
        Op::Add | Op::Sub | Op::Subr => {
            let (a, b) = match op {
                Op::Add => (dst, src),
                Op::Sub => (dst, F80 { se: src.se ^ 0x8000, ..src }),
                _ => (src, F80 { se: dst.se ^ 0x8000, ..dst }),
            };
            let (x, y) = if (b.exp(), b.m) > (a.exp(), a.m) { (b, a) } else { (a, b) };
            // Further apart the smaller one would leave the 127 bits.
            let apart = x.exp() - y.exp();
            if apart > 63 {
                return None;
            }
            let (big, small) = (u128::from(x.m) << 63, u128::from(y.m) << (63 - apart));
            (x.se & 0x8000, x.exp() + 1, if (x.se ^ y.se) & 0x8000 == 0 { big + small } else { big - small })
        }
        Op::Div | Op::Divr => return None,
    };
    let shift = v.leading_zeros();
    // Zero has a sign by the rounding mode.
    if shift == 128 {
        return None;
    }
    let (v, mut e) = (v << shift, e - shift as i32);
    let (mut m, rest) = ((v >> 64) as u64, v as u64);
    let up = rest > 1 << 63 || rest == 1 << 63 && m & 1 != 0;
    m = m.wrapping_add(u64::from(up));
    if m == 0 {
        (m, e) = (1 << 63, e + 1);
    }
    if !(1..0x7fff).contains(&e) {
        return None;
    }
    fpu.status = fpu.status & !C1 | if rest != 0 { PE } else { 0 } | if up { C1 } else { 0 };
    Some(F80 { se: sign | e as u16, m })
}

/// [`quick`] on registers.
#[inline]
fn quick_binary(fpu: &mut X87, op: Op, d: u8, s: u8) -> bool {
    let done = !empty(fpu, d) && !empty(fpu, s);
    let Some(r) = done.then(|| quick(fpu, op, st(fpu, d), st(fpu, s))).flatten() else { return false };
    set(fpu, d, r);
    true
}

/// [`quick`] with a memory operand. The caller sees to it that it was no denormal, which would raise DE.
#[inline]
fn quick_memory(fpu: &mut X87, op: Op, src: F80) -> bool {
    let done = !empty(fpu, 0);
    let Some(r) = done.then(|| quick(fpu, op, st(fpu, 0), src)).flatten() else { return false };
    set(fpu, 0, r);
    true
}

/// `ST(0) = ST(0) op ST(i)`.
pub fn arith_st0_sti(fpu: &mut X87, op: Op, i: u8) {
    if !quick_binary(fpu, op, 0, i) {
        binary(fpu, 0, i, |env, a, b| apply(env, op, a, b));
    }
}
/// `ST(i) = ST(i) op ST(0)`, then a pop if asked; `op` is the mnemonic's (FSUB: destination minus source).
pub fn arith_sti_st0(fpu: &mut X87, op: Op, i: u8, popping: bool) {
    if quick_binary(fpu, op, i, 0) {
        if popping {
            pop(fpu);
        }
    } else if binary(fpu, i, 0, |env, a, b| apply(env, op, a, b)) && popping {
        pop(fpu);
    }
}

fn binary(fpu: &mut X87, d: u8, s: u8, f: impl Fn(&mut Env, F80, F80) -> F80) -> bool {
    if empty(fpu, d) || empty(fpu, s) {
        let masked = underflow(fpu);
        if masked {
            set(fpu, d, F80::INDEFINITE);
        }
        return masked;
    }
    let mut env = Env::new(fpu.control);
    let r = f(&mut env, st(fpu, d), st(fpu, s));
    let done = commit(fpu, &env);
    if done {
        set(fpu, d, r);
    }
    done
}

fn memory(fpu: &mut X87, op: Op, src: impl Fn(&mut Env) -> F80) {
    if empty(fpu, 0) {
        if underflow(fpu) {
            set(fpu, 0, F80::INDEFINITE);
        }
        return;
    }
    let mut env = Env::new(fpu.control);
    let a = st(fpu, 0);
    let r = apply(&mut env, op, a, src(&mut Env::new(fpu.control)));
    if commit(fpu, &env) {
        set(fpu, 0, r);
    }
}

/// An unrounded, unquieted memory operand, so that the operation itself sees NaNs and denormals.
fn raw(format: convert::Format, bits: u64) -> (F80, bool, bool) {
    let mut env = Env::new(0x37f);
    let v = convert::widen(&mut env, format, bits);
    let signaling = env.flags & super::super::softfloat::flag::IE != 0;
    (if signaling { F80 { m: v.m & !(1 << 62), ..v } } else { v }, env.flags & super::super::softfloat::flag::DE != 0, signaling)
}

fn memory_float(fpu: &mut X87, op: Op, format: convert::Format, bits: u64) {
    let (v, denormal, _) = raw(format, bits);
    if !denormal && quick_memory(fpu, op, v) {
        return;
    }
    if empty(fpu, 0) || !denormal {
        return memory(fpu, op, |_| v);
    }
    let mut env = Env::new(fpu.control);
    let r = apply(&mut env, op, st(fpu, 0), v);
    let a = st(fpu, 0).class();
    use super::super::softfloat::f80::Class;
    if env.flags & (super::super::softfloat::flag::IE | super::super::softfloat::flag::ZE) == 0 && a != Class::Quiet {
        env.raise(super::super::softfloat::flag::DE);
    }
    if commit(fpu, &env) {
        set(fpu, 0, r);
    }
}

/// `ST(0) = ST(0) op m32`.
pub fn arith_st0_f32(fpu: &mut X87, op: Op, bits: u32) {
    memory_float(fpu, op, convert::F32, bits as u64);
}
/// `ST(0) = ST(0) op m64`.
pub fn arith_st0_f64(fpu: &mut X87, op: Op, bits: u64) {
    memory_float(fpu, op, convert::F64, bits);
}
/// `ST(0) = ST(0) op` an integer of 16 or 32 bits.
pub fn arith_st0_int(fpu: &mut X87, op: Op, v: i32) {
    let v = convert::int(v as i64);
    if !quick_memory(fpu, op, v) {
        memory(fpu, op, |_| v);
    }
}

fn unary(fpu: &mut X87, f: impl Fn(&mut Env, F80) -> F80) {
    binary(fpu, 0, 0, |env, a, _| f(env, a));
}
/// FSQRT.
pub fn fsqrt(fpu: &mut X87) {
    unary(fpu, arith::sqrt);
}
/// FRNDINT.
pub fn frndint(fpu: &mut X87) {
    unary(fpu, rem::rndint);
}
/// FABS.
pub fn fabs(fpu: &mut X87) {
    unary(fpu, |_, a| F80 { se: a.se & 0x7fff, ..a });
}
/// FCHS.
pub fn fchs(fpu: &mut X87) {
    unary(fpu, |_, a| F80 { se: a.se ^ 0x8000, ..a });
}
/// FSCALE.
pub fn fscale(fpu: &mut X87) {
    binary(fpu, 0, 1, rem::scale);
}
/// FPREM.
pub fn fprem(fpu: &mut X87) {
    remainder(fpu, false);
}
/// FPREM1.
pub fn fprem1(fpu: &mut X87) {
    remainder(fpu, true);
}

fn remainder(fpu: &mut X87, nearest: bool) {
    fpu.status &= !C2;
    if empty(fpu, 0) || empty(fpu, 1) {
        if underflow(fpu) {
            set(fpu, 0, F80::INDEFINITE);
        }
        return;
    }
    let mut env = Env::new(fpu.control);
    let (r, q) = rem::rem(&mut env, st(fpu, 0), st(fpu, 1), nearest);
    if !commit(fpu, &env) {
        return;
    }
    let bit = |q: u64, n: u32, c: u16| if q >> n & 1 != 0 { c } else { 0 };
    fpu.status &= !C1;
    fpu.status = match q {
        Quotient::Low(q) => fpu.status & !(C0 | C3) | bit(q, 0, C1) | bit(q, 1, C3) | bit(q, 2, C0),
        Quotient::Partial => fpu.status & !(C0 | C3) | C2,
        Quotient::Missing => fpu.status,
    };
    set(fpu, 0, r);
}
