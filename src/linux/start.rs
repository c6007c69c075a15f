//! From a command to a running guest: address space, program, stack, first task.

use super::coredump::{self, Threads};
use super::gdb;
use super::loader::{self, LoadError, Loaded, Program};
use super::memory::{Layout, Mm, Place, Prot, Request, vma::Kind};
use super::signal::SigHand;
use super::process::{Executable, Limits, Own, Places, Process};
use super::stack::{self, Contents, at};
use super::syscall::table::CALLS;
use super::task::Task;
use super::{messages, run, signal, vdso};
use crate::debug;
use crate::emit::Features;
use crate::engine::{self, Engine};
use crate::guest::addr::PAGE_SIZE;
use crate::guest::{Addr, Gpr, cpuid};
use crate::host::heap::HEAP;
use crate::host::file::{self, Fd};
use crate::host::process::{self as host, Start};
use crate::host::{copy, memory, reserved};
use crate::options::Options;
use std::fs::File;
use std::sync::{Arc, Mutex};

/// A program to be run.
pub struct Job {
    /// Its path.
    pub program: Vec<u8>,
    /// Its arguments, argv[0] included.
    pub args: Vec<Vec<u8>>,
    /// Options.
    pub options: Options,
    /// The program, open, if the kernel or another xemu passed it so.
    pub fd: Option<i32>,
    /// The path for AT_EXECFN, if it is not the program's.
    pub exec_name: Option<Vec<u8>>,
    /// `program` is what a command line names, not what execve(2) got: it may have to be looked for along PATH.
    pub typed: bool,
}

/// AT_HWCAP2: FSGSBASE may be used.
const HWCAP2_FSGSBASE: u64 = 2;
/// Ticks a second (AT_CLKTCK).
const CLOCK_TICKS: u64 = 100;
const ADDR_NO_RANDOMIZE: u64 = 0x4_0000;
/// The stack's size where its limit says "unlimited": address space only, memory is used as it is touched.
const UNLIMITED_STACK: u64 = 256 << 20;
const DEFAULT_STACK: u64 = 8 << 20;
const LEAST_STACK: u64 = 256 << 10;

/// Ends with one line on standard error.
fn fatal(text: &str, code: u64) -> ! {
    file::complain(format!("xemu: {text}\n").as_bytes());
    host::exit_process(code)
}

/// Runs a program. `start` is what the kernel gave to xemu.
pub fn start(start: &Start, job: Job) -> ! {
    match start.aux(at::PAGESZ) {
        Some(PAGE_SIZE) | None => {}
        Some(size) => fatal(&format!("this host has pages of {size} bytes; only 4096 are supported"), 126),
    }
    HEAP.alone();
    reserved::register_process();
    match prepare(start, job) {
        Ok(mut task) => {
            let status = run(&mut task);
            super::thread::end(task, status)
        }
        Err(e) => fatal(&e.to_string(), e.exit_code()),
    }
}

fn prepare(start: &Start, job: Job) -> Result<Task, LoadError> {
    let mut options = job.options;
    messages::start(&options);
    cpuid::select(options.cpu.as_deref()).map_err(LoadError::Option)?;
    let own = Own::find(start.exec_name(), options.own_fd.take());
    let name = match job.typed {
        true => loader::named(&job.program, start.env.iter().find_map(|v| v.strip_prefix(b"PATH=")), options.prefix.as_deref()),
        false => job.program,
    };
    let exec_name = job.exec_name.unwrap_or_else(|| name.clone());
    let program = loader::resolve(&name, job.args, options.prefix.as_deref(), job.fd.map(Fd))?;

    let limit = options.stack_size.unwrap_or_else(|| match host::limit(libc::RLIMIT_STACK as u64) {
        Ok((u64::MAX, _)) => UNLIMITED_STACK,
        Ok((soft, _)) => soft,
        Err(_) => DEFAULT_STACK,
    });
    let stack_size = limit.clamp(LEAST_STACK, 1 << 40) & !(PAGE_SIZE - 1);
    let fixed = host::personality() & ADDR_NO_RANDOMIZE != 0;
    let random = random_bytes(start, options.seed);
    let mm: &'static Mm = Box::leak(Box::new(Mm::new(Layout::new(stack_size, (!fixed).then_some(random.0)))));
    // (Those of the host hold by themselves.)
    let limits = options.limits.take().and_then(|t| Limits::from_text(&t));
    if let Some(limits) = limits {
        mm.set_limit(limits.address_space.0);
        mm.set_data_limit(limits.data.0);
    }

    let loaded = loader::load(mm, &program, options.prefix.as_deref())?;
    mm.set_brk_start(loaded.brk);
    let failed = |at: Addr| move |e| LoadError::Map(b"initial stack".to_vec(), at, e);
    let vdso = vdso::map(mm).map_err(failed(Addr(0)))?;
    let top = map_stack(mm, stack_size, program.elf.executable_stack)?;
    let env = environment(start, &options);
    let contents = Contents {
        args: &program.args,
        env: &env,
        exec_name: &exec_name,
        random: random.1,
        aux: auxiliary(start, &loaded, vdso),
        offset: mm.layout().sp_offset,
    };
    let image = stack::build(top.0, contents);
    if top.0 - image.sp > stack_size / 4 * 3 {
        return Err(LoadError::Map(b"initial stack".to_vec(), Addr(image.sp), crate::host::sys::Errno(libc::E2BIG)));
    }
    copy::write_bytes(Addr(image.sp), &image.bytes).map_err(|f| failed(f.0)(crate::host::sys::Errno(libc::EFAULT)))?;
    let exe = absolute(&program);
    host::set_name(short_name(&exec_name, &exe));
    let running = Executable::new(exe, &program.file);
    // An open descriptor passed on for the program is not the guest's.
    drop(program.file);

    let sighand = Arc::new(SigHand::inherited());
    let engine = Engine::start(engine_options(start, &options)?, mm).map_err(LoadError::Engine)?;
    mm.set_engine(engine);
    let places = Places { args: image.args, env: image.env, stack: image.sp, loaded };
    let (rip, rsp) = (places.loaded.start.0, image.sp);
    let limits = Mutex::new(limits);
    let mut process = Process { mm, engine, options, program: running, auxv: image.aux, places, own, debugger: None, limits, threads: Threads::default() };
    if let Some(listen) = process.options.gdb.clone() {
        gdb::start(&listen, &mut process).map_err(LoadError::Option)?;
    }
    let process = Arc::new(process);
    let mut task = Task::first(engine.thread().map_err(LoadError::Engine)?, process.clone(), sighand.clone(), host::tid());
    // Now that it has an inbox for what is caught.
    coredump::arm(&task.process.threads, &task.sighand, host::limit(coredump::RLIMIT_CORE).map_or(0, |l| l.0));
    gdb::spawn(&process, &sighand).map_err(LoadError::Engine)?;
    let state = task.thread.state();
    state.rip = rip;
    state.set(Gpr::Rsp, rsp);
    Ok(task)
}

/// Settings of the engine: what the host offers, and what the user chose.
fn engine_options(start: &Start, options: &crate::options::Options) -> Result<engine::Options, LoadError> {
    let mut e = engine::Options::default();
    let t = &mut e.translate;
    t.features = match &options.host_features {
        Some(list) => Features::parse(list).map_err(LoadError::Option)?,
        None => Features::from_hwcap(start.aux(at::HWCAP).unwrap_or(0), start.aux(at::HWCAP2).unwrap_or(0)),
    };
    for name in &options.no_opt {
        t.switches.disable(name).map_err(LoadError::Option)?;
    }
    if options.precise_flags {
        // Every flag is computed: none is stale at a fault or signal.
        t.switches.disable("dead-flags").map_err(LoadError::Option)?;
    }
    e.debugged = options.gdb.is_some();
    if e.debugged {
        // Whoever looks sees every flag, every system call and every signal.
        for name in ["dead-flags", "direct-calls", "call-stubs", "own-calls", "guards", "narrow", "unpolled", "plain-table"] {
            t.switches.disable(name).map_err(LoadError::Option)?;
        }
    } else if !options.strace {
        t.calls = &CALLS;
    }
    t.ordered = options.ordered;
    if t.ordered {
        t.features = engine::ordered_features(t.features);
    }
    t.strict_align = options.strict_align;
    t.xcr0 = cpuid::cpu().xcr0();
    t.unsafe_fast_nan = options.unsafe_fast_nan;
    if let Some(size) = options.cache_size {
        e.cache_size = size;
    }
    let mut dump = debug::dump::Config::default();
    dump.parse(options.dump.as_deref().unwrap_or_default()).map_err(LoadError::Option)?;
    if let Some(items) = &options.log_items {
        // QEMU's -d: of its items those that mean the same here.
        let known: Vec<&str> = items.split(',').filter(|i| ["in_asm", "out_asm"].contains(i)).collect();
        dump.parse(&known.join(",")).map_err(LoadError::Option)?;
    }
    if let Some(range) = &options.dump_filter {
        dump.parse_filter(range).map_err(LoadError::Option)?;
    }
    let file = |path: &str| File::create(path).map(Mutex::new).map_err(|e| LoadError::Option(format!("{path}: {e}")));
    if options.perf_map {
        dump.perf_map = Some(file(&format!("/tmp/perf-{}.map", std::process::id()))?);
    }
    if dump.is_active()
        && let Some(path) = &options.log_file
    {
        dump.log = Some(file(&String::from_utf8_lossy(path))?);
    }
    e.observer = debug::observer(dump);
    e.interpret = options.interpret;
    if options.single || options.interpret {
        e.limits = crate::decode::Limits { insns: 1, segments: 1, short: false };
    }
    Ok(e)
}

/// Randomness for the layout and for the guest's AT_RANDOM. The two differ, so that one does not give the other away.
fn random_bytes(start: &Start, seed: Option<u64>) -> ([u8; 16], [u8; 16]) {
    let given = match seed {
        Some(seed) => u128::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
        None => u128::from_le_bytes(start.random()),
    };
    // SplitMix64's finisher on each half, twice with different increments.
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let derive = |n: u64| {
        let (low, high) = (given as u64, (given >> 64) as u64);
        let bytes = [mix(low.wrapping_add(mix(high ^ n))), mix(high.wrapping_add(mix(low ^ !n)))];
        (u128::from(bytes[0]) | u128::from(bytes[1]) << 64).to_le_bytes()
    };
    (derive(1), derive(2))
}

/// Maps the stack at the top of the layout, or lower where the host has something there; returns its end.
fn map_stack(mm: &Mm, size: u64, executable: bool) -> Result<Addr, LoadError> {
    let mut prot = Prot::READ | Prot::WRITE;
    prot.set(Prot::EXEC, executable);
    let top = mm.layout().free_stack_top(size, memory::has_mappings);
    let request = |place| Request::anonymous(place, size, prot, Kind::Stack);
    let wanted = Addr(top - size);
    let got = mm.map(&request(Place::Hint(wanted))).map_err(|e| LoadError::Map(b"initial stack".to_vec(), wanted, e))?;
    Ok(got.plus(size))
}

/// The guest's environment: ours, with -U and -E applied.
fn environment(start: &Start, options: &Options) -> Vec<Vec<u8>> {
    fn name(v: &[u8]) -> &[u8] {
        &v[..v.iter().position(|b| *b == b'=').unwrap_or(v.len())]
    }
    let dropped = |v: &[u8]| options.unset.iter().any(|u| u == name(v)) || options.set.iter().any(|s| name(s) == name(v));
    let kept = start.env.iter().filter(|v| !dropped(v)).map(|v| v.to_vec());
    kept.chain(options.set.iter().cloned()).collect()
}

fn auxiliary(start: &Start, loaded: &Loaded, vdso: Addr) -> Vec<(u64, u64)> {
    let (uid, gid) = host::real_ids();
    let (euid, egid) = host::effective_ids();
    let id = |kind: u64, value: u32| (kind, start.aux(kind).unwrap_or(value as u64));
    let cpu = cpuid::cpu();
    vec![
        (at::SYSINFO_EHDR, vdso.0),
        (at::MINSIGSTKSZ, signal::min_stack()),
        (at::HWCAP, u64::from(cpu.feature_bits(1, 0)[3])),
        (at::PAGESZ, PAGE_SIZE),
        (at::CLKTCK, CLOCK_TICKS),
        (at::PHDR, loaded.headers.0),
        (at::PHENT, 56),
        (at::PHNUM, loaded.header_count),
        (at::BASE, loaded.base.0),
        (at::FLAGS, 0),
        (at::ENTRY, loaded.entry.0),
        id(at::UID, uid),
        id(at::EUID, euid),
        id(at::GID, gid),
        id(at::EGID, egid),
        (at::SECURE, start.aux(at::SECURE).unwrap_or(0)),
        (at::RANDOM, 0),
        (at::HWCAP2, if cpu.features.has("fsgsbase") { HWCAP2_FSGSBASE } else { 0 }),
        (at::EXECFN, 0),
        (at::PLATFORM, 0),
    ]
}

/// The name shown by ps: that of the path executed, or of the program where a bare descriptor was (Linux 6.14).
fn short_name<'a>(exec_name: &'a [u8], exe: &'a [u8]) -> &'a [u8] {
    let bare = exec_name.strip_prefix(b"/dev/fd/").is_some_and(|n| n.iter().all(u8::is_ascii_digit));
    let path = if bare { exe } else { exec_name };
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// Absolute path of the program: by /proc, else by its name.
fn absolute(program: &Program) -> Vec<u8> {
    file::path_of(program.file.0).unwrap_or_else(|| program.path.clone())
}
