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
            let n = self.address_in(S0, mem);
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
                let n = self.address_in(S0, mem);
                self.word(0x089f_fc00 | size << 30 | (n.0 as u32) << 5 | s.0 as u32);
                return;
            }
            Order::TsoMisaligned => self.dmb_ish(),
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
            self.dmb_ish();
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
        self.word(0xd503_3bbf);
    }
    /// Earlier loads before later loads and stores.
    pub fn dmb_ishld(&mut self) {
        self.word(0xd503_39bf);
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

fn vector(bytes: u32, load: bool) -> Access {
    let l = load as u32;
    match bytes {
        16 => Access { bits: 1 << 26 | (2 | l) << 22, log2: 4 },
        n => Access { bits: 1 << 26 | n.trailing_zeros() << 30 | l << 22, log2: n.trailing_zeros() },
    }
}
