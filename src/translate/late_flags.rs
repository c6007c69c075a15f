//! Flags that only one way out of a conditional branch needs.
//!
//! Where a branch leaves for code that may read any flag - a return or an indirect jump follows, or nobody has looked - the comparison in front of it
//! would have to compute all six, though the other way overwrites them at once. So in front of the branch only what the branch and the other way read
//! is computed, and the way that needs more computes the rest when it is taken: from operands that are still there, because nothing stands between the
//! instruction and its branch.

use super::context::Ctx;
use super::integer::{Kind, Source, compute, kind, source, sum_flags};
use crate::decode::{AF, End, Flags, Flow, Insn, Mnemonic, NO_FLAGS, Op, PF};
use crate::emit::regs::*;
use crate::emit::Label;
use crate::optimize::Opt;

/// How the flags are computed later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// As the instruction would have: it changes nothing else.
    Again,
    /// Of a logic operation: from its result.
    Result,
    /// Of a sum or a difference PF and AF, from its result and its second operand; the host has the others.
    Undone,
    /// Of an operation on a copy of this register: from that.
    Copied(u8),
}

/// What one way out of the current block's branch has to compute.
#[derive(Clone, Copy)]
pub(super) struct LateFlags {
    /// Where the branch goes, not behind it.
    taken: bool,
    /// Flags that are live on that way.
    live: Flags,
    /// Those that are on the other, and those that both ways find.
    pub other: Flags,
    /// Index in the region.
    insn: usize,
    how: How,
}

/// How this instruction's flags can be had later, if its branch follows at once.
pub(super) fn how(c: &Ctx, insn: &Insn) -> Option<How> {
    use Mnemonic::*;
    if insn.lock() {
        return None;
    }
    let whole = matches!(insn.op(0), Op::Gpr { bytes: 4 | 8, .. });
    match insn.mnemonic() {
        // In ordered mode memory may hold something else by then.
        Cmp | Test if !insn.has_memory() || !c.options.ordered => Some(How::Again),
        And | Or | Xor if whole => Some(How::Result),
        Add | Sub | Inc | Dec if whole && !insn.has_memory() && (insn.op_count() == 1 || insn.op(1) != insn.op(0)) => Some(How::Undone),
        _ => None,
    }
}

/// How many host instructions in front of the branch are spared, if the way behind it needs flags `other`.
fn spared(insn: &Insn, how: How, branch: &Insn, other: Flags) -> u32 {
    let narrow = insn.bytes(0) < 4;
    match how {
        How::Undone => 2,
        How::Result => 1,
        // Only jumps have it.
        How::Copied(_) => 0,
        How::Again if insn.mnemonic() == Mnemonic::Cmp => 1 + 2 * u32::from(narrow),
        // Then CBZ does it.
        How::Again => 1 + u32::from(other == NO_FLAGS && matches!(branch.mnemonic(), Mnemonic::Je | Mnemonic::Jne)),
    }
}

impl Ctx<'_> {
    /// Before the last instruction but one of a block: if only one way out of its branch needs some of its flags, leaves these to that way.
    #[inline]
    pub(super) fn plan_late_flags(&mut self, insn: &Insn) {
        if self.live & (PF | AF) != 0 && insn.flags.kills & (PF | AF) != 0 && self.options.switches.on(Opt::LateFlags) && !self.always_live() {
            self.plan_late_flags_of(insn);
        }
    }
    #[inline(never)]
    fn plan_late_flags_of(&mut self, insn: &Insn) {
        let block = &self.region.blocks[self.block];
        let branch = &self.region.insns[self.index + 1];
        let End::Flow(Flow::Conditional(_)) = block.end else { return };
        let Some(how) = how(self, insn) else { return };
        let reads = branch.flags.reads;
        // A condition alone: LOOPE counts, too, and has its own way.
        let counts = matches!(branch.mnemonic(), Mnemonic::Loope | Mnemonic::Loopne);
        if counts || reads == NO_FLAGS || reads & (PF | AF) != 0 {
            return;
        }
        let live = block.ways;
        let late = |way: usize| live[way] & (PF | AF) != 0 && live[1 - way] & (PF | AF) == 0;
        // Where the branch goes to a block of the region it costs a jump more, on the way back of a loop each time.
        let detour = |t: usize| t > self.block && spared(insn, how, branch, live[1]) > 1;
        let taken = late(0) && block.target().is_none_or(detour);
        if !taken && !late(1) {
            return;
        }
        let (live, other) = if taken { (live[0], live[1]) } else { (live[1], live[0]) };
        // What is not undone is there on both ways, the carry in the polarity that both want.
        let other = if how == How::Undone { other | live & !(PF | AF) } else { other };
        self.live = other | reads;
        self.late_flags = Some(LateFlags { taken, live, other, insn: self.index, how });
    }
    /// Flags that are live behind the block's last instruction, a branch, where it needs no detour.
    pub(super) fn live_behind(&self, branch: &Insn) -> Flags {
        self.late_flags.as_ref().map_or(branch.live, |late| late.other)
    }
    /// If the branch's way to `inside`, a block of the region, or out of it, computes flags first: the label of code that does.
    #[inline]
    pub(super) fn detour(&mut self, inside: Option<usize>, to: crate::guest::Addr) -> Option<Label> {
        if self.late_flags.is_some() { self.late_detour(inside, to) } else { None }
    }
    #[inline(never)]
    fn late_detour(&mut self, inside: Option<usize>, to: crate::guest::Addr) -> Option<Label> {
        let late = self.late_flags.take_if(|late| late.taken)?;
        Some(self.cold(move |c| {
            c.settle_flags(late);
            c.canonical_carry(late.live);
            match inside {
                Some(t) => {
                    let label = c.block_label(t);
                    c.a.b(label);
                }
                None => c.direct_exit(to),
            }
        }))
    }
    /// Behind the branch.
    pub(super) fn settle_late_flags(&mut self) {
        if let Some(late) = self.late_flags.take() {
            self.settle_flags(late);
        }
    }
    fn settle_flags(&mut self, late: LateFlags) {
        let insn = &self.region.insns[late.insn];
        self.live = late.live;
        self.flags_again(insn, late.how);
    }
    /// The live flags of an instruction that has been executed, and changes nothing else.
    pub(super) fn flags_again(&mut self, insn: &Insn, how: How) {
        let handler = super::table::handler(insn).expect("it was translated before");
        self.again = true;
        match (how, insn.op(0)) {
            (How::Result, Op::Gpr { n, bytes, .. }) => compute(self, Kind::And, bytes.into(), ZR, gpr(n), Source::Reg(gpr(n))),
            (How::Undone, Op::Gpr { n, bytes, .. }) => sum_flags(self, insn, n, bytes.into()),
            (How::Copied(from), Op::Gpr { bytes, .. }) => {
                let second = source(self, insn, 1, T[1]);
                compute(self, kind(insn.mnemonic()), bytes.into(), ZR, gpr(from), second);
            }
            _ => handler(self, insn),
        }
        self.again = false;
    }
}
