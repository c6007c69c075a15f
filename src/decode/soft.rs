//! Immediate operands that are read when the instruction runs: where a program rewrites them again and again, one translation serves all values.
//!
//! The same instruction is said in another form, whose operand lies in memory: where the immediate is. Address and length stay what they are.

use super::insn::Insn;
use super::region::Region;
use crate::guest::Addr;
use iced_x86::{Code, CodeSize, Instruction, OpKind, Register};
use std::ops::Range;

/// Form with an immediate, form with memory, bytes of the immediate.
const FORMS: &[(Code, Code, u64)] = &[
    (Code::Mov_r32_imm32, Code::Mov_r32_rm32, 4),
    (Code::Mov_r64_imm64, Code::Mov_r64_rm64, 8),
    (Code::Mov_r8_imm8, Code::Mov_r8_rm8, 1),
    (Code::Mov_rm32_imm32, Code::Mov_r32_rm32, 4),
    (Code::Mov_rm64_imm32, Code::Movsxd_r64_rm32, 4),
    (Code::Add_EAX_imm32, Code::Add_r32_rm32, 4),
    (Code::Or_EAX_imm32, Code::Or_r32_rm32, 4),
    (Code::And_EAX_imm32, Code::And_r32_rm32, 4),
    (Code::Sub_EAX_imm32, Code::Sub_r32_rm32, 4),
    (Code::Xor_EAX_imm32, Code::Xor_r32_rm32, 4),
    (Code::Cmp_EAX_imm32, Code::Cmp_r32_rm32, 4),
    (Code::Add_rm32_imm32, Code::Add_r32_rm32, 4),
    (Code::Or_rm32_imm32, Code::Or_r32_rm32, 4),
    (Code::And_rm32_imm32, Code::And_r32_rm32, 4),
    (Code::Sub_rm32_imm32, Code::Sub_r32_rm32, 4),
    (Code::Xor_rm32_imm32, Code::Xor_r32_rm32, 4),
    (Code::Cmp_rm32_imm32, Code::Cmp_r32_rm32, 4),
    (Code::Add_AL_imm8, Code::Add_r8_rm8, 1),
    (Code::Or_AL_imm8, Code::Or_r8_rm8, 1),
    (Code::And_AL_imm8, Code::And_r8_rm8, 1),
    (Code::Sub_AL_imm8, Code::Sub_r8_rm8, 1),
    (Code::Xor_AL_imm8, Code::Xor_r8_rm8, 1),
    (Code::Cmp_AL_imm8, Code::Cmp_r8_rm8, 1),
    (Code::Add_rm8_imm8, Code::Add_r8_rm8, 1),
    (Code::Or_rm8_imm8, Code::Or_r8_rm8, 1),
    (Code::And_rm8_imm8, Code::And_r8_rm8, 1),
    (Code::Sub_rm8_imm8, Code::Sub_r8_rm8, 1),
    (Code::Xor_rm8_imm8, Code::Xor_r8_rm8, 1),
    (Code::Cmp_rm8_imm8, Code::Cmp_r8_rm8, 1),
];

/// The form with memory of an instruction whose immediate can be read there, and how long that is. An immediate is an instruction's end.
fn form(insn: &Insn) -> Option<(Code, u64)> {
    let (_, code, bytes) = FORMS.iter().find(|f| f.0 == insn.code())?;
    (insn.raw.op0_kind() == OpKind::Register && !insn.lock()).then_some((*code, *bytes))
}

/// Guest addresses of the immediates of a region that can be read when it runs.
pub fn soft_fields(region: &Region) -> impl Iterator<Item = Range<u64>> {
    region.insns.iter().filter_map(|insn| form(insn).map(|(_, bytes)| insn.next().0 - bytes..insn.next().0))
}

/// Has those immediates read from memory that `wanted` names by their guest address.
pub fn soften(region: &mut Region, wanted: impl Fn(Addr) -> bool) {
    for insn in &mut region.insns {
        let Some((code, bytes)) = form(insn).filter(|(_, bytes)| wanted(Addr(insn.next().0 - bytes))) else { continue };
        let mut raw = Instruction::default();
        raw.set_code(code);
        raw.set_op0_kind(OpKind::Register);
        raw.set_op0_register(insn.raw.op0_register());
        raw.set_op1_kind(OpKind::Memory);
        raw.set_memory_base(Register::RIP);
        raw.set_memory_displ_size(8);
        raw.set_memory_displacement64(insn.raw.next_ip() - bytes);
        raw.set_len(insn.raw.len());
        raw.set_next_ip(insn.raw.next_ip());
        raw.set_code_size(CodeSize::Code64);
        insn.raw = raw;
        insn.annotate();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{CodeAt, Limits, Op, decode_region};

    #[test]
    fn the_same_instruction_in_another_form() {
        // add ecx, 0x11223344; mov rdx, -5; mov r9, 0x1122334455667788; xor sil, 9; push 7
        let code = b"\x81\xc1\x44\x33\x22\x11\x48\xc7\xc2\xfb\xff\xff\xff\x49\xb9\x88\x77\x66\x55\x44\x33\x22\x11\x40\x80\xf6\x09\x6a\x07";
        let mut region = decode_region(&CodeAt(Addr(0x1000), code), Addr(0x1000), Limits { segments: 1, ..Limits::default() });
        let plain = region.clone();
        assert_eq!(soft_fields(&region).collect::<Vec<_>>(), [0x1002..0x1006, 0x1009..0x100d, 0x100f..0x1017, 0x101a..0x101b]);
        soften(&mut region, |at| at != Addr(0x1009));
        for (n, (soft, hard)) in region.insns.iter().zip(&plain.insns).enumerate() {
            assert_eq!((soft.addr(), soft.next(), soft.op(0), soft.flags), (hard.addr(), hard.next(), hard.op(0), hard.flags), "{n}");
            assert_eq!((soft.mnemonic(), soft.bytes(0)), (hard.mnemonic(), hard.bytes(0)), "{n}");
            let changed = [0, 2, 3].contains(&n);
            assert_eq!(soft.op(1) != hard.op(1), changed, "{n}");
            if changed {
                let m = soft.memory();
                assert_eq!((soft.op(1), m.rip, m.segment, m.addr32), (Op::Mem, true, None, false));
                assert_eq!(m.disp as u64 + soft.memory_bytes() as u64, soft.next().0);
            }
        }
        // Sign-extended: the mnemonic is another.
        soften(&mut region, |_| true);
        assert_eq!((region.insns[1].mnemonic(), region.insns[1].memory_bytes()), (crate::decode::Mnemonic::Movsxd, 4));
    }
}
