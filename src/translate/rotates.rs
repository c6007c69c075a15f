//! Rotations of vector lanes: AVX2 has none, so they are two shifts and an OR. The host's SHL and SRI do both shifts and the OR at once, but the shifts' own
//! results are the guest's too.
//!
//! Where nobody reads these before they are overwritten, in the same block, the shifts are left out, and the OR becomes SHL and SRI of what they shift. If
//! an instruction faults before they are overwritten the state lacks them: a repair runs the shifts again, whose source is what it was.

use super::avx::{Source, number};
use super::context::Ctx;
use super::repair::Step;
use super::sse_int::{Kind, shift_constant};
use super::vector::immediate;
use crate::decode::{Insn, Mnemonic, Op};
use crate::emit::simd::{Arr, ops::SRI};
use crate::guest::cpuid::XCR0_AVX;
use crate::optimize::Opt;

/// How far the OR may be behind the first shift, and the end of a shift's result behind the OR.
const REACH: usize = 24;
const LIFE: usize = 64;

/// A shift that is left out, until the instruction of index `until` overwrites its result.
#[derive(Clone, Copy)]
struct LeftOut {
    insn: usize,
    until: usize,
}

/// An OR to come, and in place of which instruction it is computed: itself, or its second shift.
#[derive(Clone, Copy)]
struct Rotation {
    at: usize,
    or: usize,
    shifts: [LeftOut; 2],
}

/// The block's.
#[derive(Default)]
pub(super) struct Rotates {
    to_come: Vec<Rotation>,
    left_out: Vec<LeftOut>,
}

/// A shift of whole lanes by a constant: to the left?, lanes, register shifted, by how many bits.
fn shift(insn: &Insn) -> Option<(bool, Arr, u8, u32)> {
    use Mnemonic::*;
    let (left, arr) = match insn.mnemonic() {
        Vpsllw => (true, Arr::H8),
        Vpslld => (true, Arr::S4),
        Vpsllq => (true, Arr::D2),
        Vpsrlw => (false, Arr::H8),
        Vpsrld => (false, Arr::S4),
        Vpsrlq => (false, Arr::D2),
        _ => return None,
    };
    let count = if let Op::Imm(_) = insn.op(2) { immediate(insn) } else { 0 };
    let by_constant = vector(insn.op(1)).is_some() && (1..arr.lane_bits()).contains(&count);
    by_constant.then(|| (left, arr, number(insn.op(1)), count))
}

fn vector(op: Op) -> Option<u8> {
    match op {
        Op::Xmm(n) | Op::Ymm(n) => Some(n),
        _ => None,
    }
}

/// What is known of an instruction: it reads its operands but the first, which it overwrites if that is a vector register; it calls no helper, and goes to the
/// next one but for faults on memory.
fn is_known(insn: &Insn) -> bool {
    use Mnemonic::*;
    if (0..insn.op_count()).any(|i| matches!(insn.op(i), Op::Segment(_) | Op::Other)) {
        return false;
    }
    match insn.mnemonic() {
        Mov | Movzx | Movsx | Movsxd | Lea | Add | Sub | And | Or | Xor | Inc | Dec | Cmp | Test | Shl | Shr | Sar | Cdqe | Nop => true,
        Imul => insn.op_count() > 1,
        Vpaddb | Vpaddw | Vpaddd | Vpaddq | Vpsubb | Vpsubw | Vpsubd | Vpsubq | Vpand | Vpandn | Vpor | Vpxor | Vpsllw | Vpslld | Vpsllq | Vpsrlw | Vpsrld | Vpsrlq
        | Vpsraw | Vpsrad | Vpshufd | Vpshufb | Vpunpckldq | Vpunpckhdq | Vpunpcklqdq | Vpunpckhqdq | Vmovdqa | Vmovdqu | Vmovups | Vmovaps | Vpmulld | Vpmuludq
        | Vpcmpeqd | Vpcmpgtd | Vpalignr | Vpblendd | Vperm2i128 | Vpbroadcastd | Vpbroadcastq => true,
        // To general registers they write no vector.
        Vmovd | Vmovq => !matches!(insn.op(0), Op::Gpr { .. }),
        _ => false,
    }
}

fn reads(insn: &Insn, r: u8) -> bool {
    (1..insn.op_count()).any(|i| vector(insn.op(i)) == Some(r))
}

fn writes(insn: &Insn, r: u8) -> bool {
    vector(insn.op(0)) == Some(r)
}

impl Ctx<'_> {
    /// May the region have rotations? Not where AVX is not offered, and not where instructions raise #GP by themselves, which no repair is made for.
    pub(super) fn rotates(&self) -> bool {
        let offered = self.options.xcr0 & XCR0_AVX != 0 && !self.options.strict_align;
        self.region.unusual && offered && !self.groups.wanted && self.options.switches.on(Opt::Rotates)
    }

    /// If the current instruction is part of a rotation, does what is to be done for it instead.
    pub(super) fn in_rotation(&mut self, insn: &Insn) -> bool {
        let (at, left_out) = (self.index, self.rotates.left_out.len());
        self.rotates.left_out.retain(|shift| shift.until >= at);
        if self.rotates.left_out.len() != left_out {
            self.mark_left_out();
        }
        if let Some(i) = self.rotates.to_come.iter().position(|r| r.or == at) {
            let rotation = self.rotates.to_come.swap_remove(i);
            if rotation.at == at {
                self.rotate(insn.op(0), &rotation);
            }
            return true;
        }
        let Some((left, arr, from, count)) = shift(insn) else { return false };
        let second = self.rotates.to_come.iter().copied().find(|r| r.shifts[1].insn == at);
        if let Some(rotation) = second.filter(|r| r.at == at) {
            let joined = self.region.insns[rotation.or].op(0);
            self.rotate(joined, &rotation);
        }
        let second = second.map(|r| r.shifts[1]);
        let Some(shift) = second.or_else(|| self.find_rotation(insn, (!left, arr, from, arr.lane_bits() - count))) else { return false };
        self.rotates.left_out.push(shift);
        self.mark_left_out();
        true
    }

    /// At a block's start: nothing is left out any more.
    pub(super) fn end_rotations(&mut self) {
        debug_assert!(self.rotates.to_come.is_empty(), "every rotation ends in its block");
        if !self.rotates.left_out.is_empty() {
            self.rotates.left_out.clear();
            self.mark_left_out();
        }
    }

    /// A fault needs these shifts from here on.
    fn mark_left_out(&mut self) {
        let steps: Vec<Step> = self.rotates.left_out.iter().map(|s| Step::Run { insn: self.region.insns[s.insn], mem: None }).collect();
        self.repair_by(&steps);
    }

    /// The rotation that begins with the current instruction and goes on with the shift `other`, if both can be left out. Notes it, and returns the first shift.
    fn find_rotation(&mut self, insn: &Insn, other: (bool, Arr, u8, u32)) -> Option<LeftOut> {
        let block = &self.region.blocks[self.block];
        let insns = &self.region.insns[..block.first + block.count];
        let (first, from, a) = (self.index, other.2, vector(insn.op(0))?);
        let end = insns.len().min(first + REACH);
        let second = (first + 1..end).find(|&i| shift(&insns[i]) == Some(other))?;
        let b = vector(insns[second].op(0))?;
        let or = (second + 1..end).find(|&i| reads(&insns[i], a) || reads(&insns[i], b))?;
        let (joined, d) = (&insns[or], vector(insns[or].op(0))?);
        let operands = [1, 2].map(|i| vector(joined.op(i)));
        let width = |i: &Insn| std::mem::discriminant(&i.op(0));
        // Into one of the shifts' registers it is computed at once, when what is shifted is there still; else in its own place.
        let at = if d == a || d == b { second } else { or };
        let touches = |i: usize, r: u8| reads(&insns[i], r) || writes(&insns[i], r);
        let fits = matches!(joined.mnemonic(), Mnemonic::Vpor | Mnemonic::Vpxor)
            && (operands == [Some(a), Some(b)] || operands == [Some(b), Some(a)])
            && width(insn) == width(&insns[second])
            && width(insn) == width(joined)
            && a != b
            && a != from
            && d != from
            && insns[first..=or].iter().all(is_known)
            && !(first + 1..or).any(|i| i != second && touches(i, a))
            && !(second + 1..or).any(|i| touches(i, b))
            && !(first + 1..at).any(|i| writes(&insns[i], from));
        if !fits {
            return None;
        }
        // When somebody overwrites a shift's result.
        let until = |r: u8| {
            if r == d {
                return Some(or);
            }
            let end = insns.len().min(or + LIFE);
            (or + 1..end).find(|&i| touches(i, r)).filter(|&i| !reads(&insns[i], r) && insns[or..=i].iter().all(is_known))
        };
        let shifts = [LeftOut { insn: first, until: until(a)? }, LeftOut { insn: second, until: until(b)? }];
        // As long as something is missing what faults must find what is shifted.
        let last = shifts[0].until.max(shifts[1].until);
        let gone = (second + 1..=last).find(|&i| writes(&insns[i], from)).unwrap_or(last);
        if insns[gone + 1..=last].iter().any(|i| i.has_memory() && i.mnemonic() != Mnemonic::Lea) {
            return None;
        }
        self.rotates.to_come.push(Rotation { at, or, shifts });
        Some(shifts[0])
    }

    /// What two shifts and their OR make, in the register of `d`.
    fn rotate(&mut self, d: Op, rotation: &Rotation) {
        let parts = rotation.shifts.map(|s| shift(&self.region.insns[s.insn]).expect("it was one when it was found"));
        let [left, right] = if parts[0].0 { parts } else { [parts[1], parts[0]] };
        let (_, arr, from, _) = left;
        let s = Source::Reg(from);
        self.by_lanes(d, s, s, &|c, _, d, s, _| {
            shift_constant(c, Kind::Left, arr, d, s, left.3);
            c.a.vshift(SRI, arr, d, s, right.3);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{CodeAt, Limits, decode_region};
    use crate::emit::stubs::Stub;
    use crate::guest::{Addr, CpuState};
    use crate::translate::tests::{BASE, encodings};
    use crate::translate::{ExitKind, Options, translate};

    fn emitted(bytes: &[u8], insns: usize, options: &Options) -> crate::translate::Emitted {
        translate(&decode_region(&CodeAt(Addr(BASE), bytes), Addr(BASE), Limits { insns, segments: 1, short: false }), options)
    }

    /// Nothing that may stand inside a rotation raises an exception or calls a helper: neither would find the state exact.
    #[test]
    fn what_is_known_goes_on() {
        let helper = (std::mem::offset_of!(CpuState, stub) + 8 * Stub::Helper as usize) as u32;
        // LDR LINK, [STATE, #helper].
        let call = 0xf940_0000 | (helper / 8) << 10 | 28 << 5 | 30;
        let mut looked_at = 0;
        encodings(|bytes| {
            let Some(insn) = crate::decode::decode_one(bytes, Addr(BASE)).filter(|i| is_known(i) && !i.lock()) else { return };
            looked_at += 1;
            let e = emitted(bytes, 1, &Options::default());
            assert!(e.exits.iter().all(|x| x.kind != ExitKind::Exception), "{:?} {bytes:02x?}", insn.mnemonic());
            assert!(e.code.chunks_exact(4).all(|w| w != call.to_le_bytes()), "{:?} {bytes:02x?}", insn.mnemonic());
        });
        assert!(looked_at > 3000, "{looked_at}");
    }

    /// Without AVX each of the instructions raises #UD; where alignment is checked each is translated by itself.
    #[test]
    fn only_where_avx_is_offered() {
        // vpsrld ymm1, ymm0, 7; vpslld ymm2, ymm0, 25; vpor ymm1, ymm1, ymm2; vmovdqa ymm2, ymm3; ret
        let bytes = [0xc5, 0xf5, 0x72, 0xd0, 7, 0xc5, 0xed, 0x72, 0xf0, 25, 0xc5, 0xf5, 0xeb, 0xca, 0xc5, 0xfd, 0x6f, 0xd3, 0xc3];
        let exceptions = |options: &Options| emitted(&bytes, 5, options).exits.iter().filter(|x| x.kind == ExitKind::Exception).count();
        assert_eq!([7, 3, 0].map(|xcr0| exceptions(&Options { xcr0, ..Options::default() })), [0, 4, 4]);
        assert!(!emitted(&bytes, 5, &Options::default()).steps.is_empty());
        assert!(emitted(&bytes, 5, &Options { strict_align: true, ..Options::default() }).steps.is_empty());
    }
}
