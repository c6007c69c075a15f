//! The encodings that programs mostly consist of, decoded by table in a third of the instructions that iced takes; and a small program never pays for the tables
//! that iced builds at its first use. Whatever is not here (segment, operand size and LOCK prefixes, x87, VEX, rare instructions) is iced's. What comes
//! out is the same in every bit: a test compares all encodings that are accepted here.

use super::quick_rows::{FORMS, GROUPS};
use iced_x86::{Code, CodeSize, Instruction, OpKind, Register};

/// Where an operand's register number comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum From {
    /// There is no such operand, or it is the constant.
    Nothing,
    /// ModRM.reg and REX.R.
    Reg,
    /// ModRM.rm and REX.B, or memory.
    Rm,
    /// The opcode and REX.B.
    Opcode,
    /// Register 0, register 1.
    Zero,
    One,
}

/// What a register number means.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// General register of 8, 16, 32, 64 bits, or of 32 or 64 as REX.W says.
    Byte,
    Word,
    Long,
    Quad,
    Sized,
    /// XMM register.
    Xmm,
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
    /// Branch target, 8 or 32 bits from the next instruction.
    Near8,
    Near32,
}

/// What ModRM.rm may be.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ModRm {
    /// There is no ModRM byte.
    Absent,
    /// Register or memory.
    Any,
    /// Memory only, register only.
    Memory,
    Register,
    /// ModRM.reg tells the instruction: [`Form::group`].
    Group,
}

/// What follows an opcode, and its code without and with REX.W.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub modrm: ModRm,
    /// Index in [`GROUPS`].
    pub group: u8,
    pub operands: [Operand; 2],
    pub constant: Constant,
    /// Which operand the constant is.
    pub constant_at: u8,
    pub codes: [Code; 2],
}

/// Rows of [`REGISTERS`] by class, and by REX: none, without W, with W.
const ROWS: [[u8; 3]; 6] = [[2, 3, 3], [4, 4, 4], [0, 0, 0], [1, 1, 1], [0, 0, 1], [5, 5, 5]];

const REGISTERS: [[Register; 16]; 6] = {
    use Register::*;
    [
        [EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, R8D, R9D, R10D, R11D, R12D, R13D, R14D, R15D],
        [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15],
        [AL, CL, DL, BL, AH, CH, DH, BH, R8L, R9L, R10L, R11L, R12L, R13L, R14L, R15L],
        [AL, CL, DL, BL, SPL, BPL, SIL, DIL, R8L, R9L, R10L, R11L, R12L, R13L, R14L, R15L],
        [AX, CX, DX, BX, SP, BP, SI, DI, R8W, R9W, R10W, R11W, R12W, R13W, R14W, R15W],
        [XMM0, XMM1, XMM2, XMM3, XMM4, XMM5, XMM6, XMM7, XMM8, XMM9, XMM10, XMM11, XMM12, XMM13, XMM14, XMM15],
    ]
};
const QUAD: [Register; 16] = REGISTERS[1];

/// Bytes that must be at hand: no encoding here reads further.
pub(super) const WINDOW: usize = 16;

struct Cursor<'a> {
    bytes: &'a [u8; WINDOW],
    at: usize,
}

impl Cursor<'_> {
    #[inline(always)]
    fn byte(&mut self) -> u8 {
        let b = self.bytes[self.at & (WINDOW - 1)];
        self.at += 1;
        b
    }
    /// At most twelve bytes in.
    #[inline(always)]
    fn word(&mut self) -> i32 {
        let at = self.at.min(WINDOW - 4);
        self.at += 4;
        i32::from_le_bytes([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]])
    }
}

/// Decodes the instruction at `ip` into `i`, which is an empty one; false: ask iced.
#[inline]
pub(super) fn decode(bytes: &[u8; WINDOW], ip: u64, i: &mut Instruction) -> bool {
    let mut c = Cursor { bytes, at: 0 };
    let mut op = c.byte();
    let mut map = 0;
    if matches!(op, 0x66 | 0xf2 | 0xf3) {
        map = if op == 0x66 { 2 } else { usize::from(0xf3 - op) + 3 };
        op = c.byte();
    }
    let mut rex = 0;
    if op & 0xf0 == 0x40 {
        rex = op;
        op = c.byte();
    }
    if op == 0x0f {
        map = map.max(1);
        op = c.byte();
    } else if map != 0 {
        // Operand size and repeat prefixes of the one-byte map.
        return false;
    }
    let mut form = &FORMS[map][usize::from(op)];
    let wide = usize::from(rex >> 3 & 1);
    let mut numbers = [0, 0, 0, op & 7 | (rex & 1) << 3, 0, 1];
    let mut in_memory = false;
    let mut relative = 0;
    if form.modrm != ModRm::Absent {
        let modrm = c.byte();
        if form.modrm == ModRm::Group {
            form = &GROUPS[usize::from(form.group)][usize::from(modrm >> 3 & 7)];
        }
        in_memory = modrm < 0xc0;
        if form.modrm == ModRm::Memory && !in_memory || form.modrm == ModRm::Register && in_memory {
            return false;
        }
        numbers[From::Reg as usize] = modrm >> 3 & 7 | (rex & 4) << 1;
        numbers[From::Rm as usize] = modrm & 7 | (rex & 1) << 3;
        if in_memory {
            relative = memory(i, &mut c, modrm, rex);
        }
    }
    let code = form.codes[wide];
    if code == Code::INVALID {
        return false;
    }
    i.set_code(code);
    let size = usize::from(rex != 0) + wide;
    let register = |o: Operand| REGISTERS[usize::from(ROWS[o.class as usize][size])][usize::from(numbers[o.from as usize] & 15)];
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
    let next = ip.wrapping_add(c.at as u64);
    i.set_len(c.at);
    i.set_next_ip(next);
    i.set_code_size(CodeSize::Code64);
    if relative != 0 {
        i.set_memory_displacement64(next.wrapping_add(i.memory_displacement64()));
    }
    true
}

/// The memory operand that ModRM names; not 0: relative to the next instruction.
#[inline(always)]
fn memory(i: &mut Instruction, c: &mut Cursor, modrm: u8, rex: u8) -> u32 {
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
        Constant::Byte | Constant::SignedByte | Constant::StackByte => i.set_immediate8(c.byte()),
        Constant::Full if wide => {
            let low = c.word() as u32;
            i.set_immediate64(u64::from(c.word() as u32) << 32 | u64::from(low));
            return OpKind::Immediate64;
        }
        Constant::Long | Constant::StackLong | Constant::Full => i.set_immediate32(c.word() as u32),
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
        Constant::Long if wide => OpKind::Immediate32to64,
        Constant::StackLong => OpKind::Immediate32to64,
        Constant::Long | Constant::Full => OpKind::Immediate32,
        _ => OpKind::Immediate8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions};

    /// Every opcode of every map, with each REX prefix and ModRM byte, several SIB bytes, and constants of either sign.
    #[test]
    fn what_is_accepted_is_what_iced_decodes() {
        let mut accepted = 0u32;
        for prefix in [None, Some(0x66), Some(0xf3), Some(0xf2)] {
            for rex in std::iter::once(None).chain((0x40..0x50).map(Some)) {
                for map in [None, Some(0x0f)] {
                    for op in 0..=255u8 {
                        for modrm in 0..=255u8 {
                            for sib in [0x24, 0x65, 0xe3, 0x8d, 0x10] {
                                let head: Vec<u8> = [prefix, rex, map, Some(op), Some(modrm), Some(sib)].into_iter().flatten().collect();
                                let mut bytes = [0x81, 0x92, 0xa3, 0xb4, 0x45, 0x56, 0x67, 0x78, 0x89, 0x9a, 0xab, 0xbc, 0xcd, 0xde, 0xef, 0xf1];
                                bytes[..head.len()].copy_from_slice(&head);
                                let mut quick = Instruction::default();
                                if !decode(&bytes, 0x1_2345_6789, &mut quick) {
                                    break;
                                }
                                let iced = Decoder::with_ip(64, &bytes, 0x1_2345_6789, DecoderOptions::AMD).decode();
                                assert!(quick.eq_all_bits(&iced), "{bytes:02x?}:\n{quick:?}\n{iced:?}");
                                accepted += 1;
                                // Other SIB bytes only where there is one.
                                if modrm & 7 != 4 || modrm >= 0xc0 {
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
}
