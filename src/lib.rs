//! xemu: runs x86_64 Linux programs on ARM64 Linux. `docs/architecture.md` is the map.

#![deny(unsafe_code)]

pub mod agent;
pub mod binfmt;
pub mod commands;
pub mod debug;
pub mod decode;
pub mod doctor;
pub mod emit;
pub mod engine;
pub mod guest;
pub mod helpers;
#[allow(unsafe_code)] // The one fence: operating system, code memory, entering translated code.
pub mod host;
pub mod interpret;
pub mod linux;
pub mod optimize;
pub mod options;
pub mod translate;
