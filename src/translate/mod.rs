//! Annotated regions to AArch64 code. A pure function: guest bytes, addresses and options in, [`Emitted`] out; no host address, no
//! global state, so the same code comes out on every machine.
//!
//! One function an instruction, one file a family, one row in the family's `ROWS`. The rules that keep guest state exact:
//! - guest registers, flags and memory change only after the last access of the instruction that may fault, in the order of the manual;
//!   an instruction that is run again from its start after a fault (self-modifying code, a handler that mended the page) gives the same result;
//! - temporaries live inside one instruction only; the pinned registers are the state at every instruction boundary, but for XMM registers inside
//!   a group (`groups`), which `repair` makes exact.

#![forbid(unsafe_code)]

mod atomic;
mod avx;
mod avx_convert;
mod avx_crypto;
mod avx_float;
mod avx_fma;
mod avx_gather;
mod avx_int;
mod avx_move;
mod avx_nan;
mod avx_shuffle;
mod bits;
mod branch;
mod context;
mod copies;
mod crypto;
mod dependent;
mod entries;
mod flags;
#[cfg(test)]
mod fuzz;
mod group_insns;
mod group_kind;
mod group_values;
mod groups;
mod guard;
mod held_sums;
mod late_flags;
mod late_jumps;
mod leaf;
mod integer;
#[cfg(test)]
mod isa;
mod moves;
mod muldiv;
mod narrow;
mod near;
pub mod offered;
mod operand;
mod pieces;
mod repair;
mod reread;
mod rotates;
mod shift;
mod sites;
mod string;
mod string_blocks;
mod system;
mod sse_convert;
mod sse_float;
mod sse_int;
mod sse_move;
mod sse_shuffle;
mod sse_string;
pub mod syscall;
mod table;
mod uppers;
mod vector;
mod x87;
mod x87_quick;
mod xsave;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod order_tests;

pub use context::{Carry, Ctx, Room, exception};
pub use groups::Mark;
pub use moves::pair;
pub use repair::{Step, repair, saved};
pub use sites::Sites;
pub use uppers::Held;

use crate::decode::{End, Flags, Flow, NO_FLAGS, Region};
use crate::emit::tables::Late;
use crate::emit::{Asm, Features, Order};
use crate::guest::Addr;
use crate::guest::cpuid::{XCR0_AVX, XCR0_SSE, XCR0_X87};
use crate::optimize::{Opt, Switches};
use syscall::{HostCalls, NO_CALLS};

/// What translation depends on besides the guest's bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the host offers.
    pub features: Features,
    /// Optimisations that are on.
    pub switches: Switches,
    /// Ordered mode: accesses keep x86-TSO.
    pub ordered: bool,
    /// Addresses of guest instructions whose ordered accesses were seen misaligned.
    pub misaligned: Sites,
    /// Misaligned 16-byte SSE operands raise #GP as on hardware (`--strict-align`).
    pub strict_align: bool,
    /// XCR0 of the processor that is shown: without XSAVE zero, and what needs it raises #UD.
    pub xcr0: u64,
    /// NaN operands and results are not given x86's payload and sign (`--unsafe-fast-nan`).
    pub unsafe_fast_nan: bool,
    /// Addresses of guest instructions whose results were seen to be NaN inside a group: they are translated alone.
    pub nans: Sites,
    /// Addresses of entries to which XMM registers came that were not as narrow as code there would have them: see `narrow`.
    pub wide: Sites,
    /// Addresses of guest instructions that must not share an access with the next one: see [`pair`].
    pub unpaired: Sites,
    /// System calls that translated code makes itself.
    pub calls: &'static HostCalls,
}

impl Options {
    /// Is RSP lowered before the store of a [push](Insn::pushes_eight), so that it is to be raised again if that faults? Where the store has a displacement or may
    /// be any, it is not.
    pub fn pushes_early(&self) -> bool {
        self.ordered && !self.features.lrcpc2 && !self.features.tso && self.switches.on(Opt::EarlyPushes)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            features: Features::default(),
            switches: Switches::default(),
            ordered: false,
            misaligned: Sites::default(),
            strict_align: false,
            xcr0: XCR0_X87 | XCR0_SSE | XCR0_AVX,
            unsafe_fast_nan: false,
            nans: Sites::default(),
            wide: Sites::default(),
            unpaired: Sites::default(),
            calls: &NO_CALLS,
        }
    }
}

/// Where translated code can be entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Guest address.
    pub guest: Addr,
    /// Offset in the code, for those who bring the carry in canonical polarity.
    pub host: u32,
    /// Offset for returns and indirect jumps, which may not ([`CARRY_MARK`](crate::emit::stubs::CARRY_MARK)).
    pub arrival: u32,
    /// Offset for calls that have left it to this to put their return addresses on the shadow stack, if there is such a place; entered as `host` is.
    pub call: Option<u32>,
    /// Flags that the code there may read.
    pub live_in: Flags,
    /// Who may come to `arrival` with less than all flags.
    pub late: Late,
}

/// What a [direct exit](ExitKind::Direct)'s word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// A NOP that may become B.
    Jump {
        /// Offset of the one conditional branch that leads here, if nothing else is done on the way: it may go to the translation by itself.
        branch: Option<u32>,
    },
    /// A BL, behind what has put the return addresses on the shadow stack.
    Call,
    /// A BL to an [`Entry::call`].
    CallEntry {
        /// Offset of a NOP behind it in the code that it calls until it is linked, which has put the return addresses on the shadow stack: it may become `b` to a
        /// translation that has no such entry.
        plain: u32,
    },
}

/// One guest instruction's code: from `host` up to the next record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Offset in the code.
    pub host: u32,
    /// Guest address.
    pub guest: Addr,
    /// Polarity of the carry while it runs.
    pub carry: Carry,
}

/// A place in a loop where the guest's state is exact, and where signals would be looked for if the code did (`engine::halt`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Offset in the code.
    pub host: u32,
    /// The guest's address there.
    pub guest: Addr,
}

/// What a place where translated code leaves is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitKind {
    /// To a known guest address. The word at `patch` may become `b` (or stays `bl` for a call) to its translation.
    Direct {
        /// Guest target.
        target: Addr,
        /// Offset of the word to patch.
        patch: u32,
        /// What it is.
        way: Way,
    },
    /// To an address in a register.
    Indirect {
        /// Offsets of the branches that lead here where the [plain table](crate::emit::tables::look_up_plain) does not have it: of its
        /// [neighbour's](crate::emit::tables::NEIGHBOUR) look, if there is one, and of the last one.
        branches: [Option<u32>; 2],
    },
    /// An exception at `guest`.
    Exception,
    /// The code at this address can not be fetched.
    NoFetch(Addr),
    /// The bytes are not what this was made from. The word at `patch` may become `b` to a translation of what they are.
    Changed {
        /// Offset of the word to patch.
        patch: u32,
    },
    /// The bytes have been compared as often as was asked for.
    Counted,
    /// An XMM register is not as narrow as the code at this entry would have it.
    Wide,
    /// A NaN was seen among a group's results: to be repaired, then on at `guest`.
    Nan,
}

/// A place where translated code leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitSite {
    /// Return address in LINK that names it, as an offset.
    pub host: u32,
    /// Guest instruction (for exceptions) or target.
    pub guest: Addr,
    /// Polarity of the carry there.
    pub carry: Carry,
    /// What for.
    pub kind: ExitKind,
}

/// A translated region.
#[derive(Clone, Debug, Default)]
pub struct Emitted {
    /// Code and literal pool.
    pub code: Vec<u8>,
    /// Offsets of literals that hold guest addresses.
    pub relocations: Vec<u32>,
    /// Where it can be entered; the region's entry first.
    pub entries: Vec<Entry>,
    /// Guest instruction of every stretch of code, by offset.
    pub origins: Vec<Origin>,
    /// Exits by offset.
    pub exits: Vec<ExitSite>,
    /// Where a thread that is to stop must stop at the latest: see [`Look`].
    pub looks: Vec<Look>,
    /// Upper halves of YMM registers that lie in host registers wherever this code faults or polls.
    pub held: Held,
    /// What repairs do, by [`Mark`].
    pub steps: Vec<Step>,
    /// By offset; nothing to repair where a mark's range is empty.
    pub marks: Vec<Mark>,
}

/// Translates a region.
pub fn translate(region: &Region, options: &Options) -> Emitted {
    translate_in(region, options, &mut Room::default())
}

/// Translates a region in room that an earlier translation left.
pub fn translate_in(region: &Region, options: &Options, room: &mut Room) -> Emitted {
    let mut c = Ctx::new(region, options, room);
    c.plan();
    let whole = 0..region.blocks.len();
    let ordered = if options.switches.on(Opt::PieceOrder) { pieces::order(region) } else { None };
    let pieces = ordered.as_deref().unwrap_or(std::slice::from_ref(&whole));
    c.leaf_call();
    for (i, piece) in pieces.iter().enumerate() {
        for index in piece.clone() {
            c.next_block = if index + 1 < piece.end { Some(index + 1) } else { pieces.get(i + 1).map(|p| p.start) };
            block(&mut c, index);
        }
    }
    c.finish(room)
}

/// Inlined into the one loop that nearly all blocks come from (cc1: 10 M instructions less).
#[inline(always)]
fn block(c: &mut Ctx, index: usize) {
    let region = c.region;
    let block = &region.blocks[index];
    c.begin_block(index);
    let no_avx = c.options.xcr0 & XCR0_AVX == 0;
    // Where neither is, nothing asks each instruction for it.
    let (leaves_work, has_groups) = (c.leaves_work, c.groups.wanted);
    for (k, insn) in region.insns[block.first..block.first + block.count].iter().enumerate() {
        c.index = block.first + k;
        c.begin_insn(insn);
        let is_done = leaves_work && c.leaves_work_of(insn);
        if has_groups {
            c.know_narrow(insn);
        }
        if c.next_is_done {
            c.next_is_done = false;
            continue;
        }
        if k + 2 == block.count {
            c.plan_late_flags(insn);
        }
        let marks = table::marks(insn);
        if is_done || c.leaves_out_copy(insn, marks) || has_groups && c.in_group(insn) {
            continue;
        }
        match table::marked_handler(insn, marks) {
            Some(_) if no_avx && insn.needs_avx() => c.undefined(insn),
            Some(handler) => handler(c, insn),
            None if insn.is_too_long() => c.raise(exception::GENERAL_PROTECTION),
            None => c.undefined(insn),
        }
    }
    debug_assert!(c.copies.is_empty(), "every copy left out has its reader");
    c.end_group();
    let live = if block.count > 0 { c.region.insns[block.first + block.count - 1].live } else { NO_FLAGS };
    match block.end {
        End::Fall(to) => c.go(to, index, live),
        End::Flow(Flow::Stop | Flow::Next) => c.unreachable(),
        End::Flow(Flow::Conditional(_) | Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) => {
            let next = c.region.insns[block.first + block.count - 1].next();
            c.fall_through(next, index);
        }
        End::Flow(_) => {}
        End::NoFetch(at) => c.no_fetch(at),
    }
}

/// A family's row: mnemonic and function.
pub type Row = (crate::decode::Mnemonic, fn(&mut Ctx, &crate::decode::Insn));
/// The same for one encoding form, where mnemonics are ambiguous.
pub type CodeRow = (crate::decode::Mnemonic, crate::decode::Code, fn(&mut Ctx, &crate::decode::Insn));

impl Ctx<'_> {
    /// How the memory accesses of the current instruction are ordered.
    #[inline]
    pub fn order(&self) -> Order {
        match self.options.ordered {
            false => Order::Plain,
            true if self.has_misaligned && self.options.misaligned.contains(&self.at.0) => Order::TsoMisaligned,
            true => Order::Tso,
        }
    }
    /// The assembler.
    pub fn asm(&mut self) -> &mut Asm {
        &mut self.a
    }
}
