//! Open flags: four bits differ between x86_64 and aarch64 (arch/arm64/include/uapi/asm/fcntl.h).

/// x86_64's O_DIRECT.
pub const O_DIRECT: u64 = 0o40000;
/// x86_64's O_LARGEFILE.
pub const O_LARGEFILE: u64 = 0o100000;
/// x86_64's O_DIRECTORY.
pub const O_DIRECTORY: u64 = 0o200000;
/// x86_64's O_NOFOLLOW.
pub const O_NOFOLLOW: u64 = 0o400000;

/// x86_64's bit and aarch64's.
const PAIRS: [(u64, u64); 4] = [(O_DIRECT, 0o200000), (O_LARGEFILE, 0o400000), (O_DIRECTORY, 0o40000), (O_NOFOLLOW, 0o100000)];
const GUEST: u64 = 0o740000;
const HOST: u64 = 0o740000;

fn to_aarch64(flags: u64) -> u64 {
    PAIRS.iter().fold(flags & !GUEST, |f, (guest, host)| if flags & guest != 0 { f | host } else { f })
}

fn from_aarch64(flags: u64) -> u64 {
    PAIRS.iter().fold(flags & !HOST, |f, (guest, host)| if flags & host != 0 { f | guest } else { f })
}

/// The guest's open flags as the host's.
pub fn open_to_host(flags: u64) -> u64 {
    if cfg!(target_arch = "aarch64") { to_aarch64(flags) } else { flags }
}

/// The host's open flags as the guest's.
pub fn open_to_guest(flags: u64) -> u64 {
    if cfg!(target_arch = "aarch64") { from_aarch64(flags) } else { flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for bit in 0..32 {
            assert_eq!(from_aarch64(to_aarch64(1 << bit)), 1 << bit);
        }
        assert_eq!(to_aarch64(O_DIRECTORY | 0o2000000), 0o2040000);
        // O_TMPFILE keeps its own bit and takes O_DIRECTORY along.
        assert_eq!(to_aarch64(0o20200000), 0o20040000);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn bits_are_the_c_librarys() {
        assert_eq!([O_DIRECT, O_DIRECTORY, O_NOFOLLOW], [libc::O_DIRECT, libc::O_DIRECTORY, libc::O_NOFOLLOW].map(|f| f as u64));
    }
}
