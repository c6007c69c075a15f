//! The kernels: own sources in fixtures/bench, each about one kind of code. Goals and FEX's figures come from measurements of the field.

use super::rows::{Fex, Goal, Group, Program, Row};

/// A kernel row: name, file, flags of both sides, arguments, goal, FEX's ratio, what it stands for.
macro_rules! row {
    ($group:ident, $name:literal, $file:literal, $both:expr, $args:expr, $goal:expr, $fex:expr, $about:literal) => {
        row!($group, $name, $file, $both, &[], &[], $args, $goal, $fex, $about)
    };
    ($group:ident, $name:literal, $file:literal, $both:expr, $amd64:expr, $arm64:expr, $args:expr, $goal:expr, $fex:expr, $about:literal) => {
        Row {
            name: $name,
            about: $about,
            group: Group::$group,
            program: Program::Source { file: $file, both: $both, amd64: $amd64, arm64: $arm64 },
            args: $args,
            goal: $goal,
            fex: $fex,
        }
    };
}

/// A compute kernel without a goal of its own.
const WORST: Goal = Goal::Ratio(3.0, 2.0);
const AVX2: &[&str] = &["-mavx2", "-mfma"];
const O3: &[&str] = &["-O3"];

use Fex::{Ratio as F, Unknown as U};
use Goal::Ratio as R;

/// All kernels.
#[rustfmt::skip]
pub const KERNELS: &[Row] = &[
    row!(Kernel, "fib", "fib.c", &[], &["32"], R(1.8, 1.4), F(3.3), "calls and returns"),
    row!(Kernel, "tak", "tak.c", &[], &["40"], WORST, U, "calls with arguments"),
    row!(Kernel, "kernel", "kernel.c", &[], &["600"], WORST, F(2.6), "lists, matrices, a state machine, CRC"),
    row!(Kernel, "sieve", "sieve.c", &[], &["6"], WORST, U, "integer loops over bytes"),
    row!(Kernel, "collatz", "collatz.c", &[], &["120000"], WORST, U, "branches that follow data"),
    row!(Kernel, "quicksort", "quicksort.c", &[], &["4"], WORST, U, "compares and swaps"),
    row!(Kernel, "qsort", "qsort.c", &[], &["10"], R(2.0, 1.5), F(2.8), "the library's sort with callbacks"),
    row!(Kernel, "indirect", "indirect.c", &[], &["3500"], WORST, U, "indirect calls"),
    row!(Kernel, "far", "far.c", &[], &["5000000"], WORST, U, "indirect calls to far functions"),
    row!(Kernel, "switch", "interpreter.c", &[], &["400000"], R(2.2, 1.6), F(3.4), "interpreter, dispatch by switch"),
    row!(Kernel, "goto", "interpreter.c", &["-DGOTO", "-fno-gcse"], &["400000"], R(2.2, 1.6), F(4.7), "interpreter, computed goto"),
    row!(Kernel, "hash", "hash.c", &[], &["1500000"], WORST, U, "hash tables"),
    row!(Kernel, "chase", "chase.c", &[], &["120"], WORST, U, "rings and trees of pointers"),
    row!(Kernel, "strings", "strings.c", &[], &["3000"], WORST, U, "the library's string functions"),
    row!(Kernel, "memory", "memory.c", &[], &["200000"], WORST, U, "the library's memory functions"),
    row!(Kernel, "rep", "rep.c", &[], &["60000"], WORST, U, "rep movs, stos, scas"),
    row!(Kernel, "text", "text.c", &[], &["12000"], WORST, U, "printf, scanf, strtod"),
    row!(Kernel, "bits", "bits.c", &[], &["-mpopcnt", "-mbmi", "-mbmi2", "-mlzcnt"], &[], &["2000000"], WORST, U, "bit counting, rotation, division"),
    row!(Kernel, "wide", "wide.c", &[], &["25000"], WORST, U, "128-bit products and carries"),
    row!(Kernel, "nbody", "nbody.c", &["-lm"], &["150000"], R(1.5, 1.2), F(2.2), "scalar double"),
    row!(Kernel, "mandelbrot", "mandelbrot.c", &[], &["200"], R(1.5, 1.2), F(3.4), "scalar double with comparisons"),
    row!(Kernel, "libm", "libm.c", &["-lm"], &["150000"], WORST, U, "sin, exp, pow, conversions"),
    row!(Kernel, "matmul-double", "matmul.c", O3, &["3"], R(1.2, 1.05), F(1.5), "vector double, SSE2"),
    row!(Kernel, "matmul-float", "matmul.c", &["-O3", "-DREAL=float"], &["6"], R(1.2, 1.05), F(1.6), "vector float, SSE2"),
    row!(Kernel, "matmul-avx2", "matmul.c", &["-O3", "-DREAL=float"], AVX2, &[], &["6"], R(1.1, 1.0), F(1.3), "vector float, AVX2 and FMA"),
    row!(Kernel, "matmul-avx2-double", "matmul.c", O3, AVX2, &[], &["3"], R(1.3, 1.0), F(1.3), "vector double, AVX2 and FMA"),
    row!(Kernel, "image", "image.c", O3, &["250"], WORST, U, "vector integers, SSE2"),
    row!(Kernel, "image-avx2", "image.c", O3, AVX2, &[], &["250"], WORST, U, "vector integers, AVX2"),
    row!(Kernel, "sha256", "sha256.c", &[], &["500"], R(1.25, 1.15), F(1.8), "SHA-256 in scalar C"),
    row!(Kernel, "sha256-avx2", "lanes.c", &[], AVX2, &[], &["8000"], R(1.25, 1.15), F(1.5), "SHA-256 and ChaCha20 in eight lanes"),
    row!(Kernel, "aes-cbc", "aes_cbc.c", &[], &["-maes"], &["-march=armv8-a+crypto"], &["600"], WORST, U, "AES-256-CBC by AES-NI"),
    row!(Kernel, "exceptions", "exceptions.cpp", &[], &["1000"], R(2.5, 1.8), F(3.8), "C++ exceptions and virtual calls"),
    row!(Kernel, "maps", "maps.cpp", &[], &["80000"], R(2.5, 1.8), F(3.8), "C++ maps, strings, sorting"),
    row!(Kernel, "x87", "nbody.c", &["-lm", "-DREAL=long double"], &["5000"], WORST, U, "long double: x87's 80 bits against a library's 128"),
    row!(System, "threads-2", "threads.c", &["-pthread"], &["2", "8000000"], WORST, U, "two threads: atomics, a lock"),
    row!(System, "threads-8", "threads.c", &["-pthread"], &["8", "8000000"], WORST, U, "eight threads: atomics, a lock"),
    row!(System, "syscalls", "syscalls.c", &[], &["200000"], R(4.0, 2.0), F(13.7), "small system calls"),
    row!(System, "signals", "signals.c", &[], &["20000"], R(30.0, 20.0), F(91.0), "a handler for each signal"),
    row!(System, "forks", "forks.c", &[], &["200"], Goal::Mean, U, "fork, exit, wait"),
    row!(System, "selfmod", "selfmod.c", &[], &["20000"], R(15.0, 10.0), F(74.0), "code rewritten before each call"),
    row!(System, "jit", "jit.c", &[], &["400"], WORST, U, "a small compiler to machine code"),
    row!(Start, "empty", "empty.c", &[], &[], Goal::Millions(10.0, 5.0), Fex::Millions(52.0), "a static program that does nothing"),
];

/// What `--quick` runs.
pub const QUICK: &[&str] = &["fib", "kernel", "switch", "qsort", "nbody", "matmul-float", "sha256", "empty", "true", "gzip", "sqlite3"];
