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

use crate::engine::Exit;
use crate::guest::Gpr;
use task::Task;

/// Length of SYSCALL.
const SYSCALL_LEN: u64 = 2;

/// Runs a guest thread until it ends by exit(2): its status.
pub fn run(task: &mut Task) -> u64 {
    loop {
        match task.thread.run() {
            Exit::Syscall if task.signals.any() => {
                // The signal came first.
                let state = task.thread.state();
                state.rip = state.rip.wrapping_sub(SYSCALL_LEN);
            }
            Exit::Syscall => {
                let number = task.thread.state().get(Gpr::Rax);
                syscall::dispatch(task);
                if let Some(status) = task.ending {
                    return status;
                }
                signal::after_call(task, number);
            }
            Exit::Called(number) => {
                syscall::called(task, number);
                signal::after_call(task, number);
            }
            Exit::Interrupt => {}
            Exit::FetchFault if vsyscall::emulate(task) => {}
            other => signal::raise_exit(task, other),
        }
        if task.signals.any() {
            signal::deliver(task);
        }
    }
}
