//! Without root: what the daemon may, at start and from then on, and whether that is enough.

mod common;
#[path = "privileges/prepared.rs"]
mod prepared;
#[path = "privileges/sandbox.rs"]
mod sandbox;
#[path = "privileges/status.rs"]
mod status;
#[path = "privileges/undone.rs"]
mod undone;
#[path = "privileges/unit.rs"]
mod unit;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::books;
use common::message::ACK;
use common::raw_client::{Lease, RawClient};
use status::Status;
use unit::Unit;
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::ledger::Asker;
use xdhcpd_tests::{Binaries, Bridge, Daemon, Lab, Veth, XdpPass, process};

/// A user that every machine has, and that owns nothing.
const USER: &str = "daemon";
/// What is kept: NET_BIND_SERVICE and NET_RAW.
const SERVING: u64 = 1 << 10 | 1 << 13;

const SECOND: &str = "eth1";
const SECOND_SERVER: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

/// Who asks in [`query`].
const QUERIES: &str = "leasequery: {allowed: [10.77.0.9, 127.0.0.1], bulk: true}\n";

struct Site {
    lab: Lab,
    directory: PathBuf,
    uid: u32,
}

impl Site {
    /// Two clients. The bpffs is closed to all but root, as systemd mounts it.
    fn new() -> Result<Self> {
        common::root();
        let lab = Lab::new(2)?;
        let directory = lab.directory("xdhcpd")?;
        let above = directory.parent().context("the lab's directory")?;
        fs::set_permissions(above, fs::Permissions::from_mode(0o711))?;
        fs::set_permissions(lab.bpffs(), fs::Permissions::from_mode(0o700))?;
        let id = process::output(Command::new("id").args(["-u", USER]))?;
        let uid = id.trim().parse()?;
        // As systemd makes a runtime directory: the control socket is in it.
        chown(&directory, Some(uid), Some(uid))?;
        Ok(Self {
            lab,
            directory,
            uid,
        })
    }

    /// `server` and `subnets` are more of these keys.
    fn yaml(&self, server: &str, subnets: &str) -> String {
        let pins = self.lab.bpffs().join("xdhcpd");
        format!(
            "\
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock{server}}}
fast_path: {{mode: native, pin_dir: {}}}
defaults: {{lease_time: 1h}}
subnets:
  - {{subnet: 10.77.0.0/16, pools: [10.77.1.0-10.77.1.99]}}
{subnets}",
            pins.display()
        )
    }

    fn start(&self, yaml: &str, under: Vec<String>) -> Result<Daemon> {
        let binaries = self.binaries()?;
        Daemon::start_under(&binaries, &self.lab.server, &self.directory, yaml, under)
    }

    /// Where another user can run them.
    fn binaries(&self) -> Result<Binaries> {
        let (found, here) = (Binaries::find()?, self.lab.directory("bin")?);
        for program in [found.xdhcpd(), found.xdhcpctl()] {
            let copy = here.join(program.file_name().context("a name")?);
            if !copy.exists() {
                fs::copy(&program, &copy)?;
            }
        }
        Binaries::in_directory(&here)
    }

    /// What the systemd unit does before each start.
    fn prepare(&self, yaml: &str) -> Result<()> {
        let path = self.directory.join("dhcp.yaml");
        fs::write(
            &path,
            yaml.replace("@DIR@", &self.directory.to_string_lossy()),
        )?;
        let mut command = self.lab.server.command(self.binaries()?.xdhcpd());
        command.args(["hand-over", "--user", USER, "--config"]);
        process::output(command.arg(path)).map(drop)
    }

    fn client(&self, number: u8) -> Result<RawClient> {
        let namespace = &self.lab.clients[usize::from(number)];
        RawClient::new(namespace, INTERFACE, number)
    }
}

/// Renews; the kernel answers it.
fn renew_in_kernel(daemon: &Daemon, client: &RawClient, lease: &Lease) -> Result<()> {
    let before = books::hits(daemon)?;
    renew(client, lease)?;
    let hits = books::hits(daemon)?;
    ensure!(hits == before + 1, "{hits} hits after {before}");
    Ok(())
}

fn renew(client: &RawClient, lease: &Lease) -> Result<()> {
    let ack = client.ask(&client.renewing(lease))?;
    ensure!(
        ack.kind() == Some(ACK) && ack.yiaddr == lease.address,
        "{ack:?}"
    );
    Ok(())
}

/// An interface appears, a reload has it served, and the kernel answers there too.
fn another_interface(site: &Site, daemon: &Daemon, server: &str) -> Result<()> {
    let lab = &site.lab;
    let bridge = Bridge::new(&lab.switch, "br1")?;
    let _cable = Veth::new((&lab.server, SECOND), (&lab.switch, "second"))?;
    bridge.add("second")?;
    bridge.add("client1")?;
    let _pass = XdpPass::attach(&lab.switch, "second")?;
    lab.server
        .ip(&format!("address add {SECOND_SERVER}/16 dev {SECOND}"))?;
    let more = "  - {subnet: 10.88.0.0/16, pools: [10.88.1.0-10.88.1.99]}\n";
    daemon.configure(&site.yaml(server, more))?;
    daemon.ctl_text(&["reload"])?;
    books::expect_mode(daemon, SECOND, "native")?;
    let client = site.client(1)?;
    let lease = client.bind()?;
    ensure!(lease.server == SECOND_SERVER, "{lease:?}");
    renew_in_kernel(daemon, &client, &lease)
}

/// Every thread has these rights and no others.
fn expect_rights(site: &Site, daemon: &mut Daemon, bounding: u64) -> Result<()> {
    let threads = Status::of_threads(daemon.process().id())?;
    ensure!(threads.len() > 3, "{} threads", threads.len());
    for thread in threads {
        let wanted = Status {
            users: [site.uid; 4],
            groups: String::new(),
            inheritable: 0,
            permitted: SERVING,
            effective: SERVING,
            bounding,
            ambient: 0,
            no_new_privileges: true,
        };
        ensure!(thread == wanted, "{thread:x?} and not {wanted:x?}");
    }
    Ok(())
}

/// All in a directory belongs to a user, and nobody else can read it.
fn expect_owner(path: &Path, uid: u32) -> Result<()> {
    let about = fs::symlink_metadata(path)?;
    ensure!(
        about.uid() == uid,
        "{} is of {}",
        path.display(),
        about.uid()
    );
    ensure!(
        about.mode() & 0o007 == 0 || about.is_dir(),
        "{}: {:o}",
        path.display(),
        about.mode()
    );
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            expect_owner(&entry?.path(), uid)?;
        }
    }
    Ok(())
}

/// An earlier version ran as root; from then on `server.user` is set.
#[test]
fn root_becomes_a_user_and_hands_over_what_it_has() -> Result<()> {
    let site = Site::new()?;
    let mut daemon = site.start(&site.yaml("", ""), Vec::new())?;
    let client = site.client(0)?;
    let lease = client.bind()?;
    renew_in_kernel(&daemon, &client, &lease)?;
    daemon.terminate()?;

    let user = format!(", user: {USER}");
    daemon.configure(&site.yaml(&user, ""))?;
    daemon.restart()?;
    expect_rights(&site, &mut daemon, 0)?;
    expect_owner(&site.directory.join("state"), site.uid)?;
    expect_owner(&site.lab.bpffs().join("xdhcpd"), site.uid)?;
    renew_in_kernel(&daemon, &client, &lease)?;
    let log = daemon.process().log();
    ensure!(
        !log.contains("a receive buffer of"),
        "its first sockets are root's: {log}"
    );
    another_interface(&site, &daemon, &user)?;

    daemon.terminate()?;
    renew(&client, &lease)?;
    daemon.restart()?;
    renew_in_kernel(&daemon, &client, &lease)?;
    let lease = books::lease(&daemon, &lease.address.to_string())?;
    ensure!(
        lease["kernel_renewals"] == 4,
        "the table was adopted twice: {lease}"
    );
    expect_rights(&site, &mut daemon, 0)
}

/// It is no other user, so that it goes on to have its files; what else root may is given up.
#[test]
fn root_that_stays_root_gives_up_what_it_does_not_need() -> Result<()> {
    let site = Site::new()?;
    let mut daemon = site.start(&site.yaml("", ""), Vec::new())?;
    // DAC_OVERRIDE and NET_ADMIN.
    let kept = SERVING | 1 << 1 | 1 << 12;
    for thread in Status::of_threads(daemon.process().id())? {
        let held = [thread.permitted, thread.effective];
        ensure!(held == [kept; 2] && thread.bounding == 0, "{thread:x?}");
        ensure!(thread.no_new_privileges, "{thread:x?}");
    }
    Ok(())
}

#[test]
fn the_control_socket_is_for_the_daemons_group() -> Result<()> {
    let site = Site::new()?;
    let daemon = site.start(&site.yaml(&format!(", user: {USER}"), ""), Vec::new())?;
    let ask = |group: &str| {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=nobody",
            "--clear-groups",
            &format!("--regid={group}"),
        ]);
        command.arg(site.binaries()?.xdhcpctl()).arg("--socket");
        command.arg(daemon.directory().join("control.sock"));
        process::output(command.arg("status"))
    };
    let error = format!("{:#}", ask("nogroup").unwrap_err());
    ensure!(error.contains("be root, or in the group"), "{error}");
    ask(USER).map(drop)
}

/// Whoever owned the state directory may have prepared it for root.
#[test]
fn handing_over_gives_nothing_away() -> Result<()> {
    let site = Site::new()?;
    let state = site.directory.join("state");
    fs::create_dir_all(state.join("journal"))?;
    fs::write(state.join("journal/lock"), "")?;
    let (linked, pointed_at) = (
        site.directory.join("linked"),
        site.directory.join("pointed-at"),
    );
    fs::write(&linked, "")?;
    fs::create_dir(&pointed_at)?;
    fs::write(pointed_at.join("file"), "")?;
    fs::hard_link(&linked, state.join("one"))?;
    std::os::unix::fs::symlink(&linked, state.join("two"))?;
    std::os::unix::fs::symlink(&pointed_at, state.join("three"))?;
    site.prepare(&site.yaml("", ""))?;
    let owner = |path: &Path| anyhow::Ok(fs::metadata(path)?.uid());
    for outside in [linked, pointed_at.join("file"), pointed_at] {
        ensure!(
            owner(&outside)? == 0,
            "{} was given away",
            outside.display()
        );
    }
    for inside in [
        state.join("journal/lock"),
        state.join("journal"),
        state.clone(),
    ] {
        ensure!(owner(&inside)? == site.uid, "{}", inside.display());
    }

    chown(&state, Some(site.uid + 1), None)?;
    let error = format!("{:#}", site.prepare(&site.yaml("", "")).unwrap_err());
    ensure!(error.contains(&format!("chown -R {USER}")), "{error}");
    Ok(())
}

/// As the unit starts it.
#[test]
fn what_the_unit_gives_is_enough() -> Result<()> {
    let site = Site::new()?;
    let mut daemon = as_unit(&site, &Unit::read()?.capabilities("AmbientCapabilities")?)?;
    let client = site.client(0)?;
    let lease = client.bind()?;
    renew_in_kernel(&daemon, &client, &lease)?;
    let bounding = status::bits(&Unit::read()?.capabilities("CapabilityBoundingSet")?)?;
    expect_rights(&site, &mut daemon, bounding)?;
    another_interface(&site, &daemon, "")?;
    daemon.restart()?;
    renew_in_kernel(&daemon, &client, &lease)?;
    expect_rights(&site, &mut daemon, bounding)
}

/// Starts it with these capabilities, as the user.
fn as_unit(site: &Site, capabilities: &[String]) -> Result<Daemon> {
    let yaml = site.yaml("", "");
    site.prepare(&yaml)?;
    site.start(&yaml, unit::setpriv(USER, capabilities))
}

#[test]
fn one_capability_too_few_is_named() -> Result<()> {
    let all = Unit::read()?.capabilities("AmbientCapabilities")?;
    for missing in &all {
        let site = Site::new()?;
        let others: Vec<String> = all
            .iter()
            .filter(|name| *name != missing)
            .cloned()
            .collect();
        match as_unit(&site, &others) {
            Ok(mut daemon) => {
                let log = daemon.process().log();
                let wanted = format!("the fast path is off: xdhcpd lacks {missing};");
                ensure!(log.contains(&wanted), "no {missing}: {log}");
                site.client(0)?.bind().map(drop)?;
            }
            Err(error) => {
                let error = format!("{error:#}");
                let needed = ["CAP_NET_RAW", "CAP_NET_BIND_SERVICE"].contains(&missing.as_str());
                ensure!(needed && error.contains(missing), "no {missing}: {error}");
                ensure!(error.contains("systemd unit"), "what to do? {error}");
            }
        }
    }
    Ok(())
}

/// What root left unreadable would fail at the first reload; better at once.
#[test]
fn a_configuration_that_the_user_cannot_read_is_refused_at_start() -> Result<()> {
    let site = Site::new()?;
    let user = format!(", user: {USER}");
    let more = site.directory.join("more.yaml");
    fs::write(&more, "subnets: []\n")?;
    fs::set_permissions(&more, fs::Permissions::from_mode(0o600))?;
    let yaml = site.yaml(&user, "include: [more.yaml]\n");
    let Err(error) = site.start(&yaml, Vec::new()) else {
        anyhow::bail!("it started");
    };
    let error = format!("{error:#}");
    ensure!(
        error.contains("more.yaml") && error.contains("chmod 640"),
        "{error}"
    );
    Ok(())
}

/// The same, where files may appear.
#[test]
fn a_directory_that_the_user_cannot_list_is_refused_at_start() -> Result<()> {
    let site = Site::new()?;
    let user = format!(", user: {USER}");
    let mut last = None;
    for (pattern, closed) in [
        ("hosts.d/*.yaml", "hosts.d"),
        ("sites/*/hosts.yaml", "sites"),
    ] {
        let closed = site.directory.join(closed);
        fs::create_dir(&closed)?;
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711))?;
        let yaml = site.yaml(&user, &format!("include: ['{pattern}']\n"));
        let Err(error) = site.start(&yaml, Vec::new()) else {
            anyhow::bail!("it started");
        };
        let error = format!("{error:#}");
        let wanted = format!("chmod 750 {}", closed.display());
        ensure!(error.contains(&wanted), "{wanted}: {error}");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755))?;
        last = Some(yaml);
    }
    site.start(&last.context("two patterns")?, Vec::new())?;
    Ok(())
}

/// Bind, renewal, another interface, metrics, boot files, control socket, lease queries, a program that is
/// attached again, pins that are made again, and end, all under strace.
#[test]
fn the_filter_lets_all_system_calls_through() -> Result<()> {
    let site = Site::new()?;
    let trace = site.directory.join("trace");
    let all = Unit::read()?.capabilities("AmbientCapabilities")?;
    let mut under = unit::setpriv(USER, &all);
    let strace = ["strace", "-D", "-f", "-qq", "-s", "0", "-o"].map(str::to_owned);
    under.extend(strace);
    under.push(trace.display().to_string());
    let files = site.lab.directory("boot")?;
    fs::write(files.join("a"), "abc")?;
    let server = ", metrics: 127.0.0.1:9547";
    let boot = format!("boot: {{root: {}}}\n{QUERIES}", files.display());
    let yaml = site.yaml(server, &boot);
    site.prepare(&yaml)?;
    let mut daemon = site.start(&yaml, under)?;
    let client = site.client(0)?;
    let lease = client.bind()?;
    renew_in_kernel(&daemon, &client, &lease)?;
    another_interface(&site, &daemon, server)?;
    daemon.configure(&yaml)?;
    daemon.ctl_text(&["reload"])?;
    fetch_all(&site)?;
    daemon.ctl_text(&["leases", "export"])?;
    daemon.ctl_text(&["explain", "--mac", "02:00:00:00:00:01"])?;
    daemon.ctl_text(&["fastpath", "why", &books::mac_text(client.mac)])?;
    query(&site, &lease)?;
    undone::strike(&site, &mut daemon)?;
    daemon.terminate()?;
    let forbidden = sandbox::forbidden(&trace)?;
    ensure!(forbidden.is_empty(), "the unit forbids {forbidden:?}");
    Ok(())
}

fn fetch_all(site: &Site) -> Result<()> {
    for url in [
        "http://127.0.0.1:9547/metrics",
        "http://127.0.0.1/a",
        "tftp://127.0.0.1/a",
    ] {
        let mut curl = site.lab.server.command("curl");
        process::output(curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "20",
            url,
        ]))?;
    }
    Ok(())
}

/// One lease by UDP, and all of them by TCP.
fn query(site: &Site, lease: &Lease) -> Result<()> {
    let mut asker = Asker::new(&site.lab.clients[0], &site.lab.server)?;
    asker.ask(&[lease.address])?;
    let connected = site.lab.server.enter(|| TcpStream::connect("127.0.0.1:67"));
    let mut stream = connected??;
    stream.set_read_timeout(Some(books::SOON))?;
    // BOOTREQUEST, the magic cookie, DHCPBULKLEASEQUERY, end.
    let mut query = [0; 244];
    query[0] = 1;
    query[236..].copy_from_slice(&[99, 130, 83, 99, 53, 1, 14, 255]);
    stream.write_all(&[&[0, 244], &query[..]].concat())?;
    Ok(stream.read_exact(&mut [0; 242])?)
}
