//! What of the cache went out of use lately: threads that were stopped meanwhile forget that, and keep what else they know.

use crate::guest::Addr;
use std::ops::Range;

/// So many regions are listed. Who has missed more forgets everything: looking for them one by one would take longer.
const MOST: usize = 64;

/// A region that is not there any more.
pub(super) struct Gone {
    /// Host addresses of its code.
    pub code: Range<u64>,
    /// Its entries.
    pub entries: Vec<Addr>,
}

/// The last ones, in the order in which they went.
#[derive(Default)]
pub(super) struct GoneList {
    list: Vec<Gone>,
    /// How many went before the first of the list.
    before: u64,
}

impl GoneList {
    /// Adds one.
    pub fn put(&mut self, code: Range<u64>, entries: impl Iterator<Item = Addr>) {
        if self.list.len() == MOST {
            self.clear();
        }
        self.list.push(Gone { code, entries: entries.collect() });
    }
    /// How many have gone. Who knows of so many has missed none.
    pub fn count(&self) -> u64 {
        self.before + self.list.len() as u64
    }
    /// Those after the first `known`; `None`: there were too many, or all went.
    pub fn since(&self, known: u64) -> Option<&[Gone]> {
        self.list.get(usize::try_from(known.checked_sub(self.before)?).ok()?..)
    }
    /// The list is of no use to those who do not know all of it.
    pub fn clear(&mut self) {
        // One more than there were: also who knew all of them has missed something.
        self.before += self.list.len() as u64 + 1;
        self.list.clear();
    }
}

#[test]
fn who_has_missed_too_much_is_told_so() {
    let mut all = GoneList::default();
    let put = |all: &mut GoneList, n: u64| all.put(n..n + 1, [Addr(n)].into_iter());
    let since = |all: &GoneList, known: u64| all.since(known).map(|list| list.iter().map(|g| g.code.start).collect::<Vec<_>>());
    let start = all.count();
    assert_eq!(since(&all, start), Some(vec![]));
    put(&mut all, 1);
    let one = all.count();
    put(&mut all, 2);
    assert_eq!((since(&all, start), since(&all, one)), (Some(vec![1, 2]), Some(vec![2])));
    for n in 0..MOST as u64 {
        put(&mut all, n);
    }
    assert_eq!((since(&all, start), since(&all, one)), (None, None));
    let now = all.count();
    assert_eq!(since(&all, now), Some(vec![]));
    all.clear();
    assert_eq!(since(&all, now), None);
    assert_eq!(since(&all, all.count()), Some(vec![]));
}
