//! xemu as the interpreter of a real ARM64 kernel: the scripts of `tests/e2e` with `where = vm`, all of a kernel in one boot.

use super::guest::differs_from;
use super::native::expected;
use super::{Context, Verdict};
use crate::e2e::scenario::{self, SCRIPTS, Scenario};
use crate::e2e::vm::{self, Finished};
use crate::process::{Run, run as run_process};
use crate::rootfs::{self, Place};
use crate::{Result, project};
use std::path::Path;
use std::time::Duration;

/// Longest native run. A sixth of what the slowest script may take in the machine.
const NATIVE_LIMIT: Duration = Duration::from_secs(240);

/// Runs the suite.
pub fn run(context: &Context) -> Result<()> {
    let name = |s: &Scenario| format!("vm/{}", s.stem);
    let mut wanted = scenario::list("vm")?;
    wanted.retain(|s| context.wants(&name(s), s.directives.get("long-vm").is_some()));
    // A machine runs all of its scripts before any is judged.
    wanted.retain(|s| !context.skips(&name(s), s.limit()));
    if wanted.is_empty() || context.options.list {
        wanted.iter().for_each(|s| println!("{}", name(s)));
        return Ok(());
    }
    for scenario in &wanted {
        scenario.build_needs()?;
    }
    let root = rootfs::ensure("amd64")?;
    let xemu = context.emulator().program.first().ok_or("no xemu")?;
    let mut kernels: Vec<&str> = wanted.iter().map(Scenario::kernel).collect();
    kernels.sort();
    kernels.dedup();
    for kernel in kernels {
        let scripts: Vec<Scenario> = wanted.iter().filter(|s| s.kernel() == kernel).cloned().collect();
        let finished = vm::run_scripts(kernel, Path::new(xemu), &scripts)?;
        if context.options.show {
            println!("{}", finished.console);
        }
        context.run_all(&scripts, name, |s| test(context, &root, &finished, s).unwrap_or_else(Verdict::Failed));
    }
    Ok(())
}

fn test(context: &Context, root: &Path, finished: &Finished, scenario: &Scenario) -> Result<Verdict> {
    let got = finished.outcome(&scenario.stem)?;
    if scenario.on_node() {
        return Ok(scenario::judge_report(&got).map_or(Verdict::Passed, Verdict::Failed));
    }
    let native = || -> Result<Run> {
        let place = Place::new(root).mount(scenario::folder(), SCRIPTS).mount(project::target("guests"), "/.guests");
        run_process(place.command(&[], &scenario.command())?, NATIVE_LIMIT)
    };
    if scenario.differs() {
        if !project::HOST_IS_X86 {
            return Ok(Verdict::Skipped("only an x86_64 machine can run a program natively by mistake".into()));
        }
        return Ok(differs_from(&native()?.outcome, &got));
    }
    let want = expected(context, &format!("e2e/{}", scenario.stem), native)?;
    Ok(want.difference(&got).map_or(Verdict::Passed, Verdict::Failed))
}
