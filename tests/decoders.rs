//! iced-x86, as xemu decodes with it, against capstone: lengths and mnemonics of random bytes, and of whole programs.
//!
//! Disagreements are grouped by (iced's form, capstone's mnemonic); every group must be explained by a row of
//! `fixtures/semantics/decoders.txt`. `cargo xtask decode-check` runs this with more, by the variables below.
#![cfg(feature = "disasm")]

use capstone::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, thread};
use xemu::decode::{Mnemonic, decode_one};
use xemu::guest::Addr;

/// Random sequences decoded when `DECODE_COUNT` does not say otherwise.
const COUNT: u64 = 100_000;
/// Where the sequences lie.
const BASE: u64 = 0x40_0000;
/// Longest instruction; each is decoded with at least as many bytes at hand.
const LONGEST: usize = 15;

/// Disagreements of one kind: how many, and the first one.
type Groups = BTreeMap<String, (u64, String)>;

/// What the two make of the same bytes; None: they agree.
fn disagreement(cs: &Capstone, bytes: &[u8], at: u64) -> (usize, Option<String>) {
    let insn = decode_one(bytes, Addr(at)).filter(|i| i.mnemonic() != Mnemonic::INVALID);
    let list = cs.disasm_count(bytes, at, 1).ok();
    let other = list.as_ref().and_then(|l| l.iter().next());
    let length = insn.map_or(1, |i| i.raw.len());
    let name = |text: &str| text.rsplit(' ').next().unwrap_or_default().to_string();
    let group = match (insn, other) {
        (None, None) => None,
        (None, Some(o)) => Some(format!("INVALID{} {}", why(bytes), name(o.mnemonic().unwrap_or_default()))),
        (Some(i), None) => Some(format!("{:?} invalid", i.code())),
        (Some(i), Some(o)) => {
            let theirs = name(o.mnemonic().unwrap_or_default());
            if i.raw.len() != o.bytes().len() {
                Some(format!("{:?} {theirs} length", i.code()))
            } else if format!("{:?}", i.mnemonic()).to_lowercase() != theirs {
                Some(format!("{:?} {theirs}", i.code()))
            } else {
                None
            }
        }
    };
    (length, group)
}

/// The prefix that may be why bytes are no instruction.
fn why(bytes: &[u8]) -> &'static str {
    // A REX that is not the last of them has no effect.
    let prefix = |b: &&u8| matches!(b, 0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x40..=0x4f);
    let prefixes: Vec<u8> = bytes.iter().take_while(prefix).copied().collect();
    let has = |b: u8| prefixes.contains(&b);
    let rex = prefixes.last().is_some_and(|b| b >> 4 == 4);
    let opcode = bytes.get(prefixes.len()).copied().unwrap_or(0);
    match () {
        _ if matches!(opcode, 0xc4 | 0xc5 | 0x62) && (rex || [0x66, 0xf0, 0xf2, 0xf3].into_iter().any(has)) => "-vex",
        _ if opcode == 0x62 => "-evex",
        _ if opcode == 0x8f && bytes.get(prefixes.len() + 1).is_some_and(|b| b & 0x1f >= 8) => "-xop",
        _ if has(0xf0) => "-lock",
        _ if has(0xf2) || has(0xf3) => "-rep",
        _ if has(0x66) => "-66",
        _ => "",
    }
}

fn note(groups: &mut Groups, group: String, bytes: &[u8]) {
    let example = || bytes.iter().take(LONGEST).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    groups.entry(group).or_insert_with(|| (0, example())).0 += 1;
}

fn capstone() -> Capstone {
    Capstone::new().x86().mode(arch::x86::ArchMode::Mode64).build().expect("capstone has x86")
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 15 random bytes; as often as not they begin with prefixes and maps, so that all of these come up.
fn sequence(seed: &mut u64) -> [u8; LONGEST] {
    const HEADS: &[&[u8]] = &[
        &[], &[0x0f], &[0x66], &[0xf2], &[0xf3], &[0x48], &[0x66, 0x0f], &[0xf2, 0x0f], &[0xf3, 0x0f], &[0x0f, 0x38], &[0x66, 0x0f, 0x38],
        &[0xf2, 0x0f, 0x38], &[0xf3, 0x0f, 0x38], &[0x0f, 0x3a], &[0x66, 0x0f, 0x3a], &[0x66, 0x48, 0x0f], &[0xf0], &[0x67], &[0xc5], &[0xc4],
        &[0xc4, 0xe1], &[0xc4, 0xe2], &[0xc4, 0xe3], &[0xc4, 0xc2, 0x7d], &[0x0f, 0xae], &[0x0f, 0xc7], &[0x0f, 0x01], &[0x64], &[0x2e], &[0xd9],
    ];
    let mut bytes = [0; LONGEST];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&next(seed).to_le_bytes()[..chunk.len()]);
    }
    let head = HEADS[next(seed) as usize % HEADS.len()];
    bytes[..head.len()].copy_from_slice(head);
    bytes
}

fn random(seed: u64, count: u64) -> Groups {
    let (cs, mut groups, mut seed) = (capstone(), Groups::new(), seed);
    for _ in 0..count {
        let bytes = sequence(&mut seed);
        if let (_, Some(group)) = disagreement(&cs, &bytes, BASE) {
            note(&mut groups, group, &bytes);
        }
    }
    groups
}

/// Every instruction of a file's executable sections, one after the other. A file that is no x86-64 program has none.
fn file(path: &PathBuf, count: &AtomicU64) -> Groups {
    let (cs, mut groups) = (capstone(), Groups::new());
    let Ok(bytes) = fs::read(path) else { return groups };
    let Ok(elf) = goblin::elf::Elf::parse(&bytes) else { return groups };
    if elf.header.e_machine != goblin::elf::header::EM_X86_64 {
        return groups;
    }
    for section in elf.section_headers.iter().filter(|s| s.is_executable()) {
        let Some(code) = section.file_range().and_then(|r| bytes.get(r)) else { continue };
        let mut at = 0;
        while at < code.len() {
            let rest = &code[at..code.len().min(at + LONGEST)];
            let (length, group) = disagreement(&cs, rest, section.sh_addr + at as u64);
            if let Some(group) = group {
                note(&mut groups, group, rest);
            }
            count.fetch_add(1, Ordering::Relaxed);
            at += length;
        }
    }
    groups
}

/// One row: what it explains, and why.
struct Row {
    which: regex::Regex,
    line: String,
}

fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/semantics/decoders.txt");
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let row = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (Some(form), Some(mnemonic), Some(_reason)) = (words.next(), words.next(), words.next()) else { panic!("not `FORM MNEMONIC REASON`: {line}") };
        let which = regex::Regex::new(&format!("(?i)^(?:{form}) (?:{mnemonic})$")).unwrap_or_else(|e| panic!("{line}: {e}"));
        Row { which, line: line.into() }
    };
    text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(row).collect()
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().map_or(default, |v| v.parse().unwrap_or_else(|e| panic!("{variable}: {e}")))
}

#[test]
fn iced_and_capstone_agree_or_the_difference_is_explained() {
    let (count, seed) = (number("DECODE_COUNT", COUNT), number("DECODE_SEED", 1));
    let files: Vec<PathBuf> = env::var_os("DECODE_FILES").map(|list| env::split_paths(&list).collect()).unwrap_or_default();
    let (threads, decoded) = (thread::available_parallelism().map_or(1, usize::from), AtomicU64::new(count));
    let parts: Vec<Groups> = thread::scope(|scope| {
        let (files, decoded) = (&files, &decoded);
        let work = |n: usize| {
            let mut parts = vec![random(seed << 32 | n as u64, count / threads as u64)];
            parts.extend(files.iter().skip(n).step_by(threads).map(|path| file(path, decoded)));
            parts
        };
        let handles: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        handles.into_iter().flat_map(|h| h.join().expect("a worker panicked")).collect()
    });
    let mut groups = Groups::new();
    for (group, (n, example)) in parts.into_iter().flatten() {
        groups.entry(group).or_insert((0, example)).0 += n;
    }
    let rows = rows();
    let mut used = vec![0; rows.len()];
    let mut unexplained = Vec::new();
    for (group, (n, example)) in &groups {
        match rows.iter().position(|r| r.which.is_match(group)) {
            Some(row) => used[row] += n,
            None => unexplained.push(format!("{group}: {n}, as {example}")),
        }
    }
    println!("{} decoded, {} disagreements in {} groups", decoded.into_inner(), groups.values().map(|g| g.0).sum::<u64>(), groups.len());
    rows.iter().zip(&used).for_each(|(row, n)| println!("{n:9} {}", row.line));
    assert!(unexplained.is_empty(), "{} groups that no row of fixtures/semantics/decoders.txt explains:\n{}", unexplained.len(), unexplained.join("\n"));
}
