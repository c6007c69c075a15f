//! A stream socket that somebody connects to, and a way to wake whoever waits for it: for the debugger's connection. By raw calls, because the thread that
//! uses them is not one of libc's (see [`tls`](super::tls)), and because the descriptors move out of the guest's way.

use super::file::Fd;
use super::sys::{self, Errno};
use std::os::fd::IntoRawFd;

/// Listens on a TCP address, `HOST:PORT`; the address that it got.
pub fn listen_tcp(address: &str) -> std::io::Result<(Fd, std::net::SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    let at = listener.local_addr()?;
    Ok((Fd(listener.into_raw_fd()), at))
}

/// Listens on a Unix socket.
pub fn listen_unix(path: &std::path::Path) -> std::io::Result<Fd> {
    Ok(Fd(std::os::unix::net::UnixListener::bind(path)?.into_raw_fd()))
}

/// accept4(2), close-on-exec. Small packets are sent at once where that is a question.
pub fn accept(listener: i32) -> Result<Fd, Errno> {
    // SAFETY: no address is asked for.
    let fd = unsafe { sys::call(libc::SYS_accept4, [listener as u64, 0, 0, libc::SOCK_CLOEXEC as u64, 0, 0]) }? as i32;
    let on = 1i32;
    let args = [fd as u64, libc::IPPROTO_TCP as u64, libc::TCP_NODELAY as u64, &raw const on as u64, size_of::<i32>() as u64, 0];
    // SAFETY: `on` is an int. Of no meaning, and an error, for a Unix socket.
    let _ = unsafe { sys::call(libc::SYS_setsockopt, args) };
    Ok(Fd(fd))
}

/// read(2), again if a signal came; 0: the other side has closed.
pub fn receive(fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
    loop {
        // SAFETY: `buf` is ours.
        match unsafe { sys::call(libc::SYS_read, [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0]) } {
            Err(Errno(libc::EINTR)) => {}
            other => return other.map(|n| n as usize),
        }
    }
}

/// Sends all of it. EPIPE, and no signal, if nobody is there.
pub fn send(fd: i32, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let args = [fd as u64, bytes.as_ptr() as u64, bytes.len() as u64, libc::MSG_NOSIGNAL as u64, 0, 0];
        // SAFETY: `bytes` is ours.
        match unsafe { sys::call(libc::SYS_sendto, args) } {
            Err(Errno(libc::EINTR)) => {}
            Err(e) => return Err(e),
            Ok(n) => bytes = &bytes[n as usize..],
        }
    }
    Ok(())
}

/// eventfd2(2), close-on-exec: see [`wake`].
pub fn event() -> Result<Fd, Errno> {
    let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
    // SAFETY: numbers only.
    unsafe { sys::call(libc::SYS_eventfd2, [0, flags as u64, 0, 0, 0, 0]) }.map(|fd| Fd(fd as i32))
}

/// Makes an [`event`] readable.
pub fn wake(event: i32) {
    let one = 1u64;
    // SAFETY: eight bytes of ours.
    let _ = unsafe { sys::call(libc::SYS_write, [event as u64, &raw const one as u64, 8, 0, 0, 0]) };
}

/// Makes it unreadable again.
pub fn heed(event: i32) {
    let mut count = 0u64;
    // SAFETY: eight bytes of ours.
    let _ = unsafe { sys::call(libc::SYS_read, [event as u64, &raw mut count as u64, 8, 0, 0, 0]) };
}

/// Waits until one of two descriptors can be read: which can.
pub fn wait(fds: [i32; 2]) -> [bool; 2] {
    let mut polled = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: an array of two struct pollfd, no limit of time, no mask.
    let _ = unsafe { sys::call(libc::SYS_ppoll, [polled.as_mut_ptr() as u64, 2, 0, 0, 0, 0]) };
    polled.map(|p| p.revents != 0)
}
