//! Answers as people read them.

mod boot;
mod explain;
mod fastpath;
mod guard;
mod leases;
mod status;
mod time;

pub use boot::boot;
pub use explain::explain;
pub use fastpath::fastpath;
pub use guard::guard;
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
