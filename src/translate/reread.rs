//! Memory operands that a repair reads again (see [`super::groups`]).
//!
//! A repair runs a group's operations again and needs their operands. One from memory takes registers until the group ends, and an addend is copied in
//! front of FMLA, which overwrites it. While memory has one observer, the program itself, neither is needed: as long as the group stores nothing and
//! changes no register of the address, memory still holds what was loaded. In front of the first instruction that does, all that is pending is looked
//! at, and repairs start behind that. So it is done where the group computes nothing behind that instruction: there one look is due in any case.

use super::context::Ctx;
use super::group_insns::Source;
use super::group_kind::Kind;
use super::groups::upper;
use crate::decode::{FlagEffects, Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::optimize::Opt;

/// The general registers of an operand's address, as a bit set.
fn address_registers(insn: &Insn) -> u16 {
    let m = insn.memory();
    [m.base, m.index].into_iter().flatten().fold(0, |set, n| set | 1 << n)
}

/// Does an instruction that works in or beside a group store something, or change one of these general registers?
fn disturbs(insn: &Insn, registers: u16) -> bool {
    match (insn.mnemonic(), insn.op(0)) {
        (Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Nop, _) => false,
        (Mnemonic::Cdqe, _) => registers & 1 != 0,
        (_, Op::Mem) => true,
        (_, Op::Gpr { n, .. }) => registers >> n & 1 != 0,
        _ => false,
    }
}

impl Ctx<'_> {
    /// May a repair read this instruction's memory operand again, and does that cost no further look?
    pub(super) fn may_reread(&self, insn: &Insn) -> bool {
        if !insn.has_memory() || self.options.ordered || !self.exact_nan() || !self.options.switches.on(Opt::Rereads) {
            return false;
        }
        let registers = address_registers(insn);
        let mut looked = false;
        for (next, kind) in self.rest() {
            match kind {
                Kind::Other => break,
                Kind::Arith(..) | Kind::Root(_) | Kind::Convert(_) | Kind::Fused if looked => return false,
                _ => looked |= disturbs(next, registers),
            }
        }
        true
    }
    /// A repair reads this instruction's operand again.
    pub(super) fn rereads(&mut self, insn: &Insn) {
        *self.groups.rereads.get_or_insert(0) |= address_registers(insn);
    }
    /// Before an instruction of the group, or beside it: if memory operands cannot be read again behind it, repairs start here.
    pub(super) fn settle_rereads(&mut self, insn: &Insn) {
        if self.groups.rereads.is_some_and(|registers| disturbs(insn, registers)) {
            let FlagEffects { reads, kills } = insn.flags;
            let live = self.live;
            // Flags as they are needed in front of it.
            self.live = if self.options.switches.on(Opt::DeadFlags) { live & !kills | reads } else { live };
            self.look_at(u32::MAX);
            self.live = live;
            self.restart();
        }
    }
    /// Loads the memory operand of a packed instruction that will be read again; if `in_place`, to where the result in register `d` should be.
    pub(super) fn reread_source(&mut self, insn: &Insn, d: u8, in_place: bool) -> Source {
        let wide = insn.memory_bytes() == 32;
        let low = self.place_for_load(d, in_place);
        let high = if wide { self.place_for_load(upper(d), in_place) } else { low };
        if wide {
            self.load_wide(insn, low, high);
        } else {
            self.read_v(insn, 2, 16, low);
        }
        Source::Reread(low, high)
    }
    /// The value that `n` has now stays where it is.
    fn place_for_load(&mut self, n: u8, home: bool) -> V {
        let at = self.home(n);
        let v = if home && self.home_is_free(n) && self.value(n).places() >> at.0 & 1 == 0 { at } else { self.free_register() };
        self.hold(v);
        v
    }
}
