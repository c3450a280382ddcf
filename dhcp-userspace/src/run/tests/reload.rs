//! Other configurations and other interfaces, while the daemon runs.

use super::super::answer::answer;
use super::super::reload;
use super::{CONFIG, Lab, Message, write};
use crate::control::protocol::Request;
use crate::fastpath::{Platform, PortMode};
use crate::net::tests::wire::{self, skip};

#[test]
fn a_reload_takes_effect_and_a_wrong_one_does_not() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let address = lab.bind(7);
        write(&lab.directory, &CONFIG.replace("1h", "2h"));
        let (_, changes) = lab.control(Request::Reload);
        let changes = changes["changes"].to_string();
        assert!(changes.contains("lease_time: 1h -> 2h"), "{changes}");
        let renewal = Message::renewal(7, address);
        assert_eq!(lab.ask(&renewal).options[&51], 7200u32.to_be_bytes());
        for wrong in ["lease_time: soon", "lease_time: 1h\ninterfaces: [nowhere]"] {
            write(&lab.directory, &CONFIG.replace("lease_time: 1h", wrong));
            assert!(
                answer(&lab.shared, Request::Reload, &mut |_| true).is_err(),
                "{wrong}"
            );
        }
        assert_eq!(lab.ask(&renewal).options[&51], 7200u32.to_be_bytes());
    });
}

#[test]
fn what_needs_a_restart_is_compared_with_the_start() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let reloaded = |config: &str| {
            write(&lab.directory, config);
            lab.control(Request::Reload).1["changes"].to_string()
        };
        let other = CONFIG.replace("workers: 2", "workers: 3");
        let waits = "after a restart only: server.workers";
        assert!(reloaded(&other).contains(waits));
        assert!(reloaded(&other).contains(waits), "still");
        assert!(!reloaded(CONFIG).contains(waits), "as at the start");
    });
}

#[test]
fn a_reload_decides_anew_who_answers() {
    if let Err(off) = Platform::current().check() {
        return skip(&off.to_string());
    }
    wire::on_veth(|_, client| {
        let mode = "mode: generic, pin_dir: DIR/pins";
        let config = CONFIG.replace("mode: \"off\"", mode);
        let lab = Lab::start_with(client, &config);
        let mode = || lab.shared.fastpath.lock().unwrap().report()[0].mode;
        assert_eq!(mode(), PortMode::Generic);
        let vlan =
            "  - {subnet: 10.9.0.0/24, interface: server, vlan: 100, server_address: 10.9.0.1}";
        write(&lab.directory, &format!("{config}{vlan}\n"));
        lab.control(Request::Reload);
        assert_eq!(mode(), PortMode::Userspace, "the NIC hides tags");
    });
}

#[test]
fn interfaces_come_and_go() {
    wire::on_veth(|server, client| {
        let lab = Lab::start(client);
        let served = || lab.shared.ports.lock().unwrap().served();
        assert_eq!(served()[0].index(), server.index());
        wire::ip("link set server down");
        reload::refresh(&lab.shared);
        assert!(served().is_empty());
        wire::ip("link set server up");
        wire::wait_for_carrier();
        reload::refresh(&lab.shared);
        assert_eq!(served().len(), 1);
        lab.bind(7);
    });
}
