//! System calls on the address space: arguments in, checks that need no address space, and on to `linux::memory`.

use super::host_call;
use crate::guest::Addr;
use crate::guest::addr::PAGE_SIZE;
use crate::host::memory::flags;
use crate::host::sys::Errno;
use crate::linux::memory::vma::Kind;
use crate::linux::memory::{Place, Prot, Request, page_len};
use crate::linux::task::Task;

type Result = std::result::Result<u64, Errno>;

const EINVAL: Errno = Errno(libc::EINVAL);
/// x86 only: below 2 GiB. The host has no such flag.
const MAP_32BIT: u64 = 0x40;
/// x86 only: above 4 GiB, where everything goes by itself.
const MAP_ABOVE4G: u64 = 0x80;

/// mmap(2).
pub fn mmap(task: &mut Task, [addr, len, prot, how, fd, offset]: [u64; 6]) -> Result {
    if offset % PAGE_SIZE != 0 || len == 0 {
        return Err(EINVAL);
    }
    let len = page_len(len, Errno(libc::ENOMEM))?;
    if len == 0 {
        return Err(Errno(libc::ENOMEM));
    }
    if offset.checked_add(len).is_none() {
        return Err(Errno(libc::EOVERFLOW));
    }
    if !matches!(how & flags::TYPE, flags::SHARED | flags::PRIVATE | flags::SHARED_VALIDATE) {
        return Err(EINVAL);
    }
    let fixed = how & (flags::FIXED | flags::FIXED_NOREPLACE) != 0;
    if fixed && addr % PAGE_SIZE != 0 {
        return Err(EINVAL);
    }
    let place = match how {
        _ if how & flags::FIXED_NOREPLACE != 0 => Place::New(Addr(addr)),
        _ if how & flags::FIXED != 0 => Place::Fixed(Addr(addr)),
        // A hint inside the low area counts; the kernel looks no further for others.
        _ if how & MAP_32BIT != 0 => Place::Low,
        _ if addr != 0 => Place::Hint(Addr(addr).page_up()),
        _ => Place::Anywhere,
    };
    let anonymous = how & flags::ANONYMOUS != 0;
    let growing = how & flags::GROWSDOWN != 0;
    if growing && how & flags::TYPE != flags::PRIVATE {
        return Err(EINVAL);
    }
    // The host must not let an area grow that our map would not know of: we do (`Mm::grow_down`).
    let dropped = flags::FIXED | flags::FIXED_NOREPLACE | MAP_32BIT | MAP_ABOVE4G | flags::GROWSDOWN;
    let request = Request {
        place,
        len,
        prot: Prot::from_bits_truncate(prot as u8),
        flags: how & !dropped,
        fd: if anonymous { -1 } else { fd as i32 },
        offset,
        kind: (growing && anonymous).then_some(Kind::Growing),
    };
    task.process.mm.map(&request).map(|at| at.0)
}

/// munmap(2).
pub fn munmap(task: &mut Task, [addr, len, ..]: [u64; 6]) -> Result {
    task.process.mm.unmap(Addr(addr), len).map(|()| 0)
}

/// mprotect(2).
pub fn mprotect(task: &mut Task, [addr, len, prot, ..]: [u64; 6]) -> Result {
    task.process.mm.protect(Addr(addr), len, prot).map(|()| 0)
}

/// pkey_mprotect(2): keys are never given out (pkey_alloc says ENOSPC), so only -1, "no key", is one.
pub fn pkey_mprotect(task: &mut Task, args: [u64; 6]) -> Result {
    if args[3] as i32 == -1 { mprotect(task, args) } else { Err(EINVAL) }
}

/// pkey_alloc(2): no protection keys, as on a processor without them.
pub fn pkey_alloc(_: &mut Task, [flags, rights, ..]: [u64; 6]) -> Result {
    Err(Errno(if flags != 0 || rights & !3 != 0 { libc::EINVAL } else { libc::ENOSPC }))
}

/// pkey_free(2).
pub fn pkey_free(_: &mut Task, _: [u64; 6]) -> Result {
    Err(EINVAL)
}

/// mremap(2).
pub fn mremap(task: &mut Task, [old, old_len, new_len, how, to, _]: [u64; 6]) -> Result {
    task.process.mm.remap(Addr(old), old_len, new_len, how, Addr(to)).map(|at| at.0)
}

/// madvise(2).
pub fn madvise(task: &mut Task, [addr, len, advice, ..]: [u64; 6]) -> Result {
    task.process.mm.advise(Addr(addr), len, advice as u32 as u64).map(|()| 0)
}

/// brk(2).
pub fn brk(task: &mut Task, [new, ..]: [u64; 6]) -> Result {
    Ok(task.process.mm.set_brk(Addr(new)).0)
}

/// mlockall(2): the guest's areas only; xemu's own memory stays as it is.
pub fn mlockall(task: &mut Task, [how, ..]: [u64; 6]) -> Result {
    const CURRENT: u64 = libc::MCL_CURRENT as u64;
    const FUTURE: u64 = libc::MCL_FUTURE as u64;
    const ONFAULT: u64 = 4;
    if how == 0 || how & !(CURRENT | FUTURE | ONFAULT) != 0 || how == ONFAULT {
        return Err(EINVAL);
    }
    // MLOCK_ONFAULT is 1.
    let mode = (how & ONFAULT) >> 2;
    let (now, later) = (how & CURRENT != 0, how & FUTURE != 0);
    task.process.mm.lock_all(now.then_some(mode), later.then_some(mode)).map(|()| 0)
}

/// munlockall(2).
pub fn munlockall(task: &mut Task, _: [u64; 6]) -> Result {
    task.process.mm.lock_all(None, None).map(|()| 0)
}

/// shmat(2).
pub fn shmat(task: &mut Task, [id, addr, how, ..]: [u64; 6]) -> Result {
    task.process.mm.attach(id as i32, Addr(addr), how as u32 as u64).map(|at| at.0)
}

/// shmdt(2).
pub fn shmdt(task: &mut Task, [addr, ..]: [u64; 6]) -> Result {
    task.process.mm.detach(Addr(addr)).map(|()| 0)
}

/// io_setup(2): its ring of completions lies in the process's memory, and programs read it without a call.
pub fn io_setup(task: &mut Task, args: [u64; 6]) -> Result {
    task.process.mm.observed();
    host_call(task, libc::SYS_io_setup, args)
}
