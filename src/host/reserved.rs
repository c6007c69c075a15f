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
