//! `xemu binfmt install | uninstall | status`: registers this binary as the kernel's interpreter of x86_64 programs
//! (Documentation/admin-guide/binfmt-misc.rst).
//!
//! While an entry is replaced there is no moment without one: a program started then finds the old one or the new one.

#![forbid(unsafe_code)]

pub mod boot;
mod cli;
pub mod copy;
mod image;
pub mod misc;

pub use cli::command;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where binfmt_misc is mounted.
pub const MOUNT: &str = "/proc/sys/fs/binfmt_misc";
/// Our entry.
pub const NAME: &str = "xemu-x86_64";
/// Ours while it is replaced.
const NEXT: &str = "xemu-x86_64-next";
/// The entry that QEMU's packages and images make.
const QEMU: &str = "qemu-x86_64";

/// First 20 bytes of a little-endian 64-bit x86_64 ELF file, executable or position-independent (e_type 2 or 3 by the mask), as register text: the
/// kernel wants the escapes literally.
const MAGIC: &str = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00";
/// Which of those bits count. Padding (EI_OSABI, EI_ABIVERSION) is partly free, as every other registration has it.
const MASK: &str = r"\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
/// F: open the interpreter now, so that it works in every mount namespace. P: keep argv[0]. O: hand over the program opened. C: setuid programs
/// keep their credentials.
const FLAGS: &str = "POCF";
/// The same for kernels that do not tell an interpreter of P.
const FLAGS_WITHOUT_P: &str = "OCF";
/// The Linux that tells interpreters of flag P (AT_FLAGS_PRESERVE_ARGV0). With an older one P would shift arguments.
pub const PRESERVES_ARGV0: (u32, u32) = (5, 12);

const AT_PAGESZ: u64 = 6;
/// The pages of a host that xemu runs on, in bytes.
const PAGES: u64 = 4096;

/// An architecture that runs amd64 programs by itself.
pub const NATIVE: bool = cfg!(target_arch = "x86_64");

/// What is registered where, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where binfmt_misc is mounted.
    pub mount: PathBuf,
    /// The file that the kernel is to run. It is opened at registration (F) and may be deleted after.
    pub binary: PathBuf,
    /// Letters of `POCF`.
    pub flags: String,
    /// Whether QEMU's entries for x86_64 are disabled.
    pub replace_qemu: bool,
    /// The host's pages, in bytes (AT_PAGESZ).
    pub pages: u64,
}

impl Plan {
    /// This xemu with all flags that the kernel knows how to use.
    pub fn new(mount: &Path) -> Result<Plan, String> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let pages = fs::read("/proc/self/auxv").ok().and_then(|vector| misc::auxiliary(&vector, AT_PAGESZ)).unwrap_or(PAGES);
        Ok(Plan { mount: mount.into(), binary: own_path()?, flags: flags_for(&release).into(), replace_qemu: false, pages })
    }
}

/// Flags for a kernel of this release.
fn flags_for(release: &str) -> &'static str {
    match misc::release(release) {
        Some(r) if r < PRESERVES_ARGV0 => FLAGS_WITHOUT_P,
        _ => FLAGS,
    }
}

fn check_flags(flags: &str) -> Result<String, String> {
    if flags.chars().all(|c| FLAGS.contains(c)) { Ok(flags.to_string()) } else { Err(format!("'{flags}': flags are letters of {FLAGS}")) }
}

/// Another name of xemu to be registered, a link for instance: it tells the kernel's invocations from ours (options::invocation).
fn check_path(path: &str) -> Result<PathBuf, String> {
    let absolute = Path::new(path);
    if absolute.is_absolute() && absolute.is_file() { Ok(absolute.into()) } else { Err(format!("'{path}': not a file's absolute path")) }
}

fn own_path() -> Result<PathBuf, String> {
    fs::read_link("/proc/self/exe").map_err(|e| format!("/proc/self/exe: {e}"))
}

/// The register line.
pub fn registration(name: &str, binary: &Path, flags: &str) -> Result<String, String> {
    let path = binary.to_str().filter(|p| !p.contains(':')).ok_or_else(|| format!("{}: a path with ':' or not UTF-8 can't be registered", binary.display()))?;
    let line = format!(":{name}:M::{MAGIC}:{MASK}:{path}:{flags}");
    // BINPRM_BUF_SIZE limits magic and mask, and the whole line is limited to 1920 bytes (MAX_REGISTER_LENGTH).
    if line.len() > 1920 { Err(format!("{path}: path too long for binfmt_misc")) } else { Ok(line) }
}

/// Makes sure that binfmt_misc is mounted there.
pub fn mounted(mount: &Path) -> Result<(), String> {
    if mount.join("register").exists() {
        return Ok(());
    }
    // (Where it is not the usual place the folder may have to be made; if it can't be, mounting says so.)
    let _ = fs::create_dir_all(mount);
    let done = nix_mount(mount);
    if mount.join("register").exists() {
        return Ok(());
    }
    Err(format!("{}: binfmt_misc is not mounted and can't be mounted ({done}); load the kernel module binfmt_misc and run as root", mount.display()))
}

fn nix_mount(mount: &Path) -> String {
    // The module first: mounting loads it only where the kernel may call modprobe.
    let _ = Command::new("modprobe").arg("binfmt_misc").output();
    match crate::host::file::mount(b"binfmt_misc", mount.as_os_str().as_encoded_bytes(), b"binfmt_misc") {
        Ok(()) => "mounted".into(),
        Err(e) => e.to_string(),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| {
        let hint = if e.kind() == std::io::ErrorKind::PermissionDenied { " (run as root)" } else { "" };
        format!("{}: {e}{hint}", path.display())
    })
}

/// Registers an entry and makes sure that it is there.
fn register(plan: &Plan, name: &str) -> Result<(), String> {
    write(&plan.mount.join("register"), &registration(name, &plan.binary, &plan.flags)?)?;
    // Some kernels show an entry only after the folder has been touched (amazonlinux/amazon-linux-2023#479).
    let _ = fs::File::open(&plan.mount).and_then(|dir| dir.set_modified(std::time::SystemTime::now()));
    Ok(())
}

/// Removes an entry, if it is there.
fn remove(mount: &Path, name: &str) -> Result<bool, String> {
    let entry = mount.join(name);
    let there = entry.exists();
    if there {
        write(&entry, "-1")?;
    }
    Ok(there)
}

/// QEMU's entries that take x86_64 programs, in whatever state.
fn qemus(mount: &Path) -> Vec<misc::Entry> {
    let mut found = misc::takers(mount);
    found.retain(|e| e.name.starts_with("qemu-"));
    found
}

/// Registers xemu, in place of an older xemu. Where it could run no program nothing is done: another emulator's entry may be one that works.
pub fn install(plan: &Plan) -> Result<String, String> {
    if plan.pages != PAGES {
        return Err(format!("this host has pages of {} bytes; only {PAGES} are supported: nothing was registered or replaced (`xemu doctor` says more)", plan.pages));
    }
    mounted(&plan.mount)?;
    registration(NAME, &plan.binary, &plan.flags)?;
    // An old registration holds the old file open; the new one opens the new one. In between the kernel uses this:
    remove(&plan.mount, NEXT)?;
    let old = plan.mount.join(NAME).exists();
    if old {
        register(plan, NEXT)?;
        remove(&plan.mount, NAME)?;
    }
    register(plan, NAME)?;
    if old {
        remove(&plan.mount, NEXT)?;
    }
    let mut said = String::new();
    for other in misc::takers(&plan.mount).iter().filter(|e| e.enabled && e.name != NAME && e.name != NEXT) {
        let name = &other.name;
        if plan.replace_qemu && name.starts_with("qemu-") {
            write(&plan.mount.join(name), "0")?;
            said += &format!("disabled {name} (uninstall enables it again)\n");
        } else {
            let how = if name.starts_with("qemu-") { "; --replace-qemu disables it" } else { "" };
            said += &format!("note: {name} is registered too and the newest registration wins{how}\n");
        }
    }
    said += &format!("registered {NAME} -> {} (flags {})\n", plan.binary.display(), plan.flags);
    Ok(said)
}

/// Is there an entry of this name, in use?
fn enabled(mount: &Path, name: &str) -> bool {
    misc::entry(mount, name).is_some_and(|e| e.enabled)
}

/// Removes xemu's entry and enables QEMU's.
pub fn uninstall(mount: &Path) -> Result<String, String> {
    // In a container of its own nothing is mounted, and the entry is there all the same.
    mounted(mount)?;
    let mut said = String::new();
    // QEMU's first: programs start all the time.
    if mount.join(NAME).exists() {
        for qemu in qemus(mount).iter().filter(|e| !e.enabled) {
            write(&mount.join(&qemu.name), "1")?;
            said += &format!("enabled {} again\n", qemu.name);
        }
    }
    remove(mount, NEXT)?;
    match remove(mount, NAME)? {
        true => Ok(format!("removed {NAME}\n{said}")),
        false => Ok(format!("{NAME} is not registered\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("xemu-binfmt-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("register"), "").unwrap();
        fs::write(dir.join("status"), "enabled").unwrap();
        dir
    }

    fn plan(mount: &Path, replace_qemu: bool) -> Plan {
        Plan { mount: mount.into(), binary: "/usr/bin/xemu".into(), flags: FLAGS.into(), replace_qemu, pages: PAGES }
    }

    fn entry(state: &str) -> String {
        format!("{state}\ninterpreter /x\nflags: OCF\noffset 0\nmagic 7f454c4602010100000000000000000002003e00\nmask fffffffffffefe00fffffffffffffffffeffffff\n")
    }

    #[test]
    fn installs_replaces_and_gives_back() {
        let dir = instance("replace");
        fs::write(dir.join(QEMU), entry("enabled")).unwrap();
        install(&plan(&dir, true)).unwrap();
        let line = fs::read_to_string(dir.join("register")).unwrap();
        assert!(line.starts_with(":xemu-x86_64:M::\\x7fELF") && line.ends_with(":/usr/bin/xemu:POCF"), "{line}");
        assert_eq!(fs::read_to_string(dir.join(QEMU)).unwrap(), "0");
        fs::write(dir.join(QEMU), entry("disabled")).unwrap();
        fs::write(dir.join(NAME), entry("enabled")).unwrap();
        uninstall(&dir).unwrap();
        assert_eq!(fs::read_to_string(dir.join(NAME)).unwrap(), "-1");
        assert_eq!(fs::read_to_string(dir.join(QEMU)).unwrap(), "1");
        let _ = fs::remove_dir_all(dir);
    }

    #[test]
    fn a_replaced_entry_is_never_missed() {
        let dir = instance("next");
        fs::write(dir.join(NAME), entry("enabled")).unwrap();
        fs::write(dir.join("qemu-x86_64-other"), entry("enabled")).unwrap();
        fs::write(dir.join("rosetta"), entry("enabled")).unwrap();
        let said = install(&plan(&dir, false)).unwrap();
        assert!(said.contains("note: qemu-x86_64-other is registered too") && said.contains("note: rosetta is"), "{said}");
        // (These files stay what they are; the kernel's would be gone.)
        assert_eq!(fs::read_to_string(dir.join(NAME)).unwrap(), "-1");
        assert!(fs::read_to_string(dir.join("register")).unwrap().starts_with(":xemu-x86_64:M:"));
        let said = install(&plan(&dir, true)).unwrap();
        assert!(said.contains("disabled qemu-x86_64-other") && said.contains("note: rosetta is"), "{said}");
        let _ = fs::remove_dir_all(dir);
    }

    #[test]
    fn a_host_of_other_pages_keeps_what_it_has() {
        let dir = instance("pages");
        fs::write(dir.join(QEMU), entry("enabled")).unwrap();
        for pages in [16384, 65536] {
            let said = install(&Plan { pages, ..plan(&dir, true) }).unwrap_err();
            assert!(said.starts_with(&format!("this host has pages of {pages} bytes; only 4096 are supported: nothing was")), "{said}");
        }
        assert_eq!(fs::read_to_string(dir.join("register")).unwrap(), "");
        assert!(enabled(&dir, QEMU));
        let _ = fs::remove_dir_all(dir);
    }

    #[test]
    fn magic_and_mask_cover_the_same_bytes() {
        let bytes = |s: &str| s.matches("\\x").count() + s.matches("ELF").count() * 3;
        assert_eq!(bytes(MAGIC), 20);
        assert_eq!(bytes(MASK), 20);
    }

    #[test]
    fn refuses_what_the_kernel_would() {
        assert!(registration(NAME, Path::new("/a:b"), FLAGS).is_err());
        assert!(registration(NAME, Path::new(&format!("/{}", "x".repeat(2000))), FLAGS).is_err());
        assert!(check_flags("FX").is_err());
        assert!(check_path("relative").is_err() && check_path("/nonexistent/xemu").is_err());
        assert_eq!((flags_for("5.10.0-30-arm64"), flags_for("5.12.0"), flags_for("")), ("OCF", "POCF", "POCF"));
    }
}
