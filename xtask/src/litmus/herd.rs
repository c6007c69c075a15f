//! herd7 and diy7 from Debian's herdtools7 (a model checker for memory models, and its generator of tests), run with a C library of their own.

use super::program::{Outcomes, cut};
use crate::{Result, apt, parallel, project};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tests of one process.
const BATCH: usize = 12;
/// Seconds for one test, and for one that needed more.
const LIMIT: &str = "5";
const LONG_LIMIT: &str = "300";
/// What is said where herd7 gave up.
const SILENCE: &str = "herd7 says nothing";

/// The unpacked package.
pub struct Herd {
    root: PathBuf,
}

/// Options that tests of a process share: mixed, vectors, model.
type Kind = (bool, bool, Option<PathBuf>);

/// A file for herd: its text, and the names of what is shown with the bytes that count.
#[derive(Clone)]
pub struct Question {
    /// Unique; the file is named by its number.
    pub name: String,
    /// The litmus file.
    pub text: String,
    /// What is shown, in the order of an outcome.
    pub shown: Vec<(String, usize)>,
    /// Mixed-size accesses.
    pub mixed: bool,
    /// Vector registers.
    pub vectors: bool,
    /// A model of ours instead of herd's own.
    pub model: Option<PathBuf>,
    /// Registers that mark executions that do not count.
    pub marks: Vec<String>,
}

impl Herd {
    /// Fetches the package where it is missing. It is built for amd64 only in the version that is needed (Neon, 7.58).
    pub fn new() -> Result<Herd> {
        let arch = project::HOST_ARCH;
        let root = project::target("herdtools");
        let herd = Herd { root };
        if !herd.root.join("usr/bin/herd7").is_file() {
            eprintln!("xtask: fetching herdtools7");
            let packages: Vec<String> = ["libc6", "libgmp10", "herdtools7"].iter().map(|p| format!("{p}:{arch}")).collect();
            apt::Suite::new("sid")?.unpack(&packages.iter().map(String::as_str).collect::<Vec<_>>(), &herd.root)?;
        }
        Ok(herd)
    }

    /// One of its programs, by the loader that belongs to it.
    fn program(&self, name: &str) -> Command {
        let (loader, libraries) = if project::HOST_IS_X86 { ("usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu") } else { ("usr/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu") };
        let mut command = Command::new(self.root.join(loader));
        command.arg("--library-path").arg(self.root.join(libraries)).arg(self.root.join("usr/bin").join(name));
        command.stdin(Stdio::null());
        command
    }

    /// Tests that diy7 generates for x86_64 with these arguments: their texts, sorted by name.
    pub fn generate(&self, dir: &Path, args: &[&str]) -> Result<Vec<String>> {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let output = self.program("diy7").args(["-arch", "X86_64"]).args(args).current_dir(dir).output().map_err(|e| format!("diy7: {e}"))?;
        let mut files: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "litmus")).collect();
        files.sort();
        if files.is_empty() {
            return Err(format!("diy7 {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)));
        }
        files.iter().map(|f| fs::read_to_string(f).map_err(|e| e.to_string())).collect()
    }

    /// Final states of each question, in order; an error says why there are none.
    pub fn ask(&self, dir: &Path, questions: &[Question], jobs: usize) -> Result<Vec<Result<Outcomes>>> {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for (n, q) in questions.iter().enumerate() {
            fs::write(dir.join(format!("{n}.litmus")), &q.text).map_err(|e| e.to_string())?;
        }
        // Tests of a process share their options.
        let mut kinds: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        questions.iter().enumerate().for_each(|(n, q)| kinds.entry((q.mixed, q.vectors, q.model.clone())).or_default().push(n));
        let batches: Vec<(&Kind, &[usize])> = kinds.iter().flat_map(|(kind, numbers)| numbers.chunks(BATCH).map(move |c| (kind, c))).collect();
        let mut all: Vec<Result<Outcomes>> = questions.iter().map(|_| Err("not asked".into())).collect();
        for answer in parallel::map(&batches, jobs, |(kind, numbers)| self.batch(dir, kind, numbers, questions, LIMIT)) {
            for (n, outcomes) in answer? {
                all[n] = outcomes;
            }
        }
        // Few need longer: those, one by one.
        let kind_of = |n: usize| (questions[n].mixed, questions[n].vectors, questions[n].model.clone());
        let left: Vec<(Kind, [usize; 1])> = (0..all.len()).filter(|n| all[*n].as_ref().is_err_and(|e| e == SILENCE)).map(|n| (kind_of(n), [n])).collect();
        for answer in parallel::map(&left, jobs, |(kind, n)| self.batch(dir, kind, n, questions, LONG_LIMIT)) {
            for (n, outcomes) in answer? {
                all[n] = outcomes;
            }
        }
        Ok(all)
    }

    fn batch(&self, dir: &Path, (mixed, vectors, model): &Kind, numbers: &[usize], questions: &[Question], limit: &str) -> Result<Vec<(usize, Result<Outcomes>)>> {
        let mut herd = self.program("herd7");
        herd.arg("-set-libdir").arg(self.root.join("usr/share/herdtools7/herd")).args(["-timeout", limit]);
        if *mixed {
            herd.args(["-variant", "mixed"]);
        }
        if *vectors {
            herd.args(["-variant", "neon"]);
        }
        if let Some(model) = model {
            herd.args(["-archcheck", "false", "-model"]).arg(model);
        }
        herd.args(numbers.iter().map(|n| format!("{n}.litmus"))).current_dir(dir);
        let output = herd.output().map_err(|e| format!("herd7: {e}"))?;
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mut blocks: BTreeMap<&str, &str> = BTreeMap::new();
        for block in text.split("\nTest ").flat_map(|b| b.strip_prefix("Test ").or(Some(b))) {
            if let Some((name, rest)) = block.split_once(' ') {
                blocks.insert(name, rest);
            }
        }
        Ok(numbers.iter().map(|&n| {
            let q = &questions[n];
            let answer = match blocks.get(q.name.as_str()) {
                Some(block) => read(block, q),
                None => {
                    let complaint = errors.lines().find(|l| l.contains(&format!("\"{n}.litmus\""))).unwrap_or(SILENCE);
                    Err(complaint.to_string())
                }
            };
            (n, answer)
        }).collect())
    }
}

/// The states of one answer.
fn read(block: &str, q: &Question) -> Result<Outcomes> {
    let mut lines = block.lines().skip_while(|l| !l.starts_with("States "));
    let count: usize = lines.next().and_then(|l| l[7..].trim().parse().ok()).ok_or("no states")?;
    let mut all = Outcomes::new();
    for line in lines.take(count) {
        let values: BTreeMap<&str, i128> =
            line.split(';').filter_map(|p| p.trim().split_once('=')).filter_map(|(k, v)| Some((k.trim_matches(|c| c == '[' || c == ']' && !k.contains("[0")), number(v)?))).collect();
        if q.marks.iter().any(|m| values.get(m.as_str()).is_some_and(|v| *v != 0)) {
            continue;
        }
        let outcome: Option<Vec<u64>> = q.shown.iter().map(|(name, bytes)| values.get(name.as_str()).map(|v| cut(*v as u64, *bytes))).collect();
        all.insert(outcome.ok_or_else(|| format!("not understood: {line}"))?);
    }
    Ok(all)
}

fn number(text: &str) -> Option<i128> {
    match text.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[test]
fn states_are_read() {
    let q = Question { name: "T".into(), text: String::new(), shown: vec![("0:X1".into(), 4), ("x".into(), 4), ("y[0]".into(), 8)], mixed: true, vectors: false, model: None, marks: vec!["0:X30".into()] };
    let got = read("Required\nStates 2\n0:X1=-1; 0:X30=0; [x]=2; y[0]=3;\n0:X1=5; 0:X30=1; [x]=2; y[0]=3;\nOk\n", &q).unwrap();
    assert_eq!(got.into_iter().collect::<Vec<_>>(), [vec![0xffff_ffff, 2, 3]]);
}
