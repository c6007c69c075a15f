//! Files and links under /proc that would show xemu instead of the guest.
//!
//! Only the process's own entries are replaced: other processes are seen as the host shows them.

mod cpuinfo;
mod smaps;

use super::memory::vma::{Kind, Span, Vma};
use super::memory::{Mm, Prot};
use super::process::Process;
use super::task::Task;
use crate::guest::Addr;
use crate::host::{copy, file, process as host};
use std::fmt::Write;

/// The part of `path` behind the process's own /proc folder: "exe" for /proc/self/exe, /proc/PID/exe, /proc/thread-self/exe
/// and /proc/self/task/TID/exe of any thread.
fn own_entry(path: &[u8], pid: i32) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"/proc/")?;
    fn cut(rest: &[u8]) -> Option<(&[u8], &[u8])> {
        let slash = rest.iter().position(|b| *b == b'/')?;
        Some((&rest[..slash], &rest[slash + 1..]))
    }
    let (who, entry) = cut(rest)?;
    if who == b"thread-self" {
        return Some(entry);
    }
    if who != b"self" && std::str::from_utf8(who).ok().and_then(|s| s.parse().ok()) != Some(pid) {
        return None;
    }
    match cut(entry) {
        // Threads share all that is replaced here.
        Some((b"task", rest)) => cut(rest).map(|(_, entry)| entry),
        _ => Some(entry),
    }
}

/// Contents for a file that the guest opens, if it is one of those that xemu answers.
pub fn intercept_open(process: &Process, path: &[u8]) -> Option<Vec<u8>> {
    match path {
        b"/proc/cpuinfo" => return Some(cpuinfo::text(&crate::guest::cpuid::cpu(), host::processors())),
        b"/proc/sys/kernel/arch" => return Some(b"x86_64\n".to_vec()),
        _ => {}
    }
    let entry = own_entry(path, process.pid())?;
    // A thread that there is not has no files.
    if matches!(entry, b"maps" | b"smaps" | b"auxv" | b"cmdline" | b"environ") && file::stat(path).is_err() {
        return None;
    }
    match entry {
        b"maps" => Some(maps(process.mm)),
        b"smaps" => Some(smaps::text(process.mm, &file::read_all(path).ok()?)),
        b"auxv" => Some(process.auxv.clone()),
        b"cmdline" => Some(guest_bytes(process.places.args)),
        b"environ" => Some(guest_bytes(process.places.env)),
        b"stat" => stat(process, path),
        _ => None,
    }
}

/// What a link that the guest reads says, if it is one of those that xemu answers.
pub fn intercept_readlink(process: &Process, path: &[u8]) -> Option<Vec<u8>> {
    (own_entry(path, process.pid())? == b"exe").then(|| process.program.path.clone())
}

/// Where such a link leads.
pub fn follow(task: &Task, path: &[u8]) -> Option<Vec<u8>> {
    (own_entry(path, task.process.pid())? == b"exe").then(|| task.process.program.place())
}

/// Strings as they are in the guest's memory now (a program may rewrite them to change its title).
fn guest_bytes((start, end): (u64, u64)) -> Vec<u8> {
    let mut bytes = vec![0; end.saturating_sub(start) as usize];
    match copy::read_bytes(Addr(start), &mut bytes) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// /proc/self/maps (fs/proc/task_mmu.c).
fn maps(mm: &Mm) -> Vec<u8> {
    let mut out = Vec::new();
    mm.for_each(|span, vma| map_line(&mut out, span, vma));
    out.extend_from_slice(b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n");
    out
}

/// Column at which names start.
const NAME_COLUMN: usize = 73;

fn map_line(out: &mut Vec<u8>, span: Span, vma: &Vma) {
    let flag = |p: Prot, c: char| if vma.prot.contains(p) { c } else { '-' };
    let (r, w, x) = (flag(Prot::READ, 'r'), flag(Prot::WRITE, 'w'), flag(Prot::EXEC, 'x'));
    let (dev, inode, name): (u64, u64, &[u8]) = match &vma.kind {
        Kind::File(b) => (b.dev, b.inode, &b.path),
        Kind::Heap => (0, 0, b"[heap]"),
        Kind::Stack => (0, 0, b"[stack]"),
        Kind::Vdso => (0, 0, b"[vdso]"),
        Kind::Anonymous | Kind::Growing => (0, 0, b""),
    };
    let (major, minor) = (libc::major(dev), libc::minor(dev));
    let mut line = String::with_capacity(128);
    let sharing = if vma.shared { 's' } else { 'p' };
    let _ = write!(line, "{:08x}-{:08x} {r}{w}{x}{sharing} {:08x} {major:02x}:{minor:02x} {inode} ", span.start, span.end, vma.offset);
    if !name.is_empty() {
        while line.len() < NAME_COLUMN {
            line.push(' ');
        }
    }
    out.extend_from_slice(line.as_bytes());
    for b in name {
        match b {
            b'\n' => out.extend_from_slice(b"\\012"),
            b => out.push(*b),
        }
    }
    out.push(b'\n');
}

/// Fields of /proc/PID/stat that tell where things lie, by number from 1 (proc(5)).
const VSIZE: usize = 23;
const START_CODE: usize = 26;
const START_DATA: usize = 45;

/// The host's file with the guest's addresses.
fn stat(p: &Process, path: &[u8]) -> Option<Vec<u8>> {
    let host = file::read_all(path).ok()?;
    let (places, loaded) = (&p.places, &p.places.loaded);
    let edits = [
        (VSIZE, &[p.mm.total()][..]),
        (START_CODE, &[loaded.code.0, loaded.code.1, places.stack]),
        (
            START_DATA,
            &[loaded.data.0, loaded.data.1, p.mm.brk_start().0, places.args.0, places.args.1, places.env.0, places.env.1],
        ),
    ];
    Some(edit_stat(&host, &edits))
}

/// Replaces runs of fields, each from a field number on.
fn edit_stat(host: &[u8], edits: &[(usize, &[u64])]) -> Vec<u8> {
    // The name in parentheses may hold blanks: the fields are counted from its end, which is field 2.
    let Some(end) = host.iter().rposition(|b| *b == b')') else { return host.to_vec() };
    let tail = String::from_utf8_lossy(&host[end + 1..]);
    let mut fields: Vec<String> = tail.split_whitespace().map(String::from).collect();
    for (first, values) in edits {
        for (n, value) in values.iter().enumerate() {
            if let Some(field) = fields.get_mut(first + n - 3) {
                *field = value.to_string();
            }
        }
    }
    [&host[..=end], b" ", fields.join(" ").as_bytes(), b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::memory::vma::Backing;
    use std::sync::Arc;

    #[test]
    fn own_entries() {
        let check = |path: &str, expect: Option<&str>| assert_eq!(own_entry(path.as_bytes(), 12), expect.map(str::as_bytes), "{path}");
        check("/proc/self/exe", Some("exe"));
        check("/proc/12/maps", Some("maps"));
        check("/proc/13/maps", None);
        check("/proc/thread-self/stat", Some("stat"));
        check("/proc/self/task/13/stat", Some("stat"));
        check("/proc/self/task/13", None);
        check("/proc/self/fd/3", Some("fd/3"));
        check("/proc/self", None);
        check("/etc/passwd", None);
    }

    #[test]
    fn map_lines_are_the_kernels() {
        let check = |vma: Vma, expect: &str| {
            let mut out = Vec::new();
            map_line(&mut out, 0x400000..0x401000, &vma);
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        };
        let plain = Vma { prot: Prot::READ | Prot::EXEC, shared: false, segment: false, undumped: false, kind: Kind::Anonymous, offset: 0 };
        check(plain.clone(), "00400000-00401000 r-xp 00000000 00:00 0 \n");
        check(Vma { kind: Kind::Heap, ..plain.clone() }, "00400000-00401000 r-xp 00000000 00:00 0                                  [heap]\n");
        let backing = Backing { dev: libc::makedev(8, 2), inode: 173521, path: b"/usr/bin/dbus\nx".to_vec() };
        let file = Vma { kind: Kind::File(Arc::new(backing)), offset: 0x2000, ..plain };
        check(file, "00400000-00401000 r-xp 00002000 08:02 173521                             /usr/bin/dbus\\012x\n");
    }

    #[test]
    fn stat_fields() {
        let host = b"1 (a ) b) S 4 5 6\n";
        assert_eq!(edit_stat(host, &[(4, &[40]), (6, &[60, 70])]), b"1 (a ) b) S 40 5 60\n");
    }
}
