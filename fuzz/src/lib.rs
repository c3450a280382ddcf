//! What is done with hostile bytes, for each place where the server takes some: a function that may
//! panic only if the server is wrong.
//!
//! `cargo xtask fuzz` runs each under libFuzzer; the test `corpus` runs the kept inputs, and
//! mutations of them, without it.

pub mod books;
pub mod class;
pub mod config;
pub mod control;
pub mod differential;
pub mod disk;
pub mod http;
pub mod input;
pub mod journal;
pub mod leasequery;
pub mod options;
pub mod relay;
pub mod reply;
pub mod request;
pub mod site;
pub mod tftp;
pub mod tree;

/// One place where bytes of others come in.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of the program for libFuzzer, and of the directory of its corpus.
    pub name: &'static str,
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name::run }),+];
    };
}

targets!(
    request,
    options,
    differential,
    config,
    class,
    journal,
    tftp,
    http,
    control,
    relay,
    leasequery,
);
