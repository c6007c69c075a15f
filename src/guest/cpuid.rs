//! What CPUID answers (AMD APM vol. 3, appendix E; Intel SDM vol. 2, CPUID): features by [`features`], processors by [`models`], other leaves here.
//!
//! The hypervisor bit is clear and leaf 0x40000000 empty: programs that see one take para-virtual paths that have nothing to gain here.
//! A process shows one processor, chosen once before its first instruction ([`select`]).

pub mod features;
pub mod models;

use features::{FeatureSet, LINUX, Register::*};
use models::Vendor;
use std::sync::OnceLock;

/// XCR0's bits: x87, SSE and AVX state.
pub const XCR0_X87: u64 = 1;
/// SSE state, MXCSR with it.
pub const XCR0_SSE: u64 = 2;
/// AVX state: the upper halves.
pub const XCR0_AVX: u64 = 4;

/// Bytes of an XSAVE area: FXSAVE's and the header, then the AVX state.
pub const XSAVE_LEGACY: u64 = 576;
/// Bytes of the AVX state, which begins behind header and legacy area in both layouts.
pub const XSAVE_AVX: u64 = 256;

/// Bits of leaf 1 EDX that AMD repeats in leaf 0x80000001 EDX.
const MIRRORED: u32 = 0x0183_f3ff;

/// Processors that share a third level cache.
const SHARING: u32 = 8;

/// A processor: model and features.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// The model's row.
    pub model: &'static models::Model,
    /// Features, which may differ from the model's.
    pub features: FeatureSet,
}

/// Where a program runs: what some leaves tell of the processor that executes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Number of the processor, from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

static CPU: OnceLock<Cpu> = OnceLock::new();

/// Chooses the process's processor, by `-cpu`'s text. Without effect once something has asked for it.
pub fn select(text: Option<&str>) -> Result<(), String> {
    let (model, features) = models::parse(text.unwrap_or(models::DEFAULT))?;
    let _ = CPU.set(Cpu { model, features });
    Ok(())
}

/// The process's processor: the default one where none was chosen.
pub fn cpu() -> Cpu {
    *CPU.get_or_init(|| {
        let (model, features) = models::parse(models::DEFAULT).unwrap_or((&models::MODELS[0], FeatureSet::ALL));
        Cpu { model, features }
    })
}

/// A cache: type (1 data, 2 code, 3 both), level, ways, sets of 64-byte lines, processors that share it.
struct Cache(u32, u32, u32, u32, u32);
/// L1 of 32 KiB each, L2 of 512 KiB, L3 of 32 MiB.
const CACHES: [Cache; 4] = [Cache(1, 1, 8, 64, 1), Cache(2, 1, 8, 64, 1), Cache(3, 2, 8, 1024, 1), Cache(3, 3, 16, 32768, SHARING)];

/// Bits that hold numbers below `count`.
fn bits(count: u32) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}

impl Cpu {
    /// XCR0: zero without XSAVE.
    pub fn xcr0(&self) -> u64 {
        // Asked at every signal: no search for names.
        const OSXSAVE: usize = features::row("osxsave");
        const AVX: usize = features::row("avx");
        match (self.features.has_row(OSXSAVE), self.features.has_row(AVX)) {
            (false, _) => 0,
            (true, false) => XCR0_X87 | XCR0_SSE,
            (true, true) => XCR0_X87 | XCR0_SSE | XCR0_AVX,
        }
    }

    /// Bytes of an XSAVE area with all state that XCR0 has; of FXSAVE's alone without XSAVE.
    pub fn xsave_size(&self) -> u64 {
        match self.xcr0() {
            0 => 512,
            x if x & XCR0_AVX == 0 => XSAVE_LEGACY,
            _ => XSAVE_LEGACY + XSAVE_AVX,
        }
    }

    fn vendor(&self) -> [u32; 3] {
        // In the order of EBX, ECX, EDX.
        let word = |s: &[u8; 4]| u32::from_le_bytes(*s);
        match self.model.vendor {
            Vendor::Amd => [word(b"Auth"), word(b"cAMD"), word(b"enti")],
            Vendor::Intel => [word(b"Genu"), word(b"ntel"), word(b"ineI")],
        }
    }

    /// Family, model and stepping as leaf 1's EAX has them.
    fn signature(&self) -> u32 {
        let (family, model, stepping) = self.model.signature;
        family.min(15) << 8 | family.saturating_sub(15) << 20 | (model & 15) << 4 | (model >> 4) << 16 | stepping
    }

    fn brand(&self, part: u32) -> [u32; 4] {
        std::array::from_fn(|word| {
            let byte = |i: usize| self.model.brand.as_bytes().get(16 * part as usize + 4 * word + i).copied().unwrap_or(0);
            u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
        })
    }

    /// The bits that features set in a register.
    pub fn feature_bits(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let mut out = [0; 4];
        for f in self.features.iter().filter(|f| f.leaf == leaf && f.subleaf == subleaf && leaf != LINUX) {
            out[f.register as usize] |= 1 << f.bit;
        }
        out
    }

    /// EAX, EBX, ECX and EDX for a leaf (EAX) and subleaf (ECX). Leaves that do not exist are zero.
    pub fn cpuid(&self, leaf: u32, subleaf: u32, place: Place) -> [u32; 4] {
        let amd = self.model.vendor == Vendor::Amd;
        let vendor = self.vendor();
        let count = place.count.max(1);
        let subleaf = if matches!(leaf, 4 | 7 | 0xb | 0xd | 0x8000_001d) { subleaf } else { 0 };
        let cache = |n: u32| match CACHES.get(n as usize) {
            None => [0; 4],
            Some(Cache(kind, level, ways, sets, sharing)) => {
                // Intel has the number of cores' ids beside it.
                let shared = (count.min(*sharing) - 1) << 14 | if amd { 0 } else { ((1 << bits(count)) - 1) << 26 };
                [kind | level << 5 | 1 << 8 | shared, (ways - 1) << 22 | 63, sets - 1, 0]
            }
        };
        let fixed = match (leaf, subleaf) {
            (0, _) => [0xd, vendor[0], vendor[1], vendor[2]],
            // Lines of 64 bytes for CLFLUSH.
            (1, _) => [self.signature(), (place.index & 0xff) << 24 | count.min(255) << 16 | 8 << 8, 0, 0],
            // Descriptors: "see leaf 4", prefetch of 64 bytes.
            (2, _) if !amd => [0x00ff_f001, 0, 0, 0],
            (4, n) if !amd => cache(n),
            (0xb, 0) => [0, 1, 0x100, place.index],
            (0xb, 1) => [bits(count), count, 0x201, place.index],
            // Beyond the last level the subleaf is still echoed.
            (0xb, n) => [0, 0, n & 0xff, place.index],
            (0xd, 0) if self.xcr0() != 0 => [self.xcr0() as u32, self.xsave_size() as u32, self.xsave_size() as u32, 0],
            (0xd, 1) if self.features.has("xsavec") => [0, self.xsave_size() as u32, 0, 0],
            (0xd, 2) if self.xcr0() & XCR0_AVX != 0 => [XSAVE_AVX as u32, XSAVE_LEGACY as u32, 0, 0],
            (0x8000_0000, _) if amd => [0x8000_001e, vendor[0], vendor[1], vendor[2]],
            (0x8000_0000, _) => [0x8000_0008, 0, 0, 0],
            (0x8000_0001, _) if amd => [self.signature(), 0, 0, self.feature_bits(1, 0)[Edx as usize] & MIRRORED],
            (0x8000_0002..=0x8000_0004, _) => self.brand(leaf - 0x8000_0002),
            // Old forms of the caches above: size, ways, lines a tag, bytes a line.
            (0x8000_0005, _) if amd => [0, 0, 0x2008_0140, 0x2008_0140],
            (0x8000_0006, _) if amd => [0, 0, 0x0200_6140, 0x0100_8140],
            (0x8000_0006, _) => [0, 0, 0x0200_6040, 0],
            // 48 bits of physical and linear address; AMD: cores less one, and the bits of their ids.
            (0x8000_0008, _) => [0x3030, 0, if amd { bits(count) << 12 | (count - 1).min(255) } else { 0 }, 0],
            (0x8000_001d, n) if amd => cache(n),
            // One thread a core.
            (0x8000_001e, _) if amd => [place.index, place.index & 0xff, 0, 0],
            _ => [0; 4],
        };
        let mut out = fixed;
        for (out, bits) in out.iter_mut().zip(self.feature_bits(leaf, subleaf)) {
            *out |= bits;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Place = Place { index: 0, count: 1 };

    fn named(text: &str) -> Cpu {
        let (model, features) = models::parse(text).unwrap();
        Cpu { model, features }
    }

    #[test]
    fn answers() {
        let cpu = named("max");
        let ask = |leaf, subleaf| cpu.cpuid(leaf, subleaf, FIRST);
        assert_eq!(ask(0, 7)[1], 0x6874_7541);
        assert_eq!(ask(1, 0)[2] >> 31, 0, "no hypervisor");
        assert_eq!(ask(1, 0)[3], 0x178b_fbff, "what Linux shows as AT_HWCAP");
        assert_eq!(ask(1, 0)[0], 0x00a0_0f11, "family 25, model 1, stepping 1");
        assert_eq!(ask(0x8000_0002, 0)[0], u32::from_le_bytes(*b"xemu"));
        assert_eq!(ask(0x4000_0000, 0), [0; 4]);
        assert_eq!(ask(7, 1), [0; 4]);
        assert_eq!(ask(0xd, 0), [7, 832, 832, 0]);
        assert_eq!(ask(0xd, 1), [7, 832, 0, 0]);
        assert_eq!(ask(0xd, 2), [256, 576, 0, 0]);
        assert_eq!(ask(0xd, 3), [0; 4]);
        assert_eq!(ask(0x8000_001d, 4), [0; 4]);
        assert_eq!(ask(0xb, 5), [0, 0, 5, 0]);
    }

    #[test]
    fn levels_are_what_glibc_wants() {
        // sysdeps/x86/isa-level.h and dl-hwcaps: the bits of x86-64-v2 and -v3.
        let v2 = named("v2").cpuid(1, 0, FIRST)[2];
        let wanted = 1 << 13 | 1 << 23 | 1 | 1 << 9 | 1 << 19 | 1 << 20;
        assert_eq!(v2 & wanted, wanted);
        let v3 = named("v3");
        let wanted = wanted | 1 << 12 | 1 << 22 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 29;
        assert_eq!(v3.cpuid(1, 0, FIRST)[2] & wanted, wanted);
        assert_eq!(v3.cpuid(7, 0, FIRST)[1] & 0x128, 0x128);
        assert_eq!(v3.cpuid(0x8000_0001, 0, FIRST)[2] & 0x21, 0x21);
        assert_eq!(v3.xcr0(), 7);
        assert_eq!(named("max,-avx").xcr0(), 3);
        assert_eq!(named("max,-xsave").xcr0(), 0);
    }

    #[test]
    fn places() {
        let cpu = named("max");
        let place = Place { index: 5, count: 12 };
        assert_eq!(cpu.cpuid(1, 0, place)[1], 5 << 24 | 12 << 16 | 0x800);
        assert_eq!(cpu.cpuid(0xb, 1, place), [4, 12, 0x201, 5]);
        assert_eq!(cpu.cpuid(0x8000_0008, 0, place)[2], 4 << 12 | 11);
        assert_eq!(cpu.cpuid(0x8000_001d, 3, place)[0] >> 14, 7);
    }

    #[test]
    fn intel() {
        let cpu = named("Haswell");
        assert_eq!(cpu.cpuid(0, 0, FIRST)[1], u32::from_le_bytes(*b"Genu"));
        assert_eq!(cpu.cpuid(1, 0, FIRST)[0], 0x306c4);
        assert_eq!(cpu.cpuid(4, 3, FIRST)[2], 32767);
        assert_eq!(cpu.cpuid(0x8000_001d, 0, FIRST), [0; 4]);
    }
}
