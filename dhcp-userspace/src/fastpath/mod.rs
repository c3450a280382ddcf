//! The fast path in the kernel: loads the XDP program, keeps its maps and links pinned, attaches it
//! to interfaces, and tells what it does. The only module that knows aya.
//!
//! Without the kernel's help ([`Off`] says why) everything looks the same from outside: the lease
//! table is then memory of this process, and workers run the same decisions on it
//! ([`host::HostEnv`]). A missing feature costs speed, never function.
//!
//! A restart takes the pinned maps over as they are, and puts the new program into the pinned links
//! without a gap. A table that has become too small is replaced, and its leases are carried over
//! ([`carry`]). A build with another layout of the maps starts with an empty table: the journal
//! has every lease up to its promise, and no grant goes beyond that.

mod attach_pass;
mod carry;
mod ethtool;
pub mod host;
mod kernel;
#[cfg(test)]
mod lab;
mod links;
mod maps;
mod off;
mod pins;
mod places;
mod policy;
mod ports;
mod report;
mod size;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_common::layout::program;
use dhcp_common::memo;
use dhcp_common::wire::mac_bits;

pub use attach_pass::{Pass, PassError, attach_pass};
pub use off::{FLOOR, Off, Platform, Release};
pub use pins::{BPF_FS_MAGIC, Pins};
pub use report::{PortMode, PortReport};

use self::host::HostEnv;
use self::kernel::Kernel;
use self::ports::Ports;
use self::size::Needs;
use crate::clock::Now;
use crate::config::Config;
use crate::config::model::{FastPathMode, Mac};
use crate::engine::Interface;
use crate::lease::table::Table;
use crate::net::netlink;

#[derive(Debug, thiserror::Error)]
pub enum FastPathError {
    #[error(
        "no memory for a lease table of {addresses} addresses: {error}; lower fast_path.capacity"
    )]
    NoMemory { addresses: u32, error: io::Error },
    #[error(
        "the XDP program of an earlier run may still answer: its pins under {} could not be removed: \
         {error}; run `xdhcpctl fastpath detach --config FILE` as root, once",
        path.display()
    )]
    Pins { path: PathBuf, error: io::Error },
    #[error("the XDP program is not loaded: {0}")]
    NotLoaded(String),
    #[error("the program could not be run on interface {ifindex}: {error}")]
    Run { ifindex: u32, error: String },
}

/// The fast path, in the kernel or not.
pub struct FastPath {
    table: Arc<Table>,
    kernel: Result<Kernel, Off>,
    pins: Pins,
    mode: FastPathMode,
    vlans: BTreeSet<String>,
    ports: Ports,
    /// Pins were removed and could not be made anew, which was said.
    lacks_pins: bool,
}

/// Opens the fast path that the configuration asks for, or what comes nearest to it here.
///
/// # Errors
/// If there is no memory for the lease table, or a program may be answering that cannot be ended.
pub fn open(config: &Config) -> Result<FastPath, FastPathError> {
    open_on(config, &Platform::current())
}

/// The same on a given platform.
///
/// # Errors
/// If there is no memory for the lease table, or a program may be answering that cannot be ended.
pub fn open_on(config: &Config, platform: &Platform) -> Result<FastPath, FastPathError> {
    let pins = Pins::of(config);
    let (kernel, table) = match Kernel::open(config, &pins, platform) {
        Ok((kernel, table)) => {
            end_others(&kernel, &pins)?;
            (Ok(kernel), table)
        }
        Err(off) => (Err(off), table_without_kernel(config, &pins)?),
    };
    let mut fast_path = FastPath {
        table: Arc::new(table),
        kernel,
        pins,
        mode: config.fast_path.mode,
        vlans: BTreeSet::new(),
        ports: Ports::default(),
        lacks_pins: false,
    };
    fast_path.forget_requests();
    fast_path.set_vlans(config);
    fast_path.announce();
    Ok(fast_path)
}

/// Removes all links and pins of the server with this configuration, which is not running; tells
/// how many there were.
///
/// # Errors
/// If some stay.
pub fn detach(config: &Config) -> Result<usize, FastPathError> {
    let pins = Pins::of(config);
    pins.remove_all().map_err(|error| not_removed(&pins, error))
}

/// Ends programs of earlier runs that this one cannot close leases for.
fn end_others(kernel: &Kernel, pins: &Pins) -> Result<(), FastPathError> {
    if kernel.why_unpinned().is_some() {
        return end_all(pins);
    }
    let orphans = match kernel.knows_last_run() {
        true => Ok(()),
        false => pins.remove_links(),
    };
    let removed = orphans.and_then(|()| pins.remove_other_layouts());
    removed.map_err(|error| not_removed(pins, error))
}

/// The same for all of them.
fn end_all(pins: &Pins) -> Result<(), FastPathError> {
    match pins.remove_all() {
        Ok(_) => Ok(()),
        // Who may not look there can still see that no interface has a program.
        Err(error) if is_denied(&error) && nothing_attached() => Ok(()),
        Err(error) => Err(not_removed(pins, error)),
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn nothing_attached() -> bool {
    let free = |device: &netlink::Device| device.xdp.any().is_none();
    netlink::devices().is_ok_and(|devices| devices.iter().all(free))
}

fn not_removed(pins: &Pins, error: io::Error) -> FastPathError {
    let path = pins.root().to_owned();
    FastPathError::Pins { path, error }
}

/// Takes leases over that an earlier run had in the kernel, and ends its program.
fn table_without_kernel(config: &Config, pins: &Pins) -> Result<Table, FastPathError> {
    let old = maps::pinned_table(&pins.maps());
    let size = carry::size(&Needs::of(config), old.as_ref());
    let no_memory = |error| FastPathError::NoMemory {
        addresses: size.slots(),
        error,
    };
    let table = Table::anonymous(size).map_err(no_memory)?;
    if let Some(old) = old {
        carry::take_over(&old, &table);
    }
    end_all(pins)?;
    Ok(table)
}

impl FastPath {
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table)
    }

    /// Whether the program is loaded; on which interfaces it answers, [`Self::report`] tells.
    #[must_use]
    pub fn is_kernel(&self) -> bool {
        self.kernel.is_ok()
    }

    /// Why the program is not loaded.
    #[must_use]
    pub fn why_off(&self) -> Option<&Off> {
        self.kernel.as_ref().err()
    }

    /// What an operator asked an earlier run for, which was killed.
    fn forget_requests(&self) {
        self.table.meta().trace.store(0);
        self.table.meta().assume_memo.store(memo::NONE);
    }

    fn announce(&self) {
        match &self.kernel {
            Ok(kernel) => {
                if let Some(error) = kernel.why_unpinned() {
                    tracing::warn!("the kernel will stop answering whenever xdhcpd stops: {error}");
                }
            }
            Err(off @ Off::Mode) => tracing::info!("the fast path is off: {off}"),
            Err(off) => tracing::warn!("the fast path is off: {off}"),
        }
    }

    /// Takes over from a configuration what the next [`Self::set_interfaces`] needs to know of it.
    pub fn set_vlans(&mut self, config: &Config) {
        let tagged = config.subnets.iter().filter(|subnet| subnet.vlan[0] != 0);
        self.vlans = tagged
            .filter_map(|subnet| subnet.interface.clone())
            .collect();
    }

    /// Serves these interfaces and no others: attaches, detaches, and fills their places in the
    /// table.
    pub fn set_interfaces(&mut self, interfaces: &[Interface]) {
        match &mut self.kernel {
            Ok(kernel) => match kernel.hooks(&self.pins, self.mode, &self.vlans) {
                Ok(mut hooks) => self.ports.set(interfaces, &self.table, &mut hooks),
                Err(off) => self.ports.set_without_kernel(interfaces, &self.table, &off),
            },
            Err(off) => self.ports.set_without_kernel(interfaces, &self.table, off),
        }
    }

    /// To be called once a second: sees that the program is where it was attached and that its
    /// replies arrive, and changes over to another mode where they do not; and that all is pinned.
    pub fn check(&mut self) {
        let Ok(kernel) = &mut self.kernel else { return };
        kernel.pass_log_on();
        if let Ok(mut hooks) = kernel.hooks(&self.pins, self.mode, &self.vlans) {
            self.ports.check(&mut hooks);
        }
        self.check_pins();
    }

    fn check_pins(&mut self) {
        let Ok(kernel) = &self.kernel else { return };
        let pinned = kernel.why_unpinned().is_none();
        if !pinned || !(kernel.lacks_pins(&self.pins) || self.ports.lack_pins(&self.pins)) {
            self.lacks_pins = false;
            return;
        }
        let path = self.pins.root().display();
        let again = kernel.pin_again(&self.pins);
        match again.and_then(|()| self.ports.pin_again(&self.pins)) {
            Ok(()) => tracing::warn!("somebody has removed pins below {path}: pinned again"),
            Err(error) if !self.lacks_pins => {
                self.lacks_pins = true;
                tracing::warn!(
                    "somebody has removed pins below {path}: the kernel will stop answering \
                     whenever xdhcpd stops: {error}"
                );
            }
            Err(_) => {}
        }
    }

    /// How each interface is served, by index.
    #[must_use]
    pub fn report(&self) -> Vec<PortReport> {
        self.ports.report()
    }

    /// How often each [`Reason`] came up in the kernel, summed over CPUs, since its maps were made.
    #[must_use]
    pub fn counters(&self) -> [u64; Reason::COUNT] {
        let kernel = self.kernel.as_ref().ok();
        kernel.map_or([0; Reason::COUNT], Kernel::counters)
    }

    /// Logs what the kernel does with frames of this client, or of none.
    pub fn trace(&mut self, mac: Option<Mac>) {
        let watched = mac.map_or(0, |mac| mac_bits(&mac, 0));
        self.table.meta().trace.store(watched);
        if let Ok(kernel) = &mut self.kernel {
            kernel.read_log(mac.is_some());
        }
    }

    /// What would become of a frame that comes in on an interface at `now`; changes nothing.
    /// `assume_memo`: as if its options had this memo.
    ///
    /// # Errors
    /// If the interface is not there.
    pub fn explain(
        &self,
        frame: &[u8],
        ifindex: u32,
        assume_memo: Option<u64>,
        now: Now,
    ) -> Result<Reason, FastPathError> {
        let memo = &self.table.meta().assume_memo;
        let _alone = EXPLAINING.lock().unwrap_or_else(PoisonError::into_inner);
        memo.store(assume_memo.unwrap_or(memo::NONE));
        let reason = match &self.kernel {
            Ok(kernel) => kernel.explain(frame, ifindex),
            Err(_) => Ok(self.explain_on_host(frame, ifindex, now)),
        };
        memo.store(memo::NONE);
        reason
    }

    fn explain_on_host(&self, frame: &[u8], ifindex: u32, now: Now) -> Reason {
        let mut frame = frame.to_vec();
        let env = HostEnv {
            table: &self.table,
            frame: &mut frame,
            ifindex,
            now: now.boot,
        };
        env.explain(&mut Scratch::default())
    }

    /// Runs the loaded program on a frame as if it had come in on an interface: it counts, and
    /// extends the lease, but nothing is sent. Gives the XDP action and the frame.
    ///
    /// # Errors
    /// If the program is not loaded, or the interface is not there.
    pub fn test_run(&self, frame: &[u8], ifindex: u32) -> Result<(u32, Vec<u8>), FastPathError> {
        let kernel = self
            .kernel
            .as_ref()
            .map_err(|off| FastPathError::NotLoaded(off.to_string()))?;
        kernel.run(program::ANSWER, frame, ifindex)
    }

    /// Instructions of the answering program that the verifier walked through.
    #[must_use]
    pub fn verified_instructions(&self) -> Option<u32> {
        self.kernel.as_ref().ok()?.verified_instructions()
    }

    /// Takes the program off all interfaces and removes all pins; the daemon goes on alone, on the
    /// same memory, until it is started again.
    ///
    /// # Errors
    /// If a pin could not be removed.
    pub fn detach(&mut self) -> Result<(), FastPathError> {
        self.ports.detach(&self.pins, &Off::Detached.to_string());
        self.kernel = Err(Off::Detached);
        let removed = self.pins.remove_all();
        removed.map_err(|error| not_removed(&self.pins, error))?;
        Ok(())
    }
}

/// The assumed memo stands in the table: one at a time.
static EXPLAINING: Mutex<()> = Mutex::new(());
