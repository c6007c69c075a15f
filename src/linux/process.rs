//! What all threads of a guest process share.

use super::coredump;
use super::fds::Reserved;
use super::gdb;
use super::loader::Loaded;
use super::memory::Mm;
use crate::engine::Engine;
use crate::host::file::{self, Fd};
use crate::host::process as host;
use crate::options::Options;
use std::sync::{Mutex, MutexGuard};

/// A resource limit, soft and hard, in bytes.
pub type Limit = (u64, u64);

/// Limits that would hit xemu's own memory if the host knew of them, so only the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// RLIMIT_AS.
    pub address_space: Limit,
    /// RLIMIT_DATA.
    pub data: Limit,
}

impl Limits {
    /// What the host has set for xemu.
    fn of_host() -> Limits {
        let get = |resource| host::limit(resource).unwrap_or((u64::MAX, u64::MAX));
        Limits { address_space: get(Self::RLIMIT_AS), data: get(Self::RLIMIT_DATA) }
    }

    /// Resource numbers (the same on all machines but alpha, mips and sparc).
    pub const RLIMIT_DATA: u64 = 2;
    /// As above.
    pub const RLIMIT_AS: u64 = 9;

    /// As `--limits` writes them.
    pub fn to_text(self) -> String {
        let (a, d) = (self.address_space, self.data);
        format!("{}:{},{}:{}", a.0, a.1, d.0, d.1)
    }

    /// Reads what [`Limits::to_text`] wrote.
    pub fn from_text(text: &str) -> Option<Limits> {
        let pair = |s: &str| -> Option<Limit> {
            let (soft, hard) = s.split_once(':')?;
            Some((soft.parse().ok()?, hard.parse().ok()?))
        };
        let (a, d) = text.split_once(',')?;
        Some(Limits { address_space: pair(a)?, data: pair(d)? })
    }
}

/// How xemu is started again, by the guest's execve. As long as /proc is there that is /proc/self/exe; a guest that is about to
/// leave our file system (chroot and the like) has us opened first.
pub struct Own {
    /// Its path at the start; empty if that could not be found out.
    pub path: Vec<u8>,
    /// Device and inode at the start.
    identity: Option<(u64, u64)>,
    /// Our executable, once [`Own::pin`] has opened it.
    fd: Reserved,
}

impl Own {
    /// The link to our executable.
    pub const LINK: &[u8] = b"/proc/self/exe";

    /// Finds our executable. `exec_name` is used where /proc is not mounted; `fd` is what the xemu before us passed on.
    pub fn find(exec_name: Option<&[u8]>, fd: Option<i32>) -> Own {
        let path = file::read_link(Self::LINK).unwrap_or_else(|_| exec_name.unwrap_or_default().to_vec());
        let identity = file::stat(Self::LINK).ok().map(|st| (st.st_dev, st.st_ino));
        if let Some(fd) = fd {
            let _ = file::set_cloexec(fd, true);
        }
        Own { path, identity, fd: Reserved::new(fd) }
    }

    /// Opens our executable and keeps it open: to be called before the guest changes its root or mounts.
    pub fn pin(&self) {
        if self.fd().is_some() {
            return;
        }
        let opened = file::open(Self::LINK, libc::O_RDONLY).ok().or_else(|| self.unchanged().then(|| file::open(&self.path, libc::O_RDONLY).ok())?);
        if let Some(file) = opened {
            self.fd.keep(&file);
        }
    }

    /// Does our path still lead to our executable?
    pub fn unchanged(&self) -> bool {
        file::stat(&self.path).ok().map(|st| (st.st_dev, st.st_ino)) == self.identity && self.identity.is_some()
    }

    /// The descriptor, if there is one: the guest must neither see nor close it.
    pub fn fd(&self) -> Option<i32> {
        self.fd.get()
    }

    /// See [`Reserved::yield_fd`].
    pub fn yield_fd(&self, number: i32) {
        self.fd.yield_fd(number);
    }
}

/// The file that the guest runs: what its /proc/self/exe is. Such a link leads to the file itself, whatever has become of its path.
#[derive(Clone, Debug)]
pub struct Executable {
    /// Its absolute path at the start, as the link reads; for a file without one (of memfd_create(2), on a mount of open_tree(2)) what the kernel says instead.
    pub path: Vec<u8>,
    /// Open, where the path does not lead to it, or may cease to.
    fd: Reserved,
}

impl Executable {
    /// The program of `path`, which is open as `file`.
    pub fn new(path: Vec<u8>, file: &Fd) -> Executable {
        let identity = |st: libc::stat| (st.st_dev, st.st_ino);
        let (there, here) = (file::stat(&path).ok().map(identity), file::fstat(file.0).ok().map(identity));
        let program = Executable { path, fd: Reserved::new(None) };
        if there != here {
            program.fd.keep(file);
        }
        program
    }

    /// A path that leads to the file.
    pub fn place(&self) -> Vec<u8> {
        match self.fd() {
            Some(fd) => format!("/proc/self/fd/{fd}").into_bytes(),
            None => self.path.clone(),
        }
    }

    /// Opens it and keeps it open: to be called before the guest changes its root or mounts.
    fn pin(&self) {
        if self.fd().is_none()
            && let Ok(file) = file::open(&self.path, libc::O_RDONLY | libc::O_NONBLOCK)
        {
            self.fd.keep(&file);
        }
    }

    /// Its descriptor, if there is one: the guest must neither see nor close it.
    pub fn fd(&self) -> Option<i32> {
        self.fd.get()
    }

    /// See [`Reserved::yield_fd`].
    pub fn yield_fd(&self, number: i32) {
        self.fd.yield_fd(number);
    }
}

/// Where the kernel's descriptions of a process (PR_SET_MM of prctl(2), /proc/PID/stat) say things lie, in guest addresses.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Argument strings.
    pub args: (u64, u64),
    /// Environment strings.
    pub env: (u64, u64),
    /// Initial stack pointer.
    pub stack: u64,
    /// The loaded program.
    pub loaded: Loaded,
}

/// A guest process.
pub struct Process {
    /// Its address space.
    pub mm: &'static Mm,
    /// What runs its code.
    pub engine: &'static Engine,
    /// How xemu was asked to run it.
    pub options: Options,
    /// What it runs.
    pub program: Executable,
    /// The auxiliary vector (/proc/self/auxv).
    pub auxv: Vec<u8>,
    /// Where things lie.
    pub places: Places,
    /// xemu's own executable.
    pub own: Own,
    /// Who debugs it (`-g`).
    pub debugger: Option<&'static gdb::Debugger>,
    /// Virtual limits, once they differ from the host's or were asked for.
    pub limits: Mutex<Option<Limits>>,
    /// Its threads, for a core file.
    pub threads: coredump::Threads,
}

impl Process {
    /// The limits now.
    pub fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert_with(Limits::of_host)
    }

    /// Opens what has to be found later too: to be called before the guest changes its root or mounts.
    pub fn pin(&self) {
        self.own.pin();
        self.program.pin();
    }

    /// The limits for another xemu to go on with, if it is not the host that knows them.
    pub fn own_limits(&self) -> Option<String> {
        self.limits.lock().unwrap_or_else(|e| e.into_inner()).filter(|l| *l != Limits::of_host()).map(Limits::to_text)
    }

    /// The same for a child that runs on this process's memory: it may leave the file system, close descriptors and set limits of its own.
    pub fn duplicate(&self) -> Process {
        Process {
            mm: self.mm,
            engine: self.engine,
            options: self.options.clone(),
            program: self.program.clone(),
            auxv: self.auxv.clone(),
            places: self.places.clone(),
            own: Own { path: self.own.path.clone(), identity: self.own.identity, fd: self.own.fd.clone() },
            debugger: None,
            limits: Mutex::new(*self.limits.lock().unwrap_or_else(|e| e.into_inner())),
            threads: self.threads.duplicate(),
        }
    }

    /// Keeps other threads from changing the process (for a fork, whose child must find the locks free).
    pub fn hold(&self) -> impl Drop + '_ {
        struct Held<'a>(#[allow(dead_code)] MutexGuard<'a, Option<Limits>>, #[allow(dead_code)] MutexGuard<'a, coredump::Lists>); // Held for its drop.
        impl Drop for Held<'_> {
            fn drop(&mut self) {}
        }
        Held(self.limits.lock().unwrap_or_else(|e| e.into_inner()), self.threads.lock())
    }

    /// Sets the limits, and the address space's share of them.
    pub fn set_limits(&self, new: Limits) {
        *self.limits.lock().unwrap_or_else(|e| e.into_inner()) = Some(new);
        self.apply_limits();
    }

    /// Has the address space obey the limits.
    pub fn apply_limits(&self) {
        if let Some(limits) = *self.limits.lock().unwrap_or_else(|e| e.into_inner()) {
            self.mm.set_limit(limits.address_space.0);
            self.mm.set_data_limit(limits.data.0);
        }
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        host::pid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_survive_being_passed_on() {
        let l = Limits { address_space: (1 << 30, u64::MAX), data: (5, 6) };
        assert_eq!(Limits::from_text(&l.to_text()), Some(l));
        assert_eq!(Limits::from_text("1:2"), None);
    }

    #[test]
    fn our_descriptor_gives_way() {
        let own = Own::find(None, None);
        assert_eq!(own.fd(), None);
        assert!(own.unchanged());
        own.pin();
        let fd = own.fd().unwrap();
        own.yield_fd(fd);
        assert!(own.fd().unwrap() > fd);
    }
}
