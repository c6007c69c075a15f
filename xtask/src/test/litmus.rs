//! Memory order of translated code, by a model checker: a sample of `cargo xtask litmus` in each tier, and the seeded bugs. The whole is long.

use super::{Context, Verdict};
use crate::litmus::{Options, SEEDS, TIERS, check, find_bugs};
use crate::{Result, parallel};
use regex::Regex;

/// Tests of a tier in a short run.
const SAMPLE: usize = 40;
/// Among which tests a seeded bug must be found: the named ones.
const BUG_TESTS: &str = r"^n\.";

enum Part {
    Tier(&'static str, Option<usize>),
    Bugs,
}

/// Runs the suite.
pub fn run(context: &Context) -> Result<()> {
    let name = |part: &Part| match part {
        Part::Tier(tier, Some(_)) => format!("litmus/{tier}"),
        Part::Tier(tier, None) => format!("litmus/{tier}-all"),
        Part::Bugs => "litmus/seeded-bugs".into(),
    };
    let tiers = TIERS.iter().flat_map(|t| [Part::Tier(t.name, Some(SAMPLE)), Part::Tier(t.name, None)]);
    let parts: Vec<Part> = tiers.chain([Part::Bugs]).filter(|p| context.wants(&name(p), matches!(p, Part::Tier(_, None)))).collect();
    // One after another: each uses all processors, and their folders.
    for part in &parts {
        context.run_all(std::slice::from_ref(part), name, |part| test(part).unwrap_or_else(Verdict::Failed));
    }
    Ok(())
}

fn test(part: &Part) -> Result<Verdict> {
    let jobs = parallel::processors();
    match part {
        Part::Tier(tier, sample) => {
            let report = check(&Options { tiers: vec![tier.to_string()], sample: *sample, jobs, ..Options::default() })?;
            let failed: Vec<String> = report.failures.iter().map(|(name, how)| format!("  {name}: {how}")).collect();
            Ok(if failed.is_empty() { Verdict::Passed } else { Verdict::Failed(failed.join("\n")) })
        }
        Part::Bugs => {
            let seeds: Vec<_> = SEEDS.iter().collect();
            let found = find_bugs(&Options { filter: Some(Regex::new(BUG_TESTS).expect("a pattern")), jobs, ..Options::default() }, &seeds)?;
            let missed: Vec<String> = found.iter().filter_map(|(s, r)| r.as_ref().err().map(|n| format!("  {} is not found ({n} tests had it)", s.name))).collect();
            Ok(if missed.is_empty() { Verdict::Passed } else { Verdict::Failed(missed.join("\n")) })
        }
    }
}
