//! `docs/isa.md`: every instruction of 64-bit mode that the decoder knows, and what becomes of it. Made by a test, from the tables.

use super::tests::{BASE, encodings};
use super::{Options, offered, system, table, translate};
use crate::decode::{Code, CodeAt, CpuidFeature, Limits, Mnemonic, decode_one, decode_region};
use crate::emit::regs::{LINK, STATE};
use crate::emit::stubs::Stub;
use crate::emit::{Asm, Features, Mem, Order, Width};
use crate::guest::cpuid::features::{FeatureSet, find};
use crate::guest::{Addr, CpuState};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::mem::offset_of;

/// Extensions that psABI levels name (table 3.1), and cryptography; what is in none was there before them or belongs to no level.
const LEVELS: &[(&str, &[CpuidFeature])] = {
    use CpuidFeature::*;
    &[
        ("v2", &[CMPXCHG16B, POPCNT, SSE3, SSE4_1, SSE4_2, SSSE3]),
        ("v3", &[AVX, AVX2, BMI1, BMI2, F16C, FMA, LZCNT, MOVBE, XSAVE]),
        ("crypto", &[AES, PCLMULQDQ, SHA, VAES, VPCLMULQDQ, GFNI]),
        ("extra", &[ADX, RDRAND, RDSEED, RDPID, RDTSCP, FSGSBASE, CLFLUSHOPT, CLWB, XSAVEOPT, XSAVEC, PREFETCHW, PREFETCHWT1, CLDEMOTE]),
    ]
};

fn level(features: &[CpuidFeature]) -> &'static str {
    // The last one that any of them needs.
    LEVELS.iter().rev().find(|l| l.1.iter().any(|f| features.contains(f))).map_or("base", |l| l.0)
}

/// Mnemonics whose translation may call a helper.
fn with_helper() -> BTreeSet<Mnemonic> {
    let mut a = Asm::new(Features::NEOVERSE_N1);
    let stub = (offset_of!(CpuState, stub) + 8 * Stub::Helper as usize) as i64;
    a.load(Width::X, LINK, Mem::Off(STATE, stub), Order::Plain);
    let call: [u8; 4] = a.finish().bytes[..4].try_into().unwrap();
    let options = Options { features: Features::NEOVERSE_N1, ..Options::default() };
    let mut found = BTreeSet::new();
    encodings(|bytes| {
        let Some(insn) = decode_one(bytes, Addr(BASE)).filter(|i| table::handler(i).is_some()) else { return };
        if !found.contains(&insn.mnemonic()) {
            let region = decode_region(&CodeAt(Addr(BASE), bytes), Addr(BASE), Limits { insns: 1, segments: 1, ..Limits::default() });
            if translate(&region, &options).code.chunks(4).any(|w| w == call) {
                found.insert(insn.mnemonic());
            }
        }
    });
    found
}

/// State of each form: extension, level, state, mnemonics.
fn rows() -> BTreeMap<(String, &'static str, String), BTreeSet<String>> {
    let helper = with_helper();
    let mut rows: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for code in Code::values() {
        let op = code.op_code();
        if !op.is_instruction() || !op.mode64() || op.fwait() {
            continue;
        }
        let (mnemonic, features) = (code.mnemonic(), code.cpuid_features());
        let handler = table::by_mnemonic(mnemonic).filter(|_| offered::reason(mnemonic, features).is_none());
        let state = match handler {
            Some(f) if system::raises_gp(f) => "faults (#GP), as in user mode".into(),
            Some(_) if helper.contains(&mnemonic) => "translated, with a helper".into(),
            Some(_) => "translated".into(),
            None => format!("not offered: {}", offered::reason(mnemonic, features).unwrap_or("NO REASON IS DECLARED")),
        };
        let level = if handler.is_some() { level(features) } else { "-" };
        let names: Vec<String> = features.iter().map(|f| format!("{f:?}")).collect();
        rows.entry((names.join(" "), level, state)).or_default().insert(format!("{mnemonic:?}").to_uppercase());
    }
    rows
}

fn markdown() -> String {
    let mut out = String::from(
        "# Instructions\n\nMade from the tables in `src/translate` by a test; `BLESS=1 cargo test --lib translate::isa` writes it anew. It has every instruction of 64-bit mode that the decoder \
         knows, by what CPUID calls its extension.\n\n\
         *level*: base is x86-64, v2 and v3 are the psABI's levels; `xemu -cpu help` lists the processors that can be shown, which have all of it by default. *translated*: to code in place. \
         *with a helper*: some or all forms call a function of xemu. *not offered*: CPUID does not show it, and it raises #UD (SIGILL); `XEMU_LOG=warn` says which instruction it was.\n\n\
         Features that `-cpu` takes away are not shown, but their instructions still run, as on a processor whose hypervisor masks them. XSAVE and AVX alone raise #UD then: XCR0 lacks their state.\n\n\
         A gap: CALL with a 16-bit operand size (prefix 66) pushes 8 bytes, and by a register or memory goes to 64 bits; an AMD processor pushes 2 and goes to 16.\n\n\
         | extension | level | state | instructions |\n| --- | --- | --- | --- |\n",
    );
    for ((features, level, state), names) in rows() {
        let names: Vec<String> = names.into_iter().collect();
        let _ = writeln!(out, "| {features} | {level} | {state} | {} |", names.join(" "));
    }
    out
}

#[test]
fn the_page_is_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/isa.md");
    let page = markdown();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let undeclared: Vec<&str> = page.lines().filter(|l| l.contains("NO REASON IS DECLARED")).collect();
    assert!(undeclared.is_empty(), "give these a reason in translate/offered.rs:\n{}", undeclared.join("\n"));
    assert!(std::fs::read_to_string(path).unwrap_or_default() == page, "run with BLESS=1 to write it anew");
}

/// What CPUID shows is there: every instruction of an offered extension has its row.
#[test]
fn what_is_shown_is_translated() {
    use CpuidFeature::*;
    let shown: &[(CpuidFeature, &str)] = &[
        (MMX, "mmx"), (SSE, "sse"), (SSE2, "sse2"), (SSE3, "pni"), (SSSE3, "ssse3"), (SSE4_1, "sse4_1"), (SSE4_2, "sse4_2"), (POPCNT, "popcnt"), (LZCNT, "abm"), (BMI1, "bmi1"), (BMI2, "bmi2"),
        (ADX, "adx"), (MOVBE, "movbe"), (AES, "aes"), (PCLMULQDQ, "pclmulqdq"), (SHA, "sha_ni"), (AVX, "avx"), (AVX2, "avx2"), (FMA, "fma"), (F16C, "f16c"), (VAES, "vaes"), (VPCLMULQDQ, "vpclmulqdq"),
        (GFNI, "gfni"), (XSAVE, "xsave"), (XSAVEOPT, "xsaveopt"), (XSAVEC, "xsavec"), (FXSR, "fxsr"), (RDRAND, "rdrand"), (RDSEED, "rdseed"), (RDPID, "rdpid"), (RDTSCP, "rdtscp"),
        (FSGSBASE, "fsgsbase"), (CLFLUSHOPT, "clflushopt"), (CLWB, "clwb"), (CMPXCHG16B, "cx16"),
    ];
    let mut missing = Vec::new();
    for &(feature, name) in shown {
        assert!(find(name).is_some_and(|row| FeatureSet::ALL.has_row(row)), "{name}");
        for code in Code::values().filter(|c| c.op_code().mode64() && c.cpuid_features().contains(&feature)) {
            let declared = offered::reason(code.mnemonic(), code.cpuid_features()).is_some();
            if !declared && table::by_mnemonic(code.mnemonic()).is_none() {
                missing.push(format!("{name}: {code:?}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
