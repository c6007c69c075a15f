//! What the VEX forms share: both halves of YMM registers, sources of 32 bytes, an operation applied to the 128-bit lanes.
//!
//! The lower half of YMM `n` is XMM `n`; where the upper one lies `uppers` knows. A 128-bit form clears the upper half of its
//! destination. All memory is read before anything changes; memory needs no alignment. Between the two lanes of an operation only v6 and
//! v7 hold values, as [`Bin`](super::vector::Bin) demands.

use super::context::{Ctx, exception};
use super::vector::{FIRST, SECOND};
use crate::decode::{Insn, Op};
use crate::emit::regs::*;
use crate::emit::{Alu, Mem, Order, Size};
use crate::guest::CpuState;
use std::mem::offset_of;

/// A source of one or two lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A register by number.
    Reg(u8),
    /// Lanes that were read from memory.
    Lanes(V, V),
}

/// Where a helper's wide operand waits while it works on the other lane.
pub const WAITING: usize = offset_of!(CpuState, image);

/// The number of a vector register operand.
pub fn number(op: Op) -> u8 {
    match op {
        Op::Xmm(n) | Op::Ymm(n) => n,
        other => unreachable!("vector register expected, not {other:?}"),
    }
}

/// Is operand `i` a YMM register?
pub fn is_wide(insn: &Insn, i: u32) -> bool {
    matches!(insn.op(i), Op::Ymm(_))
}

impl Ctx<'_> {
    /// The lane of a source: a pinned register, `t` with what it holds, or where memory was read to.
    pub fn lane(&mut self, s: Source, lane: u32, t: V) -> V {
        match (s, lane) {
            (Source::Reg(n), 0) => xmm(n),
            (Source::Reg(n), _) => self.upper(n, t),
            (Source::Lanes(low, _), 0) => low,
            (Source::Lanes(_, high), _) => high,
        }
    }

    /// Are both lanes of the source where they can be used without loading?
    pub fn is_held(&self, s: Source) -> bool {
        match s {
            Source::Reg(n) => self.held_upper(n).is_some(),
            Source::Lanes(..) => true,
        }
    }

    /// Raises #GP if the memory operand does not lie on a boundary of `bytes` and the options want that.
    pub fn check_boundary(&mut self, insn: &Insn, bytes: u32) {
        if self.options.strict_align {
            let address = self.mem_in_register(insn);
            self.a.alu_imm(Alu::And, Size::X, T[6], address, bytes as u64 - 1);
            let bad = self.cold(|c| c.raise(exception::GENERAL_PROTECTION));
            self.a.cbnz(Size::X, T[6], bad);
        }
    }

    /// The address of the memory operand in a form that takes another displacement. Uses T7.
    pub fn mem_based(&mut self, insn: &Insn) -> (X, i64) {
        match self.mem(insn) {
            Mem::Off(n, off) => (n, off),
            mem => {
                self.near = None;
                self.a.lea(T[7], mem);
                (T[7], 0)
            }
        }
    }

    /// An address whose displacement leaves room for another one.
    fn near(&mut self, n: X, off: i64) -> (X, i64) {
        if (-256..240).contains(&off) {
            return (n, off);
        }
        self.near = None;
        self.a.lea(T[7], Mem::Off(n, off));
        (T[7], 0)
    }

    /// Loads 32 bytes of memory. `low` is a temporary, because the other half may fault.
    pub fn load_wide(&mut self, insn: &Insn, low: V, high: V) {
        if let Some((n, step)) = self.steps_on() {
            return self.a.ldp_q_post(low, high, n, step);
        }
        let (n, off) = self.mem_based(insn);
        if off & 15 == 0 && (-1024..1008).contains(&off) {
            self.a.ldp_q(low, high, n, off as i32);
        } else {
            let (n, off) = self.near(n, off);
            self.a.load_v(16, low, Mem::Off(n, off), Order::Plain);
            self.a.load_v(16, high, Mem::Off(n, off + 16), Order::Plain);
        }
        if self.order() != Order::Plain {
            self.a.dmb_behind_loads();
        }
    }
    /// Stores 32 bytes.
    pub fn store_wide(&mut self, insn: &Insn, low: V, high: V) {
        if let Some((n, step)) = self.steps_on() {
            return self.a.stp_q_post(low, high, n, step);
        }
        let (n, off) = self.mem_based(insn);
        if self.order() != Order::Plain {
            self.a.dmb_before_store();
        }
        if off & 15 == 0 && (-1024..1008).contains(&off) {
            return self.a.stp_q(low, high, n, off as i32);
        }
        let (n, off) = self.near(n, off);
        self.a.store_v(16, low, Mem::Off(n, off), Order::Plain);
        self.a.store_v(16, high, Mem::Off(n, off + 16), Order::Plain);
    }

    /// Operand `i`, a register or all the bytes (16 or 32, less for scalars) that it has in memory: these come to v7 and v6.
    pub fn source(&mut self, insn: &Insn, i: u32) -> Source {
        match insn.op(i) {
            Op::Xmm(n) | Op::Ymm(n) => Source::Reg(n),
            _ if insn.memory_bytes() == 32 => {
                self.load_wide(insn, SECOND, FIRST);
                Source::Lanes(SECOND, FIRST)
            }
            _ => {
                self.read_v(insn, i, insn.memory_bytes(), SECOND);
                Source::Lanes(SECOND, SECOND)
            }
        }
    }

    /// Runs `f(c, 0, d, a, b)` on the lower lane and, for a YMM destination, `f(c, 1, d, a, b)` on the upper one; clears the latter
    /// for an XMM one.
    pub fn by_lanes(&mut self, d: Op, a: Source, b: Source, f: &dyn Fn(&mut Ctx, u32, V, V, V)) {
        let n = number(d);
        let (x, y) = (self.lane(a, 0, FIRST), self.lane(b, 0, SECOND));
        f(self, 0, xmm(n), x, y);
        if let Op::Xmm(_) = d {
            return self.clear_upper(n);
        }
        self.upper_lane(n, a, b, f);
    }

    /// The upper lane alone.
    pub fn upper_lane(&mut self, n: u8, a: Source, b: Source, f: &dyn Fn(&mut Ctx, u32, V, V, V)) {
        let y = self.lane(b, 1, SECOND);
        let free = if y == FIRST { SECOND } else { FIRST };
        let x = if a == b { y } else { self.lane(a, 1, free) };
        let target = self.upper_target(n, free);
        f(self, 1, target, x, y);
        self.set_upper(n, target);
    }

    /// The same for operations that call a helper, which leaves no temporary alone.
    pub fn by_lanes_in_helper(&mut self, d: Op, a: Source, b: Source, f: &dyn Fn(&mut Ctx, u32, V, V, V)) {
        let mut b = b;
        if let (Op::Ymm(_), Source::Lanes(low, high)) = (d, b) {
            let mem = self.field(WAITING);
            self.a.store_v(16, high, mem, Order::Plain);
            b = Source::Lanes(low, low);
        }
        let n = number(d);
        let (x, y) = (self.lane(a, 0, FIRST), self.lane(b, 0, SECOND));
        f(self, 0, xmm(n), x, y);
        if let Op::Xmm(_) = d {
            return self.clear_upper(n);
        }
        if let Source::Lanes(low, _) = b {
            let mem = self.field(WAITING);
            self.a.load_v(16, low, mem, Order::Plain);
        }
        self.upper_lane(n, a, b, f);
    }
}

/// A three-operand form: `f(c, lane, d, a, b)` on each lane.
pub fn three(c: &mut Ctx, insn: &Insn, f: &dyn Fn(&mut Ctx, u32, V, V, V)) {
    let b = c.source(insn, 2);
    let a = Source::Reg(number(insn.op(1)));
    c.by_lanes(insn.op(0), a, b, f);
}

/// A two-operand form: `f(c, lane, d, s)` on each lane.
pub fn two(c: &mut Ctx, insn: &Insn, f: &dyn Fn(&mut Ctx, u32, V, V)) {
    let s = c.source(insn, 1);
    c.by_lanes(insn.op(0), s, s, &|c, lane, d, _, s| f(c, lane, d, s));
}
