//! What each instruction does to the six status flags. Own tables: the decoder's are dearer at run time and do not tell "may write"
//! from "writes" (a shift by CL may leave all flags alone).

use iced_x86::{Instruction, Mnemonic, OpKind};

/// Bit set of status flags.
pub type Flags = u8;
/// Carry.
pub const CF: Flags = 1;
/// Parity.
pub const PF: Flags = 2;
/// Auxiliary carry.
pub const AF: Flags = 4;
/// Zero.
pub const ZF: Flags = 8;
/// Sign.
pub const SF: Flags = 16;
/// Overflow.
pub const OF: Flags = 32;
/// All six.
pub const STATUS: Flags = 63;
/// None.
pub const NO_FLAGS: Flags = 0;

/// Flags that an instruction reads, and those that it certainly overwrites (undefined ones count as overwritten).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlagEffects {
    /// Read.
    pub reads: Flags,
    /// Overwritten on every execution that does not fault.
    pub kills: Flags,
}

const fn fx(reads: Flags, kills: Flags) -> FlagEffects {
    FlagEffects { reads, kills }
}

/// Flags that condition code `cc` (0-15, the low nibble of Jcc's opcode) reads.
pub const fn condition_reads(cc: u8) -> Flags {
    match cc >> 1 {
        0 => OF,
        1 => CF,
        2 => ZF,
        3 => CF | ZF,
        4 => SF,
        5 => PF,
        6 => SF | OF,
        _ => ZF | SF | OF,
    }
}

fn shift(i: &Instruction, kills: Flags) -> FlagEffects {
    // The count is the last operand.
    let last = i.op_count() - 1;
    if i.op_kind(last) != OpKind::Immediate8 {
        return fx(0, 0);
    }
    let mask = if i.op0_kind() == OpKind::Register && i.op0_register().is_gpr64() || i.op0_kind() == OpKind::Memory && i.memory_size().size() == 8 { 63 } else { 31 };
    if i.immediate8() & mask == 0 { fx(0, 0) } else { fx(0, kills) }
}

/// Effects of one instruction.
pub fn flag_effects(i: &Instruction) -> FlagEffects {
    use Mnemonic::*;
    match i.mnemonic() {
        Mov | Lea | Push | Pop | Movzx | Movsx | Movsxd | Nop | Call | Ret | Jmp | Leave | Xchg | Not | Cdq | Cqo | Cdqe | Endbr64 | Bswap => fx(0, 0),
        Add | Sub | Cmp | Neg | And | Or | Xor | Test | Xadd | Cmpxchg => fx(0, STATUS),
        Adc | Sbb => fx(CF, STATUS),
        Inc | Dec => fx(0, STATUS & !CF),
        Imul | Mul | Div | Idiv => fx(0, STATUS),
        Shl | Shr | Sal | Sar | Shld | Shrd => shift(i, STATUS),
        Rol | Ror => shift(i, CF | OF),
        Rcl | Rcr => fx(CF, shift(i, CF | OF).kills),
        Bt | Bts | Btr | Btc => fx(0, CF | PF | AF | SF | OF),
        Bsf | Bsr | Popcnt | Lzcnt | Tzcnt | Ptest | Vptest | Ucomiss | Ucomisd | Comiss | Comisd | Vucomiss | Vucomisd | Vcomiss | Vcomisd => fx(0, STATUS),
        Fcomi | Fcomip | Fucomi | Fucomip => fx(0, STATUS),
        Pcmpestri | Pcmpestrm | Pcmpistri | Pcmpistrm | Vpcmpestri | Vpcmpestrm | Vpcmpistri | Vpcmpistrm | Vtestps | Vtestpd => fx(0, STATUS),
        Andn | Blsi | Blsmsk | Blsr | Bextr | Bzhi => fx(0, STATUS),
        Adcx => fx(CF, CF),
        Adox => fx(OF, OF),
        Clc | Stc => fx(0, CF),
        Cmc => fx(CF, CF),
        Lahf => fx(CF | PF | AF | ZF | SF, 0),
        Sahf => fx(0, CF | PF | AF | ZF | SF),
        Pushf | Pushfq => fx(STATUS, 0),
        Popf | Popfq => fx(0, STATUS),
        // ZF only, and only where it succeeds in reading a descriptor; helpers see exact state.
        Cmpxchg8b | Cmpxchg16b => fx(0, ZF),
        Rdrand | Rdseed => fx(0, STATUS),
        Jo | Cmovo | Seto | Jno | Cmovno | Setno => fx(OF, 0),
        Jb | Cmovb | Setb | Jae | Cmovae | Setae => fx(CF, 0),
        Je | Cmove | Sete | Jne | Cmovne | Setne => fx(ZF, 0),
        Jbe | Cmovbe | Setbe | Ja | Cmova | Seta => fx(CF | ZF, 0),
        Js | Cmovs | Sets | Jns | Cmovns | Setns => fx(SF, 0),
        Jp | Cmovp | Setp | Jnp | Cmovnp | Setnp => fx(PF, 0),
        Jl | Cmovl | Setl | Jge | Cmovge | Setge => fx(SF | OF, 0),
        Jle | Cmovle | Setle | Jg | Cmovg | Setg => fx(ZF | SF | OF, 0),
        Fcmovb | Fcmovnb => fx(CF, 0),
        Fcmove | Fcmovne => fx(ZF, 0),
        Fcmovbe | Fcmovnbe => fx(CF | ZF, 0),
        Fcmovu | Fcmovnu => fx(PF, 0),
        Loope | Loopne => fx(ZF, 0),
        // SSE2's CMPSD bears the same name.
        Cmpsd if i.code() == iced_x86::Code::Cmpsd_xmm_xmmm64_imm8 => fx(0, 0),
        // CMPS and SCAS with REP may run zero times. Without REP they overwrite all.
        Cmpsb | Cmpsw | Cmpsd | Cmpsq | Scasb | Scasw | Scasd | Scasq => fx(0, if i.has_rep_prefix() || i.has_repne_prefix() { 0 } else { STATUS }),
        // R11 takes RFLAGS; the kernel restores them.
        Syscall => fx(STATUS, 0),
        // Whatever ends in an exception shows all flags to a handler.
        Int | Int1 | Int3 | Ud0 | Ud1 | Ud2 | Hlt | INVALID => fx(STATUS, 0),
        _ => fx(0, 0),
    }
}
