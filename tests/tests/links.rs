//! Which link a client is on: two interfaces, VLANs, VLANs in VLANs.

mod common;

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use common::books;
use common::message::{ACK, Message, NAK, OFFER, REQUEST};
use common::raw_client::{Lease, RawClient};
use common::site::{PATIENCE, hear};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::link::{Bridge, set_offload};
use xdhcpd_tests::raw::{QINQ, VLAN};
use xdhcpd_tests::xdp_pass::XdpPass;
use xdhcpd_tests::{Binaries, Daemon, Kind, Lab, RawSocket, Veth};

/// A second interface of the server, at a second switch.
const SECOND: &str = "eth1";
const SECOND_SERVER: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

const RENEWED_SOON: &str = "lease_time: 30s, renew_time: 2s, rebind_time: 4s";

const SUBNETS: &str = "
  - {subnet: 10.77.0.0/16, pools: [10.77.1.0-10.77.1.99]}
  - {subnet: 10.88.0.0/16, pools: [10.88.1.0-10.88.1.99]}
";

/// Under 100, under 7 in 300, and without a tag.
const TRUNK: &str = "
  - {subnet: 10.77.0.0/16, pools: [10.77.1.0-10.77.1.99]}
  - {subnet: 10.10.0.0/24, pools: [10.10.0.50-10.10.0.99], interface: eth0, vlan: 100, server_address: 10.10.0.1}
  - {subnet: 10.30.0.0/24, pools: [10.30.0.50-10.30.0.99], interface: eth0, vlan: [300, 7], server_address: 10.30.0.1}
";

struct Site {
    daemon: Daemon,
    _second: Option<(XdpPass, Veth)>,
    lab: Lab,
}

impl Site {
    /// Client 0 is at the first switch; the second is `br1`, for client 1 to begin with.
    fn two_interfaces(clients: usize, times: &str) -> Result<Self> {
        common::root();
        let lab = Lab::new(clients)?;
        let bridge = Bridge::new(&lab.switch, "br1")?;
        let cable = Veth::new((&lab.server, SECOND), (&lab.switch, "second"))?;
        bridge.add("second")?;
        bridge.add("client1")?;
        let pass = XdpPass::attach(&lab.switch, "second")?;
        lab.server
            .ip(&format!("address add {SECOND_SERVER}/16 dev {SECOND}"))?;
        let daemon = serve(&lab, "eth0, eth1", times, SUBNETS)?;
        books::expect_mode(&daemon, SECOND, common::mode())?;
        Ok(Self {
            daemon,
            _second: Some((pass, cable)),
            lab,
        })
    }

    /// Tags are left in the frames, where XDP sees them.
    fn trunk() -> Result<Self> {
        common::root();
        let lab = Lab::new(1)?;
        for (namespace, interface) in [(&lab.server, INTERFACE), (&lab.switch, "server")] {
            for offload in [
                "rxvlan",
                "txvlan",
                "rx-vlan-stag-hw-parse",
                "tx-vlan-stag-hw-insert",
            ] {
                set_offload(namespace, interface, offload, false)?;
            }
        }
        let daemon = serve(&lab, INTERFACE, "lease_time: 1h", TRUNK)?;
        Ok(Self {
            daemon,
            _second: None,
            lab,
        })
    }

    fn raw_client(&self, number: usize, tags: &[(u16, u16)]) -> Result<RawClient> {
        let client = RawClient::new(&self.lab.clients[number], INTERFACE, 1)?;
        Ok(client.tagged(tags))
    }
}

fn serve(lab: &Lab, interfaces: &str, times: &str, subnets: &str) -> Result<Daemon> {
    let (bpffs, mode) = (lab.bpffs().display(), common::mode());
    let yaml = format!(
        "\
interfaces: [{interfaces}]
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock}}
fast_path: {{mode: {mode}, pin_dir: {bpffs}/xdhcpd}}
defaults: {{{times}}}
subnets: {subnets}"
    );
    let directory = lab.directory("xdhcpd")?;
    let daemon = Daemon::start(&Binaries::find()?, &lab.server, &directory, &yaml)?;
    books::expect_mode(&daemon, INTERFACE, common::mode())?;
    Ok(daemon)
}

fn network(address: Ipv4Addr) -> [u8; 2] {
    [address.octets()[0], address.octets()[1]]
}

#[test]
fn each_interface_has_its_subnet() -> Result<()> {
    let site = Site::two_interfaces(2, "lease_time: 1h")?;
    for (number, expected, server) in [(0, [10, 77], SERVER), (1, [10, 88], SECOND_SERVER)] {
        let client = RawClient::new(&site.lab.clients[number], INTERFACE, number as u8)?;
        let lease = client.bind()?;
        ensure!(
            network(lease.address) == expected && lease.server == server,
            "{lease:?}"
        );
        let ack = client.ask(&client.renewing(&lease))?;
        ensure!(
            ack.kind() == Some(ACK) && ack.from_mac == lease.server_mac,
            "{ack:?}"
        );
    }
    ensure!(books::hits(&site.daemon)? == 2);
    Ok(())
}

/// It has the same MAC and asks on the other link for what it has.
#[test]
fn a_client_that_moved_is_told_so() -> Result<()> {
    let site = Site::two_interfaces(2, "lease_time: 1h")?;
    let (here, there) = (site.raw_client(0, &[])?, site.raw_client(1, &[])?);
    let lease = here.bind()?;
    let nak = there.ask(&there.rebinding(&lease))?;
    ensure!(nak.kind() == Some(NAK) && nak.is_broadcast(), "{nak:?}");
    ensure!(books::reason(&site.daemon, "other-link")? == 1);

    let rebooted = there.message(REQUEST).with(50, &lease.address.octets());
    let nak = there.ask(&rebooted)?;
    ensure!(nak.kind() == Some(NAK), "{nak:?}");
    let new = there.bind()?;
    ensure!(network(new.address) == [10, 88], "{new:?}");
    ensure!(books::hits(&site.daemon)? == 0);
    Ok(())
}

#[test]
fn dhclient_moves_to_another_network() -> Result<()> {
    let site = Site::two_interfaces(2, RENEWED_SOON)?;
    let directory = site.lab.directory("dhclient")?;
    let mut client = xdhcpd_tests::Client::start(Kind::Dhclient, &site.lab.clients[0], &directory)?;
    let first = client.wait_bound(PATIENCE)?;
    ensure!(network(first) == [10, 77], "{first}");

    client.rebind(SERVER)?;
    let ear = RawSocket::open(&site.lab.clients[0], INTERFACE)?;
    site.lab.switch.ip("link set client0 master br1")?;
    hear(&ear, "NAK", |message| message.kind() == Some(NAK))?;
    let second = client.wait_event("a new address", PATIENCE, |events| {
        let bound = events.iter().rev().find(|event| event.name == "bound")?;
        bound.address.filter(|address| *address != first)
    })?;
    ensure!(network(second) == [10, 88], "{second}");
    Ok(())
}

#[test]
fn a_vlan_has_its_subnet() -> Result<()> {
    tagged(&[(VLAN, 100)], [10, 10])
}

#[test]
fn a_vlan_in_a_vlan_has_its_subnet() -> Result<()> {
    tagged(&[(QINQ, 300), (VLAN, 7)], [10, 30])
}

#[test]
fn both_tags_may_be_of_802_1q() -> Result<()> {
    tagged(&[(VLAN, 300), (VLAN, 7)], [10, 30])
}

/// Priority bits are no part of the VLAN, and come back.
#[test]
fn a_vlan_with_priority_bits() -> Result<()> {
    tagged(&[(VLAN, 100 | 5 << 13)], [10, 10])
}

/// VLAN 0 is no VLAN (IEEE 802.1Q: a frame that is only tagged for its priority): it counts as
/// untagged, and the replies bear the tag of the request.
#[test]
fn a_priority_tag_alone_is_no_vlan() -> Result<()> {
    tagged(&[(VLAN, 5 << 13)], [10, 77])
}

#[test]
fn a_priority_tag_of_zero_is_no_vlan() -> Result<()> {
    tagged(&[(VLAN, 0)], [10, 77])
}

fn tagged(tags: &[(u16, u16)], expected: [u8; 2]) -> Result<()> {
    let site = Site::trunk()?;
    let client = site.raw_client(0, tags)?;
    let offer = client.ask(&client.discover())?;
    ensure!(
        offer.kind() == Some(OFFER) && offer.tags == tags,
        "{offer:?}"
    );
    ensure!(network(offer.yiaddr) == expected, "{offer:?}");
    let lease: Lease = client.bind()?;
    ensure!(lease.address == offer.yiaddr, "{lease:?}");

    for message in [client.renewing(&lease), client.rebinding(&lease)] {
        let ack = client.ask(&message)?;
        ensure!(ack.kind() == Some(ACK) && ack.tags == tags, "{ack:?}");
        ensure!(ack.yiaddr == lease.address, "{ack:?}");
    }
    ensure!(
        books::hits(&site.daemon)? == 2,
        "not answered in the kernel"
    );
    ensure!(books::replies(&site.daemon, "renew")? == 0);
    Ok(())
}

/// The kernel leaves it to the daemon, which says no under the tags that the client used.
#[test]
fn a_client_in_another_vlan_is_told_so() -> Result<()> {
    let site = Site::trunk()?;
    let lease = site.raw_client(0, &[(VLAN, 100)])?.bind()?;
    for tags in [&[][..], &[(QINQ, 300), (VLAN, 7)]] {
        let before = books::reason(&site.daemon, "other-link")?;
        let client = site.raw_client(0, tags)?;
        let nak = client.ask(&client.rebinding(&lease))?;
        ensure!(nak.kind() == Some(NAK) && nak.tags == tags, "{nak:?}");
        ensure!(books::reason(&site.daemon, "other-link")? == before + 1);
    }
    ensure!(books::hits(&site.daemon)? == 0);
    Ok(())
}

#[test]
fn a_vlan_without_a_subnet_hears_nothing() -> Result<()> {
    let site = Site::trunk()?;
    let stranger = site.raw_client(0, &[(VLAN, 101)])?;
    let ear = RawSocket::open(&site.lab.clients[0], INTERFACE)?;
    let asked = stranger.discover();
    stranger.send(&asked)?;
    // Replies to one client come in order, so silence ends with the next one.
    let client = site.raw_client(0, &[(VLAN, 100)])?;
    client.bind()?;
    let reply = hear(&ear, "reply", |message| message.op == 2)?;
    let reply = Message::read(&reply).context("DHCP")?;
    ensure!(reply.xid != asked.xid, "answered: {reply:?}");
    let status = site.daemon.ctl(&["status"])?;
    ensure!(status["ignored"]["no-subnet"] == 1, "{}", status["ignored"]);
    Ok(())
}

/// Where the interface takes tags off, XDP would answer into the wrong VLAN: it is left to the
/// daemon, which knows the tags, and says what to do.
#[test]
fn hidden_tags_leave_renewals_to_the_daemon() -> Result<()> {
    common::root();
    let lab = Lab::new(1)?;
    set_offload(&lab.server, INTERFACE, "rxvlan", true)?;
    let error = serve(&lab, INTERFACE, "lease_time: 1h", TRUNK).err();
    let error = format!("{:#}", error.context("it was attached")?);
    ensure!(
        error.contains("userspace") && error.contains("rxvlan off"),
        "{error}"
    );
    Ok(())
}
