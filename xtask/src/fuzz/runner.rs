//! Builds `isa_runner` and runs batches of cases with it, natively or under xemu.

use super::case::{Record, SIZE};
use crate::{Result, project, tools};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A case that has not ended after this time hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// How a machine runs the runner: a command prefix, empty for this processor.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Words in front of the runner's path.
    pub prefix: Vec<OsString>,
    /// The runner.
    pub runner: PathBuf,
}

/// How a batch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// All cases ran.
    Complete,
    /// The machine died by this signal in the case behind the last result.
    Died(i32),
    /// It exited with this status there.
    Exited(i32),
    /// It hung there.
    Hung,
}

/// Builds the runner below `target/guests`; the host needs no C compiler.
pub fn build() -> Result<PathBuf> {
    let dir = project::root().join("fixtures/guests/isa_runner");
    let (source, wrapper) = (dir.join("isa_runner.s"), dir.join("wrapper.rs"));
    let path = project::target("guests/isa_runner");
    let time = |p: &PathBuf| fs::metadata(p).and_then(|m| m.modified()).ok();
    if time(&path).is_some() && time(&path) >= time(&source) && time(&path) >= time(&wrapper) {
        return Ok(path);
    }
    let target = "x86_64-unknown-linux-musl";
    tools::need_rust_target(target)?;
    fs::create_dir_all(path.parent().expect("has a folder")).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-C", "opt-level=2", "--target", target, "-C", "linker=rust-lld", "-C", "linker-flavor=ld.lld"]);
    rustc.args(["-C", "panic=abort", "-C", "link-self-contained=no", "-C", "relocation-model=static"]);
    let output = rustc.arg(wrapper).arg("-o").arg(&path).env("GUEST_ASM", source).output().map_err(|e| format!("rustc: {e}"))?;
    if output.status.success() { Ok(path) } else { Err(format!("isa_runner does not build:\n{}", String::from_utf8_lossy(&output.stderr))) }
}

impl Machine {
    /// Runs `cases` in order; results come in the same order, and end early if the machine does.
    pub fn run(&self, cases: &[&Record]) -> Result<(Vec<Record>, End)> {
        static SERIAL: AtomicUsize = AtomicUsize::new(0);
        let dir = project::target("tmp").join(format!("isa-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
        let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
        fs::create_dir_all(&dir).map_err(failed)?;
        let (input, output) = (dir.join("cases"), dir.join("results"));
        let bytes: Vec<u8> = cases.iter().flat_map(|c| c.0.iter().copied()).collect();
        fs::write(&input, bytes).map_err(failed)?;
        let mut words = self.prefix.iter().cloned().chain([self.runner.clone().into_os_string()]);
        let mut command = Command::new(words.next().expect("has a word"));
        command.args(words).stdin(File::open(&input).map_err(failed)?).stdout(File::create(&output).map_err(failed)?).stderr(Stdio::null());
        let start = Instant::now();
        let mut child = command.spawn().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        let mut pause = Duration::from_micros(300);
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break Some(status);
            }
            if start.elapsed() > LIMIT {
                child.kill().map_err(failed)?;
                child.wait().map_err(failed)?;
                break None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        let bytes = fs::read(&output).map_err(failed)?;
        let results: Vec<Record> = bytes.chunks_exact(SIZE).map(|c| Record(Box::new(c.try_into().expect("a record")))).collect();
        let _ = fs::remove_dir_all(&dir);
        let end = match status {
            _ if results.len() >= cases.len() => End::Complete,
            None => End::Hung,
            Some(s) => s.signal().map_or(End::Exited(s.code().unwrap_or(-1)), End::Died),
        };
        Ok((results, end))
    }
}
