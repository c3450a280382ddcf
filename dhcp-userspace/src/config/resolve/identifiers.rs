//! What a host is known by: one of several keys.

use super::super::error::{At, Place, Problem, Report};
use super::super::model::Identifier;
use super::super::scalar::{Parse, Scalar};
use super::super::written::{IDENTIFIERS, Reservation};
use super::{Context, matching};

/// An identifier as it is written.
pub(super) struct Written<'a> {
    pub key: &'static str,
    pub place: Place,
    pub text: &'a str,
    pub value: Identifier,
}

/// The identifier of a host; `None`: a mistake, which has been reported.
pub(super) fn resolve<'a>(
    host: &'a Reservation,
    place: Place,
    at: &At<'_>,
    context: &Context<'_>,
) -> Option<Written<'a>> {
    let report = context.report;
    let mut given = given(host);
    let Some((key, first)) = given.next() else {
        let what = "nothing that the host is known by";
        let hint = format!("add one of {}", IDENTIFIERS.join(", "));
        report.add_missing(place, at, Problem::new(what, hint));
        return None;
    };
    for (other, place) in given {
        let what = format!("has both `{key}` and `{other}`");
        let hint = "a host is known by one key; `test` can ask for several things";
        report.add(place, &at.key(other), Problem::new(what, hint));
    }
    let value = value(host, key, &at.key(key), context)?;
    Some(Written {
        key,
        place: first,
        text: text(host, key),
        value,
    })
}

/// The keys that are given, and where.
fn given(host: &Reservation) -> impl Iterator<Item = (&'static str, Place)> {
    let places = [
        host.mac.as_ref().map(|mac| mac.place),
        host.client_id.as_ref().map(|id| id.place),
        host.uuid.as_ref().map(|uuid| uuid.place),
        host.circuit_id.as_ref().map(|id| id.place),
        host.remote_id.as_ref().map(|id| id.place),
        host.matches.as_ref().map(|matches| matches.place),
        host.test.as_ref().map(|test| test.place),
    ];
    let both = IDENTIFIERS.into_iter().zip(places);
    both.filter_map(|(key, place)| Some((key, place?)))
}

fn value(host: &Reservation, key: &str, at: &At<'_>, context: &Context<'_>) -> Option<Identifier> {
    let report = context.report;
    Some(match key {
        "mac" => Identifier::Mac(read(&host.mac, at, report)?.0),
        "client-id" => Identifier::ClientId(read(&host.client_id, at, report)?.0),
        "uuid" => Identifier::Uuid(read(&host.uuid, at, report)?.0.into()),
        "circuit-id" => Identifier::CircuitId(read(&host.circuit_id, at, report)?.0),
        "remote-id" => Identifier::RemoteId(read(&host.remote_id, at, report)?.0),
        "match" => {
            let test = matching::short(host.matches.as_ref()?, at, report)?;
            Identifier::Test(test.into())
        }
        _ => {
            let written = host.test.as_ref()?;
            let test = context.classes.expression(written, at, report)?;
            if test.reads_standing() {
                let what = "asks for classes or for `known`, which are found after the host is";
                let hint = "ask for what its messages look like";
                report.add(written.place, at, Problem::new(what, hint));
                return None;
            }
            Identifier::Test(test.into())
        }
    })
}

fn read<T: Parse>(scalar: &Option<Scalar<T>>, at: &At<'_>, report: &Report) -> Option<T> {
    scalar.as_ref()?.get(at, report)
}

/// As it is written.
fn text<'a>(host: &'a Reservation, key: &str) -> &'a str {
    fn of<T>(scalar: &Option<Scalar<T>>) -> Option<&str> {
        scalar.as_ref()?.text.as_deref()
    }
    let text = match key {
        "mac" => of(&host.mac),
        "client-id" => of(&host.client_id),
        "uuid" => of(&host.uuid),
        "circuit-id" => of(&host.circuit_id),
        "remote-id" => of(&host.remote_id),
        _ => Some("this test"),
    };
    text.unwrap_or_default()
}
