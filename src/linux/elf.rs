//! What the loader must know of an ELF file: header and program headers, checked. Pure: bytes in, facts or [`ElfError`] out.

use super::memory::TASK_END;
use crate::guest::addr::PAGE_SIZE;
use goblin::elf64::header::{self, Header, SIZEOF_EHDR};
use goblin::elf64::program_header::{self as ph, ProgramHeader, SIZEOF_PHDR};
use std::fmt;

/// Why a file is not a program for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// No ELF magic.
    NotElf,
    /// ELF, but 32-bit.
    Class32,
    /// Another machine's (its e_machine).
    Machine(u16),
    /// Neither ET_EXEC nor ET_DYN (its e_type).
    Type(u16),
    /// The file ends before its headers or segments do.
    Truncated,
    /// Headers that no kernel would accept: what is wrong.
    Malformed(&'static str),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ElfError::NotElf => write!(f, "not an ELF program"),
            ElfError::Class32 => write!(f, "a 32-bit program; only x86_64 programs are run"),
            ElfError::Machine(m) => write!(f, "a program for machine {} ({m}), not x86_64", header::machine_to_str(*m)),
            ElfError::Type(t) => write!(f, "ELF file of type {} is not a program", header::et_to_str(*t)),
            ElfError::Truncated => write!(f, "truncated ELF file"),
            ElfError::Malformed(what) => write!(f, "malformed ELF file: {what}"),
        }
    }
}

/// A PT_LOAD segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are elf(5)'s.
pub struct Segment {
    pub vaddr: u64,
    pub memsz: u64,
    pub offset: u64,
    pub filesz: u64,
    pub align: u64,
    pub readable: bool,
    pub writable: bool,
    pub executable: bool,
}

/// A checked x86_64 program or shared object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// ET_DYN: may be loaded anywhere.
    pub relocatable: bool,
    /// Entry point, before relocation.
    pub entry: u64,
    /// Address of the program headers in memory, before relocation; 0 if they are in no segment.
    pub headers_vaddr: u64,
    /// Number of program headers.
    pub header_count: u64,
    /// PT_LOAD segments, in the file's order: upwards in a sound file.
    pub segments: Vec<Segment>,
    /// PT_INTERP: offset and length in the file.
    pub interpreter: Option<(u64, u64)>,
    /// PT_GNU_STACK asks for an executable stack.
    pub executable_stack: bool,
}

/// Start and length of the program headers in the file: they may lie behind what was read first.
pub fn headers_span(head: &[u8]) -> Result<(u64, usize), ElfError> {
    let h = file_header(head)?;
    Ok((h.e_phoff, h.e_phnum as usize * SIZEOF_PHDR))
}

#[repr(align(8))]
struct Aligned([u8; SIZEOF_EHDR]);

fn file_header(head: &[u8]) -> Result<Header, ElfError> {
    if !head.starts_with(header::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    let bytes = head.first_chunk::<SIZEOF_EHDR>().ok_or(ElfError::Truncated)?;
    let h = *Header::from_bytes(&Aligned(*bytes).0);
    // The kernel looks at neither class nor byte order, only at what follows from them (load_elf_binary() in fs/binfmt_elf.c).
    let class32 = h.e_ident[header::EI_CLASS] == header::ELFCLASS32;
    if h.e_machine == header::EM_386 || class32 && h.e_phentsize as usize != SIZEOF_PHDR {
        return Err(ElfError::Class32);
    }
    if h.e_machine != header::EM_X86_64 {
        return Err(ElfError::Machine(h.e_machine));
    }
    if h.e_type != header::ET_EXEC && h.e_type != header::ET_DYN {
        return Err(ElfError::Type(h.e_type));
    }
    if h.e_phentsize as usize != SIZEOF_PHDR {
        return Err(ElfError::Malformed("size of program headers"));
    }
    // The kernel's limit: 64 KiB of program headers.
    if h.e_phnum == 0 || h.e_phnum as usize * SIZEOF_PHDR > 65536 {
        return Err(ElfError::Malformed("number of program headers"));
    }
    Ok(h)
}

/// Checks a file by its first bytes (at least 64) and its program headers (`headers`, as [`headers_span`] says).
pub fn parse(head: &[u8], headers: &[u8]) -> Result<Elf, ElfError> {
    let h = file_header(head)?;
    let count = h.e_phnum as usize;
    if headers.len() < count * SIZEOF_PHDR {
        return Err(ElfError::Truncated);
    }
    let mut elf = Elf {
        relocatable: h.e_type == header::ET_DYN,
        entry: h.e_entry,
        headers_vaddr: 0,
        header_count: count as u64,
        segments: Vec::with_capacity(4),
        interpreter: None,
        executable_stack: false,
    };
    for p in ProgramHeader::from_bytes(headers, count) {
        match p.p_type {
            ph::PT_LOAD => elf.add_segment(&p)?,
            ph::PT_INTERP if elf.interpreter.is_none() => {
                // The kernel's limits: a path of at most PATH_MAX with its NUL.
                if p.p_filesz < 2 || p.p_filesz > 4096 {
                    return Err(ElfError::Malformed("interpreter path"));
                }
                elf.interpreter = Some((p.p_offset, p.p_filesz));
            }
            ph::PT_GNU_STACK => elf.executable_stack = p.p_flags & ph::PF_X != 0,
            _ => {}
        }
    }
    if elf.segments.is_empty() {
        return Err(ElfError::Malformed("nothing to load"));
    }
    // As the kernel: the last segment that holds their offset says where the headers are, whatever PT_PHDR says.
    let holds = |s: &&Segment| s.offset <= h.e_phoff && h.e_phoff - s.offset < s.filesz;
    elf.headers_vaddr = elf.segments.iter().rev().find(holds).map_or(0, |s| h.e_phoff - s.offset + s.vaddr);
    Ok(elf)
}

impl Elf {
    fn add_segment(&mut self, p: &ProgramHeader) -> Result<(), ElfError> {
        if p.p_memsz == 0 {
            return Ok(());
        }
        if p.p_filesz > p.p_memsz {
            return Err(ElfError::Malformed("segment larger in the file than in memory"));
        }
        if p.p_vaddr >= TASK_END || p.p_memsz > TASK_END - p.p_vaddr || p.p_offset.checked_add(p.p_filesz).is_none() {
            return Err(ElfError::Malformed("segment address"));
        }
        if p.p_filesz != 0 && p.p_offset % PAGE_SIZE != p.p_vaddr % PAGE_SIZE {
            return Err(ElfError::Malformed("a segment's offset and address disagree"));
        }
        self.segments.push(Segment {
            vaddr: p.p_vaddr,
            memsz: p.p_memsz,
            offset: p.p_offset,
            filesz: p.p_filesz,
            align: p.p_align,
            readable: p.p_flags & ph::PF_R != 0,
            writable: p.p_flags & ph::PF_W != 0,
            executable: p.p_flags & ph::PF_X != 0,
        });
        Ok(())
    }

    /// First and last address of all segments (not rounded).
    pub fn extent(&self) -> (u64, u64) {
        let first = self.segments.iter().map(|s| s.vaddr).min().unwrap_or(0);
        (first, self.segments.iter().map(|s| s.vaddr + s.memsz).max().unwrap_or(first))
    }

    /// The largest segment alignment, at least a page. One that is no power of two is passed over, as the kernel does (maximum_alignment()
    /// in fs/binfmt_elf.c), and so is one that no address of the guest has.
    pub fn align(&self) -> u64 {
        self.segments.iter().map(|s| s.align).filter(|a| a.is_power_of_two() && *a < TASK_END).fold(PAGE_SIZE, u64::max)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An ELF file of one header and the given program headers: (type, flags, offset, vaddr, filesz, memsz).
    pub fn image(kind: u16, machine: u16, headers: &[(u32, u32, u64, u64, u64, u64)]) -> Vec<u8> {
        let mut b = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        b.extend(kind.to_le_bytes());
        b.extend(machine.to_le_bytes());
        b.extend(1u32.to_le_bytes());
        for v in [0x401000u64, 64, 0] {
            b.extend(v.to_le_bytes());
        }
        b.extend(0u32.to_le_bytes());
        for v in [64u16, 56, headers.len() as u16, 0, 0, 0] {
            b.extend(v.to_le_bytes());
        }
        for &(t, flags, offset, vaddr, filesz, memsz) in headers {
            b.extend(t.to_le_bytes());
            b.extend(flags.to_le_bytes());
            for v in [offset, vaddr, vaddr, filesz, memsz, 4096] {
                b.extend(v.to_le_bytes());
            }
        }
        b
    }

    fn check(bytes: &[u8]) -> Result<Elf, ElfError> {
        let (at, len) = headers_span(bytes)?;
        parse(bytes, bytes.get(at as usize..at as usize + len).unwrap_or(&[]))
    }

    #[test]
    fn reads_segments_and_interpreter() {
        let elf = check(&image(3, 62, &[(3, 4, 0x200, 0x200, 28, 28), (1, 5, 0, 0, 0x500, 0x500), (1, 6, 0x1000, 0x2000, 8, 0x3000), (0x6474e551, 6, 0, 0, 0, 0)]))
            .unwrap();
        assert!(elf.relocatable && !elf.executable_stack);
        assert_eq!((elf.headers_vaddr, elf.interpreter, elf.extent()), (64, Some((0x200, 28)), (0, 0x5000)));
    }

    #[test]
    fn alignments_that_mean_nothing_are_passed_over() {
        let mut elf = check(&image(3, 62, &[(1, 5, 0, 0, 0x500, 0x500)])).unwrap();
        for (align, want) in [(0, 4096), (0xfff, 4096), (1 << 21, 1 << 21), (1 << 63, 4096)] {
            elf.segments[0].align = align;
            assert_eq!(elf.align(), want);
        }
    }

    #[test]
    fn takes_what_the_kernel_takes() {
        let load = (1, 5, 0, 0x400000, 0x1000, 0x1000);
        // No order of segments; the headers are where the last segment that holds them is, not where PT_PHDR says; neither class nor byte order.
        let mut odd = image(2, 62, &[load, (6, 4, 64, 0x7000, 56, 56), (1, 5, 0, 0x1000, 0x1000, 0x1000)]);
        odd[4..6].copy_from_slice(&[9, 9]);
        let elf = check(&odd).unwrap();
        assert_eq!((elf.extent(), elf.headers_vaddr), ((0x1000, 0x401000), 0x1040));
    }

    #[test]
    fn says_what_is_wrong() {
        let load = (1, 5, 0, 0x400000, 0x1000, 0x1000);
        assert_eq!(check(b"hello"), Err(ElfError::NotElf));
        assert_eq!(check(b"\x7fELF\x02\x01"), Err(ElfError::Truncated));
        assert_eq!(check(b"\x7fELF\x01\x01"), Err(ElfError::Truncated));
        assert_eq!(check(&image(2, 3, &[load])), Err(ElfError::Class32));
        assert_eq!(check(&image(2, 183, &[load])), Err(ElfError::Machine(183)));
        assert_eq!(check(&image(1, 62, &[load])), Err(ElfError::Type(1)));
        assert_eq!(check(&image(2, 62, &[])), Err(ElfError::Malformed("number of program headers")));
        assert_eq!(check(&image(2, 62, &[load])[..100]), Err(ElfError::Truncated));
        assert_eq!(check(&image(2, 62, &[(1, 5, 0, 0x400000, 2, 1)])), Err(ElfError::Malformed("segment larger in the file than in memory")));
        assert_eq!(check(&image(2, 62, &[(1, 5, 0, 1 << 47, 1, 1)])), Err(ElfError::Malformed("segment address")));
        assert_eq!(check(&image(2, 62, &[(1, 5, 0, u64::MAX - 5, 1, 100)])), Err(ElfError::Malformed("segment address")));
        assert_eq!(check(&image(2, 62, &[(7, 0, 0, 0, 0, 0)])), Err(ElfError::Malformed("nothing to load")));
        assert_eq!(check(&image(2, 62, &[(1, 5, 0x10, 0x400000, 1, 1)])), Err(ElfError::Malformed("a segment's offset and address disagree")));
    }
}
