//! Comparisons and examination.
use super::super::softfloat::f80::{self, Class};
use super::super::softfloat::{Env, F80, convert, flag::*};
use super::{commit, empty, st, status::*, underflow};
use crate::guest::state::X87;
use std::cmp::Ordering;

/// Result bits as RFLAGS has them: CF, PF, ZF.
fn rflags(o: Option<Ordering>) -> u64 {
    match o {
        None => 0x45,
        Some(Ordering::Less) => 1,
        Some(Ordering::Equal) => 0x40,
        Some(Ordering::Greater) => 0,
    }
}

/// Compares: flags in RFLAGS position, and whether no unmasked exception stops a pop.
fn order(fpu: &mut X87, missing: bool, quiet: bool, b: impl Fn(&X87) -> (F80, bool)) -> (u64, bool) {
    if empty(fpu, 0) || missing {
        return (0x45, underflow(fpu));
    }
    let mut env = Env::new(fpu.control);
    let (b, denormal) = b(fpu);
    let r = f80::compare(&mut env, st(fpu, 0), b, quiet);
    if denormal && r.is_some() {
        env.raise(DE);
    }
    (rflags(r), commit(fpu, &env))
}

/// Sets C0, C2, C3 (C0 is CF's place, C2 PF's, C3 ZF's); true if a following pop is to be done.
fn conditions(fpu: &mut X87, (f, pop): (u64, bool)) -> bool {
    fpu.status = fpu.status & !(C0 | C2 | C3) | (f as u16) << 8;
    pop
}

/// FCOM ST(i); true: pop if the form pops.
pub fn fcom_sti(fpu: &mut X87, i: u8) -> bool {
    let r = order(fpu, empty(fpu, i), false, |f| (st(f, i), false));
    conditions(fpu, r)
}
/// FUCOM ST(i); true: pop if the form pops.
pub fn fucom_sti(fpu: &mut X87, i: u8) -> bool {
    let r = order(fpu, empty(fpu, i), true, |f| (st(f, i), false));
    conditions(fpu, r)
}
/// FCOMI and FUCOMI leave C1 as it is but for a stack fault.
fn integer_order(fpu: &mut X87, i: u8, quiet: bool) -> (u64, bool) {
    let c1 = if empty(fpu, 0) || empty(fpu, i) { 0 } else { fpu.status & C1 };
    let r = order(fpu, empty(fpu, i), quiet, |f| (st(f, i), false));
    fpu.status |= c1;
    r
}
/// FCOMI: ZF, PF, CF in RFLAGS position (set also with an unmasked exception), and whether a pop may follow.
pub fn fcomi(fpu: &mut X87, i: u8) -> (u64, bool) {
    integer_order(fpu, i, false)
}
/// FUCOMI: as [`fcomi`].
pub fn fucomi(fpu: &mut X87, i: u8) -> (u64, bool) {
    integer_order(fpu, i, true)
}
fn memory(fpu: &mut X87, f: convert::Format, bits: u64) -> bool {
    let mut env = Env::new(0x37f);
    let v = convert::widen(&mut env, f, bits);
    let v = if env.flags & IE != 0 { F80 { m: v.m & !(1 << 62), ..v } } else { v };
    let r = order(fpu, false, false, |_| (v, env.flags & DE != 0));
    conditions(fpu, r)
}
/// FCOM m32.
pub fn fcom_f32(fpu: &mut X87, bits: u32) -> bool {
    memory(fpu, convert::F32, bits as u64)
}
/// FCOM m64.
pub fn fcom_f64(fpu: &mut X87, bits: u64) -> bool {
    memory(fpu, convert::F64, bits)
}
/// FICOM of 16 or 32 bits.
pub fn ficom(fpu: &mut X87, v: i32) -> bool {
    let r = order(fpu, false, false, |_| (convert::int(v as i64), false));
    conditions(fpu, r)
}
/// FTST.
pub fn ftst(fpu: &mut X87) {
    let r = order(fpu, false, false, |_| (F80::zero(false), false));
    conditions(fpu, r);
}
/// FXAM.
pub fn fxam(fpu: &mut X87) {
    let v = st(fpu, 0);
    let class = match v.class() {
        _ if empty(fpu, 0) => C3 | C0,
        Class::Unsupported => 0,
        Class::Quiet | Class::Signaling => C0,
        Class::Normal => C2,
        Class::Infinity => C2 | C0,
        Class::Zero => C3,
        Class::Denormal => C3 | C2,
    };
    fpu.status = fpu.status & !(C0 | C1 | C2 | C3) | class | if v.sign() { C1 } else { 0 };
}
