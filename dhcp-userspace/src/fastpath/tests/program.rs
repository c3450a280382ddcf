//! What the loaded program answers, against the host and on its own.

use dhcp_common::guard::{Asker, Class};

use super::*;

/// As counted when boots were added, on Linux 6.18; other kernels count somewhat otherwise.
const VERIFIED: u32 = 23_180;

#[test]
fn the_program_loads_and_stays_small() {
    let Some(lab) = Lab::new() else { return };
    let instructions = opened(&lab).verified_instructions().unwrap();
    println!("verified instructions: {instructions}");
    assert!(instructions < VERIFIED / 2 * 3, "{instructions}");
}

#[test]
fn kernel_and_host_say_the_same() {
    let Some(lab) = Lab::new() else { return };
    let fast_path = opened(&lab);
    let table = fast_path.table();
    let tags = [
        vec![],
        vec![(0x8100, 0x2064)],
        vec![(0x88a8, 7), (0x8100, 8)],
    ];
    for (tags, len) in tags
        .into_iter()
        .flat_map(|tags| (15..70).map(move |len| (tags.clone(), len)))
    {
        let request = Request {
            tags,
            ..Request::default()
        };
        for tail in [0, 1, 63] {
            let tail = vec![0x5a; tail];
            let plain = Reply {
                tail,
                ..Reply::of_len(len * 7)
            };
            for reply in [plain.clone(), plain.with_id()] {
                publish(&table, &request, &reply, now());
                assert_eq!(same_as_host(&fast_path, &request.frame()), Reason::Hit);
                assert_eq!(
                    same_as_host(&fast_path, &reply.frame(&request)),
                    Reason::NotDhcp
                );
            }
        }
    }
}

#[test]
fn kernel_and_host_refuse_the_same() {
    let Some(lab) = Lab::new() else { return };
    let fast_path = opened(&lab);
    let table = fast_path.table();
    publish(&table, &Request::default(), &Reply::default(), now());
    for (want, request) in refusals() {
        assert_eq!(same_as_host(&fast_path, &request.frame()), want);
    }
    let frame = Request::default().frame();
    for (at, change) in (0..frame.len()).flat_map(|at| [0x01, 0x80, 0xff].map(|c| (at, c))) {
        let mut frame = frame.clone();
        frame[at] ^= change;
        same_as_host(&fast_path, &frame);
    }
    // The kernel runs nothing shorter than an Ethernet header.
    for len in 14..frame.len() {
        assert_ne!(same_as_host(&fast_path, &frame[..len]), Reason::Hit);
    }
    for (want, expires, reserved_until) in untimely(now()) {
        publish_with(&table, &Request::default(), &Reply::default(), |lease| {
            (lease.expires, lease.reserved_until) = (expires, reserved_until);
        });
        assert_eq!(same_as_host(&fast_path, &frame), want);
    }
}

/// A DISCOVER of the client; `by` is the relay, or all zeros.
fn discover(by: [u8; 4]) -> Request {
    Request {
        to: [0xff; 6],
        ciaddr: [0; 4].into(),
        source: [0; 4].into(),
        destination: [255; 4].into(),
        giaddr: by.into(),
        options: vec![53, 1, 1, 55, 2, 1, 3, 255],
        ..Request::default()
    }
}

#[test]
fn the_guard_drops_whom_it_is_told_to_and_touches_no_byte() {
    let Some(lab) = Lab::new() else { return };
    let fast_path = opened(&lab);
    let table = fast_path.table();
    let renewal = Request::default();
    publish(&table, &renewal, &Reply::default(), now());
    let guard = table.guard();
    let client = mac_bits(&CLIENT, 0);
    let asker = Asker {
        mac: client,
        ingress: renewal.link().pack(),
        source: mac_bits(&testing::ROUTER, 0),
        class: Class::First,
        foreign: false,
        selects: false,
    };
    guard.block(&asker, now() + 3600 * SECOND, now());
    guard.hold(u64::MAX);
    let say = |request: &Request| same_as_host(&fast_path, &request.frame());
    assert_eq!(say(&renewal), Reason::Hit, "nothing is served yet");
    guard.serve(&[renewal.link().pack()], &[SERVER.to_bits()]);
    let relayed = Request {
        destination: SERVER,
        ..discover([10, 0, 9, 1])
    };
    assert_eq!(say(&renewal), Reason::Blocked);
    assert_eq!(say(&discover([0; 4])), Reason::Blocked);
    assert_eq!(say(&relayed), Reason::Relayed, "another place");
    let tagged = Request {
        tags: vec![(0x8100, 7)],
        ..renewal.clone()
    };
    assert_eq!(say(&tagged), Reason::Hit, "another link");
    let mut forged = discover([0; 4]).frame();
    forged[11] ^= 1;
    let reason = same_as_host(&fast_path, &forged);
    assert_eq!(reason, Reason::MemoMiss, "sent by another");
    guard.unblock_all();
    assert_eq!(say(&renewal), Reason::Hit);
}

#[test]
fn the_guard_throttles_strangers_and_no_client_that_it_knows() {
    let Some(lab) = Lab::new() else { return };
    let fast_path = opened(&lab);
    let table = fast_path.table();
    publish(&table, &Request::default(), &Reply::default(), now());
    let guard = table.guard();
    guard.serve(&[Request::default().link().pack()], &[SERVER.to_bits()]);
    guard.limit(1);
    guard.hold(u64::MAX);
    // So that the next one is far away.
    table.meta().guard.interval.store(3600 * SECOND);
    let say = |request: &Request| same_as_host(&fast_path, &request.frame());
    let ask = |request: &Request| fast_path.test_run(&request.frame(), IFINDEX).unwrap().0;
    let relayed = Request {
        destination: SERVER,
        ports: (67, 67),
        ..discover([10, 0, 9, 1])
    };
    for request in [&discover([0; 4]), &relayed] {
        assert_eq!(ask(request), XDP_PASS, "the first");
        assert_eq!(say(request), Reason::Throttled);
    }
    let long = Request {
        options: [discover([0; 4]).options, vec![0; 600]].concat(),
        ..discover([0; 4])
    };
    assert_eq!(say(&long), Reason::Throttled, "padding is no way round");
    let elsewhere = Request {
        destination: [10, 0, 0, 77].into(),
        ..relayed.clone()
    };
    assert_eq!(say(&elsewhere), Reason::Relayed, "only passing through");
    let renewal = say(&Request::default());
    assert_eq!(renewal, Reason::Throttled, "a ciaddr is no way round");
    guard.offer(mac_bits(&CLIENT, 0));
    assert_eq!(say(&discover([0; 4])), Reason::Throttled);
    let mut request = discover([0; 4]);
    request.options[2] = 3;
    assert_eq!(say(&request), Reason::MemoMiss, "takes an offer");
    guard.know(mac_bits(&CLIENT, 0));
    assert_eq!(say(&discover([0; 4])), Reason::MemoMiss);
    assert_eq!(say(&relayed), Reason::Relayed);
    assert_eq!(say(&Request::default()), Reason::Hit);
    let mut foreign = discover([0; 4]).frame();
    foreign[43..45].copy_from_slice(&[32, 0]);
    let reason = same_as_host(&fast_path, &foreign);
    assert_eq!(reason, Reason::Throttled, "neither is other hardware");
    guard.hold(now());
    assert_eq!(same_as_host(&fast_path, &foreign), Reason::NotRequest);
}

#[test]
fn kernel_and_host_agree_on_mutated_frames() {
    let Some(lab) = Lab::new() else { return };
    let fast_path = opened(&lab);
    let reply = Reply {
        tail: vec![12, 2, b'h', b'i'],
        ..Reply::of_len(41).with_id()
    };
    publish(&fast_path.table(), &Request::default(), &reply, now());
    let whole = Request::default().frame();
    let changes = prop::collection::vec((any::<usize>(), any::<u8>()), 0..5);
    let strategy = (changes, 0usize..120, 0usize..30);
    let mut runner = proptest::test_runner::TestRunner::default();
    let outcome = runner.run(&strategy, |(changes, longer, shorter)| {
        let mut frame = whole.clone();
        frame.resize(whole.len() + longer - shorter.min(longer), 0);
        for (at, byte) in changes {
            let at = at % frame.len();
            frame[at] = byte;
        }
        same_as_host(&fast_path, &frame);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn explaining_changes_nothing() {
    let Some(lab) = Lab::new() else { return };
    let fast_path = opened(&lab);
    let table = fast_path.table();
    let index = publish(&table, &Request::default(), &Reply::default(), now());
    let before = (table.slot(index).lease(), fast_path.counters());
    let mut request = Request::default();
    let explain = |request: &Request, memo| {
        fast_path
            .explain(&request.frame(), IFINDEX, memo, Now::read())
            .unwrap()
    };
    assert_eq!(explain(&request, None), Reason::Hit);
    request.options[2] = 1;
    assert_eq!(explain(&request, None), Reason::MemoMiss);
    assert_eq!(
        explain(&request, Some(memo_of(&table, &options()))),
        Reason::Hit
    );
    assert_eq!(
        explain(&request, None),
        Reason::MemoMiss,
        "the assumption is gone"
    );
    assert_eq!((table.slot(index).lease(), fast_path.counters()), before);
    let nowhere = fast_path.explain(&request.frame(), 4_000_000, None, Now::read());
    assert!(
        nowhere
            .unwrap_err()
            .to_string()
            .contains("interface 4000000")
    );
}

/// Where a test's log lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_client_can_be_traced() {
    let Some(lab) = Lab::new() else { return };
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    tracing::subscriber::with_default(subscriber.finish(), || {
        let mut fast_path = opened(&lab);
        publish(
            &fast_path.table(),
            &Request::default(),
            &Reply::default(),
            now(),
        );
        let foreign = Request {
            to: [2, 0, 0, 0, 0, 9],
            chaddr: OURS,
            ..Request::default()
        };
        for mac in [Some(CLIENT), None, Some(OURS), Some(CLIENT), None] {
            fast_path.trace(mac);
            fast_path
                .test_run(&Request::default().frame(), IFINDEX)
                .unwrap();
            // Leaves the last frame's client where the program would look for its own.
            fast_path.test_run(&foreign.frame(), IFINDEX).unwrap();
        }
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text.matches("mac=52:54:00:12:34:56 reason=\"hit\"").count(),
        2,
        "{text}"
    );
    assert!(!text.contains("not-ours"), "{text}");
}

#[test]
fn what_a_killed_run_was_asked_for_is_forgotten() {
    let Some(lab) = Lab::new() else { return };
    let mut first = opened(&lab);
    first.trace(Some(CLIENT));
    first.table().meta().assume_memo.store(7);
    drop(first);
    let second = opened(&lab);
    let meta = second.table();
    let meta = meta.meta();
    assert_eq!(
        (meta.trace.load(), meta.assume_memo.load()),
        (0, memo::NONE)
    );
}
