//! Encodings that no assembler makes: prefixes that mean nothing or make the instruction undefined, other VEX fields, instructions of
//! 15 and 16 bytes, neighbouring opcodes, and instructions that go on in a page that is not there.
//!
//! A case of a form is taken, and its bytes are changed. What they are then is for the processor to say.

use super::case::{Case, Record, Volatile, at};
use super::forms;
use super::generate;
use super::random::Random;
use super::undefined;
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};

/// First code slot of the pages behind which nothing is mapped.
const EDGES: u32 = 4096;
/// Slots in a page.
const SLOTS: u32 = 64;
/// Pages behind which nothing is mapped.
const HOLES: u32 = 32;

/// Changes cases of one batch.
pub struct Mutator {
    /// Pages before holes that cases have taken.
    edges: u32,
}

impl Mutator {
    /// For a new batch.
    pub fn new() -> Self {
        Mutator { edges: 0 }
    }

    /// The case with other bytes; None if these could do anything (jump, enter the kernel).
    pub fn mutate(&mut self, case: &Case) -> Option<Case> {
        let mut r = Random::new((case.seed as u64) << 32 | 0xed17);
        let record = &case.record;
        let (before, insn) = record.0[..case.len].split_at(case.start);
        let original = decode(record, case.start);
        if original.flow_control() != FlowControl::Next {
            return None;
        }
        let mut bytes = insn.to_vec();
        let mut changed = record.clone();
        if self.edges < HOLES && before.is_empty() && !original.is_ip_rel_memory_operand() && r.one_in(3) {
            // As many bytes as these are before the hole; the jump back may be the first behind it.
            let inside = r.below(bytes.len() as u64 + 1) as u32;
            changed.set32(at::SLOT, EDGES + self.edges * 2 * SLOTS + SLOTS - 1);
            changed.set32(at::SHIFT, 64 - inside);
            self.edges += 1;
            changed.set_code(&bytes).then_some(())?;
            return Some(Case { record: changed, ..case.clone() });
        }
        for _ in 0..=r.below(3) {
            change(&mut r, &mut bytes);
        }
        if bytes == insn || !changed.set_code(&[before, &bytes].concat()) {
            return None;
        }
        let new = decode(&changed, case.start);
        let (form, len, undefined_flags, volatile) = if new.is_invalid() {
            (!is_not_offered(&bytes)).then_some(())?;
            (Code::INVALID as usize, bytes.len(), 0, Volatile::default())
        } else {
            let known = forms::is_compared(new.code()) && new.flow_control() == FlowControl::Next && new.len() == bytes.len();
            // Flags from memory may single-step.
            let tame = !undefined::result(&new, record.gpr(1)) && !matches!(new.mnemonic(), Mnemonic::Popf | Mnemonic::Popfq);
            (known && tame).then_some(())?;
            (new.code() as usize, bytes.len(), undefined::flags(&new, record.gpr(1)), undefined::volatile(&new, &changed))
        };
        let (_, involved, _) = generate::extent(&changed);
        Some(Case {
            record: changed,
            form,
            len: before.len() + len,
            undefined_flags,
            volatile,
            involved,
            locked: new.has_lock_prefix(),
            ..case.clone()
        })
    }
}

/// The instruction at `start`, with all that lies behind it at hand.
fn decode(record: &Record, start: usize) -> Instruction {
    Decoder::with_ip(64, &record.0[start..at::SLOT], record.address() + start as u64, DecoderOptions::AMD).decode()
}

/// VEX opcodes of AVX-512's masks and of FMA4, and VPERMQ and VPERMPD without VEX.W: Zen 4 executes them in encodings that manuals forbid.
fn is_not_offered(bytes: &[u8]) -> bool {
    let Some(at) = bytes.iter().position(|b| matches!(b, 0xc4 | 0xc5)) else { return false };
    let (map, opcode) =
        if bytes[at] == 0xc5 { (Some(1), bytes.get(at + 2)) } else { (bytes.get(at + 1).map(|b| b & 0x1f), bytes.get(at + 3)) };
    matches!((map, opcode), (Some(1), Some(0x41..=0x4b | 0x90..=0x93 | 0x98 | 0x99)) | (Some(3), Some(0 | 1 | 0x30..=0x33 | 0x48 | 0x49 | 0x5c..=0x7f)))
}

/// One change.
fn change(r: &mut Random, bytes: &mut Vec<u8>) {
    const PREFIXES: &[u8] =
        &[0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf2, 0xf3, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x40, 0x41, 0x44, 0x48, 0x48, 0x4f];
    let is_prefix = |b: &u8| PREFIXES.contains(b) || b >> 4 == 4;
    let prefixes = bytes.iter().take_while(|b| is_prefix(b)).count();
    let vex = bytes.get(prefixes).copied().filter(|b| matches!(b, 0xc4 | 0xc5));
    match r.below(8) {
        0..=2 => bytes.insert(r.below(prefixes as u64 + 1) as usize, r.pick(PREFIXES)),
        3 => {
            // Up to the limit, and over it.
            let length = 13 + r.below(4) as usize;
            let filler = r.pick(&[0x2e, 0x3e, 0x66, 0x26]);
            while bytes.len() < length {
                bytes.insert(0, filler);
            }
        }
        4 | 5 if vex.is_some() => {
            let fields = if vex == Some(0xc4) { 2 } else { 1 };
            let at = prefixes + 1 + r.below(fields) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << r.below(8);
            }
        }
        6 => {
            // Another opcode, with the same operands.
            let opcode = prefixes + vex.map_or(usize::from(bytes.get(prefixes) == Some(&0x0f)), |v| if v == 0xc4 { 3 } else { 2 });
            if let Some(byte) = bytes.get_mut(opcode) {
                *byte ^= 1 << r.below(8);
            }
        }
        _ if prefixes > 0 => {
            bytes.remove(r.below(prefixes as u64) as usize);
        }
        _ => bytes.insert(0, r.pick(PREFIXES)),
    }
}
