//! Which guest pages translations come from.

use crate::guest::{Addr, addr::PAGE_SIZE};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// Regions by the pages that they were made from.
///
/// A region that goes out of use stays in the lists of its pages, marked: to take it out would be a search of thousands on the page of a procedure linkage
/// table's pointers. A list goes when its page changes, or all is forgotten, so that it has no more entries than the arena has had regions. Until then the page
/// is as protected as it was for the first region of the list.
#[derive(Default)]
pub(super) struct ByPage {
    /// Starts of regions, upwards and each once.
    lists: FxHashMap<u64, Vec<u64>>,
}

/// In the start of a region: it is not in use. Code is aligned, so that this bit is free.
const GONE: u64 = 1;

impl ByPage {
    /// The region at `host` is made from `page`.
    pub fn put(&mut self, page: Addr, host: u64) {
        let all = self.lists.entry(page.0).or_default();
        match all.last() {
            // What wakes up lies before others, and may have been there.
            Some(last) if *last >= host => match all.binary_search_by_key(&host, |r| r & !GONE) {
                Ok(i) => all[i] = host,
                Err(i) => all.insert(i, host),
            },
            _ => all.push(host),
        }
    }
    /// It is not in use any more.
    pub fn put_out(&mut self, page: Addr, host: u64) {
        if let Some(all) = self.lists.get_mut(&page.0)
            && let Ok(i) = all.binary_search_by_key(&host, |r| r & !GONE)
        {
            all[i] |= GONE;
        }
    }
    /// The regions of a page that are in use.
    pub fn of(&self, page: Addr) -> impl Iterator<Item = u64> {
        self.lists.get(&page.0).into_iter().flatten().copied().filter(|r| r & GONE == 0)
    }
    /// Takes the list of a page away: the regions of it that are in use.
    pub fn take(&mut self, page: u64) -> impl Iterator<Item = u64> + use<> {
        self.lists.remove(&page).into_iter().flatten().filter(|r| r & GONE == 0)
    }
    /// Has the page a list?
    pub fn has(&self, page: Addr) -> bool {
        self.lists.contains_key(&page.0)
    }
    /// Pages of a range that have one.
    pub fn within(&self, range: &Range<u64>) -> Vec<u64> {
        keys_in(&self.lists, range)
    }
    pub fn clear(&mut self) {
        self.lists.clear();
    }
}

/// The pages of byte ranges, each once.
pub(super) fn pages_of(sources: &[(Addr, u64)]) -> Vec<Addr> {
    let mut pages = Vec::new();
    pages_in(sources, &mut pages);
    pages
}

/// The same into a vector, which is emptied before.
pub(super) fn pages_in(sources: &[(Addr, u64)], pages: &mut Vec<Addr>) {
    pages.clear();
    // The page last seen at each place, which its number tells: few are looked for among all.
    const NONE: Addr = Addr(1);
    let mut seen = [NONE; 32];
    for &(start, len) in sources {
        let mut page = start.page();
        while page < start.plus(len) {
            let place = &mut seen[(page.0 / PAGE_SIZE) as usize % 32];
            if *place != page {
                if *place == NONE || !pages.contains(&page) {
                    pages.push(page);
                }
                *place = page;
            }
            page = page.plus(PAGE_SIZE);
        }
    }
}

/// Whole pages that hold a range.
pub(super) fn range_of(start: Addr, len: u64) -> Range<u64> {
    start.page().0..start.plus(len).page_up().0
}

/// The pages of `range` that are keys of `map`: looked for in whichever is smaller.
pub(super) fn keys_in<V>(map: &FxHashMap<u64, V>, range: &Range<u64>) -> Vec<u64> {
    if (range.end.saturating_sub(range.start)) / PAGE_SIZE > map.len() as u64 {
        return map.keys().copied().filter(|p| range.contains(p)).collect();
    }
    range.clone().step_by(PAGE_SIZE as usize).filter(|p| map.contains_key(p)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_use_is_not_taken() {
        let (first, second) = (Addr(0x1000), Addr(0x2000));
        let mut all = ByPage::default();
        for host in [0x100, 0x200, 0x300] {
            all.put(first, host);
            all.put(second, host);
        }
        // 0x200 goes with a change of the first page, and comes back.
        all.put_out(second, 0x200);
        assert_eq!(all.take(first.0).collect::<Vec<_>>(), [0x100, 0x200, 0x300]);
        assert!(!all.has(first) && all.has(second) && all.within(&(0..0x1_0000)) == [second.0]);
        all.put_out(second, 0x100);
        all.put(first, 0x200);
        all.put(second, 0x200);
        assert_eq!(all.take(second.0).collect::<Vec<_>>(), [0x200, 0x300]);
        assert_eq!(all.take(second.0).count(), 0);
        // What was put out of a list that is gone is in none.
        all.put_out(second, 0x300);
        all.put(first, 0x100);
        assert_eq!(all.take(first.0).collect::<Vec<_>>(), [0x100, 0x200]);
    }

    #[test]
    fn each_page_stands_once() {
        let sources = [(0x1ff0, 0x20), (0x2001, 4), (0x1000, 1), (0x4_1000, 8), (0x2_1000, 1), (0x4_1ff8, 8), (0x2_1000, 0), (0x9000, 0)].map(|(at, len)| (Addr(at), len));
        assert_eq!(pages_of(&sources), [0x1000, 0x2000, 0x4_1000, 0x2_1000].map(Addr));
        let many: Vec<_> = (0..200).chain(0..200).map(|k| (Addr(k * 0x1000 + 5), 1)).collect();
        assert_eq!(pages_of(&many), (0..200).map(|k| Addr(k * 0x1000)).collect::<Vec<_>>());
    }
}
