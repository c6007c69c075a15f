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
    /// The tests of the suite's list whose programs are there.
    pub built: Vec<String>,
    /// Those whose programs are not.
    pub absent: Vec<String>,
}

const HEAD: &str = "\
# An outside system call suite beside its native result

Written by `cargo xtask conformance`: each test of the Linux Test Project's `runtest/syscalls` runs natively and under xemu on the same x86_64 machine and kernel, in namespaces of its own, as root with a few capabilities less, with a small ext4 file system for its files and a disk of its own. A result is the test's
end and how often it said TPASS, TFAIL, TBROK and TCONF. xemu itself runs under qemu-aarch64 there; where the same test built for ARM64 gives under qemu-aarch64 what the amd64 one gives under xemu, the difference counts as that emulator's. Every other difference has its reason in `tests/conformance.txt`.
";

/// Begin the lines of the kept results that tell which tests the suite has.
const BUILT: &str = "# built\t";
const ABSENT: &str = "# absent\t";

/// A difference that the ARM64 build of the same test shows without xemu.
const HOSTS: &str = "the host emulator's: the ARM64 build of the test gives the same";

/// What tests say (words, any of which tells it), and what it comes to.
const IDLE: &[(&str, &str)] = &[
    (
        "16-bit version|Intel 32 bits|on your arch|for your arch|for test!|time_high|cacheflush",
        "calls and structures of other machines (16-bit identifiers, 32-bit programs)",
    ),
    ("EROFS|not writable", "changes the kernel's settings (/proc/sys and /sys), which no test may here"),
    ("EPERM|Need CAP_", "needs a capability that tests lack here"),
    ("module '", "needs a kernel module built for it"),
    ("kernel config|kconfig|by kernel|Kernel does not support|/security/|ENODEV", "needs what this kernel is built without"),
    ("NUMA", "needs a machine with two memory nodes"),
    ("device|TUN", "needs loop or network devices of its own, or a larger disk"),
    ("filesystem is not supported|No required filesystems|$PATH|.h>", "needs another file system, header or tool"),
    ("swap|Swap|free space|virtual machine", "needs swap, more room, or a machine that is not virtual"),
];

impl Results {
    /// What earlier runs left.
    pub fn load() -> Result<Self> {
        let dir = project::target("conformance");
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let text = fs::read_to_string(path()).unwrap_or_default();
        let row = |line: &str| {
            let mut cells = line.split('\t').map(str::to_string);
            let name = cells.next()?;
            let mut cell = || cells.next().unwrap_or_default();
            Some((name, Trio { native: cell(), xemu: cell(), arm64: cell(), idle: cell() }))
        };
        let names = |mark: &str| text.lines().filter_map(|l| Some(l.strip_prefix(mark)?.to_string())).collect();
        let tests = text.lines().filter(|l| !l.starts_with('#')).filter_map(row).collect();
        Ok(Self { tests, built: names(BUILT), absent: names(ABSENT) })
    }

    /// Keeps them for later runs.
    pub fn store(&self) -> Result<()> {
        let results = self.tests.iter().map(|(name, t)| format!("{name}\t{}\t{}\t{}\t{}\n", t.native, t.xemu, t.arm64, t.idle));
        let names = self.built.iter().map(|name| format!("{BUILT}{name}\n")).chain(self.absent.iter().map(|name| format!("{ABSENT}{name}\n")));
        fs::write(path(), names.chain(results).collect::<String>()).map_err(|e| format!("{}: {e}", path().display()))
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
        let rest = self.built.iter().filter(|name| !self.tests.contains_key(*name)).count();
        for (what, number) in [
            ("in the suite's list", self.built.len() + self.absent.len()),
            ("not run: not built", self.absent.len()),
            ("not run: no time yet", rest),
            ("run", self.tests.len()),
            ("of these test something natively", count(&|t| t.idle.is_empty())),
            ("pass natively", count(&|t| passes(&t.native))),
            ("pass under xemu", count(&|t| passes(&t.xemu))),
            ("same result", self.tests.len() - all),
            ("differ: the host emulator", hosts),
            ("differ: reason below", all - hosts - unexplained),
            ("differ: without a reason", unexplained),
        ] {
            writeln!(text, "| {what} | {number} |").expect("a String takes all");
        }
        text += &self.render_idle();
        text += "\n## What differs\n\n| test | natively | under xemu | ARM64 build | reason |\n| --- | --- | --- | --- | --- |\n";
        for (name, trio) in self.differing() {
            let reason = reasons.of(name, trio).unwrap_or("**none yet**");
            writeln!(text, "| {name} | {} | {} | {} | {reason} |", trio.native, trio.xemu, trio.arm64).expect("a String takes all");
        }
        (text, unexplained)
    }
}

impl Results {
    /// What tells nothing about xemu: what is not run, and what gives up natively, by reason.
    fn render_idle(&self) -> String {
        let mut rows: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for name in &self.absent {
            rows.entry("not built: its program is not in this build of the suite".into()).or_default().push(name);
        }
        for name in self.built.iter().filter(|name| !self.tests.contains_key(*name)) {
            rows.entry("not run: no time yet".into()).or_default().push(name);
        }
        for (name, trio) in self.tests.iter().filter(|(_, trio)| !trio.idle.is_empty()) {
            rows.entry(format!("gives up natively: {}", kind_of(&trio.idle))).or_default().push(name);
        }
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
        let mut text = String::from("\n## What tests nothing\n\n| reason | tests | |\n| --- | --- | --- |\n");
        for (reason, names) in rows {
            writeln!(text, "| {reason} | {} | {} |", names.len(), names.join(" ")).expect("a String takes all");
        }
        text
    }
}

/// The kind of reason that a test gives for testing nothing, or its own words.
fn kind_of(idle: &str) -> &str {
    IDLE.iter().find(|(word, _)| word.split('|').any(|w| idle.contains(w))).map_or(idle, |row| row.1)
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
    let trio = |native: &str, xemu: &str, arm64: &str| Trio { native: native.into(), xemu: xemu.into(), arm64: arm64.into(), idle: String::new() };
    let tests = [
        ("a01", trio("exit 0", "exit 0", "")),
        ("b01", trio("exit 0", "exit 1", "exit 1")),
        ("c01", trio("exit 0", "exit 2", "exit 0")),
        ("c02", trio("exit 0", "exit 2", "exit 0")),
        ("d01", Trio { idle: "16-bit version of chown: none".into(), ..trio("exit 32, 1 TCONF", "exit 32, 1 TCONF", "") }),
    ];
    let names = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
    let built = names(&["a01", "b01", "c01", "c02", "d01", "e01"]);
    let results = Results { tests: tests.map(|(name, trio)| (name.to_string(), trio)).into(), built, absent: names(&["f01", "f02"]) };
    let (text, unexplained) = results.render(&Reasons::parse("# text\nc01|d.*: not yet\n").unwrap());
    assert_eq!(unexplained, 1);
    for row in [
        "| in the suite's list | 8 |",
        "| same result | 2 |",
        "| of these test something natively | 4 |",
        "| gives up natively: calls and structures of other machines (16-bit identifiers, 32-bit programs) | 1 | d01 |",
        "| not run: no time yet | 1 | e01 |",
        "| not built: its program is not in this build of the suite | 2 | f01 f02 |",
        "| differ: the host emulator | 1 |",
        "| c01 | exit 0 | exit 2 | exit 0 | not yet |",
        "| c02 | exit 0 | exit 2 | exit 0 | **none yet** |",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
}
