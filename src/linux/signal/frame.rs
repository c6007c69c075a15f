//! The frame of a signal handler on the guest's stack, and the way back (arch/x86/kernel/signal_64.c, struct rt_sigframe).

use crate::emit::own_calls::frame as stub;
use super::{AUTODISARM, Action, AltStack, Handler, fpstate, sa};
use crate::guest::rflags::{AC, AF, CF, DF, OF, PF, RF, SF, TF, ZF};
use crate::guest::state::MXCSR_INIT;
use crate::guest::{Addr, CpuState, Gpr, cpuid};
use crate::host::copy::{self, Fault};
use crate::host::frame as host;
use crate::host::signals::{SigInfo, signo};
use crate::host::sys::Errno;
use crate::linux::task::Task;

/// Below the stack pointer, the guest's own (System V ABI).
const RED_ZONE: u64 = 128;
/// Size of struct rt_sigframe.
const SIZE: usize = 440;
/// Words of the frame, as indices: pretcode, then struct ucontext: flags, link, stack, registers, mask.
const UC: usize = 1;
const UC_STACK: usize = UC + 2;
const UC_MCONTEXT: usize = UC + 5;
const UC_SIGMASK: usize = UC_MCONTEXT + 32;
const INFO: usize = UC_SIGMASK + 1;
/// uc_flags: XSAVE's area is in the frame; SS is, and is restored as it stands there.
const FP_XSTATE: u64 = 1;
const SIGCONTEXT_SS: u64 = 2;
const STRICT_RESTORE_SS: u64 = 4;
/// With XSAVE's area.
pub(super) const USUAL_FLAGS: u64 = FP_XSTATE | SIGCONTEXT_SS | STRICT_RESTORE_SS;
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
/// Segments, error and trap stand in between; CR2 behind.
const OLD_MASK: usize = 21;
const FPSTATE: usize = 23;
/// CS, GS, FS, SS of a 64-bit program, 16 bits each.
pub(super) const FLAT_SEGMENTS: u64 = 0x33 | 0x2b << 48;
/// The flags that a frame restores (FIX_EFLAGS).
const RESTORED: u64 = AC | OF | DF | TF | SF | ZF | AF | PF | CF | RF;

type Words = [u64; SIZE / 8];

/// The stub that returns from handlers has its own names for these places, from struct ucontext on.
const _: () = {
    const fn at(word: usize) -> i32 {
        8 * (word as i32 - UC as i32)
    }
    assert!(at(UC_STACK) == stub::STACK && at(UC_MCONTEXT) == stub::REGISTERS && at(UC_SIGMASK) == stub::MASK);
    assert!(SIZE as u64 == stub::SIZE && RED_ZONE == stub::RED_ZONE);
    assert!(at(UC_MCONTEXT + RIP) == stub::RIP && at(UC_MCONTEXT + EFLAGS) == stub::FLAGS && at(UC_MCONTEXT + FPSTATE) == stub::AREA);
};

/// Stack that a frame takes at most, for AT_MINSIGSTKSZ: as the kernel counts it, a 32-bit program's frame (struct sigframe_ia32, with FSAVE's area) and all
/// padding (init_sigframe_size).
pub fn min_stack() -> u64 {
    const IA32_FRAME: u64 = 736;
    const FSAVE: u64 = 112;
    (IA32_FRAME + 15 + fpstate::size() + FSAVE + 63).next_multiple_of(16)
}

/// Where the frame and its floating point area of `size` bytes go.
fn place(task: &mut Task, action: &Action, size: u64) -> Result<(u64, u64), Fault> {
    let sp = task.thread.state().get(Gpr::Rsp);
    let alt = task.signals.alternate();
    let nested = alt.size != 0 && alt.is_on(sp);
    let mut at = sp.wrapping_sub(RED_ZONE);
    let entering = action.flags & sa::ONSTACK != 0 && alt.size != 0 && !alt.is_on(at);
    if entering {
        at = alt.sp.wrapping_add(alt.size);
    }
    let fp = at.wrapping_sub(size) & !(fpstate::ALIGNMENT - 1);
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
    let usual = task.signals.marks();
    let (frame, fp) = place(task, action, usual.map_or_else(fpstate::size, fpstate::marked_size))?;
    if action.flags & sa::RESTORER == 0 {
        return Err(Fault(Addr(frame)));
    }
    let (alt, trap) = (task.signals.alternate(), task.signals.trap());
    let xstate = usual.is_some() || cpuid::cpu().xcr0() != 0;
    let s = task.thread.state();
    let words = host::Words {
        head: [action.restorer, if xstate { USUAL_FLAGS } else { USUAL_FLAGS & !FP_XSTATE }, 0, alt.sp, alt.flags as u64, alt.size],
        context: [s.rip, s.rflags(), FLAT_SEGMENTS, trap.error, trap.number, mask, trap.cr2, fp],
        mxcsr: fpstate::mxcsr_words(s),
        marks: usual.unwrap_or_default(),
    };
    if usual.is_some() && fpstate::is_empty(s) && host::push(frame, fp, s, &words, info) {
        fpstate::set_mxcsr(s, MXCSR_INIT);
    } else {
        push_pieces(s, frame, &words, info)?;
        fpstate::reset(s);
    }
    enter(s, handler, frame, signo(info));
    task.thread.returns_to(action.restorer);
    if alt.flags & AUTODISARM != 0 {
        task.signals.replace_alternate(AltStack::NONE);
    }
    Ok(())
}

/// The same in whatever form, where it can be written.
#[cold]
fn push_pieces(s: &CpuState, frame: u64, pieces: &host::Words, info: &SigInfo) -> Result<(), Fault> {
    let mut words: Words = [0; SIZE / 8];
    words[..UC_MCONTEXT].copy_from_slice(&pieces.head);
    let context = &mut words[UC_MCONTEXT..UC_SIGMASK];
    context[..16].copy_from_slice(&ORDER.map(|r| s.get(r)));
    context[RIP..=FPSTATE].copy_from_slice(&pieces.context);
    let (mask, fp) = (context[OLD_MASK], context[FPSTATE]);
    words[UC_SIGMASK] = mask;
    words[INFO..].copy_from_slice(info);
    fpstate::save(s, fp)?;
    copy::write(Addr(frame), words)
}

/// The general registers and flags that a handler starts with.
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
    task.signals.block(words[UC_SIGMASK]);
    // If one is here already it is delivered now, and then the mask is set. One that came in between would go to the end of the kernel's queue.
    let _ = crate::host::signals::try_set_mask(task.signals.blocked());
    Ok(())
}

impl super::Signals {
    /// sigaltstack(2): EPERM while it is in use, EINVAL for unknown flags, ENOMEM if it is too small.
    pub fn set_alternate(&mut self, new: AltStack, sp: u64) -> Result<(), Errno> {
        const SMALLEST: u64 = 2048;
        const DISABLE: u32 = libc::SS_DISABLE as u32;
        const ONSTACK: u32 = libc::SS_ONSTACK as u32;
        if self.alternate().is_on(sp) {
            return Err(Errno(libc::EPERM));
        }
        let new = match new.flags & !AUTODISARM {
            DISABLE => AltStack { sp: 0, size: 0, flags: new.flags },
            0 | ONSTACK if new.size < SMALLEST => return Err(Errno(libc::ENOMEM)),
            0 | ONSTACK => new,
            _ => return Err(Errno(libc::EINVAL)),
        };
        self.replace_alternate(new);
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
        assert_eq!((8 * INFO + 128, 8 * INFO), (SIZE, host::INFO));
        assert_eq!(8 * FPSTATE, 184, "offsetof(struct sigcontext, fpstate)");
    }
}
