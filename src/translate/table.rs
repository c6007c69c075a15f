//! Mnemonic to function: all families' rows in one table, built at compile time.

use super::{CodeRow, Ctx, Row};
use crate::decode::Insn;

type Handler = fn(&mut Ctx, &Insn);

/// The families. A new one is one line here.
const FAMILIES: &[&[Row]] = &[
    super::integer::ROWS,
    super::moves::ROWS,
    super::branch::ROWS,
    super::flags::ROWS,
    super::shift::ROWS,
    super::atomic::ROWS,
    super::muldiv::ROWS,
    super::bits::ROWS,
    super::string::ROWS,
    super::system::ROWS,
    super::x87::ROWS,
    super::xsave::ROWS,
    super::sse_move::ROWS,
    super::sse_int::LANES,
    super::sse_int::ROWS,
    super::sse_shuffle::INTERLEAVE,
    super::sse_shuffle::ROWS,
    super::sse_float::FOUR,
    super::sse_float::ROWS,
    super::sse_convert::ROWS,
    super::sse_string::ROWS,
    super::crypto::ROWS,
    super::avx_int::LANES,
    super::avx_int::BINS,
    super::avx_int::ROWS,
    super::avx_move::ROWS,
    super::avx_shuffle::INTERLEAVE,
    super::avx_shuffle::ROWS,
    super::avx_float::ARITHMETIC,
    super::avx_float::EXTREMES,
    super::avx_float::ROWS,
    super::avx_fma::ROWS,
    super::avx_convert::ROWS,
    super::avx_gather::ROWS,
    super::avx_crypto::ROWS,
];

/// Encoding forms that share their mnemonic with another family's instruction: they come before the mnemonic's row.
const BY_CODE: &[CodeRow] = super::string::CODE_ROWS;

const COUNT: usize = 2048;

static TABLE: [Option<Handler>; COUNT] = {
    let mut table: [Option<Handler>; COUNT] = [None; COUNT];
    let mut f = 0;
    while f < FAMILIES.len() {
        let mut r = 0;
        while r < FAMILIES[f].len() {
            let (mnemonic, handler) = FAMILIES[f][r];
            assert!(table[mnemonic as usize].is_none(), "a mnemonic stands in two rows");
            table[mnemonic as usize] = Some(handler);
            r += 1;
        }
        f += 1;
    }
    table
};

/// What is known of each mnemonic: see the `copies`, and [`BY_FORM`].
pub static MARKS: [u8; COUNT] = {
    let mut table = super::copies::ROLES;
    let mut r = 0;
    while r < BY_CODE.len() {
        table[BY_CODE[r].0 as usize] |= BY_FORM;
        r += 1;
    }
    table
};
/// One of its forms is in [`BY_CODE`].
const BY_FORM: u8 = 0x80;

/// [`MARKS`] of an instruction.
#[inline]
pub fn marks(insn: &Insn) -> u8 {
    MARKS[insn.mnemonic() as usize & (COUNT - 1)]
}

/// The function that translates `insn`; `None`: not offered, the guest gets #UD.
pub fn handler(insn: &Insn) -> Option<Handler> {
    marked_handler(insn, marks(insn))
}
/// The same by the instruction's [`MARKS`].
#[inline]
pub fn marked_handler(insn: &Insn, marks: u8) -> Option<Handler> {
    if marks & BY_FORM != 0
        && let Some(row) = BY_CODE.iter().find(|row| row.1 == insn.code())
    {
        return Some(row.2);
    }
    TABLE[insn.mnemonic() as usize & (COUNT - 1)]
}

/// As [`handler`], for the mnemonic alone.
#[cfg(test)]
pub fn by_mnemonic(mnemonic: crate::decode::Mnemonic) -> Option<Handler> {
    TABLE[mnemonic as usize]
}
