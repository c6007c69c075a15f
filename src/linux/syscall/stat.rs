//! stat(2) and its relatives: struct stat differs between the machines, struct statx does not.

use super::path::{CWD, Last, call_on_path};
use super::{Result, fault, host_call_with};
use crate::guest::Addr;
use crate::host::copy;
use crate::linux::abi::layout::{HostStat, Stat};
use crate::linux::task::Task;

const NOFOLLOW: u64 = libc::AT_SYMLINK_NOFOLLOW as u64;

fn last(flags: u64) -> Last {
    if flags & NOFOLLOW != 0 { Last::Link } else { Last::Follow }
}

fn write(at: u64, host: &[u8; HostStat::SIZE]) -> Result {
    copy::write_bytes(Addr(at), &Stat::from(HostStat::from_bytes(host)).to_bytes()).map(|()| 0).map_err(fault)
}

/// stat(2).
pub fn stat(task: &mut Task, [path, at, ..]: [u64; 6]) -> Result {
    newfstatat(task, [CWD, path, at, 0, 0, 0])
}

/// lstat(2).
pub fn lstat(task: &mut Task, [path, at, ..]: [u64; 6]) -> Result {
    newfstatat(task, [CWD, path, at, NOFOLLOW, 0, 0])
}

/// fstat(2).
pub fn fstat(task: &mut Task, [fd, at, ..]: [u64; 6]) -> Result {
    let mut host = [0; HostStat::SIZE];
    host_call_with(task, libc::SYS_fstat, [fd, 0, 0, 0, 0, 0], &mut [(1, &mut host)])?;
    write(at, &host)
}

/// newfstatat(2).
pub fn newfstatat(task: &mut Task, [dir, path, at, flags, ..]: [u64; 6]) -> Result {
    let mut host = [0; HostStat::SIZE];
    call_on_path(task, libc::SYS_newfstatat, [dir, path, 0, flags, 0, 0], 1, last(flags), &mut [(2, &mut host)])?;
    write(at, &host)
}

/// statx(2).
pub fn statx(task: &mut Task, args: [u64; 6]) -> Result {
    call_on_path(task, libc::SYS_statx, args, 1, last(args[2]), &mut [])
}
