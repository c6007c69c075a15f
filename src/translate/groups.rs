//! Groups: XMM registers renamed inside a block, and x86's NaNs looked for late.
//!
//! Most floating-point results are no NaN, and a NaN that arises is handed on by all arithmetic. So an operation is emitted alone; what is not yet
//! known to be exact is *pending*, and one look at the last results of a chain answers for all of it. If there is a NaN, translated code leaves, and
//! the engine repairs: it runs the group's operations again, one by one with x86's NaNs ([`super::repair`]), and translates these instructions
//! without groups from then on. The same repair makes the state exact where an instruction inside a group faults. What it starts from must be there
//! still, so registers that it reads (`kept`) are not overwritten: a new value goes to another register, and comes home when the group ends.
//!
//! Always true: general registers, flags and memory are exact; a pending value is read by nothing but arithmetic that hands NaNs on, comparisons,
//! and permutations; at the borders of a block each XMM register is exact and in its own place.

use super::ExitKind;
use super::context::Ctx;
use super::group_values::Value;
use super::repair::Step;
use crate::decode::{Insn, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, Fp, ops::*};
use crate::emit::stubs::Stub;
use crate::emit::{Cond, Size};
use crate::guest::Addr;
use crate::optimize::Opt;

/// Host registers for values that are not at home: those from here on that the region holds nothing in, up to v15.
pub(super) const FIRST_FREE: u8 = 4;
/// How many a region must have: for 256 bits from memory, a result of 256 bits, and one more.
const ROOM: u32 = 5;

/// Something that must be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    /// Where, and in which format. Two doubles: both of them.
    pub fp: Fp,
    /// The register.
    pub v: V,
    /// Of two doubles the upper one alone.
    pub upper: bool,
}

/// A pending operation. One on two doubles is two of them: so what reads only one of the results answers for that one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub fp: Fp,
    /// Pending operations whose NaNs are seen in this one's result.
    parents: [u8; 3],
    /// Known to be no NaN.
    clean: bool,
}

/// What code needs for a repair: a range of the region's steps.
pub(super) type Range = (u32, u32);

/// How many registers there are: XMM0-15, and the upper halves of YMM0-15 if the region holds them.
pub(super) const COUNT: usize = 32;
/// Where upper halves are that the region does not hold: in no host register.
const NOWHERE: V = V(32);

/// The number by which the upper half of YMM `n` is known here.
pub(super) const fn upper(n: u8) -> u8 {
    16 + n
}

/// The block's group.
pub(super) struct Groups {
    pub(super) at: [Value; COUNT],
    pub(super) homes: [V; COUNT],
    /// The region has something to gain by groups.
    pub wanted: bool,
    /// Host registers that a repair reads.
    pub(super) kept: u64,
    /// Those that the instruction under way has put something into.
    busy: u64,
    /// General registers by which a repair reads memory again, if it does (`super::reread`).
    pub(super) rereads: Option<u16>,
    pub(super) nodes: Vec<Node>,
    /// There may be something to end.
    pub active: bool,
    /// Something is known of values at home.
    pub known: bool,
    /// What the instructions of a block are to groups, and of which block.
    pub kinds: Vec<super::group_kind::Kind>,
    pub kinds_of: usize,
    /// The first step of the group.
    from: u32,
    /// The first one that is not just where values are.
    begun: u32,
    pub steps: Vec<Step>,
    pub marks: Vec<Mark>,
}

/// From `host` on a fault needs these steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Offset in the code.
    pub host: u32,
    /// Steps of the region, from and to.
    pub steps: Range,
}

/// Where the registers belong when no upper half is held.
const HOMES: [V; COUNT] = {
    let mut homes = [NOWHERE; COUNT];
    let mut n = 0;
    while n < 16 {
        homes[n] = xmm(n as u8);
        n += 1;
    }
    homes
};

/// All registers at home.
const AT_HOME: [Value; COUNT] = {
    let mut at = [Value::whole(NOWHERE); COUNT];
    let mut n = 0;
    while n < COUNT {
        at[n] = Value::whole(HOMES[n]);
        n += 1;
    }
    at
};

impl Default for Groups {
    fn default() -> Groups {
        Groups { at: AT_HOME, homes: HOMES, wanted: false, kept: 0, busy: 0, rereads: None, nodes: Vec::new(), active: false, known: false, kinds: Vec::new(), kinds_of: usize::MAX, from: 0, begun: 0, steps: Vec::new(), marks: Vec::new() }
    }
}

impl Groups {
    fn open(&self, node: u8) -> u8 {
        match node {
            0 => 0,
            k if self.nodes[k as usize - 1].clean => 0,
            k => k,
        }
    }
    /// Pending operations of register `n`: the low or only one's, and that of the upper double.
    pub(super) fn nodes(&self, n: u8) -> [u8; 2] {
        let v = self.at[n as usize];
        [self.open(v.node), self.open(v.node_high)]
    }
    fn is_pending(&self, n: u8) -> bool {
        self.nodes(n) != [0, 0]
    }
    /// Is register `n` where it belongs?
    pub(super) fn is_home(&self, n: usize) -> bool {
        let v = self.at[n];
        v.bytes == 16 && v.low == self.homes[n]
    }
    /// Nothing pending, everything at home?
    fn is_trivial(&self) -> bool {
        self.from as usize == self.steps.len() && (0..COUNT).all(|n| self.is_home(n))
    }
    fn pending(&self) -> bool {
        (0..COUNT as u8).any(|n| self.is_pending(n))
    }
    /// Host registers that hold values of registers other than `n`.
    pub(super) fn used_by_others(&self, n: usize) -> u64 {
        (0..COUNT).filter(|&m| m != n).fold(0, |u, m| u | self.at[m].places())
    }
    /// Bit set of pending operations whose NaNs are seen in `k`'s result, itself not among them.
    fn ancestors(&self, k: u8, found: &mut u128) {
        for p in self.nodes[k as usize - 1].parents {
            if p != 0 && *found >> p & 1 == 0 {
                *found |= 1 << p;
                self.ancestors(p, found);
            }
        }
    }
}

impl Ctx<'_> {
    pub(super) fn home(&self, n: u8) -> V {
        self.groups.homes[n as usize]
    }
    /// Are groups worth their while in this region? If so, learns where upper halves are.
    pub(super) fn plan_groups(&mut self) {
        self.groups.wanted = self.region.arithmetic && self.options.switches.on(Opt::FloatGroups) && self.has_room();
        if !self.groups.wanted {
            return;
        }
        for n in 0..16 {
            self.groups.homes[upper(n) as usize] = self.held_upper(n).unwrap_or(NOWHERE);
        }
        self.forget_values();
    }
    /// The registers' places.
    pub(super) fn value(&self, n: u8) -> Value {
        self.groups.at[n as usize]
    }
    /// Is the value of `n` pending?
    pub(super) fn is_pending(&self, n: u8) -> bool {
        self.groups.is_pending(n)
    }
    /// What is pending in `n`, for [`Ctx::pending_value`].
    pub(super) fn nodes_of(&self, n: u8) -> [u8; 2] {
        self.groups.nodes(n)
    }

    fn free_registers(&self) -> u64 {
        let first = self.uppers.first_free();
        let all = (FIRST_FREE..8).chain(first..16).fold(0u64, |s, v| s | 1 << v);
        all & !self.groups.kept & !self.groups.busy & !self.groups.used_by_others(COUNT)
    }
    /// Are there enough registers in this region?
    pub(super) fn has_room(&self) -> bool {
        (8 - FIRST_FREE) as u32 + (16 - self.uppers.first_free()) as u32 >= ROOM
    }
    /// A host register that nothing needs: for one more value.
    pub(super) fn free_register(&mut self) -> V {
        debug_assert!(self.free_registers() != 0, "group_ready sees to it");
        V(self.free_registers().trailing_zeros() as u8)
    }
    /// May the place of register `n` be overwritten with a new value of it?
    pub(super) fn home_is_free(&self, n: u8) -> bool {
        let bit = 1 << self.home(n).0;
        (self.groups.kept | self.groups.busy | self.groups.used_by_others(n as usize)) & bit == 0
    }
    /// Where best to put a new whole value of `n`.
    pub(super) fn target(&mut self, n: u8) -> V {
        if self.home_is_free(n) { self.home(n) } else { self.free_register() }
    }
    /// A repair needs register `n` as it is.
    pub(super) fn keep(&mut self, n: u8) {
        if !self.is_pending(n) {
            self.groups.kept |= self.value(n).places();
        }
    }

    /// A pending operation's value in place of `n`'s. `parents`: what is pending in its operands.
    pub(super) fn pending_value(&mut self, n: u8, fp: Fp, parents: [[u8; 2]; 3], value: Value) {
        let value = if fp == Fp::D2 {
            let [node, node_high] = [0, 1].map(|i| self.new_node(Fp::D, parents.map(|p| p[i])));
            Value { node, node_high, ..value }
        } else {
            Value { node: self.new_node(fp, parents.map(|p| p[0])), ..value }
        };
        self.groups.at[n as usize] = value;
    }
    fn new_node(&mut self, fp: Fp, parents: [u8; 3]) -> u8 {
        if !self.exact_nan() {
            return 0;
        }
        self.groups.nodes.push(Node { fp, parents, clean: false });
        self.groups.nodes.len() as u8
    }
    /// `n` gets the value of `m`, or something exact.
    pub(super) fn set_value(&mut self, n: u8, value: Value) {
        self.groups.at[n as usize] = value;
    }
    /// An operation for repairs to run again; `mem`: where its memory operand was loaded to.
    pub(super) fn record(&mut self, insn: &Insn, mem: Option<(V, V)>) {
        if let Some((low, high)) = mem {
            self.groups.kept |= 1 << low.0 | 1 << high.0;
        }
        self.groups.steps.push(Step::Run { insn: *insn, mem });
    }
    /// `n` was given an exact value, which repairs read where it is.
    pub(super) fn record_value(&mut self, n: u8) {
        let value = self.value(n);
        self.groups.kept |= value.places();
        self.groups.steps.push(value.step(n));
    }

    /// To be called first by an instruction that works with renamed registers.
    pub(super) fn group_ready(&mut self, insn: &Insn) {
        let apart = (0..insn.op_count()).filter(|&i| matches!(insn.op(i), Op::Xmm(n) | Op::Ymm(n) if self.value(n).bytes != 16)).count() as u32;
        let (results, memory) = if insn.memory_bytes() == 32 || matches!(insn.op(0), Op::Ymm(_)) { (2, 2) } else { (1 + u32::from(insn.is_vex()), 1) };
        let need = apart + results + if insn.has_memory() { memory } else { 1 };
        if self.free_registers().count_ones() < need || self.groups.nodes.len() > 110 {
            self.end_group();
        } else if !self.groups.pending() && self.groups.begun as usize != self.groups.steps.len() {
            self.restart();
        }
    }
    /// Everything is exact: repairs start here.
    pub(super) fn restart(&mut self) {
        let g = &mut self.groups;
        g.from = g.steps.len() as u32;
        g.kept = 0;
        g.rereads = None;
        g.nodes.clear();
        for v in &mut g.at {
            (v.node, v.node_high) = (0, 0);
        }
        for n in 0..COUNT {
            if !g.is_home(n) {
                let v = g.at[n];
                g.steps.push(v.step(n as u8));
            }
        }
        g.begun = g.steps.len() as u32;
    }
    /// Says what a fault needs from here on.
    pub(super) fn mark(&mut self) {
        let range = if !self.groups.active || self.groups.is_trivial() { (0, 0) } else { (self.groups.from, self.groups.steps.len() as u32) };
        self.mark_as(range);
    }
    /// Outside groups: from here on a fault needs these steps.
    pub(super) fn repair_by(&mut self, steps: &[Step]) {
        let g = &mut self.groups;
        let begin = g.steps.len() as u32;
        g.steps.extend_from_slice(steps);
        let end = g.steps.len() as u32;
        (g.from, g.begun) = (end, end);
        self.mark_as(if steps.is_empty() { (0, 0) } else { (begin, end) });
    }
    /// What a fault needs now.
    pub(super) fn marked(&self) -> Range {
        self.groups.marks.last().map_or((0, 0), |m| m.steps)
    }
    pub(super) fn mark_as(&mut self, steps: Range) {
        if self.marked() != steps {
            let host = self.a.offset();
            self.groups.marks.push(Mark { host, steps });
        }
    }

    /// What must be looked at so that the pending values of these registers (bit set) are known to be exact.
    pub(super) fn to_look_at(&self, registers: u32) -> Vec<Look> {
        let g = &self.groups;
        let (mut wanted, mut seen) = (0u128, 0u128);
        let chosen = |registers: u32| (0..COUNT as u8).filter(move |n| registers >> n & 1 != 0);
        for k in chosen(registers).flat_map(|n| g.nodes(n)).filter(|k| *k != 0) {
            wanted |= 1 << k;
            g.ancestors(k, &mut seen);
        }
        let mut open = wanted & !seen;
        let mut list = Vec::new();
        for n in chosen(u32::MAX) {
            let (value, [low, high]) = (g.at[n as usize], g.nodes(n));
            let [has_low, has_high] = [low, high].map(|k| k != 0 && open >> k & 1 != 0);
            if !has_low && !has_high {
                continue;
            }
            // With a low double that is pending too both of a register cost what one does.
            let both = has_high && low != 0 && value.bytes == 16 && g.nodes[low as usize - 1].fp == Fp::D;
            if both {
                list.push(Look { fp: Fp::D2, v: value.low, upper: false });
            } else {
                let at = |fp: Fp, v: V, lane: u8| if lane == 0 { Look { fp, v, upper: false } } else { Look { fp: Fp::D2, v, upper: true } };
                if has_low {
                    list.push(at(g.nodes[low as usize - 1].fp, value.low, value.lanes[0]));
                }
                if has_high && high != low {
                    list.push(at(Fp::D, value.high, value.lanes[1]));
                }
            }
            open &= !(1 << low | 1 << high);
        }
        list
    }
    /// The pending values of these registers, and what they come from, are no NaN.
    pub(super) fn looked_at(&mut self, registers: u32) {
        let mut clean = 0u128;
        for n in 0..COUNT as u8 {
            for k in self.groups.nodes(n) {
                if k != 0 && registers >> n & 1 != 0 {
                    clean |= 1 << k;
                    self.groups.ancestors(k, &mut clean);
                }
            }
        }
        for (k, node) in self.groups.nodes.iter_mut().enumerate() {
            node.clean |= clean >> (k + 1) & 1 != 0;
        }
    }
    /// Where to go if there is a NaN.
    pub(super) fn nan_exit(&mut self) -> crate::emit::Label {
        let (resume, steps) = (self.resume, (self.groups.from, self.groups.steps.len() as u32));
        let before = self.marked();
        // The code put aside needs the steps up to here, whatever the code around it does.
        self.groups.marks.push(Mark { host: self.a.offset(), steps });
        let label = self.cold(move |c| {
            c.store_uppers();
            c.call_stub(Stub::Nan);
            c.exit_site(resume, ExitKind::Nan);
        });
        self.groups.marks.pop();
        debug_assert!(before == self.marked());
        label
    }

    /// Leaves if one of the pending values of these registers is a NaN. Uses v1 to v3, S0.
    pub(super) fn look_at(&mut self, registers: u32) {
        let list = self.to_look_at(registers);
        if list.is_empty() {
            return;
        }
        let mut scalars = [Vec::new(), Vec::new()];
        for double in [false, true] {
            let fp = if double { Fp::D2 } else { Fp::S4 };
            let t = if double { V(3) } else { V(2) };
            let mut all = None;
            for look in list.iter().filter(|l| l.fp == fp) {
                let mut v = look.v;
                if look.upper {
                    // Beside it may lie anything.
                    v = if all.is_none() { t } else { V(1) };
                    self.a.dup(Arr::D2, v, look.v, 1);
                }
                if let Some(all) = all {
                    self.a.f3(FMAX, fp, t, all, v);
                    v = t;
                }
                all = Some(v);
            }
            let one_upper = list.iter().filter(|l| l.fp == fp).all(|l| l.upper);
            if let Some(v) = all {
                if !one_upper {
                    self.a.fmax_across(fp, t, v);
                }
                scalars[usize::from(double)].push(t);
            }
            scalars[usize::from(double)].extend(list.iter().filter(|l| l.fp.scalar() && l.fp.double() == double).map(|l| l.v));
        }
        let exit = self.nan_exit();
        for (vs, fp, t) in [(&scalars[0], Fp::S, V(2)), (&scalars[1], Fp::D, V(3))] {
            if vs.is_empty() {
                continue;
            }
            if self.nzcv_live() {
                let mut all = vs[0];
                for &v in &vs[1..] {
                    self.a.f3(FMAX, fp, t, all, v);
                    all = t;
                }
                self.a.f3(FCMEQ, fp, t, all, all);
                self.a.fmov_to(Size::X, S0, t);
                self.a.cbz(Size::X, S0, exit);
                continue;
            }
            for (i, pair) in vs.chunks(2).enumerate() {
                let (x, y) = (pair[0], pair[pair.len() - 1]);
                // V says that there was a NaN: then no further comparison is made.
                if i == 0 { self.a.fcmp(fp, x, y, false) } else { self.a.fccmp(fp, x, y, 1, Cond::Vc) }
            }
            self.a.b_cond(Cond::Vs, exit);
        }
        self.looked_at(registers);
    }

    /// Everything exact and at home.
    #[inline(always)]
    pub(super) fn end_group(&mut self) {
        if self.groups.active {
            self.close_group();
        }
    }
    #[inline(never)]
    fn close_group(&mut self) {
        self.groups.active = false;
        if self.groups.is_trivial() {
            return self.mark_as((0, 0));
        }
        self.look_at(u32::MAX);
        self.bring_home();
        let g = &mut self.groups;
        g.kept = 0;
        g.rereads = None;
        g.nodes.clear();
        g.from = g.steps.len() as u32;
        g.begun = g.from;
        for (v, home) in g.at.iter_mut().zip(g.homes) {
            *v = Value { zero_from: v.zero_from, ..Value::whole(home) };
        }
        self.mark_as((0, 0));
    }
    /// At a block's start: nothing is known.
    pub(super) fn enter_group(&mut self, at: Addr) {
        if self.groups.known {
            self.forget_values();
        }
        self.resume = at;
        self.sum = None;
    }
}

impl Ctx<'_> {
    /// Nothing else may come into this register until [`Ctx::release`].
    pub(super) fn hold(&mut self, v: V) {
        self.groups.busy |= 1 << v.0;
    }
    /// The instruction is done.
    pub(super) fn release(&mut self) {
        self.groups.busy = 0;
    }
    /// Is `v` still where `n`'s operand is?
    pub(super) fn is_operand(&self, n: u8, fp: Fp, v: V) -> bool {
        let at = self.value(n);
        at.low == v && if fp.scalar() { at.lanes[0] == 0 } else { at.bytes == 16 }
    }
    /// Register `n`, whole and exact.
    pub(super) fn exact_whole(&mut self, n: u8) -> V {
        if self.is_pending(n) {
            self.look_at(1 << n);
        }
        self.read_whole(n)
    }
    /// Are pending singles in `n`?
    pub(super) fn is_pending_single(&self, n: u8) -> bool {
        let k = self.groups.nodes(n)[0];
        k != 0 && !self.groups.nodes[k as usize - 1].fp.double()
    }
    /// Is something pending in `n` that a result of the low `bytes` would cut, or that would not go with the rest of it?
    pub(super) fn is_pending_above(&self, n: u8, bytes: u32) -> bool {
        let [low, high] = self.groups.nodes(n);
        let cut = low != 0 && {
            let fp = self.groups.nodes[low as usize - 1].fp;
            !fp.scalar() || fp.bytes() > bytes
        };
        cut || high != 0 && bytes < 8
    }
    /// An instruction that is none of the group's: what it leaves in vector registers is not known.
    pub(super) fn forget_values(&mut self) {
        self.groups.known = false;
        self.groups.at = self.groups.homes.map(Value::whole);
    }
}
