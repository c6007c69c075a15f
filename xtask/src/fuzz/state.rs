//! The state that a case starts from: registers and modes that the instruction uses.

use super::case::{self, DATA, Record, at};
use super::generate::Generator;
use super::random::Random;
use super::undefined::flag;
use super::values::{self, Kind, Lanes};
use iced_x86::{EncodingKind, Instruction, InstructionInfoFactory, OpKind, Register};

impl Generator<'_> {
    /// Fills registers and memory that the instruction uses.
    pub(super) fn state(&mut self, record: &mut Record, insn: &Instruction) {
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
            } else if register.is_vector_register() {
                needs |= case::NEED_XMM | if self.code.encoding() == EncodingKind::VEX { case::NEED_YMM } else { 0 };
                let lanes = match self.r.one_in(8) {
                    true => Lanes { kind: self.r.pick(&[Kind::Int, Kind::F32, Kind::F64]), bytes: None },
                    false => self.lanes,
                };
                let n = register.number();
                record.put(at::XMM + 16 * n, &values::fill(self.r, lanes, 16));
                if !register.is_xmm() {
                    record.put(at::YMMHI + 16 * n, &values::fill(self.r, lanes, 16));
                }
            } else if register.is_mm() || register.is_st() {
                needs |= case::NEED_X87;
            }
        }
        let features = self.code.cpuid_features();
        let is = |name: &str| features.iter().any(|f| format!("{f:?}").starts_with(name));
        if is("SSE") || is("SSSE") || is("AES") || is("SHA") || is("PCLMUL") || is("GFNI") {
            needs |= case::NEED_XMM;
        }
        if is("AVX") || is("VAES") || is("VPCLMUL") || is("FMA") || is("F16C") {
            needs |= case::NEED_XMM | case::NEED_YMM;
        }
        if is("XSAVE") || is("FXSR") {
            needs |= case::NEED_XMM | case::NEED_YMM | case::NEED_X87;
        }
        if is("FSGSBASE") {
            needs |= case::NEED_SEGMENTS;
            for at in [at::FS_BASE, at::GS_BASE] {
                record.set64(at, (self.r.next() >> self.r.below(64)) & 0x7fff_ffff_f000);
            }
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
            self.x87_state(
                record,
                is("MMX") || insn.op_kinds().any(|k| k == OpKind::Register) && (0..insn.op_count()).any(|i| insn.op_register(i).is_mm()),
            );
        }
        record.set32(at::NEEDS, needs | self.protect);
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
                    let mut v = values::fill(self.r, self.lanes, 8);
                    v.extend_from_slice(&[0xff, 0xff]);
                    v
                }
                false => values::f80(self.r).to_vec(),
            };
            record.put(at::X87 + 28 + 10 * i, &value);
        }
    }
}
