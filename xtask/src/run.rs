//! `cargo xtask run [--profile NAME] -- PROGRAM [ARGS]`: builds xemu and runs an amd64 program, or the demo.

use crate::emulator::Emulator;
use crate::{Result, guests, project};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

/// Entry of the command. Ends as the program ends: xemu replaces this process.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    let mut profile = "release".to_string();
    let mut rest = args.into_iter().peekable();
    while rest.peek().is_some_and(|a| a == "--profile") {
        rest.next();
        profile = rest.next().ok_or("--profile needs a name")?.to_string_lossy().into_owned();
    }
    if rest.peek().is_some_and(|a| a == "--") {
        rest.next();
    }
    let mut program: Vec<OsString> = rest.collect();
    if program.is_empty() {
        let demo = guests::build(&["demo"])?.remove(0);
        program.push(demo.path().into());
    }
    let emulator = Emulator::xemu(project::build_xemu(&profile)?)?;
    if let Some(runner) = emulator.runner.first() {
        eprintln!("xtask: this machine is not ARM64, so xemu itself runs under {}: slow, the same results", runner.to_string_lossy());
    }
    let mut command = emulator.command(&program[0]);
    let error = command.args(&program[1..]).exec();
    Err(format!("{:?}: {error}", command.get_program()))
}
