//! The same conversation with this server, Kea and dnsmasq; every difference has its reason
//! (docs/differences.md).

mod common;
#[path = "peers/conversation.rs"]
mod conversation;
#[path = "peers/differences.rs"]
mod differences;
#[path = "peers/server.rs"]
mod server;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use conversation::{Answer, Client, QUESTIONS, Question, RELAY};
use server::Server;
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Lab, RawSocket};

/// Write the document anew with `UPDATE=1`.
#[test]
fn every_difference_to_kea_and_dnsmasq_has_its_reason() -> Result<()> {
    common::root();
    let heard: Vec<Vec<Answer>> = Server::ALL
        .iter()
        .map(|server| hold(*server).with_context(|| server.name()))
        .collect::<Result<_>>()?;
    let versions: Vec<String> = Server::ALL
        .iter()
        .map(|server| Ok(format!("{} {}", server.name(), server.version()?)))
        .collect::<Result<_>>()?;
    let written = differences::document(&heard, &versions)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/differences.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &written)?;
    }
    let known = fs::read_to_string(&path).context("docs/differences.md")?;
    ensure!(
        differences::body(&known) == differences::body(&written),
        "docs/differences.md is not what was heard now; UPDATE=1 writes it anew:\n{written}"
    );
    Ok(())
}

/// All questions to one server.
fn hold(server: Server) -> Result<Vec<Answer>> {
    let lab = Lab::new(1)?;
    let client = &lab.clients[0];
    client.ip(&format!("address add {RELAY}/16 dev {INTERFACE}"))?;
    // So that it answers ARP for whatever address the server gives.
    client.ip(&format!("route add local 10.77.1.0/24 dev {INTERFACE}"))?;
    let _running = server.start(&lab)?;
    let socket = RawSocket::open(client, INTERFACE)?;
    let client = Client {
        lab: &lab,
        socket: &socket,
    };
    let ask =
        |(what, question): &(&str, Question)| question(&client).with_context(|| (*what).to_owned());
    QUESTIONS.iter().map(ask).collect()
}
