//! The connection: where to listen, the thread that waits there, and the protocol's course.

use super::target::Inspector;
use super::{DEBUGGER, Debugger, Event, FATAL, Order, Place, numbers};
use crate::host::file;
use crate::host::spawn::{self, Clone};
use crate::host::sys::Errno;
use crate::host::{link, process as host, signals};
use crate::linux::process::Process;
use crate::linux::signal::{Catcher, SigHand};
use gdbstub::conn::{Connection, ConnectionExt};
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event as Happened, WaitForStopReasonError};
use gdbstub::stub::{DisconnectReason, GdbStub, MultiThreadStopReason};
use gdbstub::target::ext::catch_syscalls::CatchSyscallPosition;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

/// What `-g` says: `[HOST:]PORT` or a Unix socket's PATH, and `,suspend=n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    place: Where,
    /// The program begins only when gdb has connected.
    pub suspends: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Where {
    Tcp(String),
    Unix(PathBuf),
}

impl Listen {
    /// From the option. Without a host only this machine's programs can connect; `%d` in a path becomes the process id.
    pub fn parse(text: &str) -> Result<Listen, String> {
        let (place, suspends) = match text.rsplit_once(",suspend=") {
            None => (text, true),
            Some((place, "y" | "on" | "yes")) => (place, true),
            Some((place, "n" | "off" | "no")) => (place, false),
            Some((_, other)) => return Err(format!("suspend={other}: y or n")),
        };
        let port = |text: &str| text.parse::<u16>().is_ok();
        let place = match place.rsplit_once(':') {
            _ if place.is_empty() => return Err("no port and no path".into()),
            _ if port(place) => Where::Tcp(format!("127.0.0.1:{place}")),
            Some((host, number)) if port(number) && !host.contains('/') => Where::Tcp(if host.is_empty() { format!("127.0.0.1:{number}") } else { place.into() }),
            _ => Where::Unix(place.replace("%d", &host::pid().to_string()).into()),
        };
        Ok(Listen { place, suspends })
    }
}

/// Listens, and starts the thread that waits there. An error says what did not work.
pub fn start(listen: &Listen, process: &mut Process) -> Result<(), String> {
    let opened = match &listen.place {
        Where::Tcp(address) => link::listen_tcp(address).map_err(|e| format!("listening on {address} for gdb: {e}")).map(|(fd, at)| {
            if address.ends_with(":0") {
                file::complain(format!("xemu: gdb connects to {at}\n").as_bytes());
            }
            fd
        }),
        Where::Unix(path) => {
            // One that nobody listens on any more is in the way.
            if std::os::unix::net::UnixStream::connect(path).is_err() && path.symlink_metadata().is_ok_and(|m| std::os::unix::fs::FileTypeExt::is_socket(&m.file_type())) {
                let _ = std::fs::remove_file(path);
            }
            link::listen_unix(path).map_err(|e| format!("listening on {} for gdb: {e}", path.display()))
        }
    }?;
    let event = link::event().map_err(|e| format!("a descriptor for the debugger: {e}"))?;
    let debugger = DEBUGGER.get_or_init(|| Debugger::new(process.engine, listen.suspends));
    debugger.listens.keep(&opened);
    debugger.wakes.keep(&event);
    process.debugger = Some(debugger);
    Ok(())
}

/// The server's thread, for a process that [`start`] was called for; and signals that would end the process without us come to us first.
pub fn spawn(process: &Arc<Process>, sighand: &SigHand) -> Result<(), Errno> {
    const SHARED: i32 = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SYSVSEM;
    let Some(debugger) = process.debugger else { return Ok(()) };
    sighand.catch(Catcher::Debugger, FATAL);
    let process = process.clone();
    let body = Box::new(move |stack| {
        serve(debugger, process);
        spawn::end(Some(stack), 0)
    });
    // The guest's signals are not for it.
    let before = signals::block_all();
    let made = spawn::spawn(Clone { flags: SHARED as u64, parent_tid: 0, child_tid: 0 }, body);
    signals::set_mask(before);
    made.map(drop)
}

/// One debugger after another.
fn serve(debugger: &'static Debugger, process: Arc<Process>) {
    while let Some(listener) = debugger.listens.get() {
        let Ok(connection) = link::accept(listener) else { break };
        debugger.talks.keep(&connection);
        drop(connection);
        {
            let mut state = debugger.lock();
            state.attached = true;
            state.event = None;
            debugger.halt(&mut state);
        }
        drop(debugger.settled());
        let mut target = Inspector::new(debugger, process.clone());
        let stub = GdbStub::builder(Link { debugger, came: Vec::new(), read: 0, goes: Vec::new() }).packet_buffer_size(PACKET).build();
        let end = match stub {
            Ok(stub) => stub.run_blocking::<Loop>(&mut target).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        debugger.talks.close();
        match end {
            Ok(DisconnectReason::Kill) => host::kill_process(),
            Ok(_) => {}
            Err(e) => log::warn!("the debugger's connection ended: {e}; the program goes on"),
        }
        debugger.release();
    }
}

/// Bytes of the longest packet.
const PACKET: usize = 0x1_0000;

/// The connection, with what came and has not been looked at, and what has not been sent.
pub struct Link {
    debugger: &'static Debugger,
    came: Vec<u8>,
    read: usize,
    goes: Vec<u8>,
}

impl Link {
    fn fd(&self) -> Result<i32, Errno> {
        self.debugger.talks.get().ok_or(Errno(libc::EBADF))
    }

    /// Waits for something to read; false if the debugger's thread was woken first.
    fn wait(&mut self) -> Result<bool, Errno> {
        if self.read < self.came.len() {
            return Ok(true);
        }
        let Some(wakes) = self.debugger.wakes.get() else { return Ok(true) };
        let [readable, woken] = link::wait([self.fd()?, wakes]);
        if woken {
            link::heed(wakes);
        }
        Ok(readable && !woken)
    }
}

impl Connection for Link {
    type Error = Errno;
    fn write(&mut self, byte: u8) -> Result<(), Errno> {
        self.goes.push(byte);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Errno> {
        let sent = link::send(self.fd()?, &self.goes);
        self.goes.clear();
        sent
    }
}

impl ConnectionExt for Link {
    fn read(&mut self) -> Result<u8, Errno> {
        if self.read == self.came.len() {
            // What was answered before the next question is asked.
            self.flush()?;
            self.came.resize(4096, 0);
            let n = link::receive(self.fd()?, &mut self.came)?;
            self.came.truncate(n);
            self.read = 0;
        }
        let byte = *self.came.get(self.read).ok_or(Errno(libc::ECONNRESET))?;
        self.read += 1;
        Ok(byte)
    }
    fn peek(&mut self) -> Result<Option<u8>, Errno> {
        Ok(self.came.get(self.read).copied())
    }
}

fn id(tid: i32) -> NonZeroUsize {
    NonZeroUsize::new(tid as usize).unwrap_or(NonZeroUsize::MIN)
}

/// What gdb is told.
fn reason((tid, event): (i32, Event)) -> MultiThreadStopReason<u64> {
    let tid = id(tid);
    let signal = |signal| MultiThreadStopReason::SignalWithThread { tid, signal };
    match event {
        Event::Breakpoint => MultiThreadStopReason::SwBreak(tid),
        Event::Watch(at, kind) => MultiThreadStopReason::Watch { tid, kind, addr: at.0 },
        Event::Stepped => signal(numbers::to_gdb(libc::SIGTRAP)),
        Event::Signal(n) => signal(numbers::to_gdb(n)),
        Event::NobodyRuns => signal(numbers::to_gdb(0)),
        Event::Call(number, over) => MultiThreadStopReason::CatchSyscall {
            tid: Some(tid),
            number,
            position: if over { CatchSyscallPosition::Return } else { CatchSyscallPosition::Entry },
        },
        Event::Exited(status) => MultiThreadStopReason::Exited(status),
        Event::Killed(n) => MultiThreadStopReason::Terminated(numbers::to_gdb(n)),
    }
}

/// What happens while the guest runs.
enum Loop {}

impl BlockingEventLoop for Loop {
    type Target = Inspector;
    type Connection = Link;
    type StopReason = MultiThreadStopReason<u64>;

    fn wait_for_stop_reason(target: &mut Inspector, link: &mut Link) -> Result<Happened<Self::StopReason>, WaitForStopReasonError<Errno, Errno>> {
        loop {
            // An event may be older than the last time that the thread was woken. When the process ends nobody is waited for.
            let pending = target.debugger.lock().event;
            let event = match pending {
                None => None,
                Some((_, Event::Exited(_) | Event::Killed(_))) => target.debugger.lock().event.take(),
                Some(_) => target.debugger.settled().event.take(),
            };
            if let Some(event) = event {
                return Ok(Happened::TargetStopped(reason(event)));
            }
            if link.wait().map_err(WaitForStopReasonError::Connection)? {
                return link.read().map(Happened::IncomingData).map_err(WaitForStopReasonError::Connection);
            }
        }
    }

    /// gdb's Ctrl-C: everything stands still, and what a thread has to say at this moment is said instead.
    fn on_interrupt(target: &mut Inspector) -> Result<Option<Self::StopReason>, Errno> {
        let debugger = target.debugger;
        debugger.halt(&mut debugger.lock());
        let mut state = debugger.settled();
        let event = state.event.take();
        // One that runs is more telling than one that waits.
        let someone = state.threads.iter().find(|(_, t)| t.place == Place::Parked && t.order != Order::Stay).or(state.threads.iter().next());
        let interrupted = someone.map(|(tid, _)| (*tid, Event::Signal(libc::SIGINT)));
        Ok(event.or(interrupted).map(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen() {
        let tcp = |text: &str| Ok(Listen { place: Where::Tcp(text.into()), suspends: true });
        assert_eq!(Listen::parse("1234"), tcp("127.0.0.1:1234"));
        assert_eq!(Listen::parse(":1234"), tcp("127.0.0.1:1234"));
        assert_eq!(Listen::parse("0.0.0.0:1234"), tcp("0.0.0.0:1234"));
        assert_eq!(Listen::parse("[::1]:9"), tcp("[::1]:9"));
        assert_eq!(Listen::parse("/run/x:1"), Ok(Listen { place: Where::Unix("/run/x:1".into()), suspends: true }));
        assert_eq!(Listen::parse("sock,suspend=n"), Ok(Listen { place: Where::Unix("sock".into()), suspends: false }));
        assert_eq!(Listen::parse("s%d").unwrap().place, Where::Unix(format!("s{}", host::pid()).into()));
        assert!(Listen::parse("1,suspend=maybe").is_err() && Listen::parse("").is_err());
    }
}
