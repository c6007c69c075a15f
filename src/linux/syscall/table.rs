//! The one table of system calls. A row is everything that is known of a call: number, name, what is done with it, why (or what to
//! know), and its arguments. Dispatch, strace output, the ranges that the kernel writes, ENOSYS accounting and `docs/syscalls.md` come from it.
//!
//! `pass`: forwarded as it is, under the host's number for the name. Only for calls with no argument of another layout, no open flag
//! and no address of guest code. `direct`: the same, and made in translated code, for calls that return at once; `alone`: so if the process has one
//! thread, for calls that may wait for another one's and are not interrupted. `module::function`: carried out there. `ENOSYS`, `EPERM` "reason": refused.

use super::args::Arg::{self, *};
use super::args::Type::{
    self, EpollEvent, FdPair, Long, Opaque, Pollfd, Rlimit, Sigaction, Siginfo, Sigset, Stat, Status, Timespec, TimespecPair, Timeval, TimevalPair, Utsname,
};
use super::{file, ids, ipc, memory, namespace, path, poll, process, signal, stat, time, writes_file};
use crate::host::process::may_block;
use crate::host::sys::Errno;
use crate::linux::abi::names as n;
use crate::linux::signal::waits_with_mask;
use crate::linux::task::Task;
use crate::translate::syscall::{HostCall, HostCalls, Way};
use syscalls::Sysno;

/// A function that carries out a call: value or errno.
pub type Handler = fn(&mut Task, [u64; 6]) -> Result<u64, Errno>;

/// What is done with a call.
#[derive(Clone, Copy)]
pub enum Support {
    /// Forwarded under this host number.
    Pass(i64),
    /// The same, and made in translated code: see [`Way::AtOnce`] for what such a call must not do.
    Direct(i64),
    /// The same, while the process has one thread: see [`Way::Alone`].
    Alone(i64),
    /// Carried out here.
    Handler(Handler),
    /// Answered with this errno, with a warning.
    Refuse(i32),
}

/// A system call.
#[derive(Clone, Copy)]
pub struct Row {
    /// Number on x86_64.
    pub number: u16,
    /// Name as the kernel's table has it.
    pub name: &'static str,
    /// What is done with it.
    pub support: Support,
    /// Reason of a refusal, or what to know.
    pub note: &'static str,
    /// Its arguments.
    pub args: &'static [Arg],
    /// Has it arguments that the kernel writes through?
    pub writes: bool,
}

const fn any_writes(args: &[Arg]) -> bool {
    let mut i = 0;
    while i < args.len() {
        if args[i].writes() {
            return true;
        }
        i += 1;
    }
    false
}

macro_rules! support {
    ($name:ident pass) => { Support::Pass(Sysno::$name as i64) };
    ($name:ident direct) => { Support::Direct(Sysno::$name as i64) };
    ($name:ident alone) => { Support::Alone(Sysno::$name as i64) };
    ($name:ident ENOSYS) => { Support::Refuse(libc::ENOSYS) };
    ($name:ident EPERM) => { Support::Refuse(libc::EPERM) };
    ($name:ident $module:ident $function:ident) => { Support::Handler($module::$function) };
}
macro_rules! rows {
    ($($number:literal $name:ident $kind:ident $(::$function:ident)? $($note:literal)? ($($arg:expr),*))*) => {
        &[$(Row {
            number: $number,
            name: stringify!($name),
            support: support!($name $kind $($function)?),
            note: concat!("", $($note)?),
            args: &[$($arg),*],
            writes: any_writes(&[$($arg),*]),
        }),*]
    };
}

const TIMESPEC: Arg = In(Timespec);
const AT_FLAGS: Arg = Flags(n::AT);

/// All rows by number; numbers that x86_64 does not assign are left out.
#[rustfmt::skip]
pub const ROWS: &[Row] = rows! {
    0 read pass (Fd, OutBytes(2), Len)
    1 write pass (Fd, Bytes(2), Len)
    2 open file::open (Path, OpenFlags, MakeMode(1))
    3 close file::close (Fd)
    4 stat stat::stat (Path, Out(Stat))
    5 fstat stat::fstat (Fd, Out(Stat))
    6 lstat stat::lstat (Path, Out(Stat))
    7 poll poll::poll (InOutArray(Pollfd, 1), Len, Int)
    8 lseek alone (Fd, Signed, Choice(n::SEEK))
    9 mmap memory::mmap (Hex, Len, Flags(n::PROT), Flags(n::MAP), Fd, Len)
    10 mprotect memory::mprotect (Hex, Len, Flags(n::PROT))
    11 munmap memory::munmap (Hex, Len)
    12 brk memory::brk (Hex)
    13 rt_sigaction signal::rt_sigaction (Signal, In(Sigaction), Out(Sigaction), Len)
    14 rt_sigprocmask signal::rt_sigprocmask (Choice(n::SIG_HOW), In(Sigset), Out(Sigset), Len)
    15 rt_sigreturn signal::rt_sigreturn ()
    16 ioctl pass "numbers and structures are the same; buffers behind pointers inside the structure are not prepared" (Fd, Choice(n::IOCTL), IoctlArg(1))
    17 pread64 pass (Fd, OutBytes(2), Len, Signed)
    18 pwrite64 pass (Fd, Bytes(2), Len, Signed)
    19 readv pass (Fd, OutIovec(2), Int)
    20 writev pass (Fd, Iovec(2), Int)
    21 access path::access (Path, Flags(n::ACCESS))
    22 pipe file::pipe (Out(FdPair))
    23 select poll::select (Int, FdSet(0), FdSet(0), FdSet(0), InOut(Timeval))
    24 sched_yield direct ()
    25 mremap memory::mremap (Hex, Len, Len, Flags(n::MREMAP), Hex)
    26 msync pass (Hex, Len, Flags(n::MSYNC))
    27 mincore pass (Hex, Len, OutPages(1))
    28 madvise memory::madvise (Hex, Len, Choice(n::ADVICE))
    29 shmget pass (Hex, Len, Flags(n::IPC_GET))
    30 shmat memory::shmat (Int, Hex, Hex)
    31 shmctl pass (Int, Choice(n::SHM_CTL), Out(Opaque(112)))
    32 dup direct (Fd)
    33 dup2 file::dup2 (Fd, Fd)
    34 pause signal::pause ()
    35 nanosleep pass (TIMESPEC, Out(Timespec))
    36 getitimer direct (Choice(n::ITIMER), Out(TimevalPair))
    37 alarm time::alarm (Len)
    38 setitimer pass (Choice(n::ITIMER), In(TimevalPair), Out(TimevalPair))
    39 getpid direct ()
    40 sendfile pass (Fd, Fd, InOut(Long), Len)
    41 socket pass (Choice(n::FAMILY), SocketType, Int)
    42 connect pass (Fd, Sockaddr(2), Int)
    43 accept pass (Fd, OutSockaddr(2), InOut(Type::Int))
    44 sendto pass (Fd, Bytes(2), Len, Flags(n::MSG), Sockaddr(5), Int)
    45 recvfrom pass (Fd, OutBytes(2), Len, Flags(n::MSG), OutSockaddr(5), InOut(Type::Int))
    46 sendmsg pass (Fd, Msghdr, Flags(n::MSG))
    47 recvmsg pass (Fd, OutMsghdr, Flags(n::MSG))
    48 shutdown pass (Fd, Choice(n::SHUTDOWN))
    49 bind pass (Fd, Sockaddr(2), Int)
    50 listen pass (Fd, Int)
    51 getsockname pass (Fd, OutSockaddr(2), InOut(Type::Int))
    52 getpeername pass (Fd, OutSockaddr(2), InOut(Type::Int))
    53 socketpair pass (Choice(n::FAMILY), SocketType, Int, Out(FdPair))
    54 setsockopt pass (Fd, Choice(n::LEVEL), Choice(n::SOCKET_OPTION), Bytes(4), Int)
    55 getsockopt pass (Fd, Choice(n::LEVEL), Choice(n::SOCKET_OPTION), OutSized(4), InOut(Type::Int))
    56 clone process::clone (Flags(n::CLONE), Hex, Hex, Hex, Hex)
    57 fork process::fork ()
    58 vfork process::vfork ()
    59 execve process::execve (Path, Strings, Count, Ends)
    60 exit process::exit (Int, Ends)
    61 wait4 pass (Int, Out(Status), Flags(n::WAIT), Out(Opaque(144)))
    62 kill pass (Int, Signal)
    63 uname process::uname (Out(Utsname))
    64 semget pass (Hex, Int, Flags(n::IPC_GET))
    65 semop pass (Int, Hex, Len)
    66 semctl ipc::semctl (Int, Int, Choice(n::IPC_CTL), Hex)
    67 shmdt memory::shmdt (Hex)
    68 msgget pass (Hex, Flags(n::IPC_GET))
    69 msgsnd pass (Int, Hex, Len, Flags(n::IPC_GET))
    70 msgrcv pass (Int, OutMessage(2), Len, Signed, Flags(n::IPC_GET))
    71 msgctl pass (Int, Choice(n::IPC_CTL), Out(Opaque(120)))
    72 fcntl file::fcntl (Fd, Choice(n::FCNTL), Hex)
    73 flock pass (Fd, Flags(n::FLOCK))
    74 fsync pass (Fd)
    75 fdatasync pass (Fd)
    76 truncate pass (Path, Signed)
    77 ftruncate pass (Fd, Signed)
    78 getdents file::getdents (Fd, Hex, Len)
    79 getcwd pass (OutBytes(1), Len)
    80 chdir pass (Path)
    81 fchdir pass (Fd)
    82 rename path::rename (Path, Path)
    83 mkdir path::mkdir (Path, Mode)
    84 rmdir path::rmdir (Path)
    85 creat file::creat (Path, Mode)
    86 link path::link (Path, Path)
    87 unlink path::unlink (Path)
    88 symlink path::symlink (Path, Path)
    89 readlink path::readlink (Path, OutBytes(2), Len)
    90 chmod path::chmod (Path, Mode)
    91 fchmod pass (Fd, Mode)
    92 chown path::chown (Path, Int, Int)
    93 fchown pass (Fd, Int, Int)
    94 lchown path::lchown (Path, Int, Int)
    95 umask direct (Mode)
    96 gettimeofday direct (Out(Timeval), Out(Opaque(8)))
    97 getrlimit process::getrlimit (Choice(n::RLIMIT), Out(Rlimit))
    98 getrusage direct (Choice(n::RUSAGE), Out(Opaque(144)))
    99 sysinfo direct (Out(Opaque(112)))
    100 times direct (Out(Opaque(32)))
    101 ptrace ENOSYS "debuggers would see the host's registers and code" (Int, Int, Hex, Hex)
    102 getuid direct ()
    103 syslog pass (Int, OutBytes(2), Int)
    104 getgid direct ()
    105 setuid pass (Int)
    106 setgid pass (Int)
    107 geteuid direct ()
    108 getegid direct ()
    109 setpgid pass (Int, Int)
    110 getppid direct ()
    111 getpgrp ids::getpgrp ()
    112 setsid pass ()
    113 setreuid pass (Int, Int)
    114 setregid pass (Int, Int)
    115 getgroups pass (Int, OutArray(Type::Int, 0))
    116 setgroups pass (Int, InArray(Type::Int, 0))
    117 setresuid pass (Int, Int, Int)
    118 getresuid direct (Out(Type::Int), Out(Type::Int), Out(Type::Int))
    119 setresgid pass (Int, Int, Int)
    120 getresgid direct (Out(Type::Int), Out(Type::Int), Out(Type::Int))
    121 getpgid direct (Int)
    122 setfsuid pass (Int)
    123 setfsgid pass (Int)
    124 getsid direct (Int)
    125 capget pass (InOut(Long), Out(Opaque(24)))
    126 capset pass (In(Long), Hex)
    127 rt_sigpending signal::rt_sigpending (Out(Sigset), Len)
    128 rt_sigtimedwait signal::rt_sigtimedwait (In(Sigset), Out(Siginfo), TIMESPEC, Len)
    129 rt_sigqueueinfo pass (Int, Signal, In(Siginfo))
    130 rt_sigsuspend signal::rt_sigsuspend (In(Sigset), Len)
    131 sigaltstack signal::sigaltstack (Hex, Out(Opaque(24)))
    132 utime time::utime (Path, Hex)
    133 mknod path::mknod (Path, Mode, Hex)
    134 uselib ENOSYS "removed in Linux 6.16, a.out libraries" (Path)
    135 personality process::personality (Hex)
    136 ustat ENOSYS "obsolete: statfs" (Hex, Hex)
    137 statfs path::statfs (Path, Out(Opaque(120)))
    138 fstatfs pass (Fd, Out(Opaque(120)))
    139 sysfs ENOSYS "obsolete: /proc/filesystems" (Int, Hex, Hex)
    140 getpriority direct (Choice(n::PRIORITY), Int)
    141 setpriority pass (Choice(n::PRIORITY), Int, Int)
    142 sched_setparam pass (Int, In(Type::Int))
    143 sched_getparam direct (Int, Out(Type::Int))
    144 sched_setscheduler pass (Int, Choice(n::SCHED), In(Type::Int))
    145 sched_getscheduler direct (Int)
    146 sched_get_priority_max direct (Choice(n::SCHED))
    147 sched_get_priority_min direct (Choice(n::SCHED))
    148 sched_rr_get_interval pass (Int, Out(Timespec))
    149 mlock pass (Hex, Len)
    150 munlock pass (Hex, Len)
    151 mlockall memory::mlockall (Int)
    152 munlockall memory::munlockall ()
    153 vhangup pass ()
    154 modify_ldt ENOSYS "no segments but the flat ones" (Int, Hex, Len)
    155 pivot_root namespace::pivot_root (Path, Path)
    156 _sysctl ENOSYS "removed in Linux 5.5" (Hex)
    157 prctl process::prctl (Choice(n::PRCTL), Hex, Hex, Hex, Hex)
    158 arch_prctl process::arch_prctl (Choice(n::ARCH), Hex)
    159 adjtimex pass (InOut(Opaque(208)))
    160 setrlimit process::setrlimit (Choice(n::RLIMIT), In(Rlimit))
    161 chroot namespace::chroot (Path)
    162 sync pass ()
    163 acct pass (Path)
    164 settimeofday pass (In(Timeval), Hex)
    165 mount namespace::mount (Path, Path, Str, Flags(n::MOUNT), Hex)
    166 umount2 namespace::umount2 (Path, Flags(n::UMOUNT))
    167 swapon pass (Path, Hex)
    168 swapoff pass (Path)
    169 reboot pass (Hex, Hex, Hex, Hex)
    170 sethostname pass (Bytes(1), Len)
    171 setdomainname pass (Bytes(1), Len)
    172 iopl EPERM "no I/O ports here" (Int)
    173 ioperm EPERM "no I/O ports here" (Hex, Len, Int)
    174 create_module ENOSYS "removed in Linux 2.6" ()
    175 init_module EPERM "the host's modules are of another machine" (Hex, Len, Str)
    176 delete_module EPERM "the host's modules are of another machine" (Str, Hex)
    177 get_kernel_syms ENOSYS "removed in Linux 2.6" ()
    178 query_module ENOSYS "removed in Linux 2.6" ()
    179 quotactl pass (Hex, Str, Int, Out(Opaque(512)))
    180 nfsservctl ENOSYS "removed in Linux 3.1" ()
    181 getpmsg ENOSYS "never in Linux" ()
    182 putpmsg ENOSYS "never in Linux" ()
    183 afs_syscall ENOSYS "never in Linux" ()
    184 tuxcall ENOSYS "never in Linux" ()
    185 security ENOSYS "never in Linux" ()
    186 gettid direct ()
    187 readahead pass (Fd, Signed, Len)
    188 setxattr pass (Path, Str, Bytes(3), Len, Flags(n::XATTR))
    189 lsetxattr pass (Path, Str, Bytes(3), Len, Flags(n::XATTR))
    190 fsetxattr pass (Fd, Str, Bytes(3), Len, Flags(n::XATTR))
    191 getxattr pass (Path, Str, OutBytes(3), Len)
    192 lgetxattr pass (Path, Str, OutBytes(3), Len)
    193 fgetxattr pass (Fd, Str, OutBytes(3), Len)
    194 listxattr pass (Path, OutBytes(2), Len)
    195 llistxattr pass (Path, OutBytes(2), Len)
    196 flistxattr pass (Fd, OutBytes(2), Len)
    197 removexattr pass (Path, Str)
    198 lremovexattr pass (Path, Str)
    199 fremovexattr pass (Fd, Str)
    200 tkill pass (Int, Signal)
    201 time time::time (Out(Long))
    202 futex pass (InOut(Type::Int), Choice(n::FUTEX), Int, Hex, InOut(Type::Int), Hex)
    203 sched_setaffinity pass (Int, Len, Hex)
    204 sched_getaffinity pass (Int, Len, OutBytes(1))
    205 set_thread_area ENOSYS "32-bit programs only" (Hex)
    206 io_setup memory::io_setup "the ring is where the host puts it; completions are not seen by the check for changed code" (Int, Out(Long))
    207 io_destroy pass (Hex)
    208 io_getevents pass (Hex, Signed, Signed, OutArray(Opaque(32), 2), TIMESPEC)
    209 io_submit pass (Hex, Signed, Hex)
    210 io_cancel pass (Hex, Hex, Out(Opaque(32)))
    211 get_thread_area ENOSYS "32-bit programs only" (Hex)
    212 lookup_dcookie ENOSYS "removed in Linux 6.7" (Hex, Hex, Len)
    213 epoll_create poll::epoll_create (Int)
    214 epoll_ctl_old ENOSYS "never in Linux" ()
    215 epoll_wait_old ENOSYS "never in Linux" ()
    216 remap_file_pages ENOSYS "obsolete: mmap" (Hex, Len, Hex, Len, Hex)
    217 getdents64 pass (Fd, OutBytes(2), Len)
    218 set_tid_address process::set_tid_address (Hex)
    219 restart_syscall ENOSYS "the kernel's own; never called by programs" ()
    220 semtimedop pass (Int, Hex, Len, TIMESPEC)
    221 fadvise64 pass (Fd, Signed, Len, Choice(n::FADVICE))
    222 timer_create pass (Choice(n::CLOCK), Hex, Out(Type::Int))
    223 timer_settime pass (Int, Flags(n::TIMER), In(TimespecPair), Out(TimespecPair))
    224 timer_gettime direct (Int, Out(TimespecPair))
    225 timer_getoverrun direct (Int)
    226 timer_delete pass (Int)
    227 clock_settime pass (Choice(n::CLOCK), TIMESPEC)
    228 clock_gettime direct (Choice(n::CLOCK), Out(Timespec))
    229 clock_getres direct (Choice(n::CLOCK), Out(Timespec))
    230 clock_nanosleep pass (Choice(n::CLOCK), Flags(n::TIMER), TIMESPEC, Out(Timespec))
    231 exit_group process::exit_group (Int, Ends)
    232 epoll_wait poll::epoll_wait (Fd, OutArray(EpollEvent, 2), Int, Int)
    233 epoll_ctl poll::epoll_ctl (Fd, Choice(n::EPOLL_OP), Fd, In(EpollEvent))
    234 tgkill pass (Int, Int, Signal)
    235 utimes time::utimes (Path, In(TimevalPair))
    236 vserver ENOSYS "never in Linux" ()
    237 mbind pass (Hex, Len, Int, Hex, Len, Hex)
    238 set_mempolicy pass (Int, Hex, Len)
    239 get_mempolicy pass (Out(Type::Int), Out(Opaque(1024)), Len, Hex, Hex)
    240 mq_open file::mq_open (Str, OpenFlags, MakeMode(1), Hex)
    241 mq_unlink pass (Str)
    242 mq_timedsend pass (Fd, Bytes(2), Len, Int, TIMESPEC)
    243 mq_timedreceive pass (Fd, OutBytes(2), Len, Out(Type::Int), TIMESPEC)
    244 mq_notify pass (Fd, Hex)
    245 mq_getsetattr pass (Fd, Hex, Out(Opaque(64)))
    246 kexec_load EPERM "the host's kernel is of another machine" (Hex, Len, Hex, Hex)
    247 waitid pass (Choice(n::WAIT_ID), Int, Out(Siginfo), Flags(n::WAIT), Out(Opaque(144)))
    248 add_key pass (Str, Str, Bytes(3), Len, Int)
    249 request_key pass (Str, Str, Str, Int)
    250 keyctl pass (Int, Hex, OutBytes(3), Hex, Hex)
    251 ioprio_set pass (Int, Int, Hex)
    252 ioprio_get pass (Int, Int)
    253 inotify_init poll::inotify_init ()
    254 inotify_add_watch pass (Fd, Path, Flags(n::INOTIFY_MASK))
    255 inotify_rm_watch pass (Fd, Int)
    256 migrate_pages pass (Int, Len, Hex, Hex)
    257 openat file::openat (DirFd, Path, OpenFlags, MakeMode(2))
    258 mkdirat pass (DirFd, Path, Mode)
    259 mknodat pass (DirFd, Path, Mode, Hex)
    260 fchownat pass (DirFd, Path, Int, Int, AT_FLAGS)
    261 futimesat time::futimesat (DirFd, Path, In(TimevalPair))
    262 newfstatat stat::newfstatat (DirFd, Path, Out(Stat), AT_FLAGS)
    263 unlinkat pass (DirFd, Path, AT_FLAGS)
    264 renameat pass (DirFd, Path, DirFd, Path)
    265 linkat pass (DirFd, Path, DirFd, Path, AT_FLAGS)
    266 symlinkat pass (Path, DirFd, Path)
    267 readlinkat path::readlinkat (DirFd, Path, OutBytes(3), Len)
    268 fchmodat pass (DirFd, Path, Mode)
    269 faccessat path::faccessat (DirFd, Path, Flags(n::ACCESS))
    270 pselect6 pass (Int, FdSet(0), FdSet(0), FdSet(0), InOut(Timespec), Hex)
    271 ppoll pass (InOutArray(Pollfd, 1), Len, InOut(Timespec), In(Sigset), Len)
    272 unshare pass (Flags(n::CLONE))
    273 set_robust_list pass (Hex, Len)
    274 get_robust_list pass (Int, Out(Long), Out(Long))
    275 splice pass (Fd, InOut(Long), Fd, InOut(Long), Len, Flags(n::SPLICE))
    276 tee pass (Fd, Fd, Len, Flags(n::SPLICE))
    277 sync_file_range pass (Fd, Signed, Signed, Hex)
    278 vmsplice pass (Fd, OutIovec(2), Len, Flags(n::SPLICE))
    279 move_pages pass (Int, Len, Hex, Hex, OutArray(Type::Int, 1), Hex)
    280 utimensat pass (DirFd, Path, In(TimespecPair), AT_FLAGS)
    281 epoll_pwait poll::epoll_pwait (Fd, OutArray(EpollEvent, 2), Int, Int, In(Sigset), Len)
    282 signalfd poll::signalfd (Fd, In(Sigset), Len)
    283 timerfd_create pass (Choice(n::CLOCK), Flags(n::TIMERFD))
    284 eventfd poll::eventfd (Int)
    285 fallocate pass (Fd, Flags(n::FALLOCATE), Signed, Signed)
    286 timerfd_settime pass (Fd, Flags(n::TIMERFD_SET), In(TimespecPair), Out(TimespecPair))
    287 timerfd_gettime pass (Fd, Out(TimespecPair))
    288 accept4 pass (Fd, OutSockaddr(2), InOut(Type::Int), Flags(n::SOCKET_FLAGS))
    289 signalfd4 pass (Fd, In(Sigset), Len, Flags(n::SIGNALFD))
    290 eventfd2 pass (Int, Flags(n::EVENTFD))
    291 epoll_create1 pass (Flags(n::EPOLL_CREATE))
    292 dup3 file::dup3 (Fd, Fd, Flags(n::OPEN))
    293 pipe2 file::pipe2 (Out(FdPair), Flags(n::OPEN))
    294 inotify_init1 pass (Flags(n::INOTIFY))
    295 preadv pass (Fd, OutIovec(2), Int, Signed, Hex)
    296 pwritev pass (Fd, Iovec(2), Int, Signed, Hex)
    297 rt_tgsigqueueinfo pass (Int, Int, Signal, In(Siginfo))
    298 perf_event_open ENOSYS "would count the host's instructions and sample its addresses" (Hex, Int, Int, Fd, Hex)
    299 recvmmsg pass (Fd, OutMmsghdr(2), Int, Flags(n::MSG), InOut(Timespec))
    300 fanotify_init file::fanotify_init (Hex, OpenFlags)
    301 fanotify_mark pass (Fd, Hex, Hex, DirFd, Path)
    302 prlimit64 process::prlimit64 (Int, Choice(n::RLIMIT), In(Rlimit), Out(Rlimit))
    303 name_to_handle_at pass (DirFd, Path, InOut(Opaque(136)), Out(Type::Int), AT_FLAGS)
    304 open_by_handle_at file::open_by_handle_at (Fd, Hex, OpenFlags)
    305 clock_adjtime pass (Choice(n::CLOCK), InOut(Opaque(208)))
    306 syncfs pass (Fd)
    307 sendmmsg pass (Fd, OutMmsghdr(2), Int, Flags(n::MSG))
    308 setns namespace::setns (Fd, Flags(n::CLONE))
    309 getcpu direct (Out(Type::Int), Out(Type::Int), Hex)
    310 process_vm_readv pass (Int, OutIovec(2), Len, Hex, Len, Hex)
    311 process_vm_writev pass "fails with EFAULT on pages of the other process that hold translated code" (Int, Iovec(2), Len, Hex, Len, Hex)
    312 kcmp pass (Int, Int, Int, Hex, Hex)
    313 finit_module EPERM "the host's modules are of another machine" (Fd, Str, Int)
    314 sched_setattr pass (Int, Hex, Hex)
    315 sched_getattr pass (Int, OutBytes(2), Int, Hex)
    316 renameat2 pass (DirFd, Path, DirFd, Path, Flags(n::RENAME))
    317 seccomp ENOSYS "filters name x86_64's calls, the host would compare its own" (Int, Hex, Hex)
    318 getrandom pass (OutBytes(1), Len, Flags(n::RANDOM))
    319 memfd_create pass (Str, Flags(n::MEMFD))
    320 kexec_file_load EPERM "the host's kernel is of another machine" (Fd, Fd, Len, Str, Hex)
    321 bpf EPERM "programs would meet the host's registers and structures" (Int, Hex, Int)
    322 execveat process::execveat (DirFd, Path, Strings, Count, AT_FLAGS, Ends)
    323 userfaultfd pass (Hex)
    324 membarrier pass (Choice(n::MEMBARRIER), Hex, Int)
    325 mlock2 pass (Hex, Len, Hex)
    326 copy_file_range pass (Fd, InOut(Long), Fd, InOut(Long), Len, Hex)
    327 preadv2 pass (Fd, OutIovec(2), Int, Signed, Hex, Hex)
    328 pwritev2 pass (Fd, Iovec(2), Int, Signed, Hex, Hex)
    329 pkey_mprotect memory::pkey_mprotect (Hex, Len, Flags(n::PROT), Int)
    330 pkey_alloc memory::pkey_alloc (Hex, Hex)
    331 pkey_free memory::pkey_free (Int)
    332 statx stat::statx (DirFd, Path, AT_FLAGS, Flags(n::STATX), Out(Opaque(256)))
    333 io_pgetevents pass (Hex, Signed, Signed, OutArray(Opaque(32), 2), TIMESPEC, Hex)
    334 rseq ENOSYS "the kernel would compare the host's program counter" (Hex, Len, Hex, Hex)
    335 uretprobe ENOSYS "the kernel's own; never called by programs" ()
    336 uprobe ENOSYS "the kernel's own; never called by programs" ()
    424 pidfd_send_signal pass (Fd, Signal, In(Siginfo), Hex)
    425 io_uring_setup ENOSYS "shared rings need ordered memory and checks of what completions write" (Int, Hex)
    426 io_uring_enter ENOSYS "see io_uring_setup" (Fd, Int, Int, Hex, Hex, Len)
    427 io_uring_register ENOSYS "see io_uring_setup" (Fd, Int, Hex, Int)
    428 open_tree namespace::open_tree (DirFd, Path, AT_FLAGS)
    429 move_mount namespace::move_mount (DirFd, Path, DirFd, Path, Hex)
    430 fsopen pass (Str, Hex)
    431 fsconfig pass (Fd, Int, Str, Hex, Int)
    432 fsmount pass (Fd, Hex, Hex)
    433 fspick pass (DirFd, Path, Hex)
    434 pidfd_open pass (Int, Hex)
    435 clone3 process::clone3 (Hex, Len)
    436 close_range file::close_range (Int, Int, Flags(n::CLOSE_RANGE))
    437 openat2 file::openat2 (DirFd, Path, Hex, Len)
    438 pidfd_getfd pass (Fd, Int, Hex)
    439 faccessat2 path::faccessat2 (DirFd, Path, Flags(n::ACCESS), Flags(n::AT_ACCESS))
    440 process_madvise pass (Fd, Iovec(2), Len, Choice(n::ADVICE), Hex)
    441 epoll_pwait2 poll::epoll_pwait2 (Fd, OutArray(EpollEvent, 2), Int, TIMESPEC, In(Sigset), Len)
    442 mount_setattr pass (DirFd, Path, AT_FLAGS, Hex, Len)
    443 quotactl_fd pass (Fd, Hex, Int, Out(Opaque(512)))
    444 landlock_create_ruleset pass (Hex, Len, Hex)
    445 landlock_add_rule pass (Fd, Int, Hex, Hex)
    446 landlock_restrict_self pass (Fd, Hex)
    447 memfd_secret pass (Hex)
    448 process_mrelease pass (Fd, Hex)
    449 futex_waitv pass (Hex, Int, Hex, TIMESPEC, Choice(n::CLOCK))
    450 set_mempolicy_home_node pass (Hex, Len, Int, Hex)
    451 cachestat pass (Fd, Hex, Out(Opaque(40)), Hex)
    452 fchmodat2 pass (DirFd, Path, Mode, AT_FLAGS)
    453 map_shadow_stack ENOSYS "no shadow stacks" (Hex, Len, Hex)
    454 futex_wake pass (Hex, Hex, Int, Hex)
    455 futex_wait pass (Hex, Hex, Hex, Hex, TIMESPEC, Choice(n::CLOCK))
    456 futex_requeue pass (Hex, Hex, Int, Int)
    457 statmount pass (Hex, OutBytes(2), Len, Hex)
    458 listmount pass (Hex, OutArray(Long, 2), Len, Hex)
    459 lsm_get_self_attr pass (Int, OutSized(2), InOut(Type::Int), Hex)
    460 lsm_set_self_attr pass (Int, Hex, Int, Hex)
    461 lsm_list_modules pass (OutSized(1), InOut(Type::Int), Hex)
    462 mseal ENOSYS "would forbid the protection of pages that hold translated code" (Hex, Len, Hex)
    463 setxattrat pass (DirFd, Path, AT_FLAGS, Str, Hex, Len)
    464 getxattrat pass (DirFd, Path, AT_FLAGS, Str, Hex, Len)
    465 listxattrat pass (DirFd, Path, AT_FLAGS, OutBytes(4), Len)
    466 removexattrat pass (DirFd, Path, AT_FLAGS, Str)
    467 open_tree_attr pass (DirFd, Path, AT_FLAGS, Hex, Len)
    468 file_getattr pass (DirFd, Path, OutBytes(3), Len, AT_FLAGS)
    469 file_setattr pass (DirFd, Path, Hex, Len, AT_FLAGS)
};

/// One past the last number.
const COUNT: usize = ROWS[ROWS.len() - 1].number as usize + 1;

/// Rows by number, so that dispatch is one load.
static BY_NUMBER: [Option<&Row>; COUNT] = {
    let mut all = [None; COUNT];
    let mut i = 0;
    while i < ROWS.len() {
        assert!(i == 0 || ROWS[i - 1].number < ROWS[i].number, "rows are in order");
        all[ROWS[i].number as usize] = Some(&ROWS[i]);
        i += 1;
    }
    all
};

/// Calls of ours that a stub can make as a rule: by what call of the host, and how.
const fn own_call(number: u16) -> (i64, Option<Way>) {
    match number {
        5 => (libc::SYS_fstat, Some(Way::Stat)),
        15 => (libc::SYS_rt_sigprocmask, Some(Way::SignalReturn)),
        262 => (libc::SYS_newfstatat, Some(Way::StatAt)),
        _ => (0, None),
    }
}

/// What translated code calls itself.
pub static CALLS: HostCalls = {
    let mut all = HostCalls::NONE;
    let mut i = 0;
    while i < ROWS.len() {
        let row = &ROWS[i];
        let file = writes_file(row.number).is_some();
        let (host, way) = match row.support {
            Support::Direct(host) => (host, Some(Way::AtOnce)),
            Support::Alone(host) => (host, Some(Way::Alone)),
            // Those with a mask to wait with have more to do.
            Support::Pass(host) if waits_with_mask(host) => (host, None),
            Support::Pass(host) => (host, Some(if may_block(host) { Way::Waiting } else { Way::Uninterrupted })),
            Support::Handler(_) => own_call(row.number),
            _ => (0, None),
        };
        if let Some(way) = way {
            all = all.with(row.number, HostCall { host: host as u16, arguments: row.args.len() as u8, writes: row.writes, file, way });
        }
        i += 1;
    }
    all
};

/// The row of a number; None if x86_64 has no such call.
#[inline]
pub fn row(number: u64) -> Option<&'static Row> {
    *BY_NUMBER.get(number as usize)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use syscalls::{aarch64, x86_64};

    #[test]
    fn every_call_of_x86_64_has_its_row() {
        for number in 0..COUNT as u64 + 64 {
            let truth = x86_64::Sysno::new(number as usize).map(|s| s.name());
            assert_eq!(row(number).map(|r| r.name), truth, "{number}");
        }
    }

    #[test]
    fn what_passes_exists_on_aarch64() {
        for row in ROWS.iter().filter(|r| matches!(r.support, Support::Pass(_) | Support::Direct(_) | Support::Alone(_))) {
            assert!(row.name.parse::<aarch64::Sysno>().is_ok(), "{}", row.name);
        }
    }

    #[test]
    fn refusals_have_reasons() {
        for row in ROWS.iter().filter(|r| matches!(r.support, Support::Refuse(_))) {
            assert!(!row.note.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn arguments_refer_to_arguments() {
        // Every address is that of zeros enough for the longest list; an argument that is not there would panic.
        let zeros = vec![0u64; 1 << 14];
        let at = zeros.as_ptr() as u64;
        for row in ROWS {
            assert!(row.args.iter().filter(|a| !matches!(a, Ends)).count() <= 6, "{}", row.name);
            for arg in row.args {
                arg.written(at, &[at; 6], &mut |_, _| {});
            }
        }
    }
}
