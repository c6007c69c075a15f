//! -strace: one line a call, as strace(1) writes it. What an argument is comes from the call's row.
//!
//! Reads guest memory and never writes it; what it cannot read it prints as an address.

mod format;

use super::args::Arg;
use super::table::Row;
use crate::host::process as host;
use crate::linux::abi::errno;
use crate::linux::messages;
use crate::linux::task::Task;
use std::sync::atomic::{AtomicBool, Ordering};

/// Is there more than one process or thread, so that lines tell whose they are?
static MANY: AtomicBool = AtomicBool::new(false);

fn write(line: &str) {
    let prefix = if MANY.load(Ordering::Relaxed) { format!("[pid {}] ", host::tid()) } else { String::new() };
    messages::write(format!("{prefix}{line}\n").as_bytes());
}

/// Makes `call`, and writes its line.
pub fn around(task: &mut Task, row: &'static Row, args: [u64; 6], call: impl FnOnce(&mut Task) -> i64) -> i64 {
    let ends = row.args.iter().any(|a| matches!(a, Arg::Ends));
    // What the kernel writes is printed after the call, the rest before it may change.
    let mut texts: Vec<Option<String>> = row.args.iter().enumerate().map(|(n, arg)| (!arg.writes()).then(|| format::input(*arg, n, &args))).collect();
    let close = |texts: &[Option<String>]| {
        let shown: Vec<&str> = texts.iter().flatten().map(String::as_str).filter(|t| !t.is_empty()).collect();
        format!("{}({})", row.name, shown.join(", "))
    };
    if ends {
        write(&format!("{} = ?", close(&texts)));
    }
    let value = call(task);
    for (n, (arg, text)) in row.args.iter().zip(&mut texts).enumerate() {
        if text.is_none() {
            *text = Some(format::output(*arg, n, &args, value));
        }
    }
    if matches!(row.name, "clone" | "clone3" | "fork" | "vfork") && value >= 0 {
        MANY.store(true, Ordering::Relaxed);
    }
    let start = if ends { format!("<... {} resumed>", row.name) } else { close(&texts) };
    write(&format!("{start} = {}", result(row, value)));
    value
}

/// The result: addresses in hexadecimal, errors by name.
fn result(row: &Row, value: i64) -> String {
    if !(-4095..0).contains(&value) {
        let address = matches!(row.name, "mmap" | "mremap" | "brk" | "shmat");
        return if address { format!("{value:#x}") } else { value.to_string() };
    }
    let number = -value as i32;
    match (errno::name(number), errno::text(number)) {
        (Some(name), Some(text)) => format!("-1 {name} ({text})"),
        _ => format!("? {number} (to be restarted)"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::row;
    use super::*;

    fn line(number: u64, args: [u64; 6], value: i64) -> String {
        let row = row(number).unwrap();
        let texts: Vec<String> = row
            .args
            .iter()
            .enumerate()
            .map(|(n, a)| if a.writes() { format::output(*a, n, &args, value) } else { format::input(*a, n, &args) })
            .filter(|t| !t.is_empty())
            .collect();
        format!("{}({}) = {}", row.name, texts.join(", "), result(row, value))
    }

    #[test]
    fn lines_are_straces() {
        let path = b"/etc/passwd\0".as_ptr() as u64;
        assert_eq!(line(257, [-100i64 as u64, path, 0o2000000, 0, 0, 0], 3), "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3");
        assert_eq!(
            line(257, [-100i64 as u64, path, 0o1101, 0o644, 0, 0], -2),
            "openat(AT_FDCWD, \"/etc/passwd\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 ENOENT (No such file or directory)"
        );
        let text = b"a\n\"\x01 0123456789012345678901234567890";
        assert_eq!(line(1, [1, text.as_ptr() as u64, 36, 0, 0, 0], 36), "write(1, \"a\\n\\\"\\1 012345678901234567890123456\"..., 36) = 36");
        assert_eq!(line(0, [0, text.as_ptr() as u64, 100, 0, 0, 0], 2), "read(0, \"a\\n\", 100) = 2");
        let time = [1u64, 500];
        assert_eq!(line(228, [1, time.as_ptr() as u64, 0, 0, 0, 0], 0), "clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=500}) = 0");
        assert_eq!(
            line(9, [0, 4096, 3, 0x22, -1i64 as u64, 0], 0x7000),
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7000"
        );
        let fds = [3u32, 4];
        assert_eq!(line(293, [fds.as_ptr() as u64, 0, 0, 0, 0, 0], 0), "pipe2([3, 4], 0) = 0");
        assert_eq!(line(62, [1, 15, 0, 0, 0, 0], -1), "kill(1, SIGTERM) = -1 EPERM (Operation not permitted)");
        let address = [2u8, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let expect = "connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0";
        assert_eq!(line(42, [3, address.as_ptr() as u64, 16, 0, 0, 0], 0), expect);
    }
}
