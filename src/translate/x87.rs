//! x87: memory operands move in translated code, and what is only moved does so altogether (`x87_quick`); everything else happens in the helper `Fpu`.

use super::Row;
use super::context::Ctx;
use super::flags::{Test, condition};
use super::x87_quick::{self as quick, Stack, or_slow};
use crate::decode::{Code, Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::{Alu, Mem, Order, Size, Width};
use crate::guest::CpuState;
use crate::guest::state::X87;
use crate::helpers::{FpuOp, Id, NOTED, WITH_DATA};
use std::mem::offset_of;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Fld, load),
        (Fild, |c, i| load_integer(c, i)),
        (Fbld, |c, i| {
            wide_operand(c, i);
            run(c, FpuOp::LdBcd, 0);
        }),
        (Fld1, |c, i| or_slow(c, i, |c, _| run(c, FpuOp::LdConst, 0), |c, slow| quick::load_constant(c, 1 << 63, 16383, slow))),
        (Fldl2t, |c, _| run(c, FpuOp::LdConst, 1)),
        (Fldl2e, |c, _| run(c, FpuOp::LdConst, 2)),
        (Fldpi, |c, _| run(c, FpuOp::LdConst, 3)),
        (Fldlg2, |c, _| run(c, FpuOp::LdConst, 4)),
        (Fldln2, |c, _| run(c, FpuOp::LdConst, 5)),
        (Fldz, |c, i| or_slow(c, i, |c, _| run(c, FpuOp::LdConst, 6), |c, slow| quick::load_constant(c, 0, 0, slow))),
        (Fst, |c, i| store(c, i, false)),
        (Fstp, |c, i| store(c, i, true)),
        (Fist, |c, i| store_integer(c, i, false, false)),
        (Fistp, |c, i| store_integer(c, i, true, false)),
        (Fisttp, |c, i| store_integer(c, i, true, true)),
        (Fbstp, |c, i| {
            run(c, FpuOp::StBcd, 0);
            store_wide(c, i);
        }),
        (Fxch, |c, i| {
            let n = other_index(i);
            or_slow(c, i, |c, i| with_index(c, i, FpuOp::Xch), |c, slow| quick::exchange(c, n, slow));
        }),
        (Fadd, |c, i| arith(c, i, 0)),
        (Fmul, |c, i| arith(c, i, 1)),
        (Fsub, |c, i| arith(c, i, 4)),
        (Fsubr, |c, i| arith(c, i, 5)),
        (Fdiv, |c, i| arith(c, i, 6)),
        (Fdivr, |c, i| arith(c, i, 7)),
        (Faddp, |c, i| arith_pop(c, i, 0)),
        (Fmulp, |c, i| arith_pop(c, i, 1)),
        (Fsubp, |c, i| arith_pop(c, i, 4)),
        (Fsubrp, |c, i| arith_pop(c, i, 5)),
        (Fdivp, |c, i| arith_pop(c, i, 6)),
        (Fdivrp, |c, i| arith_pop(c, i, 7)),
        (Fiadd, |c, i| arith_integer(c, i, 0)),
        (Fimul, |c, i| arith_integer(c, i, 1)),
        (Fisub, |c, i| arith_integer(c, i, 4)),
        (Fisubr, |c, i| arith_integer(c, i, 5)),
        (Fidiv, |c, i| arith_integer(c, i, 6)),
        (Fidivr, |c, i| arith_integer(c, i, 7)),
        (Fsqrt, |c, _| run(c, FpuOp::Sqrt, 0)),
        (Frndint, |c, _| run(c, FpuOp::RndInt, 0)),
        (Fabs, |c, i| or_slow(c, i, |c, _| run(c, FpuOp::Abs, 0), |c, slow| quick::sign(c, Alu::And, 0x7fff, slow))),
        (Fchs, |c, i| or_slow(c, i, |c, _| run(c, FpuOp::Chs, 0), |c, slow| quick::sign(c, Alu::Eor, 0x8000, slow))),
        (Fscale, |c, _| run(c, FpuOp::Scale, 0)),
        (Fprem, |c, _| run(c, FpuOp::Prem, 0)),
        (Fprem1, |c, _| run(c, FpuOp::Prem1, 0)),
        (Fxtract, |c, _| run(c, FpuOp::Xtract, 0)),
        (Fsin, |c, _| run(c, FpuOp::Sin, 0)),
        (Fcos, |c, _| run(c, FpuOp::Cos, 0)),
        (Fsincos, |c, _| run(c, FpuOp::SinCos, 0)),
        (Fptan, |c, _| run(c, FpuOp::Ptan, 0)),
        (Fpatan, |c, _| run(c, FpuOp::Patan, 0)),
        (F2xm1, |c, _| run(c, FpuOp::Exp2M1, 0)),
        (Fyl2x, |c, _| run(c, FpuOp::YLog2, 0)),
        (Fyl2xp1, |c, _| run(c, FpuOp::YLog2P1, 0)),
        (Ftst, |c, _| run(c, FpuOp::Tst, 0)),
        (Fxam, |c, _| run(c, FpuOp::Xam, 0)),
        (Fcom, |c, i| compare(c, i, FpuOp::ComSt, 0)),
        (Fcomp, |c, i| compare(c, i, FpuOp::ComSt, 1)),
        (Fcompp, |c, i| compare(c, i, FpuOp::ComSt, 2)),
        (Fucom, |c, i| compare(c, i, FpuOp::UcomSt, 0)),
        (Fucomp, |c, i| compare(c, i, FpuOp::UcomSt, 1)),
        (Fucompp, |c, i| compare(c, i, FpuOp::UcomSt, 2)),
        (Ficom, |c, i| compare_integer(c, i, 0)),
        (Ficomp, |c, i| compare_integer(c, i, 1)),
        (Fcomi, |c, i| compare(c, i, FpuOp::ComI, 0)),
        (Fcomip, |c, i| compare(c, i, FpuOp::ComI, 1)),
        (Fucomi, |c, i| compare(c, i, FpuOp::UcomI, 0)),
        (Fucomip, |c, i| compare(c, i, FpuOp::UcomI, 1)),
        (Fcmovb, |c, i| conditional(c, i, 2)),
        (Fcmovnb, |c, i| conditional(c, i, 3)),
        (Fcmove, |c, i| conditional(c, i, 4)),
        (Fcmovne, |c, i| conditional(c, i, 5)),
        (Fcmovbe, |c, i| conditional(c, i, 6)),
        (Fcmovnbe, |c, i| conditional(c, i, 7)),
        (Fcmovu, |c, i| conditional(c, i, 10)),
        (Fcmovnu, |c, i| conditional(c, i, 11)),
        (Fincstp, |c, _| run(c, FpuOp::IncStp, 0)),
        (Fdecstp, |c, _| run(c, FpuOp::DecStp, 0)),
        (Ffree, |c, i| with_index(c, i, FpuOp::Free)),
        (Ffreep, |c, i| {
            with_index(c, i, FpuOp::Free);
            run(c, FpuOp::Pop, 0);
        }),
        (Fnop, |c, _| run(c, FpuOp::Wait, 0)),
        // The 8087's and 287's modes: nothing happens.
        (Fneni, |_, _| {}),
        (Fndisi, |_, _| {}),
        (Fnsetpm, |_, _| {}),
        (Fstpnce, |c, i| store(c, i, true)),
        (Wait, |c, _| run(c, FpuOp::Wait, 0)),
        (Fninit, |c, _| run(c, FpuOp::Init, 0)),
        (Fnclex, |c, _| run(c, FpuOp::ClearEx, 0)),
        (Fldcw, |c, i| {
            let mem = c.mem(i);
            c.load_mem(2, T[2], mem);
            run(c, FpuOp::LdCw, 0);
        }),
        (Fnstcw, |c, i| {
            let at = (offset_of!(CpuState, x87) + offset_of!(X87, control)) as i64;
            c.a.load(Width::H, T[0], Mem::Off(STATE, at), Order::Plain);
            let mem = c.mem(i);
            c.store_mem(2, T[0], mem);
        }),
        (Fnstsw, |c, i| {
            run(c, FpuOp::StSw, 0);
            c.write(i, 0, T[0]);
        }),
        (Fnstenv, |c, i| save_image(c, i, FpuOp::StEnv)),
        (Fldenv, |c, i| load_image(c, i, FpuOp::LdEnv)),
        (Fnsave, |c, i| save_image(c, i, FpuOp::Save)),
        (Frstor, |c, i| load_image(c, i, FpuOp::Rstor)),
    ]
};

/// Runs an operation; operand bits in T2 and T3. All but control instructions leave their pointers for FNSTENV (SDM vol. 1, 8.1.8).
fn run(c: &mut Ctx, op: FpuOp, argument: u64) {
    let mut code = op as u64 | argument << 8;
    use FpuOp::*;
    if !matches!(op, Pop | Init | ClearEx | LdCw | StSw | Wait | StEnv | LdEnv | Save | Rstor) {
        let insn = c.region.insns[c.index];
        code |= NOTED;
        c.a.guest_address(T[4], c.at.0);
        c.store_field(T[4], offset_of!(CpuState, x87_at));
        if insn.has_memory() {
            code |= WITH_DATA;
            let mem = c.mem(&insn);
            c.a.lea(T[4], mem);
            c.store_field(T[4], offset_of!(CpuState, x87_at) + 8);
        }
    }
    c.a.mov_imm(T[1], code);
    c.helper(Id::Fpu);
}

fn index(insn: &Insn, i: u32) -> u64 {
    match insn.op(i) {
        Op::St(n) => n as u64,
        _ => 0,
    }
}

/// The stack operand that is not ST(0) where there is a choice.
fn other_index(insn: &Insn) -> u64 {
    (0..insn.op_count()).map(|i| index(insn, i)).max().unwrap_or(0)
}
fn with_index(c: &mut Ctx, insn: &Insn, op: FpuOp) {
    run(c, op, other_index(insn));
}

/// 80 bits to T2 and T3; returns where the address is.
fn wide_operand(c: &mut Ctx, insn: &Insn) -> X {
    let at = c.mem_in_register(insn);
    c.load_mem(8, T[2], Mem::Off(at, 0));
    c.load_mem(2, T[3], Mem::Off(at, 8));
    at
}

fn load(c: &mut Ctx, insn: &Insn) {
    if !insn.has_memory() {
        let i = other_index(insn);
        return or_slow(c, insn, |c, i| with_index(c, i, FpuOp::LdSt), |c, slow| quick::load_register(c, i, slow));
    }
    let bytes = insn.memory_bytes();
    if bytes != 4 && bytes != 8 {
        let at = wide_operand(c, insn);
        return or_slow(c, insn, |c, _| run(c, FpuOp::Ld80, 0), |c, slow| quick::load_wide(c, at, slow));
    }
    let at = c.mem_in_register(insn);
    c.load_mem(bytes, T[2], Mem::Off(at, 0));
    let slow = move |c: &mut Ctx, _: &Insn| run(c, if bytes == 4 { FpuOp::Ld32 } else { FpuOp::Ld64 }, 0);
    or_slow(c, insn, slow, |c, slow| quick::load_narrow(c, bytes, at, slow));
}

/// An integer, sign-extended, to T2; returns where the address is.
fn integer_operand(c: &mut Ctx, insn: &Insn) -> X {
    let at = c.mem_in_register(insn);
    let order = c.order();
    let width = match insn.memory_bytes() {
        2 => Width::Sh(Size::X),
        4 => Width::Sw,
        _ => Width::X,
    };
    c.a.load(width, T[2], Mem::Off(at, 0), order);
    at
}

fn load_integer(c: &mut Ctx, insn: &Insn) {
    let at = integer_operand(c, insn);
    or_slow(c, insn, |c, _| run(c, FpuOp::LdInt, 0), |c, slow| quick::load_integer(c, at, slow));
}

/// After a storing operation: skips to the label where an unmasked exception forbids the store.
fn unless_forbidden(c: &mut Ctx) -> crate::emit::Label {
    let skip = c.a.label();
    c.load_field(T[1], offset_of!(CpuState, scratch));
    c.a.cbz(Size::X, T[1], skip);
    skip
}

fn store(c: &mut Ctx, insn: &Insn, pop: bool) {
    if !insn.has_memory() {
        let i = other_index(insn);
        let slow = move |c: &mut Ctx, insn: &Insn| {
            with_index(c, insn, FpuOp::StSt);
            if pop {
                pop_if(c, T[0]);
            }
        };
        return or_slow(c, insn, slow, |c, slow| quick::store_register(c, i, if pop { Stack::Pop } else { Stack::Same }, slow));
    }
    let bytes = insn.memory_bytes();
    if bytes != 4 && bytes != 8 {
        let slow = |c: &mut Ctx, insn: &Insn| {
            run(c, FpuOp::St80, 0);
            store_wide(c, insn);
        };
        return or_slow(c, insn, slow, |c, slow| quick::store_wide(c, insn, slow));
    }
    run(c, if bytes == 4 { FpuOp::St32 } else { FpuOp::St64 }, 0);
    store_narrow(c, insn, pop);
}

fn store_narrow(c: &mut Ctx, insn: &Insn, pop: bool) {
    let skip = unless_forbidden(c);
    let mem = c.mem(insn);
    c.store_mem(insn.memory_bytes(), T[0], mem);
    if pop {
        inline_pop(c);
    }
    c.a.bind(skip);
}

/// FSTP m80, FBSTP: both pop.
fn store_wide(c: &mut Ctx, insn: &Insn) {
    let skip = unless_forbidden(c);
    c.load_field(T[1], offset_of!(CpuState, scratch) + 8);
    let at = c.mem_in_register(insn);
    // The part that lies further up first: where only that page faults nothing is written.
    c.store_mem(2, T[1], Mem::Off(at, 8));
    c.store_mem(8, T[0], Mem::Off(at, 0));
    inline_pop(c);
    c.a.bind(skip);
}

fn store_integer(c: &mut Ctx, insn: &Insn, pop: bool, truncate: bool) {
    let op = match (insn.memory_bytes(), truncate) {
        (2, false) => FpuOp::StInt16,
        (4, false) => FpuOp::StInt32,
        (_, false) => FpuOp::StInt64,
        (2, true) => FpuOp::StTrunc16,
        (4, true) => FpuOp::StTrunc32,
        (_, true) => FpuOp::StTrunc64,
    };
    run(c, op, 0);
    store_narrow(c, insn, pop);
}

/// Frees ST(0) and moves TOP: after a store, which must not fault any more by then.
fn inline_pop(c: &mut Ctx) {
    let x87 = offset_of!(CpuState, x87);
    let top = Mem::Off(STATE, (x87 + offset_of!(X87, top)) as i64);
    let valid = Mem::Off(STATE, (x87 + offset_of!(X87, valid)) as i64);
    c.a.load(Width::B, T[1], top, Order::Plain);
    c.a.load(Width::B, T[2], valid, Order::Plain);
    c.a.mov_imm(T[3], 1);
    c.a.lslv(Size::W, T[3], T[3], T[1]);
    c.a.alu(Alu::Bic, Size::W, T[2], T[2], T[3]);
    c.a.alu_imm(Alu::Add, Size::W, T[1], T[1], 1);
    c.a.alu_imm(Alu::And, Size::W, T[1], T[1], 7);
    c.a.store(Width::B, T[2], valid, Order::Plain);
    c.a.store(Width::B, T[1], top, Order::Plain);
}

fn pop_if(c: &mut Ctx, wanted: X) {
    let skip = c.a.label();
    c.a.cbz(Size::X, wanted, skip);
    inline_pop(c);
    c.a.bind(skip);
}

fn arith(c: &mut Ctx, insn: &Insn, kind: u64) {
    if insn.has_memory() {
        let bytes = insn.memory_bytes();
        let mem = c.mem(insn);
        c.load_mem(bytes, T[2], mem);
        return run(c, if bytes == 4 { FpuOp::Arith32 } else { FpuOp::Arith64 }, kind);
    }
    use crate::decode::Code::*;
    // D8: ST(0) is the destination; DC: ST(i) is, also where i is 0.
    let to_st0 = matches!(insn.code(), Fadd_st0_sti | Fmul_st0_sti | Fsub_st0_sti | Fsubr_st0_sti | Fdiv_st0_sti | Fdivr_st0_sti);
    let i = if to_st0 { index(insn, 1) } else { index(insn, 0) };
    c.a.mov_imm(T[2], i);
    run(c, if to_st0 { FpuOp::Arith0i } else { FpuOp::ArithI0 }, kind);
}

fn arith_pop(c: &mut Ctx, insn: &Insn, kind: u64) {
    c.a.mov_imm(T[2], index(insn, 0));
    run(c, FpuOp::ArithI0Pop, kind);
}

fn arith_integer(c: &mut Ctx, insn: &Insn, kind: u64) {
    integer_operand(c, insn);
    run(c, FpuOp::ArithInt, kind);
}

fn compare(c: &mut Ctx, insn: &Insn, op: FpuOp, pops: u32) {
    if insn.has_memory() {
        let bytes = insn.memory_bytes();
        let mem = c.mem(insn);
        c.load_mem(bytes, T[2], mem);
        run(c, if bytes == 4 { FpuOp::Com32 } else { FpuOp::Com64 }, 0);
    } else if pops == 2 {
        run(c, op, 1);
    } else {
        with_index(c, insn, op);
    }
    after_compare(c, pops);
}

fn compare_integer(c: &mut Ctx, insn: &Insn, pops: u32) {
    integer_operand(c, insn);
    run(c, FpuOp::ComInt, 0);
    after_compare(c, pops);
}

fn after_compare(c: &mut Ctx, pops: u32) {
    if pops == 0 {
        return;
    }
    let skip = c.a.label();
    c.a.cbz(Size::X, T[0], skip);
    for _ in 0..pops {
        inline_pop(c);
    }
    c.a.bind(skip);
}

fn conditional(c: &mut Ctx, insn: &Insn, cc: u8) {
    let live = crate::decode::STATUS;
    c.canonical_carry(live);
    match condition(c, cc, live) {
        Test::Cond(cond) => c.a.cset(T[2], cond),
        Test::Bit(r, sense) => {
            c.a.alu_imm(Alu::And, Size::W, T[2], r, 1);
            if !sense {
                c.a.alu_imm(Alu::Eor, Size::W, T[2], T[2], 1);
            }
        }
    }
    run(c, FpuOp::Cmov, index(insn, 1));
}

const IMAGE: i64 = offset_of!(CpuState, image) as i64;

/// Copies `bytes` between the image in the state and memory at `at`, widest pieces first.
fn copy(c: &mut Ctx, at: X, bytes: i64, to_memory: bool) {
    let order = c.order();
    let mut off = 0;
    while off < bytes {
        let width = [16, 8, 4].into_iter().find(|w| off + w <= bytes).unwrap_or(2);
        let (image, memory) = (Mem::Off(STATE, IMAGE + off), Mem::Off(at, off));
        if width == 2 {
            let (from, to) = if to_memory { (image, memory) } else { (memory, image) };
            c.load_mem(2, T[0], from);
            c.store_mem(2, T[0], to);
        } else if to_memory {
            c.a.load_v(width as u32, VT[0], image, Order::Plain);
            c.a.store_v(width as u32, VT[0], memory, order);
        } else {
            c.a.load_v(width as u32, VT[0], memory, order);
            c.a.store_v(width as u32, VT[0], image, Order::Plain);
        }
        off += width;
    }
}

/// The image is written before the unit changes: FNSAVE and FNSTENV change it, so memory is touched first.
fn save_image(c: &mut Ctx, insn: &Insn, op: FpuOp) {
    let (bytes, narrow) = image_size(insn);
    let at = c.mem_in_register(insn);
    // A write that can't be done must fault before the helper changes the unit: write back what is there.
    for off in [0, bytes - 2] {
        c.load_mem(2, T[0], Mem::Off(at, off));
        c.store_mem(2, T[0], Mem::Off(at, off));
    }
    run(c, op, narrow);
    let at = c.mem_in_register(insn);
    copy(c, at, bytes, true);
}

fn load_image(c: &mut Ctx, insn: &Insn, op: FpuOp) {
    let (bytes, narrow) = image_size(insn);
    let at = c.mem_in_register(insn);
    copy(c, at, bytes, false);
    run(c, op, narrow);
}

/// Bytes of an environment's or a unit's image, and 1 if it is of 16-bit words.
fn image_size(insn: &Insn) -> (i64, u64) {
    match insn.code() {
        Code::Fnstenv_m14byte | Code::Fldenv_m14byte => (14, 1),
        Code::Fnstenv_m28byte | Code::Fldenv_m28byte => (28, 0),
        Code::Fnsave_m94byte | Code::Frstor_m94byte => (94, 1),
        _ => (108, 0),
    }
}
