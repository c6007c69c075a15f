//! AVX moves: whole registers, scalars, halves, broadcasts, inserts and extracts, masked moves, VZEROUPPER.

use super::Row;
use super::avx::{is_wide, number, two};
use super::context::Ctx;
use super::sse_move::{extract, half, low, masked, scalar};
use super::vector::{FIRST, SECOND, immediate};
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::regs::*;
use crate::emit::simd::{Arr, ops::*};
use crate::emit::{Mem, Order, Width};

/// Mnemonics of this family.
pub const ROWS: &[Row] = {
    use Mnemonic::*;
    &[
        (Vmovaps, aligned),
        (Vmovapd, aligned),
        (Vmovdqa, aligned),
        (Vmovntps, aligned),
        (Vmovntpd, aligned),
        (Vmovntdq, aligned),
        (Vmovntdqa, aligned),
        (Vmovups, whole),
        (Vmovupd, whole),
        (Vmovdqu, whole),
        (Vlddqu, whole),
        (Vmovss, |c, i| scalar_move(c, i, 4)),
        (Vmovsd, |c, i| scalar_move(c, i, 8)),
        (Vmovd, |c, i| then_clear(c, i, low)),
        (Vmovq, |c, i| then_clear(c, i, low)),
        (Vmovlps, |c, i| half_move(c, i, 0)),
        (Vmovlpd, |c, i| half_move(c, i, 0)),
        (Vmovhps, |c, i| half_move(c, i, 1)),
        (Vmovhpd, |c, i| half_move(c, i, 1)),
        (Vmovhlps, |c, i| merge(c, i, 3, 0, 1)),
        (Vmovlhps, |c, i| merge(c, i, 3, 1, 0)),
        (Vmovddup, |c, i| two(c, i, &|c, _, d, s| c.a.dup(Arr::D2, d, s, 0))),
        (Vmovshdup, |c, i| two(c, i, &|c, _, d, s| c.a.v3(TRN2, Arr::S4, d, s, s))),
        (Vmovsldup, |c, i| two(c, i, &|c, _, d, s| c.a.v3(TRN1, Arr::S4, d, s, s))),
        (Vmaskmovdqu, |c, i| masked(c, i, 16)),
        (Vpinsrb, |c, i| insert(c, i, 0)),
        (Vpinsrw, |c, i| insert(c, i, 1)),
        (Vpinsrd, |c, i| insert(c, i, 2)),
        (Vpinsrq, |c, i| insert(c, i, 3)),
        (Vpextrb, |c, i| extract(c, i, 0)),
        (Vpextrw, |c, i| extract(c, i, 1)),
        (Vpextrd, |c, i| extract(c, i, 2)),
        (Vpextrq, |c, i| extract(c, i, 3)),
        (Vextractps, |c, i| extract(c, i, 2)),
        (Vextractf128, extract_lane),
        (Vextracti128, extract_lane),
        (Vinsertf128, insert_lane),
        (Vinserti128, insert_lane),
        (Vbroadcastf128, broadcast_lane),
        (Vbroadcasti128, broadcast_lane),
        (Vpbroadcastb, |c, i| broadcast(c, i, Arr::B16)),
        (Vpbroadcastw, |c, i| broadcast(c, i, Arr::H8)),
        (Vpbroadcastd, |c, i| broadcast(c, i, Arr::S4)),
        (Vbroadcastss, |c, i| broadcast(c, i, Arr::S4)),
        (Vpbroadcastq, |c, i| broadcast(c, i, Arr::D2)),
        (Vbroadcastsd, |c, i| broadcast(c, i, Arr::D2)),
        (Vmaskmovps, |c, i| masked_move(c, i, 2)),
        (Vmaskmovpd, |c, i| masked_move(c, i, 3)),
        (Vpmaskmovd, |c, i| masked_move(c, i, 2)),
        (Vpmaskmovq, |c, i| masked_move(c, i, 3)),
        (Vzeroupper, |c, _| c.clear_uppers()),
        (Vzeroall, |c, _| {
            for n in 0..16 {
                c.a.vzero(xmm(n));
            }
            c.clear_uppers();
        }),
        (Vldmxcsr, super::system::ldmxcsr),
        (Vstmxcsr, super::system::stmxcsr),
    ]
};

fn aligned(c: &mut Ctx, insn: &Insn) {
    if insn.has_memory() {
        c.check_boundary(insn, insn.memory_bytes());
    }
    whole(c, insn);
}

fn whole(c: &mut Ctx, insn: &Insn) {
    match (insn.op(0), insn.op(1)) {
        (Op::Xmm(d), Op::Xmm(s)) => {
            c.a.vmov(xmm(d), xmm(s));
            c.clear_upper(d);
        }
        (Op::Xmm(d), Op::Mem) => {
            c.read_v(insn, 1, 16, xmm(d));
            c.clear_upper(d);
        }
        (Op::Mem, Op::Xmm(s)) => c.write_v(insn, 16, xmm(s)),
        (Op::Ymm(d), Op::Ymm(s)) if d == s => {}
        (Op::Ymm(d), Op::Ymm(s)) => {
            c.a.vmov(xmm(d), xmm(s));
            let high = c.upper(s, FIRST);
            c.set_upper(d, high);
        }
        (Op::Ymm(d), Op::Mem) => {
            let high = c.upper_target(d, FIRST);
            c.load_wide(insn, SECOND, high);
            c.set_upper(d, high);
            c.a.vmov(xmm(d), SECOND);
        }
        (Op::Mem, Op::Ymm(s)) => {
            let high = c.upper(s, FIRST);
            c.store_wide(insn, xmm(s), high);
        }
        _ => c.undefined(insn),
    }
}

/// A form whose 128-bit namesake does the same but for the upper half of an XMM destination.
fn then_clear(c: &mut Ctx, insn: &Insn, f: fn(&mut Ctx, &Insn)) {
    f(c, insn);
    if let Op::Xmm(d) = insn.op(0) {
        c.clear_upper(d);
    }
}

/// VMOVSS, VMOVSD: of registers, the rest comes from the first source.
fn scalar_move(c: &mut Ctx, insn: &Insn, bytes: u32) {
    if insn.op_count() == 3 {
        merge(c, insn, bytes.trailing_zeros(), 0, 0);
    } else {
        then_clear(c, insn, |c, i| scalar(c, i, i.memory_bytes()));
    }
}

/// `d = a` but for lane `to`, which is b's lane `from`.
pub fn merge_lane(c: &mut Ctx, log2: u32, d: V, a: V, to: u32, b: V, from: u32) {
    if d == b && d != a {
        c.a.vmov(V(0), b);
        c.a.vmov(d, a);
        return c.a.ins(log2, d, to, V(0), from);
    }
    c.a.vmov(d, a);
    c.a.ins(log2, d, to, b, from);
}

fn merge(c: &mut Ctx, insn: &Insn, log2: u32, to: u32, from: u32) {
    let (d, a, b) = (number(insn.op(0)), number(insn.op(1)), number(insn.op(2)));
    merge_lane(c, log2, xmm(d), xmm(a), to, xmm(b), from);
    c.clear_upper(d);
}

/// VMOVLPS, VMOVHPS and their PD twins.
fn half_move(c: &mut Ctx, insn: &Insn, lane: u32) {
    if insn.op_count() == 2 {
        return half(c, insn, lane);
    }
    let (d, a) = (number(insn.op(0)), number(insn.op(1)));
    let s = c.read_v(insn, 2, 8, SECOND);
    merge_lane(c, 3, xmm(d), xmm(a), lane, s, 0);
    c.clear_upper(d);
}

fn insert(c: &mut Ctx, insn: &Insn, log2: u32) {
    let (d, a) = (number(insn.op(0)), number(insn.op(1)));
    let r = c.read(insn, 2, T[0]);
    c.a.vmov(xmm(d), xmm(a));
    c.a.ins_x(log2, xmm(d), immediate(insn) & ((16 >> log2) - 1), r);
    c.clear_upper(d);
}

fn extract_lane(c: &mut Ctx, insn: &Insn) {
    let s = number(insn.op(1));
    let lane = if immediate(insn) & 1 != 0 { c.upper(s, FIRST) } else { xmm(s) };
    match insn.op(0) {
        Op::Mem => c.write_v(insn, 16, lane),
        d => {
            c.a.vmov(xmm(number(d)), lane);
            c.clear_upper(number(d));
        }
    }
}

fn insert_lane(c: &mut Ctx, insn: &Insn) {
    let (d, a) = (number(insn.op(0)), number(insn.op(1)));
    let b = c.read_v(insn, 2, 16, SECOND);
    if immediate(insn) & 1 != 0 {
        c.set_upper(d, b);
        c.a.vmov(xmm(d), xmm(a));
    } else {
        if a != d {
            let high = c.upper(a, FIRST);
            c.set_upper(d, high);
        }
        c.a.vmov(xmm(d), b);
    }
}

fn broadcast_lane(c: &mut Ctx, insn: &Insn) {
    let d = number(insn.op(0));
    c.read_v(insn, 1, 16, xmm(d));
    c.set_upper(d, xmm(d));
}

fn broadcast(c: &mut Ctx, insn: &Insn, arr: Arr) {
    let d = number(insn.op(0));
    match (insn.op(1), c.order()) {
        (Op::Mem, Order::Plain) => match c.mem(insn) {
            Mem::Off(n, 0) => c.a.ld1r(arr, xmm(d), n),
            mem => {
                c.a.load_v(1 << arr.log2(), SECOND, mem, Order::Plain);
                c.a.dup(arr, xmm(d), SECOND, 0);
            }
        },
        _ => {
            let s = c.read_v(insn, 1, 1 << arr.log2(), SECOND);
            c.a.dup(arr, xmm(d), s, 0);
        }
    }
    if is_wide(insn, 0) {
        c.set_upper(d, xmm(d));
    } else {
        c.clear_upper(d);
    }
}

/// VMASKMOV, VPMASKMOV: elements whose mask has its top bit set; the others are neither read nor written, and load as zero.
fn masked_move(c: &mut Ctx, insn: &Insn, log2: u32) {
    let (load, size) = (insn.op(0) != Op::Mem, 1u32 << log2);
    let mask = number(insn.op(1));
    let lanes = insn.memory_bytes() / 16;
    let base = c.mem_in_register(insn);
    let (order, width) = (c.order(), Width::bytes_of(size));
    for lane in 0..lanes {
        let m = if lane == 0 { xmm(mask) } else { c.upper(mask, FIRST) };
        let value = match (load, lane) {
            (true, _) => {
                c.a.vzero(V(4 + lane as u8));
                V(4 + lane as u8)
            }
            (false, 0) => xmm(number(insn.op(2))),
            (false, _) => c.upper(number(insn.op(2)), SECOND),
        };
        for i in 0..16 / size {
            let skip = c.a.label();
            c.a.umov(log2, T[0], m, i);
            c.a.tbz(T[0], 8 * size - 1, skip);
            let at = Mem::Off(base, (16 * lane + size * i) as i64);
            if load {
                c.a.load(width, T[0], at, order);
                c.a.ins_x(log2, value, i, T[0]);
            } else {
                c.a.umov(log2, T[0], value, i);
                c.a.store(width, T[0], at, order);
            }
            c.a.bind(skip);
        }
    }
    if load {
        let d = number(insn.op(0));
        c.a.vmov(xmm(d), V(4));
        if lanes == 2 { c.set_upper(d, V(5)) } else { c.clear_upper(d) }
    }
}
