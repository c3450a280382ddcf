//! Lease queries, by datagram (RFC 4388) and behind lengths on a connection (RFC 6926), of a server
//! that has leases of several kinds.

use dhcp_userspace::clock::SECOND;
use dhcp_userspace::packet::{MessageType, Request};
use dhcproto::v4::Message;
use dhcproto::{Decodable, Decoder};

use crate::site::{SERVER, Site};

/// Queries of one input; what comes behind them is left.
const MANY: usize = 16;

pub fn run(data: &[u8]) {
    let mut site = with_leases();
    let mut rest = data;
    for _ in 0..MANY {
        let Some((len, after)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let len = usize::from(u16::from_be_bytes(*len)).min(after.len());
        let (query, next) = after.split_at(len);
        by_connection(&site, query);
        by_datagram(&mut site, query);
        rest = next;
    }
    site.check_books();
}

/// One lease is fresh, one released, one lapsed.
fn with_leases() -> Site {
    let mut site = Site::default();
    for (who, quiet) in [(1, 4000), (2, 60), (3, 0)] {
        let request = message(who, &[53, 1, 3, 50, 4, 10, 0, 1, 10 + who, 61, 2, 0, who]);
        let _ = site.relayed(&request);
        if who == 2 {
            let mut release = message(who, &[53, 1, 7]);
            release[12..16].copy_from_slice(&[10, 0, 1, 10 + who]);
            let _ = site.relayed(&release);
        }
        site.pass(quiet * SECOND);
    }
    site
}

fn message(who: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 2, who]);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend(options);
    bytes.push(255);
    bytes
}

fn by_connection(site: &Site, query: &[u8]) {
    let Ok(found) = site.engine.bulk_query(site.now, query, SERVER) else {
        return;
    };
    for address in &found.addresses {
        if let Some(answer) = site.engine.bulk_answer(site.now, &found, *address) {
            is_whole(&answer, query);
        }
    }
    is_whole(&found.done(), query);
}

fn is_whole(answer: &[u8], query: &[u8]) {
    assert!(u16::try_from(answer.len()).is_ok(), "its length is 16 bits");
    let theirs = Message::decode(&mut Decoder::new(answer)).expect("dhcproto reads it");
    assert_eq!(theirs.xid().to_be_bytes(), query[4..8]);
    assert!(theirs.opts().msg_type().is_some());
}

/// Whoever asks in vain is told so or hears nothing, and no query makes a lease.
fn by_datagram(site: &mut Site, query: &[u8]) {
    let is_query =
        Request::parse(query).is_ok_and(|request| request.message_type == MessageType::LeaseQuery);
    let before = site.engine.leases();
    let _ = site.relayed(query);
    if is_query {
        assert_eq!(site.engine.leases(), before);
    }
}
