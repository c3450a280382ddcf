//! A daemon that somebody has taken over may prepare what is its user's for the next start, which root
//! begins.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Site;

/// Root's, with a file in it.
fn treasure(site: &Site) -> Result<PathBuf> {
    let path = site.lab.directory("treasure")?;
    fs::write(path.join("file"), "")?;
    Ok(path)
}

fn expect_refused(site: &Site, yaml: &str, treasure: &Path) -> Result<()> {
    let error = format!("{:#}", site.prepare(yaml).unwrap_err());
    ensure!(error.contains("is a symbolic link"), "{error}");
    for path in [treasure.to_owned(), treasure.join("file")] {
        ensure!(
            fs::metadata(&path)?.uid() == 0,
            "{} was given away",
            path.display()
        );
    }
    ensure!(
        fs::read_dir(treasure)?.count() == 1,
        "something was made in it"
    );
    Ok(())
}

#[test]
fn a_link_in_place_of_the_state_is_refused() -> Result<()> {
    let site = Site::new()?;
    let treasure = treasure(&site)?;
    let state = site.directory.join("state");
    symlink(&treasure, &state)?;
    expect_refused(&site, &site.yaml("", ""), &treasure)?;
    fs::remove_file(state)?;
    site.prepare(&site.yaml("", ""))
}

#[test]
fn a_link_in_place_of_the_pins_is_refused() -> Result<()> {
    let site = Site::new()?;
    let treasure = treasure(&site)?;
    let yaml = site.yaml("", "");
    site.prepare(&yaml)?;
    let pin_dir = site.lab.bpffs().join("xdhcpd");
    let instance = fs::read_dir(pin_dir)?
        .next()
        .context("an instance")??
        .path();
    fs::remove_dir_all(&instance)?;
    symlink(&treasure, &instance)?;
    expect_refused(&site, &yaml, &treasure)?;
    let off = yaml.replace("mode: native", "mode: 'off'");
    expect_refused(&site, &off, &treasure)
}

#[test]
fn a_link_in_place_of_the_sockets_directory_is_refused() -> Result<()> {
    let site = Site::new()?;
    let treasure = treasure(&site)?;
    symlink(&treasure, site.directory.join("run"))?;
    let yaml = site
        .yaml("", "")
        .replace("control.sock", "run/control.sock");
    expect_refused(&site, &yaml, &treasure)
}

/// It is of root's making that a daemon of root's uses.
#[test]
fn what_a_daemon_uses_is_not_handed_over() -> Result<()> {
    let site = Site::new()?;
    let journal = site.directory.join("state/journal");
    fs::create_dir_all(&journal)?;
    let lock = File::create(journal.join("lock"))?;
    lock.lock()?;
    let error = format!("{:#}", site.prepare(&site.yaml("", "")).unwrap_err());
    ensure!(error.contains("another xdhcpd uses it"), "{error}");
    ensure!(fs::metadata(&journal)?.uid() == 0, "it was given away");
    drop(lock);
    site.prepare(&site.yaml("", ""))?;
    ensure!(
        fs::metadata(&journal)?.uid() == site.uid,
        "it was not given"
    );
    Ok(())
}
