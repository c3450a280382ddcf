//! What the server keeps, measured time and again: none of it may become more and more.

use std::collections::BTreeMap;

use dhcp_common::slot::Kind;

use super::super::daemon::Daemon;
use super::super::plan::Plan;
use super::super::server::SETTINGS;
use super::super::site::SUBNETS;
use super::World;

/// Things that come and go one by one are so many more or less at any time.
const FEW: usize = 16;
/// So much of the journal is there for a while more for each client, until it is compacted.
const BYTES: usize = 512;
/// A quarter of all. If none were used again, all would be handed out on the first day, and grow no more.
const TEMPLATES: usize = 1024;

impl World {
    pub(super) fn measure(&mut self) {
        let Some(daemon) = &self.server.daemon else {
            return;
        };
        let files = self.server.storage.sizes();
        let disk = [
            ("journal files", files.len()),
            ("journal bytes", files.iter().sum()),
        ];
        let all = daemon.engine.sizes().into_iter();
        let all = all.chain(daemon.sizes()).chain(disk).chain(kinds(daemon));
        let named = all.map(|(name, size)| (name.to_owned(), size as f64));
        self.series.add(named);
    }

    /// Whether anything grew in the second half of what was measured.
    pub(in super::super) fn expect_flat(&self) -> Result<(), String> {
        let Plan { clients, pool, .. } = self.plan;
        let room = |name: &str| match name {
            "journal bytes" => 2 * SETTINGS.segment_size as usize + BYTES * clients,
            // Each address stays in mind for who had it last, until another client gets it.
            "leases that were" => FEW + SUBNETS * pool as usize,
            // Half of them come or go, or are given other leases.
            _ => FEW + clients / 2,
        };
        let daemon = self.server.daemon.as_ref();
        let sizes = daemon.map(|daemon| daemon.engine.sizes());
        for (name, size) in sizes.into_iter().flatten() {
            if name == "templates handed out" && size > TEMPLATES {
                return Err(format!("{size} {name}"));
            }
        }
        let grown = self.series.growing(|name| room(name) as f64);
        if grown.is_empty() {
            return Ok(());
        }
        let grown: Vec<_> = grown.iter().map(ToString::to_string).collect();
        let lines: Vec<_> = self.series.lines().collect();
        Err(format!("{}\n{}", grown.join("\n"), lines.join("\n")))
    }
}

fn kinds(daemon: &Daemon) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::from([("leases", 0), ("leases that were", 0), ("quarantines", 0)]);
    for lease in daemon.engine.leases() {
        let name = match lease.kind {
            Kind::Bound => "leases",
            Kind::Expired | Kind::Released => "leases that were",
            Kind::Declined => "quarantines",
            Kind::Free | Kind::Offered => continue,
        };
        *kinds.entry(name).or_default() += 1;
    }
    kinds
}
