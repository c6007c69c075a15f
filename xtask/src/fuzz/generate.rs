//! Makes a case of a form: operands, prefixes, immediates, and a state in which the instruction can do its work.
//!
//! The state is background noise; what the instruction names or implies gets values biased to edges, pointers get valid addresses
//! in the data. A case may be framed by other instructions: one before it that leaves the flags in another of the translator's
//! internal forms, and one behind it that reads some flags only, the rest being overwritten.

use super::case::{self, Case, DATA, Record, at};
use super::random::Random;
use super::undefined::{self, flag};
use super::values::{self, Kind};
use iced_x86::{
    Code, Decoder, DecoderOptions, Encoder, EncodingKind, Instruction, InstructionInfoFactory, MemorySize, Mnemonic, OpCodeOperandKind, OpKind, Register,
    RflagsBits,
};

/// Where a case says which way a branch went.
const MARKER: u64 = DATA + 0x3f0;
/// Data that operands lie in.
const OPERANDS: u64 = DATA + 0x100;

/// The memory operand: its address, and the registers that make it up.
#[derive(Clone, Copy)]
struct Memory {
    address: u64,
    base: Register,
    index: Register,
    scale: u64,
    displacement: u64,
    narrow: bool,
}

/// Makes a case; None if the random choices do not make an instruction.
pub fn case(code: Code, form: usize, slot: u32, seed: u32) -> Option<Case> {
    // The choices have a stream of their own: the background must depend on the seed alone.
    let mut r = Random::new((seed as u64) << 32 | 0x5eed);
    let mut g = Generator { r: &mut r, code, memory: None, slot, kind: kind_of(code) };
    g.case(form, seed)
}

struct Generator<'a> {
    r: &'a mut Random,
    code: Code,
    memory: Option<Memory>,
    slot: u32,
    kind: Kind,
}

/// What the lanes of vector operands hold, by the mnemonic.
fn kind_of(code: Code) -> Kind {
    let name = format!("{:?}", code.mnemonic()).to_lowercase();
    let has = |list: &[&str]| list.iter().any(|s| name.contains(s));
    match () {
        _ if has(&["ps2", "ss2"]) => Kind::F32,
        _ if has(&["pd2", "sd2", "tsd2"]) => Kind::F64,
        _ if has(&["pi2", "dq2", "si2"]) => Kind::Int,
        _ if name.ends_with("ps") || name.ends_with("ss") || has(&["comiss", "cmpss", "ps"]) && !name.starts_with('p') => Kind::F32,
        _ if name.ends_with("pd") || name.ends_with("sd") => Kind::F64,
        _ => Kind::Int,
    }
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
        let branch = self.code.op_code().op_kinds().iter().any(|k| matches!(k, OpCodeOperandKind::br64_1 | OpCodeOperandKind::br64_4));
        if branch || matches!(self.code, Code::Jmp_rm64 | Code::Call_rm64 | Code::Retnq | Code::Retnq_imm16) {
            bytes.extend_from_slice(&mark(0x11));
        } else if insn.rflags_modified() & STATUS != 0 && self.r.one_in(3) {
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
        Some(Case { record, seed, form, len: before.len() + length, undefined_flags, locked: insn.has_lock_prefix(), involved })
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
        Some(insn)
    }

    fn operand(&mut self, insn: &mut Instruction, i: u32, kind: OpCodeOperandKind, narrow: bool, immediates: &mut u32, ip: u64) -> Option<()> {
        use OpCodeOperandKind::*;
        let memory_too = matches!(kind, r8_or_mem | r16_or_mem | r32_or_mem | r64_or_mem | mm_or_mem | xmm_or_mem | ymm_or_mem);
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
            seg_rSI => return Some(insn.set_op_kind(i, if narrow { OpKind::MemorySegESI } else { OpKind::MemorySegRSI })),
            es_rDI => return Some(insn.set_op_kind(i, if narrow { OpKind::MemoryESEDI } else { OpKind::MemoryESRDI })),
            seg_rDI => return Some(insn.set_op_kind(i, if narrow { OpKind::MemorySegEDI } else { OpKind::MemorySegRDI })),
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
                self.memory =
                    Some(Memory { address, base: Register::None, index: Register::None, scale: 1, displacement: address, narrow: false });
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

    /// A memory operand of any addressing mode; registers get values later, so that the address is in the data.
    fn memory_operand(&mut self, insn: &mut Instruction, i: u32, narrow: bool) {
        let size = self.code.memory_size_bytes().max(1);
        let mut address = OPERANDS + self.r.below(0x180);
        match self.r.below(16) {
            0 => address = DATA + 0x200 - self.r.below(size),
            1 if size < 16 => {}
            _ if size == 16 || size == 32 => address &= !(size - 1),
            2..=5 => {}
            _ => address &= !(size.next_power_of_two().min(64) - 1),
        }
        let pick = |g: &mut Self, from: Register| from + g.r.below(16) as u32;
        let from = if narrow { Register::EAX } else { Register::RAX };
        let mut m = Memory { address, base: Register::None, index: Register::None, scale: 1, displacement: 0, narrow };
        insn.set_op_kind(i, OpKind::Memory);
        match self.r.below(16) {
            0 | 1 => {
                m.base = if narrow { Register::EIP } else { Register::RIP };
                m.displacement = address;
                insn.set_memory_displ_size(if narrow { 4 } else { 8 });
            }
            2 => {
                m.displacement = address;
                insn.set_memory_displ_size(if narrow { 4 } else { 8 });
            }
            shape => {
                if shape != 3 {
                    m.base = pick(self, from);
                }
                if shape < 8 {
                    m.index = pick(self, from);
                    if matches!(m.index, Register::RSP | Register::ESP) {
                        m.index = Register::None;
                    }
                    m.scale = 1 << self.r.below(4);
                }
                m.displacement = match self.r.below(4) {
                    0 => 0,
                    1 => self.r.next() as i8 as u64,
                    2 => (values::int(self.r) as i32) as u64,
                    _ => (self.r.below(0x1000) as i64 - 0x800) as u64,
                };
                if m.base == Register::None && m.index == Register::None {
                    m.base = from + 3;
                }
                let only_index = m.base == Register::None;
                let size = match m.displacement as i64 {
                    0 if !only_index => 0,
                    -128..=127 if !only_index => 1,
                    _ if narrow => 4,
                    _ => 8,
                };
                insn.set_memory_displ_size(size);
            }
        }
        insn.set_memory_base(m.base);
        insn.set_memory_index(m.index);
        insn.set_memory_index_scale(m.scale as u32);
        insn.set_memory_displacement64(if narrow { m.displacement as u32 as u64 } else { m.displacement });
        if self.r.one_in(24) {
            // Bases of FS and GS are 0 in the runner, as are those of the others.
            insn.set_segment_prefix(self.r.pick(&[Register::FS, Register::GS, Register::DS, Register::ES, Register::CS]));
        }
        self.memory = Some(m);
    }

    fn encode(&mut self, insn: &Instruction, ip: u64) -> Option<Vec<u8>> {
        let mut encoder = Encoder::new(64);
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

    /// Fills registers and memory that the instruction uses.
    fn state(&mut self, record: &mut Record, insn: &Instruction) {
        let status = flag::CF | flag::PF | flag::AF | flag::ZF | flag::SF | flag::OF;
        let direction = if insn.is_string_instruction() && self.r.one_in(4) { flag::DF } else { 0 };
        record.set64(at::FLAGS, 0x202 | (self.r.next() & status) | direction);
        // The stack is valid in every case.
        let stack = DATA + 0x380 + 8 * self.r.below(8) + if self.r.one_in(8) { self.r.below(8) } else { 0 };
        record.set_gpr(4, stack);
        let mut needs = 0;
        let mut factory = InstructionInfoFactory::new();
        for used in factory.info(insn).used_registers() {
            let register = used.register();
            if register.is_gpr() {
                if register.full_register() != Register::RSP {
                    record.set_gpr(register.full_register().number(), values::int(self.r));
                }
            } else if register.is_xmm() || register.is_ymm() {
                needs |= case::NEED_XMM | if register.is_ymm() || self.code.encoding() == EncodingKind::VEX { case::NEED_YMM } else { 0 };
                let kind = if self.r.one_in(8) { self.r.pick(&[Kind::Int, Kind::F32, Kind::F64]) } else { self.kind };
                let n = register.number();
                record.put(at::XMM + 16 * n, &values::fill(self.r, kind, 16));
                if register.is_ymm() {
                    record.put(at::YMMHI + 16 * n, &values::fill(self.r, kind, 16));
                }
            } else if register.is_mm() || register.is_st() {
                needs |= case::NEED_X87;
            }
        }
        let features = self.code.cpuid_features();
        let is = |name: &str| features.iter().any(|f| format!("{f:?}").starts_with(name));
        if is("SSE") || is("SSSE") || is("AES") || is("SHA") || is("PCLMUL") {
            needs |= case::NEED_XMM;
        }
        if is("FPU") || is("MMX") {
            needs |= case::NEED_X87;
        }
        if needs & case::NEED_XMM != 0 {
            // All exceptions masked; rounding, FTZ and DAZ at random, some sticky flags set.
            let rare = |r: &mut Random, bit: u64| if r.one_in(6) { bit } else { 0 };
            let sticky = if self.r.one_in(3) { self.r.below(64) } else { 0 };
            let rounding = if self.r.one_in(2) { self.r.below(4) << 13 } else { 0 };
            record.set32(at::MXCSR, (0x1f80 | sticky | rounding | rare(self.r, 0x8000) | rare(self.r, 0x40)) as u32);
        }
        if needs & case::NEED_X87 != 0 {
            self.x87_state(record, is("MMX") || insn.op_kinds().any(|k| k == OpKind::Register) && (0..insn.op_count()).any(|i| insn.op_register(i).is_mm()));
        }
        record.set32(at::NEEDS, needs);
        if let Some(m) = self.memory {
            self.memory_state(record, insn, m);
        }
        self.special(record, insn);
    }

    /// An x87 state: control word with all exceptions masked, a stack of any depth.
    fn x87_state(&mut self, record: &mut Record, mmx: bool) {
        let control = 0x7f | self.r.pick(&[0x300, 0x300, 0x200, 0]) | if self.r.one_in(2) { self.r.below(4) << 10 } else { 0 };
        let top = self.r.below(8);
        let sticky = if self.r.one_in(4) { self.r.below(128) } else { 0 };
        let status = top << 11 | sticky | self.r.next() & 0x4700;
        let depth = match self.r.below(4) {
            0 => self.r.below(9),
            1 => 8,
            _ => 2 + self.r.below(5),
        };
        let mut tags = 0xffff_ffffu64;
        for i in 0..depth {
            tags &= !(3 << (2 * ((top + i) & 7)));
        }
        record.set32(at::X87, 0xffff_0000 | control as u32);
        record.set32(at::X87 + 4, 0xffff_0000 | status as u32);
        record.set32(at::X87 + 8, tags as u32);
        for i in 0..8 {
            let value = match mmx {
                true => {
                    let mut v = values::fill(self.r, self.kind, 8);
                    v.extend_from_slice(&[0xff, 0xff]);
                    v
                }
                false => values::f80(self.r).to_vec(),
            };
            record.put(at::X87 + 28 + 10 * i, &value);
        }
    }

    /// The registers of the memory operand, and what lies there.
    fn memory_state(&mut self, record: &mut Record, insn: &Instruction, m: Memory) {
        let mask = if m.narrow { 0xffff_ffff } else { u64::MAX };
        let garbage = if m.narrow { self.r.next() & !mask } else { 0 };
        let number = |register: Register| register.full_register().number();
        if m.base.is_gpr() && m.base == m.index {
            // base * (scale + 1) + displacement: the displacement is what it is, so only some addresses can be had; take scale 1.
            let sum = m.address.wrapping_sub(m.displacement) & mask;
            let v = sum / (m.scale + 1);
            record.set_gpr(number(m.base), v & mask | garbage);
        } else if m.base.is_gpr() {
            let index = if m.index == Register::None {
                0
            } else {
                let v = if number(m.index) == 4 { record.gpr(4) } else { values::int(self.r) };
                record.set_gpr(number(m.index), v);
                v
            };
            let v = m.address.wrapping_sub(index.wrapping_mul(m.scale)).wrapping_sub(m.displacement);
            record.set_gpr(number(m.base), v & mask | garbage);
        } else if m.index != Register::None {
            let sum = m.address.wrapping_sub(m.displacement) & mask;
            record.set_gpr(number(m.index), (sum / m.scale) & mask | garbage);
        }
        let size = insn.memory_size();
        let kind = match format!("{:?}", size.element_type()).as_str() {
            "Float32" => Kind::F32,
            "Float64" => Kind::F64,
            "Float80" => Kind::F80,
            "Bcd" => Kind::Bcd,
            _ => self.kind,
        };
        let bytes = if size == MemorySize::Unknown { 16 } else { size.size().clamp(1, 64) };
        let value = values::fill(self.r, kind, bytes);
        record.set_data(m.address, &value);
    }

    /// Implied operands that need particular values.
    fn special(&mut self, record: &mut Record, insn: &Instruction) {
        use Mnemonic::*;
        let used = |n: usize| self.memory.is_some_and(|m| [m.base, m.index].iter().any(|r| r.is_gpr() && r.full_register().number() == n));
        let after = record.address();
        for (i, kind) in insn.op_kinds().enumerate() {
            let register = match kind {
                OpKind::MemorySegRSI | OpKind::MemorySegESI => 6,
                OpKind::MemoryESRDI | OpKind::MemoryESEDI | OpKind::MemorySegRDI | OpKind::MemorySegEDI => 7,
                _ => continue,
            };
            let narrow = matches!(kind, OpKind::MemorySegESI | OpKind::MemoryESEDI | OpKind::MemorySegEDI);
            let garbage = if narrow { self.r.next() << 32 } else { 0 };
            let align = if self.r.one_in(2) { 8 } else { 1 };
            record.set_gpr(register, (OPERANDS + 0x80 + self.r.below(0x100)) / align * align | garbage);
            // Counts stay small; the strings are equal in part, so that repeated compares run on.
            record.set_gpr(1, self.r.below(14) | garbage);
            if i == 1 && self.r.one_in(2) {
                record.set_data(OPERANDS, &vec![(record.gpr(0) & 0xff) as u8; 0x280]);
                record.set_data(OPERANDS + 0x80 + self.r.below(0x100), &[1]);
            }
        }
        match insn.mnemonic() {
            Div | Idiv => {
                if !self.r.one_in(8) && !used(2) && !used(0) {
                    let size = if insn.op0_kind() == OpKind::Memory { insn.memory_size().size() } else { insn.op0_register().size() };
                    let (a, high) = (record.gpr(0), self.r.below(8) == 0);
                    let signed = insn.mnemonic() == Idiv;
                    let d = match (signed, size) {
                        (_, 1) => {
                            let v = if signed { a as i8 as u64 } else { a & 0xff };
                            record.set_gpr(0, a & !0xffff | v & 0xffff);
                            return;
                        }
                        (true, 2) => ((a as i16) >> 15) as u64,
                        (true, 4) => ((a as i32) >> 31) as u64,
                        (true, _) => ((a as i64) >> 63) as u64,
                        (false, _) => u64::from(high) * self.r.below(3),
                    };
                    record.set_gpr(2, if size == 2 { record.gpr(2) & !0xffff | d & 0xffff } else { d });
                }
            }
            Bt | Bts | Btr | Btc if insn.op0_kind() == OpKind::Memory && insn.op1_kind() == OpKind::Register => {
                let register = insn.op1_register();
                let n = register.full_register().number();
                if !used(n) && n != 4 {
                    let bit = (self.r.below(2048) as i64 - 1024) as u64;
                    let v = match register.size() {
                        2 => record.gpr(n) & !0xffff | bit & 0xffff,
                        4 => record.gpr(n) & !0xffff_ffff | bit & 0xffff_ffff,
                        _ => bit,
                    };
                    record.set_gpr(n, v);
                }
            }
            Cmpxchg | Cmpxchg8b | Cmpxchg16b => {
                if let Some(m) = self.memory.filter(|_| self.r.one_in(2)) {
                    match insn.mnemonic() {
                        Cmpxchg8b => record.set_data(m.address, &(record.gpr(0) & 0xffff_ffff | record.gpr(2) << 32).to_le_bytes()),
                        _ => record.set_data(m.address, &record.gpr(0).to_le_bytes()),
                    }
                    if insn.mnemonic() == Cmpxchg16b {
                        record.set_data(m.address + 8, &record.gpr(2).to_le_bytes());
                    }
                }
            }
            Xlatb => {
                let narrow = insn.memory_base() == Register::EBX;
                record.set_gpr(3, OPERANDS + self.r.below(0x100) | if narrow { self.r.next() << 32 } else { 0 });
            }
            Maskmovq | Maskmovdqu | Vmaskmovdqu => record.set_gpr(7, OPERANDS + self.r.below(0x180)),
            Leave => record.set_gpr(5, OPERANDS + self.r.below(0x180)),
            Enter => record.set_gpr(5, OPERANDS + 0x80 + self.r.below(0x100)),
            Jrcxz | Jecxz | Loop | Loope | Loopne => {
                let v = self.r.pick(&[0, 1, 2, 0x1_0000_0000, 0x1_0000_0001, u64::MAX]);
                record.set_gpr(1, v);
            }
            Jmp | Call if !matches!(insn.op0_kind(), OpKind::NearBranch64) => {
                let target = insn.next_ip() + mark(0).len() as u64;
                match (insn.op0_kind(), self.memory) {
                    (OpKind::Register, _) => record.set_gpr(insn.op0_register().full_register().number(), target),
                    (_, Some(m)) => record.set_data(m.address, &target.to_le_bytes()),
                    _ => {}
                }
            }
            Ret => {
                let target = insn.next_ip() + mark(0).len() as u64;
                record.set_data(record.gpr(4), &target.to_le_bytes());
            }
            Popfq | Popf => {
                // Only what a case may change: no trap, no alignment checks.
                let v = record.get64(at::FLAGS) ^ (self.r.next() & 0x8d5);
                record.set_data(record.gpr(4), &v.to_le_bytes());
            }
            Ldmxcsr | Vldmxcsr => {
                if let Some(m) = self.memory {
                    record.set_data(m.address, &((self.r.next() as u32 & 0xe07f) | 0x1f80).to_le_bytes());
                }
            }
            Fldcw => {
                if let Some(m) = self.memory {
                    record.set_data(m.address, &((self.r.next() as u16 & 0x1f00) | 0x7f).to_le_bytes());
                }
            }
            _ => {}
        }
        debug_assert!(after == record.address());
    }
}

const STATUS: u32 = RflagsBits::CF | RflagsBits::PF | RflagsBits::AF | RflagsBits::ZF | RflagsBits::SF | RflagsBits::OF;

/// mov byte ptr [MARKER], value
fn mark(value: u8) -> [u8; 8] {
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

trait MemoryBytes {
    /// Size of the memory operand; 0: none or unknown.
    fn memory_size_bytes(self) -> u64;
}

impl MemoryBytes for Code {
    fn memory_size_bytes(self) -> u64 {
        self.op_code().memory_size().size() as u64
    }
}

/// Length and involved registers of a recorded case's code: of all instructions up to the jump back.
pub fn extent(record: &Record) -> (usize, u32) {
    let mut decoder = Decoder::with_ip(64, &record.0[..at::SLOT], record.address(), DecoderOptions::AMD);
    let mut mask = 0;
    let mut len = 0;
    while decoder.can_decode() {
        let insn = decoder.decode();
        if insn.code() == Code::Jmp_rm64 && insn.memory_base() == Register::None && insn.memory_displacement64() == 0x3000_0f00 {
            break;
        }
        mask |= involved(&insn);
        len = decoder.position();
    }
    (len, mask)
}
