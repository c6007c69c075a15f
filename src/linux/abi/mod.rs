//! The kernel interface of x86_64 where it differs from the host's, and the names of its constants.
//!
//! Both ABIs are LP64 and little-endian, so only what differs is laid out here ([`layout`]); everything else goes to the host as it is.
//! A structure is a list of fields at offsets ([`structure!`]), read from and written to bytes: no padding can leak and no alignment matters.

#![forbid(unsafe_code)]

pub mod errno;
pub mod flags;
pub mod layout;
pub mod names;

/// An integer in a structure.
pub trait Field: Copy {
    /// From its little-endian bytes.
    fn get(bytes: &[u8]) -> Self;
    /// To its little-endian bytes.
    fn put(self, bytes: &mut [u8]);
}

macro_rules! fields {
    ($($t:ty)*) => { $(impl Field for $t {
        fn get(bytes: &[u8]) -> Self {
            let mut b = [0; size_of::<$t>()];
            b.copy_from_slice(&bytes[..size_of::<$t>()]);
            <$t>::from_le_bytes(b)
        }
        fn put(self, bytes: &mut [u8]) {
            bytes[..size_of::<$t>()].copy_from_slice(&self.to_le_bytes());
        }
    })* };
}
fields! { u8 u16 u32 i32 u64 i64 }

/// Declares a structure: its size in bytes, and its fields with their offsets. Overlaps and fields past the end fail to compile.
macro_rules! structure {
    ($(#[$doc:meta])* $name:ident: $size:literal { $($field:ident: $type:ty = $offset:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs)] // The names are the kernel's.
        pub struct $name { $(pub $field: $type,)* }
        impl $name {
            /// Size in bytes, padding included.
            pub const SIZE: usize = $size;
            /// Reads it from bytes.
            pub fn from_bytes(bytes: &[u8; $size]) -> Self {
                $name { $($field: $crate::linux::abi::Field::get(&bytes[$offset..]),)* }
            }
            /// As bytes, padding zero.
            pub fn to_bytes(self) -> [u8; $size] {
                let mut bytes = [0; $size];
                $($crate::linux::abi::Field::put(self.$field, &mut bytes[$offset..]);)*
                bytes
            }
        }
        const _: () = {
            let mut end = 0;
            $(assert!($offset >= end); end = $offset + size_of::<$type>();)*
            assert!(end <= $size);
        };
    };
}
pub(crate) use structure;
