//! Control, environment and state images, and MMX's use of the registers.
use super::super::softfloat::{F80, f80::Class};
use super::{phys, status::*, summarize};
use crate::guest::state::X87;

/// FNINIT. Register contents stay.
pub fn fninit(fpu: &mut X87) {
    *fpu = X87 { reg: fpu.reg, ..X87::INIT };
}
/// FNCLEX.
pub fn fnclex(fpu: &mut X87) {
    fpu.status &= C0 | C1 | C2 | C3;
}
/// FLDCW: bit 6 reads as one, reserved bits as zero.
pub fn fldcw(fpu: &mut X87, v: u16) {
    fpu.control = v & 0x1f3f | 0x40;
    summarize(fpu);
}
/// FNSTSW: the status word with TOP.
pub fn fnstsw(fpu: &X87) -> u16 {
    fpu.status_word()
}
fn set_status(fpu: &mut X87, v: u16) {
    fpu.top = (v >> 11 & 7) as u8;
    fpu.status = v & !0x3800;
    summarize(fpu);
}
/// FINCSTP.
pub fn fincstp(fpu: &mut X87) {
    fpu.top = (fpu.top + 1) & 7;
    fpu.status &= !C1;
}
/// FDECSTP.
pub fn fdecstp(fpu: &mut X87) {
    fpu.top = (fpu.top + 7) & 7;
    fpu.status &= !C1;
}
/// FFREE ST(i).
pub fn ffree(fpu: &mut X87, i: u8) {
    fpu.valid &= !(1 << phys(fpu, i));
    fpu.status &= !C1;
}

/// The 16-bit tag word: two bits a physical register (0 valid, 1 zero, 2 special, 3 empty).
pub fn tag_word(fpu: &X87) -> u16 {
    (0..8).fold(0, |t, i| {
        let tag = match F80::from_bits(fpu.reg[i]).class() {
            _ if fpu.valid >> i & 1 == 0 => 3,
            Class::Zero => 1,
            Class::Normal => 0,
            _ => 2,
        };
        t | tag << (2 * i)
    })
}
fn set_tag_word(fpu: &mut X87, t: u16) {
    fpu.valid = (0..8).fold(0, |v, i| v | ((t >> (2 * i) & 3 != 3) as u8) << i);
}

/// The 28-byte image of FNSTENV; all exceptions are masked afterwards.
pub fn fnstenv(fpu: &mut X87) -> [u32; 7] {
    let one = 0xffff_0000;
    let image = [
        one | fpu.control as u32,
        one | fnstsw(fpu) as u32,
        one | tag_word(fpu) as u32,
        fpu.fip as u32,
        (fpu.fop as u32 & 0x7ff) << 16,
        fpu.fdp as u32,
        one,
    ];
    fpu.control |= 0x3f;
    summarize(fpu);
    image
}
/// FLDENV.
pub fn fldenv(fpu: &mut X87, image: &[u32; 7]) {
    fpu.control = image[0] as u16 & 0x1f3f | 0x40;
    set_status(fpu, image[1] as u16);
    set_tag_word(fpu, image[2] as u16);
    fpu.fip = image[3] as u64;
    fpu.fop = (image[4] >> 16) as u16 & 0x7ff;
    fpu.fdp = image[5] as u64;
}
/// An environment's seven words in memory; `narrow`: with an operand size of 16 bits, where there is no place for the opcode.
pub fn environment_bytes(words: &[u32; 7], narrow: bool) -> Vec<u8> {
    match narrow {
        true => words.iter().enumerate().flat_map(|(i, &w)| if i == 4 { 0 } else { w as u16 }.to_le_bytes()).collect(),
        false => words.iter().flat_map(|w| w.to_le_bytes()).collect(),
    }
}
/// The words of an environment in memory.
pub fn environment(bytes: &[u8], narrow: bool) -> [u32; 7] {
    std::array::from_fn(|i| match narrow {
        true if i == 4 => 0,
        true => u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]) as u32,
        false => u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]),
    })
}
/// The image of FNSAVE, 108 or (`narrow`) 94 bytes; the unit is initialized afterwards.
pub fn fnsave(fpu: &mut X87, narrow: bool) -> Vec<u8> {
    let mut image = environment_bytes(&fnstenv(fpu), narrow);
    for i in 0..8 {
        image.extend(&fpu.reg[phys(fpu, i)].to_le_bytes()[..10]);
    }
    fninit(fpu);
    image
}
/// FRSTOR of such an image.
pub fn frstor(fpu: &mut X87, image: &[u8], narrow: bool) {
    fldenv(fpu, &environment(image, narrow));
    let registers = if narrow { 14 } else { 28 };
    for i in 0..8 {
        let mut r = [0; 16];
        r[..10].copy_from_slice(&image[registers + 10 * i..registers + 10 * i + 10]);
        let p = phys(fpu, i as u8);
        fpu.reg[p] = u128::from_le_bytes(r);
    }
}

/// What every MMX instruction but EMMS does first: TOP 0, all registers in use.
pub fn mmx_enter(fpu: &mut X87) {
    fpu.top = 0;
    fpu.valid = 0xff;
}
/// Writes MMi: sign and exponent become ones.
pub fn mmx_write(fpu: &mut X87, i: u8, v: u64) {
    fpu.reg[(i & 7) as usize] = 0xffff << 64 | v as u128;
}
/// EMMS.
pub fn emms(fpu: &mut X87) {
    fpu.top = 0;
    fpu.valid = 0;
}
