//! Runs translated code: looks up, translates, links, invalidates, and turns whatever stops the guest into an [`Exit`].
//!
//! Never names `linux`: what the operating system means by an exit is decided there.

pub mod exit;
pub use exit::{Exception, Exit};

use crate::guest::{Addr, CpuState};

/// What the engine must know of a guest page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageInfo {
    /// The guest may read it.
    pub readable: bool,
    /// The guest may write it.
    pub writable: bool,
    /// The guest may execute it.
    pub executable: bool,
    /// Shared mapping.
    pub shared: bool,
}

/// The guest's address space.
pub trait Pages: Sync {
    /// The page that holds `addr`; None if nothing is mapped.
    fn page(&self, addr: Addr) -> Option<PageInfo>;
}

/// Options.
#[derive(Clone, Default)]
pub struct Options {}

/// One per process.
pub struct Engine {}

/// One guest thread.
pub struct Thread {
    state: Box<CpuState>,
}

impl Engine {
    /// Starts.
    pub fn start(_options: Options, _pages: &'static dyn Pages) -> &'static Engine {
        Box::leak(Box::new(Engine {}))
    }
    /// A new thread.
    pub fn thread(&'static self) -> Thread {
        Thread { state: Box::new(CpuState::default()) }
    }
    /// Guest memory changes.
    pub fn invalidate(&self, _start: Addr, _len: u64) {}
    /// The kernel writes.
    pub fn prepare_write(&self, _start: Addr, _len: u64) {}
}

impl Thread {
    /// State.
    pub fn state(&mut self) -> &mut CpuState {
        &mut self.state
    }
    /// Runs.
    pub fn run(&mut self) -> Exit {
        Exit::FetchFault
    }
    /// After fork, in the child.
    pub fn fork_child(&mut self) {}
}
