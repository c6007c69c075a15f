//! Accesses with order that faulted because they are not aligned: in their place stands a branch to the same by barriers (`emit::detour`), beside their region.
//! To translate the region again would cost five times as much, and Java's start meets some 1,500 of them. What is translated later knows the instruction
//! ([`Options::misaligned`](crate::translate::Options)) and has no need of it.

use super::cache::Cache;
use super::run::Thread;
use crate::emit::{DETOUR, detour};
use crate::guest::Addr;
use crate::optimize::Opt;
use rustc_hash::FxHashSet;

/// All of them.
#[derive(Default)]
pub(super) struct Detours {
    /// Start and the host address that it stands for, upwards.
    list: Vec<(u64, u64)>,
    /// Those host addresses.
    sites: FxHashSet<u64>,
    /// Guest instructions of which translations are in use that do not know that they are misaligned.
    guests: FxHashSet<u64>,
}

impl Detours {
    /// The address that host code at `pc` stands for.
    pub fn site_of(&self, pc: u64) -> u64 {
        let before = self.list.partition_point(|d| d.0 <= pc).checked_sub(1).map(|i| self.list[i]);
        before.filter(|(start, _)| pc < start + DETOUR).map_or(pc, |(_, site)| site)
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Detours::default();
    }
}

impl Cache {
    /// Has the access at host address `at`, of the guest instruction at `guest`, go by a barrier; false: its code is gone, it is none that can, or the arena is
    /// full. No thread is in translated code, and each passes a context synchronization event before it is there again (it has to [forget](super::stop::Forget)).
    pub fn add_detour(&mut self, at: u64, guest: Addr) -> bool {
        if self.detours.sites.contains(&at) {
            return true;
        }
        if !self.options().switches.on(Opt::BarrierDetours) || self.regions.holding(at).is_none() {
            return false;
        }
        let word = self.arena.word(at);
        if detour(word, at, at).is_none() {
            return false;
        }
        let Some(start) = self.arena.reserve(DETOUR) else { return false };
        let words = detour(word, at, start).expect("it is one, and all of the arena is in reach");
        let mut code = [0; DETOUR as usize];
        code.as_chunks_mut::<4>().0.iter_mut().zip(words).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
        self.arena.write(start, &code);
        self.arena.patch(at, crate::emit::patch_branch(start as i64 - at as i64).expect("all of the arena is in reach"));
        self.options_mut().misaligned.insert(guest.0);
        self.detours.list.push((start, at));
        self.detours.sites.insert(at);
        self.detours.guests.insert(guest.0);
        true
    }
}

impl Thread {
    /// The access of the instruction at `rip` that faulted at host address `at` is not aligned. True: it is to be tried again.
    pub(super) fn is_misaligned(&mut self, at: u64, rip: Addr) -> bool {
        // Another thread may have met the same site while this one was on its way here.
        if self.engine.cache().detours.sites.contains(&at) || self.engine.taking_away(|cache| cache.add_detour(at, rip)) {
            return true;
        }
        let known = {
            let cache = self.engine.cache();
            cache.options().misaligned.contains(&rip.0) && !cache.detours.guests.contains(&rip.0)
        };
        if !known {
            self.engine.taking_away(|cache| {
                cache.detours.guests.remove(&rip.0);
                cache.learn(rip, |options| &mut options.misaligned);
            });
            return true;
        }
        // From code that is gone now.
        self.seat.is_to_forget()
    }
}
