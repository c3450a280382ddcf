use super::*;
use dhcp_common::slot::Link;
use proptest::prelude::*;

const NOW: Now = Now {
    boot: 1000 * SECOND,
    unix: 1_900_000_000 * SECOND,
};

fn view(last: u8) -> LeaseView {
    LeaseView {
        address: Ipv4Addr::new(10, 0, 0, last),
        mac: [2, 0, 0, 0, 0, last],
        kind: Kind::Bound,
        expires: 4600 * SECOND,
        reserved_until: 8000 * SECOND,
        since: 1_800_000_000 * SECOND,
        client_id: vec![1, 0xff],
        hostname: b"node".to_vec(),
        relay_agent: Vec::new(),
        subnet: None,
        link: Link::default(),
        renewals: 0,
        memo: true,
    }
}

#[test]
fn one_line_per_lease() {
    let text = File::new(&[view(1)], NOW).to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "exported: \"2030-03-17T17:46:40Z\"");
    assert_eq!(
        lines[2],
        "- {address: 10.0.0.1, mac: \"02:00:00:00:00:01\", state: bound, \
         expires: \"2030-03-17T18:46:40Z\", since: \"2027-01-15T08:00:00Z\", \
         hostname: \"node\", client-id: \"01:ff\"}"
    );
    let relayed = LeaseView {
        relay_agent: vec![1, 1, 9],
        ..view(3)
    };
    let file = File::new(&[relayed], NOW);
    let text = file.to_string();
    assert!(text.ends_with(", client-id: \"01:ff\", relay-agent: \"01:01:09\"}\n"));
    assert_eq!(File::parse(&text).unwrap(), file);
    let offered = LeaseView {
        kind: Kind::Offered,
        ..view(2)
    };
    assert!(File::new(&[offered], NOW).leases.is_empty());
}

#[test]
fn an_unedited_file_changes_nothing_whatever_clients_did_meanwhile() {
    let file = File::parse(&File::new(&[view(1), view(2), view(4)], NOW).to_string()).unwrap();
    let later = Now {
        boot: NOW.boot + 60 * SECOND,
        unix: NOW.unix + 60 * SECOND,
    };
    let mut renewed = view(1);
    renewed.expires += 50 * SECOND;
    let mut new = view(3);
    new.since = later.unix;
    assert_eq!(
        diff(&file, &[renewed, view(2), new, view(4)], later),
        Diff::default()
    );
}

#[test]
fn bytes_are_two_digits_each_and_no_sign() {
    assert_eq!(unhex("01:fF"), Some(vec![1, 0xff]));
    for wrong in ["", "+1", "01:-1", "1", "001", "0x01", "01:"] {
        assert_eq!(unhex(wrong), None, "{wrong:?}");
    }
}

#[test]
fn edits_are_found() {
    let mut file = File::new(&[view(1), view(2), view(3), view(4)], NOW);
    file.leases[0].hostname = b"other".to_vec();
    file.leases[1].state = State::Released;
    file.leases.remove(2);
    file.leases[2].address = Ipv4Addr::new(10, 0, 0, 9);
    let current = [view(1), view(2), view(3), view(4)];
    let found = diff(&file, &current, NOW);
    assert_eq!(found.changed.len(), 1);
    assert_eq!(found.changed[0].0, view(1));
    assert_eq!(found.changed[0].1.hostname, b"other");
    assert_eq!(found.added[0].address, Ipv4Addr::new(10, 0, 0, 9));
    assert_eq!(found.removed, [view(2), view(3), view(4)]);
    let binding = found.added[0].binding(NOW);
    assert_eq!((binding.expires, binding.mac[5]), (4600 * SECOND, 4));
    let mut ended = file.clone();
    ended.leases[2].expires = NOW.unix / SECOND;
    assert!(diff(&ended, &current, NOW).added.is_empty());
}

#[test]
fn every_problem_has_its_line() {
    let line = |text: &str| format!("- {{{text}}}\n");
    let good = "mac: \"02:00:00:00:00:01\", state: expired";
    let text = "exported: yesterday\nleases:\n".to_owned()
        + &line(&format!("address: 10.0.0.1, {good}"))
        + &line(&format!("address: 10.0.0.256, {good}"))
        + &line("address: 10.0.0.2, mac: \"02:00\", state: expired")
        + &line(&format!("address: 10.0.0.1, {good}"))
        + &line("address: 10.0.0.3, mac: \"02:00:00:00:00:01\", state: bound")
        + &line(&format!("address: 10.0.0.4, {good}, client-id: \"1\""));
    let problems = File::parse(&text).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 4, 5, 6, 7, 8], "{problems:?}");
    let unknown = File::parse("leases:\n- {adress: 10.0.0.1}\n").unwrap_err();
    assert_eq!(unknown[0].line, 2, "{unknown:?}");
    assert!(unknown[0].message.contains("adress"), "{unknown:?}");
    assert_eq!(File::parse("leases: [\n").unwrap_err().len(), 1);
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let state = prop::sample::select(vec![
        State::Bound,
        State::Released,
        State::Declined,
        State::Expired,
    ]);
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let name = prop_oneof!["[ -~]{0,30}".prop_map(String::into_bytes), bytes()];
    let times = (1u64..200_000_000_000, 0u64..200_000_000_000);
    (any::<[u8; 6]>(), state, times, bytes(), name).prop_map(
        |(mac, state, (expires, since), client_id, hostname)| Entry {
            address: Ipv4Addr::UNSPECIFIED,
            mac,
            state,
            expires,
            since,
            client_id,
            hostname,
            relay_agent: mac[..usize::from(mac[5] % 7)].to_vec(),
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        mut leases in prop::collection::vec(any_entry(), 0..8), exported in 0u64..9_999_999_999,
    ) {
        for (i, lease) in leases.iter_mut().enumerate() {
            lease.address = Ipv4Addr::from_bits(i as u32);
        }
        let file = File { exported, leases };
        prop_assert_eq!(File::parse(&file.to_string()), Ok(file));
    }
}
