//! Options with parts, sub-options and definitions; the tables in docs/options.md.

use std::fmt::Write;
use std::fs;

use dhcp_userspace::packet::registry::{self, Definition, Definitions};

use crate::{config, errors, read, repository};

/// The bytes of each option of a subnet.
fn encoded(options: &str) -> Vec<(u8, Vec<u8>)> {
    encoded_with("", options)
}

fn encoded_with(definitions: &str, options: &str) -> Vec<(u8, Vec<u8>)> {
    let text = format!(
        "option_definitions: [{definitions}]\nsubnets: [{{subnet: 10.0.0.0/24, options: {{{options}}}}}]\n"
    );
    let config = config(&text);
    let options = config.subnets[0].options.iter();
    options
        .map(|(code, value)| (*code, value.data.clone()))
        .collect()
}

#[test]
fn sub_options_are_written_by_name_or_number_and_stand_in_order() {
    let pxe = encoded("43: {suboptions: {menu-prompt: [3, go], 6: 0x08, 200: 0x0102}}");
    let expected = [6, 1, 8, 10, 3, 3, b'g', b'o', 200, 2, 1, 2, 255];
    assert_eq!(pxe, [(43, expected.to_vec())]);
    let ipxe = encoded("etherboot: {suboptions: {no-pxedhcp: 1, priority: -1, username: a}}");
    assert_eq!(ipxe, [(175, vec![1, 1, 255, 176, 1, 1, 190, 1, b'a'])]);
    let raw = encoded("43: 0x0601, 175: {hex: '01:02'}");
    assert_eq!(raw, [(43, vec![6, 1]), (175, vec![1, 2])]);
    let mos = encoded("140: {suboptions: {command: [a, b]}}");
    assert_eq!(mos, [(140, vec![2, 6, 1, b'a', 0, 1, b'b', 0])]);
}

#[test]
fn option_125_holds_one_enterprise_or_several() {
    let one = [0, 0, 0x11, 0x8b, 3, 2, 1, 9];
    let other = [0, 0, 0, 9, 4, 1, 2, b'h', b'i'];
    let written = "125: {enterprise: 4491, suboptions: {2: 0x09}}";
    assert_eq!(encoded(written), [(125, one.to_vec())]);
    let both = "125: [{enterprise: 4491, suboptions: {2: 0x09}}, \
                {enterprise: 9, suboptions: {greeting: hi}}]";
    let definition = "{space: 9, code: 1, name: greeting, type: string}";
    assert_eq!(
        encoded_with(definition, both),
        [(125, [&one[..], &other].concat())]
    );
}

#[test]
fn definitions_name_types_arrays_records_and_spaces() {
    let definitions = "{code: 224, name: rack, type: string}, \
        {code: 225, name: leaders, type: ipv4, array: true}, \
        {code: 226, name: place, type: [uint16, ipv4]}, \
        {code: 227, name: flag, type: empty}, \
        {code: 228, name: acme, encapsulates: acme}, \
        {space: acme, code: 7, name: inner, encapsulates: within}, \
        {space: within, code: 1, name: mac, type: mac}, \
        {code: 229, name: places, type: [uint8, ipv4], array: true}";
    let options = "rack: row 7, leaders: [10.0.0.1, 10.0.0.2], place: [7, 10.0.0.1], flag: true, \
        acme: {suboptions: {inner: {suboptions: {mac: '52:54:00:00:00:01'}}}}, \
        places: '1, 10.0.0.1, 10.0.0.2'";
    let expected = [
        (224, b"row 7".to_vec()),
        (225, vec![10, 0, 0, 1, 10, 0, 0, 2]),
        (226, vec![0, 7, 10, 0, 0, 1]),
        (227, vec![]),
        (228, vec![7, 8, 1, 6, 0x52, 0x54, 0, 0, 0, 1]),
        (229, vec![1, 10, 0, 0, 1, 10, 0, 0, 2]),
    ];
    assert_eq!(encoded_with(definitions, options), expected);
}

#[test]
fn option_43_can_be_of_any_vendor() {
    let vendor = "{space: acme, code: 1, name: server, type: ipv4}";
    let named = "43: {space: acme, suboptions: {server: 10.0.0.1}}";
    let expected = [(43, vec![1, 4, 10, 0, 0, 1])];
    assert_eq!(encoded_with(vendor, named), expected);
    let default = format!("{{code: 43, encapsulates: acme}}, {vendor}");
    let plain = "43: {suboptions: {server: 10.0.0.1}}";
    assert_eq!(encoded_with(&default, plain), expected);
}

#[test]
fn a_definition_says_whether_it_is_always_sent_and_an_option_may_say_otherwise() {
    let config = config(
        "option_definitions:
  - {code: 224, name: a, type: uint8, always-send: true}
  - {code: 225, name: b, type: uint8, always-send: true}
subnets: [{subnet: 10.0.0.0/24, options: {a: 1, b: {value: 1, always-send: false}}}]
",
    );
    let options = &config.subnets[0].options;
    assert!(options[&224].always_send && !options[&225].always_send);
}

#[test]
fn tests_of_classes_and_hosts_know_the_names_that_are_defined() {
    let text = "
option_definitions: [{code: 224, name: rack, type: string}]
classes:
  - {name: short, match: {option: {NAME: left*}}}
  - {name: long, test: \"option[NAME].text == 'left'\"}
subnets:
  - subnet: 10.0.0.0/24
    reservations: [{match: {option: {NAME: exists}}}, {test: \"option[NAME].exists\"}]
";
    let tests = |name: &str| config(&text.replace("NAME", name));
    let (named, numbered) = (tests("rack"), tests("224"));
    assert_eq!(named.classes, numbered.classes);
    assert_eq!(named.subnets[0].hosts, numbered.subnets[0].hosts);
    let told = errors(
        &text
            .replace("{NAME: left*}", "{rock: a}")
            .replace("NAME", "rack"),
    );
    assert!(
        told.ends_with("unknown option rock; did you mean rack?"),
        "{told}"
    );
}

#[test]
fn what_is_shown_can_be_written() {
    let cases: [(u8, &[u8]); 8] = [
        (43, &[6, 1, 8, 10, 4, 3, b'a', b',', b' ', 255]),
        (43, &[1, 2, 3]),
        (175, &[1, 1, 255, 190, 4, b'n', b'u', b'l', b'l', 250, 0]),
        (125, &[0, 0, 0, 9, 3, 1, 1, 7, 0, 0, 0, 10, 3, 1, 1, 7]),
        (139, &[1, 8, 10, 0, 0, 1, 10, 0, 0, 2, 2, 1, 9]),
        (63, &[2, 0, 5, 1, 1]),
        (122, &[6, 3, 1, b'a', 0, 8, 1, 5]),
        (6, &[10, 0, 0, 1, 10, 0, 0, 2]),
    ];
    for (code, data) in cases {
        let shown = Definitions::default().show(code, data);
        // A list of plain values is shown without brackets.
        let shown = if code == 6 {
            format!("'{shown}'")
        } else {
            shown
        };
        let again = encoded(&format!("{code}: {shown}"));
        assert_eq!(again, [(code, data.to_vec())], "{shown}");
    }
}

/// `UPDATE=1 cargo test -p dhcp-userspace --test config` writes them anew.
#[test]
fn the_tables_in_the_documentation_are_current() {
    let path = repository().join("docs/options.md");
    let text = read("docs/options.md");
    let mark = "<!-- generated: what follows is written by a test -->\n";
    let (by_hand, _) = text
        .split_once(mark)
        .expect("the mark of the generated part");
    let now = format!("{by_hand}{mark}{}", tables());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &now).unwrap();
    }
    assert!(
        read("docs/options.md") == now,
        "run this test with UPDATE=1"
    );
}

fn tables() -> String {
    let mut text = "\n## All options\n\n".to_owned();
    table(registry::all(), &mut text);
    for space in registry::spaces() {
        let _ = write!(
            text,
            "\n## Sub-options: `{}`\n\nThose of {}.\n\n",
            space.name, space.about
        );
        table(space.options, &mut text);
    }
    text
}

fn table(options: &[Definition], text: &mut String) {
    text.push_str("| code | name | also | value |\n|---|---|---|---|\n");
    for option in options {
        let value = match option.space {
            "" => option.kind.shape(),
            space => format!("sub-options: `{space}`"),
        };
        let Definition {
            code, name, alias, ..
        } = option;
        let alias = if alias.is_empty() {
            String::new()
        } else {
            format!("`{alias}`")
        };
        let _ = writeln!(text, "| {code} | `{name}` | {alias} | {value} |");
    }
}

#[test]
fn every_example_in_the_documentation_of_options_is_right() {
    let text = read("docs/options.md");
    let blocks = text.split("```yaml\n").skip(1);
    let mut count = 0;
    for block in blocks.map(|block| block.split("```").next().unwrap()) {
        let full = match block.starts_with("option_definitions") {
            true => format!("{block}subnets: [{{subnet: 10.0.0.0/24}}]\n"),
            false => {
                let definitions = "option_definitions: [{code: 224, name: rack, type: string}]\n";
                let indented = block.replace('\n', "\n  ");
                format!(
                    "{definitions}defaults:\n  {indented}\nsubnets: [{{subnet: 10.0.0.0/24}}]\n"
                )
            }
        };
        config(&full);
        count += 1;
    }
    assert!(count >= 6, "{count} examples");
    for field in registry::TYPES {
        let name = format!("`{}`", field.name());
        assert!(text.contains(&name), "{name} is not explained");
    }
}
