//! Code that compares the guest's bytes with those that it was made from, at the start of each block: for pages that are rewritten all the time, where
//! write protection would cost a fault for each write (`engine/guards.rs`).
//!
//! Such code is no longer than up to the next store or branch, so a change is seen by the first instruction that could be another.

use super::context::Ctx;
use super::ExitKind;
use crate::emit::regs::*;
use crate::emit::stubs::Stub;
use crate::emit::{Alu, Order, Size, Width};
use crate::guest::CpuState;
use std::mem::offset_of;

impl Ctx<'_> {
    /// At the start of the current block; leaves in front of its first instruction if bytes changed, or if it is time to ask whether they still do.
    /// Flags stay.
    #[inline]
    pub(super) fn guard(&mut self) {
        if !self.region.guards.is_empty() {
            self.compare_with_source();
        }
    }
    #[inline(never)]
    fn compare_with_source(&mut self) {
        let region = self.region;
        let at = region.blocks[self.block].addr;
        self.origin(at);
        let counted = self.cold(move |c| {
            c.store_uppers();
            c.call_stub(Stub::Link);
            c.exit_site(at, ExitKind::Counted);
        });
        let changed = self.cold(move |c| {
            c.store_uppers();
            let patch = c.a.offset();
            c.a.nop();
            c.call_stub(Stub::Link);
            c.exit_site(at, ExitKind::Changed { patch });
        });
        let left = self.field(offset_of!(CpuState, guards_left));
        let (base, word, other) = (T[0], T[1], T[2]);
        self.a.load(Width::X, word, left, Order::Plain);
        self.a.alu_imm(Alu::Sub, Size::X, word, word, 1);
        self.a.store(Width::X, word, left, Order::Plain);
        self.a.cbz(Size::X, word, counted);
        let first = region.guards[0].at;
        self.a.guest_address(base, first.0);
        for guard in &region.guards {
            self.a.load(Width::bytes_of(guard.bytes), word, crate::emit::Mem::Off(base, (guard.at.0 - first.0) as i64), Order::Plain);
            self.a.constant(other, guard.is);
            self.a.alu(Alu::Eor, Size::X, word, word, other);
            if guard.mask != u64::MAX >> (64 - 8 * guard.bytes) {
                self.a.constant(other, guard.mask);
                self.a.alu(Alu::And, Size::X, word, word, other);
            }
            self.a.cbnz(Size::X, word, changed);
        }
    }
}
