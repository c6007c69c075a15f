//! The encodings that programs mostly consist of, decoded by table in a third of the instructions that iced takes; and a small program never pays for the tables
//! that iced builds at its first use. Whatever is not here (x87, most of VEX, rare instructions) is iced's. What comes
//! out is the same in every bit: a test compares all encodings that are accepted here. VEX forms are `quick_vex`'s.

use super::quick_rows::{FORMS, GROUPS};
use super::quick_vex;
use iced_x86::{Code, CodeSize, Instruction, OpKind, Register};

/// Where an operand's register number comes from: its first bit in [`decode`]'s numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum From {
    /// ModRM.reg and REX.R.
    Reg = 0,
    /// ModRM.rm and REX.B, or memory.
    Rm = 4,
    /// The opcode and REX.B.
    Opcode = 8,
    /// Register 0, register 1.
    Zero = 12,
    One = 16,
    /// There is no such operand, or it is the constant.
    Nothing = 20,
}

/// What a register number means: its first row in [`BY_CLASS`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// General register of 8, 16, 32, 64 bits, or of 32 or 64 as REX.W says.
    Byte = 0,
    Word = 3,
    Long = 6,
    Quad = 9,
    Sized = 12,
    /// The same with an operand size prefix: 16 or 64.
    WordSized = 15,
    /// XMM register.
    Xmm = 18,
}

/// An operand.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub from: From,
    pub class: Class,
}

/// A constant behind the other bytes, or implied.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Constant {
    None,
    /// The number 1.
    Unit,
    /// A byte; sign-extended to the operand's size; to 64 bits.
    Byte,
    SignedByte,
    StackByte,
    /// 32 bits, sign-extended with REX.W; always; 32 or 64 bits.
    Long,
    StackLong,
    Full,
    /// A byte, sign-extended to 16 or 64 bits; 16 bits, or 32 that are sign-extended to 64; 16 bits.
    WordByte,
    WordLong,
    Word,
    /// Branch target, 8 or 32 bits from the next instruction.
    Near8,
    Near32,
}

/// What ModRM.rm may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(super) enum ModRm {
    /// There is no ModRM byte.
    Absent,
    /// Register or memory.
    Any,
    /// Memory only, register only.
    Memory,
    Register,
    /// ModRM.reg tells the instruction: [`Form::group`]; or whether ModRM.rm is memory.
    Group,
    Pair,
    /// Just this byte: [`Form::group`].
    Only,
    /// There is no ModRM byte, and no REX prefix may stand before.
    Bare,
    /// MOVS and STOS.
    Move,
    Fill,
}

/// What follows an opcode, and its code without and with REX.W. Its size is a power of two, so that it is found by a shift.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Form {
    pub modrm: ModRm,
    /// Index in [`GROUPS`], or the byte that ModRM must be.
    pub group: u8,
    pub operands: [Operand; 2],
    pub constant: Constant,
    /// Which operand the constant is.
    pub constant_at: u8,
    /// May have a LOCK prefix, with an operand in memory.
    pub lock: bool,
    pub codes: [Code; 2],
}

/// Rows of [`REGISTERS`] by class, and by REX: none, without W, with W.
const ROWS: [[u8; 3]; 7] = [[2, 3, 3], [4, 4, 4], [0, 0, 0], [1, 1, 1], [0, 0, 1], [4, 4, 1], [5, 5, 5]];

/// Registers by class, REX and number: `(class + REX) * 16 + number`.
static BY_CLASS: [Register; 512] = {
    let mut table = [Register::None; 512];
    let mut k = 0;
    while k < 3 * 7 * 16 {
        table[k] = REGISTERS[ROWS[k / 48][k / 16 % 3] as usize][k % 16];
        k += 1;
    }
    table
};

pub(super) const REGISTERS: [[Register; 16]; 7] = {
    use Register::*;
    [
        [EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, R8D, R9D, R10D, R11D, R12D, R13D, R14D, R15D],
        [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15],
        [AL, CL, DL, BL, AH, CH, DH, BH, R8L, R9L, R10L, R11L, R12L, R13L, R14L, R15L],
        [AL, CL, DL, BL, SPL, BPL, SIL, DIL, R8L, R9L, R10L, R11L, R12L, R13L, R14L, R15L],
        [AX, CX, DX, BX, SP, BP, SI, DI, R8W, R9W, R10W, R11W, R12W, R13W, R14W, R15W],
        [XMM0, XMM1, XMM2, XMM3, XMM4, XMM5, XMM6, XMM7, XMM8, XMM9, XMM10, XMM11, XMM12, XMM13, XMM14, XMM15],
        [YMM0, YMM1, YMM2, YMM3, YMM4, YMM5, YMM6, YMM7, YMM8, YMM9, YMM10, YMM11, YMM12, YMM13, YMM14, YMM15],
    ]
};
const QUAD: [Register; 16] = REGISTERS[1];

/// Bytes that must be at hand: no encoding here reads further.
pub(super) const WINDOW: usize = 16;

pub(super) struct Cursor<'a> {
    pub bytes: &'a [u8; WINDOW],
    pub at: usize,
}

impl Cursor<'_> {
    #[inline(always)]
    pub fn byte(&mut self) -> u8 {
        let b = self.bytes[self.at & (WINDOW - 1)];
        self.at += 1;
        b
    }
    /// At most twelve bytes in.
    #[inline(always)]
    pub fn word(&mut self) -> i32 {
        let at = self.at.min(WINDOW - 4);
        self.at += 4;
        i32::from_le_bytes([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]])
    }
}

/// What prefixes say, as bits: operand size, F3, F2, LOCK, address size. The last means nothing to what accesses no memory and is no JRCXZ or LOOP
/// (which are iced's): linkers fill with it when they shorten `call [rip+slot]`.
const OPERAND_SIZE: u8 = 1;
const REPEAT: u8 = 2;
const REPEAT_NOT: u8 = 4;
pub(super) const LOCK: u8 = 8;
pub(super) const ADDRESS_SIZE: u8 = 16;

/// Rows of [`FORMS`] without and with 0F, by the first three of those bits; none behind the last.
static ONE_BYTE: [u8; 8] = [0, 5, 6, 7, 7, 7, 7, 7];
static TWO_BYTES: [u8; 8] = [1, 2, 3, 7, 4, 7, 7, 7];

/// Bytes that stand before an opcode, REX not among them; and VEX.
pub(super) static BEFORE: [bool; 256] = {
    let mut table = [false; 256];
    let all = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x3e, 0x64, 0x65, 0xc4, 0xc5];
    let mut k = 0;
    while k < all.len() {
        table[all[k]] = true;
        k += 1;
    }
    table
};

/// What stands before an opcode.
pub(super) struct Before {
    /// See [`OPERAND_SIZE`] and the others.
    pub said: u8,
    /// The segment register that is named.
    pub segment: Register,
    /// The byte behind it, and where the next one is.
    pub op: u8,
    pub at: usize,
}

/// Reads prefixes from `op`, the first byte, on. More than three are iced's: with four there are instructions of more than 15 bytes.
#[inline]
pub(super) fn prefixes(bytes: &[u8; WINDOW], mut op: u8) -> Option<Before> {
    let (mut said, mut at, mut segment) = (0, 1, Register::None);
    loop {
        match op {
            0x66 => said |= OPERAND_SIZE,
            0xf3 if said & REPEAT_NOT == 0 => said |= REPEAT,
            0xf2 if said & REPEAT == 0 => said |= REPEAT_NOT,
            0xf0 => said |= LOCK,
            0x67 => said |= ADDRESS_SIZE,
            // CS and DS mean nothing, or "not taken" and "not tracked"; behind FS or GS they are iced's to weigh.
            0x2e | 0x3e if segment == Register::None => segment = if op == 0x2e { Register::CS } else { Register::DS },
            0x64 | 0x65 if segment == Register::None => segment = if op == 0x64 { Register::FS } else { Register::GS },
            _ => return (!BEFORE[usize::from(op)]).then_some(Before { said, segment, op, at }),
        }
        if at > 3 {
            return None;
        }
        op = bytes[at];
        at += 1;
    }
}

/// What an instruction is, from REX to ModRM.
pub(super) struct Head {
    pub form: &'static Form,
    pub rex: u8,
    /// REX.W.
    pub wide: usize,
    /// Numbers of registers, by [`From`].
    pub numbers: u32,
    /// ModRM, if the form has one; and whether it names memory.
    pub modrm: u8,
    pub in_memory: bool,
}

/// Reads REX or the opcode, which is `op`, and ModRM; none: the encoding is not here. `before`: what prefixes said. Of forms like [`ModRm::Bare`] nothing more is checked.
#[inline(always)]
pub(super) fn head(c: &mut Cursor, mut op: u8, before: u8) -> Option<Head> {
    let mut rex = 0;
    if op & 0xf0 == 0x40 {
        rex = op;
        op = c.byte();
    }
    let two = op == 0x0f;
    if two {
        op = c.byte();
    }
    let map = usize::from(if two { TWO_BYTES } else { ONE_BYTE }[usize::from(before & 7)] & 7);
    let mut form = &FORMS[map << 8 | usize::from(op)];
    let mut numbers = u32::from(op & 7 | (rex & 1) << 3) << From::Opcode as u32 | 1 << From::One as u32;
    let (mut modrm, mut in_memory) = (0, false);
    if form.modrm != ModRm::Absent && form.modrm < ModRm::Bare {
        modrm = c.byte();
        in_memory = modrm < 0xc0;
        if form.modrm != ModRm::Any {
            match form.modrm {
                ModRm::Group => form = &GROUPS[usize::from(form.group & 31) << 3 | usize::from(modrm >> 3 & 7)],
                ModRm::Pair => form = &GROUPS[usize::from(form.group & 31) << 3 | usize::from(!in_memory)],
                ModRm::Only if modrm != form.group => return None,
                _ => {}
            }
            if form.modrm == ModRm::Memory && !in_memory || form.modrm == ModRm::Register && in_memory {
                return None;
            }
        }
        numbers |= u32::from(modrm >> 3 & 7 | (rex & 4) << 1) | u32::from(modrm & 7 | (rex & 1) << 3) << From::Rm as u32;
    }
    Some(Head { form, rex, wide: usize::from(rex >> 3 & 1), numbers, modrm, in_memory })
}

/// What became of an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Decoded {
    /// Iced is to be asked.
    Unknown,
    Plain,
    Vex,
}

/// One that nothing was decoded into yet.
pub(super) fn empty() -> Instruction {
    let mut i = Instruction::default();
    i.set_code_size(CodeSize::Code64);
    i
}

/// Decodes the instruction at `ip` into `i`, which is an [empty] one.
#[inline(always)]
pub(super) fn decode(bytes: &[u8; WINDOW], ip: u64, i: &mut Instruction) -> Decoded {
    let op = bytes[0];
    // Most begin with REX or the opcode; of what stands before those there is no form.
    match rest(i, Cursor { bytes, at: 1 }, op, 0, ip) {
        Decoded::Unknown if BEFORE[usize::from(op)] => behind_prefixes(bytes, ip, op, i),
        decoded => decoded,
    }
}

/// The same of one that begins otherwise.
#[inline(never)]
fn behind_prefixes(bytes: &[u8; WINDOW], ip: u64, op: u8, i: &mut Instruction) -> Decoded {
    if op & 0xfe == 0xc4 {
        return if quick_vex::decode(bytes, ip, i) { Decoded::Vex } else { Decoded::Unknown };
    }
    let Some(found) = prefixes(bytes, op) else { return Decoded::Unknown };
    if found.segment != Register::None {
        i.set_segment_prefix(found.segment);
    }
    rest(i, Cursor { bytes, at: found.at }, found.op, found.said, ip)
}

/// REX or the opcode, which is `op`, and all that follows. `before`: what prefixes said.
#[inline(always)]
fn rest(i: &mut Instruction, mut c: Cursor, op: u8, before: u8, ip: u64) -> Decoded {
    let Some(Head { form, rex, wide, numbers, modrm, in_memory }) = head(&mut c, op, before) else { return Decoded::Unknown };
    if form.modrm >= ModRm::Bare {
        return if bare(i, form, c.at, before, rex, ip) { Decoded::Plain } else { Decoded::Unknown };
    }
    let mut relative = 0;
    if in_memory {
        if before & ADDRESS_SIZE != 0 {
            return Decoded::Unknown;
        }
        relative = memory(i, &mut c, modrm, rex);
    }
    let code = form.codes[wide];
    if code == Code::INVALID {
        return Decoded::Unknown;
    }
    i.set_code(code);
    if before & LOCK != 0 {
        if !form.lock || !in_memory {
            return Decoded::Unknown;
        }
        i.set_has_lock_prefix(true);
    }
    let size = usize::from(rex != 0) + wide;
    let register = |o: Operand| BY_CLASS[((o.class as usize + size) << 4 | (numbers >> (o.from as u32 & 31) & 15) as usize) & 511];
    let [first, second] = form.operands;
    if first.from == From::Rm && in_memory {
        i.set_op0_kind(OpKind::Memory);
    } else if first.from != From::Nothing {
        i.set_op0_register(register(first));
    }
    if second.from == From::Rm && in_memory {
        i.set_op1_kind(OpKind::Memory);
    } else if second.from != From::Nothing {
        i.set_op1_register(register(second));
    }
    if form.constant != Constant::None {
        let kind = constant(i, &mut c, form.constant, wide != 0, ip);
        match form.constant_at {
            0 => i.set_op0_kind(kind),
            1 => i.set_op1_kind(kind),
            _ => i.set_op2_kind(kind),
        }
    }
    end(i, c.at, ip, relative);
    Decoded::Plain
}

/// What all have at their end.
#[inline(always)]
pub(super) fn end(i: &mut Instruction, len: usize, ip: u64, relative: u32) {
    let next = ip.wrapping_add(len as u64);
    i.set_len(len);
    i.set_next_ip(next);
    if relative != 0 {
        i.set_memory_displacement64(next.wrapping_add(i.memory_displacement64()));
    }
}

/// The forms without ModRM that the others' way does not fit.
#[inline(never)]
fn bare(i: &mut Instruction, form: &Form, len: usize, before: u8, rex: u8, ip: u64) -> bool {
    let wide = rex >> 3 & 1;
    let code = form.codes[usize::from(wide)];
    if before & (LOCK | ADDRESS_SIZE) != 0 || form.modrm == ModRm::Bare && rex != 0 || code == Code::INVALID {
        return false;
    }
    i.set_code(code);
    if form.modrm != ModRm::Bare {
        i.set_has_rep_prefix(before & REPEAT != 0);
        i.set_op0_kind(OpKind::MemoryESRDI);
        match form.modrm {
            ModRm::Move => i.set_op1_kind(OpKind::MemorySegRSI),
            _ => i.set_op1_register([Register::EAX, Register::RAX, Register::AL][usize::from(if form.operands[1].class as u8 == Class::Byte as u8 { 2 } else { wide })]),
        }
    }
    end(i, len, ip, 0);
    true
}

/// The memory operand that ModRM names; not 0: relative to the next instruction.
#[inline(always)]
pub(super) fn memory(i: &mut Instruction, c: &mut Cursor, modrm: u8, rex: u8) -> u32 {
    let (mode, mut base) = (modrm >> 6, modrm & 7);
    if base == 4 {
        let sib = c.byte();
        let index = sib >> 3 & 7 | (rex & 2) << 2;
        if index != 4 {
            i.set_memory_index(QUAD[usize::from(index & 15)]);
        }
        i.set_memory_index_scale(1 << (sib >> 6));
        base = sib & 7;
    } else if modrm & 0xc7 == 5 {
        i.set_memory_base(Register::RIP);
        i.set_memory_displ_size(8);
        i.set_memory_displacement64(c.word() as u64);
        return 1;
    }
    if mode != 0 || base != 5 {
        i.set_memory_base(QUAD[usize::from(base | (rex & 1) << 3) & 15]);
        if mode == 0 {
            return 0;
        }
    }
    if mode == 1 {
        i.set_memory_displ_size(1);
        i.set_memory_displacement64(c.byte() as i8 as u64);
    } else {
        i.set_memory_displ_size(8);
        i.set_memory_displacement64(c.word() as u64);
    }
    0
}

/// Sets the constant and returns what it is. The kind says how it is extended when it is asked for.
#[inline(always)]
fn constant(i: &mut Instruction, c: &mut Cursor, constant: Constant, wide: bool, ip: u64) -> OpKind {
    match constant {
        Constant::Unit => i.set_immediate8(1),
        Constant::Byte | Constant::SignedByte | Constant::StackByte | Constant::WordByte => i.set_immediate8(c.byte()),
        Constant::Full if wide => {
            let low = c.word() as u32;
            i.set_immediate64(u64::from(c.word() as u32) << 32 | u64::from(low));
            return OpKind::Immediate64;
        }
        Constant::Long | Constant::StackLong | Constant::Full => i.set_immediate32(c.word() as u32),
        Constant::WordLong if wide => i.set_immediate32(c.word() as u32),
        Constant::WordLong | Constant::Word => {
            let low = c.byte();
            i.set_immediate16(u16::from_le_bytes([low, c.byte()]));
            return OpKind::Immediate16;
        }
        Constant::Near8 | Constant::Near32 | Constant::None => {
            let delta = if constant == Constant::Near8 { i64::from(c.byte() as i8) } else { i64::from(c.word()) };
            i.set_near_branch64(ip.wrapping_add(c.at as u64).wrapping_add_signed(delta));
            return OpKind::NearBranch64;
        }
    }
    match constant {
        Constant::SignedByte if wide => OpKind::Immediate8to64,
        Constant::SignedByte => OpKind::Immediate8to32,
        Constant::StackByte => OpKind::Immediate8to64,
        Constant::WordByte if wide => OpKind::Immediate8to64,
        Constant::WordByte => OpKind::Immediate8to16,
        Constant::Long if wide => OpKind::Immediate32to64,
        Constant::StackLong | Constant::WordLong => OpKind::Immediate32to64,
        Constant::Long | Constant::Full => OpKind::Immediate32,
        _ => OpKind::Immediate8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode_one;
    use crate::decode::glance::glance;
    use crate::guest::Addr;
    use iced_x86::{Decoder, DecoderOptions};

    const AT: u64 = 0x1_2345_6789;

    /// What iced makes of it.
    fn compare(bytes: &[u8; WINDOW], accepted: &mut u32) -> bool {
        let mut quick = empty();
        if decode(bytes, AT, &mut quick) == Decoded::Unknown {
            assert_eq!(glance(bytes, AT), None, "{bytes:02x?}");
            return false;
        }
        let iced = Decoder::with_ip(64, bytes, AT, DecoderOptions::AMD).decode();
        assert!(quick.eq_all_bits(&iced), "{bytes:02x?}:\n{quick:?}\n{iced:?}");
        if let Some(found) = glance(bytes, AT) {
            let flow = decode_one(bytes, Addr(AT)).expect("a whole instruction").flow();
            assert_eq!(found, (iced.len(), crate::decode::effects::flag_effects(&iced), flow), "{bytes:02x?}");
        }
        *accepted += 1;
        true
    }
    fn filled(head: &[u8]) -> [u8; WINDOW] {
        let mut bytes = [0x81, 0x92, 0xa3, 0xb4, 0x45, 0x56, 0x67, 0x78, 0x89, 0x9a, 0xab, 0xbc, 0xcd, 0xde, 0xef, 0xf1];
        bytes[..head.len()].copy_from_slice(head);
        bytes
    }

    /// Every opcode of every map, with each REX prefix and ModRM byte, several SIB bytes, and constants of either sign; with rarer prefixes fewer of them.
    #[test]
    fn what_is_accepted_is_what_iced_decodes() {
        let mut accepted = 0u32;
        let common: &[&[u8]] = &[&[], &[0x66], &[0xf3], &[0xf2]];
        let rare: &[&[u8]] = &[
            &[0x64], &[0x65], &[0x67], &[0x66, 0x67], &[0x67, 0xf3], &[0x2e], &[0x3e], &[0xf0], &[0x64, 0x66], &[0x66, 0x64], &[0x66, 0x2e], &[0x66, 0x66, 0x2e], &[0xf0, 0x66], &[0x66, 0xf0],
            &[0x66, 0xf3], &[0xf3, 0x66], &[0xf2, 0xf3], &[0xf3, 0xf2], &[0x64, 0xf0], &[0xf3, 0xf0], &[0xf3, 0x64], &[0x64, 0x2e], &[0x2e, 0x64], &[0x66, 0x66, 0x66], &[0x66, 0x66, 0x66, 0x66], &[0x66, 0x66, 0x66, 0x66, 0x2e],
        ];
        let all = common.iter().map(|p| (p, true)).chain(rare.iter().map(|p| (p, false)));
        for (prefix, every) in all {
            let rexes: Vec<Option<u8>> = std::iter::once(None).chain((0x40..0x50).map(Some)).filter(|r| every || matches!(r, None | Some(0x40 | 0x41 | 0x48 | 0x4d))).collect();
            for rex in rexes {
                for map in [None, Some(0x0f)] {
                    for op in 0..=255u8 {
                        for modrm in 0..=255u8 {
                            for sib in [0x24, 0x65, 0xe3, 0x8d, 0x10] {
                                let head: Vec<u8> = prefix.iter().copied().chain([rex, map, Some(op), Some(modrm), Some(sib)].into_iter().flatten()).collect();
                                // Other SIB bytes only where there is one.
                                if !compare(&filled(&head), &mut accepted) || modrm & 7 != 4 || modrm >= 0xc0 {
                                    break;
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(accepted > 1_000_000, "only {accepted} encodings are decoded here");
    }

    /// The same with VEX of two and three bytes.
    #[test]
    fn what_is_accepted_of_vex_is_what_iced_decodes() {
        let mut accepted = 0u32;
        let thirds: Vec<u8> = (0..=255u8).filter(|b| matches!(b >> 3 & 15, 0 | 5 | 15)).collect();
        let three = (0..=255u8).filter(|b| b & 31 < 4).flat_map(|b| thirds.iter().map(move |&c| vec![0xc4, b, c]));
        let two = (0..=255u8).map(|b| vec![0xc5, b]);
        for vex in two.chain(three) {
            for op in 0..=255u8 {
                for modrm in 0..=255u8 {
                    for sib in [0x24, 0x65, 0xe3] {
                        let head: Vec<u8> = vex.iter().copied().chain([op, modrm, sib]).collect();
                        if !compare(&filled(&head), &mut accepted) {
                            // Whether the opcode is known two kinds of ModRM tell.
                            break;
                        }
                        if modrm & 7 != 4 || modrm >= 0xc0 {
                            break;
                        }
                    }
                }
            }
        }
        assert!(accepted > 1_000_000, "only {accepted} encodings are decoded here");
    }
}
