//! Whether x86_64 programs run on this node, and by this xemu: found out by running one, and told as one line or as metrics.

use crate::binfmt::copy;
use crate::doctor::selftest::{self, Ran};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a result counts: probes and scrapers come often, and each would run the program.
const FRESH: Duration = Duration::from_secs(3);

/// What running the program gave.
#[derive(Clone, Debug)]
pub struct State {
    ran: Result<Ran, String>,
    /// The copy of ours that ran it: its version; None if it was not one of ours.
    ours: Option<String>,
}

impl State {
    /// Programs run, and xemu runs them.
    pub fn ready(&self) -> bool {
        self.ran.is_ok() && self.ours.is_some()
    }

    /// One line.
    pub fn said(&self) -> String {
        let handler = |ran: &Ran| ran.handler.as_ref().map_or("something unknown".into(), |h| h.display().to_string());
        match (&self.ran, &self.ours) {
            (Ok(ran), Some(version)) => format!("ready: an x86_64 program ran in {:.1} ms, by xemu {version}", ran.time.as_secs_f64() * 1e3),
            (Ok(ran), None) => format!("not ready: x86_64 programs are run by {}, not by xemu", handler(ran)),
            (Err(e), _) => format!("not ready: an x86_64 program does not run: {e}"),
        }
    }
}

/// The last state, and counts.
pub struct Health {
    copies: PathBuf,
    last: Option<(Instant, State)>,
    runs: u64,
    failures: u64,
}

impl Health {
    /// Nothing is known yet; `copies` is the folder of registered copies.
    pub fn new(copies: PathBuf) -> Health {
        Health { copies, last: None, runs: 0, failures: 0 }
    }

    /// The state, found out anew if it is not fresh.
    pub fn now(&mut self) -> State {
        if let Some((at, state)) = &self.last
            && at.elapsed() < FRESH
        {
            return state.clone();
        }
        let ran = selftest::run();
        let ours = ran.as_ref().ok().and_then(|r| self.version_of(r));
        let state = State { ran, ours };
        self.runs += 1;
        self.failures += u64::from(!state.ready());
        self.last = Some((Instant::now(), state.clone()));
        state
    }

    /// The version of the xemu that ran the program: a copy in the folder, or this very file.
    fn version_of(&self, ran: &Ran) -> Option<String> {
        let inode = ran.inode?;
        let is = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| (m.dev(), m.ino()) == inode);
        let mut copies = fs::read_dir(&self.copies).into_iter().flatten().flatten().map(|e| e.path());
        if let Some(found) = copies.find(is) {
            return Some(copy::version_of(&found).unwrap_or("unknown").into());
        }
        is(&"/proc/self/exe".into()).then(|| env!("CARGO_PKG_VERSION").into())
    }

    /// Prometheus' text format 0.0.4.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, labels: &str, value: f64| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}");
        };
        let Some((_, state)) = &self.last else { return text };
        let registered = state.ran.as_ref().map_or_else(|e| !e.contains("Exec format error"), |_| true);
        let version = state.ours.as_deref().unwrap_or("");
        metric("xemu_agent_info", "gauge", "Version of this agent.", &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0);
        metric("xemu_registered", "gauge", "Whether the kernel gives x86_64 programs to some handler.", "", f64::from(u8::from(registered)));
        metric("xemu_handler_info", "gauge", "Whether that handler is xemu, and its version.", &format!("{{version=\"{version}\"}}"), f64::from(u8::from(state.ours.is_some())));
        metric("xemu_selftest_success", "gauge", "Whether the last x86_64 program ran, by xemu.", "", f64::from(u8::from(state.ready())));
        if let Ok(ran) = &state.ran {
            metric("xemu_selftest_duration_seconds", "gauge", "From execve of that program to its output.", "", ran.time.as_secs_f64());
        }
        metric("xemu_selftest_runs_total", "counter", "Programs run.", "", self.runs as f64);
        metric("xemu_selftest_failures_total", "counter", "Those that did not run by xemu.", "", self.failures as f64);
        text
    }
}

#[test]
fn states_are_told_in_one_line_and_as_metrics() {
    let ran = Ran { processor: "x".into(), time: Duration::from_millis(2), handler: Some("/usr/bin/qemu".into()), inode: None };
    let told = |ran: Result<Ran, String>, ours: Option<&str>| {
        let state = State { ran, ours: ours.map(str::to_string) };
        let health = Health { copies: "/".into(), last: Some((Instant::now(), state.clone())), runs: 2, failures: 1 };
        (state.ready(), state.said(), health.metrics())
    };
    let (ready, said, metrics) = told(Ok(ran.clone()), Some("0.1.0"));
    assert!(ready && said.contains("2.0 ms, by xemu 0.1.0"), "{said}");
    assert!(metrics.contains("\nxemu_handler_info{version=\"0.1.0\"} 1\n") && metrics.contains("\nxemu_selftest_duration_seconds 0.002\n"), "{metrics}");
    assert_eq!(metrics.matches("# TYPE").count(), metrics.lines().filter(|l| !l.starts_with('#')).count());
    let (ready, said, metrics) = told(Ok(ran), None);
    assert!(!ready && said.contains("run by /usr/bin/qemu, not by xemu") && metrics.contains("\nxemu_registered 1\n"));
    let (ready, _, metrics) = told(Err("Exec format error (os error 8)".into()), None);
    assert!(!ready && metrics.contains("\nxemu_registered 0\n") && metrics.contains("\nxemu_selftest_success 0\n"));
    // Cached: a second question runs nothing.
    let mut health = Health::new("/nonexistent".into());
    health.now();
    health.now();
    assert_eq!(health.runs, 1);
}
