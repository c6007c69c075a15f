//! What the cache links, and what it takes away.

use super::cache::{Cache, Fate};
use crate::decode::{CodeAt, Limits, decode_region};
use crate::emit::{Features, detour, patch_branch, stubs};
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
    put_code(cache, CodeAt(JUMP, &bytes), at)
}

fn put_code(cache: &mut Cache, code: CodeAt, at: Addr) -> (u64, u64) {
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

/// `add [rsi], rax; ret`: a load and a store, each of which is seen misaligned.
#[test]
fn misaligned_accesses_get_detours_while_their_code_is_there() {
    for on in [true, false] {
        let mut options = Options { ordered: true, features: Features::NEOVERSE_N1, ..Options::default() };
        if !on {
            options.switches = options.switches.without(Opt::BarrierDetours);
        }
        let mut cache = cache(options);
        let (from, to) = put_code(&mut cache, CodeAt(JUMP, &[0x48, 0x01, 0x06, 0xc3]), JUMP);
        let accesses: Vec<(u64, u32)> = (from..to).step_by(4).map(|at| (at, cache.arena.word(at))).filter(|(at, word)| detour(*word, *at, *at).is_some()).collect();
        assert_eq!(accesses.len(), 2);
        for &(at, word) in &accesses {
            let used = cache.arena.used();
            assert_eq!(cache.add_detour(at, JUMP), on);
            if !on {
                assert!(cache.arena.word(at) == word && cache.options().misaligned.is_empty());
                continue;
            }
            let start = (at..at + (1 << 20)).step_by(4).find(|start| patch_branch(*start as i64 - at as i64) == Some(cache.arena.word(at))).expect("a branch");
            assert_eq!([0, 4, 8].map(|k| cache.arena.word(start + k)), detour(word, at, start).expect("as before"));
            assert_eq!([0, 4, 11, 12].map(|k| cache.detours.site_of(start + k)), [at, at, at, start + 12]);
            assert_eq!(cache.detours.site_of(at), at);
            assert!(cache.arena.used() > used && cache.options().misaligned.contains(&JUMP.0));
            let used = cache.arena.used();
            assert!(cache.add_detour(at, JUMP) && cache.arena.used() == used, "it has one");
        }
        // Not where nothing could be made of it, and not in code that is gone.
        assert!(!cache.add_detour(accesses[0].0 + 4, JUMP));
        let again = put_code(&mut cache, CodeAt(BEHIND, &[0x48, 0x8b, 0x06, 0xc3]), BEHIND);
        let load = (again.0..again.1).step_by(4).find(|at| detour(cache.arena.word(*at), *at, *at).is_some()).expect("a load");
        cache.invalidate(BEHIND, 1, Fate::Forget);
        assert!(!cache.add_detour(load, BEHIND));
        cache.flush();
        assert_eq!(cache.detours.site_of(to), to);
    }
}
