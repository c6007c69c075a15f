//! x86-TSO as an abstract machine (Owens, Sarkar, Sewell, "A better x86 memory model: x86-TSO", 2009): each thread has a FIFO buffer of stores, loads
//! look into their own thread's buffer first, LOCK'ed operations and fences wait until it is empty.
//!
//! herd's x86 knows neither XADD nor CMPXCHG; this machine does. Where both can run a test they must agree, which [`super`] checks.

use super::program::{Op, Outcome, Outcomes, Place, Test, Update, VARIABLE, Value, cut, slots};
use std::collections::{HashSet, VecDeque};

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    memory: Vec<u8>,
    threads: Vec<Thread>,
}

#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Thread {
    next: usize,
    slots: Vec<u64>,
    buffer: VecDeque<(usize, usize, u64)>,
}

/// Every final state that x86-TSO allows.
pub fn outcomes(test: &Test) -> Outcomes {
    let threads = test.threads.iter().map(|ops| Thread { slots: vec![0; slots(ops)], ..Thread::default() }).collect();
    let start = State { memory: vec![0; VARIABLE * test.vars.len()], threads };
    let (mut seen, mut pending, mut found) = (HashSet::from([start.clone()]), vec![start], Outcomes::new());
    while let Some(state) = pending.pop() {
        let mut moved = false;
        for t in 0..test.threads.len() {
            for next in [drain(&state, t), step(&state, test, t)].into_iter().flatten() {
                moved = true;
                if seen.insert(next.clone()) {
                    pending.push(next);
                }
            }
        }
        if !moved {
            found.insert(outcome(&state, test));
        }
    }
    found
}

fn outcome(state: &State, test: &Test) -> Outcome {
    let slots = state.threads.iter().flat_map(|t| t.slots.iter().copied());
    let vars = (0..test.vars.len()).map(|v| number(&state.memory[VARIABLE * v..], test.width));
    slots.chain(vars).collect()
}

fn number(bytes: &[u8], count: usize) -> u64 {
    bytes[..count.min(8)].iter().rev().fold(0, |n, b| n << 8 | *b as u64)
}

fn write(memory: &mut [u8], at: usize, bytes: usize, value: u64) {
    // What is wider than a number has zeros above it.
    for k in 0..bytes {
        memory[at + k] = if k < 8 { (value >> (8 * k)) as u8 } else { 0 };
    }
}

fn address(p: &Place) -> usize {
    VARIABLE * p.var + p.offset
}

/// The oldest store of the buffer reaches memory.
fn drain(state: &State, t: usize) -> Option<State> {
    let mut next = state.clone();
    let (at, bytes, value) = next.threads[t].buffer.pop_front()?;
    write(&mut next.memory, at, bytes, value);
    Some(next)
}

fn step(state: &State, test: &Test, t: usize) -> Option<State> {
    let op = test.threads[t].get(state.threads[t].next)?;
    let mut next = state.clone();
    let thread = &mut next.threads[t];
    thread.next += 1;
    let value = |v: &Value, slots: &[u64]| match *v {
        Value::Imm(n) => n,
        Value::Slot(s) => slots[s],
    };
    match op {
        Op::Load { slot, at } => {
            let mut seen = next.memory.clone();
            thread.buffer.iter().for_each(|&(at, bytes, value)| write(&mut seen, at, bytes, value));
            thread.slots[*slot] = number(&seen[address(at)..], at.bytes);
        }
        Op::Store { value: v, at } => thread.buffer.push_back((address(at), at.bytes, cut(value(v, &thread.slots), at.bytes))),
        Op::Fence if !thread.buffer.is_empty() => return None,
        Op::Fence => {}
        Op::Locked { .. } if !thread.buffer.is_empty() => return None,
        Op::Locked { update, value: v, slot, at } => {
            let old = number(&next.memory[address(at)..], at.bytes);
            let operand = value(v, &thread.slots);
            let new = match *update {
                Update::Swap => operand,
                Update::Add => old.wrapping_add(operand),
                Update::Or => old | operand,
                Update::And => old & operand,
                Update::Xor => old ^ operand,
                Update::IfEqual(expected) if old == expected => operand,
                Update::IfEqual(_) => old,
            };
            write(&mut next.memory, address(at), at.bytes, cut(new, at.bytes));
            if let Some(s) = slot {
                thread.slots[*s] = old;
            }
        }
    }
    Some(next)
}
