//! Random numbers of the host kernel.

use super::sys;

/// 64 random bits from getrandom(2). It can only fail before the kernel's pool is ready (the call then waits) or when a signal comes in
/// between, and is repeated then.
pub fn word() -> u64 {
    let mut value = 0u64;
    loop {
        // SAFETY: the kernel writes 8 bytes to `value`.
        match unsafe { sys::call(libc::SYS_getrandom, [&raw mut value as u64, 8, 0, 0, 0, 0]) } {
            Ok(8) => return value,
            _ => continue,
        }
    }
}
