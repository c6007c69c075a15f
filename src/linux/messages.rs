//! xemu's own messages and where they go, -strace's lines with them: standard error, or the file that -D names, on a descriptor that gives way to the guest's.
//!
//! What is said is chosen by `--log` and XEMU_LOG; without them nothing, because the guest's standard error is compared by people and tests. No lock and no
//! allocation: threads and spawned children of every kind write.

use crate::host::file::{self, Fd};
use crate::host::process as host;
use crate::options::Options;
use log::{LevelFilter, Log, Metadata, Record};
use std::fmt::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// The log's descriptor: -1 not opened yet, 2 standard error.
static LOG: AtomicI32 = AtomicI32::new(-1);
/// The file that was named.
static FILE: OnceLock<Vec<u8>> = OnceLock::new();
const STDERR: i32 = 2;
/// Numbers of log descriptors start here, if the limit allows.
const HIGH: i32 = 1001;

/// Reads the options that concern messages. (A setuid guest's come from the command line alone, which the kernel does not fill.)
pub fn start(options: &Options) {
    if let Some(path) = &options.log_file {
        let _ = FILE.set(path.clone());
    }
    let level = options.log.as_deref().and_then(|l| l.parse().ok()).unwrap_or(LevelFilter::Off);
    if level != LevelFilter::Off && log::set_logger(&Messages).is_ok() {
        log::set_max_level(level);
    }
}

/// The log's descriptor if it is our own.
pub fn fd() -> Option<i32> {
    Some(LOG.load(Ordering::Relaxed)).filter(|fd| *fd > STDERR)
}

/// Makes room for the guest, that wants descriptor `number`.
pub fn yield_fd(number: i32) {
    if fd() == Some(number) {
        let ours = Fd(number);
        LOG.store(file::raise(&ours, number + 1).map_or(STDERR, Fd::leak), Ordering::Relaxed);
    }
}

fn open() -> i32 {
    let opened = FILE.get().and_then(|path| {
        let fd = file::create_log(path).ok()?;
        [HIGH, 201, 3].iter().find_map(|min| file::raise(&fd, *min).ok())
    });
    let fd = opened.map_or(STDERR, Fd::leak);
    LOG.store(fd, Ordering::Relaxed);
    fd
}

/// Writes a line, with its end.
pub fn write(line: &[u8]) {
    let fd = match LOG.load(Ordering::Relaxed) {
        -1 => open(),
        fd => fd,
    };
    file::write_line(fd, line);
}

/// A line of limited length.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        // The last byte is the line's end.
        let room = self.bytes.len() - 1 - self.len;
        let n = s.len().min(room);
        self.bytes[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

struct Messages;

impl Log for Messages {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }
    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = Line { bytes: [0; 512], len: 0 };
        let _ = write!(line, "xemu[{}] {}: {}", host::pid(), record.level().as_str().to_ascii_lowercase(), record.args());
        line.bytes[line.len] = b'\n';
        write(&line.bytes[..=line.len]);
    }
    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut() {
        let mut line = Line { bytes: [0; 512], len: 0 };
        for _ in 0..100 {
            write!(line, "0123456789").unwrap();
        }
        assert_eq!((line.len, line.bytes[510], line.bytes[511]), (511, b'0', 0));
    }
}
