//! What all threads of a guest process share.

use super::loader::Loaded;
use super::memory::Mm;
use crate::engine::Engine;
use crate::host::file::{self, Fd};
use crate::host::process as host;
use crate::options::Options;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};

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

const RLIM_INFINITY: u64 = u64::MAX;

impl Default for Limits {
    fn default() -> Self {
        Limits { address_space: (RLIM_INFINITY, RLIM_INFINITY), data: (RLIM_INFINITY, RLIM_INFINITY) }
    }
}

impl Limits {
    /// As `--limits` writes them; None if nothing is limited.
    pub fn to_text(self) -> Option<String> {
        let (a, d) = (self.address_space, self.data);
        (self != Limits::default()).then(|| format!("{}:{},{}:{}", a.0, a.1, d.0, d.1))
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

/// How xemu is started again, by the guest's execve: kept since start, because the guest may leave our file system (chroot) or
/// unmount /proc.
pub struct Own {
    /// A descriptor of our executable, with a high number, close-on-exec; -1 if there is none.
    fd: AtomicI32,
    /// Its path at the start.
    pub path: Vec<u8>,
}

impl Own {
    /// Numbers from here on are tried first: out of the way of what guests expect to be given.
    const HIGH: i32 = 1000;

    /// Finds our executable. `argv0` and `exec_name` are used where /proc is not mounted.
    pub fn find(argv0: &[u8], exec_name: Option<&[u8]>) -> Own {
        const EXE: &[u8] = b"/proc/self/exe";
        let path = file::read_link(EXE).unwrap_or_else(|_| exec_name.unwrap_or(argv0).to_vec());
        let opened = file::open(EXE, libc::O_RDONLY).or_else(|_| file::open(&path, libc::O_RDONLY));
        let fd = opened.ok().and_then(|fd| file::move_up(fd, Self::HIGH).ok()).map_or(-1, Fd::leak);
        Own { fd: AtomicI32::new(fd), path }
    }

    /// The descriptor, if there is one: the guest must neither see nor close it.
    pub fn fd(&self) -> Option<i32> {
        Some(self.fd.load(Ordering::Relaxed)).filter(|fd| *fd >= 0)
    }

    /// Makes room for the guest, that wants descriptor `number` (dup2 and the like): moves ours away if it is that one.
    pub fn yield_fd(&self, number: i32) {
        if self.fd() == Some(number) {
            let moved = file::move_up(Fd(number), number + 1).map_or(-1, Fd::leak);
            self.fd.store(moved, Ordering::Relaxed);
        }
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
    /// Absolute path of the program (/proc/self/exe).
    pub exe: Vec<u8>,
    /// The auxiliary vector (/proc/self/auxv).
    pub auxv: Vec<u8>,
    /// Where things lie.
    pub places: Places,
    /// xemu's own executable.
    pub own: Own,
    /// Virtual limits.
    pub limits: Mutex<Limits>,
}

impl Process {
    /// The limits now.
    pub fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Sets the limits, and the address space's share of them.
    pub fn set_limits(&self, new: Limits) {
        *self.limits.lock().unwrap_or_else(|e| e.into_inner()) = new;
        self.mm.set_limit(new.address_space.0);
        self.mm.set_data_limit(new.data.0);
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
        assert_eq!(Limits::default().to_text(), None);
        let l = Limits { address_space: (1 << 30, RLIM_INFINITY), data: (5, 6) };
        assert_eq!(Limits::from_text(&l.to_text().unwrap()), Some(l));
        assert_eq!(Limits::from_text("1:2"), None);
    }

    #[test]
    fn our_descriptor_gives_way() {
        let own = Own::find(b"x", None);
        let fd = own.fd().unwrap();
        assert!(fd >= Own::HIGH);
        own.yield_fd(fd);
        assert!(own.fd().unwrap() > fd);
    }
}
