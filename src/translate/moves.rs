//! Moves, the stack, and conversions of width.

use super::Row;
use super::context::{Ctx, size_of};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::{Alu, Mem, Order, Shift, Size, Width};
use crate::optimize::Opt;

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Mov, mov),
        (Movzx, movzx),
        (Movsx, movsx),
        (Movsxd, movsx),
        (Lea, lea),
        (Push, push),
        (Pop, pop),
        (Leave, leave),
        (Bswap, bswap),
        (Cbw, |c, _| widen(c, 1, 2)),
        (Cwde, |c, _| widen(c, 2, 4)),
        (Cdqe, |c, _| widen(c, 4, 8)),
        (Cwd, |c, _| spread(c, 2)),
        (Cdq, |c, _| spread(c, 4)),
        (Cqo, |c, _| spread(c, 8)),
    ]
};

/// Selectors as the kernel sets them for 64-bit programs: ES CS SS DS FS GS.
const SELECTORS: [u64; 6] = [0, 0x33, 0x2b, 0, 0, 0];

fn mov(c: &mut Ctx, insn: &Insn) {
    match (insn.wide_register(0), insn.wide_register(1)) {
        (Some((d, bytes)), Some((s, _))) => c.a.mov(size_of(bytes.into()), gpr(d), gpr(s)),
        (Some((d, bytes)), None) if insn.is_memory(1) => {
            let mem = c.mem(insn);
            let order = c.load_order(insn);
            c.a.load(Width::bytes_of(bytes.into()), gpr(d), mem, order);
        }
        (None, Some((s, bytes))) if insn.is_memory(0) => {
            let mem = c.mem(insn);
            c.store_mem(bytes.into(), gpr(s), mem);
        }
        _ => mov_otherwise(c, insn),
    }
}
#[inline(never)]
fn mov_otherwise(c: &mut Ctx, insn: &Insn) {
    let bytes = insn.bytes(0);
    match (insn.op(0), insn.op(1)) {
        (_, Op::Segment(s)) => {
            c.a.mov_imm(T[0], SELECTORS[s as usize]);
            c.write(insn, 0, T[0]);
        }
        (Op::Segment(_), _) => {
            // Null and the flat user selectors load without effect in 64-bit mode (the bases of FS and GS are kept apart); others do not exist.
            let v = c.read_zx(insn, 1, T[0]);
            let bad = c.cold(|c| c.raise(super::context::exception::GENERAL_PROTECTION));
            let done = c.a.label();
            c.a.alu_imm(Alu::And, Size::W, T[1], v, 0xffff);
            for allowed in [0, 1, 2, 3, 0x2b] {
                c.a.alu_imm(Alu::Sub, Size::W, T[2], T[1], allowed);
                c.a.cbz(Size::W, T[2], done);
            }
            c.a.b(bad);
            c.a.bind(done);
        }
        (Op::Gpr { .. }, Op::Other) | (Op::Other, _) => c.raise(super::context::exception::GENERAL_PROTECTION),
        (Op::Mem, Op::Imm(0)) => c.write(insn, 0, ZR),
        (Op::Gpr { n, high: false, .. }, Op::Imm(v)) if bytes >= 4 => c.a.constant(gpr(n), if bytes == 4 { v & 0xffff_ffff } else { v }),
        _ => {
            let v = c.read(insn, 1, T[0]);
            c.write(insn, 0, v);
        }
    }
}

fn movzx(c: &mut Ctx, insn: &Insn) {
    match insn.op(0) {
        Op::Gpr { n, bytes: 4 | 8, .. } if insn.is_memory(1) => {
            let mem = c.mem(insn);
            let order = c.load_order(insn);
            c.a.load(Width::bytes_of(insn.memory_bytes()), gpr(n), mem, order);
        }
        Op::Gpr { n, bytes: 4 | 8, .. } => {
            let v = c.read_zx(insn, 1, gpr(n));
            c.a.mov(Size::X, gpr(n), v);
        }
        op => {
            let v = c.read_zx(insn, 1, T[0]);
            c.write_gpr(op, v);
        }
    }
}

fn movsx(c: &mut Ctx, insn: &Insn) {
    match insn.op(0) {
        Op::Gpr { n, bytes, .. } if bytes >= 4 && insn.is_memory(1) => {
            let order = c.load_order(insn);
            c.load_sx(insn, size_of(bytes as u32), gpr(n), order);
        }
        Op::Gpr { n, bytes, .. } if bytes >= 4 => {
            c.read_sx(insn, 1, size_of(bytes as u32), gpr(n));
        }
        op => {
            let v = c.read_sx(insn, 1, Size::W, T[0]);
            c.write_gpr(op, v);
        }
    }
}

fn lea(c: &mut Ctx, insn: &Insn) {
    let op = insn.op(0);
    let Op::Gpr { n, bytes, .. } = op else { return c.undefined(insn) };
    let m = insn.memory();
    if m.rip && bytes == 8 && !m.addr32 {
        return c.a.guest_address(gpr(n), m.disp as u64);
    }
    let mem = c.effective_address(insn);
    let size = size_of(bytes as u32);
    let d = if bytes == 2 { T[0] } else { gpr(n) };
    match mem {
        Mem::Off(b, 0) => c.a.mov(size, d, b),
        Mem::Off(b, off) => c.a.alu_imm(Alu::Add, size, d, b, off as u64),
        Mem::Idx(b, x, s) => c.a.alu_shift(Alu::Add, size, d, b, x, Shift::Lsl, s),
    }
    if bytes == 2 {
        c.write_gpr(op, d);
    }
}

/// The registers of two neighbours that push or pop one 64-bit register each, if one access can do both: whoever faults in it is translated alone
/// from then on (`Options::unpaired`), because the first one may be over when the second faults. A return pops to T0.
pub fn pair(first: &Insn, second: &Insn) -> Option<[X; 2]> {
    use Mnemonic::{Pop, Push, Ret};
    let register = |insn: &Insn| match insn.op(0) {
        Op::Gpr { n, bytes: 8, .. } if n != 4 => Some(gpr(n)),
        _ => None,
    };
    match (first.mnemonic(), second.mnemonic()) {
        (Push, Push) | (Pop, Pop) => {
            let (a, b) = (register(first)?, register(second)?);
            (first.mnemonic() == Push || a != b).then_some([a, b])
        }
        (Pop, Ret) => Some([register(first)?, T[0]]),
        _ => None,
    }
}

/// [`pair`] of the current instruction and the next one of its block, which is then done too, or a return that need not pop.
fn paired(c: &mut Ctx, insn: &Insn) -> Option<[X; 2]> {
    let block = &c.region.blocks[c.block];
    let last = c.index + 1 == block.first + block.count;
    if last || c.order() != Order::Plain || !c.options.switches.on(Opt::StackPairs) {
        return None;
    }
    let registers = pair(insn, &c.region.insns[c.index + 1]).filter(|_| !c.options.unpaired.contains(&c.at.0))?;
    c.return_popped = registers[1] == T[0];
    c.next_is_done = !c.return_popped;
    Some(registers)
}

fn push(c: &mut Ctx, insn: &Insn) {
    if let Some([a, b]) = paired(c, insn) {
        return c.a.stp_pre(b, a, gpr(4), -16);
    }
    use super::context::exception::GENERAL_PROTECTION;
    let word = insn.raw.stack_pointer_increment() == -2;
    let v = match insn.op(0) {
        Op::Imm(v) => {
            c.a.constant(T[0], v);
            T[0]
        }
        Op::Segment(s) => {
            c.a.mov_imm(T[0], SELECTORS[s as usize]);
            T[0]
        }
        Op::Other => return c.raise(GENERAL_PROTECTION),
        _ => c.read(insn, 0, T[0]),
    };
    if word {
        c.a.alu_imm(Alu::Sub, Size::X, T[6], gpr(4), 2);
        c.store_mem(2, v, Mem::Off(T[6], 0));
        c.a.mov(Size::X, gpr(4), T[6]);
    } else {
        c.push(v);
    }
}

fn pop(c: &mut Ctx, insn: &Insn) {
    if let Some([a, b]) = paired(c, insn) {
        return c.a.ldp_post(a, b, gpr(4), 16);
    }
    let step = insn.raw.stack_pointer_increment() as i64;
    let bytes = step as u32;
    match insn.op(0) {
        Op::Gpr { n, bytes: 8, .. } => c.pop(gpr(n)),
        Op::Mem => {
            c.load_mem(bytes, T[0], Mem::Off(gpr(4), 0));
            // The address of the destination is computed with RSP as it is after the pop (SDM, POP).
            let m = insn.memory();
            let mem = c.mem(insn);
            let mem = if m.base == Some(4) {
                match mem {
                    Mem::Off(n, off) => Mem::Off(n, off + step),
                    Mem::Idx(..) => {
                        c.a.lea(T[7], mem);
                        Mem::Off(T[7], step)
                    }
                }
            } else {
                mem
            };
            c.store_mem(bytes, T[0], mem);
            c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), step as u64);
        }
        Op::Segment(_) => {
            // POP FS, POP GS: the selector is not kept; see `mov`.
            c.load_mem(bytes, T[0], Mem::Off(gpr(4), 0));
            c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), step as u64);
        }
        op => {
            c.load_mem(bytes, T[0], Mem::Off(gpr(4), 0));
            c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(4), step as u64);
            c.write_gpr(op, T[0]);
        }
    }
}

fn leave(c: &mut Ctx, insn: &Insn) {
    let bytes = if insn.code() == crate::decode::Code::Leavew { 2 } else { 8 };
    c.load_mem(bytes, T[0], Mem::Off(gpr(5), 0));
    c.a.alu_imm(Alu::Add, Size::X, gpr(4), gpr(5), bytes as u64);
    if bytes == 2 { c.a.bfi(Size::X, gpr(5), T[0], 0, 16) } else { c.a.mov(Size::X, gpr(5), T[0]) }
}

fn bswap(c: &mut Ctx, insn: &Insn) {
    match insn.op(0) {
        Op::Gpr { n, bytes: bytes @ 4.., .. } => {
            let s = c.first(n);
            c.a.rev(size_of(bytes as u32), gpr(n), s);
        }
        // Undefined by the manual; processors clear the word.
        op => c.write_gpr(op, ZR),
    }
}

fn widen(c: &mut Ctx, from: u32, to: u32) {
    match to {
        2 => {
            c.a.sbfx(Size::W, T[0], gpr(0), 0, 8 * from);
            c.a.bfi(Size::X, gpr(0), T[0], 0, 16);
        }
        _ => c.a.sbfx(size_of(to), gpr(0), gpr(0), 0, 8 * from),
    }
}

fn spread(c: &mut Ctx, bytes: u32) {
    match bytes {
        2 => {
            c.a.sbfx(Size::W, T[0], gpr(0), 15, 1);
            c.a.bfi(Size::X, gpr(2), T[0], 0, 16);
        }
        n => c.a.shift_imm(Shift::Asr, size_of(n), gpr(2), gpr(0), 8 * n - 1),
    }
}
