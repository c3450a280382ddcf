//! Links that are not Ethernet: a tunnel device, which can take the type of any link layer.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use dhcp_common::wire::Sum;

use super::super::frame::parse;
use super::super::interface;
use super::super::link::{Framing, LinkAddress};
use super::super::{Nic, receive, send, socket};
use super::request;
use super::wire::{ip, on_veth, wait_for_carrier, wait_readable};

const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETLINK: libc::c_ulong = 0x4004_54cd;
/// `ARPHRD_IP6GRE`.
const IP6GRE: u16 = 823;
/// Of the Ethernet header that [`request`] makes.
pub(crate) const L2: usize = 14;

/// The far end of an interface `tun0` of this namespace.
pub(crate) struct Tun {
    file: File,
}

impl Tun {
    /// Makes the interface, of this kind of hardware, with an address.
    pub(crate) fn new(hardware: u16, address: &str) -> (Self, Nic) {
        let mut open = OpenOptions::new();
        let file = open.read(true).write(true).open("/dev/net/tun").unwrap();
        let fd = file.as_raw_fd();
        // SAFETY: all zero is an empty request.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(b"tun0") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the request is an `ifreq` with a name and flags, as TUNSETIFF wants it.
        let made = unsafe { libc::ioctl(fd, TUNSETIFF, &raw mut request) };
        assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: a plain number is passed.
        let typed = unsafe { libc::ioctl(fd, TUNSETLINK, libc::c_ulong::from(hardware)) };
        assert_eq!(typed, 0, "{}", std::io::Error::last_os_error());
        ip(&format!("address add {address} dev tun0"));
        ip("link set tun0 up");
        let nics = interface::list().unwrap();
        let nic = nics.into_iter().find(|nic| nic.name() == "tun0").unwrap();
        (Self { file }, nic)
    }

    /// Sends an IP packet to the host.
    pub(crate) fn put(&self, packet: &[u8]) {
        (&self.file).write_all(packet).unwrap();
    }

    /// The next IPv4 packet that the host sends.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut packet = vec![0; 2048];
        loop {
            wait_readable(&self.file);
            let len = (&self.file).read(&mut packet).unwrap();
            if packet[0] >> 4 == 4 {
                packet.truncate(len);
                return packet;
            }
        }
    }
}

#[test]
fn packets_come_and_go_without_a_link_header() {
    // The last one has addresses that do not fit into a `sockaddr_ll`, as InfiniBand has.
    let links = [
        (libc::ARPHRD_NONE, 0),
        (libc::ARPHRD_INFINIBAND, 0),
        (IP6GRE, 16),
    ];
    for (hardware, address_len) in links {
        on_veth(move |_, _| {
            let (tun, nic) = Tun::new(hardware, "10.5.0.1/24");
            assert_eq!((nic.framing, nic.interface.mac), (Framing::Cooked, [0; 6]));
            assert_eq!(nic.broadcast.as_bytes().len(), address_len);

            let sockets = socket::open(&nic, &[], 2).unwrap();
            let packet = request(2).split_off(L2);
            let mut other_port = packet.clone();
            other_port[23] = 68;
            tun.put(&other_port);
            tun.put(&packet);
            let mut batch = receive::Batch::default();
            wait_readable(&sockets[0]);
            assert_eq!(batch.receive(&sockets[0]).unwrap(), 1);
            let frame = batch.frame(0).unwrap();
            assert_eq!(
                (frame.bytes, frame.from),
                (&packet[..], LinkAddress::default())
            );
            let incoming = parse(&frame).unwrap();
            assert!(incoming.l2.is_empty() && incoming.payload == &packet[28..]);
            assert_eq!(incoming.link.ifindex, nic.index());

            let mut out = send::Batch::default();
            out.push(send::Parcel {
                socket: Arc::new(sockets.into_iter().next().unwrap()),
                frame: packet.clone(),
                to: LinkAddress::default(),
            });
            assert_eq!(out.flush().sent, 1);
            assert_eq!(tun.take(), packet);
        });
    }
}

/// A reply to a relay that is elsewhere: where, the host's routes and neighbours tell. One to a
/// client that has no address yet goes to all.
#[test]
fn hosts_with_addresses_are_found_by_the_host() {
    on_veth(|_, client| {
        wait_for_carrier();
        let mac = client
            .interface
            .mac
            .map(|byte| format!("{byte:02x}"))
            .join(":");
        ip(&format!("neighbour add 10.0.0.77 lladdr {mac} dev server"));
        let (tun, nic) = Tun::new(IP6GRE, "10.5.0.1/24");
        let mut sockets = socket::open(&nic, &[], 1).unwrap();
        let socket = Arc::new(sockets.remove(0));
        let reply = |giaddr: [u8; 4]| {
            let mut packet = request(1).split_off(L2);
            packet[16..20].copy_from_slice(&[10, 0, 0, 77]);
            packet[10..12].fill(0);
            let sum = Sum::default().slice(&packet[..20]).checksum();
            packet[10..12].copy_from_slice(&sum.to_ne_bytes());
            packet[26..28].fill(0);
            packet[28 + 24..28 + 28].copy_from_slice(&giaddr);
            packet
        };
        let (to_relay, to_client) = (reply([10, 0, 0, 77]), reply([0; 4]));
        let ear = socket::open(&client, &[], 1).unwrap().remove(0);
        let mut out = send::Batch::default();
        for frame in [&to_relay, &to_client] {
            out.push(send::Parcel {
                socket: Arc::clone(&socket),
                frame: frame.clone(),
                to: LinkAddress::default(),
            });
        }
        assert_eq!(out.flush().sent, 2);
        assert_eq!(tun.take(), to_client);
        wait_readable(&ear);
        let mut batch = receive::Batch::default();
        assert_eq!(batch.receive(&ear).unwrap(), 1);
        // The host makes the IP header whole.
        assert_eq!(batch.frame(0).unwrap().bytes[L2 + 20..], to_relay[20..]);
    });
}

#[test]
fn replies_go_to_the_sender_if_it_is_known_and_to_all_if_not() {
    on_veth(|_, _| {
        let (_tun, mut nic) = Tun::new(IP6GRE, "10.5.0.1/24");
        nic.broadcast = LinkAddress::new(&[255; 20]);
        let socket = Arc::new(socket::open(&nic, &[], 1).unwrap().remove(0));
        let sender = LinkAddress::new(&[7; 20]);
        let address = |destination: [u8; 4], to| {
            let mut frame = vec![0; 300];
            frame[16..20].copy_from_slice(&destination);
            let socket = Arc::clone(&socket);
            let parcel = send::Parcel { socket, frame, to };
            parcel.address().link_address()
        };
        assert_eq!(address([10, 5, 0, 9], sender), sender);
        assert_eq!(address([255; 4], sender), nic.broadcast);
        assert_eq!(
            address([10, 5, 0, 9], LinkAddress::default()),
            nic.broadcast
        );
    });
}
