//! Guest instructions that do what an operation of a skeleton does. A row is one form; adding one is adding a row.
//!
//! Placeholders: `{m}` the memory operand, `{s}` `{M}` `{Y}` its size and that of 16 and 32 bytes, `{r}` the 64-bit register that takes what is
//! loaded, `{rd}` its 32 bits, `{rw}` its part of the operation's size, `{x}` the size's letter, `{v}` the number stored, `{vax}` code
//! that brings it to RAX, `{ax}` and `{cx}` the parts of RAX and RCX, `{from}` code that moves XMM1's lowest element to the register.
//! `{t}` an offset from RSP that no other operation uses. RSP points into the thread's own memory; RAX, RBX, RCX, RDX, RSI, RDI and XMM1 to XMM3 are free, but an address may need RDI.

use super::program::{Op, Place, Test, Update, Value, cut, sized, slots};

/// Widths that a row is for, and its text.
type Row = (&'static [usize], &'static str);

const ALL: &[usize] = &[1, 2, 4, 8];
const WIDE: &[usize] = &[4, 8];
const B: &[usize] = &[1];
const H: &[usize] = &[2];
const W: &[usize] = &[4];
const X: &[usize] = &[8];
const BH: &[usize] = &[1, 2];

/// The first form of each is the usual one: MOV.
const LOADS: &[Row] = &[
    (BH, "movzx {rd}, {s} {m}"),
    (WIDE, "mov {rw}, {s} {m}"),
    (BH, "movsx {rd}, {s} {m}"),
    (ALL, "xor {rd}, {rd}; or {rw}, {s} {m}"),
    (WIDE, "xor {rd}, {rd}; add {rw}, {s} {m}"),
    (WIDE, "imul {rw}, {s} {m}, 1"),
    (WIDE, "mov eax, 1; test eax, eax; cmovne {rw}, {s} {m}"),
    (X, "movbe {rw}, {s} {m}; bswap {rw}"),
    (ALL, "xor eax, eax; lea rsi, {m}; lods{x}; mov {r}, rax"),
    (ALL, "xor eax, eax; lea rsi, {m}; lea rdi, [rsp+{t}]; movs{x}; mov {ax}, [rsp+{t}]; mov {r}, rax"),
    (ALL, "xor eax, eax; lea rsi, {m}; lea rdi, [rsp+{t}]; mov ecx, 1; rep movs{x}; mov {ax}, [rsp+{t}]; mov {r}, rax"),
    (X, "push {s} {m}; pop {r}"),
    // With LDR: what comes behind loads from an address that is made of it.
    (WIDE, "mov {rw}, {s} {m}; mov rax, [rsp+{r}+{t}]"),
    (BH, "movzx {rd}, {s} {m}; mov rsi, rsp; add rsi, 8; or eax, [rsp+{r}+{t}]"),
    (W, "movsxd {r}, {s} {m}; cmp rsp, 1; push [rsp+{r}+{t}]; pop rax"),
    (X, "mov rbx, rsp; lea rsp, {m}; pop {r}; mov rsp, rbx"),
    (W, "movd xmm1, {s} {m}; {from}"),
    (W, "movss xmm1, {s} {m}; {from}"),
    (W, "vmovd xmm1, {s} {m}; {from}"),
    (W, "vmovss xmm1, {s} {m}; {from}"),
    (X, "movq xmm1, {s} {m}; {from}"),
    (X, "movsd xmm1, {s} {m}; {from}"),
    (X, "vmovq xmm1, {s} {m}; {from}"),
    (X, "movlps xmm1, {s} {m}; {from}"),
    (X, "movhps xmm1, {s} {m}; pextrq {r}, xmm1, 1"),
    (X, "movddup xmm1, {s} {m}; {from}"),
    (B, "pxor xmm1, xmm1; pinsrb xmm1, {s} {m}, 0; {from}"),
    (H, "pxor xmm1, xmm1; pinsrw xmm1, {s} {m}, 0; {from}"),
    (W, "pxor xmm1, xmm1; pinsrd xmm1, {s} {m}, 0; {from}"),
    (X, "pxor xmm1, xmm1; pinsrq xmm1, {s} {m}, 0; {from}"),
    (B, "vpbroadcastb xmm1, {s} {m}; {from}"),
    (H, "vpbroadcastw xmm1, {s} {m}; {from}"),
    (W, "vpbroadcastd xmm1, {s} {m}; {from}"),
    (X, "vpbroadcastq ymm1, {s} {m}; {from}"),
    (W, "vbroadcastss ymm1, {s} {m}; {from}"),
    (W, "mov eax, -1; movd xmm2, eax; pxor xmm3, xmm3; pxor xmm1, xmm1; lea rsi, {m}; vpgatherdd xmm1, [rsi+xmm3*4], xmm2; {from}"),
    (X, "mov rax, -1; movq xmm2, rax; pxor xmm3, xmm3; pxor xmm1, xmm1; lea rsi, {m}; vpgatherqq xmm1, [rsi+xmm3*8], xmm2; {from}"),
];

/// Loads of 16 and 32 bytes whose lowest element counts. (The model checker splits them into parts of the smallest size in a test: only in tests of 8 bytes; smaller lanes in mixed tests lose their size.)
const WIDE_LOADS: &[Row] = &[
    (X, "movdqu xmm1, {M} {m}; {from}"),
    (X, "movaps xmm1, {M} {m}; {from}"),
    (X, "movups xmm1, {M} {m}; {from}"),
    (X, "lddqu xmm1, {M} {m}; {from}"),
    (X, "movntdqa xmm1, {M} {m}; {from}"),
    (X, "pxor xmm1, xmm1; por xmm1, {M} {m}; {from}"),
    (X, "vmovdqu xmm1, {M} {m}; {from}"),
    (X, "vmovdqa ymm1, {Y} {m}; {from}"),
    (X, "vpxor xmm1, xmm1, xmm1; vpor ymm1, ymm1, {Y} {m}; {from}"),
];

const STORES: &[Row] = &[
    (ALL, "mov {s} {m}, {v}"),
    (ALL, "{vax}; mov {m}, {ax}"),
    (ALL, "{vax}; lea rdi, {m}; stos{x}"),
    (ALL, "{vax}; lea rdi, {m}; mov ecx, 1; rep stos{x}"),
    (ALL, "{vax}; mov [rsp+{t}], {ax}; lea rsi, [rsp+{t}]; lea rdi, {m}; movs{x}"),
    (ALL, "{vax}; mov [rsp+{t}], {ax}; lea rsi, [rsp+{t}]; lea rdi, {m}; mov ecx, 1; rep movs{x}"),
    (WIDE, "{vax}; movnti {s} {m}, {ax}"),
    (WIDE, "{vax}; bswap {ax}; movbe {s} {m}, {ax}"),
    (X, "{vax}; mov rbx, rsp; lea rsp, {m}; lea rsp, [rsp+8]; push rax; mov rsp, rbx"),
    (X, "{vax}; mov [rsp+{t}], rax; push qword ptr [rsp+{t}]; pop {s} {m}"),
    (W, "{vax}; movd xmm1, eax; movd {s} {m}, xmm1"),
    (W, "{vax}; movd xmm1, eax; movss {s} {m}, xmm1"),
    (W, "{vax}; vmovd xmm1, eax; vmovss {s} {m}, xmm1"),
    (W, "{vax}; movd xmm1, eax; pextrd {s} {m}, xmm1, 0"),
    (W, "{vax}; movd xmm1, eax; extractps {s} {m}, xmm1, 0"),
    (X, "{vax}; movq xmm1, rax; movq {s} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; movsd {s} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; movlps {s} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; movddup xmm1, xmm1; movhps {s} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; vmovq {s} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; pextrq {s} {m}, xmm1, 0"),
    (B, "{vax}; movd xmm1, eax; pextrb {s} {m}, xmm1, 0"),
    (H, "{vax}; movd xmm1, eax; pextrw {s} {m}, xmm1, 0"),
    (W, "{vax}; movd xmm1, eax; mov eax, -1; movd xmm2, eax; vpmaskmovd {M} {m}, xmm2, xmm1"),
];

const WIDE_STORES: &[Row] = &[
    (X, "{vax}; movq xmm1, rax; movdqu {M} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; movaps {M} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; movups {M} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; movntdq {M} {m}, xmm1"),
    (X, "{vax}; movq xmm1, rax; vmovdqu {M} {m}, xmm1"),
    (X, "{vax}; vmovq xmm1, rax; vmovdqa {Y} {m}, ymm1"),
    (X, "{vax}; vmovq xmm1, rax; vmovntdq {Y} {m}, ymm1"),
    (X, "{vax}; vmovq xmm1, rax; vextractf128 {M} {m}, ymm1, 0"),
];

/// A LOCK'ed form: what memory becomes, whether the old value is known, which numbers it is for (0: any).
struct Locked {
    update: Update,
    old: bool,
    number: u64,
    row: Row,
}

const fn locked(update: Update, old: bool, number: u64, widths: &'static [usize], text: &'static str) -> Locked {
    Locked { update, old, number, row: (widths, text) }
}

/// What no number is cut from.
const ONES: u64 = u64::MAX;

const LOCKED: &[Locked] = &[
    locked(Update::Swap, true, 0, ALL, "{vax}; xchg {m}, {ax}; mov {r}, rax"),
    locked(Update::Add, true, 0, ALL, "{vax}; lock xadd {m}, {ax}; mov {r}, rax"),
    locked(Update::Add, false, 0, ALL, "lock add {s} {m}, {v}"),
    locked(Update::Add, false, 0, ALL, "{vax}; neg rax; lock sub {m}, {ax}"),
    locked(Update::Add, false, 0, WIDE, "xor eax, eax; lock adc {s} {m}, {v}"),
    locked(Update::Add, false, 1, ALL, "lock inc {s} {m}"),
    locked(Update::Or, false, 0, ALL, "lock or {s} {m}, {v}"),
    locked(Update::Or, false, 1, WIDE, "lock bts {s} {m}, 0"),
    locked(Update::Xor, false, 0, ALL, "{vax}; lock xor {m}, {ax}"),
    locked(Update::Xor, false, 1, WIDE, "lock btc {s} {m}, 0"),
    locked(Update::Xor, false, ONES, ALL, "lock not {s} {m}"),
    locked(Update::And, false, 0, ALL, "lock and {s} {m}, {v}"),
    locked(Update::IfEqual(0), true, 0, ALL, "{vax}; mov rcx, rax; xor eax, eax; lock cmpxchg {m}, {cx}; mov {r}, rax"),
    locked(Update::IfEqual(1), true, 0, ALL, "{vax}; mov rcx, rax; mov eax, 1; lock cmpxchg {m}, {cx}; mov {r}, rax"),
    locked(Update::IfEqual(0), true, 0, X, "{vax}; mov rbx, rax; xor ecx, ecx; xor edx, edx; xor eax, eax; lock cmpxchg8b {s} {m}; mov {r}, rax"),
    locked(Update::IfEqual(0), true, 0, X, "{vax}; mov rbx, rax; xor ecx, ecx; xor edx, edx; xor eax, eax; lock cmpxchg16b {M} {m}; mov {r}, rax"),
    locked(Update::IfEqual(1), true, 0, X, "{vax}; mov rbx, rax; xor ecx, ecx; xor edx, edx; mov eax, 1; lock cmpxchg16b {M} {m}; mov {r}, rax"),
];

const FENCES: &[&str] = &[
    "mfence",
    "lock or {s} [rsp+{t}], 0",
    "lock add {s} [rsp+{t}], 0",
    "mov eax, 3; xchg [rsp+{t}], {ax}",
    "mov eax, 5; lock cmpxchg [rsp+{t}], {cx}",
    "xor eax, eax; lock xadd [rsp+{t}], {ax}",
];

/// What an address looks like.
const ADDRESSES: &[(&str, &str)] = &[("", "[{b}{o}]"), ("", "[{b}+rbp*4{o}]"), ("lea rdi, [{b}-24]; ", "[rdi+24{o}]"), ("lea rdi, [{b}-0x12340]; ", "[rdi+0x12340{o}]"), ("", "[{b}+rbp{o}]")];

/// Guest registers that hold addresses of variables, and that take what is loaded.
pub const BASES: [&str; 4] = ["r12", "r13", "r14", "r15"];
/// The numbers of the latter.
pub const SLOTS: [u8; 4] = [8, 9, 10, 11];

/// A guest program for a thread.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Assembly.
    pub text: String,
    /// What it does, in the oracle's words.
    pub ops: Vec<Op>,
}

/// Chooses forms: each kind's rows in turn, so that all get used.
#[derive(Default)]
pub struct Chooser {
    turns: [usize; 5],
}

impl Chooser {
    fn next(&mut self, kind: usize, count: usize) -> usize {
        let turn = self.turns[kind];
        self.turns[kind] += 1;
        turn % count
    }

    /// The threads of `test` in their usual form.
    pub fn usual(test: &Test) -> Option<Vec<Guest>> {
        Chooser::default().threads(test, false)
    }

    /// The threads of `test` with other forms.
    pub fn varied(&mut self, test: &Test) -> Option<Vec<Guest>> {
        self.threads(test, true)
    }

    /// The threads of `test`, each with store form `store`, the load form behind that number, and form `other` of its fences and LOCK'ed operations;
    /// None past the last store, or the last of the others.
    pub fn paired(test: &Test, store: usize, other: usize) -> Option<Vec<Guest>> {
        let has = |kind: fn(&Op) -> bool, forms: usize| if test.threads.iter().flatten().any(kind) { forms } else { 1 };
        let rows = [STORES, WIDE_STORES].iter().flat_map(|r| r.iter()).filter(|r| r.0.contains(&test.width)).count();
        let stores = has(|op| matches!(op, Op::Store { .. }), rows);
        let others = has(|op| matches!(op, Op::Fence), FENCES.len()).max(has(|op| matches!(op, Op::Locked { .. }), LOCKED.len()));
        let thread = |ops: &Vec<Op>| Chooser { turns: [0, other, store + 1, store, other] }.thread(test, ops, true);
        if store >= stores || other >= others { None } else { test.threads.iter().map(thread).collect() }
    }

    fn threads(&mut self, test: &Test, vary: bool) -> Option<Vec<Guest>> {
        test.threads.iter().map(|ops| self.thread(test, ops, vary)).collect()
    }

    fn thread(&mut self, test: &Test, ops: &[Op], vary: bool) -> Option<Guest> {
        let mut guest = Guest { text: String::new(), ops: Vec::new() };
        if slots(ops) > SLOTS.len() {
            return None;
        }
        for (k, op) in ops.iter().enumerate() {
            let (text, op) = self.form(test, op, vary)?;
            guest.text += &text.replace("{t}", &(16 + 8 * k).to_string());
            guest.text += "; ";
            guest.ops.push(op);
        }
        guest.text += "syscall";
        Some(guest)
    }

    fn form(&mut self, test: &Test, op: &Op, vary: bool) -> Option<(String, Op)> {
        let of_width = |rows: &[&'static [Row]], w: usize| rows.iter().flat_map(|r| r.iter()).filter(|r| r.0.contains(&w)).map(|r| r.1).collect::<Vec<_>>();
        // Wide accesses in three threads take the model checker minutes.
        let exact = test.is_mixed() || test.threads.len() > 2;
        let mut turn = |kind: usize, count: usize| if vary { self.next(kind, count) } else { 0 };
        let style = turn(0, ADDRESSES.len());
        match op {
            Op::Fence => {
                // On the thread's own memory, in the test's size.
                let own = Place { var: 0, offset: 0, bytes: if exact { 4.min(test.width) } else { test.width } };
                Some((fill(FENCES[turn(1, FENCES.len())], 0, &own, None, None)?, *op))
            }
            Op::Load { slot, at } => {
                let rows = of_width(if exact { &[LOADS] } else { &[LOADS, WIDE_LOADS] }, at.bytes);
                Some((fill(rows[turn(2, rows.len())], style, at, None, Some(*slot))?, *op))
            }
            Op::Store { value, at } => {
                let mut rows = of_width(if exact { &[STORES] } else { &[STORES, WIDE_STORES] }, at.bytes);
                if !matches!(value, Value::Imm(n) if *n < 1 << 31) {
                    rows.retain(|r| !r.contains("{v}"));
                }
                Some((fill(rows[turn(3, rows.len())], style, at, Some(*value), None)?, *op))
            }
            Op::Locked { update, value: Value::Imm(n), slot: Some(slot), at } => {
                let all = LOCKED.iter().filter(|l| l.row.0.contains(&at.bytes) && (vary || l.update == *update));
                let fits: Vec<&Locked> = all.filter(|l| (l.number == 0 || l.number == ONES || l.number == *n) && (!exact || !l.row.1.contains("16b"))).collect();
                let l = fits[turn(4, fits.len())];
                let value = if l.number == ONES { cut(ONES, at.bytes) } else { *n };
                let text = fill(l.row.1, style, at, Some(Value::Imm(value)), Some(*slot))?;
                Some((text, Op::Locked { update: l.update, value: Value::Imm(value), slot: l.old.then_some(*slot), at: *at }))
            }
            Op::Locked { .. } => None,
        }
    }
}

fn fill(text: &str, style: usize, at: &Place, value: Option<Value>, slot: Option<usize>) -> Option<String> {
    let w = at.bytes;
    let base = BASES.get(at.var)?;
    let (before, memory) = ADDRESSES[style];
    let offset = if at.offset == 0 { String::new() } else { format!("+{}", at.offset) };
    let register = slot.map_or("r8".to_string(), |s| format!("r{}", SLOTS[s]));
    let size = |bytes: usize| match bytes {
        1 => "byte ptr",
        2 => "word ptr",
        4 => "dword ptr",
        8 => "qword ptr",
        16 => "xmmword ptr",
        _ => "ymmword ptr",
    };
    let (number, to_rax) = match value {
        Some(Value::Imm(n)) => (n.to_string(), if n < 1 << 31 { format!("mov eax, {n}") } else { format!("mov rax, {n}") }),
        Some(Value::Slot(s)) => (String::new(), format!("mov rax, r{}", SLOTS[s])),
        None => (String::new(), String::new()),
    };
    let from = match w {
        1 => format!("pextrb {}, xmm1, 0", part(&register, 4)),
        2 => format!("pextrw {}, xmm1, 0", part(&register, 4)),
        4 => format!("movd {}, xmm1", part(&register, 4)),
        _ => format!("movq {register}, xmm1"),
    };
    // Of the string instructions "movsd" is the one without operands.
    let letter = ["b", "w", "d", "q"][w.trailing_zeros() as usize];
    let filled = text
        .replace("{m}", memory)
        .replace("{b}", base)
        .replace("{o}", &offset)
        .replace("{from}", &from)
        .replace("{vax}", &to_rax)
        .replace("{v}", &number)
        .replace("{s}", size(w))
        .replace("{M}", size(16))
        .replace("{Y}", size(32))
        .replace("{rd}", &part(&register, 4))
        .replace("{rw}", &part(&register, w))
        .replace("{r}", &register)
        .replace("{ax}", &sized("rax", w))
        .replace("{cx}", &sized("rcx", w))
        .replace("{x}", letter);
    Some(before.replace("{b}", base) + &filled)
}

/// A part of R8 to R15.
fn part(register: &str, bytes: usize) -> String {
    sized(register, bytes)
}
