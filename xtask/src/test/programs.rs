//! Whole programs in a Debian root file system.
use super::Context;
use crate::Result;
/// Runs the suite.
pub fn run(_context: &Context) -> Result<()> {
    Ok(())
}
