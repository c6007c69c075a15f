//! System V semaphores: struct semid64_ds differs; messages and shared memory pass.

use super::{Result, fault, host_call, host_call_with};
use crate::guest::Addr;
use crate::host::copy;
use crate::linux::abi::layout::{HostSemidDs, SemidDs};
use crate::linux::task::Task;

const IPC_SET: u32 = 1;
const IPC_STAT: u32 = 2;
const IPC_INFO: u32 = 3;
const GETALL: u32 = 13;
const SEM_STAT: u32 = 18;
const SEM_INFO: u32 = 19;
const SEM_STAT_ANY: u32 = 20;
/// struct seminfo: ten ints.
const SEMINFO_SIZE: u64 = 40;

fn state(task: &mut Task, id: u64, command: u32) -> std::result::Result<(u64, SemidDs), crate::host::sys::Errno> {
    let mut host = [0; HostSemidDs::SIZE];
    let value = host_call_with(task, libc::SYS_semctl, [id, 0, command as u64, 0, 0, 0], &mut [(3, &mut host)])?;
    Ok((value, HostSemidDs::from_bytes(&host).into()))
}

/// semctl(2).
pub fn semctl(task: &mut Task, args: [u64; 6]) -> Result {
    let [id, _, command, at, ..] = args;
    match command as u32 {
        command @ (IPC_STAT | SEM_STAT | SEM_STAT_ANY) => {
            let (value, guest) = state(task, id, command)?;
            copy::write_bytes(Addr(at), &guest.to_bytes()).map_err(fault)?;
            Ok(value)
        }
        IPC_SET => {
            let mut guest = [0; SemidDs::SIZE];
            copy::read_bytes(Addr(at), &mut guest).map_err(fault)?;
            let mut host = HostSemidDs::from(SemidDs::from_bytes(&guest)).to_bytes();
            host_call_with(task, libc::SYS_semctl, args, &mut [(3, &mut host)])
        }
        GETALL => {
            let count = state(task, id, IPC_STAT).map_or(0, |(_, s)| s.nsems);
            task.process.engine.prepare_write(Addr(at), 2 * count);
            host_call(task, libc::SYS_semctl, args)
        }
        IPC_INFO | SEM_INFO => {
            task.process.engine.prepare_write(Addr(at), SEMINFO_SIZE);
            host_call(task, libc::SYS_semctl, args)
        }
        _ => host_call(task, libc::SYS_semctl, args),
    }
}
