//! Translated regions by where their code lies.

use super::cache::Placed;

/// Regions in the order of their host addresses, in which they are nearly always made: a new one goes to the end. The place of one that was taken away stays
/// until everything is forgotten, because it may come back (`engine/asleep.rs`) and the arena is not used twice.
#[derive(Default)]
pub(super) struct Regions {
    list: Vec<(u64, Option<Placed>)>,
    /// For each [`GRANULE`] from the first region on: the last region that starts at or before its first byte. Those that are not listed lie behind the start of
    /// the last region. A search of the whole list took 200 instructions an exit.
    granules: Vec<u32>,
}

/// log2 of bytes: a region has some 600.
const GRANULE: u32 = 9;

impl Regions {
    /// Index of the last region that starts at or before `host`.
    fn before(&self, host: u64) -> Option<usize> {
        let granule = host.checked_sub(self.list.first()?.0)? >> GRANULE;
        let mut i = self.granules.get(granule as usize).map_or(self.list.len() - 1, |i| *i as usize);
        while self.list.get(i + 1).is_some_and(|next| next.0 <= host) {
            i += 1;
        }
        Some(i)
    }
    fn at(&self, host: u64) -> Option<usize> {
        self.before(host).filter(|i| self.list[*i].0 == host)
    }

    /// Lists the granules that begin before the last region does.
    fn list_granules(&mut self) {
        let (Some(first), Some(last)) = (self.list.first(), self.list.last()) else { return };
        let behind = (last.0 - first.0).div_ceil(1 << GRANULE) as usize;
        if behind > self.granules.len() {
            self.granules.resize(behind, self.list.len().saturating_sub(2) as u32);
        }
    }

    /// Adds the region whose code starts at `host`.
    #[inline(always)]
    pub fn insert(&mut self, host: u64, placed: Placed) {
        if self.list.last().is_none_or(|last| last.0 < host) {
            self.list.push((host, Some(placed)));
            return self.list_granules();
        }
        self.insert_between(host, placed);
    }
    #[cold]
    fn insert_between(&mut self, host: u64, placed: Placed) {
        if let Some(i) = self.at(host) {
            self.list[i].1 = Some(placed);
            return;
        }
        let mut later = self.list.split_off(self.list.partition_point(|r| r.0 < host));
        self.list.push((host, Some(placed)));
        self.granules.clear();
        let all = std::mem::take(&mut self.list);
        for region in all.into_iter().chain(later.drain(..)) {
            self.list.push(region);
            self.list_granules();
        }
    }

    /// Takes away the region whose code starts at `host`.
    pub fn remove(&mut self, host: u64) -> Option<Placed> {
        let i = self.at(host)?;
        self.list[i].1.take()
    }

    /// The region whose code starts at `host`.
    pub fn get(&self, host: u64) -> Option<&Placed> {
        self.list[self.at(host)?].1.as_ref()
    }
    /// The same, to be changed.
    pub fn get_mut(&mut self, host: u64) -> Option<&mut Placed> {
        let i = self.at(host)?;
        self.list[i].1.as_mut()
    }

    /// The region whose code holds `host`, and where it starts.
    pub fn holding(&self, host: u64) -> Option<(u64, &Placed)> {
        let (start, placed) = &self.list[self.before(host)?];
        placed.as_ref().filter(|p| host < start + p.len).map(|p| (*start, p))
    }

    /// All regions, and where they start.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Placed)> {
        self.list.iter().filter_map(|(start, placed)| Some((*start, placed.as_ref()?)))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.list.clear();
        self.granules.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the order of insertion and the sizes, each byte belongs to the region that holds it.
    #[test]
    fn every_byte_finds_its_region() {
        let sizes = [16u64, 16, 500, 12, 512, 4, 2000, 513, 16, 8, 8, 8, 1500, 4];
        let starts: Vec<u64> = sizes.iter().scan(0x10_0000, |at, len| Some(std::mem::replace(at, *at + len + 12))).collect();
        let orders: [Vec<usize>; 3] = [(0..14).collect(), (0..14).rev().collect(), vec![5, 1, 9, 13, 0, 2, 12, 3, 4, 8, 6, 7, 10, 11]];
        for order in orders {
            let mut regions = Regions::default();
            for &i in &order {
                regions.insert(starts[i], Placed::for_test(sizes[i]));
            }
            assert!(regions.holding(starts[0] - 4).is_none());
            for (start, len) in starts.iter().zip(sizes) {
                for at in [*start, start + len / 2, start + len - 1] {
                    assert_eq!(regions.holding(at).map(|r| r.0), Some(*start), "{at:#x} of {order:?}");
                }
                assert!(regions.holding(start + len).is_none());
                assert!(regions.remove(*start).is_some() && regions.holding(*start).is_none());
                regions.insert(*start, Placed::for_test(len));
                assert!(regions.get_mut(*start).is_some() && regions.get_mut(start + 1).is_none());
            }
        }
    }
}
