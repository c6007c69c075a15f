//! execve(2) and execveat(2): checks what the kernel would check, then becomes another xemu (or, for programs of other machines, lets
//! the host run them).
//!
//! An x86_64 program or a script leading to one is run by executing ourselves with the program as argument: that works whether or not
//! binfmt_misc knows us, and keeps descriptors, ids and signal dispositions as the kernel keeps them over an exec.

use super::elf::ElfError;
use super::loader::{self, LoadError};
use super::{coredump, proc, script, signal};
use crate::guest::{Addr, Gpr};
use crate::host::file::{self, Fd};
use crate::host::sys::Errno;
use crate::host::process::{self as host, Strings};
use crate::host::copy;
use crate::linux::process::Own;
use crate::linux::task::Task;

/// Longest single string (MAX_ARG_STRLEN: 32 pages).
const MAX_STRING: usize = 32 * 4096;
/// Most bytes of all strings and pointers (three quarters of _STK_LIM; the stack's limit may say less).
const MAX_TOTAL: u64 = (8 << 20) / 4 * 3;
/// e_machine of the host's own programs.
const EM_AARCH64: u16 = 183;

/// Reads a null-terminated list of strings from guest memory. A null list is an empty one.
fn read_list(at: Addr, room: &mut u64) -> Result<Vec<Vec<u8>>, Errno> {
    let mut list = Vec::new();
    let mut at = at;
    while at.0 != 0 {
        let pointer = copy::read::<u64>(at).map_err(|_| Errno(libc::EFAULT))?;
        if pointer == 0 {
            break;
        }
        let s = copy::read_cstr(Addr(pointer), MAX_STRING).map_err(|_| Errno(libc::EFAULT))?;
        let cost = s.len() as u64 + 1 + 8;
        if s.len() >= MAX_STRING || cost > *room {
            return Err(Errno(libc::E2BIG));
        }
        *room -= cost;
        list.push(s);
        at = at.plus(8);
    }
    Ok(list)
}

/// Reads a path argument.
pub fn read_path(at: Addr) -> Result<Vec<u8>, Errno> {
    let path = copy::read_cstr(at, libc::PATH_MAX as usize).map_err(|_| Errno(libc::EFAULT))?;
    if path.len() == libc::PATH_MAX as usize { Err(Errno(libc::ENAMETOOLONG)) } else { Ok(path) }
}

/// What is to be executed.
struct Target {
    /// Open for reading, unless it may only be executed.
    file: Option<Fd>,
    /// The name that the program gets as AT_EXECFN.
    name: Vec<u8>,
    /// By what path the host can find it.
    path: Vec<u8>,
    /// The next xemu cannot open it by its name: pass the descriptor on.
    by_descriptor: bool,
    /// The descriptor closes on exec, so a script could not be read by its interpreter.
    vanishes: bool,
}

fn find(task: &Task, dir: i32, path: Vec<u8>, flags: i32) -> Result<Target, Errno> {
    if flags & !(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno(libc::EINVAL));
    }
    let (fd_itself, relative) = (path.is_empty(), !path.starts_with(b"/"));
    if fd_itself && flags & libc::AT_EMPTY_PATH == 0 {
        return Err(Errno(libc::ENOENT));
    }
    if fd_itself {
        let proc_path = format!("/proc/self/fd/{dir}").into_bytes();
        let vanishes = file::is_cloexec(dir)?;
        file::may_execute(dir, b"", libc::AT_EMPTY_PATH)?;
        let file = file::open(&proc_path, libc::O_RDONLY | libc::O_NONBLOCK).ok();
        return Ok(Target { file, name: format!("/dev/fd/{dir}").into_bytes(), path: proc_path, by_descriptor: true, vanishes });
    }
    if let Some(exe) = proc::follow(task, &path) {
        // /proc/self/exe: the guest's own program. The next xemu would find itself there.
        let file = file::open(&exe, libc::O_RDONLY)?;
        return Ok(Target { file: Some(file), name: path, path: exe, by_descriptor: true, vanishes: false });
    }
    let by_descriptor = relative && dir != libc::AT_FDCWD;
    let follow = flags & libc::AT_SYMLINK_NOFOLLOW;
    let st = file::stat_at(dir, &path, follow)?;
    if st.st_mode & libc::S_IFMT == libc::S_IFLNK {
        return Err(Errno(libc::ELOOP));
    }
    if st.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno(libc::EACCES));
    }
    file::may_execute(dir, &path, 0)?;
    let file = match file::open_at(dir, &path, libc::O_RDONLY | libc::O_NONBLOCK) {
        Ok(file) => Some(file),
        Err(Errno(libc::EACCES)) => None,
        Err(e) => return Err(e),
    };
    let (name, host_path, vanishes) = if by_descriptor {
        let tail = [b"/", &path[..]].concat();
        let at = |root: &str| [root.as_bytes(), dir.to_string().as_bytes(), &tail].concat();
        (at("/dev/fd/"), at("/proc/self/fd/"), file::is_cloexec(dir)?)
    } else {
        (path.clone(), path, false)
    };
    Ok(Target { file, name, path: host_path, by_descriptor, vanishes })
}

/// How a target is run.
enum How {
    /// By another xemu.
    Emulated,
    /// By the host, whatever that makes of it.
    Host,
    /// By the host's runner: a program of the host's machine, where xemu itself runs under an emulator.
    Runner,
}

fn classify(task: &Task, target: &Target, args: &[Vec<u8>]) -> Result<How, Errno> {
    let options = &task.process.options;
    let prefix = options.prefix.as_deref();
    let Some(file) = &target.file else { return Ok(How::Host) };
    let (st, (euid, egid)) = (file::fstat(file.0)?, host::effective_ids());
    let grants = st.st_mode & libc::S_ISUID != 0 && st.st_uid != euid
        || st.st_mode & (libc::S_ISGID | libc::S_IXGRP) == (libc::S_ISGID | libc::S_IXGRP) && st.st_gid != egid
        || euid != 0 && file::has_capabilities(file);
    let mut first = [0u8; 2];
    file::pread(file.0, &mut first, 0)?;
    if script::is_script(&first) && target.vanishes {
        return Err(Errno(libc::ENOENT));
    }
    let copy = file::raise(file, 3)?;
    match loader::resolve(&target.path, args.to_vec(), prefix, Some(copy)) {
        Ok(program) => {
            loader::open_interpreter(&program, prefix).map_err(|e| e.errno())?;
            // Only the kernel can change identity or grant capabilities, through a registration that does so (binfmt_misc flag C).
            Ok(if grants { How::Host } else { How::Emulated })
        }
        Err(LoadError::Format(_, ElfError::Machine(EM_AARCH64))) if options.host_runner.is_some() => Ok(How::Runner),
        Err(LoadError::Format(_, ElfError::Machine(_) | ElfError::Class32) | LoadError::Unknown(_)) => Ok(How::Host),
        Err(e) => Err(e.errno()),
    }
}

/// execveat(2) with AT_EXECVE_CHECK for a guest: the kernel's answer for the file, which only a newer one gives.
pub fn check(task: &Task, dir: i32, path: Addr, argv: Addr, envp: Addr, flags: i32) -> Result<(), Errno> {
    let name = read_path(path)?;
    let flags = flags & !libc::AT_EXECVE_CHECK;
    file::check_execution(dir, &proc::follow(task, &name).unwrap_or(name), flags)?;
    prepare(task, dir, path, argv, envp, flags).map(drop)
}

/// execveat(2) for a guest; returns only to say why not.
pub fn execute(task: &mut Task, dir: i32, path: Addr, argv: Addr, envp: Addr, flags: i32) -> Errno {
    // What the next program needs open (it closes by itself, or is passed on).
    let _file = match plan(task, dir, path, argv, envp, flags) {
        Err(e) => return e,
        Ok((plan, file)) => {
            task.exec = Some(plan);
            file
        }
    };
    if task.process.threads.is_dying() {
        // The thread that dies would end with this one's old program.
        let call = task.thread.state().get(Gpr::Rax);
        coredump::stand(task, Some(call));
    }
    signal::before_exec(task);
    let e = task.exec.as_ref().map_or(Errno(libc::ENOEXEC), Plan::run);
    signal::after_exec(task);
    task.exec = None;
    e
}

/// What is tried, all of it allocated before: it belongs to the task, because a child that runs on its parent's memory never comes back from
/// a successful execve to free anything. The parent does.
pub struct Plan {
    environment: Strings,
    attempts: Vec<Attempt>,
}

/// One execve.
struct Attempt {
    by: By,
    args: Strings,
    /// The next attempt is made after this error only.
    unless: Option<Errno>,
}

/// What names the file.
enum By {
    Path(Strings),
    /// Close-on-exec up to now.
    Descriptor(i32),
}

impl Attempt {
    fn path(path: &[u8], args: &[Vec<u8>], unless: Option<i32>) -> Attempt {
        Attempt { by: By::Path(Strings::new(&[path])), args: Strings::new(args), unless: unless.map(Errno) }
    }
}

impl Plan {
    fn run(&self) -> Errno {
        let mut last = Errno(libc::ENOENT);
        for attempt in &self.attempts {
            last = match &attempt.by {
                By::Path(path) => host::exec(path, &attempt.args, &self.environment),
                By::Descriptor(fd) => {
                    let _ = file::set_cloexec(*fd, false);
                    let e = host::exec_fd(*fd, &attempt.args, &self.environment);
                    let _ = file::set_cloexec(*fd, true);
                    e
                }
            };
            if attempt.unless.is_some_and(|e| e != last) {
                break;
            }
        }
        last
    }
}

fn plan(task: &Task, dir: i32, path: Addr, argv: Addr, envp: Addr, flags: i32) -> Result<(Plan, Option<Fd>), Errno> {
    let (target, mut args, env) = prepare(task, dir, path, argv, envp, flags)?;
    let attempts = match classify(task, &target, &args)? {
        How::Emulated => again(task, &target, args)?,
        How::Runner => {
            args[0] = target.path.clone();
            by_runner(task.process.options.host_runner.as_deref().unwrap_or_default(), &args)
        }
        How::Host => {
            let mut attempts = vec![Attempt::path(&target.path, &args, Some(libc::ENOEXEC))];
            // Set-user-id without a registration: run it with the identity that we have.
            if is_ours(task, &target) {
                attempts.extend(again(task, &target, args)?);
            }
            attempts
        }
    };
    Ok((Plan { environment: Strings::new(&env), attempts }, target.file))
}

type Prepared = (Target, Vec<Vec<u8>>, Vec<Vec<u8>>);

fn prepare(task: &Task, dir: i32, path: Addr, argv: Addr, envp: Addr, flags: i32) -> Result<Prepared, Errno> {
    let path = read_path(path)?;
    let target = find(task, dir, path, flags)?;
    let stack = host::limit(libc::RLIMIT_STACK as u64).map_or(8 << 20, |l| l.0);
    let mut room = (stack / 4).clamp(MAX_STRING as u64, MAX_TOTAL);
    let mut args = read_list(argv, &mut room)?;
    if args.is_empty() {
        // As Linux does since 5.18.
        args.push(Vec::new());
    }
    let env = read_list(envp, &mut room)?;
    Ok((target, args, env))
}

fn is_ours(task: &Task, target: &Target) -> bool {
    let Some(copy) = target.file.as_ref().and_then(|f| file::raise(f, 3).ok()) else { return false };
    loader::resolve(&target.path, vec![Vec::new()], task.process.options.prefix.as_deref(), Some(copy)).is_ok()
}

/// The ways to execute ourselves for `target`.
fn again(task: &Task, target: &Target, args: Vec<Vec<u8>>) -> Result<Vec<Attempt>, Errno> {
    let process = &task.process;
    let mut options = process.options.clone();
    options.limits = process.own_limits();
    options.exec_fd = None;
    if target.by_descriptor
        && let Some(file) = &target.file
    {
        file::set_cloexec(file.0, false)?;
        options.exec_fd = Some(file.0);
    }
    let mut line = vec![Vec::new()];
    line.extend(options.to_args());
    let mut args = args.into_iter();
    let argv0 = args.next().unwrap_or_default();
    line.extend([b"-0".to_vec(), argv0.clone(), b"--".to_vec(), target.name.clone()]);
    let first = line.len();
    line.extend(args);
    if let Some(runner) = &options.host_runner {
        line[0] = process.own.path.clone();
        return Ok(by_runner(runner, &line));
    }
    let mut attempts = Vec::new();
    // argv[0] equal to AT_EXECFN marks a command (options::invocation).
    if let Some(fd) = process.own.fd() {
        line[0] = format!("/dev/fd/{fd}").into_bytes();
        line.splice(1..1, [b"--own-fd".to_vec(), fd.to_string().into_bytes()]);
        attempts.push(Attempt { by: By::Descriptor(fd), args: Strings::new(&line), unless: Some(Errno(libc::ENOSYS)) });
        line.drain(1..3);
    }
    line[0] = Own::LINK.to_vec();
    attempts.push(Attempt::path(Own::LINK, &line, Some(libc::ENOENT)));
    if process.own.unchanged() {
        line[0] = process.own.path.clone();
        attempts.push(Attempt::path(&process.own.path, &line, None));
    } else {
        // Nowhere to be found (a root without /proc): the kernel started us for a program, so it may do that again.
        let args: Vec<_> = std::iter::once(argv0).chain(line.drain(first..)).collect();
        attempts.push(Attempt::path(&target.path, &args, None));
    }
    Ok(attempts)
}

/// Runs `line` by the command that runs programs of our host (a testing aid: `qemu-aarch64 -cpu ...`).
fn by_runner(runner: &str, line: &[Vec<u8>]) -> Vec<Attempt> {
    const FOLDERS: [&str; 3] = ["/usr/local/bin/", "/usr/bin/", "/bin/"];
    let words: Vec<Vec<u8>> = runner.split_whitespace().map(|w| w.into()).collect();
    let Some(command) = words.first().cloned() else { return Vec::new() };
    let whole: Vec<Vec<u8>> = words.into_iter().chain(line.iter().cloned()).collect();
    if command.contains(&b'/') {
        return vec![Attempt::path(&command, &whole, None)];
    }
    FOLDERS.iter().map(|f| Attempt::path(&[f.as_bytes(), &command].concat(), &whole, None)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_end_where_an_error_counts() {
        let try_both = |unless: Option<i32>| {
            let attempt = |path: &[u8]| Attempt::path(path, &[b"x".to_vec()], unless);
            Plan { environment: Strings::new::<&[u8]>(&[]), attempts: vec![attempt(b"/nonexistent"), attempt(b"/")] }.run()
        };
        // The second is a folder.
        assert_eq!(try_both(None), Errno(libc::EACCES));
        assert_eq!(try_both(Some(libc::ENOENT)), Errno(libc::EACCES));
        assert_eq!(try_both(Some(libc::ENOEXEC)), Errno(libc::ENOENT));
        assert_eq!(Plan { environment: Strings::new::<&[u8]>(&[]), attempts: by_runner("", &[]) }.run(), Errno(libc::ENOENT));
    }
}
