//! xemu's gdb stub under an ordinary gdb: the scripts of `fixtures/guests/gdb` debug the program of the same name natively and under xemu, and say the same. What
//! counts are the lines that begin with `= `: the rest differs with gdb's version, threads' numbers and addresses.

use super::guest::leaves_cores;
use super::native::{expected, recorded};
use super::{Context, Verdict};
use crate::guests::{self, Guest};
use crate::process::{Outcome, Run, run as run_process};
use crate::{Result, project, tools};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longest run of one script.
const LIMIT: Duration = Duration::from_secs(120);
/// Until xemu listens.
const START: Duration = Duration::from_secs(20);

/// Runs the suite.
pub fn run(context: &Context) -> Result<()> {
    let is_debugged = |g: &Guest| g.source.with_extension("gdb").exists();
    let guests: Vec<Guest> = guests::list("gdb")?.into_iter().filter(|g| is_debugged(g) && context.wants(&g.name, false)).collect();
    context.run_all(&guests, |guest| guest.name.clone(), |guest| script(context, guest).unwrap_or_else(Verdict::Failed));
    let more: Vec<&(&str, Test)> = MORE.iter().filter(|(name, _)| context.wants(name, false)).collect();
    if !more.is_empty() {
        // Once, and not by several tests at a time: it would be replaced while it runs.
        endless()?;
    }
    context.run_all(&more, |(name, _)| name.to_string(), |(_, test)| test(context).unwrap_or_else(Verdict::Failed));
    Ok(())
}

type Test = fn(&Context) -> Result<Verdict>;

/// What one connection does not show.
const MORE: &[(&str, Test)] = &[("gdb/again", again), ("gdb/killed", killed), ("gdb/tcp", tcp), ("gdb/core", core)];

/// gdb for amd64 programs, with the settings that every run has.
fn gdb() -> Result<Command> {
    let program = if project::HOST_IS_X86 { "gdb" } else { "gdb-multiarch" };
    tools::need_program(program, program)?;
    let mut gdb = Command::new(program);
    gdb.args(["-nx", "-batch"]).env("LC_ALL", "C").env_remove("DEBUGINFOD_URLS");
    for setting in ["pagination off", "confirm off", "width 0"] {
        gdb.args(["-ex", &format!("set {setting}")]);
    }
    Ok(gdb)
}

/// The lines that count.
fn said(run: Run) -> Run {
    let lines = run.outcome.stdout.split_inclusive(|b| *b == b'\n').filter(|l| l.starts_with(b"= "));
    Run { outcome: Outcome { stdout: lines.collect::<Vec<_>>().concat(), stderr: Vec::new(), end: run.outcome.end.clone() }, ..run }
}

fn script(context: &Context, guest: &Guest) -> Result<Verdict> {
    if guest.name.contains("-dynamic") && !project::HOST_IS_X86 {
        return Ok(Verdict::Skipped("its libraries are an x86_64 machine's".into()));
    }
    let (program, commands) = (guest.build()?, guest.source.with_extension("gdb"));
    let native = || {
        let mut gdb = gdb()?;
        gdb.args(["-ex", "starti", "-x"]).arg(&commands).arg(&program);
        run_process(gdb, LIMIT).map(said)
    };
    let want = match project::HOST_IS_X86.then(native).transpose()? {
        Some(run) if !run.outcome.stdout.is_empty() => expected(context, &guest.name, || Ok(run))?,
        // A sandbox may forbid ptrace(2).
        _ => recorded(&guest.name)?,
    };
    let mut debugged = Debugged::start(context, &program, "")?;
    let got = debugged.gdb(&["-x".into(), commands])?;
    let told = String::from_utf8_lossy(&got.outcome.stdout).into_owned();
    if got.outcome.end == "time limit" {
        return Ok(Verdict::Failed(format!("  gdb was still waiting after {LIMIT:?}\n{told}")));
    }
    Ok(want.difference(&said(got).outcome).map_or(Verdict::Passed, |difference| Verdict::Failed(format!("{difference}\n{told}"))))
}

/// A program under xemu that gdb can connect to.
struct Debugged {
    xemu: Child,
    socket: PathBuf,
}

impl Debugged {
    /// Starts `program`; `more` goes behind the socket's path.
    fn start(context: &Context, program: &Path, more: &str) -> Result<Debugged> {
        static SERIAL: AtomicUsize = AtomicUsize::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("xemu-gdb-{}-{serial}", std::process::id()));
        let mut emulator = context.emulator().clone();
        emulator.program.extend(["-g".into(), format!("{}{more}", socket.display()).into()]);
        let mut command = emulator.command(program.as_os_str());
        let xemu = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| format!("xemu: {e}"))?;
        let mut debugged = Debugged { xemu, socket };
        debugged.until("xemu listens", |d| d.socket.exists())?;
        Ok(debugged)
    }

    fn until(&mut self, what: &str, mut reached: impl FnMut(&mut Debugged) -> bool) -> Result<()> {
        let start = Instant::now();
        while !reached(self) {
            if start.elapsed() > START {
                return Err(format!("waited in vain for this: {what}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Connects gdb and has it do more.
    fn gdb(&mut self, arguments: &[PathBuf]) -> Result<Run> {
        loop {
            let mut gdb = gdb()?;
            gdb.args(["-ex", &format!("target remote {}", self.socket.display())]).args(arguments);
            let run = run_process(gdb, LIMIT)?;
            // The socket's name is there a moment before anybody listens.
            if !String::from_utf8_lossy(&run.outcome.stderr).contains("Connection refused") || self.is_gone() {
                return Ok(run);
            }
        }
    }

    /// gdb executes these commands; what it says.
    fn commands(&mut self, commands: &[&str]) -> Result<String> {
        let arguments: Vec<PathBuf> = commands.iter().flat_map(|c| ["-ex".into(), c.into()]).collect();
        Ok(String::from_utf8_lossy(&self.gdb(&arguments)?.outcome.stdout).into_owned())
    }

    fn is_gone(&mut self) -> bool {
        matches!(self.xemu.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Debugged {
    fn drop(&mut self) {
        let _ = self.xemu.kill();
        let _ = self.xemu.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn need(text: &str, parts: &[&str]) -> Result<()> {
    match parts.iter().find(|part| !text.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("gdb did not say {part:?}:\n{text}")),
    }
}

fn guest(name: &str) -> Result<Guest> {
    guests::list("gdb")?.into_iter().find(|g| g.name == name).ok_or(format!("no guest {name}"))
}

fn endless() -> Result<PathBuf> {
    guest("gdb/endless-static")?.build()
}

/// A program that does not wait for gdb goes on when gdb leaves, and gdb may come again.
fn again(context: &Context) -> Result<Verdict> {
    let mut debugged = Debugged::start(context, &endless()?, ",suspend=n")?;
    let first = debugged.commands(&["break turn", "continue", "continue", "printf \"= %d\\n\", turns > 0", "detach"])?;
    need(&first, &["= 1", "detached"])?;
    let second = debugged.commands(&["set var stop = 7", "continue", "printf \"= exit %d\\n\", $_exitcode"])?;
    need(&second, &["= exit 7"])?;
    debugged.until("the program's end", Debugged::is_gone)?;
    Ok(Verdict::Passed)
}

/// One that waited for gdb ends with gdb's session, as gdbserver's do.
fn killed(context: &Context) -> Result<Verdict> {
    let mut debugged = Debugged::start(context, &endless()?, "")?;
    need(&debugged.commands(&["break turn", "continue", "printf \"= %d\\n\", turns", "kill"])?, &["= 0", "killed"])?;
    debugged.until("the program's end", Debugged::is_gone)?;
    Ok(Verdict::Passed)
}

/// By TCP; children that the guest starts are not debugged, whatever the environment says.
fn tcp(context: &Context) -> Result<Verdict> {
    let mut command = context.emulator().command(endless()?.as_os_str());
    // (QEMU would heed its own variable where it runs xemu.)
    command.env("XEMU_GDB", "0").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let xemu = command.arg("child").spawn().map_err(|e| format!("xemu: {e}"))?;
    let mut debugged = Debugged { xemu, socket: PathBuf::new() };
    let mut line = String::new();
    let mut errors = std::io::BufReader::new(debugged.xemu.stderr.take().ok_or("no pipe")?);
    std::io::BufRead::read_line(&mut errors, &mut line).map_err(|e| e.to_string())?;
    debugged.socket = line.trim().rsplit(' ').next().unwrap_or_default().into();
    need(&debugged.commands(&["break turn", "continue", "set var stop = 3", "continue", "printf \"= exit %d\\n\", $_exitcode"])?, &["= exit 3"])?;
    Ok(Verdict::Passed)
}

/// The core file that the guest leaves, beside the native one.
fn core(context: &Context) -> Result<Verdict> {
    if !leaves_cores() {
        return Ok(Verdict::Skipped("the kernel leaves no core files in the working directory here (core_pattern, or the hard limit)".into()));
    }
    let crash = guest("gdb/crash-static")?;
    let program = crash.build()?;
    let examined = |command: Command| -> Result<Run> {
        let folder = std::env::temp_dir().join(format!("xemu-gdb-core-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -c unlimited; \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args()).current_dir(&folder);
        let died = run_process(shell, LIMIT)?;
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let core = files.map(|f| f.path()).find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("core")));
        let mut gdb = gdb()?;
        gdb.arg("-x").arg(crash.source.with_extension("core.gdb")).arg(&program);
        let run = run_process({ gdb.arg(core.ok_or(format!("no core file: {}", died.outcome.end))?); gdb }, LIMIT);
        let _ = std::fs::remove_dir_all(&folder);
        run.map(said)
    };
    let name = "gdb/crash-core";
    let native = if project::HOST_IS_X86 { Some(examined(Command::new(&program))?) } else { None };
    // gdb 13 knows one layout of XSAVE's area in a core file, that of Intel's processors: it stops at the upper halves in those that others leave.
    let want = match native {
        Some(run) if run.outcome.end == "exit 0" => expected(context, name, || Ok(run))?,
        _ => recorded(name)?,
    };
    let got = examined(context.emulator().command(program.as_os_str()))?;
    Ok(want.difference(&got.outcome).map_or(Verdict::Passed, Verdict::Failed))
}
