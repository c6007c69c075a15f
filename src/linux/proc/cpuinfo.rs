//! /proc/cpuinfo of the processor that CPUID describes (arch/x86/kernel/cpu/proc.c).

use crate::guest::cpuid::models::Vendor;
use crate::guest::cpuid::{Cpu, features::UNNAMED};
use std::fmt::Write;

/// The text for `processors` processors.
pub fn text(cpu: &Cpu, processors: usize) -> Vec<u8> {
    let mut flags = String::with_capacity(1024);
    for f in cpu.features.iter().filter(|f| !UNNAMED.contains(&f.name)) {
        flags.push_str(f.name);
        flags.push(' ');
    }
    let flags = flags.trim_end();
    let amd = cpu.model.vendor == Vendor::Amd;
    let vendor = if amd { "AuthenticAMD" } else { "GenuineIntel" };
    let (family, model, stepping) = cpu.model.signature;
    let tlb = if amd { "TLB size\t: 2560 4K pages\n" } else { "" };
    let mut s = String::new();
    for n in 0..processors {
        let _ = write!(
            s,
            "processor\t: {n}\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {}\n\
             stepping\t: {stepping}\ncpu MHz\t\t: 2000.000\ncache size\t: 512 KB\nphysical id\t: 0\nsiblings\t: {processors}\ncore id\t\t: {n}\n\
             cpu cores\t: {processors}\napicid\t\t: {n}\ninitial apicid\t: {n}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\n\
             flags\t\t: {flags}\nbugs\t\t:\nbogomips\t: 4000.00\n{tlb}clflush size\t: 64\ncache_alignment\t: 64\n\
             address sizes\t: 48 bits physical, 48 bits virtual\npower management:\n\n",
            cpu.model.brand
        );
    }
    s.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::cpuid::models::parse;

    #[test]
    fn flags_are_cpuids() {
        let shown = |name: &str| {
            let (model, features) = parse(name).unwrap();
            String::from_utf8(text(&Cpu { model, features }, 1)).unwrap()
        };
        let max = shown("max");
        assert!(max.contains("\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: xemu virtual CPU\n"));
        // The kernel's order.
        for words in [" sse2 ht syscall nx ", " cpuid pni pclmulqdq ssse3 fma cx16 ", " aes xsave avx f16c rdrand lahf_lm ", " sha_ni xsaveopt xsavec xgetbv1 xsaveerptr umip gfni "] {
            assert!(max.contains(words), "{words}");
        }
        assert!(!max.contains("osxsave") && max.contains(" fsrm\n"));
        assert!(shown("Nehalem").contains("GenuineIntel") && !shown("Nehalem").contains(" avx "));
    }
}
