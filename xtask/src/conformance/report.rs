//! The kept results, and docs/conformance.md made from them.

use super::Trio;
use crate::{Result, project};
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// Every test's results, by name.
pub struct Results {
    pub tests: BTreeMap<String, Trio>,
    /// How many tests the suite has; 0 before its first run.
    pub listed: usize,
}

const HEAD: &str = "\
# An outside system call suite beside its native result

Written by `cargo xtask conformance`: each test of the Linux Test Project's `runtest/syscalls` runs natively and under xemu on the same x86_64 machine and kernel, in namespaces of its own, as root with a few capabilities less. A result is the test's
end and how often it said TPASS, TFAIL, TBROK and TCONF. xemu itself runs under qemu-aarch64 there; where the same test built for ARM64 gives under qemu-aarch64 what the amd64 one gives under xemu, the difference counts as that emulator's. Every other difference has its reason in `tests/conformance.txt`.
";

/// Begins the line of the kept results that tells how many tests the suite has.
const LISTED: &str = "# listed\t";

/// A difference that the ARM64 build of the same test shows without xemu.
const HOSTS: &str = "the host emulator's: the ARM64 build of the test gives the same";

impl Results {
    /// What earlier runs left.
    pub fn load() -> Result<Self> {
        let dir = project::target("conformance");
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let text = fs::read_to_string(path()).unwrap_or_default();
        let row = |line: &str| {
            let mut cells = line.split('\t').map(str::to_string);
            Some((cells.next()?, Trio { native: cells.next()?, xemu: cells.next()?, arm64: cells.next().unwrap_or_default() }))
        };
        let listed = text.lines().find_map(|l| l.strip_prefix(LISTED)?.parse().ok()).unwrap_or(0);
        Ok(Self { tests: text.lines().filter(|l| !l.starts_with(LISTED)).filter_map(row).collect(), listed })
    }

    /// Keeps them for later runs.
    pub fn store(&self) -> Result<()> {
        let lines: String = self.tests.iter().map(|(name, t)| format!("{name}\t{}\t{}\t{}\n", t.native, t.xemu, t.arm64)).collect();
        fs::write(path(), format!("{LISTED}{}\n{lines}", self.listed)).map_err(|e| format!("{}: {e}", path().display()))
    }

    /// The tests that differ.
    pub fn differing(&self) -> impl Iterator<Item = (&String, &Trio)> {
        self.tests.iter().filter(|(_, trio)| trio.differs())
    }

    /// Writes docs/conformance.md; how many differences have no reason.
    pub fn write(&self) -> Result<usize> {
        let file = project::root().join("tests/conformance.txt");
        let reasons = Reasons::parse(&fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?)?;
        let (text, unexplained) = self.render(&reasons);
        let out = project::root().join("docs/conformance.md");
        fs::write(&out, text).map_err(|e| format!("{}: {e}", out.display()))?;
        Ok(unexplained)
    }

    fn render(&self, reasons: &Reasons) -> (String, usize) {
        let count = |f: &dyn Fn(&Trio) -> bool| self.tests.values().filter(|t| f(t)).count();
        let passes = |s: &str| s.starts_with("exit 0");
        let mut text = format!("{HEAD}\n| | tests |\n| --- | --- |\n");
        let explained = |(name, trio): &(&String, &Trio)| reasons.of(name, trio).is_some();
        let hosts = self.differing().filter(|(name, trio)| reasons.of(name, trio) == Some(HOSTS)).count();
        let all = self.differing().count();
        let unexplained = all - self.differing().filter(explained).count();
        for (what, number) in [
            ("in the suite's list", self.listed),
            ("run", self.tests.len()),
            ("pass natively", count(&|t| passes(&t.native))),
            ("pass under xemu", count(&|t| passes(&t.xemu))),
            ("same result", self.tests.len() - all),
            ("differ: the host emulator", hosts),
            ("differ: reason below", all - hosts - unexplained),
            ("differ: without a reason", unexplained),
        ] {
            writeln!(text, "| {what} | {number} |").expect("a String takes all");
        }
        text += "\n| test | natively | under xemu | ARM64 build | reason |\n| --- | --- | --- | --- | --- |\n";
        for (name, trio) in self.differing() {
            let reason = reasons.of(name, trio).unwrap_or("**none yet**");
            writeln!(text, "| {name} | {} | {} | {} | {reason} |", trio.native, trio.xemu, trio.arm64).expect("a String takes all");
        }
        (text, unexplained)
    }
}

/// `REGULAR EXPRESSION: reason` lines.
struct Reasons(Vec<(Regex, String)>);

impl Reasons {
    fn parse(text: &str) -> Result<Self> {
        let row = |line: &str| {
            let (names, reason) = line.split_once(": ").ok_or(format!("tests/conformance.txt: {line:?} has no reason"))?;
            Ok((Regex::new(&format!("^({names})$")).map_err(|e| e.to_string())?, reason.to_string()))
        };
        Ok(Self(text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()).map(row).collect::<Result<_>>()?))
    }

    /// Why this test differs. What the file says goes before what the ARM64 build shows: two failures can look the same by chance.
    fn of(&self, name: &str, trio: &Trio) -> Option<&str> {
        let row = self.0.iter().find(|r| r.0.is_match(name)).map(|r| r.1.as_str());
        row.or((trio.arm64 == trio.xemu).then_some(HOSTS))
    }
}

fn path() -> PathBuf {
    project::target("conformance").join("results.tsv")
}

#[test]
fn differences_without_a_reason_are_counted() {
    let trio = |native: &str, xemu: &str, arm64: &str| Trio { native: native.into(), xemu: xemu.into(), arm64: arm64.into() };
    let tests = [
        ("a01", trio("exit 0", "exit 0", "")),
        ("b01", trio("exit 0", "exit 1", "exit 1")),
        ("c01", trio("exit 0", "exit 2", "exit 0")),
        ("c02", trio("exit 0", "exit 2", "exit 0")),
    ];
    let results = Results { tests: tests.map(|(name, trio)| (name.to_string(), trio)).into(), listed: 9 };
    let (text, unexplained) = results.render(&Reasons::parse("# text\nc01|d.*: not yet\n").unwrap());
    assert_eq!(unexplained, 1);
    for row in [
        "| same result | 1 |",
        "| differ: the host emulator | 1 |",
        "| c01 | exit 0 | exit 2 | exit 0 | not yet |",
        "| c02 | exit 0 | exit 2 | exit 0 | **none yet** |",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
}
