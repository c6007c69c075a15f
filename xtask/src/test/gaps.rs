//! `tests/gaps.txt`: tests that are known to fail, each with the reason. They run all the same, so that a gap that has
//! been closed is noticed; their failures count as skipped. A row that starts with `?` is a regular expression for tests that were not yet
//! seen to pass, or not in the time of a run: they may pass.

use crate::{Result, project};
use regex::Regex;

/// The declared gaps.
pub struct Gaps {
    known: Vec<(String, String)>,
    unproven: Vec<(Regex, String)>,
}

impl Gaps {
    /// Reads the table: `name: reason` a line, `#` starts a comment. A reason is required.
    pub fn load() -> Result<Self> {
        let path = project::root().join("tests/gaps.txt");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let rows = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let mut gaps = Self { known: Vec::new(), unproven: Vec::new() };
        for line in rows {
            let row = line.split_once(": ").filter(|(_, reason)| !reason.trim().is_empty());
            let (name, reason) = row.ok_or_else(|| format!("tests/gaps.txt: no reason in {line:?}"))?;
            let reason = reason.trim().to_string();
            match name.strip_prefix('?') {
                Some(pattern) => {
                    let pattern = Regex::new(&format!("^(?:{})$", pattern.trim())).map_err(|e| format!("tests/gaps.txt: {e}"))?;
                    gaps.unproven.push((pattern, reason));
                }
                None => gaps.known.push((name.to_string(), reason)),
            }
        }
        Ok(gaps)
    }

    /// Why this test is expected to fail.
    pub fn reason(&self, name: &str) -> Option<&str> {
        self.known.iter().find(|g| g.0 == name).map(|g| g.1.as_str())
    }

    /// Why nobody would wonder if this test failed.
    pub fn doubt(&self, name: &str) -> Option<&str> {
        self.unproven.iter().find(|g| g.0.is_match(name)).map(|g| g.1.as_str())
    }
}
