//! Translation is total: whatever the bytes, it ends, and never panics.

use super::{Options, translate};
use crate::decode::{CodeAt, Limits, decode_region};
use crate::emit::Features;
use crate::guest::Addr;
use crate::optimize::liveness;

const BASE: u64 = 0x40_0000;

/// Returns the number of instructions translated.
fn run(bytes: Vec<u8>, options: &Options) -> usize {
    let source = CodeAt(Addr(BASE), &bytes);
    let mut region = decode_region(&source, Addr(BASE), Limits::default());
    liveness(&mut region, &source);
    translate(&region, options);
    region.insns.len()
}

fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn random_bytes() {
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let options = [
        Options { features: Features::NEOVERSE_N1, ..Options::default() },
        Options { features: Features::parse("lse,lrcpc,lrcpc2,lse2,flagm,flagm2,afp,frintts").expect("known names"), ordered: true, strict_align: true, ..Options::default() },
    ];
    // Prefixes and maps, so that vector instructions come up as often as integer ones.
    let heads: [&[u8]; 12] = [&[], &[0x0f], &[0x66, 0x0f], &[0xf2, 0x0f], &[0xf3, 0x0f], &[0x0f, 0x38], &[0x66, 0x0f, 0x38], &[0x0f, 0x3a], &[0x66, 0x0f, 0x3a], &[0x66, 0x48, 0x0f], &[0xc5], &[0xc4]];
    let (mut round, mut insns) = (0, 0);
    while insns < 200_000 {
        round += 1;
        let mut bytes = Vec::with_capacity(300);
        while bytes.len() < 260 {
            bytes.extend(heads[next(&mut seed) as usize % heads.len()]);
            let tail = next(&mut seed).to_le_bytes();
            bytes.extend(&tail[..(next(&mut seed) % 8) as usize]);
        }
        insns += run(bytes, &options[round & 1]);
    }
}
