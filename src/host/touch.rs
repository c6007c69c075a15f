//! Single accesses to guest memory that may fail: `None` says that the address can not be accessed so, and that nothing was written. For all that is more
//! than one access there is [`copy`](super::copy).
//!
//! Once [`order`] was called others can see memory, and each access is ordered as x86 orders it (docs/memory-model.md): a load is an acquire, a store a release,
//! or has the barriers that take their place where the address is not aligned or 16 bytes are moved. Each is one access of the host's, as in translated code.

use crate::guest::Addr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Others can see memory.
static ORDERED: AtomicBool = AtomicBool::new(false);

/// From now on accesses are ordered. To be called before anybody else can see memory.
pub fn order() {
    ORDERED.store(true, Ordering::Relaxed);
}

/// Assembles the routines, and lists them for tests.
macro_rules! routines {
    ($($name:literal: $($line:literal),*;)*) => {
        #[cfg(target_arch = "aarch64")]
        std::arch::global_asm!(
            ".globl xemu_touch_start, xemu_touch_end, xemu_touch_fixup",
            ".hidden xemu_touch_start, xemu_touch_end, xemu_touch_fixup",
            ".p2align 4",
            "xemu_touch_start:",
            $(
                concat!(".globl xemu_touch_", $name),
                concat!(".hidden xemu_touch_", $name),
                concat!("xemu_touch_", $name, ":"),
                $($line,)*
                "mov x1, #0",
                "ret",
            )*
            "xemu_touch_end:",
            "xemu_touch_fixup: mov x1, #1",
            "ret",
        );
        #[cfg(test)]
        const ROUTINES: &[(&str, &[&str])] = &[$(($name, &[$($line),*])),*];
    };
}

// x0 is the address. Loads return the value in x0, those of 16 bytes write it to where x1 says; stores take it in x1 (and x2). Null in x1 says that it was done.
routines! {
    "load_1": "ldrb w0, [x0]";
    "load_2": "ldrh w0, [x0]";
    "load_4": "ldr w0, [x0]";
    "load_8": "ldr x0, [x0]";
    "load_16": "ldp x2, x3, [x0]", "stp x2, x3, [x1]";
    "store_1": "strb w1, [x0]";
    "store_2": "strh w1, [x0]";
    "store_4": "str w1, [x0]";
    "store_8": "str x1, [x0]";
    "store_16": "fmov d0, x1", "mov v0.d[1], x2", "str q0, [x0]";
    // Ordered.
    "acquire_1": "ldarb w0, [x0]";
    "acquire_2": "tbnz x0, #0, 1f", "ldarh w0, [x0]", "b 2f", "1: ldrh w0, [x0]", "dmb ishld", "2:";
    "acquire_4": "tst x0, #3", "b.ne 1f", "ldar w0, [x0]", "b 2f", "1: ldr w0, [x0]", "dmb ishld", "2:";
    "acquire_8": "tst x0, #7", "b.ne 1f", "ldar x0, [x0]", "b 2f", "1: ldr x0, [x0]", "dmb ishld", "2:";
    "acquire_16": "ldr q0, [x0]", "dmb ishld", "str q0, [x1]";
    "release_1": "stlrb w1, [x0]";
    "release_2": "tbnz x0, #0, 1f", "stlrh w1, [x0]", "b 2f", "1: dmb ish", "strh w1, [x0]", "2:";
    "release_4": "tst x0, #3", "b.ne 1f", "stlr w1, [x0]", "b 2f", "1: dmb ish", "str w1, [x0]", "2:";
    "release_8": "tst x0, #7", "b.ne 1f", "stlr x1, [x0]", "b 2f", "1: dmb ish", "str x1, [x0]", "2:";
    "release_16": "fmov d0, x1", "mov v0.d[1], x2", "dmb ish", "str q0, [x0]";
    // 16 bytes of code, by aligned words: an instruction that another thread replaces by one aligned store is seen before or after it.
    "code": "and x2, x0, #~7", "ands x5, x0, #7", "ldp x3, x4, [x2]", "b.eq 1f", "ldr x6, [x2, #16]", "lsl x5, x5, #3", "neg x7, x5",
        "lsr x3, x3, x5", "lsl x2, x4, x7", "orr x3, x3, x2", "lsr x4, x4, x5", "lsl x6, x6, x7", "orr x4, x4, x6", "1: stp x3, x4, [x1]";
}

#[cfg(target_arch = "aarch64")]
mod raw {
    use std::arch::asm;

    /// What a routine returns in x0 and x1.
    pub struct Two(pub u64, pub u64);

    unsafe extern "C" {
        fn xemu_touch_start();
        fn xemu_touch_end();
        fn xemu_touch_fixup();
    }

    /// Functions that call the routines: these write no register but those named here, so that nothing has to be saved around them.
    macro_rules! calls {
        ($($load:ident $acquire:ident $store:ident $release:ident),*) => { $(
            calls!([load] $load);
            calls!([load] $acquire);
            calls!([store] $store);
            calls!([store] $release);
        )* };
        ([load] $name:ident) => {
            #[inline(always)]
            pub unsafe fn $name(at: u64) -> Two {
                unsafe extern "C" {
                    fn $name();
                }
                let (value, failed);
                // SAFETY: the caller's.
                unsafe { asm!("bl {}", sym $name, inlateout("x0") at => value, lateout("x1") failed, lateout("x30") _, options(nostack)) };
                Two(value, failed)
            }
        };
        ([store] $name:ident) => {
            #[inline(always)]
            pub unsafe fn $name(at: u64, value: u64) -> Two {
                unsafe extern "C" {
                    fn $name();
                }
                let failed;
                // SAFETY: the caller's.
                unsafe { asm!("bl {}", sym $name, in("x0") at, inlateout("x1") value => failed, lateout("x30") _, options(nostack)) };
                Two(0, failed)
            }
        };
        ([load_16] $($name:ident)*) => { $(
            #[inline(always)]
            pub unsafe fn $name(at: u64, to: *mut u128) -> Two {
                unsafe extern "C" {
                    fn $name();
                }
                let failed;
                // SAFETY: the caller's. Code is read by means of more registers, 16 ordered bytes by a vector register.
                unsafe {
                    asm!("bl {}", sym $name, in("x0") at, inlateout("x1") to => failed, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x7") _,
                        out("v0") _, lateout("x30") _, options(nostack));
                }
                Two(0, failed)
            }
        )* };
        ([store_16] $($name:ident)*) => { $(
            #[inline(always)]
            pub unsafe fn $name(at: u64, low: u64, high: u64) -> Two {
                unsafe extern "C" {
                    fn $name();
                }
                let failed;
                // SAFETY: the caller's.
                unsafe { asm!("bl {}", sym $name, in("x0") at, inlateout("x1") low => failed, in("x2") high, out("v0") _, lateout("x30") _, options(nostack)) };
                Two(0, failed)
            }
        )* };
    }
    calls! {
        xemu_touch_load_1 xemu_touch_acquire_1 xemu_touch_store_1 xemu_touch_release_1,
        xemu_touch_load_2 xemu_touch_acquire_2 xemu_touch_store_2 xemu_touch_release_2,
        xemu_touch_load_4 xemu_touch_acquire_4 xemu_touch_store_4 xemu_touch_release_4,
        xemu_touch_load_8 xemu_touch_acquire_8 xemu_touch_store_8 xemu_touch_release_8
    }
    calls!([load_16] xemu_touch_load_16 xemu_touch_acquire_16 xemu_touch_code);
    calls!([store_16] xemu_touch_store_16 xemu_touch_release_16);

    /// If `pc` is in one of them, where to continue instead.
    pub fn fixup(pc: u64) -> Option<u64> {
        ((xemu_touch_start as *const () as u64)..(xemu_touch_end as *const () as u64)).contains(&pc).then_some(xemu_touch_fixup as *const () as u64)
    }
}
#[cfg(not(target_arch = "aarch64"))]
mod raw {
    //! On developing hosts only valid memory is ever passed (unit tests), which nobody else sees.
    pub struct Two(pub u64, pub u64);
    macro_rules! accesses {
        ($($load:ident $acquire:ident $store:ident $release:ident $t:ty),*) => { $(
            pub unsafe fn $load(at: u64) -> Two {
                // SAFETY: the caller's.
                Two(unsafe { (at as *const $t).read_unaligned() } as u64, 0)
            }
            pub unsafe fn $store(at: u64, value: u64) -> Two {
                // SAFETY: the caller's.
                unsafe { (at as *mut $t).write_unaligned(value as $t) };
                Two(0, 0)
            }
            pub use {$load as $acquire, $store as $release};
        )* };
    }
    accesses! {
        xemu_touch_load_1 xemu_touch_acquire_1 xemu_touch_store_1 xemu_touch_release_1 u8,
        xemu_touch_load_2 xemu_touch_acquire_2 xemu_touch_store_2 xemu_touch_release_2 u16,
        xemu_touch_load_4 xemu_touch_acquire_4 xemu_touch_store_4 xemu_touch_release_4 u32,
        xemu_touch_load_8 xemu_touch_acquire_8 xemu_touch_store_8 xemu_touch_release_8 u64
    }
    pub unsafe fn xemu_touch_load_16(at: u64, to: *mut u128) -> Two {
        // SAFETY: the caller's.
        unsafe { to.write_unaligned((at as *const u128).read_unaligned()) };
        Two(0, 0)
    }
    pub unsafe fn xemu_touch_store_16(at: u64, low: u64, high: u64) -> Two {
        // SAFETY: the caller's.
        unsafe { (at as *mut [u64; 2]).write_unaligned([low, high]) };
        Two(0, 0)
    }
    pub use {xemu_touch_load_16 as xemu_touch_acquire_16, xemu_touch_load_16 as xemu_touch_code, xemu_touch_store_16 as xemu_touch_release_16};
    /// No fault is caught here.
    pub fn fixup(_pc: u64) -> Option<u64> {
        None
    }
}
pub use raw::fixup;

/// Are accesses ordered?
#[inline(always)]
pub fn is_ordered() -> bool {
    ORDERED.load(Ordering::Relaxed)
}

/// The `bytes` (1, 2, 4 or 8) at `at`, zero-extended.
#[inline(always)]
pub fn load(at: Addr, bytes: u32) -> Option<u64> {
    if is_ordered() { load_ordered(at, bytes) } else { load_as::<false>(at, bytes) }
}
#[inline(never)]
fn load_ordered(at: Addr, bytes: u32) -> Option<u64> {
    load_as::<true>(at, bytes)
}

/// The same for who knows whether accesses are `ORDERED`.
#[inline(always)]
pub fn load_as<const ORDERED: bool>(at: Addr, bytes: u32) -> Option<u64> {
    // SAFETY: guest memory by the caller's word; a fault is caught by the fixup.
    let raw::Two(value, failed) = unsafe {
        match (bytes, ORDERED) {
            (1, false) => raw::xemu_touch_load_1(at.0),
            (2, false) => raw::xemu_touch_load_2(at.0),
            (4, false) => raw::xemu_touch_load_4(at.0),
            (_, false) => raw::xemu_touch_load_8(at.0),
            (1, true) => raw::xemu_touch_acquire_1(at.0),
            (2, true) => raw::xemu_touch_acquire_2(at.0),
            (4, true) => raw::xemu_touch_acquire_4(at.0),
            (_, true) => raw::xemu_touch_acquire_8(at.0),
        }
    };
    (failed == 0).then_some(value)
}

/// The 16 bytes at `at`.
#[inline(always)]
pub fn load_16(at: Addr) -> Option<u128> {
    let mut value = 0;
    // SAFETY: as above; the destination is ours.
    let raw::Two(_, failed) = unsafe { if is_ordered() { raw::xemu_touch_acquire_16(at.0, &mut value) } else { raw::xemu_touch_load_16(at.0, &mut value) } };
    (failed == 0).then_some(value)
}

/// Reads the 16 bytes of code at `at`, and what lies beside them up to the next multiples of 8 can be read: code is fetched when it pleases the processor, so
/// nothing is ordered by it. False: it can not be read.
#[inline(always)]
pub fn load_code<const ORDERED: bool>(at: Addr, to: &mut [u8; 16]) -> bool {
    let to = to.as_mut_ptr().cast();
    // SAFETY: as above; the destination is ours, and registers are written to it, wherever it lies.
    let raw::Two(_, failed) = unsafe { if ORDERED { raw::xemu_touch_code(at.0, to) } else { raw::xemu_touch_load_16(at.0, to) } };
    failed == 0
}

/// Writes the low `bytes` (1, 2, 4 or 8) of `value`.
#[inline(always)]
pub fn store(at: Addr, bytes: u32, value: u64) -> Option<()> {
    if is_ordered() { store_ordered(at, bytes, value) } else { store_as::<false>(at, bytes, value) }
}
#[inline(never)]
fn store_ordered(at: Addr, bytes: u32, value: u64) -> Option<()> {
    store_as::<true>(at, bytes, value)
}

/// The same for who knows whether accesses are `ORDERED`.
#[inline(always)]
pub fn store_as<const ORDERED: bool>(at: Addr, bytes: u32, value: u64) -> Option<()> {
    // SAFETY: as above.
    let raw::Two(_, failed) = unsafe {
        match (bytes, ORDERED) {
            (1, false) => raw::xemu_touch_store_1(at.0, value),
            (2, false) => raw::xemu_touch_store_2(at.0, value),
            (4, false) => raw::xemu_touch_store_4(at.0, value),
            (_, false) => raw::xemu_touch_store_8(at.0, value),
            (1, true) => raw::xemu_touch_release_1(at.0, value),
            (2, true) => raw::xemu_touch_release_2(at.0, value),
            (4, true) => raw::xemu_touch_release_4(at.0, value),
            (_, true) => raw::xemu_touch_release_8(at.0, value),
        }
    };
    (failed == 0).then_some(())
}

/// Writes 16 bytes.
#[inline(always)]
pub fn store_16(at: Addr, value: [u64; 2]) -> Option<()> {
    // SAFETY: as above.
    let raw::Two(_, failed) =
        unsafe { if is_ordered() { raw::xemu_touch_release_16(at.0, value[0], value[1]) } else { raw::xemu_touch_store_16(at.0, value[0], value[1]) } };
    (failed == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::ROUTINES;

    /// Ordered routines hold nothing but what herd7 has judged in translated code: acquires, or loads with DMB ISHLD behind them; releases, or stores with DMB
    /// ISH before them. And each has as many accesses of the guest's as it has ways, of the size that its name says.
    #[test]
    fn ordered_accesses_are_those_of_translated_code() {
        let mut seen = 0;
        for (name, lines) in ROUTINES {
            let (kind, bytes) = name.split_once('_').unwrap_or((name, "16"));
            let lines: Vec<&str> = lines.iter().map(|l| l.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':').trim_start()).collect();
            for (i, line) in lines.iter().enumerate().filter(|(_, l)| l.ends_with("[x0]") && matches!(kind, "acquire" | "release")) {
                let (op, operand) = line.split_once(' ').unwrap();
                let size = match (&op[op.len() - 1..], &operand[..1]) {
                    ("b", _) => "1",
                    ("h", _) => "2",
                    (_, "w") => "4",
                    (_, "x") => "8",
                    _ => "16",
                };
                assert_eq!(size, bytes, "{name}: {line}");
                let good = match kind {
                    "acquire" => op.starts_with("ldar") || op.starts_with("ldr") && lines[i + 1] == "dmb ishld",
                    _ => op.starts_with("stlr") || op.starts_with("str") && lines[i - 1] == "dmb ish",
                };
                assert!(good, "{name}: {line}");
                seen += 1;
            }
        }
        // Sizes above 1 and below 16 have two ways.
        assert_eq!(seen, 2 * (1 + 2 + 2 + 2 + 1));
    }
}
