//! Subcommands: `xemu binfmt`, `xemu doctor`, `xemu agent`, `xemu disasm`. Each returns what it prints, or what went wrong.

#![forbid(unsafe_code)]

/// What a subcommand has to say on standard output, and whether that is bad news (exit code 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// For standard output.
    pub text: String,
    /// Whether what was asked for is not so.
    pub failed: bool,
}

impl Done {
    /// Good news.
    pub fn text(text: impl Into<String>) -> Done {
        Done { text: text.into(), failed: false }
    }
}

/// Runs subcommand `name`.
pub fn run(name: &str, args: &[Vec<u8>]) -> Result<Done, String> {
    let text: Result<Vec<String>, _> = args.iter().map(|a| String::from_utf8(a.clone())).collect();
    let args = text.map_err(|_| "arguments are not UTF-8".to_string())?;
    match name {
        "disasm" => crate::debug::disasm::command(&args).map(Done::text),
        "binfmt" => crate::binfmt::command(&args),
        "doctor" => crate::doctor::command(&args),
        "agent" => crate::agent::command(&args),
        _ => Err("not in this version".into()),
    }
}
