//! Boot files over the wire, with the clients that Debian has.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::files;
use common::site::PATIENCE;
use dhcp_userspace::netboot::report::{Protocol, Totals};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::process::output;
use xdhcpd_tests::{Binaries, Daemon, Lab, Namespace, Process};

struct Site {
    daemon: Daemon,
    root: PathBuf,
    lab: Lab,
}

impl Site {
    fn new() -> Result<Self> {
        Self::with("")
    }

    /// `more`: settings of `boot`.
    fn with(more: &str) -> Result<Self> {
        common::root();
        let lab = Lab::new(1)?;
        lab.clients[0].ip(&format!("address add 10.77.3.1/16 dev {INTERFACE}"))?;
        let (root, yaml) = (
            files::root(&lab)?,
            lab.config("1h", &format!("boot: {{root: @DIR@/boot{more}}}\n")),
        );
        let directory = lab.directory("xdhcpd")?;
        let daemon = Daemon::start(&Binaries::find()?, &lab.server, &directory, &yaml)?;
        Ok(Self { daemon, root, lab })
    }

    /// Waits until so many transfers are complete.
    fn complete(&self, protocol: Protocol, times: u64) -> Result<Totals> {
        files::wait_totals(&self.daemon, protocol, |totals| totals.complete == times)
    }

    fn client(&self) -> &Namespace {
        &self.lab.clients[0]
    }

    /// Makes a file below the root, and returns its bytes: no two blocks are alike.
    fn file(&self, name: &str, len: usize) -> Result<Vec<u8>> {
        let words = (0..len.div_ceil(4) as u32).map(|i| i.wrapping_mul(0x9e37_79b9).to_le_bytes());
        let mut bytes = words.collect::<Vec<_>>().concat();
        bytes.truncate(len);
        fs::write(self.root.join(name), &bytes)?;
        Ok(bytes)
    }

    /// Where a client puts what it fetches.
    fn place(&self, name: &str) -> Result<PathBuf> {
        let place = self.lab.directory("fetched")?.join(name);
        let _ = fs::remove_file(&place);
        Ok(place)
    }

    /// A shell's line in the client's namespace; `@` is the place of what it fetches.
    fn command(&self, line: &str, place: &str) -> Result<Command> {
        let place = self.place(place)?.display().to_string();
        let line = line.replace("SERVER", &SERVER.to_string());
        let mut command = self.client().command("sh");
        command.args(["-c", &format!("exec {}", line.replace('@', &place))]);
        Ok(command)
    }

    /// Runs such a command and returns the file that it fetched.
    fn fetch(&self, line: &str) -> Result<Vec<u8>> {
        output(&mut self.command(line, "one")?)?;
        // Some make no file of nothing.
        Ok(fs::read(self.lab.directory("fetched")?.join("one")).unwrap_or_default())
    }

    /// What curl prints.
    fn curl(&self, arguments: &str, path: &str) -> Result<String> {
        let line = format!("curl --silent --show-error {arguments} 'http://SERVER/{path}'");
        output(&mut self.command(&line, "one")?)
    }
}

const TFTP: [&str; 8] = [
    "curl --silent --show-error --output @ tftp://SERVER//FILE",
    "curl --silent --show-error --tftp-blksize 8192 --output @ tftp://SERVER//FILE",
    "curl --silent --show-error --tftp-no-options --output @ tftp://SERVER//FILE",
    "busybox tftp -g -r FILE -l @ SERVER",
    "busybox tftp -g -b 1400 -r FILE -l @ SERVER",
    "tftp -m binary SERVER -c get FILE @",
    "atftp --get -r FILE -l @ SERVER",
    "atftp --option 'blksize 1428' --option 'windowsize 16' --option tsize --get -r FILE -l @ SERVER",
];

#[test]
fn every_tftp_client_gets_the_file() -> Result<()> {
    let site = Site::new()?;
    for (name, len) in [("odd", 300_001), ("even", 512 * 7), ("empty", 0)] {
        let bytes = site.file(name, len)?;
        // Debian's curl asks its socket for a peer that it has only after a first block.
        let clients = TFTP
            .iter()
            .filter(|line| len > 0 || !line.starts_with("curl"));
        for line in clients {
            let got = site.fetch(&line.replace("FILE", name)).context(*line)?;
            ensure!(got == bytes, "{line}: {} bytes of {len}", got.len());
        }
    }
    let totals = site.complete(Protocol::Tftp, 21)?;
    ensure!((totals.aborted, totals.busy) == (0, 0), "{totals:?}");
    ensure!(totals.bytes == 8 * (300_001 + 512 * 7), "{totals:?}");
    Ok(())
}

/// Block numbers have 16 bits, and begin anew after 65535.
#[test]
fn a_file_of_more_blocks_than_numbers() -> Result<()> {
    let site = Site::new()?;
    let bytes = site.file("large", 70_000_001)?;
    let got = site.fetch("tftp -m binary SERVER -c get large @")?;
    ensure!(got == bytes, "{} bytes by TFTP", got.len());
    let got = site.fetch("curl --silent --show-error --output @ http://SERVER/large")?;
    ensure!(got == bytes, "{} bytes by HTTP", got.len());
    Ok(())
}

#[test]
fn curl_gets_parts_and_asks_for_news() -> Result<()> {
    let site = Site::new()?;
    let bytes = site.file("vmlinuz", 1_000_000)?;
    ensure!(site.fetch("curl --silent --output @ http://SERVER/vmlinuz")? == bytes);
    let middle = site.fetch("curl --silent --range 1000-1999 --output @ http://SERVER/vmlinuz")?;
    ensure!(middle == bytes[1000..2000], "{} bytes", middle.len());

    let mut resume = site.command(
        "curl --silent --continue-at - --output @ http://SERVER/vmlinuz",
        "half",
    )?;
    let half = site.lab.directory("fetched")?.join("half");
    fs::write(&half, &bytes[..500_000])?;
    output(&mut resume)?;
    ensure!(
        fs::read(&half)? == bytes,
        "the rest is not what was missing"
    );

    let code = "--output /dev/null --write-out '%{http_code}'";
    let etag = site
        .lab
        .directory("fetched")?
        .join("etag")
        .display()
        .to_string();
    let first = site.curl(&format!("{code} --etag-save {etag}"), "vmlinuz")?;
    let same = site.curl(&format!("{code} --etag-compare {etag}"), "vmlinuz")?;
    site.file("vmlinuz", 1_000_001)?;
    let other = site.curl(&format!("{code} --etag-compare {etag}"), "vmlinuz")?;
    ensure!(
        [&*first, &same, &other] == ["200", "304", "200"],
        "{first} {same} {other}"
    );
    let head = site.curl("--head", "vmlinuz")?.to_lowercase();
    ensure!(head.contains("content-length: 1000001"), "{head}");
    Ok(())
}

#[test]
fn nothing_leads_out_of_the_root() -> Result<()> {
    let site = Site::new()?;
    let root = &site.root;
    let secret = root.with_file_name("secret");
    fs::write(&secret, "secret")?;
    symlink("../secret", root.join("relative"))?;
    symlink(&secret, root.join("absolute"))?;
    symlink("..", root.join("door"))?;
    symlink("/proc/self/root", root.join("magic"))?;
    let names = [
        "../secret",
        "relative",
        "absolute",
        "door/secret",
        "magic/etc/passwd",
    ];
    for name in names.into_iter().chain(["..\\secret", "x/../../secret"]) {
        let code = "--path-as-is --output /dev/null --write-out '%{http_code}'";
        let code = site.curl(code, &name.replace('\\', "%5c"))?;
        ensure!(code == "403", "{name} gave {code}");
        let got = site.fetch(&format!("tftp -m binary SERVER -c get '{name}' @"));
        ensure!(got.map_or(true, |bytes| bytes.is_empty()), "{name} by TFTP");
    }
    let denied = |protocol| files::totals(&site.daemon, protocol).map(|totals| totals.denied);
    ensure!((denied(Protocol::Http)?, denied(Protocol::Tftp)?) == (7, 7));
    Ok(())
}

/// As after a power cut: all at once, by both protocols, each with an address of its own.
#[test]
fn forty_machines_at_once() -> Result<()> {
    all_get_the_file(&Site::new()?)
}

/// Who finds no place waits for its turn, or asks again, as installers and curl do.
#[test]
fn forty_machines_in_ten_places() -> Result<()> {
    all_get_the_file(&Site::with(", max_transfers: 10")?)
}

fn all_get_the_file(site: &Site) -> Result<()> {
    let bytes = site.file("initrd", 3_000_000)?;
    let start = |number: usize| {
        let address = format!("10.77.4.{number}");
        let own = format!("address add {address}/16 dev {INTERFACE}");
        site.client().ip(&own)?;
        let by = if number.is_multiple_of(2) {
            "tftp://SERVER//"
        } else {
            "http://SERVER/"
        };
        let curl = format!(
            "curl --silent --show-error --fail --retry 10 --tftp-blksize 1428 --interface {address}"
        );
        let place = format!("{number}");
        let command = &mut site.command(&format!("{curl} --output @ {by}initrd"), &place)?;
        let log = site.lab.directory("logs")?.join(&place);
        Process::start(&place, command, &log)
    };
    let started = (1..=40).map(start).collect::<Result<Vec<_>>>()?;
    for (number, mut client) in (1..=40).zip(started) {
        let status = client.wait_end(2 * PATIENCE)?;
        ensure!(status.success(), "{number}: {}", client.log());
        let got = fs::read(site.lab.directory("fetched")?.join(number.to_string()))?;
        ensure!(got == bytes, "{number} got {} bytes", got.len());
    }
    site.complete(Protocol::Tftp, 20)?;
    site.complete(Protocol::Http, 20)?;
    Ok(())
}

/// What people look for when a machine does not boot.
#[test]
fn a_file_that_is_missing_is_told_and_counted() -> Result<()> {
    let mut site = Site::new()?;
    for _ in 0..3 {
        ensure!(
            site.curl(
                "--output /dev/null --write-out '%{http_code}'",
                "pxelinux.0"
            )? == "404"
        );
    }
    let page = site.daemon.ctl_text(&["boot", "status"])?;
    let found = page.lines().find(|line| line.starts_with("pxelinux.0"));
    let words: Vec<_> = found.unwrap_or_default().split_whitespace().collect();
    ensure!(words == ["pxelinux.0", "3", "10.77.3.1"], "{page}");
    let log = site.daemon.process().log();
    let told = log.lines().filter(|line| line.contains("pxelinux.0"));
    ensure!(told.count() == 1, "once for each client and file: {log}");
    Ok(())
}
