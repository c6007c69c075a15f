//! The scripts of `tests/e2e`, and what their directives say.
//!
//! `where`: places that it runs in (`namespace`, `vm`). `run`: `guest`, inside the amd64 root file system by its own bash, with output that must be the
//! native one; or `node`, outside of it, by the node's shell after tests/e2e/lib/node.sh, reporting each check in a line `ok - WHAT` or `not ok - WHAT`;
//! or `host`, likewise, by bash in an arm64 Debian that has podman (in the machine only).
//! `flags`: those of the registration (F if absent). `command`: what runs a guest script (`SCRIPT` is replaced). `expect = differs`: the output must not
//! be the native one. `needs`: guests of fixtures/guests. `limit`: seconds.
//! `kernel`: the flavour of the machine's kernel, if it is not the usual one.
//! `root`: a root file system (xtask/src/rootfs.rs) that the containers of a host script may have as theirs, at /workloads.
//! `archive`: packages that lie in a repository at /payload/archive, with all that they need beyond the image `base`, which the script finds loadable.
//! `long-vm`: why it runs in the machine only with `--long`, or rotated.

use crate::directives::Directives;
use crate::process::Outcome;
use crate::{Result, guests, project};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Where the scripts are shown inside a root file system.
pub const SCRIPTS: &str = "/.cases";

/// One script.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its file's name without the ending.
    pub stem: String,
    /// What it says about itself.
    pub directives: Directives,
}

/// The folder of the scripts.
pub fn folder() -> PathBuf {
    project::root().join("tests/e2e")
}

/// Every script that runs in `place`, by name.
pub fn list(place: &str) -> Result<Vec<Scenario>> {
    let dir = folder();
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "sh")).collect();
    paths.sort();
    let read = |path: PathBuf| Scenario {
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        directives: Directives::of(&path),
    };
    let mut found: Vec<Scenario> = paths.into_iter().map(read).collect();
    if let Some(wrong) =
        found.iter().find(|s| s.directives.words("where").is_empty() || s.directives.get("run").is_none_or(|r| !["guest", "node", "host"].contains(&r)))
    {
        return Err(format!("tests/e2e/{}.sh does not say where and how it runs", wrong.stem));
    }
    found.retain(|s| s.directives.words("where").contains(&place));
    Ok(found)
}

impl Scenario {
    /// How it runs: `guest`, `node` or `host`.
    pub fn kind(&self) -> &str {
        self.directives.get("run").unwrap_or_default()
    }

    /// Whether it runs outside the root file system, and reports what it checked.
    pub fn on_node(&self) -> bool {
        self.kind() != "guest"
    }

    /// Flags of the registration.
    pub fn flags(&self) -> &str {
        self.directives.get("flags").unwrap_or("F")
    }

    /// The root file system that its containers may have.
    pub fn root(&self) -> Option<&str> {
        self.directives.get("root")
    }

    /// The flavour of Debian's kernel that it wants.
    pub fn kernel(&self) -> &str {
        self.directives.get("kernel").unwrap_or("cloud-arm64")
    }

    /// Whether the output must not be the native one.
    pub fn differs(&self) -> bool {
        self.directives.get("expect") == Some("differs")
    }

    /// How long it may take.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.directives.get("limit").and_then(|l| l.parse().ok()).unwrap_or(900))
    }

    /// The command inside the root file system.
    pub fn command(&self) -> Vec<OsString> {
        let script = format!("{SCRIPTS}/{}.sh", self.stem);
        match self.directives.get("command") {
            Some(_) => self.directives.words("command").iter().map(|w| w.replace("SCRIPT", &script).into()).collect(),
            None => vec!["/bin/bash".into(), script.into()],
        }
    }

    /// Builds the guests that it needs.
    pub fn build_needs(&self) -> Result<()> {
        for need in self.directives.words("needs") {
            let folder = need.split('/').next().unwrap_or_default();
            guests::list(folder)?.into_iter().find(|g| g.name == need).ok_or(format!("{}: no guest {need}", self.stem))?.build()?;
        }
        Ok(())
    }
}

/// What is wrong with the report of a node script, if anything is.
pub fn judge_report(outcome: &Outcome) -> Option<String> {
    let text = String::from_utf8_lossy(&outcome.stdout);
    let failed: Vec<&str> = text.lines().filter(|l| l.starts_with("not ok - ")).collect();
    let passed = text.lines().filter(|l| l.starts_with("ok - ")).count();
    if failed.is_empty() && passed > 0 && outcome.end == "exit 0" {
        return None;
    }
    Some(format!(
        "  {passed} checks passed, ended with {}\n  {}\n  stderr:\n{}",
        outcome.end,
        failed.join("\n  "),
        String::from_utf8_lossy(&outcome.stderr)
    ))
}

#[test]
fn reports_are_judged() {
    let judge = |stdout: &str, end: &str| judge_report(&Outcome { stdout: stdout.into(), stderr: Vec::new(), end: end.into() });
    assert_eq!(judge("ok - a\nok - b\n", "exit 0"), None);
    assert!(judge("ok - a\nnot ok - b: got 1\n", "exit 0").unwrap().contains("b: got 1"));
    assert!(judge("ok - a\n", "exit 1").is_some());
    assert!(judge("", "exit 0").is_some());
}
