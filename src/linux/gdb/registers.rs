//! The registers as the remote protocol shows them: order, sizes and names of gdb's amd64-avx-linux description (gdb/features/i386/64bit-*.xml).

use crate::guest::xsave::{Pointers, X87_BYTES};
use crate::guest::{CpuState, Gpr};
use crate::host::sys::{Errno, NOT_BEGUN, RESTART};
use crate::linux::signal::fpstate;
use gdbstub::arch::{Arch, RegId, Registers};
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

/// General registers in the protocol's order.
const ORDER: [Gpr; 16] = [
    Gpr::Rax,
    Gpr::Rbx,
    Gpr::Rcx,
    Gpr::Rdx,
    Gpr::Rsi,
    Gpr::Rdi,
    Gpr::Rbp,
    Gpr::Rsp,
    Gpr::R8,
    Gpr::R9,
    Gpr::R10,
    Gpr::R11,
    Gpr::R12,
    Gpr::R13,
    Gpr::R14,
    Gpr::R15,
];

/// A run of registers of one size.
struct Run {
    feature: &'static str,
    names: &'static [&'static str],
    /// Bytes of each.
    size: usize,
    /// gdb's types of them: one for all, or one each.
    types: &'static [&'static str],
    /// gdb's group, where it is not found out by the type.
    group: &'static str,
}

const CORE: &str = "org.gnu.gdb.i386.core";
const SSE: &str = "org.gnu.gdb.i386.sse";
const AVX: &str = "org.gnu.gdb.i386.avx";

/// All of them, by number.
#[rustfmt::skip]
const RUNS: &[Run] = &[
    Run { feature: CORE, size: 8, group: "", names: &["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"],
        types: &["int64", "int64", "int64", "int64", "int64", "int64", "data_ptr", "data_ptr", "int64", "int64", "int64", "int64", "int64", "int64", "int64", "int64", "code_ptr"] },
    Run { feature: CORE, size: 4, group: "", names: &["eflags"], types: &["i386_eflags"] },
    Run { feature: CORE, size: 4, group: "", names: &["cs", "ss", "ds", "es", "fs", "gs"], types: &["int32"] },
    Run { feature: CORE, size: 10, group: "", names: &["st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7"], types: &["i387_ext"] },
    Run { feature: CORE, size: 4, group: "float", names: &["fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"], types: &["int"] },
    Run { feature: SSE, size: 16, group: "", names: &["xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"], types: &["vec128"] },
    Run { feature: SSE, size: 4, group: "vector", names: &["mxcsr"], types: &["i386_mxcsr"] },
    Run { feature: "org.gnu.gdb.i386.linux", size: 8, group: "system", names: &["orig_rax"], types: &["int"] },
    Run { feature: "org.gnu.gdb.i386.segments", size: 8, group: "", names: &["fs_base", "gs_base"], types: &["int"] },
    Run { feature: AVX, size: 16, group: "", names: &["ymm0h", "ymm1h", "ymm2h", "ymm3h", "ymm4h", "ymm5h", "ymm6h", "ymm7h", "ymm8h", "ymm9h", "ymm10h", "ymm11h", "ymm12h", "ymm13h", "ymm14h", "ymm15h"], types: &["uint128"] },
];

/// Where a register's bytes are, and how many.
fn place(number: usize) -> Option<(usize, usize)> {
    let (mut at, mut first) = (0, 0);
    for run in RUNS {
        if number < first + run.names.len() {
            return Some((at + (number - first) * run.size, run.size));
        }
        at += run.names.len() * run.size;
        first += run.names.len();
    }
    None
}

const fn total() -> usize {
    let (mut bytes, mut i) = (0, 0);
    while i < RUNS.len() {
        bytes += RUNS[i].names.len() * RUNS[i].size;
        i += 1;
    }
    bytes
}

/// Numbers of the first registers of runs.
const RIP: usize = 16;
const EFLAGS: usize = 17;
const SEGMENTS: usize = 18;
const ST: usize = 24;
const FPU: usize = 32;
const XMM: usize = 40;
const MXCSR: usize = 56;
const ORIG_RAX: usize = 57;
const FS_BASE: usize = 58;
const GS_BASE: usize = 59;
const YMM_HIGH: usize = 60;

/// CS, SS, DS, ES, FS, GS of a 64-bit program.
const FLAT: [u32; 6] = [0x33, 0x2b, 0, 0, 0, 0];
/// What the kernel has in RAX at a system call's entry, and where a signal keeps it from waiting on.
const ENOSYS: u64 = -(libc::ENOSYS as i64) as u64;
const ERESTARTSYS: u64 = -(RESTART.0 as i64) as u64;
/// ORIG_RAX where there is no system call.
const NO_CALL: u64 = u64::MAX;
/// Length of SYSCALL.
const SYSCALL_LEN: u64 = 2;

/// The system call that a thread is in, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// None.
    None,
    /// About to be made.
    Entry(u64),
    /// The kernel has the thread.
    Inside(u64),
    /// Just made.
    Over(u64),
}

/// What became of a call that was seen as [`Call::Inside`]: its number, where the guest goes on, and its result in RAX.
pub type Finished = (u64, u64, u64);

/// The registers of a thread, as their bytes one behind another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(Vec<u8>);

impl Default for Bytes {
    fn default() -> Self {
        Bytes(vec![0; total()])
    }
}

impl Bytes {
    /// A register's bytes.
    pub fn get(&self, number: usize) -> Option<&[u8]> {
        place(number).map(|(at, size)| &self.0[at..at + size])
    }

    /// Changes a register.
    pub fn set(&mut self, number: usize, value: &[u8]) -> Option<()> {
        let (at, size) = place(number)?;
        let n = size.min(value.len());
        self.0[at..at + n].copy_from_slice(&value[..n]);
        Some(())
    }

    fn word(&self, number: usize) -> u64 {
        let mut word = [0; 8];
        let bytes = self.get(number).unwrap_or_default();
        let n = bytes.len().min(8);
        word[..n].copy_from_slice(&bytes[..n]);
        u64::from_le_bytes(word)
    }

    /// Those of `s`, on its own thread.
    pub fn of(s: &CpuState, call: Call) -> Bytes {
        let mut all = Bytes::default();
        let mut put = |number: usize, value: &[u8]| all.set(number, value).expect("a register");
        for (n, r) in ORDER.into_iter().enumerate() {
            put(n, &s.get(r).to_le_bytes());
        }
        let number = match call {
            Call::None => NO_CALL,
            Call::Entry(n) | Call::Inside(n) | Call::Over(n) => n,
        };
        match call {
            Call::Entry(_) => put(0, &ENOSYS.to_le_bytes()),
            Call::Inside(_) => put(0, &ERESTARTSYS.to_le_bytes()),
            Call::None | Call::Over(_) => {}
        }
        put(RIP, &s.rip.to_le_bytes());
        put(EFLAGS, &(s.rflags() as u32).to_le_bytes());
        for (n, selector) in FLAT.into_iter().enumerate() {
            put(SEGMENTS + n, &selector.to_le_bytes());
        }
        let area = s.x87.save(Pointers::Wide);
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| area[at + i]));
        for i in 0..8 {
            put(ST + i, &area[32 + 16 * i..][..10]);
        }
        let fpu = [half(0) & 0xffff, half(0) >> 16, tags(&area), half(12), half(8), half(20), half(16), half(4) >> 16 & 0x7ff];
        for (n, value) in fpu.into_iter().enumerate() {
            put(FPU + n, &value.to_le_bytes());
        }
        for (registers, first) in [(&s.xmm, XMM), (&s.ymm_hi, YMM_HIGH)] {
            for (n, [low, high]) in registers.iter().enumerate() {
                put(first + n, &(u128::from(*low) | u128::from(*high) << 64).to_le_bytes());
            }
        }
        put(MXCSR, &fpstate::mxcsr(s).to_le_bytes());
        put(ORIG_RAX, &number.to_le_bytes());
        put(FS_BASE, &s.fs_base.to_le_bytes());
        put(GS_BASE, &s.gs_base.to_le_bytes());
        all
    }

    /// Puts them into `s`, on its own thread. At a system call's entry ORIG_RAX is its number. Where RAX says that a call of number ORIG_RAX was interrupted it is made
    /// again, as the kernel does; or it has been `finished` meanwhile. Segments can not be changed.
    pub fn put_into(&self, s: &mut CpuState, call: Call, finished: Option<Finished>) {
        for (n, r) in ORDER.into_iter().enumerate() {
            s.set(r, self.word(n));
        }
        s.rip = self.word(RIP);
        let number = self.word(ORIG_RAX);
        let interrupted = |rax: u64| matches!(Errno((rax as i64).wrapping_neg() as i32), RESTART | NOT_BEGUN) && rax as i64 >= -4095;
        if let Call::Entry(_) = call {
            s.set(Gpr::Rax, number);
        } else if number != NO_CALL && interrupted(self.word(0)) {
            match finished.filter(|(n, rip, rax)| (*n, *rip) == (number, s.rip) && !interrupted(*rax)) {
                Some((_, _, result)) => s.set(Gpr::Rax, result),
                None => {
                    s.set(Gpr::Rax, number);
                    s.rip = s.rip.wrapping_sub(SYSCALL_LEN);
                }
            }
        }
        s.set_rflags(self.word(EFLAGS));
        let mut area = [0u8; X87_BYTES];
        let mut put = |at: usize, bytes: &[u8]| area[at..at + bytes.len()].copy_from_slice(bytes);
        for i in 0..8 {
            put(32 + 16 * i, &self.0[place(ST + i).expect("a register").0..][..10]);
        }
        // fctrl, fstat, ftag, fiseg, fioff, foseg, fooff, fop.
        let fpu: [u32; 8] = std::array::from_fn(|n| self.word(FPU + n) as u32);
        let valid = (0..8).fold(0u8, |all, n| all | u8::from(fpu[2] >> (2 * n) & 3 != 3) << n);
        for (at, value) in [(0, fpu[0] & 0xffff | fpu[1] << 16), (4, u32::from(valid) | fpu[7] << 16), (8, fpu[4]), (12, fpu[3]), (16, fpu[6]), (20, fpu[5])] {
            put(at, &value.to_le_bytes());
        }
        s.x87.restore(&area, Pointers::Wide);
        for (registers, first) in [(&mut s.xmm, XMM), (&mut s.ymm_hi, YMM_HIGH)] {
            for (n, pair) in registers.iter_mut().enumerate() {
                let at = place(first + n).expect("a register").0;
                *pair = std::array::from_fn(|half| u64::from_le_bytes(std::array::from_fn(|i| self.0[at + 8 * half + i])));
            }
        }
        fpstate::set_mxcsr(s, self.word(MXCSR) as u32);
        (s.fs_base, s.gs_base) = (self.word(FS_BASE), self.word(GS_BASE));
    }
}

/// The x87 tag word, two bits a physical register, from FXSAVE's one (Intel SDM vol. 1, 8.1.7 and 10.5.1).
fn tags(area: &[u8; X87_BYTES]) -> u32 {
    let (valid, top) = (area[4], usize::from(area[3] >> 3 & 7));
    (0..8usize).fold(0, |all, physical| {
        let st = &area[32 + 16 * ((physical + 8 - top) % 8)..];
        let mantissa = u64::from_le_bytes(std::array::from_fn(|i| st[i]));
        let exponent = u16::from_le_bytes([st[8], st[9]]) & 0x7fff;
        let tag = match (exponent, mantissa) {
            _ if valid >> physical & 1 == 0 => 3,
            (0, 0) => 1,
            (0 | 0x7fff, _) => 2,
            (_, m) if m >> 63 == 0 => 2,
            _ => 0,
        };
        all | tag << (2 * physical)
    })
}

impl Registers for Bytes {
    type ProgramCounter = u64;
    fn pc(&self) -> u64 {
        self.word(RIP)
    }
    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        self.0.iter().for_each(|b| write_byte(Some(*b)));
    }
    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        if bytes.len() != self.0.len() {
            return Err(());
        }
        self.0.copy_from_slice(bytes);
        Ok(())
    }
}

/// A register's number.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub usize);

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        place(id).map(|(_, size)| (Number(id), NonZeroUsize::new(size)))
    }
    fn to_raw_id(&self) -> Option<usize> {
        Some(self.0)
    }
}

/// x86-64 under Linux, with AVX.
#[derive(Debug)]
pub enum Amd64 {}

impl Arch for Amd64 {
    type Usize = u64;
    type Registers = Bytes;
    type BreakpointKind = usize;
    type RegId = Number;
    fn target_description_xml() -> Option<&'static str> {
        static TEXT: OnceLock<String> = OnceLock::new();
        Some(TEXT.get_or_init(description))
    }
}

/// Types that a feature's registers have and gdb does not know by itself.
fn types(feature: &str) -> String {
    let flags = |id: &str, fields: &[(&str, u8)]| {
        let fields: String = fields.iter().map(|(name, bit)| format!("<field name=\"{name}\" start=\"{bit}\" end=\"{bit}\"/>")).collect();
        format!("<flags id=\"{id}\" size=\"4\">{fields}</flags>")
    };
    match feature {
        CORE => flags(
            "i386_eflags",
            &[("CF", 0), ("", 1), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7), ("TF", 8), ("IF", 9), ("DF", 10), ("OF", 11), ("NT", 14), ("RF", 16), ("VM", 17), ("AC", 18), ("VIF", 19), ("VIP", 20), ("ID", 21)],
        ),
        SSE => {
            let vectors = [("v8bf16", "bfloat16", 8), ("v8h", "ieee_half", 8), ("v4f", "ieee_single", 4), ("v2d", "ieee_double", 2), ("v16i8", "int8", 16), ("v8i16", "int16", 8), ("v4i32", "int32", 4), ("v2i64", "int64", 2)];
            let mut text: String = vectors.iter().map(|(id, of, n)| format!("<vector id=\"{id}\" type=\"{of}\" count=\"{n}\"/>")).collect();
            let fields = [("v8_bfloat16", "v8bf16"), ("v8_half", "v8h"), ("v4_float", "v4f"), ("v2_double", "v2d"), ("v16_int8", "v16i8"), ("v8_int16", "v8i16"), ("v4_int32", "v4i32"), ("v2_int64", "v2i64"), ("uint128", "uint128")];
            let fields: String = fields.iter().map(|(name, of)| format!("<field name=\"{name}\" type=\"{of}\"/>")).collect();
            let _ = write!(text, "<union id=\"vec128\">{fields}</union>");
            text + &flags(
                "i386_mxcsr",
                &[("IE", 0), ("DE", 1), ("ZE", 2), ("OE", 3), ("UE", 4), ("PE", 5), ("DAZ", 6), ("IM", 7), ("DM", 8), ("ZM", 9), ("OM", 10), ("UM", 11), ("PM", 12), ("FZ", 15)],
            )
        }
        _ => String::new(),
    }
}

/// The description that gdb asks for (Debugging with GDB, appendix G).
fn description() -> String {
    let mut text = String::from("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>i386:x86-64</architecture><osabi>GNU/Linux</osabi>");
    let (mut number, mut open) = (0, "");
    for run in RUNS {
        if run.feature != open {
            text += if open.is_empty() { "" } else { "</feature>" };
            let _ = write!(text, "<feature name=\"{}\">{}", run.feature, types(run.feature));
            open = run.feature;
        }
        for (n, name) in run.names.iter().enumerate() {
            let kind = run.types.get(n).unwrap_or(&run.types[0]);
            let group = if run.group.is_empty() { String::new() } else { format!(" group=\"{}\"", run.group) };
            let _ = write!(text, "<reg name=\"{name}\" bitsize=\"{}\" type=\"{kind}\" regnum=\"{number}\"{group}/>", 8 * run.size);
            number += 1;
        }
    }
    text + "</feature></target>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::state::X87;

    #[test]
    fn numbers_are_gdbs() {
        let number = |name: &str| RUNS.iter().flat_map(|r| r.names).position(|n| *n == name).unwrap();
        for (name, expect) in [("rip", RIP), ("eflags", EFLAGS), ("cs", SEGMENTS), ("st0", ST), ("fctrl", FPU), ("xmm0", XMM), ("mxcsr", MXCSR), ("orig_rax", ORIG_RAX), ("fs_base", FS_BASE), ("gs_base", GS_BASE), ("ymm0h", YMM_HIGH)] {
            assert_eq!(number(name), expect, "{name}");
        }
        // gdb's own sizes: 64bit-core.xml, 64bit-sse.xml and so on.
        assert_eq!(total(), 16 * 8 + 8 + 7 * 4 + 80 + 32 + 256 + 4 + 8 + 16 + 256);
        assert_eq!(place(YMM_HIGH + 15), Some((total() - 16, 16)));
        assert_eq!(place(YMM_HIGH + 16), None);
    }

    #[test]
    fn what_was_read_is_what_is_written() {
        let mut s = CpuState { rip: 0x40_1234, fs_base: 0x7fff_0000, gs_base: 5, ..CpuState::default() };
        s.gpr = std::array::from_fn(|n| n as u64 * 0x0101_0101_0101);
        s.set_rflags(0xed5);
        s.xmm = std::array::from_fn(|n| [n as u64, 77]);
        s.ymm_hi = std::array::from_fn(|n| [99, n as u64]);
        s.x87 = X87 { control: 0x27f, status: 0x4100, valid: 0x81, top: 7, ..X87::INIT };
        s.x87.reg[7] = 0x3fff_8000_0000_0000_0000;
        let read = Bytes::of(&s, Call::None);
        assert_eq!(read.word(RIP), 0x40_1234);
        assert_eq!(read.word(1), s.get(Gpr::Rbx));
        assert_eq!(read.word(EFLAGS), s.rflags());
        assert_eq!(read.get(ST).unwrap(), [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f]);
        // Register 7 holds 1, register 0 a zero, all others nothing.
        assert_eq!(read.word(FPU + 2), 0x3ffd);
        let mut back = CpuState::default();
        read.put_into(&mut back, Call::None, None);
        assert_eq!((back.gpr, back.rip, back.rflags(), back.xmm, back.ymm_hi, back.x87), (s.gpr, s.rip, s.rflags(), s.xmm, s.ymm_hi, s.x87));
        assert_eq!((back.fs_base, back.gs_base), (s.fs_base, s.gs_base));
    }

    #[test]
    fn system_calls() {
        let mut s = CpuState { rip: 0x1002, ..CpuState::default() };
        s.set(Gpr::Rax, 39);
        let mut entry = Bytes::of(&s, Call::Entry(39));
        assert_eq!((entry.word(0), entry.word(ORIG_RAX)), (ENOSYS, 39));
        entry.put_into(&mut s, Call::Entry(39), None);
        assert_eq!(s.get(Gpr::Rax), 39);
        entry.set(ORIG_RAX, &110u64.to_le_bytes()).unwrap();
        entry.put_into(&mut s, Call::Entry(39), None);
        assert_eq!(s.get(Gpr::Rax), 110);

        let inside = Bytes::of(&s, Call::Inside(0));
        assert_eq!(inside.word(0) as i64, -512);
        let put = |rip: u64, call, finished| {
            let mut s = CpuState::default();
            let mut bytes = inside.clone();
            bytes.set(RIP, &rip.to_le_bytes()).unwrap();
            bytes.put_into(&mut s, call, finished);
            (s.rip, s.get(Gpr::Rax))
        };
        assert_eq!(put(0x1002, Call::None, None), (0x1000, 0), "again");
        assert_eq!(put(0x1002, Call::Over(0), Some((0, 0x1002, ERESTARTSYS))), (0x1000, 0), "again");
        assert_eq!(put(0x1002, Call::None, Some((0, 0x1002, 77))), (0x1002, 77), "it was over");
        assert_eq!(put(0x1002, Call::None, Some((1, 0x1002, 77))), (0x1000, 0), "that was another one");
        let over = Bytes::of(&s, Call::Over(110));
        assert_eq!((over.word(0), over.word(ORIG_RAX)), (110, 110));
    }
}
