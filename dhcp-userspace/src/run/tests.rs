//! The whole daemon in this process, without signals, on a veth pair in a namespace of its own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::answer::answer;
use super::handler::Handler;
use super::journal::Listener;
use super::shared::Shared;
use super::start::Daemon;
use crate::clock::Now;
use crate::config;
use crate::control::protocol::{Filter, Request};
use crate::fastpath::{Platform, PortMode};
use crate::journal::Verdict;
use crate::net::tests::wire::skip;
use crate::net::tests::{frame, mac, tag, wire};
use crate::net::{Nic, frame as wire_frame, port67, receive, socket};

const SERVER: [u8; 4] = [10, 0, 0, 1];

const CONFIG: &str = "
server: {state_dir: DIR/state, control_socket: DIR/control.sock, workers: 2}
fast_path: {mode: \"off\"}
subnets:
  - subnet: 10.0.0.0/24
    pools: [10.0.0.100-10.0.0.109]
    authoritative: true
    lease_time: 1h
";

/// A running daemon and the far end of its wire.
struct Lab {
    directory: tempfile::TempDir,
    daemon: Option<Daemon>,
    shared: Arc<Shared>,
    client: Nic,
    ear: crate::net::Socket,
}

impl Lab {
    fn start(client: Nic) -> Self {
        Self::start_with(client, CONFIG)
    }

    fn start_with(client: Nic, config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ear = reply_socket(&client);
        let (daemon, shared) = start(&write(&directory, config));
        Self {
            directory,
            daemon: Some(daemon),
            shared,
            client,
            ear,
        }
    }

    fn restart(&mut self) {
        self.daemon.take().unwrap().stop().unwrap();
        let path = self.directory.path().join("dhcp.yaml");
        let (daemon, shared) = start(&path);
        (self.daemon, self.shared) = (Some(daemon), shared);
    }

    /// Sends a message and waits for the answer.
    fn ask(&self, message: &Message) -> Answer {
        wire::put(&self.client, [message.frame()]);
        self.hear()
    }

    fn hear(&self) -> Answer {
        let mut batch = receive::Batch::default();
        loop {
            let fd = self.ear.as_raw_fd();
            let mut poll = libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one valid entry.
            let ready = unsafe { libc::poll(&raw mut poll, 1, 10_000) };
            assert_eq!(ready, 1, "no answer");
            // One at a time: the batch is of this call.
            if batch.receive_one(&self.ear).unwrap() != 0 {
                return Answer::of(batch.frame(0).unwrap().bytes);
            }
        }
    }

    /// DISCOVER to ACK; gives the address.
    fn bind(&self, client: u32) -> [u8; 4] {
        let offer = self.ask(&Message::new(client, 1));
        assert_eq!(offer.kind(), 2);
        let mut select = Message::new(client, 3);
        select.options.insert(50, offer.yiaddr.to_vec());
        select.options.insert(54, SERVER.to_vec());
        let ack = self.ask(&select);
        assert_eq!((ack.kind(), ack.yiaddr), (5, offer.yiaddr));
        ack.yiaddr
    }

    fn control(&self, request: Request) -> (Vec<Value>, Value) {
        let mut items = Vec::new();
        let done = answer(&self.shared, request, &mut |item| {
            items.push(item);
            true
        });
        (items, done.unwrap())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().unwrap();
        }
    }
}

fn write(directory: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("dhcp.yaml");
    let directory = directory.path().to_str().unwrap();
    std::fs::write(&path, text.replace("DIR", directory)).unwrap();
    path
}

fn start(path: &std::path::Path) -> (Daemon, Arc<Shared>) {
    let config = Arc::new(config::load(path).unwrap());
    Daemon::start(path, &config, port67::take().unwrap()).unwrap()
}

/// A socket that takes replies to any client: the filter for requests for another port, and
/// without its beginning, which leaves out frames to other MACs.
fn reply_socket(nic: &Nic) -> crate::net::Socket {
    let socket = socket::open(nic, &[], 1).unwrap().remove(0);
    let mut filter = crate::net::filter::requests().split_off(3);
    for op in &mut filter {
        if op.k == 67 {
            op.k = 68;
        }
    }
    socket::attach_filter(socket.as_raw_fd(), &filter).unwrap();
    socket
}

/// A DHCP message of a client.
struct Message {
    client: u32,
    ciaddr: [u8; 4],
    destination: [u8; 4],
    options: BTreeMap<u8, Vec<u8>>,
}

impl Message {
    fn new(client: u32, kind: u8) -> Self {
        Self {
            client,
            ciaddr: [0; 4],
            destination: [255; 4],
            options: BTreeMap::from([(53, vec![kind]), (55, vec![1, 3, 51])]),
        }
    }

    fn renewal(client: u32, address: [u8; 4]) -> Self {
        Self {
            ciaddr: address,
            destination: SERVER,
            ..Self::new(client, 3)
        }
    }

    fn frame(&self) -> Vec<u8> {
        let mut bootp = vec![0; 240];
        bootp[..3].copy_from_slice(&[1, 1, 6]);
        bootp[12..16].copy_from_slice(&self.ciaddr);
        bootp[28..34].copy_from_slice(&mac(self.client));
        bootp[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        for (code, data) in &self.options {
            bootp.extend([*code, data.len() as u8]);
            bootp.extend(data);
        }
        bootp.push(255);
        frame(mac(self.client), [self.ciaddr, self.destination], &bootp)
    }
}

struct Answer {
    yiaddr: [u8; 4],
    options: BTreeMap<u8, Vec<u8>>,
}

impl Answer {
    fn of(frame: &[u8]) -> Self {
        let payload = &frame[42..];
        let mut rest = &payload[240..];
        let mut options = BTreeMap::new();
        while let [code @ 1..=254, len, data @ ..] = rest {
            let (data, behind) = data.split_at(usize::from(*len));
            options.insert(*code, data.to_vec());
            rest = behind;
        }
        Self {
            yiaddr: payload[16..20].try_into().unwrap(),
            options,
        }
    }

    fn kind(&self) -> u8 {
        self.options[&53][0]
    }
}

#[test]
fn a_client_binds_renews_and_is_remembered_over_a_restart() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        let address = lab.bind(7);
        assert_eq!(address, [10, 0, 0, 100]);
        let renewal = Message::renewal(7, address);
        assert_eq!(lab.ask(&renewal).options[&51], 3600u32.to_be_bytes());
        lab.restart();
        assert_eq!(lab.ask(&renewal).kind(), 5);
        assert_ne!(lab.bind(8), address, "taken, as the journal knows");
    });
}

#[test]
fn a_request_behind_its_own_record_waits_for_it() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let offer = lab.ask(&Message::new(7, 1));
        let mut select = Message::new(7, 3);
        select.options.insert(50, offer.yiaddr.to_vec());
        select.options.insert(54, SERVER.to_vec());
        wire::put(
            &lab.client,
            [select.frame(), select.frame(), select.frame()],
        );
        for _ in 0..3 {
            assert_eq!((lab.hear().kind(), offer.yiaddr), (5, [10, 0, 0, 100]));
        }
        assert_eq!(lab.shared.core.metrics.waited_too_long.get(), 0);
    });
}

#[test]
fn a_stop_answers_what_was_received() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        let offer = lab.ask(&Message::new(7, 1));
        let mut select = Message::new(7, 3);
        select.options.insert(50, offer.yiaddr.to_vec());
        select.options.insert(54, SERVER.to_vec());
        wire::put(&lab.client, vec![select.frame(); 8]);
        while lab.shared.core.metrics.received.get() < 9 {
            std::thread::yield_now();
        }
        lab.daemon.take().unwrap().stop().unwrap();
        for _ in 0..8 {
            assert_eq!(lab.hear().kind(), 5);
        }
    });
}

#[test]
fn tags_of_served_subinterfaces_are_not_even_counted() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let socket = socket::open(&lab.client, &[100], 1).unwrap().remove(0);
        let socket = Arc::new(socket);
        let mut handler = Handler::new(Arc::clone(&lab.shared));
        let mut received_after = |number| {
            let bytes = tag(&Message::new(7, 1).frame(), 0x8100, number);
            let frame = wire_frame::Frame {
                bytes: &bytes,
                ifindex: 9,
                verify_udp: true,
            };
            handler.frame(&socket, &frame, Now::read());
            lab.shared.core.metrics.received.get()
        };
        assert_eq!(received_after(100), 0);
        assert_eq!(received_after(101), 1);
    });
}

#[test]
fn without_xdp_the_workers_run_the_fast_path() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let address = lab.bind(7);
        let renewal = Message::renewal(7, address);
        for _ in 0..3 {
            assert_eq!(lab.ask(&renewal).kind(), 5);
        }
        let hits = lab.shared.core.metrics.fast_here()[dhcp_common::Reason::Hit as usize];
        assert!(
            hits >= 2,
            "{hits} hits: all but, at most, the first that teaches the memo"
        );
        let (_, why) = lab.control(Request::Why {
            mac: "52:54:00:00:00:07".into(),
        });
        let why = why.as_str().unwrap();
        assert!(
            why.contains("would be answered by the daemon's own fast path"),
            "{why}"
        );
    });
}

#[test]
fn leases_and_counters_are_shown() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let address = Ipv4Addr::from(lab.bind(7)).to_string();
        lab.bind(8);
        let (leases, _) = lab.control(Request::Leases(Filter::default()));
        assert_eq!(leases.len(), 2);
        let (_, lease) = lab.control(Request::Lease {
            key: "5254.0000.0007".into(),
        });
        assert_eq!(
            (&lease["address"], &lease["state"]),
            (&address.into(), &"bound".into())
        );
        assert_eq!(lease["interface"], "server");
        let (_, status) = lab.control(Request::Status);
        assert_eq!(
            (&status["replies"]["offer"], &status["replies"]["bind"]),
            (&2.into(), &2.into())
        );
        assert_eq!(
            (&status["pools"][0]["size"], &status["pools"][0]["used"]),
            (&10.into(), &2.into())
        );
        assert_eq!(status["packets"]["sent"], 4);
        let text = lab
            .shared
            .core
            .metrics
            .render(&super::report::state(&lab.shared));
        let line = "xdhcpd_leases{subnet=\"10.0.0.0/24\",state=\"bound\"} 2";
        assert!(text.lines().any(|have| have == line), "{text}");
    });
}

#[test]
fn a_reload_takes_effect_and_a_wrong_one_does_not() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let address = lab.bind(7);
        write(&lab.directory, &CONFIG.replace("1h", "2h"));
        let (_, changes) = lab.control(Request::Reload);
        let changes = changes["changes"].to_string();
        assert!(changes.contains("lease_time: 1h -> 2h"), "{changes}");
        let renewal = Message::renewal(7, address);
        assert_eq!(lab.ask(&renewal).options[&51], 7200u32.to_be_bytes());
        for wrong in ["lease_time: soon", "lease_time: 1h\ninterfaces: [nowhere]"] {
            write(&lab.directory, &CONFIG.replace("lease_time: 1h", wrong));
            assert!(
                answer(&lab.shared, Request::Reload, &mut |_| true).is_err(),
                "{wrong}"
            );
        }
        assert_eq!(lab.ask(&renewal).options[&51], 7200u32.to_be_bytes());
    });
}

#[test]
fn a_reload_decides_anew_who_answers() {
    if let Err(off) = Platform::current().check() {
        return skip(&off.to_string());
    }
    wire::on_veth(|_, client| {
        let mode = "mode: generic, pin_dir: DIR/pins";
        let config = CONFIG.replace("mode: \"off\"", mode);
        let lab = Lab::start_with(client, &config);
        let mode = || lab.shared.fastpath.lock().unwrap().report()[0].mode;
        assert_eq!(mode(), PortMode::Generic);
        let vlan =
            "  - {subnet: 10.9.0.0/24, interface: server, vlan: 100, server_address: 10.9.0.1}";
        write(&lab.directory, &format!("{config}{vlan}\n"));
        lab.control(Request::Reload);
        assert_eq!(mode(), PortMode::Userspace, "the NIC hides tags");
    });
}

#[test]
fn leases_are_exported_edited_and_imported() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let (kept, given_back) = (lab.bind(7), lab.bind(8));
        let (pieces, _) = lab.control(Request::Export);
        let mut text: String = pieces.iter().map(|piece| piece.as_str().unwrap()).collect();
        let other = Ipv4Addr::from(given_back).to_string();
        let own = text
            .lines()
            .find(|line| line.contains(&other))
            .unwrap()
            .to_owned();
        let new = own
            .replace(&other, "10.0.0.109")
            .replace("00:00:08", "00:00:09");
        let released = own.replace("state: bound", "state: released");
        text = text.replace(&own, &format!("{released}\n{new}"));
        let import = |apply| Request::Import {
            text: text.clone(),
            apply,
        };
        let (_, planned) = lab.control(import(false));
        let planned = planned["changes"].as_array().unwrap().clone();
        assert_eq!(planned.len(), 2, "{planned:?}");
        assert!(
            planned[0]
                .as_str()
                .unwrap()
                .starts_with(&format!("- {other} "))
        );
        assert!(planned[1].as_str().unwrap().starts_with("+ 10.0.0.109 "));
        assert_eq!(
            lab.control(import(true)).1["changes"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        let state = |key: &str| lab.control(Request::Lease { key: key.into() }).1["state"].clone();
        assert_eq!(
            (state(&other), state("10.0.0.109")),
            ("released".into(), "bound".into())
        );
        assert_eq!(state(&Ipv4Addr::from(kept).to_string()), "bound");
        assert_eq!(lab.bind(9), [10, 0, 0, 109]);
    });
}

#[test]
fn an_import_that_is_wrong_somewhere_changes_nothing() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let address = Ipv4Addr::from(lab.bind(7)).to_string();
        let (pieces, _) = lab.control(Request::Export);
        let text: String = pieces.iter().map(|piece| piece.as_str().unwrap()).collect();
        let text = text.replace(&format!("address: {address}"), "address: 10.9.9.9");
        for apply in [false, true] {
            let text = text.clone();
            let request = Request::Import { text, apply };
            let error = answer(&lab.shared, request, &mut |_| true).unwrap_err();
            assert_eq!(
                error,
                "nothing was changed:\n10.9.9.9 is in no pool and no reservation"
            );
        }
        let (_, lease) = lab.control(Request::Lease { key: address });
        assert_eq!(lease["state"], "bound");
    });
}

#[test]
fn a_wrong_import_is_refused_with_its_line() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let text =
            "leases:\n- {address: 10.0.0.300, mac: \"52:54:00:00:00:07\", state: released}\n";
        let request = Request::Import {
            text: text.into(),
            apply: true,
        };
        let error = answer(&lab.shared, request, &mut |_| true).unwrap_err();
        assert!(error.contains("line 2"), "{error}");
    });
}

#[test]
fn after_damage_leases_are_written_once_more() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        lab.bind(7);
        lab.bind(8);
        let journal = lab.shared.journal.clone();
        assert_eq!(journal.stats().records.get(), 2);
        let mut listener = Listener::new(Arc::clone(&lab.shared.core), Arc::default());
        listener.hear(Verdict::Damaged(Vec::new()));
        super::rewrite::go_on(&lab.shared.core, &journal);
        // Waits until all is on disk, whether the sweeper was faster or not.
        lab.restart();
        assert_eq!(journal.stats().records.get(), 4);
        assert_eq!(lab.control(Request::Leases(Filter::default())).0.len(), 2);
    });
}

#[test]
fn interfaces_come_and_go() {
    wire::on_veth(|server, client| {
        let lab = Lab::start(client);
        let served = || lab.shared.ports.lock().unwrap().served();
        assert_eq!(served()[0].index(), server.index());
        wire::ip("link set server down");
        super::reload::refresh(&lab.shared);
        assert!(served().is_empty());
        wire::ip("link set server up");
        wire::wait_for_carrier();
        super::reload::refresh(&lab.shared);
        assert_eq!(served().len(), 1);
        lab.bind(7);
    });
}

#[test]
fn nonsense_on_the_wire_is_counted_and_survived() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let mut cut = Message::new(7, 1).frame();
        cut.truncate(60);
        let mut odd = Message::new(7, 1).frame();
        odd[50] ^= 1;
        wire::put(&lab.client, [cut, odd]);
        lab.bind(7);
        let ignored = lab.shared.core.metrics.by_reason();
        assert_eq!(ignored["malformed"], 2);
    });
}

/// The frames of these tests are what the daemon's own checks let through.
#[test]
fn messages_are_well_formed() {
    let bytes = Message::renewal(7, [10, 0, 0, 100]).frame();
    let frame = wire_frame::Frame {
        bytes: &bytes,
        ifindex: 1,
        verify_udp: true,
    };
    assert!(wire_frame::parse(&frame).is_ok());
}
