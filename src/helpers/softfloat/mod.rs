//! Exact 80-bit extended arithmetic as the x87 unit does it, without host floating point.
//!
//! Invariant: a function reads rounding and masks from its [`Env`] and only adds to its flags. It must not know the register stack.
#![forbid(unsafe_code)]

pub mod arith;
pub mod convert;
pub mod elementary;
pub mod f80;
pub mod rem;
pub mod round;
pub mod wide;

pub use f80::F80;

/// Exception flags (SDM vol. 1, 8.1.3.3), in status word position.
pub mod flag {
    /// Invalid operation.
    pub const IE: u16 = 1;
    /// Denormal operand.
    pub const DE: u16 = 2;
    /// Division by zero.
    pub const ZE: u16 = 4;
    /// Overflow.
    pub const OE: u16 = 8;
    /// Underflow.
    pub const UE: u16 = 0x10;
    /// Inexact.
    pub const PE: u16 = 0x20;
}

/// What an operation is told (control word) and what it reports.
#[derive(Clone, Copy, Debug)]
pub struct Env {
    /// The control word: masks, precision and rounding control.
    pub control: u16,
    /// Exceptions raised so far.
    pub flags: u16,
    /// The last rounding was away from zero (C1).
    pub up: bool,
}

impl Env {
    /// An environment without flags.
    pub fn new(control: u16) -> Env {
        Env { control, flags: 0, up: false }
    }
    /// Rounding control: 0 nearest, 1 down, 2 up, 3 to zero.
    pub fn rc(&self) -> u16 {
        self.control >> 10 & 3
    }
    /// Significand bits by precision control (the reserved value acts as 64 bits).
    pub fn bits(&self) -> u32 {
        [24, 64, 53, 64][(self.control >> 8 & 3) as usize]
    }
    /// Raises `f`.
    pub fn raise(&mut self, f: u16) {
        self.flags |= f;
    }
    /// Whether `f` is masked.
    pub fn masked(&self, f: u16) -> bool {
        self.control & f != 0
    }
    /// Whether a discarded fraction `rest` (units of 2^-64 of the last place) rounds the magnitude up.
    pub fn rounds_up(&self, sign: bool, odd: bool, rest: u64) -> bool {
        match self.rc() {
            0 => rest > 1 << 63 || rest == 1 << 63 && odd,
            1 => sign && rest != 0,
            2 => !sign && rest != 0,
            _ => false,
        }
    }
}
