//! Checks of binfmt_misc: who takes x86_64 programs now, and after the next boot.

use super::machine::Machine;
use super::{Finding, Level};
use crate::binfmt::misc::{self, Entry, PROGRAM};
use crate::binfmt::{MOUNT, NAME, PRESERVES_ARGV0};
use std::collections::BTreeMap;
use std::fs;

/// Folders of binfmt.d(5), the first that has a file of some name wins.
const BOOT_FOLDERS: [&str; 4] = ["/etc/binfmt.d", "/run/binfmt.d", "/usr/local/lib/binfmt.d", "/usr/lib/binfmt.d"];
const INSTALL: &str = "run `sudo xemu binfmt install`";

/// Is there binfmt_misc at all, and is it on?
pub fn mounted(m: &Machine) -> Finding {
    match m.word(&format!("{MOUNT}/status")).as_deref() {
        Some("enabled") => return Finding::ok(format!("mounted on {MOUNT}")),
        Some(_) => return Finding::new(Level::Failure, "switched off", format!("run `echo 1 > {MOUNT}/status` as root")),
        None => {}
    }
    if m.read("/proc/filesystems").is_some_and(|t| t.contains("binfmt_misc")) {
        return Finding::new(Level::Warning, "known to the kernel, not mounted", format!("{INSTALL}, which mounts it"));
    }
    match m.option("CONFIG_BINFMT_MISC").as_deref() {
        Some("n") => {
            Finding::new(Level::Failure, "not in this kernel (CONFIG_BINFMT_MISC)", "boot another kernel, or start programs by `xemu PROGRAM`")
        }
        _ => Finding::new(Level::Warning, "not loaded, or not visible in this container", "run `modprobe binfmt_misc` as root on the machine itself, then `xemu binfmt install`"),
    }
}

/// Who would run an x86_64 program?
pub fn handler(m: &Machine) -> Finding {
    if m.is_native() {
        return Finding::ok("none is needed");
    }
    let takers = misc::takers(&m.path(MOUNT));
    let winner = takers.iter().find(|e| e.enabled);
    let ours = takers.iter().find(|e| e.name == NAME);
    match (winner, ours) {
        (Some(w), _) if w.name == NAME => ours_found(m, w),
        (_, Some(o)) if !o.enabled => Finding::new(Level::Failure, format!("{NAME} is registered and disabled"), format!("{INSTALL} again")),
        (Some(w), Some(_)) => {
            Finding::new(Level::Failure, format!("{} was registered after xemu, so it runs x86_64 programs", w.shown()), format!("{INSTALL} --replace-qemu"))
        }
        (Some(w), None) => Finding::new(Level::Warning, format!("{} runs x86_64 programs", w.shown()), format!("{INSTALL} --replace-qemu")),
        (None, _) => Finding::new(Level::Warning, "none for x86_64 programs", INSTALL),
    }
}

fn ours_found(m: &Machine, e: &Entry) -> Finding {
    let shown = e.shown();
    if !e.flags.contains('F') {
        let gone = !m.path(&e.interpreter.to_string_lossy()).exists();
        let level = if gone { Level::Failure } else { Level::Warning };
        return Finding::new(level, format!("{shown}: without flag F it works only where its file is visible, not in containers"), format!("{INSTALL} again"));
    }
    let old = misc::release(&m.release()).is_some_and(|r| r < PRESERVES_ARGV0);
    if e.flags.contains('P') && old {
        return Finding::new(
            Level::Failure,
            format!("{shown}: this kernel does not tell interpreters of flag P, so arguments are shifted by one (Linux 5.12 does)"),
            format!("{INSTALL} again, which leaves it out here"),
        );
    }
    Finding::ok(shown)
}

/// Who else is registered?
pub fn others(m: &Machine) -> Finding {
    let others: Vec<String> = misc::takers(&m.path(MOUNT)).iter().filter(|e| e.name != NAME).map(Entry::shown).collect();
    match others.is_empty() {
        true => Finding::ok("none for x86_64 programs"),
        false => Finding { details: others, ..Finding::note("there are; the newest one that is enabled wins, `--replace-qemu` disables QEMU's") },
    }
}

/// Who is registered by the next boot?
pub fn boot(m: &Machine) -> Finding {
    // By file name, as systemd-binfmt reads them; a link to /dev/null hides a file of that name.
    let mut files = BTreeMap::new();
    for folder in BOOT_FOLDERS.iter().rev() {
        for file in fs::read_dir(m.path(folder)).into_iter().flatten().flatten() {
            files.insert(file.file_name(), file.path());
        }
    }
    let mut entries = Vec::new();
    for path in files.values() {
        let text = fs::read_to_string(path).unwrap_or_default();
        entries.extend(text.lines().filter_map(Entry::from_line).filter(|e| e.takes(&PROGRAM)));
    }
    if let Ok(more) = fs::read_dir(m.path("/var/lib/binfmts")) {
        let kept = more.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).filter(|n| n.contains("x86_64"));
        entries.extend(kept.filter_map(|n| Entry::from_line(&format!(r":{n}:M::\x7fELF::(binfmt-support):"))));
    }
    let registered = misc::entry(&m.path(MOUNT), NAME).is_some();
    let ours = entries.iter().rposition(|e| e.name == NAME);
    let systemd = "run `sudo xemu binfmt install --systemd`, or install the Debian package (a DaemonSet registers by itself)";
    let details: Vec<String> = entries.iter().map(Entry::shown).collect();
    let finding = match (ours, entries.last()) {
        (Some(at), _) if at + 1 == entries.len() => Finding::ok("xemu is registered again"),
        (Some(_), Some(last)) => Finding::new(Level::Warning, format!("{} is registered after xemu", last.name), format!("hide its file: ln -s /dev/null /etc/binfmt.d/{}.conf", last.name)),
        (None, Some(last)) => Finding::new(if registered { Level::Warning } else { Level::Note }, format!("{} is registered, xemu is not", last.name), systemd),
        (None, None) if registered => Finding::new(Level::Note, "xemu is not registered again", systemd),
        _ => Finding::ok("nobody is registered for x86_64 programs"),
    };
    Finding { details, ..finding }
}
