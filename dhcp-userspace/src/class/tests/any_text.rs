//! Whatever is written, the parser ends with a test or an error; whatever is sent, a test ends.

use proptest::prelude::*;

use crate::class::nature::Case;
use crate::class::parse::{Names, parse_value};
use crate::class::testing::{message, opt, parse};
use crate::class::{ClassSet, Subject, Test, ready, run};
use crate::packet::Request;

const PIECES: &[&str] = &[
    "option",
    "[",
    "]",
    "60",
    "93",
    "82",
    "125",
    "-1",
    "all",
    ".",
    "hex",
    "text",
    "exists",
    "(",
    ")",
    ",",
    "'a'",
    "'\u{e4}'",
    "0x0",
    "0x5254",
    "10.0.0.1",
    "==",
    "!=",
    "+",
    "*",
    "and",
    "or",
    "not",
    "relay4",
    "pkt4",
    "mac",
    "giaddr",
    "pkt",
    "vendor",
    "vendor-class",
    "data",
    "enterprise",
    "member",
    "match",
    "known",
    "substring",
    "split",
    "concat",
    "lcase",
    "ucase",
    "ifelse",
    "hexstring",
    "addrtotext",
    "uint16totext",
    "vendor-class-identifier",
    "\n",
];

/// A value that can be written; not all of these can be compared with each other.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "'aB'",
        "0x0a00",
        "7",
        "10.0.0.1",
        "option[60].hex",
        "option[60].text",
        "option[43].hex",
        "option[82].option[1].hex",
        "relay4[2].hex",
        "pkt4.mac",
        "pkt4.giaddr",
        "vendor.enterprise",
        "vendor[*].option[1].hex",
        "vendor-class[9].data[1]",
        "option[43].option[1].hex",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 16, 3, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                (inner.clone(), -9..9i32, -9..9i32)
                    .prop_map(|(v, a, b)| format!("substring({v}, {a}, {b})")),
                (inner.clone(), -9..9i32).prop_map(|(v, a)| format!("substring({v}, {a}, all)")),
                (two.clone(), 1..4u8).prop_map(|((v, d), n)| format!("split({v}, {d}, {n})")),
                two.clone().prop_map(|(a, b)| format!("{a} + {b}")),
                two.clone()
                    .prop_map(|(a, b)| format!("hexstring({a}, {b})")),
                two.prop_map(|(a, b)| format!("ifelse(option[60].exists, {a}, {b})")),
                inner.clone().prop_map(|v| format!("lcase({v})")),
                inner.clone().prop_map(|v| format!("uint16totext({v})")),
                inner.prop_map(|v| format!("addrtotext({v})")),
            ]
        })
}

fn try_on(test: &Test, options: &[u8]) -> bool {
    let bytes = message(options);
    let Ok(request) = Request::parse(&bytes) else {
        return false;
    };
    let members = ClassSet::new();
    test.matches(&Subject {
        request: &request,
        members: &members,
        known: false,
        relay_agent: None,
    })
}

/// Options with codes that the tests look at, well formed or not inside.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let code = prop::sample::select(vec![60u8, 43, 77, 82, 93, 124, 125]);
    let value = prop::collection::vec(prop_oneof![0u8..10, any::<u8>()], 0..24);
    let option = (code, value).prop_map(|(code, value)| opt(code, &value));
    prop::collection::vec(option, 0..6).prop_map(|options| options.concat())
}

fn check(text: &str, options: &[u8]) {
    match parse(text) {
        Ok(test) => {
            try_on(&test, options);
        }
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{text:?}: {error:?}");
            assert!(
                !error.problem.is_empty() && !error.hint.is_empty(),
                "{text:?}"
            );
            let _ = (error.column(text), error.show(text));
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}", odd: String) {
        check(&text, &[]);
        check(&odd, &[]);
    }

    #[test]
    fn no_sequence_of_tokens_panics(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
        space in prop::sample::select(vec!["", " "]),
        options in options(),
    ) {
        check(&pieces.join(space), &options);
    }

    #[test]
    fn no_test_panics(left in value(), right in value(), options in options()) {
        check(&format!("{left} == {right}"), &options);
        check(&format!("match('[0-9a-f:]*', {left})"), &options);
    }

    /// What the check at load calls impossible does not happen.
    #[test]
    fn a_value_is_as_long_as_was_said(text in value(), options in options()) {
        let names = Names { class: &|_| None, option: &|_| None };
        if let Ok(typed) = parse_value(&text, names) {
            let bytes = message(&options);
            let request = Request::parse(&bytes).unwrap();
            let members = ClassSet::new();
            let subject = Subject {
                request: &request, members: &members, known: false, relay_agent: None,
            };
            if let Some(value) = run::value(&typed.value, &subject) {
                let (is_upper, is_lower) = (u8::is_ascii_uppercase, u8::is_ascii_lowercase);
                prop_assert!(typed.lengths.has(value.len()), "{text}: {value:?}");
                prop_assert!(typed.case != Case::Lower || !value.iter().any(is_upper));
                prop_assert!(typed.case != Case::Upper || !value.iter().any(is_lower));
            }
        }
    }

    #[test]
    fn every_ready_made_class_bears_every_request(options in options()) {
        for ready in ready::all() {
            try_on(&ready::test(ready.name).unwrap(), &options);
        }
    }
}
