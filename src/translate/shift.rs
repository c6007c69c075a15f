//! Shifts and rotates.

use super::Row;
use super::context::{Carry, Ctx, size_of};
use super::flags::{logic_flags, write_cf_of};
use crate::decode::{AF, CF, Insn, Mnemonic, OF, Op, PF, SF, ZF};
use crate::emit::regs::*;
use crate::emit::{Alu, Mem, Shift, Size};
use crate::helpers::Id;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Shl, |c, i| shift(c, i, Kind::Shl)),
        (Sal, |c, i| shift(c, i, Kind::Shl)),
        (Shr, |c, i| shift(c, i, Kind::Shr)),
        (Sar, |c, i| shift(c, i, Kind::Sar)),
        (Rol, |c, i| shift(c, i, Kind::Rol)),
        (Ror, |c, i| shift(c, i, Kind::Ror)),
        (Rcl, |c, i| through_carry(c, i, Id::Rcl)),
        (Rcr, |c, i| through_carry(c, i, Id::Rcr)),
        (Shld, |c, i| double(c, i, true)),
        (Shrd, |c, i| double(c, i, false)),
        (Shlx, |c, i| without_flags(c, i, Shift::Lsl)),
        (Shrx, |c, i| without_flags(c, i, Shift::Lsr)),
        (Sarx, |c, i| without_flags(c, i, Shift::Asr)),
        (Rorx, rorx),
    ]
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shl,
    Shr,
    Sar,
    Rol,
    Ror,
}

/// The operand that is shifted: its value in a register that the width allows to shift whole (sign- or zero-extended, or repeated for rotates).
struct Target {
    mem: Option<Mem>,
    value: X,
}

fn fetch(c: &mut Ctx, insn: &Insn, kind: Kind) -> Target {
    let bytes = insn.bytes(0);
    let mem = insn.has_memory().then(|| c.mem(insn));
    let raw = match mem {
        Some(mem) => {
            c.load_mem(bytes, T[0], mem);
            T[0]
        }
        None => match insn.op(0) {
            Op::Gpr { n, bytes: 4.., .. } => c.first(n),
            _ => c.read(insn, 0, T[0]),
        },
    };
    if bytes >= 4 {
        return Target { mem, value: raw };
    }
    let bits = 8 * bytes;
    match kind {
        Kind::Sar => c.a.sbfx(Size::W, T[0], raw, 0, bits),
        Kind::Shl | Kind::Shr => c.a.zext(bytes, T[0], raw),
        Kind::Rol | Kind::Ror => {
            // The value repeated over 32 bits rotates as the narrow one does.
            c.a.zext(bytes, T[0], raw);
            if bytes == 1 {
                c.a.alu_shift(Alu::Orr, Size::W, T[0], T[0], T[0], Shift::Lsl, 8);
            }
            c.a.alu_shift(Alu::Orr, Size::W, T[0], T[0], T[0], Shift::Lsl, 16);
        }
    }
    Target { mem, value: T[0] }
}

fn put(c: &mut Ctx, insn: &Insn, t: &Target, result: X) {
    match t.mem {
        Some(mem) => c.store_mem(insn.bytes(0), result, mem),
        // Already in place, by an operation of its own width.
        None if matches!(insn.op(0), Op::Gpr { n, bytes: 4 | 8, .. } if gpr(n) == result) => {}
        None => c.write_gpr(insn.op(0), result),
    }
}

fn shift(c: &mut Ctx, insn: &Insn, kind: Kind) {
    let bytes = insn.bytes(0);
    let mask = if bytes == 8 { 63 } else { 31 };
    match insn.op(1) {
        Op::Imm(n) => {
            let count = n as u32 & mask;
            if count == 0 {
                // No flags, but a 32-bit register is still written.
                if let Op::Gpr { n, bytes: 4, .. } = insn.op(0) {
                    c.a.mov(Size::W, gpr(n), gpr(n));
                } else if insn.has_memory() {
                    let t = fetch(c, insn, kind);
                    put(c, insn, &t, t.value);
                }
                return;
            }
            constant(c, insn, kind, count);
        }
        _ => variable(c, insn, kind),
    }
}

fn host(kind: Kind) -> Shift {
    match kind {
        Kind::Shl => Shift::Lsl,
        Kind::Shr => Shift::Lsr,
        Kind::Sar => Shift::Asr,
        Kind::Rol | Kind::Ror => Shift::Ror,
    }
}

fn constant(c: &mut Ctx, insn: &Insn, kind: Kind, count: u32) {
    let bytes = insn.bytes(0);
    let (bits, size) = (8 * bytes, size_of(bytes));
    // A byte or word whose flags nobody reads is cut out and shifted at once.
    if let Op::Gpr { n, bytes: 1 | 2, high: false } = insn.op(0)
        && count < bits
        && !c.needs(CF | OF | ZF | SF | PF | AF)
    {
        match kind {
            Kind::Shr => {
                c.a.ubfx(Size::W, T[1], gpr(n), count, bits - count);
                return c.write_gpr(insn.op(0), T[1]);
            }
            Kind::Sar => {
                c.a.sbfx(Size::W, T[1], gpr(n), count, bits - count);
                return c.write_gpr(insn.op(0), T[1]);
            }
            _ => {}
        }
    }
    let t = fetch(c, insn, kind);
    let v = t.value;
    let rotate = matches!(kind, Kind::Rol | Kind::Ror);
    let flags = if rotate { c.needs(CF | OF) } else { c.needs(CF | OF | ZF | SF | PF | AF) };
    if flags && !rotate {
        edge_bits(c, kind, bits, count, v);
    }
    // Counts of 1- and 2-byte operands go up to 31.
    let result = match insn.op(0) {
        Op::Gpr { n, high: false, .. } if bytes >= 4 => gpr(n),
        _ => T[1],
    };
    match kind {
        Kind::Rol => c.a.shift_imm(Shift::Ror, size, result, v, (size.bits() - count % size.bits()) % size.bits()),
        Kind::Ror => c.a.shift_imm(Shift::Ror, size, result, v, count % size.bits()),
        _ => c.a.shift_imm(host(kind), size, result, v, count),
    }
    put(c, insn, &t, result);
    if flags && rotate {
        rotate_flags_directly(c, kind, bits, result);
    } else if flags {
        finish_flags(c, bytes, result, T[2], T[3]);
    }
}

/// Before a shift by a constant: CF to T2 and OF (as for a count of one, the only one it is defined for) to T3, where they are live.
fn edge_bits(c: &mut Ctx, kind: Kind, bits: u32, count: u32, v: X) {
    if c.needs(CF) {
        // The last bit shifted out.
        match kind {
            Kind::Shl if count <= bits => c.a.ubfx(Size::X, T[2], v, bits - count, 1),
            Kind::Shl => c.a.mov_imm(T[2], 0),
            Kind::Sar if count > bits => c.a.ubfx(Size::X, T[2], v, bits - 1, 1),
            _ => c.a.ubfx(Size::X, T[2], v, count - 1, 1),
        }
    }
    if c.needs(OF) {
        match kind {
            Kind::Shl => {
                c.a.alu_shift(Alu::Eor, Size::X, T[3], v, v, Shift::Lsl, 1);
                c.a.ubfx(Size::X, T[3], T[3], bits - 1, 1);
            }
            Kind::Sar => c.a.mov_imm(T[3], 0),
            _ => c.a.ubfx(Size::X, T[3], v, bits - 1, 1),
        }
    }
}

/// NZ and PF from the result, CF and OF from bit 0 of two registers.
fn finish_flags(c: &mut Ctx, bytes: u32, result: X, cf: X, of: X) {
    if c.live & (ZF | SF | OF | PF | AF) == 0 {
        // CF alone: compare with one. C = CF.
        c.a.alu_imm(Alu::Subs, Size::W, ZR, cf, 1);
        c.carry = Carry::Direct;
        return;
    }
    logic_flags(c, bytes, result);
    if c.needs(CF | OF) {
        let (cf, of) = (c.needs(CF).then_some(cf), c.needs(OF).then_some(of));
        write_cf_of(c, cf, of);
    }
}

/// CF and OF after a rotate by a count that is not zero: CF is the bit that came round, OF as for a count of one.
fn rotate_flags(c: &mut Ctx, kind: Kind, bits: u32, result: X) {
    if kind == Kind::Rol {
        c.a.ubfx(Size::X, T[2], result, 0, 1);
        c.a.ubfx(Size::X, T[3], result, bits - 1, 1);
        c.a.alu(Alu::Eor, Size::W, T[3], T[3], T[2]);
    } else {
        c.a.ubfx(Size::X, T[2], result, bits - 1, 1);
        c.a.ubfx(Size::X, T[3], result, bits - 2, 1);
        c.a.alu(Alu::Eor, Size::W, T[3], T[3], T[2]);
    }
    write_cf_of(c, Some(T[2]), Some(T[3]));
}

/// The same, with the carry as CF itself: it costs nothing.
fn rotate_flags_directly(c: &mut Ctx, kind: Kind, bits: u32, result: X) {
    let (cf, rest) = if kind == Kind::Rol {
        (result, bits - 1)
    } else {
        c.a.ubfx(Size::X, T[2], result, bits - 1, 1);
        (T[2], bits - 2)
    };
    c.a.read_nzcv(S1);
    c.a.bfi(Size::X, S1, cf, 29, 1);
    if c.needs(OF) {
        c.a.alu_shift(Alu::Eor, Size::X, T[3], cf, result, Shift::Lsr, rest);
        c.a.bfi(Size::X, S1, T[3], 28, 1);
    }
    c.a.write_nzcv(S1);
    c.carry = Carry::Direct;
}

fn variable(c: &mut Ctx, insn: &Insn, kind: Kind) {
    let bytes = insn.bytes(0);
    let (bits, size) = (8 * bytes, size_of(bytes));
    let rotate = matches!(kind, Kind::Rol | Kind::Ror);
    let flags = if rotate { c.needs(CF | OF) } else { c.needs(CF | OF | ZF | SF | PF | AF) };
    let t = fetch(c, insn, kind);
    let v = t.value;
    let count = gpr(1);
    let result = match insn.op(0) {
        Op::Gpr { n, high: false, .. } if bytes >= 4 && !flags => gpr(n),
        _ => T[1],
    };
    // Hosts take the count modulo the register's size, x86 modulo 32 or 64: the same, also for narrow operands in 32 bits.
    if kind == Kind::Rol {
        c.a.alu(Alu::Sub, Size::W, T[2], ZR, count);
        c.a.rorv(size, result, v, T[2]);
    } else {
        c.a.shift_reg(host(kind), size, result, v, count);
    }
    if !flags {
        return put(c, insn, &t, result);
    }
    // Flags stay where the masked count is zero. Everything is stored first: flags last, so that a fault finds them as they were.
    let mask = if bytes == 8 { 63 } else { 31 };
    let done = c.a.label();
    // The old value is needed after the store.
    c.a.mov(Size::X, T[4], v);
    c.a.alu_imm(Alu::And, Size::W, T[5], count, mask);
    put(c, insn, &t, result);
    let carry = c.carry;
    c.a.cbz(Size::W, T[5], done);
    let v = T[4];
    if rotate {
        rotate_flags(c, kind, bits, result);
    } else {
        // The last bit out: shift by one less, then look at the edge.
        c.a.alu_imm(Alu::Sub, Size::W, T[2], T[5], 1);
        match kind {
            Kind::Shl => {
                c.a.lslv(size, T[2], v, T[2]);
                c.a.alu(Alu::Eor, Size::X, T[3], T[2], result);
                c.a.ubfx(Size::X, T[2], T[2], bits - 1, 1);
                c.a.ubfx(Size::X, T[3], T[3], bits - 1, 1);
            }
            Kind::Shr => {
                c.a.lsrv(size, T[2], v, T[2]);
                c.a.ubfx(Size::X, T[3], v, bits - 1, 1);
            }
            _ => {
                c.a.asrv(size, T[2], v, T[2]);
                c.a.mov_imm(T[3], 0);
            }
        }
        c.a.alu_imm(Alu::And, Size::X, T[2], T[2], 1);
        finish_flags(c, bytes, result, T[2], T[3]);
        // Both ways must agree on the carry's polarity.
        c.carry_to(carry, CF);
    }
    c.a.bind(done);
    c.carry = carry;
}

fn through_carry(c: &mut Ctx, insn: &Insn, id: Id) {
    let bytes = insn.bytes(0);
    let t = fetch(c, insn, Kind::Shr);
    // The helper takes the value cut to the operand's size: registers have more above it.
    c.a.zext(bytes, T[1], t.value);
    match insn.op(1) {
        Op::Imm(n) => c.a.mov_imm(T[2], n),
        _ => c.a.mov(Size::X, T[2], gpr(1)),
    }
    c.a.mov_imm(T[3], bytes as u64);
    // The helper gives the result and, in `scratch`, the flags: they are set only after the store.
    c.helper(id);
    c.a.mov(Size::X, T[1], T[0]);
    match t.mem {
        Some(_) => {
            let mem = c.mem(insn);
            c.store_mem(bytes, T[1], mem);
        }
        None => c.write_gpr(insn.op(0), T[1]),
    }
    c.load_field(T[2], std::mem::offset_of!(crate::guest::CpuState, scratch));
    c.a.write_nzcv(T[2]);
}

fn double(c: &mut Ctx, insn: &Insn, left: bool) {
    let bytes = insn.bytes(0);
    let (bits, size) = (8 * bytes, size_of(bytes));
    let mask = if bytes == 8 { 63 } else { 31 };
    if let Op::Imm(n) = insn.op(2)
        && bytes >= 4
        && !c.needs(CF | OF)
        && n as u32 & mask != 0
    {
        let count = n as u32 & mask;
        let t = fetch(c, insn, Kind::Shr);
        let other = c.read(insn, 1, T[1]);
        if left { c.a.extr(size, T[2], t.value, other, bits - count) } else { c.a.extr(size, T[2], other, t.value, count) }
        put(c, insn, &t, T[2]);
        if c.needs(ZF | SF | PF | AF) {
            logic_flags(c, bytes, T[2]);
        }
        return;
    }
    let t = fetch(c, insn, Kind::Shr);
    let other = c.read_zx(insn, 1, T[2]);
    c.a.mov(Size::X, T[2], other);
    c.a.mov(Size::X, T[1], t.value);
    match insn.op(2) {
        Op::Imm(n) => c.a.mov_imm(T[3], n & mask as u64),
        _ => c.a.alu_imm(Alu::And, Size::W, T[3], gpr(1), mask as u64),
    }
    c.a.alu_imm(Alu::Orr, Size::X, T[3], T[3], (bytes as u64) << 8);
    c.helper(if left { Id::Shld } else { Id::Shrd });
    c.a.mov(Size::X, T[1], T[0]);
    match t.mem {
        Some(_) => {
            let mem = c.mem(insn);
            c.store_mem(bytes, T[1], mem);
        }
        None => c.write_gpr(insn.op(0), T[1]),
    }
    c.load_field(T[2], std::mem::offset_of!(crate::guest::CpuState, scratch));
    c.a.write_nzcv(T[2]);
    c.load_field(PFR, std::mem::offset_of!(crate::guest::CpuState, scratch) + 8);
}

fn without_flags(c: &mut Ctx, insn: &Insn, shift: Shift) {
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    let v = c.read(insn, 1, T[0]);
    let count = c.read(insn, 2, T[1]);
    c.a.shift_reg(shift, size_of(bytes as u32), gpr(n), v, count);
}

fn rorx(c: &mut Ctx, insn: &Insn) {
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    let size = size_of(bytes as u32);
    let v = c.read(insn, 1, T[0]);
    let Op::Imm(count) = insn.op(2) else { return c.undefined(insn) };
    c.a.shift_imm(Shift::Ror, size, gpr(n), v, count as u32 & (size.bits() - 1));
}
