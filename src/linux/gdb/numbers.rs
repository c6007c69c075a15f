//! Signals by the numbers that the remote protocol has for them (gdb, include/gdb/signals.def), which are no system's.

use gdbstub::common::Signal;

/// Of x86_64's signals 1 to 31.
const STANDARD: [u8; 32] = [0, 1, 2, 3, 4, 5, 6, 10, 8, 9, 30, 11, 31, 13, 14, 15, UNKNOWN, 20, 19, 17, 18, 21, 22, 16, 24, 25, 26, 27, 28, 23, 32, 12];
const UNKNOWN: u8 = 143;

/// The protocol's number of a signal, 1 to 64.
pub fn to_gdb(signal: i32) -> Signal {
    Signal(match signal {
        n @ 0..32 => STANDARD[n as usize],
        32 => 77,
        n @ 33..64 => n as u8 + 12,
        64 => 78,
        _ => UNKNOWN,
    })
}

/// The signal of a number of the protocol; `None` if there is no such one here.
pub fn from_gdb(signal: Signal) -> Option<i32> {
    (1..=64).find(|n| signal.0 != UNKNOWN && to_gdb(*n) == signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_protocols() {
        for (signal, gdb) in [
            (libc::SIGINT, Signal::SIGINT),
            (libc::SIGBUS, Signal::SIGBUS),
            (libc::SIGUSR1, Signal::SIGUSR1),
            (libc::SIGSEGV, Signal::SIGSEGV),
            (libc::SIGUSR2, Signal::SIGUSR2),
            (libc::SIGCHLD, Signal::SIGCHLD),
            (libc::SIGCONT, Signal::SIGCONT),
            (libc::SIGSTOP, Signal::SIGSTOP),
            (libc::SIGURG, Signal::SIGURG),
            (libc::SIGWINCH, Signal::SIGWINCH),
            (libc::SIGIO, Signal::SIGIO),
            (libc::SIGPWR, Signal::SIGPWR),
            (libc::SIGSYS, Signal::SIGSYS),
            (32, Signal::SIG32),
            (33, Signal::SIG33),
            (34, Signal::SIG34),
            (63, Signal::SIG63),
            (64, Signal::SIG64),
        ] {
            assert_eq!(to_gdb(signal), gdb, "{signal}");
            assert_eq!(from_gdb(gdb), Some(signal));
        }
        assert_eq!(to_gdb(libc::SIGSTKFLT), Signal::UNKNOWN);
        assert_eq!(from_gdb(Signal::UNKNOWN), None);
        assert_eq!(from_gdb(Signal(0)), None);
        let all: std::collections::BTreeSet<u8> = (1..=64).map(|n| to_gdb(n).0).collect();
        assert_eq!(all.len(), 64);
    }
}
