//! A guest thread's memory: its `CpuState`, the page beside it that stops it, its shadow call stack and its inline lookup table; and the way
//! into translated code.
//!
//! One mapping, in pieces of 64 KiB so that every host's page size divides them:
//! guard | shadow stack (grows down) | sentinel | plain table | state | poll page | inline lookup table | the second table, where those are found that share a
//! place in the first | those for who comes late, jumps and calls. The state is at the end of its piece, so that one load reaches the poll page.

use super::arena::own_memory;
use super::sys::{self, Errno};
use crate::emit::stubs::{POLL_OFFSET, kind};
use crate::emit::tables::{LATE_TABLES, Late, NEIGHBOUR, PLAIN_TABLE, PlainEntry, TABLE_ALIGNMENT, TABLES, places, plain_entries};
use crate::guest::CpuState;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

const PIECE: u64 = 0x1_0000;
const SHADOW: u64 = 4 * PIECE;
const SENTINEL: u64 = PIECE + SHADOW;
/// Where the shadow stack goes on while its owner is to stop: the end of the sentinel's piece.
const DETOUR: u64 = SENTINEL + PIECE - 64;
const PLAIN: u64 = STATE - PLAIN_TABLE;
const STATE: u64 = POLL - POLL_OFFSET as u64;
const POLL: u64 = SENTINEL + PIECE + (PLAIN_TABLE + POLL_OFFSET as u64).next_multiple_of(PIECE);
const LOOKUP: u64 = POLL + PIECE;
const _: () = assert!(PLAIN >= SENTINEL + PIECE && STATE.is_multiple_of(align_of::<CpuState>() as u64) && POLL.is_multiple_of(PIECE));
/// The tables behind the poll page.
const SIZE: u64 = LOOKUP + TABLES;
const _: () = assert!(TABLES.is_multiple_of(PIECE) && TABLE_ALIGNMENT == PIECE);
/// As many calls may lie on the shadow stack for some of them to be forgotten, not all.
const DEPTH: u64 = 512;
/// As many targets are remembered by name, so that only their places have to be emptied.
const NAMED: usize = 4096;

/// How far below the state its guard lies, for the signal handler.
pub(super) const GUARD_BELOW_STATE: std::ops::Range<u64> = (STATE - PIECE)..STATE + 1;
/// The poll page above the state.
pub(super) const POLL_ABOVE_STATE: std::ops::Range<u64> = POLL - STATE..POLL - STATE + PIECE;

/// A thread's memory.
pub struct ThreadBlock {
    /// The mapping: a piece more than is used, of which the block begins at a multiple.
    mapped: u64,
    base: u64,
    empty_table: u64,
    /// What was entered into the tables since they were empty, as far as there is room for it.
    named: Vec<u64>,
    /// Some were entered that are not named.
    nameless: bool,
    /// Something may have been entered into the plain table.
    plain: bool,
    /// The same of the tables for who comes late.
    late: bool,
}

/// Stops a thread at its next poll, from another thread or from a signal handler. Valid as long as the [`ThreadBlock`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Brake {
    state: u64,
    empty_table: u64,
}

fn protect(at: u64, prot: i32) {
    // SAFETY: the poll page of a thread block: nothing but polls touches it.
    let done = unsafe { sys::call(libc::SYS_mprotect, [at, PIECE, prot as u64, 0, 0, 0]) };
    debug_assert!(done.is_ok());
}

impl Brake {
    /// The thread leaves translated code at its next back-edge, indirect jump or unpredicted return. Signal-safe.
    pub fn pull(self) {
        protect(self.state + POLL_OFFSET as u64, libc::PROT_NONE);
        for (field, table) in [(std::mem::offset_of!(CpuState, late_lookup), 0), (std::mem::offset_of!(CpuState, late_lookup) + 8, 1)] {
            // SAFETY: a field of a live thread block; translated code reads it in one piece.
            unsafe { AtomicU64::from_ptr((self.state + field as u64) as *mut u64) }.store(self.empty_table + LATE_TABLES[table], Ordering::Release);
        }
        let lookup = self.state + std::mem::offset_of!(CpuState, lookup) as u64;
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(lookup as *mut u64) }.store(self.empty_table, Ordering::Release);
    }

    /// Is this thread, whose signal handler asks, in translated code or in a helper that it has called? Then the last helper's call, as an address of translated
    /// code; 0 before translated code has run at all.
    pub fn in_code(self) -> Option<u64> {
        let state = self.state as *const CpuState;
        // SAFETY: fields of a live thread block, which the interrupted thread itself writes.
        let (exit, call) = unsafe { ((&raw const (*state).exit_kind).read_volatile(), (&raw const (*state).exit_arg).read_volatile()) };
        (exit == kind::NONE).then_some(call)
    }

    /// A shadow stack that predicts nothing: what returns to it leaves. It lies where [`ThreadBlock::end_detour`] looks for it.
    pub fn detour(self) -> u64 {
        let top = self.state - STATE + DETOUR;
        // SAFETY: in the sentinel's piece, which is this thread's own.
        unsafe { std::ptr::write_bytes(top as *mut u8, 0xff, 64) };
        top
    }

    /// Puts a pair on the shadow stack, whose pointer is `top`, if there is room; returns what that is then.
    pub fn push(self, top: u64, pair: [u64; 2]) -> u64 {
        let bottom = self.state - STATE + PIECE;
        if top < bottom + 16 || top > bottom + SHADOW {
            return top;
        }
        // SAFETY: inside this thread's own shadow stack.
        unsafe { ((top - 16) as *mut [u64; 2]).write(pair) };
        top - 16
    }

    /// Puts `top` in the place of the shadow stack's pointer as it was saved for a helper; returns that.
    pub fn exchange_shadow(self, top: u64) -> u64 {
        let field = self.state + std::mem::offset_of!(CpuState, shadow_sp) as u64;
        // SAFETY: the field of a live thread block, which this thread's helpers leave alone.
        unsafe { AtomicU64::from_ptr(field as *mut u64) }.swap(top, Ordering::Relaxed)
    }

    /// The thread block that it stops, by the address of its state.
    pub fn block(self) -> u64 {
        self.state
    }
}

fn fill_empty(table: u64) {
    // Address 0 must not match at its places, which hold 0 as everywhere.
    let [first, second] = places(0);
    for place in [first, LATE_TABLES[0] + first, LATE_TABLES[1] + first, second] {
        // SAFETY: inside the tables that lie at `table`.
        unsafe { ((table + place) as *mut u64).write(1) };
    }
}

/// Where the tables may have a target, from the block's start, and by which key: the two tables behind the state, those for who comes late, then the plain one, with
/// each neighbour.
fn all_places(guest: u64) -> [(u64, u64); 8] {
    let [first, second] = places(guest).map(|at| (LOOKUP + at, guest));
    let [late, late_call] = LATE_TABLES.map(|table| (first.0 + table, guest));
    let (jump, call) = plain_entries(guest);
    // Twice the same where there is none for jumps.
    let [jump, call] = [jump.unwrap_or(call), call].map(|e| (STATE - e.below, e.key));
    let neighbour = |(place, key)| (place - NEIGHBOUR, key);
    [first, second, late, late_call, jump, neighbour(jump), call, neighbour(call)]
}

/// Tables without entries, shared by all threads of the process.
pub fn empty_table() -> Result<u64, Errno> {
    let at = own_memory(TABLES + PIECE, libc::PROT_READ | libc::PROT_WRITE)?.next_multiple_of(PIECE);
    fill_empty(at);
    Ok(at)
}

impl ThreadBlock {
    /// Maps and initialises a block.
    pub fn new(empty_table: u64) -> Result<ThreadBlock, Errno> {
        let mapped = own_memory(SIZE + PIECE, libc::PROT_READ | libc::PROT_WRITE)?;
        let base = mapped.next_multiple_of(PIECE);
        // SAFETY: the guard piece of the fresh mapping.
        unsafe { sys::call(libc::SYS_mprotect, [base, PIECE, libc::PROT_NONE as u64, 0, 0, 0]) }?;
        let mut block = ThreadBlock { mapped, base, empty_table, named: Vec::new(), nameless: false, plain: false, late: false };
        // SAFETY: the sentinel piece of the fresh mapping: pairs that match no return address.
        unsafe { std::ptr::write_bytes((base + SENTINEL) as *mut u8, 0xff, 64) };
        // SAFETY: the state piece, aligned and large enough.
        unsafe { std::ptr::write((base + STATE) as *mut CpuState, CpuState::default()) };
        block.fill_empty();
        let s = block.state();
        s.shadow_top = base + SENTINEL;
        s.shadow_sp = base + SENTINEL;
        s.lookup = base + LOOKUP;
        s.late_lookup = LATE_TABLES.map(|table| base + LOOKUP + table);
        Ok(block)
    }

    /// The state.
    pub fn state(&mut self) -> &mut CpuState {
        // SAFETY: initialised in `new`, exclusively borrowed with the block. Signal handlers and other threads write `lookup` only, atomically.
        unsafe { &mut *((self.base + STATE) as *mut CpuState) }
    }

    /// What stops this thread.
    pub fn brake(&self) -> Brake {
        Brake { state: self.base + STATE, empty_table: self.empty_table }
    }

    /// Releases the brake.
    pub fn release(&mut self) {
        protect(self.base + POLL, libc::PROT_READ | libc::PROT_WRITE);
        let table = self.base + LOOKUP;
        let s = self.state();
        s.late_lookup = LATE_TABLES.map(|late| table + late);
        s.lookup = table;
    }

    /// Enters a pair into the tables. `plain`: code looks at the plain one, too, and enters it there when it has first missed it. Who may come there with less
    /// than all flags, and where calls do, is said by `late` and `call`.
    pub fn remember(&mut self, guest: u64, host: u64, late: Late, call: Option<u64>, plain: bool) {
        if self.named.len() < NAMED {
            self.named.push(guest);
        } else {
            self.nameless = true;
        }
        let [first, second] = places(guest);
        self.write(LOOKUP + first, guest, host);
        self.write(LOOKUP + second, guest, host | late as u64);
        let jump = matches!(late, Late::Jumps | Late::Both).then_some(host);
        let call_entry = call.filter(|_| matches!(late, Late::Calls | Late::Both));
        for (table, host) in LATE_TABLES.into_iter().zip([jump, call_entry]) {
            let place = LOOKUP + table + first;
            match host {
                Some(host) if !plain => {
                    self.late = true;
                    self.write(place, guest, host);
                }
                // The complement has another place, as in `follow`. What was never written stays so.
                None if self.late && self.key(place) == guest => self.write(place, !guest, 0),
                _ => {}
            }
        }
        self.plain |= plain;
        if plain {
            let (of_jumps, of_calls) = plain_entries(guest);
            if let Some(entry) = of_jumps {
                self.follow(entry, host, jump);
            }
            self.follow(of_calls, host, call_entry);
        }
    }

    /// Where an entry of the plain table is already, it may be with another host address: code that compares itself has several translations.
    fn follow(&mut self, entry: PlainEntry, host: u64, neighbour: Option<u64>) {
        let place = STATE - entry.below;
        for (place, host) in [(place, Some(host)), (place - NEIGHBOUR, neighbour)] {
            if self.key(place) == entry.key {
                // The complement has another place: nobody looks for it here.
                let (key, host) = host.map_or((!entry.key, 0), |host| (entry.key, host));
                self.write(place, key, host);
            }
        }
    }

    /// Takes `guest` out of the tables.
    pub fn unlearn(&mut self, guest: u64) {
        for (place, key) in all_places(guest) {
            if self.key(place) == key {
                self.write(place, 0, 0);
            }
        }
        self.fill_empty();
    }

    /// Address 0 must not match in empty tables.
    fn fill_empty(&mut self) {
        fill_empty(self.base + LOOKUP);
        for (place, _) in &all_places(0)[4..] {
            if self.key(*place) == 0 {
                self.write(*place, 1, 0);
            }
        }
    }

    fn key(&self, place: u64) -> u64 {
        // SAFETY: as in `write`.
        unsafe { ((self.base + place) as *const u64).read() }
    }

    fn write(&mut self, place: u64, guest: u64, host: u64) {
        let at = (self.base + place) as *mut u64;
        // SAFETY: inside this thread's own tables, which only this thread reads and writes while it runs.
        unsafe {
            at.write(guest);
            at.add(1).write(host);
        }
    }

    /// The host address that the tables have for `guest`.
    pub fn recall(&self, guest: u64) -> Option<u64> {
        let find = |place: u64| {
            let at = (self.base + LOOKUP + place) as *const u64;
            // SAFETY: as in `write`.
            let (key, host) = unsafe { (at.read(), at.add(1).read()) };
            (key == guest).then_some(host & !Late::BITS)
        };
        let [first, second] = places(guest);
        find(first).or_else(|| find(second))
    }

    /// Puts `guest` on the shadow stack as a return address, if the tables have it and there is room.
    pub fn expect_return(&mut self, guest: u64) {
        let Some(host) = self.recall(guest) else { return };
        let bottom = self.base + PIECE;
        let s = self.state();
        if s.shadow_sp > s.shadow_top || s.shadow_sp < bottom + 16 {
            return;
        }
        s.shadow_sp -= 16;
        // SAFETY: inside the shadow stack, which only this thread reads and writes.
        unsafe { (s.shadow_sp as *mut [u64; 2]).write([guest, host]) };
    }

    /// No return to `code`, which is host addresses, is on the shadow stack any more.
    pub fn unexpect(&mut self, code: &Range<u64>) {
        let s = self.state();
        let (sp, top) = (s.shadow_sp, s.shadow_top);
        // Not so many are looked at one by one.
        if sp > top || top - sp > DEPTH * 16 {
            s.shadow_sp = top;
            return;
        }
        for pair in (sp..top).step_by(16) {
            // SAFETY: inside the shadow stack, which only this thread reads and writes while it runs.
            let pair = unsafe { &mut *(pair as *mut [u64; 2]) };
            if code.contains(&pair[1]) {
                // As in the sentinel: it matches no return address.
                *pair = [u64::MAX; 2];
            }
        }
    }

    /// Empties the tables and the shadow stack: no host address of translated code is left in the block.
    pub fn forget_all(&mut self) {
        if self.nameless {
            // SAFETY: this thread's own tables.
            unsafe {
                let used = if self.late { TABLES } else { LATE_TABLES[0] };
                std::ptr::write_bytes((self.base + LOOKUP) as *mut u8, 0, used as usize);
                if self.plain {
                    std::ptr::write_bytes((self.base + PLAIN) as *mut u8, 0, PLAIN_TABLE as usize);
                }
            }
        } else {
            // Translated code moves entries between the places of one target only. A plain table that nobody uses is not touched.
            let named = std::mem::take(&mut self.named);
            for &guest in &named {
                let [first, second, late, late_call, plain @ ..] = all_places(guest);
                self.write(first.0, 0, 0);
                self.write(second.0, 0, 0);
                // What was never written stays so: it takes memory.
                for (k, (place, _)) in [late, late_call].into_iter().chain(plain).enumerate() {
                    let used = if k < 2 { self.late } else { self.plain };
                    if used && self.key(place) != 0 {
                        self.write(place, 0, 0);
                    }
                }
            }
            self.named = named;
        }
        self.named.clear();
        self.nameless = false;
        (self.plain, self.late) = (false, false);
        self.fill_empty();
        let s = self.state();
        s.shadow_sp = s.shadow_top;
    }

    /// Takes the shadow stack back to where it was when [`Brake::detour`] took its place, with what was pushed and popped since.
    pub fn end_detour(&mut self, before: u64) {
        let (top, bottom, sentinel) = (self.base + DETOUR, self.base + PIECE, self.base + SENTINEL);
        let s = self.state();
        let now = s.shadow_sp;
        if now <= sentinel {
            // Full meanwhile, and begun anew: older entries are lost.
            return;
        }
        let pushed = top.saturating_sub(now);
        if before < bottom + pushed {
            s.shadow_sp = s.shadow_top;
            return;
        }
        s.shadow_sp = (before - pushed + now.saturating_sub(top)).min(s.shadow_top);
        // SAFETY: both inside this thread's own shadow stack and its sentinel, and apart.
        unsafe { std::ptr::copy_nonoverlapping(now as *const u8, (before - pushed) as *mut u8, pushed as usize) };
    }

    /// Runs translated code at `host_pc` until it leaves; `enter` is the arena's entry stub. `look`: not at all, if a signal waits: it leaves as [`kind::MOVED`].
    #[cfg(target_arch = "aarch64")]
    pub fn enter(&mut self, enter: u64, host_pc: u64, look: bool) {
        let state: *mut CpuState = self.state();
        // SAFETY: `enter` is the entry stub, which keeps the AAPCS64; `host_pc` is code that the engine translated for this state.
        unsafe {
            let f: extern "C" fn(*mut CpuState, u64, u64) = std::mem::transmute(enter);
            f(state, host_pc, u64::from(look));
        }
    }
    /// Translated code is AArch64.
    #[cfg(not(target_arch = "aarch64"))]
    pub fn enter(&mut self, _enter: u64, _host_pc: u64, _look: bool) {
        panic!("translated code runs on aarch64 only");
    }
}

impl Drop for ThreadBlock {
    fn drop(&mut self) {
        super::reserved::release(self.mapped, SIZE + PIECE);
        // SAFETY: the block's own mapping; nobody uses it any more.
        let _ = unsafe { sys::call(libc::SYS_munmap, [self.mapped, SIZE + PIECE, 0, 0, 0, 0]) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What translated code has entered into the plain table follows a new translation, and goes with all others.
    #[test]
    fn plain_places_follow() {
        const GUEST: u64 = 0x5555_1234_5678;
        let mut block = ThreadBlock::new(0).expect("memory");
        let all = all_places(GUEST);
        // Behind each key that is there its host address.
        let hosts = |block: &ThreadBlock| all.map(|(place, key)| (block.key(place) == key).then(|| block.key(place + 8)));
        block.remember(GUEST, 4, Late::Both, Some(8), true);
        assert_eq!(hosts(&block), [Some(4), Some(7), None, None, None, None, None, None]);
        assert_eq!(block.recall(GUEST), Some(4));
        // As the stubs do where a jump and a call have missed it.
        let enter = |block: &mut ThreadBlock, n: usize| block.write(all[n].0, all[n].1, 4);
        (4..8).for_each(|n| enter(&mut block, n));
        block.remember(GUEST, 12, Late::Both, Some(8), true);
        assert_eq!(hosts(&block), [Some(12), Some(15), None, None, Some(12), Some(12), Some(12), Some(8)]);
        block.remember(GUEST, 12, Late::Jumps, Some(8), true);
        assert_eq!(hosts(&block), [Some(12), Some(13), None, None, Some(12), Some(12), Some(12), None]);
        block.remember(GUEST, 12, Late::Calls, Some(8), true);
        assert_eq!(hosts(&block), [Some(12), Some(14), None, None, Some(12), None, Some(12), None]);
        enter(&mut block, 7);
        block.unlearn(GUEST);
        assert_eq!(hosts(&block), [None; 8]);
        for many in [1, NAMED as u64 + 1] {
            for guest in (0..many).map(|k| GUEST + 5 * k) {
                block.remember(guest, 4, Late::Both, Some(8), true);
                all_places(guest)[4..].iter().for_each(|(at, key)| block.write(*at, *key, 4));
            }
            block.forget_all();
            // 1 is no target of these, and in the places of address 0 so that nobody goes there.
            assert!((0..many).flat_map(|k| all_places(GUEST + 5 * k)).all(|(at, _)| block.key(at) <= 1));
            assert!(all_places(0).iter().all(|(at, _)| block.key(*at) == 1));
        }
    }

    /// Who comes late has places in the inline table, of which each follows a new translation.
    #[test]
    fn late_places_follow() {
        const GUEST: u64 = 0x5555_1234_5678;
        let mut block = ThreadBlock::new(0).expect("memory");
        let all = all_places(GUEST);
        let hosts = |block: &ThreadBlock| [2, 3].map(|n| (block.key(all[n].0) == GUEST).then(|| block.key(all[n].0 + 8)));
        for (late, want) in [
            (Late::Both, [Some(12), Some(8)]),
            (Late::Jumps, [Some(12), None]),
            (Late::Calls, [None, Some(8)]),
            (Late::Nobody, [None, None]),
            (Late::Both, [Some(12), Some(8)]),
        ] {
            block.remember(GUEST, 12, late, Some(8), false);
            assert_eq!(hosts(&block), want, "{late:?}");
        }
        block.unlearn(GUEST);
        assert_eq!(hosts(&block), [None, None]);
        block.remember(GUEST, 12, Late::Both, Some(8), false);
        block.forget_all();
        assert_eq!(hosts(&block), [None, None]);
    }

    /// Returns to code that is gone are not predicted any more, others are.
    #[test]
    fn returns_to_one_range_are_forgotten() {
        let mut block = ThreadBlock::new(0).expect("memory");
        let top = block.state().shadow_top;
        let mut sp = top;
        for host in [0x100, 0x200, 0x2fc, 0x300] {
            sp = block.brake().push(sp, [host + 1, host]);
        }
        block.state().shadow_sp = sp;
        block.unexpect(&(0x200..0x300));
        // SAFETY: inside this block's shadow stack.
        let pairs = |from: u64| (from..top).step_by(16).map(|at| unsafe { *(at as *const [u64; 2]) }).collect::<Vec<_>>();
        assert_eq!(pairs(sp), [[0x301, 0x300], [u64::MAX; 2], [u64::MAX; 2], [0x101, 0x100]]);
        for _ in 0..DEPTH {
            sp = block.brake().push(sp, [5, 4]);
        }
        block.state().shadow_sp = sp;
        block.unexpect(&(0x300..0x304));
        assert_eq!(block.state().shadow_sp, top);
        // Popped beyond the end, where the next exit takes it back.
        block.state().shadow_sp = top + 16;
        block.unexpect(&(0..1));
        assert_eq!(block.state().shadow_sp, top);
    }
}
