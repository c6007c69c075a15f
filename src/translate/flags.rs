//! Conditions and the instructions that handle flags as such.

use super::Row;
use super::context::{Carry, Ctx, size_of};
use crate::decode::{CF, Flags, Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::{Alu, Cond, Shift, Size};
use crate::guest::CpuState;
use crate::helpers::Id;
use std::mem::offset_of;

macro_rules! conditions { ($($n:literal $set:ident $mov:ident)*) => {
    /// Mnemonics of this family.
    pub const ROWS: &[Row] = {
        use Mnemonic::*;
        &[
            $(($set, |c, i| set(c, i, $n)), ($mov, |c, i| cmov(c, i, $n)),)*
            (Clc, |c, _| carry_constant(c, false)),
            (Stc, |c, _| carry_constant(c, true)),
            (Cmc, |c, _| c.carry = if c.carry == Carry::Direct { Carry::Inverted } else { Carry::Direct }),
            (Cld, |c, _| c.store_field(ZR, offset_of!(CpuState, df))),
            (Std, |c, _| {
                c.a.mov_imm(T[0], 1);
                c.store_field(T[0], offset_of!(CpuState, df));
            }),
            (Lahf, lahf),
            (Sahf, sahf),
            (Pushf, |c, i| pushf(c, i, 2)),
            (Pushfq, |c, i| pushf(c, i, 8)),
            (Popf, |c, i| popf(c, i, 2)),
            (Popfq, |c, i| popf(c, i, 8)),
        ]
    };
} }
conditions! {
    0 Seto Cmovo  1 Setno Cmovno  2 Setb Cmovb  3 Setae Cmovae  4 Sete Cmove  5 Setne Cmovne  6 Setbe Cmovbe  7 Seta Cmova
    8 Sets Cmovs  9 Setns Cmovns  10 Setp Cmovp  11 Setnp Cmovnp  12 Setl Cmovl  13 Setge Cmovge  14 Setle Cmovle  15 Setg Cmovg
}

/// How a condition code can be tested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    /// By a host condition.
    Cond(Cond),
    /// By bit 0 of a register: true if it is this.
    Bit(X, bool),
}

/// Prepares the test of condition code `cc` (0-15). `live_after` says which flags must survive. May use T5, T6.
pub fn condition(c: &mut Ctx, cc: u8, live_after: Flags) -> Test {
    let base = match cc >> 1 {
        0 => Cond::Vs,
        1 if c.carry == Carry::Direct => Cond::Cs,
        1 => Cond::Cc,
        2 => Cond::Eq,
        3 => {
            // CF or ZF: one host condition only with the carry inverted.
            c.carry_to(Carry::Inverted, live_after | CF);
            Cond::Ls
        }
        4 => Cond::Mi,
        5 => {
            // Parity of the low byte: fold it to one bit. 1 = odd = PF clear.
            let t = T[6];
            c.a.alu_shift(Alu::Eor, Size::W, t, PFR, PFR, Shift::Lsr, 4);
            c.a.alu_shift(Alu::Eor, Size::W, t, t, t, Shift::Lsr, 2);
            c.a.alu_shift(Alu::Eor, Size::W, t, t, t, Shift::Lsr, 1);
            return Test::Bit(t, cc & 1 != 0);
        }
        6 => Cond::Lt,
        _ => Cond::Le,
    };
    Test::Cond(if cc & 1 != 0 { base.invert() } else { base })
}

/// `d` = 1 if condition `cc` holds, else 0.
fn condition_value(c: &mut Ctx, cc: u8, d: X) {
    let live = c.live;
    match condition(c, cc, live) {
        Test::Cond(cond) => c.a.cset(d, cond),
        Test::Bit(r, true) => c.a.alu_imm(Alu::And, Size::W, d, r, 1),
        Test::Bit(r, false) => {
            c.a.alu_imm(Alu::And, Size::W, d, r, 1);
            c.a.alu_imm(Alu::Eor, Size::W, d, d, 1);
        }
    }
}

fn set(c: &mut Ctx, insn: &Insn, cc: u8) {
    condition_value(c, cc, T[0]);
    c.write(insn, 0, T[0]);
}

fn cmov(c: &mut Ctx, insn: &Insn, cc: u8) {
    let op = insn.op(0);
    let Op::Gpr { n, bytes, .. } = op else { return c.undefined(insn) };
    let (d, size) = (gpr(n), size_of(bytes as u32));
    let source = c.read(insn, 1, T[0]);
    let live = c.live;
    let out = if bytes == 2 { T[1] } else { d };
    match condition(c, cc, live) {
        Test::Cond(cond) => c.a.csel(size, out, source, d, cond),
        Test::Bit(r, sense) => {
            // No host condition, and the host's flags may be live: a mask.
            c.a.sbfx(Size::X, T[5], r, 0, 1);
            let (when_set, when_clear) = if sense { (source, d) } else { (d, source) };
            c.a.alu(Alu::And, Size::X, T[2], when_set, T[5]);
            c.a.alu(Alu::Bic, Size::X, T[3], when_clear, T[5]);
            c.a.alu(Alu::Orr, size, out, T[2], T[3]);
        }
    }
    if bytes == 2 {
        c.write_gpr(op, out);
    }
}

fn carry_constant(c: &mut Ctx, value: bool) {
    if !c.needs(CF) {
        return;
    }
    c.a.read_nzcv(T[0]);
    let bit = 1 << 29;
    if value == (c.carry == Carry::Direct) {
        c.a.alu_imm(Alu::Orr, Size::X, T[0], T[0], bit);
    } else {
        c.a.alu_imm(Alu::And, Size::X, T[0], T[0], !bit);
    }
    c.a.write_nzcv(T[0]);
}

/// Writes CF and OF (registers that hold 0 or 1 in bit 0) into the host's flags; N and Z stay. Uses S1.
pub fn write_cf_of(c: &mut Ctx, cf: Option<X>, of: Option<X>) {
    c.a.read_nzcv(S1);
    if let Some(r) = cf {
        c.a.bfi(Size::X, S1, r, 29, 1);
        if c.carry == Carry::Inverted {
            c.a.alu_imm(Alu::Eor, Size::X, S1, S1, 1 << 29);
        }
    }
    if let Some(r) = of {
        c.a.bfi(Size::X, S1, r, 28, 1);
    }
    c.a.write_nzcv(S1);
}

/// N and Z of the low `bytes` of `r`, which holds at least 32 bits; CF and OF clear, as logic leaves them. Where CF is live, a comparison with
/// zero gives it in canonical polarity; for 4 and 8 bytes at no cost.
pub fn nz_flags(c: &mut Ctx, bytes: u32, r: X) {
    let compare = c.needs(CF);
    match (bytes, compare) {
        (4 | 8, true) => c.a.alu_imm(Alu::Subs, size_of(bytes), ZR, r, 0),
        (4 | 8, false) => c.a.alu(Alu::Ands, size_of(bytes), ZR, r, r),
        (n, true) => {
            c.a.shift_imm(Shift::Lsl, Size::W, S1, r, 32 - 8 * n);
            c.a.alu_imm(Alu::Subs, Size::W, ZR, S1, 0);
        }
        (n, false) => c.a.alu_shift(Alu::Adds, Size::W, ZR, ZR, r, Shift::Lsl, 32 - 8 * n),
    }
    c.carry = if compare { Carry::Inverted } else { Carry::Direct };
}

/// All flags of a logic operation with result `r`.
pub fn logic_flags(c: &mut Ctx, bytes: u32, r: X) {
    nz_flags(c, bytes, r);
    if c.needs(crate::decode::PF | crate::decode::AF) {
        c.a.mov(Size::X, PFR, r);
    }
}

fn lahf(c: &mut Ctx, _insn: &Insn) {
    c.helper(Id::ReadFlags);
    c.a.bfi(Size::X, gpr(0), T[0], 8, 8);
}

fn sahf(c: &mut Ctx, _insn: &Insn) {
    c.a.ubfx(Size::W, T[1], gpr(0), 8, 8);
    c.helper(Id::Sahf);
}

fn pushf(c: &mut Ctx, _insn: &Insn, bytes: u32) {
    c.helper(Id::ReadFlags);
    if bytes == 8 {
        c.push(T[0]);
    } else {
        c.a.alu_imm(Alu::Sub, Size::X, T[6], gpr(4), 2);
        c.store_mem(2, T[0], crate::emit::Mem::Off(T[6], 0));
        c.a.mov(Size::X, gpr(4), T[6]);
    }
}

fn popf(c: &mut Ctx, _insn: &Insn, bytes: u32) {
    c.load_mem(bytes, T[1], crate::emit::Mem::Off(gpr(4), 0));
    c.a.mov_imm(T[2], bytes as u64);
    c.helper(Id::WriteFlags);
    c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), bytes as u64);
}
