//! Disks that are full or read-only, and state directories that somebody else has.

mod common;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use common::faults::{
    LIMIT, Tmpfs, check_leases, config, count, crash, fast_hits, leases, mode, refused, start,
};
use common::fleet::Fleet;
use xdhcpd_tests::{Lab, Namespace, process, wait_until};

const POOL: &str = "10.77.1.0-10.77.1.255";
/// Two of the journal's files, and a little more.
const SIZE: &str = "140m";
const PAGE: u64 = 4096;

#[test]
fn a_full_disk_stops_new_leases_only_in_native_mode() -> Result<()> {
    fills_up("native")
}

#[test]
fn a_full_disk_stops_new_leases_only_in_userspace() -> Result<()> {
    fills_up("off")
}

/// The disk fills up while the daemon runs, and has space again later.
fn fills_up(wanted: &str) -> Result<()> {
    let lab = new_lab()?;
    let state = lab.directory("daemon")?.join("state");
    let _tmpfs = Tmpfs::mount(&state, SIZE)?;
    let mut daemon = start(&lab, &config(&lab, wanted, POOL, "10m"))?;
    let kernel = if wanted == "native" {
        "native"
    } else {
        "userspace"
    };
    assert_eq!(mode(&daemon)?.0, kernel);
    let mut old = Fleet::new(&lab, 0..50)?;
    old.bind()?;
    let filler = fill_under_journal(&state)?;

    let mut new = Fleet::new(&lab, 1_000..1_100)?;
    new.try_bind(100)?;
    let without = new.unbound();
    assert!(
        !without.is_empty(),
        "leases were given that are not on disk"
    );
    // What was written of a refused record is taken back, so there may be room for a few more.
    new.try_bind(100)?;
    let (before, without) = (without, new.unbound());
    assert!(!without.is_empty() && without.iter().all(|client| before.contains(client)));
    assert!(count(&daemon, &["ignored", "disk-full"])? > 0);
    assert!(daemon.process().log().contains("the disk is full"));
    let bound = leases(&daemon)?
        .into_values()
        .filter(|lease| lease.state == "bound");
    assert_eq!(bound.count(), 150 - without.len());
    for _ in 0..3 {
        assert_eq!(old.renew_once()?, [] as [usize; 0]);
    }
    let hits = fast_hits(&daemon)?;
    assert!(hits >= 150, "{hits} renewals on the fast path");

    fs::remove_file(filler)?;
    new.bind()?;
    assert!(daemon.process().log().contains("the disk has space again"));
    crash(&mut daemon)?;
    daemon.restart()?;
    check_leases(&old, &leases(&daemon)?)?;
    check_leases(&new, &leases(&daemon)?)?;
    assert_eq!(old.renew_once()?, [] as [usize; 0]);
    Ok(())
}

#[test]
fn starts_on_a_full_disk_and_renews() -> Result<()> {
    let lab = new_lab()?;
    let state = lab.directory("daemon")?.join("state");
    let _tmpfs = Tmpfs::mount(&state, SIZE)?;
    let mut daemon = start(&lab, &config(&lab, "native", POOL, "10m"))?;
    let mut old = Fleet::new(&lab, 0..50)?;
    old.bind()?;
    crash(&mut daemon)?;
    give_back_what_is_empty(&state)?;
    let filler = fill(&state)?;

    daemon.restart()?;
    assert_eq!(old.renew_once()?, [] as [usize; 0]);
    let mut new = Fleet::new(&lab, 1_000..1_010)?;
    new.try_bind(10)?;
    assert_eq!(new.unbound().len(), 10);
    assert!(count(&daemon, &["ignored", "disk-full"])? > 0);
    assert!(daemon.process().log().contains("the disk is full"));

    fs::remove_file(filler)?;
    new.bind()?;
    check_leases(&old, &leases(&daemon)?)?;
    check_leases(&new, &leases(&daemon)?)
}

#[test]
fn a_read_only_state_directory_is_an_error_at_start() -> Result<()> {
    let lab = new_lab()?;
    let directory = lab.directory("daemon")?;
    let state = directory.join("state");
    let tmpfs = Tmpfs::mount(&state, "1m")?;
    tmpfs.remount("ro")?;
    let (status, said) = refused(
        &lab.server,
        &directory,
        &config(&lab, "native", POOL, "10m"),
    )?;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(said.contains(&*state.to_string_lossy()), "{said}");
    Ok(())
}

/// In another network namespace, where port 67 does not keep them apart.
#[test]
fn a_second_daemon_on_a_state_directory_is_refused_and_disturbs_nothing() -> Result<()> {
    let lab = new_lab()?;
    let config = config(&lab, "native", POOL, "10m");
    let mut daemon = start(&lab, &config)?;
    let mut fleet = Fleet::new(&lab, 0..50)?;
    fleet.bind()?;
    let state = daemon.directory().join("state");

    let elsewhere = Namespace::new("elsewhere")?;
    let same_state = config.replace("@DIR@/state", &state.to_string_lossy());
    for mode in ["native", "off"] {
        let other = same_state.replace("\"native\"", &format!("\"{mode}\""));
        let other = other.replace("10.77.0.0/16", "10.0.0.0/8");
        let (status, said) = refused(&elsewhere, &lab.directory("second")?, &other)?;
        assert_eq!(status.code(), Some(1));
        let holder = daemon.process().id().to_string();
        assert!(
            said.contains("two servers cannot share a state_dir"),
            "{said}"
        );
        assert!(
            said.contains(&format!("process {holder}")),
            "{holder}: {said}"
        );
    }

    let hits = fast_hits(&daemon)?;
    assert_eq!(fleet.renew_once()?, [] as [usize; 0]);
    assert_eq!(fast_hits(&daemon)?, hits + 50);
    daemon.kill();
    assert_eq!(
        fleet.renew_once()?,
        [] as [usize; 0],
        "its pins are still there"
    );
    daemon.restart()?;
    check_leases(&fleet, &leases(&daemon)?)
}

fn new_lab() -> Result<Lab> {
    common::root();
    Lab::new(1)
}

/// Takes all space, also that which the journal's file has behind what is written, so that even
/// writing over zeros wants space: as on file systems that never write in place.
fn fill_under_journal(state: &Path) -> Result<PathBuf> {
    let journal = state.join("journal");
    for segment in segments(&journal)? {
        let written = written(&segment)?;
        if written > 0 {
            let from = written.next_multiple_of(PAGE);
            let mut punch = Command::new("fallocate");
            punch.args(["--punch-hole", "--offset", &from.to_string()]);
            punch.args([
                "--length",
                &(fs::metadata(&segment)?.len() - from).to_string(),
            ]);
            process::output(punch.arg(&segment))?;
        }
    }
    fill(state)?;
    // A file that was being made gives its space back when it cannot be finished.
    wait_until("the journal to make no file", LIMIT, || {
        let names = fs::read_dir(&journal)?.map(|entry| anyhow::Ok(entry?.file_name()));
        let names = names.collect::<Result<Vec<_>>>()?;
        let unfinished = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".new");
        Ok((!names.iter().any(unfinished)).then_some(()))
    })?;
    fill(state)
}

fn fill(state: &Path) -> Result<PathBuf> {
    let path = state.join("filler");
    let mut file = fs::File::options().create(true).append(true).open(&path)?;
    loop {
        match file.write_all(&[1; PAGE as usize]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(path),
            Err(error) => return Err(error).context("could not fill the disk"),
        }
    }
}

/// The journal's files that wait to be written, and what is empty of the others.
fn give_back_what_is_empty(state: &Path) -> Result<()> {
    for segment in segments(&state.join("journal"))? {
        match written(&segment)? {
            0 => fs::remove_file(segment)?,
            end => fs::File::options()
                .write(true)
                .open(segment)?
                .set_len(end + 64)?,
        }
    }
    Ok(())
}

fn segments(journal: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(journal)?.map(|entry| anyhow::Ok(entry?.path()));
    let mut paths = entries.collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension() == Some("segment".as_ref()));
    Ok(paths)
}

fn written(segment: &Path) -> Result<u64> {
    let bytes = fs::read(segment)?;
    let last = bytes.iter().rposition(|byte| *byte != 0);
    Ok(last.map_or(0, |last| last as u64 + 1))
}
