//! What others take away while it runs, and whether it can put that back without the rights of its start.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Daemon, link, wait_until, xdp_pass};

use super::unit::Unit;
use super::{Site, as_unit, books, renew, renew_in_kernel};

const AGAIN: &str = "attaching it again";
const PINNED: &str = "pinned again";
const NOT_PINNED: &str = "the kernel will stop answering whenever xdhcpd stops";

/// The program is taken off, and pins are removed: it attaches and pins again.
pub fn strike(site: &Site, daemon: &mut Daemon) -> Result<()> {
    xdp_pass::take_off(&pinned_link(site)?)?;
    hear(daemon, AGAIN)?;
    wait_mode(daemon, "native")?;
    fs::remove_dir_all(only(&pins(site))?)?;
    hear(daemon, PINNED)?;
    ensure!(pinned_link(site)?.exists(), "the link is not pinned");
    Ok(())
}

#[test]
fn what_others_undo_is_done_again_without_privileges() -> Result<()> {
    let site = Site::new()?;
    let mut daemon = as_unit(&site, &Unit::read()?.capabilities("AmbientCapabilities")?)?;
    let client = site.client(0)?;
    let lease = client.bind()?;
    strike(&site, &mut daemon)?;
    renew_in_kernel(&daemon, &client, &lease)?;
    daemon.terminate()?;
    renew(&client, &lease)?;
    daemon.restart()?;
    renew_in_kernel(&daemon, &client, &lease)
}

/// Only root can make the directory of all pins again. It says so once, and the kernel goes on.
#[test]
fn a_pin_directory_that_only_root_can_make_is_told_once() -> Result<()> {
    let site = Site::new()?;
    let mut daemon = as_unit(&site, &Unit::read()?.capabilities("AmbientCapabilities")?)?;
    let client = site.client(0)?;
    let lease = client.bind()?;
    let kept = site.lab.bpffs().join("kept");
    fs::rename(pinned_link(&site)?, &kept)?;
    fs::remove_dir_all(pins(&site))?;
    hear(&mut daemon, NOT_PINNED)?;
    renew_in_kernel(&daemon, &client, &lease)?;

    // It has looked again when it sees this.
    xdp_pass::take_off(&kept)?;
    hear(&mut daemon, AGAIN)?;
    wait_mode(&daemon, "userspace")?;
    renew(&client, &lease)?;
    let log = daemon.process().log();
    let told = |words: &str| log.matches(words).count();
    ensure!((told(NOT_PINNED), told(AGAIN)) == (1, 1), "{log}");
    ensure!(!log.contains(PINNED), "{log}");
    Ok(())
}

fn hear(daemon: &mut Daemon, words: &str) -> Result<()> {
    let line = daemon.process().wait_for_line(words, 0, books::SOON);
    line.map(drop)
}

fn wait_mode(daemon: &Daemon, mode: &str) -> Result<()> {
    wait_until(&format!("mode {mode}"), books::SOON, || {
        Ok(books::expect_mode(daemon, INTERFACE, mode).ok())
    })
}

fn pins(site: &Site) -> PathBuf {
    site.lab.bpffs().join("xdhcpd")
}

fn pinned_link(site: &Site) -> Result<PathBuf> {
    let index = site.lab.server.enter(|| link::index(INTERFACE))??;
    let layout = only(&only(&pins(site))?)?;
    Ok(layout.join(format!("link_{index}")))
}

fn only(directory: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(directory)?;
    let entry = entries.next();
    let entry = entry.with_context(|| format!("nothing in {}", directory.display()))??;
    ensure!(entries.next().is_none(), "more in {}", directory.display());
    Ok(entry.path())
}
