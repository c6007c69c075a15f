//! Cost of translation, on the code of a real program: nanoseconds per guest instruction to decode, annotate, emit and link, and what is done
//! once or per miss. `cargo bench --bench translate`. What needs translated code to run (a miss, a system call, a signal) is counted by
//! `cargo xtask bench` instead, in executed instructions.

use criterion::{Criterion, criterion_group, criterion_main};
use xemu::decode::{CodeAt, Limits, Region, decode_region};
use xemu::emit::{Features, patch_branch, stubs, tables};
use xemu::guest::Addr;
use xemu::optimize::liveness;
use xemu::translate::{ExitKind, Options, translate};

/// Guest code: functions of this benchmark's own binary where it is x86_64, else a synthetic mix.
fn text() -> CodeAt<'static> {
    let exe = std::env::current_exe().and_then(std::fs::read).expect("this program can be read");
    let elf = goblin::elf::Elf::parse(&exe).expect("an ELF program");
    if elf.header.e_machine == goblin::elf::header::EM_X86_64 {
        let segment = elf.program_headers.iter().find(|p| p.p_type == goblin::elf::program_header::PT_LOAD && p.is_executable()).expect("code");
        let from = segment.p_offset as usize;
        return CodeAt(Addr(segment.p_vaddr), &exe.leak()[from..from + segment.p_filesz as usize]);
    }
    // cmp, jcc, mov load, lea, add, push, pop, call, ret.
    let function: [u8; 32] = [0x55, 0x48, 0x89, 0xe5, 0x39, 0xf7, 0x7c, 0x08, 0x48, 0x8b, 0x47, 0x10, 0x48, 0x8d, 0x04, 0xc7, 0x48, 0x01, 0xf8, 0xe8, 0x08, 0, 0, 0, 0x5d, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90];
    CodeAt(Addr(0x40_1000), function.repeat(4096).leak())
}

/// Regions one after the other over the first part of the text.
fn regions(text: &CodeAt) -> Vec<Region> {
    let mut at = text.0.0;
    let mut all = Vec::new();
    let mut count = 0;
    while count < 20_000 && at < text.0.0 + text.1.len() as u64 {
        let region = decode_region(text, Addr(at), Limits::default());
        let end = region.insns.iter().map(|i| i.next().0).max().unwrap_or(at + 1);
        count += region.insns.len();
        at = end.max(at + 1);
        all.push(region);
    }
    all
}

fn bench(c: &mut Criterion) {
    let text = text();
    let starts: Vec<Addr> = regions(&text).iter().map(|r| r.blocks[0].addr).collect();
    let insns: u64 = regions(&text).iter().map(|r| r.insns.len() as u64).sum();
    let options = Options { features: Features::NEOVERSE_N1, ..Options::default() };
    let mut group = c.benchmark_group("translate");
    group.throughput(criterion::Throughput::Elements(insns));
    group.sample_size(10);
    group.bench_function("decode", |b| b.iter(|| starts.iter().map(|a| decode_region(&text, *a, Limits::default()).insns.len()).sum::<usize>()));
    let mut annotated = regions(&text);
    group.bench_function("annotate", |b| b.iter(|| annotated.iter_mut().for_each(|r| liveness(r, &text))));
    group.bench_function("emit", |b| b.iter(|| annotated.iter().map(|r| translate(r, &options).code.len()).sum::<usize>()));
    // Linking: every direct exit's target is looked up among all entries, and the word made that branches there.
    let emitted: Vec<_> = annotated.iter().map(|r| translate(r, &options)).collect();
    let mut entries = rustc_hash::FxHashMap::default();
    let mut at = 0u64;
    let placed: Vec<_> = emitted
        .iter()
        .map(|e| {
            let start = at;
            at += e.code.len() as u64;
            (start, e)
        })
        .collect();
    for (host, e) in &placed {
        entries.extend(e.entries.iter().map(|entry| (entry.guest.0, host + entry.host as u64)));
    }
    let link = |(host, e): &(u64, &xemu::translate::Emitted)| {
        let word = |x: &xemu::translate::ExitSite| match x.kind {
            ExitKind::Direct { target, patch, .. } => patch_branch(*entries.get(&target.0)? as i64 - (host + patch as u64) as i64),
            _ => None,
        };
        e.exits.iter().filter_map(word).fold(0u32, |a, w| a ^ w)
    };
    group.bench_function("link", |b| b.iter(|| placed.iter().map(link).fold(0, |a, w| a ^ w)));
    group.finish();

    let mut once = c.benchmark_group("once");
    once.bench_function("stubs", |b| b.iter(|| stubs::assemble(Features::NEOVERSE_N1, true, true).code.len()));
    let guests: Vec<u64> = entries.keys().copied().collect();
    once.throughput(criterion::Throughput::Elements(guests.len() as u64));
    // What a miss of the inline table asks in turn: its place in the second table, then the cache of all entries.
    once.bench_function("places", |b| b.iter(|| guests.iter().map(|g| tables::places(*g)[1]).fold(0, |a, p| a ^ p)));
    once.bench_function("lookup", |b| b.iter(|| guests.iter().filter_map(|g| entries.get(g)).fold(0, |a, h| a ^ h)));
    once.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
