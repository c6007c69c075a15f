//! Functions of one block that store nothing (`leaf-calls`): a call that puts its return addresses on the shadow stack at its target's entry need not do so here.
//!
//! The call has just written the guest's return address to the stack, where a function without stores can not change it, and LINK holds the host's: RET is an
//! addition to RSP and a branch to LINK. In ordered mode, too: what RET reads may be what the call stored, as long as that is in the store buffer, which nothing in
//! between empties. Such a function is translated twice, for calls and for all others, whose pair lies on the shadow stack.
//!
//! A signal that finds a thread in it has LINK lead to a stub, which leaves (`engine::halt`). After a fault the pair is missing: the returns behind it are not
//! predicted. Where it must be known whether the carry is canonical T1 says so, as after every return ([`CARRY_MARK`]).

use super::context::{Carry, Ctx};
use crate::decode::{CF, End, Flow, Insn, Mnemonic, Op, Region};
use crate::emit::regs::*;
use crate::emit::stubs::CARRY_MARK;
use crate::emit::{Alu, Size};
use crate::optimize::Opt;

/// What is being translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Leaf {
    /// A region like any other.
    #[default]
    No,
    /// A function's code for calls.
    Now,
    /// Its code for everybody else: that for calls lies in front of it.
    Done,
}

/// Most instructions of a function that is translated twice.
const MOST: usize = 16;

/// Does it only read memory and compute, without code that calls something? RSP is left alone.
fn is_simple(insn: &Insn) -> bool {
    use Mnemonic::*;
    let known = matches!(
        insn.mnemonic(),
        Mov | Movzx | Movsx | Movsxd | Lea | Nop | Endbr64 | Add | Sub | Adc | Sbb | And | Or | Xor | Inc | Dec | Neg | Not | Shl | Sal | Shr | Sar | Rol | Ror | Imul | Cmp | Test | Bswap
            | Cdqe | Cwde | Cdq | Cqo | Seto | Setno | Setb | Setae | Sete | Setne | Setbe | Seta | Sets | Setns | Setl | Setge | Setle | Setg | Cmovo | Cmovno | Cmovb | Cmovae | Cmove
            | Cmovne | Cmovbe | Cmova | Cmovs | Cmovns | Cmovl | Cmovge | Cmovle | Cmovg
    );
    known && !insn.may_store() && (0..insn.op_count()).all(|k| !matches!(insn.op(k), Op::Gpr { n: 4, .. } | Op::Segment(_)))
}

/// What stands in front of RET in the region's first block, if that is such a function; of any length.
pub(super) fn body(region: &Region) -> Option<&[Insn]> {
    let block = &region.blocks[0];
    if block.end != End::Flow(Flow::Return) || !region.guards.is_empty() {
        return None;
    }
    let (last, insns) = region.insns[block.first..block.first + block.count].split_last()?;
    (last.op_count() == 0 && insns.iter().all(is_simple)).then_some(insns)
}

impl Ctx<'_> {
    /// Translates the region for calls, if it is such a function. In front of its other entry stands how far away this one is ([`Ctx::lead_to_call_entry`]).
    #[inline]
    pub(super) fn leaf_call(&mut self) {
        let alone = self.region.blocks.len() == 1 && self.region.blocks[0].end == End::Flow(Flow::Return);
        if alone && let Some(label) = self.call_entry {
            self.leaf_call_of(label);
        }
    }
    #[inline(never)]
    fn leaf_call_of(&mut self, label: crate::emit::Label) {
        if !self.options.switches.on(Opt::LeafCalls) || self.options.strict_align || body(self.region).is_none_or(|insns| insns.len() >= MOST) {
            return;
        }
        let cold = self.cold_count();
        self.leaf = Leaf::Now;
        self.a.bind(label);
        super::block(self, 0);
        if self.cold_count() != cold || self.words().any(calls) {
            // Nobody comes to what was translated.
            self.leaf = Leaf::No;
            self.call_entry = Some(self.a.label());
            return;
        }
        self.leaf = Leaf::Done;
        let arrival = self.a.offset() + 4;
        self.a.word(0u32.wrapping_sub(arrival));
    }

    /// What has been emitted.
    fn words(&self) -> impl Iterator<Item = u32> {
        (0..self.a.offset()).step_by(4).map(|at| self.a.word_at(at))
    }

    /// RET of such code.
    pub(super) fn return_by_link(&mut self) {
        let late = self.carry == Carry::Direct && self.late_carry();
        if !late {
            self.canonical_carry(CF);
        }
        // The mark is the guest's address, as the call has left it there.
        if late {
            self.a.mov_imm(CARRY_MARK, 0);
        } else if self.words().any(|word| may_write(word, CARRY_MARK)) {
            self.a.mov(Size::X, CARRY_MARK, LINK);
        }
        self.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), 8);
        self.a.ret(LINK);
    }
}

/// Is it BL or BLR?
fn calls(word: u32) -> bool {
    word >> 26 == 0x25 || word & 0xffff_fc1f == 0xd63f_0000
}

/// May the instruction `word` write `r`? Wherever one has a register that it writes: Rd, Rt, and Rt2 of pairs.
fn may_write(word: u32, r: X) -> bool {
    let n = u32::from(r.0);
    word & 31 == n || word & 0x3a00_0000 == 0x2800_0000 && word >> 10 & 31 == n
}
