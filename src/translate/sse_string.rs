//! SSE4.2 string comparisons, and the approximations of SSE, which are helpers.
//!
//! Comparisons work on masks in general registers: 4 bits for each byte of a vector, the lowest ones for the first. What leaves a mask in XMM0 is a helper's.

use super::Row;
use super::context::{Carry, Ctx};
use super::vector::{SECOND, immediate};
use crate::decode::{AF, CF, Insn, Mnemonic, OF, Op, PF, SF, ZF};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, ops::*};
use crate::emit::{Alu, Cond, Mem, Order, Shift, Size};
use crate::guest::{CpuState, Gpr};
use crate::helpers::{Id, compare_strings::*};
use crate::optimize::Opt;
use std::mem::offset_of;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Pcmpistri, |c, i| compare(c, i, 0)),
        (Pcmpistrm, |c, i| compare(c, i, MASK)),
        (Pcmpestri, |c, i| compare(c, i, EXPLICIT)),
        (Pcmpestrm, |c, i| compare(c, i, EXPLICIT | MASK)),
        (Pcmpestri64, |c, i| compare(c, i, EXPLICIT | WIDE)),
        (Pcmpestrm64, |c, i| compare(c, i, EXPLICIT | WIDE | MASK)),
        (Rcpps, |c, i| estimate(c, i, 0, 4)),
        (Rcpss, |c, i| estimate(c, i, 0, 1)),
        (Rsqrtps, |c, i| estimate(c, i, 1, 4)),
        (Rsqrtss, |c, i| estimate(c, i, 1, 1)),
    ]
};

/// Where helpers take their vector operands, and leave a result in the first.
const OPERANDS: i64 = offset_of!(CpuState, scratch) as i64;

impl Ctx<'_> {
    /// Hands two vectors to a helper, which gets `x` and `y` besides.
    pub fn vector_helper(&mut self, id: Id, a: V, b: V, x: u64, y: u64) {
        self.a.store_v(16, a, Mem::Off(STATE, OPERANDS), Order::Plain);
        self.a.store_v(16, b, Mem::Off(STATE, OPERANDS + 16), Order::Plain);
        self.a.mov_imm(T[1], x);
        self.a.mov_imm(T[2], y);
        self.helper(id);
    }
    /// The vector that a helper left.
    pub fn helper_result(&mut self, d: V) {
        self.a.load_v(16, d, Mem::Off(STATE, OPERANDS), Order::Plain);
    }
}

/// The masks of a comparison: which elements of the first and of the second operand are valid, and which match.
const VALID: [X; 2] = [T[0], T[1]];
const MATCHES: X = T[2];
/// What is left of the first operand's valid elements, in loops over them, and the element, as indices of its bytes and at all places.
const LEFT: X = T[3];
const INDEX: V = V(0);
const ELEMENT: V = V(1);
/// What [`INDEX`] grows by.
const STEP: V = V(2);
/// What has matched.
const FOUND: V = V(3);

/// A comparison of vectors of bytes or words.
struct Comparison {
    control: u64,
    bytes: u32,
    a: V,
    b: V,
}

/// Results go to RCX or XMM0 and the flags.
pub fn compare(c: &mut Ctx, insn: &Insn, kind: u64) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = c.read_v(insn, 1, 16, SECOND);
    if kind & MASK == 0 && c.options.switches.on(Opt::QuickCompares) {
        let control = immediate(insn) as u64 | kind;
        return Comparison { control, bytes: 1 + (control & 1) as u32, a: xmm(n), b }.emit(c);
    }
    c.vector_helper(Id::CompareStrings, xmm(n), b, immediate(insn) as u64 | kind, 0);
}

impl Comparison {
    fn arr(&self) -> Arr {
        if self.bytes == 1 { Arr::B16 } else { Arr::H8 }
    }
    /// Bits of a mask for one element.
    fn width(&self) -> u32 {
        4 * self.bytes
    }
    fn bit(&self, n: u32) -> bool {
        self.control >> n & 1 != 0
    }

    fn emit(&self, c: &mut Ctx) {
        self.valid(c, VALID[0], self.a, Gpr::Rax);
        self.valid(c, VALID[1], self.b, Gpr::Rdx);
        match self.control >> 2 & 3 {
            0 => self.any(c),
            1 => self.ranges(c),
            2 => self.each(c),
            _ => self.ordered(c),
        }
        // IntRes2.
        match self.control >> 4 & 3 {
            1 => c.a.alu(Alu::Orn, Size::X, MATCHES, ZR, MATCHES),
            3 => c.a.alu(Alu::Eor, Size::X, MATCHES, MATCHES, VALID[1]),
            _ => {}
        }
        self.index(c);
        flags(c);
    }

    /// `d` = the valid elements of `v`: those before the first zero, or as many as `length` says.
    fn valid(&self, c: &mut Ctx, d: X, v: V, length: Gpr) {
        let t = T[4];
        if self.control & EXPLICIT == 0 {
            c.a.v2(CMEQ0, self.arr(), ELEMENT, v);
            to_mask(c, t);
            c.a.alu_imm(Alu::Sub, Size::X, d, t, 1);
            return c.a.alu(Alu::Bic, Size::X, d, d, t);
        }
        let (size, length) = (if self.control & WIDE != 0 { Size::X } else { Size::W }, gpr(length as u8));
        c.a.alu_imm(Alu::Subs, size, ZR, length, 0);
        c.a.csneg(size, d, length, length, Cond::Pl);
        c.a.alu_imm(Alu::Subs, size, ZR, d, (16 / self.bytes) as u64);
        c.a.shift_imm(Shift::Lsl, Size::X, d, d, self.width().trailing_zeros());
        c.a.mov_imm(t, u64::MAX);
        c.a.lslv(Size::X, t, t, d);
        c.a.csel(Size::X, t, ZR, t, Cond::Cs);
        c.a.alu(Alu::Orn, Size::X, d, ZR, t);
    }

    /// Begins a loop over the elements of the first operand.
    fn begin_elements(&self, c: &mut Ctx) {
        match self.bytes {
            1 => c.a.vzero(INDEX),
            // The bytes of word 0.
            _ => c.a.movi_h(INDEX, 1, 8),
        }
        c.a.movi_b(STEP, self.bytes);
        c.a.mov(Size::X, LEFT, VALID[0]);
    }
    /// `d` = the element at all places.
    fn element(&self, c: &mut Ctx, d: V) {
        c.a.tbl(d, self.a, 1, INDEX);
        c.a.v3(ADD, Arr::B16, INDEX, INDEX, STEP);
    }

    /// Equal any: elements that are one of the first operand's.
    fn any(&self, c: &mut Ctx) {
        let (next, done) = (c.a.label(), c.a.label());
        c.a.vzero(FOUND);
        self.begin_elements(c);
        c.a.cbz(Size::X, LEFT, done);
        c.a.bind(next);
        self.element(c, ELEMENT);
        c.a.v3(CMEQ, self.arr(), ELEMENT, ELEMENT, self.b);
        c.a.vlogic(ORR, FOUND, FOUND, ELEMENT);
        c.a.shift_imm(Shift::Lsr, Size::X, LEFT, LEFT, self.width());
        c.a.cbnz(Size::X, LEFT, next);
        c.a.bind(done);
        self.found(c);
    }

    /// Ranges: elements between two neighbours of the first operand's.
    fn ranges(&self, c: &mut Ctx) {
        let (next, done, high) = (c.a.label(), c.a.label(), V(4));
        let at_least = if self.bit(1) { CMGE } else { CMHS };
        c.a.vzero(FOUND);
        self.begin_elements(c);
        c.a.bind(next);
        // The second one is valid only with the first.
        c.a.tbz(LEFT, self.width(), done);
        self.element(c, ELEMENT);
        self.element(c, high);
        c.a.v3(at_least, self.arr(), ELEMENT, self.b, ELEMENT);
        c.a.v3(at_least, self.arr(), high, high, self.b);
        c.a.vlogic(AND, ELEMENT, ELEMENT, high);
        c.a.vlogic(ORR, FOUND, FOUND, ELEMENT);
        c.a.shift_imm(Shift::Lsr, Size::X, LEFT, LEFT, 2 * self.width());
        c.a.b(next);
        c.a.bind(done);
        self.found(c);
    }

    /// What was found, where the second operand is valid.
    fn found(&self, c: &mut Ctx) {
        c.a.vshift(SHRN, Arr::B8, ELEMENT, FOUND, 4);
        c.a.fmov_to(Size::X, MATCHES, ELEMENT);
        c.a.alu(Alu::And, Size::X, MATCHES, MATCHES, VALID[1]);
    }

    /// Equal each: elements that are the same, and those beyond both ends.
    fn each(&self, c: &mut Ctx) {
        c.a.v3(CMEQ, self.arr(), ELEMENT, self.a, self.b);
        to_mask(c, MATCHES);
        c.a.alu(Alu::And, Size::X, T[4], VALID[0], VALID[1]);
        c.a.alu(Alu::And, Size::X, MATCHES, MATCHES, T[4]);
        c.a.alu(Alu::Orr, Size::X, T[4], VALID[0], VALID[1]);
        c.a.alu(Alu::Orn, Size::X, MATCHES, MATCHES, T[4]);
    }

    /// Equal ordered: places from which on all of the first operand is in the second, as far as that goes.
    fn ordered(&self, c: &mut Ctx) {
        let (next, done, bits, one, inside) = (c.a.label(), c.a.label(), T[4], T[5], T[6]);
        c.a.mov_imm(MATCHES, u64::MAX);
        c.a.mov_imm(inside, u64::MAX);
        c.a.mov_imm(bits, 0);
        self.begin_elements(c);
        c.a.cbz(Size::X, LEFT, done);
        c.a.bind(next);
        self.element(c, ELEMENT);
        c.a.v3(CMEQ, self.arr(), ELEMENT, ELEMENT, self.b);
        to_mask(c, one);
        c.a.alu(Alu::And, Size::X, one, one, VALID[1]);
        c.a.lsrv(Size::X, one, one, bits);
        c.a.alu(Alu::Orn, Size::X, one, one, inside);
        c.a.alu(Alu::And, Size::X, MATCHES, MATCHES, one);
        c.a.alu_imm(Alu::Add, Size::X, bits, bits, self.width() as u64);
        c.a.shift_imm(Shift::Lsr, Size::X, inside, inside, self.width());
        c.a.shift_imm(Shift::Lsr, Size::X, LEFT, LEFT, self.width());
        c.a.cbnz(Size::X, LEFT, next);
        c.a.bind(done);
    }

    /// ECX = the first or the last match, or as many as elements are.
    fn index(&self, c: &mut Ctx) {
        let (rcx, shift) = (gpr(Gpr::Rcx as u8), self.width().trailing_zeros());
        if !self.bit(6) {
            c.a.rbit(Size::X, T[4], MATCHES);
            c.a.clz(Size::X, T[4], T[4]);
            return c.a.shift_imm(Shift::Lsr, Size::W, rcx, T[4], shift);
        }
        let (last, none) = (16 / self.bytes - 1, 16 / self.bytes);
        c.a.clz(Size::X, T[4], MATCHES);
        c.a.shift_imm(Shift::Lsr, Size::W, T[4], T[4], shift);
        c.a.mov_imm(T[5], last as u64);
        c.a.alu(Alu::Subs, Size::W, T[4], T[5], T[4]);
        c.a.mov_imm(T[5], none as u64);
        c.a.csel(Size::W, rcx, T[5], T[4], Cond::Mi);
    }
}

/// `d` = the mask of [`ELEMENT`], whose lanes are all ones or all zeros.
fn to_mask(c: &mut Ctx, d: X) {
    c.a.vshift(SHRN, Arr::B8, ELEMENT, ELEMENT, 4);
    c.a.fmov_to(Size::X, d, ELEMENT);
}

/// CF: there is a match. ZF, SF: the second, the first operand ends inside. OF: the first element matches.
fn flags(c: &mut Ctx) {
    let nzcv = T[4];
    if c.needs(ZF | SF | OF) {
        c.a.alu_imm(Alu::And, Size::X, nzcv, MATCHES, 1);
        c.a.alu_imm(Alu::Subs, Size::X, ZR, MATCHES, 0);
        let carry = (1, Cond::Eq, CF);
        insert(c, nzcv, carry);
        for (valid, bit, flag) in [(VALID[1], 2, ZF), (VALID[0], 3, SF)] {
            if c.needs(flag) {
                c.a.alu_imm(Alu::Adds, Size::X, ZR, valid, 1);
                insert(c, nzcv, (bit, Cond::Ne, flag));
            }
        }
        c.a.shift_imm(Shift::Lsl, Size::X, nzcv, nzcv, 28);
        c.a.write_nzcv(nzcv);
    } else if c.needs(CF) {
        // No borrow from 0 - 0 only.
        c.a.alu(Alu::Subs, Size::X, ZR, ZR, MATCHES);
    }
    c.carry = Carry::Inverted;
    if c.needs(PF | AF) {
        c.a.mov_imm(PFR, 1);
        c.a.mov_imm(AFX, 1);
    }
}

/// Inserts a condition as a bit, if its flag is needed.
fn insert(c: &mut Ctx, nzcv: X, (bit, cond, flag): (u32, Cond, crate::decode::Flags)) {
    if c.needs(flag) {
        c.a.cset(T[5], cond);
        c.a.bfi(Size::X, nzcv, T[5], bit, 1);
    }
}

/// RCP, RSQRT of the low `lanes` singles.
fn estimate(c: &mut Ctx, insn: &Insn, which: u64, lanes: u64) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = if lanes == 1 { c.read_v(insn, 1, 4, SECOND) } else { c.read_aligned(insn, 1, SECOND) };
    c.vector_helper(Id::Estimate, xmm(n), b, which, lanes);
    c.helper_result(xmm(n));
}
