//! Translated regions by where their code lies.

use super::cache::Placed;

/// Regions in the order of their host addresses, in which they are nearly always made: a new one goes to the end. The place of one that was taken away stays
/// until everything is forgotten, because it may come back (`engine/asleep.rs`) and the arena is not used twice.
#[derive(Default)]
pub(super) struct Regions(Vec<(u64, Option<Placed>)>);

impl Regions {
    fn at(&self, host: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&host, |r| r.0)
    }

    /// Adds the region whose code starts at `host`.
    pub fn insert(&mut self, host: u64, placed: Placed) {
        if self.0.last().is_none_or(|last| last.0 < host) {
            return self.0.push((host, Some(placed)));
        }
        match self.at(host) {
            Ok(i) => self.0[i].1 = Some(placed),
            Err(i) => self.0.insert(i, (host, Some(placed))),
        }
    }

    /// Takes away the region whose code starts at `host`.
    pub fn remove(&mut self, host: u64) -> Option<Placed> {
        let i = self.at(host).ok()?;
        self.0[i].1.take()
    }

    /// The region whose code starts at `host`.
    pub fn get_mut(&mut self, host: u64) -> Option<&mut Placed> {
        let i = self.at(host).ok()?;
        self.0[i].1.as_mut()
    }

    /// The region whose code holds `host`, and where it starts.
    pub fn holding(&self, host: u64) -> Option<(u64, &Placed)> {
        let i = self.0.partition_point(|r| r.0 <= host).checked_sub(1)?;
        let (start, placed) = &self.0[i];
        placed.as_ref().filter(|p| host < start + p.len).map(|p| (*start, p))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
