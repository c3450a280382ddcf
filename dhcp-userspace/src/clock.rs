//! The one place that reads clocks. Everything else takes a [`Now`].
//!
//! Leases live on `CLOCK_BOOTTIME`, which the kernel reads too, counts suspend and never steps.
//! Wall clock time appears in the journal's clock records (to carry leases over a reboot), in
//! YAML and in what people read; [`Now`] converts.

use std::io;

/// A moment on both clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since boot, suspend included.
    pub boot: u64,
    /// Since 1970, UTC.
    pub unix: u64,
}

pub const SECOND: u64 = 1_000_000_000;

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Self {
            boot: read(libc::CLOCK_BOOTTIME),
            unix: read(libc::CLOCK_REALTIME),
        }
    }

    /// A time since boot as a time since 1970.
    #[must_use]
    pub const fn to_unix(self, boot: u64) -> u64 {
        self.unix.saturating_sub(self.boot).saturating_add(boot)
    }

    /// A time since 1970 as a time since boot; 0 for one before boot.
    #[must_use]
    pub const fn to_boot(self, unix: u64) -> u64 {
        unix.saturating_sub(self.unix.saturating_sub(self.boot))
    }
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer, and both clocks exist on Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// What tells one boot of this machine from another.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn boot_id() -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&hex, 16)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "boot_id is not hexadecimal"))?;
    Ok(number.to_be_bytes())
}
