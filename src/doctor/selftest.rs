//! An x86_64 program that says on which processor it runs, executed as any other: the proof that this machine runs such programs, and by whom.

use crate::host::file;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the program told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The name of the processor that it saw (CPUID 0x80000002 to 0x80000004).
    pub processor: String,
    /// From execve to what it told.
    pub time: Duration,
    /// The file that the kernel ran for it, as far as it can be told from here.
    pub handler: Option<PathBuf>,
    /// Device and inode of that file.
    pub inode: Option<(u64, u64)>,
}

/// Where the program is loaded, as any program that is not position-independent.
const BASE: u64 = 0x40_0000;
const HEADERS: usize = 64 + 56;
const NAME_LENGTH: usize = 48;

/// Its code: writes the processor's name, 48 bytes, to standard output, by way of vector
/// registers, and waits for the end of its input.
#[rustfmt::skip]
const CODE: &[u8] = &[
    0x41, 0xb8, 0x02, 0x00, 0x00, 0x80,       // mov r8d, 0x80000002
    0x48, 0x83, 0xec, 0x30,                   // sub rsp, 48
    0x48, 0x89, 0xe7,                         // mov rdi, rsp
    0x44, 0x89, 0xc0,                         // next: mov eax, r8d
    0x0f, 0xa2,                               // cpuid
    0x66, 0x0f, 0x6e, 0xc0,                   // movd xmm0, eax
    0x66, 0x0f, 0x6e, 0xcb,                   // movd xmm1, ebx
    0x66, 0x0f, 0x62, 0xc1,                   // punpckldq xmm0, xmm1
    0x66, 0x0f, 0x6e, 0xd1,                   // movd xmm2, ecx
    0x66, 0x0f, 0x6e, 0xda,                   // movd xmm3, edx
    0x66, 0x0f, 0x62, 0xd3,                   // punpckldq xmm2, xmm3
    0x66, 0x0f, 0x6c, 0xc2,                   // punpcklqdq xmm0, xmm2
    0xf3, 0x0f, 0x7f, 0x07,                   // movdqu [rdi], xmm0
    0x48, 0x83, 0xc7, 0x10,                   // add rdi, 16
    0x41, 0xff, 0xc0,                         // inc r8d
    0x41, 0x81, 0xf8, 0x05, 0x00, 0x00, 0x80, // cmp r8d, 0x80000005
    0x75, 0xcb,                               // jne next
    0xb8, 0x01, 0x00, 0x00, 0x00,             // mov eax, 1 (write)
    0xbf, 0x01, 0x00, 0x00, 0x00,             // mov edi, 1
    0x48, 0x89, 0xe6,                         // mov rsi, rsp
    0xba, 0x30, 0x00, 0x00, 0x00,             // mov edx, 48
    0x0f, 0x05,                               // syscall
    0x31, 0xc0,                               // xor eax, eax (read)
    0x31, 0xff,                               // xor edi, edi
    0xba, 0x01, 0x00, 0x00, 0x00,             // mov edx, 1
    0x0f, 0x05,                               // syscall
    0xb8, 0xe7, 0x00, 0x00, 0x00,             // mov eax, 231 (exit_group)
    0x31, 0xff,                               // xor edi, edi
    0x0f, 0x05,                               // syscall
];

/// The program's file: one segment, which holds the headers too.
pub fn program() -> Vec<u8> {
    let size = (HEADERS + CODE.len()) as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, n: u16| file.extend(n.to_le_bytes());
    let word = |file: &mut Vec<u8>, n: u32| file.extend(n.to_le_bytes());
    let long = |file: &mut Vec<u8>, n: u64| file.extend(n.to_le_bytes());
    // e_type ET_EXEC, e_machine EM_X86_64, e_version; e_entry, e_phoff, e_shoff; e_flags; sizes and counts of headers.
    half(&mut file, 2);
    half(&mut file, 62);
    word(&mut file, 1);
    [BASE + HEADERS as u64, 64, 0].iter().for_each(|n| long(&mut file, *n));
    word(&mut file, 0);
    [64, 56, 1, 0, 0, 0].iter().for_each(|n| half(&mut file, *n));
    // p_type PT_LOAD, p_flags r-x; p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align.
    word(&mut file, 1);
    word(&mut file, 5);
    [0, BASE, BASE, size, size, 0x1000].iter().for_each(|n| long(&mut file, *n));
    file.extend(CODE);
    file
}

/// The longest that it may take: it takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// Executes it from memory: no file system takes part, so this works in an image that holds nothing else.
pub fn run() -> Result<Ran, String> {
    let file = file::memory_file(c"xemu-selftest", &program()).map_err(|e| format!("no file in memory: {e}"))?;
    let start = Instant::now();
    let mut command = Command::new(format!("/proc/self/fd/{}", file.0));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    let told = told(&mut child);
    let time = start.elapsed();
    if told.is_err() {
        let _ = child.kill();
    }
    // While it waits for the end of its input the kernel tells who runs it.
    let link = format!("/proc/{}/exe", child.id());
    let handler = std::fs::read_link(&link).ok();
    let inode = std::fs::metadata(&link).ok().map(|m| (m.dev(), m.ino()));
    drop(child.stdin.take());
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let processor = String::from_utf8_lossy(&told?).trim_end_matches('\0').trim().to_string();
    if !output.status.success() || processor.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(format!("it ended with {}, told of processor {processor:?}: {said}", output.status));
    }
    Ok(Ran { processor, time, handler, inode })
}

/// What it writes: 48 bytes, or what went wrong.
fn told(child: &mut Child) -> Result<Vec<u8>, String> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let pipe = child.stdout.as_mut().ok_or("no pipe")?;
    let mut told = Vec::new();
    while told.len() < NAME_LENGTH {
        let limit = PollTimeout::try_from(LIMIT).unwrap_or(PollTimeout::NONE);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], limit) {
            Ok(0) => return Err(format!("it does nothing for {} seconds", LIMIT.as_secs())),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => return Err(e.to_string()),
        }
        let mut piece = [0; NAME_LENGTH];
        match pipe.read(&mut piece) {
            // It ended early; its end says why.
            Ok(0) => break,
            Ok(n) => told.extend(&piece[..n]),
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(told)
}

#[test]
fn the_program_is_what_kernels_load() {
    let program = program();
    assert_eq!(program.len(), HEADERS + CODE.len());
    let elf = goblin::elf::Elf::parse(&program).unwrap();
    assert_eq!((elf.header.e_machine, elf.entry), (62, BASE + HEADERS as u64));
    if cfg!(target_arch = "x86_64") {
        // The real processor's answer, as the kernel knows it.
        let known = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let name = run().unwrap().processor;
        assert!(known.contains(name.as_str()), "{name}");
    }
}
