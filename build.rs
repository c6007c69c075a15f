//! Links the aarch64 musl binary as static-PIE: guests want the low addresses that a fixed-address executable would
//! occupy (docs/architecture.md, invariant 1). The flags alone would link crt1.o, which does not relocate itself, so the
//! start files are named one by one: rcrt1.o is the self-relocating one.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    if target != "aarch64-unknown-linux-musl" {
        return;
    }
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let out = Command::new(rustc).args(["--print", "target-libdir", "--target", &target]).output().expect("rustc --print target-libdir");
    let lib = PathBuf::from(String::from_utf8(out.stdout).expect("path is UTF-8").trim());
    let start = lib.join("self-contained");
    // Relocations packed: a third of what applying them costs at each start, and 400 KB.
    for arg in ["-pie", "--no-dynamic-linker", "-ztext", "--build-id=sha1", "--pack-dyn-relocs=relr"] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    for object in ["rcrt1.o", "crti.o", "crtbeginS.o", "crtendS.o", "crtn.o"] {
        println!("cargo:rustc-link-arg-bins={}", start.join(object).display());
    }
    println!("cargo:rustc-link-search=native={}", start.display());
}
