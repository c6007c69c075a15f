//! FMA: products and sums with one rounding. Where several operands are NaN x86 takes the first of the factors in the order that the
//! mnemonic's digits give them, then the addend (measured on Zen 4; the manual's vol. 1, 14.5.3 agrees).

use super::Row;
use super::avx::{Source, is_wide, number};
use super::avx_nan::{Lane, settle};
use super::context::Ctx;
use super::group_insns;
use super::vector::{FIRST, SECOND};
use crate::decode::{Insn, Mnemonic};
use crate::emit::regs::*;
use crate::emit::simd::{Fp, ops::*};
use crate::emit::stubs::Stub;

/// Which operand is added: the digit of the mnemonic's three that stands last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
enum Form {
    F132,
    F213,
    F231,
}
use Form::*;

/// What is done to the product, and to the addend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Signs {
    negate_product: bool,
    addend: Addend,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Addend {
    Added,
    Subtracted,
    /// Subtracted in even lanes, added in odd ones.
    Alternating,
    /// The other way round.
    Opposite,
}

const fn signs(negate_product: bool, addend: Addend) -> Signs {
    Signs { negate_product, addend }
}
const ADD: Signs = signs(false, Addend::Added);
const SUB: Signs = signs(false, Addend::Subtracted);
const NEGATED_ADD: Signs = signs(true, Addend::Added);
const NEGATED_SUB: Signs = signs(true, Addend::Subtracted);
const ADD_SUB: Signs = signs(false, Addend::Alternating);
const SUB_ADD: Signs = signs(false, Addend::Opposite);

/// Rows: signs, form, mnemonics of PS, PD and, where there are any, SS, SD.
macro_rules! rows { ($($signs:ident $form:ident $ps:ident $pd:ident $($ss:ident $sd:ident)?;)*) => {
    /// Mnemonics of this family.
    pub const ROWS: &[Row] = &[$(
        (Mnemonic::$ps, |c, i| fused(c, i, Fp::S4, $signs, $form)),
        (Mnemonic::$pd, |c, i| fused(c, i, Fp::D2, $signs, $form)),
        $((Mnemonic::$ss, |c, i| fused(c, i, Fp::S, $signs, $form)),
        (Mnemonic::$sd, |c, i| fused(c, i, Fp::D, $signs, $form)),)?
    )*];
} }
rows! {
    ADD F132 Vfmadd132ps Vfmadd132pd Vfmadd132ss Vfmadd132sd;
    ADD F213 Vfmadd213ps Vfmadd213pd Vfmadd213ss Vfmadd213sd;
    ADD F231 Vfmadd231ps Vfmadd231pd Vfmadd231ss Vfmadd231sd;
    SUB F132 Vfmsub132ps Vfmsub132pd Vfmsub132ss Vfmsub132sd;
    SUB F213 Vfmsub213ps Vfmsub213pd Vfmsub213ss Vfmsub213sd;
    SUB F231 Vfmsub231ps Vfmsub231pd Vfmsub231ss Vfmsub231sd;
    NEGATED_ADD F132 Vfnmadd132ps Vfnmadd132pd Vfnmadd132ss Vfnmadd132sd;
    NEGATED_ADD F213 Vfnmadd213ps Vfnmadd213pd Vfnmadd213ss Vfnmadd213sd;
    NEGATED_ADD F231 Vfnmadd231ps Vfnmadd231pd Vfnmadd231ss Vfnmadd231sd;
    NEGATED_SUB F132 Vfnmsub132ps Vfnmsub132pd Vfnmsub132ss Vfnmsub132sd;
    NEGATED_SUB F213 Vfnmsub213ps Vfnmsub213pd Vfnmsub213ss Vfnmsub213sd;
    NEGATED_SUB F231 Vfnmsub231ps Vfnmsub231pd Vfnmsub231ss Vfnmsub231sd;
    ADD_SUB F132 Vfmaddsub132ps Vfmaddsub132pd;
    ADD_SUB F213 Vfmaddsub213ps Vfmaddsub213pd;
    ADD_SUB F231 Vfmaddsub231ps Vfmaddsub231pd;
    SUB_ADD F132 Vfmsubadd132ps Vfmsubadd132pd;
    SUB_ADD F213 Vfmsubadd213ps Vfmsubadd213pd;
    SUB_ADD F231 Vfmsubadd231ps Vfmsubadd231pd;
}

/// The operands of one lane: destination, factors, addend.
#[derive(Clone, Copy)]
struct Operands {
    d: V,
    x: V,
    y: V,
    z: V,
}

/// Inside a group: the same function by its row, which then knows.
pub(super) fn in_group(c: &mut Ctx, insn: &Insn) {
    c.grouped = true;
    if let Some(handler) = super::table::handler(insn) {
        handler(c, insn);
    }
    c.grouped = false;
}

fn fused_in_group(c: &mut Ctx, insn: &Insn, fp: Fp, signs: Signs, form: Form) {
    let order = |[first, second, last]: [group_insns::Source; 3]| match form {
        F132 => [first, last, second],
        F213 => [second, first, last],
        F231 => [second, last, first],
    };
    if fp.scalar() {
        let subtracted = signs.addend == Addend::Subtracted;
        return group_insns::fused_insn(c, insn, fp, order, true, |c, t, [x, y, z]| c.a.fma(fp, t, x, y, z, signs.negate_product, subtracted));
    }
    let op = if signs.negate_product { FMLS } else { FMLA };
    let in_place = signs.addend == Addend::Added || signs.addend == Addend::Subtracted && !c.a.features.afp;
    group_insns::fused_insn(c, insn, fp, order, in_place, |c, t, [x, y, z]| {
        signed_addend(c, fp, signs.addend, t, z);
        c.a.f3(op, fp, t, x, y);
    });
}

fn fused(c: &mut Ctx, insn: &Insn, fp: Fp, signs: Signs, form: Form) {
    if c.grouped {
        return fused_in_group(c, insn, fp, signs, form);
    }
    let last = c.source(insn, 2);
    let (n, second) = (number(insn.op(0)), Source::Reg(number(insn.op(1))));
    let first = Source::Reg(n);
    let operands = move |first: V, second: V, last: V| match form {
        F132 => (first, last, second),
        F213 => (second, first, last),
        F231 => (second, last, first),
    };
    if is_wide(insn, 0) && c.is_held(first) && c.is_held(second) && c.is_held(last) {
        let lanes = [0, 1].map(|lane| {
            let d = c.lane(first, lane, FIRST);
            let (x, y, z) = operands(d, c.lane(second, lane, FIRST), c.lane(last, lane, SECOND));
            both_lanes(c, fp, signs, Operands { d, x, y, z }, V(4 + lane as u8))
        });
        c.upper_changes(n);
        return settle(c, fp, lanes);
    }
    // by_lanes takes two sources: the destination is the third.
    c.by_lanes(insn.op(0), second, last, &|c, lane, d, second, last| {
        let first = if lane == 0 { d } else { c.lane(first, 1, V(5)) };
        let (x, y, z) = operands(first, second, last);
        multiply_add(c, fp, signs, Operands { d, x, y, z });
    });
}

/// One lane of two that are settled together: the result in `t`, or at once in its place, the addend then being kept in `t`.
fn both_lanes(c: &mut Ctx, fp: Fp, signs: Signs, o: Operands, t: V) -> Lane {
    let Operands { d, x, y, z } = o;
    let op = if signs.negate_product { FMLS } else { FMLA };
    if signs.addend == Addend::Added && d == z && d != x && d != y {
        if c.exact_nan() {
            c.a.vmov(t, z);
        }
        c.a.f3(op, fp, d, x, y);
        return Lane { r: d, d, x, y, z: Some(t) };
    }
    signed_addend(c, fp, signs.addend, t, z);
    c.a.f3(op, fp, t, x, y);
    Lane { r: t, d, x, y, z: Some(z) }
}

/// `r` = the addend as it is added. Uses v1, v3.
fn signed_addend(c: &mut Ctx, fp: Fp, addend: Addend, r: V, z: V) {
    let (sign, width) = if fp.double() { (1u128 << 63, 64) } else { (1u128 << 31 | 1u128 << 95, 32) };
    match addend {
        Addend::Added => c.a.vmov(r, z),
        Addend::Subtracted if !c.a.features.afp => c.a.f2(FNEG, fp, r, z),
        Addend::Subtracted => negate_some(c, fp, r, z, sign | sign << width),
        Addend::Alternating => negate_some(c, fp, r, z, sign),
        Addend::Opposite => negate_some(c, fp, r, z, sign << width),
    }
}

/// `d = ±x * y ± z`. The operands may be d, or lie in v5 to v7.
fn multiply_add(c: &mut Ctx, fp: Fp, signs: Signs, o: Operands) {
    let Operands { d, x, y, z } = o;
    let r = V(0);
    if fp.scalar() {
        c.a.fma(fp, r, x, y, z, signs.negate_product, signs.addend == Addend::Subtracted);
    } else {
        signed_addend(c, fp, signs.addend, r, z);
        c.a.f3(if signs.negate_product { FMLS } else { FMLA }, fp, r, x, y);
    }
    choose_nan(c, fp, r, x, y, z);
    if fp.scalar() {
        // The rest of the first operand, which is the destination, stays.
        c.a.ins(fp.bytes().trailing_zeros(), d, 0, r, 0);
    } else {
        c.a.vmov(d, r);
    }
}

/// `r = z` with some signs turned round; not those of NaNs where the host hands them on by itself. Uses v1, v3.
fn negate_some(c: &mut Ctx, fp: Fp, r: V, z: V, signs: u128) {
    c.a.vector_constant(r, signs);
    if c.a.features.afp {
        // Compared as integers, so that nothing is raised.
        let infinity = if fp.double() { 0xffe0u128 << 112 | 0xffe0u128 << 48 } else { 0xff00_0000_ff00_0000_ff00_0000_ff00_0000 };
        c.a.vector_constant(V(1), infinity);
        c.a.vshift(SHL, fp.arr(), V(3), z, 1);
        c.a.v3(CMHI, fp.arr(), V(3), V(3), V(1));
        c.a.vlogic(BIC, r, r, V(3));
    }
    c.a.vlogic(EOR, r, r, z);
}

/// As [`Ctx::choose_nan`], for the result in v0 of three operands. Those in v5 are lost where there is a NaN.
fn choose_nan(c: &mut Ctx, fp: Fp, r: V, x: V, y: V, z: V) {
    if !c.exact_nan() {
        return;
    }
    let back = c.a.label();
    let (probe, scalar, stub) = match fp {
        Fp::S => (r, Fp::S, Stub::NanS),
        Fp::D => (r, Fp::D, Stub::NanD),
        Fp::S4 => (V(3), Fp::S, Stub::NanS4),
        Fp::D2 => (V(3), Fp::D, Stub::NanD2),
    };
    let slow = c.cold(move |c| {
        // The second choice: y if it is a NaN, else z.
        c.a.f3(FCMEQ, fp, V(2), y, y);
        c.a.vlogic(BSL, V(2), z, y);
        c.a.vmov(V(1), x);
        c.call_stub(stub);
        c.a.b(back);
    });
    if !fp.scalar() {
        c.a.fmax_across(fp, probe, r);
    }
    c.branch_if_nan(scalar, probe, slow);
    c.a.bind(back);
}

const _: () = assert!(FIRST.0 == 6 && SECOND.0 == 7, "v5 is free for the third operand");
