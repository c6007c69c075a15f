//! Cold code: guest code that has not run often is executed instruction by instruction, because to translate one costs as much as to execute it six times
//! here, and of what a program runs at its start a third and more runs once.
//!
//! Only what is frequent and simple is here ([`ROWS`](rows)). Everything else (all other instructions, and whatever can not be done at once: a page
//! that can not be read or written, a division that overflows, an access that is to be atomic) is refused before it has changed anything, and translated code
//! does it, with all that may follow. So nothing here raises exceptions, and nothing here knows of protected pages, signals or other threads, except that it
//! leaves when it is asked to. Accesses are ordered where others can see them ([`touch`]), and made in the program's order, one for each of the guest's. A block
//! head is executed here [`LIMIT`] times at most, so that no loop stays here.

#![forbid(unsafe_code)]

mod arith;
mod operand;
mod rows;

use crate::decode::brief::{Brief, brief, brief_behind_prefixes, has_prefixes};
use crate::guest::{Addr, CpuState};
use crate::host::{memory, touch};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// A block head that was executed here so often is translated.
const LIMIT: u8 = 2;
/// After so many blocks it is looked at whether that pays: where more than half as many heads ran again as ran for the first time it does not, and nothing is
/// executed here until so many regions were translated. A compiler's run, whose first quarter runs once and whose rest runs again, would cost a tenth more otherwise.
const WINDOW: u32 = 4096;
/// The first pause, and the longest; each is twice the one before, until it has paid again.
const PAUSE: (u32, u32) = (3_000, 24_000);
/// A thread tells the others of what it executed after so many blocks.
const SHARE: u32 = 256;
/// log2 of the number of counters. Two heads that share one are translated earlier.
const COUNTER_BITS: u32 = 23;
/// log2 of the counters in a page, and of the bytes of code that have their counters there: eight bytes for each.
const PAGE_BITS: u32 = 12;
const AREA_BITS: u32 = 15;

/// Why execution ended; RIP says where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// What is there is to be translated: it has run often enough, or is refused here.
    Warm,
    /// SYSCALL: RIP is behind it, RCX and R11 are set.
    Syscall,
    /// Somebody wants this thread to leave.
    Asked,
    /// Whether the code at RIP can be executed has to be found out.
    Elsewhere,
}

/// Why a block ended that did not end with a branch or SYSCALL.
enum Stuck {
    /// The instruction at RIP is not for here.
    Refused,
    /// [`Left::Elsewhere`].
    Elsewhere,
}

/// What one instruction did.
pub(in crate::interpret) enum Done {
    /// RIP is to be set behind it.
    Next,
    /// The same of a branch that was not taken: a block begins there.
    Past,
    /// RIP is set: a branch that was taken.
    Gone,
    /// SYSCALL.
    Syscall,
}

/// How often block heads were executed here, by all threads. A count may be lost where two threads execute one head at once: then it is executed here once
/// more. A head is counted [`LIMIT`] times, so that nobody waits for anybody's store.
pub struct Runs {
    counters: Box<[AtomicU8]>,
    /// What was executed in this [`WINDOW`], as far as threads have said so.
    window: [AtomicU32; 3],
    /// Regions that are to be translated until it is tried again.
    pause: AtomicU32,
    /// The pause that comes if it does not pay.
    next_pause: AtomicU32,
    /// For tests: whatever can be executed here is.
    everything: bool,
}

impl Runs {
    /// None yet. `everything`: without the limits. Where nothing is interpreted nothing can be counted.
    pub fn new(interprets: bool, everything: bool) -> Runs {
        let counters = memory::counters(if interprets { 1 << COUNTER_BITS } else { 0 });
        Runs { counters, window: Default::default(), pause: AtomicU32::new(0), next_pause: AtomicU32::new(PAUSE.0), everything }
    }
    fn of(&self, head: u64) -> &AtomicU8 {
        // A page of counters for each area of code, at a place that hashing finds: few pages are touched where little code runs.
        let area = (head >> AREA_BITS).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - (COUNTER_BITS - PAGE_BITS)) << PAGE_BITS;
        &self.counters[(area | head >> (AREA_BITS - PAGE_BITS) & ((1 << PAGE_BITS) - 1)) as usize]
    }
    /// Is everything executed here that can be?
    pub fn are_endless(&self) -> bool {
        self.everything
    }
    /// Is nothing to be executed here for now?
    #[inline]
    pub fn are_paused(&self) -> bool {
        self.pause.load(Relaxed) != 0 && !self.everything
    }
    /// A region was translated.
    pub fn was_translated(&self) {
        let pause = self.pause.load(Relaxed);
        if pause != 0 {
            self.pause.store(pause - 1, Relaxed);
        }
    }
    /// Adds what a thread has executed.
    fn add(&self, share: Share) {
        let [blocks, first, again] = &self.window;
        first.fetch_add(share.first, Relaxed);
        again.fetch_add(share.again, Relaxed);
        // Of threads that come here at once only one finds all.
        if blocks.fetch_add(share.blocks, Relaxed) + share.blocks < WINDOW || blocks.swap(0, Relaxed) < WINDOW {
            return;
        }
        if again.swap(0, Relaxed) * 2 > first.swap(0, Relaxed) {
            let pause = self.next_pause.load(Relaxed);
            self.next_pause.store((pause * 2).min(PAUSE.1), Relaxed);
            self.pause.store(pause, Relaxed);
        } else {
            self.next_pause.store(PAUSE.0, Relaxed);
        }
    }
    /// May the block at `head` run here?
    #[inline]
    pub fn are_few(&self, head: Addr) -> bool {
        self.of(head.0).load(Relaxed) < LIMIT || self.everything
    }
    /// Has it never run?
    pub fn are_none(&self, head: Addr) -> bool {
        self.of(head.0).load(Relaxed) == 0
    }
    /// One more: how often it was executed before; none: often enough.
    fn count(&self, head: u64) -> Option<u8> {
        let runs = self.of(head);
        let n = runs.load(Relaxed);
        if n >= LIMIT {
            return self.everything.then_some(n);
        }
        runs.store(n + 1, Relaxed);
        Some(n)
    }
    /// The block at `head` is not for here.
    pub fn are_enough(&self, head: Addr) {
        self.of(head.0).store(LIMIT, Relaxed);
    }
}

/// What a thread has executed and not told of yet.
#[derive(Clone, Copy, Default)]
struct Share {
    /// Blocks, ended by branches that were taken.
    blocks: u32,
    /// Heads that ran for the first time.
    first: u32,
    /// Heads that ran again.
    again: u32,
}

/// What a thread needs for cold code.
#[derive(Default)]
pub struct Cold {
    /// Guest addresses from which code can be read.
    code: Range<u64>,
    /// The count of changes of the address space for which that holds.
    mappings: u64,
    share: Share,
}

impl Cold {
    /// Can code at `at` be executed, as far as is known, with `mappings` changes of the address space?
    pub fn knows(&self, at: Addr, mappings: u64) -> bool {
        self.mappings == mappings && self.is_whole(at.0)
    }
    /// When there had been `mappings` changes of the address space, and perhaps more, `code` could be executed.
    pub fn learn(&mut self, code: Range<u64>, mappings: u64) {
        (self.code, self.mappings) = (code, mappings);
    }
    /// The decoder wants a whole window.
    fn is_whole(&self, at: u64) -> bool {
        self.code.start <= at && at < self.code.end && self.code.end - at >= 16
    }

    /// Counts a block head; false: it is not to be executed here.
    #[inline(always)]
    fn count(&mut self, head: u64, runs: &Runs) -> bool {
        match runs.count(head) {
            Some(0) => self.share.first += 1,
            Some(_) => self.share.again += 1,
            None => return false,
        }
        true
    }

    /// Executes from RIP on, until something is better done elsewhere. `mappings` counts changes of the address space; `asked`: this thread is to leave.
    pub fn run(&mut self, s: &mut CpuState, runs: &Runs, mappings: &AtomicU64, asked: impl Fn() -> bool) -> Left {
        loop {
            if asked() {
                return Left::Asked;
            }
            if !self.count(s.rip, runs) {
                return Left::Warm;
            }
            self.share.blocks += 1;
            if self.share.blocks == SHARE {
                runs.add(std::mem::take(&mut self.share));
            }
            match self.block(s, runs, mappings) {
                Ok(Done::Syscall) => return Left::Syscall,
                Ok(_) => {}
                Err(Stuck::Elsewhere) => return Left::Elsewhere,
                Err(Stuck::Refused) => {
                    runs.are_enough(Addr(s.rip));
                    return Left::Warm;
                }
            }
        }
    }

    /// Executes until a branch is taken.
    fn block(&mut self, s: &mut CpuState, runs: &Runs, mappings: &AtomicU64) -> Result<Done, Stuck> {
        loop {
            let at = s.rip;
            // Looked at each time: when a system call that takes the right to execute away has returned, no thread executes.
            if !self.knows(Addr(at), mappings.load(Relaxed)) {
                return Err(Stuck::Elsewhere);
            }
            match touch::load_code(Addr(at)).and_then(|code| execute(s, &code.to_le_bytes(), at)) {
                Some(Done::Next) => {}
                Some(Done::Past) if self.count(s.rip, runs) => {}
                Some(Done::Past) => return Ok(Done::Gone),
                Some(done) => return Ok(done),
                None => return Err(Stuck::Refused),
            }
        }
    }
}

/// Executes the instruction at `at`, of these bytes, unless it is refused.
#[inline(always)]
fn execute(s: &mut CpuState, bytes: &[u8; 16], at: u64) -> Option<Done> {
    // Most begin with REX or the opcode. Two ways that meet behind the decoder would have it copied.
    match brief(bytes, at, s) {
        Some(insn) => execute_decoded(s, &insn),
        None if has_prefixes(bytes) => execute_with_prefixes(s, bytes, at),
        None => None,
    }
}
#[inline(never)]
fn execute_with_prefixes(s: &mut CpuState, bytes: &[u8; 16], at: u64) -> Option<Done> {
    let insn = brief_behind_prefixes(bytes, at, s)?;
    execute_decoded(s, &insn)
}
#[inline(always)]
fn execute_decoded(s: &mut CpuState, insn: &Brief) -> Option<Done> {
    let done = rows::execute(s, insn)?;
    if matches!(done, Done::Next | Done::Past) {
        s.rip = insn.next;
    }
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::state::Gpr;

    fn run(code: &[u8; 32], runs: &Runs, s: &mut CpuState) -> (Left, u64) {
        let start = code.as_ptr() as u64;
        s.rip = start;
        let mut cold = Cold::default();
        cold.learn(start..start + 32, 0);
        let left = cold.run(s, runs, &AtomicU64::new(0), || false);
        (left, s.rip - start)
    }
    fn code(bytes: &[u8]) -> [u8; 32] {
        let mut code = [0xcc; 32];
        code[..bytes.len()].copy_from_slice(bytes);
        code
    }

    /// A loop is left at its head when it has run often enough, and what has run so is not taken again.
    #[test]
    fn loops_become_warm() {
        // again: add rax, rcx; dec ecx; jne again
        let code = code(&[0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9]);
        let (runs, mut s) = (Runs::new(true, false), CpuState::default());
        s.set(Gpr::Rcx, 100);
        assert!(runs.are_none(Addr(code.as_ptr() as u64)));
        assert_eq!(run(&code, &runs, &mut s), (Left::Warm, 0));
        assert_eq!((s.get(Gpr::Rcx), s.get(Gpr::Rax)), (100 - u64::from(LIMIT), 100 + 99));
        assert!(!runs.are_few(Addr(code.as_ptr() as u64)));
        assert_eq!(run(&code, &runs, &mut s), (Left::Warm, 0));
        assert_eq!(s.get(Gpr::Rcx), 100 - u64::from(LIMIT));
    }

    /// What is not for here is left as it was: an unknown instruction, a division that faults; and it is not asked for again.
    #[test]
    fn what_is_refused_changes_nothing() {
        // mov eax, 7; cpuid. mov eax, 7; div rbx (which is 0).
        for bytes in [[0xb8, 7, 0, 0, 0, 0x0f, 0xa2, 0x90], [0xb8, 7, 0, 0, 0, 0x48, 0xf7, 0xf3]] {
            let code = code(&bytes);
            let (runs, mut s) = (Runs::new(true, false), CpuState::default());
            assert_eq!(run(&code, &runs, &mut s), (Left::Warm, 5));
            assert_eq!((s.get(Gpr::Rax), s.get(Gpr::Rdx)), (7, 0));
            assert!(!runs.are_few(Addr(code.as_ptr() as u64 + 5)));
        }
    }

    /// Where heads run again nothing is executed here for a while, and longer each time; where they do not it goes on.
    #[test]
    fn it_pauses_where_it_does_not_pay() {
        let runs = Runs::new(false, false);
        let window = |again| (0..WINDOW / SHARE).for_each(|_| runs.add(Share { blocks: SHARE, first: 200, again }));
        window(100);
        assert!(!runs.are_paused());
        for pause in [PAUSE.0, 2 * PAUSE.0, 4 * PAUSE.0, PAUSE.1, PAUSE.1] {
            window(101);
            (0..pause).for_each(|_| {
                assert!(runs.are_paused());
                runs.was_translated();
            });
            assert!(!runs.are_paused());
        }
        window(0);
        window(101);
        assert_eq!(runs.pause.load(Relaxed), PAUSE.0);
    }

    /// SYSCALL leaves as the processor does; what lies beyond what is known is not executed.
    #[test]
    fn system_calls_and_ends() {
        let call = code(&[0x0f, 0x05]);
        let (runs, mut s) = (Runs::new(true, false), CpuState::default());
        assert_eq!(run(&call, &runs, &mut s), (Left::Syscall, 2));
        assert_eq!((s.get(Gpr::Rcx), s.get(Gpr::R11)), (s.rip, s.rflags()));
        let nops = code(&[0x90; 32]);
        assert_eq!(run(&nops, &runs, &mut s), (Left::Elsewhere, 17));
    }

    /// Nothing is executed for a thread that is asked to leave, or that would have to look at the address space anew.
    #[test]
    fn what_is_asked_and_what_has_changed() {
        let code = code(&[0xff, 0xc0, 0xff, 0xc0, 0xeb, 0xfa]);
        let start = code.as_ptr() as u64;
        let (runs, mut s) = (Runs::new(true, true), CpuState { rip: start, ..CpuState::default() });
        let (mut cold, mappings, asked) = (Cold::default(), AtomicU64::new(7), std::cell::Cell::new(0));
        assert_eq!(cold.run(&mut s, &runs, &mappings, || false), Left::Elsewhere);
        cold.learn(start..start + 32, 7);
        // Twice round, and it is asked for.
        assert_eq!(cold.run(&mut s, &runs, &mappings, || asked.replace(asked.get() + 1) == 2), Left::Asked);
        assert_eq!((s.rip, s.get(Gpr::Rax)), (start, 4));
        mappings.store(8, Relaxed);
        assert_eq!(cold.run(&mut s, &runs, &mappings, || false), Left::Elsewhere);
        assert_eq!((s.rip, s.get(Gpr::Rax)), (start, 4));
    }
}
