//! `cargo xtask fuzz-isa`: every instruction form, from random states, on this machine's processor and under xemu.
//!
//! Both run the same guest program (`fixtures/guests/isa_runner`), so xemu needs no hook; this side makes the cases, and compares.
//! What the architecture leaves undefined is masked out (`undefined`); differences that xemu declares are listed with reasons in
//! `fixtures/semantics/declared.txt`. Recorded vectors (`replay`) hold results of a real processor for hosts that have none.

mod case;
mod compare;
mod declared;
mod forms;
mod generate;
mod implied;
mod memory;
mod mutate;
pub mod random;
pub mod replay;
mod runner;
mod state;
mod undefined;
mod values;

use crate::{Result, emulator, parallel, project};
use case::{BATCH, Case, Record};
use forms::Level;
use iced_x86::{Code, Mnemonic};
use regex::Regex;
use runner::{End, Machine};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const USAGE: &str = "\
cargo xtask fuzz-isa [OPTIONS]
  --only RE         only forms whose name (as Add_rm64_r64) matches, without regard to case
  --cases N         cases of each form in a round (200)
  --seconds N       rounds with new seeds until this time is over (one round)
  --seed S          seed of the first round (1)
  --cpu NAME        processor that qemu-aarch64 models: cortex-a72, neoverse-n1, max
  --level NAME      base, crypto, avx or system: each holds those before it (system: all forms)
  --show N          failing cases shown for each form (1)
  --no-faults       leave out cases that fault
  --profile NAME    cargo profile that xemu is built with (fast)
  --xemu PATH       this xemu instead of building one
  --runner QEMU     this qemu-aarch64
  --mutate          change the encodings: prefixes, VEX fields, lengths, opcodes; code that ends at a hole
  --itself          compare the processor with itself: shows what is not the same in every execution
  --list            print the forms
  --record NAME     write cases of the chosen forms, as this machine's processor has them, to fixtures/semantics/NAME*.bin";

struct Options {
    only: Option<Regex>,
    cases: u64,
    seconds: Option<u64>,
    seed: u64,
    cpu: String,
    level: Level,
    show: usize,
    faults: bool,
    profile: String,
    xemu: Option<PathBuf>,
    runner: Option<OsString>,
    itself: bool,
    mutate: bool,
    list: bool,
    record: Option<String>,
}

/// Entry of the command.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    let Some(options) = parse(args).map_err(|e| format!("{e}\n{USAGE}"))? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let all = forms::all(options.level);
    let chosen: Vec<(usize, Code)> = all
        .into_iter()
        .filter(|code| options.only.as_ref().is_none_or(|re| re.is_match(&format!("{code:?}"))))
        .map(|code| (code as usize, code))
        .collect();
    if options.list {
        chosen.iter().for_each(|(_, code)| println!("{code:?}: {}", code.op_code().instruction_string()));
        for (reason, codes) in forms::skipped() {
            println!("skipped, {reason}: {} forms", codes.len());
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !project::HOST_IS_X86 {
        return Err(
            "the truth is an x86_64 processor; this host has none: replay the recorded vectors instead (`xtask test --only semantics`)"
                .into(),
        );
    }
    let native = Machine { prefix: Vec::new(), runner: runner::build()? };
    if let Some(name) = &options.record {
        return replay::record(&native, name, &chosen).map(|()| ExitCode::SUCCESS);
    }
    let xemu = if options.itself { native.clone() } else { machine(&options, native.runner.clone())? };
    let cpu = options.cpu.clone();
    let fuzz = Fuzz {
        options,
        native,
        xemu,
        declared: declared::Table::live(&cpu)?,
        totals: Mutex::default(),
        unknown: Mutex::default(),
        absent: Mutex::default(),
    };
    fuzz.rounds(&chosen)
}

fn machine(options: &Options, runner: PathBuf) -> Result<Machine> {
    let xemu = match &options.xemu {
        Some(path) => path.clone(),
        None => project::build_xemu(&options.profile)?,
    };
    let emulator = emulator::Emulator::xemu(xemu)?.on(&options.cpu);
    let mut prefix: Vec<OsString> = emulator.runner.into_iter().chain(emulator.program).collect();
    if let (Some(first), Some(path)) = (prefix.first_mut(), &options.runner) {
        *first = path.clone();
    }
    if options.faults {
        prefix.push("--strict-align".into());
    }
    Ok(Machine { prefix, runner })
}

fn parse(args: Vec<OsString>) -> std::result::Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut o = Options {
        only: None,
        cases: 200,
        seconds: None,
        seed: 1,
        cpu: emulator::CPU.into(),
        level: Level::System,
        show: 1,
        faults: true,
        profile: "fast".into(),
        xemu: None,
        runner: None,
        itself: false,
        mutate: false,
        list: false,
        record: None,
    };
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => o.only = Some(parser.value()?.parse_with(|s| Regex::new(&format!("(?i){s}")))?),
            Long("cases") => o.cases = parser.value()?.parse()?,
            Long("seconds") => o.seconds = Some(parser.value()?.parse()?),
            Long("seed") => o.seed = parser.value()?.parse()?,
            Long("cpu") => o.cpu = parser.value()?.string()?,
            Long("level") => {
                let name = parser.value()?.string()?;
                let known = forms::LEVELS.iter().find(|(n, _)| *n == name);
                o.level = known.ok_or_else(|| format!("unknown level {name:?}"))?.1;
            }
            Long("show") => o.show = parser.value()?.parse()?,
            Long("no-faults") => o.faults = false,
            Long("profile") => o.profile = parser.value()?.string()?,
            Long("xemu") => o.xemu = Some(parser.value()?.into()),
            Long("runner") => o.runner = Some(parser.value()?),
            Long("itself") => o.itself = true,
            Long("mutate") => o.mutate = true,
            Long("list") => o.list = true,
            Long("record") => o.record = Some(parser.value()?.string()?),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(o))
}

/// The field of a case in which xemu raised #UD.
const UNDEFINED: &str = "#UD";
/// The signal of #UD.
const SIGILL: u32 = 4;

/// What became of one form.
#[derive(Default)]
struct Count {
    passed: u64,
    failed: u64,
    /// Cases that were not comparable, or not run because the form had failed too badly.
    left_out: u64,
    fields: BTreeSet<String>,
    shown: Vec<String>,
}

struct Fuzz {
    options: Options,
    native: Machine,
    xemu: Machine,
    declared: declared::Table,
    totals: Mutex<BTreeMap<String, Count>>,
    /// Mnemonics (and whether with LOCK) that xemu answers with #UD: no sense in dying for each of their forms.
    unknown: Mutex<BTreeSet<(Mnemonic, bool)>>,
    /// Forms that this processor does not have.
    absent: Mutex<BTreeSet<usize>>,
}

impl Fuzz {
    fn rounds(&self, forms: &[(usize, Code)]) -> Result<ExitCode> {
        let start = Instant::now();
        let end = Duration::from_secs(self.options.seconds.unwrap_or(0));
        let mut round = 0;
        loop {
            self.round(forms, self.options.seed + round, start, end)?;
            round += 1;
            if start.elapsed() >= end {
                break;
            }
        }
        Ok(self.report(round, start.elapsed()))
    }

    fn round(&self, forms: &[(usize, Code)], seed: u64, start: Instant, end: Duration) -> Result<()> {
        let per_batch = (BATCH as u64 / self.options.cases.max(1)).max(1) as usize;
        let batches: Vec<&[(usize, Code)]> = forms.chunks(per_batch).collect();
        let results = parallel::map(&batches, parallel::processors(), |batch| {
            if seed != self.options.seed && start.elapsed() >= end {
                return Ok(());
            }
            self.batch(batch, seed)
        });
        results.into_iter().collect()
    }

    fn batch(&self, forms: &[(usize, Code)], seed: u64) -> Result<()> {
        let mut cases = cases(forms, seed, self.options.cases);
        if self.options.mutate {
            let mut mutator = mutate::Mutator::new();
            cases = cases.iter().filter_map(|case| mutator.mutate(case)).collect();
        }
        let truth = self.truth(&mut cases)?;
        // A form whose every case is undefined is one that the processor does not have; changed encodings are meant to be undefined.
        let works: BTreeSet<usize> =
            cases.iter().zip(&truth).filter(|(_, t)| self.options.mutate || t.signal() != SIGILL).map(|(c, _)| c.form).collect();
        let mut left: Vec<(&Case, &Record)> = Vec::new();
        for pair in cases.iter().zip(&truth) {
            if !works.contains(&pair.0.form) {
                self.absent.lock().expect("no panic").insert(pair.0.form);
                self.leave_out(pair.0);
            } else if pair.1.signal() == 0 || self.options.faults {
                left.push(pair);
            } else {
                self.leave_out(pair.0);
            }
        }
        let mut deaths: BTreeMap<usize, u32> = BTreeMap::new();
        while !left.is_empty() {
            left.retain(|(case, _)| {
                let run = !self.is_unknown(case) && deaths.get(&case.form).is_none_or(|&n| n < 3);
                if !run {
                    self.leave_out(case);
                }
                run
            });
            let records: Vec<&Record> = left.iter().map(|(c, _)| &c.record).collect();
            let (results, end) = self.xemu.run(&records)?;
            for ((case, expected), got) in left.iter().zip(&results) {
                self.judge(case, expected, got);
            }
            if end == End::Complete {
                break;
            }
            let (case, _) = left[results.len()];
            *deaths.entry(case.form).or_default() += 1;
            self.died(case, end);
            left.drain(..=results.len());
        }
        Ok(())
    }

    /// What this processor makes of the cases. Of changed encodings, those that end the runner are taken out.
    fn truth(&self, cases: &mut Vec<Case>) -> Result<Vec<Record>> {
        let mut truth = Vec::new();
        loop {
            let (more, end) = self.native.run(&cases[truth.len()..].iter().map(|c| &c.record).collect::<Vec<_>>())?;
            truth.extend(more);
            if end == End::Complete {
                return Ok(truth);
            }
            let case = cases.remove(truth.len());
            if !self.options.mutate {
                return Err(format!("the runner itself ended ({end:?}) in {:?}:\n{}", name(case.form), compare::describe(&case)));
            }
            self.leave_out(&case);
        }
    }

    fn is_unknown(&self, case: &Case) -> bool {
        self.unknown.lock().expect("no panic").contains(&(code(case.form).mnemonic(), case.locked))
    }

    fn count(&self, case: &Case, change: impl FnOnce(&mut Count)) {
        change(self.totals.lock().expect("no panic").entry(name(case.form)).or_default());
    }

    fn leave_out(&self, case: &Case) {
        self.count(case, |c| c.left_out += 1);
    }

    fn judge(&self, case: &Case, expected: &Record, got: &Record) {
        let mut differences = compare::differences(case, expected, got);
        let form = name(case.form);
        if got.signal() == SIGILL && expected.signal() != SIGILL {
            differences = vec![compare::Difference { field: UNDEFINED.into(), text: "undefined instruction".into(), ulps: None }];
        }
        let signalled = expected.signal() != 0 || got.signal() != 0;
        differences.retain(|d| !self.declared.allows(case, &form, signalled, d));
        self.count(case, |c| {
            if differences.is_empty() {
                c.passed += 1;
                return;
            }
            c.failed += 1;
            c.fields.extend(differences.iter().map(|d| d.field.clone()));
            if c.shown.len() < self.options.show {
                let lines: String = differences.iter().take(8).map(|d| format!("\n      {}", d.text)).collect();
                c.shown.push(format!("{}{lines}", compare::describe(case)));
            }
        });
    }

    fn died(&self, case: &Case, end: End) {
        if end == End::Died(4) {
            self.unknown.lock().expect("no panic").insert((code(case.form).mnemonic(), case.locked));
        }
        self.count(case, |c| {
            c.failed += 1;
            c.fields.insert(if end == End::Died(4) { UNDEFINED.into() } else { format!("{end:?}") });
            if c.shown.len() < self.options.show {
                c.shown.push(format!("{}\n      {end:?}", compare::describe(case)));
            }
        });
    }

    fn report(&self, rounds: u64, time: Duration) -> ExitCode {
        let totals = self.totals.lock().expect("no panic");
        let is_unknown: BTreeSet<String> = totals
            .iter()
            .filter(|(_, c)| c.failed > 0 && c.passed == 0 && c.fields.iter().all(|f| f == UNDEFINED))
            .map(|(name, _)| name.clone())
            .collect();
        for (form, c) in totals.iter().filter(|(form, c)| c.failed > 0 && !is_unknown.contains(*form)) {
            let fields: Vec<&str> = c.fields.iter().map(String::as_str).collect();
            println!("FAILED {form}: {} of {} cases; {}", c.failed, c.passed + c.failed, fields.join(" "));
            c.shown.iter().for_each(|s| println!("{s}"));
        }
        if !is_unknown.is_empty() {
            println!(
                "not offered ({} forms, #UD): {}",
                is_unknown.len(),
                is_unknown.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
            );
        }
        let absent = self.absent.lock().expect("no panic");
        if !absent.is_empty() {
            println!(
                "skipped, this processor does not have them: {} forms: {}",
                absent.len(),
                absent.iter().map(|&f| name(f)).collect::<Vec<_>>().join(" ")
            );
        }
        let never: Vec<&str> = totals.iter().filter(|(_, c)| c.failed + c.passed == 0).map(|(name, _)| name.as_str()).collect();
        if !never.is_empty() {
            println!("not compared: {}", never.join(" "));
        }
        let bad = totals.values().filter(|c| c.failed > 0).count();
        let (passed, failed): (u64, u64) = totals.values().fold((0, 0), |(p, f), c| (p + c.passed, f + c.failed));
        let left_out: u64 = totals.values().map(|c| c.left_out).sum();
        if bad > 0 && !project::processor_is_made_by(project::MAKER) {
            println!(
                "this processor is not of {}, whose ways xemu has: another maker's has other estimates (RCP*, RSQRT*), alignment checks (SHA), orders of faults, NaNs of DPPS, \
                 and leaves RCX otherwise where REP has an address size prefix and no count",
                project::MAKER
            );
        }
        println!(
            "{} forms: {} passed, {bad} failed ({} of them not offered), {} not compared; cases: {passed} passed, {failed} failed, {left_out} left out; {rounds} rounds from seed {}, {:.0} s",
            totals.len(),
            totals.len() - bad - never.len(),
            is_unknown.len().min(bad),
            never.len(),
            self.options.seed,
            time.as_secs_f64()
        );
        if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A form by its number.
fn code(form: usize) -> Code {
    Code::try_from(form).expect("numbers come from codes")
}

/// A form's name.
fn name(form: usize) -> String {
    format!("{:?}", code(form))
}

/// Up to `count` cases of each form, in consecutive slots.
fn cases(forms: &[(usize, Code)], seed: u64, count: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(form, code) in forms {
        let mut seeds = random::Random::new(seed << 16 | form as u64);
        let mut made = 0;
        for _ in 0..count * 4 {
            if made == count || cases.len() == BATCH {
                break;
            }
            if let Some(case) = generate::case(code, form, cases.len() as u32, seeds.next() as u32) {
                cases.push(case);
                made += 1;
            }
        }
    }
    cases
}
