//! Cold code: guest code that has not run often is executed instruction by instruction, because to translate one costs as much as to execute it six times
//! here, and of what a program runs at its start a third and more runs once.
//!
//! Only what is frequent and simple is here ([`ROWS`](rows)). Everything else (all other instructions, and whatever can not be done at once: a page
//! that can not be read or written, a division that overflows) is refused before it has changed anything, and translated code does it, with all that
//! may follow. So nothing here raises exceptions, and nothing here knows of protected pages, signals or other threads: it runs only while memory has
//! a single observer. A block head is executed here [`LIMIT`] times at most, so that no loop stays here either, and nothing need be polled.

#![forbid(unsafe_code)]

mod arith;
mod operand;
mod rows;

use crate::decode::brief::brief;
use crate::guest::{Addr, CpuState};
use crate::host::{memory, touch};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A block head that was executed here so often is translated.
const LIMIT: u8 = 2;
/// After so many blocks everything is translated. What runs once is 61 % of what `true` executes, but 37 % of Python's start and 31 % of a compiler's run,
/// where executing it here first costs more than it saves.
const BLOCKS: u32 = 30_000;
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
    /// Only where everything is interpreted: it is time to look whether anybody wants something.
    Again,
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

/// How often block heads were executed here.
pub struct Runs {
    counters: Box<[AtomicU8]>,
    /// For tests: whatever can be executed here is.
    everything: bool,
}

impl Runs {
    /// None yet. `everything`: without the limits. Where nothing is interpreted nothing can be counted.
    pub fn new(interprets: bool, everything: bool) -> Runs {
        Runs { counters: memory::counters(if interprets { 1 << COUNTER_BITS } else { 0 }), everything }
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
    /// May the block at `head` run here?
    #[inline]
    pub fn are_few(&self, head: Addr) -> bool {
        self.of(head.0).load(Relaxed) < LIMIT || self.everything
    }
    /// Has it never run?
    pub fn are_none(&self, head: Addr) -> bool {
        self.of(head.0).load(Relaxed) == 0
    }
    /// One more; false: it was executed often enough.
    fn count(&self, head: u64) -> bool {
        let runs = self.of(head);
        let n = runs.load(Relaxed);
        if n >= LIMIT {
            return self.everything;
        }
        runs.store(n + 1, Relaxed);
        true
    }
    fn are_enough(&self, head: u64) {
        self.of(head).store(LIMIT, Relaxed);
    }
}

/// What a thread needs for cold code.
#[derive(Default)]
pub struct Cold {
    /// Guest addresses from which code can be read.
    code: Range<u64>,
    /// Which mappings that is said of: see [`Cold::run`].
    mappings: u64,
    /// Blocks executed.
    blocks: u32,
}

impl Cold {
    /// Was so much executed here that the process is no short one?
    pub fn is_over(&self) -> bool {
        self.blocks > BLOCKS
    }

    /// Executes from RIP on, until something is better done elsewhere. `area`: the addresses around one that can be executed; asked again when
    /// `mappings`, which counts changes of the address space, is another.
    pub fn run(&mut self, s: &mut CpuState, runs: &Runs, mappings: u64, area: impl Fn(Addr) -> Option<Range<u64>>) -> Left {
        if self.mappings != mappings {
            (self.code, self.mappings) = (0..0, mappings);
        }
        loop {
            if !runs.count(s.rip) {
                return Left::Warm;
            }
            self.blocks = self.blocks.wrapping_add(1);
            if runs.everything && self.blocks % 256 == 0 {
                return Left::Again;
            }
            match self.block(s, runs, &area) {
                Some(Done::Syscall) => return Left::Syscall,
                Some(_) => {}
                None => {
                    runs.are_enough(s.rip);
                    return Left::Warm;
                }
            }
        }
    }

    /// Executes until a branch is taken; none: the instruction at RIP is not for here.
    fn block(&mut self, s: &mut CpuState, runs: &Runs, area: &impl Fn(Addr) -> Option<Range<u64>>) -> Option<Done> {
        loop {
            let at = s.rip;
            // The decoder wants a whole window.
            let whole = |r: &Range<u64>| r.start <= at && at < r.end && r.end - at >= 16;
            if !whole(&self.code) {
                self.code = area(Addr(at)).filter(whole)?;
            }
            let insn = brief(&touch::load_16(Addr(at))?.to_le_bytes(), at, s)?;
            match rows::execute(s, &insn)? {
                Done::Next => s.rip = insn.next,
                Done::Past => {
                    s.rip = insn.next;
                    if !runs.count(s.rip) {
                        return Some(Done::Gone);
                    }
                }
                done => return Some(done),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::state::Gpr;

    fn run(code: &[u8; 32], runs: &Runs, s: &mut CpuState) -> (Left, u64) {
        let start = code.as_ptr() as u64;
        s.rip = start;
        let left = Cold::default().run(s, runs, 0, |_| Some(start..start + 32));
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

    /// SYSCALL leaves as the processor does; code at the end of what can be executed is the translator's.
    #[test]
    fn system_calls_and_ends() {
        let call = code(&[0x0f, 0x05]);
        let (runs, mut s) = (Runs::new(true, false), CpuState::default());
        assert_eq!(run(&call, &runs, &mut s), (Left::Syscall, 2));
        assert_eq!((s.get(Gpr::Rcx), s.get(Gpr::R11)), (s.rip, s.rflags()));
        let nops = code(&[0x90; 32]);
        assert_eq!(run(&nops, &runs, &mut s), (Left::Warm, 17));
    }
}
