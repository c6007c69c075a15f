//! `--dump=guest,host,links` and `--perf-map`: what is written for each new translation.

use super::disasm::{Isa, disassemble};
use crate::decode::{Insn, Region};
use crate::host::copy;
use crate::translate::{Emitted, ExitKind, Way};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, OnceLock};

/// What is dumped.
#[derive(Debug, Default)]
pub struct Config {
    /// Guest instructions.
    pub guest: bool,
    /// Host instructions, interleaved with the guest's if both are asked for.
    pub host: bool,
    /// Entries and exits.
    pub links: bool,
    /// Only regions that start in this range of guest addresses.
    pub filter: Option<(u64, u64)>,
    /// Where dumps go; standard error if none.
    pub log: Option<Mutex<File>>,
    /// /tmp/perf-PID.map.
    pub perf_map: Option<Mutex<File>>,
}

impl Config {
    /// Reads `--dump`'s list.
    pub fn parse(&mut self, list: &str) -> Result<(), String> {
        for item in list.split(',').filter(|i| !i.is_empty()) {
            match item {
                "guest" | "in_asm" => self.guest = true,
                "host" | "out_asm" => self.host = true,
                "links" => self.links = true,
                _ => return Err(format!("--dump: unknown item '{item}' (known: guest, host, links)")),
            }
        }
        Ok(())
    }
    /// Reads `--dump-filter`: FIRST or FIRST..LAST or FIRST+LENGTH, hexadecimal.
    pub fn parse_filter(&mut self, range: &str) -> Result<(), String> {
        let number = |s: &str| u64::from_str_radix(s.trim_start_matches("0x"), 16).map_err(|_| format!("--dump-filter: '{range}' is not a range"));
        self.filter = Some(if let Some((a, b)) = range.split_once("..") {
            (number(a)?, number(b)?)
        } else if let Some((a, n)) = range.split_once('+') {
            (number(a)?, number(a)?.saturating_add(number(n)?))
        } else {
            (number(range)?, number(range)?)
        });
        Ok(())
    }
    /// Is there anything to do?
    pub fn is_active(&self) -> bool {
        self.guest || self.host || self.links || self.perf_map.is_some()
    }
}

static CONFIG: OnceLock<Config> = OnceLock::new();

/// Installs the configuration and returns what the engine is to call, if there is anything to do.
pub fn observer(config: Config) -> Option<fn(&Region, &Emitted, u64)> {
    config.is_active().then(|| {
        let _ = CONFIG.set(config);
        observe as fn(&Region, &Emitted, u64)
    })
}

fn observe(region: &Region, emitted: &Emitted, host: u64) {
    let Some(config) = CONFIG.get() else { return };
    let entry = region.blocks[0].addr.0;
    if let Some(map) = &config.perf_map {
        let line = format!("{host:x} {:x} guest_{entry:x}\n", emitted.code.len());
        let _ = map.lock().map(|mut f| f.write_all(line.as_bytes()));
    }
    if !(config.guest || config.host || config.links) || config.filter.is_some_and(|(a, b)| entry < a || entry > b) {
        return;
    }
    let text = render(region, emitted, config, &guest_text);
    match &config.log {
        Some(file) => drop(file.lock().map(|mut f| f.write_all(text.as_bytes()))),
        None => drop(std::io::stderr().write_all(text.as_bytes())),
    }
}

/// A guest instruction's text, from the memory that it was decoded from.
fn guest_text(insn: &Insn) -> String {
    let mut bytes = vec![0; (insn.next().0 - insn.addr().0) as usize];
    match copy::read_bytes(insn.addr(), &mut bytes) {
        Ok(()) => disassemble(Isa::X86, &bytes, insn.addr().0).into_iter().map(|l| l.text).collect::<Vec<_>>().join("; "),
        Err(_) => format!("{:?}", insn.code()),
    }
}

/// The dump of one region. Host addresses are offsets: code is position-independent, and dumps can be compared.
pub fn render(region: &Region, emitted: &Emitted, config: &Config, text: &dyn Fn(&Insn) -> String) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "region {} ({} instructions, {} bytes of host code)", region.blocks[0].addr, region.insns.len(), emitted.code.len());
    if !config.host && config.guest {
        for i in &region.insns {
            let _ = writeln!(out, "{:#x}  {}", i.addr().0, text(i));
        }
    }
    if config.host {
        let mut origin = 0;
        for line in disassemble(Isa::Arm64, &emitted.code, 0) {
            while emitted.origins.get(origin).is_some_and(|o| o.host as u64 <= line.addr) {
                let o = emitted.origins[origin];
                origin += 1;
                if emitted.origins.get(origin).is_some_and(|n| n.host as u64 <= line.addr) {
                    continue;
                }
                if let Some(i) = region.insns.iter().find(|i| i.addr() == o.guest).filter(|_| config.guest) {
                    let _ = writeln!(out, "{:#x}  {}", i.addr().0, text(i));
                }
            }
            let _ = writeln!(out, "    {:4x}  {}", line.addr, line.text);
        }
    }
    if config.links {
        for e in &emitted.entries {
            let _ = writeln!(out, "  entry {} at {:#x}, live flags {:#x}", e.guest, e.host, e.live_in);
        }
        for e in &emitted.exits {
            match e.kind {
                ExitKind::Direct { target, patch, way } => {
                    let _ = writeln!(out, "  {} {target} by the word at {patch:#x}", if matches!(way, Way::Jump { .. }) { "exit to" } else { "call" });
                }
                other => {
                    let _ = writeln!(out, "  {other:?} of {} at {:#x}", e.guest, e.host);
                }
            }
        }
    }
    out
}
