//! Real sockets on a veth pair, in a network namespace that ends with the test's thread.

use std::io;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::frame::parse;
use super::super::interface::{self, Nic};
use super::super::link::{Framing, LinkAddress};
use super::super::{NetError, port67, receive, send, socket};
use super::{request, tag};
use crate::net::Socket;

/// Tests with namespaces run one after the other: each starts programs, and between fork and exec a
/// program holds every link and socket of this process open that another test has just closed.
static NAMESPACES: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    NAMESPACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `test` as root in an empty namespace with the veth pair `server` and `client`.
pub(crate) fn on_veth(test: impl FnOnce(Nic, Nic) + Send + 'static) {
    let run = move || {
        // SAFETY: no pointer is passed; only this thread moves.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            let error = io::Error::last_os_error();
            return Some(format!("no network namespace without root: {error}"));
        }
        ip("link add server type veth peer name client");
        ip("address add 10.0.0.1/24 dev server");
        ip("link set server up");
        ip("link set client up");
        let nics = interface::list().unwrap();
        let find = |name| nics.iter().find(|nic| nic.name() == name).unwrap().clone();
        test(find("server"), find("client"));
        None
    };
    let _alone = alone();
    match std::thread::spawn(run).join() {
        Ok(None) => {}
        Ok(Some(why)) => skip(&why),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Says that this test does nothing here. `cargo xtask test` counts it as skipped, with the reason.
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    println!("SKIPPED {}: {why}", thread.name().unwrap_or("a test"));
}

pub(crate) fn ip(command: &str) {
    let status = Command::new("ip")
        .args(command.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {command}");
}

/// Waits until both ends are ready: the kernel notices a carrier some time after the command, and
/// drops until then what is sent.
pub(crate) fn wait_for_carrier() {
    wait_for_carrier_of(2);
}

/// The same for so many ends, all that are in this namespace.
pub(crate) fn wait_for_carrier_of(ends: usize) {
    for _ in 0..1_000 {
        let mut list = Command::new("ip");
        let output = list.args(["-br", "link", "show", "type", "veth"]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let is_up = |line: &str| line.split_whitespace().nth(1) == Some("UP");
        if text.lines().count() == ends && text.lines().all(is_up) {
            return;
        }
        // Each process started holds what other tests have open for a moment, XDP links too.
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no carrier");
}

/// Sends frames out of an interface.
pub(crate) fn put(nic: &Nic, frames: impl IntoIterator<Item = Vec<u8>>) {
    let socket = Arc::new(socket::open(nic, &[], 1).unwrap().remove(0));
    let mut batch = send::Batch::default();
    let frames: Vec<_> = frames.into_iter().collect();
    let count = frames.len() as u64;
    for frame in frames {
        batch.push(send::Parcel {
            socket: Arc::clone(&socket),
            frame,
            to: LinkAddress::default(),
        });
    }
    assert_eq!(
        batch.flush(),
        send::Sent {
            sent: count,
            failed: 0
        }
    );
}

/// Waits until there is something to read, which there must be.
pub(crate) fn wait_readable(from: &impl AsRawFd) {
    let mut poll = libc::pollfd {
        fd: from.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid entry.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 10_000) };
    assert_eq!(ready, 1, "nothing more came");
}

/// What a socket gets up to the frame of the client `LAST`, as on the wire.
fn take(socket: &Socket) -> Vec<Vec<u8>> {
    let mut batch = receive::Batch::default();
    let mut frames = Vec::new();
    loop {
        wait_readable(socket);
        for i in 0..batch.receive(socket).unwrap() {
            let frame = batch.frame(i).unwrap();
            if frame.bytes == request(LAST) {
                return frames;
            }
            frames.push(frame.bytes.to_vec());
        }
    }
}

const LAST: u32 = 0xffff_fff0;

#[test]
fn requests_pass_with_their_tags_and_nothing_else_does() {
    on_veth(|server, client| {
        let sockets = socket::open(&server, &[], 1).unwrap();
        let plain = request(1);
        let changed = |at: usize, value: u8| {
            let mut frame = plain.clone();
            frame[at] = value;
            frame
        };
        let once = tag(&plain, 0x8100, 0x2064);
        let mut boot_server = plain.clone();
        boot_server[36..38].copy_from_slice(&4011u16.to_be_bytes());
        let wanted = vec![
            plain.clone(),
            once.clone(),
            tag(&once, 0x88a8, 7),
            with_ip_option(&plain),
            boot_server,
        ];
        let unwanted = vec![
            changed(0, 0x02),                       // For another host.
            changed(13, 0x06),                      // ARP.
            changed(23, 6),                         // TCP.
            changed(37, 68),                        // Another port.
            changed(36, 0x0f),                      // Nor this one.
            changed(20, 0x20),                      // The first fragment.
            changed(21, 0x01),                      // A later one.
            tag(&tag(&once, 0x8100, 1), 0x88a8, 7), // Three tags.
        ];
        put(
            &client,
            unwanted
                .into_iter()
                .chain(wanted.clone())
                .chain([request(LAST)]),
        );
        assert_eq!(take(&sockets[0]), wanted);
        let statistics = sockets[0].statistics().unwrap();
        assert_eq!((statistics.packets, statistics.drops), (6, 0));
    });
}

/// The request with an IP header of 24 bytes.
fn with_ip_option(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame.splice(34..34, [1, 1, 1, 0]);
    frame[14] = 0x46;
    frame
}

#[test]
fn what_the_server_sends_it_does_not_receive() {
    on_veth(|server, client| {
        let sockets = socket::open(&server, &[], 2).unwrap();
        put(&server, [request(1), request(2)]);
        let last = [LAST, LAST + 1].map(request);
        put(&client, last.clone());
        assert_eq!(take(&sockets[0]), Vec::<Vec<u8>>::new());
        assert_eq!(sockets[1].statistics().unwrap().packets, 1);
    });
}

#[test]
fn a_client_stays_with_its_worker() {
    const WORKERS: u32 = 3;
    on_veth(|server, client| {
        let sockets = socket::open(&server, &[], WORKERS as usize).unwrap();
        let one = |client| {
            let plain = request(client);
            [
                plain.clone(),
                tag(&plain, 0x8100, 5),
                tag(&tag(&plain, 0x8100, 5), 0x88a8, 6),
            ]
        };
        put(&client, (0..48).flat_map(one));
        let mut batch = receive::Batch::default();
        for (worker, socket) in (0..).zip(&sockets) {
            let count = batch.receive(socket).unwrap();
            assert_eq!(count, 48, "all frames of a third of the clients");
            for i in 0..count {
                let frame = batch.frame(i).unwrap();
                let payload = parse(&frame).unwrap().payload;
                let chaddr = u32::from_be_bytes(payload[30..34].try_into().unwrap());
                assert_eq!(chaddr % WORKERS, worker);
            }
        }
    });
}

#[test]
fn port_67_is_taken_once_and_its_holder_named() {
    on_veth(|_, _| {
        let _first = port67::take().unwrap();
        let error = port67::take().unwrap_err();
        let us = format!("(pid {})", std::process::id());
        let NetError::PortInUse { holder } = error else {
            panic!("{error}")
        };
        assert!(holder.ends_with(&us), "{holder}");
    });
}

#[test]
fn port_4011_is_taken_too_if_it_is_free() {
    on_veth(|_, _| {
        let bind = || std::net::UdpSocket::bind("0.0.0.0:4011");
        let first = port67::take().unwrap();
        assert_eq!(bind().unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        let _other = bind().unwrap();
        port67::take().unwrap();
    });
}

#[test]
fn interfaces_with_addresses_and_state() {
    on_veth(|server, client| {
        assert!(server.up && server.framing == Framing::Ethernet && server.interface.mtu == 1500);
        assert_eq!(server.interface.addresses, ["10.0.0.1/24".parse().unwrap()]);
        assert!(client.interface.addresses.is_empty());
        ip("address add 10.7.0.1/24 dev client label client:1");
        ip("link set client mtu 1400 down");
        let nics = interface::list().unwrap();
        let now = nics.iter().find(|nic| nic.name() == "client").unwrap();
        assert_eq!((now.up, now.interface.mtu), (false, 1400));
        assert_eq!(now.interface.addresses, ["10.7.0.1/24".parse().unwrap()]);
    });
}

/// Capabilities are a thread's own, and this test's thread ends with it.
#[test]
fn sockets_that_were_opened_before_keep_their_buffers() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    on_veth(|server, _| {
        let mut prepared = socket::Prepared::for_all(std::slice::from_ref(&server), 2);
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        sets.permitted.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit: i32 = limit.trim().parse().unwrap();
        let mut sizes = || {
            let sockets = socket::open_prepared(&server, &[], 2, &mut prepared).unwrap();
            let sizes = sockets.iter().map(Socket::receive_buffer);
            sizes.collect::<Vec<_>>()
        };
        assert_eq!(sizes(), [16 << 20; 2]);
        assert_eq!(sizes(), [limit.min(16 << 20); 2], "all are taken");
    });
}
