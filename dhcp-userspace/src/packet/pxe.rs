//! What PXE firmware reads in option 43 (PXE specification 2.1, section 2.4.1) and asks with it.

use std::net::Ipv4Addr;

use super::options::{Options, put};
use super::request::Request;
use crate::config::model::Menu;

/// UDP port of PXE boot servers.
pub const PORT: u16 = dhcp_common::wire::BOOT_SERVER_PORT;
/// How firmware says in option 60 that it boots from the network.
pub const PXE_CLIENT: &[u8] = b"PXEClient";
pub const HTTP_CLIENT: &[u8] = b"HTTPClient";

const DISCOVERY_CONTROL: u8 = 6;
const BOOT_SERVERS: u8 = 8;
const BOOT_MENU: u8 = 9;
const MENU_PROMPT: u8 = 10;
const BOOT_ITEM: u8 = 71;
const END: u8 = 255;
/// Any of these tells a client where to look.
pub(super) const FINDS_SERVER: [u8; 3] = [DISCOVERY_CONTROL, BOOT_SERVERS, BOOT_MENU];

/// Neither broadcast nor multicast, and only the servers that are listed.
const ONLY_LISTED: u8 = 0b0111;
/// Take the file of this very message.
const TAKE_FILE: u8 = 0b1000;
/// A prompt with this timeout waits for a key.
const WAIT: u8 = 255;

/// What the firmware of a client boots from, by option 60.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    Pxe,
    Http,
}

impl Firmware {
    #[must_use]
    pub fn of(request: &Request<'_>) -> Option<Self> {
        let class = request.option(dhcp_common::wire::option::VENDOR_CLASS)?;
        if class.starts_with(PXE_CLIENT) {
            Some(Self::Pxe)
        } else if class.starts_with(HTTP_CLIENT) {
            Some(Self::Http)
        } else {
            None
        }
    }

    /// Option 60 of the reply, without which firmware does not take it for its own.
    #[must_use]
    pub fn class(self) -> &'static [u8] {
        match self {
            Self::Pxe => PXE_CLIENT,
            Self::Http => HTTP_CLIENT,
        }
    }
}

/// What firmware that boots over HTTP takes for a boot file.
#[must_use]
pub fn is_url(file: &[u8]) -> bool {
    let begins = |scheme: &[u8]| {
        let start = file.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    begins(b"http://") || begins(b"https://")
}

/// Option 43 of a client that is to take the file it is told.
#[must_use]
pub fn take_file() -> Vec<u8> {
    let mut data = Vec::new();
    put(&mut data, DISCOVERY_CONTROL, &[TAKE_FILE]);
    data.push(END);
    data
}

/// Option 43 of a client that is to show a menu, and to ask `server` on port 4011 for what was
/// chosen.
#[must_use]
pub fn menu(menu: &Menu, server: Ipv4Addr) -> Vec<u8> {
    let (mut servers, mut items) = (Vec::new(), Vec::new());
    for (item, kind) in menu.items.iter().zip(1u16..) {
        let local = item.file.is_empty();
        let kind = if local { [0, 0] } else { kind.to_be_bytes() };
        items.extend(kind);
        items.push(item.text.len() as u8);
        items.extend(item.text.bytes());
        if !local {
            servers.extend(kind);
            servers.push(1);
            servers.extend(server.octets());
        }
    }
    let timeout = menu
        .timeout
        .map_or(WAIT, |time| time.as_secs().min(254) as u8);
    let mut prompt = vec![timeout];
    prompt.extend(menu.prompt.bytes());
    let mut data = Vec::new();
    put(&mut data, DISCOVERY_CONTROL, &[ONLY_LISTED]);
    put(&mut data, BOOT_SERVERS, &servers);
    put(&mut data, BOOT_MENU, &items);
    put(&mut data, MENU_PROMPT, &prompt);
    data.push(END);
    data
}

/// The item of a menu that a client has chosen, counted from 1, and option 43 of the answer.
#[must_use]
pub fn chosen(request: &Request<'_>) -> Option<(usize, Vec<u8>)> {
    let data = request.option(dhcp_common::wire::option::VENDOR_OPTIONS)?;
    let field = Options::new(&data)
        .flatten()
        .find(|field| field.code == BOOT_ITEM)?;
    let [high, low, _, _] = field.value.try_into().ok()?;
    let kind = u16::from_be_bytes([high, low]);
    let mut answer = Vec::new();
    // Layer 0: the boot file itself.
    put(&mut answer, BOOT_ITEM, &[high, low, 0, 0]);
    answer.push(END);
    Some((usize::from(kind), answer))
}
