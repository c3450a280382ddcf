//! Lease time, T1 and T2: from the nearest level that sets them.

use std::time::Duration;

use super::super::duration::show;
use super::super::error::{At, Problem, Report};
use super::super::model::Times;
use super::super::scalar::Scalar;
use super::super::written;
use super::server::{YEAR, between};

/// Below this a client would renew more often than it can be sure to be heard.
const SHORTEST: Duration = Duration::from_secs(30);

/// Without any word about times.
pub(in super::super) const DEFAULT_TIMES: Times = Times::of(Duration::from_secs(3600));

/// What one level says about times.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    lease: Option<&'a Scalar<Duration>>,
    renew: Option<&'a Scalar<Duration>>,
    rebind: Option<&'a Scalar<Duration>>,
}

macro_rules! written {
    ($($level:ident)+) => {$(
        impl<'a> From<&'a written::$level> for Written<'a> {
            fn from(level: &'a written::$level) -> Self {
                Self {
                    lease: level.lease_time.as_ref(),
                    renew: level.renew_time.as_ref(),
                    rebind: level.rebind_time.as_ref(),
                }
            }
        }
    )+};
}

written!(Defaults Network Subnet Pool Class HostGroup Reservation);

/// The shortest and the longest lease that a client may ask for.
#[derive(Clone, Copy, Default)]
pub(super) struct Bounds {
    shortest: Option<Duration>,
    longest: Option<Duration>,
}

impl Bounds {
    /// Beside this lease time: a client that asks for nothing gets that.
    pub(super) fn around(self, lease: Duration) -> (Duration, Duration) {
        let shortest = self.shortest.unwrap_or(lease).min(lease);
        (shortest, self.longest.unwrap_or(lease).max(lease))
    }
}

/// What one level says about bounds.
#[derive(Clone, Copy)]
pub(super) struct WrittenBounds<'a> {
    pub shortest: Option<&'a Scalar<Duration>>,
    pub longest: Option<&'a Scalar<Duration>>,
}

impl<'a> Written<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// One that is given, and its key.
    pub(super) fn first(&self) -> Option<(&'static str, &'a Scalar<Duration>)> {
        let lease = self.lease.map(|scalar| ("lease_time", scalar));
        lease.or_else(|| self.first_share())
    }

    fn first_share(&self) -> Option<(&'static str, &'a Scalar<Duration>)> {
        let renew = self.renew.map(|scalar| ("renew_time", scalar));
        renew.or_else(|| self.rebind.map(|scalar| ("rebind_time", scalar)))
    }
}

/// The times of a level that clients of several subnets may meet: all of them or none.
pub(super) fn own(written: Written<'_>, at: &At<'_>, report: &Report) -> Option<Times> {
    if let (None, Some((key, scalar))) = (written.lease, written.first_share()) {
        let what = format!("{key} of no lease time");
        let problem = Problem::new(what, "add `lease_time` beside it");
        report.add(scalar.place, &at.key(key), problem);
        return None;
    }
    written.lease?;
    Some(resolve(written, DEFAULT_TIMES, at, report))
}

/// A level's bounds on top of those around it.
pub(super) fn bounds(
    written: WrittenBounds<'_>,
    lease: Duration,
    inherited: Bounds,
    at: &At<'_>,
    report: &Report,
) -> Bounds {
    let value = |key, scalar| seconds(scalar, (&at.key(key), [SHORTEST, YEAR]), report);
    let shortest = value("min_lease_time", written.shortest);
    let longest = value("max_lease_time", written.longest);
    let complain = |key, scalar: Option<&Scalar<Duration>>, what: String| {
        let place = scalar.map(|scalar| scalar.place).unwrap_or_default();
        let hint = "the order is min_lease_time <= lease_time <= max_lease_time";
        report.add(place, &at.key(key), Problem::new(what, hint));
    };
    if let Some(shortest) = shortest.filter(|shortest| *shortest > lease) {
        let what = format!(
            "{} is longer than lease_time, {}",
            show(shortest),
            show(lease)
        );
        complain("min_lease_time", written.shortest, what);
    }
    if let Some(longest) = longest.filter(|longest| *longest < lease) {
        let what = format!(
            "{} is shorter than lease_time, {}",
            show(longest),
            show(lease)
        );
        complain("max_lease_time", written.longest, what);
    }
    Bounds {
        shortest: shortest.or(inherited.shortest),
        longest: longest.or(inherited.longest),
    }
}

/// As [`between`], in whole seconds: that is how they are told to clients.
fn seconds(
    written: Option<&Scalar<Duration>>,
    (at, bounds): (&At<'_>, [Duration; 2]),
    report: &Report,
) -> Option<Duration> {
    let value = between(written, (at, bounds), report)?;
    if value.subsec_nanos() == 0 {
        return Some(value);
    }
    let what = format!("{} is not a number of seconds", show(value));
    let place = written.map(|scalar| scalar.place).unwrap_or_default();
    report.add(place, at, Problem::new(what, "leave the ms away"));
    None
}

/// A level's times. One that sets a lease time starts anew: T1 and T2 of the levels around it
/// were meant for theirs.
pub(super) fn resolve(
    written: Written<'_>,
    inherited: Times,
    at: &At<'_>,
    report: &Report,
) -> Times {
    let value = |key, scalar| seconds(scalar, (&at.key(key), [SHORTEST / 30, YEAR]), report);
    let range = (&at.key("lease_time"), [SHORTEST, YEAR]);
    let lease = seconds(written.lease, range, report);
    let base = lease.map_or(inherited, Times::of);
    let times = Times {
        lease: base.lease,
        renew: value("renew_time", written.renew).unwrap_or(base.renew),
        rebind: value("rebind_time", written.rebind).unwrap_or(base.rebind),
    };
    let unreadable = written.lease.is_some() && lease.is_none();
    if !unreadable {
        check_order(written, times, at, report);
    }
    times
}

fn check_order(written: Written<'_>, times: Times, at: &At<'_>, report: &Report) {
    let (key, scalar, what) = if times.rebind >= times.lease {
        let what = format!("{} is not before the lease ends", show(times.rebind));
        ("rebind_time", written.rebind, what)
    } else if times.renew >= times.rebind && written.renew.is_some() {
        let what = format!("{} is not before rebind_time", show(times.renew));
        ("renew_time", written.renew, what)
    } else if times.renew >= times.rebind {
        let what = format!("{} is not after renew_time", show(times.rebind));
        ("rebind_time", written.rebind, what)
    } else {
        return;
    };
    let Some(scalar) = scalar else {
        return;
    };
    let hint = format!(
        "the order is renew_time ({}) < rebind_time ({}) < lease_time ({})",
        show(times.renew),
        show(times.rebind),
        show(times.lease)
    );
    report.add(scalar.place, &at.key(key), Problem::new(what, hint));
}
