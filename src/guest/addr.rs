//! Guest addresses. A guest address is a host address too (docs/architecture.md, invariant 2), but the type keeps the two apart.

use std::fmt;

/// A guest virtual address, 0 to 2^64-1; mapped ones lie below 2^47.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Addr(pub u64);

/// Size of an x86_64 page in bytes. The host's page may be larger.
pub const PAGE_SIZE: u64 = 4096;

impl Addr {
    /// The address `n` bytes on, wrapping as the processor does.
    pub fn plus(self, n: u64) -> Addr {
        Addr(self.0.wrapping_add(n))
    }
    /// Start of the guest page that holds this address.
    pub fn page(self) -> Addr {
        Addr(self.0 & !(PAGE_SIZE - 1))
    }
    /// Rounded up to a guest page boundary; saturates at the last page.
    pub fn page_up(self) -> Addr {
        Addr(self.0.checked_add(PAGE_SIZE - 1).unwrap_or(u64::MAX) & !(PAGE_SIZE - 1))
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
