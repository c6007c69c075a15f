//! SSE4.2 string comparisons, and the approximations of SSE: both in helpers.

use super::Row;
use super::context::Ctx;
use super::vector::{SECOND, immediate};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::{Mem, Order};
use crate::guest::CpuState;
use crate::helpers::{Id, compare_strings::*};
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

/// Results go to RCX or XMM0 and the flags in the state.
pub fn compare(c: &mut Ctx, insn: &Insn, kind: u64) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = c.read_v(insn, 1, 16, SECOND);
    c.vector_helper(Id::CompareStrings, xmm(n), b, immediate(insn) as u64 | kind, 0);
}

/// RCP, RSQRT of the low `lanes` singles.
fn estimate(c: &mut Ctx, insn: &Insn, which: u64, lanes: u64) {
    let Op::Xmm(n) = insn.op(0) else { return c.undefined(insn) };
    let b = if lanes == 1 { c.read_v(insn, 1, 4, SECOND) } else { c.read_aligned(insn, 1, SECOND) };
    c.vector_helper(Id::Estimate, xmm(n), b, which, lanes);
    c.helper_result(xmm(n));
}
