//! Translates guest code on any host, for tools: `cargo xtask litmus` runs the result in a model checker.
//!
//! First line of output: `regs` and the host registers of RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. Then for each input line
//! `FEATURES HEX [misaligned]` (host features by name or `-`, guest bytes, whether every instruction was seen misaligned) the ordered translation:
//! a line `OFFSET WORD TEXT` for each word, `exit OFFSET KIND` for each return address at which it leaves (`syscall` or `other`), `entry OFFSET`, and `end`.

use std::io::{self, BufRead, Write};
use xemu::debug::disasm::{Isa, disassemble};
use xemu::decode::{CodeAt, Limits, decode_region};
use xemu::emit::{Features, regs};
use xemu::guest::Addr;
use xemu::optimize::liveness;
use xemu::translate::{ExitKind, Options, translate};

const BASE: u64 = 0x40_1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let pinned: Vec<String> = (0..16).map(|n| regs::gpr(n).0.to_string()).collect();
    writeln!(out, "regs {}", pinned.join(" "))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (Some(features), Some(hex)) = (words.next(), words.next()) else { return Err(format!("not FEATURES HEX: {line}").into()) };
        let mut options = Options { features: Features::parse(features.trim_matches('-'))?, ordered: true, ..Options::default() };
        let bytes: Vec<u8> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16)).collect::<Result<_, _>>()?;
        if words.next() == Some("misaligned") {
            options.misaligned.extend((0..bytes.len() as u64).map(|n| BASE + n));
        }
        let source = CodeAt(Addr(BASE), &bytes);
        let mut region = decode_region(&source, Addr(BASE), Limits::default());
        liveness(&mut region, &source);
        let emitted = translate(&region, &options);
        for word in disassemble(Isa::Arm64, &emitted.code, 0) {
            let at = word.addr as usize;
            let bits = emitted.code[at..].iter().take(4).rev().fold(0u32, |w, b| w << 8 | *b as u32);
            writeln!(out, "{at} {bits:08x} {}", word.text)?;
        }
        for exit in &emitted.exits {
            let kind = if matches!(exit.kind, ExitKind::Syscall(_)) { "syscall" } else { "other" };
            writeln!(out, "exit {} {kind}", exit.host)?;
        }
        emitted.entries.iter().take(1).try_for_each(|e| writeln!(out, "entry {}", e.host))?;
        writeln!(out, "end")?;
    }
    Ok(())
}
