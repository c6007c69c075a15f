//! `tests/gaps.txt`: tests that are known to fail, each with the reason. They run all the same, so that a gap that has
//! been closed is noticed; their failures count as skipped.

use crate::{Result, project};

/// The declared gaps.
pub struct Gaps(Vec<(String, String)>);

impl Gaps {
    /// Reads the table: `name: reason` a line, `#` starts a comment. A reason is required.
    pub fn load() -> Result<Self> {
        let path = project::root().join("tests/gaps.txt");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let rows = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let row = |line: &str| match line.split_once(": ") {
            Some((name, reason)) if !reason.trim().is_empty() => Ok((name.to_string(), reason.trim().to_string())),
            _ => Err(format!("tests/gaps.txt: no reason in {line:?}")),
        };
        rows.map(row).collect::<Result<_>>().map(Self)
    }

    /// Why this test is expected to fail.
    pub fn reason(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|g| g.0 == name).map(|g| g.1.as_str())
    }
}
