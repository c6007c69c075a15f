//! FXSAVE, XSAVE and their reverses, XGETBV. What goes where, and what counts as initial state, is what a Zen 4 does.
//!
//! Vectors move between the area and their registers in emitted code; the x87 unit goes through the image in the state. ld.so runs XSAVEC and
//! XRSTOR without x87 at every lazily bound call: that way calls no helper. With AVX as the only extended state both layouts put it at the same place.
//!
//! One instruction's accesses share one barrier in ordered mode. Both ends of the area are touched before anything is changed, so that nothing is half
//! done at a fault (no area is larger than a page); which bytes the processor touches `decode::access` knows too.

use super::Row;
use super::context::{Ctx, exception};
use super::system::{read_mxcsr, set_mxcsr};
use crate::decode::{Insn, Mnemonic, STATUS};
use crate::emit::regs::*;
use crate::emit::simd::ops;
use crate::emit::{Alu, Label, Mem, Order, Rmw, Shift, Size, Width};
use crate::guest::CpuState;
use crate::guest::cpuid::XCR0_AVX;
use crate::guest::xsave::{AVX_AT, COMPACTED, END, FX_SIZE, HEADER_AT, MXCSR_AT, MXCSR_MASK, XMM_AT};
use crate::guest::state::MXCSR_INIT;
use crate::helpers::Id;
use std::mem::offset_of;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Fxsave, |c, i| save(c, i, Form::Fx)),
        (Fxsave64, |c, i| save(c, i, Form::Fx)),
        (Fxrstor, |c, i| restore(c, i, true)),
        (Fxrstor64, |c, i| restore(c, i, true)),
        (Xsave, |c, i| save(c, i, Form::Standard)),
        (Xsave64, |c, i| save(c, i, Form::Standard)),
        (Xsaveopt, |c, i| save(c, i, Form::Optimized)),
        (Xsaveopt64, |c, i| save(c, i, Form::Optimized)),
        (Xsavec, |c, i| save(c, i, Form::Compacted)),
        (Xsavec64, |c, i| save(c, i, Form::Compacted)),
        (Xrstor, |c, i| restore(c, i, false)),
        (Xrstor64, |c, i| restore(c, i, false)),
        (Xgetbv, xgetbv),
    ]
};

/// How much is saved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// FXSAVE: x87, SSE, MXCSR; no header.
    Fx,
    /// XSAVE: what is requested.
    Standard,
    /// XSAVEOPT: of it, what is in use.
    Optimized,
    /// XSAVEC: likewise; MXCSR belongs to SSE.
    Compacted,
}

const IMAGE: usize = offset_of!(CpuState, image);
const YMM: usize = offset_of!(CpuState, ymm_hi);
/// x87, SSE and AVX by bit.
const X87: u32 = 0;
const SSE: u32 = 1;
const AVX: u32 = 2;

fn wide(insn: &Insn) -> u64 {
    use Mnemonic::*;
    matches!(insn.mnemonic(), Fxsave64 | Fxrstor64 | Xsave64 | Xsaveopt64 | Xsavec64 | Xrstor64) as u64
}

fn fault(c: &mut Ctx) -> Label {
    c.cold(|c| c.raise(exception::GENERAL_PROTECTION))
}

/// The operand's address; #GP where it is not aligned.
fn area(c: &mut Ctx, insn: &Insn, fx: bool, bad: Label) -> X {
    let at = c.mem_in_register(insn);
    c.a.alu_imm(Alu::And, Size::X, T[0], at, if fx { 15 } else { 63 });
    c.a.cbnz(Size::X, T[0], bad);
    at
}

/// Components that the instruction asks for (EAX and XCR0) to `d`.
fn requested(c: &mut Ctx, d: X, fx: bool) {
    match fx {
        true => c.a.mov_imm(d, 3),
        false => c.a.alu_imm(Alu::And, Size::W, d, gpr(0), c.options.xcr0),
    }
}

/// 1 in `d` if any bit of `t` or of the vector `v` is set, else 0; flags stay.
fn any(c: &mut Ctx, d: X, t: X, v: V) {
    c.a.fmov_to(Size::X, d, v);
    c.a.alu(Alu::Orr, Size::X, d, d, t);
    c.a.umov(3, t, v, 1);
    c.a.alu(Alu::Orr, Size::X, d, d, t);
    c.a.alu(Alu::Sub, Size::X, t, ZR, d);
    c.a.alu(Alu::Orr, Size::X, d, d, t);
    c.a.shift_imm(Shift::Lsr, Size::X, d, d, 63);
}

/// The components in use, x87's bit given, to T0; `mxcsr`: it counts as SSE's. Uses T1 to T3.
fn in_use(c: &mut Ctx, mxcsr: Option<X>) {
    let (all, more) = (VT[0], VT[1]);
    c.a.vlogic(ops::ORR, all, xmm(0), xmm(1));
    for n in 2..16 {
        c.a.vlogic(ops::ORR, all, all, xmm(n));
    }
    match mxcsr {
        Some(mxcsr) => c.a.alu_imm(Alu::Eor, Size::W, T[2], mxcsr, MXCSR_INIT as u64),
        None => c.a.mov_imm(T[2], 0),
    }
    any(c, T[1], T[2], all);
    c.a.alu_shift(Alu::Orr, Size::X, T[0], T[0], T[1], Shift::Lsl, SSE);
    if c.options.xcr0 & XCR0_AVX != 0 {
        c.a.alu_imm(Alu::Add, Size::X, T[3], STATE, YMM as u64);
        c.a.ldp_q(all, more, T[3], 0);
        for n in (2..16).step_by(2) {
            c.a.ldp_q(VT[2], VT[3], T[3], 16 * n);
            c.a.vlogic(ops::ORR, all, all, VT[2]);
            c.a.vlogic(ops::ORR, more, more, VT[3]);
        }
        c.a.vlogic(ops::ORR, all, all, more);
        c.a.mov_imm(T[2], 0);
        any(c, T[1], T[2], all);
        c.a.alu_shift(Alu::Orr, Size::X, T[0], T[0], T[1], Shift::Lsl, AVX);
    }
}

/// Runs `code` where `bit` of `mask` is set.
fn when(c: &mut Ctx, mask: X, bit: u32, code: impl FnOnce(&mut Ctx)) {
    let skip = c.a.label();
    c.a.tbz(mask, bit, skip);
    code(c);
    c.a.bind(skip);
}

/// Moves 16-byte pieces in pairs between the state's `field` and the area.
fn move_pairs(c: &mut Ctx, field: usize, at: X, offset: i32, bytes: i32, to_memory: bool) {
    c.a.alu_imm(Alu::Add, Size::X, T[3], STATE, field as u64);
    for n in (0..bytes).step_by(32) {
        let (from, from_at, to, to_at) = if to_memory { (T[3], n, at, offset + n) } else { (at, offset + n, T[3], n) };
        c.a.ldp_q(VT[0], VT[1], from, from_at);
        c.a.stp_q(VT[0], VT[1], to, to_at);
    }
}

/// The area's address, and where the code for one that is not aligned is; `None` where XSAVE and the like are not offered.
fn begin(c: &mut Ctx, insn: &Insn, fx: bool) -> Option<(X, Label)> {
    if !fx && c.options.xcr0 == 0 {
        return None;
    }
    let bad = fault(c);
    Some((area(c, insn, fx, bad), bad))
}

fn save(c: &mut Ctx, insn: &Insn, form: Form) {
    let fx = form == Form::Fx;
    let Some((at, _)) = begin(c, insn, fx) else { return c.undefined(insn) };
    // The helper is called on one of two ways: before it all is as after it.
    c.canonical_carry(STATUS);
    c.store_uppers();
    if fx {
        probe_write(c, at, FX_SIZE - 1);
        probe_write(c, at, 0);
    } else {
        probe_write(c, at, 0);
        // The end is the header's, or the AVX state's where that is asked for.
        if c.options.xcr0 & XCR0_AVX != 0 {
            when(c, gpr(0), AVX, |c| probe_write(c, at, END - 1));
        }
        probe_write(c, at, AVX_AT - 1);
    }
    c.a.mov_imm(T[0], 0);
    let without = c.a.label();
    if !fx {
        c.a.tbz(gpr(0), X87, without);
    }
    c.a.mov_imm(T[1], wide(insn));
    c.helper(Id::SaveX87);
    c.a.bind(without);

    let (bv, rfbm, mxcsr) = (T[0], T[4], T[5]);
    let at = c.mem_in_register(insn);
    requested(c, rfbm, fx);
    read_mxcsr(c, mxcsr, [T[1], T[2], T[3]]);
    if !fx {
        in_use(c, (form == Form::Compacted).then_some(mxcsr));
        c.a.alu(Alu::And, Size::X, bv, bv, rfbm);
    }
    let what = if matches!(form, Form::Fx | Form::Standard) { rfbm } else { bv };
    // What the header keeps of components that are not requested is read first.
    if matches!(form, Form::Standard | Form::Optimized) {
        c.a.load(Width::X, T[1], Mem::Off(at, HEADER_AT as i64), Order::Plain);
        c.a.alu(Alu::Bic, Size::X, T[1], T[1], rfbm);
        c.a.alu(Alu::Orr, Size::X, T[1], T[1], bv);
    }
    if c.options.ordered {
        c.a.dmb_before_stores();
    }
    when(c, what, X87, |c| {
        c.a.alu_imm(Alu::Add, Size::X, T[3], STATE, IMAGE as u64);
        c.a.ldp_q(VT[0], VT[1], T[3], 0);
        c.a.store_v(16, VT[0], Mem::Off(at, 0), Order::Plain);
        c.a.store_v(8, VT[1], Mem::Off(at, 16), Order::Plain);
        move_pairs(c, IMAGE + 32, at, 32, 128, true);
    });
    let store_mxcsr = move |c: &mut Ctx| {
        c.a.store(Width::W, mxcsr, Mem::Off(at, MXCSR_AT as i64), Order::Plain);
        c.a.mov_imm(T[3], MXCSR_MASK as u64);
        c.a.store(Width::W, T[3], Mem::Off(at, MXCSR_AT as i64 + 4), Order::Plain);
    };
    if matches!(form, Form::Standard | Form::Optimized) {
        let skip = c.a.label();
        c.a.alu_imm(Alu::And, Size::W, T[3], rfbm, 1 << SSE | 1 << AVX);
        c.a.cbz(Size::W, T[3], skip);
        store_mxcsr(c);
        c.a.bind(skip);
    }
    when(c, what, SSE, |c| {
        if matches!(form, Form::Fx | Form::Compacted) {
            store_mxcsr(c);
        }
        for n in (0..16).step_by(2) {
            c.a.stp_q(xmm(n), xmm(n + 1), at, XMM_AT as i32 + 16 * n as i32);
        }
    });
    if fx {
        return;
    }
    if c.options.xcr0 & XCR0_AVX != 0 {
        when(c, what, AVX, |c| move_pairs(c, YMM, at, AVX_AT as i32, 256, true));
    }
    if form == Form::Compacted {
        c.a.alu_imm(Alu::Orr, Size::X, T[1], rfbm, COMPACTED);
        c.a.store(Width::X, T[1], Mem::Off(at, HEADER_AT as i64 + 8), Order::Plain);
        c.a.store(Width::X, bv, Mem::Off(at, HEADER_AT as i64), Order::Plain);
    } else {
        c.a.store(Width::X, T[1], Mem::Off(at, HEADER_AT as i64), Order::Plain);
    }
}

/// MXCSR's new value: bit 63 where it stays as it is.
const STAYS: u64 = 1 << 63;

/// Checks the header at `at` and leaves XSTATE_BV in T0, the new MXCSR in T5. Requested components are in T4.
fn header(c: &mut Ctx, at: X, bad: Label) {
    let (bv, xcomp, t, rfbm, mxcsr) = (T[0], T[1], T[2], T[4], T[5]);
    let xcr0 = c.options.xcr0;
    let (compacted, done) = (c.a.label(), c.a.label());
    let word = |n: usize| Mem::Off(at, (HEADER_AT + 8 * n) as i64);
    probe(c, at, 0);
    c.a.load(Width::X, bv, word(0), Order::Plain);
    c.a.load(Width::X, xcomp, word(1), Order::Plain);
    c.a.alu_imm(Alu::And, Size::X, t, bv, !xcr0);
    c.a.cbnz(Size::X, t, bad);
    c.a.mov_imm(mxcsr, STAYS);
    c.a.tbnz(xcomp, 63, compacted);
    // Standard: XCOMP_BV and the word behind it are zero; MXCSR comes with SSE or AVX, whatever XSTATE_BV says.
    c.a.load(Width::X, t, word(2), Order::Plain);
    c.a.alu(Alu::Orr, Size::X, t, t, xcomp);
    c.a.cbnz(Size::X, t, bad);
    if xcr0 & XCR0_AVX != 0 {
        when(c, rfbm, AVX, |c| probe(c, at, END - 1));
    }
    c.a.alu_imm(Alu::And, Size::W, t, rfbm, 1 << SSE | 1 << AVX);
    c.a.cbz(Size::W, t, done);
    c.a.load(Width::W, mxcsr, Mem::Off(at, MXCSR_AT as i64), Order::Plain);
    c.a.b(done);

    c.a.bind(compacted);
    c.a.alu_imm(Alu::And, Size::X, t, xcomp, !(xcr0 | COMPACTED));
    c.a.cbnz(Size::X, t, bad);
    c.a.alu(Alu::Bic, Size::X, t, bv, xcomp);
    c.a.cbnz(Size::X, t, bad);
    c.a.ldp_q(VT[0], VT[1], at, HEADER_AT as i32 + 16);
    c.a.load_v(16, VT[2], word(6), Order::Plain);
    c.a.vlogic(ops::ORR, VT[0], VT[0], VT[1]);
    c.a.vlogic(ops::ORR, VT[0], VT[0], VT[2]);
    c.a.fmov_to(Size::X, t, VT[0]);
    c.a.cbnz(Size::X, t, bad);
    c.a.umov(3, t, VT[0], 1);
    c.a.cbnz(Size::X, t, bad);
    if xcr0 & XCR0_AVX != 0 {
        c.a.alu(Alu::And, Size::X, t, rfbm, bv);
        when(c, t, AVX, |c| probe(c, at, END - 1));
    }
    // MXCSR is SSE's.
    c.a.tbz(rfbm, SSE, done);
    c.a.mov_imm(mxcsr, MXCSR_INIT as u64);
    c.a.tbz(bv, SSE, done);
    c.a.load(Width::W, mxcsr, Mem::Off(at, MXCSR_AT as i64), Order::Plain);
    c.a.bind(done);
}

/// Faults where the area's byte `n` can not be read.
fn probe(c: &mut Ctx, at: X, n: usize) {
    c.a.load(Width::B, ZR, Mem::Off(at, n as i64), Order::Plain);
}

/// Faults where it can not be written: writes what is there. In one piece where others may write: the instruction does not write all of the area.
fn probe_write(c: &mut Ctx, at: X, n: usize) {
    let mem = Mem::Off(at, n as i64);
    if c.order() != Order::Plain {
        c.a.lea(T[2], mem);
        return c.a.rmw(Rmw::Set, Width::B, T[1], ZR, T[2]);
    }
    c.a.load(Width::B, T[1], mem, Order::Plain);
    c.a.store(Width::B, T[1], mem, Order::Plain);
}

/// Where component `bit` is requested (`rfbm`): `load` if it is there (`what`), else `init`.
fn component(c: &mut Ctx, [rfbm, what]: [X; 2], bit: u32, load: impl FnOnce(&mut Ctx), init: impl FnOnce(&mut Ctx)) {
    when(c, rfbm, bit, |c| {
        let (initial, done) = (c.a.label(), c.a.label());
        c.a.tbz(what, bit, initial);
        load(c);
        c.a.b(done);
        c.a.bind(initial);
        init(c);
        c.a.bind(done);
    });
}

fn restore(c: &mut Ctx, insn: &Insn, fx: bool) {
    let avx = !fx && c.options.xcr0 & XCR0_AVX != 0;
    let Some((at, bad)) = begin(c, insn, fx) else { return c.undefined(insn) };
    c.canonical_carry(STATUS);
    c.store_uppers();
    let (bv, rfbm, mxcsr, what) = (T[0], T[4], T[5], T[6]);
    requested(c, rfbm, fx);
    if fx {
        probe(c, at, FX_SIZE - 1);
        probe(c, at, 0);
        c.a.load(Width::W, mxcsr, Mem::Off(at, MXCSR_AT as i64), Order::Plain);
        c.a.mov(Size::X, what, rfbm);
    } else {
        header(c, at, bad);
        c.a.alu(Alu::And, Size::X, what, bv, rfbm);
    }
    super::system::reserved_mxcsr(c, mxcsr, T[3], bad);

    when(c, what, X87, |c| move_pairs(c, IMAGE, at, 0, 160, false));
    let vectors = |c: &mut Ctx| {
        for n in (0..16).step_by(2) {
            c.a.ldp_q(xmm(n), xmm(n + 1), at, XMM_AT as i32 + 16 * n as i32);
        }
    };
    component(c, [rfbm, what], SSE, vectors, |c| (0..16).for_each(|n| c.a.vzero(xmm(n))));
    if avx {
        let zeros = |c: &mut Ctx| {
            c.a.alu_imm(Alu::Add, Size::X, T[3], STATE, YMM as u64);
            c.a.vzero(VT[0]);
            for n in (0..16).step_by(2) {
                c.a.stp_q(VT[0], VT[0], T[3], 16 * n);
            }
        };
        component(c, [rfbm, what], AVX, |c| move_pairs(c, YMM, at, AVX_AT as i32, 256, false), zeros);
        c.load_uppers();
    }
    if c.options.ordered {
        c.a.dmb_behind_loads();
    }

    // T1: what the helper is to do with x87.
    c.a.alu_imm(Alu::And, Size::W, T[1], rfbm, 1);
    c.a.alu_imm(Alu::And, Size::W, T[3], what, 1);
    c.a.alu_shift(Alu::Orr, Size::W, T[1], T[1], T[3], Shift::Lsl, 1);
    if wide(insn) != 0 {
        c.a.alu_imm(Alu::Orr, Size::W, T[1], T[1], 4);
    }
    set_mxcsr(c, mxcsr, Some(rfbm));
}

fn xgetbv(c: &mut Ctx, insn: &Insn) {
    if c.options.xcr0 == 0 {
        return c.undefined(insn);
    }
    read_mxcsr(c, T[2], [T[0], T[1], T[3]]);
    c.a.mov(Size::W, T[1], gpr(1));
    c.helper(Id::Xgetbv);
    c.a.mov(Size::W, gpr(0), T[0]);
    c.a.shift_imm(Shift::Lsr, Size::X, gpr(2), T[0], 32);
}
