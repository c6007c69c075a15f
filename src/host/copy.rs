//! Access to guest memory from Rust. Every function returns [`Fault`] where the guest's address is not accessible, instead of
//! crashing: the copy loops are two assembly routines whose pc ranges the host's SIGSEGV/SIGBUS handler knows (`fixup`).

use crate::guest::Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The guest address that could not be accessed (EFAULT to the guest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub Addr);

/// Plain data: any bit pattern is a value, no padding is read.
///
/// # Safety
/// Implementors must be `repr(C)` or primitive, `Copy`, without padding bytes and valid for every bit pattern.
pub unsafe trait Pod: Copy + 'static {}
macro_rules! pod { ($($t:ty)*) => { $(
    // SAFETY: a primitive integer.
    unsafe impl Pod for $t {} )* } }
pod! { u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 usize isize }
// SAFETY: an array of plain data has no padding of its own.
unsafe impl<T: Pod, const N: usize> Pod for [T; N] {}

/// Called with the faulting address of a write that failed; true if the page was write-protected by us, and the write is to be retried.
static WRITE_HOOK: AtomicUsize = AtomicUsize::new(0);

/// Installs the hook that lifts the write protection of pages that hold translated code.
pub fn set_write_hook(hook: fn(Addr) -> bool) {
    WRITE_HOOK.store(hook as usize, Ordering::Release);
}

fn lifted(at: Addr) -> bool {
    let hook = WRITE_HOOK.load(Ordering::Acquire);
    // SAFETY: only `set_write_hook` stores here, and it stores a `fn(Addr) -> bool`.
    hook != 0 && unsafe { std::mem::transmute::<usize, fn(Addr) -> bool>(hook) }(at)
}

/// Most bytes that the copy loop moves at a time.
const PIECE: usize = 128;

#[cfg(target_arch = "aarch64")]
mod raw {
    std::arch::global_asm!(
        // x0 destination, x1 source, x2 length; returns the number of bytes not copied.
        // x0 to x2 change only when a piece is copied, so the handler can resume at the fixup with x2 as it stands.
        ".globl xemu_copy_start, xemu_copy_fixup, xemu_copy_end, xemu_copy, xemu_save_area, xemu_load_area",
        ".hidden xemu_copy_start, xemu_copy_fixup, xemu_copy_end, xemu_copy, xemu_save_area, xemu_load_area",
        ".p2align 4",
        "xemu_copy:",
        "xemu_copy_start:",
        "subs x3, x2, #128",
        "b.lo 1f",
        "5: ldp q0, q1, [x1]",
        "ldp q2, q3, [x1, #32]",
        "ldp q4, q5, [x1, #64]",
        "ldp q6, q7, [x1, #96]",
        "stp q0, q1, [x0]",
        "stp q2, q3, [x0, #32]",
        "stp q4, q5, [x0, #64]",
        "stp q6, q7, [x0, #96]",
        "add x1, x1, #128",
        "add x0, x0, #128",
        "mov x2, x3",
        "subs x3, x3, #128",
        "b.hs 5b",
        // What is left, by the bits of its length.
        "1: tbz x2, #6, 2f",
        "ldp q0, q1, [x1]",
        "ldp q2, q3, [x1, #32]",
        "stp q0, q1, [x0]",
        "stp q2, q3, [x0, #32]",
        "add x1, x1, #64",
        "add x0, x0, #64",
        "sub x2, x2, #64",
        "2: tbz x2, #5, 2f",
        "ldp q0, q1, [x1]",
        "stp q0, q1, [x0]",
        "add x1, x1, #32",
        "add x0, x0, #32",
        "sub x2, x2, #32",
        "2: tbz x2, #4, 2f",
        "ldr q0, [x1]",
        "str q0, [x0]",
        "add x1, x1, #16",
        "add x0, x0, #16",
        "sub x2, x2, #16",
        "2: tbz x2, #3, 2f",
        "ldr x3, [x1]",
        "str x3, [x0]",
        "add x1, x1, #8",
        "add x0, x0, #8",
        "sub x2, x2, #8",
        "2: tbz x2, #2, 2f",
        "ldr w3, [x1]",
        "str w3, [x0]",
        "add x1, x1, #4",
        "add x0, x0, #4",
        "sub x2, x2, #4",
        "2: tbz x2, #1, 2f",
        "ldrh w3, [x1]",
        "strh w3, [x0]",
        "add x1, x1, #2",
        "add x0, x0, #2",
        "sub x2, x2, #2",
        "2: tbz x2, #0, 3f",
        "ldrb w3, [x1]",
        "strb w3, [x0]",
        "sub x2, x2, #1",
        "b 3f",
        // An area of XSAVE's in guest memory, x0, from or to its pieces, x1 to x4, and the word behind it. Null if it was done; after a fault x2, which is not.
        "xemu_save_area:",
        "ldp q0, q1, [x1, #0]",
        "stp q0, q1, [x0, #0]",
        "ldp q0, q1, [x1, #32]",
        "stp q0, q1, [x0, #32]",
        "ldp q0, q1, [x1, #64]",
        "stp q0, q1, [x0, #64]",
        "ldp q0, q1, [x1, #96]",
        "stp q0, q1, [x0, #96]",
        "ldp q0, q1, [x1, #128]",
        "stp q0, q1, [x0, #128]",
        "ldp q0, q1, [x2, #0]",
        "stp q0, q1, [x0, #160]",
        "ldp q0, q1, [x2, #32]",
        "stp q0, q1, [x0, #192]",
        "ldp q0, q1, [x2, #64]",
        "stp q0, q1, [x0, #224]",
        "ldp q0, q1, [x2, #96]",
        "stp q0, q1, [x0, #256]",
        "ldp q0, q1, [x2, #128]",
        "stp q0, q1, [x0, #288]",
        "ldp q0, q1, [x2, #160]",
        "stp q0, q1, [x0, #320]",
        "ldp q0, q1, [x2, #192]",
        "stp q0, q1, [x0, #352]",
        "ldp q0, q1, [x2, #224]",
        "stp q0, q1, [x0, #384]",
        "ldp q0, q1, [x3, #0]",
        "stp q0, q1, [x0, #416]",
        "ldp q0, q1, [x3, #32]",
        "stp q0, q1, [x0, #448]",
        "ldp q0, q1, [x3, #64]",
        "stp q0, q1, [x0, #480]",
        "ldp q0, q1, [x3, #96]",
        "stp q0, q1, [x0, #512]",
        "ldp q0, q1, [x3, #128]",
        "stp q0, q1, [x0, #544]",
        "ldp q0, q1, [x4, #0]",
        "stp q0, q1, [x0, #576]",
        "ldp q0, q1, [x4, #32]",
        "stp q0, q1, [x0, #608]",
        "ldp q0, q1, [x4, #64]",
        "stp q0, q1, [x0, #640]",
        "ldp q0, q1, [x4, #96]",
        "stp q0, q1, [x0, #672]",
        "ldp q0, q1, [x4, #128]",
        "stp q0, q1, [x0, #704]",
        "ldp q0, q1, [x4, #160]",
        "stp q0, q1, [x0, #736]",
        "ldp q0, q1, [x4, #192]",
        "stp q0, q1, [x0, #768]",
        "ldp q0, q1, [x4, #224]",
        "stp q0, q1, [x0, #800]",
        "ldr w3, [x5]",
        "str w3, [x0, #832]",
        "mov x0, #0",
        "ret",
        "xemu_load_area:",
        "ldp q0, q1, [x0, #0]",
        "stp q0, q1, [x1, #0]",
        "ldp q0, q1, [x0, #32]",
        "stp q0, q1, [x1, #32]",
        "ldp q0, q1, [x0, #64]",
        "stp q0, q1, [x1, #64]",
        "ldp q0, q1, [x0, #96]",
        "stp q0, q1, [x1, #96]",
        "ldp q0, q1, [x0, #128]",
        "stp q0, q1, [x1, #128]",
        "ldp q0, q1, [x0, #160]",
        "stp q0, q1, [x2, #0]",
        "ldp q0, q1, [x0, #192]",
        "stp q0, q1, [x2, #32]",
        "ldp q0, q1, [x0, #224]",
        "stp q0, q1, [x2, #64]",
        "ldp q0, q1, [x0, #256]",
        "stp q0, q1, [x2, #96]",
        "ldp q0, q1, [x0, #288]",
        "stp q0, q1, [x2, #128]",
        "ldp q0, q1, [x0, #320]",
        "stp q0, q1, [x2, #160]",
        "ldp q0, q1, [x0, #352]",
        "stp q0, q1, [x2, #192]",
        "ldp q0, q1, [x0, #384]",
        "stp q0, q1, [x2, #224]",
        "ldp q0, q1, [x0, #416]",
        "stp q0, q1, [x3, #0]",
        "ldp q0, q1, [x0, #448]",
        "stp q0, q1, [x3, #32]",
        "ldp q0, q1, [x0, #480]",
        "stp q0, q1, [x3, #64]",
        "ldp q0, q1, [x0, #512]",
        "stp q0, q1, [x3, #96]",
        "ldp q0, q1, [x0, #544]",
        "stp q0, q1, [x3, #128]",
        "ldp q0, q1, [x0, #576]",
        "stp q0, q1, [x4, #0]",
        "ldp q0, q1, [x0, #608]",
        "stp q0, q1, [x4, #32]",
        "ldp q0, q1, [x0, #640]",
        "stp q0, q1, [x4, #64]",
        "ldp q0, q1, [x0, #672]",
        "stp q0, q1, [x4, #96]",
        "ldp q0, q1, [x0, #704]",
        "stp q0, q1, [x4, #128]",
        "ldp q0, q1, [x0, #736]",
        "stp q0, q1, [x4, #160]",
        "ldp q0, q1, [x0, #768]",
        "stp q0, q1, [x4, #192]",
        "ldp q0, q1, [x0, #800]",
        "stp q0, q1, [x4, #224]",
        "ldr w3, [x0, #832]",
        "str w3, [x5]",
        "mov x0, #0",
        "ret",
        "xemu_copy_end:",
        "xemu_copy_fixup:",
        "3: mov x0, x2",
        "ret",
    );
    unsafe extern "C" {
        pub fn xemu_copy(dst: *mut u8, src: *const u8, len: usize) -> usize;
        pub fn xemu_save_area(to: u64, x87: *const u8, xmm: *const Upper, middle: *const u8, ymm: *const Upper, last: *const u32) -> usize;
        pub fn xemu_load_area(from: u64, x87: *mut u8, xmm: *mut Upper, middle: *mut u8, ymm: *mut Upper, last: *mut u32) -> usize;
        fn xemu_copy_start();
        fn xemu_copy_end();
        fn xemu_copy_fixup();
    }
    type Upper = [[u64; 2]; 16];
    /// If `pc` is in a copy loop, where to continue instead.
    pub fn fixup(pc: u64) -> Option<u64> {
        ((xemu_copy_start as *const () as u64)..(xemu_copy_end as *const () as u64)).contains(&pc).then_some(xemu_copy_fixup as *const () as u64)
    }
}
#[cfg(not(target_arch = "aarch64"))]
mod raw {
    /// On developing hosts only valid memory is ever passed (unit tests).
    pub unsafe fn xemu_copy(dst: *mut u8, src: *const u8, len: usize) -> usize {
        // SAFETY: the caller passes valid ranges.
        unsafe { std::ptr::copy(src, dst, len) };
        0
    }
    /// Developing hosts write no frames.
    pub unsafe fn xemu_save_area(_: u64, _: *const u8, _: *const [[u64; 2]; 16], _: *const u8, _: *const [[u64; 2]; 16], _: *const u32) -> usize {
        1
    }
    /// See above.
    pub unsafe fn xemu_load_area(_: u64, _: *mut u8, _: *mut [[u64; 2]; 16], _: *mut u8, _: *mut [[u64; 2]; 16], _: *mut u32) -> usize {
        1
    }
    /// No fault is caught here.
    pub fn fixup(_pc: u64) -> Option<u64> {
        None
    }
}
pub use raw::fixup;

/// Copies guest memory at `from` into `to`.
pub fn read_bytes(from: Addr, to: &mut [u8]) -> Result<(), Fault> {
    let len = to.len();
    // SAFETY: the destination is ours; a fault at the source is caught by the fixup.
    let left = unsafe { raw::xemu_copy(to.as_mut_ptr(), from.0 as *const u8, len) };
    if left == 0 { Ok(()) } else { Err(Fault(from.plus((len - left) as u64))) }
}

/// Copies `from` to guest memory at `to`. On a fault the bytes before it are written, as the kernel does.
pub fn write_bytes(to: Addr, from: &[u8]) -> Result<(), Fault> {
    let mut done = 0;
    loop {
        let rest = &from[done..];
        // SAFETY: the source is ours; a fault at the destination is caught by the fixup. The destination is guest memory by the caller's word.
        let left = unsafe { raw::xemu_copy(to.plus(done as u64).0 as *mut u8, rest.as_ptr(), rest.len()) };
        if left == 0 {
            return Ok(());
        }
        done = from.len() - left;
        let at = to.plus(done as u64);
        // A piece may fault on its second page.
        if lifted(at) || lifted(at.plus(left.min(PIECE) as u64 - 1)) {
            continue;
        }
        // By bytes: to where the fault is. Or another thread has lifted the protection meanwhile.
        for byte in &rest[rest.len() - left..][..left.min(PIECE)] {
            // SAFETY: as above.
            if unsafe { raw::xemu_copy(to.plus(done as u64).0 as *mut u8, byte, 1) } != 0 {
                return Err(Fault(to.plus(done as u64)));
            }
            done += 1;
        }
    }
}

/// Reads a value from guest memory.
pub fn read<T: Pod>(from: Addr) -> Result<T, Fault> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: `T: Pod` may be viewed as initialised (zeroed) bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), std::mem::size_of::<T>()) };
    read_bytes(from, bytes)?;
    // SAFETY: every bit pattern is a value of a `Pod`.
    Ok(unsafe { value.assume_init() })
}

/// Writes a value to guest memory.
pub fn write<T: Pod>(to: Addr, value: T) -> Result<(), Fault> {
    write_bytes(to, bytes_of(&value))
}

/// The bytes of a value.
pub fn bytes_of<T: Pod>(value: &T) -> &[u8] {
    // SAFETY: `Pod` has no padding.
    unsafe { std::slice::from_raw_parts((value as *const T).cast::<u8>(), std::mem::size_of::<T>()) }
}

/// The bytes of a value, to be changed.
pub fn bytes_of_mut<T: Pod>(value: &mut T) -> &mut [u8] {
    // SAFETY: `Pod` has no padding, and any bytes are a value.
    unsafe { std::slice::from_raw_parts_mut((value as *mut T).cast::<u8>(), std::mem::size_of::<T>()) }
}

/// The pieces of XSAVE's area in its standard form, with what signal frames have behind it.
pub struct AreaPieces {
    /// Bytes 0 to 159.
    pub x87: [u64; 20],
    /// Bytes 416 to 575: reserved ones, the kernel's, the header.
    pub middle: [u64; 20],
    /// Bytes 832 to 835.
    pub last: u32,
}

/// Writes an area at once; false if that was not possible everywhere, and it is to be written piece by piece.
pub fn save_area(to: Addr, pieces: &AreaPieces, xmm: &[[u64; 2]; 16], ymm: &[[u64; 2]; 16]) -> bool {
    // SAFETY: the sources are ours and as long as the routine takes them to be; a fault at the destination is caught by the fixup.
    unsafe { raw::xemu_save_area(to.0, pieces.x87.as_ptr().cast(), xmm, pieces.middle.as_ptr().cast(), ymm, &raw const pieces.last) == 0 }
}

/// Reads an area at once; false, and anything may be in the pieces, if it can not be read everywhere.
pub fn load_area(from: Addr, pieces: &mut AreaPieces, xmm: &mut [[u64; 2]; 16], ymm: &mut [[u64; 2]; 16]) -> bool {
    // SAFETY: as above, the other way.
    unsafe { raw::xemu_load_area(from.0, pieces.x87.as_mut_ptr().cast(), xmm, pieces.middle.as_mut_ptr().cast(), ymm, &raw mut pieces.last) == 0 }
}

/// Reads a NUL-terminated string of at most `max` bytes (without the NUL). A longer one is returned cut at `max`.
pub fn read_cstr(from: Addr, max: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let mut at = from;
    while out.len() < max {
        // Never past the page: the string may end right before an unmapped one.
        let chunk = (4096 - (at.0 & 4095)).min((max - out.len()) as u64).min(256) as usize;
        let mut buf = [0u8; 256];
        read_bytes(at, &mut buf[..chunk])?;
        if let Some(n) = buf[..chunk].iter().position(|&b| b == 0) {
            out.extend_from_slice(&buf[..n]);
            return Ok(out);
        }
        out.extend_from_slice(&buf[..chunk]);
        at = at.plus(chunk as u64);
    }
    Ok(out)
}
