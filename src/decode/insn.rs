//! One decoded instruction, in the terms that translation needs.

use super::effects::{FlagEffects, Flags, flag_effects, known_effects};
use super::region::CodeSource;
use crate::guest::Addr;
use iced_x86::{Code, EncodingKind, FlowControl, Instruction, MemorySize, Mnemonic, OpKind, Register};

/// An operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// General register: x86 number, bytes (1, 2, 4, 8), and whether it is AH, CH, DH or BH (then `n` is 0-3).
    Gpr {
        /// x86 number.
        n: u8,
        /// Bytes.
        bytes: u8,
        /// Bits 8 to 15.
        high: bool,
    },
    /// Memory; see [`Insn::memory`].
    Mem,
    /// Immediate, sign-extended to 64 bits as the instruction does.
    Imm(u64),
    /// XMM register.
    Xmm(u8),
    /// YMM register.
    Ymm(u8),
    /// MMX register.
    Mmx(u8),
    /// x87 stack register ST(i).
    St(u8),
    /// Segment register: ES CS SS DS FS GS = 0 to 5.
    Segment(u8),
    /// Target of a direct branch.
    Near(Addr),
    /// Anything else (control, debug registers, far pointers): not for user mode.
    Other,
}

/// A memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemOperand {
    /// Base register number.
    pub base: Option<u8>,
    /// Index register number.
    pub index: Option<u8>,
    /// log2 of the scale.
    pub scale: u8,
    /// Displacement, or the whole address for a RIP-relative operand.
    pub disp: i64,
    /// RIP-relative: `disp` is a guest address that moves with the image.
    pub rip: bool,
    /// Address size override: the sum is cut to 32 bits.
    pub addr32: bool,
    /// Segment whose base is added: 4 = FS, 5 = GS.
    pub segment: Option<u8>,
}

/// How control leaves an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// To the next one.
    Next,
    /// Jcc, LOOP, JRCXZ.
    Conditional(Addr),
    /// JMP rel.
    Jump(Addr),
    /// CALL rel.
    Call(Addr),
    /// CALL r/m.
    CallIndirect,
    /// JMP r/m.
    JumpIndirect,
    /// RET.
    Return,
    /// SYSCALL: out to the engine, back behind it.
    Syscall,
    /// Ends in an exception or needs the engine.
    Stop,
}

/// A decoded instruction with its annotations.
#[derive(Clone, Copy, Debug)]
pub struct Insn {
    /// iced's form.
    pub raw: Instruction,
    /// Flags read and overwritten.
    pub flags: FlagEffects,
    /// Flags that something may read after this instruction (set by `optimize::liveness`; all, where it does not run).
    pub live: Flags,
    /// Whether a block begins here, and which: `decode::blocks`'.
    pub(super) begins: u8,
    pub(super) block: u8,
    /// See [`Insn::mnemonic`].
    mnemonic: Mnemonic,
    /// See [`Insn::flow`].
    flow: Flow,
}

impl Insn {
    /// One that nothing was decoded into yet.
    pub(super) fn empty() -> Insn {
        Insn { raw: super::quick::empty(), flags: FlagEffects::default(), live: super::STATUS, begins: 0, block: 0, mnemonic: Mnemonic::INVALID, flow: Flow::Next }
    }
    /// Works out what follows from `raw`, which was just decoded, of an empty one; true: there is more, see [`Insn::annotate_special`].
    #[inline]
    pub(super) fn annotate(&mut self) -> bool {
        self.mnemonic = self.raw.mnemonic();
        let (flags, special) = known_effects(self.mnemonic);
        self.flags = flags;
        special
    }
    /// The rest of it.
    pub(super) fn annotate_special(&mut self) {
        // Most are branches to a fixed place, of which the flags are known already.
        if self.raw.op0_kind() == OpKind::NearBranch64 && self.mnemonic != Mnemonic::Xbegin {
            let to = Addr(self.raw.near_branch64());
            self.flow = match self.mnemonic {
                Mnemonic::Jmp => Flow::Jump(to),
                Mnemonic::Call => Flow::Call(to),
                _ => Flow::Conditional(to),
            };
            return;
        }
        self.flags = flag_effects(&self.raw);
        self.flow = flow(&self.raw);
    }
    /// Does translated code push 8 bytes for it, by its last access? Of CALL also where a prefix says 16 bits.
    pub fn pushes_eight(&self) -> bool {
        match self.mnemonic {
            Mnemonic::Call => true,
            Mnemonic::Push | Mnemonic::Pushfq => self.raw.stack_pointer_increment() == -8,
            _ => false,
        }
    }
    /// Address of the first byte.
    pub fn addr(&self) -> Addr {
        Addr(self.raw.ip())
    }
    /// Address behind the last byte.
    pub fn next(&self) -> Addr {
        Addr(self.raw.next_ip())
    }
    /// Mnemonic.
    #[inline]
    pub fn mnemonic(&self) -> Mnemonic {
        self.mnemonic
    }
    /// Encoding form.
    pub fn code(&self) -> Code {
        self.raw.code()
    }
    /// Number of operands, implied ones not counted.
    pub fn op_count(&self) -> u32 {
        self.raw.op_count()
    }
    /// VEX encoding: a vector destination's upper half is written.
    pub fn is_vex(&self) -> bool {
        self.raw.encoding() == EncodingKind::VEX
    }
    /// More than 15 bytes: #GP, whatever it is.
    pub fn is_too_long(&self) -> bool {
        self.raw.is_invalid() && self.raw.len() >= 15
    }
    /// LOCK prefix present.
    pub fn lock(&self) -> bool {
        self.raw.has_lock_prefix()
    }

    /// Operand `i`.
    #[inline(always)]
    pub fn op(&self, i: u32) -> Op {
        // Mostly a register, and `i` known.
        match self.raw.op_kind(i) {
            OpKind::Register => register(self.raw.op_register(i)),
            OpKind::Memory => Op::Mem,
            kind => self.other_op(kind),
        }
    }
    #[inline(never)]
    fn other_op(&self, kind: OpKind) -> Op {
        match kind {
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => Op::Near(Addr(self.raw.near_branch_target())),
            OpKind::FarBranch16 | OpKind::FarBranch32 => Op::Other,
            OpKind::Immediate8 => Op::Imm(self.raw.immediate8() as u64),
            OpKind::Immediate8_2nd => Op::Imm(self.raw.immediate8_2nd() as u64),
            OpKind::Immediate16 => Op::Imm(self.raw.immediate16() as u64),
            OpKind::Immediate32 => Op::Imm(self.raw.immediate32() as u64),
            OpKind::Immediate8to16 => Op::Imm(self.raw.immediate8to16() as u64),
            OpKind::Immediate8to32 => Op::Imm(self.raw.immediate8to32() as u64),
            OpKind::Immediate8to64 => Op::Imm(self.raw.immediate8to64() as u64),
            OpKind::Immediate32to64 => Op::Imm(self.raw.immediate32to64() as u64),
            OpKind::Immediate64 => Op::Imm(self.raw.immediate64()),
            // String instructions' implied operands.
            _ => Op::Mem,
        }
    }

    /// Bytes of operand `i`: of the register, or of what memory holds there; an immediate has operand 0's.
    pub fn bytes(&self, i: u32) -> u32 {
        match self.raw.op_kind(i) {
            OpKind::Register => self.raw.op_register(i).size() as u32,
            OpKind::Memory => self.memory_bytes(),
            _ if i != 0 => self.bytes(0),
            _ => self.raw.memory_size().size() as u32,
        }
    }

    /// Bytes of the memory operand.
    pub fn memory_bytes(&self) -> u32 {
        match self.raw.code() {
            // AMD's read what MOVSXD always reads, whatever becomes of it (Intel's two bytes).
            Code::Movsxd_r16_rm16 => 4,
            _ => self.raw.memory_size().size() as u32,
        }
    }

    /// Is there an explicit memory operand?
    pub fn has_memory(&self) -> bool {
        (0..self.raw.op_count()).any(|i| self.raw.op_kind(i) == OpKind::Memory)
    }

    /// Number and bytes of operand `i`, if it is a general register of 32 or 64 bits.
    #[inline(always)]
    pub fn wide_register(&self, i: u32) -> Option<(u8, u8)> {
        const FIRST: u8 = Register::EAX as u8;
        const { assert!(Register::R15D as u8 == FIRST + 15 && Register::RAX as u8 == FIRST + 16 && Register::R15 as u8 == FIRST + 31) };
        let n = (self.raw.op_register(i) as u8).wrapping_sub(FIRST);
        (self.raw.op_kind(i) == OpKind::Register && n < 32).then_some((n & 15, if n < 16 { 4 } else { 8 }))
    }
    /// Is operand `i` the explicit memory operand?
    #[inline(always)]
    pub fn is_memory(&self, i: u32) -> bool {
        self.raw.op_kind(i) == OpKind::Memory
    }

    /// Are its first two operands registers?
    pub fn has_two_registers(&self) -> bool {
        self.raw.op0_kind() == OpKind::Register && self.raw.op1_kind() == OpKind::Register
    }

    /// The explicit memory operand.
    pub fn memory(&self) -> MemOperand {
        let (base, index) = (self.raw.memory_base(), self.raw.memory_index());
        let rip = base == Register::RIP || base == Register::EIP;
        // The number of a general register, and its bytes; none for the instruction pointer, vectors, and XLAT's AL.
        let general = |r: Register| match register(r) {
            Op::Gpr { n, bytes: bytes @ 4.., .. } => (Some(n), bytes),
            _ => (None, 0),
        };
        let ((base_number, base_bytes), (index_number, index_bytes)) = (general(base), general(index));
        let segment = match self.raw.memory_segment() {
            Register::FS => Some(4),
            Register::GS => Some(5),
            _ => None,
        };
        // An address without 64-bit registers is 32 bits wide if the displacement is.
        let no_general = base == Register::None && index_number.is_none();
        let addr32 = base_bytes == 4 || index_bytes == 4 || base == Register::EIP || no_general && self.raw.memory_displ_size() == 4;
        MemOperand {
            base: base_number,
            index: index_number,
            scale: self.raw.memory_index_scale().trailing_zeros() as u8,
            disp: self.raw.memory_displacement64() as i64,
            rip,
            addr32,
            segment,
        }
    }

    /// Base and displacement of the explicit memory operand, if it is no more than a 64-bit general register and a constant; without a segment whose base counts.
    #[inline]
    pub fn simple_memory(&self) -> Option<(u8, i64)> {
        let base = (self.raw.memory_base() as u8).wrapping_sub(Register::RAX as u8);
        let simple = base < 16 && self.raw.memory_index() == Register::None && !matches!(self.raw.segment_prefix(), Register::FS | Register::GS);
        simple.then_some((base, self.raw.memory_displacement64() as i64))
    }

    /// The vector register that indexes the memory operand, and whether it is a YMM register.
    pub fn vector_index(&self) -> Option<(u8, bool)> {
        match register(self.raw.memory_index()) {
            Op::Xmm(n) => Some((n, false)),
            Op::Ymm(n) => Some((n, true)),
            _ => None,
        }
    }

    /// Does an implied memory operand (RSI, RDI) use the 32-bit register?
    pub fn implied_addr32(&self) -> bool {
        use OpKind::*;
        (0..self.raw.op_count()).any(|i| matches!(self.raw.op_kind(i), MemorySegESI | MemorySegEDI | MemoryESEDI))
    }

    /// Does it need AVX state in XCR0? All VEX encodings do but those of general registers (BMI1, BMI2; SDM vol. 2, exception type 13).
    pub fn needs_avx(&self) -> bool {
        use Mnemonic::*;
        let general = matches!(self.mnemonic(), Andn | Bextr | Blsi | Blsmsk | Blsr | Bzhi | Mulx | Pdep | Pext | Rorx | Sarx | Shlx | Shrx);
        self.raw.code().encoding() == EncodingKind::VEX && !general
    }

    /// May it write memory? True for some that only read.
    pub fn may_store(&self) -> bool {
        use Mnemonic::*;
        let registers = matches!(self.raw.op0_kind(), OpKind::Register | OpKind::Immediate8 | OpKind::Immediate16 | OpKind::Immediate32 | OpKind::Immediate8to64);
        self.raw.op_count() != 0 && !registers || matches!(self.mnemonic(), Push | Pushf | Pushfq | Enter | Xchg)
    }

    /// Where a jump or a call by a pointer relative to RIP goes that nobody can change: the pointer's address, and the pointer. So do calls
    /// through a procedure linkage table whose pointers the dynamic linker has protected.
    pub(super) fn fixed_target(&self, source: &dyn CodeSource) -> Option<(Addr, Addr)> {
        if !matches!(self.flow, Flow::JumpIndirect | Flow::CallIndirect) || self.raw.memory_base() != Register::RIP || self.raw.memory_size() != MemorySize::QwordOffset {
            return None;
        }
        let m = self.memory();
        let slot = Addr(m.disp as u64);
        let to = source.constant(slot).filter(|to| m.segment.is_none() && to >> 47 == 0)?;
        Some((slot, Addr(to)))
    }
    /// Makes it a direct one.
    pub(super) fn go_to(&mut self, to: Addr) {
        self.flow = if self.flow == Flow::CallIndirect { Flow::Call(to) } else { Flow::Jump(to) };
    }

    /// How control leaves.
    pub fn flow(&self) -> Flow {
        self.flow
    }
}

/// Worked out once: region, liveness and translation ask for it.
fn flow(raw: &Instruction) -> Flow {
    match raw.flow_control() {
        FlowControl::Next => Flow::Next,
        FlowControl::ConditionalBranch => Flow::Conditional(Addr(raw.near_branch_target())),
        FlowControl::UnconditionalBranch if raw.is_jmp_short_or_near() => Flow::Jump(Addr(raw.near_branch_target())),
        FlowControl::IndirectBranch if raw.is_jmp_near_indirect() => Flow::JumpIndirect,
        FlowControl::IndirectCall if raw.is_call_near_indirect() => Flow::CallIndirect,
        FlowControl::Call if raw.is_call_near() => Flow::Call(Addr(raw.near_branch_target())),
        FlowControl::Call if raw.mnemonic() == Mnemonic::Syscall => Flow::Syscall,
        FlowControl::Return if matches!(raw.mnemonic(), Mnemonic::Ret) => Flow::Return,
        _ => Flow::Stop,
    }
}

/// Operands by `Register` number: asked for several times an instruction.
static REGISTERS: [Op; 256] = {
    let mut table = [Op::Other; 256];
    let mut n = 0;
    while n < 256 {
        table[n] = register_operand(n);
        n += 1;
    }
    table
};

fn register(r: Register) -> Op {
    REGISTERS[r as usize & 255]
}

const fn register_operand(n: usize) -> Op {
    use Register as R;
    const fn within(n: usize, first: R, last: R) -> Option<u8> {
        if n >= first as usize && n <= last as usize { Some((n - first as usize) as u8) } else { None }
    }
    const fn gpr(n: u8, bytes: u8) -> Op {
        Op::Gpr { n, bytes, high: false }
    }
    if let Some(n) = within(n, R::RAX, R::R15) {
        gpr(n, 8)
    } else if let Some(n) = within(n, R::EAX, R::R15D) {
        gpr(n, 4)
    } else if let Some(n) = within(n, R::AL, R::BL) {
        gpr(n, 1)
    } else if let Some(n) = within(n, R::SPL, R::R15L) {
        gpr(n + 4, 1)
    } else if let Some(n) = within(n, R::AH, R::BH) {
        Op::Gpr { n, bytes: 1, high: true }
    } else if let Some(n) = within(n, R::AX, R::R15W) {
        gpr(n, 2)
    } else if let Some(n) = within(n, R::XMM0, R::XMM15) {
        Op::Xmm(n)
    } else if let Some(n) = within(n, R::YMM0, R::YMM15) {
        Op::Ymm(n)
    } else if let Some(n) = within(n, R::ST0, R::ST7) {
        Op::St(n)
    } else if let Some(n) = within(n, R::MM0, R::MM7) {
        Op::Mmx(n)
    } else if let Some(n) = within(n, R::ES, R::GS) {
        Op::Segment(n)
    } else {
        Op::Other
    }
}

/// XLAT's memory operand adds AL by itself: it is no index of the operand's.
#[test]
fn xlat_has_no_index() {
    let insn = super::decode_one(&[0xd7], Addr(0x1000)).expect("a whole instruction");
    let m = insn.memory();
    assert_eq!((m.base, m.index, m.addr32), (Some(3), None, false));
}
