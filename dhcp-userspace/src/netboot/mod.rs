//! Boot files by TFTP and HTTP, from one directory that no name leads out of.
//!
//! The services run on threads of their own, so that a thousand machines that fetch their kernels
//! delay neither signals nor the control socket. [`Netboot`] starts and stops them as the
//! configuration says; [`report`] tells what they do.

pub mod books;
mod error;
pub mod http;
mod listener;
mod missing;
mod read;
pub mod report;
pub mod root;
pub mod shared;
pub mod tftp;

pub use error::NetbootError;
pub use report::Report;

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::Runtime;

use self::listener::Listener;
use self::shared::Shared;
use crate::clock::Now;
use crate::config::model::FileService;

/// More threads gain nothing: the kernel does most of the work.
const MAX_THREADS: usize = 4;

/// The file services, on or off.
#[derive(Default)]
pub struct Netboot {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

struct Running {
    config: FileService,
    tftp: Option<Listener>,
    http: Option<Listener>,
    /// Always there, until this is dropped.
    runtime: Option<Runtime>,
}

impl Netboot {
    /// Serves as `config` says from now on; `None`: not at all. Transfers that are under way go on,
    /// unless the service ends. Counters go on too. Not to be called on a thread of an async runtime.
    ///
    /// # Errors
    /// What keeps it from serving; all is as before then.
    pub fn apply(&self, config: Option<&FileService>) -> Result<(), NetbootError> {
        let mut running = self.lock();
        let Some(config) = config else {
            if let Some(running) = running.take() {
                running.stop();
            }
            return Ok(());
        };
        check(config)?;
        match &mut *running {
            Some(running) => running.change(config, &self.shared)?,
            None => *running = Some(Running::start(config, &self.shared)?),
        }
        self.shared.set_root(config.root.clone());
        self.shared.books.set_max(config.max_transfers);
        Ok(())
    }

    /// Whether it serves as `config` says.
    #[must_use]
    pub fn serves(&self, config: Option<&FileService>) -> bool {
        let running = self.lock();
        running.as_ref().map(|running| &running.config) == config
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().expect("no panics while held")
    }

    /// `None` while there is no file service.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let running = self.lock();
        let running = running.as_ref()?;
        let books = &self.shared.books;
        Some(Report {
            root: running.config.root.clone(),
            trouble: None,
            tftp: running.tftp.as_ref().map(Listener::address),
            http: running.http.as_ref().map(Listener::address),
            max_transfers: running.config.max_transfers,
            transfers: books.transfers(Now::read()),
            totals: books.totals(),
            not_found: books.not_found(),
        })
    }
}

/// Sees that there is something to serve. May wait for a file server.
///
/// # Errors
/// If there is not.
pub fn check(config: &FileService) -> Result<(), NetbootError> {
    listener::check_root(&config.root)
}

impl Running {
    fn start(config: &FileService, shared: &Arc<Shared>) -> Result<Self, NetbootError> {
        listener::raise_file_limit();
        let mut running = Self {
            config: FileService {
                tftp: None,
                http: None,
                ..config.clone()
            },
            tftp: None,
            http: None,
            runtime: Some(runtime()?),
        };
        running.change(config, shared)?;
        Ok(running)
    }

    fn change(&mut self, new: &FileService, shared: &Arc<Shared>) -> Result<(), NetbootError> {
        let old = self.config.clone();
        self.listen(new, shared).inspect_err(|_| {
            // What was free a moment ago can be had again.
            let _ = self.listen(&old, shared);
        })?;
        self.config = new.clone();
        Ok(())
    }

    fn listen(&mut self, new: &FileService, shared: &Arc<Shared>) -> Result<(), NetbootError> {
        if self.config.tftp != new.tftp || self.tftp.is_none() {
            self.close(|running| running.tftp.take());
            let listener = new
                .tftp
                .map(|at| listener::tftp(self.runtime(), at, shared));
            self.tftp = listener.transpose()?;
            self.config.tftp = new.tftp;
        }
        if self.config.http != new.http || self.http.is_none() {
            self.close(|running| running.http.take());
            let listener = new
                .http
                .map(|at| listener::http(self.runtime(), at, shared));
            self.http = listener.transpose()?;
            self.config.http = new.http;
        }
        Ok(())
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("there until the end")
    }

    /// The ports are free afterwards.
    fn stop(mut self) {
        self.close(|running| running.tftp.take());
        self.close(|running| running.http.take());
    }

    /// The new listener may want the port of the old one.
    fn close(&mut self, take: impl FnOnce(&mut Self) -> Option<Listener>) {
        if let Some(listener) = take(self) {
            listener.close(self.runtime());
        }
    }
}

impl Drop for Running {
    /// Without waiting for reads: a file server that is gone must not hold up our end.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> Result<Runtime, NetbootError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.min(MAX_THREADS))
        .thread_name("netboot")
        .enable_all()
        .build();
    runtime.map_err(|source| NetbootError::Threads { source })
}

#[cfg(test)]
mod tests;
