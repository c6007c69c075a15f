//! What a process does with each signal.

use crate::host::signals::{self as host, Disposition, NEVER_BLOCKED, bit};
use crate::host::sys::Errno;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// sa_flags of x86_64 (the generic ones, and SA_RESTORER).
pub mod sa {
    #![allow(missing_docs)] // The names are sigaction(2)'s.
    pub const NOCLDSTOP: u64 = 1;
    pub const NOCLDWAIT: u64 = 2;
    pub const SIGINFO: u64 = 4;
    pub const UNSUPPORTED: u64 = 0x400;
    pub const EXPOSE_TAGBITS: u64 = 0x800;
    pub const RESTORER: u64 = 0x0400_0000;
    pub const ONSTACK: u64 = 0x0800_0000;
    pub const RESTART: u64 = 0x1000_0000;
    pub const NODEFER: u64 = 0x4000_0000;
    pub const RESETHAND: u64 = 0x8000_0000;
    /// Those that the kernel keeps (UAPI_SA_FLAGS); others read back as zero, so that programs can find out.
    pub const KNOWN: u64 = NOCLDSTOP | NOCLDWAIT | SIGINFO | ONSTACK | RESTART | NODEFER | RESETHAND | EXPOSE_TAGBITS | RESTORER;
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// SIG_DFL.
    Default,
    /// SIG_IGN.
    Ignore,
    /// A function at this guest address.
    At(u64),
}

/// A signal's disposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// What happens.
    pub handler: Handler,
    /// sa_flags.
    pub flags: u64,
    /// Address that the handler returns to.
    pub restorer: u64,
    /// Blocked while it runs.
    pub mask: u64,
}

impl Action {
    const DEFAULT: Action = Action { handler: Handler::Default, flags: 0, restorer: 0, mask: 0 };

    /// From struct kernel_sigaction of x86_64: handler, flags, restorer, mask.
    pub fn from_guest([handler, flags, restorer, mask]: [u64; 4]) -> Action {
        let handler = match handler {
            0 => Handler::Default,
            1 => Handler::Ignore,
            at => Handler::At(at),
        };
        Action { handler, flags: flags & sa::KNOWN, restorer, mask: mask & !super::UNBLOCKABLE }
    }

    /// The struct again.
    pub fn to_guest(self) -> [u64; 4] {
        let handler = match self.handler {
            Handler::Default => 0,
            Handler::Ignore => 1,
            Handler::At(at) => at,
        };
        [handler, self.flags, self.restorer, self.mask]
    }
}

/// The dispositions of a process. The host's follow each change, under the same lock.
pub struct SigHand {
    table: Mutex<[Action; 64]>,
    /// Counts changes: whoever remembers an action asks whether there were any.
    changes: AtomicU64,
    /// Signals whose default action is ours to carry out, because something is to be done first: by [`Catcher`].
    caught: [AtomicU64; 2],
}

/// Who wants signals to come to us before their default action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catcher {
    /// A core file is to be written.
    Core,
    /// A debugger is to be told.
    Debugger,
}

/// Tells the host. SIGSEGV and SIGBUS are always caught there; of the default actions those of `caught`.
fn tell(signal: i32, action: &Action, caught: u64) -> Result<(), Errno> {
    if bit(signal) & NEVER_BLOCKED != 0 {
        return Ok(());
    }
    let disposition = match action.handler {
        Handler::Default if bit(signal) & caught != 0 => Disposition::Inbox,
        Handler::Default => Disposition::Default,
        Handler::Ignore => Disposition::Ignore,
        Handler::At(_) => Disposition::Inbox,
    };
    host::set_disposition(signal, disposition, action.flags)
}

impl SigHand {
    /// As execve leaves them: what was ignored stays ignored. To be called before the engine installs its handlers.
    pub fn inherited() -> SigHand {
        let mut table = [Action::DEFAULT; 64];
        for (action, signal) in table.iter_mut().zip(1..) {
            let (ignored, _) = host::inherited(signal);
            action.handler = if ignored { Handler::Ignore } else { Handler::Default };
        }
        SigHand::of(table)
    }

    fn of(table: [Action; 64]) -> SigHand {
        SigHand { table: Mutex::new(table), changes: AtomicU64::new(0), caught: Default::default() }
    }

    fn tell(&self, signal: i32, action: &Action) -> Result<(), Errno> {
        tell(signal, action, self.caught())
    }

    fn caught(&self) -> u64 {
        self.caught.iter().fold(0, |all, by| all | by.load(Ordering::Relaxed))
    }

    /// Has the default actions of `signals` (a mask) come to us too, by the inbox, where they are not blocked or ignored: all that `by` wants from now on.
    /// None in the first process of a namespace: the kernel protects it from default actions, and what we catch would end it.
    pub fn catch(&self, by: Catcher, signals: u64) {
        let signals = if crate::host::process::pid() == 1 { 0 } else { signals };
        let table = self.lock();
        let before = self.caught();
        self.caught[by as usize].store(signals, Ordering::Relaxed);
        let changed = self.caught() ^ before;
        for (action, signal) in table.iter().zip(1..) {
            if action.handler == Handler::Default && bit(signal) & changed != 0 {
                let _ = self.tell(signal, action);
            }
        }
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// How many changes there were.
    pub(super) fn changes(&self) -> &AtomicU64 {
        &self.changes
    }

    /// A copy, for a task that shares memory but not dispositions.
    pub fn duplicate(&self) -> Arc<SigHand> {
        Arc::new(SigHand { caught: self.caught.each_ref().map(|by| AtomicU64::new(by.load(Ordering::Relaxed))), ..SigHand::of(*self.lock()) })
    }

    /// The table, for whoever must keep it still (fork).
    pub fn lock(&self) -> MutexGuard<'_, [Action; 64]> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// CLONE_CLEAR_SIGHAND: what is not ignored takes its default action.
    pub fn clear(&self) {
        let mut table = self.lock();
        for (action, signal) in table.iter_mut().zip(1..) {
            if matches!(action.handler, Handler::At(_)) {
                *action = Action::DEFAULT;
                self.changed();
                let _ = self.tell(signal, action);
            }
        }
    }

    /// A signal's disposition.
    pub fn get(&self, signal: i32) -> Action {
        self.lock()[signal as usize - 1]
    }

    /// Changes it; the old one is returned.
    pub fn set(&self, signal: i32, action: Action) -> Result<Action, Errno> {
        let mut table = self.lock();
        self.tell(signal, &action)?;
        self.changed();
        Ok(std::mem::replace(&mut table[signal as usize - 1], action))
    }

    /// For delivery: SA_RESETHAND takes effect.
    pub(super) fn take(&self, signal: i32) -> Action {
        let mut table = self.lock();
        let entry = &mut table[signal as usize - 1];
        let action = *entry;
        if action.flags & sa::RESETHAND != 0 && matches!(action.handler, Handler::At(_)) {
            // As the kernel: only the handler; flags and mask stay.
            entry.handler = Handler::Default;
            self.changed();
            let _ = self.tell(signal, entry);
        }
        action
    }

    /// Sets the default action.
    pub(super) fn reset(&self, signal: i32) {
        let mut table = self.lock();
        table[signal as usize - 1].handler = Handler::Default;
        self.changed();
        let _ = self.tell(signal, &table[signal as usize - 1]);
    }

    /// Before an execve: the new program inherits that SIGSEGV and SIGBUS are ignored.
    pub fn leave_to_host(&self) {
        let table = self.lock();
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            if table[signal as usize - 1].handler == Handler::Ignore {
                let _ = host::set_disposition(signal, Disposition::Ignore, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_actions_keep_known_flags_and_never_block_kill() {
        let a = Action::from_guest([0x1234, sa::RESTORER | sa::UNSUPPORTED | sa::SIGINFO, 0x5678, u64::MAX]);
        assert_eq!(a.handler, Handler::At(0x1234));
        assert_eq!(a.to_guest(), [0x1234, sa::RESTORER | sa::SIGINFO, 0x5678, !super::super::UNBLOCKABLE]);
    }
}
