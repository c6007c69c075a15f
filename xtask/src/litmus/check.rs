//! Skeletons to guest code to emitted code to herd7's verdict.

use super::forms::{Chooser, Guest, SLOTS};
use super::herd::{Herd, Question};
use super::host::{Code, Translator, assemble};
use super::program::{Outcomes, Test, VARIABLE, slots, table};
use super::render::{MARK, OWN, Thread, address_of, render};
use super::seeds::Seed;
use super::{skeletons, tso};
use crate::{Result, project};
use regex::Regex;
use std::collections::{BTreeMap, HashMap};

/// What the host offers.
pub struct Tier {
    /// For `--tier`.
    pub name: &'static str,
    /// Names for `--host-features`.
    pub features: &'static str,
    /// Every site was seen misaligned.
    pub misaligned: bool,
}

/// All tiers.
pub const TIERS: &[Tier] = &[
    Tier { name: "v8.0", features: "", misaligned: false },
    Tier { name: "lrcpc", features: "lse,lrcpc", misaligned: false },
    Tier { name: "lrcpc2", features: "lse,lse2,lrcpc,lrcpc2", misaligned: false },
    Tier { name: "v8.1", features: "lse", misaligned: false },
    Tier { name: "misaligned", features: "lse,lrcpc", misaligned: true },
];

/// What is asked for.
#[derive(Default)]
pub struct Options {
    /// Names of tiers; all if empty.
    pub tiers: Vec<String>,
    /// Names of tests.
    pub filter: Option<Regex>,
    /// About so many tests of each tier.
    pub sample: Option<usize>,
    /// Processes at once.
    pub jobs: usize,
    /// Details of what fails.
    pub show: bool,
}

/// Where a thread's stack pointer lies in its own memory.
const STACK: u64 = 16;

/// Variations of each skeleton beside the usual form.
const VARIATIONS: usize = 2;

/// A test as a guest runs it.
struct Case {
    name: String,
    test: Test,
    guests: Vec<Guest>,
    allowed: Outcomes,
}

/// What came out.
#[derive(Default)]
pub struct Report {
    /// Tests by tier: passed, failed, not rendered.
    pub counts: BTreeMap<String, (usize, usize)>,
    /// Test and reason.
    pub failures: Vec<(String, String)>,
}

impl Report {
    /// How many failed.
    pub fn failed(&self) -> usize {
        self.failures.len()
    }
    /// Prints it; `long` with all details.
    pub fn print(&self, long: bool) {
        for (name, how) in self.failures.iter().take(if long { usize::MAX } else { 20 }) {
            println!("FAILED  {name}\n{}", if long { how.as_str() } else { how.lines().next().unwrap_or_default() });
        }
        for (tier, (passed, failed)) in &self.counts {
            println!("{tier}: {passed} passed, {failed} failed");
        }
    }
}

/// Every case, with what x86 allows. The machine of [`tso`] is compared with herd7 on all skeletons that are in `options`.
fn cases(options: &Options, herd: &Herd, report: &mut Report) -> Result<Vec<Case>> {
    let all = skeletons::all(herd)?;
    let mut chooser = Chooser::default();
    let mut cases = Vec::new();
    for test in &all {
        for k in 0..=VARIATIONS {
            let guests = if k == 0 { Chooser::usual(test) } else { chooser.varied(test) };
            let Some(guests) = guests else { continue };
            cases.push((test, Case { name: format!("{}+{k}", test.name), test: test.clone(), guests, allowed: Outcomes::new() }));
        }
    }
    cases.retain(|(_, c)| options.filter.as_ref().is_none_or(|f| f.is_match(&c.name)));
    if let Some(sample) = options.sample {
        let step = (cases.len() / sample.max(1)).max(1);
        cases = cases.into_iter().step_by(step).collect();
    }
    let mut used: Vec<&Test> = Vec::new();
    cases.iter().for_each(|(t, _)| if !used.iter().any(|u| std::ptr::eq(*u, *t)) { used.push(t) });
    oracle(&used, herd, options.jobs, report)?;
    let mut cases: Vec<Case> = cases.into_iter().map(|(_, c)| c).collect();
    for case in &mut cases {
        case.test.threads = case.guests.iter().map(|g| g.ops.clone()).collect();
        case.allowed = tso::outcomes(&case.test);
    }
    Ok(cases)
}

/// herd7's x86tso.cat against the machine.
fn oracle(tests: &[&Test], herd: &Herd, jobs: usize, report: &mut Report) -> Result<()> {
    let model = project::root().join("fixtures/litmus/x86tso.cat");
    let mut questions = Vec::new();
    let mut asked = Vec::new();
    for test in tests {
        let Some(text) = test.to_x86() else { continue };
        let names = ["rax", "rbx", "rcx", "rdx"];
        let registers = test.threads.iter().enumerate().flat_map(|(t, ops)| (0..slots(ops)).map(move |s| format!("{t}:{}", names[s])));
        let shown = registers.chain(test.vars.iter().cloned()).zip(test.widths_shown()).collect();
        questions.push(Question { name: test.name.clone(), text, shown, mixed: test.is_mixed(), vectors: false, model: Some(model.clone()), marks: Vec::new() });
        asked.push(*test);
    }
    let answers = herd.ask(&project::target("litmus").join("x86"), &questions, jobs)?;
    let count = report.counts.entry("oracle".into()).or_default();
    for ((test, answer), q) in asked.iter().zip(answers).zip(&questions) {
        let ours = tso::outcomes(test);
        let problem = match answer {
            Err(e) => Some(format!("x86tso.cat: {e}\n{}", q.text)),
            Ok(theirs) if theirs != ours => Some(format!("x86tso.cat and the machine differ\n{}herd7:   {theirs:?}\nmachine: {ours:?}", q.text)),
            Ok(_) => None,
        };
        match problem {
            None => count.0 += 1,
            Some(p) => {
                count.1 += 1;
                report.failures.push((format!("oracle/{}", test.name), p));
            }
        }
    }
    Ok(())
}

/// Host registers and their numbers at the start of thread `t`.
fn registers(pinned: &[u8], test: &Test, t: usize) -> Vec<(u8, u64)> {
    let mut all: Vec<(u8, u64)> = (0..test.vars.len()).map(|v| (pinned[12 + v], address_of(v))).collect();
    all.push((pinned[4], address_of(test.vars.len() + t) + STACK));
    all
}

/// An AArch64 litmus test for herd7.
fn question(name: &str, test: &Test, pinned: &[u8], threads: &[Thread]) -> Result<Question> {
    let mixed = threads.iter().flat_map(|t| &t.accesses).any(|&(v, offset, bytes)| v < OWN && (offset != 0 || bytes != test.width));
    let mut init = String::new();
    for var in &test.vars {
        init += &if mixed { format!("uint64_t {var}[{}]; ", VARIABLE / 8) } else { format!("uint{}_t {var}; ", 8 * test.width) };
    }
    for (t, thread) in threads.iter().enumerate() {
        let mut cells: Vec<_> = thread.accesses.iter().filter(|a| a.0 >= OWN).map(|a| (a.0 - OWN, a.2)).collect();
        cells.sort_unstable();
        cells.dedup();
        if cells.windows(2).any(|c| c[0].0 + c[0].1 > c[1].0) {
            return Err("parts of a thread's own memory overlap".into());
        }
        for (offset, bytes) in cells {
            init += &format!("uint{}_t own{t}c{offset}; ", 8 * bytes);
        }
    }
    init += "\n";
    let (mut shown, mut marks) = (Vec::new(), Vec::new());
    for (t, thread) in threads.iter().enumerate() {
        for (register, var) in &thread.addresses {
            init += &match var.checked_sub(OWN) {
                Some(offset) => format!("{t}:X{register}=own{t}c{offset}; "),
                None => format!("{t}:X{register}={}; ", test.vars[*var]),
            };
        }
        for s in 0..slots(&test.threads[t]) {
            let register = format!("{t}:X{}", pinned[SLOTS[s] as usize]);
            init += &format!("uint64_t {register}; ");
            shown.push(register);
        }
        if thread.gives_up {
            marks.push(format!("{t}:X{MARK}"));
        }
    }
    for var in &test.vars {
        shown.push(if mixed { format!("{var}[0]") } else { var.clone() });
    }
    let columns: Vec<Vec<String>> = threads.iter().map(|t| t.lines.clone()).collect();
    let locations: Vec<String> = shown.iter().chain(&marks).cloned().collect();
    let text = format!("AArch64 {name}\n{{ {init} }}\n{}locations [{};]\nforall (true)\n", table(&columns), locations.join(";"));
    let widths = test.widths_shown();
    Ok(Question { name: name.into(), text, shown: shown.into_iter().zip(widths).collect(), mixed, vectors: threads.iter().any(|t| t.vectors), model: None, marks })
}

/// Runs tests.
pub fn check(options: &Options) -> Result<Report> {
    run(options, None, usize::MAX).map(|r| r.0)
}

/// A test that fails when the bug is there.
pub fn find_bug(options: &Options, seed: &'static Seed) -> Result<Option<String>> {
    let options = Options { tiers: vec![seed.tier.into()], filter: options.filter.clone(), sample: options.sample, jobs: options.jobs, show: false };
    let (report, planted) = run(&options, Some(seed), usize::MAX)?;
    let wrong = report.failures.iter().filter(|f| f.1.starts_with("x86 forbids")).count();
    Ok(report.failures.iter().find(|f| f.1.starts_with("x86 forbids")).map(|f| format!("{} ({wrong} of {planted} tests with it)", f.0)))
}

fn run(options: &Options, seed: Option<&Seed>, _limit: usize) -> Result<(Report, usize)> {
    let (herd, translator, mut report) = (Herd::new()?, Translator::new()?, Report::default());
    let cases = cases(options, &herd, &mut report)?;
    if let Some(unknown) = options.tiers.iter().find(|t| TIERS.iter().all(|tier| tier.name != t.as_str())) {
        return Err(format!("no tier {unknown:?}"));
    }
    let pieces: Vec<String> = cases.iter().flat_map(|c| c.guests.iter().map(|g| g.text.clone())).collect();
    let bytes = assemble(&pieces)?;
    let mut planted = 0;
    // The same code in several tiers is the same test.
    let mut known: HashMap<String, Result<Outcomes>> = HashMap::new();
    for tier in TIERS.iter().filter(|t| options.tiers.is_empty() || options.tiers.iter().any(|o| o == t.name)) {
        let requests: Vec<_> = bytes.iter().map(|b| (tier.features, b.as_slice(), tier.misaligned)).collect();
        let (pinned, codes) = translator.translate(&requests)?;
        let mut codes = codes.into_iter();
        let mut questions = Vec::new();
        for (n, case) in cases.iter().enumerate() {
            let mut threads: Vec<Code> = codes.by_ref().take(case.guests.len()).collect();
            if let Some(seed) = seed {
                if !seed.plant(&mut threads, n) {
                    continue;
                }
                planted += 1;
            }
            let rendered: Result<Vec<Thread>> = threads.iter().enumerate().map(|(t, code)| {
                let observed: Vec<u8> = (0..slots(&case.test.threads[t])).map(|s| pinned[SLOTS[s] as usize]).collect();
                render(code, t, case.test.vars.len(), &registers(&pinned, &case.test, t), &observed)
            }).collect();
            questions.push((case, rendered.and_then(|r| question("T", &case.test, &pinned, &r))));
        }
        let mut asked: Vec<Question> = Vec::new();
        for (k, (_, q)) in questions.iter_mut().enumerate() {
            if let Ok(q) = q
                && !known.contains_key(&q.text)
                && !asked.iter().rev().take(8).any(|a| a.text == q.text)
            {
                let _ = k;
                asked.push(q.clone());
            }
        }
        let texts: Vec<String> = asked.iter().map(|q| q.text.clone()).collect();
        for (n, q) in asked.iter_mut().enumerate() {
            q.name = format!("T{n}");
            q.text = q.text.replacen("AArch64 T\n", &format!("AArch64 T{n}\n"), 1);
        }
        let answers = herd.ask(&project::target("litmus").join(format!("arm-{}", tier.name)), &asked, options.jobs)?;
        known.extend(texts.into_iter().zip(answers));
        let count = report.counts.entry(tier.name.into()).or_default();
        for (case, q) in &questions {
            let guest = || case.guests.iter().map(|g| format!("  {}\n", g.text)).collect::<String>();
            let problem = match q {
                Err(e) => Some(format!("not rendered: {e}\n{}", guest())),
                Ok(q) => match &known[&q.text] {
                    Err(e) => Some(format!("aarch64.cat: {e}\n{}{}", guest(), q.text)),
                    Ok(got) if got.is_empty() => Some(format!("no final state\n{}{}", guest(), q.text)),
                    Ok(got) => {
                        let wrong: Vec<_> = got.difference(&case.allowed).collect();
                        (!wrong.is_empty()).then(|| format!("x86 forbids {wrong:?} of {:?}\n{}{}allowed: {:?}", q.shown.iter().map(|s| &s.0).collect::<Vec<_>>(), guest(), q.text, case.allowed))
                    }
                },
            };
            match problem {
                None => count.0 += 1,
                Some(p) => {
                    count.1 += 1;
                    report.failures.push((format!("{}/{}", tier.name, case.name), p));
                }
            }
        }
    }
    Ok((report, planted))
}
