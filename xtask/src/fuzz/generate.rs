//! Makes a case of a form: operands, prefixes, immediates, and a state in which the instruction can do its work.
//!
//! The state is background noise; what the instruction names or implies gets values biased to edges, pointers get valid addresses
//! in the data. A case may be framed by other instructions: one before it that leaves the flags in another of the translator's
//! internal forms, and one behind it that reads some flags only, the rest being overwritten.

use super::case::{Case, DATA, PROTECT_LOWER, PROTECT_UPPER, Record, Volatile, at};
use super::memory::Memory;
use super::random::Random;
use super::undefined::{self, flag};
use super::values::{self, Lanes};
use iced_x86::{
    Code, Decoder, DecoderOptions, Encoder, EncodingKind, Instruction, InstructionInfoFactory, Mnemonic, OpCodeOperandKind, OpKind,
    Register, RflagsBits,
};

/// Where a case says which way a branch went.
const MARKER: u64 = DATA + 0x3f0;
/// Data that operands lie in.
pub(super) const OPERANDS: u64 = DATA + 0x100;

/// Makes a case; None if the random choices do not make an instruction.
pub fn case(code: Code, form: usize, slot: u32, seed: u32) -> Option<Case> {
    // The choices have a stream of their own: the background must depend on the seed alone.
    let mut r = Random::new((seed as u64) << 32 | 0x5eed);
    let lanes = Lanes::of(code);
    let mut g = Generator { r: &mut r, code, memory: None, slot, lanes, protect: 0 };
    g.case(form, seed)
}

/// What a case is made of while it is made.
pub(super) struct Generator<'a> {
    pub(super) r: &'a mut Random,
    pub(super) code: Code,
    pub(super) memory: Option<Memory>,
    slot: u32,
    /// What the lanes of vector operands hold.
    pub(super) lanes: Lanes,
    /// Bits of the record's needs that take rights from a page of the data.
    pub(super) protect: u32,
}

impl Generator<'_> {
    fn case(&mut self, form: usize, seed: u32) -> Option<Case> {
        let mut record = Record::background(seed);
        record.set32(at::SLOT, self.slot);
        let base = record.address();
        let before: &[u8] = match self.r.below(12) {
            0 => &[0x39, 0xc8],
            1 => &[0xf8],
            2 => &[0xf9],
            3 => &[0xf5],
            _ => &[],
        };
        let branch = self.is_branch();
        if !branch && self.r.one_in(10) {
            // A page that may be neither read nor written, or only read.
            self.protect = self.r.pick(&[PROTECT_LOWER, PROTECT_UPPER, PROTECT_UPPER]) * self.r.pick(&[1, 1, 2]);
        }
        let mut insn = self.instruction(base + before.len() as u64)?;
        let mut bytes = self.encode(&insn, base + before.len() as u64)?;
        // The decoder must agree that these bytes are this form; then what it says of the instruction holds.
        insn = Decoder::with_ip(64, &bytes, base + before.len() as u64, DecoderOptions::AMD).decode();
        if insn.code() != self.code || insn.len() != bytes.len() {
            return None;
        }
        self.state(&mut record, &insn);
        let cl = record.gpr(1);
        let mut undefined_flags = undefined::flags(&insn, cl);
        if undefined::result(&insn, cl) {
            return None;
        }
        let length = bytes.len();
        if branch {
            bytes.extend_from_slice(&mark(0x11));
        } else if self.protect == 0 && insn.rflags_modified() & STATUS != 0 && self.r.one_in(3) {
            let condition = self.r.below(16) as u8;
            if reads(condition) & undefined_flags == 0 {
                if self.r.one_in(2) {
                    let address = (MARKER as u32).to_le_bytes();
                    bytes.extend_from_slice(&[0x0f, 0x90 | condition, 0x04, 0x25, address[0], address[1], address[2], address[3]]);
                } else {
                    bytes.extend_from_slice(&[0x70 | condition, 8]);
                    bytes.extend_from_slice(&mark(condition));
                }
                // cmp esp, esp: no other flag is read.
                bytes.extend_from_slice(&[0x39, 0xe4]);
                undefined_flags = 0;
            }
        }
        if !record.set_code(&[before, &bytes].concat()) {
            return None;
        }
        let involved = involved(&insn);
        let volatile = undefined::volatile(&insn, &record);
        Some(Case {
            record,
            seed,
            form,
            start: before.len(),
            len: before.len() + length,
            undefined_flags,
            locked: insn.has_lock_prefix(),
            involved,
            volatile,
        })
    }

    /// True if control goes elsewhere, over a marker.
    fn is_branch(&self) -> bool {
        let near = |k: &OpCodeOperandKind| matches!(k, OpCodeOperandKind::br64_1 | OpCodeOperandKind::br64_4);
        matches!(self.code, Code::Jmp_rm64 | Code::Call_rm64 | Code::Retnq | Code::Retnq_imm16)
            || self.code.op_code().op_kinds().iter().any(near)
    }

    /// Operands by the form's table.
    fn instruction(&mut self, ip: u64) -> Option<Instruction> {
        let op = self.code.op_code();
        let mut insn = Instruction::default();
        insn.set_code(self.code);
        let narrow = self.r.one_in(8);
        let mut immediates = 0;
        for (i, &kind) in op.op_kinds().iter().enumerate() {
            self.operand(&mut insn, i as u32, kind, narrow, &mut immediates, ip)?;
        }
        if insn.op_count() > 0 && insn.op0_kind() == OpKind::Memory && op.can_use_lock_prefix() && self.r.one_in(3) {
            insn.set_has_lock_prefix(true);
        }
        if op.can_use_rep_prefix() && self.r.one_in(2) {
            insn.set_has_rep_prefix(true);
        } else if op.can_use_repne_prefix() && self.r.one_in(2) {
            insn.set_has_repne_prefix(true);
        }
        if self.r.one_in(6) {
            self.alias(&mut insn);
        }
        Some(insn)
    }

    /// Makes some or all vector operands the same register.
    fn alias(&mut self, insn: &mut Instruction) {
        let vectors: Vec<u32> =
            (0..insn.op_count()).filter(|&i| insn.op_kind(i) == OpKind::Register && insn.op_register(i).is_vector_register()).collect();
        if vectors.len() < 2 {
            return;
        }
        let number = insn.op_register(self.r.pick(&vectors)).number() as u32;
        for i in vectors {
            if self.r.one_in(2) {
                let first = if insn.op_register(i).is_ymm() { Register::YMM0 } else { Register::XMM0 };
                insn.set_op_register(i, first + number);
            }
        }
    }

    fn operand(
        &mut self,
        insn: &mut Instruction,
        i: u32,
        kind: OpCodeOperandKind,
        narrow: bool,
        immediates: &mut u32,
        ip: u64,
    ) -> Option<()> {
        use OpCodeOperandKind::*;
        let memory_too = matches!(kind, r8_or_mem | r16_or_mem | r32_or_mem | r64_or_mem | mm_or_mem | xmm_or_mem | ymm_or_mem);
        if matches!(kind, mem_vsib32x | mem_vsib64x | mem_vsib32y | mem_vsib64y) {
            let first = if matches!(kind, mem_vsib32x | mem_vsib64x) { Register::XMM0 } else { Register::YMM0 };
            self.vsib_operand(insn, i, first, narrow);
            return Some(());
        }
        if kind == mem || memory_too && self.r.one_in(2) {
            self.memory_operand(insn, i, narrow);
            return Some(());
        }
        let first = match kind {
            r8_or_mem | r8_reg | r8_opcode => Register::AL,
            r16_or_mem | r16_reg | r16_reg_mem | r16_rm | r16_opcode => Register::AX,
            r32_or_mem | r32_reg | r32_reg_mem | r32_rm | r32_opcode | r32_vvvv => Register::EAX,
            r64_or_mem | r64_reg | r64_reg_mem | r64_rm | r64_opcode | r64_vvvv => Register::RAX,
            mm_or_mem | mm_reg | mm_rm => Register::MM0,
            xmm_or_mem | xmm_reg | xmm_rm | xmm_vvvv | xmm_is4 => Register::XMM0,
            ymm_or_mem | ymm_reg | ymm_rm | ymm_vvvv | ymm_is4 => Register::YMM0,
            sti_opcode => Register::ST0,
            al => return fixed(insn, i, Register::AL),
            cl => return fixed(insn, i, Register::CL),
            ax => return fixed(insn, i, Register::AX),
            dx => return fixed(insn, i, Register::DX),
            eax => return fixed(insn, i, Register::EAX),
            rax => return fixed(insn, i, Register::RAX),
            st0 => return fixed(insn, i, Register::ST0),
            imm8 | imm8_const_1 | imm8sex16 | imm8sex32 | imm8sex64 | imm16 | imm32 | imm32sex64 | imm64 => {
                return self.immediate(insn, i, kind, immediates);
            }
            seg_rSI => {
                return {
                    insn.set_op_kind(i, if narrow { OpKind::MemorySegESI } else { OpKind::MemorySegRSI });
                    Some(())
                };
            }
            es_rDI => {
                return {
                    insn.set_op_kind(i, if narrow { OpKind::MemoryESEDI } else { OpKind::MemoryESRDI });
                    Some(())
                };
            }
            seg_rDI => {
                return {
                    insn.set_op_kind(i, if narrow { OpKind::MemorySegEDI } else { OpKind::MemorySegRDI });
                    Some(())
                };
            }
            seg_rBX_al => {
                insn.set_op_kind(i, OpKind::Memory);
                insn.set_memory_base(if narrow { Register::EBX } else { Register::RBX });
                insn.set_memory_index(Register::AL);
                return Some(());
            }
            mem_offs => {
                insn.set_op_kind(i, OpKind::Memory);
                let address = OPERANDS + self.r.below(0x180);
                insn.set_memory_displacement64(address);
                insn.set_memory_displ_size(8);
                self.memory = Some(Memory { address, displacement: address, ..Memory::default() });
                return Some(());
            }
            br64_1 | br64_4 => {
                insn.set_op_kind(i, OpKind::NearBranch64);
                // Over the marker behind it; lengths are known only after encoding, so `encode` sets it again.
                insn.set_near_branch64(ip);
                return Some(());
            }
            _ => return Option::None,
        };
        let count = match first {
            Register::AL => 20,
            Register::MM0 | Register::ST0 => 8,
            _ => 16,
        };
        insn.set_op_kind(i, OpKind::Register);
        // RSP and RBP are rarer: they are special to the encoding, not to the semantics.
        insn.set_op_register(i, first + self.r.below(count) as u32);
        Some(())
    }

    fn immediate(&mut self, insn: &mut Instruction, i: u32, kind: OpCodeOperandKind, immediates: &mut u32) -> Option<()> {
        use OpCodeOperandKind::*;
        let v = match (self.code.mnemonic(), kind) {
            (_, imm8_const_1) => 1,
            (Mnemonic::Enter, imm16) => self.r.below(64),
            (Mnemonic::Enter, _) => self.r.below(4),
            (Mnemonic::Ret, _) => self.r.below(32),
            (m, _) if format!("{m:?}").starts_with("Vcmp") && !self.r.one_in(4) => self.r.below(32),
            _ => values::int(self.r),
        };
        *immediates += 1;
        if *immediates == 2 {
            insn.set_op_kind(i, OpKind::Immediate8_2nd);
            insn.set_immediate8_2nd(v as u8);
            return Some(());
        }
        let (op_kind, v) = match kind {
            imm8 | imm8_const_1 => (OpKind::Immediate8, v as u8 as u64),
            imm8sex16 => (OpKind::Immediate8to16, v as i8 as u64),
            imm8sex32 => (OpKind::Immediate8to32, v as i8 as u64),
            imm8sex64 => (OpKind::Immediate8to64, v as i8 as u64),
            imm16 => (OpKind::Immediate16, v as u16 as u64),
            imm32 => (OpKind::Immediate32, v as u32 as u64),
            imm32sex64 => (OpKind::Immediate32to64, v as i32 as u64),
            _ => (OpKind::Immediate64, v),
        };
        insn.set_op_kind(i, op_kind);
        insn.set_immediate_u64(i, v);
        Some(())
    }

    fn encode(&mut self, insn: &Instruction, ip: u64) -> Option<Vec<u8>> {
        let mut encoder = Encoder::new(64);
        encoder.set_vex_wig(self.r.below(2) as u32);
        encoder.set_vex_lig(self.r.below(2) as u32);
        encoder.set_prevent_vex2(self.r.one_in(2));
        let mut insn = *insn;
        let mut len = encoder.encode(&insn, ip).ok()?;
        let mut bytes = encoder.take_buffer();
        if insn.op_count() > 0 && insn.op_kind(insn.op_count() - 1) == OpKind::NearBranch64 {
            insn.set_near_branch64(ip + len as u64 + mark(0).len() as u64);
            len = encoder.encode(&insn, ip).ok()?;
            bytes = encoder.take_buffer();
        }
        debug_assert_eq!(len, bytes.len());
        let relative = insn.is_ip_rel_memory_operand() || matches!(insn.op0_kind(), OpKind::NearBranch64);
        if !relative && self.r.one_in(16) && self.code.op_code().encoding() == EncodingKind::Legacy && !bytes.is_empty() {
            // A segment prefix that means nothing in 64-bit mode, in front of all others.
            bytes.insert(0, self.r.pick(&[0x26, 0x2e, 0x36, 0x3e]));
        }
        Some(bytes)
    }
}

pub(super) const STATUS: u32 = RflagsBits::CF | RflagsBits::PF | RflagsBits::AF | RflagsBits::ZF | RflagsBits::SF | RflagsBits::OF;

/// mov byte ptr [MARKER], value
pub(super) fn mark(value: u8) -> [u8; 8] {
    let a = (MARKER as u32).to_le_bytes();
    [0xc6, 0x04, 0x25, a[0], a[1], a[2], a[3], value]
}

/// Flags that a condition code reads.
fn reads(condition: u8) -> u64 {
    use flag::*;
    [OF, CF, ZF, CF | ZF, SF, PF, SF | OF, SF | OF | ZF][condition as usize >> 1]
}

fn fixed(insn: &mut Instruction, i: u32, register: Register) -> Option<()> {
    insn.set_op_kind(i, OpKind::Register);
    insn.set_op_register(i, register);
    Some(())
}

/// General registers that the instruction uses, as a mask.
fn involved(insn: &Instruction) -> u32 {
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(insn).used_registers().iter().map(|u| u.register()).filter(|r| r.is_gpr());
    used.fold(0, |mask, r| mask | 1 << r.full_register().number())
}

pub(super) trait MemoryBytes {
    /// Size of the memory operand; 0: none or unknown.
    fn memory_size_bytes(self) -> u64;
}

impl MemoryBytes for Code {
    fn memory_size_bytes(self) -> u64 {
        self.op_code().memory_size().size() as u64
    }
}

/// What a recorded case's code is, up to the jump back: its length, the registers that it uses, and what of them is not compared.
pub fn extent(record: &Record) -> (usize, u32, Volatile) {
    let mut decoder = Decoder::with_ip(64, &record.0[..at::SLOT], record.address(), DecoderOptions::AMD);
    let mut mask = 0;
    let mut len = 0;
    let mut volatile = Volatile::default();
    while decoder.can_decode() {
        let insn = decoder.decode();
        if insn.code() == Code::Jmp_rm64 && insn.memory_base() == Register::None && insn.memory_displacement64() == 0x3000_0f00 {
            break;
        }
        mask |= involved(&insn);
        let more = undefined::volatile(&insn, record);
        volatile.registers.extend(more.registers);
        volatile.memory.extend(more.memory);
        len = decoder.position();
    }
    (len, mask, volatile)
}
