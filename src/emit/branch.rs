//! Labels, branches and the literal pool, resolved by `finish`.

use super::asm::{Asm, Cond, Size, op};
use super::code::Buffers;
use super::regs::*;
use dynasm::dynasm;
use dynasmrt::DynasmApi;

/// A place in the code being assembled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(pub(super) u32);

#[derive(Clone, Copy)]
enum Field {
    /// B, BL: 26 bits at 0.
    Imm26,
    /// B.cond, CBZ, LDR literal: 19 bits at 5.
    Imm19,
    /// TBZ: 14 bits at 5.
    Imm14,
    /// ADR: 21 bits, split.
    Adr,
}

pub(super) struct Fixup {
    at: u32,
    label: Label,
    field: Field,
}

pub(super) struct Literal {
    value: u128,
    kind: Kind,
    label: Label,
}

/// What a literal is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 8 bytes.
    Number,
    /// 8 bytes that hold a guest address.
    Guest,
    /// 16 bytes.
    Vector,
}

const UNBOUND: u32 = u32::MAX;

/// The finished bytes of an [`Asm`].
pub struct Finished {
    /// Instruction words and literal pool, little-endian.
    pub bytes: Vec<u8>,
    /// Offsets of 8-byte literals that hold guest addresses (they move with the guest image).
    pub relocations: Vec<u32>,
    /// Where each label came to lie, by its number.
    labels: Vec<u32>,
    fixups: Vec<Fixup>,
    literals: Vec<Literal>,
}

impl Finished {
    /// Offset of a bound label in bytes.
    pub fn offset_of(&self, label: Label) -> u32 {
        self.labels[label.0 as usize]
    }
    /// The bytes, and the room for a later [`Asm`], which [takes them back](Buffers::take_back) when they have been copied.
    pub fn into_parts(self) -> (Vec<u8>, Buffers) {
        (self.bytes, Buffers { code: Vec::new(), labels: self.labels, fixups: self.fixups, literals: self.literals })
    }
}

fn insert(word: u32, field: Field, delta: i32) -> u32 {
    let in_range = |bits: u32| delta >= -(1 << (bits + 1)) && delta < (1 << (bits + 1));
    match field {
        Field::Imm26 => {
            debug_assert!(in_range(26));
            word | (delta as u32 >> 2) & 0x03ff_ffff
        }
        Field::Imm19 => {
            assert!(in_range(19), "translated region too large for a conditional branch");
            word | ((delta as u32 >> 2) & 0x7ffff) << 5
        }
        Field::Imm14 => {
            assert!(in_range(14), "translated region too large for a test-and-branch");
            word | ((delta as u32 >> 2) & 0x3fff) << 5
        }
        Field::Adr => word | (delta as u32 & 3) << 29 | ((delta as u32 >> 2) & 0x7ffff) << 5,
    }
}

/// The word `b` to `delta` bytes on, if it reaches (±128 MiB).
pub fn patch_branch(delta: i64) -> Option<u32> {
    (delta & 3 == 0 && (-(1 << 27)..1 << 27).contains(&delta)).then_some(0x1400_0000 | (delta >> 2) as u32 & 0x03ff_ffff)
}

/// What B and BL differ in.
pub const BL: u32 = 0x8000_0000;

/// The conditional branch `word` (B.cond, CBZ or CBNZ) to `delta` bytes on instead, if it reaches (±1 MiB).
pub fn redirect_conditional(word: u32, delta: i64) -> Option<u32> {
    const OFFSET: u32 = 0x7_ffff << 5;
    (delta & 3 == 0 && (-(1 << 20)..1 << 20).contains(&delta)).then_some(word & !OFFSET | ((delta >> 2) as u32) << 5 & OFFSET)
}

/// The branch to where the CBZ or CBNZ `word` goes, whatever its register holds.
pub fn always(word: u32) -> u32 {
    let delta = (word << 8) as i32 >> 13;
    0x1400_0000 | delta as u32 & 0x03ff_ffff
}

impl Asm {
    /// A new label, to be bound later.
    pub fn label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }
    /// Binds a label here.
    pub fn bind(&mut self, label: Label) {
        debug_assert_eq!(self.labels[label.0 as usize], UNBOUND, "label bound twice");
        self.bound = self.offset();
        self.labels[label.0 as usize] = self.bound;
    }
    /// Has it been?
    pub fn is_bound(&self, label: Label) -> bool {
        self.bound_at(label).is_some()
    }
    /// Where it is bound.
    pub fn bound_at(&self, label: Label) -> Option<u32> {
        Some(self.labels[label.0 as usize]).filter(|at| *at != UNBOUND)
    }
    fn fixup(&mut self, label: Label, field: Field, word: u32) {
        let at = self.offset();
        self.fixups.push(Fixup { at, label, field });
        self.word(word);
    }
    /// Branch.
    pub fn b(&mut self, to: Label) {
        self.fixup(to, Field::Imm26, 0x1400_0000);
    }
    /// Branch with link.
    pub fn bl(&mut self, to: Label) {
        self.fixup(to, Field::Imm26, 0x9400_0000);
    }
    /// Branch if the condition holds (±1 MiB).
    pub fn b_cond(&mut self, cond: Cond, to: Label) {
        self.fixup(to, Field::Imm19, 0x5400_0000 | cond as u32);
    }
    /// Branch if zero.
    pub fn cbz(&mut self, size: Size, n: X, to: Label) {
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        self.fixup(to, Field::Imm19, 0x3400_0000 | sf | n.0 as u32);
    }
    /// Branch if not zero.
    pub fn cbnz(&mut self, size: Size, n: X, to: Label) {
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        self.fixup(to, Field::Imm19, 0x3500_0000 | sf | n.0 as u32);
    }
    /// Branch if bit `bit` is zero (±32 KiB).
    pub fn tbz(&mut self, n: X, bit: u32, to: Label) {
        self.fixup(to, Field::Imm14, 0x3600_0000 | (bit >> 5) << 31 | (bit & 31) << 19 | n.0 as u32);
    }
    /// Branch if bit `bit` is one (±32 KiB).
    pub fn tbnz(&mut self, n: X, bit: u32, to: Label) {
        self.fixup(to, Field::Imm14, 0x3700_0000 | (bit >> 5) << 31 | (bit & 31) << 19 | n.0 as u32);
    }
    /// Address of a label (±1 MiB).
    pub fn adr(&mut self, d: X, to: Label) {
        self.fixup(to, Field::Adr, 0x1000_0000 | d.0 as u32);
    }
    /// Branch to a register.
    pub fn br(&mut self, n: X) {
        op!(self, br X(n.0));
    }
    /// Call a register.
    pub fn blr(&mut self, n: X) {
        op!(self, blr X(n.0));
    }
    /// Return to a register, by the return predictor.
    pub fn ret(&mut self, n: X) {
        op!(self, ret X(n.0));
    }

    fn literal(&mut self, d: u8, value: u128, kind: Kind) {
        let label = match self.literals.iter().find(|l| l.value == value && l.kind == kind) {
            Some(l) => l.label,
            None => {
                let label = self.label();
                self.literals.push(Literal { value, kind, label });
                label
            }
        };
        let base = if kind == Kind::Vector { 0x9c00_0000 } else { 0x5800_0000 };
        self.fixup(label, Field::Imm19, base | d as u32);
    }
    /// Loads a 128-bit constant from the pool.
    pub fn vector_constant(&mut self, d: V, value: u128) {
        self.literal(d.0, value, Kind::Vector);
    }
    /// Loads a guest address. Always from the pool, so that code is the same wherever the guest's image lies and one record relocates it.
    pub fn guest_address(&mut self, d: X, address: u64) {
        self.literal(d.0, address as u128, Kind::Guest);
    }
    /// Loads a constant by one instruction: where no MOV does, from the pool.
    pub fn constant(&mut self, d: X, value: u64) {
        let halves = |v: u64| (0..4).filter(|i| v >> (16 * i) & 0xffff != 0).count();
        let by_word = || value >> 32 == 0 && halves(!value & 0xffff_ffff) <= 1;
        if halves(value) <= 1 || halves(!value) <= 1 || by_word() || super::imm::is_logical_imm(value, 64) {
            self.mov_imm(d, value);
        } else {
            self.literal(d.0, value as u128, Kind::Number);
        }
    }

    /// Places the literal pool, resolves every branch, and returns the code; what is left is empty.
    pub fn finish(&mut self) -> Finished {
        let mut relocations = Vec::with_capacity(self.literals.len());
        if !self.literals.is_empty() && self.offset() & 7 != 0 {
            self.nop();
        }
        let literals = std::mem::take(&mut self.literals);
        for l in &literals {
            self.bind(l.label);
            if l.kind == Kind::Guest {
                relocations.push(self.offset());
            }
            for i in 0..if l.kind == Kind::Vector { 4 } else { 2 } {
                self.word((l.value >> (32 * i)) as u32);
            }
        }
        let mut bytes = std::mem::take(&mut self.ops.0);
        for f in &self.fixups {
            let to = self.labels[f.label.0 as usize];
            assert_ne!(to, UNBOUND, "branch to an unbound label");
            let at = f.at as usize;
            let word = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
            bytes[at..at + 4].copy_from_slice(&insert(word, f.field, to as i32 - f.at as i32).to_le_bytes());
        }
        Finished { bytes, relocations, labels: std::mem::take(&mut self.labels), fixups: std::mem::take(&mut self.fixups), literals }
    }
}
