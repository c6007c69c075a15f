//! Stopping the thread that runs, in code that does not look for signals (`Opt::Unpolled`).
//!
//! A loop that loads a word to see whether it is to stop executes an instruction a turn for what nearly never happens. While one thread runs it can be stopped
//! where it is instead: the signal handler that brings something knows where the thread stands, and changes the code of that region - nobody else executes it -
//! so that it leaves at the next place where the guest's state is exact: loops stop at their [looks](crate::translate::Look), by the very instruction that looks
//! elsewhere, and links to other regions are taken back. Indirect jumps leave without a look at the plain table, the other tables are empty (`host::thread::Brake`), and the shadow stack is put aside, so
//! that nothing leads out of the region but exits; the pair of a call that has just come in is put aside with it, and a function that returns by LINK
//! (`translate::leaf`) returns to a stub that leaves. From a helper or a stub it returns to a region, which is changed, or it begins the stub again, which finds that it must
//! leave; where neither is known all regions are changed. When it has left, everything becomes again what
//! it was ([`Cache::resume`]).
//!
//! In ordered mode, where threads share code, code looks for itself.

use super::cache::{Cache, Placed};
use super::links::unlinked;
use super::{Engine, Thread};
use crate::emit::always;
use crate::emit::stubs::{POLL_WORD, Stretch, Stub};
use crate::emit::tables::Midway;
use crate::host::arena::Arena;
use crate::host::signals::Interrupted;
use crate::host::thread::{Brake, ThreadBlock};
use crate::optimize::Opt;
use crate::translate::ExitKind;
use std::sync::atomic::{AtomicBool, Ordering};

/// Code has been changed, and not yet changed back.
static HALTED: AtomicBool = AtomicBool::new(false);

/// What was changed.
#[derive(Default)]
pub(super) struct Halts {
    /// Host addresses of words, and what stood there.
    words: Vec<(u64, u32)>,
    /// How many there can be, in all translations since the last flush: the list has room for so many, because a signal handler allocates nothing.
    places: usize,
    /// The thread whose shadow stack was put aside, by its block, and where that stood.
    detour: Option<(u64, u64)>,
}

impl Halts {
    /// Has room for one more region's.
    pub fn expect(&mut self, placed: &Placed) {
        self.places += placed.looks.len() + 2 * placed.exits.len();
        if self.places > self.words.capacity() && self.words.is_empty() {
            // Not grown, which would copy what nothing is in.
            self.words = Vec::with_capacity(2 * self.places);
        }
    }

    /// No translation is left.
    pub fn flush(&mut self) {
        self.places = 0;
    }

    fn put(&mut self, arena: &mut Arena, at: u64, word: u32) {
        let old = arena.word(at);
        // There is room: see `places`.
        if old != word && old != POLL_WORD && self.words.len() < self.words.capacity() {
            self.words.push((at, old));
            arena.patch(at, word);
        }
    }

    fn region(&mut self, arena: &mut Arena, start: u64, placed: &Placed) {
        for look in &placed.looks {
            self.put(arena, start + u64::from(look.host), POLL_WORD);
        }
        for site in &placed.exits {
            for (at, word) in unlinked(|at| arena.word(at), start, site).into_iter().flatten() {
                self.put(arena, at, word);
            }
            if let ExitKind::Indirect { branches } = site.kind {
                for at in branches.into_iter().flatten().map(|branch| start + u64::from(branch)) {
                    self.put(arena, at, always(arena.word(at)));
                }
            }
        }
    }
}

impl Cache {
    /// Has the thread of `brake`, which a signal has interrupted at `at`, leave translated code at an instruction boundary. To be called by its signal handler,
    /// while nobody else runs.
    fn halt(&mut self, brake: Brake, at: &mut Interrupted) {
        if self.options().ordered || !self.options().switches.on(Opt::Unpolled) || HALTED.load(Ordering::Relaxed) {
            return;
        }
        let Some(call) = brake.in_code() else { return };
        let pc = *at.pc();
        let Cache { arena, regions, halts, .. } = self;
        // The region that the thread is in or will return to, and whether the shadow stack's pointer is in its register, in the state or, perhaps, in both.
        let (code, in_register, in_state) = match arena.stretch(pc) {
            _ if regions.holding(pc).is_some() => (pc, true, false),
            Some(Stretch::Looks) => return,
            Some(Stretch::Again(begin)) => return *at.pc() = begin,
            Some(Stretch::Returns) => (*at.link() - 4, true, false),
            Some(Stretch::Helper) => (call.wrapping_sub(4), true, true),
            None if !arena.holds(pc) && call == 0 => return,
            // In a helper.
            None if !arena.holds(pc) => (call - 4, false, true),
            None => (0, false, false),
        };
        HALTED.store(true, Ordering::Relaxed);
        let Some((start, placed)) = regions.holding(code) else {
            // Nobody knows where it will go.
            return regions.all().for_each(|(start, placed)| halts.region(arena, start, placed));
        };
        halts.region(arena, start, placed);
        let detour = brake.detour();
        let mut before = *at.shadow();
        if in_state {
            let saved = brake.exchange_shadow(detour);
            before = if in_register { before } else { saved };
        }
        if in_register && pc.wrapping_sub(start) < placed.leaf {
            // It comes to no exit.
            *at.link() = arena.stub_addresses()[Stub::LeafReturn as usize];
            *at.shadow() = detour;
        } else if in_register {
            match Midway::at(pc, |at| arena.word(at)) {
                Some(Midway::Lookup(begin)) => *at.pc() = begin,
                Some(Midway::Return(pop)) => {
                    *at.pc() = pop;
                    before -= 16;
                }
                // Where this is to return to must not be known, either.
                Some(Midway::Push) => {
                    before = brake.push(before, [at.returns_to(), *at.link()]);
                    *at.pc() += 4;
                }
                None => {}
            }
            *at.shadow() = detour;
        }
        halts.detour = Some((brake.block(), before));
    }

    /// The code becomes what it was. `block`: of the thread that has left it.
    fn resume(&mut self, block: &mut ThreadBlock) {
        let Cache { arena, halts, .. } = self;
        for (at, word) in halts.words.drain(..).rev() {
            arena.patch(at, word);
        }
        // It may be another's: a child on lent memory that was killed.
        if let Some((owner, before)) = halts.detour.take()
            && owner == block.brake().block()
        {
            block.end_detour(before);
        }
        HALTED.store(false, Ordering::Relaxed);
        block.release();
    }
}

impl Engine {
    /// See [`Cache::halt`]. Nobody holds the lock: a thread in translated code or a helper has none, and another does not run. Apart from its caller, which
    /// every signal goes through.
    #[cold]
    #[inline(never)]
    pub(super) fn halt(&self, brake: Brake, at: &mut Interrupted) {
        if let Ok(mut cache) = self.cache.try_lock() {
            cache.halt(brake, at);
        }
    }
}

impl Thread {
    /// Runs translated code at `host` until it leaves. `look`: not at all, if a signal waits.
    pub(super) fn run_code(&mut self, host: u64, look: bool) {
        self.block.enter(self.engine.enter, host, look);
        self.resume();
    }

    /// After a signal has stopped the code: see [`Cache::resume`].
    #[inline(always)]
    pub(super) fn resume(&mut self) {
        if HALTED.load(Ordering::Relaxed) {
            self.engine.cache().resume(&mut self.block);
        }
    }
}
