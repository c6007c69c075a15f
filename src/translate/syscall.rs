//! SYSCALL. Most calls leave translated code for the engine. Those that the kernel answers at once, and that mean the same on the host, are made
//! in place: leaving and coming back costs some 450 instructions.

use super::ExitKind;
use super::context::Ctx;
use crate::decode::{Insn, Mnemonic, Op, STATUS};
use crate::emit::regs::*;
use crate::emit::stubs::Stub;
use crate::emit::{Alu, Shift, Size};
use crate::guest::{CpuState, Gpr, rflags, state::nzcv};
use crate::optimize::Opt;
use std::mem::offset_of;

/// How many numbers a [`DirectCalls`] has: more than there are calls.
pub const CALLS: usize = 512;

/// A call that may be made in translated code. It does not block, and if it fails with EFAULT it has changed nothing: our write protection may be
/// the reason, and then it is made again from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectCall {
    /// The host's number.
    pub host: u16,
    /// How many arguments it takes, at most three.
    pub arguments: u8,
}

/// By the guest's number.
pub type DirectCalls = [Option<DirectCall>; CALLS];

/// None: all calls leave translated code.
pub static NO_DIRECT_CALLS: DirectCalls = [None; CALLS];

const RAX: X = gpr(Gpr::Rax as u8);
const RCX: X = gpr(Gpr::Rcx as u8);
const R11: X = gpr(Gpr::R11 as u8);
const ARGUMENTS: [X; 3] = [gpr(Gpr::Rdi as u8), gpr(Gpr::Rsi as u8), gpr(Gpr::Rdx as u8)];

pub(super) fn syscall(c: &mut Ctx, insn: &Insn) {
    c.canonical_carry(STATUS);
    c.store_uppers();
    let next = insn.next();
    let leave = move |c: &mut Ctx| {
        c.call_stub(Stub::Syscall);
        c.exit_site(next, ExitKind::Syscall(next));
    };
    match known_call(c) {
        Some((number, call)) => {
            let again = c.cold(move |c| {
                c.a.mov_imm(RAX, number);
                leave(c);
            });
            direct(c, call, again);
            c.a.guest_address(RCX, next.0);
        }
        None => leave(c),
    }
}

/// The call that is made here, if it may be made here: libraries load the number right before.
fn known_call(c: &Ctx) -> Option<(u64, DirectCall)> {
    let block = c.region.blocks.iter().find(|b| (b.first..b.first + b.count).contains(&c.index))?;
    if !c.options.switches.on(Opt::DirectCalls) || c.index == block.first {
        return None;
    }
    let before = &c.region.insns[c.index - 1];
    match (before.raw.mnemonic(), before.op(0), before.op(1)) {
        (Mnemonic::Mov, Op::Gpr { n, bytes: 4 | 8, .. }, Op::Imm(number)) if n == Gpr::Rax as u8 => {
            Some((number, (*c.options.direct_calls.get(number as usize)?)?))
        }
        _ => None,
    }
}

/// Makes the call; on EFAULT (a bad pointer, or a page that we protect) goes to `again` with all registers but RAX as before.
fn direct(c: &mut Ctx, call: DirectCall, again: crate::emit::Label) {
    for (n, argument) in ARGUMENTS.into_iter().enumerate().take(call.arguments as usize) {
        c.a.mov(Size::X, T[n], argument);
    }
    // The kernel takes the number from x8 and keeps all registers but x0.
    const { assert!(RAX.0 == 8) };
    c.a.mov_imm(RAX, call.host as u64);
    c.a.svc();
    if call.arguments > 0 {
        c.a.alu_imm(Alu::Add, Size::X, T[1], T[0], libc::EFAULT as u64);
        c.a.cbz(Size::X, T[1], again);
    }
    c.a.mov(Size::X, RAX, T[0]);
    read_rflags(c, R11);
}

/// `d` = RFLAGS, as [`CpuState::rflags`] has it, from host registers; the carry is canonical. Uses T0-T2.
fn read_rflags(c: &mut Ctx, d: X) {
    let (flags, one, two) = (T[0], T[1], T[2]);
    let a = &mut c.a;
    a.read_nzcv(flags);
    // N and Z come to lie where SF and ZF are; the two bits below them become 0 and AF.
    a.shift_imm(Shift::Lsr, Size::X, d, flags, 24);
    a.alu(Alu::Eor, Size::X, one, PFR, AFX);
    a.ubfx(Size::X, one, one, 4, 1);
    a.bfi(Size::X, d, one, 4, 2);
    a.ubfx(Size::X, one, flags, 28, 1);
    a.bfi(Size::X, d, one, 11, 1);
    a.alu_imm(Alu::Eor, Size::X, flags, flags, nzcv::C);
    a.bfxil(Size::X, d, flags, 29, 1);
    // PF, by a table of four bits' parity in one register.
    a.alu_shift(Alu::Eor, Size::X, two, PFR, PFR, Shift::Lsr, 4);
    a.alu_imm(Alu::And, Size::X, two, two, 15);
    a.mov_imm(one, EVEN_NIBBLES);
    a.shift_reg(Shift::Lsr, Size::X, one, one, two);
    a.bfi(Size::X, d, one, 2, 1);
    // DF and what POPF may have set, beside IF and the bit that is always set.
    const { assert!(offset_of!(CpuState, system_flags) == offset_of!(CpuState, df) + 8) };
    a.ldp(one, two, STATE, offset_of!(CpuState, df) as i32);
    a.alu_shift(Alu::Orr, Size::X, d, d, one, Shift::Lsl, rflags::DF.trailing_zeros());
    a.alu(Alu::Orr, Size::X, d, d, two);
    a.mov_imm(one, rflags::IF | rflags::RESERVED_ONE);
    a.alu(Alu::Orr, Size::X, d, d, one);
}

/// Bit n is set if n has an even number of bits.
const EVEN_NIBBLES: u64 = 0x9669;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_nibbles() {
        for n in 0..16u64 {
            assert_eq!(EVEN_NIBBLES >> n & 1 == 1, n.count_ones() % 2 == 0);
        }
    }
}
