use std::sync::mpsc::{Receiver, Sender, channel};

use super::super::faulty::Fault;
use super::super::queue::CAPACITY;
use super::super::{Committer, Verdict};
use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Durable(Vec<u32>),
    Refused(Vec<u32>),
    Failed(Vec<u32>),
    Other,
}

fn tell(to: &Sender<Told>, verdict: Verdict<'_, u32>) {
    let told = match verdict {
        Verdict::Durable(tickets) => Told::Durable(std::mem::take(tickets)),
        Verdict::Refused(tickets, JournalError::Full) => Told::Refused(tickets.clone()),
        Verdict::Failed(tickets, _) => Told::Failed(tickets.clone()),
        _ => Told::Other,
    };
    to.send(told).unwrap();
}

fn start(storage: &Faulty) -> (Committer<u32>, Receiver<Told>) {
    start_with(open(storage).0)
}

fn start_with(log: Log) -> (Committer<u32>, Receiver<Told>) {
    let (sender, receiver) = channel();
    let committer = Committer::start(log, || NOW, move |verdict| tell(&sender, verdict));
    (committer.unwrap(), receiver)
}

fn durable(told: &Receiver<Told>) -> Vec<u32> {
    told.iter()
        .flat_map(|told| match told {
            Told::Durable(tickets) => tickets,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_lone_record_is_committed_at_once() {
    let storage = Faulty::default();
    let (committer, told) = start(&storage);
    committer.handle().append(&bound(1), 1).unwrap();
    assert_eq!(told.recv().unwrap(), Told::Durable(vec![1]));
    assert_eq!(open(&storage.after_power_cut(0)).1.records, [bound(1)]);
    committer.shutdown().unwrap();
}

#[test]
fn shutdown_commits_all_that_is_queued_in_order() {
    let storage = Faulty::default();
    let (committer, told) = start(&storage);
    let handle = committer.handle();
    for address in 0..1000 {
        handle.append(&bound(address), address).unwrap();
    }
    committer.shutdown().unwrap();
    let rejected = handle.append(&bound(5), 55).unwrap_err();
    assert_eq!(rejected.ticket, 55);
    assert!(matches!(rejected.error, JournalError::Closed));
    assert_eq!(durable(&told), (0..1000).collect::<Vec<_>>());
    let stats = handle.stats();
    assert_eq!(stats.records.get(), 1000);
    assert!(stats.largest_batch.get() >= stats.records.get() / stats.batches.get());
    let (_, replayed) = open(&storage.after_power_cut(9));
    assert_eq!(replayed.records.len(), 1000);
    assert_eq!(replayed.records[999], bound(999));
}

#[test]
fn many_threads_append_and_the_log_is_compacted_meanwhile() {
    let storage = Faulty::default();
    let (committer, told) = start(&storage);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let handle = committer.handle();
            scope.spawn(move || {
                for number in 0..500 {
                    let record = bound(thread * 10 + number % 10);
                    handle.append(&record, thread << 16 | number).unwrap();
                }
            });
        }
    });
    // The helper is woken at the next segment, if it has not compacted by now.
    let handle = committer.handle();
    let mut tickets = Vec::new();
    loop {
        handle.append(&bound(50), u32::MAX).unwrap();
        match told.recv().unwrap() {
            Told::Durable(more) => tickets.extend(more),
            other => panic!("{other:?}"),
        }
        if handle.stats().compactions.get() > 0 {
            break;
        }
    }
    committer.shutdown().unwrap();
    tickets.extend(durable(&told));
    for thread in 0..4 {
        let of_thread = tickets.iter().filter(|ticket| **ticket >> 16 == thread);
        let numbers: Vec<u32> = of_thread.map(|ticket| ticket & 0xffff).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    }
    let (_, replayed) = open(&storage.after_power_cut(4));
    assert_eq!((replayed.records.len(), replayed.damage), (41, vec![]));
}

#[test]
fn the_next_segment_is_prepared_while_the_first_is_used() {
    let storage = Faulty::default();
    let (committer, told) = start(&storage);
    committer.handle().append(&bound(1), 1).unwrap();
    assert_eq!(told.recv().unwrap(), Told::Durable(vec![1]));
    // Ends with what the helper was woken for.
    committer.shutdown().unwrap();
    assert_eq!(files(&storage, ".segment").len(), 2);
}

#[test]
fn a_full_disk_gives_the_tickets_back() {
    let storage = Faulty::default();
    let (committer, told) = start(&storage);
    let handle = committer.handle();
    handle.append(&bound(0), 0).unwrap();
    assert_eq!(told.recv().unwrap(), Told::Durable(vec![0]));
    storage.set_full(true);
    let mut kept = 1;
    let refused = loop {
        handle.append(&bound(kept), kept).unwrap();
        match told.recv().unwrap() {
            Told::Durable(tickets) => kept += tickets.len() as u32,
            Told::Refused(tickets) => break tickets,
            Told::Other => {}
            failed @ Told::Failed(_) => panic!("{failed:?}"),
        }
    };
    assert_eq!(refused, [kept]);
    assert_eq!(handle.stats().refused.get(), 1);
    committer.shutdown().unwrap();
    let (_, replayed) = open(&storage.after_power_cut(0));
    assert_eq!(replayed.records, (0..kept).map(bound).collect::<Vec<_>>());
}

#[test]
fn a_failed_sync_ends_it_all() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.append(&bound(1), NOW).unwrap();
    log.sync().unwrap();
    // So that the helper has nothing to do.
    log.upkeep().prepare(NOW).unwrap();
    let sync = storage.operations() + 1;
    let other = Fault::Error(std::io::ErrorKind::Other);
    let _ = storage.clone().with_fault(sync, other);
    let (committer, told) = start_with(log);
    let handle = committer.handle();
    handle.append(&bound(2), 2).unwrap();
    assert_eq!(told.iter().collect::<Vec<_>>(), [Told::Failed(vec![2])]);
    let rejected = handle.append(&bound(3), 3).unwrap_err();
    assert!(matches!(rejected.error, JournalError::Io { .. }));
    assert!(matches!(committer.shutdown(), Err(JournalError::Io { .. })));
    assert_eq!(open(&storage.after_power_cut(1)).1.records, [bound(1)]);
}

#[test]
fn more_than_the_queue_holds_is_refused() {
    let storage = Faulty::default();
    let log = open_with(
        &storage,
        Settings {
            segment_size: 1 << 20,
            ..SMALL
        },
    )
    .unwrap()
    .0;
    let (go, wait) = channel::<()>();
    let (entered, inside) = channel();
    let on_verdict = move |_: Verdict<'_, u32>| {
        let _ = entered.send(());
        let _ = wait.recv();
    };
    let committer = Committer::start(log, || NOW, on_verdict).unwrap();
    let handle = committer.handle();
    handle.append(&bound(0), 0).unwrap();
    inside.recv().unwrap();
    for ticket in 0..CAPACITY as u32 {
        assert_eq!(handle.is_half_full(), ticket >= CAPACITY as u32 / 2);
        handle.append(&bound(1), ticket).unwrap();
    }
    let rejected = handle.append(&bound(1), 7).unwrap_err();
    assert!(matches!(rejected.error, JournalError::Busy));
    assert_eq!(rejected.ticket, 7);
    drop(go);
    committer.shutdown().unwrap();
}

#[test]
fn a_panic_in_the_callback_is_not_waited_for() {
    let storage = Faulty::default();
    let log = open(&storage).0;
    let (entered, inside) = channel::<()>();
    let on_verdict = move |_: Verdict<'_, u32>| {
        let _keep_until_unwound = &entered;
        panic!("a test of panics");
    };
    let committer = Committer::start(log, || NOW, on_verdict).unwrap();
    let handle = committer.handle();
    handle.append(&bound(0), 0).unwrap();
    assert!(inside.recv().is_err());
    committer.shutdown().unwrap();
    assert!(handle.append(&bound(0), 0).is_err());
}
