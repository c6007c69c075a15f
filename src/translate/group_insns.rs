//! The instructions that work inside a group: arithmetic, moves, comparisons, conversions and permutations on renamed XMM registers. What
//! touches no vector register goes on beside it; everything else ends the group first.

use super::context::Ctx;
use super::groups::{Value, upper};
use super::sse_float::compare_into_flags;
use crate::decode::{AF, Code, FlagEffects, Insn, Mnemonic, OF, Op, PF, SF};
use crate::emit::regs::*;
use crate::emit::Cond;
use crate::emit::simd::{Arr, F3, Fp, ops::*};
use crate::optimize::Opt;

/// What an instruction is to a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `d = a op b`.
    Arith(F3, Fp),
    /// `d = √b`, the rest a's.
    Root(Fp),
    /// A whole register from a register or memory, or to memory.
    Move,
    /// The low bytes: from memory with zeros above, to memory, or from a register into the first source.
    MoveLow(u32),
    /// The low bytes, zeros above.
    Load(u32),
    /// To flags; true: invalid on quiet NaNs too.
    Compare(Fp, bool),
    /// A general register as a floating-point number.
    FromInteger(Fp),
    /// Double to single or back: what it reads.
    Convert(Fp),
    /// Doublewords interleaved: the lower or the upper ones.
    Interleave(bool),
    /// Bitwise.
    Bits(Logic),
    /// A fused product and sum.
    Fused,
    /// No vector register, no way out of translated code.
    Beside,
    /// None of these.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logic {
    And,
    AndNot,
    Or,
    Xor,
}

fn kind(insn: &Insn) -> Kind {
    use Kind::*;
    use Mnemonic::*;
    macro_rules! arith { ($($ps:ident $pd:ident $ss:ident $sd:ident $op:expr;)*) => {
        match insn.mnemonic() {
            $($ps => return Arith($op, Fp::S4), $pd => return Arith($op, Fp::D2), $ss => return Arith($op, Fp::S), $sd => return Arith($op, Fp::D),)*
            _ => {}
        }
    } }
    arith! {
        Addps Addpd Addss Addsd FADD;
        Subps Subpd Subss Subsd FSUB;
        Mulps Mulpd Mulss Mulsd FMUL;
        Divps Divpd Divss Divsd FDIV;
        Vaddps Vaddpd Vaddss Vaddsd FADD;
        Vsubps Vsubpd Vsubss Vsubsd FSUB;
        Vmulps Vmulpd Vmulss Vmulsd FMUL;
        Vdivps Vdivpd Vdivss Vdivsd FDIV;
    }
    match insn.mnemonic() {
        Sqrtps | Vsqrtps => Root(Fp::S4),
        Sqrtpd | Vsqrtpd => Root(Fp::D2),
        Sqrtss | Vsqrtss => Root(Fp::S),
        Sqrtsd | Vsqrtsd => Root(Fp::D),
        Movaps | Movapd | Movdqa | Movups | Movupd | Movdqu | Vmovaps | Vmovapd | Vmovdqa | Vmovups | Vmovupd | Vmovdqu => Move,
        Movss | Vmovss => MoveLow(4),
        // SSE2's bears the name of a string instruction.
        Movsd if matches!(insn.code(), Code::Movsd_xmm_xmmm64 | Code::Movsd_xmmm64_xmm) => MoveLow(8),
        Vmovsd => MoveLow(8),
        Movq | Vmovq if insn.op(0) == Op::Mem || insn.op(1) == Op::Mem => Load(8),
        Movd | Vmovd if insn.op(0) == Op::Mem || insn.op(1) == Op::Mem => Load(insn.memory_bytes()),
        Movq | Vmovq if matches!((insn.op(0), insn.op(1)), (Op::Xmm(_), Op::Xmm(_))) => Load(8),
        Ucomiss | Vucomiss => Compare(Fp::S, false),
        Ucomisd | Vucomisd => Compare(Fp::D, false),
        Comiss | Vcomiss => Compare(Fp::S, true),
        Comisd | Vcomisd => Compare(Fp::D, true),
        Cvtsi2sd | Vcvtsi2sd => FromInteger(Fp::D),
        Cvtsi2ss | Vcvtsi2ss => FromInteger(Fp::S),
        Cvtss2sd | Vcvtss2sd => Convert(Fp::S),
        Cvtsd2ss | Vcvtsd2ss => Convert(Fp::D),
        Unpcklpd | Punpcklqdq | Vunpcklpd | Vpunpcklqdq => Interleave(false),
        Unpckhpd | Punpckhqdq | Vunpckhpd | Vpunpckhqdq => Interleave(true),
        Andps | Andpd | Pand | Vandps | Vandpd | Vpand => Bits(Logic::And),
        Andnps | Andnpd | Pandn | Vandnps | Vandnpd | Vpandn => Bits(Logic::AndNot),
        Orps | Orpd | Por | Vorps | Vorpd | Vpor => Bits(Logic::Or),
        Xorps | Xorpd | Pxor | Vxorps | Vxorpd | Vpxor => Bits(Logic::Xor),
        Mov | Lea | Movzx | Movsx | Movsxd | Cdqe | Nop | Add | Sub | Cmp | Test | And | Or | Xor | Inc | Dec | Neg | Not => beside(insn),
        Shl | Shr | Sar | Sal | Adc | Sbb if matches!(insn.op(1), Op::Imm(_)) => beside(insn),
        m if (Vfmadd132pd as usize..=Vfnmsubss as usize).contains(&(m as usize)) && super::table::handler(insn).is_some() => Fused,
        _ => Other,
    }
}

fn beside(insn: &Insn) -> Kind {
    let general = |i: u32| matches!(insn.op(i), Op::Gpr { .. } | Op::Mem | Op::Imm(_));
    if !insn.lock() && (0..insn.op_count()).all(general) { Kind::Beside } else { Kind::Other }
}

/// No MMX register, and no YMM register?
fn is_narrow(insn: &Insn) -> bool {
    (0..insn.op_count()).all(|i| !matches!(insn.op(i), Op::Ymm(_) | Op::Mmx(_)))
}

/// Is the instruction one of 256 bits?
fn is_wide(insn: &Insn) -> bool {
    matches!(insn.op(0), Op::Ymm(_)) || matches!(insn.op(1), Op::Ymm(_))
}

/// An operand of a group's instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// By number, see [`upper`].
    Reg(u8),
    /// Memory, loaded to here: both halves, or the same twice.
    Loaded(V, V),
}

impl Source {
    /// The upper half.
    fn upper(self) -> Source {
        match self {
            Source::Reg(n) => Source::Reg(upper(n)),
            Source::Loaded(_, high) => Source::Loaded(high, high),
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
    /// Translates an instruction inside a group if it can be; if not, and it may meet the group's registers, ends the group.
    pub(super) fn in_group(&mut self, insn: &Insn) -> bool {
        if !self.options.switches.on(Opt::FloatGroups) || !self.has_room() {
            return false;
        }
        if !self.groups.active {
            // Most instructions have nothing to do with groups.
            let vector = (0..insn.op_count()).any(|i| matches!(insn.op(i), Op::Xmm(_) | Op::Ymm(_)));
            if !vector {
                if self.groups.known && kind(insn) == Kind::Other {
                    self.forget_values();
                }
                return false;
            }
        }
        self.resume = insn.addr();
        self.find_kinds();
        let kind = self.groups.kinds[self.index - self.region.blocks[self.block].first];
        match kind {
            Kind::Beside => {
                self.mark();
                return false;
            }
            Kind::Other => {
                let FlagEffects { reads, kills } = insn.flags;
                let live = self.live;
                // Flags as they are needed in front of it.
                self.live = if self.options.switches.on(Opt::DeadFlags) { live & !kills | reads } else { live };
                self.end_group();
                self.forget_values();
                self.live = live;
                return false;
            }
            _ => {}
        }
        (self.groups.active, self.groups.known) = (true, true);
        self.group_ready(insn);
        self.groups.active = true;
        self.mark();
        match kind {
            Kind::Arith(op, fp) => arith(self, insn, op, fp),
            Kind::Root(fp) => root(self, insn, fp),
            Kind::Move => whole_move(self, insn),
            Kind::MoveLow(bytes) => low_move(self, insn, bytes),
            Kind::Load(bytes) => load(self, insn, bytes),
            Kind::Compare(fp, signal) => compare(self, insn, fp, signal),
            Kind::FromInteger(fp) => from_integer(self, insn, fp),
            Kind::Convert(fp) => convert(self, insn, fp),
            Kind::Interleave(high) => interleave(self, insn, high),
            Kind::Bits(logic) => bits(self, insn, logic),
            Kind::Fused => super::avx_fma::in_group(self, insn),
            Kind::Beside | Kind::Other => {}
        }
        if insn.is_vex()
            && let Op::Xmm(n) = insn.op(0)
            && !matches!(kind, Kind::Compare(..))
        {
            self.group_clear_upper(n);
        }
        self.resume = insn.next();
        if !self.group_goes_on() {
            self.end_group();
        }
        true
    }

    fn group_kind(&self, insn: &Insn) -> Kind {
        let kind = kind(insn);
        let alone = matches!(kind, Kind::Arith(..) | Kind::Root(_) | Kind::Convert(_) | Kind::Fused) && !self.options.nans.is_empty() && self.options.nans.contains(&insn.addr().0);
        // What alignment is asked for the family's own functions know.
        let alone = alone || self.options.strict_align && insn.has_memory();
        let offered = !insn.is_vex() || self.options.xcr0 & crate::guest::cpuid::XCR0_AVX != 0;
        if matches!(kind, Kind::Beside | Kind::Other) || !alone && offered && self.fits_group(insn, kind) { kind } else { Kind::Other }
    }
    /// 256 bits: only what is worth it, on registers whose upper halves the region holds.
    fn fits_group(&self, insn: &Insn, kind: Kind) -> bool {
        if is_narrow(insn) {
            return true;
        }
        let held = |i: u32| match insn.op(i) {
            Op::Ymm(n) => self.held_upper(n).is_some(),
            Op::Mem => insn.memory_bytes() == 32,
            _ => false,
        };
        matches!(kind, Kind::Arith(..) | Kind::Move | Kind::Fused) && (0..insn.op_count()).all(held)
    }
    /// A 128-bit form clears the upper half.
    fn group_clear_upper(&mut self, n: u8) {
        if self.held_upper(n).is_none() || self.zero_uppers >> n & 1 != 0 {
            return self.clear_upper(n);
        }
        self.upper_changes(n);
        self.zero_uppers |= 1 << n;
        let t = self.place(upper(n), false);
        self.a.vzero(t);
        self.set_value(upper(n), Value::whole(t));
        self.record_value(upper(n));
    }

    /// What the instructions of the current block are, found out once.
    fn find_kinds(&mut self) {
        if self.groups.kinds_of != self.block {
            let block = &self.region.blocks[self.block];
            let mut kinds = std::mem::take(&mut self.groups.kinds);
            kinds.clear();
            kinds.extend(self.region.insns[block.first..block.first + block.count].iter().map(|i| self.group_kind(i)));
            (self.groups.kinds, self.groups.kinds_of) = (kinds, self.block);
        }
    }
    /// The instructions behind the current one in its block.
    fn rest(&self) -> impl Iterator<Item = (&Insn, Kind)> {
        let block = &self.region.blocks[self.block];
        let next = self.index + 1;
        self.region.insns[next..block.first + block.count].iter().zip(self.groups.kinds[next - block.first..].iter().copied())
    }
    /// Does an instruction follow in the block that works inside this group?
    fn group_goes_on(&self) -> bool {
        for (_, kind) in self.rest() {
            match kind {
                Kind::Beside => {}
                Kind::Other => return false,
                _ => return true,
            }
        }
        false
    }
    /// Will register `n` get another value inside the group?
    fn is_replaced(&self, n: u8) -> bool {
        for (insn, kind) in self.rest() {
            match kind {
                Kind::Beside | Kind::Compare(..) => {}
                Kind::Other => return false,
                _ if matches!(insn.op(0), Op::Xmm(m) | Op::Ymm(m) if m == n & 15) => return true,
                _ => {}
            }
        }
        false
    }
    /// Pending registers that should be looked at now that `n` must be: those that no arithmetic reads later.
    fn worth_a_look(&self, n: u8) -> u32 {
        let mut set = 1 << n;
        for m in (0..32u8).filter(|&m| m != n && self.is_pending(m)) {
            let mut read_later = false;
            for (insn, kind) in self.rest() {
                if kind == Kind::Other {
                    break;
                }
                let reads = (0..insn.op_count()).any(|i| matches!(insn.op(i), Op::Xmm(k) | Op::Ymm(k) if k == m & 15));
                if reads {
                    read_later = matches!(kind, Kind::Arith(..) | Kind::Root(_) | Kind::Convert(_) | Kind::Fused | Kind::Move) && insn.op(0) != Op::Mem;
                    break;
                }
            }
            if !read_later {
                set |= 1 << m;
            }
        }
        set
    }
    /// Looks at `n` if it is pending.
    pub(super) fn settle_value(&mut self, n: u8) {
        if self.is_pending(n) {
            let set = self.worth_a_look(n);
            self.look_at(set);
        }
    }

    /// A place for a whole new value of `n`; `exact`: one that repairs read, so that the next value of `n` can not be where it is.
    fn place(&mut self, n: u8, exact: bool) -> V {
        if exact && self.is_replaced(n) { self.free_register() } else { self.target(n) }
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
            Source::Loaded(v, _) => v,
        }
    }
    fn keep_source(&mut self, s: Source) {
        if let Source::Reg(n) = s {
            self.keep(n);
        }
    }
    fn source_node(&self, s: Source) -> u8 {
        match s {
            Source::Reg(n) => self.node_of(n),
            Source::Loaded(..) => 0,
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
        Source::Reg(_) => None,
    }
}

fn arith(c: &mut Ctx, insn: &Insn, op: F3, fp: Fp) {
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

fn root(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let second = insn.op_count() - 1;
    let d = number(insn.op(0));
    // Without a first source the rest is the destination's.
    let a = if insn.op_count() >= 3 { number(insn.op(1)) } else { d };
    let b = c.group_source(insn, second, fp);
    unary(c, fp, fp, d, a, b, |c, t, s| c.a.f2(FSQRT, fp, t, s));
    done(c, insn, b);
}

fn convert(c: &mut Ctx, insn: &Insn, from: Fp) {
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
    let mut parents = [0; 3];
    for (s, parent) in from.iter().zip(&mut parents) {
        c.keep_source(*s);
        *parent = c.source_node(*s);
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
    let mut parents = [0; 3];
    for (s, parent) in [x, y, z].iter().zip(&mut parents) {
        c.keep_source(*s);
        *parent = c.source_node(*s);
    }
    let mut t = c.target(d);
    if t == at[0] || t == at[1] || t == at[2] && !in_place {
        t = c.free_register();
    }
    f(c, t, at);
    c.pending_value(d, fp, parents, Value::whole(t));
}

/// [`fused`] for all of an instruction. `order` puts destination, second and third operand into their order.
pub(super) fn fused_insn(c: &mut Ctx, insn: &Insn, fp: Fp, order: impl Fn([Source; 3]) -> [Source; 3], in_place: bool, f: impl Fn(&mut Ctx, V, [V; 3])) {
    let (d, second) = (number(insn.op(0)), Source::Reg(number(insn.op(1))));
    let last = c.group_source(insn, 2, fp);
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
            let high = c.place(upper(d), true);
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

fn whole_move(c: &mut Ctx, insn: &Insn) {
    if is_wide(insn) {
        return wide_move(c, insn);
    }
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Xmm(s)) => copy(c, insn, d, s),
        (Op::Xmm(d), _) => {
            let t = c.place(d, true);
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

fn low_move(c: &mut Ctx, insn: &Insn, bytes: u32) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(_), Op::Xmm(_)) => {
            let (first, second) = sources(insn);
            let (d, a, s) = (number(insn.op(0)), number(insn.op(first)), number(insn.op(second)));
            // Both exact: it is rare.
            c.settle_value(a);
            c.settle_value(s);
            let low = c.read_low(s, bytes);
            if a == s {
                return copy(c, insn, d, s);
            }
            let v = c.value(a);
            let high = if v.bytes != 16 && u32::from(v.bytes) > bytes { c.read_whole(a) } else { v.high };
            c.set_value(d, Value { low, high, bytes: bytes as u8, ..Value::whole(low) });
            c.record_value(d);
        }
        (Op::Xmm(d), _) => load_low(c, insn, d, bytes),
        (_, Op::Xmm(s)) => {
            c.settle_value(s);
            let v = c.read_low(s, bytes);
            c.write_v(insn, bytes, v);
        }
        _ => unreachable!("moves have a register"),
    }
}

fn load_low(c: &mut Ctx, insn: &Insn, d: u8, bytes: u32) {
    let t = c.place(d, true);
    c.read_v(insn, 1, bytes, t);
    c.set_value(d, Value { zero_from: bytes as u8, ..Value::whole(t) });
    c.record_value(d);
}

fn load(c: &mut Ctx, insn: &Insn, bytes: u32) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Xmm(s)) => {
            let v = c.exact_low(s, 8);
            if c.value(s).bytes == 16 && c.value(s).zero_from <= 8 {
                return copy(c, insn, d, s);
            }
            let t = c.place(d, true);
            c.a.vmov64(t, v);
            c.set_value(d, Value { zero_from: 8, ..Value::whole(t) });
            c.record_value(d);
        }
        (Op::Xmm(d), _) => load_low(c, insn, d, bytes),
        (_, Op::Xmm(s)) => {
            c.settle_value(s);
            let v = c.read_low(s, bytes);
            c.write_v(insn, bytes, v);
        }
        _ => unreachable!("moves have a register"),
    }
}

/// A comparison takes no notice of which NaN it sees, and sees whether there is one.
fn compare(c: &mut Ctx, insn: &Insn, fp: Fp, signal: bool) {
    let a = number(insn.op(0));
    let b = c.group_source(insn, 1, fp);
    let (x, y) = (c.read_low(a, fp.bytes()), group_low(c, b, fp));
    let x = if c.value(a).low == x { x } else { c.read_low(a, fp.bytes()) };
    let list = c.to_look_at(u32::MAX);
    let seen = |v: V| v == x || v == y;
    let shown = !list.is_empty() && list.iter().all(|&(f, v)| f == fp && seen(v));
    if !shown {
        compare_into_flags(c, fp, x, y, signal);
        return c.release();
    }
    let exit = c.nan_exit();
    c.a.fcmp(fp, x, y, signal);
    c.a.b_cond(Cond::Vs, exit);
    c.looked_at(u32::MAX);
    c.carry = super::Carry::Inverted;
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
        Source::Loaded(v, _) => v,
    }
}

fn from_integer(c: &mut Ctx, insn: &Insn, fp: Fp) {
    let (first, second) = sources(insn);
    let (d, a) = (number(insn.op(0)), number(insn.op(first)));
    if c.is_pending_above(a, fp.bytes()) {
        c.look_at(1 << a);
    }
    let r = c.read(insn, second, T[0]);
    let size = super::context::size_of(insn.bytes(second));
    let t = if c.is_replaced(d) || !c.merges_to_whole(a, fp.bytes() as u8) { c.free_register() } else { c.target(d) };
    c.a.scvtf_x(size, fp, t, r);
    c.hold(t);
    let value = c.merged(a, t, fp.bytes() as u8);
    c.set_value(d, value);
    c.release();
    c.record_value(d);
}

/// The lower or the upper doublewords of two registers.
fn interleave(c: &mut Ctx, insn: &Insn, high: bool) {
    let (first, second) = sources(insn);
    let (d, a) = (number(insn.op(0)), number(insn.op(first)));
    let b = c.group_source(insn, second, Fp::D2);
    let read = |c: &mut Ctx, n: u8| if high { c.exact_whole(n) } else { c.exact_low(n, 8) };
    let x = read(c, a);
    let y = match b {
        Source::Reg(n) => read(c, n),
        Source::Loaded(v, _) => v,
    };
    let x = if c.value(a).places() >> x.0 & 1 != 0 { x } else { read(c, a) };
    let t = c.place(d, true);
    c.a.v3(if high { ZIP2 } else { ZIP1 }, Arr::D2, t, x, y);
    c.set_value(d, Value::whole(t));
    c.release();
    c.record_value(d);
}

fn bits(c: &mut Ctx, insn: &Insn, logic: Logic) {
    let (first, second) = sources(insn);
    let (d, a) = (number(insn.op(0)), number(insn.op(first)));
    if logic == Logic::Xor && insn.op(second) == Op::Xmm(a) {
        let t = c.place(d, true);
        c.a.vzero(t);
        c.set_value(d, Value { zero_from: 4, ..Value::whole(t) });
        return c.record_value(d);
    }
    let b = c.group_source(insn, second, Fp::D2);
    let x = c.exact_whole(a);
    let y = match b {
        Source::Reg(n) => c.exact_whole(n),
        Source::Loaded(v, _) => v,
    };
    let x = if c.value(a).places() >> x.0 & 1 != 0 { x } else { c.exact_whole(a) };
    let t = c.place(d, true);
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
