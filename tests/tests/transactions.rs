//! Rapid commit, FORCERENEW, BOOTP and lease queries with clients and judges from Debian.

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::books;
use common::message::{ACK, Message, OFFER, REQUEST};
use common::mode;
use common::site::{PATIENCE, Site, hear};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Client, Kind, RawSocket, process};

const HOUR: &str = "lease_time: 1h";
const FORCERENEW: u8 = 9;
/// Who asks about leases.
const ASKER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);

fn dhcpcd(site: &Site, number: usize, more: &str) -> Result<(Client, Ipv4Addr)> {
    let directory = site.lab.directory(&format!("dhcpcd-{number}"))?;
    let namespace = &site.lab.clients[number];
    let mut client = Client::start_with(Kind::Dhcpcd, namespace, &directory, more)?;
    let address = client.wait_bound(PATIENCE)?;
    Ok((client, address))
}

fn is_answer(kind: u8) -> impl Fn(&Message) -> bool {
    move |message: &Message| !message.is_request() && message.kind() == Some(kind)
}

#[test]
fn dhcpcd_binds_by_two_messages_where_rapid_commit_is_on() -> Result<()> {
    let site = Site::new(2, mode(), HOUR, "    rapid_commit: true\n")?;
    let ear = site.received_by(0)?;
    let (mut client, address) = dhcpcd(&site, 0, "option rapid_commit\n")?;
    let ack = hear(&ear, "ACK", is_answer(ACK))?;
    let ack = Message::read(&ack).context("DHCP")?;
    ensure!(
        ack.option(80) == Some(&[]) && ack.yiaddr == address,
        "{ack:?}"
    );
    ensure!(
        books::replies(&site.daemon, "offer")? == 0,
        "it was offered an address"
    );
    ensure!(books::replies(&site.daemon, "bind")? == 1);
    for times in 1..=2 {
        client.renew()?;
        client.wait_renewals(times, PATIENCE)?;
    }
    ensure!(
        books::hits(&site.daemon)? == 1,
        "the first renewal teaches the kernel"
    );
    // Who does not ask for it gets an offer there too.
    site.client(Kind::Udhcpc, 1)?.wait_bound(PATIENCE)?;
    ensure!(books::replies(&site.daemon, "offer")? > 0);
    Ok(())
}

#[test]
fn dhcpcd_renews_when_told_to() -> Result<()> {
    let site = Site::new(1, mode(), HOUR, "")?;
    let (mut client, address) = dhcpcd(&site, 0, "")?;
    let ears = (site.received_by(0)?, site.sent_by(0)?);
    told_to_renew(&site, (&mut client, address), &ears, 1)?;
    let judged = judged(&site, &hear(&ears.0, "ACK", is_answer(ACK))?)?;
    ensure!(judged.contains("DHCP: ACK"), "{judged}");
    Ok(())
}

/// dhcpcd takes a FORCERENEW by the xid of its last exchange, which the daemon does not know if
/// the kernel had it, unless the client uses the same one always.
#[test]
fn dhcpcd_renews_when_told_to_after_the_kernel_has_renewed_its_lease() -> Result<()> {
    let site = Site::new(1, mode(), HOUR, "")?;
    let (mut client, address) = dhcpcd(&site, 0, "xidhwaddr\n")?;
    client.renew()?;
    client.wait_renewals(1, PATIENCE)?;
    site.expect_kernel_alone(1)?;
    let ears = (site.received_by(0)?, site.sent_by(0)?);
    told_to_renew(&site, (&mut client, address), &ears, 2)
}

fn told_to_renew(
    site: &Site,
    (client, address): (&mut Client, Ipv4Addr),
    (received, sent): &(RawSocket, RawSocket),
    renewals: usize,
) -> Result<()> {
    let log = client.process().log();
    ensure!(log.contains("accepted reconfigure key"), "no nonce: {log}");
    let told = site
        .daemon
        .ctl_text(&["leases", "renew", &address.to_string()])?;
    ensure!(
        told.contains(&format!("{address} was told to renew")),
        "{told}"
    );
    let forced = hear(received, "FORCERENEW", is_answer(FORCERENEW))?;
    client.wait_renewals(renewals, PATIENCE)?;
    hear(sent, "renewal", |message| message.kind() == Some(REQUEST))?;
    ensure!(
        books::replies(&site.daemon, "renew")? == 1,
        "the kernel answered"
    );
    let judged = judged(site, &forced)?;
    ensure!(judged.contains("DHCP: Force Renew"), "{judged}");
    Ok(())
}

#[test]
fn a_bootp_client_gets_an_address_for_good() -> Result<()> {
    let subnet = "    bootp: dynamic\n    boot: {file: pxelinux.0}\n";
    let site = Site::new(1, mode(), HOUR, subnet)?;
    let ear = site.received_by(0)?;
    let namespace = &site.lab.clients[0];
    // Its socket is one like any other: it needs a way for broadcasts, and hears nothing else.
    namespace.ip(&format!("route add 255.255.255.255 dev {INTERFACE}"))?;
    let arguments = [
        "--dev",
        INTERFACE,
        "--serverbcast",
        "--timeoutwait",
        "20",
        "--returniffail",
    ];
    let said = process::output(namespace.command("bootpc").args(arguments))?;
    let address = format!("IPADDR='{}'", Ipv4Addr::new(10, 77, 1, 0));
    for line in [&address, "NETMASK='255.255.0.0'", "BOOTFILE='pxelinux.0'"] {
        ensure!(said.contains(line), "no {line}: {said}");
    }
    let lease = books::wait_state(&site.daemon, &site.mac(0)?, "bound")?;
    let years = lease["expires"].as_u64().context("no end")? / (365 * 86_400);
    ensure!(years > 2026 - 1970 + 100, "{lease}");
    let reply = ear.receive_that(PATIENCE, |frame| {
        Message::read(frame).is_some_and(|message| !message.is_request())
    })?;
    let judged = judged(&site, &reply.context("no reply")?)?;
    ensure!(judged.contains("Boot file name: pxelinux.0"), "{judged}");
    Ok(())
}

#[test]
fn leases_are_told_to_who_may_ask_by_udp_and_tcp() -> Result<()> {
    let more = format!("leasequery: {{allowed: [{ASKER}], bulk: true}}\n");
    let site = Site::new(2, mode(), HOUR, &more)?;
    let (_client, address) = dhcpcd(&site, 0, "")?;
    let asker = &site.lab.clients[1];
    asker.ip(&format!("address add {ASKER}/16 dev {INTERFACE}"))?;
    let ear = site.received_by(1)?;
    let socket = asker.enter(|| UdpSocket::bind((ASKER, 67)))??;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(&query(10, address), (SERVER, 67))?;
    let mut answer = [0; 1500];
    let (len, from) = socket.recv_from(&mut answer)?;
    ensure!(
        from.ip() == SERVER && answer[12..16] == address.octets(),
        "{len} from {from}"
    );
    let judged = judged(&site, &hear(&ear, "LEASEACTIVE", is_answer(13))?)?;
    ensure!(judged.contains("DHCP: Lease Active"), "{judged}");
    ensure!(judged.contains("IP Address Lease Time"), "{judged}");

    let mut stream = asker.enter(|| TcpStream::connect((SERVER, 67)))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    let ask = query(14, Ipv4Addr::UNSPECIFIED);
    stream.write_all(&[&(ask.len() as u16).to_be_bytes()[..], &ask].concat())?;
    let kinds = kinds_of_all(&mut stream)?;
    let count = |kind: u8| kinds.iter().filter(|other| **other == kind).count();
    ensure!(
        (count(13), count(11), count(15)) == (1, 255, 1),
        "{kinds:?}"
    );
    ensure!(books::replies(&site.daemon, "lease-query")? == 2);
    Ok(())
}

/// The types of all messages up to LEASEQUERYDONE.
fn kinds_of_all(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut kinds = Vec::new();
    while kinds.last() != Some(&15) {
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut message)?;
        kinds.push(message[242]);
    }
    Ok(kinds)
}

/// A query of the asker about an address, or about all.
fn query(kind: u8, about: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[0] = 1;
    message[12..16].copy_from_slice(&about.octets());
    if kind == 10 {
        message[24..28].copy_from_slice(&ASKER.octets());
    }
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, kind, 255]);
    message
}

#[test]
fn dhclient_waits_until_it_has_asked_for_long_enough() -> Result<()> {
    let site = Site::new(1, mode(), HOUR, "    min_secs: 2\n")?;
    let ear = site.received_by(0)?;
    let mut client = site.client(Kind::Dhclient, 0)?;
    client.wait_bound(PATIENCE)?;
    hear(&ear, "OFFER", is_answer(OFFER))?;
    let status = site.daemon.ctl(&["status"])?;
    let early = status["ignored"]["too-early"].as_u64();
    ensure!(early > Some(0), "its first DISCOVER was answered: {status}");
    Ok(())
}

/// What tshark makes of a frame; nothing in it may look wrong.
fn judged(site: &Site, frame: &[u8]) -> Result<String> {
    let path = site.lab.directory("judged")?.join("frame.pcap");
    write_pcap(&path, frame)?;
    let mut command = Command::new("tshark");
    let text = process::output(command.args(["-V", "-r"]).arg(&path))?;
    ensure!(!text.contains("Malformed"), "{text}");
    Ok(text)
}

fn write_pcap(path: &Path, frame: &[u8]) -> Result<()> {
    let len = (frame.len() as u32).to_le_bytes();
    let mut file = std::fs::File::create(path)?;
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1, 0, 0] {
        file.write_all(&word.to_le_bytes())?;
    }
    file.write_all(&[&len[..], &len, frame].concat())?;
    Ok(())
}
