//! What CPUID answers (AMD APM vol. 3, appendix E; Intel SDM vol. 2, CPUID): one table of features, one of other leaves.
//!
//! The hypervisor bit is clear and leaf 0x40000000 empty: programs that see one take para-virtual paths that have nothing to gain here.
//! XSAVE is not offered (OSXSAVE clear), which also keeps AVX away: what is in [`FEATURES`] is what translation implements.

/// A result register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are the SDM's.
pub enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}
use Register::*;

/// One feature bit.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Name as in /proc/cpuinfo.
    pub name: &'static str,
    /// Leaf (subleaf 0).
    pub leaf: u32,
    /// Register.
    pub register: Register,
    /// Bit number.
    pub bit: u32,
}

macro_rules! features { ($($leaf:literal $register:ident: $($name:literal $bit:literal),+;)*) => {
    /// Every feature bit that is set, in the order of /proc/cpuinfo's words.
    pub const FEATURES: &[Feature] = &[$($(Feature { name: $name, leaf: $leaf, register: $register, bit: $bit }),+),*];
} }
features! {
    1 Edx: "fpu" 0, "vme" 1, "de" 2, "pse" 3, "tsc" 4, "msr" 5, "pae" 6, "mce" 7, "cx8" 8, "apic" 9, "sep" 11, "mtrr" 12, "pge" 13, "mca" 14,
        "cmov" 15, "pat" 16, "pse36" 17, "clflush" 19, "mmx" 23, "fxsr" 24, "sse" 25, "sse2" 26;
    0x8000_0001 Edx: "syscall" 11, "nx" 20, "pdpe1gb" 26, "rdtscp" 27, "lm" 29;
    1 Ecx: "pni" 0, "ssse3" 9, "cx16" 13, "sse4_1" 19, "sse4_2" 20, "movbe" 22, "popcnt" 23, "rdrand" 30;
    0x8000_0001 Ecx: "lahf_lm" 0, "abm" 5, "3dnowprefetch" 8, "topoext" 22;
    7 Ebx: "fsgsbase" 0, "bmi1" 3, "bmi2" 8, "rdseed" 18, "adx" 19, "clflushopt" 23, "clwb" 24;
    7 Ecx: "umip" 2, "rdpid" 22;
    0x8000_0007 Edx: "constant_tsc" 8;
}

/// Bits of leaf 1 EDX that AMD repeats in leaf 0x80000001 EDX.
const MIRRORED: u32 = 0x0183_f3ff;

/// Family 17h, model 31h, stepping 0 (Zen 2).
const SIGNATURE: u32 = 0x0083_0f10;

const fn text(s: &[u8; 48], at: usize) -> u32 {
    u32::from_le_bytes([s[at], s[at + 1], s[at + 2], s[at + 3]])
}
const BRAND: &[u8; 48] = &{
    let name = b"xemu virtual CPU";
    let mut padded = [0; 48];
    let mut i = 0;
    while i < name.len() {
        padded[i] = name[i];
        i += 1;
    }
    padded
};
const fn brand(part: usize) -> [u32; 4] {
    [text(BRAND, 16 * part), text(BRAND, 16 * part + 4), text(BRAND, 16 * part + 8), text(BRAND, 16 * part + 12)]
}

/// Leaf 0x8000001D: type (1 data, 2 code, 3 both), level, ways and sets of 64-byte lines.
const fn cache(kind: u32, level: u32, ways: u32, sets: u32) -> [u32; 4] {
    [kind | level << 5 | 1 << 8, (ways - 1) << 22 | 63, sets - 1, 0]
}

const VENDOR: [u32; 3] = [u32::from_le_bytes(*b"Auth"), u32::from_le_bytes(*b"cAMD"), u32::from_le_bytes(*b"enti")];

/// Leaf, subleaf, EAX to EDX; what is not here is zero, and feature bits are added.
const LEAVES: &[(u32, u32, [u32; 4])] = &[
    (0, 0, [0xd, VENDOR[0], VENDOR[1], VENDOR[2]]),
    // Lines of 64 bytes for CLFLUSH, one logical processor.
    (1, 0, [SIGNATURE, 8 << 8 | 1 << 16, 0, 0]),
    // One thread a core, one core a package: affinity tells the number of processors.
    (0xb, 0, [0, 1, 0x100, 0]),
    (0xb, 1, [0, 1, 0x201, 0]),
    (0x8000_0000, 0, [0x8000_001e, VENDOR[0], VENDOR[1], VENDOR[2]]),
    (0x8000_0001, 0, [SIGNATURE, 0, 0, 0]),
    (0x8000_0002, 0, brand(0)),
    (0x8000_0003, 0, brand(1)),
    (0x8000_0004, 0, brand(2)),
    // L1: 32 KiB, 8 ways; L2: 512 KiB, 8 ways; L3: 16 MiB, 16 ways.
    (0x8000_0005, 0, [0, 0, 0x2008_0140, 0x2008_0140]),
    (0x8000_0006, 0, [0, 0, 0x0200_6140, 0x0080_8140]),
    // 48 bits of physical and linear address.
    (0x8000_0008, 0, [0x3030, 0, 0, 0]),
    (0x8000_001d, 0, cache(1, 1, 8, 64)),
    (0x8000_001d, 1, cache(2, 1, 8, 64)),
    (0x8000_001d, 2, cache(3, 2, 8, 1024)),
    (0x8000_001d, 3, cache(3, 3, 16, 16384)),
];

/// Leaves whose answer depends on the subleaf in ECX.
const WITH_SUBLEAF: &[u32] = &[4, 7, 0xb, 0xd, 0x8000_001d];

/// EAX, EBX, ECX and EDX for a leaf (EAX) and subleaf (ECX). Leaves that do not exist are zero.
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let subleaf = if WITH_SUBLEAF.contains(&leaf) { subleaf } else { 0 };
    let mut out = LEAVES.iter().find(|l| l.0 == leaf && l.1 == subleaf).map_or([0; 4], |l| l.2);
    if subleaf == 0 {
        for f in FEATURES.iter().filter(|f| f.leaf == leaf) {
            out[f.register as usize] |= 1 << f.bit;
        }
    }
    if leaf == 0x8000_0001 {
        out[Edx as usize] |= cpuid(1, 0)[Edx as usize] & MIRRORED;
    }
    // The subleaf is echoed beyond the last level too.
    if leaf == 0xb {
        out[Ecx as usize] |= subleaf & 0xff;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(cpuid(0, 7)[1], 0x6874_7541);
        assert_eq!(cpuid(1, 0)[2] >> 31, 0, "no hypervisor");
        // x86-64-v2: CX16, LAHF, POPCNT, SSE3 to SSE4.2.
        let v2 = 1 << 13 | 1 << 23 | 1 | 1 << 9 | 1 << 19 | 1 << 20;
        assert_eq!(cpuid(1, 0)[2] & v2, v2);
        assert_eq!(cpuid(0x8000_0001, 0)[2] & 1, 1);
        assert_eq!(cpuid(0x8000_0002, 0)[0], u32::from_le_bytes(*b"xemu"));
        assert_eq!(cpuid(0x4000_0000, 0), [0; 4]);
        assert_eq!(cpuid(7, 1), [0; 4]);
    }
}
