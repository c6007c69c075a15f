//! Calls on paths that aarch64 has only in their *at forms, and where paths lead elsewhere than the guest says: below the prefix
//! of -L, or to what the guest's /proc/self/exe is.

use super::{Result, host_call, host_call_with};
use crate::guest::Addr;
use crate::host::{copy, file};
use crate::linux::proc;
use crate::linux::task::Task;

pub(super) const CWD: u64 = libc::AT_FDCWD as u64;
/// PATH_MAX.
const PATH_MAX: usize = 4096;

/// What happens at a link in the last place of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// It is followed.
    Follow,
    /// It is meant itself.
    Link,
}

/// The path at `at` if it begins with /proc/.
pub(super) fn proc_path(at: u64) -> Option<Vec<u8>> {
    const PROC: &[u8; 6] = b"/proc/";
    // A shorter string may end before an unmapped page; then it is none of these.
    (copy::read::<[u8; 6]>(Addr(at)).ok()? == *PROC).then(|| copy::read_cstr(Addr(at), PATH_MAX).ok())?
}

/// Where the path at `at` really leads, with its NUL, if not there.
fn redirected(task: &Task, at: u64, last: Last) -> Option<Vec<u8>> {
    // AT_EMPTY_PATH, as fstat is made of.
    if copy::read::<u8>(Addr(at)) == Ok(0) {
        return None;
    }
    let mut path = match proc_path(at) {
        Some(path) if last == Last::Follow => proc::follow(task, &path),
        _ => None,
    };
    if let (None, Some(prefix)) = (&path, &task.process.options.prefix)
        && let Ok(guest) = copy::read_cstr(Addr(at), PATH_MAX)
        && guest.first() == Some(&b'/')
    {
        let below = [prefix, guest.as_slice()].concat();
        // Also a link that leads nowhere is there.
        path = file::stat_at(libc::AT_FDCWD, &below, libc::AT_SYMLINK_NOFOLLOW).is_ok().then_some(below);
    }
    path.map(|mut p| {
        p.push(0);
        p
    })
}

/// A host call whose argument `n` is a path of the guest's, other arguments possibly memory of ours.
pub(super) fn call_on_path(task: &mut Task, number: i64, args: [u64; 6], n: usize, last: Last, ours: &mut [(usize, &mut [u8])]) -> Result {
    let Some(mut path) = redirected(task, args[n], last) else {
        return host_call_with(task, number, args, ours);
    };
    let mut all: Vec<(usize, &mut [u8])> = ours.iter_mut().map(|(n, b)| (*n, &mut **b)).collect();
    all.push((n, &mut path));
    host_call_with(task, number, args, &mut all)
}

/// access(2).
pub fn access(task: &mut Task, [path, mode, ..]: [u64; 6]) -> Result {
    faccessat(task, [CWD, path, mode, 0, 0, 0])
}

/// faccessat(2): without flags.
pub fn faccessat(task: &mut Task, [dir, path, mode, ..]: [u64; 6]) -> Result {
    call_on_path(task, libc::SYS_faccessat, [dir, path, mode, 0, 0, 0], 1, Last::Follow, &mut [])
}

/// faccessat2(2).
pub fn faccessat2(task: &mut Task, args: [u64; 6]) -> Result {
    let last = if args[3] & libc::AT_SYMLINK_NOFOLLOW as u64 != 0 { Last::Link } else { Last::Follow };
    call_on_path(task, libc::SYS_faccessat2, args, 1, last, &mut [])
}

/// readlink(2).
pub fn readlink(task: &mut Task, [path, buf, len, ..]: [u64; 6]) -> Result {
    readlinkat(task, [CWD, path, buf, len, 0, 0])
}

/// readlinkat(2).
pub fn readlinkat(task: &mut Task, args: [u64; 6]) -> Result {
    let [_, path, buf, len, ..] = args;
    let target = proc_path(path).and_then(|p| proc::intercept_readlink(&task.process, &p));
    let Some(target) = target else {
        return call_on_path(task, libc::SYS_readlinkat, args, 1, Last::Link, &mut []);
    };
    // int bufsiz.
    if len as i32 <= 0 {
        return Err(crate::host::sys::Errno(libc::EINVAL));
    }
    let n = target.len().min(len as u32 as usize);
    copy::write_bytes(Addr(buf), &target[..n]).map_err(super::fault)?;
    Ok(n as u64)
}

/// statfs(2).
pub fn statfs(task: &mut Task, args: [u64; 6]) -> Result {
    call_on_path(task, libc::SYS_statfs, args, 0, Last::Follow, &mut [])
}

/// mkdir(2).
pub fn mkdir(task: &mut Task, [path, mode, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_mkdirat, [CWD, path, mode, 0, 0, 0])
}

/// mknod(2).
pub fn mknod(task: &mut Task, [path, mode, dev, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_mknodat, [CWD, path, mode, dev, 0, 0])
}

/// unlink(2).
pub fn unlink(task: &mut Task, [path, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_unlinkat, [CWD, path, 0, 0, 0, 0])
}

/// rmdir(2).
pub fn rmdir(task: &mut Task, [path, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_unlinkat, [CWD, path, libc::AT_REMOVEDIR as u64, 0, 0, 0])
}

/// rename(2).
pub fn rename(task: &mut Task, [from, to, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_renameat2, [CWD, from, CWD, to, 0, 0])
}

/// link(2).
pub fn link(task: &mut Task, [from, to, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_linkat, [CWD, from, CWD, to, 0, 0])
}

/// symlink(2).
pub fn symlink(task: &mut Task, [target, path, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_symlinkat, [target, CWD, path, 0, 0, 0])
}

/// chmod(2).
pub fn chmod(task: &mut Task, [path, mode, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_fchmodat, [CWD, path, mode, 0, 0, 0])
}

/// chown(2).
pub fn chown(task: &mut Task, [path, user, group, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_fchownat, [CWD, path, user, group, 0, 0])
}

/// lchown(2).
pub fn lchown(task: &mut Task, [path, user, group, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_fchownat, [CWD, path, user, group, libc::AT_SYMLINK_NOFOLLOW as u64, 0])
}
