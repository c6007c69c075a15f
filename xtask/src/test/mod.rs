//! `cargo xtask test`: unit tests, then guest programs and whole programs natively and under xemu.
//!
//! Each suite is one module that returns results; this one prints them and counts. The closing line is
//! `N passed, N failed`, with `, N skipped` when a declared gap or a missing tool kept a test from running.

mod binfmt;
mod cargo;
mod configs;
mod gaps;
mod gdb;
mod guest;
mod litmus;
mod mutants;
mod native;
mod programs;
mod semantics;
mod shipped;
mod vm;

use crate::emulator::Emulator;
use crate::{Result, parallel, project};
use regex::Regex;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

const USAGE: &str = "\
cargo xtask test [OPTIONS]
  --only SUITE[,SUITE]  run only these suites (see --list)
  --filter RE           run only tests whose name the regular expression finds
  --long                run the long tests too
  --shard N/M           of the long tests run only every M-th, starting with the N-th; auto/M: another one every hour
  --budget MINUTES      start no long test once the run has lasted so long
  --profile NAME        the cargo profile that xemu is built with (release)
  --emulator COMMAND    test this instead of xemu: checks the tests themselves
  --jobs N              tests at a time (as many as there are processors)
  --show                print what each test does natively
  --list                print the tests instead of running them";

/// A suite: its name, and what runs it.
type Suite = (&'static str, fn(&Context) -> Result<()>);

/// In the order in which they run: the cheap ones first.
const SUITES: &[Suite] = &[
    ("unit", cargo::unit),
    ("litmus", litmus::run),
    ("semantics", semantics::run),
    ("guests", guest::run),
    ("gdb", gdb::run),
    ("mutants", mutants::run),
    ("binfmt", binfmt::run),
    ("vm", vm::run),
    ("programs", programs::run),
    ("shipped", shipped::run),
];

/// Longest limit of a long test in a run that is to end in time (`--budget`).
const LONGEST: Duration = Duration::from_secs(1800);
const NO_TIME: &str = "no time left for long tests in this run";

/// What every suite gets.
pub struct Context {
    options: Options,
    emulator: Option<Emulator>,
    gaps: gaps::Gaps,
    counts: Mutex<Counts>,
    /// Every long test that was asked about, over all suites: its place is its number.
    long_tests: Mutex<Vec<String>>,
    start: Instant,
}

#[derive(Debug)]
struct Options {
    only: Vec<String>,
    filter: Option<Regex>,
    long: bool,
    shard: Option<(usize, usize)>,
    budget: Option<Duration>,
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

    /// Whether this test was asked for. Every test of a suite is asked about, in the same order each time: long ones are numbered for shards.
    pub fn wants(&self, name: &str, long: bool) -> bool {
        let options = &self.options;
        let mut index = 0;
        if long {
            let mut known = self.long_tests.lock().expect("no panic while counting");
            index = known.len();
            known.push(name.into());
        }
        let in_shard = || options.shard.is_none_or(|(n, m)| index % m == n % m);
        let asked = options.filter.as_ref().is_none_or(|f| f.is_match(name));
        asked && (!long || (options.long || options.filter.is_some()) && in_shard())
    }

    /// Runs tests in parallel and reports each. A test with a declared gap runs too: passing means that the gap is gone.
    pub fn run_all<T: Sync>(&self, tests: &[T], name: impl Fn(&T) -> String + Sync, work: impl Fn(&T) -> Verdict + Sync) {
        if self.options.list {
            tests.iter().for_each(|t| println!("{}", name(t)));
            return;
        }
        parallel::map(tests, self.options.jobs, |test| {
            let (name, start) = (name(test), Instant::now());
            if self.out_of_time(&name) {
                return self.report(&name, Verdict::Skipped(NO_TIME.into()), Duration::ZERO);
            }
            let verdict = match (work(test), self.gaps.reason(&name)) {
                (Verdict::Failed(_), Some(reason)) => Verdict::Skipped(format!("known gap: {reason}")),
                (Verdict::Passed, Some(_)) => Verdict::Failed("passes although tests/gaps.txt lists it: remove the line".into()),
                (Verdict::Failed(how), None) => match self.gaps.doubt(&name) {
                    Some(reason) => Verdict::Skipped(format!("unproven: {reason}\n{}", how.trim_end())),
                    None => Verdict::Failed(how),
                },
                (verdict, _) => verdict,
            };
            self.report(&name, verdict, start.elapsed());
        });
    }

    fn is_long(&self, name: &str) -> bool {
        self.long_tests.lock().expect("no panic while counting").iter().any(|long| long == name)
    }

    /// Is it a long test, and the time for these over?
    fn out_of_time(&self, name: &str) -> bool {
        self.options.budget.is_some_and(|budget| self.start.elapsed() > budget) && self.is_long(name)
    }

    /// Says that a long test which may take `limit` is not begun, if this run is to end in time and has none for it: what it needs is not to be prepared then.
    pub fn skips(&self, name: &str, limit: Duration) -> bool {
        let why = match self.options.budget {
            _ if self.options.list => return false,
            Some(_) if limit > LONGEST && self.is_long(name) => format!("it may take {} minutes, which a run with a budget does not have", limit.as_secs() / 60),
            _ if self.out_of_time(name) => NO_TIME.into(),
            _ => return false,
        };
        self.report(name, Verdict::Skipped(why), Duration::ZERO);
        true
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
        _ if options.list || wanted.iter().all(|s| ["unit", "litmus"].contains(&s.0)) => None,
        Some(words) => Some(Emulator::other(words)),
        None => Some(Emulator::xemu(project::build_xemu(&options.profile)?)?),
    };
    let context = Context { options, emulator, gaps: gaps::Gaps::load()?, counts: Mutex::default(), long_tests: Mutex::default(), start };
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
        budget: None,
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
            Long("filter") => options.filter = Some(Regex::new(&parser.value()?.string()?).map_err(|e| e.to_string())?),
            Long("long") => options.long = true,
            Long("shard") => options.shard = Some(shard(&parser.value()?.string()?)?),
            Long("budget") => options.budget = Some(Duration::from_secs(parser.value()?.parse::<u64>()? * 60)),
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

/// N/M, or auto/M: N by the clock.
fn shard(text: &str) -> Result<(usize, usize)> {
    let wrong = || format!("--shard wants N/M or auto/M, not {text:?}");
    let (n, m) = text.split_once('/').ok_or_else(wrong)?;
    let m = m.parse().ok().filter(|&m| m > 0).ok_or_else(wrong)?;
    let hours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_secs() / 3600) as usize;
    let n = if n == "auto" { hours % m } else { n.parse().map_err(|_| wrong())? };
    Ok((n, m))
}

#[test]
fn shards_are_read() {
    assert_eq!(shard("3/7"), Ok((3, 7)));
    assert!(shard("auto/5").unwrap().0 < 5);
    assert!(shard("3").is_err() && shard("1/0").is_err() && shard("x/2").is_err());
}
