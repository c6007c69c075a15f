//! `cargo xtask decode-check`: iced-x86, as xemu decodes with it, against capstone. The work is a test (`tests/decoders.rs`), so that it
//! runs with the very tables that xemu has; this gives it numbers and files, and builds it optimized.

use crate::{Result, project};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask decode-check [OPTIONS] [FILES...]
  --count N   random sequences (10000000)
  --seed S    where they start (1)
FILES: ELF programs or folders, whose executable sections are decoded from end to end (target/rootfs-amd64, if it is there)";

/// Entry of the command.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    use lexopt::prelude::*;
    let (mut count, mut seed, mut files) = (10_000_000u64, 1u64, Vec::new());
    let mut parser = lexopt::Parser::from_args(args);
    let failed = |e: lexopt::Error| format!("{e}\n{USAGE}");
    while let Some(arg) = parser.next().map_err(failed)? {
        match arg {
            Long("count") => count = parser.value().and_then(|v| v.parse()).map_err(failed)?,
            Long("seed") => seed = parser.value().and_then(|v| v.parse()).map_err(failed)?,
            Value(path) => files.push(PathBuf::from(path)),
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(failed(other.unexpected())),
        }
    }
    let root = project::target("rootfs-amd64");
    if files.is_empty() && root.is_dir() {
        files.push(root);
    }
    let mut list = Vec::new();
    files.iter().for_each(|path| add(path, &mut list));
    let mut cargo = project::cargo();
    cargo.args(["test", "--release", "--quiet", "--test", "decoders", "--", "--nocapture"]);
    cargo.env("DECODE_COUNT", count.to_string()).env("DECODE_SEED", seed.to_string());
    cargo.env("DECODE_FILES", env::join_paths(&list).map_err(|e| e.to_string())?);
    let status = cargo.status().map_err(|e| format!("cargo: {e}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds `path`, or the regular files below it that begin as ELF files do.
fn add(path: &Path, list: &mut Vec<PathBuf>) {
    let Ok(kind) = path.symlink_metadata().map(|m| m.file_type()) else { return };
    if kind.is_dir() {
        let Ok(entries) = path.read_dir() else { return };
        let mut entries: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| add(entry, list));
    } else if kind.is_file() && is_elf(path) {
        list.push(path.into());
    }
}

fn is_elf(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}
