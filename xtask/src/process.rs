//! Runs a program to its end or to a time limit, and keeps what it wrote.

use crate::project;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes written to file descriptor 1.
    pub stdout: Vec<u8>,
    /// Bytes written to file descriptor 2.
    pub stderr: Vec<u8>,
    /// How it ended: `exit N`, `signal N` or `time limit`.
    pub end: String,
}

/// A finished run and how long it took.
pub struct Run {
    /// What the program did.
    pub outcome: Outcome,
    /// Wall-clock time.
    pub time: Duration,
}

/// Runs `command` in its own process group without input; kills the group at `limit`.
///
/// Output goes to files rather than pipes, so that a program left in the background cannot hold us.
pub fn run(mut command: Command, limit: Duration) -> Result<Run, String> {
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    let dir = project::target("tmp").join(format!("run-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
    fs::create_dir_all(&dir).map_err(failed)?;
    let (out, err) = (dir.join("stdout"), dir.join("stderr"));
    command.stdin(Stdio::null()).stdout(File::create(&out).map_err(failed)?).stderr(File::create(&err).map_err(failed)?).process_group(0);
    let start = Instant::now();
    let mut child = command.spawn().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    let mut pause = Duration::from_micros(300);
    let end = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break describe(status);
        }
        if start.elapsed() > limit {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            let _ = child.wait();
            break "time limit".into();
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    let time = start.elapsed();
    let outcome = Outcome { stdout: fs::read(&out).map_err(failed)?, stderr: fs::read(&err).map_err(failed)?, end };
    let _ = fs::remove_dir_all(&dir);
    Ok(Run { outcome, time })
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".into(),
    }
}

impl Outcome {
    /// The first difference from `expected`, for a human.
    pub fn difference(&self, expected: &Outcome) -> Option<String> {
        if self == expected {
            return None;
        }
        let mut text = String::new();
        if self.end != expected.end {
            text += &format!("  ended with {}, expected {}\n", self.end, expected.end);
        }
        for (name, got, want) in [("stdout", &self.stdout, &expected.stdout), ("stderr", &self.stderr, &expected.stderr)] {
            if got != want {
                text += &first_difference(name, got, want);
            }
        }
        Some(text)
    }
}

fn first_difference(name: &str, got: &[u8], want: &[u8]) -> String {
    let show = |line: Option<&&[u8]>| {
        line.map_or("(nothing)".into(), |l| String::from_utf8_lossy(l).chars().take(200).flat_map(char::escape_debug).collect::<String>())
    };
    let (got, want): (Vec<_>, Vec<_>) = (got.split(|&b| b == b'\n').collect(), want.split(|&b| b == b'\n').collect());
    let at = got.iter().zip(&want).take_while(|(g, w)| g == w).count();
    format!("  {name} line {}:\n    got      {}\n    expected {}\n", at + 1, show(got.get(at)), show(want.get(at)))
}
