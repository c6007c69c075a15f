//! System calls made without leaving translated code: RFLAGS for R11, and the stubs that make them.
//!
//! A call may wait for another thread, and a thread that waits inside translated code can not be stopped. So the stubs mark it as not running meanwhile, as
//! the engine does around everything that it does itself, and look afterwards whether code may have gone (`engine::stop`). Signals are kept to the rule
//! of `host::sys::interruptible`: between [`Window::check`] and the call the handler moves the pc to [`Window::abort`], and where the kernel would
//! restart the call, to [`Window::again`].

use super::asm::{Alu, Asm, Shift, Size};
use super::memory::{Mem, Order, Width};
use super::own_calls::{GUARDED, Guarded};
use super::regs::*;
use super::stubs::{Stretch, Stretches, Stub, kind};
use crate::emit::Label;
use crate::guest::{CpuState, Gpr, rflags, state::nzcv};
use std::mem::offset_of;

/// A call in `CpuState::calls`: the host's number, and what else is to be known. Zero: the engine is to be asked.
pub mod entry {
    /// The host's number.
    pub const NUMBER: u16 = (1 << 9) - 1;
    /// The kernel writes guest memory: not while pages are protected.
    pub const WRITES: u32 = 9;
    /// It changes a file: the engine must know if code comes from one.
    pub const FILES: u32 = 10;
    /// It may wait for something, and EINTR is a result that programs know.
    pub const WAITS: u32 = 11;
    /// It does not wait, writes no memory and takes few arguments: nothing is to be looked at before it or after it.
    pub const AT_ONCE: u32 = 12;
    /// As many as such a call takes at most.
    pub const AT_ONCE_ARGUMENTS: usize = 3;
    /// Of the calls that a stub carries out itself (`emit::own_calls`): rt_sigreturn.
    pub const RETURNS: u32 = 13;
    /// The same: a path stands among its arguments.
    pub const PATH: u32 = 14;
    /// There is one.
    pub const VALID: u32 = 15;
}

/// Offsets in `engine::stop::Seat`.
pub mod seat {
    /// The thread is in translated code.
    pub const RUNNING: usize = 0;
    /// Host addresses are to be forgotten.
    pub const FORGET: usize = 2;
    /// A signal came. Behind [`FORGET`], so that both are one load.
    pub const INTERRUPT: usize = 3;
}

/// Offsets of the places that the signal handler must know of a call that may wait: see `host::sys`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// From here on a signal makes it be given up.
    pub check: u32,
    /// The call.
    pub svc: u32,
    /// Where it is given up before it begins.
    pub abort: u32,
    /// Where it goes on after it was interrupted and would be restarted.
    pub again: u32,
}

/// How many there are: rt_sigreturn's, and that of the stub for calls that wait, behind it.
pub const WINDOWS: usize = 2;

/// Where calls take their number from and leave their result.
pub const RAX: X = gpr(Gpr::Rax as u8);
/// Where SYSCALL leaves the address behind it: the stubs find it there.
pub const RCX: X = gpr(Gpr::Rcx as u8);
/// Where SYSCALL leaves RFLAGS.
pub const R11: X = gpr(Gpr::R11 as u8);
/// A call's arguments.
pub const ARGUMENTS: [X; 6] =
    [gpr(Gpr::Rdi as u8), gpr(Gpr::Rsi as u8), gpr(Gpr::Rdx as u8), gpr(Gpr::R10 as u8), gpr(Gpr::R8 as u8), gpr(Gpr::R9 as u8)];
/// The call's [`entry`], for [`Stub::CallWaiting`] and [`Stub::Call`], which find the arguments in T0 to T5.
pub const ENTRY: X = T[6];

/// `d` = RFLAGS, as [`CpuState::rflags`] has it, from host registers. `inverted`: the carry is canonical. Uses S0 and S1; flags stay.
pub fn read_rflags(a: &mut Asm, d: X, inverted: bool) {
    let (one, two) = (S0, S1);
    a.read_nzcv(one);
    if !inverted {
        a.alu_imm(Alu::Eor, Size::X, one, one, nzcv::C);
    }
    // NZCV, moved to where it is an index of two bytes each.
    const { assert!(offset_of!(CpuState, flags.status) < 8192 && nzcv::V == 1 << 28) };
    a.alu_shift(Alu::Add, Size::X, one, STATE, one, Shift::Lsr, 27);
    a.load(Width::H, d, Mem::Off(one, offset_of!(CpuState, flags.status) as i64), Order::Plain);
    a.add_byte(two, STATE, PFR);
    a.load(Width::B, two, Mem::Off(two, offset_of!(CpuState, flags.parity) as i64), Order::Plain);
    a.alu(Alu::Eor, Size::X, one, PFR, AFX);
    a.alu_imm(Alu::And, Size::X, one, one, rflags::AF);
    a.alu(Alu::Orr, Size::X, d, d, two);
    a.alu(Alu::Orr, Size::X, d, d, one);
    // DF and what POPF may have set.
    const { assert!(offset_of!(CpuState, system_flags) == offset_of!(CpuState, df) + 8) };
    a.ldp(one, two, STATE, offset_of!(CpuState, df) as i32);
    a.alu_shift(Alu::Orr, Size::X, d, d, one, Shift::Lsl, rflags::DF.trailing_zeros());
    a.alu(Alu::Orr, Size::X, d, d, two);
}

const fn field(offset: usize) -> Mem {
    Mem::Off(STATE, offset as i64)
}

/// Leaves for the engine with RIP from RCX: `leave` is where guest registers are saved.
fn leave_behind(a: &mut Asm, exit: u32, leave: Label) {
    read_rflags(a, R11, true);
    leave_at(a, RCX, exit, leave);
}

/// The same with RIP from `rip`.
pub(super) fn leave_at(a: &mut Asm, rip: X, exit: u32, leave: Label) {
    a.store(Width::X, rip, field(offset_of!(CpuState, rip)), Order::Plain);
    a.mov_imm(S0, exit as u64);
    a.store(Width::W, S0, field(offset_of!(CpuState, exit_kind)), Order::Plain);
    a.b(leave);
}

/// Marks this thread as not running, and puts the host's number into place.
pub(super) fn begin(a: &mut Asm, seat: X) {
    // The kernel takes the number from x8.
    const { assert!(RAX.0 == 8 && seat::RUNNING == 0) };
    a.load(Width::X, seat, field(offset_of!(CpuState, seat)), Order::Plain);
    a.alu_imm(Alu::And, Size::X, RAX, ENTRY, entry::NUMBER as u64);
    a.store_release_byte(ZR, seat);
}

/// Running again, unless somebody wants to change code, or has: the store is seen by who asks for it, or the load sees that somebody did (STLR, LDAR).
/// `seen`: zero if there is nothing to be looked at. Uses S0.
pub(super) fn run_again(a: &mut Asm, seat: X, seen: X) {
    a.mov_imm(S0, 1);
    a.store_release_byte(S0, seat);
    a.load(Width::X, seen, field(offset_of!(CpuState, wanted)), Order::Plain);
    a.load_acquire(seen, seen);
    const { assert!(seat::INTERRUPT == seat::FORGET + 1 && seat::FORGET % 2 == 0) };
    a.load(Width::H, S0, Mem::Off(seat, seat::FORGET as i64), Order::Plain);
    a.alu(Alu::Orr, Size::X, seen, seen, S0);
}

/// Assembles the stubs: SYSCALL's next instruction is in RCX, the carry canonical. `direct`: calls that do not wait are made at once
/// (`Opt::DirectCalls`), like those whose number is known when they are translated. `own`: signals are delivered by a stub too (`Opt::OwnCalls`).
pub fn assemble(a: &mut Asm, offsets: &mut [u32], leave: Label, direct: bool, own: bool, stretches: &mut Stretches) -> ([Window; WINDOWS], [Guarded; GUARDED]) {
    let (asked, call, behind, over, at_once) = (a.label(), a.label(), a.label(), a.label(), a.label());
    // The guest's number, and this thread's seat, while the host's call is under way: the kernel keeps all registers but x0.
    let (number, seat) = (T[7], S1);
    // What was seen after it.
    let seen = T[1];

    // In front of those that signals come behind most: see `host::sys`, which looks for windows.
    let ([back, stat], return_window) = super::own_calls::assemble(a, offsets, asked, leave, stretches);

    // By the guest's number.
    offsets[Stub::CallAny as usize] = a.offset();
    a.shift_imm(Shift::Lsr, Size::X, ENTRY, RAX, 9);
    a.cbnz(Size::X, ENTRY, asked);
    a.load(Width::X, T[0], field(offset_of!(CpuState, calls)), Order::Plain);
    a.load(Width::H, ENTRY, Mem::Idx(T[0], RAX, 1), Order::Plain);
    a.tbz(ENTRY, entry::VALID, asked);
    if direct {
        a.tbnz(ENTRY, entry::AT_ONCE, at_once);
    }
    let writes_nothing = a.label();
    a.tbz(ENTRY, entry::WRITES, writes_nothing);
    a.load(Width::X, T[0], field(offset_of!(CpuState, careful)), Order::Plain);
    a.load(Width::W, T[0], Mem::Off(T[0], 0), Order::Plain);
    a.cbnz(Size::W, T[0], asked);
    a.bind(writes_nothing);
    for (t, argument) in T.into_iter().zip(ARGUMENTS) {
        a.mov(Size::X, t, argument);
    }
    a.tbz(ENTRY, entry::WAITS, call);

    let mut window = Window::default();
    offsets[Stub::CallWaiting as usize] = a.offset();
    let abort = a.label();
    a.mov(Size::X, number, RAX);
    begin(a, seat);
    window.check = a.offset();
    a.load(Width::B, S0, Mem::Off(seat, seat::INTERRUPT as i64), Order::Plain);
    a.cbnz(Size::W, S0, abort);
    window.svc = a.offset();
    a.svc();
    a.bind(behind);
    run_again(a, seat, seen);
    let no_file = a.label();
    a.tbz(ENTRY, entry::FILES, no_file);
    a.load(Width::X, S0, field(offset_of!(CpuState, careful)), Order::Plain);
    a.load(Width::W, S0, Mem::Off(S0, 0), Order::Plain);
    a.alu(Alu::Orr, Size::X, seen, seen, S0);
    a.bind(no_file);
    a.mov(Size::X, RAX, T[0]);
    a.cbnz(Size::X, seen, over);
    read_rflags(a, R11, true);
    a.ret(LINK);

    a.bind(call);
    offsets[Stub::Call as usize] = a.offset();
    a.mov(Size::X, number, RAX);
    begin(a, seat);
    a.svc();
    a.b(behind);

    if direct {
        a.bind(at_once);
        for (t, argument) in T.into_iter().zip(ARGUMENTS).take(entry::AT_ONCE_ARGUMENTS) {
            a.mov(Size::X, t, argument);
        }
        a.alu_imm(Alu::And, Size::X, RAX, ENTRY, entry::NUMBER as u64);
        a.svc();
        a.mov(Size::X, RAX, T[0]);
        read_rflags(a, R11, true);
        a.ret(LINK);
    }

    let made = a.offset();
    stretches.push((offsets[Stub::CallAny as usize]..made, Stretch::Returns));

    // Made, and the engine is to see what there is to do now.
    a.bind(over);
    a.store(Width::X, number, field(offset_of!(CpuState, scratch)), Order::Plain);
    read_rflags(a, R11, true);
    let (deliver, engine) = (a.label(), a.label());
    if own {
        // Nothing but a signal?
        a.alu_imm(Alu::Eor, Size::X, S0, seen, 1 << (8 * (seat::INTERRUPT - seat::FORGET)));
        a.cbz(Size::X, S0, deliver);
    }
    a.bind(engine);
    leave_at(a, RCX, kind::CALLED, leave);

    window.again = a.offset();
    a.mov_imm(T[0], -(INTERRUPTED as i64) as u64);
    a.b(behind);
    window.abort = a.offset();
    a.bind(abort);
    a.mov(Size::X, RAX, number);
    a.bind(asked);
    offsets[Stub::Syscall as usize] = a.offset();
    leave_behind(a, kind::SYSCALL, leave);
    stretches.push((made..a.offset(), Stretch::Looks));
    a.bind(deliver);
    let delivery = super::delivery::assemble(a, engine, leave, stretches);
    ([return_window, window], [back, stat, delivery])
}

/// `host::sys::RESTART`.
pub const INTERRUPTED: i32 = 512;
