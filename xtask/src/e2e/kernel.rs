//! ARM64 kernels from Debian 13, and the initial RAM disk that starts them: static busybox, the modules that are needed, and init.sh.

use super::archive::Cpio;
use crate::{Result, apt, project, tools};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules that Debian does not build in, as far as its flavours have them.
const MODULES: &[&str] =
    &["virtio_blk", "ext4", "jbd2", "mbcache", "crc16", "crc32c_generic", "crc32c-cryptoapi", "binfmt_misc", "overlay"];

/// A kernel: its image, and the folder of its modules.
pub struct Kernel {
    /// What `-kernel` takes.
    pub image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// Debian's kernel of this flavour (`cloud-arm64`, `arm64-16k`), unpacked below `target/`.
    pub fn fetch(flavour: &str) -> Result<Self> {
        let dir = project::target(&format!("e2e/kernel-{flavour}"));
        if !dir.join("boot").is_dir() {
            eprintln!("xtask: fetching Debian 13's kernel linux-image-{flavour}");
            let suite = apt::Suite::new("trixie")?;
            // The name without a version is an empty package that depends on the newest.
            let depends = suite.depends(&format!("linux-image-{flavour}:arm64"))?;
            let package = depends.iter().find(|d| d.starts_with("linux-image-")).ok_or(format!("linux-image-{flavour} names no kernel"))?;
            let new = dir.with_extension("new");
            let _ = fs::remove_dir_all(&new);
            suite.unpack(&[&format!("{package}:arm64")], &new)?;
            fs::rename(&new, &dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        let image = only(&dir.join("boot"), "vmlinuz-")?;
        Ok(Self { image, modules: only(&dir.join("usr/lib/modules"), "")? })
    }

    /// The initial RAM disk; `more` are files (name, content) for its top folder.
    pub fn ramdisk(&self, more: &[(&str, &[u8])]) -> Result<Vec<u8>> {
        let mut cpio = Cpio::default();
        for folder in ["bin", "dev", "proc", "sys", "modules"] {
            cpio.folder(folder);
        }
        cpio.file("bin/busybox", &read(&super::busybox("arm64")?)?);
        cpio.link("bin/sh", "busybox");
        cpio.file("init", include_bytes!("init.sh"));
        for path in find_modules(&self.modules)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = name.split(".ko").next().unwrap_or_default();
            cpio.file(&format!("modules/{name}.ko"), &decompressed(&path)?);
        }
        more.iter().for_each(|(name, content)| cpio.file(name, content));
        Ok(cpio.finish())
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The one entry of a folder whose name begins so.
fn only(dir: &Path, start: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut found: Vec<PathBuf> =
        entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(start)).map(|e| e.path()).collect();
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        _ => Err(format!("{} does not hold exactly one {start}*", dir.display())),
    }
}

fn find_modules(dir: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut pending) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(dir) = pending.pop() {
        let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                pending.push(path);
            } else if name.split_once(".ko").is_some_and(|(stem, _)| MODULES.contains(&stem)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn decompressed(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_none_or(|x| x != "xz") {
        return read(path);
    }
    tools::need_program("xz", "xz-utils")?;
    let output = Command::new("xz").arg("-dc").arg(path).output().map_err(|e| format!("xz: {e}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("{} does not unpack", path.display())) }
}
