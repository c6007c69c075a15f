//! The end of a guest that faults: one line on standard error, then the signal's default action.

use super::task::Task;
use crate::engine::{Exception, Exit};
use crate::guest::Addr;
use crate::host::{copy, file, process as host};
use std::fmt::Write;

/// The signal of an exit, with what to say of it.
fn signal(exit: Exit) -> (i32, &'static str) {
    match exit {
        Exit::MemoryFault { signal: libc::SIGBUS, .. } => (libc::SIGBUS, "bus error"),
        Exit::MemoryFault { .. } => (libc::SIGSEGV, "memory fault"),
        Exit::FetchFault => (libc::SIGSEGV, "jump to memory that is not executable"),
        Exit::Exception(e) => match e {
            Exception::Divide => (libc::SIGFPE, "division error"),
            Exception::X87 => (libc::SIGFPE, "x87 exception"),
            Exception::Simd => (libc::SIGFPE, "SIMD exception"),
            Exception::Undefined => (libc::SIGILL, "undefined instruction"),
            Exception::Debug | Exception::Breakpoint => (libc::SIGTRAP, "breakpoint"),
            Exception::GeneralProtection | Exception::Interrupt(_) => (libc::SIGSEGV, "general protection"),
        },
        // Never fatal; said for completeness of the match.
        Exit::Syscall | Exit::Interrupt => (libc::SIGABRT, "unexpected exit"),
    }
}

/// Ends the process by the signal that `exit` means.
pub fn die(task: &mut Task, exit: Exit) -> ! {
    let (number, what) = signal(exit);
    let rip = task.thread.state().rip;
    let mut line = format!("xemu: guest ended by signal {number}: {what} at {rip:#x}");
    if let Exit::MemoryFault { address, write, .. } = exit {
        let _ = write!(line, ", {} {address}", if write { "writing" } else { "reading" });
    }
    let mut bytes = [0u8; 15];
    let got = (1..=bytes.len()).rev().find(|n| copy::read_bytes(Addr(rip), &mut bytes[..*n]).is_ok()).unwrap_or(0);
    if got != 0 {
        line += ", bytes";
    }
    for b in &bytes[..got] {
        let _ = write!(line, " {b:02x}");
    }
    line.push('\n');
    file::complain(line.as_bytes());
    host::die_by(number)
}
