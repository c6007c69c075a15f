//! The few file operations that xemu needs for itself (loading programs, finding itself again): raw, without errno.

use super::sys::{self, Errno};

/// A host file descriptor of ours, closed when dropped.
#[derive(Debug)]
pub struct Fd(pub i32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours.
        let _ = unsafe { sys::call(libc::SYS_close, [self.0 as u64, 0, 0, 0, 0, 0]) };
    }
}

impl Fd {
    /// Gives up ownership: the descriptor stays open.
    pub fn leak(self) -> i32 {
        let fd = self.0;
        std::mem::forget(self);
        fd
    }
}

/// A path as the kernel wants it. ENOENT if it holds a NUL.
fn terminated(path: &[u8]) -> Result<Vec<u8>, Errno> {
    if path.contains(&0) {
        return Err(Errno(libc::ENOENT));
    }
    let mut p = Vec::with_capacity(path.len() + 1);
    p.extend_from_slice(path);
    p.push(0);
    Ok(p)
}

/// openat(2) with O_CLOEXEC; `flags` are the host's.
pub fn open_at(dir: i32, path: &[u8], flags: i32) -> Result<Fd, Errno> {
    let p = terminated(path)?;
    // SAFETY: `p` is a terminated string.
    let fd = unsafe { sys::call(libc::SYS_openat, [dir as u64, p.as_ptr() as u64, (flags | libc::O_CLOEXEC) as u64, 0, 0, 0]) }?;
    Ok(Fd(fd as i32))
}

/// [`open_at`] in the working directory.
pub fn open(path: &[u8], flags: i32) -> Result<Fd, Errno> {
    open_at(libc::AT_FDCWD, path, flags)
}

/// pread64(2): the number of bytes read, short only at the end of the file.
pub fn pread(fd: i32, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut done = 0;
    while done < buf.len() {
        let rest = &mut buf[done..];
        // SAFETY: `rest` is ours and writable.
        let n = unsafe { sys::call(libc::SYS_pread64, [fd as u64, rest.as_mut_ptr() as u64, rest.len() as u64, offset + done as u64, 0, 0]) }?;
        if n == 0 {
            break;
        }
        done += n as usize;
    }
    Ok(done)
}

/// A whole (small, possibly generated) file.
pub fn read_all(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let fd = open(path, libc::O_RDONLY)?;
    let mut out = Vec::new();
    loop {
        let at = out.len();
        out.resize(at + 4096, 0);
        // SAFETY: the tail of `out` is ours and writable.
        let n = unsafe { sys::call(libc::SYS_read, [fd.0 as u64, out[at..].as_mut_ptr() as u64, 4096, 0, 0, 0]) }?;
        out.truncate(at + n as usize);
        if n == 0 {
            return Ok(out);
        }
    }
}

/// fstatat(2). `flags`: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
pub fn stat_at(dir: i32, path: &[u8], flags: i32) -> Result<libc::stat, Errno> {
    let p = terminated(path)?;
    let mut st = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `p` is terminated, `st` is large enough for the kernel's struct stat, which libc's matches on 64-bit Linux.
    unsafe { sys::call(libc::SYS_newfstatat, [dir as u64, p.as_ptr() as u64, st.as_mut_ptr() as u64, flags as u64, 0, 0]) }?;
    // SAFETY: zeroed, then filled by the kernel; all fields are integers.
    Ok(unsafe { st.assume_init() })
}

/// stat(2).
pub fn stat(path: &[u8]) -> Result<libc::stat, Errno> {
    stat_at(libc::AT_FDCWD, path, 0)
}

/// fstat(2).
pub fn fstat(fd: i32) -> Result<libc::stat, Errno> {
    let mut st = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: as in `stat_at`.
    unsafe { sys::call(libc::SYS_fstat, [fd as u64, st.as_mut_ptr() as u64, 0, 0, 0, 0]) }?;
    // SAFETY: as in `stat_at`.
    Ok(unsafe { st.assume_init() })
}

/// Is the descriptor's file system mounted noexec?
pub fn is_noexec(fd: i32) -> bool {
    const ST_NOEXEC: u64 = 8;
    file_system(fd).is_some_and(|fs| fs[10] & ST_NOEXEC != 0)
}

/// fstatfs(2): struct statfs of 64-bit Linux as fifteen words; the first is the type, the eleventh the mount flags.
fn file_system(fd: i32) -> Option<[u64; 15]> {
    let mut st = [0u64; 15];
    // SAFETY: `st` has the struct's size.
    unsafe { sys::call(libc::SYS_fstatfs, [fd as u64, st.as_mut_ptr() as u64, 0, 0, 0, 0]) }.ok()?;
    Some(st)
}

/// readlinkat(2).
pub fn read_link(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let p = terminated(path)?;
    let mut buf = [const { std::mem::MaybeUninit::<u8>::uninit() }; libc::PATH_MAX as usize];
    let a = [libc::AT_FDCWD as u64, p.as_ptr() as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0];
    // SAFETY: `p` is terminated, `buf` is ours.
    let n = unsafe { sys::call(libc::SYS_readlinkat, a) }?;
    // SAFETY: the kernel wrote the first `n` bytes.
    Ok(unsafe { std::slice::from_raw_parts(buf.as_ptr().cast::<u8>(), n as usize) }.to_vec())
}

/// What a descriptor is open on, by /proc; None without /proc.
pub fn path_of(fd: i32) -> Option<Vec<u8>> {
    read_link(format!("/proc/self/fd/{fd}").as_bytes()).ok()
}

/// execveat(2) with AT_EXECVE_CHECK: what an execution of the file would come to. EINVAL where the kernel (before Linux 6.14) does not tell.
pub fn check_execution(dir: i32, path: &[u8], flags: i32) -> Result<(), Errno> {
    let p = terminated(path)?;
    let (args, env) = ([c"".as_ptr() as u64, 0], [0u64]);
    let a = [dir as u64, p.as_ptr() as u64, args.as_ptr() as u64, env.as_ptr() as u64, (flags | libc::AT_EXECVE_CHECK) as u64, 0];
    // SAFETY: terminated strings and lists; nothing is executed.
    unsafe { sys::call(libc::SYS_execveat, a) }.map(drop)
}

/// May this process execute the file (with its effective identity)? ETXTBSY if somebody writes to it and the kernel can say so.
pub fn may_execute(dir: i32, path: &[u8], flags: i32) -> Result<(), Errno> {
    if let r @ (Ok(()) | Err(Errno(libc::EACCES | libc::ETXTBSY))) = check_execution(dir, path, flags) {
        return r;
    }
    let p = terminated(path)?;
    let x = libc::X_OK as u64;
    let faccessat2 = [dir as u64, p.as_ptr() as u64, x, (libc::AT_EACCESS | flags) as u64, 0, 0];
    // SAFETY: `p` is terminated.
    match unsafe { sys::call(libc::SYS_faccessat2, faccessat2) } {
        Err(Errno(libc::ENOSYS)) => {}
        r => return r.map(drop),
    }
    if flags & libc::AT_EMPTY_PATH != 0 && path.is_empty() {
        return may_execute(libc::AT_FDCWD, format!("/proc/self/fd/{dir}").as_bytes(), 0);
    }
    // SAFETY: `p` is terminated.
    unsafe { sys::call(libc::SYS_faccessat, [dir as u64, p.as_ptr() as u64, x, 0, 0, 0]) }.map(drop)
}

/// Another descriptor of the same open file: the lowest free number from `min` on, close-on-exec.
pub fn raise(fd: &Fd, min: i32) -> Result<Fd, Errno> {
    // SAFETY: fcntl on a descriptor of ours.
    let up = unsafe { sys::call(libc::SYS_fcntl, [fd.0 as u64, libc::F_DUPFD_CLOEXEC as u64, min as u64, 0, 0, 0]) }?;
    Ok(Fd(up as i32))
}

/// Sets or clears close-on-exec.
pub fn set_cloexec(fd: i32, on: bool) -> Result<(), Errno> {
    let flag = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: changes a flag of a descriptor.
    unsafe { sys::call(libc::SYS_fcntl, [fd as u64, libc::F_SETFD as u64, flag as u64, 0, 0, 0]) }.map(drop)
}

/// Is the descriptor close-on-exec?
pub fn is_cloexec(fd: i32) -> Result<bool, Errno> {
    // SAFETY: reads a flag of a descriptor.
    let flags = unsafe { sys::call(libc::SYS_fcntl, [fd as u64, libc::F_GETFD as u64, 0, 0, 0, 0]) }?;
    Ok(flags & libc::FD_CLOEXEC as u64 != 0)
}

/// Does the file grant capabilities to whoever executes it (setcap(8))?
pub fn has_capabilities(fd: &Fd) -> bool {
    // SAFETY: a terminated name; nothing is written with a size of 0.
    unsafe { sys::call(libc::SYS_fgetxattr, [fd.0 as u64, c"security.capability".as_ptr() as u64, 0, 0, 0, 0]) }.is_ok()
}

/// Writes to standard error, without buffering or allocation; errors are ignored.
pub fn complain(text: &[u8]) {
    // SAFETY: `text` is ours.
    let _ = unsafe { sys::call(libc::SYS_write, [2, text.as_ptr() as u64, text.len() as u64, 0, 0, 0]) };
}

/// Opens a log file to append to, made if it is not there.
pub fn create_log(path: &[u8]) -> Result<Fd, Errno> {
    let p = terminated(path)?;
    let how = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: `p` is a terminated string.
    let fd = unsafe { sys::call(libc::SYS_openat, [libc::AT_FDCWD as u64, p.as_ptr() as u64, how as u64, 0o666, 0, 0]) }?;
    Ok(Fd(fd as i32))
}

/// Makes a core file, for its owner alone, in place of what has that name (fs/coredump.c): no link is followed.
pub fn create_core(path: &[u8]) -> Result<Fd, Errno> {
    let p = terminated(path)?;
    let how = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: `p` is a terminated string.
    let fd = unsafe {
        let _ = sys::call(libc::SYS_unlinkat, [libc::AT_FDCWD as u64, p.as_ptr() as u64, 0, 0, 0, 0]);
        sys::call(libc::SYS_openat, [libc::AT_FDCWD as u64, p.as_ptr() as u64, how as u64, 0o600, 0, 0])
    }?;
    Ok(Fd(fd as i32))
}

/// pwrite64(2) of all of `bytes`.
pub fn pwrite(fd: &Fd, bytes: &[u8], offset: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        // SAFETY: `rest` is ours.
        let n = unsafe { sys::call(libc::SYS_pwrite64, [fd.0 as u64, rest.as_ptr() as u64, rest.len() as u64, offset + done as u64, 0, 0]) }?;
        if n == 0 {
            return Err(Errno(libc::EIO));
        }
        done += n as usize;
    }
    Ok(())
}

/// ftruncate(2).
pub fn set_size(fd: &Fd, size: u64) -> Result<(), Errno> {
    // SAFETY: a descriptor of ours.
    unsafe { sys::call(libc::SYS_ftruncate, [fd.0 as u64, size, 0, 0, 0, 0]) }.map(drop)
}

/// Writes a line by one write(2); what cannot be written is lost.
pub fn write_line(fd: i32, text: &[u8]) {
    // SAFETY: `text` is ours.
    let _ = unsafe { sys::call(libc::SYS_write, [fd as u64, text.as_ptr() as u64, text.len() as u64, 0, 0, 0]) };
}

/// Would a shared read-only mapping of this descriptor never change under the reader's eyes by another's store? True for a
/// regular file of a file system on disk that was opened for reading only (design exemption from ordered mode).
pub fn is_plain_reading(fd: i32) -> bool {
    const MEMORY: [u64; 2] = [0x0102_1994 /* tmpfs */, 0x9584_58f6 /* hugetlbfs */];
    // SAFETY: reads flags of a descriptor.
    let flags = unsafe { sys::call(libc::SYS_fcntl, [fd as u64, libc::F_GETFL as u64, 0, 0, 0, 0]) };
    flags.is_ok_and(|f| f & libc::O_ACCMODE as u64 == libc::O_RDONLY as u64)
        && fstat(fd).is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFREG)
        && file_system(fd).is_some_and(|fs| !MEMORY.contains(&fs[0]))
}

/// mount(2) of a file system that has no source of its own.
pub fn mount(source: &[u8], target: &[u8], kind: &[u8]) -> Result<(), Errno> {
    let text = |s: &[u8]| std::ffi::CString::new(s).map_err(|_| Errno(libc::EINVAL));
    let (source, target, kind) = (text(source)?, text(target)?, text(kind)?);
    // SAFETY: three strings that outlive the call.
    unsafe { sys::call(libc::SYS_mount, [source.as_ptr() as u64, target.as_ptr() as u64, kind.as_ptr() as u64, 0, 0, 0]) }.map(drop)
}

/// An executable file that only lives in memory (memfd_create(2)), holding `content`. It stays open over execve.
pub fn memory_file(name: &std::ffi::CStr, content: &[u8]) -> Result<Fd, Errno> {
    // Since Linux 6.3 executable ones may have to be asked for; older kernels do not know the flag.
    const MFD_EXEC: u64 = 0x10;
    let create = |flags: u64| {
        // SAFETY: a terminated string.
        unsafe { sys::call(libc::SYS_memfd_create, [name.as_ptr() as u64, flags, 0, 0, 0, 0]) }
    };
    let fd = Fd(create(MFD_EXEC).or_else(|e| if e == Errno(libc::EINVAL) { create(0) } else { Err(e) })? as i32);
    let mut done = 0;
    while done < content.len() {
        // SAFETY: the rest of `content`.
        done += unsafe { sys::call(libc::SYS_write, [fd.0 as u64, content[done..].as_ptr() as u64, (content.len() - done) as u64, 0, 0, 0]) }? as usize;
    }
    Ok(fd)
}
