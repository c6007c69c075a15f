//! Breakpoints of a debugger: the decoder reads INT3 at them, the guest's memory stays as it is. Where the process's threads find one, and how one of them goes
//! on by a single instruction, is the debugger's affair (`linux::gdb`).

use super::cache::{Cache, Fate};
use super::{Engine, Exit, GuestCode, Thread, read_pages};
use crate::decode::{Insn, Limits, Region, decode_region};
use crate::emit::stubs::kind;
use crate::guest::Addr;
use crate::host::copy;
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
    /// Is one set?
    pub fn are_any(&self) -> bool {
        !self.0.is_empty()
    }
    /// What the decoder reads in the place of `code`, which is at `at`.
    #[cold]
    pub fn show(&self, at: Addr, code: &mut [u8]) {
        for there in self.0.range(at.0..at.0.saturating_add(code.len() as u64)) {
            code[(there - at.0) as usize] = INT3;
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

/// Instructions that were executed one by one: most are executed again. Dropped with every host address.
#[derive(Default)]
pub(super) struct Singles {
    /// The [`Engine::mappings`] under which all of them could be fetched.
    mappings: u64,
    known: FxHashMap<u64, Single>,
}

/// One of them, and its code.
#[derive(Clone, Copy)]
struct Single {
    insn: Insn,
    bytes: [u8; MAX_LENGTH],
    host: u64,
}

/// No instruction is longer, in bytes.
const MAX_LENGTH: usize = 15;

impl Singles {
    /// The one at `rip`, if that can be fetched and is what it was.
    fn find(&mut self, engine: &Engine, rip: Addr) -> Option<Single> {
        let mappings = engine.mappings.load(Ordering::SeqCst);
        if mappings != self.mappings {
            self.known.clear();
            self.mappings = mappings;
        }
        let single = *self.known.get(&rip.0)?;
        let mut now = [0; MAX_LENGTH];
        let bytes = &mut now[..single.insn.raw.len()];
        (copy::read_bytes(rip, bytes).is_ok() && *bytes == single.bytes[..bytes.len()]).then_some(single)
    }

    /// Keeps one that was decoded from `bytes`, if they are still there.
    fn keep(&mut self, rip: Addr, insn: Insn, bytes: [u8; MAX_LENGTH], host: u64) {
        if bytes_at(rip)[..insn.raw.len()] == bytes[..insn.raw.len()] {
            self.known.insert(rip.0, Single { insn, bytes, host });
        }
    }
}

/// The bytes at `rip`, zeros where there are none.
fn bytes_at(rip: Addr) -> [u8; MAX_LENGTH] {
    let mut bytes = [0; MAX_LENGTH];
    read_pages(rip, &mut bytes, |_| true);
    bytes
}

impl Thread {
    /// The instruction at `rip`, if it can be fetched.
    fn next(&self, cache: &Cache, rip: Addr) -> Region {
        let source = GuestCode { bare: true, ..GuestCode::new(self.engine.pages, cache) };
        decode_region(&source, rip, Limits { insns: 1, segments: 1, short: true })
    }

    /// Addresses and lengths of what the next instruction accesses.
    pub fn will_touch(&mut self) -> Vec<(Addr, u64)> {
        let rip = Addr(self.block.state().rip);
        if let Some(known) = self.singles.find(self.engine, rip) {
            return known.insn.touches(self.block.state());
        }
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
            let placed = match self.singles.find(engine, rip) {
                Some(known) => Some(known.host),
                None => {
                    let mut cache = engine.cache();
                    let bytes = bytes_at(rip);
                    let mut region = self.next(&cache, rip);
                    let Some(&insn) = region.insns.first() else { return Some(Exit::FetchFault) };
                    optimize::liveness(&mut region, &GuestCode { bare: true, ..GuestCode::new(engine.pages, &cache) });
                    let emitted = cache.translate(&region);
                    let host = cache.insert_once(&region, emitted).map(|target| target.host);
                    drop(cache);
                    host.inspect(|host| self.singles.keep(rip, insn, bytes, *host))
                }
            };
            let Some(host) = placed else {
                engine.stopped(Cache::flush);
                continue;
            };
            if !self.begin() {
                continue;
            }
            self.block.enter(engine.enter, host, false);
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
