//! Emitted AArch64 code to a thread of a litmus test: memory accesses and barriers as they stand in the code, and of the rest what their data and the
//! observed registers depend on.
//!
//! The code is executed as far as its numbers are known (addresses, counts, the emulator's own state), so that loops of REP instructions are unrolled
//! and branches on them vanish; what depends on a load stays an instruction. A branch on loaded data stays a branch, whose ways are both
//! rendered to the end. A way back (a store-exclusive that failed, a compare-and-swap loop) ends the thread and marks the execution: another round
//! does what the first would have done.
//!
//! Nothing is lost that could forbid an outcome wrongly: dropped instructions are only those that nothing observed depends on.

use super::a64::{Flags, Instruction, Operand, compute, holds, modified, parse_word};
use super::host::Code;
use crate::Result;
use std::collections::BTreeMap;

/// Where variable `n` lies while code is executed.
pub const fn address_of(var: usize) -> u64 {
    0x1000_0000 + 0x1_0000 * var as u64
}
/// Where the emulator's state lies.
const STATE: u64 = 0x5000_0000;
const STATE_SIZE: u64 = 0x1_0000;

/// Registers that code never holds a guest value in: addresses of variables, a sum, a mask, the mark of a way that was given up.
const ADDRESSES: [u8; 5] = [27, 28, 29, 26, 23];
const SUM: u8 = 25;
const MASK: u8 = 24;
/// The register that is 1 where a thread gave up.
pub const MARK: u8 = 30;
/// Variables from this number on are cells of a thread's own memory, by offset.
pub const OWN: usize = 0x1_0000;
/// Longest code executed.
const LIMIT: usize = 3000;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Value {
    /// A number; `shown`: herd's register holds it too.
    Known { value: u128, shown: bool },
    /// What herd's register holds.
    Symbol,
}

const ZERO: Value = Value::Known { value: 0, shown: true };
const FLAGS: u8 = 31;
const VECTORS: u8 = 32;

#[derive(Clone, Debug)]
enum Item {
    Step { text: String, defs: u64, uses: u64, effect: bool },
    Branch { text: String, uses: u64, taken: Vec<Item> },
    /// The thread is at its end, and these registers are looked at.
    End(u64),
    /// A way back.
    GiveUp,
}

/// An access: variable, offset, bytes.
pub type Access = (usize, usize, usize);

/// A rendered thread.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// Lines of the litmus file.
    pub lines: Vec<String>,
    /// Variables and the registers that hold their addresses.
    pub addresses: Vec<(u8, usize)>,
    /// May the mark be set?
    pub gives_up: bool,
    /// Everything that was accessed.
    pub accesses: Vec<Access>,
    /// It needs vector registers.
    pub vectors: bool,
}

#[derive(Clone)]
struct Machine<'a> {
    code: &'a Code,
    x: [Value; 32],
    v: [Value; 32],
    flags: Option<Flags>,
    state: BTreeMap<u64, Value>,
    budget: usize,
    /// Variables below this number are shared.
    shared: usize,
}

/// Renders `code` as thread `t` of a test with `shared` variables, entered with `registers` (host registers by number); `observed` host registers are kept to the end.
pub fn render(code: &Code, t: usize, shared: usize, registers: &[(u8, u64)], observed: &[u8]) -> Result<Thread> {
    let mut machine = Machine { code, x: [ZERO; 32], v: [ZERO; 32], flags: Some((false, false, false, false)), state: BTreeMap::new(), budget: LIMIT, shared };
    for &(n, value) in registers {
        machine.x[n as usize] = Value::Known { value: value as u128, shown: false };
    }
    machine.x[28] = Value::Known { value: STATE as u128, shown: false };
    let mut thread = Thread::default();
    let items = machine.run(code.entry, observed, &mut thread)?;
    let (items, _) = needed(items, 0);
    thread.gives_up = gives_up(&items);
    let mut printer = Printer { thread: t, labels: 0, lines: Vec::new() };
    printer.print(&items);
    let mut lines = printer.lines;
    let end = format!("B LEND{t}");
    if !thread.gives_up && lines.last() == Some(&end) {
        lines.pop();
    }
    if thread.gives_up {
        lines.extend([format!("RETRY{t}:"), format!("MOV X{MARK},#1")]);
    }
    if lines.contains(&end) {
        lines.push(format!("LEND{t}:"));
    }
    thread.vectors = lines.iter().any(|l| l.contains(" V") || l.contains(",V") || l.contains(" D") && !l.starts_with("DMB") || l.contains(" Q") || l.contains(" S") && !l.starts_with("DMB"));
    thread.lines = lines;
    Ok(thread)
}

fn gives_up(items: &[Item]) -> bool {
    items.iter().any(|i| match i {
        Item::GiveUp => true,
        Item::Branch { taken, .. } => gives_up(taken),
        _ => false,
    })
}

/// Drops what nothing depends on; returns what the rest needs.
fn needed(items: Vec<Item>, mut live: u64) -> (Vec<Item>, u64) {
    let mut kept = Vec::new();
    for item in items.into_iter().rev() {
        match item {
            Item::End(uses) => {
                live = uses;
                kept.push(item);
            }
            Item::GiveUp => {
                live = 0;
                kept.push(item);
            }
            Item::Step { defs, uses, effect, .. } => {
                if effect || defs & live != 0 {
                    live = live & !defs | uses;
                    kept.push(item);
                }
            }
            Item::Branch { text, uses, taken } => {
                let (taken, also) = needed(taken, 0);
                live |= uses | also;
                kept.push(Item::Branch { text, uses, taken });
            }
        }
    }
    kept.reverse();
    (kept, live)
}

/// Writes lines, with labels that no other thread has.
struct Printer {
    thread: usize,
    labels: usize,
    lines: Vec<String>,
}

impl Printer {
    fn print(&mut self, items: &[Item]) {
        let t = self.thread;
        let mut later = Vec::new();
        for item in items {
            match item {
                Item::Step { text, .. } => self.lines.push(text.clone()),
                Item::Branch { text, taken, .. } => match taken.as_slice() {
                    [Item::GiveUp] => self.lines.push(format!("{text}RETRY{t}")),
                    _ => {
                        let label = format!("L{t}_{}", self.labels);
                        self.labels += 1;
                        self.lines.push(format!("{text}{label}"));
                        later.push((label, taken));
                    }
                },
                Item::End(_) => self.lines.push(format!("B LEND{t}")),
                Item::GiveUp => self.lines.push(format!("B RETRY{t}")),
            }
        }
        for (label, taken) in later {
            self.lines.push(format!("{label}:"));
            self.print(taken);
        }
    }
}

/// An instruction without effect on memory.
fn step(text: String, defs: u64, uses: u64) -> Item {
    Item::Step { text, defs, uses, effect: false }
}

/// A number to a register, in pieces that herd takes.
fn number(n: u8, value: u64, items: &mut Vec<Item>) {
    if value < 1 << 16 || value as i64 >= -(1 << 16) && (value as i64) < 0 {
        return items.push(step(format!("MOV X{n},#{}", value as i64), bit(n), 0));
    }
    items.push(step(format!("MOVZ X{n},#{}", value & 0xffff), bit(n), 0));
    for shift in [16, 32, 48].into_iter().filter(|s| value >> s & 0xffff != 0) {
        items.push(step(format!("MOVK X{n},#{},LSL #{shift}", value >> shift & 0xffff), bit(n), bit(n)));
    }
}

fn bit(n: u8) -> u64 {
    1 << n
}

impl Machine<'_> {
    fn run(&mut self, entry: u32, observed: &[u8], thread: &mut Thread) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut at = entry;
        // When places were last passed, and when a branch on loaded data; the budget is the clock, which counts down.
        let (mut visits, mut symbolic) = (BTreeMap::new(), usize::MAX);
        loop {
            self.budget = self.budget.checked_sub(1).ok_or("too long")?;
            let word = self.code.word(at).ok_or("the code ends")?;
            let i = parse_word(word.bits, &word.text);
            let next = at + 4;
            visits.insert(at, self.budget);
            at = next;
            let target = |k: usize| match i.operands.get(k) {
                Some(Operand::Imm(to)) => Ok(*to as u32),
                _ => Err(format!("no target: {}", word.text)),
            };
            match i.mnemonic.as_str() {
                "blr" if self.code.exits.get(&next).is_some_and(|kind| kind != "syscall") => return Err("leaves by an exception".into()),
                "blr" if self.code.exits.contains_key(&next) => {
                    let mut uses = 0;
                    for &n in observed {
                        self.show(n, &mut items);
                        uses |= bit(n);
                    }
                    items.push(Item::End(uses));
                    return Ok(items);
                }
                "blr" | "bl" | "br" | "ret" => return Err(format!("calls or returns: {}", word.text)),
                "b" => {
                    let to = target(0)?;
                    if visits.get(&to).is_some_and(|v| symbolic < *v) {
                        items.push(Item::GiveUp);
                        return Ok(items);
                    }
                    at = to;
                }
                "nop" => {}
                m if m.starts_with("b.") || ["cbz", "cbnz", "tbz", "tbnz"].contains(&m) => {
                    let (to, taken, text, uses) = self.branch(&i, &target)?;
                    match taken {
                        Some(true) => at = to,
                        Some(false) => {}
                        None => {
                            symbolic = self.budget;
                            let taken = if to < next {
                                vec![Item::GiveUp]
                            } else {
                                let mut other = self.clone();
                                let taken = other.run(to, observed, thread)?;
                                self.budget = other.budget;
                                taken
                            };
                            items.push(Item::Branch { text, uses, taken });
                        }
                    }
                }
                "dmb" | "dsb" | "isb" => items.push(Item::Step { text: word.text.to_uppercase(), defs: 0, uses: 0, effect: true }),
                m if is_access(m) => self.access(&i, thread, &mut items).map_err(|e| format!("{e}: {}", word.text))?,
                _ => self.arithmetic(&i, &mut items).map_err(|e| format!("{e}: {}", word.text))?,
            }
        }
    }

    fn known(&self, n: u8) -> Option<u64> {
        match self.x[n as usize] {
            _ if n == 31 => Some(0),
            Value::Known { value, .. } => Some(value as u64),
            Value::Symbol => None,
        }
    }

    fn set(&mut self, n: u8, value: u64) {
        if n != 31 {
            self.x[n as usize] = Value::Known { value: value as u128, shown: false };
        }
    }

    /// Makes herd's register hold what is known of it.
    fn show(&mut self, n: u8, items: &mut Vec<Item>) {
        if let Value::Known { value, shown: false } = self.x[n as usize]
            && n != 31
        {
            number(n, value as u64, items);
            self.x[n as usize] = Value::Known { value, shown: true };
        }
    }

    fn show_vector(&mut self, n: u8, items: &mut Vec<Item>) {
        if let Value::Known { value, shown: false } = self.v[n as usize] {
            let defs = bit(VECTORS + n);
            items.push(step(format!("MOVI V{n}.2D,#0"), defs, 0));
            for (lane, part) in [(0, value as u64), (1, (value >> 64) as u64)] {
                if part != 0 {
                    number(SUM, part, items);
                    items.push(step(format!("MOV V{n}.D[{lane}],X{SUM}"), defs, defs | bit(SUM)));
                }
            }
            self.v[n as usize] = Value::Known { value, shown: true };
        }
    }

    fn branch(&self, i: &Instruction, target: &dyn Fn(usize) -> Result<u32>) -> Result<(u32, Option<bool>, String, u64)> {
        let name = i.mnemonic.to_uppercase();
        if let Some(condition) = i.mnemonic.strip_prefix("b.") {
            let taken = self.flags.map(|f| holds(condition, f).ok_or(format!("condition {condition}"))).transpose()?;
            return Ok((target(0)?, taken, format!("{name} "), bit(FLAGS)));
        }
        let Some(Operand::Gpr { n, wide }) = i.operands.first().cloned() else { return Err(format!("{name} without a register")) };
        let value = self.known(n).map(|v| if wide { v } else { v & 0xffff_ffff });
        let register = format!("{}{n}", if wide { "X" } else { "W" });
        match (i.mnemonic.as_str(), i.operands.get(1)) {
            ("cbz", _) => Ok((target(1)?, value.map(|v| v == 0), format!("CBZ {register},"), bit(n))),
            ("cbnz", _) => Ok((target(1)?, value.map(|v| v != 0), format!("CBNZ {register},"), bit(n))),
            (m, Some(Operand::Imm(b))) => Ok((target(2)?, value.map(|v| (v >> b & 1 == 1) == (m == "tbnz")), format!("{name} {register},#{b},"), bit(n))),
            _ => Err(format!("{name} not understood")),
        }
    }

    /// The address of a memory operand, and what is written back to the base.
    fn address(&mut self, i: &Instruction) -> Result<u64> {
        let at = i.operands.iter().position(|o| matches!(o, Operand::Memory { .. })).ok_or("no memory operand")?;
        let Operand::Memory { base, offset, index, writes_back } = i.operands[at].clone() else { return Err("no memory operand".into()) };
        let from = self.known(base).ok_or("the address depends on a load")?;
        let mut address = from.wrapping_add(offset as u64);
        if let Some((n, shift)) = index {
            address = address.wrapping_add(self.known(n).ok_or("the index depends on a load")? << shift);
        }
        match i.operands.get(at + 1) {
            Some(Operand::Imm(step)) => self.set(base, from.wrapping_add(*step as u64)),
            _ if writes_back => self.set(base, address),
            _ => {}
        }
        Ok(address)
    }

    fn access(&mut self, i: &Instruction, thread: &mut Thread, items: &mut Vec<Item>) -> Result<()> {
        let address = self.address(i)?;
        if (STATE - STATE_SIZE..STATE + STATE_SIZE).contains(&address) {
            return self.own_access(i, address);
        }
        let var = (address.wrapping_sub(address_of(0)) >> 16) as usize;
        let offset = (address & 0xffff) as usize;
        if address < address_of(0) || var > 16 || offset > 0x8000 {
            return Err(format!("address {address:#x} is no variable"));
        }
        // Each cell of the thread's own memory is a variable of its own.
        let (var, offset) = if var >= self.shared { (OWN + offset, 0) } else { (var, offset) };
        let known = thread.addresses.iter().find(|a| a.1 == var).map(|a| a.0);
        let base = match known {
            Some(n) => n,
            None => {
                let n = *ADDRESSES.get(thread.addresses.len()).ok_or("too many variables")?;
                thread.addresses.push((n, var));
                n
            }
        };
        let (mut place, mut place_uses) = (format!("[X{base}]"), 0);
        if offset != 0 {
            items.push(Item::Step { text: format!("ADD X{SUM},X{base},#{offset}"), defs: bit(SUM), uses: 0, effect: false });
            place = format!("[X{SUM}]");
            place_uses = bit(SUM);
        }
        let mut shape = shape(i).ok_or("access not known")?;
        let half = self.half(i)?;
        let i = half.as_ref().unwrap_or(i);
        if half.is_some() {
            shape = self::shape(i).ok_or("access not known")?;
        }
        thread.accesses.push((var, offset, shape.bytes));
        let (mut text, mut uses, mut defs) = (Vec::new(), place_uses, 0);
        for (k, o) in i.operands.iter().enumerate().take_while(|(_, o)| !matches!(o, Operand::Memory { .. })) {
            let (reads, writes) = shape.use_of(k);
            match o {
                Operand::Gpr { n, wide } => {
                    if reads && *n != 31 {
                        self.show(*n, items);
                        uses |= bit(*n);
                    }
                    if writes && *n != 31 {
                        defs |= bit(*n);
                        self.x[*n as usize] = Value::Symbol;
                    }
                    let letter = if *wide && shape.then.is_none() { "X" } else { "W" };
                    text.push(if *n == 31 { format!("{letter}ZR") } else { format!("{letter}{n}") });
                }
                Operand::Vector { n, text: name } => {
                    let b = bit(VECTORS + n);
                    if reads {
                        self.show_vector(*n, items);
                        uses |= b;
                    }
                    if writes {
                        defs |= b;
                        self.v[*n as usize] = Value::Symbol;
                    }
                    text.push(name.to_uppercase());
                }
                other => return Err(format!("operand {other:?}")),
            }
        }
        let name = shape.name.to_uppercase();
        items.push(Item::Step { text: format!("{name} {},{place}", text.join(",")), defs, uses, effect: true });
        if let (Some(extension), Some(Operand::Gpr { n, wide })) = (shape.then, i.operands.first()) {
            let r = if *wide { "X" } else { "W" };
            items.push(Item::Step { text: format!("SBFM {r}{n},{r}{n},#0,#{}", extension - 1), defs: bit(*n), uses: bit(*n), effect: false });
        }
        Ok(())
    }

    /// Of an atomic access to a pair of registers the half that tests share: herd splits the pair and loses its atomicity. Nobody writes the other
    /// half, which is zero before and after; that is checked of what is compared and stored.
    fn half(&mut self, i: &Instruction) -> Result<Option<Instruction>> {
        let (name, keep, zero): (_, &[usize], &[usize]) = match i.mnemonic.as_str() {
            "caspal" => ("casal", &[0, 2, 4], &[1, 3]),
            "ldaxp" => ("ldaxr", &[0, 2], &[]),
            "stlxp" => ("stlxr", &[0, 1, 3], &[2]),
            _ => return Ok(None),
        };
        let register = |k: usize| if let Some(Operand::Gpr { n, .. }) = i.operands.get(k) { Some(*n) } else { None };
        for k in zero {
            if register(*k).and_then(|n| self.known(n)) != Some(0) {
                return Err("the half of a pair that is not shared is not zero".into());
            }
        }
        if name == "ldaxr" {
            self.set(register(1).ok_or("no pair")?, 0);
        }
        Ok(Some(Instruction { mnemonic: name.into(), operands: keep.iter().filter_map(|k| i.operands.get(*k).cloned()).collect() }))
    }

    /// Access to the emulator's own state: nobody else sees it.
    fn own_access(&mut self, i: &Instruction, address: u64) -> Result<()> {
        let loads = i.mnemonic.starts_with("ld");
        let mut at = address;
        for o in &i.operands {
            match o {
                Operand::Gpr { n, wide } => {
                    if loads {
                        self.x[*n as usize] = self.state.get(&at).copied().unwrap_or(ZERO);
                        if self.x[*n as usize] == Value::Symbol {
                            return Err("loaded data comes back from the emulator's state".into());
                        }
                        if let Value::Known { value, .. } = self.x[*n as usize] {
                            self.set(*n, value as u64);
                        }
                    } else {
                        self.state.insert(at, if *n == 31 { ZERO } else { self.x[*n as usize] });
                    }
                    at += if *wide { 8 } else { 4 };
                }
                Operand::Vector { n, .. } => {
                    if loads {
                        let Value::Known { value, .. } = self.state.get(&at).copied().unwrap_or(ZERO) else {
                            return Err("loaded data comes back from the emulator's state".into());
                        };
                        self.v[*n as usize] = Value::Known { value, shown: false };
                    } else {
                        self.state.insert(at, self.v[*n as usize]);
                    }
                    at += 16;
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn arithmetic(&mut self, i: &Instruction, items: &mut Vec<Item>) -> Result<()> {
        if i.operands.iter().any(|o| matches!(o, Operand::Vector { .. })) {
            return self.vector(i, items);
        }
        let m = i.mnemonic.as_str();
        match (m, i.operands.as_slice()) {
            ("mrs", [Operand::Gpr { n, .. }, _]) => {
                match self.flags {
                    Some((negative, z, c, v)) => self.set(*n, (negative as u64) << 31 | (z as u64) << 30 | (c as u64) << 29 | (v as u64) << 28),
                    None => {
                        items.push(step(format!("MRS X{n},NZCV"), bit(*n), bit(FLAGS)));
                        self.x[*n as usize] = Value::Symbol;
                    }
                }
                return Ok(());
            }
            ("msr", [_, Operand::Gpr { n, .. }]) => {
                if self.known(*n).is_none() {
                    items.push(step(format!("MSR NZCV,X{n}"), bit(FLAGS), bit(*n)));
                }
                self.flags = self.known(*n).map(|v| (v >> 31 & 1 == 1, v >> 30 & 1 == 1, v >> 29 & 1 == 1, v >> 28 & 1 == 1));
                return Ok(());
            }
            ("cfinv", _) => {
                self.flags = self.flags.map(|(n, z, c, v)| (n, z, !c, v));
                return Ok(());
            }
            ("ldr", [Operand::Gpr { n, wide }, Operand::Imm(at)]) => {
                let value = self.code.literal(*at as u32, if *wide { 8 } else { 4 }).ok_or("no literal")?;
                self.set(*n, value);
                return Ok(());
            }
            ("adr", [Operand::Gpr { n, .. }, _]) => {
                self.set(*n, 0x6000_0000);
                return Ok(());
            }
            _ => {}
        }
        let compares = ["cmp", "cmn", "tst"].contains(&m);
        let (d, wide) = match i.operands.first() {
            Some(Operand::Gpr { n, wide }) => (*n, *wide),
            _ => return Err("not understood".into()),
        };
        let sources = if compares { &i.operands[..] } else { &i.operands[1..] };
        let (mut args, mut all_known) = (Vec::new(), true);
        let mut condition = None;
        for o in sources {
            match o {
                Operand::Gpr { n, .. } => match self.known(*n) {
                    Some(v) => args.push(v),
                    None => {
                        all_known = false;
                        args.push(0);
                    }
                },
                Operand::Imm(v) => args.push(*v as u64),
                Operand::Modifier { kind, amount } => {
                    let last = args.pop().ok_or("shift of nothing")?;
                    args.push(modified(last, kind, *amount, wide || m == "movk"));
                }
                Operand::Word(w) => condition = Some(w.clone()),
                other => return Err(format!("operand {other:?}")),
            }
        }
        let reads_old = ["bfi", "bfxil", "movk"].contains(&m);
        let old = if reads_old { self.known(d) } else { Some(0) };
        if let Some(condition) = condition {
            return self.select(m, d, wide, &i.operands, &condition, items);
        }
        if m == "movk" {
            let (Some(old), Some(Operand::Imm(part))) = (old, i.operands.get(1)) else { return Err("not understood".into()) };
            let shift = match i.operands.get(2) {
                Some(Operand::Modifier { amount, .. }) => *amount,
                _ => 0,
            };
            self.set(d, old & !(0xffff << shift) | (*part as u64) << shift);
            return Ok(());
        }
        if all_known && let Some(old) = old {
            let (value, flags) = compute(m, &args, wide, old, self.flags.map(|f| f.2)).ok_or("not computed")?;
            if !compares {
                self.set(d, value);
            }
            if flags.is_some() {
                self.flags = flags;
            }
            return Ok(());
        }
        self.print_general(i, d, wide, compares, reads_old, items)
    }

    /// CSEL and its kin with known flags are moves; with others they stay.
    fn select(&mut self, m: &str, d: u8, wide: bool, operands: &[Operand], condition: &str, items: &mut Vec<Item>) -> Result<()> {
        let regs: Vec<u8> = operands.iter().skip(1).filter_map(|o| if let Operand::Gpr { n, .. } = o { Some(*n) } else { None }).collect();
        let r = if wide { "X" } else { "W" };
        if let Some(flags) = self.flags {
            let yes = holds(condition, flags).ok_or("condition")?;
            let from = match (m, regs.as_slice()) {
                ("cset", _) => return self.constant(d, yes as u64),
                ("csetm", _) => return self.constant(d, if yes { u64::MAX } else { 0 }),
                ("csel", [a, b]) => if yes { *a } else { *b },
                ("csinc", [a, _]) if yes => *a,
                ("cinc", [a]) if !yes => *a,
                ("csinv" | "csneg", [a, _]) if yes => *a,
                _ => return Err("selection not computed".into()),
            };
            if let Some(value) = self.known(from) {
                self.set(d, value);
            } else {
                items.push(Item::Step { text: format!("MOV {r}{d},{r}{from}"), defs: bit(d), uses: bit(from), effect: false });
                self.x[d as usize] = Value::Symbol;
            }
            return Ok(());
        }
        let mut uses = bit(FLAGS);
        let mut names = vec![format!("{r}{d}")];
        for n in regs {
            self.show(n, items);
            if n != 31 {
                uses |= bit(n);
            }
            names.push(if n == 31 { format!("{r}ZR") } else { format!("{r}{n}") });
        }
        names.push(condition.to_uppercase());
        items.push(Item::Step { text: format!("{} {}", m.to_uppercase(), names.join(",")), defs: bit(d), uses, effect: false });
        self.x[d as usize] = Value::Symbol;
        Ok(())
    }

    fn constant(&mut self, d: u8, value: u64) -> Result<()> {
        self.set(d, value);
        Ok(())
    }

    fn print_general(&mut self, i: &Instruction, d: u8, wide: bool, compares: bool, reads_old: bool, items: &mut Vec<Item>) -> Result<()> {
        let (mut uses, mut names) = (0, Vec::new());
        if reads_old {
            self.show(d, items);
            uses |= bit(d);
        }
        for (k, o) in i.operands.iter().enumerate() {
            match o {
                Operand::Gpr { n, wide } => {
                    if k > 0 || compares {
                        self.show(*n, items);
                        if *n != 31 {
                            uses |= bit(*n);
                        }
                    }
                    let r = if *wide { "X" } else { "W" };
                    names.push(if *n == 31 { format!("{r}ZR") } else { format!("{r}{n}") });
                }
                Operand::Imm(v) => names.push(format!("#{v}")),
                Operand::Modifier { kind, amount } => names.push(format!("{} #{amount}", kind.to_uppercase())),
                other => return Err(format!("operand {other:?}")),
            }
        }
        let m = i.mnemonic.as_str();
        let bits = if wide { 64 } else { 32 };
        let imm = |k: usize| match i.operands.get(k) {
            Some(Operand::Imm(v)) => Ok(*v),
            _ => Err("number expected"),
        };
        if let ("bfi" | "bfxil", [Operand::Gpr { .. }, Operand::Gpr { n, .. }, Operand::Imm(lsb), Operand::Imm(width)]) = (m, i.operands.as_slice()) {
            // herd has no BFM.
            let (from, to) = if m == "bfi" { (0, *lsb) } else { (*lsb, 0) };
            let source = if *n == 31 { "XZR".to_string() } else { format!("X{n}") };
            items.push(step(format!("UBFM X{SUM},{source},#{from},#{}", from + width - 1), bit(SUM), uses));
            items.push(step(format!("LSL X{SUM},X{SUM},#{to}"), bit(SUM), bit(SUM)));
            number(MASK, (u64::MAX >> (64 - width)) << to, items);
            items.push(step(format!("BIC X{d},X{d},X{MASK}"), bit(d), bit(d) | bit(MASK)));
            items.push(step(format!("ORR X{d},X{d},X{SUM}"), bit(d), bit(d) | bit(SUM)));
            self.x[d as usize] = Value::Symbol;
            return Ok(());
        }
        // herd knows the instructions behind these names.
        let text = match m {
            "ubfx" => format!("UBFM {},{},#{},#{}", names[0], names[1], imm(2)?, imm(2)? + imm(3)? - 1),
            "sbfx" => format!("SBFM {},{},#{},#{}", names[0], names[1], imm(2)?, imm(2)? + imm(3)? - 1),
            "ubfiz" => format!("UBFM {},{},#{},#{}", names[0], names[1], (bits - imm(2)?) % bits, imm(3)? - 1),
            "uxtb" | "uxth" => format!("UBFM {},{},#0,#{}", names[0], names[1], if m == "uxtb" { 7 } else { 15 }),
            "sxtb" | "sxth" => format!("SBFM {},{},#0,#{}", names[0], names[1].replace('W', if wide { "X" } else { "W" }), if m == "sxtb" { 7 } else { 15 }),
            "adc" | "sbc" => {
                let carry = self.flags.ok_or("carry of loaded data")?.2;
                let op = if m == "adc" { "ADD" } else { "SUB" };
                if carry != (m == "sbc") {
                    return Err("carry in".into());
                }
                format!("{op} {}", names.join(","))
            }
            _ => format!("{} {}", m.to_uppercase(), names.join(",")),
        };
        let sets = ["adds", "subs", "ands", "bics", "negs", "cmp", "cmn", "tst"].contains(&m);
        let mut defs = if compares || d == 31 { 0 } else { bit(d) };
        if sets {
            self.flags = None;
            defs |= bit(FLAGS);
        }
        if !compares && d != 31 {
            self.x[d as usize] = Value::Symbol;
        }
        items.push(Item::Step { text, defs, uses, effect: false });
        Ok(())
    }

    fn vector(&mut self, i: &Instruction, items: &mut Vec<Item>) -> Result<()> {
        use super::lanes::{evaluate, lane as lane_of};
        let known: Option<Vec<u128>> = i.operands.iter().map(|o| match o {
            Operand::Gpr { n, .. } => self.known(*n).map(u128::from).or(if o == &i.operands[0] { Some(0) } else { None }),
            Operand::Vector { n, .. } => match self.v[*n as usize] {
                Value::Known { value, .. } => Some(value),
                Value::Symbol => None,
            },
            Operand::Imm(v) => Some(*v as u64 as u128),
            _ => Some(0),
        }).collect();
        // A destination that is overwritten whole need not be known.
        let whole = !matches!(i.operands.first(), Some(Operand::Vector { text, .. }) if text.contains('['));
        let known = known.or_else(|| {
            let rest: Option<Vec<u128>> = i.operands[1..].iter().map(|o| match o {
                Operand::Gpr { n, .. } => self.known(*n).map(u128::from),
                Operand::Vector { n, .. } => match self.v[*n as usize] {
                    Value::Known { value, .. } => Some(value),
                    Value::Symbol => None,
                },
                Operand::Imm(v) => Some(*v as u64 as u128),
                _ => Some(0),
            }).collect();
            rest.filter(|_| whole).map(|r| [vec![0], r].concat())
        });
        if let Some(args) = known
            && let Some(value) = evaluate(i, &args)
        {
            match i.operands.first() {
                Some(Operand::Gpr { n, .. }) => self.set(*n, value as u64),
                Some(Operand::Vector { n, .. }) => self.v[*n as usize] = Value::Known { value, shown: false },
                _ => return Err("no destination".into()),
            }
            return Ok(());
        }
        let before = self.v;
        let (mut uses, mut defs) = (0, 0);
        for (k, o) in i.operands.iter().enumerate() {
            match o {
                Operand::Gpr { n, .. } if k > 0 && *n != 31 => {
                    self.show(*n, items);
                    uses |= bit(*n);
                }
                Operand::Vector { n, .. } if k > 0 || !whole => {
                    self.show_vector(*n, items);
                    uses |= bit(VECTORS + n);
                }
                _ => {}
            }
        }
        match i.operands.first() {
            Some(Operand::Gpr { n, .. }) => {
                defs |= bit(*n);
                self.x[*n as usize] = Value::Symbol;
            }
            Some(Operand::Vector { n, .. }) => {
                defs |= bit(VECTORS + n);
                self.v[*n as usize] = Value::Symbol;
            }
            _ => {}
        }
        let upper = |o: &Operand| match o {
            Operand::Gpr { n: 31, wide } => if *wide { "XZR".to_string() } else { "WZR".into() },
            Operand::Gpr { n, wide } => format!("{}{n}", if *wide { "X" } else { "W" }),
            Operand::Vector { text, .. } => text.to_uppercase(),
            Operand::Imm(v) => format!("#{v}"),
            _ => "?".into(),
        };
        let names: Vec<String> = i.operands.iter().map(upper).collect();
        let zeros: Vec<u8> = (0..32).filter(|n| matches!(before[*n as usize], Value::Known { value: 0, .. })).collect();
        let zero = |n: u8| zeros.contains(&n);
        let mut step = |text: String, defs: u64, uses: u64| items.push(step(text, defs, uses));
        match (i.mnemonic.as_str(), i.operands.as_slice()) {
            ("fmov", [Operand::Vector { n, .. }, Operand::Gpr { wide, .. }]) => {
                step(format!("MOVI V{n}.2D,#0"), defs, 0);
                step(format!("MOV V{n}.{}[0],{}", if *wide { "D" } else { "S" }, names[1]), defs, uses | defs);
            }
            ("fmov", [Operand::Vector { n, text }, Operand::Vector { n: s, .. }]) => {
                let (r, l) = if text.starts_with('d') { ("X", "D") } else { ("W", "S") };
                step(format!("MOV {r}{SUM},V{s}.{l}[0]"), bit(SUM), uses);
                step(format!("MOVI V{n}.2D,#0"), defs, 0);
                step(format!("MOV V{n}.{l}[0],{r}{SUM}"), defs, defs | bit(SUM));
            }
            ("umov" | "mov" | "smov", [Operand::Gpr { n, .. }, Operand::Vector { n: v, text }]) => {
                let (r, lane) = herd_lane(*v, text)?;
                step(format!("MOV {r}{n},{lane}"), defs, uses);
                if i.mnemonic == "smov" {
                    let bits = 8 * lane_of(text).map_or(4, |l| l.bytes);
                    step(format!("SBFM X{n},X{n},#0,#{}", bits - 1), defs, defs);
                }
            }
            // herd moves lanes to and from general registers only.
            ("mov" | "ins", [Operand::Vector { n, text: to }, Operand::Vector { n: v, text: from }]) if from.contains('[') => {
                let (r, lane) = herd_lane(*v, from)?;
                step(format!("MOV {r}{SUM},{lane}"), bit(SUM), uses);
                match herd_lane(*n, to) {
                    Ok((_, to)) => step(format!("MOV {to},{r}{SUM}"), defs, uses | defs | bit(SUM)),
                    Err(_) => {
                        step(format!("MOVI V{n}.2D,#0"), defs, 0);
                        let to = lane.replacen(&format!("V{v}"), &format!("V{n}"), 1).split('[').next().unwrap_or_default().to_string();
                        step(format!("MOV {to}[0],{r}{SUM}"), defs, defs | bit(SUM));
                    }
                }
            }
            ("dup", [Operand::Vector { .. }, Operand::Vector { n: v, text: from }]) => {
                let (r, lane) = herd_lane(*v, from)?;
                step(format!("MOV {r}{SUM},{lane}"), bit(SUM), uses);
                step(format!("DUP {},{r}{SUM}", names[0]), defs, bit(SUM));
            }
            // It has no ORR: what is united with zero is moved.
            ("orr", [_, Operand::Vector { n: a, .. }, Operand::Vector { n: b, .. }]) if zero(*a) || zero(*b) => {
                let from = if zero(*a) { b } else { a };
                step(format!("MOV {},V{from}.16B", names[0].replace("8B", "16B")), defs, uses);
            }
            (m, _) => step(format!("{} {}", m.to_uppercase(), names.join(",")), defs, uses),
        }
        Ok(())
    }
}

/// A lane as herd writes it, with the letter of the general register that it moves to.
fn herd_lane(n: u8, text: &str) -> Result<(&'static str, String)> {
    let lane = super::lanes::lane(text).ok_or("no lane")?;
    let letter = ["B", "H", "S", "D"][lane.bytes.trailing_zeros() as usize];
    Ok((if lane.bytes == 8 { "X" } else { "W" }, format!("V{n}.{letter}[{}]", lane.index)))
}

/// What an access reads and writes of its register operands.
struct Shape {
    name: String,
    bytes: usize,
    loads: bool,
    /// Registers before the memory operand that are read although the instruction loads: `None` all of them are as `loads` says.
    reads: &'static [usize],
    writes: &'static [usize],
    /// Bits to sign-extend from afterwards.
    then: Option<u32>,
}

impl Shape {
    fn use_of(&self, k: usize) -> (bool, bool) {
        if self.reads.is_empty() && self.writes.is_empty() {
            return (!self.loads, self.loads);
        }
        (self.reads.contains(&k), self.writes.contains(&k))
    }
}

fn is_access(m: &str) -> bool {
    m.starts_with("ld") || m.starts_with("st") || m.starts_with("swp") || m.starts_with("cas")
}

fn shape(i: &Instruction) -> Option<Shape> {
    let m = i.mnemonic.as_str();
    let registers = i.operands.iter().take_while(|o| !matches!(o, Operand::Memory { .. })).count();
    let last = match i.operands.get(registers.checked_sub(1)?)? {
        Operand::Gpr { wide, .. } => if *wide { 8 } else { 4 },
        Operand::Vector { text, .. } => match text.chars().next()? {
            'q' => 16,
            'd' => 8,
            's' => 4,
            'h' => 2,
            'b' => 1,
            _ => 16,
        },
        _ => return None,
    };
    let narrow = match m {
        "ld1r" => return None,
        _ if m.ends_with("sw") && m.starts_with("ld") => 4,
        _ if m.ends_with('b') => 1,
        _ if m.ends_with('h') => 2,
        _ => last,
    };
    let vector = matches!(i.operands.first(), Some(Operand::Vector { .. }));
    let plain = |name: &str, loads: bool| Shape { name: name.into(), bytes: narrow, loads, reads: &[], writes: &[], then: None };
    Some(match m {
        _ if m.starts_with("ldur") => plain(&m.replacen("ldur", "ldr", 1), true),
        _ if m.starts_with("stur") => plain(&m.replacen("stur", "str", 1), false),
        _ if m.starts_with("ldapur") && !vector => {
            // herd has no LDAPUR of general registers: an addition and LDAPR, which the Arm ARM orders alike; the signed ones are extended afterwards.
            let (name, then) = match &m[6..] {
                "sb" => ("ldaprb", Some(8)),
                "sh" => ("ldaprh", Some(16)),
                "sw" => ("ldapr", Some(32)),
                "b" => ("ldaprb", None),
                "h" => ("ldaprh", None),
                _ => ("ldapr", None),
            };
            Shape { then, ..plain(name, true) }
        }
        _ if m.starts_with("stlur") && !vector => plain(&m.replacen("stlur", "stlr", 1), false),
        "ldp" | "ldaxp" | "ldxp" | "ldiapp" | "ldnp" => Shape { bytes: 2 * last, ..plain(m, true) },
        "stp" | "stilp" | "stnp" => Shape { bytes: 2 * last, ..plain(m, false) },
        "stlxp" | "stxp" => Shape { bytes: 2 * last, reads: &[1, 2], writes: &[0], ..plain(m, false) },
        _ if m.starts_with("stlx") || m.starts_with("stx") => Shape { reads: &[1], writes: &[0], ..plain(m, false) },
        _ if m.starts_with("casp") => Shape { bytes: 2 * last, reads: &[0, 1, 2, 3], writes: &[0, 1], ..plain(m, false) },
        _ if m.starts_with("cas") => Shape { reads: &[0, 1], writes: &[0], ..plain(m, false) },
        _ if m.starts_with("swp") || ["ldadd", "ldclr", "ldeor", "ldset"].iter().any(|p| m.starts_with(p)) => Shape { reads: &[0], writes: &[1], ..plain(m, false) },
        _ if m.starts_with("ld") => plain(m, true),
        _ if m.starts_with("st") => plain(m, false),
        _ => return None,
    })
}
