//! The AArch64 assembler vocabulary: typed registers, one function an instruction form, and the few sequences that depend on what the
//! host offers (LSE, LRCPC, FlagM…). The only user of dynasm. Knows nothing of x86 beyond which host register holds which guest register.

#![forbid(unsafe_code)]

mod asm;
mod atomic;
mod bits;
mod branch;
pub mod calls;
mod code;
mod convert;
pub mod delivery;
mod detour;
mod features;
mod imm;
mod memory;
pub mod own_calls;
pub mod regs;
pub mod simd;
pub mod stubs;
pub mod tables;

pub use asm::{Alu, Asm, Cond, Shift, Size};
pub use atomic::Rmw;
pub use branch::{BL, Finished, Label, always, patch_branch, redirect_conditional};
pub use code::Buffers;
pub use detour::{DETOUR, detour};
pub use features::Features;
pub use imm::{is_add_imm, is_logical_imm};
pub use memory::{Mem, Order, Width};
pub use regs::{V, X};
