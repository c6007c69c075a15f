//! xemu registered with the kernel in a private instance of binfmt_misc: the scripts of `tests/e2e` with `where = namespace`.

use super::guest::differs_from;
use super::native::expected;
use super::{Context, Verdict};
use crate::e2e::namespace::{Namespace, Setting, node_words};
use crate::e2e::scenario::{self, Scenario};
use crate::process::{Run, run as run_process};
use crate::{Result, project};
use std::time::Duration;

/// Longest native run.
const NATIVE_LIMIT: Duration = Duration::from_secs(60);

/// Runs the suite.
pub fn run(context: &Context) -> Result<()> {
    let name = |s: &Scenario| format!("binfmt/{}", s.stem);
    let mut wanted = scenario::list("namespace")?;
    wanted.retain(|s| context.wants(&name(s), false));
    if wanted.is_empty() || context.options.list {
        wanted.iter().for_each(|s| println!("{}", name(s)));
        return Ok(());
    }
    let node = match Namespace::prepare(context.emulator())? {
        Ok(node) => node,
        Err(reason) => {
            wanted.iter().for_each(|s| context.report(&name(s), Verdict::Skipped(reason.clone()), Duration::ZERO));
            return Ok(());
        }
    };
    for scenario in &wanted {
        scenario.build_needs()?;
    }
    context.run_all(&wanted, name, |s| test(context, &node, s).unwrap_or_else(Verdict::Failed));
    Ok(())
}

fn test(context: &Context, node: &Namespace, scenario: &Scenario) -> Result<Verdict> {
    if scenario.on_node() {
        let outcome = run_process(node.command(Setting::Node, &node_words(&scenario.stem)), scenario.limit())?.outcome;
        return Ok(scenario::judge_report(&outcome).map_or(Verdict::Passed, Verdict::Failed));
    }
    let native = || -> Result<Run> { run_process(node.command(Setting::Native, &scenario.command()), NATIVE_LIMIT) };
    let emulated =
        || -> Result<Run> { run_process(node.command(Setting::Registered(scenario.flags()), &scenario.command()), scenario.limit()) };
    if scenario.differs() {
        if !project::HOST_IS_X86 {
            return Ok(Verdict::Skipped("only an x86_64 machine can run a program natively by mistake".into()));
        }
        return Ok(differs_from(&native()?.outcome, &emulated()?.outcome));
    }
    let want = expected(context, &format!("e2e/{}", scenario.stem), native)?;
    Ok(want.difference(&emulated()?.outcome).map_or(Verdict::Passed, Verdict::Failed))
}
