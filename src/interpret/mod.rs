//! Cold code: guest code that has not run often is executed instruction by instruction, because to translate one costs as much as to execute it twelve times
//! here, and of what a program runs at its start a third and more runs once.
//!
//! Only what is frequent and simple is here ([`ROWS`](rows), and [`direct`] for the encodings that most of it is in). Everything else (all other instructions, and whatever can not be done at once: a page
//! that can not be read or written, a division that overflows, an access that is to be atomic) is refused before it has changed anything, and translated code
//! does it, with all that may follow. So nothing here raises exceptions, and nothing here knows of protected pages, signals or other threads, except that it
//! leaves when it is asked to. Accesses are ordered where others can see them ([`touch`]), and made in the program's order, one for each of the guest's. A block
//! head is executed here a few times at most ([`LIMITS`]), so that no loop stays here.

#![forbid(unsafe_code)]

mod arith;
mod direct;
#[cfg(test)]
mod direct_tests;
mod operand;
mod rows;

use crate::decode::brief::{Brief, brief, brief_behind_prefixes, has_prefixes};
use crate::guest::{Addr, CpuState};
use crate::host::{memory, touch};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// A block head that was executed here so often is translated: the first number at first, and the second when [`EARLY`] blocks were executed. A short program's
/// code, the dynamic linker's most of all, often runs a few times and no more; what a long one comes to later runs again if it runs three times, and each time
/// that translated code is left for here costs as much as the translation of half an instruction.
const LIMITS: (u8, u8) = (4, 2);
/// See [`LIMITS`].
const EARLY: u32 = 4096;
/// A thread tells the others of what it executed after so many blocks.
const SHARE: u32 = 256;
/// log2 of the number of counters. Two heads that share one are translated earlier.
const COUNTER_BITS: u32 = 23;
/// log2 of the counters in a page, and of the bytes of code that have their counters there: four bytes for each, because few blocks are shorter. With eight
/// some code that has never run counts as code that has, and is translated for nobody.
const PAGE_BITS: u32 = 12;
const AREA_BITS: u32 = 14;

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
/// more. A head is counted a few times at most, so that nobody waits for anybody's store.
pub struct Runs {
    counters: Box<[AtomicU8]>,
    /// What was executed until [`EARLY`], as far as threads have said so.
    blocks: AtomicU32,
    /// Of [`LIMITS`].
    limit: AtomicU8,
    /// For tests: whatever can be executed here is.
    everything: bool,
}

impl Runs {
    /// None yet. `everything`: without the limits. Where nothing is interpreted nothing can be counted.
    pub fn new(interprets: bool, everything: bool) -> Runs {
        let counters = memory::counters(if interprets { 1 << COUNTER_BITS } else { 0 });
        Runs { counters, blocks: AtomicU32::new(0), limit: AtomicU8::new(LIMITS.0), everything }
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
    /// A thread has executed so many blocks more.
    fn add(&self, blocks: u32) {
        if self.limit.load(Relaxed) == LIMITS.0 && self.blocks.fetch_add(blocks, Relaxed) + blocks >= EARLY {
            self.limit.store(LIMITS.1, Relaxed);
        }
    }
    #[inline]
    fn limit(&self) -> u8 {
        self.limit.load(Relaxed)
    }
    /// May the block at `head` run here?
    #[inline]
    pub fn are_few(&self, head: Addr) -> bool {
        self.of(head.0).load(Relaxed) < self.limit() || self.everything
    }
    /// Has it never run?
    pub fn are_none(&self, head: Addr) -> bool {
        self.of(head.0).load(Relaxed) == 0
    }
    /// One more; false: often enough.
    #[inline(always)]
    fn count(&self, head: u64) -> bool {
        let runs = self.of(head);
        let n = runs.load(Relaxed);
        if n >= self.limit() {
            return self.everything;
        }
        runs.store(n + 1, Relaxed);
        true
    }
    /// The block at `head` is not for here.
    pub fn are_enough(&self, head: Addr) {
        self.of(head.0).store(LIMITS.0, Relaxed);
    }
}

/// What a thread needs for cold code.
#[derive(Default)]
pub struct Cold {
    /// Guest addresses from which code can be read.
    code: Range<u64>,
    /// The count of changes of the address space for which that holds.
    mappings: u64,
    /// Blocks that it has executed and not told of yet, ended by branches that were taken.
    blocks: u32,
}

impl Cold {
    /// Can code at `at` be executed, as far as is known, with `mappings` changes of the address space?
    pub fn knows(&self, at: Addr, mappings: u64) -> bool {
        self.mappings == mappings && at.0.wrapping_sub(self.code.start) < self.room()
    }
    /// Addresses from the first on at which it can: the decoder wants a whole window.
    #[inline(always)]
    fn room(&self) -> u64 {
        (self.code.end - self.code.start).saturating_sub(15)
    }
    /// When there had been `mappings` changes of the address space, and perhaps more, `code` could be executed.
    pub fn learn(&mut self, code: Range<u64>, mappings: u64) {
        (self.code, self.mappings) = (code, mappings);
    }
    /// Executes from RIP on, until something is better done elsewhere. `mappings` counts changes of the address space; `asked`: this thread is to leave.
    #[inline(always)]
    pub fn run(&mut self, s: &mut CpuState, runs: &Runs, mappings: &AtomicU64, asked: impl Fn() -> bool) -> Left {
        // Others begin to see memory in system calls, which are made outside.
        if touch::is_ordered() { self.run_as::<true>(s, runs, mappings, asked) } else { self.run_as::<false>(s, runs, mappings, asked) }
    }

    #[inline(never)]
    fn run_as<const ORDERED: bool>(&mut self, s: &mut CpuState, runs: &Runs, mappings: &AtomicU64, asked: impl Fn() -> bool) -> Left {
        loop {
            if asked() {
                return Left::Asked;
            }
            if !runs.count(s.rip) {
                return Left::Warm;
            }
            self.blocks += 1;
            if self.blocks == SHARE {
                runs.add(std::mem::take(&mut self.blocks));
            }
            match self.block::<ORDERED>(s, runs, mappings) {
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
    #[inline(always)]
    fn block<const ORDERED: bool>(&mut self, s: &mut CpuState, runs: &Runs, mappings: &AtomicU64) -> Result<Done, Stuck> {
        let mut at = s.rip;
        let mut code: direct::Window = [0; 32];
        let (known, start, room) = (self.mappings, self.code.start, self.room());
        loop {
            // Looked at each time: when a system call that takes the right to execute away has returned, no thread executes.
            if mappings.load(Relaxed) != known || at.wrapping_sub(start) >= room {
                s.rip = at;
                return Err(Stuck::Elsewhere);
            }
            let bytes = code.first_chunk_mut().expect("a window is longer");
            if !touch::load_code::<ORDERED>(Addr(at), bytes) {
                s.rip = at;
                return Err(Stuck::Refused);
            }
            let done = match direct::execute::<ORDERED>(s, &code, at) {
                Some(rip) if rip.get() < direct::PAST => {
                    at = rip.get();
                    continue;
                }
                Some(rip) => {
                    s.rip = rip.get() & (direct::PAST - 1);
                    if rip.get() & direct::GONE != 0 { Done::Gone } else { Done::Past }
                }
                None => {
                    s.rip = at;
                    execute(s, code.first_chunk().expect("a window is longer"), at).ok_or(Stuck::Refused)?
                }
            };
            match done {
                Done::Next => {}
                Done::Past if runs.count(s.rip) => {}
                Done::Past => return Ok(Done::Gone),
                done => return Ok(done),
            }
            at = s.rip;
        }
    }
}

/// Executes the instruction at `at`, of these bytes, by way of its decoded form, unless it is refused.
#[inline(never)]
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
        let last = 100 - u64::from(LIMITS.0);
        assert_eq!((s.get(Gpr::Rcx), s.get(Gpr::Rax)), (last, (last + 1..=100).sum()));
        assert!(!runs.are_few(Addr(code.as_ptr() as u64)));
        assert_eq!(run(&code, &runs, &mut s), (Left::Warm, 0));
        assert_eq!(s.get(Gpr::Rcx), last);
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

    /// When much has run, what runs again is translated sooner.
    #[test]
    fn later_less_is_enough() {
        // again: dec ecx; jne again
        let code = code(&[0xff, 0xc9, 0x75, 0xfc]);
        let mut s = CpuState::default();
        let mut left = |runs: &Runs| {
            s.set(Gpr::Rcx, 100);
            (run(&code, runs, &mut s).0, s.get(Gpr::Rcx))
        };
        assert_eq!(left(&Runs::new(true, false)), (Left::Warm, 100 - u64::from(LIMITS.0)));
        let later = Runs::new(true, false);
        (0..EARLY / SHARE - 1).for_each(|_| later.add(SHARE));
        assert_eq!(later.limit(), LIMITS.0);
        later.add(SHARE);
        assert_eq!(left(&later), (Left::Warm, 100 - u64::from(LIMITS.1)));
        assert!(!later.are_few(Addr(code.as_ptr() as u64)) && !later.are_none(Addr(code.as_ptr() as u64)));
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
