//! Memory operands: any addressing mode, the registers that make it up, and what lies there.

use super::case::{DATA, NEED_SEGMENTS, Record, at};
use super::generate::{Generator, MemoryBytes, OPERANDS};
use super::values::{self, Lanes};
use iced_x86::{Code, Instruction, MemorySize, Mnemonic, OpKind, Register};

/// Where the data's page ends.
const EDGE: u64 = DATA + 0x200;

/// The memory operand: its address, and the registers that make it up.
#[derive(Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) address: u64,
    pub(super) base: Register,
    pub(super) index: Register,
    /// 1, 2, 4 or 8; meaningless without an index.
    pub(super) scale: u64,
    pub(super) displacement: u64,
    pub(super) narrow: bool,
    /// Base of its segment, which the address includes.
    pub(super) segment: u64,
}

impl Generator<'_> {
    /// Chooses an address for the memory operand.
    fn address(&mut self) -> u64 {
        let size = self.code.memory_size_bytes().max(1);
        let address = OPERANDS + self.r.below(0x180);
        if matches!(self.code.mnemonic(), Mnemonic::Fxsave | Mnemonic::Fxsave64 | Mnemonic::Fxrstor | Mnemonic::Fxrstor64) {
            return DATA + 0x10 * self.r.below(0x17) + if self.r.one_in(8) { self.r.below(16) } else { 0 };
        }
        if is_save(self.code) {
            return DATA + 0x40 * self.r.below(2) + if self.r.one_in(8) { self.r.below(64) } else { 0 };
        }
        if self.protect != 0 && self.r.one_in(2) {
            // Around the edge of the page that is not to be used.
            return EDGE + self.r.below(16) - self.r.below(size + 16);
        }
        match self.r.below(16) {
            0 => EDGE - self.r.below(size),
            1 if size < 16 => address,
            _ if size == 16 || size == 32 => address & !(size - 1),
            2..=5 => address,
            _ => address & !(size.next_power_of_two().min(64) - 1),
        }
    }

    /// A memory operand of any addressing mode; registers get values later, so that the address is in the data.
    pub(super) fn memory_operand(&mut self, insn: &mut Instruction, i: u32, narrow: bool) {
        let address = self.address();
        let pick = |g: &mut Self, from: Register| from + g.r.below(16) as u32;
        let from = if narrow { Register::EAX } else { Register::RAX };
        let mut m = Memory { address, scale: 1, narrow, ..Memory::default() };
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
                if m.base == Register::None && m.index == Register::None {
                    m.base = from + 3;
                }
                self.displacement(insn, &mut m);
            }
        }
        self.place(insn, m);
    }

    /// Writes the operand into the instruction, with a segment perhaps.
    fn place(&mut self, insn: &mut Instruction, mut m: Memory) {
        insn.set_memory_base(m.base);
        insn.set_memory_index(m.index);
        insn.set_memory_index_scale(m.scale as u32);
        insn.set_memory_displacement64(if m.narrow { m.displacement as u32 as u64 } else { m.displacement });
        self.segment(insn, &mut m);
        self.memory = Some(m);
    }

    fn displacement(&mut self, insn: &mut Instruction, m: &mut Memory) {
        m.displacement = match self.r.below(4) {
            0 => 0,
            1 => self.r.next() as i8 as u64,
            2 => (values::int(self.r) as i32) as u64,
            _ => (self.r.below(0x1000) as i64 - 0x800) as u64,
        };
        let only_index = m.base == Register::None;
        insn.set_memory_displ_size(match m.displacement as i64 {
            0 if !only_index => 0,
            -128..=127 if !only_index => 1,
            _ if m.narrow => 4,
            _ => 8,
        });
    }

    fn segment(&mut self, insn: &mut Instruction, m: &mut Memory) {
        if !self.r.one_in(24) {
            return;
        }
        let prefix = self.r.pick(&[Register::FS, Register::GS, Register::FS, Register::GS, Register::DS, Register::ES, Register::CS]);
        insn.set_segment_prefix(prefix);
        if matches!(prefix, Register::FS | Register::GS) && m.base.is_gpr() && self.r.one_in(2) {
            // The rest of the address is what a 32-bit sum can be, if it is one.
            m.segment = self.r.below(if m.narrow { 0x1000_0000 } else { 0x7fff_0000_0000 });
        }
    }

    /// A memory operand with a vector of indices.
    pub(super) fn vsib_operand(&mut self, insn: &mut Instruction, i: u32, first: Register, narrow: bool) {
        let from = if narrow { Register::EAX } else { Register::RAX };
        let mut m = Memory { address: OPERANDS + self.r.below(0x180), narrow, scale: 1 << self.r.below(4), ..Memory::default() };
        m.index = first + self.r.below(16) as u32;
        if !self.r.one_in(8) {
            m.base = from + self.r.below(16) as u32;
        }
        self.displacement(insn, &mut m);
        insn.set_op_kind(i, OpKind::Memory);
        self.place(insn, m);
    }

    /// The registers of the memory operand, and what lies there.
    pub(super) fn memory_state(&mut self, record: &mut Record, insn: &Instruction, m: Memory) {
        if m.segment != 0 {
            record.set32(at::NEEDS, record.get32(at::NEEDS) | NEED_SEGMENTS);
            record.set64(if insn.segment_prefix() == Register::FS { at::FS_BASE } else { at::GS_BASE }, m.segment);
        }
        if m.index.is_vector_register() {
            return self.vsib_state(record, insn, m);
        }
        let mask = if m.narrow { 0xffff_ffff } else { u64::MAX };
        let garbage = if m.narrow { self.r.next() & !mask } else { 0 };
        let sum = m.address.wrapping_sub(m.segment).wrapping_sub(m.displacement);
        if m.base.is_gpr() && m.base == m.index {
            // base * (scale + 1) + displacement: the displacement is what it is, so only some addresses can be had.
            record.set_gpr(number(m.base), ((sum & mask) / (m.scale + 1)) & mask | garbage);
        } else if m.base.is_gpr() {
            let index = if m.index == Register::None {
                0
            } else {
                let v = if number(m.index) == 4 { record.gpr(4) } else { values::int(self.r) };
                record.set_gpr(number(m.index), v);
                v
            };
            record.set_gpr(number(m.base), sum.wrapping_sub(index.wrapping_mul(m.scale)) & mask | garbage);
        } else if m.index != Register::None {
            record.set_gpr(number(m.index), ((sum & mask) / m.scale) & mask | garbage);
        }
        let size = insn.memory_size();
        let lanes = Lanes::element(size).unwrap_or(self.lanes);
        let bytes = if size == MemorySize::Unknown { 16 } else { size.size().clamp(1, 64) };
        let value = values::fill(self.r, lanes, bytes);
        record.set_data(m.address, &value);
    }

    /// Indices that stay inside the data (but for one, at times), and a mask of any kind.
    fn vsib_state(&mut self, record: &mut Record, insn: &Instruction, m: Memory) {
        let wide = insn.op_code().op_kinds().iter().any(|k| format!("{k:?}").contains("vsib64"));
        let mask = if m.narrow { 0xffff_ffff } else { u64::MAX };
        let sum = m.address.wrapping_sub(m.segment).wrapping_sub(m.displacement);
        // All indices lie around this one.
        let centre = if m.base == Register::None {
            ((sum & mask) as i64 / m.scale as i64) as u64
        } else {
            let centre = if wide { values::int(self.r) } else { values::int(self.r) as i32 as u64 };
            let centre = if wide { centre } else { (centre as i32).clamp(i32::MIN + 0x400, i32::MAX - 0x400) as u64 };
            let garbage = if m.narrow { self.r.next() & !mask } else { 0 };
            record.set_gpr(number(m.base), sum.wrapping_sub(centre.wrapping_mul(m.scale)) & mask | garbage);
            centre
        };
        let stray = self.r.one_in(6).then(|| self.r.below(8) as usize);
        let (lane, span) = (if wide { 8 } else { 4 }, 0x100 / m.scale);
        let n = m.index.number();
        for i in 0..32 / lane {
            let near = centre.wrapping_add(self.r.below(2 * span)).wrapping_sub(span);
            let index = if stray == Some(i) { values::int(self.r) } else { near };
            let at = i * lane;
            record.put(if at < 16 { at::XMM + 16 * n + at } else { at::YMMHI + 16 * n + at - 16 }, &index.to_le_bytes()[..lane]);
        }
        let fill = self.r.below(4);
        if insn.op_count() == 3 && fill < 2 {
            let (n, bytes) = (insn.op2_register().number(), [if fill == 0 { 0 } else { 0xff }; 16]);
            if n != m.index.number() {
                record.put(at::XMM + 16 * n, &bytes);
                record.put(at::YMMHI + 16 * n, &bytes);
            }
        }
    }
}

/// XSAVE and its relations, whose operand is a whole state.
pub(super) fn is_save(code: Code) -> bool {
    use Mnemonic::*;
    matches!(code.mnemonic(), Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64 | Xrstor | Xrstor64)
}

fn number(register: Register) -> usize {
    register.full_register().number()
}
