//! One case: the bytes of an instruction and the processor state that it starts from, as the record that `isa_runner` reads.
//!
//! The layout is that of `fixtures/guests/isa_runner/isa_runner.s`; a result has the same layout.

use super::random::Random;
use iced_x86::{Instruction, OpKind, Register};
use std::ops::Range;

/// Bytes of a record.
pub const SIZE: usize = 2048;
/// Cases in a batch: as many as the runner has code slots.
pub const BATCH: usize = 4096;
/// Guest address of the first code slot.
pub const CODE: u64 = 0x1000_0000;
/// Bytes of a code slot.
pub const SLOT_SIZE: u64 = 64;
/// Guest address of the data; a page ends in its middle.
pub const DATA: u64 = 0x3010_1e00;
/// Bytes of data.
pub const DATA_SIZE: u64 = 1024;
/// Where the code of a slot jumps through at its end.
const BACK: u32 = 0x3000_0f00;

/// The case needs XMM registers and MXCSR.
pub const NEED_XMM: u32 = 1;
/// The case needs the x87 (or MMX) state.
pub const NEED_X87: u32 = 2;
/// The case needs the upper halves of the YMM registers.
pub const NEED_YMM: u32 = 4;
/// The case needs segment selectors and the bases of FS and GS.
pub const NEED_SEGMENTS: u32 = 8;
/// Protection (PROT_ bits plus 1) of the page that the first half of the data lies in; that of the second half is 8 bits further up.
pub const PROTECT_LOWER: u32 = 0x100;
/// See [`PROTECT_LOWER`].
pub const PROTECT_UPPER: u32 = 0x1_0000;

/// Offsets in a record.
pub mod at {
    pub const SLOT: usize = 64;
    pub const NEEDS: usize = 68;
    pub const SIGNAL: usize = 72;
    pub const TRAP: usize = 76;
    pub const RIP: usize = 80;
    pub const SI_CODE: usize = 88;
    pub const FLAGS: usize = 96;
    pub const MXCSR: usize = 104;
    pub const SHIFT: usize = 108;
    pub const ADDRESS: usize = 112;
    pub const ERROR: usize = 120;
    pub const GPR: usize = 128;
    pub const XMM: usize = 256;
    pub const YMMHI: usize = 512;
    pub const X87: usize = 768;
    pub const FS_BASE: usize = 896;
    pub const GS_BASE: usize = 904;
    pub const SELECTORS: usize = 912;
    pub const MEMORY: usize = 1024;
}

/// A record: a case before it ran, or its result.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(pub Box<[u8; SIZE]>);

impl Record {
    /// A record whose registers and data are noise that depends on `seed` alone. Recorded vectors store only what differs from it:
    /// changing this function means recording them again.
    pub fn background(seed: u32) -> Self {
        let mut r = Record(Box::new([0; SIZE]));
        let mut random = Random::new(seed as u64);
        for at in (at::GPR..at::X87).chain(at::MEMORY..SIZE).step_by(8) {
            r.set64(at, random.next());
        }
        r.set32(at::MXCSR, 0x1f80);
        r.set64(at::FLAGS, 0x202);
        // x87: initial control word, all registers empty.
        r.set32(at::X87, 0xffff_037f);
        r.set32(at::X87 + 4, 0xffff_0000);
        r.set32(at::X87 + 8, 0xffff_ffff);
        r
    }
    /// A field of 8 bytes.
    pub fn get64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().expect("8 bytes"))
    }
    /// A field of 4 bytes.
    pub fn get32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().expect("4 bytes"))
    }
    /// Sets a field of 8 bytes.
    pub fn set64(&mut self, at: usize, v: u64) {
        self.put(at, &v.to_le_bytes());
    }
    /// Sets a field of 4 bytes.
    pub fn set32(&mut self, at: usize, v: u32) {
        self.put(at, &v.to_le_bytes());
    }
    /// Sets bytes.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
    /// A general register by number.
    pub fn gpr(&self, n: usize) -> u64 {
        self.get64(at::GPR + 8 * n)
    }
    /// Sets a general register.
    pub fn set_gpr(&mut self, n: usize, v: u64) {
        self.set64(at::GPR + 8 * n, v);
    }
    /// Sets data at a guest address; what lies outside the data is left out.
    pub fn set_data(&mut self, address: u64, bytes: &[u8]) {
        for (i, b) in bytes.iter().enumerate() {
            let offset = address.wrapping_add(i as u64).wrapping_sub(DATA);
            if offset < DATA_SIZE {
                self.0[at::MEMORY + offset as usize] = *b;
            }
        }
    }
    /// Puts code in the slot, with the jump back behind it. False if it is too long.
    pub fn set_code(&mut self, code: &[u8]) -> bool {
        let back = BACK.to_le_bytes();
        let jump = [0xff, 0x24, 0x25, back[0], back[1], back[2], back[3]];
        if code.len() + jump.len() > SLOT_SIZE as usize {
            return false;
        }
        self.put(0, code);
        self.put(code.len(), &jump);
        true
    }
    /// Signal of a result; 0: none.
    pub fn signal(&self) -> u32 {
        self.get32(at::SIGNAL)
    }
    /// Guest address of the memory operand; None if there is none, or if it is a vector of them.
    pub fn effective_address(&self, insn: &Instruction) -> Option<u64> {
        self.element_address(insn, 0).filter(|_| !insn.is_vsib())
    }
    /// The same for element `n` of a gather's.
    pub fn element_address(&self, insn: &Instruction, n: usize) -> Option<u64> {
        let operand = insn.op_kinds().position(|k| k == OpKind::Memory)? as u32;
        let segments = self.get32(at::NEEDS) & NEED_SEGMENTS != 0;
        insn.virtual_address(operand, n, |register, element, bytes| match register {
            Register::FS if segments => Some(self.get64(at::FS_BASE)),
            Register::GS if segments => Some(self.get64(at::GS_BASE)),
            _ if register.is_gpr32() => Some(self.gpr(register.full_register().number()) & 0xffff_ffff),
            _ if register.is_gpr() => Some(self.gpr(register.full_register().number())),
            _ if register.is_vector_register() => {
                let (byte, n) = (element * bytes, 16 * register.number());
                let index = self.get64(if byte < 16 { at::XMM + n + byte } else { at::YMMHI + n + byte - 16 });
                Some(if bytes == 4 { index as i32 as u64 } else { index })
            }
            _ => Some(0),
        })
    }
    /// Guest address of the code.
    pub fn address(&self) -> u64 {
        CODE + SLOT_SIZE * self.get32(at::SLOT) as u64 + self.get32(at::SHIFT) as u64
    }
}

/// What of a result is not compared.
#[derive(Clone, Default)]
pub struct Volatile {
    /// Bits of general registers: number and mask.
    pub registers: Vec<(usize, u64)>,
    /// Bytes of the data, counted from its begin.
    pub memory: Vec<Range<usize>>,
}

/// A case: its record, and what is known about it.
#[derive(Clone)]
pub struct Case {
    /// The state that it starts from.
    pub record: Record,
    /// Seed of the record's background.
    pub seed: u32,
    /// Form under test.
    pub form: usize,
    /// Bytes in front of the instruction.
    pub start: usize,
    /// Bytes up to the instruction's end (the slot's code may have more behind it).
    pub len: usize,
    /// Status flags that are not compared.
    pub undefined_flags: u64,
    /// It has a LOCK prefix, which is another instruction to a translator.
    pub locked: bool,
    /// Registers that the instruction names or implies, for the report.
    pub involved: u32,
    /// What differs from one execution to the next, or between processors.
    pub volatile: Volatile,
}
