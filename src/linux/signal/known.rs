//! What of a thread's signals translated code's stubs read and write (`emit::own_calls`, `emit::delivery`): so it lies at an address that does not change, and
//! every access is an atomic one. Only the thread itself uses it.

use super::frame::{FLAT_SEGMENTS, USUAL_FLAGS};
use super::{Action, AltStack, Handler, NEVER_BLOCKED, Trap, UNBLOCKABLE, fpstate};
use crate::emit::own_calls::signals;
use crate::host::signals::Inbox;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// See above.
#[repr(C)]
pub(super) struct Known {
    blocked: AtomicU64,
    alternate: [AtomicU64; 3],
    masks: [u64; 2],
    marks: [u64; 4],
    set_mask: u64,
    inbox: u64,
    segments: u64,
    /// Error, number, CR2.
    trap: [AtomicU64; 3],
    /// The action that was last taken, where a stub may take it again: see [`Known::remember`].
    changes: [AtomicU64; 2],
    signal: AtomicU64,
    blocks: AtomicU64,
    restorer: AtomicU64,
    uc_flags: u64,
    handler: AtomicU64,
}

/// No signal: while no action is remembered.
const NOBODY: u64 = 0;

const fn at(offset: i32) -> usize {
    offset as usize
}
const _: () = {
    assert!(offset_of!(Known, blocked) == at(signals::BLOCKED) && offset_of!(Known, alternate) == at(signals::ALTERNATE));
    assert!(offset_of!(Known, masks) == at(signals::MASKS) && offset_of!(Known, marks) == at(signals::MARKS));
    assert!(offset_of!(Known, set_mask) == at(signals::SET_MASK) && offset_of!(Known, inbox) == at(signals::INBOX));
    assert!(offset_of!(Known, segments) == at(signals::TRAP));
    assert!(offset_of!(Known, changes) == at(signals::CHANGES) && offset_of!(Known, signal) == at(signals::ACTION));
    assert!(offset_of!(Known, restorer) == at(signals::RESTORER) && offset_of!(Known, handler) == at(signals::HANDLER));
    assert!(size_of::<Known>() == signals::SIZE);
};

impl Known {
    /// Of a thread that blocks what `blocked` says, and has no alternate stack. `inbox` stays where it is.
    pub fn new(blocked: u64, inbox: &Inbox) -> Box<Known> {
        let known = Known {
            blocked: AtomicU64::new(blocked),
            alternate: Default::default(),
            masks: [!UNBLOCKABLE, !NEVER_BLOCKED],
            marks: fpstate::marks_of_frames(),
            set_mask: libc::SYS_rt_sigprocmask as u64,
            inbox: &raw const *inbox as u64,
            segments: FLAT_SEGMENTS,
            trap: Default::default(),
            changes: Default::default(),
            signal: AtomicU64::new(NOBODY),
            blocks: AtomicU64::new(0),
            restorer: AtomicU64::new(0),
            uc_flags: USUAL_FLAGS,
            handler: AtomicU64::new(0),
        };
        known.set_alternate(AltStack::NONE);
        let known = Box::new(known);
        // Any word will do while no action is known.
        known.changes[0].store(&raw const known.blocked as u64, Relaxed);
        known
    }

    /// The marks of frames, where they have XSAVE's area as it usually is.
    pub fn marks(&self) -> Option<[u64; 4]> {
        (self.marks[0] != u64::MAX).then_some(self.marks)
    }

    pub fn blocked(&self) -> u64 {
        self.blocked.load(Relaxed)
    }

    pub fn set_blocked(&self, mask: u64) {
        self.blocked.store(mask, Relaxed);
    }

    pub fn alternate(&self) -> AltStack {
        let [sp, flags, size] = self.alternate.each_ref().map(|w| w.load(Relaxed));
        AltStack { sp, size, flags: flags as u32 }
    }

    pub fn set_alternate(&self, AltStack { sp, size, flags }: AltStack) {
        for (word, value) in self.alternate.iter().zip([sp, flags as u64, size]) {
            word.store(value, Relaxed);
        }
    }

    /// No stub is to deliver anything until the next [`Known::remember`].
    pub fn forget(&self) {
        self.signal.store(NOBODY, Relaxed);
    }

    pub fn trap(&self) -> Trap {
        let [error, number, cr2] = self.trap.each_ref().map(|w| w.load(Relaxed));
        Trap { number, error, cr2 }
    }

    pub fn set_trap(&self, Trap { number, error, cr2 }: Trap) {
        for (word, value) in self.trap.iter().zip([error, number, cr2]) {
            word.store(value, Relaxed);
        }
    }

    /// `signal` was given to `action`'s handler, which blocks `blocks`. A stub may do it again, as long as `count` is `changes`: nobody has changed an action.
    pub fn remember(&self, count: &AtomicU64, changes: u64, signal: i32, blocks: u64, action: &Action) {
        let Handler::At(handler) = action.handler else { return };
        if self.marks().is_none() {
            return;
        }
        let values = [&raw const *count as u64, changes, signal as u64, blocks, action.restorer, handler];
        let words = [&self.changes[0], &self.changes[1], &self.signal, &self.blocks, &self.restorer, &self.handler];
        for (word, value) in words.into_iter().zip(values) {
            word.store(value, Relaxed);
        }
    }
}
