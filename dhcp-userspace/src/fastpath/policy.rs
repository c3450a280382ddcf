//! Where the program is attached to an interface: a decision from facts, nothing else.

use crate::config::model::FastPathMode;

use crate::net::link::Framing;
use crate::net::netlink::Device;

/// What the decision depends on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub device: &'a Device,
    pub peer: Peer,
    /// VLANs are served on the interface, or it has VLAN interfaces on top.
    pub vlans: bool,
    /// The NIC takes tags off before XDP sees them.
    pub strips_tags: bool,
}

/// The far end of a veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Not a veth, or its far end is in a namespace that this one cannot look into.
    Unseen,
    /// It has a native XDP program.
    Ready,
    /// It has none, so XDP replies would vanish on the way.
    Deaf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// In the driver; if that fails, not at all.
    Native,
    /// In the driver if it can, else generic.
    NativeFirst,
    /// In the network stack, before anything else sees the frame.
    Generic,
    Userspace,
}

/// Tells where to attach, and why in one sentence.
#[must_use]
pub fn choose(mode: FastPathMode, facts: &Facts<'_>) -> (Choice, String) {
    let kind = facts.device.kind.as_str();
    match mode {
        _ if facts.device.framing != Framing::Ethernet => {
            (Choice::Userspace, "not Ethernet".into())
        }
        _ if facts.vlans && is_handed_frames(kind) => (Choice::Userspace, tags_beside_frames(kind)),
        _ if facts.vlans && facts.strips_tags => (Choice::Userspace, hidden_tags(facts.device)),
        FastPathMode::Off => (Choice::Userspace, "fast_path.mode is off".into()),
        FastPathMode::Native if facts.peer == Peer::Deaf => (Choice::Native, deaf_but_native()),
        FastPathMode::Native => (Choice::Native, "fast_path.mode is native".into()),
        FastPathMode::Generic => (Choice::Generic, "fast_path.mode is generic".into()),
        FastPathMode::Auto => automatic(facts),
    }
}

/// Kinds of interface that get their frames from the network stack, which takes the outer tag out
/// of them before, whatever the offloads are set to.
fn is_handed_frames(kind: &str) -> bool {
    matches!(
        kind,
        "bridge" | "bond" | "team" | "macvlan" | "openvswitch" | "dsa" | "vrf"
    )
}

fn tags_beside_frames(kind: &str) -> String {
    format!(
        "VLANs are used here, and a {kind} interface gets frames whose tags the network stack has \
         taken out, so XDP cannot tell the VLANs apart: the daemon can, and answers"
    )
}

/// The kernel would answer tagged frames without their tag: into the wrong VLAN.
fn hidden_tags(device: &Device) -> String {
    let name = &device.name;
    let far = if device.kind == "veth" {
        ", and txvlan off at the far end"
    } else {
        ""
    };
    format!(
        "VLANs are used here, but the NIC hides their tags from XDP; to let the kernel answer, run \
         `ethtool -K {name} rxvlan off`{far}, and `xdhcpctl reload`"
    )
}

fn deaf_but_native() -> String {
    "fast_path.mode is native, but the far end of this veth has no native XDP program, so replies \
     will be lost"
        .into()
}

fn automatic(facts: &Facts<'_>) -> (Choice, String) {
    let device = facts.device;
    if device.loopback {
        return (Choice::Generic, "loopback has no native XDP".into());
    }
    match device.kind.as_str() {
        "" => (Choice::NativeFirst, "a network card".into()),
        "veth" => veth(facts.peer),
        kind => (
            Choice::Generic,
            format!("a {kind} interface: native XDP is for network cards"),
        ),
    }
}

fn veth(peer: Peer) -> (Choice, String) {
    match peer {
        Peer::Ready => (
            Choice::Native,
            "a veth whose far end has a native XDP program".into(),
        ),
        Peer::Deaf => (
            Choice::Generic,
            "a veth whose far end has no native XDP program: native replies would be lost".into(),
        ),
        Peer::Unseen => (
            Choice::Generic,
            "a veth whose far end cannot be seen from here: native replies might be lost".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(kind: &str, peer: Peer, mode: FastPathMode) -> Choice {
        let device = Device {
            kind: kind.into(),
            ..Device::default()
        };
        let facts = Facts {
            device: &device,
            peer,
            vlans: false,
            strips_tags: true,
        };
        choose(mode, &facts).0
    }

    #[test]
    fn automatic_choices() {
        let auto = |kind, peer| chosen(kind, peer, FastPathMode::Auto);
        assert_eq!(auto("", Peer::Unseen), Choice::NativeFirst);
        assert_eq!(auto("veth", Peer::Ready), Choice::Native);
        assert_eq!(auto("veth", Peer::Deaf), Choice::Generic);
        assert_eq!(auto("veth", Peer::Unseen), Choice::Generic);
        for kind in ["bridge", "bond", "vlan", "macvlan", "tun"] {
            assert_eq!(auto(kind, Peer::Unseen), Choice::Generic, "{kind}");
        }
        let lo = Device {
            loopback: true,
            ..Device::default()
        };
        let facts = Facts {
            device: &lo,
            peer: Peer::Unseen,
            vlans: false,
            strips_tags: false,
        };
        assert_eq!(choose(FastPathMode::Auto, &facts).0, Choice::Generic);
    }

    #[test]
    fn no_frame_without_an_ethernet_header_is_for_the_program() {
        let device = Device {
            kind: "tun".into(),
            framing: Framing::Cooked,
            ..Device::default()
        };
        let facts = Facts {
            device: &device,
            peer: Peer::Unseen,
            vlans: false,
            strips_tags: false,
        };
        for mode in [FastPathMode::Auto, FastPathMode::Native] {
            assert_eq!(
                choose(mode, &facts),
                (Choice::Userspace, "not Ethernet".into())
            );
        }
    }

    /// However the offloads are set: what comes through a bridge has no tags in the frame.
    #[test]
    fn vlans_on_a_bridge_are_for_the_daemon() {
        let choice = |kind: &str, vlans| {
            let device = Device {
                kind: kind.into(),
                ..Device::default()
            };
            let facts = Facts {
                device: &device,
                peer: Peer::Unseen,
                vlans,
                strips_tags: false,
            };
            choose(FastPathMode::Generic, &facts)
        };
        for kind in ["bridge", "bond", "macvlan"] {
            let (choice_with, why) = choice(kind, true);
            assert_eq!(choice_with, Choice::Userspace, "{kind}");
            assert!(why.contains(&format!("a {kind} interface")), "{why}");
            assert_eq!(choice(kind, false).0, Choice::Generic, "{kind}");
        }
        assert_eq!(choice("veth", true).0, Choice::Generic);
    }

    #[test]
    fn an_explicit_mode_wins() {
        assert_eq!(
            chosen("veth", Peer::Deaf, FastPathMode::Native),
            Choice::Native
        );
        assert_eq!(
            chosen("", Peer::Unseen, FastPathMode::Generic),
            Choice::Generic
        );
        assert_eq!(
            chosen("", Peer::Unseen, FastPathMode::Off),
            Choice::Userspace
        );
    }

    #[test]
    fn hidden_tags_matter_where_there_are_vlans() {
        let device = Device {
            name: "eth0".into(),
            ..Device::default()
        };
        let facts = |vlans, strips_tags| {
            let facts = Facts {
                device: &device,
                peer: Peer::Unseen,
                vlans,
                strips_tags,
            };
            choose(FastPathMode::Native, &facts)
        };
        let (choice, why) = facts(true, true);
        assert_eq!(choice, Choice::Userspace);
        assert!(why.contains("ethtool -K eth0 rxvlan off`, and"), "{why}");
        assert_eq!(facts(true, false).0, Choice::Native);
        assert_eq!(facts(false, true).0, Choice::Native);
    }
}
