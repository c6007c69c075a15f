//! docs/threads.md: every thread has its row, every named test is there and names a thread of its row, the count is right.

use std::path::Path;

/// How many threads the table is about.
const THREADS: usize = 65;

/// How many must be covered by a test.
const COVERED: usize = 40;

#[test]
fn every_thread_has_a_test_that_names_it_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/threads.md")).expect("docs/threads.md");
    let mut covered = 0;
    let mut next = 1;
    for line in text.lines().filter(|l| l.starts_with("| ") && l.as_bytes()[2].is_ascii_digit()) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, threads, _, last] = cells[..] else { panic!("four cells: {line}") };
        assert_eq!(number, next.to_string(), "each number once, in order");
        next += 1;
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if !last.starts_with('`') {
            assert!(!last.is_empty(), "{number}: neither a test nor a reason");
            continue;
        }
        covered += 1;
        for test in tests {
            let source = std::fs::read_to_string(root.join(test)).unwrap_or_else(|e| panic!("{number}: {test}: {e}"));
            assert!(full_names(threads).iter().any(|name| names(&source, name)), "{number}: {test} names none of {threads}");
        }
    }
    assert_eq!(next - 1, THREADS);
    assert!(covered >= COVERED, "only {covered} are covered");
    assert!(text.contains(&format!("{covered} are covered by a test")), "the text tells another number than {covered}");
}

/// `a#1, #2, b#3` as `a#1`, `a#2`, `b#3`.
fn full_names(threads: &str) -> Vec<String> {
    let mut project = "";
    let mut names = Vec::new();
    for word in threads.split(", ") {
        let (before, number) = word.split_once('#').unwrap_or_else(|| panic!("{word:?} is no thread"));
        if !before.is_empty() {
            project = before;
        }
        names.push(format!("{project}#{number}"));
    }
    names
}

/// Is `name` in the text, and not only as the beginning of a longer number?
fn names(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| !text[at + name.len()..].starts_with(|c: char| c.is_ascii_digit()))
}
