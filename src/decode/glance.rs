//! Instructions of which only the length, the flags and the flow are asked, for looks ahead of a region's ends.

use super::effects::{FlagEffects, known_effects};
use super::insn::Flow;
use super::quick::{Constant, Cursor, ModRm, WINDOW};
use super::quick_rows::{FORMS, GROUPS};
use crate::guest::Addr;
use iced_x86::Code;

/// Length, effects and flow of an instruction of which no more is asked, at a third of what [`quick::decode`](super::quick::decode) costs; none: it is to be
/// decoded. Most that go on to the next instruction or branch are accepted, but no branch by a pointer relative to RIP, which may be known. `ip`: its address.
#[inline(always)]
pub(super) fn glance(bytes: &[u8; WINDOW], ip: u64) -> Option<(usize, FlagEffects, Flow)> {
    let (mut op, mut at, mut wide) = (bytes[0], 1, 0);
    // Of what stands before REX and opcodes there is no form.
    if op & 0xf0 == 0x40 {
        (wide, op, at) = (op >> 3 & 1, bytes[1], 2);
    }
    let mut row = usize::from(op);
    if op == 0x0f {
        row = 256 | usize::from(bytes[at]);
        at += 1;
    }
    let mut form = &FORMS[row];
    let mut by_pointer = false;
    if form.modrm != ModRm::Absent {
        let modrm = bytes[at];
        at += 1;
        match form.modrm {
            ModRm::Group => form = &GROUPS[usize::from(form.group & 31) << 3 | usize::from(modrm >> 3 & 7)],
            ModRm::Any | ModRm::Memory | ModRm::Register => {}
            _ => return None,
        }
        let in_memory = modrm < 0xc0;
        by_pointer = modrm & 0xc7 == 5;
        if form.modrm == ModRm::Memory && !in_memory || form.modrm == ModRm::Register && in_memory {
            return None;
        }
        if in_memory {
            let mut base = modrm & 7;
            if base == 4 {
                base = bytes[at] & 7;
                at += 1;
            }
            at += match modrm >> 6 {
                0 if base == 5 => 4,
                0 => 0,
                1 => 1,
                _ => 4,
            };
        }
    }
    let code = form.codes[usize::from(wide)];
    if code == Code::INVALID {
        return None;
    }
    let (effects, special) = known_effects(code.mnemonic());
    let mut c = Cursor { bytes, at };
    let by = match form.constant {
        Constant::None if special => {
            let flow = match code {
                Code::Retnq => Flow::Return,
                Code::Call_rm64 if !by_pointer => Flow::CallIndirect,
                Code::Jmp_rm64 if !by_pointer => Flow::JumpIndirect,
                _ => return None,
            };
            return Some((at, effects, flow));
        }
        _ if special && !matches!(form.constant, Constant::Near8 | Constant::Near32) => return None,
        Constant::None | Constant::Unit => return Some((at, effects, Flow::Next)),
        Constant::Byte | Constant::SignedByte | Constant::StackByte => return Some((at + 1, effects, Flow::Next)),
        Constant::Long | Constant::StackLong => return Some((at + 4, effects, Flow::Next)),
        Constant::Full => return Some((at + (4 << wide), effects, Flow::Next)),
        Constant::Near8 => i64::from(c.byte() as i8),
        Constant::Near32 => i64::from(c.word()),
        _ => return None,
    };
    let to = Addr(ip.wrapping_add(c.at as u64).wrapping_add_signed(by));
    let flow = match code {
        Code::Call_rel32_64 => Flow::Call(to),
        Code::Jmp_rel8_64 | Code::Jmp_rel32_64 => Flow::Jump(to),
        _ => Flow::Conditional(to),
    };
    Some((c.at, effects, flow))
}
