//! A guest thread: the loop around translated code.

use super::breakpoints::Singles;
use super::cache::{CAREFUL, Cache, Left, Target};
use super::split::Alone;
use super::stop::{Forget, Seat, Stop};
use super::{Engine, Exception, Exit, GuestCode};
use crate::decode::{End, Limits, Region, decode_region};
use crate::emit::stubs::kind;
use crate::guest::state::{GUARDS, Gpr, nzcv};
use crate::guest::{Addr, CpuState};
use crate::host::signals::Interrupted;
use crate::host::sys::Errno;
use crate::interpret::{self, Cold};
use crate::host::thread::{Brake, ThreadBlock};
use crate::optimize::{self, Opt};
use crate::translate::{self, Carry, ExitKind, Held, Step, exception};
use std::sync::{Arc, MutexGuard};
use std::sync::atomic::Ordering;

/// A guest thread's processor. Lives on the host thread that runs it.
pub struct Thread {
    pub(super) engine: &'static Engine,
    pub(super) block: ThreadBlock,
    pub(super) seat: Arc<Seat>,
    /// Where the exit that was just linked leads, and the code there. Dropped with every host address.
    linked: Option<(Addr, u64)>,
    /// Where an exit led that is not translated, and is to be interpreted.
    cold_at: Option<Addr>,
    /// The last write fault that nobody's protection explained: instruction, address and [`Cache::generation`].
    unexplained: Option<(Addr, Addr, u64)>,
    /// The last instruction that ran alone, and its code: see [`Thread::split_lock`]. Dropped with every host address.
    pub(super) alone: Option<Alone>,
    /// Single instructions, for a debugger. Dropped with every host address.
    pub(super) singles: Singles,
    /// Host address of the access that faulted, when translated code left for that.
    fault_at: u64,
    /// Of how many regions that went away ([`Cache::gone`]) it keeps no host address.
    gone: u64,
    /// What it needs to interpret code; none: it does not.
    pub(super) cold: Option<Cold>,
}

/// Asks a thread to leave [`Thread::run`], from a signal handler or another thread.
#[derive(Clone)]
pub struct Interrupter(Arc<Seat>, &'static Engine);

impl Interrupter {
    /// The thread returns [`Exit::Interrupt`] at its next instruction boundary. Signal-safe.
    pub fn interrupt(&self) {
        self.0.interrupt.store(true, Ordering::SeqCst);
        if self.0.running.load(Ordering::SeqCst) {
            self.0.brake.pull();
        }
    }

    /// The same by the thread's own signal handler, which returns to `at`.
    pub fn interrupt_here(&self, at: &mut Interrupted) {
        self.0.interrupt.store(true, Ordering::SeqCst);
        if self.0.running.load(Ordering::SeqCst) {
            self.0.brake.pull();
            self.1.halt(self.0.brake, at);
        }
    }
}

impl Thread {
    pub(super) fn new(engine: &'static Engine) -> Result<Thread, Errno> {
        let mut block = ThreadBlock::new(engine.empty_table)?;
        let stubs = engine.stubs;
        let s = block.state();
        s.stub = stubs;
        s.helpers = crate::helpers::table_address();
        s.guest_fpcr = engine.fpcr;
        let brake: Brake = block.brake();
        let seat = Arc::new(Seat::new(brake));
        let s = block.state();
        s.seat = Arc::as_ptr(&seat) as u64;
        s.wanted = engine.stop.word();
        s.careful = &raw const CAREFUL as u64;
        s.calls = engine.calls.packed.as_ptr() as u64;
        engine.stop.join(seat.clone());
        Ok(Thread { engine, block, seat, linked: None, cold_at: None, unexplained: None, alone: None, singles: Singles::default(), fault_at: 0, gone: engine.cache().gone.count(), cold: engine.interprets.then(Cold::default) })
    }

    /// The guest's registers.
    pub fn state(&mut self) -> &mut CpuState {
        self.block.state()
    }

    /// What makes this thread leave [`run`](Thread::run).
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.seat.clone(), self.engine)
    }

    /// The thread is looking for what it was interrupted for.
    pub fn heed(&mut self) {
        if self.seat.interrupt.load(Ordering::SeqCst) {
            self.seat.interrupt.store(false, Ordering::SeqCst);
        }
    }

    /// The guest is about to run a function that returns to `guest`, which nothing has called: the return is predicted, and what called
    /// before stays known.
    pub fn returns_to(&mut self, guest: u64) {
        self.block.expect_return(guest);
    }

    /// To be called in the child of a fork: the other threads are gone.
    pub fn fork_child(&mut self) {
        self.engine.stop.only(&self.seat);
    }

    /// Copies the architectural state of `from` (for a new thread).
    pub fn copy_state(&mut self, from: &CpuState) {
        let mine = self.block.state().clone();
        let s = self.block.state();
        *s = from.clone();
        // Everything that belongs to the block and the host, not to the guest.
        s.stub = mine.stub;
        s.helpers = mine.helpers;
        s.shadow_sp = mine.shadow_sp;
        s.shadow_top = mine.shadow_top;
        s.lookup = mine.lookup;
        s.late_lookup = mine.late_lookup;
        s.host_sp = mine.host_sp;
        s.owner = mine.owner;
        s.host_fpcr = mine.host_fpcr;
        s.seat = mine.seat;
        s.signals = mine.signals;
    }

    /// Runs the guest until something needs the operating system.
    pub fn run(&mut self) -> Exit {
        loop {
            let (linked, cold_at) = (self.linked.take(), self.cold_at.take());
            // Looked at before it is taken back, which costs more: here at every system call.
            if self.seat.interrupt.load(Ordering::SeqCst) && self.seat.interrupt.swap(false, Ordering::SeqCst) {
                return Exit::Interrupt;
            }
            let rip = Addr(self.block.state().rip);
            // Where the inline table knows the way the engine's lock is not needed.
            let is_cold = cold_at == Some(rip);
            let known = if is_cold { None } else { linked.filter(|l| l.0 == rip).map(|l| l.1).or_else(|| self.block.recall(rip.0)) };
            let host = match known {
                None if is_cold || self.is_cold(rip) => match self.interpret() {
                    interpret::Left::Syscall => return Exit::Syscall,
                    interpret::Left::Asked | interpret::Left::Elsewhere => continue,
                    interpret::Left::Warm => {
                        let rip = Addr(self.block.state().rip);
                        self.block.recall(rip.0).or_else(|| self.way(rip))
                    }
                },
                None => self.way(rip),
                known => known,
            };
            let Some(host) = host else { return Exit::FetchFault };
            if let Some(exit) = self.enter(host) {
                return exit;
            }
        }
    }

    /// Host code for `rip`, for the inline table too.
    fn way(&mut self, rip: Addr) -> Option<u64> {
        let target = self.engine.target(rip)?;
        self.remember(rip, target);
        Some(target.host)
    }

    /// Enters a target into the inline table, if it may be there.
    fn remember(&mut self, guest: Addr, target: Target) {
        if target.lasting && !self.seat.is_to_forget() && self.engine.inline_lookup {
            self.block.remember(guest.0, target.arrival, target.late, target.call, self.engine.plain_table.load(Ordering::Relaxed));
        }
    }

    /// Marks the thread as running. False if it had to wait, or to forget host addresses: then what it was about to enter may be gone too.
    #[inline(always)]
    pub(super) fn begin(&mut self) -> bool {
        if !self.engine.stop.try_enter(&self.seat) {
            self.engine.stop.wait();
            return false;
        }
        match Stop::ordered(&self.seat) {
            Forget::Nothing => true,
            what => {
                self.seat.running.store(false, Ordering::SeqCst);
                self.forget(what);
                false
            }
        }
    }

    /// Runs from one entry until translated code leaves; `None`: go on at RIP.
    fn enter(&mut self, host: u64) -> Option<Exit> {
        if !self.begin() {
            return None;
        }
        // A child on lent memory may have been killed in code that was to stop.
        self.resume();
        self.run_code(host, true);
        self.after()
    }

    /// Translated code has left.
    pub(super) fn after(&mut self) -> Option<Exit> {
        if let Some(exit) = self.asked() {
            self.seat.running.store(false, Ordering::SeqCst);
            return Some(exit);
        }
        if self.block.state().exit_kind == kind::MOVED {
            // RIP is exact, and no record is asked for.
            self.seat.running.store(false, Ordering::SeqCst);
            self.moved();
            return None;
        }
        let place = self.place();
        // From here on the code that was left may go away.
        self.seat.running.store(false, Ordering::SeqCst);
        self.left(place)
    }

    /// Drops host addresses of translated code.
    pub(super) fn forget(&mut self, what: Forget) {
        if what == Forget::Nothing {
            return;
        }
        self.block.release();
        self.linked = None;
        self.alone = None;
        self.singles = Singles::default();
        let cache = self.engine.cache();
        match cache.gone.since(self.gone).filter(|_| what == Forget::Gone) {
            Some(gone) => {
                for region in gone {
                    region.entries.iter().for_each(|entry| self.block.unlearn(entry.0));
                    self.block.unexpect(&region.code);
                }
            }
            None => self.block.forget_all(),
        }
        self.gone = cache.gone.count();
    }

    /// Does what [`Seat::forget`] says, of a thread that is not running.
    pub(super) fn obey(&mut self) {
        let what = self.engine.stop.enter(&self.seat);
        self.seat.running.store(false, Ordering::SeqCst);
        self.forget(what);
    }

    /// Brings a carry left in the other polarity into canonical form.
    fn settle(&mut self, carry: Carry) {
        if carry == Carry::Direct {
            self.block.state().nzcv ^= nzcv::C;
        }
    }

    /// The exit of a system call, the most frequent one. RIP and the carry are exact, and this thread need not be running (`emit::calls`).
    fn asked(&mut self) -> Option<Exit> {
        let s = self.block.state();
        let exit = match s.exit_kind {
            kind::SYSCALL => Exit::Syscall,
            kind::CALLED => Exit::Called(s.scratch[0]),
            _ => return None,
        };
        s.shadow_sp = s.shadow_sp.min(s.shadow_top);
        Some(exit)
    }

    /// A stub has set RIP, and the inline table did not lead there.
    fn moved(&mut self) {
        let empty = self.engine.empty_table;
        let s = self.block.state();
        s.shadow_sp = s.shadow_sp.min(s.shadow_top);
        if s.lookup == empty {
            // The brake led here.
            self.block.release();
        }
    }

    /// Where translated code left: makes RIP, RSP and the carry exact. Still running: nobody can take the code's records away.
    pub(super) fn place(&mut self) -> Option<Left> {
        let s = self.block.state();
        if s.shadow_sp > s.shadow_top {
            s.shadow_sp = s.shadow_top;
        }
        self.place_in(self.engine.cache())
    }

    /// The same by the records of the cache.
    pub(super) fn place_in(&mut self, cache: MutexGuard<Cache>) -> Option<Left> {
        let s = self.block.state();
        let exit = s.exit_kind;
        let at = if exit == kind::FAULT { cache.detours.site_of(s.exit_arg) } else { s.exit_arg };
        self.fault_at = at;
        let left = if matches!(exit, kind::FAULT | kind::POLL) { None } else { cache.exit(at) };
        let (guest, carry, held) = match &left {
            Some(left) => (left.site.guest, left.site.carry, Held::default()),
            // A fault or poll has the host pc itself, an exception from a helper its return address.
            None if exit == kind::EXCEPTION => {
                let (guest, carry, _) = cache.origin(at - 4).expect("a helper's call belongs to a region");
                (guest, carry, Held::default())
            }
            // An instruction of which nothing is emitted may begin there too.
            None if exit == kind::POLL && let Some(at) = cache.look(at) => at,
            None => cache.origin(at).unwrap_or_else(|| panic!("left translated code for reason {exit} at {at:#x}, which belongs to no region")),
        };
        let steps = match exit {
            kind::FAULT => cache.repair(at),
            kind::NAN => cache.repair(at - 4),
            _ => Vec::new(),
        };
        let pushed = exit == kind::FAULT && s.scratch[3] != 0 && cache.options().pushes_early() && self.pushes(&cache, guest);
        drop(cache);
        self.settle(carry);
        let s = self.block.state();
        s.rip = guest.0;
        if pushed {
            // It has lowered RSP, and its store has not been made.
            s.set(Gpr::Rsp, s.get(Gpr::Rsp).wrapping_add(8));
        }
        for (k, &n) in held.numbers().iter().enumerate() {
            s.ymm_hi[n as usize] = s.held[k];
        }
        if !steps.is_empty() {
            self.repair(&steps, guest);
        }
        left
    }

    /// Does the instruction at `rip` push 8 bytes? Whether a debugger has a breakpoint there or not.
    fn pushes(&self, cache: &Cache, rip: Addr) -> bool {
        let source = GuestCode { bare: true, ..GuestCode::new(self.engine.pages, cache) };
        let region = decode_region(&source, rip, Limits { insns: 1, segments: 1, short: true });
        region.insns.first().is_some_and(|insn| insn.pushes_eight())
    }

    /// Interprets how translated code left.
    pub(super) fn left(&mut self, place: Option<Left>) -> Option<Exit> {
        let engine = self.engine;
        let s = self.block.state();
        let (exit, first) = (s.exit_kind, s.scratch[0]);
        match exit {
            kind::LINK => {
                let left = place?;
                match left.site.kind {
                    ExitKind::NoFetch(_) => {}
                    ExitKind::Changed { .. } => {
                        match engine.changed(&left) {
                            Some(target) if target.lasting => self.remember(left.site.guest, target),
                            // The engine is to be asked each time.
                            Some(_) => self.block.unlearn(left.site.guest.0),
                            None => self.forget(Forget::All),
                        }
                    }
                    ExitKind::Counted => {
                        self.block.state().guards_left = GUARDS;
                        engine.counted(&left);
                    }
                    ExitKind::Wide => self.learn_wide(left.site.guest),
                    _ => self.link(&left),
                }
                None
            }
            kind::INDIRECT | kind::RETURN => {
                s.rip = first;
                if s.lookup == engine.empty_table {
                    // The brake led here, not a miss.
                    self.block.release();
                    return None;
                }
                let to = Addr(first);
                let cache = engine.cache();
                let target = match cache.lookup(to) {
                    known if self.interprets(to) && (known.is_none() || engine.runs.are_endless()) => {
                        self.cold_at = Some(to);
                        return None;
                    }
                    None => engine.new_target(to, cache),
                    known => {
                        drop(cache);
                        known
                    }
                };
                if let Some(target) = target {
                    self.remember(to, target);
                }
                None
            }
            kind::EXCEPTION if first == exception::SPLIT_LOCK => self.split_lock(),
            kind::EXCEPTION => Some(Exit::Exception(self.exception(first))),
            kind::FAULT => self.fault(),
            kind::NAN => None,
            kind::POLL => {
                self.block.release();
                None
            }
            other => panic!("translated code left with unknown kind {other}"),
        }
    }

    /// The entry at `guest` asks for no narrow registers any more.
    fn learn_wide(&mut self, guest: Addr) {
        // Another thread may have come from the same code.
        if !self.engine.cache().options().wide.contains(&guest.0) {
            self.engine.taking_away(|cache| cache.learn(guest, |options| &mut options.wide));
        }
    }

    /// Translates what a direct exit leads to, and makes it branch there.
    fn link(&mut self, left: &Left) {
        let (engine, guest) = (self.engine, left.site.guest);
        let mut cache = engine.cache();
        let target = match cache.lookup(guest) {
            known if self.interprets(guest) && (known.is_none() || engine.runs.are_endless()) => {
                self.cold_at = Some(guest);
                return;
            }
            Some(known) => known,
            None => {
                let Some(made) = engine.new_target(guest, cache) else { return };
                cache = engine.cache();
                made
            }
        };
        if !target.lasting {
            return;
        }
        self.linked = Some((guest, target.host));
        // Neither may have gone meanwhile; another region that took the exit's place is right too if it has the same exit there.
        let left = match cache.generation() == left.generation {
            true => *left,
            false if cache.lookup(guest) != Some(target) => return,
            false => match cache.exit(left.at) {
                Some(again) if again.site == left.site => again,
                _ => return,
            },
        };
        cache.link(&left, &target);
    }

    fn exception(&mut self, code: u64) -> Exception {
        let s = self.block.state();
        match code {
            exception::DIVIDE => Exception::Divide,
            exception::DEBUG => {
                s.rip += 1;
                Exception::Debug
            }
            exception::BREAKPOINT => {
                s.rip += 1;
                Exception::Breakpoint
            }
            exception::UNDEFINED => Exception::Undefined,
            exception::GENERAL_PROTECTION => Exception::GeneralProtection,
            exception::X87 => Exception::X87,
            exception::SIMD => Exception::Simd,
            n => Exception::Interrupt((n - exception::INTERRUPT) as u8),
        }
    }

    /// A host fault in translated code: our own write protection, a misaligned ordered access, or the guest's fault.
    fn fault(&mut self) -> Option<Exit> {
        let s = self.block.state();
        let (signal, code, address, write) = (s.scratch[0] as i32, s.scratch[1] as i32, Addr(s.scratch[2]), s.scratch[3] != 0);
        let rip = Addr(s.rip);
        if signal == libc::SIGSEGV && write {
            // An access may begin on the page before.
            if self.engine.unprotect(address) || self.engine.unprotect(address.plus(15)) {
                // The store may lie on the very page: run it alone, from code that no page protects.
                return self.step(rip);
            }
        }
        if self.was_paired(rip) {
            self.engine.taking_away(|cache| cache.learn(rip, |options| &mut options.unpaired));
            return None;
        }
        if signal == libc::SIGSEGV && write && self.engine.pages.page(address).is_some_and(|p| p.writable) {
            // Another thread may have lifted the protection while this one was on its way here: if anything changed since, it is tried again.
            let now = Some((rip, address, self.engine.cache().generation()));
            if self.unexplained != now {
                self.unexplained = now;
                return None;
            }
        }
        if signal == libc::SIGBUS && code == libc::BUS_ADRALN && self.is_misaligned(self.fault_at, rip) {
            return None;
        }
        let cache = self.engine.cache();
        let source = GuestCode::new(self.engine.pages, &cache);
        let region = decode_region(&source, rip, Limits { insns: 1, segments: 1, short: true });
        let Some(insn) = region.insns.first() else { return Some(Exit::MemoryFault { signal, code, address, write, stack: false }) };
        let fault = insn.fault(address, write, self.block.state());
        Some(Exit::MemoryFault { signal, code, address: fault.address, write: write || fault.write, stack: fault.stack })
    }

    /// May the access that faulted be that of two instructions? Nothing is done of it that is not done again.
    fn was_paired(&self, rip: Addr) -> bool {
        let cache = self.engine.cache();
        let options = cache.options();
        if options.ordered || !options.switches.on(Opt::StackPairs) || options.unpaired.contains(&rip.0) {
            return false;
        }
        let source = GuestCode::new(self.engine.pages, &cache);
        let region = decode_region(&source, rip, Limits { insns: 2, segments: 1, short: false });
        matches!(&region.insns[..], [first, second] if translate::pair(first, second).is_some())
    }

    /// Code left, or faulted, inside a group: makes the state exact (see `translate::repair`), and after a NaN has these instructions translated
    /// alone from now on. How it left stays noted.
    fn repair(&mut self, steps: &[Step], guest: Addr) {
        let engine = self.engine;
        let s = self.block.state();
        let (exit, scratch) = (s.exit_kind, s.scratch);
        s.kept = s.xmm;
        loop {
            // What was translated may be gone after each wait.
            let placed = {
                let mut cache = engine.cache();
                let emitted = translate::repair(steps, guest, cache.options());
                let region = Region::empty(guest, End::Fall(guest));
                cache.insert_once(&region, emitted)
            };
            let Some(target) = placed else {
                self.seat.running.store(false, Ordering::SeqCst);
                engine.stopped(Cache::flush);
                continue;
            };
            if !self.seat.running.load(Ordering::SeqCst) && !engine.stop.try_enter(&self.seat) {
                engine.stop.wait();
                continue;
            }
            let what = Stop::ordered(&self.seat);
            if what != Forget::Nothing {
                self.seat.running.store(false, Ordering::SeqCst);
                self.forget(what);
                continue;
            }
            // Signals find the state when it is exact.
            self.run_code(target.host, false);
            break;
        }
        let s = self.block.state();
        (s.exit_kind, s.scratch, s.rip) = (exit, scratch, guest.0);
        if exit == kind::NAN {
            self.seat.running.store(false, Ordering::SeqCst);
            engine.taking_away(|cache| {
                cache.remove_those_with(guest);
                for step in steps {
                    if let Step::Run { insn, .. } = step {
                        cache.learn(insn.addr(), |options| &mut options.nans);
                    }
                }
            });
        }
    }

    /// Executes exactly one guest instruction outside the cache.
    fn step(&mut self, rip: Addr) -> Option<Exit> {
        let engine = self.engine;
        // The invalidation that led here concerns this thread too; obeyed now, so that `enter` does not send us back to the start.
        self.obey();
        let target = loop {
            let mut cache = engine.cache();
            let source = GuestCode::new(engine.pages, &cache);
            let mut region = decode_region(&source, rip, Limits { insns: 1, segments: 1, short: true });
            optimize::liveness(&mut region, &source);
            let emitted = cache.translate(&region);
            // No page is protected for it, and nobody else finds it.
            match cache.insert_once(&region, emitted) {
                Some(target) => break target,
                None => {
                    drop(cache);
                    engine.stopped(Cache::flush);
                    self.obey();
                }
            }
        };
        self.enter(target.host)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.engine.stop.leave(&self.seat);
    }
}
