//! Command lines and environments.

use super::*;

fn line(args: &[&str]) -> Command {
    let args: Vec<&[u8]> = args.iter().map(|a| a.as_bytes()).collect();
    command_line(&args, Box::default())
}

fn run(args: &[&str]) -> (String, Vec<String>, Options) {
    match line(args) {
        Command::Run { program, args, options, .. } => {
            let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
            (text(program), args.into_iter().map(text).collect(), *options)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn programs_and_options() {
    let (p, a, o) = run(&["-L", "/root", "-strace", "-cpu", "max", "--dump=guest,host", "-E", "A=1,B=2", "./prog", "-x", "--help"]);
    assert_eq!((p.as_str(), a.join(" ")), ("./prog", "./prog -x --help".to_string()));
    assert_eq!(o.prefix.as_deref(), Some(&b"/root"[..]));
    assert!(o.strace && o.cpu.as_deref() == Some("max") && o.dump.as_deref() == Some("guest,host"));
    assert_eq!(o.set, [b"A=1", b"B=2"]);
    let (p, a, _) = run(&["-0", "name", "--", "-odd", "x"]);
    assert_eq!((p.as_str(), a.join(" ")), ("-odd", "name x".to_string()));
    assert_eq!(run(&["./doctor"]).0, "./doctor");
    assert_eq!(run(&["-s", "8M", "p"]).2.stack_size, Some(8 << 20));
    assert_eq!(run(&["-B", "0x1000", "p"]).2.ignored, ["-B"]);
}

#[test]
fn wrong_lines() {
    for bad in [&["-nope", "p"][..], &["-L"], &[], &["--strace=1", "p"], &["-s", "many", "p"], &["-g", "1234,suspend=perhaps", "p"]] {
        assert!(matches!(line(bad), Command::Wrong(_)), "{bad:?}");
    }
    assert!(matches!(line(&["doctor", "-x"]), Command::Tool("doctor", _)));
    assert!(matches!(line(&["-version"]), Command::Print(_)));
}

#[test]
fn environment() {
    let mut o = Options::default();
    from_environment(&mut o, &[b"HOME=/", b"QEMU_LD_PREFIX=/q", b"XEMU_STRACE=1", b"XEMU_PERF_MAP=0"]).unwrap();
    assert_eq!(o, Options { prefix: Some(b"/q".to_vec()), strace: true, ..Options::default() });
    let mut o = Options::default();
    from_environment(&mut o, &[b"QEMU_LD_PREFIX=/q", b"XEMU_ROOT=/x"]).unwrap();
    assert_eq!(o.prefix.as_deref(), Some(&b"/x"[..]));
    assert!(from_environment(&mut o, &[b"XEMU_CACHE_SIZE=big"]).is_err());
}

#[test]
fn options_survive_being_passed_on() {
    let mut given = Options::default();
    for row in TABLE.iter().filter(|r| !["-E", "-U", "-0", "-g", "-tb-size", "-cpu", "--log", "--memory-model", "--exec-fd", "--own-fd"].contains(r.names.first().unwrap_or(&"-E")) && !r.help.starts_with("ignored")) {
        (row.set)(&mut given, b"1").unwrap();
    }
    set_cpu(&mut given, b"Haswell,-avx2").unwrap();
    set_log(&mut given, b"warn").unwrap();
    set_memory_model(&mut given, b"ordered").unwrap();
    let mut args = given.to_args();
    args.push(b"prog".to_vec());
    let args: Vec<&[u8]> = args.iter().map(|a| a.as_slice()).collect();
    match command_line(&args, Box::default()) {
        Command::Run { options, .. } => assert_eq!(*options, given),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_debugged_program_starts_is_not_debugged() {
    let mut o = Options::default();
    from_environment(&mut o, &[b"QEMU_GDB=1234"]).unwrap();
    assert!(o.gdb.is_some());
    let args = o.to_args();
    assert_eq!(args, [b"--no-gdb"]);
    let next = command_line(&[&args[0][..], b"prog"], Box::new(o));
    assert!(matches!(next, Command::Run { options, .. } if options.gdb.is_none()));
}

#[test]
fn help_names_every_option() {
    let text = help();
    for row in TABLE.iter().filter(|r| !r.help.is_empty()) {
        assert!(text.contains(row.names[0]) && row.env.iter().all(|e| text.contains(e)));
    }
}

/// What the kernel gives, with AT_EXECFN pointing to a string that is never freed.
fn started(args: &[&'static str], exec_name: &'static std::ffi::CStr, more: &[(u64, u64)]) -> Start {
    let mut aux = vec![(libc::AT_EXECFN as u64, exec_name.as_ptr() as u64)];
    aux.extend(more);
    Start { args: args.iter().map(|a| a.as_bytes()).collect(), env: vec![b"XEMU_STRACE=1"], aux }
}

#[test]
fn who_started_us() {
    use Invocation::*;
    let check = |args: &[&'static str], name, more: &[(u64, u64)], expect| {
        assert_eq!(invocation(&started(args, name, more)), expect, "{args:?} {name:?} {more:?}");
    };
    // Typed with a path, found in PATH (then AT_EXECFN leads to the running file), and started by ourselves.
    check(&["./xemu", "./prog"], c"./xemu", &[], Command);
    check(&["xemu", "./prog"], c"/proc/self/exe", &[], Command);
    check(&["/dev/fd/1000", "--", "/bin/true"], c"/dev/fd/1000", &[], Command);
    // A copy that cannot be compared.
    check(&["xemu", "./prog"], c"/nonexistent/xemu", &[], Command);
    // The kernel, registered with F alone: a program, and a script whose interpreter is a program.
    check(&["/usr/bin/xemu", "./prog"], c"./prog", &[], Kernel { argv0: false });
    check(&["/usr/bin/xemu", "/bin/interp", "/etc/passwd"], c"/etc/passwd", &[], Kernel { argv0: false });
    // With O or C, and with P.
    check(&["/usr/bin/xemu", "prog"], c"/bin/prog", &[(AT_EXECFD, 3)], Kernel { argv0: false });
    check(&["/usr/bin/xemu", "/bin/prog", "prog"], c"/bin/prog", &[(AT_FLAGS, 1)], Kernel { argv0: true });
    check(&["/usr/bin/xemu-binfmt-P", "/bin/prog", "prog"], c"/bin/prog", &[], Kernel { argv0: true });
}

#[test]
fn the_kernel_passes_no_options() {
    let s = started(&["/usr/bin/xemu", "doctor", "-strace", "x"], c"doctor", &[]);
    match parse(&s) {
        Command::Run { program, args, options, fd } => {
            assert_eq!((&program[..], fd), (&b"doctor"[..], None));
            assert_eq!(args, [&b"doctor"[..], b"-strace", b"x"]);
            assert!(options.strace, "from the environment");
        }
        other => panic!("{other:?}"),
    }
    let s = started(&["/usr/bin/xemu", "/bin/prog", "name", "x"], c"/bin/prog", &[(AT_FLAGS, 1), (AT_EXECFD, 5), (AT_SECURE, 1)]);
    match parse(&s) {
        Command::Run { program, args, options, fd } => {
            assert_eq!((&program[..], fd), (&b"/bin/prog"[..], Some(5)));
            assert_eq!(args, [&b"name"[..], b"x"]);
            assert_eq!(*options, Options::default(), "a setuid program trusts no variable");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn empty_variables_are_as_good_as_none() {
    let mut options = Options::default();
    assert_eq!(from_environment(&mut options, &[b"XEMU_LOG=", b"XEMU_CACHE_SIZE=", b"QEMU_STRACE=0", b"QEMU_CPU="]), Ok(()));
    assert_eq!(options, Options::default());
    assert_eq!(from_environment(&mut options, &[b"XEMU_LOG=warn", b"QEMU_STRACE=1"]), Ok(()));
    assert!(options.strace && options.log.as_deref() == Some("warn"));
    assert!(from_environment(&mut options, &[b"XEMU_CACHE_SIZE=many"]).is_err());
}

#[test]
fn settings_of_a_copy_are_checked() {
    assert_eq!(check_setting("XEMU_CPU=v2"), Ok(()));
    assert_eq!(check_setting("XEMU_CACHE_SIZE=32M"), Ok(()));
    for bad in ["XEMU_CPU", "XEMU_CPU=nonsense", "XEMU_LOG_FILE=/tmp/x", "XEMU_STRACE=1", "XEMU_LOG=a\nb"] {
        assert!(check_setting(bad).is_err(), "{bad}");
    }
    // Another machine's model in QEMU's variable does not take a copy's away.
    let mut options = Options::default();
    for line in [&b"XEMU_CPU=v2"[..], b"QEMU_CPU=neoverse-n1"] {
        from_environment(&mut options, &[line]).unwrap();
    }
    assert_eq!(options.cpu.as_deref(), Some("v2"));
    // Each is a variable of the table, which can be set.
    for name in embedded::ALLOWED {
        assert!(TABLE.iter().any(|r| r.env.contains(&name)), "{name}");
    }
}

#[test]
fn the_settings_of_the_daemonset_can_be_embedded() {
    let text = include_str!("../../deploy/kubernetes/base/settings.yaml");
    let data = text.split("\ndata:\n").nth(1).unwrap().lines().map(str::trim).filter(|l| !l.starts_with('#'));
    let lines: Vec<String> = data.map(|l| l.replacen(": ", "=", 1).replace('"', "")).collect();
    assert!(lines.len() >= 2);
    lines.iter().for_each(|l| check_setting(l).unwrap());
}
