//! Differences that xemu declares: `fixtures/semantics/declared.txt`.
//!
//! A line is a regular expression for form names, field names separated by commas, and the reason. `#` starts a comment.

use crate::{Result, project};
use regex::Regex;

/// The table.
pub struct Table(Vec<(Regex, Vec<String>)>);

impl Table {
    /// Reads it.
    pub fn load() -> Result<Self> {
        let path = project::root().join("fixtures/semantics/declared.txt");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut rows = Vec::new();
        for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
            let mut words = line.splitn(3, char::is_whitespace);
            let (Some(form), Some(fields), Some(_reason)) = (words.next(), words.next(), words.next()) else {
                return Err(format!("{}: not `FORMS FIELDS REASON`: {line}", path.display()));
            };
            let form = Regex::new(&format!("^(?:{form})$")).map_err(|e| format!("{}: {e}", path.display()))?;
            rows.push((form, fields.split(',').map(str::to_string).collect()));
        }
        Ok(Table(rows))
    }

    /// Whether a difference of `form` in `field` is declared.
    pub fn allows(&self, form: &str, field: &str) -> bool {
        self.0.iter().any(|(re, fields)| fields.iter().any(|f| f == field) && re.is_match(form))
    }
}
