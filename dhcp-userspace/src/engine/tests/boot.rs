//! What a client is told of booting when this server has the files itself.

use std::path::PathBuf;

use dhcp_common::Reason;
use dhcp_common::wire::bootp;
use proptest::prelude::*;

use super::lab::*;
use crate::config::model::{Config, FileService, Mac, Subnet};
use crate::engine::Ignored;

const A: Mac = [0x52, 0x54, 0, 0, 0, 1];
const UUID: [u8; 17] = [7; 17];
const OTHER: &str = "10.0.0.66";

fn service(tftp: Option<&str>, http: Option<&str>) -> FileService {
    FileService {
        root: PathBuf::from("/srv/boot"),
        tftp: tftp.map(|at| at.parse().unwrap()),
        http: http.map(|at| at.parse().unwrap()),
        max_transfers: 10,
    }
}

fn net(file: &str, next_server: Option<&str>) -> Subnet {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[]);
    net.boot.file = file.into();
    net.boot.next_server = next_server.map(ip);
    net
}

/// With this service, and one subnet.
fn served(tftp: Option<&str>, http: Option<&str>, net: Subnet) -> Config {
    Config {
        boot: Some(service(tftp, http)),
        ..config(vec![net])
    }
}

fn both(net: Subnet) -> Config {
    served(Some("0.0.0.0:69"), Some("0.0.0.0:80"), net)
}

fn pxe(message: Message) -> Message {
    message.with(60, b"PXEClient:Arch:00007:UNDI:003001")
}

fn http(message: Message) -> Message {
    message.with(60, b"HTTPClient:Arch:00016:UNDI:003001")
}

fn file(reply: &Reply) -> String {
    let field = &reply.message()[bootp::FILE..bootp::COOKIE];
    let end = field.iter().position(|byte| *byte == 0).unwrap();
    String::from_utf8(field[..end].to_vec()).unwrap()
}

/// siaddr, option 66, and file of an offer to a client that asks for options 66 and 67.
fn told(config: Config, message: fn(Message) -> Message) -> (String, Option<String>, String) {
    let asked = message(Message::discover(A)).with(55, &[66, 67]);
    let offer = Lab::new(config).reply(&asked);
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let file = file(&offer);
    let option = offer.option(67).map(text).unwrap_or_default();
    assert_eq!(file, option, "header and option 67");
    let siaddr = offer.address(bootp::SIADDR).to_string();
    (siaddr, offer.option(66).map(text), file)
}

fn from(siaddr: &str, file: &str) -> (String, Option<String>, String) {
    let name = Some(siaddr.to_owned()).filter(|name| name != "0.0.0.0");
    (siaddr.into(), name, file.into())
}

#[test]
fn a_file_without_a_server_is_this_servers() {
    let file = || net("a.efi", None);
    assert_eq!(told(both(file()), pxe), from("10.0.0.1", "a.efi"));
    let own = told(both(net("a.efi", Some(OTHER))), pxe);
    assert_eq!(own, from(OTHER, "a.efi"), "what is configured wins");
    let nobody = told(config(vec![file()]), pxe);
    assert_eq!(nobody, from("0.0.0.0", "a.efi"), "no files here");
    for net in [net("http://10.0.0.9/a.efi", None), net("", None)] {
        let file = net.boot.file.clone();
        assert_eq!(told(both(net), pxe), from("0.0.0.0", &file));
    }
}

#[test]
fn the_server_is_where_tftp_listens() {
    let at = |tftp| told(served(tftp, Some("0.0.0.0:80"), net("a.efi", None)), pxe);
    assert_eq!(at(Some("10.0.0.7:69")), from("10.0.0.7", "a.efi"));
    assert_eq!(at(None), from("0.0.0.0", "a.efi"));
    let odd = at(Some("0.0.0.0:6969"));
    assert_eq!(odd, from("0.0.0.0", "a.efi"), "firmware knows port 69 only");
}

/// The relay has no files, whatever it is to the client.
#[test]
fn behind_a_relay_that_shows_itself_the_server_is_still_this_one() {
    let mut net = net("a.efi", None);
    net.boot.menu = Some(super::proxy::menu());
    let mut lab = Lab::new(both(net));
    let override_id = [11, 4, 10, 0, 0, 200];
    let relayed = pxe(Message::discover(A)).relayed("10.0.0.200");
    let offer = lab.reply(&relayed.with(82, &override_id));
    assert_eq!(offer.option(54), Some(&[10, 0, 0, 200][..]));
    assert_eq!(offer.address(bootp::SIADDR), SERVER);
    let menu = offer.option(43).unwrap();
    assert_eq!(
        menu[5..12],
        [0, 2, 1, 10, 0, 0, 1],
        "who to ask for the item"
    );
}

#[test]
fn firmware_that_boots_over_http_gets_a_url_of_the_same_file() {
    let url = |http_at, net| told(served(None, Some(http_at), net), http).2;
    let here = || net("x/a.efi", None);
    assert_eq!(url("0.0.0.0:80", here()), "http://10.0.0.1/x/a.efi");
    assert_eq!(url("[::]:8080", here()), "http://10.0.0.1:8080/x/a.efi");
    assert_eq!(url("10.0.0.7:80", here()), "http://10.0.0.7/x/a.efi");
    let bound = url("10.0.0.7:80", net("a.efi", Some("10.0.0.7")));
    assert_eq!(bound, "http://10.0.0.7/a.efi");
    let whole = "https://files.example/a.efi";
    assert_eq!(url("0.0.0.0:80", net(whole, None)), whole);
    let off = served(Some("0.0.0.0:69"), None, here());
    assert_eq!(told(off, http).2, "x/a.efi");
}

#[test]
fn the_class_comes_back_with_the_url() {
    let asked = http(Message::discover(A)).with(97, &UUID).with(55, &[3]);
    let offer = Lab::new(both(net("a.efi", None))).reply(&asked);
    assert_eq!(offer.option(60), Some(&b"HTTPClient"[..]));
    assert_eq!(offer.option(67), Some(&b"http://10.0.0.1/a.efi"[..]));
    let off = served(Some("0.0.0.0:69"), None, net("a.efi", None));
    let offer = Lab::new(off).reply(&asked);
    assert_eq!((offer.option(60), offer.option(67)), (None, None));
}

#[test]
fn a_url_names_no_host_of_which_nothing_is_known() {
    let named = |next| told(both(net("a.efi", Some(next))), http);
    assert_eq!(named("10.0.0.1").2, "http://10.0.0.1/a.efi");
    assert_eq!(
        named("192.168.7.1").2,
        "http://192.168.7.1/a.efi",
        "ours too"
    );
    assert_eq!(named(OTHER), from(OTHER, "a.efi"));
}

/// iPXE says that it is PXE, whatever started it, and takes paths as well.
#[test]
fn ipxe_keeps_what_is_configured() {
    let ipxe = |message| pxe(message).with(77, b"iPXE");
    let told = told(both(net("boot.ipxe", None)), ipxe);
    assert_eq!(told, from("10.0.0.1", "boot.ipxe"));
}

/// The kernel says what the engine says, until the files are elsewhere.
#[test]
fn a_renewal_is_answered_alike_until_the_service_moves() {
    let mut lab = Lab::new(both(net("a.efi", None)));
    let address = lab.bind(A);
    let renewal = Message::renewing(A, address);
    assert_eq!(lab.reply(&renewal).address(bootp::SIADDR), SERVER);
    lab.agree(&renewal);
    lab.reload(|config| config.boot = Some(service(Some("10.0.0.7:69"), None)));
    assert_eq!(lab.kernel(&renewal), Err(Reason::MemoMiss));
    assert_eq!(lab.reply(&renewal).address(bootp::SIADDR), ip("10.0.0.7"));
    lab.agree(&renewal);
}

/// Whether a next-server is this host changes without a new configuration.
#[test]
fn what_hangs_on_this_hosts_addresses_is_not_for_the_kernel() {
    let memo = |next| {
        let mut lab = Lab::new(both(net("a.efi", next)));
        let address = lab.reply(&Message::discover(A)).yiaddr();
        lab.reply(&http(Message::selecting(A, address)));
        lab.engine.lease_at(address).unwrap().memo
    };
    assert!(memo(None));
    assert!(!memo(Some(OTHER)));
    assert!(!memo(Some("192.168.7.1")));
}

#[test]
fn explain_shows_what_is_told() {
    let lab = Lab::new(both(net("a.efi", None)));
    let explain = |lab: &Lab, message: Message| lab.explain(&message).unwrap().remove(0);
    let found = explain(&lab, pxe(Message::discover(A)));
    assert_eq!(found.next_server, Some(SERVER));
    let found = explain(&lab, http(Message::discover(A)));
    assert_eq!(found.boot_file, "http://10.0.0.1/a.efi");
}

/// Discover, offer, request, ACK, and then the item by port 4011, from a server that gives the
/// address too.
#[test]
fn a_menu_leads_to_this_servers_files() {
    let mut net = net("", None);
    net.boot.menu = Some(super::proxy::menu());
    let mut lab = Lab::new(both(net));
    let offer = lab.reply(&pxe(Message::discover(A)).with(55, &[3]));
    let address = offer.yiaddr();
    let ack = lab.reply(&pxe(Message::selecting(A, address)).with(55, &[3]));
    for reply in [&offer, &ack] {
        assert_eq!(reply.option(60), Some(&b"PXEClient"[..]));
        let menu = reply.option(43).unwrap();
        assert_eq!(menu[..12], [6, 1, 7, 8, 14, 0, 2, 1, 10, 0, 0, 1]);
    }
    let ask = |item: u8| {
        let mut message = pxe(Message::renewing(A, address));
        message.destination_port = 4011;
        message.with(43, &[71, 4, 0, item, 0, 0, 255])
    };
    let install = lab.reply(&ask(2));
    assert_eq!(install.address(bootp::SIADDR), SERVER);
    assert_eq!(file(&install), "install.0");
    assert_eq!(install.option(43), Some(&[71, 4, 0, 2, 0, 0, 255][..]));
    assert_eq!(lab.reply(&ask(3)).address(bootp::SIADDR), ip("10.0.0.9"));
    assert_eq!(
        lab.ignored(&ask(1)),
        Ignored::NothingToBoot,
        "the local disk"
    );
}

#[test]
fn beside_another_server_too_the_files_are_here() {
    let mut net = net("a.efi", None);
    net.pools.clear();
    net.policy.proxy = true;
    let mut lab = Lab::new(both(net));
    let offer = lab.reply(&pxe(Message::discover(A)));
    let told = (offer.address(bootp::SIADDR), file(&offer));
    assert_eq!(told, (SERVER, "a.efi".into()));
    let mut asked = pxe(Message::renewing(A, ip("10.0.3.3")));
    asked.destination_port = 4011;
    assert_eq!(lab.reply(&asked).address(bootp::SIADDR), SERVER);
    let offer = lab.reply(&http(Message::discover(A)));
    assert_eq!(file(&offer), "http://10.0.0.1/a.efi");
    assert_eq!(offer.option(60), Some(&b"HTTPClient"[..]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_option_comes_twice(
        codes in prop::collection::btree_set(prop::sample::select(vec![43u8, 60, 66, 67, 118]), 0..6),
        always in any::<bool>(), proxy in any::<bool>(), over_http in any::<bool>(),
        menu in any::<bool>(), to_boot_server in any::<bool>(), selected in any::<bool>(),
    ) {
        let mut net = net("a.efi", None);
        let list: Vec<_> = codes.iter().map(|code| (*code, &[6, 1, 8, 255][..], always)).collect();
        net.options = options(&list);
        net.policy.proxy = proxy;
        net.boot.menu = menu.then(super::proxy::menu);
        if proxy {
            net.pools.clear();
        }
        let message = if over_http { http(Message::discover(A)) } else { pxe(Message::discover(A)) };
        let mut message = message.with(97, &UUID).with(55, &[97, 43, 60, 67, 66, 118]);
        if selected {
            message = message.with(118, &[10, 0, 0, 0]);
        }
        if to_boot_server {
            message.destination_port = 4011;
        }
        if let Ok(Some(reply)) = Lab::new(both(net)).send(&message) {
            let mut codes = reply.codes();
            codes.sort_unstable();
            let all = codes.len();
            codes.dedup();
            prop_assert_eq!(codes.len(), all);
            prop_assert_eq!(reply.option(97), Some(&UUID[..]));
        }
    }
}
