//! /proc/self/smaps (fs/proc/task_mmu.c): the guest's areas, with what the host counts in them.

use super::map_line;
use crate::linux::memory::Mm;
use crate::linux::memory::vma::{Span, Vma};
use std::fmt::Write;

/// One of the host's areas: where, and its lines after the first.
struct Block<'a> {
    span: Span,
    lines: Vec<&'a str>,
}

fn blocks(host: &str) -> Vec<Block<'_>> {
    let mut all: Vec<Block> = Vec::new();
    for line in host.lines() {
        let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let ends = range.and_then(|(a, b)| Some((u64::from_str_radix(a, 16).ok()?, u64::from_str_radix(b, 16).ok()?)));
        match (ends, all.last_mut()) {
            (Some((start, end)), _) => all.push(Block { span: start..end, lines: Vec::new() }),
            (None, Some(block)) => block.lines.push(line),
            (None, None) => {}
        }
    }
    all
}

/// "Rss:                 4 kB" as its name and number.
fn count(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.split_once(':')?;
    Some((name, rest.trim().strip_suffix(" kB")?.parse().ok()?))
}

/// What the counters of several of the host's areas are together. A page size is not a counter.
fn add_up(parts: &[&Block], size: u64, out: &mut Vec<u8>) {
    let mut text = String::new();
    let Some(first) = parts.first() else {
        for (name, n) in [("Size:", size >> 10), ("Rss:", 0), ("Pss:", 0)] {
            let _ = writeln!(text, "{name:<16}{n:>8} kB");
        }
        return out.extend_from_slice(text.as_bytes());
    };
    for line in &first.lines {
        let _ = match count(line) {
            Some(("Size", _)) => writeln!(text, "{:<16}{:>8} kB", "Size:", size >> 10),
            Some((name, n)) if !name.ends_with("PageSize") => {
                let others = parts[1..].iter().flat_map(|b| &b.lines).filter_map(|l| count(l)).filter(|c| c.0 == name);
                writeln!(text, "{:<16}{:>8} kB", format!("{name}:"), n + others.map(|c| c.1).sum::<u64>())
            }
            _ => writeln!(text, "{line}"),
        };
    }
    out.extend_from_slice(text.as_bytes());
}

/// The file, made from the host's. An area of the host's that holds several of the guest's is counted in the first one.
pub fn text(mm: &Mm, host: &[u8]) -> Vec<u8> {
    let host = String::from_utf8_lossy(host);
    let blocks = blocks(&host);
    let mut next = 0;
    let mut out = Vec::new();
    mm.for_each(|span, vma| entry(&mut out, &blocks, &mut next, span, vma));
    out
}

fn entry(out: &mut Vec<u8>, blocks: &[Block], next: &mut usize, span: Span, vma: &Vma) {
    map_line(out, span.clone(), vma);
    while blocks.get(*next).is_some_and(|b| b.span.end <= span.start) {
        *next += 1;
    }
    let here: Vec<&Block> = blocks[*next..].iter().take_while(|b| b.span.start < span.end).collect();
    *next += here.len();
    add_up(&here, span.end - span.start, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::memory::Prot;
    use crate::linux::memory::vma::Kind;

    #[test]
    fn counters_of_the_hosts_areas_are_added_up() {
        let host = "1000-2000 r--p 0 00:00 0\nSize:   4 kB\nKernelPageSize: 4 kB\nRss: 4 kB\nVmFlags: rd mr\n\
                    2000-4000 rw-p 0 00:00 0\nSize:   8 kB\nKernelPageSize: 4 kB\nRss: 3 kB\nVmFlags: rd wr\n\
                    9000-a000 rw-p 0 00:00 0\nSize: 4 kB\nRss: 1 kB\n";
        let blocks = blocks(host);
        let vma = Vma { prot: Prot::READ, shared: false, segment: false, undumped: false, kind: Kind::Anonymous, offset: 0 };
        let (mut out, mut next) = (Vec::new(), 0);
        entry(&mut out, &blocks, &mut next, 0x1000..0x3000, &vma);
        let text = String::from_utf8(out).unwrap();
        let tail = text.split_once('\n').unwrap().1;
        assert_eq!(tail, "Size:                  8 kB\nKernelPageSize: 4 kB\nRss:                   7 kB\nVmFlags: rd mr\n");
        let mut out = Vec::new();
        entry(&mut out, &blocks, &mut next, 0x5000..0x6000, &vma);
        assert!(out.ends_with(b"\nSize:                  4 kB\nRss:                   0 kB\nPss:                   0 kB\n"), "nothing of the host's is there");
    }
}
