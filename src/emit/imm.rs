//! Which constants AArch64 instructions can hold.

/// Can ADD/SUB hold `v`: 12 bits, or 12 bits shifted by 12?
pub fn is_add_imm(v: u64) -> bool {
    v < 0x1000 || (v & 0xfff == 0 && v < 0x100_0000)
}

/// Can AND/ORR/EOR/ANDS hold `v` (Arm ARM, DecodeBitMasks)? `bits` is 32 or 64.
pub fn is_logical_imm(v: u64, bits: u32) -> bool {
    let v = if bits == 32 { (v & 0xffff_ffff) | v << 32 } else { v };
    if v == 0 || v == u64::MAX {
        return false;
    }
    // Smallest period that the pattern repeats with.
    let mut size = 64;
    while size > 2 {
        let half = size / 2;
        if (v ^ v.rotate_right(half)) != 0 {
            break;
        }
        size = half;
    }
    let mask = if size == 64 { u64::MAX } else { (1 << size) - 1 };
    let e = v & mask;
    // One run of ones, up to rotation: at most one rising edge in the cycle.
    let rotated = (e >> 1) | (e & 1) << (size - 1);
    ((e ^ rotated) & mask).count_ones() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_immediates() {
        for (v, ok) in [(0, true), (0xfff, true), (0x1000, true), (0x1001, false), (0xfff000, true), (0x1000000, false)] {
            assert_eq!(is_add_imm(v), ok, "{v:#x}");
        }
    }
    #[test]
    fn logical_immediates() {
        for (v, bits, ok) in [(0xff, 32, true), (0, 64, false), (u64::MAX, 64, false), (0xffff_ffff, 32, false), (0xffff_ffff, 64, true), (0x5555_5555_5555_5555, 64, true), (0xf00f, 32, false), (0x8000_0001, 32, true), (0xff00ff, 32, true), (0xff00ff00ff00ff, 64, true), (0x1234, 64, false)] {
            assert_eq!(is_logical_imm(v, bits), ok, "{v:#x}/{bits}");
        }
    }
}
