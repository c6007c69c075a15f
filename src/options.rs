//! Command line and environment: one table of options, matched whole (QEMU's long names have one dash), help text included.
//!
//! Who started us decides what is read (`Invocation`): the kernel's binfmt_misc passes no options, and a setuid guest
//! trusts no environment variable.

use crate::guest::cpuid::models;
use crate::host::file;
use crate::host::process::Start;
use crate::linux::gdb::Listen;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Everything that can be chosen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// -L: folder in which absolute paths of interpreters are looked up first.
    pub prefix: Option<Vec<u8>>,
    /// -E: VAR=VALUE added to the guest's environment.
    pub set: Vec<Vec<u8>>,
    /// -U: variables removed from the guest's environment.
    pub unset: Vec<Vec<u8>>,
    /// -0: argv[0] of the guest.
    pub argv0: Option<Vec<u8>>,
    /// -s: size of the guest's stack in bytes.
    pub stack_size: Option<u64>,
    /// -cpu: name of the processor shown to the guest.
    pub cpu: Option<String>,
    /// -strace: write system calls to the log.
    pub strace: bool,
    /// -d: log items, comma-separated.
    pub log_items: Option<String>,
    /// -D: log file instead of standard error.
    pub log_file: Option<Vec<u8>>,
    /// -r: kernel release shown to the guest.
    pub release: Option<Vec<u8>>,
    /// -seed: seed of random numbers given to the guest.
    pub seed: Option<u64>,
    /// -one-insn-per-tb: translate single instructions.
    pub single: bool,
    /// --interpret: whatever can be interpreted is (for tests).
    pub interpret: bool,
    /// -perfmap, --perf-map: write /tmp/perf-PID.map.
    pub perf_map: bool,
    /// --dump: guest, host, links.
    pub dump: Option<String>,
    /// --dump-filter: only these addresses.
    pub dump_filter: Option<String>,
    /// --no-opt: switched off optimisation passes.
    pub no_opt: Vec<String>,
    /// --cache-size: bytes of translated code.
    pub cache_size: Option<u64>,
    /// --precise-flags.
    pub precise_flags: bool,
    /// --strict-align.
    pub strict_align: bool,
    /// --unsafe-fast-nan.
    pub unsafe_fast_nan: bool,
    /// --memory-model=ordered: from the start, not when memory can be observed.
    pub ordered: bool,
    /// --host-features: instead of what the host says.
    pub host_features: Option<String>,
    /// --log: level of xemu's own messages.
    pub log: Option<String>,
    /// --host-runner: command that runs xemu itself, for tests on other machines.
    pub host_runner: Option<String>,
    /// --exec-fd: the program, open (internal: one xemu to the next).
    pub exec_fd: Option<i32>,
    /// -g: where a debugger connects.
    pub gdb: Option<Listen>,
    /// --own-fd: xemu's executable, open (internal likewise).
    pub own_fd: Option<i32>,
    /// --limits: virtual RLIMIT_AS and RLIMIT_DATA (internal likewise), soft:hard,soft:hard in bytes.
    pub limits: Option<String>,
    /// Options that QEMU has and that mean nothing here, as given.
    pub ignored: Vec<&'static str>,
}

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arg {
    None,
    /// A value of this name.
    Value(&'static str),
}
use Arg::{None as Flag, Value};

type Set = fn(&mut Options, &[u8]) -> Result<(), String>;

/// One row of the table.
struct Row {
    /// Names as typed; the first is the one shown.
    names: &'static [&'static str],
    /// Environment variables, the first that is set wins. A flag is on for any value but "" and "0".
    env: &'static [&'static str],
    arg: Arg,
    /// Empty: internal, not shown.
    help: &'static str,
    set: Set,
}

fn text(v: &[u8]) -> Result<String, String> {
    String::from_utf8(v.to_vec()).map_err(|_| "not UTF-8".into())
}

/// A number with an optional suffix K, M or G; 0x for hexadecimal.
fn number(v: &[u8]) -> Result<u64, String> {
    let s = text(v)?;
    let (digits, shift) = match s.as_bytes().last() {
        Some(b'k' | b'K') => (&s[..s.len() - 1], 10),
        Some(b'm' | b'M') => (&s[..s.len() - 1], 20),
        Some(b'g' | b'G') => (&s[..s.len() - 1], 30),
        _ => (&s[..], 0),
    };
    let n = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    n.ok().and_then(|n| n.checked_mul(1 << shift)).ok_or_else(|| format!("'{s}' is not a number"))
}

/// -E and -U take lists separated by commas, as in QEMU.
fn list(v: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    v.split(|b| *b == b',').filter(|s| !s.is_empty()).map(|s| s.to_vec())
}

/// Passes come from the environment and from the xemu before us: each is named once.
fn add_passes(options: &mut Options, list: &str) {
    for name in list.split(',') {
        if !options.no_opt.iter().any(|n| n == name) {
            options.no_opt.push(name.into());
        }
    }
}

fn set_cpu(options: &mut Options, v: &[u8]) -> Result<(), String> {
    let name = text(v)?;
    if !WANTS_HELP.contains(&name.as_str()) {
        models::parse(&name)?;
    }
    options.cpu = Some(name);
    Ok(())
}

fn set_memory_model(o: &mut Options, v: &[u8]) -> Result<(), String> {
    o.ordered = match v {
        b"ordered" => true,
        b"auto" => false,
        other => return Err(format!("'{}' is no memory model: auto or ordered", String::from_utf8_lossy(other))),
    };
    Ok(())
}

fn set_log(options: &mut Options, v: &[u8]) -> Result<(), String> {
    let level = text(v)?;
    level.parse::<log::LevelFilter>().map_err(|_| format!("'{level}' is not off, error, warn, info, debug or trace"))?;
    options.log = Some(level);
    Ok(())
}

/// Models that are questions.
const WANTS_HELP: [&str; 2] = ["help", "?"];

macro_rules! ignored {
    ($name:literal, $arg:expr, $why:literal) => {
        Row { names: &[$name], env: &[], arg: $arg, help: $why, set: |o, _| Ok(o.ignored.push($name)) }
    };
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { names: &["-L"], env: &["XEMU_ROOT", "QEMU_LD_PREFIX"], arg: Value("PATH"), help: "look up interpreters under PATH first", set: |o, v| Ok(o.prefix = Some(v.to_vec())) },
    Row { names: &["-E"], env: &["QEMU_SET_ENV"], arg: Value("VAR=VALUE"), help: "set a variable for the program (comma-separated list)", set: |o, v| Ok(o.set.extend(list(v))) },
    Row { names: &["-U"], env: &["QEMU_UNSET_ENV"], arg: Value("VAR"), help: "remove a variable for the program (comma-separated list)", set: |o, v| Ok(o.unset.extend(list(v))) },
    Row { names: &["-0"], env: &["QEMU_ARGV0"], arg: Value("ARGV0"), help: "argv[0] of the program", set: |o, v| Ok(o.argv0 = Some(v.to_vec())) },
    Row { names: &["-s"], env: &["QEMU_STACK_SIZE"], arg: Value("SIZE"), help: "size of the program's stack in bytes (K, M, G)", set: |o, v| Ok(o.stack_size = Some(number(v)?)) },
    // QEMU's variable is shared by its emulators of all machines: another machine's model says nothing here.
    Row { names: &[], env: &["QEMU_CPU"], arg: Value("MODEL"), help: "", set: |o, v| Ok(o.cpu = text(v).ok().filter(|t| models::parse(t).is_ok()).or(o.cpu.take())) },
    Row { names: &["-cpu", "--cpu"], env: &["XEMU_CPU"], arg: Value("MODEL"), help: "processor shown to the program: MODEL,+FEATURE,-FEATURE ('help' lists them)", set: set_cpu },
    Row { names: &["-strace", "--strace"], env: &["XEMU_STRACE", "QEMU_STRACE"], arg: Flag, help: "log system calls", set: |o, _| Ok(o.strace = true) },
    Row { names: &["-d"], env: &["XEMU_DEBUG", "QEMU_LOG"], arg: Value("ITEM,..."), help: "log these items", set: |o, v| Ok(o.log_items = Some(text(v)?)) },
    Row { names: &["-D"], env: &["XEMU_LOG_FILE", "QEMU_LOG_FILENAME"], arg: Value("FILE"), help: "write the log to FILE instead of standard error", set: |o, v| Ok(o.log_file = Some(v.to_vec())) },
    Row { names: &["-r"], env: &["XEMU_UNAME", "QEMU_UNAME"], arg: Value("RELEASE"), help: "kernel release shown to the program", set: |o, v| Ok(o.release = Some(v.to_vec())) },
    Row { names: &["-seed"], env: &["QEMU_RAND_SEED"], arg: Value("SEED"), help: "seed of the random numbers given to the program", set: |o, v| Ok(o.seed = Some(number(v)?)) },
    Row { names: &["-one-insn-per-tb"], env: &["QEMU_ONE_INSN_PER_TB"], arg: Flag, help: "translate one instruction at a time", set: |o, _| Ok(o.single = true) },
    Row { names: &["--interpret"], env: &["XEMU_INTERPRET"], arg: Flag, help: "", set: |o, _| Ok(o.interpret = true) },
    Row { names: &["-perfmap", "--perf-map"], env: &["XEMU_PERF_MAP"], arg: Flag, help: "write /tmp/perf-PID.map for perf", set: |o, _| Ok(o.perf_map = true) },
    Row { names: &["--dump"], env: &["XEMU_DUMP"], arg: Value("guest,host,links"), help: "log code as it is translated (what has run a few times only may not be, unless --no-opt=cold-code)", set: |o, v| Ok(o.dump = Some(text(v)?)) },
    Row { names: &["--dump-filter", "-dfilter"], env: &["XEMU_DUMP_FILTER", "QEMU_DFILTER"], arg: Value("RANGE"), help: "dump only code at these addresses", set: |o, v| Ok(o.dump_filter = Some(text(v)?)) },
    Row { names: &["--no-opt"], env: &["XEMU_NO_OPT"], arg: Value("PASS,..."), help: "switch optimisation passes off ('all' for every one)", set: |o, v| Ok(add_passes(o, &text(v)?)) },
    Row { names: &["--cache-size"], env: &["XEMU_CACHE_SIZE"], arg: Value("SIZE"), help: "room for translated code in bytes (K, M, G)", set: |o, v| Ok(o.cache_size = Some(number(v)?)) },
    Row { names: &["-tb-size"], env: &["QEMU_TB_SIZE"], arg: Value("MIB"), help: "the same in MiB", set: |o, v| Ok(o.cache_size = Some(number(v)?.saturating_mul(1 << 20))) },
    Row { names: &["--precise-flags"], env: &["XEMU_PRECISE_FLAGS"], arg: Flag, help: "exact arithmetic flags at every fault and signal", set: |o, _| Ok(o.precise_flags = true) },
    Row { names: &["--strict-align"], env: &["XEMU_STRICT_ALIGN"], arg: Flag, help: "honour EFLAGS.AC", set: |o, _| Ok(o.strict_align = true) },
    Row { names: &["--unsafe-fast-nan"], env: &["XEMU_UNSAFE_FAST_NAN"], arg: Flag, help: "let NaN signs and payloads differ from the processor's", set: |o, _| Ok(o.unsafe_fast_nan = true) },
    Row { names: &["--memory-model"], env: &["XEMU_MEMORY_MODEL"], arg: Value("MODEL"), help: "ordered: x86's memory order from the start; auto (the default): from when others can see memory", set: set_memory_model },
    Row { names: &["--host-features"], env: &["XEMU_HOST_FEATURES"], arg: Value("LIST"), help: "use these ARM64 features instead of what the host has", set: |o, v| Ok(o.host_features = Some(text(v)?)) },
    Row { names: &["--log"], env: &["XEMU_LOG"], arg: Value("LEVEL"), help: "xemu's own messages: off (the default), error, warn, info, debug or trace", set: set_log },
    Row { names: &["--host-runner"], env: &["XEMU_HOST_RUNNER"], arg: Value("COMMAND"), help: "command that runs xemu itself when it starts itself again (to test under another emulator)", set: |o, v| Ok(o.host_runner = Some(text(v)?)) },
    Row { names: &["--exec-fd"], env: &[], arg: Value("FD"), help: "", set: |o, v| Ok(o.exec_fd = Some(number(v)? as i32)) },
    Row { names: &["--own-fd"], env: &[], arg: Value("FD"), help: "", set: |o, v| Ok(o.own_fd = Some(number(v)? as i32)) },
    Row { names: &["--limits"], env: &[], arg: Value("LIMITS"), help: "", set: |o, v| Ok(o.limits = Some(text(v)?)) },
    ignored!("-B", Value("ADDRESS"), "ignored: guest addresses are host addresses"),
    ignored!("-R", Value("SIZE"), "ignored: the program has the whole address space"),
    ignored!("-p", Value("SIZE"), "ignored: pages have 4096 bytes"),
    ignored!("-t", Value("SIZE"), "ignored"),
    Row { names: &["-g"], env: &["XEMU_GDB", "QEMU_GDB"], arg: Value("PORT|PATH"), help: "wait for gdb on a TCP port of this machine, HOST:PORT or a Unix socket; PORT,suspend=n does not wait", set: |o, v| Ok(o.gdb = Some(Listen::parse(&text(v)?)?)) },
    // For programs that a debugged one executes: whatever the environment says they are not debugged.
    Row { names: &["--no-gdb"], env: &[], arg: Flag, help: "", set: |o, _| Ok(o.gdb = None) },
];

/// What xemu was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a program: its path, argument list (argv[0] included) and options.
    Run {
        /// Path.
        program: Vec<u8>,
        /// Arguments.
        args: Vec<Vec<u8>>,
        /// Options.
        options: Box<Options>,
        /// A descriptor on which the kernel opened the program.
        fd: Option<i32>,
    },
    /// A subcommand and its arguments.
    Tool(&'static str, Vec<Vec<u8>>),
    /// Text for standard output.
    Print(String),
    /// What is wrong with the command line.
    Wrong(String),
}

/// Subcommands: names that are never programs unless written with a slash.
const TOOLS: [&str; 4] = ["agent", "binfmt", "disasm", "doctor"];

/// How xemu was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// As a command, with options.
    Command,
    /// As the kernel's interpreter: argv[1] is the program's path; with `argv0`, argv[2] is its argv[0].
    Kernel {
        /// The kernel kept argv[0] (binfmt_misc flag P).
        argv0: bool,
    },
}

const AT_EXECFD: u64 = 2;
const AT_FLAGS: u64 = 8;
const AT_SECURE: u64 = 23;
/// AT_FLAGS bit: argv[0] was preserved (AT_FLAGS_PRESERVE_ARGV0).
const PRESERVE_ARGV0: u64 = 1;
/// A name that says "with flag P" where AT_FLAGS is not to be had (an emulated host).
const P_SUFFIX: &[u8] = b"-binfmt-P";

/// Tells who started us. In this order:
/// 1. AT_EXECFD, or bit 0 of AT_FLAGS, or a name ending in `-binfmt-P`: the kernel.
/// 2. AT_EXECFN equals argv[0]: a command. (The kernel passes the registered path as argv[0] and the *program's* path in
///    AT_EXECFN, so they can be equal only for a program that lies where xemu is registered. xemu starts itself so.)
/// 3. AT_EXECFN equals argv[1]: the kernel, running a program directly.
/// 4. AT_EXECFN names the file that is running (same device and inode as /proc/self/exe): a command; another file (a script whose
///    interpreter the kernel found): the kernel.
/// 5. Nothing can be compared: a command.
pub fn invocation(start: &Start) -> Invocation {
    let flags = start.aux(AT_FLAGS).unwrap_or(0);
    let argv0 = start.args.first().copied().unwrap_or_default();
    let p = flags & PRESERVE_ARGV0 != 0 || argv0.ends_with(P_SUFFIX);
    if p || start.aux(AT_EXECFD).is_some() {
        return Invocation::Kernel { argv0: p };
    }
    let Some(name) = start.exec_name() else { return Invocation::Command };
    if name == argv0 {
        return Invocation::Command;
    }
    if start.args.get(1) == Some(&name) {
        return Invocation::Kernel { argv0: false };
    }
    match (file::stat(name), file::stat(b"/proc/self/exe")) {
        (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) != (b.st_dev, b.st_ino) => Invocation::Kernel { argv0: false },
        _ => Invocation::Command,
    }
}

/// Reads the command line and the environment.
pub fn parse(start: &Start) -> Command {
    let mut command = read(start);
    if let Command::Run { options, .. } = &mut command {
        // The guest and its children change their folder.
        for path in [&mut options.prefix, &mut options.log_file].into_iter().flatten() {
            if let Ok(whole) = std::path::absolute(OsStr::from_bytes(path)) {
                *path = whole.into_os_string().into_vec();
            }
        }
    }
    command
}

fn read(start: &Start) -> Command {
    let mut options = Box::<Options>::default();
    let secure = start.aux(AT_SECURE).unwrap_or(0) != 0;
    let how = invocation(start);
    let settings: Vec<&[u8]> = embedded::lines().collect();
    if let Err(e) = from_environment(&mut options, &settings) {
        return Command::Wrong(format!("settings of this copy: {e}"));
    }
    if !secure && let Err(e) = from_environment(&mut options, &start.env) {
        return Command::Wrong(e);
    }
    match how {
        Invocation::Kernel { argv0 } => {
            let fd = start.aux(AT_EXECFD).map(|fd| fd as i32);
            let Some(program) = start.args.get(1) else { return Command::Wrong("started by the kernel without a program".into()) };
            // With P: xemu, path, argv0, arguments. Without: xemu, path, arguments.
            let first = if argv0 && start.args.len() > 2 { 2 } else { 1 };
            let mut args: Vec<Vec<u8>> = start.args[first..].iter().map(|a| a.to_vec()).collect();
            if let Some(name) = options.argv0.take() {
                args[0] = name;
            }
            Command::Run { program: program.to_vec(), args, options, fd }
        }
        Invocation::Command => command_line(start.args.get(1..).unwrap_or(&[]), options),
    }
}

/// An option on the command line: `-x value` or `--x=value`.
fn command_line(args: &[&[u8]], mut options: Box<Options>) -> Command {
    let mut at = 0;
    while let Some(&arg) = args.get(at) {
        at += 1;
        if arg == b"--" {
            break;
        }
        if !arg.starts_with(b"-") || arg == b"-" {
            at -= 1;
            break;
        }
        match arg {
            b"-h" | b"-help" | b"--help" => return Command::Print(help()),
            b"-version" | b"--version" | b"-V" => return Command::Print(version()),
            _ => {}
        }
        let (name, inline) = match arg.iter().position(|b| *b == b'=') {
            Some(eq) if arg.starts_with(b"--") => (&arg[..eq], Some(&arg[eq + 1..])),
            _ => (arg, None),
        };
        let shown = String::from_utf8_lossy(name);
        let Some(row) = TABLE.iter().find(|r| r.names.iter().any(|n| n.as_bytes() == name)) else {
            return Command::Wrong(format!("unknown option {shown} (--help lists all)"));
        };
        let value = match (row.arg, inline) {
            (Flag, None) => &b""[..],
            (Flag, Some(_)) => return Command::Wrong(format!("option {shown} takes no value")),
            (Value(_), Some(v)) => v,
            (Value(what), None) => match args.get(at) {
                Some(v) => {
                    at += 1;
                    v
                }
                None => return Command::Wrong(format!("option {shown} needs {what}")),
            },
        };
        if let Err(e) = (row.set)(&mut options, value) {
            return Command::Wrong(format!("option {shown}: {e}"));
        }
        if options.cpu.as_deref().is_some_and(|c| WANTS_HELP.contains(&c)) {
            return Command::Print(models::help());
        }
    }
    let Some(&program) = args.get(at) else { return Command::Wrong("no program given (--help shows how)".into()) };
    let rest = || args[at + 1..].iter().map(|a| a.to_vec());
    if at == 0
        && let Some(tool) = TOOLS.iter().find(|t| t.as_bytes() == program)
    {
        return Command::Tool(tool, rest().collect());
    }
    let argv0 = options.argv0.take().unwrap_or_else(|| program.to_vec());
    let args = std::iter::once(argv0).chain(rest()).collect();
    Command::Run { program: program.to_vec(), args, fd: options.exec_fd.take(), options }
}

/// Settings that a registered copy carries, checked one by one before they are written into it.
pub fn check_setting(line: &str) -> Result<(), String> {
    let (name, value) = line.split_once('=').ok_or_else(|| format!("setting {line:?}: not NAME=VALUE"))?;
    if !embedded::ALLOWED.contains(&name) {
        return Err(format!("setting {name}: not one of {}", embedded::ALLOWED.join(", ")));
    }
    if value.contains(['\n', '\0']) {
        return Err(format!("setting {name}: more than a line"));
    }
    from_environment(&mut Options::default(), &[line.as_bytes()])
}

fn from_environment(options: &mut Options, env: &[&[u8]]) -> Result<(), String> {
    // Most environments have none of ours: one pass over the prefixes decides.
    if !env.iter().any(|v| v.starts_with(b"XEMU_") || v.starts_with(b"QEMU_")) {
        return Ok(());
    }
    for row in TABLE {
        for name in row.env {
            let value = env.iter().find_map(|v| v.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            let Some(value) = value else { continue };
            // An empty one is as good as none: images and shells clear variables so.
            if !(value.is_empty() || row.arg == Flag && value == b"0") {
                (row.set)(options, value).map_err(|e| format!("variable {name}: {e}"))?;
            }
            break;
        }
    }
    Ok(())
}

impl Options {
    /// These options as arguments for another xemu that is to run a guest's child (the guest's environment is its own affair, and -0, -E
    /// and -U are spent).
    pub fn to_args(&self) -> Vec<Vec<u8>> {
        let mut out: Vec<Vec<u8>> = Vec::new();
        let mut value = |name: &str, v: Option<&[u8]>| {
            if let Some(v) = v {
                out.push(name.into());
                out.push(v.to_vec());
            }
        };
        fn bytes(s: &Option<String>) -> Option<&[u8]> {
            s.as_ref().map(|s| s.as_bytes())
        }
        let shown = |n: Option<u64>| n.map(|n| n.to_string());
        value("-L", self.prefix.as_deref());
        value("-s", bytes(&shown(self.stack_size)));
        value("-cpu", bytes(&self.cpu));
        value("-d", bytes(&self.log_items));
        value("-D", self.log_file.as_deref());
        value("-r", self.release.as_deref());
        value("-seed", bytes(&shown(self.seed)));
        value("--dump", bytes(&self.dump));
        value("--dump-filter", bytes(&self.dump_filter));
        value("--no-opt", (!self.no_opt.is_empty()).then(|| self.no_opt.join(",")).as_ref().map(|s| s.as_bytes()));
        value("--cache-size", bytes(&shown(self.cache_size)));
        value("--host-features", bytes(&self.host_features));
        value("--log", bytes(&self.log));
        value("--host-runner", bytes(&self.host_runner));
        value("--exec-fd", bytes(&self.exec_fd.map(|n| n.to_string())));
        value("--limits", bytes(&self.limits));
        for (on, name) in [
            (self.strace, "-strace"),
            (self.single, "-one-insn-per-tb"),
            (self.interpret, "--interpret"),
            (self.ordered, "--memory-model=ordered"),
            (self.perf_map, "--perf-map"),
            (self.precise_flags, "--precise-flags"),
            (self.strict_align, "--strict-align"),
            (self.unsafe_fast_nan, "--unsafe-fast-nan"),
            (self.gdb.is_some(), "--no-gdb"),
        ] {
            if on {
                out.push(name.into());
            }
        }
        out
    }
}

/// One line with the version.
pub fn version() -> String {
    format!("xemu {}\n", env!("CARGO_PKG_VERSION"))
}

/// The text of --help.
pub fn help() -> String {
    let mut s = String::from(
        "Runs x86_64 Linux programs on ARM64 Linux.\n\nUsage: xemu [OPTIONS] PROGRAM [ARGUMENTS]\n       xemu agent|binfmt|disasm|doctor --help\n\nPROGRAM is a path, or a name to be found along PATH.\n\nOptions, and variables that set them:\n",
    );
    let mut line = |names: &[&str], arg: Arg, help: &str, env: &[&str]| {
        let mut left = names.join(", ");
        if let Value(v) = arg {
            left += if left.starts_with("--") { "=" } else { " " };
            left += v;
        }
        let vars = if env.is_empty() { String::new() } else { format!(" [{}]", env.join(", ")) };
        let _ = writeln!(s, "  {left:<28} {help}{vars}");
    };
    line(&["-h", "-help", "--help"], Flag, "this text", &[]);
    line(&["-version", "--version"], Flag, "the version", &[]);
    for row in TABLE.iter().filter(|r| !r.help.is_empty()) {
        line(row.names, row.arg, row.help, row.env);
    }
    s
}

pub mod embedded;

#[cfg(test)]
mod tests;
