//! The ledger at a real server: content with an honest one, and not with one that has forgotten all it promised.

mod common;

use std::fs;

use anyhow::Result;
use common::faults::{config, crash, start};
use common::fleet::Fleet;
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::ledger::{ALLOWED, Asker, Ledger};
use xdhcpd_tests::{Daemon, Lab};

const CLIENTS: usize = 100;
/// 256 addresses.
const POOL: &str = "10.77.1.0-10.77.1.255";

struct Watched {
    fleet: Fleet,
    asker: Asker,
    ledger: Ledger,
    daemon: Daemon,
    lab: Lab,
}

impl Watched {
    fn new() -> Result<Self> {
        common::root();
        let lab = Lab::new(2)?;
        let daemon = start(&lab, &(config(&lab, "native", POOL, "10m") + ALLOWED))?;
        let ledger = Ledger::watch(&[(&lab.clients[0], INTERFACE)])?;
        let mut fleet = Fleet::new(&lab, 0..CLIENTS)?;
        fleet.bind()?;
        Ok(Self {
            fleet,
            asker: Asker::new(&lab.clients[1], &lab.server)?,
            ledger,
            daemon,
            lab,
        })
    }
}

#[test]
fn an_honest_server_has_nothing_to_hide() -> Result<()> {
    let mut all = Watched::new()?;
    assert_eq!(all.fleet.renew_once()?, [] as [usize; 0]);
    assert_eq!(all.ledger.live().len(), CLIENTS);
    // A client that repeats its request may hear two.
    assert!(all.ledger.acks() >= 2 * CLIENTS as u64);
    assert_eq!(all.ledger.renewal_pauses().answers, CLIENTS);
    for claim in all.ledger.live() {
        assert_eq!(all.fleet.addresses()?[&claim.address], claim.mac);
    }
    crash(&mut all.daemon)?;
    all.daemon.restart()?;
    let verified = all.ledger.verify(&mut all.asker)?;
    assert_eq!(
        (verified.claims, verified.lost.len()),
        (CLIENTS, 0),
        "{verified:?}"
    );
    all.ledger.content()
}

#[test]
fn a_server_that_has_forgotten_all_is_found_out() -> Result<()> {
    let mut all = Watched::new()?;
    crash(&mut all.daemon)?;
    fs::remove_dir_all(all.daemon.directory().join("state"))?;
    all.daemon.restart()?;
    let verified = all.ledger.verify(&mut all.asker)?;
    assert_eq!((verified.claims, verified.lost.len()), (CLIENTS, CLIENTS));
    assert!(
        verified.lost[0].ends_with("is unknown"),
        "{}",
        verified.lost[0]
    );
    all.ledger.content()?;

    Fleet::new(&all.lab, 1_000..1_256)?.try_bind(256)?;
    let complaints = all.ledger.complaints();
    let told = |part| complaints.iter().filter(|told| told.contains(part)).count();
    assert!(told("was offered to") >= CLIENTS, "{complaints:?}");
    assert!(told("was given to") >= CLIENTS, "{complaints:?}");
    let verified = all.ledger.verify(&mut all.asker)?;
    assert_eq!(verified.lost, [] as [&str; 0]);
    Ok(())
}
