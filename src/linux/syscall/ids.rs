//! Process and user ids: nearly all pass.

use super::{Result, host_call};
use crate::linux::task::Task;

/// getpgrp(2): getpgid(0).
pub fn getpgrp(task: &mut Task, _: [u64; 6]) -> Result {
    host_call(task, libc::SYS_getpgid, [0; 6])
}
