//! Integer instructions.

use super::code::{Buffers, Code};
use super::features::Features;
use super::imm::{is_add_imm, is_logical_imm};
use super::regs::*;
use dynasm::dynasm;
use dynasmrt::DynasmApi;

/// Operand size of an integer instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// 32 bits; the upper half of the destination becomes zero.
    W,
    /// 64 bits.
    X,
}

impl Size {
    /// 32 or 64.
    pub fn bits(self) -> u32 {
        if self == Size::X { 64 } else { 32 }
    }
}

/// Two-operand arithmetic and logic with a register operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are the instructions'.
pub enum Alu {
    Add,
    Adds,
    Sub,
    Subs,
    And,
    Ands,
    Orr,
    Eor,
    Bic,
    Bics,
    Orn,
    Eon,
}

/// Shift kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Shift {
    Lsl,
    Lsr,
    Asr,
    Ror,
}

/// Condition codes by their encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cond {
    Eq,
    Ne,
    Cs,
    Cc,
    Mi,
    Pl,
    Vs,
    Vc,
    Hi,
    Ls,
    Ge,
    Lt,
    Gt,
    Le,
    Al,
    Nv,
}

impl Cond {
    const ALL: [Cond; 16] = {
        use Cond::*;
        [Eq, Ne, Cs, Cc, Mi, Pl, Vs, Vc, Hi, Ls, Ge, Lt, Gt, Le, Al, Nv]
    };
    /// The opposite condition.
    pub fn invert(self) -> Cond {
        Cond::ALL[(self as u8 ^ 1) as usize]
    }
}

/// The assembler: appends instructions to a buffer of its own.
pub struct Asm {
    pub(super) ops: Code,
    /// What may be emitted.
    pub features: Features,
    pub(super) labels: Vec<u32>,
    pub(super) fixups: Vec<super::branch::Fixup>,
    pub(super) literals: Vec<super::branch::Literal>,
    /// A barrier in front of a store takes the place of a load's that stands shortly before ([`Asm::dmb_before_store`]).
    pub joins_barriers: bool,
    /// Offset of the last DMB ISHLD.
    pub(super) load_barrier: Option<u32>,
    /// The address of an access with order may be that of the one before ([`Asm::load`]).
    pub shares_addresses: bool,
    /// What address S0 was given last, and the offset behind that.
    pub(super) last_address: Option<(u32, super::memory::Mem)>,
    /// Offset at which a label was bound last: code may come there from elsewhere.
    pub(super) bound: u32,
}

/// `dynasm!` on this assembler.
macro_rules! op { ($s:ident, $($t:tt)*) => { dynasm!($s.ops ; .arch aarch64 ; $($t)*) } }
pub(super) use op;


/// `fn name(size, d, n, m)` for three-register instructions.
macro_rules! three { ($($(#[$doc:meta])* $name:ident)*) => { impl Asm { $(
    $(#[$doc])*
    pub fn $name(&mut self, size: Size, d: X, n: X, m: X) {
        match size {
            Size::X => op!(self, $name X(d.0), X(n.0), X(m.0)),
            Size::W => op!(self, $name W(d.0), W(n.0), W(m.0)),
        }
    } )* } } }
three! {
    /// Add with carry.
    adc
    /// Add with carry, setting flags.
    adcs
    /// Subtract with borrow.
    sbc
    /// Subtract with borrow, setting flags.
    sbcs
    /// Variable shift left (amount modulo the size).
    lslv
    /// Variable logical shift right.
    lsrv
    /// Variable arithmetic shift right.
    asrv
    /// Variable rotate right.
    rorv
    /// Multiply.
    mul
    /// Unsigned division (x / 0 = 0).
    udiv
    /// Signed division.
    sdiv
}

/// `fn name(size, d, n)` for two-register instructions.
macro_rules! two { ($($(#[$doc:meta])* $name:ident)*) => { impl Asm { $(
    $(#[$doc])*
    pub fn $name(&mut self, size: Size, d: X, n: X) {
        match size {
            Size::X => op!(self, $name X(d.0), X(n.0)),
            Size::W => op!(self, $name W(d.0), W(n.0)),
        }
    } )* } } }
two! {
    /// Count leading zeros.
    clz
    /// Reverse bits.
    rbit
    /// Reverse bytes.
    rev
    /// Reverse bytes of each halfword.
    rev16
}

/// `fn name(size, d, n, m, cond)` for conditional selects.
macro_rules! select { ($($(#[$doc:meta])* $name:ident)*) => { impl Asm { $(
    $(#[$doc])*
    pub fn $name(&mut self, size: Size, d: X, n: X, m: X, cond: Cond) {
        macro_rules! with { ($cc:ident) => { match size {
            Size::X => op!(self, $name X(d.0), X(n.0), X(m.0), $cc),
            Size::W => op!(self, $name W(d.0), W(n.0), W(m.0), $cc),
        } } }
        match cond {
            Cond::Eq => with!(eq), Cond::Ne => with!(ne), Cond::Cs => with!(cs), Cond::Cc => with!(cc),
            Cond::Mi => with!(mi), Cond::Pl => with!(pl), Cond::Vs => with!(vs), Cond::Vc => with!(vc),
            Cond::Hi => with!(hi), Cond::Ls => with!(ls), Cond::Ge => with!(ge), Cond::Lt => with!(lt),
            Cond::Gt => with!(gt), Cond::Le => with!(le), Cond::Al | Cond::Nv => with!(al),
        }
    } )* } } }
select! {
    /// n if the condition holds, else m.
    csel
    /// n if the condition holds, else m + 1.
    csinc
    /// n if the condition holds, else !m.
    csinv
    /// n if the condition holds, else -m.
    csneg
}

impl Asm {
    /// An empty assembler.
    pub fn new(features: Features) -> Asm {
        Asm::reusing(features, Buffers::default())
    }

    /// An empty assembler that uses the room of an earlier one.
    pub fn reusing(features: Features, mut room: Buffers) -> Asm {
        room.code.clear();
        room.labels.clear();
        room.fixups.clear();
        room.literals.clear();
        Asm { ops: Code(room.code), features, labels: room.labels, fixups: room.fixups, literals: room.literals, joins_barriers: true, load_barrier: None, shares_addresses: true, last_address: None, bound: 0 }
    }

    /// Bytes emitted so far.
    #[inline]
    pub fn offset(&self) -> u32 {
        self.ops.offset().0 as u32
    }

    /// The word at an offset.
    pub fn word_at(&self, at: u32) -> u32 {
        let at = at as usize;
        self.ops.0[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word))
    }

    /// Replaces the word at an offset.
    pub(super) fn set_word(&mut self, at: u32, word: u32) {
        self.ops.0[at as usize..][..4].copy_from_slice(&word.to_le_bytes());
    }

    /// Appends a raw instruction word.
    #[inline]
    pub fn word(&mut self, w: u32) {
        self.ops.push_u32(w);
    }

    /// `d = n op m`.
    pub fn alu(&mut self, op: Alu, size: Size, d: X, n: X, m: X) {
        self.alu_shift(op, size, d, n, m, Shift::Lsl, 0);
    }

    /// `d = n op (m shift amount)`; ROR only for logic.
    #[allow(clippy::too_many_arguments)] // One for each field of the instruction.
    pub fn alu_shift(&mut self, op: Alu, size: Size, d: X, n: X, m: X, shift: Shift, amount: u32) {
        debug_assert!(amount < size.bits());
        // Encoded here: dynasm has a form for each of the twelve times four times two, and no run-time choice between them.
        let (base, logic) = match op {
            Alu::Add => (0x0b00_0000u32, false),
            Alu::Adds => (0x2b00_0000, false),
            Alu::Sub => (0x4b00_0000, false),
            Alu::Subs => (0x6b00_0000, false),
            Alu::And => (0x0a00_0000, true),
            Alu::Ands => (0x6a00_0000, true),
            Alu::Orr => (0x2a00_0000, true),
            Alu::Eor => (0x4a00_0000, true),
            Alu::Bic => (0x0a20_0000, true),
            Alu::Bics => (0x6a20_0000, true),
            Alu::Orn => (0x2a20_0000, true),
            Alu::Eon => (0x4a20_0000, true),
        };
        debug_assert!(logic || shift != Shift::Ror);
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        self.word(base | sf | (shift as u32) << 22 | (m.0 as u32) << 16 | amount << 10 | (n.0 as u32) << 5 | d.0 as u32);
    }

    /// `d = n op value` in one instruction where the value fits, else through scratch. For Add and Sub, n and d must not be register 31.
    pub fn alu_imm(&mut self, op: Alu, size: Size, d: X, n: X, value: u64) {
        let value = if size == Size::W { value & 0xffff_ffff } else { value };
        // Most constants are small.
        if value.wrapping_sub(1) < 0xfff && matches!(op, Alu::Add | Alu::Sub | Alu::Adds | Alu::Subs) {
            return self.add_sub_imm(op, size, d, n, value as u32);
        }
        self.alu_imm_otherwise(op, size, d, n, value);
    }
    #[inline(never)]
    fn alu_imm_otherwise(&mut self, op: Alu, size: Size, d: X, n: X, value: u64) {
        let negated = if size == Size::W { (value as u32).wrapping_neg() as u64 } else { value.wrapping_neg() };
        match op {
            Alu::Add | Alu::Sub if value == 0 && d == n && size == Size::X => {}
            Alu::Add | Alu::Sub | Alu::Adds | Alu::Subs if is_add_imm(value) => self.add_sub_imm(op, size, d, n, value as u32),
            // a + v and a - (-v) agree in result, N, Z and V, but not in C: only without flags.
            Alu::Add if is_add_imm(negated) => self.add_sub_imm(Alu::Sub, size, d, n, negated as u32),
            Alu::Sub if is_add_imm(negated) => self.add_sub_imm(Alu::Add, size, d, n, negated as u32),
            // With flags: a + v and a - (-v) give the same carry too, unless v is 0 (excluded above) — see Arm ARM AddWithCarry.
            Alu::Adds if is_add_imm(negated) => self.add_sub_imm(Alu::Subs, size, d, n, negated as u32),
            Alu::Subs if is_add_imm(negated) => self.add_sub_imm(Alu::Adds, size, d, n, negated as u32),
            Alu::And | Alu::Ands | Alu::Orr | Alu::Eor if is_logical_imm(value, size.bits()) => self.logical_imm(op, size, d, n, value),
            _ => {
                self.constant(S0, value);
                self.alu(op, size, d, n, S0);
            }
        }
    }

    #[inline]
    fn add_sub_imm(&mut self, op: Alu, size: Size, d: X, n: X, value: u32) {
        let base = match op {
            Alu::Add => 0x1100_0000u32,
            Alu::Adds => 0x3100_0000,
            Alu::Sub => 0x5100_0000,
            _ => 0x7100_0000,
        };
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        let (sh, imm) = if value < 0x1000 { (0, value) } else { (1, value >> 12) };
        self.word(base | sf | sh << 22 | imm << 10 | (n.0 as u32) << 5 | d.0 as u32);
    }

    fn logical_imm(&mut self, op: Alu, size: Size, d: X, n: X, value: u64) {
        match (op, size) {
            (Alu::And, Size::X) => op!(self, and XSP(d.0), X(n.0), value),
            (Alu::And, Size::W) => op!(self, and WSP(d.0), W(n.0), value as u32),
            (Alu::Orr, Size::X) => op!(self, orr XSP(d.0), X(n.0), value),
            (Alu::Orr, Size::W) => op!(self, orr WSP(d.0), W(n.0), value as u32),
            (Alu::Eor, Size::X) => op!(self, eor XSP(d.0), X(n.0), value),
            (Alu::Eor, Size::W) => op!(self, eor WSP(d.0), W(n.0), value as u32),
            (_, Size::X) => op!(self, ands X(d.0), X(n.0), value),
            (_, Size::W) => op!(self, ands W(d.0), W(n.0), value as u32),
        }
    }

    /// `d = n + low byte of m`.
    pub fn add_byte(&mut self, d: X, n: X, m: X) {
        // ADD (extended register), UXTB.
        self.word(0x8b20_0000 | (m.0 as u32) << 16 | (n.0 as u32) << 5 | d.0 as u32);
    }

    /// Is `op` with this constant one instruction?
    pub fn fits(op: Alu, size: Size, value: u64) -> bool {
        let value = if size == Size::W { value & 0xffff_ffff } else { value };
        let negated = if size == Size::W { (value as u32).wrapping_neg() as u64 } else { value.wrapping_neg() };
        match op {
            Alu::Add | Alu::Sub | Alu::Adds | Alu::Subs => is_add_imm(value) || is_add_imm(negated),
            _ => is_logical_imm(value, size.bits()),
        }
    }

    /// Register move. A 32-bit one clears the upper half; a 64-bit one onto itself emits nothing.
    pub fn mov(&mut self, size: Size, d: X, n: X) {
        match size {
            Size::X if d == n => {}
            Size::X => op!(self, mov X(d.0), X(n.0)),
            Size::W => op!(self, mov W(d.0), W(n.0)),
        }
    }

    /// Loads a constant: one to four instructions.
    pub fn mov_imm(&mut self, d: X, value: u64) {
        let halves = |v: u64| (0..4).filter(|i| v >> (16 * i) & 0xffff != 0).count();
        if value == 0 {
            op!(self, movz X(d.0), 0);
        } else if halves(value) <= 1 || (halves(value) <= halves(!value) && !is_logical_imm(value, 64)) {
            let mut first = true;
            for i in 0..4u32 {
                let half = (value >> (16 * i) & 0xffff) as u32;
                if half == 0 {
                    continue;
                }
                if first {
                    op!(self, movz X(d.0), half, lsl 16 * i);
                } else {
                    op!(self, movk X(d.0), half, lsl 16 * i);
                }
                first = false;
            }
        } else if value >> 32 == 0 && halves(!value & 0xffff_ffff) <= 1 {
            let inverted = !value as u32;
            let i = if inverted >> 16 != 0 { 1 } else { 0 };
            op!(self, movn W(d.0), inverted >> (16 * i) & 0xffff, lsl 16 * i);
        } else if is_logical_imm(value, 64) {
            op!(self, orr XSP(d.0), xzr, value);
        } else {
            let inverted = !value;
            let mut first = true;
            for i in 0..4u32 {
                let half = (inverted >> (16 * i) & 0xffff) as u32;
                if half == 0 && !(i == 3 && first) {
                    continue;
                }
                if first {
                    op!(self, movn X(d.0), half, lsl 16 * i);
                } else {
                    op!(self, movk X(d.0), !half & 0xffff, lsl 16 * i);
                }
                first = false;
            }
        }
    }

    /// Replaces the 16 bits from bit `lsl` (a multiple of 16) on.
    pub fn movk(&mut self, d: X, half: u32, lsl: u32) {
        op!(self, movk X(d.0), half, lsl lsl);
    }

    /// Shift by a constant below the size.
    pub fn shift_imm(&mut self, shift: Shift, size: Size, d: X, n: X, amount: u32) {
        let bits = size.bits();
        debug_assert!(amount < bits);
        match shift {
            Shift::Lsl => self.bfm(BitField::Unsigned, size, d, n, (bits - amount) % bits, bits - 1 - amount),
            Shift::Lsr => self.bfm(BitField::Unsigned, size, d, n, amount, bits - 1),
            Shift::Asr => self.bfm(BitField::Signed, size, d, n, amount, bits - 1),
            Shift::Ror => self.extr(size, d, n, n, amount),
        }
    }

    /// Shift by a register, amount modulo the size.
    pub fn shift_reg(&mut self, shift: Shift, size: Size, d: X, n: X, m: X) {
        match shift {
            Shift::Lsl => self.lslv(size, d, n, m),
            Shift::Lsr => self.lsrv(size, d, n, m),
            Shift::Asr => self.asrv(size, d, n, m),
            Shift::Ror => self.rorv(size, d, n, m),
        }
    }

    fn bfm(&mut self, kind: BitField, size: Size, d: X, n: X, immr: u32, imms: u32) {
        let opc = match kind {
            BitField::Signed => 0x1300_0000u32,
            BitField::Insert => 0x3300_0000,
            BitField::Unsigned => 0x5300_0000,
        };
        let sf = if size == Size::X { 1 << 31 | 1 << 22 } else { 0 };
        self.word(opc | sf | immr << 16 | imms << 10 | (n.0 as u32) << 5 | d.0 as u32);
    }

    /// Zero-extended bits `lsb .. lsb+width` of n.
    pub fn ubfx(&mut self, size: Size, d: X, n: X, lsb: u32, width: u32) {
        self.bfm(BitField::Unsigned, size, d, n, lsb, lsb + width - 1);
    }
    /// Sign-extended bits `lsb .. lsb+width` of n.
    pub fn sbfx(&mut self, size: Size, d: X, n: X, lsb: u32, width: u32) {
        self.bfm(BitField::Signed, size, d, n, lsb, lsb + width - 1);
    }
    /// Inserts the low `width` bits of n at `lsb` of d.
    pub fn bfi(&mut self, size: Size, d: X, n: X, lsb: u32, width: u32) {
        self.bfm(BitField::Insert, size, d, n, (size.bits() - lsb) % size.bits(), width - 1);
    }
    /// Inserts bits `lsb .. lsb+width` of n at the bottom of d.
    pub fn bfxil(&mut self, size: Size, d: X, n: X, lsb: u32, width: u32) {
        self.bfm(BitField::Insert, size, d, n, lsb, lsb + width - 1);
    }
    /// The low `width` bits of n, zero-extended, at `lsb`.
    pub fn ubfiz(&mut self, size: Size, d: X, n: X, lsb: u32, width: u32) {
        self.bfm(BitField::Unsigned, size, d, n, (size.bits() - lsb) % size.bits(), width - 1);
    }

    /// Bits of the pair n:m from `lsb` on.
    pub fn extr(&mut self, size: Size, d: X, n: X, m: X, lsb: u32) {
        match size {
            Size::X => op!(self, extr X(d.0), X(n.0), X(m.0), lsb),
            Size::W => op!(self, extr W(d.0), W(n.0), W(m.0), lsb),
        }
    }

    /// `d = a + n * m`.
    pub fn madd(&mut self, size: Size, d: X, n: X, m: X, a: X) {
        match size {
            Size::X => op!(self, madd X(d.0), X(n.0), X(m.0), X(a.0)),
            Size::W => op!(self, madd W(d.0), W(n.0), W(m.0), W(a.0)),
        }
    }
    /// `d = a - n * m`.
    pub fn msub(&mut self, size: Size, d: X, n: X, m: X, a: X) {
        match size {
            Size::X => op!(self, msub X(d.0), X(n.0), X(m.0), X(a.0)),
            Size::W => op!(self, msub W(d.0), W(n.0), W(m.0), W(a.0)),
        }
    }
    /// Upper half of the unsigned 128-bit product.
    pub fn umulh(&mut self, d: X, n: X, m: X) {
        op!(self, umulh X(d.0), X(n.0), X(m.0));
    }
    /// Upper half of the signed 128-bit product.
    pub fn smulh(&mut self, d: X, n: X, m: X) {
        op!(self, smulh X(d.0), X(n.0), X(m.0));
    }
    /// 32 x 32 to 64 bits, unsigned.
    pub fn umull(&mut self, d: X, n: X, m: X) {
        op!(self, umull X(d.0), W(n.0), W(m.0));
    }
    /// 32 x 32 to 64 bits, signed.
    pub fn smull(&mut self, d: X, n: X, m: X) {
        op!(self, smull X(d.0), W(n.0), W(m.0));
    }

    /// 1 if the condition holds, else 0.
    pub fn cset(&mut self, d: X, cond: Cond) {
        self.csinc(Size::W, d, ZR, ZR, cond.invert());
    }

    /// If the condition holds compare n with m, else set the flags to `nzcv` (4 bits).
    pub fn ccmp(&mut self, size: Size, n: X, m: X, nzcv: u32, cond: Cond) {
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        self.word(0x7a40_0000 | sf | (m.0 as u32) << 16 | (cond as u32) << 12 | (n.0 as u32) << 5 | nzcv);
    }
    /// The same with a constant 0 to 31.
    pub fn ccmp_imm(&mut self, size: Size, n: X, value: u32, nzcv: u32, cond: Cond) {
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        self.word(0x7a40_0800 | sf | value << 16 | (cond as u32) << 12 | (n.0 as u32) << 5 | nzcv);
    }
    /// If the condition holds compare n with -value (0 to 31), else set the flags to `nzcv`.
    pub fn ccmn_imm(&mut self, size: Size, n: X, value: u32, nzcv: u32, cond: Cond) {
        let sf = if size == Size::X { 1 << 31 } else { 0 };
        self.word(0x3a40_0800 | sf | value << 16 | (cond as u32) << 12 | (n.0 as u32) << 5 | nzcv);
    }

    /// Zero-extends 1, 2 or 4 bytes of n.
    pub fn zext(&mut self, bytes: u32, d: X, n: X) {
        match bytes {
            1 | 2 => self.ubfx(Size::W, d, n, 0, bytes * 8),
            4 => self.mov(Size::W, d, n),
            _ => self.mov(Size::X, d, n),
        }
    }
    /// Sign-extends 1, 2 or 4 bytes of n to `size`.
    pub fn sext(&mut self, bytes: u32, size: Size, d: X, n: X) {
        if bytes * 8 >= size.bits() { self.mov(size, d, n) } else { self.sbfx(size, d, n, 0, bytes * 8) }
    }

    /// NZCV to a register.
    pub fn read_nzcv(&mut self, d: X) {
        self.word(0xd53b_4200 | d.0 as u32);
    }
    /// A register to NZCV.
    pub fn write_nzcv(&mut self, n: X) {
        self.word(0xd51b_4200 | n.0 as u32);
    }
    /// FPCR to a register.
    pub fn read_fpcr(&mut self, d: X) {
        self.word(0xd53b_4400 | d.0 as u32);
    }
    /// A register to FPCR.
    pub fn write_fpcr(&mut self, n: X) {
        self.word(0xd51b_4400 | n.0 as u32);
    }
    /// FPSR to a register.
    pub fn read_fpsr(&mut self, d: X) {
        self.word(0xd53b_4420 | d.0 as u32);
    }
    /// A register to FPSR.
    pub fn write_fpsr(&mut self, n: X) {
        self.word(0xd51b_4420 | n.0 as u32);
    }
    /// The virtual counter (CNTVCT_EL0).
    pub fn read_counter(&mut self, d: X) {
        self.word(0xd53b_e040 | d.0 as u32);
    }

    /// Inverts the carry flag. Uses `scratch` where FlagM is missing.
    pub fn invert_carry(&mut self, scratch: X) {
        if self.features.flagm {
            self.word(0xd500_401f);
        } else {
            self.read_nzcv(scratch);
            self.alu_imm(Alu::Eor, Size::X, scratch, scratch, 1 << 29);
            self.write_nzcv(scratch);
        }
    }

    /// Does nothing.
    pub fn svc(&mut self) {
        self.word(0xd400_0001);
    }
    /// STLRB.
    pub fn store_release_byte(&mut self, s: X, n: X) {
        self.word(0x089f_fc00 | (n.0 as u32) << 5 | s.0 as u32);
    }
    /// LDAR of 32 bits: not before an earlier release of this thread, as LDAPR may be.
    pub fn load_acquire(&mut self, d: X, n: X) {
        self.word(0x88df_fc00 | (n.0 as u32) << 5 | d.0 as u32);
    }
    /// NOP.
    pub fn nop(&mut self) {
        self.word(0xd503_201f);
    }
    /// Raises SIGTRAP; never reached in correct code.
    pub fn brk(&mut self, code: u32) {
        self.word(0xd420_0000 | code << 5);
    }
}

#[derive(Clone, Copy)]
enum BitField {
    Signed,
    Insert,
    Unsigned,
}
