//! Arguments as strace(1) prints them.

use crate::guest::Addr;
use crate::host::copy;
use crate::linux::abi::layout::{EpollEvent, Stat};
use crate::linux::abi::names::{self, Names, name_of};
use crate::linux::syscall::args::{Arg, Type};
use crate::linux::syscall::time::word;
use std::fmt::Write;

/// Characters of a string shown.
const SHOWN: usize = 32;
/// Elements of an array shown.
const ELEMENTS: u64 = 16;
const AT_FDCWD: i32 = -100;

/// Argument `n` before the call.
pub fn input(arg: Arg, n: usize, args: &[u64; 6]) -> String {
    let Some(&v) = args.get(n) else { return String::new() };
    match arg {
        Arg::Int | Arg::Fd => (v as i32).to_string(),
        Arg::Len => v.to_string(),
        Arg::Signed => (v as i64).to_string(),
        Arg::Hex => hex(v),
        Arg::DirFd if v as i32 == AT_FDCWD => "AT_FDCWD".into(),
        Arg::DirFd => (v as i32).to_string(),
        // The mode counts only where something is made.
        Arg::Mode if v as u32 == 0 => "0".into(),
        Arg::Mode => format!("0{:o}", v as u32),
        // Counts only where a file is made (O_CREAT, O_TMPFILE).
        Arg::MakeMode(how) if args[how as usize] & 0o20000100 == 0 => String::new(),
        Arg::MakeMode(_) => input(Arg::Mode, n, args),
        Arg::OpenFlags => open_flags(v as u32 as u64),
        Arg::SocketType => {
            let kind = choice(names::SOCKET_TYPE, v & 0xf);
            let rest = v as u32 as u64 & !0xf;
            if rest == 0 { kind } else { format!("{kind}|{}", flags(names::SOCKET_FLAGS, rest)) }
        }
        Arg::Signal => signal(v),
        Arg::Flags(t) => flags(t, v as u32 as u64),
        Arg::Choice(t) => choice(t, v as u32 as u64),
        Arg::Path | Arg::Str => string(v),
        Arg::Strings => strings(v),
        Arg::Count => format!("{} /* {} vars */", hex(v), pointers(v).len()),
        Arg::Bytes(len) => bytes(v, args[len as usize]),
        Arg::In(t) | Arg::Out(t) | Arg::InOut(t) => structure(t, v),
        Arg::InArray(t, count) => array(t, v, args[count as usize] as u32 as u64),
        Arg::Sockaddr(len) => sockaddr(v, args[len as usize] as u32 as u64),
        Arg::Iovec(count) => iovec(v, args[count as usize]),
        Arg::Ends => String::new(),
        _ => hex(v),
    }
}

/// Argument `n`, which the kernel wrote, after a call that gave `value`.
pub fn output(arg: Arg, n: usize, args: &[u64; 6], value: i64) -> String {
    let Some(&v) = args.get(n) else { return String::new() };
    if value < 0 && !matches!(arg, Arg::InOut(_) | Arg::InOutArray(..)) {
        return hex(v);
    }
    match arg {
        Arg::OutBytes(_) => bytes(v, value as u64),
        Arg::Out(t) | Arg::InOut(t) => structure(t, v),
        Arg::OutArray(t, _) => array(t, v, value as u64),
        Arg::InOutArray(t, count) => array(t, v, args[count as usize] as u32 as u64),
        Arg::OutSockaddr(len) => match copy::read::<u32>(Addr(args[len as usize])) {
            Ok(len) => sockaddr(v, len.into()),
            Err(_) => hex(v),
        },
        Arg::OutIovec(count) => iovec(v, args[count as usize]),
        Arg::FdSet(count) => fd_set(v, args[count as usize] as u32),
        _ => hex(v),
    }
}

fn hex(v: u64) -> String {
    if v == 0 { "NULL".into() } else { format!("{v:#x}") }
}

fn choice(names: Names, v: u64) -> String {
    name_of(names, v).map_or_else(|| format!("{v:#x}"), String::from)
}

fn signal(v: u64) -> String {
    match v as i32 {
        rt @ 32..=64 => format!("SIGRT_{}", rt - 32),
        other => name_of(names::SIGNALS, v).map_or_else(|| other.to_string(), String::from),
    }
}

fn flags(names: Names, mut v: u64) -> String {
    let mut out: Vec<String> = Vec::new();
    if v == 0 {
        return name_of(names, 0).unwrap_or("0").into();
    }
    for (bits, name) in names.iter().filter(|n| n.0 != 0) {
        if v & bits == *bits {
            out.push((*name).into());
            v &= !bits;
        }
    }
    if v != 0 {
        out.push(format!("{v:#x}"));
    }
    out.join("|")
}

fn open_flags(v: u64) -> String {
    let rest = v & !3;
    match name_of(names::ACCESS_MODE, v & 3) {
        Some(mode) if rest == 0 => mode.into(),
        Some(mode) => format!("{mode}|{}", flags(names::OPEN, rest)),
        None => format!("{v:#x}"),
    }
}

/// Quoted and cut.
fn quoted(bytes: &[u8], more: bool) -> String {
    let mut out = String::from("\"");
    for (n, &b) in bytes.iter().take(SHOWN).enumerate() {
        match b {
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(b as char),
            // Three digits where a digit follows.
            b if bytes.get(n + 1).is_some_and(u8::is_ascii_digit) => drop(write!(out, "\\{b:03o}")),
            b => drop(write!(out, "\\{b:o}")),
        }
    }
    out.push('"');
    if more || bytes.len() > SHOWN {
        out.push_str("...");
    }
    out
}

fn string(at: u64) -> String {
    if at == 0 {
        return "NULL".into();
    }
    // Paths are shown whole.
    match copy::read_cstr(Addr(at), 4096) {
        Ok(s) if s.len() > SHOWN && s[0] == b'/' => format!("\"{}\"", String::from_utf8_lossy(&s)),
        Ok(s) => quoted(&s, false),
        Err(_) => hex(at),
    }
}

fn bytes(at: u64, len: u64) -> String {
    let mut buf = vec![0; len.min(SHOWN as u64) as usize];
    match copy::read_bytes(Addr(at), &mut buf) {
        Ok(()) if at != 0 => quoted(&buf, len > SHOWN as u64),
        _ => hex(at),
    }
}

fn pointers(at: u64) -> Vec<u64> {
    let list = (0..4096).map_while(|i| copy::read::<u64>(Addr(at).plus(8 * i)).ok().filter(|p| *p != 0));
    if at == 0 { Vec::new() } else { list.collect() }
}

fn strings(at: u64) -> String {
    let all = pointers(at);
    let shown: Vec<String> = all.iter().take(2 * ELEMENTS as usize).map(|p| string(*p)).collect();
    format!("[{}{}]", shown.join(", "), if all.len() > shown.len() { ", ..." } else { "" })
}

fn array(kind: Type, at: u64, count: u64) -> String {
    if at == 0 {
        return "NULL".into();
    }
    let shown: Vec<String> = (0..count.min(ELEMENTS)).map(|i| structure(kind, at + i * kind.size())).collect();
    format!("[{}{}]", shown.join(", "), if count > ELEMENTS { ", ..." } else { "" })
}

fn iovec(at: u64, count: u64) -> String {
    let one = |i: u64| match copy::read::<[u64; 2]>(Addr(at).plus(16 * i)) {
        Ok([base, len]) => format!("{{iov_base={}, iov_len={len}}}", bytes(base, len)),
        Err(_) => "?".into(),
    };
    format!("[{}{}]", (0..count.min(ELEMENTS)).map(one).collect::<Vec<_>>().join(", "), if count > ELEMENTS { ", ..." } else { "" })
}

fn fd_set(at: u64, count: u32) -> String {
    if at == 0 {
        return "NULL".into();
    }
    let set = |fd: &u32| copy::read::<u8>(Addr(at).plus((fd / 8).into())).is_ok_and(|b| b >> (fd % 8) & 1 != 0);
    let fds: Vec<String> = (0..count.min(1024)).filter(set).map(|fd| fd.to_string()).collect();
    format!("[{}]", fds.join(" "))
}

fn sockaddr(at: u64, len: u64) -> String {
    let mut b = vec![0; len.min(128) as usize];
    if at == 0 || b.len() < 2 || copy::read_bytes(Addr(at), &mut b).is_err() {
        return hex(at);
    }
    let family = u16::from_le_bytes([b[0], b[1]]);
    let port = || u16::from_be_bytes([b[2], b[3]]);
    let rest = match family as i32 {
        libc::AF_UNIX => {
            let path = &b[2..];
            match path.first() {
                Some(0) => format!(", sun_path=@{}", quoted(&path[1..], false)),
                _ => format!(", sun_path={}", quoted(path.split(|c| *c == 0).next().unwrap_or_default(), false)),
            }
        }
        libc::AF_INET if b.len() >= 8 => {
            format!(", sin_port=htons({}), sin_addr=inet_addr(\"{}.{}.{}.{}\")", port(), b[4], b[5], b[6], b[7])
        }
        libc::AF_INET6 if b.len() >= 24 => {
            let octets: [u8; 16] = std::array::from_fn(|i| b[8 + i]);
            format!(", sin6_port=htons({}), inet_pton(AF_INET6, \"{}\")", port(), std::net::Ipv6Addr::from(octets))
        }
        _ => ", ...".into(),
    };
    format!("{{sa_family={}{rest}}}", choice(names::FAMILY, family.into()))
}

fn sigset(set: u64) -> String {
    let names: Vec<String> = (1..=64).filter(|n| set >> (n - 1) & 1 != 0).map(|n| signal(n).trim_start_matches("SIG").to_string()).collect();
    format!("[{}]", names.join(" "))
}

fn structure(kind: Type, at: u64) -> String {
    let mut b = vec![0; kind.size() as usize];
    if at == 0 || matches!(kind, Type::Opaque(_)) || copy::read_bytes(Addr(at), &mut b).is_err() {
        return hex(at);
    }
    let int = |n: usize| i32::from_le_bytes([b[4 * n], b[4 * n + 1], b[4 * n + 2], b[4 * n + 3]]);
    let w = |n: usize| word(&b, n);
    let pair = |n: usize, unit: &str| format!("{{tv_sec={}, tv_{unit}={}}}", w(n) as i64, w(n + 1) as i64);
    let limit = |v: u64| if v == u64::MAX { "RLIM64_INFINITY".into() } else { v.to_string() };
    match kind {
        Type::Int => format!("[{}]", int(0)),
        Type::Long => format!("[{}]", w(0) as i64),
        Type::FdPair => format!("[{}, {}]", int(0), int(1)),
        Type::Timespec => pair(0, "nsec"),
        Type::Timeval => pair(0, "usec"),
        Type::TimespecPair => format!("[{}, {}]", pair(0, "nsec"), pair(2, "nsec")),
        Type::TimevalPair => format!("[{}, {}]", pair(0, "usec"), pair(2, "usec")),
        Type::Stat => {
            let s = Stat::from_bytes(&std::array::from_fn(|i| b[i]));
            let kind = choice(names::FILE_TYPE, (s.mode & 0o170000).into());
            format!("{{st_mode={kind}|0{:o}, st_size={}, ...}}", s.mode & 0o7777, s.size)
        }
        Type::Rlimit => format!("{{rlim_cur={}, rlim_max={}}}", limit(w(0)), limit(w(1))),
        Type::Utsname => {
            let field = |n: usize| quoted(b[65 * n..65 * n + 65].split(|c| *c == 0).next().unwrap_or_default(), false);
            format!("{{sysname={}, nodename={}, ...}}", field(0), field(1))
        }
        Type::Siginfo => format!("{{si_signo={}, si_code={}, ...}}", signal(int(0) as u64), int(2)),
        Type::Sigset => sigset(w(0)),
        Type::Sigaction => {
            let handler = match w(0) {
                0 => "SIG_DFL".into(),
                1 => "SIG_IGN".into(),
                at => hex(at),
            };
            format!("{{sa_handler={handler}, sa_mask={}, sa_flags={}}}", sigset(w(3)), flags(names::SA, w(1)))
        }
        Type::EpollEvent => {
            let e = EpollEvent::from_bytes(&std::array::from_fn(|i| b[i]));
            format!("{{events={}, data={:#x}}}", flags(names::EPOLL, e.events.into()), e.data)
        }
        Type::Pollfd => {
            let half = |n: usize| u16::from_le_bytes([b[n], b[n + 1]]).into();
            let revents: u64 = half(6);
            let got = if revents == 0 { String::new() } else { format!(", revents={}", flags(names::POLL, revents)) };
            format!("{{fd={}, events={}{got}}}", int(0), flags(names::POLL, half(4)))
        }
        Type::Status => match (int(0) & 0x7f, int(0) >> 8 & 0xff) {
            (0, code) => format!("[{{WIFEXITED(s) && WEXITSTATUS(s) == {code}}}]"),
            (0x7f, stop) => format!("[{{WIFSTOPPED(s) && WSTOPSIG(s) == {}}}]", signal(stop as u64)),
            (killer, _) => format!("[{{WIFSIGNALED(s) && WTERMSIG(s) == {}}}]", signal(killer as u64)),
        },
        Type::Opaque(_) => hex(at),
    }
}
