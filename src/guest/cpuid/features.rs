//! The feature bits that xemu knows, one row each, and sets of them.

/// A result register of CPUID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are the SDM's.
pub enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}
use Register::*;

/// Not a leaf: words that Linux makes up for /proc/cpuinfo (X86_FEATURE word 3).
pub const LINUX: u32 = 0xffff_ffff;

/// The least psABI level of x86-64 that has a feature ("x86-64 psABI", table 3.1); `Extra`: none has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// x86-64, and what every processor of that time and Linux have.
    Base,
    /// x86-64-v2.
    V2,
    /// x86-64-v3.
    V3,
    /// In no level.
    Extra,
}

/// One feature bit.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Name as in /proc/cpuinfo.
    pub name: &'static str,
    /// Leaf.
    pub leaf: u32,
    /// Subleaf.
    pub subleaf: u32,
    /// Register.
    pub register: Register,
    /// Bit number.
    pub bit: u32,
    /// Level.
    pub level: Level,
}

macro_rules! features { ($($leaf:literal . $sub:literal $register:ident: $($level:ident $($name:literal $bit:literal),+);+;)*) => {
    /// Every feature bit that a model may have, in the order of /proc/cpuinfo's words (arch/x86/include/asm/cpufeatures.h).
    pub const FEATURES: &[Feature] = &[$($($(Feature { name: $name, leaf: $leaf, subleaf: $sub, register: $register, bit: $bit, level: Level::$level }),+),+),*];
} }
features! {
    1 . 0 Edx: Base "fpu" 0, "vme" 1, "de" 2, "pse" 3, "tsc" 4, "msr" 5, "pae" 6, "mce" 7, "cx8" 8, "apic" 9, "sep" 11, "mtrr" 12, "pge" 13,
        "mca" 14, "cmov" 15, "pat" 16, "pse36" 17, "clflush" 19, "mmx" 23, "fxsr" 24, "sse" 25, "sse2" 26, "ht" 28;
    0x8000_0001 . 0 Edx: Base "syscall" 11, "nx" 20; Extra "mmxext" 22, "pdpe1gb" 26, "rdtscp" 27; Base "lm" 29;
    0xffff_ffff . 0 Edx: Base "constant_tsc" 8, "rep_good" 16, "nopl" 20, "xtopology" 22, "nonstop_tsc" 24, "cpuid" 25;
    1 . 0 Ecx: V2 "pni" 0; Extra "pclmulqdq" 1; V2 "ssse3" 9; V3 "fma" 12; V2 "cx16" 13, "sse4_1" 19, "sse4_2" 20; V3 "movbe" 22; V2 "popcnt" 23;
        Extra "aes" 25; V3 "xsave" 26, "osxsave" 27, "avx" 28, "f16c" 29; Extra "rdrand" 30;
    0x8000_0001 . 0 Ecx: V2 "lahf_lm" 0; Extra "cmp_legacy" 1; V3 "abm" 5; Extra "misalignsse" 7, "3dnowprefetch" 8, "topoext" 22;
    7 . 0 Ebx: Extra "fsgsbase" 0; V3 "bmi1" 3, "avx2" 5, "bmi2" 8; Extra "erms" 9, "rdseed" 18, "adx" 19, "clflushopt" 23, "clwb" 24, "sha_ni" 29;
    0xd . 1 Eax: Extra "xsaveopt" 0, "xsavec" 1, "xgetbv1" 2;
    0x8000_0008 . 0 Ebx: Extra "xsaveerptr" 2;
    7 . 0 Ecx: Extra "umip" 2, "gfni" 8, "vaes" 9, "vpclmulqdq" 10, "rdpid" 22;
    7 . 0 Edx: Extra "fsrm" 4;
    0x8000_0007 . 0 Edx: Base "invtsc" 8;
}

/// Features without a word in /proc/cpuinfo: the kernel's own switch, and one that shows as constant_tsc.
pub const UNNAMED: &[&str] = &["osxsave", "invtsc"];

/// A feature and what it needs: without the second the first goes too.
const NEEDS: &[(&str, &str)] = &[
    ("sse", "fxsr"),
    ("sse2", "sse"),
    ("pni", "sse2"),
    ("ssse3", "pni"),
    ("sse4_1", "ssse3"),
    ("sse4_2", "sse4_1"),
    ("misalignsse", "sse"),
    ("aes", "sse2"),
    ("pclmulqdq", "sse2"),
    ("sha_ni", "sse2"),
    ("gfni", "sse2"),
    ("osxsave", "xsave"),
    ("xsaveopt", "xsave"),
    ("xsavec", "xsave"),
    ("xgetbv1", "xsave"),
    ("xsaveerptr", "xsave"),
    ("avx", "osxsave"),
    ("avx", "sse4_2"),
    ("avx2", "avx"),
    ("fma", "avx"),
    ("f16c", "avx"),
    ("vaes", "avx"),
    ("vaes", "aes"),
    ("vpclmulqdq", "avx"),
    ("vpclmulqdq", "pclmulqdq"),
    ("fsrm", "erms"),
];

/// Other names, as QEMU's, GCC's and Intel's lists have them.
const ALIASES: &[(&str, &str)] = &[
    ("sse3", "pni"),
    ("sse4.1", "sse4_1"),
    ("sse4.2", "sse4_2"),
    ("lzcnt", "abm"),
    ("sha", "sha_ni"),
    ("pclmul", "pclmulqdq"),
    ("rdrnd", "rdrand"),
    ("cmpxchg16b", "cx16"),
    ("cmp16", "cx16"),
    ("lahf", "lahf_lm"),
    ("i64", "lm"),
];

/// The row of a feature; '-' counts as '_'.
pub fn find(name: &str) -> Option<usize> {
    let same = |a: &str, b: &str| a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| a == b || a == b'-' && b == b'_');
    let name = ALIASES.iter().find(|a| same(name, a.0)).map_or(name, |a| a.1);
    FEATURES.iter().position(|f| same(name, f.name))
}

/// The row of a feature that there is.
pub const fn row(name: &str) -> usize {
    let mut n = 0;
    loop {
        let (a, b) = (FEATURES[n].name.as_bytes(), name.as_bytes());
        let mut i = 0;
        while a.len() == b.len() && i < a.len() && a[i] == b[i] {
            i += 1;
        }
        if a.len() == b.len() && i == a.len() {
            return n;
        }
        n += 1;
    }
}

/// A set of features: a bit for each row of [`FEATURES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FeatureSet(u128);
const _: () = assert!(FEATURES.len() <= 128);

impl FeatureSet {
    /// Everything.
    pub const ALL: FeatureSet = FeatureSet(u128::MAX >> (128 - FEATURES.len()));

    /// The features of a level and those below.
    pub fn of_level(level: Level) -> FeatureSet {
        FeatureSet(FEATURES.iter().enumerate().filter(|(_, f)| f.level <= level).fold(0, |s, (i, _)| s | 1 << i))
    }
    /// Is this row in it?
    pub fn has_row(self, row: usize) -> bool {
        self.0 >> row & 1 != 0
    }
    /// Is this feature in it? An unknown one is not.
    pub fn has(self, name: &str) -> bool {
        find(name).is_some_and(|row| self.has_row(row))
    }
    /// With a feature, and what that needs. `None`: there is none of this name.
    #[must_use]
    pub fn with(self, name: &str) -> Option<FeatureSet> {
        let row = find(name)?;
        let mut set = FeatureSet(self.0 | 1 << row);
        for (_, needed) in NEEDS.iter().filter(|n| n.0 == FEATURES[row].name) {
            set = set.with(needed)?;
        }
        Some(set)
    }
    /// Without a feature and what needs it. `None`: there is none of this name.
    #[must_use]
    pub fn without(self, name: &str) -> Option<FeatureSet> {
        let row = find(name)?;
        let mut set = FeatureSet(self.0 & !(1 << row));
        for (user, _) in NEEDS.iter().filter(|n| n.1 == FEATURES[row].name) {
            set = set.without(user)?;
        }
        Some(set)
    }
    /// The rows in it.
    pub fn iter(self) -> impl Iterator<Item = &'static Feature> {
        FEATURES.iter().enumerate().filter(move |(i, _)| self.has_row(*i)).map(|(_, f)| f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (row, f) in FEATURES.iter().enumerate() {
            assert_eq!(find(f.name), Some(row), "{} is there twice", f.name);
        }
        assert_eq!(find("lahf-lm"), find("lahf_lm"));
        assert_eq!(find("sse4.1"), find("sse4_1"));
        assert_eq!(find("avx512f"), None);
        for (a, b) in NEEDS.iter().chain(ALIASES) {
            assert!(find(a).is_some() && find(b).is_some(), "{a}, {b}");
        }
    }

    #[test]
    fn what_needs_what() {
        let all = FeatureSet::ALL;
        let no_xsave = all.without("xsave").unwrap();
        for gone in ["osxsave", "avx", "avx2", "fma", "vaes", "xsavec"] {
            assert!(!no_xsave.has(gone), "{gone}");
        }
        assert!(no_xsave.has("aes") && no_xsave.has("bmi2"));
        assert_eq!(FeatureSet::of_level(Level::V2).with("avx2").unwrap().has("osxsave"), true);
        assert!(!all.without("aes").unwrap().has("vaes"));
    }
}
