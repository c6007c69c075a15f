//! Files that gdb reads here: the program and its libraries, so that it needs no copies of its own. It reads as this process may; it writes nothing.

use super::target::{Inspector, part};
use crate::host::file::{self, Fd};
use crate::host::sys::Errno;
use crate::linux::proc;
use gdbstub::target::ext::host_io::*;

/// An open file.
pub enum Open {
    /// One of the host's.
    File(Fd),
    /// One of /proc's that tells the guest of itself.
    Text(Vec<u8>),
}

type Done<T> = HostIoResult<T, Inspector>;

/// The protocol's error for an errno.
fn failed(e: Errno) -> HostIoError<Errno> {
    use HostIoErrno::*;
    HostIoError::Errno(match e.0 {
        libc::EPERM => EPERM,
        libc::ENOENT => ENOENT,
        libc::EIO => EIO,
        libc::EBADF => EBADF,
        libc::EACCES => EACCES,
        libc::ENODEV => ENODEV,
        libc::ENOTDIR => ENOTDIR,
        libc::EISDIR => EISDIR,
        libc::EINVAL => EINVAL,
        libc::EMFILE => EMFILE,
        libc::EROFS => EROFS,
        libc::ENAMETOOLONG => ENAMETOOLONG,
        _ => EUNKNOWN,
    })
}

impl Inspector {
    /// Where the guest finds `name`: what `-L` names comes first, as for the program's interpreter.
    fn path(&self, name: &[u8]) -> Vec<u8> {
        if let Some(prefix) = &self.process.options.prefix
            && name.starts_with(b"/")
        {
            let below = [prefix, name].concat();
            if file::stat(&below).is_ok() {
                return below;
            }
        }
        name.to_vec()
    }

    fn file(&self, fd: u32) -> Done<&Open> {
        self.files.get(fd as usize).and_then(Option::as_ref).ok_or(failed(Errno(libc::EBADF)))
    }
}

impl HostIo for Inspector {
    fn support_open(&mut self) -> Option<HostIoOpenOps<'_, Self>> {
        Some(self)
    }
    fn support_close(&mut self) -> Option<HostIoCloseOps<'_, Self>> {
        Some(self)
    }
    fn support_pread(&mut self) -> Option<HostIoPreadOps<'_, Self>> {
        Some(self)
    }
    fn support_fstat(&mut self) -> Option<HostIoFstatOps<'_, Self>> {
        Some(self)
    }
    fn support_readlink(&mut self) -> Option<HostIoReadlinkOps<'_, Self>> {
        Some(self)
    }
    fn support_setfs(&mut self) -> Option<HostIoSetfsOps<'_, Self>> {
        Some(self)
    }
}

impl HostIoOpen for Inspector {
    fn open(&mut self, filename: &[u8], flags: HostIoOpenFlags, _mode: HostIoOpenMode) -> Done<u32> {
        let reads = HostIoOpenFlags::O_RDONLY | HostIoOpenFlags::O_CLOSE_ON_EXEC | HostIoOpenFlags::O_NONBLOCK;
        if !(flags - reads).is_empty() {
            return Err(failed(Errno(libc::EROFS)));
        }
        let file = match proc::intercept_open(&self.process, filename) {
            Some(text) => Open::Text(text),
            None => {
                let opened = file::open(&self.path(filename), libc::O_RDONLY | libc::O_NONBLOCK).map_err(failed)?;
                // Out of the guest's way.
                Open::File(file::raise(&opened, 1000).unwrap_or(opened))
            }
        };
        let free = self.files.iter().position(Option::is_none).unwrap_or_else(|| {
            self.files.push(None);
            self.files.len() - 1
        });
        self.files[free] = Some(file);
        Ok(free as u32)
    }
}

impl HostIoClose for Inspector {
    fn close(&mut self, fd: u32) -> Done<()> {
        self.file(fd)?;
        self.files[fd as usize] = None;
        Ok(())
    }
}

impl HostIoPread for Inspector {
    fn pread(&mut self, fd: u32, count: usize, offset: u64, buf: &mut [u8]) -> Done<usize> {
        let n = count.min(buf.len());
        match self.file(fd)? {
            Open::File(file) => file::pread(file.0, &mut buf[..n], offset).map_err(failed),
            Open::Text(text) => Ok(part(text, offset, n, buf)),
        }
    }
}

impl HostIoFstat for Inspector {
    fn fstat(&mut self, fd: u32) -> Done<HostIoStat> {
        let st = match self.file(fd)? {
            Open::File(file) => file::fstat(file.0).map_err(failed)?,
            // Files of /proc have no size.
            Open::Text(_) => file::stat(b"/proc/self/maps").map_err(failed)?,
        };
        Ok(HostIoStat {
            st_dev: st.st_dev as u32,
            st_ino: st.st_ino as u32,
            st_mode: HostIoOpenMode::from_bits_truncate(st.st_mode),
            st_nlink: st.st_nlink as u32,
            st_uid: st.st_uid,
            st_gid: st.st_gid,
            st_rdev: st.st_rdev as u32,
            st_size: st.st_size as u64,
            st_blksize: st.st_blksize as u64,
            st_blocks: st.st_blocks as u64,
            st_atime: st.st_atime as u32,
            st_mtime: st.st_mtime as u32,
            st_ctime: st.st_ctime as u32,
        })
    }
}

impl HostIoReadlink for Inspector {
    fn readlink(&mut self, filename: &[u8], buf: &mut [u8]) -> Done<usize> {
        let link = match proc::intercept_readlink(&self.process, filename) {
            Some(link) => link,
            None => file::read_link(&self.path(filename)).map_err(failed)?,
        };
        buf.get_mut(..link.len()).ok_or(failed(Errno(libc::ENAMETOOLONG)))?.copy_from_slice(&link);
        Ok(link.len())
    }
}

impl HostIoSetfs for Inspector {
    /// There is one file system, the guest's.
    fn setfs(&mut self, _fs: FsKind) -> Done<()> {
        Ok(())
    }
}
