//! The copy that is registered: xemu's own file, with settings in it if there are any, under a name that tells version and content.
//!
//! A name stands for one content, so who finds its own copy registered has nothing to do, and a changed setting is a new registration.

use crate::options::{check_setting, embedded};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The lines of a file, or of a folder with a file for each variable (as Kubernetes shows a ConfigMap).
pub fn read_settings(path: &Path) -> Result<Vec<String>, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut lines = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(failed)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // (What begins with a dot is how Kubernetes replaces all files at once.)
            if !name.starts_with('.') && entry.path().is_file() {
                lines.push(format!("{name}={}", fs::read_to_string(entry.path()).map_err(failed)?.trim()));
            }
        }
        lines.sort();
    } else {
        let text = fs::read_to_string(path).map_err(failed)?;
        lines.extend(text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_string));
    }
    lines.iter().try_for_each(|l| check_setting(l))?;
    Ok(lines)
}

/// Writes the copy into `folder` and returns its path.
pub fn make(binary: &Path, settings: &[String], folder: &Path) -> Result<PathBuf, String> {
    let failed = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    let content = embedded::embed(&fs::read(binary).map_err(|e| failed(binary, e))?, settings)?;
    let mut hash = DefaultHasher::new();
    hash.write(&content);
    let name = format!("xemu-{}-{:016x}", env!("CARGO_PKG_VERSION"), hash.finish());
    let path = folder.join(&name);
    if fs::read(&path).is_ok_and(|old| old == content) {
        return Ok(path);
    }
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    // Renamed when it is whole: a copy that is being executed is never written to.
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, content).map_err(|e| failed(&new, e))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).map_err(|e| failed(&new, e))?;
    fs::rename(&new, &path).map_err(|e| failed(&path, e))?;
    Ok(path)
}

/// The version in a copy's name.
pub fn version_of(interpreter: &Path) -> Option<&str> {
    interpreter.file_name()?.to_str()?.strip_prefix("xemu-")?.rsplit_once('-').map(|(version, _)| version).filter(|v| v.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn settings_are_read_from_files_and_folders() {
    let dir = std::env::temp_dir().join(format!("xemu-binfmt-settings-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("..data")).unwrap();
    fs::write(dir.join("XEMU_CPU"), "v2\n").unwrap();
    fs::write(dir.join("XEMU_LOG"), "warn").unwrap();
    assert_eq!(read_settings(&dir).unwrap(), ["XEMU_CPU=v2", "XEMU_LOG=warn"]);
    fs::write(dir.join("file"), "# a comment\nXEMU_CPU=v3\n\n").unwrap();
    assert_eq!(read_settings(&dir.join("file")).unwrap(), ["XEMU_CPU=v3"]);
    assert!(read_settings(&dir).is_err(), "a file that is no setting");
    assert_eq!(version_of(Path::new("/run/xemu/xemu-0.1.0-0123456789abcdef")), Some("0.1.0"));
    assert_eq!(version_of(Path::new("/usr/bin/xemu")), None);
    let _ = fs::remove_dir_all(dir);
}
