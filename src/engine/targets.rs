//! From a guest address to its translation: what is there already, wakes up, or is made now.

use super::asleep::digest;
use super::cache::{Areas, Cache, Target, Ways};
use super::pages::{pages_in, pages_of};
use super::guards::Guarded;
use super::{Engine, GuestCode};
use crate::decode::{CodeSource, Limits, decode_region, decode_region_in};
use crate::guest::Addr;
use crate::optimize;
use std::cell::Cell;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

impl Engine {
    /// The translation of `rip`, made now if there is none; `None` if its bytes can not be fetched.
    pub(super) fn target(&'static self, rip: Addr) -> Option<Target> {
        let cache = self.cache();
        match cache.lookup(rip) {
            Some(known) => Some(known),
            None => self.new_target(rip, cache),
        }
    }
    /// The same where `cache` knows none.
    #[inline(never)]
    pub(super) fn new_target(&'static self, rip: Addr, mut cache: MutexGuard<Cache>) -> Option<Target> {
        let pages = self.pages;
        let ways = |page: Addr| {
            let info = pages.page(page)?;
            Some(Ways { writable: info.writable, shared: info.shared, views: if info.shared { pages.aliases(page) } else { Vec::new() } })
        };
        loop {
            if cache.heat.is_hot(rip.page()) {
                drop(cache);
                return self.checked_target(rip);
            }
            if let Some(sleeper) = cache.sleeper(rip) {
                let from = pages_of(&sleeper.placed.sources);
                if !cache.heat.any(&from) {
                    cache.protect(&from, ways);
                    if sleeper.is_current(&GuestCode::new(pages, &cache)) {
                        return Some(cache.wake(sleeper, &from));
                    }
                }
            }
            // Bytes count that were read after their pages were protected: a thread may be writing there now.
            let (region, from) = loop {
                let mut region = cache.spare();
                // Looked at before: whoever changes mappings counts them behind the change, too.
                let mappings = self.mappings.load(Ordering::SeqCst);
                let known = if cache.areas.mappings == mappings { cache.areas } else { Areas { mappings, ..Areas::default() } };
                let untried = self.interprets.then_some(&self.runs);
                let source = GuestCode { untried, executable: Cell::new(known.executable), constant: Cell::new(known.constant), ..GuestCode::recalling(pages, &cache) };
                decode_region_in(&source, rip, self.limits, &mut region);
                if region.insns.is_empty() {
                    return None;
                }
                let ahead = source.ahead();
                optimize::liveness(&mut region, &ahead);
                cache.areas = Areas { mappings, executable: source.executable.get(), constant: ahead.constant.get() };
                let mut from = std::mem::take(&mut cache.spare_pages);
                pages_in(&region.sources, &mut from);
                if cache.heat.any(&from) {
                    drop(cache);
                    return self.checked_target(rip);
                }
                if cache.protect(&from, ways) {
                    break (region, from);
                }
            };
            let emitted = cache.translate(&region);
            let copy = self.observer.map(|observe| (observe, (*region).clone(), emitted.clone()));
            if let Some(target) = cache.insert(region, emitted, &from) {
                cache.spare_pages = from;
                drop(cache);
                if let Some((observe, region, emitted)) = copy {
                    observe(&region, &emitted, target.host);
                }
                return Some(target);
            }
            // Full: everything goes, and the code that is needed comes back by itself.
            drop(cache);
            self.stopped(Cache::flush);
            cache = self.cache();
            // Another thread may have been first.
            if let Some(known) = cache.lookup(rip) {
                return Some(known);
            }
        }
    }
    /// [`Engine::target`] where pages are hot: a translation that holds now, for one entry.
    fn checked_target(&'static self, rip: Addr) -> Option<Target> {
        let limits = Limits { segments: 1, short: true, ..self.limits };
        loop {
            let mut cache = self.cache();
            match cache.guarded(rip, self.pages) {
                Guarded::Target(target) => return Some(target),
                Guarded::NoFetch => return None,
                Guarded::Full => {
                    drop(cache);
                    self.stopped(Cache::flush);
                    continue;
                }
                Guarded::Restless => {}
            }
            let source = GuestCode::new(self.pages, &cache);
            if let Some(target) = cache.heat.checked(rip, &source) {
                cache.heat.entered(&[rip.page()], 1);
                return Some(target);
            }
            let decode = || {
                let mut region = decode_region(&source, rip, limits);
                optimize::liveness(&mut region, &source);
                let sum = digest(&region.sources, |at, buf| source.read_code(at, buf));
                (region, sum)
            };
            // Threads may be writing there: what was read between two equal digests is what they are of.
            let (before, (region, sum)) = (decode(), decode());
            if region.insns.is_empty() {
                return None;
            }
            if before.1 != sum || before.0.sources != region.sources {
                continue;
            }
            let emitted = cache.translate(&region);
            if let Some(target) = cache.insert_once(&region, emitted) {
                cache.heat.entered(&pages_of(&region.sources), 1);
                cache.heat.keep(rip, target, region.sources, sum);
                return Some(target);
            }
            drop(cache);
            self.stopped(Cache::flush);
        }
    }
}
