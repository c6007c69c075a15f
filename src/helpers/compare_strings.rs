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

/// One operand: elements as signed or unsigned numbers, and how many of them are valid.
struct Text {
    element: [i32; 16],
    length: usize,
}

fn elements(v: u128, format: u64) -> ([i32; 16], usize) {
    let n = if format & 1 == 0 { 16 } else { 8 };
    let element = std::array::from_fn(|i| match format & 3 {
        0 => (v >> (8 * i)) as u8 as i32,
        1 if i < n => (v >> (16 * i)) as u16 as i32,
        2 => (v >> (8 * i)) as i8 as i32,
        3 if i < n => (v >> (16 * i)) as i16 as i32,
        _ => 0,
    });
    (element, n)
}

fn text(v: u128, control: u64, register: u64) -> Text {
    let (element, n) = elements(v, control);
    let length = if control & EXPLICIT == 0 {
        element[..n].iter().position(|&e| e == 0).unwrap_or(n)
    } else if control & WIDE != 0 {
        (register as i64).unsigned_abs().min(n as u64) as usize
    } else {
        (register as i32).unsigned_abs().min(n as u32) as usize
    };
    Text { element, length }
}

/// IntRes2: what the aggregation and polarity of `control` make of a and b.
fn compare(a: &Text, b: &Text, control: u64) -> u32 {
    let n = if control & 1 == 0 { 16 } else { 8 };
    let (la, lb) = (a.length, b.length);
    let any = |j: usize| j < lb && a.element[..la].contains(&b.element[j]);
    let in_range = |j: usize| j < lb && a.element[..la].chunks_exact(2).any(|r| r[0] <= b.element[j] && b.element[j] <= r[1]);
    let each = |j: usize| if j < la && j < lb { a.element[j] == b.element[j] } else { j >= la && j >= lb };
    let ordered = |j: usize| (0..la.min(n - j)).all(|i| j + i < lb && a.element[i] == b.element[j + i]);
    let bits = (0..n).fold(0u32, |r, j| {
        let one = match control >> 2 & 3 {
            0 => any(j),
            1 => in_range(j),
            2 => each(j),
            _ => ordered(j),
        };
        r | (one as u32) << j
    });
    let all = (1u32 << n) - 1;
    match control >> 4 & 3 {
        1 => bits ^ all,
        3 => bits ^ ((1u32 << lb) - 1),
        _ => bits,
    }
}

/// Control: the constant of the instruction and the bits above.
pub fn run(s: &mut CpuState, control: u64, _: u64, _: u64) -> u64 {
    let pair = |low: u64, high: u64| low as u128 | (high as u128) << 64;
    let [a0, a1, b0, b1, ..] = s.scratch;
    let a = text(pair(a0, a1), control, s.get(Gpr::Rax));
    let b = text(pair(b0, b1), control, s.get(Gpr::Rdx));
    let n = if control & 1 == 0 { 16 } else { 8 };
    let bits = compare(&a, &b, control);
    let high = control >> 6 & 1 != 0;
    if control & MASK != 0 {
        let lane = 128 / n as u32;
        let ones = (1u128 << lane) - 1;
        let mask = if high { (0..n as u32).filter(|i| bits >> i & 1 != 0).fold(0, |m, i| m | ones << (lane * i)) } else { bits as u128 };
        s.xmm[0] = [mask as u64, (mask >> 64) as u64];
    } else {
        let index = match (bits, high) {
            (0, _) => n as u32,
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
