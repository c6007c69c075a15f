//! System calls: what a guest's SYSCALL instruction does.
//!
//! [`table`] says everything of every call; [`dispatch`] follows it. Calls that are the same on the host are forwarded by
//! [`host_call`], the only place that makes a host call for the guest; the others are functions in the modules beside.

mod args;
pub mod docs;
mod file;
mod ids;
mod ipc;
pub mod memory;
pub mod namespace;
mod path;
mod poll;
pub mod process;
mod signal;
mod stat;
pub mod strace;
pub mod table;
mod time;

use crate::engine::Engine;
use crate::guest::{Addr, Gpr};
use crate::host::copy::Fault;
use crate::host::sys::Errno;
use crate::linux::signal as signal_calls;
use crate::linux::task::Task;
use std::sync::atomic::{AtomicU64, Ordering};
use table::{Row, Support};

/// What a call gives: a value of 0 or more, or an errno.
pub type Result = std::result::Result<u64, Errno>;

const EFAULT: Errno = Errno(libc::EFAULT);

/// The kernel transfers no more at once (MAX_RW_COUNT), so no more is prepared.
const TRANSFER_MAX: u64 = 0x7fff_f000;

/// Where the arguments are.
const ARGUMENTS: [Gpr; 6] = [Gpr::Rdi, Gpr::Rsi, Gpr::Rdx, Gpr::R10, Gpr::R8, Gpr::R9];

/// Carries out the system call that the guest asks for, and puts its result into RAX.
pub fn dispatch(task: &mut Task) {
    let s = task.thread.state();
    let number = s.get(Gpr::Rax);
    let args = ARGUMENTS.map(|r| s.get(r));
    let value = perform(task, number, args);
    task.thread.state().set(Gpr::Rax, value as u64);
}

/// Carries out call `number`: the value for RAX, negative errno on failure.
pub fn perform(task: &mut Task, number: u64, args: [u64; 6]) -> i64 {
    let Some(row) = table::row(number) else {
        return refuse(number, None, libc::ENOSYS);
    };
    if task.process.options.strace {
        return strace::around(task, row, args, |task| carry_out(task, row, args));
    }
    carry_out(task, row, args)
}

#[inline]
fn carry_out(task: &mut Task, row: &'static Row, args: [u64; 6]) -> i64 {
    let prepared = (row.writes && Engine::is_careful()).then(|| prepare(task, row, &args));
    let mut result = make(task, row, args);
    if row.writes && result == Err(EFAULT) && Engine::is_careful() {
        result = make_again(task, row, args, prepared);
    }
    match result {
        Ok(value) => {
            if let Some(n) = writes_file(row.number) {
                task.process.mm.file_written(args[n] as i32);
            }
            value as i64
        }
        Err(errno) => -errno.0 as i64,
    }
}

/// Calls that change a file's contents, and which argument is its descriptor: write, pwrite64, writev, sendfile, ftruncate, splice, fallocate,
/// pwritev, copy_file_range, pwritev2.
const WRITES_FILES: &[(u16, usize)] = &[(1, 0), (18, 0), (20, 0), (40, 0), (77, 0), (275, 2), (285, 0), (296, 0), (326, 2), (328, 0)];

/// Does the call change a file's contents, and which argument is its descriptor?
#[inline]
pub const fn writes_file(number: u16) -> Option<usize> {
    /// By number; 6: it does not.
    static ARGUMENT: [u8; 512] = {
        let mut all = [6; 512];
        let mut i = 0;
        while i < WRITES_FILES.len() {
            all[WRITES_FILES[i].0 as usize] = WRITES_FILES[i].1 as u8;
            i += 1;
        }
        all
    };
    if number as usize >= ARGUMENT.len() {
        return None;
    }
    match ARGUMENT[number as usize] {
        6 => None,
        n => Some(n as usize),
    }
}

/// After call `number`, which translated code has made.
pub fn called(task: &mut Task, number: u64) {
    if let Some(n) = writes_file(number as u16) {
        let s = task.thread.state();
        let fd = s.get(ARGUMENTS[n]);
        if s.get(Gpr::Rax) as i64 >= 0 {
            task.process.mm.file_written(fd as i32);
        }
    }
}

/// Makes a call as its row says.
#[inline(always)]
fn make(task: &mut Task, row: &'static Row, args: [u64; 6]) -> Result {
    match row.support {
        Support::Pass(nr) | Support::Direct(nr) | Support::Alone(nr) => host_call(task, nr, args),
        Support::Handler(handler) => handler(task, args),
        Support::Refuse(errno) => {
            refuse(row.number as u64, Some(row), errno);
            Err(Errno(errno))
        }
    }
}

/// Makes a call that could not write. While it was on its way another thread may have translated code on a page where it writes, which protects the page, and a
/// third may have lifted that again: as long as something like that has happened it is made once more. (What such a call has done before it wrote, it does
/// twice: natively it would have written at once.) `prepared`: what [`prepare`] said before, if it was asked.
#[cold]
#[inline(never)]
fn make_again(task: &mut Task, row: &'static Row, args: [u64; 6], mut prepared: Option<u64>) -> Result {
    for _ in 0..TRIES {
        let now = prepare(task, row, &args);
        if prepared.replace(now) == Some(now) {
            break;
        }
        let result = make(task, row, args);
        if result != Err(EFAULT) {
            return result;
        }
    }
    Err(EFAULT)
}

/// Other threads do not come between forever.
const TRIES: u32 = 100;

/// Lifts the write protection of translated code from everything that the kernel may write by this call. What is returned changes with every page that is
/// lifted, here or by another thread.
#[inline(never)]
fn prepare(task: &mut Task, row: &Row, args: &[u64; 6]) -> u64 {
    for (arg, value) in row.args.iter().zip(args) {
        if arg.writes() {
            arg.written(*value, args, &mut |start, len| task.process.engine.prepare_write(start, len.min(TRANSFER_MAX)));
        }
    }
    task.process.engine.generation()
}

/// Makes a call of the host for the guest: pointers are guest addresses. May block, and then fails with EINTR when a signal comes.
#[inline]
pub(super) fn host_call(task: &mut Task, number: i64, args: [u64; 6]) -> Result {
    signal_calls::host_call(task, number, args)
}

/// [`host_call`] with memory of ours in the place of some arguments: `(argument's number from 0, bytes)`. Each must be as long as the
/// call takes it to be.
pub(super) fn host_call_with(task: &mut Task, number: i64, mut args: [u64; 6], ours: &mut [(usize, &mut [u8])]) -> Result {
    for (n, bytes) in ours {
        args[*n] = bytes.as_mut_ptr() as u64;
    }
    host_call(task, number, args)
}

/// Says once a number that a call is not there, and answers with `errno`.
#[cold]
fn refuse(number: u64, row: Option<&Row>, errno: i32) -> i64 {
    static SAID: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
    let word = &SAID[(number / 64) as usize % SAID.len()];
    if word.fetch_or(1 << (number % 64), Ordering::Relaxed) & 1 << (number % 64) == 0 {
        match row {
            Some(row) => log::warn!("system call {number} ({}) is refused: {}", row.name, row.note),
            None => log::warn!("there is no system call {number}"),
        }
    }
    -errno as i64
}

/// EFAULT for an address of the guest that is not accessible.
pub(super) fn fault(_: Fault) -> Errno {
    EFAULT
}

/// Is this address null? Optional pointers are `None` then.
pub(super) fn optional(at: u64) -> Option<Addr> {
    (at != 0).then_some(Addr(at))
}
