//! Links between regions: an exit's word, or the branch that leads to it, goes straight to what it leads to, until that is gone.

use super::cache::{Cache, Left, Target};
use crate::emit::{BL, patch_branch, redirect_conditional};
use crate::optimize::Opt;
use crate::translate::{ExitKind, ExitSite, Way};

/// A word that was patched to branch to a region.
#[derive(Clone, Copy)]
pub(super) struct Patched {
    pub at: u64,
    /// The word as translated: what it becomes again.
    pub original: u32,
}

/// Which words were patched to branch to one region: the last of them in [`Patches`], counted from one; 0: none.
#[derive(Clone, Copy, Default)]
pub(super) struct Incoming(u32);

/// The lists of all regions, in one vector: one of its own for each region would be a block of memory for each, and most have one or two.
#[derive(Default)]
pub(super) struct Patches {
    /// Each with the one before it in its list.
    all: Vec<(Patched, Incoming)>,
    /// Those that are in no list.
    free: Incoming,
}

impl Patches {
    /// Adds to a list.
    pub fn put(&mut self, list: &mut Incoming, patched: Patched) {
        let n = match self.free.0.checked_sub(1) {
            Some(i) => {
                self.free = self.all[i as usize].1;
                self.all[i as usize] = (patched, *list);
                i + 1
            }
            None => {
                self.all.push((patched, *list));
                self.all.len() as u32
            }
        };
        *list = Incoming(n);
    }
    /// Takes the last one of a list.
    pub fn take(&mut self, list: &mut Incoming) -> Option<Patched> {
        let place = self.all.get_mut(list.0.checked_sub(1)? as usize)?;
        let patched = place.0;
        (*list, place.1, self.free) = (place.1, self.free, *list);
        Some(patched)
    }
    /// Forgets all lists; whoever has one forgets it too.
    pub fn clear(&mut self) {
        self.all.clear();
        self.free = Incoming::default();
    }
}

/// The words of an exit that linking it changes, as they are while it is not linked. `word`: what stands at an address of its region.
#[inline]
pub(super) fn unlinked(word: impl Fn(u64) -> u32, start: u64, site: &ExitSite) -> [Option<(u64, u32)>; 2] {
    const NOP: u32 = 0xd503_201f;
    match site.kind {
        ExitKind::Direct { patch, way, .. } => {
            let at = start + u64::from(patch);
            let call = |cold: u64| Some((at, patch_branch(cold as i64 - at as i64).expect("inside one region") | BL));
            match way {
                Way::Jump { branch } => {
                    // To the exit, which begins with its own word to patch, wherever it may go now.
                    let branch = branch.map(|b| start + u64::from(b)).map(|by| (by, redirect_conditional(word(by), at as i64 - by as i64).expect("inside one region")));
                    [Some((at, NOP)), branch]
                }
                // To the cold code that the exit's return address follows: two words before it.
                Way::Call => [call(start + u64::from(site.host) - 8), None],
                // That begins with one word before the plain way on.
                Way::CallEntry { plain } => {
                    let plain = start + u64::from(plain);
                    [call(plain - 4), Some((plain, NOP))]
                }
            }
        }
        ExitKind::Changed { patch } => [Some((start + u64::from(patch), NOP)), None],
        _ => [None, None],
    }
}

/// What a word becomes by linking.
struct Link {
    at: u64,
    word: u32,
    original: u32,
}

/// What links an exit of the region at `start` to `target`. `branches`: conditional branches may be linked themselves.
#[inline]
fn way_to(word: impl Fn(u64) -> u32, start: u64, site: &ExitSite, target: &Target, branches: bool) -> Option<Link> {
    let [first, second] = unlinked(word, start, site);
    let (at, original) = first?;
    let way = if let ExitKind::Direct { way, .. } = site.kind { way } else { Way::Jump { branch: None } };
    // A BL stays one.
    let (at, to, original, call) = match (way, target.call, second) {
        (Way::Jump { .. }, _, Some((at, original))) if branches => {
            if let Some(word) = redirect_conditional(original, target.host as i64 - at as i64) {
                return Some(Link { at, word, original });
            }
            (first?.0, target.host, first?.1, 0)
        }
        (Way::CallEntry { .. }, Some(entry), _) => (at, entry, original, BL),
        (Way::CallEntry { .. }, None, Some((plain, nop))) => (plain, target.host, nop, 0),
        (Way::Call, ..) => (at, target.host, original, BL),
        _ => (at, target.host, original, 0),
    };
    Some(Link { at, word: patch_branch(to as i64 - at as i64)? | call, original })
}

impl Cache {
    /// May the conditional branch that leads to an exit be linked itself? Only while memory has one observer: such a word must not change while others may
    /// execute it (Arm ARM, B2.2.5).
    fn links_branches(&self) -> bool {
        !self.options().ordered && self.options().switches.on(Opt::BranchLinks)
    }

    /// Makes an exit branch straight to its target.
    pub fn link(&mut self, left: &Left, target: &Target) {
        if !self.options().switches.on(Opt::Links) {
            return;
        }
        let Some(link) = way_to(|at| self.arena.word(at), left.start, &left.site, target, self.links_branches()) else { return };
        // A signal may have taken it back for one turn (`engine::halt`).
        if self.arena.word(link.at) != link.word {
            self.arena.patch(link.at, link.word);
            self.note_link(&link, target);
        }
    }

    /// Links the exits of code that is going to stand at `start`, as far as they lead to what is translated already: to be told so by the exit, when it is taken,
    /// costs ten times as much.
    pub fn link_early(&mut self, start: u64, code: &mut [u8], exits: &[ExitSite]) {
        let branches = self.links_branches();
        for site in exits.iter().filter(|site| matches!(site.kind, ExitKind::Direct { .. })) {
            let Some(target) = self.lookup(site.guest).filter(|t| t.lasting) else { continue };
            let word = |at: u64| u32::from_le_bytes(*code[(at - start) as usize..].first_chunk().expect("a whole word"));
            let Some(link) = way_to(word, start, site, &target, branches) else { continue };
            let at = (link.at - start) as usize;
            code[at..at + 4].copy_from_slice(&link.word.to_le_bytes());
            self.note_link(&link, &target);
        }
    }

    /// What a link has changed is changed back when `target` goes.
    fn note_link(&mut self, link: &Link, target: &Target) {
        if let Some(region) = self.regions.numbered_mut(target.number) {
            self.patches.put(&mut region.incoming, Patched { at: link.at, original: link.original });
        }
    }

    /// Nothing branches to `target` any more. Threads may be running.
    pub fn disconnect(&mut self, target: Target) {
        let Some(region) = self.regions.numbered_mut(target.number) else { return };
        while let Some(p) = self.patches.take(&mut region.incoming) {
            self.arena.patch(p.at, p.original);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each list gives back what was put into it, and what it has given back is used again.
    #[test]
    fn lists_of_patched_words() {
        let mut all = Patches::default();
        let mut lists = [Incoming::default(); 3];
        for round in 0..3 {
            for at in 0..9u64 {
                all.put(&mut lists[at as usize % 3], Patched { at, original: at as u32 + round });
            }
            for (k, list) in lists.iter_mut().enumerate() {
                let found: Vec<_> = std::iter::from_fn(|| all.take(list)).map(|p| (p.at, p.original)).collect();
                assert_eq!(found, [6, 3, 0].map(|at| (at + k as u64, at as u32 + k as u32 + round)));
            }
        }
        assert_eq!(all.all.len(), 9);
    }
}
