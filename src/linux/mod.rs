//! Linux as an x86_64 program sees it: loading, address space, tasks, system calls, /proc.
//!
//! [`start`] turns a command into a guest process; [`run`] is every guest thread's loop: translated code runs until it needs the system,
//! the engine says why, and what the system makes of that happens here.

pub mod abi;
mod elf;
pub mod exec;
mod fault;
pub mod fds;
pub mod loader;
pub mod memory;
pub mod proc;
pub mod process;
mod script;
pub mod stack;
mod start;
pub mod syscall;
pub mod task;
pub mod vdso;
mod vsyscall;

pub use start::{Job, start};

use crate::engine::Exit;
use task::Task;

/// Runs a guest thread. It ends by ending the host thread.
pub fn run(mut task: Task) -> ! {
    loop {
        match task.thread.run() {
            Exit::Syscall => syscall::dispatch(&mut task),
            Exit::Interrupt => {}
            Exit::FetchFault if vsyscall::emulate(&mut task) => {}
            other => fault::die(&mut task, other),
        }
    }
}
