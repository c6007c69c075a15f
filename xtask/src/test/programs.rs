//! Whole programs in a Debian root file system: the scripts of `tests/programs`, each run natively and under xemu.
//!
//! Directives of a script: `command` (what runs the script, /bin/bash if absent; `SCRIPT` and `EACH` are replaced),
//! `each` (run once per word, given as the first argument), `root` (the root file system, amd64 if absent), `long` (only with --long, or rotated: why), `limit` (seconds
//! under xemu), `needs` (a guest of fixtures/guests), `expect = differs` (the output must not be the native one).

use super::guest::differs_from;
use super::configs::{CONFIGS, Config};
use super::native::expected;
use super::{Context, Verdict};
use crate::directives::Directives;
use crate::emulator::{Emulator, RUNNER_VARIABLE};
use crate::process::{Run, run as run_process, run_emulated};
use crate::rootfs::{self, Place};
use crate::{Result, guests, project};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest native run, and longest emulated one unless the script says otherwise; a native run then may take a sixth of that.
const LIMITS: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(600));

/// One script, or one word of its `each`.
struct Case {
    name: String,
    script: String,
    each: Option<String>,
    directives: Directives,
    long: bool,
    config: &'static Config,
}

/// Runs the suite.
pub fn run(context: &Context) -> Result<()> {
    let mut cases = list()?;
    cases.retain(|case| context.wants(&case.name, case.long));
    if cases.is_empty() || context.options.list {
        cases.iter().for_each(|c| println!("{}", c.name));
        return Ok(());
    }
    cases.retain(|case| !context.skips(&case.name, case.limit()));
    // The long ones first, so that no single one is waited for at the end.
    cases.sort_by_key(|c| !c.long);
    let mut places: Vec<(String, Inside)> = Vec::new();
    for case in &cases {
        if !places.iter().any(|p| p.0 == case.root()) {
            places.push((case.root().to_string(), Inside::prepare(rootfs::ensure(case.root())?, context.emulator())?));
        }
        for need in case.directives.words("needs") {
            let folder = need.split('/').next().unwrap_or_default();
            let guest = guests::list(folder)?.into_iter().find(|g| g.name == need).ok_or(format!("{}: no guest {need}", case.name))?;
            guest.build()?;
        }
    }
    context.run_all(&cases, |case| case.name.clone(), |case| {
        let inside = &places.iter().find(|p| p.0 == case.root()).expect("prepared above").1;
        test(context, inside, case).unwrap_or_else(Verdict::Failed)
    });
    Ok(())
}

fn list() -> Result<Vec<Case>> {
    let dir = project::root().join("tests/programs");
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut scripts: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
    scripts.sort();
    let mut cases = Vec::new();
    for path in scripts {
        let directives = Directives::of(&path);
        let script = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let long = directives.get("long").is_some();
        let words = directives.words("each");
        // A trailing `+` marks a word that is long by itself.
        let mut each: Vec<(Option<&str>, bool)> = words.iter().map(|w| w.strip_suffix('+').map_or((Some(*w), long), |w| (Some(w), true))).collect();
        if each.is_empty() {
            each.push((None, long));
        }
        for (word, long) in each {
            let name = word.map_or(format!("programs/{stem}"), |w| format!("programs/{stem}/{w}"));
            let case = |config: &'static Config| Case {
                name: config.named(&name),
                script: script.clone(),
                each: word.map(str::to_string),
                directives: directives.clone(),
                long: long || !config.plain(),
                config,
            };
            // In other ways only what is not long as it is: they take several times as long.
            cases.extend(CONFIGS.iter().filter(|c| c.plain() || !long).map(case));
        }
    }
    cases.sort_by_key(|case| !case.config.plain());
    Ok(cases)
}

impl Case {
    /// The command inside the root file system.
    fn arguments(&self) -> Vec<OsString> {
        let script = format!("/.cases/{}", self.script);
        let each = self.each.clone().unwrap_or_default();
        match self.directives.get("command") {
            Some(_) => self.directives.words("command").iter().map(|w| w.replace("SCRIPT", &script).replace("EACH", &each).into()).collect(),
            None => ["/bin/bash", &script].into_iter().chain(self.each.as_deref()).map(Into::into).collect(),
        }
    }

    /// The root file system that it runs in.
    fn root(&self) -> &str {
        self.directives.get("root").unwrap_or("amd64")
    }

    fn limit(&self) -> Duration {
        self.directives.get("limit").and_then(|l| l.parse().ok()).map_or(LIMITS.1, Duration::from_secs)
    }
}

/// The root file system, and the emulator as it is called in there.
struct Inside {
    root: PathBuf,
    tools: PathBuf,
    emulator: Emulator,
}

impl Inside {
    /// Copies the files that the emulator's command names to where the root file system can show them.
    fn prepare(root: PathBuf, emulator: &Emulator) -> Result<Self> {
        let tools = project::target("in-root");
        fs::create_dir_all(&tools).map_err(|e| format!("{}: {e}", tools.display()))?;
        let copy = |words: &[OsString]| -> Result<Vec<OsString>> {
            let one = |word: &OsString| {
                let path = Path::new(word);
                if !(path.is_absolute() && path.is_file()) {
                    return Ok(word.clone());
                }
                let name = path.file_name().expect("a file has a name");
                // Another run may be using the old one: replace it, never write into it.
                let (temporary, to) = (tools.join(format!("new-{}", std::process::id())), tools.join(name));
                fs::copy(path, &temporary).and_then(|_| fs::rename(&temporary, &to)).map_err(|e| format!("{}: {e}", path.display()))?;
                Ok(Path::new("/.xemu").join(name).into_os_string())
            };
            words.iter().map(one).collect()
        };
        let emulator = Emulator { runner: copy(&emulator.runner)?, program: copy(&emulator.program)? };
        Ok(Self { root, tools, emulator })
    }

    fn run(&self, case: &Case, emulated: bool) -> Result<Run> {
        let mut place = Place::new(&self.root).mount(project::root().join("tests/programs"), "/.cases");
        let guests = project::target("guests");
        fs::create_dir_all(&guests).map_err(|e| format!("{}: {e}", guests.display()))?;
        place = place.mount(guests, "/.guests");
        if !emulated {
            return run_process(place.command(&[], &case.arguments())?, LIMITS.0.max(case.limit() / 6));
        }
        place = place.mount(self.tools.clone(), "/.xemu");
        let prefix: Vec<OsString> = self.emulator.runner.iter().chain(&self.emulator.program).cloned().collect();
        let mut command = place.command(&prefix, &case.arguments())?;
        command.envs(case.config.variables.iter().copied());
        if !self.emulator.runner.is_empty() {
            command.env(RUNNER_VARIABLE, self.emulator.runner.join(&OsString::from(" ")));
        }
        run_process(command, case.limit())
    }
}

fn test(context: &Context, inside: &Inside, case: &Case) -> Result<Verdict> {
    let differs = case.directives.get("expect") == Some("differs");
    if differs && !project::HOST_IS_X86 {
        return Ok(Verdict::Skipped("only an x86_64 machine can run a program natively by mistake".into()));
    }
    let emulated = || run_emulated(|| inside.run(case, true));
    if differs {
        return Ok(differs_from(&inside.run(case, false)?.outcome, &emulated()?.outcome));
    }
    let plain = case.name.split('@').next().unwrap_or_default();
    let want = expected(context, plain, || inside.run(case, false))?;
    let got = emulated()?.outcome;
    Ok(want.difference(&got).map_or(Verdict::Passed, Verdict::Failed))
}
