//! What gdb asks and orders, while the guest stands still.

use super::files::Open;
use super::registers::{Amd64, Bytes, Number};
use super::{Catch, Debugger, Inferior, Order, Place, numbers};
use crate::engine::Pages;
use crate::guest::Addr;
use crate::host::file;
use crate::host::sys::Errno;
use crate::host::{copy, signals};
use crate::linux::process::Process;
use gdbstub::common::{Pid, Signal, Tid};
use gdbstub::target::ext::auxv::{Auxv, AuxvOps};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::*;
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::breakpoints::{Breakpoints, BreakpointsOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint, SwBreakpointOps, WatchKind};
use gdbstub::target::ext::catch_syscalls::{CatchSyscalls, CatchSyscallsOps, SyscallNumbers};
use gdbstub::target::ext::exec_file::{ExecFile, ExecFileOps};
use gdbstub::target::ext::extended_mode::ExtendedModeOps;
use gdbstub::target::ext::host_io::HostIoOps;
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use std::sync::Arc;

/// The guest, as gdb sees it.
pub struct Inspector {
    pub(super) debugger: &'static Debugger,
    pub(super) process: Arc<Process>,
    /// Files that gdb has open here, by its numbers.
    pub(super) files: Vec<Option<Open>>,
    /// Threads that were not mentioned stay where they are.
    locked: bool,
    orders: Vec<(i32, Order, Option<Signal>)>,
}

const REFUSED: TargetError<Errno> = TargetError::Errno(libc::EFAULT as u8);

impl Inspector {
    pub fn new(debugger: &'static Debugger, process: Arc<Process>) -> Inspector {
        Inspector { debugger, process, files: Vec::new(), locked: false, orders: Vec::new() }
    }

    fn with<T>(&self, tid: Tid, act: impl FnOnce(&mut Inferior) -> Option<T>) -> TargetResult<T, Self> {
        self.debugger.lock().threads.get_mut(&(tid.get() as i32)).and_then(act).ok_or(TargetError::NonFatal)
    }

    /// Changes registers. A thread in a system call, where the kernel has them, is taken out of it; it makes the call again.
    fn change(&self, tid: Tid, act: impl FnOnce(&mut Inferior) -> Option<()>) -> TargetResult<(), Self> {
        if !self.debugger.fetch(tid.get() as i32) {
            return Err(TargetError::NonFatal);
        }
        self.with(tid, |t| {
            // gdb may have asked for them, or not yet, while it was in the call.
            t.changed = true;
            act(t)
        })
    }

    /// A piece of guest memory within one page, also where the guest itself may not read it.
    fn read_piece(&self, at: Addr, buf: &mut [u8]) -> bool {
        self.process.mm.page(at).is_some() && (copy::read_bytes(at, buf).is_ok() || file::open(MEMORY, libc::O_RDONLY).and_then(|m| file::pread(m.0, buf, at.0)) == Ok(buf.len()))
    }

    /// The same for writing. What was translated from there is forgotten.
    fn write_piece(&self, at: Addr, bytes: &[u8]) -> bool {
        if !self.process.mm.page(at).is_some() {
            return false;
        }
        let written = copy::write_bytes(at, bytes).is_ok() || file::open(MEMORY, libc::O_WRONLY).and_then(|m| file::pwrite(&m, bytes, at.0)).is_ok();
        self.process.engine.invalidate(at, bytes.len() as u64);
        written
    }
}

/// Through it even pages are written that nobody may write.
const MEMORY: &[u8] = b"/proc/self/mem";
const PAGE: u64 = crate::guest::addr::PAGE_SIZE;

/// Pieces of `at .. at + len` that lie in one page each: offset and length.
fn pieces(at: u64, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let n = (len - done).min((PAGE - at.wrapping_add(done as u64) % PAGE) as usize);
        done += n;
        (n != 0).then_some((done - n, n))
    })
}

impl Target for Inspector {
    type Arch = Amd64;
    type Error = Errno;
    fn base_ops(&mut self) -> BaseOps<'_, Amd64, Errno> {
        BaseOps::MultiThread(self)
    }
    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
    fn support_catch_syscalls(&mut self) -> Option<CatchSyscallsOps<'_, Self>> {
        Some(self)
    }
    fn support_host_io(&mut self) -> Option<HostIoOps<'_, Self>> {
        Some(self)
    }
    fn support_exec_file(&mut self) -> Option<ExecFileOps<'_, Self>> {
        Some(self)
    }
    fn support_extended_mode(&mut self) -> Option<ExtendedModeOps<'_, Self>> {
        Some(self)
    }
    fn support_auxv(&mut self) -> Option<AuxvOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Inspector {
    fn read_registers(&mut self, regs: &mut Bytes, tid: Tid) -> TargetResult<(), Self> {
        *regs = self.with(tid, |t| Some(t.registers.clone()))?;
        Ok(())
    }
    fn write_registers(&mut self, regs: &Bytes, tid: Tid) -> TargetResult<(), Self> {
        self.change(tid, |t| Some(t.registers = regs.clone()))
    }
    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }
    fn read_addrs(&mut self, start: u64, data: &mut [u8], _: Tid) -> TargetResult<usize, Self> {
        let mut read = 0;
        for (from, n) in pieces(start, data.len()) {
            if !self.read_piece(Addr(start.wrapping_add(from as u64)), &mut data[from..from + n]) {
                break;
            }
            read = from + n;
        }
        if read == 0 && !data.is_empty() { Err(REFUSED) } else { Ok(read) }
    }
    fn write_addrs(&mut self, start: u64, data: &[u8], _: Tid) -> TargetResult<(), Self> {
        let written = pieces(start, data.len()).all(|(from, n)| self.write_piece(Addr(start.wrapping_add(from as u64)), &data[from..from + n]));
        if written { Ok(()) } else { Err(REFUSED) }
    }
    fn list_active_threads(&mut self, thread_is_active: &mut dyn FnMut(Tid)) -> Result<(), Errno> {
        self.debugger.lock().threads.keys().filter_map(|tid| Tid::new(*tid as usize)).for_each(thread_is_active);
        Ok(())
    }
    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }
    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<Tid> for Inspector {
    fn read_register(&mut self, tid: Tid, Number(number): Number, buf: &mut [u8]) -> TargetResult<usize, Self> {
        self.with(tid, |t| {
            let bytes = t.registers.get(number)?;
            buf.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(bytes.len())
        })
    }
    fn write_register(&mut self, tid: Tid, Number(number): Number, val: &[u8]) -> TargetResult<(), Self> {
        self.change(tid, |t| t.registers.set(number, val))
    }
}

impl ThreadExtraInfo for Inspector {
    fn thread_extra_info(&self, tid: Tid, buf: &mut [u8]) -> Result<usize, Errno> {
        let name = file::read_all(format!("/proc/self/task/{tid}/comm").as_bytes()).unwrap_or_default();
        let name = name.trim_ascii_end();
        let call = match self.debugger.lock().threads.get(&(tid.get() as i32)).map(|t| t.place) {
            Some(Place::Calling(number)) => crate::linux::syscall::table::row(number).map(|row| format!(" in {}", row.name)),
            _ => None,
        };
        let text = [name, call.unwrap_or_default().as_bytes()].concat();
        let n = text.len().min(buf.len());
        buf[..n].copy_from_slice(&text[..n]);
        Ok(n)
    }
}

impl MultiThreadResume for Inspector {
    fn resume(&mut self) -> Result<(), Errno> {
        let mut state = self.debugger.lock();
        let other = if self.locked { Order::Stay } else { Order::Go };
        state.threads.values_mut().for_each(|t| t.order = other);
        for (tid, order, signal) in self.orders.drain(..) {
            let Some(thread) = state.threads.get_mut(&tid) else { continue };
            thread.order = order;
            let Some(signal) = signal.and_then(numbers::from_gdb) else { continue };
            if thread.reported {
                thread.passes = Some(signal);
            } else {
                thread.sent = Some(signal);
                // It may have ended meanwhile.
                let _ = signals::send(tid, signal);
            }
        }
        state.threads.values_mut().for_each(|t| t.reported = false);
        self.debugger.resume(&mut state);
        Ok(())
    }
    fn clear_resume_actions(&mut self) -> Result<(), Errno> {
        self.orders.clear();
        self.locked = false;
        Ok(())
    }
    fn set_resume_action_continue(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), Errno> {
        self.orders.push((tid.get() as i32, Order::Go, signal));
        Ok(())
    }
    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
    fn support_range_step(&mut self) -> Option<MultiThreadRangeSteppingOps<'_, Self>> {
        Some(self)
    }
    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Inspector {
    fn set_resume_action_step(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), Errno> {
        self.orders.push((tid.get() as i32, Order::Step(0, 0), signal));
        Ok(())
    }
}

impl MultiThreadRangeStepping for Inspector {
    fn set_resume_action_range_step(&mut self, tid: Tid, start: u64, end: u64) -> Result<(), Errno> {
        self.orders.push((tid.get() as i32, Order::Step(start, end), None));
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Inspector {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Errno> {
        self.locked = true;
        Ok(())
    }
}

impl Breakpoints for Inspector {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl HwWatchpoint for Inspector {
    fn add_hw_watchpoint(&mut self, addr: u64, len: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        Ok(self.debugger.watches.add(Addr(addr), len, kind))
    }
    fn remove_hw_watchpoint(&mut self, addr: u64, len: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        Ok(self.debugger.watches.remove(Addr(addr), len, kind))
    }
}

impl SwBreakpoint for Inspector {
    fn add_sw_breakpoint(&mut self, addr: u64, _kind: usize) -> TargetResult<bool, Self> {
        let there = self.process.mm.page(Addr(addr)).is_some();
        if there {
            self.process.engine.set_breakpoint(Addr(addr));
        }
        Ok(there)
    }
    fn remove_sw_breakpoint(&mut self, addr: u64, _kind: usize) -> TargetResult<bool, Self> {
        self.process.engine.clear_breakpoint(Addr(addr));
        Ok(true)
    }
}

impl CatchSyscalls for Inspector {
    fn enable_catch_syscalls(&mut self, filter: Option<SyscallNumbers<'_, u64>>) -> TargetResult<(), Self> {
        self.debugger.lock().catch = filter.map_or(Catch::All, |numbers| Catch::Some(numbers.collect()));
        Ok(())
    }
    fn disable_catch_syscalls(&mut self) -> TargetResult<(), Self> {
        self.debugger.lock().catch = Catch::None;
        Ok(())
    }
}

/// Part of `whole`, as gdb asks for it.
pub(super) fn part(whole: &[u8], offset: u64, length: usize, buf: &mut [u8]) -> usize {
    let rest = whole.get(offset as usize..).unwrap_or_default();
    let n = rest.len().min(length).min(buf.len());
    buf[..n].copy_from_slice(&rest[..n]);
    n
}

impl ExecFile for Inspector {
    fn get_exec_file(&self, _pid: Option<Pid>, offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        Ok(part(&self.process.program.path, offset, length, buf))
    }
}

impl Auxv for Inspector {
    fn get_auxv(&self, offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        Ok(part(&self.process.auxv, offset, length, buf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_cut_at_pages() {
        assert_eq!(pieces(0x1ff0, 0x20).collect::<Vec<_>>(), [(0, 0x10), (0x10, 0x10)]);
        assert_eq!(pieces(0x1000, 0x1000).collect::<Vec<_>>(), [(0, 0x1000)]);
        assert_eq!(pieces(0x1000, 0).count(), 0);
        let parts = |offset, length| {
            let mut buf = [0; 4];
            let n = part(b"abcdef", offset, length, &mut buf);
            buf[..n].to_vec()
        };
        assert_eq!((parts(0, 9), parts(4, 9), parts(6, 9), parts(99, 9), parts(1, 2)), (b"abcd".to_vec(), b"ef".to_vec(), vec![], vec![], b"bc".to_vec()));
    }
}
