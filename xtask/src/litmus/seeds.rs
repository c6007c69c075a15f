//! Bugs that are put into emitted code, to see that they are found: one ordering less, at one place of each test.

use super::a64::Operand;
use super::host::{Code, Word};
use crate::Result;

/// A seeded bug.
pub struct Seed {
    /// For `--seed-bug`.
    pub name: &'static str,
    /// What is lost.
    pub what: &'static str,
    /// A tier in which the code has it.
    pub tier: &'static str,
    /// The word instead of word `at`, if the bug fits there.
    change: fn(&[Word], usize) -> Option<String>,
}

fn mnemonic(words: &[Word], at: usize) -> &str {
    words.get(at).map_or("", |w| w.text.split(' ').next().unwrap_or_default())
}

/// `from` at the beginning of the word becomes `to`.
fn instead(words: &[Word], at: usize, from: &str, to: &str) -> Option<String> {
    words[at].text.strip_prefix(from).map(|rest| format!("{to}{rest}"))
}

fn is_barrier(words: &[Word], at: usize, kind: &str) -> bool {
    words[at].text == format!("dmb {kind}")
}

/// LRCPC3's access of a vector register (a load if `load`) without its ordering.
fn simd(bits: u32, load: u32, to: &str) -> Option<String> {
    if bits & 0x3f20_0c00 != 0x1d00_0800 || bits >> 22 & 1 != load {
        return None;
    }
    let i = super::a64::parse_word(bits, "");
    let (Operand::Vector { text, .. }, Operand::Memory { base, offset, .. }) = (&i.operands[0], &i.operands[1]) else { return None };
    Some(format!("{to} {text}, [x{base}, #{offset}]"))
}

fn nop() -> Option<String> {
    Some("nop".into())
}

/// All of them.
pub const SEEDS: &[Seed] = &[
    Seed { name: "acquire", what: "LDAR becomes LDR", tier: "v8.0", change: |w, k| instead(w, k, "ldar", "ldr") },
    Seed { name: "acquire-pc", what: "LDAPR becomes LDR", tier: "lrcpc", change: |w, k| instead(w, k, "ldapr", "ldr") },
    Seed { name: "acquire-pc2", what: "LDAPUR becomes LDUR", tier: "lrcpc2", change: |w, k| instead(w, k, "ldapur", "ldur") },
    Seed { name: "dependency", what: "an address that orders a plain load does not depend on it", tier: "lrcpc", change: |w, k| (k > 0 && mnemonic(w, k - 1).starts_with("ldr") && w[k].text.starts_with("add x7, x12, x")).then(|| "mov x7, x12".into()) },
    Seed { name: "release", what: "STLR becomes STR", tier: "v8.0", change: |w, k| instead(w, k, "stlr", "str") },
    Seed { name: "release2", what: "STLUR becomes STUR", tier: "lrcpc2", change: |w, k| instead(w, k, "stlur", "stur") },
    Seed { name: "load-barrier", what: "no DMB ISHLD after a load", tier: "v8.0", change: |w, k| if is_barrier(w, k, "ishld") { nop() } else { None } },
    Seed { name: "store-barrier", what: "no DMB ISH before a plain store", tier: "v8.0", change: |w, k| if is_barrier(w, k, "ish") && ["str", "stp", "stur"].contains(&mnemonic(w, k + 1)) { nop() } else { None } },
    Seed { name: "vector-acquire", what: "LDAPUR of a vector register becomes LDUR", tier: "lrcpc3", change: |w, k| simd(w[k].bits, 1, "ldur") },
    Seed { name: "vector-release", what: "STLUR of a vector register becomes STUR", tier: "lrcpc3", change: |w, k| simd(w[k].bits, 0, "stur") },
    Seed { name: "swap-acquire", what: "SWPAL becomes SWPL", tier: "lrcpc", change: |w, k| instead(w, k, "swpal", "swpl") },
    Seed { name: "swap-release", what: "SWPAL becomes SWPA", tier: "lrcpc", change: |w, k| instead(w, k, "swpal", "swpa") },
    Seed { name: "add-acquire", what: "LDADDAL becomes LDADDL", tier: "lrcpc", change: |w, k| instead(w, k, "ldaddal", "ldaddl") },
    Seed { name: "add-release", what: "LDADDAL becomes LDADDA", tier: "lrcpc", change: |w, k| instead(w, k, "ldaddal", "ldadda") },
    Seed { name: "cas-release", what: "CASAL becomes CASA", tier: "lrcpc", change: |w, k| instead(w, k, "casal", "casa") },
    Seed { name: "cas-barrier", what: "no DMB ISH before CASAL", tier: "lrcpc", change: |w, k| if is_barrier(w, k, "ish") && mnemonic(w, k + 1).starts_with("cas") { nop() } else { None } },
    Seed { name: "exclusive-barrier", what: "no DMB ISH after an exclusive loop", tier: "v8.0", change: |w, k| if k > 0 && is_barrier(w, k, "ish") && ["cbnz", "mov"].contains(&mnemonic(w, k - 1)) && w[..k].iter().rev().take(3).any(|w| w.text.starts_with("cbnz")) { nop() } else { None } },
    Seed { name: "exclusive-release", what: "STLXR becomes STXR", tier: "v8.0", change: |w, k| instead(w, k, "stlxr", "stxr") },
    Seed { name: "fence", what: "no DMB ISH for MFENCE", tier: "lrcpc", change: |w, k| if is_barrier(w, k, "ish") && !["str", "stp", "stur"].contains(&mnemonic(w, k + 1)) && !mnemonic(w, k + 1).starts_with("cas") { nop() } else { None } },
];

/// The seed of that name.
pub fn find(name: &str) -> Result<&'static Seed> {
    SEEDS.iter().find(|s| s.name == name).ok_or_else(|| format!("no seeded bug {name:?}"))
}

impl Seed {
    /// Puts the bug at one place of the threads' code; false if it fits nowhere.
    pub fn plant(&self, threads: &mut [Code], turn: usize) -> bool {
        let places: Vec<(usize, usize, String)> = threads
            .iter()
            .enumerate()
            .flat_map(|(t, code)| (0..code.words.len()).filter_map(move |k| (self.change)(&code.words, k).map(|text| (t, k, text))))
            .collect();
        if places.is_empty() {
            return false;
        }
        let (t, k, text) = &places[turn % places.len()];
        threads[*t].words[*k] = Word { bits: 0, text: text.clone() };
        true
    }
}
