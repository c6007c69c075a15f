//! Recorded vectors of every instruction form, replayed under xemu: see `fuzz::replay`.

use super::{Context, Verdict};
use crate::emulator::TIERS;
use crate::fuzz::replay;
use crate::{Result, project};
use std::path::{Path, PathBuf};

/// Failing cases printed for each file.
const SHOWN: usize = 10;

/// Runs the suite: one test for each file of vectors and each processor that is modelled, or the host's.
pub fn run(context: &Context) -> Result<()> {
    let tiers = if project::HOST_IS_X86 { TIERS } else { &["host"] };
    let all = replay::files()?.into_iter().flat_map(|file| tiers.iter().map(move |tier| (file.clone(), *tier)));
    let name = |(file, tier): &(PathBuf, &str)| format!("semantics/{}/{tier}", file.file_stem().unwrap_or_default().to_string_lossy());
    let tests: Vec<_> = all.filter(|t| context.wants(&name(t), false)).collect();
    context.run_all(&tests, name, |(file, tier)| test(context, file, tier).unwrap_or_else(Verdict::Failed));
    Ok(())
}

fn test(context: &Context, file: &Path, tier: &str) -> Result<Verdict> {
    let outcome = replay::replay(&context.emulator().on(tier), tier, file)?;
    if outcome.failed.is_empty() {
        return Ok(Verdict::Passed);
    }
    let shown = outcome.failed.iter().take(SHOWN).map(|f| format!("  {f}")).collect::<Vec<_>>().join("\n");
    Ok(Verdict::Failed(format!("  {} cases differ from the processor, {} agree\n{shown}", outcome.failed.len(), outcome.passed)))
}
