//! Guest assembly to bytes, and bytes to AArch64 code by xemu's own translator (`examples/translate.rs`).

use super::program::cut;
use crate::{Result, project, tools};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A word of emitted code.
#[derive(Clone, Debug)]
pub struct Word {
    /// The instruction.
    pub bits: u32,
    /// As capstone writes it.
    pub text: String,
}

/// Emitted code.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// Words in order.
    pub words: Vec<Word>,
    /// Return addresses of the calls by which it leaves, as offsets, and what for.
    pub exits: BTreeMap<u32, String>,
    /// Where it begins.
    pub entry: u32,
}

impl Code {
    /// The word at an offset.
    pub fn word(&self, at: u32) -> Option<&Word> {
        self.words.get(at as usize / 4)
    }
    /// A number from the literal pool.
    pub fn literal(&self, at: u32, bytes: u32) -> Option<u64> {
        let low = self.word(at)?.bits as u64;
        Some(if bytes == 8 { low | (self.word(at + 4)?.bits as u64) << 32 } else { cut(low, 4) })
    }
}

/// Assembles pieces of Intel-syntax code.
pub fn assemble(pieces: &[String]) -> Result<Vec<Vec<u8>>> {
    let gcc = tools::need_amd64_gcc()?;
    let dir = project::target("litmus");
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let (source, object, binary) = (dir.join("guest.s"), dir.join("guest.o"), dir.join("guest.bin"));
    let mut text = String::from(".intel_syntax noprefix\n.text\n");
    for (n, piece) in pieces.iter().enumerate() {
        text += &format!(".long 2f-1f\n1:\n{}\n2:\n# {n}\n", piece.replace(';', "\n"));
    }
    fs::write(&source, text).map_err(|e| e.to_string())?;
    let run = |command: &mut Command| {
        let output = command.output().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        if output.status.success() { Ok(()) } else { Err(format!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr))) }
    };
    run(Command::new(gcc).arg("-c").arg(&source).arg("-o").arg(&object))?;
    run(Command::new(gcc.replace("gcc", "objcopy")).args(["-O", "binary", "-j", ".text"]).arg(&object).arg(&binary))?;
    let bytes = fs::read(&binary).map_err(|e| e.to_string())?;
    let (mut at, mut all) = (0, Vec::new());
    for _ in pieces {
        let size: [u8; 4] = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or("the assembler's output ends")?;
        let size = u32::from_le_bytes(size) as usize;
        all.push(bytes.get(at + 4..at + 4 + size).ok_or("the assembler's output ends")?.to_vec());
        at += 4 + size;
    }
    Ok(all)
}

/// The translator.
pub struct Translator {
    program: PathBuf,
}

/// What to translate: host features, guest bytes, and whether every site was seen misaligned.
pub type Request<'a> = (&'a str, &'a [u8], bool);

impl Translator {
    /// Builds it.
    pub fn new() -> Result<Translator> {
        let mut cargo = project::cargo();
        // For this machine, whatever the product is built for.
        cargo.args(["build", "--quiet", "--package", "xemu", "--example", "translate"]);
        let output = cargo.output().map_err(|e| format!("cargo: {e}"))?;
        if !output.status.success() {
            return Err(format!("the translator does not build\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(Translator { program: project::target("debug/examples/translate") })
    }

    /// Translates in one go: pinned registers of the guest, and code for each request.
    pub fn translate(&self, requests: &[Request]) -> Result<(Vec<u8>, Vec<Code>)> {
        let mut input = String::new();
        for (features, bytes, misaligned) in requests {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            input += &format!("{} {hex}{}\n", if features.is_empty() { "-" } else { features }, if *misaligned { " misaligned" } else { "" });
        }
        let mut child = Command::new(&self.program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|e| format!("{}: {e}", self.program.display()))?;
        let mut stdin = child.stdin.take().ok_or("no pipe")?;
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().map_err(|e| e.to_string())?;
        let written = writer.join().map_err(|_| "the writer panicked")?;
        if !output.status.success() || written.is_err() {
            return Err("the translator failed".into());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (mut registers, mut all, mut code) = (Vec::new(), Vec::new(), Code::default());
        for line in text.lines() {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            let number = |k: usize| words.get(k).and_then(|w| w.parse::<u32>().ok()).ok_or_else(|| format!("translator: {line}"));
            match words[0] {
                "regs" => registers = line.split(' ').skip(1).filter_map(|n| n.parse().ok()).collect(),
                "exit" => {
                    code.exits.insert(number(1)?, words.get(2).copied().unwrap_or_default().into());
                }
                "entry" => code.entry = number(1)?,
                "end" => all.push(std::mem::take(&mut code)),
                _ => {
                    let bits = words.get(1).and_then(|w| u32::from_str_radix(w, 16).ok()).ok_or_else(|| format!("translator: {line}"))?;
                    code.words.push(Word { bits, text: words.get(2).copied().unwrap_or_default().into() });
                }
            }
        }
        if all.len() != requests.len() { Err("the translator stopped early".into()) } else { Ok((registers, all)) }
    }
}
