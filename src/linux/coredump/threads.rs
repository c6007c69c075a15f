//! The guest's threads as the one that dies sees them. It has the others stop where their registers are exact: each gets a signal, leaves translated
//! code or the call that it waits in, and tells what it has, itself. (Stopping as the engine does is not enough: a stub of translated code may wait in a
//! call of the kernel, with the guest's registers where nobody else sees them.)

use super::notes::{self, Registers};
use crate::guest::Gpr;
use crate::host::{process as host, signals};
use crate::linux::process::Process;
use crate::linux::signal::fpstate;
use crate::linux::task::Task;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long to wait for threads that do not stop, because the kernel does not let them.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_micros(100);

/// The threads of a process.
#[derive(Default)]
pub struct Threads {
    /// A core file may be left ([`super::arm`]).
    pub(super) armed: AtomicBool,
    /// Id of the process whose thread has begun to die; 0: none has. Processes may share memory, and this.
    dying: AtomicI32,
    lists: Mutex<Lists>,
}

/// What is known of them.
#[derive(Default)]
pub struct Lists {
    /// Their ids.
    here: Vec<i32>,
    /// Those that run no more.
    standing: Vec<Registers>,
}

/// A thread's place in the list, as long as it lives.
pub struct Member {
    process: Arc<Process>,
    tid: i32,
}

impl Member {
    /// Enters the thread.
    pub fn new(process: &Arc<Process>, tid: i32) -> Member {
        process.threads.lock().here.push(tid);
        Member { process: process.clone(), tid }
    }

    /// In the child of a fork: it is the only one.
    pub fn forked(&mut self, tid: i32) {
        self.tid = tid;
        let mut lists = self.process.threads.lock();
        lists.here = vec![tid];
        lists.standing.clear();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.process.threads.lock().here.retain(|t| *t != self.tid);
    }
}

impl Threads {
    /// The lists, for whoever must keep them still (fork).
    pub fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The same of a child that runs on the memory of its parent: nobody is in it yet.
    pub fn duplicate(&self) -> Threads {
        Threads { armed: AtomicBool::new(self.armed.load(Ordering::Relaxed)), ..Threads::default() }
    }

    /// Has a thread of this process begun to die, so that all others must stand?
    pub fn is_dying(&self) -> bool {
        let dying = self.dying.load(Ordering::SeqCst);
        dying != 0 && dying == host::pid()
    }

    /// The calling thread begins to die; false if another one has.
    pub(super) fn begin(&self) -> bool {
        let pid = host::pid();
        self.dying.swap(pid, Ordering::SeqCst) != pid
    }

    /// Has all threads but the caller, `me`, stand, and returns what they have, by id.
    pub(super) fn stop(&self, me: i32) -> Vec<Registers> {
        let mut asked = Vec::new();
        let start = Instant::now();
        loop {
            let missing: Vec<i32> = {
                let lists = self.lock();
                let stands = |tid: i32| tid == me || lists.standing.iter().any(|r| r.tid == tid);
                lists.here.iter().copied().filter(|tid| !stands(*tid)).collect()
            };
            if missing.is_empty() || start.elapsed() > PATIENCE {
                break;
            }
            for tid in missing {
                if asked.contains(&tid) {
                    continue;
                }
                asked.push(tid);
                // SIGSEGV is never blocked. Who is no thread of this process, though it shares its memory, lives on.
                if signals::send(tid, libc::SIGSEGV).is_err() {
                    self.lock().here.retain(|t| *t != tid);
                }
            }
            std::thread::sleep(PAUSE);
        }
        let mut all = std::mem::take(&mut self.lock().standing);
        all.retain(|r| r.tid != me);
        all.sort_by_key(|r| r.tid);
        all
    }
}

/// What the calling thread has. `call`: the system call that it is in or comes from.
pub(super) fn registers(task: &mut Task, call: Option<u64>) -> Registers {
    let (tid, blocked, pending) = (task.tid, task.signals.blocked(), task.signals.pending());
    // The first thread's are the whole process's (fill_prstatus() of fs/binfmt_elf.c).
    let who = if tid == host::pid() { libc::RUSAGE_SELF } else { libc::RUSAGE_THREAD };
    let mut times = [0; 8];
    times[..4].copy_from_slice(&host::times(who));
    times[4..].copy_from_slice(&host::times(libc::RUSAGE_CHILDREN));
    let state = task.thread.state();
    Registers { tid, general: notes::general(state, call), area: fpstate::image(state), pending, blocked, times }
}

/// The calling thread tells what it has, and runs no more.
pub fn stand(task: &mut Task, call: Option<u64>) -> ! {
    let registers = registers(task, call);
    task.process.threads.lock().standing.push(registers);
    signals::set_exact_mask(!0);
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Runs `wait`, which takes the calling thread away from where signals could reach it (a child has its memory): what it has is told before.
pub fn away<T>(task: &mut Task, wait: impl FnOnce(&mut Task) -> T) -> T {
    if task.process.threads.lock().here.len() < 2 {
        return wait(task);
    }
    let call = task.thread.state().get(Gpr::Rax);
    let told = registers(task, Some(call));
    task.process.threads.lock().standing.push(told);
    let result = wait(task);
    let tid = task.tid;
    task.process.threads.lock().standing.retain(|r| r.tid != tid);
    result
}
