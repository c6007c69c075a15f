//! System calls that a stub carries out itself, without the engine: struct stat's, whose layout the machines do not share, and the way back from a signal
//! handler.
//!
//! Both read or write guest memory. A fault there ([`Guarded`]) gives the call up, to the engine, which makes it again and answers for the fault. So does
//! everything that is not as it nearly always is.

use super::asm::{Alu, Asm, Shift, Size};
use super::calls::{Window, ARGUMENTS, ENTRY, R11, RAX, RCX, begin, entry, read_rflags, run_again, seat};
use super::memory::{Mem, Order, Width};
use super::regs::*;
use super::stubs::{Stretch, Stretches, Stub, go_to};
use crate::emit::Label;
use crate::guest::{CpuState, Gpr, rflags, state::{X87, nzcv}, xsave};
use std::mem::offset_of;

/// A piece of a stub that accesses guest memory: what faults there goes on at `resume`. Offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Its first instruction.
    pub from: u32,
    /// Behind its last.
    pub to: u32,
    /// Where the call is given up.
    pub resume: u32,
}

/// How many there are.
pub const GUARDED: usize = 3;

/// What a thread's `CpuState::signals` points to, as offsets: kept by `linux::signal`.
pub mod signals {
    /// The guest's mask.
    pub const BLOCKED: i32 = 0;
    /// The alternate stack: address, flags, size.
    pub const ALTERNATE: i32 = 8;
    /// What the guest can block, and what the host is told of it.
    pub const MASKS: i32 = 32;
    /// What XSAVE's area is marked with in a frame: the three words at [`frame::MARKS`](super::frame::MARKS), and the one behind the area.
    pub const MARKS: i32 = 48;
    /// The host's number of rt_sigprocmask.
    pub const SET_MASK: i32 = 80;
    /// Address of the inbox.
    pub const INBOX: i32 = 88;
    /// As a frame has them: segments, error, exception, CR2.
    pub const TRAP: i32 = 96;
    /// Address of the count of changed actions, and what it was when the next words were written.
    pub const CHANGES: i32 = 128;
    /// The signal that a handler was last entered for, and what is blocked meanwhile.
    pub const ACTION: i32 = 144;
    /// As a frame begins: where that handler returns to, uc_flags.
    pub const RESTORER: i32 = 160;
    /// The handler.
    pub const HANDLER: i32 = 176;
    /// Bytes.
    pub const SIZE: usize = 184;
}

/// A signal frame as rt_sigreturn finds it: offsets from RSP, where struct ucontext begins. `linux::signal::frame` compares them with its own.
pub mod frame {
    /// Address, flags, size of the alternate stack.
    pub const STACK: i32 = 16;
    /// R8 to R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP.
    pub const REGISTERS: i32 = 40;
    /// RIP.
    pub const RIP: i32 = 168;
    /// RFLAGS.
    pub const FLAGS: i32 = 176;
    /// Address of XSAVE's area.
    pub const AREA: i32 = 224;
    /// The mask.
    pub const MASK: i32 = 296;
    /// In the area: the kernel's marks.
    pub const MARKS: i32 = 464;
    /// Bytes of struct rt_sigframe, and of what is left free below RSP.
    pub const SIZE: u64 = 440;
    /// See above.
    pub const RED_ZONE: u64 = 128;
}

/// rt_sigreturn's number for the guest: what RAX holds where it is made.
const SIGNAL_RETURN: u64 = 15;
/// AT_EMPTY_PATH.
const EMPTY_PATH: u64 = 0x1000;
/// How pairs of registers lie in a frame.
pub(super) const PAIRS: [[Gpr; 2]; 8] = {
    use Gpr::*;
    [[R8, R9], [R10, R11], [R12, R13], [R14, R15], [Rdi, Rsi], [Rbp, Rbx], [Rdx, Rax], [Rcx, Rsp]]
};
/// Flags of a frame that only the engine sets: TF, DF, NT, RF, AC, ID.
pub(super) const RARE_FLAGS: u64 = rflags::TF | rflags::DF | rflags::RF | rflags::USER_SYSTEM;

const fn field(offset: usize) -> Mem {
    Mem::Off(STATE, offset as i64)
}

/// Assembles the stubs: `asked` gives the call to the engine, with all guest registers as before it.
pub fn assemble(a: &mut Asm, offsets: &mut [u32], asked: Label, leave: Label, stretches: &mut Stretches) -> ([Guarded; 2], Window) {
    let stat_call = a.label();
    offsets[Stub::OwnCall as usize] = a.offset();
    a.tbz(ENTRY, entry::RETURNS, stat_call);
    stretches.push((a.offset() - 4..a.offset(), Stretch::Returns));
    let (back, window) = signal_return(a, asked, leave, stretches);
    a.bind(stat_call);
    let from = a.offset();
    let stat = stat(a, asked);
    stretches.push((from..a.offset(), Stretch::Returns));
    ([back, stat], window)
}

/// fstat, and newfstatat as fstat(3) makes it: an empty path and AT_EMPTY_PATH alone. Where the call fails, or somebody wants the engine to look, the engine
/// makes it again.
fn stat(a: &mut Asm, asked: Label) -> Guarded {
    let (number, seen, to) = (T[7], T[3], T[5]);
    let from_image = T[4];
    let (plain, call, undo) = (a.label(), a.label(), a.label());
    a.mov(Size::X, number, RAX);
    let from = a.offset();
    a.alu_imm(Alu::Add, Size::X, from_image, STATE, offset_of!(CpuState, image) as u64);
    a.mov(Size::X, T[0], ARGUMENTS[0]);
    a.tbz(ENTRY, entry::PATH, plain);
    a.alu_imm(Alu::Eor, Size::W, S0, ARGUMENTS[3], EMPTY_PATH);
    a.cbnz(Size::W, S0, asked);
    a.load(Width::B, S0, Mem::Off(ARGUMENTS[1], 0), Order::Plain);
    a.cbnz(Size::W, S0, asked);
    a.mov(Size::X, T[1], ARGUMENTS[1]);
    a.mov(Size::X, T[2], from_image);
    a.mov_imm(T[3], EMPTY_PATH);
    a.mov(Size::X, to, ARGUMENTS[2]);
    a.b(call);
    a.bind(plain);
    a.mov(Size::X, T[1], from_image);
    a.mov(Size::X, to, ARGUMENTS[1]);
    a.bind(call);
    begin(a, S1);
    a.svc();
    run_again(a, S1, seen);
    a.alu(Alu::Orr, Size::X, seen, seen, T[0]);
    a.cbnz(Size::X, seen, undo);

    // struct stat of aarch64 to that of x86_64 (linux::abi::layout): nlink and mode change places, uid and gid move.
    let (x, y, z) = (T[0], T[1], T[2]);
    a.ldp(x, y, from_image, 0);
    a.stp(x, y, to, 0);
    a.ldp(x, y, from_image, 16);
    a.shift_imm(Shift::Lsr, Size::X, z, x, 32);
    a.bfi(Size::X, x, y, 32, 32);
    a.stp(z, x, to, 16);
    a.shift_imm(Shift::Lsr, Size::X, y, y, 32);
    a.load(Width::X, x, Mem::Off(from_image, 32), Order::Plain);
    a.stp(y, x, to, 32);
    a.ldp(x, y, from_image, 48);
    a.sext(4, Size::X, y, y);
    a.stp(x, y, to, 48);
    for at in [64, 80, 96] {
        a.ldp(x, y, from_image, at);
        a.stp(x, y, to, at);
    }
    a.load(Width::X, x, Mem::Off(from_image, 112), Order::Plain);
    a.stp(x, ZR, to, 112);
    a.stp(ZR, ZR, to, 128);
    let to = a.offset();
    a.mov_imm(RAX, 0);
    read_rflags(a, R11, true);
    a.ret(LINK);
    let resume = a.offset();
    a.bind(undo);
    a.mov(Size::X, RAX, number);
    a.b(asked);
    Guarded { from, to, resume }
}

/// rt_sigreturn from a frame as the kernel makes it, of a thread whose alternate stack, rounding and masked exceptions are what they were, and whose x87 unit
/// is empty.
fn signal_return(a: &mut Asm, asked: Label, leave: Label, stretches: &mut Stretches) -> (Guarded, Window) {
    let begin = a.offset();
    // Kept until everything is read: the frame, XSAVE's area, what SYSCALL has put into RCX, XSTATE_BV.
    let (frame_at, area, next, bv, know) = (T[5], S1, LINK, T[4], T[7]);
    let (odd, x, y, z) = (T[0], T[1], T[2], T[3]);
    let rsp = gpr(Gpr::Rsp as u8);
    a.load(Width::X, know, field(offset_of!(CpuState, signals)), Order::Plain);
    a.cbz(Size::X, know, asked);
    a.mov(Size::X, frame_at, rsp);
    a.mov(Size::X, next, RCX);
    let from = a.offset();
    let load = |a: &mut Asm, width: Width, d: X, n: X, at: i32| a.load(width, d, Mem::Off(n, at as i64), Order::Plain);
    // Bits of `odd`: something is not as expected.
    let differs = |a: &mut Asm, d: X, expected: X| {
        a.alu(Alu::Eor, Size::X, d, d, expected);
        a.alu(Alu::Orr, Size::X, odd, odd, d);
    };
    a.ldp(odd, x, frame_at, frame::STACK);
    load(a, Width::X, y, frame_at, frame::STACK + 16);
    a.ldp(z, S0, know, signals::ALTERNATE);
    a.alu(Alu::Eor, Size::X, odd, odd, z);
    differs(a, x, S0);
    load(a, Width::X, z, know, signals::ALTERNATE + 16);
    differs(a, y, z);

    load(a, Width::X, x, frame_at, frame::FLAGS);
    const { assert!(offset_of!(CpuState, system_flags) == offset_of!(CpuState, df) + 8) };
    a.ldp(y, z, STATE, offset_of!(CpuState, df) as i32);
    a.mov_imm(S0, RARE_FLAGS);
    a.alu(Alu::And, Size::X, x, x, S0);
    for bits in [x, y, z] {
        a.alu(Alu::Orr, Size::X, odd, odd, bits);
    }

    load(a, Width::X, area, frame_at, frame::AREA);
    a.cbz(Size::X, area, asked);
    a.ldp(x, y, area, frame::MARKS);
    a.ldp(z, S0, know, signals::MARKS);
    differs(a, x, z);
    differs(a, y, S0);
    load(a, Width::W, x, area, frame::MARKS + 16);
    load(a, Width::W, y, area, xsave::END as i32);
    a.ldp(z, S0, know, signals::MARKS + 16);
    differs(a, x, z);
    differs(a, y, S0);
    a.alu_imm(Alu::Add, Size::X, S0, area, xsave::HEADER_AT as u64);
    a.ldp(bv, y, S0, 0);
    load(a, Width::X, z, S0, 16);
    // x87 and SSE are there, with or without AVX.
    a.alu_imm(Alu::Eor, Size::X, x, bv, 3);
    a.alu_imm(Alu::And, Size::X, x, x, !4);
    for bits in [x, y, z] {
        a.alu(Alu::Orr, Size::X, odd, odd, bits);
    }
    // Of MXCSR only the flags differ.
    load(a, Width::W, x, area, xsave::MXCSR_AT as i32);
    a.load(Width::W, y, field(offset_of!(CpuState, mxcsr)), Order::Plain);
    a.alu(Alu::Eor, Size::X, x, x, y);
    a.alu_imm(Alu::And, Size::X, x, x, !0x3f);
    a.alu(Alu::Orr, Size::X, odd, odd, x);
    load(a, Width::X, x, area, 0);
    a.mov_imm(y, X87::INIT.control as u64);
    differs(a, x, y);
    a.cbnz(Size::X, odd, asked);

    // The mask: unless a signal is here already, which comes first. S0 holds it over the call.
    let (same, abort) = (a.label(), a.label());
    let mask = S0;
    load(a, Width::X, mask, frame_at, frame::MASK);
    a.ldp(x, y, know, signals::MASKS);
    a.alu(Alu::And, Size::X, mask, mask, x);
    load(a, Width::X, x, know, signals::BLOCKED);
    a.alu(Alu::Eor, Size::X, x, x, mask);
    a.cbz(Size::X, x, same);
    a.alu(Alu::And, Size::X, y, mask, y);
    a.store(Width::X, y, field(offset_of!(CpuState, scratch)), Order::Plain);
    // SIG_SETMASK, the mask, nothing, its size.
    a.mov_imm(T[0], 2);
    a.alu_imm(Alu::Add, Size::X, T[1], STATE, offset_of!(CpuState, scratch) as u64);
    a.mov_imm(T[2], 0);
    a.alu_imm(Alu::And, Size::X, RAX, ENTRY, entry::NUMBER as u64);
    a.load(Width::X, T[3], field(offset_of!(CpuState, seat)), Order::Plain);
    let check = a.offset();
    load(a, Width::B, T[3], T[3], seat::INTERRUPT as i32);
    a.cbnz(Size::W, T[3], abort);
    a.mov_imm(T[3], 8);
    let svc = a.offset();
    a.svc();
    a.store(Width::X, mask, Mem::Off(know, signals::BLOCKED as i64), Order::Plain);
    a.bind(same);

    vectors(a, area, bv);
    // An empty x87 unit, with what its registers hold.
    a.alu_imm(Alu::Add, Size::X, S0, STATE, offset_of!(CpuState, x87) as u64);
    a.vector_constant(V(2), u128::MAX >> 48);
    for n in (0..8).step_by(2) {
        a.ldp_q(V(0), V(1), area, 32 + 16 * n);
        a.vlogic(super::simd::ops::AND, V(0), V(0), V(2));
        a.vlogic(super::simd::ops::AND, V(1), V(1), V(2));
        a.stp_q(V(0), V(1), S0, 16 * n);
    }
    const { assert!(offset_of!(X87, fip) == offset_of!(X87, control) + 8 && offset_of!(X87, fdp) == offset_of!(X87, fip) + 8) };
    a.ldp(y, z, area, 8);
    a.mov_imm(x, X87::INIT.control as u64);
    a.store(Width::X, x, Mem::Off(S0, offset_of!(X87, control) as i64), Order::Plain);
    a.stp(y, z, S0, offset_of!(X87, fip) as i32);
    load(a, Width::W, x, area, xsave::MXCSR_AT as i32);
    a.store(Width::W, x, field(offset_of!(CpuState, mxcsr)), Order::Plain);
    a.write_fpsr(ZR);

    load(a, Width::X, x, frame_at, frame::FLAGS);
    load(a, Width::X, T[0], frame_at, frame::RIP);
    for (i, [first, second]) in PAIRS.into_iter().enumerate() {
        a.ldp(gpr(first as u8), gpr(second as u8), frame_at, frame::REGISTERS + 16 * i as i32);
    }
    let to = a.offset();
    flags(a, x);
    go_to(a, leave, begin, stretches);

    let resume = a.offset();
    a.bind(abort);
    a.mov(Size::X, rsp, frame_at);
    a.mov(Size::X, RCX, next);
    a.mov_imm(RAX, SIGNAL_RETURN);
    a.b(asked);
    stretches.push((resume..a.offset(), Stretch::Looks));
    // What has not begun is never made again by the kernel.
    (Guarded { from, to, resume }, Window { check, svc, abort: resume, again: resume })
}

/// Loads XMM registers and upper halves; those that the area does not have are zero.
fn vectors(a: &mut Asm, area: X, bv: X) {
    let (zero, done) = (a.label(), a.label());
    a.alu_imm(Alu::Add, Size::X, S0, area, xsave::XMM_AT as u64);
    for n in (0..16).step_by(2) {
        a.ldp_q(xmm(n), xmm(n + 1), S0, 16 * n as i32);
    }
    let uppers = offset_of!(CpuState, ymm_hi) as i32;
    a.tbz(bv, 2, zero);
    a.alu_imm(Alu::Add, Size::X, S0, area, xsave::AVX_AT as u64);
    for n in (0..16).step_by(2) {
        a.ldp_q(V(0), V(1), S0, 16 * n);
        a.stp_q(V(0), V(1), STATE, uppers + 16 * n);
    }
    a.b(done);
    a.bind(zero);
    a.vzero(V(0));
    for n in (0..16).step_by(2) {
        a.stp_q(V(0), V(0), STATE, uppers + 16 * n);
    }
    a.bind(done);
}

/// The host's flags from RFLAGS in `f`, as `CpuState::set_rflags` has them; the carry canonical. Uses T2 to T4; `f` changes.
fn flags(a: &mut Asm, f: X) {
    const { assert!(rflags::PF == 1 << 2 && rflags::AF == 1 << 4 && rflags::ZF == 1 << 6 && rflags::SF == 1 << 7 && rflags::OF == 1 << 11) };
    const { assert!(nzcv::Z == 1 << 30 && nzcv::C == 1 << 29 && nzcv::V == 1 << 28) };
    a.ubfx(Size::X, PFR, f, 2, 1);
    a.alu_imm(Alu::Eor, Size::X, PFR, PFR, 1);
    a.alu_imm(Alu::And, Size::X, AFX, f, rflags::AF);
    a.alu(Alu::Eor, Size::X, AFX, AFX, PFR);
    a.ubfx(Size::X, T[2], f, 6, 2);
    a.ubfx(Size::X, T[3], f, 11, 1);
    a.alu_imm(Alu::Eor, Size::X, f, f, 1);
    a.shift_imm(Shift::Lsl, Size::X, T[4], T[2], 30);
    a.bfi(Size::X, T[4], f, 29, 1);
    a.bfi(Size::X, T[4], T[3], 28, 1);
    a.write_nzcv(T[4]);
}
