//! Upper halves of YMM registers kept in v8-v15 through a region.
//!
//! One assignment for the whole region: v8 + k holds the upper half of the same register wherever its code runs. Every entry from outside
//! loads them, every way out stores those that may have changed; a helper call does both. At a fault or a poll nothing is stored: the host's
//! registers and the region's list ([`Held`]) tell all. Where nothing is held, instructions work on `CpuState::ymm_hi`.
//!
//! The register behind them holds zero in regions whose loops need that often, and is made at the same places: entries, and behind calls.

use super::context::Ctx;
use crate::decode::{Flow, Insn, Mnemonic, Op, Region};
use crate::emit::regs::*;
use crate::emit::{Mem, Order};
use crate::guest::CpuState;
use crate::optimize::Opt;
use std::mem::offset_of;

/// How many host registers there are for them, from v8 on.
const ROOM: usize = 8;
/// How often a loop is taken to run.
const LOOP: u32 = 8;
/// Accesses that loading and storing at the region's borders cost.
const BORDERS: u32 = 3;

/// Which upper halves a region's code has in host registers: YMM numbers, ascending; the first is in v8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    numbers: [u8; ROOM],
    count: u8,
}

impl Held {
    /// YMM numbers of v8, v9...
    pub fn numbers(&self) -> &[u8] {
        &self.numbers[..self.count as usize]
    }
    fn place(&self, n: u8) -> Option<usize> {
        self.numbers().iter().position(|&m| m == n)
    }
}

/// Bit set of places in [`Held`].
pub(super) type Places = u8;

/// What a region holds, and which of it may differ from the state's at the start of each block.
#[derive(Default)]
pub(super) struct Plan {
    pub held: Held,
    pub dirty_in: Vec<Places>,
    /// A host register that is zero wherever the region's code runs.
    pub zero: Option<V>,
}

impl Plan {
    /// Must code do something at entries from outside?
    pub fn has_entries(&self) -> bool {
        self.held.count != 0 || self.zero.is_some()
    }
    /// The first register from v8 on that is free.
    pub fn first_free(&self) -> u8 {
        8 + self.held.count + u8::from(self.zero.is_some())
    }
}

/// Registers whose upper half the instruction may write, as a bit set.
fn written(insn: &Insn) -> u16 {
    use Mnemonic::*;
    match insn.mnemonic() {
        Vzeroupper | Vzeroall => return u16::MAX,
        Vpcmpestrm | Vpcmpestrm64 | Vpcmpistrm => return 1,
        _ => {}
    }
    let bit = |i| match insn.op(i) {
        Op::Xmm(n) | Op::Ymm(n) => 1 << n,
        _ => 0,
    };
    let mask = if insn.vector_index().is_some() { bit(2) } else { 0 };
    bit(0) | mask
}

/// Chooses what to hold.
pub(super) fn plan(region: &Region) -> Plan {
    if !region.unusual || !region.insns.iter().any(|i| i.is_vex() && (0..i.op_count()).any(|k| matches!(i.op(k), Op::Ymm(_)))) {
        return Plan::default();
    }
    let weights = block_weights(region);
    let mut accesses = [0u32; 16];
    let mut borders = BORDERS;
    for (block, weight) in region.blocks.iter().zip(&weights) {
        for insn in &region.insns[block.first..block.first + block.count] {
            if matches!(insn.flow(), Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) {
                borders += weight;
            }
            if !insn.is_vex() {
                continue;
            }
            for k in 0..insn.op_count() {
                match insn.op(k) {
                    Op::Ymm(n) => accesses[n as usize] += weight,
                    Op::Xmm(n) if k == 0 => accesses[n as usize] += weight,
                    _ => {}
                }
            }
        }
    }
    let mut chosen: Vec<u8> = (0..16).filter(|&n| accesses[n as usize] > borders).collect();
    chosen.sort_by_key(|&n| std::cmp::Reverse(accesses[n as usize]));
    chosen.truncate(ROOM);
    chosen.sort_unstable();
    let mut held = Held { count: chosen.len() as u8, ..Held::default() };
    held.numbers[..chosen.len()].copy_from_slice(&chosen);
    Plan { dirty_in: dirty_at_heads(region, &held), held, zero: None }
}

/// Is there a loop whose instructions need a zero more often than the region is entered?
fn wants_zero(region: &Region) -> bool {
    use Mnemonic::*;
    let needs_zero = |insn: &Insn| {
        matches!(insn.mnemonic(), Aesenc | Aesenclast | Aesdec | Aesdeclast | Vaesenc | Vaesenclast | Vaesdec | Vaesdeclast | Sha1rnds4 | Sha256msg2)
    };
    if !region.unusual || !region.insns.iter().any(needs_zero) {
        return false;
    }
    let (mut uses, mut borders) = (0, 1);
    for (block, weight) in region.blocks.iter().zip(block_weights(region)) {
        for insn in &region.insns[block.first..block.first + block.count] {
            uses += if needs_zero(insn) { weight } else { 0 };
            borders += if matches!(insn.flow(), Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) { weight } else { 0 };
        }
    }
    uses > borders
}

/// How often each block runs, roughly.
pub(super) fn block_weights(region: &Region) -> Vec<u32> {
    let mut weights = vec![1; region.blocks.len()];
    for insn in &region.insns {
        if let Flow::Conditional(to) | Flow::Jump(to) = insn.flow()
            && to <= insn.addr()
            && region.block_at(to).is_some()
        {
            for (block, weight) in region.blocks.iter().zip(&mut weights) {
                if block.addr >= to && block.addr <= insn.addr() {
                    *weight = LOOP;
                }
            }
        }
    }
    weights
}

/// Forward over the region: entries from outside bring nothing that the state has not.
fn dirty_at_heads(region: &Region, held: &Held) -> Vec<Places> {
    let n = region.blocks.len();
    let places = |set: u16| held.numbers().iter().enumerate().fold(0, |p, (k, &m)| p | ((set >> m & 1) as Places) << k);
    let mut dirty = vec![0; n];
    loop {
        let mut changed = false;
        for b in 0..n {
            let block = region.blocks[b];
            let insns = &region.insns[block.first..block.first + block.count];
            let out = insns.iter().filter(|i| i.is_vex()).fold(dirty[b], |d, i| d | places(written(i)));
            let last = insns.last();
            let (jump, next) = match block.end {
                crate::decode::End::Fall(to) | crate::decode::End::Flow(Flow::Jump(to)) => (Some(to), None),
                crate::decode::End::Flow(Flow::Conditional(to)) => (Some(to), last.map(|i| i.next())),
                // Calls store everything before, and load it when they return.
                _ => (None, None),
            };
            for to in [jump, next].into_iter().flatten() {
                if let Some(t) = region.block_at(to) {
                    changed |= dirty[t] | out != dirty[t];
                    dirty[t] |= out;
                }
            }
        }
        if !changed {
            return dirty;
        }
    }
}

impl Ctx<'_> {
    fn upper_field(&self, n: u8) -> Mem {
        self.field(offset_of!(CpuState, ymm_hi) + 16 * n as usize)
    }
    /// Element `i` (of 1 << log2 bytes) of the upper half of YMM `n` in the state: where it lies if it is not held.
    pub fn upper_element(&self, log2: u32, n: u8, i: u32) -> Mem {
        self.field(offset_of!(CpuState, ymm_hi) + 16 * n as usize + ((i as usize) << log2))
    }
    /// The host register that holds the upper half of YMM `n`.
    pub fn held_upper(&self, n: u8) -> Option<V> {
        self.uppers.held.place(n).map(|k| V(8 + k as u8))
    }
    /// The upper half of YMM `n` is being changed.
    pub fn upper_changes(&mut self, n: u8) {
        self.zero_uppers &= !(1 << n);
        if let Some(k) = self.uppers.held.place(n) {
            self.dirty |= 1 << k;
        }
    }
    /// A register that holds the upper half of YMM `n`: it may be `t`. Not to be written.
    pub fn upper(&mut self, n: u8, t: V) -> V {
        if let Some(v) = self.held_upper(n) {
            return v;
        }
        let mem = self.upper_field(n);
        self.a.load_v(16, t, mem, Order::Plain);
        t
    }
    /// Where best to compute a new upper half of YMM `n` for [`Ctx::set_upper`].
    pub fn upper_target(&mut self, n: u8, t: V) -> V {
        self.held_upper(n).unwrap_or(t)
    }
    /// Writes the upper half of YMM `n`.
    pub fn set_upper(&mut self, n: u8, s: V) {
        self.upper_changes(n);
        if let Some(v) = self.held_upper(n) {
            return self.a.vmov(v, s);
        }
        let mem = self.upper_field(n);
        self.a.store_v(16, s, mem, Order::Plain);
    }
    /// Clears the upper half of YMM `n`, as every 128-bit VEX form does with its destination.
    pub fn clear_upper(&mut self, n: u8) {
        if self.zero_uppers >> n & 1 != 0 {
            return;
        }
        self.upper_changes(n);
        self.zero_uppers |= 1 << n;
        match self.held_upper(n) {
            Some(v) => self.a.vzero(v),
            None => self.a.stp(ZR, ZR, STATE, (offset_of!(CpuState, ymm_hi) + 16 * n as usize) as i32),
        }
    }
    /// VZEROUPPER. Uses v0.
    pub fn clear_uppers(&mut self) {
        let wanted = |c: &Ctx, n: u8| c.zero_uppers >> n & 1 == 0 && c.held_upper(n).is_none();
        if (0..16).any(|n| wanted(self, n)) {
            self.a.vzero(V(0));
        }
        for n in (0..16u8).step_by(2) {
            if wanted(self, n) && wanted(self, n + 1) {
                self.a.stp_q(V(0), V(0), STATE, (offset_of!(CpuState, ymm_hi) + 16 * n as usize) as i32);
                self.zero_uppers |= 3 << n;
            }
        }
        for n in 0..16 {
            self.clear_upper(n);
        }
    }
    /// Writes both halves of YMM `n`; `low` may be where its upper half lies, `high` where the lower one does. Uses v4.
    pub fn set_halves(&mut self, n: u8, low: V, high: V) {
        let low = if low == self.upper_target(n, V(4)) {
            self.a.vmov(V(4), low);
            V(4)
        } else {
            low
        };
        self.set_upper(n, high);
        self.a.vmov(xmm(n), low);
    }

    /// Runs `one(c, k)` for places that stand alone and `two(c, k)` for two that are neighbours in the state as well.
    fn by_pairs(&mut self, places: Places, one: fn(&mut Ctx, V, i32), two: fn(&mut Ctx, V, V, i32)) {
        let held = self.uppers.held;
        let at = |k: usize| offset_of!(CpuState, ymm_hi) as i32 + 16 * held.numbers[k] as i32;
        let mut k = 0;
        while k < held.count as usize {
            let next = k + 1 < held.count as usize && places >> k & 3 == 3 && held.numbers[k + 1] == held.numbers[k] + 1;
            let v = V(8 + k as u8);
            if next {
                two(self, v, V(v.0 + 1), at(k));
                k += 2;
                continue;
            }
            if places >> k & 1 != 0 {
                one(self, v, at(k));
            }
            k += 1;
        }
    }
    /// Stores what may have changed: before every way out of the region, and before helpers.
    #[inline]
    pub fn store_uppers(&mut self) {
        if self.dirty != 0 {
            self.store_dirty_uppers();
        }
    }
    #[inline(never)]
    fn store_dirty_uppers(&mut self) {
        let dirty = self.dirty;
        self.by_pairs(dirty, |c, v, at| c.a.store_v(16, v, Mem::Off(STATE, at as i64), Order::Plain), |c, v, w, at| c.a.stp_q(v, w, STATE, at));
    }
    /// Loads all: at entries, and after whatever may have changed the registers or the state.
    pub fn load_uppers(&mut self) {
        self.by_pairs(Places::MAX, |c, v, at| c.a.load_v(16, v, Mem::Off(STATE, at as i64), Order::Plain), |c, v, w, at| c.a.ldp_q(v, w, STATE, at));
        if let Some(v) = self.uppers.zero {
            self.a.vzero(v);
        }
        self.dirty = 0;
        self.zero_uppers = 0;
    }
    /// A register that is zero, which may be `t`. Not to be written.
    pub fn zero(&mut self, t: V) -> V {
        self.uppers.zero.unwrap_or_else(|| {
            self.a.vzero(t);
            t
        })
    }

    pub(super) fn plan_uppers(&mut self) {
        if self.options.switches.on(Opt::UpperHalves) {
            self.uppers = plan(self.region);
        }
        let room = self.uppers.held.count < ROOM as u8;
        if room && self.options.switches.on(Opt::HeldZero) && wants_zero(self.region) {
            self.uppers.zero = Some(V(self.uppers.first_free()));
        }
    }
}
