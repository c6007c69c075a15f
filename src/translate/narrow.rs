//! Narrow XMM registers: those whose bits 127:64 (or 127:32) are zero.
//!
//! A scalar operation of x86 keeps the rest of its destination, one of the host's clears it. Where the rest is zero anyway both are the same, and a
//! result needs no merging: in programs it nearly always is, because scalar loads clear it and scalar arithmetic keeps it. What is known is found
//! out forward over the region, for all ways that lead to a block inside it. Who comes from outside is asked: the entry looks at the registers that
//! something in the region gains by, and if one of them is not narrow leaves for the engine, which translates again without that entry's
//! promise ([`Options::wide`](super::Options)). Behind calls nothing is known.

use super::ExitKind;
use super::context::Ctx;
use crate::decode::{End, Flow, Insn, Mnemonic, Op, Region};
use crate::emit::{Alu, Size};
use crate::emit::regs::*;
use crate::emit::simd::ops::ORR;
use crate::emit::stubs::Stub;
use crate::guest::Addr;
use crate::optimize::Opt;

/// Registers known to be narrow, as bit sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Narrow {
    /// Bits 127:64 are zero.
    double: u16,
    /// Bits 127:32 are zero.
    single: u16,
}

/// What a register's being narrow follows from: that all of these are (bit set; none: it always is), or it does not.
type Need = u32;
const NEVER: Need = 1 << 16;
const ALWAYS: Need = 0;

/// What an instruction does to narrow registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effect {
    /// Writes no XMM register.
    Nothing,
    /// Writes registers that are no operands.
    All,
    /// Writes register `d`, which needs this to be narrow in either sense.
    Sets { d: u8, double: Need, single: Need },
}

/// What a mnemonic does with its operands.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Rule {
    /// Writes the first operand, if it is a vector register: not known.
    Other,
    Nothing,
    All,
    /// The low 8 or 4 bytes; the rest is that of the first source.
    Low8,
    Low4,
    /// The same of a fused operation, whose first source is the destination in VEX form too.
    Fused8,
    Fused4,
    /// MOVSD, MOVSS: the same from a register; from memory zeros above.
    Move8,
    Move4,
    /// A whole register.
    Move,
    /// MOVD, MOVQ: zeros above.
    Load,
    And,
    AndNot,
    Or,
    Xor,
}

static RULES: [Rule; 2048] = {
    use Mnemonic::*;
    const LISTS: &[(Rule, &[Mnemonic])] = &[
        (Rule::Nothing, &[Ucomiss, Ucomisd, Comiss, Comisd, Vucomiss, Vucomisd, Vcomiss, Vcomisd, Ptest, Vptest, Vtestps, Vtestpd]),
        (Rule::All, &[
            Fxrstor, Fxrstor64, Xrstor, Xrstor64, Xrstors, Xrstors64, Vzeroall, Pcmpestrm, Pcmpestrm64, Pcmpistrm, Vpcmpestrm, Vpcmpestrm64, Vpcmpistrm, Syscall,
        ]),
        (Rule::Low8, &[
            Addsd, Subsd, Mulsd, Divsd, Minsd, Maxsd, Sqrtsd, Cmpsd, Roundsd, Cvtsi2sd, Cvtss2sd, Movlps, Movlpd,
            Vaddsd, Vsubsd, Vmulsd, Vdivsd, Vminsd, Vmaxsd, Vsqrtsd, Vcmpsd, Vroundsd, Vcvtsi2sd, Vcvtss2sd, Vmovlps, Vmovlpd,
        ]),
        (Rule::Low4, &[
            Addss, Subss, Mulss, Divss, Minss, Maxss, Sqrtss, Cmpss, Roundss, Rcpss, Rsqrtss, Cvtsi2ss, Cvtsd2ss,
            Vaddss, Vsubss, Vmulss, Vdivss, Vminss, Vmaxss, Vsqrtss, Vcmpss, Vroundss, Vrcpss, Vrsqrtss, Vcvtsi2ss, Vcvtsd2ss,
        ]),
        (Rule::Fused8, &[
            Vfmadd132sd, Vfmadd213sd, Vfmadd231sd, Vfmsub132sd, Vfmsub213sd, Vfmsub231sd, Vfnmadd132sd, Vfnmadd213sd, Vfnmadd231sd, Vfnmsub132sd,
            Vfnmsub213sd, Vfnmsub231sd,
        ]),
        (Rule::Fused4, &[
            Vfmadd132ss, Vfmadd213ss, Vfmadd231ss, Vfmsub132ss, Vfmsub213ss, Vfmsub231ss, Vfnmadd132ss, Vfnmadd213ss, Vfnmadd231ss, Vfnmsub132ss,
            Vfnmsub213ss, Vfnmsub231ss,
        ]),
        (Rule::Move8, &[Movsd, Vmovsd]),
        (Rule::Move4, &[Movss, Vmovss]),
        (Rule::Move, &[Movaps, Movapd, Movdqa, Movups, Movupd, Movdqu, Vmovaps, Vmovapd, Vmovdqa, Vmovups, Vmovupd, Vmovdqu]),
        (Rule::Load, &[Movd, Movq, Vmovd, Vmovq]),
        (Rule::And, &[Andps, Andpd, Pand, Vandps, Vandpd, Vpand]),
        (Rule::AndNot, &[Andnps, Andnpd, Pandn, Vandnps, Vandnpd, Vpandn]),
        (Rule::Or, &[Orps, Orpd, Por, Vorps, Vorpd, Vpor]),
        (Rule::Xor, &[Xorps, Xorpd, Pxor, Vxorps, Vxorpd, Vpxor]),
    ];
    let mut table = [Rule::Other; 2048];
    let mut i = 0;
    while i < LISTS.len() {
        let mut k = 0;
        while k < LISTS[i].1.len() {
            table[LISTS[i].1[k] as usize] = LISTS[i].0;
            k += 1;
        }
        i += 1;
    }
    table
};

fn is(n: u8) -> Need {
    1 << n
}

fn effect(insn: &Insn) -> Effect {
    let rule = RULES[insn.mnemonic() as usize];
    match rule {
        Rule::All => return Effect::All,
        Rule::Nothing => return Effect::Nothing,
        // A gather clears its mask too.
        Rule::Other if insn.vector_index().is_some() => return Effect::All,
        _ => {}
    }
    let (d, wide) = match insn.op(0) {
        Op::Xmm(d) => (d, false),
        Op::Ymm(d) => (d, true),
        _ => return Effect::Nothing,
    };
    let sets = |double: Need, single: Need| Effect::Sets { d, double, single };
    let unknown = sets(NEVER, NEVER);
    if wide && rule != Rule::Move {
        return unknown;
    }
    let source = |i: u32| match insn.op(i) {
        Op::Xmm(n) | Op::Ymm(n) => is(n),
        _ => NEVER,
    };
    let first = if insn.is_vex() { 1 } else { 0 };
    match rule {
        Rule::Other | Rule::Nothing | Rule::All => unknown,
        Rule::Low8 => sets(source(first), NEVER),
        Rule::Low4 => sets(source(first), source(first)),
        Rule::Fused8 => sets(is(d), NEVER),
        Rule::Fused4 => sets(is(d), is(d)),
        Rule::Move8 if insn.has_memory() => sets(ALWAYS, NEVER),
        Rule::Move8 => sets(source(first), NEVER),
        Rule::Move4 if insn.has_memory() => sets(ALWAYS, ALWAYS),
        Rule::Move4 => sets(source(first), source(first)),
        Rule::Move => sets(source(1), source(1)),
        Rule::Load => match insn.op(1) {
            Op::Xmm(s) => sets(ALWAYS, is(s)),
            _ => sets(ALWAYS, if insn.bytes(1) == 4 { ALWAYS } else { NEVER }),
        },
        // One zero would do; the first source is the number, as a rule, and the second a constant.
        Rule::And => sets(source(first), source(first)),
        Rule::AndNot => sets(source(first + 1), source(first + 1)),
        Rule::Xor if insn.op(first) == insn.op(first + 1) => sets(ALWAYS, ALWAYS),
        Rule::Or | Rule::Xor => {
            let both = source(first) | source(first + 1);
            sets(both, both)
        }
    }
}

/// Is it a scalar operation whose result is merged into a register?
fn merges(insn: &Insn) -> bool {
    match RULES[insn.mnemonic() as usize] {
        Rule::Low8 | Rule::Low4 | Rule::Fused8 | Rule::Fused4 => matches!(insn.op(0), Op::Xmm(_)),
        Rule::Move8 | Rule::Move4 => insn.has_two_registers(),
        _ => false,
    }
}

impl Narrow {
    /// All registers.
    const ALL: Narrow = Narrow { double: u16::MAX, single: u16::MAX };

    fn after(mut self, effect: Effect) -> Narrow {
        match effect {
            Effect::Nothing => {}
            Effect::All => self = Narrow::default(),
            Effect::Sets { d, double, single } => {
                let set = |set: &mut u16, need: Need| {
                    let holds = need & !u32::from(*set) == 0;
                    *set = *set & !(1 << d) | u16::from(holds) << d;
                };
                set(&mut self.double, double);
                set(&mut self.single, single);
            }
        }
        self
    }
    /// What is left behind an instruction.
    pub fn behind(self, insn: &Insn) -> Narrow {
        if self == Narrow::default() && !matches!(RULES[insn.mnemonic() as usize], Rule::Move8 | Rule::Move4 | Rule::Load | Rule::Xor) {
            return self;
        }
        self.after(effect(insn))
    }
    /// From which byte on register `n` is zero: 4, 8, or 16: that is not known.
    pub fn zero_from(self, n: u8) -> u8 {
        match (self.single >> n & 1, self.double >> n & 1) {
            (1, _) => 4,
            (_, 1) => 8,
            _ => 16,
        }
    }
    fn and(self, other: Narrow) -> Narrow {
        Narrow { double: self.double & other.double, single: self.single & other.single }
    }
    fn or(self, other: Narrow) -> Narrow {
        Narrow { double: self.double | other.double, single: self.single | other.single }
    }
}

/// What being narrow at a block's end needs at its start, by register.
struct Through {
    double: [Need; 16],
    single: [Need; 16],
    /// The same for results that would have to be merged, one for each register that the block leaves so.
    gains: Narrow,
}

impl Through {
    fn block(insns: &[Insn]) -> Through {
        let same: [Need; 16] = std::array::from_fn(|n| is(n as u8));
        let mut t = Through { double: same, single: same, gains: Narrow::default() };
        let through = |of: &[Need; 16], need: Need| (0..16).filter(|n| need >> n & 1 != 0).fold(need & NEVER, |all, n| all | of[n]);
        for insn in insns {
            match effect(insn) {
                Effect::Nothing => {}
                Effect::All => {
                    (t.double, t.single, t.gains) = ([NEVER; 16], [NEVER; 16], Narrow::default());
                }
                Effect::Sets { d, double, single } => {
                    (t.double[d as usize], t.single[d as usize]) = (through(&t.double, double), through(&t.single, single));
                    let merged = u16::from(merges(insn)) << d;
                    // What is merged with 4 bytes gains nothing by 8 that are zero.
                    let only_single = u16::from(matches!(RULES[insn.mnemonic() as usize], Rule::Low4 | Rule::Fused4 | Rule::Move4)) << d;
                    t.gains.double = t.gains.double & !(1 << d) | merged & !only_single;
                    t.gains.single = t.gains.single & !(1 << d) | merged & only_single;
                }
            }
        }
        t
    }
    /// What these registers need.
    fn needs(&self, registers: Narrow) -> Narrow {
        let of = |needs: &[Need; 16], set: u16| (0..16).filter(|n| set >> n & 1 != 0).fold(0, |all, n| all | needs[n] as u16);
        Narrow { double: of(&self.double, registers.double), single: of(&self.single, registers.single) }
    }
    /// What holds behind, if `narrow` holds before.
    fn holds(&self, narrow: Narrow) -> Narrow {
        let of = |needs: &[Need; 16], set: u16| (0..16).filter(|n| needs[*n] & !u32::from(set) == 0).fold(0, |all, n| all | 1 << n);
        Narrow { double: of(&self.double, narrow.double), single: of(&self.single, narrow.single) }
    }
}

/// Blocks that block `b` goes to inside the region, with its registers as they are.
fn ways(region: &Region, b: usize) -> [Option<usize>; 2] {
    let block = &region.blocks[b];
    match block.end {
        End::Fall(_) => [block.behind(), None],
        End::Flow(Flow::Jump(_)) => [block.target(), None],
        // What a call returns to, nothing is known of.
        End::Flow(Flow::Call(_)) => [block.target(), None],
        End::Flow(Flow::Conditional(_)) => [block.target(), block.behind()],
        End::Flow(_) | End::NoFetch(_) => [None, None],
    }
}

/// The block that is gone on with behind a call.
fn landing(region: &Region, b: usize) -> Option<usize> {
    let block = &region.blocks[b];
    match block.end {
        End::Flow(Flow::Call(_) | Flow::CallIndirect | Flow::Syscall) => block.behind(),
        _ => None,
    }
}

/// What is to be known, and asked for, at the start of each block; nothing if it is not worth it. `promises(at)`: may an entry be asked?
fn plan(region: &Region, promises: impl Fn(Addr) -> bool) -> Vec<Narrow> {
    let insns = |b: usize| {
        let block = &region.blocks[b];
        &region.insns[block.first..block.first + block.count]
    };
    if !region.insns.iter().any(merges) {
        return Vec::new();
    }
    let n = region.blocks.len();
    let blocks: Vec<Through> = (0..n).map(|b| Through::block(insns(b))).collect();
    // The most that can hold, if who comes from outside brings it.
    let mut before: Vec<Narrow> = region.blocks.iter().map(|b| if promises(b.addr) { Narrow::ALL } else { Narrow::default() }).collect();
    for b in 0..n {
        if let Some(to) = landing(region, b) {
            before[to] = Narrow::default();
        }
    }
    loop {
        let mut changed = false;
        for b in 0..n {
            let behind = blocks[b].holds(before[b]);
            for to in ways(region, b).into_iter().flatten() {
                let both = before[to].and(behind);
                changed |= both != before[to];
                before[to] = both;
            }
        }
        if !changed {
            break;
        }
    }
    // Of that, what something gains by, here or later.
    let gains: Vec<Narrow> = (0..n).map(|b| blocks[b].gains.and(blocks[b].holds(before[b]))).collect();
    let mut wanted: Vec<Narrow> = (0..n).map(|b| blocks[b].needs(gains[b])).collect();
    loop {
        let mut changed = false;
        for b in (0..n).rev() {
            let mut more = wanted[b];
            for to in ways(region, b).into_iter().flatten() {
                more = more.or(blocks[b].needs(wanted[to]));
            }
            changed |= more != wanted[b];
            wanted[b] = more;
        }
        if !changed {
            break;
        }
    }
    let weights = super::uppers::block_weights(region);
    let gained = |b: usize| {
        let gain = |needs: &[Need; 16], set: u16| (0..16).filter(|n| set >> n & 1 != 0 && needs[*n] != ALWAYS).count() as u32;
        weights[b] * (gain(&blocks[b].double, gains[b].double) + gain(&blocks[b].single, gains[b].single))
    };
    let gain: u32 = (0..n).map(gained).sum();
    if gain <= cost(wanted[0]) { Vec::new() } else { wanted }
}

/// Instructions that an entry takes to ask for that.
fn cost(narrow: Narrow) -> u32 {
    match (narrow.double.count_ones(), narrow.single.count_ones()) {
        (0, 0) => 0,
        (n, 0) => n + 1,
        (0, n) => n + 3,
        (_, _) => (narrow.double | narrow.single).count_ones() + 3,
    }
}

impl Ctx<'_> {
    pub(super) fn plan_narrow(&mut self) {
        let options = self.options;
        if self.groups.wanted && options.switches.on(Opt::Narrow) {
            // Code that compares its own bytes has several versions for an entry.
            let asks = self.region.guards.is_empty();
            self.narrow_in = plan(self.region, |at| asks && (options.wide.is_empty() || !options.wide.contains(&at.0)));
        }
    }
    /// Does an entry from outside to this block ask for narrow registers?
    pub(super) fn asks_for_narrow(&self, block: usize) -> bool {
        self.narrow_in.get(block).is_some_and(|n| *n != Narrow::default())
    }
    /// Leaves for the engine if a register is not as narrow as block `index` wants it. Flags stay.
    pub(super) fn ask_for_narrow(&mut self, index: usize) {
        if !self.asks_for_narrow(index) {
            return;
        }
        let narrow = self.narrow_in[index];
        let at = self.region.blocks[index].addr;
        let wide = self.cold(move |c| {
            c.call_stub(Stub::Link);
            c.exit_site(at, ExitKind::Wide);
        });
        let single = self.all_of(narrow.single, None, V(0));
        if let Some(v) = self.all_of(narrow.double & !narrow.single, single, V(1)) {
            self.a.umov(3, T[0], v, 1);
        }
        if let Some(v) = single {
            self.a.umov(2, T[1], v, 1);
            self.a.alu(Alu::Orr, Size::X, T[0], T[0], T[1]);
        }
        self.a.cbnz(Size::X, T[0], wide);
    }
    /// A register with every bit of these, and of `also`: `t`, if there is more than one.
    fn all_of(&mut self, registers: u16, also: Option<V>, t: V) -> Option<V> {
        let mut all = also;
        for n in (0..16u8).filter(|n| registers >> n & 1 != 0) {
            all = Some(match all {
                None => xmm(n),
                Some(v) => {
                    self.a.vlogic(ORR, t, v, xmm(n));
                    t
                }
            });
        }
        all
    }
    /// Learns what is narrow in front of an instruction, and behind it.
    pub(super) fn know_narrow(&mut self, insn: &Insn) {
        if self.options.switches.on(Opt::Narrow) {
            self.narrow = self.narrow_behind;
            self.narrow_behind = self.narrow.behind(insn);
        }
    }
    /// From which byte on XMM `n` is known to be zero in front of the current instruction; 16: it is not.
    pub(super) fn zero_from(&self, n: u8) -> u8 {
        if n < 16 { self.narrow.zero_from(n) } else { 16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{CodeAt, Limits, decode_one, decode_region};
    use crate::translate::{table, tests::encodings};

    /// No instruction writes a vector register of which is not said so.
    #[test]
    fn what_is_written_is_known() {
        let mut sets = 0;
        encodings(|bytes| {
            let Some(insn) = decode_one(bytes, Addr(0x1000)).filter(|i| table::handler(i).is_some()) else { return };
            let effect = effect(&insn);
            sets += usize::from(matches!(effect, Effect::Sets { .. }));
            let vectors = insn.used_vectors();
            if insn.mnemonic() == Mnemonic::Vzeroupper {
                return;
            }
            for n in vectors.iter().filter(|v| v.1).map(|v| v.0) {
                let known = match effect {
                    Effect::Nothing => false,
                    Effect::All => true,
                    Effect::Sets { d, .. } => d == n,
                };
                assert!(known, "{:?} writes XMM{n}: {bytes:02x?}", insn.code());
            }
            // What it is said to follow from is read.
            if let Effect::Sets { double, single, .. } = effect {
                for n in (0..16u8).filter(|n| (double | single) & NEVER == 0 && (double | single) >> n & 1 != 0) {
                    assert!(vectors.iter().any(|v| v.0 == n), "{:?} does not use XMM{n}: {bytes:02x?}", insn.code());
                }
            }
        });
        assert!(sets > 10_000);
    }

    /// What a block gives is what its instructions give one by one.
    #[test]
    fn blocks_are_what_their_instructions_are() {
        let mut r = crate::translate::tests::Random(0x9e37_79b9_7f4a_7c15);
        let heads: [&[u8]; 6] = [&[0xf2, 0x0f, 0x58], &[0xf3, 0x0f, 0x10], &[0x66, 0x0f, 0x28], &[0xf2, 0x0f, 0x10], &[0x66, 0x0f, 0xef], &[0xf3, 0x0f, 0x7e]];
        for _ in 0..2000 {
            let mut bytes = Vec::new();
            for _ in 0..8 {
                bytes.extend(heads[r.next() as usize % heads.len()]);
                bytes.push(r.next() as u8 | 0xc0);
            }
            let region = decode_region(&CodeAt(Addr(0x1000), &bytes), Addr(0x1000), Limits::default());
            let before = Narrow { double: r.next() as u16, single: r.next() as u16 };
            let each = region.insns.iter().fold(before, |n, i| n.behind(i));
            assert_eq!(Through::block(&region.insns).holds(before), each, "{bytes:02x?}");
        }
    }

    fn wanted(code: &[u8], wide: &[u64]) -> Vec<Narrow> {
        let region = decode_region(&CodeAt(Addr(0x1000), code), Addr(0x1000), Limits::default());
        plan(&region, |at| !wide.contains(&at.0))
    }

    #[test]
    fn loops_ask_for_what_they_keep() {
        // addsd xmm1, xmm2; addss xmm3, xmm4; dec eax; jne to the start; ret.
        let code = [0xf2, 0x0f, 0x58, 0xca, 0xf3, 0x0f, 0x58, 0xdc, 0xff, 0xc8, 0x75, 0xf4, 0xc3];
        assert_eq!(wanted(&code, &[])[0], Narrow { double: 1 << 1, single: 1 << 3 });
        assert!(wanted(&code, &[0x1000]).is_empty());
        // A call in the loop: call 0x1100 in front of the decrement. Behind it nothing is known.
        let code = [0xf2, 0x0f, 0x58, 0xca, 0xe8, 0xf7, 0, 0, 0, 0xff, 0xc8, 0x75, 0xf3, 0xc3];
        assert!(wanted(&code, &[]).iter().all(|n| *n == Narrow::default()));
        // movsd xmm1, [rax] first: a loop needs no promise.
        let code = [0xf2, 0x0f, 0x10, 0x08, 0xf2, 0x0f, 0x58, 0xca, 0xff, 0xc8, 0x75, 0xf4, 0xc3];
        assert!(wanted(&code, &[]).iter().all(|n| *n == Narrow::default()));
        // movupd xmm1, [rax]; then the loop: its own entry alone would not do.
        let code = [0x66, 0x0f, 0x10, 0x08, 0xf2, 0x0f, 0x58, 0xca, 0xff, 0xc8, 0x75, 0xf8, 0xc3];
        assert!(wanted(&code, &[]).iter().all(|n| *n == Narrow::default()));
    }
}
