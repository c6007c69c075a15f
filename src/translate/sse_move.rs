//! SSE moves: whole registers, scalars, halves, and between general and vector registers.

use super::Row;
use super::context::{Ctx, size_of};
use super::vector::{FIRST, SECOND, immediate};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, ops::*};
use crate::emit::{Alu, Mem, Rmw, Size, Width};
use crate::guest::CpuState;
use std::mem::offset_of;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Movaps, aligned),
        (Movapd, aligned),
        (Movdqa, aligned),
        (Movups, unaligned),
        (Movupd, unaligned),
        (Movdqu, unaligned),
        (Lddqu, unaligned),
        (Movntps, aligned),
        (Movntpd, aligned),
        (Movntdq, aligned),
        (Movntdqa, aligned),
        (Movntq, |c, i| {
            let s = c.read_v(i, 1, 8, SECOND);
            c.write_v(i, 8, s);
            c.mmx_enter();
        }),
        (Movnti, |c, i| {
            let s = c.read(i, 1, T[0]);
            c.write(i, 0, s);
        }),
        (Movss, |c, i| scalar(c, i, 4)),
        (Movsd, |c, i| scalar(c, i, 8)),
        (Movd, |c, i| low(c, i)),
        (Movq, |c, i| low(c, i)),
        (Movlps, |c, i| half(c, i, 0)),
        (Movlpd, |c, i| half(c, i, 0)),
        (Movhps, |c, i| half(c, i, 1)),
        (Movhpd, |c, i| half(c, i, 1)),
        (Movhlps, |c, i| between(c, i, 0, 1)),
        (Movlhps, |c, i| between(c, i, 1, 0)),
        (Movddup, movddup),
        (Movshdup, |c, i| duplicate(c, i, TRN2)),
        (Movsldup, |c, i| duplicate(c, i, TRN1)),
        (Movq2dq, movq2dq),
        (Movdq2q, movdq2q),
        (Maskmovdqu, |c, i| masked(c, i, 16)),
        (Maskmovq, |c, i| masked(c, i, 8)),
        (Pinsrb, |c, i| insert(c, i, 0)),
        (Pinsrw, |c, i| insert(c, i, 1)),
        (Pinsrd, |c, i| insert(c, i, 2)),
        (Pinsrq, |c, i| insert(c, i, 3)),
        (Pextrb, |c, i| extract(c, i, 0)),
        (Pextrw, |c, i| extract(c, i, 1)),
        (Pextrd, |c, i| extract(c, i, 2)),
        (Pextrq, |c, i| extract(c, i, 3)),
        (Extractps, |c, i| extract(c, i, 2)),
        (Emms, |c, _| c.mmx_leave()),
    ]
};

fn aligned(c: &mut Ctx, insn: &Insn) {
    if insn.has_memory() {
        c.check_alignment(insn);
    }
    unaligned(c, insn);
}

fn unaligned(c: &mut Ctx, insn: &Insn) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Xmm(s)) => c.a.vmov(xmm(d), xmm(s)),
        (Op::Xmm(d), Op::Mem) => {
            c.read_v(insn, 1, 16, xmm(d));
        }
        (Op::Mem, Op::Xmm(s)) => c.write_v(insn, 16, xmm(s)),
        _ => c.undefined(insn),
    }
}

/// MOVSS, MOVSD: a load clears the rest, a register move keeps it.
pub fn scalar(c: &mut Ctx, insn: &Insn, bytes: u32) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Xmm(s)) => c.a.ins(bytes.trailing_zeros(), xmm(d), 0, xmm(s), 0),
        (Op::Xmm(d), Op::Mem) => {
            c.read_v(insn, 1, bytes, xmm(d));
        }
        (Op::Mem, Op::Xmm(s)) => c.write_v(insn, bytes, xmm(s)),
        _ => c.undefined(insn),
    }
}

/// MOVD, MOVQ: the low 32 or 64 bits, the rest of a vector register becomes zero.
pub fn low(c: &mut Ctx, insn: &Insn) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Gpr { n, bytes, .. }) => c.a.fmov_from(size_of(bytes as u32), xmm(d), gpr(n)),
        (Op::Xmm(d), Op::Mem) => {
            c.read_v(insn, 1, insn.memory_bytes(), xmm(d));
        }
        (Op::Xmm(d), Op::Xmm(s)) => c.a.vmov64(xmm(d), xmm(s)),
        (Op::Gpr { n, bytes, .. }, Op::Xmm(s)) => c.a.fmov_to(size_of(bytes as u32), gpr(n), xmm(s)),
        (Op::Mem, Op::Xmm(s)) => c.write_v(insn, insn.memory_bytes(), xmm(s)),
        (Op::Mmx(d), Op::Gpr { n, bytes, .. }) => {
            c.a.fmov_from(size_of(bytes as u32), V(0), gpr(n));
            c.write_mmx(d, V(0));
        }
        (Op::Mmx(d), Op::Mem | Op::Mmx(_)) => {
            let s = c.read_v(insn, 1, insn.memory_bytes(), SECOND);
            c.write_mmx(d, s);
        }
        (Op::Gpr { n, bytes, .. }, Op::Mmx(s)) => {
            c.read_mmx(V(0), s);
            c.a.fmov_to(size_of(bytes as u32), gpr(n), V(0));
            c.mmx_enter();
        }
        (Op::Mem, Op::Mmx(s)) => {
            c.read_mmx(V(0), s);
            c.write_v(insn, insn.memory_bytes(), V(0));
            c.mmx_enter();
        }
        _ => c.undefined(insn),
    }
}

/// MOVLPS, MOVHPS and their PD twins: one half from or to memory.
pub fn half(c: &mut Ctx, insn: &Insn, lane: u32) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Mem) => {
            let s = c.read_v(insn, 1, 8, SECOND);
            c.a.ins(3, xmm(d), lane, s, 0);
        }
        (Op::Mem, Op::Xmm(s)) if lane == 0 => c.write_v(insn, 8, xmm(s)),
        (Op::Mem, Op::Xmm(s)) => {
            c.a.dup(Arr::D2, V(0), xmm(s), 1);
            c.write_v(insn, 8, V(0));
        }
        _ => c.undefined(insn),
    }
}

fn between(c: &mut Ctx, insn: &Insn, to: u32, from: u32) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Xmm(s)) => c.a.ins(3, xmm(d), to, xmm(s), from),
        _ => c.undefined(insn),
    }
}

fn movddup(c: &mut Ctx, insn: &Insn) {
    let Op::Xmm(d) = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_v(insn, 1, 8, SECOND);
    c.a.dup(Arr::D2, xmm(d), s, 0);
}

fn duplicate(c: &mut Ctx, insn: &Insn, op: crate::emit::simd::V3) {
    let Op::Xmm(d) = insn.op(0) else { return c.undefined(insn) };
    let s = c.read_aligned(insn, 1, SECOND);
    c.a.v3(op, Arr::S4, xmm(d), s, s);
}

fn movq2dq(c: &mut Ctx, insn: &Insn) {
    let (Op::Xmm(d), Op::Mmx(s)) = (insn.op(0), insn.op(1)) else { return c.undefined(insn) };
    c.read_mmx(xmm(d), s);
    c.mmx_enter();
}

fn movdq2q(c: &mut Ctx, insn: &Insn) {
    let (Op::Mmx(d), Op::Xmm(s)) = (insn.op(0), insn.op(1)) else { return c.undefined(insn) };
    c.write_mmx(d, xmm(s));
}

/// MASKMOVDQU, MASKMOVQ: bytes whose mask byte has its top bit set go to DS:RDI. All or none of them: what lies in two pages is asked for before
/// anything is written. VMASKMOVDQU asks for all bytes, whatever the mask says.
pub fn masked(c: &mut Ctx, insn: &Insn, bytes: u32) {
    // iced names the implied memory operand first.
    let source = c.read_v(insn, 1, 16, FIRST);
    let mask = c.read_v(insn, 2, 16, SECOND);
    let order = c.order();
    let base = destination(c, insn);
    let whole = insn.is_vex();
    let asked = c.a.label();
    let crosses = c.cold(move |c| {
        if whole {
            ask_for_byte(c, base, 0);
            ask_for_byte(c, base, bytes - 1);
        } else {
            for i in 0..bytes {
                let skip = c.a.label();
                c.a.umov(0, T[0], mask, i);
                c.a.tbz(T[0], 7, skip);
                ask_for_byte(c, base, i);
                c.a.bind(skip);
            }
        }
        c.a.b(asked);
    });
    c.a.ubfx(Size::X, T[0], base, 0, 12);
    c.a.alu_imm(Alu::Add, Size::X, T[0], T[0], u64::from(bytes) - 1);
    c.a.tbnz(T[0], 12, crosses);
    if whole {
        ask_for_byte(c, base, 0);
    }
    c.a.bind(asked);
    for i in 0..bytes {
        let skip = c.a.label();
        c.a.umov(0, T[0], mask, i);
        c.a.tbz(T[0], 7, skip);
        c.a.umov(0, T[0], source, i);
        c.a.store(Width::B, T[0], Mem::Off(base, i as i64), order);
        c.a.bind(skip);
    }
    if bytes == 8 {
        c.mmx_enter();
    }
}

/// Faults as a write of the byte at `base` + `at` does, and changes nothing, whoever else may be writing there. Uses T0, T5 and both scratch registers.
fn ask_for_byte(c: &mut Ctx, base: X, at: u32) {
    c.a.alu_imm(Alu::Add, Size::X, T[5], base, u64::from(at));
    c.a.rmw(Rmw::Set, Width::B, T[0], ZR, T[5]);
}

/// A register with the address that RDI and the segment prefix name. Uses T7.
fn destination(c: &mut Ctx, insn: &Insn) -> X {
    let rdi = gpr(7);
    let segment = match insn.memory().segment {
        Some(4) => offset_of!(CpuState, fs_base),
        Some(_) => offset_of!(CpuState, gs_base),
        None if insn.implied_addr32() => {
            c.a.mov(Size::W, T[7], rdi);
            return T[7];
        }
        None => return rdi,
    };
    c.load_field(T[7], segment);
    if insn.implied_addr32() {
        c.a.mov(Size::W, T[6], rdi);
        c.a.alu(Alu::Add, Size::X, T[7], T[7], T[6]);
    } else {
        c.a.alu(Alu::Add, Size::X, T[7], T[7], rdi);
    }
    T[7]
}

fn insert(c: &mut Ctx, insn: &Insn, log2: u32) {
    let r = c.read(insn, 1, T[0]);
    match insn.op(0) {
        Op::Xmm(d) => c.a.ins_x(log2, xmm(d), immediate(insn) & ((16 >> log2) - 1), r),
        Op::Mmx(d) => {
            c.read_mmx(V(0), d);
            c.a.ins_x(log2, V(0), immediate(insn) & ((8 >> log2) - 1), r);
            c.write_mmx(d, V(0));
        }
        _ => c.undefined(insn),
    }
}

pub fn extract(c: &mut Ctx, insn: &Insn, log2: u32) {
    let (s, lanes) = match insn.op(1) {
        Op::Xmm(n) => (xmm(n), 16 >> log2),
        Op::Mmx(n) => {
            c.read_mmx(V(0), n);
            (V(0), 8 >> log2)
        }
        _ => return c.undefined(insn),
    };
    let lane = immediate(insn) & (lanes - 1);
    match insn.op(0) {
        Op::Gpr { n, .. } => c.a.umov(log2, gpr(n), s, lane),
        _ => {
            c.a.umov(log2, T[0], s, lane);
            let mem = c.mem(insn);
            c.store_mem(1 << log2, T[0], mem);
        }
    }
    if let Op::Mmx(_) = insn.op(1) {
        c.mmx_enter();
    }
}

