//! How clients of a subnet are treated: from the nearest level that says it.

use std::time::Duration;

use super::super::decode::{KeyOrMap, Placed};
use super::super::error::{At, Report};
use super::super::model::{Bootp, ConflictCheck, Policy};
use super::super::scalar::{Between, Scalar, get};
use super::super::written;
use super::server::between;

const LONGEST_DELAY: Duration = Duration::from_secs(30);
const DEFAULT_WAIT: Duration = Duration::from_millis(500);
const WAITS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];

/// What one level says.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub authoritative: Option<&'a Scalar<bool>>,
    pub rapid_commit: Option<&'a Scalar<bool>>,
    pub bootp: Option<&'a Scalar<Bootp>>,
    offer_delay: Option<&'a Scalar<Duration>>,
    min_secs: Option<&'a Scalar<Between<0, 65535>>>,
    pub conflict_check: Option<&'a Placed<KeyOrMap<written::ConflictCheck>>>,
}

macro_rules! written {
    ($($level:ident)+) => {$(
        impl<'a> From<&'a written::$level> for Written<'a> {
            fn from(level: &'a written::$level) -> Self {
                Self {
                    authoritative: level.authoritative.as_ref(),
                    rapid_commit: level.rapid_commit.as_ref(),
                    bootp: level.bootp.as_ref(),
                    offer_delay: level.offer_delay.as_ref(),
                    min_secs: level.min_secs.as_ref(),
                    conflict_check: level.conflict_check.as_ref(),
                }
            }
        }
    )+};
}

written!(Defaults Network Subnet);

pub(super) fn resolve(
    written: Written<'_>,
    inherited: &Policy,
    at: &At<'_>,
    report: &Report,
) -> Policy {
    let at = |key| at.key(key);
    let authoritative = get(written.authoritative, &at("authoritative"), report);
    let rapid_commit = get(written.rapid_commit, &at("rapid_commit"), report);
    let delays = (&at("offer_delay"), [Duration::ZERO, LONGEST_DELAY]);
    let min_secs = get(written.min_secs, &at("min_secs"), report);
    let check = written.conflict_check;
    let check = check.map(|check| conflict_check(&check.value.0, &at("conflict_check"), report));
    Policy {
        authoritative: authoritative.unwrap_or(inherited.authoritative),
        rapid_commit: rapid_commit.unwrap_or(inherited.rapid_commit),
        bootp: get(written.bootp, &at("bootp"), report).unwrap_or(inherited.bootp),
        offer_delay: between(written.offer_delay, delays, report).unwrap_or(inherited.offer_delay),
        min_secs: min_secs.map_or(inherited.min_secs, |secs| secs.0 as u16),
        conflict_check: check.unwrap_or(inherited.conflict_check),
        proxy: false,
    }
}

fn conflict_check(
    written: &written::ConflictCheck,
    at: &At<'_>,
    report: &Report,
) -> Option<ConflictCheck> {
    let enabled = get(written.enabled.as_ref(), at, report);
    let wait = between(written.wait.as_ref(), (&at.key("wait"), WAITS), report);
    let reservations = written.reservations.as_ref();
    let reservations = get(reservations, &at.key("reservations"), report);
    let check = ConflictCheck {
        wait: wait.unwrap_or(DEFAULT_WAIT),
        reservations: reservations.unwrap_or(false),
    };
    enabled.is_none_or(|enabled| enabled.0).then_some(check)
}
