//! Entries of regions by guest address: asked for at each exit that is linked, each block that is decoded and each turn through the engine, and told of each block
//! that is translated. A table that is as large as it is plain: 2 % of what Python's start executed went into hashbrown's.

/// An entry of a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The region's number: `Regions::insert`.
    pub region: u32,
    /// Which of its entries.
    pub entry: u32,
}

impl Place {
    fn packed(self) -> u64 {
        u64::from(self.region) << 32 | u64::from(self.entry)
    }
    fn of(packed: u64) -> Place {
        Place { region: (packed >> 32) as u32, entry: packed as u32 }
    }
}

/// log2 of the slots of the first table: as many as a shell's start needs, and of which only what is used takes memory.
const FIRST: u32 = 13;
/// log2 of how much larger the next one is. Each step costs what putting in all of it did.
const STEP: u32 = 2;
/// No entry.
const FREE: [u64; 2] = [0; 2];

/// Where guest addresses are entered.
pub(super) struct EntryTable {
    /// A key each and its place, at the first free slot behind where the key belongs. Half of them are free at least.
    slots: Vec<[u64; 2]>,
    len: usize,
}

/// Free slots are zeroed memory, so a key is never zero: no instruction begins at the last address.
fn key_of(guest: u64) -> u64 {
    !guest
}

impl Default for EntryTable {
    fn default() -> Self {
        EntryTable { slots: vec![FREE; 1 << FIRST], len: 0 }
    }
}

impl EntryTable {
    /// Where a key belongs.
    #[inline(always)]
    fn home(&self, key: u64) -> usize {
        // Its upper bits depend on all of the key's.
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.slots.len() - 1)
    }
    /// The slot of a key, or the free one where it would stand.
    #[inline(always)]
    fn find(&self, key: u64) -> usize {
        let mut at = self.home(key);
        while self.slots[at][0] != key && self.slots[at][0] != FREE[0] {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    /// The entry at `guest`.
    #[inline]
    pub fn get(&self, guest: u64) -> Option<Place> {
        let slot = self.slots[self.find(key_of(guest))];
        (slot[0] != FREE[0]).then(|| Place::of(slot[1]))
    }
    /// Is there one?
    #[inline]
    pub fn has(&self, guest: u64) -> bool {
        self.slots[self.find(key_of(guest))][0] != FREE[0]
    }
    /// From now on it is this one.
    pub fn put(&mut self, guest: u64, place: Place) {
        let at = self.find(key_of(guest));
        self.len += usize::from(self.slots[at][0] == FREE[0]);
        self.slots[at] = [key_of(guest), place.packed()];
        self.make_room();
    }
    /// The same if there is none.
    #[inline]
    pub fn put_first(&mut self, guest: u64, place: Place) {
        let at = self.find(key_of(guest));
        if self.slots[at][0] == FREE[0] {
            self.slots[at] = [key_of(guest), place.packed()];
            self.len += 1;
            self.make_room();
        }
    }
    /// There is none any more, if it was one of `region`'s.
    pub fn take_away(&mut self, guest: u64, region: u32) {
        let mut free = self.find(key_of(guest));
        if self.slots[free][0] == FREE[0] || Place::of(self.slots[free][1]).region != region {
            return;
        }
        // Whoever stands behind for want of this slot, or of those in between, moves up.
        let mask = self.slots.len() - 1;
        let mut at = free;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot[0] == FREE[0] {
                break;
            }
            if at.wrapping_sub(self.home(slot[0])) & mask >= at.wrapping_sub(free) & mask {
                self.slots[free] = slot;
                free = at;
            }
        }
        self.slots[free] = FREE;
        self.len -= 1;
    }
    /// There are none.
    pub fn clear(&mut self) {
        *self = EntryTable::default();
    }

    #[inline(always)]
    fn make_room(&mut self) {
        if self.len * 2 > self.slots.len() {
            self.grow();
        }
    }
    #[cold]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![FREE; old.len() << STEP];
        for slot in old {
            if slot[0] != FREE[0] {
                let at = self.find(slot[0]);
                self.slots[at] = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// What is put in is found until it is taken away, as in a map, through growth and through slots that several addresses want.
    #[test]
    fn it_is_a_map() {
        let mut table = EntryTable::default();
        let mut map: HashMap<u64, Place> = HashMap::new();
        let mut random = 7u64;
        for turn in 0..60_000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Few enough for many to be met again.
            let guest = (random >> 33) % 9000 * if turn & 1 == 0 { 1 } else { 0x1_0000 };
            let place = Place { region: turn % 5, entry: turn };
            match random >> 60 {
                0..6 => {
                    table.put(guest, place);
                    map.insert(guest, place);
                }
                6..11 => {
                    table.put_first(guest, place);
                    map.entry(guest).or_insert(place);
                }
                _ => {
                    table.take_away(guest, place.region);
                    if map.get(&guest).is_some_and(|p| p.region == place.region) {
                        map.remove(&guest);
                    }
                }
            }
            assert_eq!((table.get(guest), table.has(guest), table.len), (map.get(&guest).copied(), map.contains_key(&guest), map.len()));
        }
        assert!(table.slots.len() > 1 << FIRST, "it has grown");
        for k in 0..9000 {
            for guest in [k, k * 0x1_0000] {
                assert_eq!(table.get(guest), map.get(&guest).copied());
            }
        }
        table.clear();
        assert!(!map.is_empty() && map.keys().all(|guest| table.get(*guest).is_none()));
    }

    /// A slot that becomes free in the middle of others hides none of them, at the end of the table too.
    #[test]
    fn what_stands_behind_moves_up() {
        let last = (1 << FIRST) - 1;
        let table = EntryTable::default();
        let wants = |home: usize| (0x1000u64..).filter(|g| table.home(key_of(*g)) == home).take(3).collect::<Vec<_>>();
        // Three that belong to the last slot, and two that belong to the first.
        let all: Vec<u64> = wants(last).into_iter().chain(wants(0).into_iter().take(2)).collect();
        for gone in 0..all.len() {
            let mut table = EntryTable::default();
            for (k, guest) in all.iter().enumerate() {
                table.put(*guest, Place { region: 1, entry: k as u32 });
            }
            table.take_away(all[gone], 2);
            assert!(table.has(all[gone]));
            table.take_away(all[gone], 1);
            for (k, guest) in all.iter().enumerate() {
                assert_eq!(table.get(*guest), (k != gone).then_some(Place { region: 1, entry: k as u32 }), "{k} without {gone}");
            }
        }
    }
}
