//! Debian 13 root file systems below `target/`, and how a program is started in one.
//!
//! Packages are only unpacked, no maintainer script runs: it works for any architecture on any host. The few things that
//! scripts would have made are made here. A root file system is read-only to the programs that run in it.

pub mod installed;

use crate::{Result, apt, project, tools};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the amd64 one holds (with all dependencies): the programs that the suite runs.
const AMD64: &[&str] = &[
    "7zip", "base-files", "base-passwd", "bash", "bc", "binutils", "bsdextrautils", "bsdutils", "busybox-static", "bzip2", "coreutils", "cpio", "dash", "debianutils", "diffutils",
    "esbuild", "file", "findutils", "gawk", "gcc", "git", "golang-go", "grep", "gzip", "libc-bin", "libc6-dev", "libpython3.13-testsuite", "lua5.4", "m4", "make",
    "musl-dev", "openssl", "patch", "perl", "procps", "python3", "sed", "sqlite3", "tar", "util-linux", "xxd", "xz-utils", "zstd",
];

/// What the one named `world` holds: amd64 servers and runtimes, apart from the rest because they are large and their tests mostly long.
const WORLD: &[&str] = &[
    "apache2-utils", "apt", "base-files", "base-passwd", "bash", "ca-certificates", "collectd-core", "coreutils", "curl", "dash", "debianutils", "diffutils", "dpkg", "erlang-base", "etcd-server",
    "findutils", "gcc", "golang-go", "grep", "hostname", "iproute2", "libc-bin", "libc6-dev", "libjemalloc2", "libtcmalloc-minimal4t64", "luajit", "make",
    "mariadb-server", "memcached", "nginx", "nodejs", "openjdk-21-jdk-headless", "perl", "php8.4-cli", "php8.4-opcache", "postgresql-17", "procps", "prometheus-node-exporter", "python3",
    "redis-server", "redis-tools", "rsyslog", "ruby", "sed", "sudo", "tar", "util-linux", "valkey-server",
];

/// Packages whose sources `world` holds, each below `usr/src/NAME`.
const WORLD_SOURCES: &[&str] = &["bzip2", "hello", "lua5.4", "zlib"];

/// From npm, as `EXTRA_NPM`. (Debian's package of npm needs four hundred others.)
const WORLD_NPM: &[(&str, &str, &str)] = &[("npm", "npm@10.9.9", "bin/npm-cli.js")];

/// What the one named `bench` (amd64) and the arm64 one hold: the programs of benchmarks, and the native builds that they are compared with.
const BENCH: &[&str] = &[
    "base-files", "bash", "bc", "bzip2", "coreutils", "gawk", "gcc", "git", "grep", "gzip", "jq", "libc-bin", "lua5.4", "luajit", "nodejs", "openssl", "perl-base", "python3", "sed",
    "sqlite3", "xz-utils", "zstd",
];

/// What `small` holds: an amd64 image as people make them, Debian with one server in it.
const SMALL: &[&str] = &[
    "base-files", "base-passwd", "bash", "busybox-static", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "hostname", "libc-bin", "passwd", "perl-base",
    "redis-server", "redis-tools", "sed", "tar", "util-linux",
];

/// What `workloads` holds: what people run on the nodes of a cluster first, and what containers are entered with.
const WORKLOADS: &[&str] = &[
    "base-files", "base-passwd", "bash", "bsdutils", "busybox-static", "coreutils", "crun", "dash", "debianutils", "diffutils", "findutils", "git", "grep", "gzip", "hostname", "iproute2", "iputils-ping", "libc-bin",
    "libcap2-bin", "mariadb-server", "mount", "passwd", "procps", "prometheus-node-exporter", "rsync", "rsyslog", "sed", "sudo", "tar", "tini", "util-linux",
];

/// What `base` holds: an amd64 Debian that installs packages, because it knows which it has.
const BASE: &[&str] = &[
    "apt", "base-files", "base-passwd", "bash", "coreutils", "dash", "debconf", "debianutils", "diffutils", "dpkg", "findutils", "grep", "gzip", "hostname", "init-system-helpers", "libc-bin", "mawk",
    "passwd", "perl-base", "sed", "sysvinit-utils", "tar", "util-linux",
];

/// What `node` holds: an arm64 machine that runs containers.
const NODE: &[&str] = &[
    "base-files", "base-passwd", "bash", "conmon", "coreutils", "crun", "dash", "diffutils", "dpkg", "findutils", "gawk", "grep", "gzip", "iproute2", "libc-bin", "mount", "netavark", "nftables", "passwd", "podman",
    "procps", "prometheus-node-exporter", "sed", "sudo", "tar", "uidmap", "util-linux",
];

/// What `extra` holds: numerics and media, whose results depend on the vector instructions that they pick, and tools.
const EXTRA: &[&str] = &[
    "base-files", "base-passwd", "bash", "cmake", "coreutils", "dash", "diffutils", "ffmpeg", "findutils", "gawk", "gcc", "grep", "gzip", "libc-bin", "libc6-dev",
    "libopenblas0-pthread", "make", "nix-bin", "python3", "python3-hypothesis", "python3-numpy", "python3-pytest", "sed", "tar",
];

/// What Debian does not have, from PyPI: requirements with their versions, unpacked below `usr/local` of `extra`.
const EXTRA_WHEELS: &[&str] = &["ruff==0.17.6", "uv==0.13.9", "zlib-ng==1.1.0"];

/// From npm: packages with their versions, unpacked below `usr/local/lib/npm/PROGRAM`, whose PROGRAM is linked from `usr/local/bin`.
const EXTRA_NPM: &[(&str, &str, &str)] = &[("bun", "@oven/bun-linux-x64@1.4.5", "bin/bun"), ("deno", "@deno/linux-x64-glibc@2.9.6", "deno")];

/// Unpacked before the rest, because its links (`/bin` to `usr/bin`) say where the rest goes.
const FIRST: &str = "base-files";

/// Folders that enter.sh mounts something over.
const MOUNT_POINTS: &[&str] = &["proc", "dev", "tmp", ".xemu", ".cases", ".guests"];

/// The root file system `name` (amd64, world, bench, small, base, workloads and extra; arm64 and node), made if it is not there or its package list has changed.
pub fn ensure(name: &str) -> Result<PathBuf> {
    let arch = match name {
        "world" | "small" | "base" | "workloads" | "bench" | "extra" => "amd64",
        "node" => "arm64",
        other => other,
    };
    let packages = match name {
        "amd64" => AMD64.to_vec(),
        "world" => WORLD.to_vec(),
        "small" => SMALL.to_vec(),
        "base" => BASE.to_vec(),
        "workloads" => WORKLOADS.to_vec(),
        "extra" => EXTRA.to_vec(),
        "node" => NODE.to_vec(),
        // The Go compiler that makes guests is the native one.
        "arm64" if !project::HOST_IS_X86 => [BENCH, &["golang-go"]].concat(),
        "arm64" | "bench" => BENCH.to_vec(),
        _ => return Err(format!("no root file system {name:?}")),
    };
    let dir = project::target(&format!("rootfs-{name}"));
    let stamp = dir.join(".packages");
    let wheels = if name == "extra" { EXTRA_WHEELS } else { &[] };
    let npm = match name {
        "extra" => EXTRA_NPM,
        "world" => WORLD_NPM,
        _ => &[],
    };
    let sources = if name == "world" { WORLD_SOURCES } else { &[] };
    let npm_packages: Vec<&str> = npm.iter().map(|n| n.1).collect();
    let wanted = [&packages[..], wheels, &npm_packages, sources].concat().join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|t| t == wanted) {
        return Ok(dir);
    }
    eprintln!("xtask: fetching a Debian 13 root file system: {name}");
    let new = project::target(&format!("rootfs-{name}.new"));
    for old in [&new, &dir] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(|e| format!("{}: {e}", old.display()))?;
        }
    }
    let suite = apt::Suite::new("trixie")?;
    suite.unpack(&[&format!("{FIRST}:{arch}")], &new)?;
    suite.unpack_closure(name, arch, &packages, &new)?;
    finish(&new).map_err(|e| format!("{}: {e}", new.display()))?;
    if name == "base" {
        installed::record(&suite.fetch_closure(name, arch, &packages)?, &new)?;
    }
    if !wheels.is_empty() {
        unpack_wheels(wheels, &new)?;
    }
    if !sources.is_empty() {
        apt::Suite::of_sources("trixie")?.unpack_sources(sources, &new.join("usr/src"))?;
    }
    for (program, package, file) in npm {
        unpack_npm(program, package, file, &new)?;
    }
    if packages.contains(&"python3") && arch == project::HOST_ARCH {
        compile_python(&new)?;
    } else if name == "arm64" {
        // What is compiled is the same on every architecture.
        copy_compiled(&ensure("bench")?.join(PYTHON), &new.join(PYTHON)).map_err(|e| format!("{}: {e}", new.display()))?;
    }
    fs::write(new.join(".packages"), wanted).map_err(|e| format!("{}: {e}", new.display()))?;
    fs::rename(&new, &dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    Ok(dir)
}

/// The packages that `base` lacks of these and of what they depend on.
pub fn beyond_base(packages: &[&str]) -> Result<Vec<PathBuf>> {
    let suite = apt::Suite::new("trixie")?;
    let there = suite.fetch_closure("base", "amd64", BASE)?;
    let name = |p: &PathBuf| p.file_name().unwrap_or_default().to_os_string();
    let mut wanted = suite.fetch_closure(&packages.join("+"), "amd64", packages)?;
    wanted.retain(|p| !there.iter().any(|t| name(t) == name(p)));
    Ok(wanted)
}

/// What maintainer scripts would have done.
fn finish(root: &Path) -> std::io::Result<()> {
    for dir in MOUNT_POINTS {
        fs::create_dir_all(root.join(dir))?;
    }
    for (from, to) in [("passwd.master", "etc/passwd"), ("group.master", "etc/group")] {
        let master = root.join("usr/share/base-passwd").join(from);
        if master.exists() {
            fs::copy(master, root.join(to))?;
        }
    }
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    fs::write(root.join("etc/hostname"), "xemu\n")?;
    for awk in ["gawk", "mawk"] {
        if root.join("usr/bin").join(awk).exists() && !root.join("usr/bin/awk").exists() {
            symlink(awk, root.join("usr/bin/awk"))?;
        }
    }
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    for name in ["libblas.so.3", "liblapack.so.3", "libopenblas.so.0"] {
        let alternative = Path::new("openblas-pthread").join(name);
        if libraries.join(&alternative).exists() && !libraries.join(name).exists() {
            symlink(alternative, libraries.join(name))?;
        }
    }
    Ok(())
}

/// Unpacks PyPI's amd64 wheels for Debian's Python, which finds them by PYTHONPATH.
fn unpack_wheels(wheels: &[&str], root: &Path) -> Result<()> {
    tools::need_program("pip3", "python3-pip")?;
    let mut pip = Command::new("pip3");
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--only-binary=:all:", "--python-version", "3.13"]);
    pip.args(["--platform", "manylinux2014_x86_64", "--target"]).arg(root.join(WHEELS)).args(wheels);
    let output = pip.output().map_err(|e| format!("pip3: {e}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("pip3 install {}: {}", wheels.join(" "), String::from_utf8_lossy(&output.stderr).trim())) }
}

/// Unpacks a package of npm's that holds one program.
fn unpack_npm(program: &str, package: &str, file: &str, root: &Path) -> Result<()> {
    tools::need_program("npm", "npm")?;
    let dir = root.join("usr/local/lib/npm").join(program);
    let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
    fs::create_dir_all(&dir).map_err(failed)?;
    let packed = Command::new("npm").args(["pack", "--silent", "--pack-destination"]).arg(&dir).arg(package).output().map_err(|e| format!("npm: {e}"))?;
    if !packed.status.success() {
        return Err(format!("npm pack {package}: {}", String::from_utf8_lossy(&packed.stderr).trim()));
    }
    let archive = dir.join(String::from_utf8_lossy(&packed.stdout).trim());
    let unpacked = Command::new("tar").arg("xzf").arg(&archive).args(["--strip-components=1", "-C"]).arg(&dir).status().map_err(|e| format!("tar: {e}"))?;
    if !unpacked.success() {
        return Err(format!("{}: tar cannot unpack it", archive.display()));
    }
    fs::remove_file(&archive).map_err(failed)?;
    let bin = root.join("usr/local/bin");
    fs::create_dir_all(&bin).map_err(failed)?;
    symlink(Path::new("../lib/npm").join(program).join(file), bin.join(program)).map_err(failed)
}

/// Python's library below a root, Debian's packages for it, and PyPI's.
const PYTHON: &str = "usr/lib/python3.13";
const PACKAGES: &str = "usr/lib/python3/dist-packages";
const WHEELS: &str = "usr/local/lib/wheels";

/// Copies Python's compiled modules from one tree to another.
fn copy_compiled(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)?.flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let is_tree = entry.file_type()?.is_dir();
        if is_tree && (entry.file_name() == "__pycache__" || to.is_dir()) {
            fs::create_dir_all(&to)?;
            copy_compiled(&from, &to)?;
        } else if !is_tree && from.extension().is_some_and(|x| x == "pyc") {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Python's modules are compiled once, natively: under an emulator every start would do it again.
fn compile_python(root: &Path) -> Result<()> {
    let mut place = Place::new(root);
    place.writable = true;
    let args = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-x", "bad_|badsyntax|lib2to3"].map(OsString::from);
    let folders = [PYTHON, PACKAGES, WHEELS].iter().filter(|d| root.join(d).is_dir()).map(|d| Path::new("/").join(d).into_os_string());
    let args: Vec<OsString> = args.into_iter().chain(folders).collect();
    let output = place.command(&[OsStr::new("/usr/bin/python3").into()], &args)?.output().map_err(|e| format!("unshare: {e}"))?;
    // Some files of the test suite are broken on purpose, so the exit code says nothing; that it started does.
    if root.join(PYTHON).join("__pycache__").is_dir() {
        Ok(())
    } else {
        Err(format!("programs do not start in {}: {}", root.display(), String::from_utf8_lossy(&output.stderr)))
    }
}

/// A root file system as programs see it: namespaces of their own, an empty /tmp, extra folders.
pub struct Place<'a> {
    root: &'a Path,
    mounts: Vec<(PathBuf, &'static str)>,
    writable: bool,
}

impl<'a> Place<'a> {
    /// The root file system alone.
    pub fn new(root: &'a Path) -> Self {
        Self { root, mounts: Vec::new(), writable: false }
    }

    /// Shows folder `from` of the host at `to`, one of the root's own mount points.
    pub fn mount(mut self, from: PathBuf, to: &'static str) -> Self {
        self.mounts.push((from, to));
        self
    }

    /// A command that runs `prefix` + `args` inside, in `/tmp/work`, with a fixed environment.
    pub fn command(&self, prefix: &[OsString], args: &[OsString]) -> Result<Command> {
        tools::need_program("unshare", "util-linux")?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--ipc"]);
        if !tools::is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["/bin/sh", "-c", include_str!("rootfs/enter.sh"), "enter"]).arg(self.root);
        command.arg(if self.writable { "rw" } else { "ro" });
        for (from, to) in &self.mounts {
            command.arg(from).arg(to);
        }
        command.arg("--").args(prefix).args(args);
        set_environment(&mut command);
        Ok(command)
    }
}

/// The fixed environment of programs in a root file system.
pub fn set_environment(command: &mut Command) {
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", "/tmp/home").env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("TERM", "dumb").env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0");
}

/// Entry of the command.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    let all = [OsString::from("amd64"), OsString::from("arm64")];
    for arch in if args.is_empty() { &all[..] } else { &args[..] } {
        println!("{}", ensure(&arch.to_string_lossy())?.display());
    }
    Ok(ExitCode::SUCCESS)
}
