//! xemu's heap: size classes with free lists, in memory of our own (docs/architecture.md, invariant 2). libc's would take its memory where the guest's
//! may go, and costs ten times the instructions.
//!
//! One lock for the whole heap: the translator, its main user, runs under a lock of its own anyhow. A process of one thread does without it
//! (2 % of the instructions of a short program).

use super::arena::own_memory;
use super::{reserved, sys};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Sizes from 16 bytes on, two a power of two: 16, 24, 32, 48, 64, 96 … 65536.
const CLASSES: usize = 25;
/// Above this size each block is a mapping of its own.
const LARGEST: usize = class_size(CLASSES - 1);
/// Memory is taken from the system in pieces of this size.
const CHUNK: u64 = 1 << 20;

const fn class_size(class: usize) -> usize {
    let base = 16 << (class / 2);
    if class.is_multiple_of(2) { base } else { base + base / 2 }
}

/// Sizes up to this one find their class in a table: nearly all.
const SMALL: usize = 8192;
/// Classes of small sizes, by 16-byte steps but for the odd classes 24 and 48, which round up to such.
static SMALL_CLASS: [u8; SMALL / 16 + 1] = {
    let mut table = [0; SMALL / 16 + 1];
    let mut i = 0;
    while i < table.len() {
        table[i] = class_of(16 * i) as u8;
        i += 1;
    }
    table
};

/// The class of a layout, if it is a small one.
#[inline]
fn small_class(layout: &Layout) -> Option<usize> {
    (layout.size() <= SMALL && layout.align() <= 16).then(|| SMALL_CLASS[layout.size().div_ceil(16)] as usize)
}

/// The class of a layout that is [in a class](in_class).
fn class(layout: &Layout) -> usize {
    small_class(layout).unwrap_or_else(|| class_of(layout.size()))
}

/// The class of a size up to `LARGEST`.
const fn class_of(size: usize) -> usize {
    if size <= 16 {
        return 0;
    }
    let log = usize::BITS - 1 - (size - 1).leading_zeros();
    let base = 1usize << log;
    // (base, 1.5 base] or (1.5 base, 2 base].
    2 * (log as usize - 4) + if size <= base + base / 2 { 1 } else { 2 }
}

/// The process's heap. Developing hosts keep libc's.
#[cfg_attr(target_arch = "aarch64", global_allocator)]
pub static HEAP: Heap = Heap::new();

/// The allocator.
pub struct Heap {
    /// The process has one thread.
    alone: AtomicBool,
    locked: AtomicBool,
    free: [AtomicU64; CLASSES],
    next: AtomicU64,
    end: AtomicU64,
}

impl Heap {
    /// Without memory yet.
    #[allow(clippy::new_without_default)] // A static: there is no other way to make one.
    pub const fn new() -> Heap {
        Heap { alone: AtomicBool::new(false), locked: AtomicBool::new(false), free: [const { AtomicU64::new(0) }; CLASSES], next: AtomicU64::new(0), end: AtomicU64::new(0) }
    }

    /// To be called once at start, when there is one thread: no lock until [`Heap::shared`].
    pub fn alone(&self) {
        self.alone.store(true, Ordering::Relaxed);
    }
    /// To be called by the only thread before it makes another.
    pub fn shared(&self) {
        self.alone.store(false, Ordering::Relaxed);
    }

    fn lock(&self) {
        if self.alone.load(Ordering::Relaxed) {
            return;
        }
        while self.locked.swap(true, Ordering::Acquire) {
            // Held for tens of instructions.
            std::hint::spin_loop();
        }
    }
    fn unlock(&self) {
        self.locked.store(false, Ordering::Release);
    }

    /// Takes the lock for a fork, so that the child's heap is whole; both processes call [`Heap::end_fork`].
    pub fn begin_fork(&self) {
        self.lock();
    }
    /// Ends what `begin_fork` began.
    pub fn end_fork(&self) {
        self.unlock();
    }

    #[inline(never)]
    fn allocate(&self, layout: &Layout) -> *mut u8 {
        if !in_class(layout) {
            // Mappings are aligned to pages; nothing here asks for more.
            return if layout.align() > 4096 { std::ptr::null_mut() } else { own_memory(mapped_size(layout), libc::PROT_READ | libc::PROT_WRITE).unwrap_or(0) as *mut u8 };
        }
        self.lock();
        let at = self.take(class(layout));
        self.unlock();
        at as *mut u8
    }

    /// # Safety
    /// `block` is one that this heap gave for `layout`, and is not used any more.
    #[inline(never)]
    unsafe fn release(&self, block: *mut u8, layout: &Layout) {
        if !in_class(layout) {
            let size = mapped_size(layout);
            reserved::release(block as u64, size);
            // SAFETY: the mapping that `allocate` made.
            let _ = unsafe { sys::call(libc::SYS_munmap, [block as u64, size, 0, 0, 0, 0]) };
            return;
        }
        let class = class(layout);
        self.lock();
        // SAFETY: the caller gives the block back; its first word is ours now.
        unsafe { *block.cast::<u64>() = self.free[class].load(Ordering::Relaxed) };
        self.free[class].store(block as u64, Ordering::Relaxed);
        self.unlock();
    }

    fn take(&self, class: usize) -> u64 {
        let head = self.free[class].load(Ordering::Relaxed);
        if head != 0 {
            // SAFETY: a free block holds the address of the next one in its first word.
            let next = unsafe { *(head as *const u64) };
            self.free[class].store(next, Ordering::Relaxed);
            return head;
        }
        // Multiples of 16 keep every block aligned as libc's malloc would.
        let size = (class_size(class) as u64 + 15) & !15;
        let mut at = self.next.load(Ordering::Relaxed);
        if at + size > self.end.load(Ordering::Relaxed) {
            // The rest of the old piece is lost: less than one block of the largest class.
            match own_memory(CHUNK, libc::PROT_READ | libc::PROT_WRITE) {
                Ok(piece) => at = piece,
                Err(_) => return 0,
            }
            self.end.store(at + CHUNK, Ordering::Relaxed);
        }
        self.next.store(at + size, Ordering::Relaxed);
        at
    }
}

/// Size to allocate for a layout, so that its alignment comes out right: classes that are powers of two are not aligned to their size, so
/// larger alignments than 16 get a mapping of their own.
fn in_class(layout: &Layout) -> bool {
    layout.size() <= LARGEST && layout.align() <= 16
}

fn mapped_size(layout: &Layout) -> u64 {
    (layout.size() as u64 + 0xffff) & !0xffff
}

// SAFETY: blocks of one class never overlap, are aligned to 16 and at least as large as asked for; larger ones are mappings of their own.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        let at = unsafe { self.alloc(layout) };
        // A mapping of its own is zero, and takes no memory before it is written.
        if in_class(&layout) && !at.is_null() {
            // SAFETY: just allocated for `layout`.
            unsafe { at.write_bytes(0, layout.size()) };
        }
        at
    }
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // The common case in a dozen instructions: translation asks for thousands of blocks.
        if let Some(class) = small_class(&layout)
            && self.alone.load(Ordering::Relaxed)
        {
            let head = self.free[class].load(Ordering::Relaxed);
            if head != 0 {
                // SAFETY: a free block holds the address of the next one in its first word.
                self.free[class].store(unsafe { *(head as *const u64) }, Ordering::Relaxed);
                return head as *mut u8;
            }
        }
        self.allocate(&layout)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(class) = small_class(&layout)
            && self.alone.load(Ordering::Relaxed)
        {
            // SAFETY: the caller gives the block back; its first word is ours now.
            unsafe { *block.cast::<u64>() = self.free[class].load(Ordering::Relaxed) };
            self.free[class].store(block as u64, Ordering::Relaxed);
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { self.release(block, &layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = Layout::from_size_align(new_size, layout.align()).unwrap_or(layout);
        if in_class(&layout) && in_class(&new) && class(&layout) == class(&new) {
            return block;
        }
        // SAFETY: a new block, the smaller of both sizes copied, the old one given back.
        unsafe {
            let to = self.alloc(new);
            if !to.is_null() {
                std::ptr::copy_nonoverlapping(block, to, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_its_class_and_no_smaller_one() {
        for size in 1..=LARGEST {
            let class = class_of(size);
            assert!(class_size(class) >= size, "{size}");
            assert!(class == 0 || class_size(class - 1) < size, "{size}");
        }
    }

    #[test]
    fn blocks_are_aligned_apart_and_reused() {
        let heap = Heap::new();
        let layout = Layout::from_size_align(24, 8).unwrap();
        // SAFETY: allocated and freed with the same layout.
        unsafe {
            let (a, b) = (heap.alloc(layout), heap.alloc(layout));
            assert!(a as usize % 16 == 0 && b as usize % 16 == 0 && (b as usize).abs_diff(a as usize) >= 24);
            heap.dealloc(a, layout);
            assert_eq!(heap.alloc(layout), a);
            let big = Layout::from_size_align(200_000, 16).unwrap();
            let c = heap.alloc(big);
            c.write_bytes(1, 200_000);
            let d = heap.realloc(c, big, 400_000);
            assert_eq!(*d.add(199_999), 1);
            heap.dealloc(d, Layout::from_size_align(400_000, 16).unwrap());
        }
    }
}
