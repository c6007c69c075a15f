//! Guest threads: a host thread each, with a processor of its own. And children that borrow the memory of a parent that waits (vfork).

use super::coredump;
use super::gdb;
use super::task::Task;
use crate::engine::Thread;
use crate::guest::{Addr, Gpr};
use crate::host::spawn::{self, Clone};
use crate::host::signals;
use crate::host::sys::Errno;
use std::sync::Arc;

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
    /// CLONE_CLEAR_SIGHAND: handlers become default actions in the child.
    pub clear_handlers: bool,
}

/// Makes a thread of the calling process; its id is returned.
pub fn create(task: &mut Task, request: Request) -> Result<u64, Errno> {
    const SETTLS: u64 = libc::CLONE_SETTLS as u64;
    let flag = |f: i32| request.flags & f as u64 != 0;
    let process = task.process.clone();
    // From now on memory is seen by two.
    process.engine.set_ordered();
    process.mm.set_threaded();
    let thread = processor(task, &request)?;
    let sighand = if flag(libc::CLONE_SIGHAND) { task.sighand.clone() } else { task.sighand.duplicate() };
    let blocked = task.signals.blocked();
    let cleared = if flag(libc::CLONE_CHILD_CLEARTID) { request.child_tid } else { 0 };
    let body = Box::new(move |stack| {
        process.engine.begin_thread();
        let mut task = Task::new(thread, process, sighand, crate::host::process::tid(), blocked);
        task.clear_child_tid = Addr(cleared);
        task.stack = Some(stack);
        signals::set_mask(blocked);
        // Another thread has begun to die before this one could hear of it.
        if task.process.threads.is_dying() {
            coredump::stand(&mut task, None);
        }
        let status = super::run(&mut task);
        end(task, status)
    });
    let clone = Clone { flags: request.flags & !SETTLS, parent_tid: request.parent_tid, child_tid: request.child_tid };
    // The new thread cannot take a signal before it has an inbox.
    signals::block_all();
    let made = spawn::spawn(clone, body);
    signals::set_mask(blocked);
    made
}

/// A processor for the new thread, in the state that it begins with.
fn processor(task: &mut Task, request: &Request) -> Result<Thread, Errno> {
    let mut thread = task.process.engine.thread()?;
    thread.copy_state(task.thread.state());
    let state = thread.state();
    state.set(Gpr::Rax, 0);
    if request.stack != 0 {
        state.set(Gpr::Rsp, request.stack);
    }
    if request.flags & libc::CLONE_SETTLS as u64 != 0 {
        state.fs_base = request.tls;
    }
    Ok(thread)
}

/// Makes a process that runs on the caller's memory while the caller waits, until it executes a program or ends; its id is returned.
/// Memory is seen by no more threads at once than before, so accesses stay as they are. To be called where
/// [`spawn::lends_memory`] says so.
pub fn lend(task: &mut Task, request: Request) -> Result<u64, Errno> {
    const SETTLS: u64 = libc::CLONE_SETTLS as u64;
    let flag = |f: i32| request.flags & f as u64 != 0;
    let thread = processor(task, &request)?;
    // Limits and descriptors of the child are its own.
    let process = Arc::new(task.process.duplicate());
    let shared = flag(libc::CLONE_SIGHAND);
    let sighand = if shared { task.sighand.clone() } else { task.sighand.duplicate() };
    let (blocked, alternate) = (task.signals.blocked(), task.signals.alternate());
    let cleared = if flag(libc::CLONE_CHILD_CLEARTID) { request.child_tid } else { 0 };
    let clear = request.clear_handlers;
    let make = Box::new(move || {
        if clear {
            sighand.clear();
        }
        let mut task = Task::new(thread, process, sighand, crate::host::process::tid(), blocked);
        task.clear_child_tid = Addr(cleared);
        task.signals.replace_alternate(alternate);
        if !shared {
            coredump::inherit(&task.process.threads, &task.sighand);
        }
        signals::set_mask(blocked);
        task
    });
    let clone = Clone { flags: request.flags & !SETTLS, parent_tid: request.parent_tid, child_tid: request.child_tid };
    signals::block_all();
    let made = coredump::away(task, |_| spawn::lend(clone, make, super::run));
    // The child's limits on memory are gone with it.
    task.process.apply_limits();
    signals::set_mask(blocked);
    let (pid, child) = made?;
    if let Some(child) = child {
        child.abandon();
    }
    Ok(pid)
}

/// Ends the calling thread with `status`.
pub fn end(mut task: Task, status: u64) -> ! {
    gdb::end(&mut task, status);
    signals::block_all();
    let stack = task.stack.take();
    drop(task);
    spawn::end(stack, status)
}
