//! PDEP, PEXT, CRC-32C and random numbers, for hosts without such instructions.

use crate::guest::CpuState;

pub fn pdep(_: &mut CpuState, value: u64, mask: u64, _: u64) -> u64 {
    let (mut value, mut mask, mut out) = (value, mask, 0);
    while mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        if value & 1 != 0 {
            out |= lowest;
        }
        value >>= 1;
        mask ^= lowest;
    }
    out
}

pub fn pext(_: &mut CpuState, value: u64, mask: u64, _: u64) -> u64 {
    let (mut mask, mut out, mut at) = (mask, 0, 0);
    while mask != 0 {
        let bit = mask.trailing_zeros();
        out |= (value >> bit & 1) << at;
        at += 1;
        mask &= mask - 1;
    }
    out
}

/// The Castagnoli polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut v = i as u32;
        let mut k = 0;
        while k < 8 {
            v = v >> 1 ^ if v & 1 != 0 { POLYNOMIAL } else { 0 };
            k += 1;
        }
        table[i] = v;
        i += 1;
    }
    table
};

pub fn crc32c(_: &mut CpuState, crc: u64, value: u64, bytes: u64) -> u64 {
    let mut crc = crc as u32;
    for byte in &value.to_le_bytes()[..bytes as usize & 15] {
        crc = crc >> 8 ^ CRC_TABLE[(crc as u8 ^ byte) as usize];
    }
    crc as u64
}

/// RDRAND, RDSEED: 64 random bits; flags as on success.
pub fn random(s: &mut CpuState, _: u64, _: u64, _: u64) -> u64 {
    // CF set (C clear in canonical polarity), all others clear.
    s.nzcv = 0;
    s.pf_result = 1;
    s.af_xor = 1;
    crate::host::random::word()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let s = &mut CpuState::default();
        assert_eq!(pdep(s, 0b1011, 0xf0f0, 0), 0xb0);
        assert_eq!(pext(s, 0xb0c0, 0xf0f0, 0), 0xbc);
        assert_eq!(pext(s, u64::MAX, u64::MAX, 0), u64::MAX);
        // CRC-32C of "123456789" is e3069283 (initial and final inversion outside).
        let mut crc = u32::MAX as u64;
        crc = crc32c(s, crc, u64::from_le_bytes(*b"12345678"), 8);
        crc = crc32c(s, crc, b'9' as u64, 1);
        assert_eq!(crc as u32 ^ u32::MAX, 0xe306_9283);
    }
}
