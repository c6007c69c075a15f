//! Moves, arithmetic and logic on general registers.

use super::context::{Carry, Ctx, size_of};
use super::flags::nz_flags;
use super::{Row, atomic};
use crate::decode::{AF, CF, Insn, Mnemonic, OF, Op, PF, SF, ZF};
use crate::emit::regs::*;
use crate::emit::{Alu, Asm, Mem, Shift, Size};

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Mov, mov),
        (Movzx, movzx),
        (Movsx, movsx),
        (Movsxd, movsx),
        (Lea, lea),
        (Push, push),
        (Pop, pop),
        (Leave, leave),
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
        (Bswap, bswap),
        (Cbw, |c, _| widen(c, 1, 2)),
        (Cwde, |c, _| widen(c, 2, 4)),
        (Cdqe, |c, _| widen(c, 4, 8)),
        (Cwd, |c, _| spread(c, 2)),
        (Cdq, |c, _| spread(c, 4)),
        (Cqo, |c, _| spread(c, 8)),
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
    fn with_flags(self) -> Alu {
        match self {
            Kind::Add | Kind::Adc => Alu::Adds,
            Kind::Sub | Kind::Sbb => Alu::Subs,
            _ => Alu::Ands,
        }
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
    let parity = c.needs(PF | AF);
    // PF and AF want the result in a register.
    let d = if d == ZR && parity { T[5] } else { d };
    if c.needs(AF) && !kind.logic() {
        emit(&mut c.a, Alu::Eor, Size::X, AFX, a, b);
    }
    let nzcv = c.needs(ZF | SF | CF | OF);
    match kind {
        Kind::Adc | Kind::Sbb => carried(c, kind, bytes, d, a, b, nzcv),
        _ if bytes >= 4 => wide(c, kind, size_of(bytes), d, a, b, nzcv),
        _ => narrow(c, kind, bytes, d, a, b, nzcv),
    }
    if parity {
        c.a.mov(Size::X, PFR, d);
    }
}

fn wide(c: &mut Ctx, kind: Kind, size: Size, d: X, a: X, b: Source, nzcv: bool) {
    match kind {
        Kind::Add | Kind::Sub if nzcv => {
            emit(&mut c.a, kind.with_flags(), size, d, a, b);
            c.carry = if kind == Kind::Add { Carry::Direct } else { Carry::Inverted };
        }
        Kind::And if nzcv && !c.needs(CF) => {
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

fn narrow(c: &mut Ctx, kind: Kind, bytes: u32, d: X, a: X, b: Source, nzcv: bool) {
    let up = 32 - 8 * bytes;
    let (t, t2) = (T[4], T[5]);
    if kind.logic() {
        let d = if d == ZR { t2 } else { d };
        let result = if kind == Kind::And && b == Source::Reg(a) && d == t2 { a } else { d };
        if result == d {
            emit(&mut c.a, kind.plain(), Size::W, d, a, b);
        } else if c.needs(PF | AF) {
            c.a.mov(Size::X, d, a);
        }
        if nzcv {
            nz_flags(c, bytes, result);
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
        // Z and the borrow are right for zero-extended operands too, and memory operands are so already.
        c.a.zext(bytes, t, a);
        let b = match b {
            Source::Reg(m) => {
                c.a.zext(bytes, t2, m);
                Source::Reg(t2)
            }
            imm => imm,
        };
        emit(&mut c.a, Alu::Subs, Size::W, d, t, b);
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
            compute(c, kind, bytes, d, d, b);
        }
        op => {
            let a = c.read(insn, 0, T[0]);
            let b = source(c, insn, 1, T[1]);
            compute(c, kind, bytes, T[2], a, b);
            c.write_gpr(op, T[2]);
        }
    }
}

fn cmp(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    if insn.op(1) == Op::Imm(0) && bytes >= 4 && zero_branch(c, insn) {
        return;
    }
    let a = c.read(insn, 0, T[0]);
    let b = source(c, insn, 1, T[1]);
    compute(c, Kind::Sub, bytes, ZR, a, b);
}

fn test(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    if insn.op(1) == insn.op(0) && bytes >= 4 && zero_branch(c, insn) {
        return;
    }
    let a = c.read(insn, 0, T[0]);
    let b = source(c, insn, 1, T[1]);
    compute(c, Kind::And, bytes, ZR, a, b);
}

/// If the next instruction is a branch on ZF alone, and nothing reads flags after it, leaves the comparison to it.
fn zero_branch(c: &mut Ctx, insn: &Insn) -> bool {
    let Op::Gpr { n, bytes, .. } = insn.op(0) else { return false };
    if !c.options.switches.on(crate::optimize::Opt::ZeroBranch) || !c.options.switches.on(crate::optimize::Opt::DeadFlags) {
        return false;
    }
    match c.region.insns.get(c.index + 1) {
        Some(next) if matches!(next.mnemonic(), Mnemonic::Je | Mnemonic::Jne) && next.live == 0 && next.addr() == insn.next() => {
            // A loop head in between would be entered with no comparison made.
            if c.region.block_at(next.addr()).is_some() {
                return false;
            }
            c.zero_test = Some((gpr(n), size_of(bytes as u32)));
            true
        }
        _ => false,
    }
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
        Op::Gpr { n, high: false, .. } if bytes >= 4 => step_flags(c, kind, bytes, gpr(n), gpr(n)),
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
        Op::Gpr { n, high: false, .. } if bytes >= 4 => compute(c, Kind::Sub, bytes, gpr(n), ZR, Source::Reg(gpr(n))),
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
        Op::Gpr { n, high: false, .. } if bytes >= 4 => c.a.alu(Alu::Orn, size_of(bytes), gpr(n), ZR, gpr(n)),
        op => {
            let a = c.read(insn, 0, T[0]);
            c.a.alu(Alu::Orn, Size::X, T[0], ZR, a);
            c.write_gpr(op, T[0]);
        }
    }
}

/// Selectors as the kernel sets them for 64-bit programs: ES CS SS DS FS GS.
const SELECTORS: [u64; 6] = [0, 0x33, 0x2b, 0, 0, 0];

fn mov(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    match (insn.op(0), insn.op(1)) {
        (_, Op::Segment(s)) => {
            c.a.mov_imm(T[0], SELECTORS[s as usize]);
            c.write(insn, 0, T[0]);
        }
        (Op::Segment(_), _) => {
            // Null and the flat user selectors load without effect in 64-bit mode (the bases of FS and GS are kept apart); others do not exist.
            let v = c.read_zx(insn, 1, T[0]);
            let bad = c.cold(|c| c.raise(super::context::exception::GENERAL_PROTECTION));
            let done = c.a.label();
            c.a.alu_imm(Alu::And, Size::W, T[1], v, 0xffff);
            for allowed in [0, 1, 2, 3, 0x2b] {
                c.a.alu_imm(Alu::Sub, Size::W, T[2], T[1], allowed);
                c.a.cbz(Size::W, T[2], done);
            }
            c.a.b(bad);
            c.a.bind(done);
        }
        (Op::Gpr { .. }, Op::Other) | (Op::Other, _) => c.raise(super::context::exception::GENERAL_PROTECTION),
        (Op::Mem, Op::Imm(0)) => c.write(insn, 0, ZR),
        (Op::Gpr { n, high: false, .. }, Op::Imm(v)) if bytes >= 4 => c.a.constant(gpr(n), if bytes == 4 { v & 0xffff_ffff } else { v }),
        (Op::Gpr { n, high: false, .. }, Op::Mem) if bytes >= 4 => {
            let mem = c.mem(insn);
            c.load_mem(bytes, gpr(n), mem);
        }
        _ => {
            let v = c.read(insn, 1, T[0]);
            c.write(insn, 0, v);
        }
    }
}

fn movzx(c: &mut Ctx, insn: &Insn) {
    match insn.op(0) {
        Op::Gpr { n, bytes: 4 | 8, .. } => {
            let v = c.read_zx(insn, 1, gpr(n));
            c.a.mov(Size::X, gpr(n), v);
        }
        op => {
            let v = c.read_zx(insn, 1, T[0]);
            c.write_gpr(op, v);
        }
    }
}

fn movsx(c: &mut Ctx, insn: &Insn) {
    match insn.op(0) {
        Op::Gpr { n, bytes, .. } if bytes >= 4 => {
            c.read_sx(insn, 1, size_of(bytes as u32), gpr(n));
        }
        op => {
            let v = c.read_sx(insn, 1, Size::W, T[0]);
            c.write_gpr(op, v);
        }
    }
}

fn lea(c: &mut Ctx, insn: &Insn) {
    let op = insn.op(0);
    let Op::Gpr { n, bytes, .. } = op else { return c.undefined(insn) };
    let m = insn.memory();
    if m.rip && bytes == 8 && !m.addr32 {
        return c.a.guest_address(gpr(n), m.disp as u64);
    }
    let mem = c.effective_address(insn);
    let size = size_of(bytes as u32);
    let d = if bytes == 2 { T[0] } else { gpr(n) };
    match mem {
        Mem::Off(b, 0) => c.a.mov(size, d, b),
        Mem::Off(b, off) => c.a.alu_imm(Alu::Add, size, d, b, off as u64),
        Mem::Idx(b, x, s) => c.a.alu_shift(Alu::Add, size, d, b, x, Shift::Lsl, s),
    }
    if bytes == 2 {
        c.write_gpr(op, d);
    }
}

fn push(c: &mut Ctx, insn: &Insn) {
    use super::context::exception::GENERAL_PROTECTION;
    let word = insn.raw.stack_pointer_increment() == -2;
    let v = match insn.op(0) {
        Op::Imm(v) => {
            c.a.constant(T[0], v);
            T[0]
        }
        Op::Segment(s) => {
            c.a.mov_imm(T[0], SELECTORS[s as usize]);
            T[0]
        }
        Op::Other => return c.raise(GENERAL_PROTECTION),
        _ => c.read(insn, 0, T[0]),
    };
    if word {
        c.a.alu_imm(Alu::Sub, Size::X, T[6], gpr(4), 2);
        c.store_mem(2, v, Mem::Off(T[6], 0));
        c.a.mov(Size::X, gpr(4), T[6]);
    } else {
        c.push(v);
    }
}

fn pop(c: &mut Ctx, insn: &Insn) {
    let step = insn.raw.stack_pointer_increment() as i64;
    let bytes = step as u32;
    match insn.op(0) {
        Op::Gpr { n, bytes: 8, .. } => c.pop(gpr(n)),
        Op::Mem => {
            c.load_mem(bytes, T[0], Mem::Off(gpr(4), 0));
            // The address of the destination is computed with RSP as it is after the pop (SDM, POP).
            let m = insn.memory();
            let mem = c.mem(insn);
            let mem = if m.base == Some(4) {
                match mem {
                    Mem::Off(n, off) => Mem::Off(n, off + step),
                    Mem::Idx(..) => {
                        c.a.lea(T[7], mem);
                        Mem::Off(T[7], step)
                    }
                }
            } else {
                mem
            };
            c.store_mem(bytes, T[0], mem);
            c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), step as u64);
        }
        Op::Segment(_) => {
            // POP FS, POP GS: the selector is not kept; see `mov`.
            c.load_mem(bytes, T[0], Mem::Off(gpr(4), 0));
            c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), step as u64);
        }
        op => {
            c.load_mem(bytes, T[0], Mem::Off(gpr(4), 0));
            c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), step as u64);
            c.write_gpr(op, T[0]);
        }
    }
}

fn leave(c: &mut Ctx, insn: &Insn) {
    let bytes = if insn.code() == crate::decode::Code::Leavew { 2 } else { 8 };
    c.load_mem(bytes, T[0], Mem::Off(gpr(5), 0));
    c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(5), bytes as u64);
    if bytes == 2 { c.a.bfi(Size::X, gpr(5), T[0], 0, 16) } else { c.a.mov(Size::X, gpr(5), T[0]) }
}

fn bswap(c: &mut Ctx, insn: &Insn) {
    match insn.op(0) {
        Op::Gpr { n, bytes: 8, .. } => c.a.rev(Size::X, gpr(n), gpr(n)),
        Op::Gpr { n, bytes: 4, .. } => c.a.rev(Size::W, gpr(n), gpr(n)),
        // Undefined by the manual; processors clear the word.
        op => c.write_gpr(op, ZR),
    }
}

fn widen(c: &mut Ctx, from: u32, to: u32) {
    match to {
        2 => {
            c.a.sbfx(Size::W, T[0], gpr(0), 0, 8 * from);
            c.a.bfi(Size::X, gpr(0), T[0], 0, 16);
        }
        _ => c.a.sbfx(size_of(to), gpr(0), gpr(0), 0, 8 * from),
    }
}

fn spread(c: &mut Ctx, bytes: u32) {
    match bytes {
        2 => {
            c.a.sbfx(Size::W, T[0], gpr(0), 15, 1);
            c.a.bfi(Size::X, gpr(2), T[0], 0, 16);
        }
        n => c.a.shift_imm(Shift::Asr, size_of(n), gpr(2), gpr(0), 8 * n - 1),
    }
}
