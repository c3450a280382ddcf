use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use super::super::tftp::MIN_UNHEARD;
use super::*;

/// A client that a test drives packet by packet.
struct Client {
    socket: UdpSocket,
    listener: SocketAddr,
    /// Where the server answered from last.
    server: SocketAddr,
}

impl Client {
    fn new(site: &Site) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let listener = site.tftp();
        Self {
            socket,
            listener,
            server: listener,
        }
    }

    fn ask(&self, file: &str, options: &str) {
        let options = options.split_whitespace().map(|word| format!("{word}\0"));
        let request = format!("\0\x01{file}\0octet\0{}", options.collect::<String>());
        self.socket
            .send_to(request.as_bytes(), self.listener)
            .unwrap();
    }

    fn send(&self, packet: &[u8]) {
        self.socket.send_to(packet, self.server).unwrap();
    }

    fn ack(&self, block: u16) {
        let [high, low] = block.to_be_bytes();
        self.send(&[0, 4, high, low]);
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 70_000];
        let (len, from) = self.socket.recv_from(&mut packet).unwrap();
        packet.truncate(len);
        self.server = from;
        packet
    }

    /// The number of the next block, and its data.
    fn block(&mut self) -> (u16, Vec<u8>) {
        let packet = self.receive();
        assert_eq!(packet[..2], [0, 3], "{}", packet.escape_ascii());
        (
            u16::from_be_bytes([packet[2], packet[3]]),
            packet[4..].to_vec(),
        )
    }

    /// Fetches a whole file as RFC 7440 says; `drop` tells which of the server's blocks are lost.
    fn fetch(
        &mut self,
        file: &str,
        options: &str,
        (size, window): (usize, u16),
        drop: impl Fn(usize) -> bool,
    ) -> Vec<u8> {
        self.ask(file, options);
        if !options.is_empty() {
            assert_eq!(self.receive()[..2], [0, 6]);
            self.ack(0);
        }
        let (mut all, mut has, mut acked, mut seen) = (Vec::new(), 0u16, 0u16, 0);
        loop {
            let (number, bytes) = self.block();
            seen += 1;
            if drop(seen) {
                continue;
            }
            let next = number == has.wrapping_add(1);
            if next {
                all.extend_from_slice(&bytes);
                has = number;
            }
            if !next || bytes.len() < size || has.wrapping_sub(acked) == window {
                self.ack(has);
                acked = has;
            }
            if next && bytes.len() < size {
                return all;
            }
        }
    }
}

#[test]
fn every_length_arrives_whole() {
    let site = Site::new(4);
    for len in [0, 1, 511, 512, 513, 1024, 100_000] {
        let bytes = site.file("f", len);
        assert_eq!(
            Client::new(&site).fetch("f", "", (512, 1), |_| false),
            bytes,
            "{len}"
        );
        let options = "blksize 1000 windowsize 5";
        let got = Client::new(&site).fetch("\\f", options, (1000, 5), |_| false);
        assert_eq!(got, bytes, "{len} with {options}");
    }
    let totals = site.wait(Protocol::Tftp, |totals| totals.complete == 14);
    assert_eq!(
        (totals.bytes, totals.aborted, totals.resent),
        (2 * 102_561, 0, 0)
    );
    assert_eq!(site.report().transfers, []);
}

#[test]
fn lost_packets_are_sent_again() {
    let site = Site::new(4);
    let bytes = site.file("f", 20_000);
    for (options, size) in [("", (512, 1)), ("blksize 700 windowsize 8", (700, 8))] {
        let got = Client::new(&site).fetch("f", options, size, |seen| seen % 17 == 3);
        assert_eq!(got, bytes, "{options:?}");
    }
    let totals = site.wait(Protocol::Tftp, |totals| totals.complete == 2);
    assert!(totals.resent >= 3, "{totals:?}");
}

#[test]
fn a_request_and_an_agreement_that_are_lost_come_again() {
    let site = Site::new(4);
    site.file("f", 10);
    let mut client = Client::new(&site);
    client.ask("f", "tsize 0");
    let first = client.receive();
    assert_eq!(first, b"\0\x06tsize\x0010\0");
    let server = client.server;
    client.ask("f", "tsize 0");
    assert_eq!(client.receive(), first, "after a second");
    assert_eq!(client.server, server, "one transfer for both requests");
    client.ack(0);
    assert_eq!(client.block().0, 1);
    client.ack(1);
    site.wait(Protocol::Tftp, |totals| totals.complete == 1);
}

/// PXE firmware asks for the size, says ERROR 8, and asks again in earnest from the same port.
#[test]
fn who_asks_for_the_size_only_is_left_alone() {
    let site = Site::new(1);
    let bytes = site.file("f", 10);
    let mut client = Client::new(&site);
    client.ask("f", "tsize 0");
    client.receive();
    client.send(b"\0\x05\0\x08User aborted the transfer\0");
    site.wait(Protocol::Tftp, |totals| totals.asked == 1);
    assert_eq!(site.report().transfers, []);
    site.wait_idle();
    assert_eq!(
        client.fetch("f", "blksize 1468", (1468, 1), |_| false),
        bytes
    );
    let totals = site.wait(Protocol::Tftp, |totals| totals.complete == 1);
    assert_eq!((totals.aborted, totals.resent, totals.busy), (0, 0, 0));
}

#[test]
fn a_client_that_begins_anew_is_served_anew() {
    let site = Site::new(4);
    site.file("f", 2000);
    let mut client = Client::new(&site);
    client.ask("f", "");
    client.block();
    client.ack(1);
    assert_eq!(client.block().0, 2);
    client.ask("f", "");
    assert_eq!(client.block().0, 1);
    let totals = site.wait(Protocol::Tftp, |totals| totals.aborted == 1);
    assert_eq!(totals.complete, 0);
    assert_eq!(site.report().transfers.len(), 1);
}

#[test]
fn an_acknowledgement_that_comes_twice_doubles_nothing() {
    let site = Site::new(4);
    site.file("f", 5000);
    let mut client = Client::new(&site);
    client.ask("f", "");
    for number in 1..=10 {
        assert_eq!(client.block().0, number);
        client.ack(number);
        client.ack(number);
        client.ack(number.wrapping_sub(1));
    }
    site.wait(Protocol::Tftp, |totals| totals.complete == 1);
    client.socket.set_nonblocking(true).unwrap();
    let more = client.socket.recv(&mut [0; 600]).unwrap_err();
    assert_eq!(more.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_client_that_is_gone_is_noticed_at_once() {
    let site = Site::new(4);
    site.file("f", 5000);
    let mut client = Client::new(&site);
    client.ask("f", "");
    client.block();
    client.ack(1);
    client.block();
    drop(client);
    // Its port is closed, and the next try finds out.
    let totals = site.wait(Protocol::Tftp, |totals| totals.aborted == 1);
    assert_eq!(totals.complete, 0);
}

#[test]
fn refusals_have_their_codes() {
    let site = Site::new(4);
    std::fs::create_dir(site.path("d")).unwrap();
    let rows: [(&[u8], u8); 5] = [
        (b"\0\x01nothing\0octet\0", 1),
        (b"\0\x01../f\0octet\0", 2),
        (b"\0\x01d\0octet\0", 2),
        (b"\0\x02f\0octet\0", 4),
        (b"\0\x01f\0mail\0", 4),
    ];
    for (request, code) in rows {
        let mut client = Client::new(&site);
        client.send(request);
        let answer = client.receive();
        assert_eq!(answer[..4], [0, 5, 0, code], "{}", request.escape_ascii());
        assert!(answer.len() > 10 && answer.ends_with(b"\0"));
    }
    let totals = site.wait(Protocol::Tftp, |totals| totals.denied == 2);
    assert_eq!(totals.not_found, 1);
    assert_eq!(site.report().not_found[0].file, "nothing");
    assert!(!site.path("f").exists());
}

/// It speaks with the transfer's port by then, and repeats itself there only.
#[test]
fn a_client_without_a_place_waits_for_its_turn() {
    let site = Site::new(1);
    site.file("f", 600);
    for (options, packets) in [("", 1), ("tsize 0", 0)] {
        let (mut first, mut second) = (Client::new(&site), Client::new(&site));
        first.ask("f", "");
        first.block();
        first.ack(1);
        first.block();
        second.ask("f", options);
        second.receive();
        for _ in 0..3 {
            second.ack(packets);
        }
        second.socket.set_nonblocking(true).unwrap();
        // Another client, which has no need of a place, is answered after those.
        let mut third = Client::new(&site);
        third.ask("nothing", "");
        third.receive();
        let early = second.socket.recv(&mut [0; 600]).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::WouldBlock);
        second.socket.set_nonblocking(false).unwrap();
        first.ack(2);
        for block in packets + 1..=2 {
            assert_eq!(second.block().0, block);
            second.ack(block);
        }
        site.wait_idle();
    }
    let totals = site.wait(Protocol::Tftp, |totals| totals.complete == 4);
    assert_eq!((totals.busy, totals.aborted), (0, 0));
}

/// Who waits and goes away is not waited for.
#[test]
fn a_client_may_leave_while_it_waits() {
    let site = Site::new(1);
    site.file("f", 600);
    let (mut first, mut second) = (Client::new(&site), Client::new(&site));
    first.ask("f", "");
    first.block();
    first.ack(1);
    first.block();
    second.ask("f", "");
    second.block();
    second.ack(1);
    second.send(b"\0\x05\0\0enough\0");
    site.wait(Protocol::Tftp, |totals| totals.aborted == 1);
    first.ack(2);
    site.wait_idle();
}

/// As many requests as somebody likes to make up, in the name of machines that do not answer.
#[test]
fn who_does_not_answer_takes_no_place() {
    let site = Site::new(8);
    let bytes = site.file("f", 3000);
    let mut client = Client::new(&site);
    client.ask("f", "");
    client.block();
    client.ack(1);
    assert_eq!(client.block().0, 2);
    let strangers: Vec<_> = (0..100)
        .map(|_| {
            let stranger = Client::new(&site);
            stranger.ask("f", "");
            stranger
        })
        .collect();
    let got = Client::new(&site).fetch("f", "", (512, 1), |_| false);
    assert_eq!(got, bytes);
    // All but the last ones have made room.
    let totals = site.wait(Protocol::Tftp, |totals| {
        totals.complete == 1 && site.report().transfers.len() <= MIN_UNHEARD + 1
    });
    assert_eq!(totals.busy, 0);
    client.ack(2);
    assert_eq!(client.block().0, 3, "a client that was heard stays");
    drop(strangers);
}

#[test]
fn a_file_that_shrinks_ends_its_transfer() {
    let site = Site::new(1);
    site.file("f", 1 << 20);
    let mut client = Client::new(&site);
    client.ask("f", "blksize 65464");
    client.receive();
    client.ack(0);
    client.block();
    std::fs::write(site.path("f"), "short").unwrap();
    client.ack(1);
    assert_eq!(client.receive()[..4], [0, 5, 0, 0]);
    site.wait(Protocol::Tftp, |totals| totals.aborted == 1);
}

#[test]
fn progress_shows_while_it_lasts() {
    let site = Site::new(1);
    site.file("f", 5000);
    let mut client = Client::new(&site);
    client.ask("f", "");
    client.block();
    client.ack(1);
    client.block();
    client.ack(2);
    client.block();
    let report = site.report();
    let transfer = &report.transfers[0];
    assert_eq!(
        (transfer.file.as_str(), transfer.bytes, transfer.of),
        ("f", 1024, 5000)
    );
    assert_eq!(transfer.client, client.socket.local_addr().unwrap());
    assert!(transfer.bytes_per_second > 0);
}
