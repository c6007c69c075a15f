//! Golden files of emitted code: `fixtures/codegen/*.txt`. Each names features and options, the guest's bytes, and what they are translated to.
//! `BLESS=1 cargo test --test codegen` rewrites the translations; read the diff.

use std::fs;
use std::path::Path;
use xemu::debug::disasm::{Isa, disassemble};
use xemu::debug::dump::{Config, render};
use xemu::decode::{CodeAt, Insn, Limits, decode_region};
use xemu::emit::Features;
use xemu::guest::Addr;
use xemu::optimize::liveness;
use xemu::translate::{Options, translate};

const BASE: u64 = 0x40_1000;

/// A fixture: comment lines `# …`, settings `key: value`, then `bytes:` lines of hexadecimal, then a line `---` and the translation.
struct Fixture {
    head: String,
    options: Options,
    bytes: Vec<u8>,
    expected: String,
}

fn parse(text: &str) -> Fixture {
    let (head, expected) = text.split_once("---\n").unwrap_or((text, ""));
    let mut options = Options { features: Features::NEOVERSE_N1, ..Options::default() };
    let mut bytes = Vec::new();
    for line in head.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("not 'key: value': {line}"));
        match key {
            "features" => options.features = Features::parse(value.trim()).expect("features"),
            "ordered" => options.ordered = value.trim() == "true",
            "no-opt" => options.switches.disable(value.trim()).expect("an optimisation's name"),
            "bytes" => bytes.extend(value.split_whitespace().map(|b| u8::from_str_radix(b, 16).expect("hexadecimal bytes"))),
            _ => panic!("unknown setting '{key}'"),
        }
    }
    Fixture { head: head.to_string(), options, bytes, expected: expected.to_string() }
}

fn translation(f: &Fixture) -> String {
    let source = CodeAt(Addr(BASE), &f.bytes);
    let mut region = decode_region(&source, Addr(BASE), Limits::default());
    liveness(&mut region, &source);
    let emitted = translate(&region, &f.options);
    let config = Config { guest: true, host: true, links: true, ..Config::default() };
    let text = |i: &Insn| {
        let from = (i.addr().0 - BASE) as usize;
        disassemble(Isa::X86, &f.bytes[from..from + (i.next().0 - i.addr().0) as usize], i.addr().0)[0].text.clone()
    };
    render(&region, &emitted, &config, &text)
}

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).expect("a readable fixture");
    let fixture = parse(&text);
    let got = translation(&fixture);
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, format!("{}---\n{got}", fixture.head)).expect("a writable fixture");
    } else if got != fixture.expected {
        return Err(format!("{}:\n--- expected\n{}--- got\n{got}", path.display(), fixture.expected));
    }
    Ok(())
}

#[test]
fn emitted_code_is_as_recorded() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/codegen");
    let mut paths: Vec<_> = fs::read_dir(dir).expect("fixtures/codegen").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let failed: Vec<String> = paths.iter().filter_map(|p| check(p).err()).collect();
    assert!(failed.is_empty(), "{} of {} differ (BLESS=1 rewrites)\n{}", failed.len(), paths.len(), failed.join("\n"));
}

#[test]
fn translation_does_not_depend_on_where_the_host_code_lies() {
    // The same input twice: no global state, no address of this process in the code.
    let f = parse("bytes: e8 00 01 00 00 48 8b 05 00 10 00 00 ff e0");
    let source = CodeAt(Addr(BASE), &f.bytes);
    let once = || {
        let mut region = decode_region(&source, Addr(BASE), Limits::default());
        liveness(&mut region, &source);
        translate(&region, &f.options)
    };
    let (a, b) = (once(), once());
    assert_eq!(a.code, b.code);
    // Guest addresses are literals with a relocation each: return address and RIP-relative operand.
    let literal = |o: u32| u64::from_le_bytes(a.code[o as usize..o as usize + 8].try_into().expect("eight bytes"));
    let mut guest: Vec<u64> = a.relocations.iter().map(|o| literal(*o)).collect();
    guest.sort_unstable();
    assert_eq!(guest, [BASE + 5, BASE + 12 + 0x1000]);
}
