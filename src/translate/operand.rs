//! Operands: guest registers and memory to host registers and back.

use super::context::{Ctx, size_of};
use crate::decode::{Insn, MemOperand, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::{Alu, Mem, Order, Shift, Size, Width};
use crate::guest::CpuState;
use crate::optimize::Opt;
use std::mem::offset_of;

/// How far to look back for what left zeros.
const REACH: usize = 8;

impl Ctx<'_> {
    /// Base of a segment register (4 = FS, 5 = GS) into `d`.
    fn segment_base(&mut self, d: X, segment: u8) {
        let at = if segment == 4 { offset_of!(CpuState, fs_base) } else { offset_of!(CpuState, gs_base) };
        self.load_field(d, at);
    }

    /// The address of the memory operand. May hold T7 (inside groups T6) until the instruction ends; touches no other temporary.
    #[inline]
    pub fn mem(&mut self, insn: &Insn) -> Mem {
        // Most are a register and a displacement, of which only that register is asked for below, too.
        match insn.simple_memory() {
            Some((base, disp)) if self.memory.is_none() && self.held_sums.is_none() => Mem::Off(gpr(base), disp),
            _ => self.mem_of_any_kind(insn),
        }
    }
    #[inline(never)]
    fn mem_of_any_kind(&mut self, insn: &Insn) -> Mem {
        if let Some(instead) = self.memory {
            return instead;
        }
        let m = insn.memory();
        self.effective(&m, true)
    }

    /// The effective address (without segment base, as LEA has it).
    pub fn effective_address(&mut self, insn: &Insn) -> Mem {
        let m = insn.memory();
        self.effective(&m, false)
    }

    fn effective(&mut self, m: &MemOperand, with_segment: bool) -> Mem {
        let plain = m.rip && !m.addr32 && (m.segment.is_none() || !with_segment);
        if plain && let Some(mem) = self.near_operand(m) {
            return mem;
        }
        let mem = self.effective_anew(m, with_segment);
        if matches!(mem, Mem::Off(n, _) if n == T[7]) {
            self.near = None;
            if plain {
                self.is_near(m);
            }
        }
        mem
    }

    fn effective_anew(&mut self, m: &MemOperand, with_segment: bool) -> Mem {
        let t = T[7];
        let segment = m.segment.filter(|_| with_segment);
        if m.rip {
            self.a.guest_address(t, m.disp as u64);
            return self.cut_and_add(Mem::Off(t, 0), m.addr32, segment);
        }
        if let Some(mem) = self.held_sum(m) {
            return mem;
        }
        let mem = match (m.base, m.index) {
            (None, None) => {
                if let Some(s) = segment {
                    if !m.addr32 || m.disp >= 0 {
                        self.segment_base(t, s);
                        return Mem::Off(t, if m.addr32 { m.disp & 0xffff_ffff } else { m.disp });
                    }
                }
                self.a.constant(t, if m.addr32 { m.disp as u64 & 0xffff_ffff } else { m.disp as u64 });
                return if let Some(s) = segment { self.add_segment(Mem::Off(t, 0), s) } else { Mem::Off(t, 0) };
            }
            (Some(b), None) => Mem::Off(gpr(b), m.disp),
            (None, Some(i)) => {
                if m.scale == 0 {
                    Mem::Off(gpr(i), m.disp)
                } else {
                    self.a.shift_imm(Shift::Lsl, Size::X, t, gpr(i), m.scale as u32);
                    Mem::Off(t, m.disp)
                }
            }
            (Some(b), Some(i)) if segment.is_none() && !m.addr32 && self.shares_sum((b, i, m.scale)) => return Mem::Off(T[6], m.disp),
            (Some(b), Some(i)) if m.disp == 0 => Mem::Idx(gpr(b), gpr(i), m.scale as u32),
            (Some(b), Some(i)) => {
                self.a.alu_shift(Alu::Add, Size::X, t, gpr(b), gpr(i), Shift::Lsl, m.scale as u32);
                Mem::Off(t, m.disp)
            }
        };
        self.cut_and_add(mem, m.addr32, segment)
    }

    /// The memory operand `offset` << `shift` bytes further on, as bit strings have it: the sum is cut like any address, then comes the segment.
    pub fn mem_further(&mut self, insn: &Insn, offset: X, shift: u32) -> Mem {
        let m = insn.memory();
        let mem = self.effective(&m, false);
        self.a.lea(T[7], mem);
        self.a.alu_shift(Alu::Add, Size::X, T[7], T[7], offset, Shift::Lsl, shift);
        self.cut_and_add(Mem::Off(T[7], 0), m.addr32, m.segment)
    }

    fn cut_and_add(&mut self, mem: Mem, addr32: bool, segment: Option<u8>) -> Mem {
        let t = T[7];
        let mut mem = mem;
        if addr32 {
            self.a.lea(t, mem);
            self.a.mov(Size::W, t, t);
            mem = Mem::Off(t, 0);
        }
        match segment {
            Some(s) => self.add_segment(mem, s),
            None => mem,
        }
    }

    fn add_segment(&mut self, mem: Mem, segment: u8) -> Mem {
        let t = T[7];
        match mem {
            // The base goes into scratch that the access itself may need: only where no displacement is left.
            Mem::Off(n, off) => {
                self.segment_base(S1, segment);
                self.a.alu(Alu::Add, Size::X, t, n, S1);
                Mem::Off(t, off)
            }
            Mem::Idx(..) => {
                self.a.lea(t, mem);
                self.segment_base(S1, segment);
                self.a.alu(Alu::Add, Size::X, t, t, S1);
                Mem::Off(t, 0)
            }
        }
    }

    /// What all elements of a vector-indexed operand share: base, displacement and perhaps the segment's base. May lie in T7.
    pub fn shared_address(&mut self, m: &MemOperand, with_segment: bool) -> X {
        let m = MemOperand { addr32: false, ..*m };
        let mem = self.effective(&m, with_segment);
        self.a.address_in(T[7], mem)
    }
    /// Adds the base of the operand's segment to `d`.
    pub fn add_segment_base(&mut self, d: X, m: &MemOperand) {
        if let Some(s) = m.segment {
            self.segment_base(S1, s);
            self.a.alu(Alu::Add, Size::X, d, d, S1);
        }
    }

    /// Moves a memory operand's address wholly into T7, so that it survives other uses of its registers.
    pub fn mem_in_register(&mut self, insn: &Insn) -> X {
        let mem = self.mem(insn);
        match mem {
            Mem::Off(n, 0) => n,
            _ => {
                self.near = None;
                self.a.lea(T[7], mem);
                T[7]
            }
        }
    }

    /// Operand `i` as a host register whose low `bytes` are its value; what lies above is not defined for 1 and 2 bytes. Registers
    /// are returned as they are pinned (except AH…BH), memory and immediates are brought into `t`.
    #[inline]
    pub fn read(&mut self, insn: &Insn, i: u32, t: X) -> X {
        // Most are.
        match insn.wide_register(i) {
            Some((n, _)) => gpr(n),
            None => self.read_otherwise(insn, i, t),
        }
    }
    #[inline(never)]
    fn read_otherwise(&mut self, insn: &Insn, i: u32, t: X) -> X {
        match insn.op(i) {
            Op::Gpr { n, high: false, .. } => gpr(n),
            Op::Gpr { n, .. } => {
                self.a.ubfx(Size::W, t, gpr(n), 8, 8);
                t
            }
            Op::Mem => {
                let mem = self.mem(insn);
                let order = self.order();
                self.a.load(Width::bytes_of(insn.memory_bytes()), t, mem, order);
                t
            }
            Op::Imm(v) => {
                let v = if insn.bytes(0) == 8 { v } else { v & 0xffff_ffff };
                self.a.constant(t, v);
                t
            }
            other => unreachable!("general operand expected, not {other:?}"),
        }
    }

    /// Has an instruction before the current one in its block left zeros in register `n` above the low `bytes` (1 or 2)?
    pub(super) fn is_extended(&self, n: u8, bytes: u8) -> bool {
        use Mnemonic::*;
        let first = self.region.blocks.get(self.block).map_or(0, |block| block.first);
        let Some(before) = self.region.insns.get(first..self.index) else { return false };
        // Code that is put aside stands nowhere among them.
        if self.again || self.region.insns.get(self.index).is_none_or(|insn| insn.addr() != self.at) || !self.options.switches.on(Opt::KnownZeros) {
            return false;
        }
        for insn in before.iter().rev().take(REACH) {
            let width = match (insn.mnemonic(), insn.op(0)) {
                (Cmp | Test | Nop, _) => continue,
                (Mov | Movzx | Movsx | Movsxd | Lea | Add | Sub | And | Or | Xor | Inc | Dec | Shl | Shr | Sar, Op::Mem) => continue,
                (Mov | Movzx | Movsx | Movsxd | Lea | Add | Sub | And | Or | Xor | Inc | Dec | Shl | Shr | Sar, Op::Gpr { n: d, bytes: width, .. }) => {
                    if d != n {
                        continue;
                    }
                    width
                }
                _ => return false,
            };
            return width >= 4
                && match (insn.mnemonic(), insn.op(1)) {
                    (Movzx, _) => insn.bytes(1) <= bytes.into(),
                    (Mov | And, Op::Imm(v)) => v >> (8 * bytes) == 0,
                    _ => false,
                };
        }
        false
    }

    /// Operand `i` zero-extended to 64 bits, in `t` or, where it is so already in its own register, there.
    pub fn read_zx(&mut self, insn: &Insn, i: u32, t: X) -> X {
        match insn.op(i) {
            Op::Gpr { n, bytes: 8, .. } => gpr(n),
            Op::Gpr { n, bytes: bytes @ (1 | 2), high: false } if self.is_extended(n, bytes) => gpr(n),
            Op::Gpr { n, bytes, high: false } => {
                self.a.zext(bytes as u32, t, gpr(n));
                t
            }
            Op::Imm(v) => {
                let bytes = insn.bytes(0);
                let v = if bytes == 8 { v } else { v & ((1 << (8 * bytes)) - 1) };
                self.a.constant(t, v);
                t
            }
            _ => self.read(insn, i, t),
        }
    }

    /// Operand `i` sign-extended to `size`, in `t`.
    pub fn read_sx(&mut self, insn: &Insn, i: u32, size: Size, t: X) -> X {
        match insn.op(i) {
            Op::Mem => {
                let order = self.order();
                self.load_sx(insn, size, t, order);
            }
            Op::Gpr { n, high: true, .. } => self.a.sbfx(size, t, gpr(n), 8, 8),
            Op::Gpr { n, bytes, .. } => self.a.sext(bytes as u32, size, t, gpr(n)),
            _ => {
                let r = self.read(insn, i, t);
                self.a.sext(insn.bytes(i), size, t, r);
            }
        }
        t
    }

    /// The memory operand sign-extended to `size`, in `t`.
    pub fn load_sx(&mut self, insn: &Insn, size: Size, t: X, order: Order) {
        let mem = self.mem(insn);
        let width = match insn.memory_bytes() {
            1 => Width::Sb(size),
            2 => Width::Sh(size),
            4 if size == Size::X => Width::Sw,
            n => Width::bytes_of(n),
        };
        self.a.load(width, t, mem, order);
    }

    /// Writes the low `bytes` of `value` to general register `op` as x86 does: 4 bytes clear the upper half, 1 and 2 leave the rest.
    pub fn write_gpr(&mut self, op: Op, value: X) {
        match op {
            Op::Gpr { n, bytes: 8, .. } => self.a.mov(Size::X, gpr(n), value),
            Op::Gpr { n, bytes: 4, .. } => self.a.mov(Size::W, gpr(n), value),
            Op::Gpr { n, bytes, high } => self.a.bfi(Size::X, gpr(n), value, if high { 8 } else { 0 }, 8 * bytes as u32),
            other => unreachable!("general register expected, not {other:?}"),
        }
    }

    /// Writes operand 0: a general register, or memory (whose address is computed afresh: use [`Ctx::store_back`] after a load).
    #[inline]
    pub fn write(&mut self, insn: &Insn, i: u32, value: X) {
        match insn.wide_register(i) {
            Some((n, bytes)) => self.a.mov(size_of(bytes.into()), gpr(n), value),
            None => self.write_otherwise(insn, i, value),
        }
    }
    #[inline(never)]
    fn write_otherwise(&mut self, insn: &Insn, i: u32, value: X) {
        match insn.op(i) {
            Op::Mem => {
                let mem = self.mem(insn);
                let order = self.order();
                self.a.store(Width::bytes_of(insn.memory_bytes()), value, mem, order);
            }
            op => self.write_gpr(op, value),
        }
    }

    /// Stores to the memory operand that `mem` names, in the order of the current instruction.
    pub fn store_mem(&mut self, bytes: u32, value: X, mem: Mem) {
        let order = self.order();
        self.a.store(Width::bytes_of(bytes), value, mem, order);
    }
    /// Loads from the memory operand that `mem` names, zero-extended.
    pub fn load_mem(&mut self, bytes: u32, d: X, mem: Mem) {
        let order = self.order();
        self.a.load(Width::bytes_of(bytes), d, mem, order);
    }

    /// Pushes 8 bytes.
    pub fn push(&mut self, value: X) {
        let rsp = gpr(4);
        if self.order() == Order::Plain {
            if value == rsp {
                self.a.mov(Size::X, T[6], rsp);
                self.a.store_pre(Width::X, T[6], rsp, -8);
            } else {
                self.a.store_pre(Width::X, value, rsp, -8);
            }
        } else if self.options.pushes_early() {
            // A fault finds RSP lowered, and `Thread::place_in` raises it, by what the instruction is.
            debug_assert!(self.region.insns.iter().any(|i| i.addr() == self.at && i.pushes_eight()), "what is at {:?} pushes, and is not known to", self.at);
            let value = if value == rsp {
                self.a.mov(Size::X, T[6], rsp);
                T[6]
            } else {
                value
            };
            self.a.alu_imm(Alu::Sub, Size::X, rsp, rsp, 8);
            self.store_mem(8, value, Mem::Off(rsp, 0));
        } else {
            self.store_mem(8, value, Mem::Off(rsp, -8));
            self.a.alu_imm(Alu::Sub, Size::X, rsp, rsp, 8);
        }
    }
    /// Pops 8 bytes into `d`.
    pub fn pop(&mut self, d: X) {
        let rsp = gpr(4);
        if d == rsp {
            self.load_mem(8, d, Mem::Off(rsp, 0));
        } else if self.order() == Order::Plain {
            self.a.load_post(Width::X, d, rsp, 8);
        } else {
            self.load_mem(8, d, Mem::Off(rsp, 0));
            self.a.alu_imm(Alu::Add, Size::X, rsp, rsp, 8);
        }
    }

    /// Instruction size for operand 0.
    pub fn size(&self, insn: &Insn) -> Size {
        size_of(insn.bytes(0))
    }
}
