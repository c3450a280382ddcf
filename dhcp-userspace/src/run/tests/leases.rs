//! Leases and counters over the control socket.

use std::net::Ipv4Addr;

use super::super::answer::answer;
use super::super::report;
use super::{CONFIG, Lab};
use crate::control::protocol::{Filter, Request};
use crate::net::tests::wire;

#[test]
fn leases_and_counters_are_shown() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let address = Ipv4Addr::from(lab.bind(7)).to_string();
        lab.bind(8);
        let (leases, _) = lab.control(Request::Leases(Filter::default()));
        assert_eq!(leases.len(), 2);
        let (_, lease) = lab.control(Request::Lease {
            key: "5254.0000.0007".into(),
        });
        assert_eq!(
            (&lease["address"], &lease["state"]),
            (&address.into(), &"bound".into())
        );
        assert_eq!(lease["interface"], "server");
        let (_, status) = lab.control(Request::Status);
        assert_eq!(
            (&status["replies"]["offer"], &status["replies"]["bind"]),
            (&2.into(), &2.into())
        );
        assert_eq!(
            (&status["pools"][0]["size"], &status["pools"][0]["used"]),
            (&10.into(), &2.into())
        );
        assert_eq!(status["packets"]["sent"], 4);
        let text = lab.shared.core.metrics.render(&report::state(&lab.shared));
        let line = "xdhcpd_leases{subnet=\"10.0.0.0/24\",state=\"bound\"} 2";
        assert!(text.lines().any(|have| have == line), "{text}");
    });
}

#[test]
fn a_reservations_hostname_is_shown() {
    wire::on_veth(|_, client| {
        let host =
            "    reservations: [{mac: \"52:54:00:00:00:07\", address: 10.0.0.7, hostname: db}]\n";
        let lab = Lab::start_with(client, &format!("{CONFIG}{host}"));
        assert_eq!(lab.bind(7), [10, 0, 0, 7]);
        let key = "10.0.0.7".into();
        assert_eq!(lab.control(Request::Lease { key }).1["hostname"], "db");
    });
}

#[test]
fn leases_are_exported_edited_and_imported() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let (kept, given_back) = (lab.bind(7), lab.bind(8));
        let (pieces, _) = lab.control(Request::Export);
        let mut text: String = pieces.iter().map(|piece| piece.as_str().unwrap()).collect();
        let other = Ipv4Addr::from(given_back).to_string();
        let own = text
            .lines()
            .find(|line| line.contains(&other))
            .unwrap()
            .to_owned();
        let new = own
            .replace(&other, "10.0.0.109")
            .replace("00:00:08", "00:00:09");
        let released = own.replace("state: bound", "state: released");
        text = text.replace(&own, &format!("{released}\n{new}"));
        let import = |apply| Request::Import {
            text: text.clone(),
            apply,
        };
        let (_, planned) = lab.control(import(false));
        let planned = planned["changes"].as_array().unwrap().clone();
        assert_eq!(planned.len(), 2, "{planned:?}");
        assert!(
            planned[0]
                .as_str()
                .unwrap()
                .starts_with(&format!("- {other} "))
        );
        assert!(planned[1].as_str().unwrap().starts_with("+ 10.0.0.109 "));
        assert_eq!(
            lab.control(import(true)).1["changes"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        let state = |key: &str| lab.control(Request::Lease { key: key.into() }).1["state"].clone();
        assert_eq!(
            (state(&other), state("10.0.0.109")),
            ("released".into(), "bound".into())
        );
        assert_eq!(state(&Ipv4Addr::from(kept).to_string()), "bound");
        assert_eq!(lab.bind(9), [10, 0, 0, 109]);
    });
}

#[test]
fn an_import_that_is_wrong_somewhere_changes_nothing() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let address = Ipv4Addr::from(lab.bind(7)).to_string();
        let (pieces, _) = lab.control(Request::Export);
        let text: String = pieces.iter().map(|piece| piece.as_str().unwrap()).collect();
        let text = text.replace(&format!("address: {address}"), "address: 10.9.9.9");
        for apply in [false, true] {
            let text = text.clone();
            let request = Request::Import { text, apply };
            let error = answer(&lab.shared, request, &mut |_| true).unwrap_err();
            assert_eq!(
                error,
                "nothing was changed:\n10.9.9.9 is in no pool and no reservation"
            );
        }
        let (_, lease) = lab.control(Request::Lease { key: address });
        assert_eq!(lease["state"], "bound");
    });
}

#[test]
fn a_wrong_import_is_refused_with_its_line() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let text =
            "leases:\n- {address: 10.0.0.300, mac: \"52:54:00:00:00:07\", state: released}\n";
        let request = Request::Import {
            text: text.into(),
            apply: true,
        };
        let error = answer(&lab.shared, request, &mut |_| true).unwrap_err();
        assert!(error.contains("line 2"), "{error}");
    });
}
