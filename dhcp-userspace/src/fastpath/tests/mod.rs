//! With the loaded program. As root; otherwise these say that they were skipped.

mod attach;
mod program;
mod restart;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_common::slot::Kind;
use proptest::prelude::*;
use xdhcpd_tests::xdp_pass;

use super::host::HostEnv;
use super::lab::{Lab, Wire, interface, run, veth};
use super::testing::{
    ADDRESS, CLIENT, IFINDEX, OURS, Reply, Request, SERVER, memo_of, options, publish,
    publish_with, refusals, set_up, untimely,
};
use super::*;
use crate::clock::SECOND;
use crate::lease::table::Size;
use crate::net::tests::elsewhere::Elsewhere;
use crate::net::tests::tun::Tun;
use crate::net::tests::wire::{alone, skip};

const XDP_DROP: u32 = 1;
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
    let want = match reason {
        Reason::Hit => XDP_TX,
        Reason::Blocked | Reason::Throttled => XDP_DROP,
        _ => XDP_PASS,
    };
    assert_eq!(action, want);
    assert_eq!(
        (counted[reason as usize], counted.iter().sum()),
        (1, 1u64),
        "{reason:?}"
    );
    reason
}

fn attached(name: &str) -> netlink::Attached {
    let devices = netlink::devices().unwrap();
    devices
        .into_iter()
        .find(|device| device.name == name)
        .unwrap()
        .xdp
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

const AS_NOBODY: &str = "XDHCPD_TEST_AS_NOBODY";

/// What the test below runs as nobody; on its own it has nothing to do.
#[test]
fn as_nobody() {
    if std::env::var_os(AS_NOBODY).is_none() {
        return;
    }
    let config = testing::config("10.0.1.0-10.0.1.255");
    let fast_path = open(&config).unwrap();
    println!("WHY: {}", fast_path.why_off().unwrap());
}

#[test]
fn without_privilege_it_says_what_is_missing() {
    if Platform::current().check().is_err() {
        return skip("not root, or no XDP program embedded");
    }
    let _alone = alone();
    // Nobody may not be able to reach this program where it is.
    let copy = tempfile::tempdir().unwrap();
    run(&["chmod", "755", copy.path().to_str().unwrap()]);
    let program = copy.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let arguments = ["--exact", "--nocapture", "fastpath::tests::as_nobody"];
    let mut child = Command::new(&program);
    child.args(arguments).env(AS_NOBODY, "1");
    child.uid(65534).gid(65534).current_dir("/");
    let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
    assert!(
        output.contains("WHY: xdhcpd lacks CAP_NET_ADMIN and CAP_PERFMON and CAP_BPF"),
        "{output}"
    );
}

#[test]
fn it_may_be_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<FastPath>();
}
