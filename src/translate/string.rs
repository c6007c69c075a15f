//! String instructions, with and without REP. RCX, RSI and RDI are exact at a fault in every iteration, because they are advanced only after
//! the accesses of one; flags are set once, after the last.
//!
//! REP MOVS and REP STOS that go forward over 128 bytes or more run in blocks. A block never crosses a page of either side, so it
//! faults at its first byte or not at all, and the registers are exact there too. In ordered mode the stores of one such instruction may
//! pass each other, as the processor's own fast strings do (SDM vol. 3, 9.2.4); barriers order them after what came before, and blocks are
//! used only where each element keeps its single-copy atomicity.

use super::context::{Ctx, size_of};
use super::integer::{Kind, Source, compute};
use super::{CodeRow, Row};
use crate::decode::{Code, Insn, Mnemonic, Op, Register};
use crate::emit::regs::*;
use crate::emit::{Alu, Label, Mem, Shift, Size};
use crate::guest::CpuState;
use std::mem::offset_of;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Movsb, movs),
        (Movsw, movs),
        (Movsq, movs),
        (Stosb, stos),
        (Stosw, stos),
        (Stosd, stos),
        (Stosq, stos),
        (Lodsb, lods),
        (Lodsw, lods),
        (Lodsd, lods),
        (Lodsq, lods),
        (Scasb, scas),
        (Scasw, scas),
        (Scasd, scas),
        (Scasq, scas),
        (Cmpsb, cmps),
        (Cmpsw, cmps),
        (Cmpsq, cmps),
    ]
};

/// Forms whose mnemonic is also an SSE2 instruction's.
pub const CODE_ROWS: &[CodeRow] = &[(Code::Movsd_m32_m32, movs), (Code::Cmpsd_m32_m32, cmps)];

const RCX: X = gpr(1);
const RSI: X = gpr(6);
const RDI: X = gpr(7);
/// Signed distance to the next element, through the whole instruction.
const STEP: X = T[6];
/// Base of the source's segment, if it has one, through the whole instruction.
const BASE: X = T[5];

/// Bytes of a block, and what an instruction must move to be worth it.
const BLOCK: u32 = 64;
const LONG: u32 = 128;

struct Form {
    bytes: u32,
    /// Width of RCX, RSI and RDI: 32 bits with an address size prefix.
    size: Size,
    segment: Option<u8>,
    rep: bool,
}

/// Reads the form, and loads STEP and BASE.
fn begin(c: &mut Ctx, insn: &Insn) -> Form {
    let segment = match insn.raw.segment_prefix() {
        Register::FS => Some(4),
        Register::GS => Some(5),
        _ => None,
    };
    let form = Form {
        bytes: insn.memory_bytes(),
        size: if insn.implied_addr32() { Size::W } else { Size::X },
        segment,
        rep: insn.raw.has_rep_prefix() || insn.raw.has_repne_prefix(),
    };
    c.load_field(T[0], offset_of!(CpuState, df));
    c.a.mov_imm(STEP, form.bytes as u64);
    c.a.alu_shift(Alu::Sub, Size::X, STEP, STEP, T[0], Shift::Lsl, form.bytes.trailing_zeros() + 1);
    match form.segment {
        Some(4) => c.load_field(BASE, offset_of!(CpuState, fs_base)),
        Some(_) => c.load_field(BASE, offset_of!(CpuState, gs_base)),
        None => {}
    }
    form
}

fn load_source(c: &mut Ctx, f: &Form, d: X) {
    let mut at = RSI;
    if f.size == Size::W {
        at = T[4];
        c.a.mov(Size::W, at, RSI);
    }
    let mem = if f.segment.is_some() { Mem::Idx(at, BASE, 0) } else { Mem::Off(at, 0) };
    c.load_mem(f.bytes, d, mem);
}

/// The destination: always ES, whose base is zero.
fn destination(c: &mut Ctx, f: &Form) -> Mem {
    if f.size == Size::W {
        c.a.mov(Size::W, T[7], RDI);
        return Mem::Off(T[7], 0);
    }
    Mem::Off(RDI, 0)
}

fn advance(c: &mut Ctx, f: &Form, r: X) {
    c.a.alu(Alu::Add, f.size, r, r, STEP);
}

fn count_down(c: &mut Ctx, f: &Form) {
    c.a.alu_imm(Alu::Sub, f.size, RCX, RCX, 1);
}

/// Runs `element` once, or with REP until RCX is zero. `long` may put a faster way out of line; it gets the labels of the plain loop and of the end.
fn repeat(c: &mut Ctx, f: &Form, element: impl Fn(&mut Ctx), long: impl FnOnce(&mut Ctx, Label, Label)) {
    if !f.rep {
        return element(c);
    }
    let (top, done) = (c.a.label(), c.a.label());
    c.a.cbz(f.size, RCX, done);
    if f.size == Size::X && f.segment.is_none() {
        long(c, top, done);
    }
    c.a.bind(top);
    element(c);
    count_down(c, f);
    c.a.cbnz(f.size, RCX, top);
    c.a.bind(done);
}

fn movs(c: &mut Ctx, insn: &Insn) {
    let f = begin(c, insn);
    let element = |c: &mut Ctx| {
        load_source(c, &f, T[0]);
        let to = destination(c, &f);
        c.store_mem(f.bytes, T[0], to);
        advance(c, &f, RSI);
        advance(c, &f, RDI);
    };
    let bytes = f.bytes;
    repeat(c, &f, element, |c, top, done| {
        let long = c.cold(move |c| long_moves(c, bytes, top, done));
        branch_if_long(c, bytes, long);
    });
}

fn stos(c: &mut Ctx, insn: &Insn) {
    let f = begin(c, insn);
    let element = |c: &mut Ctx| {
        let to = destination(c, &f);
        c.store_mem(f.bytes, gpr(0), to);
        advance(c, &f, RDI);
    };
    let bytes = f.bytes;
    // A segment prefix has no effect here.
    let f = Form { segment: None, ..f };
    repeat(c, &f, element, |c, top, done| {
        let long = c.cold(move |c| long_stores(c, bytes, top, done));
        branch_if_long(c, bytes, long);
    });
}

fn branch_if_long(c: &mut Ctx, bytes: u32, long: Label) {
    c.a.shift_imm(Shift::Lsr, Size::X, T[0], RCX, (LONG / bytes).trailing_zeros());
    c.a.cbnz(Size::X, T[0], long);
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
        c.a.dmb_ish();
    }
}

/// T0 = min(T0, bytes up to the end of `p`'s page). No flags: the guest's are live. Uses T1.
fn limit_to_page(c: &mut Ctx, p: X) {
    c.a.alu(Alu::Orn, Size::X, T[1], ZR, p);
    c.a.alu_imm(Alu::And, Size::X, T[1], T[1], crate::guest::addr::PAGE_SIZE - 1);
    c.a.alu_imm(Alu::Add, Size::X, T[1], T[1], 1);
    c.a.alu(Alu::Sub, Size::X, T[0], T[0], T[1]);
    c.a.alu_shift(Alu::And, Size::X, T[0], T[0], T[0], Shift::Asr, 63);
    c.a.alu(Alu::Add, Size::X, T[0], T[0], T[1]);
}

/// Goes over RCX elements: in each round up to the next page boundary of any pointer, in blocks, then single elements up to
/// the boundary (at least one: it may lie across). Uses T0, T1, T4; `block` and `element` may use T1, T2, T3, T7.
fn in_blocks(c: &mut Ctx, bytes: u32, pointers: &[X], done: Label, block: impl Fn(&mut Ctx), element: impl Fn(&mut Ctx)) {
    let log2 = bytes.trailing_zeros();
    let (round, blocks, single, next) = (c.a.label(), c.a.label(), c.a.label(), c.a.label());
    c.a.bind(round);
    c.a.shift_imm(Shift::Lsl, Size::X, T[0], RCX, log2);
    for &p in pointers {
        limit_to_page(c, p);
    }
    c.a.shift_imm(Shift::Lsr, Size::X, T[4], T[0], BLOCK.trailing_zeros());
    let rest = c.a.label();
    c.a.cbz(Size::X, T[4], rest);
    c.a.bind(blocks);
    block(c);
    for &p in pointers {
        c.a.alu_imm(Alu::Add, Size::X, p, p, BLOCK as u64);
    }
    c.a.alu_imm(Alu::Sub, Size::X, RCX, RCX, (BLOCK / bytes) as u64);
    c.a.alu_imm(Alu::Sub, Size::X, T[4], T[4], 1);
    c.a.cbnz(Size::X, T[4], blocks);
    c.a.bind(rest);
    c.a.ubfx(Size::X, T[4], T[0], log2, BLOCK.trailing_zeros() - log2);
    c.a.cbnz(Size::X, T[4], single);
    // Nothing left up to the boundary after blocks; or an element lies across it.
    c.a.alu_imm(Alu::And, Size::X, T[0], T[0], bytes as u64 - 1);
    if bytes > 1 {
        let across = c.a.label();
        c.a.cbnz(Size::X, T[0], across);
        c.a.b(next);
        c.a.bind(across);
        c.a.mov_imm(T[4], 1);
    } else {
        c.a.b(next);
    }
    c.a.bind(single);
    element(c);
    c.a.alu_imm(Alu::Sub, Size::X, RCX, RCX, 1);
    c.a.alu_imm(Alu::Sub, Size::X, T[4], T[4], 1);
    c.a.cbnz(Size::X, T[4], single);
    c.a.bind(next);
    c.a.cbnz(Size::X, RCX, round);
    c.a.b(done);
}

fn long_moves(c: &mut Ctx, bytes: u32, plain: Label, done: Label) {
    // A destination less than a block above the source would read what it has just written.
    c.a.alu(Alu::Sub, Size::X, T[0], RDI, RSI);
    c.a.shift_imm(Shift::Lsr, Size::X, T[0], T[0], BLOCK.trailing_zeros());
    c.a.cbz(Size::X, T[0], plain);
    check_blocks(c, bytes, &[RSI, RDI], plain);
    let ordered = c.options.ordered;
    let block = |c: &mut Ctx| {
        if ordered {
            // Pairs of general registers: each 8 aligned bytes are one access.
            for at in [0, 32] {
                c.a.ldp(T[1], T[2], RSI, at);
                c.a.ldp(T[3], T[7], RSI, at + 16);
                c.a.dmb_ishld();
                c.a.stp(T[1], T[2], RDI, at);
                c.a.stp(T[3], T[7], RDI, at + 16);
            }
            return;
        }
        c.a.ldp_q(VT[0], VT[1], RSI, 0);
        c.a.ldp_q(VT[2], VT[3], RSI, 32);
        c.a.stp_q(VT[0], VT[1], RDI, 0);
        c.a.stp_q(VT[2], VT[3], RDI, 32);
    };
    let f = Form { bytes, size: Size::X, segment: None, rep: true };
    let element = |c: &mut Ctx| {
        c.load_mem(bytes, T[2], Mem::Off(RSI, 0));
        c.store_mem(bytes, T[2], Mem::Off(RDI, 0));
        advance(c, &f, RSI);
        advance(c, &f, RDI);
    };
    in_blocks(c, bytes, &[RSI, RDI], done, block, element);
}

fn long_stores(c: &mut Ctx, bytes: u32, plain: Label, done: Label) {
    check_blocks(c, bytes, &[RDI], plain);
    // The value repeated over 8 bytes.
    let value = T[3];
    c.a.zext(bytes, value, gpr(0));
    for shift in [8, 16, 32].into_iter().filter(|s| s / 8 >= bytes) {
        c.a.alu_shift(Alu::Orr, Size::X, value, value, value, Shift::Lsl, shift);
    }
    let block = |c: &mut Ctx| {
        for at in [0, 16, 32, 48] {
            c.a.stp(value, value, RDI, at);
        }
    };
    let f = Form { bytes, size: Size::X, segment: None, rep: true };
    let element = |c: &mut Ctx| {
        c.store_mem(bytes, gpr(0), Mem::Off(RDI, 0));
        advance(c, &f, RDI);
    };
    in_blocks(c, bytes, &[RDI], done, block, element);
}

fn lods(c: &mut Ctx, insn: &Insn) {
    let f = begin(c, insn);
    let element = |c: &mut Ctx| {
        load_source(c, &f, T[0]);
        c.write_gpr(Op::Gpr { n: 0, bytes: f.bytes as u8, high: false }, T[0]);
        advance(c, &f, RSI);
    };
    repeat(c, &f, element, |_, _, _| {});
}

fn scas(c: &mut Ctx, insn: &Insn) {
    let f = begin(c, insn);
    // T0: the accumulator, zero-extended as the element is.
    c.a.zext(f.bytes, T[0], gpr(0));
    let element = |c: &mut Ctx| {
        let at = destination(c, &f);
        c.load_mem(f.bytes, T[1], at);
        advance(c, &f, RDI);
    };
    comparing(c, insn, &f, element);
}

fn cmps(c: &mut Ctx, insn: &Insn) {
    let f = begin(c, insn);
    let element = |c: &mut Ctx| {
        let second = |c: &mut Ctx| {
            let at = destination(c, &f);
            c.load_mem(f.bytes, T[1], at);
        };
        if !insn.compares_second_first() {
            load_source(c, &f, T[0]);
            second(c);
        } else {
            second(c);
            load_source(c, &f, T[0]);
        }
        advance(c, &f, RSI);
        advance(c, &f, RDI);
    };
    comparing(c, insn, &f, element);
}

/// Loads elements into T0 and T1 as long as the prefix says, then sets the flags of the last comparison.
fn comparing(c: &mut Ctx, insn: &Insn, f: &Form, element: impl Fn(&mut Ctx)) {
    let flags = |c: &mut Ctx| {
        if c.live != 0 {
            compute(c, Kind::Sub, f.bytes, ZR, T[0], Source::Reg(T[1]));
        }
    };
    if !f.rep {
        element(c);
        return flags(c);
    }
    // A count of zero leaves the flags alone: both ways must agree on the carry's polarity, which is the comparison's own.
    let live = c.live;
    c.canonical_carry(live);
    let (top, out, done) = (c.a.label(), c.a.label(), c.a.label());
    c.a.cbz(f.size, RCX, done);
    c.a.bind(top);
    element(c);
    count_down(c, f);
    c.a.cbz(f.size, RCX, out);
    let size = size_of(f.bytes);
    c.a.alu(Alu::Eor, size, T[2], T[0], T[1]);
    if insn.raw.has_repne_prefix() { c.a.cbnz(size, T[2], top) } else { c.a.cbz(size, T[2], top) }
    c.a.bind(out);
    flags(c);
    c.canonical_carry(live);
    c.a.bind(done);
}
