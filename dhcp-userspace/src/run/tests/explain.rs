//! `xdhcpctl explain` against a running daemon.

use serde_json::{Value, json};

use super::super::answer::answer;
use super::Lab;
use crate::control::protocol::{Question, Request};
use crate::net::tests::wire;

const CONFIG: &str = "
server: {state_dir: DIR/state, control_socket: DIR/control.sock, workers: 2}
fast_path: {mode: \"off\"}
option_definitions: [{code: 224, name: rack, type: uint16}]
classes:
  - {name: uefi-x64, boot: {file: ipxe.efi, next-server: 10.0.0.2}}
  - {name: row, match: {option: {rack: 0x0007}}, lease_time: 2h}
  - {name: odd, match: {user-class: odd}, ignore: true}
  - {name: port, match: {circuit-id: sw1/*}}
subnets:
  - subnet: 10.0.0.0/24
    pools: [{range: 10.0.0.120-10.0.0.129, classes: [row]}, 10.0.0.110]
    lease_time: 1h
    reservations: [{mac: 52:54:00:00:00:01, address: 10.0.0.7}]
  - {subnet: 10.9.0.0/24, classes: [port], pools: [10.9.0.9]}
";

fn ask(lab: &Lab, question: &Question) -> Result<Value, String> {
    answer(&lab.shared, Request::Explain(question.clone()), &mut |_| {
        true
    })
}

#[test]
fn a_client_is_explained_by_what_it_would_say() {
    wire::on_veth(|_, client| {
        let lab = Lab::start_with(client, CONFIG);
        let told = ask(
            &lab,
            &Question {
                mac: Some("52-54-00-00-00-01".into()),
                arch: Some(7),
                options: vec!["rack=7".into()],
                ..Question::default()
            },
        );
        let told = &told.unwrap()[0];
        let expected = json!({
            "subnet": "10.0.0.0/24", "host": "52:54:00:00:00:01", "classes": ["uefi-x64", "row"],
            "ready_made": ["uefi-x64", "known"],
            "address": "10.0.0.7", "lease_secs": 7200, "next_server": "10.0.0.2",
            "boot_file": "ipxe.efi",
        });
        assert_eq!(*told, expected);
        let ignored = Question {
            user_class: Some("odd".into()),
            ..Question::default()
        };
        assert_eq!(ask(&lab, &ignored).unwrap()[0]["refused"], "ignored-class");
        let listed = lab.control(Request::Leases(Default::default())).0;
        assert!(listed.is_empty(), "{listed:?}");
    });
}

/// Pools for its classes come first; one that is for others is none of its.
#[test]
fn who_is_not_known_sees_where_its_address_would_come_from() {
    wire::on_veth(|_, client| {
        let lab = Lab::start_with(client, CONFIG);
        let mut question = Question {
            vendor_class: Some("PXEClient:Arch:00007".into()),
            ..Question::default()
        };
        let told = ask(&lab, &question).unwrap();
        let open = json!({"pool": "10.0.0.110-10.0.0.110", "free": 1});
        assert_eq!(told[0]["free"], json!([open]));
        assert_eq!(told[0]["ready_made"], json!(["pxe", "unknown"]));
        assert_eq!(lab.bind(2), [10, 0, 0, 110]);
        question.options = vec!["rack=7".into()];
        let own = json!({"pool": "10.0.0.120-10.0.0.129", "free": 10});
        let open = json!({"pool": "10.0.0.110-10.0.0.110", "free": 0});
        assert_eq!(ask(&lab, &question).unwrap()[0]["free"], json!([own, open]));
    });
}

#[test]
fn a_client_behind_a_relay_is_explained_there() {
    wire::on_veth(|_, client| {
        let lab = Lab::start_with(client, CONFIG);
        let mut question = Question {
            relay: Some([10, 9, 0, 1].into()),
            circuit_id: Some("sw1/7".into()),
            ..Question::default()
        };
        let told = ask(&lab, &question).unwrap();
        assert_eq!(told[0]["subnet"], "10.9.0.0/24");
        assert_eq!(
            (&told[0]["classes"], &told[0]["refused"]),
            (&json!(["port"]), &Value::Null)
        );
        question.circuit_id = Some("0x737732".into());
        assert_eq!(ask(&lab, &question).unwrap()[0]["refused"], "wrong-class");
        question.relay = Some([10, 8, 0, 1].into());
        let nowhere = ask(&lab, &question).unwrap_err();
        assert!(
            nowhere.starts_with("no subnet is served there"),
            "{nowhere}"
        );
    });
}

#[test]
fn a_wrong_question_is_told() {
    wire::on_veth(|_, client| {
        let lab = Lab::start_with(client, CONFIG);
        let wrong = |change: fn(&mut Question)| {
            let mut question = Question::default();
            change(&mut question);
            ask(&lab, &question).unwrap_err()
        };
        assert!(wrong(|it| it.mac = Some("x".into())).contains("\"x\" is no MAC"));
        let interface = wrong(|it| it.interface = Some("nowhere".into()));
        assert!(interface.contains("those served are: "), "{interface}");
        assert!(wrong(|it| it.options = vec!["60".into()]).contains("CODE=VALUE"));
        assert!(wrong(|it| it.options = vec!["colour=1".into()]).contains("no option colour"));
        assert!(wrong(|it| it.options = vec!["rack=x".into()]).contains("option rack: x"));
        assert!(wrong(|it| it.circuit_id = Some("0x1".into())).contains("no hexadecimal"));
    });
}
