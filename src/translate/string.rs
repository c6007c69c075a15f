//! String instructions, with and without REP. RCX, RSI and RDI are exact at a fault in every iteration, because they are advanced only after
//! the accesses of one. The flags at a fault are those of the comparison before it, as a Zen 4 leaves them (Intel's manual has them as before the instruction).
//!
//! What repeats often goes over many elements at once: `string_blocks`.

use super::context::{Ctx, size_of};
use super::integer::{Kind, Source, compute};
use super::string_blocks::{Until, branch_if_long, long_compare, long_moves, long_scan, long_stores};
use super::{CodeRow, Row};
use crate::decode::{Code, Insn, Mnemonic, Op, Register};
use crate::emit::regs::*;
use crate::emit::{Alu, Label, Mem, Shift, Size};
use crate::guest::CpuState;
use crate::optimize::Opt;
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
pub const CODE_ROWS: &[CodeRow] = &[(Mnemonic::Movsd, Code::Movsd_m32_m32, movs), (Mnemonic::Cmpsd, Code::Cmpsd_m32_m32, cmps)];

pub(super) const RCX: X = gpr(1);
pub(super) const RSI: X = gpr(6);
pub(super) const RDI: X = gpr(7);
/// Signed distance to the next element, through the whole instruction.
pub(super) const STEP: X = T[6];
/// Base of the source's segment, if it has one, through the whole instruction.
const BASE: X = T[5];

#[derive(Clone, Copy)]
struct Form {
    bytes: u32,
    /// Width of RCX, RSI and RDI: 32 bits with an address size prefix.
    size: Size,
    segment: Option<u8>,
    rep: bool,
}

impl Form {
    /// May elements be taken together? Only with 64-bit registers and no segment.
    fn may_be_long(&self, c: &Ctx) -> bool {
        self.size == Size::X && self.segment.is_none() && c.options.switches.on(Opt::StringBlocks)
    }
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
    load_base(c, &form);
    form
}

/// Loads BASE, which comparing takes.
fn load_base(c: &mut Ctx, f: &Form) {
    match f.segment {
        Some(4) => c.load_field(BASE, offset_of!(CpuState, fs_base)),
        Some(_) => c.load_field(BASE, offset_of!(CpuState, gs_base)),
        None => {}
    }
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
    if f.may_be_long(c) {
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
        branch_if_long(c, 16, long);
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
        branch_if_long(c, 16, long);
    });
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
    // A segment prefix has no effect here.
    let f = Form { segment: None, ..f };
    let element = move |c: &mut Ctx| {
        let at = destination(c, &f);
        c.load_mem(f.bytes, T[1], at);
        advance(c, &f, RDI);
    };
    comparing(c, insn, f, element, Some(move |c: &mut Ctx, until, plain, _| long_scan(c, f.bytes, until, plain)));
}

fn cmps(c: &mut Ctx, insn: &Insn) {
    let f = begin(c, insn);
    let second_first = insn.compares_second_first();
    let element = move |c: &mut Ctx| {
        let second = |c: &mut Ctx| {
            let at = destination(c, &f);
            c.load_mem(f.bytes, T[1], at);
        };
        if !second_first {
            load_source(c, &f, T[0]);
            second(c);
        } else {
            second(c);
            load_source(c, &f, T[0]);
        }
        advance(c, &f, RSI);
        advance(c, &f, RDI);
    };
    // In ordered mode the two strings' elements alternate for others too.
    let long = (!c.options.ordered).then_some(move |c: &mut Ctx, until, plain, out| long_compare(c, f.bytes, until, second_first, plain, out, element));
    comparing(c, insn, f, element, long);
}

/// Sets the flags by the elements in T0 and T1, the carry canonical. Uses T4, T5.
pub(super) fn compared(c: &mut Ctx, bytes: u32) {
    let live = c.live;
    if live != 0 {
        compute(c, Kind::Sub, bytes, ZR, T[0], Source::Reg(T[1]));
        c.canonical_carry(live);
    }
}

/// Loads elements into T0 and T1 as long as the prefix says, and sets the flags by each pair. `long` may skip elements that do not end
/// it: it gets what does, and the labels of the plain loop and of its end.
fn comparing(c: &mut Ctx, insn: &Insn, f: Form, element: impl Fn(&mut Ctx), long: Option<impl FnOnce(&mut Ctx, Until, Label, Label) + Send + 'static>) {
    if !f.rep {
        element(c);
        return compared(c, f.bytes);
    }
    // A count of zero leaves the flags alone: both ways must agree on the carry's polarity.
    let live = c.live;
    c.canonical_carry(live);
    let (top, done) = (c.a.label(), c.a.label());
    let until = if insn.raw.has_repne_prefix() { Until::Equal } else { Until::Different };
    c.a.cbz(f.size, RCX, done);
    if let Some(long) = long.filter(|_| f.may_be_long(c)) {
        let long = c.cold(move |c| long(c, until, top, done));
        branch_if_long(c, 32, long);
    }
    c.a.bind(top);
    element(c);
    compared(c, f.bytes);
    load_base(c, &f);
    count_down(c, &f);
    c.a.cbz(f.size, RCX, done);
    let size = size_of(f.bytes);
    c.a.alu(Alu::Eor, size, T[2], T[0], T[1]);
    if until == Until::Equal { c.a.cbnz(size, T[2], top) } else { c.a.cbz(size, T[2], top) }
    c.a.bind(done);
}
