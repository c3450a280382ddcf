//! The table of faults: as tests tell its rows, and as docs/reliability.md keeps them.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths;

/// Where the table stands, and what it stands between.
const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- faults: begin -->\n";
const END: &str = "<!-- faults: end -->";
const HEAD: &str = "\
| fault | how often | what was checked | lost | answers paused at worst | command |
|---|---|---|---|---|---|
";

/// What the last cell of a row begins with; the campaign's name follows.
pub(super) const COMMAND: &str = "cargo xtask faults ";

/// What a campaign told.
pub(super) struct Told {
    pub(super) campaign: &'static str,
    /// What runs it again.
    pub(super) command: String,
    pub(super) rows: Vec<Value>,
}

/// The row in a line of a test's output. The test's name may stand before it.
pub(super) fn row_in(line: &str) -> Option<Value> {
    let (_, row) = line.split_once("FAULT {")?;
    serde_json::from_str(&format!("{{{row}")).ok()
}

/// A row for who waits.
pub(super) fn shown(row: &Value) -> String {
    let [fault, times, checked, pause] = texts(row);
    let lost = &row["lost"];
    format!("  {fault}: {times} times; {checked}; lost: {lost}; paused: {pause}")
}

fn texts(row: &Value) -> [&str; 4] {
    ["fault", "times", "checked", "pause"].map(|key| row[key].as_str().unwrap_or_default())
}

pub(super) fn table(told: &[Told]) -> String {
    let rows: Vec<String> = told.iter().flat_map(rows).collect();
    HEAD.to_owned() + &rows.concat()
}

fn rows(told: &Told) -> Vec<String> {
    let row = |row: &Value| {
        let [fault, times, checked, pause] = texts(row);
        let (lost, command) = (&row["lost"], &told.command);
        format!("| {fault} | {times} | {checked} | {lost} | {pause} | `{command}` |\n")
    };
    told.rows.iter().map(row).collect()
}

/// Puts the rows into the page, in place of those of the same campaigns. `order` names all campaigns.
pub(super) fn write(told: &[Told], order: &[&str]) -> Result<()> {
    let path = paths::root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("no {PAGE}"))?;
    Ok(fs::write(path, with_rows(&page, told, order)?)?)
}

fn with_rows(page: &str, told: &[Told], order: &[&str]) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("no place for the table")?;
    let (old, after) = rest.split_once(END).context("no end of the table")?;
    let mut table = HEAD.to_owned();
    for campaign in order {
        match told.iter().find(|told| told.campaign == *campaign) {
            Some(told) => table.extend(rows(told)),
            None => table.extend(kept(old, campaign)),
        }
    }
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn kept<'a>(table: &'a str, campaign: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = table.split_inclusive('\n');
    lines.filter(move |line| campaign_of(line) == Some(campaign))
}

/// Whose row a line of the table is.
fn campaign_of(line: &str) -> Option<&str> {
    let (_, command) = line.rsplit_once("| `")?;
    let command = command.strip_prefix(COMMAND).unwrap_or(command);
    command.split([' ', '`']).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ORDER: [&str; 3] = ["kill", "disk", "soak"];

    fn told(campaign: &'static str, fault: &str) -> Told {
        let row = json!({"fault": fault, "times": "3", "checked": "all", "lost": 0, "pause": "-"});
        Told {
            campaign,
            command: format!("{COMMAND}{campaign} --seed 7 --secs 5"),
            rows: vec![row],
        }
    }

    #[test]
    fn a_row_is_found_behind_the_name_of_its_test() {
        let line = r#"test a::b ... FAULT {"fault":"kill","lost":0}"#;
        assert_eq!(row_in(line), Some(json!({"fault": "kill", "lost": 0})));
        assert_eq!(row_in("test a::b ... FAULT"), None);
    }

    #[test]
    fn rows_of_campaigns_that_did_not_run_stay() {
        let page = format!("before\n{BEGIN}{END}\nafter\n");
        let first = [told("kill", "a kill"), told("soak", "weeks")];
        let page = with_rows(&page, &first, &ORDER).unwrap();
        let page = with_rows(&page, &[told("disk", "a full disk")], &ORDER).unwrap();
        let page = with_rows(&page, &[told("kill", "another kill")], &ORDER).unwrap();
        let row = |campaign: &str, fault: &str| {
            let command = format!("cargo xtask faults {campaign} --seed 7 --secs 5");
            format!("| {fault} | 3 | all | 0 | - | `{command}` |\n")
        };
        let rows =
            row("kill", "another kill") + &row("disk", "a full disk") + &row("soak", "weeks");
        assert_eq!(page, format!("before\n{BEGIN}{HEAD}{rows}{END}\nafter\n"));
    }
}
