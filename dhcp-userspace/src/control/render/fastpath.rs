//! `xdhcpctl fastpath`.

use dhcp_common::Reason;

use super::super::protocol::FastPath;
use super::{number, percent, status, table, text};

/// Modes of the interfaces, and how frames ended; reasons that never came up are left out.
/// Frames that are no DHCP requests do not count in the rates.
#[must_use]
pub fn fastpath(report: &FastPath) -> String {
    let not_dhcp = Reason::NotDhcp.label();
    let requests = report.reasons.iter().filter(|row| row.reason != not_dhcp);
    let total: u64 = requests.map(|row| row.count).sum();
    let mut page = status::interfaces(&report.interfaces);
    let mut table = table(&["FRAMES", "RATE", "REASON", "MEANING"]);
    for row in report.reasons.iter().filter(|row| row.count != 0) {
        let rate = if row.reason == not_dhcp {
            "-".into()
        } else {
            percent(row.count, total)
        };
        let (reason, meaning) = (row.reason.clone().into(), row.description.clone().into());
        table.add_row([number(row.count), rate.into(), reason, meaning]);
    }
    page.push('\n');
    page.push_str(&text(&table));
    page
}

#[cfg(test)]
mod tests {
    use super::super::super::protocol::{InterfaceStatus, ReasonCount};
    use super::*;

    #[test]
    fn hit_rate_and_reasons() {
        let count = |reason: Reason, count| ReasonCount {
            reason: reason.label().into(),
            count,
            description: reason.describe().into(),
        };
        let report = FastPath {
            interfaces: vec![InterfaceStatus {
                name: "eth0".into(),
                addresses: vec![],
                mode: "generic".into(),
                why: "veth".into(),
            }],
            reasons: vec![
                count(Reason::NotDhcp, 1000),
                count(Reason::Hit, 90),
                count(Reason::Promise, 10),
                count(Reason::Raced, 0),
            ],
        };
        let want = "\
NAME  ADDRESSES  FAST PATH  WHY
eth0             generic    veth

FRAMES  RATE   REASON    MEANING
  1000  -      not-dhcp  No DHCP request: not IPv4, UDP and port 67, or shorter than one.
    90  90.0%  hit       Answered.
    10  10.0%  promise   The new lease time would end after what is promised on disk.
";
        assert_eq!(fastpath(&report), want);
    }
}
