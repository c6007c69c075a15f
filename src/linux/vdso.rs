//! The x86_64 vdso: a small ELF image, laid out at compile time, that libraries find by AT_SYSINFO_EHDR.
//!
//! Every function makes the system call of its name; the names and the version are the kernel's (arch/x86/entry/vdso/vdso.lds.S).

use super::memory::{Mm, Place, Prot, Request, vma::Kind};
use crate::guest::Addr;
use crate::host::copy;
use crate::host::sys::Errno;

/// Functions: name without `__vdso_`, and the number of the system call.
const FUNCTIONS: [(&str, u32); 5] = [("clock_gettime", 228), ("gettimeofday", 96), ("time", 201), ("getcpu", 309), ("clock_getres", 229)];
/// Global symbols: each function under two names.
const SYMBOLS: usize = FUNCTIONS.len() * 2;

const SONAME: &str = "linux-vdso.so.1";
const VERSION: &str = "LINUX_2.6";
const PREFIX: &str = "__vdso_";

/// `mov eax, N; syscall; ret`, padded.
const STUB_SIZE: usize = 16;

const SIZE: usize = 4096;
const PHDRS: usize = 64;
const PHDR_COUNT: usize = 3;
const DYNAMIC: usize = PHDRS + PHDR_COUNT * 56;
const DYNAMIC_COUNT: usize = 10;
const SYMTAB: usize = DYNAMIC + DYNAMIC_COUNT * 16;
const HASH: usize = SYMTAB + (SYMBOLS + 1) * 24;
const HASH_SIZE: usize = (2 + 1 + SYMBOLS + 1) * 4;
const VERSYM: usize = HASH + HASH_SIZE;
const VERDEF: usize = (VERSYM + (SYMBOLS + 1) * 2 + 7) & !7;
const VERDEF_SIZE: usize = 2 * (20 + 8);
const STRTAB: usize = VERDEF + VERDEF_SIZE;
const STRTAB_SIZE: usize = strings_size();
const TEXT: usize = (STRTAB + STRTAB_SIZE + 15) & !15;

const fn strings_size() -> usize {
    let mut size = 1 + SONAME.len() + 1 + VERSION.len() + 1;
    let mut n = 0;
    while n < FUNCTIONS.len() {
        // The short name is the tail of the long one.
        size += PREFIX.len() + FUNCTIONS[n].0.len() + 1;
        n += 1;
    }
    size
}

/// The classic ELF hash.
const fn elf_hash(name: &str) -> u32 {
    let (mut h, mut n) = (0u32, 0);
    while n < name.len() {
        h = (h << 4).wrapping_add(name.as_bytes()[n] as u32);
        let g = h & 0xf000_0000;
        h = (h ^ (g >> 24)) & !g;
        n += 1;
    }
    h
}

struct Writer {
    bytes: [u8; SIZE],
}

impl Writer {
    const fn put(&mut self, at: usize, value: u64, size: usize) {
        let mut n = 0;
        while n < size {
            self.bytes[at + n] = (value >> (8 * n)) as u8;
            n += 1;
        }
    }
    const fn text(&mut self, at: usize, s: &str) -> usize {
        let mut n = 0;
        while n < s.len() {
            self.bytes[at + n] = s.as_bytes()[n];
            n += 1;
        }
        at + s.len()
    }
    const fn program_header(&mut self, n: usize, kind: u64, flags: u64, at: usize, size: usize, align: u64) {
        let p = PHDRS + n * 56;
        self.put(p, kind, 4);
        self.put(p + 4, flags, 4);
        self.put(p + 8, at as u64, 8);
        self.put(p + 16, at as u64, 8);
        self.put(p + 24, at as u64, 8);
        self.put(p + 32, size as u64, 8);
        self.put(p + 40, size as u64, 8);
        self.put(p + 48, align, 8);
    }
    const fn dynamic(&mut self, n: usize, tag: u64, value: u64) {
        self.put(DYNAMIC + n * 16, tag, 8);
        self.put(DYNAMIC + n * 16 + 8, value, 8);
    }
    const fn symbol(&mut self, n: usize, name: usize, binding: u64, value: usize) {
        let s = SYMTAB + n * 24;
        self.put(s, name as u64, 4);
        self.put(s + 4, binding << 4 | 2, 1);
        // Any defined section: there is no section table.
        self.put(s + 6, 1, 2);
        self.put(s + 8, value as u64, 8);
        self.put(s + 16, STUB_SIZE as u64, 8);
        self.put(VERSYM + n * 2, 2, 2);
    }
    const fn version(&mut self, at: usize, flags: u64, index: u64, name: &str, name_at: usize, next: u64) {
        self.put(at, 1, 2);
        self.put(at + 2, flags, 2);
        self.put(at + 4, index, 2);
        self.put(at + 6, 1, 2);
        self.put(at + 8, elf_hash(name) as u64, 4);
        self.put(at + 12, 20, 4);
        self.put(at + 16, next, 4);
        self.put(at + 20, name_at as u64, 4);
    }
}

const fn build() -> [u8; SIZE] {
    let mut w = Writer { bytes: [0; SIZE] };
    w.text(0, "\x7fELF\x02\x01\x01");
    w.put(16, 3, 2);
    w.put(18, 62, 2);
    w.put(20, 1, 4);
    w.put(24, TEXT as u64, 8);
    w.put(32, PHDRS as u64, 8);
    w.put(52, 64, 2);
    w.put(54, 56, 2);
    w.put(56, PHDR_COUNT as u64, 2);
    w.put(58, 64, 2);
    w.program_header(0, 1, 5, 0, TEXT + FUNCTIONS.len() * STUB_SIZE, 4096);
    w.program_header(1, 2, 4, DYNAMIC, DYNAMIC_COUNT * 16, 8);
    // PT_GNU_STACK: none executable.
    w.program_header(2, 0x6474_e551, 6, 0, 0, 16);

    // Strings: an empty one, the names of the object and the version, then the functions'.
    let soname = 1;
    let version = soname + SONAME.len() + 1;
    let mut at = STRTAB + soname;
    at = w.text(at, SONAME) + 1;
    at = w.text(at, VERSION) + 1;

    // One bucket: the chain runs through all symbols from the last to the first.
    w.put(HASH, 1, 4);
    w.put(HASH + 4, SYMBOLS as u64 + 1, 4);
    w.put(HASH + 8, SYMBOLS as u64, 4);
    let mut n = 0;
    while n < FUNCTIONS.len() {
        let (name, number) = FUNCTIONS[n];
        let stub = TEXT + n * STUB_SIZE;
        let name_at = at - STRTAB;
        at = w.text(at, PREFIX);
        at = w.text(at, name) + 1;
        // Strong with the prefix, weak without.
        w.symbol(1 + 2 * n, name_at, 1, stub);
        w.symbol(2 + 2 * n, name_at + PREFIX.len(), 2, stub);
        let chain = HASH + 12;
        w.put(chain + (1 + 2 * n) * 4, 2 * n as u64, 4);
        w.put(chain + (2 + 2 * n) * 4, 1 + 2 * n as u64, 4);
        // mov eax, imm32; syscall; ret
        w.put(stub, 0xb8, 1);
        w.put(stub + 1, number as u64, 4);
        w.put(stub + 5, 0xc3_050f, 3);
        let mut pad = stub + 8;
        while pad < stub + STUB_SIZE {
            w.bytes[pad] = 0xcc;
            pad += 1;
        }
        n += 1;
    }
    w.version(VERDEF, 1, 1, SONAME, soname, 28);
    w.version(VERDEF + 28, 0, 2, VERSION, version, 0);

    w.dynamic(0, 14, soname as u64); // DT_SONAME
    w.dynamic(1, 4, HASH as u64); // DT_HASH
    w.dynamic(2, 5, STRTAB as u64); // DT_STRTAB
    w.dynamic(3, 6, SYMTAB as u64); // DT_SYMTAB
    w.dynamic(4, 10, STRTAB_SIZE as u64); // DT_STRSZ
    w.dynamic(5, 11, 24); // DT_SYMENT
    w.dynamic(6, 0x6fff_fff0, VERSYM as u64); // DT_VERSYM
    w.dynamic(7, 0x6fff_fffc, VERDEF as u64); // DT_VERDEF
    w.dynamic(8, 0x6fff_fffd, 2); // DT_VERDEFNUM
    w.bytes
}

/// The image, one page.
pub static IMAGE: [u8; SIZE] = build();

/// Maps the image into a guest; its address goes to AT_SYSINFO_EHDR.
pub fn map(mm: &Mm) -> Result<Addr, Errno> {
    let at = mm.map(&Request::anonymous(Place::Anywhere, SIZE as u64, Prot::READ | Prot::WRITE, Kind::Vdso))?;
    let used = TEXT + FUNCTIONS.len() * STUB_SIZE;
    copy::write_bytes(at, &IMAGE[..used]).map_err(|_| Errno(libc::EFAULT))?;
    mm.protect(at, SIZE as u64, (Prot::READ | Prot::EXEC).bits() as u64)?;
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use goblin::elf::Elf;

    #[test]
    fn a_linker_finds_every_function() {
        let elf = Elf::parse(&IMAGE).unwrap();
        assert_eq!(elf.soname, Some(SONAME));
        let half = |at: usize| u16::from_le_bytes(IMAGE[at..at + 2].try_into().unwrap());
        let hash = u32::from_le_bytes(IMAGE[VERDEF + 36..VERDEF + 40].try_into().unwrap());
        assert_eq!((half(VERDEF + 32), hash), (2, 0x3ae75f6), "LINUX_2.6, as C libraries hash it");
        for (name, number) in FUNCTIONS {
            for full in [format!("{PREFIX}{name}"), name.to_string()] {
                let symbol = elf.dynsyms.iter().find(|s| elf.dynstrtab.get_at(s.st_name) == Some(&full)).expect(&full);
                let code = &IMAGE[symbol.st_value as usize..][..8];
                assert_eq!(code, [&[0xb8], &number.to_le_bytes()[..], &[0x0f, 0x05, 0xc3]].concat(), "{full}");
                assert!(elf.dynsyms.iter().all(|s| s.st_name == 0 || s.st_shndx != 0));
            }
        }
    }

    #[test]
    fn the_hash_chain_reaches_every_symbol() {
        let word = |at: usize| u32::from_le_bytes(IMAGE[at..at + 4].try_into().unwrap()) as usize;
        let mut seen = 0;
        let mut symbol = word(HASH + 8);
        while symbol != 0 {
            seen += 1;
            symbol = word(HASH + 12 + symbol * 4);
        }
        assert_eq!(seen, SYMBOLS);
    }
}
