//! Thread-local storage of host threads that libc does not know of.
//!
//! Guest threads are made by raw clone, but Rust's `thread_local!` and libc's `errno` work through the thread pointer in them too, so each
//! gets a block as musl lays it out for AArch64 (TLS variant 1, musl's `__copy_tls`):
//!
//! ```text
//! struct pthread | tp: 16 bytes | image of PT_TLS, initialised | its zeroed rest
//! ```
//!
//! `struct pthread` is a copy of the first thread's with the pointers into itself moved along. Its size is not ours to know: it begins at the one
//! place below tp that holds its own address three times (self, and prev and next of a list of one). Lists of threads, cancellation and
//! thread-specific data (pthread_getspecific) of libc are not to be used in such threads, and neither is std::thread.

// On developing hosts only the tests use it.
#![cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]

use std::sync::OnceLock;

/// Between tp and what local-exec code calls offset 16 (GAP_ABOVE_TP).
const GAP: u64 = 16;
/// What is needed to make a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// The first thread's tp, and the size of its struct pthread.
    tp: u64,
    pthread: u64,
    /// The initialisation image: address, bytes, bytes with the zeroed rest.
    image: u64,
    file_size: u64,
    mem_size: u64,
    /// Where the image lies above tp.
    offset: u64,
    align: u64,
}

/// Where things go in a block at `base`: (start of struct pthread, tp).
fn place(t: &Template, base: u64) -> (u64, u64) {
    let tp = (base + t.pthread + t.align - 1) & !(t.align - 1);
    (tp - t.pthread, tp)
}

impl Template {
    fn new(tp: u64, pthread: u64, segment: Segment) -> Template {
        let align = segment.align.max(16);
        // The image's address modulo its alignment is kept (lld's getTlsTpOffset, musl's static_init_tls).
        let offset = GAP + (segment.address.wrapping_sub(GAP) & (align - 1));
        Template { tp, pthread, image: segment.address, file_size: segment.file_size, mem_size: segment.mem_size, offset, align }
    }

    /// Bytes a block needs.
    pub fn size(&self) -> u64 {
        self.pthread + self.align + self.offset + self.mem_size
    }
}

/// PT_TLS, loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Segment {
    address: u64,
    file_size: u64,
    mem_size: u64,
    align: u64,
}

/// Rebases the words that point into a copied struct.
fn rebase(words: &mut [u64], old: std::ops::RangeInclusive<u64>, new: u64) {
    for w in words {
        if old.contains(w) {
            *w = *w - old.start() + new;
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod find {
    use super::*;

    /// No struct pthread is larger, in bytes.
    const LARGEST: u64 = 1024;

    unsafe extern "C" {
        // The linker's: the start of our image.
        static __ehdr_start: [u64; 8];
    }

    fn segment() -> Segment {
        const PT_TLS: u64 = 7;
        let header = &raw const __ehdr_start;
        // SAFETY: the ELF header is mapped with the first segment: e_phoff is at 32, e_phentsize and e_phnum at 54 and 56.
        let (offset, sizes) = unsafe { ((*header)[4], (*header)[7]) };
        let phoff_entry = 56u64;
        // e_phnum is the low half of the word at 56.
        let count = sizes & 0xffff;
        for i in 0..count {
            // SAFETY: program headers lie behind the ELF header, in the same segment: type and flags, offset, vaddr, paddr, filesz, memsz, align.
            let p = unsafe { &*((header as u64 + offset + i * phoff_entry) as *const [u64; 7]) };
            if p[0] & 0xffff_ffff == PT_TLS {
                return Segment { address: header as u64 + p[2], file_size: p[4], mem_size: p[5], align: p[6] };
            }
        }
        Segment { align: 1, ..Segment::default() }
    }

    /// To be called on the first thread.
    pub fn template() -> Option<Template> {
        let tp: u64;
        // SAFETY: reads the thread pointer.
        unsafe { std::arch::asm!("mrs {}, tpidr_el0", out(reg) tp, options(nomem, nostack)) };
        // SAFETY: struct pthread lies right below tp, so what is read up to its start is readable.
        let starts = |at: &u64| unsafe { (0..3).all(|n| *((*at + 8 * n) as *const u64) == *at) };
        let start = (24..=LARGEST).step_by(8).map(|n| tp - n).find(starts)?;
        Some(Template::new(tp, tp - start, segment()))
    }
}

static TEMPLATE: OnceLock<Option<Template>> = OnceLock::new();

/// Looks at the first thread's block; to be called on that thread, before others are made. None: this libc is laid out differently.
pub fn template() -> Option<&'static Template> {
    #[cfg(target_arch = "aarch64")]
    return TEMPLATE.get_or_init(find::template).as_ref();
    #[cfg(not(target_arch = "aarch64"))]
    return TEMPLATE.get_or_init(|| None).as_ref();
}

/// Makes a block at `base`; its thread pointer is returned.
///
/// # Safety
/// `base` is `Template::size` bytes of zeroed memory of ours, which outlive the thread.
pub unsafe fn build(t: &Template, base: u64) -> u64 {
    let (start, tp) = place(t, base);
    let old = t.tp - t.pthread;
    // SAFETY: the first thread's struct is alive as long as the process's memory; the block has the room by the caller's word.
    unsafe {
        std::ptr::copy_nonoverlapping(old as *const u8, start as *mut u8, t.pthread as usize);
        rebase(std::slice::from_raw_parts_mut(start as *mut u64, t.pthread as usize / 8), old..=t.tp, start);
        std::ptr::copy_nonoverlapping(t.image as *const u8, (tp + t.offset) as *mut u8, t.file_size as usize);
    }
    tp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_its_own_pointers_and_initial_values() {
        // A struct pthread of 32 bytes: self, prev, next, and something that points elsewhere.
        let image = [7u8; 24];
        let mut first = [0u64; 8];
        let start = first.as_ptr() as u64;
        first[..4].copy_from_slice(&[start, start, start, 0x1234]);
        let t = Template::new(start + 32, 32, Segment { address: image.as_ptr() as u64, file_size: 24, mem_size: 40, align: 8 });
        let mut block = vec![0u64; t.size() as usize / 8 + 1];
        let base = block.as_mut_ptr() as u64;
        // SAFETY: zeroed and large enough.
        let tp = unsafe { build(&t, base) };
        assert!(tp % 16 == 0 && tp - 32 >= base && tp + t.offset + t.mem_size <= base + t.size());
        let at = |a: u64| block[(a - base) as usize / 8];
        let new = tp - 32;
        assert_eq!([at(new), at(new + 8), at(new + 16), at(new + 24)], [new, new, new, 0x1234]);
        assert_eq!(at(tp + t.offset), 0x0707_0707_0707_0707);
        assert_eq!(at(tp + t.offset + 24), 0);
        assert_eq!((tp + t.offset) % 16, t.image % 16);
    }
}
