//! What each instruction does to the six status flags. Own tables: the decoder's are dearer at run time and do not tell "may write"
//! from "writes" (a shift by CL may leave all flags alone).

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

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

/// How a row is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// As it stands.
    Fixed,
    /// A shift or rotation: nothing is overwritten where the count, the last operand, is zero or in CL.
    Shift,
    /// CMPS and SCAS: with REP they may run zero times and overwrite nothing. SSE2's CMPSD bears the same name and leaves flags alone.
    String,
}

type Row = (&'static [Mnemonic], FlagEffects, Rule);

const fn row(mnemonics: &'static [Mnemonic], effects: FlagEffects, rule: Rule) -> Row {
    (mnemonics, effects, rule)
}

use Mnemonic::*;

/// Instructions that are not here neither read nor overwrite status flags.
const ROWS: &[Row] = &[
    row(&[Add, Sub, Cmp, Neg, And, Or, Xor, Test, Xadd, Cmpxchg], fx(0, STATUS), Rule::Fixed),
    row(&[Adc, Sbb], fx(CF, STATUS), Rule::Fixed),
    row(&[Inc, Dec], fx(0, STATUS & !CF), Rule::Fixed),
    row(&[Imul, Mul, Div, Idiv], fx(0, STATUS), Rule::Fixed),
    row(&[Shl, Shr, Sal, Sar, Shld, Shrd], fx(0, STATUS), Rule::Shift),
    row(&[Rol, Ror], fx(0, CF | OF), Rule::Shift),
    row(&[Rcl, Rcr], fx(CF, CF | OF), Rule::Shift),
    row(&[Bt, Bts, Btr, Btc], fx(0, CF | PF | AF | SF | OF), Rule::Fixed),
    row(&[Bsf, Bsr, Popcnt, Lzcnt, Tzcnt, Ptest, Vptest, Ucomiss, Ucomisd, Comiss, Comisd, Vucomiss, Vucomisd, Vcomiss, Vcomisd], fx(0, STATUS), Rule::Fixed),
    row(&[Fcomi, Fcomip, Fucomi, Fucomip], fx(0, STATUS), Rule::Fixed),
    row(&[Pcmpestri, Pcmpestrm, Pcmpistri, Pcmpistrm, Vpcmpestri, Vpcmpestrm, Vpcmpistri, Vpcmpistrm, Vtestps, Vtestpd], fx(0, STATUS), Rule::Fixed),
    row(&[Andn, Blsi, Blsmsk, Blsr, Bextr, Bzhi], fx(0, STATUS), Rule::Fixed),
    row(&[Adcx], fx(CF, CF), Rule::Fixed),
    row(&[Adox], fx(OF, OF), Rule::Fixed),
    row(&[Clc, Stc], fx(0, CF), Rule::Fixed),
    row(&[Cmc], fx(CF, CF), Rule::Fixed),
    row(&[Lahf], fx(CF | PF | AF | ZF | SF, 0), Rule::Fixed),
    row(&[Sahf], fx(0, CF | PF | AF | ZF | SF), Rule::Fixed),
    row(&[Pushf, Pushfq], fx(STATUS, 0), Rule::Fixed),
    row(&[Popf, Popfq], fx(0, STATUS), Rule::Fixed),
    // ZF only, and only where it succeeds in reading a descriptor; helpers see exact state.
    row(&[Cmpxchg8b, Cmpxchg16b], fx(0, ZF), Rule::Fixed),
    row(&[Rdrand, Rdseed], fx(0, STATUS), Rule::Fixed),
    row(&[Jo, Cmovo, Seto, Jno, Cmovno, Setno], fx(OF, 0), Rule::Fixed),
    row(&[Jb, Cmovb, Setb, Jae, Cmovae, Setae], fx(CF, 0), Rule::Fixed),
    row(&[Je, Cmove, Sete, Jne, Cmovne, Setne], fx(ZF, 0), Rule::Fixed),
    row(&[Jbe, Cmovbe, Setbe, Ja, Cmova, Seta], fx(CF | ZF, 0), Rule::Fixed),
    row(&[Js, Cmovs, Sets, Jns, Cmovns, Setns], fx(SF, 0), Rule::Fixed),
    row(&[Jp, Cmovp, Setp, Jnp, Cmovnp, Setnp], fx(PF, 0), Rule::Fixed),
    row(&[Jl, Cmovl, Setl, Jge, Cmovge, Setge], fx(SF | OF, 0), Rule::Fixed),
    row(&[Jle, Cmovle, Setle, Jg, Cmovg, Setg], fx(ZF | SF | OF, 0), Rule::Fixed),
    row(&[Fcmovb, Fcmovnb], fx(CF, 0), Rule::Fixed),
    row(&[Fcmove, Fcmovne], fx(ZF, 0), Rule::Fixed),
    row(&[Fcmovbe, Fcmovnbe], fx(CF | ZF, 0), Rule::Fixed),
    row(&[Fcmovu, Fcmovnu], fx(PF, 0), Rule::Fixed),
    row(&[Loope, Loopne], fx(ZF, 0), Rule::Fixed),
    // CMPS and SCAS with REP may run zero times. Without REP they overwrite all.
    row(&[Cmpsb, Cmpsw, Cmpsd, Cmpsq, Scasb, Scasw, Scasd, Scasq], fx(0, STATUS), Rule::String),
    // R11 takes RFLAGS; the kernel restores them.
    row(&[Syscall], fx(STATUS, 0), Rule::Fixed),
    // Whatever ends in an exception shows all flags to a handler.
    row(&[Int, Int1, Int3, Ud0, Ud1, Ud2, Hlt, INVALID], fx(STATUS, 0), Rule::Fixed),
];

const COUNT: usize = 2048;

/// [`ROWS`] by mnemonic.
static TABLE: [(FlagEffects, Rule); COUNT] = {
    let mut table = [(fx(0, 0), Rule::Fixed); COUNT];
    let mut r = 0;
    while r < ROWS.len() {
        let (mnemonics, effects, rule) = ROWS[r];
        let mut m = 0;
        while m < mnemonics.len() {
            table[mnemonics[m] as usize] = (effects, rule);
            m += 1;
        }
        r += 1;
    }
    table
};

/// Is a shift's count a constant other than zero?
fn shifts(i: &Instruction) -> bool {
    let last = i.op_count() - 1;
    let wide = i.op0_kind() == OpKind::Register && i.op0_register().is_gpr64() || i.op0_kind() == OpKind::Memory && i.memory_size().size() == 8;
    i.op_kind(last) == OpKind::Immediate8 && i.immediate8() & if wide { 63 } else { 31 } != 0
}

/// Mnemonics after which control may go elsewhere than to the next instruction.
const TURNS: &[Mnemonic] = &[
    Jo, Jno, Jb, Jae, Je, Jne, Jbe, Ja, Js, Jns, Jp, Jnp, Jl, Jge, Jle, Jg, Jcxz, Jecxz, Jrcxz, Loop, Loope, Loopne, Jmp, Call, Ret,
    // To the kernel, to others, and by exceptions.
    Syscall, Altinst, Db, Dd, Dmint, Dq, Dw, Erets, Eretu, INVALID, Int, Int1, Int3, Into, Iret, Iretd, Iretq, Jknzd, Jkzd, Jmpe, Rdm, Retf, Rsm, Seamcall,
    Seamret, Skinit, Smint, Sysenter, Sysexit, Sysexitq, Sysret, Sysretq, Tdcall, Ud0, Ud1, Ud2, Uiret, Vmcall, Vmgexit, Vmlaunch, Vmmcall, Vmresume, Vmrun,
    Xbegin,
];

/// Floating-point instructions whose NaNs must be looked for.
static ARITHMETIC: [bool; COUNT] = {
    const LISTED: &[Mnemonic] = &[
        Addps, Addpd, Addss, Addsd, Subps, Subpd, Subss, Subsd, Mulps, Mulpd, Mulss, Mulsd, Divps, Divpd, Divss, Divsd, Vaddps, Vaddpd, Vaddss, Vaddsd, Vsubps,
        Vsubpd, Vsubss, Vsubsd, Vmulps, Vmulpd, Vmulss, Vmulsd, Vdivps, Vdivpd, Vdivss, Vdivsd, Sqrtps, Sqrtpd, Sqrtss, Sqrtsd, Vsqrtps, Vsqrtpd, Vsqrtss,
        Vsqrtsd, Cvtss2sd, Cvtsd2ss, Vcvtss2sd, Vcvtsd2ss,
    ];
    let mut table = [false; COUNT];
    let mut i = 0;
    while i < LISTED.len() {
        table[LISTED[i] as usize] = true;
        i += 1;
    }
    let mut fused = Vfmadd132pd as usize;
    while fused <= Vfnmsubss as usize {
        table[fused] = true;
        fused += 1;
    }
    table
};

/// Is it floating-point arithmetic, whose NaNs must be looked for?
pub fn is_arithmetic(mnemonic: Mnemonic) -> bool {
    ARITHMETIC[mnemonic as usize & (COUNT - 1)]
}

/// By mnemonic: effects, and whether [`flag_effects`], the flow or [`is_arithmetic`] say more.
static KNOWN: [(FlagEffects, bool); COUNT] = {
    let mut table = [(fx(0, 0), false); COUNT];
    let mut m = 0;
    while m < COUNT {
        table[m] = (TABLE[m].0, ARITHMETIC[m] || !matches!(TABLE[m].1, Rule::Fixed));
        m += 1;
    }
    m = 0;
    while m < TURNS.len() {
        table[TURNS[m] as usize].1 = true;
        m += 1;
    }
    table
};

/// Effects of an instruction; true: it is none of the ordinary ones, see [`KNOWN`].
#[inline]
pub(super) fn known_effects(mnemonic: Mnemonic) -> (FlagEffects, bool) {
    KNOWN[mnemonic as usize & (COUNT - 1)]
}

/// Of what [`KNOWN`] calls ordinary, control goes to the next instruction.
#[test]
fn what_is_known_is_all() {
    let mut missing = std::collections::BTreeSet::new();
    for code in Code::values() {
        let m = code.mnemonic();
        if code.flow_control() != iced_x86::FlowControl::Next && !KNOWN[m as usize].1 {
            missing.insert(format!("{m:?}"));
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// Effects of one instruction.
pub fn flag_effects(i: &Instruction) -> FlagEffects {
    let (effects, rule) = TABLE[i.mnemonic() as usize];
    match rule {
        Rule::Fixed => effects,
        Rule::Shift if shifts(i) => effects,
        Rule::Shift => fx(effects.reads, 0),
        Rule::String if i.code() == Code::Cmpsd_xmm_xmmm64_imm8 || i.has_rep_prefix() || i.has_repne_prefix() => fx(0, 0),
        Rule::String => effects,
    }
}
