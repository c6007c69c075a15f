//! `xemu doctor [--json]`: whether x86_64 programs run on this machine, what stands in their way, and what to do about it.
//!
//! A check is one row of [`checks::CHECKS`]: it looks at a [`Machine`] and changes nothing. Exit code: 0 if nothing is in the way (notes and
//! warnings aside), 1 if something is.

#![forbid(unsafe_code)]

mod checks;
mod features;
mod handlers;
mod machine;
pub mod selftest;
mod trial;

use crate::commands::Done;
use machine::{Machine, Tried};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

const USAGE: &str = "usage: xemu doctor [--json]";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Programs run, but not all, or not for long.
    Warning,
    /// x86_64 programs do not run.
    Failure,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Failure => "failure",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub what: String,
    /// What to do about it; empty if there is nothing to do.
    pub advice: String,
    /// More lines: the parts of what was found.
    pub details: Vec<String>,
}

impl Finding {
    fn new(level: Level, what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { level, what: what.into(), advice: advice.into(), details: Vec::new() }
    }

    fn ok(what: impl Into<String>) -> Finding {
        Finding::new(Level::Ok, what, "")
    }

    fn note(what: impl Into<String>) -> Finding {
        Finding::new(Level::Note, what, "")
    }
}

type Report = Vec<(&'static str, Finding)>;

/// The command.
pub fn command(args: &[String]) -> Result<Done, String> {
    let json = match args {
        [] => false,
        [a] if a == "--json" => true,
        [a] if a == trial::OPTION => {
            let said = trial::command();
            return Ok(Done { failed: !said.is_empty(), text: said });
        }
        [a] if a == "--help" => return Ok(Done::text(format!("{USAGE}\n"))),
        _ => return Err(USAGE.into()),
    };
    let tried = Tried {
        code_memory: crate::host::arena::probe(crate::engine::Options::default().cache_size).map_err(|e| e.to_string()),
        program: selftest::run(),
        fix_binary: trial::run(),
    };
    let report = examine(&Machine::new(Path::new("/"), tried));
    let text = if json { format!("{:#}\n", as_json(&report)) } else { as_text(&report) };
    Ok(Done { text, failed: worst(&report) == Level::Failure })
}

fn examine(machine: &Machine) -> Report {
    checks::CHECKS.iter().map(|(name, check)| (*name, check(machine))).collect()
}

fn worst(report: &Report) -> Level {
    report.iter().map(|(_, f)| f.level).max().unwrap_or(Level::Ok)
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    for (name, f) in report {
        let _ = writeln!(text, "{:<8} {name}: {}", f.level.name(), f.what);
        f.details.iter().for_each(|d| text += &format!("           {d}\n"));
        if !f.advice.is_empty() {
            let _ = writeln!(text, "           -> {}", f.advice);
        }
    }
    let count = |level| report.iter().filter(|(_, f)| f.level == level).count();
    let verdict = if worst(report) == Level::Failure { "x86_64 programs do not run here as they should" } else { "nothing is in the way of x86_64 programs" };
    let _ = writeln!(text, "{verdict}: {} failures, {} warnings", count(Level::Failure), count(Level::Warning));
    text
}

fn as_json(report: &Report) -> Value {
    let check = |(name, f): &(&str, Finding)| json!({ "check": name, "level": f.level.name(), "found": f.what, "advice": f.advice, "details": f.details });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ok": worst(report) != Level::Failure,
        "level": worst(report).name(),
        "checks": report.iter().map(check).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
