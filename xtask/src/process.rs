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

/// What qemu-user says when it dies of a fault in code of its own, no translated code, at memory that is there.
const HOST_DIED: &[u8] = b"QEMU internal SIGSEGV {code=ACCERR";

/// Runs what a qemu-user runs that may die of itself: up to three times, until it did not.
///
/// Its system calls check that the guest's memory may be written, and write then: where another thread protects the page in between (xemu does
/// when it has translated code there) it dies. An ARM64 program of two threads, mprotect(2) in one and clock_getres(2) in the other, is enough.
/// A kernel says EFAULT there, and xemu makes the call again: guest code_writers, which `tests/e2e/kernel-guests.sh` runs on a kernel.
pub fn run_emulated(mut run: impl FnMut() -> Result<Run, String>) -> Result<Run, String> {
    for _ in 0..2 {
        let got = run()?;
        if !got.outcome.stderr.windows(HOST_DIED.len()).any(|w| w == HOST_DIED) {
            return Ok(got);
        }
        println!("again   qemu-user died in a system call of its own: {}", String::from_utf8_lossy(&got.outcome.stderr).trim_end());
    }
    run()
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

#[test]
fn what_the_host_died_of_runs_again() {
    let one = |stderr: &[u8]| Run { outcome: Outcome { stdout: Vec::new(), stderr: stderr.to_vec(), end: "signal 11".into() }, time: Duration::ZERO };
    let mut runs = vec![one(b"qemu-aarch64: QEMU internal SIGSEGV {code=ACCERR, addr=0x1}"), one(b"other")];
    assert_eq!(run_emulated(|| Ok(runs.remove(0))).unwrap().outcome.stderr, b"other");
    let mut count = 0;
    let died = run_emulated(|| {
        count += 1;
        Ok(one(HOST_DIED))
    });
    assert_eq!((died.unwrap().outcome.stderr.as_slice(), count), (HOST_DIED, 3));
    let mut count = 0;
    let guest_died = run_emulated(|| {
        count += 1;
        Ok(one(b"qemu: uncaught target signal 11 (Segmentation fault) - core dumped"))
    });
    assert_eq!((guest_died.unwrap().outcome.end.as_str(), count), ("signal 11", 1));
}
