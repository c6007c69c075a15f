//! rootfs
use crate::Result;
use std::{ffi::OsString, process::ExitCode};
/// Entry of the command.
pub fn main(_args: Vec<OsString>) -> Result<ExitCode> {
    Err("not built yet".into())
}
