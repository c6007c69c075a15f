//! The tables by which indirect jumps find the translation of their target, and the code that looks there.

use super::asm::{Asm, Size};
use super::memory::{Mem, Order, Width};
use super::regs::*;
use super::{Alu, Label, Shift};
use crate::guest::CpuState;
use std::mem::offset_of;

const fn field(offset: usize) -> Mem {
    Mem::Off(STATE, offset as i64)
}

/// Bytes of the plain table, which ends where the state begins: an entry of 16 bytes for each value of 16 bits, the last one first, so that
/// one SUB with an extended register makes its address. It is used while memory has one observer: then code is stopped by changing it (`engine::halt`), and a
/// table need not be empty for that; and it is one thread that has so large a table.
pub const PLAIN_TABLE: u64 = 16 << 16;
/// Jumps look there by their target's low 16 bits: handlers of an interpreter or cases of a switch lie near one another. Calls by those xor the next
/// ones: functions of different libraries may lie at the same place of their pages.
const PLAIN_FOLD: u32 = 16;

/// How far below the state the entries of a guest address lie in the plain table: for jumps and for calls.
pub fn plain_places(guest: u64) -> [u64; 2] {
    [guest, guest ^ guest >> PLAIN_FOLD].map(|at| 16 * (at & 0xffff) + 16)
}

/// Bits of the index of the inline table and of the one behind it: entries of 16 bytes (guest, host).
pub const LOOKUP_BITS: u32 = 12;
/// The inline table's index is a guest address' low bits, xor those from here on: functions begin at multiples of 16, handlers of an interpreter lie
/// closer, and functions of different pages or libraries may lie at the same place of them.
pub const LOOKUP_FOLD: u32 = 12;
/// What both tables' start is a multiple of: the place in the inline one is inserted into its address.
pub const TABLE_ALIGNMENT: u64 = 16 << LOOKUP_BITS;
/// Bytes from the inline table to the second one, which the stubs ask where the first has another target in its place.
pub const SECOND_TABLE: u64 = 16 << LOOKUP_BITS;

/// Places of a guest address in the two tables, as byte offsets from the first one's start: what emitted code computes.
pub fn places(guest: u64) -> [u64; 2] {
    let mask = (1 << LOOKUP_BITS) - 1;
    let folded = guest ^ guest >> SECOND_FOLDS[0];
    let folded = folded ^ folded >> SECOND_FOLDS[1];
    [16 * ((guest ^ guest >> LOOKUP_FOLD) & mask), SECOND_TABLE + 16 * (folded & mask)]
}

/// The second table's index takes in more address bits, and in another way: two targets that share a place in one table have different ones in the other.
const SECOND_FOLDS: [u32; 2] = [7, 17];

/// Code that was interrupted between the look at a table or at the shadow stack and the branch that follows from it: it is to look again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Midway {
    /// In [`look_up_inline`] or [`look_up_plain`] with its branch, which begins here; nothing but temporaries has changed.
    Lookup(u64),
    /// In a return, whose LDP of the shadow stack's pair lies here.
    Return(u64),
    /// In front of the STP that puts [`CARRY_MARK`](super::stubs::CARRY_MARK)'s register and LINK on the shadow stack for a call that has been made.
    Push,
}

impl Midway {
    /// Is the instruction at `pc` such a one? `word` reads the code.
    pub fn at(pc: u64, word: impl Fn(u64) -> u32) -> Option<Midway> {
        const LOAD_TABLE: u32 = 0xf940_0000 | (offset_of!(CpuState, lookup) as u32 / 8) << 10 | (STATE.0 as u32) << 5 | T[1].0 as u32;
        const LOAD_ENTRY: u32 = 0xa940_0000 | (T[3].0 as u32) << 10 | (T[1].0 as u32) << 5 | T[2].0 as u32;
        const LOAD_PLAIN: u32 = LOAD_ENTRY | (-16i32 as u32 / 8 & 0x7f) << 15;
        const BRANCHES: [u32; 2] = [0xd61f_0000 | (T[3].0 as u32) << 5, 0xd63f_0000 | (T[3].0 as u32) << 5];
        const POP: u32 = 0xa8c1_0000 | (LINK.0 as u32) << 10 | (SHADOW.0 as u32) << 5 | T[1].0 as u32;
        const PUSH: u32 = 0xa9bf_0000 | (LINK.0 as u32) << 10 | (SHADOW.0 as u32) << 5 | T[1].0 as u32;
        const RET: u32 = 0xd65f_0000 | (LINK.0 as u32) << 5;
        if word(pc) == PUSH {
            return Some(Midway::Push);
        }
        let begins = |n: u64, first: u32| (1..=n).map(|k| pc - 4 * k).find(|at| word(*at) == first);
        if let Some(at) = begins(6, LOAD_TABLE)
            && word(at + 12) == LOAD_ENTRY
            && BRANCHES.contains(&word(at + 24))
        {
            return Some(Midway::Lookup(at));
        }
        let is_place = |word: u32| word & !(31 << 16) == PLAIN_PLACE;
        if let Some(at) = (1..=4).map(|k| pc - 4 * k).find(|at| is_place(word(*at)))
            && word(at + 4) == LOAD_PLAIN
            && BRANCHES.contains(&word(at + 16))
        {
            // A call's index is in T2, and is made by the instruction before.
            let call = word(at) >> 16 & 31 == T[2].0 as u32;
            return Some(Midway::Lookup(at - if call { 4 } else { 0 }));
        }
        begins(3, POP).filter(|at| word(at + 12) == RET).map(Midway::Return)
    }
}

/// SUB T1, STATE, W0, UXTH #4.
const PLAIN_PLACE: u32 = 0xcb20_3000 | (STATE.0 as u32) << 5 | T[1].0 as u32;

/// The host address in T3 of the target in `guest` by the plain table, or to `miss`. Returns where the branch to there lies, which a signal makes an unconditional
/// one. `difference`: T2, and T1 stays 16 bytes behind the place; or [`CARRY_MARK`]. Flags stay.
pub fn look_up_plain(a: &mut Asm, guest: X, call: bool, difference: X, miss: Label) -> u32 {
    plain_index(a, guest, call);
    a.ldp(T[2], T[3], T[1], -16);
    a.alu(Alu::Sub, Size::X, difference, T[2], guest);
    let branch = a.offset();
    a.cbnz(Size::X, difference, miss);
    branch
}

fn plain_index(a: &mut Asm, guest: X, call: bool) {
    let index = if call {
        a.alu_shift(Alu::Eor, Size::X, T[2], guest, guest, Shift::Lsr, PLAIN_FOLD);
        T[2]
    } else {
        guest
    };
    a.word(PLAIN_PLACE | (index.0 as u32) << 16);
}

/// T1 = the place of `guest` in the plain table, behind [`look_up_plain`]; or, if that has lost it, `anew`.
pub fn missed_plain(a: &mut Asm, guest: X, call: bool, anew: bool) {
    if anew {
        plain_index(a, guest, call);
    }
    a.alu_imm(Alu::Sub, Size::X, T[1], T[1], 16);
}

/// T1 = the place of `guest` in the inline table. Flags stay. Uses T2.
pub fn inline_place(a: &mut Asm, guest: X) {
    a.load(Width::X, T[1], field(offset_of!(CpuState, lookup)), Order::Plain);
    a.alu_shift(Alu::Eor, Size::X, T[2], guest, guest, Shift::Lsr, LOOKUP_FOLD);
    a.bfi(Size::X, T[1], T[2], 4, LOOKUP_BITS);
}

/// The host address in T3 of the target in `guest` by the inline table, or to `miss`. `difference`: T2, and T1 stays the place; or [`CARRY_MARK`]. Flags stay.
pub fn look_up_inline(a: &mut Asm, guest: X, difference: X, miss: Label) {
    inline_place(a, guest);
    a.ldp(T[2], T[3], T[1], 0);
    a.alu(Alu::Sub, Size::X, difference, T[2], guest);
    a.cbnz(Size::X, difference, miss);
}

/// The host address in T3 of target T0 from the second table, and a place for it in the first one, T1; else to `missed`. Flags stay.
///
/// While the thread is to stop, `lookup` leads to empty tables, so nothing is found and nothing is written.
pub(super) fn look_up_second(a: &mut Asm, missed: Label) {
    a.load(Width::X, T[4], field(offset_of!(CpuState, lookup)), Order::Plain);
    a.alu_shift(Alu::Eor, Size::X, T[5], T[0], T[0], Shift::Lsr, SECOND_FOLDS[0]);
    a.alu_shift(Alu::Eor, Size::X, T[5], T[5], T[5], Shift::Lsr, SECOND_FOLDS[1]);
    a.ubfx(Size::X, T[5], T[5], 0, LOOKUP_BITS);
    a.alu_shift(Alu::Add, Size::X, T[4], T[4], T[5], Shift::Lsl, 4);
    a.alu_imm(Alu::Add, Size::X, T[4], T[4], SECOND_TABLE);
    a.ldp(T[5], T[3], T[4], 0);
    a.alu(Alu::Sub, Size::X, T[5], T[5], T[0]);
    a.cbnz(Size::X, T[5], missed);
    a.stp(T[0], T[3], T[1], 0);
}

#[cfg(test)]
mod tests {
    use super::super::stubs::{CARRY_MARK, POLL_OFFSET, POLL_WORD};
    use super::*;

    /// Every instruction behind the first of a lookup and of a return says that it is one, and nothing else does.
    #[test]
    fn lookups_and_returns_are_known() {
        let mut a = Asm::new(Default::default());
        let miss = a.label();
        (0..8).for_each(|_| a.nop());
        let lookup = a.offset();
        look_up_inline(&mut a, T[0], CARRY_MARK, miss);
        a.blr(T[3]);
        let jump = a.offset();
        look_up_plain(&mut a, gpr(9), false, T[2], miss);
        a.br(T[3]);
        let call = a.offset();
        look_up_plain(&mut a, gpr(9), true, CARRY_MARK, miss);
        a.blr(T[3]);
        let push = a.offset();
        a.stp_pre(T[1], LINK, SHADOW, -16);
        let pop = a.offset();
        a.ldp_post(T[1], LINK, SHADOW, 16);
        a.alu(Alu::Sub, Size::X, CARRY_MARK, T[1], T[0]);
        a.cbnz(Size::X, CARRY_MARK, miss);
        a.ret(LINK);
        a.bind(miss);
        // The way out of a lookup that missed begins in the same way.
        let out = a.offset();
        inline_place(&mut a, T[0]);
        missed_plain(&mut a, T[0], true, true);
        (0..8).for_each(|_| a.nop());
        let poll = a.offset();
        a.load(Width::W, ZR, Mem::Off(STATE, POLL_OFFSET), Order::Plain);
        let code = a.finish().bytes;
        let word = |at: u64| u32::from_le_bytes(code[at as usize..at as usize + 4].try_into().expect("four bytes"));
        assert_eq!(word(poll as u64), POLL_WORD);
        let [lookup, jump, call, push, pop] = [lookup, jump, call, push, pop].map(u64::from);
        for pc in (lookup..out as u64 + 48).step_by(4) {
            let want = match pc {
                _ if pc > lookup && pc < jump => Some(Midway::Lookup(lookup)),
                _ if pc > jump && pc < call => Some(Midway::Lookup(jump)),
                // Of a call's place the first instruction has no need.
                _ if pc > call + 4 && pc < push => Some(Midway::Lookup(call)),
                _ if pc == push => Some(Midway::Push),
                _ if pc > pop && pc < pop + 16 => Some(Midway::Return(pop)),
                _ => None,
            };
            assert_eq!(Midway::at(pc, word), want, "{}", pc - lookup);
        }
    }

    /// The emitted code finds its entry where [`plain_places`] says.
    #[test]
    fn a_place_in_the_plain_table_is_what_code_computes() {
        let mut a = Asm::new(Default::default());
        missed_plain(&mut a, gpr(3), false, true);
        missed_plain(&mut a, gpr(3), true, true);
        let words: Vec<u32> = a.finish().bytes.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().expect("four bytes"))).collect();
        // sub x1, x28, w11, uxth #4; sub x1, x1, #16; eor x2, x11, x11, lsr #16; sub x1, x28, w2, uxth #4; sub x1, x1, #16
        assert_eq!(words, [0xcb2b_3381, 0xd100_4021, 0xca4b_4162, 0xcb22_3381, 0xd100_4021]);
        assert_eq!(plain_places(0x5555_1234_0003), [16 * 3 + 16, 16 * (0x1234 ^ 3) + 16]);
        assert_eq!(plain_places(u64::MAX), [PLAIN_TABLE, 16]);
    }

    #[test]
    fn what_collides_in_one_table_does_not_in_the_other() {
        // By differences, because both indices are linear: those that the first does not see, of 36 bits.
        let unseen = |d: u64| places(d)[0] == places(0)[0];
        for d in (1..1u64 << 12).flat_map(|high| [high << 12 | high, high << 24]) {
            assert!(unseen(d));
            assert_ne!(places(d)[1], places(0)[1], "{d:#x}");
        }
        // Functions at the same place of their pages.
        for step in [1 << 12, 1 << 14, 1 << 16] {
            let of: std::collections::BTreeSet<_> = (0..16).map(|k| places(0x7fff_f7a0_1230 + step * k)[0]).collect();
            assert_eq!(of.len(), 16);
        }
        // Neighbours: functions, and handlers of an interpreter.
        let of = |step: u64, table: usize| (0..256).map(|k| places(0x55_5555_4000 + step * k)[table]).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!([of(16, 0), of(16, 1), of(4, 0), of(4, 1)], [256; 4]);
        assert!(places(u64::MAX).iter().all(|p| *p < 2 * SECOND_TABLE));
    }
}
