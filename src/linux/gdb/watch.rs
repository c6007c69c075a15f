//! Watchpoints. While there are any, every thread executes one instruction after the other, one thread at a time, and looks behind each: whether what is watched
//! has another value, or whether the instruction accessed it. So what is reported is exact, as the debug registers of a processor are; and slow.

use super::Debugged;
use crate::guest::Addr;
use crate::host::copy;
use crate::linux::task::Task;
use gdbstub::target::ext::breakpoints::WatchKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Bytes that are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watch {
    at: Addr,
    kind: WatchKind,
    /// As they were; none where they can not be read.
    value: Option<Vec<u8>>,
    bytes: u64,
}

fn value(at: Addr, bytes: u64) -> Option<Vec<u8>> {
    let mut value = vec![0; bytes as usize];
    copy::read_bytes(at, &mut value).ok().map(|()| value)
}

/// All of them.
#[derive(Default)]
pub struct Watches {
    /// There are some: to be looked at often.
    any: AtomicBool,
    list: Mutex<Vec<Watch>>,
}

/// A processor has four debug registers of 8 bytes: what is longer gdb splits.
const LONGEST: u64 = 4096;

impl Watches {
    fn lock(&self) -> MutexGuard<'_, Vec<Watch>> {
        self.list.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Watches `bytes` bytes; false if that are too many.
    pub fn add(&self, at: Addr, bytes: u64, kind: WatchKind) -> bool {
        if bytes == 0 || bytes > LONGEST {
            return false;
        }
        self.lock().push(Watch { at, kind, value: value(at, bytes), bytes });
        self.any.store(true, Ordering::Relaxed);
        true
    }

    /// No longer; false if they were not watched so.
    pub fn remove(&self, at: Addr, bytes: u64, kind: WatchKind) -> bool {
        let mut list = self.lock();
        let Some(there) = list.iter().position(|w| (w.at, w.bytes, w.kind) == (at, bytes, kind)) else { return false };
        list.remove(there);
        self.any.store(!list.is_empty(), Ordering::Relaxed);
        true
    }

    pub fn clear(&self) {
        self.lock().clear();
        self.any.store(false, Ordering::Relaxed);
    }

    /// Is it still watched?
    pub fn has(&self, at: Addr, kind: WatchKind) -> bool {
        self.lock().iter().any(|w| (w.at, w.kind) == (at, kind))
    }
}

impl Watch {
    /// Is a part of it among `touched`, address and length?
    fn is_in(&self, touched: &[(Addr, u64)]) -> bool {
        touched.iter().any(|(at, bytes)| at.0 < self.at.0 + self.bytes && self.at.0 < at.0 + bytes)
    }

    /// Has it happened, by an instruction that accessed `touched`? The value counts as known from now on.
    fn is_hit(&mut self, touched: &[(Addr, u64)]) -> bool {
        let now = value(self.at, self.bytes);
        let changed = now != self.value;
        self.value = now;
        match self.kind {
            WatchKind::Write => changed,
            // Of a read that changes nothing; x86's debug registers can not tell a read from a write.
            WatchKind::Read => self.is_in(touched) && !changed,
            WatchKind::ReadWrite => self.is_in(touched) || changed,
        }
    }
}

/// Has a thread execute one instruction while others do not: why it stopped, and what watchpoint it hit.
pub fn step(task: &mut Task) -> (Option<crate::engine::Exit>, Option<(Addr, WatchKind)>) {
    let Some(Debugged { debugger, .. }) = task.debugged else { return (task.thread.step_one(), None) };
    if !debugger.watches.any() {
        return (task.thread.step_one(), None);
    }
    let mut list = debugger.watches.lock();
    let looks = list.iter().any(|w| w.kind != WatchKind::Write);
    let touched = if looks { task.thread.will_touch() } else { Vec::new() };
    let exit = task.thread.step_one();
    if exit.is_some() {
        // It was not completed; or it is a system call, and what that changes is seen behind the next instruction.
        return (exit, None);
    }
    let mut hit = None;
    for watch in list.iter_mut() {
        if watch.is_hit(&touched) {
            hit.get_or_insert((watch.at, watch.kind));
        }
    }
    (None, hit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let memory = 5u64;
        let at = Addr(&raw const memory as u64);
        let watch = |kind, old: u64| Watch { at, kind, value: Some(old.to_le_bytes().to_vec()), bytes: 8 };
        let touched = [(Addr(at.0 + 7), 1)];
        let beside = [(Addr(at.0 + 8), 8), (Addr(at.0 - 4), 4)];
        assert!(watch(WatchKind::Write, 4).is_hit(&[]) && !watch(WatchKind::Write, 5).is_hit(&touched));
        assert!(watch(WatchKind::Read, 5).is_hit(&touched) && !watch(WatchKind::Read, 4).is_hit(&touched) && !watch(WatchKind::Read, 5).is_hit(&beside));
        assert!(watch(WatchKind::ReadWrite, 4).is_hit(&[]) && watch(WatchKind::ReadWrite, 5).is_hit(&touched));
        assert!(!watch(WatchKind::ReadWrite, 5).is_hit(&beside));
        let mut once = watch(WatchKind::Write, 4);
        assert!(once.is_hit(&[]) && !once.is_hit(&[]), "the new value is known");
    }

    #[test]
    fn they_come_and_go() {
        let (watches, memory) = (Watches::default(), 0u64);
        let at = Addr(&raw const memory as u64);
        assert!(!watches.add(at, 0, WatchKind::Write) && !watches.any());
        assert!(watches.add(at, 8, WatchKind::Write) && watches.any() && watches.has(at, WatchKind::Write));
        assert!(!watches.remove(at, 4, WatchKind::Write) && watches.remove(at, 8, WatchKind::Write) && !watches.any());
    }
}
