//! Ctrl-C as an error that unwinds, so that everything made so far is taken away by its `Drop`.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

static CAUGHT: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP make [`check`] fail instead of ending the process.
pub fn catch() {
    let handler: extern "C" fn(libc::c_int) = remember;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    CAUGHT.store(true, Ordering::Relaxed);
}

/// Whether [`catch`] was called: whoever starts a process has to end it then.
pub fn is_caught() -> bool {
    CAUGHT.load(Ordering::Relaxed)
}

extern "C" fn remember(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// An error once the user has asked to end.
pub fn check() -> Result<()> {
    if happened() {
        bail!("interrupted");
    }
    Ok(())
}

pub fn happened() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
