//! Where to boot from, for clients that get their address from another server (proxyDHCP), and
//! for those that chose from a menu (PXE boot servers, port 4011).

use std::borrow::Cow;
use std::net::Ipv4Addr;

use dhcp_common::wire::option;

use super::Stop;
use super::api::{EventKind, Ignored, Outcome};
use super::context::Context;
use super::state::SubnetId;
use super::terms::Terms;
use crate::config::model::{Boot, BootOverrides, Menu, MenuItem};
use crate::packet::pxe::{self, Firmware};
use crate::packet::{Answer, MessageType};

impl<'a> Context<'a> {
    /// Whether another server gives the addresses where this message comes from.
    pub(super) fn is_proxied(&self) -> bool {
        let mut subnets = self.meant().iter();
        subnets.any(|id| self.subnet(*id).policy.proxy)
    }

    /// A message on port 67 in a subnet of another server's: firmware looks for where to boot
    /// from, everything else is not for this server.
    pub(super) fn proxy(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let firmware = Firmware::of(self.request).ok_or(Ignored::NotNetboot)?;
        if self.request.message_type != MessageType::Discover {
            return Err(Ignored::OtherServer.into());
        }
        let proxied = |id: &&SubnetId| self.subnet(**id).policy.proxy;
        let id = self
            .subnets()
            .iter()
            .find(proxied)
            .ok_or(Ignored::NoSubnet)?;
        let terms = self.terms(*id)?;
        let vendor = terms.vendor_options();
        self.tell(MessageType::Offer, &terms, (firmware, vendor), reply)
    }

    /// A message on port 4011.
    pub(super) fn boot_server(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let firmware = Firmware::of(self.request).ok_or(Ignored::NotNetboot)?;
        if !matches!(
            self.request.message_type,
            MessageType::Request | MessageType::Inform | MessageType::Discover
        ) {
            return Err(Ignored::WrongType.into());
        }
        let id = self.boot_subnet().ok_or(Ignored::NoSubnet)?;
        let mut terms = self.terms(id)?;
        let vendor = match (pxe::chosen(self.request), terms.menu()) {
            (Some((number, vendor)), Some(menu)) => {
                let at = number.checked_sub(1).ok_or(Ignored::Invalid)?;
                let item = menu.items.get(at).ok_or(Ignored::Invalid)?.clone();
                terms.boot_from(&item);
                self.settle_boot(&mut terms);
                vendor
            }
            (Some((_, vendor)), None) => vendor,
            (None, _) => pxe::take_file(),
        };
        self.tell(MessageType::Ack, &terms, (firmware, vendor), reply)
    }

    /// By the address that the client has, or where it is.
    fn boot_subnet(&self) -> Option<SubnetId> {
        let of = |address: Ipv4Addr| self.state.subnet_of(address);
        let by_address = of(self.request.ciaddr).or_else(|| of(self.packet.source));
        by_address.or_else(|| self.subnets().first().copied())
    }

    fn tell(
        &self,
        message_type: MessageType,
        terms: &Terms<'_>,
        (firmware, vendor): (Firmware, Vec<u8>),
        reply: &mut Vec<u8>,
    ) -> Result<Outcome, Stop> {
        if !terms.boots(firmware, message_type) {
            return Err(Ignored::NothingToBoot.into());
        }
        // What is said once is said in the place of what is configured or belongs to netboot.
        let mut once = terms.once.clone();
        once.push((option::VENDOR_CLASS, firmware.class().to_vec()));
        if firmware == Firmware::Pxe {
            once.push((option::VENDOR_OPTIONS, vendor));
        }
        let answer = Answer {
            times: None,
            mask: None,
            hostname: None,
            once: &once,
            ..terms.answer(message_type)
        };
        let host = Some(self.request.ciaddr).filter(|address| !address.is_unspecified());
        let mut envelope = match host {
            Some(host) => self.to_address(host),
            None => self.to_all(),
        };
        envelope.ciaddr = self.request.ciaddr;
        self.send(reply, &answer, &envelope);
        let address = host.unwrap_or(Ipv4Addr::UNSPECIFIED);
        Ok(Outcome::Reply(self.event(EventKind::Proxy, address)))
    }
}

impl Terms<'_> {
    fn menu(&self) -> Option<&Menu> {
        self.boot.menu.as_deref()
    }

    fn vendor_options(&self) -> Vec<u8> {
        match self.menu() {
            Some(menu) => pxe::menu(menu, self.own),
            None => pxe::take_file(),
        }
    }

    /// Whether the client would find something to boot in this message, or a menu.
    fn boots(&self, firmware: Firmware, message_type: MessageType) -> bool {
        let file = self.answer(message_type).boot_file();
        match firmware {
            Firmware::Http => pxe::is_url(file),
            Firmware::Pxe => {
                let menu = message_type == MessageType::Offer && self.menu().is_some();
                menu || !file.is_empty()
            }
        }
    }

    /// Takes what was chosen from the menu for what to boot.
    fn boot_from(&mut self, item: &MenuItem) {
        let chosen = BootOverrides {
            next_server: item.server.map(Some),
            file: Some(item.file.clone()),
            ..BootOverrides::default()
        };
        let boot: &Boot = &self.boot;
        self.boot = Cow::Owned(boot.overridden(&chosen));
    }
}
