//! Code memory: one private anonymous mapping, readable, writable and executable (docs/architecture.md, Code arena), and the stubs at its start.

use super::sys::{self, Errno};
use crate::emit::calls::WINDOWS;
use crate::emit::own_calls::GUARDED;
use crate::emit::stubs::{Stretch, Stubs};
use crate::guest::state::STUB_COUNT;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Start and end of the arena, for the signal handler.
pub(super) static RANGE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
/// Where a faulting thread continues: the stub that leaves translated code.
pub(super) static FAULT_STUB: AtomicU64 = AtomicU64::new(0);

/// Addresses of [`Window`](crate::emit::calls::Window)'s places: check, call, abort, again.
pub(super) static CALL_WINDOWS: [[AtomicU64; 4]; WINDOWS] = [const { [const { AtomicU64::new(0) }; 4] }; WINDOWS];

/// Addresses of [`Guarded`](crate::emit::own_calls::Guarded)'s places, for the signal handler.
static GUARDED_AT: [[AtomicU64; 3]; GUARDED] = [const { [const { AtomicU64::new(0) }; 3] }; GUARDED];

/// If `pc` is where a stub accesses guest memory: where it goes on after a fault.
#[cfg(target_arch = "aarch64")]
pub(super) fn guarded(pc: u64) -> Option<u64> {
    GUARDED_AT.iter().map(|at| at.each_ref().map(|a| a.load(Ordering::Relaxed))).find(|[from, to, _]| (*from..*to).contains(&pc)).map(|at| at[2])
}

/// From the first of their first places to the last of their calls.
pub(super) static CALL_WINDOWS_SPAN: [AtomicU64; 2] = [AtomicU64::new(u64::MAX), AtomicU64::new(0)];

/// The code arena. Bytes are handed out front to back; `reset` starts over.
pub struct Arena {
    base: u64,
    size: u64,
    /// First byte behind the stubs.
    floor: u64,
    used: u64,
    enter: u64,
    stubs: [u64; STUB_COUNT],
    /// Of the stubs' code, by host addresses.
    stretches: Vec<(Range<u64>, Stretch)>,
}

/// Anonymous memory of xemu's own, away from where guest mappings go if the host has the room.
pub(super) fn own_memory(size: u64, prot: i32) -> Result<u64, Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // On hosts with 48 bits the upper half is ours alone; a hint is enough, and where it can't be had any place does.
    let hint = 0xf000_0000_0000u64;
    // SAFETY: a fresh anonymous mapping at no fixed address harms nothing.
    let at = unsafe { sys::call(libc::SYS_mmap, [hint, size, prot as u64, flags as u64, u64::MAX, 0]) }?;
    super::reserved::register(at, size);
    Ok(at)
}

/// Would the kernel give us memory for code, `size` bytes of it?
pub fn probe(size: u64) -> Result<(), Errno> {
    let at = own_memory(size, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)?;
    super::reserved::release(at, size);
    // SAFETY: the mapping that was just made, of which nobody knows.
    unsafe { sys::call(libc::SYS_munmap, [at, size, 0, 0, 0, 0]) }.map(drop)
}

impl Arena {
    /// Maps `size` bytes (at most 128 MiB, so that a branch reaches everywhere) and places the stubs.
    pub fn new(size: u64, stubs: &Stubs) -> Result<Arena, Errno> {
        let base = own_memory(size, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)?;
        let mut addresses = [0; STUB_COUNT];
        for (i, o) in stubs.offsets.iter().enumerate() {
            addresses[i] = base + *o as u64;
        }
        let placed = |(range, what): &(Range<u32>, Stretch)| {
            let what = if let Stretch::Again(offset) = what { Stretch::Again(base + offset) } else { *what };
            (base + u64::from(range.start)..base + u64::from(range.end), what)
        };
        let stretches = stubs.stretches.iter().map(placed).collect();
        let mut arena = Arena { base, size, floor: 0, used: 0, enter: base + stubs.enter as u64, stubs: addresses, stretches };
        arena.place(&stubs.code).expect("the stubs fit");
        arena.floor = arena.used;
        RANGE[0].store(base, Ordering::Release);
        RANGE[1].store(base + size, Ordering::Release);
        for (window, w) in CALL_WINDOWS.iter().zip(stubs.windows) {
            for (address, offset) in window.iter().zip([w.check, w.svc, w.abort, w.again]) {
                address.store(base + offset as u64, Ordering::Release);
            }
        }
        for w in stubs.windows {
            CALL_WINDOWS_SPAN[0].fetch_min(base + w.check as u64, Ordering::AcqRel);
            CALL_WINDOWS_SPAN[1].fetch_max(base + w.svc as u64, Ordering::AcqRel);
        }
        for (at, piece) in GUARDED_AT.iter().zip(stubs.guarded) {
            for (address, offset) in at.iter().zip([piece.from, piece.to, piece.resume]) {
                address.store(base + offset as u64, Ordering::Release);
            }
        }
        FAULT_STUB.store(addresses[crate::emit::stubs::Stub::Fault as usize], Ordering::Release);
        Ok(arena)
    }

    /// Host addresses of the stubs, for `CpuState::stub`.
    pub fn stub_addresses(&self) -> [u64; STUB_COUNT] {
        self.stubs
    }
    /// Host address of the entry stub.
    pub fn enter_stub(&self) -> u64 {
        self.enter
    }
    /// Bytes for code.
    pub fn size(&self) -> u64 {
        self.size
    }
    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Sets `len` bytes aside; `None` if the arena is full.
    pub fn reserve(&mut self, len: u64) -> Option<u64> {
        let at = (self.used + 15) & !15;
        if at + len > self.size {
            return None;
        }
        self.used = at + len;
        Some(self.base + at)
    }

    /// Copies code into the arena; its host address, or `None` if the arena is full.
    pub fn place(&mut self, code: &[u8]) -> Option<u64> {
        let at = self.reserve(code.len() as u64)?;
        self.write(at, code);
        Some(at)
    }

    /// Writes code at an address that `reserve` gave.
    pub fn write(&mut self, at: u64, code: &[u8]) {
        assert!(at >= self.base && at + code.len() as u64 <= self.base + self.used);
        // SAFETY: inside the arena, which is writable; no Rust reference points there.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), at as *mut u8, code.len()) };
        synchronise(at, code.len() as u64);
    }

    /// Replaces one instruction word while other threads may execute it: both words are of B, BL, NOP (Arm ARM B2.2.5).
    pub fn patch(&mut self, at: u64, word: u32) {
        assert!(at & 3 == 0 && at >= self.base && at + 4 <= self.base + self.used);
        // SAFETY: inside the arena, aligned.
        unsafe { AtomicU32::from_ptr(at as *mut u32) }.store(word, Ordering::Release);
        synchronise(at, 4);
    }

    /// The word at `at`.
    pub fn word(&self, at: u64) -> u32 {
        assert!(at & 3 == 0 && at >= self.base && at + 4 <= self.base + self.used);
        // SAFETY: inside the arena, aligned.
        unsafe { AtomicU32::from_ptr(at as *mut u32) }.load(Ordering::Relaxed)
    }

    /// What is known of the stub's code at `pc`.
    pub fn stretch(&self, pc: u64) -> Option<Stretch> {
        self.stretches.iter().find(|(range, _)| range.contains(&pc)).map(|(_, what)| *what)
    }

    /// Does `at` lie in it?
    pub fn holds(&self, at: u64) -> bool {
        (self.base..self.base + self.size).contains(&at)
    }

    /// Forgets all code but the stubs. No thread may be in it or hold an address of it.
    pub fn reset(&mut self) {
        self.used = self.floor;
    }
}

/// Makes written code visible to instruction fetch (Arm ARM B2.4.4).
#[cfg(target_arch = "aarch64")]
fn synchronise(at: u64, len: u64) {
    let ctr: u64;
    // SAFETY: reads a register that user mode may read.
    unsafe { std::arch::asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack)) };
    let (dline, iline) = (4u64 << (ctr >> 16 & 15), 4u64 << (ctr & 15));
    // IDC and DIC: the host needs no cleaning or no invalidation.
    if ctr >> 28 & 1 == 0 {
        let mut line = at & !(dline - 1);
        while line < at + len {
            // SAFETY: cache maintenance on memory of ours.
            unsafe { std::arch::asm!("dc cvau, {}", in(reg) line, options(nostack)) };
            line += dline;
        }
    }
    // SAFETY: barriers and cache maintenance on memory of ours.
    unsafe { std::arch::asm!("dsb ish", options(nostack)) };
    if ctr >> 29 & 1 == 0 {
        let mut line = at & !(iline - 1);
        while line < at + len {
            // SAFETY: as above.
            unsafe { std::arch::asm!("ic ivau, {}", in(reg) line, options(nostack)) };
            line += iline;
        }
    }
    // SAFETY: barriers.
    unsafe { std::arch::asm!("dsb ish", "isb", options(nostack)) };
}
#[cfg(not(target_arch = "aarch64"))]
fn synchronise(_at: u64, _len: u64) {}
