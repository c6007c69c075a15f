//! `@ key = value` lines at the head of a test file, behind the language's comment sign. They keep everything about a
//! test in its one file.

use std::path::Path;

/// The directives of one file, in order.
#[derive(Debug, Default, Clone)]
pub struct Directives(Vec<(String, String)>);

impl Directives {
    /// Reads lines like `//@ key = value` or `#@ key = value`.
    pub fn parse(text: &str) -> Self {
        let line = |l: &str| {
            let (key, value) = l.strip_prefix("//@").or_else(|| l.strip_prefix("#@"))?.split_once('=')?;
            Some((key.trim().to_string(), value.trim().to_string()))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Those of a file; none if it cannot be read as text.
    pub fn of(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|d| d.0 == key).map(|d| d.1.as_str())
    }

    /// The value of `key` cut at commas.
    pub fn list(&self, key: &str) -> Vec<&str> {
        self.get(key).map_or(Vec::new(), |v| v.split(',').map(str::trim).filter(|s| !s.is_empty()).collect())
    }

    /// The value of `key` cut at blanks.
    pub fn words(&self, key: &str) -> Vec<&str> {
        self.get(key).unwrap_or_default().split_whitespace().collect()
    }
}

#[test]
fn directives_are_read_from_either_comment_sign() {
    let d = Directives::parse("// text\n//@ link = static, dynamic\n#@ args = a  b\nint main() {}\n");
    assert_eq!((d.list("link"), d.words("args"), d.get("none")), (vec!["static", "dynamic"], vec!["a", "b"], None));
}
