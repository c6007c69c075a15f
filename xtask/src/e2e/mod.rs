//! End-to-end tests: xemu as the kernel's interpreter of x86_64 programs, on a node that is not this machine.
//!
//! The scripts of `tests/e2e` run in two places. `namespace` is a private instance of binfmt_misc on this machine's kernel: quick, and all that
//! the default run of `cargo xtask test` can count on. `vm` is an ARM64 kernel of its own. `cargo xtask e2e` runs both; nothing here ever registers
//! anything in the machine's own instance.

mod archive;
mod kernel;
pub mod namespace;
pub mod scenario;
pub mod vm;

use crate::{Result, apt, project};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask e2e [OPTIONS]
  --only PLACE     binfmt (a private binfmt_misc) or vm (an ARM64 kernel); both if absent
  and those of `cargo xtask test`; the long tests run too";

/// Entry of the command: the suites `binfmt` and `vm` of `cargo xtask test`, whole.
pub fn main(mut args: Vec<OsString>) -> Result<ExitCode> {
    if args.iter().any(|a| a == "--help") {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    if args.iter().all(|a| a != "--only") {
        args.extend(["--only", "binfmt,vm"].map(OsString::from));
    }
    args.push("--long".into());
    crate::test::main(args)
}

/// The tools of a node in one static file, for `arch`.
fn busybox(arch: &str) -> Result<PathBuf> {
    let dir = project::target(&format!("e2e/busybox-{arch}"));
    let binary = dir.join("usr/bin/busybox");
    if !binary.is_file() {
        apt::Suite::new("trixie")?.unpack(&[&format!("busybox-static:{arch}")], &dir)?;
    }
    if binary.is_file() { Ok(binary) } else { Err(format!("{} was not in the package", binary.display())) }
}
