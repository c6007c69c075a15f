//! The buffer that code is assembled into, and the room that one assembler leaves to the next.

use super::branch::{Fixup, Literal};
use dynasmrt::{AssemblyOffset, DynasmApi};

/// Code being assembled. dynasm's own assemblers begin with no room each time and append byte by byte: a tenth of all that translation executed.
#[derive(Default)]
pub(super) struct Code(pub Vec<u8>);

impl Code {
    #[cold]
    #[inline(never)]
    fn grow(&mut self, word: u32) {
        self.0.extend_from_slice(&word.to_le_bytes());
    }
}

impl Extend<u8> for Code {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        self.0.extend(bytes);
    }
}
impl<'a> Extend<&'a u8> for Code {
    fn extend<T: IntoIterator<Item = &'a u8>>(&mut self, bytes: T) {
        self.0.extend(bytes);
    }
}
impl DynasmApi for Code {
    #[inline]
    fn offset(&self) -> AssemblyOffset {
        AssemblyOffset(self.0.len())
    }
    fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }
    fn align(&mut self, alignment: usize, with: u8) {
        self.0.resize(self.0.len().next_multiple_of(alignment), with);
    }
    #[inline]
    fn push_u32(&mut self, word: u32) {
        // The last thing that functions do: the frequent way needs no frame.
        if self.0.capacity() - self.0.len() < 4 {
            return self.grow(word);
        }
        self.0.extend_from_slice(&word.to_le_bytes());
    }
}

/// Room that an [`Asm`](super::Asm) takes over from an earlier one: empty vectors that have grown already.
#[derive(Default)]
pub struct Buffers {
    pub(super) code: Vec<u8>,
    pub(super) labels: Vec<u32>,
    pub(super) fixups: Vec<Fixup>,
    pub(super) literals: Vec<Literal>,
}

impl Buffers {
    /// Takes back the bytes that [`Finished`](super::Finished) gave away.
    pub fn take_back(&mut self, code: Vec<u8>) {
        self.code = code;
    }
}
