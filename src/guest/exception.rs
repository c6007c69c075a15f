//! Exceptions that an instruction raises by itself, as translated code and helpers hand them to the engine (Intel SDM vol. 3, table 6-1).

#![allow(missing_docs)] // The SDM's names.

pub const DIVIDE: u64 = 0;
pub const DEBUG: u64 = 1;
pub const BREAKPOINT: u64 = 3;
pub const UNDEFINED: u64 = 6;
pub const GENERAL_PROTECTION: u64 = 13;
pub const X87: u64 = 16;
pub const SIMD: u64 = 19;
/// None of the processor's: a LOCK'ed access that no host instruction can make; the engine runs the instruction while others stand still.
pub const SPLIT_LOCK: u64 = 0x20;
/// INT n: `INTERRUPT + n`.
pub const INTERRUPT: u64 = 0x100;
