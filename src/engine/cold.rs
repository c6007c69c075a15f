//! When a thread's code is interpreted instead of translated (`interpret` says why).
//!
//! A thread that interprets is marked as running, as in translated code: nobody finds it between two halves of an instruction who has all threads stand still,
//! and it leaves at the end of a block when somebody wants that, or a signal waits. While it is marked it takes no lock, because whoever waits for it may hold
//! one: what can be executed is looked up before.

use super::Thread;
use crate::guest::Addr;
use crate::interpret::Left;
use std::sync::atomic::Ordering;

impl Thread {
    /// Is the code at `rip` better interpreted than translated?
    pub(super) fn is_cold(&self, rip: Addr) -> bool {
        self.interprets(rip) && (self.engine.runs.are_endless() || self.engine.cache().lookup(rip).is_none())
    }
    /// The same of code that is not translated.
    pub(super) fn interprets(&self, rip: Addr) -> bool {
        let runs = &self.engine.runs;
        self.cold.is_some() && runs.are_few(rip)
    }

    /// Interprets from RIP on.
    pub(super) fn interpret(&mut self) -> Left {
        let engine = self.engine;
        let Some(cold) = &mut self.cold else { return Left::Warm };
        loop {
            let rip = Addr(self.block.state().rip);
            let mappings = engine.mappings.load(Ordering::SeqCst);
            if !cold.knows(rip, mappings) {
                let area = engine.pages.area(rip).filter(|(_, info)| info.executable);
                cold.learn(area.map_or(0..0, |(area, _)| area), mappings);
                if !cold.knows(rip, mappings) {
                    // Not at all, or by its last bytes.
                    engine.runs.are_enough(rip);
                    return Left::Warm;
                }
            }
            if !engine.stop.try_enter(&self.seat) {
                engine.stop.wait();
                return Left::Asked;
            }
            let (seat, stop) = (&*self.seat, &engine.stop);
            let left = cold.run(self.block.state(), &engine.runs, &engine.mappings, || seat.interrupt.load(Ordering::Relaxed) || stop.is_wanted());
            self.seat.running.store(false, Ordering::SeqCst);
            if left != Left::Elsewhere {
                return left;
            }
        }
    }
}
