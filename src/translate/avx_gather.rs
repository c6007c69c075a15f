//! Gathers. Precise: elements are loaded in ascending order, each clears its mask element; a fault leaves those before it done.

use super::Row;
use super::avx::{is_wide, number};
use super::context::Ctx;
use crate::decode::{Insn, Mnemonic};
use crate::emit::regs::*;
use crate::emit::{Alu, Mem, Order, Shift, Size, Width};

/// Mnemonics of this family: log2 of an element's and of an index's bytes.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Vgatherdps, |c, i| gather(c, i, 2, 2)),
        (Vpgatherdd, |c, i| gather(c, i, 2, 2)),
        (Vgatherdpd, |c, i| gather(c, i, 3, 2)),
        (Vpgatherdq, |c, i| gather(c, i, 3, 2)),
        (Vgatherqps, |c, i| gather(c, i, 2, 3)),
        (Vpgatherqd, |c, i| gather(c, i, 2, 3)),
        (Vgatherqpd, |c, i| gather(c, i, 3, 3)),
        (Vpgatherqq, |c, i| gather(c, i, 3, 3)),
    ]
};

fn gather(c: &mut Ctx, insn: &Insn, element: u32, index: u32) {
    let (d, mask) = (number(insn.op(0)), number(insn.op(2)));
    let Some((indices, wide_indices)) = insn.vector_index() else { return c.undefined(insn) };
    if d == mask || d == indices || mask == indices {
        return c.undefined(insn);
    }
    let m = insn.memory();
    let wide = is_wide(insn, 0);
    let count = (if wide { 32 } else { 16 } >> element).min(if wide_indices { 32 } else { 16 } >> index);
    let width = Width::bytes_of(1 << element);
    let order = c.order();
    // T7: the sum of what all elements share. An address cut to 32 bits gets its segment's base after the cut.
    let late_base = m.addr32 && m.segment.is_some();
    let shared = c.shared_address(&m, !late_base);
    for i in 0..count {
        let skip = c.a.label();
        c.element(element, T[0], mask, i);
        c.a.tbz(T[0], (8 << element) - 1, skip);
        c.signed_element(index, T[1], indices, i);
        c.a.alu_shift(Alu::Add, Size::X, T[1], shared, T[1], Shift::Lsl, m.scale as u32);
        if m.addr32 {
            c.a.mov(Size::W, T[1], T[1]);
            if late_base {
                c.add_segment_base(T[1], &m);
            }
        }
        c.a.load(width, T[2], Mem::Off(T[1], 0), order);
        c.set_element(element, d, i, T[2]);
        c.a.bind(skip);
        c.set_element(element, mask, i, ZR);
    }
    // What no element fills becomes zero, in the mask too.
    if count << element < 16 {
        c.a.vmov64(xmm(d), xmm(d));
        c.a.vmov64(xmm(mask), xmm(mask));
    }
    if count << element <= 16 {
        c.clear_upper(d);
        c.clear_upper(mask);
    }
}

impl Ctx<'_> {
    /// Element `i` of YMM `n` of 1 << log2 bytes.
    fn element(&mut self, log2: u32, d: X, n: u8, i: u32) {
        let lanes = 16 >> log2;
        if i < lanes {
            return self.a.umov(log2, d, xmm(n), i);
        }
        if let Some(v) = self.held_upper(n) {
            return self.a.umov(log2, d, v, i - lanes);
        }
        let mem = self.upper_element(log2, n, i - lanes);
        self.a.load(Width::bytes_of(1 << log2), d, mem, Order::Plain);
    }
    fn signed_element(&mut self, log2: u32, d: X, n: u8, i: u32) {
        let lanes = 16 >> log2;
        if i < lanes {
            return self.a.smov(log2, d, xmm(n), i);
        }
        if let Some(v) = self.held_upper(n) {
            return self.a.smov(log2, d, v, i - lanes);
        }
        let mem = self.upper_element(log2, n, i - lanes);
        self.a.load(if log2 == 3 { Width::X } else { Width::Sw }, d, mem, Order::Plain);
    }
    fn set_element(&mut self, log2: u32, n: u8, i: u32, s: X) {
        let lanes = 16 >> log2;
        if i < lanes {
            return self.a.ins_x(log2, xmm(n), i, s);
        }
        self.upper_changes(n);
        if let Some(v) = self.held_upper(n) {
            return self.a.ins_x(log2, v, i - lanes, s);
        }
        let mem = self.upper_element(log2, n, i - lanes);
        self.a.store(Width::bytes_of(1 << log2), s, mem, Order::Plain);
    }
}
