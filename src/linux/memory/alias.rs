//! Shared mappings show one object in several places (a compiler's writable and executable views of a memfd), so code translated from one
//! view goes when another is written: by the guest (the engine protects the views that it may write), or by the kernel through a descriptor.
//!
//! Not seen: writes of other processes, and those that io_uring and AIO make through descriptors.

use super::vma::{Backing, Kind, Span, Vma};
use super::{Mm, Prot};
use crate::guest::Addr;
use crate::host::file;
use std::sync::atomic::Ordering;

/// The shared object behind an area.
fn object(vma: &Vma) -> Option<&Backing> {
    match &vma.kind {
        Kind::File(backing) if vma.shared => Some(backing),
        _ => None,
    }
}

fn same(a: &Backing, b: &Backing) -> bool {
    (a.dev, a.inode) == (b.dev, b.inode)
}

impl Mm {
    /// Pages elsewhere that show the same part of an object as the page of `addr`, and that the guest may write. Code is translated from it.
    pub(super) fn writable_views(&self, addr: Addr) -> Vec<Addr> {
        // Before the areas are looked at: who adds a view afterwards finds it set.
        self.shared_code.store(true, Ordering::SeqCst);
        if let Some(engine) = self.engine.get() {
            engine.watch_files();
        }
        let inner = self.read();
        let page = addr.page().0;
        let Some((span, vma)) = inner.areas.find(page) else { return Vec::new() };
        let Some(of) = object(vma) else { return Vec::new() };
        let offset = vma.offset + (page - span.start);
        let views = inner.areas.iter().filter(|(_, v)| v.prot.contains(Prot::WRITE) && object(v).is_some_and(|o| same(o, of)));
        let shows = views.filter(|(s, v)| (v.offset..v.offset + (s.end - s.start)).contains(&offset));
        shows.map(|(s, v)| Addr(s.start + (offset - v.offset))).filter(|a| a.0 != page).collect()
    }

    /// There may be writable views in `span` that were not there when code was translated: it has to be translated, and they protected, anew.
    pub(super) fn view_appeared(&self, span: Span) {
        if !self.shared_code.load(Ordering::SeqCst) {
            return;
        }
        let spans: Vec<Span> = {
            let inner = self.read();
            let new: Vec<_> = inner.areas.within(span).filter(|(_, v)| v.prot.contains(Prot::WRITE)).filter_map(|(_, v)| object(v)).collect();
            inner.areas.iter().filter(|(_, v)| is_code_of(v, |o| new.iter().any(|n| same(n, o)))).map(|(s, _)| s).collect()
        };
        self.forget_code(spans);
    }

    /// The kernel wrote to what descriptor `fd` is open on.
    pub fn file_written(&self, fd: i32) {
        if !self.shared_code.load(Ordering::SeqCst) {
            return;
        }
        let Ok(st) = file::fstat(fd) else { return };
        let spans: Vec<Span> = {
            let inner = self.read();
            inner.areas.iter().filter(|(_, v)| is_code_of(v, |o| (o.dev, o.inode) == (st.st_dev, st.st_ino))).map(|(s, _)| s).collect()
        };
        self.forget_code(spans);
    }

    fn forget_code(&self, spans: Vec<Span>) {
        if let Some(engine) = self.engine.get() {
            for span in spans {
                engine.invalidate(Addr(span.start), span.end - span.start);
            }
        }
    }
}

/// Can code come from this view of an object that `is_it` tells?
fn is_code_of(vma: &Vma, is_it: impl Fn(&Backing) -> bool) -> bool {
    vma.prot.contains(Prot::EXEC) && object(vma).is_some_and(is_it)
}
