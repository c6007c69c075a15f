//! How xemu is started on this machine: directly on ARM64, else by qemu-aarch64.

use crate::{Result, apt, project, tools};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// The processor that tests and benchmarks run on where the machine is not ARM64.
pub const CPU: &str = "neoverse-n1";

/// The processors that instructions are tested on there: ARMv8.0, then with LSE and LRCPC, then with all that QEMU models.
pub const TIERS: &[&str] = &["cortex-a72", CPU, "max"];

/// The variable by which xemu learns how to start itself again when a guest executes another program.
pub const RUNNER_VARIABLE: &str = "XEMU_HOST_RUNNER";

/// A command prefix that runs an amd64 program.
#[derive(Debug, Clone)]
pub struct Emulator {
    /// The ARM64 emulator of an x86_64 host, empty on ARM64.
    pub runner: Vec<OsString>,
    /// xemu and its own options, or what stands in for it.
    pub program: Vec<OsString>,
}

impl Emulator {
    /// xemu as built at `path`.
    pub fn xemu(path: PathBuf) -> Result<Self> {
        Ok(Self { runner: host_runner()?, program: vec![path.into()] })
    }

    /// Another emulator, given as a shell-like list of words (`--emulator`): for checking the tests themselves.
    pub fn other(words: &str) -> Self {
        Self { runner: Vec::new(), program: words.split_whitespace().map(Into::into).collect() }
    }

    /// The same on another processor, where one is modelled.
    pub fn on(&self, cpu: &str) -> Self {
        let mut other = self.clone();
        if let Some(at) = other.runner.iter().position(|w| w == "-cpu") {
            other.runner[at + 1] = cpu.into();
            if cpu == "max" {
                // qemu-user tells of FEAT_AFP in no HWCAP.
                let features = "lse,lrcpc,lrcpc2,lse2,flagm,flagm2,afp,frintts,aes,pmull,sha1,sha256,crc32";
                other.program.extend(["--host-features".into(), features.into()]);
            }
        }
        other
    }

    /// The command that runs `guest`, with the variable that lets children be emulated too.
    pub fn command(&self, guest: &std::ffi::OsStr) -> Command {
        let words: Vec<_> = self.runner.iter().chain(&self.program).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(guest);
        if !self.runner.is_empty() {
            command.env(RUNNER_VARIABLE, self.runner.join(&OsString::from(" ")));
        }
        command
    }
}

/// The prefix that runs an ARM64 program here.
///
/// QEMU 10's static build is preferred to the distribution's older one: it models alignment faults, LSE2 and
/// MAP_FIXED_NOREPLACE, and it works inside a root file system that has no libraries for it.
pub fn host_runner() -> Result<Vec<OsString>> {
    if !project::HOST_IS_X86 {
        return Ok(Vec::new());
    }
    let qemu = match static_qemu() {
        Ok(path) => path.into_os_string(),
        Err(reason) => {
            tools::need_program("qemu-aarch64", "qemu-user").map_err(|e| format!("{reason}; {e}"))?;
            "qemu-aarch64".into()
        }
    };
    Ok(vec![qemu, "-cpu".into(), CPU.into()])
}

/// A static qemu-aarch64, unpacked from Debian 13 below `target/`.
pub fn static_qemu() -> Result<PathBuf> {
    let dir = project::target("qemu");
    let binary = dir.join("usr/bin/qemu-aarch64");
    if !binary.is_file() {
        apt::Suite::new("trixie")?.unpack(&["qemu-user:amd64"], &dir)?;
    }
    if binary.is_file() { Ok(binary) } else { Err(format!("{} was not in the package", binary.display())) }
}
