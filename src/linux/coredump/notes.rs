//! The notes of an x86_64 core file (fs/binfmt_elf.c): registers, what died and of what, which files lie where. Data in, bytes out.

use crate::guest::addr::PAGE_SIZE;
use crate::guest::{CpuState, Gpr, xsave};
use crate::host::signals::{SigInfo, signo};

const NT_PRSTATUS: u32 = 1;
const NT_FPREGSET: u32 = 2;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_X86_XSTATE: u32 = 0x202;
const NT_X86_XSAVE_LAYOUT: u32 = 0x205;
const NT_SIGINFO: u32 = 0x5349_4749;
const NT_FILE: u32 = 0x4649_4c45;

/// Size of struct elf_prstatus.
const PRSTATUS: usize = 336;
/// Where its registers (struct user_regs_struct) begin, behind four times.
const PR_REG: usize = 112;
/// Size of struct elf_prpsinfo.
const PRPSINFO: usize = 136;
/// ELF_PRARGSZ: how much it has of the command line.
const PSARGS: usize = 80;
/// FXSAVE's part of XSAVE's area.
const FXSAVE: usize = xsave::FX_SIZE;
/// Where the area says which components there are.
const XCR0_AT: usize = 464;

/// Selectors of a 64-bit program (arch/x86/include/asm/segment.h).
const CODE_SEGMENT: u64 = 0x33;
const STACK_SEGMENT: u64 = 0x2b;

/// Words of struct user_regs_struct.
pub const WORDS: usize = 27;

/// A thread's registers, and what it has of signals.
#[derive(Clone, Debug)]
pub struct Registers {
    /// Its id.
    pub tid: i32,
    /// struct user_regs_struct.
    pub general: [u64; WORDS],
    /// XSAVE's area, or FXSAVE's.
    pub area: Vec<u8>,
    /// Signals that wait for it.
    pub pending: u64,
    /// Signals that it blocks.
    pub blocked: u64,
    /// Times in user mode and in the kernel, and those of children that ended: seconds and microseconds each.
    pub times: [u64; 8],
}

/// struct user_regs_struct; `call` is the system call that was interrupted or made last, if that is where the thread is.
pub fn general(s: &CpuState, call: Option<u64>) -> [u64; WORDS] {
    use Gpr::*;
    let g = |r| s.get(r);
    let (none, call) = (0, call.unwrap_or(u64::MAX));
    [
        g(R15), g(R14), g(R13), g(R12), g(Rbp), g(Rbx), g(R11), g(R10), g(R9), g(R8), g(Rax), g(Rcx), g(Rdx), g(Rsi), g(Rdi), call,
        s.rip, CODE_SEGMENT, s.rflags(), g(Rsp), STACK_SEGMENT, s.fs_base, s.gs_base, none, none, none, none,
    ]
}

/// What is said of the process.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Its id.
    pub pid: i32,
    /// Its parent, process group and session.
    pub family: [i32; 3],
    /// Real user and group.
    pub ids: (u32, u32),
    /// From -20 to 19.
    pub nice: i8,
    /// Its name.
    pub name: Vec<u8>,
    /// Its arguments, each with its NUL.
    pub arguments: Vec<u8>,
    /// The auxiliary vector.
    pub auxv: Vec<u8>,
}

/// A mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Guest addresses.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// Offset into the file, in bytes.
    pub offset: u64,
    /// Its path, as /proc/self/maps has it.
    pub path: Vec<u8>,
}

/// One note: name, type, contents, each padded to four bytes.
fn note(out: &mut Vec<u8>, name: &str, kind: u32, contents: &[u8]) {
    for word in [name.len() as u32 + 1, contents.len() as u32, kind] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(contents);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// struct elf_prstatus.
fn prstatus(thread: &Registers, signal: i32, family: [i32; 3]) -> [u8; PRSTATUS] {
    let mut out = [0; PRSTATUS];
    put(&mut out, 0, &signal.to_le_bytes());
    put(&mut out, 12, &(signal as u16).to_le_bytes());
    put(&mut out, 16, &thread.pending.to_le_bytes());
    put(&mut out, 24, &thread.blocked.to_le_bytes());
    for (id, at) in [thread.tid, family[0], family[1], family[2]].iter().zip((32..).step_by(4)) {
        put(&mut out, at, &id.to_le_bytes());
    }
    for (word, at) in thread.times.iter().chain(&thread.general).zip((48..).step_by(8)) {
        put(&mut out, at, &word.to_le_bytes());
    }
    // pr_fpvalid
    put(&mut out, PR_REG + 8 * WORDS, &1u32.to_le_bytes());
    out
}

/// struct elf_prpsinfo.
fn prpsinfo(about: &About) -> [u8; PRPSINFO] {
    let mut out = [0; PRPSINFO];
    out[1] = b'R';
    out[3] = about.nice as u8;
    let [parent, group, session] = about.family;
    let ids = [about.ids.0, about.ids.1, about.pid as u32, parent as u32, group as u32, session as u32];
    for (id, at) in ids.iter().zip((16..).step_by(4)) {
        put(&mut out, at, &id.to_le_bytes());
    }
    put(&mut out, 40, &about.name[..about.name.len().min(15)]);
    let args = &about.arguments[..about.arguments.len().min(PSARGS - 1)];
    for (to, from) in out[56..].iter_mut().zip(args) {
        *to = if *from == 0 { b' ' } else { *from };
    }
    out
}

/// NT_FILE's contents.
fn files(mapped: &[Mapped]) -> Vec<u8> {
    let mut out = Vec::new();
    let ranges = mapped.iter().flat_map(|m| [m.start, m.end, m.offset / PAGE_SIZE]);
    for word in [mapped.len() as u64, PAGE_SIZE].into_iter().chain(ranges) {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for m in mapped {
        out.extend_from_slice(&m.path);
        out.push(0);
    }
    out
}

/// All notes, in the kernel's order. The first of `threads` is the one that died.
pub fn build(about: &About, info: &SigInfo, threads: &[Registers], mapped: &[Mapped]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, thread) in threads.iter().enumerate() {
        note(&mut out, "CORE", NT_PRSTATUS, &prstatus(thread, signo(info), about.family));
        if n == 0 {
            note(&mut out, "CORE", NT_PRPSINFO, &prpsinfo(about));
            note(&mut out, "CORE", NT_SIGINFO, &info.map(u64::to_le_bytes).concat());
            note(&mut out, "CORE", NT_AUXV, &about.auxv);
            note(&mut out, "CORE", NT_FILE, &files(mapped));
        }
        let mut fxsave = thread.area[..FXSAVE].to_vec();
        // XCR0 belongs to the other note.
        fxsave[XCR0_AT..XCR0_AT + 8].fill(0);
        note(&mut out, "CORE", NT_FPREGSET, &fxsave);
        if thread.area.len() > FXSAVE {
            note(&mut out, "LINUX", NT_X86_XSTATE, &thread.area);
        }
    }
    if threads.iter().any(|t| t.area.len() >= xsave::END) {
        // struct x86_xfeat_component: number, size, place, flags (since Linux 6.12).
        let upper = [2, (xsave::END - xsave::AVX_AT) as u32, xsave::AVX_AT as u32, 0];
        note(&mut out, "LINUX", NT_X86_XSAVE_LAYOUT, &upper.map(u32::to_le_bytes).concat());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types and sizes.
    fn list(notes: &[u8]) -> Vec<(u32, usize)> {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| notes[at + i]));
        let (mut at, mut found) = (0, Vec::new());
        while at < notes.len() {
            let (name, size) = (word(at) as usize, word(at + 4) as usize);
            found.push((word(at + 8), size));
            at += 12 + name.next_multiple_of(4) + size.next_multiple_of(4);
        }
        assert_eq!(at, notes.len());
        found
    }

    fn thread(tid: i32, area: usize) -> Registers {
        let general = std::array::from_fn(|i| i as u64);
        Registers { tid, general, area: vec![0; area], pending: 0x10, blocked: 0x20, times: std::array::from_fn(|i| 90 + i as u64) }
    }

    #[test]
    fn order_and_sizes_are_the_kernels() {
        let about = About { auxv: vec![0; 320], ..About::default() };
        let mapped = Mapped { start: 0x1000, end: 0x3000, offset: 0x5000, path: b"/f".to_vec() };
        let got = list(&build(&about, &[6; 16], &[thread(1, 832), thread(2, 832)], &[mapped]));
        let rest = [(NT_FPREGSET, 512), (NT_X86_XSTATE, 832)];
        let first = [(NT_PRSTATUS, 336), (NT_PRPSINFO, 136), (NT_SIGINFO, 128), (NT_AUXV, 320), (NT_FILE, 43)];
        assert_eq!(got, [&first[..], &rest, &[(NT_PRSTATUS, 336)], &rest, &[(NT_X86_XSAVE_LAYOUT, 16)]].concat());
        let small = list(&build(&about, &[6; 16], &[thread(1, 512)], &[]));
        assert_eq!(small.last(), Some(&(NT_FPREGSET, 512)), "a processor without XSAVE");
    }

    #[test]
    fn status_is_laid_out_as_elf_prstatus() {
        let bytes = prstatus(&thread(77, 512), 11, [5, 6, 7]);
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        assert_eq!((word(0), word(12) as u16, word(16), word(24)), (11, 11, 0x10, 0x20));
        assert_eq!((word(32), word(40)), (77 | 5 << 32, 6 | 7 << 32));
        assert_eq!((word(48), word(PR_REG - 8)), (90, 97));
        assert_eq!((word(PR_REG), word(PR_REG + 8 * 26), word(328)), (0, 26, 1));
    }

    #[test]
    fn general_registers_stand_in_the_kernels_order() {
        let mut s = CpuState::default();
        s.gpr = std::array::from_fn(|i| 100 + i as u64);
        (s.rip, s.fs_base) = (0x1234, 0x5678);
        let g = general(&s, None);
        assert_eq!((g[0], g[10], g[14], g[15], g[16], g[19], g[21]), (115, 100, 107, u64::MAX, 0x1234, 104, 0x5678));
        assert_eq!(general(&s, Some(234))[15], 234);
    }

    #[test]
    fn process_is_described_as_ps_does() {
        let about = About { pid: 9, ids: (1, 2), nice: -3, name: b"a-name-of-16-bytes".to_vec(), arguments: b"prog\0one\0".to_vec(), ..About::default() };
        let bytes = prpsinfo(&about);
        assert_eq!((bytes[1], bytes[3] as i8, bytes[16], bytes[20], bytes[24]), (b'R', -3, 1, 2, 9));
        assert_eq!(&bytes[40..56], b"a-name-of-16-by\0");
        assert_eq!(&bytes[56..66], b"prog one \0");
        let long = prpsinfo(&About { arguments: vec![b'x'; 200], ..about });
        assert_eq!(&bytes[135..], [0]);
        assert_eq!((long[134], long[135]), (b'x', 0));
    }
}
