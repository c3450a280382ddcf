//! What a relay says of a message beside giaddr.

use std::net::Ipv4Addr;

use crate::packet::Request;

/// Sub-options of option 82. Virtual subnets (RFC 6607, 151 and 152) are not among them: they come
/// back as they were, 152 included, which tells the relay that they were not understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relay {
    /// The client's link, where giaddr is another (RFC 3527).
    pub(super) link: Option<Ipv4Addr>,
    /// What to be to the client, so that renewals come by way of the relay (RFC 5107).
    pub(super) server: Option<Ipv4Addr>,
    /// Whether the client sent to the relay alone, or to all (RFC 5010).
    pub(super) unicast: Option<bool>,
    /// The relay listens on the port that it sends from (RFC 8357).
    pub(super) own_port: bool,
}

const LINK_SELECTION: u8 = 5;
const FLAGS: u8 = 10;
const SERVER_ID_OVERRIDE: u8 = 11;
const SOURCE_PORT: u8 = 19;

const UNICAST: u8 = 0x80;

impl Relay {
    /// Nothing if no relay has filled in giaddr: a switch may add option 82, a client may forge it.
    pub(super) fn of(request: &Request<'_>) -> Self {
        if !request.is_relayed() {
            return Self::default();
        }
        let address = |code| {
            let bytes: [u8; 4] = request.relay_suboption(code)?.as_ref().try_into().ok()?;
            Some(Ipv4Addr::from(bytes)).filter(|address| !address.is_unspecified())
        };
        let flags = request.relay_suboption(FLAGS);
        Self {
            link: address(LINK_SELECTION),
            server: address(SERVER_ID_OVERRIDE),
            unicast: flags.and_then(|flags| Some(flags.first()? & UNICAST != 0)),
            own_port: request.relay_suboption(SOURCE_PORT).is_some(),
        }
    }
}
