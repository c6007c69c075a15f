//! LOCK'ed operations, XCHG, CMPXCHG, CMPXCHG8B/16B and XADD.
//!
//! In ordered mode each is one host read-modify-write (a compare-and-swap loop where the host has none of its kind), which is also the
//! full barrier that x86's LOCK is. In relaxed mode nobody else sees memory: plain accesses. At a site that was seen misaligned the address
//! decides: see [`misaligned`].

use super::Row;
use super::context::{Carry, Ctx, exception, size_of};
use super::integer::{Kind, Source, compute, source, step_flags};
use crate::decode::{CF, Insn, Mnemonic, OF, Op, SF, ZF};
use crate::emit::regs::*;
use crate::emit::{Alu, Mem, Order, Rmw, Shift, Size, Width};
use crate::guest::CpuState;
use std::mem::offset_of;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[(Xchg, xchg), (Xadd, xadd), (Cmpxchg, cmpxchg), (Cmpxchg8b, cmpxchg8b), (Cmpxchg16b, cmpxchg16b)]
};

/// How LOCK'ed accesses of the current instruction are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Means {
    /// Plain accesses: nobody else sees memory, or all others stand still.
    Plain,
    /// The host's own.
    Atomic,
    /// The host's own where the address allows, else [`misaligned`].
    ByAddress,
}

fn means(c: &Ctx, bytes: u32) -> Means {
    match c.order() {
        Order::Plain => Means::Plain,
        Order::TsoMisaligned if bytes > 1 => Means::ByAddress,
        _ => Means::Atomic,
    }
}

/// Field of the state where the images of 16 bytes lie: before, and as they are to become.
const IMAGES: usize = offset_of!(CpuState, scratch);
/// Field for an operand that outlives T2 to T6.
const KEPT: usize = IMAGES + 32;

/// The same access where the address may be anything: `aligned` for a multiple of `bytes`. What lies within 16 aligned bytes is replaced together
/// with its neighbours by one compare-and-swap of all of them. What does not leaves for the engine, which runs the instruction alone while all
/// other threads stand still ([`SPLIT_LOCK`](exception::SPLIT_LOCK)). `new` as for [`replace`]; old value in T0; uses T2 to T6. T1 and T7 stay.
fn misaligned(c: &mut Ctx, bytes: u32, n: X, aligned: impl Fn(&mut Ctx), new: impl Fn(&mut Ctx, X, X)) {
    let (again, other, done) = (c.a.label(), c.a.label(), c.a.label());
    let split = c.cold(|c| c.raise(exception::SPLIT_LOCK));
    let width = Width::bytes_of(bytes);
    // S1 = the images, T6 = the operand in the one before.
    let images = |c: &mut Ctx| {
        c.a.lea(S1, Mem::Off(STATE, IMAGES as i64));
        c.a.alu_imm(Alu::And, Size::X, T[6], n, 15);
        c.a.alu(Alu::Add, Size::X, T[6], S1, T[6]);
    };
    c.a.alu_imm(Alu::And, Size::X, T[4], n, bytes as u64 - 1);
    c.a.cbnz(Size::X, T[4], other);
    aligned(c);
    c.a.b(done);
    c.a.bind(other);
    c.a.alu_imm(Alu::And, Size::X, T[4], n, 15);
    c.a.alu_imm(Alu::Add, Size::X, T[4], T[4], bytes as u64 - 1);
    c.a.tbnz(T[4], 4, split);
    c.a.bind(again);
    images(c);
    c.a.alu_imm(Alu::And, Size::X, T[0], n, !15);
    // Torn or not: the swap tells whether all of it is there at once.
    c.a.ldp(T[4], T[5], T[0], 0);
    c.a.stp(T[4], T[5], S1, 0);
    c.a.stp(T[4], T[5], S1, 16);
    c.a.load(width, T[0], Mem::Off(T[6], 0), Order::Plain);
    new(c, T[2], T[0]);
    images(c);
    c.a.store(width, T[2], Mem::Off(T[6], 16), Order::Plain);
    c.a.ldp(T[2], T[3], S1, 0);
    c.a.ldp(T[4], T[5], S1, 16);
    c.a.alu_imm(Alu::And, Size::X, T[0], n, !15);
    c.a.cas_pair((T[2], T[3]), (T[4], T[5]), T[0], T[6]);
    images(c);
    c.a.ldp(T[4], T[5], S1, 0);
    c.a.alu(Alu::Eor, Size::X, T[4], T[4], T[2]);
    c.a.alu(Alu::Eor, Size::X, T[5], T[5], T[3]);
    c.a.alu(Alu::Orr, Size::X, T[4], T[4], T[5]);
    c.a.cbnz(Size::X, T[4], again);
    c.a.load(width, T[0], Mem::Off(T[6], 0), Order::Plain);
    c.a.bind(done);
}

/// Replaces the `bytes` at `n` by what `new` computes (arguments: destination, old value), and leaves the old value in T0. `new` may use
/// T3 to T6 and must read NZCV only. Uses T2 to T6.
fn replace(c: &mut Ctx, bytes: u32, n: X, new: impl Fn(&mut Ctx, X, X) + Copy) {
    match means(c, bytes) {
        Means::Plain => {
            c.load_mem(bytes, T[0], Mem::Off(n, 0));
            new(c, T[2], T[0]);
            c.store_mem(bytes, T[2], Mem::Off(n, 0));
        }
        Means::Atomic => replace_aligned(c, bytes, n, new),
        Means::ByAddress => misaligned(c, bytes, n, |c| replace_aligned(c, bytes, n, new), new),
    }
}

fn replace_aligned(c: &mut Ctx, bytes: u32, n: X, new: impl Fn(&mut Ctx, X, X)) {
    let width = Width::bytes_of(bytes);
    c.a.load(width, T[0], Mem::Off(n, 0), Order::Tso);
    let (again, done) = (c.a.label(), c.a.label());
    c.a.bind(again);
    new(c, T[2], T[0]);
    c.a.mov(Size::X, T[3], T[0]);
    c.a.cas(width, T[3], T[2], n);
    c.a.alu(Alu::Eor, Size::X, T[2], T[3], T[0]);
    c.a.cbz(Size::X, T[2], done);
    c.a.mov(Size::X, T[0], T[3]);
    c.a.b(again);
    c.a.bind(done);
}

/// `[n] = [n] op s` with the old value in T0. Uses T2 to T6.
fn rmw(c: &mut Ctx, rmw: Rmw, bytes: u32, s: X, n: X) {
    let native = |c: &mut Ctx| c.a.rmw(rmw, Width::bytes_of(bytes), T[0], s, n);
    let new = |c: &mut Ctx, d: X, old: X, s: X| match rmw {
        Rmw::Add => c.a.alu(Alu::Add, Size::X, d, old, s),
        Rmw::Clear => c.a.alu(Alu::Bic, Size::X, d, old, s),
        Rmw::Xor => c.a.alu(Alu::Eor, Size::X, d, old, s),
        Rmw::Set => c.a.alu(Alu::Orr, Size::X, d, old, s),
        Rmw::Swap => c.a.mov(Size::X, d, s),
    };
    match means(c, bytes) {
        Means::Plain => {
            c.load_mem(bytes, T[0], Mem::Off(n, 0));
            if rmw == Rmw::Swap {
                return c.store_mem(bytes, s, Mem::Off(n, 0));
            }
            new(c, T[2], T[0], s);
            c.store_mem(bytes, T[2], Mem::Off(n, 0));
        }
        Means::Atomic => native(c),
        Means::ByAddress => {
            // It may lie in T3.
            c.store_field(s, KEPT);
            misaligned(c, bytes, n, native, |c, d, old| {
                c.load_field(T[3], KEPT);
                new(c, d, old, T[3]);
            });
        }
    }
}

/// The same for a bit operation of another family.
pub fn locked_bits(c: &mut Ctx, op: Rmw, bytes: u32, mask: X, n: X) {
    rmw(c, op, bytes, mask, n);
}

/// LOCK ADD, SUB, ADC, SBB, AND, OR, XOR.
pub fn locked(c: &mut Ctx, insn: &Insn, kind: Kind) {
    let bytes = insn.bytes(0);
    let b = source(c, insn, 1, T[1]);
    let n = c.mem_in_register(insn);
    if matches!(kind, Kind::Adc | Kind::Sbb) {
        c.carry_to(if kind == Kind::Adc { Carry::Direct } else { Carry::Inverted }, CF);
        replace(c, bytes, n, |c, d, old| {
            let b = match b {
                Source::Reg(m) => m,
                Source::Imm(v) => {
                    c.a.constant(T[5], v);
                    T[5]
                }
            };
            if kind == Kind::Adc { c.a.adc(Size::X, d, old, b) } else { c.a.sbc(Size::X, d, old, b) }
        });
    } else {
        let s = operand(c, kind, b);
        let op = match kind {
            Kind::And => Rmw::Clear,
            Kind::Or => Rmw::Set,
            Kind::Xor => Rmw::Xor,
            _ => Rmw::Add,
        };
        rmw(c, op, bytes, s, n);
    }
    if c.live != 0 {
        compute(c, kind, bytes, ZR, T[0], b);
    }
}

/// The operand as the host's atomic wants it: negated for SUB, inverted for AND. In T3 unless it is a register as it stands.
fn operand(c: &mut Ctx, kind: Kind, b: Source) -> X {
    let d = T[3];
    match (kind, b) {
        (Kind::Sub, Source::Reg(m)) => c.a.alu(Alu::Sub, Size::X, d, ZR, m),
        (Kind::Sub, Source::Imm(v)) => c.a.constant(d, v.wrapping_neg()),
        (Kind::And, Source::Reg(m)) => c.a.alu(Alu::Orn, Size::X, d, ZR, m),
        (Kind::And, Source::Imm(v)) => c.a.constant(d, !v),
        (_, Source::Reg(m)) => return m,
        (_, Source::Imm(v)) => c.a.constant(d, v),
    }
    d
}

/// LOCK INC, DEC.
pub fn locked_step(c: &mut Ctx, insn: &Insn, kind: Kind) {
    let bytes = insn.bytes(0);
    let n = c.mem_in_register(insn);
    c.a.constant(T[1], if kind == Kind::Add { 1 } else { u64::MAX });
    rmw(c, Rmw::Add, bytes, T[1], n);
    if c.live != 0 {
        step_flags(c, kind, bytes, T[2], T[0]);
    }
}

/// LOCK NEG.
pub fn locked_neg(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let n = c.mem_in_register(insn);
    replace(c, bytes, n, |c, d, old| c.a.alu(Alu::Sub, Size::X, d, ZR, old));
    if c.live != 0 {
        compute(c, Kind::Sub, bytes, ZR, ZR, Source::Reg(T[0]));
    }
}

/// LOCK NOT.
pub fn locked_not(c: &mut Ctx, insn: &Insn) {
    let n = c.mem_in_register(insn);
    c.a.constant(T[1], u64::MAX);
    rmw(c, Rmw::Xor, insn.bytes(0), T[1], n);
}

/// XCHG: with memory always as if LOCK'ed.
fn xchg(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    if insn.has_memory() {
        let (mem, reg) = if insn.op(0) == Op::Mem { (0, 1) } else { (1, 0) };
        let bytes = insn.bytes(mem);
        let s = c.read(insn, reg, T[1]);
        let n = c.mem_in_register(insn);
        rmw(c, Rmw::Swap, bytes, s, n);
        c.write_gpr(insn.op(reg), T[0]);
        return;
    }
    let (a, b) = (insn.op(0), insn.op(1));
    let va = c.read(insn, 0, T[0]);
    c.a.mov(Size::X, T[0], va);
    let vb = c.read(insn, 1, T[1]);
    if bytes < 4 {
        c.a.mov(Size::X, T[1], vb);
        c.write_gpr(a, T[1]);
    } else {
        c.write_gpr(a, vb);
    }
    c.write_gpr(b, T[0]);
}

fn xadd(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let (dest, src) = (insn.op(0), insn.op(1));
    if dest == Op::Mem {
        let s = c.read(insn, 1, T[1]);
        let n = c.mem_in_register(insn);
        rmw(c, Rmw::Add, bytes, s, n);
        if c.live != 0 {
            compute(c, Kind::Add, bytes, ZR, T[0], Source::Reg(s));
        }
        c.write_gpr(src, T[0]);
        return;
    }
    let a = c.read(insn, 0, T[0]);
    let b = c.read(insn, 1, T[1]);
    compute(c, Kind::Add, bytes, T[2], a, Source::Reg(b));
    c.a.mov(Size::X, T[3], a);
    c.write_gpr(src, T[3]);
    // Last: where both are the same register the sum stays.
    c.write_gpr(dest, T[2]);
}

/// The accumulator takes `value` where it differs (ZF clear). Equal ones change nothing: a 32-bit accumulator keeps its upper half then.
fn load_accumulator(c: &mut Ctx, bytes: u32, value: X) {
    let acc = gpr(0);
    if bytes == 4 {
        let same = c.a.label();
        c.a.alu(Alu::Eor, Size::W, T[3], acc, value);
        c.a.cbz(Size::W, T[3], same);
        c.a.mov(Size::W, acc, value);
        c.a.bind(same);
    } else {
        c.write_gpr(Op::Gpr { n: 0, bytes: bytes as u8, high: false }, value);
    }
}

fn cmpxchg(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let (size, acc) = (size_of(bytes), gpr(0));
    let src = c.read(insn, 1, T[1]);
    if insn.op(0) == Op::Mem {
        let n = c.mem_in_register(insn);
        let native = |c: &mut Ctx| {
            c.a.mov(Size::X, T[0], acc);
            c.a.cas(Width::bytes_of(bytes), T[0], src, n);
        };
        // Memory is written in any case, if need be with what it holds: it must be writable.
        let new = |c: &mut Ctx, d: X, old: X| {
            let differs = c.a.label();
            c.a.mov(Size::X, d, old);
            unequal(c, bytes, T[3], old, acc);
            c.a.cbnz(size, T[3], differs);
            c.a.mov(Size::X, d, src);
            c.a.bind(differs);
        };
        match means(c, bytes) {
            Means::Plain => replace(c, bytes, n, new),
            Means::Atomic => native(c),
            Means::ByAddress => misaligned(c, bytes, n, native, new),
        }
        compare(c, bytes, T[0]);
        return load_accumulator(c, bytes, T[0]);
    }
    // Registers: the destination is written only where the comparison succeeds, the accumulator only where it fails.
    let old = c.read(insn, 0, T[0]);
    c.a.mov(Size::X, T[0], old);
    c.a.mov(Size::X, T[1], src);
    unequal(c, bytes, T[2], T[0], acc);
    compare(c, bytes, T[0]);
    let (differs, done) = (c.a.label(), c.a.label());
    c.a.cbnz(size, T[2], differs);
    c.write_gpr(insn.op(0), T[1]);
    c.a.b(done);
    c.a.bind(differs);
    c.write_gpr(Op::Gpr { n: 0, bytes: bytes as u8, high: false }, T[0]);
    c.a.bind(done);
}

/// `d` = zero if the low bytes of a and b agree (in the operand's size).
fn unequal(c: &mut Ctx, bytes: u32, d: X, a: X, b: X) {
    c.a.alu(Alu::Eor, size_of(bytes), d, a, b);
    if bytes < 4 {
        c.a.zext(bytes, d, d);
    }
}

/// Flags of CMP accumulator, `value`.
fn compare(c: &mut Ctx, bytes: u32, value: X) {
    if c.live != 0 {
        compute(c, Kind::Sub, bytes, ZR, gpr(0), Source::Reg(value));
    }
}

/// ZF = (r == 0); the other flags stay. Uses T5, T6.
pub fn write_zf(c: &mut Ctx, r: X) {
    if !c.needs(ZF) {
        return;
    }
    if !c.needs(CF | SF | OF) {
        c.a.alu(Alu::Ands, Size::X, ZR, r, r);
        c.carry = Carry::Direct;
        return;
    }
    c.a.clz(Size::X, T[5], r);
    c.a.shift_imm(Shift::Lsr, Size::X, T[5], T[5], 6);
    c.a.read_nzcv(T[6]);
    c.a.bfi(Size::X, T[6], T[5], 30, 1);
    c.a.write_nzcv(T[6]);
}

fn cmpxchg8b(c: &mut Ctx, insn: &Insn) {
    let n = c.mem_in_register(insn);
    // T0: expected, then what memory holds. T2: expected. T1: new.
    c.a.mov(Size::W, T[0], gpr(0));
    c.a.bfi(Size::X, T[0], gpr(2), 32, 32);
    c.a.mov(Size::W, T[1], gpr(3));
    c.a.bfi(Size::X, T[1], gpr(1), 32, 32);
    let native = |c: &mut Ctx| c.a.cas(Width::X, T[0], T[1], n);
    match means(c, 8) {
        Means::Atomic => {
            c.a.mov(Size::X, T[2], T[0]);
            native(c);
        }
        how => {
            c.store_field(T[0], KEPT);
            let new = |c: &mut Ctx, d: X, old: X| {
                let differs = c.a.label();
                c.load_field(T[3], KEPT);
                c.a.alu(Alu::Eor, Size::X, T[3], T[3], old);
                c.a.mov(Size::X, d, old);
                c.a.cbnz(Size::X, T[3], differs);
                c.a.mov(Size::X, d, T[1]);
                c.a.bind(differs);
            };
            if how == Means::Plain { replace(c, 8, n, new) } else { misaligned(c, 8, n, native, new) }
            c.load_field(T[2], KEPT);
        }
    }
    c.a.alu(Alu::Eor, Size::X, T[2], T[2], T[0]);
    write_zf(c, T[2]);
    // The registers are written, and their upper halves cleared, only on failure.
    let same = c.a.label();
    c.a.cbz(Size::X, T[2], same);
    c.a.mov(Size::W, gpr(0), T[0]);
    c.a.shift_imm(Shift::Lsr, Size::X, gpr(2), T[0], 32);
    c.a.bind(same);
}

fn cmpxchg16b(c: &mut Ctx, insn: &Insn) {
    let n = c.mem_in_register(insn);
    let misaligned = c.cold(|c| c.raise(exception::GENERAL_PROTECTION));
    c.a.alu_imm(Alu::And, Size::X, T[4], n, 15);
    c.a.cbnz(Size::X, T[4], misaligned);
    if c.order() == Order::Plain {
        let differs = c.a.label();
        c.a.ldp(T[0], T[1], n, 0);
        c.a.mov(Size::X, T[2], T[0]);
        c.a.mov(Size::X, T[3], T[1]);
        different(c);
        c.a.cbnz(Size::X, T[4], differs);
        c.a.mov(Size::X, T[2], gpr(3));
        c.a.mov(Size::X, T[3], gpr(1));
        c.a.bind(differs);
        c.a.stp(T[2], T[3], n, 0);
    } else {
        c.a.mov(Size::X, T[0], gpr(0));
        c.a.mov(Size::X, T[1], gpr(2));
        c.a.mov(Size::X, T[2], gpr(3));
        c.a.mov(Size::X, T[3], gpr(1));
        c.a.cas_pair((T[0], T[1]), (T[2], T[3]), n, T[6]);
        different(c);
    }
    write_zf(c, T[4]);
    c.a.mov(Size::X, gpr(0), T[0]);
    c.a.mov(Size::X, gpr(2), T[1]);
}

/// T4 = zero if T1:T0 is RDX:RAX.
fn different(c: &mut Ctx) {
    c.a.alu(Alu::Eor, Size::X, T[4], T[0], gpr(0));
    c.a.alu(Alu::Eor, Size::X, T[5], T[1], gpr(2));
    c.a.alu(Alu::Orr, Size::X, T[4], T[4], T[5]);
}
