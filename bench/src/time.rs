//! The bench's clock.

use std::sync::OnceLock;
use std::time::Instant;

pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the first call.
#[expect(clippy::disallowed_methods, reason = "this measures")]
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}
