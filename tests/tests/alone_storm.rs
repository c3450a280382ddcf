//! A whole cluster is switched on at once.

mod common;

use anyhow::Result;
use common::faults::{check_leases, config, count, fast_hits, leases, start};
use common::fleet::Fleet;
use xdhcpd_tests::Lab;

const CLIENTS: usize = 2_000;
/// 2,048 addresses: nearly all are needed.
const POOL: &str = "10.77.8.0-10.77.15.255";

#[test]
fn a_storm_of_clients_is_served_and_outlives_a_kill() -> Result<()> {
    common::root();
    let lab = Lab::new(1)?;
    let mut daemon = start(&lab, &config(&lab, "native", POOL, "1h"))?;
    let mut fleet = Fleet::new(&lab, 0..CLIENTS)?;
    fleet.storm()?;
    assert_eq!(fleet.addresses()?.len(), CLIENTS);
    assert_eq!(count(&daemon, &["replies", "nak"])?, 0);

    daemon.kill();
    daemon.restart()?;
    let after = leases(&daemon)?;
    check_leases(&fleet, &after)?;
    assert_eq!(after.len(), CLIENTS);
    let silent = fleet.renew_once()?;
    assert!(
        silent.is_empty(),
        "{} renewals were not answered",
        silent.len()
    );
    assert_eq!(fast_hits(&daemon)?, CLIENTS as u64);
    Ok(())
}
