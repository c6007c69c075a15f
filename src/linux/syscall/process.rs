//! System calls on processes: fork and exec, exit, thread area, limits, uname, prctl.

use crate::guest::{Addr, Gpr};
use crate::host::copy::{self, Fault};
use crate::host::{process as host, signals};
use crate::host::spawn::lends_memory;
use crate::host::sys::Errno;
use crate::linux::{coredump, exec, gdb, thread};
use crate::linux::process::Limits;
use crate::linux::task::Task;

type Result = std::result::Result<u64, Errno>;

const EINVAL: Errno = Errno(libc::EINVAL);
const EPERM: Errno = Errno(libc::EPERM);

fn fault(_: Fault) -> Errno {
    Errno(libc::EFAULT)
}

/// exit(2): ends the thread.
pub fn exit(task: &mut Task, [code, ..]: [u64; 6]) -> Result {
    task.ending = Some(code);
    Ok(0)
}

/// exit_group(2).
pub fn exit_group(task: &mut Task, [code, ..]: [u64; 6]) -> Result {
    if task.process.threads.is_dying() {
        // Another thread has begun to die of a signal, and writes a core file.
        coredump::stand(task, None);
    }
    gdb::exiting(task, code);
    host::exit_process(code)
}

/// fork(2).
pub fn fork(task: &mut Task, _: [u64; 6]) -> Result {
    clone(task, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0])
}

/// vfork(2).
pub fn vfork(task: &mut Task, _: [u64; 6]) -> Result {
    clone(task, [(libc::CLONE_VFORK | libc::CLONE_VM | libc::SIGCHLD) as u64, 0, 0, 0, 0, 0])
}

/// clone(2). CLONE_VM with CLONE_VFORK runs the child on our memory while we wait, or on hosts that do not know that (emulated ones) on a copy:
/// what it writes the parent does not see there. CLONE_VM alone is a thread.
pub fn clone(task: &mut Task, [how, stack, parent_tid, child_tid, tls, _]: [u64; 6]) -> Result {
    const VM: u64 = libc::CLONE_VM as u64;
    const VFORK: u64 = libc::CLONE_VFORK as u64;
    const SETTLS: u64 = libc::CLONE_SETTLS as u64;
    const CLEARTID: u64 = libc::CLONE_CHILD_CLEARTID as u64;
    const THREAD: u64 = libc::CLONE_THREAD as u64;
    const SIGHAND: u64 = libc::CLONE_SIGHAND as u64;
    if how & THREAD != 0 && how & SIGHAND == 0 || how & SIGHAND != 0 && how & VM == 0 {
        return Err(EINVAL);
    }
    if how & VM != 0 && (how & VFORK == 0 || how & THREAD != 0) {
        announce(task, how, parent_tid, child_tid, parent_tid);
        return thread::create(task, thread::Request { flags: how, stack, parent_tid, child_tid, tls, clear_handlers: false });
    }
    if how & VM != 0 && lends_memory() {
        announce(task, how, parent_tid, child_tid, parent_tid);
        return thread::lend(task, thread::Request { flags: how, stack, parent_tid, child_tid, tls, clear_handlers: false });
    }
    let host_flags = how & !(VM | SETTLS | SIGHAND);
    let child = Child { stack, child_tid: if how & CLEARTID != 0 { child_tid } else { 0 }, tls: (how & SETTLS != 0).then_some(tls) };
    announce(task, how, parent_tid, child_tid, parent_tid);
    split(task, child, || host::fork(host_flags, parent_tid, child_tid))
}

/// What the child of a fork begins with.
struct Child {
    /// Stack pointer; 0: the parent's.
    stack: u64,
    /// CLONE_CHILD_CLEARTID's word, or 0.
    child_tid: u64,
    /// CLONE_SETTLS's base.
    tls: Option<u64>,
}

/// Tells the engine what the kernel is going to write.
fn announce(task: &Task, how: u64, parent_tid: u64, child_tid: u64, pidfd: u64) {
    for (flag, at) in [(libc::CLONE_PARENT_SETTID, parent_tid), (libc::CLONE_CHILD_SETTID, child_tid), (libc::CLONE_PIDFD, pidfd)] {
        if how & flag as u64 != 0 {
            task.process.engine.prepare_write(Addr(at), 4);
        }
    }
}

/// Forks by `fork`, with the locks held that the child must find free, and makes the child's task.
fn split(task: &mut Task, child: Child, fork: impl FnOnce() -> Result) -> Result {
    let process = &task.process;
    // What is sent to the child before it has thrown away its copy of our inbox stays with the kernel.
    let before = signals::block_all();
    let made = process.engine.with_locks_held(|| {
        let _actions = task.sighand.lock();
        let _limits = process.hold();
        process.mm.with_lock_held(fork)
    });
    if made != Ok(0) {
        signals::set_mask(before);
    }
    let pid = made?;
    if pid == 0 {
        task.forked(host::tid());
        task.clear_child_tid = Addr(child.child_tid);
        let state = task.thread.state();
        if child.stack != 0 {
            state.set(Gpr::Rsp, child.stack);
        }
        if let Some(base) = child.tls {
            state.fs_base = base;
        }
    }
    Ok(pid)
}

/// clone3(2) of processes, as [`clone`]: `struct clone_args` is the same on all machines, so what concerns no memory is the host's.
pub fn clone3(task: &mut Task, [at, size, ..]: [u64; 6]) -> Result {
    const VM: u64 = libc::CLONE_VM as u64;
    const VFORK: u64 = libc::CLONE_VFORK as u64;
    const SETTLS: u64 = libc::CLONE_SETTLS as u64;
    const CLEARTID: u64 = libc::CLONE_CHILD_CLEARTID as u64;
    const THREAD: u64 = libc::CLONE_THREAD as u64;
    const SIGHAND: u64 = libc::CLONE_SIGHAND as u64;
    const CLEAR_SIGHAND: u64 = 1 << 32;
    const PIDFD: u64 = libc::CLONE_PIDFD as u64;
    const PARENT_SETTID: u64 = libc::CLONE_PARENT_SETTID as u64;
    if size < host::CLONE_ARGS_FIRST {
        return Err(EINVAL);
    }
    let mut bytes = [0u8; host::CLONE_ARGS_MAX];
    let known = (size as usize).min(bytes.len());
    copy::read_bytes(Addr(at), &mut bytes[..known]).map_err(fault)?;
    for n in known as u64..size.min(4096) {
        if copy::read::<u8>(Addr(at).plus(n)).map_err(fault)? != 0 {
            return Err(Errno(libc::E2BIG));
        }
    }
    let mut a = host::CloneArgs::from_bytes(bytes);
    if (a.stack == 0) != (a.stack_size == 0) || a.flags & (SIGHAND | CLEAR_SIGHAND) == (SIGHAND | CLEAR_SIGHAND) {
        return Err(EINVAL);
    }
    if a.flags & THREAD != 0 && a.flags & SIGHAND == 0 || a.flags & SIGHAND != 0 && a.flags & VM == 0 {
        return Err(EINVAL);
    }
    // The host's handlers are ours and stay.
    let clear_handlers = a.flags & CLEAR_SIGHAND != 0;
    a.flags &= !CLEAR_SIGHAND;
    if a.flags & VM != 0 && (a.flags & VFORK == 0 || a.flags & THREAD != 0) {
        announce(task, a.flags, a.parent_tid, a.child_tid, a.pidfd);
        let (stack, parent_tid) = (a.stack.wrapping_add(a.stack_size), if a.flags & PIDFD != 0 { a.pidfd } else { a.parent_tid });
        let flags = a.flags & !0xff | a.exit_signal & 0xff;
        return thread::create(task, thread::Request { flags, stack, parent_tid, child_tid: a.child_tid, tls: a.tls, clear_handlers });
    }
    // What clone(2) cannot ask for is left to clone3(2), on a copy.
    let plain = a.flags >> 32 == 0 && a.set_tid_size == 0 && a.exit_signal < 0x100 && a.flags & (PIDFD | PARENT_SETTID) != PIDFD | PARENT_SETTID;
    if a.flags & VM != 0 && plain && lends_memory() {
        announce(task, a.flags, a.parent_tid, a.child_tid, a.pidfd);
        let (stack, parent_tid) = (a.stack.wrapping_add(a.stack_size), if a.flags & PIDFD != 0 { a.pidfd } else { a.parent_tid });
        let flags = a.flags & !0xff | a.exit_signal;
        return thread::lend(task, thread::Request { flags, stack, parent_tid, child_tid: a.child_tid, tls: a.tls, clear_handlers });
    }
    let cleared = if a.flags & CLEARTID != 0 { a.child_tid } else { 0 };
    let stack = a.stack.wrapping_add(a.stack_size);
    let child = Child { stack, child_tid: cleared, tls: (a.flags & SETTLS != 0).then_some(a.tls) };
    announce(task, a.flags, a.parent_tid, a.child_tid, a.pidfd);
    a.flags &= !(VM | SETTLS | SIGHAND);
    (a.stack, a.stack_size, a.tls) = (0, 0, 0);
    let pid = split(task, child, || host::fork_with(&a, known as u64))?;
    if pid == 0 && clear_handlers {
        task.sighand.clear();
    }
    Ok(pid)
}

/// execve(2).
pub fn execve(task: &mut Task, [path, argv, envp, ..]: [u64; 6]) -> Result {
    Err(exec::execute(task, libc::AT_FDCWD, Addr(path), Addr(argv), Addr(envp), 0))
}

/// execveat(2).
pub fn execveat(task: &mut Task, [dir, path, argv, envp, flags, _]: [u64; 6]) -> Result {
    let (dir, path, argv, envp, flags) = (dir as i32, Addr(path), Addr(argv), Addr(envp), flags as i32);
    if flags & libc::AT_EXECVE_CHECK != 0 {
        return exec::check(task, dir, path, argv, envp, flags).map(|()| 0);
    }
    Err(exec::execute(task, dir, path, argv, envp, flags))
}

/// set_tid_address(2).
pub fn set_tid_address(task: &mut Task, [at, ..]: [u64; 6]) -> Result {
    task.clear_child_tid = Addr(at);
    host::set_clear_tid(at);
    Ok(task.tid as u64)
}

/// arch_prctl(2), x86 only: FS and GS bases.
pub fn arch_prctl(task: &mut Task, [code, value, ..]: [u64; 6]) -> Result {
    const SET_GS: u64 = 0x1001;
    const SET_FS: u64 = 0x1002;
    const GET_FS: u64 = 0x1003;
    const GET_GS: u64 = 0x1004;
    const GET_CPUID: u64 = 0x1011;
    const SET_CPUID: u64 = 0x1012;
    let state = task.thread.state();
    // Arguments are `int` and `unsigned long`.
    match code as u32 as u64 {
        SET_FS | SET_GS if value >= crate::linux::memory::TASK_END => Err(EPERM),
        SET_FS => {
            state.fs_base = value;
            Ok(0)
        }
        SET_GS => {
            state.gs_base = value;
            Ok(0)
        }
        GET_FS => copy::write(Addr(value), state.fs_base).map(|()| 0).map_err(fault),
        GET_GS => copy::write(Addr(value), state.gs_base).map(|()| 0).map_err(fault),
        // CPUID is never trapped, and cannot be.
        GET_CPUID => Ok(1),
        SET_CPUID => Err(Errno(libc::ENODEV)),
        _ => Err(EINVAL),
    }
}

/// A virtual limit of the caller's own process: which one.
fn virtual_limit(resource: u64) -> Option<fn(&mut Limits) -> &mut (u64, u64)> {
    match resource as u32 as u64 {
        Limits::RLIMIT_AS => Some(|l| &mut l.address_space),
        Limits::RLIMIT_DATA => Some(|l| &mut l.data),
        _ => None,
    }
}

/// prlimit64(2). Limits on memory (RLIMIT_AS, RLIMIT_DATA) hold for the guest's memory, not for xemu's, so the host never
/// learns them; those of other processes are the host's.
pub fn prlimit64(task: &mut Task, args: [u64; 6]) -> Result {
    const RLIMIT_STACK: u32 = 3;
    const RLIMIT_CORE: u32 = coredump::RLIMIT_CORE as u32;
    let [pid, resource, new, old, ..] = args;
    let own = pid as i32 == 0 || pid as i32 == task.process.pid();
    let Some(field) = virtual_limit(resource).filter(|_| own) else {
        task.process.engine.prepare_write(Addr(old), if old != 0 { 16 } else { 0 });
        host::forward(libc::SYS_prlimit64, args)?;
        if own && new != 0 {
            match resource as u32 {
                RLIMIT_STACK => task.process.mm.grow_stack(copy::read::<u64>(Addr(new)).map_err(fault)?),
                RLIMIT_CORE => coredump::arm(&task.process.threads, &task.sighand, copy::read::<u64>(Addr(new)).map_err(fault)?),
                _ => {}
            }
        }
        return Ok(0);
    };
    let mut limits = task.process.limits();
    let current = *field(&mut limits);
    if new != 0 {
        let [soft, hard] = copy::read::<[u64; 2]>(Addr(new)).map_err(fault)?;
        if soft > hard {
            return Err(EINVAL);
        }
        // Raising a hard limit takes CAP_SYS_RESOURCE: root has it, by this simple measure.
        if hard > current.1 && host::effective_ids().0 != 0 {
            return Err(EPERM);
        }
        *field(&mut limits) = (soft, hard);
    }
    if old != 0 {
        copy::write(Addr(old), [current.0, current.1]).map_err(fault)?;
    }
    if new != 0 {
        task.process.set_limits(limits);
    }
    Ok(0)
}

/// getrlimit(2).
pub fn getrlimit(task: &mut Task, [resource, old, ..]: [u64; 6]) -> Result {
    prlimit64(task, [0, resource, 0, old, 0, 0])
}

/// setrlimit(2).
pub fn setrlimit(task: &mut Task, [resource, new, ..]: [u64; 6]) -> Result {
    prlimit64(task, [0, resource, new, 0, 0, 0])
}

/// uname(2): an x86_64 machine.
pub fn uname(task: &mut Task, [at, ..]: [u64; 6]) -> Result {
    const PER_LINUX32: u64 = 8;
    let mut names = host::uname()?;
    let mut set = |field: usize, value: &[u8]| {
        let n = value.len().min(64);
        names[field] = [0; 65];
        names[field][..n].copy_from_slice(&value[..n]);
    };
    set(4, if host::personality() & 0xff == PER_LINUX32 { b"i686" } else { b"x86_64" });
    if let Some(release) = &task.process.options.release {
        set(2, release);
    }
    copy::write(Addr(at), names).map(|()| 0).map_err(fault)
}

/// personality(2).
pub fn personality(task: &mut Task, args: [u64; 6]) -> Result {
    const READ_IMPLIES_EXEC: u64 = 0x40_0000;
    const QUERY: u32 = 0xffff_ffff;
    let old = host::forward(libc::SYS_personality, args)?;
    if args[0] as u32 != QUERY {
        task.process.mm.set_read_implies_exec(args[0] & READ_IMPLIES_EXEC != 0);
    }
    Ok(old)
}

/// What becomes of a prctl(2) option.
enum Control {
    /// An out-parameter at argument n, of so many bytes; otherwise the same.
    Writes(usize, u64),
    /// Answered so, without the host: what a kernel without the feature says.
    Refuse(i32),
}

/// Options that do not simply pass (include/uapi/linux/prctl.h). Everything else is forwarded.
const CONTROLS: &[(u64, Control)] = &[
    (2, Control::Writes(1, 4)),            // PR_GET_PDEATHSIG
    (5, Control::Refuse(libc::EINVAL)),    // PR_GET_UNALIGN: not on x86
    (6, Control::Refuse(libc::EINVAL)),    // PR_SET_UNALIGN
    (9, Control::Refuse(libc::EINVAL)),    // PR_GET_FPEMU
    (10, Control::Refuse(libc::EINVAL)),   // PR_SET_FPEMU
    (11, Control::Refuse(libc::EINVAL)),   // PR_GET_FPEXC
    (12, Control::Refuse(libc::EINVAL)),   // PR_SET_FPEXC
    (16, Control::Writes(1, 16)),          // PR_GET_NAME
    (19, Control::Refuse(libc::EINVAL)),   // PR_GET_ENDIAN
    (20, Control::Refuse(libc::EINVAL)),   // PR_SET_ENDIAN
    (22, Control::Refuse(libc::EINVAL)),   // PR_SET_SECCOMP: filters name x86 calls, the host would see its own
    (26, Control::Refuse(libc::EINVAL)),   // PR_SET_TSC: RDTSC is not trapped
    (35, Control::Refuse(libc::EPERM)),    // PR_SET_MM: would describe xemu's memory
    (37, Control::Writes(1, 4)),           // PR_GET_CHILD_SUBREAPER
    (40, Control::Writes(1, 8)),           // PR_GET_TID_ADDRESS
    (43, Control::Refuse(libc::EINVAL)),   // PR_MPX_ENABLE_MANAGEMENT: removed
    (44, Control::Refuse(libc::EINVAL)),   // PR_MPX_DISABLE_MANAGEMENT
    (50, Control::Refuse(libc::EINVAL)),   // PR_SVE_SET_VL: ARM's
    (51, Control::Refuse(libc::EINVAL)),   // PR_SVE_GET_VL
    (54, Control::Refuse(libc::EINVAL)),   // PR_PAC_RESET_KEYS
    (55, Control::Refuse(libc::EINVAL)),   // PR_SET_TAGGED_ADDR_CTRL
    (56, Control::Refuse(libc::EINVAL)),   // PR_GET_TAGGED_ADDR_CTRL
    (59, Control::Refuse(libc::EINVAL)),   // PR_SET_SYSCALL_USER_DISPATCH: its ranges are guest code
    (60, Control::Refuse(libc::EINVAL)),   // PR_PAC_SET_ENABLED_KEYS
    (61, Control::Refuse(libc::EINVAL)),   // PR_PAC_GET_ENABLED_KEYS
    (63, Control::Refuse(libc::EINVAL)),   // PR_SME_SET_VL
    (64, Control::Refuse(libc::EINVAL)),   // PR_SME_GET_VL
    (65, Control::Refuse(libc::EINVAL)),   // PR_SET_MDWE: would forbid translated code
    (66, Control::Refuse(libc::EINVAL)),   // PR_GET_MDWE
    (0x6d4d_444c, Control::Refuse(libc::EINVAL)), // PR_GET_MEM_MODEL (Asahi)
    (0x4d4d_444c, Control::Refuse(libc::EINVAL)), // PR_SET_MEM_MODEL
];

/// prctl(2).
pub fn prctl(task: &mut Task, args: [u64; 6]) -> Result {
    const PR_GET_TSC: u64 = 25;
    const PR_SET_TSC: u64 = 26;
    const PR_TSC_ENABLE: u32 = 1;
    let option = args[0] as u32 as u64;
    if option == PR_GET_TSC {
        return copy::write(Addr(args[1]), PR_TSC_ENABLE).map(|()| 0).map_err(fault);
    }
    if option == PR_SET_TSC && args[1] == u64::from(PR_TSC_ENABLE) {
        return Ok(0);
    }
    match CONTROLS.iter().find(|c| c.0 == option).map(|c| &c.1) {
        Some(Control::Refuse(e)) => return Err(Errno(*e)),
        Some(Control::Writes(n, len)) => task.process.engine.prepare_write(Addr(args[*n]), *len),
        None => {}
    }
    host::forward(libc::SYS_prctl, args)
}
