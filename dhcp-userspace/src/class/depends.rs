//! What a test looks at.

use dhcp_common::wire::option;

use super::tree::{Field, Node, Value};
use super::{ClassId, Test};

impl Test {
    /// Whether it looks at what a relay adds, giaddr or option 82. A client that renews talks to
    /// the server itself, without its relay. `class` says the same of classes that stand before.
    #[must_use]
    pub fn reads_relay(&self, class: &dyn Fn(ClassId) -> bool) -> bool {
        node(&self.0, class)
    }
}

fn node(of: &Node, class: &dyn Fn(ClassId) -> bool) -> bool {
    match of {
        Node::Always | Node::UserClass(_) | Node::Arch(_) | Node::Mac(_) | Node::Known => false,
        Node::Not(inner) => node(inner, class),
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(|inner| node(inner, class)),
        Node::Equal(left, right) => value(left, class) || value(right, class),
        Node::Matches(_, of) => value(of, class),
        Node::Exists(of) | Node::Like(of, _) => field(of),
        Node::Relay(_) => true,
        Node::Member(id) => class(*id),
    }
}

fn value(of: &Value, class: &dyn Fn(ClassId) -> bool) -> bool {
    match of {
        Value::Literal(_) | Value::Enterprise(_) | Value::Mac => false,
        Value::Raw(of) | Value::Text(of) => field(of),
        Value::Giaddr => true,
        Value::Substring(of, _) | Value::Lower(of) | Value::Upper(of) | Value::Shown(of, _) => {
            value(of, class)
        }
        Value::Split(of, by, _) | Value::HexString(of, by) => value(of, class) || value(by, class),
        Value::Concat(parts) => parts.iter().any(|part| value(part, class)),
        Value::Choose(test, yes, no) => node(test, class) || value(yes, class) || value(no, class),
    }
}

fn field(of: &Field) -> bool {
    matches!(
        of,
        Field::Option(option::RELAY_AGENT) | Field::Sub(option::RELAY_AGENT, _)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::testing::parse;

    #[test]
    fn relays_are_found_wherever_they_are_read() {
        let reads = |text: &str| {
            parse(text)
                .unwrap()
                .reads_relay(&|class| class == ClassId(1))
        };
        for text in [
            "relay4[1].exists",
            "option[82].exists or known",
            "not substring(option[82].option[2].hex, 0, 1) == 'a'",
            "pkt4.giaddr == 10.0.0.1",
            "member('second')",
            "match('a', lcase('x' + relay4[1].text))",
            "ifelse(relay4[1].exists, 'a', 'b') == option[60].hex",
            "split(option[60].hex, relay4[1].hex, 1) == hexstring(option[43].hex, ':')",
            "uint32totext(pkt4.giaddr) == 'x'",
        ] {
            assert!(reads(text), "{text}");
        }
        for text in [
            "option[60].hex == 'a' and pkt4.mac == 0x525400000001",
            "member('first') or known or member('ALL') or member('ipxe')",
            "vendor[*].option[82].exists or option[43].option[82].exists",
        ] {
            assert!(!reads(text), "{text}");
        }
        assert!(Test::relay("10.0.0.0/8".parse().unwrap()).reads_relay(&|_| false));
        assert!(Test::circuit_id("a").unwrap().reads_relay(&|_| false));
    }
}
