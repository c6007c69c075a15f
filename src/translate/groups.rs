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
use super::repair::Step;
use crate::decode::{Insn, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Fp, ops::*};
use crate::emit::stubs::Stub;
use crate::emit::{Cond, Size};
use crate::guest::Addr;
use crate::optimize::Opt;

/// Host registers for values that are not at home: those from here on that the region holds nothing in, up to v15.
const FIRST_FREE: u8 = 4;
/// How many a region must have: for 256 bits from memory, a result of 256 bits, and one more.
const ROOM: u32 = 5;

/// Where the value of an XMM register is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value {
    /// Its low `bytes`.
    pub low: V,
    /// The rest of it.
    pub high: V,
    /// 4, 8, or 16: all of it is in `low`.
    pub bytes: u8,
    /// From this byte on it is known to be zero, if it is whole (16: not known).
    pub zero_from: u8,
    /// The operation that it comes from, if that is still pending; else 0.
    pub node: u8,
}

impl Value {
    /// All in one register.
    pub const fn whole(v: V) -> Value {
        Value { low: v, high: v, bytes: 16, zero_from: 16, node: 0 }
    }
    pub fn places(self) -> u64 {
        1 << self.low.0 | 1 << self.high.0
    }
}

/// A pending operation.
#[derive(Clone, Copy, Debug)]
struct Node {
    fp: Fp,
    /// Pending operations whose NaNs are seen in this one's result.
    parents: [u8; 3],
    /// Known to be no NaN.
    clean: bool,
}

/// What code needs for a repair: a range of the region's steps.
pub(super) type Range = (u32, u32);

/// How many registers there are: XMM0-15, and the upper halves of YMM0-15 if the region holds them.
const COUNT: usize = 32;
/// Where upper halves are that the region does not hold: in no host register.
const NOWHERE: V = V(32);

/// The number by which the upper half of YMM `n` is known here.
pub(super) const fn upper(n: u8) -> u8 {
    16 + n
}

/// The block's group.
pub(super) struct Groups {
    at: [Value; COUNT],
    homes: [V; COUNT],
    /// The region has something to gain by groups.
    pub wanted: bool,
    /// Host registers that a repair reads.
    kept: u64,
    /// Those that the instruction under way has put something into.
    busy: u64,
    nodes: Vec<Node>,
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
        Groups { at: AT_HOME, homes: HOMES, wanted: false, kept: 0, busy: 0, nodes: Vec::new(), active: false, known: false, kinds: Vec::new(), kinds_of: usize::MAX, from: 0, begun: 0, steps: Vec::new(), marks: Vec::new() }
    }
}

impl Groups {
    fn node(&self, n: u8) -> u8 {
        match self.at[n as usize].node {
            0 => 0,
            k if self.nodes[k as usize - 1].clean => 0,
            k => k,
        }
    }
    /// Is register `n` where it belongs?
    fn is_home(&self, n: usize) -> bool {
        let v = self.at[n];
        v.bytes == 16 && v.low == self.homes[n]
    }
    /// Nothing pending, everything at home?
    fn is_trivial(&self) -> bool {
        self.from as usize == self.steps.len() && (0..COUNT).all(|n| self.is_home(n))
    }
    fn pending(&self) -> bool {
        (0..COUNT as u8).any(|n| self.node(n) != 0)
    }
    /// Host registers that hold values of registers other than `n`.
    fn used_by_others(&self, n: usize) -> u64 {
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
    fn home(&self, n: u8) -> V {
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
        self.groups.node(n) != 0
    }
    /// What is pending in `n`, for [`Ctx::pending_value`].
    pub(super) fn node_of(&self, n: u8) -> u8 {
        self.groups.node(n)
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

    /// Makes `n` whole and returns where it is.
    pub(super) fn read_whole(&mut self, n: u8) -> V {
        let v = self.value(n);
        if v.bytes == 16 {
            return v.low;
        }
        let t = if v.high == self.home(n) && self.home_is_free(n) { v.high } else { self.free_register() };
        self.a.vmov(t, v.high);
        self.a.ins(v.bytes.trailing_zeros(), t, 0, v.low, 0);
        self.groups.at[n as usize] = Value { node: v.node, ..Value::whole(t) };
        if !self.is_pending(n) {
            // The registers that it came from may be used for something else.
            self.record_value(n);
        }
        t
    }
    /// A register whose low `bytes` are those of `n`.
    pub(super) fn read_low(&mut self, n: u8, bytes: u32) -> V {
        let v = self.value(n);
        if u32::from(v.bytes) >= bytes { v.low } else { self.read_whole(n) }
    }
    /// The same for an operand of arithmetic: what is pending there must be of its kind.
    pub(super) fn operand(&mut self, n: u8, fp: Fp) -> V {
        if let k @ 1.. = self.groups.node(n) {
            let node = self.groups.nodes[k as usize - 1].fp;
            if node.double() != fp.double() || fp.scalar() && !node.scalar() {
                self.look_at(1 << n);
            }
        }
        if fp.scalar() { self.read_low(n, fp.bytes()) } else { self.read_whole(n) }
    }
    /// Register `n` without anything pending, as it is.
    pub(super) fn exact_low(&mut self, n: u8, bytes: u32) -> V {
        if self.is_pending(n) {
            self.look_at(1 << n);
        }
        self.read_low(n, bytes)
    }

    /// `n` has the low `bytes` of `low`; the rest is that of `a` now. `low` has zeros there.
    pub(super) fn merged(&mut self, a: u8, low: V, bytes: u8) -> Value {
        let v = self.value(a);
        if v.bytes == 16 && v.zero_from <= bytes {
            return Value { zero_from: bytes, ..Value::whole(low) };
        }
        let high = if v.bytes != 16 && v.bytes > bytes { self.read_whole(a) } else { v.high };
        Value { low, high, bytes, zero_from: 16, node: 0 }
    }
    /// Will a result merged into `a` be whole?
    pub(super) fn merges_to_whole(&self, a: u8, bytes: u8) -> bool {
        let v = self.value(a);
        v.bytes == 16 && v.zero_from <= bytes
    }
    /// A pending operation's value in place of `n`'s.
    pub(super) fn pending_value(&mut self, n: u8, fp: Fp, parents: [u8; 3], value: Value) {
        let node = if self.exact_nan() {
            self.groups.nodes.push(Node { fp, parents, clean: false });
            self.groups.nodes.len() as u8
        } else {
            0
        };
        self.groups.at[n as usize] = Value { node, ..value };
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
        self.groups.steps.push(Step::Set { n, low: value.low, high: value.high, bytes: value.bytes });
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
    fn restart(&mut self) {
        let g = &mut self.groups;
        g.from = g.steps.len() as u32;
        g.kept = 0;
        g.nodes.clear();
        for v in &mut g.at {
            v.node = 0;
        }
        for n in 0..COUNT {
            if !g.is_home(n) {
                let v = g.at[n];
                g.steps.push(Step::Set { n: n as u8, low: v.low, high: v.high, bytes: v.bytes });
            }
        }
        g.begun = g.steps.len() as u32;
    }
    /// Says what a fault needs from here on.
    pub(super) fn mark(&mut self) {
        let range = if !self.groups.active || self.groups.is_trivial() { (0, 0) } else { (self.groups.from, self.groups.steps.len() as u32) };
        self.mark_as(range);
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
    pub(super) fn to_look_at(&self, registers: u32) -> Vec<(Fp, V)> {
        let g = &self.groups;
        let (mut wanted, mut seen) = (0u128, 0u128);
        for n in 0..COUNT as u8 {
            if let k @ 1.. = g.node(n)
                && registers >> n & 1 != 0
            {
                wanted |= 1 << k;
                g.ancestors(k, &mut seen);
            }
        }
        let mut list: Vec<(u8, Fp, V)> = Vec::new();
        for n in 0..COUNT as u8 {
            if let k @ 1.. = g.node(n)
                && wanted & !seen & 1 << k != 0
                && !list.iter().any(|l| l.0 == k)
            {
                list.push((k, g.nodes[k as usize - 1].fp, g.at[n as usize].low));
            }
        }
        list.into_iter().map(|(_, fp, v)| (fp, v)).collect()
    }
    /// The pending values of these registers, and what they come from, are no NaN.
    pub(super) fn looked_at(&mut self, registers: u32) {
        let mut clean = 0u128;
        for n in 0..COUNT as u8 {
            if let k @ 1.. = self.groups.node(n)
                && registers >> n & 1 != 0
            {
                clean |= 1 << k;
                self.groups.ancestors(k, &mut clean);
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

    /// Leaves if one of the pending values of these registers is a NaN. Uses v2, v3, S0.
    pub(super) fn look_at(&mut self, registers: u32) {
        let list = self.to_look_at(registers);
        if list.is_empty() {
            return;
        }
        let mut scalars = [Vec::new(), Vec::new()];
        for double in [false, true] {
            let wide: Vec<V> = list.iter().filter(|(fp, _)| !fp.scalar() && fp.double() == double).map(|l| l.1).collect();
            let fp = if double { Fp::D2 } else { Fp::S4 };
            let t = if double { V(3) } else { V(2) };
            let mut all = wide.first().copied();
            for &v in wide.iter().skip(1) {
                self.a.f3(FMAX, fp, t, all.unwrap_or(v), v);
                all = Some(t);
            }
            if let Some(v) = all {
                self.a.fmax_across(fp, t, v);
                scalars[usize::from(double)].push(t);
            }
            scalars[usize::from(double)].extend(list.iter().filter(|(fp, _)| fp.scalar() && fp.double() == double).map(|l| l.1));
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
    pub(super) fn end_group(&mut self) {
        if !std::mem::take(&mut self.groups.active) {
            return;
        }
        if self.groups.is_trivial() {
            return self.mark_as((0, 0));
        }
        self.look_at(u32::MAX);
        self.bring_home();
        let g = &mut self.groups;
        g.kept = 0;
        g.nodes.clear();
        g.from = g.steps.len() as u32;
        g.begun = g.from;
        for (v, home) in g.at.iter_mut().zip(g.homes) {
            *v = Value { zero_from: v.zero_from, ..Value::whole(home) };
        }
        self.mark_as((0, 0));
    }
    /// Moves values to their places. Uses v0, v1.
    fn bring_home(&mut self) {
        let mut left: Vec<u8> = (0..COUNT as u8).filter(|&n| !self.groups.is_home(n as usize)).collect();
        while !left.is_empty() {
            let needed = |c: &Ctx, n: u8| left.iter().any(|&m| m != n && c.value(m).places() >> c.home(n).0 & 1 != 0);
            let free = left.iter().position(|&n| !needed(self, n));
            let Some(i) = free else {
                // A circle: one of them waits elsewhere.
                let n = left[0];
                let t = self.free_register_for_circle();
                let home = self.home(n);
                self.a.vmov(t, home);
                for &m in &left {
                    let v = &mut self.groups.at[m as usize];
                    if v.low == home {
                        v.low = t;
                    }
                    if v.high == home {
                        v.high = t;
                    }
                }
                continue;
            };
            let n = left.swap_remove(i);
            let (v, home) = (self.value(n), self.home(n));
            if v.bytes == 16 {
                self.a.vmov(home, v.low);
            } else {
                let mut low = v.low;
                if low == home {
                    self.a.vmov(V(0), low);
                    low = V(0);
                }
                self.a.vmov(home, v.high);
                self.a.ins(v.bytes.trailing_zeros(), home, 0, low, 0);
            }
            self.groups.at[n as usize] = Value { zero_from: v.zero_from, ..Value::whole(home) };
        }
    }
    fn free_register_for_circle(&self) -> V {
        // What repairs read is not needed any more: everything was looked at.
        let first = self.uppers.first_free();
        let used = self.groups.used_by_others(COUNT);
        V((1..FIRST_FREE).chain(first..16).find(|v| used >> v & 1 == 0).expect("v1 to v3 hold no value but that of a circle"))
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
        at.low == v && (fp.scalar() || at.bytes == 16)
    }
    /// Register `n`, whole and exact.
    pub(super) fn exact_whole(&mut self, n: u8) -> V {
        if self.is_pending(n) {
            self.look_at(1 << n);
        }
        self.read_whole(n)
    }
    /// Are pending doubles in `n`, if anything?
    pub(super) fn is_pending_double(&self, n: u8) -> bool {
        let k = self.groups.node(n);
        k != 0 && self.groups.nodes[k as usize - 1].fp.double()
    }
    /// Is that node's result one value?
    pub(super) fn is_node_scalar(&self, k: u8) -> bool {
        k != 0 && self.groups.nodes[k as usize - 1].fp.scalar()
    }
    /// Is something pending in `n` beyond its low `bytes`?
    pub(super) fn is_pending_above(&self, n: u8, bytes: u32) -> bool {
        match self.groups.node(n) {
            0 => false,
            k => {
                let fp = self.groups.nodes[k as usize - 1].fp;
                !fp.scalar() || fp.bytes() > bytes
            }
        }
    }
    /// An instruction that is none of the group's: what it leaves in vector registers is not known.
    pub(super) fn forget_values(&mut self) {
        self.groups.known = false;
        self.groups.at = self.groups.homes.map(Value::whole);
    }
}
