//! Debian's programs at real work, and how soon they start. Both architectures' packages are of one version, so both sides do the same.

use super::rows::{Fex, Goal, Group, Program, Row};

/// A program row: name, program below /usr, arguments, goal, FEX's figure, what it does.
macro_rules! row {
    ($group:ident, $name:literal, $program:expr, $args:expr, $goal:expr, $fex:expr, $about:literal) => {
        Row { name: $name, about: $about, group: Group::$group, program: $program, args: $args, goal: $goal, fex: $fex }
    };
}

use Fex::{Millions as FM, Ratio as F, Unknown as U};
use Goal::{Mean, Millions as M};
use Program::Debian as D;

/// All programs.
#[rustfmt::skip]
pub const PROGRAMS: &[Row] = &[
    row!(Program, "gzip", D("bin/gzip"), &["-nc9", "{work}/input.txt"], Mean, F(2.1), "compress text"),
    row!(Program, "gunzip", D("bin/gzip"), &["-dc", "{work}/large.txt.gz"], Mean, U, "decompress"),
    row!(Program, "zstd", D("bin/zstd"), &["-qc9", "--single-thread", "{work}/input.txt"], Mean, F(2.5), "compress text"),
    row!(Program, "unzstd", D("bin/zstd"), &["-qdc", "--single-thread", "{work}/large.txt.zst"], Mean, U, "decompress"),
    row!(Program, "xz", D("bin/xz"), &["-c2", "-T1", "{work}/input.txt"], Mean, U, "compress text"),
    row!(Program, "unxz", D("bin/xz"), &["-dc", "-T1", "{work}/large.txt.xz"], Mean, F(2.0), "decompress"),
    row!(Program, "bzip2", D("bin/bzip2"), &["-c", "{work}/input.txt"], Mean, F(2.1), "compress text"),
    row!(Program, "bunzip2", D("bin/bzip2"), &["-dc", "{work}/input.txt.bz2"], Mean, U, "decompress"),
    row!(Program, "openssl-sha512", D("bin/openssl"), &["dgst", "-sha512", "{work}/large.txt"], Mean, U, "hash with the library's best code"),
    row!(Program, "openssl-aes", D("bin/openssl"), &["enc", "-aes-256-cbc", "-K", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "-iv", "0123456789abcdef0123456789abcdef", "-in", "{work}/large.txt"], Mean, U, "encrypt with AES-NI"),
    row!(Program, "sha256sum", D("bin/sha256sum"), &["{work}/large.txt"], Mean, U, "hash"),
    row!(Program, "sqlite3", D("bin/sqlite3"), &[":memory:", ".read {work}/input.sql"], Mean, F(5.1), "insert, index, join, group"),
    row!(Program, "python3", D("bin/python3.13"), &["-S", "{work}/work.py"], Mean, F(5.1), "classes, dictionaries, strings, sorting"),
    row!(Program, "perl", D("bin/perl"), &["{work}/work.pl"], Mean, F(8.8), "regular expressions, hashes"),
    row!(Program, "lua", D("bin/lua5.4"), &["{work}/work.lua"], Mean, F(2.5), "tables, closures, strings"),
    row!(Program, "luajit", D("bin/luajit"), &["{work}/work.lua"], Mean, U, "the same, compiled as it runs"),
    row!(Program, "gawk", D("bin/gawk"), &["-f", "{work}/work.awk", "{work}/input.txt"], Mean, U, "fields, arrays, printf"),
    row!(Program, "grep", D("bin/grep"), &["-cE", "(reg|tran)[a-z]+s (in|keeps).*([0-9a-f])\\3", "{work}/input.txt"], Mean, U, "backtracking regular expression"),
    row!(Program, "sed", D("bin/sed"), &["-nE", "s/([a-z]+) ([a-z]+) (guest|host)/\\2-\\1 <\\3>/gp", "{work}/input.txt"], Mean, U, "substitute"),
    row!(Program, "sort", D("bin/sort"), &["--parallel=1", "-k2,2", "-k1,1r", "{work}/input.txt"], Mean, U, "by two keys, in a locale"),
    row!(Program, "bc", D("bin/bc"), &["-ql", "{work}/work.bc"], Mean, U, "long decimal numbers"),
    row!(Program, "jq", D("bin/jq"), &["-c", "[.[] | select(.n % 3 == 0) | {k: .name, s: (.tags | join(\"-\"))}] | group_by(.k) | map({k: .[0].k, n: length})", "{work}/input.json"], Mean, U, "read, filter and group JSON"),
    row!(Program, "git", D("bin/git"), &["diff", "--no-index", "--stat", "{work}/input.txt", "{work}/other.txt"], Mean, U, "difference of two texts"),
    row!(Program, "bash", D("bin/bash"), &["--norc", "{work}/work.sh"], Mean, U, "loops, arrays, subshells"),
    row!(Start, "true", D("bin/true"), &[], M(10.0, 5.0), FM(146.0), "dynamic /bin/true"),
    row!(Start, "bash-true", D("bin/bash"), &["--norc", "-c", "true"], M(50.0, 25.0), FM(327.0), "a shell that does nothing"),
    row!(Start, "perl-0", D("bin/perl"), &["-e", "0"], Mean, U, "Perl that does nothing"),
    row!(Start, "python3-pass", D("bin/python3.13"), &["-S", "-c", "pass"], M(140.0, 90.0), FM(1183.0), "Python that does nothing"),
    row!(Start, "gcc", Program::Steps(&[
        &["bin/{triplet}-gcc-14", "-O2", "-c", "-###", "{work}/small.c"],
        &["libexec/gcc/{triplet}/14/cc1", "-quiet", "-O2", "{work}/small.c", "-o", "{work}/{triplet}.s"],
        &["bin/{triplet}-as", "{work}/{triplet}.s", "-o", "/dev/null"],
    ]), &[], M(850.0, 550.0), F(48.0), "compile 600 bytes: driver, cc1, as"),
    row!(Start, "node-0", D("bin/node"), &["-e", "0"], M(1200.0, 850.0), F(14.0), "Node.js that does nothing"),
];
