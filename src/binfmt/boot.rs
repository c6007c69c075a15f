//! Registration at boot on hosts that systemd starts: a file in /etc/binfmt.d (binfmt.d(5)), which systemd-binfmt.service reads. It takes precedence over
//! a file of that name that a package brought.

use super::{NAME, QEMU, registration};
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the administrator's files.
pub const FOLDER: &str = "/etc/binfmt.d";
/// How files begin that are ours to take away.
const OURS: &str = "# Written by `xemu binfmt install --systemd`, removed by `xemu binfmt uninstall`.\n";

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.conf"))
}

/// Writes the file that registers `binary`; with `hide_qemu` also one that hides QEMU's.
pub fn enable(folder: &Path, binary: &Path, flags: &str, hide_qemu: bool) -> Result<String, String> {
    let failed = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let path = file(folder, NAME);
    fs::write(&path, format!("{OURS}{}\n", registration(NAME, binary, flags)?)).map_err(|e| failed(&path, e))?;
    let mut said = format!("wrote {}\n", path.display());
    let qemu = file(folder, QEMU);
    if hide_qemu && fs::symlink_metadata(&qemu).is_err() {
        fs::write(&qemu, format!("{OURS}# It hides the file of this name that QEMU's package brings.\n")).map_err(|e| failed(&qemu, e))?;
        said += &format!("wrote {}\n", qemu.display());
    }
    Ok(said)
}

/// Removes what [`enable`] wrote.
pub fn disable(folder: &Path) -> Result<String, String> {
    let mut said = String::new();
    for path in [file(folder, NAME), file(folder, QEMU)] {
        if fs::read_to_string(&path).is_ok_and(|t| t.starts_with(OURS)) {
            fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            said += &format!("removed {}\n", path.display());
        }
    }
    Ok(said)
}

#[test]
fn files_come_and_go_and_those_of_others_stay() {
    let dir = std::env::temp_dir().join(format!("xemu-binfmt-boot-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    enable(&dir, Path::new("/usr/bin/xemu"), "POCF", true).unwrap();
    let text = fs::read_to_string(file(&dir, NAME)).unwrap();
    let line = text.lines().find(|l| !l.starts_with('#')).unwrap();
    let entry = super::misc::Entry::from_line(line).unwrap();
    assert!(entry.takes(&super::misc::PROGRAM) && entry.name == NAME && entry.flags == "POCF");
    // Nothing but comments: systemd-binfmt registers nothing for it.
    assert!(fs::read_to_string(file(&dir, QEMU)).unwrap().lines().all(|l| l.starts_with('#')));
    assert_eq!(disable(&dir).unwrap().lines().count(), 2);
    fs::write(file(&dir, QEMU), "# an administrator's\n").unwrap();
    enable(&dir, Path::new("/usr/bin/xemu"), "POCF", true).unwrap();
    assert_eq!(disable(&dir).unwrap().lines().count(), 1);
    assert!(file(&dir, QEMU).exists());
    let _ = fs::remove_dir_all(dir);
}

#[test]
fn the_packaged_file_is_what_would_be_written() {
    let line = include_str!("../../deploy/binfmt.d/xemu-x86_64.conf").lines().find(|l| !l.starts_with('#'));
    assert_eq!(line, registration(NAME, Path::new("/usr/bin/xemu"), super::FLAGS).ok().as_deref());
}
