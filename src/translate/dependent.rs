//! Loads that the next access orders: the one behind it loads from an address that is made of what it brought.
//!
//! An address dependency orders a load before what it leads to (Arm ARM, B2.3: dependency-ordered-before), and the load that it leads to is an acquire, or has
//! DMB ISHLD behind it, or leads to one that does: so everything behind that comes after the first load, too. This need not be an acquire then, and has the
//! displacements, indices and sign extensions that LDAPR and LDAR lack. A store behind it would not do: what follows a release store may be read before it.

use super::context::Ctx;
use crate::decode::{Flow, Insn, Mnemonic, NO_FLAGS, Op};
use crate::emit::Order;
use crate::optimize::Opt;

/// How far to look for the next access.
const REACH: usize = 6;

/// May it stand between the two? It has no memory operand, and neither leaves translated code nor branches in it, as MOV to a segment register may.
fn passes(insn: &Insn) -> bool {
    use Mnemonic::*;
    let general = (0..insn.op_count()).all(|i| matches!(insn.op(i), Op::Gpr { .. } | Op::Imm(_)));
    let address = matches!(insn.mnemonic(), Lea | Nop);
    (general || address) && matches!(insn.mnemonic(), Mov | Movzx | Movsx | Movsxd | Lea | Add | Sub | And | Or | Xor | Inc | Dec | Cmp | Test | Shl | Shr | Sar | Nop)
}

/// Does it begin with a load from its memory operand, ordered as translated code orders those, whatever it does then?
fn loads_first(insn: &Insn) -> bool {
    use Mnemonic::*;
    if insn.lock() {
        return false;
    }
    match insn.mnemonic() {
        Mov | Movss | Movaps | Movapd | Movups | Movupd | Movdqa | Movdqu | Movq | Movd => matches!(insn.op(0), Op::Gpr { .. } | Op::Xmm(_)),
        // (Of MOVSD the string instruction has no register.)
        Movsd => matches!(insn.op(0), Op::Xmm(_)),
        // Far ones raise an exception.
        Call | Jmp => matches!(insn.flow(), Flow::CallIndirect | Flow::JumpIndirect) && insn.memory_bytes() == 8,
        Movzx | Movsx | Movsxd | Push | Add | Sub | And | Or | Xor | Inc | Dec | Addss | Addsd | Subss | Subsd | Mulss | Mulsd => true,
        // An access for nobody's sake asks only whether there is a fault.
        Cmp | Test => insn.live & insn.flags.kills != NO_FLAGS,
        _ => false,
    }
}

/// Is its address made of general register `n`?
fn leads_from(insn: &Insn, n: u8) -> bool {
    let m = insn.memory();
    !m.rip && !m.addr32 && (m.base == Some(n) || m.index == Some(n)) && insn.vector_index().is_none()
}

impl Ctx<'_> {
    /// How the current instruction's load is ordered, all of whose accesses this is, and which writes what it has loaded to operand 0.
    #[inline]
    pub(super) fn load_order(&self, insn: &Insn) -> Order {
        match self.order() {
            Order::Plain => Order::Plain,
            _ if self.leads_on(insn) => Order::Plain,
            order => order,
        }
    }

    #[inline(never)]
    fn leads_on(&self, insn: &Insn) -> bool {
        let Some((d, _)) = insn.wide_register(0) else { return false };
        let Some(block) = self.region.blocks.get(self.block) else { return false };
        let end = (block.first + block.count).min(self.index + 1 + REACH);
        // Code that is put aside stands nowhere among them.
        if self.again || self.region.insns.get(self.index).is_none_or(|i| i.addr() != self.at) || !self.options.switches.on(Opt::DependentLoads) {
            return false;
        }
        for next in self.region.insns.get(self.index + 1..end).unwrap_or_default() {
            if next.has_memory() && next.mnemonic() != Mnemonic::Lea && next.mnemonic() != Mnemonic::Nop {
                return loads_first(next) && leads_from(next, d);
            }
            let writes = matches!(next.op(0), Op::Gpr { n, .. } if n == d) && !matches!(next.mnemonic(), Mnemonic::Cmp | Mnemonic::Test);
            if !passes(next) || writes {
                return false;
            }
        }
        false
    }
}
