//! ELF files with damaged headers: xemu must end each with one clear line, or as the kernel and the processor end it; never by a panic or a hang.
//!
//! A batch is one test; its seed is its number. Bytes of the ELF header, of the program headers and of the interpreter's name are
//! changed, and files are cut short. Where the machine itself is x86_64 the verdicts are compared: what the kernel refuses, xemu refuses.

use super::{Context, Verdict};
use crate::fuzz::random::Random;
use crate::process::{Outcome, run as run_process};
use crate::{Result, guests, project};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Mutants of one batch, and batches.
const BATCH: u64 = 100;
const BATCHES: u64 = 10;

/// Programs that are damaged: fixed and moving, with and without an interpreter.
const VICTIMS: &[&str] = &["asm/hello", "c/hello-static", "c/hello-static-pie", "c/hello-dynamic"];

/// A mutant that runs longer hangs, unless it does so natively, too.
const LIMIT: Duration = Duration::from_secs(30);
const NATIVE_LIMIT: Duration = Duration::from_secs(2);

/// Values that sizes, offsets and addresses are set to.
const EDGES: &[u64] = &[0, 1, 7, 0xfff, 0x1000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 46, (1 << 47) - 1, 1 << 47, 1 << 63, u64::MAX - 0xfff, u64::MAX];

/// Runs the suite.
pub fn run(context: &Context) -> Result<()> {
    let name = |batch: &u64| format!("mutants/elf-{batch}");
    let batches: Vec<u64> = (0..BATCHES).filter(|b| context.wants(&name(b), false)).collect();
    let mut victims = Vec::new();
    if !batches.is_empty() && !context.options.list {
        for folder in ["asm", "c"] {
            for guest in guests::list(folder)?.iter().filter(|g| VICTIMS.contains(&g.name.as_str())) {
                victims.push(fs::read(guest.build()?).map_err(|e| e.to_string())?);
            }
        }
    }
    context.run_all(&batches, name, |batch| self::batch(context, &victims, *batch).unwrap_or_else(Verdict::Failed));
    Ok(())
}

fn batch(context: &Context, victims: &[Vec<u8>], batch: u64) -> Result<Verdict> {
    let folder = project::target("tmp").join(format!("mutants-{}-{batch}", std::process::id()));
    let io = |e: std::io::Error| format!("{}: {e}", folder.display());
    fs::create_dir_all(&folder).map_err(io)?;
    let mut random = Random::new(batch + 1);
    let mut wrong = Vec::new();
    for number in 0..BATCH {
        let victim = &victims[number as usize % victims.len()];
        let (bytes, what) = mutate(victim, &mut random);
        let path = folder.join(format!("mutant-{number}"));
        fs::write(&path, &bytes).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755))).map_err(io)?;
        let mut command = context.emulator().command(path.as_os_str());
        command.current_dir(&folder);
        let got = run_process(command, LIMIT)?.outcome;
        match problem(&path, &folder, &got, &bytes) {
            // A mutant that goes wrong is kept.
            Some(problem) => wrong.push(format!("  {}: {what}: {problem}", path.display())),
            None => fs::remove_file(&path).map_err(io)?,
        }
    }
    if wrong.is_empty() {
        fs::remove_dir_all(&folder).map_err(io)?;
        return Ok(Verdict::Passed);
    }
    Ok(Verdict::Failed(wrong.join("\n")))
}

/// What is wrong with the way in which xemu ended a mutant.
fn problem(path: &Path, folder: &Path, got: &Outcome, bytes: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(&got.stderr);
    if said.contains("internal error") || said.contains("panicked") {
        return Some(said.into_owned());
    }
    let refused = matches!(got.end.as_str(), "exit 126" | "exit 127");
    // One line, xemu's or the interpreter's.
    if refused && said.trim_end().lines().count() != 1 {
        return Some(format!("refused with {} lines:\n{said}", said.lines().count()));
    }
    if !project::HOST_IS_X86 || declared(bytes) {
        return (got.end == "time limit").then(|| "hangs".into());
    }
    let mut native = Command::new(path);
    native.current_dir(folder);
    match run_process(native, NATIVE_LIMIT) {
        Err(_) if refused => None,
        Err(e) => Some(format!("the kernel refuses it ({}), xemu: {}", e.trim(), got.end)),
        // Killed behind exec's point of no return: as good as refused.
        Ok(native) if refused && matches!(native.outcome.end.as_str(), "signal 9" | "signal 11") => None,
        Ok(native) if native.outcome.end == got.end => None,
        // Random code and random addresses end some way or other.
        Ok(native) if native.outcome.end.starts_with("signal") && got.end.starts_with("signal") => None,
        Ok(native) => Some(format!("natively {}, under xemu {}: {said}", native.outcome.end, got.end)),
    }
}

/// May a mutant end otherwise than natively? Tagged addresses can be loaded from on ARM64, and how much memory is too much (for a segment, or for
/// thread-local storage of a large alignment) is the host's affair.
fn declared(bytes: &[u8]) -> bool {
    let word = |at: usize| bytes.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().expect("eight bytes")));
    let count = bytes.get(56).copied().unwrap_or(0) as usize;
    (0..count).map(|n| 64 + 56 * n).any(|header| {
        let (kind, address, memory, alignment) = (word(header) as u32, word(header + 16), word(header + 40), word(header + 48));
        address >> 56 != 0 || memory > 1 << 32 || kind == PT_TLS && alignment > 1 << 32
    })
}

const PT_TLS: u32 = 7;

/// A damaged copy, and what was done.
fn mutate(victim: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let mut bytes = victim.to_vec();
    let half = |at: usize| u16::from_le_bytes([victim[at], victim[at + 1]]) as usize;
    // e_phoff is 64 in every victim; e_phentsize and e_phnum are at 54 and 56.
    let headers = 64 + half(54) * half(56);
    let mut what = Vec::new();
    for _ in 0..1 + random.below(3) {
        match random.below(8) {
            0 => {
                let length = random.below(bytes.len() as u64) as usize;
                let length = if random.below(2) == 0 { length % 0x400 } else { length };
                bytes.truncate(length);
                what.push(format!("cut to {length}"));
            }
            1..4 => {
                let at = random.below(headers as u64) as usize;
                let value = random.next() as u8;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
                what.push(format!("byte {at:#x} = {value:#x}"));
            }
            4 => {
                let at = random.below(headers as u64) as usize;
                let bit = random.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
                what.push(format!("bit {bit} of byte {at:#x}"));
            }
            _ => {
                let at = 24 + random.below((headers as u64 - 24) / 8) as usize * 8;
                let value = EDGES[random.below(EDGES.len() as u64) as usize];
                if let Some(field) = bytes.get_mut(at..at + 8) {
                    field.copy_from_slice(&value.to_le_bytes());
                }
                what.push(format!("word {at:#x} = {value:#x}"));
            }
        }
    }
    (bytes, what.join(", "))
}
