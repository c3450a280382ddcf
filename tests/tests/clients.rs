//! Real clients (dhclient, udhcpc, dhcpcd) from their first DISCOVER to their RELEASE, with the
//! XDP program in the driver and in the network stack.

mod common;

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use common::books::{self, mac_text};
use common::message::{ACK, Message, REQUEST, check_sums};
use common::mode;
use common::site::{PATIENCE, Site, hear};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::link::set_offload;
use xdhcpd_tests::{Client, Kind, wait_until};

/// dhclient cannot be asked to renew: it does so after T1.
const SOON_RENEWED: &str = "lease_time: 10m, renew_time: 4s, rebind_time: 8m";
/// udhcpc, which knows no T1 and T2, renews after half of this, and by broadcast at once.
const SOON_REBOUND: &str = "lease_time: 30s, renew_time: 4s, rebind_time: 7s";
const RARELY_RENEWED: &str = "lease_time: 1h";

#[test]
fn the_first_renewal_is_answered_in_the_kernel_native() -> Result<()> {
    first_renewals("native", false)
}

#[test]
fn the_first_renewal_is_answered_in_the_kernel_generic() -> Result<()> {
    first_renewals("generic", false)
}

#[test]
fn checksums_left_to_hardware_do_no_harm_native() -> Result<()> {
    first_renewals("native", true)
}

#[test]
fn checksums_left_to_hardware_do_no_harm_generic() -> Result<()> {
    first_renewals("generic", true)
}

fn first_renewals(mode: &str, offload: bool) -> Result<()> {
    let site = Site::new(Kind::ALL.len(), mode, SOON_RENEWED, "")?;
    for namespace in &site.lab.clients {
        set_offload(namespace, INTERFACE, "tx", offload)?;
    }
    let ears = (0..Kind::ALL.len()).map(|number| site.sent_by(number));
    let ears = ears.collect::<Result<Vec<_>>>()?;
    let mut clients = site.clients()?;
    for (client, _) in &mut clients {
        client.renew()?;
    }
    for ((client, address), ear) in clients.iter_mut().zip(&ears) {
        client.wait_renewals(1, PATIENCE)?;
        let lease = books::lease(&site.daemon, &address.to_string())?;
        ensure!(
            lease["kernel_renewals"].as_u64() >= Some(1),
            "{}: {lease}",
            client.kind()
        );
        let renewal = hear(ear, "renewal", |message| message.ciaddr == *address)?;
        // dhcpcd writes no UDP checksum.
        ensure!(
            client.kind() == Kind::Dhcpcd || check_sums(&renewal).is_ok() != offload,
            "{}: the checksum is not as the offload is",
            client.kind()
        );
    }
    site.expect_kernel_alone(3)
}

#[test]
fn a_broadcast_renewal_is_answered_in_the_kernel_native() -> Result<()> {
    rebinding("native")
}

#[test]
fn a_broadcast_renewal_is_answered_in_the_kernel_generic() -> Result<()> {
    rebinding("generic")
}

fn rebinding(mode: &str) -> Result<()> {
    let site = Site::new(Kind::ALL.len(), mode, SOON_REBOUND, "")?;
    let ears = (0..Kind::ALL.len())
        .map(|number| Ok((site.sent_by(number)?, site.received_by(number)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut clients = site.clients()?;
    for (client, _) in &mut clients {
        client.rebind(SERVER)?;
    }
    for ((client, address), (sent, received)) in clients.iter_mut().zip(&ears) {
        let is_rebinding = |message: &Message| message.is_broadcast() && message.ciaddr == *address;
        let rebinding = hear(sent, "broadcast renewal", is_rebinding)
            .with_context(|| client.kind().to_string())?;
        let xid = Message::read(&rebinding).context("DHCP")?.xid;
        // dhclient keeps the xid of its DISCOVER.
        let is_answer = |message: &Message| message.xid == xid && message.ciaddr == *address;
        let answer = hear(received, "answer", is_answer)?;
        let answer = Message::read(&answer).context("DHCP")?;
        ensure!(answer.kind() == Some(ACK), "{}: {answer:?}", client.kind());
        client.wait_renewals(1, PATIENCE)?;
    }
    site.expect_kernel_alone(3)
}

#[test]
fn a_released_address_waits_for_its_client_dhclient() -> Result<()> {
    release(Kind::Dhclient)
}

#[test]
fn a_released_address_waits_for_its_client_udhcpc() -> Result<()> {
    release(Kind::Udhcpc)
}

#[test]
fn a_released_address_waits_for_its_client_dhcpcd() -> Result<()> {
    release(Kind::Dhcpcd)
}

fn release(kind: Kind) -> Result<()> {
    let site = Site::new(2, mode(), RARELY_RENEWED, "")?;
    let mut client = site.client(kind, 0)?;
    let address = client.wait_bound(PATIENCE)?;
    client.release()?;
    let lease = books::wait_state(&site.daemon, &address.to_string(), "released")?;
    ensure!(lease["mac"] == site.mac(0)?.as_str(), "{lease}");
    drop(client);

    let other = site.client(kind, 1)?.wait_bound(PATIENCE)?;
    ensure!(other != address, "another client was given {address}");
    let again = site.client_anew(kind, 0)?.wait_bound(PATIENCE)?;
    ensure!(again == address, "{kind} had {address}, and now {again}");
    Ok(())
}

#[test]
fn a_client_keeps_its_address_over_a_reboot_dhclient() -> Result<()> {
    reboot(Kind::Dhclient)
}

#[test]
fn a_client_keeps_its_address_over_a_reboot_udhcpc() -> Result<()> {
    reboot(Kind::Udhcpc)
}

#[test]
fn a_client_keeps_its_address_over_a_reboot_dhcpcd() -> Result<()> {
    reboot(Kind::Dhcpcd)
}

/// dhclient remembers its lease and asks for it (INIT-REBOOT); the others begin anew.
fn reboot(kind: Kind) -> Result<()> {
    let site = Site::new(1, mode(), SOON_RENEWED, "")?;
    let mut client = site.client(kind, 0)?;
    let address = client.wait_bound(PATIENCE)?;
    client.stop()?;
    site.lab.clients[0].ip(&format!("address flush dev {INTERFACE}"))?;
    let offers = books::replies(&site.daemon, "offer")?;

    let sent = site.sent_by(0)?;
    let mut client = site.client(kind, 0)?;
    let again = client.wait_bound(PATIENCE)?;
    ensure!(again == address, "{kind} had {address}, and now {again}");
    let asked = hear(&sent, "REQUEST", |message| message.kind() == Some(REQUEST))?;
    let asked = Message::read(&asked).context("DHCP")?;
    ensure!(asked.option(50) == Some(&address.octets()), "{asked:?}");
    if kind == Kind::Dhclient {
        ensure!(asked.option(54).is_none(), "no INIT-REBOOT: {asked:?}");
        ensure!(
            books::replies(&site.daemon, "offer")? == offers,
            "it was offered an address"
        );
    }
    client.renew()?;
    client.wait_renewals(1, PATIENCE)?;
    site.expect_kernel_alone(1)
}

#[test]
fn an_address_in_use_is_declined_and_another_given() -> Result<()> {
    let site = Site::new(2, mode(), RARELY_RENEWED, "")?;
    let mut client = site.client(Kind::Dhcpcd, 0)?;
    let address = client.wait_bound(PATIENCE)?;
    client.release()?;
    books::wait_state(&site.daemon, &address.to_string(), "released")?;
    drop(client);

    // Somebody else takes the address that the server will offer again.
    site.lab.clients[1].ip(&format!("address add {address}/16 dev {INTERFACE}"))?;
    let mut client = site.client_anew(Kind::Dhcpcd, 0)?;
    let other = client.wait_event("another address", PATIENCE, |events| {
        let bound = events.iter().filter(|event| event.name == "bound");
        bound
            .filter_map(|event| event.address)
            .find(|given| *given != address)
    })?;
    let lease = books::lease(&site.daemon, &address.to_string())?;
    ensure!(lease["state"] == "declined", "{lease}");
    let lease = books::lease(&site.daemon, &other.to_string())?;
    ensure!(lease["state"] == "bound", "{lease}");
    ensure!(books::replies(&site.daemon, "decline")? == 1);
    Ok(())
}

#[test]
fn clients_with_one_template_have_their_own_host_names_native() -> Result<()> {
    host_names("native")
}

#[test]
fn clients_with_one_template_have_their_own_host_names_generic() -> Result<()> {
    host_names("generic")
}

const HOSTS: [(&str, Ipv4Addr); 2] = [
    ("node001", Ipv4Addr::new(10, 77, 0, 11)),
    (
        "a-much-longer-name.of-node002",
        Ipv4Addr::new(10, 77, 0, 12),
    ),
];

fn host_names(mode: &str) -> Result<()> {
    let mut site = Site::new(HOSTS.len(), mode, RARELY_RENEWED, "")?;
    reserve(&mut site, mode)?;
    let ears = [site.received_by(0)?, site.received_by(1)?];
    for (number, (name, address)) in HOSTS.into_iter().enumerate() {
        let mut client = site.client(Kind::Udhcpc, number)?;
        ensure!(
            client.wait_bound(PATIENCE)? == address,
            "{name} has another address"
        );
        client.renew()?;
        client.wait_renewals(1, PATIENCE)?;
        for ciaddr in [Ipv4Addr::UNSPECIFIED, address] {
            expect_name(&ears[number], ciaddr, name)?;
        }
    }
    // One for OFFERs, one for ACKs.
    let status = site.daemon.ctl(&["status"])?;
    ensure!(
        status["templates"] == 2,
        "{} templates",
        status["templates"]
    );
    site.expect_kernel_alone(2)
}

/// Reserves the addresses of [`HOSTS`] for the clients, whose MACs are known only now.
fn reserve(site: &mut Site, mode: &str) -> Result<()> {
    let mut reservations = String::from("    reservations:\n");
    for (number, (name, address)) in HOSTS.into_iter().enumerate() {
        let mac = mac_text(site.lab.clients[number].mac(INTERFACE)?);
        reservations +=
            &format!("      - {{mac: '{mac}', address: {address}, hostname: {name}}}\n");
    }
    let yaml = common::site::yaml(&site.lab, mode, RARELY_RENEWED, &reservations);
    site.daemon.configure(&yaml)?;
    site.daemon.ctl(&["reload"])?;
    Ok(())
}

/// The next ACK (to a renewal, if there is a ciaddr) says this name, in right bytes.
fn expect_name(ear: &xdhcpd_tests::RawSocket, ciaddr: Ipv4Addr, name: &str) -> Result<()> {
    let is_ack = |message: &Message| message.kind() == Some(ACK) && message.ciaddr == ciaddr;
    let frame = hear(ear, "ACK", is_ack)?;
    check_sums(&frame)?;
    let ack = Message::read(&frame).context("DHCP")?;
    let says = ack.option(12).map(String::from_utf8_lossy);
    ensure!(says.as_deref() == Some(name), "{says:?} is not {name}");
    Ok(())
}

/// What the lab's other clients have no occasion to say.
#[test]
fn a_declined_address_is_in_quarantine() -> Result<()> {
    let site = Site::new(1, mode(), RARELY_RENEWED, "")?;
    let client = common::raw_client::RawClient::new(&site.lab.clients[0], INTERFACE, 1)?;
    let lease = client.bind()?;
    let decline = client
        .message(common::message::DECLINE)
        .with(50, &lease.address.octets())
        .with(54, &SERVER.octets());
    client.send(&decline)?;
    books::wait_state(&site.daemon, &lease.address.to_string(), "declined")?;
    let another = client.bind()?;
    ensure!(
        another.address != lease.address,
        "{lease:?} was given again"
    );
    Ok(())
}

/// A client that vanished without a word has its address until the lease ends, and not longer.
#[test]
fn a_lease_ends() -> Result<()> {
    let site = Site::new(1, mode(), SOON_REBOUND, "")?;
    let mut client: Client = site.client(Kind::Udhcpc, 0)?;
    let address = client.wait_bound(PATIENCE)?.to_string();
    drop(client);
    let lease = wait_until("the lease to end", PATIENCE, || {
        let lease = books::lease(&site.daemon, &address)?;
        Ok((lease["state"] == "expired").then_some(lease))
    })?;
    ensure!(lease["mac"] == site.mac(0)?.as_str(), "{lease}");
    Ok(())
}
