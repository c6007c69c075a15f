//! The host's asynchronous signals: one handler for all of them, which takes one signal into the thread's [`Inbox`], stops the guest's
//! code, and leaves every other asynchronous signal blocked, so that the kernel keeps the queue until the guest's handler has its frame.
//!
//! SIGSEGV and SIGBUS are never blocked and belong to `host::fault`; where somebody *sent* them they come here too. The handler runs on
//! the alternate stack, allocates nothing and takes no lock.

use super::sys::{self, Errno};
use crate::emit::delivery::inbox;
use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// A siginfo_t: 128 bytes, laid out alike on x86_64 and aarch64.
pub type SigInfo = [u64; 16];

/// The signal a siginfo is of.
pub fn signo(info: &SigInfo) -> i32 {
    info[0] as u32 as i32
}

/// The mask bit of a signal.
pub const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Signals that are never blocked on the host: its processor raises them for us.
pub const NEVER_BLOCKED: u64 = bit(libc::SIGSEGV) | bit(libc::SIGBUS);

/// What a handler returns to.
pub struct Interrupted<'a>(&'a mut libc::ucontext_t);

#[cfg(target_arch = "aarch64")]
impl<'a> Interrupted<'a> {
    pub(super) fn new(context: &'a mut libc::ucontext_t) -> Self {
        Interrupted(context)
    }
    /// Where the thread goes on.
    pub fn pc(&mut self) -> &mut u64 {
        &mut self.0.uc_mcontext.pc
    }
    /// x27: the shadow stack's pointer while translated code runs.
    pub fn shadow(&mut self) -> &mut u64 {
        &mut self.0.uc_mcontext.regs[27]
    }
    /// x30.
    pub fn link(&mut self) -> &mut u64 {
        &mut self.0.uc_mcontext.regs[30]
    }
    /// x1: where a call has left the guest's return address.
    pub fn returns_to(&self) -> u64 {
        self.0.uc_mcontext.regs[1]
    }
}
/// On developing hosts nothing is interruptible; any words do.
#[cfg(not(target_arch = "aarch64"))]
impl<'a> Interrupted<'a> {
    pub(super) fn new(context: &'a mut libc::ucontext_t) -> Self {
        Interrupted(context)
    }
    /// Not used for anything.
    pub fn pc(&mut self) -> &mut u64 {
        &mut self.0.uc_flags
    }
    /// Not used for anything.
    pub fn shadow(&mut self) -> &mut u64 {
        &mut self.0.uc_flags
    }
    /// Not used for anything.
    pub fn link(&mut self) -> &mut u64 {
        &mut self.0.uc_flags
    }
    /// Not used for anything.
    pub fn returns_to(&self) -> u64 {
        self.0.uc_flags
    }
}

/// What the host's handler does when it has put something into the inbox: stops the guest's code. Signal-safe.
pub type Wake = Box<dyn Fn(&mut Interrupted) + Send + Sync>;

/// Slots: one for all asynchronous signals, one each for SIGSEGV and SIGBUS sent by somebody.
const SLOTS: usize = 3;

/// Signals that the host delivered to this thread and the guest has not seen yet. Written by this thread's signal handler, emptied by
/// this thread: a slot whose byte in `pending` is 1 belongs to the reader, otherwise to the handler. Translated code's stub for deliveries reads it too.
#[repr(C)]
pub struct Inbox {
    pending: AtomicU32,
    slots: [UnsafeCell<SigInfo>; SLOTS],
    wake: Wake,
}

const _: () = assert!(std::mem::offset_of!(Inbox, pending) == inbox::PENDING && std::mem::offset_of!(Inbox, slots) == inbox::SLOT);

// SAFETY: only the owning thread and signal handlers that run on it touch the slots; see `Inbox`.
unsafe impl Sync for Inbox {}

thread_local! {
    // Constant and without a destructor: a plain word of TLS, which a signal handler may read.
    static INBOX: Cell<*const Inbox> = const { Cell::new(std::ptr::null()) };
}

fn slot_of(signal: i32) -> usize {
    match signal {
        libc::SIGSEGV => 1,
        libc::SIGBUS => 2,
        _ => 0,
    }
}

impl Inbox {
    /// An empty inbox.
    pub fn new(wake: Wake) -> Box<Inbox> {
        Box::new(Inbox { pending: AtomicU32::new(0), slots: [const { UnsafeCell::new([0; 16]) }; SLOTS], wake })
    }

    /// The byte of a slot in `pending`. Each is written by itself, so that a handler that interrupts another one spoils nothing.
    fn mark(&self, slot: usize) -> &AtomicU8 {
        let first = self.pending.as_ptr().cast::<u8>();
        // SAFETY: one of the word's four bytes, which lives as long; only this thread and its handlers use them.
        unsafe { AtomicU8::from_ptr(first.add(slot.min(SLOTS - 1))) }
    }

    /// Is anything in it?
    pub fn any(&self) -> bool {
        self.pending.load(Ordering::Acquire) != 0
    }

    /// Takes a signal out of it.
    pub fn take(&self) -> Option<SigInfo> {
        let mut info = [0; 16];
        self.take_into(&mut info).then_some(info)
    }

    /// The same, into `info`; false if there is none.
    pub fn take_into(&self, info: &mut SigInfo) -> bool {
        let slot = self.pending.load(Ordering::Acquire).trailing_zeros() as usize / 8;
        let Some(cell) = self.slots.get(slot) else { return false };
        // SAFETY: the slot's byte is set, so the handler leaves it alone.
        *info = unsafe { *cell.get() };
        self.mark(slot).store(0, Ordering::Release);
        true
    }

    /// Puts a signal in; false if its slot is taken. Called by the handler, on the owning thread.
    fn post(&self, info: &SigInfo, at: &mut Interrupted) -> bool {
        let slot = slot_of(signo(info));
        if self.mark(slot).load(Ordering::Acquire) != 0 {
            return false;
        }
        // SAFETY: the slot's byte is clear, so the reader leaves it alone.
        let place = unsafe { &mut *self.slots[slot].get() };
        if matches!(info[1] as u32 as i32, libc::SI_USER | libc::SI_TKILL) {
            // Nothing is behind the sender's ids; a host that is emulated itself may leave something there.
            *place = [0; 16];
            place[..3].copy_from_slice(&info[..3]);
        } else {
            *place = *info;
        }
        self.mark(slot).store(1, Ordering::Release);
        (self.wake)(at);
        true
    }
}

/// Makes `inbox` this thread's; null to have signals of this thread stay with the kernel (they must be blocked then).
///
/// # Safety
/// `inbox` stays where it is until another one, or null, takes its place.
unsafe fn set_inbox(inbox: *const Inbox) {
    INBOX.with(|i| i.set(inbox));
}

/// This thread's inbox, registered as long as this lives. Lives and dies on the thread it was made on.
pub struct Registered(Box<Inbox>);

impl Registered {
    /// Registers `inbox` for the calling thread.
    pub fn new(inbox: Box<Inbox>) -> Registered {
        // SAFETY: the box does not move, and `drop` takes it back.
        unsafe { set_inbox(&raw const *inbox) };
        Registered(inbox)
    }
}

impl Registered {
    /// Frees the inbox of a thread that is gone: the caller's own stays registered.
    pub fn abandon(self) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `self` is not used or dropped after this.
        drop(unsafe { std::ptr::read(&this.0) });
    }
}

impl std::ops::Deref for Registered {
    type Target = Inbox;
    fn deref(&self) -> &Inbox {
        &self.0
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: null is always right.
        unsafe { set_inbox(std::ptr::null()) };
    }
}

/// The word that [`sys::interruptible`] looks at: this thread's inbox, or one that is always empty.
pub(super) fn pending_word() -> *const AtomicU32 {
    static NOTHING: AtomicU32 = AtomicU32::new(0);
    let inbox = INBOX.with(Cell::get);
    // SAFETY: a registered inbox is alive (`Registered`).
    if inbox.is_null() { &raw const NOTHING } else { unsafe { &raw const (*inbox).pending } }
}

/// Takes a signal that somebody sent: into the inbox, or back into the kernel's queue if there is no room. To be called from handlers,
/// before they return with all asynchronous signals blocked. `at` is what the handler returns to.
pub(super) fn deliver(info: &SigInfo, mut at: Interrupted) {
    if let Some(abort) = sys::abort_pc(*at.pc()) {
        *at.pc() = abort;
    }
    if info[1] as u32 as i32 == KICKED {
        return;
    }
    let inbox = INBOX.with(Cell::get);
    // SAFETY: a registered inbox is alive (`Registered`).
    let posted = !inbox.is_null() && unsafe { &*inbox }.post(info, &mut at);
    // One SIGSEGV or SIGBUS is as good as many: these are not queued.
    if !posted && bit(signo(info)) & NEVER_BLOCKED == 0 {
        let _ = queue_again(info);
    }
}

/// Sends a signal that was taken back to this thread, where it is blocked, with its siginfo.
pub fn queue_again(info: &SigInfo) -> Result<u64, Errno> {
    let (pid, tid) = (super::process::pid() as u64, super::process::tid() as u64);
    // SAFETY: `info` is a siginfo; to oneself any si_code is allowed.
    unsafe { sys::call(libc::SYS_rt_tgsigqueueinfo, [pid, tid, signo(info) as u64, info.as_ptr() as u64, 0, 0]) }
}

extern "C" fn on_signal(_signal: i32, info: *const SigInfo, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo and ucontext.
    let (info, uc) = unsafe { (&*info, &mut *context.cast::<libc::ucontext_t>()) };
    let mask = (&raw mut uc.uc_sigmask).cast::<u64>();
    // SAFETY: the first word of the mask is the kernel's.
    unsafe { *mask = !NEVER_BLOCKED };
    deliver(info, Interrupted::new(uc));
}

/// What the host does with a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// SIG_DFL.
    Default,
    /// SIG_IGN.
    Ignore,
    /// Into the inbox.
    Inbox,
}

/// The kernel's struct sigaction. arm64 needs no restorer, the vdso has one.
#[repr(C)]
pub(super) struct KernelAction {
    pub handler: usize,
    pub flags: u64,
    pub restorer: usize,
    pub mask: u64,
}

/// Sets what the host does with `signal`. Of `flags` SA_NOCLDSTOP and SA_NOCLDWAIT count.
pub fn set_disposition(signal: i32, disposition: Disposition, flags: u64) -> Result<(), Errno> {
    let kept = flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT) as u64;
    // SA_RESTART: an interrupted call that can be restarted is found with its pc at the svc, and `sys::interruptible` tells.
    let ours = (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART) as u64;
    let (handler, flags) = match disposition {
        Disposition::Default => (libc::SIG_DFL, kept),
        Disposition::Ignore => (libc::SIG_IGN, kept),
        Disposition::Inbox => (on_signal as *const () as usize, kept | ours),
    };
    let action = KernelAction { handler, flags, restorer: 0, mask: !NEVER_BLOCKED };
    // SAFETY: the handler keeps to the rules above.
    unsafe { sys::call(libc::SYS_rt_sigaction, [signal as u64, &raw const action as u64, 0, 8, 0, 0]) }.map(drop)
}

/// Is the signal ignored on the host? SA_NOCLDSTOP and the like are in the second value.
pub fn inherited(signal: i32) -> (bool, u64) {
    let mut action = KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: `action` is the kernel's struct.
    let done = unsafe { sys::call(libc::SYS_rt_sigaction, [signal as u64, 0, &raw mut action as u64, 8, 0, 0]) };
    (done.is_ok() && action.handler == libc::SIG_IGN, action.flags)
}

fn change_mask(how: i32, mask: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: pointers to locals.
    let _ = unsafe { sys::call(libc::SYS_rt_sigprocmask, [how as u64, &raw const mask as u64, &raw mut old as u64, 8, 0, 0]) };
    old
}

/// Sets this thread's mask, but for the signals that are never blocked.
pub fn set_mask(mask: u64) {
    change_mask(libc::SIG_SETMASK, mask & !NEVER_BLOCKED);
}

/// Sets this thread's mask as it stands: for what an execve passes on.
pub fn set_exact_mask(mask: u64) {
    change_mask(libc::SIG_SETMASK, mask);
}

/// [`set_mask`], unless a signal is in the inbox already: then nothing is changed, and the error is [`sys::NOT_BEGUN`].
pub fn try_set_mask(mask: u64) -> Result<u64, Errno> {
    let mask = mask & !NEVER_BLOCKED;
    // SAFETY: a pointer to a local.
    unsafe { sys::interruptible(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as u64, &raw const mask as u64, 0, 8, 0, 0]) }
}

/// Blocks everything that can be blocked; returns the mask before.
pub fn block_all() -> u64 {
    change_mask(libc::SIG_SETMASK, !NEVER_BLOCKED)
}

/// This thread's mask.
pub fn mask() -> u64 {
    change_mask(libc::SIG_BLOCK, 0)
}

/// Signals that the kernel holds back for this thread and process because they are blocked.
pub fn pending() -> u64 {
    let mut set = 0u64;
    // SAFETY: a pointer to a local.
    let _ = unsafe { sys::call(libc::SYS_rt_sigpending, [&raw mut set as u64, 8, 0, 0, 0, 0]) };
    set
}

/// si_code of what [`kick`] sends: no sender's own. (An emulated host keeps 16 bits of it.)
const KICKED: i32 = i16::from_be_bytes([0x80 | b'k', b'i']) as i32;

/// Has a thread of this process that waits in a system call come out of it, as a signal would that nobody sees. One that is about to wait may miss it.
pub fn kick(tid: i32) {
    let mut info: SigInfo = [0; 16];
    // One of those that are never blocked, and always handled.
    info[0] = libc::SIGBUS as u64;
    info[1] = KICKED as u32 as u64;
    let pid = super::process::pid() as u64;
    // SAFETY: `info` is a siginfo; within a process any si_code below zero is allowed.
    let _ = unsafe { sys::call(libc::SYS_rt_tgsigqueueinfo, [pid, tid as u64, libc::SIGBUS as u64, info.as_ptr() as u64, 0, 0]) };
}

/// Sends `signal` to this thread.
pub fn raise(signal: i32) {
    let _ = send(super::process::tid(), signal);
}

/// tgkill(2): sends `signal` to a thread of this process. ESRCH if there is none.
pub fn send(tid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    unsafe { sys::call(libc::SYS_tgkill, [super::process::pid() as u64, tid as u64, signal as u64, 0, 0, 0]) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    fn info(signal: i32) -> SigInfo {
        let mut i = [0; 16];
        i[0] = signal as u64;
        i
    }

    #[test]
    fn an_inbox_holds_one_asynchronous_signal() {
        let woken = Arc::new(AtomicUsize::new(0));
        let w = woken.clone();
        let inbox = Inbox::new(Box::new(move |_| {
            w.fetch_add(1, Ordering::Relaxed);
        }));
        assert!(!inbox.any() && inbox.take().is_none());
        // SAFETY: numbers and null pointers.
        let mut context = unsafe { std::mem::zeroed() };
        let mut post = |signal| inbox.post(&info(signal), &mut Interrupted::new(&mut context));
        assert!(post(libc::SIGUSR1));
        assert!(!post(libc::SIGUSR2), "one slot");
        assert!(post(libc::SIGSEGV), "its own slot");
        assert_eq!(woken.load(Ordering::Relaxed), 2);
        assert_eq!(inbox.take().map(|i| signo(&i)), Some(libc::SIGUSR1));
        assert_eq!(inbox.take().map(|i| signo(&i)), Some(libc::SIGSEGV));
        assert!(!inbox.any());
    }
}
