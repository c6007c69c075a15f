//! What is executed here: one row a mnemonic.

use super::Done;
use super::arith::{Binary, Shift, binary, holds, rotate, set_carry, set_carry_overflow, shift, signed_product};
use super::operand::{cut, get, put, put_register, signed, vector};
use crate::decode::brief::{Brief, Kind};
use crate::decode::{Code, Mnemonic};
use crate::guest::{Addr, CpuState, state::Gpr};
use crate::host::touch;

/// Executes one: `None` refuses it, and nothing has changed.
type Run = fn(&mut CpuState, &Brief) -> Option<Done>;

/// Mnemonics and what executes them. Semantics: SDM vol. 2, under these names.
const ROWS: &[(Mnemonic, Run)] = {
    use Mnemonic::*;
    &[
        (Mov, mov),
        (Movzx, mov),
        (Movsx, movsx),
        (Movsxd, movsx),
        (Lea, lea),
        (Xchg, xchg),
        (Add, |s, i| arith(s, i, Binary::Add)),
        (Or, |s, i| arith(s, i, Binary::Or)),
        (Adc, |s, i| arith(s, i, Binary::Adc)),
        (Sbb, |s, i| arith(s, i, Binary::Sbb)),
        (And, |s, i| arith(s, i, Binary::And)),
        (Sub, |s, i| arith(s, i, Binary::Sub)),
        (Xor, |s, i| arith(s, i, Binary::Xor)),
        (Cmp, |s, i| compare(s, i, Binary::Sub)),
        (Test, |s, i| compare(s, i, Binary::And)),
        (Inc, |s, i| step(s, i, Binary::Add)),
        (Dec, |s, i| step(s, i, Binary::Sub)),
        (Neg, neg),
        (Not, not),
        (Imul, imul),
        (Mul, mul),
        (Div, div),
        (Shl, |s, i| shifted(s, i, Shift::Left)),
        (Sal, |s, i| shifted(s, i, Shift::Left)),
        (Shr, |s, i| shifted(s, i, Shift::Right)),
        (Sar, |s, i| shifted(s, i, Shift::Arithmetic)),
        (Rol, |s, i| rotated(s, i, true)),
        (Ror, |s, i| rotated(s, i, false)),
        (Bt, bt),
        (Cbw, |s, _| widen(s, 1)),
        (Cwde, |s, _| widen(s, 2)),
        (Cdqe, |s, _| widen(s, 4)),
        (Cdq, |s, _| sign_to_rdx(s, 4)),
        (Cqo, |s, _| sign_to_rdx(s, 8)),
        (Push, push),
        (Pop, pop),
        (Leave, leave),
        (Call, call),
        (Ret, ret),
        (Jmp, jmp),
        (Nop, |_, _| Some(Done::Next)),
        (Endbr64, |_, _| Some(Done::Next)),
        (Syscall, syscall),
        (Jo, |s, i| jcc(s, i, 0)),
        (Jno, |s, i| jcc(s, i, 1)),
        (Jb, |s, i| jcc(s, i, 2)),
        (Jae, |s, i| jcc(s, i, 3)),
        (Je, |s, i| jcc(s, i, 4)),
        (Jne, |s, i| jcc(s, i, 5)),
        (Jbe, |s, i| jcc(s, i, 6)),
        (Ja, |s, i| jcc(s, i, 7)),
        (Js, |s, i| jcc(s, i, 8)),
        (Jns, |s, i| jcc(s, i, 9)),
        (Jp, |s, i| jcc(s, i, 10)),
        (Jnp, |s, i| jcc(s, i, 11)),
        (Jl, |s, i| jcc(s, i, 12)),
        (Jge, |s, i| jcc(s, i, 13)),
        (Jle, |s, i| jcc(s, i, 14)),
        (Jg, |s, i| jcc(s, i, 15)),
        (Seto, |s, i| setcc(s, i, 0)),
        (Setno, |s, i| setcc(s, i, 1)),
        (Setb, |s, i| setcc(s, i, 2)),
        (Setae, |s, i| setcc(s, i, 3)),
        (Sete, |s, i| setcc(s, i, 4)),
        (Setne, |s, i| setcc(s, i, 5)),
        (Setbe, |s, i| setcc(s, i, 6)),
        (Seta, |s, i| setcc(s, i, 7)),
        (Sets, |s, i| setcc(s, i, 8)),
        (Setns, |s, i| setcc(s, i, 9)),
        (Setp, |s, i| setcc(s, i, 10)),
        (Setnp, |s, i| setcc(s, i, 11)),
        (Setl, |s, i| setcc(s, i, 12)),
        (Setge, |s, i| setcc(s, i, 13)),
        (Setle, |s, i| setcc(s, i, 14)),
        (Setg, |s, i| setcc(s, i, 15)),
        (Cmovo, |s, i| cmov(s, i, 0)),
        (Cmovno, |s, i| cmov(s, i, 1)),
        (Cmovb, |s, i| cmov(s, i, 2)),
        (Cmovae, |s, i| cmov(s, i, 3)),
        (Cmove, |s, i| cmov(s, i, 4)),
        (Cmovne, |s, i| cmov(s, i, 5)),
        (Cmovbe, |s, i| cmov(s, i, 6)),
        (Cmova, |s, i| cmov(s, i, 7)),
        (Cmovs, |s, i| cmov(s, i, 8)),
        (Cmovns, |s, i| cmov(s, i, 9)),
        (Cmovp, |s, i| cmov(s, i, 10)),
        (Cmovnp, |s, i| cmov(s, i, 11)),
        (Cmovl, |s, i| cmov(s, i, 12)),
        (Cmovge, |s, i| cmov(s, i, 13)),
        (Cmovle, |s, i| cmov(s, i, 14)),
        (Cmovg, |s, i| cmov(s, i, 15)),
        (Movaps, |s, i| move_16(s, i, false)),
        (Movapd, |s, i| move_16(s, i, false)),
        (Movdqa, |s, i| move_16(s, i, false)),
        (Movups, |s, i| move_16(s, i, true)),
        (Movupd, |s, i| move_16(s, i, true)),
        (Movdqu, |s, i| move_16(s, i, true)),
        (Movd, |s, i| move_low(s, i, 4)),
        (Movq, |s, i| move_low(s, i, 8)),
        (Pxor, |s, i| packed(s, i, |a, b| a ^ b)),
        (Xorps, |s, i| packed(s, i, |a, b| a ^ b)),
        (Xorpd, |s, i| packed(s, i, |a, b| a ^ b)),
        (Por, |s, i| packed(s, i, |a, b| a | b)),
        (Pand, |s, i| packed(s, i, |a, b| a & b)),
        (Punpcklqdq, |s, i| halves_joined(s, i, 0)),
        (Punpckhqdq, |s, i| halves_joined(s, i, 1)),
        (Movhps, |s, i| move_half(s, i, 1)),
        (Movhpd, |s, i| move_half(s, i, 1)),
        (Movlps, |s, i| move_half(s, i, 0)),
        (Movlpd, |s, i| move_half(s, i, 0)),
    ]
};

/// Number of mnemonics that iced knows, rounded up.
const MNEMONICS: usize = 2048;

/// Row of each mnemonic, and one; 0: none.
static BY_MNEMONIC: [u8; MNEMONICS] = {
    let mut table = [0; MNEMONICS];
    let mut k = 0;
    while k < ROWS.len() {
        table[ROWS[k].0 as usize] = k as u8 + 1;
        k += 1;
    }
    table
};

/// What executes each row; what has none refuses.
static RUNS: [Run; 256] = {
    let mut table: [Run; 256] = [|_, _| None; 256];
    let mut k = 0;
    while k < ROWS.len() {
        table[k + 1] = ROWS[k].1;
        k += 1;
    }
    table
};

/// Executes it, unless it is refused.
#[inline(always)]
pub(super) fn execute(s: &mut CpuState, i: &Brief) -> Option<Done> {
    RUNS[usize::from(BY_MNEMONIC[i.code.mnemonic() as usize & (MNEMONICS - 1)])](s, i)
}

const RAX: usize = Gpr::Rax as usize;
const RCX: usize = Gpr::Rcx as usize;
const RDX: usize = Gpr::Rdx as usize;
const RSP: usize = Gpr::Rsp as usize;
const RBP: usize = Gpr::Rbp as usize;

/// A third of what is executed here are moves of whole registers.
fn mov(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let (reg, rm) = i.whole_registers();
    match i.code {
        Code::Mov_r64_rm64 => s.gpr[reg] = if i.is_in_memory() { touch::load(i.address, 8)? } else { s.gpr[rm] },
        Code::Mov_r32_rm32 => s.gpr[reg] = if i.is_in_memory() { touch::load(i.address, 4)? } else { cut(s.gpr[rm], 4) },
        Code::Mov_rm64_r64 if i.is_in_memory() => touch::store(i.address, 8, s.gpr[reg])?,
        Code::Mov_rm64_r64 => s.gpr[rm] = s.gpr[reg],
        Code::Mov_rm32_r32 if i.is_in_memory() => touch::store(i.address, 4, s.gpr[reg])?,
        Code::Mov_rm32_r32 => s.gpr[rm] = cut(s.gpr[reg], 4),
        _ => return mov_otherwise(s, i),
    }
    Some(Done::Next)
}

#[inline(never)]
fn mov_otherwise(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let from = i.operand(1);
    let v = get(s, i, 1, if from.kind == Kind::Constant { i.bytes() } else { from.bytes.into() })?;
    put(s, i, i.bytes(), v)?;
    Some(Done::Next)
}

fn movsx(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let from = i.operand(1).bytes.into();
    let v = signed(get(s, i, 1, from)?, from) as u64;
    put(s, i, i.bytes(), v)?;
    Some(Done::Next)
}

fn lea(s: &mut CpuState, i: &Brief) -> Option<Done> {
    if i.has_segment() {
        return None;
    }
    put(s, i, i.bytes(), i.address.0)?;
    Some(Done::Next)
}

/// Of two registers: with memory it is atomic.
fn xchg(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let (one, other) = (i.operand(0), i.operand(1));
    if one.kind != Kind::Register || other.kind != Kind::Register {
        return None;
    }
    let (a, b) = (s.gpr[usize::from(one.n & 15)], s.gpr[usize::from(other.n & 15)]);
    put_register(s, one.n.into(), i.bytes(), b);
    put_register(s, other.n.into(), i.bytes(), a);
    Some(Done::Next)
}

#[inline(always)]
fn arith(s: &mut CpuState, i: &Brief, op: Binary) -> Option<Done> {
    let bytes = i.bytes();
    let (a, b) = (get(s, i, 0, bytes)?, get(s, i, 1, bytes)?);
    let (r, flags) = binary(s, op, bytes, a, b);
    put(s, i, bytes, r)?;
    flags.set(s);
    Some(Done::Next)
}

#[inline(always)]
fn compare(s: &mut CpuState, i: &Brief, op: Binary) -> Option<Done> {
    let bytes = i.bytes();
    let (a, b) = (get(s, i, 0, bytes)?, get(s, i, 1, bytes)?);
    binary(s, op, bytes, a, b).1.set(s);
    Some(Done::Next)
}

fn step(s: &mut CpuState, i: &Brief, op: Binary) -> Option<Done> {
    let bytes = i.bytes();
    let a = get(s, i, 0, bytes)?;
    let (r, flags) = binary(s, op, bytes, a, 1);
    put(s, i, bytes, r)?;
    flags.set_keeping_carry(s);
    Some(Done::Next)
}

fn neg(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let bytes = i.bytes();
    let a = get(s, i, 0, bytes)?;
    let (r, flags) = binary(s, Binary::Sub, bytes, 0, a);
    put(s, i, bytes, r)?;
    flags.set(s);
    Some(Done::Next)
}

fn not(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let a = get(s, i, 0, i.bytes())?;
    put(s, i, i.bytes(), !a)?;
    Some(Done::Next)
}

/// Writes a product of two `bytes` to RDX and RAX, or AX.
fn put_wide(s: &mut CpuState, bytes: u32, v: u128) {
    if bytes == 1 {
        return put_register(s, RAX, 2, v as u64);
    }
    put_register(s, RAX, bytes, v as u64);
    put_register(s, RDX, bytes, (v >> (8 * bytes)) as u64);
}

/// Forms of two and three operands, the third a constant; and of one.
fn imul(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let bytes = i.bytes();
    let (a, b) = match i.code {
        Code::Imul_rm8 | Code::Imul_rm16 | Code::Imul_rm32 | Code::Imul_rm64 => {
            let product = i128::from(signed(s.gpr[RAX], bytes)) * i128::from(signed(get(s, i, 0, bytes)?, bytes));
            put_wide(s, bytes, product as u128);
            let lost = i128::from(signed(product as u64, bytes)) != product;
            set_carry_overflow(s, lost, lost);
            return Some(Done::Next);
        }
        Code::Imul_r16_rm16 | Code::Imul_r32_rm32 | Code::Imul_r64_rm64 => (get(s, i, 0, bytes)?, get(s, i, 1, bytes)?),
        _ => (get(s, i, 1, bytes)?, i.constant),
    };
    let (r, lost) = signed_product(bytes, a, b);
    put(s, i, bytes, r)?;
    set_carry_overflow(s, lost, lost);
    Some(Done::Next)
}

fn mul(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let bytes = i.bytes();
    let product = u128::from(cut(s.gpr[RAX], bytes)) * u128::from(get(s, i, 0, bytes)?);
    put_wide(s, bytes, product);
    let high = product >> (8 * bytes) != 0;
    set_carry_overflow(s, high, high);
    Some(Done::Next)
}

/// Where the dividend fits in the quotient's size, as nearly always. Flags are undefined; the processor leaves them.
fn div(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let bytes = i.bytes();
    let by = get(s, i, 0, bytes)?;
    if bytes < 4 || by == 0 || cut(s.gpr[RDX], bytes) != 0 {
        return None;
    }
    let a = cut(s.gpr[RAX], bytes);
    (s.gpr[RAX], s.gpr[RDX]) = (a / by, a % by);
    Some(Done::Next)
}

/// The count of a shift, cut as the processor does.
fn count(s: &CpuState, i: &Brief, bytes: u32) -> Option<u32> {
    Some(get(s, i, 1, 1)? as u32 & if bytes == 8 { 63 } else { 31 })
}

fn shifted(s: &mut CpuState, i: &Brief, op: Shift) -> Option<Done> {
    let bytes = i.bytes();
    let (a, count) = (get(s, i, 0, bytes)?, count(s, i, bytes)?);
    if count == 0 {
        // A 32-bit register is still written.
        put(s, i, bytes, a)?;
        return Some(Done::Next);
    }
    let (r, flags) = shift(op, bytes, a, count);
    put(s, i, bytes, r)?;
    flags.set(s);
    Some(Done::Next)
}

fn rotated(s: &mut CpuState, i: &Brief, left: bool) -> Option<Done> {
    let bytes = i.bytes();
    let (a, count) = (get(s, i, 0, bytes)?, count(s, i, bytes)?);
    if bytes < 4 || count == 0 {
        return None;
    }
    let (r, carry, overflow) = rotate(bytes, a, count, left);
    put(s, i, bytes, r)?;
    set_carry_overflow(s, carry, overflow);
    Some(Done::Next)
}

/// Of a register: in memory the bit may lie anywhere.
fn bt(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let bytes = i.bytes();
    if i.operand(0).kind != Kind::Register {
        return None;
    }
    let bit = get(s, i, 1, bytes)? & u64::from(8 * bytes - 1);
    let is = get(s, i, 0, bytes)? >> bit & 1 != 0;
    set_carry(s, is);
    Some(Done::Next)
}

/// CBW, CWDE, CDQE: from `bytes` to twice as many.
fn widen(s: &mut CpuState, bytes: u32) -> Option<Done> {
    let v = signed(s.gpr[RAX], bytes) as u64;
    put_register(s, RAX, 2 * bytes, v);
    Some(Done::Next)
}

fn sign_to_rdx(s: &mut CpuState, bytes: u32) -> Option<Done> {
    let v = (signed(s.gpr[RAX], bytes) >> 63) as u64;
    put_register(s, RDX, bytes, v);
    Some(Done::Next)
}

/// The place on the stack where the next 8 bytes go.
fn top(s: &CpuState) -> Addr {
    Addr(s.gpr[RSP].wrapping_sub(8))
}

fn push(s: &mut CpuState, i: &Brief) -> Option<Done> {
    if !matches!(i.code, Code::Push_r64 | Code::Push_rm64 | Code::Pushq_imm8 | Code::Pushq_imm32) {
        return None;
    }
    let (v, at) = (get(s, i, 0, 8)?, top(s));
    touch::store(at, 8, v)?;
    s.gpr[RSP] = at.0;
    Some(Done::Next)
}

fn pop(s: &mut CpuState, i: &Brief) -> Option<Done> {
    if i.code != Code::Pop_r64 {
        return None;
    }
    let v = touch::load(Addr(s.gpr[RSP]), 8)?;
    s.gpr[RSP] = s.gpr[RSP].wrapping_add(8);
    s.gpr[usize::from(i.operand(0).n & 15)] = v;
    Some(Done::Next)
}

fn leave(s: &mut CpuState, i: &Brief) -> Option<Done> {
    if i.code != Code::Leaveq {
        return None;
    }
    let v = touch::load(Addr(s.gpr[RBP]), 8)?;
    s.gpr[RSP] = s.gpr[RBP].wrapping_add(8);
    s.gpr[RBP] = v;
    Some(Done::Next)
}

/// Where a jump or call goes. What is no address of user mode faults elsewhere.
#[inline(always)]
fn goal(s: &CpuState, i: &Brief) -> Option<u64> {
    let to = match i.operand(0).kind {
        Kind::Constant => i.constant,
        _ if matches!(i.code, Code::Jmp_rm64 | Code::Call_rm64) => get(s, i, 0, 8)?,
        _ => return None,
    };
    (to >> 47 == 0).then_some(to)
}

fn call(s: &mut CpuState, i: &Brief) -> Option<Done> {
    let (to, at) = (goal(s, i)?, top(s));
    touch::store(at, 8, i.next)?;
    (s.gpr[RSP], s.rip) = (at.0, to);
    Some(Done::Gone)
}

fn ret(s: &mut CpuState, i: &Brief) -> Option<Done> {
    if i.code != Code::Retnq {
        return None;
    }
    let to = touch::load(Addr(s.gpr[RSP]), 8).filter(|to| to >> 47 == 0)?;
    (s.gpr[RSP], s.rip) = (s.gpr[RSP].wrapping_add(8), to);
    Some(Done::Gone)
}

fn jmp(s: &mut CpuState, i: &Brief) -> Option<Done> {
    s.rip = goal(s, i)?;
    Some(Done::Gone)
}

#[inline(always)]
fn jcc(s: &mut CpuState, i: &Brief, cc: u8) -> Option<Done> {
    if !holds(s, cc) {
        return Some(Done::Past);
    }
    jmp(s, i)
}

#[inline(always)]
fn setcc(s: &mut CpuState, i: &Brief, cc: u8) -> Option<Done> {
    let is = holds(s, cc);
    put(s, i, 1, is.into())?;
    Some(Done::Next)
}

/// Memory is read, and a 32-bit register is written, whatever the condition.
#[inline(always)]
fn cmov(s: &mut CpuState, i: &Brief, cc: u8) -> Option<Done> {
    let v = get(s, i, 1, i.bytes())?;
    let v = if holds(s, cc) { v } else { get(s, i, 0, i.bytes())? };
    put(s, i, i.bytes(), v)?;
    Some(Done::Next)
}

/// What the processor does at SYSCALL; the rest is the engine's caller's.
fn syscall(s: &mut CpuState, i: &Brief) -> Option<Done> {
    const R11: usize = Gpr::R11 as usize;
    (s.gpr[RCX], s.gpr[R11]) = (i.next, s.rflags());
    s.rip = i.next;
    Some(Done::Syscall)
}

#[inline(always)]
fn move_16(s: &mut CpuState, i: &Brief, anywhere: bool) -> Option<Done> {
    let v = vector(s, i, 1, anywhere)?;
    match i.operand(0).kind {
        Kind::Xmm => s.xmm[usize::from(i.operand(0).n & 15)] = v,
        Kind::Memory if anywhere || i.address.0 % 16 == 0 => touch::store_16(i.address, v)?,
        _ => return None,
    }
    Some(Done::Next)
}

/// MOVD, MOVQ: to an XMM register the rest becomes zero. Those of MMX registers are not decoded for here.
fn move_low(s: &mut CpuState, i: &Brief, bytes: u32) -> Option<Done> {
    let v = match i.operand(1).kind {
        Kind::Xmm => cut(s.xmm[usize::from(i.operand(1).n & 15)][0], bytes),
        _ => get(s, i, 1, bytes)?,
    };
    match i.operand(0).kind {
        Kind::Xmm => s.xmm[usize::from(i.operand(0).n & 15)] = [v, 0],
        _ => put(s, i, bytes, v)?,
    }
    Some(Done::Next)
}

#[inline(always)]
fn packed(s: &mut CpuState, i: &Brief, op: fn(u64, u64) -> u64) -> Option<Done> {
    let n = usize::from(i.operand(0).n & 15);
    let (a, b) = (s.xmm[n], vector(s, i, 1, false)?);
    if i.operand(0).kind != Kind::Xmm {
        return None;
    }
    s.xmm[n] = [op(a[0], b[0]), op(a[1], b[1])];
    Some(Done::Next)
}

/// One half of the first operand, one of the second.
fn halves_joined(s: &mut CpuState, i: &Brief, half: usize) -> Option<Done> {
    let n = usize::from(i.operand(0).n & 15);
    let (a, b) = (s.xmm[n], vector(s, i, 1, false)?);
    s.xmm[n] = [a[half], b[half]];
    Some(Done::Next)
}

/// To or from memory; MOVLHPS and MOVHLPS have names of their own.
fn move_half(s: &mut CpuState, i: &Brief, half: usize) -> Option<Done> {
    let n = |k: usize| usize::from(i.operand(k).n & 15);
    match (i.operand(0).kind, i.operand(1).kind) {
        (Kind::Xmm, Kind::Memory) => s.xmm[n(0)][half] = touch::load(i.address, 8)?,
        (Kind::Memory, Kind::Xmm) => touch::store(i.address, 8, s.xmm[n(1)][half])?,
        _ => return None,
    }
    Some(Done::Next)
}
