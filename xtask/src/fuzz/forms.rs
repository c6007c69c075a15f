//! Instruction forms: every encodable 64-bit user-mode form that the decoder knows, of the chosen level.

use iced_x86::{Code, CpuidFeature, EncodingKind, Mnemonic, OpCodeOperandKind};

/// How much of the instruction set is fuzzed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Integer, x87, MMX, SSE to SSE4.2, BMI, ADX, LZCNT, POPCNT, MOVBE.
    Base,
    /// And AES, PCLMULQDQ, SHA.
    Crypto,
    /// And AVX, AVX2, FMA, F16C.
    Avx,
}

/// Features by the level that brings them.
const FEATURES: &[(Level, &[CpuidFeature])] = {
    use CpuidFeature::*;
    &[
        (
            Level::Base,
            &[
                INTEL8086,
                INTEL186,
                INTEL286,
                INTEL386,
                INTEL486,
                X64,
                ADX,
                BMI1,
                BMI2,
                CET_IBT,
                CLFSH,
                CMOV,
                CMPXCHG16B,
                CX8,
                FPU,
                FPU287,
                FPU387,
                LZCNT,
                MMX,
                MOVBE,
                MULTIBYTENOP,
                PAUSE,
                POPCNT,
                PREFETCHW,
                SSE,
                SSE2,
                SSE3,
                SSE4_1,
                SSE4_2,
                SSSE3,
            ],
        ),
        (Level::Crypto, &[AES, PCLMULQDQ, SHA]),
        (Level::Avx, &[AVX, AVX2, F16C, FMA, VAES, VPCLMULQDQ]),
    ]
};

/// Mnemonics that are not compared, by reason.
const EXCLUDED: &[(&str, &[Mnemonic])] = {
    use Mnemonic::*;
    &[
        ("enters the kernel or another privilege level", &[Syscall, Sysenter, Sysexit, Sysret, Int, Int1, Int3, Iret, Iretd, Iretq, Retf, Hlt]),
        ("differs from one execution to the next", &[Rdtsc, Rdtscp, Rdpmc, Rdrand, Rdseed, Cpuid]),
        ("reads or writes segments and system tables", &[Lar, Lsl, Verr, Verw, Sgdt, Sidt, Sldt, Str, Smsw, Lss, Lfs, Lgs, Xgetbv]),
        ("privileged", &[In, Insb, Insw, Insd, Out, Outsb, Outsw, Outsd, Cli, Sti, Clts, Invd, Wbinvd, Rdmsr, Wrmsr, Lgdt, Lidt, Lldt, Ltr, Lmsw, Invlpg]),
        ("saves instruction pointers, which x87 only updates for pending exceptions", &[Fnstenv, Fstenv, Fnsave, Fsave]),
        ("loads whole states whose reserved bits fault", &[Fldenv, Frstor]),
        ("always faults", &[Ud0, Ud1, Ud2]),
    ]
};

/// Operand kinds that no form under test has: segment, control, debug and mask registers, far pointers, 16-bit branches.
fn testable(kind: OpCodeOperandKind) -> bool {
    use OpCodeOperandKind::*;
    !matches!(
        kind,
        farbr2_2
            | farbr4_2
            | mem_mpx
            | mem_mib
            | seg_reg
            | cr_reg
            | dr_reg
            | tr_reg
            | bnd_reg
            | es
            | cs
            | ss
            | ds
            | fs
            | gs
            | br16_1
            | br16_2
            | br32_1
            | br32_4
            | xbegin_2
            | xbegin_4
            | brdisp_2
            | brdisp_4
            | sibmem
            | tmm_reg
            | tmm_rm
            | tmm_vvvv
            | mem_vsib32x
            | mem_vsib64x
            | mem_vsib32y
            | mem_vsib64y
    )
}

/// The forms of a level.
pub fn all(level: Level) -> Vec<Code> {
    Code::values().filter(|&code| wanted(code, level)).collect()
}

fn wanted(code: Code, level: Level) -> bool {
    let op = code.op_code();
    let kinds = op.op_kinds();
    if !op.is_instruction() || !op.mode64() || op.is_privileged() || op.fwait() || !kinds.iter().all(|&k| testable(k)) {
        return false;
    }
    if !matches!(code.encoding(), EncodingKind::Legacy | EncodingKind::VEX) || op.is_reserved_nop() || op.may_require_cpl0() {
        return false;
    }
    let mnemonic = code.mnemonic();

    if EXCLUDED.iter().any(|(_, list)| list.contains(&mnemonic)) {
        return false;
    }
    // Far jumps and calls through memory.
    let name = format!("{code:?}");
    if name.contains("_m1616") || name.contains("_m1632") || name.contains("_m1664") || name == "Call_rm16" || name == "Jmp_rm16" {
        return false;
    }
    // Near returns with a 16-bit operand pop a 16-bit RIP.
    if matches!(code, Code::Retnw | Code::Retnw_imm16) {
        return false;
    }
    code.cpuid_features().iter().all(|f| FEATURES.iter().any(|(l, list)| *l <= level && list.contains(f)))
}
