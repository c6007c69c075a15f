//! Opening, closing and duplicating descriptors: open flags differ, /proc has files of the guest's, and xemu has descriptors of its own.

use super::path::{CWD, Last, call_on_path, proc_path};
use super::time::word;
use super::{Result, fault, host_call, host_call_with};
use crate::guest::Addr;
use crate::host::copy;
use crate::host::sys::Errno;
use crate::linux::abi::flags::{self, open_to_guest, open_to_host};
use crate::linux::task::Task;
use crate::linux::{fds, proc};

const EBADF: Errno = Errno(libc::EBADF);
const EINVAL: Errno = Errno(libc::EINVAL);
const CLOEXEC: u64 = libc::O_CLOEXEC as u64;

/// open(2).
pub fn open(task: &mut Task, [path, how, mode, ..]: [u64; 6]) -> Result {
    openat(task, [CWD, path, how, mode, 0, 0])
}

/// creat(2).
pub fn creat(task: &mut Task, [path, mode, ..]: [u64; 6]) -> Result {
    openat(task, [CWD, path, (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64, mode, 0, 0])
}

/// openat(2).
pub fn openat(task: &mut Task, [dir, path, how, mode, ..]: [u64; 6]) -> Result {
    if let Some(contents) = intercepted(task, path, how) {
        return file_of(task, &contents, how);
    }
    call_on_path(task, libc::SYS_openat, [dir, path, open_to_host(how), mode, 0, 0], 1, last(how), &mut [])
}

fn last(how: u64) -> Last {
    if how & flags::O_NOFOLLOW != 0 { Last::Link } else { Last::Follow }
}

/// What the guest finds in the file that it opens, if xemu answers for it.
fn intercepted(task: &Task, path: u64, how: u64) -> Option<Vec<u8>> {
    let other = (libc::O_ACCMODE | libc::O_PATH) as u64 | flags::O_DIRECTORY;
    // O_RDONLY is 0.
    if how & other != 0 {
        return None;
    }
    proc::intercept_open(&task.process, &proc_path(path)?)
}

/// A file in memory with these contents.
fn file_of(task: &mut Task, contents: &[u8], how: u64) -> Result {
    let cloexec = if how & CLOEXEC != 0 { libc::MFD_CLOEXEC as u64 } else { 0 };
    let fd = host_call_with(task, libc::SYS_memfd_create, [0, cloexec, 0, 0, 0, 0], &mut [(0, &mut *b"proc\0".to_vec())])?;
    let mut rest = contents.to_vec();
    while !rest.is_empty() {
        let len = rest.len() as u64;
        match host_call_with(task, libc::SYS_write, [fd, 0, len, 0, 0, 0], &mut [(1, &mut rest)]) {
            Ok(n) => drop(rest.drain(..n as usize)),
            Err(Errno(libc::EINTR)) => {}
            Err(e) => {
                let _ = host_call(task, libc::SYS_close, [fd, 0, 0, 0, 0, 0]);
                return Err(e);
            }
        }
    }
    host_call(task, libc::SYS_lseek, [fd, 0, libc::SEEK_SET as u64, 0, 0, 0])?;
    Ok(fd)
}

/// openat2(2).
pub fn openat2(task: &mut Task, [dir, path, at, size, ..]: [u64; 6]) -> Result {
    // struct open_how: flags, mode, resolve.
    const KNOWN: u64 = 24;
    const PAGE: u64 = 4096;
    const RESOLVE_CACHED: u64 = 0x20;
    match size {
        ..KNOWN => return Err(EINVAL),
        KNOWN..=PAGE => {}
        _ => return Err(Errno(libc::E2BIG)),
    }
    let mut how = vec![0; size as usize];
    copy::read_bytes(Addr(at), &mut how).map_err(fault)?;
    let given = word(&how, 0);
    // Bits above 32 are nobody's: the host refuses them as the guest's kernel would.
    let changed = given & !0xffff_ffff | open_to_host(given & 0xffff_ffff);
    how[..8].copy_from_slice(&changed.to_le_bytes());
    if word(&how, 2) == 0
        && let Some(contents) = intercepted(task, path, given)
    {
        return file_of(task, &contents, given);
    }
    // Who restricts how the path may be resolved wants the kernel to see the links that are in it.
    let last = if word(&how, 2) & !RESOLVE_CACHED == 0 { last(given) } else { Last::Link };
    call_on_path(task, libc::SYS_openat2, [dir, path, 0, size, 0, 0], 1, last, &mut [(2, &mut how)])
}

/// open_by_handle_at(2).
pub fn open_by_handle_at(task: &mut Task, [mount, handle, how, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_open_by_handle_at, [mount, handle, open_to_host(how), 0, 0, 0])
}

/// mq_open(3).
pub fn mq_open(task: &mut Task, [name, how, mode, attributes, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_mq_open, [name, open_to_host(how), mode, attributes, 0, 0])
}

/// fanotify_init(2): the second argument is for the descriptors that events carry.
pub fn fanotify_init(task: &mut Task, [how, events, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_fanotify_init, [how, open_to_host(events), 0, 0, 0, 0])
}

/// pipe(2).
pub fn pipe(task: &mut Task, [at, ..]: [u64; 6]) -> Result {
    pipe2(task, [at, 0, 0, 0, 0, 0])
}

/// pipe2(2): O_DIRECT makes packets.
pub fn pipe2(task: &mut Task, [at, how, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_pipe2, [at, open_to_host(how), 0, 0, 0, 0])
}

/// close(2).
pub fn close(task: &mut Task, args: [u64; 6]) -> Result {
    if fds::is_reserved(&task.process, args[0] as i32) {
        return Err(EBADF);
    }
    host_call(task, libc::SYS_close, args)
}

/// close_range(2). With CLOSE_RANGE_CLOEXEC too: our descriptors have their own setting.
pub fn close_range(task: &mut Task, [first, last, how, ..]: [u64; 6]) -> Result {
    const UNSHARE: u64 = 2;
    let (first, last) = (first as u32, last as u32);
    if first > last {
        return Err(EINVAL);
    }
    let parts = fds::without_reserved(&task.process, first, last);
    // An empty range still has its flags checked.
    let parts = if parts.is_empty() { vec![(u32::MAX, u32::MAX)] } else { parts };
    let mut how = how;
    for (from, to) in parts {
        host_call(task, libc::SYS_close_range, [from as u64, to as u64, how, 0, 0, 0])?;
        how &= !UNSHARE;
    }
    Ok(0)
}

/// dup2(2).
pub fn dup2(task: &mut Task, [old, new, ..]: [u64; 6]) -> Result {
    if old as u32 != new as u32 {
        return dup3(task, [old, new, 0, 0, 0, 0]);
    }
    if fds::is_reserved(&task.process, old as i32) {
        return Err(EBADF);
    }
    host_call(task, libc::SYS_fcntl, [old, libc::F_GETFD as u64, 0, 0, 0, 0]).map(|_| old as u32 as u64)
}

/// dup3(2).
pub fn dup3(task: &mut Task, [old, new, how, ..]: [u64; 6]) -> Result {
    if fds::is_reserved(&task.process, old as i32) {
        return Err(EBADF);
    }
    if old as u32 != new as u32 {
        fds::make_room(&task.process, new as i32);
    }
    host_call(task, libc::SYS_dup3, [old, new, open_to_host(how), 0, 0, 0])
}

/// fcntl(2): open flags differ; some commands write.
pub fn fcntl(task: &mut Task, args: [u64; 6]) -> Result {
    const F_OFD_GETLK: u32 = 36;
    const F_GETLK: u32 = libc::F_GETLK as u32;
    const F_GETFL: u32 = libc::F_GETFL as u32;
    const F_SETFL: u32 = libc::F_SETFL as u32;
    const F_GETOWN_EX: u32 = 16;
    const F_GETOWNER_UIDS: u32 = 17;
    const F_GET_RW_HINT: u32 = 1035;
    const F_GET_FILE_RW_HINT: u32 = 1037;
    const FLOCK_SIZE: u64 = 32;
    let [fd, command, value, ..] = args;
    if fds::is_reserved(&task.process, fd as i32) {
        return Err(EBADF);
    }
    let written = match command as u32 {
        F_GETFL => return host_call(task, libc::SYS_fcntl, args).map(open_to_guest),
        F_SETFL => return host_call(task, libc::SYS_fcntl, [fd, command, open_to_host(value), 0, 0, 0]),
        F_GETLK | F_OFD_GETLK => FLOCK_SIZE,
        F_GETOWN_EX | F_GETOWNER_UIDS | F_GET_RW_HINT | F_GET_FILE_RW_HINT => 8,
        _ => 0,
    };
    task.process.engine.prepare_write(Addr(value), written);
    host_call(task, libc::SYS_fcntl, args)
}

/// getdents(2): the old records have the type in their last byte and the name one byte earlier; they are as long as the new ones.
pub fn getdents(task: &mut Task, [fd, at, len, ..]: [u64; 6]) -> Result {
    const LARGEST: u64 = 1 << 16;
    let mut records = vec![0; (len as u32 as u64).min(LARGEST) as usize];
    let size = records.len() as u64;
    let used = host_call_with(task, libc::SYS_getdents64, [fd, 0, size, 0, 0, 0], &mut [(1, &mut records)])? as usize;
    old_records(&mut records[..used]);
    copy::write_bytes(Addr(at), &records[..used]).map_err(fault)?;
    Ok(used as u64)
}

fn old_records(records: &mut [u8]) {
    const LENGTH: usize = 16;
    const TYPE: usize = 18;
    let mut at = 0;
    while at + TYPE < records.len() {
        let len = u16::from_le_bytes([records[at + LENGTH], records[at + LENGTH + 1]]) as usize;
        let record = &mut records[at..at + len];
        let kind = record[TYPE];
        record.copy_within(TYPE + 1.., TYPE);
        record[len - 1] = kind;
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_get_old() {
        let mut r = [0u8; 48];
        for (at, name) in [(0, b"a\0\0\0\0"), (24, b"bcd\0\0")] {
            r[at] = 1 + at as u8;
            r[at + 16] = 24;
            r[at + 18] = 8;
            r[at + 19..at + 24].copy_from_slice(name);
        }
        old_records(&mut r);
        assert_eq!(&r[16..24], b"\x18\0a\0\0\0\0\x08");
        assert_eq!(&r[40..48], b"\x18\0bcd\0\0\x08");
    }
}
