//! A signal's handler entered from a stub: behind a system call that translated code has made, the one signal in the thread's inbox goes to the handler that
//! the engine has sent this signal to before, as `linux::signal` would do it. Whatever else there is to be done is the engine's: an alternate stack, an x87 unit
//! or MXCSR that is not as after reset, a call to be restarted, a page that can not be written.

use super::asm::{Alu, Asm, Shift, Size};
use super::calls::{R11, RAX, RCX, seat};
use super::memory::{Mem, Order, Width};
use super::own_calls::{Guarded, PAIRS, RARE_FLAGS, frame, signals};
use super::regs::*;
use super::stubs::{Stretch, Stretches, go_to};
use super::tables::{Inline, look_up_inline};
use crate::emit::Label;
use crate::guest::state::{MXCSR_INIT, X87};
use crate::guest::{CpuState, Gpr, xsave};
use std::mem::offset_of;

/// Offsets in `host::signals::Inbox`.
pub mod inbox {
    /// A byte each for its slots: not zero while a signal is there.
    pub const PENDING: usize = 0;
    /// The slot of asynchronous signals: a siginfo.
    pub const SLOT: usize = 8;
}

/// SS_DISABLE.
const DISABLED: u64 = 2;
/// How much of the shadow stack may be full where a return address is put there without asking for its guard: 128 KiB.
const SHADOW_LOG2: u32 = 17;

const fn field(offset: usize) -> Mem {
    Mem::Off(STATE, offset as i64)
}
fn load(a: &mut Asm, width: Width, d: X, n: X, at: i32) {
    a.load(width, d, Mem::Off(n, at as i64), Order::Plain);
}
fn store(a: &mut Asm, width: Width, s: X, n: X, at: i32) {
    a.store(width, s, Mem::Off(n, at as i64), Order::Plain);
}

/// Assembles it: the call's result is in RAX, its next instruction in RCX, RFLAGS in R11, the carry canonical. `engine` leaves with all of that as it is.
pub fn assemble(a: &mut Asm, engine: Label, leave: Label, stretches: &mut Stretches) -> Guarded {
    let begin = a.offset();
    let (odd, x, y, blocked) = (T[0], T[1], T[2], T[3]);
    let (inbox_at, area, frame_at, know, signal, added) = (T[4], T[5], T[6], T[7], LINK, S1);
    let rsp = gpr(Gpr::Rsp as u8);

    // Interrupted calls.
    a.tbnz(RAX, 63, engine);
    a.load(Width::X, know, field(offset_of!(CpuState, signals)), Order::Plain);
    a.cbz(Size::X, know, engine);
    // One signal, and one that came like this before; since then no action was changed.
    load(a, Width::X, inbox_at, know, signals::INBOX);
    load(a, Width::W, odd, inbox_at, inbox::PENDING as i32);
    a.alu_imm(Alu::Eor, Size::X, odd, odd, 1);
    load(a, Width::W, signal, inbox_at, inbox::SLOT as i32);
    a.ldp(x, y, know, signals::CHANGES);
    load(a, Width::X, x, x, 0);
    a.alu(Alu::Eor, Size::X, x, x, y);
    a.alu(Alu::Orr, Size::X, odd, odd, x);
    a.ldp(x, added, know, signals::ACTION);
    a.alu(Alu::Eor, Size::X, x, x, signal);
    a.alu(Alu::Orr, Size::X, odd, odd, x);
    // Not blocked. While the engine holds other signals it remembers no action.
    load(a, Width::X, blocked, know, signals::BLOCKED);
    a.alu_imm(Alu::Sub, Size::X, x, signal, 1);
    a.shift_reg(Shift::Lsr, Size::X, x, blocked, x);
    a.alu_imm(Alu::And, Size::X, x, x, 1);
    a.alu(Alu::Orr, Size::X, odd, odd, x);
    // No alternate stack: then it is at 0 and has no bytes (sigaltstack's rules).
    load(a, Width::X, y, know, signals::ALTERNATE + 8);
    a.alu_imm(Alu::Eor, Size::X, y, y, DISABLED);
    a.alu(Alu::Orr, Size::X, odd, odd, y);
    a.mov_imm(x, RARE_FLAGS);
    a.alu(Alu::And, Size::X, x, x, R11);
    a.alu(Alu::Orr, Size::X, odd, odd, x);
    a.load(Width::X, x, field(offset_of!(CpuState, x87) + offset_of!(X87, control)), Order::Plain);
    a.mov_imm(y, X87::INIT.control as u64);
    a.alu(Alu::Eor, Size::X, x, x, y);
    a.alu(Alu::Orr, Size::X, odd, odd, x);
    a.load(Width::W, x, field(offset_of!(CpuState, mxcsr)), Order::Plain);
    a.alu_imm(Alu::And, Size::X, y, x, !0x3f);
    a.alu_imm(Alu::Eor, Size::X, y, y, MXCSR_INIT as u64);
    a.alu(Alu::Orr, Size::X, odd, odd, y);
    a.cbnz(Size::X, odd, engine);

    // What comes from here on is noticed.
    a.load(Width::X, y, field(offset_of!(CpuState, seat)), Order::Plain);
    store(a, Width::B, ZR, y, seat::INTERRUPT as i32);
    a.alu_imm(Alu::Sub, Size::X, area, rsp, frame::RED_ZONE + xsave::END as u64 + 4);
    a.alu_imm(Alu::And, Size::X, area, area, !63);
    a.alu_imm(Alu::Sub, Size::X, frame_at, area, frame::SIZE);
    a.alu_imm(Alu::And, Size::X, frame_at, frame_at, !15);
    a.alu_imm(Alu::Sub, Size::X, frame_at, frame_at, 8);

    let from = a.offset();
    // x: MXCSR.
    sticky(a, x, odd, y);
    area_of_x87(a, area, x, y);
    words(a, frame_at, know, area, blocked, [x, y]);
    siginfo(a, inbox_at, frame_at, [x, y]);
    for n in (0..16).step_by(2) {
        a.stp_q(xmm(n), xmm(n + 1), area, xsave::XMM_AT as i32 + 16 * n as i32);
    }
    upper_halves(a, area, know, [x, y, odd]);
    let to = a.offset();

    // Done: it is out of the inbox, and the next may come.
    let uppers = S1;
    a.alu(Alu::Orr, Size::X, y, blocked, added);
    a.mov(Size::X, uppers, x);
    store(a, Width::B, ZR, inbox_at, inbox::PENDING as i32);
    store(a, Width::X, y, know, signals::BLOCKED);
    load(a, Width::X, x, know, signals::MASKS + 8);
    a.alu(Alu::And, Size::X, y, y, x);
    a.store(Width::X, y, field(offset_of!(CpuState, scratch)), Order::Plain);
    // SIG_SETMASK, the mask, nothing, its size.
    a.mov_imm(T[0], 2);
    a.alu_imm(Alu::Add, Size::X, T[1], STATE, offset_of!(CpuState, scratch) as u64);
    a.mov_imm(T[2], 0);
    a.mov_imm(T[3], 8);
    load(a, Width::X, RAX, know, signals::SET_MASK);
    a.svc();
    begin_handler(a, uppers, signal, frame_at);
    // The return from the handler is predicted, where there is room.
    let unpredicted = a.label();
    load(a, Width::X, T[0], know, signals::RESTORER);
    look_up_inline(a, Inline::Exact, T[0], T[2], unpredicted);
    a.load(Width::X, T[4], field(offset_of!(CpuState, shadow_top)), Order::Plain);
    a.alu(Alu::Sub, Size::X, T[4], T[4], SHADOW);
    a.shift_imm(Shift::Lsr, Size::X, T[4], T[4], SHADOW_LOG2);
    a.cbnz(Size::X, T[4], unpredicted);
    a.stp_pre(T[0], T[3], SHADOW, -16);
    a.bind(unpredicted);
    load(a, Width::X, T[0], know, signals::HANDLER);
    go_to(a, leave, begin, stretches);

    let resume = a.offset();
    a.b(engine);
    stretches.push((resume..a.offset(), Stretch::Looks));
    Guarded { from, to, resume }
}

/// `mxcsr` with the flags that the host holds, and MXCSR_MASK above it. FTZ is off.
fn sticky(a: &mut Asm, mxcsr: X, x: X, y: X) {
    // IOC is IE; DZC, OFC, UFC, IXC are ZE, OE, UE, PE, one bit further up; IDC is DE, with FPCR.AH only.
    a.read_fpsr(x);
    a.ubfx(Size::X, y, x, 1, 4);
    a.alu_shift(Alu::Orr, Size::X, mxcsr, mxcsr, y, Shift::Lsl, 2);
    if a.features.afp {
        a.ubfx(Size::X, y, x, 7, 1);
        a.alu_shift(Alu::Orr, Size::X, mxcsr, mxcsr, y, Shift::Lsl, 1);
    }
    a.alu_imm(Alu::And, Size::X, x, x, 1);
    a.alu(Alu::Orr, Size::X, mxcsr, mxcsr, x);
    const { assert!(xsave::MXCSR_MASK == 0x2_ffff) };
    a.movk(mxcsr, 0xffff, 32);
    a.movk(mxcsr, 2, 48);
}

/// The first 160 bytes of the area: an empty unit, with what its registers hold. Uses V1 and V2, and S0.
fn area_of_x87(a: &mut Asm, area: X, mxcsr: X, x: X) {
    const { assert!(xsave::MXCSR_AT == 24) };
    a.mov_imm(x, X87::INIT.control as u64);
    a.stp(x, ZR, area, 0);
    a.stp(ZR, mxcsr, area, 16);
    a.alu_imm(Alu::Add, Size::X, S0, STATE, offset_of!(CpuState, x87) as u64);
    for n in (0..8).step_by(2) {
        a.ldp_q(V(1), V(2), S0, 16 * n);
        a.stp_q(V(1), V(2), area, 32 + 16 * n);
    }
}

/// struct rt_sigframe up to the siginfo. V0 is zero from here on.
fn words(a: &mut Asm, frame_at: X, know: X, area: X, blocked: X, [x, y]: [X; 2]) {
    /// Of the frame, from its start.
    const REGISTERS: i32 = 8 + frame::REGISTERS;
    a.ldp(x, y, know, signals::RESTORER);
    a.stp(x, y, frame_at, 0);
    a.stp(ZR, ZR, frame_at, 16);
    a.mov_imm(x, DISABLED);
    a.stp(x, ZR, frame_at, 32);
    for (i, [first, second]) in PAIRS.into_iter().enumerate() {
        a.stp(gpr(first as u8), gpr(second as u8), frame_at, REGISTERS + 16 * i as i32);
    }
    a.stp(RCX, R11, frame_at, REGISTERS + 128);
    a.ldp(x, y, know, signals::TRAP);
    a.stp(x, y, frame_at, REGISTERS + 144);
    a.ldp(x, y, know, signals::TRAP + 16);
    a.stp(x, blocked, frame_at, REGISTERS + 160);
    a.stp(y, area, frame_at, REGISTERS + 176);
    a.vzero(V(0));
    a.stp_q(V(0), V(0), frame_at, REGISTERS + 192);
    a.stp_q(V(0), V(0), frame_at, REGISTERS + 224);
    store(a, Width::X, blocked, frame_at, 8 + frame::MASK);
}

fn siginfo(a: &mut Asm, inbox_at: X, frame_at: X, [x, y]: [X; 2]) {
    a.alu_imm(Alu::Add, Size::X, x, inbox_at, inbox::SLOT as u64);
    a.alu_imm(Alu::Add, Size::X, y, frame_at, 16 + frame::MASK as u64);
    for at in (0..128).step_by(32) {
        a.ldp_q(V(1), V(2), x, at);
        a.stp_q(V(1), V(2), y, at);
    }
}

/// The kernel's marks, the header, and the upper halves; `x`: not zero if they are in use.
fn upper_halves(a: &mut Asm, area: X, know: X, [x, y, z]: [X; 3]) {
    a.stp_q(V(0), V(0), area, 416);
    a.store_v(16, V(0), Mem::Off(area, 448), Order::Plain);
    a.ldp(x, y, know, signals::MARKS);
    a.stp(x, y, area, frame::MARKS);
    a.ldp(x, y, know, signals::MARKS + 16);
    a.stp(x, ZR, area, frame::MARKS + 16);
    a.stp(ZR, ZR, area, frame::MARKS + 32);
    store(a, Width::W, y, area, xsave::END as i32);
    let any = V(3);
    for n in (0..16).step_by(2) {
        a.ldp_q(V(1), V(2), STATE, offset_of!(CpuState, ymm_hi) as i32 + 16 * n);
        a.stp_q(V(1), V(2), area, xsave::AVX_AT as i32 + 16 * n);
        if n == 0 {
            a.vlogic(super::simd::ops::ORR, any, V(1), V(2));
            continue;
        }
        a.vlogic(super::simd::ops::ORR, V(1), V(1), V(2));
        a.vlogic(super::simd::ops::ORR, any, any, V(1));
    }
    a.umov(3, x, any, 1);
    a.fmov_to(Size::X, y, any);
    a.alu(Alu::Orr, Size::X, x, x, y);
    // XSTATE_BV: x87 and SSE always.
    let unused = a.label();
    a.mov_imm(z, 3);
    a.cbz(Size::X, x, unused);
    a.mov_imm(z, 7);
    a.bind(unused);
    store(a, Width::X, z, area, xsave::HEADER_AT as i32);
    store(a, Width::X, ZR, area, xsave::HEADER_AT as i32 + 8);
    a.stp_q(V(0), V(0), area, xsave::HEADER_AT as i32 + 16);
    a.store_v(16, V(0), Mem::Off(area, xsave::HEADER_AT as i64 + 48), Order::Plain);
}

/// The registers that a handler starts with.
fn begin_handler(a: &mut Asm, uppers: X, signal: X, frame_at: X) {
    let zeros = a.label();
    for n in 0..16 {
        a.vzero(xmm(n));
    }
    a.cbz(Size::X, uppers, zeros);
    for n in (0..16).step_by(2) {
        a.stp_q(V(0), V(0), STATE, offset_of!(CpuState, ymm_hi) as i32 + 16 * n);
    }
    a.bind(zeros);
    a.alu_imm(Alu::Add, Size::X, S0, STATE, offset_of!(CpuState, x87) as u64);
    for n in (0..8).step_by(2) {
        a.stp_q(V(0), V(0), S0, 16 * n);
    }
    a.stp(ZR, ZR, S0, offset_of!(X87, fip) as i32);
    a.mov_imm(S0, MXCSR_INIT as u64);
    a.store(Width::W, S0, field(offset_of!(CpuState, mxcsr)), Order::Plain);
    a.write_fpsr(ZR);
    a.mov(Size::X, gpr(Gpr::Rdi as u8), signal);
    a.alu_imm(Alu::Add, Size::X, gpr(Gpr::Rsi as u8), frame_at, 16 + frame::MASK as u64);
    a.alu_imm(Alu::Add, Size::X, gpr(Gpr::Rdx as u8), frame_at, 8);
    a.mov_imm(RAX, 0);
    a.mov(Size::X, gpr(Gpr::Rsp as u8), frame_at);
}
