//! The keys `interfaces`, `server` and `fast_path`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::duration;
use super::super::error::{At, Problem, Report};
use super::super::model::{self, FastPathMode};
use super::super::scalar::{InterfaceName, Scalar, get};
use super::super::written;
use super::services;

const DAY: Duration = Duration::from_secs(86_400);
pub(super) const YEAR: Duration = Duration::from_secs(365 * 86_400);
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn interfaces(written: &[Scalar<InterfaceName>], report: &Report) -> Vec<String> {
    let at = At::Root.key("interfaces");
    let mut names: Vec<String> = Vec::new();
    for (index, scalar) in written.iter().enumerate() {
        let at = at.item(index);
        let Some(InterfaceName(name)) = scalar.get(&at, report) else {
            continue;
        };
        if names.contains(&name) {
            let problem = Problem::new(format!("{name} is listed twice"), "keep one of them");
            report.add(scalar.place, &at, problem);
        } else {
            names.push(name);
        }
    }
    names
}

pub(super) fn server(written: &written::Server, report: &Report) -> model::Server {
    let root = At::Root.key("server");
    let at = |key| root.key(key);
    let workers = get(written.workers.as_ref(), &at("workers"), report);
    let state_dir = get(written.state_dir.as_ref(), &at("state_dir"), report);
    let control = get(
        written.control_socket.as_ref(),
        &at("control_socket"),
        report,
    );
    let max_offers = get(written.max_offers.as_ref(), &at("max_offers"), report);
    let serve_relayed = get(written.serve_relayed.as_ref(), &at("serve_relayed"), report);
    let ten_minutes = Duration::from_secs(600);
    let offer_hold = (&at("offer_hold"), [SECOND, ten_minutes]);
    let decline_hold = (&at("decline_hold"), [SECOND, YEAR]);
    let server = model::Server {
        workers: workers
            .and_then(|workers| workers.0)
            .map(|count| count as usize),
        state_dir: state_dir.map_or_else(|| PathBuf::from("/var/lib/xdhcpd"), |path| path.0),
        control_socket: control
            .map_or_else(|| PathBuf::from("/run/xdhcpd/control.sock"), |path| path.0),
        metrics: get(written.metrics.as_ref(), &at("metrics"), report),
        user: get(written.user.as_ref(), &at("user"), report).map(|name| name.0),
        offer_hold: between(written.offer_hold.as_ref(), offer_hold, report).unwrap_or(10 * SECOND),
        max_offers: max_offers.map_or(65536, |count| count.0 as usize),
        decline_hold: between(written.decline_hold.as_ref(), decline_hold, report).unwrap_or(DAY),
        serve_local: get(written.serve_local.as_ref(), &at("serve_local"), report).unwrap_or(true),
        serve_relayed: serve_relayed.unwrap_or(true),
        allowed_relays: services::networks(&written.allowed_relays, &at("allowed_relays"), report),
        forcerenew: get(written.forcerenew.as_ref(), &at("forcerenew"), report).unwrap_or(true),
    };
    check_who(written, &server, report);
    server
}

/// Somebody must be served.
fn check_who(written: &written::Server, server: &model::Server, report: &Report) {
    let at = At::Root.key("server");
    let Some(scalar) = written
        .serve_relayed
        .as_ref()
        .filter(|_| !server.serve_relayed)
    else {
        return;
    };
    let at = at.key("serve_relayed");
    if !server.serve_local {
        let hint = "set serve_local or serve_relayed to true";
        let problem = Problem::new("neither local nor relayed clients would be served", hint);
        report.add(scalar.place, &at, problem);
    } else if !server.allowed_relays.is_empty() {
        let hint = "leave one of them away";
        let problem = Problem::new("allowed_relays names relays that are not served", hint);
        report.add(scalar.place, &at, problem);
    }
}

/// A duration between two others, both allowed.
pub(super) fn between(
    written: Option<&Scalar<Duration>>,
    (at, [shortest, longest]): (&At<'_>, [Duration; 2]),
    report: &Report,
) -> Option<Duration> {
    let written = written?;
    let value = written.get(at, report)?;
    if (shortest..=longest).contains(&value) {
        return Some(value);
    }
    let what = format!("{} is out of range", duration::show(value));
    let bounds = [shortest, longest].map(duration::show);
    let hint = format!("write {} to {}", bounds[0], bounds[1]);
    report.add(written.place, at, Problem::new(what, hint));
    None
}

pub(super) fn fast_path(written: &written::FastPath, report: &Report) -> model::FastPath {
    let root = At::Root.key("fast_path");
    let at = |key| root.key(key);
    let mode = get(written.mode.as_ref(), &at("mode"), report);
    let reserve = get(written.reserve.as_ref(), &at("reserve"), report);
    let pin_dir = get(written.pin_dir.as_ref(), &at("pin_dir"), report);
    let capacity = get(written.capacity.as_ref(), &at("capacity"), report);
    let boot_memos = get(written.boot_memos.as_ref(), &at("boot_memos"), report);
    model::FastPath {
        mode: mode.unwrap_or(FastPathMode::Auto),
        reserve: reserve.map_or(2.5, |reserve| reserve.0),
        pin_dir: pin_dir.map_or_else(|| PathBuf::from("/sys/fs/bpf/xdhcpd"), |path| path.0),
        capacity: capacity.and_then(|capacity| capacity.0),
        boot_memos: boot_memos.and_then(|memos| memos.0),
    }
}
