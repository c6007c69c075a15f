//! `#!` lines, taken apart as the kernel does (fs/binfmt_script.c).

/// How many bytes of a file the kernel looks at (BINPRM_BUF_SIZE).
pub const HEAD: usize = 256;
/// How many interpreters may be chained before ELOOP.
pub const DEPTH: usize = 5;

/// Interpreter and optional argument of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The interpreter's path.
    pub interpreter: Vec<u8>,
    /// Everything behind it, as one argument.
    pub argument: Option<Vec<u8>>,
}

/// Does a file that starts so want an interpreter?
pub fn is_script(head: &[u8]) -> bool {
    head.starts_with(b"#!")
}

/// Takes the first line apart; None where the kernel says ENOEXEC (no interpreter, or its path may be cut off).
pub fn parse(head: &[u8]) -> Option<Script> {
    let blank = |b: &u8| *b == b' ' || *b == b'\t';
    let ends = |b: &u8| blank(b) || *b == 0;
    // The kernel's buffer is padded with zeros, and its last byte is not looked at.
    let mut buf = [0u8; HEAD];
    let n = head.len().min(HEAD);
    buf[..n].copy_from_slice(&head[..n]);
    if !is_script(&buf) {
        return None;
    }
    let mut line = match buf.iter().position(|b| *b == b'\n') {
        Some(end) => &buf[2..end],
        None => {
            let rest = &buf[2..];
            let name = rest.iter().position(|b| !blank(b))?;
            rest[name..].iter().position(ends)?;
            &buf[2..HEAD - 1]
        }
    };
    while let [before @ .., last] = line
        && blank(last)
    {
        line = before;
    }
    let name_at = line.iter().position(|b| !blank(b))?;
    let line = &line[name_at..];
    let name_len = line.iter().position(ends).unwrap_or(line.len());
    let argument = match line.get(name_len) {
        Some(b) if blank(b) => line[name_len..].iter().position(|b| !blank(b)).map(|skip| {
            let text = &line[name_len + skip..];
            text[..text.iter().position(|b| *b == 0).unwrap_or(text.len())].to_vec()
        }),
        _ => None,
    };
    // "#!" and a NUL: the kernel would try to open "", which is ENOENT; no program means it.
    (name_len != 0).then(|| Script { interpreter: line[..name_len].to_vec(), argument })
}

/// The argument list that the interpreter is started with; `path` is the script's.
pub fn arguments(script: &Script, path: &[u8], old: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let head = [Some(script.interpreter.clone()), script.argument.clone(), Some(path.to_vec())];
    head.into_iter().flatten().chain(old.into_iter().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expect: Option<(&str, Option<&str>)>) {
        let got = parse(line);
        let expect = expect.map(|(i, a)| Script { interpreter: i.into(), argument: a.map(|a| a.into()) });
        assert_eq!(got, expect, "{}", String::from_utf8_lossy(line));
    }

    #[test]
    fn lines() {
        check(b"#!/bin/sh\necho", Some(("/bin/sh", None)));
        check(b"#! /bin/sh \t\n", Some(("/bin/sh", None)));
        check(b"#!/usr/bin/env  python3 -u \nx", Some(("/usr/bin/env", Some("python3 -u"))));
        check(b"#!/bin/sh", Some(("/bin/sh", None)));
        check(b"#!/bin/sh -x", Some(("/bin/sh", Some("-x"))));
        check(b"#!\n", None);
        check(b"#!   ", None);
        check(b"# /bin/sh\n", None);
        check(b"", None);
    }

    #[test]
    fn long_lines() {
        let long = |n: usize, tail: &str| [b"#!/".to_vec(), vec![b'a'; n], tail.as_bytes().to_vec()].concat();
        // No end of the path within the buffer: it may be cut.
        check(&long(300, "\n"), None);
        // The path ends, the argument is cut.
        let (line, path) = (long(100, &format!(" {}\n", "b".repeat(300))), format!("/{}", "a".repeat(100)));
        check(&line, Some((&path, Some(&"b".repeat(255 - 104)))));
    }

    #[test]
    fn argument_lists() {
        let s = Script { interpreter: b"/i".to_vec(), argument: Some(b"-x".to_vec()) };
        let old = [b"argv0".to_vec(), b"one".to_vec()].to_vec();
        assert_eq!(arguments(&s, b"./s", old), [&b"/i"[..], b"-x", b"./s", b"one"]);
    }
}
