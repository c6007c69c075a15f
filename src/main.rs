//! Entry: no Rust `main`, because its runtime would ignore SIGPIPE and install SIGSEGV handlers, which the guest would inherit.

#![no_main]

use std::io::Write;
use xemu::host::process::{Start, exit_process};
use xemu::options::{self, Command, Invocation};

/// The C entry point. `argv` is the kernel's.
#[allow(unsafe_code, clippy::not_unsafe_ptr_arg_deref)] // The symbol that the start files call, and the pointer they pass.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: i32, argv: *const *const u8) -> i32 {
    // SAFETY: the start files pass what the kernel put on the stack.
    let start = unsafe { Start::read(argv) };
    match options::parse(&start) {
        Command::Run { program, args, options, fd } => {
            // Under the kernel a script's name is in our own AT_EXECFN (an emulated host puts our own there); as a command it is what was typed.
            for name in &options.ignored {
                eprintln!("xemu: option {name} has no meaning here and is ignored");
            }
            if xemu::binfmt::NATIVE {
                eprintln!("xemu: this is an amd64 machine, which runs amd64 programs by itself: start {} directly", program.escape_ascii());
                exit_process(126);
            }
            let kernel = options::invocation(&start) != Invocation::Command;
            let exec_name = start.exec_name().filter(|n| kernel && start.args.first() != Some(n)).map(|n| n.to_vec());
            // (What xemu starts by itself for execve(2) has been found to be there: nothing is looked for.)
            let typed = !kernel && fd.is_none();
            xemu::linux::start(&start, xemu::linux::Job { program, args, options: *options, fd, exec_name, typed })
        }
        Command::Tool(tool, args) => match xemu::commands::run(tool, &args) {
            Ok(done) => {
                let lost = std::io::stdout().write_all(done.text.as_bytes()).is_err();
                exit_process((lost || done.failed) as u64)
            }
            Err(what) => {
                eprintln!("xemu {tool}: {what}");
                1
            }
        },
        Command::Print(text) => {
            let done = std::io::stdout().write_all(text.as_bytes());
            exit_process(done.is_err() as u64)
        }
        Command::Wrong(what) => {
            eprintln!("xemu: {what}");
            2
        }
    }
}
