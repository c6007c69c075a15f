//! A few system calls, enough to start programs.

pub mod memory;
pub mod namespace;
pub mod process;
pub mod signal;

use crate::guest::Gpr;
use crate::host::sys::Errno;
use crate::linux::task::Task;

type Handler = fn(&mut Task, [u64; 6]) -> Result<u64, Errno>;

#[rustfmt::skip]
const TABLE: &[(u64, Handler)] = &[
    (9, memory::mmap), (10, memory::mprotect), (11, memory::munmap), (12, memory::brk), (25, memory::mremap), (28, memory::madvise),
    (30, memory::shmat), (67, memory::shmdt), (151, memory::mlockall), (152, memory::munlockall),
    (329, memory::pkey_mprotect), (330, memory::pkey_alloc), (331, memory::pkey_free),
    (56, process::clone), (57, process::fork), (58, process::vfork), (59, process::execve), (60, process::exit), (63, process::uname),
    (97, process::getrlimit), (135, process::personality), (154, process::modify_ldt), (157, process::prctl), (158, process::arch_prctl),
    (160, process::setrlimit), (218, process::set_tid_address), (231, process::exit_group), (302, process::prlimit64), (322, process::execveat), (435, process::clone3),
    (13, signal::rt_sigaction), (14, signal::rt_sigprocmask), (15, signal::rt_sigreturn), (34, signal::pause), (62, signal::kill), (127, signal::rt_sigpending),
    (128, signal::rt_sigtimedwait), (129, signal::rt_sigqueueinfo), (130, signal::rt_sigsuspend), (131, signal::sigaltstack), (200, signal::tkill),
    (234, signal::tgkill), (297, signal::rt_tgsigqueueinfo), (424, signal::pidfd_send_signal),
];
/// Forwarded: x86_64 number, host number.
#[rustfmt::skip]
const PASS: &[(u64, i64)] = &[
    (0, libc::SYS_read), (1, libc::SYS_write), (3, libc::SYS_close), (8, libc::SYS_lseek), (16, libc::SYS_ioctl), (17, libc::SYS_pread64), (20, libc::SYS_writev), (39, libc::SYS_getpid),
    (61, libc::SYS_wait4), (79, libc::SYS_getcwd), (96, libc::SYS_gettimeofday), (102, libc::SYS_getuid), (104, libc::SYS_getgid), (107, libc::SYS_geteuid), (108, libc::SYS_getegid),
    (110, libc::SYS_getppid), (186, libc::SYS_gettid), (228, libc::SYS_clock_gettime), (257, libc::SYS_openat), (309, libc::SYS_getcpu), (318, libc::SYS_getrandom),
    (35, libc::SYS_nanosleep), (38, libc::SYS_setitimer), (36, libc::SYS_getitimer), (202, libc::SYS_futex), (270, libc::SYS_pselect6), (271, libc::SYS_ppoll), (230, libc::SYS_clock_nanosleep), (293, libc::SYS_pipe2), (24, libc::SYS_sched_yield), (273, libc::SYS_set_robust_list),
];

/// Carries out the system call that the guest asks for.
pub fn dispatch(task: &mut Task) {
    let s = task.thread.state();
    let nr = s.get(Gpr::Rax);
    let args = [Gpr::Rdi, Gpr::Rsi, Gpr::Rdx, Gpr::R10, Gpr::R8, Gpr::R9].map(|r| s.get(r));
    let result = match (TABLE.iter().find(|r| r.0 == nr), PASS.iter().find(|r| r.0 == nr)) {
        (Some(row), _) => row.1(task, args),
        (_, Some(row)) => crate::linux::signal::host_call(task, row.1, args),
        _ => Err(Errno(libc::ENOSYS)),
    };
    let value = result.unwrap_or_else(|e| (-e.0 as i64) as u64);
    task.thread.state().set(Gpr::Rax, value);
}
