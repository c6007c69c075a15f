//! Translations that compare their own bytes when they run (`translate/guard.rs`): for code on hot pages (`heat.rs`), which is not protected.
//!
//! There are several for one entry, each for other bytes, in the order in which they were made; the one that finds other bytes branches to the next, the last
//! one leaves for the engine. If nothing but immediates changed, a translation that reads them where they lie takes the place of all before.
//! They stay right wherever they are still known, so that no thread need be stopped when they go out of use.

use super::cache::{Cache, Left, Target};
use super::pages::pages_of;
use super::{Engine, GuestCode};
use crate::decode::{Ahead, CodeAt, CodeSource, Guard, Limits, Region, decode_region, soft_fields, soften};
use crate::guest::{Addr, state::GUARDS};
use crate::optimize::{Opt, liveness};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// So many contents of one entry are told apart; beyond, it is translated anew for each (`heat.rs`).
const VERSIONS: usize = 8;
/// Instructions of one translation: they are compared each time.
const INSNS: usize = 24;
/// Longest instruction.
const LONGEST: usize = 15;

/// One translation.
struct Version {
    target: Target,
    bytes: Vec<u8>,
    /// Immediates that it reads where they lie, by guest address.
    soft: Vec<Range<u64>>,
}

impl Version {
    /// Offsets at which `bytes` are not what it was made from, what it reads itself not counted.
    fn differences<'a>(&'a self, at: Addr, bytes: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        let differs = move |n: &usize| bytes.get(*n) != Some(&self.bytes[*n]);
        let offsets = (0..self.bytes.len()).filter(differs).map(move |n| at.0 + n as u64);
        offsets.filter(|byte| !self.soft.iter().any(|s| s.contains(byte)))
    }
}

/// All of them, by entry.
#[derive(Default)]
pub(super) struct Guards(FxHashMap<u64, Vec<Version>>);

impl Guards {
    /// They are out of use.
    pub fn forget(&mut self, entry: Addr) {
        self.0.remove(&entry.0);
    }
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// What comes of asking for such a translation.
pub(super) enum Guarded {
    /// It is this.
    Target(Target),
    /// There are no bytes.
    NoFetch,
    /// The bytes are others each time.
    Restless,
    /// The arena is full.
    Full,
}

/// Code behind the exits of such translations is not looked at: it may be another soon.
struct Unknown;

impl CodeSource for Unknown {
    fn read_code(&self, _: Addr, _: &mut [u8]) -> usize {
        0
    }
    fn hides(&self, _: Addr) -> bool {
        true
    }
    fn ahead(&self, _: Addr) -> Option<Ahead> {
        None
    }
}

/// Bytes to be compared: all but the soft ones.
fn guards(start: Addr, bytes: &[u8], soft: &[Range<u64>]) -> Vec<Guard> {
    let mut guards = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let left = bytes.len() - at;
        // The last piece lies over the one before where there is one: the fewest.
        let (at_piece, n) = match left {
            8.. => (at, 8),
            _ if bytes.len() >= 8 => (bytes.len() - 8, 8),
            n => (at, 1 << n.ilog2()),
        };
        let (mut is, mut mask) = (0, 0);
        for k in (0..n).filter(|k| at_piece + k >= at) {
            let byte = start.plus((at_piece + k) as u64);
            if !soft.iter().any(|s| s.contains(&byte.0)) {
                mask |= 0xff << (8 * k);
            }
            is |= u64::from(bytes[at_piece + k]) << (8 * k);
        }
        if mask != 0 {
            guards.push(Guard { at: start.plus(at_piece as u64), bytes: n as u32, is, mask });
        }
        at = at_piece + n;
    }
    guards
}

impl Cache {
    /// The translation of `rip` that holds for the bytes that are there now: one that there is, or a new one.
    pub fn guarded(&mut self, rip: Addr, pages: &'static dyn super::Pages) -> Guarded {
        if !self.options().switches.on(Opt::Guards) || !self.options().switches.on(Opt::Links) {
            return Guarded::Restless;
        }
        let mut buf = [0u8; INSNS * LONGEST];
        let have = GuestCode::new(pages, self).read_code(rip, &mut buf);
        if have == 0 {
            return Guarded::NoFetch;
        }
        let bytes = &buf[..have];
        let versions = self.guards.0.entry(rip.0).or_default();
        if let Some(version) = versions.iter().find(|v| v.differences(rip, bytes).next().is_none()) {
            return Guarded::Target(version.target);
        }
        let mut region = decode_region(&CodeAt(rip, bytes), rip, Limits { insns: INSNS, segments: 1, short: true });
        if region.insns.is_empty() {
            return Guarded::NoFetch;
        }
        let len = region.sources[0].1 as usize;
        let soft = versions.last().and_then(|last| softer(last, rip, &bytes[..len], &region));
        if soft.is_none() && versions.len() >= VERSIONS {
            return Guarded::Restless;
        }
        let (replaces, soft) = (soft.is_some(), soft.unwrap_or_default());
        soften(&mut region, |at| soft.iter().any(|s| s.start == at.0));
        region.guards = guards(rip, &bytes[..len], &soft);
        liveness(&mut region, &Unknown);
        region.sources.truncate(1);
        region.ahead.clear();
        let emitted = self.translate(&region);
        let pages = pages_of(&region.sources);
        let first = replaces || versions_of(self, rip).is_empty();
        if replaces {
            for version in std::mem::take(versions_of(self, rip)) {
                self.disconnect(version.target);
            }
        }
        let Some(target) = self.insert_guarded(region, emitted, &pages, first) else { return Guarded::Full };
        versions_of(self, rip).push(Version { target, bytes: bytes[..len].to_vec(), soft });
        Guarded::Target(target)
    }

    /// `rip` is not entered by these translations any more; they are still known.
    fn put_out(&mut self, rip: Addr) {
        let targets: Vec<Target> = self.guards.0.get(&rip.0).into_iter().flatten().map(|v| v.target).collect();
        targets.into_iter().for_each(|t| self.take_out(rip, t));
    }

    /// Where `rip` is to be entered: the first of its translations.
    fn head(&self, rip: Addr) -> Option<Target> {
        self.guards.0.get(&rip.0)?.first().map(|v| v.target)
    }
}

fn versions_of(cache: &mut Cache, rip: Addr) -> &mut Vec<Version> {
    cache.guards.0.entry(rip.0).or_default()
}

/// The immediates that a translation must read to hold for `last`'s bytes and for `bytes`; `None` if more is different.
fn softer(last: &Version, rip: Addr, bytes: &[u8], region: &Region) -> Option<Vec<Range<u64>>> {
    if last.bytes.len() != bytes.len() {
        return None;
    }
    let mut soft = last.soft.clone();
    for byte in last.differences(rip, bytes) {
        if !soft.iter().any(|s| s.contains(&byte)) {
            soft.push(soft_fields(region).find(|field| field.contains(&byte))?);
        }
    }
    Some(soft)
}

impl Engine {
    /// Code that compares itself found other bytes at `left`: where to go on.
    pub(super) fn changed(&'static self, left: &Left) -> Option<Target> {
        let rip = left.site.guest;
        let mut cache = self.cache();
        // What was taken away meanwhile this thread forgets by itself.
        if cache.generation() != left.generation {
            return None;
        }
        if !cache.is_guarded(left) {
            // Out of use: other translations count.
            drop(cache);
            return self.target(rip);
        }
        match cache.guarded(rip, self.pages) {
            Guarded::Target(target) => {
                // Always to a newer one, so that they make no ring. The first one leads there then; else this thread enters the right one itself.
                if target.host < left.at {
                    return Some(target);
                }
                cache.link(left, &target);
                cache.head(rip)
            }
            Guarded::NoFetch => {
                cache.put_out(rip);
                None
            }
            Guarded::Restless => {
                cache.put_out(rip);
                drop(cache);
                self.target(rip)
            }
            Guarded::Full => {
                drop(cache);
                self.stopped(Cache::flush);
                None
            }
        }
    }

    /// Code that compares itself has run [`GUARDS`] times on this thread: where that is no longer worth it, it goes.
    pub(super) fn counted(&self, left: &Left) {
        let mut cache = self.cache();
        let page = left.site.guest.page();
        cache.heat.entered(&[page], GUARDS as u32);
        if !cache.heat.is_hot(page) {
            cache.drop_guarded_in(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_compared_once_unless_it_is_soft() {
        for len in 1..40usize {
            let bytes: Vec<u8> = (1..=len as u8).collect();
            for soft in [0..0, 0x1003..0x1007u64] {
                let guards = guards(Addr(0x1000), &bytes, std::slice::from_ref(&soft));
                for (n, byte) in bytes.iter().enumerate() {
                    let at = 0x1000 + n as u64;
                    let seen = guards.iter().filter(|g| {
                        (g.at.0..g.at.0 + g.bytes as u64).contains(&at) && {
                            let shift = 8 * (at - g.at.0);
                            g.mask >> shift & 0xff == 0xff && (g.is >> shift) as u8 == *byte
                        }
                    });
                    assert_eq!(seen.count(), usize::from(!soft.contains(&at)), "{len} {n} {soft:?}");
                }
                assert!(guards.iter().all(|g| g.at.0 >= 0x1000 && g.at.0 + g.bytes as u64 <= 0x1000 + len as u64));
            }
        }
    }
}
