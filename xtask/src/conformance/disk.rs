//! Disks for tests, which make file systems and want one of their own: files behind loop devices, to be written to as they like.

use crate::Result;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the Linux Test Project asks for at least is 300 MiB; what is not written takes no room.
const SIZE: u64 = 320 << 20;

/// An attached device; it is detached and its file removed when dropped.
pub struct Disk {
    file: PathBuf,
    device: String,
}

impl Disk {
    /// Attaches a new file at `file`.
    pub fn attach(file: PathBuf) -> Result<Self> {
        File::create(&file).and_then(|f| f.set_len(SIZE)).map_err(|e| format!("{}: {e}", file.display()))?;
        let found = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().map_err(|e| format!("losetup: {e}"))?;
        let disk = Self { file, device: String::from_utf8_lossy(&found.stdout).trim().to_string() };
        if found.status.success() { Ok(disk) } else { Err(String::from_utf8_lossy(&found.stderr).trim().to_string()) }
    }

    /// `/dev/loopN`.
    pub fn device(&self) -> &Path {
        Path::new(&self.device)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Where a killed test's mount still holds it, the kernel detaches it when that is gone.
        if !self.device.is_empty() {
            let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
        }
        let _ = fs::remove_file(&self.file);
    }
}
