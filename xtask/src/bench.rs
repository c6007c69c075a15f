//! `cargo xtask bench`: executed AArch64 instructions of amd64 programs under xemu, beside those of native arm64 builds of the same
//! program. Counts are exact and repeat; they are not cycles.
//!
//! Counting is done by a plugin in qemu-aarch64, on ARM64 machines too. Both sides' output is compared. The result is a table, and
//! `target/bench.json`.

use crate::emulator::CPU;
use crate::process::{Outcome, run as run_process};
use crate::{Result, project, rootfs, tools};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

const USAGE: &str = "\
cargo xtask bench [OPTIONS]
  --filter TEXT         only benchmarks whose name holds TEXT
  --profile NAME        the cargo profile that xemu is built with (release)
  --emulator COMMAND    measure this ARM64 program instead of xemu";

/// Longest single run.
const LIMIT: Duration = Duration::from_secs(900);

/// What is run.
enum Program {
    /// A file of fixtures/bench, compiled statically for either side.
    Source(&'static str),
    /// A program of the Debian root file systems, through its own dynamic loader.
    Debian(&'static str),
}

/// A benchmark. `goal` is the largest ratio (or, without a native run to compare with, millions of instructions) that is aimed for.
struct Bench {
    name: &'static str,
    program: Program,
    args: &'static [&'static str],
    goal: Goal,
}

enum Goal {
    Ratio(f64),
    Millions(f64),
}

/// `INPUT` and `SQL` are replaced by files made for the run.
const BENCHES: &[Bench] = &[
    Bench { name: "fib", program: Program::Source("fib.c"), args: &["32"], goal: Goal::Ratio(3.0) },
    Bench { name: "kernel", program: Program::Source("kernel.c"), args: &["600"], goal: Goal::Ratio(2.0) },
    Bench { name: "gzip", program: Program::Debian("gzip"), args: &["-nc9", "INPUT"], goal: Goal::Ratio(2.2) },
    Bench { name: "sqlite3", program: Program::Debian("sqlite3"), args: &[":memory:", ".read SQL"], goal: Goal::Ratio(4.0) },
    Bench { name: "true", program: Program::Debian("true"), args: &[], goal: Goal::Millions(20.0) },
];

/// What both sides are given to work on.
const SQL: &str = "create table t(id integer primary key, name text, v real);
with recursive c(n) as (select 1 union all select n + 1 from c where n < 20000) insert into t select n, printf('name%05d', n * 7919 % 20011), n / 7.0 from c;
create index i on t(name);
select count(*), sum(length(name)), max(name) from t;
select a.id, b.id from t a join t b on a.name = b.name where a.id % 997 = 0;
select substr(name, 1, 6) p, count(*), total(v) from t group by p order by 3 desc limit 5;
";

/// One side's run.
struct Count {
    instructions: u64,
    outcome: Outcome,
}

/// Everything a run needs.
struct Bed {
    qemu: PathBuf,
    plugin: PathBuf,
    emulator: Vec<OsString>,
    work: PathBuf,
}

/// Entry of the command.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    let Some((filter, profile, emulator)) = parse(args).map_err(|e| format!("{e}\n{USAGE}"))? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let emulator = match emulator {
        Some(words) => words.split_whitespace().map(Into::into).collect(),
        None => vec![project::build_xemu(&profile)?.into_os_string()],
    };
    let bed = Bed::new(emulator)?;
    let (mut failed, mut rows) = (0, Vec::new());
    println!("{:<10} {:>16} {:>16} {:>7}  goal", "", "native arm64", "amd64 under xemu", "ratio");
    for bench in BENCHES.iter().filter(|b| filter.as_ref().is_none_or(|f| b.name.contains(f.as_str()))) {
        match bed.measure(bench) {
            Ok((native, ours)) => {
                let ratio = ours as f64 / native as f64;
                let (goal, met) = match bench.goal {
                    Goal::Ratio(most) => (format!("<= {most}"), ratio <= most),
                    Goal::Millions(most) => (format!("<= {most} M in all"), ours as f64 <= most * 1e6),
                };
                println!("{:<10} {native:>16} {ours:>16} {ratio:>7.2}  {goal}{}", bench.name, if met { "" } else { ": not met" });
                rows.push(format!("{{\"name\": \"{}\", \"native\": {native}, \"xemu\": {ours}, \"ratio\": {ratio:.4}, \"met\": {met}}}", bench.name));
            }
            Err(reason) => {
                failed += 1;
                println!("{:<10} FAILED\n{}", bench.name, reason.trim_end());
            }
        }
    }
    let json = project::target("bench.json");
    fs::write(&json, format!("[\n  {}\n]\n", rows.join(",\n  "))).map_err(|e| format!("{}: {e}", json.display()))?;
    println!("{} passed, {failed} failed", rows.len());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Arguments = (Option<String>, String, Option<String>);

fn parse(args: Vec<OsString>) -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut filter, mut profile, mut emulator) = (None, "release".to_string(), None);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("filter") => filter = Some(parser.value()?.string()?),
            Long("profile") => profile = parser.value()?.string()?,
            Long("emulator") => emulator = Some(parser.value()?.string()?),
            Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some((filter, profile, emulator)))
}

impl Bed {
    fn new(emulator: Vec<OsString>) -> Result<Self> {
        tools::need_program("qemu-aarch64", "qemu-user")?;
        tools::need_program("gcc", "gcc")?;
        let work = project::target("bench");
        fs::create_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
        let plugin = work.join("icount.so");
        compile("gcc", &["-O2", "-shared", "-fPIC"], &project::root().join("xtask/plugin/icount.c"), &plugin)?;
        let write = |name: &str, text: &[u8]| fs::write(work.join(name), text).map_err(|e| format!("{name}: {e}"));
        write("input.sql", SQL.as_bytes())?;
        // Text with repetitions, the same everywhere.
        let (mut text, mut seed) = (String::new(), 1u32);
        while text.len() < 400_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text += ["the ", "translator ", "keeps ", "guest ", "registers ", "in ", "host ", "ones\n"][(seed >> 24) as usize % 8];
            if seed >> 28 == 0 {
                text += &format!("{seed:x} ");
            }
        }
        write("input.txt", text.as_bytes())?;
        let qemu = tools::find("qemu-aarch64").ok_or("qemu-aarch64 is missing")?;
        Ok(Self { qemu, plugin, emulator, work })
    }

    /// Instructions of the native build and of the amd64 one under the emulator.
    fn measure(&self, bench: &Bench) -> Result<(u64, u64)> {
        let args: Vec<OsString> = bench.args.iter().map(|a| self.argument(a)).collect();
        let native = self.count(&[self.program(&bench.program, "arm64")?, args.clone()].concat())?;
        let ours = self.count(&[self.emulator.clone(), self.program(&bench.program, "amd64")?, args].concat())?;
        match ours.outcome.difference(&native.outcome) {
            None => Ok((native.instructions, ours.instructions)),
            Some(difference) => Err(difference),
        }
    }

    fn argument(&self, text: &str) -> OsString {
        let file = |name: &str| self.work.join(name).to_string_lossy().into_owned();
        text.replace("INPUT", &file("input.txt")).replace("SQL", &file("input.sql")).into()
    }

    /// The words that start a program of `arch`.
    fn program(&self, program: &Program, arch: &str) -> Result<Vec<OsString>> {
        match program {
            Program::Source(file) => {
                let output = self.work.join(format!("{file}-{arch}"));
                let gcc = match (arch, project::HOST_IS_X86) {
                    ("amd64", _) => tools::need_amd64_gcc()?,
                    (_, true) => {
                        tools::need_arm64_gcc()?;
                        tools::need_file("/usr/aarch64-linux-gnu/include/stdio.h", "libc6-dev-arm64-cross")?;
                        "aarch64-linux-gnu-gcc"
                    }
                    (_, false) => "gcc",
                };
                compile(gcc, &["-O2", "-static"], &project::root().join("fixtures/bench").join(file), &output)?;
                Ok(vec![output.into()])
            }
            Program::Debian(name) => {
                let root = rootfs::ensure(arch)?;
                let (loader, libraries) = match arch {
                    "amd64" => ("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"),
                    _ => ("usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"),
                };
                let words = [root.join(loader), "--library-path".into(), root.join(libraries), root.join("usr/bin").join(name)];
                Ok(words.into_iter().map(Into::into).collect())
            }
        }
    }

    /// Runs ARM64 code and counts what it executes.
    fn count(&self, words: &[OsString]) -> Result<Count> {
        let counts = self.work.join("count");
        let _ = fs::remove_file(&counts);
        let mut command = Command::new(&self.qemu);
        command.args(["-cpu", CPU, "-plugin"]).arg(format!("{},out={}", self.plugin.display(), counts.display())).args(words);
        command.env_clear().env("LC_ALL", "C").env("HOME", &self.work).env("PATH", "/usr/bin:/bin").current_dir(&self.work);
        let outcome = run_process(command, LIMIT)?.outcome;
        let text = fs::read_to_string(&counts).map_err(|_| {
            let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
            format!("  no count: it ended with {}, or {} loads no plugins\n  {said}", outcome.end, self.qemu.display())
        })?;
        Ok(Count { instructions: text.lines().filter_map(|l| l.parse::<u64>().ok()).sum(), outcome })
    }
}

fn compile(gcc: &str, flags: &[&str], source: &Path, output: &Path) -> Result<()> {
    let done = Command::new(gcc).args(flags).arg(source).arg("-o").arg(output).output().map_err(|e| format!("{gcc}: {e}"))?;
    if done.status.success() { Ok(()) } else { Err(format!("{gcc}: {}", String::from_utf8_lossy(&done.stderr))) }
}
