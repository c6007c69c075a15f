//! `cargo xtask litmus`: x86-TSO on ARM64's memory model, checked by machine.
//!
//! Skeletons (diy7's cycles and the named tests of `fixtures/litmus`) say what x86 threads do to shared memory; which final states x86 allows says the
//! machine of [`tso`], which must agree with herd7's x86tso.cat wherever that knows the instructions. Each skeleton becomes guest code in several forms,
//! xemu's own translator translates that, the emitted code is rendered as an AArch64 litmus test, and herd7 runs it with aarch64.cat. A
//! final state that x86 does not allow is a failure.
//!
//! Seeded bugs change the emitted code (an acquire, a release, a barrier less): tests must fail then.

mod a64;
mod check;
mod forms;
mod herd;
mod host;
mod lanes;
mod program;
mod render;
mod seeds;
mod skeletons;
mod tso;

pub use check::{Options, TIERS, check, find_bugs};
pub use seeds::SEEDS;

use crate::{Result, parallel};
use regex::Regex;
use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask litmus [OPTIONS]
  --tier NAME      one tier of host features; --list shows them
  --filter RE      tests whose name matches
  --sample N       about N tests of each tier, spread over all
  --seed-bug NAME  emitted code with this bug: tests must fail; `all` for each in turn
  --jobs N         processes at once
  --show           for each failing test: guest code, rendered code, states
  --list           tiers, seeded bugs and the number of tests";

/// Entry of the command.
pub fn main(args: Vec<OsString>) -> Result<ExitCode> {
    use lexopt::prelude::*;
    let mut options = Options { jobs: parallel::processors(), ..Options::default() };
    let (mut bugs, mut list) = (Vec::new(), false);
    let failed = |e: lexopt::Error| format!("{e}\n{USAGE}");
    let mut parser = lexopt::Parser::from_args(args);
    let text = |parser: &mut lexopt::Parser| parser.value().and_then(|v| v.string()).map_err(failed);
    while let Some(arg) = parser.next().map_err(failed)? {
        match arg {
            Long("tier") => options.tiers.push(text(&mut parser)?),
            Long("filter") => options.filter = Some(Regex::new(&text(&mut parser)?).map_err(|e| e.to_string())?),
            Long("sample") => options.sample = Some(text(&mut parser)?.parse().map_err(|_| "--sample wants a number")?),
            Long("seed-bug") => bugs.push(text(&mut parser)?),
            Long("jobs") => options.jobs = text(&mut parser)?.parse().map_err(|_| "--jobs wants a number")?,
            Long("show") => options.show = true,
            Long("list") => list = true,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(failed(other.unexpected())),
        }
    }
    if list {
        TIERS.iter().for_each(|t| println!("tier {}: {}", t.name, if t.features.is_empty() { "none" } else { t.features }));
        SEEDS.iter().for_each(|s| println!("bug {}: {}", s.name, s.what));
        return Ok(ExitCode::SUCCESS);
    }
    if bugs.is_empty() {
        let report = check(&options)?;
        report.print(options.show);
        return Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if bugs == ["all"] {
        bugs = SEEDS.iter().map(|s| s.name.to_string()).collect();
    }
    let seeds = bugs.iter().map(|b| seeds::find(b)).collect::<Result<Vec<_>>>()?;
    let found = find_bugs(&options, &seeds)?;
    for (seed, test) in &found {
        match test {
            Ok(test) => println!("found   {}: {test}", seed.name),
            Err(tried) => println!("MISSED  {} ({tried} tests had it)", seed.name),
        }
    }
    Ok(if found.iter().all(|f| f.1.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
