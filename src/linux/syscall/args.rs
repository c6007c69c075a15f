//! What a row of the table says of its arguments: enough to print them and to know what the kernel writes where.

use crate::linux::abi::names::Names;
use crate::guest::Addr;
use crate::host::copy;

/// A structure in guest memory, of the same layout on both machines unless the row's handler converts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// int.
    Int,
    /// long, printed as decimal.
    Long,
    /// Two descriptors.
    FdPair,
    /// struct timespec.
    Timespec,
    /// struct timeval.
    Timeval,
    /// Two of them: struct itimerval, utimes(2).
    TimevalPair,
    /// struct itimerspec, utimensat(2).
    TimespecPair,
    /// struct stat.
    Stat,
    /// struct rlimit.
    Rlimit,
    /// struct new_utsname.
    Utsname,
    /// siginfo_t.
    Siginfo,
    /// sigset_t of the kernel: 64 bits.
    Sigset,
    /// struct sigaction of the kernel.
    Sigaction,
    /// struct epoll_event, packed.
    EpollEvent,
    /// struct pollfd.
    Pollfd,
    /// wait status.
    Status,
    /// Anything else of so many bytes at most, printed as an address.
    Opaque(u16),
}

impl Type {
    /// Size in bytes.
    pub const fn size(self) -> u64 {
        match self {
            Type::Int | Type::Status => 4,
            Type::Long | Type::Sigset | Type::FdPair | Type::Pollfd => 8,
            Type::EpollEvent => 12,
            Type::Timespec | Type::Timeval | Type::Rlimit => 16,
            Type::TimevalPair | Type::TimespecPair | Type::Sigaction => 32,
            Type::Siginfo => 128,
            Type::Stat => 144,
            Type::Utsname => 390,
            Type::Opaque(n) => n as u64,
        }
    }
}

/// One argument. `n` in a kind is the number, from 0, of another argument that holds a length or count.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// int.
    Int,
    /// long: file offsets and the like.
    Signed,
    /// unsigned long: sizes, offsets, counts.
    Len,
    /// Printed in hexadecimal: addresses and the like.
    Hex,
    /// Descriptor.
    Fd,
    /// Descriptor of a folder, or AT_FDCWD.
    DirFd,
    /// File mode bits, octal.
    Mode,
    /// File mode bits of a call whose open flags, in argument n, say whether they count.
    MakeMode(u8),
    /// open(2) flags.
    OpenFlags,
    /// Type and flags of socket(2).
    SocketType,
    /// Signal number.
    Signal,
    /// Flags, named.
    Flags(Names),
    /// One of several values, named.
    Choice(Names),
    /// Path.
    Path,
    /// Other string.
    Str,
    /// Strings ended by a null pointer (argv).
    Strings,
    /// The same, only counted (envp).
    Count,
    /// Bytes read, length in argument n.
    Bytes(u8),
    /// A structure read.
    In(Type),
    /// Structures read, count in argument n.
    InArray(Type, u8),
    /// struct sockaddr read, length in argument n.
    Sockaddr(u8),
    /// struct iovec read, count in argument n, and what it points to.
    Iovec(u8),
    /// struct msghdr read.
    Msghdr,
    /// Bytes written, at most argument n; after the call as many as it returns.
    OutBytes(u8),
    /// A message written: a long, and at most argument n bytes.
    OutMessage(u8),
    /// A structure written.
    Out(Type),
    /// Structures written, at most argument n; after the call as many as it returns.
    OutArray(Type, u8),
    /// A structure read and written.
    InOut(Type),
    /// Structures read and written, count in argument n.
    InOutArray(Type, u8),
    /// Bytes written, at most as many as the int that argument n points to.
    OutSized(u8),
    /// struct sockaddr written, at most as long as the int that argument n points to.
    OutSockaddr(u8),
    /// Written through struct iovec, count in argument n.
    OutIovec(u8),
    /// Written through struct msghdr.
    OutMsghdr,
    /// Written through struct mmsghdr, count in argument n.
    OutMmsghdr(u8),
    /// fd_set of as many bits as argument n.
    FdSet(u8),
    /// One byte written a page of the length in argument n (mincore).
    OutPages(u8),
    /// Third argument of ioctl(2), second in argument n: the request says how much is written.
    IoctlArg(u8),
    /// No argument: the call does not return if it succeeds, so it is logged before.
    Ends,
}

/// Most that an ioctl whose number does not tell writes: struct hd_driveid.
const IOCTL_MAX: u64 = 512;
/// struct msghdr: name at 0, its length at 8, iov at 16, its count at 24, control at 32, its length at 40; 56 bytes.
const MSGHDR: usize = 56;
/// IOV_MAX.
const IOV_MAX: u64 = 1024;

impl Arg {
    /// May the kernel write guest memory through it?
    pub const fn writes(self) -> bool {
        use Arg::*;
        matches!(
            self,
            OutBytes(_) | OutMessage(_) | Out(_) | OutArray(..) | InOut(_) | InOutArray(..) | OutSized(_) | OutSockaddr(_) | OutIovec(_) | OutMsghdr | OutMmsghdr(_)
                | FdSet(_) | OutPages(_) | IoctlArg(_)
        )
    }

    /// Calls `range` with each piece of guest memory (start, length in bytes) that the kernel may write through this argument.
    pub fn written(self, at: u64, args: &[u64; 6], range: &mut dyn FnMut(Addr, u64)) {
        if at == 0 {
            return;
        }
        let other = |n: u8| args[n as usize];
        let start = Addr(at);
        match self {
            Arg::OutBytes(n) => range(start, other(n)),
            Arg::OutMessage(n) => range(start, other(n).saturating_add(8)),
            Arg::Out(t) | Arg::InOut(t) => range(start, t.size()),
            Arg::OutArray(t, n) | Arg::InOutArray(t, n) => range(start, (other(n) as u32 as u64) * t.size()),
            Arg::OutSized(n) | Arg::OutSockaddr(n) => {
                if let Ok(len) = copy::read::<u32>(Addr(other(n))) {
                    range(start, len as u64);
                }
            }
            Arg::OutIovec(n) => iovec(start, other(n), range),
            Arg::OutMsghdr => msghdr(start, range),
            Arg::OutMmsghdr(n) => {
                for i in 0..(other(n) as u32 as u64).min(IOV_MAX) {
                    let header = start.plus(i * (MSGHDR as u64 + 8));
                    msghdr(header, range);
                    range(header, MSGHDR as u64 + 8);
                }
            }
            Arg::FdSet(n) => range(start, (other(n) as u32 as u64).div_ceil(64) * 8),
            Arg::OutPages(n) => range(start, other(n).div_ceil(4096)),
            Arg::IoctlArg(n) => range(start, ioctl_writes(other(n) as u32)),
            _ => {}
        }
    }
}

/// What an ioctl request may write at its argument (include/uapi/asm-generic/ioctl.h).
fn ioctl_writes(request: u32) -> u64 {
    const READ: u32 = 2;
    let (direction, size) = (request >> 30, request >> 16 & 0x3fff);
    match direction {
        0 => IOCTL_MAX,
        d if d & READ != 0 => size as u64,
        _ => 0,
    }
}

fn iovec(at: Addr, count: u64, range: &mut dyn FnMut(Addr, u64)) {
    for i in 0..count.min(IOV_MAX) {
        match copy::read::<[u64; 2]>(at.plus(16 * i)) {
            Ok([base, len]) => range(Addr(base), len),
            Err(_) => break,
        }
    }
}

fn msghdr(at: Addr, range: &mut dyn FnMut(Addr, u64)) {
    if let Ok([name, name_len, iov, count, control, control_len, _]) = copy::read::<[u64; MSGHDR / 8]>(at) {
        range(Addr(name), name_len as u32 as u64);
        iovec(Addr(iov), count, range);
        range(Addr(control), control_len);
        range(at, MSGHDR as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(arg: Arg, at: u64, args: [u64; 6]) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        arg.written(at, &args, &mut |start, len| all.push((start.0, len)));
        all
    }

    #[test]
    fn what_is_written() {
        let a = [0, 0x1000, 100, 0, 0, 0];
        assert_eq!(ranges(Arg::OutBytes(2), 0x1000, a), [(0x1000, 100)]);
        assert_eq!(ranges(Arg::OutBytes(2), 0, a), []);
        assert_eq!(ranges(Arg::Out(Type::Stat), 0x1000, a), [(0x1000, 144)]);
        assert_eq!(ranges(Arg::FdSet(2), 0x1000, a), [(0x1000, 16)]);
        let iov = [0x5000u64, 7, 0x6000, 8];
        assert_eq!(ranges(Arg::OutIovec(2), iov.as_ptr() as u64, [0, 0, 2, 0, 0, 0]), [(0x5000, 7), (0x6000, 8)]);
        let header = [0x9000u64, 16, iov.as_ptr() as u64, 2, 0x8000, 24, 0];
        let at = header.as_ptr() as u64;
        assert_eq!(ranges(Arg::OutMsghdr, at, [0; 6]), [(0x9000, 16), (0x5000, 7), (0x6000, 8), (0x8000, 24), (at, 56)]);
    }

    #[test]
    fn ioctl_sizes() {
        assert_eq!(ioctl_writes(0x5413), IOCTL_MAX); // TIOCGWINSZ
        assert_eq!(ioctl_writes(0x8004_5430), 4); // TIOCGPTN
        assert_eq!(ioctl_writes(0x4004_5431), 0); // TIOCSPTLCK
    }
}
