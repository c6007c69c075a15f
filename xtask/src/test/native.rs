//! What a test should give: the native run where the machine is x86_64 (and, where processors are known to differ, of the right maker), the recorded
//! one elsewhere.
//!
//! Recordings are `fixtures/expected/NAME`: the end, then a hash of each stream and its length. `BLESS=1` writes them.

use super::Context;
use crate::process::{Outcome, Run};
use crate::{Result, project};
use std::fs;

/// What is expected of one test.
pub enum Expected {
    /// The whole native outcome.
    Outcome(Outcome),
    /// The recorded digest of it.
    Digest(String),
}

/// Runs the test natively (recording it if `BLESS` is set), or reads the recording. `maker`: whose processors alone give what xemu's guests see.
pub fn expected_of(context: &Context, name: &str, maker: Option<&str>, native: impl FnOnce() -> Result<Run>) -> Result<Expected> {
    if maker.is_none_or(project::processor_is_made_by) {
        return expected(context, name, native);
    }
    recording(name).map(Expected::Digest)
}

/// What was recorded of a test.
pub fn recorded(name: &str) -> Result<Expected> {
    recording(name).map(Expected::Digest)
}

fn recording(name: &str) -> Result<String> {
    let path = path(name);
    fs::read_to_string(&path).map_err(|e| format!("no recorded expectation, {}: {e}", path.display()))
}

fn path(name: &str) -> std::path::PathBuf {
    project::root().join("fixtures/expected").join(name)
}

/// The same for what all processors give.
pub fn expected(context: &Context, name: &str, native: impl FnOnce() -> Result<Run>) -> Result<Expected> {
    if !project::HOST_IS_X86 {
        return recording(name).map(Expected::Digest);
    }
    let path = path(name);
    let Run { outcome, time } = native()?;
    if context.options.show {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        println!("== {name} natively: {}, {:.2} s\n{}== stderr\n{}", outcome.end, time.as_secs_f64(), text(&outcome.stdout), text(&outcome.stderr));
    }
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("has a folder")).map_err(|e| format!("{}: {e}", path.display()))?;
        fs::write(&path, digest(&outcome)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(Expected::Outcome(outcome))
}

impl Expected {
    /// What differs, if anything does.
    pub fn difference(&self, got: &Outcome) -> Option<String> {
        let got = &Outcome { stderr: without_runner(&got.stderr), ..got.clone() };
        match self {
            Self::Outcome(want) => got.difference(want),
            Self::Digest(want) if digest(got) == *want => None,
            Self::Digest(want) => {
                Some(format!("  got {}  expected {want}  stdout:\n{}\n  stderr:\n{}", digest(got), head(&got.stdout), head(&got.stderr)))
            }
        }
    }
}

/// qemu-user, where it runs xemu, writes a line of its own when a process of the guest dies by a signal.
fn without_runner(stderr: &[u8]) -> Vec<u8> {
    const ITS: &[u8] = b"qemu: uncaught target signal ";
    let kept = |line: &&[u8]| !(project::HOST_IS_X86 && line.starts_with(ITS));
    stderr.split_inclusive(|b| *b == b'\n').filter(kept).collect::<Vec<_>>().concat()
}

fn head(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned()
}

fn digest(outcome: &Outcome) -> String {
    let stream = |b: &[u8]| format!("{:016x}/{}", fnv(b), b.len());
    format!("{} stdout {} stderr {}\n", outcome.end, stream(&outcome.stdout), stream(&outcome.stderr))
}

/// FNV-1a: enough to notice a difference, and nothing to depend on.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
