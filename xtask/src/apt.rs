//! Debian packages without touching the machine's own apt: a private state per suite below `target/apt`, fed by the
//! mirror that the machine is configured with.

use crate::{Result, project, tools};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
static LOCK: Mutex<()> = Mutex::new(());

/// A Debian suite that packages can be fetched from.
pub struct Suite {
    config: PathBuf,
    archives: PathBuf,
}

impl Suite {
    /// Prepares the private state, once per suite.
    pub fn new(name: &str) -> Result<Self> {
        Self::prepare(name, "deb", name)
    }

    /// The same for its sources, which not every mirror has.
    pub fn of_sources(name: &str) -> Result<Self> {
        Self::prepare(name, "deb-src", &format!("{name}-sources"))
    }

    fn prepare(name: &str, kind: &str, folder: &str) -> Result<Self> {
        let _guard = LOCK.lock().expect("no panic while fetching");
        tools::need_program("apt-get", "apt")?;
        tools::need_file(KEYRING, "debian-archive-keyring")?;
        let dir = project::target("apt").join(folder);
        let suite = Self { config: dir.join("apt.conf"), archives: dir.join("debs") };
        for sub in ["state/lists/partial", "cache/archives/partial", "debs"] {
            fs::create_dir_all(dir.join(sub)).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        let write = |path: PathBuf, text: String| fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()));
        // Written each time: the paths in it are wrong once the project's folder has moved.
        write(dir.join("state/status"), String::new())?;
        write(dir.join("sources.list"), format!("{kind} [signed-by={KEYRING}] {} {name} main\n", mirror()?))?;
        let d = dir.display();
        write(
            suite.config.clone(),
            format!(
                "Dir::State \"{d}/state\"; Dir::State::status \"{d}/state/status\"; Dir::Cache \"{d}/cache\";\n\
                 Dir::Etc::sourcelist \"{d}/sources.list\"; Dir::Etc::sourceparts \"/nonexistent\"; Dir::Etc::preferencesparts \"/nonexistent\";\n\
                 APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; \"arm64\"; }};\n\
                 APT::Install-Recommends \"false\"; Acquire::Languages \"none\"; APT::Sandbox::User \"root\";\n"
            ),
        )?;
        if dir.join("ready").exists() {
            return Ok(suite);
        }
        suite.apt(&["update", "-q"], &dir)?;
        write(dir.join("ready"), String::new())?;
        Ok(suite)
    }

    /// Unpacks what the makers of these source packages published, without Debian's own part, each below `dir` in a folder of its name.
    pub fn unpack_sources(&self, packages: &[&str], dir: &Path) -> Result<()> {
        let _guard = LOCK.lock().expect("no panic while fetching");
        for package in packages {
            let (place, folder) = (self.archives.join(format!("source-{package}")), dir.join(package));
            for dir in [&place, &folder] {
                fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
            }
            let archive = || {
                entries(&place).into_iter().find(|p| p.to_string_lossy().contains(".orig.tar.") && p.extension().is_none_or(|x| x != "asc"))
            };
            if archive().is_none() {
                self.apt(&["source", "-q", "--download-only", "--tar-only", "--only-source", package], &place)?;
            }
            let archive = archive().ok_or(format!("{package}: it has no upstream archive"))?;
            let tar =
                Command::new("tar").arg("-xf").arg(&archive).args(["--strip-components=1", "--no-same-owner", "-C"]).arg(&folder).status();
            if !tar.map_err(|e| format!("tar: {e}"))?.success() {
                return Err(format!("{} does not unpack", archive.display()));
            }
        }
        Ok(())
    }

    fn apt(&self, args: &[&str], cwd: &Path) -> Result<String> {
        let mut last = String::new();
        for _ in 0..3 {
            let output = Command::new("apt-get").args(args).env("APT_CONFIG", &self.config).current_dir(cwd).stdin(Stdio::null()).output();
            let output = output.map_err(|e| format!("apt-get: {e}"))?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            last = String::from_utf8_lossy(&output.stderr).trim().to_string();
        }
        Err(format!("apt-get {}: {last}", args.first().unwrap_or(&"")))
    }

    /// Unpacks these packages (`name:arch`), and nothing that they depend on, over `dir`.
    pub fn unpack(&self, packages: &[&str], dir: &Path) -> Result<()> {
        let _guard = LOCK.lock().expect("no panic while fetching");
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for package in packages {
            let place = self.archives.join(package.replace(':', "_"));
            fs::create_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
            if debs(&place).is_empty() {
                self.apt(&["download", "-q", package], &place)?;
            }
            unpack(&debs(&place), dir)?;
        }
        Ok(())
    }

    /// The first alternative of each package that `package` (`name:arch`) depends on, in its newest version.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let _guard = LOCK.lock().expect("no panic while fetching");
        let output = Command::new("apt-cache").args(["show", "--no-all-versions", package]).env("APT_CONFIG", &self.config).output();
        let text = output.map_err(|e| format!("apt-cache: {e}"))?.stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        let list = text.lines().find_map(|l| l.strip_prefix("Depends: ")).unwrap_or_default();
        Ok(list.split(',').filter_map(|d| d.split_whitespace().next()).map(str::to_string).collect())
    }

    /// Unpacks packages with everything that they depend on over `dir`; no maintainer script runs. What was fetched is kept under `name`.
    pub fn unpack_closure(&self, name: &str, arch: &str, packages: &[&str], dir: &Path) -> Result<()> {
        let debs = self.fetch_closure(name, arch, packages)?;
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        unpack(&debs, dir)
    }

    /// Fetches packages with everything that they depend on; what was fetched is kept under `name`. The files, by name.
    pub fn fetch_closure(&self, name: &str, arch: &str, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let _guard = LOCK.lock().expect("no panic while fetching");
        let names: Vec<String> = packages.iter().map(|p| format!("{p}:{arch}")).collect();
        let cache = self.archives.join(format!("closure-{name}"));
        fs::create_dir_all(cache.join("partial")).map_err(|e| format!("{}: {e}", cache.display()))?;
        let option = format!("Dir::Cache::archives={}", cache.display());
        let arch_option = format!("APT::Architecture={arch}");
        let mut args = vec!["install", "-y", "-q", "--download-only", "-o", &option, "-o", &arch_option];
        args.extend(names.iter().map(String::as_str));
        self.apt(&args, &cache)?;
        Ok(debs(&cache))
    }
}

fn debs(dir: &Path) -> Vec<PathBuf> {
    let mut debs = entries(dir);
    debs.retain(|p| p.extension().is_some_and(|x| x == "deb"));
    debs
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    entries
}

/// Unpacks archives; directories that a merged /usr has as links are followed.
fn unpack(debs: &[PathBuf], dir: &Path) -> Result<()> {
    for deb in debs {
        let mut data = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped()).spawn().map_err(|e| format!("dpkg-deb: {e}"))?;
        let tar = Command::new("tar").args(["-x", "--keep-directory-symlink", "-C"]).arg(dir).stdin(data.stdout.take().expect("piped")).status();
        let unpacked = tar.map_err(|e| format!("tar: {e}"))?.success();
        if !data.wait().map_err(|e| e.to_string())?.success() || !unpacked {
            return Err(format!("{} does not unpack", deb.display()));
        }
    }
    Ok(())
}

/// The Debian mirror of the machine's own sources.
fn mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|e| e.path()));
    files.sort_by_key(|p| !p.to_string_lossy().contains("debian"));
    let urls = files.iter().filter_map(|f| fs::read_to_string(f).ok()).flat_map(|text| {
        text.lines()
            .filter(|l| l.starts_with("URIs:") || l.starts_with("deb "))
            .flat_map(|l| l.split_whitespace().filter(|w| w.contains("://")).map(str::to_string).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    });
    let is_archive = |u: &String| u.trim_end_matches('/').ends_with("/debian");
    urls.into_iter().find(is_archive).ok_or("no Debian mirror in the machine's apt sources".into())
}
