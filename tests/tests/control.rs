//! What operators look at: events, metrics, trace, why, explain, guard, detach.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::books::{self, SOON, mac_text};
use common::message::{ACK, RELEASE};
use common::raw_client::{Lease, RawClient};
use common::site::Site;
use serde_json::Value;
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Process, wait_until};

const TIMES: &str = "lease_time: 1h";

fn raw_client(site: &Site, number: u8) -> Result<RawClient> {
    RawClient::new(&site.lab.clients[0], INTERFACE, number)
}

fn renew(client: &RawClient, lease: &Lease) -> Result<()> {
    let ack = client.ask(&client.renewing(lease))?;
    ensure!(ack.kind() == Some(ACK), "{ack:?}");
    Ok(())
}

/// Renews with options that the client has not sent before: the kernel leaves it to the daemon.
fn renew_otherwise(client: &RawClient, lease: &Lease, class: &[u8]) -> Result<()> {
    let ack = client.ask(&client.renewing(lease).with(60, class))?;
    ensure!(ack.kind() == Some(ACK), "{ack:?}");
    Ok(())
}

fn release(site: &Site, client: &RawClient, lease: &Lease) -> Result<()> {
    let mut message = client.renewing(lease);
    message.options = vec![(53, vec![RELEASE]), (54, lease.server.octets().to_vec())];
    client.send(&message)?;
    books::wait_state(&site.daemon, &lease.address.to_string(), "released")?;
    Ok(())
}

#[test]
fn events_tell_a_clients_life() -> Result<()> {
    let site = Site::new(1, "native", TIMES, "")?;
    let log = site.lab.directory("events")?.join("log");
    let mut command = site.daemon.ctl_command();
    let mut events = Process::start("events", command.args(["events", "--json"]), &log)?;
    // It listens once something is heard.
    let prober = raw_client(&site, 9)?;
    wait_until("events to come", SOON, || {
        prober.ask(&prober.discover())?;
        Ok(events.log().contains("offer").then_some(()))
    })?;

    let client = raw_client(&site, 1)?;
    let lease = client.bind()?;
    renew(&client, &lease)?;
    let kinds_of = |events: &Process| kinds(&events.log(), &lease, &mac_text(client.mac));
    events.wait_for("the kernel's renewal", SOON, |events| {
        Ok(kinds_of(events)?
            .contains(&"kernel-renew".to_owned())
            .then_some(()))
    })?;
    renew_otherwise(&client, &lease, b"another")?;
    release(&site, &client, &lease)?;
    let expected = ["offer", "bind", "kernel-renew", "renew", "release"];
    events.wait_for("all of its life", SOON, |events| {
        Ok((kinds_of(events)? == expected).then_some(()))
    })
}

/// The kinds of the events of this client and address, in order.
fn kinds(log: &str, lease: &Lease, mac: &str) -> Result<Vec<String>> {
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let mut kinds = Vec::new();
    for line in whole.lines() {
        let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if event["mac"] == mac {
            ensure!(event["address"] == lease.address.to_string(), "{event}");
            ensure!(event["interface"] == INTERFACE, "{event}");
            kinds.push(event["kind"].as_str().context("no kind")?.to_owned());
        }
    }
    Ok(kinds)
}

#[test]
fn metrics_and_status_have_the_same_numbers() -> Result<()> {
    let mut site = Site::new(1, "native", TIMES, "")?;
    let metrics = "control.sock, metrics: '127.0.0.1:9547'}";
    let yaml = common::site::yaml(&site.lab, "native", TIMES, "").replace("control.sock}", metrics);
    site.daemon.configure(&yaml)?;
    site.daemon.restart()?;

    let client = raw_client(&site, 1)?;
    let lease = client.bind()?;
    renew(&client, &lease)?;
    renew_otherwise(&client, &lease, b"another")?;
    renew_otherwise(&client, &lease, b"another")?;
    release(&site, &client, &raw_client(&site, 1)?.bind()?)?;
    let text = scrape(&site)?;
    let status = site.daemon.ctl(&["status"])?;
    for (metric, value) in [
        ("replies_total{kind=\"offer\"}", &status["replies"]["offer"]),
        ("replies_total{kind=\"bind\"}", &status["replies"]["bind"]),
        ("replies_total{kind=\"renew\"}", &status["replies"]["renew"]),
        (
            "lease_events_total{kind=\"release\"}",
            &status["replies"]["release"],
        ),
        ("packets_sent_total", &status["packets"]["sent"]),
        ("packets_received_total", &status["packets"]["received"]),
        ("journal_records_total", &status["journal"]["records"]),
        ("templates", &status["templates"]),
        (
            "pool_addresses{subnet=\"10.77.0.0/16\"}",
            &status["pools"][0]["size"],
        ),
        (
            "pool_addresses_used{subnet=\"10.77.0.0/16\"}",
            &status["pools"][0]["used"],
        ),
    ] {
        ensure!(value.is_u64(), "{metric}: {value} in {status:#}");
        let line = format!("xdhcpd_{metric} {value}");
        ensure!(text.lines().any(|has| has == line), "no {line} in {text}");
    }
    let misses = books::reason(&site.daemon, "memo-miss")?;
    let (hits, boots) = (
        books::hits(&site.daemon)?,
        books::reason(&site.daemon, "boot")?,
    );
    // Of the first boot both, and the RELEASE: the kernel does not know it from a renewal with other options.
    // The second boot is the kernel's.
    ensure!(
        (misses, hits, boots) == (4, 2, 2),
        "{misses} {hits} {boots} {status:#}"
    );
    ensure!(status["kernel_hits"] == hits + boots, "{status:#}");
    ensure!(text.contains(&format!(
        "xdhcpd_fastpath_total{{reason=\"memo-miss\"}} {misses}\n"
    )));
    Ok(())
}

fn scrape(site: &Site) -> Result<String> {
    let ask = || {
        let mut stream = TcpStream::connect("127.0.0.1:9547")?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        anyhow::Ok(answer)
    };
    let answer = site.lab.server.enter(ask)??;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(answer)
}

#[test]
fn trace_logs_one_client_alone() -> Result<()> {
    let mut site = Site::new(1, "native", TIMES, "")?;
    let (watched, other) = (raw_client(&site, 1)?, raw_client(&site, 2)?);
    let (lease, others) = (watched.bind()?, other.bind()?);
    let mac = mac_text(watched.mac);
    let from = site.daemon.process().log().len();
    site.daemon.ctl(&["fastpath", "trace", &mac])?;
    renew(&other, &others)?;
    renew(&watched, &lease)?;
    let line = |what: &str| format!("kernel: {what}");
    let hit = line("Answered");
    let hit = site.daemon.process().wait_for_line(&hit, from, SOON)?;
    ensure!(hit.contains(&mac), "{hit}");
    renew_otherwise(&watched, &lease, b"another")?;
    let miss = line("The option bytes");
    let miss = site.daemon.process().wait_for_line(&miss, from, SOON)?;
    ensure!(miss.contains(&mac), "{miss}");

    site.daemon.ctl(&["fastpath", "trace", "off"])?;
    renew(&watched, &lease)?;
    let log = site.daemon.process().log();
    let traced: Vec<_> = log[from..]
        .lines()
        .filter(|line| line.contains("kernel: "))
        .collect();
    ensure!(traced.len() == 2, "{traced:?}");
    Ok(())
}

#[test]
fn why_tells_hits_from_misses() -> Result<()> {
    let site = Site::new(1, "native", TIMES, "")?;
    let client = raw_client(&site, 1)?;
    let mac = mac_text(client.mac);
    let why = || site.daemon.ctl_text(&["fastpath", "why", &mac]);
    let unknown = why().err().context("a client that was never here")?;
    ensure!(
        format!("{unknown:#}").contains("no lease of"),
        "{unknown:#}"
    );

    let lease = client.bind()?;
    let hit = why()?;
    ensure!(
        hit.contains("answered by the kernel (native XDP on eth0), 0 times"),
        "{hit}"
    );
    renew(&client, &lease)?;
    let hit = why()?;
    ensure!(
        hit.contains("answered by the kernel (native XDP on eth0), 1 times"),
        "{hit}"
    );
    // To ask is not to answer.
    ensure!(books::hits(&site.daemon)? == 1);

    release(&site, &client, &lease)?;
    let miss = why()?;
    ensure!(
        miss.contains("(released)") && !miss.contains("relay"),
        "{miss}"
    );
    Ok(())
}

/// Before it has ever come, and after.
#[test]
fn explain_tells_what_a_client_gets() -> Result<()> {
    let site = Site::new(1, "native", TIMES, "    boot: {file: a.efi}\n")?;
    let client = raw_client(&site, 1)?;
    let mac = mac_text(client.mac);
    let ask = || site.daemon.ctl(&["explain", "--mac", &mac]);
    let before = ask()?;
    ensure!(before[0]["subnet"] == "10.77.0.0/16" && before[0]["address"].is_null());
    ensure!(before[0]["boot_file"] == "a.efi" && before[0]["lease_secs"] == 3600);
    let lease = client.bind()?;
    ensure!(
        ask()?[0]["address"] == lease.address.to_string(),
        "{}",
        ask()?
    );
    let text = site.daemon.ctl_text(&["explain", "--mac", &mac])?;
    ensure!(text.contains("boot file    a.efi"), "{text}");
    Ok(())
}

#[test]
fn the_guard_blocks_a_client_until_it_is_cleared() -> Result<()> {
    let site = Site::new(1, "native", TIMES, "")?;
    let (stuck, other) = (raw_client(&site, 1)?, raw_client(&site, 2)?);
    let mac = mac_text(stuck.mac);
    for _ in 0..20 {
        stuck.send(&stuck.discover())?;
    }
    // One that is cleared while it is still far ahead of its time is blocked again.
    let blocked = wait_until("the guard to block it for a while", SOON, || {
        let list = site.daemon.ctl(&["guard", "list"])?;
        let found = list["blocked"].get(0).cloned();
        Ok(found.filter(|row| row["for_secs"].as_u64() >= Some(2)))
    })?;
    ensure!(
        blocked["mac"] == mac && blocked["place"] == INTERFACE,
        "{blocked}"
    );
    ensure!(blocked["cause"] == "misbehaving", "{blocked}");
    let left = blocked["left_secs"].as_u64();
    ensure!(left > Some(0) && left < Some(150), "{blocked}");
    let text = site.daemon.ctl_text(&["guard", "list"])?;
    ensure!(
        text.contains("1 client blocked") && text.contains(&mac),
        "{text}"
    );
    // The others are heard meanwhile.
    let offer = other.ask_in_vain(&stuck.discover(), &other.discover())?;
    ensure!(offer.chaddr == other.mac, "{offer:?}");

    let nobody = site
        .daemon
        .ctl_text(&["guard", "clear", "--mac", &mac_text(other.mac)])?;
    ensure!(nobody == "nobody was blocked\n", "{nobody}");
    let cleared = site.daemon.ctl_text(&["guard", "clear", "--mac", &mac])?;
    ensure!(cleared == "1 block ended\n", "{cleared}");
    stuck.bind()?;
    let text = site.daemon.ctl_text(&["guard", "list"])?;
    ensure!(text.contains("nobody is blocked"), "{text}");
    Ok(())
}

/// Nothing of ours is left in the kernel, and the daemon goes on alone.
#[test]
fn detach_leaves_nothing_in_the_kernel() -> Result<()> {
    let site = Site::new(1, "native", TIMES, "")?;
    let client = raw_client(&site, 1)?;
    let lease = client.bind()?;
    ensure!(in_kernel(&site)? == (true, true));
    let answer = site.daemon.ctl_text(&["fastpath", "detach"])?;
    ensure!(
        answer.contains("the kernel answers nothing any more"),
        "{answer}"
    );
    ensure!(in_kernel(&site)? == (false, false));
    books::expect_mode(&site.daemon, INTERFACE, "userspace")?;
    renew(&client, &lease)
}

#[test]
fn detach_finds_the_daemon_by_its_configuration() -> Result<()> {
    let site = Site::new(1, "native", TIMES, "")?;
    let config = site.daemon.directory().join("dhcp.yaml");
    let detach = |config: &Path| {
        let mut detach = Command::new(xdhcpd_tests::Binaries::find()?.xdhcpctl());
        detach.args(["--socket", "/nowhere", "fastpath", "detach", "--config"]);
        Ok::<_, anyhow::Error>(detach.arg(config).output()?)
    };
    let other = config.with_file_name("other.yaml");
    let socket = site.daemon.directory().join("control.sock");
    let text = fs::read_to_string(&config)?;
    fs::write(
        &other,
        text.replace(&*socket.to_string_lossy(), "/nowhere/else"),
    )?;
    let refused = detach(&other)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(said.contains("give its socket by --socket"), "{said}");
    ensure!(!refused.status.success() && in_kernel(&site)? == (true, true));

    let done = detach(&config)?;
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(
        said.contains("the kernel answers nothing any more"),
        "{said}"
    );
    ensure!(in_kernel(&site)? == (false, false));
    Ok(())
}

#[test]
fn detach_cleans_up_behind_a_daemon_that_is_gone() -> Result<()> {
    let mut site = Site::new(1, "native", TIMES, "")?;
    site.daemon.terminate()?;
    ensure!(in_kernel(&site)? == (true, true));
    let config = site.daemon.directory().join("dhcp.yaml");
    let mut detach = site.daemon.ctl_command();
    detach.args(["fastpath", "detach", "--config"]).arg(config);
    let answer = xdhcpd_tests::process::output(&mut detach)?;
    ensure!(answer.contains("xdhcpd is not running"), "{answer}");
    wait_until("the program to go", SOON, || {
        Ok((in_kernel(&site)? == (false, false)).then_some(()))
    })
}

/// Whether a program is on the server's interface, and whether something is pinned.
fn in_kernel(site: &Site) -> Result<(bool, bool)> {
    let link = site
        .lab
        .server
        .ip(&format!("-d link show dev {INTERFACE}"))?;
    Ok((
        link.contains("prog/xdp"),
        has_files(&site.lab.bpffs().join("xdhcpd"))?,
    ))
}

fn has_files(directory: &Path) -> Result<bool> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || has_files(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}
