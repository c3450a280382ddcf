//! With the loaded program. As root; otherwise these say that they were skipped.

use std::os::unix::process::CommandExt;
use std::process::Command;

use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_common::slot::Kind;
use proptest::prelude::*;

use super::host::HostEnv;
use super::lab::{Elsewhere, Lab, Wire, interface, run, skip, veth};
use super::testing::{
    ADDRESS, CLIENT, IFINDEX, OURS, Reply, Request, memo_of, options, publish, publish_with,
    refusals, set_up, untimely,
};
use super::*;
use crate::lease::table::Size;

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

fn now() -> u64 {
    Now::read().boot
}

/// Opens with an address in the table and lo, which every namespace has, as interface.
fn opened(lab: &Lab) -> FastPath {
    let fast_path = open(&lab.config).unwrap();
    assert!(fast_path.is_kernel(), "{:?}", fast_path.why_off());
    set_up(&fast_path.table());
    fast_path
}

fn only_port(fast_path: &FastPath) -> PortReport {
    let [report] = fast_path.report().try_into().expect("one interface");
    report
}

#[test]
fn the_program_loads_and_stays_small() {
    let Some(lab) = Lab::new() else { return };
    let instructions = opened(&lab).verified_instructions().unwrap();
    println!("verified instructions: {instructions}");
    assert!(instructions < 100_000, "{instructions}");
}

/// Both targets on the same table: the same reason, the same bytes.
fn same_as_host(fast_path: &FastPath, frame: &[u8]) -> Reason {
    let table = fast_path.table();
    let before = fast_path.counters();
    let (action, kernel) = fast_path.test_run(frame, IFINDEX).unwrap();
    let counted: Vec<u64> = fast_path
        .counters()
        .iter()
        .zip(before)
        .map(|(a, b)| a - b)
        .collect();
    let mut host = frame.to_vec();
    let mut env = HostEnv {
        table: &table,
        frame: &mut host,
        ifindex: IFINDEX,
        now: now(),
    };
    let reason = env.answer(&mut Scratch::default());
    assert_eq!(kernel, host, "{reason:?}");
    assert_eq!(
        action,
        if reason == Reason::Hit {
            XDP_TX
        } else {
            XDP_PASS
        }
    );
    assert_eq!(
        (counted[reason as usize], counted.iter().sum()),
        (1, 1u64),
        "{reason:?}"
    );
    reason
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

#[test]
fn a_restart_finds_table_key_and_counters() {
    let Some(lab) = Lab::new() else { return };
    let first = opened(&lab);
    publish(
        &first.table(),
        &Request::default(),
        &Reply::default(),
        now(),
    );
    assert_eq!(
        same_as_host(&first, &Request::default().frame()),
        Reason::Hit
    );
    let lease = first
        .table()
        .slot(first.table().index(ADDRESS).unwrap())
        .lease();
    let (key, size) = (first.table().meta().key[5].load(), first.table().size());
    drop(first);

    let second = open(&lab.config).unwrap();
    let table = second.table();
    assert_eq!((table.meta().key[5].load(), table.size()), (key, size));
    assert_eq!(table.slot(table.index(ADDRESS).unwrap()).lease(), lease);
    assert_eq!(second.counters()[Reason::Hit as usize], 1);
    assert_eq!(
        same_as_host(&second, &Request::default().frame()),
        Reason::Hit
    );
}

#[test]
fn a_table_that_is_too_small_is_replaced_and_its_leases_carried() {
    let Some(mut lab) = Lab::new() else { return };
    let first = opened(&lab);
    publish(
        &first.table(),
        &Request::default(),
        &Reply::default(),
        now(),
    );
    drop(first);
    for (capacity, pools) in [
        (None, "10.0.1.0-10.0.9.255"),
        (Some(20_000), "10.0.1.0-10.0.1.9"),
    ] {
        lab.config.subnets = testing::config(pools).subnets;
        lab.config.fast_path.capacity = capacity;
        let next = opened(&lab);
        let wanted = Needs::of(&lab.config).size();
        assert!(next.table().size().blocks >= wanted.blocks);
        assert_eq!(
            same_as_host(&next, &Request::default().frame()),
            Reason::Hit
        );
    }
    lab.config.fast_path.capacity = Some(256);
    let last = opened(&lab);
    assert!(
        last.table().size().slots() >= 20_000,
        "a larger one is kept"
    );
}

#[test]
fn strange_pins_are_not_trusted() {
    let Some(lab) = Lab::new() else { return };
    let first = opened(&lab);
    let pins = Pins::of(&lab.config);
    let slots = pins.maps().join("SLOTS");
    drop(first);
    std::fs::remove_file(&slots).unwrap();
    std::fs::rename(pins.maps().join("TAILS"), &slots).unwrap();
    assert!(maps::pinned_table(&pins.maps()).is_none(), "one is missing");
    let second = opened(&lab);
    drop(second);
    std::fs::remove_file(&slots).unwrap();
    std::fs::rename(pins.maps().join("ROOT"), &slots).unwrap();
    std::fs::hard_link(&slots, pins.maps().join("ROOT")).ok();
    assert!(
        maps::pinned_table(&pins.maps()).is_none(),
        "one is of another kind"
    );
    assert!(opened(&lab).table().size().blocks >= 1);
}

#[test]
fn turned_off_the_leases_come_along_and_the_kernel_falls_silent() {
    let Some(mut lab) = Lab::new() else { return };
    veth();
    let mut first = opened(&lab);
    first.set_interfaces(&[interface("ours", OURS)]);
    publish(
        &first.table(),
        &Request::default(),
        &Reply::default(),
        now(),
    );
    drop(first);
    assert!(lab.pins() > 0);
    lab.config.fast_path.mode = FastPathMode::Off;
    let second = open(&lab.config).unwrap();
    assert!(matches!(second.why_off(), Some(Off::Mode)));
    assert_eq!(lab.pins(), 0);
    let table = second.table();
    assert_eq!(
        table.slot(table.index(ADDRESS).unwrap()).kind(),
        Kind::Bound
    );
    assert_eq!(attached("ours"), netlink::Attached::default());
}

#[test]
fn bpf_memory_behaves_as_anonymous_memory() {
    let Some(lab) = Lab::new() else { return };
    let fast_path = opened(&lab);
    let plain = Table::anonymous(Size::for_addresses(2, 2)).unwrap();
    set_up(&plain);
    for table in [&*fast_path.table(), &plain] {
        let index = publish_with(table, &Request::default(), &Reply::default(), |lease| {
            lease.expires = 7;
        });
        let slot = table.slot(index);
        assert!(slot.try_lock() && !slot.try_lock());
        assert_eq!(slot.close(), 7);
        slot.publish(Kind::Released, false, &slot.lease());
        assert_eq!(
            (slot.kind(), slot.is_valid(), slot.is_locked()),
            (Kind::Released, false, false)
        );
        assert_eq!(table.addresses().count(), 256);
    }
}

fn attached(name: &str) -> netlink::Attached {
    let devices = netlink::devices().unwrap();
    devices
        .into_iter()
        .find(|device| device.name == name)
        .unwrap()
        .xdp
}

/// A renewal over the wire for a lease on `ours`, and whether the reply arrives at the far end.
fn renewed(fast_path: &FastPath, far: &mut Wire) -> bool {
    let (request, reply) = (Request::default(), Reply::default());
    publish(&fast_path.table(), &request, &reply, now());
    far.echoes(&request.frame(), &reply.frame(&request))
}

fn hits(fast_path: &FastPath) -> u64 {
    fast_path.counters()[Reason::Hit as usize]
}

#[test]
fn automatic_on_veth_without_a_program_at_the_far_end() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Generic);
    assert!(
        report.why.contains("no native XDP program"),
        "{}",
        report.why
    );
    assert!(renewed(&fast_path, &mut Wire::on("far")));
    assert_eq!(hits(&fast_path), 1);
}

#[test]
fn automatic_on_veth_with_a_program_at_the_far_end() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let pass = attach_pass("far", None).unwrap();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);
    let mut far = Wire::on("far");
    assert!(renewed(&fast_path, &mut far));
    fast_path.check();
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);

    drop(pass);
    fast_path.check();
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Generic, "{}", report.why);
    assert!(renewed(&fast_path, &mut far));
}

#[test]
fn the_far_end_is_seen_in_another_namespace() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let elsewhere = Elsewhere::new();
    elsewhere.take("far");
    run(&["ip", "link", "set", "ours", "up"]);
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
    fast_path.detach().unwrap();

    let _pass = elsewhere.within(|| attach_pass("far", None).unwrap());
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);
    let mut far = elsewhere.within(|| Wire::on("far"));
    assert!(renewed(&fast_path, &mut far));
}

#[test]
fn lost_native_replies_are_noticed() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let lab = lab.with_mode(FastPathMode::Native);
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);
    fast_path.check();
    assert_eq!(
        only_port(&fast_path).mode,
        PortMode::Native,
        "nothing was lost yet"
    );
    let mut far = Wire::on("far");
    assert!(
        !renewed(&fast_path, &mut far),
        "attaching succeeds, replies vanish"
    );
    fast_path.check();
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Generic);
    assert!(
        report.why.contains("1 native XDP replies were lost"),
        "{}",
        report.why
    );
    assert!(renewed(&fast_path, &mut far));
}

#[test]
fn a_foreign_program_is_respected_and_named() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let _foreign = attach_pass("ours", None).unwrap();
    let id = attached("ours").native;
    for mode in [FastPathMode::Native, FastPathMode::Generic] {
        let mut lab_config = lab.config.clone();
        lab_config.fast_path.mode = mode;
        let mut fast_path = open(&lab_config).unwrap();
        fast_path.set_interfaces(&[interface("ours", OURS)]);
        let report = only_port(&fast_path);
        assert_eq!(report.mode, PortMode::Userspace);
        assert!(
            report.why.contains(&format!("(id {id}, `xdhcp_pass`)")),
            "{}",
            report.why
        );
        assert_eq!(attached("ours").native, id);
    }
}

#[test]
fn a_restart_keeps_the_link_and_leaving_an_interface_removes_it() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let link = |lab: &Lab| {
        let path = Pins::of(&lab.config).link(interface("ours", OURS).index);
        let link = aya::programs::links::PinnedLink::from_pin(path).unwrap();
        aya::programs::links::FdLink::from(link)
            .info()
            .unwrap()
            .id()
    };
    let mut first = opened(&lab);
    first.set_interfaces(&[interface("ours", OURS)]);
    let (id, program) = (link(&lab), attached("ours").generic);
    drop(first);
    assert_eq!(
        attached("ours").generic,
        program,
        "goes on without the daemon"
    );

    let mut second = open(&lab.config).unwrap();
    second.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(link(&lab), id, "the same link");
    assert_ne!(attached("ours").generic, program, "with the new program");
    assert_eq!(only_port(&second).mode, PortMode::Generic);
    assert!(renewed(&second, &mut Wire::on("far")));

    second.set_interfaces(&[]);
    assert_eq!(attached("ours"), netlink::Attached::default());
    assert!(second.report().is_empty());
}

#[test]
fn a_link_of_an_earlier_layout_is_taken_over() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut first = opened(&lab);
    first.set_interfaces(&[interface("ours", OURS)]);
    drop(first);
    let pins = Pins::of(&lab.config);
    let old = pins.root().join("v0-00000000");
    std::fs::rename(pins.current(), &old).unwrap();
    let mut second = opened(&lab);
    second.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&second).mode, PortMode::Generic);
    assert!(!old.exists() && pins.link(interface("ours", OURS).index).exists());
    assert!(renewed(&second, &mut Wire::on("far")));
}

#[test]
fn detaching_leaves_nothing_behind() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    fast_path.detach().unwrap();
    assert_eq!(
        (lab.pins(), attached("ours")),
        (0, netlink::Attached::default())
    );
    assert!(only_port(&fast_path).why.contains("fastpath detach"));
    publish(
        &fast_path.table(),
        &Request::default(),
        &Reply::default(),
        now(),
    );

    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    drop(fast_path);
    assert_eq!(detach(&lab.config).unwrap(), 1);
    assert_eq!(
        (lab.pins(), attached("ours")),
        (0, netlink::Attached::default())
    );
}

#[test]
fn without_a_bpffs_it_works_until_the_daemon_stops() {
    let Some(mut lab) = Lab::new() else { return };
    veth();
    let plain = tempfile::tempdir().unwrap();
    lab.config.fast_path.pin_dir = plain.path().to_owned();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
    assert!(renewed(&fast_path, &mut Wire::on("far")));
    drop(fast_path);
    assert_eq!(attached("ours"), netlink::Attached::default());
}

#[test]
fn vlans_behind_an_offload_are_left_to_the_daemon() {
    let Some(mut lab) = Lab::new() else { return };
    veth();
    let subnet = &mut lab.config.subnets[0];
    (subnet.interface, subnet.vlan) = (Some("ours".into()), [100, 0]);
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Userspace);
    assert!(
        report.why.contains("ethtool -K ours rxvlan off"),
        "{}",
        report.why
    );
    run(&["ethtool", "-K", "ours", "rxvlan", "off"]);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
}

#[test]
fn interfaces_that_share_a_place() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    let other = Interface {
        index: interface("ours", OURS).index + 256,
        name: "other".into(),
        ..interface("ours", OURS)
    };
    fast_path.set_interfaces(&[interface("ours", OURS), other]);
    let modes: Vec<_> = fast_path
        .report()
        .into_iter()
        .map(|port| port.mode)
        .collect();
    assert_eq!(modes, [PortMode::Generic, PortMode::Userspace]);
}

#[test]
fn an_old_kernel_costs_speed_only() {
    let config = testing::config("10.0.1.0-10.0.1.255");
    let platform = Platform {
        kernel: Release::parse("5.15.0"),
        ..Platform::current()
    };
    let mut fast_path = open_on(&config, &platform).unwrap();
    let why = fast_path.why_off().unwrap().to_string();
    assert!(
        why.contains("needs Linux 5.18") || why.contains("build-ebpf"),
        "{why}"
    );
    let lo = Interface {
        index: IFINDEX,
        name: "lo".into(),
        mac: OURS,
        mtu: 1500,
        addresses: Vec::new(),
    };
    fast_path.set_interfaces(&[lo]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Userspace);
    let table = fast_path.table();
    table.add(ADDRESS).unwrap();
    publish(&table, &Request::default(), &Reply::default(), now());
    let frame = Request::default().frame();
    assert_eq!(
        fast_path
            .explain(&frame, IFINDEX, None, Now::read())
            .unwrap(),
        Reason::Hit
    );
    assert!(fast_path.test_run(&frame, IFINDEX).is_err());
    fast_path.check();
    assert_eq!(fast_path.counters(), [0; Reason::COUNT]);
}

/// What the test below runs as nobody.
#[test]
#[ignore = "run by without_privilege_it_says_what_is_missing"]
fn as_nobody() {
    let config = testing::config("10.0.1.0-10.0.1.255");
    let fast_path = open(&config).unwrap();
    println!("WHY: {}", fast_path.why_off().unwrap());
}

#[test]
fn without_privilege_it_says_what_is_missing() {
    if Platform::current().check().is_err() {
        return skip("not root, or no XDP program embedded");
    }
    // Nobody may not be able to reach this program where it is.
    let copy = tempfile::tempdir().unwrap();
    run(&["chmod", "755", copy.path().to_str().unwrap()]);
    let program = copy.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let arguments = [
        "--exact",
        "--ignored",
        "--nocapture",
        "fastpath::tests::as_nobody",
    ];
    let mut child = Command::new(&program);
    child.args(arguments).uid(65534).gid(65534).current_dir("/");
    let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
    assert!(
        output.contains("WHY: xdhcpd lacks CAP_NET_ADMIN and CAP_PERFMON and CAP_BPF"),
        "{output}"
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
        for mac in [Some(CLIENT), None, Some(OURS), Some(CLIENT), None] {
            fast_path.trace(mac);
            fast_path
                .test_run(&Request::default().frame(), IFINDEX)
                .unwrap();
        }
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text.matches("reason=\"hit\" mac=52:54:00:12:34:56").count(),
        2,
        "{text}"
    );
}

#[test]
fn it_may_be_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<FastPath>();
}
