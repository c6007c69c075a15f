//! Tests of x87 helpers against this processor: random and edge states, every mask and mode.
use super::softfloat::F80;
use super::x87::{arith::*, compare::*, control::*, pop, transcendental::*, transfer::*};
use crate::guest::state::X87;
use crate::guest::xsave::Pointers;
use std::arch::asm;

struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn pick<T: Copy>(&mut self, v: &[T]) -> T {
        v[(self.next() >> 8) as usize % v.len()]
    }
    fn mantissa(&mut self) -> u64 {
        let r = self.next();
        let m = match self.next() >> 60 {
            0 => 0,
            1 => u64::MAX,
            2 => r << 40,
            3 => r << 11,
            4 => 1,
            5 => u64::MAX << (r & 63),
            6 => (1 << (r & 63)) | 1,
            7 => 3 << 62,
            8 => r & !(1 << 62),
            _ => r,
        };
        if self.next() >> 61 == 0 { m & !(1 << 63) } else { m | 1 << 63 }
    }
    fn f80(&mut self) -> F80 {
        let r = self.next();
        let s = (r as u16 & 1) << 15;
        let e = match r >> 8 & 15 {
            0 => 0,
            1 => 1,
            2 => 0x7fff,
            3 => 0x7ffe,
            4 => 0x3fff - 1023 - 40 + (r >> 16) as u16 % 80,
            5 => 0x3fff + 1023 - 4 + (r >> 16) as u16 % 8,
            6 => 0x3fff - 127 - 30 + (r >> 16) as u16 % 40,
            7 => 0x3fff + 127 - 4 + (r >> 16) as u16 % 8,
            8 => (r >> 16) as u16 & 0x7fff,
            9 => (r >> 16) as u16 % 80,
            10 => 0x7fff - (r >> 16) as u16 % 80,
            _ => 0x3fff - 8 + (r >> 16) as u16 % 80,
        };
        let m = if e == 0 && r >> 40 & 3 == 0 { 0 } else { self.mantissa() };
        F80 { se: s | e, m }
    }
    fn float(&mut self, frac: u32, exp: u32) -> u64 {
        let r = self.next();
        let max = (1u64 << exp) - 1;
        let e = match r & 7 {
            0 => 0,
            1 => max,
            2 => max - 1,
            3 => 1,
            4 => r >> 8 & max,
            _ => (max >> 1) - 8 + (r >> 8 & 15),
        };
        (r >> 63) << (frac + exp) | e << frac | (self.mantissa() << 1) >> (64 - frac)
    }
    fn state(&mut self) -> X87 {
        let r = self.next();
        let mut x = X87::INIT;
        let masks = match r & 7 { 0 => (r >> 8) as u16 & 0x3f, 1 => 0x3f & !(1 << (r >> 8 & 15) % 6), _ => 0x3f };
        x.control = masks | 0x40 | self.pick(&[0u16, 1, 2, 3, 3, 3]) << 8 | (r >> 20 & 3) as u16 * 0x400;
        x.status = (r >> 24) as u16 & 0x4740;
        x.top = (r >> 44 & 7) as u8;
        x.valid = if r >> 50 & 7 == 0 { self.next() as u8 } else { 0x0fu8.rotate_left(x.top as u32) };
        let same = self.next() >> 60;
        for i in 0..8 {
            x.reg[i] = self.f80().bits();
            if i > 0 && same == 0 {
                x.reg[i] = x.reg[i - 1] ^ (self.next() as u128 & 1) << 79;
            }
        }
        x
    }
}

#[repr(align(64))]
struct Area([u8; 512]);

macro_rules! native {
    ($x:expr, $mem:expr, $code:literal) => {{
        let mut area = Area([0; 512]);
        area.0[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
        let start = image($x, &area.0);
        area.0[..160].copy_from_slice(&start);
        let mem: &mut [u8; 128] = $mem;
        let mut rax: u64 = 0;
        // SAFETY: the areas are as large and aligned as the instructions need; x87 and XMM registers are declared clobbered, FNINIT
        // leaves the unit as the ABI wants it.
        unsafe {
            asm!("fxrstor64 [{a}]", $code, "fxsave64 [{a}]", "fninit", a = in(reg) area.0.as_mut_ptr(), in("rdi") mem.as_mut_ptr(),
                inout("rax") rax, out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _, out("st(4)") _, out("st(5)") _,
                out("st(6)") _, out("st(7)") _, out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _,
                out("xmm13") _, out("xmm14") _, out("xmm15") _);
        }
        let mut out = [0u8; 160];
        out.copy_from_slice(&area.0[..160]);
        let mut y = X87::INIT;
        y.restore(&out, Pointers::Wide);
        (y.fip, y.fdp, y.fop) = (0, 0, 0);
        (y, rax)
    }};
}

fn image(x: &X87, base: &[u8]) -> [u8; 160] {
    let mut out = x.save(Pointers::Wide);
    out[24..32].copy_from_slice(&base[24..32]);
    out
}

/// Equal states; with `ulps`, registers may differ by that many units of the last place (and what follows from it: C1).
fn same(a: &X87, b: &X87, ulps: u64) -> bool {
    if ulps == 0 {
        return a == b;
    }
    let key = |v: u128| ((v >> 64 & 0x7fff) << 63) + (v as u64 & !(1 << 63)) as u128;
    let near = |(a, b): (&u128, &u128)| a >> 79 == b >> 79 && key(*a).abs_diff(key(*b)) <= ulps as u128;
    let plain = |x: &X87| X87 { reg: [0; 8], status: x.status & !0x200, ..*x };
    plain(a) == plain(b) && a.reg.iter().zip(&b.reg).all(near)
}

/// The processor shown to guests is AMD's: where another's is known to differ, these are the states to leave out.
fn is_amd() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == *b"AuthenticAMD"
}

/// Is ST(0) so small that its sine may underflow? Intel's processors give the argument itself there and no underflow.
fn is_tiny(x: &X87) -> bool {
    (x.reg[x.top as usize & 7] >> 64) as u16 & 0x7fff <= 1
}

macro_rules! check {
    ($name:ident, $code:literal, |$x:ident, $m:ident| $ours:expr) => {
        check!($name, $code, 0, 100_000, |$x, $m| $ours);
    };
    ($name:ident, $code:literal, $ulps:literal, $count:literal, |$x:ident, $m:ident| $ours:expr) => {
        check!($name, $code, $ulps, $count, |_| false, |$x, $m| $ours);
    };
    ($name:ident, $code:literal, $ulps:literal, $count:literal, $amd_only:expr, |$x:ident, $m:ident| $ours:expr) => {
        #[test]
        fn $name() {
            let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
            let (mut bad, mut total, mut skipped) = (0, 0, 0);
            let amd = is_amd();
            let amd_only: fn(&X87) -> bool = $amd_only;
            for n in 0..$count {
                let x = rng.state();
                if !amd && amd_only(&x) {
                    skipped += 1;
                    continue;
                }
                let mut mem = [0u8; 128];
                let v: u128 = match n & 3 {
                    0 => rng.float(52, 11) as u128,
                    1 => rng.float(23, 8) as u128,
                    2 => rng.f80().bits(),
                    _ => (rng.next() as i64 >> (rng.next() & 63)) as u128,
                };
                mem[..16].copy_from_slice(&v.to_le_bytes());
                let input = mem;
                let (want, rax) = native!(&x, &mut mem, $code);
                let mut y = x;
                let mut ours = input;
                let got_rax: u64 = { let ($x, $m) = (&mut y, &mut ours); $ours };
                total += 1;
                if !same(&want, &y, $ulps) || mem != ours || (rax & 0x45) != got_rax {
                    bad += 1;
                    if bad <= 4 {
                        println!("{} cw={:x} sw={:x} valid={:02x} st0={:x?} st1={:x?} mem={:x}", $code, x.control, x.status, x.valid.rotate_right(x.top as u32), st(&x, 0), st(&x, 1), u128::from_le_bytes(get(&input)));
                        for (who, y, m, flags) in [("want", &want, &mem, rax), (" got", &y, &ours, got_rax)] {
                            let top = (y.top + 8 - x.top) & 7;
                            println!("  {who} sw={:x} top+{top} valid={:02x} st0={:x?} st1={:x?} mem={:x} {flags:x}", y.status, y.valid.rotate_right(x.top as u32), st(y, 0), st(y, 1), u128::from_le_bytes(get(m)));
                        }
                    }
                }
            }
            if skipped > 0 {
                println!("{}: {skipped} states left out, in which this processor is known to differ from AMD's", $code);
            }
            assert_eq!(bad, 0, "of {total}");
        }
    };
}

fn st(x: &X87, i: u8) -> F80 {
    F80::from_bits(x.reg[((x.top + i) & 7) as usize])
}
fn get<const N: usize>(m: &[u8; 128]) -> [u8; N] {
    let mut r = [0; N];
    r.copy_from_slice(&m[..N]);
    r
}
macro_rules! store {
    ($name:ident, $code:literal, $f:ident, $pop:literal) => {
        check!($name, $code, |x, m| {
            if let Some(v) = $f(x) {
                let b = v.to_le_bytes();
                m[..b.len()].copy_from_slice(&b);
                if $pop { pop(x) }
            }
            0
        });
    };
}

check!(add_st0, "fadd st(0), st(1)", |x, _m| { arith_st0_sti(x, Op::Add, 1); 0 });
check!(sub_st0, "fsub st(0), st(1)", |x, _m| { arith_st0_sti(x, Op::Sub, 1); 0 });
check!(mul_st0, "fmul st(0), st(1)", |x, _m| { arith_st0_sti(x, Op::Mul, 1); 0 });
check!(div_st0, "fdiv st(0), st(1)", |x, _m| { arith_st0_sti(x, Op::Div, 1); 0 });
check!(divr_st0, "fdivr st(0), st(1)", |x, _m| { arith_st0_sti(x, Op::Divr, 1); 0 });
check!(addp, "faddp st(2), st(0)", |x, _m| { arith_sti_st0(x, Op::Add, 2, true); 0 });
check!(subrp, ".byte 0xde, 0xe1", |x, _m| { arith_sti_st0(x, Op::Subr, 1, true); 0 });
check!(mul_m64, "fmul qword ptr [rdi]", |x, m| { arith_st0_f64(x, Op::Mul, u64::from_le_bytes(get(m))); 0 });
check!(add_m32, "fadd dword ptr [rdi]", |x, m| { arith_st0_f32(x, Op::Add, u32::from_le_bytes(get(m))); 0 });
check!(div_m64, "fdivr qword ptr [rdi]", |x, m| { arith_st0_f64(x, Op::Divr, u64::from_le_bytes(get(m))); 0 });
check!(div_i16, "fidiv word ptr [rdi]", |x, m| { arith_st0_int(x, Op::Div, i16::from_le_bytes(get(m)) as i32); 0 });
check!(sub_i32, "fisub dword ptr [rdi]", |x, m| { arith_st0_int(x, Op::Sub, i32::from_le_bytes(get(m))); 0 });
check!(sqrt, "fsqrt", |x, _m| { fsqrt(x); 0 });
check!(prem, "fprem", |x, _m| { fprem(x); 0 });
check!(prem1, "fprem1", |x, _m| { fprem1(x); 0 });
check!(scale, "fscale", |x, _m| { fscale(x); 0 });
check!(rndint, "frndint", |x, _m| { frndint(x); 0 });
check!(extract, "fxtract", |x, _m| { fxtract(x); 0 });
check!(abs, "fabs", |x, _m| { fabs(x); 0 });
check!(chs, "fchs", |x, _m| { fchs(x); 0 });
check!(exchange, "fxch st(3)", |x, _m| { fxch(x, 3); 0 });
check!(examine, "fxam", |x, _m| { fxam(x); 0 });
check!(test, "ftst", |x, _m| { ftst(x); 0 });
check!(com, "fcom st(1)", |x, _m| { fcom_sti(x, 1); 0 });
check!(ucompp, "fucompp", |x, _m| { if fucom_sti(x, 1) { pop(x); pop(x) } 0 });
check!(com_m32, "fcomp dword ptr [rdi]", |x, m| { if fcom_f32(x, u32::from_le_bytes(get(m))) { pop(x) } 0 });
check!(com_m64, "fcom qword ptr [rdi]", |x, m| { fcom_f64(x, u64::from_le_bytes(get(m))); 0 });
check!(com_i16, "ficom word ptr [rdi]", |x, m| { ficom(x, i16::from_le_bytes(get(m)) as i32); 0 });
check!(comi, "xor eax, eax; fcomi st, st(1); lahf; movzx eax, ah; and eax, 0x45", |x, _m| fcomi(x, 1).0);
check!(ucomi, "xor eax, eax; fucomip st, st(1); lahf; movzx eax, ah; and eax, 0x45", |x, _m| { let (f, popping) = fucomi(x, 1); if popping { pop(x) } f });
check!(load_f32, "fld dword ptr [rdi]", |x, m| { fld_f32(x, u32::from_le_bytes(get(m))); 0 });
check!(load_f64, "fld qword ptr [rdi]", |x, m| { fld_f64(x, u64::from_le_bytes(get(m))); 0 });
check!(load_f80, "fld tbyte ptr [rdi]", |x, m| { let v = u128::from_le_bytes(get(m)); fld_f80(x, v as u64, (v >> 64) as u16); 0 });
check!(load_i64, "fild qword ptr [rdi]", |x, m| { fild(x, i64::from_le_bytes(get(m))); 0 });
check!(load_bcd, "fbld tbyte ptr [rdi]", |x, m| { fbld(x, u128::from_le_bytes(get(m))); 0 });
check!(load_sti, "fld st(4)", |x, _m| { fld_sti(x, 4); 0 });
check!(load_sti1, "fld st(1)", |x, _m| { fld_sti(x, 1); 0 });
check!(pi, "fldpi", |x, _m| { fld_constant(x, 3); 0 });
check!(l2t, "fldl2t", |x, _m| { fld_constant(x, 1); 0 });
check!(l2e, "fldl2e", |x, _m| { fld_constant(x, 2); 0 });
check!(lg2, "fldlg2", |x, _m| { fld_constant(x, 4); 0 });
check!(ln2, "fldln2", |x, _m| { fld_constant(x, 5); 0 });
check!(one, "fld1", |x, _m| { fld_constant(x, 0); 0 });
check!(zero, "fldz", |x, _m| { fld_constant(x, 6); 0 });
store!(store_f32, "fstp dword ptr [rdi]", fst_f32, true);
store!(store_f64, "fst qword ptr [rdi]", fst_f64, false);
store!(store_i16, "fist word ptr [rdi]", fist_i16, false);
store!(store_i32, "fistp dword ptr [rdi]", fist_i32, true);
store!(store_i64, "fistp qword ptr [rdi]", fist_i64, true);
store!(storet_i16, "fisttp word ptr [rdi]", fistt_i16, true);
store!(storet_i32, "fisttp dword ptr [rdi]", fistt_i32, true);
store!(storet_i64, "fisttp qword ptr [rdi]", fistt_i64, true);
check!(store_f80, "fstp tbyte ptr [rdi]", |x, m| { if let Some((a, b)) = fst_f80(x) { m[..8].copy_from_slice(&a.to_le_bytes()); m[8..10].copy_from_slice(&b.to_le_bytes()); pop(x) } 0 });
check!(store_bcd, "fbstp tbyte ptr [rdi]", |x, m| { if let Some(v) = fbst(x) { m[..10].copy_from_slice(&v.to_le_bytes()[..10]); pop(x) } 0 });
check!(store_sti, "fstp st(2)", |x, _m| { if fst_sti(x, 2) { pop(x) } 0 });
check!(cmov, "xor eax, eax; fcmove st, st(1)", |x, _m| { fcmov(x, 1, 1); 0 });
check!(cmovn, "xor eax, eax; fcmovne st, st(1)", |x, _m| { fcmov(x, 1, 0); 0 });
check!(free, "ffree st(1)", |x, _m| { ffree(x, 1); 0 });
check!(inc, "fincstp", |x, _m| { fincstp(x); 0 });
check!(dec, "fdecstp", |x, _m| { fdecstp(x); 0 });
check!(clear, "fnclex", |x, _m| { fnclex(x); 0 });
check!(init, "fninit", |x, _m| { fninit(x); 0 });
check!(mmx, "movq mm1, [rdi]", |x, m| { mmx_enter(x); mmx_write(x, 1, u64::from_le_bytes(get(m))); 0 });
check!(leave_mmx, "emms", |x, _m| { emms(x); 0 });
check!(env, "fnstenv [rdi]; mov dword ptr [rdi+12], 0; mov dword ptr [rdi+16], 0; mov dword ptr [rdi+20], 0", |x, m| { for (i, w) in fnstenv(x).iter().enumerate() { m[4*i..4*i+4].copy_from_slice(&w.to_le_bytes()) } 0 });
check!(save, "fnsave [rdi]; mov dword ptr [rdi+12], 0; mov dword ptr [rdi+16], 0; mov dword ptr [rdi+20], 0", |x, m| { m[..108].copy_from_slice(&fnsave(x, false)); 0 });
check!(sine, "fsin", 1, 100_000, is_tiny, |x, _m| { fsin(x); 0 });
check!(cosine, "fcos", 1, 100_000, |x, _m| { fcos(x); 0 });
check!(sine_cosine, "fsincos", 1, 100_000, is_tiny, |x, _m| { fsincos(x); 0 });
check!(tangent, "fptan", 1, 100_000, |x, _m| { fptan(x); 0 });
check!(arctangent, "fpatan", 1, 100_000, |x, _m| { fpatan(x); 0 });
check!(exp2, "f2xm1", 1, 100_000, |x, _m| { f2xm1(x); 0 });
check!(log2, "fyl2x", 1, 100_000, |x, _m| { fyl2x(x); 0 });
check!(log2_p1, "fyl2xp1", 1, 100_000, |x, _m| { fyl2xp1(x); 0 });
