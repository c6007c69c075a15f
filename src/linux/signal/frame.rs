//! The frame of a signal handler on the guest's stack, and the way back (arch/x86/kernel/signal_64.c, struct rt_sigframe).

use super::{AUTODISARM, Action, AltStack, Handler, fpstate, sa};
use crate::guest::rflags::{AC, AF, CF, DF, OF, PF, RF, SF, TF, ZF};
use crate::guest::{Addr, CpuState, Gpr, cpuid};
use crate::host::copy::{self, Fault};
use crate::host::signals::{SigInfo, signo};
use crate::host::sys::Errno;
use crate::linux::task::Task;

/// Below the stack pointer, the guest's own (System V ABI).
const RED_ZONE: u64 = 128;
/// Size of struct rt_sigframe.
const SIZE: usize = 440;
/// Words of the frame, as indices: pretcode, then struct ucontext.
const PRETCODE: usize = 0;
const UC: usize = 1;
const UC_FLAGS: usize = UC;
const UC_STACK: usize = UC + 2;
const UC_MCONTEXT: usize = UC + 5;
const UC_SIGMASK: usize = UC_MCONTEXT + 32;
const INFO: usize = UC_SIGMASK + 1;
/// uc_flags: XSAVE's area is in the frame; SS is, and is restored as it stands there.
const FP_XSTATE: u64 = 1;
const SIGCONTEXT_SS: u64 = 2;
const STRICT_RESTORE_SS: u64 = 4;
/// struct sigcontext: registers in this order, then RIP and RFLAGS.
const ORDER: [Gpr; 16] = [
    Gpr::R8,
    Gpr::R9,
    Gpr::R10,
    Gpr::R11,
    Gpr::R12,
    Gpr::R13,
    Gpr::R14,
    Gpr::R15,
    Gpr::Rdi,
    Gpr::Rsi,
    Gpr::Rbp,
    Gpr::Rbx,
    Gpr::Rdx,
    Gpr::Rax,
    Gpr::Rcx,
    Gpr::Rsp,
];
const RIP: usize = 16;
const EFLAGS: usize = 17;
const SEGMENTS: usize = 18;
const ERROR: usize = 19;
const TRAP: usize = 20;
const OLD_MASK: usize = 21;
const CR2: usize = 22;
const FPSTATE: usize = 23;
/// CS, GS, FS, SS of a 64-bit program, 16 bits each.
const FLAT_SEGMENTS: u64 = 0x33 | 0x2b << 48;
/// The flags that a frame restores (FIX_EFLAGS).
const RESTORED: u64 = AC | OF | DF | TF | SF | ZF | AF | PF | CF | RF;

type Words = [u64; SIZE / 8];

/// Stack that a frame takes at most, for AT_MINSIGSTKSZ: as the kernel counts it, a 32-bit program's frame (struct sigframe_ia32, with FSAVE's area) and all
/// padding (init_sigframe_size).
pub fn min_stack() -> u64 {
    const IA32_FRAME: u64 = 736;
    const FSAVE: u64 = 112;
    (IA32_FRAME + 15 + fpstate::size() + FSAVE + 63).next_multiple_of(16)
}

/// Where the frame and its floating point area go.
fn place(task: &mut Task, action: &Action) -> Result<(u64, u64), Fault> {
    let sp = task.thread.state().get(Gpr::Rsp);
    let alt = task.signals.alternate;
    let nested = alt.size != 0 && alt.is_on(sp);
    let mut at = sp.wrapping_sub(RED_ZONE);
    let entering = action.flags & sa::ONSTACK != 0 && alt.size != 0 && !alt.is_on(at);
    if entering {
        at = alt.sp.wrapping_add(alt.size);
    }
    let fp = at.wrapping_sub(fpstate::size()) & !(fpstate::ALIGNMENT - 1);
    // As if the handler had been called: RSP + 8 is a multiple of 16.
    let frame = (fp.wrapping_sub(SIZE as u64) & !15).wrapping_sub(8);
    if (nested || entering) && !alt.contains(frame) {
        return Err(Fault(Addr(frame)));
    }
    Ok((frame, fp))
}

/// Writes the frame of `action`'s handler, and has the guest continue there. `mask` is restored when the handler returns.
pub fn push(task: &mut Task, action: &Action, info: &SigInfo, mask: u64) -> Result<(), Fault> {
    let Handler::At(handler) = action.handler else { return Ok(()) };
    let (frame, fp) = place(task, action)?;
    if action.flags & sa::RESTORER == 0 {
        return Err(Fault(Addr(frame)));
    }
    let (alt, trap) = (task.signals.alternate, task.signals.trap);
    let s = task.thread.state();
    let mut words: Words = [0; SIZE / 8];
    words[PRETCODE] = action.restorer;
    words[UC_FLAGS] = SIGCONTEXT_SS | STRICT_RESTORE_SS | if cpuid::cpu().xcr0() != 0 { FP_XSTATE } else { 0 };
    words[UC_STACK..UC_STACK + 3].copy_from_slice(&[alt.sp, alt.flags as u64, alt.size]);
    let context = &mut words[UC_MCONTEXT..UC_SIGMASK];
    context[..16].copy_from_slice(&ORDER.map(|r| s.get(r)));
    for (i, value) in [
        (RIP, s.rip),
        (EFLAGS, s.rflags()),
        (SEGMENTS, FLAT_SEGMENTS),
        (ERROR, trap.error),
        (TRAP, trap.number),
        (OLD_MASK, mask),
        (CR2, trap.cr2),
        (FPSTATE, fp),
    ] {
        context[i] = value;
    }
    words[UC_SIGMASK] = mask;
    words[INFO..].copy_from_slice(info);
    fpstate::save(s, fp)?;
    copy::write(Addr(frame), words)?;

    enter(s, handler, frame, signo(info));
    if alt.flags & AUTODISARM != 0 {
        task.signals.alternate = AltStack::NONE;
    }
    Ok(())
}

/// The registers that a handler starts with.
fn enter(s: &mut CpuState, handler: u64, frame: u64, signal: i32) {
    s.rip = handler;
    for (r, value) in [
        (Gpr::Rsp, frame),
        (Gpr::Rdi, signal as u64),
        (Gpr::Rsi, frame + 8 * INFO as u64),
        (Gpr::Rdx, frame + 8 * UC as u64),
        (Gpr::Rax, 0),
    ] {
        s.set(r, value);
    }
    s.df = 0;
    s.system_flags &= !(TF | RF);
    fpstate::reset(s);
}

/// rt_sigreturn(2): back to what the frame says. An error means that it cannot be read.
pub fn sigreturn(task: &mut Task) -> Result<(), Errno> {
    let efault = |_: Fault| Errno(libc::EFAULT);
    let frame = Addr(task.thread.state().get(Gpr::Rsp).wrapping_sub(8));
    // Up to the mask: nothing behind it is looked at.
    let words = copy::read::<[u64; INFO]>(frame).map_err(efault)?;
    let context = &words[UC_MCONTEXT..UC_SIGMASK];
    let s = task.thread.state();
    for (word, r) in context.iter().zip(ORDER) {
        s.set(r, *word);
    }
    s.rip = context[RIP];
    let flags = s.rflags() & !RESTORED | context[EFLAGS] & RESTORED;
    s.set_rflags(flags);
    match context[FPSTATE] {
        0 => fpstate::reset(s),
        at if fpstate::restore(s, at).is_err() => {
            fpstate::reset(s);
            return Err(Errno(libc::EFAULT));
        }
        _ => {}
    }
    let sp = s.get(Gpr::Rsp);
    let alt = AltStack { sp: words[UC_STACK], size: words[UC_STACK + 2], flags: words[UC_STACK + 1] as u32 };
    // As the kernel: errors of this are nobody's.
    let _ = task.signals.set_alternate(alt, sp);
    task.signals.blocked = words[UC_SIGMASK] & !super::UNBLOCKABLE;
    crate::host::signals::set_mask(task.signals.blocked);
    Ok(())
}

impl super::Signals {
    /// sigaltstack(2): EPERM while it is in use, EINVAL for unknown flags, ENOMEM if it is too small.
    pub fn set_alternate(&mut self, new: AltStack, sp: u64) -> Result<(), Errno> {
        const SMALLEST: u64 = 2048;
        const DISABLE: u32 = libc::SS_DISABLE as u32;
        const ONSTACK: u32 = libc::SS_ONSTACK as u32;
        if self.alternate.is_on(sp) {
            return Err(Errno(libc::EPERM));
        }
        self.alternate = match new.flags & !AUTODISARM {
            DISABLE => AltStack { sp: 0, size: 0, flags: new.flags },
            0 | ONSTACK if new.size < SMALLEST => return Err(Errno(libc::ENOMEM)),
            0 | ONSTACK => new,
            _ => return Err(Errno(libc::EINVAL)),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_stack_is_the_kernels() {
        // Debian 12 on a processor with AVX and without AVX-512.
        let (model, features) = cpuid::models::parse("max").unwrap();
        assert_eq!(736 + 15 + cpuid::Cpu { model, features }.xsave_size() + 4 + 112 + 63, 1762);
        assert_eq!(min_stack() % 16, 0);
    }

    #[test]
    fn the_frame_is_laid_out_as_the_kernel_does() {
        // Offsets by <asm/ucontext.h> and <asm/sigcontext.h>: uc_mcontext is at 40 of ucontext, uc_sigmask at 296, info behind.
        assert_eq!((8 * UC_MCONTEXT - 8, 8 * UC_SIGMASK - 8, 8 * INFO), (40, 296, 312));
        assert_eq!(8 * INFO + 128, SIZE);
        assert_eq!(8 * FPSTATE, 184, "offsetof(struct sigcontext, fpstate)");
    }
}
