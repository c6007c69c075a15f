//! What is not offered, and why: one table. The page docs/isa.md and the message about an undefined instruction quote it.

use crate::decode::{CpuidFeature, Mnemonic, decode_one};
use crate::guest::Addr;
use CpuidFeature::*;

/// Extensions that are not offered, by what the decoder calls them.
pub const EXTENSIONS: &[(&[CpuidFeature], &str)] = &[
    (
        &[
            AVX512F, AVX512VL, AVX512BW, AVX512DQ, AVX512CD, AVX512ER, AVX512PF, AVX512_4FMAPS, AVX512_4VNNIW, AVX512_BF16, AVX512_BITALG, AVX512_IFMA, AVX512_VBMI, AVX512_VBMI2,
            AVX512_VNNI, AVX512_VP2INTERSECT, AVX512_VPOPCNTDQ, AVX512_FP16,
        ],
        "AVX-512: 512-bit registers and masks would take four host registers each; no program needs it",
    ),
    (&[AVX_VNNI, AVX_VNNI_INT8, AVX_VNNI_INT16, AVX_IFMA, AVX_NE_CONVERT, SHA512, SM3, SM4], "newer than the processor shown; programs ask for them before use"),
    (&[AMX_TILE, AMX_INT8, AMX_BF16, AMX_FP16, AMX_COMPLEX], "AMX: tile state of 8 KiB, which a program must ask the kernel for; not granted"),
    (&[RTM, HLE, HLE_or_RTM, TSXLDTRK], "transactions: withdrawn from processors; programs must work without"),
    (&[CET_SS], "shadow stacks are off, as without a kernel that enables them; RDSSP and ENDBR are NOPs"),
    (&[MPX], "withdrawn; its NOP encodings are NOPs"),
    (&[SSE4A, FMA4, XOP, TBM, LWP, D3NOW, D3NOWEXT, CYRIX_D3NOW], "AMD's own, gone from its processors or used by no program"),
    (&[XSAVES], "for kernels: faults in user mode"),
    (&[PKU], "protection keys are not offered by the kernel shown"),
    (&[MONITOR, MONITORX, WAITPKG], "waiting in user mode is not offered"),
    (&[ENQCMD, MOVDIRI, MOVDIR64B, PTWRITE, SERIALIZE, CLZERO, RDPRU, MCOMMIT, PCOMMIT, UINTR, KL, AESKLE, WIDE_KL, RAO_INT, CMPCCXADD], "rare, and not shown by CPUID"),
    (&[SGX1, SMX, TDX, PCONFIG, VMX, INVEPT, INVVPID, SVM, SKINIT, SKINIT_or_SVM, SEV_ES, SEV_SNP, RMPQUERY, SMM], "virtualisation, enclaves and system management are not user programs'"),
    (
        &[MSR, MSRLIST, WRMSRNS, FRED, LKGS, TSE, HRESET, INVLPGB, SMAP, UDBG, SEP, CL1INVMB, IA64],
        "for kernels",
    ),
    (
        &[
            PADLOCK_ACE, PADLOCK_PHE, PADLOCK_PMM, PADLOCK_RNG, PADLOCK_GMI, PADLOCK_UNDOC, CENTAUR_AIS, CYRIX_FPU, CYRIX_SMM, CYRIX_SMINT, CYRIX_SMINT_0F7E, CYRIX_SHR, CYRIX_DDI, CYRIX_EMMI,
            CYRIX_DMI, OSS, UMOV, MOV_TR, KNC, INTEL8086_ONLY, INTEL286_ONLY, INTEL386_ONLY, INTEL386_A0_ONLY, INTEL486_A_ONLY, FPU287XL_ONLY, FPU387SL_ONLY,
        ],
        "other makers' or old models'",
    ),
];

/// Instructions that are not offered although the processor shown has what CPUID calls their extension.
pub const INSTRUCTIONS: &[(&[Mnemonic], &str)] = {
    use Mnemonic::*;
    &[
        (&[Ud0, Ud1, Ud2], "undefined by definition"),
        (&[Iret, Iretd, Iretq, Retf, Lfs, Lgs, Lss], "loads segment registers; there are none but Linux's flat ones"),
    ]
};

/// Encodings that the decoder is not asked to know: first byte, and what they are.
const ENCODINGS: &[(u8, &str)] = &[(0x62, "AVX-512 is not offered"), (0x8f, "XOP is not offered")];

/// Why an instruction with these names is not offered; `None`: not declared.
pub fn reason(mnemonic: Mnemonic, features: &[CpuidFeature]) -> Option<&'static str> {
    let by_name = INSTRUCTIONS.iter().find(|row| row.0.contains(&mnemonic));
    let by_extension = || EXTENSIONS.iter().find(|row| row.0.iter().any(|f| features.contains(f)));
    by_name.map(|row| row.1).or_else(|| by_extension().map(|row| row.1))
}

/// What to tell of the bytes of an instruction that raised #UD: its name, and the reason.
pub fn explain(bytes: &[u8]) -> (String, &'static str) {
    let Some(insn) = decode_one(bytes, Addr(0)).filter(|i| i.mnemonic() != Mnemonic::INVALID) else {
        let opcode = bytes.iter().find(|b| !matches!(b, 0x66 | 0xf2 | 0xf3 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65 | 0x67 | 0x40..=0x4f)).unwrap_or(&0);
        let why = ENCODINGS.iter().find(|e| e.0 == *opcode).map_or("not an instruction", |e| e.1);
        return ("?".into(), why);
    };
    let name = format!("{:?}", insn.mnemonic()).to_lowercase();
    let why = reason(insn.mnemonic(), insn.code().cpuid_features()).unwrap_or("the processor shown does not have it, or its operands are invalid");
    (name, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanations() {
        assert_eq!(explain(&[0x0f, 0x0b]), ("ud2".to_string(), "undefined by definition"));
        // vaddps zmm0, zmm0, zmm0
        assert_eq!(explain(&[0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0]).1, "AVX-512 is not offered");
        assert!(explain(&[0x0f, 0x01, 0xd5]).1.starts_with("transactions"), "XEND");
        assert_eq!(explain(&[0x06]).1, "not an instruction");
    }
}
