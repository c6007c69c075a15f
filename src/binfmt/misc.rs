//! An instance of binfmt_misc as the kernel shows it: its entries, which of them would take an x86_64 program, and in what order they are tried
//! (fs/binfmt_misc.c). Entries written as register text (`binfmt.d`) are read here too.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The first bytes of an x86_64 program, as magics are compared with: a position-independent one, of System V's ABI.
pub const PROGRAM: [u8; 20] = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0x3e, 0];

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, which is its file's.
    pub name: String,
    /// Whether the kernel uses it.
    pub enabled: bool,
    /// The interpreter's path, as the one who registered it saw it.
    pub interpreter: PathBuf,
    /// Flags, letters of `POCF`.
    pub flags: String,
    /// Where the magic stands, its bytes, and which bits count; None for an entry that goes by the file's name.
    pub magic: Option<(usize, Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// As the kernel shows it in the entry's file.
    fn from_file(name: &str, text: &str) -> Option<Entry> {
        let field = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
        let magic = match (field("magic "), field("offset ").and_then(|o| o.parse().ok())) {
            (Some(magic), Some(offset)) => {
                let magic = hex(magic)?;
                let mask = field("mask ").map_or_else(|| Some(vec![0xff; magic.len()]), hex)?;
                Some((offset, magic, mask))
            }
            _ => None,
        };
        Some(Entry {
            name: name.into(),
            enabled: text.lines().next()?.trim() == "enabled",
            interpreter: field("interpreter ")?.into(),
            flags: field("flags:")?.into(),
            magic,
        })
    }

    /// From register text: `:NAME:M:OFFSET:MAGIC:MASK:INTERPRETER:FLAGS`, with any first character as the separator.
    pub fn from_line(line: &str) -> Option<Entry> {
        let separator = line.chars().next()?;
        let fields: Vec<&str> = line[separator.len_utf8()..].split(separator).collect();
        let &[name, kind, offset, magic, mask, interpreter, ref flags @ ..] = fields.as_slice() else { return None };
        let magic = match kind {
            "M" => {
                let magic = unescaped(magic)?;
                let mask = if mask.is_empty() { vec![0xff; magic.len()] } else { unescaped(mask)? };
                Some((if offset.is_empty() { 0 } else { offset.parse().ok()? }, magic, mask))
            }
            _ => None,
        };
        let flags = flags.first().copied().unwrap_or_default().trim().into();
        Some(Entry { name: name.into(), enabled: true, interpreter: interpreter.into(), flags, magic })
    }

    /// Would the kernel give a file that begins so to it?
    pub fn takes(&self, head: &[u8]) -> bool {
        let Some((offset, magic, mask)) = &self.magic else { return false };
        let Some(head) = head.get(*offset..) else { return false };
        head.len() >= magic.len() && magic.iter().zip(mask).zip(head).all(|((magic, mask), byte)| (magic ^ byte) & mask == 0)
    }

    /// One line for a human.
    pub fn shown(&self) -> String {
        let state = if self.enabled { "" } else { ", disabled" };
        format!("{} -> {} (flags {}{state})", self.name, self.interpreter.display(), self.flags)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The kernel's escapes: `\xNN`.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match rest.strip_prefix("\\x") {
            Some(escape) => {
                out.push(u8::from_str_radix(escape.get(..2)?, 16).ok()?);
                rest = &escape[2..];
            }
            None => {
                out.extend(c.to_string().bytes());
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Some(out)
}

/// One entry; None if it is not registered.
pub fn entry(mount: &Path, name: &str) -> Option<Entry> {
    Entry::from_file(name, &fs::read_to_string(mount.join(name)).ok()?)
}

/// All entries in the order in which the kernel tries them: the newest first.
pub fn entries(mount: &Path) -> Vec<Entry> {
    let mut found: Vec<((i64, i64, u64), Entry)> = Vec::new();
    for file in fs::read_dir(mount).into_iter().flatten().flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        if ["register", "status"].contains(&name.as_str()) {
            continue;
        }
        // The kernel makes the inode when the entry is registered, and never changes it.
        let age = file.metadata().map_or((0, 0, 0), |m| (m.mtime(), m.mtime_nsec(), m.ino()));
        found.extend(entry(mount, &name).map(|e| (age, e)));
    }
    found.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    found.into_iter().map(|(_, e)| e).collect()
}

/// Entries that would take an x86_64 program, in the kernel's order.
pub fn takers(mount: &Path) -> Vec<Entry> {
    let mut all = entries(mount);
    all.retain(|e| e.takes(&PROGRAM));
    all
}

/// Major and minor number of a kernel's release (`6.12.1-arm64`).
pub fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The value of this type in an auxiliary vector as /proc/self/auxv has it (include/uapi/linux/auxvec.h).
pub fn auxiliary(vector: &[u8], kind: u64) -> Option<u64> {
    let word = |at: &[u8]| u64::from_le_bytes(at.try_into().unwrap_or_default());
    vector.chunks_exact(16).find(|pair| word(&pair[..8]) == kind).map(|pair| word(&pair[8..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_the_kernel_writes_them() {
        let text = "enabled\ninterpreter /usr/bin/qemu-x86_64-static\nflags: OCF\noffset 0\nmagic 7f454c4602010100000000000000000002003e00\nmask fffffffffffefe00fffffffffffffffffeffffff\n";
        let entry = Entry::from_file("qemu-x86_64", text).unwrap();
        assert!(entry.enabled && entry.takes(&PROGRAM));
        assert_eq!(entry.shown(), "qemu-x86_64 -> /usr/bin/qemu-x86_64-static (flags OCF)");
        let mut other = PROGRAM;
        other[18] = 0xb7;
        assert!(!entry.takes(&other) && !entry.takes(b"#!"));
        let java = Entry::from_file("java", "disabled\ninterpreter /usr/bin/java\nflags: \nextension .class\n").unwrap();
        assert!(!java.enabled && !java.takes(&PROGRAM));
        assert_eq!(Entry::from_file("broken", "enabled\n"), None);
    }

    #[test]
    fn register_text_is_read_as_the_kernel_reads_it() {
        let line = r":q:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00:\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/q:OCF";
        let entry = Entry::from_line(line).unwrap();
        assert!(entry.takes(&PROGRAM) && entry.flags == "OCF" && entry.interpreter == Path::new("/q"));
        assert!(!Entry::from_line(",windows,M,,MZ,,/usr/bin/wine,").unwrap().takes(&PROGRAM));
        assert_eq!(Entry::from_line(":short:M"), None);
        assert_eq!(Entry::from_line(r":bad:M::\xZZ::/q:"), None);
    }

    #[test]
    fn releases_are_numbers() {
        assert_eq!(release("6.12.117+deb13-cloud-arm64"), Some((6, 12)));
        assert_eq!(release("5.10-rc1"), Some((5, 10)));
        assert_eq!(release("none"), None);
    }
}
