//! `cargo xtask test`: unit tests, then guest programs and whole programs natively and under xemu.
//!
//! Each suite is one module that returns results; this one prints them and counts. The closing line is
//! `N passed, N failed`, with `, N skipped` when a declared gap or a missing tool kept a test from running.

mod binfmt;
mod cargo;
mod gaps;
mod guest;
mod native;
mod programs;
mod semantics;
mod vm;

use crate::emulator::Emulator;
use crate::{Result, parallel, project};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const USAGE: &str = "\
cargo xtask test [OPTIONS]
  --only SUITE[,SUITE]  run only these suites (see --list)
  --filter TEXT         run only tests whose name holds TEXT
  --long                run the long tests too
  --shard N/M           of the long tests run only every M-th, starting with the N-th
  --profile NAME        the cargo profile that xemu is built with (release)
  --emulator COMMAND    test this instead of xemu: checks the tests themselves
  --jobs N              tests at a time (as many as there are processors)
  --show                print what each test does natively
  --list                print the tests instead of running them";

/// A suite: its name, and what runs it.
type Suite = (&'static str, fn(&Context) -> Result<()>);

/// In the order in which they run: the cheap ones first.
const SUITES: &[Suite] =
    &[("unit", cargo::unit), ("semantics", semantics::run), ("guests", guest::run), ("binfmt", binfmt::run), ("vm", vm::run), ("programs", programs::run)];

/// What every suite gets.
pub struct Context {
    options: Options,
    emulator: Option<Emulator>,
    gaps: gaps::Gaps,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Options {
    only: Vec<String>,
    filter: Option<String>,
    long: bool,
    shard: Option<(usize, usize)>,
    profile: String,
    emulator: Option<String>,
    jobs: usize,
    show: bool,
    list: bool,
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

/// How one test ended.
pub enum Verdict {
    /// As it should.
    Passed,
    /// With a reason to print.
    Failed(String),
    /// Not run, with the reason.
    Skipped(String),
}

impl Context {
    /// The emulator under test; None when only tests that need none were asked for.
    pub fn emulator(&self) -> &Emulator {
        self.emulator.as_ref().expect("suites that run guests are given an emulator")
    }

    /// Whether this test was asked for. Long tests come with a running number for sharding.
    pub fn wants(&self, name: &str, long: Option<usize>) -> bool {
        let options = &self.options;
        let in_shard = |index: usize| options.shard.is_none_or(|(n, m)| index % m == n % m);
        let asked = options.filter.as_ref().is_none_or(|f| name.contains(f.as_str()));
        asked && long.is_none_or(|index| (options.long || options.filter.is_some()) && in_shard(index))
    }

    /// Runs tests in parallel and reports each. A test with a declared gap runs too: passing means that the gap is gone.
    pub fn run_all<T: Sync>(&self, tests: &[T], name: impl Fn(&T) -> String + Sync, work: impl Fn(&T) -> Verdict + Sync) {
        if self.options.list {
            tests.iter().for_each(|t| println!("{}", name(t)));
            return;
        }
        parallel::map(tests, self.options.jobs, |test| {
            let (name, start) = (name(test), Instant::now());
            let verdict = match (work(test), self.gaps.reason(&name)) {
                (Verdict::Failed(_), Some(reason)) => Verdict::Skipped(format!("known gap: {reason}")),
                (Verdict::Passed, Some(_)) => Verdict::Failed("passes although tests/gaps.txt lists it: remove the line".into()),
                (verdict, _) => verdict,
            };
            self.report(&name, verdict, start.elapsed());
        });
    }

    /// Prints and counts one result.
    pub fn report(&self, name: &str, verdict: Verdict, time: Duration) {
        let mut counts = self.counts.lock().expect("no panic while counting");
        let seconds = time.as_secs_f64();
        match verdict {
            Verdict::Passed => {
                counts.passed += 1;
                println!("ok      {name} ({seconds:.1} s)");
            }
            Verdict::Failed(reason) => {
                counts.failed.push(name.into());
                println!("FAILED  {name} ({seconds:.1} s)\n{}", reason.trim_end());
            }
            Verdict::Skipped(reason) => {
                counts.skipped += 1;
                println!("skipped {name}: {reason}");
            }
        }
    }

    /// Adds results that another runner has printed already.
    pub fn add(&self, passed: usize, failed: Vec<String>, skipped: usize) {
        let mut counts = self.counts.lock().expect("no panic while counting");
        counts.passed += passed;
        counts.failed.extend(failed);
        counts.skipped += skipped;
    }
}

/// Entry of the command.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    let Some(options) = parse(args).map_err(|e| format!("{e}\n{USAGE}"))? else {
        println!("{USAGE}\nsuites: {}", SUITES.iter().map(|s| s.0).collect::<Vec<_>>().join(" "));
        return Ok(ExitCode::SUCCESS);
    };
    let start = Instant::now();
    let wanted: Vec<&Suite> = SUITES.iter().filter(|s| options.only.is_empty() || options.only.iter().any(|o| o == s.0)).collect();
    let emulator = match &options.emulator {
        _ if options.list || wanted.iter().all(|s| s.0 == "unit") => None,
        Some(words) => Some(Emulator::other(words)),
        None => Some(Emulator::xemu(project::build_xemu(&options.profile)?)?),
    };
    let context = Context { options, emulator, gaps: gaps::Gaps::load()?, counts: Mutex::default() };
    for (name, run) in wanted {
        if let Err(reason) = run(&context) {
            context.report(name, Verdict::Failed(reason), Duration::ZERO);
        }
    }
    let counts = context.counts.into_inner().expect("no panic while counting");
    if context.options.list {
        return Ok(ExitCode::SUCCESS);
    }
    counts.failed.iter().for_each(|name| println!("failed: {name}"));
    println!("{:.0} s", start.elapsed().as_secs_f64());
    let skipped = if counts.skipped > 0 { format!(", {} skipped", counts.skipped) } else { String::new() };
    println!("{} passed, {} failed{skipped}", counts.passed, counts.failed.len());
    Ok(if counts.failed.is_empty() && counts.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(args: Vec<OsString>) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        only: Vec::new(),
        filter: None,
        long: false,
        shard: None,
        profile: "release".into(),
        emulator: None,
        jobs: parallel::processors(),
        show: false,
        list: false,
    };
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => options.only.extend(parser.value()?.string()?.split(',').map(str::to_string)),
            Long("filter") => options.filter = Some(parser.value()?.string()?),
            Long("long") => options.long = true,
            Long("shard") => {
                let text = parser.value()?.string()?;
                let (n, m) = text.split_once('/').ok_or("--shard wants N/M")?;
                options.shard = Some((n.parse().map_err(|_| "--shard wants N/M")?, m.parse().ok().filter(|&m| m > 0).ok_or("--shard wants N/M")?));
            }
            Long("profile") => options.profile = parser.value()?.string()?,
            Long("emulator") => options.emulator = Some(parser.value()?.string()?),
            Long("jobs") => options.jobs = parser.value()?.parse()?,
            Long("show") => options.show = true,
            Long("list") => options.list = true,
            Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if let Some(unknown) = options.only.iter().find(|o| SUITES.iter().all(|s| s.0 != o.as_str())) {
        return Err(format!("no suite {unknown:?}").into());
    }
    Ok(Some(options))
}
