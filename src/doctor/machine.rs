//! What the checks look at: the kernel's files below a root folder (so that tests can make up machines), and what was found out by trying.

use super::selftest::Ran;
use super::trial::Trial;
use crate::binfmt::misc::auxiliary;
use std::fs;
use std::path::{Path, PathBuf};

/// The auxiliary vector's types that matter here (include/uapi/linux/auxvec.h).
const AT_PAGESZ: u64 = 6;
const AT_HWCAP: u64 = 16;
const AT_HWCAP2: u64 = 26;

/// What only trying can tell.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Getting memory for code.
    pub code_memory: Result<(), String>,
    /// Running an x86_64 program.
    pub program: Result<Ran, String>,
    /// Running one by a handler whose file is gone.
    pub fix_binary: Trial,
}

/// A machine.
pub struct Machine {
    root: PathBuf,
    /// What trying gave.
    pub tried: Tried,
    /// AT_PAGESZ, in bytes.
    pub page_size: u64,
    /// AT_HWCAP and AT_HWCAP2.
    pub hwcap: (u64, u64),
}

impl Machine {
    /// The machine whose kernel's files lie below `root`.
    pub fn new(root: &Path, tried: Tried) -> Machine {
        let auxv = fs::read(root.join("proc/self/auxv")).unwrap_or_default();
        let aux = |kind| auxiliary(&auxv, kind);
        let hwcap = (aux(AT_HWCAP).unwrap_or(0), aux(AT_HWCAP2).unwrap_or(0));
        Machine { root: root.into(), tried, page_size: aux(AT_PAGESZ).unwrap_or(4096), hwcap }
    }

    /// A path as it is here.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text; None if it can't be read.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read(self.path(path)).ok().map(|b| String::from_utf8_lossy(&b).into_owned())
    }

    /// A file's first word.
    pub fn word(&self, path: &str) -> Option<String> {
        self.read(path)?.split_whitespace().next().map(str::to_string)
    }

    /// The value of `KEY:` in a file of such lines.
    pub fn field(&self, path: &str, key: &str) -> Option<String> {
        self.read(path)?.lines().find_map(|l| Some(l.strip_prefix(key)?.trim().strip_prefix(':')?.trim().to_string()))
    }

    /// Does the processor run x86_64 programs by itself?
    pub fn is_native(&self) -> bool {
        self.field("/proc/cpuinfo", "vendor_id").is_some()
    }

    /// The kernel's release.
    pub fn release(&self) -> String {
        self.word("/proc/sys/kernel/osrelease").unwrap_or_default()
    }

    /// A kernel option's value (`y`, `m`, a number), `n` where its configuration is known and it is not in it; None where nothing is known.
    pub fn option(&self, name: &str) -> Option<String> {
        let config = self.config()?;
        let value = config.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix('='));
        Some(value.unwrap_or("n").to_string())
    }

    fn config(&self) -> Option<String> {
        let release = self.release();
        let packed = || {
            let mut text = String::new();
            let file = fs::File::open(self.path("/proc/config.gz")).ok()?;
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).ok()?;
            Some(text)
        };
        packed().or_else(|| self.read(&format!("/boot/config-{release}"))).or_else(|| self.read(&format!("/lib/modules/{release}/config")))
    }

    /// How many bits a user's address has, by where the kernel put the stack.
    pub fn address_bits(&self) -> Option<u32> {
        let maps = self.read("/proc/self/maps")?;
        let ends = maps.lines().filter_map(|l| u64::from_str_radix(l.split([' ', '-']).nth(1)?, 16).ok());
        // (The vsyscall page of x86_64 is the kernel's.)
        ends.filter(|end| *end < 1 << 56).max().map(|end| 64 - end.leading_zeros())
    }
}
