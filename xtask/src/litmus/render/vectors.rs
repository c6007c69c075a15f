//! Arithmetic of vector registers: known numbers are computed, the rest is written in herd's words.

use super::super::a64::{Instruction, Operand};
use super::super::lanes::{evaluate, lane as lane_of};
use super::{Item, Machine, SUM, VECTORS, Value, bit, step};
use crate::Result;

impl Machine<'_> {
    pub(super) fn vector(&mut self, i: &Instruction, items: &mut Vec<Item>) -> Result<()> {
        let value = |o: &Operand| match o {
            Operand::Gpr { n, .. } => self.known(*n).map(u128::from),
            Operand::Vector { n, .. } => match self.v[*n as usize] {
                Value::Known { value, .. } => Some(value),
                Value::Symbol | Value::Led { .. } => None,
            },
            Operand::Imm(v) => Some(*v as u64 as u128),
            _ => Some(0),
        };
        // A general register that is the destination is overwritten.
        let known: Option<Vec<u128>> = i.operands.iter().map(|o| value(o).or_else(|| (matches!(o, Operand::Gpr { .. }) && o == &i.operands[0]).then_some(0))).collect();
        // A destination that is overwritten whole need not be known.
        let whole = !matches!(i.operands.first(), Some(Operand::Vector { text, .. }) if text.contains('['));
        let known = known.or_else(|| {
            let rest: Option<Vec<u128>> = i.operands[1..].iter().map(value).collect();
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
    let lane = lane_of(text).ok_or("no lane")?;
    let letter = ["B", "H", "S", "D"][lane.bytes.trailing_zeros() as usize];
    Ok((if lane.bytes == 8 { "X" } else { "W" }, format!("V{n}.{letter}[{}]", lane.index)))
}
