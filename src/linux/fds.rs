//! xemu's own descriptors: out of the guest's way, and not the guest's to close.

use super::gdb;
use super::messages;
use super::process::Process;
use crate::host::file::{self, Fd};
use std::sync::atomic::{AtomicI32, Ordering};

/// A descriptor of ours that stays open while the guest runs: close-on-exec, with a high number.
#[derive(Debug)]
pub struct Reserved(AtomicI32);

impl Reserved {
    /// Numbers tried: out of the way of what guests expect to be given, if the limit allows.
    const HIGH: [i32; 3] = [1000, 200, 3];

    /// `fd`, which is close-on-exec and whose number is high already; or none up to now.
    pub fn new(fd: Option<i32>) -> Reserved {
        Reserved(AtomicI32::new(fd.unwrap_or(-1)))
    }

    /// Its number, if it is open.
    pub fn get(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|fd| *fd >= 0)
    }

    /// Keeps `file` open.
    pub fn keep(&self, file: &Fd) {
        let high = Self::HIGH.iter().find_map(|min| file::raise(file, *min).ok());
        self.0.store(high.map_or(-1, Fd::leak), Ordering::Relaxed);
    }

    /// Closes it.
    pub fn close(&self) {
        let fd = self.0.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            drop(Fd(fd));
        }
    }

    /// Makes room for the guest, that wants descriptor `number` (dup2 and the like): moves ours away if it is that one.
    pub fn yield_fd(&self, number: i32) {
        if self.get() == Some(number) {
            let ours = Fd(number);
            self.0.store(file::raise(&ours, number + 1).map_or(-1, Fd::leak), Ordering::Relaxed);
        }
    }
}

impl Clone for Reserved {
    fn clone(&self) -> Reserved {
        Reserved::new(self.get())
    }
}

fn ours(process: &Process) -> impl Iterator<Item = i32> {
    let debugger = gdb::reserved().filter_map(Reserved::get);
    [process.own.fd(), process.program.fd(), messages::fd()].into_iter().flatten().chain(debugger)
}

/// Is this descriptor xemu's? To the guest it is not open.
pub fn is_reserved(process: &Process, fd: i32) -> bool {
    ours(process).any(|n| n == fd)
}

/// Makes room for the guest, that wants descriptor `fd` (dup2 and the like).
pub fn make_room(process: &Process, fd: i32) {
    process.own.yield_fd(fd);
    process.program.yield_fd(fd);
    messages::yield_fd(fd);
    gdb::reserved().for_each(|ours| ours.yield_fd(fd));
}

/// The parts of `first ..= last` without xemu's descriptors, in order.
pub fn without_reserved(process: &Process, first: u32, last: u32) -> Vec<(u32, u32)> {
    let mut out: Vec<u32> = ours(process).map(|fd| fd as u32).collect();
    out.sort_unstable();
    cut(first, last, &out)
}

fn cut(first: u32, last: u32, out: &[u32]) -> Vec<(u32, u32)> {
    let mut parts = Vec::new();
    let mut from = first;
    for &n in out.iter().filter(|n| (first..=last).contains(*n)) {
        if n > from {
            parts.push((from, n - 1));
        }
        from = n + 1;
    }
    if from <= last {
        parts.push((from, last));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut() {
        assert_eq!(cut(3, u32::MAX, &[1000]), [(3, 999), (1001, u32::MAX)]);
        assert_eq!(cut(3, 9, &[3, 9]), [(4, 8)]);
        assert_eq!(cut(5, 5, &[5]), []);
        assert_eq!(cut(5, 6, &[9]), [(5, 6)]);
    }
}
