//! Requests as we read them, against dhcproto.
//!
//! Known differences, all wanted here:
//! - dhcproto stops at an option that it cannot read, without a word; we refuse the message if the
//!   option runs past the end, or is one that we need and not as long as it must be.
//! - Of an option that stands twice it takes the last one, we join both (RFC 3396); it joins only
//!   those that stand side by side.
//! - It does not look for options in sname and file (option 52).
//! - It does not ask for the magic cookie, and takes any op, htype, hlen and chaddr.
//! - It takes only UTF-8 for a host name, and option 37 for option 23.
//! - It panics at some options that are not as long as they must be ([`PANICS`]), and where chaddr is
//!   longer than its field.

use dhcp_userspace::engine::Ignored;
use dhcp_userspace::packet::{Options, Request};
use dhcproto::v4::{DhcpOption, Message, OptionCode};
use dhcproto::{Decodable, Decoder};

const HEAD: usize = 240;
const CHADDR: usize = 16;

/// Options whose length dhcproto takes for granted.
const PANICS: [u8; 9] = [80, 81, 94, 121, 151, 152, 153, 154, 155];

pub fn run(data: &[u8]) {
    let ours = Request::parse(data);
    let mut fields = Options::new(data.get(HEAD..).unwrap_or_default()).flatten();
    if fields.any(|field| PANICS.contains(&field.code)) {
        return;
    }
    let Ok(theirs) = Message::decode(&mut Decoder::new(data)) else {
        // It wants all of a header, of which old BOOTP clients leave out the cookie.
        assert!(
            data.len() < HEAD || ours.is_err() || !is_op(data[0]),
            "{ours:?}"
        );
        return;
    };
    match ours {
        Ok(request) => {
            same_header(&request, &theirs);
            if request.has_cookie && is_plain(data) {
                same_options(&request, &theirs);
            }
        }
        Err(why) => assert!(may_be_refused(data, why), "{why:?}: {theirs:?}"),
    }
}

const fn is_op(op: u8) -> bool {
    matches!(op, 1 | 2)
}

/// Whether both read the options alike: each stands once, none is elsewhere, and all are whole.
fn is_plain(data: &[u8]) -> bool {
    let mut seen = [false; 256];
    Options::new(&data[HEAD..]).all(|field| {
        let code = field.map(|field| usize::from(field.code));
        code.is_ok_and(|code| code != 52 && !std::mem::replace(&mut seen[code], true))
    })
}

fn same_header(ours: &Request<'_>, theirs: &Message) {
    assert_eq!(ours.xid, theirs.xid());
    assert_eq!(ours.secs, theirs.secs());
    assert_eq!(ours.flags, u16::from(theirs.flags()));
    assert_eq!(ours.ciaddr, theirs.ciaddr());
    assert_eq!(ours.giaddr, theirs.giaddr());
    assert_eq!(ours.hlen, theirs.hlen());
    assert_eq!(ours.htype, u8::from(theirs.htype()));
    let len = usize::from(ours.hlen);
    if len <= CHADDR {
        assert_eq!(&ours.chaddr()[..len], theirs.chaddr());
    }
}

/// What we need of the options. What theirs lacks stands behind one that it could not read.
fn same_options(ours: &Request<'_>, theirs: &Message) {
    let bytes = |code: u8| ours.option(code).map(std::borrow::Cow::into_owned);
    let options = theirs.opts().iter();
    for (code, option) in options.filter(|(code, _)| **code != OptionCode::DefaultIpTtl) {
        let code = u8::from(*code);
        let value = bytes(code).unwrap_or_else(|| panic!("we have no {code}: {option:?}"));
        match option {
            DhcpOption::MessageType(kind) => assert_eq!(value, [u8::from(*kind)]),
            DhcpOption::RequestedIpAddress(address) => assert_eq!(ours.requested, Some(*address)),
            DhcpOption::ServerIdentifier(address) => assert_eq!(ours.server_id, Some(*address)),
            DhcpOption::SubnetSelection(address) => {
                assert_eq!(ours.subnet_selection, Some(*address));
            }
            DhcpOption::AddressLeaseTime(secs) if value.len() == 4 => {
                assert_eq!(ours.lease_time, Some(*secs));
            }
            DhcpOption::MaxMessageSize(size) if value.len() == 2 => {
                assert_eq!(ours.max_size, Some(*size));
            }
            DhcpOption::ClientIdentifier(id) => {
                assert_eq!(ours.client_id().as_deref(), Some(&id[..]))
            }
            DhcpOption::Hostname(name) => {
                assert_eq!(ours.hostname().as_deref(), Some(name.as_bytes()));
            }
            DhcpOption::ParameterRequestList(codes) => {
                let codes: Vec<u8> = codes.iter().map(|code| u8::from(*code)).collect();
                assert_eq!(ours.parameters().as_deref(), Some(&codes[..]));
            }
            DhcpOption::ClassIdentifier(class) => assert_eq!(value, *class),
            DhcpOption::VendorExtensions(bytes) => assert_eq!(value, *bytes),
            DhcpOption::Unknown(unknown) => assert_eq!(value, unknown.data()),
            _ => {}
        }
    }
    assert_eq!(ours.rapid_commit, ours.option(80).is_some());
}

/// Whether the message has what the refusal names.
fn may_be_refused(data: &[u8], why: Ignored) -> bool {
    let (htype, hlen, chaddr) = (data[1], data[2], &data[28..34]);
    let is_cookie = data[236..HEAD] == [99, 130, 83, 99];
    match why {
        Ignored::NotRequest => data[0] != 1,
        Ignored::WrongHardware => (htype, hlen) != (1, 6) || chaddr == [0; 6] || chaddr[0] & 1 != 0,
        // InfiniBand without a client identifier.
        Ignored::Invalid => htype == 32,
        Ignored::WrongType => !is_plain(data) || kind_of(data).is_some_and(is_of_no_client),
        Ignored::Malformed => is_cookie && (!is_plain(data) || has_odd_length(data)),
        _ => false,
    }
}

fn kind_of(data: &[u8]) -> Option<u8> {
    let mut fields = Options::new(&data[HEAD..]).flatten();
    let kind = fields.find(|field| field.code == u8::from(OptionCode::MessageType))?;
    kind.value.first().copied()
}

const fn is_of_no_client(kind: u8) -> bool {
    !matches!(kind, 1 | 3 | 4 | 7 | 8 | 10 | 14)
}

/// Options that have one length only.
fn has_odd_length(data: &[u8]) -> bool {
    Options::new(&data[HEAD..])
        .flatten()
        .any(|field| match field.code {
            53 => field.value.len() != 1,
            50 | 54 | 118 => field.value.len() != 4,
            _ => false,
        })
}
