//! Stopping all guest threads, for changes that no thread may see half done.

use crate::emit::calls::seat;
use crate::host::thread::Brake;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// One thread as others see it, and as the stubs for system calls do (`emit::calls::seat`).
#[derive(Debug)]
#[repr(C)]
pub(super) struct Seat {
    /// In translated code, or about to be, or interpreting.
    pub running: AtomicBool,
    _unused: bool,
    /// Must forget host addresses before it runs again: see [`Forget`].
    pub forget: AtomicU8,
    /// An interrupt was asked for: leave `run` at the next instruction boundary.
    pub interrupt: AtomicBool,
    pub brake: Brake,
}

const _: () = assert!(
    std::mem::offset_of!(Seat, running) == seat::RUNNING
        && std::mem::offset_of!(Seat, forget) == seat::FORGET
        && std::mem::offset_of!(Seat, interrupt) == seat::INTERRUPT
);

impl Seat {
    /// Is there an order to forget anything?
    #[inline(always)]
    pub fn is_to_forget(&self) -> bool {
        self.forget.load(Ordering::SeqCst) != Forget::Nothing as u8
    }
    pub fn new(brake: Brake) -> Seat {
        Seat { running: AtomicBool::new(false), _unused: false, forget: AtomicU8::new(Forget::Nothing as u8), interrupt: AtomicBool::new(false), brake }
    }
}

/// Which host addresses of translated code a thread must forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Forget {
    /// None.
    Nothing,
    /// Those of what is listed as gone (`engine::gone`).
    Gone,
    /// Every one.
    All,
}

/// All threads, and whether they are to stand still.
#[derive(Default)]
pub(super) struct Stop {
    seats: Mutex<Vec<Arc<Seat>>>,
    wanted: AtomicU32,
}

impl Stop {
    /// Address of the word that is not zero while threads are to stand still.
    pub fn word(&self) -> u64 {
        &raw const self.wanted as u64
    }
    /// The list of threads, which does not change while this is held.
    pub fn seats(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    pub fn join(&self, seat: Arc<Seat>) {
        self.seats().push(seat);
    }
    pub fn leave(&self, seat: &Arc<Seat>) {
        self.seats().retain(|s| !Arc::ptr_eq(s, seat));
    }
    /// After fork only the calling thread is left.
    pub fn only(&self, seat: &Arc<Seat>) {
        self.seats().retain(|s| Arc::ptr_eq(s, seat));
        self.wanted.store(0, Ordering::SeqCst);
    }

    /// Marks the thread as running; false if it must wait: see [`Stop::wait`].
    pub fn try_enter(&self, seat: &Seat) -> bool {
        seat.running.store(true, Ordering::SeqCst);
        if self.wanted.load(Ordering::SeqCst) == 0 {
            return true;
        }
        seat.running.store(false, Ordering::SeqCst);
        false
    }

    /// Are threads to stand still? Known a little late, to a thread that runs.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) != 0
    }

    /// Waits until nobody wants threads to stand still.
    pub fn wait(&self) {
        while self.wanted.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
    }

    /// Marks the thread as running, when nobody wants threads to stand still; what it must forget before it goes on.
    ///
    /// The order is taken back here alone, by a thread that runs: at another time it may be of one who has yet to make the change that it is for.
    pub fn enter(&self, seat: &Seat) -> Forget {
        while !self.try_enter(seat) {
            self.wait();
        }
        Stop::ordered(seat)
    }

    /// The same for a thread that is marked already.
    #[inline(always)]
    pub fn ordered(seat: &Seat) -> Forget {
        debug_assert!(seat.running.load(Ordering::SeqCst));
        if !seat.is_to_forget() {
            return Forget::Nothing;
        }
        match seat.forget.swap(Forget::Nothing as u8, Ordering::SeqCst) {
            order if order == Forget::Gone as u8 => Forget::Gone,
            _ => Forget::All,
        }
    }

    /// Runs `change` while nobody is in translated code or has yet to find out by the cache where it left it: so the caller must not hold
    /// the cache's lock (`change` takes it), and is not running itself. All have to forget `what` before they run again.
    pub fn while_stopped<R>(&self, what: Forget, change: impl FnOnce() -> R) -> R {
        self.standing(|seats| {
            seats.iter().for_each(|seat| {
                seat.forget.fetch_max(what as u8, Ordering::SeqCst);
            });
            change()
        })
    }

    /// The same for what concerns no translation: host addresses stay what they are. The seats are those that stand still.
    pub fn standing<R>(&self, act: impl FnOnce(&[Arc<Seat>]) -> R) -> R {
        self.wanted.fetch_add(1, Ordering::SeqCst);
        let seats: Vec<Arc<Seat>> = {
            // Under the lock, because a thread's memory, brake included, goes when it has left the list.
            let seats = self.seats();
            for seat in seats.iter() {
                if seat.running.load(Ordering::SeqCst) {
                    seat.brake.pull();
                }
            }
            // The list is copied: a thread that ends while we wait needs the lock to leave it.
            seats.clone()
        };
        for seat in &seats {
            while seat.running.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
        let result = act(&seats);
        self.wanted.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::thread::ThreadBlock;
    use std::time::Duration;

    #[test]
    fn an_order_to_forget_is_not_taken_back_before_its_change() {
        let block = ThreadBlock::new(0).expect("memory");
        let stop = Stop::default();
        let seat = Arc::new(Seat::new(block.brake()));
        stop.join(seat.clone());
        let changed = AtomicBool::new(false);
        std::thread::scope(|threads| {
            stop.while_stopped(Forget::Gone, || {
                // It finds the order, and the change not made.
                threads.spawn(|| {
                    assert_eq!(stop.enter(&seat), Forget::Gone);
                    assert!(changed.load(Ordering::SeqCst));
                    seat.running.store(false, Ordering::SeqCst);
                });
                std::thread::sleep(Duration::from_millis(50));
                assert!(seat.is_to_forget());
                changed.store(true, Ordering::SeqCst);
            });
        });
        assert_eq!(stop.enter(&seat), Forget::Nothing);
        seat.running.store(false, Ordering::SeqCst);
        // The larger order holds, whichever came first.
        for orders in [[Forget::All, Forget::Gone], [Forget::Gone, Forget::All]] {
            orders.into_iter().for_each(|what| stop.while_stopped(what, || {}));
            assert_eq!(stop.enter(&seat), Forget::All);
            seat.running.store(false, Ordering::SeqCst);
        }
    }
}
