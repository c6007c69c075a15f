//! The build that is shipped and measured: `--profile guided`. xemu is compiled twice, the second time with a profile of the first one translating
//! guests of `fixtures` (rustc book, "Profile-guided Optimization"): a tenth fewer instructions for each start, because what is inlined where follows
//! how often it runs.

use crate::emulator::Emulator;
use crate::{Result, guests, project, tools};
use std::fs;
use std::path::{Path, PathBuf};

/// The cargo profile, and what is asked for by `--profile`.
pub const PROFILE: &str = "guided";

/// What the profile is made from: guests that hold much code of many kinds, run in a second or less, and need no root file system. Names as in
/// `target/guests`. None of them is a benchmark.
const GUESTS: &[&str] = &[
    "demo/demo",
    "rust/std",
    "c/copies-static",
    "c/files-static",
    "c/malloc-static",
    "c/math-static",
    "c/printf-static",
    "c/process-static",
    "c/setjmp-static",
];

/// Builds xemu so and returns its path. What has not changed is not built again, and the profile is made anew when xemu has changed.
pub fn build() -> Result<PathBuf> {
    let folder = project::target(PROFILE);
    let merged = folder.join("xemu.profdata");
    let instrumented = project::compile_xemu(PROFILE, &["-Cprofile-generate", "--cfg=instrumented"], Some(&folder))?;
    let time = |p: &Path| fs::metadata(p).and_then(|m| m.modified()).ok();
    if time(&merged).is_none() || time(&merged) < time(&instrumented) {
        train(&instrumented, &folder, &merged)?;
    }
    project::compile_xemu(PROFILE, &[&format!("-Cprofile-use={}", merged.display())], None)
}

/// Runs the guests under an instrumented xemu and merges what it wrote.
fn train(instrumented: &Path, folder: &Path, merged: &Path) -> Result<()> {
    let profdata = tools::need_llvm_profdata()?;
    let raw = folder.join("raw");
    let failed = |e: std::io::Error| format!("{}: {e}", raw.display());
    if raw.exists() {
        fs::remove_dir_all(&raw).map_err(failed)?;
    }
    fs::create_dir_all(&raw).map_err(failed)?;
    let emulator = Emulator::xemu(instrumented.to_path_buf())?;
    for guest in guests::build(&["demo", "rust", "c"])?.iter().filter(|g| GUESTS.contains(&g.name.as_str())) {
        let mut command = emulator.command(guest.path().as_os_str());
        // One file for each process: %p is its number.
        command.args(guest.arguments()).env("LLVM_PROFILE_FILE", raw.join("%p.profraw")).current_dir(&raw);
        // What it prints, and how it ends, the tests look at.
        command.output().map_err(|e| format!("{}: {e}", guest.name))?;
    }
    let mut merge = std::process::Command::new(&profdata);
    merge.arg("merge").arg("-o").arg(merged);
    let mut profiles: Vec<PathBuf> = fs::read_dir(&raw).map_err(failed)?.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "profraw")).collect();
    profiles.sort();
    if profiles.len() < GUESTS.len() {
        return Err(format!("{} guests have left {} profiles in {}", GUESTS.len(), profiles.len(), raw.display()));
    }
    let output = merge.args(&profiles).output().map_err(|e| format!("{}: {e}", profdata.display()))?;
    if output.status.success() { Ok(()) } else { Err(format!("{}: {}", profdata.display(), String::from_utf8_lossy(&output.stderr).trim())) }
}

#[test]
fn each_guest_of_the_profile_is_there() {
    let all: Vec<_> = ["demo", "rust", "c"].iter().flat_map(|f| guests::list(f).unwrap()).collect();
    for name in GUESTS {
        assert!(all.iter().any(|g| g.name == *name), "{name}");
    }
}
