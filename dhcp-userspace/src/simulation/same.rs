//! One seed is one run: the same packets at the same times, the same fates, and the same leases at the
//! end. In another process too, where addresses in memory and the seeds of hash maps are others.

use std::env;
use std::process::Command;

use super::{Extent, HOUR};

/// Set for the other process.
const ONLY_TELLS: &str = "XDHCPD_SIMULATION_TELLS";
const MARK: &str = "RUN ";
const TEST: &str = "simulation::same::one_seed_is_one_run";

const EXTENT: Extent = Extent {
    clients: 40,
    hours: 4,
    flat: false,
};
const SEEDS: [u64; 3] = [1, 2, 3];

fn runs() -> Vec<String> {
    SEEDS.map(run).to_vec()
}

fn run(seed: u64) -> String {
    let (_, mut world) = EXTENT.world(seed);
    world.run(EXTENT.hours * HOUR).expect("nothing is wrong");
    let packets = world.server.counts.packets;
    assert!(packets > 500, "it has hardly run: {packets} packets");
    format!("{seed}: {packets} packets, {:016x}", world.fingerprint())
}

fn runs_elsewhere() -> Vec<String> {
    let this = env::current_exe().expect("a program");
    let mut other = Command::new(this);
    other
        .args(["--exact", TEST, "--nocapture"])
        .env(ONLY_TELLS, "1");
    let output = other.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().filter_map(|line| line.strip_prefix(MARK));
    told.map(str::to_owned).collect()
}

#[test]
fn one_seed_is_one_run() {
    let one = runs();
    if env::var_os(ONLY_TELLS).is_some() {
        for run in one {
            println!("{MARK}{run}");
        }
        return;
    }
    assert_eq!(one, runs(), "in this process");
    assert_eq!(one, runs_elsewhere(), "in another process");
}
