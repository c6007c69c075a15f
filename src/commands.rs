//! Subcommands: `xemu binfmt`, `xemu disasm`. Each returns what it prints, or what went wrong.

#![forbid(unsafe_code)]

/// Runs subcommand `name`.
pub fn run(name: &str, args: &[Vec<u8>]) -> Result<String, String> {
    let text: Result<Vec<String>, _> = args.iter().map(|a| String::from_utf8(a.clone())).collect();
    let args = text.map_err(|_| "arguments are not UTF-8".to_string())?;
    match name {
        "disasm" => crate::debug::disasm::command(&args),
        "binfmt" => crate::binfmt::command(&args),
        _ => Err("not in this version".into()),
    }
}
