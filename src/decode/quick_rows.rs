//! The table behind [`quick`](super::quick): one row an opcode. Opcodes: SDM vol. 2, appendix A.

use super::quick_groups::{GROUP_ROWS, PAIRS};
use super::quick::{Class, Constant, Form, From, ModRm, Operand};
use iced_x86::Code::{self, *};

/// The opcode map: without a prefix, behind 0F, and behind 0F with a mandatory prefix.
#[derive(Clone, Copy)]
pub(super) enum Map {
    Plain,
    Two,
    P66,
    F3,
    F2,
    /// One byte with an operand size prefix, with F3.
    Word,
    Rep,
}
use Map::*;

/// A part of a form, by the names of the SDM's opcode map (vol. 2, appendix A.2) where it has one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// ModRM.rm: general register or memory, of 8, 16, 32, 64 bits, or as REX.W says.
    Eb,
    Ew,
    Ed,
    Eq,
    Ev,
    /// The same with an operand size prefix: 16 or 64 bits.
    Wv,
    /// ModRM.rm: memory.
    M,
    /// ModRM.rm: XMM register or memory.
    W,
    /// ModRM.rm: XMM register.
    U,
    /// ModRM.reg: general register of 8 bits, or as REX.W says.
    Gb,
    Gv,
    Gw,
    /// ModRM.reg: XMM register.
    V,
    /// General register in the opcode, of 8, 64 bits, or as REX.W says.
    Zb,
    Zq,
    Zv,
    Zw,
    /// AL; EAX or RAX; AX or RAX; CL; the constant 1.
    Al,
    Ax,
    Aw,
    Cl,
    One,
    /// Immediate byte; sign-extended to the operand's size; the same on the stack.
    Ib,
    Ibs,
    IbStack,
    /// Immediate of 32 bits, sign-extended where REX.W is set; the same on the stack; of 32 or 64 bits.
    Iz,
    IzStack,
    Iv,
    /// The first two and 16 bits, with an operand size prefix.
    Ibw,
    Izw,
    Iw,
    /// Branch target, 8 or 32 bits from the next instruction.
    Jb,
    Jz,
}
use Part::*;

const NOTHING: Operand = Operand { from: From::Nothing, class: Class::Long };
pub(super) const NONE: Form = Form { modrm: ModRm::Absent, group: 0, operands: [NOTHING; 2], constant: Constant::None, constant_at: 0, lock: false, codes: [INVALID; 2] };

const fn operand(part: Part) -> Operand {
    let (from, class) = match part {
        Eb => (From::Rm, Class::Byte),
        Ew => (From::Rm, Class::Word),
        Ed => (From::Rm, Class::Long),
        Eq | M => (From::Rm, Class::Quad),
        Ev => (From::Rm, Class::Sized),
        W | U => (From::Rm, Class::Xmm),
        Wv => (From::Rm, Class::WordSized),
        Gb => (From::Reg, Class::Byte),
        Gw => (From::Reg, Class::WordSized),
        Zw => (From::Opcode, Class::WordSized),
        Aw => (From::Zero, Class::WordSized),
        Gv => (From::Reg, Class::Sized),
        V => (From::Reg, Class::Xmm),
        Zb => (From::Opcode, Class::Byte),
        Zq => (From::Opcode, Class::Quad),
        Zv => (From::Opcode, Class::Sized),
        Al => (From::Zero, Class::Byte),
        Ax => (From::Zero, Class::Sized),
        Cl => (From::One, Class::Byte),
        One | Ib | Ibs | IbStack | Iz | IzStack | Iv | Ibw | Izw | Iw | Jb | Jz => (From::Nothing, Class::Long),
    };
    Operand { from, class }
}

const fn constant(part: Part) -> Constant {
    match part {
        One => Constant::Unit,
        Ib => Constant::Byte,
        Ibs => Constant::SignedByte,
        IbStack => Constant::StackByte,
        Iz => Constant::Long,
        IzStack => Constant::StackLong,
        Iv => Constant::Full,
        Ibw => Constant::WordByte,
        Izw => Constant::WordLong,
        Iw => Constant::Word,
        Jb => Constant::Near8,
        Jz => Constant::Near32,
        _ => Constant::None,
    }
}

/// The form of these operands, the third of which can only be a constant.
pub(super) const fn form(parts: &[Part], narrow: Code, wide: Code) -> Form {
    let mut f = Form { codes: [narrow, wide], ..NONE };
    let mut k = 0;
    while k < parts.len() {
        let part = parts[k];
        if !matches!(constant(part), Constant::None) {
            f.constant = constant(part);
            f.constant_at = k as u8;
        } else {
            f.operands[k] = operand(part);
        }
        match part {
            M => f.modrm = ModRm::Memory,
            U => f.modrm = ModRm::Register,
            Eb | Ew | Ed | Eq | Ev | Wv | W | Gb | Gv | Gw | V if matches!(f.modrm, ModRm::Absent) => f.modrm = ModRm::Any,
            _ => {}
        }
        k += 1;
    }
    f
}

/// The same for which LOCK is allowed.
pub(super) const fn locked(parts: &[Part], narrow: Code, wide: Code) -> Form {
    Form { lock: true, ..form(parts, narrow, wide) }
}

/// One whose ModRM byte can only be this.
const fn only(modrm: u8, code: Code) -> Form {
    Form { modrm: ModRm::Only, group: modrm, ..form(&[], code, INVALID) }
}

/// One without ModRM that is not like the others.
const fn bare(modrm: ModRm, parts: &[Part], narrow: Code, wide: Code) -> Form {
    Form { modrm, ..form(parts, narrow, wide) }
}

/// Map, first opcode, number of opcodes that hold a register, form.
const ROWS: &[(Map, u8, u8, Form)] = &[
    (Plain, 0x00, 1, locked(&[Eb, Gb], Add_rm8_r8, Add_rm8_r8)),
    (Plain, 0x01, 1, locked(&[Ev, Gv], Add_rm32_r32, Add_rm64_r64)),
    (Plain, 0x02, 1, form(&[Gb, Eb], Add_r8_rm8, Add_r8_rm8)),
    (Plain, 0x03, 1, form(&[Gv, Ev], Add_r32_rm32, Add_r64_rm64)),
    (Plain, 0x04, 1, form(&[Al, Ib], Add_AL_imm8, Add_AL_imm8)),
    (Plain, 0x05, 1, form(&[Ax, Iz], Add_EAX_imm32, Add_RAX_imm32)),
    (Plain, 0x08, 1, locked(&[Eb, Gb], Or_rm8_r8, Or_rm8_r8)),
    (Plain, 0x09, 1, locked(&[Ev, Gv], Or_rm32_r32, Or_rm64_r64)),
    (Plain, 0x0a, 1, form(&[Gb, Eb], Or_r8_rm8, Or_r8_rm8)),
    (Plain, 0x0b, 1, form(&[Gv, Ev], Or_r32_rm32, Or_r64_rm64)),
    (Plain, 0x0c, 1, form(&[Al, Ib], Or_AL_imm8, Or_AL_imm8)),
    (Plain, 0x0d, 1, form(&[Ax, Iz], Or_EAX_imm32, Or_RAX_imm32)),
    (Plain, 0x10, 1, locked(&[Eb, Gb], Adc_rm8_r8, Adc_rm8_r8)),
    (Plain, 0x11, 1, locked(&[Ev, Gv], Adc_rm32_r32, Adc_rm64_r64)),
    (Plain, 0x12, 1, form(&[Gb, Eb], Adc_r8_rm8, Adc_r8_rm8)),
    (Plain, 0x13, 1, form(&[Gv, Ev], Adc_r32_rm32, Adc_r64_rm64)),
    (Plain, 0x14, 1, form(&[Al, Ib], Adc_AL_imm8, Adc_AL_imm8)),
    (Plain, 0x15, 1, form(&[Ax, Iz], Adc_EAX_imm32, Adc_RAX_imm32)),
    (Plain, 0x18, 1, locked(&[Eb, Gb], Sbb_rm8_r8, Sbb_rm8_r8)),
    (Plain, 0x19, 1, locked(&[Ev, Gv], Sbb_rm32_r32, Sbb_rm64_r64)),
    (Plain, 0x1a, 1, form(&[Gb, Eb], Sbb_r8_rm8, Sbb_r8_rm8)),
    (Plain, 0x1b, 1, form(&[Gv, Ev], Sbb_r32_rm32, Sbb_r64_rm64)),
    (Plain, 0x1c, 1, form(&[Al, Ib], Sbb_AL_imm8, Sbb_AL_imm8)),
    (Plain, 0x1d, 1, form(&[Ax, Iz], Sbb_EAX_imm32, Sbb_RAX_imm32)),
    (Plain, 0x20, 1, locked(&[Eb, Gb], And_rm8_r8, And_rm8_r8)),
    (Plain, 0x21, 1, locked(&[Ev, Gv], And_rm32_r32, And_rm64_r64)),
    (Plain, 0x22, 1, form(&[Gb, Eb], And_r8_rm8, And_r8_rm8)),
    (Plain, 0x23, 1, form(&[Gv, Ev], And_r32_rm32, And_r64_rm64)),
    (Plain, 0x24, 1, form(&[Al, Ib], And_AL_imm8, And_AL_imm8)),
    (Plain, 0x25, 1, form(&[Ax, Iz], And_EAX_imm32, And_RAX_imm32)),
    (Plain, 0x28, 1, locked(&[Eb, Gb], Sub_rm8_r8, Sub_rm8_r8)),
    (Plain, 0x29, 1, locked(&[Ev, Gv], Sub_rm32_r32, Sub_rm64_r64)),
    (Plain, 0x2a, 1, form(&[Gb, Eb], Sub_r8_rm8, Sub_r8_rm8)),
    (Plain, 0x2b, 1, form(&[Gv, Ev], Sub_r32_rm32, Sub_r64_rm64)),
    (Plain, 0x2c, 1, form(&[Al, Ib], Sub_AL_imm8, Sub_AL_imm8)),
    (Plain, 0x2d, 1, form(&[Ax, Iz], Sub_EAX_imm32, Sub_RAX_imm32)),
    (Plain, 0x30, 1, locked(&[Eb, Gb], Xor_rm8_r8, Xor_rm8_r8)),
    (Plain, 0x31, 1, locked(&[Ev, Gv], Xor_rm32_r32, Xor_rm64_r64)),
    (Plain, 0x32, 1, form(&[Gb, Eb], Xor_r8_rm8, Xor_r8_rm8)),
    (Plain, 0x33, 1, form(&[Gv, Ev], Xor_r32_rm32, Xor_r64_rm64)),
    (Plain, 0x34, 1, form(&[Al, Ib], Xor_AL_imm8, Xor_AL_imm8)),
    (Plain, 0x35, 1, form(&[Ax, Iz], Xor_EAX_imm32, Xor_RAX_imm32)),
    (Plain, 0x38, 1, form(&[Eb, Gb], Cmp_rm8_r8, Cmp_rm8_r8)),
    (Plain, 0x39, 1, form(&[Ev, Gv], Cmp_rm32_r32, Cmp_rm64_r64)),
    (Plain, 0x3a, 1, form(&[Gb, Eb], Cmp_r8_rm8, Cmp_r8_rm8)),
    (Plain, 0x3b, 1, form(&[Gv, Ev], Cmp_r32_rm32, Cmp_r64_rm64)),
    (Plain, 0x3c, 1, form(&[Al, Ib], Cmp_AL_imm8, Cmp_AL_imm8)),
    (Plain, 0x3d, 1, form(&[Ax, Iz], Cmp_EAX_imm32, Cmp_RAX_imm32)),
    (Plain, 0x50, 8, form(&[Zq], Push_r64, Push_r64)),
    (Plain, 0x58, 8, form(&[Zq], Pop_r64, Pop_r64)),
    (Plain, 0x63, 1, form(&[Gv, Ed], INVALID, Movsxd_r64_rm32)),
    (Plain, 0x68, 1, form(&[IzStack], Pushq_imm32, Pushq_imm32)),
    (Plain, 0x69, 1, form(&[Gv, Ev, Iz], Imul_r32_rm32_imm32, Imul_r64_rm64_imm32)),
    (Plain, 0x6a, 1, form(&[IbStack], Pushq_imm8, Pushq_imm8)),
    (Plain, 0x6b, 1, form(&[Gv, Ev, Ibs], Imul_r32_rm32_imm8, Imul_r64_rm64_imm8)),
    (Plain, 0x70, 1, form(&[Jb], Jo_rel8_64, Jo_rel8_64)),
    (Plain, 0x71, 1, form(&[Jb], Jno_rel8_64, Jno_rel8_64)),
    (Plain, 0x72, 1, form(&[Jb], Jb_rel8_64, Jb_rel8_64)),
    (Plain, 0x73, 1, form(&[Jb], Jae_rel8_64, Jae_rel8_64)),
    (Plain, 0x74, 1, form(&[Jb], Je_rel8_64, Je_rel8_64)),
    (Plain, 0x75, 1, form(&[Jb], Jne_rel8_64, Jne_rel8_64)),
    (Plain, 0x76, 1, form(&[Jb], Jbe_rel8_64, Jbe_rel8_64)),
    (Plain, 0x77, 1, form(&[Jb], Ja_rel8_64, Ja_rel8_64)),
    (Plain, 0x78, 1, form(&[Jb], Js_rel8_64, Js_rel8_64)),
    (Plain, 0x79, 1, form(&[Jb], Jns_rel8_64, Jns_rel8_64)),
    (Plain, 0x7a, 1, form(&[Jb], Jp_rel8_64, Jp_rel8_64)),
    (Plain, 0x7b, 1, form(&[Jb], Jnp_rel8_64, Jnp_rel8_64)),
    (Plain, 0x7c, 1, form(&[Jb], Jl_rel8_64, Jl_rel8_64)),
    (Plain, 0x7d, 1, form(&[Jb], Jge_rel8_64, Jge_rel8_64)),
    (Plain, 0x7e, 1, form(&[Jb], Jle_rel8_64, Jle_rel8_64)),
    (Plain, 0x7f, 1, form(&[Jb], Jg_rel8_64, Jg_rel8_64)),
    (Plain, 0x84, 1, form(&[Eb, Gb], Test_rm8_r8, Test_rm8_r8)),
    (Plain, 0x85, 1, form(&[Ev, Gv], Test_rm32_r32, Test_rm64_r64)),
    (Plain, 0x86, 1, locked(&[Eb, Gb], Xchg_rm8_r8, Xchg_rm8_r8)),
    (Plain, 0x87, 1, locked(&[Ev, Gv], Xchg_rm32_r32, Xchg_rm64_r64)),
    (Plain, 0x88, 1, form(&[Eb, Gb], Mov_rm8_r8, Mov_rm8_r8)),
    (Plain, 0x89, 1, form(&[Ev, Gv], Mov_rm32_r32, Mov_rm64_r64)),
    (Plain, 0x8a, 1, form(&[Gb, Eb], Mov_r8_rm8, Mov_r8_rm8)),
    (Plain, 0x8b, 1, form(&[Gv, Ev], Mov_r32_rm32, Mov_r64_rm64)),
    (Plain, 0x8d, 1, form(&[Gv, M], Lea_r32_m, Lea_r64_m)),
    (Plain, 0x90, 1, bare(ModRm::Bare, &[], Nopd, INVALID)),
    (Plain, 0x91, 7, form(&[Zv, Ax], Xchg_r32_EAX, Xchg_r64_RAX)),
    (Plain, 0x98, 1, form(&[], Cwde, Cdqe)),
    (Plain, 0x99, 1, form(&[], Cdq, Cqo)),
    (Plain, 0xa4, 1, bare(ModRm::Move, &[], Movsb_m8_m8, Movsb_m8_m8)),
    (Plain, 0xa5, 1, bare(ModRm::Move, &[], Movsd_m32_m32, Movsq_m64_m64)),
    (Plain, 0xa8, 1, form(&[Al, Ib], Test_AL_imm8, Test_AL_imm8)),
    (Plain, 0xa9, 1, form(&[Ax, Iz], Test_EAX_imm32, Test_RAX_imm32)),
    (Plain, 0xaa, 1, bare(ModRm::Fill, &[Eb, Gb], Stosb_m8_AL, Stosb_m8_AL)),
    (Plain, 0xab, 1, bare(ModRm::Fill, &[Ev, Gv], Stosd_m32_EAX, Stosq_m64_RAX)),
    (Plain, 0xb0, 8, form(&[Zb, Ib], Mov_r8_imm8, Mov_r8_imm8)),
    (Plain, 0xb8, 8, form(&[Zv, Iv], Mov_r32_imm32, Mov_r64_imm64)),
    (Plain, 0xc3, 1, form(&[], Retnq, Retnq)),
    (Plain, 0xc9, 1, form(&[], Leaveq, Leaveq)),
    (Plain, 0xe8, 1, form(&[Jz], Call_rel32_64, Call_rel32_64)),
    (Plain, 0xe9, 1, form(&[Jz], Jmp_rel32_64, Jmp_rel32_64)),
    (Plain, 0xeb, 1, form(&[Jb], Jmp_rel8_64, Jmp_rel8_64)),
    (Plain, 0xf4, 1, form(&[], Hlt, Hlt)),
    (Two, 0x01, 1, only(0xd0, Xgetbv)),
    (Two, 0x05, 1, form(&[], Syscall, Syscall)),
    (Two, 0x10, 1, form(&[V, W], Movups_xmm_xmmm128, Movups_xmm_xmmm128)),
    (Two, 0x11, 1, form(&[W, V], Movups_xmmm128_xmm, Movups_xmmm128_xmm)),
    (Two, 0x13, 1, form(&[M, V], Movlps_m64_xmm, Movlps_m64_xmm)),
    (Two, 0x17, 1, form(&[M, V], Movhps_m64_xmm, Movhps_m64_xmm)),
    (Two, 0x28, 1, form(&[V, W], Movaps_xmm_xmmm128, Movaps_xmm_xmmm128)),
    (Two, 0x29, 1, form(&[W, V], Movaps_xmmm128_xmm, Movaps_xmmm128_xmm)),
    (Two, 0x2e, 1, form(&[V, W], Ucomiss_xmm_xmmm32, Ucomiss_xmm_xmmm32)),
    (Two, 0x2f, 1, form(&[V, W], Comiss_xmm_xmmm32, Comiss_xmm_xmmm32)),
    (Two, 0x31, 1, form(&[], Rdtsc, Rdtsc)),
    (Two, 0x40, 1, form(&[Gv, Ev], Cmovo_r32_rm32, Cmovo_r64_rm64)),
    (Two, 0x41, 1, form(&[Gv, Ev], Cmovno_r32_rm32, Cmovno_r64_rm64)),
    (Two, 0x42, 1, form(&[Gv, Ev], Cmovb_r32_rm32, Cmovb_r64_rm64)),
    (Two, 0x43, 1, form(&[Gv, Ev], Cmovae_r32_rm32, Cmovae_r64_rm64)),
    (Two, 0x44, 1, form(&[Gv, Ev], Cmove_r32_rm32, Cmove_r64_rm64)),
    (Two, 0x45, 1, form(&[Gv, Ev], Cmovne_r32_rm32, Cmovne_r64_rm64)),
    (Two, 0x46, 1, form(&[Gv, Ev], Cmovbe_r32_rm32, Cmovbe_r64_rm64)),
    (Two, 0x47, 1, form(&[Gv, Ev], Cmova_r32_rm32, Cmova_r64_rm64)),
    (Two, 0x48, 1, form(&[Gv, Ev], Cmovs_r32_rm32, Cmovs_r64_rm64)),
    (Two, 0x49, 1, form(&[Gv, Ev], Cmovns_r32_rm32, Cmovns_r64_rm64)),
    (Two, 0x4a, 1, form(&[Gv, Ev], Cmovp_r32_rm32, Cmovp_r64_rm64)),
    (Two, 0x4b, 1, form(&[Gv, Ev], Cmovnp_r32_rm32, Cmovnp_r64_rm64)),
    (Two, 0x4c, 1, form(&[Gv, Ev], Cmovl_r32_rm32, Cmovl_r64_rm64)),
    (Two, 0x4d, 1, form(&[Gv, Ev], Cmovge_r32_rm32, Cmovge_r64_rm64)),
    (Two, 0x4e, 1, form(&[Gv, Ev], Cmovle_r32_rm32, Cmovle_r64_rm64)),
    (Two, 0x4f, 1, form(&[Gv, Ev], Cmovg_r32_rm32, Cmovg_r64_rm64)),
    (Two, 0x51, 1, form(&[V, W], Sqrtps_xmm_xmmm128, Sqrtps_xmm_xmmm128)),
    (Two, 0x54, 1, form(&[V, W], Andps_xmm_xmmm128, Andps_xmm_xmmm128)),
    (Two, 0x55, 1, form(&[V, W], Andnps_xmm_xmmm128, Andnps_xmm_xmmm128)),
    (Two, 0x56, 1, form(&[V, W], Orps_xmm_xmmm128, Orps_xmm_xmmm128)),
    (Two, 0x57, 1, form(&[V, W], Xorps_xmm_xmmm128, Xorps_xmm_xmmm128)),
    (Two, 0x58, 1, form(&[V, W], Addps_xmm_xmmm128, Addps_xmm_xmmm128)),
    (Two, 0x59, 1, form(&[V, W], Mulps_xmm_xmmm128, Mulps_xmm_xmmm128)),
    (Two, 0x5c, 1, form(&[V, W], Subps_xmm_xmmm128, Subps_xmm_xmmm128)),
    (Two, 0x5d, 1, form(&[V, W], Minps_xmm_xmmm128, Minps_xmm_xmmm128)),
    (Two, 0x5e, 1, form(&[V, W], Divps_xmm_xmmm128, Divps_xmm_xmmm128)),
    (Two, 0x5f, 1, form(&[V, W], Maxps_xmm_xmmm128, Maxps_xmm_xmmm128)),
    (Two, 0x80, 1, form(&[Jz], Jo_rel32_64, Jo_rel32_64)),
    (Two, 0x81, 1, form(&[Jz], Jno_rel32_64, Jno_rel32_64)),
    (Two, 0x82, 1, form(&[Jz], Jb_rel32_64, Jb_rel32_64)),
    (Two, 0x83, 1, form(&[Jz], Jae_rel32_64, Jae_rel32_64)),
    (Two, 0x84, 1, form(&[Jz], Je_rel32_64, Je_rel32_64)),
    (Two, 0x85, 1, form(&[Jz], Jne_rel32_64, Jne_rel32_64)),
    (Two, 0x86, 1, form(&[Jz], Jbe_rel32_64, Jbe_rel32_64)),
    (Two, 0x87, 1, form(&[Jz], Ja_rel32_64, Ja_rel32_64)),
    (Two, 0x88, 1, form(&[Jz], Js_rel32_64, Js_rel32_64)),
    (Two, 0x89, 1, form(&[Jz], Jns_rel32_64, Jns_rel32_64)),
    (Two, 0x8a, 1, form(&[Jz], Jp_rel32_64, Jp_rel32_64)),
    (Two, 0x8b, 1, form(&[Jz], Jnp_rel32_64, Jnp_rel32_64)),
    (Two, 0x8c, 1, form(&[Jz], Jl_rel32_64, Jl_rel32_64)),
    (Two, 0x8d, 1, form(&[Jz], Jge_rel32_64, Jge_rel32_64)),
    (Two, 0x8e, 1, form(&[Jz], Jle_rel32_64, Jle_rel32_64)),
    (Two, 0x8f, 1, form(&[Jz], Jg_rel32_64, Jg_rel32_64)),
    (Two, 0x90, 1, form(&[Eb], Seto_rm8, Seto_rm8)),
    (Two, 0x91, 1, form(&[Eb], Setno_rm8, Setno_rm8)),
    (Two, 0x92, 1, form(&[Eb], Setb_rm8, Setb_rm8)),
    (Two, 0x93, 1, form(&[Eb], Setae_rm8, Setae_rm8)),
    (Two, 0x94, 1, form(&[Eb], Sete_rm8, Sete_rm8)),
    (Two, 0x95, 1, form(&[Eb], Setne_rm8, Setne_rm8)),
    (Two, 0x96, 1, form(&[Eb], Setbe_rm8, Setbe_rm8)),
    (Two, 0x97, 1, form(&[Eb], Seta_rm8, Seta_rm8)),
    (Two, 0x98, 1, form(&[Eb], Sets_rm8, Sets_rm8)),
    (Two, 0x99, 1, form(&[Eb], Setns_rm8, Setns_rm8)),
    (Two, 0x9a, 1, form(&[Eb], Setp_rm8, Setp_rm8)),
    (Two, 0x9b, 1, form(&[Eb], Setnp_rm8, Setnp_rm8)),
    (Two, 0x9c, 1, form(&[Eb], Setl_rm8, Setl_rm8)),
    (Two, 0x9d, 1, form(&[Eb], Setge_rm8, Setge_rm8)),
    (Two, 0x9e, 1, form(&[Eb], Setle_rm8, Setle_rm8)),
    (Two, 0x9f, 1, form(&[Eb], Setg_rm8, Setg_rm8)),
    (Two, 0xa2, 1, form(&[], Cpuid, Cpuid)),
    (Two, 0xa3, 1, form(&[Ev, Gv], Bt_rm32_r32, Bt_rm64_r64)),
    (Two, 0xab, 1, locked(&[Ev, Gv], Bts_rm32_r32, Bts_rm64_r64)),
    (Two, 0xaf, 1, form(&[Gv, Ev], Imul_r32_rm32, Imul_r64_rm64)),
    (Two, 0xb0, 1, locked(&[Eb, Gb], Cmpxchg_rm8_r8, Cmpxchg_rm8_r8)),
    (Two, 0xb1, 1, locked(&[Ev, Gv], Cmpxchg_rm32_r32, Cmpxchg_rm64_r64)),
    (Two, 0xb3, 1, locked(&[Ev, Gv], Btr_rm32_r32, Btr_rm64_r64)),
    (Two, 0xb6, 1, form(&[Gv, Eb], Movzx_r32_rm8, Movzx_r64_rm8)),
    (Two, 0xb7, 1, form(&[Gv, Ew], Movzx_r32_rm16, Movzx_r64_rm16)),
    (Two, 0xbc, 1, form(&[Gv, Ev], Bsf_r32_rm32, Bsf_r64_rm64)),
    (Two, 0xbd, 1, form(&[Gv, Ev], Bsr_r32_rm32, Bsr_r64_rm64)),
    (Two, 0xbe, 1, form(&[Gv, Eb], Movsx_r32_rm8, Movsx_r64_rm8)),
    (Two, 0xbf, 1, form(&[Gv, Ew], Movsx_r32_rm16, Movsx_r64_rm16)),
    (Two, 0xbb, 1, locked(&[Ev, Gv], Btc_rm32_r32, Btc_rm64_r64)),
    (Two, 0xc0, 1, locked(&[Eb, Gb], Xadd_rm8_r8, Xadd_rm8_r8)),
    (Two, 0xc1, 1, locked(&[Ev, Gv], Xadd_rm32_r32, Xadd_rm64_r64)),
    (Two, 0xc6, 1, form(&[V, W, Ib], Shufps_xmm_xmmm128_imm8, Shufps_xmm_xmmm128_imm8)),
    (Two, 0xc8, 8, form(&[Zv], Bswap_r32, Bswap_r64)),
    (P66, 0x10, 1, form(&[V, W], Movupd_xmm_xmmm128, Movupd_xmm_xmmm128)),
    (P66, 0x11, 1, form(&[W, V], Movupd_xmmm128_xmm, Movupd_xmmm128_xmm)),
    (P66, 0x12, 1, form(&[V, M], Movlpd_xmm_m64, Movlpd_xmm_m64)),
    (P66, 0x13, 1, form(&[M, V], Movlpd_m64_xmm, Movlpd_m64_xmm)),
    (P66, 0x14, 1, form(&[V, W], Unpcklpd_xmm_xmmm128, Unpcklpd_xmm_xmmm128)),
    (P66, 0x15, 1, form(&[V, W], Unpckhpd_xmm_xmmm128, Unpckhpd_xmm_xmmm128)),
    (P66, 0x16, 1, form(&[V, M], Movhpd_xmm_m64, Movhpd_xmm_m64)),
    (P66, 0x17, 1, form(&[M, V], Movhpd_m64_xmm, Movhpd_m64_xmm)),
    (P66, 0x28, 1, form(&[V, W], Movapd_xmm_xmmm128, Movapd_xmm_xmmm128)),
    (P66, 0x29, 1, form(&[W, V], Movapd_xmmm128_xmm, Movapd_xmmm128_xmm)),
    (P66, 0x2e, 1, form(&[V, W], Ucomisd_xmm_xmmm64, Ucomisd_xmm_xmmm64)),
    (P66, 0x2f, 1, form(&[V, W], Comisd_xmm_xmmm64, Comisd_xmm_xmmm64)),
    (P66, 0x51, 1, form(&[V, W], Sqrtpd_xmm_xmmm128, Sqrtpd_xmm_xmmm128)),
    (P66, 0x54, 1, form(&[V, W], Andpd_xmm_xmmm128, Andpd_xmm_xmmm128)),
    (P66, 0x55, 1, form(&[V, W], Andnpd_xmm_xmmm128, Andnpd_xmm_xmmm128)),
    (P66, 0x56, 1, form(&[V, W], Orpd_xmm_xmmm128, Orpd_xmm_xmmm128)),
    (P66, 0x57, 1, form(&[V, W], Xorpd_xmm_xmmm128, Xorpd_xmm_xmmm128)),
    (P66, 0x58, 1, form(&[V, W], Addpd_xmm_xmmm128, Addpd_xmm_xmmm128)),
    (P66, 0x59, 1, form(&[V, W], Mulpd_xmm_xmmm128, Mulpd_xmm_xmmm128)),
    (P66, 0x5c, 1, form(&[V, W], Subpd_xmm_xmmm128, Subpd_xmm_xmmm128)),
    (P66, 0x5d, 1, form(&[V, W], Minpd_xmm_xmmm128, Minpd_xmm_xmmm128)),
    (P66, 0x5e, 1, form(&[V, W], Divpd_xmm_xmmm128, Divpd_xmm_xmmm128)),
    (P66, 0x5f, 1, form(&[V, W], Maxpd_xmm_xmmm128, Maxpd_xmm_xmmm128)),
    (P66, 0x60, 1, form(&[V, W], Punpcklbw_xmm_xmmm128, Punpcklbw_xmm_xmmm128)),
    (P66, 0x61, 1, form(&[V, W], Punpcklwd_xmm_xmmm128, Punpcklwd_xmm_xmmm128)),
    (P66, 0x62, 1, form(&[V, W], Punpckldq_xmm_xmmm128, Punpckldq_xmm_xmmm128)),
    (P66, 0x64, 1, form(&[V, W], Pcmpgtb_xmm_xmmm128, Pcmpgtb_xmm_xmmm128)),
    (P66, 0x65, 1, form(&[V, W], Pcmpgtw_xmm_xmmm128, Pcmpgtw_xmm_xmmm128)),
    (P66, 0x66, 1, form(&[V, W], Pcmpgtd_xmm_xmmm128, Pcmpgtd_xmm_xmmm128)),
    (P66, 0x67, 1, form(&[V, W], Packuswb_xmm_xmmm128, Packuswb_xmm_xmmm128)),
    (P66, 0x68, 1, form(&[V, W], Punpckhbw_xmm_xmmm128, Punpckhbw_xmm_xmmm128)),
    (P66, 0x69, 1, form(&[V, W], Punpckhwd_xmm_xmmm128, Punpckhwd_xmm_xmmm128)),
    (P66, 0x6a, 1, form(&[V, W], Punpckhdq_xmm_xmmm128, Punpckhdq_xmm_xmmm128)),
    (P66, 0x6c, 1, form(&[V, W], Punpcklqdq_xmm_xmmm128, Punpcklqdq_xmm_xmmm128)),
    (P66, 0x6d, 1, form(&[V, W], Punpckhqdq_xmm_xmmm128, Punpckhqdq_xmm_xmmm128)),
    (P66, 0x6e, 1, form(&[V, Ev], Movd_xmm_rm32, Movq_xmm_rm64)),
    (P66, 0x6f, 1, form(&[V, W], Movdqa_xmm_xmmm128, Movdqa_xmm_xmmm128)),
    (P66, 0x70, 1, form(&[V, W, Ib], Pshufd_xmm_xmmm128_imm8, Pshufd_xmm_xmmm128_imm8)),
    (P66, 0x74, 1, form(&[V, W], Pcmpeqb_xmm_xmmm128, Pcmpeqb_xmm_xmmm128)),
    (P66, 0x75, 1, form(&[V, W], Pcmpeqw_xmm_xmmm128, Pcmpeqw_xmm_xmmm128)),
    (P66, 0x76, 1, form(&[V, W], Pcmpeqd_xmm_xmmm128, Pcmpeqd_xmm_xmmm128)),
    (P66, 0x7e, 1, form(&[Ev, V], Movd_rm32_xmm, Movq_rm64_xmm)),
    (P66, 0x7f, 1, form(&[W, V], Movdqa_xmmm128_xmm, Movdqa_xmmm128_xmm)),
    (P66, 0xc6, 1, form(&[V, W, Ib], Shufpd_xmm_xmmm128_imm8, Shufpd_xmm_xmmm128_imm8)),
    (P66, 0xd4, 1, form(&[V, W], Paddq_xmm_xmmm128, Paddq_xmm_xmmm128)),
    (P66, 0xd6, 1, form(&[W, V], Movq_xmmm64_xmm, Movq_xmmm64_xmm)),
    (P66, 0xd7, 1, form(&[Gv, U], Pmovmskb_r32_xmm, Pmovmskb_r64_xmm)),
    (P66, 0xda, 1, form(&[V, W], Pminub_xmm_xmmm128, Pminub_xmm_xmmm128)),
    (P66, 0xdb, 1, form(&[V, W], Pand_xmm_xmmm128, Pand_xmm_xmmm128)),
    (P66, 0xde, 1, form(&[V, W], Pmaxub_xmm_xmmm128, Pmaxub_xmm_xmmm128)),
    (P66, 0xdf, 1, form(&[V, W], Pandn_xmm_xmmm128, Pandn_xmm_xmmm128)),
    (P66, 0xeb, 1, form(&[V, W], Por_xmm_xmmm128, Por_xmm_xmmm128)),
    (P66, 0xef, 1, form(&[V, W], Pxor_xmm_xmmm128, Pxor_xmm_xmmm128)),
    (P66, 0xf8, 1, form(&[V, W], Psubb_xmm_xmmm128, Psubb_xmm_xmmm128)),
    (P66, 0xfa, 1, form(&[V, W], Psubd_xmm_xmmm128, Psubd_xmm_xmmm128)),
    (P66, 0xfb, 1, form(&[V, W], Psubq_xmm_xmmm128, Psubq_xmm_xmmm128)),
    (P66, 0xfc, 1, form(&[V, W], Paddb_xmm_xmmm128, Paddb_xmm_xmmm128)),
    (P66, 0xfd, 1, form(&[V, W], Paddw_xmm_xmmm128, Paddw_xmm_xmmm128)),
    (P66, 0xfe, 1, form(&[V, W], Paddd_xmm_xmmm128, Paddd_xmm_xmmm128)),
    (Word, 0x01, 1, locked(&[Wv, Gw], Add_rm16_r16, Add_rm64_r64)),
    (Word, 0x03, 1, form(&[Gw, Wv], Add_r16_rm16, Add_r64_rm64)),
    (Word, 0x05, 1, form(&[Aw, Izw], Add_AX_imm16, Add_RAX_imm32)),
    (Word, 0x09, 1, locked(&[Wv, Gw], Or_rm16_r16, Or_rm64_r64)),
    (Word, 0x0b, 1, form(&[Gw, Wv], Or_r16_rm16, Or_r64_rm64)),
    (Word, 0x0d, 1, form(&[Aw, Izw], Or_AX_imm16, Or_RAX_imm32)),
    (Word, 0x11, 1, locked(&[Wv, Gw], Adc_rm16_r16, Adc_rm64_r64)),
    (Word, 0x13, 1, form(&[Gw, Wv], Adc_r16_rm16, Adc_r64_rm64)),
    (Word, 0x15, 1, form(&[Aw, Izw], Adc_AX_imm16, Adc_RAX_imm32)),
    (Word, 0x19, 1, locked(&[Wv, Gw], Sbb_rm16_r16, Sbb_rm64_r64)),
    (Word, 0x1b, 1, form(&[Gw, Wv], Sbb_r16_rm16, Sbb_r64_rm64)),
    (Word, 0x1d, 1, form(&[Aw, Izw], Sbb_AX_imm16, Sbb_RAX_imm32)),
    (Word, 0x21, 1, locked(&[Wv, Gw], And_rm16_r16, And_rm64_r64)),
    (Word, 0x23, 1, form(&[Gw, Wv], And_r16_rm16, And_r64_rm64)),
    (Word, 0x25, 1, form(&[Aw, Izw], And_AX_imm16, And_RAX_imm32)),
    (Word, 0x29, 1, locked(&[Wv, Gw], Sub_rm16_r16, Sub_rm64_r64)),
    (Word, 0x2b, 1, form(&[Gw, Wv], Sub_r16_rm16, Sub_r64_rm64)),
    (Word, 0x2d, 1, form(&[Aw, Izw], Sub_AX_imm16, Sub_RAX_imm32)),
    (Word, 0x31, 1, locked(&[Wv, Gw], Xor_rm16_r16, Xor_rm64_r64)),
    (Word, 0x33, 1, form(&[Gw, Wv], Xor_r16_rm16, Xor_r64_rm64)),
    (Word, 0x35, 1, form(&[Aw, Izw], Xor_AX_imm16, Xor_RAX_imm32)),
    (Word, 0x39, 1, form(&[Wv, Gw], Cmp_rm16_r16, Cmp_rm64_r64)),
    (Word, 0x3b, 1, form(&[Gw, Wv], Cmp_r16_rm16, Cmp_r64_rm64)),
    (Word, 0x3d, 1, form(&[Aw, Izw], Cmp_AX_imm16, Cmp_RAX_imm32)),
    (Word, 0x85, 1, form(&[Wv, Gw], Test_rm16_r16, Test_rm64_r64)),
    (Word, 0x89, 1, form(&[Wv, Gw], Mov_rm16_r16, Mov_rm64_r64)),
    (Word, 0x8b, 1, form(&[Gw, Wv], Mov_r16_rm16, Mov_r64_rm64)),
    (Word, 0x90, 1, bare(ModRm::Bare, &[], Nopw, INVALID)),
    (Word, 0xa9, 1, form(&[Aw, Izw], Test_AX_imm16, Test_RAX_imm32)),
    (Word, 0xb8, 8, form(&[Zw, Iw], Mov_r16_imm16, INVALID)),
    (Rep, 0x90, 1, bare(ModRm::Bare, &[], Pause, INVALID)),
    (Rep, 0xa4, 1, bare(ModRm::Move, &[], Movsb_m8_m8, Movsb_m8_m8)),
    (Rep, 0xa5, 1, bare(ModRm::Move, &[], Movsd_m32_m32, Movsq_m64_m64)),
    (Rep, 0xaa, 1, bare(ModRm::Fill, &[Eb, Gb], Stosb_m8_AL, Stosb_m8_AL)),
    (Rep, 0xab, 1, bare(ModRm::Fill, &[Ev, Gv], Stosd_m32_EAX, Stosq_m64_RAX)),
    (F3, 0x10, 1, form(&[V, W], Movss_xmm_xmmm32, Movss_xmm_xmmm32)),
    (F3, 0x11, 1, form(&[W, V], Movss_xmmm32_xmm, Movss_xmmm32_xmm)),
    (F3, 0x1e, 1, only(0xfa, Endbr64)),
    (F3, 0x2a, 1, form(&[V, Ev], Cvtsi2ss_xmm_rm32, Cvtsi2ss_xmm_rm64)),
    (F3, 0x2c, 1, form(&[Gv, W], Cvttss2si_r32_xmmm32, Cvttss2si_r64_xmmm32)),
    (F3, 0x51, 1, form(&[V, W], Sqrtss_xmm_xmmm32, Sqrtss_xmm_xmmm32)),
    (F3, 0x58, 1, form(&[V, W], Addss_xmm_xmmm32, Addss_xmm_xmmm32)),
    (F3, 0x59, 1, form(&[V, W], Mulss_xmm_xmmm32, Mulss_xmm_xmmm32)),
    (F3, 0x5a, 1, form(&[V, W], Cvtss2sd_xmm_xmmm32, Cvtss2sd_xmm_xmmm32)),
    (F3, 0x5c, 1, form(&[V, W], Subss_xmm_xmmm32, Subss_xmm_xmmm32)),
    (F3, 0x5d, 1, form(&[V, W], Minss_xmm_xmmm32, Minss_xmm_xmmm32)),
    (F3, 0x5e, 1, form(&[V, W], Divss_xmm_xmmm32, Divss_xmm_xmmm32)),
    (F3, 0x5f, 1, form(&[V, W], Maxss_xmm_xmmm32, Maxss_xmm_xmmm32)),
    (F3, 0x6f, 1, form(&[V, W], Movdqu_xmm_xmmm128, Movdqu_xmm_xmmm128)),
    (F3, 0x7e, 1, form(&[V, W], Movq_xmm_xmmm64, Movq_xmm_xmmm64)),
    (F3, 0x7f, 1, form(&[W, V], Movdqu_xmmm128_xmm, Movdqu_xmmm128_xmm)),
    (F3, 0xb8, 1, form(&[Gv, Ev], Popcnt_r32_rm32, Popcnt_r64_rm64)),
    (F3, 0xbc, 1, form(&[Gv, Ev], Tzcnt_r32_rm32, Tzcnt_r64_rm64)),
    (F3, 0xbd, 1, form(&[Gv, Ev], Lzcnt_r32_rm32, Lzcnt_r64_rm64)),
    (F2, 0x10, 1, form(&[V, W], Movsd_xmm_xmmm64, Movsd_xmm_xmmm64)),
    (F2, 0x11, 1, form(&[W, V], Movsd_xmmm64_xmm, Movsd_xmmm64_xmm)),
    (F2, 0x2a, 1, form(&[V, Ev], Cvtsi2sd_xmm_rm32, Cvtsi2sd_xmm_rm64)),
    (F2, 0x2c, 1, form(&[Gv, W], Cvttsd2si_r32_xmmm64, Cvttsd2si_r64_xmmm64)),
    (F2, 0x51, 1, form(&[V, W], Sqrtsd_xmm_xmmm64, Sqrtsd_xmm_xmmm64)),
    (F2, 0x58, 1, form(&[V, W], Addsd_xmm_xmmm64, Addsd_xmm_xmmm64)),
    (F2, 0x59, 1, form(&[V, W], Mulsd_xmm_xmmm64, Mulsd_xmm_xmmm64)),
    (F2, 0x5a, 1, form(&[V, W], Cvtsd2ss_xmm_xmmm64, Cvtsd2ss_xmm_xmmm64)),
    (F2, 0x5c, 1, form(&[V, W], Subsd_xmm_xmmm64, Subsd_xmm_xmmm64)),
    (F2, 0x5d, 1, form(&[V, W], Minsd_xmm_xmmm64, Minsd_xmm_xmmm64)),
    (F2, 0x5e, 1, form(&[V, W], Divsd_xmm_xmmm64, Divsd_xmm_xmmm64)),
    (F2, 0x5f, 1, form(&[V, W], Maxsd_xmm_xmmm64, Maxsd_xmm_xmmm64)),
];

/// Forms by map, 256 each, and opcode; the last map is that of prefixes that are not known together.
pub(super) static FORMS: [Form; 8 * 256] = {
    let mut forms = [NONE; 8 * 256];
    let mut r = 0;
    while r < ROWS.len() {
        let (map, first, count, form) = ROWS[r];
        let mut op = first as usize;
        while op < first as usize + count as usize {
            forms[map as usize * 256 + op] = form;
            op += 1;
        }
        r += 1;
    }
    r = 0;
    while r < GROUP_ROWS.len() {
        let (map, op, _) = GROUP_ROWS[r];
        let modrm = if r < GROUP_ROWS.len() - PAIRS { ModRm::Group } else { ModRm::Pair };
        forms[map as usize * 256 + op as usize] = Form { modrm, group: r as u8, ..NONE };
        r += 1;
    }
    forms
};

/// Forms by group, 8 each, and ModRM.reg.
pub(super) static GROUPS: [Form; 8 * 32] = {
    let mut groups = [NONE; 8 * 32];
    let mut r = 0;
    while r < 8 * GROUP_ROWS.len() {
        groups[r] = GROUP_ROWS[r / 8].2[r % 8];
        r += 1;
    }
    groups
};
