//! The lab itself: what the other tests stand on.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use xdhcpd_tests::lab::SERVER;
use xdhcpd_tests::raw::{QINQ, VLAN, tagged};
use xdhcpd_tests::{
    Client, Kind, Lab, Namespace, Process, RawSocket, Relay, Veth, lab, process, wait_until,
};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_namespace_goes_with_its_value_and_takes_its_processes() -> Result<()> {
    let namespace = Namespace::new("short")?;
    let (path, directory) = (namespace.path(), tempfile::tempdir()?);
    let mut command = namespace.command("sh");
    command.args(["-c", "echo inside; exec sleep 600"]);
    let mut sleeper = Process::start("sleeper", &mut command, &directory.path().join("log"))?;
    sleeper.wait_for_line("inside", 0, LIMIT)?;
    drop(namespace);
    assert!(!path.exists());
    assert!(!sleeper.wait_end(LIMIT)?.success());
    Ok(())
}

/// Of one that was killed outright, and that nobody has waited for yet.
#[test]
fn what_a_killed_lab_has_left_is_removed() -> Result<()> {
    let mut owner = Command::new("sleep").arg("600").spawn()?;
    let name = format!("xdlab-{}-0-left", owner.id());
    process::output(Command::new("ip").args(["netns", "add", &name]))?;
    let path = std::path::Path::new("/run/netns").join(&name);
    let mut left = Command::new("nsenter");
    left.arg(format!("--net={}", path.display()));
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("log");
    let mut left = Process::start("left", left.args(["sleep", "600"]), &log)?;
    lab::remove_stale();
    assert!(path.exists(), "its owner lives");
    owner.kill()?;
    wait_until("its end", LIMIT, || {
        lab::remove_stale();
        Ok((!path.exists()).then_some(()))
    })?;
    assert!(!left.wait_end(LIMIT)?.success());
    owner.wait()?;
    Ok(())
}

#[test]
fn a_thread_enters_a_namespace_and_the_others_stay() -> Result<()> {
    let namespace = Namespace::new("enter")?;
    let here = fs::read_link("/proc/thread-self/ns/net")?;
    let there = namespace.enter(|| fs::read_link("/proc/thread-self/ns/net"))??;
    assert_ne!(here, there);
    assert_eq!(here, fs::read_link("/proc/thread-self/ns/net")?);
    Ok(())
}

#[test]
fn clients_reach_the_server_through_the_switch() -> Result<()> {
    let lab = Lab::new(2)?;
    let listener = lab.server.enter(|| TcpListener::bind((SERVER, 7)))??;
    for (number, client) in lab.clients.iter().enumerate() {
        client.ip(&format!("address add 10.77.9.{number}/16 dev eth0"))?;
        client.enter(|| TcpStream::connect_timeout(&listener.local_addr()?, LIMIT))??;
    }
    Ok(())
}

#[test]
fn frames_keep_their_tags() -> Result<()> {
    let (left, right) = (Namespace::new("left")?, Namespace::new("right")?);
    let _cable = Veth::new((&left, "eth0"), (&right, "eth0"))?;
    let (sender, receiver) = (
        RawSocket::open(&left, "eth0")?,
        RawSocket::open(&right, "eth0")?,
    );
    let plain = [&[0xff; 6][..], &left.mac("eth0")?, &[0x88, 0xb5], &[7; 64]].concat();
    for tags in [&[][..], &[(VLAN, 42)], &[(QINQ, 7), (VLAN, 42)]] {
        let frame = tagged(&plain, tags);
        sender.send(&frame)?;
        let received = receiver.receive_that(LIMIT, |frame| frame.ends_with(&[7; 64]))?;
        assert_eq!(received.as_deref(), Some(&frame[..]), "with tags {tags:?}");
    }
    Ok(())
}

#[test]
fn a_relay_passes_a_clients_discover_on() -> Result<()> {
    let (client, relay) = (Namespace::new("client")?, Namespace::new("relay")?);
    let server = Namespace::new("server")?;
    let _down = Veth::new((&client, "eth0"), (&relay, "down"))?;
    let _up = Veth::new((&server, "eth0"), (&relay, "up"))?;
    relay.ip("address add 10.78.0.1/24 dev down")?;
    relay.ip("address add 10.77.0.2/24 dev up")?;
    server.ip("address add 10.77.0.1/24 dev eth0")?;

    let directory = tempfile::tempdir()?;
    let log = directory.path().join("dhcrelay");
    let _relay = Relay::start(&relay, "down", "up", SERVER, &log)?;
    let listener = RawSocket::open(&server, "eth0")?;
    let _client = Client::start(Kind::Udhcpc, &client, directory.path())?;
    // Ethernet, IPv4 and UDP headers take 42 bytes, and giaddr is 24 into what follows.
    let relayed = |frame: &[u8]| frame.get(42 + 24..42 + 28) == Some(&[10, 78, 0, 1]);
    assert!(listener.receive_that(LIMIT, relayed)?.is_some());
    Ok(())
}

#[test]
fn a_lab_leaves_nothing_behind() -> Result<()> {
    let lab = Lab::new(1)?;
    let (bpffs, server) = (lab.bpffs().to_owned(), lab.server.name().to_owned());
    assert!(fs::read_to_string("/proc/mounts")?.contains(&*bpffs.to_string_lossy()));
    drop(lab);
    assert!(!bpffs.exists());
    assert!(!process::output(Command::new("ip").arg("netns"))?.contains(&server));
    Ok(())
}
