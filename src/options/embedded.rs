//! Settings inside of xemu's own file: a copy that is registered with the kernel carries its options, so that the handler opens no file and
//! trusts no variable for them. `xemu binfmt install --settings` writes them into the copy.

/// Bytes of text that there is room for.
const ROOM: usize = 1008;

/// What marks the place in the file, and the text behind it, padded with zeros.
#[repr(C)]
struct Block {
    mark: [u8; 16],
    text: [u8; ROOM],
}

#[used]
static BLOCK: Block = Block { mark: *b"\0xemu:settings:\x01", text: [0; ROOM] };

/// The lines `NAME=VALUE` of this file; empty in a file as it was built.
pub fn lines() -> impl Iterator<Item = &'static [u8]> {
    // What the compiler knows of the block is not what a copy holds.
    let text: &'static [u8; ROOM] = &std::hint::black_box(&BLOCK).text;
    let end = text.iter().position(|b| *b == 0).unwrap_or(ROOM);
    text[..end].split(|b| *b == b'\n').filter(|l| !l.is_empty())
}

/// Variables that may be embedded: none of them has a file written, or changes what a program is given but for its processor.
pub const ALLOWED: [&str; 10] = [
    "XEMU_CPU",
    "XEMU_CACHE_SIZE",
    "XEMU_HOST_FEATURES",
    "XEMU_LOG",
    "XEMU_NO_OPT",
    "XEMU_PRECISE_FLAGS",
    "XEMU_STRICT_ALIGN",
    "XEMU_UNAME",
    "XEMU_UNSAFE_FAST_NAN",
    "QEMU_STACK_SIZE",
];

/// A copy of `binary`, an xemu, with these lines in place of those that it has.
pub fn embed(binary: &[u8], lines: &[String]) -> Result<Vec<u8>, String> {
    let text = lines.join("\n");
    if text.len() > ROOM {
        return Err(format!("settings have {} bytes, there is room for {ROOM}", text.len()));
    }
    let mark = std::hint::black_box(&BLOCK).mark;
    let mut places = binary.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark).map(|(at, _)| at + mark.len());
    let (Some(at), None) = (places.next(), places.next()) else { return Err("this is no xemu that can hold settings".into()) };
    let mut copy = binary.to_vec();
    let room = copy.get_mut(at..at + ROOM).ok_or("the file is cut")?;
    room.fill(0);
    room[..text.len()].copy_from_slice(text.as_bytes());
    Ok(copy)
}

#[test]
fn a_copy_holds_what_was_written_into_it() {
    let mut file = b"code".to_vec();
    file.extend(BLOCK.mark);
    file.extend([7; ROOM + 4]);
    let copy = embed(&file, &["XEMU_CPU=v2".into(), "XEMU_LOG=warn".into()]).unwrap();
    assert_eq!(copy.len(), file.len());
    assert!(copy[20..].starts_with(b"XEMU_CPU=v2\nXEMU_LOG=warn\0\0") && copy.ends_with(b"\0\x07\x07\x07\x07"));
    assert!(embed(b"something else", &[]).is_err());
    assert!(embed(&file, &["x".repeat(ROOM + 1)]).is_err());
    assert_eq!(lines().count(), 0, "a built xemu has none");
}
