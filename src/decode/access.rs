//! Where an instruction accesses memory: what a fault of it is to the guest, however the host reports it.
//!
//! Hosts report the byte that they touched first, which for an access in several parts is not x86's, and leave out the top byte of an address,
//! or all of it. It is for faults only: nothing here is fast.

use super::{Insn, Op};
use crate::guest::cpuid::XCR0_AVX;
use crate::guest::xsave::{AVX_AT, END, FX_SIZE, HEADER_AT};
use crate::guest::{Addr, CpuState};
use iced_x86::{Code, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

/// A fault on memory, as the processor tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryFault {
    /// Its address.
    pub address: Addr,
    /// It is of a write, or of the read of an operand that is written too: the processor checks for writing at once.
    pub write: bool,
    /// The access goes by the stack segment: an address that is none is #SS, not #GP.
    pub stack: bool,
}

/// One access: from where, how many bytes, whether it writes, and goes by the stack segment.
#[derive(Clone, Copy)]
struct Access {
    start: u64,
    bytes: u64,
    write: bool,
    stack: bool,
}

impl Access {
    fn holds(&self, at: u64) -> bool {
        at.wrapping_sub(self.start) < self.bytes
    }
    /// The same to the borders of aligned blocks.
    fn hull(&self, block: u64) -> Access {
        let start = self.start & !(block - 1);
        let end = self.start.wrapping_add(self.bytes + block - 1) & !(block - 1);
        Access { start, bytes: end.wrapping_sub(start), ..*self }
    }
    fn is_canonical(&self) -> bool {
        let high = |at: u64| at as i64 >> 47;
        let end = self.start.wrapping_add(self.bytes.max(1) - 1);
        matches!((high(self.start), high(end)), (0, 0) | (-1, -1))
    }
}

impl Insn {
    /// Addresses and lengths of what it accesses in state `s`.
    pub fn touches(&self, s: &CpuState) -> Vec<(Addr, u64)> {
        self.accesses(s).iter().map(|a| (Addr(a.start), a.bytes)).collect()
    }

    /// Registers that it uses, named or not: whether a general one, its number, whether it is written.
    #[cfg(test)]
    pub fn used_registers(&self) -> Vec<(bool, u8, bool)> {
        let mut factory = InstructionInfoFactory::new();
        let used = factory.info(&self.raw).used_registers().iter().map(|u| {
            let full = u.register().full_register();
            (full, full.is_gpr64(), full.number() as u8, !matches!(u.access(), OpAccess::Read | OpAccess::CondRead))
        });
        used.filter(|u| u.0 != Register::RIP).map(|(_, general, n, writes)| (general, n, writes)).collect()
    }

    /// Numbers of the vector registers that it uses, named or not, and whether it writes them.
    #[cfg(test)]
    pub fn used_vectors(&self) -> Vec<(u8, bool)> {
        let mut factory = InstructionInfoFactory::new();
        let used = factory.info(&self.raw).used_registers().iter().filter(|u| u.register().is_vector_register());
        used.map(|u| (u.register().number() as u8, !matches!(u.access(), OpAccess::Read | OpAccess::CondRead))).collect()
    }

    /// The fault that the host reported at `at`, of a write if it says so, in state `s` from before the instruction.
    pub fn fault(&self, at: Addr, write: bool, s: &CpuState) -> MemoryFault {
        let accesses = self.accesses(s);
        let holds = |a: &&Access| a.is_canonical() && a.holds(at.0) && !self.is_masked_move();
        // A host that reads what is then written says that it was a read, but never the other way round.
        let inside = accesses.iter().filter(|a| a.write || !write).find(holds).or_else(|| accesses.iter().find(holds));
        // LOCK'ed accesses may be made as ones of 16 aligned bytes, and a host may make others so.
        let inside = inside.or_else(|| accesses.iter().find(|a| a.is_canonical() && a.hull(16).holds(at.0) && !self.is_masked_move()));
        let outside = accesses.iter().find(|a| !a.is_canonical());
        match (inside, outside) {
            // The first byte in the page that is missing.
            (Some(a), _) => MemoryFault { address: Addr(a.start.max(at.0 & !0xfff)), write: a.write, stack: a.stack },
            (None, Some(a)) => MemoryFault { address: Addr(a.start), write: a.write, stack: a.stack },
            (None, None) => MemoryFault { address: at, write: false, stack: false },
        }
    }

    /// CMPS: which operand is read first shows where both fault. A Zen 4 begins with the second, but for REPE CMPSB.
    pub fn compares_second_first(&self) -> bool {
        !(self.raw.mnemonic() == Mnemonic::Cmpsb && self.raw.has_rep_prefix())
    }

    /// ENTER: the frame's pointer, the outer frames' pointers that it copies one by one, its own; and the frame's end, which must be writable.
    fn frame(&self, s: &CpuState) -> Vec<Access> {
        let bytes = if self.raw.code() == Code::Enterw_imm16_imm8 { 2 } else { 8 };
        let at = |base: u64, n: u64, write| Access { start: base.wrapping_sub(n * bytes), bytes, write, stack: true };
        let (rsp, rbp, level) = (s.gpr[4], s.gpr[5], u64::from(self.raw.immediate8_2nd() & 31));
        let mut all = vec![at(rsp, 1, true)];
        for n in 1..level {
            all.extend([at(rbp, n, false), at(rsp, 1 + n, true)]);
        }
        if level > 0 {
            all.push(at(rsp, 1 + level, true));
        }
        all.push(at(rsp.wrapping_sub(u64::from(self.raw.immediate16())), 1 + level, true));
        all
    }

    /// Does the explicit memory operand go by the stack segment?
    fn goes_by_stack(&self) -> bool {
        let based = matches!(self.raw.memory_base(), Register::RSP | Register::RBP | Register::ESP | Register::EBP);
        based && !matches!(self.raw.segment_prefix(), Register::FS | Register::GS)
    }

    /// The elements that a gather or a masked move accesses: the mask's, those that a gather has done being out of it.
    fn elements(&self, s: &CpuState) -> Option<Vec<Access>> {
        use Mnemonic::*;
        let (mask, bytes) = match self.raw.mnemonic() {
            Vmaskmovps | Vpmaskmovd => (1, 4),
            Vmaskmovpd | Vpmaskmovq => (1, 8),
            Vgatherdps | Vgatherqps | Vpgatherdd | Vpgatherqd => (2, 4),
            Vgatherdpd | Vgatherqpd | Vpgatherdq | Vpgatherqq => (2, 8),
            _ => return None,
        };
        let place = (0..self.raw.op_count()).find(|&i| self.op(i) == Op::Mem)?;
        let gather = mask == 2;
        let mask = self.raw.op_register(mask);
        let mut count = mask.size() / bytes;
        if gather {
            let index = if matches!(self.raw.mnemonic(), Vgatherdps | Vpgatherdd | Vgatherdpd | Vpgatherdq) { 4 } else { 8 };
            count = count.min(self.raw.memory_index().size() / index);
        }
        let chosen = (0..count).filter(|&i| vector(s, mask, i, bytes) >> (8 * bytes - 1) != 0);
        let access = |i: usize| {
            let start = self.raw.virtual_address(place, if gather { i } else { 0 }, |r, i, size| match r.is_vector_register() {
                true => Some(vector(s, r, i, size)),
                false => register(s, r),
            })?;
            let start = if gather { start } else { start.wrapping_add((i * bytes) as u64) };
            Some(Access { start, bytes: bytes as u64, write: place == 0, stack: self.goes_by_stack() })
        };
        Some(chosen.filter_map(access).collect())
    }

    /// FXSAVE, XSAVE and their reverses: the bytes that a Zen 4 touches first, in its order, so that the rest does not fault; and whether it writes.
    fn saved_state(&self, s: &CpuState) -> Option<(Vec<usize>, bool)> {
        use Mnemonic::*;
        // The last byte of the AVX state only where that is asked for.
        let end = |first: usize| if s.gpr[0] & XCR0_AVX != 0 { vec![0, first, END - 1] } else { vec![0, first] };
        Some(match self.raw.mnemonic() {
            Fxsave | Fxsave64 => (vec![FX_SIZE - 1, 0], true),
            Fxrstor | Fxrstor64 => (vec![FX_SIZE - 1, 0], false),
            Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64 if s.gpr[0] & XCR0_AVX != 0 => (vec![0, END - 1], true),
            Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64 => (vec![0, AVX_AT - 1], true),
            Xrstor | Xrstor64 => (end(HEADER_AT), false),
            _ => return None,
        })
    }

    /// Accesses in the order in which they are made.
    fn accesses(&self, s: &CpuState) -> Vec<Access> {
        if let Some(elements) = self.elements(s) {
            return elements;
        }
        let stack = self.goes_by_stack();
        let memory = |&i: &u32| self.op(i) == Op::Mem;
        if let Some((bytes, write)) = self.saved_state(s)
            && let Some(area) = self.raw.virtual_address(0, 0, |r, _, _| register(s, r))
        {
            return bytes.into_iter().map(|n| Access { start: area.wrapping_add(n as u64), bytes: 1, write, stack }).collect();
        }
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(&self.raw);
        let explicit = (0..self.raw.op_count()).filter(memory).filter_map(|i| {
            let narrow = self.memory().addr32;
            let (start, further) = (self.raw.virtual_address(i, 0, |r, _, _| register(s, r))?, self.further(i, s));
            let start = if narrow && further != 0 { start.wrapping_add(further) & 0xffff_ffff } else { start.wrapping_add(further) };
            let bytes = u64::from(self.memory_bytes());
            let write = !matches!(info.op_access(i), OpAccess::Read | OpAccess::CondRead);
            Some(Access { start, bytes, write, stack: stack && self.raw.op_kind(i) == OpKind::Memory })
        });
        let mut all: Vec<Access> = explicit.collect();
        all.extend(self.gathered(s));
        if self.raw.mnemonic() == Mnemonic::Enter {
            return self.frame(s);
        }
        use Code::*;
        let moves = matches!(self.raw.code(), Movsb_m8_m8 | Movsw_m16_m16 | Movsd_m32_m32 | Movsq_m64_m64);
        let compares = matches!(self.raw.code(), Cmpsb_m8_m8 | Cmpsw_m16_m16 | Cmpsd_m32_m32 | Cmpsq_m64_m64);
        if moves || compares && self.compares_second_first() {
            all.reverse();
        }
        if self.raw.is_stack_instruction() {
            let moves = self.raw.stack_pointer_increment();
            let top = if self.raw.mnemonic() == Mnemonic::Leave { s.gpr[5] } else { s.gpr[4] };
            let start = top.wrapping_add_signed(i64::from(moves.min(0)));
            let access = Access { start, bytes: u64::from(moves.unsigned_abs()), write: moves < 0, stack: true };
            all.insert(if moves < 0 { all.len() } else { 0 }, access);
        }
        all
    }

    /// The elements that a gather reads.
    fn gathered(&self, s: &CpuState) -> Vec<Access> {
        if !self.raw.is_vsib() {
            return Vec::new();
        }
        let vector = |r: Register, i: usize, bytes: usize| {
            let n = r.number();
            let at = 8 * (i * bytes % 8);
            let word = if i * bytes < 16 { s.xmm[n][i * bytes / 8] } else { s.ymm_hi[n][(i * bytes - 16) / 8] };
            let value = word >> at;
            if bytes == 4 { value as i32 as u64 } else { value }
        };
        let bytes = self.raw.memory_size().size();
        let index = if self.raw.is_vsib64() { 8 } else { 4 };
        let count = (self.raw.op0_register().size() / bytes).min(self.raw.memory_index().size() / index);
        let selected = |&i: &usize| (vector(self.raw.op2_register(), i, bytes) as i64) << (64 - 8 * bytes) < 0;
        let address = |i: usize| {
            self.raw.virtual_address(1, i, |r, i, size| if r.is_vector_register() { Some(vector(r, i, size)) } else { register(s, r) })
        };
        let access = |start| Access { start, bytes: bytes as u64, write: false, stack: false };
        (0..count).filter(selected).filter_map(address).map(access).collect()
    }

    /// A move of the elements that a mask selects: its first byte may not be touched.
    fn is_masked_move(&self) -> bool {
        matches!(self.raw.mnemonic(), Mnemonic::Vmaskmovps | Mnemonic::Vmaskmovpd | Mnemonic::Vpmaskmovd | Mnemonic::Vpmaskmovq)
    }

    /// How far from its operand's address by the registers a bit string instruction accesses, and POP, which counts RSP up before (Intel SDM, POP).
    fn further(&self, i: u32, s: &CpuState) -> u64 {
        use Mnemonic::*;
        if self.raw.mnemonic() == Pop && matches!(self.raw.memory_base(), Register::RSP | Register::ESP) {
            return self.raw.memory_size().size() as u64;
        }
        let number = self.raw.op_register(1);
        if i != 0 || !matches!(self.raw.mnemonic(), Bt | Bts | Btr | Btc) || !number.is_gpr() {
            return 0;
        }
        let value = s.gpr[number.full_register().number()] as i64;
        let (value, bytes) = match number.size() {
            2 => (i64::from(value as i16), 2),
            4 => (i64::from(value as i32), 4),
            _ => (value, 8),
        };
        (value.div_euclid(8 * bytes) * bytes) as u64
    }
}

/// Element `i` of `bytes` bytes of a vector register.
fn vector(s: &CpuState, r: Register, i: usize, bytes: usize) -> u64 {
    let (n, at) = (r.number(), i * bytes);
    let half = if at < 16 { s.xmm[n] } else { s.ymm_hi[n] };
    let word = half[at / 8 & 1];
    if bytes == 8 { word } else { word >> (8 * (at & 4)) & 0xffff_ffff }
}

fn register(s: &CpuState, r: Register) -> Option<u64> {
    match r {
        Register::FS => Some(s.fs_base),
        Register::GS => Some(s.gs_base),
        Register::AL => Some(s.gpr[0] & 0xff),
        _ if r.is_segment_register() => Some(0),
        _ if r.is_gpr64() => Some(s.gpr[r.number()]),
        _ if r.is_gpr32() => Some(s.gpr[r.number()] & 0xffff_ffff),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode_one;
    use crate::guest::Gpr;

    /// What a fault reported at `at` is, where RSP, RSI and RDI are 0x10_0000, `rsi` and `rdi`.
    fn fault(bytes: &'static [u8], at: u64, rsi: u64, rdi: u64) -> (u64, bool, bool) {
        reported(bytes, at, false, rsi, rdi)
    }

    /// The same where the host says whether it was a write.
    fn reported(bytes: &'static [u8], at: u64, write: bool, rsi: u64, rdi: u64) -> (u64, bool, bool) {
        let mut s = CpuState::default();
        s.set(Gpr::Rsp, 0x10_0000);
        s.set(Gpr::Rsi, rsi);
        s.set(Gpr::Rdi, rdi);
        let f = decode_one(bytes, Addr(0x1000)).expect("a whole instruction").fault(Addr(at), write, &s);
        (f.address.0, f.write, f.stack)
    }

    #[test]
    fn faults_are_x86s() {
        const NONE: u64 = 0x7f7f_0000_0000_0000;
        // fstp tbyte [rdi]: its upper part is stored first.
        assert_eq!(fault(&[0xdb, 0x3f], 0x2023 + 8, 0, 0x2023), (0x2023, true, false));
        assert_eq!(fault(&[0xdb, 0x3f], 0x3001, 0, 0x2ffc), (0x3000, true, false));
        // add [rdi], eax: read and written.
        assert_eq!(fault(&[0x01, 0x07], 0x2000, 0, 0x2000), (0x2000, true, false));
        // mov eax, [rdi] without the top byte, and where the host says nothing.
        assert_eq!(fault(&[0x8b, 0x07], 0x7f_0000_0000_0000, 0, NONE), (NONE, false, false));
        assert_eq!(fault(&[0x8b, 0x07], 0, 0, NONE), (NONE, false, false));
        // mov eax, [rbp + rdi], and with FS.
        assert_eq!(fault(&[0x8b, 0x44, 0x3d, 0x00], 0, 0, NONE), (NONE, false, true));
        assert_eq!(fault(&[0x64, 0x8b, 0x44, 0x3d, 0x00], 0, 0, NONE), (NONE, false, false));
        // push [rsi]; call [rsp].
        assert_eq!(fault(&[0xff, 0x36], 0xf_fff8, 0x2000, 0), (0xf_fff8, true, true));
        assert_eq!(fault(&[0xff, 0x36], 0, NONE, 0), (NONE, false, false));
        // movsb: the destination.
        assert_eq!(fault(&[0xa4], 0x5000, 0x4000, 0x5000), (0x5000, true, false));
        assert_eq!(fault(&[0xa4], 0x4000, 0x4000, 0x5000), (0x4000, false, false));
        // pop [rdi]: both ways.
        assert_eq!(fault(&[0x8f, 0x07], 0x10_0000, 0, 0x5000), (0x10_0000, false, true));
        assert_eq!(fault(&[0x8f, 0x07], 0x5000, 0, 0x5000), (0x5000, true, false));
        // movsxd ax, [rdi]: four bytes.
        assert_eq!(fault(&[0x66, 0x63, 0x07], 0x3000, 0, 0x2ffe), (0x3000, false, false));
        // pop [rsp]: where the stack then is.
        assert_eq!(reported(&[0x8f, 0x04, 0x24], 0x10_0008, true, 0, 0), (0x10_0008, true, true));
        assert_eq!(fault(&[0x8f, 0x04, 0x24], 0x10_0000, 0, 0), (0x10_0000, false, true));
        // movsq into a page that may only be read.
        assert_eq!(reported(&[0x48, 0xa5], 0x2003, true, 0x2000, 0x2003), (0x2003, true, false));
        // movsd, whose source is read first; cmpsq, whose second operand is read first; repe cmpsb, whose first is; enter 3, 0, which stores the pointer before it looks at the end.
        assert_eq!(fault(&[0xa5], 0x2002, 0x2002, 0x2000), (0x2002, false, false));
        assert_eq!(fault(&[0x48, 0xa7], 0x2004, 0x2000, 0x2004), (0x2004, false, false));
        assert_eq!(fault(&[0xf3, 0xa6], 0x2000, 0x2000, 0x2000), (0x2000, false, false));
        assert_eq!(fault(&[0xc8, 3, 0, 0], 0xf_fff8, 0, 0), (0xf_fff8, true, true));
        // xsave [rdi] without AVX, and fxsave, which looks at its end first.
        assert_eq!(fault(&[0x0f, 0xae, 0x27], 0x203f, 0, 0x1e00), (0x203f, true, false));
        assert_eq!(fault(&[0x0f, 0xae, 0x07], 0x1fff, 0, 0x1e00), (0x1fff, true, false));
        // btc [30101FACh], rsi with addresses of 32 bits.
        assert_eq!(reported(&[0x67, 0x48, 0x0f, 0xbb, 0x34, 0x25, 0xac, 0x1f, 0x10, 0x30], 0xf1e1_3a44, true, 0xd705_4b0e_0e88_d4ce, 0), (0xf1e1_3a44, true, false));
        // bts [rdi], rsi: far away.
        assert_eq!(fault(&[0x48, 0x0f, 0xab, 0x37], 0, !0 << 62, 0x5000), ((!0u64 << 59) + 0x5000, true, false));
    }
}
