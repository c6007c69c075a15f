//! The x87 instruction set behind one helper: which instruction is an [`FpuOp`], memory operands are raw bits that translated code moves.

use super::raise;
use super::x87::{arith, compare, control, pending_exception, transcendental, transfer};
use crate::guest::{Addr, CpuState};
use crate::host::copy;
use crate::guest::rflags::{AF, CF, OF, PF, SF, ZF};
use crate::guest::exception;
use crate::guest::state::X87;
use crate::guest::xsave::X87_BYTES;

macro_rules! ops { ($($(#[$doc:meta])* $name:ident $waits:ident = |$s:ident, $i:ident, $b:ident, $h:ident| $body:expr;)*) => {
    /// x87 operations; the argument (`i`) is a stack index, a constant's number or an arithmetic operation's.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[repr(u64)]
    #[allow(missing_docs)] // SDM's names.
    pub enum FpuOp { $($(#[$doc])* $name),* }

    type Run = fn(&mut CpuState, u8, u64, u64) -> u64;
    const OPS: &[(bool, Run)] = &[$((stringify!($waits).as_bytes()[0] == b'w', |$s, $i, $b, $h| $body)),*];
} }

/// The value to store and whether to store it (`scratch[0]`).
fn stored<T>(s: &mut CpuState, v: Option<T>, bits: impl Fn(T) -> u64) -> u64 {
    s.scratch[0] = v.is_some() as u64;
    v.map_or(0, bits)
}
fn done(_: ()) -> u64 {
    0
}
fn flag(go_on: bool) -> u64 {
    go_on as u64
}
/// The image area as bytes.
pub fn image(s: &CpuState) -> [u8; X87_BYTES] {
    std::array::from_fn(|i| (s.image[i / 16][i / 8 % 2] >> (8 * (i % 8))) as u8)
}
/// Sets the beginning of the image area.
pub fn set_image(s: &mut CpuState, bytes: &[u8]) {
    for (word, chunk) in s.image.iter_mut().flatten().zip(bytes.chunks(8)) {
        *word = chunk.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b));
    }
}
fn kind(i: u8) -> arith::Op {
    use arith::Op::*;
    [Add, Mul, Add, Add, Sub, Subr, Div, Divr][(i & 7) as usize]
}
/// FCOMI's flags: OF, SF and AF become zero (AMD64 APM vol. 5).
fn integer_flags(s: &mut CpuState, (flags, pop): (u64, bool)) -> u64 {
    let keep = s.rflags() & !(ZF | PF | CF | OF | SF | AF);
    s.set_rflags(keep | flags);
    pop as u64
}

// `waits`: raises a pending exception first; `never`: an FN form.
ops! {
    Ld32 waits = |s, _i, b, _h| done(transfer::fld_f32(&mut s.x87, b as u32));
    Ld64 waits = |s, _i, b, _h| done(transfer::fld_f64(&mut s.x87, b));
    Ld80 waits = |s, _i, b, h| done(transfer::fld_f80(&mut s.x87, b, h as u16));
    LdInt waits = |s, _i, b, _h| done(transfer::fild(&mut s.x87, b as i64));
    LdBcd waits = |s, _i, b, h| done(transfer::fbld(&mut s.x87, b as u128 | (h as u128) << 64));
    LdSt waits = |s, i, _b, _h| done(transfer::fld_sti(&mut s.x87, i));
    LdConst waits = |s, i, _b, _h| done(transfer::fld_constant(&mut s.x87, i));
    St32 waits = |s, _i, _b, _h| { let v = transfer::fst_f32(&mut s.x87); stored(s, v, u64::from) };
    St64 waits = |s, _i, _b, _h| { let v = transfer::fst_f64(&mut s.x87); stored(s, v, |v| v) };
    /// Upper 16 bits in `scratch[1]`.
    St80 waits = |s, _i, _b, _h| {
        let v = transfer::fst_f80(&mut s.x87);
        s.scratch[1] = v.map_or(0, |v| v.1 as u64);
        stored(s, v, |v| v.0)
    };
    StInt16 waits = |s, _i, _b, _h| { let v = transfer::fist_i16(&mut s.x87); stored(s, v, |v| v as u64) };
    StInt32 waits = |s, _i, _b, _h| { let v = transfer::fist_i32(&mut s.x87); stored(s, v, |v| v as u64) };
    StInt64 waits = |s, _i, _b, _h| { let v = transfer::fist_i64(&mut s.x87); stored(s, v, |v| v as u64) };
    StTrunc16 waits = |s, _i, _b, _h| { let v = transfer::fistt_i16(&mut s.x87); stored(s, v, |v| v as u64) };
    StTrunc32 waits = |s, _i, _b, _h| { let v = transfer::fistt_i32(&mut s.x87); stored(s, v, |v| v as u64) };
    StTrunc64 waits = |s, _i, _b, _h| { let v = transfer::fistt_i64(&mut s.x87); stored(s, v, |v| v as u64) };
    StBcd waits = |s, _i, _b, _h| {
        let v = transfer::fbst(&mut s.x87);
        s.scratch[1] = v.map_or(0, |v| (v >> 64) as u64);
        stored(s, v, |v| v as u64)
    };
    StSt waits = |s, i, _b, _h| flag(transfer::fst_sti(&mut s.x87, i));
    Pop never = |s, _i, _b, _h| done(super::x87::pop(&mut s.x87));
    Xch waits = |s, i, _b, _h| done(transfer::fxch(&mut s.x87, i));
    Cmov waits = |s, i, b, _h| done(transfer::fcmov(&mut s.x87, i, b));
    Xtract waits = |s, _i, _b, _h| done(transfer::fxtract(&mut s.x87));
    /// `i`: operation; `b`: stack index.
    Arith0i waits = |s, i, b, _h| done(arith::arith_st0_sti(&mut s.x87, kind(i), b as u8));
    ArithI0 waits = |s, i, b, _h| done(arith::arith_sti_st0(&mut s.x87, kind(i), b as u8, false));
    ArithI0Pop waits = |s, i, b, _h| done(arith::arith_sti_st0(&mut s.x87, kind(i), b as u8, true));
    Arith32 waits = |s, i, b, _h| done(arith::arith_st0_f32(&mut s.x87, kind(i), b as u32));
    Arith64 waits = |s, i, b, _h| done(arith::arith_st0_f64(&mut s.x87, kind(i), b));
    ArithInt waits = |s, i, b, _h| done(arith::arith_st0_int(&mut s.x87, kind(i), b as i32));
    Sqrt waits = |s, _i, _b, _h| done(arith::fsqrt(&mut s.x87));
    RndInt waits = |s, _i, _b, _h| done(arith::frndint(&mut s.x87));
    Abs waits = |s, _i, _b, _h| done(arith::fabs(&mut s.x87));
    Chs waits = |s, _i, _b, _h| done(arith::fchs(&mut s.x87));
    Scale waits = |s, _i, _b, _h| done(arith::fscale(&mut s.x87));
    Prem waits = |s, _i, _b, _h| done(arith::fprem(&mut s.x87));
    Prem1 waits = |s, _i, _b, _h| done(arith::fprem1(&mut s.x87));
    Sin waits = |s, _i, _b, _h| done(transcendental::fsin(&mut s.x87));
    Cos waits = |s, _i, _b, _h| done(transcendental::fcos(&mut s.x87));
    SinCos waits = |s, _i, _b, _h| done(transcendental::fsincos(&mut s.x87));
    Ptan waits = |s, _i, _b, _h| done(transcendental::fptan(&mut s.x87));
    Patan waits = |s, _i, _b, _h| done(transcendental::fpatan(&mut s.x87));
    Exp2M1 waits = |s, _i, _b, _h| done(transcendental::f2xm1(&mut s.x87));
    YLog2 waits = |s, _i, _b, _h| done(transcendental::fyl2x(&mut s.x87));
    YLog2P1 waits = |s, _i, _b, _h| done(transcendental::fyl2xp1(&mut s.x87));
    ComSt waits = |s, i, _b, _h| flag(compare::fcom_sti(&mut s.x87, i));
    UcomSt waits = |s, i, _b, _h| flag(compare::fucom_sti(&mut s.x87, i));
    Com32 waits = |s, _i, b, _h| flag(compare::fcom_f32(&mut s.x87, b as u32));
    Com64 waits = |s, _i, b, _h| flag(compare::fcom_f64(&mut s.x87, b));
    ComInt waits = |s, _i, b, _h| flag(compare::ficom(&mut s.x87, b as i32));
    ComI waits = |s, i, _b, _h| { let r = compare::fcomi(&mut s.x87, i); integer_flags(s, r) };
    UcomI waits = |s, i, _b, _h| { let r = compare::fucomi(&mut s.x87, i); integer_flags(s, r) };
    Tst waits = |s, _i, _b, _h| done(compare::ftst(&mut s.x87));
    Xam waits = |s, _i, _b, _h| done(compare::fxam(&mut s.x87));
    IncStp waits = |s, _i, _b, _h| done(control::fincstp(&mut s.x87));
    DecStp waits = |s, _i, _b, _h| done(control::fdecstp(&mut s.x87));
    Free waits = |s, i, _b, _h| done(control::ffree(&mut s.x87, i));
    Init never = |s, _i, _b, _h| done(control::fninit(&mut s.x87));
    ClearEx never = |s, _i, _b, _h| done(control::fnclex(&mut s.x87));
    LdCw waits = |s, _i, b, _h| done(control::fldcw(&mut s.x87, b as u16));
    StSw never = |s, _i, _b, _h| control::fnstsw(&s.x87) as u64;
    Wait waits = |_s, _i, _b, _h| 0;
    /// FNSTENV; `i`: of 16-bit words. So in the three below.
    StEnv never = |s, i, _b, _h| {
        let words = control::fnstenv(&mut s.x87);
        done(set_image(s, &control::environment_bytes(&words, i != 0)))
    };
    LdEnv never = |s, i, _b, _h| {
        let words = control::environment(&image(s), i != 0);
        done(control::fldenv(&mut s.x87, &words))
    };
    Save never = |s, i, _b, _h| {
        let bytes = control::fnsave(&mut s.x87, i != 0);
        done(set_image(s, &bytes))
    };
    Rstor never = |s, i, _b, _h| {
        let bytes = image(s);
        done(control::frstor(&mut s.x87, &bytes, i != 0))
    };
}

/// Bits of [`run`]'s code: the instruction is noted as the last one (FIP; control instructions are not), with a memory operand (FDP).
pub const NOTED: u64 = 1 << 16;
/// See [`NOTED`].
pub const WITH_DATA: u64 = 1 << 17;

/// Runs operation `code & 0xff` with argument `code >> 8`; `x87_at` holds the instruction's pointers where it is noted.
pub fn run(s: &mut CpuState, code: u64, bits: u64, high: u64) -> u64 {
    let (waits, f) = OPS[(code & 0xff) as usize];
    if waits && pending_exception(&s.x87) {
        raise(s, exception::X87);
        return 0;
    }
    if code & NOTED == 0 {
        if matches!(code & 0xff, SAVES_ENV | SAVES_ALL) {
            opcode(&mut s.x87);
        }
        return f(s, (code >> 8) as u8, bits, high);
    }
    s.x87.fip = s.x87_at[0];
    s.x87.fop = X87::OPCODE_AT_FIP;
    if code & WITH_DATA != 0 {
        s.x87.fdp = s.x87_at[1];
    }
    let result = f(s, (code >> 8) as u8, bits, high);
    // FXSAVE and signal frames have the opcode of what is pending.
    if pending_exception(&s.x87) {
        opcode(&mut s.x87);
    }
    result
}

const SAVES_ENV: u64 = FpuOp::StEnv as u64;
const SAVES_ALL: u64 = FpuOp::Save as u64;

/// Looks at the last instruction's opcode, if that was not yet done: the bytes behind its prefixes.
fn opcode(x87: &mut X87) {
    if x87.fop != X87::OPCODE_AT_FIP {
        return;
    }
    let mut bytes = [0u8; 15];
    // It may be the last one on its page.
    let read = (2..=15).rev().find(|n| copy::read_bytes(Addr(x87.fip), &mut bytes[..*n]).is_ok());
    let escape = bytes[..read.unwrap_or(0)].iter().position(|b| b & 0xf8 == 0xd8);
    x87.fop = match escape {
        Some(at) if at < 14 => u16::from(bytes[at] & 7) << 8 | u16::from(bytes[at + 1]),
        _ => 0,
    };
}

const _: () = assert!(std::mem::size_of::<X87>() == 160);
