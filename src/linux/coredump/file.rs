//! The core file itself: an ELF header, program headers, notes, and memory (elf_core_dump() of fs/binfmt_elf.c). Pages that are not there, or hold
//! nothing but zeros, are holes in it.

use super::areas::{Look, Presence, Segment};
use crate::guest::Addr;
use crate::guest::addr::PAGE_SIZE;
use crate::host::copy;
use crate::host::file::{self, Fd};
use crate::linux::memory::Prot;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;
/// More program headers than e_phnum can tell: their number is in the first section header.
const PN_XNUM: usize = 0xffff;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// Bytes of memory that are read at once.
const PIECE: usize = 1 << 18;
/// The page of [`crate::linux::vsyscall`], which can be executed, not read.
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;

/// Little-endian fields, one after another.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn half(&mut self, v: u16) -> &mut Fields {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }
    fn word(&mut self, v: u32) -> &mut Fields {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }
    fn quad(&mut self, v: u64) -> &mut Fields {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }
}

/// Where everything lies in the file.
struct Plan {
    /// Headers and notes: the file's beginning.
    head: Vec<u8>,
    /// Where each segment's memory begins.
    at: Vec<u64>,
    /// Behind it: the section header, where there is one.
    tail: Vec<u8>,
    /// Where that lies, and where the file ends without it.
    end: u64,
}

fn flags(prot: Prot) -> u32 {
    let flag = |p: Prot, bit: u32| if prot.contains(p) { bit } else { 0 };
    flag(Prot::READ, 4) | flag(Prot::WRITE, 2) | flag(Prot::EXEC, 1)
}

fn plan(segments: &[Segment], notes: &[u8]) -> Plan {
    // The notes, and the vsyscall page.
    let count = segments.len() + 2;
    let notes_at = HEADER + count * PROGRAM_HEADER;
    let data = (notes_at + notes.len()).next_multiple_of(PAGE_SIZE as usize) as u64;
    let mut next = data;
    let mut place = |s: &Segment| {
        next += s.size;
        next - s.size
    };
    let at: Vec<u64> = segments.iter().map(&mut place).collect();
    let (vsyscall, end) = (next, next + PAGE_SIZE);
    let many = count >= PN_XNUM;

    let mut f = Fields::default();
    f.0.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // ET_CORE, EM_X86_64, EV_CURRENT; no entry.
    f.half(4).half(62).word(1).quad(0).quad(HEADER as u64);
    f.quad(if many { end } else { 0 }).word(0).half(HEADER as u16).half(PROGRAM_HEADER as u16);
    f.half(count.min(PN_XNUM) as u16).half(if many { SECTION_HEADER as u16 } else { 0 }).half(many as u16).half(0);

    f.word(PT_NOTE).word(0).quad(notes_at as u64).quad(0).quad(0).quad(notes.len() as u64).quad(0).quad(4);
    let mut load = |flags: u32, at: u64, address: u64, size: u64, len: u64| {
        f.word(PT_LOAD).word(flags).quad(at).quad(address).quad(0).quad(size).quad(len).quad(PAGE_SIZE);
    };
    for (s, &at) in segments.iter().zip(&at) {
        load(flags(s.prot), at, s.span.start, s.size, s.span.end - s.span.start);
    }
    load(flags(Prot::EXEC), vsyscall, VSYSCALL, PAGE_SIZE, PAGE_SIZE);
    f.0.extend_from_slice(notes);

    let mut tail = Fields::default();
    if many {
        // Of the kernel's only section header: size, link and info tell numbers of sections, strings and program headers.
        tail.word(0).word(0).quad(0).quad(0).quad(0).quad(1).word(0).word(count as u32).quad(0).quad(0);
    }
    Plan { head: f.0, at, tail: tail.0, end }
}

/// The file ends here: it is as long as it may be, or nothing more can be written.
#[derive(Debug)]
struct Full;

/// The file, and how much may still be written to it. Holes count nothing.
struct Out {
    fd: Fd,
    left: u64,
}

impl Out {
    /// Writes as much as is allowed, in units of `unit` bytes.
    fn put(&mut self, at: u64, bytes: &[u8], unit: u64) -> Result<(), Full> {
        let len = match bytes.len() as u64 {
            len if len <= self.left => len,
            _ => self.left / unit * unit,
        };
        file::pwrite(&self.fd, &bytes[..len as usize], at).map_err(|_| Full)?;
        self.left -= len;
        if len == bytes.len() as u64 { Ok(()) } else { Err(Full) }
    }
}

/// Reads a page whatever its protection is; false if there is nothing to read.
fn read_page(memory: Option<&Fd>, at: u64, page: &mut [u8]) -> bool {
    copy::read_bytes(Addr(at), page).is_ok() || memory.is_some_and(|fd| file::pread(fd.0, page, at) == Ok(page.len()))
}

/// Writes the part of `memory` that was read from guest address `from`: what is not zero, to where it belongs.
fn put_pages(out: &mut Out, bytes: &[u8], at: u64) -> Result<(), Full> {
    let is_hole = |page: &[u8]| page.iter().fold(0, |all, b| all | b) == 0;
    let mut pages = bytes.chunks(PAGE_SIZE as usize).enumerate().peekable();
    while let Some((n, page)) = pages.next() {
        if is_hole(page) {
            continue;
        }
        let start = n * PAGE_SIZE as usize;
        let mut end = start + page.len();
        while let Some((_, page)) = pages.next_if(|(_, page)| !is_hole(page)) {
            end += page.len();
        }
        out.put(at + start as u64, &bytes[start..end], PAGE_SIZE)?;
    }
    Ok(())
}

/// Writes the memory of a segment, which begins at `at` in the file.
fn put_segment(out: &mut Out, segment: &Segment, at: u64, presence: &Presence, memory: Option<&Fd>, buffer: &mut [u8]) -> Result<(), Full> {
    let mut result = Ok(());
    presence.pages(segment, |run| {
        let mut from = run.start;
        while from < run.end {
            let len = ((run.end - from) as usize).min(buffer.len());
            let piece = &mut buffer[..len];
            let mut ended = false;
            if copy::read_bytes(Addr(from), piece).is_err() {
                for (n, page) in piece.chunks_mut(PAGE_SIZE as usize).enumerate() {
                    if ended || !read_page(memory, from + n as u64 * PAGE_SIZE, page) {
                        page.fill(0);
                        // Behind the end of a file there is nothing more.
                        ended |= segment.look == Look::All;
                    }
                }
            }
            result = put_pages(out, piece, at + (from - segment.span.start));
            if result.is_err() || ended {
                return false;
            }
            from += len as u64;
        }
        true
    });
    result
}

/// Writes the file. `limit`: bytes that may be written.
pub fn write(fd: Fd, limit: u64, segments: &[Segment], notes: &[u8], presence: &Presence) {
    let plan = plan(segments, notes);
    let memory = file::open(b"/proc/self/mem", libc::O_RDONLY).ok();
    let mut out = Out { fd, left: limit };
    let mut buffer = vec![0; PIECE];
    let mut all = || {
        out.put(0, &plan.head, 1)?;
        for (segment, at) in segments.iter().zip(&plan.at) {
            put_segment(&mut out, segment, *at, presence, memory.as_ref(), &mut buffer)?;
        }
        out.put(plan.end, &plan.tail, 1)?;
        file::set_size(&out.fd, plan.end + plan.tail.len() as u64).map_err(|_| Full)
    };
    if all().is_err() {
        log::info!("the core file is not whole: its limit is {limit} bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u64, size: u64) -> Segment {
        Segment { span: start..start + 0x3000, prot: Prot::READ | Prot::EXEC, size, look: Look::Present }
    }
    fn quad(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
    }
    fn half(bytes: &[u8], at: usize) -> u16 {
        quad(bytes, at) as u16
    }

    #[test]
    fn headers_say_where_everything_is() {
        let p = plan(&[segment(0x1000, 0x3000), segment(0x8000, 0), segment(0x10000, 0x1000)], &[7; 100]);
        assert_eq!((half(&p.head, 16), half(&p.head, 18), half(&p.head, 56)), (4, 62, 5));
        assert_eq!((quad(&p.head, 32), quad(&p.head, 40), half(&p.head, 60)), (64, 0, 0));
        let header = |n: usize, field: usize| quad(&p.head, HEADER + n * PROGRAM_HEADER + 8 * field);
        // Kind and flags, offset, address; size in the file and in memory.
        assert_eq!((header(0, 0), header(0, 1), header(0, 4)), (4, 64 + 5 * 56, 100));
        assert_eq!([header(1, 0), header(1, 1), header(1, 2), header(1, 4), header(1, 5)], [1 | 5 << 32, 0x1000, 0x1000, 0x3000, 0x3000]);
        assert_eq!([header(2, 1), header(2, 2), header(2, 4), header(2, 5)], [0x4000, 0x8000, 0, 0x3000]);
        assert_eq!([header(3, 1), header(4, 1), header(4, 2)], [0x4000, 0x5000, VSYSCALL]);
        assert_eq!((p.end, p.tail.len(), p.at), (0x6000, 0, vec![0x1000, 0x4000, 0x4000]));
        assert_eq!(p.head.len(), 64 + 5 * 56 + 100);
    }

    #[test]
    fn more_segments_than_a_header_can_count() {
        let of = |n: usize| plan(&(0..n as u64).map(|n| segment(n << 16, 0)).collect::<Vec<_>>(), &[]);
        let p = of(PN_XNUM - 3);
        assert_eq!((half(&p.head, 56), p.tail.len()), (0xfffe, 0));
        let p = of(PN_XNUM + 5);
        assert_eq!((half(&p.head, 56), half(&p.head, 58), half(&p.head, 60), quad(&p.head, 40)), (0xffff, 64, 1, p.end));
        assert_eq!((quad(&p.tail, 32), quad(&p.tail, 40), p.tail.len()), (1, (PN_XNUM as u64 + 7) << 32, SECTION_HEADER));
    }

    #[test]
    fn pages_of_zeros_are_holes_and_limits_cut() {
        let path = std::env::temp_dir().join(format!("xemu-core-{}", std::process::id()));
        let name = path.as_os_str().as_encoded_bytes();
        let mut bytes = vec![0; 4 * PAGE_SIZE as usize];
        bytes[PAGE_SIZE as usize * 2..].fill(9);
        let mut out = Out { fd: file::create_core(name).unwrap(), left: PAGE_SIZE + 100 };
        assert!(put_pages(&mut out, &bytes, 0).is_err());
        assert_eq!((std::fs::metadata(&path).unwrap().len(), out.left), (3 * PAGE_SIZE, 100));
        out.left = 1 << 20;
        put_pages(&mut out, &bytes, 0).unwrap();
        assert_eq!((std::fs::read(&path).unwrap() == bytes, out.left), (true, (1 << 20) - 2 * PAGE_SIZE));
        std::fs::remove_file(&path).unwrap();
    }
}
