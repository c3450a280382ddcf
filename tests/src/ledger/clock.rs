//! The ledger's clock. It is not the one that tests step.

pub const SECOND: u64 = 1_000_000_000;
pub const MILLISECOND: u64 = 1_000_000;
/// Clocks are read as good as at once.
const TOGETHER: u64 = 20_000;
/// On a machine where they never are, the best of so many times has to do.
const TRIES: u32 = 100;

/// Nanoseconds since boot, suspend included.
pub fn boot() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

/// How far the clock of the packets' timestamps, nanoseconds since 1970, is ahead of [`boot`].
pub fn real_ahead() -> u64 {
    let (mut shortest, mut ahead) = (u64::MAX, 0);
    for _ in 0..TRIES {
        let (before, real, after) = (boot(), read(libc::CLOCK_REALTIME), boot());
        if after - before < shortest {
            (shortest, ahead) = (after - before, real - before);
        }
        // Otherwise this thread was put aside in between.
        if shortest < TOGETHER {
            break;
        }
    }
    ahead
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
