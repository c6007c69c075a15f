//! Which host register holds what while translated code runs.
//!
//! Guest registers lie where a call of a helper saves the least: half in callee-saved ones. x0-x7 are temporaries and the
//! helpers' arguments.

/// A host general register, 0 to 30, or 31 (zero register or SP by instruction form).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct X(pub u8);

/// A host vector register, 0 to 31.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct V(pub u8);

/// The zero register.
pub const ZR: X = X(31);
/// Temporaries, free inside one guest instruction; also arguments and results of helpers.
pub const T: [X; 8] = [X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7)];
/// Scratch of the assembler's own sequences (large offsets, ordered accesses): never holds a value across two calls of `Asm`.
pub const S0: X = X(16);
/// The second such scratch.
pub const S1: X = X(17);
/// AF is bit 4 of this xor [`PFR`].
pub const AFX: X = X(18);
/// Shadow call stack pointer.
pub const SHADOW: X = X(27);
/// `CpuState`.
pub const STATE: X = X(28);
/// Low byte: the last result, whose parity is PF.
pub const PFR: X = X(29);
/// Link register: names the exit in stubs.
pub const LINK: X = X(30);

/// The host register of a guest general register (x86 number 0-15).
pub const fn gpr(n: u8) -> X {
    if n < 8 { X(8 + n) } else { X(11 + n) }
}

/// The host register of XMM `n` (0-15).
pub const fn xmm(n: u8) -> V {
    V(16 + n)
}

/// Vector temporaries, free inside one guest instruction.
pub const VT: [V; 8] = [V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7)];
