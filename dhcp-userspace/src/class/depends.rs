//! What a test looks at.

use dhcp_common::wire::option;

use super::tree::{Field, Node, Value};
use super::{ClassId, Test};

impl Test {
    /// Whether it looks at what a relay adds, giaddr or option 82. A client that renews talks to
    /// the server itself, without its relay. `class` says the same of classes that stand before.
    #[must_use]
    pub fn reads_relay(&self, class: &dyn Fn(ClassId) -> bool) -> bool {
        let what = Looked {
            option: true,
            giaddr: true,
            known: false,
            class,
        };
        what.node(&self.0)
    }

    /// Whether it looks at giaddr, of which nothing is left when a client renews.
    #[must_use]
    pub fn reads_giaddr(&self, class: &dyn Fn(ClassId) -> bool) -> bool {
        let what = Looked {
            option: false,
            giaddr: true,
            known: false,
            class,
        };
        what.node(&self.0)
    }

    /// Whether it asks for classes, or whether the client is known. Ready-made classes whose tests
    /// look at the message alone are no such question.
    #[must_use]
    pub fn reads_standing(&self) -> bool {
        let what = Looked {
            option: false,
            giaddr: false,
            known: true,
            class: &|_| true,
        };
        what.node(&self.0)
    }
}

/// What is looked for.
struct Looked<'a> {
    /// Option 82.
    option: bool,
    giaddr: bool,
    known: bool,
    class: &'a dyn Fn(ClassId) -> bool,
}

impl Looked<'_> {
    fn node(&self, of: &Node) -> bool {
        match of {
            Node::Always | Node::UserClass(_) | Node::Arch(_) | Node::Mac(_) => false,
            Node::Known => self.known,
            Node::Not(inner) => self.node(inner),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(|inner| self.node(inner)),
            Node::Equal(left, right) => self.value(left) || self.value(right),
            Node::Matches(_, of) => self.value(of),
            Node::Exists(of) | Node::Like(of, _) => self.field(of),
            Node::Relay(_) => self.giaddr,
            Node::Member(id) => (self.class)(*id),
        }
    }

    fn value(&self, of: &Value) -> bool {
        match of {
            Value::Literal(_) | Value::Enterprise(_) | Value::Mac => false,
            Value::Raw(of) | Value::Text(of) => self.field(of),
            Value::Giaddr => self.giaddr,
            Value::Substring(of, _) | Value::Lower(of) | Value::Upper(of) | Value::Shown(of, _) => {
                self.value(of)
            }
            Value::Split(of, by, _) | Value::HexString(of, by) => self.value(of) || self.value(by),
            Value::Concat(parts) => parts.iter().any(|part| self.value(part)),
            Value::Choose(test, yes, no) => self.node(test) || self.value(yes) || self.value(no),
        }
    }

    fn field(&self, of: &Field) -> bool {
        let is_agent = |code| code == option::RELAY_AGENT;
        self.option && matches!(of, Field::Option(code) | Field::Sub(code, _) if is_agent(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::testing::parse;

    #[test]
    fn questions_about_the_client_are_found() {
        let reads = |text: &str| parse(text).unwrap().reads_standing();
        for text in [
            "known",
            "option[60].exists and not unknown",
            "member('second')",
            "ifelse(member('KNOWN'), 'a', 'b') == option[60].hex",
        ] {
            assert!(reads(text), "{text}");
        }
        for text in [
            "member('ipxe') or member('ALL')",
            "relay4[1].exists and pkt4.giaddr == 10.0.0.1",
            "substring(option[60].hex, 0, 4) == 'Acme'",
        ] {
            assert!(!reads(text), "{text}");
        }
    }

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

    #[test]
    fn giaddr_is_told_from_option_82() {
        let reads = |text: &str| parse(text).unwrap().reads_giaddr(&|_| false);
        assert!(reads("relay4[1].exists or pkt4.giaddr == 10.0.0.1"));
        assert!(!reads("relay4[1].exists or option[82].hex == 'a'"));
        assert!(Test::relay("10.0.0.0/8".parse().unwrap()).reads_giaddr(&|_| false));
    }
}
