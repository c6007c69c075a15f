//! What is said, if somebody asked for it (`--log`, XEMU_LOG), when the guest ends by a signal. Natively nothing is printed.

use super::task::Task;
use crate::guest::Addr;
use crate::host::{copy, file};
use std::fmt::Write;

/// One line on standard error: the signal, where, what was executed.
pub fn report(task: &mut Task, signal: i32) {
    if task.process.options.log.is_none() {
        return;
    }
    let trap = task.signals.trap();
    let rip = task.thread.state().rip;
    let mut line = format!("xemu: guest ended by signal {signal} at {rip:#x}, last exception {} error {:#x} address {:#x}", trap.number, trap.error, trap.cr2);
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
}
