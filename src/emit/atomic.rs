//! Atomic read-modify-write: one LSE instruction where the host has it, else an exclusive loop. All are sequentially consistent as
//! x86's LOCK is (docs/memory-model.md). An exclusive loop ends in DMB ISH. A compare-and-swap that fails writes nothing, so that its release
//! half orders nothing: DMB ISH stands before CASAL, for stores that are no releases; an exclusive loop stores back what it read.

use super::asm::{Alu, Asm, Cond, Size};
use super::memory::Width;
use super::regs::*;

/// What the memory operand becomes; all return the old value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rmw {
    /// old + operand.
    Add,
    /// old & !operand.
    Clear,
    /// old ^ operand.
    Xor,
    /// old | operand.
    Set,
    /// operand.
    Swap,
}

impl Asm {
    fn load_exclusive(&mut self, width: Width, d: X, n: X) {
        self.word(0x085f_fc00 | width.log2() << 30 | (n.0 as u32) << 5 | d.0 as u32);
    }
    fn store_exclusive(&mut self, width: Width, status: X, s: X, n: X) {
        self.word(0x0800_fc00 | width.log2() << 30 | (status.0 as u32) << 16 | (n.0 as u32) << 5 | s.0 as u32);
    }

    /// `old = [n]; [n] = old op s`. `old`, `s` and `n` are distinct registers; uses both scratch registers.
    pub fn rmw(&mut self, rmw: Rmw, width: Width, old: X, s: X, n: X) {
        debug_assert!(old != s && old != n);
        if self.features.lse {
            let opc = match rmw {
                Rmw::Add => 0x0000,
                Rmw::Clear => 0x1000,
                Rmw::Xor => 0x2000,
                Rmw::Set => 0x3000,
                Rmw::Swap => 0x8000,
            };
            self.word(0x38e0_0000 | width.log2() << 30 | (s.0 as u32) << 16 | opc | (n.0 as u32) << 5 | old.0 as u32);
            return;
        }
        let again = self.label();
        self.bind(again);
        self.load_exclusive(width, old, n);
        match rmw {
            Rmw::Add => self.alu(Alu::Add, Size::X, S0, old, s),
            Rmw::Clear => self.alu(Alu::Bic, Size::X, S0, old, s),
            Rmw::Xor => self.alu(Alu::Eor, Size::X, S0, old, s),
            Rmw::Set => self.alu(Alu::Orr, Size::X, S0, old, s),
            Rmw::Swap => self.mov(Size::X, S0, s),
        }
        self.store_exclusive(width, S1, S0, n);
        self.cbnz(Size::W, S1, again);
        self.dmb_ish();
    }

    /// Compare and swap: `old` holds the expected value on entry and what memory held on return; `new` is stored if they are equal.
    /// Only the low bytes of `old` count for narrow widths. Leaves NZCV alone.
    pub fn cas(&mut self, width: Width, old: X, new: X, n: X) {
        debug_assert!(old != new && old != n);
        if self.features.lse {
            self.dmb_ish();
            self.word(0x08e0_fc00 | width.log2() << 30 | (old.0 as u32) << 16 | (n.0 as u32) << 5 | new.0 as u32);
            return;
        }
        let (again, differs, done) = (self.label(), self.label(), self.label());
        self.bind(again);
        self.load_exclusive(width, S0, n);
        self.alu(Alu::Eor, Size::X, S1, S0, old);
        if width.log2() < 3 {
            self.ubfx(Size::X, S1, S1, 0, 8 << width.log2());
        }
        self.cbnz(Size::X, S1, differs);
        self.store_exclusive(width, S1, new, n);
        self.cbnz(Size::W, S1, again);
        self.b(done);
        self.bind(differs);
        self.store_exclusive(width, S1, S0, n);
        self.cbnz(Size::W, S1, again);
        self.bind(done);
        self.mov(Size::X, old, S0);
        self.dmb_ish();
    }

    /// 128-bit compare and swap at an aligned address. `(lo, hi)` expected on entry, memory on return. With LSE, `lo` and `new_lo` must be even
    /// registers directly below `hi` and `new_hi`. `spare` is a further scratch register.
    pub fn cas_pair(&mut self, (lo, hi): (X, X), (new_lo, new_hi): (X, X), n: X, spare: X) {
        if self.features.lse {
            debug_assert!(lo.0 % 2 == 0 && hi.0 == lo.0 + 1 && new_lo.0 % 2 == 0 && new_hi.0 == new_lo.0 + 1);
            self.dmb_ish();
            self.word(0x4860_fc00 | (lo.0 as u32) << 16 | (n.0 as u32) << 5 | new_lo.0 as u32);
            return;
        }
        let (again, differs, done) = (self.label(), self.label(), self.label());
        self.bind(again);
        self.word(0xc87f_8000 | (S1.0 as u32) << 10 | (n.0 as u32) << 5 | S0.0 as u32); // ldaxp s0, s1, [n]
        self.alu(Alu::Eor, Size::X, spare, S0, lo);
        self.cbnz(Size::X, spare, differs);
        self.alu(Alu::Eor, Size::X, spare, S1, hi);
        self.cbnz(Size::X, spare, differs);
        self.word(0xc820_8000 | (spare.0 as u32) << 16 | (new_hi.0 as u32) << 10 | (n.0 as u32) << 5 | new_lo.0 as u32); // stlxp
        self.cbnz(Size::W, spare, again);
        self.b(done);
        self.bind(differs);
        // The pair was read in one piece only if it is stored back (Arm ARM, LDXP without LSE2).
        self.word(0xc820_8000 | (spare.0 as u32) << 16 | (S1.0 as u32) << 10 | (n.0 as u32) << 5 | S0.0 as u32);
        self.cbnz(Size::W, spare, again);
        self.mov(Size::X, lo, S0);
        self.mov(Size::X, hi, S1);
        self.bind(done);
        self.dmb_ish();
    }

    /// Sets `d` to 1 if the condition holds, all ones… kept here for symmetry with `cset`: all bits set if it holds, else zero.
    pub fn csetm(&mut self, size: Size, d: X, cond: Cond) {
        self.csinv(size, d, ZR, ZR, cond.invert());
    }
}
