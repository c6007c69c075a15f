//! What the cache links, and what it takes away.

use super::cache::{Cache, Fate};
use crate::decode::{CodeAt, Limits, decode_region};
use crate::emit::{patch_branch, stubs};
use crate::guest::Addr;
use crate::host::arena::Arena;
use crate::optimize::{Opt, liveness};
use crate::translate::Options;

/// A jump to [`TARGET`], with a return behind it.
const JUMP: Addr = Addr(0x1000);
const BEHIND: Addr = Addr(0x1005);
/// On a page of its own: a return.
const TARGET: Addr = Addr(0x2000);

fn cache(options: Options) -> Cache {
    let stubs = stubs::assemble(options.features, true, true);
    Cache::new(Arena::new(1 << 20, &stubs).expect("memory"), options)
}

/// Translates what is at `at`; where its code begins and ends.
fn put(cache: &mut Cache, at: Addr) -> (u64, u64) {
    let mut bytes = [0xc3; 0x1001];
    bytes[..5].copy_from_slice(&[0xe9, 0xfb, 0x0f, 0, 0]);
    let code = CodeAt(JUMP, &bytes);
    let mut region = decode_region(&code, at, Limits { insns: 8, segments: 1, short: true });
    liveness(&mut region, &code);
    let emitted = cache.translate(&region);
    let len = emitted.code.len() as u64;
    let start = cache.insert(Box::new(region), emitted, &[at.page()]).expect("room").region;
    (start, start + len)
}

/// Does a branch of `from` lead to `to`?
fn leads(cache: &Cache, from: (u64, u64), to: u64) -> bool {
    (from.0..from.1).step_by(4).any(|at| patch_branch(to as i64 - at as i64) == Some(cache.arena.word(at)))
}

#[test]
fn exits_to_what_is_there_are_linked_and_those_links_taken_back() {
    for early in [true, false] {
        let mut options = Options::default();
        if !early {
            options.switches = options.switches.without(Opt::EarlyLinks);
        }
        let mut cache = cache(options);
        put(&mut cache, TARGET);
        let target = cache.lookup(TARGET).expect("just made").host;
        let jump = put(&mut cache, JUMP);
        assert_eq!(leads(&cache, jump, target), early);
        cache.invalidate(TARGET, 1, Fate::Forget);
        assert!(!leads(&cache, jump, target) && cache.lookup(JUMP).is_some() && cache.lookup(TARGET).is_none());
    }
}

/// Node's start learns of some 550 misaligned accesses: with each all code of its page was translated again.
#[test]
fn an_instruction_that_is_learned_of_takes_away_only_what_holds_it() {
    let mut cache = cache(Options::default());
    let (known, here) = (cache.gone.count(), JUMP.plus(4));
    let jump = put(&mut cache, JUMP);
    put(&mut cache, BEHIND);
    put(&mut cache, TARGET);
    cache.learn(here, |options| &mut options.misaligned);
    assert!(cache.options().misaligned.contains(&here.0));
    assert!(cache.lookup(JUMP).is_none() && cache.lookup(BEHIND).is_some() && cache.lookup(TARGET).is_some());
    let gone: Vec<_> = cache.gone.since(known).expect("few").iter().map(|g| (g.code.clone(), g.entries.clone())).collect();
    assert_eq!(gone, [(jump.0..jump.1, vec![JUMP])]);
    // Its page is as it was, and what comes back can go again.
    assert!(cache.touches(BEHIND, 1));
    put(&mut cache, JUMP);
    cache.invalidate(JUMP, 1, Fate::Forget);
    assert!(cache.lookup(JUMP).is_none() && cache.lookup(BEHIND).is_none() && cache.lookup(TARGET).is_some());
    assert_eq!(cache.gone.since(known).map(<[_]>::len), Some(3));
    cache.flush();
    assert!(cache.gone.since(known).is_none());
}
