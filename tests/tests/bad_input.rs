//! What users get wrong, and machines that lack something: the daemon says so, and serves if it can.

mod common;

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use anyhow::{Context, Result};
use common::faults::{LIMIT, config, fast_hits, mode, refused, refused_with, start, wrapped};
use common::fleet::Fleet;
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Daemon, Lab, Process, Veth, XdpPass, wait_until};

const POOL: &str = "10.77.1.0-10.77.1.255";
const NOBODY: [usize; 0] = [];

#[test]
fn who_has_port_67_is_named() -> Result<()> {
    let lab = new_lab()?;
    let _holder = lab.server.enter(|| UdpSocket::bind("0.0.0.0:67"))??;
    let (code, said) = refuse(&lab, &config(&lab, "native", POOL, "1h"))?;
    let us = fs::read_to_string("/proc/self/comm")?;
    assert_eq!(code, Some(1));
    assert!(said.contains("UDP port 67 is in use by"), "{said}");
    assert!(said.contains(us.trim()), "{us} is not named: {said}");
    let pid = std::process::id().to_string();
    assert!(said.contains(&pid), "{pid} is not named: {said}");
    Ok(())
}

#[test]
fn a_missing_interface_is_told_with_those_that_exist() -> Result<()> {
    let lab = new_lab()?;
    lab.server.ip("link add spare0 type bridge")?;
    let config = config(&lab, "native", POOL, "1h");
    let (code, said) = refuse(&lab, &format!("interfaces: [eth7]\n{config}"))?;
    assert_eq!(code, Some(1));
    for part in ["no interface eth7", INTERFACE, "spare0"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    Ok(())
}

#[test]
fn without_the_privilege_for_bpf_it_serves_in_userspace() -> Result<()> {
    let lab = new_lab()?;
    let script = "exec setpriv --bounding-set=-bpf,-sys_admin,-perfmon \"$XDHCPD\" \"$@\"";
    let binaries = wrapped(&lab.directory("wrapper")?, script)?;
    let directory = lab.directory("daemon")?;
    let config = config(&lab, "auto", POOL, "1h");
    let mut daemon = Daemon::start(&binaries, &lab.server, &directory, &config)?;
    assert!(daemon.process().log().contains("CAP_BPF"));
    let (mode, why) = mode(&daemon)?;
    assert_eq!(mode, "userspace");
    assert!(why.contains("CAP_BPF"), "{why}");
    serves(&lab, &daemon)
}

#[test]
fn with_the_fast_path_off_workers_answer_renewals() -> Result<()> {
    let lab = new_lab()?;
    let daemon = start(&lab, &config(&lab, "off", POOL, "1h"))?;
    let (mode, why) = mode(&daemon)?;
    assert_eq!((&*mode, &*why), ("userspace", "fast_path.mode is off"));
    assert!(xdp(&lab)?.is_none(), "nothing is attached");
    serves(&lab, &daemon)
}

#[test]
fn an_interface_with_somebody_elses_program_is_served_in_userspace() -> Result<()> {
    let lab = new_lab()?;
    let _theirs = XdpPass::attach(&lab.server, INTERFACE)?;
    let program = xdp(&lab)?.context("their program")?;
    let mut daemon = start(&lab, &config(&lab, "auto", POOL, "1h"))?;
    let (mode, why) = mode(&daemon)?;
    assert_eq!(mode, "userspace");
    assert!(why.contains("another XDP program"), "{why}");
    assert!(daemon.process().log().contains(&why));
    serves(&lab, &daemon)?;
    drop(daemon);
    assert_eq!(xdp(&lab)?, Some(program), "theirs is still there");
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_read_is_an_error() -> Result<()> {
    let lab = new_lab()?;
    let directory = lab.directory("daemon")?;
    let missing = directory.join("nothing.yaml");
    let binary = directory.join("binary.yaml");
    fs::write(&binary, [0xff, 0xfe, 0x00, 0x80])?;
    for path in [&missing, &binary, &directory] {
        let (status, said) = refused_with(&lab.server, &directory, path)?;
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&*path.to_string_lossy()), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    Ok(())
}

/// The daemon is a user without rights on the file; root could read it.
#[test]
fn a_configuration_without_permission_is_an_error() -> Result<()> {
    let lab = new_lab()?;
    let directory = lab.directory("daemon")?;
    let path = directory.join("secret.yaml");
    fs::write(&path, config(&lab, "auto", POOL, "1h"))?;
    let script = "chmod 0 \"$2\"\nexec setpriv --bounding-set=-dac_override,-dac_read_search \
                  --reuid=65534 --clear-groups \"$XDHCPD\" \"$@\"";
    let binaries = wrapped(&lab.directory("wrapper")?, script)?;
    let mut command = lab.server.command(binaries.xdhcpd());
    command.arg("--config").arg(&path);
    let log = directory.join("log");
    let mut process = Process::start("xdhcpd", &mut command, &log)?;
    let code = process.wait_end(LIMIT)?.code();
    let said = process.log();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
    assert!(said.contains(&*path.to_string_lossy()), "{said}");
    Ok(())
}

#[test]
fn all_errors_of_a_configuration_are_told_at_once() -> Result<()> {
    let lab = new_lab()?;
    let wrong = config(&lab, "auto", "10.78.1.0-10.78.1.9", "soon") + "colour: blue\n";
    let (code, said) = refuse(&lab, &wrong)?;
    assert_eq!(code, Some(1));
    for part in ["10.78.1.0", "soon", "colour", "dhcp.yaml"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    Ok(())
}

#[test]
fn an_interface_goes_down_and_comes_up() -> Result<()> {
    changes(|lab, daemon| {
        lab.server.ip("link set eth0 down")?;
        wait_log(daemon, "interface closed")?;
        lab.server.ip("link set eth0 up")?;
        Ok(())
    })
}

#[test]
fn an_interface_is_renamed() -> Result<()> {
    changes(|lab, daemon| {
        lab.server.ip("link set eth0 down")?;
        lab.server.ip("link set eth0 name lan0")?;
        lab.server.ip("link set lan0 up")?;
        wait_status(daemon, |interface| interface["name"] == "lan0")
    })
}

#[test]
fn an_interface_is_deleted_and_made_again() -> Result<()> {
    let mut cable = None;
    let mut pass = None;
    changes(|lab, daemon| {
        lab.server.ip("link delete eth0")?;
        wait_log(daemon, "interface closed")?;
        cable = Some(Veth::new(
            (&lab.server, INTERFACE),
            (&lab.switch, "server"),
        )?);
        pass = Some(XdpPass::attach(&lab.switch, "server")?);
        lab.switch.ip("link set server master br0")?;
        lab.server.ip("address add 10.77.0.1/16 dev eth0")?;
        Ok(())
    })
}

#[test]
fn an_interface_gets_another_address_and_its_own_back() -> Result<()> {
    changes(|lab, daemon| {
        lab.server.ip("address flush dev eth0")?;
        wait_log(daemon, "interface closed")?;
        lab.server.ip("address add 10.77.0.9/16 dev eth0")?;
        wait_status(daemon, |interface| has_address(interface, "10.77.0.9/16"))?;
        lab.server.ip("address add 10.77.0.1/16 dev eth0")?;
        lab.server.ip("address delete 10.77.0.9/16 dev eth0")?;
        lab.server.ip("address replace 10.77.0.1/16 dev eth0")?;
        Ok(())
    })
}

/// Clients have leases, something happens to the interface, and after that they renew, in the
/// kernel again, and others get leases.
fn changes(change: impl FnOnce(&Lab, &mut Daemon) -> Result<()>) -> Result<()> {
    let lab = new_lab()?;
    let mut daemon = start(&lab, &config(&lab, "native", POOL, "1h"))?;
    let mut fleet = Fleet::new(&lab, 0..20)?;
    fleet.bind()?;
    assert_eq!(fleet.renew_once()?, NOBODY);
    change(&lab, &mut daemon)?;
    wait_status(&daemon, |interface| {
        interface["mode"] == "native" && has_address(interface, "10.77.0.1/16")
    })?;
    // One to teach the kernel what it may have forgotten, one for the kernel.
    let status = daemon.ctl(&["status"])?;
    let name = status["interfaces"][0]["name"].as_str().context("a name")?;
    let mut fleet = fleet.follow(&lab, name)?;
    assert_eq!(fleet.renew_once()?, NOBODY);
    let hits = fast_hits(&daemon)?;
    assert_eq!(fleet.renew_once()?, NOBODY);
    assert_eq!(fast_hits(&daemon)?, hits + 20);
    Fleet::at(&lab, name, 100..120)?.bind()
}

fn has_address(interface: &serde_json::Value, address: &str) -> bool {
    interface["addresses"] == serde_json::json!([address])
}

fn wait_status(daemon: &Daemon, is_so: impl Fn(&serde_json::Value) -> bool) -> Result<()> {
    wait_until("the daemon to see the interface", LIMIT, || {
        let status = daemon.ctl(&["status"])?;
        Ok(is_so(&status["interfaces"][0]).then_some(()))
    })
}

fn wait_log(daemon: &mut Daemon, line: &str) -> Result<()> {
    daemon.process().wait_for_line(line, 0, LIMIT).map(drop)
}

/// Clients get leases and renew them, and what answers the renewals is the fast path.
fn serves(lab: &Lab, daemon: &Daemon) -> Result<()> {
    let mut fleet = Fleet::new(lab, 0..20)?;
    fleet.bind()?;
    assert_eq!(fleet.renew_once()?, NOBODY);
    assert_eq!(fleet.renew_once()?, NOBODY);
    assert_eq!(fast_hits(daemon)?, 40);
    Ok(())
}

/// The number of the XDP program on the server's interface.
fn xdp(lab: &Lab) -> Result<Option<String>> {
    let shown = lab.server.ip("link show dev eth0")?;
    let number = shown.split_once("prog/xdp id ").map(|(_, rest)| rest);
    Ok(number.and_then(|rest| Some(rest.split_whitespace().next()?.to_owned())))
}

fn refuse(lab: &Lab, config: &str) -> Result<(Option<i32>, String)> {
    let directory: &Path = &lab.directory("daemon")?;
    let (status, said) = refused(&lab.server, directory, config)?;
    Ok((status.code(), said))
}

fn new_lab() -> Result<Lab> {
    common::root();
    Lab::new(1)
}
