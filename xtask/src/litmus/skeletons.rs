//! Where skeletons come from: diy7's cycles, and the named tests of `fixtures/litmus`.

use super::herd::Herd;
use super::program::Test;
use crate::{Result, project};
use std::fs;

/// A run of diy7.
struct Family {
    prefix: &'static str,
    args: &'static [&'static str],
    /// One of so many is used.
    every: usize,
}

/// Every way of ordering two accesses that herd's x86 knows.
const EDGES: &str = "Rfe,Fre,Coe,Pod**,MFenced**,A,Na";

const FAMILIES: &[Family] = &[
    // Critical cycles of four edges: two threads.
    Family { prefix: "l.", args: &["-size", "4", "-nprocs", "2", "-safe", EDGES], every: 1 },
    Family { prefix: "b.", args: &["-size", "4", "-nprocs", "2", "-type", "uint8_t", "-safe", EDGES], every: 1 },
    Family { prefix: "w.", args: &["-size", "4", "-nprocs", "2", "-type", "uint16_t", "-safe", EDGES], every: 1 },
    Family { prefix: "q.", args: &["-size", "4", "-nprocs", "2", "-type", "uint64_t", "-safe", EDGES], every: 1 },
    // Accesses of different sizes at different places of a variable.
    Family { prefix: "m.", args: &["-size", "4", "-nprocs", "2", "-variant", "Mixed", "-safe", "Rfe,Fre,Coe,Pod**,MFenced**,w0,h2,h0"], every: 3 },
    // Three and four threads.
    Family { prefix: "t.", args: &["-size", "6", "-nprocs", "4", "-safe", "Rfe,Fre,Coe,Pod**,MFenced**"], every: 1 },
    Family { prefix: "tq.", args: &["-size", "6", "-nprocs", "4", "-type", "uint64_t", "-safe", "Rfe,Fre,Coe,Pod**,MFenced**"], every: 1 },
    // Threads that see their own stores.
    Family { prefix: "i.", args: &["-size", "6", "-nprocs", "2", "-safe", "Rfe,Fre,Coe,Pod**,Rfi,Fri,Wsi,Pos**"], every: 1 },
    Family { prefix: "iq.", args: &["-size", "6", "-nprocs", "2", "-type", "uint64_t", "-safe", "Rfe,Fre,Coe,Pod**,Rfi,Fri,Wsi,Pos**"], every: 1 },
];

/// All skeletons, the named ones first.
pub fn all(herd: &Herd) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    let folder = project::root().join("fixtures/litmus");
    let mut files: Vec<_> = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "litmus")).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        tests.push(Test::parse(&text, "n.").map_err(|e| format!("{}: {e}", file.display()))?);
    }
    for family in FAMILIES {
        let texts = herd.generate(&project::target("litmus").join("diy"), family.args)?;
        for text in texts.iter().step_by(family.every) {
            let test = Test::parse(text, family.prefix)?;
            // Cycles over one variable alone come several times.
            tests.push(test);
        }
    }
    Ok(tests)
}
