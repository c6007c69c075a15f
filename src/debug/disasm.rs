//! Text of x86_64 and AArch64 code, and the command `xemu disasm FILE ADDR [COUNT]`.

use crate::guest::Addr;

/// An instruction set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isa {
    /// The guest's.
    X86,
    /// The host's.
    Arm64,
}

/// One disassembled instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its address.
    pub addr: u64,
    /// Its length in bytes.
    pub len: usize,
    /// Mnemonic and operands.
    pub text: String,
}

/// Disassembles `bytes`; what is no instruction becomes data.
#[cfg(feature = "disasm")]
pub fn disassemble(isa: Isa, bytes: &[u8], addr: u64) -> Vec<Line> {
    use capstone::prelude::*;
    let built = match isa {
        Isa::X86 => Capstone::new().x86().mode(arch::x86::ArchMode::Mode64).syntax(arch::x86::ArchSyntax::Intel).build(),
        Isa::Arm64 => Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build(),
    };
    let Ok(cs) = built else { return Vec::new() };
    let step = if isa == Isa::X86 { 1 } else { 4 };
    let mut lines = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match cs.disasm_count(&bytes[at..], addr + at as u64, 1).ok().and_then(|list| {
            list.iter().next().map(|i| (i.bytes().len(), format!("{} {}", i.mnemonic().unwrap_or("?"), i.op_str().unwrap_or(""))))
        }) {
            Some((len, text)) => {
                lines.push(Line { addr: addr + at as u64, len, text: text.trim_end().to_string() });
                at += len;
            }
            None => {
                let len = step.min(bytes.len() - at);
                let data: Vec<String> = bytes[at..at + len].iter().map(|b| format!("{b:02x}")).collect();
                lines.push(Line { addr: addr + at as u64, len, text: format!(".byte {}", data.join(" ")) });
                at += len;
            }
        }
    }
    lines
}
/// Built without a disassembler: bytes only.
#[cfg(not(feature = "disasm"))]
pub fn disassemble(isa: Isa, bytes: &[u8], addr: u64) -> Vec<Line> {
    let step = if isa == Isa::X86 { 16 } else { 4 };
    let text = |c: &[u8]| c.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    bytes.chunks(step).enumerate().map(|(i, c)| Line { addr: addr + (i * step) as u64, len: c.len(), text: text(c) }).collect()
}

/// `xemu disasm FILE ADDR [COUNT]`: the guest code of an ELF file at a virtual address.
pub fn command(args: &[String]) -> Result<String, String> {
    const USAGE: &str = "usage: xemu disasm FILE ADDR [COUNT]";
    let [file, at, rest @ ..] = args else { return Err(USAGE.into()) };
    let hex = at.strip_prefix("0x").unwrap_or(at);
    let at = Addr(u64::from_str_radix(hex, 16).map_err(|_| format!("'{at}' is not a hexadecimal address; {USAGE}"))?);
    let count: usize = match rest {
        [] => 32,
        [n] => n.parse().map_err(|_| format!("'{n}' is not a count; {USAGE}"))?,
        _ => return Err(USAGE.into()),
    };
    let bytes = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    let elf = goblin::elf::Elf::parse(&bytes).map_err(|e| format!("{file}: {e}"))?;
    let segment = elf
        .program_headers
        .iter()
        .find(|p| p.p_type == goblin::elf::program_header::PT_LOAD && (p.p_vaddr..p.p_vaddr.saturating_add(p.p_filesz)).contains(&at.0))
        .ok_or_else(|| format!("{file}: no segment holds {at}"))?;
    let from = (segment.p_offset + (at.0 - segment.p_vaddr)) as usize;
    let end = ((segment.p_offset + segment.p_filesz) as usize).min(from + 16 * count).min(bytes.len());
    let code = bytes.get(from..end).ok_or_else(|| format!("{file}: truncated"))?;
    Ok(disassemble(Isa::X86, code, at.0).iter().take(count).map(|l| format!("{:#x}  {}\n", l.addr, l.text)).collect())
}
