//! /proc/cpuinfo of the processor that CPUID describes (arch/x86/kernel/cpu/proc.c).

use std::fmt::Write;

/// Names of the features of x86-64-v3 with AES, PCLMUL, SHA, ADX and RDRAND, in the kernel's order.
const FLAGS: &str = "fpu tsc msr cx8 apic sep cmov pat clflush mmx fxsr sse sse2 syscall nx rdtscp lm constant_tsc rep_good nopl \
    cpuid pni pclmulqdq ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand hypervisor lahf_lm abm fsgsbase bmi1 avx2 \
    bmi2 erms rdseed adx sha_ni xgetbv1";

/// The text for `processors` processors.
pub fn text(processors: usize) -> Vec<u8> {
    let mut s = String::new();
    for n in 0..processors {
        let _ = write!(
            s,
            "processor\t: {n}\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: xemu virtual x86-64 processor\n\
             stepping\t: 1\ncpu MHz\t\t: 2000.000\ncache size\t: 512 KB\nphysical id\t: 0\nsiblings\t: {processors}\ncore id\t\t: {n}\n\
             cpu cores\t: {processors}\napicid\t\t: {n}\ninitial apicid\t: {n}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\n\
             flags\t\t: {FLAGS}\nbugs\t\t:\nbogomips\t: 4000.00\nTLB size\t: 2560 4K pages\nclflush size\t: 64\ncache_alignment\t: 64\n\
             address sizes\t: 48 bits physical, 48 bits virtual\npower management:\n\n"
        );
    }
    s.into_bytes()
}
