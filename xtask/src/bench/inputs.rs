//! What programs work on: made once, the same on every machine.

use super::side;
use crate::{Result, project, rootfs};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of input files; runs happen in it.
pub struct Inputs {
    pub work: PathBuf,
}

/// Compressed by a program of the machine's own architecture: program, options, input, what the result's name ends in.
const COMPRESSED: &[(&str, &[&str], &str, &str)] = &[
    ("gzip", &["-nkf"], "large.txt", "gz"),
    ("xz", &["-kf", "-T1"], "large.txt", "xz"),
    ("zstd", &["-qkf"], "large.txt", "zst"),
    ("bzip2", &["-kf"], "input.txt", "bz2"),
];

impl Inputs {
    /// Makes what is not there; `programs`: also what Debian's programs need.
    pub fn new(programs: bool) -> Result<Self> {
        let work = project::target("bench");
        fs::create_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
        let inputs = Self { work };
        let sources = project::root().join("fixtures/bench/programs");
        for entry in fs::read_dir(&sources).map_err(|e| format!("{}: {e}", sources.display()))?.flatten() {
            fs::copy(entry.path(), inputs.work.join(entry.file_name())).map_err(|e| format!("{}: {e}", entry.path().display()))?;
        }
        inputs.make("input.txt", || text(600_000, 1))?;
        inputs.make("other.txt", || text(600_000, 1).replace("registers guest", "registers host").replace("f2", "f3"))?;
        inputs.make("large.txt", || text(12_000_000, 2))?;
        inputs.make("input.json", || json(9_000))?;
        if programs {
            inputs.compress()?;
        }
        Ok(inputs)
    }

    fn make(&self, name: &str, text: impl Fn() -> String) -> Result<()> {
        let path = self.work.join(name);
        let stamp = self.work.join(format!("{name}.made"));
        // A change of the generators is a change of this number.
        let version = "2";
        if path.exists() && fs::read_to_string(&stamp).is_ok_and(|s| s == version) {
            return Ok(());
        }
        fs::write(&path, text()).and_then(|()| fs::write(&stamp, version)).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn compress(&self) -> Result<()> {
        let (root, arch) = (rootfs::ensure(if project::HOST_IS_X86 { "bench" } else { "arm64" })?, project::HOST_ARCH);
        for (program, options, input, ending) in COMPRESSED {
            let newer = |a: &Path, b: &Path| Some(fs::metadata(a).ok()?.modified().ok()? >= fs::metadata(b).ok()?.modified().ok()?);
            let (from, to) = (self.work.join(input), self.work.join(format!("{input}.{ending}")));
            if newer(&to, &from) == Some(true) {
                continue;
            }
            let words = side::started(&root, arch, &root.join("usr/bin").join(program));
            let status = Command::new(&words[0]).args(&words[1..]).args(*options).arg(&from).status().map_err(|e| format!("{program}: {e}"))?;
            if !status.success() {
                return Err(format!("{program} fails"));
            }
            // These keep the input's times.
            let _ = Command::new("touch").arg(&to).status();
        }
        Ok(())
    }

    /// A word of a row for a side of `arch`.
    pub fn replace(&self, word: &str, arch: &str) -> String {
        word.replace("{work}", &self.work.to_string_lossy()).replace("{triplet}", side::triplet(arch))
    }
}

/// Variables of all runs.
pub fn environment(work: &Path) -> Vec<(&'static str, OsString)> {
    let mut all: Vec<(&str, OsString)> = [("LC_ALL", "C.UTF-8"), ("PATH", "/usr/bin:/bin"), ("PYTHONHASHSEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1"), ("TZ", "UTC")]
        .map(|(k, v)| (k, v.into()))
        .to_vec();
    all.push(("HOME", work.into()));
    all
}

fn next(seed: &mut u32) -> u32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *seed
}

/// Text with repetitions, of at least `size` bytes.
fn text(size: usize, mut seed: u32) -> String {
    let mut text = String::with_capacity(size + 64);
    while text.len() < size {
        let seed = next(&mut seed);
        text += ["the ", "translator ", "keeps ", "guest ", "registers ", "in ", "host ", "ones\n"][(seed >> 24) as usize % 8];
        if seed >> 28 == 0 {
            text += &format!("{seed:x} ");
        }
    }
    text
}

/// An array of objects.
fn json(count: u32) -> String {
    let mut seed = 3;
    let object = |n| {
        let s = next(&mut seed);
        format!(r#"{{"n": {n}, "name": "item{}", "value": {}.{:03}, "tags": ["t{}", "u{}", "\u00e9\n"]}}"#, s >> 24, s >> 16, s & 511, s & 7, n % 13)
    };
    format!("[{}]\n", (0..count).map(object).collect::<Vec<_>>().join(",\n"))
}
