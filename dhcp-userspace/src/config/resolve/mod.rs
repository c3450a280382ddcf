//! From what is written to what is meant: values read, defaults filled in, contradictions found.

mod hosts;
mod options;
mod server;
mod subnets;
mod times;

use super::error::{At, Report};
use super::model::Config;
use super::written::{Document, Inventory};
use super::{extent, fingerprint};

pub(super) use times::DEFAULT_TIMES;

/// The meaning of a main file and its included files. Only to be used if the report is empty.
pub(super) fn resolve(main: &Document, included: &[Inventory], report: &Report) -> Config {
    let interfaces = server::interfaces(&main.interfaces, report);
    let sources = sources(main, included);
    let subnets = subnets::resolve(main, &interfaces, &sources, report);
    let mut config = Config {
        interfaces,
        server: server::server(&main.server, report),
        fast_path: server::fast_path(&main.fast_path, report),
        subnets,
        files: report.files(),
        ..Config::default()
    };
    check_capacity(main, &config, report);
    config.fingerprint = fingerprint::of(&config);
    config
}

/// The subnets and reservations of one file.
struct Source<'a> {
    subnets: &'a [super::decode::Placed<super::written::Subnet>],
    reservations: &'a [super::decode::Placed<super::written::Reservation>],
}

fn sources<'a>(main: &'a Document, included: &'a [Inventory]) -> Vec<Source<'a>> {
    let first = Source {
        subnets: &main.subnets,
        reservations: &main.reservations,
    };
    let others = included.iter().map(|file| Source {
        subnets: &file.subnets,
        reservations: &file.reservations,
    });
    std::iter::once(first).chain(others).collect()
}

fn check_capacity(main: &Document, config: &Config, report: &Report) {
    let needed = extent::block_count(config) * extent::BLOCK;
    let at = At::Root.key("fast_path");
    let at = at.key("capacity");
    if needed > u64::from(super::written::MAX_ADDRESSES) {
        let place = main.subnets.first().map(|subnet| subnet.place);
        let problem = extent::too_many(needed);
        report.add(place.unwrap_or_default(), &At::Root.key("subnets"), problem);
    } else if let (Some(capacity), Some(written)) =
        (config.fast_path.capacity, &main.fast_path.capacity)
        && u64::from(capacity) < needed
    {
        report.add(written.place, &at, extent::too_small(capacity, needed));
    }
}
