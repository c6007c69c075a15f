//! Runs a benchmark's processes and counts what they execute: by the processor's own counters on ARM64 machines that offer them, else by a
//! plugin in qemu-aarch64. Counts of one thread are exact and repeat; they are not cycles.

use super::inputs::{self, Inputs};
use super::measure::Measure;
use super::rows::{Group, Row};
use super::side::{Side, Words, compile};
use crate::emulator::{CPU, RUNNER_VARIABLE};
use crate::process::{Outcome, run as run_process};
use crate::{Result, project, tools};
use std::collections::HashMap;
use std::fs;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longest single run.
const LIMIT: Duration = Duration::from_secs(600);

/// How instructions are counted.
pub enum Counter {
    /// qemu-aarch64, and the plugin.
    Plugin { qemu: PathBuf, plugin: PathBuf },
    /// The processor's counters: this program starts itself as the parent of what is counted.
    Perf,
}

/// A block of translated code that executes often.
pub struct Hot {
    /// Where it was.
    pub at: u64,
    /// How often it ran.
    pub runs: u64,
    /// Its AArch64 words.
    pub words: Vec<u32>,
}

/// One side's run of a row.
pub struct Ran {
    pub measure: Measure,
    pub outcome: Outcome,
    pub hot: Vec<Hot>,
}

impl Counter {
    /// What this machine can do.
    pub fn new(inputs: &Inputs) -> Result<Self> {
        if super::perf::available() {
            return Ok(Counter::Perf);
        }
        tools::need_program("qemu-aarch64", "qemu-user")?;
        tools::need_program("gcc", "gcc")?;
        let plugin = inputs.work.join("icount.so");
        compile("gcc", &["-O2", "-shared", "-fPIC"], &project::root().join("xtask/plugin/icount.c"), &plugin, &[])?;
        let qemu = tools::find("qemu-aarch64").ok_or("qemu-aarch64 is missing")?;
        Ok(Counter::Plugin { qemu, plugin })
    }

    /// As the report says it.
    pub fn description(&self) -> String {
        match self {
            Counter::Plugin { .. } => format!("executed AArch64 instructions under qemu-aarch64 (-cpu {CPU}, plugin xtask/plugin/icount.c)"),
            Counter::Perf => "executed AArch64 instructions by the processor's counters (perf_event_open, user mode)".into(),
        }
    }

    /// Runs all processes of a row on one side and adds up what they execute.
    pub fn run(&self, row: &Row, side: &Side, inputs: &Inputs, hot: usize) -> Result<Ran> {
        let mut total = Ran { measure: Measure::default(), outcome: Outcome { stdout: Vec::new(), stderr: Vec::new(), end: String::new() }, hot: Vec::new() };
        for words in side.processes(row, inputs)? {
            // Several threads count into the same places: exact counts cost more there.
            let ran = self.process(&words, side.shared(row)?.as_deref(), side, inputs, row.group == Group::System && row.name.starts_with("threads"), hot)?;
            add(&mut total.measure, &ran.measure);
            total.outcome.stdout.extend(ran.outcome.stdout);
            total.outcome.stderr.extend(ran.outcome.stderr);
            total.outcome.end += &format!("{} ", ran.outcome.end);
            total.hot.extend(ran.hot);
        }
        Ok(total)
    }

    /// Runs one process, with `share` in the place of /usr/share.
    fn process(&self, words: &Words, share: Option<&Path>, side: &Side, inputs: &Inputs, exact: bool, hot: usize) -> Result<Ran> {
        let counts = inputs.work.join(format!("count-{}", std::process::id()));
        let _ = fs::remove_file(&counts);
        let mut command = match self {
            Counter::Plugin { qemu, plugin } => {
                let option = format!("{},out={},exact={},hot={hot}", plugin.display(), counts.display(), u8::from(exact));
                let mut command = with_share(share, qemu.as_os_str())?;
                command.args(["-cpu", CPU, "-plugin", &option]).args(words).env_clear();
                let runner = format!("{} -cpu {CPU} -plugin {option}", qemu.display());
                command.env(RUNNER_VARIABLE, runner);
                command
            }
            Counter::Perf => {
                let mut command = with_share(share, std::env::current_exe().map_err(|e| e.to_string())?.as_os_str())?;
                command.args(["bench", super::perf::CHILD]).arg(&counts).args(words).env_clear();
                command
            }
        };
        command.envs(inputs::environment(&inputs.work)).envs(side.environment.iter().cloned()).current_dir(&inputs.work);
        let run = run_process(command, LIMIT)?;
        let text = fs::read_to_string(&counts).map_err(|_| {
            let said = String::from_utf8_lossy(&run.outcome.stderr).into_owned();
            format!("  no count: it ended with {}, or nothing counts here\n  {said}", run.outcome.end)
        })?;
        let _ = fs::remove_file(&counts);
        let mut measure = Measure::default();
        let mut blocks = Vec::new();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("count", rest)) => add(&mut measure, &parse(rest)),
                Some(("block", rest)) => blocks.extend(block(rest)),
                _ => return Err(format!("  not a count: {line}")),
            }
        }
        measure.wall = run.time.as_secs_f64() * 1e3;
        Ok(Ran { measure, outcome: run.outcome, hot: blocks })
    }
}

/// A command that starts `program` where `share` is /usr/share: programs look for their files there by absolute names.
fn with_share(share: Option<&Path>, program: &OsStr) -> Result<Command> {
    let Some(share) = share else { return Ok(Command::new(program)) };
    tools::need_program("unshare", "util-linux")?;
    let mut command = Command::new("unshare");
    if !tools::is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "/bin/sh", "-c", "mount --bind \"$1\" /usr/share && shift && exec \"$@\"", "share"]).arg(share).arg(program);
    Ok(command)
}

fn pairs(line: &str) -> HashMap<&str, &str> {
    line.split(' ').filter_map(|w| w.split_once('=')).collect()
}

/// A line of the plugin.
fn parse(line: &str) -> Measure {
    let values = pairs(line);
    let value = |key: &str| values.get(key).and_then(|v| v.parse().ok());
    Measure {
        instructions: value("insns").unwrap_or(0),
        loads: value("loads"),
        stores: value("stores"),
        barriers: value("barriers"),
        acquire_release: value("acqrel"),
        atomics: value("atomics"),
        emitted: value("emitted"),
        syscalls: value("syscalls"),
        faults: value("faults"),
        resident: value("resident"),
        wall: 0.0,
    }
}

fn block(line: &str) -> Option<Hot> {
    let values = pairs(line);
    let words = values.get("words")?;
    let words = (0..words.len() / 8).filter_map(|i| u32::from_str_radix(&words[8 * i..8 * i + 8], 16).ok()).collect();
    Some(Hot { at: u64::from_str_radix(values.get("at")?, 16).ok()?, runs: values.get("runs")?.parse().ok()?, words })
}

/// Adds a process to a total; memory is that of the largest.
fn add(total: &mut Measure, one: &Measure) {
    let sum = |a: Option<u64>, b: Option<u64>| if a.is_some() || b.is_some() { Some(a.unwrap_or(0) + b.unwrap_or(0)) } else { None };
    total.instructions += one.instructions;
    total.loads = sum(total.loads, one.loads);
    total.stores = sum(total.stores, one.stores);
    total.barriers = sum(total.barriers, one.barriers);
    total.acquire_release = sum(total.acquire_release, one.acquire_release);
    total.atomics = sum(total.atomics, one.atomics);
    total.emitted = sum(total.emitted, one.emitted);
    total.syscalls = sum(total.syscalls, one.syscalls);
    total.faults = sum(total.faults, one.faults);
    total.resident = total.resident.max(one.resident);
    total.wall += one.wall;
}

/// How many guest instructions xemu translates for a row: the heads of `--dump=guest` name them.
pub fn translated(row: &Row, xemu: &Side, inputs: &Inputs) -> Result<u64> {
    let mut count = 0;
    let log = inputs.work.join("translated");
    for words in xemu.processes(row, inputs)? {
        let _ = fs::remove_file(&log);
        let runner = crate::emulator::host_runner()?;
        let words = [runner.clone(), words].concat();
        let mut command = with_share(xemu.shared(row)?.as_deref(), &words[0])?;
        command.args(&words[1..]).env_clear().envs(inputs::environment(&inputs.work)).current_dir(&inputs.work);
        command.env("XEMU_DUMP", "guest").env("XEMU_LOG_FILE", &log);
        run_process(command, LIMIT)?;
        let text = fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        count += text.lines().filter_map(region).sum::<u64>();
    }
    let _ = fs::remove_file(&log);
    Ok(count)
}

/// `region 0x401500 (15 instructions, 136 bytes of host code)`: 15.
fn region(line: &str) -> Option<u64> {
    line.strip_prefix("region ")?.split_once('(')?.1.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_plugin() {
        let m = parse("insns=12 loads=3 stores=2 barriers=1 acqrel=0 atomics=0 emitted=7 syscalls=4 faults=9 resident=512");
        assert_eq!((m.instructions, m.loads, m.emitted, m.resident), (12, Some(3), Some(7), Some(512)));
        let mut total = Measure::default();
        add(&mut total, &m);
        add(&mut total, &m);
        assert_eq!((total.instructions, total.faults, total.resident), (24, Some(18), Some(512)));
        let hot = block("at=7f00 runs=5 words=d65f03c0d503201f").unwrap();
        assert_eq!((hot.at, hot.runs, hot.words), (0x7f00, 5, vec![0xd65f_03c0, 0xd503_201f]));
    }

    #[test]
    fn heads_of_regions() {
        assert_eq!(region("region 0x401500 (15 instructions, 136 bytes of host code)"), Some(15));
        assert_eq!(region("0x401500  xor ebp, ebp"), None);
    }
}
