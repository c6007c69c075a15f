//! Counting on ARM64 machines: a copy of this program, as the parent of what is counted, reads the processor's counters (of itself and all
//! that it starts, user mode only) and what the kernel knows of its children.

use crate::Result;
use std::ffi::OsString;
use std::process::ExitCode;

/// The word that makes `cargo xtask bench` such a parent: a file for the counts and the command follow.
pub const CHILD: &str = "--counted-child";

/// Whether the processor's counters can be read.
#[cfg(target_arch = "aarch64")]
pub fn available() -> bool {
    counter().is_ok_and(|mut c| c.enable().is_ok() && c.read().is_ok_and(|n| n > 0))
}

#[cfg(target_arch = "aarch64")]
fn counter() -> std::io::Result<perf_event::Counter> {
    let mut builder = perf_event::Builder::new().kind(perf_event::events::Hardware::INSTRUCTIONS).observe_self();
    builder.inherit(true);
    builder.build()
}

/// Runs the command and writes a line as the plugin does.
#[cfg(target_arch = "aarch64")]
pub fn child(args: &[OsString]) -> Result<ExitCode> {
    use nix::sys::resource::{UsageWho, getrusage};
    use std::process::Command;
    let [file, program, rest @ ..] = args else { return Err("no command".into()) };
    let mut counter = counter().map_err(|e| format!("perf_event_open: {e}"))?;
    counter.enable().map_err(|e| e.to_string())?;
    let status = Command::new(program).args(rest).status().map_err(|e| format!("{}: {e}", program.to_string_lossy()))?;
    let instructions = counter.read().map_err(|e| e.to_string())?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| e.to_string())?;
    let line = format!("count insns={instructions} faults={} resident={}\n", usage.minor_page_faults(), usage.max_rss());
    std::fs::write(file, line).map_err(|e| e.to_string())?;
    Ok(ExitCode::from(status.code().unwrap_or(255) as u8))
}

/// Whether the processor's counters can be read: not of AArch64 instructions here.
#[cfg(not(target_arch = "aarch64"))]
pub fn available() -> bool {
    false
}

/// Only ARM64 machines count so.
#[cfg(not(target_arch = "aarch64"))]
pub fn child(_: &[OsString]) -> Result<ExitCode> {
    Err("only ARM64 machines count so".into())
}
