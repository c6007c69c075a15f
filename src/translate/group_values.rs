//! Where the values of XMM registers are inside a group (see [`super::groups`]): whole, or in two parts, which are joined where something needs all of it.

use super::context::Ctx;
use super::groups::{COUNT, FIRST_FREE};
use super::repair::Step;
use crate::emit::regs::*;
use crate::emit::simd::{Arr, Fp, ops::*};
use crate::optimize::Opt;

/// Where the value of an XMM register is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value {
    /// Its low `bytes`.
    pub low: V,
    /// The rest of it.
    pub high: V,
    /// 4, 8, or 16: all of it is in `low`.
    pub bytes: u8,
    /// With 8 bytes: which doubleword of `low` is the low one, and which of `high` the upper one. Else 0 and 1.
    pub lanes: [u8; 2],
    /// From this byte on it is known to be zero, if it is whole (16: not known).
    pub zero_from: u8,
    /// The operation that it comes from, if that is still pending; else 0. Of doubles the low one's.
    pub node: u8,
    /// That of the upper one, if doubles are pending there.
    pub node_high: u8,
}

impl Value {
    /// All in one register.
    pub const fn whole(v: V) -> Value {
        Value { low: v, high: v, bytes: 16, lanes: [0, 1], zero_from: 16, node: 0, node_high: 0 }
    }
    /// Both doublewords are lane `lane` of `v`.
    pub const fn twice(v: V, lane: u8) -> Value {
        Value { bytes: 8, lanes: [lane, lane], ..Value::whole(v) }
    }
    /// If both doublewords are the same: register and lane.
    pub fn same_twice(self) -> Option<(V, u8)> {
        (self.bytes == 8 && self.low == self.high && self.lanes[0] == self.lanes[1]).then_some((self.low, self.lanes[0]))
    }
    /// How repairs get it for `n`.
    pub fn step(self, n: u8) -> Step {
        Step::Set { n, low: self.low, high: self.high, bytes: self.bytes, lanes: self.lanes }
    }
    pub fn places(self) -> u64 {
        1 << self.low.0 | 1 << self.high.0
    }
}

impl Ctx<'_> {
    /// Makes `n` whole and returns where it is.
    pub(super) fn read_whole(&mut self, n: u8) -> V {
        let v = self.value(n);
        if v.bytes == 16 {
            return v.low;
        }
        let t = if v.high == self.home(n) && self.home_is_free(n) { v.high } else { self.free_register() };
        self.join(t, v);
        self.moved_to(n, v, Value::whole(t));
        t
    }
    /// `n`'s value is somewhere else now.
    fn moved_to(&mut self, n: u8, from: Value, to: Value) {
        self.groups.at[n as usize] = Value { node: from.node, node_high: from.node_high, ..to };
        if !self.is_pending(n) {
            // The registers that it came from may be used for something else.
            self.record_value(n);
        }
    }
    /// `t` = a value that is not whole; t may be where its high part is, or its low one if that is all of it.
    fn join(&mut self, t: V, v: Value) {
        match (v.bytes, v.lanes) {
            (8, [i, j]) if i == j && v.low == v.high => self.a.dup(Arr::D2, t, v.low, i.into()),
            (8, [0, 0]) => self.a.v3(ZIP1, Arr::D2, t, v.low, v.high),
            (8, [1, 1]) => self.a.v3(ZIP2, Arr::D2, t, v.low, v.high),
            (8, [1, 0]) => self.a.ext(t, v.low, v.high, 8),
            _ => {
                self.a.vmov(t, v.high);
                self.a.ins(v.bytes.trailing_zeros(), t, 0, v.low, 0);
            }
        }
    }
    /// A register whose low `bytes` are those of `n`.
    pub(super) fn read_low(&mut self, n: u8, bytes: u32) -> V {
        let v = self.value(n);
        if u32::from(v.bytes) < bytes {
            return self.read_whole(n);
        }
        if v.lanes[0] == 0 {
            return v.low;
        }
        if v.same_twice().is_some() {
            // One instruction makes both.
            return self.read_whole(n);
        }
        let t = self.free_register();
        self.a.dup(Arr::D2, t, v.low, 1);
        self.moved_to(n, v, Value { low: t, lanes: [0, v.lanes[1]], ..v });
        t
    }
    /// The same for an operand of arithmetic: what is pending there must be of its kind.
    pub(super) fn operand(&mut self, n: u8, fp: Fp) -> V {
        let [low, high] = self.groups.nodes(n);
        let other_kind = |k: u8| {
            let node = self.groups.nodes[k as usize - 1].fp;
            node.double() != fp.double() || fp.scalar() && !node.scalar()
        };
        if low != 0 && other_kind(low) || high != 0 && !fp.double() {
            self.look_at(1 << n);
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

    /// `n` has the low `bytes` of `low`; the rest is that of `a` now, pending or not. `low` has zeros there.
    pub(super) fn merged(&mut self, a: u8, low: V, bytes: u8) -> Value {
        let v = self.value(a);
        if self.merges_to_whole(a, bytes) {
            return Value { zero_from: bytes, ..Value::whole(low) };
        }
        let v = if v.bytes != 16 && v.bytes > bytes { Value { node_high: v.node_high, ..Value::whole(self.read_whole(a)) } } else { v };
        Value { low, bytes, lanes: [0, v.lanes[1]], zero_from: 16, node: 0, ..v }
    }
    /// Will a result merged into `a` be whole?
    pub(super) fn merges_to_whole(&self, a: u8, bytes: u8) -> bool {
        let v = self.value(a);
        v.bytes == 16 && v.zero_from <= bytes || self.zero_from(a) <= bytes
    }

    /// Is `n` whole in one register, with zeros above the low `bytes`?
    pub(super) fn is_whole_above(&self, n: u8, bytes: u32) -> bool {
        self.value(n).bytes == 16 && self.merges_to_whole(n, bytes as u8)
    }

    /// Moves values to their places. Uses v0, v1.
    pub(super) fn bring_home(&mut self) {
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
                if low == home && v.lanes == [0, 1] {
                    self.a.vmov(V(0), low);
                    low = V(0);
                }
                self.join(home, Value { low, ..v });
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

    /// Where the doubleword is that `n` has, in the form of `fp`, if not at the bottom of a register.
    pub(super) fn double_at(&self, n: u8, fp: Fp) -> Option<(V, u8)> {
        let v = self.value(n);
        if fp.scalar() { (v.bytes == 8 && v.lanes[0] == 1).then_some((v.low, 1)) } else { v.same_twice() }
    }
    /// Gives `d` the low or the high doubleword twice, if `a` and `b` have the same there: nothing is emitted.
    pub(super) fn double_twice(&mut self, d: u8, a: u8, b: u8, high: bool) -> bool {
        let (x, y) = (self.value(a), self.value(b));
        let place = |v: Value| if high { (v.high, v.lanes[1]) } else { (v.low, v.lanes[0]) };
        if !self.options.switches.on(Opt::Elements) || place(x) != place(y) || !high && x.bytes.min(y.bytes) < 8 || self.is_pending_single(a) || self.is_pending_single(b) {
            return false;
        }
        if self.is_pending(a) || self.is_pending(b) {
            self.keep(a);
            self.keep(b);
        }
        let node = self.nodes_of(a)[usize::from(high)];
        let (v, lane) = place(x);
        self.set_value(d, Value { node, node_high: node, ..Value::twice(v, lane) });
        true
    }
}
