//! Where to boot from, beside another server and by a menu.

use std::sync::Arc;
use std::time::Duration;

use dhcp_common::wire::bootp;

use super::lab::*;
use crate::config::model::{Boot, Mac, Menu, MenuItem, Subnet};
use crate::engine::{EventKind, Ignored};

const A: Mac = [0x52, 0x54, 0, 0, 0, 1];
const UUID: [u8; 17] = [7; 17];

fn net() -> Subnet {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.boot = Boot {
        next_server: Some(ip("10.0.0.2")),
        file: "ipxe.efi".into(),
        ..Boot::default()
    };
    net
}

fn proxied() -> Lab {
    let mut net = net();
    net.pools.clear();
    net.policy.proxy = true;
    Lab::new(config(vec![net]))
}

pub(super) fn menu() -> Arc<Menu> {
    let item = |text: &str, file: &str, server: Option<&str>| MenuItem {
        text: text.into(),
        file: file.into(),
        server: server.map(ip),
    };
    Arc::new(Menu {
        prompt: "Press F8".into(),
        timeout: Some(Duration::from_secs(5)),
        items: vec![
            item("Local disk", "", None),
            item("Install", "install.0", None),
            item("Rescue", "rescue.0", Some("10.0.0.9")),
        ],
    })
}

fn firmware(message: Message) -> Message {
    message
        .with(60, b"PXEClient:Arch:00000:UNDI:002001")
        .with(97, &UUID)
}

fn at_boot_server(mut message: Message) -> Message {
    message.destination_port = 4011;
    message.source_port = 68;
    firmware(message)
}

fn file(reply: &Reply) -> String {
    let field = &reply.message()[bootp::FILE..bootp::COOKIE];
    let text: Vec<u8> = field
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8(text).unwrap()
}

#[test]
fn firmware_is_told_where_to_boot_from_beside_another_server() {
    let mut lab = proxied();
    let offer = lab.reply(&firmware(Message::discover(A)));
    assert_eq!((offer.kind(), offer.event), (2, EventKind::Proxy));
    assert_eq!(offer.yiaddr(), ANYONE);
    assert_eq!(offer.address(bootp::SIADDR), ip("10.0.0.2"));
    assert_eq!(file(&offer), "ipxe.efi");
    assert_eq!(offer.option(54), Some(&SERVER.octets()[..]));
    assert_eq!(offer.option(60), Some(&b"PXEClient"[..]));
    assert_eq!(offer.option(97), Some(&UUID[..]));
    assert_eq!(offer.option(43), Some(&[6, 1, 8, 255][..]), "take the file");
    for code in [1, 12, 51, 58, 59] {
        assert_eq!(
            offer.option(code),
            None,
            "option {code} is the other server's"
        );
    }
    assert_eq!(offer.to(), (ALL, 68));
    assert_eq!(lab.engine.open_offers(), 0);
}

#[test]
fn everybody_else_is_the_other_server_s() {
    let mut lab = proxied();
    assert_eq!(lab.ignored(&Message::discover(A)), Ignored::NotNetboot);
    let selecting = firmware(
        Message::new(3, A)
            .server(ip("10.0.0.66"))
            .requested(ip("10.0.1.10")),
    );
    assert_eq!(lab.ignored(&selecting), Ignored::OtherServer);
}

#[test]
fn a_boot_server_answers_on_its_port() {
    let mut lab = proxied();
    let address = ip("10.0.3.3");
    let ack = lab.reply(&at_boot_server(Message::renewing(A, address)));
    assert_eq!((ack.kind(), ack.yiaddr()), (5, ANYONE));
    assert_eq!(ack.address(bootp::CIADDR), address);
    assert_eq!(file(&ack), "ipxe.efi");
    assert_eq!(ack.to(), (address, 68));
    let mut other = Message::renewing(A, address);
    other.destination_port = 4011;
    assert_eq!(lab.ignored(&other), Ignored::NotNetboot);
}

#[test]
fn a_menu_is_shown_and_its_items_are_told_apart() {
    let mut net = net();
    net.boot.menu = Some(menu());
    net.policy.proxy = true;
    let mut lab = Lab::new(config(vec![net]));
    let offer = lab.reply(&firmware(Message::discover(A)));
    let mut expected = vec![6, 1, 7, 8, 14, 0, 2, 1, 10, 0, 0, 1, 0, 3, 1, 10, 0, 0, 1];
    expected.extend([9, 32, 0, 0, 10]);
    expected.extend(b"Local disk\x00\x02\x07Install\x00\x03\x06Rescue");
    expected.extend(b"\x0a\x09\x05Press F8\xff");
    assert_eq!(offer.option(43), Some(&expected[..]));

    let ask = |item: u8| {
        at_boot_server(Message::renewing(A, ip("10.0.3.3"))).with(43, &[71, 4, 0, item, 0, 0, 255])
    };
    let install = lab.reply(&ask(2));
    assert_eq!(file(&install), "install.0");
    assert_eq!(install.address(bootp::SIADDR), ip("10.0.0.2"));
    assert_eq!(install.option(43), Some(&[71, 4, 0, 2, 0, 0, 255][..]));
    let rescue = lab.reply(&ask(3));
    assert_eq!(
        (file(&rescue).as_str(), rescue.address(bootp::SIADDR)),
        ("rescue.0", ip("10.0.0.9"))
    );
    assert_eq!(lab.ignored(&ask(4)), Ignored::Invalid);
    assert_eq!(
        lab.ignored(&ask(0)),
        Ignored::Invalid,
        "the local disk is nothing to fetch"
    );
}

#[test]
fn replies_leave_from_the_port_that_was_asked() {
    let mut lab = proxied();
    let offer = lab.reply(&firmware(Message::discover(A)));
    assert_eq!(offer.ip()[20..22], 67u16.to_be_bytes());
    let asked = at_boot_server(Message::renewing(A, ip("10.0.3.3")));
    assert_eq!(lab.reply(&asked).ip()[20..22], 4011u16.to_be_bytes());
}

/// An offer without anything to boot would keep firmware from a server that has something.
#[test]
fn nothing_is_said_where_there_is_nothing_to_boot() {
    let over_http = |message: Message| message.with(60, b"HTTPClient:Arch:00016");
    let lab = |file: &str, menu: Option<Arc<Menu>>| {
        let mut net = net();
        net.policy.proxy = true;
        net.boot.file = file.into();
        net.boot.menu = menu;
        Lab::new(config(vec![net]))
    };
    let pxe = firmware(Message::discover(A));
    let http = over_http(Message::discover(A));
    assert_eq!(lab("", None).ignored(&pxe), Ignored::NothingToBoot);
    assert_eq!(lab("", Some(menu())).reply(&pxe).kind(), 2);
    let path = lab("ipxe.efi", Some(menu())).ignored(&http);
    assert_eq!(
        path,
        Ignored::NothingToBoot,
        "it would take a path for a URL"
    );
    let url = "http://10.0.0.2/ipxe.efi";
    let offer = lab(url, None).reply(&http);
    assert_eq!(offer.option(60), Some(&b"HTTPClient"[..]));
    assert_eq!(offer.option(67), Some(url.as_bytes()));
    assert_eq!(offer.option(43), None);
    let asked = at_boot_server(Message::renewing(A, ip("10.0.3.3")));
    assert_eq!(
        lab("", Some(menu())).ignored(&asked),
        Ignored::NothingToBoot
    );
}

/// RFC 3011 section 2: such a client takes no answer without the option.
#[test]
fn a_selected_subnet_is_repeated_beside_another_server() {
    let selecting = firmware(Message::discover(A)).with(118, &[10, 0, 0, 0]);
    let offer = proxied().reply(&selecting);
    assert_eq!(offer.option(118), Some(&[10, 0, 0, 0][..]));
}
