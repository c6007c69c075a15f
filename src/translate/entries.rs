//! Where a region is entered: by jumps that know it, by returns and jumps through tables, and by calls.

use super::Origin;
use super::context::{Carry, Ctx};
use super::leaf::Leaf;
use super::{Entry, late_jumps};
use crate::decode::CF;
use crate::emit::regs::*;
use crate::emit::{Finished, Label};
use crate::guest::Addr;

impl Ctx<'_> {
    /// Binds the block's label, and makes its entry from outside: the same place, or one that asks and loads before what the region wants.
    #[inline]
    pub(super) fn enter_block(&mut self, index: usize, label: Label) {
        self.narrow_behind = self.narrow_in.get(index).copied().unwrap_or_default();
        self.zero_uppers = 0;
        if self.leaf == Leaf::Now {
            return;
        }
        // Of a block that stands in front there may be no code: it goes on inside, not by way of the entry for calls.
        let first = index == 0 && (self.entries.is_empty() || self.leaf == Leaf::Done);
        if first {
            self.begin_call_entry();
        }
        if self.has_own_entry(index) {
            return self.enter_by_itself(index, label, first);
        }
        self.entries.push((index, label));
        self.a.bind(label);
    }
    #[inline(never)]
    fn enter_by_itself(&mut self, index: usize, label: Label, first: bool) {
        let entry = self.a.label();
        self.entries.push((index, entry));
        let addr = self.region.blocks[index].addr;
        if first {
            self.a.bind(entry);
            self.origin(addr);
            self.ask_for_narrow(index);
            self.load_uppers();
        } else {
            self.cold_entry(entry, addr, move |c| {
                c.ask_for_narrow(index);
                c.load_uppers();
                c.a.b(label);
            });
        }
        self.a.bind(label);
        self.dirty = self.uppers.dirty_in.get(index).copied().unwrap_or(0);
    }

    /// Where the region's first block is entered by calls that have left it to that to put their return addresses on the shadow stack: T1 and LINK. `inside`: it
    /// must be a way inside the region, too.
    pub(super) fn call_entry(&self, inside: bool) -> Option<Label> {
        self.call_entry.filter(|_| !inside || !self.has_own_entry(0))
    }

    /// Puts the return addresses of a call that has been made on the shadow stack; the guest stands at `at`.
    pub(super) fn push_pair(&mut self, at: Addr) {
        self.origin(at);
        self.a.stp_pre(T[1], LINK, SHADOW, -16);
    }

    /// Begins that entry: what follows is the region's own.
    #[inline(never)]
    fn begin_call_entry(&mut self) {
        if let Some(label) = self.call_entry.filter(|_| self.leaf != Leaf::Done) {
            self.a.bind(label);
            self.push_pair(self.region.blocks[0].addr);
        }
    }

    /// Has the block an entry from outside that is not the block itself?
    fn has_own_entry(&self, index: usize) -> bool {
        self.uppers.has_entries() || self.asks_for_narrow(index)
    }

    /// For each entry, where returns and indirect jumps arrive: where CF is read, code that settles the carry before; and where calls that do not do so may go
    /// elsewhere, what leads there.
    pub(super) fn arrivals(&mut self, arrivals: &mut Vec<Label>) {
        let entries = std::mem::take(&mut self.entries);
        let arrival = |&(index, label): &(usize, Label)| {
            let block = &self.region.blocks[index];
            let settles = self.late_carry() && block.live_in & CF != 0;
            let leads = index == 0 && self.lead_to_call_entry(settles);
            if !settles && !leads {
                return label;
            }
            let arrival = self.a.label();
            self.a.bind(arrival);
            self.origins.push(Origin { host: self.a.offset(), guest: block.addr, carry: Carry::Inverted });
            if settles {
                self.settle_carry();
            }
            self.a.b(label);
            arrival
        };
        arrivals.clear();
        arrivals.extend(entries.iter().map(arrival));
        self.entries = entries;
    }

    /// The call's entry where another block than the first stands first.
    pub(super) fn late_call_entry(&mut self) {
        if self.call_entry.is_some_and(|l| !self.a.is_bound(l)) {
            let entry = self.entries[0].1;
            self.begin_call_entry();
            self.a.b(entry);
        }
    }

    /// The entries as they came to lie.
    pub(super) fn entries_of(&self, finished: &Finished, arrivals: &[Label]) -> Vec<Entry> {
        let entry = |(&(index, label), &arrival): (&(usize, Label), &Label)| {
            let block = &self.region.blocks[index];
            let (arrival, call) = (finished.offset_of(arrival), self.call_entry.filter(|_| index == 0).map(|l| finished.offset_of(l)));
            let late = late_jumps::who(block.live_in, arrival, call, self.leads_to_call_entry && index == 0);
            Entry { guest: block.addr, host: finished.offset_of(label), arrival, call, live_in: block.live_in, late }
        };
        self.entries.iter().zip(arrivals).map(entry).collect()
    }
}
