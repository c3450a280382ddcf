//! Subnets where another server gives the addresses.

use super::super::error::{At, Place, Problem, Report};
use super::super::scalar::get;
use super::super::written;
use super::{policy, times};

/// Whether a subnet is one; what it cannot say then is reported.
pub(super) fn resolve(written: &written::Subnet, at: &At<'_>, report: &Report) -> bool {
    let proxy = get(written.proxy.as_ref(), &at.key("proxy"), report);
    if proxy != Some(true) {
        return false;
    }
    for (key, place, what) in contradictions(written) {
        let hint = format!("leave `{key}` or `proxy` away");
        report.add(place, &at.key(key), Problem::new(what, hint));
    }
    true
}

/// What belongs to a server that gives addresses: keys, where they stand, and why they go.
fn contradictions(written: &written::Subnet) -> Vec<(&'static str, Place, &'static str)> {
    const ADDRESSES: &str = "a proxy gives no addresses";
    const LEASES: &str = "a proxy gives no leases";
    let mut found = Vec::new();
    let policy: policy::Written<'_> = written.into();
    let times: times::Written<'_> = written.into();
    found.extend(
        written
            .pools
            .first()
            .map(|pool| ("pools", pool.place, ADDRESSES)),
    );
    let is_on =
        |scalar: &super::super::scalar::Scalar<bool>| scalar.text.as_deref() == Some("true");
    let authoritative = policy.authoritative.filter(|scalar| is_on(scalar));
    found.extend(authoritative.map(|scalar| {
        let what = "a proxy is not the server that refuses addresses";
        ("authoritative", scalar.place, what)
    }));
    let rapid = policy.rapid_commit.filter(|scalar| is_on(scalar));
    found.extend(rapid.map(|scalar| ("rapid_commit", scalar.place, ADDRESSES)));
    let bootp = policy
        .bootp
        .filter(|scalar| scalar.text.as_deref() != Some("off"));
    found.extend(bootp.map(|scalar| ("bootp", scalar.place, ADDRESSES)));
    let check = policy.conflict_check;
    found.extend(check.map(|check| ("conflict_check", check.place, ADDRESSES)));
    found.extend(
        times
            .first()
            .map(|(key, scalar)| (key, scalar.place, LEASES)),
    );
    for (key, scalar) in [
        ("min_lease_time", &written.min_lease_time),
        ("max_lease_time", &written.max_lease_time),
    ] {
        found.extend(scalar.as_ref().map(|scalar| (key, scalar.place, LEASES)));
    }
    found
}
