//! Differences that xemu declares: `fixtures/semantics/declared.txt`.
//!
//! A line says when it holds, for which forms (a regular expression), in which fields (separated by commas), and why. `#` starts a comment.

use super::case::{Case, at};
use super::compare::Difference;
use crate::{Result, project};
use iced_x86::{Decoder, DecoderOptions, Instruction};
use regex::Regex;

/// When a row holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    /// On every host.
    Always,
    /// On hosts without FEAT_AFP.
    NoAfp,
    /// There, and when MXCSR's FTZ is set.
    NoAfpFlush,
    /// There, and when only one of MXCSR's FTZ and DAZ is set.
    NoAfpMixed,
    /// When the memory operand's address is none, but for its top byte.
    Tagged,
    /// When the instruction has about as many bytes as there may be.
    Long,
    /// When the case faults with its memory operand on both sides of a page's end.
    Crossing,
    /// When this machine's processor is Intel's, not of the maker whose ways xemu has.
    Intel,
    /// There, in cases that end with a signal.
    IntelFault,
    /// When it is AMD's, but not the model whose ways xemu has (Zen 4).
    OtherAmd,
}

/// The table, for one host.
pub struct Table {
    rows: Vec<(When, Regex, Vec<String>)>,
    afp: bool,
    intel: bool,
    other_amd: bool,
}

/// Whether the ARM64 processor that xemu runs on (QEMU's model `cpu` on an x86_64 host) has FEAT_AFP.
fn has_afp(cpu: &str) -> bool {
    if project::HOST_IS_X86 {
        return cpu == "max";
    }
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.split_whitespace().any(|w| w == "afp"))
}

impl Table {
    /// For comparison with this machine's processor.
    pub fn live(cpu: &str) -> Result<Self> {
        // Zen 3 and 4 are one family; Zen 4 is the first one with AVX-512.
        let zen4 = std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|t| t.contains(" avx512f") && t.contains("cpu family\t: 25\n"));
        let other_amd = project::processor_is_made_by("AuthenticAMD") && !zen4;
        Ok(Table { intel: project::processor_is_made_by("GenuineIntel"), other_amd, ..Table::load(cpu)? })
    }

    /// For comparison with what the processor of the right maker did.
    pub fn load(cpu: &str) -> Result<Self> {
        let path = project::root().join("fixtures/semantics/declared.txt");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut rows = Vec::new();
        for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
            let row = row(line).ok_or_else(|| format!("{}: not `WHEN FORMS FIELDS REASON`: {line}", path.display()))?;
            rows.push(row);
        }
        Ok(Table { rows, afp: has_afp(cpu), intel: false, other_amd: false })
    }

    /// Whether this difference of `case`, whose form is called `form` and which ended with a signal or not, is declared.
    pub fn allows(&self, case: &Case, form: &str, signalled: bool, difference: &Difference) -> bool {
        let mxcsr = case.record.get32(at::MXCSR);
        let holds = |when| match when {
            When::Always => true,
            When::NoAfp => !self.afp,
            When::NoAfpFlush => !self.afp && mxcsr >> 15 & 1 != 0,
            When::Tagged => tagged(case),
            When::Long => case.len - case.start >= 12,
            When::Crossing => crosses(case),
            When::Intel => self.intel,
            When::IntelFault => self.intel && signalled,
            When::OtherAmd => self.other_amd,
            When::NoAfpMixed => !self.afp && (mxcsr >> 15 & 1) != (mxcsr >> 6 & 1),
        };
        let field = &difference.field;
        let names = |fields: &[String]| {
            fields.iter().any(|f| {
                let (f, near) = f.strip_suffix("~1").map_or((f.as_str(), true), |f| (f, difference.ulps.is_some_and(|n| n <= 1)));
                near && (f == field || f.strip_suffix('*').is_some_and(|head| field.starts_with(head)))
            })
        };
        self.rows.iter().any(|(when, forms, fields)| holds(*when) && names(fields) && forms.is_match(form))
    }
}

fn row(line: &str) -> Option<(When, Regex, Vec<String>)> {
    let mut words = line.splitn(4, char::is_whitespace);
    let when = match words.next()? {
        "always" => When::Always,
        "no-afp" => When::NoAfp,
        "no-afp-flush" => When::NoAfpFlush,
        "tagged" => When::Tagged,
        "long" => When::Long,
        "crossing" => When::Crossing,
        "no-afp-mixed" => When::NoAfpMixed,
        "intel" => When::Intel,
        "intel-fault" => When::IntelFault,
        "other-amd" => When::OtherAmd,
        _ => return None,
    };
    let forms = Regex::new(&format!("(?i)^(?:{})$", words.next()?)).ok()?;
    let fields = words.next()?.split(',').map(str::to_string).collect();
    words.next().map(|_reason| (when, forms, fields))
}

/// The instruction under test.
fn instruction(case: &Case) -> Option<Instruction> {
    let record = &case.record;
    let mut decoder = Decoder::with_ip(64, &record.0[..at::SLOT], record.address(), DecoderOptions::AMD);
    decoder.iter().find(|insn| insn.next_ip() >= record.address() + case.len as u64)
}

/// True if the memory operand's address (of a gather: one of its addresses), or that of the stack where it is used, would be one if its top byte were that of an address.
fn tagged(case: &Case) -> bool {
    let Some(insn) = instruction(case) else { return false };
    let elements = if insn.is_vsib64() { insn.memory_index().size() / 8 } else { insn.memory_index().size() / 4 };
    let addresses = (0..if insn.is_vsib() { elements } else { 1 }).filter_map(|n| case.record.element_address(&insn, n));
    let stack = insn.is_stack_instruction().then(|| case.record.gpr(4));
    addresses.chain(stack).any(|at| (at as i64) << 8 >> 8 != at as i64 && (at as i64) << 8 >> 55 == 0)
}

/// True if the memory operand lies in two pages, one of which the case may not use.
fn crosses(case: &Case) -> bool {
    let record = &case.record;
    let operand = instruction(case).and_then(|insn| Some((record.effective_address(&insn)?, insn.memory_size().size() as u64)));
    record.get32(at::NEEDS) >> 8 != 0 && operand.is_some_and(|(at, size)| at >> 12 != (at + size.max(1) - 1) >> 12)
}
