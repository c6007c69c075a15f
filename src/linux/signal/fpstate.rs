//! The vector and x87 state of a signal frame: FXSAVE's 512 bytes (Intel SDM vol. 1, 10.5.1).

use crate::guest::CpuState;
use crate::guest::state::{MXCSR_INIT, X87};
use crate::host::fp;

/// Size in bytes.
pub const SIZE: usize = 512;

/// The MXCSR bits that may be set (MXCSR_MASK): without the misaligned-exception bit of AMD.
const MXCSR_MASK: u32 = 0xffff;

const FCW: usize = 0;
const FSW: usize = 2;
const FTW: usize = 4;
const FOP: usize = 6;
const FIP: usize = 8;
const FDP: usize = 16;
const MXCSR: usize = 24;
const MASK: usize = 28;
const ST: usize = 32;
const XMM: usize = 160;

/// FPCR.AH: set from the start where the host has FEAT_AFP.
const ALTERNATE: u64 = 2;

/// MXCSR, with the sticky flags that the host holds.
pub fn mxcsr(s: &CpuState) -> u32 {
    // DE is there with FPCR.AH only.
    const DE: u32 = 2;
    s.mxcsr | fp::sticky() & if s.guest_fpcr & ALTERNATE != 0 { !0 } else { !DE }
}

/// Sets MXCSR: from now on all sticky flags are those of `value`.
pub fn set_mxcsr(s: &mut CpuState, value: u32) {
    s.mxcsr = value;
    s.guest_fpcr = crate::helpers::fpcr_for(value, s.guest_fpcr & ALTERNATE != 0);
    fp::clear_sticky();
}

/// Saves the state.
pub fn save(s: &CpuState) -> [u8; SIZE] {
    let mut area = [0u8; SIZE];
    let mut put = |at: usize, bytes: &[u8]| area[at..at + bytes.len()].copy_from_slice(bytes);
    let x = &s.x87;
    put(FCW, &x.control.to_le_bytes());
    put(FSW, &(x.status | (x.top as u16 & 7) << 11).to_le_bytes());
    put(FTW, &[x.valid]);
    put(FOP, &(x.fop & 0x7ff).to_le_bytes());
    put(FIP, &x.fip.to_le_bytes());
    put(FDP, &x.fdp.to_le_bytes());
    put(MXCSR, &mxcsr(s).to_le_bytes());
    put(MASK, &MXCSR_MASK.to_le_bytes());
    for i in 0..8 {
        put(ST + 16 * i, &x.reg[(x.top as usize + i) & 7].to_le_bytes()[..10]);
    }
    for (i, [low, high]) in s.xmm.iter().enumerate() {
        put(XMM + 16 * i, &low.to_le_bytes());
        put(XMM + 16 * i + 8, &high.to_le_bytes());
    }
    area
}

/// Restores the state.
pub fn restore(s: &mut CpuState, area: &[u8; SIZE]) {
    let word = |at: usize| u16::from_le_bytes([area[at], area[at + 1]]);
    let quad = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| area[at + i]));
    let top = (word(FSW) >> 11 & 7) as u8;
    let x = &mut s.x87;
    x.control = word(FCW);
    x.status = word(FSW) & !(7 << 11);
    x.top = top;
    x.valid = area[FTW];
    x.fop = word(FOP) & 0x7ff;
    x.fip = quad(FIP);
    x.fdp = quad(FDP);
    for i in 0..8 {
        let at = ST + 16 * i;
        x.reg[(top as usize + i) & 7] = u128::from(quad(at)) | u128::from(word(at + 8)) << 64;
    }
    for (i, x) in s.xmm.iter_mut().enumerate() {
        *x = [quad(XMM + 16 * i), quad(XMM + 16 * i + 8)];
    }
    set_mxcsr(s, quad(MXCSR) as u32 & MXCSR_MASK);
}

/// The state that a handler starts with, and that a frame without an area restores.
pub fn reset(s: &mut CpuState) {
    s.xmm = [[0; 2]; 16];
    s.ymm_hi = [[0; 2]; 16];
    s.x87 = X87::INIT;
    set_mxcsr(s, MXCSR_INIT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_restores_what_it_saved() {
        let mut s = CpuState::default();
        s.x87 = X87 { control: 0x27f, status: 0x4700, valid: 0xc1, top: 6, fop: 0x123, fip: 0x1000, fdp: 0x2000, ..X87::INIT };
        for (i, r) in s.x87.reg.iter_mut().enumerate() {
            *r = 0x3fff_8000_0000_0000_0000 + i as u128;
        }
        for (i, x) in s.xmm.iter_mut().enumerate() {
            *x = [i as u64, !(i as u64)];
        }
        let area = save(&s);
        let mut t = CpuState::default();
        restore(&mut t, &area);
        assert_eq!((t.x87, t.xmm), (s.x87, s.xmm));
        assert_eq!(u16::from_le_bytes([area[FSW], area[FSW + 1]]), 0x4700 | 6 << 11);
    }
}
