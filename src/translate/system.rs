//! CPUID and clocks, fences and cache hints, segment bases, MXCSR, and what user mode may not do.

use super::Row;
use super::atomic::write_zf;
use super::context::{Ctx, exception};
use crate::decode::{Insn, Mnemonic, Op, STATUS};
use crate::emit::regs::*;
use crate::emit::{Alu, Asm, Label, Mem, Order, Shift, Size, Width};
use crate::guest::CpuState;
use crate::guest::xsave::MXCSR_MASK;
use crate::helpers::Id;
use std::mem::offset_of;

macro_rules! rows { (privileged: $($privileged:ident)*; hints: $($hint:ident)*; $($rest:tt)*) => {
    /// Mnemonics of this family. What is nowhere gets #UD: SYSENTER, MONITOR, MWAIT, virtualisation, UD0 to UD2.
    pub const ROWS: &[Row] = {
        use Mnemonic::*;
        &[$(($privileged, general_protection),)* $(($hint, |_, _| {}),)* $($rest)*]
    };
} }
rows! {
    privileged: In Out Insb Insw Insd Outsb Outsw Outsd Cli Sti Lgdt Lidt Lldt Ltr Lmsw Clts Rdmsr Wrmsr Rdpmc Invlpg Invd Wbinvd Wbnoinvd
        Swapgs Sysret Sysretq Sysexit Sysexitq Invpcid;
    // RDSSP is a NOP while shadow stacks are off.
    // PREFETCHIT0 and 1 are reserved NOPs to a processor that does not have them.
    hints: Prefetchit0 Prefetchit1 Prefetch Prefetchw Prefetchwt1 Prefetchnta Prefetcht0 Prefetcht1 Prefetcht2 Reservednop Cldemote Rdsspd Rdsspq;
    (Cpuid, |c, _| c.helper(Id::Cpuid)),
    (Rdtsc, |c, _| counter(c)),
    (Rdtscp, rdtscp),
    (Rdpid, rdpid),
    (Clflush, touch),
    (Clflushopt, touch),
    (Clwb, touch),
    (Mfence, |c, _| fence(c, Asm::dmb_ish)),
    (Lfence, |c, _| fence(c, Asm::dmb_ishld)),
    (Sfence, |c, _| fence(c, Asm::dmb_ishst)),
    (Rdfsbase, |c, i| read_base(c, i, offset_of!(CpuState, fs_base))),
    (Rdgsbase, |c, i| read_base(c, i, offset_of!(CpuState, gs_base))),
    (Wrfsbase, |c, i| write_base(c, i, offset_of!(CpuState, fs_base))),
    (Wrgsbase, |c, i| write_base(c, i, offset_of!(CpuState, gs_base))),
    (Sgdt, |c, i| table_register(c, i, 0xffff_ffff_fffe_0000)),
    (Sidt, |c, i| table_register(c, i, 0xffff_ffff_ffff_0000)),
    (Sldt, |c, i| system_word(c, i, 0)),
    (Str, |c, i| system_word(c, i, 0x40)),
    (Smsw, |c, i| system_word(c, i, 0x8005_0033)),
    (Lar, |c, i| descriptor(c, i, 0)),
    (Lsl, |c, i| descriptor(c, i, 1)),
    (Verr, |c, i| descriptor(c, i, 2)),
    (Verw, |c, i| descriptor(c, i, 3)),
    (Ldmxcsr, ldmxcsr),
    (Stmxcsr, stmxcsr),
    (Xsetbv, |c, i| if c.options.xcr0 == 0 { c.undefined(i) } else { general_protection(c, i) }),
}

/// Is it the function of what only kernels may do?
#[cfg(test)]
pub fn raises_gp(f: fn(&mut Ctx, &Insn)) -> bool {
    std::ptr::fn_addr_eq(f, general_protection as fn(&mut Ctx, &Insn))
}

fn general_protection(c: &mut Ctx, _insn: &Insn) {
    c.raise(exception::GENERAL_PROTECTION);
}

/// The time stamp counter is the host's virtual counter as it is: programs that want seconds calibrate it, and leaf 15h is not offered.
fn counter(c: &mut Ctx) {
    c.a.read_counter(T[0]);
    c.a.mov(Size::W, gpr(0), T[0]);
    c.a.shift_imm(Shift::Lsr, Size::X, gpr(2), T[0], 32);
}

fn rdtscp(c: &mut Ctx, _insn: &Insn) {
    c.helper(Id::Processor);
    c.a.mov(Size::W, gpr(1), T[0]);
    counter(c);
}

fn rdpid(c: &mut Ctx, insn: &Insn) {
    c.helper(Id::Processor);
    c.write_gpr(insn.op(0), T[0]);
}

/// Cache line flushes have nothing to do (caches are coherent), but fault where a load would.
fn touch(c: &mut Ctx, insn: &Insn) {
    let mem = c.mem(insn);
    c.a.load(Width::B, ZR, mem, Order::Plain);
}

fn fence(c: &mut Ctx, barrier: fn(&mut Asm)) {
    if c.options.ordered {
        barrier(&mut c.a);
    }
}

fn read_base(c: &mut Ctx, insn: &Insn, field: usize) {
    c.load_field(T[0], field);
    c.write_gpr(insn.op(0), T[0]);
}

fn write_base(c: &mut Ctx, insn: &Insn, field: usize) {
    let v = c.read_zx(insn, 0, T[0]);
    if insn.bytes(0) == 8 {
        // The address must be canonical.
        let bad = c.cold(|c| c.raise(exception::GENERAL_PROTECTION));
        c.a.sbfx(Size::X, T[1], v, 0, 48);
        c.a.alu(Alu::Eor, Size::X, T[1], T[1], v);
        c.a.cbnz(Size::X, T[1], bad);
    }
    c.store_field(v, field);
}

/// SGDT, SIDT: user mode can not execute them (UMIP), and Linux answers in the kernel's place: limit 0 and a base of its own
/// (arch/x86/kernel/umip.c).
fn table_register(c: &mut Ctx, insn: &Insn, base: u64) {
    let n = c.mem_in_register(insn);
    c.a.mov_imm(T[0], base);
    c.store_mem(8, T[0], Mem::Off(n, 2));
    c.store_mem(2, ZR, Mem::Off(n, 0));
}

/// SLDT, STR, SMSW: likewise. Linux writes just the operand's bytes: a 32-bit register keeps its upper half.
fn system_word(c: &mut Ctx, insn: &Insn, value: u64) {
    c.a.mov_imm(T[0], value);
    match insn.op(0) {
        Op::Gpr { n, bytes: 4, .. } => c.a.bfi(Size::X, gpr(n), T[0], 0, 32),
        Op::Mem => {
            let mem = c.mem(insn);
            c.store_mem(2, T[0], mem);
        }
        op => c.write_gpr(op, T[0]),
    }
}

/// LAR, LSL, VERR, VERW (`which` 0 to 3): ZF says whether it succeeded; the destination is written only then.
fn descriptor(c: &mut Ctx, insn: &Insn, which: u64) {
    let selector = if which < 2 { 1 } else { 0 };
    let v = match insn.op(selector) {
        Op::Mem => {
            let mem = c.mem(insn);
            c.load_mem(2, T[0], mem);
            T[0]
        }
        _ => c.read(insn, selector, T[0]),
    };
    c.a.zext(2, T[1], v);
    c.a.mov_imm(T[2], which);
    c.helper(Id::Descriptor);
    c.load_field(T[1], offset_of!(CpuState, scratch));
    c.a.alu_imm(Alu::Eor, Size::X, T[2], T[1], 1);
    write_zf(c, T[2]);
    if which < 2 {
        let failed = c.a.label();
        c.a.cbnz(Size::X, T[2], failed);
        c.write_gpr(insn.op(0), T[0]);
        c.a.bind(failed);
    }
}

/// #GP (at `bad`) where reserved bits of an MXCSR value are set: all above 15 but the mask of misalignment faults.
pub(super) fn reserved_mxcsr(c: &mut Ctx, value: X, t: X, bad: Label) {
    c.a.shift_imm(Shift::Lsr, Size::W, t, value, 16);
    c.a.alu_imm(Alu::And, Size::W, t, t, !(MXCSR_MASK >> 16) as u64 & 0xffff_ffff);
    c.a.cbnz(Size::W, t, bad);
}

/// MXCSR's bits that FPCR depends on: DAZ, rounding, FTZ.
const CONTROL: u64 = 1 << 6 | 3 << 13 | 1 << 15;

/// Sets MXCSR to `value`, whose reserved bits are zero; a set bit 63: it stays. FPSR's sticky bits are cleared: those of the value are kept in the state.
/// The helper is called only where FPCR may change, or where bit 0 of `x87` is set: then it restores that unit as T1 says. Uses T1 to T3.
pub(super) fn set_mxcsr(c: &mut Ctx, value: X, x87: Option<X>) {
    c.canonical_carry(STATUS);
    let done = c.a.label();
    let field = c.field(offset_of!(CpuState, mxcsr));
    let slow = c.cold(move |c| {
        if x87.is_none() {
            c.a.mov_imm(T[1], 0);
        }
        c.a.mov(Size::X, T[2], value);
        c.a.mov_imm(T[3], c.options.features.afp as u64);
        c.helper(Id::RestoreX87);
        c.load_field(T[1], offset_of!(CpuState, scratch));
        c.a.cbz(Size::X, T[1], done);
        c.a.write_fpcr(T[0]);
        c.a.write_fpsr(ZR);
        c.a.b(done);
    });
    if let Some(x87) = x87 {
        c.a.tbnz(x87, 0, slow);
        c.a.tbnz(value, 63, done);
    }
    c.a.load(Width::W, T[2], field, Order::Plain);
    c.a.alu(Alu::Eor, Size::W, T[2], T[2], value);
    c.a.alu_imm(Alu::And, Size::W, T[2], T[2], CONTROL);
    c.a.cbnz(Size::W, T[2], slow);
    c.a.store(Width::W, value, field, Order::Plain);
    c.a.write_fpsr(ZR);
    c.a.bind(done);
}

pub fn ldmxcsr(c: &mut Ctx, insn: &Insn) {
    let mem = c.mem(insn);
    c.load_mem(4, T[5], mem);
    let bad = c.cold(|c| c.raise(exception::GENERAL_PROTECTION));
    reserved_mxcsr(c, T[5], T[2], bad);
    set_mxcsr(c, T[5], None);
}

/// MXCSR to `d`: the state's value, and what has happened since: FPSR's IOC DZC OFC UFC IXC (0 to 4) are IE ZE OE UE PE (0, 2 to 5).
pub(super) fn read_mxcsr(c: &mut Ctx, d: X, [s, t, u]: [X; 3]) {
    c.a.read_fpsr(s);
    let mxcsr = c.field(offset_of!(CpuState, mxcsr));
    c.a.load(Width::W, d, mxcsr, Order::Plain);
    c.a.ubfx(Size::W, t, s, 1, 4);
    if c.options.features.afp {
        // FPCR.AH: IDC (7) is DE (1).
        c.a.ubfx(Size::W, u, s, 7, 1);
        c.a.alu_shift(Alu::Orr, Size::W, d, d, u, Shift::Lsl, 1);
    } else {
        // A result that FTZ makes zero is inexact to x86; the host's flushing sets UFC alone.
        c.a.ubfx(Size::W, u, d, 15, 1);
        c.a.alu_shift(Alu::And, Size::W, u, u, s, Shift::Lsr, 3);
        c.a.alu_shift(Alu::Orr, Size::W, t, t, u, Shift::Lsl, 3);
    }
    c.a.alu_imm(Alu::And, Size::W, s, s, 1);
    c.a.alu_shift(Alu::Orr, Size::W, s, s, t, Shift::Lsl, 2);
    c.a.alu(Alu::Orr, Size::W, d, d, s);
}

pub fn stmxcsr(c: &mut Ctx, insn: &Insn) {
    read_mxcsr(c, T[0], [T[1], T[2], T[3]]);
    let mem = c.mem(insn);
    c.store_mem(4, T[0], mem);
}
