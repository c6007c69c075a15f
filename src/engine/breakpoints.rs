//! Breakpoints of a debugger: the decoder reads INT3 at them, the guest's memory stays as it is. Where the process's threads find one, and how one of them goes
//! on by a single instruction, is the debugger's affair (`linux::gdb`).

use super::cache::{Cache, Fate};
use super::stop::Stop;
use super::{Engine, Exit, GuestCode, Thread};
use crate::decode::{Insn, Limits, Region, decode_region};
use crate::emit::stubs::kind;
use crate::guest::Addr;
use crate::optimize;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// INT3.
const INT3: u8 = 0xcc;

/// Addresses of instructions.
#[derive(Default)]
pub(super) struct Breakpoints(BTreeSet<u64>);

impl Breakpoints {
    /// What the decoder reads in the place of `code`, which is at `at`.
    #[inline]
    pub fn show(&self, at: Addr, code: &mut [u8]) {
        if !self.0.is_empty() {
            for there in self.0.range(at.0..at.0.saturating_add(code.len() as u64)) {
                code[(there - at.0) as usize] = INT3;
            }
        }
    }
}

impl Engine {
    /// Whoever reaches `at` raises #BP there from now on. False: it did already.
    pub fn set_breakpoint(&self, at: Addr) -> bool {
        self.change_breakpoints(at, |all| all.insert(at.0))
    }

    /// No more. False: there was none.
    pub fn clear_breakpoint(&self, at: Addr) -> bool {
        self.change_breakpoints(at, |all| all.remove(&at.0))
    }

    fn change_breakpoints(&self, at: Addr, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) -> bool {
        self.stopped(|cache| {
            cache.invalidate(at, 1, Fate::Forget);
            change(&mut cache.breakpoints.0)
        })
    }

    /// No breakpoint is left.
    pub fn clear_breakpoints(&self) {
        let all: Vec<u64> = self.cache().breakpoints.0.iter().copied().collect();
        for at in all {
            self.clear_breakpoint(Addr(at));
        }
    }

    /// Is there one?
    pub fn has_breakpoint(&self, at: Addr) -> bool {
        self.cache().breakpoints.0.contains(&at.0)
    }
}

/// Instructions that were executed one by one, and their code: most are executed again. Dropped with every host address.
pub(super) type Singles = FxHashMap<u64, (Insn, u64)>;

impl Thread {
    /// The instruction at `rip`, if it can be fetched.
    fn next(&self, cache: &Cache, rip: Addr) -> Region {
        let source = GuestCode { bare: true, ..GuestCode::new(self.engine.pages, cache) };
        decode_region(&source, rip, Limits { insns: 1, segments: 1, short: true })
    }

    /// Addresses and lengths of what the next instruction accesses.
    pub fn will_touch(&mut self) -> Vec<(Addr, u64)> {
        let rip = Addr(self.block.state().rip);
        let region = self.next(&self.engine.cache(), rip);
        region.insns.first().map_or(Vec::new(), |insn| insn.touches(self.block.state()))
    }

    /// Executes exactly one instruction, whatever breakpoint is there: `None` if it was completed and nothing needs the operating system. A string instruction
    /// is completed with all its repetitions. [`Exit::Interrupt`] if somebody asked for that first; then nothing was executed.
    pub fn step_one(&mut self) -> Option<Exit> {
        let engine = self.engine;
        loop {
            if self.seat.interrupt.swap(false, Ordering::SeqCst) {
                return Some(Exit::Interrupt);
            }
            let rip = Addr(self.block.state().rip);
            let placed = {
                let mut cache = engine.cache();
                let mut region = self.next(&cache, rip);
                let Some(&insn) = region.insns.first() else { return Some(Exit::FetchFault) };
                match self.singles.get(&rip.0) {
                    Some((known, host)) if known.raw.eq_all_bits(&insn.raw) => Some(*host),
                    _ => {
                        optimize::liveness(&mut region, &GuestCode { bare: true, ..GuestCode::new(engine.pages, &cache) });
                        let emitted = cache.translate(&region);
                        let host = cache.insert_once(&region, emitted).map(|target| target.host);
                        host.inspect(|host| _ = self.singles.insert(rip.0, (insn, *host)))
                    }
                }
            };
            let Some(host) = placed else {
                engine.stopped(Cache::flush);
                continue;
            };
            if !engine.stop.try_enter(&self.seat) {
                engine.stop.wait();
                continue;
            }
            if Stop::ordered(&self.seat) {
                self.seat.running.store(false, Ordering::SeqCst);
                self.forget();
                continue;
            }
            self.block.enter(engine.enter, host);
            let exit = self.after_one();
            // What has to be tried again has left for one of these reasons, and nothing came of it.
            if exit.is_some() || !matches!(self.block.state().exit_kind, kind::FAULT | kind::NAN | kind::POLL) {
                return exit;
            }
        }
    }

    /// Translated code of one instruction has left. Its ways on are not linked: it is to leave again.
    fn after_one(&mut self) -> Option<Exit> {
        if self.block.state().exit_kind != kind::LINK {
            return self.after();
        }
        self.place();
        self.seat.running.store(false, Ordering::SeqCst);
        None
    }
}
