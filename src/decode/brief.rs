//! Instructions as `interpret` wants them: what is executed once or twice is decoded each time, so only what execution needs is worked out, by the tables of
//! [`quick`](super::quick). A test compares all encodings with what translation sees.

use super::quick::{ADDRESS_SIZE, BEFORE, Before, Class, Constant, Cursor, Form, From, Head, LOCK, ModRm, WINDOW, head, prefixes};
use crate::guest::{Addr, CpuState};
use iced_x86::{Code, Register};

/// What an operand is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// There is none.
    Nothing,
    /// General register.
    Register,
    /// Bits 8 to 15 of a general register.
    High,
    /// XMM register.
    Xmm,
    /// In memory: [`Brief::memory`].
    Memory,
    /// [`Brief::constant`], an immediate or the target of a branch.
    Constant,
}

/// An operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operand {
    /// What it is.
    pub kind: Kind,
    /// Number of the register, 0 to 15.
    pub n: u8,
    /// Bytes of the register, or of what is in memory where that is the size of the general register that could stand there; 0 of a constant.
    pub bytes: u8,
}

/// A decoded instruction. What its operands are is worked out when it is asked for.
#[derive(Clone, Copy)]
pub struct Brief {
    /// Encoding form.
    pub code: Code,
    /// The memory operand is an address: base + index << scale + displacement, and the base of its segment.
    pub address: Addr,
    /// The constant, extended to 64 bits as the instruction does; the target of a branch.
    pub constant: u64,
    /// Address behind the last byte.
    pub next: u64,
    form: &'static Form,
    /// Numbers of registers, by [`From`].
    numbers: u32,
    /// Row of [`BYTES`] in a class: REX.
    size: u8,
    in_memory: bool,
    has_segment: bool,
}

impl Brief {
    /// Operand `k`, 0 or 1.
    #[inline(always)]
    pub fn operand(&self, k: usize) -> Operand {
        let o = self.form.operands[k];
        let bytes = BYTES[(o.class as usize + usize::from(self.size)) & 31];
        let n = (self.numbers >> (o.from as u32 & 31) & 15) as u8;
        if o.from == From::Rm && self.in_memory {
            return Operand { kind: Kind::Memory, n, bytes };
        }
        if o.from == From::Nothing {
            let constant = self.form.constant != Constant::None && usize::from(self.form.constant_at) == k;
            return Operand { kind: if constant { Kind::Constant } else { Kind::Nothing }, n: 0, bytes: 0 };
        }
        match o.class {
            Class::Xmm => Operand { kind: Kind::Xmm, n, bytes },
            Class::Byte if self.size == 0 && n >= 4 => Operand { kind: Kind::High, n: n - 4, bytes },
            _ => Operand { kind: Kind::Register, n, bytes },
        }
    }
    /// Is an operand in memory?
    #[inline(always)]
    pub fn is_in_memory(&self) -> bool {
        self.in_memory
    }
    /// The general register of ModRM.reg, and of ModRM.r/m where that is one, of an instruction whose operands they are, of 32 or 64 bits.
    #[inline(always)]
    pub fn whole_registers(&self) -> (usize, usize) {
        let n = |from: From| (self.numbers >> (from as u32 & 31) & 15) as usize;
        (n(From::Reg), n(From::Rm))
    }
    /// Bytes of operand 0.
    #[inline(always)]
    pub fn bytes(&self) -> u32 {
        BYTES[(self.form.operands[0].class as usize + usize::from(self.size)) & 31].into()
    }
    /// Is a segment's base in the address?
    pub fn has_segment(&self) -> bool {
        self.has_segment
    }
}

/// Bytes by class and REX (none, without W, with W), as registers are in `quick`.
static BYTES: [u8; 32] = {
    let rows: [[u8; 3]; 7] = [[1, 1, 1], [2, 2, 2], [4, 4, 4], [8, 8, 8], [4, 4, 8], [2, 2, 8], [16, 16, 16]];
    let mut table = [0; 32];
    let mut k = 0;
    while k < 21 {
        table[k] = rows[k / 3][k % 3];
        k += 1;
    }
    table
};

/// Decodes the instruction at `ip`, if it is one of those that are here and begins with REX or the opcode, for a processor in state `s`.
#[inline(always)]
pub fn brief(bytes: &[u8; WINDOW], ip: u64, s: &CpuState) -> Option<Brief> {
    // Of what stands before those there is no form.
    rest(bytes, ip, s, Before { op: bytes[0], at: 1, said: 0, segment: Register::None })
}
/// Does an instruction begin otherwise?
pub fn has_prefixes(bytes: &[u8; WINDOW]) -> bool {
    BEFORE[usize::from(bytes[0])]
}
/// [`brief`] of one that does.
#[inline(always)]
pub fn brief_behind_prefixes(bytes: &[u8; WINDOW], ip: u64, s: &CpuState) -> Option<Brief> {
    rest(bytes, ip, s, prefixes(bytes, bytes[0])?)
}

/// From REX or the opcode on.
#[inline(always)]
fn rest(bytes: &[u8; WINDOW], ip: u64, s: &CpuState, before: Before) -> Option<Brief> {
    let Before { op, at, said, segment } = before;
    let mut c = Cursor { bytes, at };
    let Head { form, rex, wide, numbers, modrm, in_memory } = head(&mut c, op, said)?;
    if said & LOCK != 0 || said & ADDRESS_SIZE != 0 && in_memory || form.modrm >= ModRm::Bare && (form.modrm != ModRm::Bare || rex != 0 || said & ADDRESS_SIZE != 0) {
        return None;
    }
    let (mut address, mut relative) = (0, false);
    if in_memory {
        (address, relative) = memory(&s.gpr, &mut c, modrm, rex);
    }
    let code = form.codes[wide];
    if code == Code::INVALID {
        return None;
    }
    let constant = if form.constant == Constant::None { 0 } else { constant(&mut c, form.constant, wide != 0, ip) };
    let next = ip.wrapping_add(c.at as u64);
    if relative {
        address = next.wrapping_add(address);
    }
    let has_segment = matches!(segment, Register::FS | Register::GS);
    if has_segment {
        address = address.wrapping_add(if segment == Register::FS { s.fs_base } else { s.gs_base });
    }
    Some(Brief { code, address: Addr(address), constant, next, form, numbers, size: (usize::from(rex != 0) + wide) as u8, in_memory, has_segment })
}

/// The address, and whether it is relative to the next instruction.
#[inline(always)]
fn memory(gpr: &[u64; 16], c: &mut Cursor, modrm: u8, rex: u8) -> (u64, bool) {
    let (mode, mut base) = (modrm >> 6, modrm & 7);
    let mut at = 0u64;
    if base == 4 {
        let sib = c.byte();
        let index = sib >> 3 & 7 | (rex & 2) << 2;
        if index != 4 {
            at = gpr[usize::from(index & 15)] << (sib >> 6);
        }
        base = sib & 7;
    } else if modrm & 0xc7 == 5 {
        return (c.word() as u64, true);
    }
    if mode != 0 || base != 5 {
        at = at.wrapping_add(gpr[usize::from(base | (rex & 1) << 3) & 15]);
        if mode == 0 {
            return (at, false);
        }
    }
    let displacement = if mode == 1 { c.byte() as i8 as u64 } else { c.word() as u64 };
    (at.wrapping_add(displacement), false)
}

/// The constant's value.
#[inline(always)]
fn constant(c: &mut Cursor, constant: Constant, wide: bool, ip: u64) -> u64 {
    match constant {
        Constant::None | Constant::Unit => 1,
        Constant::Byte => u64::from(c.byte()),
        Constant::SignedByte | Constant::StackByte | Constant::WordByte => c.byte() as i8 as u64,
        Constant::StackLong => c.word() as u64,
        Constant::Long if wide => c.word() as u64,
        Constant::WordLong if wide => c.word() as u64,
        Constant::Full if wide => {
            let low = c.word() as u32;
            u64::from(c.word() as u32) << 32 | u64::from(low)
        }
        Constant::Long | Constant::Full => u64::from(c.word() as u32),
        Constant::WordLong | Constant::Word => {
            let low = c.byte();
            u64::from(u16::from_le_bytes([low, c.byte()]))
        }
        Constant::Near8 => {
            let delta = c.byte() as i8;
            ip.wrapping_add(c.at as u64).wrapping_add_signed(delta.into())
        }
        Constant::Near32 => {
            let delta = c.word();
            ip.wrapping_add(c.at as u64).wrapping_add_signed(delta.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Op, decode_one};
    use crate::guest::Addr;

    fn same(bytes: &[u8; WINDOW], s: &CpuState, accepted: &mut u32) -> bool {
        const IP: u64 = 0x1_2345_6789;
        let decode = if has_prefixes(bytes) { brief_behind_prefixes } else { brief };
        let Some(b) = decode(bytes, IP, s) else { return false };
        let insn = decode_one(bytes, Addr(IP)).expect("a whole instruction");
        assert_eq!((b.code, b.next, insn.lock()), (insn.code(), insn.next().0, false), "{bytes:02x?}");
        for k in 0..2.min(insn.op_count()) {
            let o = b.operand(k as usize);
            match insn.op(k) {
                Op::Gpr { n, bytes: size, high } => {
                    let kind = if high { Kind::High } else { Kind::Register };
                    assert_eq!((o.kind, o.n, o.bytes), (kind, n, size), "{bytes:02x?}");
                }
                Op::Xmm(n) => assert_eq!((o.kind, o.n), (Kind::Xmm, n), "{bytes:02x?}"),
                Op::Mem => {
                    let m = insn.memory();
                    let register = |n: Option<u8>| n.map_or(0, |n| s.gpr[n as usize]);
                    let base = m.segment.map_or(0, |n| if n == 4 { s.fs_base } else { s.gs_base });
                    let at = register(m.base).wrapping_add(register(m.index) << m.scale).wrapping_add(m.disp as u64).wrapping_add(base);
                    assert_eq!((o.kind, b.address.0, b.has_segment(), m.addr32), (Kind::Memory, at, m.segment.is_some(), false), "{bytes:02x?}");
                    // Of vectors and LEA the register's size is no measure.
                    let measured = insn.mnemonic() != iced_x86::Mnemonic::Lea && o.bytes != 16 && insn.memory_bytes() != 0;
                    assert!(!measured || u32::from(o.bytes) == insn.memory_bytes(), "{bytes:02x?}");
                }
                Op::Imm(v) => assert_eq!((o.kind, b.constant), (Kind::Constant, v), "{bytes:02x?}"),
                Op::Near(to) => assert_eq!((o.kind, b.constant), (Kind::Constant, to.0), "{bytes:02x?}"),
                other => panic!("{bytes:02x?}: {other:?}"),
            }
        }
        if insn.op_count() > 0 {
            assert!(insn.op(0) == Op::Mem || b.operand(0).kind == Kind::Constant || b.bytes() == u32::from(b.operand(0).bytes), "{bytes:02x?}");
        }
        if insn.op_count() == 3 {
            assert!(matches!(insn.op(2), Op::Imm(v) if v == b.constant) || insn.op(2) == Op::Gpr { n: 1, bytes: 1, high: false }, "{bytes:02x?}");
        }
        *accepted += 1;
        true
    }

    /// Every opcode of both maps, with each REX prefix and ModRM byte, and several SIB bytes and prefixes.
    #[test]
    fn it_is_what_translation_sees() {
        let mut accepted = 0;
        let mut s = CpuState { fs_base: 0x1111_0000_0000, gs_base: 0x2222_0000_0000, ..CpuState::default() };
        s.gpr.iter_mut().enumerate().for_each(|(k, r)| *r = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(k as u64 + 1));
        let prefixes: &[&[u8]] = &[&[], &[0x66], &[0xf3], &[0xf2], &[0x64], &[0x65], &[0x2e], &[0x64, 0x66], &[0x66, 0x66, 0x2e], &[0xf0], &[0x67], &[0xf3, 0x66], &[0x2e, 0x64]];
        for (nth, prefix) in prefixes.iter().enumerate() {
            for rex in std::iter::once(None).chain((0x40..0x50).map(Some)).filter(|r| nth < 4 || matches!(r, None | Some(0x41 | 0x48))) {
                for (two, op, modrm) in (0..2).flat_map(|two| (0..=255u8).flat_map(move |op| (0..=255u8).map(move |modrm| (two == 1, op, modrm)))) {
                    for sib in [0x24, 0x65, 0xe3, 0x8d] {
                        let head: Vec<u8> = prefix.iter().copied().chain([rex, two.then_some(0x0f), Some(op), Some(modrm), Some(sib)].into_iter().flatten()).collect();
                        let mut bytes = [0x81, 0x92, 0xa3, 0xb4, 0x45, 0x56, 0x67, 0x78, 0x89, 0x9a, 0xab, 0xbc, 0xcd, 0xde, 0xef, 0xf1];
                        bytes[..head.len()].copy_from_slice(&head);
                        if !same(&bytes, &s, &mut accepted) || modrm & 7 != 4 || modrm >= 0xc0 {
                            break;
                        }
                    }
                }
            }
        }
        assert!(accepted > 1_000_000, "only {accepted} encodings are decoded here");
    }
}
