//! What each expression means, on requests. Where Kea's manual has an example, it is that one.

use std::net::Ipv4Addr;

use crate::class::ClassId;
use crate::class::testing::{captured, holds, matches, matches_as, message, opt, parse, relayed};

fn always(text: &str) -> bool {
    holds(text, &message(&[]))
}

#[test]
fn literals_are_bytes() {
    assert!(always("'Z}' == 0x5a7d"));
    assert!(always("0X5A7D == 'Z}'"));
    assert!(
        always("0xa7d == 0x0a7d"),
        "a zero stands before an odd digit"
    );
    assert!(always("10.0.0.1 == 0x0a000001"));
    assert!(always("123 == 0x0000007b"));
    assert!(always("4294967295 == 0xffffffff"));
    assert!(always("'' == ''"));
    assert!(!always("'foo' == 'foobar'"), "written so on purpose");
}

#[test]
fn options_by_code_and_by_name() {
    let pxe = message(&opt(60, b"PXEClient:Arch:00007\0"));
    assert!(holds("substring(option[60].hex,0,9) == 'PXEClient'", &pxe));
    assert!(holds(
        "option[vendor-class-identifier].text == 'PXEClient:Arch:00007'",
        &pxe
    ));
    assert!(
        !holds("option[60].hex == 'PXEClient:Arch:00007'", &pxe),
        "a zero is at its end"
    );
    assert!(holds("option[ vendor-class-identifier ] . exists", &pxe));
    assert!(
        holds("option[61].hex == ''", &pxe),
        "what is not there is empty"
    );
    assert!(!holds("option[61].exists", &pxe));
    assert!(
        holds("option[175].exists", &message(&[175, 0])),
        "and empty is there"
    );
}

#[test]
fn numbers_have_the_width_of_their_option() {
    let uefi = message(&opt(93, &[0, 7]));
    assert!(holds("option[93].hex == 0x0007", &uefi));
    assert!(holds("option[93].hex != 0x0000", &uefi));
    assert!(holds(
        "option[51].hex == 3600",
        &message(&opt(51, &[0, 0, 14, 16]))
    ));
    assert!(holds("uint16totext(option[93].hex) == '7'", &uefi));
    assert!(holds("option[46].hex == 0x08", &message(&opt(46, &[8]))));
}

#[test]
fn sub_options() {
    let agent = [
        opt(1, b"port 7"),
        opt(2, &[0x52, 0x54, 0, 0x12, 0x34, 0xab]),
    ]
    .concat();
    let bytes = message(&opt(82, &agent));
    assert!(holds("option[82].option[1].hex == 'port 7'", &bytes));
    assert!(holds("relay4[1].text == 'port 7'", &bytes));
    assert!(holds("relay4[2].exists and not relay4[3].exists", &bytes));
    assert!(
        holds("option[82].option[2].hex == pkt4.mac", &bytes),
        "Kea's `Infrastructure`"
    );
    assert!(holds(
        "option[43].option[71].hex == 0x0102",
        &message(&opt(43, &[71, 2, 1, 2]))
    ));
    let nested = message(&opt(82, &opt(9, &opt(5, b"x"))));
    assert!(holds("relay4[9].option[5].hex == 'x'", &nested));
    assert!(holds("option[82].option[9].option[5].exists", &nested));
}

#[test]
fn header_fields() {
    let bytes = relayed(Ipv4Addr::new(10, 1, 2, 3), &[]);
    assert!(holds("pkt4.mac == 0x5254001234ab", &bytes));
    assert!(holds("pkt4.giaddr == 10.1.2.3", &bytes));
    assert!(holds("substring(pkt4.giaddr, 0, 2) == 0x0a01", &bytes));
    assert!(holds("pkt4.htype == 1 and pkt4.hlen == 6", &bytes));
    assert!(holds("addrtotext(pkt4.giaddr) == '10.1.2.3'", &bytes));
    assert!(holds(
        "hexstring(pkt4.mac, ':') == '52:54:00:12:34:ab'",
        &bytes
    ));
}

#[test]
fn vendors() {
    let docsis = [&[0, 0, 0x11, 0x8b, 11][..], &opt(1, b"docsis3.0")].concat();
    let bytes = message(&opt(125, &docsis));
    assert!(holds("vendor[4491].option[1].hex == 'docsis3.0'", &bytes));
    assert!(holds(
        "vendor[*].exists and vendor[0].exists and vendor[4491].exists",
        &bytes
    ));
    assert!(!holds(
        "vendor[1].exists or vendor[4491].option[2].exists",
        &bytes
    ));
    assert!(holds("vendor.enterprise == 4491", &bytes));
    assert!(holds("vendor-class.enterprise == ''", &bytes));
    let class = [
        &[0, 0, 0x11, 0x8b, 3][..],
        b"abc",
        &[0, 0, 0x11, 0x8b, 1],
        b"d",
    ]
    .concat();
    let bytes = message(&opt(124, &class));
    assert!(holds("vendor-class[4491].data == 'abc'", &bytes));
    assert!(holds("vendor-class[*].data[1] == 'd'", &bytes));
    assert!(holds("vendor-class[4491].data[2] == ''", &bytes));
    assert!(holds(
        "vendor-class[4491].exists and vendor-class.enterprise == 4491",
        &bytes
    ));
    assert!(!holds("vendor-class[9].exists", &bytes));
}

#[test]
fn functions_of_kea_s_manual() {
    assert!(always("concat('foo', 'bar') == 'foobar'"));
    assert!(always(
        "'abc' + 'def' + 'ghi' + 'jkl' + '...' == 'abcdefghijkl...'"
    ));
    assert!(always("substring('foobar', -1, -3) == 'oba'"));
    assert!(always("substring('foobar', 3, all) == 'bar'"));
    assert!(always("substring('foobar', 10, 2) == ''"));
    assert!(always("split ('one.two..four', '.', 4) == 'four'"));
    assert!(always("split('a\"b', 0x22, 2) == 'b'"));
    assert!(always(
        "lcase('LoWeR') == 'lower' and ucase('uPpEr') == 'UPPER'"
    ));
    assert!(always("hexstring('foo', '-') == '66-6f-6f'"));
    assert!(always("ifelse('foo' == 'bar', 'us', 'them') == 'them'"));
    assert!(always(
        "ifelse(option[230].exists, option[230].hex, 'none') == 'none'"
    ));
    assert!(always("addrtotext(192.10.0.1) == '192.10.0.1'"));
    assert!(always(
        "uint32totext(4294967295) == '4294967295' and int32totext(4294967295) == '-1'"
    ));
    assert!(always(
        "uint8totext(0xff) == '255' and int8totext(0xff) == '-1'"
    ));
    assert!(always(
        "int16totext(0xffff) == '-1' and uint16totext(0xffff) == '65535'"
    ));
    assert!(always("not (substring('foobar', 3, 3) == 'foo')"));
    assert!(always(
        "match('foo.*', lcase('FooBar')) and not match('foo', 'foobar')"
    ));
}

#[test]
fn and_binds_more_than_or_and_not_more_than_both() {
    let (yes, no) = ("member('ALL')", "not member('ALL')");
    assert!(always(&format!("{yes} or {no} and {no}")));
    assert!(!always(&format!("({yes} or {yes}) and {no}")));
    assert!(always(&format!("{no} and {no} or {yes}")));
    assert!(!always("not 'a' == 'a'"), "`not` is about the comparison");
    assert!(always("not not 'a' == 'a'"));
    assert!(always("not 'a' == 'b' and 'c' != 'd'"));
    assert!(always("('a' + 'b') == ('ab')"));
    assert!(always("'a' == 'a' sand 'b' == 'b' sor 'c' == 'd'"));
}

#[test]
fn members_and_known_clients() {
    let bytes = message(&opt(60, b"docsis3.0"));
    let is = |text: &str, known| matches_as(&parse(text).unwrap(), &bytes, &[ClassId(1)], known);
    assert!(is("member('second') and not member('first')", false));
    assert!(is("known and member('KNOWN') and not unknown", true));
    assert!(is("unknown and member('UNKNOWN') and not known", false));
    assert!(is(
        "member('ALL') and member('VENDOR_CLASS_docsis3.0')",
        false
    ));
    assert!(!is("member('VENDOR_CLASS_docsis')", false));
    assert!(
        !is("member('ipxe')", false),
        "a ready-made class needs no definition"
    );
    let ipxe = message(&opt(77, b"iPXE"));
    assert!(matches(&parse("member('ipxe')").unwrap(), &ipxe));
}

#[test]
fn a_number_of_the_wrong_length_matches_nothing() {
    let bytes = message(&opt(43, &[1, 2, 3]));
    assert!(!holds("uint16totext(option[43].hex) == '7'", &bytes));
    assert!(
        !holds("not uint16totext(option[43].hex) == '7'", &bytes),
        "as in Kea"
    );
    assert!(holds(
        "'a' == 'a' or uint16totext(option[43].hex) == '7'",
        &bytes
    ));
}

#[test]
fn options_in_pieces_are_one() {
    let bytes = message(&[opt(60, b"PXE"), opt(12, b"a"), opt(60, b"Client")].concat());
    assert!(holds("option[60].hex == 'PXEClient'", &bytes));
    assert!(holds("substring(option[60].hex, 2, 2) == 'EC'", &bytes));
}

/// A client keeps its classes from the first message to the last.
#[test]
fn real_clients_match_in_all_their_messages() {
    let tests = [
        (
            "udhcpc",
            "option[60].text == 'udhcp 1.35.0' and option[61].hex == 0x01525400aabb01",
        ),
        ("udhcpc", "substring(option[60].hex, 0, 5) == 'udhcp'"),
        (
            "dhclient",
            "option[host-name].text == 'vm' and not option[61].exists",
        ),
        (
            "dhcpcd",
            "substring(option[61].hex, 0, 1) == 0xff and option[55].exists",
        ),
        (
            "dhcpcd",
            "match('.*\\x52\\x54\\x00\\xaa\\xbb\\x01', option[61].hex)",
        ),
    ];
    for (client, text) in tests {
        for (name, bytes) in captured(client)
            .iter()
            .filter(|(name, _)| name != "release")
        {
            assert!(holds(text, bytes), "{client} {name}: {text}");
            assert!(
                !holds("option[93].exists or option[82].exists", bytes),
                "{client} {name}"
            );
            assert!(
                holds("substring(pkt4.mac, 0, 3) == 0x525400", bytes),
                "{client} {name}"
            );
        }
    }
}
