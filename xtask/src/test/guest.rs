//! The small guests of `fixtures/guests`: each runs natively and under xemu, in the same fresh folder; again in every way of `configs`.
//!
//! `long` (only with --long, or rotated), `limit` (seconds under xemu) and `processor` (the maker whose processors alone give what it prints: on
//! others, too, the recording counts) are directives of theirs.

use super::configs::{CONFIGS, Config};
use super::native::expected_of;
use super::{Context, Verdict};
use crate::emulator::Emulator;
use crate::guests::{self, Guest};
use crate::process::{Outcome, Run, run as run_process, run_emulated};
use crate::{Result, project};
use std::process::Command;
use std::time::Duration;

/// Longest run of one guest.
const LIMIT: Duration = Duration::from_secs(150);

/// Runs the suite.
pub fn run(context: &Context) -> Result<()> {
    let folders = ["asm", "rust", "c"];
    let mut wanted = Vec::new();
    for config in CONFIGS {
        for folder in folders {
            for guest in guests::list(folder)? {
                let case = Case { name: config.named(&format!("guests/{}", guest.name)), guest, config };
                let long = config.long || case.guest.directives.get("long").is_some();
                if context.wants(&case.name, long) {
                    wanted.push(case);
                }
            }
        }
    }
    context.run_all(&wanted, |case| case.name.clone(), |case| test(context, context.emulator(), case).unwrap_or_else(Verdict::Failed));
    Ok(())
}

/// A guest run one way.
pub struct Case {
    /// The test's name.
    pub name: String,
    /// The program.
    pub guest: Guest,
    /// The way.
    pub config: &'static Config,
}

/// Runs it under `emulator`, and natively where that is possible.
pub fn test(context: &Context, emulator: &Emulator, case: &Case) -> Result<Verdict> {
    let Case { guest, config, .. } = case;
    if guest.directives.get("host") == Some("cores") && !leaves_cores() {
        return Ok(Verdict::Skipped("the kernel leaves no core files in the working directory here (core_pattern, or the hard limit)".into()));
    }
    let limit = guest.directives.get("limit").and_then(|l| l.parse().ok()).map_or(LIMIT, Duration::from_secs);
    let path = guest.build()?;
    let dynamic = guest.name.contains("-dynamic");
    if dynamic && !project::HOST_IS_X86 {
        return Ok(Verdict::Skipped("its libraries are an x86_64 machine's".into()));
    }
    // Both runs get the same empty folder, so that neither meets what the other left.
    let folder = std::env::temp_dir().join(format!("xemu-guest-{}-{}", std::process::id(), case.name.replace('/', "-")));
    let finish = |mut command: Command| -> Result<Run> {
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        // Nothing of the caller's environment may show in the output.
        command.args(guest.arguments()).env_remove("LD_LIBRARY_PATH").env("LC_ALL", "C").envs(config.variables.iter().copied()).current_dir(&folder);
        let run = run_process(command, limit);
        let _ = std::fs::remove_dir_all(&folder);
        run
    };
    let differs = guest.directives.get("expect") == Some("differs");
    let got = run_emulated(|| finish(emulator.command(path.as_os_str())))?.outcome;
    if differs {
        if !project::HOST_IS_X86 {
            return Ok(Verdict::Skipped("only an x86_64 machine can run a guest natively by mistake".into()));
        }
        return Ok(differs_from(&finish(Command::new(&path))?.outcome, &got));
    }
    let want = expected_of(context, &format!("guests/{}", guest.name), guest.directives.get("processor"), || finish(Command::new(&path)))?;
    if project::HOST_IS_X86 && guest.directives.get("host") == Some("kernel") {
        return Ok(Verdict::Skipped("qemu-user, which runs xemu here, does not do what it is about".into()));
    }
    Ok(want.difference(&got).map_or(Verdict::Passed, Verdict::Failed))
}

/// Does a process that dies leave a core file in its working directory (core(5))?
pub fn leaves_cores() -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let limits = read("/proc/self/limits");
    let hard = limits.lines().find_map(|l| l.strip_prefix("Max core file size")).and_then(|l| l.split_whitespace().nth(1));
    !read("/proc/sys/kernel/core_pattern").contains(['|', '@', '/']) && hard == Some("unlimited")
}

/// For `expect = differs`: it must work, and not as on the machine itself.
pub fn differs_from(native: &Outcome, got: &Outcome) -> Verdict {
    if got.end != native.end {
        Verdict::Failed(format!("  ended with {}\n{}", got.end, String::from_utf8_lossy(&got.stderr)))
    } else if got.stdout == native.stdout {
        Verdict::Failed("  ran natively: it saw the machine's own processor".into())
    } else {
        Verdict::Passed
    }
}
