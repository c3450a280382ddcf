//! Each mistake is found at load, at its place, with what to write instead.

use crate::class::Test;
use crate::class::testing::parse;

/// The marked part of the text, and the message.
fn error(text: &str) -> (&str, String) {
    let error = parse(text).expect_err(text);
    (&text[error.at.clone()], error.to_string())
}

fn check(text: &str, at: &str, parts: &[&str]) {
    let (marked, message) = error(text);
    assert_eq!(marked, at, "{text}: {message}");
    for part in parts {
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn what_changes_within_a_conversation_is_refused() {
    let why = "the same classes in all its messages";
    check(
        "option[53].hex == 0x01",
        "[53]",
        &["option 53 (message type)", why],
    );
    check(
        "option[dhcp-message-type].hex == 0x01",
        "[dhcp-message-type]",
        &["option 53", why],
    );
    check(
        "option[50].hex == 10.0.0.1",
        "[50]",
        &["requested address", why],
    );
    check("option[54].exists", "[54]", &["server identifier", why]);
    check(
        "pkt4.msgtype == 1",
        "pkt4.msgtype",
        &["option 53 (message type)", why],
    );
    check(
        "pkt4.ciaddr == 10.0.0.1",
        "pkt4.ciaddr",
        &["empty until a client renews", why],
    );
    check(
        "pkt4.transid == 1",
        "pkt4.transid",
        &["another number", why],
    );
    for name in ["yiaddr", "siaddr"] {
        check(
            &format!("pkt4.{name} == 10.0.0.1"),
            &format!("pkt4.{name}"),
            &["the server's", why],
        );
    }
    for name in ["secs", "flags", "hops", "sname", "file", "xid"] {
        check(
            &format!("pkt4.{name} == 1"),
            &format!("pkt4.{name}"),
            &[why],
        );
    }
    for name in ["iface", "src", "dst", "len"] {
        check(
            &format!("pkt.{name} == 'eth0'"),
            &format!("pkt.{name}"),
            &["differs between"],
        );
    }
    assert!(Test::option(53, None).is_err() && Test::option(54, Some("x")).is_err());
}

#[test]
fn what_can_never_be_equal() {
    check(
        "option[93].hex == 7",
        "7",
        &["a list of items of 2 bytes", "0x0007"],
    );
    check("option[93].hex == 0x07", "0x07", &["1 byte", "0x0007"]);
    check("7 != option[93].hex", "7", &["0x0007"]);
    check(
        "option[46].hex == 8",
        "8",
        &["a number (4 bytes) can never equal at most 1 byte", "0x08"],
    );
    check(
        "pkt4.htype == 0x01",
        "0x01",
        &["1 byte can never equal a number (4 bytes)", "0x00000001"],
    );
    check(
        "pkt4.mac == '52:54:00:00:00:01'",
        "'52:54:00:00:00:01'",
        &["17 bytes", "hexstring(pkt4.mac, ':')"],
    );
    check(
        "pkt4.giaddr == '10.0.0.1'",
        "'10.0.0.1'",
        &[
            "a text can never equal an address",
            "without quotes: 10.0.0.1",
        ],
    );
    check(
        "pkt4.hlen == '6   '",
        "'6   '",
        &["a text can never equal a number"],
    );
    check(
        "option[60].hex == 5",
        "5",
        &["a text can never equal a number", "single quotes"],
    );
    check(
        "substring(option[60].hex,0,9) == 'PXEClient:Arch'",
        "'PXEClient:Arch'",
        &["14 bytes can never equal at most 9 bytes"],
    );
    check(
        "substring(pkt4.mac, 0, 3) == 0x5254",
        "0x5254",
        &["2 bytes can never equal 3 bytes"],
    );
}

#[test]
fn lengths_and_letters_of_what_is_made() {
    check(
        "substring(pkt4.mac, 0, 3) == 5",
        "5",
        &["can never equal 3 bytes", "0x000005"],
    );
    check(
        "option[46].hex == 300",
        "300",
        &["at most 1 byte", "compare as many bytes"],
    );
    check(
        "pkt4.mac == pkt4.giaddr",
        "pkt4.mac",
        &["6 bytes can never equal 4 bytes"],
    );
    check(
        "hexstring(pkt4.mac, '') == '5254AB'",
        "'5254AB'",
        &["6 bytes can never equal 12 bytes"],
    );
    check(
        "hexstring(pkt4.mac, ':') == '52:54:00:12:34:AB'",
        "'52:54:00:12:34:AB'",
        &["lower case"],
    );
    check(
        "lcase(option[60].text) == 'PXE'",
        "'PXE'",
        &["in lower case and can never"],
    );
    check(
        "'pxe' == ucase(option[60].text)",
        "'pxe'",
        &["in upper case and can never"],
    );
}

#[test]
fn values_and_tests_are_not_mixed_up() {
    check(
        "option[60].hex",
        "option[60].hex",
        &["a value, not a test", "option[60].exists"],
    );
    check(
        "option[60].exists == 'true'",
        "option[60].exists",
        &["already true or false"],
    );
    check(
        "not option[60].hex",
        "option[60].hex",
        &["a value, not a test"],
    );
    check("known and 'a'", "'a'", &["a value, not a test"]);
    check("lcase(known) == 'a'", "known", &["already true or false"]);
    check(
        "'a' == 'b' == 'c'",
        "==",
        &["one comparison follows another"],
    );
    check(
        "ifelse('a', 'b', 'c') == 'd'",
        "'a'",
        &["a value, not a test"],
    );
}

#[test]
fn functions_want_their_arguments() {
    check(
        "substring(option[60].hex, 0) == 'x'",
        ")",
        &["expected `,`", "substring(value, start, length)"],
    );
    check(
        "substring(option[60].hex, 'a', 1) == 'x'",
        "'a'",
        &["expected a number"],
    );
    check("split('a.b', '.', 0) == 'a'", "0", &["fields count from 1"]);
    check("lcase('a', 'b') == 'x'", ",", &["expected `)`"]);
    check(
        "uint8totext(255) == '255'",
        "255",
        &["uint8totext reads 1 byte"],
    );
    check(
        "addrtotext(pkt4.mac) == 'x'",
        "pkt4.mac",
        &["reads 4 or 16 bytes"],
    );
    check("member(ipxe)", "ipxe", &["the name of a class in quotes"]);
    check(
        "member('third')",
        "'third'",
        &["no class 'third' yet", "before it"],
    );
    check(
        "match('a(', option[60].hex)",
        "'a('",
        &["unclosed group", "whole value"],
    );
    check(
        "match('(a)\\1', 'x')",
        "'(a)\\1'",
        &["backreferences are not supported"],
    );
    check(
        "hexstring(hexstring(hexstring(option[43].hex,'--'),'--'),'--') == 'x'",
        "hexstring(hexstring(hexstring(option[43].hex,'--'),'--'),'--')",
        &["longer than any message"],
    );
}

#[test]
fn fields_want_their_form() {
    check(
        "option[60] == 'x'",
        "==",
        &["expected `.`", "option[CODE].hex"],
    );
    check(
        "option[60].raw == 'x'",
        "raw",
        &["expected `hex`, `text` or `exists`"],
    );
    check("option[256].exists", "256", &["out of range", "0 to 255"]);
    check("option[0].exists", "[0]", &["padding", "1 to 254"]);
    check("option[255].exists", "[255]", &["padding"]);
    check(
        "option[vendor-class].exists",
        "vendor-class",
        &["no option 'vendor-class'", "vendor-class-identifier"],
    );
    check(
        "option[93].text == '7'",
        "text",
        &["client-system is no text", "option[93].hex"],
    );
    check(
        "option[125].option[1].exists",
        "option[125].option",
        &["blocks of vendors", "vendor[NUMBER]"],
    );
    check(
        "option[124].option[1].exists",
        "option[124].option",
        &["vendor-class[NUMBER].data"],
    );
    check(
        "vendor[4491].hex == 'x'",
        "hex",
        &["expected `option` or `exists`"],
    );
    check("vendor[a].exists", "a", &["expected an enterprise number"]);
    check(
        "vendor-class[1].text == 'x'",
        "text",
        &["expected `data` or `exists`"],
    );
    check(
        "pkt4.mask == 1",
        "pkt4.mask",
        &["no field 'mask'", "pkt4.giaddr"],
    );
    check("pkt4.chaddr == 1", "pkt4.chaddr", &["write pkt4.mac"]);
    check("pkt.mask == 1", "pkt.mask", &["no field 'mask'"]);
    check("relay4[300].exists", "300", &["out of range"]);
}

#[test]
fn the_rest() {
    check("", "", &["there is no test"]);
    check("  ", "", &["there is no test"]);
    check("(known", "", &["expected `)`, but the test ends here"]);
    check("known)", ")", &["closes nothing"]);
    check("known known", "known", &["`and` or `or`"]);
    check("option[60].hex is 'x'", "is", &["write =="]);
    check("== 'x'", "==", &["expected a value or a test before `==`"]);
    check("known and", "", &["but it ends here"]);
    check(
        "substrin('a', 0, 1) == 'a'",
        "substrin",
        &["did you mean `substring`?"],
    );
    check("pkt6.msgtype == 1", "pkt6", &["DHCPv6"]);
    check("true", "true", &["member('ALL')"]);
    check(
        "user-class == 'iPXE'",
        "user-class",
        &["option[user-class].hex"],
    );
    check(
        "option[60].hex == PXEClient",
        "PXEClient",
        &["single quotes"],
    );
    check("option[51].hex == -1", "-1", &["out of range"]);
    let deep = format!("{}known{}", "(".repeat(40), ")".repeat(40));
    check(&deep, "(", &["nested too deeply"]);
    let deep = format!("{}known", "not ".repeat(40));
    check(&deep, "not", &["nested too deeply"]);
}

#[test]
fn the_place_is_shown() {
    let text = "known and\n  option['\u{e4}'] == 1";
    let error = parse(text).unwrap_err();
    assert_eq!(error.column("known and"), 1, "a text that it is not about");
    let shown = error.show(text);
    assert!(
        shown.starts_with("  option['\u{e4}'] == 1\n         ^^^\nexpected a number; "),
        "{shown}"
    );
    let text = "pkt4.msgtype == 1";
    assert_eq!(parse(text).unwrap_err().column(text), 1);
    let text = "'\u{e4}' == pkt4.xid";
    assert_eq!(parse(text).unwrap_err().column(text), 8);
}
