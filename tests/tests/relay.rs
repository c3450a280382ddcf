//! Clients behind a router with a relay agent (isc-dhcp-relay).

mod common;

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use common::books;
use common::message::{ACK, DISCOVER, Message, NAK, OFFER, REQUEST};
use common::raw_client::{Lease, RawClient};
use common::site::{PATIENCE, hear};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Binaries, Client, Daemon, Kind, Lab, Namespace, RawSocket, Relay, Veth};

/// The router on the server's network and on the clients'.
const ROUTER_UP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const ROUTER_DOWN: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const DOWN: &str = "eth1";
const POOL: &str = "10.78.0.100-10.78.0.199";

/// Server, router and a client behind it. The fields are dropped in this order.
struct Site {
    relay: Option<Relay>,
    daemon: Daemon,
    _cable: Veth,
    behind: Namespace,
    lab: Lab,
}

impl Site {
    fn new(relay_options: &[&str], times: &str) -> Result<Self> {
        common::root();
        let lab = Lab::new(1)?;
        let router = &lab.clients[0];
        let behind = Namespace::new("behind")?;
        let cable = Veth::new((&behind, INTERFACE), (router, DOWN))?;
        router.ip(&format!("address add {ROUTER_UP}/16 dev {INTERFACE}"))?;
        router.ip(&format!("address add {ROUTER_DOWN}/24 dev {DOWN}"))?;
        router.enter(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
        lab.server
            .ip(&format!("route add 10.78.0.0/24 via {ROUTER_UP}"))?;
        let directory = lab.directory("xdhcpd")?;
        let yaml = yaml(&lab, times);
        let daemon = Daemon::start(&Binaries::find()?, &lab.server, &directory, &yaml)?;
        books::expect_mode(&daemon, INTERFACE, common::mode())?;
        let ports = (DOWN, INTERFACE);
        let log = lab.directory("relay")?.join("log");
        let relay = Relay::start_with(relay_options, router, ports, SERVER, &log)?;
        Ok(Self {
            relay: Some(relay),
            daemon,
            _cable: cable,
            behind,
            lab,
        })
    }

    fn router(&self) -> &Namespace {
        &self.lab.clients[0]
    }

    /// A client that has bound, with a way to the server.
    fn bound(&self, kind: Kind) -> Result<(Client, Ipv4Addr)> {
        let directory = self.lab.directory(kind.name())?;
        let mut client = Client::start(kind, &self.behind, &directory)?;
        let address = client.wait_bound(PATIENCE)?;
        ensure!(address.octets()[..3] == [10, 78, 0], "{kind} got {address}");
        self.behind.ip(&format!(
            "route replace 10.77.0.0/16 via {ROUTER_DOWN} dev {INTERFACE}"
        ))?;
        Ok((client, address))
    }

    /// Hears what the router sends to the server.
    fn to_server(&self) -> Result<RawSocket> {
        RawSocket::open(&self.lab.switch, "client0")
    }

    /// Hears what the server sends to the router.
    fn to_router(&self) -> Result<RawSocket> {
        RawSocket::open(self.router(), INTERFACE)
    }
}

fn yaml(lab: &Lab, times: &str) -> String {
    let (bpffs, mode) = (lab.bpffs().display(), common::mode());
    format!(
        "\
interfaces: [{INTERFACE}]
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock}}
fast_path: {{mode: {mode}, pin_dir: {bpffs}/xdhcpd}}
defaults: {{{times}}}
subnets:
  - {{subnet: 10.77.0.0/16}}
  - {{subnet: 10.78.0.0/24, pools: [{POOL}], options: {{routers: [{ROUTER_DOWN}]}}}}
"
    )
}

#[test]
fn from_binding_to_release_dhclient() -> Result<()> {
    life(Kind::Dhclient)
}

#[test]
fn from_binding_to_release_udhcpc() -> Result<()> {
    life(Kind::Udhcpc)
}

#[test]
fn from_binding_to_release_dhcpcd() -> Result<()> {
    life(Kind::Dhcpcd)
}

fn life(kind: Kind) -> Result<()> {
    let site = Site::new(&[], "lease_time: 10m, renew_time: 4s, rebind_time: 8m")?;
    let (mut client, address) = site.bound(kind)?;
    let from_server = site.to_router()?;
    client.renew()?;
    client.wait_renewals(1, PATIENCE)?;
    // Routed: to the client's address, by way of the router's MAC.
    let router = site.router().mac(INTERFACE)?;
    let to_client = |message: &Message| message.destination == address;
    let ack = hear(&from_server, "ACK", |m| to_client(m) && m.to_mac == router)?;
    let ack = Message::read(&ack).context("DHCP")?;
    ensure!(ack.kind() == Some(ACK), "{kind}: {ack:?}");
    ensure!(
        books::replies(&site.daemon, "nak")? == 0,
        "{kind} was told NAK"
    );

    client.release()?;
    books::wait_state(&site.daemon, &address.to_string(), "released")?;
    Ok(())
}

/// The relay hears renewals that pass through its host, and sends copies of them.
#[test]
fn a_relays_copy_of_a_renewal_gets_an_ack() -> Result<()> {
    let site = Site::new(&[], "lease_time: 1h")?;
    let (to_server, to_router) = (site.to_server()?, site.to_router()?);
    let (mut client, address) = site.bound(Kind::Udhcpc)?;
    client.renew()?;
    client.wait_renewals(1, PATIENCE)?;
    let copy = |message: &Message| message.giaddr == ROUTER_DOWN && message.ciaddr == address;
    hear(&to_server, "copy", |message| {
        message.op == 1 && copy(message)
    })?;
    let answer = hear(&to_router, "answer", |message| {
        message.op == 2 && copy(message)
    })?;
    let answer = Message::read(&answer).context("DHCP")?;
    ensure!(answer.kind() == Some(ACK), "{answer:?}");
    ensure!(answer.destination == ROUTER_DOWN, "{answer:?}");
    ensure!(books::replies(&site.daemon, "nak")? == 0);
    Ok(())
}

/// The agent's option comes back last and as it was; the agent takes it out again.
#[test]
fn option_82_is_echoed_to_the_relay() -> Result<()> {
    let site = Site::new(&["-a"], "lease_time: 1h")?;
    let (to_server, to_router) = (site.to_server()?, site.to_router()?);
    let to_client = RawSocket::open(&site.behind, INTERFACE)?;
    site.bound(Kind::Udhcpc)?;
    for (asks, answers) in [(DISCOVER, OFFER), (REQUEST, ACK)] {
        let kind = |wanted| move |message: &Message| message.kind() == Some(wanted);
        let asked = Message::read(&hear(&to_server, "request", kind(asks))?).context("DHCP")?;
        let agent = asked.option(82).context("the relay added no option 82")?;
        let answer = Message::read(&hear(&to_router, "reply", kind(answers))?).context("DHCP")?;
        let last = answer.options.last().context("no options")?;
        ensure!((last.0, &last.1[..]) == (82, agent), "{answer:?}");
        let heard = Message::read(&hear(&to_client, "reply", kind(answers))?).context("DHCP")?;
        ensure!(heard.option(82).is_none(), "not stripped: {heard:?}");
    }
    Ok(())
}

/// Without copies by a relay, the kernel learns a routed client's renewal from the first one.
/// (Not udhcpc: it misses answers that are there before it has closed the socket it asked with,
/// and its second try, by broadcast, finds no relay.)
#[test]
fn a_routed_renewal_is_answered_in_the_kernel() -> Result<()> {
    let mut site = Site::new(&[], "lease_time: 1h")?;
    let (mut client, address) = site.bound(Kind::Dhcpcd)?;
    site.relay.take();
    let from_server = site.to_router()?;
    for renewal in 1..=2 {
        client.renew()?;
        client.wait_renewals(renewal, PATIENCE)?;
        let to_client = |message: &Message| message.destination == address;
        let ack = hear(&from_server, "ACK", to_client)?;
        let ack = Message::read(&ack).context("DHCP")?;
        ensure!(ack.kind() == Some(ACK), "{ack:?}");
        ensure!(ack.to_mac == site.router().mac(INTERFACE)?, "{ack:?}");
    }
    ensure!(books::replies(&site.daemon, "renew")? == 1);
    ensure!(books::hits(&site.daemon)? == 1);
    let mac = books::mac_text(site.behind.mac(INTERFACE)?);
    let why = site.daemon.ctl_text(&["fastpath", "why", &mac])?;
    ensure!(why.contains("answered by the kernel"), "{why}");
    Ok(())
}

/// A relayed REQUEST for an address of another network is refused by way of the relay.
#[test]
fn a_nak_goes_to_the_relay() -> Result<()> {
    let site = Site::new(&[], "lease_time: 1h")?;
    let client = RawClient::new(&site.behind, INTERFACE, 1)?;
    let offer = client.ask(&client.discover())?;
    let mut wrong = offer.clone();
    wrong.yiaddr = Ipv4Addr::new(10, 77, 9, 9);
    let to_router = site.to_router()?;
    let nak = client.ask(&client.selecting(&wrong))?;
    ensure!(nak.kind() == Some(NAK) && nak.is_broadcast(), "{nak:?}");
    let relayed = hear(&to_router, "NAK", |message| message.kind() == Some(NAK))?;
    let relayed = Message::read(&relayed).context("DHCP")?;
    ensure!(relayed.destination == ROUTER_DOWN, "{relayed:?}");
    let Lease { address, .. } = client.bind()?;
    ensure!(address == offer.yiaddr, "{address}");
    Ok(())
}
