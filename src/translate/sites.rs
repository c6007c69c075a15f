//! Sets of guest instructions about which translation has learned something.

use crate::guest::Addr;

/// Addresses of instructions, upwards. Few are ever put in, and every translation asks: a look costs a few comparisons.
#[derive(Clone, Debug, Default)]
pub struct Sites(Vec<u64>);

impl Sites {
    /// Puts in the instruction at `at`.
    pub fn insert(&mut self, at: u64) {
        if let Err(place) = self.0.binary_search(&at) {
            self.0.insert(place, at);
        }
    }
    /// Is the instruction at `at` one of them?
    pub fn contains(&self, at: &u64) -> bool {
        !self.0.is_empty() && self.0.binary_search(at).is_ok()
    }
    /// Is one of them at `first`, at `last` or between?
    pub fn are_in(&self, (first, last): (Addr, Addr)) -> bool {
        self.0.get(self.0.partition_point(|at| *at < first.0)).is_some_and(|at| *at <= last.0)
    }
    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[test]
fn what_was_put_in_is_found() {
    let mut sites = Sites::default();
    assert!(sites.is_empty() && !sites.contains(&0) && !sites.are_in((Addr(0), Addr(u64::MAX))));
    for at in [0x5000, 0x1000, 0x3000, 0x1000, 0x9000] {
        sites.insert(at);
    }
    assert_eq!(sites.0, [0x1000, 0x3000, 0x5000, 0x9000]);
    assert!(sites.contains(&0x3000) && !sites.contains(&0x3001) && !sites.is_empty());
    for (first, last, found) in [(0x1000, 0x1000, true), (0x1001, 0x2fff, false), (0x2fff, 0x3000, true), (0x9001, u64::MAX, false), (0, 0xfff, false), (0, 0x1000, true)] {
        assert_eq!(sites.are_in((Addr(first), Addr(last))), found, "{first:#x} {last:#x}");
    }
}
