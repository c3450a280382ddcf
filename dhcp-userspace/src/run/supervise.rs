//! What happens beside packets: signals, the control socket, metrics, files that change.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::shared::Shared;
use super::{answer, bulk, reload, report, start, watch};
use crate::control::{http, server};

/// A tool that writes many files has paused.
const SETTLED: Duration = Duration::from_millis(300);

pub struct Listeners {
    pub control: UnixListener,
    pub metrics: Option<TcpListener>,
    pub bulk: Option<TcpListener>,
}

/// Runs until the daemon is told to stop.
///
/// # Errors
/// If the process cannot receive signals.
pub async fn supervise(shared: Arc<Shared>, listeners: Listeners) -> anyhow::Result<()> {
    listen(&shared, listeners);
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    start::announce(&shared);
    let (changed, mut changes) = mpsc::channel(1);
    let mut watch = watch_files(&shared, &changed);
    loop {
        tokio::select! {
            _ = hangup.recv() => reload_for(&shared, "SIGHUP").await,
            Some(()) = changes.recv() => {
                settle(&mut changes).await;
                reload_for(&shared, "an included file changed").await;
            }
            () = shared.reloaded.notified() => {
                drop(watch.take());
                watch = watch_files(&shared, &changed);
            }
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

fn listen(shared: &Arc<Shared>, listeners: Listeners) {
    let events = shared.core.events.clone();
    let here = Arc::clone(shared);
    let answer: Arc<server::Answer> =
        Arc::new(move |request, item| answer::answer(&here, request, item));
    tokio::spawn(server::serve(
        listeners.control,
        server::Service::new(answer, events),
    ));
    if let Some(listener) = listeners.metrics {
        let here = Arc::clone(shared);
        let render = Arc::new(move || here.core.metrics.render(&report::state(&here)));
        tokio::spawn(http::serve(listener, render));
    }
    if let Some(listener) = listeners.bulk {
        tokio::spawn(bulk::serve(listener, Arc::clone(shared)));
    }
}

fn watch_files(shared: &Shared, changed: &mpsc::Sender<()>) -> Option<watch::Watch> {
    match watch::start(&shared.config.load(), changed.clone()) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(%error, "included files are not watched: use `xdhcpctl reload`");
            None
        }
    }
}

/// Waits until nothing has changed for a moment.
async fn settle(changes: &mut mpsc::Receiver<()>) {
    while tokio::time::timeout(SETTLED, changes.recv()).await.is_ok() {}
}

async fn reload_for(shared: &Arc<Shared>, why: &'static str) {
    let shared = Arc::clone(shared);
    let reload = move || {
        tracing::info!(why, "reloading");
        // Logged in there, success and failure.
        let _ = reload::reload(&shared);
    };
    let _ = tokio::task::spawn_blocking(reload).await;
}

/// Tells the service manager, if there is one.
pub fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "service manager");
    }
}
