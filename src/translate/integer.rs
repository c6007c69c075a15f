//! Arithmetic and logic on general registers.

use super::context::{Carry, Ctx, size_of};
use super::flags::nz_flags;
use super::{Row, atomic};
use crate::decode::{AF, CF, End, Flow, Insn, Mnemonic, OF, Op, PF, SF, STATUS, ZF};
use crate::emit::regs::*;
use crate::emit::{Alu, Asm, Shift, Size};
use crate::optimize::Opt;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Add, |c, i| arith(c, i, Kind::Add)),
        (Sub, |c, i| arith(c, i, Kind::Sub)),
        (Adc, |c, i| arith(c, i, Kind::Adc)),
        (Sbb, |c, i| arith(c, i, Kind::Sbb)),
        (And, |c, i| arith(c, i, Kind::And)),
        (Or, |c, i| arith(c, i, Kind::Or)),
        (Xor, |c, i| arith(c, i, Kind::Xor)),
        (Cmp, cmp),
        (Test, test),
        (Inc, |c, i| step(c, i, Kind::Add)),
        (Dec, |c, i| step(c, i, Kind::Sub)),
        (Neg, neg),
        (Not, not),
        (Nop, |_, _| {}),
        (Endbr64, |_, _| {}),
        (Endbr32, |_, _| {}),
        (Pause, |_, _| {}),
    ]
};

/// Two-operand operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    Add,
    Sub,
    Adc,
    Sbb,
    And,
    Or,
    Xor,
}

impl Kind {
    fn logic(self) -> bool {
        matches!(self, Kind::And | Kind::Or | Kind::Xor)
    }
    /// The host's operation without flags.
    pub fn plain(self) -> Alu {
        match self {
            Kind::Add | Kind::Adc => Alu::Add,
            Kind::Sub | Kind::Sbb => Alu::Sub,
            Kind::And => Alu::And,
            Kind::Or => Alu::Orr,
            Kind::Xor => Alu::Eor,
        }
    }
    /// The same of logic with the second operand inverted.
    fn with_inverted(self) -> Alu {
        match self {
            Kind::And => Alu::Bic,
            Kind::Or => Alu::Orn,
            _ => Alu::Eon,
        }
    }
    fn with_flags(self) -> Alu {
        match self {
            Kind::Add | Kind::Adc => Alu::Adds,
            Kind::Sub | Kind::Sbb => Alu::Subs,
            _ => Alu::Ands,
        }
    }
}

/// The operation of one of these mnemonics.
pub fn kind(mnemonic: Mnemonic) -> Kind {
    match mnemonic {
        Mnemonic::Add => Kind::Add,
        Mnemonic::Sub => Kind::Sub,
        Mnemonic::Or => Kind::Or,
        Mnemonic::Xor => Kind::Xor,
        _ => Kind::And,
    }
}

/// The second operand of [`compute`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A register; the low bytes count.
    Reg(X),
    /// A constant, already cut to the operand size.
    Imm(u64),
}

fn emit(a: &mut Asm, op: Alu, size: Size, d: X, n: X, b: Source) {
    match b {
        Source::Reg(m) => a.alu(op, size, d, n, m),
        Source::Imm(v) => a.alu_imm(op, size, d, n, v),
    }
}

/// `d = a kind b` with those flags that are live. `d` may be `a` or `b`; `ZR` where only flags are wanted. Above the low `bytes` `d` is not
/// defined for 1 and 2 bytes. Uses T4, T5.
pub fn compute(c: &mut Ctx, kind: Kind, bytes: u32, d: X, a: X, b: Source) {
    compute_read(c, kind, bytes, d, a, b, [false; 2]);
}

/// The same where it is known which of the two operands are zero-extended already.
fn compute_read(c: &mut Ctx, kind: Kind, bytes: u32, d: X, a: X, b: Source, extended: [bool; 2]) {
    let parity = c.needs(PF | AF);
    // Of which register PF is: where only flags are wanted the result goes to its place at once, and that of a register with itself is there.
    let only_flags = d == ZR;
    let itself = kind == Kind::And && only_flags && b == Source::Reg(a);
    let d = if only_flags && parity && !itself { PFR } else { d };
    if c.needs(AF) && !kind.logic() {
        match b {
            // Only bit 4 counts, and not every constant fits.
            Source::Imm(v) if v & 0x10 == 0 => c.a.mov(Size::X, AFX, a),
            Source::Imm(_) => c.a.alu_imm(Alu::Eor, Size::X, AFX, a, 0x10),
            Source::Reg(m) => c.a.alu(Alu::Eor, Size::X, AFX, a, m),
        }
    }
    let nzcv = c.needs(ZF | SF | CF | OF);
    match kind {
        Kind::Adc | Kind::Sbb => carried(c, kind, bytes, d, a, b, nzcv),
        _ if bytes >= 4 => wide(c, kind, size_of(bytes), d, a, b, nzcv),
        _ => narrow(c, kind, bytes, d, a, b, nzcv, extended),
    }
    if parity && d != PFR {
        c.a.mov(Size::X, PFR, if itself { a } else { d });
    }
}

/// May AND leave the carry in the polarity that it has by itself? It does where the block ends in a jump that [takes either](Ctx::late_carry) and nothing reads it before.
fn carry_may_stay(c: &Ctx) -> bool {
    let block = &c.region.blocks[c.block];
    !c.again
        && c.late_carry()
        && c.options.switches.on(Opt::InlineLookup)
        && matches!(block.end, End::Flow(Flow::Return | Flow::JumpIndirect | Flow::CallIndirect))
        && c.region.insns[c.index + 1..block.first + block.count].iter().all(|i| i.flags.reads & CF == 0)
}

fn wide(c: &mut Ctx, kind: Kind, size: Size, d: X, a: X, b: Source, nzcv: bool) {
    match kind {
        Kind::Add | Kind::Sub if nzcv => {
            emit(&mut c.a, kind.with_flags(), size, d, a, b);
            c.carry = if kind == Kind::Add { Carry::Direct } else { Carry::Inverted };
        }
        Kind::And if nzcv && (!c.needs(CF) || carry_may_stay(c)) => {
            emit(&mut c.a, Alu::Ands, size, d, a, b);
            c.carry = Carry::Direct;
        }
        Kind::And | Kind::Or | Kind::Xor if nzcv => {
            let same = kind == Kind::And && b == Source::Reg(a);
            let result = match (d, same) {
                (ZR, true) => a,
                (ZR, false) => T[5],
                _ => d,
            };
            // A register on itself: nothing to compute, but a 32-bit destination is still cut.
            if !(same && (d == ZR || d == a && size == Size::X)) {
                emit(&mut c.a, kind.plain(), size, result, a, b);
            }
            nz_flags(c, if size == Size::X { 8 } else { 4 }, result);
        }
        _ if d == ZR => {}
        _ => emit(&mut c.a, kind.plain(), size, d, a, b),
    }
}

#[allow(clippy::too_many_arguments)] // As `compute`'s, and what that knows.
#[inline(never)]
fn narrow(c: &mut Ctx, kind: Kind, bytes: u32, d: X, a: X, b: Source, nzcv: bool, extended: [bool; 2]) {
    let up = 32 - 8 * bytes;
    let (t, t2) = (T[4], T[5]);
    if kind.logic() {
        let itself = kind == Kind::And && b == Source::Reg(a) && d == ZR;
        let d = if d == ZR { t2 } else { d };
        // Without the sign bit the flags of 32 bits are those of the operand.
        if let (Kind::And, Source::Imm(v)) = (kind, b)
            && v >> (8 * bytes - 1) == 0
            && nzcv
            && (!c.needs(CF) || carry_may_stay(c))
        {
            emit(&mut c.a, Alu::Ands, Size::W, d, a, b);
            c.carry = Carry::Direct;
            return;
        }
        if !itself {
            emit(&mut c.a, kind.plain(), Size::W, d, a, b);
        }
        if nzcv {
            nz_flags(c, bytes, if itself { a } else { d });
        }
        return;
    }
    if !nzcv {
        if d != ZR {
            emit(&mut c.a, kind.plain(), Size::W, d, a, b);
        }
        return;
    }
    if kind == Kind::Sub && !c.needs(SF | OF) {
        // Z and the borrow are right for zero-extended operands too.
        let mut extend = |t, r, known| {
            if known {
                return r;
            }
            c.a.zext(bytes, t, r);
            t
        };
        let a = extend(t, a, extended[0]);
        let b = match b {
            Source::Reg(m) => Source::Reg(extend(t2, m, extended[1])),
            imm => imm,
        };
        emit(&mut c.a, Alu::Subs, Size::W, d, a, b);
        c.carry = Carry::Inverted;
        return;
    }
    // At the top of a 32-bit register all four flags come out right.
    let a_up = if a == ZR {
        ZR
    } else {
        c.a.shift_imm(Shift::Lsl, Size::W, t, a, up);
        t
    };
    let out = if d == ZR { ZR } else { t };
    match b {
        Source::Reg(m) => c.a.alu_shift(kind.with_flags(), Size::W, out, a_up, m, Shift::Lsl, up),
        Source::Imm(v) => {
            c.a.mov_imm(t2, (v << up) & 0xffff_ffff);
            c.a.alu(kind.with_flags(), Size::W, out, a_up, t2);
        }
    }
    c.carry = if kind == Kind::Add { Carry::Direct } else { Carry::Inverted };
    if d != ZR {
        c.a.shift_imm(Shift::Lsr, Size::W, d, t, up);
    }
}

/// ADC and SBB. For 1 and 2 bytes the flags are put together by hand: no shift makes Z and the carry chain right at once.
#[inline(never)]
fn carried(c: &mut Ctx, kind: Kind, bytes: u32, d: X, a: X, b: Source, nzcv: bool) {
    let add = kind == Kind::Adc;
    c.carry_to(if add { Carry::Direct } else { Carry::Inverted }, CF);
    let size = size_of(bytes);
    let b = match b {
        Source::Reg(m) => m,
        Source::Imm(0) => ZR,
        Source::Imm(v) => {
            c.a.constant(T[5], v);
            T[5]
        }
    };
    if bytes >= 4 || !nzcv {
        match (add, nzcv) {
            (true, true) => c.a.adcs(size, d, a, b),
            (true, false) => c.a.adc(size, d, a, b),
            (false, true) => c.a.sbcs(size, d, a, b),
            (false, false) => c.a.sbc(size, d, a, b),
        }
        return;
    }
    let bits = 8 * bytes;
    let (x, y, r) = (T[4], S1, T[6]);
    c.a.zext(bytes, x, a);
    c.a.zext(bytes, y, b);
    if add {
        c.a.adc(Size::W, r, x, y);
        c.a.alu(Alu::Eor, Size::W, x, x, r);
        c.a.alu(Alu::Eor, Size::W, y, y, r);
    } else {
        c.a.sbc(Size::W, r, x, y);
        c.a.alu(Alu::Eor, Size::W, y, y, x);
        c.a.alu(Alu::Eor, Size::W, x, x, r);
    }
    // V: both differences have the sign bit. C: bit `bits` of the wide result (carry, or borrow by its sign).
    c.a.alu(Alu::And, Size::W, x, x, y);
    c.a.ubfx(Size::W, x, x, bits - 1, 1);
    c.a.ubfx(Size::W, y, r, bits, 1);
    if !add {
        c.a.alu_imm(Alu::Eor, Size::W, y, y, 1);
    }
    c.a.alu_shift(Alu::Adds, Size::W, ZR, ZR, r, Shift::Lsl, 32 - bits);
    c.a.alu_shift(Alu::Orr, Size::W, x, x, y, Shift::Lsl, 1);
    c.a.read_nzcv(y);
    c.a.bfi(Size::X, y, x, 28, 2);
    c.a.write_nzcv(y);
    c.a.mov(Size::X, d, r);
}

/// The second operand: a register, or the constant cut to the operand size.
pub fn source(c: &mut Ctx, insn: &Insn, i: u32, t: X) -> Source {
    match insn.op(i) {
        Op::Imm(v) => Source::Imm(match insn.bytes(0) {
            8 => v,
            n => v & ((1 << (8 * n)) - 1),
        }),
        _ => Source::Reg(c.read(insn, i, t)),
    }
}

fn arith(c: &mut Ctx, insn: &Insn, kind: Kind) {
    let bytes = insn.bytes(0);
    if insn.lock() {
        return atomic::locked(c, insn, kind);
    }
    match insn.op(0) {
        Op::Mem => {
            let b = source(c, insn, 1, T[1]);
            let mem = c.mem(insn);
            if matches!(kind, Kind::Adc | Kind::Sbb) {
                // A store that faults must find the carry as it was: the instruction will run again.
                c.carry_to(if kind == Kind::Adc { Carry::Direct } else { Carry::Inverted }, CF);
                c.load_mem(bytes, T[0], mem);
                let live = std::mem::take(&mut c.live);
                compute(c, kind, bytes, T[2], T[0], b);
                c.store_mem(bytes, T[2], mem);
                c.live = live;
                if live != 0 {
                    compute(c, kind, bytes, T[2], T[0], b);
                }
                return;
            }
            c.load_mem(bytes, T[0], mem);
            compute(c, kind, bytes, T[2], T[0], b);
            c.store_mem(bytes, T[2], mem);
        }
        Op::Gpr { n, high: false, .. } if bytes >= 4 => {
            let d = gpr(n);
            if insn.op(1) == insn.op(0) && kind == Kind::Xor {
                c.a.mov_imm(d, 0);
                if c.needs(ZF | SF | CF | OF) {
                    nz_flags(c, 4, d);
                }
                if c.needs(PF | AF) {
                    c.a.mov(Size::X, PFR, d);
                }
                return;
            }
            let b = source(c, insn, 1, T[1]);
            if let (Some(inverted), Source::Reg(b)) = (c.first_inverted(), b) {
                return c.a.alu(kind.with_inverted(), size_of(bytes), d, b, inverted);
            }
            let a = c.first(n);
            compute(c, kind, bytes, d, a, b);
        }
        op => {
            let b = source(c, insn, 1, T[1]);
            // Logic with a constant leaves the rest of the register alone by itself.
            if let (Op::Gpr { n, bytes, high: false }, Source::Imm(v)) = (op, b)
                && kind.logic()
                && !c.needs(STATUS)
            {
                let rest = if kind == Kind::And { u64::MAX << (8 * u32::from(bytes)) } else { 0 };
                return c.a.alu_imm(kind.plain(), Size::X, gpr(n), gpr(n), v | rest);
            }
            let a = c.read(insn, 0, T[0]);
            compute(c, kind, bytes, T[2], a, b);
            c.write_gpr(op, T[2]);
        }
    }
}

fn cmp(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    if insn.op(1) == Op::Imm(0) && zero_branch(c, insn) {
        return;
    }
    let a = c.read(insn, 0, T[0]);
    let b = source(c, insn, 1, T[1]);
    if bytes >= 4 {
        return compute(c, Kind::Sub, bytes, ZR, a, b);
    }
    // What memory and the second byte of a register give.
    let extended = [0, 1].map(|i| match insn.op(i) {
        Op::Mem | Op::Gpr { high: true, .. } => true,
        Op::Gpr { n, bytes: bytes @ (1 | 2), .. } => c.is_extended(n, bytes),
        _ => false,
    });
    compute_read(c, Kind::Sub, bytes, ZR, a, b, extended);
}

fn test(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    if insn.op(1) == insn.op(0) && zero_branch(c, insn) {
        return;
    }
    let a = c.read(insn, 0, T[0]);
    let b = source(c, insn, 1, T[1]);
    compute(c, Kind::And, bytes, ZR, a, b);
}

/// If the next instruction is a branch on ZF alone, and nothing reads flags after it, leaves the comparison of operand 0 with zero to it: a whole
/// register as it is, anything else zero-extended in T0, which nothing uses in between.
fn zero_branch(c: &mut Ctx, insn: &Insn) -> bool {
    if c.again || !c.options.switches.on(Opt::ZeroBranch) || !c.options.switches.on(Opt::DeadFlags) {
        return false;
    }
    let block = &c.region.blocks[c.block];
    let end = block.first + block.count;
    match c.region.insns.get(c.index + 1) {
        // In the same block: a head in between would be entered with no comparison made.
        Some(next) if c.index + 1 < end && matches!(next.mnemonic(), Mnemonic::Je | Mnemonic::Jne) && c.live_behind(next) == 0 => {
            c.zero_test = Some(match insn.op(0) {
                Op::Gpr { n, bytes, .. } if bytes >= 4 => (gpr(n), size_of(bytes as u32)),
                _ => (c.read_zx(insn, 0, T[0]), Size::X),
            });
            true
        }
        _ => false,
    }
}

/// PF and AF of ADD, SUB, INC or DEC of register `n`, from its result and the second operand, a register or a constant.
pub fn sum_flags(c: &mut Ctx, insn: &Insn, n: u8, bytes: u32) {
    let d = gpr(n);
    if c.needs(AF) {
        // Only bit 4 counts, and what lies below.
        let back = if matches!(insn.mnemonic(), Mnemonic::Add | Mnemonic::Inc) { Alu::Sub } else { Alu::Add };
        let second = if insn.op_count() == 1 { Source::Imm(1) } else { source(c, insn, 1, T[1]) };
        match second {
            Source::Imm(v) => {
                c.a.alu_imm(back, Size::X, AFX, d, v & 0x1f);
                if v & 0x10 != 0 {
                    c.a.alu_imm(Alu::Eor, Size::X, AFX, AFX, 0x10);
                }
            }
            Source::Reg(m) => {
                c.a.alu(back, Size::X, AFX, d, m);
                c.a.alu(Alu::Eor, Size::X, AFX, AFX, m);
            }
        }
    }
    c.a.mov(size_of(bytes), PFR, d);
}

/// INC, DEC: CF stays.
fn step(c: &mut Ctx, insn: &Insn, kind: Kind) {
    let bytes = insn.bytes(0);
    if insn.lock() {
        return atomic::locked_step(c, insn, kind);
    }
    match insn.op(0) {
        Op::Mem => {
            let mem = c.mem(insn);
            c.load_mem(bytes, T[0], mem);
            c.a.alu_imm(kind.plain(), size_of(bytes), T[2], T[0], 1);
            c.store_mem(bytes, T[2], mem);
            step_flags(c, kind, bytes, T[2], T[0]);
        }
        Op::Gpr { n, high: false, .. } if bytes >= 4 => {
            let a = c.first(n);
            step_flags(c, kind, bytes, gpr(n), a);
        }
        op => {
            let a = c.read(insn, 0, T[0]);
            step_flags(c, kind, bytes, T[2], a);
            c.write_gpr(op, T[2]);
        }
    }
}

/// `d = a ± 1` with its flags, CF kept where it is live.
pub fn step_flags(c: &mut Ctx, kind: Kind, bytes: u32, d: X, a: X) {
    let keep = c.needs(CF) && c.needs(ZF | SF | OF);
    if c.needs(CF) && !keep {
        let live = c.live;
        c.live &= PF | AF;
        compute(c, kind, bytes, d, a, Source::Imm(1));
        c.live = live;
        return;
    }
    let before = c.carry;
    if keep {
        c.a.read_nzcv(T[6]);
    }
    compute(c, kind, bytes, d, a, Source::Imm(1));
    if keep {
        c.a.read_nzcv(S1);
        c.a.shift_imm(Shift::Lsr, Size::X, T[6], T[6], 29);
        c.a.bfi(Size::X, S1, T[6], 29, 1);
        c.a.write_nzcv(S1);
        c.carry = before;
    }
}

fn neg(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    if insn.lock() {
        return atomic::locked_neg(c, insn);
    }
    match insn.op(0) {
        Op::Mem => {
            let mem = c.mem(insn);
            c.load_mem(bytes, T[0], mem);
            compute(c, Kind::Sub, bytes, T[2], ZR, Source::Reg(T[0]));
            c.store_mem(bytes, T[2], mem);
        }
        Op::Gpr { n, high: false, .. } if bytes >= 4 => {
            let a = c.first(n);
            compute(c, Kind::Sub, bytes, gpr(n), ZR, Source::Reg(a));
        }
        op => {
            let a = c.read(insn, 0, T[0]);
            compute(c, Kind::Sub, bytes, T[2], ZR, Source::Reg(a));
            c.write_gpr(op, T[2]);
        }
    }
}

fn not(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    if insn.lock() {
        return atomic::locked_not(c, insn);
    }
    match insn.op(0) {
        Op::Mem => {
            let mem = c.mem(insn);
            c.load_mem(bytes, T[0], mem);
            c.a.alu(Alu::Orn, Size::X, T[0], ZR, T[0]);
            c.store_mem(bytes, T[0], mem);
        }
        Op::Gpr { n, high: false, .. } if bytes >= 4 => {
            let a = c.first_number(n);
            if !c.leaves_out_not(n, a, bytes as u8) {
                c.a.alu(Alu::Orn, size_of(bytes), gpr(n), ZR, gpr(a));
            }
        }
        op => {
            let a = c.read(insn, 0, T[0]);
            c.a.alu(Alu::Orn, Size::X, T[0], ZR, a);
            c.write_gpr(op, T[0]);
        }
    }
}
