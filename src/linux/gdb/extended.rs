//! What gdb asks about the process as a whole. It can be killed; another one can not be started or attached to here.

use super::target::Inspector;
use crate::host::process as host;
use crate::host::sys::Errno;
use gdbstub::common::Pid;
use gdbstub::target::ext::extended_mode::*;
use gdbstub::target::{TargetError, TargetResult};

impl ExtendedMode for Inspector {
    fn run(&mut self, _filename: Option<&[u8]>, _args: Args<'_, '_>) -> TargetResult<Pid, Self> {
        Err(TargetError::NonFatal)
    }
    fn attach(&mut self, _pid: Pid) -> TargetResult<(), Self> {
        Err(TargetError::NonFatal)
    }
    /// Decides what gdb's `quit` does: kill a program that waited for gdb, as gdbserver's do, or leave one alone that gdb came to.
    fn query_if_attached(&mut self, _pid: Pid) -> TargetResult<AttachKind, Self> {
        let waited = self.process.options.gdb.as_ref().is_some_and(|listen| listen.suspends);
        Ok(if waited { AttachKind::Run } else { AttachKind::Attach })
    }
    fn kill(&mut self, _pid: Option<Pid>) -> TargetResult<ShouldTerminate, Self> {
        Ok(ShouldTerminate::Yes)
    }
    fn restart(&mut self) -> Result<(), Errno> {
        Ok(())
    }
    fn support_current_active_pid(&mut self) -> Option<CurrentActivePidOps<'_, Self>> {
        Some(self)
    }
}

impl CurrentActivePid for Inspector {
    fn current_active_pid(&mut self) -> Result<Pid, Errno> {
        Pid::new(host::pid() as usize).ok_or(Errno(libc::ESRCH))
    }
}
