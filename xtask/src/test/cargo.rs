//! The suites that are cargo's own tests.

use super::Context;
use crate::{Result, project};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Unit tests of the library and of xtask, and the integration tests under `tests/`.
pub fn unit(context: &Context) -> Result<()> {
    let mut cargo = project::cargo();
    cargo.args(["test", "--workspace", "--quiet", "--no-fail-fast"]);
    if context.options.list {
        return Ok(());
    }
    cargo.args(["--", "--format=pretty"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    if let Some(filter) = &context.options.filter {
        // A part of a name is all that cargo's own filter knows.
        cargo.arg(filter.as_str());
    }
    let mut child = cargo.spawn().map_err(|e| format!("cargo: {e}"))?;
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), 0);
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.map_err(|e| format!("cargo: {e}"))?;
        match line.strip_prefix("test ").and_then(|l| l.rsplit_once(" ... ")) {
            Some((name, "ok")) => {
                passed += 1;
                println!("ok      unit/{name}");
            }
            Some((name, "FAILED")) => {
                failed.push(format!("unit/{name}"));
                println!("FAILED  unit/{name}");
            }
            Some((name, state)) if state.starts_with("ignored") => {
                skipped += 1;
                println!("skipped unit/{name}: {state}");
            }
            _ if line.starts_with("running ") || line.is_empty() => {}
            _ => println!("{line}"),
        }
    }
    let status = child.wait().map_err(|e| format!("cargo: {e}"))?;
    let broken = !status.success() && failed.is_empty();
    // Benchmarks are built by nothing else; each runs once.
    if context.options.filter.as_ref().is_none_or(|f| f.is_match("unit/benches")) {
        let benches = project::cargo().args(["test", "--package", "xemu", "--bench=*", "--quiet", "--", "--test"]).stdin(Stdio::null()).output();
        match benches {
            Ok(ran) if ran.status.success() => {
                passed += 1;
                println!("ok      unit/benches");
            }
            Ok(ran) => {
                println!("FAILED  unit/benches\n{}", String::from_utf8_lossy(&ran.stderr));
                failed.push("unit/benches".into());
            }
            Err(e) => return Err(format!("cargo: {e}")),
        }
    }
    context.add(passed, failed, skipped);
    if broken { Err("cargo test failed before or outside a test".into()) } else { Ok(()) }
}
