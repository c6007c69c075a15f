//! The end of guest threads.

use super::task::Task;
use crate::host::process;

/// Ends the calling thread with `status`.
pub fn end(task: Task, status: u64) -> ! {
    crate::host::signals::block_all();
    drop(task);
    process::exit_thread(status)
}
