//! Who is blocked, as people read it.

use super::{count, duration, table, text};
use crate::control::protocol::{Blocked, GuardList};

#[must_use]
pub fn guard(list: &GuardList) -> String {
    if !list.enabled {
        return "the guard is off\n".to_owned();
    }
    let rate = match list.unknown_rate {
        0 => "requests of unknown clients are not limited".to_owned(),
        rate => format!("unknown clients: {rate} requests a second by interface and relay"),
    };
    if list.blocked.is_empty() {
        return format!("{rate}\nnobody is blocked\n");
    }
    let mut rows = table(&["MAC", "FROM", "WHY", "FOR", "LEFT"]);
    for blocked in &list.blocked {
        let Blocked {
            mac, place, cause, ..
        } = blocked;
        let (since, left) = (duration(blocked.for_secs), duration(blocked.left_secs));
        rows.add_row([mac, place, cause, &since, &left]);
    }
    let blocked = count(list.blocked.len(), "client");
    format!("{rate}\n{blocked} blocked\n\n{}", text(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_in_a_table() {
        let mut list = GuardList {
            enabled: true,
            unknown_rate: 0,
            blocked: vec![Blocked {
                mac: "02:00:00:00:00:01".into(),
                place: "eth0 VLAN 5".into(),
                cause: "misbehaving".into(),
                for_secs: 30,
                left_secs: 120,
            }],
        };
        let want = "requests of unknown clients are not limited\n1 client blocked\n\n\
                    MAC                FROM         WHY          FOR  LEFT\n\
                    02:00:00:00:00:01  eth0 VLAN 5  misbehaving  30s  2m 0s\n";
        assert_eq!(guard(&list), want);
        (list.unknown_rate, list.blocked) = (500, Vec::new());
        let want = "unknown clients: 500 requests a second by interface and relay\n\
                    nobody is blocked\n";
        assert_eq!(guard(&list), want);
        list.enabled = false;
        assert_eq!(guard(&list), "the guard is off\n");
    }
}
