//! Register copies joined with the instruction that they are made for: x86 overwrites its first source, so compilers copy it before.
//!
//! `mov r, s` emits nothing where the next instruction that names `r` computes it anew from itself: that one reads `s`. Nothing in between names
//! `r`, writes `s`, can fault or leaves translated code, so nobody sees that `r` is late. The same goes for a NOT in front of AND, OR and XOR.

use super::context::Ctx;
use super::table;
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::optimize::Opt;

/// How far to look for the instruction that the copy is made for.
const REACH: usize = 12;

/// A copy that was left out: the region's instruction that reads `from` instead of its first operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Copy {
    reader: usize,
    from: u8,
    /// Of a complement: the NOT was left out.
    inverted: bool,
}

/// No memory operand apart from LEA's, no register but their operands.
const BETWEEN: u8 = 1;
/// Of these, those whose function asks for the first source ([`Ctx::first`], [`Ctx::first_xmm`]).
const READER: u8 = 2;
/// Of these, those that may be a copy.
const COPY: u8 = 4;

/// Of each mnemonic, for [`table::MARKS`].
pub(super) const ROLES: [u8; 2048] = {
    use Mnemonic::*;
    const READERS: &[Mnemonic] = &[
        Add, Sub, And, Or, Xor, Inc, Dec, Neg, Not, Shl, Sal, Shr, Sar, Rol, Ror, Imul, Bswap, Paddb, Paddw, Paddd, Paddq, Psubb, Psubw, Psubd, Psubq,
        Paddsb, Paddsw, Paddusb, Paddusw, Psubsb, Psubsw, Psubusb, Psubusw, Pmullw, Pmulld, Pavgb, Pavgw, Pminub, Pminuw, Pminud, Pminsb, Pminsw, Pminsd,
        Pmaxub, Pmaxuw, Pmaxud, Pmaxsb, Pmaxsw, Pmaxsd, Pcmpgtb, Pcmpgtw, Pcmpgtd, Pcmpgtq, Pcmpeqb, Pcmpeqw, Pcmpeqd, Pcmpeqq, Pand, Andps, Andpd, Por,
        Orps, Orpd, Pxor, Xorps, Xorpd, Pandn, Andnps, Andnpd, Pmulhw, Pmulhuw, Pmulhrsw, Pmuludq, Pmuldq, Pmaddwd, Pmaddubsw, Psadbw, Psllw, Pslld, Psllq,
        Psrlw, Psrld, Psrlq, Psraw, Psrad, Pslldq, Psrldq, Punpcklbw, Punpcklwd, Punpckldq, Punpcklqdq, Punpckhbw, Punpckhwd, Punpckhdq, Punpckhqdq, Packsswb,
        Packuswb, Packssdw, Packusdw, Pshufb,
    ];
    const COPIES: &[Mnemonic] = &[Mov, Movdqa, Movaps, Movapd, Movdqu, Movups, Movupd];
    const OTHERS: &[Mnemonic] = &[Movzx, Movsx, Movsxd, Lea, Cmp, Test, Nop, Movd, Movq, Pshufd];
    let mut table = [0; 2048];
    let mut i = 0;
    while i < READERS.len() {
        table[READERS[i] as usize] = BETWEEN | READER;
        i += 1;
    }
    i = 0;
    while i < COPIES.len() {
        table[COPIES[i] as usize] = BETWEEN | COPY;
        i += 1;
    }
    i = 0;
    while i < OTHERS.len() {
        table[OTHERS[i] as usize] = BETWEEN;
        i += 1;
    }
    table
};

/// A register by file and number: general ones, then XMM.
fn register(op: Op) -> Option<u8> {
    match op {
        Op::Gpr { n, .. } => Some(n),
        Op::Xmm(n) => Some(16 + n),
        _ => None,
    }
}

/// What an instruction without memory access has to do with register `r`; `None` if it is more than registers and constants that it names.
fn names(insn: &Insn, r: u8) -> Option<bool> {
    // The product of one operand has RAX and RDX for the others.
    if insn.mnemonic() == Mnemonic::Imul && insn.op_count() == 1 {
        return None;
    }
    let mut found = false;
    for i in 0..insn.op_count() {
        found |= match insn.op(i) {
            Op::Gpr { n, .. } => n == r,
            Op::Xmm(n) => 16 + n == r,
            Op::Imm(_) => false,
            Op::Mem if insn.mnemonic() == Mnemonic::Lea => {
                let m = insn.memory();
                m.base == Some(r) || m.index == Some(r)
            }
            _ => return None,
        };
    }
    Some(found)
}

/// The copy that an instruction is: to, from, and how many bytes count (of which a general register's rest becomes zero).
fn copy(insn: &Insn) -> Option<(u8, u8, u8)> {
    let from = register(insn.op(1))?;
    match insn.op(0) {
        Op::Gpr { n, bytes: bytes @ 4.., .. } if n != from => Some((n, from, bytes)),
        Op::Xmm(n) if 16 + n != from => Some((16 + n, from, 16)),
        _ => None,
    }
}

/// Does it compute its first operand from that of which at least `bytes` count, and from nothing else that is `r`?
fn reads_first(insn: &Insn, r: u8, bytes: u8) -> bool {
    let wide_enough = match insn.op(0) {
        // 16 and 8 bits leave the rest of the register as it was.
        Op::Gpr { bytes: b @ 4.., .. } => b <= bytes,
        Op::Xmm(_) => true,
        _ => false,
    };
    let shape = match insn.mnemonic() {
        Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr | Mnemonic::Sar | Mnemonic::Rol | Mnemonic::Ror => matches!(insn.op(1), Op::Imm(n) if n & 31 != 0),
        Mnemonic::Imul => insn.op_count() == 2,
        _ => true,
    };
    wide_enough && shape && register(insn.op(0)) == Some(r) && (1..insn.op_count()).all(|i| register(insn.op(i)) != Some(r))
}

impl Ctx<'_> {
    /// If the current instruction, of these [marks](table::MARKS), is a copy that another one can do without, notes that and emits nothing.
    #[inline]
    pub(super) fn leaves_out_copy(&mut self, insn: &Insn, marks: u8) -> bool {
        // Most moves are loads, stores or constants.
        marks & COPY != 0 && insn.has_two_registers() && self.leaves_out_register_copy(insn)
    }
    #[inline(never)]
    fn leaves_out_register_copy(&mut self, insn: &Insn) -> bool {
        if !self.options.switches.on(Opt::Copies) {
            return false;
        }
        let Some((r, from, bytes)) = copy(insn) else { return false };
        // XMM registers are the groups' where there are any.
        if self.groups.wanted && r >= 16 {
            return false;
        }
        let Some(reader) = self.reader(r, from, bytes) else { return false };
        self.copies.push(Copy { reader, from, inverted: false });
        true
    }
    /// If the current instruction, NOT of register `r` with its operand in `from`, can be part of the logic that follows, notes that and emits nothing.
    pub(super) fn leaves_out_not(&mut self, r: u8, from: u8, bytes: u8) -> bool {
        use Mnemonic::*;
        if !self.options.switches.on(Opt::Copies) || !self.options.switches.on(Opt::DeadFlags) {
            return false;
        }
        let Some(reader) = self.reader(r, from, bytes) else { return false };
        let logic = &self.region.insns[reader];
        if !matches!(logic.mnemonic(), And | Or | Xor) || !matches!(logic.op(1), Op::Gpr { .. }) || logic.live != 0 {
            return false;
        }
        self.copies.push(Copy { reader, from, inverted: true });
        true
    }

    /// The instruction that computes `r`, of which `bytes` count, anew from itself and could as well from `s`.
    fn reader(&self, r: u8, s: u8, bytes: u8) -> Option<usize> {
        let block = &self.region.blocks[self.block];
        let end = (block.first + block.count).min(self.index + 1 + REACH);
        for (i, next) in (self.index + 1..).zip(&self.region.insns[self.index + 1..end]) {
            let role = table::marks(next);
            // A group that ends may leave.
            if role & BETWEEN == 0 || self.groups.wanted && !super::group_kind::is_beside(next) {
                return None;
            }
            if names(next, r)? {
                return (role & READER != 0 && reads_first(next, r, bytes)).then_some(i);
            }
            if register(next.op(0)) == Some(s) {
                return None;
            }
        }
        None
    }

    fn take(&mut self, inverted: bool) -> Option<u8> {
        let at = self.index;
        let i = self.copies.iter().position(|c| c.reader == at && c.inverted == inverted)?;
        Some(self.copies.swap_remove(i).from)
    }
    /// The number of what stands for general register `n`, of four bytes or more, as the first source of the current instruction, which overwrites it.
    pub(super) fn first_number(&mut self, n: u8) -> u8 {
        self.take(false).unwrap_or(n)
    }
    /// The register itself.
    pub(super) fn first(&mut self, n: u8) -> X {
        gpr(self.first_number(n))
    }
    /// The same for an XMM register.
    pub(super) fn first_xmm(&mut self, n: u8) -> V {
        xmm(self.take(false).map_or(n, |s| s - 16))
    }
    /// The register whose complement is the first source of the current instruction, if a NOT was left out.
    pub(super) fn first_inverted(&mut self) -> Option<X> {
        self.take(true).map(gpr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode_one;
    use crate::guest::Addr;
    use crate::translate::tests::{BASE, encodings};

    /// What stands between a copy and its reader uses no register that it does not name, and writes its first operand at most.
    #[test]
    fn nothing_is_used_unnamed() {
        let mut looked_at = 0;
        encodings(|bytes| {
            let Some(insn) = decode_one(bytes, Addr(BASE)).filter(|i| table::marks(i) & (BETWEEN | READER | COPY) != 0) else { return };
            // No register: only whether it is one of those that are looked at.
            if names(&insn, 255).is_none() {
                return;
            }
            looked_at += 1;
            for (general, n, writes) in insn.used_registers() {
                let r = if general { n } else { 16 + n };
                assert_eq!(names(&insn, r), Some(true), "{bytes:02x?} uses {r}");
                assert!(!writes || register(insn.op(0)) == Some(r), "{bytes:02x?} writes {r}");
            }
        });
        assert!(looked_at > 5_000, "{looked_at}");
    }
}
