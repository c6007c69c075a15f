//! `xemu binfmt install | uninstall | status`: registers this binary as the kernel's interpreter of x86_64 programs
//! (Documentation/admin-guide/binfmt-misc.rst).

#![forbid(unsafe_code)]

mod image;
pub mod misc;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where binfmt_misc is mounted.
pub const MOUNT: &str = "/proc/sys/fs/binfmt_misc";
/// Our entry.
pub const NAME: &str = "xemu-x86_64";
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
/// The Linux that tells interpreters of flag P (AT_FLAGS_PRESERVE_ARGV0). With an older one P would shift arguments.
pub const PRESERVES_ARGV0: (u32, u32) = (5, 12);

const USAGE: &str = "usage: xemu binfmt install [--replace-qemu] [--flags POCF] [--path FILE] | uninstall | status
       xemu binfmt [--mount DIR] --install ARCH,... | --uninstall NAME,... | --version   (as the image tonistiigi/binfmt)";

/// The command.
pub fn command(args: &[String]) -> Result<String, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["install", rest @ ..] => {
            let mut replace = false;
            let mut flags = FLAGS.to_string();
            let mut path = None;
            let mut rest = rest.iter();
            while let Some(word) = rest.next() {
                match *word {
                    "--replace-qemu" => replace = true,
                    "--flags" => flags = check_flags(rest.next().ok_or(USAGE)?)?,
                    "--path" => path = Some(check_path(rest.next().ok_or(USAGE)?)?),
                    _ => return Err(USAGE.into()),
                }
            }
            install(Path::new(MOUNT), &path.map_or_else(own_path, Ok)?, &flags, replace)
        }
        ["uninstall"] => uninstall(Path::new(MOUNT)),
        ["status"] => status(Path::new(MOUNT)),
        _ => image::command(&words).unwrap_or_else(|| Err(USAGE.into())),
    }
}

fn check_flags(flags: &str) -> Result<String, String> {
    if flags.chars().all(|c| "POCF".contains(c)) { Ok(flags.to_string()) } else { Err(format!("'{flags}': flags are letters of {FLAGS}")) }
}

/// Another name of xemu to be registered, a link for instance: it tells the kernel's invocations from ours (options::invocation).
fn check_path(path: &str) -> Result<PathBuf, String> {
    let absolute = Path::new(path);
    if absolute.is_absolute() && absolute.is_file() { Ok(absolute.into()) } else { Err(format!("'{path}': not a file's absolute path")) }
}

/// The file that the kernel is to run. It is opened at registration (F) and may be deleted after.
fn own_path() -> Result<PathBuf, String> {
    fs::read_link("/proc/self/exe").map_err(|e| format!("/proc/self/exe: {e}"))
}

/// The register line.
fn registration(binary: &Path, flags: &str) -> Result<String, String> {
    let path = binary.to_str().filter(|p| !p.contains(':')).ok_or_else(|| format!("{}: a path with ':' or not UTF-8 can't be registered", binary.display()))?;
    let line = format!(":{NAME}:M::{MAGIC}:{MASK}:{path}:{flags}");
    // BINPRM_BUF_SIZE limits magic and mask, and the whole line is limited to 1920 bytes (MAX_REGISTER_LENGTH).
    if line.len() > 1920 { Err(format!("{path}: path too long for binfmt_misc")) } else { Ok(line) }
}

fn mounted(mount: &Path) -> Result<(), String> {
    if mount.join("register").exists() {
        return Ok(());
    }
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

fn install(mount: &Path, binary: &Path, flags: &str, replace: bool) -> Result<String, String> {
    mounted(mount)?;
    let line = registration(binary, flags)?;
    let mut said = String::new();
    if mount.join(NAME).exists() {
        // An old registration holds the old binary open; a new one takes the new one.
        write(&mount.join(NAME), "-1")?;
    }
    let qemu = mount.join(QEMU);
    if enabled(&qemu) {
        if replace {
            write(&qemu, "0")?;
            said += "disabled qemu-x86_64 (uninstall enables it again)\n";
        } else {
            said += "note: qemu-x86_64 is registered too and the newest registration wins; --replace-qemu disables it\n";
        }
    }
    write(&mount.join("register"), &line)?;
    said += &format!("registered {NAME} -> {} (flags {flags})\n", binary.display());
    Ok(said)
}

fn enabled(entry: &Path) -> bool {
    fs::read_to_string(entry).is_ok_and(|text| text.lines().next() == Some("enabled"))
}

fn uninstall(mount: &Path) -> Result<String, String> {
    // In a container of its own nothing is mounted, and the entry is there all the same.
    mounted(mount)?;
    let ours = mount.join(NAME);
    if !ours.exists() {
        return Ok(format!("{NAME} is not registered\n"));
    }
    write(&ours, "-1")?;
    let mut said = format!("removed {NAME}\n");
    let qemu = mount.join(QEMU);
    if qemu.exists() && !enabled(&qemu) {
        write(&qemu, "1")?;
        said += "enabled qemu-x86_64 again\n";
    }
    Ok(said)
}

fn status(mount: &Path) -> Result<String, String> {
    if !mount.join("status").exists() {
        return Ok("binfmt_misc is not mounted\n".into());
    }
    let mut said = String::new();
    for name in [NAME, QEMU] {
        match fs::read_to_string(mount.join(name)) {
            Ok(text) => said += &format!("{name}: {}\n", text.trim().replace('\n', ", ")),
            Err(_) => said += &format!("{name}: not registered\n"),
        }
    }
    Ok(said)
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

    #[test]
    fn installs_replaces_and_gives_back() {
        let dir = instance("replace");
        fs::write(dir.join(QEMU), "enabled\ninterpreter /usr/bin/qemu-x86_64\n").unwrap();
        install(&dir, Path::new("/usr/bin/xemu"), FLAGS, true).unwrap();
        let line = fs::read_to_string(dir.join("register")).unwrap();
        assert!(line.starts_with(":xemu-x86_64:M::\\x7fELF") && line.ends_with(":/usr/bin/xemu:POCF"), "{line}");
        assert_eq!(fs::read_to_string(dir.join(QEMU)).unwrap(), "0");
        fs::write(dir.join(QEMU), "disabled\n").unwrap();
        fs::write(dir.join(NAME), "enabled\n").unwrap();
        uninstall(&dir).unwrap();
        assert_eq!(fs::read_to_string(dir.join(NAME)).unwrap(), "-1");
        assert_eq!(fs::read_to_string(dir.join(QEMU)).unwrap(), "1");
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
        assert!(registration(Path::new("/a:b"), FLAGS).is_err());
        assert!(check_flags("FX").is_err());
        assert!(check_path("relative").is_err() && check_path("/nonexistent/xemu").is_err());
        assert!(command(&["install".into(), "--nonsense".into()]).is_err());
    }
}
