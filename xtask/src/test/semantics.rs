//! Recorded vectors of every instruction form, replayed under xemu: see `fuzz::replay`.

use super::{Context, Verdict};
use crate::Result;
use crate::fuzz::replay;
use std::path::Path;

/// Failing cases printed for each file.
const SHOWN: usize = 10;

/// Runs the suite: one test for each file of vectors.
pub fn run(context: &Context) -> Result<()> {
    let name = |path: &Path| format!("semantics/{}", path.file_stem().unwrap_or_default().to_string_lossy());
    let files: Vec<_> = replay::files()?.into_iter().filter(|f| context.wants(&name(f), false)).collect();
    context.run_all(&files, |f| name(f), |f| test(context, f).unwrap_or_else(Verdict::Failed));
    Ok(())
}

fn test(context: &Context, file: &Path) -> Result<Verdict> {
    let outcome = replay::replay(context.emulator(), file)?;
    if outcome.failed.is_empty() {
        return Ok(Verdict::Passed);
    }
    let shown = outcome.failed.iter().take(SHOWN).map(|f| format!("  {f}")).collect::<Vec<_>>().join("\n");
    Ok(Verdict::Failed(format!("  {} cases differ from the processor, {} agree\n{shown}", outcome.failed.len(), outcome.passed)))
}
