//! Field by field: where two results of a case differ.

use super::case::{Case, DATA, NEED_SEGMENTS, NEED_X87, NEED_XMM, NEED_YMM, Record, at};
use super::undefined::flag;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter};
use std::fmt::Write;

/// General registers in their encoding's order.
pub const GPR_NAMES: [&str; 16] =
    ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
const STATUS: u64 = flag::CF | flag::PF | flag::AF | flag::ZF | flag::SF | flag::OF | flag::DF;

/// One field that differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// `rax`, `CF`, `xmm3`, `sw`, `memory`…: what the table of declared differences names.
    pub field: String,
    /// For a human: expected and got.
    pub text: String,
    /// How far apart two x87 numbers are, in units in the last place.
    pub ulps: Option<u128>,
}

/// Differences of `got` from what the processor did.
pub fn differences(case: &Case, expected: &Record, got: &Record) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut add = |field: &str, e: String, g: String| {
        if e != g {
            all.push(Difference { field: field.into(), text: format!("{field}: expected {e} got {g}"), ulps: None });
        }
    };
    let needs = case.record.get32(at::NEEDS);
    add("signal", expected.signal().to_string(), got.signal().to_string());
    if expected.signal() != got.signal() {
        return all;
    }
    let faulted = expected.signal() != 0;
    for (n, name) in GPR_NAMES.iter().enumerate() {
        let volatile = case.volatile.registers.iter().filter(|v| v.0 == n && !faulted).fold(0, |mask, v| mask | v.1);
        add(name, format!("{:#x}", expected.gpr(n) & !volatile), format!("{:#x}", got.gpr(n) & !volatile));
    }
    if faulted {
        for (name, at) in [("rip", at::RIP), ("si_addr", at::ADDRESS), ("si_code", at::SI_CODE), ("error", at::ERROR)] {
            add(name, format!("{:#x}", expected.get64(at)), format!("{:#x}", got.get64(at)));
        }
        add("trap", expected.get32(at::TRAP).to_string(), got.get32(at::TRAP).to_string());
    } else {
        // Flags that a fault's frame shows are not compared: dead ones may be stale.
        let mask = STATUS & !case.undefined_flags;
        let (e, g) = (expected.get64(at::FLAGS) & mask, got.get64(at::FLAGS) & mask);
        for (name, bit) in
            [("CF", flag::CF), ("PF", flag::PF), ("AF", flag::AF), ("ZF", flag::ZF), ("SF", flag::SF), ("OF", flag::OF), ("DF", flag::DF)]
        {
            add(name, u8::from(e & bit != 0).to_string(), u8::from(g & bit != 0).to_string());
        }
    }
    if needs & NEED_XMM != 0 {
        for n in 0..16 {
            let v = |r: &Record, at: usize| format!("{:016x}_{:016x}", r.get64(at + 16 * n + 8), r.get64(at + 16 * n));
            add(&format!("xmm{n}"), v(expected, at::XMM), v(got, at::XMM));
            if needs & NEED_YMM != 0 {
                add(&format!("ymm{n}"), v(expected, at::YMMHI), v(got, at::YMMHI));
            }
        }
        let (e, g) = (expected.get32(at::MXCSR), got.get32(at::MXCSR));
        for (n, name) in ["IE", "DE", "ZE", "OE", "UE", "PE"].iter().enumerate() {
            add(&format!("mxcsr.{name}"), (e >> n & 1).to_string(), (g >> n & 1).to_string());
        }
        add("mxcsr", format!("{:#x}", e & !0x3f), format!("{:#x}", g & !0x3f));
    }
    if needs & NEED_X87 != 0 && !faulted {
        const C1: u32 = 0x200;
        for (name, at, mask) in [("cw", at::X87, 0xffff), ("sw", at::X87 + 4, 0xffff & !C1), ("tw", at::X87 + 8, 0xffff)] {
            add(name, format!("{:#06x}", expected.get32(at) & mask), format!("{:#06x}", got.get32(at) & mask));
        }
        let c1 = |r: &Record| u8::from(r.get32(at::X87 + 4) & C1 != 0).to_string();
        add("sw.C1", c1(expected), c1(got));
        for n in 0..8 {
            let at = at::X87 + 28 + 10 * n;
            let v = |r: &Record| format!("{:04x}_{:016x}", r.get64(at + 8) as u16, r.get64(at));
            add(&format!("st{n}"), v(expected), v(got));
        }
    }
    if needs & NEED_SEGMENTS != 0 {
        for (name, at) in [("fs_base", at::FS_BASE), ("gs_base", at::GS_BASE), ("selectors", at::SELECTORS)] {
            add(name, format!("{:#x}", expected.get64(at)), format!("{:#x}", got.get64(at)));
        }
    }
    let data = |r: &Record| {
        let mut bytes = r.0[at::MEMORY..].to_vec();
        case.volatile.memory.iter().for_each(|range| bytes[range.clone()].fill(0));
        bytes
    };
    let (e, g) = (data(expected), data(got));
    if let Some(first) = e.iter().zip(&g).position(|(a, b)| a != b) {
        let last = e.iter().zip(&g).rposition(|(a, b)| a != b).expect("there is a first");
        let hex = |b: &[u8]| b[first..=last.min(first + 31)].iter().map(|b| format!("{b:02x}")).collect::<String>();
        add("memory", format!("[{:#x}] {}", DATA + first as u64, hex(&e)), format!("[{:#x}] {}", DATA + first as u64, hex(&g)));
    }
    for difference in &mut all {
        let register = difference.field.strip_prefix("st").and_then(|n| n.parse::<usize>().ok());
        difference.ulps = register.and_then(|n| ulps(wide(expected, n), wide(got, n)));
    }
    all
}

/// ST(n) as FNSAVE stored it.
fn wide(r: &Record, n: usize) -> u128 {
    let at = at::X87 + 28 + 10 * n;
    (r.get64(at) as u128) | (r.get64(at + 8) as u16 as u128) << 64
}

/// How far apart two numbers of the same sign are.
fn ulps(a: u128, b: u128) -> Option<u128> {
    // The integer bit says nothing that the exponent does not.
    let line = |v: u128| (v >> 64 & 0x7fff) << 63 | v & (1 << 63) - 1;
    (a >> 79 == b >> 79).then(|| line(a).abs_diff(line(b)))
}

/// The instructions of a case, up to the jump back.
pub fn disassembly(case: &Record) -> String {
    let mut decoder = Decoder::with_ip(64, &case.0[..at::SLOT], case.address(), DecoderOptions::AMD);
    let mut formatter = IntelFormatter::new();
    let (mut text, mut insn) = (String::new(), Instruction::default());
    while decoder.can_decode() {
        let start = decoder.position();
        decoder.decode_out(&mut insn);
        if case.0[start..].starts_with(&[0xff, 0x24, 0x25, 0x00, 0x0f, 0x00, 0x30]) {
            break;
        }
        if !text.is_empty() {
            text += "; ";
        }
        formatter.format(&insn, &mut text);
    }
    text
}

/// A reproducer for a human: bytes, disassembly, the registers that matter.
pub fn describe(case: &Case) -> String {
    let r = &case.record;
    let end = (0..at::SLOT).find(|&i| r.0[i..].starts_with(&[0xff, 0x24, 0x25, 0x00, 0x0f, 0x00, 0x30])).unwrap_or(case.len);
    let bytes = r.0[..end].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    let mut text = format!("    {bytes}    {}\n    from", disassembly(r));
    for n in (0..16).filter(|n| case.involved >> n & 1 != 0) {
        let _ = write!(text, " {}={:#x}", GPR_NAMES[n], r.gpr(n));
    }
    let _ = write!(text, " flags={:#x}", r.get64(at::FLAGS));
    let mut decoder = Decoder::with_ip(64, &r.0[..at::SLOT], r.address(), DecoderOptions::AMD);
    let insn = loop {
        let insn = decoder.decode();
        if decoder.position() >= case.len {
            break insn;
        }
    };
    for i in 0..insn.op_count() {
        let register = insn.op_register(i);
        if register.is_xmm() || register.is_ymm() {
            let n = register.number();
            let half = |at: usize| format!("{:016x}_{:016x}", r.get64(at + 16 * n + 8), r.get64(at + 16 * n));
            match register.is_ymm() {
                true => _ = write!(text, " ymm{n}={}_{}", half(at::YMMHI), half(at::XMM)),
                false => _ = write!(text, " xmm{n}={}", half(at::XMM)),
            }
        }
    }
    let needs = r.get32(at::NEEDS);
    if needs & NEED_XMM != 0 {
        let _ = write!(text, " mxcsr={:#x}", r.get32(at::MXCSR));
    }
    if needs & NEED_X87 != 0 {
        let _ =
            write!(text, " cw={:#x} sw={:#x} tw={:#x}", r.get32(at::X87) as u16, r.get32(at::X87 + 4) as u16, r.get32(at::X87 + 8) as u16);
        for n in 0..3 {
            let at = at::X87 + 28 + 10 * n;
            let _ = write!(text, " st{n}={:04x}_{:016x}", r.get64(at + 8) as u16, r.get64(at));
        }
    }
    if let Some(address) = r.effective_address(&insn).filter(|_| insn.memory_size().size() > 0) {
        memory(&mut text, r, address, insn.memory_size().size());
    }
    if needs >> 8 != 0 {
        let _ = write!(text, " data's pages: {}", ["all", "lower", "upper"][if needs >> 8 & 0xff != 0 { 1 } else { 2 }]);
    }
    text
}

fn memory(text: &mut String, r: &Record, address: u64, size: usize) {
    let offset = address.wrapping_sub(DATA) as usize;
    if offset < at::MEMORY - size {
        let bytes: String = r.0[at::MEMORY + offset..at::MEMORY + offset + size].iter().rev().map(|b| format!("{b:02x}")).collect();
        let _ = write!(text, " [{address:#x}]={bytes}");
    }
}
