//! Flags that the target of an indirect jump or call does not read, though nobody knows it when the jump is translated.
//!
//! Who comes next may read any flag, so the last instruction that sets them computes all. What costs instructions is PF and AF; and a function that only
//! hands the carry on has it brought in order at its entry, for nobody. But nearly every target overwrites flags before it reads them, which is known when
//! *that* is translated. So the tables have two entries for each target (`emit::tables::NEIGHBOUR`): jumps look at the one that only has targets that do
//! without PF and AF, and only where it does not have theirs - or a signal is to stop them - they compute these, from registers that are still what
//! they were, and look at the other one.
//!
//! Calls do the same. Their table has entries that put the return addresses on the shadow stack (`Entry::call`), and besides targets that do without PF, AF
//! and CF those that return before anybody reads a flag: a function without stores that leaves RSP alone goes back to where it was called from, and
//! calls look there only if that reads no flag.
//!
//! Where an instruction faults between the one that sets the flags and the jump, the state is made exact by a repair, as for groups.

use super::context::Ctx;
use super::late_flags::How;
use super::leaf::{self, Leaf};
use super::repair::Step;
use crate::decode::{AF, CF, End, Flags, Flow, Insn, Mnemonic, NO_FLAGS, Op, PF, Region};
use crate::emit::tables::Late;
use crate::optimize::Opt;

/// The instruction that leaves PF and AF to the jump at its block's end.
#[derive(Clone, Copy)]
pub(super) struct LateJump {
    /// Index in the region.
    insn: usize,
    how: How,
}

/// How many instructions may lie in between.
const REACH: usize = 12;

/// Does it read and write nothing but its operands, the first of which it may write, and memory; and no flags? What PUSH and POP do to RSP counts as written.
fn is_plain(insn: &Insn) -> bool {
    use Mnemonic::*;
    let registers = |i| matches!(insn.op(i), Op::Gpr { .. } | Op::Imm(_) | Op::Mem);
    matches!(insn.mnemonic(), Mov | Movzx | Movsx | Movsxd | Lea | Nop | Endbr64 | Push | Pop) && (0..insn.op_count()).all(registers)
}

/// Does it write general register `n`? Of a [plain](is_plain) instruction.
fn writes(insn: &Insn, n: u8) -> bool {
    let stack = matches!(insn.mnemonic(), Mnemonic::Push | Mnemonic::Pop);
    stack && n == 4 || insn.mnemonic() != Mnemonic::Push && matches!(insn.op(0), Op::Gpr { n: m, .. } if m == n)
}

/// Who may come to an entry with less than all flags, if those in `live_in` may be read behind it. `leads`: see [`Ctx::lead_to_call_entry`].
pub(super) fn who(live_in: Flags, arrival: u32, call: Option<u32>, leads: bool) -> Late {
    match live_in & (PF | AF | CF) {
        NO_FLAGS if leads || call.is_some_and(|call| call + 4 == arrival) => Late::Both,
        NO_FLAGS | CF => Late::Jumps,
        _ if leads => Late::Calls,
        _ => Late::Nobody,
    }
}

/// Is the region's first block a function that returns to where it was called from, and reads no flag of its caller's?
fn hands_flags_back(region: &Region) -> bool {
    leaf::body(region).is_some_and(|insns| insns.iter().all(|i| i.flags.reads == NO_FLAGS))
}

impl Ctx<'_> {
    /// Does this code look at neighbours?
    fn jumps_late(&self) -> bool {
        let on = |o| self.options.switches.on(o);
        on(Opt::LateJumps) && on(Opt::InlineLookup) && !self.always_live() && (self.is_polled() || on(Opt::PlainTable))
    }

    /// May the indirect call at the end of the current block leave flags and the shadow stack to where it goes?
    pub(super) fn calls_late(&self) -> bool {
        let back = self.region.blocks[self.block].behind();
        self.jumps_late() && self.call_entry.is_some() && back.is_some_and(|b| self.region.blocks[b].live_in == NO_FLAGS)
    }

    /// At the start of block `index`: may its instructions leave work to others? Looks for the one whose PF and AF can be had at its end.
    #[inline]
    pub(super) fn plan_left_work(&mut self, index: usize) {
        let jumps = matches!(self.region.blocks[index].end, End::Flow(Flow::JumpIndirect | Flow::CallIndirect));
        if jumps || self.leaves_work || self.region.unusual {
            self.plan_left_work_of(jumps);
        }
    }
    #[inline(never)]
    fn plan_left_work_of(&mut self, jumps: bool) {
        self.end_rotations();
        self.late_jump = if jumps && self.jumps_late() { self.find_late_jump() } else { None };
        self.leaves_work = self.late_jump.is_some() || self.rotates();
    }
    /// Does what the current instruction leaves to others; true: it is done.
    #[inline(never)]
    pub(super) fn leaves_work_of(&mut self, insn: &Insn) -> bool {
        let in_rotation = self.rotates() && self.in_rotation(insn);
        self.leave_flags_to_jump();
        in_rotation
    }
    #[inline(never)]
    fn find_late_jump(&self) -> Option<LateJump> {
        let block = &self.region.blocks[self.block];
        if block.end == End::Flow(Flow::CallIndirect) && !self.calls_late() {
            return None;
        }
        let last = block.first + block.count - 1;
        let first = block.first.max(last.saturating_sub(REACH));
        let setter = (first..last).rev().find(|&i| !is_plain(&self.region.insns[i]))?;
        let insn = &self.region.insns[setter];
        if insn.flags.kills & (PF | AF) != PF | AF || insn.live & (PF | AF) == NO_FLAGS {
            return None;
        }
        let stays = |n: u8| !self.region.insns[setter + 1..last].iter().any(|i| writes(i, n));
        // What was copied to be overwritten may stay when the result does not.
        if let Some(how) = self.copied(setter, &stays) {
            return Some(LateJump { insn: setter, how });
        }
        let how = super::late_flags::how(self, insn)?;
        // Of those whose flags come from their operands, only what needs no temporaries, one of which has the target.
        let read = |i: u32| match insn.op(i) {
            Op::Gpr { n, bytes: 4 | 8, .. } => Some(Some(n)),
            Op::Imm(_) => Some(None),
            _ => None,
        };
        let second = match how {
            How::Result => None,
            _ if insn.op_count() == 1 => None,
            _ => read(1)?,
        };
        (read(0)?.is_none_or(stays) && second.is_none_or(stays)).then_some(LateJump { insn: setter, how })
    }

    /// If the flags of an operation on a copy can be had from what was copied, which `stays`, and the result does not.
    fn copied(&self, setter: usize, stays: &dyn Fn(u8) -> bool) -> Option<How> {
        use Mnemonic::*;
        let insn = &self.region.insns[setter];
        let before = self.region.insns[self.region.blocks[self.block].first..setter].last()?;
        let (Op::Gpr { n, bytes: bytes @ (4 | 8), .. }, Op::Gpr { n: to, bytes: copied, .. }, Op::Gpr { n: from, .. }) = (insn.op(0), before.op(0), before.op(1)) else { return None };
        let second = match insn.op(1) {
            Op::Gpr { n, .. } => Some(n),
            Op::Imm(_) => None,
            _ => return None,
        };
        let fits = matches!(insn.mnemonic(), Add | Sub | And | Or | Xor) && before.mnemonic() == Mov && to == n && bytes <= copied && !insn.lock();
        let there = from != n && second != Some(n) && stays(from) && second.is_none_or(stays);
        (fits && there && !stays(n)).then_some(How::Copied(from))
    }

    /// Before each instruction: that one computes neither PF nor AF, and where what follows faults they are computed.
    fn leave_flags_to_jump(&mut self) {
        let Some(late) = self.late_jump else { return };
        if self.index == late.insn {
            // A group's repair would have to do more.
            if self.groups.active {
                self.late_jump = None;
            } else {
                self.live &= !(PF | AF);
            }
        } else if self.index == late.insn + 1 {
            let step = Step::Flags { insn: self.region.insns[late.insn], how: late.how };
            self.repair_by(&[step]);
        }
    }

    /// In the way of a jump that has to bring all flags.
    pub(super) fn settle_late_jump(&mut self, late: LateJump) {
        let insn = &self.region.insns[late.insn];
        self.settle_parity(insn, late.how);
    }

    /// PF and AF alone, of an instruction whose other flags the host has.
    pub(super) fn settle_parity(&mut self, insn: &Insn, how: How) {
        let (live, carry) = (self.live, self.carry);
        self.live = PF | AF;
        self.flags_again(insn, how);
        (self.live, self.carry) = (live, carry);
    }

    /// If calls may come to the region's entry for them with any flags, though its code would hand these on: puts in front of the arrival that follows how far away
    /// that entry is. `settles`: the arrival is not the entry itself.
    pub(super) fn lead_to_call_entry(&mut self, settles: bool) -> bool {
        let Some(entry) = self.call_entry.and_then(|l| self.a.bound_at(l)) else { return false };
        let reads_none = self.region.blocks[0].live_in & (PF | AF | CF) == NO_FLAGS;
        if self.leaf == Leaf::Done && !settles {
            // It does already, in front of the entry itself.
            self.leads_to_call_entry = self.jumps_late() && (reads_none || hands_flags_back(self.region));
            return false;
        }
        self.leads_to_call_entry = !reads_none && self.jumps_late() && hands_flags_back(self.region);
        if self.leads_to_call_entry {
            let arrival = self.a.offset() + 4;
            self.a.word(entry.wrapping_sub(arrival));
        }
        self.leads_to_call_entry
    }
}
