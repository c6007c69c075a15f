//! Guest signals: dispositions, masks, pending signals, and their delivery at the boundaries of guest instructions.
//!
//! The host's mask mirrors the guest's, and the host's disposition is SIG_DFL or SIG_IGN where the guest's is, so the kernel does the
//! queueing, ignoring, stopping and killing. What has a guest handler lands in the thread's inbox (`host::signals`); [`deliver`] takes it from
//! there, as the kernel's exit to user mode does (arch/x86/kernel/signal.c). While the inbox's asynchronous slot is taken all signals are
//! blocked on the host, and [`deliver`] sets the mask that the guest's handler runs with: never two of them at once.

mod actions;
mod exception;
mod frame;
pub(in crate::linux) mod fpstate;
mod known;

pub use actions::{Action, Catcher, Handler, SigHand, sa};
pub use exception::raise_exit;
pub use frame::{min_stack, sigreturn};

use known::Known;
use super::coredump;
use super::gdb;
use super::task::Task;
use crate::guest::{Addr, Gpr};
use crate::host::signals::{self as host, Inbox, NEVER_BLOCKED, Registered, SigInfo, bit, signo};
use crate::host::sys::{Errno, NOT_BEGUN, RESTART};
use crate::host::{copy, process};
use std::sync::atomic::Ordering;

/// libc lacks it on some hosts.
const IO_PGETEVENTS: i64 = syscalls::Sysno::io_pgetevents as i64;

/// SIGKILL and SIGSTOP: neither blocked nor handled.
pub const UNBLOCKABLE: u64 = bit(libc::SIGKILL) | bit(libc::SIGSTOP);

/// A thread's alternate stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AltStack {
    /// Lowest address.
    pub sp: u64,
    /// Bytes; 0: none.
    pub size: u64,
    /// SS_DISABLE, or 0 or SS_ONSTACK as set, with SS_AUTODISARM.
    pub flags: u32,
}

/// SS_AUTODISARM.
pub const AUTODISARM: u32 = 1 << 31;

impl AltStack {
    /// None.
    pub const NONE: AltStack = AltStack { sp: 0, size: 0, flags: libc::SS_DISABLE as u32 };

    /// Does `sp` lie in it?
    pub fn contains(&self, sp: u64) -> bool {
        sp > self.sp && sp - self.sp <= self.size
    }
    /// Is it in use, with the stack pointer `sp`? Never, if it disarms itself.
    pub fn is_on(&self, sp: u64) -> bool {
        self.flags & AUTODISARM == 0 && self.contains(sp)
    }
    /// As sigaltstack(2) reports it.
    pub fn status(&self, sp: u64) -> u32 {
        match self.size {
            0 => libc::SS_DISABLE as u32,
            _ => self.is_on(sp) as u32 * libc::SS_ONSTACK as u32,
        }
    }
}

/// The processor's last exception, as the next frame shows it (trapno, err, cr2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trap {
    /// Exception number.
    pub number: u64,
    /// Its error code.
    pub error: u64,
    /// Address of the last page fault.
    pub cr2: u64,
}

/// What a thread has of signals.
pub struct Signals {
    known: Box<Known>,
    /// The mask to go back to, when a call that waits with another one is over: the frame of a handler restores it.
    pub saved: Option<u64>,
    inbox: Registered,
    /// Raised by the processor, or by a frame that could not be written: comes before all others and is never blocked.
    forced: Option<SigInfo>,
    /// SIGSEGV and SIGBUS that somebody sent while they were blocked.
    held: [Option<SigInfo>; 2],
    /// There may be something in `forced` or `held`: asked at each system call.
    own: bool,
}

impl Signals {
    /// For the calling thread, which blocks what `blocked` says.
    pub fn new(inbox: Box<Inbox>, blocked: u64) -> Signals {
        let inbox = Registered::new(inbox);
        let known = Known::new(blocked, &inbox);
        Signals { known, saved: None, inbox, forced: None, held: [None; 2], own: false }
    }

    /// What stubs must know of it, for `CpuState::signals`.
    pub fn for_stubs(&self) -> u64 {
        &raw const *self.known as u64
    }

    /// Blocked signals: bit n-1 is signal n.
    pub fn blocked(&self) -> u64 {
        self.known.blocked()
    }

    /// The alternate stack.
    pub fn alternate(&self) -> AltStack {
        self.known.alternate()
    }

    /// The last exception.
    pub fn trap(&self) -> Trap {
        self.known.trap()
    }

    /// Remembers an exception.
    pub fn set_trap(&mut self, trap: Trap) {
        self.known.set_trap(trap);
    }

    /// See [`Known::marks`].
    fn marks(&self) -> Option<[u64; 4]> {
        self.known.marks()
    }

    /// Gives the thread another alternate stack, whatever the present one is.
    pub fn replace_alternate(&mut self, new: AltStack) {
        self.known.set_alternate(new);
    }

    /// Is there something to deliver?
    pub fn any(&self) -> bool {
        self.inbox.any() || self.own && (self.forced.is_some() || self.held.iter().flatten().any(|i| self.blocked() & bit(signo(i)) == 0))
    }

    /// Frees those of a thread that is gone.
    pub fn abandon(self) {
        self.inbox.abandon();
    }

    /// In the child of a fork, which begins with all signals blocked: nothing is pending there but what was sent to itself, and the kernel has that.
    pub fn forked(&mut self) {
        while self.inbox.take().is_some() {}
        self.held = [None; 2];
        host::set_mask(self.blocked());
    }

    /// Signals that are pending because they are blocked.
    pub fn pending(&self) -> u64 {
        self.held.iter().flatten().fold(host::pending(), |set, i| set | bit(signo(i))) & self.blocked()
    }

    /// Takes a blocked SIGSEGV or SIGBUS that is in `set`, for sigtimedwait(2).
    pub fn take_held(&mut self, set: u64) -> Option<SigInfo> {
        self.held.iter_mut().find(|h| h.is_some_and(|i| bit(signo(&i)) & set != 0))?.take()
    }

    /// Sets the mask as the guest sees it; the host's follows at the latest when the guest goes on.
    fn block(&mut self, mask: u64) {
        self.known.set_blocked(mask & !UNBLOCKABLE);
    }

    /// Changes the mask at a system call. [`NOT_BEGUN`] if a signal came first.
    pub fn change_mask(&mut self, mask: u64) -> Result<(), Errno> {
        let mask = mask & !UNBLOCKABLE;
        if mask != self.blocked() {
            host::try_set_mask(mask)?;
        }
        self.known.set_blocked(mask);
        Ok(())
    }

    /// The next signal to be delivered, into `info`; false if there is none.
    fn take(&mut self, info: &mut SigInfo) -> bool {
        if self.own
            && let Some(own) = self.take_own()
        {
            *info = own;
            return true;
        }
        let blocked = self.blocked();
        while self.inbox.take_into(info) {
            let mask = bit(signo(info));
            if mask & blocked == 0 {
                return true;
            }
            // Blocked since it arrived: it waits.
            match mask & NEVER_BLOCKED {
                0 => {
                    let _ = host::queue_again(info);
                }
                _ => {
                    self.held[(signo(info) == libc::SIGBUS) as usize] = Some(*info);
                    self.set_own(true);
                }
            }
        }
        false
    }

    /// Says whether there may be something that the host knows nothing of: then stubs deliver nothing.
    fn set_own(&mut self, own: bool) {
        self.own = own;
        if own {
            self.known.forget();
        }
    }

    /// The next one that the host knows nothing of.
    #[cold]
    fn take_own(&mut self) -> Option<SigInfo> {
        if let Some(info) = self.forced.take() {
            return Some(info);
        }
        let blocked = self.blocked();
        if let Some(held) = self.held.iter_mut().find(|h| h.is_some_and(|i| bit(signo(&i)) & blocked == 0)) {
            return held.take();
        }
        self.set_own(self.held.iter().any(Option::is_some));
        None
    }
}

/// Before an execve: what is in the inbox goes back to the kernel, which keeps it for the new program, as it keeps the mask and what is
/// ignored. Until [`after_exec`] no guest memory may be touched.
pub fn before_exec(task: &mut Task) {
    host::block_all();
    while let Some(info) = task.signals.inbox.take() {
        let _ = host::queue_again(&info);
    }
    task.sighand.leave_to_host();
    host::set_exact_mask(task.signals.blocked());
}

/// After an execve that failed.
pub fn after_exec(task: &mut Task) {
    let _ = crate::host::fault::install_handlers();
    host::set_mask(task.signals.blocked());
}

/// A system call that a signal interrupted, to be settled once it is known whether a handler runs.
struct Interrupted {
    number: u64,
    always: bool,
}

impl Interrupted {
    /// Makes the guest repeat the call.
    fn again(self, task: &mut Task) {
        let state = task.thread.state();
        state.set(Gpr::Rax, self.number);
        state.rip = state.rip.wrapping_sub(2);
    }
    /// A handler runs: EINTR, or again.
    fn handled(self, task: &mut Task, restart: bool) {
        if restart || self.always {
            self.again(task);
        } else {
            task.thread.state().set(Gpr::Rax, -(libc::EINTR as i64) as u64);
        }
    }
}

/// After system call `number`, whose result is in RAX: restarts it if a signal was in its way, and delivers what is pending.
pub fn after_call(task: &mut Task, number: u64) {
    let result = task.thread.state().get(Gpr::Rax) as i64;
    let interrupted = match Errno(-result as i32) {
        _ if !(-4095..0).contains(&result) => None,
        RESTART => Some(Interrupted { number, always: false }),
        NOT_BEGUN => Some(Interrupted { number, always: true }),
        _ => None,
    };
    if interrupted.is_some() || task.signals.any() || task.signals.saved.is_some() {
        deliver_all(task, interrupted, Some(number));
    }
}

/// Delivers what is pending. The guest is at an instruction boundary.
pub fn deliver(task: &mut Task) {
    deliver_all(task, None, None);
}

/// `number`: the system call that the guest comes from.
fn deliver_all(task: &mut Task, mut call: Option<Interrupted>, number: Option<u64>) {
    if task.process.threads.is_dying() {
        coredump::stand(task, number);
    }
    // First, so that what comes from here on is noticed.
    task.thread.heed();
    let mut info = [0; 16];
    while task.signals.take(&mut info) {
        if task.debugged.is_some() && !gdb::signalled(task, &mut info) {
            host::set_mask(task.signals.blocked());
            continue;
        }
        let signal = signo(&info);
        let changes = task.sighand.changes().load(Ordering::SeqCst);
        let action = task.sighand.take(signal);
        match action.handler {
            Handler::Ignore => {}
            Handler::Default => default_action(task, &info, number),
            Handler::At(_) => {
                if let Some(call) = call.take() {
                    call.handled(task, action.flags & sa::RESTART != 0);
                }
                handle(task, &action, &info, changes);
            }
        }
        host::set_mask(task.signals.blocked());
    }
    if let Some(call) = call {
        call.again(task);
    }
    if let Some(mask) = task.signals.saved.take() {
        task.signals.block(mask);
        host::set_mask(mask);
        // What the mask for waiting had blocked may be in the inbox by now; the guest's loop looks there again.
    }
}

/// Has the guest run a handler: its frame, its mask. `changes`: how many changes of actions there were before `action` was read.
fn handle(task: &mut Task, action: &Action, info: &SigInfo, changes: u64) {
    let signal = signo(info);
    let before = task.signals.saved.take().unwrap_or(task.signals.blocked());
    if frame::push(task, action, info, before).is_err() {
        // As force_sigsegv: a stack that cannot take the frame of SIGSEGV itself ends the process.
        task.signals.block(before);
        if signal == libc::SIGSEGV {
            task.sighand.reset(signal);
        }
        force(task, kernel_info(libc::SIGSEGV));
        return;
    }
    let own = if action.flags & sa::NODEFER == 0 { bit(signal) } else { 0 };
    let blocks = (action.mask | own) & !UNBLOCKABLE;
    task.signals.block(task.signals.blocked() | blocks);
    if action.flags & sa::RESETHAND == 0 && !task.signals.own {
        task.signals.known.remember(task.sighand.changes(), changes, signal, blocks, action);
    }
}

/// A siginfo with si_code SI_KERNEL and nothing else.
fn kernel_info(signal: i32) -> SigInfo {
    siginfo(signal, SI_KERNEL, 0)
}

/// Sent by the kernel, for no reason that has a code.
const SI_KERNEL: i32 = 0x80;

/// A siginfo with an address.
fn siginfo(signal: i32, code: i32, address: u64) -> SigInfo {
    let mut info = [0; 16];
    info[0] = signal as u64;
    info[1] = code as u32 as u64;
    info[2] = address;
    info
}

/// force_sig_info: a signal that cannot be blocked or ignored; where the guest tries that, the default action takes place.
fn force(task: &mut Task, info: SigInfo) {
    let signal = signo(&info);
    let blocked = task.signals.blocked() & bit(signal) != 0;
    if blocked || task.sighand.get(signal).handler == Handler::Ignore {
        task.sighand.reset(signal);
        let mask = task.signals.blocked() & !bit(signal);
        task.signals.block(mask);
    }
    task.signals.forced = Some(info);
    task.signals.set_own(true);
}

/// rt_sigreturn found no frame.
pub fn bad_frame(task: &mut Task) {
    force(task, kernel_info(libc::SIGSEGV));
}

/// The default action of a signal that came by way of the inbox (SIGSEGV and SIGBUS, or the disposition has changed since).
fn default_action(task: &mut Task, info: &SigInfo, call: Option<u64>) {
    let signal = signo(info);
    match signal {
        libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH => {}
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
            // The host's disposition is the default one too: it stops us as soon as the signal is unblocked.
            host::set_mask(task.signals.blocked());
            host::raise(signal);
        }
        _ => {
            super::fault::report(task, signal);
            coredump::leave(task, info, call);
            gdb::dying(task, signal);
            process::die_by(signal)
        }
    }
}

/// A mask in guest memory; null gives none. EINVAL if it is not of the kernel's size.
fn read_mask(at: u64, size: u64) -> Result<Option<u64>, Errno> {
    if at == 0 {
        return Ok(None);
    }
    if size != 8 {
        return Err(Errno(libc::EINVAL));
    }
    copy::read::<u64>(Addr(at)).map(Some).map_err(|_| Errno(libc::EFAULT))
}

/// Does the host's call take a mask that the guest waits with?
pub const fn waits_with_mask(number: i64) -> bool {
    matches!(number, libc::SYS_ppoll | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 | libc::SYS_pselect6 | IO_PGETEVENTS)
}

/// Makes a call of the host for the guest: pointers are guest addresses. Where it takes a mask to wait with, the guest waits with that one.
/// A call that a signal interrupts says [`RESTART`] or [`NOT_BEGUN`]: see [`after_call`].
pub fn host_call(task: &mut Task, number: i64, mut args: [u64; 6]) -> Result<u64, Errno> {
    if !waits_with_mask(number) {
        return process::forward(number, args);
    }
    let (at, [mask, size]) = match number {
        libc::SYS_ppoll => (3, [args[3], args[4]]),
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => (4, [args[4], args[5]]),
        // A pointer to the two.
        libc::SYS_pselect6 | IO_PGETEVENTS if args[5] != 0 => (5, copy::read(Addr(args[5])).map_err(|_| Errno(libc::EFAULT))?),
        _ => return process::forward(number, args),
    };
    let mask = read_mask(mask, size)?;
    with_mask(task, mask, |host| {
        let pair = [host, size];
        args[at] = if at == 5 { &raw const pair as u64 } else { host };
        process::forward(number, args)
    })
}

/// Makes a call that waits with another mask (ppoll, pselect6, epoll_pwait, rt_sigsuspend): `call` gets the address of the mask for the host,
/// or 0. If a handler runs meanwhile, it runs with `mask` and goes back to the mask before.
pub fn with_mask(task: &mut Task, mask: Option<u64>, call: impl FnOnce(u64) -> Result<u64, Errno>) -> Result<u64, Errno> {
    let Some(mask) = mask else { return call(0) };
    let before = task.signals.blocked();
    let mask = mask & !UNBLOCKABLE;
    task.signals.known.set_blocked(mask);
    if task.signals.any() && !task.signals.inbox.any() {
        // A SIGSEGV or SIGBUS of ours that the host knows nothing of.
        task.signals.saved = Some(before);
        return Err(Errno(libc::EINTR));
    }
    let for_host = mask & !NEVER_BLOCKED;
    let result = call(&raw const for_host as u64);
    match result {
        Err(Errno(libc::EINTR) | RESTART) => {
            task.signals.saved = Some(before);
            Err(Errno(libc::EINTR))
        }
        other => {
            task.signals.known.set_blocked(before);
            other
        }
    }
}
