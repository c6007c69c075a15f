//! The guest's address space: every guest address is chosen here, and every mapping is recorded here.
//!
//! Invariants: the host maps exactly what the areas say (write protection by the engine aside); memory of ours is never replaced,
//! because gaps between areas are claimed without replacing (`host::memory::map_new`) before anything is mapped over them.
//! Guest code need not be executable on the host: PROT_EXEC only lives in the areas.
//!
//! Lock order: the engine's locks come after ours when it asks for a page, so the engine is told of a change
//! (`invalidate`) before the lock is taken, and once more after it if another thread could have translated in between.

mod alias;
mod change;
mod grow;
mod layout;
mod remap;
pub mod vma;

pub use change::page_len;
pub use layout::{Layout, TASK_END};
use vma::{Backing, Kind, Span, Vma, VmaMap};

use crate::engine::{Engine, PageInfo, Pages};
use crate::guest::Addr;
use crate::guest::addr::PAGE_SIZE;
use crate::host::memory::{self as host, flags};
use crate::host::sys::Errno;
use crate::host::{copy, file};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

bitflags::bitflags! {
    /// What a guest may do with a page (PROT_* of mmap(2)).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Prot: u8 {
        /// PROT_READ
        const READ = 1;
        /// PROT_WRITE
        const WRITE = 2;
        /// PROT_EXEC
        const EXEC = 4;
    }
}

impl Prot {
    /// The host's protection: no PROT_EXEC; what x86 can write or execute it can read.
    fn host(self) -> u64 {
        let read = if self.is_empty() { 0 } else { 1 };
        read | (self & Prot::WRITE).bits() as u64
    }
}

/// Where a new mapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where xemu likes.
    Anywhere,
    /// There if it is free, else anywhere.
    Hint(Addr),
    /// Exactly there, in place of what is there (MAP_FIXED).
    Fixed(Addr),
    /// Exactly there, EEXIST if something is (MAP_FIXED_NOREPLACE).
    New(Addr),
    /// Below 2 GiB (MAP_32BIT).
    Low,
}

/// A mapping to be made.
pub struct Request {
    /// Where.
    pub place: Place,
    /// Bytes; a multiple of the page size, not zero.
    pub len: u64,
    /// Protection for the guest.
    pub prot: Prot,
    /// Host mmap flags, without the placement flags.
    pub flags: u64,
    /// File descriptor, -1 for anonymous memory.
    pub fd: i32,
    /// Offset into the file.
    pub offset: u64,
    /// What the area is shown as; `None` finds out by the descriptor.
    pub kind: Option<Kind>,
}

impl Request {
    /// Private anonymous memory.
    pub fn anonymous(place: Place, len: u64, prot: Prot, kind: Kind) -> Request {
        Request { place, len, prot, flags: flags::PRIVATE | flags::ANONYMOUS | flags::NORESERVE, fd: -1, offset: 0, kind: Some(kind) }
    }
}

/// The program break and its limits.
#[derive(Clone, Copy, Default)]
struct Break {
    start: u64,
    current: u64,
}

struct Inner {
    areas: VmaMap,
    /// Ranges where the host turned out to have something: only avoided when choosing, start to end.
    blocked: BTreeMap<u64, u64>,
    layout: Layout,
    brk: Break,
    /// RLIMIT_AS as the guest set it, in bytes.
    limit: u64,
    /// RLIMIT_DATA likewise.
    data_limit: u64,
    /// mlockall(MCL_FUTURE): flags for mlock2 on new areas.
    lock_new: Option<u64>,
    /// READ_IMPLIES_EXEC personality.
    read_implies_exec: bool,
}

/// A guest's address space.
pub struct Mm {
    inner: RwLock<Inner>,
    engine: OnceLock<&'static Engine>,
    threaded: AtomicBool,
    /// Code was translated from a shared mapping: see `alias`.
    shared_code: AtomicBool,
}

impl Pages for Mm {
    fn area(&self, addr: Addr) -> Option<(Span, PageInfo)> {
        let inner = self.read();
        let (span, vma) = inner.areas.find(addr.0)?;
        let info = PageInfo {
            readable: !vma.prot.is_empty(),
            writable: vma.prot.contains(Prot::WRITE),
            executable: vma.prot.contains(Prot::EXEC),
            shared: vma.shared,
        };
        Some((span, info))
    }

    fn aliases(&self, addr: Addr) -> Vec<Addr> {
        self.writable_views(addr)
    }
}

impl Mm {
    /// An empty address space.
    pub fn new(layout: Layout) -> Mm {
        let inner = Inner {
            areas: VmaMap::default(),
            blocked: BTreeMap::new(),
            layout,
            brk: Break::default(),
            limit: u64::MAX,
            data_limit: u64::MAX,
            lock_new: None,
            read_implies_exec: false,
        };
        Mm { inner: RwLock::new(inner), engine: OnceLock::new(), threaded: AtomicBool::new(false), shared_code: AtomicBool::new(false) }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(|e| e.into_inner())
    }
    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(|e| e.into_inner())
    }

    /// The engine that must hear of changes. Set once, before guest code runs.
    pub fn set_engine(&self, engine: &'static Engine) {
        let _ = self.engine.set(engine);
    }

    /// More than one guest thread from now on.
    pub fn set_threaded(&self) {
        self.threaded.store(true, Ordering::Release);
    }

    /// Runs `make_child` (a host fork) while nobody changes the address space.
    pub fn with_lock_held<T>(&self, make_child: impl FnOnce() -> T) -> T {
        let _guard = self.write();
        make_child()
    }

    /// Changes what lies in `span`: tells the engine, then runs `change` under the lock.
    fn change<T>(&self, span: Span, change: impl FnOnce(&mut Inner) -> T) -> T {
        let len = span.end.saturating_sub(span.start);
        let engine = self.engine.get().filter(|_| len != 0);
        if let Some(engine) = engine {
            engine.about_to_change(Addr(span.start), len);
        }
        let result = change(&mut self.write());
        if let Some(engine) = engine
            && self.threaded.load(Ordering::Acquire)
        {
            engine.invalidate(Addr(span.start), len);
        }
        result
    }

    /// Makes a mapping; its address is returned. Errors as mmap(2).
    pub fn map(&self, request: &Request) -> Result<Addr, Errno> {
        let kind = match &request.kind {
            Some(kind) => kind.clone(),
            None => request_kind(request)?,
        };
        if request.prot.contains(Prot::EXEC) && request.fd >= 0 && file::is_noexec(request.fd) {
            return Err(Errno(libc::EPERM));
        }
        let private = request.flags & flags::TYPE == flags::PRIVATE;
        if !private && !(request.fd >= 0 && !request.prot.contains(Prot::WRITE) && file::is_plain_reading(request.fd)) {
            self.observed();
        }
        let affected = match request.place {
            Place::Fixed(at) => at.0..at.0.saturating_add(request.len),
            _ => 0..0,
        };
        let at = self.change(affected, |inner| inner.map(request, kind))?;
        if !private {
            self.view_appeared(at.0..at.0 + request.len);
        }
        Ok(at)
    }

    /// Memory is going to be seen by others: accesses must be ordered before it is. (A file on disk opened for reading only is exempt.)
    pub fn observed(&self) {
        if let Some(engine) = self.engine.get() {
            engine.set_ordered();
        }
    }

    /// The layout this address space was made with.
    pub fn layout(&self) -> Layout {
        self.read().layout.clone()
    }

    /// READ_IMPLIES_EXEC: PROT_READ asked for by mmap and mprotect means PROT_EXEC too.
    pub fn set_read_implies_exec(&self, on: bool) {
        self.write().read_implies_exec = on;
    }
    /// Is READ_IMPLIES_EXEC on?
    pub fn read_implies_exec(&self) -> bool {
        self.read().read_implies_exec
    }

    /// Sets the guest's RLIMIT_AS (bytes).
    pub fn set_limit(&self, bytes: u64) {
        self.write().limit = bytes;
    }
    /// Sets the guest's RLIMIT_DATA (bytes).
    pub fn set_data_limit(&self, bytes: u64) {
        self.write().data_limit = bytes;
    }

    /// Runs `f` on every area, upwards.
    pub fn for_each(&self, mut f: impl FnMut(Span, &Vma)) {
        for (span, vma) in self.read().areas.iter() {
            f(span, vma);
        }
    }
    /// Total size of the guest's mappings in bytes.
    pub fn total(&self) -> u64 {
        self.read().areas.total()
    }

    /// Starts the program break's area at `start` (page-aligned by the caller).
    pub fn set_brk_start(&self, start: Addr) {
        self.write().brk = Break { start: start.0, current: start.0 };
    }
    /// Where the program break's area starts.
    pub fn brk_start(&self) -> Addr {
        Addr(self.read().brk.start)
    }
}

impl Inner {
    fn map(&mut self, request: &Request, kind: Kind) -> Result<Addr, Errno> {
        let len = request.len;
        let replaced = match request.place {
            Place::Fixed(at) => self.areas.within(at.0..at.0.saturating_add(len)).map(|(s, _)| s.end - s.start).sum(),
            _ => 0,
        };
        if !self.grow_allowed(len.saturating_sub(replaced)) {
            return Err(Errno(libc::ENOMEM));
        }
        let mut prot = request.prot;
        if self.read_implies_exec && prot.contains(Prot::READ) {
            prot |= Prot::EXEC;
        }
        let map_at = |at: u64| host::map_new(at, len, prot.host(), request.flags, request.fd, request.offset);
        let at = match request.place {
            Place::Fixed(at) => {
                self.map_fixed(at.0, request, prot)?;
                at.0
            }
            Place::New(at) => {
                let at = at.0;
                self.layout.check(at, len)?;
                if !self.areas.is_free(at..at + len) {
                    return Err(Errno(libc::EEXIST));
                }
                map_at(at)?;
                at
            }
            place => self.choose(place, len, request.flags, map_at)?,
        };
        let shared = matches!(request.flags & flags::TYPE, flags::SHARED | flags::SHARED_VALIDATE);
        // A new object of shared memory starts at 0, whatever the guest said.
        let offset = if matches!(kind, Kind::File(_)) && request.flags & flags::ANONYMOUS == 0 { request.offset } else { 0 };
        self.areas.insert(at..at + len, Vma { prot, shared, segment: false, undumped: false, kind, offset });
        if let Some(how) = self.lock_new {
            // As the kernel: a mapping that cannot be locked is there nevertheless.
            let _ = host::lock(at, len, how);
        }
        Ok(Addr(at))
    }

    /// MAP_FIXED: what the guest has there goes; what is not the guest's must be free on the host too.
    fn map_fixed(&mut self, at: u64, request: &Request, prot: Prot) -> Result<(), Errno> {
        self.layout.check(at, request.len)?;
        let span = at..at + request.len;
        let gaps = self.areas.gaps(span.clone());
        if gaps.first() == Some(&span) {
            let r = host::map_new(at, request.len, prot.host(), request.flags, request.fd, request.offset);
            return r.map_err(occupied);
        }
        self.claim(&gaps)?;
        let r = host::map_over(at, request.len, prot.host(), request.flags, request.fd, request.offset);
        if r.is_err() {
            release(&gaps);
        }
        r
    }

    /// Takes gaps from the host, all or none. ENOMEM if something of the host's is there.
    fn claim(&self, gaps: &[Span]) -> Result<(), Errno> {
        let how = flags::PRIVATE | flags::ANONYMOUS | flags::NORESERVE;
        for (n, gap) in gaps.iter().enumerate() {
            if let Err(e) = host::map_new(gap.start, gap.end - gap.start, 0, how, -1, 0) {
                release(&gaps[..n]);
                return Err(occupied(e));
            }
        }
        Ok(())
    }

    /// Chooses an address for `len` bytes and runs `take` there; where the host has something already (`take` says EEXIST),
    /// goes on further down, in growing steps, and remembers.
    fn choose(&mut self, place: Place, len: u64, how: u64, mut take: impl FnMut(u64) -> Result<(), Errno>) -> Result<u64, Errno> {
        const FIRST_STEP: u64 = 1 << 20;
        const ATTEMPTS: u32 = 40;
        let align = if how & flags::HUGETLB != 0 { 2 << 20 } else { PAGE_SIZE };
        if let Place::Hint(at) = place {
            let at = at.0 & !(align - 1);
            if at != 0 && self.layout.check(at, len).is_ok() && at >= self.layout.lowest && self.areas.is_free(at..at + len) {
                match take(at) {
                    Err(Errno(libc::EEXIST)) => {}
                    r => return r.map(|()| at),
                }
            }
        }
        for attempt in 0..ATTEMPTS {
            let at = match place {
                Place::Low => self.areas.place_above(self.layout.low.clone(), len, align, &self.blocked),
                _ => {
                    let (main, rest) = (self.layout.lowest..self.layout.mmap_base, self.layout.lowest..self.layout.end);
                    let below = self.areas.place_below(main, len, align, &self.blocked);
                    below.or_else(|| self.areas.place_below(rest, len, align, &self.blocked))
                }
            };
            let at = at.ok_or(Errno(libc::ENOMEM))?;
            match take(at) {
                Err(Errno(libc::EEXIST)) => self.block(at, len, FIRST_STEP << (attempt / 2)),
                r => return r.map(|()| at),
            }
        }
        Err(Errno(libc::ENOMEM))
    }

    /// Remembers that the host has something within `len` bytes at `at`.
    fn block(&mut self, at: u64, len: u64, step: u64) {
        let start = at.saturating_sub(step);
        let mut end = at + len;
        let touching: Vec<u64> = self.blocked.range(start..=end).map(|b| *b.0).collect();
        for s in touching {
            end = end.max(self.blocked.remove(&s).unwrap_or(0));
        }
        match self.blocked.range_mut(..start).next_back() {
            Some((_, e)) if *e >= start => *e = (*e).max(end),
            _ => drop(self.blocked.insert(start, end)),
        }
    }
}

/// Something that is not the guest's lies where the guest wants to map: there is no memory for it.
fn occupied(e: Errno) -> Errno {
    if e == Errno(libc::EEXIST) { Errno(libc::ENOMEM) } else { e }
}

fn release(gaps: &[Span]) {
    for gap in gaps {
        let _ = host::unmap(gap.start, gap.end - gap.start);
    }
}

/// What mappings of a file are shown as.
pub fn backing(fd: i32) -> Result<Kind, Errno> {
    let st = file::fstat(fd)?;
    let path = file::path_of(fd).unwrap_or_default();
    Ok(Kind::File(Arc::new(Backing { dev: st.st_dev, inode: st.st_ino, path })))
}

/// What a new mapping is shown as.
fn request_kind(request: &Request) -> Result<Kind, Errno> {
    if request.flags & flags::ANONYMOUS != 0 {
        let shared = request.flags & flags::TYPE != flags::PRIVATE;
        return Ok(if shared { Kind::File(Arc::new(Backing::shared_memory())) } else { Kind::Anonymous });
    }
    backing(request.fd)
}

/// Zeroes guest memory. Errors: the part behind a fault is left as it is.
pub fn zero(start: Addr, len: u64) -> Result<(), copy::Fault> {
    let zeros = [0u8; PAGE_SIZE as usize];
    let mut done = 0;
    while done < len {
        let n = (len - done).min(PAGE_SIZE);
        copy::write_bytes(start.plus(done), &zeros[..n as usize])?;
        done += n;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
