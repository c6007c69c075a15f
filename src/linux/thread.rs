//! Guest threads: a host thread each, with a processor of its own.

use super::task::Task;
use crate::guest::{Addr, Gpr};
use crate::host::spawn::{self, Clone};
use crate::host::signals;
use crate::host::sys::Errno;

/// What clone(2) and clone3(2) ask for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// CLONE_ flags, with CLONE_VM; the low byte is the exit signal.
    pub flags: u64,
    /// The new thread's stack pointer; 0: the caller's.
    pub stack: u64,
    /// CLONE_PARENT_SETTID's address, or CLONE_PIDFD's.
    pub parent_tid: u64,
    /// CLONE_CHILD_SETTID's and CLONE_CHILD_CLEARTID's address.
    pub child_tid: u64,
    /// CLONE_SETTLS's base.
    pub tls: u64,
}

/// Makes a thread of the calling process; its id is returned.
pub fn create(task: &mut Task, request: Request) -> Result<u64, Errno> {
    const SETTLS: u64 = libc::CLONE_SETTLS as u64;
    let flag = |f: i32| request.flags & f as u64 != 0;
    let process = task.process.clone();
    // From now on memory is seen by two.
    process.engine.set_ordered();
    process.mm.set_threaded();
    let mut thread = process.engine.thread()?;
    thread.copy_state(task.thread.state());
    let state = thread.state();
    state.set(Gpr::Rax, 0);
    if request.stack != 0 {
        state.set(Gpr::Rsp, request.stack);
    }
    if flag(libc::CLONE_SETTLS) {
        state.fs_base = request.tls;
    }
    let sighand = if flag(libc::CLONE_SIGHAND) { task.sighand.clone() } else { task.sighand.duplicate() };
    let blocked = task.signals.blocked;
    let cleared = if flag(libc::CLONE_CHILD_CLEARTID) { request.child_tid } else { 0 };
    let body = Box::new(move |stack| {
        let mut task = Task::new(thread, process, sighand, crate::host::process::tid(), blocked);
        task.clear_child_tid = Addr(cleared);
        task.stack = Some(stack);
        signals::set_mask(blocked);
        super::run(task)
    });
    let clone = Clone { flags: request.flags & !SETTLS, parent_tid: request.parent_tid, child_tid: request.child_tid };
    // The new thread cannot take a signal before it has an inbox.
    signals::block_all();
    let made = spawn::spawn(clone, body);
    signals::set_mask(blocked);
    made
}

/// Ends the calling thread with `status`.
pub fn end(mut task: Task, status: u64) -> ! {
    signals::block_all();
    let stack = task.stack.take();
    drop(task);
    spawn::end(stack, status)
}
