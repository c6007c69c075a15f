//! The command lines of `xemu binfmt`.

use super::{MOUNT, NAME, NATIVE, Plan, boot, check_flags, check_path, copy, image, install, misc, qemus, uninstall};
use crate::commands::Done;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const USAGE: &str = "\
usage: xemu binfmt install [OPTIONS] | uninstall | status [--json]
  --replace-qemu     disable QEMU's entry for x86_64; uninstall enables it again
  --flags POCF       flags of the entry, if not all
  --path FILE        register this file, another name of xemu
  --settings FILE    register a copy that carries these settings: lines NAME=VALUE, or a folder with a file for each
  --copy-to DIR      where the copy is written (/run/xemu)
  --systemd          register at each boot too, by a file in /etc/binfmt.d
  --mount DIR        where binfmt_misc is mounted (/proc/sys/fs/binfmt_misc)
or by the options of the image tonistiigi/binfmt:
  xemu binfmt [--mount DIR] --install ARCH,... | --uninstall NAME,... | --version
";
const COPIES: &str = "/run/xemu";
/// What an amd64 machine is told.
pub const NOTHING_TO_DO: &str = "this is an amd64 machine: it runs amd64 programs by itself, and nothing is registered\n";

/// What was asked for.
#[derive(Default)]
struct Asked {
    mount: Option<PathBuf>,
    replace_qemu: bool,
    flags: Option<String>,
    path: Option<PathBuf>,
    settings: Option<PathBuf>,
    copies: Option<PathBuf>,
    systemd: bool,
    json: bool,
}

fn read(words: &[&str], known: &[&str]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, inline) = word.split_once('=').map_or((*word, None), |(n, v)| (n, Some(v)));
        if !known.contains(&name) {
            return Err(format!("unknown option {word}\n{USAGE}"));
        }
        let mut value = || inline.or_else(|| words.next().copied()).ok_or_else(|| format!("option {name} needs a value\n{USAGE}"));
        match name {
            "--mount" => asked.mount = Some(value()?.into()),
            "--flags" => asked.flags = Some(check_flags(value()?)?),
            "--path" => asked.path = Some(check_path(value()?)?),
            "--settings" => asked.settings = Some(value()?.into()),
            "--copy-to" => asked.copies = Some(value()?.into()),
            "--replace-qemu" => asked.replace_qemu = true,
            "--systemd" => asked.systemd = true,
            _ => asked.json = true,
        }
    }
    Ok(asked)
}

const INSTALL: &[&str] = &["--replace-qemu", "--flags", "--path", "--settings", "--copy-to", "--systemd", "--mount"];

/// The command.
pub fn command(args: &[String]) -> Result<Done, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mount = |asked: &Asked| asked.mount.clone().unwrap_or_else(|| MOUNT.into());
    match words.as_slice() {
        ["install", rest @ ..] => {
            let asked = read(rest, INSTALL)?;
            if NATIVE { Ok(Done::text(NOTHING_TO_DO)) } else { install_asked(&mount(&asked), asked).map(Done::text) }
        }
        ["uninstall", rest @ ..] => {
            let asked = read(rest, &["--mount"])?;
            let said = boot::disable(Path::new(boot::FOLDER))?;
            Ok(Done::text(said + &uninstall(&mount(&asked))?))
        }
        ["status", rest @ ..] => {
            let asked = read(rest, &["--mount", "--json"])?;
            let state = State::of(&mount(&asked));
            let text = if asked.json { format!("{:#}\n", state.as_json()) } else { state.as_text() };
            Ok(Done { text, failed: !state.enabled() })
        }
        ["--help" | "-h" | "help"] => Ok(Done::text(USAGE)),
        _ => image::command(&words).unwrap_or_else(|| Err(USAGE.into())).map(Done::text),
    }
}

fn install_asked(mount: &Path, asked: Asked) -> Result<String, String> {
    let mut plan = Plan::new(mount)?;
    plan.flags = asked.flags.unwrap_or(plan.flags);
    plan.binary = asked.path.unwrap_or(plan.binary);
    plan.replace_qemu = asked.replace_qemu;
    if asked.settings.is_some() || asked.copies.is_some() {
        let settings = asked.settings.map_or(Ok(Vec::new()), |path| copy::read_settings(&path))?;
        let folder = asked.copies.unwrap_or_else(|| COPIES.into());
        plan.binary = copy::make(&plan.binary, &settings, &folder)?;
    }
    let mut said = install(&plan)?;
    if asked.systemd {
        said += &boot::enable(Path::new(boot::FOLDER), &plan.binary, &plan.flags, plan.replace_qemu)?;
    }
    Ok(said)
}

/// What is registered.
pub struct State {
    mount: PathBuf,
    mounted: bool,
    ours: Option<misc::Entry>,
    others: Vec<misc::Entry>,
}

impl State {
    /// As it is there now; nothing is mounted for it.
    pub fn of(mount: &Path) -> State {
        let mut others = misc::takers(mount);
        others.retain(|e| e.name != NAME);
        State { mount: mount.into(), mounted: mount.join("status").exists(), ours: misc::entry(mount, NAME), others }
    }

    /// Are x86_64 programs given to xemu, as far as its own entry goes?
    pub fn enabled(&self) -> bool {
        self.ours.as_ref().is_some_and(|e| e.enabled)
    }

    fn as_text(&self) -> String {
        if !self.mounted {
            return format!("binfmt_misc is not mounted on {}\n", self.mount.display());
        }
        let line = |e: &misc::Entry| {
            let state = if e.enabled { "enabled" } else { "disabled" };
            format!("{}: {state}, interpreter {}, flags {}\n", e.name, e.interpreter.display(), e.flags)
        };
        let mut said = self.ours.as_ref().map_or_else(|| format!("{NAME}: not registered\n"), line);
        said.extend(self.others.iter().map(line));
        if qemus(&self.mount).is_empty() {
            said += &format!("{}: not registered\n", super::QEMU);
        }
        said
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        let entry = |e: &misc::Entry| {
            let version = copy::version_of(&e.interpreter);
            json!({ "name": e.name, "enabled": e.enabled, "interpreter": e.interpreter.to_string_lossy(), "flags": e.flags, "version": version })
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "mount": self.mount.to_string_lossy(),
            "mounted": self.mounted,
            "registered": self.ours.is_some(),
            "enabled": self.enabled(),
            "entry": self.ours.as_ref().map(entry),
            "others": self.others.iter().map(entry).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_whole() {
        let asked = read(&["--flags", "F", "--mount=/m", "--replace-qemu", "--systemd", "--copy-to", "/c", "--settings=/s"], INSTALL).unwrap();
        assert_eq!((asked.flags.as_deref(), asked.mount.as_deref()), (Some("F"), Some(Path::new("/m"))));
        assert!(asked.replace_qemu && asked.systemd && asked.copies.is_some() && asked.settings.is_some());
        assert!(read(&["--nonsense"], INSTALL).is_err() && read(&["--mount"], INSTALL).is_err() && read(&["--json"], INSTALL).is_err());
        assert!(command(&["install".into(), "--nonsense".into()]).is_err());
    }

    #[test]
    fn the_state_is_told_in_both_forms() {
        let dir = std::env::temp_dir().join(format!("xemu-binfmt-state-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        assert!(State::of(&dir).as_text().contains("not mounted"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("status"), "enabled\n").unwrap();
        assert!(!State::of(&dir).enabled());
        let entry = "enabled\ninterpreter /run/xemu/xemu-0.1.0-00112233445566ff\nflags: POCF\noffset 0\nmagic 7f454c4602010100000000000000000002003e00\nmask fffffffffffefe00fffffffffffffffffeffffff\n";
        std::fs::write(dir.join(NAME), entry).unwrap();
        std::fs::write(dir.join("qemu-x86_64"), entry.replace("enabled", "disabled")).unwrap();
        let state = State::of(&dir);
        assert!(state.enabled() && state.as_text().contains("xemu-x86_64: enabled, interpreter /run/xemu/xemu-0.1.0-00112233445566ff, flags POCF\n"));
        let json = state.as_json();
        assert_eq!((&json["entry"]["version"], &json["others"][0]["enabled"], &json["mounted"]), (&"0.1.0".into(), &false.into(), &true.into()));
        let words = ["status", "--json", "--mount", dir.to_str().unwrap()].map(String::from);
        assert!(!command(&words).unwrap().failed);
        let _ = std::fs::remove_dir_all(dir);
    }
}
