//! Mnemonic to function: all families' rows in one table, built at compile time.

use super::{Ctx, Row};
use crate::decode::{Insn, Mnemonic};

type Handler = fn(&mut Ctx, &Insn);

/// The families. A new one is one line here.
const FAMILIES: &[&[Row]] = &[
    super::integer::ROWS,
    super::branch::ROWS,
    super::flags::ROWS,
    super::shift::ROWS,
    super::sse_move::ROWS,
    super::sse_int::LANES,
    super::sse_int::ROWS,
    super::sse_shuffle::INTERLEAVE,
    super::sse_shuffle::ROWS,
    super::sse_float::FOUR,
    super::sse_float::ROWS,
    super::sse_convert::ROWS,
];

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

/// The function that translates `m`; `None`: not offered, the guest gets #UD.
pub fn handler(m: Mnemonic) -> Option<Handler> {
    TABLE[m as usize]
}
