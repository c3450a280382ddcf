//! What netboot clients look for in a reply although nobody has configured it as an option. All
//! of it follows from the configuration and the options of the request, so the kernel may say it
//! again.

use std::borrow::Cow;

use dhcp_common::wire::option;

use super::pxe::{self, Firmware};
use super::registry::suboptions;
use super::reply::{Answer, FILE_LEN};
use super::request::{MessageType, Request};

const SERVER_NAME: u8 = 66;
const BOOT_FILE: u8 = 67;

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
        if let Some(firmware) = Firmware::of(request) {
            extras.add_machine(request);
            match firmware {
                Firmware::Pxe => extras.add_pxe(answer),
                Firmware::Http => extras.add_http(answer),
            }
        }
        extras.add_boot(answer);
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
        self.get(option::UUID).is_some()
    }

    /// RFC 4578 section 2.3: in all messages of client and server.
    fn add_machine(&mut self, request: &Request<'a>) {
        if let Some(machine) = request.option(option::UUID) {
            self.values.push((option::UUID, true, machine));
        }
    }

    /// Option 60 makes a PXE client read option 43, and look for a boot server where that names
    /// none: it would not boot at all.
    fn add_pxe(&mut self, answer: &Answer<'a>) {
        let configured = answer.options.get(option::VENDOR_OPTIONS);
        let menu = answer.boot.menu.as_deref();
        let vendor = match (configured, menu) {
            (Some(value), _) if !is_pxe(&value.data) => return,
            (Some(value), _) => Cow::Borrowed(&*value.data),
            (None, Some(menu)) => Cow::Owned(pxe::menu(menu, answer.own)),
            (None, None) => return,
        };
        let class = Firmware::Pxe.class();
        self.values.push((option::VENDOR_CLASS, true, class.into()));
        self.values.push((option::VENDOR_OPTIONS, true, vendor));
    }

    /// UEFI takes an offer for HTTP boot only with this class and a URL (UEFI 2.11 section 24.7).
    fn add_http(&mut self, answer: &Answer<'a>) {
        let file = answer.boot_file();
        if pxe::is_url(file) {
            let class = Firmware::Http.class();
            self.values.push((option::VENDOR_CLASS, true, class.into()));
            self.values.push((BOOT_FILE, true, file.into()));
        }
    }

    fn add_boot(&mut self, answer: &Answer<'a>) {
        let boot = answer.boot;
        let file = boot.file.as_bytes();
        if !file.is_empty() && self.get(BOOT_FILE).is_none() {
            let needed = file.len() >= FILE_LEN;
            self.values.push((BOOT_FILE, needed, file.into()));
        }
        if !boot.server_name.is_empty() {
            let name = boot.server_name.as_bytes();
            self.values.push((SERVER_NAME, false, name.into()));
        } else if let Some(address) = answer.next_server {
            let text = address.to_string().into_bytes();
            self.values.push((SERVER_NAME, false, text.into()));
        }
    }
}

impl<'a> Answer<'a> {
    /// Option 67 as it is configured, or what `boot` says.
    #[must_use]
    pub fn boot_file(&self) -> &'a [u8] {
        let configured = self.options.get(BOOT_FILE).map(|value| &*value.data);
        configured.unwrap_or(self.boot.file.as_bytes())
    }
}

/// Whether the vendor options say how to find a boot server.
fn is_pxe(vendor: &[u8]) -> bool {
    let all = suboptions(vendor, true).unwrap_or_default();
    all.iter().any(|(code, _)| pxe::FINDS_SERVER.contains(code))
}
