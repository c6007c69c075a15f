//! Host threads for guest threads: raw clone, with a stack, an alternate stack for signal handlers and thread-local storage of our own.

use super::arena::own_memory;
use super::fault::ALT_STACK;
use super::heap::HEAP;
use super::sys::{self, Errno};
use super::{reserved, signals, tls};
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Between the stacks: every host's page size divides it.
const GUARD: u64 = 0x1_0000;
/// What translating and Linux's side of a thread may use, in bytes.
const STACK: u64 = 8 * GUARD;
/// Where the stack ends.
const TOP: u64 = GUARD + ALT_STACK + GUARD + STACK;

/// The memory of a host thread: guard | alternate stack | guard | stack | thread-local storage. Mapped until it is dropped.
#[derive(Debug)]
pub struct Stack {
    base: u64,
    size: u64,
}

impl Stack {
    /// Maps one. ENOSYS if this libc's threads are not laid out as we know them.
    pub fn new() -> Result<Stack, Errno> {
        let template = tls::template().ok_or(Errno(libc::ENOSYS))?;
        let size = TOP + (template.size() + GUARD - 1) / GUARD * GUARD;
        let stack = Stack { base: own_memory(size, libc::PROT_READ | libc::PROT_WRITE)?, size };
        for guard in [0, GUARD + ALT_STACK] {
            // SAFETY: guards of the fresh mapping.
            unsafe { sys::call(libc::SYS_mprotect, [stack.base + guard, GUARD, libc::PROT_NONE as u64, 0, 0, 0]) }?;
        }
        Ok(stack)
    }

}

/// Has the calling thread, whose stack's base this is, handle signals on the alternate stack.
fn use_alternate(base: u64) {
    let ss = libc::stack_t { ss_sp: (base + GUARD) as *mut libc::c_void, ss_flags: 0, ss_size: ALT_STACK as usize };
    // SAFETY: the piece is this thread's alone, until it ends.
    let _ = unsafe { sys::call(libc::SYS_sigaltstack, [&raw const ss as u64, 0, 0, 0, 0, 0]) };
}

impl Drop for Stack {
    fn drop(&mut self) {
        reserved::release(self.base, self.size);
        // SAFETY: nobody runs on it: the thread could not be made.
        let _ = unsafe { sys::call(libc::SYS_munmap, [self.base, self.size, 0, 0, 0, 0]) };
    }
}

/// What the kernel does for a new thread: clone(2)'s flags, and the guest addresses that they name.
#[derive(Clone, Copy, Debug)]
pub struct Clone {
    /// Flags, with CLONE_VM, without CLONE_SETTLS.
    pub flags: u64,
    /// CLONE_PARENT_SETTID's, or CLONE_PIDFD's.
    pub parent_tid: u64,
    /// CLONE_CHILD_SETTID's and CLONE_CHILD_CLEARTID's.
    pub child_tid: u64,
}

type Body = Box<dyn FnOnce(Stack) + Send>;

/// What a new thread finds.
struct Start {
    stack: Stack,
    body: Body,
}

extern "C" fn begin(start: *mut c_void) -> ! {
    // SAFETY: `spawn` leaked it for us.
    let Start { stack, body } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    use_alternate(stack.base);
    body(stack);
    // The body ends the thread itself; if it does not, nothing is right any more.
    super::fatal::abort()
}

/// Starts a thread that runs `body` with its own stack as argument and must end by [`end`]. It starts with every signal blocked that the caller
/// blocks. Returns its id.
pub fn spawn(clone: Clone, body: Body) -> Result<u64, Errno> {
    assert!(clone.flags & libc::CLONE_VM as u64 != 0, "a thread shares memory");
    HEAP.shared();
    let stack = Stack::new()?;
    let template = tls::template().ok_or(Errno(libc::ENOSYS))?;
    let top = stack.base + TOP;
    // SAFETY: the last piece of the fresh mapping.
    let tp = unsafe { tls::build(template, top) };
    let start = Box::into_raw(Box::new(Start { stack, body }));
    let flags = clone.flags | libc::CLONE_SETTLS as u64;
    // SAFETY: the child gets a stack and TLS of its own; `begin` takes `start` over.
    let made = sys::check(unsafe { raw::spawn(flags, top, clone.parent_tid, tp, clone.child_tid, begin, start.cast()) });
    if made.is_err() {
        // SAFETY: there is no child that could have it.
        drop(unsafe { Box::from_raw(start) });
    }
    made
}

/// What a child that runs on our memory finds, in its parent's frame.
struct Lent<T> {
    stack: u64,
    make: Option<Box<dyn FnOnce() -> T + Send>>,
    run: fn(&mut T) -> u64,
    made: Option<T>,
}

extern "C" fn begin_lent<T>(lent: *mut c_void) -> ! {
    // SAFETY: the parent's `lend` waits, with this in its frame, until we are gone.
    let lent = unsafe { &mut *lent.cast::<Lent<T>>() };
    use_alternate(lent.stack);
    let status = match lent.make.take() {
        Some(make) => (lent.run)(lent.made.insert(make())),
        None => super::fatal::abort(),
    };
    // Nothing is freed here: what is left the parent frees, as it must after an execve.
    signals::set_exact_mask(!0);
    super::process::exit_thread(status)
}

/// Makes a process that runs `run` on what `make` makes, both in the child and on our memory, while the caller waits until it executes a program
/// or ends (clone(2) with CLONE_VM and CLONE_VFORK). Returns its id, and what it made, which nobody uses any more. The caller has blocked all signals.
pub fn lend<T: Send>(clone: Clone, make: Box<dyn FnOnce() -> T + Send>, run: fn(&mut T) -> u64) -> Result<(u64, Option<T>), Errno> {
    const NEEDED: u64 = (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
    assert!(clone.flags & NEEDED == NEEDED && clone.flags & libc::CLONE_THREAD as u64 == 0, "the caller waits for a process");
    let stack = Stack::new()?;
    let template = tls::template().ok_or(Errno(libc::ENOSYS))?;
    let top = stack.base + TOP;
    // SAFETY: the last piece of the fresh mapping.
    let tp = unsafe { tls::build(template, top) };
    let mut lent = Lent { stack: stack.base, make: Some(make), run, made: None };
    let flags = clone.flags | libc::CLONE_SETTLS as u64;
    // SAFETY: the child gets a stack and TLS of its own; `lent` and `stack` outlive it, because the kernel lets us go on only when it has left
    // this memory.
    let made = sys::check(unsafe { raw::spawn(flags, top, clone.parent_tid, tp, clone.child_tid, begin_lent::<T>, (&raw mut lent).cast()) });
    made.map(|pid| (pid, lent.made.take()))
}

static PROBED: AtomicBool = AtomicBool::new(false);

extern "C" fn begin_probe(_: *mut c_void) -> ! {
    PROBED.store(true, Ordering::SeqCst);
    super::process::exit_thread(0)
}

/// Does this host know [`lend`]? An emulated one may make a copy of the memory instead. Tried out once, by a child that does nothing.
pub fn lends_memory() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    KNOWN.get().copied().unwrap_or_else(|| match probe() {
        Ok(shared) => *KNOWN.get_or_init(|| shared),
        Err(Errno(libc::EINVAL | libc::ENOSYS | libc::EPERM)) => *KNOWN.get_or_init(|| false),
        // No process or memory to be had at the moment: nothing is known.
        Err(_) => false,
    })
}

fn probe() -> Result<bool, Errno> {
    let stack = Stack::new()?;
    let before = signals::block_all();
    // No exit signal: the guest's wait(2) does not see it, nor is SIGCHLD sent.
    let flags = (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
    // SAFETY: the child has a stack of its own and uses no thread-local storage; we wait until it has ended.
    let made = sys::check(unsafe { raw::spawn(flags, stack.base + TOP, 0, 0, 0, begin_probe, std::ptr::null_mut()) });
    if let Ok(pid) = made {
        const ANY_KIND: u64 = libc::__WALL as u64;
        // SAFETY: no pointers.
        while unsafe { sys::call(libc::SYS_wait4, [pid, 0, ANY_KIND, 0, 0, 0]) } == Err(Errno(libc::EINTR)) {}
    }
    signals::set_mask(before);
    made.map(|_| PROBED.load(Ordering::SeqCst))
}

/// Ends the calling thread, which runs on `stack` or (None) on what the process began with. Everything that the thread owned must be gone.
pub fn end(stack: Option<Stack>, status: u64) -> ! {
    // Not even a fault may be handled any more: there will be no stack for it.
    signals::set_exact_mask(!0);
    let Some(stack) = stack else { super::process::exit_thread(status) };
    let (base, size) = (stack.base, stack.size);
    reserved::release(base, size);
    std::mem::forget(stack);
    // SAFETY: the two calls use no memory, and the thread returns to nothing.
    unsafe { raw::unmap_and_exit(base, size, status) }
}

#[cfg(target_arch = "aarch64")]
mod raw {
    use std::ffi::c_void;

    std::arch::global_asm!(
        // x0 flags, x1 stack, x2 parent tid, x3 tls, x4 child tid (the kernel's order), x5 function, x6 its argument.
        ".globl xemu_spawn, xemu_unmap_and_exit",
        ".hidden xemu_spawn, xemu_unmap_and_exit",
        ".p2align 4",
        "xemu_spawn:",
        "stp x5, x6, [x1, #-16]!",
        "mov x8, #220", // clone
        "svc #0",
        "cbnz x0, 1f",
        "mov x29, #0",
        "mov x30, #0",
        "ldp x1, x0, [sp], #16",
        "blr x1",
        "brk #1",
        "1: ret",
        // x0 base, x1 size, x2 status.
        "xemu_unmap_and_exit:",
        "mov x9, x2",
        "mov x8, #215", // munmap
        "svc #0",
        "2: mov x0, x9",
        "mov x8, #93", // exit
        "svc #0",
        "b 2b",
    );
    unsafe extern "C" {
        pub fn xemu_spawn(flags: u64, stack: u64, parent_tid: u64, tls: u64, child_tid: u64, body: extern "C" fn(*mut c_void) -> !, start: *mut c_void) -> i64;
        pub fn xemu_unmap_and_exit(base: u64, size: u64, status: u64) -> !;
    }
    pub use xemu_spawn as spawn;
    pub use xemu_unmap_and_exit as unmap_and_exit;
}
/// Developing hosts make no guest threads.
#[cfg(not(target_arch = "aarch64"))]
mod raw {
    use std::ffi::c_void;

    pub unsafe fn spawn(_: u64, _: u64, _: u64, _: u64, _: u64, _: extern "C" fn(*mut c_void) -> !, _: *mut c_void) -> i64 {
        -i64::from(libc::ENOSYS)
    }
    pub unsafe fn unmap_and_exit(_: u64, _: u64, status: u64) -> ! {
        super::super::process::exit_thread(status)
    }
}
