//! The instructions that work inside a group (see [`super::groups`]): arithmetic, moves, comparisons, conversions and permutations on renamed
//! XMM registers. Which they are `group_kind` says.

use super::context::Ctx;
use super::group_kind::{Logic, is_wide};
use super::group_values::Value;
use super::groups::upper;
use super::sse_float::compare_into_flags;
use crate::decode::{AF, Insn, OF, Op, PF, SF};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, F3, Fp, ops::*};
use crate::emit::Cond;

/// An operand of a group's instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// By number, see [`upper`].
    Reg(u8),
    /// Memory, loaded to here: both halves, or the same twice.
    Loaded(V, V),
    /// The same, but a repair reads memory again: these may be overwritten.
    Reread(V, V),
}

impl Source {
    /// The upper half.
    fn upper(self) -> Source {
        match self {
            Source::Reg(n) => Source::Reg(upper(n)),
            Source::Loaded(_, high) => Source::Loaded(high, high),
            Source::Reread(_, high) => Source::Reread(high, high),
        }
    }
}

fn number(op: Op) -> u8 {
    match op {
        Op::Xmm(n) | Op::Ymm(n) => n,
        other => unreachable!("XMM register expected, not {other:?}"),
    }
}

impl Ctx<'_> {
    /// A place for a whole new value of `n`, exact, which is zero from a byte on (16: that is not known). Repairs read it, so the next value of `n` can
    /// not be where it is.
    pub(super) fn place(&mut self, n: u8, zero_from: u8) -> V {
        if self.is_replaced(n, zero_from) { self.free_register() } else { self.target(n) }
    }
    /// The second source for arithmetic, memory being loaded.
    fn group_source(&mut self, insn: &Insn, i: u32, fp: Fp) -> Source {
        match insn.op(i) {
            Op::Xmm(n) | Op::Ymm(n) => Source::Reg(n),
            _ if insn.memory_bytes() == 32 => {
                let low = self.free_register();
                self.hold(low);
                let high = self.free_register();
                self.hold(high);
                self.load_wide(insn, low, high);
                Source::Loaded(low, high)
            }
            _ => {
                let t = self.free_register();
                let bytes = if fp.scalar() { fp.bytes() } else { 16 };
                self.read_v(insn, i, bytes, t);
                // Nothing else may come here.
                self.hold(t);
                Source::Loaded(t, t)
            }
        }
    }
    fn group_operand(&mut self, s: Source, fp: Fp) -> V {
        match s {
            Source::Reg(n) => self.operand(n, fp),
            Source::Loaded(v, _) | Source::Reread(v, _) => v,
        }
    }
    fn keep_source(&mut self, s: Source) {
        if let Source::Reg(n) = s {
            self.keep(n);
        }
    }
    fn source_nodes(&self, s: Source) -> [u8; 2] {
        match s {
            Source::Reg(n) => self.nodes_of(n),
            Source::Loaded(..) | Source::Reread(..) => [0, 0],
        }
    }
    /// The value of `d` when `low` bytes are merged into `a`, and where to compute them: `f` does.
    fn merge_into(&mut self, d: u8, a: u8, bytes: u8, f: impl FnOnce(&mut Self, V)) -> Value {
        let t = if self.merges_to_whole(a, bytes) { self.target(d) } else { self.free_register() };
        f(self, t);
        self.hold(t);
        self.merged(a, t, bytes)
    }
}

/// Operand numbers of the first and second source.
fn sources(insn: &Insn) -> (u32, u32) {
    if insn.op_count() >= 3 { (1, 2) } else { (0, 1) }
}

fn loaded(s: Source) -> Option<(V, V)> {
    match s {
        Source::Loaded(low, high) => Some((low, high)),
        Source::Reg(_) | Source::Reread(..) => None,
    }
}

pub(super) fn arith(c: &mut Ctx, insn: &Insn, op: F3, fp: Fp) {
    let (first, second) = sources(insn);
    let (d, a) = (number(insn.op(0)), number(insn.op(first)));
    let b = c.group_source(insn, second, fp);
    if is_wide(insn) {
        // All looks before the first result.
        c.operand(upper(a), fp);
        c.group_operand(b.upper(), fp);
        c.operand(a, fp);
        c.group_operand(b, fp);
    }
    let mut one = |d: u8, a: u8, b: Source| {
        if op == FMUL && by_element(c, fp, d, a, b) {
            return;
        }
        let x = c.operand(a, fp);
        let y = c.group_operand(b, fp);
        // The first may have been moved by that.
        let x = if c.is_operand(a, fp, x) { x } else { c.operand(a, fp) };
        finish(c, fp, d, a, &[Source::Reg(a), b], |c, t| c.a.f3(op, fp, t, x, y));
    };
    one(d, a, b);
    if is_wide(insn) {
        one(upper(d), upper(a), b.upper());
        c.upper_changes(d);
    }
    done(c, insn, b);
}

/// A product with an operand that is one doubleword somewhere, or the same one twice, as it lies there.
fn by_element(c: &mut Ctx, fp: Fp, d: u8, a: u8, b: Source) -> bool {
    if !fp.double() || b == Source::Reg(a) {
        return false;
    }
    let element = |c: &Ctx, s: Source| match s {
        Source::Reg(n) if !c.is_pending_single(n) => c.double_at(n, fp),
        _ => None,
    };
    let (other, (v, lane)) = if let Some(at) = element(c, b) {
        (Source::Reg(a), at)
    } else if let Some(at) = element(c, Source::Reg(a)) {
        (b, at)
    } else {
        return false;
    };
    let x = c.group_operand(other, fp);
    // Where the element is nothing has changed: only what lies elsewhere is moved.
    finish(c, fp, d, a, &[Source::Reg(a), b], |c, t| c.a.fmul_element(fp, t, x, v, lane.into()));
    true
}

pub(super) fn root(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let second = insn.op_count() - 1;
    let d = number(insn.op(0));
    // Without a first source the rest is the destination's.
    let a = if insn.op_count() >= 3 { number(insn.op(1)) } else { d };
    let b = c.group_source(insn, second, fp);
    unary(c, fp, fp, d, a, b, |c, t, s| c.a.f2(FSQRT, fp, t, s));
    done(c, insn, b);
}

pub(super) fn convert(c: &mut Ctx, insn: &Insn, from: Fp) {
    let (first, second) = sources(insn);
    let (d, a) = (number(insn.op(0)), number(insn.op(first)));
    let b = c.group_source(insn, second, from);
    let to = if from.double() { Fp::S } else { Fp::D };
    unary(c, from, to, d, a, b, |c, t, s| if from.double() { c.a.fcvt_ds(t, s) } else { c.a.fcvt_sd(t, s) });
    done(c, insn, b);
}

#[allow(clippy::too_many_arguments)] // Formats, registers and the operation.
fn unary(c: &mut Ctx, from: Fp, fp: Fp, d: u8, a: u8, b: Source, f: impl FnOnce(&mut Ctx, V, V)) {
    if fp.scalar() && b != Source::Reg(a) && c.is_pending_above(a, fp.bytes()) {
        // Its upper part stays: what is pending there would not be seen.
        c.look_at(1 << a);
    }
    let s = c.group_operand(b, from);
    finish(c, fp, d, a, &[b], |c, t| f(c, t, s));
}

/// `f` computes into a register; the result is pending.
fn finish(c: &mut Ctx, fp: Fp, d: u8, a: u8, from: &[Source], f: impl FnOnce(&mut Ctx, V)) {
    let mut parents = [[0; 2]; 3];
    for (s, parent) in from.iter().zip(&mut parents) {
        c.keep_source(*s);
        *parent = c.source_nodes(*s);
    }
    let value = if fp.scalar() {
        c.keep(a);
        c.merge_into(d, a, fp.bytes() as u8, f)
    } else {
        let t = c.target(d);
        f(c, t);
        Value::whole(t)
    };
    c.pending_value(d, fp, parents, value);
}

/// The instruction is done; a repair runs it again.
fn done(c: &mut Ctx, insn: &Insn, b: Source) {
    c.release();
    if let Source::Reread(..) = b {
        c.rereads(insn);
    }
    c.record(insn, loaded(b));
}

/// A fused product and sum of sources `x`, `y`, `z`, which `f(c, t, x, y, z)` computes; `in_place`: t may be where z is.
#[allow(clippy::too_many_arguments)] // Operands, and what to do with them.
pub(super) fn fused(c: &mut Ctx, fp: Fp, d: u8, [x, y, z]: [Source; 3], in_place: bool, f: impl Fn(&mut Ctx, V, [V; 3])) {
    // The first time around what is needed whole may be moved.
    for s in [x, y, z] {
        c.group_operand(s, fp);
    }
    let at = [x, y, z].map(|s| c.group_operand(s, fp));
    if fp.scalar() {
        return finish(c, fp, d, d, &[x, y, z], |c, t| f(c, t, at));
    }
    let mut parents = [[0; 2]; 3];
    for (s, parent) in [x, y, z].iter().zip(&mut parents) {
        c.keep_source(*s);
        *parent = c.source_nodes(*s);
    }
    let mut t = match z {
        Source::Reread(v, _) if in_place => v,
        _ => c.target(d),
    };
    if t == at[0] || t == at[1] || t == at[2] && !in_place {
        t = c.free_register();
    }
    f(c, t, at);
    c.pending_value(d, fp, parents, Value::whole(t));
}

/// [`fused`] for all of an instruction. `order` puts destination, second and third operand into their order.
pub(super) fn fused_insn(c: &mut Ctx, insn: &Insn, fp: Fp, order: impl Fn([Source; 3]) -> [Source; 3], in_place: bool, f: impl Fn(&mut Ctx, V, [V; 3])) {
    let (d, second) = (number(insn.op(0)), Source::Reg(number(insn.op(1))));
    let last = if !fp.scalar() && c.may_reread(insn) {
        let added = order([Source::Reg(0), Source::Reg(1), Source::Reg(2)])[2] == Source::Reg(2);
        c.reread_source(insn, d, in_place && added)
    } else {
        c.group_source(insn, 2, fp)
    };
    let all = order([Source::Reg(d), second, last]);
    if is_wide(insn) {
        // All looks before the first result.
        for s in all {
            c.group_operand(s.upper(), fp);
            c.group_operand(s, fp);
        }
    }
    fused(c, fp, d, all, in_place, &f);
    if is_wide(insn) {
        fused(c, fp, upper(d), all.map(Source::upper), in_place, &f);
        c.upper_changes(d);
    }
    done(c, insn, last);
}

/// The same for 32 bytes.
fn wide_move(c: &mut Ctx, insn: &Insn) {
    match (insn.op(0), insn.op(1)) {
        (Op::Ymm(d), Op::Ymm(s)) => {
            let pending = c.is_pending(s) || c.is_pending(upper(s));
            for (d, s) in [(d, s), (upper(d), upper(s))] {
                let value = c.value(s);
                c.set_value(d, value);
                if !pending {
                    c.record_value(d);
                }
            }
            if pending {
                // What is exact of it is copied from where it is now.
                c.keep(s);
                c.keep(upper(s));
                c.record(insn, None);
            }
            c.upper_changes(d);
        }
        (Op::Ymm(d), _) => {
            // The second half may fault when the first has come.
            let low = c.free_register();
            c.hold(low);
            let high = c.place(upper(d), 16);
            c.load_wide(insn, low, high);
            for (n, t) in [(d, low), (upper(d), high)] {
                c.set_value(n, Value::whole(t));
                c.record_value(n);
            }
            c.upper_changes(d);
            c.release();
        }
        (_, Op::Ymm(s)) => {
            c.settle_value(s);
            c.settle_value(upper(s));
            let (low, high) = (c.read_whole(s), c.read_whole(upper(s)));
            c.store_wide(insn, low, high);
        }
        _ => unreachable!("moves have a register"),
    }
}

pub(super) fn whole_move(c: &mut Ctx, insn: &Insn) {
    if is_wide(insn) {
        return wide_move(c, insn);
    }
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Xmm(s)) => copy(c, insn, d, s),
        (Op::Xmm(d), _) => {
            let t = c.place(d, 16);
            c.read_v(insn, 1, 16, t);
            c.set_value(d, Value::whole(t));
            c.record_value(d);
        }
        (_, Op::Xmm(s)) => {
            c.settle_value(s);
            let v = c.read_whole(s);
            c.write_v(insn, 16, v);
        }
        _ => unreachable!("moves have a register"),
    }
}

fn copy(c: &mut Ctx, insn: &Insn, d: u8, s: u8) {
    let value = c.value(s);
    if c.is_pending(s) {
        c.set_value(d, value);
        c.record(insn, None);
    } else {
        c.set_value(d, value);
        c.record_value(d);
    }
}

pub(super) fn low_move(c: &mut Ctx, insn: &Insn, bytes: u32) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(_), Op::Xmm(_)) => {
            let (first, second) = sources(insn);
            let (d, a, s) = (number(insn.op(0)), number(insn.op(first)), number(insn.op(second)));
            // Both exact: it is rare.
            c.settle_value(a);
            c.settle_value(s);
            let low = c.read_low(s, bytes);
            if a == s || c.is_whole_above(s, bytes) && c.merges_to_whole(a, bytes as u8) {
                return copy(c, insn, d, s);
            }
            if c.merges_to_whole(a, bytes as u8) {
                let t = c.place(d, bytes as u8);
                if bytes == 8 { c.a.vmov64(t, low) } else { c.a.vmov32(t, low) }
                c.set_value(d, Value { zero_from: bytes as u8, ..Value::whole(t) });
                return c.record_value(d);
            }
            let v = c.value(a);
            let v = if v.bytes != 16 && u32::from(v.bytes) > bytes { Value::whole(c.read_whole(a)) } else { v };
            c.set_value(d, Value { low, high: v.high, bytes: bytes as u8, lanes: [0, v.lanes[1]], ..Value::whole(low) });
            c.record_value(d);
        }
        (Op::Xmm(d), _) => load_low(c, insn, d, bytes),
        (_, Op::Xmm(s)) => store_low(c, insn, s, bytes),
        _ => unreachable!("moves have a register"),
    }
}

fn store_low(c: &mut Ctx, insn: &Insn, s: u8, bytes: u32) {
    c.settle_value(s);
    let v = c.read_low(s, bytes);
    c.write_v(insn, bytes, v);
}

fn load_low(c: &mut Ctx, insn: &Insn, d: u8, bytes: u32) {
    let t = c.place(d, bytes as u8);
    c.read_v(insn, 1, bytes, t);
    c.set_value(d, Value { zero_from: bytes as u8, ..Value::whole(t) });
    c.record_value(d);
}

pub(super) fn load(c: &mut Ctx, insn: &Insn, bytes: u32) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Xmm(s)) => {
            let v = c.exact_low(s, 8);
            if c.is_whole_above(s, 8) {
                return copy(c, insn, d, s);
            }
            let t = c.place(d, 8);
            c.a.vmov64(t, v);
            c.set_value(d, Value { zero_from: 8, ..Value::whole(t) });
            c.record_value(d);
        }
        (Op::Xmm(d), _) => load_low(c, insn, d, bytes),
        (_, Op::Xmm(s)) => store_low(c, insn, s, bytes),
        _ => unreachable!("moves have a register"),
    }
}

/// A comparison takes no notice of which NaN it sees, and sees whether there is one.
pub(super) fn compare(c: &mut Ctx, insn: &Insn, fp: Fp, signal: bool) {
    let a = number(insn.op(0));
    let b = c.group_source(insn, 1, fp);
    let (x, y) = (c.read_low(a, fp.bytes()), group_low(c, b, fp));
    let x = if c.value(a).low == x { x } else { c.read_low(a, fp.bytes()) };
    let list = c.to_look_at(u32::MAX);
    let seen = |v: V| v == x || v == y;
    let shown = !list.is_empty() && list.iter().all(|l| l.fp == fp && seen(l.v));
    if !shown {
        compare_into_flags(c, fp, x, y, signal);
        return c.release();
    }
    let exit = c.nan_exit();
    c.a.fcmp(fp, x, y, signal);
    c.a.b_cond(Cond::Vs, exit);
    c.looked_at(u32::MAX);
    c.carry = super::Carry::Inverted;
    if c.needs(PF | AF | SF | OF) && c.is_compare_late() {
        c.late_compare = true;
        return c.release();
    }
    if c.needs(PF | AF) {
        c.a.mov_imm(PFR, 1);
        c.a.mov_imm(AFX, 1);
    }
    if c.needs(SF | OF) {
        c.a.fccmp(fp, x, y, 0, Cond::Ge);
    }
    c.release();
}

fn group_low(c: &mut Ctx, s: Source, fp: Fp) -> V {
    match s {
        Source::Reg(n) => c.read_low(n, fp.bytes()),
        Source::Loaded(v, _) | Source::Reread(v, _) => v,
    }
}

pub(super) fn from_integer(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let (first, second) = sources(insn);
    let (d, a) = (number(insn.op(0)), number(insn.op(first)));
    if c.is_pending_above(a, fp.bytes()) || c.nodes_of(a)[1] != 0 {
        // Repairs read the result where it is, with all that stays of a.
        c.look_at(1 << a);
    }
    let r = c.read(insn, second, T[0]);
    let size = super::context::size_of(insn.bytes(second));
    let t = if !c.merges_to_whole(a, fp.bytes() as u8) || c.is_replaced(d, fp.bytes() as u8) { c.free_register() } else { c.target(d) };
    c.a.scvtf_x(size, fp, t, r);
    c.hold(t);
    let value = c.merged(a, t, fp.bytes() as u8);
    c.set_value(d, value);
    c.release();
    c.record_value(d);
}

/// The lower or the upper doublewords of two registers. Doubles that are pending go with them.
pub(super) fn interleave(c: &mut Ctx, insn: &Insn, high: bool) {
    let (first, second) = sources(insn);
    let (d, a) = (number(insn.op(0)), number(insn.op(first)));
    if let Op::Xmm(b) = insn.op(second)
        && c.double_twice(d, a, b, high)
    {
        if c.is_pending(d) { c.record(insn, None) } else { c.record_value(d) }
        return;
    }
    let b = c.group_source(insn, second, Fp::D2);
    let read = |c: &mut Ctx, n: u8| {
        if c.is_pending_single(n) {
            c.look_at(1 << n);
        }
        if high { c.read_whole(n) } else { c.read_low(n, 8) }
    };
    let x = read(c, a);
    let y = match b {
        Source::Reg(n) => read(c, n),
        Source::Loaded(v, _) | Source::Reread(v, _) => v,
    };
    let x = if c.value(a).places() >> x.0 & 1 != 0 { x } else { read(c, a) };
    let [node, node_high] = [c.nodes_of(a), c.source_nodes(b)].map(|nodes| nodes[usize::from(high)]);
    let pending = [c.nodes_of(a), c.source_nodes(b)] != [[0, 0]; 2];
    if pending {
        c.keep(a);
        c.keep_source(b);
    }
    let t = if pending { c.target(d) } else { c.place(d, 16) };
    c.a.v3(if high { ZIP2 } else { ZIP1 }, Arr::D2, t, x, y);
    if pending {
        // What is left out is in no register any more: nobody sees whether it was exact.
        c.set_value(d, Value { node, node_high, ..Value::whole(t) });
        return done(c, insn, b);
    }
    c.set_value(d, Value::whole(t));
    c.release();
    c.record_value(d);
}

pub(super) fn bits(c: &mut Ctx, insn: &Insn, logic: Logic) {
    let (first, second) = sources(insn);
    let (d, a) = (number(insn.op(0)), number(insn.op(first)));
    if logic == Logic::Xor && insn.op(second) == Op::Xmm(a) {
        let t = c.place(d, 4);
        c.a.vzero(t);
        c.set_value(d, Value { zero_from: 4, ..Value::whole(t) });
        return c.record_value(d);
    }
    let b = c.group_source(insn, second, Fp::D2);
    let x = c.exact_whole(a);
    let y = match b {
        Source::Reg(n) => c.exact_whole(n),
        Source::Loaded(v, _) | Source::Reread(v, _) => v,
    };
    let x = if c.value(a).places() >> x.0 & 1 != 0 { x } else { c.exact_whole(a) };
    let t = c.place(d, 16);
    match logic {
        Logic::And => c.a.vlogic(AND, t, x, y),
        Logic::AndNot => c.a.vlogic(BIC, t, y, x),
        Logic::Or => c.a.vlogic(ORR, t, x, y),
        Logic::Xor => c.a.vlogic(EOR, t, x, y),
    }
    c.set_value(d, Value::whole(t));
    c.release();
    c.record_value(d);
}
