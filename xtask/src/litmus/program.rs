//! A litmus test as data: what each thread does to shared memory. Read from and written as herd's X86_64 syntax, the part of it that diy7
//! generates and that `fixtures/litmus` is written in: MOV and XCHG of 1 to 8 bytes, MFENCE.

use crate::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// One final state: every thread's registers in the order in which they were loaded, then every variable's first bytes.
pub type Outcome = Vec<u64>;
/// All final states.
pub type Outcomes = BTreeSet<Outcome>;

/// Bytes of a variable. What threads move lies in the first half.
pub const VARIABLE: usize = 32;

/// A place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Variable by number.
    pub var: usize,
    /// Offset in bytes.
    pub offset: usize,
    /// Bytes accessed.
    pub bytes: usize,
}

/// What is stored: a number, or what was loaded before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// A number.
    Imm(u64),
    /// The thread's register.
    Slot(usize),
}

/// What memory becomes in a LOCK'ed operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// The operand.
    Swap,
    /// The sum.
    Add,
    /// The union of bits.
    Or,
    /// The common bits.
    And,
    /// The differing bits.
    Xor,
    /// The operand, if it was this.
    IfEqual(u64),
}

/// One access or fence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// A load into register `slot`.
    Load { slot: usize, at: Place },
    /// A store.
    Store { value: Value, at: Place },
    /// A LOCK'ed read-modify-write, the old value perhaps to a register.
    Locked { update: Update, value: Value, slot: Option<usize>, at: Place },
    /// A full fence.
    Fence,
}

/// A test.
#[derive(Clone, Debug)]
pub struct Test {
    /// Unique name.
    pub name: String,
    /// Names of variables.
    pub vars: Vec<String>,
    /// Bytes of each variable that are looked at in the end, and of most accesses.
    pub width: usize,
    /// What each thread does.
    pub threads: Vec<Vec<Op>>,
}

impl Op {
    /// The place that is accessed.
    pub fn place(&self) -> Option<Place> {
        match *self {
            Op::Load { at, .. } | Op::Store { at, .. } | Op::Locked { at, .. } => Some(at),
            Op::Fence => None,
        }
    }
    /// The register that is written.
    pub fn slot(&self) -> Option<usize> {
        match *self {
            Op::Load { slot, .. } => Some(slot),
            Op::Locked { slot, .. } => slot,
            _ => None,
        }
    }
}

/// How many registers the operations of a thread load.
pub fn slots(ops: &[Op]) -> usize {
    ops.iter().filter_map(Op::slot).map(|s| s + 1).max().unwrap_or(0)
}

/// The low bytes of a number.
pub fn cut(value: u64, bytes: usize) -> u64 {
    if bytes >= 8 { value } else { value & ((1 << (8 * bytes)) - 1) }
}

#[derive(Clone, Copy)]
enum Known {
    Number(u64),
    Address(usize),
    Loaded(usize),
}

impl Test {
    /// Are there accesses of other bytes than a variable's first `width`?
    pub fn is_mixed(&self) -> bool {
        self.threads.iter().flatten().filter_map(Op::place).any(|p| p.offset != 0 || p.bytes != self.width)
    }

    /// Reads a test; `prefix` goes before its name.
    pub fn parse(text: &str, prefix: &str) -> Result<Test> {
        let name = text.lines().next().and_then(|l| l.strip_prefix("X86_64 ")).ok_or("no line `X86_64 NAME`")?.trim();
        let wrong = |what: &str| format!("{prefix}{name}: {what}");
        let (_, rest) = text.split_once('{').ok_or_else(|| wrong("no initial state"))?;
        let (init, body) = rest.split_once('}').ok_or_else(|| wrong("no end of the initial state"))?;
        let mut test = Test { name: format!("{prefix}{name}"), vars: Vec::new(), width: 0, threads: Vec::new() };
        let mut known: BTreeMap<(usize, String), Known> = BTreeMap::new();
        for item in init.split(';').map(str::trim).filter(|i| i.contains('=')) {
            let (place, value) = item.split_once('=').ok_or_else(|| wrong(item))?;
            let (thread, reg) = place.split_once(':').ok_or_else(|| wrong(item))?;
            let thread = thread.trim().parse().map_err(|_| wrong(item))?;
            let value = match value.trim().parse() {
                Ok(n) => Known::Number(n),
                Err(_) => Known::Address(test.var(value.trim())),
            };
            known.insert((thread, full_register(reg.trim()).0), value);
        }
        let rows = body.lines().map(str::trim).take_while(|l| !l.starts_with("exists") && !l.starts_with("forall") && !l.starts_with('~')).filter(|l| l.ends_with(';'));
        let mut widths = 0;
        for (k, row) in rows.enumerate() {
            for (thread, cell) in row.trim_end_matches(';').split('|').map(str::trim).enumerate() {
                if k == 0 {
                    test.threads.push(Vec::new());
                } else if !cell.is_empty() {
                    let op = test.instruction(thread, cell, &mut known).ok_or_else(|| wrong(cell))?;
                    if let Some(place) = op.as_ref().and_then(Op::place) {
                        widths = widths.max((place.offset + place.bytes).next_power_of_two());
                    }
                    test.threads[thread].extend(op);
                }
            }
        }
        test.width = widths;
        Ok(test)
    }

    fn var(&mut self, name: &str) -> usize {
        let name = name.trim_matches(['[', ']']);
        self.vars.iter().position(|v| v == name).unwrap_or_else(|| {
            self.vars.push(name.into());
            self.vars.len() - 1
        })
    }

    /// One instruction; `Some(None)` if it only moves a number to a register.
    fn instruction(&mut self, thread: usize, text: &str, known: &mut BTreeMap<(usize, String), Known>) -> Option<Option<Op>> {
        if text == "mfence" {
            return Some(Some(Op::Fence));
        }
        let (mnemonic, operands) = text.split_once(' ')?;
        let bytes = match mnemonic.chars().last()? {
            'b' => 1,
            'w' => 2,
            'l' => 4,
            'q' => 8,
            _ => return None,
        };
        let (from, to) = operands.split_once(',').map(|(a, b)| (a.trim(), b.trim()))?;
        let register = |o: &str| o.strip_prefix('%').map(|r| (thread, full_register(r).0));
        let slot = slots(&self.threads[thread]);
        let memory = |test: &mut Test, o: &str| {
            let (offset, base) = o.strip_suffix(')')?.split_once('(')?;
            let offset = if offset.is_empty() { 0 } else { offset.parse().ok()? };
            let var = match base.strip_prefix('%') {
                Some(r) => match known.get(&(thread, full_register(r).0))? {
                    Known::Address(var) => *var,
                    _ => return None,
                },
                None => test.var(base),
            };
            Some(Place { var, offset, bytes })
        };
        let value = |o: &str| match o.strip_prefix('$') {
            Some(n) => n.parse::<i64>().ok().map(|n| Value::Imm(cut(n as u64, bytes))),
            None => match known.get(&register(o)?)? {
                Known::Number(n) => Some(Value::Imm(cut(*n, bytes))),
                Known::Loaded(slot) => Some(Value::Slot(*slot)),
                Known::Address(_) => None,
            },
        };
        Some(match &mnemonic[..mnemonic.len() - 1] {
            "mov" if to.ends_with(')') => {
                let value = value(from)?;
                Some(Op::Store { value, at: memory(self, to)? })
            }
            "mov" if from.ends_with(')') => {
                let at = memory(self, from)?;
                known.insert(register(to)?, Known::Loaded(slot));
                Some(Op::Load { slot, at })
            }
            "mov" => {
                let Value::Imm(n) = value(from)? else { return None };
                known.insert(register(to)?, Known::Number(n));
                None
            }
            "xchg" => {
                let (m, r) = if from.ends_with(')') { (from, to) } else { (to, from) };
                let value = value(r)?;
                let at = memory(self, m)?;
                known.insert(register(r)?, Known::Loaded(slot));
                Some(Op::Locked { update: Update::Swap, value, slot: Some(slot), at })
            }
            _ => return None,
        })
    }

    /// The test in herd's syntax, with all registers and variables shown; `None` if herd's x86 has no word for one of its operations.
    pub fn to_x86(&self) -> Option<String> {
        const REGISTERS: [&str; 4] = ["rax", "rbx", "rcx", "rdx"];
        const ADDRESSES: [&str; 4] = ["rsi", "rdi", "r8", "r9"];
        const SPARE: &str = "rbp";
        let mut init: String = self.vars.iter().fold(String::new(), |all, v| format!("{all}uint{}_t {v}; ", 8 * self.width));
        let mut columns: Vec<Vec<String>> = Vec::new();
        let mut shown = Vec::new();
        for (t, ops) in self.threads.iter().enumerate() {
            let mut column = Vec::new();
            for (k, v) in self.vars.iter().enumerate() {
                write!(init, "{t}:{}={v}; ", ADDRESSES.get(k)?).ok()?;
            }
            let memory = |p: &Place| Some(if p.offset == 0 { format!("(%{})", ADDRESSES.get(p.var)?) } else { format!("{}(%{})", p.offset, ADDRESSES.get(p.var)?) });
            for op in ops {
                let suffix = op.place().map_or("", |p| suffix(p.bytes));
                match op {
                    Op::Fence => column.push("mfence".into()),
                    Op::Load { slot, at } => column.push(format!("mov{suffix} {},%{}", memory(at)?, sized(REGISTERS.get(*slot)?, at.bytes))),
                    Op::Store { value: Value::Imm(n), at } => column.push(format!("mov{suffix} ${},{}", *n as i64, memory(at)?)),
                    Op::Store { value: Value::Slot(s), at } => column.push(format!("mov{suffix} %{},{}", sized(REGISTERS.get(*s)?, at.bytes), memory(at)?)),
                    Op::Locked { update: Update::Swap, value: Value::Imm(n), slot, at } => {
                        let r = sized(slot.map_or(Some(&SPARE), |s| REGISTERS.get(s))?, at.bytes);
                        column.push(format!("mov{suffix} ${},%{r}", *n as i64));
                        column.push(format!("xchg{suffix} {},%{r}", memory(at)?));
                    }
                    Op::Locked { .. } => return None,
                }
            }
            (0..slots(ops)).for_each(|s| shown.push(format!("{t}:{}", REGISTERS[s])));
            columns.push(column);
        }
        self.vars.iter().for_each(|v| shown.push(v.clone()));
        Some(format!("X86_64 {}\n{{ {init}}}\n{}locations [{};]\nforall (true)\n", self.name, table(&columns), shown.join(";")))
    }

    /// Reads final states as herd prints them: one `NAME=VALUE;` for each name, in the order of [`Test::to_x86`].
    pub fn widths_shown(&self) -> Vec<usize> {
        let slot = |ops: &Vec<Op>, s: usize| ops.iter().find(|o| o.slot() == Some(s)).and_then(Op::place).map_or(8, |p| p.bytes);
        let registers = self.threads.iter().flat_map(|ops| (0..slots(ops)).map(move |s| slot(ops, s)));
        registers.chain(self.vars.iter().map(|_| self.width)).collect()
    }
}

/// Threads side by side, as litmus files have them.
pub fn table(columns: &[Vec<String>]) -> String {
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = (0..columns.len()).map(|t| format!(" P{t} ")).collect::<Vec<_>>().join("|") + ";\n";
    for row in 0..rows {
        let cells: Vec<String> = columns.iter().map(|c| format!(" {} ", c.get(row).map_or("", String::as_str))).collect();
        text += &(cells.join("|") + ";\n");
    }
    text
}

fn suffix(bytes: usize) -> &'static str {
    match bytes {
        1 => "b",
        2 => "w",
        4 => "l",
        _ => "q",
    }
}

const NAMES: [[&str; 4]; 10] = [
    ["rax", "eax", "ax", "al"],
    ["rbx", "ebx", "bx", "bl"],
    ["rcx", "ecx", "cx", "cl"],
    ["rdx", "edx", "dx", "dl"],
    ["rsi", "esi", "si", "sil"],
    ["rdi", "edi", "di", "dil"],
    ["rbp", "ebp", "bp", "bpl"],
    ["r8", "r8d", "r8w", "r8b"],
    ["r9", "r9d", "r9w", "r9b"],
    ["r10", "r10d", "r10w", "r10b"],
];

/// The 64-bit register that a name belongs to, and the bytes that the name stands for.
fn full_register(name: &str) -> (String, usize) {
    let found = NAMES.iter().find_map(|row| row.iter().position(|n| *n == name).map(|k| (row[0].to_string(), 8 >> k)));
    found.unwrap_or_else(|| (name.to_string(), 8))
}

/// The part of a 64-bit register.
pub fn sized(name: &str, bytes: usize) -> String {
    let column = 3 - bytes.trailing_zeros() as usize;
    match NAMES.iter().find(|row| row[0] == name) {
        Some(row) => row[column].into(),
        None => format!("{name}{}", ["", "d", "w", "b"][column]),
    }
}
