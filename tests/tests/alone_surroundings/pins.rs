//! What somebody else does to the program, its links and its maps. The short form starts on one kind of spoilt pins,
//! the long one on all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Campaign, Lab, XdpPass, xdp_pass};

use super::site::{Site, lab, yaml};

#[test]
fn a_program_that_is_taken_off_or_replaced() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    let mut site = Site::new(&lab, campaign)?.reloading(&yaml(&lab, "native"));
    site.strike("program detached by somebody else", (1, 20), |site| {
        restarted(site)?;
        let from = site.log_len();
        xdp_pass::take_off(&link(site.lab)?)?;
        site.hear("attaching it again", from)?;
        site.wait_mode("native")
    })?;
    site.strike("program replaced in its link", (1, 20), |site| {
        // Told once in a minute by one run.
        restarted(site)?;
        let from = site.log_len();
        xdp_pass::replace(&link(site.lab)?)?;
        site.hear("attaching it again", from)?;
        site.wait_mode("native")
    })?;
    let fault = "program detached, another one attached in its place, and gone again";
    site.strike(fault, (1, 10), |site| {
        xdp_pass::take_off(&link(site.lab)?)?;
        // The daemon may be quicker.
        let foreign = XdpPass::attach(&site.lab.server, INTERFACE);
        if foreign.is_ok() {
            site.wait_mode("userspace")?;
            site.goes_on()?;
            site.verify()?;
        }
        drop(foreign);
        site.wait_mode("native")
    })?;
    site.end()
}

#[test]
fn pins_that_are_removed() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    // Without reloads: a daemon that is killed just after one has left the kernel nothing to say.
    let mut site = Site::new(&lab, campaign)?;
    site.strike(
        "pins removed while it runs, then `kill -9`",
        (1, 20),
        |site| {
            let from = site.log_len();
            fs::remove_dir_all(layout(site.lab)?)?;
            site.hear("pinned again", from)?;
            let count = site.daemon.ctl(&["status"])?;
            site.daemon.kill();
            ensure!(link(site.lab)?.exists(), "no link is pinned: {count}");
            restarted(site)
        },
    )?;
    site.strike("pins removed while it is dead", (1, 20), |site| {
        site.daemon.kill();
        fs::remove_dir_all(layout(site.lab)?)?;
        restarted(site)
    })?;
    let fault = "maps' pins removed while it is dead, the program goes on";
    site.strike(fault, (1, 20), |site| {
        site.daemon.kill();
        fs::remove_dir_all(layout(site.lab)?.join("maps"))?;
        site.goes_on_without_daemon()?;
        restarted(site)
    })?;
    let count = campaign.times(1, SPOILERS.len() as u64);
    for (name, spoil) in &SPOILERS[..count as usize] {
        let fault = format!("pins found at the start: {name}");
        site.strike(&fault, (2, 10), |site| {
            site.daemon.kill();
            spoil(&layout(site.lab)?)?;
            restarted(site)
        })?;
    }
    site.end()
}

type Spoiler = (&'static str, fn(&Path) -> Result<()>);

const SPOILERS: [Spoiler; 4] = [
    ("a map in place of the directory", |layout| {
        let stray = layout.with_file_name("stray");
        fs::rename(layout.join("maps/META"), &stray)?;
        fs::remove_dir_all(layout)?;
        Ok(fs::rename(stray, layout)?)
    }),
    ("one of the maps is missing", |layout| {
        Ok(fs::remove_file(layout.join("maps/TAILS"))?)
    }),
    ("a map of another kind in place of one", |layout| {
        fs::remove_file(layout.join("maps/SLOTS"))?;
        Ok(fs::rename(
            layout.join("maps/COUNTERS"),
            layout.join("maps/SLOTS"),
        )?)
    }),
    ("those of another version of the layout", |layout| {
        Ok(fs::rename(layout, layout.with_file_name("v1-00000000"))?)
    }),
];

fn restarted(site: &mut Site<'_>) -> Result<()> {
    site.daemon.restart()?;
    site.wait_mode("native")?;
    ensure!(link(site.lab)?.exists(), "no link is pinned");
    Ok(())
}

impl Site<'_> {
    fn goes_on_without_daemon(&self) -> Result<()> {
        let enough = self.ledger.acks() + 5;
        xdhcpd_tests::wait_until("the kernel to answer", crate::common::faults::LIMIT, || {
            Ok((self.ledger.acks() >= enough).then_some(()))
        })
    }
}

/// The directory of the layout that is in use.
fn layout(lab: &Lab) -> Result<PathBuf> {
    let instance = only(&lab.bpffs().join("xdhcpd"))?;
    only(&instance)
}

fn link(lab: &Lab) -> Result<PathBuf> {
    let index = lab
        .server
        .enter(|| xdhcpd_tests::link::index(INTERFACE))??;
    Ok(layout(lab)?.join(format!("link_{index}")))
}

fn only(directory: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let entries = entries.collect::<Result<Vec<_>>>()?;
    let [entry] = <[_; 1]>::try_from(entries)
        .ok()
        .with_context(|| format!("not one entry in {}", directory.display()))?;
    Ok(entry)
}
