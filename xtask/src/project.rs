//! Where things are, and how xemu is built.

use crate::{Result, guided, tools};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of the product: see build.rs for why it is linked the way it is.
pub const TARGET: &str = "aarch64-unknown-linux-musl";

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

/// A path below `target/`, which holds everything that is built or fetched.
pub fn target(sub: &str) -> PathBuf {
    root().join("target").join(sub)
}

/// True where guests run natively and xemu needs an emulator itself.
pub const HOST_IS_X86: bool = cfg!(target_arch = "x86_64");

/// Debian's name for the machine that we run on.
pub const HOST_ARCH: &str = if HOST_IS_X86 { "amd64" } else { "arm64" };

/// Whose processor xemu shows to guests, as CPUID names them: where makers differ, theirs decides.
pub const MAKER: &str = "AuthenticAMD";

/// Is this machine's processor an x86_64 one of this maker (CPUID leaf 0)?
pub fn processor_is_made_by(maker: &str) -> bool {
    std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default().lines().any(|l| l.starts_with("vendor_id") && l.ends_with(maker))
}

/// `cargo` as the one that started us.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Builds xemu for ARM64 with `profile` and returns its path.
pub fn build_xemu(profile: &str) -> Result<PathBuf> {
    if profile == guided::PROFILE { guided::build() } else { compile_xemu(profile, &[], None) }
}

/// The same by one call of cargo, with further flags of rustc's, in `folder` if it is not to be `target`.
pub fn compile_xemu(profile: &str, flags: &[&str], folder: Option<&Path>) -> Result<PathBuf> {
    tools::need_rust_target(TARGET)?;
    tools::need_arm64_gcc()?;
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--package", "xemu", "--bin", "xemu", "--target", TARGET, "--profile", profile]);
    if !flags.is_empty() {
        // A list given so is joined to the configuration file's; a variable would replace it.
        cargo.arg("--config").arg(format!("target.{TARGET}.rustflags={flags:?}"));
    }
    if let Some(folder) = folder {
        cargo.arg("--target-dir").arg(folder);
    }
    if !HOST_IS_X86 {
        // The configuration names the cross compiler's tools; here the machine's own are the right ones.
        cargo.env("CC_aarch64_unknown_linux_musl", "gcc").env("AR_aarch64_unknown_linux_musl", "ar");
    }
    if !cargo.status().map_err(|e| format!("cargo: {e}"))?.success() {
        return Err("xemu does not build".into());
    }
    Ok(folder.map_or_else(|| target(""), Path::to_path_buf).join(TARGET).join(profile).join("xemu"))
}

/// Builds xemu for amd64 machines, where it only says that there is nothing to do: without the disassembler, which is C.
pub fn build_native_xemu(profile: &str) -> Result<PathBuf> {
    const AMD64: &str = "x86_64-unknown-linux-musl";
    tools::need_rust_target(AMD64)?;
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--package", "xemu", "--bin", "xemu", "--no-default-features", "--target", AMD64, "--profile", profile]);
    // No C is in it, so Rust's own linker will do.
    cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld");
    if !cargo.status().map_err(|e| format!("cargo: {e}"))?.success() {
        return Err("xemu for amd64 does not build".into());
    }
    Ok(target(AMD64).join(profile).join("xemu"))
}
