//! Processes of the host: identity, fork, exec, exit, limits; and what the kernel gave this process at its start.

use super::sys::{self, Errno};
use std::ffi::CStr;

/// What the kernel put on the initial stack.
pub struct Start {
    /// Arguments, argv[0] included.
    pub args: Vec<&'static [u8]>,
    /// The environment.
    pub env: Vec<&'static [u8]>,
    /// Auxiliary vector: (type, value).
    pub aux: Vec<(u64, u64)>,
}

impl Start {
    /// Reads argv, and behind it the environment and the auxiliary vector.
    ///
    /// # Safety
    /// `argv` is what the kernel (or the C start files) passed to this process.
    pub unsafe fn read(argv: *const *const u8) -> Start {
        let (args, env, mut aux) = (Vec::new(), Vec::new(), Vec::with_capacity(32));
        let mut lists = [args, env];
        let mut at = argv;
        for list in &mut lists {
            // SAFETY: the kernel ends each list of strings with a null pointer; the strings are never freed.
            unsafe {
                while !(*at).is_null() {
                    list.push(CStr::from_ptr((*at).cast()).to_bytes());
                    at = at.add(1);
                }
                at = at.add(1);
            }
        }
        let mut pair = at.cast::<[u64; 2]>();
        // SAFETY: the auxiliary vector follows the environment and ends with AT_NULL.
        unsafe {
            while (*pair)[0] != libc::AT_NULL as u64 {
                aux.push(((*pair)[0], (*pair)[1]));
                pair = pair.add(1);
            }
        }
        let [args, env] = lists;
        Start { args, env, aux }
    }

    /// A value of the auxiliary vector.
    pub fn aux(&self, kind: u64) -> Option<u64> {
        self.aux.iter().find(|a| a.0 == kind).map(|a| a.1)
    }

    /// AT_EXECFN: the path that execve was called with.
    pub fn exec_name(&self) -> Option<&'static [u8]> {
        let at = self.aux(libc::AT_EXECFN as u64)?;
        // SAFETY: the kernel's terminated string on the initial stack.
        Some(unsafe { CStr::from_ptr(at as *const _) }.to_bytes())
    }

    /// AT_RANDOM: sixteen random bytes (zero if the kernel gave none).
    pub fn random(&self) -> [u8; 16] {
        match self.aux(libc::AT_RANDOM as u64) {
            // SAFETY: the kernel's sixteen bytes on the initial stack.
            Some(at) if at != 0 => unsafe { *(at as *const [u8; 16]) },
            _ => [0; 16],
        }
    }
}

/// Makes a call that takes and returns plain numbers: no pointers. For identity, limits and the like.
fn plain(nr: i64, a: [u64; 6]) -> Result<u64, Errno> {
    // SAFETY: only called below, with calls that read and write no memory.
    unsafe { sys::call(nr, a) }
}

/// getpid(2).
pub fn pid() -> i32 {
    plain(libc::SYS_getpid, [0; 6]).unwrap_or(0) as i32
}
/// gettid(2).
pub fn tid() -> i32 {
    plain(libc::SYS_gettid, [0; 6]).unwrap_or(0) as i32
}
/// personality(0xffffffff): the current one.
pub fn personality() -> u64 {
    plain(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]).unwrap_or(0)
}
/// set_tid_address(2): the word that the kernel clears, and wakes, when this thread ends.
pub fn set_clear_tid(at: u64) {
    let _ = plain(libc::SYS_set_tid_address, [at, 0, 0, 0, 0, 0]);
}
/// prctl(2) with numbers only.
pub fn prctl(option: u64, a: u64, b: u64, c: u64, d: u64) -> Result<u64, Errno> {
    plain(libc::SYS_prctl, [option, a, b, c, d, 0])
}
/// Sets the thread's name as other processes see it (cut at 15 bytes).
pub fn set_name(name: &[u8]) {
    let mut buf = [0u8; 16];
    let n = name.len().min(15);
    buf[..n].copy_from_slice(&name[..n]);
    // SAFETY: `buf` is terminated.
    let _ = unsafe { sys::call(libc::SYS_prctl, [libc::PR_SET_NAME as u64, buf.as_ptr() as u64, 0, 0, 0, 0]) };
}

/// The thread's name.
pub fn name() -> Vec<u8> {
    let mut buf = [0u8; 16];
    // SAFETY: `buf` has room for the sixteen bytes.
    let _ = unsafe { sys::call(libc::SYS_prctl, [libc::PR_GET_NAME as u64, buf.as_mut_ptr() as u64, 0, 0, 0, 0]) };
    buf[..buf.iter().position(|b| *b == 0).unwrap_or(buf.len())].to_vec()
}
/// Ids of the parent, the process group and the session.
pub fn family() -> [i32; 3] {
    [libc::SYS_getppid, libc::SYS_getpgid, libc::SYS_getsid].map(|nr| plain(nr, [0; 6]).unwrap_or(0) as i32)
}
/// getpriority(2) of this process, from -20 to 19.
pub fn nice() -> i8 {
    // The call's result is 20 less it.
    plain(libc::SYS_getpriority, [libc::PRIO_PROCESS as u64, 0, 0, 0, 0, 0]).map_or(0, |n| 20 - n as i8)
}
/// getrusage(2): time in user mode and in the kernel, each as seconds and microseconds. `who`: RUSAGE_SELF and the like.
pub fn times(who: i32) -> [u64; 4] {
    // struct rusage: sixteen words.
    let mut usage = [0u64; 18];
    // SAFETY: `usage` has room for the struct.
    let _ = unsafe { sys::call(libc::SYS_getrusage, [who as u64, usage.as_mut_ptr() as u64, 0, 0, 0, 0]) };
    std::array::from_fn(|i| usage[i])
}
/// getcpu(2): the processor that the thread runs on.
pub fn current_processor() -> u32 {
    let mut n = 0u32;
    // SAFETY: a pointer to a local.
    let _ = unsafe { sys::call(libc::SYS_getcpu, [&raw mut n as u64, 0, 0, 0, 0, 0]) };
    n
}

/// Ends this thread.
pub fn exit_thread(code: u64) -> ! {
    loop {
        let _ = plain(libc::SYS_exit, [code, 0, 0, 0, 0, 0]);
    }
}
/// Ends the process.
pub fn exit_process(code: u64) -> ! {
    write_profile();
    loop {
        let _ = plain(libc::SYS_exit_group, [code, 0, 0, 0, 0, 0]);
    }
}

/// Of a build that is instrumented (`cargo xtask bench --help`, profile `guided`) what the C library would do at `exit`.
#[inline(always)]
fn write_profile() {
    #[cfg(instrumented)]
    {
        unsafe extern "C" {
            /// compiler-rt, lib/profile/InstrProfiling.h.
            fn __llvm_profile_write_file() -> i32;
        }
        // SAFETY: no arguments; it writes the counters of this process to the file that LLVM_PROFILE_FILE names.
        unsafe { __llvm_profile_write_file() };
    }
}

/// Ends the process as `kill -9` does.
pub fn kill_process() -> ! {
    let _ = plain(libc::SYS_kill, [pid() as u64, libc::SIGKILL as u64, 0, 0, 0, 0]);
    exit_process(128 + libc::SIGKILL as u64)
}

/// Dies by `signal` with its default action, so that the parent sees the right status (and a core is dumped where due).
pub fn die_by(signal: i32) -> ! {
    // struct kernel_sigaction { handler, flags, restorer, mask }: all zero is SIG_DFL on both architectures.
    let (default, all) = ([0u64; 4], 1u64 << (signal - 1));
    // SAFETY: pointers to locals; the default action needs no handler.
    unsafe {
        let _ = sys::call(libc::SYS_rt_sigaction, [signal as u64, default.as_ptr() as u64, 0, 8, 0, 0]);
        let _ = sys::call(libc::SYS_rt_sigprocmask, [libc::SIG_UNBLOCK as u64, &raw const all as u64, 0, 8, 0, 0]);
    }
    let _ = plain(libc::SYS_tgkill, [pid() as u64, tid() as u64, signal as u64, 0, 0, 0]);
    exit_process(128 + signal as u64)
}

/// Forks while no other thread is half way through an allocation.
fn with_heap_whole<T>(fork: impl FnOnce() -> T) -> T {
    super::heap::HEAP.begin_fork();
    let result = fork();
    super::heap::HEAP.end_fork();
    result
}

/// clone(2) without CLONE_VM: the child continues here on a copy of this stack. Returns 0 in it, its pid in the parent.
/// The addresses are guest addresses that the kernel writes by CLONE_PARENT_SETTID, CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID and
/// CLONE_PIDFD, and ignores otherwise.
pub fn fork(flags: u64, parent_tid: u64, child_tid: u64) -> Result<u64, Errno> {
    assert!(flags & (libc::CLONE_VM | libc::CLONE_SETTLS) as u64 == 0, "a fork shares no memory");
    #[cfg(target_arch = "x86_64")]
    let a = [flags, 0, parent_tid, child_tid, 0, 0];
    #[cfg(not(target_arch = "x86_64"))]
    let a = [flags, 0, parent_tid, 0, child_tid, 0];
    // SAFETY: a null stack with memory not shared is fork: both sides return with all of memory intact. libc caches no pid.
    with_heap_whole(|| unsafe { sys::call(libc::SYS_clone, a) })
}

/// struct clone_args (include/uapi/linux/sched.h): the same on all machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs)] // The names are clone3(2)'s.
pub struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

/// Size of the first published version (CLONE_ARGS_SIZE_VER0), and of ours.
pub const CLONE_ARGS_FIRST: u64 = 64;
/// Size of [`CloneArgs`] in bytes.
pub const CLONE_ARGS_MAX: usize = 88;
const _: () = assert!(size_of::<CloneArgs>() == CLONE_ARGS_MAX);

impl CloneArgs {
    /// From the guest's bytes, zero-padded.
    pub fn from_bytes(bytes: [u8; CLONE_ARGS_MAX]) -> CloneArgs {
        // SAFETY: eleven 64-bit integers, as the assertion above holds the size.
        unsafe { std::mem::transmute(bytes) }
    }
}

/// clone3(2) without CLONE_VM, as [`fork`]. `size`: how much of `args` the guest knew of.
pub fn fork_with(args: &CloneArgs, size: u64) -> Result<u64, Errno> {
    assert!(args.flags & (libc::CLONE_VM | libc::CLONE_SETTLS) as u64 == 0 && args.stack == 0, "a fork shares no memory");
    // SAFETY: as in `fork`; the pointers inside are guest addresses.
    with_heap_whole(|| unsafe { sys::call(libc::SYS_clone3, [&raw const *args as u64, size, 0, 0, 0, 0]) })
}

/// A list of strings as execve wants it.
pub struct Strings {
    _bytes: Vec<u8>,
    pointers: Vec<u64>,
}

impl Strings {
    /// Copies `list`, in one piece.
    pub fn new<S: AsRef<[u8]>>(list: &[S]) -> Strings {
        let total: usize = list.iter().map(|s| s.as_ref().len() + 1).sum();
        // Never reallocated below: the pointers go into it.
        let mut bytes = Vec::with_capacity(total);
        let mut pointers = Vec::with_capacity(list.len() + 1);
        for s in list {
            pointers.push(bytes.as_ptr() as u64 + bytes.len() as u64);
            bytes.extend_from_slice(s.as_ref());
            bytes.push(0);
        }
        pointers.push(0);
        Strings { _bytes: bytes, pointers }
    }

    fn address(&self) -> u64 {
        self.pointers.as_ptr() as u64
    }
}

/// execve(2) of the first string of `path`: returns only to say why not. Allocates nothing.
pub fn exec(path: &Strings, argv: &Strings, envp: &Strings) -> Errno {
    // SAFETY: terminated strings and lists.
    match unsafe { sys::call(libc::SYS_execve, [path.pointers[0], argv.address(), envp.address(), 0, 0, 0]) } {
        Err(e) => e,
        Ok(_) => Errno(libc::ENOEXEC),
    }
}

/// execveat(2) of an open descriptor: returns only to say why not. Allocates nothing.
pub fn exec_fd(fd: i32, argv: &Strings, envp: &Strings) -> Errno {
    let a = [fd as u64, c"".as_ptr() as u64, argv.address(), envp.address(), libc::AT_EMPTY_PATH as u64, 0];
    // SAFETY: terminated strings and lists.
    match unsafe { sys::call(libc::SYS_execveat, a) } {
        Err(e) => e,
        Ok(_) => Errno(libc::ENOEXEC),
    }
}

/// prlimit64(2) of this process: (soft, hard).
pub fn limit(resource: u64) -> Result<(u64, u64), Errno> {
    let mut old = [0u64; 2];
    // SAFETY: `old` is a struct rlimit64.
    unsafe { sys::call(libc::SYS_prlimit64, [0, resource, 0, old.as_mut_ptr() as u64, 0, 0]) }?;
    Ok((old[0], old[1]))
}

/// prlimit64(2) of this process: sets the soft limit, and leaves the hard one.
pub fn set_soft_limit(resource: u64, soft: u64) -> Result<(), Errno> {
    let new = [soft, limit(resource)?.1];
    // SAFETY: `new` is a struct rlimit64.
    unsafe { sys::call(libc::SYS_prlimit64, [0, resource, new.as_ptr() as u64, 0, 0, 0]) }.map(drop)
}

/// sched_getaffinity(2) of this process: the number of processors it may use, at least 1.
pub fn processors() -> usize {
    let mut mask = [0u8; 1024];
    // SAFETY: `mask` is ours; the kernel returns the number of bytes written.
    let n = unsafe { sys::call(libc::SYS_sched_getaffinity, [0, mask.len() as u64, mask.as_mut_ptr() as u64, 0, 0, 0]) }.unwrap_or(0);
    mask[..n as usize].iter().map(|b| b.count_ones() as usize).sum::<usize>().max(1)
}

/// uname(2): the six strings, each zero-padded to 65 bytes.
pub fn uname() -> Result<[[u8; 65]; 6], Errno> {
    let mut u = [[0u8; 65]; 6];
    // SAFETY: `u` has the size of struct new_utsname.
    unsafe { sys::call(libc::SYS_uname, [u.as_mut_ptr() as u64, 0, 0, 0, 0, 0]) }?;
    Ok(u)
}

/// Forwards a guest's call whose pointers are guest addresses: the kernel checks them, and writes guest memory only. Calls that may
/// block say [`sys::RESTART`] or [`sys::NOT_BEGUN`] where a signal is in the way; that result goes to the guest's RAX like any other,
/// and `linux::signal::after_call` makes EINTR or a repetition of it.
pub fn forward(nr: i64, args: [u64; 6]) -> Result<u64, Errno> {
    // SAFETY: what a guest passes is a guest address (invariant 2); calls that change mappings do not come here.
    unsafe { if may_block(nr) { sys::interruptible(nr, args) } else { sys::call(nr, args) } }
}

/// futex_wait(2), which libc does not name.
const SYS_FUTEX_WAIT: i64 = 455;
/// Calls that may wait for something, and for which EINTR is a result that programs know.
const MAY_BLOCK: &[i64] = &[
    libc::SYS_syslog,
    SYS_FUTEX_WAIT,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_vmsplice,
    libc::SYS_tee,
    libc::SYS_copy_file_range,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_getrandom,
    libc::SYS_io_getevents,
    syscalls::Sysno::io_pgetevents as i64,
    libc::SYS_io_uring_enter,
    libc::SYS_fanotify_mark,
    libc::SYS_request_key,
];

/// [`MAY_BLOCK`] as bits.
const BLOCKING: [u64; 8] = {
    let mut bits = [0; 8];
    let mut i = 0;
    while i < MAY_BLOCK.len() {
        bits[MAY_BLOCK[i] as usize / 64] |= 1 << (MAY_BLOCK[i] % 64);
        i += 1;
    }
    bits
};

/// May the host's call wait for something?
pub const fn may_block(nr: i64) -> bool {
    let word = nr as usize / 64;
    word < BLOCKING.len() && BLOCKING[word] >> (nr % 64) & 1 != 0
}

/// Effective user and group id.
pub fn effective_ids() -> (u32, u32) {
    let id = |nr| plain(nr, [0; 6]).unwrap_or(0) as u32;
    (id(libc::SYS_geteuid), id(libc::SYS_getegid))
}

/// Real user and group id.
pub fn real_ids() -> (u32, u32) {
    let id = |nr| plain(nr, [0; 6]).unwrap_or(0) as u32;
    (id(libc::SYS_getuid), id(libc::SYS_getgid))
}
