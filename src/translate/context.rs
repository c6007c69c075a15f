//! The state of one region's translation: assembler, labels, carry polarity, side tables, exits.

use super::copies::Copy;
use super::group_kind::Sum;
use super::groups::{Groups, Range};
use super::held_sums::HeldSums;
use super::late_flags::LateFlags;
use super::late_jumps::LateJump;
use super::leaf::Leaf;
use super::narrow::Narrow;
use super::near::Near;
use super::rotates::Rotates;
use super::uppers::{Places, Plan};
use super::{Emitted, ExitKind, ExitSite, Look, Options, Origin, Way};
use crate::decode::{CF, Flags, Insn, NO_FLAGS, Region};
use crate::emit::regs::*;
use crate::emit::stubs::{CARRY_MARK, POLL_OFFSET, Stub};
use crate::emit::{Asm, Buffers, Label, Mem, Order, Size, Width};
use crate::guest::{Addr, CpuState};
use crate::optimize::Opt;
use std::mem::offset_of;

/// How the host's carry stands for x86's CF.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Carry {
    /// C = !CF, as SUBS leaves it: the canonical polarity, at every label and direct exit where CF is live.
    #[default]
    Inverted,
    /// C = CF, as ADDS and logic leave it.
    Direct,
}

pub use crate::guest::exception;

enum ColdCode<'a> {
    /// The most common ones need no closure: an exit, with the branch that leads to it; a call's, whose BL lies at this offset; a return's that was not predicted.
    Exit(Addr, Option<u32>),
    Call(Addr, u32),
    Return,
    Code(Box<dyn FnOnce(&mut Ctx<'a>) + Send + 'a>),
}

struct Cold<'a> {
    label: Label,
    insn: Addr,
    carry: Carry,
    dirty: Places,
    zero_uppers: u16,
    steps: Range,
    live: Flags,
    code: ColdCode<'a>,
}

/// Room that one translation after another uses, so that it need not grow each time.
#[derive(Default)]
pub struct Room {
    buffers: Buffers,
    labels: Vec<Label>,
    entries: Vec<(usize, Label)>,
    arrivals: Vec<Label>,
    cold: Vec<Cold<'static>>,
}

/// The room of a vector in which nothing is, for code of another region.
fn emptied<'b>(mut cold: Vec<Cold<'_>>) -> Vec<Cold<'b>> {
    cold.clear();
    // Done in place.
    cold.into_iter().map(|_| unreachable!("it is empty")).collect()
}

impl Room {
    /// Takes back an [`Emitted::code`] that has been copied to its place.
    pub fn take_back(&mut self, code: Vec<u8>) {
        self.buffers.take_back(code);
    }
}

/// Translation in progress.
pub struct Ctx<'a> {
    /// The region.
    pub region: &'a Region,
    /// What translation depends on.
    pub options: &'a Options,
    /// The assembler.
    pub a: Asm,
    /// Polarity of C at this point.
    pub carry: Carry,
    /// Address of the current guest instruction.
    pub at: Addr,
    /// Flags that may be read after the current instruction.
    pub live: Flags,
    /// A register whose comparison with zero the conditional branch that follows makes by itself.
    pub zero_test: Option<(X, Size)>,
    /// Index of the current instruction in the region.
    pub index: usize,
    /// Index of the current block.
    pub block: usize,
    /// That of the block whose code comes next.
    pub(super) next_block: Option<usize>,
    /// Upper halves of YMM registers in host registers.
    pub(super) uppers: Plan,
    /// Those of them that may differ from the state's.
    pub(super) dirty: Places,
    /// YMM registers whose upper half is known to be zero, wherever it lies.
    pub(super) zero_uppers: u16,
    /// XMM registers known to be narrow in front of the current instruction, and behind it.
    pub(super) narrow: Narrow,
    pub(super) narrow_behind: Narrow,
    /// Those that are at the start of each block; empty: nothing is known.
    pub(super) narrow_in: Vec<Narrow>,
    /// The address that T7 holds, if it is known; and may it be known here?
    pub(super) near: Option<Near>,
    pub(super) knows_near: bool,
    /// May the region hold instructions of [`Options::misaligned`]? All that access memory ask, and few regions do.
    pub(super) has_misaligned: bool,
    /// XMM registers renamed inside the block.
    pub(super) groups: Groups,
    /// Base, index and scale whose sum T6 holds, between a group's instructions.
    pub(super) sum: Option<Sum>,
    /// The current instruction is one of a group's.
    pub(super) in_groups_insn: bool,
    /// Copies left out whose readers are still to come.
    pub(super) copies: Vec<Copy>,
    /// The next instruction is translated together with the current one.
    pub(super) next_is_done: bool,
    /// The return that comes next finds its address in T0.
    pub(super) return_popped: bool,
    /// The current instruction works inside a group.
    pub(super) grouped: bool,
    /// Sums of base and index that the current block, a loop, holds.
    pub(super) held_sums: Option<HeldSums>,
    /// The comparison in front of the branch under way has left PF, AF, SF and OF to the branch's exit.
    pub(super) late_compare: bool,
    /// What one way out of the block's branch computes itself.
    pub(super) late_flags: Option<LateFlags>,
    /// Instructions of the current block may leave work to others: to a jump, to a rotation.
    pub(super) leaves_work: bool,
    /// The instruction of the current block that leaves PF and AF to its jump, and how that has them.
    pub(super) late_jump: Option<LateJump>,
    /// Shifts left out, and the rotations that they are part of.
    pub(super) rotates: Rotates,
    /// An instruction is translated once more, for its flags.
    pub(super) again: bool,
    /// Where the guest goes on if a NaN is seen now.
    pub(super) resume: Addr,
    /// What stands for the memory operand, in repairs.
    pub(super) memory: Option<Mem>,
    /// Flags that count as live everywhere: none, or all.
    always_live: Flags,
    /// See [`Ctx::call_entry`].
    pub(super) call_entry: Option<Label>,
    /// See [`Ctx::leaf_call`].
    pub(super) leaf: Leaf,
    /// In front of the first block's arrival lies the way to that: see [`Ctx::lead_to_call_entry`].
    pub(super) leads_to_call_entry: bool,
    labels: Vec<Label>,
    cold: Vec<Cold<'a>>,
    pub(super) entries: Vec<(usize, Label)>,
    pub(super) origins: Vec<Origin>,
    exits: Vec<ExitSite>,
    looks: Vec<Look>,
}

impl<'a> Ctx<'a> {
    /// Inlined into the one place that makes it: it is large, and to move it costs a tenth of what it is to make it.
    #[inline(always)]
    pub(super) fn new(region: &'a Region, options: &'a Options, room: &mut Room) -> Self {
        let mut a = Asm::reusing(options.features, std::mem::take(&mut room.buffers));
        a.joins_barriers = options.switches.on(Opt::JoinedBarriers);
        a.shares_addresses = options.switches.on(Opt::SharedAddresses);
        let mut labels = std::mem::take(&mut room.labels);
        labels.clear();
        labels.extend(region.blocks.iter().map(|_| a.label()));
        let mut entries = std::mem::take(&mut room.entries);
        entries.clear();
        let call_entry = [Opt::CallEntries, Opt::ShadowStack].into_iter().all(|o| options.switches.on(o)).then(|| a.label());
        Ctx {
            region,
            options,
            a,
            carry: Carry::Inverted,
            at: region.blocks[0].addr,
            live: NO_FLAGS,
            zero_test: None,
            index: 0,
            block: 0,
            next_block: None,
            uppers: Plan::default(),
            dirty: 0,
            zero_uppers: 0,
            narrow: Narrow::default(),
            narrow_behind: Narrow::default(),
            narrow_in: Vec::new(),
            near: None,
            has_misaligned: options.ordered && region.span().is_none_or(|span| options.misaligned.are_in(span)),
            // Accesses with order have little room, or none.
            knows_near: options.switches.on(Opt::NearAddresses) && !options.ordered,
            groups: Groups::default(),
            sum: None,
            in_groups_insn: false,
            copies: Vec::new(),
            next_is_done: false,
            return_popped: false,
            grouped: false,
            held_sums: None,
            late_compare: false,
            late_flags: None,
            leaves_work: false,
            late_jump: None,
            rotates: Rotates::default(),
            again: false,
            resume: region.blocks[0].addr,
            memory: None,
            always_live: if options.switches.on(Opt::DeadFlags) { NO_FLAGS } else { crate::decode::STATUS },
            call_entry,
            leaf: Leaf::No,
            leads_to_call_entry: false,
            labels,
            cold: emptied(std::mem::take(&mut room.cold)),
            entries,
            origins: Vec::with_capacity(region.insns.len() + 2 * region.blocks.len() + 4),
            exits: Vec::with_capacity(2 * region.blocks.len()),
            looks: Vec::new(),
        }
    }
    /// Looks at the whole region for what its translation needs to know beforehand.
    pub(super) fn plan(&mut self) {
        self.plan_uppers();
        self.plan_groups();
        self.plan_narrow();
    }

    /// The label of block `index` for jumps inside the region: carry canonical if CF is live there, upper halves where they belong.
    pub fn block_label(&self, index: usize) -> Label {
        self.labels[index]
    }

    #[inline(always)]
    pub(super) fn begin_block(&mut self, index: usize) {
        let region = self.region;
        let block = &region.blocks[index];
        let label = self.labels[index];
        self.block = index;
        self.near = None;
        self.carry = Carry::Inverted;
        self.enter_group(block.addr);
        self.enter_block(index, label);
        self.hold_sums(index);
        self.plan_left_work(index);
        if block.loop_head {
            self.poll(block.addr);
        }
        self.guard();
    }

    /// The guest stops here, at `at`, when a signal waits. Where code looks for itself it loads from the page beside the state, which is protected then.
    #[inline(never)]
    pub fn poll(&mut self, at: Addr) {
        self.origin(at);
        if self.is_polled() {
            self.a.load(Width::W, ZR, Mem::Off(STATE, POLL_OFFSET), Order::Plain);
        } else {
            self.looks.push(Look { host: self.a.offset(), guest: at });
        }
    }

    /// Does this code look for signals?
    pub(super) fn is_polled(&self) -> bool {
        self.options.ordered || !self.options.switches.on(Opt::Unpolled)
    }

    pub(super) fn origin(&mut self, guest: Addr) {
        self.at = guest;
        self.origins.push(Origin { host: self.a.offset(), guest, carry: self.carry });
    }

    pub(super) fn begin_insn(&mut self, insn: &Insn) {
        self.origin(insn.addr());
        self.live = insn.live | self.always_live;
    }

    /// Do all flags count as live everywhere?
    pub(super) fn always_live(&self) -> bool {
        self.always_live != NO_FLAGS
    }

    /// Is any of these flags read later?
    pub fn needs(&self, flags: Flags) -> bool {
        self.live & flags != 0
    }

    /// Brings the carry into canonical polarity, if CF is among `live`.
    pub fn canonical_carry(&mut self, live: Flags) {
        self.carry_to(Carry::Inverted, live);
    }

    /// Brings the carry into the given polarity, if CF is among `live`; else just says so.
    pub fn carry_to(&mut self, to: Carry, live: Flags) {
        let convert = self.carry != to && live & CF != 0;
        self.carry = to;
        if convert {
            self.a.invert_carry(S1);
            let at = self.at;
            self.origin(at);
        }
    }

    /// May a return or an indirect jump leave the carry as it is?
    pub fn late_carry(&self) -> bool {
        self.options.switches.on(Opt::LateCarry) && self.options.switches.on(Opt::DeadFlags)
    }

    /// Where a return or an indirect jump arrives and CF is read: brings the carry into canonical form.
    pub fn settle_carry(&mut self) {
        if self.late_carry() {
            let settled = self.a.label();
            self.a.cbnz(Size::X, CARRY_MARK, settled);
            self.a.invert_carry(S1);
            self.a.bind(settled);
        }
    }

    /// Puts code out of the way, behind the region's main path; returns the label to branch to. It runs as part of the current instruction,
    /// with the carry and the live flags as they are now, and must end in a branch or an exit.
    pub fn cold(&mut self, code: impl FnOnce(&mut Ctx<'a>) + Send + 'a) -> Label {
        self.out_of_the_way(ColdCode::Code(Box::new(code)))
    }

    /// The same at a label that is there already.
    pub fn cold_at(&mut self, label: Label, code: impl FnOnce(&mut Ctx<'a>) + Send + 'a) {
        self.put_aside(label, ColdCode::Code(Box::new(code)));
    }

    /// The same for a [direct exit](Ctx::direct_exit).
    pub fn cold_exit(&mut self, to: Addr) -> Label {
        self.out_of_the_way(ColdCode::Exit(to, None))
    }

    /// The conditional branch at `at` is the one that leads to the exit at `label`, if it is one.
    pub(super) fn only_branch(&mut self, label: Label, at: u32) {
        if let Some(Cold { label: of, code: ColdCode::Exit(_, branch), .. }) = self.cold.last_mut()
            && *of == label
        {
            *branch = Some(at);
        }
    }

    /// The same for the stub's call behind a BL at `patch`, until it is linked.
    pub fn cold_call(&mut self, to: Addr, patch: u32) -> Label {
        self.out_of_the_way(ColdCode::Call(to, patch))
    }

    /// The same for a return that was not predicted.
    pub fn cold_return(&mut self) -> Label {
        self.out_of_the_way(ColdCode::Return)
    }

    fn unlinked_call(&mut self, target: Addr, patch: u32) {
        let way = match self.call_entry {
            Some(_) => {
                // The guest has made its call: it stands where it goes.
                self.push_pair(target);
                let plain = self.a.offset();
                self.a.nop();
                Way::CallEntry { plain }
            }
            None => Way::Call,
        };
        self.call_stub(Stub::Link);
        self.exit_site(target, ExitKind::Direct { target, patch, way });
    }

    fn unpredicted_return(&mut self) {
        self.canonical_carry(crate::decode::STATUS);
        self.call_stub(Stub::Return);
        let at = self.at;
        self.exit_site(at, ExitKind::Indirect { branches: [None; 2] });
    }

    /// Code out of the way for an entry from outside at `addr`: no code here leads to it, so it begins with what any entry finds.
    pub(super) fn cold_entry(&mut self, label: Label, addr: Addr, code: impl FnOnce(&mut Ctx<'a>) + Send + 'a) {
        let live = crate::decode::STATUS;
        self.cold.push(Cold { label, insn: addr, carry: Carry::Inverted, dirty: 0, zero_uppers: 0, steps: (0, 0), live, code: ColdCode::Code(Box::new(code)) });
    }

    fn out_of_the_way(&mut self, code: ColdCode<'a>) -> Label {
        let label = self.a.label();
        self.put_aside(label, code);
        label
    }

    fn put_aside(&mut self, label: Label, code: ColdCode<'a>) {
        let (steps, live) = (self.marked(), self.live);
        self.cold.push(Cold { label, insn: self.at, carry: self.carry, dirty: self.dirty, zero_uppers: self.zero_uppers, steps, live, code });
    }

    /// Calls a stub, which names this place by LINK.
    pub fn call_stub(&mut self, stub: Stub) {
        self.a.load(Width::X, LINK, Mem::Off(STATE, (offset_of!(CpuState, stub) + 8 * stub as usize) as i64), Order::Plain);
        self.a.blr(LINK);
    }

    /// How much code waits to be put out of the way.
    pub(super) fn cold_count(&self) -> usize {
        self.cold.len()
    }

    /// Records an exit whose stub call was just emitted.
    pub fn exit_site(&mut self, guest: Addr, kind: ExitKind) {
        self.exits.push(ExitSite { host: self.a.offset(), guest, carry: self.carry, kind });
    }

    /// Leaves for a known address: the word here is patched to a branch there. The carry must be canonical if CF is live there.
    pub fn direct_exit(&mut self, target: Addr) {
        self.direct_exit_by(target, None);
    }
    /// The same where `branch` alone leads here.
    fn direct_exit_by(&mut self, target: Addr, branch: Option<u32>) {
        let start = self.a.offset();
        self.store_uppers();
        // Who stops code that does not look takes its ways out back.
        if target <= self.at && self.is_polled() {
            let from = self.at;
            self.poll(target);
            self.at = from;
        }
        let patch = self.a.offset();
        self.a.nop();
        self.call_stub(Stub::Link);
        self.exit_site(target, ExitKind::Direct { target, patch, way: Way::Jump { branch: branch.filter(|_| patch == start) } });
    }

    /// Goes to a guest address from the end of block `index`: to its label, or out. `live`: flags that are live on the way out.
    pub(super) fn go(&mut self, to: Addr, index: usize, live: Flags) {
        match self.region.blocks[index].behind() {
            Some(t) => {
                self.canonical_carry(self.region.blocks[t].live_in);
                if Some(t) != self.next_block {
                    let label = self.labels[t];
                    self.a.b(label);
                }
            }
            None => {
                self.canonical_carry(live);
                self.direct_exit(to);
            }
        }
    }

    /// After a conditional branch, a call or a syscall: the next block follows, or an exit to it.
    pub(super) fn fall_through(&mut self, next: Addr, index: usize) {
        self.go(next, index, self.live);
    }

    pub(super) fn unreachable(&mut self) {
        // Every instruction that stops has left already.
    }

    pub(super) fn no_fetch(&mut self, at: Addr) {
        self.canonical_carry(crate::decode::STATUS);
        self.store_uppers();
        self.origin(at);
        self.call_stub(Stub::Link);
        self.exit_site(at, ExitKind::NoFetch(at));
    }

    /// Raises an exception of the current instruction. Whatever follows is not reached.
    pub fn raise(&mut self, code: u64) {
        self.store_uppers();
        self.a.mov_imm(T[0], code);
        self.call_stub(Stub::Exception);
        let at = self.at;
        self.exit_site(at, ExitKind::Exception);
    }

    /// #UD.
    pub fn undefined(&mut self, _insn: &Insn) {
        self.raise(exception::UNDEFINED);
    }

    /// Calls helper `id` with arguments in T1, T2, T3; result in T0, the second one in `CpuState::scratch[0]`. All of T is lost; guest
    /// registers and flags are what the helper left in the state.
    pub fn helper(&mut self, id: crate::helpers::Id) {
        self.near = None;
        // Helpers see RFLAGS in canonical form.
        self.canonical_carry(crate::decode::STATUS);
        self.store_uppers();
        self.a.mov_imm(S1, id as u64);
        self.call_stub(Stub::Helper);
        self.load_uppers();
    }

    /// A field of the state.
    pub fn field(&self, offset: usize) -> Mem {
        Mem::Off(STATE, offset as i64)
    }

    /// Loads a 64-bit field of the state.
    pub fn load_field(&mut self, d: X, offset: usize) {
        self.a.load(Width::X, d, Mem::Off(STATE, offset as i64), Order::Plain);
    }
    /// Stores a 64-bit field of the state.
    pub fn store_field(&mut self, s: X, offset: usize) {
        self.a.store(Width::X, s, Mem::Off(STATE, offset as i64), Order::Plain);
    }

    pub(super) fn finish(&mut self, room: &mut Room) -> Emitted {
        // Code put aside knows nothing of the last block's temporaries.
        self.held_sums = None;
        self.narrow = Narrow::default();
        (self.near, self.knows_near) = (None, false);
        let mut waiting = std::mem::take(&mut self.cold);
        while !waiting.is_empty() {
            for cold in waiting.drain(..) {
                self.a.bind(cold.label);
                self.carry = cold.carry;
                self.live = cold.live;
                self.dirty = cold.dirty;
                self.zero_uppers = cold.zero_uppers;
                self.origin(cold.insn);
                self.mark_as(cold.steps);
                match cold.code {
                    ColdCode::Exit(to, branch) => self.direct_exit_by(to, branch),
                    ColdCode::Call(to, patch) => self.unlinked_call(to, patch),
                    ColdCode::Return => self.unpredicted_return(),
                    ColdCode::Code(code) => code(self),
                }
            }
            // What that has put aside.
            if !self.cold.is_empty() {
                std::mem::swap(&mut waiting, &mut self.cold);
            }
        }
        // The region's own entry first.
        if self.entries.first().is_some_and(|e| e.0 != 0) {
            self.entries.sort_by_key(|e| e.0);
        }
        let mut arrivals = std::mem::take(&mut room.arrivals);
        self.arrivals(&mut arrivals);
        self.late_call_entry();
        let end = self.a.offset();
        self.origins.push(Origin { host: end, guest: Addr(0), carry: Carry::Inverted });
        let mut finished = self.a.finish();
        let entries = self.entries_of(&finished, &arrivals);
        let held = self.uppers.held;
        let relocations = std::mem::take(&mut finished.relocations);
        let (code, buffers) = finished.into_parts();
        *room = Room { buffers, labels: std::mem::take(&mut self.labels), entries: std::mem::take(&mut self.entries), arrivals, cold: emptied(waiting) };
        let (steps, marks) = (std::mem::take(&mut self.groups.steps), std::mem::take(&mut self.groups.marks));
        Emitted { code, relocations, entries, origins: std::mem::take(&mut self.origins), exits: std::mem::take(&mut self.exits), looks: std::mem::take(&mut self.looks), held, steps, marks }
    }
}

/// Operand size as an instruction size: 8 bytes is X, all else W.
pub fn size_of(bytes: u32) -> Size {
    if bytes == 8 { Size::X } else { Size::W }
}
