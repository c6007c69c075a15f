//! What an access with order becomes where it faults because it is not aligned: the same by a barrier, beside the code.

use super::branch::patch_branch;

/// Bytes of a [detour].
pub const DETOUR: u64 = 12;

const DMB_ISHLD: u32 = 0xd503_39bf;
const DMB_ISH: u32 = 0xd503_3bbf;

/// Code for `at` that does what `word` does, which stands at `site`, whatever the alignment, and goes on behind that; `None`: `word` is not LDAPR, LDAR, STLR,
/// LDAPUR or STLUR of a general register (Arm ARM C4.1.94).
pub fn detour(word: u32, site: u64, at: u64) -> Option<[u32; 3]> {
    let (size, registers) = (word & 3 << 30, word & 0x3ff);
    let (plain, loads) = match word & 0x3fff_fc00 {
        0x38bf_c000 | 0x08df_fc00 => (0x3940_0000 | size | registers, true),
        0x089f_fc00 => (0x3900_0000 | size | registers, false),
        // The unscaled offset and the kind of extension stay where they are.
        _ if word & 0x3f20_0c00 == 0x1900_0000 => (0x3800_0000 | word & 0xc0df_f3ff, word & 3 << 22 != 0),
        _ => return None,
    };
    let [first, second] = if loads { [plain, DMB_ISHLD] } else { [DMB_ISH, plain] };
    Some([first, second, patch_branch(site as i64 + 4 - (at as i64 + 8))?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::{Asm, Features, Mem, Order, Size, Width, X};
    use capstone::prelude::*;

    fn text(words: &[u32], at: u64) -> Vec<String> {
        let cs = Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build().expect("capstone");
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        cs.disasm_all(&bytes, at).expect("code").iter().map(|i| format!("{} {}", i.mnemonic().unwrap_or(""), i.op_str().unwrap_or(""))).collect()
    }

    /// Whatever the assembler makes of an ordered access of a general register has its detour: the access without order, and the barrier of its kind.
    #[test]
    fn every_ordered_access_has_one() {
        let loads = [Width::B, Width::H, Width::W, Width::X, Width::Sb(Size::X), Width::Sh(Size::W), Width::Sw].map(|w| (w, true));
        let stores = [Width::B, Width::H, Width::W, Width::X].map(|w| (w, false));
        for (lrcpc, lrcpc2) in [(false, false), (true, false), (true, true)] {
            for (width, loads) in loads.into_iter().chain(stores) {
                for offset in [0, -8, 255] {
                    let mut a = Asm::new(Features { lrcpc, lrcpc2, ..Features::NONE });
                    let mem = Mem::Off(X(3), offset);
                    if loads { a.load(width, X(5), mem, Order::Tso) } else { a.store(width, X(5), mem, Order::Tso) }
                    let words = a.finish().bytes.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect::<Vec<_>>();
                    let (word, made) = words.iter().find_map(|w| Some((*w, detour(*w, 0x1000, 0x2000)?))).expect("an ordered access");
                    let mut plain = text(&[word], 0).remove(0);
                    for (ordered, other) in [("ldapur", "ldur"), ("stlur", "stur"), ("ldapr", "ldr"), ("ldar", "ldr"), ("stlr", "str")] {
                        plain = plain.replacen(ordered, other, 1);
                    }
                    let [first, second] = if loads { [plain, "dmb ishld".into()] } else { ["dmb ish".into(), plain] };
                    assert_eq!(text(&made, 0x2000), [first, second, "b #0x1004".into()], "{width:?} {offset}");
                }
            }
        }
        // LDAXR, STLXR, LDR, STR, CASAL, NOP.
        for other in [0xc85f_fc20, 0xc802_fc20, 0xf940_0020, 0xf900_0020, 0xc8e0_fc41, 0xd503_201f] {
            assert_eq!(detour(other, 0x1000, 0x2000), None, "{other:#x}");
        }
    }
}
