//! Loads and stores: addressing forms, and x86-TSO ordering by what the host offers.

use super::asm::{Alu, Asm, Shift, Size};
use super::regs::*;

/// What a general-register access moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// 1 byte, zero-extended.
    B,
    /// 2 bytes, zero-extended.
    H,
    /// 4 bytes, zero-extended.
    W,
    /// 8 bytes.
    X,
    /// 1 byte, sign-extended.
    Sb(Size),
    /// 2 bytes, sign-extended.
    Sh(Size),
    /// 4 bytes, sign-extended to 64 bits.
    Sw,
}

impl Width {
    /// The zero-extending width of 1, 2, 4 or 8 bytes.
    pub fn bytes_of(bytes: u32) -> Width {
        match bytes {
            1 => Width::B,
            2 => Width::H,
            4 => Width::W,
            _ => Width::X,
        }
    }
    /// log2 of the bytes accessed.
    pub fn log2(self) -> u32 {
        match self {
            Width::B | Width::Sb(_) => 0,
            Width::H | Width::Sh(_) => 1,
            Width::W | Width::Sw => 2,
            Width::X => 3,
        }
    }
    fn load_opc(self) -> u32 {
        match self {
            Width::B | Width::H | Width::W | Width::X => 1,
            Width::Sb(Size::X) | Width::Sh(Size::X) | Width::Sw => 2,
            Width::Sb(Size::W) | Width::Sh(Size::W) => 3,
        }
    }
}

/// An address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mem {
    /// Register plus displacement.
    Off(X, i64),
    /// Register plus register shifted left.
    Idx(X, X, u32),
}

/// What other observers must see of an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Nobody else can see it: no ordering.
    Plain,
    /// x86-TSO: a load is an acquire, a store a release.
    Tso,
    /// x86-TSO at a site that was seen misaligned: barriers, because acquire and release forms fault there.
    TsoMisaligned,
}

/// Kinds of access for the encoder: base bits for size and opc, log2 of the bytes.
#[derive(Clone, Copy)]
struct Access {
    bits: u32,
    log2: u32,
}

impl Asm {
    /// `d = address`.
    pub fn lea(&mut self, d: X, mem: Mem) {
        match mem {
            Mem::Off(n, 0) => self.mov(Size::X, d, n),
            Mem::Off(n, off) => self.alu_imm(Alu::Add, Size::X, d, n, off as u64),
            Mem::Idx(n, m, s) => self.alu_shift(Alu::Add, Size::X, d, n, m, Shift::Lsl, s),
        }
    }

    /// The address in a register: the base itself where there is nothing to add, else `scratch`.
    pub fn address_in(&mut self, scratch: X, mem: Mem) -> X {
        match mem {
            Mem::Off(n, 0) => n,
            _ => {
                self.lea(scratch, mem);
                scratch
            }
        }
    }

    /// The address of an access that has no displacement, which may still be in S0 from the last such one.
    fn ordered_address(&mut self, mem: Mem) -> X {
        if let Mem::Off(n, 0) = mem {
            return n;
        }
        if !self.shares_addresses || self.last_address.is_none_or(|(at, last)| last != mem || !self.keeps_address(at, mem)) {
            self.lea(S0, mem);
            // (Relative to itself it is another one now.)
            let is_stable = matches!(mem, Mem::Off(n, _) if n != S0) || matches!(mem, Mem::Idx(n, m, _) if n != S0 && m != S0);
            self.last_address = is_stable.then_some((self.offset(), mem));
        }
        S0
    }
    /// Does S0 hold `mem`'s address still, as it did at `from`?
    fn keeps_address(&self, from: u32, mem: Mem) -> bool {
        let of = match mem {
            Mem::Off(n, _) => [n, n],
            Mem::Idx(n, m, _) => [n, m],
        };
        let registers = [S0, of[0], of[1]].iter().fold(0u32, |set, r| set | 1 << r.0);
        self.bound <= from && self.offset() - from <= 4 * REACH && (from..self.offset()).step_by(4).all(|k| keeps(self.word_at(k), registers))
    }

    #[inline]
    fn access(&mut self, a: Access, t: u8, mem: Mem) {
        match mem {
            Mem::Off(n, off) if off >= 0 && off & ((1 << a.log2) - 1) == 0 && off >> a.log2 < 4096 => {
                self.word(0x3900_0000 | a.bits | ((off >> a.log2) as u32) << 10 | (n.0 as u32) << 5 | t as u32)
            }
            _ => self.access_otherwise(a, t, mem),
        }
    }
    #[inline(never)]
    fn access_otherwise(&mut self, a: Access, t: u8, mem: Mem) {
        let rt = t as u32;
        match mem {
            Mem::Off(n, off) if (-256..256).contains(&off) => {
                self.word(0x3800_0000 | a.bits | (off as u32 & 0x1ff) << 12 | (n.0 as u32) << 5 | rt)
            }
            Mem::Off(n, off) => {
                // A part that ADD can hold and a rest that the access can, else the whole in a register.
                let rest = off & 0xfff;
                let high = off - rest;
                if rest & ((1 << a.log2) - 1) == 0 && Asm::fits(Alu::Add, Size::X, high as u64) {
                    self.alu_imm(Alu::Add, Size::X, S0, n, high as u64);
                    self.access(a, t, Mem::Off(S0, rest));
                } else {
                    self.mov_imm(S0, off as u64);
                    self.access(a, t, Mem::Idx(n, S0, 0));
                }
            }
            Mem::Idx(n, m, s) if s == 0 || s == a.log2 => {
                let scaled = if s != 0 { 1 << 12 } else { 0 };
                self.word(0x3820_6800 | a.bits | (m.0 as u32) << 16 | scaled | (n.0 as u32) << 5 | rt)
            }
            Mem::Idx(..) => {
                self.lea(S0, mem);
                self.access(a, t, Mem::Off(S0, 0));
            }
        }
    }

    /// What is left to do for `order` where the kernel orders plain accesses: nothing.
    fn left_of(&self, order: Order) -> Order {
        if self.features.tso { Order::Plain } else { order }
    }

    /// Loads into a general register.
    pub fn load(&mut self, width: Width, d: X, mem: Mem, order: Order) {
        if self.left_of(order) != Order::Plain {
            return self.load_in_order(width, d, mem, order);
        }
        let size = width.log2();
        self.access(Access { bits: size << 30 | width.load_opc() << 22, log2: size }, d.0, mem);
    }
    #[inline(never)]
    fn load_in_order(&mut self, width: Width, d: X, mem: Mem, order: Order) {
        let size = width.log2();
        if order == Order::Tso {
            if self.features.lrcpc2 {
                if let Mem::Off(n, off) = mem
                    && (-256..256).contains(&off)
                {
                    // LDAPUR(S): same opc as LDUR.
                    self.word(0x1900_0000 | size << 30 | width.load_opc() << 22 | (off as u32 & 0x1ff) << 12 | (n.0 as u32) << 5 | d.0 as u32);
                    return;
                }
            }
            let n = self.ordered_address(mem);
            let base = if self.features.lrcpc { 0x38bf_c000 } else { 0x08df_fc00 };
            self.word(base | size << 30 | (n.0 as u32) << 5 | d.0 as u32);
            match width {
                Width::Sb(to) => self.sext(1, to, d, d),
                Width::Sh(to) => self.sext(2, to, d, d),
                Width::Sw => self.sext(4, Size::X, d, d),
                _ => {}
            }
            return;
        }
        self.access(Access { bits: size << 30 | width.load_opc() << 22, log2: size }, d.0, mem);
        self.dmb_ishld();
    }

    /// Stores a general register.
    pub fn store(&mut self, width: Width, s: X, mem: Mem, order: Order) {
        if self.left_of(order) != Order::Plain {
            return self.store_in_order(width, s, mem, order);
        }
        let size = width.log2();
        self.access(Access { bits: size << 30, log2: size }, s.0, mem);
    }
    #[inline(never)]
    fn store_in_order(&mut self, width: Width, s: X, mem: Mem, order: Order) {
        let size = width.log2();
        match order {
            Order::Tso => {
                if self.features.lrcpc2
                    && let Mem::Off(n, off) = mem
                    && (-256..256).contains(&off)
                {
                    self.word(0x1900_0000 | size << 30 | (off as u32 & 0x1ff) << 12 | (n.0 as u32) << 5 | s.0 as u32);
                    return;
                }
                let n = self.ordered_address(mem);
                self.word(0x089f_fc00 | size << 30 | (n.0 as u32) << 5 | s.0 as u32);
                return;
            }
            Order::TsoMisaligned => self.dmb_before_store(),
            Order::Plain => {}
        }
        self.access(Access { bits: size << 30, log2: size }, s.0, mem);
    }

    /// Loads 1, 2, 4, 8 or 16 bytes into a vector register; the rest of it becomes zero.
    pub fn load_v(&mut self, bytes: u32, d: V, mem: Mem, order: Order) {
        let order = self.left_of(order);
        if order == Order::Tso {
            if self.features.lrcpc3 {
                return self.ordered_v(bytes, d, mem, true);
            }
            if bytes <= 8 {
                self.load(Width::bytes_of(bytes), S1, mem, order);
                return self.fmov_from(if bytes == 8 { Size::X } else { Size::W }, d, S1);
            }
        }
        self.access(vector(bytes, true), d.0, mem);
        if order != Order::Plain {
            self.dmb_ishld();
        }
    }
    /// Stores the low 1, 2, 4, 8 or 16 bytes of a vector register.
    pub fn store_v(&mut self, bytes: u32, s: V, mem: Mem, order: Order) {
        let order = self.left_of(order);
        if order == Order::Tso {
            if self.features.lrcpc3 {
                return self.ordered_v(bytes, s, mem, false);
            }
            if bytes <= 8 {
                self.umov(bytes.trailing_zeros(), S1, s, 0);
                return self.store(Width::bytes_of(bytes), S1, mem, order);
            }
        }
        if order != Order::Plain {
            self.dmb_before_store();
        }
        self.access(vector(bytes, false), s.0, mem);
    }
    /// LDAPUR and STLUR of vector registers (FEAT_LRCPC3).
    fn ordered_v(&mut self, bytes: u32, t: V, mem: Mem, load: bool) {
        let (n, off) = match mem {
            Mem::Off(n, off) if (-256..256).contains(&off) => (n, off),
            _ => (self.address_in(S0, mem), 0),
        };
        // Size and opc are those of LDUR and STUR; bit 26 is in them.
        self.word(0x1900_0800 | vector(bytes, load).bits | (off as u32 & 0x1ff) << 12 | (n.0 as u32) << 5 | t.0 as u32);
    }

    /// `str s, [n, #off]!`: off -256 to 255.
    pub fn store_pre(&mut self, width: Width, s: X, n: X, off: i32) {
        self.word(0x3800_0c00 | width.log2() << 30 | (off as u32 & 0x1ff) << 12 | (n.0 as u32) << 5 | s.0 as u32);
    }
    /// `ldr d, [n], #off`: off -256 to 255.
    pub fn load_post(&mut self, width: Width, d: X, n: X, off: i32) {
        self.word(0x3840_0400 | width.log2() << 30 | (off as u32 & 0x1ff) << 12 | (n.0 as u32) << 5 | d.0 as u32);
    }

    /// `ldp a, b, [n, #off]` of 64-bit registers; off a multiple of 8, -512 to 504.
    pub fn ldp(&mut self, a: X, b: X, n: X, off: i32) {
        self.word(0xa940_0000 | ((off / 8) as u32 & 0x7f) << 15 | (b.0 as u32) << 10 | (n.0 as u32) << 5 | a.0 as u32);
    }
    /// `stp a, b, [n, #off]`.
    pub fn stp(&mut self, a: X, b: X, n: X, off: i32) {
        self.word(0xa900_0000 | ((off / 8) as u32 & 0x7f) << 15 | (b.0 as u32) << 10 | (n.0 as u32) << 5 | a.0 as u32);
    }
    /// `ldp a, b, [n], #off`.
    pub fn ldp_post(&mut self, a: X, b: X, n: X, off: i32) {
        self.word(0xa8c0_0000 | ((off / 8) as u32 & 0x7f) << 15 | (b.0 as u32) << 10 | (n.0 as u32) << 5 | a.0 as u32);
    }
    /// `stp a, b, [n, #off]!`.
    pub fn stp_pre(&mut self, a: X, b: X, n: X, off: i32) {
        self.word(0xa980_0000 | ((off / 8) as u32 & 0x7f) << 15 | (b.0 as u32) << 10 | (n.0 as u32) << 5 | a.0 as u32);
    }
    /// `ldp` of two 128-bit registers; off a multiple of 16, -1024 to 1008.
    pub fn ldp_q(&mut self, a: V, b: V, n: X, off: i32) {
        self.word(0xad40_0000 | ((off / 16) as u32 & 0x7f) << 15 | (b.0 as u32) << 10 | (n.0 as u32) << 5 | a.0 as u32);
    }
    /// `stp` of two 128-bit registers.
    pub fn stp_q(&mut self, a: V, b: V, n: X, off: i32) {
        self.word(0xad00_0000 | ((off / 16) as u32 & 0x7f) << 15 | (b.0 as u32) << 10 | (n.0 as u32) << 5 | a.0 as u32);
    }
    /// `ldp` of two 128-bit registers, which then adds `step`: a multiple of 16, -1024 to 1008.
    pub fn ldp_q_post(&mut self, a: V, b: V, n: X, step: i32) {
        self.word(0xacc0_0000 | ((step / 16) as u32 & 0x7f) << 15 | (b.0 as u32) << 10 | (n.0 as u32) << 5 | a.0 as u32);
    }
    /// `stp`, as well.
    pub fn stp_q_post(&mut self, a: V, b: V, n: X, step: i32) {
        self.word(0xac80_0000 | ((step / 16) as u32 & 0x7f) << 15 | (b.0 as u32) << 10 | (n.0 as u32) << 5 | a.0 as u32);
    }
    /// `ldr` of a 128-bit register, which then adds `step`, -256 to 255.
    pub fn load_q_post(&mut self, d: V, n: X, step: i32) {
        self.word(0x3cc0_0400 | (step as u32 & 0x1ff) << 12 | (n.0 as u32) << 5 | d.0 as u32);
    }
    /// `str`, as well.
    pub fn store_q_post(&mut self, s: V, n: X, step: i32) {
        self.word(0x3c80_0400 | (step as u32 & 0x1ff) << 12 | (n.0 as u32) << 5 | s.0 as u32);
    }

    /// Full barrier, inner shareable.
    pub fn dmb_ish(&mut self) {
        self.word(DMB_ISH);
    }
    /// Earlier loads before later loads and stores.
    pub fn dmb_ishld(&mut self) {
        self.load_barrier = Some(self.offset());
        self.word(DMB_ISHLD);
    }
    /// The barrier behind plain loads: earlier loads before later loads and stores. None is needed where the kernel has the processor order plain accesses.
    pub fn dmb_behind_loads(&mut self) {
        if !self.features.tso {
            self.dmb_ishld();
        }
    }
    /// The barrier in front of several plain stores: earlier accesses before later ones.
    pub fn dmb_before_stores(&mut self) {
        if !self.features.tso {
            self.dmb_ish();
        }
    }
    /// The barrier in front of a plain store. Where the last access was a plain load, its barrier becomes this one: it orders all that it did, and more.
    pub fn dmb_before_store(&mut self) {
        match self.load_barrier {
            _ if self.features.tso => {}
            Some(at) if self.joins_barriers && self.is_quiet_since(at) => {
                self.set_word(at, DMB_ISH);
                self.load_barrier = None;
            }
            _ => self.dmb_ish(),
        }
    }
    /// Does code come from the barrier at `at` to here, without another access that others could see and without a call?
    fn is_quiet_since(&self, at: u32) -> bool {
        let now = self.offset();
        self.bound <= at && now - at <= 4 * REACH && (at + 4..now).step_by(4).all(|k| is_quiet(self.word_at(k)))
    }
    /// Earlier stores before later stores.
    pub fn dmb_ishst(&mut self) {
        self.word(0xd503_3abf);
    }
    /// Instruction synchronisation barrier.
    pub fn isb(&mut self) {
        self.word(0xd503_3fdf);
    }
}

const DMB_ISHLD: u32 = 0xd503_39bf;
const DMB_ISH: u32 = 0xd503_3bbf;

/// Words to look back over.
const REACH: u32 = 24;

/// BL, BLR, SVC.
fn calls(w: u32) -> bool {
    w >> 26 == 0x25 || w & 0xffff_fc1f == 0xd63f_0000 || w & 0xff00_0000 == 0xd400_0000
}

/// Does it leave these general registers as they are? Of some that do it is not known.
fn keeps(w: u32, registers: u32) -> bool {
    let has = |at: u32| registers >> (w >> at & 31) & 1 != 0;
    let memory = w & 0x0a00_0000 == 0x0800_0000;
    // Pairs have a second register; what steps its base, and atomics, have others.
    let pair = w & 0x3a00_0000 == 0x2800_0000;
    let steps = w & 0x3b20_0400 == 0x3800_0400 || w & 0x3880_0000 == 0x2880_0000 || w & 0x3f00_0000 == 0x0c00_0000;
    let exclusive = w & 0x3f00_0000 == 0x0800_0000 && w & 0x3f_7c00 != 0x1f_7c00;
    let atomic = w & 0x3f20_0c00 == 0x3820_0000 && w & 0x3fff_fc00 != 0x38bf_c000;
    !calls(w) && !has(0) && !(memory && (pair && has(10) || steps && has(5) || exclusive || atomic))
}

/// Is it neither an access, but to a literal or the state, nor a call? (Arm ARM C4.1: loads and stores are x1x0 in bits 28 to 25.)
fn is_quiet(w: u32) -> bool {
    let memory = w & 0x0a00_0000 == 0x0800_0000;
    let own = w & 0x3b00_0000 == 0x1800_0000 || w & 0x3b00_03e0 == 0x3900_0000 | (STATE.0 as u32) << 5;
    (!memory || own) && !calls(w)
}

fn vector(bytes: u32, load: bool) -> Access {
    let l = load as u32;
    match bytes {
        16 => Access { bits: 1 << 26 | (2 | l) << 22, log2: 4 },
        n => Access { bits: 1 << 26 | n.trailing_zeros() << 30 | l << 22, log2: n.trailing_zeros() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::Features;
    use super::*;

    /// The address of a second access with order is not made again where nothing in between can have changed it.
    #[test]
    fn addresses_are_shared_while_they_hold() {
        let (base, index, other) = (gpr(3), gpr(5), gpr(1));
        let words = |mem: Mem, shares: bool, between: &dyn Fn(&mut Asm)| {
            let mut a = Asm::new(Features::NEOVERSE_N1);
            a.shares_addresses = shares;
            a.load(Width::X, other, mem, Order::Tso);
            between(&mut a);
            let from = a.offset();
            a.store(Width::X, other, mem, Order::Tso);
            (a.offset() - from) / 4
        };
        for mem in [Mem::Off(base, 24), Mem::Idx(base, index, 3)] {
            let after = |between: &dyn Fn(&mut Asm)| words(mem, true, between);
            assert_eq!(after(&|_| ()), 1);
            assert_eq!(words(mem, false, &|_| ()), 2);
            assert_eq!(after(&|a| a.alu_imm(Alu::Add, Size::X, other, base, 1)), 1);
            assert_eq!(after(&|a| a.load(Width::W, other, Mem::Off(base, 8), Order::Plain)), 1);
            // Its registers, or S0, are written, in each way that there is.
            assert_eq!(after(&|a| a.alu_imm(Alu::Add, Size::X, base, base, 1)), 2);
            assert_eq!(after(&|a| a.mov_imm(S0, 1)), 2);
            assert_eq!(after(&|a| a.load(Width::X, base, Mem::Off(other, 8), Order::Plain)), 2);
            assert_eq!(after(&|a| a.ldp(other, base, STATE, 16)), 2);
            assert_eq!(after(&|a| a.store_pre(Width::X, other, base, -8)), 2);
            assert_eq!(after(&|a| a.load_post(Width::X, other, base, 8)), 2);
            assert_eq!(after(&|a| a.ldp_post(other, gpr(2), base, 16)), 2);
            assert_eq!(after(&|a| a.load_q_post(V(3), base, 16)), 2);
            // Another access, of another address; a place that code comes to from elsewhere; a call.
            assert_eq!(after(&|a| a.load(Width::X, other, Mem::Off(base, 32), Order::Tso)), 2);
            assert_eq!(after(&|a| { let l = a.label(); a.bind(l) }), 2);
            assert_eq!(after(&|a| a.blr(LINK)), 2);
            assert_eq!(after(&|a| (0..REACH + 1).for_each(|_| a.nop())), 2);
        }
        assert_eq!(words(Mem::Idx(base, index, 3), true, &|a| a.alu_imm(Alu::Sub, Size::X, index, index, 1)), 2);
        // Relative to S0 it is another one each time.
        assert_eq!(words(Mem::Off(S0, 24), true, &|_| ()), 2);
        // Which registers atomics write is not looked at.
        for word in [0xf8eb_0001, 0xc8eb_fc01, 0x485f_7c0b, 0xc87f_2c01] {
            assert!(!keeps(word, 1 << 11), "{word:#x}");
        }
    }
}
