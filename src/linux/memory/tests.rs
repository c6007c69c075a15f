//! The address space against the developing host's kernel. Addresses lie where a test process has nothing.

use super::*;

fn space(slot: u64) -> Mm {
    let base = 0x1000_0000_0000 + slot * 0x10_0000_0000;
    let mut layout = Layout::new(8 << 20, None);
    layout.mmap_base = base + 0x8_0000_0000;
    layout.lowest = base;
    Mm::new(layout)
}

fn anon(mm: &Mm, place: Place, len: u64) -> Result<Addr, Errno> {
    mm.map(&Request::anonymous(place, len, Prot::READ | Prot::WRITE, Kind::Anonymous))
}

fn shape(mm: &Mm) -> Vec<(u64, u64, u8)> {
    let mut v = Vec::new();
    mm.for_each(|s, a| v.push((s.start, s.end - s.start, a.prot.bits())));
    v
}

#[test]
fn maps_downwards_and_reuses_holes() {
    let mm = space(0);
    let a = anon(&mm, Place::Anywhere, 0x3000).unwrap();
    let b = anon(&mm, Place::Anywhere, 0x1000).unwrap();
    assert_eq!(b.0 + 0x1000, a.0);
    copy::write(a, 7u64).unwrap();
    mm.unmap(a.plus(0x1000), 0x1000).unwrap();
    assert_eq!(anon(&mm, Place::Anywhere, 0x1000).unwrap(), a.plus(0x1000));
    assert_eq!(anon(&mm, Place::New(a), 0x1000), Err(Errno(libc::EEXIST)));
    assert_eq!(anon(&mm, Place::Hint(a), 0x1000).unwrap().0, b.0 - 0x1000);
    assert_eq!(copy::read::<u64>(a), Ok(7));
}

#[test]
fn fixed_never_replaces_what_is_not_the_guests() {
    let mm = space(1);
    let hidden = mm.layout().lowest + 0x10_0000;
    host::map_new(hidden, 0x1000, 3, flags::PRIVATE | flags::ANONYMOUS, -1, 0).unwrap();
    assert_eq!(anon(&mm, Place::Fixed(Addr(hidden)), 0x1000), Err(Errno(libc::ENOMEM)));
    assert_eq!(anon(&mm, Place::Fixed(Addr(hidden - 0x1000)), 0x3000), Err(Errno(libc::ENOMEM)));
    // Half the guest's, half free.
    let own = anon(&mm, Place::Fixed(Addr(hidden - 0x1000)), 0x1000).unwrap();
    anon(&mm, Place::Fixed(own.plus(0u64.wrapping_sub(0x1000))), 0x2000).unwrap();
    assert_eq!(shape(&mm), [(hidden - 0x2000, 0x2000, 3)]);
    mm.unmap(Addr(hidden - 0x2000), 0x10_0000).unwrap();
    host::protect(hidden, 0x1000, 1).expect("still mapped");
}

#[test]
fn choosing_goes_around_what_the_host_has() {
    let mm = space(2);
    let base = mm.layout().mmap_base;
    host::map_new(base - 0x1000, 0x1000, 3, flags::PRIVATE | flags::ANONYMOUS, -1, 0).unwrap();
    let a = anon(&mm, Place::Anywhere, 0x2000).unwrap();
    assert!(a.0 + 0x2000 <= base - 0x1000);
    assert!(anon(&mm, Place::Anywhere, 0x2000).unwrap() < a);
}

#[test]
fn protect_as_the_kernel() {
    let mm = space(3);
    let a = anon(&mm, Place::Anywhere, 0x4000).unwrap();
    mm.unmap(a.plus(0x2000), 0x1000).unwrap();
    assert_eq!(mm.protect(a.plus(1), 0x1000, 1), Err(Errno(libc::EINVAL)));
    assert_eq!(mm.protect(a, 0x4000, 1), Err(Errno(libc::ENOMEM)));
    assert_eq!(shape(&mm), [(a.0, 0x2000, 1), (a.0 + 0x3000, 0x1000, 3)]);
    mm.protect(a, 0x1000, 5).unwrap();
    assert_eq!(mm.page(a).map(|p| (p.readable, p.writable, p.executable)), Some((true, false, true)));
    assert_eq!(mm.page(a.plus(0x2000)), None);
}

#[test]
fn remap_grows_moves_and_shrinks() {
    let mm = space(4);
    let top = anon(&mm, Place::Anywhere, 0x1000).unwrap();
    let a = anon(&mm, Place::Anywhere, 0x2000).unwrap();
    mm.protect(top, 0x1000, 1).unwrap();
    copy::write(a, 42u64).unwrap();
    assert_eq!(mm.remap(a, 0x2000, 0x3000, 0, Addr(0)), Err(Errno(libc::ENOMEM)));
    let b = mm.remap(a, 0x2000, 0x4000, libc::MREMAP_MAYMOVE as u64, Addr(0)).unwrap();
    assert_ne!(a, b);
    assert_eq!(copy::read::<u64>(b), Ok(42));
    assert_eq!(mm.remap(b, 0x4000, 0x1000, 0, Addr(0)), Ok(b));
    assert_eq!(mm.remap(b, 0x1000, 0x2000, 0, Addr(0)), Ok(b));
    let to = Addr(mm.layout().lowest + 0x5000);
    assert_eq!(mm.remap(b, 0x2000, 0x2000, 3, to), Ok(to));
    assert_eq!(copy::read::<u64>(to), Ok(42));
    assert_eq!(mm.remap(b, 0x2000, 0x2000, 3, to), Err(Errno(libc::EFAULT)));
    assert_eq!(mm.remap(to, 0x2000, 0x2000, 2, to), Err(Errno(libc::EINVAL)));
}

#[test]
fn terabytes_can_be_reserved() {
    let mut layout = Layout::new(8 << 20, None);
    (layout.lowest, layout.mmap_base) = (0x2000_0000_0000, 0x3000_0000_0000);
    let mm = Mm::new(layout);
    let a = mm.map(&Request::anonymous(Place::Anywhere, 4 << 40, Prot::empty(), Kind::Anonymous)).unwrap();
    mm.protect(a.plus(1 << 40), 0x1000, 3).unwrap();
    copy::write(a.plus(1 << 40), 1u8).unwrap();
    mm.advise(a, 4 << 40, libc::MADV_DONTNEED as u64).unwrap();
    assert_eq!(copy::read::<u8>(a.plus(1 << 40)), Ok(0));
    mm.unmap(a, 4 << 40).unwrap();
}

#[test]
fn the_break_grows_and_shrinks() {
    let mm = space(5);
    let start = Addr(mm.layout().lowest + 0x1000);
    mm.set_brk_start(start);
    assert_eq!(mm.set_brk(Addr(0)), start);
    assert_eq!(mm.set_brk(start.plus(0x1234)), start.plus(0x1234));
    copy::write(start.plus(0x1ff8), 9u64).unwrap();
    assert_eq!(mm.set_brk(start.plus(0x10)), start.plus(0x10));
    assert_eq!(shape(&mm), [(start.0, 0x1000, 3)]);
    anon(&mm, Place::Fixed(start.plus(0x3000)), 0x1000).unwrap();
    assert_eq!(mm.set_brk(start.plus(0x5000)), start.plus(0x10));
    mm.set_data_limit(0x1800);
    assert_eq!(mm.set_brk(start.plus(0x1900)), start.plus(0x10));
}

#[test]
fn the_address_space_limit_holds() {
    let mm = space(6);
    mm.set_limit(0x3000);
    anon(&mm, Place::Anywhere, 0x2000).unwrap();
    assert_eq!(anon(&mm, Place::Anywhere, 0x2000), Err(Errno(libc::ENOMEM)));
    anon(&mm, Place::Anywhere, 0x1000).unwrap();
}

#[test]
fn writable_views_of_shared_memory_are_found() {
    let mm = space(30);
    let how = flags::SHARED | flags::ANONYMOUS;
    let request = Request { place: Place::Anywhere, len: 0x3000, prot: Prot::READ | Prot::WRITE, flags: how, fd: -1, offset: 0, kind: None };
    let a = mm.map(&request).unwrap();
    let other = mm.map(&request).unwrap();
    assert_eq!(mm.aliases(a), []);
    // An old length of 0 duplicates a shared mapping.
    let b = mm.remap(a.plus(0x1000), 0, 0x2000, libc::MREMAP_MAYMOVE as u64, Addr(0)).unwrap();
    assert_eq!([mm.aliases(a), mm.aliases(a.plus(0x1000)), mm.aliases(other)], [vec![], vec![b], vec![]]);
    assert_eq!(mm.aliases(b.plus(0x1001)), [a.plus(0x2000)]);
    mm.protect(a, 0x3000, 5).unwrap();
    assert_eq!(mm.aliases(b), []);
    assert_eq!(mm.aliases(a.plus(0x2000)), [b.plus(0x1000)]);
}
