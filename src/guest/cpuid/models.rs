//! The processors that can be shown to a program: levels of x86-64, and models by the names that QEMU gives them.
//!
//! A model has the features of the one that it is built on and those that it adds, as far as xemu has them: AVX-512, TSX and virtualisation are in
//! none. What a model does not offer is masked in CPUID alone, as on a processor whose hypervisor masks it: the instruction still runs. The exception
//! are XSAVE and everything that needs AVX state: these fault (#UD) where XCR0 does not have it, as on a processor.

use super::features::{FEATURES, FeatureSet, Level, UNNAMED};
use std::fmt::Write;

/// Who made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Their names.
pub enum Vendor {
    Amd,
    Intel,
}

/// What a model's features begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Level(Level),
    Model(&'static str),
    All,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Name as typed.
    pub name: &'static str,
    /// Vendor.
    pub vendor: Vendor,
    /// Family, model and stepping, as /proc/cpuinfo shows them.
    pub signature: (u32, u32, u32),
    /// Brand string.
    pub brand: &'static str,
    from: From,
    /// Separated by blanks.
    adds: &'static str,
}

const fn level(name: &'static str, level: Level) -> Model {
    Model { name, vendor: Vendor::Amd, signature: MILAN, brand: BRAND, from: From::Level(level), adds: "rdtscp" }
}
const fn intel(name: &'static str, model: u32, stepping: u32, brand: &'static str, from: &'static str, adds: &'static str) -> Model {
    Model { name, vendor: Vendor::Intel, signature: (6, model, stepping), brand, from: From::Model(from), adds }
}
const fn amd(name: &'static str, signature: (u32, u32, u32), brand: &'static str, from: &'static str, adds: &'static str) -> Model {
    Model { name, vendor: Vendor::Amd, signature, brand, from: From::Model(from), adds }
}

/// Zen 3: the newest processor without AVX-512. Code made for a Zen 4 by its family and model would take that for granted.
const MILAN: (u32, u32, u32) = (25, 1, 1);
const BRAND: &str = "xemu virtual CPU";

/// The processor that is shown where none is chosen, as the option would name it. With ERMS glibc copies by REP MOVSB, which takes twice as many host
/// instructions as its AVX loops here (2500 bytes: 919 against 467; in ordered mode 1405 against 655).
pub const DEFAULT: &str = "max,-erms";

/// All models. Signatures and features are those of QEMU (target/i386/cpu.c).
pub const MODELS: &[Model] = &[
    Model { name: "max", vendor: Vendor::Amd, signature: MILAN, brand: BRAND, from: From::All, adds: "" },
    level("v1", Level::Base),
    level("v2", Level::V2),
    level("v3", Level::V3),
    Model { name: "qemu64", vendor: Vendor::Amd, signature: (15, 107, 1), brand: "QEMU Virtual CPU version 2.5+", from: From::Level(Level::Base), adds: "pni cx16 lahf_lm" },
    intel("kvm64", 6, 1, "Common KVM processor", "v1", "pni cx16 lahf_lm"),
    intel("Conroe", 15, 3, "Intel Celeron_4x0 (Conroe/Merom Class Core 2)", "v1", "pni ssse3 lahf_lm"),
    intel("Penryn", 23, 3, "Intel Core 2 Duo P9xxx (Penryn Class Core 2)", "Conroe", "cx16 sse4_1"),
    intel("Nehalem", 26, 3, "Intel Core i7 9xx (Nehalem Class Core i7)", "Penryn", "sse4_2 popcnt"),
    intel("Westmere", 44, 1, "Westmere E56xx/L56xx/X56xx (Nehalem-C)", "Nehalem", "aes pclmulqdq"),
    intel("SandyBridge", 42, 1, "Intel Xeon E312xx (Sandy Bridge)", "Westmere", "avx xsaveopt rdtscp"),
    intel("IvyBridge", 58, 9, "Intel Xeon E3-12xx v2 (Ivy Bridge)", "SandyBridge", "f16c rdrand fsgsbase erms"),
    intel("Haswell", 60, 4, "Intel Core Processor (Haswell)", "IvyBridge", "avx2 fma bmi1 bmi2 movbe abm"),
    intel("Broadwell", 61, 2, "Intel Core Processor (Broadwell)", "Haswell", "adx rdseed 3dnowprefetch"),
    intel("Skylake-Client", 94, 3, "Intel Core Processor (Skylake)", "Broadwell", "xsavec xgetbv1"),
    intel("Skylake-Server", 85, 4, "Intel Xeon Processor (Skylake)", "Skylake-Client", "pdpe1gb clwb clflushopt"),
    intel("Cascadelake-Server", 85, 6, "Intel Xeon Processor (Cascadelake)", "Skylake-Server", ""),
    intel("Icelake-Server", 106, 0, "Intel Xeon Processor (Icelake)", "Skylake-Server", "sha_ni gfni vaes vpclmulqdq rdpid umip fsrm"),
    intel("SapphireRapids", 143, 4, "Intel Xeon Processor (SapphireRapids)", "Icelake-Server", ""),
    amd("Opteron_G1", (15, 6, 1), "AMD Opteron 240 (Gen 1 Class Opteron)", "v1", "pni"),
    amd("Opteron_G3", (16, 2, 3), "AMD Opteron 23xx (Gen 3 Class Opteron)", "Opteron_G1", "cx16 popcnt abm misalignsse lahf_lm rdtscp"),
    amd("phenom", (16, 2, 3), "AMD Phenom(tm) 9550 Quad-Core Processor", "Opteron_G1", "cx16 popcnt abm misalignsse lahf_lm rdtscp mmxext pdpe1gb"),
    amd("EPYC", (23, 1, 2), "AMD EPYC Processor", "v3", "aes pclmulqdq sha_ni adx rdrand rdseed fsgsbase rdtscp mmxext pdpe1gb misalignsse 3dnowprefetch \
        cmp_legacy topoext clflushopt xsaveopt xsavec xgetbv1"),
    amd("EPYC-Rome", (23, 49, 0), "AMD EPYC-Rome Processor", "EPYC", "clwb rdpid umip xsaveerptr"),
    amd("EPYC-Milan", MILAN, "AMD EPYC-Milan Processor", "EPYC-Rome", "vaes vpclmulqdq erms fsrm"),
    amd("EPYC-Genoa", (25, 17, 0), "AMD EPYC-Genoa Processor", "EPYC-Milan", "gfni"),
];

/// Names that are others'.
const ALIASES: &[(&str, &str)] = &[("host", "max"), ("base", "v1"), ("x86-64", "v1"), ("x86-64-v1", "v1"), ("x86-64-v2", "v2"), ("x86-64-v3", "v3"), ("core2duo", "Penryn")];

/// QEMU's versions and variants of a model, which differ in what xemu does not show.
const VARIANTS: &[&str] = &["-v1", "-v2", "-v3", "-v4", "-v5", "-v6", "-v7", "-IBRS", "-IBPB", "-noTSX"];

impl Model {
    /// Its features.
    pub fn features(&self) -> FeatureSet {
        let base = match self.from {
            From::All => FeatureSet::ALL,
            From::Level(level) => FeatureSet::of_level(level),
            From::Model(name) => find(name).map_or(FeatureSet::default(), Model::features),
        };
        self.adds.split_whitespace().fold(base, |set, name| set.with(name).unwrap_or(set))
    }
}

fn find(name: &str) -> Option<&'static Model> {
    let name = ALIASES.iter().find(|a| a.0.eq_ignore_ascii_case(name)).map_or(name, |a| a.1);
    if let Some(model) = MODELS.iter().find(|m| m.name.eq_ignore_ascii_case(name)) {
        return Some(model);
    }
    VARIANTS.iter().find_map(|v| find(name.strip_suffix(v)?))
}

/// `MODEL,+FEATURE,-FEATURE,...`, as QEMU's -cpu has it (`FEATURE=on` and `=off` too). The model may be missing: the default's.
pub fn parse(text: &str) -> Result<(&'static Model, FeatureSet), String> {
    let mut items = text.split(',').filter(|i| !i.is_empty()).peekable();
    let change = |item: &str| item.starts_with(['+', '-']) || item.contains('=');
    let (model, mut set) = match items.peek() {
        Some(name) if !change(name) => {
            let model = find(name).ok_or_else(|| format!("there is no processor model '{name}' (-cpu help lists them)"))?;
            items.next();
            (model, model.features())
        }
        _ => parse(DEFAULT)?,
    };
    for item in items {
        let (on, name) = match (item.strip_prefix('+'), item.strip_prefix('-'), item.split_once('=')) {
            (Some(name), ..) => (true, name),
            (_, Some(name), _) => (false, name),
            (.., Some((name, value))) => (value == "on", name),
            _ => return Err(format!("'{item}' is not +FEATURE or -FEATURE")),
        };
        match if on { set.with(name) } else { set.without(name) } {
            Some(changed) => set = changed,
            // What xemu never shows is off already.
            None if !on => {}
            None => return Err(format!("there is no feature '{name}' (-cpu help lists them)")),
        }
    }
    Ok((model, set))
}

/// What `-cpu help` prints.
pub fn help() -> String {
    let mut s = format!("Processors to be shown, MODEL[,+FEATURE][,-FEATURE]...; without any: {DEFAULT}\n\n");
    for m in MODELS {
        let (family, model, stepping) = m.signature;
        let from = match m.from {
            From::All => "every feature below".into(),
            From::Level(Level::Base) => "x86-64".into(),
            From::Level(level) => format!("x86-64-{}", if level == Level::V2 { "v2" } else { "v3" }),
            From::Model(name) => name.to_string(),
        };
        let plus: String = m.adds.split_whitespace().map(|f| format!(" +{f}")).collect();
        let _ = writeln!(s, "  {:<19} {:<46} {:<10} {from}{plus}", m.name, m.brand, format!("{family}/{model}/{stepping}"));
    }
    s += "\nFeatures, by the level that has them:\n";
    for (level, name) in [(Level::Base, "v1"), (Level::V2, "v2"), (Level::V3, "v3"), (Level::Extra, "more")] {
        let names: Vec<&str> = FEATURES.iter().filter(|f| f.level == level && !UNNAMED.contains(&f.name)).map(|f| f.name).collect();
        let _ = writeln!(s, "  {name:<5} {}", names.join(" "));
    }
    s += "\nA feature that is taken away is not shown any more; its instructions still run, except those of XSAVE and AVX.\n\
          docs/isa.md lists every instruction: translated, or not offered and why.\n";
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models() {
        for m in MODELS {
            for name in m.adds.split_whitespace() {
                assert!(FeatureSet::default().with(name).is_some(), "{}: {name}", m.name);
            }
            if let From::Model(name) = m.from {
                assert!(find(name).is_some(), "{}: {name}", m.name);
            }
            assert!(m.brand.len() < 48);
        }
        assert!(parse(DEFAULT).is_ok());
        assert_eq!(find("haswell-noTSX-IBRS").unwrap().name, "Haswell");
        assert_eq!(find("EPYC-Rome-v4").unwrap().name, "EPYC-Rome");
        assert_eq!(find("x86-64-v3").unwrap().name, "v3");
        assert!(find("neoverse-n1").is_none());
    }

    #[test]
    fn lists() {
        let set = |text: &str| parse(text).unwrap().1;
        assert!(set("Nehalem").has("sse4.2") && !set("Nehalem").has("aes"));
        assert!(set("Nehalem,+aes").has("aes"));
        assert!(!set("Haswell,-avx").has("avx2") && set("Haswell,-avx").has("bmi2"));
        assert!(!set("Haswell,avx=off").has("avx2"));
        assert!(set("v1,avx=on").has("osxsave"));
        assert!(!set("-aes").has("aes"), "the default's");
        assert!(parse("max,-avx512f").is_ok() && parse("max,+avx512f").is_err() && parse("z80").is_err());
    }

    #[test]
    fn levels_grow() {
        let [one, two, three] = ["v1", "v2", "v3"].map(|m| parse(m).unwrap().1);
        assert!(one.has("sse2") && !one.has("ssse3") && two.has("popcnt") && !two.has("avx"));
        for f in ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "osxsave"] {
            assert!(three.has(f), "{f}");
        }
    }
}
