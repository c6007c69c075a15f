//! PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (Intel SDM vol. 2, 4.1). Operands in `scratch[0..2]` and `scratch[2..4]`; results go straight to
//! RCX or XMM0 and the flags.

use crate::guest::rflags::{CF, OF, SF, STATUS, ZF};
use crate::guest::{CpuState, Gpr};

/// Lengths are in RAX and RDX, else strings end at a zero.
pub const EXPLICIT: u64 = 1 << 8;
/// Lengths are 64 bits wide.
pub const WIDE: u64 = 1 << 9;
/// The result is a mask in XMM0, else an index in ECX.
pub const MASK: u64 = 1 << 10;

/// One operand, how many of its elements are valid, and how they are read: 8-bit elements, or 16-bit ones.
struct Text {
    value: u128,
    length: u32,
}

/// Whether elements are 16 bits wide.
fn words(control: u64) -> bool {
    control & 1 != 0
}

/// How many elements an operand has.
fn count(control: u64) -> u32 {
    if words(control) { 8 } else { 16 }
}

/// A bit for each element of `v` that is zero, without a loop: most strings end at one.
fn zeros(v: u128, words: bool) -> u32 {
    let half = |x: u64| {
        // No carry leaves an element: the sums are below its highest bit's double.
        let low = if words { 0x7fff * 0x0001_0001_0001_0001 } else { 0x7f * 0x0101_0101_0101_0101u64 };
        let zero = !(((x & low) + low) | x | low);
        if words {
            let z = zero >> 15;
            (z | z >> 15 | z >> 30 | z >> 45) as u32 & 0xf
        } else {
            ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
        }
    };
    half(v as u64) | half((v >> 64) as u64) << if words { 4 } else { 8 }
}

/// Element `i`, without a sign.
fn element(v: u128, i: u32, words: bool) -> u64 {
    if words { (v >> (16 * i)) as u16 as u64 } else { (v >> (8 * i)) as u8 as u64 }
}

/// A bit for each element of `v` that equals element `i` of `a`.
fn equal(v: u128, a: u128, i: u32, words: bool) -> u32 {
    let all = element(a, i, words) * if words { 0x0001_0001_0001_0001 } else { 0x0101_0101_0101_0101 };
    zeros(v ^ (all as u128 | (all as u128) << 64), words)
}

fn text(value: u128, control: u64, register: u64) -> Text {
    let n = count(control);
    let length = if control & EXPLICIT == 0 {
        zeros(value, words(control)).trailing_zeros().min(n)
    } else if control & WIDE != 0 {
        (register as i64).unsigned_abs().min(n as u64) as u32
    } else {
        (register as i32).unsigned_abs().min(n)
    };
    Text { value, length }
}

/// A bit for each element of b between two neighbours in a.
fn in_ranges(a: &Text, b: &Text, control: u64) -> u32 {
    let words = words(control);
    let signed = control & 2 != 0;
    let number = |v: u128, i: u32| match (element(v, i, words), signed) {
        (e, false) => e as i32,
        (e, true) if words => e as i16 as i32,
        (e, true) => e as i8 as i32,
    };
    let within = |j: u32| (0..a.length / 2).any(|i| (number(a.value, 2 * i)..=number(a.value, 2 * i + 1)).contains(&number(b.value, j)));
    (0..b.length).fold(0, |bits, j| bits | (within(j) as u32) << j)
}

/// IntRes2: what the aggregation and polarity of `control` make of a and b.
fn compare(a: &Text, b: &Text, control: u64) -> u32 {
    let words = words(control);
    let all = (1u32 << count(control)) - 1;
    let below = |length: u32| (1u32 << length) - 1;
    let bits = match control >> 2 & 3 {
        // Any of a.
        0 => (0..a.length).fold(0, |bits, i| bits | equal(b.value, a.value, i, words)) & below(b.length),
        1 => in_ranges(a, b, control),
        // Each with its own; beyond both ends there is equality.
        2 => zeros(a.value ^ b.value, words) & below(a.length.min(b.length)) | all & !below(a.length.max(b.length)),
        // All of a from here on, as far as there is something.
        _ => (0..a.length).fold(all, |bits, i| bits & ((equal(b.value, a.value, i, words) & below(b.length)) >> i | !(all >> i))),
    };
    match control >> 4 & 3 {
        1 => bits ^ all,
        3 => bits ^ below(b.length),
        _ => bits,
    }
}

/// Control: the constant of the instruction and the bits above.
pub fn run(s: &mut CpuState, control: u64, _: u64, _: u64) -> u64 {
    let pair = |low: u64, high: u64| low as u128 | (high as u128) << 64;
    let [a0, a1, b0, b1, ..] = s.scratch;
    let a = text(pair(a0, a1), control, s.get(Gpr::Rax));
    let b = text(pair(b0, b1), control, s.get(Gpr::Rdx));
    let n = count(control);
    let bits = compare(&a, &b, control);
    let high = control >> 6 & 1 != 0;
    if control & MASK != 0 {
        let lane = 128 / n;
        let ones = (1u128 << lane) - 1;
        let mask = if high { (0..n).filter(|i| bits >> i & 1 != 0).fold(0, |m, i| m | ones << (lane * i)) } else { bits as u128 };
        s.xmm[0] = [mask as u64, (mask >> 64) as u64];
    } else {
        let index = match (bits, high) {
            (0, _) => n,
            (_, false) => bits.trailing_zeros(),
            (_, true) => 31 - bits.leading_zeros(),
        };
        s.set(Gpr::Rcx, index as u64);
    }
    let flag = |on: bool, f: u64| if on { f } else { 0 };
    let flags = flag(bits != 0, CF) | flag(b.length < n, ZF) | flag(a.length < n, SF) | flag(bits & 1 != 0, OF);
    s.set_rflags(s.rflags() & !STATUS | flags);
    0
}
