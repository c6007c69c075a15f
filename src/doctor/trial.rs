//! Trying flag F where it harms nobody: in a user namespace of its own with an instance of binfmt_misc of its own (Linux 6.7), xemu is registered from a
//! file in memory, the file is closed, and an x86_64 program is executed. What the kernel runs then, no path leads to.

use super::selftest;
use crate::binfmt::{MOUNT, NAME, registration};
use crate::host::file;
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The hidden option by which a child of ours tries it: namespaces are left by ending.
pub const OPTION: &str = "--try-fix-binary";
/// How the child begins its line when the machine does not let it try.
const NOT_TRIED: &str = "not tried: ";

/// What came out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The program ran.
    Works,
    /// It did not.
    Fails(String),
    /// It could not be tried.
    NotTried(String),
}

/// Tries it in a child.
pub fn run() -> Trial {
    let child = Command::new("/proc/self/exe").args(["doctor", OPTION]).stdin(Stdio::null()).output();
    let output = match child {
        Ok(output) => output,
        Err(e) => return Trial::NotTried(e.to_string()),
    };
    let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
    match said.strip_prefix(NOT_TRIED) {
        Some(reason) => Trial::NotTried(reason.into()),
        None if output.status.success() => Trial::Works,
        None => Trial::Fails(said),
    }
}

/// What the child does: an empty line if the program ran.
pub fn command() -> String {
    match prepare() {
        Ok(()) => selftest::run().err().unwrap_or_default(),
        Err(reason) => format!("{NOT_TRIED}{reason}"),
    }
}

fn prepare() -> Result<(), String> {
    let ids = nix::unistd::geteuid().as_raw();
    let group = nix::unistd::getegid().as_raw();
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(|e| format!("no user namespace: {e}"))?;
    let write = |path: &str, text: String| fs::write(path, text).map_err(|e| format!("{path}: {e}"));
    // (Not there on kernels that never had the trouble that it prevents.)
    let _ = write("/proc/self/setgroups", "deny".into());
    write("/proc/self/uid_map", format!("0 {ids} 1"))?;
    write("/proc/self/gid_map", format!("0 {group} 1"))?;
    file::mount(b"binfmt_misc", MOUNT.as_bytes(), b"binfmt_misc").map_err(|e| format!("no binfmt_misc in a user namespace (Linux 6.7): {e}"))?;
    let own = fs::read("/proc/self/exe").map_err(|e| format!("/proc/self/exe: {e}"))?;
    let copy = file::memory_file(c"xemu-trial", &own).map_err(|e| format!("no file in memory: {e}"))?;
    let line = registration(NAME, Path::new(&format!("/proc/self/fd/{}", copy.0)), "F")?;
    write(&format!("{MOUNT}/register"), line)
}
