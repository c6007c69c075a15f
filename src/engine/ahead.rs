//! What looks ahead of the end of a region found, for the regions that look there again.

use crate::decode::{Ahead, NO_FLAGS};
use crate::guest::Addr;

/// log2 of the number of places. Looks at the same code come soon after each other.
const BITS: u32 = 10;

#[derive(Clone, Copy)]
struct Place {
    at: Addr,
    ahead: Ahead,
    /// [`AheadTable::clears`] when it was put.
    put: u32,
}

/// One for each place, the last one that came: a table that grows would take more instructions than the looks that it saves.
#[derive(Default)]
pub(super) struct AheadTable {
    places: Vec<Place>,
    /// How often all was forgotten: programs that write code have that done all the time.
    clears: u32,
}

impl AheadTable {
    fn index(at: Addr) -> usize {
        (at.0 ^ at.0 >> BITS) as usize & ((1 << BITS) - 1)
    }
    pub fn get(&self, at: Addr) -> Option<Ahead> {
        self.places.get(Self::index(at)).filter(|p| p.at == at && p.put == self.clears && p.ahead.sources[0].1 != 0).map(|p| p.ahead)
    }
    pub fn put(&mut self, found: &[(Addr, Ahead)]) {
        if self.places.is_empty() {
            let nothing = Ahead { live: NO_FLAGS, sources: [(Addr(0), 0); 3] };
            self.places.resize(1 << BITS, Place { at: Addr(0), ahead: nothing, put: 0 });
        }
        for &(at, ahead) in found {
            self.places[Self::index(at)] = Place { at, ahead, put: self.clears };
        }
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        self.clears = self.clears.wrapping_add(1);
        if self.clears == 0 {
            self.places.clear();
        }
    }
}

#[test]
fn the_last_one_of_a_place_is_found() {
    let ahead = |live| Ahead { live, sources: [(Addr(7), 3), (Addr(0), 0), (Addr(0), 0)] };
    let mut table = AheadTable::default();
    assert!(table.get(Addr(0)).is_none());
    table.put(&[(Addr(0x1000), ahead(1)), (Addr(0x1001), ahead(2))]);
    assert_eq!(table.get(Addr(0x1000)).map(|a| a.live), Some(1));
    assert_eq!(table.get(Addr(0x1001)).map(|a| a.live), Some(2));
    assert!(table.get(Addr(0)).is_none() && table.get(Addr(0x1002)).is_none());
    let same_place = Addr((0x1000..).find(|a| *a != 0x1000 && AheadTable::index(Addr(*a)) == AheadTable::index(Addr(0x1000))).unwrap());
    table.put(&[(same_place, ahead(4))]);
    assert!(table.get(Addr(0x1000)).is_none());
    table.clear();
    assert!(table.get(same_place).is_none());
}
