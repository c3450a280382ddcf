//! Values as the RFCs lay them out, and those that are refused.

use proptest::prelude::*;

use crate::packet::registry::*;

fn of(code: u8, items: &[&str]) -> Vec<u8> {
    encode(&by_code(code).unwrap().kind, items).unwrap()
}

fn refused(code: u8, items: &[&str]) -> String {
    let kind = &by_code(code).unwrap().kind;
    encode(kind, items).unwrap_err().to_string()
}

#[test]
fn values_are_encoded_as_the_rfcs_say() {
    assert_eq!(of(3, &["10.0.0.1", "10.0.0.2"]), [10, 0, 0, 1, 10, 0, 0, 2]);
    assert_eq!(of(26, &["9000"]), [0x23, 0x28]);
    assert_eq!(of(26, &["0x2328"]), [0x23, 0x28]);
    assert_eq!(of(2, &["-3600"]), (-3600i32).to_be_bytes());
    assert_eq!(of(19, &["true"]), [1]);
    assert_eq!(of(88, &["a.bc", "d."]), b"\x01a\x02bc\0\x01d\0");
    let routes = ["0.0.0.0/0 via 10.0.0.1", "10.128.0.0/9 via 10.0.0.2"];
    assert_eq!(of(121, &routes), [0, 10, 0, 0, 1, 9, 10, 128, 10, 0, 0, 2]);
    for text in ["0x01AB", "01:ab", "01ab"] {
        assert_eq!(of(43, &[text]), [1, 0xab]);
    }
}

#[test]
fn structured_values_are_encoded_as_the_rfcs_say() {
    // RFC 2610
    assert_eq!(of(78, &["true", "10.0.0.1"]), [1, 10, 0, 0, 1]);
    assert_eq!(of(79, &["false", "lab,default"]), b"\0lab,default");
    // RFC 3361
    assert_eq!(of(120, &["a.org"]), b"\0\x01a\x03org\0");
    assert_eq!(
        of(120, &["10.0.0.1", "10.0.0.2"]),
        [1, 10, 0, 0, 1, 10, 0, 0, 2]
    );
    // RFC 4174
    let isns = ["7", "1", "0", "0x0000000f", "10.0.0.1", "10.0.0.2"];
    assert_eq!(
        of(83, &isns),
        [0, 7, 0, 1, 0, 0, 0, 0, 0, 15, 10, 0, 0, 1, 10, 0, 0, 2]
    );
    // RFC 3925
    assert_eq!(
        of(124, &["4491", "docsis3.0"]),
        b"\0\0\x11\x8b\x09docsis3.0"
    );
    // RFC 5223, RFC 6731, RFC 7291, RFC 7618
    assert_eq!(of(137, &["l.org"]), b"\x01l\x03org\0");
    assert_eq!(
        of(146, &["1", "10.0.0.1", "10.0.0.2", "a"]),
        b"\x01\x0a\0\0\x01\x0a\0\0\x02\x01a\0"
    );
    assert_eq!(
        of(158, &["10.0.0.1 10.0.0.2"]),
        [8, 10, 0, 0, 1, 10, 0, 0, 2]
    );
    assert_eq!(of(159, &["4", "8", "0x5200"]), [4, 8, 0x52, 0]);
    // RFC 4578
    assert_eq!(of(93, &["7", "16"]), [0, 7, 0, 16]);
    assert_eq!(of(94, &["1", "3", "16"]), [1, 3, 16]);
    let uuid = of(97, &["0", "4c4c4544-0042-3110-8058-b4c04f4e3732"]);
    assert_eq!(
        (uuid.len(), &uuid[..6]),
        (17, &[0, 0x4c, 0x4c, 0x45, 0x44, 0][..])
    );
    // RFC 3004, RFC 8572
    assert_eq!(of(77, &["iPXE", "x"]), b"\x04iPXE\x01x");
    assert_eq!(of(143, &["https://a"]), b"\0\x09https://a");
    // RFC 5969
    assert_eq!(of(212, &["8", "32", "2001:db8::", "10.0.0.1"]).len(), 22);
    assert_eq!(of(80, &["true"]), [0; 0]);
}

#[test]
fn lists_and_pairs_may_be_written_as_one_text() {
    assert_eq!(
        of(6, &["10.0.0.1, 10.0.0.2"]),
        of(6, &["10.0.0.1", "10.0.0.2"])
    );
    assert_eq!(of(78, &["true, 10.0.0.1"]), of(78, &["true", "10.0.0.1"]));
    let pairs = of(21, &["10.0.0.0", "255.0.0.0"]);
    assert_eq!(of(21, &["10.0.0.0/8"]), pairs);
    assert_eq!(of(21, &["10.0.0.0/255.0.0.0"]), pairs);
    assert_eq!(
        of(33, &["10.0.0.5 via 10.0.0.1"]),
        of(33, &["10.0.0.5", "10.0.0.1"])
    );
    assert_eq!(of(14, &["a, b"]), b"a, b", "a text is a text");
    assert!(refused(6, &["10.0.0.1, x"]).starts_with("\"x\" is not an IPv4 address"));
}

#[test]
fn what_does_not_fit_is_refused_and_named() {
    assert_eq!(
        refused(6, &["10.0.0.1", "10.0.0.256"]),
        "\"10.0.0.256\" is not an IPv4 address; write an IPv4 address like 10.0.0.1"
    );
    assert_eq!(
        refused(26, &["67"]),
        "\"67\" is not a number that fits; write a whole number from 68 to 65535"
    );
    assert_eq!(
        refused(2, &["2147483648"]),
        "\"2147483648\" is not a number that fits; write a whole number from -2147483648 to \
         2147483647"
    );
    assert_eq!(
        refused(19, &["true", "false"]),
        "has 2 values, but takes one; write one value, not a list"
    );
    assert_eq!(
        refused(83, &["1", "2"]),
        "has 2 values, but takes at least 5; write uint16, uint16, uint16, uint32, ipv4 ..., in \
         this order"
    );
    assert!(
        refused(124, &["1", "a", "2"]).starts_with("has 3 values, but they come in groups of 2")
    );
    assert!(refused(94, &["1"]).starts_with("has 1 value, but takes 3"));
    assert!(refused(33, &["10.0.0.1"]).contains("in pairs"));
    assert!(refused(121, &["10.0.0.1/8 via 10.0.0.1"]).contains("not a route"));
    assert!(refused(43, &["0x123"]).contains("not hexadecimal"));
    assert!(refused(137, &["a..b"]).contains("not a domain name"));
    assert!(refused(15, &[""]).contains("not a text"));
    assert!(refused(3, &[]).contains("has no value"));
    assert!(refused(120, &["10.0.0.1", "a.org"]).contains("not both"));
    assert!(refused(97, &["0", "4c4c4544"]).contains("not a UUID"));
    assert!(refused(80, &["1"]).contains("takes no value"));
    let long = "x".repeat(256);
    assert!(refused(77, &[&long]).contains("at most 255 bytes"));
}

#[test]
fn bytes_that_do_not_fit_are_shown_in_hexadecimal() {
    let show = |code: u8, data: &[u8]| show(&by_code(code).unwrap().kind, data);
    assert_eq!(show(3, &[1, 2, 3]), "0x010203");
    assert_eq!(
        show(121, &[33, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        "0x21000000000000000000"
    );
    assert_eq!(show(88, &[5, b'a']), "0x0561");
    assert_eq!(show(15, b"x"), "x");
    assert_eq!(
        show(15, b"a\x1b[2Jb"),
        "0x611b5b324a62",
        "nothing for a terminal to obey"
    );
    assert_eq!(show(19, &[2]), "0x02");
    assert_eq!(show(120, &[2, 1, 1]), "0x020101");
}

#[test]
fn identifiers_are_bytes_or_a_text() {
    let read = |text| identifier(text).unwrap();
    assert_eq!(
        read("01:52:54:00:12:34:56"),
        [1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]
    );
    assert_eq!(read("ff:00:01").len(), 3);
    assert_eq!(read("0x0001"), [0, 1]);
    assert_eq!(read("node 7"), b"node 7");
    assert_eq!(read("rack:7"), b"rack:7", "no two digits each");
    assert_eq!((identifier("0x1"), identifier("")), (None, None));
    assert_eq!(show_identifier(b"node"), "node");
    assert_eq!(show_identifier(&[1, 0x52, 0x54]), "01:52:54");
    assert_eq!(
        show_identifier(b"aa:bb"),
        "61:61:3a:62:62",
        "would be read as bytes"
    );
    assert_eq!(show_identifier(&[7]), "0x07");
}

#[test]
fn what_takes_the_rest_stands_last_and_once() {
    let sound = |fields: &[Field], array| Kind::custom(fields.to_vec(), array).is_sound();
    assert!(sound(&[Field::Ipv4, Field::Text], false) && sound(&[Field::Ipv4], true));
    assert!(!sound(&[Field::Text, Field::Ipv4], false) && !sound(&[Field::Hex], true));
}

proptest! {
    #[test]
    fn any_bytes_of_any_option_are_shown_and_what_is_shown_is_the_same(code: u8, data in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..5], 0..60)) {
        let definitions = Definitions::default();
        let _ = definitions.show(code, &data);
        if let Some(option) = by_code(code)
            && let Some(items) = items(&option.kind, &data)
        {
            let texts: Vec<&str> = items.iter().map(String::as_str).collect();
            prop_assert_eq!(encode(&option.kind, &texts).unwrap(), data);
        }
    }

    #[test]
    fn identifiers_come_back(data in prop::collection::vec(any::<u8>(), 1..40)) {
        prop_assert_eq!(identifier(&show_identifier(&data)), Some(data));
    }

    #[test]
    fn no_text_panics(code: u8, items in prop::collection::vec("[ -~]{0,12}", 0..4)) {
        if let Some(option) = by_code(code) {
            let texts: Vec<&str> = items.iter().map(String::as_str).collect();
            let _ = encode(&option.kind, &texts);
        }
    }
}
