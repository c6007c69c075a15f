//! Loads, stores, exchanges, constants.
use super::super::softfloat::{Env, F80, convert, flag::*, rem};
use super::{commit, empty, phys, push, room_for_two, set, st, underflow};
use crate::guest::state::X87;

fn load(fpu: &mut X87, v: impl Fn(&mut Env) -> F80) {
    let mut env = Env::new(fpu.control);
    let v = v(&mut env);
    push(fpu, &mut env, v);
}

/// FLD m32.
pub fn fld_f32(fpu: &mut X87, bits: u32) {
    load(fpu, |env| convert::widen(env, convert::F32, bits as u64));
}
/// FLD m64.
pub fn fld_f64(fpu: &mut X87, bits: u64) {
    load(fpu, |env| convert::widen(env, convert::F64, bits));
}
/// FLD m80: no exception but stack overflow.
pub fn fld_f80(fpu: &mut X87, lo: u64, hi: u16) {
    load(fpu, |_| F80 { se: hi, m: lo });
}
/// FILD of any size, sign extended by the caller.
pub fn fild(fpu: &mut X87, v: i64) {
    load(fpu, |_| convert::int(v));
}
/// FBLD.
pub fn fbld(fpu: &mut X87, bits: u128) {
    load(fpu, |_| convert::from_bcd(bits));
}
/// FLD ST(i).
pub fn fld_sti(fpu: &mut X87, i: u8) {
    if empty(fpu, i) {
        if underflow(fpu) {
            fpu.top = (fpu.top + 7) & 7;
            set(fpu, 0, F80::INDEFINITE);
        }
        return;
    }
    let v = st(fpu, i);
    load(fpu, |_| v);
}

/// Constants loaded by FLD1 (0), FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ (6), in opcode order.
pub fn fld_constant(fpu: &mut X87, n: u8) {
    // Significand cut at 64 bits, and whether round-to-nearest goes up.
    const TABLE: [(u16, u64, bool); 7] = [
        (0x3fff, 0x8000_0000_0000_0000, false),
        (0x4000, 0xd49a_784b_cd1b_8afe, false),
        (0x3fff, 0xb8aa_3b29_5c17_f0bb, true),
        (0x4000, 0xc90f_daa2_2168_c234, true),
        (0x3ffd, 0x9a20_9a84_fbcf_f798, true),
        (0x3ffe, 0xb172_17f7_d1cf_79ab, true),
        (0, 0, false),
    ];
    let (se, m, nearest) = TABLE[(n % 7) as usize];
    let up = match Env::new(fpu.control).rc() {
        0 => nearest,
        2 => !matches!(n % 7, 0 | 6),
        _ => false,
    };
    load(fpu, |_| F80 { se, m: m + up as u64 });
}

fn store<T>(fpu: &mut X87, blank: T, f: impl Fn(&mut Env, F80) -> T) -> Option<T> {
    if empty(fpu, 0) {
        return underflow(fpu).then_some(blank);
    }
    let mut env = Env::new(fpu.control);
    let v = f(&mut env, st(fpu, 0));
    if env.flags & !fpu.control & (OE | UE) != 0 {
        // Not stored: there is no rounded result to tell about.
        env.flags &= !PE;
        env.up = false;
    }
    (commit(fpu, &env) && env.flags & !fpu.control & (OE | UE) == 0).then_some(v)
}

/// FST m32.
pub fn fst_f32(fpu: &mut X87) -> Option<u32> {
    store(fpu, 0xffc0_0000, |env, v| convert::narrow(env, convert::F32, v) as u32)
}
/// FST m64.
pub fn fst_f64(fpu: &mut X87) -> Option<u64> {
    store(fpu, 0xfff8 << 48, |env, v| convert::narrow(env, convert::F64, v))
}
/// FSTP m80 (pop apart).
pub fn fst_f80(fpu: &mut X87) -> Option<(u64, u16)> {
    store(fpu, (3 << 62, 0xffff), |_, v| (v.m, v.se))
}
/// FIST/FISTP m16.
pub fn fist_i16(fpu: &mut X87) -> Option<i16> {
    store(fpu, i16::MIN, |env, v| convert::to_int(env, v, 16, false) as i16)
}
/// FIST/FISTP m32.
pub fn fist_i32(fpu: &mut X87) -> Option<i32> {
    store(fpu, i32::MIN, |env, v| convert::to_int(env, v, 32, false) as i32)
}
/// FISTP m64.
pub fn fist_i64(fpu: &mut X87) -> Option<i64> {
    store(fpu, i64::MIN, |env, v| convert::to_int(env, v, 64, false))
}
/// FISTTP m16.
pub fn fistt_i16(fpu: &mut X87) -> Option<i16> {
    store(fpu, i16::MIN, |env, v| convert::to_int(env, v, 16, true) as i16)
}
/// FISTTP m32.
pub fn fistt_i32(fpu: &mut X87) -> Option<i32> {
    store(fpu, i32::MIN, |env, v| convert::to_int(env, v, 32, true) as i32)
}
/// FISTTP m64.
pub fn fistt_i64(fpu: &mut X87) -> Option<i64> {
    store(fpu, i64::MIN, |env, v| convert::to_int(env, v, 64, true))
}
/// FBSTP (pop apart): ten bytes.
pub fn fbst(fpu: &mut X87) -> Option<u128> {
    store(fpu, 0xffff_c000 << 48, convert::to_bcd)
}
/// FST ST(i); false: unmasked underflow, do not pop.
pub fn fst_sti(fpu: &mut X87, i: u8) -> bool {
    let v = store(fpu, F80::INDEFINITE, |_, v| v);
    if let Some(v) = v {
        set(fpu, i, v);
    }
    v.is_some()
}

/// FXCH.
pub fn fxch(fpu: &mut X87, i: u8) {
    if (empty(fpu, 0) || empty(fpu, i)) && !underflow(fpu) {
        return;
    }
    if !empty(fpu, 0) && !empty(fpu, i) {
        fpu.status &= !super::status::C1;
    }
    let value = |fpu: &X87, i| if empty(fpu, i) { F80::INDEFINITE } else { st(fpu, i) };
    let (a, b) = (value(fpu, 0), value(fpu, i));
    set(fpu, 0, b);
    set(fpu, i, a);
}

/// FCMOVcc with the condition's value in `taken`.
pub fn fcmov(fpu: &mut X87, i: u8, taken: u64) {
    if empty(fpu, 0) || empty(fpu, i) {
        if underflow(fpu) {
            set(fpu, 0, F80::INDEFINITE);
        }
        return;
    }
    if taken != 0 {
        fpu.reg[phys(fpu, 0)] = st(fpu, i).bits();
    }
}

/// FXTRACT.
pub fn fxtract(fpu: &mut X87) {
    let Some(mut env) = room_for_two(fpu) else { return };
    let (e, m) = rem::xtract(&mut env, st(fpu, 0));
    if commit(fpu, &env) {
        set(fpu, 0, e);
        fpu.top = (fpu.top + 7) & 7;
        set(fpu, 0, m);
    }
}
