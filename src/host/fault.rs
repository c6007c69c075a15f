//! The host's synchronous signals: faults in translated code, in guest memory access from Rust, and our own bugs.
//!
//! The handler runs on an alternate stack, allocates nothing and takes no lock: it notes what happened in the faulting thread's `CpuState`
//! and lets it continue in the stub that leaves translated code; the engine does the rest in ordinary context.

use super::arena::{FAULT_STUB, RANGE};
use super::signals::KernelAction;
use super::sys::{self, Errno};
use super::thread::{GUARD_BELOW_STATE, POLL_ABOVE_STATE};
use crate::emit::stubs::kind;
use crate::guest::CpuState;
use std::sync::atomic::Ordering;

/// Size of the alternate stack.
pub const ALT_STACK: u64 = 0x1_0000;

/// Gives this thread an alternate stack for handlers.
pub fn alternate_stack() -> Result<(), Errno> {
    let stack = super::arena::own_memory(ALT_STACK, libc::PROT_READ | libc::PROT_WRITE)?;
    let ss = libc::stack_t { ss_sp: stack as *mut libc::c_void, ss_flags: 0, ss_size: ALT_STACK as usize };
    // SAFETY: the stack is a fresh mapping that lives as long as the thread.
    unsafe { sys::call(libc::SYS_sigaltstack, [&raw const ss as u64, 0, 0, 0, 0, 0]) }?;
    Ok(())
}

/// Gives the calling thread an alternate stack, and installs the handlers of SIGSEGV and SIGBUS.
pub fn install() -> Result<(), Errno> {
    alternate_stack()?;
    install_handlers()
}

/// Installs the handlers again, after an execve that failed.
pub fn install_handlers() -> Result<(), Errno> {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        let action = KernelAction {
            handler: on_fault as *const () as usize,
            // A call that the signal finds, sent by somebody, goes by the guest's own settings.
            flags: (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART) as u64,
            restorer: 0,
            mask: 0,
        };
        // SAFETY: the handler keeps to the rules above.
        unsafe { sys::call(libc::SYS_rt_sigaction, [signal as u64, &raw const action as u64, 0, 8, 0, 0]) }?;
    }
    Ok(())
}

/// Does the instruction word write memory? (Arm ARM C4.1, loads and stores.)
pub fn writes(word: u32) -> bool {
    if word & 0x0a00_0000 != 0x0800_0000 {
        return false;
    }
    // LSE atomics and CAS write although their L bit says load; LDAPR is encoded among them and does not.
    let lse = word & 0x3b20_0c00 == 0x3820_0000 && word & 0xf000 != 0xc000;
    let cas = word & 0x3fa0_7c00 == 0x08a0_7c00;
    // LDUR and STUR with their kin, LDR and STR, LDAPUR and STLUR (of vectors too).
    let load = if matches!(word & 0x3b00_0000, 0x3800_0000 | 0x3900_0000 | 0x1900_0000) {
        // opc: 00 store; for vectors 10 is a 128-bit store.
        let opc = word >> 22 & 3;
        opc != 0 && !(word >> 26 & 1 == 1 && opc == 2)
    } else {
        word >> 22 & 1 == 1
    };
    lse || cas || !load
}

/// Where what accesses guest memory at `pc` goes on after a fault.
#[cfg(target_arch = "aarch64")]
fn fixup(pc: u64) -> Option<u64> {
    super::copy::fixup(pc).or_else(|| super::touch::fixup(pc)).or_else(|| super::frame::fixup(pc)).or_else(|| super::arena::guarded(pc))
}

#[cfg(target_arch = "aarch64")]
extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo and ucontext.
    let (info, uc) = unsafe { (&*info, &mut *context.cast::<libc::ucontext_t>()) };
    if info.si_code <= 0 {
        // Sent by somebody (kill and the like), not raised by the processor.
        // SAFETY: a siginfo is 128 bytes.
        super::signals::deliver(unsafe { &*(&raw const *info).cast() }, super::signals::Interrupted::new(uc));
        return;
    }
    let m = &mut uc.uc_mcontext;
    if let Some(fix) = fixup(m.pc) {
        m.pc = fix;
        return;
    }
    // SAFETY: si_addr is valid for SIGSEGV and SIGBUS.
    let address = unsafe { info.si_addr() } as u64;
    if m.pc >= RANGE[0].load(Ordering::Acquire) && m.pc < RANGE[1].load(Ordering::Acquire) {
        let at = m.regs[28];
        // SAFETY: in translated code x28 is the thread's state, which nobody else touches.
        let state = unsafe { &mut *(at as *mut CpuState) };
        let below = at.wrapping_sub(address);
        if GUARD_BELOW_STATE.contains(&below) {
            // The shadow stack is full: start over. Older entries are lost, not wrong. Calls look for signals here: the instruction has done nothing yet, and runs again.
            m.regs[27] = state.shadow_top;
        }
        if GUARD_BELOW_STATE.contains(&below) || POLL_ABOVE_STATE.contains(&address.wrapping_sub(at)) {
            state.exit_kind = kind::POLL;
        } else {
            state.exit_kind = kind::FAULT;
            // SAFETY: the pc lies in the arena, which is readable.
            let word = unsafe { *(m.pc as *const u32) };
            state.scratch[..4].copy_from_slice(&[signal as u64, info.si_code as u64, address, writes(word) as u64]);
        }
        state.exit_arg = m.pc;
        m.pc = FAULT_STUB.load(Ordering::Acquire);
        return;
    }
    super::fatal::internal_error(signal, m.pc, address);
}
#[cfg(not(target_arch = "aarch64"))]
extern "C" fn on_fault(signal: i32, _info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let _ = (RANGE[0].load(Ordering::Acquire), FAULT_STUB.load(Ordering::Acquire), GUARD_BELOW_STATE, POLL_ABOVE_STATE, kind::POLL, std::mem::size_of::<CpuState>());
    super::fatal::internal_error(signal, 0, 0);
}

#[cfg(test)]
mod tests {
    use super::writes;

    #[test]
    fn stores_are_told_from_loads() {
        for (word, write) in [
            (0xf940_0000u32, false), // ldr x0, [x0]
            (0xf900_0000, true),     // str x0, [x0]
            (0x3dc0_0000, false),    // ldr q0, [x0]
            (0x3d80_0000, true),     // str q0, [x0]
            (0xa940_0400, false),    // ldp x0, x1, [x0]
            (0xa900_0400, true),     // stp x0, x1, [x0]
            (0xc89f_fc01, true),     // stlr x1, [x0]
            (0xc8df_fc01, false),    // ldar x1, [x0]
            (0xf8bf_c001, false),    // ldapr x1, [x0]
            (0xf8e1_0002, true),     // ldaddal x1, x2, [x0]
            (0xc8e1_fc02, true),     // casal x1, x2, [x0]
            (0xf81f_8c01, true),     // str x1, [x0, #-8]!
            (0x3880_0001, false),    // ldursb x1, [x0]
            (0x3c80_0001, true),     // stur q1, [x0]
            (0x9980_0001, false),    // ldapursw x1, [x0]
            (0x9940_0001, false),    // ldapur w1, [x0]
            (0xd900_0001, true),     // stlur x1, [x0]
            (0x1dc0_0801, false),    // ldapur q1, [x0]
            (0x1d80_0801, true),     // stlur q1, [x0]
        ] {
            assert_eq!(writes(word), write, "{word:#x}");
        }
    }
}
