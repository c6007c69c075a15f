//! Plain Rust functions that translated code calls for what is too rare or too wide for inline code. One row each in [`helpers!`].
//!
//! A helper gets the exact state (general registers, flags, vectors) and three arguments; what it changes in the state is the guest's.
//! It runs with the guest's FPCR and therefore computes no host floating point. An exception is raised by [`raise`].



mod bits;
pub mod compare_strings;
pub mod crypto;
mod divide;
mod estimate;
mod flags;
mod fpu;
#[cfg(all(test, target_arch = "x86_64"))]
#[allow(unsafe_code)] // Tests ask the real processor; none of it is built into the program.
mod silicon;
pub mod softfloat;
pub mod x87;
mod system;
mod xsave;

pub use system::fpcr_for;

use crate::guest::CpuState;

/// A helper: state and arguments in, result out (the second one in `CpuState::scratch[0]`).
pub type Helper = extern "C" fn(&mut CpuState, u64, u64, u64) -> u64;

macro_rules! helpers { ($($(#[$doc:meta])* $id:ident = $f:path;)*) => {
    /// Helpers by number.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[repr(u64)]
    pub enum Id { $($(#[$doc])* $id),* }
    /// Functions by [`Id`].
    pub static TABLE: &[Helper] = &[$({
        extern "C" fn shim(s: &mut CpuState, a: u64, b: u64, c: u64) -> u64 { $f(s, a, b, c) }
        shim
    }),*];
    /// Names by [`Id`], for dumps.
    pub const NAMES: &[&str] = &[$(stringify!($id)),*];
} }

helpers! {
    /// RFLAGS as PUSHF pushes them.
    ReadFlags = flags::read;
    /// POPF: value, bytes.
    WriteFlags = flags::write;
    /// An x87 instruction: `FpuOp` | argument << 8, operand bits; result, and in `scratch[0]` whether to store it.
    Fpu = fpu::run;
    /// SAHF: AH.
    Sahf = flags::sahf;
    /// RCL: value, count, bytes; NZCV in `scratch[0]`.
    Rcl = flags::rcl;
    /// RCR: value, count, bytes; NZCV in `scratch[0]`.
    Rcr = flags::rcr;
    /// SHLD: value, other, count | bytes << 8; NZCV in `scratch[0]`, PF's byte in `scratch[1]`.
    Shld = flags::shld;
    /// SHRD, likewise.
    Shrd = flags::shrd;
    /// DIV r/m64: divisor; RAX and RDX, or #DE.
    Div = divide::unsigned;
    /// IDIV r/m64, likewise.
    Idiv = divide::signed;
    /// PDEP: value, mask.
    Pdep = bits::pdep;
    /// PEXT: value, mask.
    Pext = bits::pext;
    /// CRC32: checksum, value, bytes.
    Crc32c = bits::crc32c;
    /// RDRAND, RDSEED: 64 bits, and the flags.
    Random = bits::random;
    /// CPUID: all four registers.
    Cpuid = system::cpuid;
    /// TSC_AUX: number of the processor that runs us.
    Processor = system::processor;
    /// LAR, LSL, VERR, VERW: selector, which (0-3); 1 in `scratch[0]` if it succeeds.
    Descriptor = system::descriptor;
    /// The x87 unit's part of FXSAVE's area to the image: 64-bit pointers; whether the unit is in use.
    SaveX87 = xsave::save_x87;
    /// FXRSTOR, XRSTOR, LDMXCSR: x87 (1 requested, 2 from the image, 4 with 64-bit pointers), MXCSR, host has FEAT_AFP; FPCR to be written as result, and in
    /// `scratch[0]` whether MXCSR is new.
    RestoreX87 = xsave::restore;
    /// XGETBV: ECX, MXCSR.
    Xgetbv = xsave::xgetbv;
    /// AES, SHA, PCLMULQDQ: operation, constant; operands and result in `scratch`.
    Crypto = crypto::run;
    /// PCMPxSTRx: control; operands in `scratch`.
    CompareStrings = compare_strings::run;
    /// RCP, RSQRT: which, lanes; operands and result in `scratch`.
    Estimate = estimate::run;
}

pub use fpu::{FpuOp, NOTED, WITH_DATA};

/// Raises an exception (`guest::exception`) at the current instruction; the helper must return at once after it.
pub fn raise(s: &mut CpuState, code: u64) {
    s.exit_kind = crate::emit::stubs::kind::EXCEPTION;
    s.scratch[0] = code;
}

/// Host address of [`TABLE`]'s first entry, for `CpuState::helpers`.
pub fn table_address() -> u64 {
    TABLE.as_ptr() as u64
}
