//! Translations that were taken out of use before their source was touched, and what the source was. A page of generated code holds many
//! functions and changes often; most of them are still what they were when they run next, and need not be translated again.

use super::cache::Placed;
use crate::decode::CodeSource;
use crate::guest::Addr;
use rustc_hash::FxHashMap;

/// A translation that sleeps.
pub(super) struct Sleeper {
    /// Where its code lies.
    pub host: u64,
    pub placed: Placed,
    /// [`digest`] of its sources.
    digest: u128,
}

impl Sleeper {
    /// Are its sources, as `code` reads them, what they were?
    pub fn is_current(&self, code: &dyn CodeSource) -> bool {
        digest(&self.placed.sources, |at, buf| code.read_code(at, buf) == buf.len()) == Some(self.digest)
    }
}

/// Those that sleep, by the address of their first instruction: one each.
#[derive(Default)]
pub(super) struct Asleep(FxHashMap<u64, Sleeper>);

impl Asleep {
    /// Puts a translation away; `read` fills a buffer from its sources, which are still what it was made from. If it can not, the translation is lost.
    pub fn put(&mut self, guest: Addr, host: u64, placed: Placed, read: impl Fn(Addr, &mut [u8]) -> bool) {
        if let Some(digest) = digest(&placed.sources, read) {
            self.0.insert(guest.0, Sleeper { host, placed, digest });
        }
    }
    pub fn take(&mut self, guest: Addr) -> Option<Sleeper> {
        self.0.remove(&guest.0)
    }
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// 128 bits that tell contents apart: each step is a bijection of what was before, so one changed word is always seen, and several cancel with
/// a chance of 2^-64 or less. None if a byte can not be read.
pub(super) fn digest(sources: &[(Addr, u64)], read: impl Fn(Addr, &mut [u8]) -> bool) -> Option<u128> {
    const FACTOR: u128 = 0xda94_2042_e4dd_58b5_9e37_79b9_7f4a_7c15;
    let mut sum = 0u128;
    let mut buf = [0u8; 256];
    for &(start, len) in sources {
        let mut done = 0;
        while done < len {
            let n = (len - done).min(buf.len() as u64) as usize;
            let (part, rest) = buf.split_at_mut(n);
            if !read(start.plus(done), part) {
                return None;
            }
            // The last word is filled up with zeros: lengths are the same on both sides.
            let fill = (n.next_multiple_of(8) - n).min(rest.len());
            rest[..fill].fill(0);
            for word in buf[..n + fill].as_chunks::<8>().0 {
                sum = (sum ^ u64::from_le_bytes(*word) as u128).wrapping_mul(FACTOR).rotate_left(64);
            }
            done += n as u64;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_sees_every_byte_and_stops_at_a_hole() {
        let sources = [(Addr(3), 300), (Addr(1000), 5)];
        let of = |memory: &[u8]| {
            digest(&sources, |at, buf| {
                let Some(from) = memory.get(at.0 as usize..at.0 as usize + buf.len()) else { return false };
                buf.copy_from_slice(from);
                true
            })
        };
        let mut memory = vec![7u8; 1005];
        let before = of(&memory).unwrap();
        for at in (3..303).chain(1000..1005) {
            memory[at] ^= 0x80;
            assert_ne!(of(&memory), Some(before), "byte {at}");
            memory[at] ^= 0x80;
        }
        memory[303] = 1;
        assert_eq!(of(&memory), Some(before), "not a source");
        assert_eq!(of(&memory[..1004]), None);
    }
}
