//! The vsyscall page: three fixed entry points above all guest memory, answered as a kernel with vsyscall=xonly does
//! (arch/x86/entry/vsyscall/vsyscall_64.c): calling them works, reading them faults.

use super::syscall;
use super::task::Task;
use crate::guest::{Addr, Gpr};
use crate::host::copy;

/// Address of the page.
const PAGE: u64 = 0xffff_ffff_ff60_0000;
/// System calls by entry point, 1024 bytes apart: gettimeofday, time, getcpu.
const CALLS: [u64; 3] = [96, 201, 309];

/// If the guest jumped to an entry point, makes its system call and returns to the caller.
pub fn emulate(task: &mut Task) -> bool {
    let state = task.thread.state();
    let offset = state.rip.wrapping_sub(PAGE);
    let sp = state.get(Gpr::Rsp);
    let (Some(number), true) = (CALLS.get((offset / 1024) as usize), offset % 1024 == 0) else { return false };
    let Ok(back) = copy::read::<u64>(Addr(sp)) else { return false };
    state.set(Gpr::Rax, *number);
    state.rip = back;
    state.set(Gpr::Rsp, sp.wrapping_add(8));
    syscall::dispatch(task);
    true
}
