//! What the vector families share: operands, alignment, MMX registers, and x86's choice among NaNs.
//!
//! An operation proper is a function of destination and two sources that know nothing of encodings ([`Bin`]), so that SSE, MMX and AVX
//! use the same one. It may use v0-v5 and T0-T6, must read its sources before it writes the destination (which may be one of them), and
//! changes neither memory nor flags. v6 and v7 hold sources that are not in registers.

use super::context::{Ctx, exception};
use crate::decode::{CF, Insn, OF, Op, SF, ZF};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, Fp, ops};
use crate::emit::stubs::Stub;
use crate::emit::{Alu, Cond, Mem, Order, Size, Width};
use crate::guest::{CpuState, state::X87};
use std::mem::offset_of;

/// `d = a op b` on whole registers.
pub type Bin = fn(&mut Ctx, V, V, V);
/// The same, for either shape of register.
pub type Shaped = fn(&mut Ctx, Arr, V, V, V);

/// Where the first source lies if it is not in a register.
pub const FIRST: V = V(6);
/// Where the second source lies if it is not in a register.
pub const SECOND: V = V(7);

const VALID: usize = offset_of!(CpuState, x87) + offset_of!(X87, valid);
const _: () = assert!(offset_of!(X87, top) == offset_of!(X87, valid) + 1, "both are written at once");

impl Ctx<'_> {
    /// Where MMX register `n` lies: the significand of physical x87 register `n`.
    fn mmx(&self, n: u8) -> Mem {
        self.field(offset_of!(CpuState, x87) + offset_of!(X87, reg) + 16 * n as usize)
    }
    /// What every MMX instruction but EMMS does to the x87 unit: TOP = 0, no register empty. Uses T6.
    pub fn mmx_enter(&mut self) {
        self.a.mov_imm(T[6], 0xff);
        self.a.store(Width::H, T[6], Mem::Off(STATE, VALID as i64), Order::Plain);
    }
    /// EMMS: all registers empty.
    pub fn mmx_leave(&mut self) {
        self.a.store(Width::H, ZR, Mem::Off(STATE, VALID as i64), Order::Plain);
    }
    /// Loads MMX register `n`; the upper half of `d` becomes zero.
    pub fn read_mmx(&mut self, d: V, n: u8) {
        let mem = self.mmx(n);
        self.a.load_v(8, d, mem, Order::Plain);
    }
    /// Writes MMX register `n`; its exponent and sign become ones. Uses T6.
    pub fn write_mmx(&mut self, n: u8, s: V) {
        self.mmx_enter();
        let mem = self.mmx(n);
        self.a.store_v(8, s, mem, Order::Plain);
        let exponent = self.field(offset_of!(CpuState, x87) + offset_of!(X87, reg) + 16 * n as usize + 8);
        self.a.mov_imm(T[6], 0xffff);
        self.a.store(Width::H, T[6], exponent, Order::Plain);
    }

    /// Raises #GP if the memory operand is not on a 16-byte boundary and the options want that.
    pub fn check_alignment(&mut self, insn: &Insn) {
        if self.options.strict_align {
            let address = self.mem_in_register(insn);
            self.a.alu_imm(Alu::And, Size::X, T[6], address, 15);
            let bad = self.cold(|c| c.raise(exception::GENERAL_PROTECTION));
            self.a.cbnz(Size::X, T[6], bad);
        }
    }

    /// Vector operand `i`: the pinned register, or `t` with the MMX register or the `bytes` of memory that the operand names (the rest zero).
    pub fn read_v(&mut self, insn: &Insn, i: u32, bytes: u32, t: V) -> V {
        match insn.op(i) {
            Op::Xmm(n) | Op::Ymm(n) => xmm(n),
            Op::Mmx(n) => {
                self.read_mmx(t, n);
                t
            }
            Op::Mem => {
                if let Some((n, step)) = self.steps_on() {
                    self.a.load_q_post(t, n, step);
                    return t;
                }
                let mem = self.mem(insn);
                let order = self.order();
                self.a.load_v(bytes, t, mem, order);
                t
            }
            other => unreachable!("vector operand expected, not {other:?}"),
        }
    }
    /// The same for 16 bytes that must be aligned if they are memory.
    pub fn read_aligned(&mut self, insn: &Insn, i: u32, t: V) -> V {
        if insn.op(i) == Op::Mem {
            self.check_alignment(insn);
        }
        self.read_v(insn, i, 16, t)
    }
    /// Stores the low `bytes` of `s` to the memory operand.
    pub fn write_v(&mut self, insn: &Insn, bytes: u32, s: V) {
        if let Some((n, step)) = self.steps_on() {
            return self.a.store_q_post(s, n, step);
        }
        let mem = self.mem(insn);
        let order = self.order();
        self.a.store_v(bytes, s, mem, order);
    }

    /// May NZCV not be touched?
    pub fn nzcv_live(&self) -> bool {
        self.needs(ZF | SF | CF | OF)
    }
    /// Must NaN results be looked at?
    pub fn exact_nan(&self) -> bool {
        // With FEAT_AFP the guest runs with FPCR.AH set: the host chooses as x86 does.
        !self.options.unsafe_fast_nan && !self.a.features.afp
    }

    /// After `r` was computed from `a` and `b`: where it holds a NaN, makes it the one that x86 chooses (the first operand if it is a NaN,
    /// else the second, quieted; if neither is, the negative default). `a` and `b` must still hold the operands. Uses v0-v5 if `r` does not lie
    /// there; T0.
    pub fn choose_nan(&mut self, fp: Fp, r: V, a: V, b: V) {
        if !self.exact_nan() {
            return;
        }
        let back = self.a.label();
        let (probe, scalar, stub) = match fp {
            Fp::S => (r, Fp::S, Stub::NanS),
            Fp::D => (r, Fp::D, Stub::NanD),
            Fp::S4 => (V(3), Fp::S, Stub::NanS4),
            Fp::D2 => (V(3), Fp::D, Stub::NanD2),
        };
        let slow = self.cold(move |c| {
            // Sources first: one of them may lie where another argument goes.
            if b == V(1) {
                c.a.vmov(V(2), b);
                c.a.vmov(V(1), a);
            } else {
                c.a.vmov(V(1), a);
                c.a.vmov(V(2), b);
            }
            c.a.vmov(V(0), r);
            c.call_stub(stub);
            c.a.vmov(r, V(0));
            c.a.b(back);
        });
        if !fp.scalar() {
            self.a.fmax_across(fp, probe, r);
        }
        self.branch_if_nan(scalar, probe, slow);
        self.a.bind(back);
    }

    /// Branches if the scalar is a NaN (a quiet one); keeps NZCV if it is live. Uses v3, T0.
    pub fn branch_if_nan(&mut self, fp: Fp, r: V, to: crate::emit::Label) {
        if self.nzcv_live() {
            self.a.f3(ops::FCMEQ, fp, V(3), r, r);
            self.a.fmov_to(Size::X, T[0], V(3));
            self.a.cbz(Size::X, T[0], to);
        } else {
            self.a.fcmp(fp, r, r, false);
            self.a.b_cond(Cond::Vs, to);
        }
    }
}

/// A two-operand instruction, the first being destination too; lane by lane, so that an MMX operand is the low half of the same work.
pub fn packed(c: &mut Ctx, insn: &Insn, f: Bin) {
    match insn.op(0) {
        Op::Xmm(n) => {
            let b = c.read_aligned(insn, 1, SECOND);
            let a = c.first_xmm(n);
            f(c, xmm(n), a, b);
        }
        Op::Mmx(n) => {
            let b = c.read_v(insn, 1, insn.memory_bytes(), SECOND);
            c.read_mmx(FIRST, n);
            f(c, FIRST, FIRST, b);
            c.write_mmx(n, FIRST);
        }
        _ => c.undefined(insn),
    }
}

/// The same where lanes meet: the arrangement tells how long the registers are.
pub fn shaped(c: &mut Ctx, insn: &Insn, arr: Arr, f: Shaped) {
    match insn.op(0) {
        Op::Xmm(n) => {
            let b = c.read_aligned(insn, 1, SECOND);
            let a = c.first_xmm(n);
            f(c, arr, xmm(n), a, b);
        }
        Op::Mmx(n) => {
            let b = c.read_v(insn, 1, insn.memory_bytes(), SECOND);
            c.read_mmx(FIRST, n);
            f(c, arr.half(), FIRST, FIRST, b);
            c.write_mmx(n, FIRST);
        }
        _ => c.undefined(insn),
    }
}

/// The immediate, which is the last operand.
pub fn immediate(insn: &Insn) -> u32 {
    match insn.op(insn.op_count() - 1) {
        Op::Imm(v) => v as u32 & 0xff,
        _ => 0,
    }
}
