//! What Kea can test and this server refuses, with the reason. A class has to be the same from the
//! first DISCOVER to the last renewal, and must not depend on what the memo of a renewal lacks.

use dhcp_common::wire::option;

/// Problem and hint.
pub type Refusal = (String, &'static str);

const INSTEAD: &str = "a client must have the same classes in all its messages: test what it is, \
                       for example option[60].hex, option[93].hex, pkt4.mac or relay4[1].hex";

/// Why no test may look at an option.
pub fn option(code: u8) -> Option<Refusal> {
    let why = match code {
        option::PAD | option::END => "has no value: it marks padding or the end",
        option::REQUESTED_ADDRESS => "(requested address) comes and goes within one conversation",
        option::SERVER_ID => "(server identifier) comes and goes within one conversation",
        option::MESSAGE_TYPE => "(message type) changes within one conversation",
        _ => return None,
    };
    let problem = format!("option {code} {why}");
    let hint = match code {
        option::PAD | option::END => "options have the codes 1 to 254",
        _ => INSTEAD,
    };
    Some((problem, hint))
}

/// Why no test may look at a field of the message. None: no field has this name.
pub fn field(name: &str) -> Option<Refusal> {
    let why = match name {
        "msgtype" => return option(option::MESSAGE_TYPE),
        "ciaddr" => "is empty until a client renews",
        "yiaddr" | "siaddr" => "is the server's to fill in",
        "transid" | "xid" => "is another number in every conversation",
        "secs" | "flags" | "hops" => "changes from message to message",
        "sname" | "file" => "need not be the same in a renewal",
        "chaddr" => {
            return Some((
                "the field has another name here".to_owned(),
                "write pkt4.mac",
            ));
        }
        _ => return None,
    };
    Some((format!("{name} {why}"), INSTEAD))
}

/// Why no test may look at how a packet came.
pub fn metadata(name: &str) -> Option<Refusal> {
    let hint = match name {
        "iface" => "subnets belong to interfaces: guard a pool or subnet instead of a class",
        "src" | "dst" => "test the relay, pkt4.giaddr",
        "len" => INSTEAD,
        _ => return None,
    };
    let problem = format!("pkt.{name} differs between a client's messages");
    Some((problem, hint))
}
