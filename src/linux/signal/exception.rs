//! From the processor's exceptions to signals (arch/x86/kernel/traps.c, arch/x86/mm/fault.c).

use super::{SI_KERNEL, Trap, force, fpstate, siginfo};
use crate::engine::{Exception, Exit, Pages};
use crate::guest::Addr;
use crate::host::{copy, process as host};
use crate::linux::task::Task;

/// Bits of a page fault's error code.
mod error {
    pub const PRESENT: u64 = 1;
    pub const WRITE: u64 = 2;
    pub const USER: u64 = 4;
    pub const FETCH: u64 = 16;
}

/// Exception numbers (Intel SDM vol. 3, table 6-1).
mod number {
    pub const DE: u64 = 0;
    pub const DB: u64 = 1;
    pub const BP: u64 = 3;
    pub const UD: u64 = 6;
    pub const SS: u64 = 12;
    pub const GP: u64 = 13;
    pub const PF: u64 = 14;
    pub const MF: u64 = 16;
    pub const XM: u64 = 19;
}

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const ILL_ILLOPN: i32 = 2;
const FPE_INTDIV: i32 = 1;
const FPE_FLTDIV: i32 = 3;
const FPE_FLTOVF: i32 = 4;
const FPE_FLTUND: i32 = 5;
const FPE_FLTRES: i32 = 6;
const FPE_FLTINV: i32 = 7;
const TRAP_BRKPT: i32 = 1;

/// What an exception becomes.
struct Raised {
    signal: i32,
    code: i32,
    address: u64,
    number: u64,
    error: u64,
}

/// The code of a floating point exception whose unmasked flags are `flags` (fpu__exception_code).
fn float_code(flags: u32) -> i32 {
    match flags {
        f if f & 1 != 0 => FPE_FLTINV,
        f if f & 4 != 0 => FPE_FLTDIV,
        f if f & 8 != 0 => FPE_FLTOVF,
        f if f & 0x12 != 0 => FPE_FLTUND,
        f if f & 0x20 != 0 => FPE_FLTRES,
        _ => 0,
    }
}

/// Is it an address that a 48-bit processor translates at all?
fn canonical(at: u64) -> bool {
    let high = at as i64 >> 47;
    high == 0 || high == -1
}

/// A #GP, also for an address that is none.
fn protection(error: u64) -> Raised {
    Raised { signal: libc::SIGSEGV, code: SI_KERNEL, address: 0, number: number::GP, error }
}

/// A fault on memory. `access`: WRITE, FETCH or 0.
fn page_fault(task: &Task, signal: i32, code: i32, at: Addr, access: u64) -> Raised {
    if !canonical(at.0) {
        return protection(0);
    }
    // The kernel's half looks like present pages that are not the user's, whatever is there.
    let present = at.0 >> 47 != 0 || code == SEGV_ACCERR && task.process.mm.page(at).is_some_and(|p| p.readable);
    let error = error::USER | access | if present && signal == libc::SIGSEGV { error::PRESENT } else { 0 };
    Raised { signal, code, address: at.0, number: number::PF, error }
}

/// Says which instruction is not offered, and why.
#[cold]
fn explain(rip: u64) {
    if !log::log_enabled!(log::Level::Warn) {
        return;
    }
    let mut bytes = [0u8; 15];
    let n = (1..=bytes.len()).rev().find(|n| copy::read_bytes(Addr(rip), &mut bytes[..*n]).is_ok()).unwrap_or(0);
    let (name, why) = crate::translate::offered::explain(&bytes[..n]);
    log::warn!("undefined instruction at {rip:#x}: {name} ({:02x?}): {why}", &bytes[..n]);
}

/// Has the guest receive the signal that `exit` means.
pub fn raise_exit(task: &mut Task, exit: Exit) {
    let state = task.thread.state();
    let (rip, x87, mxcsr) = (state.rip, state.x87, fpstate::mxcsr(state));
    if let Exit::MemoryFault { code: SEGV_MAPERR, address, .. } = exit
        && task.process.mm.grow_down(address, host::limit(libc::RLIMIT_STACK as u64).map_or(u64::MAX, |l| l.0))
    {
        return;
    }
    let at_instruction = |signal, code, number| Raised { signal, code, address: rip, number, error: 0 };
    let raised = match exit {
        Exit::MemoryFault { address, stack: true, .. } if !canonical(address.0) => {
            Raised { signal: libc::SIGBUS, code: SI_KERNEL, address: 0, number: number::SS, error: 0 }
        }
        Exit::MemoryFault { signal, code, address, write, .. } => page_fault(task, signal, code, address, if write { error::WRITE } else { 0 }),
        Exit::FetchFault => {
            // An instruction may begin in a page that is there and go on in one that is not.
            let begins = task.process.mm.page(Addr(rip)).is_some_and(|p| p.executable);
            let at = Addr(if begins { (rip | 0xfff) + 1 } else { rip });
            let mapped = task.process.mm.page(at).is_some();
            page_fault(task, libc::SIGSEGV, if mapped { SEGV_ACCERR } else { SEGV_MAPERR }, at, error::FETCH)
        }
        Exit::Exception(exception) => match exception {
            Exception::Divide => at_instruction(libc::SIGFPE, FPE_INTDIV, number::DE),
            Exception::Undefined => {
                explain(rip);
                at_instruction(libc::SIGILL, ILL_ILLOPN, number::UD)
            }
            Exception::Debug => at_instruction(libc::SIGTRAP, TRAP_BRKPT, number::DB),
            Exception::Breakpoint => Raised { signal: libc::SIGTRAP, code: SI_KERNEL, address: 0, number: number::BP, error: 0 },
            Exception::GeneralProtection => protection(0),
            // The error code names the gate of the interrupt table.
            Exception::Interrupt(n) => protection(u64::from(n) << 3 | 2),
            Exception::X87 => at_instruction(libc::SIGFPE, float_code(u32::from(x87.status & !x87.control)), number::MF),
            Exception::Simd => at_instruction(libc::SIGFPE, float_code(mxcsr & !(mxcsr >> 7)), number::XM),
        },
        Exit::Syscall | Exit::Called(_) | Exit::Interrupt => return,
    };
    let cr2 = if raised.number == number::PF { raised.address } else { task.signals.trap().cr2 };
    task.signals.set_trap(Trap { number: raised.number, error: raised.error, cr2 });
    force(task, siginfo(raised.signal, raised.code, raised.address));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_codes_have_the_kernels_priority() {
        for (flags, code) in [(0x3f, FPE_FLTINV), (0x3e, FPE_FLTDIV), (0x3a, FPE_FLTOVF), (0x32, FPE_FLTUND), (2, FPE_FLTUND), (0x20, FPE_FLTRES), (0, 0)] {
            assert_eq!(float_code(flags), code);
        }
    }

    #[test]
    fn canonical_addresses() {
        assert!(canonical(0) && canonical((1 << 47) - 1) && canonical(u64::MAX) && canonical(!0 << 47));
        assert!(!canonical(1 << 47) && !canonical(0x4141_4141_4141_4141));
    }
}
