//! Why translated code stopped.

use crate::guest::Addr;

/// Why a guest thread stopped; its `CpuState` is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// SYSCALL was executed: RIP is behind it, RCX and R11 hold what the instruction puts there.
    Syscall,
    /// The same, and translated code has made the call: its number; RAX holds its result.
    Called(u64),
    /// `Thread::interrupt` was called (a signal is to be looked at); RIP is at an instruction boundary.
    Interrupt,
    /// A processor exception at RIP.
    Exception(Exception),
    /// The guest touched memory that it may not: a host signal (SIGSEGV or SIGBUS) with its si_code; RIP is at the instruction.
    MemoryFault {
        /// Host signal number: SIGSEGV or SIGBUS.
        signal: i32,
        /// si_code as the host gave it (SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR…).
        code: i32,
        /// The address.
        address: Addr,
        /// Was it a write, or the read of an instruction that writes there too?
        write: bool,
        /// Did it go by the stack segment?
        stack: bool,
    },
    /// Instruction fetch from a page that is not mapped or not executable (RIP is the address).
    FetchFault,
}

/// Exceptions that instructions raise by themselves (Intel SDM vol. 3, 6.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// #DE: division by zero or overflow. RIP at the instruction.
    Divide,
    /// #DB after INT1 (RIP behind) or TF.
    Debug,
    /// #BP: INT3; RIP behind it.
    Breakpoint,
    /// #UD.
    Undefined,
    /// #GP(0): privileged instruction, non-canonical address, misaligned SSE operand…
    GeneralProtection,
    /// #MF: unmasked x87 exception.
    X87,
    /// #XM: unmasked SIMD exception.
    Simd,
    /// INT n of another number (n is the argument): #GP to the guest in 64-bit mode.
    Interrupt(u8),
}
