//! Which guest memory a core file holds: vma_dump_size() of fs/coredump.c, with coredump_filter's bits; and which pages there is something in.

use super::notes::Mapped;
use crate::guest::Addr;
use crate::guest::addr::PAGE_SIZE;
use crate::host::file::{self, Fd};
use crate::host::{copy, memory};
use crate::linux::memory::vma::{Kind, Span, Vma};
use crate::linux::memory::{Mm, Prot};

/// Bits of /proc/PID/coredump_filter (core(5)).
mod filter {
    pub const ANONYMOUS_PRIVATE: u64 = 1;
    pub const ANONYMOUS_SHARED: u64 = 2;
    pub const FILE_PRIVATE: u64 = 4;
    pub const FILE_SHARED: u64 = 8;
    pub const ELF_HEADERS: u64 = 16;
    /// What processes begin with.
    pub const DEFAULT: u64 = 0x33;
}

/// Up to here it is not asked which pages of shared memory are there: others may have written to them.
const SMALL: u64 = 1 << 30;
/// Pages that are asked for at once.
const BATCH: usize = 8192;

/// A segment of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest addresses.
    pub span: Span,
    /// What the guest may do.
    pub prot: Prot,
    /// How much of it, from its start, is in the file, in bytes.
    pub size: u64,
    /// Which of its pages are worth reading.
    pub look: Look,
}

/// See [`Segment::look`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Those that are present.
    Present,
    /// All, up to the end of the file behind it.
    All,
}

/// What is known of a page.
mod page {
    /// There is something in it.
    pub const PRESENT: u8 = 1;
    /// It is the process's own: not the file's, which is what all others see.
    pub const OWN: u8 = 2;
}

/// How to find out which pages are there.
pub enum Presence {
    /// /proc/self/pagemap.
    Pagemap(Fd),
    /// mincore(2): for hosts without /proc. It can not tell pages of a file from copies.
    Mincore,
}

/// Meaning of an entry of pagemap (Documentation/admin-guide/mm/pagemap.rst).
fn entry(bits: u64) -> u8 {
    const FILE: u64 = 1 << 61;
    const SWAPPED: u64 = 1 << 62;
    const THERE: u64 = 1 << 63;
    match bits & (THERE | SWAPPED) {
        0 => 0,
        _ if bits & FILE != 0 => page::PRESENT,
        _ => page::PRESENT | page::OWN,
    }
}

impl Presence {
    /// Pagemap, if it tells the truth about a page that is certainly there: emulated hosts may show other addresses than they run with.
    pub fn find() -> Presence {
        let mut known = [1u8];
        // Written now, and on the stack: so its page is there.
        std::hint::black_box(&mut known);
        let Ok(fd) = file::open(b"/proc/self/pagemap", libc::O_RDONLY) else { return Presence::Mincore };
        let presence = Presence::Pagemap(fd);
        let mut state = [0];
        match presence.ask(known.as_ptr() as u64 & !(PAGE_SIZE - 1), &mut state) {
            true if state[0] & page::PRESENT != 0 => presence,
            _ => Presence::Mincore,
        }
    }

    /// What is known of the pages from `at` on; false if nothing is.
    fn ask(&self, at: u64, states: &mut [u8]) -> bool {
        match self {
            Presence::Pagemap(fd) => {
                let mut entries = vec![0; states.len() * 8];
                let read = file::pread(fd.0, &mut entries, at / PAGE_SIZE * 8).unwrap_or(0);
                for (state, bits) in states.iter_mut().zip(entries.as_chunks::<8>().0) {
                    *state = entry(u64::from_le_bytes(*bits));
                }
                read == entries.len()
            }
            Presence::Mincore => {
                let known = memory::resident(at, states).is_ok();
                states.iter_mut().for_each(|s| *s = if *s & 1 != 0 { page::PRESENT | page::OWN } else { 0 });
                known
            }
        }
    }

    /// Runs `act` on each run of pages of `span` that have all of `wanted`, upwards, until it says false. Where nothing can be found out that is all of it,
    /// or nothing where it is too large.
    fn runs(&self, span: &Span, wanted: u8, mut act: impl FnMut(Span) -> bool) {
        let mut states = vec![0; BATCH.min(((span.end - span.start) / PAGE_SIZE) as usize)];
        let mut at = span.start;
        while at < span.end {
            let n = (((span.end - at) / PAGE_SIZE) as usize).min(states.len());
            if !self.ask(at, &mut states[..n]) {
                if span.end - at <= SMALL {
                    act(at..span.end);
                }
                return;
            }
            let mut page = 0;
            while page < n {
                let is = |state: &u8| state & wanted == wanted;
                let there = is(&states[page]);
                let len = states[page..n].iter().take_while(|s| is(s) == there).count();
                let start = at + page as u64 * PAGE_SIZE;
                if there && !act(start..start + len as u64 * PAGE_SIZE) {
                    return;
                }
                page += len;
            }
            at += n as u64 * PAGE_SIZE;
        }
    }

    /// The first page of `span` that has all of `wanted`.
    fn first(&self, span: &Span, wanted: u8) -> Option<u64> {
        let mut found = None;
        self.runs(span, wanted, |run| {
            found = Some(run.start);
            false
        });
        found
    }

    /// Runs `act` on the pages of a segment's file part that are to be read, until it says false.
    pub fn pages(&self, segment: &Segment, mut act: impl FnMut(Span) -> bool) {
        let span = segment.span.start..segment.span.start + segment.size;
        match segment.look {
            Look::Present => self.runs(&span, page::PRESENT, act),
            Look::All => {
                act(span);
            }
        }
    }

    /// Was this private area written to?
    fn is_written(&self, span: &Span, vma: &Vma) -> bool {
        match (self, &vma.kind) {
            // What is neither code nor can be told counts as written: libraries protect what they have relocated.
            (Presence::Mincore, Kind::File(_)) => !vma.prot.contains(Prot::EXEC),
            _ => self.first(span, page::OWN).is_some(),
        }
    }
}

/// coredump_filter of this process.
pub fn filter() -> u64 {
    let text = file::read_all(b"/proc/self/coredump_filter").unwrap_or_default();
    let digits = str::from_utf8(&text).unwrap_or_default().trim();
    u64::from_str_radix(digits, 16).unwrap_or(filter::DEFAULT)
}

/// Is it a device, whose memory is not to be read by the way?
fn is_device(path: &[u8]) -> bool {
    const MEMORY: [&[u8]; 3] = [b"/dev/zero", b"/dev/shm/", b"/dev/hugepages/"];
    path.starts_with(b"/dev/") && !MEMORY.iter().any(|m| path.starts_with(m))
}

/// How much of an area belongs into the file, from its start. `written`: was this private area written to? `is_elf`: does it begin as an ELF file?
fn part(vma: &Vma, len: u64, filter: u64, written: impl FnOnce() -> bool, is_elf: impl FnOnce() -> bool) -> u64 {
    let has = |bit: u64| filter & bit != 0;
    let path: &[u8] = match &vma.kind {
        Kind::Vdso => return len,
        Kind::File(backing) => &backing.path,
        _ => b"",
    };
    let whole = match (vma.shared, path.is_empty()) {
        _ if vma.undumped || is_device(path) => return 0,
        (true, _) if path.is_empty() || path.ends_with(b" (deleted)") => return if has(filter::ANONYMOUS_SHARED) { len } else { 0 },
        (true, _) => return if has(filter::FILE_SHARED) { len } else { 0 },
        (false, _) if has(filter::ANONYMOUS_PRIVATE) && written() => true,
        (false, anonymous) => !anonymous && has(filter::FILE_PRIVATE),
    };
    match whole {
        true => len,
        false if matches!(vma.kind, Kind::File(_)) && vma.offset == 0 && has(filter::ELF_HEADERS) && vma.prot.contains(Prot::READ) && is_elf() => PAGE_SIZE,
        false => 0,
    }
}

/// The segments of a core file, and the files that lie in memory. What the main thread's stack has not used yet is left out: natively it is not there.
pub fn collect(mm: &Mm, presence: &Presence) -> (Vec<Segment>, Vec<Mapped>) {
    let (filter, mut segments, mut files) = (filter(), Vec::new(), Vec::new());
    let mut all = Vec::new();
    mm.for_each(|span, vma| all.push((span, vma.clone())));
    for (mut span, vma) in all {
        if let Kind::File(backing) = &vma.kind {
            files.push(Mapped { start: span.start, end: span.end, offset: vma.offset, path: backing.path.clone() });
        }
        if vma.kind == Kind::Stack {
            span.start = presence.first(&span, page::PRESENT).unwrap_or(span.start);
        }
        let len = span.end - span.start;
        let is_elf = || copy::read::<[u8; 4]>(Addr(span.start)) == Ok(*b"\x7fELF");
        let size = part(&vma, len, filter, || presence.is_written(&span, &vma), is_elf);
        let of_file = matches!(vma.kind, Kind::File(_)) && (!vma.shared || len <= SMALL);
        let look = if of_file || vma.kind == Kind::Vdso { Look::All } else { Look::Present };
        segments.push(Segment { span, prot: vma.prot, size, look });
    }
    (segments, files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::memory::vma::Backing;
    use std::sync::Arc;

    const LEN: u64 = 0x5000;

    fn vma(kind: Kind, shared: bool) -> Vma {
        Vma { prot: Prot::READ, shared, segment: false, undumped: false, kind, offset: 0 }
    }
    fn file(path: &str, shared: bool) -> Vma {
        vma(Kind::File(Arc::new(Backing { dev: 1, inode: 2, path: path.into() })), shared)
    }
    fn size(vma: &Vma, filter: u64, written: bool) -> u64 {
        part(vma, LEN, filter, || written, || true)
    }

    #[test]
    fn what_the_filter_lets_through() {
        let anonymous = vma(Kind::Anonymous, false);
        assert_eq!((size(&anonymous, 0x33, true), size(&anonymous, 0x33, false), size(&anonymous, 0x32, true)), (LEN, 0, 0));
        let shared = file("/dev/zero (deleted)", true);
        assert_eq!((size(&shared, 0x33, false), size(&shared, 0x31, false)), (LEN, 0));
        let data = file("/data", true);
        assert_eq!((size(&data, 0x33, false), size(&data, 0x3b, false)), (0, LEN));
        let library = file("/lib/x.so", false);
        assert_eq!((size(&library, 0x33, true), size(&library, 0x33, false), size(&library, 0x23, false), size(&library, 0x37, false)), (LEN, 0x1000, 0, LEN));
        assert_eq!(size(&Vma { offset: 0x1000, ..library.clone() }, 0x33, false), 0, "not the first page");
        assert_eq!(size(&file("/dev/dri/card0", true), 0xff, true), 0, "a device");
        assert_eq!(size(&vma(Kind::Vdso, false), 0, false), LEN);
        for other in [anonymous, shared, library] {
            assert_eq!(size(&Vma { undumped: true, ..other }, 0xff, true), 0, "MADV_DONTDUMP");
        }
    }

    #[test]
    fn entries_of_pagemap() {
        assert_eq!([0, 1 << 63, 1 << 62, 1 << 63 | 1 << 61, 1 << 55].map(entry), [0, 3, 3, 1, 0]);
    }

    #[test]
    fn pages_that_were_touched_are_found() {
        let pages = 20_000u64;
        // More than one batch, of which three pages are written.
        let memory = vec![0u8; ((pages + 1) * PAGE_SIZE) as usize].into_boxed_slice();
        let start = (memory.as_ptr() as u64).next_multiple_of(PAGE_SIZE);
        for page in [5, 6, 9000] {
            copy::write(Addr(start + page * PAGE_SIZE), 1u8).unwrap();
        }
        for presence in [Presence::find(), Presence::Mincore] {
            let mut found = Vec::new();
            let span = start + PAGE_SIZE..start + pages * PAGE_SIZE;
            presence.runs(&span, page::OWN, |run| {
                found.extend((run.start..run.end).step_by(PAGE_SIZE as usize).map(|at| (at - start) / PAGE_SIZE));
                true
            });
            assert!([5, 6, 9000].iter().all(|p| found.contains(p)), "{found:?}");
            assert!(found.len() < 4000, "huge pages at most");
        }
    }
}
