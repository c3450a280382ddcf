use super::super::CLOCK_STEP;
use super::super::faulty::Fault;
use super::super::replay::MARGIN;
use super::*;

const OTHER_BOOT: [u8; 16] = [8; 16];
/// Leases of another boot end so many seconds later.
const LATER: u64 = MARGIN / SECOND;

fn reopen(storage: &Faulty, now: Now, boot_id: [u8; 16]) -> (Log, Replayed) {
    Log::open(Arc::new(storage.clone()), SMALL, now, boot_id).unwrap()
}

/// Ten minutes after `NOW`, five of which the machine has been up.
const REBOOTED: Now = Now {
    boot: 300 * SECOND,
    unix: NOW.unix + 600 * SECOND,
};

fn lease(address: u32, reserved_until: u64) -> Record {
    Record {
        reserved_until,
        ..bound(address)
    }
}

fn write(log: &mut Log, record: &Record, now: Now) {
    log.append(record, now).unwrap();
    log.sync().unwrap();
}

fn untils(replayed: &Replayed) -> Vec<u64> {
    replayed
        .records
        .iter()
        .map(|r| r.reserved_until / SECOND)
        .collect()
}

#[test]
fn the_same_boot_changes_nothing() {
    let storage = Faulty::default();
    write(&mut open(&storage).0, &lease(1, 5), NOW);
    let later = Now {
        boot: NOW.boot + 9,
        unix: 1,
    };
    assert_eq!(reopen(&storage, later, BOOT).1.records, [lease(1, 5)]);
}

#[test]
fn a_reboot_keeps_the_wall_time() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    write(&mut log, &lease(1, NOW.boot + 3600 * SECOND), NOW);
    write(&mut log, &lease(2, NOW.boot + 10 * SECOND), NOW);
    let (mut log, replayed) = reopen(&storage, REBOOTED, OTHER_BOOT);
    // 3600 s from `NOW` are 3000 s from now; the other lapsed before this boot.
    assert_eq!(untils(&replayed), [3300 + LATER, 0]);
    write(&mut log, &lease(3, 777 * SECOND), REBOOTED);
    let again = Now {
        boot: 100 * SECOND,
        unix: REBOOTED.unix + 200 * SECOND,
    };
    assert_eq!(
        untils(&reopen(&storage, again, [9; 16]).1),
        [2900 + LATER, 0, 377 + LATER]
    );
}

#[test]
fn a_clock_that_moved_by_too_little_to_be_written_ends_no_lease_early() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    let until = NOW.boot + 3600 * SECOND;
    write(&mut log, &lease(1, until), NOW);
    let set = Now {
        unix: NOW.unix + CLOCK_STEP,
        ..NOW
    };
    write(&mut log, &lease(2, until), set);
    let end = set.to_unix(until);
    let rebooted = Now {
        unix: REBOOTED.unix + SECOND,
        ..REBOOTED
    };
    for record in reopen(&storage, rebooted, OTHER_BOOT).1.records {
        assert!(rebooted.to_unix(record.reserved_until) >= end, "{record:?}");
    }
}

#[test]
fn a_compaction_keeps_the_clocks() {
    let storage = Faulty::default();
    write(
        &mut open(&storage).0,
        &lease(1, NOW.boot + 3600 * SECOND),
        NOW,
    );
    let (mut log, _) = reopen(&storage, REBOOTED, OTHER_BOOT);
    write(&mut log, &lease(2, 400 * SECOND), REBOOTED);
    let (log, _) = reopen(&storage, REBOOTED, OTHER_BOOT);
    compact(&log).unwrap();
    assert_eq!(files(&storage, ".segment"), [""; 0]);
    assert_eq!(
        untils(&reopen(&storage, REBOOTED, OTHER_BOOT).1),
        [3300 + LATER, 400]
    );
    let again = Now {
        boot: 0,
        unix: REBOOTED.unix,
    };
    assert_eq!(
        untils(&reopen(&storage, again, [9; 16]).1),
        [3000 + LATER, 100 + LATER]
    );
}

#[test]
fn the_last_step_of_a_clock_counts_for_its_whole_boot() {
    let storage = Faulty::default();
    let unset = Now {
        boot: NOW.boot - 100 * SECOND,
        unix: 5 * SECOND,
    };
    let (mut log, _) = reopen(&storage, unset, BOOT);
    write(&mut log, &lease(1, NOW.boot + 3600 * SECOND), unset);
    let before = log.stats().bytes.get();
    write(&mut log, &lease(2, NOW.boot + 3600 * SECOND), NOW);
    let with_clock = log.stats().bytes.get() - before;
    let drifted = Now {
        unix: NOW.unix + CLOCK_STEP,
        ..NOW
    };
    write(&mut log, &lease(3, NOW.boot), drifted);
    let without = log.stats().bytes.get() - before - with_clock;
    // Hostname and client identifier of address 3 are one byte longer each.
    assert_eq!(with_clock - without + 2, 40);
    assert_eq!(
        untils(&reopen(&storage, REBOOTED, OTHER_BOOT).1)[..2],
        [3300 + LATER, 3300 + LATER]
    );
}

#[test]
fn a_lost_clock_record_keeps_leases_rather_too_long() {
    let storage = Faulty::default();
    write(
        &mut open(&storage).0,
        &lease(1, NOW.boot + 3600 * SECOND),
        NOW,
    );
    let segment = files(&storage, ".segment").remove(0);
    let mut content = storage.content(&segment);
    content[20] ^= 1;
    storage.set_content(&segment, &content);
    let (_, replayed) = reopen(&storage, REBOOTED, OTHER_BOOT);
    assert_eq!(replayed.damage.len(), 1);
    assert_eq!(untils(&replayed), [NOW.boot / SECOND + 3600 + LATER]);
    assert!(untils(&replayed)[0] > 3300);
}

#[test]
fn a_clock_record_that_found_no_space_is_written_again() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.upkeep().prepare(NOW).unwrap();
    let full = Fault::Error(std::io::ErrorKind::StorageFull);
    let _ = storage.clone().with_fault(storage.operations(), full);
    log.append(&lease(1, 1), NOW).unwrap();
    assert!(matches!(log.sync(), Err(JournalError::Full)));
    write(&mut log, &lease(1, NOW.boot + 3600 * SECOND), NOW);
    assert_eq!(
        untils(&reopen(&storage, REBOOTED, OTHER_BOOT).1),
        [3300 + LATER]
    );
}
