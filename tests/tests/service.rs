//! The daemon as a service: reload, stop, restart, check of a configuration.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::books::{self, SOON};
use common::message::{ACK, Message, OFFER};
use common::raw_client::{Lease, RawClient};
use common::site::{self, Site};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Binaries, RawSocket, process, wait_until};

const TIMES: &str = "lease_time: 1h";
const OLD_DOMAIN: &[u8] = b"lab.example";
const NEW_DOMAIN: &[u8] = b"new.example";

fn raw_client(site: &Site, number: u8) -> Result<RawClient> {
    RawClient::new(&site.lab.clients[0], INTERFACE, number)
}

/// The configuration with another domain name.
fn changed(site: &Site) -> String {
    site::yaml(&site.lab, "native", TIMES, "").replace("lab.example", "new.example")
}

/// How often the kernel and the daemon have answered a renewal.
fn answered(site: &Site) -> Result<(u64, u64)> {
    let daemon = books::replies(&site.daemon, "renew")?;
    Ok((books::hits(&site.daemon)?, daemon))
}

/// Renews; the answer has this domain name.
fn renew(client: &RawClient, lease: &Lease, domain: &[u8]) -> Result<()> {
    let ack = client.ask(&client.renewing(lease))?;
    ensure!(ack.kind() == Some(ACK), "{ack:?}");
    ensure!(ack.option(15) == Some(domain), "{ack:?}");
    Ok(())
}

#[test]
fn a_changed_option_reaches_renewals_after_xdhcpctl_reload() -> Result<()> {
    let reload = |site: &mut Site| {
        let answer = site.daemon.ctl_text(&["reload"])?;
        ensure!(answer.contains("domain-name"), "{answer}");
        Ok(())
    };
    changed_option(reload)
}

#[test]
fn a_changed_option_reaches_renewals_after_sighup() -> Result<()> {
    changed_option(|site| {
        let from = site.daemon.process().log().len();
        site.daemon.process().signal(libc::SIGHUP)?;
        let done = "configuration reloaded";
        site.daemon.process().wait_for_line(done, from, SOON)?;
        Ok(())
    })
}

/// The first renewal after the change goes to the daemon, the next is the kernel's again.
fn changed_option(reload: impl Fn(&mut Site) -> Result<()>) -> Result<()> {
    let mut site = Site::new(1, "native", TIMES, "")?;
    let client = raw_client(&site, 1)?;
    let lease = client.bind()?;
    renew(&client, &lease, OLD_DOMAIN)?;
    ensure!(answered(&site)? == (1, 0), "{:?}", answered(&site)?);
    site.daemon.configure(&changed(&site))?;
    renew(&client, &lease, OLD_DOMAIN)?;
    reload(&mut site)?;
    renew(&client, &lease, NEW_DOMAIN)?;
    ensure!(answered(&site)? == (2, 1), "{:?}", answered(&site)?);
    renew(&client, &lease, NEW_DOMAIN)?;
    ensure!(answered(&site)? == (3, 1), "{:?}", answered(&site)?);
    Ok(())
}

#[test]
fn a_reload_without_changes_takes_nothing_from_the_kernel() -> Result<()> {
    let site = Site::new(1, "native", TIMES, "")?;
    let client = raw_client(&site, 1)?;
    let lease = client.bind()?;
    let answer = site.daemon.ctl_text(&["reload"])?;
    ensure!(answer == "nothing changed\n", "{answer}");
    renew(&client, &lease, OLD_DOMAIN)?;
    ensure!(answered(&site)? == (1, 0), "{:?}", answered(&site)?);
    Ok(())
}

#[test]
fn a_broken_configuration_changes_nothing() -> Result<()> {
    let mut site = Site::new(1, "native", TIMES, "")?;
    let client = raw_client(&site, 1)?;
    let lease = client.bind()?;
    let broken = changed(&site).replace("pools:", "pool:");
    site.daemon.configure(&broken)?;
    let mut reload = site.daemon.ctl_command();
    let output = reload.arg("reload").output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1),
        "{}: {errors}",
        output.status
    );
    let line = line_of(&broken, "pool:");
    ensure!(
        errors.contains(&format!("dhcp.yaml:{line}")),
        "where? {errors}"
    );
    ensure!(errors.contains("pools"), "what to do? {errors}");

    let from = site.daemon.process().log().len();
    site.daemon.process().signal(libc::SIGHUP)?;
    let goes_on = "the old one goes on";
    site.daemon.process().wait_for_line(goes_on, from, SOON)?;
    let log = site.daemon.process().log();
    let mut told = log[from..].lines();
    ensure!(
        told.any(|event| event.contains(goes_on) && event.contains(&format!("dhcp.yaml:{line}"))),
        "not in one line: {}",
        &log[from..]
    );
    renew(&client, &lease, OLD_DOMAIN)?;
    ensure!(answered(&site)? == (1, 0), "{:?}", answered(&site)?);
    raw_client(&site, 2)?.bind()?;
    Ok(())
}

fn line_of(text: &str, needle: &str) -> usize {
    text.lines()
        .take_while(|line| !line.contains(needle))
        .count()
        + 1
}

#[test]
fn check_likes_a_good_file_and_names_every_error_in_a_bad_one() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("dhcp.yaml");
    let mut check = Command::new(Binaries::find()?.xdhcpd());
    check.args(["check", "--config"]).arg(&path);

    fs::write(
        &path,
        "subnets: [{subnet: 10.1.0.0/24, pools: [10.1.0.10-10.1.0.19]}]",
    )?;
    let answer = process::output(&mut check)?;
    let expected = "OK: 1 file, 1 subnet, 10 addresses in pools, 0 reservations\n";
    ensure!(answer == expected, "{answer}");

    fs::write(
        &path,
        "subnets:\n  - subnet: 10.1.0.0/24\n    pools: [10.2.0.1]\n    lease: 1h\n",
    )?;
    let output = check.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}", output.status);
    for place in ["dhcp.yaml:3", "dhcp.yaml:4", "10.2.0.1", "lease_time"] {
        ensure!(errors.contains(place), "{place} is not in {errors}");
    }
    Ok(())
}

/// What was received before the SIGTERM is answered, and what was answered is on disk.
#[test]
fn sigterm_drains() -> Result<()> {
    // So many that they are still on their way to disk, and no more than a socket's buffer takes.
    const CLIENTS: u8 = 30;
    let mut site = Site::new(1, "native", TIMES, "")?;
    let clients = (0..CLIENTS).map(|number| raw_client(&site, number));
    let clients = clients.collect::<Result<Vec<_>>>()?;
    let mut requests = Vec::new();
    for client in &clients {
        let offer = client.ask(&client.discover())?;
        ensure!(offer.kind() == Some(OFFER), "{offer:?}");
        requests.push(client.selecting(&offer));
    }
    let ear = RawSocket::open(&site.lab.clients[0], INTERFACE)?;
    for (client, request) in clients.iter().zip(&requests) {
        client.send(request)?;
    }
    let status = site.daemon.terminate()?;
    ensure!(status.success(), "{status}");
    ensure!(!site.daemon.directory().join("control.sock").exists());
    let acks = acks_in(&ear)?;

    site.daemon.restart()?;
    for address in &acks {
        let lease = books::lease(&site.daemon, &address.to_string())?;
        ensure!(lease["state"] == "bound", "{lease}");
    }
    let all: BTreeSet<_> = requests.iter().filter_map(wanted).collect();
    ensure!(
        acks == all,
        "{} of {} requests were answered",
        acks.len(),
        all.len()
    );
    Ok(())
}

fn wanted(request: &Message) -> Option<Ipv4Addr> {
    let address: [u8; 4] = request.option(50)?.try_into().ok()?;
    Some(address.into())
}

/// The addresses in the ACKs that have arrived.
fn acks_in(ear: &RawSocket) -> Result<BTreeSet<Ipv4Addr>> {
    let mut addresses = BTreeSet::new();
    while let Some(frame) = ear.receive(std::time::Duration::ZERO)? {
        let ack = Message::read(&frame).filter(|message| message.kind() == Some(ACK));
        addresses.extend(ack.map(|ack| ack.yiaddr));
    }
    Ok(addresses)
}

/// The kernel goes on while the daemon is away, and the daemon learns of it when it is back.
#[test]
fn renewals_are_answered_while_the_daemon_is_away() -> Result<()> {
    let mut site = Site::new(1, "native", TIMES, "")?;
    let client = raw_client(&site, 1)?;
    let lease = client.bind()?;
    site.daemon.terminate()?;
    renew(&client, &lease, OLD_DOMAIN)?;
    site.daemon.restart()?;
    renew(&client, &lease, OLD_DOMAIN)?;
    ensure!(books::replies(&site.daemon, "renew")? == 0);
    let lease = books::lease(&site.daemon, &lease.address.to_string())?;
    ensure!(lease["kernel_renewals"] == 2, "{lease}");
    Ok(())
}

#[test]
fn exported_leases_can_be_edited_and_imported() -> Result<()> {
    let site = Site::new(1, "native", TIMES, "")?;
    let (kept, dropped) = (raw_client(&site, 1)?.bind()?, raw_client(&site, 2)?.bind()?);
    let file = site.lab.directory("export")?.join("leases.yaml");
    let path = file.to_str().context("a path in UTF-8")?;
    site.daemon.ctl_text(&["leases", "export", path])?;
    let text = fs::read_to_string(&file)?;
    let mentions = |line: &&str, address: Ipv4Addr| line.contains(&format!("{address},"));
    ensure!(
        text.lines().any(|line| mentions(&line, kept.address)),
        "{text}"
    );
    let release = |line: &str| match mentions(&line, dropped.address) {
        true => line.replace("bound", "released"),
        false => line.to_owned(),
    };
    fs::write(
        &file,
        text.lines().map(release).collect::<Vec<_>>().join("\n"),
    )?;

    // Without a terminal nobody can be asked: it shows the plan, and fails for want of a yes.
    let mut command = site.daemon.ctl_command();
    let unasked = command.args(["leases", "import", path]).output()?;
    ensure!(!unasked.status.success(), "{unasked:?}");
    let plan = String::from_utf8(unasked.stdout)?;
    ensure!(plan.contains(&dropped.address.to_string()), "{plan}");
    ensure!(!plan.contains(&kept.address.to_string()), "{plan}");
    let state = |lease: &Lease| {
        let listed = site
            .daemon
            .ctl_text(&["leases", "list", "--state", "bound"])?;
        anyhow::Ok(listed.contains(&format!("{} ", lease.address)))
    };
    ensure!(state(&dropped)?, "changed before anybody agreed");
    site.daemon.ctl_text(&["leases", "import", "--yes", path])?;
    wait_until("the lease to go", SOON, || {
        Ok((!state(&dropped)?).then_some(()))
    })?;
    ensure!(state(&kept)?, "the other lease went too");
    // The kernel does not extend what has ended; the daemon gives a free address back.
    renew(&raw_client(&site, 2)?, &dropped, OLD_DOMAIN)?;
    ensure!(answered(&site)? == (0, 1), "{:?}", answered(&site)?);
    Ok(())
}
