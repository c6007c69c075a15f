//! Translated regions by where their code lies.

use super::cache::Placed;

/// Regions in the order of their host addresses, in which they are made: a new one goes to the end. The place of one that was taken away stays
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

    /// Adds the region whose code starts at `host`, behind all others or where it was: its number, until everything is forgotten.
    #[inline(always)]
    pub fn insert(&mut self, host: u64, placed: Placed) -> u32 {
        if self.list.last().is_none_or(|last| last.0 < host) {
            self.list.push((host, Some(placed)));
            self.list_granules();
            return self.list.len() as u32 - 1;
        }
        self.put_back(host, placed)
    }
    #[cold]
    fn put_back(&mut self, host: u64, placed: Placed) -> u32 {
        let i = self.at(host).expect("the arena gives places upwards, and a region that comes back has kept its own");
        self.list[i].1 = Some(placed);
        i as u32
    }
    /// The region of this number, and where it starts.
    #[inline]
    pub fn numbered(&self, number: u32) -> Option<(u64, &Placed)> {
        let (start, placed) = self.list.get(number as usize)?;
        Some((*start, placed.as_ref()?))
    }
    /// The same, to be changed.
    #[inline]
    pub fn numbered_mut(&mut self, number: u32) -> Option<&mut Placed> {
        self.list.get_mut(number as usize)?.1.as_mut()
    }
    /// The number of the region whose code starts at `host`.
    pub fn number(&self, host: u64) -> Option<u32> {
        self.at(host).map(|i| i as u32)
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

    /// Whatever the sizes, each byte belongs to the region that holds it, and each region keeps its number.
    #[test]
    fn every_byte_finds_its_region() {
        let sizes = [16u64, 16, 500, 12, 512, 4, 2000, 513, 16, 8, 8, 8, 1500, 4];
        let starts: Vec<u64> = sizes.iter().scan(0x10_0000, |at, len| Some(std::mem::replace(at, *at + len + 12))).collect();
        for all in [14, 13, 1] {
            let mut regions = Regions::default();
            for i in 0..all {
                assert_eq!(regions.insert(starts[i], Placed::for_test(sizes[i])), i as u32);
            }
            assert!(regions.holding(starts[0] - 4).is_none());
            for (i, (start, len)) in starts.iter().zip(sizes).enumerate().take(all) {
                for at in [*start, start + len / 2, start + len - 1] {
                    assert_eq!(regions.holding(at).map(|r| r.0), Some(*start), "{at:#x} of {all}");
                }
                assert!(regions.holding(start + len).is_none());
                assert!(regions.remove(*start).is_some() && regions.holding(*start).is_none());
                assert!(regions.numbered(i as u32).is_none());
                assert_eq!((regions.insert(*start, Placed::for_test(len)), regions.number(*start)), (i as u32, Some(i as u32)));
                assert_eq!(regions.numbered(i as u32).map(|r| r.0), Some(*start));
                assert!(regions.get(*start).is_some() && regions.get(start + 1).is_none());
            }
        }
    }
}
