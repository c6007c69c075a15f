//! Implied operands that need particular values: counts, pointers, whole states.

use super::case::{DATA, Record, SIZE, at};
use super::generate::{Generator, OPERANDS, mark};
use super::memory::is_save;
use super::values::{self, Kind};
use iced_x86::{CpuidFeature, Instruction, Mnemonic, OpKind, Register};

impl Generator<'_> {
    /// Implied operands that need particular values.
    pub(super) fn special(&mut self, record: &mut Record, insn: &Instruction) {
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
            record.set_gpr(register, ((OPERANDS + 0x80 + self.r.below(0x100)) / align * align) | garbage);
            // Counts stay small, but where a page of the data is missing; the strings are equal in part, so that repeated compares run on.
            let most = if self.protect != 0 { 70 } else { 14 };
            record.set_gpr(1, self.r.below(most) | garbage);
            if i == 1 && self.r.one_in(2) {
                record.set_data(OPERANDS, &vec![(record.gpr(0) & 0xff) as u8; 0x280]);
                record.set_data(OPERANDS + 0x80 + self.r.below(0x100), &[1]);
            }
        }
        match insn.mnemonic() {
            Div | Idiv if !self.r.one_in(8) && !used(2) && !used(0) => {
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
                record.set_gpr(3, (OPERANDS + self.r.below(0x100)) | if narrow { self.r.next() << 32 } else { 0 });
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
            Xgetbv => {
                // More registers than these two do not exist.
                let v = self.r.pick(&[0, 0, 1, 2, u64::MAX]) | self.r.next() << 32;
                record.set_gpr(1, v);
            }
            Wrfsbase | Wrgsbase if insn.op0_register() != Register::RSP && !self.r.one_in(4) => {
                let n = insn.op0_register().full_register().number();
                record.set_gpr(n, ((record.gpr(n) as i64) << 17 >> 17) as u64);
            }
            Fxrstor | Fxrstor64 => self.saved_state(record),
            Fldenv | Frstor if !self.r.one_in(6) => {
                // All exceptions masked: an unmasked one is pending otherwise.
                if let Some(m) = self.memory {
                    record.set_data(m.address, &((self.r.next() as u16 & 0x1f00) | 0x7f).to_le_bytes());
                }
            }
            _ if is_save(self.code) => {
                // Components that xemu offers; others are no-one's.
                record.set_gpr(0, self.r.below(8) | record.gpr(0) << 32);
                if !matches!(insn.mnemonic(), Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64) || self.r.one_in(2) {
                    self.saved_state(record);
                }
            }
            _ if insn.cpuid_features().contains(&CpuidFeature::FMA) => self.cancelling(record, insn),
            _ => {}
        }
        debug_assert!(after == record.address());
    }

    /// A state that FXRSTOR and XRSTOR accept, mostly, at the memory operand.
    fn saved_state(&mut self, record: &mut Record) {
        let Some(m) = self.memory else { return };
        let at = |offset: u64| m.address + offset;
        let control = 0x7f | self.r.pick(&[0x300, 0x300, 0x200, 0]) | self.r.below(4) << 10;
        record.set_data(at(0), &(control as u16).to_le_bytes());
        record.set_data(at(2), &((self.r.next() & 0x7f3f) as u16).to_le_bytes());
        record.set_data(at(4), &[self.r.next() as u8, 0]);
        record.set_data(at(24), &(self.r.next() as u32 & 0xe07f | 0x1f80).to_le_bytes());
        for i in 0..8 {
            record.set_data(at(32 + 16 * i), &values::f80(self.r));
        }
        // The header of XSAVE: what is in the image, and whether it is compact.
        let present = self.r.below(8);
        let compact = if self.r.one_in(2) { 1 << 63 | self.r.below(8) | present } else { 0 };
        record.set_data(at(512), &present.to_le_bytes());
        record.set_data(at(520), &compact.to_le_bytes());
        record.set_data(at(528), &[0; 48]);
        if self.r.one_in(8) {
            // A bit that must not be set.
            record.set_data(at(self.r.pick(&[27, 519, 520, 527, 528, 575])), &[1 << self.r.below(8)]);
        }
    }

    /// At times makes the addend all but minus the product, where a fused operation shows that it rounds once.
    fn cancelling(&mut self, record: &mut Record, insn: &Instruction) {
        if !self.r.one_in(3) {
            return;
        }
        let double = self.lanes.kind == Kind::F64;
        // Any of the three may be the addend.
        let mut operands = [0, 1, 2];
        operands.rotate_left(self.r.below(3) as usize);
        let address = self.memory.map(|m| m.address);
        let place = |i: usize, offset: usize| -> Option<u64> {
            match insn.op_kind(i as u32) {
                OpKind::Register => {
                    let base = if offset < 16 { at::XMM } else { at::YMMHI - 16 };
                    Some((base + 16 * insn.op_register(i as u32).number() + offset) as u64)
                }
                _ => Some((at::MEMORY + offset) as u64 + address?.wrapping_sub(DATA)),
            }
        };
        let width = if double { 8 } else { 4 };
        for offset in (0..32).step_by(width) {
            let Some([a, b, c]) =
                operands.map(|i| place(i, offset)).into_iter().collect::<Option<Vec<_>>>().and_then(|v| <[u64; 3]>::try_from(v).ok())
            else {
                return;
            };
            if [a, b, c].iter().any(|&at| at as usize + width > SIZE || at < at::XMM as u64) {
                return;
            }
            if double {
                // Numbers of middling size, so that the product is one too.
                let x = f64::from_bits(values::f64(self.r) & !(0x7ff << 52) | (1000 + self.r.below(46)) << 52);
                let y = f64::from_bits(self.r.next() & !(0x7ff << 52) | (1000 + self.r.below(46)) << 52);
                record.set64(a as usize, x.to_bits());
                record.set64(b as usize, y.to_bits());
                record.set64(c as usize, (x * y).to_bits() ^ self.r.below(2) << 63 ^ self.r.below(2));
            } else {
                let x = f32::from_bits(values::f32(self.r) & !(0xff << 23) | (110 + self.r.below(34) as u32) << 23);
                let y = f32::from_bits(self.r.next() as u32 & !(0xff << 23) | (110 + self.r.below(34) as u32) << 23);
                record.set32(a as usize, x.to_bits());
                record.set32(b as usize, y.to_bits());
                record.set32(c as usize, (x * y).to_bits() ^ (self.r.below(2) as u32) << 31 ^ self.r.below(2) as u32);
            }
        }
    }
}
