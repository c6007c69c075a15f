//! Guest bytes to [`Insn`], [`Block`] and [`Region`]. The only user of iced-x86; knows nothing of hosts.

#![forbid(unsafe_code)]

mod access;
mod blocks;
pub mod brief;
mod effects;
mod glance;
mod insn;
mod loops;
mod quick;
mod quick_groups;
mod quick_rows;
mod quick_vex;
mod region;
mod soft;

pub use access::MemoryFault;
pub use effects::{AF, CF, condition_reads, FlagEffects, Flags, NO_FLAGS, OF, PF, SF, STATUS, ZF, is_arithmetic};
pub use iced_x86::{Code, CpuidFeature, Mnemonic, Register};
pub use insn::{Flow, Insn, MemOperand, Op};
pub use region::{Ahead, Block, CodeAt, CodeSource, End, Guard, Limits, Region, decode_one, decode_region, decode_region_in, effects_each};
pub use soft::{soft_fields, soften};
