//! A lock between processes that know nothing of one another: who holds it is bound to a name in the abstract socket namespace (unix(7)). The
//! kernel frees the name when its holder dies, and nothing of it lies in a file system. It reaches as far as a network namespace does.

use super::sys;
use std::time::{Duration, Instant};

/// In the abstract namespace a name begins with NUL.
const NAME: &[u8] = b"\0xemu-split-lock";
/// Holders need microseconds. One that was stopped there, or a stranger with that name, must not stop everybody else.
const PATIENCE: Duration = Duration::from_secs(1);

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Exclusion {
    socket: u64,
}

impl Exclusion {
    /// Waits for the lock, one second at most; `None` where it can not be had (no descriptors, no AF_UNIX, a holder that does not go on).
    pub fn hold() -> Option<Exclusion> {
        let mut address = [0u8; 2 + NAME.len()];
        address[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
        address[2..].copy_from_slice(NAME);
        let kind = (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as u64;
        // SAFETY: no memory is passed.
        let socket = unsafe { sys::call(libc::SYS_socket, [libc::AF_UNIX as u64, kind, 0, 0, 0, 0]) }.ok()?;
        let held = Exclusion { socket };
        let until = Instant::now() + PATIENCE;
        loop {
            // SAFETY: the kernel reads the address, which outlives the call.
            match unsafe { sys::call(libc::SYS_bind, [socket, address.as_ptr() as u64, address.len() as u64, 0, 0, 0]) } {
                Ok(_) => return Some(held),
                Err(e) if e.0 == libc::EADDRINUSE && Instant::now() < until => std::thread::sleep(Duration::from_micros(20)),
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Exclusion {
    fn drop(&mut self) {
        // SAFETY: our own descriptor.
        let _ = unsafe { sys::call(libc::SYS_close, [self.socket, 0, 0, 0, 0, 0]) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn one_at_a_time() {
        static INSIDE: AtomicU32 = AtomicU32::new(0);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    for _ in 0..50 {
                        let held = Exclusion::hold().expect("a name that others give back");
                        assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        INSIDE.fetch_sub(1, Ordering::SeqCst);
                        drop(held);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
    }
}
