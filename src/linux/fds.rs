//! xemu's own descriptors: out of the guest's way, and not the guest's to close.

use super::messages;
use super::process::Process;

/// Is this descriptor xemu's? To the guest it is not open.
pub fn is_reserved(process: &Process, fd: i32) -> bool {
    fd >= 0 && (process.own.fd() == Some(fd) || messages::fd() == Some(fd))
}

/// Makes room for the guest, that wants descriptor `fd` (dup2 and the like).
pub fn make_room(process: &Process, fd: i32) {
    process.own.yield_fd(fd);
    messages::yield_fd(fd);
}

/// The parts of `first ..= last` without xemu's descriptors, in order.
pub fn without_reserved(process: &Process, first: u32, last: u32) -> Vec<(u32, u32)> {
    let mut ours: Vec<u32> = [process.own.fd(), messages::fd()].into_iter().flatten().map(|fd| fd as u32).collect();
    ours.sort_unstable();
    cut(first, last, &ours)
}

fn cut(first: u32, last: u32, out: &[u32]) -> Vec<(u32, u32)> {
    let mut parts = Vec::new();
    let mut from = first;
    for &n in out.iter().filter(|n| (first..=last).contains(*n)) {
        if n > from {
            parts.push((from, n - 1));
        }
        from = n + 1;
    }
    if from <= last {
        parts.push((from, last));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut() {
        assert_eq!(cut(3, u32::MAX, &[1000]), [(3, 999), (1001, u32::MAX)]);
        assert_eq!(cut(3, 9, &[3, 9]), [(4, 8)]);
        assert_eq!(cut(5, 5, &[5]), []);
        assert_eq!(cut(5, 6, &[9]), [(5, 6)]);
    }
}
