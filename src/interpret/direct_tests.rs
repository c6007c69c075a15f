//! Direct execution does what execution by way of the decoded form does.

use super::direct::{self, GONE, PAST, Window};
use super::{Done, execute};
use crate::decode::brief::{brief, brief_behind_prefixes, has_prefixes};
use crate::guest::CpuState;
use crate::guest::state::nzcv;

/// Guest memory: words that are addresses of user mode and words that are not.
struct Memory(Vec<u64>);

impl Memory {
    const BYTES: u64 = 1024;

    fn new() -> Memory {
        Memory((0..Self::BYTES / 8).map(|k| 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(k + 1) >> if k % 3 == 0 { 0 } else { 20 }).collect())
    }
    fn start(&self) -> u64 {
        self.0.as_ptr() as u64
    }
    /// Does it hold 16 bytes there?
    fn holds(&self, at: u64) -> bool {
        at.wrapping_sub(self.start()) <= Self::BYTES - 16
    }
}

/// Most registers point into the middle of memory, and a few hold small numbers: indices.
fn state(memory: &Memory, flags: u64) -> CpuState {
    let mut s = CpuState { nzcv: flags & 15 << 28, pf_result: flags & 0xff, af_xor: flags >> 8 & 0xff, ..CpuState::default() };
    s.xmm.iter_mut().enumerate().for_each(|(k, x)| *x = [k as u64 + 1, !(k as u64)]);
    for (k, r) in s.gpr.iter_mut().enumerate() {
        *r = if [1, 6, 9, 14].contains(&k) { 37 * (k as u64 + 1) } else { memory.start() + Memory::BYTES / 2 + 8 * k as u64 };
    }
    s
}

/// What can be seen of a state.
fn seen(s: &CpuState) -> ([u64; 16], [u64; 4], [[u64; 2]; 16]) {
    (s.gpr, [s.rip, s.nzcv, s.pf_result, s.af_xor], s.xmm)
}

/// Executes it both ways. True: it is executed directly.
fn same(code: &Window, memory: &mut Memory, flags: u64) -> bool {
    // Relative to RIP memory is reached, too.
    let at = memory.start() + Memory::BYTES / 2 + 5;
    let before = state(memory, flags);
    let bytes = code.first_chunk().unwrap();
    let decode = if has_prefixes(bytes) { brief_behind_prefixes } else { brief };
    let decoded = decode(bytes, at, &before);
    if decoded.is_some_and(|b| b.is_in_memory() && !memory.holds(b.address.0)) {
        return false;
    }
    let (mut one, words) = (before.clone(), memory.0.clone());
    one.rip = at;
    let outcome = direct::execute::<false>(&mut one, code, at);
    let after = memory.0.clone();
    // Where it lies is what the registers hold.
    memory.0.copy_from_slice(&words);
    let Some(outcome) = outcome else {
        assert_eq!(seen(&one), seen(&CpuState { rip: at, ..before }), "{code:02x?} is refused and changes something");
        assert!(after == memory.0, "{code:02x?} is refused and writes");
        return false;
    };
    one.rip = outcome.get() & (PAST - 1);
    let mut other = CpuState { rip: at, ..before };
    let done = execute(&mut other, bytes, at);
    let kind = match outcome.get() & !(PAST - 1) {
        0 => matches!(done, Some(Done::Next)),
        PAST => matches!(done, Some(Done::Past)),
        GONE => matches!(done, Some(Done::Gone)),
        _ => false,
    };
    assert!(kind, "{code:02x?}: {outcome:x}");
    assert_eq!(seen(&one), seen(&other), "{code:02x?}");
    assert!(after == memory.0, "{code:02x?} writes otherwise");
    memory.0.copy_from_slice(&words);
    true
}

/// Every opcode of both maps, with each REX prefix and ModRM byte, and several SIB bytes, constants and flags.
#[test]
fn it_is_what_decoded_instructions_do() {
    let mut memory = Memory::new();
    let mut executed = [0u32; 512];
    for flags in [nzcv::C | 0x1234, nzcv::N | nzcv::V | 0x01, nzcv::Z | 0xff03] {
        for rex in std::iter::once(None).chain((0x40..0x50u8).map(Some)) {
            for (two, op, modrm) in (0..2).flat_map(|two| (0..=255u8).flat_map(move |op| (0..=255u8).map(move |modrm| (two == 1, op, modrm)))) {
                let has_sib = modrm & 7 == 4 && modrm < 0xc0;
                for sib in [0x24, 0x0c, 0x65, 0x8d, 0xcf] {
                    // A displacement, of one byte or four, and a constant.
                    let displacement = if flags & 1 == 0 { [0x88, 0xff, 0xff, 0xff] } else { [0x18, 0x01, 0, 0] };
                    let rest = displacement.into_iter().chain([0x85, 0x6c, 0x3b, 0x9a, 0x7f]);
                    let head = [rex, two.then_some(0x0f), Some(op), Some(modrm), has_sib.then_some(sib)].into_iter().flatten().chain(rest);
                    let mut code = [0; 32];
                    code.iter_mut().zip(head).for_each(|(to, from)| *to = from);
                    executed[usize::from(two) << 8 | usize::from(op)] += u32::from(same(&code, &mut memory, flags));
                    if !has_sib {
                        break;
                    }
                }
            }
        }
    }
    // ENDBR64, which has a prefix of its own.
    let mut code = [0x90; 32];
    code[..4].copy_from_slice(&[0xf3, 0x0f, 0x1e, 0xfa]);
    executed[0xf3] += u32::from(same(&code, &mut memory, 0));
    // 40 to 4F are REX themselves.
    for (k, n) in executed.iter().enumerate().filter(|(k, _)| !(0x40..0x50).contains(k)) {
        assert_eq!(*n > 0, direct::has(k >> 8 != 0, k as u8), "{k:03x} is executed {n} times");
    }
}
