//! `cargo xtask guests`: builds every program of `fixtures/guests` into `target/guests`.
//!
//! The folder says how: `asm` and `rust` (and the demo) need rustc and rust-lld alone, `c` and `gdb` a C compiler for amd64, `go`
//! the root file system.
//! A file's directives say the rest: `link`, `variants`, `flags`, `args`, `expect`, and `host = kernel` for what an emulated host cannot do.

use crate::directives::Directives;
use crate::rootfs::{self, Place};
use crate::{Result, parallel, project, tools};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The target of guests written in Rust or assembler.
const GUEST_TARGET: &str = "x86_64-unknown-linux-musl";

/// One program to build.
#[derive(Debug, Clone)]
pub struct Guest {
    /// `asm/hello`, `c/hello-static`: also the path below `target/guests`.
    pub name: String,
    /// Its source.
    pub source: PathBuf,
    /// What the source says about itself.
    pub directives: Directives,
    /// Compiler flags of this variant.
    flags: Vec<String>,
}

/// How a C program is linked: the value of `link` and the flags that it stands for.
const LINKS: &[(&str, &[&str])] =
    &[("static", &["-static"]), ("static-pie", &["-static-pie", "-fPIE"]), ("dynamic", &["-pie", "-fPIE"]), ("dynamic-no-pie", &["-no-pie", "-fno-pie"])];

/// Every guest of `folder` (asm, c, rust, demo), by name.
pub fn list(folder: &str) -> Result<Vec<Guest>> {
    let dir = project::root().join("fixtures/guests").join(folder);
    let extension = match folder {
        "asm" => "s",
        "c" | "gdb" => "c",
        "go" => "go",
        _ => "rs",
    };
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut sources: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == extension)).collect();
    sources.sort();
    let mut guests = Vec::new();
    for source in sources {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let directives = Directives::of(&source);
        if extension != "c" {
            guests.push(Guest { name: format!("{folder}/{stem}"), source, directives, flags: Vec::new() });
            continue;
        }
        let variants = if directives.get("variants").is_some() { directives.list("variants") } else { vec!["-O2"] };
        for link in directives.list("link") {
            let link_flags = LINKS.iter().find(|l| l.0 == link).ok_or(format!("{}: unknown link {link:?}", source.display()))?.1;
            for (number, variant) in variants.iter().enumerate() {
                let suffix = if variants.len() > 1 { format!("-{}", number + 1) } else { String::new() };
                let words = link_flags.iter().copied().chain(variant.split_whitespace()).chain(directives.words("flags"));
                let flags = words.map(str::to_string).collect();
                guests.push(Guest { name: format!("{folder}/{stem}-{link}{suffix}"), source: source.clone(), directives: directives.clone(), flags });
            }
        }
    }
    Ok(guests)
}

impl Guest {
    /// Where the built program lies.
    pub fn path(&self) -> PathBuf {
        project::target("guests").join(&self.name)
    }

    /// Builds it unless it is newer than its source.
    pub fn build(&self) -> Result<PathBuf> {
        let path = self.path();
        let time = |p: &Path| fs::metadata(p).and_then(|m| m.modified()).ok();
        if time(&path).is_some() && time(&path) >= time(&self.source) {
            return Ok(path);
        }
        fs::create_dir_all(path.parent().expect("has a folder")).map_err(|e| format!("{}: {e}", path.display()))?;
        let folder = self.name.split('/').next().unwrap_or_default();
        let mut compiler = match folder {
            "c" | "gdb" => self.c_compiler()?,
            "go" => return self.build_go(),
            _ => self.rust_compiler(folder)?,
        };
        // Several tests may want it at once: it is there when it is whole.
        static SERIAL: AtomicUsize = AtomicUsize::new(0);
        let new = path.with_extension(format!("new-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
        let output = compiler.arg("-o").arg(&new).output().map_err(|e| format!("{:?}: {e}", compiler.get_program()))?;
        if !output.status.success() {
            return Err(format!("{} does not build:\n{}", self.name, String::from_utf8_lossy(&output.stderr)));
        }
        fs::rename(&new, &path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    fn c_compiler(&self) -> Result<Command> {
        let mut gcc = Command::new(tools::need_amd64_gcc()?);
        // Libraries go behind the source that needs them.
        let (libraries, flags): (Vec<_>, Vec<_>) = self.flags.iter().partition(|f| f.starts_with("-l"));
        gcc.args(["-std=gnu17", "-w"]).args(flags).arg(&self.source).args(libraries);
        Ok(gcc)
    }

    fn rust_compiler(&self, folder: &str) -> Result<Command> {
        tools::need_rust_target(GUEST_TARGET)?;
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-C", "opt-level=2", "--target", GUEST_TARGET, "-C", "linker=rust-lld", "-C", "linker-flavor=ld.lld"]);
        if folder == "asm" {
            let wrapper = self.source.with_file_name("wrapper.rs");
            rustc.args(["-C", "panic=abort", "-C", "link-self-contained=no", "-C", "relocation-model=static"]).arg(wrapper);
            rustc.env("GUEST_ASM", &self.source);
        } else {
            rustc.arg(&self.source);
        }
        Ok(rustc)
    }

    /// Go programs are built by the native root file system's Go.
    fn build_go(&self) -> Result<PathBuf> {
        let root = rootfs::ensure(if project::HOST_IS_X86 { "amd64" } else { "arm64" })?;
        let source = self.source.parent().expect("has a folder").to_path_buf();
        let place = Place::new(&root).mount(source, "/.cases").mount(project::target("guests"), "/.guests");
        let file = format!("/.cases/{}", self.source.file_name().unwrap_or_default().to_string_lossy());
        let output = format!("/.guests/{}", self.name);
        let mut go = place.command(&[], &["/usr/bin/go", "build", "-o", &output, &file].map(OsString::from))?;
        go.env("CGO_ENABLED", "0").env("GOARCH", "amd64").env("GO111MODULE", "off").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-trimpath");
        let done = go.output().map_err(|e| format!("unshare: {e}"))?;
        if done.status.success() { Ok(self.path()) } else { Err(format!("{} does not build:\n{}", self.name, String::from_utf8_lossy(&done.stderr))) }
    }

    /// The arguments that the guest is run with.
    pub fn arguments(&self) -> Vec<OsString> {
        self.directives.words("args").into_iter().map(Into::into).collect()
    }
}

/// Builds these folders' guests in parallel.
pub fn build(folders: &[&str]) -> Result<Vec<Guest>> {
    let mut guests = Vec::new();
    for folder in folders {
        guests.extend(list(folder)?);
    }
    if folders.iter().any(|f| ["c", "gdb"].contains(f)) {
        tools::need_amd64_gcc()?;
    }
    tools::need_rust_target(GUEST_TARGET)?;
    parallel::map(&guests, parallel::processors(), Guest::build).into_iter().collect::<Result<Vec<_>>>()?;
    Ok(guests)
}

/// Entry of the command.
pub fn main(_args: Vec<OsString>) -> Result<ExitCode> {
    for guest in build(&["asm", "rust", "c", "gdb", "demo", "go"])? {
        println!("{}", guest.path().display());
    }
    Ok(ExitCode::SUCCESS)
}
