//! Recorded vectors of every instruction form, replayed under xemu: see `fuzz::replay`.

use super::{Context, Verdict};
use crate::emulator::TIERS;
use crate::fuzz::replay;
use crate::{Result, project};
use std::path::{Path, PathBuf};

/// In place of a processor.
const INTERPRETED: &str = "interpreted";

/// Failing cases printed for each file.
const SHOWN: usize = 10;

/// Runs the suite: one test for each file of vectors and each processor that is modelled, or the host's.
pub fn run(context: &Context) -> Result<()> {
    let tiers = if project::HOST_IS_X86 { TIERS } else { &["host"] };
    // And by the interpreter, where it knows an instruction: the processor makes no difference there.
    let ways = tiers.iter().chain([&INTERPRETED]);
    let all = replay::files()?.into_iter().flat_map(|file| ways.clone().map(move |way| (file.clone(), *way)));
    let name = |(file, tier): &(PathBuf, &str)| format!("semantics/{}/{tier}", file.file_stem().unwrap_or_default().to_string_lossy());
    let tests: Vec<_> = all.filter(|t| context.wants(&name(t), false)).collect();
    context.run_all(&tests, name, |(file, tier)| test(context, file, tier).unwrap_or_else(Verdict::Failed));
    Ok(())
}

fn test(context: &Context, file: &Path, tier: &str) -> Result<Verdict> {
    let emulator = if tier == INTERPRETED {
        let mut emulator = context.emulator().clone();
        emulator.program.push("--interpret".into());
        emulator
    } else {
        context.emulator().on(tier)
    };
    let outcome = replay::replay(&emulator, tier, file)?;
    if outcome.failed.is_empty() {
        return Ok(Verdict::Passed);
    }
    let shown = outcome.failed.iter().take(SHOWN).map(|f| format!("  {f}")).collect::<Vec<_>>().join("\n");
    Ok(Verdict::Failed(format!("  {} cases differ from the processor, {} agree\n{shown}", outcome.failed.len(), outcome.passed)))
}
