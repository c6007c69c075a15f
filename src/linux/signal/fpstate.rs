//! The vector and x87 state of a signal frame: XSAVE's area with the kernel's marks (arch/x86/kernel/fpu/signal.c, arch/x86/include/uapi/asm/sigcontext.h),
//! or FXSAVE's where XSAVE is not offered.

use crate::guest::{Addr, cpuid};
use crate::guest::state::{CpuState, MXCSR_INIT, X87};
use crate::guest::xsave::*;
use crate::host::copy::{self, AreaPieces, Fault};
use crate::host::fp;

/// struct _fpx_sw_bytes in what FXSAVE leaves to software: magic1, extended_size, xfeatures, xstate_size.
const SW_AT: usize = 464;
/// FP_XSTATE_MAGIC1: XSAVE's area follows.
const MAGIC1: u32 = 0x4650_5853;
/// FP_XSTATE_MAGIC2, behind the area.
const MAGIC2: u32 = 0x4650_5845;
const MAGIC2_BYTES: usize = 4;
/// XFEATURE_MASK_FPSSE.
const FPSSE: u64 = 3;
/// Room for everything.
const ROOM: usize = END + MAGIC2_BYTES;
/// FPCR.AH: set from the start where the host has FEAT_AFP.
const ALTERNATE: u64 = 2;
/// MXCSR's UE, PE and FTZ.
const UE: u32 = 1 << 4;
const PE: u32 = 1 << 5;
const FTZ: u32 = 1 << 15;
/// Its flags.
const STICKY: u32 = 0x3f;

/// Bytes of the area, and the alignment that it has on the stack.
pub fn size() -> u64 {
    let cpu = cpuid::cpu();
    cpu.xsave_size() + if cpu.xcr0() != 0 { MAGIC2_BYTES as u64 } else { 0 }
}
/// See [`size`].
pub const ALIGNMENT: u64 = 64;

/// The marks of a frame with XSAVE's whole area, for the stub that returns from handlers: three words of the kernel's and the one behind the area. Where the
/// processor that the guest sees has no such area no frame has them.
pub(super) fn marks_of_frames() -> [u64; 4] {
    match cpuid::cpu().xcr0() {
        xcr0 if xcr0 & cpuid::XCR0_AVX != 0 => [MAGIC1 as u64 | (ROOM as u64) << 32, xcr0, END as u64, MAGIC2 as u64],
        _ => [u64::MAX; 4],
    }
}

/// Bytes of an area with these marks.
pub(super) fn marked_size(marks: [u64; 4]) -> u64 {
    marks[0] >> 32
}

/// Is the x87 unit empty, with nothing in its status?
pub fn is_empty(s: &CpuState) -> bool {
    s.x87.status == 0 && s.x87.valid == 0 && s.x87.top == 0
}

/// MXCSR and MXCSR_MASK as they stand in an area.
pub fn mxcsr_words(s: &CpuState) -> u64 {
    u64::from(mxcsr(s)) | u64::from(MXCSR_MASK) << 32
}

/// MXCSR, with the sticky flags that the host holds.
pub fn mxcsr(s: &CpuState) -> u32 {
    // DE is there with FPCR.AH only; without it a result that FTZ makes zero sets UE alone, and is inexact to x86 (as STMXCSR's translation has it).
    const DE: u32 = 2;
    let alternate = s.guest_fpcr & ALTERNATE != 0;
    let mut flags = fp::sticky();
    if !alternate {
        flags &= !DE;
        flags |= if flags & UE != 0 && s.mxcsr & FTZ != 0 { PE } else { 0 };
    }
    s.mxcsr | flags
}

/// Sets MXCSR: from now on all sticky flags are those of `value`.
pub fn set_mxcsr(s: &mut CpuState, value: u32) {
    // FPCR does not depend on the flags.
    if (s.mxcsr ^ value) & !STICKY != 0 {
        s.guest_fpcr = crate::helpers::fpcr_for(value, s.guest_fpcr & ALTERNATE != 0);
    }
    s.mxcsr = value;
    fp::clear_sticky();
}

/// Words of [`AreaPieces::middle`].
const fn middle(at: usize) -> usize {
    (at - (XMM_AT + 256)) / 8
}

/// Writes the state to `at`, which is aligned.
pub fn save(s: &CpuState, at: u64) -> Result<(), Fault> {
    let xcr0 = cpuid::cpu().xcr0();
    if xcr0 & cpuid::XCR0_AVX == 0 {
        return save_pieces(s, at);
    }
    let mut pieces = AreaPieces { x87: s.x87.save_words(Pointers::Wide), middle: [0; 20], last: MAGIC2 };
    pieces.x87[MXCSR_AT / 8] = mxcsr_words(s);
    const SIZE: usize = END + MAGIC2_BYTES;
    pieces.middle[middle(SW_AT)] = MAGIC1 as u64 | (SIZE as u64) << 32;
    pieces.middle[middle(SW_AT + 8)] = xcr0;
    pieces.middle[middle(SW_AT + 16)] = END as u64;
    pieces.middle[middle(HEADER_AT)] = FPSSE | if in_use(&s.ymm_hi) { cpuid::XCR0_AVX } else { 0 };
    // Upper halves that are not in use are zero here too.
    if copy::save_area(Addr(at), &pieces, &s.xmm, &s.ymm_hi) { Ok(()) } else { save_pieces(s, at) }
}

/// The same in whatever form, where it can be written.
#[cold]
fn save_pieces(s: &CpuState, at: u64) -> Result<(), Fault> {
    let xcr0 = cpuid::cpu().xcr0();
    let size = size() as usize;
    let mut area = [0u8; ROOM];
    fill(s, xcr0, &mut area);
    let mut put = |at: usize, bytes: &[u8]| area[at..at + bytes.len()].copy_from_slice(bytes);
    if xcr0 != 0 {
        let xstate = (size - MAGIC2_BYTES) as u32;
        put(SW_AT, &MAGIC1.to_le_bytes());
        put(SW_AT + 4, &(size as u32).to_le_bytes());
        put(SW_AT + 8, &xcr0.to_le_bytes());
        put(SW_AT + 16, &xstate.to_le_bytes());
        put(size - MAGIC2_BYTES, &MAGIC2.to_le_bytes());
    }
    copy::write_bytes(Addr(at), &area[..size])
}

/// The area without any marks: what FXSAVE's has, and with XSAVE offered (`xcr0`) the header and what is in use behind it.
fn fill(s: &CpuState, xcr0: u64, area: &mut [u8; ROOM]) {
    let mut put = |at: usize, bytes: &[u8]| area[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &s.x87.save(Pointers::Wide));
    put(MXCSR_AT, &mxcsr(s).to_le_bytes());
    put(MXCSR_AT + 4, &MXCSR_MASK.to_le_bytes());
    put(XMM_AT, copy::bytes_of(&s.xmm));
    if xcr0 != 0 {
        // As XSAVE sees what is in use; what is not is zero.
        let avx = xcr0 & cpuid::XCR0_AVX & if in_use(&s.ymm_hi) { u64::MAX } else { 0 };
        if avx != 0 {
            put(AVX_AT, copy::bytes_of(&s.ymm_hi));
        }
        // x87 and SSE are always there, for programs that change them and do not know the header.
        put(HEADER_AT, &(avx | FPSSE).to_le_bytes());
    }
}

/// The area as core files have it (copy_xstate_to_uabi_buf() of arch/x86/kernel/fpu/xstate.c): XCR0 lies where frames have their marks. To be
/// called on the thread that the state belongs to.
pub fn image(s: &CpuState) -> Vec<u8> {
    let cpu = cpuid::cpu();
    let mut area = [0u8; ROOM];
    fill(s, cpu.xcr0(), &mut area);
    area[SW_AT..SW_AT + 8].copy_from_slice(&cpu.xcr0().to_le_bytes());
    area[..cpu.xsave_size() as usize].to_vec()
}

/// What a frame's area holds, by its marks: the components to restore from it, and whether by XRSTOR. Anything odd: FXSAVE's area alone
/// (check_xstate_in_sigframe).
fn marks(at: u64, area: &[u8; END], xcr0: u64) -> Result<Option<u64>, Fault> {
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| area[at + i]));
    let xfeatures = u64::from(word(SW_AT + 8)) | u64::from(word(SW_AT + 12)) << 32;
    let (extended, xstate) = (word(SW_AT + 4), word(SW_AT + 16));
    if xcr0 == 0 || word(SW_AT) != MAGIC1 || (xstate as usize) < AVX_AT || u64::from(xstate) > size() - MAGIC2_BYTES as u64 || xstate > extended {
        return Ok(None);
    }
    let magic2 = copy::read::<u32>(Addr(at.wrapping_add(u64::from(xstate))))?;
    Ok((magic2 == MAGIC2).then_some(xfeatures & xcr0))
}

/// Why a frame's area can not be restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bad;

/// Restores the state from the area at `at`. Components that the frame does not have become initial.
pub fn restore(s: &mut CpuState, at: u64) -> Result<(), Bad> {
    // What is bad leaves nothing of either (arch/x86/kernel/fpu/signal.c, fpu__restore_sig).
    if restore_usual(s, at) { Ok(()) } else { restore_pieces(s, at).inspect_err(|_| reset(s)) }
}

/// The same for a frame as [`save`] makes it; false for any other, of which nothing but vectors has been read.
fn restore_usual(s: &mut CpuState, at: u64) -> bool {
    let xcr0 = cpuid::cpu().xcr0();
    let mut pieces = AreaPieces { x87: [0; X87_BYTES / 8], middle: [0; 20], last: 0 };
    if xcr0 & cpuid::XCR0_AVX == 0 || !copy::load_area(Addr(at), &mut pieces, &mut s.xmm, &mut s.ymm_hi) {
        return false;
    }
    let AreaPieces { x87, middle: words, last } = &pieces;
    const SIZE: usize = END + MAGIC2_BYTES;
    let kernels = words[middle(SW_AT)] == MAGIC1 as u64 | (SIZE as u64) << 32 && words[middle(SW_AT + 8)] == xcr0 && words[middle(SW_AT + 16)] as u32 == END as u32;
    let found = words[middle(HEADER_AT)];
    let standard = found & !xcr0 == 0 && words[middle(HEADER_AT) + 1] | words[middle(HEADER_AT) + 2] == 0;
    let mxcsr = x87[MXCSR_AT / 8] as u32;
    if !kernels || *last != MAGIC2 || !standard || mxcsr & !MXCSR_MASK != 0 {
        return false;
    }
    s.x87 = X87::INIT;
    if found & 1 != 0 {
        s.x87.restore_words(x87, Pointers::Wide);
    }
    for (registers, bit) in [(&mut s.xmm, 2), (&mut s.ymm_hi, 4)] {
        if found & bit == 0 {
            *registers = [[0; 2]; 16];
        }
    }
    set_mxcsr(s, mxcsr);
    true
}

#[cold]
fn restore_pieces(s: &mut CpuState, at: u64) -> Result<(), Bad> {
    let bad = |_: Fault| Bad;
    let xcr0 = cpuid::cpu().xcr0();
    let mut area = [0u8; END];
    copy::read_bytes(Addr(at), &mut area[..FX_SIZE]).map_err(bad)?;
    let wanted = marks(at, &area, xcr0).map_err(bad)?;
    let quad = |area: &[u8; END], at: usize| u64::from_le_bytes(std::array::from_fn(|i| area[at + i]));
    // What XRSTOR finds, of what is asked for; what is neither is initial.
    let (asked, found) = match wanted {
        None => (FPSSE, FPSSE),
        Some(asked) => {
            let end = if xcr0 & cpuid::XCR0_AVX != 0 { END } else { AVX_AT };
            copy::read_bytes(Addr(at + FX_SIZE as u64), &mut area[FX_SIZE..end]).map_err(bad)?;
            let header: [u64; 8] = std::array::from_fn(|i| quad(&area, HEADER_AT + 8 * i));
            (asked, asked & check_header(&header, xcr0)?)
        }
    };
    let compacted = wanted.is_some() && quad(&area, HEADER_AT + 8) & COMPACTED != 0;
    let new_mxcsr = match compacted {
        false if asked & 6 != 0 => Some(quad(&area, MXCSR_AT) as u32),
        true if asked & 2 != 0 => Some(if found & 2 != 0 { quad(&area, MXCSR_AT) as u32 } else { MXCSR_INIT }),
        _ => None,
    };
    if new_mxcsr.unwrap_or(MXCSR_INIT) & !MXCSR_MASK != 0 {
        return Err(Bad);
    }
    s.x87 = X87::INIT;
    if found & 1 != 0 {
        s.x87.restore(area.first_chunk().expect("the area begins with them"), Pointers::Wide);
    }
    for (registers, at, bit) in [(&mut s.xmm, XMM_AT, 2), (&mut s.ymm_hi, AVX_AT, 4)] {
        *registers = [[0; 2]; 16];
        if found & bit != 0 {
            let bytes = copy::bytes_of_mut(registers);
            let len = bytes.len();
            bytes.copy_from_slice(&area[at..at + len]);
        }
    }
    set_mxcsr(s, new_mxcsr.unwrap_or(MXCSR_INIT));
    Ok(())
}

/// XRSTOR's checks of the header, as translated code makes them (`translate::xsave`): XSTATE_BV.
fn check_header(header: &[u64; 8], xcr0: u64) -> Result<u64, Bad> {
    let [bv, xcomp, ..] = *header;
    let good = match xcomp & COMPACTED != 0 {
        false => xcomp | header[2] == 0,
        true => (xcomp & !(xcr0 | COMPACTED)) | (bv & !xcomp) == 0 && header[2..].iter().all(|w| *w == 0),
    };
    if bv & !xcr0 == 0 && good { Ok(bv) } else { Err(Bad) }
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
    fn headers() {
        assert_eq!(check_header(&[7, 0, 0, 9, 0, 0, 0, 0], 7), Ok(7), "the standard form does not look at these");
        assert_eq!(check_header(&[7, 0, 1, 0, 0, 0, 0, 0], 7), Err(Bad));
        assert_eq!(check_header(&[8, 0, 0, 0, 0, 0, 0, 0], 7), Err(Bad));
        assert_eq!(check_header(&[4, 0, 0, 0, 0, 0, 0, 0], 3), Err(Bad));
        assert_eq!(check_header(&[3, COMPACTED | 7, 0, 0, 0, 0, 0, 0], 7), Ok(3));
        assert_eq!(check_header(&[7, COMPACTED | 3, 0, 0, 0, 0, 0, 0], 7), Err(Bad));
        assert_eq!(check_header(&[3, COMPACTED | 7, 0, 0, 0, 0, 0, 1], 7), Err(Bad));
    }
}
