//! x87 transfers in translated code: loads, stores and exchanges that round nothing. Where an exception is pending, the stack does not allow it, or the
//! value asks for more than being moved, the helper does the instruction instead, from the start.
//!
//! Of the state such an instruction changes the registers, their tags, TOP, C1 (cleared) and the last instruction's pointers; the control word, the
//! status word, tags, TOP and FOP are one doubleword.

use super::context::Ctx;
use crate::decode::{Insn, STATUS};
use crate::emit::regs::*;
use crate::emit::{Alu, Label, Mem, Order, Shift, Size, Width};
use crate::guest::CpuState;
use crate::guest::state::X87;
use crate::optimize::Opt;
use std::mem::offset_of;

/// Where the doubleword begins, and the bits of its parts.
const WORD: usize = offset_of!(X87, control);
const C1: u64 = 0x200 << (8 * (offset_of!(X87, status) - WORD));
const ES: u32 = 7 + 8 * (offset_of!(X87, status) - WORD) as u32;
const VALID: u32 = 8 * (offset_of!(X87, valid) - WORD) as u32;
const TOP: u32 = 8 * (offset_of!(X87, top) - WORD) as u32;
const FOP: u32 = 8 * (offset_of!(X87, fop) - WORD) as u32;
const FIP: i32 = offset_of!(X87, fip) as i32;
const _: () = assert!(offset_of!(X87, reg) == 0 && WORD % 8 == 0 && FOP == 48 && offset_of!(X87, fdp) == FIP as usize + 8);

/// The doubleword, as it is and as it will be.
const STATE_WORD: X = T[1];
/// The physical number of ST(0).
const FIRST: X = T[5];
/// The unit.
const UNIT: X = T[6];

/// What an instruction does to the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stack {
    Same,
    Pop,
}

/// Emits `fast`, which branches to its label, before it has changed anything, where `slow` must do the instruction.
pub(super) fn or_slow(c: &mut Ctx, insn: &Insn, slow: impl FnOnce(&mut Ctx, &Insn) + Send + 'static, fast: impl FnOnce(&mut Ctx, Label)) {
    if !c.options.switches.on(Opt::QuickX87) {
        return slow(c, insn);
    }
    let (insn, index) = (*insn, c.index);
    let back = c.a.label();
    let helper = c.cold(move |c| {
        let carry = c.carry;
        c.index = index;
        slow(c, &insn);
        // As the other way leaves it.
        c.carry_to(carry, STATUS);
        c.a.b(back);
    });
    fast(c, helper);
    c.a.bind(back);
}

/// The unit, its doubleword and TOP; `slow` where an exception is pending.
fn begin(c: &mut Ctx, slow: Label) {
    c.a.alu_imm(Alu::Add, Size::X, UNIT, STATE, offset_of!(CpuState, x87) as u64);
    c.a.load(Width::X, STATE_WORD, Mem::Off(UNIT, WORD as i64), Order::Plain);
    c.a.tbnz(STATE_WORD, ES, slow);
    c.a.ubfx(Size::X, FIRST, STATE_WORD, TOP, 3);
}

/// The physical number of ST(i), which may be in `t`.
fn physical(c: &mut Ctx, t: X, i: u64) -> X {
    if i == 0 {
        return FIRST;
    }
    c.a.alu_imm(Alu::Add, Size::W, t, FIRST, i);
    c.a.alu_imm(Alu::And, Size::W, t, t, 7);
    t
}

/// Bit 0 of T0: is physical register `n` in use?
fn tag(c: &mut Ctx, n: X) {
    c.a.shift_imm(Shift::Lsr, Size::X, T[0], STATE_WORD, VALID);
    c.a.shift_reg(Shift::Lsr, Size::X, T[0], T[0], n);
}
fn unless_used(c: &mut Ctx, n: X, slow: Label) {
    tag(c, n);
    c.a.tbz(T[0], 0, slow);
}

/// Says whether physical register `n` is in use from now on. Uses T0.
fn set_tag(c: &mut Ctx, n: X, used: bool) {
    c.a.mov_imm(T[0], 1 << VALID);
    c.a.shift_reg(Shift::Lsl, Size::X, T[0], T[0], n);
    c.a.alu(if used { Alu::Orr } else { Alu::Bic }, Size::X, STATE_WORD, STATE_WORD, T[0]);
}

/// Where physical register `n` lies.
fn place(c: &mut Ctx, d: X, n: X) {
    c.a.alu_shift(Alu::Add, Size::X, d, UNIT, n, Shift::Lsl, 4);
}

/// Writes the doubleword, with C1 clear, and the instruction's pointers; `data`: the memory operand's address. Uses T0.
fn end(c: &mut Ctx, data: Option<X>) {
    c.a.alu_imm(Alu::And, Size::X, STATE_WORD, STATE_WORD, !C1);
    c.a.movk(STATE_WORD, u32::from(X87::OPCODE_AT_FIP), FOP);
    c.a.store(Width::X, STATE_WORD, Mem::Off(UNIT, WORD as i64), Order::Plain);
    c.a.guest_address(T[0], c.at.0);
    match data {
        Some(at) => c.a.stp(T[0], at, UNIT, FIP),
        None => c.a.store(Width::X, T[0], Mem::Off(UNIT, FIP as i64), Order::Plain),
    }
}

/// Frees ST(0) and moves TOP.
fn pop(c: &mut Ctx) {
    set_tag(c, FIRST, false);
    c.a.alu_imm(Alu::Add, Size::W, FIRST, FIRST, 1);
    c.a.bfi(Size::X, STATE_WORD, FIRST, TOP, 3);
}

/// Pushes significand and exponent, which lie neither in T0 nor in what [`begin`] sets.
fn push(c: &mut Ctx, m: X, se: X, data: Option<X>, slow: Label) {
    c.a.alu_imm(Alu::Sub, Size::W, FIRST, FIRST, 1);
    c.a.alu_imm(Alu::And, Size::W, FIRST, FIRST, 7);
    tag(c, FIRST);
    c.a.tbnz(T[0], 0, slow);
    place(c, T[0], FIRST);
    c.a.stp(m, se, T[0], 0);
    set_tag(c, FIRST, true);
    c.a.bfi(Size::X, STATE_WORD, FIRST, TOP, 3);
    end(c, data);
}

/// FLD m80; the value in T2 and T3, the address in `at`.
pub(super) fn load_wide(c: &mut Ctx, at: X, slow: Label) {
    begin(c, slow);
    push(c, T[2], T[3], Some(at), slow);
}

/// FLD m32 and m64; the value in T2, the address in `at`. Zeros, denormals, infinities and NaNs are not for here.
pub(super) fn load_narrow(c: &mut Ctx, bytes: u32, at: X, slow: Label) {
    let (fraction, exponent, bias) = if bytes == 8 { (52, 11, 1023) } else { (23, 8, 127) };
    begin(c, slow);
    c.a.ubfx(Size::X, T[3], T[2], fraction, exponent);
    // Zero of the exponents 0 and all ones alone.
    c.a.alu_imm(Alu::Add, Size::X, T[0], T[3], 1);
    c.a.alu_imm(Alu::And, Size::X, T[0], T[0], (1 << exponent) - 2);
    c.a.cbz(Size::X, T[0], slow);
    c.a.shift_imm(Shift::Lsl, Size::X, T[4], T[2], 63 - fraction);
    c.a.alu_imm(Alu::Orr, Size::X, T[4], T[4], 1 << 63);
    c.a.mov_imm(T[0], 16383 - bias);
    c.a.alu(Alu::Add, Size::X, T[3], T[3], T[0]);
    c.a.ubfx(Size::X, T[0], T[2], 8 * bytes - 1, 1);
    c.a.bfi(Size::X, T[3], T[0], 15, 1);
    push(c, T[4], T[3], Some(at), slow);
}

/// FILD; the value, sign-extended, in T2, the address in `at`. Not for zero.
pub(super) fn load_integer(c: &mut Ctx, at: X, slow: Label) {
    begin(c, slow);
    c.a.cbz(Size::X, T[2], slow);
    c.a.shift_imm(Shift::Asr, Size::X, T[3], T[2], 63);
    c.a.alu(Alu::Eor, Size::X, T[4], T[2], T[3]);
    c.a.alu(Alu::Sub, Size::X, T[4], T[4], T[3]);
    c.a.clz(Size::X, T[0], T[4]);
    c.a.shift_reg(Shift::Lsl, Size::X, T[4], T[4], T[0]);
    // The sign first: the exponent has 15 bits.
    c.a.alu_imm(Alu::And, Size::X, T[3], T[3], 0x8000);
    c.a.alu(Alu::Sub, Size::X, T[3], T[3], T[0]);
    c.a.mov_imm(T[0], 16383 + 63);
    c.a.alu(Alu::Add, Size::X, T[3], T[3], T[0]);
    push(c, T[4], T[3], Some(at), slow);
}

/// FLD ST(i).
pub(super) fn load_register(c: &mut Ctx, i: u64, slow: Label) {
    begin(c, slow);
    let n = physical(c, T[4], i);
    unless_used(c, n, slow);
    place(c, T[0], n);
    c.a.ldp(T[2], T[3], T[0], 0);
    push(c, T[2], T[3], None, slow);
}

/// FLD1, FLDZ: what needs no rounding.
pub(super) fn load_constant(c: &mut Ctx, m: u64, se: u64, slow: Label) {
    begin(c, slow);
    c.a.mov_imm(T[2], m);
    c.a.mov_imm(T[3], se);
    push(c, T[2], T[3], None, slow);
}

/// FSTP m80. The store is the last thing that may not be done.
pub(super) fn store_wide(c: &mut Ctx, insn: &Insn, slow: Label) {
    begin(c, slow);
    unless_used(c, FIRST, slow);
    place(c, T[0], FIRST);
    c.a.ldp(T[2], T[3], T[0], 0);
    let at = c.mem_in_register(insn);
    // As in the helper's way.
    c.store_mem(2, T[3], Mem::Off(at, 8));
    c.store_mem(8, T[2], Mem::Off(at, 0));
    pop(c);
    end(c, Some(at));
}

/// FST and FSTP ST(i).
pub(super) fn store_register(c: &mut Ctx, i: u64, stack: Stack, slow: Label) {
    begin(c, slow);
    unless_used(c, FIRST, slow);
    place(c, T[0], FIRST);
    c.a.ldp(T[2], T[3], T[0], 0);
    let n = physical(c, T[4], i);
    place(c, T[0], n);
    c.a.stp(T[2], T[3], T[0], 0);
    set_tag(c, n, true);
    if stack == Stack::Pop {
        pop(c);
    }
    end(c, None);
}

/// FXCH.
pub(super) fn exchange(c: &mut Ctx, i: u64, slow: Label) {
    begin(c, slow);
    let n = physical(c, T[4], i);
    unless_used(c, FIRST, slow);
    unless_used(c, n, slow);
    place(c, T[0], FIRST);
    place(c, T[4], n);
    c.a.load_v(16, V(0), Mem::Off(T[0], 0), Order::Plain);
    c.a.load_v(16, V(1), Mem::Off(T[4], 0), Order::Plain);
    c.a.store_v(16, V(1), Mem::Off(T[0], 0), Order::Plain);
    c.a.store_v(16, V(0), Mem::Off(T[4], 0), Order::Plain);
    end(c, None);
}

/// FCHS and FABS: `op` with `mask` on sign and exponent.
pub(super) fn sign(c: &mut Ctx, op: Alu, mask: u64, slow: Label) {
    begin(c, slow);
    unless_used(c, FIRST, slow);
    place(c, T[4], FIRST);
    c.a.load(Width::X, T[3], Mem::Off(T[4], 8), Order::Plain);
    c.a.alu_imm(op, Size::X, T[3], T[3], mask);
    c.a.store(Width::X, T[3], Mem::Off(T[4], 8), Order::Plain);
    end(c, None);
}
