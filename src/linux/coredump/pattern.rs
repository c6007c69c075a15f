//! Where a core file goes: /proc/sys/kernel/core_pattern, and what stands for each of its letters (core(5); format_corename() of fs/coredump.c).

use crate::host::file;

/// Bytes of a pattern that the kernel keeps (CORENAME_MAX_SIZE), the terminating one included.
const LONGEST: usize = 128;

/// What the administrator has set.
pub struct Pattern {
    text: Vec<u8>,
    /// core_uses_pid: names without a process id get one.
    uses_pid: bool,
}

/// What a name may tell.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // The letters are core(5)'s.
pub struct Facts {
    /// %p and %P: as the process sees itself, and as the initial namespace does.
    pub pid: [i32; 2],
    /// %i and %I.
    pub tid: [i32; 2],
    /// %u and %g.
    pub ids: (u32, u32),
    /// %d.
    pub dumpable: u64,
    /// %s.
    pub signal: i32,
    /// %t: seconds since 1970.
    pub time: u64,
    /// %h.
    pub host: Vec<u8>,
    /// %e.
    pub name: Vec<u8>,
    /// %f (its last part) and %E.
    pub executable: Vec<u8>,
    /// %c: bytes.
    pub limit: u64,
    /// %C.
    pub processor: u32,
}

impl Pattern {
    /// Reads it; where /proc is not mounted it is what kernels begin with.
    pub fn read() -> Pattern {
        let mut text = file::read_all(b"/proc/sys/kernel/core_pattern").unwrap_or_else(|_| b"core".to_vec());
        if let Some(end) = text.iter().position(|b| *b == b'\n') {
            text.truncate(end);
        }
        text.truncate(LONGEST - 1);
        let uses_pid = file::read_all(b"/proc/sys/kernel/core_uses_pid").is_ok_and(|t| !t.starts_with(b"0"));
        Pattern { text, uses_pid }
    }

    /// Is it a program's standard input, or a socket, that cores go to? The kernel alone can begin either.
    pub fn is_no_file(&self) -> bool {
        matches!(self.text.first(), Some(b'|' | b'@'))
    }

    /// The file's name.
    pub fn expand(&self, facts: &Facts) -> Vec<u8> {
        let mut out = Vec::new();
        let mut has_pid = false;
        let mut rest = self.text.iter();
        while let Some(&b) = rest.next() {
            if b != b'%' {
                out.push(b);
                continue;
            }
            let Some(&letter) = rest.next() else { break };
            let mut number = |n: u64| out.extend_from_slice(n.to_string().as_bytes());
            match letter {
                b'%' => out.push(b'%'),
                b'p' => {
                    has_pid = true;
                    number(facts.pid[0] as u64);
                }
                b'P' => number(facts.pid[1] as u64),
                b'i' => number(facts.tid[0] as u64),
                b'I' => number(facts.tid[1] as u64),
                b'u' => number(facts.ids.0.into()),
                b'g' => number(facts.ids.1.into()),
                b'd' => number(facts.dumpable),
                b's' => number(facts.signal as u64),
                b't' => number(facts.time),
                b'c' => number(facts.limit),
                b'C' => number(facts.processor.into()),
                b'h' => part(&mut out, &facts.host),
                b'e' => part(&mut out, &facts.name),
                b'f' => part(&mut out, facts.executable.rsplit(|b| *b == b'/').next().unwrap_or_default()),
                b'E' => part(&mut out, &facts.executable),
                // %F too, which is for programs.
                _ => {}
            }
        }
        if self.uses_pid && !has_pid {
            out.push(b'.');
            out.extend_from_slice(facts.pid[0].to_string().as_bytes());
        }
        out
    }
}

/// Text that somebody else chose: it must neither lead to another folder nor vanish (cn_esc_printf()).
fn part(out: &mut Vec<u8>, text: &[u8]) {
    match text {
        b"" => out.push(b'!'),
        b"." => out.push(b'!'),
        b".." => out.extend_from_slice(b"!."),
        text => out.extend(text.iter().map(|b| if *b == b'/' { b'!' } else { *b })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, uses_pid: bool, expect: &str) {
        let facts = Facts {
            pid: [7, 1007],
            tid: [8, 1008],
            ids: (1000, 100),
            dumpable: 1,
            signal: 6,
            time: 1_700_000_000,
            host: b"box".to_vec(),
            name: b"a/b".to_vec(),
            executable: b"/opt/my prog".to_vec(),
            limit: u64::MAX,
            processor: 3,
        };
        let pattern = Pattern { text: pattern.into(), uses_pid };
        assert_eq!(String::from_utf8_lossy(&pattern.expand(&facts)), expect);
    }

    #[test]
    fn letters_stand_for_what_the_kernel_says() {
        check("core", false, "core");
        check("core", true, "core.7");
        check("%p-%P-%i-%I", true, "7-1007-8-1008");
        check("core.%P", true, "core.1007.7");
        check("/var/c/%e.%f.%E", false, "/var/c/a!b.my prog.!opt!my prog");
        check("%u:%g:%d:%s:%t:%h:%c:%C", false, "1000:100:1:6:1700000000:box:18446744073709551615:3");
        check("a%%b%Fc%zd%", false, "a%bcd");
    }

    #[test]
    fn foreign_text_leads_nowhere_else() {
        let of = |text: &[u8]| {
            let mut out = Vec::new();
            part(&mut out, text);
            out
        };
        assert_eq!([of(b""), of(b"."), of(b".."), of(b"a..")], [&b"!"[..], b"!", b"!.", b"a.."]);
    }

    #[test]
    fn programs_and_sockets_are_no_files() {
        let of = |text: &str| Pattern { text: text.into(), uses_pid: false }.is_no_file();
        assert!(of("|/usr/bin/handler %p") && of("@/run/socket") && !of("core|") && !of(""));
    }
}
