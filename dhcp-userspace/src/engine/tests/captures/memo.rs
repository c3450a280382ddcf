//! The memo that the engine foretells from a client's REQUEST, against what that client then sent.

use super::*;
use crate::captured;
use crate::clock::SECOND;
use crate::packet::Region;

/// Whose renewals have the option bytes of their REQUEST less 50 and 54.
const FORETOLD: &[&str] = &[
    "dhclient",
    "dhclient-bare",
    "dhcpcd",
    "dhcpcd-unanswered",
    "networkd",
    "networkd-mac",
    "udhcpc",
    "udhcpc-unanswered",
];
/// NetworkManager asks for answers of 576 bytes until it has a lease, and of 65,535 from then on
/// (option 57). perfdhcp renews without the parameter list of its REQUEST, by way of a relay.
const NOT_FORETOLD: &[&str] = &["networkmanager", "perfdhcp"];

fn renews(capture: &Capture) -> bool {
    capture.name.starts_with("renewing") || capture.name == "rebinding"
}

fn region(capture: &Capture, build: impl Fn(&Request<'_>) -> Option<Region>) -> Vec<u8> {
    let request = Request::parse(capture.message()).unwrap();
    build(&request).unwrap().bytes().to_vec()
}

/// The latest message that got the lease.
fn getting(messages: &[Capture]) -> impl Iterator<Item = &Capture> {
    let gets = |capture: &&Capture| matches!(&*capture.name, "selecting" | "init-reboot");
    messages.iter().filter(gets)
}

#[test]
fn whose_renewal_is_foretold() {
    let (mut hit, mut missed) = (Vec::new(), Vec::new());
    for client in captured::clients() {
        let messages = captured::of(&client);
        let Some(got) = getting(&messages).next() else {
            continue;
        };
        let foretold = region(got, Region::predicted);
        let renewals: Vec<_> = messages.iter().filter(|capture| renews(capture)).collect();
        if renewals.is_empty() {
            continue;
        }
        let right = |capture: &&Capture| region(capture, Region::of_renewal) == foretold;
        if renewals.iter().all(right) {
            hit.push(client);
        } else {
            missed.push(client);
        }
    }
    assert_eq!(
        (&hit[..], &missed[..]),
        (&names(FORETOLD)[..], &names(NOT_FORETOLD)[..])
    );
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// The fast path answers the first renewal and all others, as the engine would.
#[test]
fn what_is_foretold_is_answered_by_the_fast_path() {
    for client in FORETOLD {
        let messages = captured::of(client);
        let mut lab = server(net_of(&messages));
        let mut answered = 0;
        for message in &messages {
            let fast = renews(message).then(|| lab.fast_path(message));
            let slow = lab.hear(message).unwrap();
            match fast {
                Some(Err(Reason::WrongSource)) => assert_eq!(message.name, "rebinding"),
                Some(fast) => {
                    assert_eq!(fast, Ok(slow.unwrap().frame), "{client} {}", message.name);
                    answered += 1;
                }
                None => {}
            }
            lab.pass(60 * SECOND);
        }
        assert!(answered > 0, "{client}");
    }
}

/// A start with the old lease foretells as well as a new one.
#[test]
fn init_reboot_foretells() {
    let messages = captured::of("dhclient-bare");
    let renewal = messages.iter().find(|capture| renews(capture)).unwrap();
    let reboot = getting(&messages).last().unwrap();
    assert_eq!(reboot.name, "init-reboot");
    let foretold = region(reboot, Region::predicted);
    assert_eq!(foretold, region(renewal, Region::of_renewal));
}

/// The first renewal goes to the engine and teaches it; the fast path answers the rest.
#[test]
fn what_is_not_foretold_is_taught() {
    let messages = captured::of("networkmanager");
    let mut lab = server(net_of(&messages));
    for name in ["discover", "selecting"] {
        lab.answer(by_name(&messages, name));
    }
    let renewal = by_name(&messages, "renewing");
    assert_eq!(lab.fast_path(renewal), Err(Reason::MemoMiss));
    let slow = lab.answer(renewal);
    assert_eq!(lab.fast_path(renewal), Ok(slow.frame));
    let last = messages.iter().rfind(|capture| capture.name == "renewing");
    assert!(lab.fast_path(last.unwrap()).is_ok());
}

/// These rebind from 0.0.0.0, which the kernel leaves to the engine. It is the same client with
/// the same options: its next renewal is the kernel's again.
#[test]
fn a_rebinding_from_no_address_keeps_the_memo() {
    for client in ["networkd", "networkmanager"] {
        let messages = captured::of(client);
        let mut lab = server(net_of(&messages));
        for name in ["discover", "selecting", "rebinding"] {
            lab.answer(by_name(&messages, name));
        }
        let rebinding = by_name(&messages, "rebinding");
        assert_eq!(lab.fast_path(rebinding), Err(Reason::WrongSource));
        let renewal = by_name(&messages, "renewing");
        let fast = lab.fast_path(renewal).unwrap();
        assert_eq!(fast, lab.answer(renewal).frame, "{client}");
    }
}

fn by_name<'a>(messages: &'a [Capture], name: &str) -> &'a Capture {
    let mut found = messages.iter().filter(|capture| capture.name == name);
    found.next().unwrap()
}
