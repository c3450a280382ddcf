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

written!(Defaults Subnet Reservation);

impl Written<'_> {
    pub(super) const fn is_empty(&self) -> bool {
        self.lease.is_none() && self.renew.is_none() && self.rebind.is_none()
    }
}

/// A level's times. One that sets a lease time starts anew: T1 and T2 of the levels around it
/// were meant for theirs.
pub(super) fn resolve(
    written: Written<'_>,
    inherited: Times,
    at: &At<'_>,
    report: &Report,
) -> Times {
    let value = |key, scalar| between(scalar, (&at.key(key), [SHORTEST / 30, YEAR]), report);
    let range = (&at.key("lease_time"), [SHORTEST, YEAR]);
    let lease = between(written.lease, range, report);
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
