//! Jumps, calls, returns, and the instructions that leave translated code.

use super::context::{Carry, Ctx, exception};
use super::late_jumps::LateJump;
use super::leaf::Leaf;
use super::flags::{Test, condition};
use super::{ExitKind, Row};
use crate::decode::{AF, CF, Flow, Insn, Mnemonic, NO_FLAGS, OF, Op, PF, SF, STATUS};
use crate::emit::regs::*;
use crate::emit::stubs::{CARRY_MARK, Stub};
use crate::emit::tables::{Inline, NEIGHBOUR, inline_place, look_up_call, look_up_inline, look_up_inline_call, look_up_plain};
use crate::emit::{Alu, Label, Size};
use crate::guest::Addr;
use crate::optimize::Opt;

macro_rules! rows { ($($n:literal $j:ident)*) => {
    /// Mnemonics of this family.
    pub const ROWS: &[Row] = {
        use Mnemonic::*;
        &[
            $(($j, |c, i| jcc(c, i, $n)),)*
            (Jmp, jmp),
            (Call, call),
            (Ret, ret),
            (Jrcxz, |c, i| jrcxz(c, i, 8)),
            (Jecxz, |c, i| jrcxz(c, i, 4)),
            (Loop, |c, i| looping(c, i, None)),
            (Loope, |c, i| looping(c, i, Some(4))),
            (Loopne, |c, i| looping(c, i, Some(5))),
            (Syscall, super::syscall::syscall),
            (Int, int),
            (Int3, |c, _| c.raise(exception::BREAKPOINT)),
            (Int1, |c, _| c.raise(exception::DEBUG)),
            (Hlt, |c, _| c.raise(exception::GENERAL_PROTECTION)),
        ]
    };
} }
rows! { 0 Jo 1 Jno 2 Jb 3 Jae 4 Je 5 Jne 6 Jbe 7 Ja 8 Js 9 Jns 10 Jp 11 Jnp 12 Jl 13 Jge 14 Jle 15 Jg }

/// The label of the block's branch target: another block's, or a cold exit. Brings the carry into the polarity that both ways out need.
fn target(c: &mut Ctx, to: Addr, live: u8) -> Label {
    c.canonical_carry(live);
    let inside = c.region.blocks[c.block].target();
    if let Some(label) = c.detour(inside, to) {
        return label;
    }
    match inside {
        Some(t) => match &c.held_sums {
            Some(held) if t == c.block => held.again,
            _ => c.block_label(t),
        },
        None if std::mem::take(&mut c.late_compare) => c.cold(move |c| {
            c.settle_compare();
            c.direct_exit(to);
        }),
        None => c.cold_exit(to),
    }
}

impl Ctx<'_> {
    /// Does only the exit of a branch that follows need more of the comparison under way than C and Z?
    pub(super) fn is_compare_late(&self) -> bool {
        use Mnemonic::*;
        let block = &self.region.blocks[self.block];
        if !self.options.switches.on(Opt::LateCompare) || self.always_live() || self.index + 2 != block.first + block.count || block.target().is_some() {
            return false;
        }
        let branch = &self.region.insns[self.index + 1];
        let needed = |b: usize| self.region.blocks[b].live_in & (PF | AF | SF | OF) != 0;
        matches!(branch.mnemonic(), Jb | Jae | Je | Jne | Jbe | Ja) && block.behind().is_some_and(|b| !needed(b))
    }
    /// What the comparison of two numbers has left out. C and Z are right, V is clear, N is set for "less".
    fn settle_compare(&mut self) {
        self.a.mov_imm(PFR, 1);
        self.a.mov_imm(AFX, 1);
        self.a.read_nzcv(T[0]);
        self.a.alu_imm(Alu::And, Size::X, T[0], T[0], !(1 << 31));
        self.a.write_nzcv(T[0]);
    }
}

fn jcc(c: &mut Ctx, insn: &Insn, cc: u8) {
    let Flow::Conditional(to) = insn.flow() else { return c.undefined(insn) };
    if let Some((r, size)) = c.zero_test.take() {
        let label = target(c, to, NO_FLAGS);
        let at = c.a.offset();
        c.only_branch(label, at);
        if cc == 4 { c.a.cbz(size, r, label) } else { c.a.cbnz(size, r, label) };
        return c.settle_late_flags();
    }
    let live = c.late_flags.as_ref().map_or(c.live, |late| late.other);
    // Both ways out want the canonical carry where it is live: before the branch, once. Where it is not, the condition still reads it as it is.
    if live & CF != 0 {
        c.canonical_carry(live);
    }
    let test = condition(c, cc, live);
    let label = target(c, to, live);
    let at = c.a.offset();
    match test {
        Test::Cond(cond) => {
            c.only_branch(label, at);
            c.a.b_cond(cond, label);
        }
        Test::Bit(r, true) => c.a.tbnz(r, 0, label),
        Test::Bit(r, false) => c.a.tbz(r, 0, label),
    }
    c.settle_late_flags();
}

fn jrcxz(c: &mut Ctx, insn: &Insn, bytes: u32) {
    let Flow::Conditional(to) = insn.flow() else { return c.undefined(insn) };
    let live = c.live;
    let label = target(c, to, live);
    c.a.cbz(if bytes == 8 { Size::X } else { Size::W }, gpr(1), label);
}

/// LOOP, LOOPE, LOOPNE: RCX (ECX with an address size prefix) counts down without flags.
fn looping(c: &mut Ctx, insn: &Insn, also: Option<u8>) {
    let Flow::Conditional(to) = insn.flow() else { return c.undefined(insn) };
    use crate::decode::Code::*;
    let size = if matches!(insn.code(), Loop_rel8_64_ECX | Loope_rel8_64_ECX | Loopne_rel8_64_ECX) { Size::W } else { Size::X };
    let live = c.live;
    c.canonical_carry(live);
    c.a.alu_imm(Alu::Sub, size, gpr(1), gpr(1), 1);
    let skip = c.a.label();
    if let Some(cc) = also
        && let Test::Cond(cond) = condition(c, cc, live)
    {
        c.a.b_cond(cond.invert(), skip);
    }
    let label = target(c, to, live);
    c.a.cbnz(size, gpr(1), label);
    c.a.bind(skip);
}

fn jmp(c: &mut Ctx, insn: &Insn) {
    match insn.flow() {
        Flow::Jump(to) => {
            let live = c.live;
            match c.region.blocks[c.block].target() {
                Some(t) => {
                    let live = c.region.blocks[t].live_in;
                    c.canonical_carry(live);
                    // The block it goes to often is the next one here: code that a jump goes back to.
                    if Some(t) != c.next_block {
                        let label = c.block_label(t);
                        c.a.b(label);
                    }
                }
                None => {
                    c.canonical_carry(live);
                    c.direct_exit(to);
                }
            }
        }
        Flow::JumpIndirect => {
            let to = c.read(insn, 0, T[0]);
            match c.late_jump.take() {
                Some(flags) => jump_late(c, to, flags),
                None => indirect(c, to, false),
            }
        }
        _ => c.undefined(insn),
    }
}

/// Before a jump to where nobody knows: may the carry stay as it is, and the target bring it into canonical form if it reads CF? [`CARRY_MARK`] tells it.
/// Else it is canonical from here on.
fn carry_is_late(c: &mut Ctx) -> bool {
    let late = c.carry == Carry::Direct && c.late_carry();
    if !late {
        c.canonical_carry(STATUS);
    }
    late
}

/// Where the difference of two addresses goes, which is zero where the jump is taken.
fn difference(late: bool, else_to: X) -> X {
    if late { CARRY_MARK } else { else_to }
}

/// Leaves for the guest address in `to`, which the tables do not have.
fn leave(c: &mut Ctx, to: X, stub: Stub, branches: [Option<u32>; 2]) {
    c.canonical_carry(STATUS);
    c.a.mov(Size::X, T[0], to);
    c.call_stub(stub);
    let at = c.at;
    c.exit_site(at, ExitKind::Indirect { branches });
}

/// Jumps (or calls) to the guest address in `to` by the plain table, or by the inline one where code looks for signals itself.
fn indirect(c: &mut Ctx, to: X, call: bool) {
    if !c.options.switches.on(Opt::InlineLookup) {
        if !call {
            // A call has done it before it pushed.
            c.store_uppers();
        }
        return leave(c, to, Stub::Indirect, [None; 2]);
    }
    let late = carry_is_late(c);
    if !call {
        c.store_uppers();
    }
    let miss = c.a.label();
    if !c.is_polled() && c.options.switches.on(Opt::PlainTable) {
        let branch = look_up(c, to, call, 0, late, miss);
        c.cold_at(miss, move |c| leave(c, to, plain_stub(call), [None, Some(branch)]));
    } else {
        look_up_inline(&mut c.a, Inline::Exact, to, difference(late, T[2]), miss);
        c.cold_at(miss, move |c| leave_inline(c, to, late));
    }
    if call { c.a.blr(T[3]) } else { c.a.br(T[3]) }
}

/// Leaves for the guest address in `to`, which the inline table does not have at its place, T1 (but where the carry is `late`).
fn leave_inline(c: &mut Ctx, to: X, late: bool) {
    if late {
        inline_place(&mut c.a, to);
    }
    leave(c, to, Stub::Indirect, [None; 2]);
}

fn plain_stub(call: bool) -> Stub {
    if call { Stub::PlainCall } else { Stub::Plain }
}

/// A look at the plain table, or at the `neighbour` in it. `late`: the carry stays as it is, and [`CARRY_MARK`] says so.
fn look_up(c: &mut Ctx, to: X, call: bool, neighbour: u64, late: bool, miss: Label) -> u32 {
    match call {
        true => look_up_call(&mut c.a, to, neighbour, difference(late, T[5]), miss),
        false => look_up_plain(&mut c.a, to, neighbour, difference(late, T[2]), miss),
    }
}

/// The same as [`indirect`] where PF and AF are left to targets that may read them: see `late_jumps`.
fn jump_late(c: &mut Ctx, to: X, flags: LateJump) {
    let late = carry_is_late(c);
    c.store_uppers();
    let miss = c.a.label();
    if c.is_polled() {
        look_up_inline(&mut c.a, Inline::LateJumps, to, difference(late, T[2]), miss);
        c.cold_at(miss, move |c| {
            c.settle_late_jump(flags);
            let miss = c.a.label();
            look_up_inline(&mut c.a, Inline::Exact, to, difference(late, T[2]), miss);
            c.a.br(T[3]);
            c.a.bind(miss);
            leave_inline(c, to, late);
        });
        c.a.br(T[3]);
        return c.mark_as((0, 0));
    }
    let first = look_up(c, to, false, NEIGHBOUR, late, miss);
    c.cold_at(miss, move |c| {
        c.settle_late_jump(flags);
        let miss = c.a.label();
        let second = look_up(c, to, false, 0, late, miss);
        c.a.br(T[3]);
        c.a.bind(miss);
        leave(c, to, Stub::Plain, [Some(first), Some(second)]);
    });
    c.a.br(T[3]);
    c.mark_as((0, 0));
}

/// A call that leaves flags and the shadow stack to where it goes, if that is known not to read any.
fn call_late(c: &mut Ctx, insn: &Insn, to: X) {
    let (insn, flags) = (*insn, c.late_jump.take());
    c.a.guest_address(T[1], insn.next().0);
    c.push(T[1]);
    let (miss, landing) = (c.a.label(), c.a.label());
    let plain = !c.is_polled();
    let first = if plain { Some(look_up(c, to, true, NEIGHBOUR, false, miss)) } else { None };
    if !plain {
        look_up_inline_call(&mut c.a, to, miss);
    }
    c.cold_at(miss, move |c| {
        // In front of the call again: the shadow stack may be full.
        c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), 8);
        if let Some(flags) = flags {
            c.settle_late_jump(flags);
        }
        let late = carry_is_late(c);
        let back = push_return(c, &insn, false);
        let miss = c.a.label();
        let second = if plain { Some(look_up(c, to, true, 0, late, miss)) } else { None };
        if !plain {
            look_up_inline(&mut c.a, Inline::Exact, to, difference(late, T[2]), miss);
        }
        c.a.blr(T[3]);
        c.a.bind(back);
        c.a.b(landing);
        c.a.bind(miss);
        if plain { leave(c, to, Stub::PlainCall, [first, second]) } else { leave_inline(c, to, late) }
    });
    c.a.blr(T[3]);
    c.mark_as((0, 0));
    land(c, landing);
}

/// Pushes the return address for the guest, and the pair (guest, host) for the host's predictor, which the target puts there where it is its call's entry: that
/// finds the pair in T1 and LINK. Returns the label of the landing.
fn push_return(c: &mut Ctx, insn: &Insn, call_entry: bool) -> Label {
    let landing = c.a.label();
    c.a.guest_address(T[1], insn.next().0);
    if c.options.switches.on(Opt::ShadowStack) && !call_entry {
        // First, because a full shadow stack stops the guest here (`host::fault`), in front of the call. A pair whose call faults costs a prediction.
        c.a.adr(T[2], landing);
        c.a.stp_pre(T[1], T[2], SHADOW, -16);
    }
    c.push(T[1]);
    landing
}

/// Where a return arrives.
fn land(c: &mut Ctx, landing: Label) {
    c.a.bind(landing);
    c.carry = Carry::Inverted;
    if c.region.blocks[c.block].behind().is_none_or(|t| c.region.blocks[t].live_in & CF != 0) {
        c.settle_carry();
    }
    c.load_uppers();
}

fn call(c: &mut Ctx, insn: &Insn) {
    match insn.flow() {
        // CALL to the next instruction reads RIP: never returned from, so nothing for the predictor.
        Flow::Call(to) if to == insn.next() => {
            c.a.guest_address(T[1], to.0);
            c.push(T[1]);
        }
        Flow::Call(to) => {
            c.store_uppers();
            if to <= insn.addr() && !c.options.switches.on(Opt::ShadowStack) {
                // With it calls look where it is full.
                c.poll(insn.addr());
            }
            let target = c.region.blocks[c.block].target();
            let entry = match target {
                Some(0) => c.call_entry(true),
                Some(_) => None,
                None => c.call_entry(false),
            };
            let landing = push_return(c, insn, entry.is_some());
            match target {
                Some(t) => {
                    let live = c.region.blocks[t].live_in;
                    c.canonical_carry(live);
                    let label = entry.unwrap_or(c.block_label(t));
                    c.a.bl(label);
                }
                None => {
                    let live = c.live;
                    c.canonical_carry(live);
                    let patch = c.a.offset();
                    let stub = c.cold_call(to, patch);
                    c.a.bl(stub);
                }
            }
            land(c, landing);
        }
        Flow::CallIndirect => {
            let mut to = c.read(insn, 0, T[0]);
            if to == gpr(4) {
                // The push changes it.
                c.a.mov(Size::X, T[0], to);
                to = T[0];
            }
            c.store_uppers();
            if c.calls_late() {
                return call_late(c, insn, to);
            }
            let landing = push_return(c, insn, false);
            indirect(c, to, true);
            land(c, landing);
        }
        _ => c.undefined(insn),
    }
}

fn ret(c: &mut Ctx, insn: &Insn) {
    if c.leaf == Leaf::Now {
        return c.return_by_link();
    }
    let extra = match insn.op_count() {
        0 => 0,
        _ => match insn.op(0) {
            Op::Imm(n) => n,
            _ => 0,
        },
    };
    if !std::mem::take(&mut c.return_popped) {
        c.pop(T[0]);
    }
    if extra != 0 {
        c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), extra);
    }
    if !c.options.switches.on(Opt::ShadowStack) {
        return indirect(c, T[0], false);
    }
    let late = carry_is_late(c);
    c.store_uppers();
    let miss = c.cold_return();
    c.a.ldp_post(T[1], LINK, SHADOW, 16);
    // Not late: the mark is the guest's address.
    const { assert!(CARRY_MARK.0 == T[1].0) };
    let difference = difference(late, T[2]);
    c.a.alu(Alu::Sub, Size::X, difference, T[1], T[0]);
    c.a.cbnz(Size::X, difference, miss);
    c.a.ret(LINK);
}

fn int(c: &mut Ctx, insn: &Insn) {
    match insn.op(0) {
        Op::Imm(n) => c.raise(exception::INTERRUPT + n),
        _ => c.undefined(insn),
    }
}
