//! The map of a guest's virtual memory areas: pure bookkeeping, no host calls.
//!
//! Invariants: areas do not overlap, are not empty and are page-aligned; neighbours that could be one area are one.

use super::Prot;
use super::layout::GUARD_GAP;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A half-open range of guest addresses.
pub type Span = Range<u64>;

/// The file behind a mapping.
#[derive(Debug, PartialEq, Eq)]
pub struct Backing {
    /// Device number (host encoding, as in st_dev).
    pub dev: u64,
    /// Inode number.
    pub inode: u64,
    /// Path as /proc shows it; empty if unknown.
    pub path: Vec<u8>,
}

impl Backing {
    /// The file of the kernel's own that stands for a shared anonymous mapping: every one is another.
    pub fn shared_memory() -> Backing {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Backing { dev: 1, inode: NEXT.fetch_add(1, Ordering::Relaxed), path: b"/dev/zero (deleted)".to_vec() }
    }
}

/// What an area is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anonymous memory.
    Anonymous,
    /// Anonymous memory that grows downwards (MAP_GROWSDOWN).
    Growing,
    /// The program break's area.
    Heap,
    /// The main thread's stack.
    Stack,
    /// The vdso image.
    Vdso,
    /// A file, or a System V segment.
    File(Arc<Backing>),
}

/// One virtual memory area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vma {
    /// What the guest may do.
    pub prot: Prot,
    /// MAP_SHARED.
    pub shared: bool,
    /// A System V segment: `shmdt` removes it.
    pub segment: bool,
    /// MADV_DONTDUMP: not to be in a core file.
    pub undumped: bool,
    /// What it is made of.
    pub kind: Kind,
    /// Offset into the file, in bytes; 0 for other kinds.
    pub offset: u64,
}

impl Vma {
    /// The same area seen from `by` bytes further on.
    fn advanced(&self, by: u64) -> Vma {
        let offset = if matches!(self.kind, Kind::File(_)) { self.offset.wrapping_add(by) } else { self.offset };
        Vma { offset, ..self.clone() }
    }

    /// Does `next` continue this area, `len` bytes long?
    fn continues(&self, len: u64, next: &Vma) -> bool {
        self.prot == next.prot
            && self.shared == next.shared
            && self.undumped == next.undumped
            && !(self.segment || next.segment)
            && self.kind == next.kind
            && match self.kind {
                Kind::File(_) => self.offset.wrapping_add(len) == next.offset,
                _ => true,
            }
    }
}

/// What the last search from the top learned, so that the next need not start over.
#[derive(Clone, Copy)]
struct Searched {
    /// The top that was searched from.
    top: u64,
    /// Between here and `top` no hole is larger than `largest` bytes.
    from: u64,
    largest: u64,
}

/// The map. Keys are starts; values hold the end and the area.
#[derive(Default)]
pub struct VmaMap {
    areas: BTreeMap<u64, (u64, Vma)>,
    searched: Option<Searched>,
}

impl VmaMap {
    /// The area that holds `addr`.
    pub fn find(&self, addr: u64) -> Option<(Span, &Vma)> {
        let (&start, (end, vma)) = self.areas.range(..=addr).next_back()?;
        (addr < *end).then_some((start..*end, vma))
    }

    /// The nearest areas that end at `at` or before, and that start after it. None where an area holds `at`.
    pub fn around(&self, at: u64) -> (Option<(Span, &Vma)>, Option<(Span, &Vma)>) {
        if self.find(at).is_some() {
            return (None, None);
        }
        let below = self.areas.range(..at).next_back().map(|(&start, (end, vma))| (start..*end, vma));
        let above = self.areas.range(at..).next().map(|(&start, (end, vma))| (start..*end, vma));
        (below, above)
    }

    /// All areas, upwards.
    pub fn iter(&self) -> impl Iterator<Item = (Span, &Vma)> {
        self.areas.iter().map(|(&start, (end, vma))| (start..*end, vma))
    }

    /// Areas that touch `span`, cut to it, upwards.
    pub fn within(&self, span: Span) -> impl Iterator<Item = (Span, &Vma)> {
        let first = self.find(span.start).map_or(span.start, |(s, _)| s.start);
        self.areas.range(first..span.end.max(first)).filter_map(move |(&start, (end, vma))| {
            let cut = start.max(span.start)..(*end).min(span.end);
            (cut.start < cut.end).then_some((cut, vma))
        })
    }

    /// Parts of `span` that no area covers, upwards.
    pub fn gaps(&self, span: Span) -> Vec<Span> {
        let mut gaps = Vec::new();
        let mut at = span.start;
        for (s, _) in self.within(span.clone()) {
            if at < s.start {
                gaps.push(at..s.start);
            }
            at = s.end;
        }
        if at < span.end {
            gaps.push(at..span.end);
        }
        gaps
    }

    /// Does nothing lie in `span`?
    pub fn is_free(&self, span: Span) -> bool {
        self.last_in(span).is_none()
    }

    /// Start of the highest area that touches `span`.
    fn last_in(&self, span: Span) -> Option<u64> {
        let (&start, (end, _)) = self.areas.range(..span.end).next_back()?;
        (*end > span.start && span.start < span.end).then_some(start)
    }

    /// Makes `at` a border, if it lies inside an area.
    fn split(&mut self, at: u64) {
        if let Some((&start, (end, vma))) = self.areas.range_mut(..at).next_back()
            && *end > at
        {
            let upper = (*end, vma.advanced(at - start));
            *end = at;
            self.areas.insert(at, upper);
        }
    }

    /// Joins the areas that meet at `at`, if they can be one.
    fn join(&mut self, at: u64) {
        let Some((end, upper)) = self.areas.get(&at) else { return };
        let (end, upper) = (*end, upper);
        if let Some((&start, (lower_end, lower))) = self.areas.range(..at).next_back()
            && *lower_end == at
            && lower.continues(at - start, upper)
        {
            self.areas.remove(&at);
            self.areas.get_mut(&start).expect("found above").0 = end;
        }
    }

    /// Puts an area in place of whatever is there.
    pub fn insert(&mut self, span: Span, vma: Vma) {
        self.remove(span.clone());
        self.areas.insert(span.start, (span.end, vma));
        self.join(span.end);
        self.join(span.start);
    }

    /// Removes whatever lies in `span`.
    pub fn remove(&mut self, span: Span) {
        if self.is_free(span.clone()) {
            return;
        }
        self.split(span.start);
        self.split(span.end);
        while let Some((&start, _)) = self.areas.range(span.clone()).next() {
            self.areas.remove(&start);
        }
        if let Some(s) = &mut self.searched
            && span.end > s.from
        {
            let below = self.areas.range(..span.start).next_back().map_or(0, |(_, (end, _))| *end);
            let above = self.areas.range(span.end..).next().map_or(u64::MAX, |(start, _)| *start);
            s.largest = s.largest.max(above - below);
        }
    }

    /// Changes the areas inside `span`.
    pub fn update(&mut self, span: Span, mut change: impl FnMut(&mut Vma)) {
        self.split(span.start);
        self.split(span.end);
        let mut borders = vec![span.end];
        for (&start, (_, vma)) in self.areas.range_mut(span) {
            change(vma);
            borders.push(start);
        }
        for at in borders {
            self.join(at);
        }
    }

    /// Total size in bytes.
    pub fn total(&self) -> u64 {
        self.iter().map(|(s, _)| s.end - s.start).sum()
    }

    /// The highest place for `len` bytes in `within`, `align`ed, where no area and nothing in `blocked` (start to end) lies.
    pub fn place_below(&mut self, within: Span, len: u64, align: u64, blocked: &BTreeMap<u64, u64>) -> Option<u64> {
        let known = self.searched.filter(|s| s.top == within.end && len > s.largest);
        let (mut top, mut largest) = known.map_or((within.end, 0), |s| (s.from, s.largest));
        loop {
            let start = top.checked_sub(len)? & !(align - 1);
            if start < within.start {
                return None;
            }
            let block = blocked.range(..start + len).next_back().filter(|(_, end)| **end > start).map(|b| (*b.0, *b.1));
            let area = self.last_in(start..start + len).and_then(|at| self.find(at)).map(|(s, _)| (s.start, s.end));
            // Below an area that grows the kernel keeps the room that it may not grow into (vm_start_gap()).
            let near = self.areas.range(start + len..start.saturating_add(len + GUARD_GAP)).next();
            let growing = near.filter(|(_, (_, vma))| vma.kind == Kind::Growing).map(|(&at, _)| (at - GUARD_GAP, at));
            let Some((below, end)) = area.max(block).or(growing) else {
                // What lies above `top` was seen; the hole that starts there counts from now on only if it stays.
                self.searched = Some(Searched { top: within.end, from: top, largest });
                return Some(start);
            };
            largest = largest.max(top.saturating_sub(end));
            top = below;
        }
    }

    /// The lowest such place.
    pub fn place_above(&self, within: Span, len: u64, align: u64, blocked: &BTreeMap<u64, u64>) -> Option<u64> {
        let mut start = within.start.checked_next_multiple_of(align)?;
        loop {
            let end = start.checked_add(len).filter(|e| *e <= within.end)?;
            let area = self.within(start..end).last().map(|(s, _)| s.end);
            let block = blocked.range(..end).next_back().filter(|(_, e)| **e > start).map(|b| *b.1);
            // An area's end is cut to the range: look up the whole one.
            match area.and_then(|e| self.find(e - 1)).map(|(s, _)| s.end).max(block) {
                Some(obstacle) => start = obstacle.checked_next_multiple_of(align)?,
                None => return Some(start),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anon(prot: Prot) -> Vma {
        Vma { prot, shared: false, segment: false, undumped: false, kind: Kind::Anonymous, offset: 0 }
    }
    fn file(offset: u64) -> Vma {
        let backing = Arc::new(Backing { dev: 1, inode: 2, path: b"/f".to_vec() });
        Vma { prot: Prot::READ, shared: false, segment: false, undumped: false, kind: Kind::File(backing), offset }
    }
    fn shape(m: &VmaMap) -> Vec<(u64, u64, u8)> {
        m.iter().map(|(s, v)| (s.start, s.end, v.prot.bits())).collect()
    }

    #[test]
    fn neighbours_merge_and_split() {
        let mut m = VmaMap::default();
        m.insert(0x1000..0x3000, anon(Prot::READ));
        m.insert(0x3000..0x5000, anon(Prot::READ));
        assert_eq!(shape(&m), [(0x1000, 0x5000, 1)]);
        m.update(0x2000..0x3000, |v| v.prot = Prot::READ | Prot::WRITE);
        assert_eq!(shape(&m), [(0x1000, 0x2000, 1), (0x2000, 0x3000, 3), (0x3000, 0x5000, 1)]);
        m.update(0x2000..0x3000, |v| v.prot = Prot::READ);
        assert_eq!(shape(&m), [(0x1000, 0x5000, 1)]);
        m.remove(0x2000..0x2800 + 0x800);
        assert_eq!(shape(&m), [(0x1000, 0x2000, 1), (0x3000, 0x5000, 1)]);
        m.insert(0..0x8000, anon(Prot::empty()));
        assert_eq!(shape(&m), [(0, 0x8000, 0)]);
    }

    #[test]
    fn files_merge_only_where_offsets_continue() {
        let mut m = VmaMap::default();
        m.insert(0x1000..0x4000, file(0x10000));
        m.remove(0x2000..0x3000);
        let offsets: Vec<_> = m.iter().map(|(s, v)| (s.start, v.offset)).collect();
        assert_eq!(offsets, [(0x1000, 0x10000), (0x3000, 0x12000)]);
        m.insert(0x2000..0x3000, file(0x5000));
        assert_eq!(m.iter().count(), 3);
        m.insert(0x2000..0x3000, file(0x11000));
        assert_eq!(m.iter().count(), 1);
    }

    #[test]
    fn shared_anonymous_areas_stay_apart() {
        let mut m = VmaMap::default();
        let shared = || Vma { shared: true, kind: Kind::File(Arc::new(Backing::shared_memory())), ..anon(Prot::READ) };
        m.insert(0x1000..0x4000, shared());
        m.insert(0x4000..0x5000, shared());
        assert_eq!(m.iter().count(), 2);
        m.update(0x2000..0x3000, |v| v.prot = Prot::WRITE);
        m.update(0x2000..0x3000, |v| v.prot = Prot::READ);
        assert_eq!(m.iter().count(), 2);
    }

    #[test]
    fn searches_that_continue_find_what_others_find() {
        // Pseudo-random mapping and unmapping: each search must equal that of a map which has not searched before.
        let (mut m, mut seed) = (VmaMap::default(), 1u64);
        let mut random = |n: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        let none = BTreeMap::new();
        for _ in 0..3000 {
            let len = (1 + random(9)) * 0x1000;
            if random(5) < 3 {
                let mut fresh = VmaMap { areas: m.areas.clone(), searched: None };
                let expect = fresh.place_below(0x10_0000..0x40_0000, len, 0x1000, &none);
                let got = m.place_below(0x10_0000..0x40_0000, len, 0x1000, &none);
                assert_eq!(got, expect);
                if let Some(at) = got {
                    m.insert(at..at + len, anon(if random(2) == 0 { Prot::READ } else { Prot::WRITE }));
                }
            } else {
                let at = 0x10_0000 + random(0x300) * 0x1000;
                m.remove(at..at + len);
            }
        }
    }

    #[test]
    fn gaps_and_places() {
        let mut m = VmaMap::default();
        m.insert(0x2000..0x3000, anon(Prot::READ));
        m.insert(0x5000..0x6000, anon(Prot::WRITE));
        assert_eq!(m.gaps(0x1000..0x7000), [0x1000..0x2000, 0x3000..0x5000, 0x6000..0x7000]);
        assert_eq!(m.gaps(0x2000..0x2800), []);
        let mut none = BTreeMap::new();
        assert_eq!(m.place_below(0x1000..0x7000, 0x1000, 0x1000, &none), Some(0x6000));
        assert_eq!(m.place_below(0x1000..0x7000, 0x2000, 0x1000, &none), Some(0x3000));
        assert_eq!(m.place_below(0x1000..0x7000, 0x3000, 0x1000, &none), None);
        assert_eq!(m.place_above(0x1000..0x8000, 0x2000, 0x1000, &none), Some(0x3000));
        assert_eq!(m.place_above(0x1000..0x7000, 0x3000, 0x1000, &none), None);
        m.insert(0x30_0000..0x30_1000, Vma { kind: Kind::Growing, ..anon(Prot::READ) });
        assert_eq!(m.place_below(0x1000..0x30_0000, 0x1000, 0x1000, &none), Some(0x1f_f000), "room below what grows");
        m.remove(0x30_0000..0x30_1000);
        none.insert(0x6800, 0x7000);
        assert_eq!(m.place_below(0x1000..0x7000, 0x1000, 0x1000, &none), Some(0x4000));
    }
}
