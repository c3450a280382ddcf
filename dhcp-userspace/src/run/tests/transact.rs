//! What is asked and told beside leases: bulk lease queries, FORCERENEW.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use dhcproto::v4;
use dhcproto::{Decodable, Decoder};

use super::super::{answer, bulk};
use super::{CONFIG, Lab, Message, SERVER};
use crate::control::protocol::Request;
use crate::net::tests::wire;

/// Serves bulk queries for `test`, which runs on another thread.
fn with_bulk(lab: &Lab, test: impl FnOnce(SocketAddr) + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::from(SERVER), 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(bulk::serve(listener, Arc::clone(&lab.shared)));
        tokio::task::spawn_blocking(move || test(address))
            .await
            .unwrap();
    });
}

/// A bulk query without conditions, or another message.
fn query(kind: u8) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[0] = 1;
    message[4..8].copy_from_slice(&[1, 2, 3, 4]);
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, kind, 255]);
    message
}

fn ask(stream: &mut TcpStream, message: &[u8]) {
    stream
        .write_all(&(message.len() as u16).to_be_bytes())
        .unwrap();
    stream.write_all(message).unwrap();
}

/// All messages up to LEASEQUERYDONE; another implementation reads them.
fn hear(stream: &mut TcpStream) -> Vec<v4::Message> {
    let mut all = Vec::new();
    loop {
        let mut len = [0; 2];
        stream.read_exact(&mut len).unwrap();
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut bytes).unwrap();
        let message = v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
        assert_eq!(message.xid(), 0x0102_0304);
        let done = message.opts().msg_type() == Some(v4::MessageType::LeaseQueryDone);
        all.push(message);
        if done {
            return all;
        }
    }
}

fn status(message: &v4::Message) -> Option<u8> {
    match message
        .opts()
        .get(v4::OptionCode::BulkLeaseQueryStatusCode)?
    {
        v4::DhcpOption::BulkLeaseQueryStatusCode(code, _) => Some(u8::from(*code)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn leases_are_told_in_bulk_over_one_connection() {
    wire::on_veth(|_, client| {
        wire::ip("link set lo up");
        let lab = Lab::start_changed(client, CONFIG, |config| {
            config.leasequery.allowed = vec!["10.0.0.1/32".parse().unwrap()];
        });
        let address = lab.bind(7);
        let shared = Arc::clone(&lab.shared);
        with_bulk(&lab, move |server| {
            let mut stream = TcpStream::connect(server).unwrap();
            for _ in 0..2 {
                ask(&mut stream, &query(14));
                let all = hear(&mut stream);
                assert_eq!(all.len(), 10 + 1);
                assert_eq!(all[0].opts().msg_type(), Some(v4::MessageType::LeaseActive));
                assert_eq!(all[0].ciaddr().octets(), address);
                assert_eq!(
                    all[1].opts().msg_type(),
                    Some(v4::MessageType::LeaseUnassigned)
                );
                assert_eq!(status(&all[10]), None);
            }
            ask(&mut stream, &query(10));
            assert_eq!(status(&hear(&mut stream)[0]), Some(3), "malformed");
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed");
            assert_eq!(shared.core.metrics.by_kind()["lease-query"], 2);
        });
    });
}

#[test]
fn strangers_are_told_nothing_and_connections_are_bounded() {
    wire::on_veth(|_, client| {
        wire::ip("link set lo up");
        let lab = Lab::start_changed(client, CONFIG, |config| {
            config.leasequery.allowed = vec!["10.0.0.1/32".parse().unwrap()];
        });
        wire::ip("address add 10.0.0.2/24 dev lo");
        let shared = Arc::clone(&lab.shared);
        with_bulk(&lab, move |server| {
            for _ in 0..20 {
                let mut stranger = connect_from([10, 0, 0, 2], server);
                assert_eq!(stranger.read(&mut [0]).unwrap(), 0, "closed at once");
            }
            assert_eq!(shared.core.metrics.by_reason()["query-denied"], 20);
            let mut open: Vec<_> = (0..11)
                .map(|_| TcpStream::connect(server).unwrap())
                .collect();
            assert_eq!(open[10].read(&mut [0]).unwrap(), 0, "one too many");
        });
    });
}

fn connect_from(address: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    socket.into()
}

#[test]
fn a_client_is_told_to_renew_and_the_daemon_answers_what_it_asks_then() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let capable = |mut message: Message| {
            message.options.insert(145, vec![1]);
            message
        };
        let offer = lab.ask(&capable(Message::new(7, 1)));
        let mut select = capable(Message::new(7, 3));
        select.options.insert(50, offer.yiaddr.to_vec());
        select.options.insert(54, SERVER.to_vec());
        let ack = lab.ask(&select);
        assert_eq!((ack.kind(), ack.options[&90].len()), (5, 28));
        let address = Ipv4Addr::from(offer.yiaddr);
        assert!(lab.shared.core.engine.lease_at(address).unwrap().memo);
        let renew = |key: Option<&str>, subnet: Option<&str>| Request::Renew {
            key: key.map(str::to_owned),
            subnet: subnet.map(|net| net.parse().unwrap()),
        };
        for request in [
            renew(Some("10.0.0.100"), None),
            renew(Some("52:54:00:00:00:07"), None),
            renew(None, Some("10.0.0.0/24")),
        ] {
            let (_, done) = lab.control(request);
            assert_eq!(done["changes"][0], "10.0.0.100 was told to renew");
            let told = lab.hear();
            assert_eq!((told.kind(), told.options[&90].len()), (9, 28));
        }
        assert!(!lab.shared.core.engine.lease_at(address).unwrap().memo);
        assert_eq!(
            lab.ask(&capable(Message::renewal(7, offer.yiaddr))).kind(),
            5
        );
        assert_eq!(lab.shared.core.metrics.by_kind()["renew"], 1);
        for wrong in [renew(Some("10.0.0.101"), None), renew(None, None)] {
            assert!(answer::answer(&lab.shared, wrong, &mut |_| true).is_err());
        }
        let (_, none) = lab.control(renew(None, Some("10.9.0.0/24")));
        assert!(none["changes"].as_array().unwrap().is_empty());
    });
}

#[test]
fn a_nonce_is_the_same_after_a_restart() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        let nonce = |lab: &Lab| {
            let address = lab.bind(7);
            let mut again = Message::new(7, 3);
            again.options.insert(50, address.to_vec());
            again.options.insert(145, vec![1]);
            lab.ask(&again).options[&90][12..].to_vec()
        };
        let before = nonce(&lab);
        lab.restart();
        assert_eq!(nonce(&lab), before);
    });
}
