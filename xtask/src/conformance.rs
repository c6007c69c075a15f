//! `cargo xtask conformance DIR`: an outside suite of system call tests, natively and under xemu.
//!
//! DIR is a built suite, laid out as the Linux Test Project installs itself: `runtest/syscalls` lists the tests (`NAME COMMAND...`),
//! `testcases/bin` holds them. Without such a list every executable of DIR is a test. Nothing of a suite is part of this project.
//! What a test says is its end and how often it printed TPASS, TFAIL, TBROK and TCONF. Results are kept in `target/conformance`, so
//! that a part can be run again; docs/conformance.md is written from all of them, with a reason for each difference:
//! `tests/conformance.txt`, or that the same test built for ARM64 (`--arm64`) gives what xemu gives, which makes it the host emulator's.

mod disk;
mod report;

use crate::emulator::{Emulator, RUNNER_VARIABLE, host_runner};
use crate::process::{Outcome, run};
use crate::{Result, parallel, project, tools};
use disk::Disk;
use regex::Regex;
use report::Results;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Duration;

const USAGE: &str = "\
cargo xtask conformance DIR [OPTIONS]
  --arm64 DIR       the same suite built for ARM64: says which differences are the host emulator's
  --filter RE       run only tests whose name the regular expression finds; the others keep their results
  --differing       of these only the ones that differed
  --explain         of these only the ones that differed, and of them only the ARM64 build
  --missing         of these only the ones without a result
  --limit SECONDS   of one run (60)
  --jobs N          tests at a time (as many as there are processors)
  --report          run nothing, write docs/conformance.md again";

/// What a test is given beside its place: variables that the Linux Test Project's library reads. Its own time limits, set for native
/// runs, are widened; the kernel's configuration is unpacked once, not by programs that each test starts; of all file systems it takes one.
const VARIABLES: &[(&str, &str)] = &[
    ("LTPROOT", "/mnt/suite"),
    ("LTP_COLORIZE_OUTPUT", "n"),
    ("LTP_TIMEOUT_MUL", "10"),
    ("KCONFIG_PATH", "/mnt/config"),
    ("TMPDIR", "/tmp"),
    ("LTP_SINGLE_FS_TYPE", "ext4"),
];

/// How often a result that differs is looked at again, natively and under xemu: what varies natively is no difference.
const TRIES: usize = 2;

struct Options {
    suite: PathBuf,
    arm64: Option<PathBuf>,
    filter: Option<Regex>,
    differing: bool,
    explain: bool,
    missing: bool,
    limit: Duration,
    jobs: usize,
    report: bool,
}

/// One test of the suite.
struct Case {
    name: String,
    /// The program and its arguments, below the suite's folder of programs.
    command: Vec<String>,
}

/// What one test did natively, under xemu, and built for ARM64 under the emulator that runs xemu.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trio {
    pub native: String,
    pub xemu: String,
    pub arm64: String,
    /// Why the test could test nothing natively, in its own words; empty if it did.
    pub idle: String,
}

impl Trio {
    /// Does xemu give something else than the processor?
    pub fn differs(&self) -> bool {
        self.native != self.xemu
    }
}

/// Entry of the command.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    let options = parse(args)?;
    let results = Mutex::new(Results::load()?);
    if !options.report {
        run_all(&options, &results)?;
    }
    let results = results.into_inner().expect("no panic while storing");
    let unexplained = results.write()?;
    println!("{} tests, {} differ, {unexplained} without a reason; docs/conformance.md", results.tests.len(), results.differing().count());
    Ok(if unexplained == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(args: Vec<OsString>) -> Result<Options> {
    let mut options = Options {
        suite: PathBuf::new(),
        arm64: None,
        filter: None,
        differing: false,
        explain: false,
        missing: false,
        limit: Duration::from_secs(60),
        jobs: parallel::processors(),
        report: false,
    };
    let mut args = args.into_iter();
    while let Some(word) = args.next() {
        let word = word.to_string_lossy().into_owned();
        let mut value = || args.next().map(|v| v.to_string_lossy().into_owned()).ok_or(format!("{word} needs a value\n{USAGE}"));
        match word.as_str() {
            "--arm64" => options.arm64 = Some(PathBuf::from(value()?)),
            "--filter" => options.filter = Some(Regex::new(&value()?).map_err(|e| e.to_string())?),
            "--differing" => options.differing = true,
            "--explain" => (options.differing, options.explain) = (true, true),
            "--missing" => options.missing = true,
            "--limit" => options.limit = Duration::from_secs(value()?.parse().map_err(|_| "--limit takes seconds")?),
            "--jobs" => options.jobs = value()?.parse().map_err(|_| "--jobs takes a number")?,
            "--report" => options.report = true,
            _ if word.starts_with('-') || options.suite != PathBuf::new() => return Err(format!("{word}?\n{USAGE}")),
            _ => options.suite = PathBuf::from(&word),
        }
    }
    if !options.report && !options.suite.is_dir() {
        return Err(format!("no suite given, or no folder\n{USAGE}"));
    }
    Ok(options)
}

fn run_all(options: &Options, results: &Mutex<Results>) -> Result<()> {
    if !project::HOST_IS_X86 {
        return Err("only an x86_64 machine has the native results to compare with".into());
    }
    for (program, package) in
        [("unshare", "util-linux"), ("setpriv", "util-linux"), ("losetup", "mount"), ("mkfs.ext4", "e2fsprogs"), ("ip", "iproute2")]
    {
        tools::need_program(program, package)?;
    }
    if !tools::is_root() {
        return Err("needs root: the tests run in namespaces of their own, and many check what root may do".into());
    }
    let (mut cases, absent) = list(&options.suite)?;
    {
        let mut results = results.lock().expect("no panic while storing");
        results.built = cases.iter().map(|c| c.name.clone()).collect();
        results.absent = absent;
        cases.retain(|c| options.filter.as_ref().is_none_or(|f| f.is_match(&c.name)));
        cases.retain(|c| !options.differing || results.tests.get(&c.name).is_some_and(Trio::differs));
        cases.retain(|c| !options.missing || !results.tests.contains_key(&c.name));
    }
    let emulator = Emulator::xemu(project::build_xemu("release")?)?;
    let runner = Emulator { runner: Vec::new(), program: host_runner()? };
    let native = Emulator { runner: Vec::new(), program: Vec::new() };
    parallel::map(&cases, options.jobs, |case| {
        let look = |suite: &Path, emulator: &Emulator, kind: &str| one(options, suite, emulator, case, kind).unwrap_or_else(|e| e);
        let kept = || results.lock().expect("no panic while storing").tests.get(&case.name).cloned().unwrap_or_default();
        let mut trio = match options.explain {
            true => kept(),
            false => {
                Trio { native: look(&options.suite, &native, "native"), xemu: look(&options.suite, &emulator, "xemu"), ..Trio::default() }
            }
        };
        for _ in 1..TRIES {
            if trio.differs() && !options.explain {
                let (again, xemu) = (look(&options.suite, &native, "native"), look(&options.suite, &emulator, "xemu"));
                // Whatever both gave in some run is the same.
                if again == trio.xemu || again == xemu {
                    trio = Trio { native: again.clone(), xemu: again, ..trio };
                } else if xemu == trio.native {
                    trio.xemu = xemu;
                }
            }
        }
        if let (true, Some(suite)) = (trio.differs(), &options.arm64) {
            trio.arm64 = look(suite, &runner, "arm64");
        }
        if !trio.native.contains("TPASS") && !trio.native.contains("TFAIL") {
            trio.idle = fs::read_to_string(log(case, "native")).map(|text| excuse(&text)).unwrap_or_default();
        }
        let sign = if trio.differs() { "differs" } else { "same" };
        println!("{sign:8}{}: {} | {} | {}", case.name, trio.native, trio.xemu, trio.arm64);
        let mut results = results.lock().expect("no panic while storing");
        results.tests.insert(case.name.clone(), trio);
        if let Err(e) = results.store() {
            eprintln!("xtask: {e}");
        }
    });
    Ok(())
}

/// The suite's list of tests, or all of its programs; and the names of tests in the list whose programs are not there.
fn list(suite: &Path) -> Result<(Vec<Case>, Vec<String>)> {
    let file = suite.join("runtest/syscalls");
    let mut cases = BTreeMap::new();
    let mut absent = Vec::new();
    if let Ok(text) = fs::read_to_string(&file) {
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let mut words = line.split_whitespace().map(str::to_string);
            if let Some(name) = words.next() {
                let command: Vec<String> = words.collect();
                if command.first().is_some_and(|program| suite.join(PROGRAMS).join(program).is_file()) {
                    cases.insert(name, command);
                } else {
                    absent.push(name);
                }
            }
        }
    } else {
        let entries = fs::read_dir(suite).map_err(|e| format!("{}: {e}", suite.display()))?;
        for entry in entries.flatten() {
            let is_program = entry.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
            if is_program {
                let name = entry.file_name().to_string_lossy().into_owned();
                cases.insert(name.clone(), vec![name]);
            }
        }
    }
    Ok((cases.into_iter().map(|(name, command)| Case { name, command }).collect(), absent))
}

/// Where the programs of a suite that has a list lie.
const PROGRAMS: &str = "testcases/bin";

/// Runs one test in namespaces of its own, and says what it did.
fn one(options: &Options, suite: &Path, emulator: &Emulator, case: &Case, kind: &str) -> Result<String> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--net", "--cgroup"]);
    command.args(["/bin/sh", "-c", include_str!("conformance/enter.sh"), "enter"]).arg(suite);
    let tools: Vec<&OsString> = emulator.runner.iter().chain(&emulator.program).collect();
    // What the emulator's command names is shown in a folder of its own: its place may be hidden.
    let inside = |word: &OsString| match Path::new(word) {
        path if path.is_absolute() && path.is_file() => {
            Path::new("/mnt/tools").join(path.file_name().expect("a file has a name")).into_os_string()
        }
        _ => word.clone(),
    };
    command.args(tools.iter().filter(|t| Path::new(t).is_file())).arg("--").args(tools.iter().map(|t| inside(t)));
    let programs = if suite.join(PROGRAMS).is_dir() { Path::new("/mnt/suite").join(PROGRAMS) } else { "/mnt/suite".into() };
    command.arg(programs.join(&case.command[0])).args(&case.command[1..]);
    let attach = |what: &str| Disk::attach(project::target("conformance").join(format!("{}.{kind}.{what}", case.name)));
    let (disk, files) = (attach("disk")?, attach("files")?);
    command.env_clear().envs(VARIABLES.iter().copied()).env("HOME", "/tmp").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()));
    if !emulator.runner.is_empty() {
        command.env(RUNNER_VARIABLE, emulator.runner.iter().map(inside).collect::<Vec<_>>().join(&OsString::from(" ")));
    }
    command.env("LTP_DEV", disk.device()).env("FILES", files.device());
    if kind == "arm64" {
        command.env("QEMU_LD_PREFIX", "/usr/aarch64-linux-gnu");
    }
    let outcome = run(command, options.limit)?.outcome;
    let log = log(case, kind);
    fs::write(&log, [&outcome.stdout[..], &outcome.stderr].concat()).map_err(|e| format!("{}: {e}", log.display()))?;
    Ok(describe(&outcome))
}

/// Where what a test printed is kept.
fn log(case: &Case, kind: &str) -> PathBuf {
    project::target("conformance").join(format!("{}.{kind}", case.name))
}

/// What a test says when it gives up: the words after its first TCONF or TBROK, without the place in its source.
fn excuse(text: &str) -> String {
    let words = |line: &str| {
        let (_, rest) = ["TCONF", "TBROK"].iter().find_map(|word| line.split_once(word))?;
        let rest = rest.trim_start_matches([' ', ':']);
        let place = rest.split_once(": ").filter(|(place, _)| place.contains(".c:") || place.contains(".h:"));
        Some(place.map_or(rest, |(_, after)| after).replace('\t', " "))
    };
    text.lines().find_map(words).unwrap_or_default()
}

/// `exit 0, 3 TPASS, 1 TCONF`.
fn describe(outcome: &Outcome) -> String {
    let text = [&outcome.stdout[..], &outcome.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let count = |word: &str| text.lines().filter(|l| l.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == word)).count();
    let counts = ["TPASS", "TFAIL", "TBROK", "TCONF"].map(|word| (count(word), word));
    let shown = counts.iter().filter(|c| c.0 > 0).map(|(n, word)| format!(", {n} {word}"));
    std::iter::once(outcome.end.clone()).chain(shown).collect()
}

#[test]
fn a_result_is_its_end_and_what_the_test_printed() {
    let outcome = |stdout: &str, stderr: &str| Outcome { stdout: stdout.into(), stderr: stderr.into(), end: "exit 1".into() };
    assert_eq!(
        describe(&outcome("abort01 1 TPASS : well\n", "x.c:3: TPASS: well\nx.c:4: TFAIL: no\nSummary:\npassed 1\n")),
        "exit 1, 2 TPASS, 1 TFAIL"
    );
    assert_eq!(describe(&outcome("XTPASS", "")), "exit 1");
}

#[test]
fn a_test_that_gives_up_says_why() {
    assert_eq!(excuse("tst_tmpdir.c:316: TINFO: Using\nquota.c:170: TCONF: no quota\nTCONF: second\n"), "no quota");
    assert_eq!(excuse("chown01_16 1 TCONF : compat_16.h:88: 16-bit version: none\n"), "16-bit version: none");
    assert_eq!(excuse("done\n"), "");
}
