//! Sums of base and index that a loop of one block keeps in temporaries from one turn to the next. They are added up in front of the loop; the last
//! access by each steps it on, by post-indexing. Nothing but the loop's own addresses needs them: who leaves the loop, by whatever way, comes back
//! in front of it.

use super::context::Ctx;
use super::group_kind::{Kind, Sum};
use crate::decode::{End, Flow, Insn, MemOperand, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::{Alu, Label, Mem, Shift, Size};
use crate::optimize::Opt;

/// Temporaries that no instruction of [`is_plain`]'s kind touches.
const PLACES: [X; 3] = [T[1], T[2], T[3]];

/// One sum.
#[derive(Clone, Copy)]
struct Held {
    sum: Sum,
    /// Index in the region of the last access by it.
    last: usize,
    /// That access' displacement: the temporary holds it too, because post-indexing has no other offset.
    disp: i64,
    step: i32,
}

/// What the current block holds.
pub(super) struct HeldSums {
    sums: Vec<Held>,
    /// Where the loop's own branch goes: behind the additions.
    pub again: Label,
}

/// Base, index and scale, if that is what an access is made of. Without a scale the two are the same either way round.
fn sum_of(m: &MemOperand) -> Option<Sum> {
    match (m.base, m.index) {
        (Some(b), Some(i)) if b != i && m.segment.is_none() && !m.addr32 => Some(if m.scale == 0 { (b.min(i), b.max(i), 0) } else { (b, i, m.scale) }),
        _ => None,
    }
}

/// One that changes no more than a general register, and needs no temporary below T4.
fn is_plain(insn: &Insn) -> bool {
    let wide = |op: Op| matches!(op, Op::Gpr { bytes: 4 | 8, high: false, .. });
    matches!(insn.mnemonic(), Mnemonic::Add | Mnemonic::Sub | Mnemonic::Cmp | Mnemonic::Test) && wide(insn.op(0)) && (wide(insn.op(1)) || matches!(insn.op(1), Op::Imm(_)))
}

/// The general register that a plain instruction changes.
fn changed(insn: &Insn) -> Option<u8> {
    match insn.op(0) {
        Op::Gpr { n, .. } if matches!(insn.mnemonic(), Mnemonic::Add | Mnemonic::Sub) => Some(n),
        _ => None,
    }
}

/// By how much the loop's instructions step register `n` on, and where, if that is all that they do to it.
fn stepped(insns: &[Insn], n: u8) -> Option<(usize, i64)> {
    let mut at = insns.iter().enumerate().filter(|(_, i)| changed(i) == Some(n));
    let (k, insn) = at.next()?;
    match (insn.mnemonic(), insn.op(0), insn.op(1)) {
        (Mnemonic::Add, Op::Gpr { bytes: 8, .. }, Op::Imm(v)) if at.next().is_none() => Some((k, v as i64)),
        _ => None,
    }
}

/// One sum of a loop, if it is worth holding and can be stepped on.
fn held(insns: &[Insn], first: usize, sum: Sum) -> Option<Held> {
    let constant = |n: u8| insns.iter().all(|i| changed(i) != Some(n));
    let (step_at, step) = if constant(sum.0) {
        stepped(insns, sum.1)?
    } else if sum.2 == 0 && constant(sum.1) {
        stepped(insns, sum.0)?
    } else {
        return None;
    };
    let accesses = || insns.iter().enumerate().filter(|(_, i)| i.has_memory() && sum_of(&i.memory()) == Some(sum));
    let (last, insn) = accesses().last()?;
    let disp = insn.memory().disp;
    let step = i32::try_from(step << sum.2.min(3)).ok()?;
    let fits = match insn.memory_bytes() {
        32 => step % 16 == 0 && (-1024..1024).contains(&step),
        16 => (-256..256).contains(&step),
        _ => false,
    };
    // All of them without a further addition.
    let near = |(_, i): (usize, &Insn)| {
        let off = i.memory().disp - disp;
        if i.memory_bytes() == 32 { off % 16 == 0 && (-1024..1008).contains(&off) } else { (-256..256).contains(&off) }
    };
    let adds = accesses().any(|(_, i)| i.memory_bytes() == 32 || i.memory().disp != 0);
    (fits && adds && (-4096..4096).contains(&disp) && accesses().all(near) && last < step_at).then_some(Held { sum, last: first + last, disp, step })
}

impl Ctx<'_> {
    /// At a block's start, behind its label: adds up what a loop of this block alone holds.
    #[inline]
    pub(super) fn hold_sums(&mut self, index: usize) {
        self.held_sums = None;
        if self.groups.wanted && self.region.blocks[index].target() == Some(index) {
            self.hold_sums_of_loop(index);
        }
    }
    #[inline(never)]
    fn hold_sums_of_loop(&mut self, index: usize) {
        let region = self.region;
        let block = &region.blocks[index];
        // LOOP and its kin count RCX down, which may be the base or the index.
        let counts = |insn: &Insn| matches!(insn.mnemonic(), Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne);
        let alone = matches!(block.end, End::Flow(Flow::Conditional(_))) && !counts(&region.insns[block.first + block.count - 1]);
        if !alone || self.options.ordered || !self.options.switches.on(Opt::HeldSums) || !region.guards.is_empty() {
            return;
        }
        let insns = &region.insns[block.first..block.first + block.count - 1];
        self.find_kinds();
        let fits = |(insn, kind): (&Insn, &Kind)| match kind {
            Kind::Arith(..) | Kind::Move | Kind::MoveLow(_) | Kind::Fused => true,
            Kind::Beside => is_plain(insn),
            _ => false,
        };
        if !insns.iter().zip(&self.groups.kinds).all(fits) {
            return;
        }
        let mut sums: Vec<Held> = Vec::new();
        for sum in insns.iter().filter(|i| i.has_memory()).filter_map(|i| sum_of(&i.memory())) {
            if sums.len() < PLACES.len() && !sums.iter().any(|h| h.sum == sum) {
                sums.extend(held(insns, block.first, sum));
            }
        }
        if sums.is_empty() {
            return;
        }
        self.origin(block.addr);
        for (h, t) in sums.iter().zip(PLACES) {
            self.a.alu_shift(Alu::Add, Size::X, t, gpr(h.sum.0), gpr(h.sum.1), Shift::Lsl, h.sum.2 as u32);
            self.a.lea(t, Mem::Off(t, h.disp));
        }
        let again = self.a.label();
        self.a.bind(again);
        self.held_sums = Some(HeldSums { sums, again });
    }
    /// Where an operand's address is, if its sum is held.
    pub(super) fn held_sum(&self, m: &MemOperand) -> Option<Mem> {
        let held = &self.held_sums.as_ref()?.sums;
        let sum = sum_of(m)?;
        held.iter().position(|h| h.sum == sum).map(|k| Mem::Off(PLACES[k], m.disp - held[k].disp))
    }
    /// What the current instruction's access is to step on, and by how much.
    pub(super) fn steps_on(&self) -> Option<(X, i32)> {
        let held = &self.held_sums.as_ref()?.sums;
        held.iter().position(|h| h.last == self.index).map(|k| (PLACES[k], held[k].step))
    }
}
