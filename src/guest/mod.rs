//! The x86-64 machine as data: registers, flags, addresses. Knows nothing of hosts, translation or Linux.

#![forbid(unsafe_code)]

pub mod addr;
pub mod cpuid;
pub mod exception;
pub mod rflags;
pub mod state;
pub mod xsave;

pub use addr::Addr;
pub use state::{CpuState, Gpr};
