//! Pages that are written and executed in turns, again and again: functions on an executable stack, counters beside generated code. Protecting
//! them would cost a fault a write, so for a while they are not protected; instead their code is compared with what was translated each time that
//! it is entered, and each entry runs no further than the next store or branch, behind which it may be other code.
//!
//! A branch to itself, alone on such a page, is not looked at again while it runs.

use super::asleep::digest;
use super::cache::Target;
use crate::decode::CodeSource;
use crate::guest::Addr;
use rustc_hash::FxHashMap;

/// So many writes within [`WINDOW`] make a page hot.
const MANY: u32 = 64;
/// Nanoseconds of the process's time on processors.
const WINDOW: u64 = 20_000_000;
/// Entries for which a page is hot: at first, and at most. Doubled each time that it becomes hot again.
const ENTRIES: (u32, u32) = (4096, 1 << 20);

#[derive(Clone, Copy, Default)]
struct Page {
    since: u64,
    writes: u32,
    /// Entries that are left until it is protected again; 0: not hot.
    left: u32,
    /// How many it gets next time.
    next: u32,
}

/// A translation that is compared with its source at each entry.
struct Checked {
    target: Target,
    sources: Vec<(Addr, u64)>,
    digest: u128,
}

/// All pages that were written after code was translated from them, and the translations of the hot ones.
#[derive(Default)]
pub(super) struct Heat {
    pages: FxHashMap<u64, Page>,
    hot: usize,
    /// No page ever becomes hot.
    never: bool,
    checked: FxHashMap<u64, Checked>,
}

impl Heat {
    /// No page is to become hot: translations are not always what is in memory (`breakpoints`), and are not to be compared with it.
    pub fn never(&mut self) {
        self.never = true;
    }

    /// A page of code was written at time `now`.
    pub fn written(&mut self, page: Addr, now: u64) {
        if self.never {
            return;
        }
        let p = self.pages.entry(page.0).or_default();
        if now.wrapping_sub(p.since) > WINDOW {
            (p.since, p.writes) = (now, 0);
        }
        p.writes += 1;
        if p.writes == MANY && p.left == 0 {
            p.left = p.next.clamp(ENTRIES.0, ENTRIES.1);
            p.next = p.left * 2;
            self.hot += 1;
        }
    }

    /// Is a page of these ranges hot?
    pub fn any(&self, pages: &[Addr]) -> bool {
        self.hot != 0 && pages.iter().any(|p| self.is_hot(*p))
    }
    /// Is any page hot?
    pub fn is_any(&self) -> bool {
        self.hot != 0
    }
    pub fn is_hot(&self, page: Addr) -> bool {
        self.hot != 0 && self.pages.get(&page.0).is_some_and(|p| p.left != 0)
    }

    /// Code of these pages is entered so many times: counts towards their end.
    pub fn entered(&mut self, pages: &[Addr], times: u32) {
        for page in pages {
            if let Some(p) = self.pages.get_mut(&page.0).filter(|p| p.left != 0) {
                p.left = p.left.saturating_sub(times);
                if p.left == 0 {
                    (p.since, p.writes) = (0, 0);
                    self.hot -= 1;
                }
            }
        }
    }

    /// The translation of `guest`, if `code` still reads what it was made from.
    pub fn checked(&self, guest: Addr, code: &dyn CodeSource) -> Option<Target> {
        let c = self.checked.get(&guest.0)?;
        let now = digest(&c.sources, |at, buf| code.read_code(at, buf));
        (now == c.digest).then_some(c.target)
    }
    /// Keeps a translation.
    pub fn keep(&mut self, guest: Addr, target: Target, sources: Vec<(Addr, u64)>, digest: u128) {
        self.checked.insert(guest.0, Checked { target, sources, digest });
    }

    /// Translations are gone.
    pub fn flush(&mut self) {
        self.checked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_hot_for_a_while_and_longer_each_time() {
        let mut heat = Heat::default();
        let page = Addr(0x1000);
        let mut last = ENTRIES.0 / 2;
        for _ in 0..3 {
            (0..MANY - 1).for_each(|n| heat.written(page, 5 + n as u64));
            assert!(!heat.is_hot(page));
            heat.written(page, 100);
            let mut entries = 0;
            while heat.any(&[page]) {
                heat.entered(&[page], 1);
                entries += 1;
            }
            assert_eq!(entries, 2 * last);
            last = entries;
        }
        // Slowly: never.
        (1..200).for_each(|n| heat.written(page, n * (WINDOW + 1)));
        assert!(!heat.is_hot(page) && heat.hot == 0);
    }
}
