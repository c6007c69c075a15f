//! The hand-written code that every arena starts with: entering and leaving translated code, calling helpers.
//!
//! Reached through `CpuState::stub`, so that translated code holds no host address.

use super::asm::{Asm, Size};
use super::calls::seat;
use super::memory::{Mem, Order, Width};
use super::own_calls::{GUARDED, Guarded};
use super::regs::*;
use super::simd::{Fp, ops};
use super::tables::{Inline, find_for_plain, look_up_inline, look_up_second};
use crate::guest::CpuState;
use std::mem::offset_of;
use std::ops::Range;

/// Stubs that translated code reaches through the state. The number is the index in `CpuState::stub`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Stub {
    /// From a direct exit that is not linked; LINK names it.
    Link,
    /// From an indirect jump or call whose target (T0) is not at its place (T1) in the inline table (`emit::tables`); LINK names the exit.
    Indirect,
    /// From an indirect jump whose target (T0) is not in the plain table; LINK names the exit.
    Plain,
    /// The same from a call.
    PlainCall,
    /// From a return that the shadow stack did not predict; target in T0, LINK names the exit.
    Return,
    /// SYSCALL, for the engine; the address behind it is in RCX: see `emit::calls` for all that concerns it.
    Syscall,
    /// Exception; its code in T0, LINK names the exit.
    Exception,
    /// Calls helper number S1 with arguments T1..T3 and the state saved; result in T0.
    Helper,
    /// Where the host's signal handler resumes after a fault in translated code (the handler set the exit).
    Fault,
    /// v0 (a result) with x86's NaN for the operands v1 and v2: singles, scalar. Uses v3-v5 and S0, returns to LINK.
    NanS,
    /// The same for a double.
    NanD,
    /// The same for four singles.
    NanS4,
    /// The same for two doubles.
    NanD2,
    /// From a group in which a NaN was seen; LINK names the exit.
    Nan,
    /// Makes the system call that RAX names, if it may be made here; returns to LINK.
    CallAny,
    /// Makes a system call that may wait for something; arguments in T0 to T5.
    CallWaiting,
    /// The same for one that never fails with EINTR.
    Call,
    /// Carries out a system call that is not the host's alone: `emit::own_calls`.
    OwnCall,
    /// Where a function that returns by LINK returns to when a signal has found it: the guest's return address lies below RSP.
    LeafReturn,
}

/// How many there are.
pub const COUNT: usize = Stub::LeafReturn as usize + 1;
const _: () = assert!(COUNT <= crate::guest::state::STUB_COUNT);

/// Why translated code left, in `CpuState::exit_kind`.
pub mod kind {
    /// Nothing: translated code is running.
    pub const NONE: u32 = 0;
    /// Direct exit to be linked.
    pub const LINK: u32 = 1;
    /// Indirect jump; target in `scratch[0]`.
    pub const INDIRECT: u32 = 2;
    /// Return that was not predicted; target in `scratch[0]`.
    pub const RETURN: u32 = 3;
    /// SYSCALL; RIP is behind it.
    pub const SYSCALL: u32 = 4;
    /// Exception; code in `scratch[0]`.
    pub const EXCEPTION: u32 = 5;
    /// Host fault; set by the signal handler: host pc in `exit_arg`, `scratch` = signal, code, address, write.
    pub const FAULT: u32 = 6;
    /// The poll page was hit; host pc in `exit_arg`.
    pub const POLL: u32 = 7;
    /// A group in which a NaN was seen.
    pub const NAN: u32 = 8;
    /// SYSCALL was carried out; its number in `scratch[0]`, its result in RAX, RIP is behind it.
    pub const CALLED: u32 = 9;
    /// It goes on elsewhere: RIP says where.
    pub const MOVED: u32 = 10;
}

/// Assembled stubs and where each begins.
pub struct Stubs {
    /// The code.
    pub code: Vec<u8>,
    /// Offset of `extern "C" fn(state: *mut CpuState, host_pc: u64, look: u64)`: runs translated code until it leaves; with `look` not zero it does not where
    /// a signal waits.
    pub enter: u32,
    /// Offsets by [`Stub`].
    pub offsets: [u32; COUNT],
    /// Where a signal must be looked for in a call.
    pub windows: [super::calls::Window; super::calls::WINDOWS],
    /// Where stubs access guest memory.
    pub guarded: [Guarded; GUARDED],
    /// What a signal that finds a thread in them has to do, by their offsets; where nothing is said nothing is known.
    pub stretches: Stretches,
}

/// By offsets of the stubs' code.
pub type Stretches = Vec<(Range<u32>, Stretch)>;

/// A stretch of the stubs' code, for a signal that is to stop the thread that it finds there (`engine::halt`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stretch {
    /// It leaves translated code, or will look for signals.
    Looks,
    /// It may go on to code that LINK does not name: it is to begin again here (an offset; in the arena an address), and will find that it must leave.
    Again(u64),
    /// It returns to LINK.
    Returns,
    /// The stub of helpers: it returns to what `CpuState::exit_arg` names once its first instruction is over.
    Helper,
}

const fn field(offset: usize) -> Mem {
    Mem::Off(STATE, offset as i64)
}

/// From the state to the word that code loads to look for signals: behind the state, because a table lies before it.
pub const POLL_OFFSET: i64 = 8192;
const _: () = assert!(std::mem::size_of::<CpuState>() <= POLL_OFFSET as usize);
/// That instruction, LDR WZR, [STATE, #8192]: a thread that is to stop stops where it stands.
pub const POLL_WORD: u32 = 0xb940_0000 | (POLL_OFFSET as u32 / 4) << 10 | (STATE.0 as u32) << 5 | 31;

fn save_guest(a: &mut Asm) {
    let gpr_at = offset_of!(CpuState, gpr) as i32;
    for n in (0..16).step_by(2) {
        a.stp(gpr(n), gpr(n + 1), STATE, gpr_at + 8 * n as i32);
    }
    a.read_nzcv(S0);
    a.store(Width::X, S0, field(offset_of!(CpuState, nzcv)), Order::Plain);
    a.stp(PFR, AFX, STATE, offset_of!(CpuState, pf_result) as i32);
    a.store(Width::X, SHADOW, field(offset_of!(CpuState, shadow_sp)), Order::Plain);
    a.alu_imm(super::Alu::Add, Size::X, S0, STATE, offset_of!(CpuState, xmm) as u64);
    for n in (0..16).step_by(2) {
        a.stp_q(xmm(n), xmm(n + 1), S0, 16 * n as i32);
    }
}

fn load_guest(a: &mut Asm) {
    a.alu_imm(super::Alu::Add, Size::X, S0, STATE, offset_of!(CpuState, xmm) as u64);
    for n in (0..16).step_by(2) {
        a.ldp_q(xmm(n), xmm(n + 1), S0, 16 * n as i32);
    }
    let gpr_at = offset_of!(CpuState, gpr) as i32;
    a.load(Width::X, S0, field(offset_of!(CpuState, nzcv)), Order::Plain);
    a.write_nzcv(S0);
    a.ldp(PFR, AFX, STATE, offset_of!(CpuState, pf_result) as i32);
    a.load(Width::X, SHADOW, field(offset_of!(CpuState, shadow_sp)), Order::Plain);
    for n in (0..16).step_by(2) {
        a.ldp(gpr(n), gpr(n + 1), STATE, gpr_at + 8 * n as i32);
    }
}

/// `mov x16/sp` forms, which `Asm::mov` (ORR) can not do.
fn mov_from_sp(a: &mut Asm, d: X) {
    a.word(0x9100_03e0 | d.0 as u32);
}
fn mov_to_sp(a: &mut Asm, n: X) {
    a.word(0x9100_001f | (n.0 as u32) << 5);
}

/// Swaps FPCR: to the guest's on entry, to the host's on leaving; nothing to do while they are equal, which is nearly always.
fn switch_fpcr(a: &mut Asm, to_guest: bool) {
    let same = a.label();
    let (guest, host) = (S0, S1);
    a.load(Width::X, guest, field(offset_of!(CpuState, guest_fpcr)), Order::Plain);
    if to_guest {
        a.read_fpcr(host);
        a.store(Width::X, host, field(offset_of!(CpuState, host_fpcr)), Order::Plain);
    } else {
        a.load(Width::X, host, field(offset_of!(CpuState, host_fpcr)), Order::Plain);
    }
    // No flags may change: the guest's are live on entry.
    a.alu(super::Alu::Eor, Size::X, T[7], guest, host);
    a.cbz(Size::X, T[7], same);
    a.write_fpcr(if to_guest { guest } else { host });
    a.bind(same);
}

/// Lanes of v0 that are NaN: v1 if it is NaN, else v2 if it is, else the negative default; quieted (Intel SDM vol. 1, table 4-7).
fn choose_nan(a: &mut Asm, fp: Fp) {
    let (r, x, y, t, u, default) = (V(0), V(1), V(2), V(3), V(4), V(5));
    let (negative, quiet) = if fp.double() { (0xfff8 << 48, 8 << 48) } else { (0xffc0_0000, 0x40_0000) };
    a.mov_imm(S0, negative);
    a.dup_x(fp.arr(), default, S0);
    a.f3(ops::FCMEQ, fp, t, y, y);
    a.vlogic(ops::BSL, t, default, y);
    a.f3(ops::FCMEQ, fp, u, x, x);
    a.vlogic(ops::BSL, u, t, x);
    a.mov_imm(S0, quiet);
    a.dup_x(fp.arr(), default, S0);
    a.vlogic(ops::ORR, u, u, default);
    a.f3(ops::FCMEQ, fp, t, r, r);
    a.vlogic(ops::BIF, r, u, t);
    a.ret(LINK);
}

/// T1 where a return or an indirect jump arrives by a table or by the shadow stack: zero says that the host's carry is CF itself, anything else that it is
/// canonical. Who does not read CF does not look.
pub const CARRY_MARK: X = T[1];

/// A return that the shadow stack did not predict (a longjmp, a switched stack): the target in T0 by the inline table, and if it is not there by
/// the second one. Falls through where neither has it.
fn look_up_return(a: &mut Asm) {
    let (miss, found, full) = (a.label(), a.label(), a.label());
    let missed = a.label();
    look_up_inline(a, Inline::Exact, T[0], T[2], miss);
    a.bind(found);
    // An empty shadow stack stays empty.
    a.load(Width::X, T[4], field(offset_of!(CpuState, shadow_top)), Order::Plain);
    a.alu(super::Alu::Sub, Size::X, T[5], T[4], SHADOW);
    a.tbz(T[5], 63, full);
    a.mov(Size::X, SHADOW, T[4]);
    a.bind(full);
    a.br(T[3]);
    a.bind(miss);
    look_up_second(a, false, missed);
    a.b(found);
    a.bind(missed);
}

/// Goes to the target in T0 by either table, or leaves for it where neither has it or a signal has come. Flags stay, and the carry is canonical. `begin`: of the
/// code that ends here, all of which comes here or leaves.
pub(super) fn go_to(a: &mut Asm, leave: super::Label, begin: u32, stretches: &mut Stretches) {
    let (miss, missed) = (a.label(), a.label());
    let looks = a.offset();
    a.load(Width::X, T[2], field(offset_of!(CpuState, seat)), Order::Plain);
    a.load(Width::B, T[2], Mem::Off(T[2], seat::INTERRUPT as i64), Order::Plain);
    a.cbnz(Size::W, T[2], missed);
    look_up_inline(a, Inline::Exact, T[0], T[2], miss);
    a.br(T[3]);
    a.bind(miss);
    look_up_second(a, false, missed);
    a.br(T[3]);
    a.bind(missed);
    super::calls::leave_at(a, T[0], kind::MOVED, leave);
    stretches.push((begin..looks, Stretch::Looks));
    stretches.push((looks..a.offset(), Stretch::Again(looks.into())));
}

/// Assembles all stubs. `direct_calls` and `own_calls`: see `calls::assemble`.
pub fn assemble(features: super::Features, direct_calls: bool, own_calls: bool) -> Stubs {
    let mut asm = Asm::new(features);
    let a = &mut asm;
    let mut offsets = [0; COUNT];

    // enter(x0 = state, x1 = host pc, x2 = whether to look for signals): host callee-saved registers and the return address go to the host stack.
    let enter = a.offset();
    a.stp_pre(X(29), X(30), ZR, -176);
    for (i, n) in (19..29).step_by(2).enumerate() {
        a.stp(X(n), X(n + 1), ZR, 16 + 16 * i as i32);
    }
    for (i, n) in (8..16).step_by(2).enumerate() {
        // stp d8, d9, [sp, #..]
        a.word(0x6d00_0000 | (((96 + 16 * i) / 8) as u32) << 15 | ((n + 1) as u32) << 10 | 31 << 5 | n as u32);
    }
    a.mov(Size::X, STATE, X(0));
    mov_from_sp(a, S0);
    a.store(Width::X, S0, field(offset_of!(CpuState, host_sp)), Order::Plain);
    a.store(Width::W, ZR, field(offset_of!(CpuState, exit_kind)), Order::Plain);
    a.mov(Size::X, T[0], X(1));
    switch_fpcr(a, true);
    load_guest(a);
    let (leave, leave_saved) = (a.label(), a.label());
    let looks = a.offset();
    let go = a.label();
    // A signal that came on the way here. T1, which is not zero, says that the carry is canonical.
    a.cbz(Size::X, T[2], go);
    a.load(Width::X, T[3], field(offset_of!(CpuState, seat)), Order::Plain);
    a.load(Width::B, T[3], Mem::Off(T[3], seat::INTERRUPT as i64), Order::Plain);
    a.cbz(Size::W, T[3], go);
    a.mov_imm(S0, kind::MOVED as u64);
    a.store(Width::W, S0, field(offset_of!(CpuState, exit_kind)), Order::Plain);
    a.b(leave);
    a.bind(go);
    a.br(T[0]);
    let mut stretches = vec![(enter..looks, Stretch::Looks), (looks..a.offset(), Stretch::Again(looks.into()))];

    // Leaving: exit_kind and exit_arg are set, guest registers still in host registers.
    a.bind(leave);
    save_guest(a);
    a.bind(leave_saved);
    switch_fpcr(a, false);
    a.load(Width::X, S0, field(offset_of!(CpuState, host_sp)), Order::Plain);
    mov_to_sp(a, S0);
    for (i, n) in (8..16).step_by(2).enumerate() {
        a.word(0x6d40_0000 | (((96 + 16 * i) / 8) as u32) << 15 | ((n + 1) as u32) << 10 | 31 << 5 | n as u32);
    }
    for (i, n) in (19..29).step_by(2).enumerate() {
        a.ldp(X(n), X(n + 1), ZR, 16 + 16 * i as i32);
    }
    a.ldp_post(X(29), X(30), ZR, 176);
    a.ret(X(30));

    for (stub, exit, argument) in [
        (Stub::Link, kind::LINK, false),
        (Stub::Indirect, kind::INDIRECT, true),
        (Stub::Plain, kind::INDIRECT, true),
        (Stub::PlainCall, kind::INDIRECT, true),
        (Stub::Return, kind::RETURN, true),
        (Stub::Exception, kind::EXCEPTION, true),
    ] {
        offsets[stub as usize] = a.offset();
        match stub {
            Stub::Return => look_up_return(a),
            Stub::Indirect => {
                let missed = a.label();
                look_up_second(a, true, missed);
                a.br(T[3]);
                a.bind(missed);
            }
            Stub::Plain | Stub::PlainCall => {
                let missed = a.label();
                find_for_plain(a, stub == Stub::PlainCall, missed);
                a.br(T[5]);
                a.bind(missed);
            }
            _ => {}
        }
        if argument {
            a.store(Width::X, T[0], field(offset_of!(CpuState, scratch)), Order::Plain);
        }
        a.mov_imm(S0, exit as u64);
        a.store(Width::W, S0, field(offset_of!(CpuState, exit_kind)), Order::Plain);
        a.store(Width::X, LINK, field(offset_of!(CpuState, exit_arg)), Order::Plain);
        a.b(leave);
        let begin = offsets[stub as usize];
        stretches.push((begin..a.offset(), if matches!(stub, Stub::Return | Stub::Indirect | Stub::Plain | Stub::PlainCall) { Stretch::Again(begin.into()) } else { Stretch::Looks }));
    }
    let leaf = a.offset();
    offsets[Stub::LeafReturn as usize] = leaf;
    let settled = a.label();
    a.load(Width::X, T[0], Mem::Off(gpr(4), -8), Order::Plain);
    a.cbnz(Size::X, CARRY_MARK, settled);
    a.invert_carry(S1);
    a.bind(settled);
    go_to(a, leave, leaf, &mut stretches);
    let (windows, guarded) = super::calls::assemble(a, &mut offsets, leave, direct_calls, own_calls, &mut stretches);
    offsets[Stub::Nan as usize] = a.offset();
    a.mov_imm(S0, kind::NAN as u64);
    a.store(Width::W, S0, field(offset_of!(CpuState, exit_kind)), Order::Plain);
    a.store(Width::X, LINK, field(offset_of!(CpuState, exit_arg)), Order::Plain);
    offsets[Stub::Fault as usize] = a.offset();
    a.alu_imm(super::Alu::Add, Size::X, S0, STATE, offset_of!(CpuState, kept_low) as u64);
    a.stp_q(V(4), V(5), S0, 0);
    a.stp_q(V(6), V(7), S0, 32);
    a.alu_imm(super::Alu::Add, Size::X, S0, STATE, offset_of!(CpuState, held) as u64);
    for n in (0..8).step_by(2) {
        a.stp_q(V(8 + n), V(9 + n), S0, 16 * n as i32);
    }
    a.b(leave);

    stretches.push((offsets[Stub::Nan as usize]..a.offset(), Stretch::Looks));

    // Helper call: exact state in memory (RIP by exit_arg), everything reloaded after. A helper that raised an exception leaves.
    offsets[Stub::Helper as usize] = a.offset();
    a.store(Width::X, LINK, field(offset_of!(CpuState, exit_arg)), Order::Plain);
    a.load(Width::X, T[4], field(offset_of!(CpuState, helpers)), Order::Plain);
    a.load(Width::X, T[4], Mem::Idx(T[4], S1, 3), Order::Plain);
    save_guest(a);
    a.mov(Size::X, X(0), STATE);
    a.blr(T[4]);
    a.load(Width::W, T[7], field(offset_of!(CpuState, exit_kind)), Order::Plain);
    a.cbnz(Size::W, T[7], leave_saved);
    a.load(Width::X, LINK, field(offset_of!(CpuState, exit_arg)), Order::Plain);
    load_guest(a);
    a.ret(LINK);
    let helper = offsets[Stub::Helper as usize];
    stretches.push((helper..helper + 4, Stretch::Returns));
    stretches.push((helper + 4..a.offset(), Stretch::Helper));
    let nans = a.offset();

    for (stub, fp) in [(Stub::NanS, Fp::S), (Stub::NanD, Fp::D), (Stub::NanS4, Fp::S4), (Stub::NanD2, Fp::D2)] {
        offsets[stub as usize] = a.offset();
        choose_nan(a, fp);
    }
    stretches.push((nans..a.offset(), Stretch::Returns));

    let finished = asm.finish();
    Stubs { code: finished.bytes, enter, offsets, windows, guarded, stretches }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever a signal finds a thread in the stubs it is known where that goes: but in the one piece that leaves, which has said so before.
    #[test]
    fn every_instruction_of_the_stubs_is_in_one_stretch() {
        for (direct, own) in [(true, true), (true, false), (false, true), (false, false)] {
            let stubs = assemble(Default::default(), direct, own);
            let holding = |at: u32| stubs.stretches.iter().filter(|(range, _)| range.contains(&at)).count();
            let unknown: Vec<u32> = (0..stubs.offsets[Stub::Helper as usize]).step_by(4).filter(|at| holding(*at) != 1).collect();
            assert!(unknown.iter().all(|at| holding(*at) == 0));
            let leaving = unknown[0]..stubs.offsets[Stub::Link as usize];
            assert_eq!(unknown, leaving.step_by(4).collect::<Vec<_>>());
            // Behind the last stub's code lie its constants only.
            assert!(stubs.stretches.iter().any(|(range, _)| range.end > stubs.offsets[Stub::NanD2 as usize]));
        }
    }
}
