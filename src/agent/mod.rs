//! `xemu agent`: what stays behind on a node of a cluster once xemu is registered there. It is the container that keeps the pod alive, its readiness
//! (`/readyz`, which runs an x86_64 program), its liveness (`/healthz`) and its metrics (`/metrics`, in Prometheus' text format): the image holds
//! nothing else that could be.
//!
//! It needs no privilege and no view of binfmt_misc: whether x86_64 programs run, and by whom, it finds out by running one.

#![forbid(unsafe_code)]

mod health;
mod http;

use crate::commands::Done;
use health::Health;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::PathBuf;

const USAGE: &str = "\
usage: xemu agent [--listen ADDRESS:PORT] [--copies DIR] [--check]
  --listen ADDRESS:PORT  where it answers /healthz, /readyz and /metrics (0.0.0.0:9467)
  --copies DIR           where `xemu binfmt install --copy-to DIR` put the registered copy (/run/xemu)
  --check                no server: exit code 0 if x86_64 programs are run by xemu, 1 if not
";

/// The command: returns when it is told to end (SIGTERM, SIGINT).
pub fn command(args: &[String]) -> Result<Done, String> {
    let (mut listen, mut copies, mut check) = ("0.0.0.0:9467".to_string(), PathBuf::from("/run/xemu"), false);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let (name, inline) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v.to_string())));
        let mut value = || inline.clone().or_else(|| words.next().cloned()).ok_or_else(|| format!("option {name} needs a value\n{USAGE}"));
        match name {
            "--listen" => listen = value()?,
            "--copies" => copies = value()?.into(),
            "--check" => check = true,
            "--help" => return Ok(Done::text(USAGE)),
            _ => return Err(format!("unknown option {word}\n{USAGE}")),
        }
    }
    let mut health = Health::new(copies);
    if check {
        let state = health.now();
        return Ok(Done { text: format!("{}\n", state.said()), failed: !state.ready() });
    }
    serve(&listen, &mut health)?;
    Ok(Done::text(""))
}

fn serve(listen: &str, health: &mut Health) -> Result<(), String> {
    let failed = |e: nix::errno::Errno| e.to_string();
    // As process 1 of a container nothing else would end us.
    let mut signals = SigSet::empty();
    [Signal::SIGTERM, Signal::SIGINT].into_iter().for_each(|s| signals.add(s));
    signals.thread_block().map_err(failed)?;
    let ended = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(failed)?;
    let listener = TcpListener::bind(listen).map_err(|e| format!("{listen}: {e}"))?;
    eprintln!("xemu agent: {}; listening on {listen}", health.now().said());
    loop {
        let mut waiting = [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.to_string()),
        }
        if waiting[1].any() == Some(true) {
            return Ok(());
        }
        if waiting[0].any() == Some(true)
            && let Ok((stream, _)) = listener.accept()
        {
            // A client that goes away is its own affair.
            let _ = http::answer(stream, |path| respond(path, health));
        }
    }
}

/// Status and text for a path; None: there is no such.
fn respond(path: &str, health: &mut Health) -> Option<(u16, String)> {
    match path {
        "/healthz" => Some((200, "ok\n".into())),
        "/readyz" => {
            let state = health.now();
            Some((if state.ready() { 200 } else { 503 }, format!("{}\n", state.said())))
        }
        "/metrics" => {
            health.now();
            Some((200, health.metrics()))
        }
        _ => None,
    }
}

#[test]
fn options_are_checked_before_anything_is_done() {
    for bad in [&["--nonsense"][..], &["--listen"]] {
        assert!(command(&bad.iter().map(|s| s.to_string()).collect::<Vec<_>>()).is_err());
    }
    let mut health = Health::new("/nonexistent".into());
    assert_eq!(respond("/healthz", &mut health).unwrap().0, 200);
    assert_eq!(respond("/other", &mut health), None);
}
