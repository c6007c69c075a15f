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
        digest(&self.placed.sources, |at, buf| code.read_code(at, buf)) == self.digest
    }
}

/// Those that sleep, by the address of their first instruction: one each.
#[derive(Default)]
pub(super) struct Asleep(FxHashMap<u64, Sleeper>);

impl Asleep {
    /// Puts a translation away; `read` fills a buffer from its sources, which are still what it was made from, as far as it can.
    pub fn put(&mut self, guest: Addr, host: u64, placed: Placed, read: impl Fn(Addr, &mut [u8]) -> usize) {
        let digest = digest(&placed.sources, read);
        self.0.insert(guest.0, Sleeper { host, placed, digest });
    }
    pub fn take(&mut self, guest: Addr) -> Option<Sleeper> {
        self.0.remove(&guest.0)
    }
    /// Forgets those that hold the byte at `at`.
    pub fn forget(&mut self, at: Addr) {
        self.0.retain(|_, sleeper| !sleeper.placed.sources.iter().any(|&(start, len)| at.0.wrapping_sub(start.0) < len));
    }
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// 128 bits that tell contents apart: each step is a bijection of what was before, so one changed word is always seen, and several cancel with
/// a chance of 2^-64 or less. `read` fills a buffer and returns how much of it; that a byte can not be read is content too.
pub(super) fn digest(sources: &[(Addr, u64)], read: impl Fn(Addr, &mut [u8]) -> usize) -> u128 {
    const FACTOR: u128 = 0xda94_2042_e4dd_58b5_9e37_79b9_7f4a_7c15;
    let mix = |sum: u128, word: u64| (sum ^ word as u128).wrapping_mul(FACTOR).rotate_left(64);
    let mut sum = 0u128;
    let mut buf = [0u8; 256];
    for &(start, len) in sources {
        let mut done = 0;
        while done < len {
            let wanted = (len - done).min(buf.len() as u64) as usize;
            let n = read(start.plus(done), &mut buf[..wanted]);
            // The last word is filled up with zeros: the length is told if it is not what was asked for.
            let end = n.next_multiple_of(8);
            buf[n..end].fill(0);
            sum = buf[..end].as_chunks::<8>().0.iter().fold(sum, |sum, word| mix(sum, u64::from_le_bytes(*word)));
            if n < wanted {
                sum = mix(sum, !(done + n as u64));
                break;
            }
            done += n as u64;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_sees_every_byte_and_holes() {
        let sources = [(Addr(3), 300), (Addr(1000), 5)];
        let of = |memory: &[u8]| {
            digest(&sources, |at, buf| {
                let from = memory.get(at.0 as usize..).unwrap_or(&[]);
                let n = from.len().min(buf.len());
                buf[..n].copy_from_slice(&from[..n]);
                n
            })
        };
        let mut memory = vec![7u8; 1005];
        let before = of(&memory);
        for at in (3..303).chain(1000..1005) {
            memory[at] ^= 0x80;
            assert_ne!(of(&memory), before, "byte {at}");
            memory[at] ^= 0x80;
        }
        memory[303] = 1;
        assert_eq!(of(&memory), before, "not a source");
        // Zeros are not the same as nothing.
        memory[1000..].fill(0);
        let zeros = of(&memory);
        for end in 0..1005 {
            assert_ne!(of(&memory[..end]), zeros, "cut at {end}");
        }
    }
}
