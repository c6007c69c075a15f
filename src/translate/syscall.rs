//! SYSCALL. What the kernel answers at once, and what means the same on the host, is called in place. What may wait is called by a stub that says so
//! (`emit::calls`). All else leaves translated code for the engine.

use super::Carry;
use super::context::Ctx;
use crate::decode::{Insn, Mnemonic, Op, STATUS};
use crate::emit::calls::{ARGUMENTS, ENTRY, R11, RAX, RCX, entry, read_rflags};
use crate::emit::regs::*;
use crate::emit::stubs::Stub;
use crate::emit::{Alu, Label, Mem, Order, Size, Width};
use crate::guest::{CpuState, Gpr};
use crate::optimize::Opt;
use std::mem::offset_of;

/// How many numbers [`HostCalls`] has: more than there are calls.
pub const CALLS: usize = 512;

/// How a call is made from translated code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// In place. It does not wait, and if it fails with EFAULT it has changed nothing: our write protection may be the reason, and then it is made again
    /// from outside.
    AtOnce,
    /// In place, while the process has one thread: it may wait for what another thread does (a file's position is locked while one reads), and nobody could
    /// stop it there. Otherwise as [`Way::Uninterrupted`]. It takes no address.
    Alone,
    /// By the stub.
    Uninterrupted,
    /// By the stub for calls for which EINTR is a result that programs know.
    Waiting,
    /// fstat's, by a stub that knows struct stat (`emit::own_calls`); the same where a path is the second argument.
    Stat,
    /// See there.
    StatAt,
    /// rt_sigreturn, by a stub that knows the frame; the host's call sets the mask.
    SignalReturn,
}

impl Way {
    /// Is it known only where the number is known when the call is translated?
    const fn is_own(self) -> bool {
        matches!(self, Way::Stat | Way::StatAt | Way::SignalReturn)
    }
}

/// A call that translated code may make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostCall {
    /// The host's number.
    pub host: u16,
    /// How many arguments it takes.
    pub arguments: u8,
    /// The kernel writes guest memory by it.
    pub writes: bool,
    /// It changes a file's contents.
    pub file: bool,
    /// How it is made.
    pub way: Way,
}

impl HostCall {
    /// As the stubs want it: see [`entry`].
    pub const fn packed(self) -> u16 {
        assert!(self.host <= entry::NUMBER && self.arguments <= 6);
        self.host
            | (self.writes as u16) << entry::WRITES
            | (self.file as u16) << entry::FILES
            | (matches!(self.way, Way::Waiting) as u16) << entry::WAITS
            | ((matches!(self.way, Way::AtOnce) && !self.writes && !self.file) as u16) << entry::AT_ONCE
            | (matches!(self.way, Way::SignalReturn) as u16) << entry::RETURNS
            | (matches!(self.way, Way::StatAt) as u16) << entry::PATH
            | 1 << entry::VALID
    }
}

/// Calls by the guest's number.
#[derive(Debug)]
pub struct HostCalls {
    calls: [Option<HostCall>; CALLS],
    /// [`HostCall::packed`].
    pub packed: [u16; CALLS],
}

/// All calls leave translated code.
pub static NO_CALLS: HostCalls = HostCalls::NONE;

impl HostCalls {
    /// None.
    pub const NONE: HostCalls = HostCalls { calls: [None; CALLS], packed: [0; CALLS] };

    /// The same with one more.
    pub const fn with(mut self, number: u16, call: HostCall) -> HostCalls {
        assert!(!matches!(call.way, Way::AtOnce | Way::Alone) || call.arguments as usize <= entry::AT_ONCE_ARGUMENTS);
        self.calls[number as usize] = Some(call);
        self.packed[number as usize] = if call.way.is_own() { 0 } else { call.packed() };
        self
    }
}

pub(super) fn syscall(c: &mut Ctx, insn: &Insn) {
    let next = insn.next().0;
    c.store_uppers();
    let number = known_number(c);
    let call = number.and_then(|n| *c.options.calls.calls.get(n as usize)?);
    let by_stub = c.options.switches.on(Opt::CallStubs);
    let in_place = |call: &HostCall| match call.way {
        Way::AtOnce => c.options.switches.on(Opt::DirectCalls),
        Way::Alone => c.options.switches.on(Opt::DirectCalls) && !c.options.ordered,
        _ => false,
    };
    if let (Some(number), Some(call)) = (number, call.filter(in_place)) {
        return in_translated_code(c, number, call, next);
    }
    c.canonical_carry(STATUS);
    c.a.guest_address(RCX, next);
    match (number, call) {
        (Some(_), Some(call)) if call.way.is_own() && c.options.switches.on(Opt::OwnCalls) => {
            c.a.mov_imm(ENTRY, call.packed() as u64);
            c.call_stub(Stub::OwnCall);
        }
        (Some(_), Some(call)) if by_stub && !call.way.is_own() => {
            if call.writes {
                let engine = c.cold(|c| c.call_stub(Stub::Syscall));
                c.load_field(ENTRY, offset_of!(CpuState, careful));
                c.a.load(Width::W, ENTRY, Mem::Off(ENTRY, 0), Order::Plain);
                c.a.cbnz(Size::W, ENTRY, engine);
            }
            c.a.mov_imm(ENTRY, call.packed() as u64);
            arguments(c, call);
            c.call_stub(if call.way == Way::Waiting { Stub::CallWaiting } else { Stub::Call });
        }
        (None, _) if by_stub => c.call_stub(Stub::CallAny),
        _ => c.call_stub(Stub::Syscall),
    }
}

/// RAX, where it is known: libraries load it right before.
fn known_number(c: &Ctx) -> Option<u64> {
    let block = &c.region.blocks[c.block];
    if c.index == block.first {
        return None;
    }
    let before = &c.region.insns[c.index - 1];
    let rax = |op: Op| matches!(op, Op::Gpr { n, bytes: 4 | 8, .. } if n == Gpr::Rax as u8);
    match (before.raw.mnemonic(), before.op(0), before.op(1)) {
        (Mnemonic::Mov, to, Op::Imm(number)) if rax(to) => Some(number),
        (Mnemonic::Xor, a, b) if rax(a) && a == b => Some(0),
        _ => None,
    }
}

fn arguments(c: &mut Ctx, call: HostCall) {
    for (n, argument) in ARGUMENTS.into_iter().enumerate().take(call.arguments as usize) {
        c.a.mov(Size::X, T[n], argument);
    }
}

/// Makes the call here. On EFAULT (a bad pointer, or a page that we protect) the engine makes it again, with all registers but RAX as before.
fn in_translated_code(c: &mut Ctx, number: u64, call: HostCall, next: u64) {
    let again: Option<Label> = call.writes.then(|| {
        c.cold(move |c| {
            c.a.mov_imm(RAX, number);
            c.canonical_carry(STATUS);
            c.a.guest_address(RCX, next);
            c.call_stub(Stub::Syscall);
        })
    });
    arguments(c, call);
    // The kernel takes the number from x8 and keeps all registers but x0.
    const { assert!(RAX.0 == 8) };
    c.a.mov_imm(RAX, call.host as u64);
    c.a.svc();
    if let Some(again) = again {
        c.a.alu_imm(Alu::Add, Size::X, T[1], T[0], libc::EFAULT as u64);
        c.a.cbz(Size::X, T[1], again);
    }
    c.a.mov(Size::X, RAX, T[0]);
    read_rflags(&mut c.a, R11, c.carry == Carry::Inverted);
    c.a.guest_address(RCX, next);
}
