//! Single accesses to guest memory that may fail: `None` says that the address can not be accessed so, and that nothing was written. For all that is more
//! than one access there is [`copy`](super::copy).

use crate::guest::Addr;

#[cfg(target_arch = "aarch64")]
mod raw {
    /// What a routine returns in x0 and x1.
    #[repr(C)]
    pub struct Two(pub u64, pub u64);

    std::arch::global_asm!(
        // x0 is the address. Loads return the value in x0, stores take it in x1 (and x2); null in x1 says that it was done. Guest memory is accessed by the first
        // instruction of each that can fault.
        ".globl xemu_touch_start, xemu_touch_end, xemu_touch_fixup",
        ".hidden xemu_touch_start, xemu_touch_end, xemu_touch_fixup",
        ".irp name, load_1, load_2, load_4, load_8, load_16, store_1, store_2, store_4, store_8, store_16",
        ".globl xemu_touch_\\name",
        ".hidden xemu_touch_\\name",
        ".endr",
        ".p2align 4",
        "xemu_touch_start:",
        "xemu_touch_load_1: ldrb w0, [x0]",
        "mov x1, #0",
        "ret",
        "xemu_touch_load_2: ldrh w0, [x0]",
        "mov x1, #0",
        "ret",
        "xemu_touch_load_4: ldr w0, [x0]",
        "mov x1, #0",
        "ret",
        "xemu_touch_load_8: ldr x0, [x0]",
        "mov x1, #0",
        "ret",
        // x1: where to put it.
        "xemu_touch_load_16: ldp x2, x3, [x0]",
        "stp x2, x3, [x1]",
        "mov x1, #0",
        "ret",
        "xemu_touch_store_1: strb w1, [x0]",
        "mov x1, #0",
        "ret",
        "xemu_touch_store_2: strh w1, [x0]",
        "mov x1, #0",
        "ret",
        "xemu_touch_store_4: str w1, [x0]",
        "mov x1, #0",
        "ret",
        "xemu_touch_store_8: str x1, [x0]",
        "mov x1, #0",
        "ret",
        // One access, as the guest makes it.
        "xemu_touch_store_16: fmov d0, x1",
        "mov v0.d[1], x2",
        "str q0, [x0]",
        "mov x1, #0",
        "ret",
        "xemu_touch_end:",
        "xemu_touch_fixup: mov x1, #1",
        "ret",
    );
    unsafe extern "C" {
        pub fn xemu_touch_load_1(at: u64) -> Two;
        pub fn xemu_touch_load_2(at: u64) -> Two;
        pub fn xemu_touch_load_4(at: u64) -> Two;
        pub fn xemu_touch_load_8(at: u64) -> Two;
        pub fn xemu_touch_load_16(at: u64, to: *mut u128) -> Two;
        pub fn xemu_touch_store_1(at: u64, value: u64) -> Two;
        pub fn xemu_touch_store_2(at: u64, value: u64) -> Two;
        pub fn xemu_touch_store_4(at: u64, value: u64) -> Two;
        pub fn xemu_touch_store_8(at: u64, value: u64) -> Two;
        pub fn xemu_touch_store_16(at: u64, low: u64, high: u64) -> Two;
        fn xemu_touch_start();
        fn xemu_touch_end();
        fn xemu_touch_fixup();
    }
    /// If `pc` is in one of them, where to continue instead.
    pub fn fixup(pc: u64) -> Option<u64> {
        ((xemu_touch_start as *const () as u64)..(xemu_touch_end as *const () as u64)).contains(&pc).then_some(xemu_touch_fixup as *const () as u64)
    }
}
#[cfg(not(target_arch = "aarch64"))]
mod raw {
    //! On developing hosts only valid memory is ever passed (unit tests).
    pub struct Two(pub u64, pub u64);
    macro_rules! accesses {
        ($($load:ident $store:ident $t:ty),*) => { $(
            pub unsafe fn $load(at: u64) -> Two {
                // SAFETY: the caller's.
                Two(unsafe { (at as *const $t).read_unaligned() } as u64, 0)
            }
            pub unsafe fn $store(at: u64, value: u64) -> Two {
                // SAFETY: the caller's.
                unsafe { (at as *mut $t).write_unaligned(value as $t) };
                Two(0, 0)
            }
        )* };
    }
    accesses! { xemu_touch_load_1 xemu_touch_store_1 u8, xemu_touch_load_2 xemu_touch_store_2 u16, xemu_touch_load_4 xemu_touch_store_4 u32, xemu_touch_load_8 xemu_touch_store_8 u64 }
    pub unsafe fn xemu_touch_load_16(at: u64, to: *mut u128) -> Two {
        // SAFETY: the caller's.
        unsafe { to.write((at as *const u128).read_unaligned()) };
        Two(0, 0)
    }
    pub unsafe fn xemu_touch_store_16(at: u64, low: u64, high: u64) -> Two {
        // SAFETY: the caller's.
        unsafe { (at as *mut [u64; 2]).write_unaligned([low, high]) };
        Two(0, 0)
    }
    /// No fault is caught here.
    pub fn fixup(_pc: u64) -> Option<u64> {
        None
    }
}
pub use raw::fixup;

/// The `bytes` (1, 2, 4 or 8) at `at`, zero-extended.
#[inline(always)]
pub fn load(at: Addr, bytes: u32) -> Option<u64> {
    // SAFETY: guest memory by the caller's word; a fault is caught by the fixup.
    let raw::Two(value, failed) = unsafe {
        match bytes {
            1 => raw::xemu_touch_load_1(at.0),
            2 => raw::xemu_touch_load_2(at.0),
            4 => raw::xemu_touch_load_4(at.0),
            _ => raw::xemu_touch_load_8(at.0),
        }
    };
    (failed == 0).then_some(value)
}

/// The 16 bytes at `at`.
#[inline(always)]
pub fn load_16(at: Addr) -> Option<u128> {
    let mut value = 0;
    // SAFETY: as above; the destination is ours.
    let raw::Two(_, failed) = unsafe { raw::xemu_touch_load_16(at.0, &mut value) };
    (failed == 0).then_some(value)
}

/// Writes the low `bytes` (1, 2, 4 or 8) of `value`.
#[inline(always)]
pub fn store(at: Addr, bytes: u32, value: u64) -> Option<()> {
    // SAFETY: as above.
    let raw::Two(_, failed) = unsafe {
        match bytes {
            1 => raw::xemu_touch_store_1(at.0, value),
            2 => raw::xemu_touch_store_2(at.0, value),
            4 => raw::xemu_touch_store_4(at.0, value),
            _ => raw::xemu_touch_store_8(at.0, value),
        }
    };
    (failed == 0).then_some(())
}

/// Writes 16 bytes.
#[inline(always)]
pub fn store_16(at: Addr, value: [u64; 2]) -> Option<()> {
    // SAFETY: as above.
    let raw::Two(_, failed) = unsafe { raw::xemu_touch_store_16(at.0, value[0], value[1]) };
    (failed == 0).then_some(())
}
