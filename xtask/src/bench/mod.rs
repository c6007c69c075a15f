//! `cargo xtask bench`: executed AArch64 instructions of amd64 programs under xemu and under other emulators, beside those of native arm64
//! builds of the same programs, whose output must be the same.
//!
//! Rows are data (`kernels.rs`, `programs.rs`); `side.rs` knows who runs them, `count.rs` how they are counted, `report.rs`, `markdown.rs` and
//! `chart.rs` what is made of it: a table, `target/bench.json`, and docs/benchmarks.md, which is generated.

mod chart;
mod count;
mod inputs;
mod kernels;
mod markdown;
mod measure;
mod perf;
mod programs;
mod report;
mod rows;
mod side;

use crate::{Result, guided, project};
use count::{Counter, Ran};
use indicatif::{ProgressBar, ProgressStyle};
use inputs::Inputs;
use measure::Report;
use rows::{Group, Program, Row};
use side::Side;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask bench [OPTIONS]
  --filter TEXT,...     only benchmarks whose name or group holds one of these
  --quick               a short subset, native and xemu only
  --side NAME,...       only these of native, xemu, ordered, qemu, box64 (all; native is always run)
  --compare BASE.json   show what has changed since these results
  --keep                keep the rows of target/bench.json that are not run now
  --docs                write docs/benchmarks.md and its chart from target/bench.json
  --hot N               print the N blocks of translated code that execute most, per benchmark
  --profile NAME        the cargo profile that xemu is built with (guided)
  --emulator COMMAND    measure this ARM64 program instead of xemu";

#[derive(Default)]
struct Arguments {
    filter: Vec<String>,
    quick: bool,
    sides: Vec<String>,
    compare: Option<PathBuf>,
    keep: bool,
    docs: bool,
    hot: usize,
    profile: Option<String>,
    emulator: Option<String>,
}

/// Entry of the command.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    if args.first().is_some_and(|a| a == perf::CHILD) {
        return perf::child(&args[1..]);
    }
    let Some(args) = parse(args).map_err(|e| format!("{e}\n{USAGE}"))? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let rows: Vec<&Row> = kernels::KERNELS.iter().chain(programs::PROGRAMS).filter(|r| args.wants(r)).collect();
    let base = args.compare.as_ref().map(report::read).transpose()?;
    let json = project::target("bench.json");
    let old = report::read(&json).ok();
    let (mut new, failed) = measure(&args, &rows)?;
    if let (true, Some(old)) = (args.keep, old) {
        report::keep(&mut new, old);
    }
    let text = serde_json::to_string_pretty(&new).map_err(|e| e.to_string())?;
    fs::write(&json, text).map_err(|e| format!("{}: {e}", json.display()))?;
    print!("{}", report::table(&new, base.as_ref()));
    if args.docs {
        for (name, text) in [("benchmarks.md", markdown::document(&new)), ("benchmarks.svg", chart::svg(&new))] {
            let path = project::root().join("docs").join(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    println!("{} passed, {failed} failed", rows.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(args: Vec<OsString>) -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut all = Arguments::default();
    let mut parser = lexopt::Parser::from_args(args);
    let list = |text: String| text.split(',').map(str::to_string).collect();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("filter") => all.filter = list(parser.value()?.string()?),
            Long("side") => all.sides = list(parser.value()?.string()?),
            Long("quick") => all.quick = true,
            Long("keep") => all.keep = true,
            Long("docs") => all.docs = true,
            Long("compare") => all.compare = Some(parser.value()?.into()),
            Long("hot") => all.hot = parser.value()?.parse()?,
            Long("profile") => all.profile = Some(parser.value()?.string()?),
            Long("emulator") => all.emulator = Some(parser.value()?.string()?),
            Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if let Some(unknown) = all.sides.iter().find(|s| !side::SIDES.contains(&s.as_str())) {
        return Err(format!("no side '{unknown}'").into());
    }
    Ok(Some(all))
}

impl Arguments {
    fn wants(&self, row: &Row) -> bool {
        let named = |f: &String| row.name.contains(f.as_str()) || row.group.title() == f;
        (self.filter.is_empty() || self.filter.iter().any(named)) && (!self.quick || kernels::QUICK.contains(&row.name))
    }

    fn wants_side(&self, name: &str) -> bool {
        match name {
            "native" => true,
            _ if self.sides.is_empty() => !self.quick || name == "xemu",
            _ => self.sides.iter().any(|s| s == name),
        }
    }

    fn xemu(&self) -> Result<Vec<OsString>> {
        Ok(match &self.emulator {
            Some(words) => words.split_whitespace().map(Into::into).collect(),
            None => vec![project::build_xemu(self.profile.as_deref().unwrap_or(guided::PROFILE))?.into_os_string()],
        })
    }
}

/// Runs everything; returns the results and how many rows have a side of ours that failed.
fn measure(args: &Arguments, rows: &[&Row]) -> Result<(Report, usize)> {
    let xemu = args.xemu()?;
    let inputs = Inputs::new(rows.iter().any(|r| !matches!(r.program, Program::Source { .. })))?;
    let counter = Counter::new(&inputs)?;
    let mut sides = Vec::new();
    for name in side::SIDES.into_iter().filter(|n| args.wants_side(n)) {
        sides.extend(Side::new(name, &xemu)?);
    }
    let bar = ProgressBar::new((rows.len() * sides.len()) as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (left: {eta}) {msg}").map_err(|e| e.to_string())?);
    let mut report = Report { commit: commit(), counter: counter.description(), rows: Vec::new() };
    let mut failures = 0;
    for row in rows {
        let mut result = measure::Row { name: row.name.into(), group: row.group.title().into(), ..measure::Row::default() };
        let mut native: Option<Ran> = None;
        for side in &sides {
            bar.set_message(format!("{} {}", row.name, side.name));
            let ran = counter.run(row, side, &inputs, if side.name == "native" { 0 } else { args.hot });
            bar.inc(1);
            let problem = match (&ran, &native) {
                (Err(reason), _) => Some(reason.clone()),
                // What the steps of a compilation say names architectures.
                (Ok(ran), Some(native)) if matches!(row.program, Program::Steps(_)) => (ran.outcome.end != native.outcome.end).then(|| format!("ended with {}", ran.outcome.end)),
                (Ok(ran), Some(native)) => ran.outcome.difference(&native.outcome),
                _ => None,
            };
            match (problem, ran) {
                (None, Ok(ran)) => {
                    for hot in &ran.hot {
                        bar.suspend(|| println!("{}", report::hot(row.name, side.name, hot, ran.measure.instructions)));
                    }
                    result.sides.insert(side.name.into(), ran.measure.clone());
                    if side.name == "native" {
                        native = Some(ran);
                    }
                }
                (problem, _) => {
                    let problem = problem.unwrap_or_default();
                    bar.suspend(|| println!("{} on side {}: FAILED\n{}", row.name, side.name, problem.trim_end()));
                    result.failed.insert(side.name.into(), problem.trim().into());
                    if side.name == "native" {
                        break;
                    }
                }
            }
        }
        // Only short runs say what translation costs.
        if let (Group::Start, Some(xemu)) = (row.group, sides.iter().find(|s| s.name == "xemu")) {
            result.translated = count::translated(row, xemu, &inputs).ok().filter(|_| args.emulator.is_none());
        }
        failures += usize::from(result.failed.keys().any(|s| ["native", "xemu", "ordered"].contains(&s.as_str())));
        report.rows.push(result);
    }
    bar.finish_and_clear();
    Ok((report, failures))
}

/// The commit that is measured, with a mark if files differ from it.
fn commit() -> String {
    let git = |args: &[&str]| Command::new("git").args(args).current_dir(project::root()).output().ok().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_string());
    let changed = git(&["status", "--porcelain", "--", "src", "Cargo.toml"]).is_some_and(|s| !s.is_empty());
    format!("{}{}", git(&["rev-parse", "--short", "HEAD"]).unwrap_or_default(), if changed { " and changes" } else { "" })
}
