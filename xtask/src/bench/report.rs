//! The results as a table for a terminal, and what they are compared with.

use super::count::Hot;
use super::measure::{Measure, Report, Row as Result_};
use super::rows::{self, Fex, Goal, Group, Mean};
use super::{kernels, programs};
use crate::Result;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Reads results.
pub fn read(path: impl AsRef<Path>) -> Result<Report> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Adds rows and sides of older results that were not measured now.
pub fn keep(new: &mut Report, old: Report) {
    for row in old.rows {
        match new.rows.iter_mut().find(|r| r.name == row.name) {
            None => new.rows.push(row),
            Some(now) => {
                for (side, measure) in row.sides {
                    if !now.failed.contains_key(&side) {
                        now.sides.entry(side).or_insert(measure);
                    }
                }
                for (side, reason) in row.failed {
                    if !now.sides.contains_key(&side) {
                        now.failed.entry(side).or_insert(reason);
                    }
                }
                now.translated = now.translated.or(row.translated);
            }
        }
    }
    let place = |name: &str| all().position(|r| r.name == name);
    new.rows.retain(|r| place(&r.name).is_some());
    new.rows.sort_by_key(|r| place(&r.name));
}

/// All rows of the tables.
pub fn all() -> impl Iterator<Item = &'static rows::Row> {
    kernels::KERNELS.iter().chain(programs::PROGRAMS)
}

/// The table's row of a result.
pub fn definition(name: &str) -> Option<&'static rows::Row> {
    all().find(|r| r.name == name)
}

/// Whether a goal is met: `None` without a goal or a figure.
pub fn met(row: &Result_, goal: Goal) -> Option<(f64, f64, f64)> {
    match goal {
        Goal::Ratio(must, aim) => Some((row.ratio("xemu")?, must, aim)),
        Goal::Millions(must, aim) => Some((row.side("xemu")?.instructions as f64 / 1e6, must, aim)),
        Goal::Mean => None,
    }
}

/// What a value says about a goal.
pub fn verdict((value, must, aim): (f64, f64, f64)) -> &'static str {
    match () {
        () if value <= aim => "aim",
        () if value <= must => "must",
        () => "not met",
    }
}

/// Who executes fewer instructions than xemu on a row: emulators measured now, and FEX by its figure for this kind of program.
pub fn ahead(row: &Result_) -> Vec<String> {
    let Some(xemu) = row.side("xemu").map(|m| m.instructions) else { return Vec::new() };
    let mut names = Vec::new();
    for (side, name) in [("qemu", "QEMU"), ("box64", "Box64")] {
        if row.side(side).is_some_and(|m| m.instructions < xemu) {
            names.push(name.to_string());
        }
    }
    let fex = match definition(&row.name).map(|d| d.fex) {
        Some(Fex::Ratio(r)) => row.side("native").map(|m| r * m.instructions as f64),
        Some(Fex::Millions(m)) => Some(m * 1e6),
        _ => None,
    };
    if fex.is_some_and(|f| f < xemu as f64) {
        names.push("FEX".into());
    }
    names
}

fn millions(n: u64) -> String {
    format!("{:.1}", n as f64 / 1e6)
}

fn optional<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or("-".into(), show)
}

fn share(part: Option<u64>, of: u64) -> String {
    optional(part, |p| format!("{:.0} %", 100.0 * p as f64 / of.max(1) as f64))
}

/// Per 1,000 executed instructions.
pub fn per_thousand(part: Option<u64>, m: &Measure) -> String {
    optional(part, |p| format!("{:.1}", 1e3 * p as f64 / m.instructions.max(1) as f64))
}

/// The whole table; with `base`, what changed.
pub fn table(report: &Report, base: Option<&Report>) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let rows: Vec<&Result_> = report.rows.iter().filter(|r| r.group == group.title()).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "{:<15} {:>9} {:>9} {:>7} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>7} {:>8}  goal",
            group.title(),
            "native M",
            "xemu M",
            "ratio",
            "emitted",
            "ordered",
            "qemu",
            "box64",
            "own",
            "syscalls",
            "MiB",
            "seconds"
        );
        for row in rows {
            text += &line(row, base);
        }
        for (of, what) in [(Mean::Whole, "whole"), (Mean::Emitted, "emitted code"), (Mean::Ordered, "ordered")] {
            if let Some((mean, n)) = report.mean(group, of) {
                let goal = rows::MEANS.iter().find(|m| m.0 == group && m.1 == of).map_or(String::new(), |m| format!("  ({}: at most {}, aim {})", verdict((mean, m.2, m.3)), m.2, m.3));
                let before = base.and_then(|b| b.mean(group, of)).map_or(String::new(), |b| format!(", before {:.3}", b.0));
                let _ = writeln!(text, "  geometric mean of {n}, {what}: {mean:.3}{before}{goal}");
            }
        }
        for (side, name) in [("qemu", "QEMU"), ("box64", "Box64")] {
            let both = |row: &Result_| row.ratio(side).and(row.ratio("xemu"));
            if let (Some((mean, n)), Some((ours, _))) = (report.mean_of(group, |r| r.ratio(side)), report.mean_of(group, both)) {
                let _ = writeln!(text, "  geometric mean of {n}, {name}: {mean:.2} where xemu's is {ours:.2}");
            }
        }
    }
    text
}

fn line(row: &Result_, base: Option<&Report>) -> String {
    let ratio = |v: Option<f64>| optional(v, |r| format!("{r:.2}"));
    let (native, xemu) = (row.side("native"), row.side("xemu"));
    let mut text = format!(
        "{:<15} {:>9} {:>9} {:>7} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>7} {:>8}  ",
        row.name,
        optional(native, |m| millions(m.instructions)),
        optional(xemu, |m| millions(m.instructions)),
        ratio(row.ratio("xemu")),
        ratio(row.emitted_ratio("xemu")),
        ratio(row.ratio("ordered")),
        ratio(row.ratio("qemu")),
        ratio(row.ratio("box64")),
        optional(xemu, |m| share(m.emitted.map(|e| m.instructions.saturating_sub(e)), m.instructions)),
        optional(xemu.and_then(|m| m.syscalls), |n| n.to_string()),
        optional(xemu.and_then(|m| m.resident), |k| format!("{:.1}", k as f64 / 1024.0)),
        optional(xemu, |m| format!("{:.2}", m.wall / 1e3)),
    );
    if let Some(goal) = definition(&row.name).and_then(|d| met(row, d.goal)) {
        let _ = write!(text, "{}: {:.2} of {}, aim {}", verdict(goal), goal.0, goal.1, goal.2);
    }
    if let Some(cost) = row.cost_of_translation() {
        let _ = write!(text, "; {cost:.0} a translated instruction");
    }
    let ahead = ahead(row);
    if !ahead.is_empty() {
        let _ = write!(text, "; fewer: {}", ahead.join(", "));
    }
    let before = base.and_then(|b| b.rows.iter().find(|r| r.name == row.name)).and_then(|r| r.side("xemu"));
    if let (Some(before), Some(now)) = (before, xemu) {
        let _ = write!(text, "; before {} M, {:+.2} %", millions(before.instructions), 100.0 * (now.instructions as f64 / before.instructions.max(1) as f64 - 1.0));
    }
    for side in row.failed.keys() {
        let _ = write!(text, "; {side} failed");
    }
    text + "\n"
}

/// A hot block with its share of all instructions, disassembled if binutils can.
pub fn hot(row: &str, side: &str, block: &Hot, all: u64) -> String {
    let executed = block.runs * block.words.len() as u64;
    let head = format!("{row} on {side}: {:.1} % in {} instructions at {:#x}, {} runs", 100.0 * executed as f64 / all.max(1) as f64, block.words.len(), block.at, block.runs);
    head + "\n" + &disassembly(&block.words).unwrap_or_else(|| block.words.iter().map(|w| format!("    {w:08x}\n")).collect())
}

fn disassembly(words: &[u32]) -> Option<String> {
    let file = crate::project::target("tmp").join(format!("hot-{}", std::process::id()));
    fs::create_dir_all(file.parent()?).ok()?;
    fs::write(&file, words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>()).ok()?;
    let program = if crate::project::HOST_IS_X86 { "aarch64-linux-gnu-objdump" } else { "objdump" };
    let output = Command::new(program).args(["-D", "-z", "-b", "binary", "-m", "aarch64"]).arg(&file).stderr(Stdio::null()).output().ok();
    let _ = fs::remove_file(&file);
    let text = String::from_utf8(output?.stdout).ok()?;
    let lines: Vec<String> = text.lines().filter_map(|l| l.split_once(":\t")).map(|(_, l)| format!("    {}\n", l.split_once('\t').map_or(l, |x| x.1).replace('\t', " "))).collect();
    (lines.len() == words.len()).then(|| lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_quick_ones_exist() {
        let mut names: Vec<_> = all().map(|r| r.name).collect();
        assert!(kernels::QUICK.iter().all(|q| names.contains(q)));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn sides_that_were_not_run_are_kept() {
        let row = |name: &str, side: &str, n| Result_ { name: name.into(), sides: [(side.to_string(), Measure { instructions: n, ..Measure::default() })].into(), ..Result_::default() };
        let mut new = Report { rows: vec![row("tak", "xemu", 5)], ..Report::default() };
        keep(&mut new, Report { rows: vec![row("tak", "xemu", 9), row("fib", "native", 7), row("gone", "xemu", 1)], ..Report::default() });
        assert_eq!(new.rows.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["fib", "tak"]);
        assert_eq!(new.rows[1].sides["xemu"].instructions, 5);
    }

    #[test]
    fn verdicts() {
        assert_eq!([1.0, 1.5, 2.0].map(|v| verdict((v, 1.6, 1.2))), ["aim", "must", "not met"]);
    }
}
