//! Address ranges that are xemu's own: guest mappings never go there. Lock-free, readable in signal handlers.

use std::sync::atomic::{AtomicU64, Ordering};

const SLOTS: usize = 4096;

struct Slot {
    start: AtomicU64,
    len: AtomicU64,
}

static RANGES: [Slot; SLOTS] = [const { Slot { start: AtomicU64::new(0), len: AtomicU64::new(0) } }; SLOTS];
/// Slots ever used: no search goes further.
static HIGH: AtomicU64 = AtomicU64::new(0);

/// Enters a range. Where all slots are taken (thousands of threads) the range goes unprotected against MAP_FIXED; nothing else depends on it.
pub fn register(start: u64, len: u64) {
    for (i, slot) in RANGES.iter().enumerate() {
        if slot.start.compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            slot.len.store(len, Ordering::Release);
            HIGH.fetch_max(i as u64 + 1, Ordering::AcqRel);
            return;
        }
    }
}

/// Removes a range.
pub fn release(start: u64, len: u64) {
    for slot in &RANGES[..HIGH.load(Ordering::Acquire) as usize] {
        if slot.start.load(Ordering::Acquire) == start && slot.len.load(Ordering::Acquire) == len {
            slot.len.store(0, Ordering::Release);
            slot.start.store(0, Ordering::Release);
        }
    }
}

/// Does the range touch one of ours?
pub fn overlaps(start: u64, len: u64) -> bool {
    RANGES[..HIGH.load(Ordering::Acquire) as usize].iter().any(|slot| {
        let (s, l) = (slot.start.load(Ordering::Acquire), slot.len.load(Ordering::Acquire));
        l != 0 && start < s + l && s < start.saturating_add(len)
    })
}

/// Declares what the process has now, where that lies among guest addresses (below 2^47): hosts with fewer address bits, and
/// emulated hosts. On others there is nothing to declare.
pub fn register_process() {
    const GUEST_END: u64 = 1 << 47;
    if (register_process as *const () as u64) >= GUEST_END {
        return;
    }
    let maps = super::file::read_all(b"/proc/self/maps").unwrap_or_default();
    for line in maps.split(|b| *b == b'\n') {
        let Some((start, end)) = std::str::from_utf8(line).ok().and_then(|l| l.split(' ').next()).and_then(|r| r.split_once('-')) else { continue };
        let hex = |s| u64::from_str_radix(s, 16).unwrap_or(0);
        let (start, end) = (hex(start), hex(end));
        if start < end && start < GUEST_END {
            register(start, end - start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open_and_extend() {
        let base = 0x7777_0000_0000;
        register(base, 0x1000);
        register(base + 0x1000, 0x1000);
        register(base + 0x8000, 0x1000);
        assert!(overlaps(base, 1) && overlaps(base + 0x1fff, 1) && overlaps(base - 1, 2) && overlaps(base + 0x8000, 1));
        assert!(!overlaps(base - 1, 1) && !overlaps(base + 0x2000, 0x6000));
    }
}
