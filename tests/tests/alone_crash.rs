//! Crashes of the host, simulated, and what they do to the journal. What is in the kernel is lost
//! then: only the journal knows who holds what.

mod common;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use common::faults::{check_leases, config, crash, fast_hits, leases, start, wrapped};
use common::fleet::Fleet;
use xdhcpd_tests::{Daemon, Lab};

/// 256 addresses.
const POOL: &str = "10.77.1.0-10.77.1.255";
/// After a real crash the machine boots, and has another boot id.
const OTHER_BOOT: &str = "exec unshare --mount sh -ec \
    'mount --bind @ID@ /proc/sys/kernel/random/boot_id; exec \"$@\"' sh \"$XDHCPD\" \"$@\"";
const BOOT_ID: &str = "00000000-1111-4222-8333-444444444444\n";

#[test]
fn promises_outlive_a_crash_of_the_host() -> Result<()> {
    let lab = new_lab()?;
    let config = config(&lab, "native", POOL, "10m");
    let mut daemon = start(&lab, &config)?;
    let mut old = Fleet::new(&lab, 0..150)?;
    old.bind()?;
    assert_eq!(old.renew_once()?, [] as [usize; 0]);
    assert_eq!(fast_hits(&daemon)?, 150);

    crash(&mut daemon)?;
    let directory = daemon.directory().to_owned();
    let id = lab.directory("id")?.join("boot_id");
    fs::write(&id, BOOT_ID)?;
    let script = OTHER_BOOT.replace("@ID@", &id.to_string_lossy());
    let next_boot = wrapped(&lab.directory("boot")?, &script)?;
    let daemon = Daemon::start(&next_boot, &lab.server, &directory, &config)?;
    assert_eq!(leases(&daemon)?.len(), 150);

    let mut new = Fleet::new(&lab, 1_000..1_106)?;
    new.bind()?;
    let (held, given) = (old.addresses()?, new.addresses()?);
    let both: Vec<_> = given.keys().filter(|a| held.contains_key(a)).collect();
    assert!(both.is_empty(), "given away while promised: {both:?}");
    let mut late = Fleet::new(&lab, 2_000..2_005)?;
    late.try_bind(5)?;
    assert_eq!(late.unbound().len(), 5, "all addresses are taken");

    assert_eq!(old.renew_once()?, [] as [usize; 0]);
    check_leases(&old, &leases(&daemon)?)?;
    check_leases(&new, &leases(&daemon)?)
}

#[test]
fn a_write_cut_short_is_taken_away_and_told() -> Result<()> {
    let lab = new_lab()?;
    let mut daemon = start(&lab, &config(&lab, "native", POOL, "10m"))?;
    let mut fleet = Fleet::new(&lab, 0..50)?;
    fleet.bind()?;
    crash(&mut daemon)?;

    let segment = Segment::written(&daemon)?;
    let torn = segment.end + 64;
    let file = fs::File::options().write(true).open(&segment.path)?;
    file.set_len(torn + 40)?;
    file.write_all_at(&[0xa5; 40], torn)?;

    daemon.restart()?;
    let log = daemon.process().log();
    assert!(log.contains("was cut short"), "{log}");
    assert!(!log.contains("damaged"), "{log}");
    assert_eq!(leases(&daemon)?.len(), 50);
    assert_eq!(fleet.renew_once()?, [] as [usize; 0]);
    check_leases(&fleet, &leases(&daemon)?)
}

#[test]
fn a_changed_byte_costs_one_lease_and_is_told() -> Result<()> {
    let lab = new_lab()?;
    let mut daemon = start(&lab, &config(&lab, "native", POOL, "10m"))?;
    let mut fleet = Fleet::new(&lab, 0..50)?;
    fleet.bind()?;
    crash(&mut daemon)?;

    let segment = Segment::written(&daemon)?;
    let middle = segment.end / 2;
    let file = fs::File::options().write(true).open(&segment.path)?;
    file.write_all_at(&[segment.bytes[middle as usize] ^ 0x10], middle)?;

    daemon.restart()?;
    let log = daemon.process().log();
    let (offset, len) = damage(&log, &segment).with_context(|| format!("no damage told: {log}"))?;
    assert!((offset..offset + len).contains(&middle), "{middle}: {log}");
    assert!(log.contains("one record is lost"), "{log}");

    let kept: HashSet<_> = leases(&daemon)?.into_keys().collect();
    assert_eq!(kept.len(), 49);
    fleet
        .nodes
        .retain(|node| node.address.is_some_and(|a| kept.contains(&a)));
    assert_eq!(fleet.renew_once()?, [] as [usize; 0]);
    check_leases(&fleet, &leases(&daemon)?)
}

fn new_lab() -> Result<Lab> {
    common::root();
    Lab::new(1)
}

/// The journal's file that holds records.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Behind the last byte that is not zero.
    end: u64,
}

impl Segment {
    fn written(daemon: &Daemon) -> Result<Self> {
        for entry in fs::read_dir(daemon.directory().join("state/journal"))? {
            let path = entry?.path();
            let bytes = fs::read(&path)?;
            let end = bytes.iter().rposition(|byte| *byte != 0);
            if let Some(end) = end.filter(|_| path.extension() == Some("segment".as_ref())) {
                let end = end as u64 + 1;
                return Ok(Self { path, bytes, end });
            }
        }
        anyhow::bail!("the journal is empty")
    }
}

/// Where the log says that a file is damaged: "<file>: <len> bytes at offset <offset>".
fn damage(log: &str, segment: &Segment) -> Option<(u64, u64)> {
    let file = segment.path.file_name()?.to_str()?;
    let (_, after) = log.split_once(&format!("{file}: "))?;
    let mut words = after.split(' ');
    let len = words.next()?.parse().ok()?;
    let offset = words.nth(3)?.trim_end_matches(',').parse().ok()?;
    Some((offset, len))
}
