//! Memory accesses: which variable, which registers are read and written, how herd writes it.

use super::super::a64::{Instruction, Operand};
use super::{ADDRESSES, Item, MASK, Machine, OWN, STATE, STATE_SIZE, SUM, Thread, VECTORS, Value, ZERO, address_of, bit};
use crate::Result;

impl Machine<'_> {
    /// The address of a memory operand, and herd's register that adds nothing but a dependency; sets what is written back to the base.
    fn address(&mut self, i: &Instruction, items: &mut Vec<Item>) -> Result<(u64, Option<u8>)> {
        let at = i.operands.iter().position(|o| matches!(o, Operand::Memory { .. })).ok_or("no memory operand")?;
        let Operand::Memory { base, offset, index, writes_back } = i.operands[at].clone() else { return Err("no memory operand".into()) };
        let (from, mut by) = match self.x[base as usize] {
            Value::Led { address } if !writes_back => (address, Some(base)),
            _ => (self.known(base).ok_or("the address depends on a load")?, None),
        };
        let mut address = from.wrapping_add(offset as u64);
        if let Some((n, shift)) = index {
            match self.known(n) {
                Some(more) => address = address.wrapping_add(more << shift),
                None if self.x[n as usize] == Value::Symbol && by.is_none() => {
                    items.push(Item::Step { text: format!("EOR X{MASK},X{n},X{n}"), defs: bit(MASK), uses: bit(n), effect: false });
                    by = Some(MASK);
                }
                None => return Err("the index depends on a load".into()),
            }
        }
        match i.operands.get(at + 1) {
            Some(Operand::Imm(step)) => self.set(base, from.wrapping_add(*step as u64)),
            _ if writes_back => self.set(base, address),
            _ => {}
        }
        Ok((address, by))
    }

    pub(super) fn access(&mut self, i: &Instruction, thread: &mut Thread, items: &mut Vec<Item>) -> Result<()> {
        let (address, led_by) = self.address(i, items)?;
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
        if let Some(n) = led_by {
            if var < OWN {
                return Err("an address of what is shared depends on a load".into());
            }
            items.push(Item::Step { text: format!("ADD X{SUM},X{base},X{n}"), defs: bit(SUM), uses: bit(n), effect: false });
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
                        if matches!(self.x[*n as usize], Value::Symbol | Value::Led { .. }) {
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

/// Is it a load, a store or an atomic operation?
pub(super) fn is_access(m: &str) -> bool {
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
