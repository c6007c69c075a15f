//! Made-up machines: each is the kernel's files of a healthy one, with what a test changes.

use super::machine::{Machine, Tried};
use super::selftest::Ran;
use super::trial::Trial;
use super::*;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The entry of a registration, as the kernel shows it.
const ENTRY: &str = "enabled\ninterpreter /usr/bin/xemu\nflags: POCF\noffset 0\nmagic 7f454c4602010100000000000000000002003e00\nmask fffffffffffefe00fffffffffffffffffeffffff\n";
const XEMU: &str = "/proc/sys/fs/binfmt_misc/xemu-x86_64";
const QEMU: &str = "/proc/sys/fs/binfmt_misc/qemu-x86_64";
const QEMU_LINE: &str = r":qemu-x86_64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00:\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-x86_64:OCF";

/// A Neoverse N1's.
const HWCAP: u64 = 0x119ffb;

struct Fake {
    dir: PathBuf,
    tried: Tried,
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Fake {
    fn new(name: &str) -> Fake {
        let dir = std::env::temp_dir().join(format!("xemu-doctor-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let ran = Ran { processor: "xemu virtual CPU".into(), time: Duration::from_micros(2500), handler: Some("/usr/bin/xemu".into()), inode: None };
        let fake = Fake { dir, tried: Tried { code_memory: Ok(()), program: Ok(ran), fix_binary: Trial::Works } };
        fake.put("/proc/sys/kernel/osrelease", "6.12.117+deb13-arm64\n")
            .put("/proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n")
            .put("/boot/config-6.12.117+deb13-arm64", "CONFIG_BINFMT_MISC=m\nCONFIG_MEMBARRIER=y\nCONFIG_USER_NS=y\nCONFIG_MEMCG=y\nCONFIG_SECCOMP_FILTER=y\n")
            .put("/proc/self/maps", "aaaaaaaa0000-aaaaaaab0000 r-xp 0 00:00 0 xemu\nfffff7fe0000-fffff8000000 rw-p 0 00:00 0 [stack]\n")
            .put("/proc/self/status", "CapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n")
            .put("/proc/self/uid_map", "         0          0 4294967295\n")
            .put("/proc/self/limits", "Limit Soft Limit Hard Limit Units\nMax address space         unlimited            unlimited            bytes\n")
            .put("/proc/sys/fs/binfmt_misc/status", "enabled\n")
            .put("/proc/sys/fs/binfmt_misc/register", "")
            .put(XEMU, ENTRY)
            .aux(4096, HWCAP)
    }

    fn put(self, path: &str, text: &str) -> Fake {
        let file = self.dir.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self
    }

    fn without(self, path: &str) -> Fake {
        let path = self.dir.join(path.trim_start_matches('/'));
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        self
    }

    fn aux(self, page_size: u64, hwcap: u64) -> Fake {
        let words = [6, page_size, 16, hwcap, 26, 0, 0, 0];
        fs::write(self.dir.join("proc/self/auxv"), words.iter().flat_map(|w: &u64| w.to_le_bytes()).collect::<Vec<_>>()).unwrap();
        self
    }

    fn report(&self) -> Report {
        examine(&Machine::new(&self.dir, self.tried.clone()))
    }

    /// One finding has this level, this text, and advice if it is bad.
    fn finds(&self, check: &str, level: Level, text: &str) {
        let report = self.report();
        let (_, f) = report.iter().find(|(name, _)| *name == check).unwrap();
        assert!(f.level == level && f.what.contains(text), "{check}: {f:?}");
        assert!(level < Level::Warning || !f.advice.is_empty(), "{check}: what is bad has advice");
    }
}

#[test]
fn a_healthy_machine_has_nothing_in_the_way() {
    let fake = Fake::new("healthy");
    let report = fake.report();
    let bad: Vec<_> = report.iter().filter(|(_, f)| f.level >= Level::Warning).collect();
    assert!(bad.is_empty(), "{bad:?}");
    fake.finds("processor", Level::Ok, "without FEAT_LRCPC2");
    fake.finds("address bits", Level::Ok, "48");
    fake.finds("x86_64 program", Level::Ok, "xemu virtual CPU");
    Fake::new("amd64").without(XEMU).put("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n").finds("handler", Level::Ok, "none is needed");
    let text = as_text(&report);
    assert!(text.ends_with("nothing is in the way of x86_64 programs: 0 failures, 0 warnings\n"), "{text}");
    let json = as_json(&report);
    assert_eq!((&json["ok"], json["checks"].as_array().unwrap().len()), (&true.into(), checks::CHECKS.len()));
}

#[test]
fn what_stops_programs_is_a_failure() {
    Fake::new("pages").aux(16384, HWCAP).finds("page size", Level::Failure, "16384");
    Fake::new("bits").put("/proc/self/maps", "7ffff7fe0000-7ffff8000000 rw-p\n").finds("address bits", Level::Note, "47");
    Fake::new("few-bits").put("/proc/self/maps", "7ff7fe0000-7ff8000000 rw-p\n").finds("address bits", Level::Failure, "39");
    Fake::new("old").put("/proc/sys/kernel/osrelease", "4.9.0").finds("kernel", Level::Failure, "too old");
    Fake::new("off").put("/proc/sys/fs/binfmt_misc/status", "disabled\n").finds("binfmt_misc", Level::Failure, "switched off");
    let mut fake = Fake::new("code").put("/sys/fs/selinux/enforce", "1").put("/sys/fs/selinux/booleans/deny_execmem", "1 1");
    fake.tried.code_memory = Err("Permission denied".into());
    fake.finds("code memory", Level::Failure, "can't be had");
    fake.finds("security modules", Level::Failure, "deny_execmem");
    fake.finds("flag F", Level::Ok, "works");
    fake.tried.fix_binary = Trial::NotTried("no user namespace".into());
    fake.finds("flag F", Level::Ok, "not tried");
    fake.tried.fix_binary = Trial::Fails("Exec format error".into());
    fake.finds("flag F", Level::Warning, "did not run");
    fake.tried.program = Err("it ended with 126".into());
    fake.finds("x86_64 program", Level::Failure, "126");
    assert!(as_text(&fake.report()).contains("setsebool -P deny_execmem 0"));
}

#[test]
fn the_kernels_options_are_read_from_either_file() {
    use std::io::Write as _;
    let fake = Fake::new("config").without("/boot");
    fake.finds("kernel options", Level::Note, "unknown");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"CONFIG_BINFMT_MISC=y\nCONFIG_USER_NS=y\n# CONFIG_MEMBARRIER is not set\nCONFIG_SECCOMP_FILTER=y\nCONFIG_MEMCG=y\n").unwrap();
    fs::write(fake.dir.join("proc/config.gz"), packed.finish().unwrap()).unwrap();
    fake.finds("kernel options", Level::Warning, "CONFIG_MEMBARRIER");
    let none = Fake::new("none").without("/proc/sys/fs/binfmt_misc").put("/boot/config-6.12.117+deb13-arm64", "CONFIG_X=y\n");
    none.finds("binfmt_misc", Level::Failure, "not in this kernel");
    Fake::new("unmounted").without("/proc/sys/fs/binfmt_misc").finds("binfmt_misc", Level::Warning, "not loaded");
}

#[test]
fn handlers_are_judged_by_who_wins() {
    Fake::new("nobody").without(XEMU).finds("handler", Level::Warning, "none");
    let qemu = ENTRY.replace("/usr/bin/xemu", "/usr/bin/qemu-x86_64");
    Fake::new("qemu").without(XEMU).put(QEMU, &qemu).finds("handler", Level::Warning, "qemu-x86_64 -> /usr/bin/qemu-x86_64");
    let both = Fake::new("both").put(QEMU, &qemu.replace("enabled", "disabled"));
    both.finds("handler", Level::Ok, "xemu-x86_64");
    both.finds("other handlers", Level::Note, "newest");
    // Files have their age from the clock, which ticks every few milliseconds.
    std::thread::sleep(Duration::from_millis(30));
    both.put(QEMU, &qemu).finds("handler", Level::Failure, "qemu-x86_64 -> /usr/bin/qemu-x86_64 (flags POCF) was registered after xemu");
    Fake::new("plain").put(XEMU, &ENTRY.replace("POCF", "OC")).finds("handler", Level::Failure, "without flag F");
    let other = ENTRY.replace("02003e00", "0200b700");
    Fake::new("arm").put("/proc/sys/fs/binfmt_misc/qemu-aarch64", &other).finds("other handlers", Level::Ok, "none");
    let old = Fake::new("argv0").put("/proc/sys/kernel/osrelease", "5.10.0-30-arm64");
    old.finds("handler", Level::Failure, "shifted");
    old.finds("kernel", Level::Warning, "argv[0]");
}

#[test]
fn the_next_boot_is_foreseen() {
    let ours = QEMU_LINE.replace("qemu", "xemu");
    Fake::new("boot-none").finds("after a boot", Level::Note, "not registered again");
    Fake::new("boot-ours").put("/usr/lib/binfmt.d/xemu-x86_64.conf", &ours).finds("after a boot", Level::Ok, "registered again");
    let qemu = Fake::new("boot-qemu").put("/usr/lib/binfmt.d/qemu-x86_64.conf", &format!("# a comment\n{QEMU_LINE}\n"));
    qemu.finds("after a boot", Level::Warning, "qemu-x86_64 is registered, xemu is not");
    let both = qemu.put("/etc/binfmt.d/xemu-x86_64.conf", &ours);
    both.finds("after a boot", Level::Ok, "registered again");
    both.put("/etc/binfmt.d/zz.conf", QEMU_LINE).finds("after a boot", Level::Warning, "qemu-x86_64 is registered after xemu");
    Fake::new("boot-debian").put("/var/lib/binfmts/qemu-x86_64", "").finds("after a boot", Level::Warning, "qemu-x86_64");
}

#[test]
fn containers_and_limits_are_seen() {
    let inside = Fake::new("inside").put("/proc/self/status", "CapEff:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    inside.finds("seccomp", Level::Note, "no_new_privs");
    inside.finds("privileges", Level::Note, "may not register");
    Fake::new("userns").put("/proc/self/uid_map", "0 100000 65536\n").finds("privileges", Level::Note, "this namespace only");
    let limited = Fake::new("limited").put("/proc/self/limits", "Max address space         536870912            unlimited            bytes\n");
    limited.finds("limits", Level::Warning, "512 MiB");
    Fake::new("commit").put("/proc/sys/vm/overcommit_memory", "2\n").finds("limits", Level::Warning, "overcommit");
    let armored = Fake::new("apparmor").put("/sys/module/apparmor/parameters/enabled", "Y\n").put("/proc/self/attr/current", "docker-default (enforce)\n");
    armored.finds("security modules", Level::Note, "docker-default");
    Fake::new("selinux").put("/sys/fs/selinux/enforce", "1").finds("security modules", Level::Ok, "SELinux enforces");
}

#[test]
fn a_machine_that_tells_nothing_is_not_refused() {
    let fake = Fake { dir: std::env::temp_dir().join("xemu-doctor-nothing"), tried: Tried { code_memory: Ok(()), program: Err("no".into()), fix_binary: Trial::NotTried("no".into()) } };
    assert!(worst(&fake.report()) < Level::Failure, "{:?}", fake.report());
}
