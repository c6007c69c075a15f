//! Sums, differences and conjunctions with the flags that the host's processor finds: one instruction, and one that reads them.

#[cfg(target_arch = "aarch64")]
macro_rules! with_flags {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(bytes: u32, a: u64, b: u64) -> (u64, u64) {
            let (mut r, flags): (u64, u64);
            if bytes == 8 {
                // SAFETY: registers alone.
                unsafe { std::arch::asm!(concat!($op, " {r}, {a}, {b}"), "mrs {f}, nzcv", a = in(reg) a, b = in(reg) b, r = out(reg) r, f = lateout(reg) flags, options(pure, nomem, nostack)) };
            } else {
                // Smaller ones stand at the top of a word.
                let up = 32 - 8 * bytes;
                // SAFETY: registers alone.
                unsafe { std::arch::asm!(concat!($op, " {r:w}, {a:w}, {b:w}"), "mrs {f}, nzcv", a = in(reg) a << up, b = in(reg) b << up, r = out(reg) r, f = lateout(reg) flags, options(pure, nomem, nostack)) };
                r >>= up;
            }
            (r, flags)
        }
    )* };
}

#[cfg(not(target_arch = "aarch64"))]
macro_rules! with_flags {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => { $(
        $(#[$doc])*
        pub fn $name(bytes: u32, a: u64, b: u64) -> (u64, u64) {
            by_hand($op, bytes, a, b)
        }
    )* };
}

with_flags! {
    /// a + b, of numbers of 1, 2, 4 or 8 bytes, and N, Z, C, V in NZCV position, C as ARM has it: set by a carry.
    add "adds";
    /// a - b and flags: C is clear after a borrow.
    sub "subs";
    /// a & b and flags: C and V are clear.
    and "ands";
}

/// What the instructions do (Arm ARM, AddWithCarry), for developing hosts.
#[cfg(not(target_arch = "aarch64"))]
fn by_hand(op: &str, bytes: u32, a: u64, b: u64) -> (u64, u64) {
    let up = 64 - 8 * bytes;
    let (a, b) = (a << up, b << up);
    let (r, c, v) = match op {
        "adds" => (a.wrapping_add(b), a.checked_add(b).is_none(), (a as i64).checked_add(b as i64).is_none()),
        "subs" => (a.wrapping_sub(b), a >= b, (a as i64).checked_sub(b as i64).is_none()),
        _ => (a & b, false, false),
    };
    (r >> up, u64::from((r as i64) < 0) << 31 | u64::from(r == 0) << 30 | u64::from(c) << 29 | u64::from(v) << 28)
}
