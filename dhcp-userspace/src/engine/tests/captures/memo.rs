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
];
/// perfdhcp renews without the parameter list of its REQUEST, and by way of a relay.
const NOT_FORETOLD: &[&str] = &["perfdhcp"];

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
                // REBINDING of systemd-networkd comes from no address: only the engine answers.
                Some(Err(Reason::WrongSource)) => assert_eq!(*client, "networkd"),
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

/// networkd rebinds from 0.0.0.0, which the kernel leaves to the engine. It is the same client
/// with the same options: its next renewal is the kernel's again.
#[test]
fn a_rebinding_from_no_address_keeps_the_memo() {
    let messages = captured::of("networkd");
    let by_name = |name: &str| {
        messages
            .iter()
            .find(|capture| capture.name == name)
            .unwrap()
    };
    let mut lab = server(net_of(&messages));
    lab.answer(by_name("discover"));
    lab.answer(by_name("selecting"));
    lab.answer(by_name("rebinding"));
    let fast = lab.fast_path(by_name("renewing")).unwrap();
    assert_eq!(fast, lab.answer(by_name("renewing")).frame);
}
