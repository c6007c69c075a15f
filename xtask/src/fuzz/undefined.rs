//! What the architecture leaves undefined, and so is not compared.

use super::case::{DATA, DATA_SIZE, Record, Volatile};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register, RflagsBits};

/// Status flags as RFLAGS has them.
pub mod flag {
    pub const CF: u64 = 1;
    pub const PF: u64 = 4;
    pub const AF: u64 = 0x10;
    pub const ZF: u64 = 0x40;
    pub const SF: u64 = 0x80;
    pub const DF: u64 = 0x400;
    pub const OF: u64 = 0x800;
}
use flag::*;

const BITS: [(u32, u64); 6] =
    [(RflagsBits::CF, CF), (RflagsBits::PF, PF), (RflagsBits::AF, AF), (RflagsBits::ZF, ZF), (RflagsBits::SF, SF), (RflagsBits::OF, OF)];

/// Flags that are undefined after `insn`, where the count of a shift by CL is `cl`.
pub fn flags(insn: &Instruction, cl: u64) -> u64 {
    if matches!(insn.mnemonic(), Mnemonic::Rdrand | Mnemonic::Rdseed) {
        // Whether there was a number.
        return CF;
    }
    let listed = BITS.iter().filter(|(bit, _)| insn.rflags_undefined() & bit != 0).map(|(_, flag)| flag).sum();
    shift(insn, cl).unwrap_or(listed)
}

/// Shifts and rotates: what is undefined depends on the masked count (SDM vol. 2, SAL/SHR, RCL/ROL, SHLD).
fn shift(insn: &Instruction, cl: u64) -> Option<u64> {
    use Mnemonic::*;
    let m = insn.mnemonic();
    if !matches!(m, Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr | Shld | Shrd) {
        return None;
    }
    let last = insn.op_count() - 1;
    let count = match insn.op_kind(last) {
        OpKind::Register if insn.op_register(last) == Register::CL => cl,
        _ => insn.immediate(last),
    };
    let size = match insn.op0_kind() {
        OpKind::Register => insn.op0_register().size(),
        _ => insn.memory_size().size(),
    } as u64;
    let count = count & if size == 8 { 63 } else { 31 };
    let of = if count > 1 { OF } else { 0 };
    Some(match m {
        _ if count == 0 => 0,
        Rol | Ror | Rcl | Rcr => of,
        Shld | Shrd if count > 8 * size => CF | PF | AF | ZF | SF | OF,
        Shl | Sal | Shr if count >= 8 * size => AF | of | CF,
        _ => AF | of,
    })
}

/// What `insn` leaves different from one execution to the next, or from one processor to another.
pub fn volatile(insn: &Instruction, record: &Record) -> Volatile {
    use Mnemonic::*;
    let mut memory = Vec::new();
    if matches!(insn.mnemonic(), Fxsave | Fxsave64 | Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64) {
        // MXCSR_MASK: AMD's misaligned mode, which nothing uses, is not offered.
        let start = record.effective_address(insn).unwrap_or(0).wrapping_sub(DATA) as usize;
        memory.extend((start < DATA_SIZE as usize - 28).then(|| start + 28..(start + 32).min(DATA_SIZE as usize)));
    }
    // Code and data segments of the last instruction: there or not, as the kernel's own saving and restoring leaves them.
    let segments = match insn.code() {
        Code::Fnstenv_m14byte | Code::Fnsave_m94byte => Some(6..14),
        Code::Fnstenv_m28byte | Code::Fnsave_m108byte => Some(12..28),
        _ => None,
    };
    if let (Some(range), Some(address)) = (segments, record.effective_address(insn)) {
        let start = address.wrapping_sub(DATA) as usize;
        memory.extend((start < DATA_SIZE as usize - 28).then(|| start + range.start..start + range.end));
    }
    Volatile { registers: volatile_registers(insn), memory }
}

fn volatile_registers(insn: &Instruction) -> Vec<(usize, u64)> {
    use Mnemonic::*;
    const LOW: u64 = 0xffff_ffff;
    match insn.mnemonic() {
        Rdtsc => vec![(0, LOW), (2, LOW)],
        Rdtscp => vec![(0, LOW), (1, LOW), (2, LOW)],
        Cpuid => vec![(0, LOW), (1, LOW), (2, LOW), (3, LOW)],
        Xgetbv => vec![(0, LOW)],
        Rdrand | Rdseed | Rdpid => {
            let register = insn.op0_register();
            let mask = match register.size() {
                2 => 0xffff,
                4 => LOW,
                _ if insn.mnemonic() == Rdpid => LOW,
                _ => u64::MAX,
            };
            vec![(register.full_register().number(), mask)]
        }
        _ => Vec::new(),
    }
}

/// True when the result register itself is undefined: SHLD and SHRD of 16 bits by more than 16.
pub fn result(insn: &Instruction, cl: u64) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd) && shift(insn, cl) == Some(CF | PF | AF | ZF | SF | OF)
}
