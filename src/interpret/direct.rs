//! The encodings that make up nineteen of twenty instructions executed here: each has a function of its own, found by its opcode, which reads what it needs
//! from the code's bytes. What is not here, or does not fit (a prefix but REX, a high byte register, anything that is refused), [`rows`](super::rows) executes,
//! from a decoded form, as a test sees by executing everything here both ways.

use super::arith::{Binary, Shift, binary, holds, rotate, set_carry_overflow, shift};
use super::operand::{cut, put_register, signed};
use crate::guest::{Addr, CpuState, state::Gpr};
use crate::host::touch;
use std::num::NonZero;

/// Bytes of code from the first on, and more behind them that mean nothing.
pub(super) type Window = [u8; 32];
/// The same from behind an opcode on, of one byte and of two.
type Tail = [u8; 24];
type Tail2 = [u8; 23];

/// RIP afterwards, which is less than 2^47, or one of these two and RIP. None: not for here, and nothing has changed.
pub(super) type Outcome = Option<NonZero<u64>>;
/// A branch was not taken: a block begins there.
pub(super) const PAST: u64 = 1 << 62;
/// A branch was taken.
pub(super) const GONE: u64 = 1 << 63;

/// Executes an instruction. Arguments: bytes behind the opcode; REX or 0; the address of those bytes.
type Run<T = Tail> = fn(&mut CpuState, &T, u8, u64) -> Outcome;

const RAX: usize = Gpr::Rax as usize;
const RSP: usize = Gpr::Rsp as usize;
const RBP: usize = Gpr::Rbp as usize;

/// By opcode, and that and 256 with REX.W.
struct Table<const ORDERED: bool>;

/// Rows: opcode, and what executes it without and with REX.W.
macro_rules! rows {
    ($($name:ident $tail:ident { $($op:literal => $narrow:expr, $wide:expr;)* [$($each:tt)*] })*) => {
        impl<const O: bool> Table<O> { $(
            const $name: [Run<$tail>; 512] = {
                let mut t: [Run<$tail>; 512] = [unknown; 512];
                $(
                    t[$op] = $narrow;
                    t[$op | 256] = $wide;
                )*
                rows!(t $($each)*);
                t
            };
        )* }
    };
    // One function for each of sixteen or eight opcodes.
    ($t:ident $op:literal + { $($k:literal)* } => $f:ident $of:tt; $($rest:tt)*) => {
        $($t[$op + $k] = rows!(@ $f $of $k 4); $t[$op + $k + 256] = rows!(@ $f $of $k 8);)*
        rows!($t $($rest)*);
    };
    ($t:ident) => {};
    (@ $f:ident (O, K) $k:literal $bytes:literal) => { $f::<O, $k> };
    (@ $f:ident (K) $k:literal $bytes:literal) => { $f::<$k> };
    (@ $f:ident (K, B) $k:literal $bytes:literal) => { $f::<$k, $bytes> };
    (@ $f:ident (O, K, B) $k:literal $bytes:literal) => { $f::<O, $k, $bytes> };
}

rows! {
    ONE_BYTE Tail {
        0x01 => to_rm::<O, ADD, 4>, to_rm::<O, ADD, 8>;
        0x03 => from_rm::<O, ADD, 4>, from_rm::<O, ADD, 8>;
        0x05 => accumulator::<ADD, 4>, accumulator::<ADD, 8>;
        0x09 => to_rm::<O, OR, 4>, to_rm::<O, OR, 8>;
        0x0b => from_rm::<O, OR, 4>, from_rm::<O, OR, 8>;
        0x0f => two_bytes::<O, 0>, two_bytes::<O, 256>;
        0x21 => to_rm::<O, AND, 4>, to_rm::<O, AND, 8>;
        0x23 => from_rm::<O, AND, 4>, from_rm::<O, AND, 8>;
        0x25 => accumulator::<AND, 4>, accumulator::<AND, 8>;
        0x29 => to_rm::<O, SUB, 4>, to_rm::<O, SUB, 8>;
        0x2b => from_rm::<O, SUB, 4>, from_rm::<O, SUB, 8>;
        0x2d => accumulator::<SUB, 4>, accumulator::<SUB, 8>;
        0x31 => to_rm::<O, XOR, 4>, to_rm::<O, XOR, 8>;
        0x33 => from_rm::<O, XOR, 4>, from_rm::<O, XOR, 8>;
        0x38 => to_rm::<O, CMP, 1>, to_rm::<O, CMP, 1>;
        0x39 => to_rm::<O, CMP, 4>, to_rm::<O, CMP, 8>;
        0x3a => from_rm::<O, CMP, 1>, from_rm::<O, CMP, 1>;
        0x3b => from_rm::<O, CMP, 4>, from_rm::<O, CMP, 8>;
        0x3c => accumulator::<CMP, 1>, accumulator::<CMP, 1>;
        0x3d => accumulator::<CMP, 4>, accumulator::<CMP, 8>;
        0x63 => unknown, extend::<O, 4, 8, true, _>;
        0x80 => group_1::<O, 1, 1>, group_1::<O, 1, 1>;
        0x81 => group_1::<O, 4, 4>, group_1::<O, 8, 4>;
        0x83 => group_1::<O, 4, 1>, group_1::<O, 8, 1>;
        0x84 => to_rm::<O, TEST, 1>, to_rm::<O, TEST, 1>;
        0x85 => to_rm::<O, TEST, 4>, to_rm::<O, TEST, 8>;
        0x88 => store::<O, 1>, store::<O, 1>;
        0x89 => store::<O, 4>, store::<O, 8>;
        0x8a => load::<O, 1>, load::<O, 1>;
        0x8b => load::<O, 4>, load::<O, 8>;
        0x8d => lea::<4>, lea::<8>;
        0x90 => nop, unknown;
        0x98 => widen_accumulator::<2>, widen_accumulator::<4>;
        0xa8 => accumulator::<TEST, 1>, accumulator::<TEST, 1>;
        0xa9 => accumulator::<TEST, 4>, accumulator::<TEST, 8>;
        0xc1 => group_2::<O, 4>, group_2::<O, 8>;
        0xc3 => ret::<O>, ret::<O>;
        0xc6 => store_constant::<O, 1, 1>, store_constant::<O, 1, 1>;
        0xc7 => store_constant::<O, 4, 4>, store_constant::<O, 8, 4>;
        0xc9 => leave::<O>, leave::<O>;
        0xe8 => call::<O>, call::<O>;
        0xe9 => jmp::<4>, jmp::<4>;
        0xeb => jmp::<1>, jmp::<1>;
        0xf3 => endbr64, unknown;
        0xf6 => group_3::<O, 1, 1>, group_3::<O, 1, 1>;
        0xf7 => group_3::<O, 4, 4>, group_3::<O, 8, 4>;
        0xff => group_5::<O>, group_5::<O>;
        [
            0x50 + { 0 1 2 3 4 5 6 7 } => push (O, K);
            0x58 + { 0 1 2 3 4 5 6 7 } => pop (O, K);
            0x70 + { 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 } => jcc_short (K);
            0xb8 + { 0 1 2 3 4 5 6 7 } => constant (K, B);
        ]
    }
    TWO_BYTES Tail2 {
        0x10 => move_16::<false, false>, move_16::<false, false>;
        0x11 => move_16::<true, false>, move_16::<true, false>;
        0x1f => long_nop, long_nop;
        0x28 => move_16::<false, true>, move_16::<false, true>;
        0x29 => move_16::<true, true>, move_16::<true, true>;
        0xb6 => extend::<O, 1, 4, false, _>, extend::<O, 1, 8, false, _>;
        0xb7 => extend::<O, 2, 4, false, _>, extend::<O, 2, 8, false, _>;
        0xbe => extend::<O, 1, 4, true, _>, extend::<O, 1, 8, true, _>;
        0xbf => extend::<O, 2, 4, true, _>, extend::<O, 2, 8, true, _>;
        [
            0x40 + { 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 } => cmov (O, K, B);
            0x80 + { 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 } => jcc_near (K);
            0x90 + { 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 } => setcc (O, K);
        ]
    }
}

/// Is an opcode here, of the map that 0F leads to or of the first?
#[cfg(test)]
pub(super) fn has(two: bool, op: u8) -> bool {
    let rows = [usize::from(op), usize::from(op) | 256];
    if two {
        return rows.iter().any(|row| Table::<false>::TWO_BYTES[*row] as usize != unknown::<23> as Run<Tail2> as usize);
    }
    rows.iter().any(|row| Table::<false>::ONE_BYTE[*row] as usize != unknown::<24> as Run as usize)
}

/// Executes the instruction at `at`, if it is here.
#[inline(always)]
pub(super) fn execute<const ORDERED: bool>(s: &mut CpuState, code: &Window, at: u64) -> Outcome {
    let op = code[0];
    if op & 0xf0 == 0x40 {
        return Table::<ORDERED>::ONE_BYTE[usize::from(code[1]) | usize::from(op & 8) << 5](s, tail(code, 2), op, at.wrapping_add(2));
    }
    Table::<ORDERED>::ONE_BYTE[usize::from(op)](s, tail(code, 1), 0, at.wrapping_add(1))
}
#[inline(always)]
fn tail(code: &Window, at: usize) -> &Tail {
    code[at..].first_chunk().expect("a window holds more")
}

fn unknown<const N: usize>(_: &mut CpuState, _: &[u8; N], _: u8, _: u64) -> Outcome {
    None
}

/// 0F: the other map, by the next byte.
fn two_bytes<const O: bool, const WIDE: usize>(s: &mut CpuState, c: &Tail, rex: u8, behind: u64) -> Outcome {
    let (op, rest) = c.split_first_chunk::<1>().expect("there are more");
    Table::<O>::TWO_BYTES[usize::from(op[0]) | WIDE](s, rest.first_chunk().expect("there are as many"), rex, behind.wrapping_add(1))
}

/// Operations that [`binary`] knows, by number: [`Binary`]'s, and those that write no result.
const ADD: u8 = Binary::Add as u8;
const OR: u8 = Binary::Or as u8;
const AND: u8 = Binary::And as u8;
const SUB: u8 = Binary::Sub as u8;
const XOR: u8 = Binary::Xor as u8;
const CMP: u8 = 8 | SUB;
const TEST: u8 = 8 | AND;

#[inline(always)]
fn operation(op: u8) -> Binary {
    match op & 7 {
        ADD => Binary::Add,
        OR => Binary::Or,
        AND => Binary::And,
        SUB => Binary::Sub,
        _ => Binary::Xor,
    }
}

/// An instruction in the middle of being executed.
struct At<'a, const N: usize> {
    code: &'a [u8; N],
    rex: u8,
    /// Address of the code's first byte here.
    behind: u64,
}

/// Where ModRM.rm says that an operand is.
enum Place {
    Register(usize),
    Memory(Addr),
}

impl<const N: usize> At<'_, N> {
    #[inline(always)]
    fn byte(&self, at: usize) -> u64 {
        i64::from(self.code[at & 15] as i8) as u64
    }
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        let at = at & 15;
        let bytes = [self.code[at], self.code[at + 1], self.code[at + 2], self.code[at + 3]];
        i64::from(i32::from_le_bytes(bytes)) as u64
    }
    /// A constant of 1 or 4 bytes, sign-extended.
    #[inline(always)]
    fn constant(&self, at: usize, bytes: u32) -> u64 {
        if bytes == 1 { self.byte(at) } else { self.word(at) }
    }
    /// ModRM.reg.
    #[inline(always)]
    fn reg(&self) -> usize {
        usize::from(self.code[0] >> 3 & 7 | (self.rex & 4) << 1)
    }
    /// The instruction of a group.
    #[inline(always)]
    fn nth(&self) -> u8 {
        self.code[0] >> 3 & 7
    }
    /// Is `n` the high byte of a register, as that of one byte?
    #[inline(always)]
    fn is_high(&self, n: usize, bytes: u32) -> bool {
        bytes == 1 && n >= 4 && self.rex == 0
    }
    /// RIP behind so many bytes.
    #[inline(always)]
    fn next(&self, bytes: usize) -> u64 {
        self.behind.wrapping_add(bytes as u64)
    }

    /// What ModRM.rm is, and how many bytes say so; `constants` bytes follow.
    #[inline(always)]
    fn rm(&self, s: &CpuState, constants: usize) -> (Place, usize) {
        let modrm = self.code[0];
        let (mode, base) = (modrm >> 6, modrm & 7);
        let register = usize::from(base | (self.rex & 1) << 3);
        if mode == 3 {
            return (Place::Register(register), 1);
        }
        if base == 4 {
            return self.with_sib(s, mode);
        }
        if mode == 0 {
            if base == 5 {
                return (Place::Memory(Addr(self.next(5 + constants).wrapping_add(self.word(1)))), 5);
            }
            return (Place::Memory(Addr(s.gpr[register])), 1);
        }
        let (displacement, len) = if mode == 1 { (self.byte(1), 2) } else { (self.word(1), 5) };
        (Place::Memory(Addr(s.gpr[register].wrapping_add(displacement))), len)
    }
    #[inline(always)]
    fn with_sib(&self, s: &CpuState, mode: u8) -> (Place, usize) {
        let sib = self.code[1];
        let (index, base) = (usize::from(sib >> 3 & 7 | (self.rex & 2) << 2), sib & 7);
        let at = if index == 4 { 0 } else { s.gpr[index] << (sib >> 6) };
        let register = s.gpr[usize::from(base | (self.rex & 1) << 3)];
        let (at, len) = match mode {
            0 if base == 5 => (at.wrapping_add(self.word(2)), 6),
            0 => (at.wrapping_add(register), 2),
            1 => (at.wrapping_add(register).wrapping_add(self.byte(2)), 3),
            _ => (at.wrapping_add(register).wrapping_add(self.word(2)), 6),
        };
        (Place::Memory(Addr(at)), len)
    }

    /// The low `bytes` of what stands at a place; none: it can not be read.
    #[inline(always)]
    fn read<const O: bool>(&self, s: &CpuState, place: &Place, bytes: u32) -> Option<u64> {
        match *place {
            Place::Register(n) if self.is_high(n, bytes) => None,
            Place::Register(n) => Some(cut(s.gpr[n & 15], bytes)),
            Place::Memory(at) => touch::load_as::<O>(at, bytes),
        }
    }
    #[inline(always)]
    fn write<const O: bool>(&self, s: &mut CpuState, place: &Place, bytes: u32, v: u64) -> Option<()> {
        match *place {
            Place::Register(n) if self.is_high(n, bytes) => None,
            Place::Register(n) => {
                put_register(s, n, bytes, v);
                Some(())
            }
            Place::Memory(at) => touch::store_as::<O>(at, bytes, v),
        }
    }
}

/// Functions with these parameters, of the state and the instruction.
macro_rules! insns {
    ($($(#[$doc:meta])* fn $name:ident<$(const $k:ident: $t:ty),*>($s:ident, $i:ident) $body:block)*) => { $(
        $(#[$doc])*
        fn $name<$(const $k: $t),*>($s: &mut CpuState, code: &Tail, rex: u8, behind: u64) -> Outcome {
            let $i = At { code, rex, behind };
            $body
        }
    )* };
}

/// Executes an operation on two values, and writes its result to `place`.
#[inline(always)]
fn operate<const O: bool, const N: usize>(s: &mut CpuState, i: &At<N>, place: &Place, op: u8, bytes: u32, a: u64, b: u64) -> Option<()> {
    let (r, flags) = binary(s, operation(op), bytes, a, b);
    if op & 8 == 0 {
        i.write::<O>(s, place, bytes, r)?;
    }
    flags.set(s);
    Some(())
}

insns! {
    fn to_rm<const O: bool, const OP: u8, const B: u32>(s, i) {
        let (place, len) = i.rm(s, 0);
        if i.is_high(i.reg(), B) {
            return None;
        }
        let (a, b) = (i.read::<O>(s, &place, B)?, cut(s.gpr[i.reg()], B));
        operate::<O, _>(s, &i, &place, OP, B, a, b)?;
        NonZero::new(i.next(len))
    }
    fn from_rm<const O: bool, const OP: u8, const B: u32>(s, i) {
        let (place, len) = i.rm(s, 0);
        if i.is_high(i.reg(), B) {
            return None;
        }
        let (a, b) = (cut(s.gpr[i.reg()], B), i.read::<O>(s, &place, B)?);
        operate::<O, _>(s, &i, &Place::Register(i.reg()), OP, B, a, b)?;
        NonZero::new(i.next(len))
    }
    fn accumulator<const OP: u8, const B: u32>(s, i) {
        let constant = B.min(4);
        let (a, b) = (cut(s.gpr[RAX], B), cut(i.constant(0, constant), B));
        operate::<false, _>(s, &i, &Place::Register(RAX), OP, B, a, b)?;
        NonZero::new(i.next(constant as usize))
    }
    /// ADD, OR, AND, SUB, XOR and CMP with a constant of `C` bytes.
    fn group_1<const O: bool, const B: u32, const C: u32>(s, i) {
        let (place, len) = i.rm(s, C as usize);
        let b = cut(i.constant(len, C), B);
        if matches!(i.nth(), 2 | 3) {
            // ADC and SBB.
            return None;
        }
        let a = i.read::<O>(s, &place, B)?;
        match i.nth() {
            0 => operate::<O, _>(s, &i, &place, ADD, B, a, b)?,
            1 => operate::<O, _>(s, &i, &place, OR, B, a, b)?,
            4 => operate::<O, _>(s, &i, &place, AND, B, a, b)?,
            5 => operate::<O, _>(s, &i, &place, SUB, B, a, b)?,
            6 => operate::<O, _>(s, &i, &place, XOR, B, a, b)?,
            _ => operate::<O, _>(s, &i, &place, CMP, B, a, b)?,
        }
        NonZero::new(i.next(len + C as usize))
    }
    /// Shifts and rotations by a constant.
    fn group_2<const O: bool, const B: u32>(s, i) {
        let (place, len) = i.rm(s, 1);
        let (nth, count) = (i.nth(), i.byte(len) as u32 & (8 * B - 1));
        if count == 0 || !matches!(nth, 0 | 1 | 4 | 5 | 7) {
            return None;
        }
        let a = i.read::<O>(s, &place, B)?;
        if nth < 2 {
            let (r, carry, overflow) = rotate(B, a, count, nth == 0);
            i.write::<O>(s, &place, B, r)?;
            set_carry_overflow(s, carry, overflow);
        } else {
            let (r, flags) = shift([Shift::Left, Shift::Right, Shift::Left, Shift::Arithmetic][usize::from(nth & 3)], B, a, count);
            i.write::<O>(s, &place, B, r)?;
            flags.set(s);
        }
        NonZero::new(i.next(len + 1))
    }
    /// TEST with a constant of `C` bytes.
    fn group_3<const O: bool, const B: u32, const C: u32>(s, i) {
        let (place, len) = i.rm(s, C as usize);
        if i.nth() != 0 {
            return None;
        }
        let a = i.read::<O>(s, &place, B)?;
        operate::<O, _>(s, &i, &place, TEST, B, a, cut(i.constant(len, C), B))?;
        NonZero::new(i.next(len + C as usize))
    }
    /// CALL and JMP.
    fn group_5<const O: bool>(s, i) {
        let (place, len) = i.rm(s, 0);
        if i.nth() != 2 && i.nth() != 4 {
            return None;
        }
        let to = goal(i.read::<O>(s, &place, 8)?)?;
        if i.nth() == 2 {
            push_value::<O>(s, i.next(len))?;
        }
        NonZero::new(to | GONE)
    }
    fn load<const O: bool, const B: u32>(s, i) {
        let (place, len) = i.rm(s, 0);
        if i.is_high(i.reg(), B) {
            return None;
        }
        let v = i.read::<O>(s, &place, B)?;
        put_register(s, i.reg(), B, v);
        NonZero::new(i.next(len))
    }
    fn store<const O: bool, const B: u32>(s, i) {
        let (place, len) = i.rm(s, 0);
        if i.is_high(i.reg(), B) {
            return None;
        }
        let v = s.gpr[i.reg()];
        i.write::<O>(s, &place, B, v)?;
        NonZero::new(i.next(len))
    }
    fn store_constant<const O: bool, const B: u32, const C: u32>(s, i) {
        let (place, len) = i.rm(s, C as usize);
        if i.nth() != 0 {
            return None;
        }
        i.write::<O>(s, &place, B, i.constant(len, C))?;
        NonZero::new(i.next(len + C as usize))
    }
    fn lea<const B: u32>(s, i) {
        let (Place::Memory(at), len) = i.rm(s, 0) else { return None };
        put_register(s, i.reg(), B, at.0);
        NonZero::new(i.next(len))
    }
    /// CWDE and CDQE: from `B` bytes to twice as many.
    fn widen_accumulator<const B: u32>(s, i) {
        let v = signed(s.gpr[RAX], B) as u64;
        put_register(s, RAX, 2 * B, v);
        NonZero::new(i.next(0))
    }
    /// PAUSE and XCHG have prefixes.
    fn nop<>(_s, i) {
        NonZero::new(i.next(0)).filter(|_| i.rex == 0)
    }
    fn endbr64<>(_s, i) {
        NonZero::new(i.next(3)).filter(|_| i.rex == 0 && i.code[..3] == [0x0f, 0x1e, 0xfa])
    }
    fn push<const O: bool, const N: u8>(s, i) {
        let v = s.gpr[usize::from(N | (i.rex & 1) << 3)];
        push_value::<O>(s, v)?;
        NonZero::new(i.next(0))
    }
    fn pop<const O: bool, const N: u8>(s, i) {
        let v = pop_value::<O>(s)?;
        s.gpr[usize::from(N | (i.rex & 1) << 3)] = v;
        NonZero::new(i.next(0))
    }
    fn leave<const O: bool>(s, i) {
        let v = touch::load_as::<O>(Addr(s.gpr[RBP]), 8)?;
        s.gpr[RSP] = s.gpr[RBP].wrapping_add(8);
        s.gpr[RBP] = v;
        NonZero::new(i.next(0))
    }
    /// MOV to the register of the opcode.
    fn constant<const N: u8, const B: u32>(s, i) {
        let low = i.word(0);
        let v = if B == 8 { low & 0xffff_ffff | i.word(4) << 32 } else { low & 0xffff_ffff };
        s.gpr[usize::from(N | (i.rex & 1) << 3)] = v;
        NonZero::new(i.next(B as usize))
    }
    fn call<const O: bool>(s, i) {
        let to = goal(i.next(4).wrapping_add(i.word(0)))?;
        push_value::<O>(s, i.next(4))?;
        NonZero::new(to | GONE)
    }
    fn ret<const O: bool>(s, _i) {
        let to = goal(touch::load_as::<O>(Addr(s.gpr[RSP]), 8)?)?;
        s.gpr[RSP] = s.gpr[RSP].wrapping_add(8);
        NonZero::new(to | GONE)
    }
    fn jmp<const C: u32>(_s, i) {
        NonZero::new(goal(i.next(C as usize).wrapping_add(i.constant(0, C)))? | GONE)
    }
    fn jcc_short<const CC: u8>(s, i) {
        jcc(s, CC, i.next(1), i.byte(0))
    }
}

fn jcc_near<const CC: u8>(s: &mut CpuState, code: &Tail2, rex: u8, behind: u64) -> Outcome {
    let i = At { code, rex, behind };
    jcc(s, CC, i.next(4), i.word(0))
}

fn long_nop(s: &mut CpuState, code: &Tail2, rex: u8, behind: u64) -> Outcome {
    let i = At { code, rex, behind };
    NonZero::new(i.next(i.rm(s, 0).1)).filter(|_| i.nth() == 0)
}

/// MOVZX, and MOVSX and MOVSXD where it `SIGNS`, from `F` bytes to `B`.
fn extend<const O: bool, const F: u32, const B: u32, const SIGNS: bool, const N: usize>(s: &mut CpuState, code: &[u8; N], rex: u8, behind: u64) -> Outcome {
    let i = At { code, rex, behind };
    let (place, len) = i.rm(s, 0);
    let v = i.read::<O>(s, &place, F)?;
    put_register(s, i.reg(), B, if SIGNS { signed(v, F) as u64 } else { v });
    NonZero::new(i.next(len))
}

/// Memory is read, and a 32-bit register is written, whatever the condition.
fn cmov<const O: bool, const CC: u8, const B: u32>(s: &mut CpuState, code: &Tail2, rex: u8, behind: u64) -> Outcome {
    let i = At { code, rex, behind };
    let (place, len) = i.rm(s, 0);
    let v = i.read::<O>(s, &place, B)?;
    let v = if holds(s, CC) { v } else { s.gpr[i.reg()] };
    put_register(s, i.reg(), B, v);
    NonZero::new(i.next(len))
}

fn setcc<const O: bool, const CC: u8>(s: &mut CpuState, code: &Tail2, rex: u8, behind: u64) -> Outcome {
    let i = At { code, rex, behind };
    let (place, len) = i.rm(s, 0);
    let is = holds(s, CC).into();
    i.write::<O>(s, &place, 1, is)?;
    NonZero::new(i.next(len))
}

/// MOVUPS, and MOVAPS, which wants its operand in memory `ALIGNED`.
fn move_16<const STORES: bool, const ALIGNED: bool>(s: &mut CpuState, code: &Tail2, rex: u8, behind: u64) -> Outcome {
    let i = At { code, rex, behind };
    let (place, len) = i.rm(s, 0);
    let at = match place {
        Place::Register(n) => {
            let (to, from) = if STORES { (n, i.reg()) } else { (i.reg(), n) };
            s.xmm[to & 15] = s.xmm[from & 15];
            return NonZero::new(i.next(len));
        }
        Place::Memory(at) if ALIGNED && at.0 % 16 != 0 => return None,
        Place::Memory(at) => at,
    };
    if STORES {
        touch::store_16(at, s.xmm[i.reg() & 15])?;
    } else {
        let v = touch::load_16(at)?;
        s.xmm[i.reg() & 15] = [v as u64, (v >> 64) as u64];
    }
    NonZero::new(i.next(len))
}

#[inline(always)]
fn jcc(s: &CpuState, cc: u8, next: u64, delta: u64) -> Outcome {
    if !holds(s, cc) {
        return NonZero::new(next | PAST);
    }
    NonZero::new(goal(next.wrapping_add(delta))? | GONE)
}

/// A target, if it is an address of user mode; else the branch faults, elsewhere.
#[inline(always)]
fn goal(to: u64) -> Option<u64> {
    (to >> 47 == 0).then_some(to)
}

#[inline(always)]
fn push_value<const O: bool>(s: &mut CpuState, v: u64) -> Option<()> {
    let at = s.gpr[RSP].wrapping_sub(8);
    touch::store_as::<O>(Addr(at), 8, v)?;
    s.gpr[RSP] = at;
    Some(())
}
#[inline(always)]
fn pop_value<const O: bool>(s: &mut CpuState) -> Option<u64> {
    let v = touch::load_as::<O>(Addr(s.gpr[RSP]), 8)?;
    s.gpr[RSP] = s.gpr[RSP].wrapping_add(8);
    Some(v)
}
