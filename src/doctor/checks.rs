//! The checks, a row each, in the order in which they are shown. Numbers of kernel versions name the release that brought what is needed.

use super::machine::Machine;
use super::trial::Trial;
use super::{Finding, Level, features, handlers};
use crate::binfmt::{MOUNT, misc};

type Check = fn(&Machine) -> Finding;

/// Name and function.
pub const CHECKS: &[(&str, Check)] = &[
    ("machine", architecture),
    ("kernel", kernel),
    ("kernel options", options),
    ("page size", page_size),
    ("address bits", address_bits),
    ("processor", features::check),
    ("code memory", code_memory),
    ("limits", limits),
    ("seccomp", seccomp),
    ("security modules", modules),
    ("privileges", privileges),
    ("binfmt_misc", handlers::mounted),
    ("flag F", fix_binary),
    ("handler", handlers::handler),
    ("other handlers", handlers::others),
    ("after a boot", handlers::boot),
    ("x86_64 program", program),
];

fn architecture(m: &Machine) -> Finding {
    let line = |key: &str| m.field("/proc/cpuinfo", key);
    // Only ARM's has these.
    match (line("CPU implementer"), line("CPU part")) {
        (Some(maker), Some(part)) => Finding::ok(format!("ARM64 (implementer {maker}, part {part})")),
        _ if m.is_native() => {
            Finding::new(Level::Note, "not ARM64: an x86_64 machine runs x86_64 programs by itself", "there is nothing to do here")
        }
        _ => Finding::note("unknown: /proc/cpuinfo does not tell"),
    }
}

/// Oldest kernel that xemu is meant for: MAP_FIXED_NOREPLACE, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE.
const OLDEST: (u32, u32) = (4, 17);
/// binfmt_misc per user namespace.
const NAMESPACED: (u32, u32) = (6, 7);

fn kernel(m: &Machine) -> Finding {
    let release = m.release();
    match misc::release(&release) {
        Some(r) if r < OLDEST => Finding::new(Level::Failure, format!("{release} is too old: xemu needs Linux 4.17"), "boot a newer kernel"),
        Some(r) if r < crate::binfmt::PRESERVES_ARGV0 => {
            Finding::new(Level::Warning, format!("{release}: programs do not see argv[0] as it was given (Linux 5.12 tells it)"), "boot Linux 5.12 or newer; busybox images need it")
        }
        Some(_) => Finding::ok(release),
        None => Finding::note("unknown: /proc/sys/kernel/osrelease does not tell"),
    }
}

/// Options, what is lost without them, and how bad that is.
const OPTIONS: &[(&str, &str, Level)] = &[
    ("CONFIG_BINFMT_MISC", "no program is found by itself: only `xemu PROGRAM` works", Level::Failure),
    ("CONFIG_MEMBARRIER", "code that a thread changes for another is not seen in time", Level::Warning),
    ("CONFIG_USER_NS", "no rootless containers", Level::Note),
    ("CONFIG_MEMCG", "containers have no memory limits", Level::Note),
    ("CONFIG_SECCOMP_FILTER", "containers have no seccomp profiles", Level::Note),
];

fn options(m: &Machine) -> Finding {
    if m.option("CONFIG_BINFMT_MISC").is_none() {
        return Finding::note("unknown: neither /proc/config.gz nor /boot/config-* can be read here");
    }
    let off = |name: &str| m.option(name).as_deref() == Some("n");
    let missing: Vec<_> = OPTIONS.iter().filter(|o| off(o.0)).collect();
    let shown = |name: &str| format!("{name}={}", m.option(name).unwrap_or_default());
    let details = OPTIONS.iter().map(|o| if off(o.0) { format!("{}: {}", shown(o.0), o.1) } else { shown(o.0) }).collect();
    let finding = match missing.iter().map(|o| o.2).max() {
        None => Finding::ok("as they should be"),
        Some(level) => {
            let names: Vec<&str> = missing.iter().map(|o| o.0).collect();
            Finding::new(level, format!("without {}", names.join(", ")), "boot a kernel that has them")
        }
    };
    Finding { details, ..finding }
}

fn page_size(m: &Machine) -> Finding {
    match m.page_size {
        4096 => Finding::ok("4096 bytes"),
        size => Finding::new(
            Level::Failure,
            format!("{size} bytes: x86_64 programs have pages of 4096, and xemu refuses to run them on larger ones"),
            "boot a kernel with 4 KiB pages (Debian: linux-image-arm64; Raspberry Pi OS: kernel=kernel8.img; Fedora Asahi: a virtual machine, as muvm makes it)",
        ),
    }
}

fn address_bits(m: &Machine) -> Finding {
    match m.address_bits() {
        Some(bits) if bits < 47 => Finding::new(
            Level::Failure,
            format!("{bits}: x86_64 programs are laid out in 47, and addresses that do not exist can't be given to them"),
            "boot a kernel with CONFIG_ARM64_VA_BITS=48 (the default)",
        ),
        Some(47) => Finding::note("47: xemu's own memory lies among the program's"),
        Some(bits) => Finding::ok(format!("{bits}")),
        None => Finding::note("unknown: /proc/self/maps can't be read"),
    }
}

fn code_memory(m: &Machine) -> Finding {
    match &m.tried.code_memory {
        Ok(()) => Finding::ok("memory that is writable and executable can be had"),
        Err(e) => {
            let advice = if m.word("/sys/fs/selinux/booleans/deny_execmem").as_deref() == Some("1") {
                "SELinux's boolean deny_execmem is on: `sudo setsebool -P deny_execmem 0`"
            } else {
                "look for a service's MemoryDenyWriteExecute=yes, a policy without execmem, or a limit of address space (`ulimit -v`)"
            };
            Finding::new(Level::Failure, format!("memory that is writable and executable can't be had: {e}"), advice)
        }
    }
}

fn limits(m: &Machine) -> Finding {
    const NEEDED: u64 = 1 << 30;
    let number = |path: &str| m.word(path).and_then(|w| w.parse::<u64>().ok());
    let space = m.read("/proc/self/limits").and_then(|t| {
        let line = t.lines().find_map(|l| l.strip_prefix("Max address space"))?.trim().to_string();
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    if let Some(bytes) = space.filter(|b| *b < NEEDED) {
        return Finding::new(Level::Warning, format!("address space is limited to {} MiB", bytes >> 20), "`ulimit -v unlimited`: code memory alone takes 64 MiB of addresses");
    }
    if number("/proc/sys/vm/overcommit_memory") == Some(2) {
        return Finding::new(Level::Warning, "memory is not overcommitted (vm.overcommit_memory=2): each program counts 64 MiB of code memory, used or not", "`sudo sysctl vm.overcommit_memory=0`");
    }
    if let Some(count) = number("/proc/sys/vm/max_map_count").filter(|c| *c < 65530) {
        return Finding::new(Level::Warning, format!("only {count} mappings a process (vm.max_map_count)"), "`sudo sysctl vm.max_map_count=262144`");
    }
    Finding::ok("none that matters")
}

fn seccomp(m: &Machine) -> Finding {
    match m.field("/proc/self/status", "Seccomp").as_deref() {
        None | Some("0") => Finding::ok("no filter on this process"),
        _ if m.tried.code_memory.is_ok() => {
            let new = m.field("/proc/self/status", "NoNewPrivs").as_deref() == Some("1");
            let more = if new { "; no_new_privs is set, so set-user-id programs keep the caller's identity, as natively" } else { "" };
            Finding::note(format!("a filter is on this process: it sees the system calls of ARM64 that xemu makes{more}. Containers' default profiles are fine"))
        }
        _ => Finding::new(Level::Failure, "a filter is on this process, and code memory can't be had", "run the container with its runtime's default profile, or `--security-opt seccomp=unconfined` to see whether it is the filter"),
    }
}

fn modules(m: &Machine) -> Finding {
    let mut found = Vec::new();
    let mut advice = "";
    if let Some(mode) = m.word("/sys/fs/selinux/enforce") {
        found.push(if mode == "1" { "SELinux enforces its policy" } else { "SELinux only warns" }.to_string());
        if m.word("/sys/fs/selinux/booleans/deny_execmem").as_deref() == Some("1") {
            found.push("its boolean deny_execmem forbids what every translator needs".into());
            advice = "`sudo setsebool -P deny_execmem 0`";
        }
    }
    if m.word("/sys/module/apparmor/parameters/enabled").as_deref() == Some("Y") {
        let label = m.read("/proc/self/attr/apparmor/current").or_else(|| m.read("/proc/self/attr/current")).unwrap_or_default();
        let label = label.trim_end_matches(['\0', '\n']);
        if label.is_empty() || label == "unconfined" {
            found.push("AppArmor does not confine this process".into());
        } else {
            found.push(format!("AppArmor confines this process: {label}"));
            if advice.is_empty() {
                advice = "that is fine for running programs; to register, run the container privileged, whose profile allows mounting";
            }
        }
    }
    if found.is_empty() {
        return Finding::ok("neither SELinux nor AppArmor");
    }
    let level = match (advice.is_empty(), m.tried.code_memory.is_ok()) {
        (true, _) => Level::Ok,
        (false, true) => Level::Note,
        (false, false) => Level::Failure,
    };
    Finding::new(level, found.join("; "), advice)
}

const CAP_SYS_ADMIN: u64 = 1 << 21;

fn privileges(m: &Machine) -> Finding {
    let capable = m.field("/proc/self/status", "CapEff").and_then(|t| u64::from_str_radix(&t, 16).ok()).is_some_and(|c| c & CAP_SYS_ADMIN != 0);
    let initial = m.read("/proc/self/uid_map").is_none_or(|t| t.split_whitespace().eq(["0", "0", "4294967295"]));
    match (capable, initial) {
        (true, true) => Finding::ok("this process may register handlers"),
        (true, false) if misc::release(&m.release()).is_some_and(|r| r >= NAMESPACED) => {
            Finding::note("in a user namespace: what is registered here holds for this namespace only")
        }
        (true, false) => Finding::note("in a user namespace: handlers can be registered only outside of it (in it since Linux 6.7)"),
        (false, _) => Finding::note("this process may not register handlers; running programs takes no privilege"),
    }
}

fn fix_binary(m: &Machine) -> Finding {
    // Since Linux 4.8.
    let old = misc::release(&m.release()).is_some_and(|r| r < (4, 8));
    match &m.tried.fix_binary {
        _ if m.is_native() => Finding::ok("not needed"),
        _ if old => Finding::new(Level::Failure, "not in this kernel (Linux 4.8): the handler would have to be in every image", "boot a newer kernel"),
        Trial::Works => Finding::ok("works: a program ran by a handler whose file was gone, so images need not hold it"),
        Trial::Fails(e) => Finding::new(
            Level::Warning,
            format!("tried in a namespace, a program did not run by a handler whose file was gone: {e}"),
            "see the other findings; `xemu binfmt install`, then this again",
        ),
        Trial::NotTried(reason) => Finding::ok(format!("this kernel has it, so images need not hold the handler (not tried: {reason})")),
    }
}

fn program(m: &Machine) -> Finding {
    let takers = misc::takers(&m.path(MOUNT));
    let registered = takers.iter().any(|e| e.enabled);
    match &m.tried.program {
        Ok(ran) => {
            let by = ran.handler.as_ref().map_or(String::new(), |h| format!(", by {}", h.display()));
            Finding::ok(format!("ran in {:.1} ms and saw the processor \"{}\"{by}", ran.time.as_secs_f64() * 1e3, ran.processor))
        }
        Err(e) if registered => Finding::new(Level::Failure, format!("does not run: {e}"), "see the failures above; `XEMU_LOG=warn` says more"),
        Err(e) => Finding::note(format!("does not run, as nothing is registered for it: {e}")),
    }
}
