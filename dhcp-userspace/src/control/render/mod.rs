//! Answers as people read them.

mod boot;
mod explain;
mod fastpath;
mod guard;
mod journal;
mod leases;
mod status;
mod time;

pub use boot::boot;
pub use explain::explain;
pub use fastpath::fastpath;
pub use guard::guard;
pub use journal::{journal_header, journal_json, journal_line};
pub use leases::{happened, lease, lease_header, lease_row, lost};
pub use status::status;
pub use time::{duration, utc};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use super::protocol::Changes;

/// A table without lines, as wide as its content or the terminal.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn number(value: u64) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// The table as text; lines do not end with blanks.
fn text(table: &Table) -> String {
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// One change a line, or `nothing`.
#[must_use]
pub fn changes(changes: &Changes, nothing: &str) -> String {
    if changes.changes.is_empty() {
        return format!("{nothing}\n");
    }
    changes
        .changes
        .iter()
        .map(|line| format!("{line}\n"))
        .collect()
}

/// What came of telling clients to renew, and why some of them may not.
#[must_use]
pub fn renewals(told: &Changes) -> String {
    let mut page = changes(told, "no client has a lease there");
    if !told.changes.is_empty() {
        page += "\nOnly clients that took a nonce when they were bound heed that: those that send option 145 in their \
                 DISCOVER and REQUEST,\nas dhcpcd does; dhclient, udhcpc, systemd-networkd and NetworkManager do not. \
                 Who did heed it has renewed by now\n(`xdhcpctl leases show`); the others do at T1, or when their DHCP \
                 client is started again.\n";
    }
    page
}

/// `1 file`, `2 files`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// `12.3%`, or `-` of nothing.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.1}%", part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_to_renew_may_not_listen() {
        let mut told = Changes::default();
        assert_eq!(renewals(&told), "no client has a lease there\n");
        told.changes.push("10.0.0.7 was told to renew".to_owned());
        let page = renewals(&told);
        assert!(
            page.starts_with("10.0.0.7 was told to renew\n\nOnly clients that took a nonce"),
            "{page}"
        );
        assert!(page.lines().all(|line| line.len() <= 120), "{page}");
    }
}
