//! Entry: no Rust `main`, because its runtime would ignore SIGPIPE and install SIGSEGV handlers, which the guest would inherit.

#![no_main]

/// The C entry point. `argv` is the kernel's.
#[allow(unsafe_code)] // The symbol that the start files call.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    0
}
