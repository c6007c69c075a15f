//! Structures that the two machines lay out differently (arch/x86/include/uapi/asm, include/uapi/asm-generic).

use super::structure;

structure! {
    /// struct stat of x86_64 (arch/x86/include/uapi/asm/stat.h).
    Stat: 144 {
        dev: u64 = 0, ino: u64 = 8, nlink: u64 = 16, mode: u32 = 24, uid: u32 = 28, gid: u32 = 32,
        rdev: u64 = 40, size: i64 = 48, blksize: i64 = 56, blocks: i64 = 64,
        atime: i64 = 72, atime_nsec: u64 = 80, mtime: i64 = 88, mtime_nsec: u64 = 96, ctime: i64 = 104, ctime_nsec: u64 = 112,
    }
}

structure! {
    /// struct stat of aarch64 (include/uapi/asm-generic/stat.h).
    GenericStat: 128 {
        dev: u64 = 0, ino: u64 = 8, mode: u32 = 16, nlink: u32 = 20, uid: u32 = 24, gid: u32 = 28,
        rdev: u64 = 32, size: i64 = 48, blksize: i32 = 56, blocks: i64 = 64,
        atime: i64 = 72, atime_nsec: u64 = 80, mtime: i64 = 88, mtime_nsec: u64 = 96, ctime: i64 = 104, ctime_nsec: u64 = 112,
    }
}

impl From<GenericStat> for Stat {
    fn from(s: GenericStat) -> Stat {
        Stat {
            dev: s.dev,
            ino: s.ino,
            nlink: s.nlink.into(),
            mode: s.mode,
            uid: s.uid,
            gid: s.gid,
            rdev: s.rdev,
            size: s.size,
            blksize: s.blksize.into(),
            blocks: s.blocks,
            atime: s.atime,
            atime_nsec: s.atime_nsec,
            mtime: s.mtime,
            mtime_nsec: s.mtime_nsec,
            ctime: s.ctime,
            ctime_nsec: s.ctime_nsec,
        }
    }
}

structure! {
    /// struct epoll_event of x86_64: packed.
    EpollEvent: 12 { events: u32 = 0, data: u64 = 4, }
}

structure! {
    /// struct epoll_event elsewhere.
    GenericEpollEvent: 16 { events: u32 = 0, data: u64 = 8, }
}

structure! {
    /// struct semid64_ds of x86_64 (arch/x86/include/uapi/asm/sembuf.h); the permissions are the same on both.
    SemidDs: 104 {
        perm0: u64 = 0, perm1: u64 = 8, perm2: u64 = 16, perm3: u64 = 24, perm4: u64 = 32, perm5: u64 = 40,
        otime: i64 = 48, ctime: i64 = 64, nsems: u64 = 80,
    }
}

structure! {
    /// struct semid64_ds elsewhere on 64 bits (include/uapi/asm-generic/sembuf.h).
    GenericSemidDs: 88 {
        perm0: u64 = 0, perm1: u64 = 8, perm2: u64 = 16, perm3: u64 = 24, perm4: u64 = 32, perm5: u64 = 40,
        otime: i64 = 48, ctime: i64 = 56, nsems: u64 = 64,
    }
}

/// Copies the fields of one layout into another that has the same names.
macro_rules! same_fields {
    ($from:ty => $to:ty: $($field:ident)*) => {
        impl From<$from> for $to {
            fn from(s: $from) -> $to {
                Self { $($field: s.$field,)* }
            }
        }
    };
}
same_fields! { EpollEvent => GenericEpollEvent: events data }
same_fields! { GenericEpollEvent => EpollEvent: events data }
same_fields! { SemidDs => GenericSemidDs: perm0 perm1 perm2 perm3 perm4 perm5 otime ctime nsems }
same_fields! { GenericSemidDs => SemidDs: perm0 perm1 perm2 perm3 perm4 perm5 otime ctime nsems }

/// The host's own structures, which [`HostStat::from_bytes`] and the like read.
#[cfg(target_arch = "aarch64")]
mod host {
    pub use super::{GenericEpollEvent as HostEpollEvent, GenericSemidDs as HostSemidDs, GenericStat as HostStat};
}
#[cfg(target_arch = "x86_64")]
mod host {
    pub use super::{EpollEvent as HostEpollEvent, SemidDs as HostSemidDs, Stat as HostStat};
}
pub use host::{HostEpollEvent, HostSemidDs, HostStat};

// The host's sizes by its C library.
const _: () = assert!(HostStat::SIZE == size_of::<libc::stat>() && HostEpollEvent::SIZE == size_of::<libc::epoll_event>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_converts() {
        let mut bytes = [0u8; GenericStat::SIZE];
        for (n, b) in bytes.iter_mut().enumerate() {
            *b = n as u8;
        }
        let from = GenericStat::from_bytes(&bytes);
        let to = Stat::from_bytes(&Stat::from(from).to_bytes());
        assert_eq!((to.mode, to.nlink, to.blksize), (0x1312_1110, 0x1716_1514, 0x3b3a_3938));
        assert_eq!((to.size, to.ctime_nsec), (from.size, from.ctime_nsec));
    }

    #[test]
    fn epoll_event_is_packed() {
        let e = EpollEvent { events: 0x11, data: 0x8877_6655_4433_2211 };
        assert_eq!(e.to_bytes(), [0x11, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
        assert_eq!(EpollEvent::from(GenericEpollEvent::from(e)), e);
    }

    /// The C library's structures are the truth where this is built on x86_64.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn layouts_are_the_c_librarys() {
        use std::mem::offset_of;
        let s = Stat { nlink: 1, mode: 2, rdev: 3, size: 4, blksize: 5, blocks: 6, atime: 7, ctime_nsec: 8, uid: 9, gid: 10, ..Stat::default() };
        let b = s.to_bytes();
        let at = |n: usize| b[n];
        assert_eq!(Stat::SIZE, size_of::<libc::stat>());
        assert_eq!(at(offset_of!(libc::stat, st_nlink)), 1);
        assert_eq!(at(offset_of!(libc::stat, st_mode)), 2);
        assert_eq!(at(offset_of!(libc::stat, st_rdev)), 3);
        assert_eq!(at(offset_of!(libc::stat, st_size)), 4);
        assert_eq!(at(offset_of!(libc::stat, st_blksize)), 5);
        assert_eq!(at(offset_of!(libc::stat, st_blocks)), 6);
        assert_eq!(at(offset_of!(libc::stat, st_atime)), 7);
        assert_eq!(at(offset_of!(libc::stat, st_ctime_nsec)), 8);
        assert_eq!(at(offset_of!(libc::stat, st_uid)), 9);
        assert_eq!(at(offset_of!(libc::stat, st_gid)), 10);
        assert_eq!(SemidDs::SIZE, size_of::<libc::semid_ds>());
        assert_eq!(offset_of!(libc::semid_ds, sem_ctime), 64);
        assert_eq!(offset_of!(libc::semid_ds, sem_nsems), 80);
        assert_eq!(EpollEvent::SIZE, size_of::<libc::epoll_event>());
        // The same on both machines: what the table passes relies on it.
        assert_eq!((size_of::<libc::statfs>(), size_of::<libc::flock>(), size_of::<libc::rusage>(), size_of::<libc::sysinfo>()), (120, 32, 144, 112));
        assert_eq!((size_of::<libc::shmid_ds>(), size_of::<libc::msqid_ds>(), size_of::<libc::msghdr>()), (112, 120, 56));
    }
}
