//! What the kernel says is what the engine would have said, byte for byte.

use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_common::layout::PORTS;
use dhcp_common::wire::mac_bits;
use proptest::prelude::*;

use super::lab::*;
use crate::config::model::{Boot, Config};
use crate::engine::{EventKind, Outcome};
use crate::fastpath::host::HostEnv;

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];

impl Lab {
    /// Runs the fast path; the reply or the reason why not.
    pub(super) fn kernel(&self, message: &Message) -> Result<Vec<u8>, Reason> {
        let ifindex = message.link.ifindex;
        let table = self.engine.table();
        table.meta().ports[ifindex as usize % PORTS].set(ifindex, mac_bits(&OUR_MAC, 0));
        let mut frame = message.frame();
        let now = self.now.boot;
        let mut host = HostEnv {
            table,
            ifindex,
            now,
            frame: &mut frame,
        };
        match host.answer(&mut Scratch::default()) {
            reason if reason.is_answer() => Ok(frame),
            reason => {
                assert_eq!(frame, message.frame(), "a refused frame is as it came");
                Err(reason)
            }
        }
    }

    /// The kernel answers, and as the engine does.
    pub(super) fn agree(&mut self, message: &Message) {
        let kernel = self.kernel(message).unwrap();
        let mut engine = Vec::new();
        match self.handle(message, &mut engine) {
            Outcome::Reply(event) => assert_eq!(event.kind, EventKind::Renew),
            other => panic!("{other:?}"),
        }
        assert_eq!(kernel, engine);
    }
}

#[test]
fn the_first_renewal_hits_and_is_what_the_engine_says() {
    let mut lab = Lab::small();
    let request = Message::discover(A);
    let offer = lab.reply(&request);
    let mut select = Message::new(3, A).with(61, &[1, 2, 3]);
    select = select
        .server(SERVER)
        .requested(offer.yiaddr())
        .with(55, &[1, 3, 6]);
    lab.reply(&select);
    let mut renewal = Message::renewing(A, offer.yiaddr())
        .with(61, &[1, 2, 3])
        .with(55, &[1, 3, 6]);
    for padding in [0, 1, 60] {
        renewal.padding = padding;
        renewal.secs += 1;
        renewal.flags ^= 0x8000;
        lab.agree(&renewal);
    }
    let mut rebind = renewal.clone();
    rebind.destination = ALL;
    lab.agree(&rebind);
    assert_eq!(lab.engine.lease_at(offer.yiaddr()).unwrap().renewals, 4);
    rebind.link = OTHER_LINK;
    assert_eq!(lab.kernel(&rebind), Err(Reason::OtherLink));
    let other = renewal.with(12, b"new");
    assert_eq!(lab.kernel(&other), Err(Reason::MemoMiss));
    lab.reply(&other);
    lab.agree(&other);
}

#[test]
fn init_reboot_predicts_too() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    lab.reply(&Message::init_reboot(A, address).with(55, &[6]));
    lab.agree(&Message::renewing(A, address).with(55, &[6]));
}

#[test]
fn routed_renewals_are_taught_and_answered_through_the_router() {
    let mut lab = Lab::new(config(vec![
        subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19")),
        subnet("172.16.0.0/24", ("172.16.0.10", "172.16.0.19")),
    ]));
    let offer = lab.reply(&Message::discover(A).relayed("172.16.0.1"));
    let address = offer.yiaddr();
    lab.reply(&Message::selecting(A, address).relayed("172.16.0.1"));
    let mut renewal = Message::renewing(A, address);
    renewal.l2[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
    assert_eq!(lab.kernel(&renewal), Err(Reason::MemoMiss));
    lab.reply(&renewal);
    lab.agree(&renewal);
    // A relay on the router sends a copy of what it routes, before or after.
    lab.reply(&renewal.clone().relayed("172.16.0.1"));
    lab.agree(&renewal);
    renewal.destination = ALL;
    assert_eq!(
        lab.kernel(&renewal),
        Err(Reason::OtherLink),
        "it moved here"
    );
    assert_eq!(lab.reply(&renewal).kind(), 6);
}

#[test]
fn tags_are_kept_on_both_ways() {
    let mut net = subnet("10.5.0.0/24", ("10.5.0.10", "10.5.0.19"));
    net.interface = Some("eth3".into());
    net.vlan = [100, 0];
    net.server_address = Some(ip("10.5.0.1"));
    let mut lab = Lab::new(config(vec![net]));
    let tag = |mut message: Message| {
        message.link.outer = 100;
        message.l2.truncate(12);
        message.l2.extend([0x81, 0, 0x40, 100, 8, 0]);
        message
    };
    let address = lab.reply(&tag(Message::discover(A))).yiaddr();
    let request = Message::new(3, A).server(ip("10.5.0.1")).requested(address);
    lab.reply(&tag(request));
    let mut renewal = tag(Message::renewing(A, address));
    renewal.destination = ip("10.5.0.1");
    lab.agree(&renewal);
}

#[test]
fn what_has_no_memo_is_passed_up() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    let unlike = |message: &Message| lab.kernel(message).unwrap_err();
    let twice = Message::renewing(A, address).with(61, &[1]).with(61, &[2]);
    assert_eq!(unlike(&twice), Reason::MemoMiss);
    lab.reply(&twice);
    assert_eq!(lab.kernel(&twice), Err(Reason::MemoMiss));
    let mut port = Message::renewing(A, address);
    port.source_port = 1068;
    assert_eq!(lab.reply(&port).to(), (address, 1068));
    assert!(!lab.engine.lease_at(address).unwrap().memo);
    let mut source = Message::renewing(A, address);
    source.source = ip("10.0.9.9");
    lab.reply(&source);
    assert!(!lab.engine.lease_at(address).unwrap().memo);
}

#[test]
fn after_a_release_or_decline_the_kernel_is_silent() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    lab.agree(&Message::renewing(A, address));
    lab.send(&Message::release(A, address)).unwrap();
    assert_eq!(
        lab.kernel(&Message::renewing(A, address)),
        Err(Reason::NoLease)
    );
    lab.bind(A);
    lab.agree(&Message::renewing(A, address));
    lab.send(&Message::decline(A, address)).unwrap();
    assert_eq!(
        lab.kernel(&Message::renewing(A, address)),
        Err(Reason::NoLease)
    );
}

#[test]
fn an_overloaded_reply_is_said_by_the_kernel_too() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[
        (17, &[b'r'; 240], true),
        (114, &[b'a'; 100], true),
        (119, &[3; 55], true),
    ]);
    reserve(&mut net, A, "10.0.1.11", Some("node-a"));
    let mut lab = Lab::new(config(vec![net]));
    let ids = |message: Message| message.with(61, &[1, 2, 3]).with(82, &[1, 1, 7]);
    let address = lab.reply(&Message::discover(A)).yiaddr();
    let ack = lab.reply(&ids(Message::selecting(A, address)));
    assert_eq!(ack.option(52), Some(&[3][..]));
    assert_eq!(ack.codes()[ack.codes().len() - 3..], [12, 61, 82]);
    lab.agree(&ids(Message::renewing(A, address)));
    lab.agree(&ids(Message::rebinding(A, address)));
}

#[test]
fn what_an_http_client_hears_depends_on_its_options_alone() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.boot.file = "http://10.0.0.2/a.efi".into();
    let mut lab = Lab::new(config(vec![net]));
    let address = lab.reply(&Message::discover(A)).yiaddr();
    let class = |message: Message| message.with(60, b"HTTPClient:Arch:00016");
    let ack = lab.reply(&class(Message::selecting(A, address)));
    assert_eq!(ack.option(60), Some(&b"HTTPClient"[..]));
    lab.agree(&class(Message::renewing(A, address)));
    let plain = Message::renewing(A, address);
    assert_eq!(lab.kernel(&plain), Err(Reason::MemoMiss));
    assert_eq!(lab.reply(&plain).option(60), None);
    lab.agree(&plain);
}

#[test]
fn an_answer_with_the_clients_own_uuid_is_no_template() {
    let mut lab = Lab::small();
    let uuid = |message: Message| message.with(60, b"PXEClient").with(97, &[0; 17]);
    let address = lab.reply(&Message::discover(A)).yiaddr();
    let ack = lab.reply(&uuid(Message::selecting(A, address)));
    assert_eq!(ack.option(97), Some(&[0; 17][..]));
    assert!(!lab.engine.lease_at(address).unwrap().memo);
    let renewal = uuid(Message::renewing(A, address));
    assert_eq!(lab.kernel(&renewal), Err(Reason::MemoMiss));
    assert_eq!(lab.reply(&renewal).option(97), Some(&[0; 17][..]));
}

fn any_config() -> impl Strategy<Value = Config> {
    let value = (1usize..300, any::<bool>());
    let set = prop::collection::btree_map(100u8..120, value, 0..6);
    (
        set,
        prop::option::of("[a-z]{1,80}"),
        "[a-z]{0,100}",
        any::<bool>(),
    )
        .prop_map(|(values, hostname, file, next)| {
            let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
            let data = vec![7; 300];
            let list: Vec<_> = values
                .iter()
                .map(|(code, (len, always))| (*code, &data[..*len], *always))
                .collect();
            net.options = options(&list);
            net.boot = Boot {
                next_server: next.then_some(SERVER),
                file,
                ..Boot::default()
            };
            reserve(&mut net, A, "10.0.1.11", hostname.as_deref());
            config(vec![net])
        })
}

fn any_extras() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let code = prop::sample::select(vec![12u8, 55, 57, 60, 61, 77, 82, 61, 116, 97]);
    let len = prop_oneof![0usize..20, 100usize..256];
    let option = (code, len, any::<u8>()).prop_map(|(code, len, fill)| {
        let value = match code {
            57 => vec![5, fill],
            55 => (100..120).chain(66..68).take(len).collect(),
            60 if fill < 128 => b"PXEClient".to_vec(),
            60 => b"HTTPClient:Arch:00016".to_vec(),
            _ => vec![fill; len],
        };
        (code, value)
    });
    prop::collection::vec(option, 0..5).prop_map(|mut list| {
        let mut seen = std::collections::HashSet::new();
        list.retain(|(code, _)| seen.insert(*code));
        list
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_the_options_if_the_kernel_answers_the_engine_says_the_same(
        config in any_config(), extras in any_extras(), at in 0usize..5, padding in 0usize..70,
    ) {
        let mut lab = Lab::new(config);
        let address = lab.reply(&Message::discover(A)).yiaddr();
        let mut select = Message::selecting(A, address);
        let at = at.min(extras.len());
        select.options.splice(1..1, extras[..at].iter().cloned());
        select.options.extend_from_slice(&extras[at..]);
        lab.reply(&select);
        let mut renewal = Message::renewing(A, address);
        renewal.options.extend(extras);
        renewal.padding = padding;
        let predicted = lab.engine.lease_at(address).unwrap().memo;
        match lab.kernel(&renewal) {
            Ok(_) => lab.agree(&renewal),
            Err(reason) => {
                let longer = reason == Reason::LongOptions;
                prop_assert!(longer || !predicted && reason == Reason::MemoMiss, "{reason:?}");
                lab.reply(&renewal);
                prop_assert!(longer || lab.kernel(&renewal) == Err(Reason::MemoMiss));
            }
        }
    }
}
