//! A node in namespaces of its own on this machine's kernel: a private binfmt_misc, in which xemu is registered as it registers itself, and an
//! amd64 root file system that holds no emulator.
//!
//! It needs Linux 6.7 (binfmt_misc per user namespace) and user namespaces. Where the machine is x86_64, programs that must run natively carry a mark in
//! padding of their ELF header, which registrations do not match: qemu-aarch64, and the node's own tools.

use super::scenario::SCRIPTS;
use crate::emulator::{self, CPU, Emulator};
use crate::process::run;
use crate::{Result, project, rootfs, tools};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// e_ident[15], unused padding that registrations want to be zero.
const MARK_AT: usize = 15;
const MARK: u8 = 0x58;

/// How the node stands when the command starts.
#[derive(Debug, Clone, Copy)]
pub enum Setting<'a> {
    /// Nothing is emulated: what the processor does.
    Native,
    /// Inside the root file system, with xemu registered with these flags and its file deleted.
    Registered(&'a str),
    /// On the node, with nothing registered for x86_64 yet.
    Node,
}

/// The parts of a node.
pub struct Namespace {
    root: PathBuf,
    tools: PathBuf,
}

impl Namespace {
    /// Collects what the node needs; None with the reason where this kernel cannot have one.
    pub fn prepare(emulator: &Emulator) -> Result<Result<Self>> {
        tools::need_program("unshare", "util-linux")?;
        let tools = project::target("e2e/namespace");
        let failed = |e: std::io::Error| format!("{}: {e}", tools.display());
        fs::create_dir_all(tools.join("node")).map_err(failed)?;
        if let Some(reason) = unsupported()? {
            return Ok(Err(reason));
        }
        let root = rootfs::ensure("amd64")?;
        let unshare = tools::find("unshare").ok_or("no unshare along PATH")?;
        marked(&super::busybox(project::HOST_ARCH)?, &tools.join("busybox"))?;
        marked(&unshare, &tools.join("unshare"))?;
        if project::HOST_IS_X86 {
            marked(&emulator::static_qemu()?, &tools.join("qemu"))?;
        }
        let xemu = emulator.program.first().ok_or("no xemu")?;
        fs::copy(xemu, tools.join("xemu")).map_err(|e| format!("{}: {e}", xemu.display()))?;
        Ok(Ok(Self { root, tools }))
    }

    /// The command that runs `words` in a fresh node.
    pub fn command(&self, setting: Setting, words: &[OsString]) -> Command {
        let mut command = namespaces();
        command.arg("/bin/sh").args(["-c", include_str!("node.sh"), "node"]).arg(&self.tools).arg(&self.root);
        command.arg(match setting {
            Setting::Native => "native",
            Setting::Registered(flags) => flags,
            Setting::Node => "none",
        });
        command.arg(super::scenario::folder()).arg(SCRIPTS).arg(project::target("guests")).arg("/.guests");
        command.arg("--").args(words);
        rootfs::set_environment(&mut command);
        // For qemu-aarch64; in native runs too, because programs see it.
        command.env("QEMU_CPU", CPU);
        command
    }
}

/// A shell in new namespaces; its arguments are to follow.
fn namespaces() -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", include_str!("outer.sh"), "outer", if tools::is_root() { "all" } else { "root" }]);
    command
}

/// Why this kernel has no private binfmt_misc, if it has not.
fn unsupported() -> Result<Option<String>> {
    let mut probe = namespaces();
    // Only in a user namespace of its own, where the machine's instance can't be reached.
    probe.args([
        "/bin/sh",
        "-c",
        "mount --make-rprivate / && mount -t proc proc /proc || exit 3; mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 4",
    ]);
    let outcome = run(probe, Duration::from_secs(20))?.outcome;
    Ok(match outcome.end.as_str() {
        "exit 0" => None,
        "exit 4" => Some("the kernel has no binfmt_misc per user namespace (it came with Linux 6.7)".into()),
        _ => Some(format!("no user namespaces here: {}", String::from_utf8_lossy(&outcome.stderr).trim().replace('\n', "; "))),
    })
}

/// Copies a program so that no registration matches it.
fn marked(from: &Path, to: &Path) -> Result<()> {
    let failed = |e: std::io::Error| format!("{}: {e}", from.display());
    let mut bytes = fs::read(from).map_err(failed)?;
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Err(format!("{} is no program", from.display()));
    }
    if project::HOST_IS_X86 {
        bytes[MARK_AT] = MARK;
    }
    // Another run may be using the old one: replace it, never write into it.
    let new = to.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, bytes)
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&new, to))
        .map_err(failed)
}

/// The shell text that runs a node script: the library first, then the script.
pub fn node_words(stem: &str) -> Vec<OsString> {
    vec![format!(". \"$ROOT\"{SCRIPTS}/lib/node.sh && . \"$ROOT\"{SCRIPTS}/{stem}.sh && report").into()]
}
