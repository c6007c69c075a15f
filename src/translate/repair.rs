//! Code that makes the state exact inside a group (see [`super::groups`]): it runs once, where a NaN was seen or an instruction faulted.
//!
//! It begins with the registers as they were there: XMM registers in the state's `xmm` and, again, in `kept`; v4 to v15 in `kept` and `held`. What the group's
//! operations read from memory is read from there; general registers, flags and memory are exact already and stay as they are.

use super::context::{Ctx, Room};
use super::late_flags::How;
use super::uppers::Plan;
use super::{Emitted, Options, table};
use crate::decode::{End, Insn, Region, STATUS};
use crate::emit::regs::*;
use crate::emit::simd::Arr;
use crate::emit::{Mem, Order};
use crate::guest::{Addr, CpuState};
use std::mem::offset_of;

/// What a repair does.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Gives XMM `n`, or the upper half of YMM `n` - 16, the low `bytes` (4, 8; 16: all) of a saved host register, and the rest of another (with 8 bytes
    /// it may be another doubleword).
    Set {
        /// Number.
        n: u8,
        /// Saved register.
        low: V,
        /// Saved register.
        high: V,
        /// How many.
        bytes: u8,
        /// If 8: which doubleword of each.
        lanes: [u8; 2],
    },
    /// Runs an instruction; `mem`: the saved host registers that its memory operand was loaded to, twice the same if it has 16 bytes or less.
    Run {
        /// The instruction.
        insn: Insn,
        /// The memory operand's value.
        mem: Option<(V, V)>,
    },
    /// Computes PF and AF of an instruction that left them to its block's end (see [`super::late_jumps`]).
    Flags {
        /// The instruction.
        insn: Insn,
        /// By what.
        how: How,
    },
}

/// Where a host register was saved.
pub fn saved(v: V) -> usize {
    match v.0 {
        8..16 => offset_of!(CpuState, held) + 16 * (v.0 as usize - 8),
        16.. => offset_of!(CpuState, kept) + 16 * (v.0 as usize - 16),
        _ => offset_of!(CpuState, kept_low) + 16 * (v.0 as usize - 4),
    }
}

/// The memory operand: where the register was saved, or both together.
fn operand(c: &mut Ctx, low: V, high: V) -> Mem {
    if low == high {
        return Mem::Off(STATE, saved(low) as i64);
    }
    let wide = offset_of!(CpuState, kept_wide);
    for (v, at) in [(low, wide), (high, wide + 16)] {
        let (from, to) = (c.field(saved(v)), c.field(at));
        c.a.load_v(16, V(0), from, Order::Plain);
        c.a.store_v(16, V(0), to, Order::Plain);
    }
    c.field(wide)
}

/// Code for these steps, which goes on at `resume`.
pub fn repair(steps: &[Step], resume: Addr, options: &Options) -> Emitted {
    let mut options = options.clone();
    options.switches = options.switches.without(crate::optimize::Opt::FloatGroups);
    let region = Region::empty(resume, End::Fall(resume));
    let mut room = Room::default();
    let mut c = Ctx::new(&region, &options, &mut room);
    c.uppers = Plan::default();
    c.begin_block(0);
    for step in steps {
        match step {
            Step::Set { n, low, high, bytes, lanes } => {
                let (high, low) = (c.field(saved(*high)), c.field(saved(*low)));
                if let Some(n) = n.checked_sub(16) {
                    c.a.load_v(16, V(0), low, Order::Plain);
                    c.a.store_v(16, V(0), Mem::Off(STATE, (offset_of!(CpuState, ymm_hi) + 16 * n as usize) as i64), Order::Plain);
                    continue;
                }
                let d = xmm(*n);
                c.a.load_v(16, d, high, Order::Plain);
                if *bytes != 16 {
                    c.a.load_v(16, V(0), low, Order::Plain);
                    if lanes[1] == 0 {
                        c.a.dup(Arr::D2, d, d, 0);
                    }
                    c.a.ins(bytes.trailing_zeros(), d, 0, V(0), lanes[0].into());
                }
            }
            Step::Flags { insn, how } => c.settle_parity(insn, *how),
            Step::Run { insn, mem } => {
                c.begin_insn(insn);
                // Flags are the guest's, and stay.
                c.live = STATUS;
                c.memory = mem.map(|(low, high)| operand(&mut c, low, high));
                let handler = table::handler(insn).expect("it was translated before");
                handler(&mut c, insn);
                c.memory = None;
            }
        }
    }
    c.at = Addr(0);
    c.direct_exit(resume);
    c.finish(&mut room)
}
