//! Vector instructions on known numbers: what moves a test's constants into vector registers.

use super::a64::{Instruction, Operand};

/// A lane of a vector register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane {
    /// Its bytes.
    pub bytes: usize,
    /// Its number.
    pub index: usize,
}

/// The lane that `v1.s[2]` names.
pub fn lane(text: &str) -> Option<Lane> {
    let (_, rest) = text.split_once('.')?;
    let (letter, index) = rest.strip_suffix(']')?.split_once('[')?;
    let bytes = match letter {
        "b" => 1,
        "h" => 2,
        "s" => 4,
        "d" => 8,
        _ => return None,
    };
    Some(Lane { bytes, index: index.parse().ok()? })
}

fn bytes_of(text: &str) -> Option<usize> {
    let letter = match text.split_once('.') {
        Some((_, arrangement)) => arrangement.trim_start_matches(|c: char| c.is_ascii_digit()).chars().next()?,
        None => text.chars().next()?,
    };
    Some(match letter {
        'b' => 1,
        'h' => 2,
        's' => 4,
        'd' => 8,
        _ => 16,
    })
}

fn mask(bytes: usize) -> u128 {
    if bytes >= 16 { u128::MAX } else { (1 << (8 * bytes)) - 1 }
}

fn get(value: u128, l: Lane) -> u128 {
    value >> (8 * l.bytes * l.index) & mask(l.bytes)
}

/// The value of the destination; `args` are the operands' values, the destination's old one first. `None`: not known here.
pub fn evaluate(i: &Instruction, args: &[u128]) -> Option<u128> {
    let name = |k: usize| match i.operands.get(k) {
        Some(Operand::Vector { text, .. }) => Some(text.as_str()),
        _ => None,
    };
    let arg = |k: usize| args.get(k).copied();
    // 64-bit arrangements clear the upper half.
    let half = name(0).is_some_and(|t| ["8b", "4h", "2s", "1d"].iter().any(|a| t.ends_with(a)));
    let fit = |v: u128| if half { v & mask(8) } else { v };
    let from = |k: usize| match name(k).and_then(lane) {
        Some(l) => Some(get(arg(k)?, l)),
        None => arg(k),
    };
    match (i.mnemonic.as_str(), name(0)) {
        ("fmov", None) => Some(arg(1)? & mask(bytes_of(name(1)?)?)),
        ("fmov", Some(to)) => Some(arg(1)? & mask(bytes_of(to)?)),
        ("umov" | "mov", None) => from(1),
        ("smov", None) => {
            let l = lane(name(1)?)?;
            let shift = 128 - 8 * l.bytes as u32;
            Some(((get(arg(1)?, l) << shift) as i128 >> shift) as u64 as u128)
        }
        ("mov" | "ins", Some(to)) => match lane(to) {
            Some(l) => {
                let at = 8 * l.bytes * l.index;
                Some(arg(0)? & !(mask(l.bytes) << at) | (from(1)? & mask(l.bytes)) << at)
            }
            None => Some(fit(from(1)?)),
        },
        ("movi", Some(_)) if arg(1)? == 0 => Some(0),
        ("dup", Some(to)) => {
            let bytes = bytes_of(to)?;
            let one = from(1)? & mask(bytes);
            Some(fit((0..16 / bytes).fold(0, |all, k| all | one << (8 * bytes * k))))
        }
        ("eor", Some(_)) => Some(fit(arg(1)? ^ arg(2)?)),
        ("orr", Some(_)) => Some(fit(arg(1)? | arg(2)?)),
        ("and", Some(_)) => Some(fit(arg(1)? & arg(2)?)),
        _ => None,
    }
}

#[test]
fn lanes_move() {
    let run = |text: &str, args: &[u128]| evaluate(&super::a64::parse(text), args);
    assert_eq!(run("dup v1.4s, w0", &[0, 0x1_0000_0001]), Some(0x1_0000_0001_0000_0001_0000_0001));
    assert_eq!(run("mov v1.s[1], v2.s[0]", &[1, 7]), Some(7 << 32 | 1));
    assert_eq!(run("smov x0, v1.s[0]", &[0, 0xffff_ffff]), Some(u64::MAX as u128));
    assert_eq!(run("fmov s0, w8", &[5, 0x1_0000_0002]), Some(2));
}
