//! Addresses relative to RIP near one that T7 holds already: constants of a function lie side by side, and each address is a literal's load.
//!
//! T7 is what the address of a memory operand is made in. It still holds the last one where only instructions of [`KEEPS`] came since, whose
//! functions write it nowhere else, and none of them made another address in it.

use super::context::Ctx;
use crate::decode::{Insn, MemOperand, Mnemonic, Op};
use crate::emit::Mem;
use crate::emit::regs::*;

/// An address in T7.
#[derive(Clone, Copy)]
pub(super) struct Near {
    address: u64,
    /// Index of the instruction that it was made for.
    of: usize,
}

/// How far to look back.
const REACH: usize = 24;

/// Instructions that write T7 only for their operand's address.
static KEEPS: [bool; 2048] = {
    use Mnemonic::*;
    const LIST: &[Mnemonic] = &[
        Mov, Lea, Movzx, Movsx, Movsxd, Cdqe, Nop, Add, Sub, Cmp, Test, And, Or, Xor, Inc, Dec, Neg, Not,
        Movaps, Movapd, Movups, Movupd, Movdqa, Movdqu, Movss, Movsd, Movq, Movd, Vmovaps, Vmovapd, Vmovups, Vmovupd, Vmovdqa, Vmovdqu, Vmovss, Vmovsd, Vmovq, Vmovd,
        Addss, Addsd, Addps, Addpd, Subss, Subsd, Subps, Subpd, Mulss, Mulsd, Mulps, Mulpd, Divss, Divsd, Divps, Divpd, Sqrtss, Sqrtsd,
        Vaddss, Vaddsd, Vaddps, Vaddpd, Vsubss, Vsubsd, Vsubps, Vsubpd, Vmulss, Vmulsd, Vmulps, Vmulpd, Vdivss, Vdivsd, Vdivps, Vdivpd, Vsqrtss, Vsqrtsd,
        Ucomiss, Ucomisd, Comiss, Comisd, Vucomiss, Vucomisd, Vcomiss, Vcomisd, Cvtsi2ss, Cvtsi2sd, Cvtss2sd, Cvtsd2ss, Vcvtsi2ss, Vcvtsi2sd, Vcvtss2sd, Vcvtsd2ss,
        Andps, Andpd, Andnps, Andnpd, Orps, Orpd, Xorps, Xorpd, Pxor, Vandps, Vandpd, Vandnps, Vandnpd, Vorps, Vorpd, Vxorps, Vxorpd, Vpxor, Unpcklpd, Unpckhpd, Vunpcklpd, Vunpckhpd,
        Pand, Pandn, Por, Paddb, Paddw, Paddd, Paddq, Psubb, Psubw, Psubd, Psubq, Pmullw, Pmulhw, Pmulhuw, Pmulld, Pmuludq, Pmaddwd, Psllw, Pslld, Psllq, Psrlw, Psrld, Psrlq, Psraw, Psrad,
        Pcmpeqb, Pcmpeqw, Pcmpeqd, Pcmpgtb, Pcmpgtw, Pcmpgtd, Pminub, Pmaxub, Pminsw, Pmaxsw, Pavgb, Pavgw, Pshufd, Pshuflw, Pshufhw, Pshufb, Punpcklbw, Punpcklwd, Punpckldq, Punpcklqdq,
        Punpckhbw, Punpckhwd, Punpckhdq, Punpckhqdq, Packsswb, Packuswb, Packssdw, Shl, Shr, Sar, Movsldup, Movshdup, Haddpd, Haddps, Shufps, Shufpd, Unpcklps, Unpckhps,
        Vfmadd132ss, Vfmadd213ss, Vfmadd231ss, Vfmsub132ss, Vfmsub213ss, Vfmsub231ss, Vfnmadd132ss, Vfnmadd213ss, Vfnmadd231ss, Vfnmsub132ss, Vfnmsub213ss, Vfnmsub231ss,
        Vfmadd132sd, Vfmadd213sd, Vfmadd231sd, Vfmsub132sd, Vfmsub213sd, Vfmsub231sd, Vfnmadd132sd, Vfnmadd213sd, Vfnmadd231sd, Vfnmsub132sd, Vfnmsub213sd, Vfnmsub231sd,
    ];
    let mut table = [false; 2048];
    let mut i = 0;
    while i < LIST.len() {
        table[LIST[i] as usize] = true;
        i += 1;
    }
    table
};

impl Ctx<'_> {
    /// Where an operand relative to RIP is, if T7 holds an address so near that the access has room for the difference.
    pub(super) fn near_operand(&self, m: &MemOperand) -> Option<Mem> {
        let near = self.near?;
        let since = self.region.insns.get(near.of..=self.index)?;
        let insn = since.last()?;
        // SSE2's MOVSD bears the name of a string instruction.
        let keeps = |i: &Insn| KEEPS[i.mnemonic() as usize] && !i.lock() && (i.op(0), i.op(1)) != (Op::Mem, Op::Mem);
        if since.len() > REACH || !since.iter().all(keeps) {
            return None;
        }
        let off = (m.disp as u64).wrapping_sub(near.address) as i64;
        let bytes = match insn.memory_bytes() {
            // LEA: an addition.
            0 => 1,
            n @ (1 | 2 | 4 | 8 | 16) => i64::from(n),
            _ => return None,
        };
        let fits = (-256..256).contains(&off) || off % bytes == 0 && (0..4096 * bytes).contains(&off);
        fits.then_some(Mem::Off(T[7], off))
    }
    /// T7 holds the address of the operand relative to RIP.
    pub(super) fn is_near(&mut self, m: &MemOperand) {
        if self.knows_near {
            self.near = Some(Near { address: m.disp as u64, of: self.index });
        }
    }
}
