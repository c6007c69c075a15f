//! The options of the image tonistiigi/binfmt, by which scripts and CI actions register emulators: `--install amd64`, `--uninstall qemu-x86_64`,
//! `--mount`, `--version`, and without any the state as JSON. Of the architectures only ours is installed; others are said to be unknown.

use super::{FLAGS, MOUNT, NAME, QEMU, enabled, install, mounted, own_path, uninstall};
use std::path::Path;

/// Names of the guest's architecture, as those who ask for it write them.
const ARCHITECTURES: &[&str] = &["all", "amd64", "x86_64", "linux/amd64"];

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
        Action::Install(list) => install_all(mount, &list),
        Action::Uninstall(list) => uninstall_all(mount, &list),
    })
}

fn install_all(mount: &Path, list: &str) -> Result<String, String> {
    match list.split(',').find(|a| !ARCHITECTURES.contains(a)) {
        Some(other) => Err(format!("installing: {other}: there is no emulator for it here, only for amd64")),
        None => install(mount, &own_path()?, FLAGS, true).map(|said| said + &state(mount)),
    }
}

/// Names of entries, or of architectures; `*` at the end stands for anything.
fn uninstall_all(mount: &Path, list: &str) -> Result<String, String> {
    let ours = |name: &str| match name.strip_suffix('*') {
        Some(start) => NAME.starts_with(start) || QEMU.starts_with(start),
        None => ARCHITECTURES.contains(&name) || name == NAME || name == QEMU,
    };
    match list.split(',').find(|n| !ours(n)) {
        Some(other) => Err(format!("uninstalling: {other}: not an emulator of ours")),
        None => uninstall(mount).map(|said| said + &state(mount)),
    }
}

/// What the node can run, and by which entries.
fn state(mount: &Path) -> String {
    // Where it can't be mounted nothing is known to be registered.
    let _ = mounted(mount);
    let native = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    let entries: Vec<&str> = [NAME, QEMU].into_iter().filter(|name| enabled(&mount.join(name))).collect();
    let mut platforms = vec![native];
    if !entries.is_empty() && native != "linux/amd64" {
        platforms.push("linux/amd64");
    }
    let list = |names: &[&str]| names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    format!("{{ \"supported\": [{}], \"emulators\": [{}] }}\n", list(&platforms), list(&entries))
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
        assert!(run(&["--mount", mount, "--install", "amd64"]).unwrap().contains("registered xemu-x86_64"));
        assert!(fs::read_to_string(dir.join("register")).unwrap().ends_with(":POCF"));
        assert!(run(&["-mount", mount, "-install=all"]).is_ok());
        assert!(run(&["--mount", mount, "--install", "amd64,riscv64"]).unwrap_err().contains("riscv64"));
        fs::write(dir.join(NAME), "enabled\n").unwrap();
        assert!(run(&["--mount", mount]).unwrap().contains("\"emulators\": [\"xemu-x86_64\"]"));
        assert!(run(&["--mount", mount, "--uninstall", "qemu-*"]).unwrap().contains("removed"));
        assert_eq!(fs::read_to_string(dir.join(NAME)).unwrap(), "-1");
        assert!(run(&["--mount", mount, "--uninstall", "qemu-aarch64"]).is_err());
        assert!(run(&["--version"]).unwrap().starts_with("xemu "));
        assert!(command(&["--nonsense"]).is_none() && command(&["--install"]).is_none() && command(&["word"]).is_none());
        let _ = fs::remove_dir_all(dir);
    }
}
