//! fastpath

pub mod host;
#[cfg(test)]
mod testing;
