//! Core files of the guest: where natively the kernel would leave one (core(5), fs/coredump.c), xemu writes an x86_64 one, and then dies without the
//! host's, which would be of xemu itself.
//!
//! The signals that do that come to us by the inbox where a core may be wanted ([`arm`]), SIGSEGV, SIGBUS and the processor's exceptions always do.
//! Where cores go to a program (`|` in core_pattern) only the kernel can start it: it then gets xemu's own, as before.

mod areas;
mod file;
mod notes;
mod pattern;
mod threads;

pub use threads::{Lists, Member, Threads, away, stand};

use super::signal::{Catcher, SigHand};
use super::task::Task;
use crate::guest::addr::PAGE_SIZE;
use crate::guest::Addr;
use crate::host::file as files;
use crate::host::signals::{self, SigInfo, bit, signo};
use crate::host::{copy, process as host};
use pattern::{Facts, Pattern};
use std::sync::atomic::Ordering;

/// RLIMIT_CORE.
pub const RLIMIT_CORE: u64 = libc::RLIMIT_CORE as u64;

/// Signals whose default action leaves a core (signal(7)).
const ALL: u64 = CAUGHT | bit(libc::SIGSEGV) | bit(libc::SIGBUS);
/// Of those, the ones that come to us only if we say so.
const CAUGHT: u64 = bit(libc::SIGQUIT)
    | bit(libc::SIGILL)
    | bit(libc::SIGTRAP)
    | bit(libc::SIGABRT)
    | bit(libc::SIGFPE)
    | bit(libc::SIGXCPU)
    | bit(libc::SIGXFSZ)
    | bit(libc::SIGSYS);

/// Prepares for a core file, if the soft limit on its size, in bytes, allows one. To be called at start and when the limit changes.
pub fn arm(threads: &Threads, actions: &SigHand, limit: u64) {
    if limit != 0 {
        threads.armed.store(true, Ordering::Relaxed);
        actions.catch(Catcher::Core, CAUGHT);
    }
}

/// The same for a new process, whose `threads` are as its parent's.
pub fn inherit(threads: &Threads, actions: &SigHand) {
    if threads.armed.load(Ordering::Relaxed) {
        actions.catch(Catcher::Core, CAUGHT);
    }
}

/// Leaves a core file, if one is due: the process dies of the signal `info`. `call`: the system call that the thread is in or comes from. The caller ends the
/// process, which then runs no guest code any more.
pub fn leave(task: &mut Task, info: &SigInfo, call: Option<u64>) {
    if bit(signo(info)) & ALL == 0 {
        return;
    }
    let limit = host::limit(RLIMIT_CORE).map_or(0, |l| l.0);
    let pattern = Pattern::read();
    if limit == 0 || pattern.is_no_file() {
        return;
    }
    if !task.process.threads.begin() {
        stand(task, call);
    }
    let _ = host::set_soft_limit(RLIMIT_CORE, 0);
    let dumpable = host::prctl(libc::PR_GET_DUMPABLE as u64, 0, 0, 0, 0).unwrap_or(0);
    // Less than a page is not begun with (binfmt's min_coredump).
    if dumpable != 1 || limit < PAGE_SIZE {
        return;
    }
    let dying = threads::registers(task, call);
    // Nothing but SIGKILL ends it any more.
    signals::block_all();
    let mut all = vec![dying];
    all.extend(task.process.threads.stop(task.tid));
    let name = pattern.expand(&facts(task, info, limit, dumpable));
    let Some(fd) = create(&name) else {
        log::info!("no core file {}", String::from_utf8_lossy(&name));
        return;
    };
    let presence = areas::Presence::find();
    let (segments, mapped) = areas::collect(task.process.mm, &presence);
    let notes = notes::build(&about(task), info, &all, &mapped);
    file::write(fd, limit, &segments, &notes, &presence);
}

/// Makes the file, and looks at it as the kernel does: a regular one, nobody else's, under no other name.
fn create(name: &[u8]) -> Option<files::Fd> {
    let made = files::create_core(name).or_else(|e| {
        // The kernel needs no descriptor. The process is dying: it may have as many as its hard limit allows.
        let (_, most) = host::limit(libc::RLIMIT_NOFILE as u64).ok().filter(|_| e.0 == libc::EMFILE).ok_or(e)?;
        host::set_soft_limit(libc::RLIMIT_NOFILE as u64, most)?;
        files::create_core(name)
    });
    let fd = made.ok()?;
    let st = files::fstat(fd.0).ok()?;
    let good = st.st_mode & libc::S_IFMT == libc::S_IFREG && st.st_nlink == 1 && st.st_mode & 0o677 == 0o600;
    good.then_some(fd)
}

/// The first number of a line of /proc/thread-self/status.
fn status_number(status: &[u8], field: &str) -> Option<i32> {
    let text = str::from_utf8(status).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

fn facts(task: &Task, info: &SigInfo, limit: u64, dumpable: u64) -> Facts {
    let status = files::read_all(b"/proc/thread-self/status").unwrap_or_default();
    let outside = |field, own| [own, status_number(&status, field).unwrap_or(own)];
    let node = host::uname().map(|u| u[1]).unwrap_or([0; 65]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Facts {
        pid: outside("NStgid:", host::pid()),
        tid: outside("NSpid:", task.tid),
        ids: host::real_ids(),
        dumpable,
        signal: signo(info),
        time: now.map_or(0, |t| t.as_secs()),
        host: node[..node.iter().position(|b| *b == 0).unwrap_or(node.len())].to_vec(),
        name: host::name(),
        executable: task.process.program.path.clone(),
        limit,
        processor: host::current_processor(),
    }
}

fn about(task: &Task) -> notes::About {
    let (start, end) = task.process.places.args;
    // As far as it is told: the rest may not be readable any more.
    let mut arguments = vec![0; end.saturating_sub(start).min(128) as usize];
    if copy::read_bytes(Addr(start), &mut arguments).is_err() {
        arguments.clear();
    }
    // The first thread's name, whoever dies.
    let mut leader = files::read_all(b"/proc/self/comm").unwrap_or_else(|_| host::name());
    leader.truncate(leader.iter().position(|b| *b == b'\n').unwrap_or(leader.len()));
    notes::About {
        pid: host::pid(),
        family: host::family(),
        ids: host::real_ids(),
        nice: host::nice(),
        name: leader,
        arguments,
        auxv: task.process.auxv.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_outermost_namespace() {
        let status = b"Name:\tNStgid: 5\nNStgid:\t1007\t7\nNSpid:\t1008\t8\n";
        assert_eq!((status_number(status, "NStgid:"), status_number(status, "NSpid:"), status_number(status, "NSpgid:")), (Some(1007), Some(1008), None));
    }

    #[test]
    fn a_core_file_is_the_owners_alone() {
        let folder = std::env::temp_dir().join(format!("xemu-coredump-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let (name, other) = (folder.join("core"), folder.join("other"));
        let bytes = |p: &std::path::Path| p.as_os_str().as_encoded_bytes().to_vec();
        // What was there goes; the file that a link led to stays as it was.
        std::fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, &name).unwrap();
        let fd = create(&bytes(&name)).unwrap();
        files::pwrite(&fd, b"x", 0).unwrap();
        assert_eq!((std::fs::read(&name).unwrap(), std::fs::read(&other).unwrap()), (b"x".to_vec(), b"kept".to_vec()));
        assert!(std::fs::symlink_metadata(&name).unwrap().is_file());
        assert!(create(&bytes(&folder)).is_none(), "a folder stays a folder");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
