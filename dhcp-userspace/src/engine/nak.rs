//! When to say no, and when to say nothing (RFC 2131 sections 4.3.2 and 4.3.6). A NAK ends some
//! firmware's netboot and breaks the client of another server, so a client that is not known
//! here gets one only from an authoritative server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::LazyLock;

use super::Stop;
use super::api::{EventKind, Ignored, Outcome};
use super::context::Context;
use super::state::SubnetId;
use crate::config::model::{Boot, Options};
use crate::packet::{Answer, Layers, MessageType};

static NO_OPTIONS: Options = BTreeMap::new();
static NO_BOOT: LazyLock<Boot> = LazyLock::new(Boot::default);

/// What the NAK is about.
pub(super) struct No {
    /// A subnet that the client may be in.
    pub(super) id: SubnetId,
    pub(super) address: Ipv4Addr,
    pub(super) message: &'static str,
}

impl Context<'_> {
    /// Whoever the client is, and whether authoritative or not.
    pub(super) fn nak(&self, no: &No, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let server = self.server(no.id)?;
        let answer = Answer {
            message_type: MessageType::Nak,
            server,
            own: server,
            times: None,
            mask: None,
            boot: &NO_BOOT,
            next_server: None,
            hangs_on_addresses: false,
            options: Layers {
                base: &NO_OPTIONS,
                over: &[],
            },
            once: &[],
            hostname: None,
            message: Some(no.message),
        };
        // A client behind a router hears no broadcast on this link.
        let ciaddr = self.request.ciaddr;
        let routed = !ciaddr.is_unspecified() && !self.is_broadcast();
        let envelope = if routed && !self.request.is_relayed() && !self.is_on_link(no.id) {
            self.to_address(ciaddr)
        } else {
            self.to_all()
        };
        self.send(reply, &answer, &envelope);
        Ok(Outcome::Reply(self.event(EventKind::Nak, no.address)))
    }

    /// If the client is known here, or the subnet authoritative; silence otherwise.
    pub(super) fn nak_if(
        &self,
        known: bool,
        no: &No,
        reply: &mut Vec<u8>,
    ) -> Result<Outcome, Stop> {
        if known || self.subnet(no.id).policy.authoritative {
            self.nak(no, reply)
        } else {
            Err(Ignored::Unknown.into())
        }
    }
}
