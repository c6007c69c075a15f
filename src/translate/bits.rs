//! Bit tests, scans and counts, BMI, ADX, byte swaps on the way to memory, checksums, random numbers.

use super::Row;
use super::atomic::locked_bits;
use super::context::{Carry, Ctx, size_of};
use super::flags::{logic_flags, write_cf_of};
use crate::decode::{AF, CF, Insn, Mnemonic, OF, Op, PF, SF, ZF};
use crate::emit::regs::*;
use crate::emit::{Alu, Cond, Mem, Rmw, Shift, Size};
use crate::helpers::Id;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Bt, |c, i| bit_test(c, i, None)),
        (Bts, |c, i| bit_test(c, i, Some(Rmw::Set))),
        (Btr, |c, i| bit_test(c, i, Some(Rmw::Clear))),
        (Btc, |c, i| bit_test(c, i, Some(Rmw::Xor))),
        (Bsf, |c, i| scan(c, i, false)),
        (Bsr, |c, i| scan(c, i, true)),
        (Tzcnt, |c, i| count_zeros(c, i, false)),
        (Lzcnt, |c, i| count_zeros(c, i, true)),
        (Popcnt, popcnt),
        (Andn, andn),
        (Blsi, blsi),
        (Blsr, |c, i| lowest(c, i, Alu::And)),
        (Blsmsk, |c, i| lowest(c, i, Alu::Eor)),
        (Bextr, bextr),
        (Bzhi, bzhi),
        (Pdep, |c, i| deposit(c, i, Id::Pdep)),
        (Pext, |c, i| deposit(c, i, Id::Pext)),
        (Adcx, adcx),
        (Adox, adox),
        (Movbe, movbe),
        (Crc32, crc32),
        (Rdrand, random),
        (Rdseed, random),
        (Xlatb, xlat),
        (Enter, enter),
    ]
};

/// CF = bit 0 of `r`, of which nothing else counts; ZF stays, the others are undefined after bit tests.
fn carry_from_bit(c: &mut Ctx, r: X) {
    if !c.needs(CF) {
        return;
    }
    if c.needs(ZF | SF | OF) {
        return write_cf_of(c, Some(r), None);
    }
    c.a.alu_imm(Alu::And, Size::W, r, r, 1);
    c.a.alu_imm(Alu::Subs, Size::W, ZR, r, 1);
    c.carry = Carry::Direct;
}

fn bit_test(c: &mut Ctx, insn: &Insn, change: Option<Rmw>) {
    let bytes = insn.bytes(0);
    let (bits, size) = (8 * bytes, size_of(bytes));
    // T1: bit number. T3: the bit itself.
    let constant = match insn.op(1) {
        Op::Imm(n) => Some(n as u32 & (bits - 1)),
        _ => None,
    };
    let mask = |c: &mut Ctx| match constant {
        Some(n) => c.a.mov_imm(T[3], 1 << n),
        None => {
            c.a.mov_imm(T[3], 1);
            c.a.lslv(size, T[3], T[3], T[1]);
        }
    };
    let extract = |c: &mut Ctx, d: X, v: X| match constant {
        Some(n) => c.a.ubfx(size, d, v, n, 1),
        None => c.a.lsrv(size, d, v, T[1]),
    };
    let host = |op| match op {
        Rmw::Set => Alu::Orr,
        Rmw::Clear => Alu::Bic,
        _ => Alu::Eor,
    };
    let Op::Mem = insn.op(0) else {
        let Op::Gpr { n, .. } = insn.op(0) else { return c.undefined(insn) };
        if constant.is_none() {
            let number = c.read(insn, 1, T[1]);
            // Hosts take shift counts modulo the register's size.
            if bytes == 2 { c.a.alu_imm(Alu::And, Size::W, T[1], number, 15) } else { c.a.mov(Size::X, T[1], number) }
        }
        extract(c, T[2], gpr(n));
        if let Some(op) = change {
            mask(c);
            let d = if bytes == 2 { T[0] } else { gpr(n) };
            c.a.alu(host(op), size, d, gpr(n), T[3]);
            if bytes == 2 {
                c.write_gpr(insn.op(0), T[0]);
            }
        }
        return carry_from_bit(c, T[2]);
    };
    let mem = match constant {
        Some(_) => c.mem(insn),
        None => {
            // A register counts bits from the operand's address on, in both directions.
            c.read_sx(insn, 1, Size::X, T[1]);
            c.a.shift_imm(Shift::Asr, Size::X, T[2], T[1], bits.trailing_zeros());
            c.a.alu_imm(Alu::And, Size::W, T[1], T[1], bits as u64 - 1);
            c.mem_further(insn, T[2], bytes.trailing_zeros())
        }
    };
    match change {
        None => c.load_mem(bytes, T[0], mem),
        Some(op) if insn.lock() => {
            mask(c);
            let n = c.a.address_in(T[7], mem);
            locked_bits(c, op, bytes, T[3], n);
        }
        Some(op) => {
            c.load_mem(bytes, T[0], mem);
            mask(c);
            c.a.alu(host(op), size, T[2], T[0], T[3]);
            c.store_mem(bytes, T[2], mem);
        }
    }
    extract(c, T[2], T[0]);
    carry_from_bit(c, T[2]);
}

/// BSF, BSR: of zero, the destination stays (all its 64 bits) and ZF is set.
fn scan(c: &mut Ctx, insn: &Insn, reverse: bool) {
    let bytes = insn.bytes(0);
    let size = size_of(bytes);
    let op = insn.op(0);
    let Op::Gpr { n, .. } = op else { return c.undefined(insn) };
    let v = if bytes == 2 { c.read_zx(insn, 1, T[0]) } else { c.read(insn, 1, T[0]) };
    if reverse {
        c.a.clz(size, T[1], v);
        c.a.alu_imm(Alu::Eor, size, T[1], T[1], size.bits() as u64 - 1);
    } else {
        c.a.rbit(size, T[1], v);
        c.a.clz(size, T[1], T[1]);
    }
    // The other flags are undefined.
    c.a.alu(Alu::Ands, size, ZR, v, v);
    c.carry = Carry::Direct;
    let d = if bytes == 2 { T[1] } else { gpr(n) };
    c.a.csel(Size::X, d, T[1], gpr(n), Cond::Ne);
    if bytes == 2 {
        c.write_gpr(op, T[1]);
    }
}

/// LZCNT, TZCNT: CF = the source is zero, ZF = the count is zero.
fn count_zeros(c: &mut Ctx, insn: &Insn, leading: bool) {
    let bytes = insn.bytes(0);
    let size = size_of(bytes);
    let mut v = c.read(insn, 1, T[0]);
    if bytes == 2 {
        // A marker bit behind the sixteen ends the count.
        if leading {
            c.a.shift_imm(Shift::Lsl, Size::W, T[1], v, 16);
            c.a.alu_imm(Alu::Orr, Size::W, T[1], T[1], 0x8000);
        } else {
            c.a.alu_imm(Alu::Orr, Size::W, T[1], v, 0x1_0000);
        }
        v = T[1];
    }
    if !leading {
        c.a.rbit(size, T[1], v);
        v = T[1];
    }
    let d = match insn.op(0) {
        Op::Gpr { n, bytes: 4.., .. } => gpr(n),
        _ => T[1],
    };
    c.a.clz(size, d, v);
    if d == T[1] {
        c.write_gpr(insn.op(0), d);
    }
    if c.needs(CF | ZF) {
        // Count = bits: C = 0 (CF set), Z = 0. Else compare with 0: C = 1, Z as it comes.
        c.a.alu_imm(Alu::Subs, Size::W, ZR, d, 8 * bytes as u64);
        c.a.ccmp_imm(Size::W, d, 0, 0, Cond::Ne);
        c.carry = Carry::Inverted;
    }
}

fn popcnt(c: &mut Ctx, insn: &Insn) {
    let v = c.read_zx(insn, 1, T[0]);
    c.a.popcount(T[1], v, VT[0]);
    c.write_gpr(insn.op(0), T[1]);
    // ZF from the result, which is not negative; all others are cleared.
    if c.needs(ZF | SF | CF | OF) {
        c.a.alu(Alu::Ands, Size::W, ZR, T[1], T[1]);
        c.carry = Carry::Direct;
    }
    if c.needs(PF | AF) {
        c.a.mov_imm(PFR, 1);
        c.a.mov(Size::X, AFX, PFR);
    }
}

fn andn(c: &mut Ctx, insn: &Insn) {
    let a = c.read(insn, 1, T[0]);
    let b = c.read(insn, 2, T[1]);
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    if c.needs(ZF | SF | CF | OF) {
        c.a.alu(Alu::Bics, size_of(bytes as u32), gpr(n), b, a);
        c.carry = Carry::Direct;
    } else {
        c.a.alu(Alu::Bic, size_of(bytes as u32), gpr(n), b, a);
    }
}

/// BLSI: the lowest set bit; CF = the source is not zero, that is, ZF clear.
fn blsi(c: &mut Ctx, insn: &Insn) {
    let v = c.read(insn, 1, T[0]);
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    let size = size_of(bytes as u32);
    c.a.alu(Alu::Sub, size, T[1], ZR, v);
    if !c.needs(ZF | SF | CF | OF) {
        return c.a.alu(Alu::And, size, gpr(n), T[1], v);
    }
    c.a.alu(Alu::Ands, size, gpr(n), T[1], v);
    c.carry = Carry::Direct;
    if c.needs(CF) {
        c.a.cset(T[2], Cond::Ne);
        write_cf_of(c, Some(T[2]), None);
    }
}

/// BLSR, BLSMSK: source with source - 1; CF = the source is zero.
fn lowest(c: &mut Ctx, insn: &Insn, op: Alu) {
    let v = c.read(insn, 1, T[0]);
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    let (d, size) = (gpr(n), size_of(bytes as u32));
    if !c.needs(ZF | SF | CF | OF) {
        c.a.alu_imm(Alu::Sub, size, T[1], v, 1);
        return c.a.alu(op, size, d, T[1], v);
    }
    c.a.alu_imm(Alu::Subs, size, T[1], v, 1);
    if c.needs(CF) {
        c.a.cset(T[2], Cond::Cc);
    }
    c.a.alu(op, size, d, T[1], v);
    c.a.alu(Alu::Ands, size, ZR, d, d);
    c.carry = Carry::Direct;
    if c.needs(CF) {
        write_cf_of(c, Some(T[2]), None);
    }
}

/// T5 = all ones from bit `count` (T2, below 256) on: nothing from the operand's size on. T2 >= size is left in the host's C.
fn ones_from(c: &mut Ctx, size: Size) {
    c.a.mov_imm(T[5], u64::MAX);
    c.a.lslv(size, T[5], T[5], T[2]);
    c.a.alu_imm(Alu::Subs, Size::W, ZR, T[2], size.bits() as u64);
    c.a.csel(size, T[5], T[5], ZR, Cond::Cc);
    c.carry = Carry::Direct;
}

/// BEXTR: bits start .. start + length of the source.
fn bextr(c: &mut Ctx, insn: &Insn) {
    let v = c.read(insn, 1, T[0]);
    let control = c.read(insn, 2, T[1]);
    let op = insn.op(0);
    let size = size_of(insn.bytes(0));
    c.a.ubfx(Size::W, T[3], control, 0, 8);
    c.a.ubfx(Size::W, T[2], control, 8, 8);
    c.a.lsrv(size, T[4], v, T[3]);
    c.a.alu_imm(Alu::Subs, Size::W, ZR, T[3], size.bits() as u64);
    c.a.csel(size, T[4], T[4], ZR, Cond::Cc);
    ones_from(c, size);
    c.a.alu(Alu::Bic, size, T[4], T[4], T[5]);
    c.write_gpr(op, T[4]);
    if c.live != 0 {
        logic_flags(c, insn.bytes(0), T[4]);
    }
}

/// BZHI: bits from the index on are cleared; CF = the index lies beyond the operand.
fn bzhi(c: &mut Ctx, insn: &Insn) {
    let v = c.read(insn, 1, T[0]);
    let index = c.read(insn, 2, T[1]);
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    let (size, d) = (size_of(bytes as u32), gpr(n));
    // The index is a byte: where it is beyond the operand nothing is cleared, and CF is set.
    c.a.alu_imm(Alu::Ands, Size::W, ZR, index, if size == Size::X { 0xc0 } else { 0xe0 });
    c.a.mov_imm(T[5], u64::MAX);
    c.a.lslv(size, T[5], T[5], index);
    c.a.csel(size, T[5], T[5], ZR, Cond::Eq);
    if c.needs(CF) {
        c.a.cset(T[3], Cond::Ne);
        c.a.alu(Alu::Bic, size, d, v, T[5]);
        logic_flags(c, bytes as u32, d);
        return write_cf_of(c, Some(T[3]), None);
    }
    c.a.alu(if c.needs(ZF | SF | OF) { Alu::Bics } else { Alu::Bic }, size, d, v, T[5]);
    c.carry = Carry::Direct;
    if c.needs(PF | AF) {
        c.a.mov(Size::X, PFR, d);
    }
}

fn deposit(c: &mut Ctx, insn: &Insn, id: Id) {
    let mask = c.read_zx(insn, 2, T[2]);
    c.a.mov(Size::X, T[2], mask);
    let v = c.read_zx(insn, 1, T[1]);
    c.a.mov(Size::X, T[1], v);
    c.helper(id);
    c.write_gpr(insn.op(0), T[0]);
}

/// ADCX: CF is carry in and out, the other flags stay.
fn adcx(c: &mut Ctx, insn: &Insn) {
    let b = c.read(insn, 1, T[0]);
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    let size = size_of(bytes as u32);
    c.carry_to(Carry::Direct, CF);
    let keep = c.needs(ZF | SF | OF);
    if keep {
        c.a.read_nzcv(T[6]);
    }
    c.a.adcs(size, gpr(n), gpr(n), b);
    if keep && c.needs(CF) {
        c.a.cset(T[5], Cond::Cs);
        c.a.bfi(Size::X, T[6], T[5], 29, 1);
    }
    if keep {
        c.a.write_nzcv(T[6]);
    }
}

/// ADOX: OF is carry in and out, the other flags stay.
fn adox(c: &mut Ctx, insn: &Insn) {
    let b = c.read(insn, 1, T[0]);
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return c.undefined(insn) };
    c.a.read_nzcv(T[6]);
    c.a.ubfx(Size::W, T[5], T[6], 28, 1);
    // C = T5.
    c.a.alu_imm(Alu::Subs, Size::W, ZR, T[5], 1);
    c.a.adcs(size_of(bytes as u32), gpr(n), gpr(n), b);
    c.a.cset(T[5], Cond::Cs);
    c.a.bfi(Size::X, T[6], T[5], 28, 1);
    c.a.write_nzcv(T[6]);
}

fn reverse(c: &mut Ctx, bytes: u32, d: X, v: X) {
    match bytes {
        2 => c.a.rev16(Size::W, d, v),
        n => c.a.rev(size_of(n), d, v),
    }
}

fn movbe(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    let v = c.read(insn, 1, T[0]);
    reverse(c, bytes, T[0], v);
    c.write(insn, 0, T[0]);
}

fn crc32(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(1);
    let Op::Gpr { n, .. } = insn.op(0) else { return c.undefined(insn) };
    let v = c.read_zx(insn, 1, T[2]);
    if c.a.features.crc32 {
        // The 64-bit form clears the upper half too.
        return c.a.crc32c(bytes, gpr(n), gpr(n), v);
    }
    c.a.mov(Size::X, T[2], v);
    c.a.mov(Size::W, T[1], gpr(n));
    c.a.mov_imm(T[3], bytes as u64);
    c.helper(Id::Crc32c);
    c.a.mov(Size::W, gpr(n), T[0]);
}

/// RDRAND, RDSEED: always succeed; the helper sets CF and clears the other flags.
fn random(c: &mut Ctx, insn: &Insn) {
    c.helper(Id::Random);
    c.write_gpr(insn.op(0), T[0]);
}

/// XLAT: AL = byte at RBX + AL.
fn xlat(c: &mut Ctx, insn: &Insn) {
    let n = c.mem_in_register(insn);
    c.a.zext(1, T[1], gpr(0));
    c.load_mem(1, T[0], Mem::Idx(n, T[1], 0));
    c.write_gpr(Op::Gpr { n: 0, bytes: 1, high: false }, T[0]);
}

/// ENTER: a frame of `size` bytes with `level` (0-31) display pointers. RSP and RBP are written last.
fn enter(c: &mut Ctx, insn: &Insn) {
    let (Op::Imm(size), Op::Imm(level)) = (insn.op(0), insn.op(1)) else { return c.undefined(insn) };
    let level = level as i64 & 31;
    let word = insn.code() == crate::decode::Code::Enterw_imm16_imm8;
    let (bytes, step) = if word { (2, 2) } else { (8, 8) };
    let (rsp, rbp) = (gpr(4), gpr(5));
    c.store_mem(bytes, rbp, Mem::Off(rsp, -step));
    c.a.alu_imm(Alu::Sub, Size::X, T[1], rsp, step as u64);
    for i in 1..level {
        c.load_mem(bytes, T[0], Mem::Off(rbp, -step * i));
        c.store_mem(bytes, T[0], Mem::Off(T[1], -step * i));
    }
    if level > 0 {
        c.store_mem(bytes, T[1], Mem::Off(T[1], -step * level));
    }
    // Nothing is written at the end of the frame, but it must be possible.
    c.a.alu_imm(Alu::Sub, Size::X, T[2], T[1], (step * level) as u64 + size);
    c.load_mem(bytes, T[0], Mem::Off(T[2], 0));
    c.store_mem(bytes, T[0], Mem::Off(T[2], 0));
    if word { c.a.bfi(Size::X, rbp, T[1], 0, 16) } else { c.a.mov(Size::X, rbp, T[1]) }
    c.a.mov(Size::X, rsp, T[2]);
}
