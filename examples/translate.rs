//! Translates guest code on any host, for tools: `cargo xtask litmus` runs the result in a model checker.
//!
//! First line of output: `regs` and the host registers of RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. Then for each input line
//! `FEATURES HEX [misaligned]` (host features by name or `-`, guest bytes, whether every instruction was seen misaligned) the ordered translation:
//! a line `OFFSET WORD TEXT` for each word, `exit OFFSET KIND` for each return address at which it leaves (`syscall` or `other`), `entry OFFSET`, and `end`.
//! System calls are left to the engine: that is where a test's thread ends.

use std::io::{self, BufRead, Write};
use std::mem::offset_of;
use xemu::debug::disasm::{Isa, disassemble};
use xemu::decode::{CodeAt, Limits, decode_region};
use xemu::emit::stubs::Stub;
use xemu::emit::{Features, regs};
use xemu::guest::{Addr, CpuState};
use xemu::optimize::liveness;
use xemu::translate::{Options, translate};

const BASE: u64 = 0x40_1000;
/// `ldr x30, [x28, #...]`: what the call of the engine for SYSCALL begins with.
const SYSCALL: u32 = 0xf940_0000 | ((offset_of!(CpuState, stub) / 8 + Stub::Syscall as usize) as u32) << 10 | 28 << 5 | 30;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let pinned: Vec<String> = (0..16).map(|n| regs::gpr(n).0.to_string()).collect();
    writeln!(out, "regs {}", pinned.join(" "))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (Some(features), Some(hex)) = (words.next(), words.next()) else { return Err(format!("not FEATURES HEX: {line}").into()) };
        let mut options = Options { features: Features::parse(features.trim_matches('-'))?, ordered: true, ..Options::default() };
        options.switches.disable("call-stubs")?;
        let bytes: Vec<u8> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16)).collect::<Result<_, _>>()?;
        if words.next() == Some("misaligned") {
            (0..bytes.len() as u64).for_each(|n| options.misaligned.insert(BASE + n));
        }
        let source = CodeAt(Addr(BASE), &bytes);
        let mut region = decode_region(&source, Addr(BASE), Limits::default());
        liveness(&mut region, &source);
        let emitted = translate(&region, &options);
        for word in disassemble(Isa::Arm64, &emitted.code, 0) {
            let at = word.addr as usize;
            let bits = emitted.code[at..].iter().take(4).rev().fold(0u32, |w, b| w << 8 | *b as u32);
            writeln!(out, "{at} {bits:08x} {}", word.text)?;
            if bits == SYSCALL {
                // Behind the BLR.
                writeln!(out, "exit {} syscall", at + 8)?;
            }
        }
        for exit in &emitted.exits {
            writeln!(out, "exit {} other", exit.host)?;
        }
        emitted.entries.iter().take(1).try_for_each(|e| writeln!(out, "entry {}", e.host))?;
        writeln!(out, "end")?;
    }
    Ok(())
}
