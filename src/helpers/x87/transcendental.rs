//! Transcendental instructions.
use super::super::softfloat::elementary::{self, Trig};
use super::super::softfloat::{Env, F80};
use super::{commit, empty, pop, room_for_two, set, st, status::*, underflow};
use crate::guest::state::X87;

fn unary(fpu: &mut X87, f: impl Fn(&mut Env, F80) -> F80) {
    if empty(fpu, 0) {
        if underflow(fpu) {
            set(fpu, 0, F80::INDEFINITE);
        }
        return;
    }
    let mut env = Env::new(fpu.control);
    let r = f(&mut env, st(fpu, 0));
    if commit(fpu, &env) {
        set(fpu, 0, r);
    }
}
/// Replaces ST(1) by `f(ST(1), ST(0))` and pops.
fn binary(fpu: &mut X87, f: impl Fn(&mut Env, F80, F80) -> F80) {
    let (done, r) = if empty(fpu, 0) || empty(fpu, 1) {
        (underflow(fpu), F80::INDEFINITE)
    } else {
        let mut env = Env::new(fpu.control);
        let r = f(&mut env, st(fpu, 1), st(fpu, 0));
        (commit(fpu, &env), r)
    };
    if done {
        set(fpu, 1, r);
        pop(fpu);
    }
}

/// Clears C2, or sets it where the angle is out of range (then the operand stays).
fn ranged(fpu: &mut X87, f: Trig) {
    fpu.status &= !C2;
    if !empty(fpu, 0) && elementary::trig(&mut Env::new(fpu.control), f, st(fpu, 0)).is_none() {
        fpu.status = fpu.status & !C1 | C2;
        return;
    }
    unary(fpu, |env, a| elementary::trig(env, f, a).unwrap_or(a));
}
/// FSIN.
pub fn fsin(fpu: &mut X87) {
    ranged(fpu, Trig::Sin);
}
/// FCOS.
pub fn fcos(fpu: &mut X87) {
    ranged(fpu, Trig::Cos);
}

/// The forms with two results: `f` stays, `pushed` is pushed.
fn two(fpu: &mut X87, f: Trig, pushed: impl Fn(&mut Env, F80) -> F80) {
    fpu.status &= !C2;
    let Some(mut env) = room_for_two(fpu) else { return };
    let a = st(fpu, 0);
    let Some(first) = elementary::trig(&mut env, f, a) else {
        fpu.status = fpu.status & !C1 | C2;
        return;
    };
    let second = if first.is_nan() { first } else { pushed(&mut env, a) };
    if commit(fpu, &env) {
        set(fpu, 0, first);
        fpu.top = (fpu.top + 7) & 7;
        set(fpu, 0, second);
    }
}
/// FSINCOS: ST(1) sine, ST(0) cosine.
pub fn fsincos(fpu: &mut X87) {
    two(fpu, Trig::Sin, |env, a| elementary::trig(env, Trig::Cos, a).unwrap_or(a));
}
/// FPTAN: ST(1) tangent, ST(0) one.
pub fn fptan(fpu: &mut X87) {
    two(fpu, Trig::Tan, |_, _| F80::ONE);
}
/// F2XM1.
pub fn f2xm1(fpu: &mut X87) {
    unary(fpu, elementary::exp2m1);
}
/// FPATAN.
pub fn fpatan(fpu: &mut X87) {
    binary(fpu, elementary::atan2);
}
/// FYL2X.
pub fn fyl2x(fpu: &mut X87) {
    binary(fpu, elementary::y_log2);
}
/// FYL2XP1.
pub fn fyl2xp1(fpu: &mut X87) {
    binary(fpu, elementary::y_log2_p1);
}
