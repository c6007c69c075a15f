//! One guest thread.

use super::coredump::Member;
use super::gdb;
use super::process::Process;
use super::signal::{SigHand, Signals};
use crate::engine::Thread;
use crate::guest::Addr;
use crate::host::signals::{self as host, Inbox};
use crate::host::spawn::Stack;
use std::sync::Arc;

/// A guest thread. Owned by the host thread that runs it.
pub struct Task {
    /// What it has of signals. First, so that it is dropped first: the inbox refers to the processor.
    pub signals: Signals,
    /// Dispositions, shared with the other threads of the process.
    pub sighand: Arc<SigHand>,
    /// Its processor.
    pub thread: Thread,
    /// Its process.
    pub process: Arc<Process>,
    /// Its place among the threads of the process.
    pub member: Member,
    /// Its id, as gettid(2) gives it.
    pub tid: i32,
    /// Word that the kernel clears and wakes when the thread ends (set_tid_address); 0: none.
    pub clear_child_tid: Addr,
    /// Head and length of its robust futex list (set_robust_list).
    pub robust_list: (Addr, u64),
    /// The host's stack that it runs on; none for the first thread of a process.
    pub stack: Option<Stack>,
    /// What its execve tries.
    pub exec: Option<super::exec::Plan>,
    /// It is debugged.
    pub debugged: Option<gdb::Debugged>,
    /// Set by exit(2): the thread is to end with this status.
    pub ending: Option<u64>,
}

/// An inbox that stops `thread` when something arrives.
pub fn inbox_of(thread: &Thread) -> Box<Inbox> {
    let interrupter = thread.interrupter();
    Inbox::new(Box::new(move |at| interrupter.interrupt_here(at)))
}

impl Task {
    /// A thread of a process, to be called on the host thread that runs it. It blocks what `blocked` says.
    pub fn new(mut thread: Thread, process: Arc<Process>, sighand: Arc<SigHand>, tid: i32, blocked: u64) -> Task {
        let signals = Signals::new(inbox_of(&thread), blocked);
        thread.state().signals = signals.for_stubs();
        let (clear_child_tid, robust_list) = (Addr(0), (Addr(0), 0));
        let member = Member::new(&process, tid);
        let mut task =
            Task { signals, sighand, thread, process, member, tid, clear_child_tid, robust_list, stack: None, exec: None, debugged: None, ending: None };
        gdb::begin(&mut task);
        task
    }

    /// The first thread of a process, with the mask that the host gave us.
    pub fn first(thread: Thread, process: Arc<Process>, sighand: Arc<SigHand>, tid: i32) -> Task {
        let blocked = host::mask();
        let task = Task::new(thread, process, sighand, tid, blocked);
        host::set_mask(blocked);
        task
    }

    /// Frees what is left of a child that ran on our memory and is gone. Called by its parent.
    pub fn abandon(self) {
        let Task { signals, thread, .. } = self;
        signals.abandon();
        drop(thread);
    }

    /// Puts right what fork changes, in the child: it is the only thread of a new process, on a copy of the memory.
    pub fn forked(&mut self, tid: i32) {
        self.tid = tid;
        self.clear_child_tid = Addr(0);
        self.robust_list = (Addr(0), 0);
        gdb::forked(self);
        self.thread.fork_child();
        self.signals.forked();
        self.member.forked(tid);
        super::coredump::inherit(&self.process.threads, &self.sighand);
    }
}
