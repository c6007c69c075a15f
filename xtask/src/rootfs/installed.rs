//! dpkg's record of a root file system whose packages were only unpacked, and repositories of packages for it: together they let `apt-get` and `dpkg` work in there.
//!
//! The record is what dpkg would have written (dpkg(1), deb(5)): a stanza a package in `status`, and its list of files and control files below `info`.

use crate::{Result, image};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Records that these packages are installed in `root`.
pub fn record(debs: &[PathBuf], root: &Path) -> Result<()> {
    let dpkg = root.join("var/lib/dpkg");
    let failed = |e: std::io::Error| format!("{}: {e}", dpkg.display());
    for folder in ["info", "updates", "triggers", "alternatives"] {
        fs::create_dir_all(dpkg.join(folder)).map_err(failed)?;
    }
    let mut status = String::new();
    for deb in debs {
        let stanza = text(Command::new("dpkg-deb").arg("-f").arg(deb))?;
        status += &format!("{}\nStatus: install ok installed\n\n", stanza.trim_end());
        let name = info_name(&stanza);
        let info = |member: &str| dpkg.join("info").join(format!("{name}.{member}"));
        let files = text(Command::new("sh").args(["-c", "dpkg-deb --fsys-tarfile \"$0\" | tar -t"]).arg(deb))?;
        fs::write(info("list"), files.lines().map(listed).collect::<String>()).map_err(failed)?;
        let control = dpkg.join("control");
        text(Command::new("dpkg-deb").arg("-e").arg(deb).arg(&control))?;
        for entry in fs::read_dir(&control).map_err(failed)?.flatten().filter(|e| e.file_name() != "control") {
            fs::rename(entry.path(), info(&entry.file_name().to_string_lossy())).map_err(failed)?;
        }
        fs::remove_dir_all(&control).map_err(failed)?;
    }
    fs::write(dpkg.join("info/format"), "1\n").and_then(|()| fs::write(dpkg.join("status"), status)).map_err(failed)
}

/// What a package's files below `info` are called: with its architecture where several may be installed beside each other.
fn info_name(stanza: &str) -> String {
    let field = |name: &str| stanza.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default();
    if field("Multi-Arch") == "same" { format!("{}:{}", field("Package"), field("Architecture")) } else { field("Package").into() }
}

/// A name in tar's list as dpkg lists it: `./usr/bin/` is `/usr/bin`, `./` is `/.`.
fn listed(name: &str) -> String {
    let path = name.trim_start_matches('.').trim_end_matches('/');
    format!("{}\n", if path.is_empty() { "/." } else { path })
}

/// A repository without folders of its own (sources.list(5): `deb [trusted=yes] file:/DIR ./`) of these packages.
pub fn repository(debs: &[PathBuf], dir: &Path) -> Result<()> {
    let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
    fs::create_dir_all(dir).map_err(failed)?;
    let mut index = String::new();
    for deb in debs {
        // apt decodes escapes in names.
        let name = deb.file_name().unwrap_or_default().to_string_lossy().replace("%3a", "_");
        let content = fs::read(deb).map_err(failed)?;
        let stanza = text(Command::new("dpkg-deb").arg("-f").arg(deb))?;
        index += &format!("{}\nFilename: ./{name}\nSize: {}\nSHA256: {}\n\n", stanza.trim_end(), content.len(), image::hash(&content));
        fs::write(dir.join(name), content).map_err(failed)?;
    }
    fs::write(dir.join("Packages"), index).map_err(failed)
}

fn text(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into_owned()) } else { Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))) }
}

#[test]
fn names_are_as_dpkg_has_them() {
    assert_eq!(info_name("Package: bash\nArchitecture: amd64\nMulti-Arch: foreign\n"), "bash");
    assert_eq!(info_name("Package: libc6\nArchitecture: amd64\nMulti-Arch: same\n"), "libc6:amd64");
    assert_eq!(["./", "./usr/", "./usr/bin/env"].map(listed).concat(), "/.\n/usr\n/usr/bin/env\n");
}
