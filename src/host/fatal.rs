//! The one line that an internal error prints before SIGABRT.

use super::sys;

/// Appends to a fixed buffer: signal handlers can't allocate.
struct Line {
    buf: [u8; 256],
    len: usize,
}

impl Line {
    fn text(&mut self, s: &str) {
        for &b in s.as_bytes() {
            if self.len < self.buf.len() {
                self.buf[self.len] = b;
                self.len += 1;
            }
        }
    }
    fn hex(&mut self, v: u64) {
        self.text("0x");
        for i in (0..16).rev() {
            let digit = (v >> (4 * i) & 15) as usize;
            if v >> (4 * i) != 0 || i == 0 {
                self.text(&"0123456789abcdef"[digit..digit + 1]);
            }
        }
    }
}

/// Reports a host signal that no guest caused, and aborts. Signal-safe.
pub fn internal_error(signal: i32, pc: u64, address: u64) -> ! {
    let mut line = Line { buf: [0; 256], len: 0 };
    line.text(concat!("xemu ", env!("CARGO_PKG_VERSION"), ": internal error: host signal "));
    line.hex(signal as u64);
    line.text(" at host pc ");
    line.hex(pc);
    line.text(", address ");
    line.hex(address);
    line.text("\n");
    // SAFETY: writes our own buffer to stderr.
    let _ = unsafe { sys::call(libc::SYS_write, [2, line.buf.as_ptr() as u64, line.len as u64, 0, 0, 0]) };
    abort()
}

/// SIGABRT by default action.
pub fn abort() -> ! {
    // SAFETY: abort ends the process.
    unsafe { libc::abort() }
}
