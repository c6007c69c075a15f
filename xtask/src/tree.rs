//! A tree of files as a tar archive with nothing of this machine in it: everything is root's and from 1970, in the order given.

use std::collections::BTreeSet;
use std::io::Cursor;
use tar::{Builder, EntryType, Header};

/// An archive in the making.
pub struct Tree {
    tar: Builder<Vec<u8>>,
    folders: BTreeSet<String>,
    /// In front of every name.
    prefix: &'static str,
}

impl Tree {
    /// An empty one; `prefix` (`./`) stands before each name.
    pub fn new(prefix: &'static str) -> Self {
        let mut tree = Self { tar: Builder::new(Vec::new()), folders: BTreeSet::new(), prefix };
        if !prefix.is_empty() {
            tree.entry("", EntryType::Directory, 0o755, &[]);
        }
        tree
    }

    /// A file, with the folders above it if they are not there yet.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        for (at, _) in name.match_indices('/') {
            let folder = &name[..=at];
            if self.folders.insert(folder.to_string()) {
                self.entry(folder, EntryType::Directory, 0o755, &[]);
            }
        }
        self.entry(name, EntryType::Regular, mode, content);
    }

    fn entry(&mut self, name: &str, kind: EntryType, mode: u32, content: &[u8]) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_username("root").expect("a short name");
        header.set_groupname("root").expect("a short name");
        header.set_size(content.len() as u64);
        let name = format!("{}{name}", self.prefix);
        // (Put there as it is: set_path would take `./` away.)
        let field = &mut header.as_old_mut().name;
        assert!(name.len() < field.len(), "{name}: too long for ustar's short form");
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        self.tar.append(&header, Cursor::new(content)).expect("a vector takes all that is written");
    }

    /// The whole archive.
    pub fn finish(self) -> Vec<u8> {
        self.tar.into_inner().expect("a vector takes all that is written")
    }
}

/// gzip with no name and no time in it.
pub fn gzipped(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    packed.write_all(content).expect("a vector takes all that is written");
    packed.finish().expect("a vector takes all that is written")
}

#[test]
fn a_tree_is_the_same_each_time_and_has_its_folders() {
    let make = || {
        let mut tree = Tree::new("./");
        tree.file("usr/bin/a", 0o755, b"a");
        tree.file("usr/bin/b", 0o644, b"b");
        tree.finish()
    };
    assert_eq!(make(), make());
    let bytes = make();
    let mut archive = tar::Archive::new(&bytes[..]);
    let entries: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().header().clone()).collect();
    let names: Vec<_> = entries.iter().map(|h| String::from_utf8_lossy(&h.path_bytes()).into_owned()).collect();
    assert_eq!(names, ["./", "./usr/", "./usr/bin/", "./usr/bin/a", "./usr/bin/b"]);
    assert!(entries.iter().all(|h| h.mtime().unwrap() == 0 && h.uid().unwrap() == 0));
    assert_eq!(gzipped(&bytes), gzipped(&bytes));
}
