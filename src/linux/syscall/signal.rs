//! System calls on signals. Dispositions and masks are kept here and mirrored on the host (`linux::signal`); sending and waiting pass.

use crate::guest::{Addr, Gpr};
use crate::host::copy::{self, Fault};
use crate::host::process::forward;
use crate::host::signals::{NEVER_BLOCKED, SigInfo, signo};
use crate::host::sys::{Errno, NOT_BEGUN};
use crate::linux::signal::{self, Action, AltStack, UNBLOCKABLE};
use crate::linux::task::Task;

type Result = std::result::Result<u64, Errno>;

const EINVAL: Errno = Errno(libc::EINVAL);
/// Size of a signal set.
const SET: u64 = 8;

fn fault(_: Fault) -> Errno {
    Errno(libc::EFAULT)
}

/// rt_sigaction(2).
pub fn rt_sigaction(task: &mut Task, [number, new, old, size, ..]: [u64; 6]) -> Result {
    let number = number as i32;
    if size != SET {
        return Err(EINVAL);
    }
    let new = if new != 0 { Some(Action::from_guest(copy::read::<[u64; 4]>(Addr(new)).map_err(fault)?)) } else { None };
    if !(1..=64).contains(&number) || new.is_some() && UNBLOCKABLE >> (number - 1) & 1 != 0 {
        return Err(EINVAL);
    }
    let before = match new {
        Some(new) => task.sighand.set(number, new)?,
        None => task.sighand.get(number),
    };
    if old != 0 {
        copy::write(Addr(old), before.to_guest()).map_err(fault)?;
    }
    Ok(0)
}

/// rt_sigprocmask(2).
pub fn rt_sigprocmask(task: &mut Task, [how, new, old, size, ..]: [u64; 6]) -> Result {
    if size != SET {
        return Err(EINVAL);
    }
    let before = task.signals.blocked();
    if new != 0 {
        let set = copy::read::<u64>(Addr(new)).map_err(fault)?;
        let mask = match how as i32 {
            libc::SIG_BLOCK => before | set,
            libc::SIG_UNBLOCK => before & !set,
            libc::SIG_SETMASK => set,
            _ => return Err(EINVAL),
        };
        task.signals.change_mask(mask)?;
    }
    if old != 0 {
        copy::write(Addr(old), before).map_err(fault)?;
    }
    Ok(0)
}

/// rt_sigpending(2).
pub fn rt_sigpending(task: &mut Task, [at, size, ..]: [u64; 6]) -> Result {
    if size > SET {
        return Err(EINVAL);
    }
    let set = task.signals.pending().to_le_bytes();
    copy::write_bytes(Addr(at), &set[..size as usize]).map(|()| 0).map_err(fault)
}

/// rt_sigsuspend(2).
pub fn rt_sigsuspend(task: &mut Task, [mask, size, ..]: [u64; 6]) -> Result {
    if size != SET {
        return Err(EINVAL);
    }
    let mask = copy::read::<u64>(Addr(mask)).map_err(fault)?;
    signal::with_mask(task, Some(mask), |host| forward(libc::SYS_rt_sigsuspend, [host, SET, 0, 0, 0, 0]))
}

/// pause(2).
pub fn pause(_: &mut Task, _: [u64; 6]) -> Result {
    match forward(libc::SYS_ppoll, [0; 6]) {
        Err(NOT_BEGUN) => Err(NOT_BEGUN),
        _ => Err(Errno(libc::EINTR)),
    }
}

/// rt_sigtimedwait(2).
pub fn rt_sigtimedwait(task: &mut Task, args: [u64; 6]) -> Result {
    let [set, info, _, size, ..] = args;
    if size != SET {
        return Err(EINVAL);
    }
    let set = copy::read::<u64>(Addr(set)).map_err(fault)?;
    if let Some(held) = task.signals.take_held(set & NEVER_BLOCKED) {
        if info != 0 {
            copy::write(Addr(info), held).map_err(fault)?;
        }
        return Ok(signo(&held) as u64);
    }
    task.process.engine.prepare_write(Addr(info), if info != 0 { size_of::<SigInfo>() as u64 } else { 0 });
    forward(libc::SYS_rt_sigtimedwait, args)
}

/// rt_sigreturn(2): everything comes from the frame, RAX too.
pub fn rt_sigreturn(task: &mut Task, _: [u64; 6]) -> Result {
    if signal::sigreturn(task).is_err() {
        signal::bad_frame(task);
    }
    Ok(task.thread.state().get(Gpr::Rax))
}

/// struct stack_t: address, flags (32 bits), size.
type Stack = [u64; 3];

/// sigaltstack(2).
pub fn sigaltstack(task: &mut Task, [new, old, ..]: [u64; 6]) -> Result {
    let new = if new != 0 { Some(copy::read::<Stack>(Addr(new)).map_err(fault)?) } else { None };
    let sp = task.thread.state().get(Gpr::Rsp);
    let before = task.signals.alternate();
    if let Some([sp_new, flags, size]) = new {
        task.signals.set_alternate(AltStack { sp: sp_new, size, flags: flags as u32 }, sp)?;
    }
    if old != 0 {
        let flags = before.status(sp) | before.flags & signal::AUTODISARM;
        copy::write::<Stack>(Addr(old), [before.sp, flags as u64, before.size]).map_err(fault)?;
    }
    Ok(0)
}
