//! The initial stack of a program: argument count, pointers, environment, auxiliary vector and the strings they point to, laid out
//! as the kernel does (fs/binfmt_elf.c create_elf_tables, fs/exec.c). Pure: [`build`] gives the bytes and where they go.

/// Auxiliary vector types (include/uapi/linux/auxvec.h).
pub mod at {
    #![allow(missing_docs)] // The names are getauxval(3)'s.
    pub const NULL: u64 = 0;
    pub const EXECFD: u64 = 2;
    pub const PHDR: u64 = 3;
    pub const PHENT: u64 = 4;
    pub const PHNUM: u64 = 5;
    pub const PAGESZ: u64 = 6;
    pub const BASE: u64 = 7;
    pub const FLAGS: u64 = 8;
    pub const ENTRY: u64 = 9;
    pub const UID: u64 = 11;
    pub const EUID: u64 = 12;
    pub const GID: u64 = 13;
    pub const EGID: u64 = 14;
    pub const PLATFORM: u64 = 15;
    pub const HWCAP: u64 = 16;
    pub const CLKTCK: u64 = 17;
    pub const SECURE: u64 = 23;
    pub const RANDOM: u64 = 25;
    pub const HWCAP2: u64 = 26;
    pub const EXECFN: u64 = 31;
    pub const SYSINFO_EHDR: u64 = 33;
    pub const MINSIGSTKSZ: u64 = 51;
}

/// What goes onto the stack.
pub struct Contents<'a, A, E> {
    /// Arguments.
    pub args: &'a [A],
    /// Environment.
    pub env: &'a [E],
    /// The path as given to execve (AT_EXECFN).
    pub exec_name: &'a [u8],
    /// Sixteen random bytes (AT_RANDOM).
    pub random: [u8; 16],
    /// The auxiliary vector in order. Values of PLATFORM, RANDOM and EXECFN are filled in.
    pub aux: Vec<(u64, u64)>,
    /// Random distance kept below the strings (arch_align_stack).
    pub offset: u64,
}

/// A stack ready to be written.
#[derive(Debug)]
pub struct Image {
    /// The stack pointer at entry: where `bytes` go.
    pub sp: u64,
    /// From `sp` to the top.
    pub bytes: Vec<u8>,
    /// The argument strings: start and end.
    pub args: (u64, u64),
    /// The environment strings: start and end.
    pub env: (u64, u64),
    /// The auxiliary vector with its end mark, as /proc/self/auxv shows it.
    pub aux: Vec<u8>,
}

/// AT_PLATFORM.
const PLATFORM: &[u8] = b"x86_64\0";

/// Lays out a stack that ends at `top` (page-aligned).
pub fn build<A: AsRef<[u8]>, E: AsRef<[u8]>>(top: u64, mut c: Contents<A, E>) -> Image {
    let size = |list: &mut dyn Iterator<Item = usize>| list.map(|n| n as u64 + 1).sum::<u64>();
    // From the top down: a null word, the path, the environment, the arguments.
    let name_at = top - 8 - (c.exec_name.len() as u64 + 1);
    let env_at = name_at - size(&mut c.env.iter().map(|s| s.as_ref().len()));
    let args_at = env_at - size(&mut c.args.iter().map(|s| s.as_ref().len()));
    let aligned = (args_at - c.offset) & !15;
    let platform_at = aligned - PLATFORM.len() as u64;
    let random_at = platform_at - 16;
    for (kind, value) in &mut c.aux {
        match *kind {
            at::PLATFORM => *value = platform_at,
            at::RANDOM => *value = random_at,
            at::EXECFN => *value = name_at,
            _ => {}
        }
    }
    c.aux.push((at::NULL, 0));
    let words = 1 + c.args.len() + 1 + c.env.len() + 1 + 2 * c.aux.len();
    let sp = ((random_at & !15) - 8 * words as u64) & !15;

    let mut bytes = vec![0u8; (top - sp) as usize];
    let mut put = |at: u64, data: &[u8]| bytes[(at - sp) as usize..][..data.len()].copy_from_slice(data);
    let mut word_at = sp;
    let mut word = |put: &mut dyn FnMut(u64, &[u8]), v: u64| {
        put(word_at, &v.to_le_bytes());
        word_at += 8;
    };
    word(&mut put, c.args.len() as u64);
    let mut string_at = args_at;
    let mut string = |put: &mut dyn FnMut(u64, &[u8]), s: &[u8]| {
        put(string_at, s);
        string_at += s.len() as u64 + 1;
        string_at - s.len() as u64 - 1
    };
    for s in c.args {
        let at = string(&mut put, s.as_ref());
        word(&mut put, at);
    }
    word(&mut put, 0);
    for s in c.env {
        let at = string(&mut put, s.as_ref());
        word(&mut put, at);
    }
    word(&mut put, 0);
    let mut aux = Vec::with_capacity(16 * c.aux.len());
    for (kind, value) in &c.aux {
        word(&mut put, *kind);
        word(&mut put, *value);
        aux.extend(kind.to_le_bytes());
        aux.extend(value.to_le_bytes());
    }
    put(name_at, c.exec_name);
    put(platform_at, PLATFORM);
    put(random_at, &c.random);
    Image { sp, bytes, args: (args_at, env_at), env: (env_at, name_at), aux }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: u64 = 0x7fff_ffff_f000;

    struct View(Image);
    impl View {
        fn word(&self, n: usize) -> u64 {
            u64::from_le_bytes(self.0.bytes[n * 8..][..8].try_into().unwrap())
        }
        fn string(&self, at: u64) -> &[u8] {
            let s = &self.0.bytes[(at - self.0.sp) as usize..];
            &s[..s.iter().position(|b| *b == 0).unwrap()]
        }
    }

    fn check(args: &[&str], env: &[&str], offset: u64) {
        let aux = vec![(at::PAGESZ, 4096), (at::EXECFN, 0), (at::PLATFORM, 0), (at::RANDOM, 0)];
        let v = View(build(TOP, Contents { args, env, exec_name: b"./prog", random: [7; 16], aux, offset }));
        assert_eq!(v.0.sp % 16, 0);
        assert_eq!(v.0.sp + v.0.bytes.len() as u64, TOP);
        assert_eq!(v.word(0), args.len() as u64);
        for (n, a) in args.iter().enumerate() {
            assert_eq!(v.string(v.word(1 + n)), a.as_bytes());
        }
        assert_eq!(v.word(1 + args.len()), 0);
        for (n, e) in env.iter().enumerate() {
            assert_eq!(v.string(v.word(2 + args.len() + n)), e.as_bytes());
        }
        let aux_at = 3 + args.len() + env.len();
        assert_eq!((v.word(aux_at - 1), v.word(aux_at), v.word(aux_at + 1)), (0, at::PAGESZ, 4096));
        assert_eq!(v.string(v.word(aux_at + 3)), b"./prog");
        assert_eq!(v.string(v.word(aux_at + 5)), b"x86_64");
        let random = (v.word(aux_at + 7) - v.0.sp) as usize;
        assert_eq!(v.0.bytes[random..random + 16], [7; 16]);
        assert_eq!((v.word(aux_at + 8), v.word(aux_at + 9)), (at::NULL, 0));
        assert_eq!(v.0.aux, v.0.bytes[aux_at * 8..][..v.0.aux.len()]);
        assert_eq!(v.0.args.1, v.0.env.0);
        assert_eq!(v.0.bytes[v.0.bytes.len() - 8..], [0; 8]);
    }

    #[test]
    fn stacks() {
        check(&["prog", "", "x"], &["A=1", "LONG=something longer"], 0);
        check(&[], &[], 0);
        check(&["prog"], &[], 0x1230);
        check(&["a", "b"], &["C"], 16);
    }
}
