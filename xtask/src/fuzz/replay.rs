//! Recorded vectors: cases with the results of a real processor, replayed where there is none.
//!
//! `fixtures/semantics/NAME.bin` holds cases one after the other. Each stores only what differs: its input from the noise of its seed
//! ([`Record::background`]), its result from its input. Numbers are little-endian:
//! `u16` form (of the iced release that recorded it: used for the name only), `u32` seed, `u16` flags that are undefined, then two lists of
//! patches. A list is `u16` bytes of patches, and a patch `u16` offset, `u8` length, bytes.

use super::case::{Case, Record, SIZE, at};
use super::runner::{self, End, Machine};
use super::{cases, compare, declared, generate, name};
use crate::{Result, emulator::Emulator, project};
use iced_x86::Code;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Cases recorded for each form.
const CASES: u64 = 6;
/// Their seed.
const SEED: u64 = 0x1e57;
/// Forms in a file.
const FORMS: usize = 600;

/// A test of the replay: one file of vectors.
pub struct Outcome {
    /// Cases that agreed.
    pub passed: usize,
    /// One text for each case that did not.
    pub failed: Vec<String>,
}

/// Records cases of `forms` into files of `fixtures/semantics` that begin with `name`, instead of those that do.
///
/// Cases that fault are left out, and those with pages of 4 KB that may not be used: hosts have other pages too.
pub fn record(native: &Machine, name: &str, forms: &[(usize, Code)]) -> Result<()> {
    let dir = project::root().join("fixtures/semantics");
    for (number, forms) in forms.chunks(FORMS).enumerate() {
        let cases = cases(forms, SEED, CASES);
        let (results, end) = native.run(&cases.iter().map(|c| &c.record).collect::<Vec<_>>())?;
        if end != End::Complete {
            return Err(format!("the runner ended early: {end:?}"));
        }
        let mut file = Vec::new();
        let keep = |(case, result): &(&Case, &Record)| result.signal() == 0 && case.record.get32(at::NEEDS) >> 8 == 0;
        let mut kept = 0;
        for (case, result) in cases.iter().zip(&results).filter(keep) {
            kept += 1;
            file.extend((case.form as u16).to_le_bytes());
            file.extend(case.seed.to_le_bytes());
            file.extend((case.undefined_flags as u16).to_le_bytes());
            patches(&mut file, &Record::background(case.seed), &case.record);
            patches(&mut file, &case.record, result);
        }
        let path = dir.join(format!("{name}{number}.bin"));
        fs::write(&path, &file).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{}: {kept} cases, {} bytes", path.display(), file.len());
    }
    Ok(())
}

fn patches(file: &mut Vec<u8>, from: &Record, to: &Record) {
    let mut list: Vec<u8> = Vec::new();
    let mut i = 0;
    while i < SIZE {
        if from.0[i] == to.0[i] {
            i += 1;
            continue;
        }
        // A patch goes on over up to 3 equal bytes: a new one costs as much.
        let mut end = i + 1;
        let mut next = end;
        while next < SIZE && next - end <= 3 && next - i < 255 {
            if from.0[next] != to.0[next] {
                end = next + 1;
            }
            next += 1;
        }
        list.extend((i as u16).to_le_bytes());
        list.push((end - i) as u8);
        list.extend(&to.0[i..end]);
        i = end;
    }
    file.extend((list.len() as u16).to_le_bytes());
    file.extend(list);
}

/// The files of recorded vectors.
pub fn files() -> Result<Vec<std::path::PathBuf>> {
    let dir = project::root().join("fixtures/semantics");
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "bin")).collect();
    files.sort();
    Ok(files)
}

/// Reads a file: cases and the results that the processor gave.
fn load(path: &Path) -> Result<Vec<(Case, Record)>> {
    let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut rest = bytes.as_slice();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let pair = read(&mut rest).ok_or_else(|| format!("{}: damaged at byte {}", path.display(), bytes.len() - rest.len()))?;
        all.push(pair);
    }
    Ok(all)
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(n)?;
    *rest = tail;
    Some(head)
}

fn u16_of(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(take(rest, 2)?.try_into().ok()?))
}

fn read(rest: &mut &[u8]) -> Option<(Case, Record)> {
    let form = u16_of(rest)? as usize;
    let seed = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
    let undefined_flags = u16_of(rest)? as u64;
    let mut record = Record::background(seed);
    patch(&mut record, rest)?;
    let mut result = record.clone();
    patch(&mut result, rest)?;
    let (len, involved, volatile) = generate::extent(&record);
    Some((Case { record, seed, form, start: 0, len, undefined_flags, locked: false, involved, volatile }, result))
}

fn patch(record: &mut Record, rest: &mut &[u8]) -> Option<()> {
    let length = u16_of(rest)? as usize;
    let mut list = take(rest, length)?;
    while !list.is_empty() {
        let offset = u16_of(&mut list)? as usize;
        let n = take(&mut list, 1)?[0] as usize;
        record.0.get_mut(offset..offset + n)?.copy_from_slice(take(&mut list, n)?);
    }
    Some(())
}

/// Replays one file under `emulator`, which runs on processor `cpu`.
pub fn replay(emulator: &Emulator, cpu: &str, path: &Path) -> Result<Outcome> {
    let prefix = emulator.runner.iter().chain(&emulator.program).cloned().collect();
    let machine = Machine { prefix, runner: runner::build()? };
    let declared = declared::Table::load(cpu)?;
    let all = load(path)?;
    let mut outcome = Outcome { passed: 0, failed: Vec::new() };
    let mut deaths: BTreeMap<usize, u32> = BTreeMap::new();
    let mut left = all.as_slice();
    while !left.is_empty() {
        let run: Vec<&(Case, Record)> = left.iter().filter(|(c, _)| deaths.get(&c.form).is_none_or(|&n| n < 1)).collect();
        let (results, end) = machine.run(&run.iter().map(|(c, _)| &c.record).collect::<Vec<_>>())?;
        for ((case, expected), got) in run.iter().zip(&results) {
            let form = name(case.form);
            let differences = compare::differences(case, expected, got);
            let texts: Vec<String> = differences.iter().filter(|d| !declared.allows(case, &form, expected.signal() != 0 || got.signal() != 0, d)).map(|d| d.text.clone()).collect();
            if texts.is_empty() {
                outcome.passed += 1;
            } else {
                outcome.failed.push(format!("{form}\n{}\n      {}", compare::describe(case), texts.join("\n      ")));
            }
        }
        if end == End::Complete {
            break;
        }
        let dead = run[results.len()];
        *deaths.entry(dead.0.form).or_default() += 1;
        outcome.failed.push(format!("{} {end:?}\n{}", name(dead.0.form), compare::describe(&dead.0)));
        let at = left.iter().position(|c| std::ptr::eq(c, dead)).expect("it came from there");
        left = &left[at + 1..];
    }
    Ok(outcome)
}
