//! The options of the image tonistiigi/binfmt, by which scripts and CI actions register emulators: `--install amd64`, `--uninstall qemu-x86_64`,
//! `--mount`, `--version`, and without any the state as JSON. Of the architectures only ours is installed; others are said to be unknown.
//!
//! As there, one architecture that can't be had does not stop the others; unlike there, the exit code tells of it if none was left. The variables
//! QEMU_BINARY_PATH and QEMU_BINARY_PREFIX name a file of another image and mean nothing here; P is always on (QEMU_PRESERVE_ARGV0).

use super::cli::NOTHING_TO_DO;
use super::{MOUNT, NAME, NATIVE, Plan, QEMU, enabled, install, misc, mounted, uninstall};
use serde_json::json;
use std::path::Path;

/// Names of the guest's architecture, as those who ask for it write them.
const ARCHITECTURES: &[&str] = &["all", "amd64", "x86_64", "x86-64", "linux/amd64", "linux/x86_64"];

enum Action {
    Install(String),
    Uninstall(String),
    Version,
    State,
}

/// What was asked for; None if these are not such options.
pub fn command(words: &[&str]) -> Option<Result<String, String>> {
    let (mut mount, mut action) = (MOUNT.to_string(), Action::State);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        // Go's options: one dash or two, the value behind `=` or in the next word.
        let option = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
        let (name, value) = option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v)));
        let mut value = || value.or_else(|| words.next().copied()).map(str::to_string);
        match name {
            "install" => action = Action::Install(value()?),
            "uninstall" => action = Action::Uninstall(value()?),
            "mount" => mount = value()?,
            "version" => action = Action::Version,
            _ => return None,
        }
    }
    let mount = Path::new(&mount);
    Some(match action {
        Action::Version => Ok(crate::options::version()),
        Action::State => Ok(state(mount)),
        Action::Install(list) => each(mount, &list, "installing", &|name| install_one(mount, name)),
        Action::Uninstall(list) => each(mount, &list, "uninstalling", &|name| uninstall_one(mount, name)),
    })
}

/// Does it for each name of a list, says how each went, and shows the state.
fn each(mount: &Path, list: &str, doing: &str, one: &dyn Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let (mut said, mut done) = (String::new(), false);
    for name in list.split(',').filter(|n| !n.is_empty()) {
        match one(name) {
            Ok(how) => {
                done = true;
                said += &format!("{how}{doing}: {name} OK\n");
            }
            Err(why) => said += &format!("{doing}: {name}: {why}\n"),
        }
    }
    if done { Ok(said + &state(mount)) } else { Err(said.trim_end().into()) }
}

fn install_one(mount: &Path, name: &str) -> Result<String, String> {
    if !ARCHITECTURES.contains(&name) {
        return Err("there is no emulator for it here, only for amd64".into());
    }
    if NATIVE && !cfg!(test) {
        return Ok(NOTHING_TO_DO.into());
    }
    install(&Plan { replace_qemu: true, ..Plan::new(mount)? })
}

/// A name of an entry, or of an architecture; `*` at the end stands for anything.
fn uninstall_one(mount: &Path, name: &str) -> Result<String, String> {
    let ours = match name.strip_suffix('*') {
        Some(start) => NAME.starts_with(start) || QEMU.starts_with(start),
        None => ARCHITECTURES.contains(&name) || name == NAME || name == QEMU,
    };
    if ours { uninstall(mount) } else { Err("not an emulator of ours".into()) }
}

/// What the node can run, and by which entries.
fn state(mount: &Path) -> String {
    // Where it can't be mounted nothing is known to be registered.
    let _ = mounted(mount);
    let native = if NATIVE { "linux/amd64" } else { "linux/arm64" };
    let mut entries: Vec<String> = misc::entries(mount).into_iter().filter(|e| e.enabled).map(|e| e.name).collect();
    entries.sort();
    let mut platforms = vec![native];
    if misc::takers(mount).iter().any(|e| enabled(mount, &e.name)) && !NATIVE {
        platforms.push("linux/amd64");
    }
    format!("{:#}\n", json!({ "supported": platforms, "emulators": entries }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn run(words: &[&str]) -> Result<String, String> {
        command(words).unwrap()
    }

    #[test]
    fn options_are_those_of_the_image() {
        let dir = std::env::temp_dir().join(format!("xemu-binfmt-image-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("register"), "").unwrap();
        fs::write(dir.join("status"), "enabled").unwrap();
        let mount = dir.to_str().unwrap();
        let said = run(&["--mount", mount, "--install", "amd64"]).unwrap();
        assert!(said.contains("registered xemu-x86_64") && said.contains("installing: amd64 OK"), "{said}");
        assert!(fs::read_to_string(dir.join("register")).unwrap().ends_with(":POCF"));
        assert!(run(&["-mount", mount, "-install=all"]).is_ok());
        let both = run(&["--mount", mount, "--install", "riscv64,amd64"]).unwrap();
        assert!(both.contains("installing: riscv64: there is no") && both.contains("installing: amd64 OK"), "{both}");
        assert!(run(&["--mount", mount, "--install", "riscv64"]).unwrap_err().contains("only for amd64"));
        let entry = "enabled\ninterpreter /x\nflags: POCF\noffset 0\nmagic 7f454c4602010100000000000000000002003e00\nmask fffffffffffefe00fffffffffffffffffeffffff\n";
        fs::write(dir.join(NAME), entry).unwrap();
        fs::write(dir.join("python"), "enabled\ninterpreter /p\nflags: \nextension .py\n").unwrap();
        let state: serde_json::Value = serde_json::from_str(&run(&["--mount", mount]).unwrap()).unwrap();
        assert_eq!(state["emulators"], json!(["python", "xemu-x86_64"]));
        assert!(run(&["--mount", mount, "--uninstall", "qemu-*"]).unwrap().contains("removed"));
        assert_eq!(fs::read_to_string(dir.join(NAME)).unwrap(), "-1");
        assert!(run(&["--mount", mount, "--uninstall", "qemu-aarch64"]).is_err());
        assert!(run(&["--version"]).unwrap().starts_with("xemu "));
        assert!(command(&["--nonsense"]).is_none() && command(&["--install"]).is_none() && command(&["word"]).is_none());
        let _ = fs::remove_dir_all(dir);
    }
}
