//! Skeletons to guest code to emitted code to herd7's verdict.

use super::forms::{Chooser, Guest, SLOTS};
use super::herd::{Herd, Question};
use super::host::{Code, Translator, assemble};
use super::program::{Op, Outcomes, Test, VARIABLE, slots, table};
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
    Tier { name: "lrcpc3", features: "lse,lse2,lrcpc,lrcpc2,lrcpc3", misaligned: false },
    Tier { name: "v8.1", features: "lse", misaligned: false },
    Tier { name: "exclusive", features: "lrcpc,lrcpc2", misaligned: false },
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

/// The named tests in which every form of store meets every form of fence or LOCK'ed operation, and itself.
const PAIRED: &[&str] = &["n.SB+mfences+q", "n.MP+q", "n.LB+q", "n.SB+xchgs+q", "n.MP+xchg+q"];

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
    // Whether a fence or a neighbour orders a store that is no release depends on both forms.
    for test in all.iter().filter(|t| PAIRED.contains(&t.name.as_str())) {
        let others = |store| (0..).map_while(move |other| Some((other, Chooser::paired(test, store, other)?)));
        for store in (0..).take_while(|s| Chooser::paired(test, *s, 0).is_some()) {
            cases.extend(others(store).map(|(other, guests)| (test, Case { name: format!("{}+store{store}+with{other}", test.name), test: test.clone(), guests, allowed: Outcomes::new() })));
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

/// The programs that a check needs.
struct Tools {
    herd: Herd,
    translator: Translator,
    jobs: usize,
}

/// Runs tests.
pub fn check(options: &Options) -> Result<Report> {
    let tools = Tools { herd: Herd::new()?, translator: Translator::new()?, jobs: options.jobs };
    let mut report = Report::default();
    let cases = cases(options, &tools.herd, &mut report)?;
    if let Some(unknown) = options.tiers.iter().find(|t| TIERS.iter().all(|tier| tier.name != t.as_str())) {
        return Err(format!("no tier {unknown:?}"));
    }
    // The same code in several tiers is the same test.
    let mut known = HashMap::new();
    let all: Vec<&Case> = cases.iter().collect();
    for tier in TIERS.iter().filter(|t| options.tiers.is_empty() || options.tiers.iter().any(|o| o == t.name)) {
        let (planted, failures) = tools.run(tier, &all, None, &mut known)?;
        report.counts.insert(tier.name.into(), (planted - failures.len(), failures.len()));
        report.failures.extend(failures);
    }
    Ok(report)
}

/// Which seeded bugs make a test fail: each with the first such test, or how many tests had it and passed all the same.
pub fn find_bugs(options: &Options, seeds: &[&'static Seed]) -> Result<Vec<(&'static Seed, Result<String, usize>)>> {
    let tools = Tools { herd: Herd::new()?, translator: Translator::new()?, jobs: options.jobs };
    let cases = cases(options, &tools.herd, &mut Report::default())?;
    // Neighbours are alike: a slice takes tests from everywhere.
    let slices = cases.len().div_ceil(SLICE).max(1);
    let mut found = Vec::new();
    for seed in seeds {
        let tier = TIERS.iter().find(|t| t.name == seed.tier).ok_or_else(|| format!("no tier {:?}", seed.tier))?;
        let (mut known, mut tried, mut hit) = (HashMap::new(), 0, None);
        for slice in 0..slices {
            let some: Vec<&Case> = cases.iter().skip(slice).step_by(slices).collect();
            let (planted, failures) = tools.run(tier, &some, Some(seed), &mut known)?;
            tried += planted;
            hit = failures.into_iter().find(|f| f.1.starts_with(FORBIDDEN));
            if hit.is_some() {
                break;
            }
        }
        found.push((*seed, hit.map(|f| f.0).ok_or(tried)));
    }
    Ok(found)
}

/// Tests with a seeded bug that are run at once.
const SLICE: usize = 48;
/// How the reason begins where the model shows a forbidden state.
const FORBIDDEN: &str = "x86 forbids";

impl Tools {
    /// Runs cases in a tier; returns how many there were (with the bug, if one is asked for) and what failed.
    fn run(&self, tier: &Tier, cases: &[&Case], seed: Option<&Seed>, known: &mut HashMap<String, Result<Outcomes>>) -> Result<(usize, Vec<(String, String)>)> {
        let pieces: Vec<String> = cases.iter().flat_map(|c| c.guests.iter().map(|g| g.text.clone())).collect();
        let bytes = assemble(&pieces)?;
        let requests: Vec<_> = bytes.iter().map(|b| (tier.features, b.as_slice(), tier.misaligned)).collect();
        let (pinned, codes) = self.translator.translate(&requests)?;
        let mut codes = codes.into_iter();
        let mut questions = Vec::new();
        for (n, case) in cases.iter().enumerate() {
            let mut threads: Vec<Code> = codes.by_ref().take(case.guests.len()).collect();
            if tier.misaligned && case.test.threads.iter().flatten().any(|op| matches!(op, Op::Locked { .. })) || seed.is_some_and(|s| !s.plant(&mut threads, n)) {
                continue;
            }
            let thread = |(t, code): (usize, &Code)| {
                let observed: Vec<u8> = (0..slots(&case.test.threads[t])).map(|s| pinned[SLOTS[s] as usize]).collect();
                render(code, t, case.test.vars.len(), &registers(&pinned, &case.test, t), &observed)
            };
            let rendered: Result<Vec<Thread>> = threads.iter().enumerate().map(thread).collect();
            questions.push((*case, rendered.and_then(|r| question("T", &case.test, &pinned, &r))));
        }
        self.answer(tier, &questions, known)?;
        let failures = questions.iter().filter_map(|(case, q)| problem(case, q, known).map(|p| (format!("{}/{}", tier.name, case.name), p))).collect();
        Ok((questions.len(), failures))
    }

    /// Has herd7 answer what is not known.
    fn answer(&self, tier: &Tier, questions: &[(&Case, Result<Question>)], known: &mut HashMap<String, Result<Outcomes>>) -> Result<()> {
        let mut asked: BTreeMap<&str, Question> = BTreeMap::new();
        for q in questions.iter().filter_map(|(_, q)| q.as_ref().ok()).filter(|q| !known.contains_key(&q.text)) {
            asked.entry(&q.text).or_insert_with(|| q.clone());
        }
        let (texts, mut asked): (Vec<&str>, Vec<Question>) = asked.into_iter().unzip();
        for (n, q) in asked.iter_mut().enumerate() {
            q.name = format!("T{n}");
            q.text = q.text.replacen("AArch64 T\n", &format!("AArch64 T{n}\n"), 1);
        }
        let answers = self.herd.ask(&project::target("litmus").join(format!("arm-{}", tier.name)), &asked, self.jobs)?;
        known.extend(texts.into_iter().map(str::to_string).zip(answers));
        Ok(())
    }
}

/// What is wrong with a case, if anything is.
fn problem(case: &Case, q: &Result<Question>, known: &HashMap<String, Result<Outcomes>>) -> Option<String> {
    let guest = || case.guests.iter().map(|g| format!("  {}\n", g.text)).collect::<String>();
    let q = match q {
        Ok(q) => q,
        Err(e) => return Some(format!("not rendered: {e}\n{}", guest())),
    };
    match &known[&q.text] {
        Err(e) => Some(format!("aarch64.cat: {e}\n{}{}", guest(), q.text)),
        Ok(got) if got.is_empty() => Some(format!("no final state\n{}{}", guest(), q.text)),
        Ok(got) => {
            let wrong: Vec<_> = got.difference(&case.allowed).collect();
            let names: Vec<_> = q.shown.iter().map(|s| &s.0).collect();
            (!wrong.is_empty()).then(|| format!("{FORBIDDEN} {wrong:?} of {names:?}\n{}{}allowed: {:?}", guest(), q.text, case.allowed))
        }
    }
}
