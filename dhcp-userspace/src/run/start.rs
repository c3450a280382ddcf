//! From nothing to serving, and back.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::Context;
use arc_swap::ArcSwap;
use dhcp_common::Reason;
use rustix::fs::Mode;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;

use super::core::Core;
use super::mailbox::{Mailbox, Message};
use super::ports::Ports;
use super::probe::Prober;
use super::shared::Shared;
use super::supervise::{self, Listeners, tell};
use super::ticket::Ticket;
use super::{bulk, files, journal, privileges, reload, secret, sweeper, worker};
use crate::clock::Now;
use crate::config::{self, Config};
use crate::control::{http, server};
use crate::engine::Engine;
use crate::fastpath::{self, FastPath, PortMode, PortReport};
use crate::journal::{Committer, Disk};
use crate::net::port67::{self, Port67};
use crate::net::socket::Prepared;
use crate::net::{interface, select};
use crate::netboot::Netboot;

/// Serves as the configuration in this file says, until a signal ends it.
///
/// # Errors
/// What keeps it from serving, for people.
pub fn daemon(path: &Path) -> anyhow::Result<()> {
    end_with_any_thread();
    bound_arenas();
    // What is made from here on is for this user alone, unless it says otherwise.
    rustix::process::umask(Mode::RWXO | Mode::RWXG);
    let config = Arc::new(config::load(path)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let user = privileges::user_of(&config)?;
    let places = runtime.block_on(take_places(&config))?;
    if let Some(user) = &user {
        privileges::hand_over(&config, user)?;
    }
    privileges::enter(user.as_ref(), &config)?;
    // In a directory that may be the user's, where root had better make nothing.
    let control = {
        let _runtime = runtime.enter();
        server::bind(&config.server.control_socket)?
    };
    let (listeners, port) = places.with(control);
    let ground = Ground::take(&config)?;
    privileges::settle()?;
    let (daemon, shared) = Daemon::start(path, &config, port, ground)?;
    let ended = runtime.block_on(supervise::supervise(shared, listeners));
    daemon.stop()?;
    ended
}

/// glibc keeps what threads free in arenas, up to eight for each core. Ours come and go (blocking
/// calls, boot files), and each would leave some memory behind in one that is seldom used again.
fn bound_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers, and no other thread is there yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, cores() as libc::c_int)
    };
}

/// What only the start needed (the program's object, the journal) is free, but still this process's.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and gives back only what nobody has.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// A daemon that lacks a thread looks alive and is not: one that panics ends the process, and the
/// service manager starts it again. Those that answer on the control socket may.
fn end_with_any_thread() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        let thread = std::thread::current();
        let needed = |name: &str| {
            name.starts_with("worker-")
                || matches!(
                    name,
                    "sweeper" | "journal" | "journal-helper" | "prober" | "main"
                )
        };
        if thread.name().is_some_and(needed) {
            std::process::exit(1);
        }
    }));
}

/// Ports: what another process may hold, and may take a capability.
struct Places {
    port: Port67,
    metrics: Option<TcpListener>,
    bulk: Option<TcpListener>,
}

impl Places {
    fn with(self, control: UnixListener) -> (Listeners, Port67) {
        let listeners = Listeners {
            control,
            metrics: self.metrics,
            bulk: self.bulk,
        };
        (listeners, self.port)
    }
}

/// First, so that nothing is changed in vain.
async fn take_places(config: &Config) -> anyhow::Result<Places> {
    select::served(config, &interface::list()?)?;
    let port = port67::take()?;
    let metrics = match config.server.metrics {
        None => None,
        Some(address) => {
            let listener = http::bind(address).await;
            Some(listener.with_context(|| format!("cannot serve metrics on {address}"))?)
        }
    };
    let bulk = match config.leasequery.bulk {
        false => None,
        true => {
            let listener = bulk::bind().await;
            Some(listener.context("cannot serve bulk lease queries on TCP port 67")?)
        }
    };
    Ok(Places {
        port,
        metrics,
        bulk,
    })
}

/// What stands before any thread does, and takes more privileges than serving: the journal's lock, the
/// lease table with its program, and sockets with large buffers.
pub(super) struct Ground {
    disk: Disk,
    fastpath: FastPath,
    sockets: Prepared,
}

impl Ground {
    pub(super) fn take(config: &Config) -> anyhow::Result<Self> {
        // Before the pins are touched: they may be those of a daemon that serves.
        let disk = journal::take(&config.server.state_dir)?;
        let fastpath = fastpath::open(config)?;
        let nics = select::available(config, &interface::list()?);
        Ok(Self {
            disk,
            fastpath,
            sockets: Prepared::for_all(&nics, workers(config)),
        })
    }
}

/// The threads, and what must live as long as they do.
pub(super) struct Daemon {
    workers: Vec<(Arc<Mailbox>, JoinHandle<()>)>,
    sweeper: JoinHandle<()>,
    stop_sweeper: Sender<()>,
    stop_files: Sender<()>,
    committer: Committer<Ticket>,
    control_socket: PathBuf,
    shared: Arc<Shared>,
    _port: Port67,
}

impl Daemon {
    pub(super) fn start(
        path: &Path,
        config: &Arc<Config>,
        port: Port67,
        ground: Ground,
    ) -> anyhow::Result<(Self, Arc<Shared>)> {
        let now = Now::read();
        let Ground {
            disk,
            fastpath,
            sockets,
        } = ground;
        let engine = Engine::new(Arc::clone(config), fastpath.table())
            .context("set fast_path.capacity higher")?;
        secret::give(&engine, &config.server.state_dir);
        let (log, lacks) = journal::open(disk, &engine, now)?;
        give_back_memory();
        let core = Arc::new(Core::new(engine));
        if lacks {
            core.rewrite.ask();
        }
        let committer = journal::start(log, Arc::clone(&core))?;
        let count = workers(config);
        let mailboxes = (0..count).map(|_| Mailbox::new().map(Arc::new));
        let mailboxes = mailboxes.collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(Shared {
            core,
            path: path.to_owned(),
            journal: committer.handle(),
            kernel_hits_before: Reason::answered(&fastpath.counters()),
            fastpath: Mutex::new(fastpath),
            ports: Mutex::new(Ports::new(mailboxes.clone(), sockets)),
            netboot: Netboot::default(),
            boot_refused: Mutex::default(),
            prober: Prober::default(),
            workers: count,
            started: now,
            reloading: Mutex::default(),
            reloaded: Notify::new(),
            config: ArcSwap::new(Arc::clone(config)),
            started_with: Arc::clone(config),
        });
        let workers = start_workers(mailboxes, &shared)?;
        reload::refresh(&shared);
        let (stop_sweeper, stop) = channel();
        let sweeper = sweeper::start(Arc::clone(&shared), stop)?;
        let (stop_files, stop) = channel();
        files::start(&shared, stop)?;
        let daemon = Self {
            workers,
            sweeper,
            stop_sweeper,
            stop_files,
            committer,
            control_socket: config.server.control_socket.clone(),
            shared: Arc::clone(&shared),
            _port: port,
        };
        Ok((daemon, shared))
    }

    /// Answers what was received, waits until all of it is on disk, and leaves the kernel as it
    /// is: it goes on for as long as was promised.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        tell(&[NotifyState::Stopping]);
        tracing::info!("stopping");
        for (mailbox, _) in &self.workers {
            mailbox.put(Message::Stop);
        }
        for (_, thread) in self.workers {
            let _ = thread.join();
        }
        self.shared.prober.stop();
        drop(self.stop_sweeper);
        drop(self.stop_files);
        let _ = self.sweeper.join();
        self.shared.core.guard.stop();
        self.committer.shutdown()?;
        // Nothing can fail that ends.
        let _ = self.shared.netboot.apply(None);
        let _ = std::fs::remove_file(&self.control_socket);
        let fastpath = self.shared.fastpath.lock().expect("no panics while held");
        let attached = |port: &PortReport| port.mode != PortMode::Userspace;
        if fastpath.report().iter().any(attached) {
            tracing::info!("stopped; the kernel renews leases until its promises end");
        } else {
            tracing::info!("stopped");
        }
        Ok(())
    }
}

fn start_workers(
    mailboxes: Vec<Arc<Mailbox>>,
    shared: &Arc<Shared>,
) -> std::io::Result<Vec<(Arc<Mailbox>, JoinHandle<()>)>> {
    let start = |(number, mailbox): (usize, Arc<Mailbox>)| {
        let thread = worker::start(number, Arc::clone(&mailbox), Arc::clone(shared))?;
        Ok((mailbox, thread))
    };
    mailboxes.into_iter().enumerate().map(start).collect()
}

fn workers(config: &Config) -> usize {
    config.server.workers.unwrap_or_else(cores).max(1)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Says that all is up. Signals are heard by now.
pub fn announce(shared: &Shared) {
    let served = shared.ports.lock().expect("no panics while held").served();
    if served.is_empty() {
        let nets: Vec<_> = shared
            .config
            .load()
            .subnets
            .iter()
            .map(|subnet| subnet.prefix.to_string())
            .collect();
        let existing =
            interface::list().map_or_else(|_| String::new(), |nics| select::names(&nics));
        tracing::warn!(
            "no interface is up and has an address in {}: waiting for one (there are {existing}); \
             to serve relays only, list the interfaces to listen on in `interfaces`",
            nets.join(", ")
        );
    }
    let report = shared
        .fastpath
        .lock()
        .expect("no panics while held")
        .report();
    let interfaces: Vec<_> = report
        .iter()
        .map(|port| format!("{} ({})", port.name, port.mode))
        .collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        interfaces = interfaces.join(", "),
        workers = shared.workers,
        "ready"
    );
    tell(&[NotifyState::Ready]);
}
