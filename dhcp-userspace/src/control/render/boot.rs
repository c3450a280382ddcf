//! `xdhcpctl boot status`.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::netboot::Report;
use crate::netboot::report::{NotFound, Totals, Transfer};

use super::{duration, number, percent, table, text};

/// Of the bar that shows how far a transfer is.
const BAR: u64 = 20;
/// Names that were asked for in vain; `--json` has all.
const MOST: usize = 20;

/// Where files are served, what happened so far, who fetches what, and what is missing.
#[must_use]
pub fn boot(report: &Report) -> String {
    let mut page = head(report);
    let mut section = |body: String| {
        let _ = write!(page, "\n{body}");
    };
    section(totals(&report.totals));
    if !report.transfers.is_empty() {
        section(transfers(&report.transfers));
    }
    if !report.not_found.is_empty() {
        section(not_found(&report.not_found));
    }
    page
}

fn head(report: &Report) -> String {
    let at = |address: Option<SocketAddr>| {
        address.map_or_else(|| "off".to_owned(), |address| address.to_string())
    };
    let now = report.transfers.len();
    let rows = [
        ("root", report.root.display().to_string()),
        ("tftp", at(report.tftp)),
        ("http", at(report.http)),
        (
            "transfers",
            format!("{now} now, {} at most", report.max_transfers),
        ),
    ];
    let line = |(name, value): &(&str, String)| format!("{name:<10} {value}\n");
    let mut page: String = rows.iter().map(line).collect();
    if let Some(trouble) = &report.trouble {
        page += &line(&("trouble", trouble.clone()));
    }
    page
}

fn totals(totals: &[Totals]) -> String {
    let mut table = table(&[
        "PROTOCOL",
        "COMPLETE",
        "ASKED",
        "ABORTED",
        "NOT FOUND",
        "DENIED",
        "BUSY",
        "SENT",
        "RESENT",
    ]);
    for one in totals {
        let ends = [
            one.complete,
            one.asked,
            one.aborted,
            one.not_found,
            one.denied,
            one.busy,
        ];
        let mut row = vec![one.protocol.label().into()];
        row.extend(ends.map(number));
        row.extend([bytes(one.bytes).into(), number(one.resent)]);
        table.add_row(row);
    }
    text(&table)
}

fn transfers(transfers: &[Transfer]) -> String {
    let mut table = table(&[
        "CLIENT", "PROTOCOL", "FILE", "PROGRESS", "SIZE", "RATE", "LEFT",
    ]);
    for one in transfers {
        table.add_row([
            one.client.to_string(),
            one.protocol.label().to_owned(),
            one.file.clone(),
            format!(
                "{} {:>6}",
                bar(one.bytes, one.of),
                percent(one.bytes, one.of)
            ),
            bytes(one.of),
            format!("{}/s", bytes(one.bytes_per_second)),
            left(one),
        ]);
    }
    text(&table)
}

fn not_found(names: &[NotFound]) -> String {
    let mut table = table(&["NOT FOUND", "TIMES", "LAST BY"]);
    for one in names.iter().take(MOST) {
        let (file, client) = (one.file.clone(), one.last_client.to_string());
        table.add_row([file.into(), number(one.count), client.into()]);
    }
    text(&table)
}

fn bar(part: u64, whole: u64) -> String {
    let done = part
        .saturating_mul(BAR)
        .checked_div(whole)
        .unwrap_or(BAR)
        .min(BAR);
    let (done, open) = (done as usize, (BAR - done) as usize);
    format!("[{}{}]", "#".repeat(done), ".".repeat(open))
}

/// At the rate so far.
fn left(transfer: &Transfer) -> String {
    let open = transfer.of.saturating_sub(transfer.bytes);
    let seconds = open.checked_div(transfer.bytes_per_second);
    seconds.map_or_else(|| "-".to_owned(), duration)
}

/// `512 B`, `1.5 MiB`.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netboot::report::Protocol;

    #[test]
    fn the_page() {
        let tftp = Totals {
            protocol: Protocol::Tftp,
            complete: 12,
            asked: 3,
            aborted: 1,
            not_found: 2,
            denied: 0,
            busy: 0,
            bytes: 5 << 20,
            resent: 4,
        };
        let transfer = Transfer {
            protocol: Protocol::Tftp,
            client: "10.0.0.7:2070".parse().unwrap(),
            file: "ipxe.efi".into(),
            bytes: 300 << 10,
            of: 1 << 20,
            millis: 100,
            bytes_per_second: 100 << 10,
        };
        let missing = NotFound {
            file: "pxelinux.0".into(),
            count: 2,
            last_client: [10, 0, 0, 9].into(),
        };
        let mut report = Report {
            root: "/srv/boot".into(),
            trouble: None,
            tftp: Some("0.0.0.0:69".parse().unwrap()),
            http: None,
            max_transfers: 200,
            transfers: vec![transfer],
            totals: vec![tftp],
            not_found: vec![missing],
        };
        let want = "\
root       /srv/boot
tftp       0.0.0.0:69
http       off
transfers  1 now, 200 at most

PROTOCOL  COMPLETE  ASKED  ABORTED  NOT FOUND  DENIED  BUSY  SENT     RESENT
tftp            12      3        1          2       0     0  5.0 MiB       4

CLIENT         PROTOCOL  FILE      PROGRESS                       SIZE     RATE         LEFT
10.0.0.7:2070  tftp      ipxe.efi  [#####...............]  29.3%  1.0 MiB  100.0 KiB/s  7s

NOT FOUND   TIMES  LAST BY
pxelinux.0      2  10.0.0.9
";
        assert_eq!(boot(&report), want);
        (report.transfers, report.not_found) = (vec![], vec![]);
        let quiet = boot(&report);
        assert!(quiet.ends_with("5.0 MiB       4\n"), "{quiet}");
        report.trouble = Some("boot.root: it is gone".into());
        let page = boot(&report);
        assert!(
            page.contains("\ntrouble    boot.root: it is gone\n\nPROTOCOL"),
            "{page}"
        );
    }

    #[test]
    fn bars_of_nothing_and_of_all() {
        assert_eq!(bar(0, 0), "[####################]");
        assert_eq!(bar(0, 7), "[....................]");
        assert_eq!(bar(9, 7), "[####################]");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }
}
