//! When a thread's code is interpreted instead of translated (`interpret` says why).

use super::Thread;
use crate::guest::Addr;
use crate::interpret::{Cold, Left};
use std::sync::atomic::Ordering;

impl Thread {
    /// Is the code at `rip` better interpreted than translated?
    pub(super) fn is_cold(&mut self, rip: Addr) -> bool {
        if self.cold.is_none() || !self.engine.runs.are_few(rip) {
            return false;
        }
        let cache = self.engine.cache();
        let everything = self.engine.runs.are_endless();
        let alone = !cache.options().ordered && (everything || !self.cold.as_ref().is_some_and(Cold::is_over));
        let translated = !everything && cache.lookup(rip).is_some();
        drop(cache);
        if !alone {
            self.cold = None;
            self.engine.interprets.store(false, Ordering::Relaxed);
        }
        alone && !translated
    }

    /// Interprets from RIP on.
    pub(super) fn interpret(&mut self) -> Left {
        let engine = self.engine;
        let area = |at: Addr| engine.pages.area(at).filter(|(_, info)| info.executable).map(|(area, _)| area);
        let Some(cold) = &mut self.cold else { return Left::Warm };
        cold.run(self.block.state(), &engine.runs, engine.mappings.load(Ordering::Relaxed), area)
    }
}
