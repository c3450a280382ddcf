//! What netboot clients find in a reply beside what is configured. All of it follows from the
//! configuration and the options of the request, so the kernel may say it again.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::registry::{put_suboption, suboptions};
use super::reply::Answer;
use super::request::{MessageType, Request};
use crate::config::model::{Boot, Menu, MenuItem};

pub(super) const VENDOR: u8 = 43;
pub(super) const CLASS: u8 = 60;
const SERVER_NAME: u8 = 66;
const BOOT_FILE: u8 = 67;
const MACHINE: u8 = 97;

/// What the file field of the header holds, with its final zero.
pub(super) const HEADER_FILE: usize = 127;

/// Sub-options of option 43 (PXE 2.1 section 2.4).
const DISCOVERY_CONTROL: u8 = 6;
const BOOT_SERVERS: u8 = 8;
const BOOT_MENU: u8 = 9;
const MENU_PROMPT: u8 = 10;
const BOOT_ITEM: u8 = 71;
const END: u8 = 255;

/// No broadcast, no multicast: ask the servers that are listed.
const LISTED_ONLY: u8 = 0b0111;
/// Neither prompt nor menu: take the boot file of this message.
const BOOT_FILE_ONLY: u8 = 0b1000;
/// Boot from the local disk.
const LOCAL: u16 = 0;
/// Types from here on are free for vendors.
const FIRST_TYPE: u16 = 0x8000;
/// The menu waits for a key.
const WAIT: u8 = 255;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Pxe,
    Http,
    Other,
}

impl Client {
    fn of(request: &Request<'_>) -> Self {
        match request.option(CLASS).as_deref() {
            Some(class) if class.starts_with(b"PXEClient") => Self::Pxe,
            Some(class) if class.starts_with(b"HTTPClient") => Self::Http,
            _ => Self::Other,
        }
    }
}

/// The item that the client has chosen from a menu; `None`: it asks for the menu.
#[must_use]
pub fn chosen<'a>(request: &Request<'_>, menu: &'a Menu) -> Option<&'a MenuItem> {
    let number = item_type(&request.option(VENDOR)?)?.checked_sub(FIRST_TYPE)?;
    let item = menu.items.get(usize::from(number))?;
    (!item.file.is_empty()).then_some(item)
}

fn item_type(vendor: &[u8]) -> Option<u16> {
    let all = suboptions(vendor, true)?;
    let (_, item) = all.into_iter().find(|(code, _)| *code == BOOT_ITEM)?;
    item.first_chunk().copied().map(u16::from_be_bytes)
}

/// Where the client boots from, once it has chosen.
pub(super) fn boot<'a>(request: &Request<'_>, boot: &'a Boot) -> Cow<'a, Boot> {
    let menu = boot.menu.as_deref();
    let Some(item) = menu.and_then(|menu| chosen(request, menu)) else {
        return Cow::Borrowed(boot);
    };
    Cow::Owned(Boot {
        next_server: item.server.or(boot.next_server),
        file: item.file.clone(),
        ..boot.clone()
    })
}

/// Options that nobody has configured.
#[derive(Default)]
pub(super) struct Extras<'a> {
    /// With whether they are sent to clients that do not ask for them.
    values: Vec<(u8, bool, Cow<'a, [u8]>)>,
}

impl<'a> Extras<'a> {
    pub(super) fn new(request: &Request<'a>, answer: &Answer<'a>) -> Self {
        let mut extras = Self::default();
        if answer.message_type == MessageType::Nak {
            return extras;
        }
        let client = Client::of(request);
        if client != Client::Other
            && let Some(machine) = request.option(MACHINE)
        {
            extras.values.push((MACHINE, true, machine));
        }
        match client {
            Client::Pxe => extras.for_pxe(request, answer),
            Client::Http => extras.for_http(answer),
            Client::Other => {}
        }
        extras.add_boot(answer.boot);
        extras
    }

    pub(super) fn get(&self, code: u8) -> Option<&[u8]> {
        let mut values = self.values.iter();
        let found = values.find(|(other, ..)| *other == code);
        found.map(|(_, _, value)| &**value)
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = u8> {
        self.values.iter().map(|(code, ..)| *code)
    }

    /// What is sent whether the client asks for it or not.
    pub(super) fn needed(&self) -> impl Iterator<Item = u8> {
        let needed = self.values.iter().filter(|(_, needed, _)| *needed);
        needed.map(|(code, ..)| *code)
    }

    /// Tells clients apart that are alike to everybody else: a template would serve only one.
    pub(super) fn are_personal(&self) -> bool {
        self.get(MACHINE).is_some()
    }

    /// Option 60 makes a PXE client read option 43, and look for a boot server if there is none.
    fn for_pxe(&mut self, request: &Request<'_>, answer: &Answer<'a>) {
        let configured = answer.options.get(VENDOR).map(|value| &*value.data);
        let vendor = match configured {
            Some(data) if is_pxe(data) => Cow::Borrowed(data),
            Some(_) => return,
            None => match vendor_options(request, answer) {
                Some(data) => Cow::Owned(data),
                None => return,
            },
        };
        self.values.push((CLASS, true, b"PXEClient".into()));
        self.values.push((VENDOR, true, vendor));
    }

    /// UEFI takes an offer for HTTP boot only with this class and a URL (UEFI 2.11 section 24.7).
    fn for_http(&mut self, answer: &Answer<'a>) {
        let configured = answer.options.get(BOOT_FILE).map(|value| &*value.data);
        let file = configured.unwrap_or(answer.boot.file.as_bytes());
        if is_url(file) {
            self.values.push((CLASS, true, b"HTTPClient".into()));
            self.values.push((BOOT_FILE, true, file.to_vec().into()));
        }
    }

    fn add_boot(&mut self, boot: &'a Boot) {
        let file = boot.file.as_bytes();
        if !file.is_empty() && self.get(BOOT_FILE).is_none() {
            self.values
                .push((BOOT_FILE, file.len() > HEADER_FILE, file.into()));
        }
        if !boot.server_name.is_empty() {
            let name = boot.server_name.as_bytes();
            self.values.push((SERVER_NAME, false, name.into()));
        } else if let Some(address) = boot.next_server {
            let text = address.to_string().into_bytes();
            self.values.push((SERVER_NAME, false, text.into()));
        }
    }
}

fn is_url(file: &[u8]) -> bool {
    let begins = |scheme: &[u8]| {
        let start = file.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    begins(b"http://") || begins(b"https://")
}

/// Whether the vendor options say how to find a boot server.
fn is_pxe(vendor: &[u8]) -> bool {
    let discovery = [DISCOVERY_CONTROL, BOOT_SERVERS, BOOT_MENU];
    let all = suboptions(vendor, true).unwrap_or_default();
    all.iter().any(|(code, _)| discovery.contains(code))
}

fn vendor_options(request: &Request<'_>, answer: &Answer<'_>) -> Option<Vec<u8>> {
    if let Some(menu) = answer.boot.menu.as_deref() {
        return Some(match chosen(request, menu) {
            Some(_) => echo_item(request),
            None => menu_options(menu, answer),
        });
    }
    // An answer without an address is one that says only where to boot from.
    let proxy = answer.times.is_none() && answer.mask.is_none();
    let file = !answer.boot.file.is_empty() || answer.options.get(BOOT_FILE).is_some();
    (proxy && file).then(|| vec![DISCOVERY_CONTROL, 1, BOOT_FILE_ONLY, END])
}

/// The choice, for the client to see that this answers it.
fn echo_item(request: &Request<'_>) -> Vec<u8> {
    let vendor = request.option(VENDOR).unwrap_or_default();
    let all = suboptions(&vendor, true).unwrap_or_default();
    let mut data = Vec::new();
    for (_, item) in all.into_iter().filter(|(code, _)| *code == BOOT_ITEM) {
        put(&mut data, BOOT_ITEM, item);
    }
    data.push(END);
    data
}

fn menu_options(menu: &Menu, answer: &Answer<'_>) -> Vec<u8> {
    let (mut servers, mut texts) = (Vec::new(), Vec::new());
    for (item, number) in menu.items.iter().zip(FIRST_TYPE..) {
        let number = if item.file.is_empty() { LOCAL } else { number };
        let text = item.text.as_bytes();
        let server = item
            .server
            .or(answer.boot.next_server)
            .unwrap_or(answer.server);
        let room = 255 - texts.len().max(servers.len());
        if room < (3 + text.len()).max(7) {
            break;
        }
        texts.extend(number.to_be_bytes());
        texts.push(text.len() as u8);
        texts.extend(text);
        if number != LOCAL {
            put_server(&mut servers, number, server);
        }
    }
    let mut prompt = vec![timeout(menu)];
    prompt.extend(menu.prompt.bytes().take(254));
    let mut data = Vec::new();
    put(&mut data, DISCOVERY_CONTROL, &[LISTED_ONLY]);
    put(&mut data, BOOT_SERVERS, &servers);
    put(&mut data, BOOT_MENU, &texts);
    put(&mut data, MENU_PROMPT, &prompt);
    data.push(END);
    data
}

fn put_server(servers: &mut Vec<u8>, number: u16, server: Ipv4Addr) {
    servers.extend(number.to_be_bytes());
    servers.push(1);
    servers.extend(server.octets());
}

/// Seconds; 0 takes the first item at once.
fn timeout(menu: &Menu) -> u8 {
    let seconds = |time: std::time::Duration| time.as_secs().min(u64::from(WAIT - 1)) as u8;
    menu.timeout.map_or(WAIT, seconds)
}

/// What is longer than a sub-option can be is cut before it comes here.
fn put(data: &mut Vec<u8>, code: u8, value: &[u8]) {
    let fits = put_suboption(data, code, value);
    debug_assert!(fits.is_ok(), "{} bytes", value.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Options;
    use crate::packet::{Layers, put as put_option};
    use dhcp_common::wire::{BOOTP_LEN, MAGIC_COOKIE, bootp};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn message(options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; BOOTP_LEN];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[bootp::CHADDR] = 2;
        bytes[bootp::COOKIE..].copy_from_slice(&MAGIC_COOKIE);
        put_option(&mut bytes, 53, &[1]);
        for (code, value) in options {
            put_option(&mut bytes, *code, value);
        }
        bytes.push(255);
        bytes
    }

    /// The extras of a proxy's offer.
    fn proxied(options: &[(u8, &[u8])], boot: &Boot, configured: &Options) -> Vec<(u8, Vec<u8>)> {
        let bytes = message(options);
        let request = Request::parse(&bytes).unwrap();
        let answer = Answer {
            message_type: MessageType::Offer,
            server: Ipv4Addr::new(10, 0, 0, 1),
            times: None,
            mask: None,
            boot,
            options: Layers {
                base: configured,
                over: &[],
            },
            once: &[],
            hostname: None,
            message: None,
        };
        let extras = Extras::new(&request, &answer);
        let all = extras.values.iter();
        all.map(|(code, _, value)| (*code, value.to_vec()))
            .collect()
    }

    #[test]
    fn a_proxy_says_that_the_boot_file_is_all() {
        let boot = Boot {
            file: "ipxe.efi".into(),
            ..Boot::default()
        };
        let pxe = [(60, &b"PXEClient"[..]), (97, &[0; 17])];
        let extras = proxied(&pxe, &boot, &Options::new());
        let expected = [
            (97, vec![0; 17]),
            (60, b"PXEClient".to_vec()),
            (43, vec![6, 1, 8, 255]),
            (67, b"ipxe.efi".to_vec()),
        ];
        assert_eq!(extras, expected);
        assert_eq!(proxied(&pxe, &Boot::default(), &Options::new()).len(), 1);
        let other = proxied(&[(60, b"MSFT 5.0")], &boot, &Options::new());
        assert_eq!(other, [(67, b"ipxe.efi".to_vec())]);
    }

    fn menu(items: Vec<(String, bool)>, seconds: Option<u64>) -> Menu {
        let item = |(text, local): (String, bool)| MenuItem {
            text,
            file: if local { String::new() } else { "file".into() },
            server: None,
        };
        Menu {
            prompt: "x".repeat(300),
            timeout: seconds.map(Duration::from_secs),
            items: items.into_iter().map(item).collect(),
        }
    }

    proptest! {
        #[test]
        fn any_menu_and_any_vendor_options_make_sub_options(
            items in prop::collection::vec(("[a-z]{0,120}", any::<bool>()), 0..60), seconds: Option<u64>,
            vendor in prop::collection::vec(prop_oneof![any::<u8>(), Just(71u8), Just(4u8), Just(128u8), Just(0u8)], 0..20),
        ) {
            let boot = Boot { menu: Some(Arc::new(menu(items, seconds))), ..Boot::default() };
            let extras = proxied(&[(60, b"PXEClient"), (43, &vendor)], &boot, &Options::new());
            let (_, data) = extras.iter().find(|(code, _)| *code == VENDOR).unwrap();
            let all = suboptions(data, true).unwrap();
            prop_assert!(all.iter().any(|(code, _)| [DISCOVERY_CONTROL, BOOT_ITEM].contains(code)));
            prop_assert_eq!(data.last(), Some(&END));
        }
    }
}
