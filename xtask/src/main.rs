//! xemu's developing commands. This file only dispatches; each command is one module.

#![forbid(unsafe_code)]

mod apt;
mod bench;
mod conformance;
mod deb;
mod decode_check;
#[cfg(test)]
mod deploy;
mod directives;
mod e2e;
mod emulator;
mod fuzz;
mod guests;
mod guided;
mod image;
mod litmus;
mod parallel;
mod process;
mod project;
mod rootfs;
mod run;
mod test;
mod tools;
mod tree;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND
  run [-- PROGRAM [ARGS]]   build xemu and run an amd64 program with it (without one: a demo)
  test [OPTIONS]            everything that says whether xemu works; `test --help` lists the options
  bench [OPTIONS]           executed AArch64 instructions, compared with native arm64 builds
  fuzz-isa [OPTIONS]        every instruction form on this processor and under xemu, compared
  e2e [OPTIONS]             xemu as the kernel's interpreter: in a private binfmt_misc, and on an ARM64 kernel
  conformance DIR [OPTIONS] an outside suite of system call tests, natively and under xemu
  decode-check [OPTIONS]    lengths and mnemonics of random bytes and of programs, by two decoders
  image [OPTIONS] [OUT]     the container image that registers xemu on a node
  deb [OPTIONS] [OUT]       the Debian package for arm64
  litmus [OPTIONS]          memory order of translated code, by a model checker
  guests                    build the guest programs of fixtures/guests into target/guests
  rootfs [amd64|arm64]      fetch the Debian root file systems that tests and benchmarks use";

/// What a command returns: an error is one line for the user.
pub type Result<T, E = String> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.is_empty() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let command = args.remove(0).to_string_lossy().into_owned();
    let result = match command.as_str() {
        "run" => run::main(args),
        "test" => test::main(args),
        "bench" => bench::main(args),
        "conformance" => conformance::main(args),
        "decode-check" => decode_check::main(args),
        "fuzz-isa" => fuzz::main(args),
        "e2e" => e2e::main(args),
        "deb" => deb::main(args),
        "guests" => guests::main(args),
        "image" => image::main(args),
        "litmus" => litmus::main(args),
        "rootfs" => rootfs::main(args),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("unknown command {other:?}\n{USAGE}")),
    };
    result.unwrap_or_else(|message| {
        eprintln!("xtask: {message}");
        ExitCode::FAILURE
    })
}
