//! Looking at translations: dumps of guest and host code, perf maps, `xemu disasm`. Uses capstone on both sides, which makes it
//! independent of the decoder and the assembler.

#![forbid(unsafe_code)]

pub mod disasm;
pub mod dump;

pub use dump::{Config, observer};
