//! FORCERENEW (RFC 3203), authenticated by the nonce that the client got with its lease
//! (RFC 6704). A nonce is made from a secret, so nothing has to be kept for each client.

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use dhcp_common::slot::{Kind, Lease, Link};
use dhcp_common::wire::{
    CLIENT_PORT, ETHERTYPE_IPV4, ETHERTYPE_QINQ, ETHERTYPE_VLAN, SERVER_PORT, bootp, mac_bytes,
};
use hmac::{Hmac, Mac as _};
use md5::Md5;

use super::Engine;
use super::api::Interface;
use super::clients::Client;
use super::context::Context;
use super::state::{State, SubnetId};
use crate::clock::Now;
use crate::config::model::Mac;
use crate::packet::infiniband::is_pseudo;
use crate::packet::{Envelope, Message, MessageType, wrap};

/// Option 90 (RFC 3118).
const AUTHENTICATION: u8 = 90;
/// Option 145 (RFC 6704 section 3.1.1).
const NONCE_CAPABLE: u8 = 145;
const HMAC_MD5: u8 = 1;
/// "Reconfigure key", and a replay counter that only grows.
const PROTOCOL: u8 = 3;
const MONOTONIC: u8 = 0;
/// What the 16 bytes at the end of the option are.
const IS_NONCE: u8 = 1;
const IS_DIGEST: u8 = 2;
const DIGEST: usize = 16;

/// What nonces are made of; not there: none are given.
#[derive(Debug, Default)]
pub(super) struct Secret(OnceLock<[u8; 32]>);

impl Secret {
    /// Of a lease, not of a client: who hears one of them learns nothing about another, had
    /// elsewhere or later with the same MAC.
    fn nonce(&self, chaddr: u64, address: Ipv4Addr, since: u64) -> Option<[u8; DIGEST]> {
        let lease = [
            &chaddr.to_be_bytes()[..],
            &address.octets(),
            &since.to_be_bytes(),
        ];
        Some(digest(self.0.get()?, &lease.concat()))
    }
}

/// A FORCERENEW to be sent.
#[derive(Clone, Debug)]
pub struct Forced {
    pub address: Ipv4Addr,
    pub mac: Mac,
    /// The interface for a whole frame; `None`: an IP packet, to be routed.
    pub ifindex: Option<u32>,
    pub frame: Vec<u8>,
    /// The kernel has renewed the lease since the daemon last did, so the daemon does not know
    /// the xid of the last exchange.
    pub renewed_by_kernel: bool,
    /// The daemon has not heard the client since it was started, so it knows no xid.
    pub unheard: bool,
}

/// Why a client cannot be told to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotForced {
    #[error("{0} is not leased")]
    NotLeased(Ipv4Addr),
    #[error("{0} is in no subnet that is served now")]
    NoSubnet(Ipv4Addr),
    #[error(
        "server.forcerenew is off, so no client has a nonce to know this server by: set it to true and \
         reload; clients get theirs when they are bound the next time, and renew at T1 until then"
    )]
    Off,
    #[error(
        "there is no secret to make nonces of, so no client can know this server: forcerenew.key in state_dir \
         could not be read or made, and the log of the start says why; mend that and restart xdhcpd"
    )]
    NoSecret,
}

impl Context<'_> {
    /// The option that gives the nonce to a client that can use it.
    pub(super) fn nonce(&self, client: &Client) -> Option<(u8, Vec<u8>)> {
        if !self.wants_nonce() {
            return None;
        }
        let secret = &self.engine.secret;
        let nonce = secret.nonce(self.chaddr, client.address, client.since)?;
        let mut value = authentication(self.now, IS_NONCE);
        value.extend(nonce);
        Some((AUTHENTICATION, value))
    }

    /// What an OFFER says about it: the algorithm that is used.
    pub(super) fn nonce_capable(&self) -> Option<(u8, Vec<u8>)> {
        let there = self.wants_nonce() && self.engine.secret.0.get().is_some();
        there.then(|| (NONCE_CAPABLE, vec![HMAC_MD5]))
    }

    fn wants_nonce(&self) -> bool {
        let knows = || self.request.option(NONCE_CAPABLE);
        self.state.config.server.forcerenew && knows().is_some_and(|all| all.contains(&HMAC_MD5))
    }
}

impl Engine {
    /// Sets what nonces are made of: the same over restarts, as clients keep theirs.
    pub fn set_secret(&self, secret: [u8; 32]) {
        // The first one counts: clients have nonces made of it.
        let _ = self.secret.0.set(secret);
    }

    /// Has a client renew. The kernel does not answer that: the client is to get what the
    /// configuration says now.
    ///
    /// # Errors
    /// If there is no such lease, or no way to tell the client.
    pub fn force_renew(&self, address: Ipv4Addr, now: Now) -> Result<Forced, NotForced> {
        let state = self.read();
        let index = self
            .table
            .index(address)
            .ok_or(NotForced::NotLeased(address))?;
        let (kind, lease) = self.table.look(index);
        if kind != Kind::Bound || lease.expires <= now.boot {
            return Err(NotForced::NotLeased(address));
        }
        let id = state
            .subnet_of(address)
            .ok_or(NotForced::NoSubnet(address))?;
        let mac = mac_bytes(lease.chaddr);
        let message = self.forced_message(&state, address, &lease, now)?;
        // Those on InfiniBand are reached by their address: no MAC is known of them.
        let port = state.interface(lease.link.ifindex);
        let port = port.filter(|_| !is_pseudo(&mac));
        let server = state
            .server_on(id, port)
            .ok_or(NotForced::NoSubnet(address))?;
        let l2 = port.map_or_else(Vec::new, |_| link_header(lease.link));
        let envelope = Envelope {
            l2: &l2,
            source: None,
            to_mac: mac,
            from_mac: port.map_or([0; 6], |port| port.mac),
            destination: address,
            from_port: SERVER_PORT,
            port: CLIENT_PORT,
            flags: 0,
            ciaddr: address,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            mtu: port.map_or(u32::MAX, |port| port.mtu),
        };
        let mut frame = Vec::new();
        wrap(&mut frame, &message, server, &envelope);
        self.drop_memo(index, now);
        Ok(Forced {
            address,
            mac,
            ifindex: port.map(|port| port.index),
            frame,
            renewed_by_kernel: lease.renewals != 0,
            unheard: self.client_at(&state, address, lease.chaddr).xid == 0,
        })
    }

    /// Clients take it by the xid of their last exchange only, whatever RFC 3203 says.
    fn forced_message(
        &self,
        state: &State,
        address: Ipv4Addr,
        lease: &Lease,
        now: Now,
    ) -> Result<Vec<u8>, NotForced> {
        let client = self.client_at(state, address, lease.chaddr);
        if !state.config.server.forcerenew {
            return Err(NotForced::Off);
        }
        let nonce = self.secret.nonce(lease.chaddr, address, client.since);
        let nonce = nonce.ok_or(NotForced::NoSecret)?;
        let mut value = authentication(now, IS_DIGEST);
        value.extend([0; DIGEST]);
        let message = Message::new(client.xid, 0)
            .client(&mac_bytes(lease.chaddr))
            .address(bootp::CIADDR, address);
        // Type, then this option: the digest stands at a known place.
        let at = bootp::OPTIONS + 3 + 2 + value.len() - DIGEST;
        let mut bytes = message.dhcp(MessageType::ForceRenew, &[(AUTHENTICATION, value)]);
        let code = digest(&nonce, &bytes);
        bytes[at..at + DIGEST].copy_from_slice(&code);
        Ok(bytes)
    }
}

impl State {
    /// The address that a client on this interface knows the server by; without one, any.
    fn server_on(&self, id: SubnetId, port: Option<&Interface>) -> Option<Ipv4Addr> {
        let subnet = self.subnet(id);
        let ports = port.map_or(&self.interfaces[..], std::slice::from_ref);
        let all = || ports.iter().flat_map(|port| &port.addresses);
        let inside = all().find(|net| subnet.prefix.contains(&net.addr()));
        let any = inside.or_else(|| all().find(|net| !net.addr().is_loopback()));
        subnet.server_address.or(any.map(ipnet::Ipv4Net::addr))
    }
}

/// All of option 90 before the nonce or digest.
fn authentication(now: Now, what: u8) -> Vec<u8> {
    let mut value = vec![PROTOCOL, HMAC_MD5, MONOTONIC];
    value.extend(now.unix.to_be_bytes());
    value.push(what);
    value
}

fn digest(key: &[u8], bytes: &[u8]) -> [u8; DIGEST] {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("keys of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// Room for two MACs, then the tags of the link.
fn link_header(link: Link) -> Vec<u8> {
    let mut l2 = vec![0; 12];
    let outer = if link.inner == 0 {
        ETHERTYPE_VLAN
    } else {
        ETHERTYPE_QINQ
    };
    for (kind, tag) in [(outer, link.outer), (ETHERTYPE_VLAN, link.inner)] {
        if tag != 0 {
            l2.extend(kind.to_be_bytes());
            l2.extend(tag.to_be_bytes());
        }
    }
    l2.extend(ETHERTYPE_IPV4.to_be_bytes());
    l2
}
