//! The interfaces that are served: attaches, watches and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use aya::programs::Xdp;
use aya::programs::links::FdLink;

use super::ethtool;
use super::links::{self, AttachError, Hook};
use super::maps::describe;
use super::netlink::{self, Device};
use super::off::Off;
use super::pins::{self, PinError, Pins};
use super::places::{crowded_out, place};
use super::policy::{self, Choice, Facts, Peer};
use super::report::{PortMode, PortReport};
use crate::config::model::FastPathMode;
use crate::engine::Interface;
use crate::lease::table::Table;

/// Looks (a minute of them) after which a program is no longer one that is taken off all the time.
const QUIET: u32 = 60;

struct Port {
    report: PortReport,
    kind: String,
    link: Option<FdLink>,
    /// Belongs where it is not, for a reason that may pass: each look tries again.
    tries_again: bool,
    /// Looks until the log says again that somebody takes the program off, and what came of it.
    quiet: u32,
    /// What the log says.
    told: PortMode,
    /// Replies lost on a veth before this run.
    tx_errors: u64,
}

/// What is needed to attach, borrowed from the fast path.
pub struct Hooks<'a> {
    pub program: &'a mut Xdp,
    pub pins: Option<&'a Pins>,
    pub mode: FastPathMode,
    /// Names of interfaces on which VLANs are served.
    pub vlans: &'a BTreeSet<String>,
}

#[derive(Default)]
pub struct Ports(BTreeMap<u32, Port>);

impl Ports {
    #[must_use]
    pub fn report(&self) -> Vec<PortReport> {
        self.0.values().map(|port| port.report.clone()).collect()
    }

    /// Serves these interfaces and no others, all by the daemon.
    pub fn set_without_kernel(&mut self, interfaces: &[Interface], table: &Table, why: &Off) {
        self.0.clear();
        let placed = place(interfaces, table);
        for interface in interfaces {
            let crowded = !placed.contains(&interface.index);
            let why = if crowded {
                crowded_out()
            } else {
                why.to_string()
            };
            self.leave_to_daemon(interface, why);
        }
    }

    /// Serves these interfaces and no others, by the kernel where it can.
    pub fn set(&mut self, interfaces: &[Interface], table: &Table, hooks: &mut Hooks<'_>) {
        let devices = devices();
        let placed = place(interfaces, table);
        self.detach_unfit(&placed, &devices, hooks);
        for interface in interfaces {
            if !placed.contains(&interface.index) {
                self.leave_to_daemon(interface, crowded_out());
            } else if !self.is_attached(interface.index) {
                self.serve(interface, &devices, hooks);
            } else if let Some(port) = self.0.get_mut(&interface.index) {
                port.report.name.clone_from(&interface.name);
            }
        }
        self.forget_others(hooks.pins);
    }

    fn is_attached(&self, index: u32) -> bool {
        self.0.get(&index).is_some_and(|port| port.link.is_some())
    }

    fn detach_unfit(&mut self, placed: &BTreeSet<u32>, devices: &[Device], hooks: &Hooks<'_>) {
        self.0.retain(|index, port| {
            let device = devices.iter().find(|device| device.index == *index);
            let fit = match device {
                Some(device) => decide(device, devices, hooks).0 != Choice::Userspace,
                None => devices.is_empty(),
            };
            let stays = fit && placed.contains(index);
            if !stays {
                port.detach(hooks.pins);
            }
            stays
        });
    }

    fn serve(&mut self, interface: &Interface, devices: &[Device], hooks: &mut Hooks<'_>) {
        let device = devices
            .iter()
            .find(|device| device.index == interface.index);
        let Some(device) = device else {
            let why = "the kernel does not list this interface".to_owned();
            return self.leave_to_daemon(interface, why);
        };
        let mut port = Port::new(interface);
        port.attach(device, devices, hooks);
        self.0.insert(interface.index, port);
    }

    fn leave_to_daemon(&mut self, interface: &Interface, why: String) {
        let mut port = Port::new(interface);
        port.report.why = why;
        self.0.insert(interface.index, port);
    }

    /// Removes links that an earlier run has left on interfaces that are no longer served.
    fn forget_others(&self, pins: Option<&Pins>) {
        let Some(pins) = pins else {
            return;
        };
        let links = pins.links().unwrap_or_else(|error| {
            tracing::warn!("{} cannot be read: {error}", pins.root().display());
            BTreeMap::new()
        });
        for (index, paths) in links {
            let attached = self.is_attached(index);
            let ours = |path: &&PathBuf| attached && **path == pins.link(index);
            paths
                .iter()
                .filter(|path| !ours(path))
                .for_each(|path| links::forget(path));
        }
    }

    /// Looks whether the kernel still answers where it should, and may. Changes over where it may
    /// not: to the daemon where VLAN tags have become hidden, to generic XDP where native replies on
    /// veth get lost. Attaches again what somebody else has taken off.
    pub fn check(&mut self, hooks: &mut Hooks<'_>) {
        let watched = |port: &Port| port.link.is_some() || port.tries_again;
        if !self.0.values().any(watched) {
            return;
        }
        let devices = devices();
        for port in self.0.values_mut().filter(|port| watched(port)) {
            let index = port.report.ifindex;
            if let Some(device) = devices.iter().find(|device| device.index == index) {
                port.check(device, &devices, hooks);
            }
        }
    }

    /// Whether somebody has removed the pin of a link.
    #[must_use]
    pub fn lack_pins(&self, pins: &Pins) -> bool {
        self.0.values().any(|port| port.lacks_pin(pins))
    }

    /// Pins links again, so that the next start finds them.
    ///
    /// # Errors
    /// If the bpffs refuses; what could not be pinned is off its interface then.
    pub fn pin_again(&mut self, pins: &Pins) -> Result<(), PinError> {
        let ports = self.0.values_mut();
        let mut lacking = ports.filter(|port| port.lacks_pin(pins));
        lacking.try_for_each(|port| port.pin_again(pins))
    }

    pub fn detach(&mut self, pins: &Pins, why: &str) {
        for port in self.0.values_mut() {
            port.detach(Some(pins));
            why.clone_into(&mut port.report.why);
        }
    }
}

impl Port {
    /// Served by the daemon.
    fn new(interface: &Interface) -> Self {
        Self {
            report: PortReport {
                ifindex: interface.index,
                name: interface.name.clone(),
                mode: PortMode::Userspace,
                why: String::new(),
            },
            kind: String::new(),
            link: None,
            tries_again: false,
            quiet: 0,
            told: PortMode::Userspace,
            tx_errors: 0,
        }
    }

    /// Attaches the program where it belongs, or as near to it as it goes, and says so.
    fn attach(&mut self, device: &Device, devices: &[Device], hooks: &mut Hooks<'_>) {
        self.try_attach(device, devices, hooks);
        self.tell_attached();
    }

    fn try_attach(&mut self, device: &Device, devices: &[Device], hooks: &mut Hooks<'_>) {
        let (choice, why) = decide(device, devices, hooks);
        let attached = attach(device, choice, why, hooks);
        self.kind.clone_from(&device.kind);
        self.take(attached);
        self.tx_errors = tx_errors(&self.report, &self.kind).unwrap_or(0);
    }

    fn tell_attached(&mut self) {
        self.told = self.report.mode;
        let PortReport {
            name, mode, why, ..
        } = &self.report;
        if self.link.is_some() {
            tracing::info!("{name}: the kernel answers renewals ({mode} XDP): {why}");
        } else {
            tracing::warn!("{name}: the daemon answers renewals, not the kernel: {why}");
        }
    }

    fn take(&mut self, attached: Attached) {
        let Attached {
            link,
            why,
            is_taken,
        } = attached;
        self.report.mode = link
            .as_ref()
            .map_or(PortMode::Userspace, |(_, hook)| mode(*hook));
        self.report.why = why;
        self.link = link.map(|(link, _)| link);
        self.tries_again = is_taken;
    }

    fn check(&mut self, device: &Device, devices: &[Device], hooks: &mut Hooks<'_>) {
        self.quiet = self.quiet.saturating_sub(1);
        if self.link.is_none() {
            if device.xdp.any().is_none() {
                self.attach_again(device, devices, hooks);
            }
        } else if let (Choice::Userspace, why) = decide(device, devices, hooks) {
            self.leave_to_daemon(why, hooks.pins);
        } else if self.was_taken_off(device, hooks.program) {
            self.put_back(device, devices, hooks);
        } else if let Some(why) = self.trouble(device, devices, hooks.mode) {
            self.fall_back(device, why, hooks);
        } else {
            self.tell_change();
        }
    }

    fn attach_again(&mut self, device: &Device, devices: &[Device], hooks: &mut Hooks<'_>) {
        self.try_attach(device, devices, hooks);
        self.tries_again = self.link.is_none();
        self.tell_change();
    }

    fn put_back(&mut self, device: &Device, devices: &[Device], hooks: &mut Hooks<'_>) {
        if self.quiet == 0 {
            let name = &device.name;
            tracing::warn!(
                "{name}: somebody else has taken the XDP program off: attaching it again"
            );
        }
        self.detach(hooks.pins);
        self.attach_again(device, devices, hooks);
        self.quiet = QUIET;
    }

    /// Who takes the program off at each look is told of once.
    fn tell_change(&mut self) {
        if self.quiet == 0 && self.report.mode != self.told {
            self.tell_attached();
        }
    }

    /// The link may be there still, with no interface or another program.
    fn was_taken_off(&self, device: &Device, program: &Xdp) -> bool {
        let attached = match self.report.mode {
            PortMode::Native => device.xdp.native,
            PortMode::Generic => device.xdp.generic,
            PortMode::Userspace => return false,
        };
        program.info().is_ok_and(|info| info.id() != attached)
    }

    fn lacks_pin(&self, pins: &Pins) -> bool {
        self.link.is_some() && pins::is_gone(&pins.link(self.report.ifindex))
    }

    fn pin_again(&mut self, pins: &Pins) -> Result<(), PinError> {
        let Some(link) = self.link.take() else {
            return Ok(());
        };
        let path = pins.link(self.report.ifindex);
        let pinned = link.pin(&path);
        // Without a link and with nothing on the interface, the next check attaches it again.
        self.tries_again = pinned.is_err();
        let link = pinned.map_err(|error| PinError::Pin {
            path,
            error: describe(&error),
        })?;
        self.link = Some(link.into());
        Ok(())
    }

    fn leave_to_daemon(&mut self, why: String, pins: Option<&Pins>) {
        self.detach(pins);
        let name = &self.report.name;
        tracing::warn!("{name}: the daemon answers renewals from now on, not the kernel: {why}");
        self.report.why = why;
        self.told = self.report.mode;
    }

    fn trouble(&self, device: &Device, devices: &[Device], mode: FastPathMode) -> Option<String> {
        let lost = tx_errors(&self.report, &self.kind)?.saturating_sub(self.tx_errors);
        if lost > 0 {
            return Some(format!(
                "{lost} native XDP replies were lost on the way to the far end"
            ));
        }
        let deaf = mode == FastPathMode::Auto && peer(device, devices) != Peer::Ready;
        deaf.then(|| "the far end has no native XDP program any more".into())
    }

    fn fall_back(&mut self, device: &Device, why: String, hooks: &mut Hooks<'_>) {
        self.detach(hooks.pins);
        self.take(attach(device, Choice::Generic, why, hooks));
        self.told = self.report.mode;
        let PortReport {
            name, mode, why, ..
        } = &self.report;
        tracing::warn!("{name}: changed from native XDP to {mode}: {why}");
    }

    fn detach(&mut self, pins: Option<&Pins>) {
        if let Some(pins) = pins {
            links::forget(&pins.link(self.report.ifindex));
        }
        self.link = None;
        self.tries_again = false;
        self.report.mode = PortMode::Userspace;
    }
}

/// What came of attaching, and why.
struct Attached {
    link: Option<(FdLink, Hook)>,
    why: String,
    /// Another program was there.
    is_taken: bool,
}

impl Attached {
    const fn as_wanted(link: FdLink, hook: Hook, why: String) -> Self {
        Self {
            link: Some((link, hook)),
            why,
            is_taken: false,
        }
    }

    const fn not_at_all(why: String, is_taken: bool) -> Self {
        Self {
            link: None,
            why,
            is_taken,
        }
    }
}

/// Where to attach to an interface, and why there.
fn decide(device: &Device, devices: &[Device], hooks: &Hooks<'_>) -> (Choice, String) {
    let facts = Facts {
        device,
        peer: peer(device, devices),
        vlans: hooks.vlans.contains(&device.name) || has_vlans_on_top(device, devices),
        strips_tags: ethtool::strips_vlan_tags(&device.name),
    };
    policy::choose(hooks.mode, &facts)
}

/// Attaches as chosen, or as near to it as it goes; tells why it came so.
fn attach(device: &Device, choice: Choice, why: String, hooks: &mut Hooks<'_>) -> Attached {
    let wanted: &[Hook] = match choice {
        Choice::Native => &[Hook::Native],
        Choice::NativeFirst => &[Hook::Native, Hook::Generic],
        Choice::Generic => &[Hook::Generic],
        Choice::Userspace => &[],
    };
    let pin = hooks.pins.map(|pins| pins.link(device.index));
    if let (Some(pins), Some(pin)) = (hooks.pins, &pin) {
        let mut pinned = pins.links().unwrap_or_default();
        let pinned = pinned.remove(&device.index).unwrap_or_default();
        let adopted = links::adopt(hooks.program, device, wanted, &pinned, pin);
        match adopted {
            Some((link, Hook::Generic)) if choice == Choice::NativeFirst => {
                return Attached::as_wanted(link, Hook::Generic, kept_generic());
            }
            Some((link, hook)) => return Attached::as_wanted(link, hook, why),
            None => {}
        }
    }
    let mut reason = why;
    for hook in wanted {
        match links::attach(hooks.program, device, *hook, pin.as_deref()) {
            Ok(link) => return Attached::as_wanted(link, *hook, reason),
            Err(error @ AttachError::Taken { .. }) => {
                return Attached::not_at_all(error.to_string(), true);
            }
            Err(error) => {
                reason = format!("{} XDP was refused: {error}", mode(*hook));
            }
        }
    }
    Attached::not_at_all(reason, false)
}

/// To change over might take the card's link down for seconds.
fn kept_generic() -> String {
    "generic XDP was kept from the last run, which could not attach to the driver; to try again, \
     run `xdhcpctl fastpath detach` and restart"
        .into()
}

/// All interfaces; none if the kernel does not list them.
fn devices() -> Vec<Device> {
    netlink::devices().unwrap_or_else(|error| {
        tracing::warn!("the kernel does not list network interfaces: {error}");
        Vec::new()
    })
}

fn peer(device: &Device, devices: &[Device]) -> Peer {
    if device.kind != "veth" || device.lower == 0 {
        return Peer::Unseen;
    }
    let native = match device.lower_namespace {
        None => {
            let peer = devices.iter().find(|peer| peer.index == device.lower);
            peer.map(|peer| peer.xdp.native)
        }
        Some(namespace) => {
            let peer = netlink::device_in(namespace, device.lower);
            peer.ok().map(|peer| peer.xdp.native)
        }
    };
    match native {
        None => Peer::Unseen,
        Some(0) => Peer::Deaf,
        Some(_) => Peer::Ready,
    }
}

fn has_vlans_on_top(device: &Device, devices: &[Device]) -> bool {
    let on_top = |other: &Device| other.lower == device.index && other.lower_namespace.is_none();
    devices
        .iter()
        .any(|other| other.kind == "vlan" && on_top(other))
}

fn tx_errors(report: &PortReport, kind: &str) -> Option<u64> {
    let counted = report.mode == PortMode::Native && kind == "veth";
    counted.then(|| ethtool::xdp_tx_errors(&report.name))?
}

const fn mode(hook: Hook) -> PortMode {
    match hook {
        Hook::Native => PortMode::Native,
        Hook::Generic => PortMode::Generic,
    }
}
