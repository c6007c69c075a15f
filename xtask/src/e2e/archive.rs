//! Archives written by hand, with nothing of this machine in them: `newc` cpio for an initial RAM disk (Documentation/driver-api/early-userspace/buffer-format.rst).

/// A cpio archive in the making.
#[derive(Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    inode: u32,
}

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

impl Cpio {
    /// A folder, whose parent must be there.
    pub fn folder(&mut self, name: &str) {
        self.entry(name, FOLDER | 0o755, &[]);
    }

    /// An executable file.
    pub fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, FILE | 0o755, content);
    }

    /// A symbolic link.
    pub fn link(&mut self, name: &str, target: &str) {
        self.entry(name, LINK | 0o777, target.as_bytes());
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        // c_ino, c_mode, c_uid, c_gid, c_nlink, c_mtime, c_filesize, devices (4), c_namesize, c_check.
        let size = u32::try_from(content.len()).expect("a file of less than 4 GiB");
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend(b"070701");
        fields.iter().for_each(|f| self.bytes.extend(format!("{f:08x}").bytes()));
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[test]
fn an_archive_is_what_cpio_reads() {
    let mut cpio = Cpio::default();
    cpio.file("init", b"#!");
    let bytes = cpio.finish();
    // A header has 110 bytes; name and content are padded to four.
    assert_eq!(&bytes[..14], b"07070100000001");
    assert_eq!(&bytes[110..120], b"init\0\0#!\0\0");
    assert_eq!(&bytes[120..126], b"070701");
    assert_eq!(bytes.len() % 4, 0);
}
