//! The rules of docs/architecture.md that can be read off the source: who may use whom, file sizes, where unsafe lives,
//! and what is never written down.

use std::fs;
use std::path::{Path, PathBuf};

/// Which folders of src/ a folder may name, besides itself. A folder that is not listed may name anything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("guest", &[]),
    // `emit`: only the numbers that stubs and the host agree on (exit kinds, table sizes).
    ("host", &["guest", "emit"]),
    ("decode", &["guest"]),
    ("optimize", &["decode", "guest"]),
    ("emit", &["guest"]),
    ("interpret", &["decode", "guest", "host"]),
    ("helpers", &["host", "emit", "guest"]),
    ("translate", &["optimize", "decode", "emit", "helpers", "guest"]),
    ("engine", &["translate", "interpret", "optimize", "decode", "emit", "helpers", "guest", "host", "debug", "options"]),
];

/// Files outside src/host/ with unsafe blocks: the C entry point's argument vector, and a test that asks the real processor.
const UNSAFE: &[&str] = &["src/main.rs", "src/helpers/silicon.rs"];

/// Longest file, in lines.
const LONGEST: usize = 620;

/// Words that no source may hold: unfinished code, and ways around the rules.
const FORBIDDEN: &[&str] = &["todo!(", "unimplemented!(", "FIXME", "XXX", "#[ignore]", "TODO", "HACK"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`: its path from the root, and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut pending = vec![root().join(folder)];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path: PathBuf = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|x| x == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{folder} holds no source");
    files
}

fn everything() -> Vec<(String, String)> {
    ["src", "xtask/src", "tests", "benches"].into_iter().filter(|f| root().join(f).is_dir()).flat_map(sources).collect()
}

/// A line without its comment. Good enough for rules about identifiers.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The folders that a line names by `crate::NAME`, also inside `crate::{a, b::c}` when it stands on one line.
fn named(line: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for part in code(line).split("crate::").skip(1) {
        match part.strip_prefix('{') {
            None => names.push(word(part)),
            Some(list) => {
                let mut depth = 0;
                let mut item = String::new();
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => names.push(word(std::mem::take(&mut item).trim())),
                        _ if depth == 0 => item.push(c),
                        _ => {}
                    }
                }
                names.push(word(item.trim()));
            }
        }
    }
    names.retain(|n| !n.is_empty());
    names
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn names_are_found_in_both_forms() {
    assert_eq!(named("use crate::guest::Addr; // crate::linux"), ["guest"]);
    assert_eq!(named("use crate::{decode::{Insn, Block}, emit, guest::Reg};"), ["decode", "emit", "guest"]);
}

#[test]
fn dependencies_go_one_way() {
    let folders: Vec<String> = fs::read_dir(root().join("src")).unwrap().flatten().map(|e| e.file_name().to_string_lossy().replace(".rs", "")).collect();
    let mut problems = Vec::new();
    for (name, text) in sources("src") {
        let folder = name.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|m| m.0 == folder) else { continue };
        for (number, line) in text.lines().enumerate() {
            // What a module's tests use is not what the module depends on.
            if line.trim() == "#[cfg(test)]" || name.ends_with("/tests.rs") {
                break;
            }
            for used in named(line).iter().filter(|u| folders.contains(u) && *u != folder && !allowed.contains(&u.as_str())) {
                problems.push(format!("{name}:{}: {folder} must not know {used}", number + 1));
            }
        }
    }
    complain(&problems);
}

#[test]
fn files_stay_readable() {
    let long = |(name, text): &(String, String)| {
        let lines = text.lines().count();
        (lines > LONGEST).then(|| format!("{name} has {lines} lines, more than {LONGEST}: split it by family"))
    };
    complain(&everything().iter().filter_map(long).collect::<Vec<_>>());
}

/// What tests or people leave behind does not become part of the project. Only what git tracks counts: without git there is nothing to see.
#[test]
fn the_top_level_holds_what_is_known() {
    const KNOWN: &str = ".cargo .ci .gitignore Cargo.lock Cargo.toml LICENSE-APACHE LICENSE-MIT README.md benches build.rs deploy docs examples fixtures \
                         rust-toolchain.toml rustfmt.toml src tests xtask";
    let Ok(tracked) = std::process::Command::new("git").arg("-C").arg(root()).arg("ls-files").output() else { return };
    let names: std::collections::BTreeSet<String> = String::from_utf8_lossy(&tracked.stdout).lines().map(|l| l.split('/').next().unwrap_or_default().into()).collect();
    let unknown = names.iter().filter(|n| !KNOWN.split(' ').any(|k| k == *n));
    complain(&unknown.map(|n| format!("{n} is in the project's folder: what is it for?")).collect::<Vec<_>>());
}

#[test]
fn modules_say_what_they_are_for() {
    let silent = |(name, text): &(String, String)| (!text.trim_start().starts_with("//!")).then(|| format!("{name} does not begin with //!"));
    complain(&sources("src").iter().chain(&sources("xtask/src")).filter_map(silent).collect::<Vec<_>>());
}

#[test]
fn unsafe_is_fenced() {
    let mut problems = Vec::new();
    for (name, text) in sources("src").into_iter().filter(|f| !f.0.starts_with("src/host/") && !UNSAFE.contains(&f.0.as_str())) {
        for (number, line) in text.lines().enumerate() {
            if code(line).contains("unsafe {") || code(line).contains("unsafe impl") {
                problems.push(format!("{name}:{}: unsafe outside src/host", number + 1));
            }
        }
    }
    complain(&problems);
}

#[test]
fn decoder_and_assembler_stay_behind_their_folders() {
    let mut problems = Vec::new();
    for (name, text) in sources("src") {
        for (word, folder) in [("iced_x86", "src/decode/"), ("dynasm!", "src/emit/"), ("dynasmrt", "src/emit/")] {
            if !name.starts_with(folder) && text.lines().any(|l| code(l).contains(word)) {
                problems.push(format!("{name} names {word}, which belongs to {folder}"));
            }
        }
    }
    complain(&problems);
}

#[test]
fn nothing_is_left_unfinished() {
    let mut problems = Vec::new();
    for (name, text) in everything().into_iter().filter(|f| f.0 != "tests/layout.rs") {
        for (number, line) in text.lines().enumerate() {
            problems.extend(FORBIDDEN.iter().filter(|w| line.contains(**w)).map(|w| format!("{name}:{}: {w}", number + 1)));
        }
    }
    complain(&problems);
}

#[test]
fn every_optimisation_is_tested_switched_off() {
    let configs = fs::read_to_string(root().join("xtask/src/test/configs.rs")).unwrap();
    for (_, name, _) in xemu::optimize::PASSES {
        assert!(configs.contains(&format!("\"no-{name}\", &[(\"XEMU_NO_OPT\", \"{name}\")")), "xtask/src/test/configs.rs has no row for {name}");
    }
}
