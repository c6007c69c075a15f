//! binfmt
