//! A debugger from outside (`-g`): an ordinary x86_64 gdb, by its remote protocol ([`gdbstub`]), sees the guest as gdbserver would show it on an x86_64 machine.
//!
//! A thread of ours ([`server`]) has the connection; it is there with `-g` only. A guest thread that has something to report ([`Event`]) halts all others and
//! parks: its registers are copied out, changed by the server, and copied back when gdb lets it go on. A thread in translated code leaves it, one in a system
//! call is taken to stand still there, and parks when the call is over. Nobody is signalled. What happens while all are halted waits: signals in the thread's inbox, a
//! second thread's breakpoint in that thread, which reaches it again.

mod extended;
mod files;
mod numbers;
mod registers;
mod server;
mod target;
mod watch;

use super::fds::Reserved;
use super::signal::Catcher;
use super::task::Task;
use crate::engine::{Engine, Exception, Exit, Interrupter};
use crate::guest::{Addr, Gpr};
use crate::host::link;
use crate::host::sys::RESTART;
use crate::host::signals::{self, SigInfo, bit, signo};
use gdbstub::target::ext::breakpoints::WatchKind;
use registers::{Bytes, Call, Finished};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
use watch::Watches;

pub use server::{Listen, spawn, start};

/// What a thread does when gdb lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// It runs.
    Go,
    /// It executes one instruction, and goes on so as long as RIP is within these addresses.
    Step(u64, u64),
    /// It stays where it is.
    Stay,
}

/// Where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Running,
    /// In a system call of this number.
    Calling(u64),
    Parked,
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Breakpoint,
    Stepped,
    /// What is watched was accessed.
    Watch(Addr, WatchKind),
    /// A signal is about to be delivered.
    Signal(i32),
    /// Before a system call, or (true) after it.
    Call(u64, bool),
    /// The process ends, with this status.
    Exited(u8),
    /// By this signal.
    Killed(i32),
    /// Nobody is left of those that were to run.
    NobodyRuns,
}

/// A thread as the server sees it.
struct Inferior {
    interrupter: Interrupter,
    place: Place,
    registers: Bytes,
    /// They are to be copied back.
    changed: bool,
    order: Order,
    /// It has reported a signal; and what gdb passes on of it.
    reported: bool,
    passes: Option<i32>,
    /// A signal that gdb has sent to it: nothing to report.
    sent: Option<i32>,
    /// It was taken out of a call.
    kicked: bool,
}

/// System calls to be reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Catch {
    #[default]
    None,
    All,
    Some(BTreeSet<u64>),
}

impl Catch {
    fn has(&self, number: u64) -> bool {
        match self {
            Catch::None => false,
            Catch::All => true,
            Catch::Some(list) => list.contains(&number),
        }
    }
}

#[derive(Default)]
struct State {
    threads: BTreeMap<i32, Inferior>,
    /// All threads are to stand still.
    halted: bool,
    /// Somebody is connected.
    attached: bool,
    /// Why they stand still, and who says so. Taken by the server.
    event: Option<(i32, Event)>,
    catch: Catch,
}

/// What the server and the guest's threads share. Lives as long as the process.
pub struct Debugger {
    /// The same as [`State::halted`], to be looked at often.
    halted: AtomicBool,
    /// This process is the child of the debugged one.
    gone: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    watches: Watches,
    /// The server's descriptors: what wakes it, where it listens, and whom it talks with.
    wakes: Reserved,
    listens: Reserved,
    talks: Reserved,
    engine: &'static Engine,
}

static DEBUGGER: OnceLock<Debugger> = OnceLock::new();

/// A guest thread's side.
#[derive(Clone, Copy)]
pub struct Debugged {
    debugger: &'static Debugger,
    order: Order,
    /// It has executed an instruction of a [`Order::Step`].
    stepped: bool,
    /// A signal that is not to be reported.
    sent: Option<i32>,
    /// The last call that gdb may have seen it inside of.
    finished: Option<Finished>,
}

/// Descriptors that the guest must neither see nor close, if there is a debugger.
pub fn reserved() -> impl Iterator<Item = &'static Reserved> {
    DEBUGGER.get().into_iter().flat_map(|d| [&d.wakes, &d.listens, &d.talks])
}

/// Signals whose default action ends the process: the debugger sees them before.
const FATAL: u64 = {
    const OTHERS: [i32; 10] = [
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGTRAP,
    ];
    let (mut fatal, mut i) = (u64::MAX, 0);
    while i < OTHERS.len() {
        fatal &= !bit(OTHERS[i]);
        i += 1;
    }
    fatal | bit(libc::SIGTRAP)
};

impl Debugger {
    fn new(engine: &'static Engine, halted: bool) -> Debugger {
        let none = || Reserved::new(None);
        let state = Mutex::new(State { halted, ..State::default() });
        Debugger { halted: AtomicBool::new(halted), gone: AtomicBool::new(false), state, changed: Condvar::new(), watches: Watches::default(), wakes: none(), listens: none(), talks: none(), engine }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Has all threads stand still; the lock is held.
    fn halt(&self, state: &mut State) {
        state.halted = true;
        self.halted.store(true, Ordering::SeqCst);
        state.threads.values().for_each(|t| t.interrupter.interrupt());
    }

    /// Waits until all do.
    fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while state.threads.values().any(|t| t.place == Place::Running) {
            state = self.wait(state);
        }
        state
    }

    /// Has a thread that waits in a system call park; false if it does not within a second.
    fn fetch(&self, tid: i32) -> bool {
        let mut state = self.lock();
        for _ in 0..100 {
            match state.threads.get_mut(&tid) {
                Some(thread) if thread.place == Place::Parked => return true,
                Some(thread) => thread.kicked = true,
                None => return false,
            }
            signals::kick(tid);
            let waited = self.changed.wait_timeout(state, Duration::from_millis(10));
            state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        false
    }

    /// Lets them go on, as they have been ordered to.
    fn resume(&self, state: &mut State) {
        state.halted = false;
        self.halted.store(false, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Nobody debugs any more: everything runs.
    fn release(&self) {
        self.engine.clear_breakpoints();
        self.watches.clear();
        let mut state = self.lock();
        (state.attached, state.event, state.catch) = (false, None, Catch::None);
        state.threads.values_mut().for_each(|t| t.order = Order::Go);
        self.resume(&mut state);
    }

    fn wake_server(&self) {
        if let Some(fd) = self.wakes.get() {
            link::wake(fd);
        }
    }
}

/// The debugger's part in a thread that begins: it is listed.
pub fn begin(task: &mut Task) {
    let Some(debugger) = task.process.debugger.filter(|d| !d.gone.load(Ordering::Relaxed)) else { return };
    let thread = Inferior {
        interrupter: task.thread.interrupter(),
        place: Place::Running,
        registers: Bytes::default(),
        changed: false,
        order: Order::Go,
        reported: false,
        passes: None,
        sent: None,
        kicked: false,
    };
    debugger.lock().threads.insert(task.tid, thread);
    task.debugged = Some(Debugged { debugger, order: Order::Go, stepped: false, sent: None, finished: None });
}

/// In one that ends with `status`. The process ends with its last one.
pub fn end(task: &mut Task, status: u64) {
    let Some(Debugged { debugger, .. }) = task.debugged else { return };
    if debugger.lock().threads.len() == 1 {
        exiting(task, status);
    }
    let mut state = debugger.lock();
    state.threads.remove(&task.tid);
    debugger.changed.notify_all();
    // It was to be the only one to run.
    let left = state.threads.iter().next().map(|(tid, _)| *tid);
    if let Some(tid) = left
        && state.attached
        && !state.halted
        && state.threads.values().all(|t| t.order == Order::Stay)
    {
        debugger.halt(&mut state);
        state.event = Some((tid, Event::NobodyRuns));
        drop(state);
        debugger.wake_server();
    }
}

/// In the child of a fork: it is not debugged. What the server's thread was about when the parent forked is nobody's any more, so no lock is touched.
pub fn forked(task: &mut Task) {
    let Some(Debugged { debugger, .. }) = task.debugged.take() else { return };
    debugger.gone.store(true, Ordering::Relaxed);
    for fd in [&debugger.wakes, &debugger.listens, &debugger.talks] {
        fd.close();
    }
    debugger.engine.clear_breakpoints();
    task.sighand.catch(Catcher::Debugger, 0);
}

/// A thread parks until it may go on.
fn park(task: &mut Task, call: Call) {
    let Some(debugged) = &task.debugged else { return };
    let (debugger, finished) = (debugged.debugger, debugged.finished);
    let registers = Bytes::of(task.thread.state(), call);
    let mut state = debugger.lock();
    let Some(mine) = state.threads.get_mut(&task.tid) else { return };
    (mine.place, mine.registers, mine.changed) = (Place::Parked, registers, false);
    debugger.changed.notify_all();
    while state.halted || state.threads.get(&task.tid).is_some_and(|t| t.order == Order::Stay) {
        state = debugger.wait(state);
    }
    let Some(mine) = state.threads.get_mut(&task.tid) else { return };
    mine.place = Place::Running;
    let (order, sent) = (mine.order, mine.sent.take());
    if mine.changed {
        mine.registers.put_into(task.thread.state(), call, finished);
    }
    drop(state);
    if let Some(debugged) = &mut task.debugged {
        (debugged.order, debugged.stepped, debugged.sent) = (order, false, sent);
    }
}

/// A thread reports `event` and parks. What gdb passes on of a signal is returned; where nobody is connected, all of it.
fn report(task: &mut Task, event: Event, call: Call) -> Option<i32> {
    let passed = if let Event::Signal(signal) = event { Some(signal) } else { None };
    let Some(Debugged { debugger, .. }) = task.debugged else { return passed };
    let tid = task.tid;
    loop {
        let mut state = debugger.lock();
        if !state.attached {
            if let Some(debugged) = &mut task.debugged {
                debugged.order = Order::Go;
            }
            return passed;
        }
        if !state.halted {
            if let Some(mine) = state.threads.get_mut(&tid) {
                (mine.reported, mine.passes) = (passed.is_some(), None);
            }
            state.event = Some((tid, event));
            debugger.halt(&mut state);
            break;
        }
        drop(state);
        if matches!(event, Event::Breakpoint | Event::Stepped) {
            // It is found again, if it is still there; and gdb says again whether to step.
            return None;
        }
        park(task, call);
        if let Event::Watch(at, kind) = event
            && !debugger.watches.has(at, kind)
        {
            return None;
        }
    }
    debugger.wake_server();
    park(task, call);
    let mut state = debugger.lock();
    if !state.attached {
        return passed;
    }
    state.threads.get_mut(&tid).and_then(|mine| mine.passes.take())
}

/// Runs the thread as gdb wants it, up to something that is not gdb's affair.
pub fn run(task: &mut Task) -> Exit {
    loop {
        let Some(Debugged { debugger, order, stepped, .. }) = task.debugged else { return task.thread.run() };
        if debugger.halted.load(Ordering::SeqCst) || order == Order::Stay {
            park(task, Call::None);
            continue;
        }
        let rip = task.thread.state().rip;
        let exit = match order {
            Order::Step(start, end) => {
                let met = stepped && debugger.engine.has_breakpoint(Addr(rip));
                if met || stepped && !(start..end).contains(&rip) {
                    report(task, if met { Event::Breakpoint } else { Event::Stepped }, Call::None);
                    // If somebody else was first it goes on when it is told to.
                    set_stepped(task, false);
                    continue;
                }
                step(task)
            }
            _ if !debugger.watches.any() => task.thread.run(),
            _ if debugger.engine.has_breakpoint(Addr(rip)) => {
                report(task, Event::Breakpoint, Call::None);
                continue;
            }
            _ => step(task),
        };
        if exit == Exit::Exception(Exception::Breakpoint) {
            let at = Addr(task.thread.state().rip.wrapping_sub(1));
            if debugger.engine.has_breakpoint(at) && order == Order::Go {
                task.thread.state().rip = at.0;
                report(task, Event::Breakpoint, Call::None);
                continue;
            }
        }
        return exit;
    }
}

fn set_stepped(task: &mut Task, stepped: bool) {
    if let Some(debugged) = &mut task.debugged {
        debugged.stepped = stepped;
    }
}

/// One instruction; and a watchpoint that it hit is reported.
fn step(task: &mut Task) -> Exit {
    let (exit, hit) = watch::step(task);
    set_stepped(task, exit != Some(Exit::Interrupt));
    if let Some((at, kind)) = hit {
        report(task, Event::Watch(at, kind), Call::None);
    }
    exit.unwrap_or(Exit::Interrupt)
}

/// A process that runs on the memory of one that is debugged (vfork) goes over breakpoints as if there were none.
pub fn step_over(task: &mut Task) -> Option<Exit> {
    let at = Addr(task.thread.state().rip.wrapping_sub(1));
    if task.debugged.is_some() || !task.process.engine.has_breakpoint(at) {
        return Some(Exit::Exception(Exception::Breakpoint));
    }
    task.thread.state().rip = at.0;
    task.thread.step_one()
}

/// Is the thread to stand still?
pub fn is_halted(task: &Task) -> bool {
    task.debugged.is_some_and(|d| d.debugger.halted.load(Ordering::SeqCst))
}

/// The thread makes a system call; gdb may have changed which.
pub fn before_call(task: &mut Task, number: u64) {
    let Some(Debugged { debugger, .. }) = task.debugged else { return };
    if debugger.lock().catch.has(number) {
        report(task, Event::Call(number, false), Call::Entry(number));
    }
    let number = task.thread.state().get(Gpr::Rax);
    let registers = Bytes::of(task.thread.state(), Call::Inside(number));
    let mut state = debugger.lock();
    if let Some(mine) = state.threads.get_mut(&task.tid) {
        (mine.place, mine.registers) = (Place::Calling(number), registers);
        debugger.changed.notify_all();
    }
}

/// The call is over.
pub fn after_call(task: &mut Task, number: u64) {
    let Some(Debugged { debugger, .. }) = task.debugged else { return };
    let mut state = debugger.lock();
    let (halted, caught) = (state.halted, state.catch.has(number));
    let Some(mine) = state.threads.get_mut(&task.tid) else { return };
    mine.place = Place::Running;
    let (order, sent, kicked) = (mine.order, mine.sent.take(), std::mem::take(&mut mine.kicked));
    drop(state);
    let waits = task.signals.any();
    let registers = task.thread.state();
    if kicked && !waits && registers.get(Gpr::Rax) as i64 == -i64::from(libc::EINTR) && !TELL_OF_STOPS.contains(&number) {
        registers.set(Gpr::Rax, -i64::from(RESTART.0) as u64);
    }
    let finished = (number, registers.rip, registers.get(Gpr::Rax));
    // It may have been told something meanwhile.
    if let Some(debugged) = &mut task.debugged {
        (debugged.order, debugged.stepped, debugged.sent, debugged.finished) = (order, order != Order::Go, sent, Some(finished));
    }
    if halted {
        park(task, Call::Over(number));
    }
    if caught {
        report(task, Event::Call(number, true), Call::Over(number));
    }
}

/// Calls that end with EINTR when a process was stopped and goes on (signal(7)); others are restarted by the kernel: epoll_wait, io_getevents, rt_sigtimedwait,
/// epoll_pwait, epoll_pwait2. Those with a time to wait begin it anew here.
const TELL_OF_STOPS: &[u64] = &[232, 208, 128, 281, 441];

/// A signal is about to be delivered: false if gdb keeps it; it may be another one.
pub fn signalled(task: &mut Task, info: &mut SigInfo) -> bool {
    let signal = signo(info);
    match &mut task.debugged {
        Some(debugged) if debugged.sent == Some(signal) => {
            debugged.sent = None;
            return true;
        }
        Some(_) => {}
        None => return true,
    }
    let passed = report(task, Event::Signal(signal), Call::None);
    if passed.is_some() && task.debugged.is_some_and(|d| d.order != Order::Go) {
        // Its handler's first instruction is where the step ends.
        set_stepped(task, true);
    }
    match passed {
        Some(other) if other != signal => {
            *info = [0; 16];
            info[0] = other as u64;
            true
        }
        passed => passed.is_some(),
    }
}

/// The process is about to end with `status`.
pub fn exiting(task: &mut Task, status: u64) {
    report(task, Event::Exited(status as u8), Call::None);
}

/// It is about to die of `signal`.
pub fn dying(task: &mut Task, signal: i32) {
    report(task, Event::Killed(signal), Call::None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_the_process_is_seen_before() {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS, libc::SIGALRM, libc::SIGPIPE, 34, 64] {
            assert!(FATAL & bit(signal) != 0, "{signal}");
        }
        for signal in [libc::SIGCHLD, libc::SIGCONT, libc::SIGWINCH, libc::SIGTSTP, libc::SIGKILL, libc::SIGSTOP] {
            assert!(FATAL & bit(signal) == 0, "{signal}");
        }
    }

    #[test]
    fn system_calls_are_caught_by_number() {
        assert!(!Catch::None.has(1) && Catch::All.has(1));
        let some = Catch::Some([1, 60].into());
        assert!(some.has(60) && !some.has(2));
    }
}
