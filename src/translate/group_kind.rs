//! Which instructions work inside a group, and how far a group goes on. What touches no vector register goes on beside it; everything else ends
//! the group first.

use super::context::Ctx;
use super::group_insns::*;
use super::group_values::Value;
use super::groups::upper;
#[cfg(test)]
use crate::decode::is_arithmetic;
use crate::decode::{Code, FlagEffects, Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{F3, Fp, ops::*};
use crate::emit::{Alu, Shift, Size};
use crate::optimize::Opt;

/// Numbers of base and index, and the scale's logarithm.
pub(super) type Sum = (u8, u8, u8);

/// What an instruction is to a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `d = a op b`.
    Arith(F3, Fp),
    /// `d = √b`, the rest a's.
    Root(Fp),
    /// A whole register from a register or memory, or to memory.
    Move,
    /// The low bytes: from memory with zeros above, to memory, or from a register into the first source.
    MoveLow(u32),
    /// The low bytes, zeros above.
    Load(u32),
    /// To flags; true: invalid on quiet NaNs too.
    Compare(Fp, bool),
    /// A general register as a floating-point number.
    FromInteger(Fp),
    /// Double to single or back: what it reads.
    Convert(Fp),
    /// Doublewords interleaved: the lower or the upper ones.
    Interleave(bool),
    /// Bitwise.
    Bits(Logic),
    /// A fused product and sum.
    Fused,
    /// No vector register, no way out of translated code.
    Beside,
    /// None of these.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logic {
    And,
    AndNot,
    Or,
    Xor,
}

#[test]
fn arithmetic_is_what_makes_something_pending() {
    let code = |bytes: &[u8]| crate::decode::decode_one(bytes, crate::guest::Addr(0x1000)).expect("a whole instruction");
    for (bytes, wanted) in [(&[0xf2, 0x0f, 0x58, 0xc1][..], true), (&[0x0f, 0x51, 0xc1], true), (&[0xc4, 0xe2, 0xf1, 0xb8, 0xc2], true), (&[0x0f, 0x28, 0xc1], false), (&[0x66, 0x0f, 0x2e, 0xc1], false), (&[0x01, 0xc8], false)] {
        let insn = code(bytes);
        assert_eq!(is_arithmetic(insn.mnemonic()), wanted, "{:?}", insn.mnemonic());
        assert_eq!(matches!(kind(&insn), Kind::Arith(..) | Kind::Root(_) | Kind::Convert(_) | Kind::Fused), wanted, "{:?}", insn.mnemonic());
    }
}

fn kind(insn: &Insn) -> Kind {
    use Kind::*;
    use Mnemonic::*;
    macro_rules! arith { ($($ps:ident $pd:ident $ss:ident $sd:ident $op:expr;)*) => {
        match insn.mnemonic() {
            $($ps => return Arith($op, Fp::S4), $pd => return Arith($op, Fp::D2), $ss => return Arith($op, Fp::S), $sd => return Arith($op, Fp::D),)*
            _ => {}
        }
    } }
    arith! {
        Addps Addpd Addss Addsd FADD;
        Subps Subpd Subss Subsd FSUB;
        Mulps Mulpd Mulss Mulsd FMUL;
        Divps Divpd Divss Divsd FDIV;
        Vaddps Vaddpd Vaddss Vaddsd FADD;
        Vsubps Vsubpd Vsubss Vsubsd FSUB;
        Vmulps Vmulpd Vmulss Vmulsd FMUL;
        Vdivps Vdivpd Vdivss Vdivsd FDIV;
    }
    match insn.mnemonic() {
        Sqrtps | Vsqrtps => Root(Fp::S4),
        Sqrtpd | Vsqrtpd => Root(Fp::D2),
        Sqrtss | Vsqrtss => Root(Fp::S),
        Sqrtsd | Vsqrtsd => Root(Fp::D),
        Movaps | Movapd | Movdqa | Movups | Movupd | Movdqu | Vmovaps | Vmovapd | Vmovdqa | Vmovups | Vmovupd | Vmovdqu => Move,
        Movss | Vmovss => MoveLow(4),
        // SSE2's bears the name of a string instruction.
        Movsd if matches!(insn.code(), Code::Movsd_xmm_xmmm64 | Code::Movsd_xmmm64_xmm) => MoveLow(8),
        Vmovsd => MoveLow(8),
        Movq | Vmovq if insn.op(0) == Op::Mem || insn.op(1) == Op::Mem => Load(8),
        Movd | Vmovd if insn.op(0) == Op::Mem || insn.op(1) == Op::Mem => Load(insn.memory_bytes()),
        Movq | Vmovq if matches!((insn.op(0), insn.op(1)), (Op::Xmm(_), Op::Xmm(_))) => Load(8),
        Ucomiss | Vucomiss => Compare(Fp::S, false),
        Ucomisd | Vucomisd => Compare(Fp::D, false),
        Comiss | Vcomiss => Compare(Fp::S, true),
        Comisd | Vcomisd => Compare(Fp::D, true),
        Cvtsi2sd | Vcvtsi2sd => FromInteger(Fp::D),
        Cvtsi2ss | Vcvtsi2ss => FromInteger(Fp::S),
        Cvtss2sd | Vcvtss2sd => Convert(Fp::S),
        Cvtsd2ss | Vcvtsd2ss => Convert(Fp::D),
        Unpcklpd | Punpcklqdq | Vunpcklpd | Vpunpcklqdq => Interleave(false),
        Unpckhpd | Punpckhqdq | Vunpckhpd | Vpunpckhqdq => Interleave(true),
        Andps | Andpd | Pand | Vandps | Vandpd | Vpand => Bits(Logic::And),
        Andnps | Andnpd | Pandn | Vandnps | Vandnpd | Vpandn => Bits(Logic::AndNot),
        Orps | Orpd | Por | Vorps | Vorpd | Vpor => Bits(Logic::Or),
        Xorps | Xorpd | Pxor | Vxorps | Vxorpd | Vpxor => Bits(Logic::Xor),
        Mov | Lea | Movzx | Movsx | Movsxd | Cdqe | Nop | Add | Sub | Cmp | Test | And | Or | Xor | Inc | Dec | Neg | Not => beside(insn),
        Shl | Shr | Sar | Sal | Adc | Sbb if matches!(insn.op(1), Op::Imm(_)) => beside(insn),
        m if (Vfmadd132pd as usize..=Vfnmsubss as usize).contains(&(m as usize)) && super::table::handler(insn).is_some() => Fused,
        _ => Other,
    }
}

/// Does it go on beside a group?
pub(super) fn is_beside(insn: &Insn) -> bool {
    kind(insn) == Kind::Beside
}

fn beside(insn: &Insn) -> Kind {
    let general = |i: u32| matches!(insn.op(i), Op::Gpr { .. } | Op::Mem | Op::Imm(_));
    if !insn.lock() && (0..insn.op_count()).all(general) { Kind::Beside } else { Kind::Other }
}

/// No MMX register, and no YMM register?
fn is_narrow(insn: &Insn) -> bool {
    (0..insn.op_count()).all(|i| !matches!(insn.op(i), Op::Ymm(_) | Op::Mmx(_)))
}

/// Is the instruction one of 256 bits?
pub(super) fn is_wide(insn: &Insn) -> bool {
    matches!(insn.op(0), Op::Ymm(_)) || matches!(insn.op(1), Op::Ymm(_))
}

/// Does the upper doubleword of the destination, if it is not zero, stay where it lies? A scalar result is merged into it.
fn stays(insn: &Insn, kind: Kind, zero_from: u8) -> bool {
    let same = (1..insn.op_count()).all(|i| insn.op(i) == insn.op(0));
    zero_from > 8 && match kind {
        Kind::Interleave(high) => high && same,
        Kind::Arith(_, fp) | Kind::Root(fp) => fp.scalar() && !insn.is_vex(),
        _ => false,
    }
}

impl Ctx<'_> {
    /// Where groups are [wanted](super::groups::Groups::wanted): translates an instruction inside a group if it can be; if not, and it may meet the group's
    /// registers, ends the group.
    #[inline(never)]
    pub(super) fn in_group(&mut self, insn: &Insn) -> bool {
        if !self.groups.active {
            // Most instructions have nothing to do with groups.
            let vector = (0..insn.op_count()).any(|i| matches!(insn.op(i), Op::Xmm(_) | Op::Ymm(_)));
            if !vector {
                if self.groups.known && kind(insn) == Kind::Other {
                    self.forget_values();
                }
                self.sum = None;
                return false;
            }
        }
        self.resume = insn.addr();
        self.find_kinds();
        let kind = self.groups.kinds[self.index - self.region.blocks[self.block].first];
        match kind {
            Kind::Beside => {
                self.sum = None;
                self.settle_rereads(insn);
                self.mark();
                return false;
            }
            Kind::Other => {
                self.sum = None;
                let FlagEffects { reads, kills } = insn.flags;
                let live = self.live;
                // Flags as they are needed in front of it.
                self.live = if self.options.switches.on(Opt::DeadFlags) { live & !kills | reads } else { live };
                self.end_group();
                self.forget_values();
                self.live = live;
                return false;
            }
            _ => {}
        }
        self.settle_rereads(insn);
        (self.groups.active, self.groups.known) = (true, true);
        self.group_ready(insn);
        self.groups.active = true;
        self.mark();
        self.in_groups_insn = true;
        match kind {
            Kind::Arith(op, fp) => arith(self, insn, op, fp),
            Kind::Root(fp) => root(self, insn, fp),
            Kind::Move => whole_move(self, insn),
            Kind::MoveLow(bytes) => low_move(self, insn, bytes),
            Kind::Load(bytes) => load(self, insn, bytes),
            Kind::Compare(fp, signal) => compare(self, insn, fp, signal),
            Kind::FromInteger(fp) => from_integer(self, insn, fp),
            Kind::Convert(fp) => convert(self, insn, fp),
            Kind::Interleave(high) => interleave(self, insn, high),
            Kind::Bits(logic) => bits(self, insn, logic),
            Kind::Fused => super::avx_fma::in_group(self, insn),
            Kind::Beside | Kind::Other => {}
        }
        self.in_groups_insn = false;
        if insn.is_vex()
            && let Op::Xmm(n) = insn.op(0)
            && !matches!(kind, Kind::Compare(..))
        {
            self.group_clear_upper(n);
        }
        self.resume = insn.next();
        if !self.group_goes_on() {
            self.end_group();
        }
        true
    }

    fn group_kind(&self, insn: &Insn) -> Kind {
        let kind = kind(insn);
        let alone = matches!(kind, Kind::Arith(..) | Kind::Root(_) | Kind::Convert(_) | Kind::Fused) && !self.options.nans.is_empty() && self.options.nans.contains(&insn.addr().0);
        // What alignment is asked for the family's own functions know.
        let alone = alone || self.options.strict_align && insn.has_memory();
        let offered = !insn.is_vex() || self.options.xcr0 & crate::guest::cpuid::XCR0_AVX != 0;
        if matches!(kind, Kind::Beside | Kind::Other) || !alone && offered && self.fits_group(insn, kind) { kind } else { Kind::Other }
    }
    /// 256 bits: only what is worth it, on registers whose upper halves the region holds.
    fn fits_group(&self, insn: &Insn, kind: Kind) -> bool {
        if is_narrow(insn) {
            return true;
        }
        let held = |i: u32| match insn.op(i) {
            Op::Ymm(n) => self.held_upper(n).is_some(),
            Op::Mem => insn.memory_bytes() == 32,
            _ => false,
        };
        matches!(kind, Kind::Arith(..) | Kind::Move | Kind::Fused) && (0..insn.op_count()).all(held)
    }
    /// A 128-bit form clears the upper half.
    fn group_clear_upper(&mut self, n: u8) {
        if self.held_upper(n).is_none() || self.zero_uppers >> n & 1 != 0 {
            return self.clear_upper(n);
        }
        self.upper_changes(n);
        self.zero_uppers |= 1 << n;
        let t = self.target(upper(n));
        self.a.vzero(t);
        self.set_value(upper(n), Value::whole(t));
        self.record_value(upper(n));
    }

    /// What the instructions of the current block are, found out once.
    pub(super) fn find_kinds(&mut self) {
        if self.groups.kinds_of != self.block {
            let block = &self.region.blocks[self.block];
            let mut kinds = std::mem::take(&mut self.groups.kinds);
            kinds.clear();
            kinds.extend(self.region.insns[block.first..block.first + block.count].iter().map(|i| self.group_kind(i)));
            (self.groups.kinds, self.groups.kinds_of) = (kinds, self.block);
        }
    }
    /// The instructions behind the current one in its block.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&Insn, Kind)> {
        let block = &self.region.blocks[self.block];
        let next = self.index + 1;
        self.region.insns[next..block.first + block.count].iter().zip(self.groups.kinds[next - block.first..].iter().copied())
    }
    /// Does an instruction follow in the block that works inside this group?
    fn group_goes_on(&self) -> bool {
        for (_, kind) in self.rest() {
            match kind {
                Kind::Beside => {}
                Kind::Other => return false,
                _ => return true,
            }
        }
        false
    }
    /// Is the sum of base and index in T6, where it is now if the group's instructions from here on, which change no general register, would add them
    /// more than once?
    pub(super) fn shares_sum(&mut self, sum: Sum) -> bool {
        if !self.in_groups_insn || !self.options.switches.on(Opt::SharedSums) {
            return false;
        }
        if self.sum == Some(sum) {
            return true;
        }
        // Without a displacement 16 bytes or less are reached by both registers.
        let adds = |insn: &Insn| {
            let m = insn.memory();
            insn.has_memory() && (m.base, m.index, m.scale) == (Some(sum.0), Some(sum.1), sum.2) && m.segment.is_none() && !m.addr32 && (m.disp != 0 || insn.memory_bytes() == 32)
        };
        let near = self.rest().take_while(|(_, kind)| !matches!(kind, Kind::Beside | Kind::Other));
        let now = usize::from(adds(&self.region.insns[self.index]));
        if now + near.filter(|(insn, _)| adds(insn)).count() < 2 {
            return false;
        }
        self.a.alu_shift(Alu::Add, Size::X, T[6], gpr(sum.0), gpr(sum.1), Shift::Lsl, sum.2 as u32);
        self.sum = Some(sum);
        true
    }
    /// Will register `n`, now zero from a byte on, get another value inside the group, of which nothing stays where this one is?
    pub(super) fn is_replaced(&self, n: u8, zero_from: u8) -> bool {
        for (insn, kind) in self.rest() {
            match kind {
                Kind::Beside | Kind::Compare(..) => {}
                Kind::Other => return false,
                _ if matches!(insn.op(0), Op::Xmm(m) | Op::Ymm(m) if m == n & 15) && !(n < 16 && stays(insn, kind, zero_from)) => return true,
                _ => {}
            }
        }
        false
    }
    /// Pending registers that should be looked at now that `n` must be: those that no arithmetic reads later.
    fn worth_a_look(&self, n: u8) -> u32 {
        let mut set = 1 << n;
        for m in (0..32u8).filter(|&m| m != n && self.is_pending(m)) {
            let mut read_later = false;
            for (insn, kind) in self.rest() {
                if kind == Kind::Other {
                    break;
                }
                let reads = (0..insn.op_count()).any(|i| matches!(insn.op(i), Op::Xmm(k) | Op::Ymm(k) if k == m & 15));
                if reads {
                    read_later = matches!(kind, Kind::Arith(..) | Kind::Root(_) | Kind::Convert(_) | Kind::Fused | Kind::Move) && insn.op(0) != Op::Mem;
                    break;
                }
            }
            if !read_later {
                set |= 1 << m;
            }
        }
        set
    }
    /// Looks at `n` if it is pending.
    pub(super) fn settle_value(&mut self, n: u8) {
        if self.is_pending(n) {
            let set = self.worth_a_look(n);
            self.look_at(set);
        }
    }
}
