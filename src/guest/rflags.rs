//! RFLAGS bits (Intel SDM vol. 1, 3.4.3).

/// Carry.
pub const CF: u64 = 1 << 0;
/// Parity of the low result byte (1 = even).
pub const PF: u64 = 1 << 2;
/// Auxiliary carry, out of bit 3.
pub const AF: u64 = 1 << 4;
/// Zero.
pub const ZF: u64 = 1 << 6;
/// Sign.
pub const SF: u64 = 1 << 7;
/// Trap (single step).
pub const TF: u64 = 1 << 8;
/// Interrupt enable; always set in user mode.
pub const IF: u64 = 1 << 9;
/// Direction of string instructions.
pub const DF: u64 = 1 << 10;
/// Overflow.
pub const OF: u64 = 1 << 11;
/// Nested task.
pub const NT: u64 = 1 << 14;
/// Resume; set in the frame of a fault.
pub const RF: u64 = 1 << 16;
/// Alignment check.
pub const AC: u64 = 1 << 18;
/// CPUID can be used if software can toggle this.
pub const ID: u64 = 1 << 21;
/// The bit that always reads as one.
pub const RESERVED_ONE: u64 = 1 << 1;
/// The six arithmetic status flags.
pub const STATUS: u64 = CF | PF | AF | ZF | SF | OF;
/// What POPF may change in user mode besides the status flags.
pub const USER_SYSTEM: u64 = TF | DF | NT | AC | ID;
