//! What of a thread's signals translated code's stubs read and write (`emit::own_calls`): so it lies at an address that does not change, and every access is
//! an atomic one. Only the thread itself uses it.

use super::{AltStack, NEVER_BLOCKED, UNBLOCKABLE, fpstate};
use crate::emit::own_calls::signals;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// See above.
#[repr(C)]
pub(super) struct Known {
    blocked: AtomicU64,
    alternate: [AtomicU64; 3],
    masks: [u64; 2],
    marks: [u64; 4],
}

const _: () = assert!(
    offset_of!(Known, blocked) == signals::BLOCKED as usize
        && offset_of!(Known, alternate) == signals::ALTERNATE as usize
        && offset_of!(Known, masks) == signals::MASKS as usize
        && offset_of!(Known, marks) == signals::MARKS as usize
        && size_of::<Known>() == signals::SIZE
);

impl Known {
    /// Of a thread that blocks what `blocked` says, and has no alternate stack.
    pub fn new(blocked: u64) -> Box<Known> {
        let known = Known { blocked: AtomicU64::new(blocked), alternate: Default::default(), masks: [!UNBLOCKABLE, !NEVER_BLOCKED], marks: fpstate::marks_of_frames() };
        known.set_alternate(AltStack::NONE);
        Box::new(known)
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
}
