//! Runs translated code: looks up, translates, links, invalidates, and turns whatever stops the guest into an [`Exit`].
//!
//! Never names `linux`: what the operating system means by an exit is decided there.

pub mod exit;
