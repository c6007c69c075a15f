//! Everything unsafe: raw system calls, memory mappings, guest memory access, code memory, entering translated code, host signals.
//!
//! Soundness limit, stated once: the guest shares our address space (docs/architecture.md, invariant 2). A guest that knows where xemu's
//! own memory lies can overwrite it; `linux::memory` refuses to map there, and nothing more is promised. Translated code is
//! trusted to touch only guest memory and the `CpuState` it is given.
//!
//! A leaf: knows nothing of Linux emulation, translation or the engine.

pub mod alu;
pub mod arena;
pub mod copy;
pub mod exclusion;
pub mod fatal;
pub mod fault;
pub mod file;
pub mod fp;
pub mod frame;
pub mod heap;
pub mod link;
pub mod memory;
pub mod process;
pub mod processor;
pub mod protection;
pub mod random;
pub mod reserved;
pub mod signals;
pub mod spawn;
pub mod sys;
pub mod thread;
pub mod tls;
pub mod touch;
