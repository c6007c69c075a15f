//! Waiting for descriptors: old forms that aarch64 has not, and epoll, whose events are packed on x86_64.

use super::time::{bytes_of, word};
use super::{Result, fault, host_call, host_call_with, optional};
use crate::guest::Addr;
use crate::host::copy;
use crate::host::sys::Errno;
use crate::linux::abi::layout::{EpollEvent, HostEpollEvent};
use crate::linux::task::Task;

const EINVAL: Errno = Errno(libc::EINVAL);
const MICROS: u64 = 1_000_000;

/// poll(2): ppoll with a time in milliseconds; negative: for ever.
pub fn poll(task: &mut Task, [fds, count, timeout, ..]: [u64; 6]) -> Result {
    let args = [fds, count, 0, 0, 0, 0];
    match u64::try_from(timeout as i32) {
        Err(_) => host_call(task, libc::SYS_ppoll, args),
        Ok(ms) => host_call_with(task, libc::SYS_ppoll, args, &mut [(2, &mut bytes_of([ms / 1000, ms % 1000 * 1_000_000]))]),
    }
}

/// select(2): pselect6 with a struct timeval, in which the rest is left.
pub fn select(task: &mut Task, [count, read, write, except, timeout, _]: [u64; 6]) -> Result {
    let args = [count, read, write, except, 0, 0];
    let Some(at) = optional(timeout) else {
        return host_call(task, libc::SYS_pselect6, args);
    };
    let [seconds, micros] = copy::read::<[i64; 2]>(at).map_err(fault)?;
    // As the kernel normalises it; pselect6 refuses what is negative after that.
    let (seconds, micros) = (seconds.wrapping_add(micros / MICROS as i64), micros % MICROS as i64);
    let mut time = bytes_of([seconds as u64, (micros * 1000) as u64]);
    let result = host_call_with(task, libc::SYS_pselect6, args, &mut [(4, &mut time)]);
    if result != Err(EINVAL) {
        // A timeval that cannot be written is no error.
        let _ = copy::write(at, [word(&time, 0), word(&time, 1) / 1000]);
    }
    result
}

/// epoll_create(2).
pub fn epoll_create(task: &mut Task, [size, ..]: [u64; 6]) -> Result {
    if size as i32 <= 0 {
        return Err(EINVAL);
    }
    host_call(task, libc::SYS_epoll_create1, [0; 6])
}

/// epoll_ctl(2).
pub fn epoll_ctl(task: &mut Task, args: [u64; 6]) -> Result {
    const DEL: u32 = libc::EPOLL_CTL_DEL as u32;
    let [_, operation, _, at, ..] = args;
    // Only EPOLL_CTL_DEL reads no event.
    if operation as u32 == DEL {
        return host_call(task, libc::SYS_epoll_ctl, args);
    }
    let event = copy::read::<[u8; EpollEvent::SIZE]>(Addr(at)).map_err(fault)?;
    let mut host = HostEpollEvent::from(EpollEvent::from_bytes(&event)).to_bytes();
    host_call_with(task, libc::SYS_epoll_ctl, args, &mut [(3, &mut host)])
}

/// Waits by call `number`, whose events are argument 1 and their greatest number argument 2.
fn wait(task: &mut Task, number: i64, mut args: [u64; 6], ours: &mut [(usize, &mut [u8])]) -> Result {
    /// Events taken at once: fewer than asked for is always right.
    const MOST: i32 = 1024;
    let at = Addr(args[1]);
    let count = (args[2] as i32).min(MOST);
    args[2] = count as u64;
    // The host refuses a count that is not positive.
    let mut host = vec![0; count.max(0) as usize * HostEpollEvent::SIZE];
    let mut all: Vec<(usize, &mut [u8])> = ours.iter_mut().map(|(n, b)| (*n, &mut **b)).collect();
    all.push((1, &mut host));
    let got = host_call_with(task, number, args, &mut all)?;
    let mut guest = Vec::with_capacity(got as usize * EpollEvent::SIZE);
    for event in host.as_chunks::<{ HostEpollEvent::SIZE }>().0.iter().take(got as usize) {
        guest.extend_from_slice(&EpollEvent::from(HostEpollEvent::from_bytes(event)).to_bytes());
    }
    copy::write_bytes(at, &guest).map_err(fault)?;
    Ok(got)
}

/// epoll_wait(2).
pub fn epoll_wait(task: &mut Task, [fd, at, count, timeout, ..]: [u64; 6]) -> Result {
    wait(task, libc::SYS_epoll_pwait, [fd, at, count, timeout, 0, 0], &mut [])
}

/// epoll_pwait(2).
pub fn epoll_pwait(task: &mut Task, args: [u64; 6]) -> Result {
    wait(task, libc::SYS_epoll_pwait, args, &mut [])
}

/// epoll_pwait2(2): a struct timespec for the time.
pub fn epoll_pwait2(task: &mut Task, args: [u64; 6]) -> Result {
    wait(task, libc::SYS_epoll_pwait2, args, &mut [])
}

/// eventfd(2).
pub fn eventfd(task: &mut Task, [value, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_eventfd2, [value, 0, 0, 0, 0, 0])
}

/// signalfd(2).
pub fn signalfd(task: &mut Task, [fd, mask, size, ..]: [u64; 6]) -> Result {
    host_call(task, libc::SYS_signalfd4, [fd, mask, size, 0, 0, 0])
}

/// inotify_init(2).
pub fn inotify_init(task: &mut Task, _: [u64; 6]) -> Result {
    host_call(task, libc::SYS_inotify_init1, [0; 6])
}
