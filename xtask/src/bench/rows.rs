//! What a benchmark is. The tables are in `kernels.rs` and `programs.rs`: one row is one benchmark.

/// One benchmark.
pub struct Row {
    /// Its name, unique.
    pub name: &'static str,
    /// What it stands for, in a few words.
    pub about: &'static str,
    pub group: Group,
    pub program: Program,
    /// Words after the program; `{work}` and `{root}` are replaced by the folder of input files and by the root file system of the side.
    pub args: &'static [&'static str],
    pub goal: Goal,
    /// What FEX takes for a program of this kind, as measured once by hand in the same way (`FEX` in kernels.rs and programs.rs).
    pub fex: Fex,
}

/// Which mean a row counts in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Compiled code that computes.
    Kernel,
    /// What an operating system, threads and changing code cost.
    System,
    /// Debian's programs at real work.
    Program,
    /// How soon a program does something: short runs, which translation decides.
    Start,
}

impl Group {
    pub const ALL: [Group; 4] = [Group::Kernel, Group::System, Group::Program, Group::Start];

    /// As the tables head it.
    pub fn title(self) -> &'static str {
        match self {
            Group::Kernel => "kernels",
            Group::System => "system",
            Group::Program => "programs",
            Group::Start => "start-up",
        }
    }
}

/// What is run.
pub enum Program {
    /// A file of fixtures/bench, compiled statically for either side (dynamically for Box64) with `both` and the side's own flags.
    Source { file: &'static str, both: &'static [&'static str], amd64: &'static [&'static str], arm64: &'static [&'static str] },
    /// A program of Debian's root file systems (below /usr), through its own dynamic loader.
    Debian(&'static str),
    /// Several, one after the other, counted as one: each a program with its words, `{triplet}` being the architecture's.
    Steps(&'static [&'static [&'static str]]),
}

/// The largest acceptable number, and the one that is aimed for.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Executed instructions relative to the native build's.
    Ratio(f64, f64),
    /// Millions of executed instructions in all.
    Millions(f64, f64),
    /// Only part of a mean.
    Mean,
}

/// FEX's figure for a program of the row's kind.
#[derive(Clone, Copy)]
pub enum Fex {
    /// Relative to native.
    Ratio(f64),
    /// Millions of instructions in all.
    Millions(f64),
    Unknown,
}

/// Goals of the means: group, what is averaged, must, aim.
pub const MEANS: &[(Group, Mean, f64, f64)] = &[
    (Group::Kernel, Mean::Whole, 1.6, 1.25),
    (Group::Kernel, Mean::Emitted, 1.4, 1.2),
    (Group::Kernel, Mean::Ordered, 1.8, 1.4),
    (Group::Program, Mean::Whole, 1.9, 1.5),
];

/// What a geometric mean is taken of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mean {
    /// All instructions of the cold process.
    Whole,
    /// Translated code alone: the steady state.
    Emitted,
    /// The cold process in ordered mode.
    Ordered,
}

/// What one of something costs: the benchmark that does it, how often per unit of its first argument, and its name. In executed instructions.
pub const COSTS: &[(&str, f64, &str)] = &[
    ("syscalls", 2.3125, "system call (getppid, lseek, some read and fstat)"),
    ("signals", 1.0, "signal: kill, handler, return"),
    ("forks", 1.0, "process: fork, a little work, exit, wait"),
    ("selfmod", 1.0, "function rewritten and called"),
    ("far", 1.0, "indirect call whose target shares its place in the inline table"),
];
