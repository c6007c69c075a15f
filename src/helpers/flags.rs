//! Flags as a word, and the shifts that are too intricate for inline code.

use crate::guest::CpuState;
use crate::guest::rflags::{CF, OF, SF, ZF};
use crate::guest::state::nzcv;

pub fn read(s: &mut CpuState, _: u64, _: u64, _: u64) -> u64 {
    s.rflags()
}

pub fn write(s: &mut CpuState, value: u64, bytes: u64, _: u64) -> u64 {
    let keep = if bytes == 2 { s.rflags() & !0xffff } else { 0 };
    s.set_rflags(value & if bytes == 2 { 0xffff } else { u64::MAX } | keep);
    0
}

pub fn sahf(s: &mut CpuState, ah: u64, _: u64, _: u64) -> u64 {
    let flags = s.rflags();
    s.set_rflags(flags & !0xd5 | ah & 0xd5);
    0
}

fn host_flags(f: u64) -> u64 {
    let bit = |flag: u64, host: u64| if f & flag != 0 { host } else { 0 };
    bit(SF, nzcv::N) | bit(ZF, nzcv::Z) | bit(OF, nzcv::V) | if f & CF == 0 { nzcv::C } else { 0 }
}

/// Rotates through carry left by `count` (already reduced below bits + 1).
fn rotate_left(value: u64, bits: u32, carry: u64, count: u32) -> (u64, u64) {
    let wide = (value as u128) | (carry as u128) << bits;
    let n = bits + 1;
    let turned = if count == 0 { wide } else { wide << count | wide >> (n - count) };
    let mask = (1u128 << bits) - 1;
    ((turned & mask) as u64, (turned >> bits & 1) as u64)
}

fn through_carry(s: &mut CpuState, value: u64, count: u64, bytes: u64, left: bool) -> u64 {
    let bits = 8 * bytes as u32;
    let value = value & (u64::MAX >> (64 - bits));
    let count = count as u32 & if bytes == 8 { 63 } else { 31 };
    let flags = s.rflags();
    if count == 0 {
        s.scratch[0] = s.nzcv;
        return value;
    }
    let turn = count % (bits + 1);
    let left_turn = if left { turn } else { (bits + 1 - turn) % (bits + 1) };
    let (result, carry) = rotate_left(value, bits, flags & CF, left_turn);
    let top = result >> (bits - 1) & 1;
    // OF is defined for a count of one; processors compute it the same way for all.
    let overflow = if left { top ^ carry } else { top ^ (result >> (bits - 2) & 1) };
    s.scratch[0] = host_flags(flags & !(CF | OF) | carry | if overflow != 0 { OF } else { 0 });
    result
}

pub fn rcl(s: &mut CpuState, value: u64, count: u64, bytes: u64) -> u64 {
    through_carry(s, value, count, bytes, true)
}
pub fn rcr(s: &mut CpuState, value: u64, count: u64, bytes: u64) -> u64 {
    through_carry(s, value, count, bytes, false)
}

fn double(s: &mut CpuState, value: u64, other: u64, packed: u64, left: bool) -> u64 {
    let (count, bits) = ((packed & 0xff) as u32, (packed >> 8) as u32 * 8);
    s.scratch[0] = s.nzcv;
    s.scratch[1] = s.pf_result;
    if count == 0 {
        return value;
    }
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    let (value, other) = (value & mask, other & mask);
    // 16-bit operands with a count above 16: the bits of the operands go round (undefined by the manual; as AMD's processors do).
    let pair = value as u128 | (other as u128) << bits | if bits == 16 { (value as u128) << 32 } else { 0 };
    let (result, carry) = match (left, bits) {
        (false, _) => ((pair >> count) as u64 & mask, (pair >> (count - 1)) as u64 & 1),
        (true, 16) => {
            // value:other:value in 48 bits.
            let p = value << 32 | other << 16 | value;
            let shifted = (p as u128) << count;
            ((shifted >> 32) as u64 & mask, (shifted >> 48) as u64 & 1)
        }
        (true, _) => {
            let p = (value as u128) << bits | other as u128;
            let carry = (value >> (bits - count)) & 1;
            let shifted = p << count;
            ((shifted >> bits) as u64 & mask, carry)
        }
    };
    let flags = s.rflags() & !(CF | OF | ZF | SF);
    let overflow = (result ^ value) >> (bits - 1) & 1;
    s.scratch[0] = host_flags(flags | carry | if result == 0 { ZF } else { 0 } | if result >> (bits - 1) & 1 != 0 { SF } else { 0 } | if overflow != 0 { OF } else { 0 });
    s.scratch[1] = result;
    result
}

pub fn shld(s: &mut CpuState, value: u64, other: u64, packed: u64) -> u64 {
    double(s, value, other, packed, true)
}
pub fn shrd(s: &mut CpuState, value: u64, other: u64, packed: u64) -> u64 {
    double(s, value, other, packed, false)
}
