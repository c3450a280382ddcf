//! The document: where the answers differ, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Result, ensure};

use crate::conversation::{Answer, QUESTIONS};

/// Why an aspect differs: question (empty: any), aspect, reason.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "",
        "siaddr",
        "dnsmasq names itself as the boot server of everybody. Here siaddr is what `boot.next-server` says, or this server for a boot file that its own TFTP has; otherwise nothing: firmware must not be sent where no file is.",
    ),
    (
        "",
        "broadcast-address (28)",
        "dnsmasq computes option 28. Here, as with Kea, it is sent if it is configured; every client computes it from the mask.",
    ),
    (
        "",
        "BOOTP bytes",
        "RFC 1542 section 2.1 lets relays and boot ROMs rely on 300 bytes, which Kea does not pad to.",
    ),
    (
        "",
        "options",
        "53, 54 and 51 stand first here, as some firmware reads no further; then what the client asked for, in its order; 12, 61 and 82 last. Kea sorts what is asked for before the server's own options, dnsmasq goes by its own list.",
    ),
    (
        "",
        "sent to",
        "RFC 2131 sections 4.1 and 4.3.2 ask for a broadcast. Kea sends to the address of all on the IP layer, but to the one client on the link layer, where another interface or a bridge of that client does not hear it.",
    ),
    (
        "",
        "flags",
        "The flags of the request are sent back (RFC 2131 table 3). dnsmasq sets the broadcast flag in a NAK on the link too; here that is done where a relay must be told to broadcast (RFC 2131 section 4.3.2).",
    ),
    (
        "",
        "client identifier (61)",
        "RFC 6842: a client's identifier is sent back, asked for or not.",
    ),
    (
        "",
        "message (56)",
        "The words of a NAK are each server's own; Kea has none.",
    ),
    (
        "",
        "T1 (58)",
        "dnsmasq shortens T1 by a random time, so that clients spread. Here a renewal costs so little that they need not, and what is configured is what is sent.",
    ),
    ("", "T2 (59)", "As T1."),
    (
        "",
        "subnet-mask (1)",
        "The mask is told whenever an answer says anything of the network, as RFC 2131 section 4.3.5 leaves open; Kea tells it in answer to INFORM if it is configured as an option.",
    ),
    (
        "DISCOVER in a BOOTREPLY",
        "answer",
        "A reply is no request: who answers it can be made to talk to another server. Kea takes it.",
    ),
    (
        "REQUEST that renews what is not known",
        "answer",
        "A server that is not authoritative keeps silent on what another server may have given (RFC 2131 section 4.3.2): the client goes on to REBINDING and starts anew when its lease ends. Kea gives the address, which nobody has, to the client; dnsmasq refuses.",
    ),
    (
        "DISCOVER after a RELEASE",
        "yiaddr",
        "A client gets the address again that it gave back, while nobody else has it (RFC 2131 section 4.3.1). Kea goes on to the next one.",
    ),
];

const HEAD: &str = "\
# The same conversation with Kea and dnsmasq

A client asks the same of each server, in the same namespaces, with the same network to serve: one pool, routers,
domain-name-servers, domain-name, a lease of one hour, one reservation; not authoritative. What is not in a table is the
same for all three. `UPDATE=1 cargo test -p xdhcpd-tests --test peers` (as root) holds the conversation and writes this
page; without `UPDATE` it fails if an answer differs from what is written here, or differs without a reason.
";

const EVERYWHERE: &str = "\
## In every answer

These come with many answers; the values are those of the first.
";

const TABLE: &str = "| | xdhcpd | Kea | dnsmasq | why |\n|---|---|---|---|---|";

pub fn document(heard: &[Vec<Answer>], versions: &[String]) -> Result<String> {
    let (mut general, mut each) = (BTreeMap::new(), String::new());
    let mut missing = Vec::new();
    for (number, (question, _)) in QUESTIONS.iter().enumerate() {
        let answers: Vec<&Answer> = heard.iter().map(|answers| &answers[number]).collect();
        for (aspect, values) in rows(&answers) {
            let values_shown = values.join(" | ");
            let row = |why: &str| format!("| {aspect} | {values_shown} | {why} |");
            let same = values.iter().all(|value| *value == values[0]);
            if let Some(why) = reason(question, aspect).or(same.then_some("")) {
                let what = match aspect {
                    "answer" => (*question).to_owned(),
                    aspect => format!("{question}: {aspect}"),
                };
                writeln!(each, "| {what} | {values_shown} | {why} |")?;
            } else if let Some(why) = reason("", aspect) {
                general.entry(aspect).or_insert_with(|| row(why));
            } else {
                missing.push(format!("{question}: {}", row("")));
            }
        }
    }
    ensure!(
        missing.is_empty(),
        "differences without a reason:\n{}",
        missing.join("\n")
    );
    let general: Vec<String> = general.into_values().collect();
    let general = general.join("\n");
    let versions = versions.join(", ");
    Ok(format!(
        "{HEAD}
Heard from: {versions}.

## Question by question

{TABLE}
{each}
\
         {EVERYWHERE}
{TABLE}
{general}
"
    ))
}

/// The document without the line that tells the versions.
pub fn body(document: &str) -> Vec<&str> {
    let lines = document.lines();
    lines
        .filter(|line| !line.starts_with("Heard from: "))
        .collect()
}

/// The kind of the answers, and in what those differ that are of one kind.
fn rows<'a>(answers: &[&'a Answer]) -> Vec<(&'a str, Vec<String>)> {
    let shown = |answer: &&Answer, aspect| match answer.get(aspect) {
        Some(value) => value.clone(),
        None => "-".to_owned(),
    };
    let all = |aspect| -> Vec<String> { answers.iter().map(|a| shown(a, aspect)).collect() };
    let kinds = all("answer");
    let answered: Vec<usize> = (0..kinds.len())
        .filter(|at| kinds[*at] != "silence")
        .collect();
    let mut rows = vec![("answer", kinds.clone())];
    if answered.iter().any(|at| kinds[*at] != kinds[answered[0]]) {
        return rows;
    }
    let aspects: BTreeSet<&str> = answers.iter().flat_map(|a| a.keys().copied()).collect();
    for aspect in aspects.into_iter().filter(|aspect| *aspect != "answer") {
        let values = all(aspect);
        if answered.iter().any(|at| values[*at] != values[answered[0]]) {
            rows.push((aspect, values));
        }
    }
    rows
}

/// Why an aspect differs in the answers to a question; empty: to any.
fn reason(question: &str, aspect: &str) -> Option<&'static str> {
    let of_this = |entry: &&(&str, &str, &str)| entry.0 == question && entry.1 == aspect;
    REASONS.iter().find(of_this).map(|(_, _, why)| *why)
}
