use super::*;
use proptest::prelude::*;

fn message(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; BOOTP_LEN];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
    bytes[bootp::CHADDR..][..6].copy_from_slice(&[0x52, 0x54, 0, 0, 0, 1]);
    bytes[bootp::COOKIE..].copy_from_slice(&MAGIC_COOKIE);
    bytes.extend(options);
    bytes
}

#[test]
fn fields_are_found() {
    let bytes = message(&[
        53, 1, 3, 61, 2, 1, 9, 50, 4, 10, 0, 0, 5, 57, 2, 5, 220, 12, 1, b'a', 55, 2, 1, 3, 255,
    ]);
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.message_type, MessageType::Request);
    assert_eq!(request.xid, 0x0102_0304);
    assert_eq!(request.mac, [0x52, 0x54, 0, 0, 0, 1]);
    assert_eq!(request.requested, Some(Ipv4Addr::new(10, 0, 0, 5)));
    assert_eq!(request.max_size, Some(1500));
    assert_eq!(request.client_id().as_deref(), Some(&[1, 9][..]));
    assert_eq!(request.hostname().as_deref(), Some(&b"a"[..]));
    assert_eq!(request.parameters().as_deref(), Some(&[1, 3][..]));
    assert_eq!(request.server_id, None);
    assert!(request.is_simple());
}

#[test]
fn a_maximum_size_of_another_length_is_none() {
    for option in [&[57, 1, 5][..], &[57, 4, 0, 0, 5, 220], &[57, 0]] {
        let bytes = message(&[&[53, 1, 1], option, &[255]].concat());
        assert_eq!(Request::parse(&bytes).unwrap().max_size, None);
    }
}

#[test]
fn a_missing_end_is_tolerated_and_a_cut_option_is_not() {
    assert!(Request::parse(&message(&[53, 1, 1])).is_ok());
    let all = message(&[
        53, 1, 3, 61, 7, 1, 2, 3, 4, 5, 6, 7, 50, 4, 10, 0, 0, 5, 255,
    ]);
    for len in 0..all.len() {
        let cut = Request::parse(&all[..len]).err();
        let whole_option = [243, 252, 258].contains(&len) || (236..=240).contains(&len);
        assert_eq!(cut.is_none(), whole_option, "{len} bytes: {cut:?}");
    }
}

#[test]
fn repeated_options_are_joined() {
    let bytes = message(&[53, 1, 1, 12, 2, b'a', b'b', 61, 1, 7, 12, 1, b'c', 255]);
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.hostname().as_deref(), Some(&b"abc"[..]));
    assert!(matches!(request.client_id(), Some(Cow::Borrowed(&[7]))));
    assert_eq!(request.option(12).as_deref(), Some(&b"abc"[..]));
    assert_eq!(request.option(77), None);
}

#[test]
fn every_option_that_may_be_long_is_joined_from_all_fields() {
    for code in [12, 43, 55, 60, 61, 77, 82, 97, 119, 125] {
        let mut options = vec![53, 1, 1, 52, 1, 3, code, 2, 1, 2, code, 1, 3];
        options.push(255);
        let mut bytes = message(&options);
        bytes[bootp::FILE..][..4].copy_from_slice(&[code, 1, 4, 255]);
        bytes[bootp::SNAME..][..4].copy_from_slice(&[code, 1, 5, 255]);
        let request = Request::parse(&bytes).unwrap();
        let by_name = match code {
            12 => request.hostname(),
            55 => request.parameters(),
            61 => request.client_id(),
            82 => request.relay_agent(),
            _ => request.option(code),
        };
        assert_eq!(by_name.as_deref(), Some(&[1, 2, 3, 4, 5][..]), "{code}");
        assert_eq!(request.option(code), by_name);
    }
}

#[test]
fn sub_options_of_the_relay_are_found() {
    let bytes = message(&[53, 1, 1, 82, 7, 1, 2, 7, 8, 2, 1, 9, 255]);
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.relay_suboption(1).as_deref(), Some(&[7, 8][..]));
    assert_eq!(request.relay_suboption(2).as_deref(), Some(&[9][..]));
    assert_eq!(request.relay_suboption(5), None);
    let cut = message(&[53, 1, 1, 82, 4, 1, 1, 7, 2, 255]);
    let request = Request::parse(&cut).unwrap();
    assert_eq!(request.relay_suboption(2), None, "runs past the end");
}

#[test]
fn overload_is_decoded_file_before_sname() {
    let mut bytes = message(&[53, 1, 1, 52, 1, 3, 12, 1, b'a', 255]);
    bytes[bootp::FILE..][..4].copy_from_slice(&[12, 1, b'b', 255]);
    bytes[bootp::SNAME..][..4].copy_from_slice(&[12, 1, b'c', 255]);
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.hostname().as_deref(), Some(&b"abc"[..]));
    assert!(!request.is_simple());
}

#[test]
fn every_refusal() {
    let error = |bytes: &[u8]| Request::parse(bytes).unwrap_err();
    let good = message(&[53, 1, 1, 255]);
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    assert_eq!(error(&good[..235]), Ignored::Malformed);
    assert_eq!(error(&with(bootp::OP, 2)), Ignored::NotRequest);
    assert_eq!(error(&with(bootp::HTYPE, 6)), Ignored::WrongHardware);
    assert_eq!(error(&with(bootp::HTYPE, 32)), Ignored::WrongHardware);
    assert_eq!(error(&with(bootp::HLEN, 0)), Ignored::WrongHardware);
    assert_eq!(error(&with(bootp::HLEN, 255)), Ignored::WrongHardware);
    assert_eq!(error(&with(bootp::CHADDR, 0x53)), Ignored::WrongHardware);
    for code in [0, 2, 5, 6, 9, 255] {
        assert_eq!(error(&with(bootp::OPTIONS + 2, code)), Ignored::WrongType);
    }
    for options in [&[53, 2, 1, 1][..], &[53, 1, 1, 50, 3, 1, 1, 1], &[53, 0]] {
        assert_eq!(error(&message(options)), Ignored::Malformed);
    }
}

#[test]
fn bootp_is_told_from_dhcp() {
    let good = message(&[53, 1, 1, 255]);
    let mut without = good.clone();
    without[bootp::COOKIE] = 0;
    let rows = [
        (good[..236].to_vec(), false),
        (good[..239].to_vec(), false),
        (good[..240].to_vec(), true),
        (without, false),
        (message(&[12, 1, b'a', 255]), true),
    ];
    for (bytes, has_cookie) in rows {
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(request.message_type, MessageType::Bootp);
        assert_eq!(request.has_cookie, has_cookie, "{} bytes", bytes.len());
        assert_eq!(
            request.region().is_empty(),
            bytes.len() < 241 || !has_cookie
        );
    }
}

#[test]
fn infiniband_is_known_by_its_client_id() {
    let id = [61, 3, 0xff, 1, 2];
    let mut bytes = message(&[&[53, 1, 1][..], &id, &[255]].concat());
    bytes[bootp::HTYPE] = 32;
    for hlen in [0, 20] {
        bytes[bootp::HLEN] = hlen;
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(request.mac, infiniband::pseudo_mac(&[0xff, 1, 2]));
        assert!(request.wants_broadcast());
    }
    bytes[bootp::HLEN] = 6;
    assert_eq!(Request::parse(&bytes).err(), Some(Ignored::WrongHardware));
    let mut nameless = message(&[53, 1, 1, 255]);
    nameless[bootp::HTYPE..=bootp::HLEN].copy_from_slice(&[32, 0]);
    assert_eq!(Request::parse(&nameless).err(), Some(Ignored::Invalid));
}

#[test]
fn a_query_needs_no_hardware_address() {
    for (code, kind) in [
        (10, MessageType::LeaseQuery),
        (14, MessageType::BulkLeaseQuery),
    ] {
        let mut bytes = message(&[53, 1, code, 255]);
        bytes[bootp::HTYPE..=bootp::HLEN].copy_from_slice(&[0, 0]);
        let request = Request::parse(&bytes).unwrap();
        assert_eq!((request.message_type, request.mac), (kind, [0; 6]));
    }
}

proptest! {
    #[test]
    fn nothing_panics(options in prop::collection::vec(any::<u8>(), 0..600), head in prop::collection::vec(any::<u8>(), 240), raw: bool) {
        let mut bytes = message(&options);
        if raw {
            bytes[bootp::SNAME..bootp::COOKIE].copy_from_slice(&head[..192]);
        }
        if let Ok(request) = Request::parse(&bytes) {
            let _ = (request.parameters(), request.client_id(), request.option(12));
        }
        let _ = Request::parse(&options);
    }
}
