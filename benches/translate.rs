//! Cost of translation, on the code of a real program: nanoseconds per guest instruction to decode, annotate and emit.
//! `cargo bench --bench translate`; for exact instruction counts run it with `-- --test` under a counting tool.

use criterion::{Criterion, criterion_group, criterion_main};
use xemu::decode::{CodeSource, Limits, Region, decode_region};
use xemu::emit::Features;
use xemu::guest::Addr;
use xemu::optimize::liveness;
use xemu::translate::{Options, translate};

/// Guest code: functions of this benchmark's own binary where it is x86_64, else a synthetic mix.
struct Text {
    base: u64,
    bytes: Vec<u8>,
}

impl CodeSource for Text {
    fn read_code(&self, at: Addr, buf: &mut [u8]) -> usize {
        let Some(rest) = at.0.checked_sub(self.base).and_then(|o| self.bytes.get(o as usize..)) else { return 0 };
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        n
    }
}

fn text() -> Text {
    let exe = std::env::current_exe().and_then(std::fs::read).expect("this program can be read");
    let elf = goblin::elf::Elf::parse(&exe).expect("an ELF program");
    if elf.header.e_machine == goblin::elf::header::EM_X86_64 {
        let segment = elf.program_headers.iter().find(|p| p.p_type == goblin::elf::program_header::PT_LOAD && p.is_executable()).expect("code");
        let from = segment.p_offset as usize;
        return Text { base: segment.p_vaddr, bytes: exe[from..from + segment.p_filesz as usize].to_vec() };
    }
    // cmp, jcc, mov load, lea, add, push, pop, call, ret.
    let function: [u8; 32] = [0x55, 0x48, 0x89, 0xe5, 0x39, 0xf7, 0x7c, 0x08, 0x48, 0x8b, 0x47, 0x10, 0x48, 0x8d, 0x04, 0xc7, 0x48, 0x01, 0xf8, 0xe8, 0x08, 0, 0, 0, 0x5d, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90];
    Text { base: 0x40_1000, bytes: function.repeat(4096) }
}

/// Regions one after the other over the first part of the text.
fn regions(text: &Text) -> Vec<Region> {
    let mut at = text.base;
    let mut all = Vec::new();
    let mut count = 0;
    while count < 20_000 && at < text.base + text.bytes.len() as u64 {
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
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
