//! Power cuts, kills, full and broken disks, at any moment of any script: what was acknowledged
//! comes back, what was refused does not, and damage is told.

use std::io::ErrorKind;

use xdhcpd_tests::Campaign;

use super::super::faulty::{Fault, Order, Random, Space};
use super::machine::{Action, Machine};
use super::*;

/// Runs of one machine, each ended by a kill or a power cut.
const RUNS: usize = 6;
/// Beyond the last operation of most runs.
const OPERATIONS: usize = 160;

fn random_settings(random: &mut Random) -> Settings {
    Settings {
        segment_size: 200 + random.below(2000) as u64,
        compact_after: 1 + random.below(4),
    }
}

fn random_fault(random: &mut Random) -> Fault {
    match random.below(5) {
        0 => Fault::Error(ErrorKind::StorageFull),
        1 => Fault::Error(ErrorKind::Other),
        2 => Fault::Broken,
        _ => Fault::PowerCut,
    }
}

/// One machine through several lives. Tells how many leases were looked at.
fn live(seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut machine = Machine::new(random_settings(&mut random));
    for run in 0..RUNS {
        let context = format!("XDHCPD_SEED={seed}, run {run}");
        let (at, fault) = (random.below(OPERATIONS), random_fault(&mut random));
        machine = machine.with_fault(at, fault);
        let length = 1 + random.below(30);
        let script: Vec<_> = (0..length).map(|_| Action::random(&mut random)).collect();
        // Its errors are those of the fault; what counts is what is found afterwards.
        let _ = machine.run(&script, &context);
        match random.below(3) {
            0 => machine.kill(),
            _ => machine.power_cut(seed ^ random.below(usize::MAX) as u64),
        }
    }
    let context = format!("XDHCPD_SEED={seed}, at the end");
    machine.run(&[Action::Batch(vec![1])], &context).unwrap();
    machine.power_cut(seed);
    machine.run(&[], &context).unwrap();
    machine.model.checked
}

#[test]
fn machines_lose_nothing_in_any_of_their_lives() {
    let campaign = Campaign::from_env();
    let machines = campaign.times(300, 300_000);
    let checked: u64 = (0..machines)
        .map(|number| live(campaign.seed.wrapping_mul(1_000_003) + number))
        .sum();
    let fault = "power cut, kill, full or broken disk at a random operation of a random script";
    let cuts = machines * (RUNS as u64 + 1);
    campaign.tell(fault, cuts, &format!("{checked} leases read back"), 0, "-");
}

/// Does all that a log does, each thing at least twice.
fn everything() -> Vec<Action> {
    let batch = |step: u32| Action::Batch((step..step + 1 + step % 3).map(|a| a % 6).collect());
    let steps = (0..18).flat_map(|step| match step % 6 {
        2 => vec![batch(step), Action::Prepare],
        4 => vec![batch(step), Action::Compact],
        5 => vec![Action::Step { days: 1 }, batch(step)],
        _ => vec![batch(step)],
    });
    steps.collect()
}

fn small() -> Machine {
    Machine::new(SMALL)
}

fn operations_of(machine: &Machine, script: &[Action]) -> usize {
    let mut machine = machine.clone();
    machine.storage = machine.storage.after_kill();
    machine.run(script, "without fault").unwrap();
    machine.storage.operations()
}

#[test]
fn the_script_does_it_all() {
    let mut machine = small();
    machine.run(&everything(), "no fault").unwrap();
    assert!(files(&machine.storage, ".segment").len() > 1);
    assert_eq!(files(&machine.storage, ".snapshot").len(), 1, "compacted");
    assert!(machine.storage.operations() > 50);
}

#[test]
fn power_goes_between_any_two_bytes() {
    let campaign = Campaign::from_env();
    let script = everything();
    let stride = campaign.times(7, 1) as usize;
    let (mut cuts, mut checked) = (0, 0);
    for at in 0..operations_of(&small(), &script) {
        let mut before = small().with_fault(at, Fault::PowerCut);
        before.run(&script, "until power goes").unwrap_err();
        for byte in (0..=before.storage.unsynced()).step_by(stride) {
            for order in [Order::Forward, Order::Backward] {
                let context = format!("operation {at}, byte {byte}, {order:?}");
                let mut machine = before.clone();
                machine.reboot_with(before.storage.after_power_cut_at(byte, order));
                machine.run(&[Action::Batch(vec![1, 2])], &context).unwrap();
                machine.power_cut(byte as u64);
                machine.run(&[], &context).unwrap();
                cuts += 1;
                checked += machine.model.checked;
            }
        }
    }
    let fault = "power cut between any two bytes of what is not synced, at every operation";
    campaign.tell(fault, cuts, &format!("{checked} leases read back"), 0, "-");
}

/// A script from the start, and one that begins with the recovery of what that left.
fn beginnings() -> [Machine; 2] {
    let mut used = small();
    used.run(&everything(), "at first").unwrap();
    used.power_cut(3);
    [small(), used]
}

#[test]
fn every_operation_fails_in_every_way() {
    let campaign = Campaign::from_env();
    let faults = [
        Fault::Error(ErrorKind::StorageFull),
        Fault::Error(ErrorKind::Other),
        Fault::Broken,
        Fault::PowerCut,
    ];
    let seeds = campaign.times(2, 200);
    let (mut times, mut checked) = (0, 0);
    for (beginning, script) in beginnings().iter().map(|machine| (machine, everything())) {
        for at in 0..operations_of(beginning, &script) {
            for fault in faults {
                let mut failed = beginning.clone();
                failed.storage = failed.storage.after_kill();
                failed = failed.with_fault(at, fault);
                let _ = failed.run(&script, "until it fails");
                for seed in 0..seeds {
                    let context = format!("operation {at}, {fault:?}, seed {seed}");
                    let mut machine = failed.clone();
                    if seed % 2 == 0 && fault != Fault::PowerCut {
                        machine.kill();
                        machine.run(&[Action::Batch(vec![3])], &context).unwrap();
                    }
                    machine.power_cut(seed);
                    machine.run(&[Action::Batch(vec![1, 2])], &context).unwrap();
                    machine.power_cut(seed);
                    machine.run(&[], &context).unwrap();
                    times += 1;
                    checked += machine.model.checked;
                }
            }
        }
    }
    let fault = "the n-th operation fails (EIO, ENOSPC, all from there on, power), for every n, \
                 recovery and compaction included";
    campaign.tell(fault, times, &format!("{checked} leases read back"), 0, "-");
}

#[test]
fn a_refused_record_does_not_come_back_by_a_restart() {
    let mut machine = small();
    let first = Action::Batch(vec![1, 2]);
    let refused = Action::Batch(vec![1, 2, 3, 4]);
    let script = [first, Action::Space(Space::None), refused];
    machine.run(&script, "full").unwrap();
    for seed in 0..20 {
        let mut cut = machine.clone();
        cut.power_cut(seed);
        cut.run(&[], "power went").unwrap();
    }
    machine.kill();
    machine.run(&[], "killed").unwrap();
}

#[test]
fn machines_that_once_lost_something_do_so_no_more() {
    // The snapshot's name was not synced when a start removed what it stands for.
    live(4_711_048_972);
    // A batch whose sync had failed was taken for written, as there was no space to write it again.
    live(222_024_477);
}
