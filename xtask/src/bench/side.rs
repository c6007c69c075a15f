//! Who runs a benchmark: the native build, xemu in both memory modes, and the other emulators that Debian has for ARM64.

use super::inputs::Inputs;
use super::rows::{Program, Row};
use crate::{Result, apt, project, rootfs, tools};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All sides, in the tables' order.
pub const SIDES: [&str; 5] = ["native", "xemu", "ordered", "qemu", "box64"];

/// A side that can run here.
pub struct Side {
    pub name: &'static str,
    /// Words before an amd64 program; none natively.
    emulator: Vec<OsString>,
    /// Variables that it needs.
    pub environment: Vec<(&'static str, OsString)>,
}

/// One process to run.
pub type Words = Vec<OsString>;

impl Side {
    /// The side `name`; `xemu` is xemu's command. `None` if Debian has no such emulator (any more).
    pub fn new(name: &'static str, xemu: &[OsString]) -> Result<Option<Side>> {
        let mut side = Side { name, emulator: Vec::new(), environment: Vec::new() };
        match name {
            "native" => {}
            "xemu" => side.emulator = xemu.to_vec(),
            "ordered" => side.emulator = [xemu, &["--memory-model=ordered".into()]].concat(),
            "qemu" => match package("qemu-user", &["sid", "trixie"], "usr/bin/qemu-x86_64")? {
                Some(qemu) => side.emulator = vec![qemu.into(), "-cpu".into(), "max".into()],
                None => return Ok(None),
            },
            "box64" => match package("box64", &["sid", "trixie"], "usr/bin/box64")? {
                Some(box64) => {
                    let native = rootfs::ensure("arm64")?;
                    side.emulator = started(&native, "arm64", &box64);
                    // Runs are cold: it would keep translations in HOME from one to the next.
                    side.environment = vec![("BOX64_DYNACACHE", "0".into()), ("BOX64_NOBANNER", "1".into()), ("BOX64_LOG", "0".into()), ("BOX64_LD_LIBRARY_PATH", libraries(&rootfs::ensure("bench")?, "amd64").into())];
                }
                None => return Ok(None),
            },
            other => return Err(format!("no side {other:?}")),
        }
        Ok(Some(side))
    }

    fn arch(&self) -> &'static str {
        if self.name == "native" { "arm64" } else { "amd64" }
    }

    fn root(&self) -> Result<PathBuf> {
        rootfs::ensure(if self.arch() == "arm64" { "arm64" } else { "bench" })
    }

    /// What stands in the place of /usr/share while a row runs.
    pub fn shared(&self, row: &Row) -> Result<Option<PathBuf>> {
        Ok(match row.program {
            Program::Source { .. } => None,
            _ => Some(self.root()?.join("usr/share")),
        })
    }

    /// The processes that make up a benchmark.
    pub fn processes(&self, row: &Row, inputs: &Inputs) -> Result<Vec<Words>> {
        let arch = self.arch();
        let words = |words: &[&str]| -> Words { words.iter().map(|w| OsString::from(inputs.replace(w, arch))).collect() };
        let starts: Vec<Words> = match &row.program {
            Program::Source { .. } => vec![vec![build(row, arch, self.name == "box64", &inputs.work)?.into()]],
            Program::Debian(path) => vec![self.debian(&self.root()?, path)],
            Program::Steps(steps) => {
                let step = |s: &&[&str]| Ok([self.debian(&self.root()?, &inputs.replace(s[0], arch)), words(&s[1..])].concat());
                steps.iter().map(step).collect::<Result<_>>()?
            }
        };
        Ok(starts.into_iter().map(|start| [self.emulator.clone(), start, words(row.args)].concat()).collect())
    }

    fn debian(&self, root: &Path, path: &str) -> Words {
        let program = root.join("usr").join(path);
        // Box64 is its own dynamic loader.
        if self.name == "box64" { vec![program.into()] } else { started(root, self.arch(), &program) }
    }
}

/// The architecture's name in folders and compilers.
pub fn triplet(arch: &str) -> &'static str {
    if arch == "amd64" { "x86_64-linux-gnu" } else { "aarch64-linux-gnu" }
}

fn libraries(root: &Path, arch: &str) -> PathBuf {
    root.join("usr/lib").join(triplet(arch))
}

/// The words that start a program by the dynamic loader of its own root file system.
pub fn started(root: &Path, arch: &str, program: &Path) -> Words {
    let loader = if arch == "amd64" { "ld-linux-x86-64.so.2" } else { "ld-linux-aarch64.so.1" };
    let libraries = libraries(root, arch);
    vec![libraries.join(loader).into(), "--library-path".into(), libraries.into(), program.into()]
}

/// A file of the arm64 package `name`, from the first suite that has it.
fn package(name: &str, suites: &[&str], file: &str) -> Result<Option<PathBuf>> {
    for suite in suites {
        let dir = project::target(&format!("peers/{name}-{suite}"));
        if !dir.join(file).is_file() && apt::Suite::new(suite).and_then(|s| s.unpack(&[&format!("{name}:arm64")], &dir)).is_err() {
            continue;
        }
        if dir.join(file).is_file() {
            return Ok(Some(dir.join(file)));
        }
    }
    Ok(None)
}

/// Compiles a kernel.
fn build(row: &Row, arch: &str, dynamic: bool, work: &Path) -> Result<PathBuf> {
    let Program::Source { file, both, amd64, arm64 } = &row.program else { return Err("not a source".into()) };
    let cpp = file.ends_with(".cpp");
    let compiler = match (arch, project::HOST_IS_X86) {
        ("amd64", true) if cpp => {
            tools::need_program("g++", "g++")?;
            "g++"
        }
        ("amd64", false) if cpp => {
            tools::need_program("x86_64-linux-gnu-g++", "g++-x86-64-linux-gnu")?;
            "x86_64-linux-gnu-g++"
        }
        ("amd64", _) => tools::need_amd64_gcc()?,
        (_, true) => {
            tools::need_arm64_gcc()?;
            if cpp {
                tools::need_program("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")?;
            }
            if cpp { "aarch64-linux-gnu-g++" } else { "aarch64-linux-gnu-gcc" }
        }
        (_, false) if cpp => "g++",
        (_, false) => "gcc",
    };
    let source = project::root().join("fixtures/bench").join(file);
    let output = work.join(format!("{}-{arch}{}", row.name, if dynamic { "-dynamic" } else { "" }));
    let own = if arch == "amd64" { amd64 } else { arm64 };
    // Libraries stand behind what needs them.
    let (libraries, flags): (Vec<&str>, Vec<&str>) = both.iter().chain(*own).partition(|f| f.starts_with("-l"));
    let mut words = vec!["-O2"];
    if !dynamic {
        words.push("-static");
    }
    words.extend(flags);
    compile(compiler, &words, &source, &output, &libraries)?;
    Ok(output)
}

/// Runs a compiler, unless its output is newer than the source and from the same command.
pub fn compile(compiler: &str, flags: &[&str], source: &Path, output: &Path, libraries: &[&str]) -> Result<()> {
    let note = output.with_extension("command");
    let wanted = format!("{compiler} {} {}", flags.join(" "), libraries.join(" "));
    let time = |p: &Path| fs::metadata(p).and_then(|m| m.modified()).ok();
    if time(output).is_some_and(|t| Some(t) > time(source)) && fs::read_to_string(&note).is_ok_and(|n| n == wanted) {
        return Ok(());
    }
    let done = Command::new(compiler).args(flags).arg(source).arg("-o").arg(output).args(libraries).output().map_err(|e| format!("{compiler}: {e}"))?;
    if !done.status.success() {
        return Err(format!("{compiler}: {}", String::from_utf8_lossy(&done.stderr)));
    }
    fs::write(&note, wanted).map_err(|e| format!("{}: {e}", note.display()))
}
