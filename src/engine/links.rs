//! Links between regions: an exit's word, or the branch that leads to it, goes straight to what it leads to, until that is gone.

use super::cache::{Cache, Left, Target};
use crate::emit::{BL, patch_branch, redirect_conditional};
use crate::host::arena::Arena;
use crate::optimize::Opt;
use crate::translate::{ExitKind, ExitSite};

/// A word that was patched to branch to a region.
#[derive(Clone, Copy)]
pub(super) struct Patched {
    pub at: u64,
    /// The word as translated: what it becomes again.
    pub original: u32,
}

/// The words of an exit that linking it changes, as they are while it is not linked.
pub(super) fn unlinked(arena: &Arena, start: u64, site: &ExitSite) -> [Option<(u64, u32)>; 2] {
    const NOP: u32 = 0xd503_201f;
    match site.kind {
        ExitKind::Direct { patch, call, branch, .. } => {
            let at = start + u64::from(patch);
            let word = if call {
                // To the cold code that the exit's return address follows: two words before it.
                let cold = start + u64::from(site.host) - 8;
                patch_branch(cold as i64 - at as i64).expect("inside one region") | BL
            } else {
                NOP
            };
            // To the exit, which begins with its own word to patch, wherever it may go now.
            let branch = branch.map(u64::from).map(|b| {
                let by = start + b;
                (by, redirect_conditional(arena.word(by), at as i64 - by as i64).expect("inside one region"))
            });
            [Some((at, word)), branch]
        }
        ExitKind::Changed { patch } => [Some((start + u64::from(patch), NOP)), None],
        _ => [None, None],
    }
}

impl Cache {
    /// Makes an exit branch straight to its target.
    pub fn link(&mut self, left: &Left, target: &Target) {
        let Some(at) = left.patch else { return };
        if !self.options().switches.on(Opt::Links) || self.link_branch(left, target) {
            return;
        }
        let Some(word) = patch_branch(target.host as i64 - at as i64) else { return };
        let original = unlinked(&self.arena, left.start, &left.site)[0].expect("it has a word to patch").1;
        // A BL stays one.
        let word = if matches!(left.site.kind, ExitKind::Direct { call: true, .. }) { word | BL } else { word };
        self.set(at, word, original, target);
    }

    /// Makes the word at `at` lead to `target`.
    fn set(&mut self, at: u64, word: u32, original: u32, target: &Target) {
        // A signal may have taken it back for one turn (`engine::halt`).
        if self.arena.word(at) == word {
            return;
        }
        self.arena.patch(at, word);
        if let Some(region) = self.regions.get_mut(target.region) {
            region.incoming.push(Patched { at, original });
        }
    }

    /// The same for the conditional branch that leads to an exit, if there is one alone and it reaches. Only while memory has one observer: such a word must
    /// not change while others may execute it (Arm ARM, B2.2.5).
    fn link_branch(&mut self, left: &Left, target: &Target) -> bool {
        if self.options().ordered || !self.options().switches.on(Opt::BranchLinks) {
            return false;
        }
        let [_, Some((at, original))] = unlinked(&self.arena, left.start, &left.site) else { return false };
        let Some(word) = redirect_conditional(original, target.host as i64 - at as i64) else { return false };
        self.set(at, word, original, target);
        true
    }

    /// Nothing branches to `target` any more. Threads may be running.
    pub fn disconnect(&mut self, target: Target) {
        let incoming = self.regions.get_mut(target.region).map(|r| std::mem::take(&mut r.incoming));
        for p in incoming.into_iter().flatten() {
            self.arena.patch(p.at, p.original);
        }
    }
}
