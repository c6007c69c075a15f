//! System calls after which the guest may see another file system than we do: xemu's executable and the guest's program are opened before, so that the
//! guest's next execve and /proc/self/exe find them (`linux::process`). Otherwise they are the host's.

use super::path::{Last, call_on_path};
use crate::host::process as host;
use crate::host::sys::Errno;
use crate::linux::task::Task;

type Result = std::result::Result<u64, Errno>;

fn leave(task: &mut Task, number: i64, args: [u64; 6]) -> Result {
    task.process.pin();
    host::forward(number, args)
}

/// chroot(2).
pub fn chroot(task: &mut Task, args: [u64; 6]) -> Result {
    leave(task, libc::SYS_chroot, args)
}

/// pivot_root(2).
pub fn pivot_root(task: &mut Task, args: [u64; 6]) -> Result {
    leave(task, libc::SYS_pivot_root, args)
}

/// mount(2): may cover /proc. What is bound elsewhere may be the guest's own file (crun protects itself so).
pub fn mount(task: &mut Task, args: [u64; 6]) -> Result {
    task.process.pin();
    call_on_path(task, libc::SYS_mount, args, 0, Last::Follow, &mut [])
}

/// open_tree(2): likewise.
pub fn open_tree(task: &mut Task, args: [u64; 6]) -> Result {
    let last = if args[2] & libc::AT_SYMLINK_NOFOLLOW as u64 != 0 { Last::Link } else { Last::Follow };
    call_on_path(task, libc::SYS_open_tree, args, 1, last, &mut [])
}

/// move_mount(2): likewise.
pub fn move_mount(task: &mut Task, args: [u64; 6]) -> Result {
    leave(task, libc::SYS_move_mount, args)
}

/// umount2(2): may take /proc away.
pub fn umount2(task: &mut Task, args: [u64; 6]) -> Result {
    leave(task, libc::SYS_umount2, args)
}

/// setns(2).
pub fn setns(task: &mut Task, args: [u64; 6]) -> Result {
    leave(task, libc::SYS_setns, args)
}
