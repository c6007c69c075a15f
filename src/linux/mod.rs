//! linux
pub mod memory;
mod elf;
pub mod loader;
mod script;
pub mod stack;
pub mod vdso;
