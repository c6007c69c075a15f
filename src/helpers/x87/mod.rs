//! x87 instructions as functions over [`X87`]: stack, tags, status word, masked and unmasked responses (AMD behaviour).
//!
//! A memory operand is loaded or stored by the caller; helpers see raw bits. FOP, FIP and FDP are the caller's. A waiting
//! instruction first asks [`pending_exception`]. A store returns `None` if an unmasked exception forbids it (then no pop either).
//!
//! Known differences from the processor (Zen 4): results of the transcendental instructions may differ by one unit in the last place,
//! and C1 with them. All else is bit-identical in the tests of `silicon`, which give FOP, FIP and FDP no regard.
#![forbid(unsafe_code)]

pub mod arith;
pub mod compare;
pub mod control;
pub mod transcendental;
pub mod transfer;

use super::softfloat::{Env, F80, flag::*};
use crate::guest::state::X87;

/// Status word bits.
pub mod status {
    /// Stack fault.
    pub const SF: u16 = 0x40;
    /// Exception summary.
    pub const ES: u16 = 0x80;
    /// Condition code 0.
    pub const C0: u16 = 0x100;
    /// Condition code 1.
    pub const C1: u16 = 0x200;
    /// Condition code 2.
    pub const C2: u16 = 0x400;
    /// Condition code 3.
    pub const C3: u16 = 0x4000;
    /// Busy; mirrors ES.
    pub const B: u16 = 0x8000;
}
use status::*;

/// Whether the next waiting instruction raises #MF.
pub fn pending_exception(fpu: &X87) -> bool {
    fpu.status & ES != 0
}

/// Physical number of ST(i).
pub(super) fn phys(fpu: &X87, i: u8) -> usize {
    ((fpu.top + i) & 7) as usize
}
/// ST(i).
pub(super) fn st(fpu: &X87, i: u8) -> F80 {
    F80::from_bits(fpu.reg[phys(fpu, i)])
}
/// Whether ST(i) is empty.
pub(super) fn empty(fpu: &X87, i: u8) -> bool {
    fpu.valid >> phys(fpu, i) & 1 == 0
}
/// Writes ST(i) and marks it in use.
pub(super) fn set(fpu: &mut X87, i: u8, v: F80) {
    let p = phys(fpu, i);
    fpu.reg[p] = v.bits();
    fpu.valid |= 1 << p;
}

/// Pops the stack.
pub fn pop(fpu: &mut X87) {
    fpu.valid &= !(1 << fpu.top);
    fpu.top = (fpu.top + 1) & 7;
}

/// Sets ES and B from flags and masks.
pub(super) fn summarize(fpu: &mut X87) {
    fpu.summarize();
}

/// Records what an operation reported. False: an unmasked exception leaves operands as they were.
pub(super) fn commit(fpu: &mut X87, env: &Env) -> bool {
    let early = env.flags & !fpu.control & (IE | DE | ZE) != 0;
    // Found before there is a result, so nothing rounds, overflows or underflows. (C1 also tells the stack fault's direction.)
    let (flags, up) = if early { (env.flags & (IE | DE | ZE), env.up && fpu.status & SF != 0 && env.flags == IE) } else { (env.flags, env.up) };
    fpu.status = fpu.status & !C1 | flags | if up { C1 } else { 0 };
    if flags & !fpu.control & 0x3f != 0 {
        fpu.status |= ES | B;
    }
    !early
}

/// Stack underflow; true if masked (the caller then delivers the default).
pub(super) fn underflow(fpu: &mut X87) -> bool {
    fpu.status |= SF;
    let mut env = Env::new(fpu.control);
    env.raise(IE);
    commit(fpu, &env)
}

/// Pushes `v` if ST(7) is free and `env` allows it; stack overflow otherwise.
pub(super) fn push(fpu: &mut X87, env: &mut Env, v: F80) {
    let mut v = v;
    if !empty(fpu, 7) {
        *env = Env { control: fpu.control, flags: IE, up: true };
        fpu.status |= SF;
        v = F80::INDEFINITE;
    }
    // A denormal is loaded also where it traps.
    if commit(fpu, env) || env.flags == DE {
        fpu.top = (fpu.top + 7) & 7;
        set(fpu, 0, v);
    }
}

/// Begins an instruction that replaces ST(0) by two results; `None` if the stack does not allow that, with the response already given.
pub(super) fn room_for_two(fpu: &mut X87) -> Option<Env> {
    if empty(fpu, 0) {
        if underflow(fpu) {
            set(fpu, 0, F80::INDEFINITE);
            fpu.top = (fpu.top + 7) & 7;
            set(fpu, 0, F80::INDEFINITE);
        }
        return None;
    }
    let mut env = Env::new(fpu.control);
    if !empty(fpu, 7) {
        push(fpu, &mut env, F80::INDEFINITE);
        if fpu.control & IE != 0 {
            set(fpu, 1, F80::INDEFINITE);
        }
        return None;
    }
    Some(env)
}
