//! One guest thread.

use super::process::Process;
use crate::engine::Thread;
use crate::guest::Addr;
use std::sync::Arc;

/// A guest thread. Owned by the host thread that runs it.
pub struct Task {
    /// Its processor.
    pub thread: Thread,
    /// Its process.
    pub process: Arc<Process>,
    /// Its id, as gettid(2) gives it.
    pub tid: i32,
    /// Word that the kernel clears and wakes when the thread ends (set_tid_address); 0: none.
    pub clear_child_tid: Addr,
    /// Head and length of its robust futex list (set_robust_list).
    pub robust_list: (Addr, u64),
    /// Blocked signals: bit n-1 is signal n.
    pub blocked: u64,
    /// Alternate signal stack: address, size in bytes, flags (SS_DISABLE = 2 at first).
    pub alternate_stack: (Addr, u64, i32),
}

impl Task {
    /// The first thread of a process.
    pub fn new(thread: Thread, process: Arc<Process>, tid: i32) -> Task {
        Task {
            thread,
            process,
            tid,
            clear_child_tid: Addr(0),
            robust_list: (Addr(0), 0),
            blocked: 0,
            alternate_stack: (Addr(0), 0, libc::SS_DISABLE),
        }
    }

    /// Puts right what fork changes, in the child: it is the only thread of a new process, on a copy of the memory.
    pub fn forked(&mut self, tid: i32) {
        self.tid = tid;
        self.clear_child_tid = Addr(0);
        self.robust_list = (Addr(0), 0);
        self.thread.fork_child();
    }
}
