//! What the daemon's threads share, but for the committer, which needs [`Core`] alone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::core::Core;
use super::ports::Ports;
use super::probe::Prober;
use super::ticket::Ticket;
use crate::clock::Now;
use crate::config::Config;
use crate::fastpath::FastPath;
use crate::journal::Handle;
use crate::netboot::Netboot;

pub struct Shared {
    pub core: Arc<Core>,
    /// The main configuration file, as given.
    pub path: PathBuf,
    pub config: ArcSwap<Config>,
    /// What settings that need a restart are compared with.
    pub started_with: Arc<Config>,
    pub journal: Handle<Ticket>,
    pub fastpath: Mutex<FastPath>,
    pub ports: Mutex<Ports>,
    pub netboot: Netboot,
    /// Why no boot files are served, as long as they are to be and are not.
    pub boot_refused: Mutex<Option<String>>,
    pub prober: Prober,
    pub workers: usize,
    pub started: Now,
    /// What the kernel had answered before this run.
    pub kernel_hits_before: u64,
    /// One reload at a time.
    pub reloading: Mutex<()>,
    /// Rung after a reload: other files may have to be watched.
    pub reloaded: Notify,
}
