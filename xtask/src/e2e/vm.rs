//! An ARM64 machine of its own: a real kernel in qemu-system-aarch64, a node that holds nothing but busybox and xemu, and the amd64 root file system.
//!
//! One boot runs any number of scripts. What they wrote comes back on a disk, not by the console, so it may hold any byte; the console only tells
//! how far the machine has come.

use super::kernel::Kernel;
use super::scenario::{self, Scenario};
use crate::image::Platform;
use crate::process::{Outcome, run};
use crate::{Result, project, rootfs, tools};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Memory of the machine in MiB, and its processors.
const MEMORY: &str = "2048";
const PROCESSORS: &str = "2";
/// Room for results, in bytes.
const RESULTS_SIZE: u64 = 64 << 20;
/// Room in the root file system's image beyond what it holds, in bytes: for a compiler's packages and two copies of their layer. It costs nothing until it is used.
const IMAGE_SPARE: u64 = 4 << 30;
/// Time for the boot and the end.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// What init.sh says last.
const DONE: &str = "[e2e] done";

/// A folder that goes when it is no longer needed.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A machine that has run to its end.
pub struct Finished {
    folder: Folder,
    /// Everything that it wrote to its console.
    pub console: String,
}

impl Finished {
    /// How a script ended.
    pub fn outcome(&self, stem: &str) -> Result<Outcome> {
        let dir = self.folder.0.join("results").join(stem);
        let read = |name: &str| {
            fs::read(dir.join(name)).map_err(|_| format!("the machine has no result of {stem}; its console:\n{}", tail(&self.console)))
        };
        Ok(Outcome { stdout: read("stdout")?, stderr: read("stderr")?, end: String::from_utf8_lossy(&read("end")?).trim().to_string() })
    }
}

/// The end of the console, for a human.
fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// Boots the kernel of this flavour and runs `scripts` one after the other.
pub fn run_scripts(flavour: &str, xemu: &Path, scripts: &[Scenario]) -> Result<Finished> {
    tools::need_program("qemu-system-aarch64", "qemu-system-arm")?;
    let folder = Folder(project::target("e2e/vm").join(format!("{flavour}-{}", std::process::id())));
    let dir = folder.0.clone();
    let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
    fs::create_dir_all(&dir).map_err(failed)?;
    let kernel = Kernel::fetch(flavour)?;
    let (ramdisk, payload, results) = (dir.join("ramdisk"), dir.join("payload.tar"), dir.join("results.tar"));
    fs::write(&ramdisk, kernel.ramdisk(&[])?).map_err(failed)?;
    pack(&dir.join("payload"), &payload, xemu, scripts)?;
    fs::File::create(&results).and_then(|f| f.set_len(RESULTS_SIZE)).map_err(failed)?;

    let mut qemu = machine();
    // (What it writes there can be watched while it runs, in the machine's folder.)
    qemu.args(["-chardev", &format!("stdio,id=console,signal=off,logfile={}", dir.join("console").display()), "-serial", "chardev:console"]);
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&ramdisk);
    qemu.args(["-append", "console=ttyAMA0 quiet loglevel=4 panic=-1 mitigations=off random.trust_cpu=1"]);
    let mut disks = vec![(image("amd64")?, "snapshot=on"), (payload, "readonly=on"), (results.clone(), "")];
    if with_host(scripts) {
        disks.push((image("node")?, "snapshot=on"));
    }
    if let Some(root) = shared_root(scripts)? {
        disks.push((image(root)?, "snapshot=on"));
    }
    for (number, (path, options)) in disks.into_iter().enumerate() {
        let drive = format!("if=none,id=d{number},format=raw,cache=unsafe,file={},{options}", path.display());
        qemu.args(["-drive", drive.trim_end_matches(','), "-device", &format!("virtio-blk-pci,drive=d{number}")]);
    }
    let limit = BOOT_LIMIT + scripts.iter().map(Scenario::limit).sum();
    let outcome = run(qemu, limit)?.outcome;
    let console = String::from_utf8_lossy(&outcome.stdout).replace('\r', "");
    if !console.contains(DONE) {
        return Err(format!(
            "the machine did not come to its end ({}): {}\n{}",
            outcome.end,
            String::from_utf8_lossy(&outcome.stderr),
            tail(&console)
        ));
    }
    let unpacked = dir.join("results");
    fs::create_dir_all(&unpacked).map_err(failed)?;
    tar(Command::new("tar").arg("-xf").arg(&results).arg("-C").arg(&unpacked))?;
    Ok(Finished { folder, console })
}

/// Does any of them need the Debian that runs containers?
fn with_host(scripts: &[Scenario]) -> bool {
    scripts.iter().any(|s| s.kind() == "host")
}

/// The root file system that containers of host scripts have: one for all that run in a machine.
fn shared_root(scripts: &[Scenario]) -> Result<Option<&str>> {
    let mut wanted: Vec<&str> = scripts.iter().filter_map(Scenario::root).collect();
    wanted.dedup();
    if wanted.len() > 1 { Err(format!("a machine has one root file system for containers, not {}", wanted.join(", "))) } else { Ok(wanted.pop()) }
}

/// qemu without anything that the tests do not need; with the processor's own virtualisation where that is to be had.
fn machine() -> Command {
    let mut qemu = Command::new("qemu-system-aarch64");
    if !project::HOST_IS_X86 && fs::File::options().read(true).write(true).open("/dev/kvm").is_ok() {
        qemu.args(["-M", "virt,gic-version=host", "-cpu", "host", "-accel", "kvm"]);
    } else {
        qemu.args(["-M", "virt,gic-version=3", "-cpu", crate::emulator::CPU, "-accel", "tcg,thread=multi"]);
    }
    qemu.args(["-smp", PROCESSORS, "-m", MEMORY, "-display", "none", "-no-reboot", "-nodefaults", "-nic", "none"]);
    qemu
}

/// Everything that the machine is to run, as an archive.
fn pack(dir: &Path, archive: &Path, xemu: &Path, scripts: &[Scenario]) -> Result<()> {
    let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
    let copy_all = |from: &Path, to: &Path| -> Result<()> {
        fs::create_dir_all(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)?.flatten().filter(|e| e.path().is_file()) {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
        }
        Ok(())
    };
    copy_all(&scenario::folder(), &dir.join("scripts"))?;
    copy_all(&scenario::folder().join("lib"), &dir.join("scripts/lib"))?;
    fs::create_dir_all(dir.join("guests")).map_err(failed)?;
    for guest in scripts.iter().flat_map(|s| s.directives.words("needs")) {
        let to = dir.join("guests").join(guest);
        fs::create_dir_all(to.parent().expect("has a folder")).map_err(failed)?;
        fs::copy(project::target("guests").join(guest), &to).map_err(|e| format!("{guest}: {e}"))?;
    }
    let binary = fs::read(xemu).map_err(|e| format!("{}: {e}", xemu.display()))?;
    fs::write(dir.join("image.tar"), crate::image::archive(&[Platform { architecture: "arm64", xemu: &binary }], None).0).map_err(failed)?;
    if with_host(scripts) {
        let layer = folder_as_layer(&rootfs::ensure("small")?)?;
        fs::write(dir.join("debian.tar"), crate::image::of_layer("debian:latest", "amd64", layer)).map_err(failed)?;
        pack_archive(dir, scripts)?;
        fs::copy(project::root().join("README.md"), dir.join("README.md")).map_err(failed)?;
        fs::write(dir.join("Dockerfile"), include_str!("../../../deploy/Dockerfile")).map_err(failed)?;
        fs::write(dir.join("xemu.deb"), crate::deb::package(&binary, "{}\n")).map_err(failed)?;
    }
    // With its mode.
    fs::copy(xemu, dir.join("xemu")).map_err(failed)?;
    fs::write(dir.join("run.sh"), include_str!("run.sh")).map_err(failed)?;
    let line = |s: &Scenario| {
        let words: Vec<String> = s.command().iter().map(|w| w.to_string_lossy().into_owned()).collect();
        format!("{} {} {} {}\n", s.kind(), s.stem, s.limit().as_secs(), words.join(" "))
    };
    fs::write(dir.join("list"), scripts.iter().map(line).collect::<String>()).map_err(failed)?;
    // A disk has whole sectors, and the archive whole records of 10 KiB.
    tar(Command::new("tar").arg("-cf").arg(archive).arg("-C").arg(dir).arg("."))
}

/// The repository of packages that scripts want, and the image that can install them.
fn pack_archive(dir: &Path, scripts: &[Scenario]) -> Result<()> {
    let mut wanted: Vec<&str> = scripts.iter().flat_map(|s| s.directives.words("archive")).collect();
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(());
    }
    let layer = folder_as_layer(&rootfs::ensure("base")?)?;
    let to = dir.join("base.tar");
    fs::write(&to, crate::image::of_layer("base:latest", "amd64", layer)).map_err(|e| format!("{}: {e}", to.display()))?;
    rootfs::installed::repository(&rootfs::beyond_base(&wanted)?, &dir.join("archive"))
}

/// A root file system as the layer of an image, without what only people read: everything in it is hashed by an emulated processor.
fn folder_as_layer(root: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new("tar");
    command.args(["-c", "--numeric-owner"]);
    for folder in ["doc", "info", "locale", "man"] {
        command.arg(format!("--exclude=./usr/share/{folder}"));
    }
    command.args(["--exclude=gconv", "--exclude=./.packages", "-C"]).arg(root).arg(".");
    let output = command.output().map_err(|e| format!("tar: {e}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("tar: {}", String::from_utf8_lossy(&output.stderr))) }
}

fn tar(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|e| format!("tar: {e}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("tar: {}", String::from_utf8_lossy(&output.stderr))) }
}

/// A root file system as a disk, made again when that has changed.
fn image(name: &str) -> Result<PathBuf> {
    tools::need_program("mke2fs", "e2fsprogs")?;
    let root = rootfs::ensure(name)?;
    let (image, stamp) = (project::target(&format!("e2e/rootfs-{name}.img")), project::target(&format!("e2e/rootfs-{name}.packages")));
    let wanted = format!("spare {IMAGE_SPARE}\n{}", fs::read_to_string(root.join(".packages")).unwrap_or_default());
    if image.is_file() && fs::read_to_string(&stamp).is_ok_and(|t| t == wanted) {
        return Ok(image);
    }
    let new = image.with_extension("new");
    let size = folder_size(&root)? * 5 / 4 + IMAGE_SPARE;
    fs::File::create(&new).and_then(|f| f.set_len(size)).map_err(|e| format!("{}: {e}", new.display()))?;
    let options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-E", "lazy_itable_init=1,nodiscard", "-d"];
    let output = Command::new("mke2fs").args(options).arg(&root).arg(&new).output().map_err(|e| format!("mke2fs: {e}"))?;
    if !output.status.success() {
        return Err(format!("mke2fs: {}", String::from_utf8_lossy(&output.stderr)));
    }
    fs::rename(&new, &image).and_then(|()| fs::write(&stamp, wanted)).map_err(|e| format!("{}: {e}", image.display()))?;
    Ok(image)
}

/// Bytes that the files of a folder take on disk, roughly.
fn folder_size(dir: &Path) -> Result<u64> {
    let (mut total, mut pending) = (0, vec![dir.to_path_buf()]);
    while let Some(dir) = pending.pop() {
        let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for entry in entries.flatten() {
            let meta = entry.metadata().map_err(|e| e.to_string())?;
            if meta.is_dir() {
                pending.push(entry.path());
            }
            total += meta.len().next_multiple_of(4096);
        }
    }
    Ok(total)
}
