//! Where it is measured: two namespaces, one veth pair, and nothing else.
//!
//! What arrives at either end is received by a thread of its own (threaded NAPI), as if each end were a network card
//! that interrupts a CPU of its own: so what the server's kernel does for a frame is charged to that thread, and not
//! to the generator that sent it. All that is not the server's own subnet goes by a gateway whose hardware address
//! is fixed, which is the generator: no server has to resolve a million addresses.

use std::cell::Cell;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::link::set_offload;
use xdhcpd_tests::{Lab, Namespace, XdpPass, process};

use crate::client::{Mac, PREFIX, SERVER, SUBNET};
use crate::cpu;

/// The generator's interface.
pub const GENERATOR: &str = "server";
const GATEWAY: &str = "10.77.255.254";
/// Where the generator and what receives for it run.
pub const GENERATOR_CPU: usize = 0;

pub struct Site {
    pass: Cell<Option<XdpPass>>,
    pub lab: Lab,
    pub server_mac: Mac,
}

/// The threads that receive at each end; `None` where whoever sends does it in passing.
#[derive(Clone, Copy)]
pub struct Receivers {
    pub server: Option<u32>,
    pub generator: Option<u32>,
}

impl Site {
    pub fn new() -> Result<Self> {
        let mut lab = Lab::new(0)?;
        // The lab's switch is the generator: its port is a cable's end like any other.
        lab.switch
            .ip(&format!("link set dev {GENERATOR} nomaster"))?;
        prepare(&lab.switch, GENERATOR)?;
        prepare(&lab.server, INTERFACE)?;
        route(&lab)?;
        let server_mac = lab.server.mac(INTERFACE)?;
        Ok(Self {
            pass: Cell::new(lab.pass.take()),
            server_mac,
            lab,
        })
    }

    /// Whether threads receive, at the server's end and at the generator's.
    pub fn receive_by_threads(&self, (server, generator): (bool, bool)) -> Result<Receivers> {
        let last = cpu::count() - 1;
        Ok(Receivers {
            server: receiver(&self.lab.server, INTERFACE, server.then_some(last))?,
            generator: receiver(
                &self.lab.switch,
                GENERATOR,
                generator.then_some(GENERATOR_CPU),
            )?,
        })
    }

    /// Frames that either end could not put on the cable since it is there.
    pub fn dropped(&self) -> Result<u64> {
        let at = |namespace: &Namespace, interface: &str| {
            let shown = namespace.ip(&format!("-statistics -json link show dev {interface}"))?;
            let links: Value = serde_json::from_str(&shown)?;
            let dropped = links[0]["stats64"]["tx"]["dropped"].as_u64();
            dropped.with_context(|| format!("no statistics of {interface}: {shown}"))
        };
        Ok(at(&self.lab.server, INTERFACE)? + at(&self.lab.switch, GENERATOR)?)
    }

    /// Has another program at the generator's end while `action` runs. There must always be one, or what the server's
    /// program sends back is lost.
    pub fn instead_of_pass<T>(&self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        self.pass.take();
        let done = action();
        let pass = XdpPass::attach(&self.lab.switch, GENERATOR)?;
        self.pass.set(Some(pass));
        done
    }
}

fn prepare(namespace: &Namespace, interface: &str) -> Result<()> {
    // Checksums are to be there when a frame is looked at, and frames to come one by one.
    set_offload(namespace, interface, "tx", false)?;
    // With it veth receives by NAPI, with or without an XDP program.
    set_offload(namespace, interface, "gro", true)?;
    // The generator's end has no address: its kernel is to answer nothing.
    let setting = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    let _ = namespace.enter(|| fs::write(&setting, "1"))?;
    Ok(())
}

fn route(lab: &Lab) -> Result<()> {
    let (server, mac) = (&lab.server, lab.switch.mac(GENERATOR)?);
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    server.ip(&format!("address flush dev {INTERFACE}"))?;
    server.ip(&format!(
        "address add {SERVER}/{PREFIX} dev {INTERFACE} noprefixroute"
    ))?;
    server.ip(&format!(
        "neighbour replace {GATEWAY} lladdr {mac} nud permanent dev {INTERFACE}"
    ))?;
    let route = format!("{SUBNET}/{PREFIX} via {GATEWAY} dev {INTERFACE} onlink src {SERVER}");
    server.ip(&format!("route replace {route}"))?;
    server.ip(&format!(
        "route replace default via {GATEWAY} dev {INTERFACE} onlink"
    ))?;
    Ok(())
}

/// Has a thread receive, on a CPU of its own and before everything else that runs there, as an interrupt would be; or
/// none.
fn receiver(namespace: &Namespace, interface: &str, cpu: Option<usize>) -> Result<Option<u32>> {
    // Some kernels end the thread with this, others keep it.
    set_threaded(namespace, interface, false)?;
    let Some(cpu) = cpu else { return Ok(None) };
    set_threaded(namespace, interface, true)?;
    let thread = newest_thread(&format!("napi/{interface}-"))?;
    let thread = thread.with_context(|| format!("no thread receives for {interface}"))?;
    cpu::pin(thread, cpu)?;
    cpu::before_all_others(thread)?;
    Ok(Some(thread))
}

/// Not by `nsenter`: the interface's files are in the /sys of its own namespace.
fn set_threaded(namespace: &Namespace, interface: &str, on: bool) -> Result<()> {
    let script = format!(
        "echo {} > /sys/class/net/{interface}/threaded",
        u8::from(on)
    );
    let mut command = std::process::Command::new("ip");
    command.args(["netns", "exec", namespace.name(), "sh", "-c", &script]);
    process::output(&mut command).context("the kernel has no threaded NAPI (Linux 5.12)")?;
    Ok(())
}

/// The last that was made of those whose names begin so.
fn newest_thread(prefix: &str) -> Result<Option<u32>> {
    let mut newest = None;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let comm = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        if comm.starts_with(prefix) {
            newest = newest.max(Some((born(id).unwrap_or(0), id)));
        }
    }
    Ok(newest.map(|(_, id)| id))
}

/// When a process began, in ticks since boot: the 20th field behind the name.
fn born(id: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}
