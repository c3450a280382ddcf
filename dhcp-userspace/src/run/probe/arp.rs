//! "Who has this address?" on the client's link.
//!
//! The question bears the server's own address, not 0.0.0.0 as a host's does that is about to take
//! the address (RFC 5227): some hosts do not answer a sender without an address, and a server has
//! one.

use std::net::Ipv4Addr;

use dhcp_common::slot::Link;
use dhcp_common::wire::BROADCAST_MAC;

use crate::config::model::Mac;
use crate::net::frame::{Frame, link_header};

const ETHERTYPE: u16 = libc::ETH_P_ARP as u16;
/// Hardware and protocol type, and the lengths of their addresses (RFC 826).
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];
const LEN: usize = 28;

/// Asks under the same tags as a frame with this link header has, from its sender to all.
#[must_use]
pub fn request(l2: &[u8], server: Ipv4Addr, address: Ipv4Addr) -> Vec<u8> {
    let (our_mac, tags) = (&l2[6..12], &l2[12..l2.len() - 2]);
    let mut frame = BROADCAST_MAC.to_vec();
    frame.extend(our_mac);
    frame.extend(tags);
    frame.extend(ETHERTYPE.to_be_bytes());
    frame.extend(ETHERNET_IPV4);
    frame.extend(REQUEST);
    frame.extend(our_mac);
    frame.extend(server.octets());
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

/// "I have it."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub link: Link,
    pub mac: Mac,
    pub address: Ipv4Addr,
}

impl Reply {
    #[must_use]
    pub fn parse(frame: &Frame<'_>) -> Option<Self> {
        let (l2, link) = link_header(frame, ETHERTYPE).ok()?;
        let arp = frame.bytes[l2.len()..].first_chunk::<LEN>()?;
        let right = arp[..6] == ETHERNET_IPV4 && arp[6..8] == REPLY;
        right.then(|| Self {
            link,
            mac: std::array::from_fn(|i| arp[8 + i]),
            address: Ipv4Addr::new(arp[14], arp[15], arp[16], arp[17]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tests::tag;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    fn plain() -> Vec<u8> {
        request(&[4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 8, 0], SERVER, ADDRESS)
    }

    #[test]
    fn a_question_is_as_rfc_826_has_it() {
        let want = [
            &[255; 6][..],
            &[2; 6],
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
            &[2; 6],
            &[10, 0, 0, 1],
            &[0; 6],
            &[10, 0, 0, 9],
        ];
        assert_eq!(plain(), want.concat());
    }

    #[test]
    fn a_question_goes_under_the_clients_tags() {
        let l2 = [
            4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 0x88, 0xa8, 0, 7, 0x81, 0, 0x20, 100, 8, 0,
        ];
        let asked = request(&l2, SERVER, ADDRESS);
        assert_eq!(asked, tag(&tag(&plain(), 0x8100, 0x2064), 0x88a8, 7));
    }

    /// What a host would make of the question.
    fn answered(asked: &[u8]) -> Vec<u8> {
        let mut reply = asked.to_vec();
        let arp = reply.len() - LEN;
        reply[arp + 7] = 2;
        reply[arp + 8..arp + 14].fill(6);
        reply[arp + 14..arp + 18].copy_from_slice(&ADDRESS.octets());
        reply
    }

    #[test]
    fn replies_tell_who_has_what_where() {
        let reply = answered(&plain());
        let twice = tag(&tag(&reply, 0x8100, 100), 0x88a8, 7);
        for (bytes, outer, inner) in [(&reply, 0, 0), (&twice, 7, 100)] {
            let link = Link {
                ifindex: 3,
                outer,
                inner,
            };
            let want = Reply {
                link,
                mac: [6; 6],
                address: ADDRESS,
            };
            assert_eq!(Reply::parse(&Frame::new(bytes, 3, false)), Some(want));
        }
        assert_eq!(Reply::parse(&Frame::new(&plain(), 3, false)), None);
        for len in 0..twice.len() {
            assert_eq!(Reply::parse(&Frame::new(&twice[..len], 3, false)), None);
        }
    }
}
