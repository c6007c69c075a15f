//! Time calls that aarch64 has only in newer forms.

use super::path::CWD;
use super::{Result, fault, host_call, host_call_with, optional};
use crate::guest::Addr;
use crate::host::copy;
use crate::host::sys::Errno;
use crate::linux::task::Task;

const EINVAL: Errno = Errno(libc::EINVAL);

/// Integers as bytes that the kernel reads.
pub(super) fn bytes_of<const N: usize>(values: [u64; N]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// One integer of a structure.
pub(super) fn word(bytes: &[u8], n: usize) -> u64 {
    let mut b = [0; 8];
    b.copy_from_slice(&bytes[8 * n..8 * n + 8]);
    u64::from_le_bytes(b)
}

/// time(2).
pub fn time(task: &mut Task, [at, ..]: [u64; 6]) -> Result {
    let mut now = [0; 16];
    // The coarse clock is the one whose seconds the kernel's time() gives.
    host_call_with(task, libc::SYS_clock_gettime, [libc::CLOCK_REALTIME_COARSE as u64, 0, 0, 0, 0, 0], &mut [(1, &mut now)])?;
    let seconds = word(&now, 0);
    if let Some(at) = optional(at) {
        copy::write(at, seconds).map_err(fault)?;
    }
    Ok(seconds)
}

/// alarm(2).
pub fn alarm(task: &mut Task, [seconds, ..]: [u64; 6]) -> Result {
    const LONGEST: u64 = i32::MAX as u64;
    const HALF: u64 = 500_000;
    let mut new = bytes_of([0, 0, (seconds as u32 as u64).min(LONGEST), 0]);
    let mut old = [0; 32];
    host_call_with(task, libc::SYS_setitimer, [libc::ITIMER_REAL as u64, 0, 0, 0, 0, 0], &mut [(1, &mut new), (2, &mut old)])?;
    // Rounded, but never to nothing while something is left (alarm_setitimer in kernel/time/itimer.c).
    let (left, micros) = (word(&old, 2), word(&old, 3));
    Ok(left + (left == 0 && micros != 0 || micros >= HALF) as u64)
}

fn set_times(task: &mut Task, dir: u64, path: u64, times: Option<[u64; 4]>) -> Result {
    match times {
        None => host_call(task, libc::SYS_utimensat, [dir, path, 0, 0, 0, 0]),
        Some(times) => host_call_with(task, libc::SYS_utimensat, [dir, path, 0, 0, 0, 0], &mut [(2, &mut bytes_of(times))]),
    }
}

/// utime(2).
pub fn utime(task: &mut Task, [path, times, ..]: [u64; 6]) -> Result {
    let times = optional(times).map(copy::read::<[u64; 2]>).transpose().map_err(fault)?;
    set_times(task, CWD, path, times.map(|[access, change]| [access, 0, change, 0]))
}

/// utimes(2).
pub fn utimes(task: &mut Task, [path, times, ..]: [u64; 6]) -> Result {
    futimesat(task, [CWD, path, times, 0, 0, 0])
}

/// futimesat(2).
pub fn futimesat(task: &mut Task, [dir, path, times, ..]: [u64; 6]) -> Result {
    let times = match times {
        0 => None,
        at => {
            let [access, access_micros, change, change_micros] = copy::read::<[u64; 4]>(Addr(at)).map_err(fault)?;
            if access_micros >= 1_000_000 || change_micros >= 1_000_000 {
                return Err(EINVAL);
            }
            Some([access, access_micros * 1000, change, change_micros * 1000])
        }
    };
    set_times(task, dir, path, times)
}
