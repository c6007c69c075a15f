//! `docs/syscalls.md`, made from the table.

use super::table::{ROWS, Support};
use std::fmt::Write;

/// The page's text.
pub fn markdown() -> String {
    let mut out = String::from(
        "# System calls\n\nMade from the table in `src/linux/syscall/table.rs`; `BLESS=1 cargo test --lib syscall::docs` writes it anew.\n\n\
         *passes*: forwarded to the host as it is. *converted*: carried out by xemu, or forwarded with other layouts, flags or addresses.\n\n",
    );
    let count = |f: fn(&Support) -> bool| ROWS.iter().filter(|r| f(&r.support)).count();
    let passing = count(|s| matches!(s, Support::Pass(_) | Support::Direct(_) | Support::Alone(_)));
    let converted = count(|s| matches!(s, Support::Handler(_)));
    let refused = count(|s| matches!(s, Support::Refuse(_)));
    let _ = writeln!(out, "{} calls: {passing} pass, {converted} are converted, {refused} are refused.\n", ROWS.len());
    out.push_str("| number | call | support | note |\n| --- | --- | --- | --- |\n");
    for row in ROWS {
        let support = match row.support {
            Support::Pass(_) => "passes",
            Support::Direct(_) => "passes, from translated code",
            Support::Alone(_) => "passes, from translated code while the process has one thread",
            Support::Handler(_) => "converted",
            Support::Refuse(libc::EPERM) => "EPERM",
            Support::Refuse(_) => "ENOSYS",
        };
        let _ = writeln!(out, "| {} | {} | {support} | {} |", row.number, row.name, row.note);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/syscalls.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, super::markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(page, super::markdown(), "run with BLESS=1 to write it anew");
    }
}
