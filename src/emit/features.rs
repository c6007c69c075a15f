//! What the host processor offers, as far as emitted code depends on it.

/// Optional AArch64 features. Emitted code is a function of these, so golden tests name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)] // The names are the Arm ARM's FEAT_ names.
pub struct Features {
    pub lse: bool,
    pub lrcpc: bool,
    pub lrcpc2: bool,
    pub lrcpc3: bool,
    /// Not a feature of the processor alone: this process's plain accesses are in x86's order, by the kernel.
    pub tso: bool,
    pub lse2: bool,
    pub flagm: bool,
    pub flagm2: bool,
    pub afp: bool,
    pub frintts: bool,
    pub aes: bool,
    pub pmull: bool,
    pub sha1: bool,
    pub sha256: bool,
    pub crc32: bool,
}

/// Parts of Arm whose LDAPUR may not order (erratum 3877900 and its kin): Neoverse V2, V3, V3AE, Cortex-X3, X4, X925, C1-Ultra, C1-Pro, C1-Premium;
/// the numbers are those of Linux's arch/arm64/include/asm/cputype.h.
const LDAPUR_ERRATUM: [u64; 9] = [0xd4f, 0xd84, 0xd83, 0xd4e, 0xd82, 0xd85, 0xd8c, 0xd8b, 0xd90];

impl Features {
    /// Armv8.0 without options.
    pub const NONE: Features = Features {
        lse: false,
        lrcpc: false,
        lrcpc2: false,
        lrcpc3: false,
        tso: false,
        lse2: false,
        flagm: false,
        flagm2: false,
        afp: false,
        frintts: false,
        aes: false,
        pmull: false,
        sha1: false,
        sha256: false,
        crc32: false,
    };
    /// Neoverse N1: the reference of golden files and benchmarks.
    pub const NEOVERSE_N1: Features =
        Features { lse: true, lrcpc: true, aes: true, pmull: true, sha1: true, sha256: true, crc32: true, ..Features::NONE };

    /// From the kernel's AT_HWCAP and AT_HWCAP2 (arch/arm64/include/uapi/asm/hwcap.h).
    pub fn from_hwcap(hwcap: u64, hwcap2: u64) -> Features {
        let has = |bit: u32| hwcap >> bit & 1 != 0;
        let has2 = |bit: u32| hwcap2 >> bit & 1 != 0;
        Features {
            lse: has(8),
            lrcpc: has(15),
            lrcpc2: has(26),
            lrcpc3: has2(46),
            tso: false,
            lse2: has(25),
            flagm: has(27),
            flagm2: has2(7),
            afp: has2(20),
            frintts: has2(8),
            aes: has(3),
            pmull: has(4),
            sha1: has(5),
            sha256: has(6),
            crc32: has(7),
        }
    }

    /// Without what errata of any of these processors (MIDR_EL1) spoil: LDAPUR and STLUR on those of [`LDAPUR_ERRATUM`].
    pub fn without_errata(self, midrs: &[u64]) -> Features {
        // Implementer 0x41 is Arm; bits 4 to 15 are the part.
        let affected = |midr: &u64| midr >> 24 & 0xff == 0x41 && LDAPUR_ERRATUM.contains(&(midr >> 4 & 0xfff));
        if midrs.iter().any(affected) { Features { lrcpc2: false, lrcpc3: false, ..self } } else { self }
    }

    /// From a comma-separated list of lower-case names, for tests (`--host-features`).
    pub fn parse(list: &str) -> Result<Features, String> {
        let mut f = Features::NONE;
        for name in list.split(',').filter(|n| !n.is_empty()) {
            let field = match name {
                "lse" => &mut f.lse,
                "lrcpc" => &mut f.lrcpc,
                "lrcpc2" => &mut f.lrcpc2,
                "lrcpc3" => &mut f.lrcpc3,
                "tso" => &mut f.tso,
                "lse2" => &mut f.lse2,
                "flagm" => &mut f.flagm,
                "flagm2" => &mut f.flagm2,
                "afp" => &mut f.afp,
                "frintts" => &mut f.frintts,
                "aes" => &mut f.aes,
                "pmull" => &mut f.pmull,
                "sha1" => &mut f.sha1,
                "sha256" => &mut f.sha256,
                "crc32" => &mut f.crc32,
                "neoverse-n1" => {
                    f = Features::NEOVERSE_N1;
                    continue;
                }
                _ => return Err(format!("unknown host feature '{name}'")),
            };
            *field = true;
        }
        Ok(f)
    }
}

#[test]
fn errata_take_features_away() {
    let all = Features::parse("lse,lrcpc,lrcpc2,lrcpc3").expect("names");
    assert_eq!(all.without_errata(&[0x410f_d490, 0x410f_d4f1]), Features::parse("lse,lrcpc").expect("names"));
    assert_eq!(all.without_errata(&[0x410f_d490, 0x610f_d4f1]), all);
}
