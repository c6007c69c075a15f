//! Which optional features the processor has, and what xemu does with each, or without it: a row each.

use super::machine::Machine;
use super::{Finding, Level};
use crate::emit::Features;

struct Row {
    name: &'static str,
    has: fn(&Features) -> bool,
    with: &'static str,
    without: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        name: "FEAT_LSE",
        has: |f| f.lse,
        with: "atomic instructions are one instruction each",
        without: "atomic instructions are loops of exclusive loads and stores, slow where many threads meet",
    },
    Row {
        name: "FEAT_LRCPC",
        has: |f| f.lrcpc,
        with: "loads of threaded programs are LDAPR",
        without: "loads of threaded programs are LDAR, which order more than x86 asks for",
    },
    Row {
        name: "FEAT_LRCPC2",
        has: |f| f.lrcpc2,
        with: "ordered loads and stores take an offset",
        without: "addresses of ordered loads and stores are computed first",
    },
    Row {
        name: "FEAT_LSE2",
        has: |f| f.lse2,
        with: "misaligned ordered accesses within 16 bytes just work",
        without: "misaligned ordered accesses trap once, then their code is replaced by barriers",
    },
    Row {
        name: "FEAT_FlagM",
        has: |f| f.flagm,
        with: "the carry is inverted in one instruction",
        without: "the carry is inverted in three instructions",
    },
    Row {
        name: "FEAT_FlagM2",
        has: |f| f.flagm2,
        with: "results of floating-point comparisons are converted in one instruction",
        without: "results of floating-point comparisons are converted by a sequence",
    },
    Row {
        name: "FEAT_AFP",
        has: |f| f.afp,
        with: "NaNs come out as x86 makes them",
        without: "which NaN comes out is looked at after each operation: three to four instructions",
    },
    Row { name: "FEAT_FRINTTS", has: |f| f.frintts, with: "rounding to integers in range is one instruction", without: "rounding checks its range" },
    Row { name: "FEAT_AES", has: |f| f.aes, with: "AES instructions run on the processor's own", without: "AES instructions are computed by a function" },
    Row { name: "FEAT_PMULL", has: |f| f.pmull, with: "PCLMULQDQ is one instruction", without: "PCLMULQDQ is computed by a function" },
    Row { name: "FEAT_SHA1", has: |f| f.sha1, with: "SHA-1 runs on the processor's own", without: "SHA-1 is computed by a function" },
    Row { name: "FEAT_SHA256", has: |f| f.sha256, with: "SHA-256 runs on the processor's own", without: "SHA-256 is computed by a function" },
    Row { name: "FEAT_CRC32", has: |f| f.crc32, with: "CRC32 is one instruction", without: "CRC32 is computed by a function" },
];

/// The check: nothing here is wrong, some of it is slow.
pub fn check(machine: &Machine) -> Finding {
    let features = Features::from_hwcap(machine.hwcap.0, machine.hwcap.1);
    let missing: Vec<&str> = ROWS.iter().filter(|r| !(r.has)(&features)).map(|r| r.name).collect();
    let what = match missing.as_slice() {
        [] => "all that xemu has a use for".to_string(),
        _ => format!("{} of {} that xemu has a use for; without {}", ROWS.len() - missing.len(), ROWS.len(), missing.join(", ")),
    };
    let level = if features.lse { Level::Ok } else { Level::Note };
    let line = |r: &Row| if (r.has)(&features) { format!("{}: {}", r.name, r.with) } else { format!("no {}: {}", r.name, r.without) };
    Finding { details: ROWS.iter().map(line).collect(), ..Finding::new(level, what, "") }
}

#[test]
fn every_feature_has_its_row() {
    let all = Features::parse("lse,lrcpc,lrcpc2,lse2,flagm,flagm2,afp,frintts,aes,pmull,sha1,sha256,crc32").unwrap();
    assert!(ROWS.iter().all(|r| (r.has)(&all) && !(r.has)(&Features::NONE)));
    assert_eq!(ROWS.len(), format!("{all:?}").matches("true").count());
}
