//! Ways of running the same guests again: with a code cache so small that it is emptied all the time, without optimisations, and
//! without each of them alone. A test's name then ends in `@NAME`.

/// One way.
pub struct Config {
    /// Behind the `@` of a test's name; empty for xemu as it is.
    pub name: &'static str,
    /// Variables that xemu, and every xemu that it starts, reads.
    pub variables: &'static [(&'static str, &'static str)],
    /// Only in long runs.
    pub long: bool,
}

const fn config(name: &'static str, variables: &'static [(&'static str, &'static str)], long: bool) -> Config {
    Config { name, variables, long }
}

/// All ways; a test in `tests/layout.rs` sees to it that no optimisation is missing.
pub const CONFIGS: &[Config] = &[
    config("", &[], false),
    // Room for some 2,000 guest instructions: threads, signals and self-modifying code meet an eviction everywhere.
    config("small-cache", &[("XEMU_CACHE_SIZE", "256K")], false),
    config("no-opt", &[("XEMU_NO_OPT", "all")], false),
    // Memory's order from the start, as threads' guests have it from their first thread on.
    config("ordered", &[("XEMU_MEMORY_MODEL", "ordered")], false),
    // Whatever can be interpreted is, however often it runs.
    config("interpreted", &[("XEMU_INTERPRET", "1")], false),
    // The same with memory's order from the start, which threads' guests have from their first thread on anyway.
    config("interpreted-ordered", &[("XEMU_INTERPRET", "1"), ("XEMU_MEMORY_MODEL", "ordered")], true),
    config("no-cold-code", &[("XEMU_NO_OPT", "cold-code")], true),
    config("no-dead-flags", &[("XEMU_NO_OPT", "dead-flags")], true),
    config("no-zero-branch", &[("XEMU_NO_OPT", "zero-branch")], true),
    config("no-shadow-stack", &[("XEMU_NO_OPT", "shadow-stack")], true),
    config("no-inline-lookup", &[("XEMU_NO_OPT", "inline-lookup")], true),
    config("no-links", &[("XEMU_NO_OPT", "links")], true),
    config("no-upper-halves", &[("XEMU_NO_OPT", "upper-halves")], true),
    config("no-direct-calls", &[("XEMU_NO_OPT", "direct-calls")], true),
    config("no-string-blocks", &[("XEMU_NO_OPT", "string-blocks")], true),
    config("no-float-groups", &[("XEMU_NO_OPT", "float-groups")], true),
    config("no-late-carry", &[("XEMU_NO_OPT", "late-carry")], true),
    config("no-guards", &[("XEMU_NO_OPT", "guards")], true),
    config("no-held-zero", &[("XEMU_NO_OPT", "held-zero")], true),
    config("no-quick-x87", &[("XEMU_NO_OPT", "quick-x87")], true),
    config("no-copies", &[("XEMU_NO_OPT", "copies")], true),
    config("no-shared-sums", &[("XEMU_NO_OPT", "shared-sums")], true),
    config("no-elements", &[("XEMU_NO_OPT", "elements")], true),
    config("no-late-compare", &[("XEMU_NO_OPT", "late-compare")], true),
    config("no-late-flags", &[("XEMU_NO_OPT", "late-flags")], true),
    config("no-branch-links", &[("XEMU_NO_OPT", "branch-links")], true),
    config("no-known-zeros", &[("XEMU_NO_OPT", "known-zeros")], true),
    config("no-rereads", &[("XEMU_NO_OPT", "rereads")], true),
    config("no-held-sums", &[("XEMU_NO_OPT", "held-sums")], true),
    config("no-call-stubs", &[("XEMU_NO_OPT", "call-stubs")], true),
    config("no-own-calls", &[("XEMU_NO_OPT", "own-calls")], true),
    config("no-stack-pairs", &[("XEMU_NO_OPT", "stack-pairs")], true),
    config("no-fixed-targets", &[("XEMU_NO_OPT", "fixed-targets")], true),
    config("no-narrow", &[("XEMU_NO_OPT", "narrow")], true),
    config("no-piece-order", &[("XEMU_NO_OPT", "piece-order")], true),
    config("no-near-addresses", &[("XEMU_NO_OPT", "near-addresses")], true),
    config("no-quick-compares", &[("XEMU_NO_OPT", "quick-compares")], true),
    config("no-unpolled", &[("XEMU_NO_OPT", "unpolled")], true),
    config("no-call-entries", &[("XEMU_NO_OPT", "call-entries")], true),
    config("no-plain-table", &[("XEMU_NO_OPT", "plain-table")], true),
    config("no-late-jumps", &[("XEMU_NO_OPT", "late-jumps")], true),
    config("no-rotates", &[("XEMU_NO_OPT", "rotates")], true),
    config("no-leaf-calls", &[("XEMU_NO_OPT", "leaf-calls")], true),
    config("no-early-links", &[("XEMU_NO_OPT", "early-links")], true),
    config("no-barrier-detours", &[("XEMU_NO_OPT", "barrier-detours"), ("XEMU_MEMORY_MODEL", "ordered")], true),
    config("no-early-pushes", &[("XEMU_NO_OPT", "early-pushes"), ("XEMU_MEMORY_MODEL", "ordered")], true),
    config("no-dependent-loads", &[("XEMU_NO_OPT", "dependent-loads"), ("XEMU_MEMORY_MODEL", "ordered")], true),
    config("no-joined-barriers", &[("XEMU_NO_OPT", "joined-barriers"), ("XEMU_MEMORY_MODEL", "ordered")], true),
    config("no-shared-addresses", &[("XEMU_NO_OPT", "shared-addresses"), ("XEMU_MEMORY_MODEL", "ordered")], true),
];

impl Config {
    /// The name of a test run this way.
    pub fn named(&self, test: &str) -> String {
        if self.name.is_empty() { test.to_string() } else { format!("{test}@{}", self.name) }
    }

    /// Is this xemu as it is?
    pub fn plain(&self) -> bool {
        self.name.is_empty()
    }
}
