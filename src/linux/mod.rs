//! Linux as an x86_64 program sees it: loading, address space, tasks, system calls, /proc.
//!
//! [`start`] turns a command into a guest process; [`run`] is every guest thread's loop: translated code runs until it needs the system,
//! the engine says why, and what the system makes of that happens here.

pub mod abi;
pub mod coredump;
mod elf;
pub mod exec;
mod fault;
pub mod fds;
pub mod gdb;
pub mod loader;
pub mod memory;
mod messages;
pub mod proc;
pub mod process;
mod script;
pub mod signal;
pub mod stack;
mod start;
pub mod syscall;
pub mod task;
pub mod thread;
pub mod vdso;
mod vsyscall;

pub use start::{Job, start};

use crate::engine::{Exception, Exit};
use crate::guest::Gpr;
use task::Task;

/// Length of SYSCALL.
const SYSCALL_LEN: u64 = 2;

/// Runs a guest thread until it ends by exit(2): its status.
pub fn run(task: &mut Task) -> u64 {
    loop {
        let exit = if task.debugged.is_some() { gdb::run(task) } else { task.thread.run() };
        match exit {
            Exit::Syscall if task.signals.any() || gdb::is_halted(task) => {
                // The signal came first, or the debugger.
                let state = task.thread.state();
                state.rip = state.rip.wrapping_sub(SYSCALL_LEN);
            }
            Exit::Syscall => {
                let number = task.thread.state().get(Gpr::Rax);
                if task.debugged.is_some() {
                    gdb::before_call(task, number);
                }
                syscall::dispatch(task);
                if let Some(status) = task.ending {
                    return status;
                }
                if task.debugged.is_some() {
                    gdb::after_call(task, number);
                }
                signal::after_call(task, number);
            }
            Exit::Called(number) => {
                syscall::called(task, number);
                signal::after_call(task, number);
            }
            Exit::Interrupt => {}
            Exit::FetchFault if vsyscall::emulate(task) => {}
            Exit::Exception(Exception::Breakpoint) => {
                if let Some(other) = gdb::step_over(task) {
                    signal::raise_exit(task, other);
                }
            }
            other => signal::raise_exit(task, other),
        }
        if task.signals.any() {
            signal::deliver(task);
        }
    }
}
