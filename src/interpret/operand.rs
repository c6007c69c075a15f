//! Operands: what they hold.

use crate::decode::brief::{Brief, Kind};
use crate::guest::CpuState;
use crate::host::touch;

/// The low `bytes` (1, 2, 4 or 8).
#[inline(always)]
pub(super) fn cut(v: u64, bytes: u32) -> u64 {
    v & u64::MAX >> (64 - 8 * bytes)
}

/// The low `bytes`, sign-extended.
#[inline(always)]
pub(super) fn signed(v: u64, bytes: u32) -> i64 {
    let up = 64 - 8 * bytes;
    ((v << up) as i64) >> up
}

/// The value of operand `k` (general register, memory, constant), cut to `bytes`; none: it can not be read.
#[inline(always)]
pub(super) fn get(s: &CpuState, i: &Brief, k: usize, bytes: u32) -> Option<u64> {
    let o = i.operand(k);
    match o.kind {
        Kind::Register => Some(cut(s.gpr[usize::from(o.n & 15)], bytes)),
        Kind::Memory => touch::load(i.address, bytes),
        Kind::Constant => Some(cut(i.constant, bytes)),
        Kind::High => Some(s.gpr[usize::from(o.n & 15)] >> 8 & 0xff),
        _ => None,
    }
}

/// Writes a general register as its size wants it.
#[inline(always)]
pub(super) fn put_register(s: &mut CpuState, n: usize, bytes: u32, v: u64) {
    let r = &mut s.gpr[n & 15];
    *r = match bytes {
        8 => v,
        4 => v & 0xffff_ffff,
        2 => *r & !0xffff | v & 0xffff,
        _ => *r & !0xff | v & 0xff,
    };
}

/// Writes operand 0; none: that is not possible, and nothing has changed.
#[inline(always)]
pub(super) fn put(s: &mut CpuState, i: &Brief, bytes: u32, v: u64) -> Option<()> {
    let o = i.operand(0);
    match o.kind {
        Kind::Register => put_register(s, o.n.into(), bytes, v),
        Kind::Memory => touch::store(i.address, bytes, v)?,
        Kind::High => {
            let r = &mut s.gpr[usize::from(o.n & 15)];
            *r = *r & !0xff00 | (v & 0xff) << 8;
        }
        _ => return None,
    }
    Some(())
}

/// The value of vector operand `k`: an XMM register, or the 16 bytes in memory, which lie at a multiple of 16 unless they may lie `anywhere`.
#[inline(always)]
pub(super) fn vector(s: &CpuState, i: &Brief, k: usize, anywhere: bool) -> Option<[u64; 2]> {
    let o = i.operand(k);
    match o.kind {
        Kind::Xmm => Some(s.xmm[usize::from(o.n & 15)]),
        Kind::Memory if anywhere || i.address.0 % 16 == 0 => touch::load_16(i.address).map(|v| [v as u64, (v >> 64) as u64]),
        _ => None,
    }
}
