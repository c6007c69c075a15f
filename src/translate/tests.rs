//! Every encoding translates: to code or to #UD, never to a panic.

use super::{Options, table, translate};
use crate::decode::{CodeAt, Limits, decode_one, decode_region};
use crate::emit::Features;
use crate::guest::Addr;
use crate::optimize::liveness;

pub const BASE: u64 = 0x40_1000;

fn options() -> [Options; 4] {
    let all = Features::parse("lse,lrcpc,lrcpc2,lse2,flagm,flagm2,afp,frintts,aes,pmull,sha1,sha256,crc32").expect("features");
    let of = |features, ordered| Options { features, ordered, ..Options::default() };
    let mut misaligned = of(Features::NEOVERSE_N1, true);
    misaligned.misaligned.insert(BASE);
    [of(Features::NONE, false), of(Features::NONE, true), of(all, true), misaligned]
}

fn check(bytes: &[u8], options: &Options) {
    let source = CodeAt(Addr(BASE), bytes);
    let mut region = decode_region(&source, Addr(BASE), Limits::default());
    liveness(&mut region, &source);
    let result = std::panic::catch_unwind(|| translate(&region, options));
    assert!(result.is_ok(), "{bytes:02x?}");
}

/// What is not offered without AVX state or XSAVE raises #UD; BMI's VEX encodings do not need it.
#[test]
fn masked_state_raises() {
    let undefined = |bytes: &[u8], xcr0: u64| {
        let region = decode_region(&CodeAt(Addr(BASE), bytes), Addr(BASE), Limits { insns: 1, segments: 1, short: false });
        let emitted = translate(&region, &Options { xcr0, ..Options::default() });
        // The instruction is an exit and nothing else: it is left by the third word behind its entry.
        emitted.exits.first().is_some_and(|e| e.kind == super::ExitKind::Exception && e.host == emitted.entries[0].host + 12)
    };
    let (vaddps, xsave, xgetbv, andn): (&[u8], &[u8], &[u8], &[u8]) =
        (&[0xc5, 0xec, 0x58, 0xc1], &[0x0f, 0xae, 0x20], &[0x0f, 0x01, 0xd0], &[0xc4, 0xe2, 0x60, 0xf2, 0xc1]);
    for (bytes, at) in [(vaddps, [7, 3, 0]), (xsave, [7, 3, 0]), (xgetbv, [7, 3, 0]), (andn, [7, 3, 0])] {
        let got = at.map(|xcr0| undefined(bytes, xcr0));
        let avx = bytes == vaddps;
        assert_eq!(got, if bytes == andn { [false; 3] } else { [false, avx, true] }, "{bytes:02x?}");
    }
}

/// A sequence of numbers that is the same in every run.
pub struct Random(pub u64);

impl Random {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// All opcodes of the four maps, legacy and VEX, with prefixes and a choice of operands: each encoding to `f`, with bytes behind it.
pub fn encodings(mut f: impl FnMut(&[u8])) {
    let prefixes: [&[u8]; 10] = [&[], &[0x66], &[0xf2], &[0xf3], &[0xf0], &[0x48], &[0x67], &[0x64], &[0x66, 0xf2], &[0xf3, 0x48]];
    let maps: [&[u8]; 4] = [&[], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]];
    // Registers in every group, AH and so on, and memory operands of every kind.
    let operands = [0xc0, 0xc8, 0xd1, 0xda, 0xe3, 0xec, 0xf5, 0xfe, 0x00, 0x09, 0x10, 0x18, 0x25, 0x2c, 0x72, 0xbb, 0x04, 0x0d, 0x14, 0x1c, 0x24, 0x2d, 0x34, 0x3c];
    let mut try_one = |head: &[u8]| {
        for modrm in operands {
            let mut bytes = head.to_vec();
            bytes.extend([modrm, 0x5c, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
            f(&bytes);
        }
    };
    for opcode in 0..=255u8 {
        for (m, map) in maps.iter().enumerate() {
            for prefix in prefixes {
                try_one(&[prefix, map, &[opcode]].concat());
            }
            for pp in 0..4 {
                for w in [0, 0x80] {
                    for l in [0, 4] {
                        for v in [0x78, 0x40] {
                            try_one(&[0xc4, 0xe0 | m as u8, w | v | l | pp, opcode]);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_opcode_translates() {
    let options = options();
    let mut k = 0;
    encodings(|bytes| {
        // Only what a family handles: #UD is alike for all.
        if decode_one(bytes, Addr(BASE)).is_some_and(|i| table::handler(&i).is_some()) {
            k += 1;
            check(bytes, &options[k % options.len()]);
        }
    });
}

/// Random code: many instructions in a region, with flags live and dead.
#[test]
fn random_code_translates() {
    let mut r = Random(0x9e37_79b9_7f4a_7c15);
    let options = options();
    for k in 0..40_000 {
        let mut bytes = [0u8; 48];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&r.next().to_le_bytes());
        }
        check(&bytes, &options[k % options.len()]);
    }
}
