//! Loads a program and its interpreter into a guest's address space, as the kernel's ELF loader does (fs/binfmt_elf.c).

use super::elf::{self, Elf, ElfError, Segment};
use super::memory::{self, Mm, Place, Prot, Request, vma::Kind};
use super::script;
use crate::guest::Addr;
use crate::guest::addr::PAGE_SIZE;
use crate::host::file::{self, Fd};
use crate::host::memory::flags;
use crate::host::sys::Errno;
use std::borrow::Cow;
use std::fmt;

/// Why a program cannot be started; shown to the user as one line.
#[derive(Debug)]
pub enum LoadError {
    /// No such program.
    NotFound(Vec<u8>),
    /// It cannot be opened, or may not be executed.
    Denied(Vec<u8>, Errno),
    /// It is not a program that we run.
    Format(Vec<u8>, ElfError),
    /// Neither ELF nor a script.
    Unknown(Vec<u8>),
    /// A script's interpreter line names none.
    BadScript(Vec<u8>),
    /// Too many scripts in a chain.
    Loop(Vec<u8>),
    /// The ELF interpreter is missing or cannot be opened: program, interpreter, reason.
    Interpreter(Vec<u8>, Vec<u8>, Errno),
    /// A segment cannot be mapped: program, address, reason.
    Map(Vec<u8>, Addr, Errno),
    /// The engine can not start: no memory for code, or no handlers.
    Engine(Errno),
    /// An option's value is not understood.
    Option(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = |p: &Vec<u8>| String::from_utf8_lossy(p).into_owned();
        match self {
            LoadError::NotFound(p) => write!(f, "{}: not found", text(p)),
            LoadError::Denied(p, e) => write!(f, "{}: {e}", text(p)),
            LoadError::Format(p, e) => write!(f, "{}: {e}", text(p)),
            LoadError::Unknown(p) => write!(f, "{}: neither an ELF program nor a script", text(p)),
            LoadError::BadScript(p) => write!(f, "{}: no usable interpreter on its first line", text(p)),
            LoadError::Loop(p) => write!(f, "{}: too many interpreters in a chain", text(p)),
            LoadError::Interpreter(p, i, e) => write!(f, "{}: interpreter {}: {e} (-L names a folder to look in)", text(p), text(i)),
            LoadError::Engine(e) => write!(f, "cannot set up code memory and fault handlers: {e}"),
            LoadError::Option(what) => write!(f, "{what}"),
            LoadError::Map(p, at, e) => write!(f, "{}: cannot map a segment at {at}: {e}", text(p)),
        }
    }
}

impl LoadError {
    /// The exit status that a shell would give: 127 not found, 126 cannot execute.
    pub fn exit_code(&self) -> u64 {
        match self {
            LoadError::NotFound(_) => 127,
            LoadError::Engine(_) => 125,
            LoadError::Option(_) => 2,
            _ => 126,
        }
    }

    /// What execve(2) would have said.
    pub fn errno(&self) -> Errno {
        Errno(match self {
            LoadError::NotFound(_) => libc::ENOENT,
            LoadError::Denied(_, e) | LoadError::Interpreter(_, _, e) | LoadError::Engine(e) => e.0,
            LoadError::Option(_) => libc::EINVAL,
            LoadError::Map(_, _, e) => e.0,
            LoadError::Format(..) | LoadError::Unknown(_) | LoadError::BadScript(_) => libc::ENOEXEC,
            LoadError::Loop(_) => libc::ELOOP,
        })
    }
}

fn open_error(path: &[u8], e: Errno) -> LoadError {
    match e.0 {
        libc::ENOENT => LoadError::NotFound(path.to_vec()),
        _ => LoadError::Denied(path.to_vec(), e),
    }
}

/// `path` under the prefix (-L) if it is absolute and exists there, else itself.
pub fn prefixed<'a>(prefix: Option<&[u8]>, path: &'a [u8]) -> Cow<'a, [u8]> {
    if let Some(prefix) = prefix
        && path.starts_with(b"/")
    {
        let inside = [prefix, path].concat();
        if file::stat(&inside).is_ok() {
            return Cow::Owned(inside);
        }
    }
    Cow::Borrowed(path)
}

/// A program found: the ELF file that is to run, and with what arguments.
pub struct Program {
    /// The ELF file.
    pub file: Fd,
    /// Its path as it was opened.
    pub path: Vec<u8>,
    /// Argument list; for scripts with their interpreters in front.
    pub args: Vec<Vec<u8>>,
    /// Its checked headers.
    pub elf: Elf,
    /// Its interpreter's path as the program names it.
    pub interpreter: Option<Vec<u8>>,
}

/// The first bytes of a file; enough for the headers of most programs.
const HEAD: usize = 1024;

fn read_head(file: &Fd, path: &[u8]) -> Result<Vec<u8>, LoadError> {
    let mut head = vec![0u8; HEAD];
    let n = file::pread(file.0, &mut head, 0).map_err(|e| LoadError::Denied(path.to_vec(), e))?;
    head.truncate(n);
    Ok(head)
}

fn read_elf(file: &Fd, path: &[u8], head: &[u8]) -> Result<Elf, LoadError> {
    let format = |e| LoadError::Format(path.to_vec(), e);
    let (at, len) = elf::headers_span(head).map_err(format)?;
    let held = usize::try_from(at).ok().and_then(|at| head.get(at..at.checked_add(len)?));
    match held {
        Some(headers) => elf::parse(head, headers).map_err(format),
        None => {
            let mut headers = vec![0u8; len];
            let n = file::pread(file.0, &mut headers, at).map_err(|e| LoadError::Denied(path.to_vec(), e))?;
            elf::parse(head, &headers[..n]).map_err(format)
        }
    }
}

/// The program that a command line names: as it stands where that is one (as qemu-x86_64 takes it), else a name without a slash along `PATH`, as a
/// shell finds it. What is not found stays as it is, for the message.
pub fn named(name: &[u8], path: Option<&[u8]>, prefix: Option<&[u8]>) -> Vec<u8> {
    if name.is_empty() || name.contains(&b'/') || open_program(name).is_ok() {
        return name.to_vec();
    }
    let folders = path.unwrap_or(DEFAULT_PATH).split(|b| *b == b':').filter(|f| !f.is_empty());
    let mut found = folders.map(|folder| prefixed(prefix, &[folder, b"/", name].concat()).into_owned());
    found.find(|file| open_program(file).is_ok()).unwrap_or_else(|| name.to_vec())
}

/// What execvp(3) takes where there is no PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Opens a file to be executed: a regular file with execute permission.
fn open_program(path: &[u8]) -> Result<Fd, LoadError> {
    let denied = |e| open_error(path, e);
    let file = file::open(path, libc::O_RDONLY | libc::O_NONBLOCK).map_err(denied)?;
    check_program(&file, path)?;
    Ok(file)
}

fn check_program(file: &Fd, path: &[u8]) -> Result<(), LoadError> {
    let denied = |e| open_error(path, e);
    let st = file::fstat(file.0).map_err(denied)?;
    let regular = st.st_mode & libc::S_IFMT == libc::S_IFREG;
    if !regular || st.st_mode & 0o111 == 0 {
        return Err(denied(Errno(libc::EACCES)));
    }
    Ok(())
}

/// Finds what is to run for `path`: follows scripts to the ELF program. `opened`: the file itself, where the caller has it open.
pub fn resolve(path: &[u8], args: Vec<Vec<u8>>, prefix: Option<&[u8]>, opened: Option<Fd>) -> Result<Program, LoadError> {
    let mut path = path.to_vec();
    let mut args = args;
    let mut opened = opened;
    for _ in 0..=script::DEPTH {
        let file = match opened.take() {
            Some(file) => file,
            None => open_program(&path)?,
        };
        let head = read_head(&file, &path)?;
        if script::is_script(&head) {
            let script = script::parse(&head[..head.len().min(script::HEAD)]).ok_or_else(|| LoadError::BadScript(path.clone()))?;
            args = script::arguments(&script, &path, args);
            path = prefixed(prefix, &script.interpreter).into_owned();
            continue;
        }
        let elf = read_elf(&file, &path, &head).map_err(|e| match e {
            LoadError::Format(path, ElfError::NotElf) => LoadError::Unknown(path),
            e => e,
        })?;
        let interpreter = match elf.interpreter {
            Some(span) => Some(interpreter_path(&file, &path, span)?),
            None => None,
        };
        return Ok(Program { file, path, args, elf, interpreter });
    }
    Err(LoadError::Loop(path))
}

fn interpreter_path(file: &Fd, path: &[u8], (at, len): (u64, u64)) -> Result<Vec<u8>, LoadError> {
    let mut name = vec![0u8; len as usize];
    let n = file::pread(file.0, &mut name, at).map_err(|e| LoadError::Denied(path.to_vec(), e))?;
    if n != name.len() || name.last() != Some(&0) {
        return Err(LoadError::Format(path.to_vec(), ElfError::Malformed("interpreter path")));
    }
    name.truncate(name.iter().position(|b| *b == 0).unwrap_or(n));
    Ok(name)
}

/// Opens and checks a program's interpreter.
pub fn open_interpreter(program: &Program, prefix: Option<&[u8]>) -> Result<Option<(Fd, Elf)>, LoadError> {
    let Some(name) = &program.interpreter else { return Ok(None) };
    let wrong = |e: &LoadError| {
        // The kernel says ELIBBAD for a file that is no x86_64 ELF file.
        let e = if matches!(e, LoadError::Format(..)) { Errno(libc::ELIBBAD) } else { e.errno() };
        LoadError::Interpreter(program.path.clone(), name.clone(), e)
    };
    let path = prefixed(prefix, name);
    let file = open_program(&path).map_err(|e| wrong(&e))?;
    let head = read_head(&file, &path).map_err(|e| wrong(&e))?;
    let elf = read_elf(&file, &path, &head).map_err(|e| wrong(&e))?;
    Ok(Some((file, elf)))
}

/// Where a program lies once loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Where execution starts: the interpreter's entry if there is one.
    pub start: Addr,
    /// The program's own entry (AT_ENTRY).
    pub entry: Addr,
    /// Program headers in memory (AT_PHDR); the load bias if they are not loaded.
    pub headers: Addr,
    /// Number of program headers (AT_PHNUM).
    pub header_count: u64,
    /// Load address of the interpreter (AT_BASE), 0 without one.
    pub base: Addr,
    /// Where the break may start: a page boundary behind the program.
    pub brk: Addr,
    /// Code: start and end, as /proc/self/stat shows it.
    pub code: (u64, u64),
    /// Data likewise.
    pub data: (u64, u64),
}

/// Maps program and interpreter. What was mapped before a failure stays: the process is about to end.
pub fn load(mm: &Mm, program: &Program, prefix: Option<&[u8]>) -> Result<Loaded, LoadError> {
    let interpreter = open_interpreter(program, prefix)?;
    let layout = mm.layout();
    let elf = &program.elf;
    // A position-independent program with an interpreter goes low, one without may be an interpreter itself: to the mmap area.
    let place = if interpreter.is_some() { Place::Hint(Addr(layout.pie_base)) } else { Place::Anywhere };
    let bias = map_elf(mm, &program.file, &program.path, elf, place)?;
    let (_, end) = elf.extent();
    let mut loaded = Loaded {
        entry: Addr(elf.entry).plus(bias),
        headers: Addr(elf.headers_vaddr).plus(bias),
        header_count: elf.header_count,
        brk: Addr(end.wrapping_add(bias)).page_up(),
        ..Loaded::default()
    };
    loaded.start = loaded.entry;
    for s in &elf.segments {
        let (start, end) = (s.vaddr.wrapping_add(bias), (s.vaddr + s.filesz).wrapping_add(bias));
        if s.executable && loaded.code.1 < end {
            loaded.code = (if loaded.code.0 == 0 { start } else { loaded.code.0 }, end);
        }
        loaded.data = (start, end);
    }
    if elf.relocatable && interpreter.is_none() {
        // The break of a directly started loader must not sit in the mmap area (load_elf_binary()).
        loaded.brk = Addr(layout.pie_base);
    }
    loaded.brk = loaded.brk.plus(layout.brk_gap);
    if let Some((file, elf)) = interpreter {
        let name = program.interpreter.clone().unwrap_or_default();
        let bias = map_elf(mm, &file, &name, &elf, Place::Anywhere)?;
        loaded.base = Addr(bias);
        loaded.start = Addr(elf.entry).plus(bias);
    }
    Ok(loaded)
}

/// Maps an ELF file's segments; returns the load bias.
fn map_elf(mm: &Mm, file: &Fd, path: &[u8], elf: &Elf, place: Place) -> Result<u64, LoadError> {
    let (first, end) = elf.extent();
    let (first, end) = (Addr(first).page(), Addr(end).page_up());
    let failed = |at: Addr| move |e| LoadError::Map(path.to_vec(), at, e);
    let mut bias = 0;
    if elf.relocatable {
        // Claims the whole extent, and gives back what no segment covers.
        let align = elf.align();
        let slack = align - PAGE_SIZE;
        let span = end.0 - first.0;
        let got = mm.map(&Request::anonymous(place, span + slack, Prot::empty(), Kind::Anonymous)).map_err(failed(first))?;
        let start = got.0.next_multiple_of(align);
        bias = start.wrapping_sub(first.0 & !(align - 1));
        let (low, high) = (first.0.wrapping_add(bias), end.0.wrapping_add(bias));
        let mut holes = vec![got.0..low, high..got.0 + span + slack];
        let mut at = low;
        let mut upwards: Vec<&Segment> = elf.segments.iter().collect();
        upwards.sort_by_key(|s| s.vaddr);
        for s in upwards {
            holes.push(at..Addr(s.vaddr.wrapping_add(bias)).page().0);
            at = Addr((s.vaddr + s.memsz).wrapping_add(bias)).page_up().0.max(at);
        }
        for hole in holes.into_iter().filter(|h| h.start < h.end) {
            mm.unmap(Addr(hole.start), hole.end - hole.start).map_err(failed(Addr(hole.start)))?;
        }
    }
    let kind = memory::backing(file.0).map_err(failed(first))?;
    for s in &elf.segments {
        let at = Addr(s.vaddr.wrapping_add(bias));
        map_segment(mm, file, &kind, s, at).map_err(failed(at))?;
    }
    Ok(bias)
}

/// Maps one segment whose data starts at `at`.
fn map_segment(mm: &Mm, file: &Fd, kind: &Kind, s: &Segment, at: Addr) -> Result<(), Errno> {
    let mut prot = Prot::empty();
    prot.set(Prot::READ, s.readable);
    prot.set(Prot::WRITE, s.writable);
    prot.set(Prot::EXEC, s.executable);
    let start = at.page();
    let lead = at.0 - start.0;
    let file_end = at.plus(s.filesz);
    let end = at.plus(s.memsz).page_up();
    let mut bss = start;
    if s.filesz != 0 {
        bss = file_end.page_up();
        let len = bss.0 - start.0;
        let flags = flags::PRIVATE;
        mm.map(&Request { place: Place::Fixed(start), len, prot, flags, fd: file.0, offset: s.offset - lead, kind: Some(kind.clone()) })?;
        // The rest of the last file page belongs to .bss. A segment that may not be written is left alone, as the kernel does.
        if s.writable && s.memsz > s.filesz && bss != file_end {
            memory::zero(file_end, bss.0 - file_end.0).map_err(|_| Errno(libc::EFAULT))?;
        }
    }
    if bss < end {
        let len = end.0 - bss.0;
        mm.map(&Request::anonymous(Place::Fixed(bss), len, prot, Kind::Anonymous))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_for_along_path() {
        let along = |name: &[u8], path: &[u8]| String::from_utf8(named(name, Some(path), None)).expect("as given");
        assert_eq!(along(b"sh", b"/nonexistent::/bin:/usr/bin"), "/bin/sh");
        // A folder is no program, and neither is a file that may not be executed.
        assert_eq!(along(b"bin", b"/usr"), "bin");
        assert_eq!(along(b"passwd", b"/etc"), "passwd");
        // What has a slash is a path.
        assert_eq!(along(b"./sh", b"/bin"), "./sh");
        assert_eq!(named(b"sh", None, None), b"/bin/sh");
    }
}
