//! The state of one guest thread's processor, as translated code and helpers see it.
//!
//! Translated code keeps the general registers, XMM0-15 and the flags in host registers (see `emit::regs`); here they lie
//! while anything else runs. The layout is `repr(C)`: translated code addresses fields by `offset_of!`.

use super::rflags::{self, *};

/// A general register by its x86 number (RAX = 0 … R15 = 15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)] // The names are the SDM's.
pub enum Gpr {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

/// Host condition flags, in NZCV register position.
pub mod nzcv {
    /// Negative: x86 SF.
    pub const N: u64 = 1 << 31;
    /// Zero: x86 ZF.
    pub const Z: u64 = 1 << 30;
    /// Carry. In its canonical polarity this is the *inverse* of x86 CF, as ARM's SUBS leaves it.
    pub const C: u64 = 1 << 29;
    /// Overflow: x86 OF.
    pub const V: u64 = 1 << 28;
}

/// The x87 unit (Intel SDM vol. 1, 8.1). Physical registers: ST(i) is `reg[(top + i) & 7]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct X87 {
    /// 80-bit registers in the low ten bytes, by physical number.
    pub reg: [u128; 8],
    /// Control word.
    pub control: u16,
    /// Status word without TOP (bits 11-13 are zero here).
    pub status: u16,
    /// One bit a physical register: 1 = in use (not empty).
    pub valid: u8,
    /// TOP of stack, 0 to 7.
    pub top: u8,
    /// Last opcode (11 bits), or [`X87::OPCODE_AT_FIP`].
    pub fop: u16,
    /// Last instruction pointer.
    pub fip: u64,
    /// Last data pointer.
    pub fdp: u64,
}

impl X87 {
    /// As `fop`: the opcode is that of the instruction at `fip`, not yet looked at.
    pub const OPCODE_AT_FIP: u16 = 0x8000;
    /// As after FNINIT.
    pub const INIT: X87 = X87 { reg: [0; 8], control: 0x37f, status: 0, valid: 0, top: 0, fop: 0, fip: 0, fdp: 0 };
}

/// MXCSR after reset: all exceptions masked, round to nearest.
pub const MXCSR_INIT: u32 = 0x1f80;

/// Number of entries in [`CpuState::stub`].
pub const STUB_COUNT: usize = 19;

/// Comparisons of code with its bytes between two of the engine's looks at whether they are worth it.
pub const GUARDS: u64 = 256;

/// One guest thread's processor.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct CpuState {
    /// General registers by x86 number.
    pub gpr: [u64; 16],
    /// Upper halves of YMM0-15. Here because STP reaches 504 bytes: most VEX instructions clear one.
    pub ymm_hi: [[u64; 2]; 16],
    /// Instruction pointer; exact whenever translated code is not running.
    pub rip: u64,
    /// N, Z, C, V in NZCV position; C in canonical polarity (inverse of CF).
    pub nzcv: u64,
    /// PF is the even parity of the low byte.
    pub pf_result: u64,
    /// AF is bit 4 of `pf_result ^ af_xor`.
    pub af_xor: u64,
    /// Direction flag: 0 or 1.
    pub df: u64,
    /// TF, NT, AC, ID as last written by POPF.
    pub system_flags: u64,
    /// Base of FS.
    pub fs_base: u64,
    /// Base of GS.
    pub gs_base: u64,
    /// MXCSR: control bits and masks; the sticky bits (0-5) are here OR in the host's FPSR.
    pub mxcsr: u32,
    /// What kind of exit translated code took: see `engine::exit`.
    pub exit_kind: u32,
    /// Argument of that exit.
    pub exit_arg: u64,
    /// Next free entry of the shadow call stack (grows down).
    pub shadow_sp: u64,
    /// Empty shadow call stack: what `shadow_sp` is reset to.
    pub shadow_top: u64,
    /// Base of this thread's inline lookup table for indirect jumps.
    pub lookup: u64,
    /// The same of its tables for who comes late, jumps and calls: `emit::tables::Late`.
    pub late_lookup: [u64; 2],
    /// Host stack pointer and return address while translated code runs.
    pub host_sp: u64,
    /// Owner of this state; opaque to translated code (the engine's thread object).
    pub owner: u64,
    /// Host addresses of the arena's stubs, by `emit::stubs::Stub`.
    pub stub: [u64; STUB_COUNT],
    /// Host address of the helper table (`helpers::TABLE`).
    pub helpers: u64,
    /// Scratch for helpers with more results than registers.
    pub scratch: [u64; 8],
    /// FPCR for the guest's MXCSR, and the host's own while translated code runs.
    pub guest_fpcr: u64,
    /// Host FPCR saved on entry.
    pub host_fpcr: u64,
    /// XMM0-15.
    pub xmm: [[u64; 2]; 16],
    /// v8-v15 as a fault or a poll found them: upper halves that the region held there.
    pub held: [[u64; 2]; 8],
    /// XMM registers as the host's registers held them where a group is repaired.
    pub kept: [[u64; 2]; 16],
    /// v4-v7 there; v8-v15 are in `held`.
    pub kept_low: [[u64; 2]; 4],
    /// A memory operand of 32 bytes there.
    pub kept_wide: [[u64; 2]; 2],
    /// The x87 unit.
    pub x87: X87,
    /// Address of the x87 instruction that runs, and of its memory operand.
    pub x87_at: [u64; 2],
    /// Image of the x87 unit (FXSAVE, XSAVE, FNSAVE, FNSTENV) between helper and translated code.
    pub image: [[u64; 2]; 10],
    /// After so many more comparisons of code with its bytes translated code leaves for the engine (`translate::guard`).
    pub guards_left: u64,
    /// Address of what may be called from translated code, by the guest's number: 16 bits each, see `emit::calls`.
    pub calls: u64,
    /// Address of this thread's `engine::stop::Seat`.
    pub seat: u64,
    /// Address of a word that is not zero while somebody wants all threads to stand still.
    pub wanted: u64,
    /// Address of a word that is not zero while the engine must know what the kernel writes.
    pub careful: u64,
    /// Address of what stubs must know of this thread's signals (`emit::own_calls::signals`); 0: nothing, and they leave them to the engine.
    pub signals: u64,
    /// For RFLAGS.
    pub flags: FlagTables,
}

/// Tables by which translated code puts RFLAGS together. Each begins at a multiple of its length, so that an index is inserted into its address.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(256))]
pub struct FlagTables {
    /// PF by the low byte of a result.
    pub parity: [u8; 256],
    /// SF, ZF, CF and OF by N, Z, C (canonical) and V; with what is always set.
    pub status: [u16; 16],
}

impl FlagTables {
    const fn new() -> FlagTables {
        let mut tables = FlagTables { parity: [0; 256], status: [0; 16] };
        let mut i = 0;
        while i < 256 {
            tables.parity[i] = if (i as u8).count_ones() & 1 == 0 { PF as u8 } else { 0 };
            i += 1;
        }
        i = 0;
        while i < 16 {
            let n = (i as u64) << 28;
            let mut f = RESERVED_ONE | IF;
            f |= if n & nzcv::N != 0 { SF } else { 0 };
            f |= if n & nzcv::Z != 0 { ZF } else { 0 };
            f |= if n & nzcv::C == 0 { CF } else { 0 };
            f |= if n & nzcv::V != 0 { OF } else { 0 };
            tables.status[i] = f as u16;
            i += 1;
        }
        tables
    }
}

impl Default for CpuState {
    fn default() -> Self {
        CpuState {
            gpr: [0; 16],
            rip: 0,
            nzcv: nzcv::C,
            pf_result: 1,
            af_xor: 1,
            df: 0,
            system_flags: 0,
            fs_base: 0,
            gs_base: 0,
            mxcsr: MXCSR_INIT,
            exit_kind: 0,
            exit_arg: 0,
            shadow_sp: 0,
            shadow_top: 0,
            lookup: 0,
            late_lookup: [0; 2],
            host_sp: 0,
            owner: 0,
            stub: [0; STUB_COUNT],
            helpers: 0,
            scratch: [0; 8],
            guest_fpcr: 0,
            host_fpcr: 0,
            xmm: [[0; 2]; 16],
            ymm_hi: [[0; 2]; 16],
            held: [[0; 2]; 8],
            kept: [[0; 2]; 16],
            kept_low: [[0; 2]; 4],
            kept_wide: [[0; 2]; 2],
            x87: X87::INIT,
            x87_at: [0; 2],
            image: [[0; 2]; 10],
            guards_left: GUARDS,
            calls: 0,
            seat: 0,
            wanted: 0,
            careful: 0,
            signals: 0,
            flags: FlagTables::new(),
        }
    }
}

impl CpuState {
    /// A general register's value.
    pub fn get(&self, r: Gpr) -> u64 {
        self.gpr[r as usize]
    }
    /// Sets a general register.
    pub fn set(&mut self, r: Gpr, value: u64) {
        self.gpr[r as usize] = value;
    }

    /// RFLAGS as PUSHF would push it (RF and VM clear).
    pub fn rflags(&self) -> u64 {
        let status = self.flags.status[(self.nzcv >> 28) as usize & 15] as u64;
        let parity = self.flags.parity[self.pf_result as u8 as usize] as u64;
        status | parity | (self.pf_result ^ self.af_xor) & AF | self.df << DF.trailing_zeros() | self.system_flags
    }

    /// Sets the status flags from `f`, and of the others those that user mode may change.
    pub fn set_rflags(&mut self, f: u64) {
        let bit = |flag: u64, host: u64| if f & flag != 0 { host } else { 0 };
        self.nzcv = bit(SF, nzcv::N) | bit(ZF, nzcv::Z) | bit(OF, nzcv::V) | if f & CF == 0 { nzcv::C } else { 0 };
        self.pf_result = if f & PF != 0 { 0 } else { 1 };
        self.af_xor = self.pf_result ^ if f & AF != 0 { 0x10 } else { 0 };
        self.df = (f & DF != 0) as u64;
        self.system_flags = f & rflags::USER_SYSTEM & !DF;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rflags_round_trip() {
        let mut s = CpuState::default();
        for f in 0..0x1000u64 {
            let f = f & (STATUS | DF);
            s.set_rflags(f);
            assert_eq!(s.rflags(), f | RESERVED_ONE | IF);
        }
    }

    #[test]
    fn flags_by_tables() {
        let mut s = CpuState::default();
        for (n, result) in (0..16u64).flat_map(|n| (0..256u64).map(move |r| (n, r))) {
            (s.nzcv, s.pf_result, s.af_xor) = (n << 28, result | 0xff00, result ^ 0x10);
            let bit = |is: bool, flag: u64| if is { flag } else { 0 };
            let flags = bit(n & 8 != 0, SF) | bit(n & 4 != 0, ZF) | bit(n & 2 == 0, CF) | bit(n & 1 != 0, OF) | bit(result.count_ones() % 2 == 0, PF);
            assert_eq!(s.rflags(), flags | AF | RESERVED_ONE | IF);
        }
    }

    #[test]
    fn hot_fields_are_in_reach() {
        // LDR (unsigned immediate) reaches 32760 for 64-bit and 65520 for 128-bit accesses.
        assert!(std::mem::size_of::<CpuState>() < 4096, "one page of any host");
    }
}
