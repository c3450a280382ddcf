//! A file of the journal, part by part: as a line for people, or as JSON.

use serde_json::{Value, json};

use super::{count, utc};
use crate::clock::SECOND;
use crate::journal::{Kind, Part, Record};
use crate::lease::yaml::hex;

#[must_use]
pub fn journal_header() -> String {
    line("OFFSET", "SEQUENCE", "WHAT", "WHICH")
}

#[must_use]
pub fn journal_line(offset: u64, part: &Part) -> String {
    let sequence = sequence(part).map_or_else(|| "-".to_owned(), |it| it.to_string());
    line(&offset.to_string(), &sequence, what(part), &which(part))
}

fn line(offset: &str, sequence: &str, what: &str, which: &str) -> String {
    format!("{offset:>9}  {sequence:>9}  {what:<9}  {which}")
}

/// What is not known or not meant is left out. Times are seconds since 1970, UTC.
#[must_use]
pub fn journal_json(offset: u64, part: &Part) -> Value {
    let mut row = match part {
        Part::Lease { record, until, .. } => json!({
            "address": record.address,
            "mac": hex(&record.mac),
            "reserved_until": until.map(|until| until / SECOND),
            "since": record.since / SECOND,
            "hostname": String::from_utf8_lossy(&record.hostname),
            "client_id": hex(&record.client_id),
            "relay_agent": hex(&record.relay_agent),
        }),
        Part::Clock {
            boot_id, booted, ..
        } => json!({"boot_id": hex(boot_id), "booted": booted / SECOND}),
        Part::Bounds {
            leases, covered, ..
        } => json!({"leases": leases, "covered": covered}),
        Part::Damaged { len, lost } => json!({"bytes": len, "lost": lost}),
        Part::Missing { lost } => json!({"lost": lost}),
        Part::End { unused } => json!({"bytes": unused}),
    };
    row["offset"] = offset.into();
    row["what"] = what(part).into();
    row["sequence"] = sequence(part).into();
    if let Some(row) = row.as_object_mut() {
        row.retain(|_, value| !value.is_null() && value != "");
    }
    row
}

const fn sequence(part: &Part) -> Option<u64> {
    match part {
        Part::Lease { sequence, .. }
        | Part::Clock { sequence, .. }
        | Part::Bounds { sequence, .. } => Some(*sequence),
        Part::Damaged { .. } | Part::Missing { .. } | Part::End { .. } => None,
    }
}

/// The state of a lease, or what else it is.
const fn what(part: &Part) -> &'static str {
    match part {
        Part::Lease { record, .. } => match record.kind {
            Kind::Bound => "bound",
            Kind::Released => "released",
            Kind::Declined => "declined",
            Kind::Forgotten => "forgotten",
        },
        Part::Clock { .. } => "clock",
        Part::Bounds { .. } => "bounds",
        Part::Damaged { .. } => "DAMAGED",
        Part::Missing { .. } => "MISSING",
        Part::End { .. } => "end",
    }
}

fn which(part: &Part) -> String {
    let records = |lost: u64| count(lost as usize, "record");
    match part {
        Part::Lease { record, until, .. } => lease(record, *until),
        Part::Clock {
            boot_id, booted, ..
        } => format!("boot {} began {}", hex(boot_id), utc(booted / SECOND)),
        Part::Bounds {
            leases, covered, ..
        } => format!(
            "{} of all records up to {covered}",
            count(*leases as usize, "lease")
        ),
        Part::Damaged { len, lost } => {
            let lost = lost.map_or_else(|| "how many records is not known".to_owned(), records);
            format!("{len} bytes; lost with them: {lost}")
        }
        Part::Missing { lost } => format!("{} that should stand before this", records(*lost)),
        Part::End { unused } => format!("{unused} bytes of zeros"),
    }
}

fn lease(record: &Record, until: Option<u64>) -> String {
    let until = until.map_or_else(|| "?".to_owned(), |until| utc(until / SECOND));
    let mut text = format!(
        "{:<15}  {}  promised until {until}",
        record.address.to_string(),
        hex(&record.mac)
    );
    if !record.hostname.is_empty() {
        let name = String::from_utf8_lossy(&record.hostname);
        text += &format!("  hostname {name:?}");
    }
    for (name, bytes) in [
        ("client-id", &record.client_id),
        ("relay-agent", &record.relay_agent),
    ] {
        if !bytes.is_empty() {
            text += &format!("  {name} {}", hex(bytes));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> [(u64, Part); 4] {
        let record = Record {
            address: [10, 0, 0, 7].into(),
            kind: Kind::Bound,
            mac: [2, 0, 0, 0, 0, 7],
            reserved_until: 0,
            since: 1_700_000_000 * SECOND,
            client_id: vec![1, 2],
            hostname: b"n1".to_vec(),
            relay_agent: Vec::new(),
        };
        let lease = Part::Lease {
            sequence: 2,
            record,
            until: Some(1_700_000_600 * SECOND),
        };
        let lost = Some(1);
        [
            (40, lease),
            (97, Part::Damaged { len: 53, lost }),
            (150, Part::Missing { lost: 2 }),
            (150, Part::End { unused: 9 }),
        ]
    }

    #[test]
    fn a_line_for_each_part() {
        let lines = parts().map(|(offset, part)| journal_line(offset, &part));
        let want = "   OFFSET   SEQUENCE  WHAT       WHICH
       40          2  bound      10.0.0.7         02:00:00:00:00:07  promised until 2023-11-14 22:23:20  hostname \"n1\"  client-id 01:02
       97          -  DAMAGED    53 bytes; lost with them: 1 record
      150          -  MISSING    2 records that should stand before this
      150          -  end        9 bytes of zeros";
        assert_eq!(format!("{}\n{}", journal_header(), lines.join("\n")), want);
    }

    #[test]
    fn json_has_what_is_known() {
        let rows = parts().map(|(offset, part)| journal_json(offset, &part).to_string());
        assert_eq!(
            rows,
            [
                r#"{"address":"10.0.0.7","client_id":"01:02","hostname":"n1","mac":"02:00:00:00:00:07","offset":40,"reserved_until":1700000600,"sequence":2,"since":1700000000,"what":"bound"}"#,
                r#"{"bytes":53,"lost":1,"offset":97,"what":"DAMAGED"}"#,
                r#"{"lost":2,"offset":150,"what":"MISSING"}"#,
                r#"{"bytes":9,"offset":150,"what":"end"}"#,
            ]
        );
    }
}
