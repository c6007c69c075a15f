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

/// Bytes of the plain table, which ends where the state begins: an entry of 16 bytes for each value of 16 bits, the last one first, and the last ones' neighbours, so that
/// one SUB with an extended register makes its address. It is used while memory has one observer: then code is stopped by changing it (`engine::halt`), and a
/// table need not be empty for that; and it is one thread that has so large a table.
pub const PLAIN_TABLE: u64 = (16 << 16) + NEIGHBOUR;
/// Jumps look there by their target's low 16 bits: handlers of an interpreter or cases of a switch lie near one another. Calls by those xor the next
/// ones: functions of different libraries may lie at the same place of their pages.
const PLAIN_FOLD: u32 = 16;
/// From an entry down to that of the same target for who brings less than it may be asked for: jumps that have left PF and AF as they were, calls
/// that have left all flags so and the shadow stack to where they go.
///
/// As far as LDP reaches, so that what lies near one another in memory does not lie at one another's neighbour, and not a multiple of what functions are aligned to.
pub const NEIGHBOUR: u64 = 31 * 16;

/// Who may come to an entry of a region without having computed flags that it might be asked for, by the [neighbours](NEIGHBOUR): low bits of its address in the
/// second table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Late {
    /// Nobody: it may read them, or hand them on.
    Nobody = 0,
    /// Jumps: neither PF nor AF are read.
    Jumps = 1,
    /// Calls: no flag is read before it returns to where it is called from. The word in front of it says how far from it its entry for calls lies.
    Calls = 2,
    /// Both: PF, AF and CF are not read. Its entry for calls is the instruction in front of it, or that says where it is.
    Both = 3,
}

impl Late {
    /// Where it lies.
    pub const BITS: u64 = 3;
}

/// An entry of the plain table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlainEntry {
    /// How far below the state it lies; [`NEIGHBOUR`] more for its neighbour.
    pub below: u64,
    /// What stands for the guest's address there, and in its neighbour.
    pub key: u64,
}

/// The entries of a guest address: for jumps if there is one, and for calls.
///
/// What calls enter must not look as if jumps had. A call's key is the folded address, which has the address' low bits in bits 48 to 63 and so is no address.
/// Only where these bits are zero it may be another one's: one of 65,536, for which jumps enter nothing.
pub fn plain_entries(guest: u64) -> (Option<PlainEntry>, PlainEntry) {
    let entry = |key: u64| PlainEntry { below: 16 * (key & 0xffff) + 16, key };
    let may_be_folded = (guest ^ guest >> 16 ^ guest >> 32) & 0xffff == 0;
    ((!may_be_folded).then(|| entry(guest)), entry(guest ^ guest.rotate_right(PLAIN_FOLD)))
}

/// Bits of the index of the inline table and of the one behind it: entries of 16 bytes (guest, host).
pub const LOOKUP_BITS: u32 = 12;
/// The inline table's index is a guest address' low bits, xor those from here on: functions begin at multiples of 16, handlers of an interpreter lie
/// closer, and functions of different pages or libraries may lie at the same place of them.
pub const LOOKUP_FOLD: u32 = 12;
/// What both tables' start is a multiple of: the place in the inline one is inserted into its address.
pub const TABLE_ALIGNMENT: u64 = 16 << LOOKUP_BITS;
/// Bytes from the inline table to the second one, which the stubs ask where the first has another target in its place.
pub const SECOND_TABLE: u64 = TABLE_ALIGNMENT;
/// Bytes from the inline table to those in which the same places are for who comes [late](Late): jumps, and calls, which find their entry there. (Beside one another in
/// one table what is asked for often would drive out one another.)
pub const LATE_TABLES: [u64; 2] = [2 * TABLE_ALIGNMENT, 3 * TABLE_ALIGNMENT];
/// Bytes of all.
pub const TABLES: u64 = 4 * TABLE_ALIGNMENT;

/// A table that translated code looks at, by the field that leads there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inline {
    /// For who has computed all flags.
    Exact,
    /// For jumps that left PF and AF.
    LateJumps,
}

impl Inline {
    const fn field(self) -> usize {
        match self {
            Inline::Exact => offset_of!(CpuState, lookup),
            Inline::LateJumps => offset_of!(CpuState, late_lookup),
        }
    }
}
const LATE_CALLS: usize = offset_of!(CpuState, late_lookup) + 8;

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
        const fn load_table(field: usize, place: X) -> u32 {
            0xf940_0000 | (field as u32 / 8) << 10 | (STATE.0 as u32) << 5 | place.0 as u32
        }
        const fn load_entry(key: X, place: X) -> u32 {
            0xa940_0000 | (T[3].0 as u32) << 10 | (place.0 as u32) << 5 | key.0 as u32
        }
        const INLINE: [(u32, u32); 3] = [
            (load_table(Inline::Exact.field(), T[1]), load_entry(T[2], T[1])),
            (load_table(Inline::LateJumps.field(), T[1]), load_entry(T[2], T[1])),
            (load_table(LATE_CALLS, T[4]), load_entry(T[5], T[4])),
        ];
        // Of either neighbour.
        const LOAD_PLAIN: [u32; 2] = [load_plain(T[2], T[1], 0), load_plain(T[2], T[1], NEIGHBOUR)];
        const LOAD_CALL: [u32; 2] = [load_plain(T[5], T[4], 0), load_plain(T[5], T[4], NEIGHBOUR)];
        const BRANCHES: [u32; 2] = [0xd61f_0000 | (T[3].0 as u32) << 5, 0xd63f_0000 | (T[3].0 as u32) << 5];
        const POP: u32 = 0xa8c1_0000 | (LINK.0 as u32) << 10 | (SHADOW.0 as u32) << 5 | T[1].0 as u32;
        const PUSH: u32 = 0xa9bf_0000 | (LINK.0 as u32) << 10 | (SHADOW.0 as u32) << 5 | T[1].0 as u32;
        const RET: u32 = 0xd65f_0000 | (LINK.0 as u32) << 5;
        if word(pc) == PUSH {
            return Some(Midway::Push);
        }
        let begins = |n: u64, first: u32| (1..=n).map(|k| pc - 4 * k).find(|at| word(*at) == first);
        for (table, entry) in INLINE {
            if let Some(at) = begins(6, table)
                && word(at + 12) == entry
                && BRANCHES.contains(&word(at + 24))
            {
                return Some(Midway::Lookup(at));
            }
        }
        let is_place = |word: u32| word & !(31 << 16 | 31) == PLAIN_PLACE;
        if let Some(at) = (1..=4).map(|k| pc - 4 * k).find(|at| is_place(word(*at)))
            && BRANCHES.contains(&word(at + 16))
        {
            let load = word(at + 4);
            if LOAD_PLAIN.contains(&load) {
                return Some(Midway::Lookup(at));
            }
            // A call's key is in T2, and is made by the instruction before.
            if LOAD_CALL.contains(&load) {
                return Some(Midway::Lookup(at - 4));
            }
        }
        begins(3, POP).filter(|at| word(at + 12) == RET).map(Midway::Return)
    }
}

/// SUB X0, STATE, W0, UXTH #4.
const PLAIN_PLACE: u32 = 0xcb20_3000 | (STATE.0 as u32) << 5;

/// LDP `key`, T3, [`place`, #-16], or its neighbour's.
const fn load_plain(key: X, place: X, late: u64) -> u32 {
    0xa940_0000 | ((-16 - late as i32) as u32 / 8 & 0x7f) << 15 | (T[3].0 as u32) << 10 | (place.0 as u32) << 5 | key.0 as u32
}

/// The host address in T3 of the target in `guest` by the plain table, or by its neighbour ([`NEIGHBOUR`]), or to `miss`. Returns where the branch to there lies, which a signal
/// makes an unconditional one. `difference`: T2, or [`CARRY_MARK`]. Flags stay.
pub fn look_up_plain(a: &mut Asm, guest: X, late: u64, difference: X, miss: Label) -> u32 {
    plain_place(a, T[1], guest);
    a.word(load_plain(T[2], T[1], late));
    a.alu(Alu::Sub, Size::X, difference, T[2], guest);
    let branch = a.offset();
    a.cbnz(Size::X, difference, miss);
    branch
}

/// The same for calls. `difference`: T5, and T1 stays; or [`CARRY_MARK`].
pub fn look_up_call(a: &mut Asm, guest: X, late: u64, difference: X, miss: Label) -> u32 {
    plain_key(a, guest);
    plain_place(a, T[4], T[2]);
    a.word(load_plain(T[5], T[4], late));
    a.alu(Alu::Sub, Size::X, difference, T[5], T[2]);
    let branch = a.offset();
    a.cbnz(Size::X, difference, miss);
    branch
}

/// T2 = the key of `guest` for calls.
pub(super) fn plain_key(a: &mut Asm, guest: X) {
    a.alu_shift(Alu::Eor, Size::X, T[2], guest, guest, Shift::Ror, PLAIN_FOLD);
}

/// `d` = 16 bytes behind the entry of `key`.
pub(super) fn plain_place(a: &mut Asm, d: X, key: X) {
    a.word(PLAIN_PLACE | (key.0 as u32) << 16 | d.0 as u32);
}

/// T1 = the place of `guest` in the inline table. Flags stay. Uses T2.
pub fn inline_place(a: &mut Asm, guest: X) {
    place_in(a, Inline::Exact.field(), T[1], guest);
}
fn place_in(a: &mut Asm, table: usize, place: X, guest: X) {
    a.load(Width::X, place, field(table), Order::Plain);
    a.alu_shift(Alu::Eor, Size::X, T[2], guest, guest, Shift::Lsr, LOOKUP_FOLD);
    a.bfi(Size::X, place, T[2], 4, LOOKUP_BITS);
}

/// The host address in T3 of the target in `guest` by the inline table, or another one like it, or to `miss`. `difference`: T2, and T1 stays the place; or
/// [`CARRY_MARK`]. Flags stay.
pub fn look_up_inline(a: &mut Asm, table: Inline, guest: X, difference: X, miss: Label) {
    place_in(a, table.field(), T[1], guest);
    a.ldp(T[2], T[3], T[1], 0);
    a.alu(Alu::Sub, Size::X, difference, T[2], guest);
    a.cbnz(Size::X, difference, miss);
}

/// The host address in T3 of the entry for calls of the target in `guest` by the table for late ones, or to `miss`. T1 and flags stay.
pub fn look_up_inline_call(a: &mut Asm, guest: X, miss: Label) {
    place_in(a, LATE_CALLS, T[4], guest);
    a.ldp(T[5], T[3], T[4], 0);
    a.alu(Alu::Sub, Size::X, T[5], T[5], guest);
    a.cbnz(Size::X, T[5], miss);
}

/// The host address in T3 of target T0 from the second table, and a place for it in the first one, T1; else to `missed`. Flags stay. `late`: also for who comes late.
///
/// While the thread is to stop, `lookup` leads to empty tables, so nothing is found and nothing is written. (Of two looks there one may find it as it was before: the
/// tables that are written to are those where T1 lies.)
pub(super) fn look_up_second(a: &mut Asm, late: bool, missed: Label) {
    find_second(a, missed);
    a.alu_imm(Alu::And, Size::X, T[5], T[3], !Late::BITS);
    a.stp(T[0], T[5], T[1], 0);
    if late {
        let (no_jump, done) = (a.label(), a.label());
        a.tbz(T[3], 0, no_jump);
        a.alu_imm(Alu::Add, Size::X, T[2], T[1], LATE_TABLES[0]);
        a.stp(T[0], T[5], T[2], 0);
        a.bind(no_jump);
        a.tbz(T[3], 1, done);
        call_entry(a);
        a.alu_imm(Alu::Add, Size::X, T[2], T[1], LATE_TABLES[1]);
        a.stp(T[0], T[4], T[2], 0);
        a.bind(done);
    }
    a.mov(Size::X, T[3], T[5]);
}

/// T4 = the entry for calls of the code at T5, which has one. In front of that stands STP (1010 in the four highest bits), or how far away it is (0000 or 1111).
/// Uses T3.
fn call_entry(a: &mut Asm) {
    let (away, known) = (a.label(), a.label());
    a.alu_imm(Alu::Sub, Size::X, T[4], T[5], 4);
    // LDRSW T3, [T4].
    a.word(0xb980_0000 | (T[4].0 as u32) << 5 | T[3].0 as u32);
    a.tbz(T[3], 31, away);
    a.tbz(T[3], 30, known);
    a.bind(away);
    a.alu(Alu::Add, Size::X, T[4], T[5], T[3]);
    a.bind(known);
}

/// The same for the plain table: the host address in T5.
pub(super) fn find_for_plain(a: &mut Asm, call: bool, missed: Label) {
    find_second(a, missed);
    let done = a.label();
    a.alu_imm(Alu::And, Size::X, T[5], T[3], !Late::BITS);
    if call {
        plain_key(a, T[0]);
        plain_place(a, T[1], T[2]);
        a.stp(T[2], T[5], T[1], -16);
        a.tbz(T[3], 1, done);
        call_entry(a);
        a.stp(T[2], T[4], T[1], -16 - NEIGHBOUR as i32);
    } else {
        plain_place(a, T[1], T[0]);
        // May it be entered? See `plain_entries`.
        a.alu_shift(Alu::Eor, Size::X, T[4], T[0], T[0], Shift::Lsr, 16);
        a.alu_shift(Alu::Eor, Size::X, T[4], T[4], T[0], Shift::Lsr, 32);
        a.ubfx(Size::X, T[4], T[4], 0, 16);
        a.cbz(Size::X, T[4], done);
        a.stp(T[0], T[5], T[1], -16);
        a.tbz(T[3], 0, done);
        a.stp(T[0], T[5], T[1], -16 - NEIGHBOUR as i32);
    }
    a.bind(done);
}

/// The host address in T3 of target T0 from the second table, with [`Late::BITS`]; else to `missed`.
fn find_second(a: &mut Asm, missed: Label) {
    a.load(Width::X, T[4], field(offset_of!(CpuState, lookup)), Order::Plain);
    a.alu_shift(Alu::Eor, Size::X, T[5], T[0], T[0], Shift::Lsr, SECOND_FOLDS[0]);
    a.alu_shift(Alu::Eor, Size::X, T[5], T[5], T[5], Shift::Lsr, SECOND_FOLDS[1]);
    a.ubfx(Size::X, T[5], T[5], 0, LOOKUP_BITS);
    a.alu_shift(Alu::Add, Size::X, T[4], T[4], T[5], Shift::Lsl, 4);
    a.alu_imm(Alu::Add, Size::X, T[4], T[4], SECOND_TABLE);
    a.ldp(T[5], T[3], T[4], 0);
    a.alu(Alu::Sub, Size::X, T[5], T[5], T[0]);
    a.cbnz(Size::X, T[5], missed);
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
        look_up_inline(&mut a, Inline::Exact, T[0], CARRY_MARK, miss);
        a.blr(T[3]);
        let inline = a.offset();
        look_up_inline(&mut a, Inline::LateJumps, gpr(2), T[2], miss);
        a.br(T[3]);
        let inline_call = a.offset();
        look_up_inline_call(&mut a, gpr(2), miss);
        a.blr(T[3]);
        let jump = a.offset();
        look_up_plain(&mut a, gpr(9), NEIGHBOUR, T[2], miss);
        a.br(T[3]);
        let call = a.offset();
        look_up_call(&mut a, gpr(9), 0, CARRY_MARK, miss);
        a.blr(T[3]);
        let late = a.offset();
        look_up_call(&mut a, gpr(9), NEIGHBOUR, T[5], miss);
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
        plain_key(&mut a, T[0]);
        plain_place(&mut a, T[1], T[2]);
        (0..8).for_each(|_| a.nop());
        let poll = a.offset();
        a.load(Width::W, ZR, Mem::Off(STATE, POLL_OFFSET), Order::Plain);
        let code = a.finish().bytes;
        let word = |at: u64| u32::from_le_bytes(code[at as usize..at as usize + 4].try_into().expect("four bytes"));
        assert_eq!(word(poll as u64), POLL_WORD);
        let [lookup, inline, inline_call, jump, call, late, push, pop] = [lookup, inline, inline_call, jump, call, late, push, pop].map(u64::from);
        for pc in (lookup..out as u64 + 48).step_by(4) {
            let want = match pc {
                _ if pc > lookup && pc < inline => Some(Midway::Lookup(lookup)),
                _ if pc > inline && pc < inline_call => Some(Midway::Lookup(inline)),
                _ if pc > inline_call && pc < jump => Some(Midway::Lookup(inline_call)),
                _ if pc > jump && pc < call => Some(Midway::Lookup(jump)),
                // Of a call's place the first instruction has no need.
                _ if pc > call + 4 && pc < late => Some(Midway::Lookup(call)),
                _ if pc > late + 4 && pc < push => Some(Midway::Lookup(late)),
                _ if pc == push => Some(Midway::Push),
                _ if pc > pop && pc < pop + 16 => Some(Midway::Return(pop)),
                _ => None,
            };
            assert_eq!(Midway::at(pc, word), want, "{}", pc - lookup);
        }
    }

    /// The emitted code finds its entry where [`plain_entries`] says.
    #[test]
    fn a_place_in_the_plain_table_is_what_code_computes() {
        let mut a = Asm::new(Default::default());
        let miss = a.label();
        look_up_plain(&mut a, gpr(3), 0, T[2], miss);
        look_up_plain(&mut a, gpr(3), NEIGHBOUR, T[2], miss);
        look_up_call(&mut a, gpr(3), NEIGHBOUR, T[5], miss);
        a.bind(miss);
        let words: Vec<u32> = a.finish().bytes.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().expect("four bytes"))).collect();
        // sub x1, x28, w11, uxth #4; ldp x2, x3, [x1, #-16]; sub x2, x2, x11
        assert_eq!(words[..3], [0xcb2b_3381, 0xa97f_0c22, 0xcb0b_0042]);
        // ldp x2, x3, [x1, #-512]
        assert_eq!(words[5], 0xa960_0c22);
        // eor x2, x11, x11, ror #16; sub x4, x28, w2, uxth #4; ldp x5, x3, [x4, #-512]; sub x5, x5, x2
        assert_eq!(words[8..12], [0xcacb_4162, 0xcb22_3384, 0xa960_0c85, 0xcb02_00a5]);
        let at = |guest| plain_entries(guest);
        assert_eq!(at(0x5555_1234_0003).0, Some(PlainEntry { below: 16 * 3 + 16, key: 0x5555_1234_0003 }));
        assert_eq!(at(0x5555_1234_0003).1, PlainEntry { below: 16 * (0x1234 ^ 3) + 16, key: 0x3_5555_1234_0003 ^ 0x5555_1234 });
        assert_eq!(at(0x5555_1234_ffff).0.map(|e| e.below + NEIGHBOUR), Some(PLAIN_TABLE));
        assert_eq!(at(0).1.below, 16);
    }

    /// No key of a call is one of a jump's.
    #[test]
    fn calls_do_not_look_like_jumps() {
        let mut alike = 0;
        for low in [0, 1, 0x1230, 0xffff] {
            for middle in 0..1 << 16 {
                let callee = 0x7f55 << 32 | middle << 16 | low;
                let key = plain_entries(callee).1.key;
                assert!(key >> 48 != 0 || plain_entries(key).0.is_none(), "{callee:#x}");
                alike += u64::from(key >> 48 == 0);
            }
        }
        assert_eq!(alike, 1 << 16);
    }

    /// One of 65,536.
    #[test]
    fn few_jumps_are_never_entered() {
        let refused = (0..1u64 << 20).filter(|k| plain_entries(0x5555_5000_0000 + 16 * k).0.is_none()).count();
        assert_eq!(refused, 16);
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
        assert!(places(u64::MAX).iter().all(|p| *p < TABLES) && places(u64::MAX)[0] < TABLE_ALIGNMENT);
    }
}
