//! The interfaces that are served: attaches, watches and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use aya::programs::Xdp;
use aya::programs::links::FdLink;
use dhcp_common::layout::{PORTS, Port as Place};
use dhcp_common::wire::mac_bits;

use super::ethtool;
use super::links::{self, AttachError, Hook};
use super::netlink::{self, Device};
use super::off::Off;
use super::pins::Pins;
use super::policy::{self, Choice, Facts, Peer};
use crate::config::model::FastPathMode;
use crate::engine::Interface;
use crate::lease::table::Table;

/// Who answers renewals on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortMode {
    /// The kernel, in the driver.
    Native,
    /// The kernel, in the network stack.
    Generic,
    /// The daemon.
    Userspace,
}

impl fmt::Display for PortMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Userspace => "userspace",
        })
    }
}

/// How an interface is served, and why so.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortReport {
    pub ifindex: u32,
    pub name: String,
    pub mode: PortMode,
    pub why: String,
}

struct Port {
    report: PortReport,
    kind: String,
    link: Option<FdLink>,
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
        let name = &device.name;
        let (choice, why) = decide(device, devices, hooks);
        let (link, why) = attach(device, choice, why, hooks);
        let Some((link, hook)) = link else {
            tracing::warn!("{name}: the daemon answers renewals, not the kernel: {why}");
            return self.leave_to_daemon(interface, why);
        };
        let report = report(interface, mode(hook), why);
        let PortReport { mode, why, .. } = &report;
        tracing::info!("{name}: the kernel answers renewals ({mode} XDP): {why}");
        let kind = device.kind.clone();
        let tx_errors = tx_errors(&report, &kind).unwrap_or(0);
        let port = Port {
            report,
            kind,
            link: Some(link),
            tx_errors,
        };
        self.0.insert(interface.index, port);
    }

    fn leave_to_daemon(&mut self, interface: &Interface, why: String) {
        let port = Port {
            report: report(interface, PortMode::Userspace, why),
            kind: String::new(),
            link: None,
            tx_errors: 0,
        };
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

    /// Looks whether the kernel may still answer where it does, and changes over where it may not:
    /// to the daemon where VLAN tags have become hidden, to generic XDP where native replies on
    /// veth get lost.
    pub fn check(&mut self, hooks: &mut Hooks<'_>) {
        if self.0.values().all(|port| port.link.is_none()) {
            return;
        }
        let devices = devices();
        for port in self.0.values_mut().filter(|port| port.link.is_some()) {
            let index = port.report.ifindex;
            if let Some(device) = devices.iter().find(|device| device.index == index) {
                port.check(device, &devices, hooks);
            }
        }
    }

    pub fn detach(&mut self, pins: &Pins, why: &str) {
        for port in self.0.values_mut() {
            port.detach(Some(pins));
            why.clone_into(&mut port.report.why);
        }
    }
}

impl Port {
    fn check(&mut self, device: &Device, devices: &[Device], hooks: &mut Hooks<'_>) {
        if let (Choice::Userspace, why) = decide(device, devices, hooks) {
            self.leave_to_daemon(why, hooks.pins);
        } else if let Some(why) = self.trouble(device, devices, hooks.mode) {
            self.fall_back(device, why, hooks);
        }
    }

    fn leave_to_daemon(&mut self, why: String, pins: Option<&Pins>) {
        self.detach(pins);
        let name = &self.report.name;
        tracing::warn!("{name}: the daemon answers renewals from now on, not the kernel: {why}");
        self.report.why = why;
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
        let (link, why) = attach(device, Choice::Generic, why, hooks);
        self.report.mode = link
            .as_ref()
            .map_or(PortMode::Userspace, |(_, hook)| mode(*hook));
        self.link = link.map(|(link, _)| link);
        let PortReport { name, mode, .. } = &self.report;
        tracing::warn!("{name}: changed from native XDP to {mode}: {why}");
        self.report.why = why;
    }

    fn detach(&mut self, pins: Option<&Pins>) {
        if let Some(pins) = pins {
            links::forget(&pins.link(self.report.ifindex));
        }
        self.link = None;
        self.report.mode = PortMode::Userspace;
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
fn attach(
    device: &Device,
    choice: Choice,
    why: String,
    hooks: &mut Hooks<'_>,
) -> (Option<(FdLink, Hook)>, String) {
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
                return (Some((link, Hook::Generic)), kept_generic());
            }
            Some(adopted) => return (Some(adopted), why),
            None => {}
        }
    }
    let mut reason = why;
    for hook in wanted {
        match links::attach(hooks.program, device, *hook, pin.as_deref()) {
            Ok(link) => return (Some((link, *hook)), reason),
            Err(error @ (AttachError::Taken { .. } | AttachError::TakenByUs { .. })) => {
                return (None, error.to_string());
            }
            Err(error) => {
                reason = format!("{} XDP was refused: {error}", mode(*hook));
            }
        }
    }
    (None, reason)
}

/// To change over might take the card's link down for seconds.
fn kept_generic() -> String {
    "generic XDP was kept from the last run, which could not attach to the driver; to try again, \
     run `xdhcpctl fastpath detach` and restart"
        .into()
}

fn crowded_out() -> String {
    format!("another interface has the same index modulo {PORTS}, which is its place in the table")
}

/// Writes the interfaces to their places in the table; tells which have one.
fn place(interfaces: &[Interface], table: &Table) -> BTreeSet<u32> {
    let mut places: BTreeMap<usize, &Interface> = BTreeMap::new();
    for interface in interfaces {
        places
            .entry(interface.index as usize % PORTS)
            .or_insert(interface);
    }
    for (at, place) in table.meta().ports.iter().enumerate() {
        match places.get(&at) {
            Some(interface) => set_place(place, interface.index, mac_bits(&interface.mac, 0)),
            None => set_place(place, 0, 0),
        }
    }
    places.values().map(|interface| interface.index).collect()
}

/// Leaves a place alone that is right already: the program may be reading it.
fn set_place(place: &Place, index: u32, mac: u64) {
    if place.mac_of(index) != Some(mac) {
        place.set(index, mac);
    }
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

fn report(interface: &Interface, mode: PortMode, why: String) -> PortReport {
    PortReport {
        ifindex: interface.index,
        name: interface.name.clone(),
        mode,
        why,
    }
}
