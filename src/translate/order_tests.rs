//! Every instruction that accesses memory orders its accesses in one of the few ways that `cargo xtask litmus` proves with a model checker: whatever
//! that can not express (x87, 256 bits, XSAVE, gathers) makes the same sequences.

use super::tests::{BASE, Random, encodings};
use super::{Options, table, translate};
use crate::decode::{CodeAt, Limits, decode_one, decode_region};
use crate::emit::Features;
use crate::guest::{Addr, CpuState};
use crate::optimize::{Opt, Switches, liveness};
use std::collections::BTreeMap;
use std::mem::offset_of;

/// What a word of emitted code does to guest memory, or to its order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    /// A load; ordered before everything behind it by itself, or not; and its address may be made of what the access right before, a plain load, has brought.
    Load { ordered: bool, led_to: bool },
    /// A store; ordered behind everything before it by itself, or not.
    Store { ordered: bool },
    /// Both, ordered by itself.
    Atomic,
    /// DMB ISHLD.
    LoadBarrier,
    /// DMB ISH.
    Barrier,
    /// Leaves translated code.
    Leave,
    Nothing,
}

/// Reads emitted code, and knows which registers hold addresses of xemu's own memory, and what is made of the last plain load's result.
struct Reader {
    own: [bool; 32],
    made: [bool; 32],
}

impl Reader {
    fn new() -> Reader {
        let mut own = [false; 32];
        // The shadow stack, the state, the stack.
        (own[27], own[28], own[31]) = (true, true, true);
        Reader { own, made: [false; 32] }
    }

    fn act(&mut self, w: u32) -> Act {
        let (d, n, m) = ((w & 31) as usize, (w >> 5 & 31) as usize, (w >> 16 & 31) as usize);
        match w {
            0xd503_39bf => return Act::LoadBarrier,
            0xd503_3bbf => return Act::Barrier,
            _ if w & 0xffff_fc1f == 0xd63f_0000 => return Act::Leave,
            _ => {}
        }
        // Arm ARM C4.1: bits 28 to 25 of loads and stores are x1x0.
        if w & 0x0a00_0000 != 0x0800_0000 {
            let immediate = w & 0x1c00_0000 == 0x1000_0000;
            let register = w & 0x0e00_0000 == 0x0a00_0000;
            // ADD and SUB of a constant, ADD of a register. Flags are no dependency, and of other results it is not known that they are one.
            let of = match () {
                _ if w & 0xbf00_0000 == 0x9100_0000 => self.made[n],
                _ if w & 0xff20_0000 == 0x8b00_0000 => self.made[n] || self.made[m],
                _ => false,
            };
            if immediate || w & 0x0e00_0000 == 0x0a00_0000 {
                self.made[d] = of && d != 31;
            }
            if w & 0xff00_0000 == 0x9100_0000 {
                self.own[d] = self.own[n] && d != 31;
            } else if w & 0xff20_0000 == 0x8b00_0000 {
                self.own[d] = self.own[n] || self.own[m] && m != 31;
            } else if w & 0x7f80_0000 == 0x3300_0000 {
                // BFI: a place in a table.
            } else if (immediate || register) && !matches!(d, 27 | 28 | 31) {
                self.own[d] = false;
            }
            return Act::Nothing;
        }
        if w & 0x3b00_0000 == 0x1800_0000 {
            return Act::Nothing; // a literal
        }
        let indexed = w & 0x3b20_0c00 == 0x3820_0800;
        let led_to = self.made[n] && n != 31 || indexed && self.made[m] && m != 31;
        let act = if w & 0x3f00_0000 == 0x0800_0000 {
            let (exclusive, pair, load, acquire) = (w >> 23 & 1 == 0, w >> 21 & 1 == 1, w >> 22 & 1 == 1, w >> 15 & 1 == 1);
            match (exclusive, pair) {
                (false, true) | (true, true) if w >> 31 == 0 || !exclusive => Act::Atomic, // CAS, CASP
                _ if load => Act::Load { ordered: acquire, led_to },
                _ => Act::Store { ordered: acquire },
            }
        } else if w & 0x3f20_0c00 == 0x3820_0000 {
            // LDAPR is among the atomics.
            if w & 0x3fff_fc00 == 0x38bf_c000 { Act::Load { ordered: true, led_to } } else { Act::Atomic }
        } else if w & 0x3b20_0c00 == 0x1900_0000 || w & 0x3f20_0c00 == 0x1d00_0800 {
            if w >> 22 & 3 == 0 || w & 0x0400_0000 != 0 && w >> 22 & 1 == 0 { Act::Store { ordered: true } } else { Act::Load { ordered: true, led_to } }
        } else if w & 0x3a00_0000 == 0x2800_0000 || w & 0xbe00_0000 == 0x0c00_0000 {
            if w >> 22 & 1 == 1 { Act::Load { ordered: false, led_to } } else { Act::Store { ordered: false } }
        } else {
            let vector = w & 0x0400_0000 != 0;
            if w >> 22 & if vector { 1 } else { 3 } == 0 { Act::Store { ordered: false } } else { Act::Load { ordered: false, led_to } }
        };
        let own = self.own[n];
        let general = w & 0x0400_0000 == 0;
        if matches!(act, Act::Load { .. }) && general && !matches!(d, 27 | 28 | 31) {
            // The tables where indirect jumps look up their targets are our own too.
            let late = offset_of!(CpuState, late_lookup);
            self.own[d] = [offset_of!(CpuState, lookup), late, late + 8].iter().any(|field| w & !31 == 0xf940_0000 | (*field as u32 / 8) << 10 | 28 << 5);
        }
        // What is loaded into the zero register nobody sees: it asks whether there is a fault.
        let unseen = matches!(act, Act::Load { ordered: false, .. }) && general && d == 31;
        if own || unseen {
            // It brings something else to its register.
            self.made[d] &= matches!(act, Act::Store { .. }) || !general;
            return Act::Nothing;
        }
        let pair = w & 0x3a00_0000 == 0x2800_0000;
        self.made = [false; 32];
        self.made[d] = matches!(act, Act::Load { ordered: false, .. }) && general && !pair && d != 31;
        act
    }
}

/// What is wrong with the order of these acts, each with the guest instruction that it is of. Others' accesses stand before and behind them.
fn disorder(acts: &[(Addr, Act)]) -> Option<&'static str> {
    // A plain load waits for its barrier; a plain store needs one since what other instructions did. Parts of one instruction share them.
    let (mut waits, mut fenced, mut of) = (false, false, Addr(0));
    for &(at, act) in acts {
        if matches!(act, Act::Load { .. } | Act::Store { .. } | Act::Atomic) && at != of {
            // A dependency orders that load before this one, which is to be ordered before all others itself.
            if waits && !matches!(act, Act::Load { led_to: true, .. }) {
                return Some("a plain load before another instruction's access");
            }
            // A barrier right before counts for the instruction that it is of.
            fenced &= of == Addr(0);
            of = at;
        }
        match act {
            Act::Load { ordered, led_to } => waits = !ordered || waits && !led_to,
            Act::Store { ordered: true } if waits => return Some("a plain load before a release store"),
            Act::Store { ordered: true } | Act::Atomic => {}
            Act::Store { ordered: false } if waits => return Some("a plain load before a plain store"),
            Act::Store { ordered: false } if !fenced => return Some("a plain store without DMB ISH"),
            Act::Store { ordered: false } => {}
            Act::LoadBarrier => waits = false,
            Act::Barrier => (waits, fenced, of) = (false, true, Addr(0)),
            Act::Leave if waits => return Some("a plain load before the end"),
            Act::Leave | Act::Nothing => {}
        }
    }
    waits.then_some("a plain load at the end")
}

/// What the code of the first instructions does, up to one that may store.
fn acts(bytes: &[u8], insns: usize, options: &Options) -> Vec<(Addr, Act)> {
    acts_within(bytes, Limits { insns, segments: 1, short: true }, options)
}

fn acts_within(bytes: &[u8], limits: Limits, options: &Options) -> Vec<(Addr, Act)> {
    let source = CodeAt(Addr(BASE), bytes);
    let mut region = decode_region(&source, Addr(BASE), limits);
    liveness(&mut region, &source);
    let emitted = translate(&region, options);
    let mut reader = Reader::new();
    let end = emitted.origins.last().map_or(emitted.code.len(), |o| o.host as usize);
    let words = emitted.code[..end].chunks_exact(4).enumerate();
    let of = |k: usize| emitted.origins[emitted.origins.partition_point(|o| o.host as usize <= 4 * k).saturating_sub(1)].guest;
    words.map(|(k, w)| (of(k), reader.act(u32::from_le_bytes(w.try_into().unwrap())))).filter(|a| a.1 != Act::Nothing).collect()
}

fn tiers() -> Vec<(&'static str, Options)> {
    let of = |names: &str| Options { features: Features::parse(names).expect("features"), ordered: true, ..Options::default() };
    let mut misaligned = of("lse,lrcpc");
    misaligned.misaligned.insert(BASE);
    vec![("v8.0", Options { features: Features::NONE, ordered: true, ..Options::default() }), ("lrcpc", of("lse,lrcpc")), ("lrcpc2", of("lse,lse2,lrcpc,lrcpc2")), ("lrcpc3", of("lse,lse2,lrcpc,lrcpc2,lrcpc3")), ("misaligned", misaligned)]
}

/// All encodings of instructions with a memory operand that a family handles.
fn accessing() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    encodings(|bytes| {
        if let Some(insn) = decode_one(bytes, Addr(BASE)).filter(|i| i.has_memory() && table::handler(i).is_some()) {
            all.push(bytes[..insn.raw.len()].to_vec());
        }
    });
    all
}

fn accesses(acts: &[(Addr, Act)]) -> bool {
    acts.iter().any(|a| matches!(a.1, Act::Load { .. } | Act::Store { .. } | Act::Atomic))
}

#[test]
fn every_access_is_ordered() {
    let all = accessing();
    for (tier, options) in tiers() {
        let (mut accessed, mut wrong) = (0, BTreeMap::new());
        for bytes in &all {
            let acts = acts(bytes, 1, &options);
            accessed += accesses(&acts) as usize;
            if let Some(why) = disorder(&acts) {
                let name = decode_one(bytes, Addr(BASE)).map(|i| i.raw.mnemonic());
                wrong.entry(format!("{name:?}: {why}")).or_insert(format!("{bytes:02x?} {acts:?}"));
            }
        }
        // NOP, LEA, PREFETCH and the like access nothing.
        assert!(accessed > 60_000 && all.len() - accessed < 2_500, "{tier}: of {} instructions {accessed} access memory", all.len());
        assert!(wrong.is_empty(), "{tier}:\n{wrong:#?}");
    }
    // Relaxed code shows that disorder is found.
    let relaxed = Options { features: Features::NEOVERSE_N1, ..Options::default() };
    let found = all.iter().filter(|bytes| disorder(&acts(bytes, 1, &relaxed)).is_some()).count();
    assert!(found > 59_000, "{found} of {}", all.len());
}

/// Where the kernel has the processor order plain accesses, barriers stand beside atomic ones alone.
#[test]
fn nothing_is_ordered_twice() {
    let options = Options { features: Features::parse("lse,lrcpc,tso").expect("features"), ordered: true, ..Options::default() };
    let mut ordered = Vec::new();
    for bytes in accessing() {
        let acts = acts(&bytes, 1, &options);
        let is_barrier = |act: &Act| matches!(act, Act::Barrier | Act::LoadBarrier | Act::Load { ordered: true, .. } | Act::Store { ordered: true });
        if acts.iter().any(|a| is_barrier(&a.1)) && !acts.iter().any(|a| a.1 == Act::Atomic) {
            ordered.push(format!("{bytes:02x?} {acts:?}"));
        }
    }
    assert!(ordered.is_empty(), "{}: {:#?}", ordered.len(), &ordered[..ordered.len().min(8)]);
}

/// Every instruction behind a load that brings its base.
#[test]
fn what_is_led_to_is_ordered() {
    let all = accessing();
    for (tier, options) in tiers() {
        let mut plain = 0;
        for bytes in &all {
            let m = decode_one(bytes, Addr(BASE)).expect("decoded before").memory();
            let Some(n) = m.base.or(m.index) else { continue };
            // mov base, [rdi+rsi+8]
            let load = [0x48 | n >> 3 << 2, 0x8b, 0x44 | (n & 7) << 3, 0x37, 8];
            let acts = acts_within(&[&load, bytes.as_slice()].concat(), Limits { insns: 2, segments: 1, short: false }, &options);
            assert_eq!(disorder(&acts), None, "{tier}: {bytes:02x?} {acts:?}");
            plain += usize::from(matches!(acts.first(), Some((_, Act::Load { ordered: false, .. }))) && acts.get(1).is_some_and(|a| a.1 != Act::LoadBarrier));
        }
        assert!(plain > 2_000, "{tier}: {plain} of {}", all.len());
    }
}

/// A load is a plain one only where the next access is a load that it leads to, and which is made.
#[test]
fn dependencies_order() {
    // Acquires.
    let cases: &[(&[u8], usize, usize)] = &[
        // mov rax, [rbx+8]; mov rcx, [rax+16]
        (&[0x48, 0x8b, 0x43, 8, 0x48, 0x8b, 0x48, 16], 1, 2),
        // mov eax, [rbx+8]; movsxd rcx, [rdx+rax*4]: an index. And a third, by what the second brought.
        (&[0x8b, 0x43, 8, 0x48, 0x63, 0x0c, 0x82], 1, 2),
        (&[0x8b, 0x43, 8, 0x48, 0x63, 0x0c, 0x82, 0x48, 0x8b, 9], 1, 3),
        // movsxd rax, [rbx+8]; add rbx, 8; and [rdx+rax*8], 1: reads first. The same with add rax, 8: another register.
        (&[0x48, 0x63, 0x43, 8, 0x48, 0x83, 0xc3, 8, 0x48, 0x83, 0x24, 0xc2, 1], 1, 2),
        (&[0x48, 0x63, 0x43, 8, 0x48, 0x83, 0xc0, 8, 0x48, 0x83, 0x24, 0xc2, 1], 2, 2),
        // movzx eax, byte [rbx+8]; movaps xmm0, [rdx+rax]
        (&[0x0f, 0xb6, 0x43, 8, 0x0f, 0x28, 0x04, 0x02], 0, 1),
        // mov rax, [rbx+8]; cmp [rax], rcx, the flags unread (then it is no access that anybody needs) or not (setz cl).
        (&[0x48, 0x8b, 0x43, 8, 0x48, 0x39, 0x08, 0x48, 0x83, 0xc1, 1], 2, 2),
        (&[0x48, 0x8b, 0x43, 8, 0x48, 0x39, 0x08, 0x0f, 0x94, 0xc1], 1, 2),
        // mov rax, [rbx+8]; mov [rax], rcx: what follows a store may be read before it. The same with lock add.
        (&[0x48, 0x8b, 0x43, 8, 0x48, 0x89, 0x08], 1, 1),
        (&[0x48, 0x8b, 0x43, 8, 0xf0, 0x48, 0x01, 0x08], 1, 1),
        // mov rax, [rbx+8]; mov rcx, [rdx]; mov rcx, [rax]: not the next one.
        (&[0x48, 0x8b, 0x43, 8, 0x48, 0x8b, 0x0a, 0x48, 0x8b, 0x08], 3, 3),
        // mov rax, [rbx+8]; mov ecx, [eax]: cut first. mov ax, [rbx+8]; mov rcx, [rax]: not all of it was loaded.
        (&[0x48, 0x8b, 0x43, 8, 0x67, 0x8b, 0x08], 2, 2),
        (&[0x66, 0x8b, 0x43, 8, 0x48, 0x8b, 0x08], 2, 2),
        // mov rax, [rbx+8]; jmp far [rax]: that raises an exception. jmp [rax].
        (&[0x48, 0x8b, 0x43, 8, 0xff, 0x28], 1, 1),
        (&[0x48, 0x8b, 0x43, 8, 0xff, 0x20], 1, 2),
        // mov rax, [rbx+8]; mov ds, cx; mov rcx, [rax]: that may leave, too.
        (&[0x48, 0x8b, 0x43, 8, 0x8e, 0xd9, 0x48, 0x8b, 0x08], 2, 2),
        // mov rax, [rbx+8]; div rcx; mov rcx, [rax]: that may leave.
        (&[0x48, 0x8b, 0x43, 8, 0x48, 0xf7, 0xf1, 0x48, 0x8b, 0x08], 2, 2),
    ];
    with_and_without(Opt::DependentLoads, cases, |act| matches!(act, Act::Load { ordered: true, .. }));
}

/// `cases`: instructions, and how many of the acts that `counts` names there are with `pass`, and without.
fn with_and_without(pass: Opt, cases: &[(&[u8], usize, usize)], counts: fn(Act) -> bool) {
    let mut options = tiers().swap_remove(1).1;
    for (bytes, with, without) in cases {
        for (switches, want) in [(Switches::default(), with), (Switches::default().without(pass), without)] {
            options.switches = switches;
            let acts = acts_within(bytes, Limits { insns: 4, segments: 1, short: false }, &options);
            assert_eq!(disorder(&acts), None, "{bytes:02x?} {acts:?}");
            assert_eq!(acts.iter().filter(|a| counts(a.1)).count(), *want, "{bytes:02x?} {acts:?}");
        }
    }
}

/// A plain store's barrier takes the place of that of the load before it, where nothing lies in between.
#[test]
fn barriers_are_joined() {
    // Barriers.
    let cases: &[(&[u8], usize, usize)] = &[
        // movups xmm0, [rbx]; addps xmm0, xmm1; movups [rbx+16], xmm0
        (&[0x0f, 0x10, 0x03, 0x0f, 0x58, 0xc1, 0x0f, 0x11, 0x43, 16], 1, 2),
        // The same with mov ecx, [rdx] and with mov [rdx], ecx in between.
        (&[0x0f, 0x10, 0x03, 0x8b, 0x0a, 0x0f, 0x11, 0x43, 16], 2, 2),
        (&[0x0f, 0x10, 0x03, 0x89, 0x0a, 0x0f, 0x11, 0x43, 16], 2, 2),
        // Two loads, two stores.
        (&[0x0f, 0x10, 0x03, 0x0f, 0x10, 0x4b, 16, 0x0f, 0x11, 0x02, 0x0f, 0x11, 0x4a, 16], 3, 4),
    ];
    with_and_without(Opt::JoinedBarriers, cases, |act| matches!(act, Act::LoadBarrier | Act::Barrier));
}

/// Instructions that stand together, also those that are translated as a group, keep the order among one another.
#[test]
fn neighbours_are_ordered() {
    let all = accessing();
    let mut random = Random(0x1234_5678_9abc_def1);
    for (tier, options) in tiers() {
        for _ in 0..20_000 {
            let bytes = (0..4).flat_map(|_| all[random.next() as usize % all.len()].clone()).collect::<Vec<u8>>();
            let acts = acts(&bytes, 4, &options);
            assert_eq!(disorder(&acts), None, "{tier}: {bytes:02x?} {acts:?}");
        }
    }
}
