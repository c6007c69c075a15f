//! AArch64 instructions as text, taken apart, and what they do to known numbers.

/// An operand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A general register; 31 is the zero register.
    Gpr { n: u8, wide: bool },
    /// A number.
    Imm(i64),
    /// A vector register in any of its forms, as written.
    Vector { n: u8, text: String },
    /// `[base, ...]`
    Memory { base: u8, offset: i64, index: Option<(u8, u32)>, writes_back: bool },
    /// `lsl #3` and its like.
    Modifier { kind: String, amount: u32 },
    /// A condition.
    Word(String),
}

/// An instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// In lower case.
    pub mnemonic: String,
    /// In order.
    pub operands: Vec<Operand>,
}

fn number(text: &str) -> Option<i64> {
    let text = text.strip_prefix('#')?;
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |d| (-1, d));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()? as i64,
        None => digits.parse::<i64>().ok()?,
    };
    Some(value.wrapping_mul(sign))
}

/// The number of a general register and whether all 64 bits are meant.
fn general(text: &str) -> Option<(u8, bool)> {
    match text {
        "xzr" => return Some((31, true)),
        "wzr" => return Some((31, false)),
        _ => {}
    }
    let wide = text.starts_with('x');
    let digits = text.strip_prefix(['x', 'w'])?;
    digits.parse().ok().map(|n| (n, wide))
}

fn vector(text: &str) -> Option<u8> {
    let rest = text.trim_matches(['{', '}', ' ']).strip_prefix(['v', 'q', 'd', 's', 'h', 'b'])?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|n| *n < 32)
}

fn memory(text: &str) -> Option<Operand> {
    let writes_back = text.ends_with('!');
    let inner = text.trim_end_matches('!').strip_prefix('[')?.strip_suffix(']')?;
    let mut parts = inner.split(',').map(str::trim);
    let base = general(parts.next()?)?.0;
    let (mut offset, mut index) = (0, None);
    if let Some(second) = parts.next() {
        match number(second) {
            Some(n) => offset = n,
            None => {
                let shift = parts.next().and_then(|p| p.rsplit_once(' ')).and_then(|(_, n)| number(n)).unwrap_or(0);
                index = Some((general(second)?.0, shift as u32));
            }
        }
    }
    Some(Operand::Memory { base, offset, index, writes_back })
}

fn operand(text: &str) -> Operand {
    if let Some(value) = number(text) {
        return Operand::Imm(value);
    }
    if let Some((n, wide)) = general(text) {
        return Operand::Gpr { n, wide };
    }
    if let Some(memory) = memory(text) {
        return memory;
    }
    if let Some(n) = vector(text) {
        return Operand::Vector { n, text: text.into() };
    }
    let mut words = text.split(' ');
    let kind = words.next().unwrap_or_default();
    if ["lsl", "lsr", "asr", "ror", "uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"].contains(&kind) {
        return Operand::Modifier { kind: kind.into(), amount: words.next().and_then(number).unwrap_or(0) as u32 };
    }
    Operand::Word(text.into())
}

/// Takes an instruction apart, as capstone writes it.
pub fn parse(text: &str) -> Instruction {
    let (mnemonic, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (mut operands, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in rest.char_indices().chain([(rest.len(), ',')]) {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = rest[from..at].trim();
                if !part.is_empty() {
                    operands.push(operand(part));
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    Instruction { mnemonic: mnemonic.into(), operands }
}

/// What LDAPUR, STLUR, LDIAPP and STILP of LRCPC3 are, which disassemblers may not know.
pub fn parse_word(bits: u32, text: &str) -> Instruction {
    let (t, n) = (bits & 31, bits >> 5 & 31);
    if bits & 0x3f20_0c00 == 0x1d00_0800 {
        let wide = bits >> 22 & 2 != 0;
        let name = if wide { "q" } else { ["b", "h", "s", "d"][(bits >> 30) as usize] };
        let offset = (bits << 11) as i32 >> 23;
        let mnemonic = if bits >> 22 & 1 == 1 { "ldapur" } else { "stlur" };
        return parse(&format!("{mnemonic} {name}{t}, [x{n}, #{offset}]"));
    }
    if bits & 0xbfa0_fc00 == 0x9900_1800 {
        let mnemonic = if bits >> 22 & 1 == 1 { "ldiapp" } else { "stilp" };
        let r = if bits >> 30 & 1 == 1 { "x" } else { "w" };
        return parse(&format!("{mnemonic} {r}{t}, {r}{}, [x{n}]", bits >> 16 & 31));
    }
    parse(text)
}

/// N, Z, C, V.
pub type Flags = (bool, bool, bool, bool);

fn narrow(value: u64, wide: bool) -> u64 {
    if wide { value } else { value & 0xffff_ffff }
}

/// Applies `lsl #3` and its like.
pub fn modified(value: u64, kind: &str, amount: u32, wide: bool) -> u64 {
    let shifted = match kind {
        "lsl" => value << amount,
        "lsr" => narrow(value, wide) >> amount,
        "asr" if wide => ((value as i64) >> amount) as u64,
        "asr" => ((value as i32) >> amount) as u64,
        "ror" if wide => value.rotate_right(amount),
        "ror" => (value as u32).rotate_right(amount) as u64,
        "uxtb" => (value & 0xff) << amount,
        "uxth" => (value & 0xffff) << amount,
        "uxtw" => (value & 0xffff_ffff) << amount,
        "sxtb" => (value as i8 as u64) << amount,
        "sxth" => (value as i16 as u64) << amount,
        "sxtw" => (value as i32 as u64) << amount,
        _ => value << amount,
    };
    narrow(shifted, wide)
}

/// Does the condition hold?
pub fn holds(condition: &str, (n, z, c, v): Flags) -> Option<bool> {
    Some(match condition {
        "eq" => z,
        "ne" => !z,
        "hs" | "cs" => c,
        "lo" | "cc" => !c,
        "mi" => n,
        "pl" => !n,
        "vs" => v,
        "vc" => !v,
        "hi" => c && !z,
        "ls" => !c || z,
        "ge" => n == v,
        "lt" => n != v,
        "gt" => !z && n == v,
        "le" => z || n != v,
        "al" => true,
        _ => return None,
    })
}

fn sum(a: u64, b: u64, carry: bool, wide: bool) -> (u64, Flags) {
    let bits = if wide { 64 } else { 32 };
    let total = a as u128 + b as u128 + carry as u128;
    let result = narrow(total as u64, wide);
    let sign = |x: u64| x >> (bits - 1) & 1 == 1;
    let v = sign(a) == sign(b) && sign(result) != sign(a);
    (result, (sign(result), result == 0, total >> bits & 1 == 1, v))
}

/// The result of an arithmetic instruction on known numbers, and the flags if it sets them; `None`: not known here.
/// `old`: what the destination held.
pub fn compute(mnemonic: &str, args: &[u64], wide: bool, old: u64, carry: Option<bool>) -> Option<(u64, Option<Flags>)> {
    let arg = |k: usize| args.get(k).copied().map(|a| narrow(a, wide));
    let bits: u32 = if wide { 64 } else { 32 };
    let ones = |n: u64| if n >= 64 { u64::MAX } else { (1 << n) - 1 };
    let signed = |value: u64, n: u64| ((value << (64 - n)) as i64 >> (64 - n)) as u64;
    let logic = |r: u64| {
        let r = narrow(r, wide);
        (r, (r >> (bits - 1) & 1 == 1, r == 0, false, false))
    };
    let plain = |r: u64| Some((narrow(r, wide), None));
    match mnemonic {
        "mov" | "movz" => plain(arg(0)?),
        "movn" => plain(!arg(0)?),
        "mvn" => plain(!arg(0)?),
        "neg" => plain(0u64.wrapping_sub(arg(0)?)),
        "add" => plain(arg(0)?.wrapping_add(arg(1)?)),
        "sub" => plain(arg(0)?.wrapping_sub(arg(1)?)),
        "adds" | "cmn" => Some(sum(arg(0)?, arg(1)?, false, wide)).map(|(r, f)| (r, Some(f))),
        "subs" | "cmp" => Some(sum(arg(0)?, narrow(!arg(1)?, wide), true, wide)).map(|(r, f)| (r, Some(f))),
        "negs" => Some(sum(0, narrow(!arg(0)?, wide), true, wide)).map(|(r, f)| (r, Some(f))),
        "adc" => plain(sum(arg(0)?, arg(1)?, carry?, wide).0),
        "sbc" => plain(sum(arg(0)?, narrow(!arg(1)?, wide), carry?, wide).0),
        "and" => plain(arg(0)? & arg(1)?),
        "bic" => plain(arg(0)? & !arg(1)?),
        "orr" => plain(arg(0)? | arg(1)?),
        "orn" => plain(arg(0)? | !arg(1)?),
        "eor" => plain(arg(0)? ^ arg(1)?),
        "eon" => plain(arg(0)? ^ !arg(1)?),
        "ands" | "tst" => Some(logic(arg(0)? & arg(1)?)).map(|(r, f)| (r, Some(f))),
        "bics" => Some(logic(arg(0)? & !arg(1)?)).map(|(r, f)| (r, Some(f))),
        "lsl" => plain(modified(arg(0)?, "lsl", arg(1)? as u32 % bits, wide)),
        "lsr" => plain(modified(arg(0)?, "lsr", arg(1)? as u32 % bits, wide)),
        "asr" => plain(modified(arg(0)?, "asr", arg(1)? as u32 % bits, wide)),
        "ror" => plain(modified(arg(0)?, "ror", arg(1)? as u32 % bits, wide)),
        "ubfx" => plain(arg(0)? >> arg(1)? & ones(arg(2)?)),
        "sbfx" => plain(signed(arg(0)? >> arg(1)?, arg(2)?)),
        "ubfiz" => plain((arg(0)? & ones(arg(2)?)) << arg(1)?),
        "bfi" => plain(old & !(ones(arg(2)?) << arg(1)?) | (arg(0)? & ones(arg(2)?)) << arg(1)?),
        "bfxil" => plain(old & !ones(arg(2)?) | arg(0)? >> arg(1)? & ones(arg(2)?)),
        "uxtb" => plain(arg(0)? & 0xff),
        "uxth" => plain(arg(0)? & 0xffff),
        "sxtb" => plain(arg(0)? as i8 as u64),
        "sxth" => plain(arg(0)? as i16 as u64),
        "sxtw" => plain(arg(0)? as i32 as u64),
        "mul" => plain(arg(0)?.wrapping_mul(arg(1)?)),
        "clz" => plain(if wide { arg(0)?.leading_zeros() } else { (arg(0)? as u32).leading_zeros() } as u64),
        "rev" if wide => plain(arg(0)?.swap_bytes()),
        "rev" => plain((arg(0)? as u32).swap_bytes() as u64),
        _ => None,
    }
}

#[test]
fn instructions_are_taken_apart() {
    let gpr = |n, wide| Operand::Gpr { n, wide };
    let i = parse("ldp x1, x2, [x14, #-0x10]!");
    assert_eq!(i.operands, [gpr(1, true), gpr(2, true), Operand::Memory { base: 14, offset: -16, index: None, writes_back: true }]);
    let i = parse("and x0, x0, x0, asr #63");
    assert_eq!(i.operands[3], Operand::Modifier { kind: "asr".into(), amount: 63 });
    let i = parse("ldr w8, [x14, x11, lsl #2]");
    assert_eq!(i.operands[1], Operand::Memory { base: 14, offset: 0, index: Some((11, 2)), writes_back: false });
    // LDAPUR D1, [X2, #-8]; STLUR Q3, [X4]; LDIAPP X1, X2, [X3].
    assert_eq!(parse_word(0xdd5f_8841, "?"), parse("ldapur d1, [x2, #-8]"));
    assert_eq!(parse_word(0x1d80_0883, "?"), parse("stlur q3, [x4, #0]"));
    assert_eq!(parse_word(0xd942_1861, "?"), parse("ldiapp x1, x2, [x3]"));
}

#[test]
fn numbers_are_computed() {
    assert_eq!(compute("subs", &[1, 2], false, 0, None), Some((0xffff_ffff, Some((true, false, false, false)))));
    assert_eq!(compute("adds", &[u64::MAX, 1], true, 0, None), Some((0, Some((false, true, true, false)))));
    assert_eq!(compute("bfi", &[0xff, 8, 4], true, 0x1234, None), Some((0x1f34, None)));
    assert_eq!(compute("sbfx", &[0x80, 0, 8], true, 0, None), Some((0xffff_ffff_ffff_ff80, None)));
}
