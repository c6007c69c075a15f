//! Arithmetic too rare or too wide for translated code, as pure functions.
#[cfg(all(test, target_arch = "x86_64"))]
#[allow(unsafe_code)] // Tests ask the real processor; none of it is built into the program.
mod silicon;
pub mod softfloat;
pub mod x87;
