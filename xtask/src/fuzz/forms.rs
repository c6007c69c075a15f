//! Instruction forms: every 64-bit form that the decoder knows is of a level, or skipped by a row with its reason.

use iced_x86::{Code, CpuidFeature, EncodingKind, Mnemonic, OpCodeInfo, OpCodeOperandKind};

/// How much of the instruction set is fuzzed: each level holds those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Integer, x87, MMX, SSE to SSE4.2, BMI, ADX, LZCNT, POPCNT, MOVBE, hints that old processors take for no-ops.
    Base,
    /// AES, PCLMULQDQ, SHA, GFNI.
    Crypto,
    /// AVX, AVX2, FMA, F16C, VAES, VPCLMULQDQ.
    Avx,
    /// Saved states, segment bases, random numbers, time, cache control.
    System,
}

/// Levels by their names.
pub const LEVELS: &[(&str, Level)] = &[("base", Level::Base), ("crypto", Level::Crypto), ("avx", Level::Avx), ("system", Level::System)];

/// Features by the level that brings them.
const FEATURES: &[(Level, &[CpuidFeature])] = {
    use CpuidFeature::*;
    &[
        (
            Level::Base,
            &[INTEL8086, INTEL186, INTEL286, INTEL386, INTEL486, X64, FPU, FPU287, FPU387, MMX, CMOV, CX8, CLFSH, PAUSE, CMPXCHG16B],
        ),
        (Level::Base, &[SSE, SSE2, SSE3, SSSE3, SSE4_1, SSE4_2, ADX, BMI1, BMI2, LZCNT, MOVBE, POPCNT]),
        (Level::Base, &[MULTIBYTENOP, CET_IBT, PREFETCHW]),
        (Level::Crypto, &[AES, PCLMULQDQ, SHA, GFNI]),
        (Level::Avx, &[AVX, AVX2, F16C, FMA, VAES, VPCLMULQDQ]),
        (Level::System, &[FXSR, XSAVE, XSAVEC, XSAVEOPT, FSGSBASE, RDRAND, RDSEED, RDPID, RDTSCP, TSC, CPUID, CLFLUSHOPT, CLWB]),
        (Level::System, &[CLDEMOTE, PREFETCHITI, PREFETCHWT1]),
    ]
};

/// What a row of [`SKIPPED`] skips.
enum Skip {
    Encodings(&'static [EncodingKind]),
    Features(&'static [CpuidFeature]),
    Mnemonics(&'static [Mnemonic]),
    Codes(&'static [Code]),
    Operands(&'static [OpCodeOperandKind]),
    When(fn(&OpCodeInfo) -> bool),
}

/// Forms that are not compared, by reason. The first row that fits counts.
const SKIPPED: &[(&str, Skip)] = {
    use CpuidFeature::*;
    use Skip::*;
    &[
        ("AVX-512 is not offered", Encodings(&[EncodingKind::EVEX])),
        ("AVX-512 mask registers are not offered", Features(&[AVX512F, AVX512BW, AVX512DQ])),
        ("Knights Corner only", Encodings(&[EncodingKind::MVEX])),
        ("Knights Corner only", Features(&[KNC])),
        ("XOP, FMA4, TBM and LWP were AMD's until 2017: not offered", Encodings(&[EncodingKind::XOP])),
        ("XOP, FMA4, TBM and LWP were AMD's until 2017: not offered", Features(&[FMA4, CpuidFeature::XOP])),
        ("3DNow! is not offered", Encodings(&[EncodingKind::D3NOW])),
        ("3DNow! is not offered", Features(&[CpuidFeature::D3NOW])),
        ("SSE4a is AMD's alone: not offered", Features(&[SSE4A])),
        ("AMX is not offered", Features(&[AMX_TILE, AMX_INT8, AMX_BF16, AMX_FP16, AMX_COMPLEX])),
        ("transactional memory is not offered", Features(&[RTM, HLE_or_RTM, TSXLDTRK])),
        ("shadow stacks are not offered (RDSSP, then a no-op, is among the random encodings)", Features(&[CET_SS])),
        ("memory protection keys are not offered", Features(&[PKU])),
        ("MPX is not offered (then no-ops, which are among the random encodings)", Features(&[MPX])),
        (
            "newer than x86-64-v3 and not offered",
            Features(&[AVX_VNNI, AVX_VNNI_INT8, AVX_VNNI_INT16, AVX_IFMA, AVX_NE_CONVERT, SHA512, SM3, SM4]),
        ),
        (
            "newer than x86-64-v3 and not offered",
            Features(&[CMPCCXADD, RAO_INT, MOVDIRI, MOVDIR64B, ENQCMD, SERIALIZE, UINTR, WAITPKG, PTWRITE]),
        ),
        ("newer than x86-64-v3 and not offered", Features(&[AESKLE, KL, HRESET, TSE, UDBG])),
        ("AMD's alone: not offered", Features(&[CLZERO, MCOMMIT, MONITORX, RDPRU])),
        ("withdrawn before any processor had it", Features(&[PCOMMIT])),
        ("VIA's alone", Features(&[PADLOCK_ACE, PADLOCK_GMI, PADLOCK_PHE, PADLOCK_PMM, PADLOCK_RNG, PADLOCK_UNDOC])),
        (
            "enclaves and guests of hypervisors: not for user mode",
            Features(&[OSS, SGX1, TDX, VMX, SVM, SKINIT_or_SVM, SEV_ES, SEV_SNP, RMPQUERY]),
        ),
        (
            "privileged",
            Features(&[FRED, LKGS, INVLPGB, INVPCID, MSR, MSRLIST, WRMSRNS, PCONFIG, SMAP, SMM, SMX, XSAVES, MONITOR, WBNOINVD]),
        ),
        ("privileged", When(|op| op.is_privileged())),
        ("privileged", Mnemonics(&[Mnemonic::Hlt, Mnemonic::Clts, Mnemonic::Lmsw, Mnemonic::Invlpg, Mnemonic::Xsetbv])),
        ("privileged", Mnemonics(IN_OUT)),
        ("enters the kernel or returns from it", Features(&[SEP, SYSCALL])),
        (
            "enters the kernel or returns from it",
            Mnemonics(&[Mnemonic::Int, Mnemonic::Int1, Mnemonic::Int3, Mnemonic::Iret, Mnemonic::Iretd, Mnemonic::Iretq]),
        ),
        ("far transfers: segments are flat", Mnemonics(&[Mnemonic::Retf, Mnemonic::Lss, Mnemonic::Lfs, Mnemonic::Lgs])),
        ("far transfers: segments are flat", When(far)),
        ("segment registers other than as prefixes", Operands(SEGMENTS)),
        ("reads descriptor tables, which are the kernel's", Mnemonics(&[Mnemonic::Lar, Mnemonic::Lsl, Mnemonic::Verr, Mnemonic::Verw])),
        (
            "user-mode instruction prevention: the kernel emulates or refuses it",
            Mnemonics(&[Mnemonic::Sgdt, Mnemonic::Sidt, Mnemonic::Sldt, Mnemonic::Str, Mnemonic::Smsw]),
        ),
        ("whether user mode may read counters is the kernel's decision", Features(&[RDPMC])),
        ("two instructions: WAIT and another", When(|op| op.fwait())),
        ("branch with a 16-bit instruction pointer: AMD and Intel differ", Operands(NARROW_BRANCHES)),
        (
            "branch with a 16-bit instruction pointer: AMD and Intel differ",
            Codes(&[Code::Call_rm16, Code::Jmp_rm16, Code::Retnw, Code::Retnw_imm16]),
        ),
        ("always faults", Mnemonics(&[Mnemonic::Ud0, Mnemonic::Ud1, Mnemonic::Ud2])),
        ("no-op of older processors only: the decoder reads it as what it became", When(|op| op.is_reserved_nop())),
    ]
};

const IN_OUT: &[Mnemonic] = {
    use Mnemonic::*;
    &[In, Insb, Insw, Insd, Out, Outsb, Outsw, Outsd, Cli, Sti]
};
const SEGMENTS: &[OpCodeOperandKind] = {
    use OpCodeOperandKind::*;
    &[seg_reg, es, cs, ss, ds, fs, gs]
};
const NARROW_BRANCHES: &[OpCodeOperandKind] = {
    use OpCodeOperandKind::*;
    &[br16_1, br16_2, brdisp_2, br32_1, br32_4, brdisp_4]
};

/// What becomes of a form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It is compared at this level and above.
    Level(Level),
    /// It is not, for this reason.
    Skipped(&'static str),
}

/// The forms of 64-bit mode.
fn known() -> impl Iterator<Item = Code> {
    Code::values().filter(|code| code.op_code().is_instruction() && code.op_code().mode64())
}

/// The forms of a level.
pub fn all(level: Level) -> Vec<Code> {
    known().filter(|&code| matches!(status(code), Some(Status::Level(l)) if l <= level)).collect()
}

/// Whether a form is compared at some level.
pub fn is_compared(code: Code) -> bool {
    matches!(status(code), Some(Status::Level(_)))
}

/// Forms that are skipped: reasons, each with the forms.
pub fn skipped() -> Vec<(&'static str, Vec<Code>)> {
    let mut reasons: Vec<(&str, Vec<Code>)> = Vec::new();
    for code in known() {
        if let Some(Status::Skipped(reason)) = status(code) {
            match reasons.iter_mut().find(|(r, _)| *r == reason) {
                Some((_, codes)) => codes.push(code),
                None => reasons.push((reason, vec![code])),
            }
        }
    }
    reasons
}

/// Status of a form; None: neither a level nor a row speaks of it, which a test forbids.
fn status(code: Code) -> Option<Status> {
    let op = code.op_code();
    let features = code.cpuid_features();
    let skips = |skip: &Skip| match skip {
        Skip::Encodings(list) => list.contains(&op.encoding()),
        Skip::Features(list) => features.iter().any(|f| list.contains(f)),
        Skip::Mnemonics(list) => list.contains(&code.mnemonic()),
        Skip::Codes(list) => list.contains(&code),
        Skip::Operands(list) => op.op_kinds().iter().any(|k| list.contains(k)),
        Skip::When(holds) => holds(op),
    };
    if let Some((reason, _)) = SKIPPED.iter().find(|(_, skip)| skips(skip)) {
        return Some(Status::Skipped(reason));
    }
    let level = |f: &CpuidFeature| FEATURES.iter().find(|(_, list)| list.contains(f)).map(|(l, _)| *l);
    features.iter().map(level).collect::<Option<Vec<_>>>()?.into_iter().max().map(Status::Level)
}

/// Far calls and jumps.
fn far(op: &OpCodeInfo) -> bool {
    use Code::*;
    matches!(op.code(), Call_m1616 | Call_m1632 | Call_m1664 | Jmp_m1616 | Jmp_m1632 | Jmp_m1664)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_of_a_level_or_skipped() {
        let silent: Vec<Code> = known().filter(|&code| status(code).is_none()).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[test]
    fn rows_skip_something() {
        let reasons: Vec<&str> = skipped().into_iter().map(|(r, _)| r).collect();
        for (reason, _) in SKIPPED {
            assert!(reasons.contains(reason), "{reason}");
        }
    }
}
