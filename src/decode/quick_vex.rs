//! The VEX forms that C libraries search and copy with, and those of general registers, decoded without iced: see [`quick`](super::quick).

use super::quick::{Cursor, REGISTERS, WINDOW, end, memory};
use iced_x86::Code::{self, *};
use iced_x86::{Instruction, OpKind, Register};

/// An operand, by the names of the SDM's opcode map: ModRM.reg, VEX.vvvv, ModRM.rm; vectors of the form's length, XMM registers, general registers as
/// VEX.W says.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Part {
    /// There is none.
    Not,
    V,
    H,
    W,
    /// XMM register, whatever the length.
    Vx,
    Wx,
    /// General register of 32 or 64 bits.
    G,
    B,
    E,
}
use Part::*;

/// What tells the code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// VEX.L.
    Length,
    /// VEX.W, of general registers; VEX.L is 0.
    Wide,
    /// Both: 32 bits of XMM and YMM, 64 of both.
    Both,
    /// VEX.L, with VEX.W 0.
    Narrow,
}

/// What ModRM.rm may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rm {
    /// There is no ModRM byte.
    Absent,
    Any,
    Register,
    /// ModRM.reg is this, and no operand.
    Reg(u8),
}

#[derive(Clone, Copy)]
struct Form {
    rm: Rm,
    operands: [Part; 3],
    by: By,
    codes: [Code; 4],
}

const NONE: Form = Form { rm: Rm::Absent, operands: [Not; 3], by: By::Length, codes: [INVALID; 4] };

const fn form(rm: Rm, operands: [Part; 3], by: By, codes: [Code; 2]) -> Form {
    Form { rm, operands, by, codes: [codes[0], codes[1], INVALID, INVALID] }
}
/// Three vectors.
const fn three(xmm: Code, ymm: Code) -> Form {
    form(Rm::Any, [V, H, W], By::Length, [xmm, ymm])
}
const fn load(xmm: Code, ymm: Code) -> Form {
    form(Rm::Any, [V, W, Not], By::Length, [xmm, ymm])
}
const fn store(xmm: Code, ymm: Code) -> Form {
    form(Rm::Any, [W, V, Not], By::Length, [xmm, ymm])
}
const fn spread(xmm: Code, ymm: Code) -> Form {
    form(Rm::Any, [V, Wx, Not], By::Narrow, [xmm, ymm])
}
const fn general(operands: [Part; 3], narrow: Code, wide: Code) -> Form {
    form(Rm::Any, operands, By::Wide, [narrow, wide])
}

/// Opcode map (0F, 0F 38), what VEX.pp stands for (nothing, 66, F3, F2), opcode, form.
const ROWS: &[(u8, u8, u8, Form)] = &[
    (1, 0, 0x10, load(VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256)),
    (1, 0, 0x11, store(VEX_Vmovups_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm)),
    (1, 0, 0x28, load(VEX_Vmovaps_xmm_xmmm128, VEX_Vmovaps_ymm_ymmm256)),
    (1, 0, 0x29, store(VEX_Vmovaps_xmmm128_xmm, VEX_Vmovaps_ymmm256_ymm)),
    (1, 0, 0x57, three(VEX_Vxorps_xmm_xmm_xmmm128, VEX_Vxorps_ymm_ymm_ymmm256)),
    (1, 0, 0x77, form(Rm::Absent, [Not; 3], By::Length, [VEX_Vzeroupper, VEX_Vzeroall])),
    (1, 1, 0x60, three(VEX_Vpunpcklbw_xmm_xmm_xmmm128, VEX_Vpunpcklbw_ymm_ymm_ymmm256)),
    (1, 1, 0x64, three(VEX_Vpcmpgtb_xmm_xmm_xmmm128, VEX_Vpcmpgtb_ymm_ymm_ymmm256)),
    (1, 1, 0x65, three(VEX_Vpcmpgtw_xmm_xmm_xmmm128, VEX_Vpcmpgtw_ymm_ymm_ymmm256)),
    (1, 1, 0x66, three(VEX_Vpcmpgtd_xmm_xmm_xmmm128, VEX_Vpcmpgtd_ymm_ymm_ymmm256)),
    (1, 1, 0x6e, form(Rm::Any, [Vx, E, Not], By::Wide, [VEX_Vmovd_xmm_rm32, VEX_Vmovq_xmm_rm64])),
    (1, 1, 0x6f, load(VEX_Vmovdqa_xmm_xmmm128, VEX_Vmovdqa_ymm_ymmm256)),
    (1, 1, 0x74, three(VEX_Vpcmpeqb_xmm_xmm_xmmm128, VEX_Vpcmpeqb_ymm_ymm_ymmm256)),
    (1, 1, 0x75, three(VEX_Vpcmpeqw_xmm_xmm_xmmm128, VEX_Vpcmpeqw_ymm_ymm_ymmm256)),
    (1, 1, 0x76, three(VEX_Vpcmpeqd_xmm_xmm_xmmm128, VEX_Vpcmpeqd_ymm_ymm_ymmm256)),
    (1, 1, 0x7e, form(Rm::Any, [E, Vx, Not], By::Wide, [VEX_Vmovd_rm32_xmm, VEX_Vmovq_rm64_xmm])),
    (1, 1, 0x7f, store(VEX_Vmovdqa_xmmm128_xmm, VEX_Vmovdqa_ymmm256_ymm)),
    (1, 1, 0xd4, three(VEX_Vpaddq_xmm_xmm_xmmm128, VEX_Vpaddq_ymm_ymm_ymmm256)),
    (1, 1, 0xd6, form(Rm::Any, [Wx, Vx, Not], By::Length, [VEX_Vmovq_xmmm64_xmm, INVALID])),
    (1, 1, 0xd7, Form {
        rm: Rm::Register,
        operands: [G, W, Not],
        by: By::Both,
        codes: [VEX_Vpmovmskb_r32_xmm, VEX_Vpmovmskb_r32_ymm, VEX_Vpmovmskb_r64_xmm, VEX_Vpmovmskb_r64_ymm],
    }),
    (1, 1, 0xda, three(VEX_Vpminub_xmm_xmm_xmmm128, VEX_Vpminub_ymm_ymm_ymmm256)),
    (1, 1, 0xdb, three(VEX_Vpand_xmm_xmm_xmmm128, VEX_Vpand_ymm_ymm_ymmm256)),
    (1, 1, 0xde, three(VEX_Vpmaxub_xmm_xmm_xmmm128, VEX_Vpmaxub_ymm_ymm_ymmm256)),
    (1, 1, 0xdf, three(VEX_Vpandn_xmm_xmm_xmmm128, VEX_Vpandn_ymm_ymm_ymmm256)),
    (1, 1, 0xeb, three(VEX_Vpor_xmm_xmm_xmmm128, VEX_Vpor_ymm_ymm_ymmm256)),
    (1, 1, 0xef, three(VEX_Vpxor_xmm_xmm_xmmm128, VEX_Vpxor_ymm_ymm_ymmm256)),
    (1, 1, 0xf8, three(VEX_Vpsubb_xmm_xmm_xmmm128, VEX_Vpsubb_ymm_ymm_ymmm256)),
    (1, 1, 0xf9, three(VEX_Vpsubw_xmm_xmm_xmmm128, VEX_Vpsubw_ymm_ymm_ymmm256)),
    (1, 1, 0xfa, three(VEX_Vpsubd_xmm_xmm_xmmm128, VEX_Vpsubd_ymm_ymm_ymmm256)),
    (1, 1, 0xfb, three(VEX_Vpsubq_xmm_xmm_xmmm128, VEX_Vpsubq_ymm_ymm_ymmm256)),
    (1, 1, 0xfc, three(VEX_Vpaddb_xmm_xmm_xmmm128, VEX_Vpaddb_ymm_ymm_ymmm256)),
    (1, 1, 0xfd, three(VEX_Vpaddw_xmm_xmm_xmmm128, VEX_Vpaddw_ymm_ymm_ymmm256)),
    (1, 1, 0xfe, three(VEX_Vpaddd_xmm_xmm_xmmm128, VEX_Vpaddd_ymm_ymm_ymmm256)),
    (1, 2, 0x6f, load(VEX_Vmovdqu_xmm_xmmm128, VEX_Vmovdqu_ymm_ymmm256)),
    (1, 2, 0x7e, form(Rm::Any, [Vx, Wx, Not], By::Length, [VEX_Vmovq_xmm_xmmm64, INVALID])),
    (1, 2, 0x7f, store(VEX_Vmovdqu_xmmm128_xmm, VEX_Vmovdqu_ymmm256_ymm)),
    (2, 0, 0xf2, general([G, B, E], VEX_Andn_r32_r32_rm32, VEX_Andn_r64_r64_rm64)),
    (2, 0, 0xf5, general([G, E, B], VEX_Bzhi_r32_rm32_r32, VEX_Bzhi_r64_rm64_r64)),
    (2, 0, 0xf7, general([G, E, B], VEX_Bextr_r32_rm32_r32, VEX_Bextr_r64_rm64_r64)),
    (2, 1, 0x00, three(VEX_Vpshufb_xmm_xmm_xmmm128, VEX_Vpshufb_ymm_ymm_ymmm256)),
    (2, 1, 0x3a, three(VEX_Vpminuw_xmm_xmm_xmmm128, VEX_Vpminuw_ymm_ymm_ymmm256)),
    (2, 1, 0x3b, three(VEX_Vpminud_xmm_xmm_xmmm128, VEX_Vpminud_ymm_ymm_ymmm256)),
    (2, 1, 0x58, spread(VEX_Vpbroadcastd_xmm_xmmm32, VEX_Vpbroadcastd_ymm_xmmm32)),
    (2, 1, 0x59, spread(VEX_Vpbroadcastq_xmm_xmmm64, VEX_Vpbroadcastq_ymm_xmmm64)),
    (2, 1, 0x78, spread(VEX_Vpbroadcastb_xmm_xmmm8, VEX_Vpbroadcastb_ymm_xmmm8)),
    (2, 1, 0xf7, general([G, E, B], VEX_Shlx_r32_rm32_r32, VEX_Shlx_r64_rm64_r64)),
    (2, 2, 0xf7, general([G, E, B], VEX_Sarx_r32_rm32_r32, VEX_Sarx_r64_rm64_r64)),
    (2, 3, 0xf7, general([G, E, B], VEX_Shrx_r32_rm32_r32, VEX_Shrx_r64_rm64_r64)),
];

/// Those of opcode 0F 38 F3, by ModRM.reg.
const LOWEST: [Form; 3] = [
    form(Rm::Reg(1), [B, E, Not], By::Wide, [VEX_Blsr_r32_rm32, VEX_Blsr_r64_rm64]),
    form(Rm::Reg(2), [B, E, Not], By::Wide, [VEX_Blsmsk_r32_rm32, VEX_Blsmsk_r64_rm64]),
    form(Rm::Reg(3), [B, E, Not], By::Wide, [VEX_Blsi_r32_rm32, VEX_Blsi_r64_rm64]),
];

/// Indices in [`ROWS`] and one more, by map, VEX.pp and opcode; 0: none.
static PLACES: [[u8; 256]; 8] = {
    assert!(ROWS.len() < 255);
    let mut places = [[0; 256]; 8];
    let mut r = 0;
    while r < ROWS.len() {
        let (map, pp, op, _) = ROWS[r];
        places[(map as usize - 1) * 4 + pp as usize][op as usize] = r as u8 + 1;
        r += 1;
    }
    places
};

fn find(map: u8, pp: u8, op: u8, reg: u8) -> Form {
    if map == 2 && pp == 0 && op == 0xf3 {
        return if matches!(reg, 1..=3) { LOWEST[usize::from(reg) - 1] } else { NONE };
    }
    match (map, PLACES[usize::from((map.wrapping_sub(1) & 1) * 4 + pp)][usize::from(op)]) {
        (1 | 2, place @ 1..) => ROWS[usize::from(place) - 1].3,
        _ => NONE,
    }
}

/// Decodes the instruction at `ip`, which begins with VEX, into `i`, which is an empty one; false: ask iced.
#[inline(never)]
pub(super) fn decode(bytes: &[u8; WINDOW], ip: u64, i: &mut Instruction) -> bool {
    let mut c = Cursor { bytes, at: 0 };
    let first = c.byte();
    let second = c.byte();
    let (map, third) = if first == 0xc5 { (1, second & 0x7f) } else { (second & 31, c.byte()) };
    // X and B of two bytes are as if they were not set.
    let inverted = if first == 0xc5 { !second >> 5 & 4 } else { !second >> 5 & 7 };
    let wide = third >> 7;
    let rex = 0x40 | wide << 3 | inverted;
    let (long, pp, other) = (third >> 2 & 1, third & 3, !third >> 3 & 15);
    let op = c.byte();
    let form = find(map, pp, op, c.bytes[c.at & 15] >> 3 & 7);
    let code = match form.by {
        By::Length => form.codes[usize::from(long)],
        By::Wide if long == 0 => form.codes[usize::from(wide)],
        By::Both => form.codes[usize::from(2 * wide + long)],
        By::Narrow if wide == 0 => form.codes[usize::from(long)],
        _ => INVALID,
    };
    let uses_other = form.operands.iter().any(|p| matches!(p, H | B));
    if code == INVALID || !uses_other && other != 0 {
        return false;
    }
    i.set_code(code);
    let mut relative = 0;
    let (mut reg, mut rm, mut in_memory) = (0, 0, false);
    if form.rm != Rm::Absent {
        let modrm = c.byte();
        reg = modrm >> 3 & 7 | (rex & 4) << 1;
        rm = modrm & 7 | (rex & 1) << 3;
        in_memory = modrm < 0xc0;
        if in_memory {
            if form.rm == Rm::Register {
                return false;
            }
            relative = memory(i, &mut c, modrm, rex);
        }
    }
    for (k, part) in form.operands.into_iter().enumerate() {
        let n = match part {
            Not => break,
            V | Vx | G => reg,
            H | B => other,
            W | Wx | E => rm,
        };
        if in_memory && matches!(part, W | Wx | E) {
            match k {
                0 => i.set_op0_kind(OpKind::Memory),
                1 => i.set_op1_kind(OpKind::Memory),
                _ => i.set_op2_kind(OpKind::Memory),
            }
            continue;
        }
        let file = match part {
            Vx | Wx => 5,
            V | H | W => 5 + long,
            _ => wide,
        };
        let register: Register = REGISTERS[usize::from(file)][usize::from(n)];
        match k {
            0 => i.set_op0_register(register),
            1 => i.set_op1_register(register),
            _ => i.set_op2_register(register),
        }
    }
    end(i, c.at, ip, relative);
    true
}
