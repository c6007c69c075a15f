//! As much of HTTP/1.1 as probes and scrapers speak: one GET a connection, answered and closed.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest request, in bytes: a line and a few headers.
const LONGEST: usize = 8192;
/// How long a client may take for it; it is served alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers one request by what `respond` gives for its path.
pub fn answer(mut stream: TcpStream, respond: impl FnOnce(&str) -> Option<(u16, String)>) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = read_head(&mut stream)?;
    let (status, text) = reply(&head, respond);
    let reason = match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Bad Request",
    };
    let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())
}

fn read_head(stream: &mut impl Read) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = stream.read(&mut piece)?;
        if n == 0 || head.len() + n > LONGEST {
            return Err(Error::from(ErrorKind::InvalidData));
        }
        head.extend(&piece[..n]);
    }
    Ok(head)
}

fn reply(head: &[u8], respond: impl FnOnce(&str) -> Option<(u16, String)>) -> (u16, String) {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = std::str::from_utf8(line).unwrap_or_default().split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some("GET"), Some(target), Some(version)) if version.starts_with("HTTP/1.") => {
            let path = target.split('?').next().unwrap_or_default();
            respond(path).unwrap_or_else(|| (404, "there are /healthz, /readyz and /metrics\n".into()))
        }
        (Some(_), Some(_), Some(version)) if version.starts_with("HTTP/1.") => (405, "only GET\n".into()),
        _ => (400, "not HTTP\n".into()),
    }
}

#[test]
fn requests_are_answered_and_nonsense_is_not_believed() {
    let ask = |head: &str| reply(head.as_bytes(), |path| (path == "/metrics").then(|| (200, "text".into()))).0;
    assert_eq!(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_eq!(ask("GET /metrics?x=1 HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(ask("GET /other HTTP/1.1\r\n\r\n"), 404);
    assert_eq!(ask("POST /metrics HTTP/1.1\r\n\r\n"), 405);
    assert_eq!((ask("\r\n\r\n"), ask("GET /\r\n\r\n"), ask("\u{7f} x y\r\n\r\n")), (400, 400, 400));
    assert!(read_head(&mut &b"GET / HTTP/1.1\r\n"[..]).is_err(), "cut");
    assert!(read_head(&mut &[b'x'; 20000][..]).is_err(), "endless");
}
