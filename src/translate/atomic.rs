//! LOCK'ed operations, XCHG, CMPXCHG and XADD.

use super::context::Ctx;
use super::integer::Kind;
use crate::decode::Insn;

/// LOCK ADD, SUB, ADC, SBB, AND, OR, XOR.
pub fn locked(c: &mut Ctx, insn: &Insn, _kind: Kind) {
    c.undefined(insn);
}
/// LOCK INC, DEC.
pub fn locked_step(c: &mut Ctx, insn: &Insn, _kind: Kind) {
    c.undefined(insn);
}
/// LOCK NEG.
pub fn locked_neg(c: &mut Ctx, insn: &Insn) {
    c.undefined(insn);
}
/// LOCK NOT.
pub fn locked_not(c: &mut Ctx, insn: &Insn) {
    c.undefined(insn);
}
