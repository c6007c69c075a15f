//! The build that `image` and `deb` ship (`--profile guided`): the other suites test `release`, which differs only in how rustc compiles it.

use super::configs::CONFIGS;
use super::guest::{Case, test};
use super::{Context, Verdict};
use crate::emulator::Emulator;
use crate::{Result, guests, project, tools};

/// The name of the only test. It is long: xemu is built twice.
const NAME: &str = "shipped/guests";

/// Runs the suite.
pub fn run(context: &Context) -> Result<()> {
    if context.wants(NAME, true) {
        context.run_all(&[NAME], |name| name.to_string(), |_| all(context).unwrap_or_else(Verdict::Failed));
    }
    Ok(())
}

/// Every short guest in C, one after the other.
fn all(context: &Context) -> Result<Verdict> {
    if let Err(reason) = tools::need_llvm_profdata() {
        return Ok(Verdict::Skipped(reason));
    }
    let emulator = Emulator::xemu(project::build_xemu(crate::guided::PROFILE)?)?;
    let mut failed = String::new();
    for guest in guests::list("c")?.into_iter().filter(|g| g.directives.get("long").is_none()) {
        let case = Case { name: format!("{NAME}/{}", guest.name), guest, config: &CONFIGS[0] };
        if let Verdict::Failed(how) = test(context, &emulator, &case)? {
            failed += &format!("{}\n{how}\n", case.name);
        }
    }
    Ok(if failed.is_empty() { Verdict::Passed } else { Verdict::Failed(failed) })
}
