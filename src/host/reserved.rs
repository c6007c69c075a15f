//! Address ranges that belong to xemu itself and that no guest mapping may replace.
//!
//! A fixed array of atomics: signal handlers and threads that libc does not know may ask. Ranges are only ever added.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const MAX: usize = 64;
/// Start and end of each range. The end is stored last: zero means "not there yet".
static RANGES: [(AtomicU64, AtomicU64); MAX] = [const { (AtomicU64::new(0), AtomicU64::new(0)) }; MAX];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Declares `len` bytes at `start` as ours. A range that touches the latest one extends it.
///
/// # Panics
/// If more than 64 ranges are declared: an internal error.
pub fn register(start: u64, len: u64) {
    let end = start.saturating_add(len);
    if let Some(last) = COUNT.load(Ordering::Acquire).checked_sub(1)
        && RANGES[last].1.compare_exchange(start, end, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    {
        return;
    }
    let slot = COUNT.fetch_add(1, Ordering::AcqRel);
    assert!(slot < MAX, "more than {MAX} reserved ranges");
    RANGES[slot].0.store(start, Ordering::Relaxed);
    RANGES[slot].1.store(end, Ordering::Release);
}

/// Does `len` bytes at `start` touch memory of ours?
pub fn overlaps(start: u64, len: u64) -> bool {
    let end = start.saturating_add(len);
    RANGES.iter().take(COUNT.load(Ordering::Acquire)).any(|(s, e)| {
        let e = e.load(Ordering::Acquire);
        start < e && s.load(Ordering::Relaxed) < end
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
