//! Where things go in a guest's address space, as an x86_64 kernel would put them (arch/x86/mm/mmap.c, fs/binfmt_elf.c).

use crate::guest::addr::PAGE_SIZE;
use crate::host::sys::Errno;
use std::ops::Range;

/// End of an x86_64 process's addresses (TASK_SIZE with four-level paging: 2^47 less the guard page).
pub const TASK_END: u64 = 0x7fff_ffff_f000;
/// Position-independent programs without randomisation: two thirds of the address space, rounded up to a page.
const PIE_BASE: u64 = 0x5555_5555_4000;
/// Least distance of the mmap area from the end (mmap_base()'s MIN_GAP).
const LEAST_GAP: u64 = 128 << 20;
/// Free space kept below a stack (stack_guard_gap).
pub const GUARD_GAP: u64 = 1 << 20;
/// Largest random offset of the stack: 22 bits of pages.
const STACK_RANDOM: u64 = 1 << (22 + 12);

/// The addresses chosen for one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// First address behind what a guest may use.
    pub end: u64,
    /// Lowest address handed out without being asked for (vm.mmap_min_addr is for the host to enforce).
    pub lowest: u64,
    /// Mappings go downwards from here.
    pub mmap_base: u64,
    /// End of the initial stack.
    pub stack_top: u64,
    /// Where a position-independent program with an interpreter is loaded.
    pub pie_base: u64,
    /// Where MAP_32BIT looks (find_start_end()).
    pub low: Range<u64>,
    /// Random distance between the program and its break, in bytes.
    pub brk_gap: u64,
    /// Random distance of the stack pointer from its page's end (arch_align_stack), below 8192.
    pub sp_offset: u64,
}

impl Layout {
    /// The layout for a stack limit in bytes; `random` None: no randomisation (ADDR_NO_RANDOMIZE).
    pub fn new(stack_limit: u64, random: Option<[u8; 16]>) -> Layout {
        let word = |n: usize| random.map_or(0, |r| u32::from_le_bytes([r[n], r[n + 1], r[n + 2], r[n + 3]]) as u64);
        // A second mix of the same bytes: the guest is given its own AT_RANDOM, but one host sample must not tell the other.
        let (a, b, c, d) = (word(0), word(4), word(8), word(12));
        let pages = |w: u64, bits: u32| (w & ((1 << bits) - 1)) * PAGE_SIZE;
        let stack_top = TASK_END - pages(a, 22);
        let pad = GUARD_GAP + if random.is_some() { STACK_RANDOM } else { 0 };
        let gap = stack_limit.saturating_add(pad).clamp(LEAST_GAP, TASK_END / 6 * 5);
        Layout {
            end: TASK_END,
            lowest: 0x1_0000,
            mmap_base: TASK_END - (gap & !(PAGE_SIZE - 1)) - pages(b, 28),
            stack_top,
            pie_base: PIE_BASE + pages(c, 28),
            low: 0x4000_0000..0x8000_0000,
            brk_gap: pages(d, 13),
            sp_offset: (d >> 13) & 0x1ff0,
        }
    }

    /// Where the initial stack may end, `stack_top` first. `taken` says whether the host has something in a range: a stack of `size` bytes is to have
    /// [`LEAST_GAP`] to grow into when its limit is raised, as mmap_base() leaves it, and what runs xemu may have its own stack there (an emulated
    /// processor, a kernel whose processes have no more addresses than the guest).
    pub fn free_stack_top(&self, size: u64, taken: impl Fn(Range<u64>) -> bool) -> u64 {
        // Without randomisation the kernel's place is what is asked for.
        let others = if self.stack_top == TASK_END { 1 } else { 16 };
        // All of the places that randomisation gives are above the mmap area, and as probable.
        let tops = (0..others).map(|k| TASK_END - (TASK_END - self.stack_top + k * 8 * LEAST_GAP) % STACK_RANDOM);
        tops.clone().find(|top| size >= LEAST_GAP || !taken(top - LEAST_GAP..*top)).unwrap_or(self.stack_top)
    }

    /// Are `len` bytes at `at` inside the guest's addresses?
    pub fn check(&self, at: u64, len: u64) -> Result<(), Errno> {
        match at.checked_add(len) {
            Some(end) if end <= self.end => Ok(()),
            _ => Err(Errno(libc::ENOMEM)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_randomisation_the_kernels_addresses() {
        let l = Layout::new(8 << 20, None);
        assert_eq!((l.pie_base, l.stack_top, l.brk_gap, l.sp_offset), (0x5555_5555_4000, 0x7fff_ffff_f000, 0, 0));
        assert_eq!(l.mmap_base, 0x7fff_f7ff_f000);
    }

    #[test]
    fn a_stack_has_room_to_grow() {
        let l = Layout::new(8 << 20, Some([0x5a; 16]));
        let taken = l.stack_top - (100 << 20)..l.stack_top - (90 << 20);
        let meets = |r: Range<u64>| r.start < taken.end && taken.start < r.end;
        let top = l.free_stack_top(8 << 20, meets);
        assert!(top != l.stack_top && !meets(top - LEAST_GAP..top) && top <= TASK_END && top - LEAST_GAP > l.mmap_base, "{top:x}");
        assert_eq!(top % PAGE_SIZE, 0);
        // Nothing in the way, nothing to choose, nothing that helps.
        assert_eq!(l.free_stack_top(8 << 20, |_| false), l.stack_top);
        assert_eq!(l.free_stack_top(1 << 30, meets), l.stack_top);
        assert_eq!(l.free_stack_top(8 << 20, |_| true), l.stack_top);
        assert_eq!(Layout::new(8 << 20, None).free_stack_top(8 << 20, |_| true), TASK_END);
    }

    #[test]
    fn random_layouts_keep_order() {
        for r in [[0u8; 16], [0xff; 16], [0x5a; 16]] {
            let l = Layout::new(8 << 20, Some(r));
            assert!(l.pie_base < l.mmap_base && l.mmap_base + (8 << 20) < l.stack_top && l.stack_top <= l.end);
            assert_eq!((l.pie_base | l.mmap_base | l.stack_top | l.brk_gap) % PAGE_SIZE, 0);
            assert_eq!(l.sp_offset % 16, 0);
        }
    }
}
