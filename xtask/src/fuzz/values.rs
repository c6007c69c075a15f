//! Values biased to the edges where semantics break.

use super::random::Random;
use iced_x86::{Code, MemorySize};

/// What a value is taken as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Int,
    F16,
    F32,
    F64,
    F80,
    Bcd,
}

/// An integer; meant to be cut to any width.
pub fn int(r: &mut Random) -> u64 {
    const EDGES: [u64; 30] = [
        0,
        1,
        2,
        3,
        7,
        8,
        15,
        16,
        31,
        32,
        63,
        64,
        0x7f,
        0x80,
        0xff,
        0x100,
        0x7fff,
        0x8000,
        0xffff,
        0x1_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        i64::MAX as u64,
        i64::MIN as u64,
        u64::MAX,
        u64::MAX - 1,
        0x8080_8080_8080_8080,
        0x8000_8000_8000_8000,
    ];
    match r.below(8) {
        0..=2 => r.pick(&EDGES),
        3 => r.pick(&EDGES).wrapping_neg(),
        4 => r.next() >> r.below(64),
        5 => ((r.next() as i64) >> r.below(64)) as u64,
        _ => r.next(),
    }
}

/// A number that fits 32 bits as `f32`.
pub fn f32(r: &mut Random) -> u32 {
    const EDGES: [u32; 28] = [
        0,
        0x3f80_0000,
        0x4000_0000,
        0x3f00_0000,
        0x3fc0_0000,
        0x4020_0000,
        0x7f80_0000,
        0x7fc0_0000,
        0x7fc1_2345,
        0x7f80_0001,
        0x7fa0_0000,
        0x7fbf_ffff,
        0x7fff_ffff,
        1,
        0x0000_0fff,
        0x007f_ffff,
        0x0080_0000,
        0x0080_0001,
        0x7f7f_ffff,
        0x4eff_ffff,
        0x4f00_0000,
        0x4f00_0001,
        0x4f80_0000,
        0x5eff_ffff,
        0x5f00_0000,
        0x5f80_0000,
        0x4b00_0001,
        0x3eff_ffff,
    ];
    let sign = (r.next() as u32) & 0x8000_0000;
    match r.below(8) {
        0..=3 => r.pick(&EDGES) | sign,
        4 => (((127 - 4 + r.below(40) as u32) << 23) | (r.next() as u32 & 0x007f_ffff)) | sign,
        5 => (r.below(200) as f32 / 2.0).to_bits() | sign,
        6 => (((120 + r.below(16) as u32) << 23) | (r.next() as u32 & 0x007f_0000)) | sign,
        _ => r.next() as u32,
    }
}

/// A number as `f64`.
pub fn f64(r: &mut Random) -> u64 {
    const EDGES: [u64; 30] = [
        0,
        0x3ff0_0000_0000_0000,
        0x4000_0000_0000_0000,
        0x3fe0_0000_0000_0000,
        0x3ff8_0000_0000_0000,
        0x4004_0000_0000_0000,
        0x7ff0_0000_0000_0000,
        0x7ff8_0000_0000_0000,
        0x7ff8_1234_5678_9abc,
        0x7ff0_0000_0000_0001,
        0x7ff4_0000_0000_0000,
        0x7ff7_ffff_ffff_ffff,
        0x7fff_ffff_ffff_ffff,
        1,
        0x000f_ffff_ffff_ffff,
        0x0010_0000_0000_0000,
        0x0010_0000_0000_0001,
        0x7fef_ffff_ffff_ffff,
        0x41df_ffff_ffc0_0000,
        0x41e0_0000_0000_0000,
        0x41df_ffff_ffe0_0000,
        0x41ef_ffff_ffe0_0000,
        0x43df_ffff_ffff_ffff,
        0x43e0_0000_0000_0000,
        0x43f0_0000_0000_0000,
        0x47ef_ffff_e000_0000,
        0x47ef_ffff_f000_0000,
        0x3810_0000_0000_0000,
        0x380f_ffff_ffff_ffff,
        0x36a0_0000_0000_0000,
    ];
    let sign = r.next() & (1 << 63);
    match r.below(8) {
        0..=3 => r.pick(&EDGES) | sign,
        4 => ((1023 - 4 + r.below(80)) << 52) | (r.next() >> 12) | sign,
        5 => (r.below(200) as f64 / 2.0).to_bits() | sign,
        6 => ((1010 + r.below(26)) << 52) | (r.next() >> 12 & 0xf_ffff_0000_0000) | sign,
        _ => r.next(),
    }
}

/// An 80-bit number, unsupported encodings among them.
pub fn f80(r: &mut Random) -> [u8; 10] {
    const J: u64 = 1 << 63;
    let sign = (r.next() as u16) & 0x8000;
    let (exponent, mantissa) = match r.below(12) {
        0 => (0, 0),
        1 => (0x3fff, r.pick(&[J, J | J >> 1, J | J >> 2, J | 1, u64::MAX])),
        2 => (0x7fff, r.pick(&[J, J | J >> 1, J | J >> 1 | 0x1234, J | 1, J | J >> 2, u64::MAX])),
        3 => (0, r.next() >> r.below(64)),
        4 => (r.below(0x8000) as u16, J | r.next()),
        5 => (r.pick(&[1, 0x7ffe, 0x43fe, 0x43ff, 0x3c00, 0x3c01, 0x3bcd, 0x407e, 0x407f, 0x3f81, 0x3f80, 0x3f6a]), J | r.next()),
        6 => (0x3fff + r.below(70) as u16, J | r.next()),
        7 => (0x3fff + r.below(66) as u16, (J | r.next()) & !0u64 << r.below(64)),
        8 => (0x3fff - r.below(70) as u16, J | r.next()),
        9 if r.one_in(2) => (r.below(0x8000) as u16, r.next()),
        _ => return from_f64((r.below(400) as f64 / 4.0).to_bits() | r.next() & J),
    };
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&mantissa.to_le_bytes());
    bytes[8..].copy_from_slice(&(exponent | sign).to_le_bytes());
    bytes
}

fn from_f64(bits: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    let exponent = (bits >> 52 & 0x7ff) as u16;
    if exponent != 0 {
        bytes[..8].copy_from_slice(&(1 << 63 | bits << 11).to_le_bytes());
        bytes[8..].copy_from_slice(&((exponent + 0x3fff - 1023) | (bits >> 48) as u16 & 0x8000).to_le_bytes());
    }
    bytes
}

/// What the lanes of vector operands hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lanes {
    /// What a lane is taken as.
    pub kind: Kind,
    /// Bytes of a lane, if the form says so.
    pub bytes: Option<usize>,
}

impl Lanes {
    /// Lanes of a form's vector operands: by its memory operand, else by its name.
    pub fn of(code: Code) -> Self {
        Self::element(code.op_code().memory_size()).unwrap_or_else(|| Lanes { kind: named(code), bytes: None })
    }

    /// Lanes of a memory operand, where its size tells them.
    pub fn element(size: MemorySize) -> Option<Self> {
        use MemorySize::*;
        let element = size.element_type();
        let kind = match element {
            Float16 => Kind::F16,
            Float32 => Kind::F32,
            Float64 => Kind::F64,
            Float80 => Kind::F80,
            Bcd => Kind::Bcd,
            Int8 | UInt8 | Int16 | UInt16 | Int32 | UInt32 | Int64 | UInt64 => Kind::Int,
            _ => return None,
        };
        Some(Lanes { kind, bytes: Some(element.size()) })
    }
}

/// What lanes hold, by the mnemonic.
fn named(code: Code) -> Kind {
    let name = format!("{:?}", code.mnemonic()).to_lowercase();
    let name = name.strip_prefix('v').unwrap_or(&name);
    let has = |list: &[&str]| list.iter().any(|s| name.contains(s));
    match () {
        _ if has(&["ph2"]) => Kind::F16,
        _ if has(&["ps2", "ss2"]) => Kind::F32,
        _ if has(&["pd2", "sd2", "tsd2"]) => Kind::F64,
        _ if has(&["pi2", "dq2", "si2"]) => Kind::Int,
        _ if name.ends_with("ps") || name.ends_with("ss") || has(&["comiss", "cmpss", "ps"]) && !name.starts_with('p') => Kind::F32,
        _ if name.ends_with("pd") || name.ends_with("sd") => Kind::F64,
        _ => Kind::Int,
    }
}

/// A half-precision number.
pub fn f16(r: &mut Random) -> u16 {
    const EDGES: [u16; 14] = [0, 0x3c00, 0x4000, 0x3800, 0x7c00, 0x7e00, 0x7e12, 0x7c01, 0x7dff, 0x7fff, 1, 0x3ff, 0x400, 0x7bff];
    if r.one_in(2) { r.pick(&EDGES) | (r.next() as u16 & 0x8000) } else { r.next() as u16 }
}

/// `bytes` bytes that hold values of `lanes`, lane by lane.
pub fn fill(r: &mut Random, lanes: Lanes, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 16);
    let any = r.pick(&[1usize, 2, 4, 8]);
    let lane = lanes.bytes.filter(|_| !r.one_in(4)).unwrap_or(any);
    while out.len() < bytes {
        match lanes.kind {
            Kind::F16 => out.extend_from_slice(&f16(r).to_le_bytes()),
            Kind::Int => out.extend_from_slice(&int(r).to_le_bytes()[..if bytes <= 8 { 8 } else { lane }]),
            Kind::F32 => out.extend_from_slice(&f32(r).to_le_bytes()),
            Kind::F64 => out.extend_from_slice(&f64(r).to_le_bytes()),
            Kind::F80 => out.extend_from_slice(&f80(r)),
            Kind::Bcd => out.push((r.below(10) << 4 | r.below(10)) as u8),
        }
    }
    out.truncate(bytes);
    out
}
