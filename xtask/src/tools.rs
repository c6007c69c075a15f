//! Installs what a command needs and the machine lacks: rustup targets, and Debian packages when we are root.

use crate::{Result, project::HOST_IS_X86};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Looks for `program` along PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|d| d.join(program)).find(|p| p.is_file())
}

/// Whether we may install packages.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// Makes sure that rustc can compile for `target`.
pub fn need_rust_target(target: &str) -> Result<()> {
    let libdir = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output().map_err(|e| format!("rustc: {e}"))?;
    if Path::new(String::from_utf8_lossy(&libdir.stdout).trim()).is_dir() {
        return Ok(());
    }
    eprintln!("xtask: installing the Rust target {target}");
    match Command::new("rustup").args(["target", "add", target]).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the Rust target {target} is missing: `rustup target add {target}`")),
    }
}

/// LLVM's tool for profiles, of the version that rustc has.
pub fn need_llvm_profdata() -> Result<PathBuf> {
    let libdir = Command::new("rustc").args(["--print", "target-libdir"]).output().map_err(|e| format!("rustc: {e}"))?;
    let tool = Path::new(String::from_utf8_lossy(&libdir.stdout).trim()).with_file_name("bin").join("llvm-profdata");
    if !tool.is_file() {
        eprintln!("xtask: installing the Rust component llvm-tools");
        let status = Command::new("rustup").args(["component", "add", "llvm-tools"]).stdout(Stdio::null()).status();
        if !status.is_ok_and(|s| s.success()) || !tool.is_file() {
            return Err(format!("{} is missing: `rustup component add llvm-tools`, or choose `--profile release`, which needs no profile", tool.display()));
        }
    }
    Ok(tool)
}

/// Makes sure that `program` is there, by its Debian package if need be.
pub fn need_program(program: &str, package: &str) -> Result<()> {
    if find(program).is_some() { Ok(()) } else { need_packages(program, &[package]) }
}

/// Makes sure that a file of a package is there.
pub fn need_file(file: &str, package: &str) -> Result<()> {
    if Path::new(file).exists() { Ok(()) } else { need_packages(file, &[package]) }
}

/// Installs packages because `what` is missing.
fn need_packages(what: &str, packages: &[&str]) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<bool> = Mutex::new(false);
    let names = packages.join(" ");
    if !is_root() || find("apt-get").is_none() {
        return Err(format!("{what} is missing: install {names} (Debian: `sudo apt-get install {names}`)"));
    }
    let mut updated = ONE_AT_A_TIME.lock().expect("no panic while installing");
    eprintln!("xtask: installing {names}");
    let apt = |args: &[&str]| {
        let output = Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).output();
        match output {
            Ok(o) if o.status.success() => Ok(()),
            Ok(o) => Err(format!("apt-get {}: {}", args.join(" "), String::from_utf8_lossy(&o.stderr).trim())),
            Err(e) => Err(format!("apt-get: {e}")),
        }
    };
    let install: Vec<&str> = ["install", "-y", "-q", "--no-install-recommends"].into_iter().chain(packages.iter().copied()).collect();
    if *updated || apt(&install).is_err() {
        apt(&["update", "-q"])?;
        *updated = true;
        apt(&install)?;
    }
    Ok(())
}

/// The C compiler that makes ARM64 objects (capstone is C), and the headers, which the compiler's package only recommends.
pub fn need_arm64_gcc() -> Result<()> {
    if HOST_IS_X86 {
        need_program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")?;
        need_file("/usr/aarch64-linux-gnu/include/stdio.h", "libc6-dev-arm64-cross")
    } else {
        need_program("gcc", "gcc")?;
        need_file("/usr/include/stdio.h", "libc6-dev")
    }
}

/// The C compiler that makes amd64 programs, with a libc to link statically.
pub fn need_amd64_gcc() -> Result<&'static str> {
    if HOST_IS_X86 {
        need_program("gcc", "gcc")?;
        need_file("/usr/include/stdio.h", "libc6-dev")?;
        Ok("gcc")
    } else {
        need_program("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu")?;
        Ok("x86_64-linux-gnu-gcc")
    }
}
