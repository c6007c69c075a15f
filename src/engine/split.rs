//! LOCK'ed accesses that cross 16 bytes, which no instruction of the host makes in one piece: while all other threads of the process stand still the
//! instruction runs alone, by plain accesses. In memory that other processes see, these exclude one another by a [lock](Exclusion).

use super::cache::Cache;
use super::run::Thread;
use super::{Exit, GuestCode};
use crate::decode::{Insn, Limits, Mnemonic, decode_region};
use crate::emit::stubs::kind;
use crate::guest::Addr;
use crate::host::exclusion::Exclusion;
use crate::translate::{Options, translate};
use std::sync::Once;

/// An instruction as it is run alone.
#[derive(Clone, Copy)]
pub(super) struct Alone {
    insn: Insn,
    host: u64,
}

/// It is said once.
static UNLOCKED: Once = Once::new();

impl Thread {
    /// Runs the instruction at RIP while nobody else runs.
    pub(super) fn split_lock(&mut self) -> Option<Exit> {
        let engine = self.engine;
        let rip = Addr(self.block.state().rip);
        let place = loop {
            let alone = match self.alone(rip) {
                Ok(alone) => alone,
                Err(left) => return left,
            };
            let state = self.block.state();
            let pages = alone.insn.touches(state).into_iter().flat_map(|(at, bytes)| [at, at.plus(bytes - 1)]);
            let shared = pages.filter_map(|at| engine.pages.page(at)).any(|p| p.shared);
            let ran = engine.stop.standing(|_| {
                // One at a time; the code stays until it is known what came of it; and no fork meanwhile, whose child would hold the lock too.
                let one = engine.cache();
                if self.seat.is_to_forget() {
                    return None;
                }
                let others = if shared { Exclusion::hold() } else { None };
                if shared && others.is_none() {
                    UNLOCKED.call_once(|| log::warn!("a LOCK'ed access across 16 bytes of shared memory was made without excluding other processes: no socket, or its holder does not go on"));
                }
                self.block.enter(engine.enter, alone.host, false);
                drop(others);
                Some(self.place_in(one))
            });
            if let Some(place) = ran {
                break place;
            }
            self.obey();
        };
        // Its exit is never linked: what follows would run while others stand still.
        if self.block.state().exit_kind == kind::LINK { None } else { self.left(place) }
    }

    /// The instruction at `rip`, translated for a process of one thread; or why not: it can not be fetched, or is another by now, to be run like any.
    /// It is read anew each time, since what it was translated from is not protected, and all flags are live, whatever follows.
    fn alone(&mut self, rip: Addr) -> Result<Alone, Option<Exit>> {
        let engine = self.engine;
        loop {
            let mut cache = engine.cache();
            let source = GuestCode::new(engine.pages, &cache);
            let region = decode_region(&source, rip, Limits { insns: 1, segments: 1, short: true });
            let Some(&insn) = region.insns.first() else { return Err(Some(Exit::FetchFault)) };
            if !insn.lock() && insn.mnemonic() != Mnemonic::Xchg {
                return Err(None);
            }
            if let Some(known) = self.alone.filter(|a| a.insn.addr() == rip && a.insn.raw.eq_all_bits(&insn.raw)) {
                return Ok(known);
            }
            let options = Options { ordered: false, ..cache.options().clone() };
            if let Some(target) = cache.insert_once(&region, translate(&region, &options)) {
                let alone = Alone { insn, host: target.host };
                self.alone = Some(alone);
                return Ok(alone);
            }
            drop(cache);
            engine.stopped(Cache::flush);
        }
    }
}
