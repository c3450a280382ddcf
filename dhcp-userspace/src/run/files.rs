//! Boot files from the start on, or from when that becomes possible: leases do not wait for a
//! file server that is not mounted yet, nor for a port that another program holds.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::shared::Shared;
use crate::clock::Now;
use crate::netboot;

/// Between two tries.
pub const PAUSE: Duration = Duration::from_secs(2);
/// A root on a file server that does not answer holds up its own thread only.
const FIRST: Duration = Duration::from_secs(3);

/// Tries until boot files are served as configured, or `stop` is dropped at the other end. Returns
/// after the first try.
///
/// # Errors
/// If the system has no thread left.
pub fn start(shared: &Arc<Shared>, stop: Receiver<()>) -> io::Result<()> {
    let (tried, first) = sync_channel(1);
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("boot-files".to_owned())
        .spawn(move || run(&shared, &stop, &tried))?;
    // An error says that it takes longer.
    let _ = first.recv_timeout(FIRST);
    Ok(())
}

fn run(shared: &Shared, stop: &Receiver<()>, tried: &SyncSender<()>) {
    let mut told = None;
    while let Some(error) = attempt(shared) {
        if told.as_ref() != Some(&error) {
            tracing::error!(
                "no boot files are served, leases are; this is tried again every {} s: {error}",
                PAUSE.as_secs()
            );
            let core = &shared.core;
            note(shared, Some(error.clone()));
            core.alert("boot-files", None, String::new(), Now::read());
            told = Some(error);
        }
        let _ = tried.try_send(());
        if stop.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
    note(shared, None);
    let _ = tried.try_send(());
    if told.is_some() && shared.config.load().boot.is_some() {
        tracing::info!("boot files are served from now on");
        let core = &shared.core;
        core.alert("boot-files-end", None, String::new(), Now::read());
    }
}

/// For `xdhcpctl boot status`.
fn note(shared: &Shared, refused: Option<String>) {
    *shared.boot_refused.lock().expect("no panics while held") = refused;
}

/// What keeps files from being served, if they are to be.
fn attempt(shared: &Shared) -> Option<String> {
    let wanted = shared.config.load_full();
    // Without the lock, since this may wait for a file server.
    if let Err(error) = wanted.boot.as_ref().map_or(Ok(()), netboot::check) {
        return Some(error.to_string());
    }
    let _alone = shared.reloading.lock().expect("no panics while held");
    // A reload may have been quicker.
    let config = shared.config.load();
    let boot = config.boot.as_ref();
    if shared.netboot.serves(boot) {
        return None;
    }
    let applied = shared.netboot.apply(boot);
    applied.err().map(|error| error.to_string())
}
