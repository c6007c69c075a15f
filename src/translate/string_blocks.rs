//! Repeated string instructions that go forward over many elements: the faster ways out of line.
//!
//! REP MOVS and REP STOS run in blocks of 64 bytes, and what is left of a page in pieces of 32, 16, 8, 4, 2 and 1. None crosses a page of either
//! side, so it faults at its first byte or not at all, and the registers are exact there too. In ordered mode the stores of one such instruction
//! may pass each other, as the processor's own fast strings do (SDM vol. 3, 9.2.4); barriers order them after what came before, and blocks are
//! used only where each element keeps its single-copy atomicity.
//!
//! REP SCAS and REP CMPS only skip here what can not end them; the plain loop reads the last elements again and sets the flags. No access touches a
//! page that the elements themselves do not, and the first byte of each is the next element's, so that a fault names its address; before the first
//! access to a page the flags are set by the last elements that were skipped. In ordered mode
//! elements must be seen one after the other: SCAS reads 8 aligned bytes at once, which is single-copy atomic; CMPS, whose two strings alternate,
//! stays plain.

use super::context::Ctx;
use super::string::{RCX, RDI, RSI, STEP, compared};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, ops};
use crate::emit::{Alu, Label, Mem, Order, Shift, Size, Width};
use crate::guest::addr::PAGE_SIZE;

/// Bytes of a block of MOVS, STOS and SCAS; log2.
const BLOCK: u32 = 6;
/// Bytes of a step of SCAS and CMPS: a vector; log2.
const STEP16: u32 = 4;

/// To `long` where RCX is `count` (a power of two) or more. No flags. Uses T2.
pub fn branch_if_long(c: &mut Ctx, count: u32, long: Label) {
    c.a.shift_imm(Shift::Lsr, Size::X, T[2], RCX, count.trailing_zeros());
    c.a.cbnz(Size::X, T[2], long);
}

/// To the plain loop where DF is set, or where a block would break up elements that other threads may look at.
fn check_blocks(c: &mut Ctx, bytes: u32, pointers: &[X], plain: Label) {
    c.a.tbnz(STEP, 63, plain);
    // A count beyond all memory: its bytes would not fit in a register.
    c.a.shift_imm(Shift::Lsr, Size::X, T[0], RCX, 48);
    c.a.cbnz(Size::X, T[0], plain);
    if c.options.ordered && bytes > 1 {
        for &p in pointers {
            c.a.alu_imm(Alu::And, Size::X, T[0], p, 7);
            c.a.cbnz(Size::X, T[0], plain);
        }
    }
    if c.options.ordered {
        // Earlier accesses before the stores that follow.
        c.a.dmb_before_stores();
    }
}

/// T1 = bytes up to the end of `p`'s page, 1 to 4096. No flags: the guest's are live.
fn bytes_to_page_end(c: &mut Ctx, p: X) {
    c.a.alu(Alu::Orn, Size::X, T[1], ZR, p);
    c.a.alu_imm(Alu::And, Size::X, T[1], T[1], PAGE_SIZE - 1);
    c.a.alu_imm(Alu::Add, Size::X, T[1], T[1], 1);
}

/// `d` = min(`d`, T1), of values below 2^63. No flags.
fn limit(c: &mut Ctx, d: X) {
    c.a.alu(Alu::Sub, Size::X, d, d, T[1]);
    c.a.alu_shift(Alu::And, Size::X, d, d, d, Shift::Asr, 63);
    c.a.alu(Alu::Add, Size::X, d, d, T[1]);
}

/// `size` bytes done: pointers and count.
fn advance(c: &mut Ctx, bytes: u32, size: u32, pointers: &[X]) {
    for &p in pointers {
        c.a.alu_imm(Alu::Add, Size::X, p, p, size as u64);
    }
    c.a.alu_imm(Alu::Sub, Size::X, RCX, RCX, (size / bytes) as u64);
}

/// Goes over RCX elements: in each round up to the next page boundary of any pointer, in blocks, then smaller pieces. Uses T0, T1, T4; `piece`, which
/// gets its size, and `element`, which takes one that lies across a boundary, may use T1, T2, T3, T7.
fn in_blocks(c: &mut Ctx, bytes: u32, pointers: &[X], done: Label, piece: impl Fn(&mut Ctx, u32), element: impl Fn(&mut Ctx)) {
    let (round, blocks, rest) = (c.a.label(), c.a.label(), c.a.label());
    c.a.bind(round);
    c.a.shift_imm(Shift::Lsl, Size::X, T[0], RCX, bytes.trailing_zeros());
    for &p in pointers {
        bytes_to_page_end(c, p);
        limit(c, T[0]);
    }
    c.a.shift_imm(Shift::Lsr, Size::X, T[4], T[0], BLOCK);
    c.a.cbz(Size::X, T[4], rest);
    c.a.bind(blocks);
    piece(c, 1 << BLOCK);
    advance(c, bytes, 1 << BLOCK, pointers);
    c.a.alu_imm(Alu::Sub, Size::X, T[4], T[4], 1);
    c.a.cbnz(Size::X, T[4], blocks);
    c.a.bind(rest);
    for log2 in (bytes.trailing_zeros()..BLOCK).rev() {
        let skip = c.a.label();
        c.a.tbz(T[0], log2, skip);
        piece(c, 1 << log2);
        advance(c, bytes, 1 << log2, pointers);
        c.a.bind(skip);
    }
    if bytes > 1 {
        // Less than an element up to the boundary: one lies across it.
        let next = c.a.label();
        c.a.alu_imm(Alu::And, Size::X, T[0], T[0], bytes as u64 - 1);
        c.a.cbz(Size::X, T[0], next);
        element(c);
        advance(c, bytes, bytes, pointers);
        c.a.bind(next);
    }
    c.a.cbnz(Size::X, RCX, round);
    c.a.b(done);
}

/// REP MOVS of `bytes` each, RCX not zero; may go to the `plain` loop instead.
pub fn long_moves(c: &mut Ctx, bytes: u32, plain: Label, done: Label) {
    // A destination less than a block above the source would read what it has just written.
    c.a.alu(Alu::Sub, Size::X, T[0], RDI, RSI);
    c.a.shift_imm(Shift::Lsr, Size::X, T[0], T[0], BLOCK);
    c.a.cbz(Size::X, T[0], plain);
    check_blocks(c, bytes, &[RSI, RDI], plain);
    let ordered = c.options.ordered;
    let piece = |c: &mut Ctx, size: u32| match size {
        32 | 64 if ordered => {
            // Pairs of general registers: each 8 aligned bytes are one access.
            for at in (0..size as i32).step_by(32) {
                c.a.ldp(T[1], T[2], RSI, at);
                c.a.ldp(T[3], T[7], RSI, at + 16);
                c.a.dmb_behind_loads();
                c.a.stp(T[1], T[2], RDI, at);
                c.a.stp(T[3], T[7], RDI, at + 16);
            }
        }
        16 if ordered => {
            c.a.ldp(T[1], T[2], RSI, 0);
            c.a.dmb_behind_loads();
            c.a.stp(T[1], T[2], RDI, 0);
        }
        64 => {
            c.a.ldp_q(VT[0], VT[1], RSI, 0);
            c.a.ldp_q(VT[2], VT[3], RSI, 32);
            c.a.stp_q(VT[0], VT[1], RDI, 0);
            c.a.stp_q(VT[2], VT[3], RDI, 32);
        }
        32 => {
            c.a.ldp_q(VT[0], VT[1], RSI, 0);
            c.a.stp_q(VT[0], VT[1], RDI, 0);
        }
        16 => {
            c.a.load_v(16, VT[0], Mem::Off(RSI, 0), Order::Plain);
            c.a.store_v(16, VT[0], Mem::Off(RDI, 0), Order::Plain);
        }
        _ => {
            c.a.load(Width::bytes_of(size), T[2], Mem::Off(RSI, 0), Order::Plain);
            if ordered {
                c.a.dmb_behind_loads();
            }
            c.a.store(Width::bytes_of(size), T[2], Mem::Off(RDI, 0), Order::Plain);
        }
    };
    let element = |c: &mut Ctx| {
        c.load_mem(bytes, T[2], Mem::Off(RSI, 0));
        c.store_mem(bytes, T[2], Mem::Off(RDI, 0));
    };
    in_blocks(c, bytes, &[RSI, RDI], done, piece, element);
}

/// REP STOS of `bytes` each, RCX not zero; may go to the `plain` loop instead.
pub fn long_stores(c: &mut Ctx, bytes: u32, plain: Label, done: Label) {
    check_blocks(c, bytes, &[RDI], plain);
    // The value repeated over 8 bytes, and over 16 where a vector need not keep elements whole for others.
    let value = T[3];
    c.a.zext(bytes, value, gpr(0));
    for shift in [8, 16, 32].into_iter().filter(|s| s / 8 >= bytes) {
        c.a.alu_shift(Alu::Orr, Size::X, value, value, value, Shift::Lsl, shift);
    }
    let ordered = c.options.ordered;
    if !ordered {
        c.a.dup_x(Arr::D2, VT[0], value);
    }
    let piece = |c: &mut Ctx, size: u32| match size {
        16.. if ordered => (0..size as i32).step_by(16).for_each(|at| c.a.stp(value, value, RDI, at)),
        32.. => (0..size as i32).step_by(32).for_each(|at| c.a.stp_q(VT[0], VT[0], RDI, at)),
        16 => c.a.store_v(16, VT[0], Mem::Off(RDI, 0), Order::Plain),
        _ => c.a.store(Width::bytes_of(size), value, Mem::Off(RDI, 0), Order::Plain),
    };
    let element = |c: &mut Ctx| c.store_mem(bytes, gpr(0), Mem::Off(RDI, 0));
    in_blocks(c, bytes, &[RDI], done, piece, element);
}

/// What ends a repeated comparison besides its count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// REPNE.
    Equal,
    /// REPE.
    Different,
}

fn lanes(bytes: u32) -> Arr {
    match bytes {
        1 => Arr::B16,
        2 => Arr::H8,
        4 => Arr::S4,
        _ => Arr::D2,
    }
}

/// T2 = 4 bits for each byte of V0 and `other`: ones where an element ends the comparison.
fn ends(c: &mut Ctx, bytes: u32, until: Until, other: V) {
    c.a.v3(ops::CMEQ, lanes(bytes), VT[0], VT[0], other);
    if until == Until::Different {
        c.a.v2(ops::NOT, Arr::B16, VT[0], VT[0]);
    }
    c.a.vshift(ops::SHRN, Arr::B8, VT[0], VT[0], 4);
    c.a.fmov_to(Size::X, T[2], VT[0]);
}

/// Goes on to the element that T2 shows first, and to the plain loop.
fn go_to_end(c: &mut Ctx, bytes: u32, pointers: &[X], plain: Label) {
    c.a.rbit(Size::X, T[2], T[2]);
    c.a.clz(Size::X, T[2], T[2]);
    c.a.shift_imm(Shift::Lsr, Size::X, T[2], T[2], 2);
    for &p in pointers {
        c.a.alu(Alu::Add, Size::X, p, p, T[2]);
    }
    c.a.alu_shift(Alu::Sub, Size::X, RCX, RCX, T[2], Shift::Lsr, bytes.trailing_zeros());
    c.a.b(plain);
}

/// T3 = steps of 16 bytes after which at least one of RCX elements is left.
fn steps_by_count(c: &mut Ctx, bytes: u32) {
    c.a.alu_imm(Alu::Sub, Size::X, T[3], RCX, 1);
    c.a.shift_imm(Shift::Lsr, Size::X, T[3], T[3], STEP16 - bytes.trailing_zeros());
}

/// The end of a scan's round over 1 << `log2` bytes: to `hit` if T2 says so, else on and to `again`, or to `then` when none of `left` is left.
fn scan_on(c: &mut Ctx, bytes: u32, log2: u32, hit: Label, left: X, again: Label, then: Label) {
    c.a.cbnz(Size::X, T[2], hit);
    advance(c, bytes, 1 << log2, &[RDI]);
    c.a.alu_imm(Alu::Sub, Size::X, left, left, 1);
    c.a.cbnz(Size::X, left, again);
    c.a.b(then);
}

/// REP SCAS for the value in T0, RCX 32 or more: goes on to an element that may be the last, and to the `plain` loop, which is also told the count. All
/// loads are aligned, so that none crosses a page.
pub fn long_scan(c: &mut Ctx, bytes: u32, until: Until, plain: Label) {
    let (ordered, order) = (c.options.ordered, c.order());
    let value = VT[7];
    // V0 = 16 aligned bytes; T1 and T2 are lost.
    let load = |c: &mut Ctx, at: X| {
        if ordered {
            c.a.load(Width::X, T[2], Mem::Off(at, 0), order);
            c.a.load(Width::X, T[1], Mem::Off(at, 8), order);
            c.a.fmov_from(Size::X, VT[0], T[2]);
            c.a.ins_x(3, VT[0], 1, T[1]);
        } else {
            c.a.load_v(16, VT[0], Mem::Off(at, 0), Order::Plain);
        }
    };
    let (count, next, near, one, found) = (c.a.label(), c.a.label(), c.a.label(), c.a.label(), c.a.label());
    c.a.tbnz(STEP, 63, plain);
    if bytes > 1 {
        c.a.alu_imm(Alu::And, Size::X, T[1], RDI, bytes as u64 - 1);
        c.a.cbnz(Size::X, T[1], plain);
    }
    c.a.dup_x(lanes(bytes), value, T[0]);
    // The 16 bytes that the first element lies in; it faults itself where they do.
    c.a.load(Width::bytes_of(bytes), ZR, Mem::Off(RDI, 0), Order::Plain);
    c.a.alu_imm(Alu::And, Size::X, T[1], RDI, !15);
    load(c, T[1]);
    ends(c, bytes, until, value);
    c.a.ubfiz(Size::X, T[3], RDI, 2, 4);
    c.a.shift_reg(Shift::Lsr, Size::X, T[2], T[2], T[3]);
    c.a.cbnz(Size::X, T[2], found);
    c.a.alu(Alu::Orn, Size::X, T[3], ZR, RDI);
    c.a.alu_imm(Alu::And, Size::X, T[3], T[3], 15);
    c.a.alu_imm(Alu::Add, Size::X, T[3], T[3], 1);
    c.a.alu(Alu::Add, Size::X, RDI, RDI, T[3]);
    c.a.alu_shift(Alu::Sub, Size::X, RCX, RCX, T[3], Shift::Lsr, bytes.trailing_zeros());
    c.a.bind(count);
    // The next access may be the first one to its page.
    c.load_mem(bytes, T[1], Mem::Off(RDI, -i64::from(bytes)));
    compared(c, bytes);
    steps_by_count(c, bytes);
    bytes_to_page_end(c, RDI);
    c.a.shift_imm(Shift::Lsr, Size::X, T[1], T[1], STEP16);
    limit(c, T[3]);
    c.a.cbz(Size::X, T[3], plain);
    c.a.bind(next);
    let blocks = c.a.label();
    if !ordered {
        c.a.alu_imm(Alu::And, Size::X, T[4], RDI, (1 << BLOCK) - 1);
        c.a.cbz(Size::X, T[4], blocks);
    }
    c.a.bind(one);
    load(c, RDI);
    ends(c, bytes, until, value);
    scan_on(c, bytes, STEP16, found, T[3], next, count);
    c.a.bind(found);
    go_to_end(c, bytes, &[RDI], plain);
    if ordered {
        return;
    }
    c.a.bind(blocks);
    c.a.shift_imm(Shift::Lsr, Size::X, T[4], T[3], BLOCK - STEP16);
    c.a.cbz(Size::X, T[4], one);
    let block = c.a.label();
    c.a.bind(block);
    c.a.ldp_q(VT[0], VT[1], RDI, 0);
    c.a.ldp_q(VT[2], VT[3], RDI, 32);
    for v in [0, 1, 2, 3] {
        c.a.v3(ops::CMEQ, lanes(bytes), VT[v], VT[v], value);
    }
    let join = if until == Until::Equal { ops::ORR } else { ops::AND };
    for (to, from) in [(0, 1), (2, 3), (0, 2)] {
        c.a.vlogic(join, VT[to], VT[to], VT[from]);
    }
    if until == Until::Different {
        c.a.v2(ops::NOT, Arr::B16, VT[0], VT[0]);
    }
    c.a.v3(ops::UMAXP, Arr::S4, VT[0], VT[0], VT[0]);
    c.a.fmov_to(Size::X, T[2], VT[0]);
    scan_on(c, bytes, BLOCK, near, T[4], block, count);
    // In one of the next four steps, where nobody writes there.
    c.a.bind(near);
    c.a.mov_imm(T[3], 1 << (BLOCK - STEP16));
    c.a.b(one);
}

/// REP CMPS, not in ordered mode, RCX 32 or more: goes on to a pair that may be the last, and to the `plain` loop, which is also told the count; or it
/// ends at `out` as that loop does. `second_first`: the order of a pair's loads; `element` loads a pair into T0 and T1 and advances.
pub fn long_compare(c: &mut Ctx, bytes: u32, until: Until, second_first: bool, plain: Label, out: Label, element: impl Fn(&mut Ctx)) {
    let (round, one, found, single) = (c.a.label(), c.a.label(), c.a.label(), c.a.label());
    c.a.tbnz(STEP, 63, plain);
    c.a.bind(round);
    steps_by_count(c, bytes);
    c.a.cbz(Size::X, T[3], plain);
    for p in [RSI, RDI] {
        bytes_to_page_end(c, p);
        c.a.shift_imm(Shift::Lsr, Size::X, T[1], T[1], STEP16);
        limit(c, T[3]);
    }
    let across = c.a.label();
    c.a.cbz(Size::X, T[3], across);
    c.a.bind(one);
    // Where both fault, the first is told.
    for at in if second_first { [RDI, RSI] } else { [RSI, RDI] } {
        c.a.load_v(16, if at == RSI { VT[0] } else { VT[1] }, Mem::Off(at, 0), Order::Plain);
    }
    ends(c, bytes, until, VT[1]);
    c.a.cbnz(Size::X, T[2], found);
    advance(c, bytes, 1 << STEP16, &[RSI, RDI]);
    c.a.alu_imm(Alu::Sub, Size::X, T[3], T[3], 1);
    c.a.cbnz(Size::X, T[3], one);
    for (d, p) in [(T[0], RSI), (T[1], RDI)] {
        c.load_mem(bytes, d, Mem::Off(p, -i64::from(bytes)));
    }
    compared(c, bytes);
    c.a.b(round);
    // Pair by pair over a boundary; more than these are left.
    c.a.bind(across);
    c.a.mov_imm(T[3], 16 / bytes as u64);
    c.a.bind(single);
    element(c);
    compared(c, bytes);
    c.a.alu_imm(Alu::Sub, Size::X, RCX, RCX, 1);
    c.a.alu(Alu::Eor, Size::X, T[2], T[0], T[1]);
    if until == Until::Equal { c.a.cbz(Size::X, T[2], out) } else { c.a.cbnz(Size::X, T[2], out) }
    c.a.alu_imm(Alu::Sub, Size::X, T[3], T[3], 1);
    c.a.cbnz(Size::X, T[3], single);
    c.a.b(round);
    c.a.bind(found);
    go_to_end(c, bytes, &[RSI, RDI], plain);
}
